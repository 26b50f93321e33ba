"""Notebooks: sources run, executed ones have the same cells, all have one form, and every folded solution is right."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.parse import urlparse

import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
SOURCES = sorted(FOLDER.glob("*.py"))
HEADINGS = ["Question", "Prediction", "Run", "The wrong method", "Drag", "Exercises", "Where it leads"]
FOLDED = re.compile(r"<details><summary>Solution</summary>\n\n(.*?)\n\n</details>", flags=re.S)

every = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


@cache
def read(path):
    """A notebook or its source, as it stands in the folder."""
    return pytest.importorskip("jupytext").read(path)


def sections(notebook):
    """{heading: its cells} of a notebook; what stands above the first heading is under ""."""
    cells, name = {"": []}, ""
    for cell in notebook.cells:
        heading = re.match(r"## (.+)", cell.source) if cell.cell_type == "markdown" else None
        if heading:
            name = heading[1].strip()
            assert name not in cells, f"two sections {name!r}"
            cells[name] = []
        cells[name].append(cell)
    return cells


def code(cells):
    """The code of a section, one text a cell."""
    return [cell.source for cell in cells if cell.cell_type == "code"]


def exercises(notebook):
    """(placeholder, check, solution) of every exercise: two cells of code, then a folded solution with one block."""
    kinds, tasks = [], []
    for cell in sections(notebook)["Exercises"]:
        if cell.cell_type == "code":
            kinds.append(cell.source)
        elif "<details>" in cell.source:
            (folded,) = FOLDED.findall(cell.source)
            (solution,) = re.findall(r"```python\n(.*?)```", folded, flags=re.S)
            assert len(kinds) == 2, "an exercise is a cell to write in, a cell that checks, and a folded solution"
            tasks.append((*kinds, solution))
            kinds = []
    assert not kinds, "an exercise has no solution"
    return tasks


def test_there_are_notebooks():
    assert SOURCES
    assert [p.stem for p in SOURCES] == [p.stem for p in sorted(FOLDER.glob("*.ipynb"))]
    numbers = [source.stem[:2] for source in SOURCES]
    assert numbers == [f"{k:02}" for k in range(1, 13)]


@every
def test_pair_is_in_step(source):
    ours, executed = read(source), read(source.with_suffix(".ipynb"))
    assert [(c.cell_type, c.source) for c in ours.cells] == [(c.cell_type, c.source) for c in executed.cells]
    cells = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells), "run it: see CONTRIBUTING.md"
    assert not [o for cell in cells for o in cell.outputs if o.output_type == "error"]


@every
def test_form(source):
    parts = sections(read(source))
    assert list(parts) == ["", *HEADINGS]
    title = parts[""][0].source.splitlines()[0]
    assert title.startswith("# ") and title.endswith("?"), "the title is a question"
    assert any("assert " in text for text in code(parts["Run"])), "nothing in Run can fail"
    assert code(parts["The wrong method"]), "the wrong method is shown at work"
    assert any("drag(" in text for text in code(parts["Drag"])), "nothing to drag"


@every
def test_the_picture_to_drag_is_stored_as_a_picture(source):
    cells = sections(read(source.with_suffix(".ipynb")))["Drag"]
    shown = [set(o.data) for cell in cells if cell.cell_type == "code" for o in cell.outputs if "data" in o]
    assert any("image/png" in kinds for kinds in shown)
    assert not any("widget" in kind for kinds in shown for kind in kinds)


@every
def test_links_lead_somewhere(source):
    cells = read(source).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    missing = [t for t in targets if not urlparse(t).scheme and not (FOLDER / t.partition("#")[0]).exists()]
    assert not missing
    last = sections(read(source))["Where it leads"]
    leads = re.findall(r"\]\(([^)\s]+)\)", "\n".join(cell.source for cell in last))
    assert any(target.startswith("../figures/") for target in leads)
    assert any(target.endswith(".ipynb") for target in leads)


@every
def test_exercises_have_a_place_to_write_and_a_check(source):
    tasks = exercises(read(source))
    assert tasks
    for placeholder, checked, solution in tasks:
        assert re.search(r"\.\.\.", placeholder), "no dots to write in place of"
        assert "print(exercises.check(" in checked
        assert not re.search(r"\.\.\.", solution)


SPOILED = """
def spoiled(answer):
    if callable(answer):
        return lambda *arguments, **keywords: 1.5 * answer(*arguments, **keywords)
    return 1.5 * answer if isinstance(answer, (int, float)) else None
"""


@every
def test_source_runs(source, tmp_path):
    """All cells, then for each exercise the check of the folded solution and of one that is half as large again."""
    solved = exercises(read(source))
    mark = "the solutions"
    parts = [source.read_text(encoding="utf-8"), SPOILED, f"print({mark!r})"]
    for _, checked, solution in solved:
        name = re.search(r"exercises\.check\((\w+)", checked)[1]
        parts += [solution, checked, f"{name} = spoiled({name})", checked]
    script = tmp_path / source.name
    script.write_text("\n\n".join(parts), encoding="utf-8")
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONWARNINGS": "error"}
    environment["PYTHONPATH"] = os.pathsep.join([str(FOLDER.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    before, after = (part.splitlines() for part in done.stdout.split(f"{mark}\n"))
    assert [line[:7] for line in before].count("not yet") == len(solved)
    verdicts = [line.split(":")[0] for line in after if line.split(":")[0] in ("right", "wrong", "not yet")]
    assert verdicts[::2] == ["right"] * len(solved), after
    assert len(verdicts) == 2 * len(solved) and "right" not in verdicts[1::2], after
