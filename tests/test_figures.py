"""Every figure: found, computed in its quick form, each check holds, drawn and written with its record."""

import json

import numpy as np
import pytest

from pdelab import figures
from pdelab.cli import main

ALL = figures.gallery()
QUICK = {name: module for name, module in ALL.items() if not hasattr(module, "NEEDS")}


def test_there_are_figures():
    assert {"3.2", "4.1", "4.1-literal"} <= set(ALL)


@pytest.mark.parametrize("name", sorted(ALL))
def test_module_keeps_the_protocol(name):
    module = ALL[name]
    assert module.__doc__ and module.TITLE and not module.TITLE.endswith(".")
    assert module.CHECKS, "a figure without a checked number is a drawing"
    assert set(module.QUICK) <= set(module.PARAMETERS)
    for low, high in module.CHECKS.values():
        assert (low, high) != (None, None)


@pytest.mark.parametrize("name", sorted(QUICK))
def test_figure_holds_and_is_written(name, tmp_path):
    result, picture = figures.run(name, tmp_path, quick=True)
    assert [check.name for check in result.checks if not check.holds] == []
    stem = figures.stem_of(name)
    assert picture == tmp_path / f"{stem}.png"
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{stem}.{end}" for end in ("json", "npz", "png", "svg")]
    record = json.loads((tmp_path / f"{stem}.json").read_text())
    assert {"figure", "title", "parameters", "numbers", "checks", "seed", "versions", "command", "seconds"} <= set(
        record
    )
    assert record["figure"] == name
    with np.load(tmp_path / f"{stem}.npz", allow_pickle=False) as arrays:
        assert len(arrays.files) > 0


def test_pictures_are_reproducible(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        figures.run("3.2", folder, quick=True)
    for end in ("png", "svg"):
        assert (one / f"figure_3_2.{end}").read_bytes() == (two / f"figure_3_2.{end}").read_bytes()


def test_a_check_that_fails_is_said(tmp_path, capsys):
    """With a temperature above the barriers, SGD leaves its minimum: the command must not be content."""
    assert main(["figure", "4.1", "--quick", "--set", "D=0.25", "--out", str(tmp_path)]) == 1
    assert "FAIL sgd_mass_in_start_basin" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change, words",
    [("nodes=3", "has no parameter 'nodes'"), ("n", "expected key=value"), ("n=many", "expected a value like")],
)
def test_bad_changes_are_refused(change, words, tmp_path, capsys):
    assert main(["figure", "4.1", "--set", change, "--out", str(tmp_path / "new")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
