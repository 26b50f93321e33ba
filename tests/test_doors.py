"""Attacks on what the core reads and writes: each is refused in one sentence, writes nothing and waits for nothing.

Formulas have theirs in test_losses.py, the cache of compiled formulas too, data and checkpoints of networks in
test_training_doors.py, the explorer's server in test_explorer.py.
"""

import json
import os
import warnings
import zipfile

import numpy as np
import pytest

import pdelab as pl
from pdelab import figures, paths, records
from pdelab.claims import errata
from pdelab.cli import main, page
from pdelab.losses import modules
from pdelab.paths import engine

WELL = pl.Langevin(pl.Loss("(x**2 - 1)**2/4"), beta=4.0)


def one_sentence(refusal):
    assert "\n" not in str(refusal.value) and 0 < len(str(refusal.value)) < 600


# Records ------------------------------------------------------------------------------------------------------------


def sparse(path):
    """8 GB that take no room."""
    with open(path, "wb") as file:
        file.truncate(1 << 33)


RECORDS = {
    "NaN": lambda path: path.write_text('{"value": NaN}'),
    "infinity": lambda path: path.write_text("[1, -Infinity]"),
    "a number": lambda path: path.write_text("3"),
    "a text": lambda path: path.write_text('"hello"'),
    "nothing": lambda path: path.write_text(""),
    "not UTF-8": lambda path: path.write_bytes(b'{"a": "\xff"}'),
    "nested": lambda path: path.write_text("[" * 100_000 + "]" * 100_000),
    "long number": lambda path: path.write_text("[" + "9" * 100_000 + "]"),
    "two documents": lambda path: path.write_text("{} {}"),
    "huge": sparse,
    "a pipe": os.mkfifo,
    "a folder": lambda path: path.mkdir(),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path),
}


@pytest.mark.parametrize("name", RECORDS)
def test_an_odd_record_is_refused(tmp_path, name):
    RECORDS[name](tmp_path / "r.json")
    with pytest.raises(ValueError, match="result .*r.json") as refusal:
        records.load_json(tmp_path / "r.json")
    one_sentence(refusal)


@pytest.mark.parametrize("name", ["a pipe", "a folder", "a device", "huge", "a link to itself"])
def test_odd_arrays_are_refused(tmp_path, name):
    RECORDS[name](tmp_path / "r.npz")
    with pytest.raises(ValueError, match="result .*r.npz") as refusal:
        records.load_arrays(tmp_path / "r.npz")
    one_sentence(refusal)


def test_names_in_an_archive_lead_nowhere(tmp_path):
    """An .npz is read, never unpacked: a member called ../../x is an array of that name."""
    (tmp_path / "a").mkdir()
    np.savez(tmp_path / "a" / "plain.npz", x=np.ones(2))
    with zipfile.ZipFile(tmp_path / "a" / "plain.npz") as plain, zipfile.ZipFile(tmp_path / "a" / "r.npz", "w") as odd:
        odd.writestr("../../x.npy", plain.read("x.npy"))
        odd.writestr("/etc/x.npy", plain.read("x.npy"))
    assert set(records.load_arrays(tmp_path / "a" / "r.npz")) == {"../../x", "/etc/x"}
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "plain.npz", "r.npz"]


@pytest.mark.parametrize("content", ["[]", "{}", '{"numbers": 3}', '{"numbers": {}}', '{"numbers": {"a": {}}}'])
def test_a_figure_is_not_drawn_from_a_foreign_record(tmp_path, content):
    stem = tmp_path / figures.stem_of("4.1")
    np.savez(stem.with_suffix(".npz"), x=np.ones(2))
    stem.with_suffix(".json").write_text(content)
    with pytest.raises(ValueError) as refusal:
        figures.redraw("4.1", tmp_path)
    one_sentence(refusal)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".npz"]
    with pytest.raises(ValueError, match="figure_4_1.json") as refusal:
        page.write_gallery(tmp_path)
    one_sentence(refusal)


@pytest.mark.parametrize("content", ["3", "{", '[{"a": 1}]', "{}", "[1]", '[{"id": "E3.10"}]'])
def test_no_errata_from_foreign_evidence(tmp_path, content):
    (tmp_path / "claims.json").write_text(content)
    with pytest.raises(ValueError, match="claims.json") as refusal:
        errata.load(tmp_path / "claims.json")
    one_sentence(refusal)


def test_a_record_puts_no_script_on_the_page(tmp_path):
    script = "<script>alert(1)</script>"
    check = {"name": script, "value": script, "low": script, "high": script, "holds": True}
    record = {"title": script, "caption": script, "command": script, "checks": [check]}
    (tmp_path / "figure_4_1.json").write_text(json.dumps(record))
    claim = {
        "id": script,
        "holds": True,
        "as_printed": script,
        "source": script,
        "statement": script,
        "skipped": script,
    }
    text = page.index(tmp_path, [claim], {script: script}).read_text()
    assert "alert(1)" in text and "<script" not in text


