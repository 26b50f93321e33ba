"""README.md of this folder, written from the results that `pdelab bench --save` keeps; nothing in it is typed."""

import ast
import hashlib
import importlib
import json
import platform
from pathlib import Path

from pdelab import records

FOLDER = Path(__file__).resolve().parent
PEERS = (
    "py-pde", "fipy", "clawpack", "hj-reachability", "exponax", "jax", "diffrax", "torchsde", "jitcsde", "sdeint",
    "curvlinops-for-pytorch", "backpack-for-pytorch", "posteriors", "torch-sgld",
)  # fmt: skip
OLD = "**Measured before this benchmark's program last changed**: rows it has got since are not here.\n\n"
HEAD = """# Benchmarks

Ours against the peers that are installed and against the limit: all contestants of a row group in one process, one
after the other, round after round; CPU time, warm, one thread, medians. **Ratio** is the other's time over ours (of
"bare loop": the limit's time over ours); **aim** is what we set out to reach, kept beside what was measured whether it
was reached or not. Milliseconds belong to the machine below, ratios less so.

This page is written by

    pdelab bench --save            # everything, or: pdelab bench --save NAME ...

from a checkout, with the peers installed beside pdelab; a peer that is missing is skipped. Where a peer wins, or has
what pdelab does not: Exponax on smooth periodic viscous flows, on a GPU and under autodiff; PyClaw's SharpClaw at the
last digits of smooth conservation laws; hj_reachability for general Hamiltonians; py-pde for general equations; FiPy on
unstructured meshes; diffrax for adaptive steps and gradients through the solver.
"""


def save(name, rows, quick):
    """Keep the rows of a benchmark with their provenance, and write the page anew."""
    record = {
        "benchmark": name,
        "quick": quick,
        "program": program(name),
        "command": records.command(),
        "versions": records.versions(*PEERS),
        "machine": _machine(),
        "rows": [row.as_dict() for row in rows],
    }
    records.save_json(FOLDER / "results" / f"{name}.json", record)
    with records.atomic(FOLDER / "README.md") as temporary:
        Path(temporary).write_text(page(), encoding="utf-8")


def page():
    """The page as Markdown text."""
    parts = [HEAD]
    for path in sorted((FOLDER / "results").glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        doc = (importlib.import_module(f"benchmarks.{record['benchmark']}").__doc__ or "").strip()
        versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
        quick = " (quick form)" if record["quick"] else ""
        old = "" if record.get("program") == program(record["benchmark"]) else OLD
        parts += [
            f"## {record['benchmark']}{quick}\n\n{doc}\n\n{old}"
            f"`{record['command']}` on {record['machine']}; {versions}.\n",
            "| problem | contestant | ms | error | ratio | aim | |\n|---|---|---:|---:|---:|---:|---|",
            "\n".join(_line(row) for row in record["rows"]) + "\n",
        ]
    return "\n".join(parts)


def _line(row):
    def cell(key, form):
        return "" if row[key] is None else format(row[key], form)

    ratio, aim = row["ratio"], row["target"]
    below = ratio is not None and aim is not None and ratio < aim
    shown = f"**{ratio:.3g}** (missed)" if below else cell("ratio", ".3g")
    note = f"**missed**: {row['note']}" if row.get("missed") else row["note"]
    cells = row["problem"], row["name"], cell("milliseconds", ".4g"), cell("error", ".1e"), shown, cell("target", "g")
    return "| " + " | ".join((*cells, note)).replace("\n", " ") + " |"


def program(name):
    """A digest of a benchmark's program, comments and layout left out."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def _machine():
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
