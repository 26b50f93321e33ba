"""Tuned settings, and what was tried to find them: a recipe is a dict of arguments of `train`, nothing more.

Each family is one problem and one budget in effective epochs; `RECIPES[family][name]` has the contestant's arguments
and its grid. Grids were searched on the validation error (texts: loss) of the seeds in `TUNED_ON`, which no comparison
uses (texts: the first two of them; HEAT and Parle of `mnist-lenet`: the first). The width of a grid moves results more
than the algorithms do, so it is part of the result; `retune` does it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pdelab.networks.checks import choice
from pdelab.networks.training.comparison import tune

__all__ = ["RECIPES", "TUNED_ON", "recipe", "retune"]

TUNED_ON = (100, 101, 102)
_DECAY = {"weight_decay": 1e-4}
_WIDE = {"weight_decay": 5e-4}
_DROPS = {"batch_size": 64, "drops": (0.5, 0.75), "drop_factor": 0.2}
COMMON = {
    "digits-mlp": {"model": "mlp", "data": "digits", "epochs": 100, **_DROPS},
    "digits-lenet": {
        "model": "digits-lenet",
        "data": "digits",
        "data_options": {"train": 300},
        "epochs": 120,
        **_DROPS,
    },
    "digits-wrn": {
        "model": "wrn-28-10",
        "model_options": {"depth": 10, "widen": 1},
        "data": "digits",
        "data_options": {"train": 300},
        "epochs": 100,
        **_DROPS,
    },
    "mnist-fc": {"model": "mnistfc", "model_options": {"hidden": 256}, "data": "mnist-5k", "epochs": 12, **_DROPS},
    "mnist-lenet": {"model": "small-lenet", "data": "mnist-5k", "epochs": 8, **_DROPS},
    "topics-letters": {
        "model": "char-lstm",
        "model_options": {"hidden": 48},
        "data": "topics",
        "data_options": {"train": 40000, "steps": 25},
        "epochs": 20,
        "clip": 5.0,
        **(_DROPS | {"batch_size": 16, "drop_factor": 0.3}),
    },
    "topics-words": {
        "model": "ptb-lstm",
        "model_options": {"hidden": 48, "dropout": 0.2},
        "data": "topics",
        "data_options": {"words": 300, "train": 200000, "steps": 20},
        "epochs": 20,
        "clip": 5.0,
        **(_DROPS | {"batch_size": 16, "drop_factor": 0.3}),
    },
}


COMMON["digits-dropout"] = COMMON["digits-lenet"] | {"model_options": {"dropout": (0.25, 0.25)}}  # as thesis 4.6.2


def _run(optimizer, fixed, best, grid, **more):
    return {"arguments": {"optimizer": optimizer, "optimizer_options": fixed | best, **more}, "grid": grid}


RECIPES = {
    "digits-mlp": {
        "sgd": _run("sgd", _DECAY, {"lr": 0.3}, {"lr": (0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)}),
        "swa": _run(
            "swa",
            _DECAY | {"every": 16},
            {"lr": 0.3, "start": 800},
            {"lr": (0.1, 0.3, 0.5, 0.7, 1.0), "start": (800, 1200)},
        ),
        "lookahead": _run("lookahead", _DECAY, {"lr": 0.3, "k": 20}, {"lr": (0.1, 0.3, 0.5, 0.7, 1.0), "k": (5, 20)}),
        "adam": _run("adam", _DECAY, {"lr": 0.01}, {"lr": (0.001, 0.003, 0.01, 0.03)}),
        "entropy-sgd": _run(
            "entropy-sgd",
            _DECAY | {"inner_steps": 20, "temperature": 1e-8},
            {"lr": 1.0, "inner_lr": 0.3, "gamma": 100.0},
            {"lr": (0.5, 1.0), "inner_lr": (0.1, 0.3, 0.5, 0.7), "gamma": (1.0, 10.0, 100.0)},
        ),
        "hj": _run(
            "hj",
            _DECAY | {"inner_steps": 5},
            {"lr": 1.0, "inner_lr": 0.3, "gamma": 100.0},
            {"lr": (0.5, 1.0), "inner_lr": (0.1, 0.3, 0.5, 0.7), "gamma": (1.0, 10.0, 100.0)},
        ),
        "heat": _run(
            "heat",
            _DECAY | {"inner_steps": 20, "temperature": 1.0},
            {"lr": 0.3, "gamma": 1e-3},
            {"lr": (0.1, 0.3, 1.0), "gamma": (1e-4, 1e-3, 1e-2)},
        ),
        "sgld": _run(
            "sgld",
            _DECAY,
            {"lr": 0.3, "temperature": 1e-8},
            {"lr": (0.1, 0.3, 1.0, 2.0), "temperature": (1e-8, 1e-6, 1e-5)},
        ),
        "elastic-sgd": _run(
            "elastic-sgd", _DECAY, {"lr": 0.3, "rho": 10.0}, {"lr": (0.1, 0.3, 0.5), "rho": (1.0, 10.0)}, replicas=3
        ),
        "parle": _run(
            "parle",
            _DECAY | {"inner_steps": 20, "gamma": 100.0, "elastic": 0.1},
            {"lr": 0.5, "inner_lr": 0.3, "rho": 1.0},
            {"lr": (0.5, 1.0), "inner_lr": (0.1, 0.3, 0.5), "rho": (1.0, 10.0)},
            replicas=3,
        ),
    },
    "digits-lenet": {
        "sgd": _run("sgd", _DECAY, {"lr": 0.03}, {"lr": (0.003, 0.01, 0.03, 0.1, 0.3)}),
        "swa": _run("swa", _DECAY | {"every": 4, "start": 240}, {"lr": 0.03}, {"lr": (0.01, 0.03, 0.1)}),
        "lookahead": _run("lookahead", _DECAY | {"k": 5}, {"lr": 0.1}, {"lr": (0.01, 0.03, 0.1)}),
        "adam": _run("adam", _DECAY, {"lr": 0.01}, {"lr": (0.001, 0.003, 0.01, 0.02, 0.05)}),
        "entropy-sgd": _run(
            "entropy-sgd",
            _DECAY | {"lr": 1.0, "gamma": 100.0, "temperature": 1e-8},
            {"inner_steps": 20, "inner_lr": 0.1},
            {"inner_steps": (5, 20), "inner_lr": (0.03, 0.1, 0.3)},
        ),
        "hj": _run(
            "hj",
            _DECAY | {"lr": 1.0, "gamma": 100.0, "inner_steps": 5},
            {"inner_lr": 0.1},
            {"inner_lr": (0.03, 0.1, 0.3)},
        ),
        "heat": _run(
            "heat",
            _DECAY | {"inner_steps": 20, "temperature": 1.0},
            {"lr": 0.1, "gamma": 1e-3},
            {"lr": (0.03, 0.1, 0.3), "gamma": (1e-5, 1e-4, 1e-3)},
        ),
        "elastic-sgd": _run(
            "elastic-sgd", _DECAY, {"lr": 0.1, "rho": 10.0}, {"lr": (0.03, 0.1), "rho": (1.0, 10.0)}, replicas=3
        ),
        "parle": _run(
            "parle",
            _DECAY | {"inner_steps": 5, "gamma": 100.0, "rho": 1.0, "elastic": 0.1},
            {"lr": 1.0, "inner_lr": 0.1},
            {"lr": (0.5, 1.0), "inner_lr": (0.1, 0.3)},
            replicas=3,
        ),
    },
    "digits-wrn": {
        "sgd": _run("sgd", _WIDE, {"lr": 0.1}, {"lr": (0.03, 0.1, 0.3, 1.0)}),
        "entropy-sgd": _run(
            "entropy-sgd",
            _WIDE | {"lr": 1.0, "gamma": 100.0, "temperature": 1e-8},
            {"inner_steps": 5, "inner_lr": 0.7},
            {"inner_steps": (5, 20), "inner_lr": (0.03, 0.1, 0.3, 0.7, 1.0)},
        ),
        "elastic-sgd": _run(
            "elastic-sgd", _WIDE, {"lr": 1.0, "rho": 10.0}, {"lr": (0.1, 0.3, 1.0), "rho": (1.0, 10.0)}, replicas=3
        ),
        "parle": _run(
            "parle",
            _WIDE | {"inner_steps": 5, "gamma": 100.0, "rho": 1.0, "elastic": 0.1},
            {"lr": 0.5, "inner_lr": 0.1},
            {"lr": (0.5, 1.0), "inner_lr": (0.03, 0.1, 0.3)},
            replicas=3,
        ),
    },
    "topics-letters": {
        "adam": _run("adam", {}, {"lr": 0.01}, {"lr": (0.003, 0.01, 0.03)}),
        "sgd": _run("sgd", {}, {"lr": 3.0, "momentum": 0.9}, {"lr": (0.3, 1.0, 3.0), "momentum": (0.5, 0.9)}),
        "entropy-adam": _run(
            "entropy-adam",
            {"inner_steps": 5, "gamma": 100.0, "betas": (0.5, 0.999), "inner_momentum": 0.5},
            {"lr": 0.03, "inner_lr": 3.0},
            {"lr": (0.01, 0.03), "inner_lr": (0.1, 1.0, 3.0)},
        ),
    },
    "topics-words": {
        "sgd": _run("sgd", {"momentum": 0.0, "nesterov": False}, {"lr": 3.0}, {"lr": (0.3, 1.0, 3.0, 10.0, 20.0)}),
        "entropy-sgd": _run(
            "entropy-sgd",
            {"inner_steps": 5, "gamma": 1000.0, "lr": 1.0, "temperature": 1e-8, "outer_momentum": 0.0},
            {"inner_lr": 3.0, "momentum": 0.5},
            {"inner_lr": (1.0, 3.0, 10.0), "momentum": (0.0, 0.5)},
        ),
    },
}

_MNIST = {  # contestant: (fixed options, grid); the same for both networks, but for those of _MNIST_LENET
    "sgd": (_DECAY, {"lr": (0.03, 0.1, 0.3, 1.0)}),
    "adam": (_DECAY, {"lr": (0.001, 0.003, 0.01)}),
    "lookahead": (_DECAY | {"k": 5}, {"lr": (0.1, 0.3, 1.0)}),
    "entropy-sgd": (
        _DECAY | {"lr": 1.0, "inner_steps": 20, "temperature": 1e-8},
        {"inner_lr": (0.03, 0.1, 0.3), "gamma": (10.0, 100.0)},
    ),
    "hj": (_DECAY | {"lr": 1.0, "inner_steps": 5, "gamma": 100.0}, {"inner_lr": (0.03, 0.1, 0.3)}),
    "heat": (_DECAY | {"inner_steps": 20, "temperature": 1.0}, {"lr": (0.1, 0.3), "gamma": (1e-5, 1e-4, 1e-3)}),
    "elastic-sgd": (_DECAY, {"lr": (0.1, 0.3), "rho": (1.0, 10.0)}),
    "parle": (
        _DECAY | {"inner_steps": 20, "gamma": 100.0, "rho": 1.0, "elastic": 0.1},
        {"lr": (0.5, 1.0), "inner_lr": (0.1, 0.3)},
    ),
}
_MNIST_LENET = {  # eight epochs are 21 steps of L = 20, too few; searched on the first seed of TUNED_ON
    "heat": (
        _DECAY | {"temperature": 1.0},
        {"inner_steps": (5, 20), "lr": (0.1, 0.3), "gamma": (1e-5, 1e-4)},
    ),
    "parle": (
        _DECAY | {"gamma": 100.0, "rho": 1.0, "elastic": 0.1},
        {"inner_steps": (5, 20), "lr": (0.5, 1.0), "inner_lr": (0.1, 0.3)},
    ),
}
_BEST_ON_MNIST = {
    "mnist-fc": {
        "sgd": {"lr": 0.1},
        "adam": {"lr": 0.01},
        "lookahead": {"lr": 0.3},
        "entropy-sgd": {"inner_lr": 0.03, "gamma": 100.0},
        "hj": {"inner_lr": 0.1},
        "heat": {"lr": 0.3, "gamma": 1e-4},
        "elastic-sgd": {"lr": 0.1, "rho": 1.0},
        "parle": {"lr": 0.5, "inner_lr": 0.1},
    },
    "mnist-lenet": {
        "sgd": {"lr": 0.1},
        "adam": {"lr": 0.003},
        "lookahead": {"lr": 0.1},
        "entropy-sgd": {"inner_lr": 0.1, "gamma": 100.0},
        "hj": {"inner_lr": 0.1},
        "heat": {"inner_steps": 5, "lr": 0.1, "gamma": 1e-5},
        "elastic-sgd": {"lr": 0.1, "rho": 1.0},
        "parle": {"inner_steps": 5, "lr": 0.5, "inner_lr": 0.1},
    },
}
RECIPES |= {
    family: {
        name: _run(name, fixed, best[name], grid, **({"replicas": 3} if name in ("elastic-sgd", "parle") else {}))
        for name, (fixed, grid) in (_MNIST | (_MNIST_LENET if family == "mnist-lenet" else {})).items()
    }
    for family, best in _BEST_ON_MNIST.items()
}

_BEST_WITH_DROPOUT = {
    "sgd": {"lr": 0.03},
    "swa": {"lr": 0.03},
    "lookahead": {"lr": 0.03},
    "adam": {"lr": 0.02},
    "entropy-sgd": {"inner_steps": 5, "inner_lr": 0.1},
    "hj": {"inner_lr": 0.1},
    "heat": {"lr": 0.3, "gamma": 1e-5},
    "elastic-sgd": {"lr": 0.1, "rho": 10.0},
    "parle": {"lr": 0.5, "inner_lr": 0.1},
}
RECIPES["digits-dropout"] = {
    name: {
        "arguments": run["arguments"] | {"optimizer_options": run["arguments"]["optimizer_options"] | best},
        "grid": run["grid"],
    }
    for name, best in _BEST_WITH_DROPOUT.items()
    for run in (RECIPES["digits-lenet"][name],)
}


def recipe(name: str) -> dict:
    """Arguments of `train` for a recipe "family/contestant", e.g. "digits-mlp/entropy-sgd".

    Parameters
    ----------
    name : str

    Returns
    -------
    dict

    Examples
    --------
    >>> recipe("digits-mlp/sgd")["optimizer_options"]
    {'weight_decay': 0.0001, 'lr': 0.3}
    """
    family, contestant = _entry(name)
    return COMMON[family] | contestant["arguments"]


def retune(
    name: str, *, seeds: Sequence[int] = TUNED_ON, jobs: int | None = 1, on_run: Callable | None = None
) -> list[tuple[float, dict]]:
    """Search a recipe's grid again: the validation metric of every point, images by error, texts by loss.

    The recipe is the best point of the list (ties by its order).

    Parameters
    ----------
    name : str
        As for `recipe`.
    seeds : sequence of int
    jobs : int or None
        As for `compare`.
    on_run : callable, optional

    Returns
    -------
    list of (validation metric, options), the best first

    Raises
    ------
    ValueError
        An unknown recipe.

    Examples
    --------
    >>> retune("no-such/recipe")
    Traceback (most recent call last):
        ...
    ValueError: ...
    """
    family, contestant = _entry(name)
    metric = "loss" if family.startswith("topics") else "error"
    return tune(recipe(name), contestant["grid"], seeds=seeds, metric=metric, jobs=jobs, on_run=on_run)


def _entry(name):
    family, _, contestant = name.partition("/")
    choice("recipe", name, [f"{f}/{c}" for f, members in RECIPES.items() for c in members])
    return family, RECIPES[family][contestant]
