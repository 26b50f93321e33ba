"""The benchmarks: what is one, what they say of an aim that was missed, and of results older than their program."""

import json

import pytest

from pdelab import records
from pdelab.cli import main

harness = pytest.importorskip("benchmarks.harness", reason="the benchmarks stand in a checkout, not in the package")
from benchmarks import page  # noqa: E402

NAMES = sorted(p.stem for p in page.FOLDER.glob("*.py") if "\ndef rows(" in p.read_text(encoding="utf-8"))


def test_a_benchmark_is_a_file_with_rows(capsys):
    """Tools beside them (harness, page, mutants, mutation) are not run as benchmarks."""
    assert {"closed_forms", "explicit", "paths", "optimizers", "gpu"} <= set(NAMES)
    assert main(["bench", "mutants"]) == 2
    assert capsys.readouterr().err.split(": choose from ")[1].strip() == ", ".join(NAMES)


@pytest.mark.parametrize(
    "row, missed",
    [
        ({"ratio": 2.0, "target": 3.0}, True),
        ({"ratio": 3.0, "target": 3.0}, False),
        ({"ratio": 2.0}, False),
        ({"target": 3.0}, False),
        ({"missed": True, "note": "aim 1 ms"}, True),
        ({"note": "aim 1 ms"}, False),
    ],
)
def test_a_missed_aim_is_said_on_the_page_and_in_the_shell(row, missed, capsys):
    from pdelab.cli import bench

    row = harness.Row("p", "n", 5.0, **row)
    bench._print_row(row)
    assert ("missed" in capsys.readouterr().out) == row.misses == missed
    assert ("missed" in page._line(row.as_dict())) == missed


def test_the_page_is_that_of_the_results_and_says_which_are_old(tmp_path, monkeypatch):
    assert (page.FOLDER / "README.md").read_text(encoding="utf-8") == page.page()
    record = json.loads((page.FOLDER / "results" / "landscapes.json").read_text(encoding="utf-8"))
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(page, "FOLDER", tmp_path)
    for text, old in (('"""A docstring."""\n', True), ("x = 1\n", False), ("x  =  1  # a comment\n", False)):
        (tmp_path / "landscapes.py").write_text(text)
        record["program"] = page.program("landscapes") if text.startswith("x = 1") else record["program"]
        records.save_json(tmp_path / "results" / "landscapes.json", record)
        assert (page.OLD in page.page()) == old
