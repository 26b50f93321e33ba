"""Training: effective epochs, exact resume, atomic files, clear refusals, honest controls."""

import copy
import dataclasses
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from networks_device import DEVICE, runs_there  # noqa: E402, F401
from scipy import stats  # noqa: E402

from pdelab.networks import Exponential, averages, checkpoints, data, models, training  # noqa: E402

QUICK = {"epochs": 3, "optimizer_options": {"lr": 0.05}, "model_options": {"hidden": (16,)}}

pytestmark = pytest.mark.usefixtures("one_thread")


def weights(result):
    return {name: value.clone() for name, value in result.model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name].cpu(), other[name].cpu()) for name in one)


class Killed(Exception):
    pass


class Countdown:
    """An optimizer's step that raises at a given call: a run that dies at a known place."""

    def __init__(self, monkeypatch, kind, calls):
        self.left, plain = calls, kind.step

        def step(optimizer, closure=None):
            self.left -= 1
            if self.left < 0:
                raise Killed
            return plain(optimizer, closure)

        monkeypatch.setattr(kind, "step", step)


# What a run is ------------------------------------------------------------------------------------------------------


def test_digits_are_learned_and_counted():
    seen = []
    result = training.train("sgd", "mlp", "digits", epochs=12, optimizer_options={"lr": 0.05}, on_epoch=seen.append)
    assert result.final["test"]["error"] < 8.0 and result.final["train"]["error"] < 3.0
    assert [record["gradients"] for record in result.history] == [16 * (i + 1) for i in range(12)]
    assert result.history[-1]["effective_epochs"] == pytest.approx(12 * 16 * 64 / 1078)
    assert seen == [dict(record) for record in result.history]
    assert result.final["validation"]["error"] == result.history[-1]["validation_error"]
    assert not result.model.training and result.folder is None


def test_the_loop_is_sgd():
    """Three epochs written out by hand give the same weights bit for bit."""
    digits = data.load("digits", seed=4)
    model = models.build("mlp", digits, hidden=(8,))
    ours = training.train(
        "sgd",
        copy.deepcopy(model),
        digits,
        epochs=3,
        seed=4,
        optimizer_options={"lr": 0.1},
        drops=(2,),
        drop_factor=0.5,
    )
    model, train = model.to(DEVICE), digits.train.to(DEVICE)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    for epoch in range(3):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 if epoch < 2 else 0.05
        for x, y in data.batches(train, 64, seed=4, epoch=epoch):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    assert same(weights(ours), model.state_dict())


def test_the_seed_decides_everything_and_nothing_leaks():
    torch.manual_seed(77)
    before = torch.get_rng_state()
    options = QUICK | {"model_options": {"hidden": (16,), "dropout": 0.2}}
    first, second, other = (training.train(seed=seed, **options) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert same(weights(first), weights(second)) and not same(weights(first), weights(other))

    def noisy(record):
        torch.rand(3)

    assert same(weights(first), weights(training.train(seed=1, on_epoch=noisy, **options)))


def test_snapshots_are_the_weights_of_their_epochs():
    result = training.train(snapshots=(1, 3), **QUICK)
    shorter = training.train(**(QUICK | {"epochs": 1}))
    assert set(result.snapshots) == {1, 3}
    assert same(result.snapshots[1], weights(shorter)) and same(result.snapshots[3], weights(result))


def test_language_model_and_stream():
    text = data.load("topics", train=3000, steps=10)
    result = training.train(
        "adam", "char-lstm", text, epochs=3, batch_size=8, model_options={"hidden": 24, "layers": 1}, clip=5.0,
        optimizer_options={"lr": 0.02},
    )  # fmt: skip
    assert result.history[-1]["train_loss"] < 0.9 * np.log(text.classes)
    assert result.final["test"]["loss"] < np.log(text.classes)


def test_replicas_of_sgd_are_refused_and_shares_need_samples():
    with pytest.raises(ValueError, match="replicas: expected 1 for the optimizer 'sgd', got 3"):
        training.train("sgd", replicas=3, **QUICK)


def test_precision_and_replacement_change_the_run():
    plain = training.train(**QUICK)
    assert not same(weights(plain), weights(training.train(precision="bfloat16", **QUICK)))
    assert not same(weights(plain), weights(training.train(replacement=True, **QUICK)))
    assert same(weights(plain), weights(training.train(deterministic=True, **QUICK)))


# Files and resuming -------------------------------------------------------------------------------------------------


def test_the_folder_of_a_run(tmp_path):
    result = training.train(out=tmp_path / "run", data_options={"seed": 5}, **QUICK)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["start", "epoch", "epoch", "epoch"]
    assert lines[0]["config"]["data_options"] == {"seed": 5} and lines[-1]["epoch"] == 3
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert record["final"] == result.final and record["versions"]["torch"] == torch.__version__
    model, digits, config = training.load_run(tmp_path / "run")
    assert same(weights(result), model.state_dict()) and config == result.config
    assert training.evaluate(model.to(DEVICE), digits.test.to(DEVICE)) == result.final["test"]
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        ".lock",
        "checkpoint.pt",
        "log.jsonl",
        "model.pt",
        "result.json",
    ]


