"""Results on disk appear whole, carry their provenance and read back the same."""

import json
import math
import os
import pickle
import zipfile

import numpy as np
import pytest

from pdelab import records
from pdelab.records import Check


def test_save_and_load(tmp_path):
    arrays = {"x": np.linspace(0, 1, 5), "n": np.array(3)}
    record = records.provenance({"beta": math.inf, "grid": (3, 4)}, 1.5, seed=7) | {"value": np.float64(2.0)}
    assert records.save(tmp_path / "a.b", arrays, record) == records.save(tmp_path / "a.b.npz", arrays, record)
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


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, OSError])
def test_nothing_is_left_of_what_was_interrupted(tmp_path, kind):
    with pytest.raises(kind), records.atomic(tmp_path / "r.json") as temporary:
        temporary.write_text("half")
        raise kind
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_files_have_the_mode_that_the_user_asks_for(tmp_path, mask):
    before = os.umask(mask)
    try:
        records.save(tmp_path / "r", {"x": np.ones(2)}, {})
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o666 & ~mask}


def packed(path, size):
    """An .npz of few bytes that unpacks to `size`."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as file,
    ):
        for _ in range(size >> 24):
            file.write(bytes(1 << 24))


ODD = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("hello"),
    "half": lambda path: path.write_bytes(path.read_bytes()[:90]),
    "pickle": lambda path: path.write_bytes(pickle.dumps([1])),
    "array of objects": lambda path: np.savez(path, x=np.array([{}], object)),
    "a claim of 8 PB": lambda path: claiming(path, "(1000000000000000,)"),
    "no header": lambda path: claiming(path, "(2,"),
    "missing": lambda path: path.unlink(),
    "bomb": lambda path: packed(path, 3 << 30),
}


def claiming(path, shape):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_result_is_refused_in_a_sentence(tmp_path, name):
    records.save(tmp_path / "r", {"x": np.arange(5.0)}, {"a": 1})
    ODD[name](tmp_path / "r.npz")
    with pytest.raises(ValueError, match="is damaged|cannot read the result"):
        records.load(tmp_path / "r")
    records.save(tmp_path / "r", {"x": np.arange(5.0)}, {"a": 1})
    for content in ("", "{", "\xff"):
        (tmp_path / "r.json").write_text(content, encoding="latin-1")
        with pytest.raises(ValueError, match="is damaged"):
            records.load(tmp_path / "r")


def test_json_is_strict():
    text = records.dumps({"a": [np.nan, np.inf, 1 + 2j], "b": np.arange(2)})
    assert json.loads(text) == {"a": ["nan", "inf", [1.0, 2.0]], "b": [0, 1]}


@pytest.mark.parametrize(
    "value, low, high, holds",
    [
        (1, 0, 2, True),
        (1, None, 0.5, False),
        (1, 1, None, False),
        (1, 0, 1, False),
        (1, 1, 1, True),
        (math.nan, None, None, False),
        (3, 0, 2, False),
        (math.inf, 0, None, True),
        (2, 1, 1, False),
    ],
)
def test_check(value, low, high, holds):
    assert Check("c", value, low, high).holds is holds


def test_unwritable_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot write to the folder"):
        records.output_folder(tmp_path / "file" / "below")


@pytest.mark.parametrize(
    "program, said",
    [
        ("/somewhere/bin/pdelab", "pdelab list"),
        ("/somewhere/pdelab/cli/__main__.py", "python -m pdelab.cli list"),
        ("/somewhere/pytest/__main__.py", "python -m pytest list"),
        ("", "python list"),
    ],
)
def test_a_command_is_what_a_reader_would_type(program, said, monkeypatch):
    monkeypatch.setattr("sys.argv", [program, "list"])
    assert records.command() == said
