"""`pdelab train` and `pdelab spectrum`: what they print, and what they refuse in one sentence with status 2."""

import json
import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from pdelab.cli import main  # noqa: E402
from pdelab.networks import training  # noqa: E402

SMALL = ["--epochs", "2", "--data-set", "train=100", "validation=30", "--model-set", "hidden=(6,)"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)


def printed(arguments, capsys):
    assert main(["train", *SMALL, *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_command_is_the_function(capsys):
    runs = printed(
        ["--seed", "4", "--optimizer-set", "lr=0.05", "--batch-size", "20", "--drops", "0.5", "--clip", "3"], capsys
    )
    options = {"train": 100, "validation": 30}
    same = training.train(
        epochs=2, seed=4, batch_size=20, drops=(0.5,), clip=3.0, optimizer_options={"lr": 0.05},
        data_options=options, model_options={"hidden": (6,)},
    )  # fmt: skip
    assert runs == [{"name": "sgd", "seed": 4, "final": same.final}]


def test_settings_are_literals_and_the_words_of_the_shell(capsys):
    printed(["--optimizer", "parle", "--optimizer-set", "rho=inf", "inner_steps=2", "--out", "run"], capsys)
    start = json.loads(Path("run/log.jsonl").read_text().splitlines()[0])["config"]
    assert start["optimizer_options"]["rho"] == "inf"
    printed(["--optimizer-set", "nesterov=false", "momentum=0", "--out", "plain"], capsys)
    start = json.loads(Path("plain/log.jsonl").read_text().splitlines()[0])["config"]
    assert start["optimizer_options"]["nesterov"] is False


def test_of_several_ranks_the_first_speaks(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")  # no WORLD_SIZE: nothing to join
    assert main(["train", *SMALL]) == 0
    assert capsys.readouterr() == ("", "")


def test_several_seeds_give_a_mean(capsys):
    assert main(["train", *SMALL, "--seed", "0", "1", "2", "--out", "runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:7] for line in lines[:3]] == ["seed 0:", "seed 1:", "seed 2:"]
    assert "sgd" in lines[-1] and "±" in lines[-1]
    assert sorted(os.listdir("runs")) == ["seed_0", "seed_1", "seed_2"]


def test_several_optimizers_and_seeds_are_compared_in_pairs(capsys):
    arguments = ["--optimizer", "sgd", "adam", "--seed", "3", "5", "8", "--out", "runs"]
    report = printed(arguments, capsys)
    errors = {
        name: [run["final"]["test"]["error"] for run in report["runs"] if run["name"] == name]
        for name in ("sgd", "adam")
    }
    expected = training.paired([b - a for a, b in zip(errors["sgd"], errors["adam"])])
    assert report["comparison"][1].items() >= expected.items()
    assert sorted(os.listdir("runs/adam")) == ["seed_3", "seed_5", "seed_8"]
    assert main(["train", *SMALL, *arguments, "--resume"]) == 0  # everything is there already
    assert f"{expected['difference']:+.3f} [{expected['low']:+.3f}" in capsys.readouterr().out


def test_a_recipe_and_what_changes_it(capsys):
    assert main(["train", "--recipe", "digits-mlp/entropy-sgd", "--epochs", "1", "--optimizer-set", "inner_steps=3",
                 "--out", "run", "--seed", "1"]) == 0  # fmt: skip
    config = json.loads(Path("run/log.jsonl").read_text().splitlines()[0])["config"]
    expected = training.recipe("digits-mlp/entropy-sgd")["optimizer_options"] | {"inner_steps": 3, "seed": 1}
    assert config["optimizer"] == "entropy-sgd" and config["optimizer_options"].items() >= expected.items()
    assert config["epochs"] == 1 and config["drop_factor"] == 0.2
    assert main(["list", "recipes"]) == 0
    assert "digits-mlp/entropy-sgd" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change, words",
    [
        (["--drops", "1.5"], "drops"),
        (["--drops", "inf"], "drops"),
        (["--optimizer", "magic"], "optimizer: expected one of"),
        (["--optimizer", "sgd", "sgd", "--seed", "0", "1"], "twice"),
        (["--seed", "1", "1"], "twice"),
        (["--optimizer", "sgd", "adam"], "two different seeds"),
        (["--recipe", "digits-mlp/magic"], "recipe: expected one of"),
        (["--recipe", "digits-mlp/sgd", "--optimizer", "sgd"], "either --recipe or --optimizer"),
        (["--device", "meta"], "got 'meta'"),
        (["--optimizer-set", "lr"], "expected key=value"),
        (["--optimizer-set", "lr=fast"], "lr=fast"),
        (["--model-set", "hidden=6"], "hidden: expected a sequence"),
        (["--data-set", "augment=perhaps"], "augment: expected True or False"),
        (["--checkpoint-seconds", "-1"], "checkpoint_seconds"),
    ],
)
def test_refusals_of_train(change, words, capsys):
    assert main(["train", *SMALL, *change, "--out", "run"]) == 2
    out, err = capsys.readouterr()
    assert words in err and "Traceback" not in err and out == "" and not os.path.exists("run")


@pytest.mark.parametrize(
    "change, words",
    [
        (["--device", "meta"], "got 'meta'"),
        (["--of", "colour"], "of: expected one of"),
        (["--count", "0"], "count"),
        (["--count", "99999"], "count"),
        (["--samples", "0"], "sample"),
        (["--split", "exam"], "split: expected one of"),
    ],
)
def test_refusals_of_spectrum(change, words, capsys):
    training.train(epochs=1, out="run", model_options={"hidden": (3,)}, data_options={"train": 100})
    assert main(["spectrum", "run", *change, "--out", "found"]) == 2
    out, err = capsys.readouterr()
    assert words in err and "Traceback" not in err and out == "" and not list(Path().glob("found*"))