EVERY = {
    "sgd": {"lr": 0.01},
    "adam": {"lr": 0.003},
    "swa": {"lr": 0.01, "start": 20, "every": 3},
    "lookahead": {"lr": 0.01},
    "sgld": {"lr": 0.01, "temperature": 1e-4},
    "entropy-sgd": {"inner_steps": 5, "temperature": 1e-4},
    "entropy-adam": {"inner_steps": 5, "temperature": 1e-4},
    "hj": {},
    "heat": {"lr": 0.02, "inner_steps": 5, "gamma": 1e-3},
    "elastic-sgd": {"lr": 0.02},
    "parle": {"inner_steps": 5, "temperature": 1e-4},
    "local-sgd": {"lr": 0.02, "period": 5},
    "diloco": {"lr": 0.02, "period": 5},
    "trivialized-sgd": {"lr": 0.02, "coupling": 1e-2},
    "trivialized-adam": {"coupling": 1e-2},
}


def test_every_optimizer_is_listed():
    assert set(EVERY) == set(training.OPTIMIZERS)


def small_run(optimizer):
    """48 gradients with dropout, batch norm, augmentation and a schedule."""
    return {
        "model": "digits-lenet",
        "model_options": {"channels": (3, 4), "hidden": 8, "dropout": (0.2, 0.2)},
        "data_options": {"augment": True, "train": 320, "validation": 60},
        "batch_size": 20,
        "epochs": 3,
        "drops": (1, 2),
        "replicas": 2 if optimizer in ("elastic-sgd", "parle", "local-sgd", "diloco") else 1,
        "share": 0.5 if optimizer == "parle" else 1.0,
        "optimizer_options": EVERY[optimizer],
    } | ({"epochs": 6} if optimizer == "parle" else {})


@pytest.mark.parametrize("optimizer", EVERY)
def test_a_run_that_died_continues_bit_for_bit(tmp_path, monkeypatch, optimizer):
    run = small_run(optimizer)
    whole = training.train(optimizer, **run)
    assert not same(weights(whole), weights(training.train(optimizer, **(run | {"seed": 1}))))
    for calls in (0, 7, 20, 47):
        folder = tmp_path / str(calls)
        with monkeypatch.context() as patch:
            Countdown(patch, type(whole.optimizer), calls)
            with pytest.raises(Killed):
                training.train(optimizer, out=folder, checkpoint_seconds=0, **run)
        resumed = training.train(optimizer, out=folder, resume=True, **run)
        assert same(weights(whole), weights(resumed))
        assert [r["train_loss"] for r in whole.history] == [r["train_loss"] for r in resumed.history]
    again = training.train(optimizer, out=folder, resume=True, **run)
    assert same(weights(whole), weights(again)) and again.final == whole.final


def test_a_stream_continues_with_its_state(tmp_path, monkeypatch):
    text = data.load("topics", train=2000, steps=8)
    run = {"data": text, "model": "char-lstm", "model_options": {"hidden": 8}, "batch_size": 4, "epochs": 2}
    whole = training.train("adam", **run)
    with monkeypatch.context() as patch:
        Countdown(patch, torch.optim.Adam, 60)
        with pytest.raises(Killed):
            training.train("adam", out=tmp_path, checkpoint_seconds=0, **run)
    assert same(weights(whole), weights(training.train("adam", out=tmp_path, resume=True, **run)))


