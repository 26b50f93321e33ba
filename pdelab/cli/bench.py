"""`pdelab bench`: ours against the peers that are installed, and against the limit."""

import os
import sys
from importlib import import_module
from pathlib import Path

from pdelab import records
from pdelab.cli.shared import note


def add_bench(verbs):
    """The verb `bench`."""
    parser = verbs.add_parser("bench", help="ours against the peers that are installed, and against the limit")
    parser.add_argument("names", nargs="*", help="benchmarks to run (default: all)")
    parser.add_argument("--quick", action="store_true", help="smaller problems, fewer repeats")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--save", action="store_true", help="keep the rows and write benchmarks/README.md anew")
    parser.set_defaults(run=_run_bench)


def _run_bench(arguments):
    folder = Path(__file__).resolve().parents[2] / "benchmarks"
    names = sorted(p.stem for p in folder.glob("*.py") if p.stem not in ("harness", "page", "__init__"))
    if not names:
        raise ValueError("the benchmarks come with the source checkout: install it with pip install -e")
    unknown = [name for name in arguments.names if name not in names]
    if unknown:
        raise ValueError(f"unknown benchmark {unknown[0]!r}: choose from {', '.join(names)}")
    for variable in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    sys.path.insert(0, str(folder.parent))
    found = []
    for name in arguments.names or names:
        note(f"benchmark {name}")
        rows = []
        for row in import_module(f"benchmarks.{name}").rows(quick=arguments.quick):
            rows.append(row)
            if not arguments.json:
                _print_row(row)
        found += [{"benchmark": name} | row.as_dict() for row in rows]
        if arguments.save:
            import_module("benchmarks.page").save(name, rows, arguments.quick)
    if arguments.json:
        print(records.dumps({"rows": found, "versions": records.versions(), "command": records.command()}))
    return 0


def _print_row(row):
    cell = lambda value, form: "" if value is None else format(value, form)  # noqa: E731
    target = "" if row.target is None else f"(aim {row.target:g})"
    print(
        f"{row.problem:<24} {row.name:<44} {cell(row.milliseconds, '.4g'):>10} ms  error {cell(row.error, '.2e'):>9}  "
        f"ratio {cell(row.ratio, '.3g'):>7} {target:<12} {row.note}",
        flush=True,
    )
