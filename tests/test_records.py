"""Results on disk appear whole, carry their provenance and read back the same."""

import json
import math
import os

import numpy as np
import pytest

from pdelab import records
from pdelab.records import Check


def test_save_and_load(tmp_path):
    arrays = {"x": np.linspace(0, 1, 5), "n": np.array(3)}
    record = records.provenance({"beta": math.inf, "grid": (3, 4)}, 1.5, seed=7) | {"value": np.float64(2.0)}
    records.save(tmp_path / "a.b", arrays, record)
    back, read = records.load(tmp_path / "a.b")
    assert np.array_equal(back["x"], arrays["x"]) and back["n"] == 3
    assert read["parameters"] == {"beta": "inf", "grid": [3, 4]} and read["seed"] == 7 and read["value"] == 2.0
    assert {"python", "numpy", "numba", "pdelab"} <= set(read["versions"])
    assert sorted(os.listdir(tmp_path)) == ["a.b.json", "a.b.npz"]


def test_nothing_half_written(tmp_path):
    (tmp_path / "r.json").write_text("old")
    with pytest.raises(RuntimeError), records.atomic(tmp_path / "r.json") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert (tmp_path / "r.json").read_text() == "old" and os.listdir(tmp_path) == ["r.json"]


def test_json_is_strict():
    text = records.dumps({"a": [np.nan, np.inf, 1 + 2j], "b": np.arange(2)})
    assert json.loads(text) == {"a": ["nan", "inf", [1.0, 2.0]], "b": [0, 1]}


@pytest.mark.parametrize(
    "value, low, high, holds",
    [(1, 0, 2, True), (1, None, 0.5, False), (1, 1, None, True), (math.nan, None, None, False), (3, 0, 2, False)],
)
def test_check(value, low, high, holds):
    assert Check("c", value, low, high).holds is holds


def test_unwritable_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot write to the folder"):
        records.output_folder(tmp_path / "file" / "below")