NURSERY = """
import os, signal, sys, torch
torch.set_num_threads(1)
from pdelab.networks import training

def counted(holder, name):
    function = getattr(holder, name)
    def dying(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    setattr(holder, name, dying)

for holder, name in ((torch.optim.SGD, "step"), (os, "fsync"), (os, "replace"), (os, "close"), (os, "umask")):
    counted(holder, name)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        left = int(line)
        try:
            training.train("sgd", "digits-lenet", "digits", epochs=16, out=sys.argv[1], resume=True,
                           checkpoint_seconds=0, model_options={"dropout": (0.1, 0.1)},
                           data_options={"augment": True}, drops=(0.5,), optimizer_options={"lr": 0.05})
            os._exit(0)
        finally:
            os._exit(1)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def kill_and_resume(folder, kills, rng):
    """Kill a training process at random events (steps, and the calls that write a file), then let it finish."""
    command, pipes = [sys.executable, "-c", NURSERY, str(folder)], {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    events = [*(int(k) for k in rng.integers(1, 40, kills)), -1]
    with subprocess.Popen(command, bufsize=0, env=os.environ | {"OMP_NUM_THREADS": "1"}, **pipes) as nursery:
        epochs = []
        for event in events:
            nursery.stdin.write(f"{event}\n".encode())
            epochs.append(int(nursery.stdout.readline()))
        nursery.stdin.close()
    return epochs


@pytest.mark.parametrize("kills", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_kill_minus_nine_changes_nothing(tmp_path, rng, kills):
    folder = tmp_path / "run"
    folder.mkdir()
    assert kill_and_resume(folder, kills, rng) == [signal.SIGKILL] * kills + [0]
    model, digits, config = training.load_run(folder)
    config = {key: config[key] for key in ("epochs", "model_options", "data_options", "drops", "optimizer_options")}
    whole = training.train("sgd", "digits-lenet", "digits", device="cpu", **config)
    assert same(weights(whole), model.state_dict())
    assert [path.name for path in folder.glob(".*")] == [".lock"]  # no unfinished temporary file


def test_schedules_and_infinities_are_recorded(tmp_path):
    """γ may be a schedule, also in plain values as the command line has them; ρ may be infinite."""
    scope = {"schedule": "Exponential", "start": 10.0, "rate": 0.01, "low": 1.0, "high": np.inf}
    for gamma in (Exponential(10.0, 0.01, 1.0), scope):
        run = {"epochs": 1, "optimizer_options": {"gamma": gamma, "rho": np.inf, "inner_steps": 4}}
        result = training.train("parle", out=tmp_path / type(gamma).__name__, **run)
        assert result.config["optimizer_options"]["gamma"] == scope
        training.train("parle", out=result.folder, resume=True, **run)
        first = json.loads((result.folder / "log.jsonl").read_text().splitlines()[0])
        assert first["config"]["optimizer_options"]["rho"] == "inf"


def test_numpy_numbers_are_plain_numbers(tmp_path):
    """What np.logspace and friends give is written in plain values, so that the checkpoint can be read again."""
    run = {"epochs": 2, "seed": np.int64(3), "drop_factor": np.float64(0.5), "drops": (np.float64(0.5),)}
    run |= {"clip": np.float32(4), "share": np.float64(1), "model_options": {"hidden": np.array([5, 4])}}
    run |= {"optimizer_options": {"lr": np.float64(0.05)}, "data_options": {"train": np.int64(200)}}
    whole = training.train(out=tmp_path, **run)
    assert same(weights(whole), weights(training.train(out=tmp_path, resume=True, **run)))
    model, _, config = training.load_run(tmp_path)
    assert config["model_options"] == {"hidden": [5, 4]} and type(config["optimizer_options"]["lr"]) is float
    assert same(weights(whole), model.state_dict())


def test_what_a_kill_left_behind_is_removed(tmp_path):
    training.train(out=tmp_path, **QUICK)
    files = sorted(path.name for path in tmp_path.iterdir())
    for name in (".checkpoint-abcdefgh.pt", ".log-abcdefgh.jsonl", ".model-abcdefgh.pt", ".result-abcdefgh.json"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ".mine").write_bytes(b"whole")
    training.train(out=tmp_path, resume=True, **QUICK)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([".mine", *files])


# Comparison ---------------------------------------------------------------------------------------------------------


def test_paired_differences_by_hand():
    d = np.array([0.3, -0.1, 0.4, 0.2])
    interval = training.paired(d, 0.9)
    half = 2.3533634348 * d.std(ddof=1) / 2  # Student's 95 % quantile with 3 degrees of freedom
    assert (interval["difference"], interval["low"], interval["high"]) == pytest.approx((0.2, 0.2 - half, 0.2 + half))
    assert interval["p"] == pytest.approx(stats.ttest_1samp(d, 0).pvalue)
    assert training.paired([0.0, 0.0])["p"] == 1.0 and training.paired([1.0, 1.0])["p"] == 0.0


def test_intervals_cover_at_their_level(rng):
    inside = sum(
        interval["low"] < 0.5 < interval["high"]
        for interval in (training.paired(0.5 + rng.standard_normal(6), 0.8) for _ in range(2000))
    )
    assert abs(inside / 2000 - 0.8) < 4 * np.sqrt(0.8 * 0.2 / 2000)


def test_comparison_pairs_seeds_and_speaks(rng):
    seen = []
    comparison = training.compare(
        {"sgd": {}, "twin": {}, "slow": {"optimizer_options": {"lr": 1e-4}}},
        seeds=(3, 5, 8), epochs=4, metric="loss", margin=0.01, model_options={"hidden": (8,)},
        on_run=lambda *run: seen.append(run[:2]),
    )  # fmt: skip
    assert seen == [(n, s) for s in (3, 5, 8) for n in ("sgd", "twin", "slow")]
    first, twin, slow = comparison.rows()
    assert "low" not in first and twin["difference"] == 0.0 and twin["verdict"] == "the same"
    assert slow["verdict"] == "worse" and slow["low"] > 0
    single = training.train(seed=5, epochs=4, model_options={"hidden": (8,)})
    assert comparison.values[0, 1] == single.final["test"]["loss"]
    assert comparison.curves["sgd"].shape == (3, 4) and comparison.gradients["sgd"].tolist() == [16, 32, 48, 64]
    assert "slow" in comparison.table() and "worse" in comparison.table()
    long = dataclasses.replace(comparison, names=("a name of many letters", "twin", "slow"), baseline="twin")
    assert len({line.index("±") for line in long.table().splitlines()[1:]}) == 1  # columns stand below one another


def test_processes_give_the_same_numbers():
    runs = {"sgd": {}, "adam": {"optimizer": "adam"}}
    one, two = (training.compare(runs, seeds=2, epochs=1, jobs=jobs) for jobs in (1, 2))
    np.testing.assert_array_equal(one.values, two.values)


def test_tuning_tries_the_whole_grid():
    tuned = training.tune({"epochs": 2}, {"lr": (1e-4, 0.1, 1e20), "momentum": (0.5, 0.9)}, seeds=2)
    assert len(tuned) == 6 and tuned[0][1]["lr"] == 0.1
    assert all(score == np.inf for score, point in tuned if point["lr"] == 1e20)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"contestants": {}}, "contestants, seeds: expected one or more"),
        ({"contestants": {"a": {}}, "seeds": 1}, "two different seeds"),
        ({"contestants": {"a": {}}, "baseline": "b"}, "baseline: expected one of"),
        ({"contestants": {"a": {}}, "metric": "beauty"}, "metric: expected one of"),
        ({"contestants": {"a": {}}, "level": 1.5}, "level"),
        ({"contestants": {"a": {}}, "seeds": 2.5}, "seeds: expected a whole number or a sequence"),
        ({"contestants": {"a": {}}, "seeds": (0, 1, 1)}, "different seeds"),
        (
            {"contestants": {"a": {}}, "seeds": 2, "epochs": 1, "data_options": {"train": 1437, "validation": 360}},
            "split: expected one of train, validation, got 'test'",
        ),
    ],
)
def test_comparisons_refuse(arguments, words):
    with pytest.raises(ValueError, match=words):
        training.compare(**arguments)


def test_intervals_need_numbers():
    for values, level, words in [
        ([1.0], 0.95, "differences: expected at least two finite numbers"),
        ([], 0.95, "at least two finite"),
        ([np.nan, 1.0], 0.95, "at least two finite"),
        ([[1.0, 2.0], [3.0, 4.0]], 0.95, "at least two finite"),
        ([1.0, 2.0], 1.0, "level: expected a number in"),
        ([1.0, 2.0], np.nan, "level: expected a number in"),
    ]:
        with pytest.raises(ValueError, match=words):
            training.paired(values, level)


def test_tuning_needs_a_grid_and_validation():
    with pytest.raises(ValueError, match="grid\\['lr'\\]: expected a sequence"):
        training.tune({"epochs": 1}, {"lr": 0.1}, seeds=2)
    with pytest.raises(ValueError, match="split: expected one of train, test, got 'validation'"):
        training.tune({"epochs": 1, "data_options": {"validation": 0}}, {"lr": np.array([0.1])}, seeds=1)


# Recipes ------------------------------------------------------------------------------------------------------------

ALL_RECIPES = [f"{family}/{name}" for family, members in training.RECIPES.items() for name in members]


@pytest.mark.parametrize("name", ALL_RECIPES)
def test_recipes_lie_in_their_grids_and_run(name):
    family, contestant = name.split("/")
    arguments, grid = training.recipe(name), training.RECIPES[family][contestant]["grid"]
    assert grid and all(arguments["optimizer_options"][option] in values for option, values in grid.items())
    result = training.train(**(arguments | {"epochs": 1}))
    assert np.isfinite(result.history[-1]["train_loss"])


def test_recipes_were_not_tuned_on_the_seeds_of_comparisons():
    from pdelab.networks.training.recipes import TUNED_ON

    assert min(TUNED_ON) >= 100  # `compare` takes 0, 1, 2, ...
    with pytest.raises(ValueError, match="recipe: expected one of digits-mlp/sgd"):
        training.recipe("digits-mlp/magic")


# Ranks --------------------------------------------------------------------------------------------------------------

RANK = """
import sys, torch
torch.set_num_threads(1)
from pdelab.networks import Parle, training
out, die = sys.argv[1], int(sys.argv[2])
step, left = Parle.step, [die]
def counted(self, closure=None):
    left[0] -= 1
    if left[0] == 0:
        raise SystemExit("killed here")
    return step(self, closure)
