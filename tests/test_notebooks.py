"""Notebooks: every percent source runs, and the executed notebook beside it has the same cells and no errors."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext")

FOLDER = Path(__file__).parents[1] / "notebooks"
SOURCES = sorted(FOLDER.glob("*.py"))


def test_there_are_notebooks():
    assert SOURCES
    assert [p.stem for p in SOURCES] == [p.stem for p in sorted(FOLDER.glob("*.ipynb"))]


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_pair_is_in_step(source):
    ours, executed = jupytext.read(source), jupytext.read(source.with_suffix(".ipynb"))
    assert [(c.cell_type, c.source) for c in ours.cells] == [(c.cell_type, c.source) for c in executed.cells]
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code), "run it: see CONTRIBUTING.md"
    assert not [o for cell in code for o in cell.outputs if o.output_type == "error"]


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_notebook_teaches(source):
    text = source.read_text(encoding="utf-8")
    assert "assert" in text and "?" in text and "Exercise" in text


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_source_runs(source, tmp_path):
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONWARNINGS": "error"}
    done = subprocess.run([sys.executable, str(source)], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