# Checkpoints of paths -----------------------------------------------------------------------------------------------


def run(file, **changes):
    return paths.simulate(WELL, 0.4, 1.0, 0.05, checkpoint=file, **{"paths": 7, "seed": 1} | changes)


@pytest.fixture
def held(tmp_path, monkeypatch):
    """A checkpoint that is half-way."""
    monkeypatch.setattr(engine, "SECONDS_PER_CHUNK", 1e-9)
    monkeypatch.setattr(engine, "STEPS_AT_FIRST", 1)

    def stop(done, total):
        if done > 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run.npz", progress=stop)
    return tmp_path / "run.npz"


@pytest.mark.parametrize("name", ["nothing", "not UTF-8", "a pipe", "a folder", "a device", "huge"])
def test_an_odd_checkpoint_of_paths_is_refused(tmp_path, name):
    RECORDS[name](tmp_path / "run.npz")
    with pytest.raises(ValueError, match="run.npz") as refusal:
        run(tmp_path / "run.npz")
    one_sentence(refusal)


@pytest.mark.parametrize(
    "change",
    [
        {"done": 10**9},
        {"done": -1},
        {"done": 0.5},
        {"done": np.arange(3)},
        {"done": "all"},
        {"x": 0.0},
        {"x": np.zeros((1, 6))},
        {"x": np.zeros((1, 7), np.float32)},
        {"x": np.array([["a"] * 7])},
        {"saved": 0.0},
        {"saved": np.zeros((400, 1, 7))},
        {"moments": np.zeros((1, 2, 1))},
        {"print": "another"},
        {"x": None},
        {"done": None},
        {"saved": None},
        {"print": None},
    ],
)
def test_a_foreign_checkpoint_of_paths_is_refused(held, change):
    arrays = records.load_arrays(held)
    assert 8 < arrays["done"] < 20
    arrays = {name: value for name, value in (arrays | change).items() if value is not None}
    np.savez(held, **arrays)
    with pytest.raises(ValueError, match="checkpoint: .*run.npz") as refusal:
        run(held)
    one_sentence(refusal)


def test_a_checkpoint_of_paths_is_not_written_through_links(tmp_path):
    (tmp_path / "precious").write_text("mine")
    for name in ("run.npz.new", "run.new", ".run-.npz"):
        (tmp_path / name).symlink_to(tmp_path / "precious")
    run(tmp_path / "run.npz")
    assert (tmp_path / "precious").read_text() == "mine" and not (tmp_path / "run.npz").is_symlink()


# Names and folders ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../4.1", "/etc/passwd", "4.1/../4.1", "figure_4_1", "4.1\0", "", "__init__", "pdelab.figures.races", "*"]
)
def test_names_of_figures_and_claims_are_names(name, tmp_path, capsys):
    for verb in ("figure", "verify", "bench"):
        assert main([verb, name, *(["--out", str(tmp_path)] if verb == "figure" else [])]) == 2
    with pytest.raises(ValueError, match="unknown figure"):
        figures.redraw(name, tmp_path)
    said = capsys.readouterr()
    assert not said.out and said.err.count("pdelab: unknown") == 3 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("out", ["/proc/none/x", "/dev/null/x", "x" * 300 + "/x", "{tmp}/file/x"])
def test_an_output_that_cannot_be_is_refused_before_the_work(tmp_path, out, capsys):
    (tmp_path / "file").write_text("")
    out = out.format(tmp=tmp_path)
    assert main(["solve", "x**2", "--beta", "1", "--nodes", "9", "--out", out]) == 2
    assert main(["figure", "4.1", "--out", out]) == 2
    assert capsys.readouterr().err.count("pdelab: ") == 2


def test_results_replace_links_and_do_not_follow_them(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "r.json").symlink_to(tmp_path / "precious")
    (tmp_path / "r.npz").symlink_to(tmp_path / "precious")
    records.save(tmp_path / "r", {"x": np.ones(2)}, {"a": 1})
    assert (tmp_path / "precious").read_text() == "mine"
    assert records.load(tmp_path / "r")[1] == {"a": 1}


@pytest.mark.parametrize("name", ["PDELAB_CACHE", "XDG_CACHE_HOME"])
def test_a_cache_in_the_folder_where_one_stands_is_not_used(tmp_path, monkeypatch, name):
    """Whoever may write there could plant a module."""
    monkeypatch.delenv("PDELAB_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv(name, "planted")
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        modules.compiled_module(f"NAME = {name!r}\n")
    assert not (tmp_path / "planted").exists()