Parle.step = counted
training.train("parle", model_options={"hidden": (8,)}, epochs=4, share=0.5, out=out, resume=True,
               optimizer_options={"inner_steps": 5})
"""


def torchrun(folder, die):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    (folder.parent / "rank.py").write_text(RANK)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run([*command, folder.parent / "rank.py", folder, str(die)], env=environment, capture_output=True)


def test_ranks_are_replicas_and_resume(tmp_path):
    """Two ranks die in the third epoch, continue, and end where two replicas in one process end."""
    folder = tmp_path / "run"
    run = {"model_options": {"hidden": (8,)}, "epochs": 4, "share": 0.5, "optimizer_options": {"inner_steps": 5}}
    stacked = training.train("parle", replicas=2, device="cpu", **run)
    assert torchrun(folder, die=20).returncode != 0  # 8 steps an epoch: in the third one
    assert not (folder / "model.pt").exists()
    finished = torchrun(folder, die=-1)
    assert finished.returncode == 0, finished.stderr.decode()[-2000:]
    model, _, _ = training.load_run(folder)
    assert same(weights(stacked), model.state_dict())
    events = [json.loads(line)["event"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert events == ["start", "epoch", "epoch", "resume", "epoch", "epoch"]


def test_a_run_of_other_ranks_is_refused(tmp_path):
    """Neither continued nor overwritten by one process, nor started again over a model that is there."""
    (tmp_path / "checkpoint-rank1-0.pt").write_bytes(b"another rank's")
    for resume, words in ((False, "holds a run"), (True, "other processes: checkpoint-rank1-0.pt")):
        with pytest.raises(ValueError, match=words):
            training.train(out=tmp_path, resume=resume, **QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-rank1-0.pt"]
    (tmp_path / "checkpoint-rank1-0.pt").rename(tmp_path / "model.pt")
    with pytest.raises(ValueError, match="holds a run"):
        training.train(out=tmp_path, **QUICK)


@pytest.mark.parametrize(
    "everyone, position",
    [
        ([[], []], None),
        ([[(0, 0)], []], None),  # killed while the first checkpoints were written
        ([[(4, 0), (5, 0)], [(5, 0), (6, 0)]], (5, 0)),
        ([[(4, 0), (5, 0)], []], ValueError),
        ([[(4, 0)], [(6, 0)]], ValueError),
    ],
)
def test_ranks_continue_where_all_of_them_were(everyone, position, monkeypatch):
    from pdelab.networks.training.store import Ranks

    def gather(gathered, mine, group):
        gathered[:] = everyone

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    ranks = Ranks(None)
    ranks.group, ranks.count = "two ranks", 2
    if position is ValueError:
        with pytest.raises(ValueError, match="no checkpoint in common"):
            ranks.shared(everyone[0])
    else:
        assert ranks.shared(everyone[0]) == position


# Checkpoints --------------------------------------------------------------------------------------------------------


def test_every_flipped_byte_is_noticed(tmp_path, rng):
    path = tmp_path / "x.pt"
    checkpoints.save(path, {"weights": torch.arange(50.0), "epoch": 3, "nested": [{"a": (1, None, "b")}]})
    good = path.read_bytes()
    loaded = checkpoints.load(path)
    assert torch.equal(loaded["weights"], torch.arange(50.0)) and loaded["nested"] == [{"a": (1, None, "b")}]
    for place in [0, 25, 80, len(good) - 1, *rng.integers(0, len(good), 60)]:
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(ValueError, match="damaged"):
            checkpoints.load(path)
    for length in (0, 10, 90, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:length])
        with pytest.raises(ValueError, match="damaged"):
            checkpoints.load(path)


def test_no_pickle_is_executed(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "trapped"),))

    checkpoints.save(tmp_path / "x.pt", {"trap": Trap()})
    with pytest.raises(ValueError, match="more than tensors and plain values"):
        checkpoints.load(tmp_path / "x.pt")
    assert not (tmp_path / "trapped").exists()


def test_a_failed_save_keeps_the_old_file(tmp_path):
    checkpoints.save(tmp_path / "x.pt", {"epoch": 1})
    with pytest.raises(AttributeError):
        checkpoints.save(tmp_path / "x.pt", {"epoch": lambda: 2})
    assert checkpoints.load(tmp_path / "x.pt") == {"epoch": 1} and len(list(tmp_path.iterdir())) == 1


def test_another_run_is_refused_and_nothing_is_overwritten(tmp_path):
    training.train(out=tmp_path, **QUICK)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for change, words in [
        ({}, "holds a run"),
        ({"resume": True, "seed": 1}, "belongs to another run: its data_options|its seed"),
        ({"resume": True, "batch_size": 32}, "its batch_size is 64, here it is 32"),
        ({"resume": True, "model_options": {"hidden": (17,)}}, "belongs to another run"),
        ({"resume": True, "model": "digits-lenet", "model_options": {}}, "belongs to another run"),
        ({"resume": True, "optimizer_options": {"lr": 0.1}}, "optimizer_options"),
    ]:
        with pytest.raises(ValueError, match=words):
            training.train(**(QUICK | {"out": tmp_path} | change))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_loss_that_is_not_finite_stops_before_anything_is_written(tmp_path, branch):
    with pytest.raises(FloatingPointError, match=r"not finite in epoch 1, batch \d+ of 16"):
        training.train(out=tmp_path, checkpoint_seconds=0, epochs=3, optimizer_options={"lr": 1e20})
    state = checkpoints.load(tmp_path / "checkpoint.pt")
    assert all(torch.isfinite(value).all() for value in state["models"][0].values())


class Breaking(torch.optim.SGD):
    """SGD whose first step leaves weights that are no numbers."""

    def step(self, closure=None):
        super().step(closure)
        with torch.no_grad():
            self.param_groups[0]["params"][0][0, 0] = float("nan")


@pytest.mark.parametrize("samples, batch", [(64, 1), (128, 1)])
def test_weights_that_are_not_finite_are_not_kept(tmp_path, samples, batch, branch):
    """A step breaks the weights after a loss that was still finite."""
    run = {"out": tmp_path, "data_options": {"train": samples}, "optimizer_options": {"lr": 0.1}}
    with pytest.raises(FloatingPointError, match=f"weights are not finite after epoch 1, batch {batch} of"):
        training.train(Breaking, epochs=1, checkpoint_seconds=0, **run)
    state = checkpoints.load(tmp_path / "checkpoint.pt")
    assert tuple(state["position"]) == (0, 0) and not (tmp_path / "model.pt").exists()
    assert all(torch.isfinite(value).all() for value in state["models"][0].values())


@pytest.mark.parametrize(
    "change, words",
    [
        ({"optimizer": "sgdd"}, "optimizer: expected one of sgd"),
        ({"model": "resnet"}, "model: expected one of"),
        ({"data": "imagenet"}, "data: expected one of"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": 2.5}, "epochs"),
        ({"seed": -1}, "seed"),
        ({"batch_size": 5000}, "smaller batch_size"),
        ({"optimizer_options": {"rate": 1.0}}, "optimizer_options: expected those of 'sgd', got"),
        ({"optimizer_options": {"lr": -1.0}}, "learning rate"),
        (
            {"optimizer": "parle", "optimizer_options": {"gamma": {"schedule": "Linear", "start": 1.0}}},
            "the settings start, stop, steps of",
        ),
        (
            {"optimizer": "parle", "optimizer_options": {"rho": {"schedule": "Linear", "start": "a"}}},
            "the settings start, stop, steps of",
        ),
        (
            {
                "optimizer": "parle",
                "optimizer_options": {"rho": {"schedule": "Exponential", "start": "a", "rate": 0.1}},
            },
            "start: expected a number > 0, got 'a'",
        ),
        ({"clip": 0.0}, "clip"),
        ({"drops": (0,)}, "drops"),
        ({"device": "abacus"}, "device: expected one that there is here, as 'cpu', got 'abacus'"),
        ({"device": "meta"}, "got 'meta'"),
        ({"device": "xpu:7"}, "got 'xpu:7'"),
        ({"device": 3.5}, "got 3.5"),
        ({"clip": "much"}, "clip: expected a number > 0"),
        ({"share": np.nan, "optimizer": "parle", "replicas": 2}, "share: expected a number in"),
        ({"replacement": "no"}, "replacement: expected True or False"),
        ({"deterministic": 1}, "deterministic: expected True or False"),
        ({"snapshots": 3}, "snapshots: expected a sequence"),
        ({"snapshots": (9,)}, "snapshots"),
        ({"drops": 0.5}, "drops: expected a sequence"),
        ({"drops": (2.7,)}, "drops"),
        ({"precision": "float8"}, "precision: expected one of"),
        ({"initialisation": "magic"}, "initialisation: expected one of"),
        ({"resume": True}, "give out="),
        ({"model": torch.nn.ReLU()}, "model: expected trainable parameters"),
        ({"model": "char-lstm"}, "data: expected text"),
        ({"checkpoint_seconds": -1.0}, "checkpoint_seconds"),
        ({"share": 0.1, "optimizer": "parle", "replicas": 3}, "share: expected a number in"),
        ({"optimizer": "trivialized-sgd"}, "layers"),
    ],
)
def test_refusals(change, words):
    with pytest.raises(ValueError, match=words):
        training.train(**({"epochs": 1} | change))


def test_cuda_that_is_not_there():
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    for name in ("cuda", "cuda:1"):
        with pytest.raises(ValueError, match=f"device: expected one that there is here, as 'cpu', got '{name}'"):
            training.train(device=name)


# Controls -----------------------------------------------------------------------------------------------------------


def quadratic(kind, steps, **options):
    """Iterates of a control on f(x) = |x|²/2 next to those of plain SGD."""
    x = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64, requires_grad=True)
    optimizer = kind([x], lr=0.1, momentum=0.5, **options)
    path = []
    for _ in range(steps):
        optimizer.zero_grad()
        (x.square().sum() / 2).backward()
        optimizer.step()
        path.append(x.detach().clone())
    return x, optimizer, path


def test_swa_is_the_mean_of_the_iterates():
    x, optimizer, path = quadratic(averages.SWA, 11, start=3, every=2)
    last = x.detach().clone()
    optimizer.eval()
    optimizer.eval()
    torch.testing.assert_close(x.detach(), torch.stack([path[i] for i in (4, 6, 8, 10)]).mean(0), rtol=1e-14, atol=0)
    with pytest.raises(RuntimeError, match="call train"):
        optimizer.step()
    optimizer.train()
    assert torch.equal(x.detach(), last)


@pytest.mark.parametrize("kind, options", [(averages.SWA, {"start": 1, "every": 2}), (averages.Lookahead, {"k": 3})])
@pytest.mark.parametrize("way", ["checkpoint", "copy"])
def test_averages_shown_at_a_checkpoint_stay_averages(kind, options, way):
    """Stored with the average in the model: the run goes on from the weights of SGD, as the one that never stopped."""

    def descend(x, optimizer, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            (x.square().sum() / 2).backward()
            optimizer.step()
        optimizer.eval()

    def beginning():
        x = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64, requires_grad=True)
        return x, kind([x], lr=0.1, momentum=0.5, **options)

    whole = beginning()
    descend(*whole, 11)
    x, optimizer = beginning()
    descend(x, optimizer, 7)
    if way == "copy":
        optimizer = copy.deepcopy(optimizer)
        x = optimizer.param_groups[0]["params"][0]
    else:
        other, again = beginning()
        other.data.copy_(x.data)
        again.load_state_dict(optimizer.state_dict())
        x, optimizer = other, again
    with pytest.raises(RuntimeError, match="call train"):
        optimizer.step()
    optimizer.train()
    descend(x, optimizer, 4)
    assert torch.equal(x, whole[0])


@pytest.mark.parametrize("kind", [averages.SWA, averages.Lookahead])
def test_parameters_that_join_an_average_late_have_one(kind):
    first, second = (torch.ones(2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    optimizer = kind([first], lr=0.1)
    optimizer.add_param_group({"params": [second]})
    for _ in range(5):
        first.grad, second.grad = first.detach().clone(), second.detach().clone()
        optimizer.step()
    optimizer.eval()
    assert torch.equal(first, second) and bool((first < 1).all())


def test_lookahead_moves_the_slow_weights():
    x, optimizer, _ = quadratic(averages.Lookahead, 6, k=3, alpha=0.25)
    y, m = np.array([1.0, -2.0, 3.0]), 0.0
    slow = y.copy()
    for step in range(6):
        m = 0.5 * m + y
        y = y - 0.1 * m
        if step % 3 == 2:
            slow = slow + 0.25 * (y - slow)
            y = slow.copy()
    np.testing.assert_allclose(x.detach().numpy(), y, rtol=1e-14)


@pytest.mark.parametrize(
    "kind, options",
    [
        (averages.SWA, {"start": -1}),
        (averages.SWA, {"every": 0}),
        (averages.Lookahead, {"k": 0}),
        (averages.Lookahead, {"k": True}),
        (averages.Lookahead, {"alpha": "half"}),
        (averages.Lookahead, {"alpha": 0.0}),
    ],
)
def test_controls_refuse(kind, options):
    with pytest.raises(ValueError, match="expected"):
        kind([torch.zeros(2, requires_grad=True)], lr=0.1, **options)


def test_an_effective_epoch_is_a_pass_over_what_a_replica_sees():
    """Two replicas on halves of 1078 images: eight batches of 64 of 539 are one epoch but for the rest."""
    options = {"epochs": 2, "replicas": 2, "share": 0.5, "batch_size": 64, "model_options": {"hidden": (4,)}}
    history = training.train("elastic-sgd", **options).history
    assert [record["effective_epochs"] for record in history] == pytest.approx([512 / 539, 1024 / 539])
    assert [record["gradients"] for record in history] == [8, 16]


def test_batch_norms_of_outer_weights_take_1025_samples():
    """The last of the batches of 1024 would be a single sample, which has no variance."""
    x = torch.randn(1025, 3, generator=torch.Generator().manual_seed(0))
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    optimizer, split = averages.SWA(model.parameters(), lr=0.1), data.Split(x, torch.zeros(1025, dtype=torch.long))
    with training.outer_weights(optimizer, model, split):
        expected = model[0](x).mean(0)
        torch.testing.assert_close(model[1].running_mean, expected.detach(), atol=1e-3, rtol=0)


def test_measuring_leaves_the_mode_of_the_model():
    digits, model = data.load("digits"), torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    for training_mode in (True, False):
        model.train(training_mode)
        sys.modules["pdelab.networks.training.measure"].evaluate(model, digits.test)
        assert model.training is training_mode


@pytest.mark.parametrize(
    "low, high, word",
    [(-0.1, 0.2, "the same"), (-0.3, 0.1, "undecided"), (-0.3, -0.1, "better"), (0.1, 0.3, "worse"),
     (-0.1, 0.3, "undecided"), (-0.3, 0.3, "undecided")],
)  # fmt: skip
def test_the_word_of_an_interval(low, high, word):
    assert sys.modules["pdelab.networks.training.comparison"].verdict(low, high, 0.2) == word


def test_folds_count_by_their_images():
    """One image wrong of one and none of three is a quarter."""
    pooled = sys.modules["pdelab.networks.training.comparison"]._pooled
    history = {name: [0.0] for name in ("train_loss", "validation_loss", "validation_error", "gradients")}
    runs = [{"final": {"test": {"error": e}}, "counts": {"test": n}, **history} for e, n in ((100.0, 1), (0.0, 3))]
    assert pooled(runs)["final"]["test"]["error"] == 25.0
