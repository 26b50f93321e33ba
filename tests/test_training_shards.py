"""Runs spread over seeds, folds, processes and machines: the same numbers to the last bit, however they are spread."""

import dataclasses
import os
import signal

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")
joblib = pytest.importorskip("joblib")

from networks_device import DEVICE  # noqa: E402

from pdelab.networks import curvature, data, training  # noqa: E402

RUNS = {"sgd": {}, "sgld": {"optimizer": "sgld", "optimizer_options": {"temperature": 1e-6, "lr": 0.05}}}
COMMON = {"epochs": 2, "model_options": {"hidden": (4,)}, "threads": 1, "device": str(DEVICE)}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def whole():
    torch.set_num_threads(1)
    return training.compare(RUNS, seeds=(0, 1, 2, 3, 4), **COMMON)


def same(one, other):
    assert one.seeds == other.seeds and one.finals == other.finals and one.rows() == other.rows()
    assert one.values.tobytes() == other.values.tobytes()
    for field in ("curves", "losses", "gradients"):
        for name in one.names:
            assert getattr(one, field)[name].tobytes() == getattr(other, field)[name].tobytes()


def faster(part):
    """A shard of runs with another rate, which its numbers do not show."""
    runs = {name: run | {"optimizer_options": {"lr": 1.0}} for name, run in part.settings.items()}
    return dataclasses.replace(part, settings=runs)


def test_shards_of_seeds_are_the_whole(whole):
    shards = [training.compare(RUNS, seeds=seeds, **COMMON) for seeds in ((4, 1), (2, 0, 3))]
    same(training.merged(*shards), whole)
    same(training.merged(whole), whole)
    for parts, words in (
        ((), "at least one"),
        ((shards[0], shards[0]), "different seeds"),
        ((shards[0], training.compare(RUNS, seeds=(7, 8), metric="loss", **COMMON)), "got metric 'error' and 'loss'"),
        ((shards[0], faster(shards[1])), "got optimizer_options .*'lr': 1.0.* of "),
    ):
        with pytest.raises(ValueError, match=words):
            training.merged(*parts)


def test_shards_that_left_their_runs_in_a_folder_are_collected(whole, tmp_path):
    """Single runs made anywhere, in the folders that `compare` looks into."""
    settings = {key: value for key, value in COMMON.items() if key != "threads"}
    for seed in (3, 0):
        for name, run in RUNS.items():
            training.train(seed=seed, out=tmp_path / name / f"seed_{seed}", **settings, **run)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("model.pt")}
    same(training.compare(RUNS, seeds=(0, 1, 2, 3, 4), out=tmp_path, resume=True, **COMMON), whole)
    assert len(files) == 4


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing", "sequential"])
def test_any_backend_of_joblib_gives_the_same(whole, backend):
    if backend == "multiprocessing" and DEVICE.type != "cpu":
        pytest.skip("a process that has used an accelerator cannot be forked")
    with joblib.parallel_config(backend, n_jobs=2):
        same(training.compare(RUNS, seeds=(0, 1, 2, 3, 4), jobs=None, **COMMON), whole)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_cluster_gives_the_same_though_it_loses_a_worker(whole):
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "processes": True}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster):
        killed = []

        def lose(done, total):
            if not killed:
                killed.append(next(iter(cluster.workers.values())).pid)
                os.kill(killed[0], signal.SIGKILL)

        with joblib.parallel_config("dask"):
            comparison = training.compare(RUNS, seeds=(0, 1, 2, 3, 4), jobs=None, progress=lose, **COMMON)
    same(comparison, whole)
    assert killed


def test_folds_count_every_image_once(tmp_path):
    run = {"model_options": {"hidden": (4,)}, "epochs": 2}
    table = training.compare({"sgd": {}}, seeds=(0, 5), folds=3, out=tmp_path, threads=1, **run)
    for column, seed in enumerate((0, 5)):
        wrong = 0
        for fold in range(3):
            result = training.train(seed=seed, data_options={"folds": 3, "fold": fold}, **run)
            wrong += round(result.final["test"]["error"] / 100 * len(result.data.test))
            model, digits, _ = training.load_run(tmp_path / f"seed_{seed}" / f"fold_{fold}")
            assert training.evaluate(model, digits.test) == result.final["test"]
        assert table.values[0, column] == pytest.approx(100 * wrong / 1797, rel=1e-12)
        assert (table.values[0, column] / 100 * 1797) == pytest.approx(round(table.values[0, column] / 100 * 1797))
    assert table.curves["sgd"].shape == (2, 2)
    with pytest.raises(ValueError, match="fold: expected an option of"):
        training.compare({"text": {"data": "topics", "model": "char-lstm"}}, seeds=2, folds=2, epochs=1)


def test_progress_is_quiet_unless_asked_for(capsys):
    told = []
    training.train(progress=lambda *now: told.append(now), epochs=3, model_options={"hidden": (4,)})
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    told.clear()
    training.compare({"sgd": {}}, seeds=2, folds=2, progress=lambda *now: told.append(now), **COMMON)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    digits = data.load("digits")
    model = training.train(data=digits, epochs=1, model_options={"hidden": (4,)}).model
    curvature.spectrum(model=model, data=digits, samples=20)
    assert capsys.readouterr() == ("", "")
    training.train(epochs=1, progress=True)
    assert "epochs" in capsys.readouterr().err
    curvature.spectrum(model=model, data=digits, samples=20, progress=True)
    assert "products" in capsys.readouterr().err
    with pytest.raises(ValueError, match="progress"):
        training.train(epochs=1, progress="loud")


@pytest.mark.parametrize("change", [{"jobs": 0}, {"threads": 0}, {"folds": 1}, {"folds": 2.5}])
def test_numbers_out_of_range_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        training.compare({"sgd": {}}, seeds=2, **(COMMON | change))


def test_values_are_finite(whole):
    assert np.isfinite(whole.values).all() and len(set(whole.values.ravel())) > 2


@pytest.mark.parametrize("optimizer", ["sgd", "entropy-sgd", "parle"])
def test_both_branches_train_alike(optimizer):
    """Kernels of the CPU and torch's operations follow one trajectory to rounding."""
    from pdelab.networks.devices import generic

    run = {"epochs": 2, "model_options": {"hidden": (4,)}, "seed": 1}
    results = []
    for on in (False, True):
        with generic(on):
            results.append(training.train(optimizer, **run))
    losses = [[record["train_loss"] for record in result.history] for result in results]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert results[0].final["test"]["error"] == pytest.approx(results[1].final["test"]["error"], abs=0.6)
