"""`pdelab bench`: ours against the peers that are installed, and against the limit."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from pdelab import records
from pdelab.cli.shared import note

__all__ = ["ONE_THREAD", "add_bench"]

ONE_THREAD = {
    **dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


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
    names = sorted(p.stem for p in folder.glob("*.py") if "\ndef rows(" in p.read_text(encoding="utf-8"))
    if not names:
        raise ValueError(
            "the benchmarks are not part of the installed package: "
            "in a checkout of the repository, run pip install -e . and then pdelab bench"
        )
    unknown = [name for name in arguments.names if name not in names]
    if unknown:
        raise ValueError(f"unknown benchmark {unknown[0]!r}: choose from {', '.join(names)}")
    if missing := {name: value for name, value in ONE_THREAD.items() if name not in os.environ}:
        return _again(arguments, missing)
    sys.path.insert(0, str(folder.parent))
    table = []
    for name in arguments.names or names:
        module, rows = import_module(f"benchmarks.{name}"), []
        if missing := getattr(module, "missing", lambda: None)():
            if arguments.names:
                raise ValueError(missing)
            note(f"benchmark {name}: skipped, {missing}")
            continue
        note(f"benchmark {name}")
        for row in module.rows(quick=arguments.quick):
            rows.append(row)
            if not arguments.json:
                _print_row(row)
        table += [{"benchmark": name} | row.as_dict() for row in rows]
        if arguments.save:
            import_module("benchmarks.page").save(name, rows, arguments.quick)
    if arguments.json:
        print(records.dumps({"rows": table, "versions": records.versions(), "command": records.command()}))
    return 0


def _again(arguments, settings):
    """The same command in a process that has these settings before it loads NumPy, for peers too."""
    flags = [f"--{name}" for name in ("quick", "json", "save") if getattr(arguments, name)]
    command = [sys.executable, "-m", "pdelab.cli", "bench", *arguments.names, *flags]
    return subprocess.run(command, env=os.environ | settings, check=False).returncode


def _print_row(row):
    cell = lambda value, form: "" if value is None else format(value, form)  # noqa: E731
    aim = "" if row.target is None else f"aim {row.target:g}"
    said = ", ".join(word for word in (aim, "missed" if row.misses else "") if word)
    target = f"({said})" if said else ""
    print(
        f"{row.problem:<24} {row.name:<44} {cell(row.milliseconds, '.4g'):>10} ms  error {cell(row.error, '.2e'):>9}  "
        f"ratio {cell(row.ratio, '.3g'):>7} {target:<12} {row.note}",
        flush=True,
    )
