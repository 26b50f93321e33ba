"""`pdelab bench`: ours against the peers that are installed, and against the limit."""

import os
import sys
from pathlib import Path

from pdelab import records
from pdelab.cli.shared import note


def add_bench(verbs):
    """The verb `bench`."""
    parser = verbs.add_parser("bench", help="ours against the peers that are installed, and against the limit")
    parser.add_argument("names", nargs="*", help="benchmarks to run (default: all)")
    parser.add_argument("--quick", action="store_true", help="smaller problems, fewer repeats")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=_run_bench)


def _run_bench(arguments):
    folder = Path(__file__).resolve().parents[2] / "benchmarks"
    names = sorted(p.stem for p in folder.glob("*.py") if p.stem not in ("harness", "__init__"))
    if not names:
        raise ValueError("the benchmarks come with the source checkout: install it with pip install -e")
    unknown = [name for name in arguments.names if name not in names]
    if unknown:
        raise ValueError(f"unknown benchmark {unknown[0]!r}: choose from {', '.join(names)}")
    for variable in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    sys.path.insert(0, str(folder.parent))
    rows = []
    for name in arguments.names or names:
        note(f"benchmark {name}")
        for row in __import__(f"benchmarks.{name}", fromlist=["rows"]).rows(quick=arguments.quick):
            rows.append({"benchmark": name} | row.as_dict())
            if not arguments.json:
                _print_row(row)
    if arguments.json:
        print(records.dumps({"rows": rows, "versions": records.versions(), "command": records.command()}))
    return 0


def _print_row(row):
    cell = lambda value, form: "" if value is None else format(value, form)  # noqa: E731
    target = "" if row.target is None else f"(aim {row.target:g})"
    print(
        f"{row.problem:<24} {row.name:<44} {cell(row.milliseconds, '.4g'):>10} ms  error {cell(row.error, '.2e'):>9}  "
        f"ratio {cell(row.ratio, '.3g'):>7} {target:<12} {row.note}",
        flush=True,
    )
