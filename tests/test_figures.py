"""Every figure: found, computed in its quick form, each check holds, drawn and written with its record."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pdelab import claims, figures, records
from pdelab.cli import main, page
from pdelab.cli import workers as cli_workers

ALL = figures.gallery()
FOLDER = Path(figures.__file__).parents[2] / "figures"
QUICK = {name: module for name, module in ALL.items() if not hasattr(module, "NEEDS")}


def test_there_are_figures():
    assert {"3.2", "4.1", "4.1-literal"} <= set(ALL)


@pytest.mark.parametrize("name", sorted(ALL))
def test_module_keeps_the_protocol(name):
    module = ALL[name]
    assert module.__doc__ and module.TITLE and not module.TITLE.endswith(".")
    assert module.CHECKS, "a figure without a checked number is a drawing"
    assert set(module.QUICK) <= set(module.PARAMETERS)
    for quick in (False, True):
        for low, high in figures.bands(module, quick=quick).values():
            assert (low, high) != (None, None)


COMMITTED = [name for name in sorted(ALL) if (FOLDER / f"{figures.stem_of(name)}.json").is_file()]


def test_most_figures_are_committed():
    assert len(COMMITTED) >= 48


@pytest.mark.parametrize("name", COMMITTED)
def test_committed_record_is_of_a_full_run_and_says_todays_words(name):
    """`pdelab reproduce --networks --redraw` refreshes words and pictures, `pdelab figure` the numbers."""
    if hasattr(ALL[name], "NEEDS"):
        pytest.importorskip("torch")
    record = json.loads((FOLDER / f"{figures.stem_of(name)}.json").read_text(encoding="utf-8"))
    today = json.loads(records.dumps(figures.stored(name, FOLDER).record))
    full = record["parameters"] == json.loads(records.dumps(ALL[name].PARAMETERS))
    assert full, "not the parameters of a full run"
    assert "--quick" not in record["command"] and " /" not in record["command"], "typed again anywhere"
    for key in figures.WORDS:
        assert record[key] == today[key], key
    assert [check["name"] for check in record["checks"] if not check["holds"]] == []


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


@pytest.mark.parametrize("quick", [[], ["--quick"]])
def test_redrawing_computes_nothing_and_keeps_the_record(quick, monkeypatch, tmp_path):
    """The same picture, numbers and run from what is stored; the bands are those of the form that ran."""
    module = planted()
    module.PARAMETERS, module.QUICK, module.QUICK_CHECKS = {"n": 2}, {"n": 1}, {"one": (0.0, 1.5)}
    module.compute = lambda n: {"one": float(n), "array": np.zeros(2)}
    module.CHECKS = {"one": (1.5, 2.5)}
    monkeypatch.setattr(figures, "gallery", lambda: {"planted": module})
    assert main(["figure", "planted", "--out", str(tmp_path), *quick]) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    del module.compute
    (tmp_path / "planted.png").unlink()
    assert main(["figure", "planted", "--redraw", "--out", str(tmp_path)]) == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert main(["figure", "planted", "--redraw", "--set", "n=3", "--out", str(tmp_path)]) == 2


def test_checks_of_changed_parameters_are_information(tmp_path, capsys):
    """With a temperature above the barriers, SGD leaves its minimum: said, not failed, and the title claims nothing."""
    command = ["figure", "4.1", "--quick", "--set", "D=0.25", "gamma=1.0", "--out", str(tmp_path)]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert re.search(r"info sgd_mass_in_start_basin .* outside", said) and "FAIL" not in said
    module = ALL["4.1"]
    chosen = figures.parameters(module, quick=True, changes=["D=0.25", "gamma=1.0"])
    assert chosen["T"] == 1.0
    assert figures.message(module, chosen) == "Figure 4.1 with T = 1 (was 2), D = 0.25 (was 0.02)"
    for quick in (False, True):
        assert figures.message(module, figures.parameters(module, quick=quick)) == module.TITLE


def test_the_corner_holds_the_letters_apart():
    module = ALL["4.1"]
    corner = figures.corner(figures.parameters(module, changes=["nu=0.125", "D=0.1"]))
    assert corner.startswith("β = 4 · ν = 0.125 · D = 0.1 · γ = T = 2 · n = 1201")


def test_help_lists_parameters_with_defaults_ranges_and_aliases(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["figure", "4.1", "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    for words in (r"beta +2 +a number > 0; also nu = 1/\(2 beta\)", r"T +2 +a number > 0; also gamma",
                  r"n +1201, --quick 601 +a whole number >= 1",
                  r"for example: pdelab figure 4.1 --quick --set beta=4.0$"):  # fmt: skip
        assert re.search(words, said, re.M), words


@pytest.mark.parametrize("name", ALL)
def test_the_example_of_the_help_is_allowed(name):
    module = ALL[name]
    key, _, text = figures.example(module).partition("=")
    chosen = figures.parameters(module, quick=True, changes=[f"{key}={text}"])
    assert str(chosen[key]) == text


@pytest.mark.parametrize("change", ["beta=-1.0", "n=0", "nu=0.0", "half_width=nan"])
def test_values_outside_their_range_are_refused(change):
    with pytest.raises((ValueError), match="expected"):
        figures.parameters(ALL["4.1"], changes=[change])


def planted(value=1.0, band=(0.0, 2.0)):
    """A figure module with one number and its band."""

    def draw(data):
        from pdelab.plotting import subplots

        return subplots()[0]

    return SimpleNamespace(
        __doc__="A planted figure.", NAME="planted", TITLE="one", PARAMETERS={}, QUICK={}, CHECKS={"one": band},
        compute=lambda: {"one": value, "array": np.zeros(2)}, draw=draw,
    )  # fmt: skip


@pytest.mark.parametrize(
    "module, claim, options, status",
    [
        (planted(), lambda quick=False, x=1.0: claims.equal(1.0, x, 0.1), [], 0),
        (planted(), lambda quick=False, x=1.0: claims.equal(1.0, x, 0.1), ["--quick"], 0),
        (planted(band=(2.0, 3.0)), lambda quick=False, x=1.0: claims.equal(1.0, x, 0.1), [], 1),
        (planted(band=(2.0, 3.0)), lambda quick=False, x=1.0: claims.equal(1.0, x, 0.1), ["--quick"], 1),
        (planted(), lambda quick=False, x=1.0: claims.equal(2.0, x, 0.1), [], 1),
        (planted(), lambda quick=False, x=1.0: claims.equal(1.0, 1.0, 0.1), [], 1),  # its wrong version is accepted
    ],
)
def test_reproduce_is_as_red_as_its_worst_check(module, claim, options, status, monkeypatch, tmp_path):
    row = claims.Claim("P1", "s", "t", "new", claim, ("p",), ({"x": 3.0},), tolerance="none")
    monkeypatch.setattr(figures, "gallery", lambda: {"planted": module})
    monkeypatch.setattr(claims, "find", lambda ids: [row])
    assert main(["reproduce", "--jobs", "1", "--out", str(tmp_path / "figures"), *options]) == status
    assert (tmp_path / "figures" / "planted.png").exists()
    (record,) = json.loads((tmp_path / "figures" / "claims.json").read_text())
    page = (tmp_path / "figures" / "index.html").read_text(encoding="utf-8")
    assert 'src="planted.png"' in page and "A planted figure." in page and ">P1<" in page
    assert ("FAIL" in page) == (module.CHECKS["one"] != (0.0, 2.0)) or "FAILS" in page
    assert "http" not in page
    assert ("rejected" in record) is not bool(options)
    if options == [] and module.CHECKS["one"] == (0.0, 2.0):
        assert main(["reproduce", "--jobs", "1", "--redraw", "--out", str(tmp_path / "figures")]) == status


@pytest.mark.parametrize("bands, status", [(((0, 2), (0, 2)), 0), (((0, 2), (2, 3)), 1), (((2, 3), (0, 2)), 1)])
def test_one_check_of_several_makes_a_figure_fail(bands, status, monkeypatch, tmp_path):
    """`pdelab figure` ends with 1, whichever of two checks it is, in the full and in the quick form."""
    module = planted()
    module.CHECKS, module.compute = dict(zip(("one", "two"), bands)), lambda: {"one": 1.0, "two": 1.0}
    monkeypatch.setattr(figures, "gallery", lambda: {"planted": module})
    assert figures.compute("planted").holds == (status == 0)
    for options in ([], ["--quick"]):
        assert main(["figure", "planted", "--out", str(tmp_path), *options]) == status


@pytest.mark.parametrize(
    "expected, wrong, status, perturbed", [(1.0, 3.0, 0, 0), (2.0, 3.0, 1, 0), (1.0, 1.05, 0, 1), (2.0, 2.0, 1, 1)]
)
def test_verify_is_as_red_as_its_worst_claim(expected, wrong, status, perturbed, monkeypatch, capsys):
    """1 for a claim that fails; with --perturbed, 1 for a wrong version that is accepted."""
    good = claims.Claim(
        "P0", "s", "t", "new", lambda quick=False, x=1.0: claims.equal(1.0, x, 0.1), ("p",), ({"x": 3},)
    )
    row = claims.Claim("P1", "s", "t", "new", lambda quick=False, x=1.0: claims.equal(expected, x, 0.1), ("p",),
                       ({"x": wrong},))  # fmt: skip
    for order in ([good, row], [row, good]):
        monkeypatch.setattr(claims, "find", lambda ids, order=order: [r for r in order if not ids or r.id in ids])
        assert main(["verify"]) == main(["verify", "--json"]) == status
        assert main(["verify", "--perturbed"]) == perturbed
    assert ("ACCEPTED" in capsys.readouterr().out) == bool(perturbed)


def test_a_full_reproduction_refreshes_the_errata_page_beside_its_folder(monkeypatch, tmp_path):
    from pdelab.claims import errata

    row = claims.Claim("P1", "thesis 1", "two is two", "new", lambda quick=False, x=1.0: claims.equal(1.0, x, 0.1),
                       ("two is three",), ({"x": 3.0},), tolerance="none")  # fmt: skip
    monkeypatch.setattr(figures, "gallery", dict)
    monkeypatch.setattr(claims, "find", lambda ids: [row])
    monkeypatch.setattr(claims, "ledger", lambda: {"P1": row})
    page = tmp_path / "ERRATA.md"
    page.write_text(errata.HEAD)
    assert main(["reproduce", "--jobs", "1", "--quick", "--out", str(tmp_path / "figures")]) == 0
    assert page.read_text() == errata.HEAD
    assert main(["reproduce", "--jobs", "1", "--out", str(tmp_path / "figures")]) == 0
    assert "measured: 3, must be 1" in page.read_text()


@pytest.mark.parametrize(
    "change, words",
    [("nodes=3", "has no parameter 'nodes'"), ("n", "expected key=value"), ("n=many", "expected a value like")],
)
def test_bad_changes_are_refused(change, words, tmp_path, capsys):
    assert main(["figure", "4.1", "--set", change, "--out", str(tmp_path / "new")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_the_gallery_page_is_written_from_the_records():
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == page.gallery(FOLDER)


def test_processes_leave_the_same_numbers_to_the_last_bit(tmp_path):
    names = ("uniform-beta", "semiconcavity")
    for folder, jobs in ((tmp_path / "one", 1), (tmp_path / "two", 2)):
        folder.mkdir()
        with cli_workers.workers(jobs) as each:
            items = [(name, folder, True, False, None) for name in names]
            assert {name: bad for (name, *_), (bad, *_) in each(cli_workers.draw_figure, items)} == {
                n: [] for n in names
            }
            ((_, (verdict, record)),) = each(cli_workers.decide_claim, [("E3.10", True, False)])
        assert record["holds"]
        (folder / "claim.json").write_text(records.dumps([piece.measured for piece in verdict.evidence]))
    for stem in map(figures.stem_of, names):
        assert (tmp_path / "one" / f"{stem}.png").read_bytes() == (tmp_path / "two" / f"{stem}.png").read_bytes()
        one, two = (records.load(tmp_path / folder / stem)[0] for folder in ("one", "two"))
        assert one.keys() == two.keys() and all(np.array_equal(one[key], two[key], equal_nan=True) for key in one)
    assert (tmp_path / "one" / "claim.json").read_text() == (tmp_path / "two" / "claim.json").read_text()
