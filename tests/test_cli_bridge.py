"""`pdelab bridge`: the command is the function, and refuses in one sentence."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

import pdelab as pl  # noqa: E402
from pdelab.cli import main  # noqa: E402
from pdelab.networks import bridge  # noqa: E402

SMALL = ["--epochs", "1", "--samples", "30", "--hidden", "4"]


def printed(arguments, capsys):
    assert main(["bridge", *arguments, *SMALL, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_densities(capsys, tmp_path):
    asked = [
        "density",
        "--runs",
        "60",
        "--t",
        "0.2",
        "--nodes",
        "401",
        "--width",
        "1.5",
        "--out",
        str(tmp_path / "line"),
    ]
    numbers = printed(asked, capsys)
    line = bridge.trained_slice(1, epochs=1, samples=30, hidden=4)
    same = bridge.compare_densities(line, pl.Grid(-1.5, 1.5, 401), 0.01, [0.2], mean=0.0, deviation=0.1, runs=60)
    assert numbers["w2 measured"] == same.distances["w2"]["measured"][0]
    with np.load(tmp_path / "line.npz") as stored:
        np.testing.assert_array_equal(stored["states"], same.states)


def test_gradients_and_volumes(capsys):
    numbers = printed(["gradient", "--runs", "4", "--width", "4"], capsys)
    assert numbers["bias, step 0.05, L 5"] > 0 and 0 <= numbers["right, step 0.5, L 100"] <= 1
    numbers = printed(["volume", "--steps", "60", "--gamma", "0.01"], capsys)
    assert numbers["low"] < numbers["local entropy"] < numbers["high"]


def test_basins_and_projections(capsys):
    numbers = printed(
        ["basins", "--runs", "10", "--steps", "20", "--width", "4", "--gamma", "1", "--nodes", "101"], capsys
    )
    assert numbers["sgd, depth less sgd's"] == 0.0 <= numbers["minimum 0"]
    assert numbers["smoothed, share in the best, from"] <= numbers["smoothed, share in the best"] <= 1.0
    numbers = printed(["projection", "--runs", "20", "--steps", "30"], capsys)
    assert numbers["w2, from"] <= numbers["w2"] <= numbers["w2, to"] and 0 < numbers["share of the variance"] < 1


def test_refusals(capsys):
    assert main(["bridge", "density", *SMALL, "--basis", "best"]) == 2
    assert "basis: expected one of hessian" in capsys.readouterr().err
    assert main(["bridge", "density", *SMALL, "--t", "0.015"]) == 2
    assert "times: expected increasing positive multiples of lr" in capsys.readouterr().err
    assert main(["bridge", "density", *SMALL, "--dimension", "3"]) == 2
    for what in ("density", "basins", "projection"):
        assert main(["bridge", what, *SMALL, "--batch", "0", "--steps", "20"]) == 2  # no default in its place
        assert "batch: expected a whole number, at least 1, got 0" in capsys.readouterr().err
    assert main(["bridge", "density", *SMALL, "--nodes", "0"]) == 2
    assert "expected at least 2 nodes along each axis" in capsys.readouterr().err
    assert main(["train", "--epochs", "1", "--folds", "0"]) == 2
    assert "--folds" in capsys.readouterr().err
