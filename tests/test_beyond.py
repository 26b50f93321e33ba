"""The page about clusters: its sums are right, and its code runs and gives what one run gives."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import pdelab as pl

FOLDER = Path(__file__).parents[1] / "docs" / "beyond"
BLOCKS = re.findall(r"```python\n(.*?)```", (FOLDER / "page.md").read_text(encoding="utf-8"), flags=re.S)


def test_the_sums_are_done_before_the_reader():
    cost = runpy.run_path(str(FOLDER / "cost.py"))
    each, total, hours = cost["arithmetic"]("a path", 3.6e-5, 10**9, "no more")
    assert each == "a path: 3.6e-05 s of one core each"
    assert total.endswith("1,000,000,000 x 3.6e-05 s = 3.6e+04 core seconds = 10 core hours")
    assert hours.strip() == "/ 128 cores = 0.0781 hours; no more"


def test_the_cost_of_a_path_leaves_out_what_every_run_costs(monkeypatch):
    """A clock that counts what is simulated: 3 for a run, and 2 for each of its paths of 1000 steps."""
    cost = runpy.run_path(str(FOLDER / "cost.py"))
    clock = [0.0]

    def simulate(sde, initial, t, dt, paths, **options):
        assert t == 1000 * dt
        clock[0] += 3 + 2 * paths

    monkeypatch.setattr(pl, "simulate", simulate)
    monkeypatch.setattr("time.process_time", lambda: clock[0])
    assert cost["per_path"](512) == 2.0


def test_shards_of_the_page_are_the_run():
    """The first block and the one of array jobs, at a size for one machine."""
    (first,) = [block for block in BLOCKS if "pl.paths.ensemble" in block and "Client" not in block]
    (job,) = [block for block in BLOCKS if "first_path" in block]
    small = first.replace("100_000", "3000").replace("t=1.0", "t=0.05").replace("workers=2", "workers=1, parts=2")
    names = {}
    exec(small, names)
    shards = []
    for k in range(3):
        exec(job.replace("10**9, 7, 4096", f"3000, {k}, 3").replace("t=1.0", "t=0.05"), names)
        shards.append(names["shard"].final)
    np.testing.assert_array_equal(np.concatenate(shards), names["run"].final)


def test_seeds_of_the_page_are_the_comparison():
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    from pdelab.networks import training

    (block,) = [block for block in BLOCKS if "merged" in block]
    contestants = {"sgd": {"epochs": 1, "model_options": {"hidden": (3,)}}}
    names = {"training": training, "contestants": contestants}
    exec(block.replace("10", "2"), names)
    np.testing.assert_array_equal(names["both"].values, training.compare(contestants, seeds=4).values)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_cluster_of_the_page_gives_what_one_process_gives():
    """The two blocks that name a scheduler, on a cluster of two processes here and at a size for it."""
    distributed = pytest.importorskip("distributed")
    pytest.importorskip("joblib")
    pytest.importorskip("sklearn")
    training = pytest.importorskip("pdelab.networks.training")
    sde = pl.Langevin(pl.Loss("x**4/4 - x**2/2"), beta=4.0)
    names = {"pl": pl, "sde": sde}
    paths, seeds = (block for block in BLOCKS if "tcp://head:8786" in block)
    smaller = {"10**9": "3000", "t=1.0": "t=0.05", "parts=4096": "parts=4", "seeds=1000": "seeds=2"}
    smaller['digits-mlp/{name}")'] = 'digits-mlp/{name}") | QUICK'
    names["QUICK"] = quick = {"epochs": 1, "model_options": {"hidden": (3,)}}
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "processes": True}
    with distributed.LocalCluster(**options) as cluster:
        smaller["tcp://head:8786"] = cluster.scheduler_address
        for block in (paths, seeds):
            for large, small in smaller.items():
                block = block.replace(large, small)
            exec(block, names)
    run = pl.simulate(sde, 1.0, t=0.05, dt=0.001, paths=3000, seed=1, store=False)
    assert names["run"].info["parts"] == 4
    np.testing.assert_array_equal(names["run"].final, run.final)
    np.testing.assert_array_equal([names["run"].mean, names["run"].variance], [run.mean, run.variance])
    runs = {name: training.recipe(f"digits-mlp/{name}") | quick for name in names["contestants"]}
    table = next(value for value in names.values() if isinstance(value, training.Comparison))
    np.testing.assert_array_equal(table.values, training.compare(runs, seeds=2, threads=1).values)
