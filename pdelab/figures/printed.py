"""The settings that the thesis prints for its own data sets: what a figure runs when it is given one of them.

`SETTINGS[problem]["common" | contestant]` are arguments of `train`. L outer steps of the text are L effective epochs
here, so its epochs of Entropy-SGD and Parle are multiplied by L. Where the text gives no value the one tuned on the
digits stands (the smoothing of heat, the inner rate of the letters and their control SGD). No figure of its own.
"""

from functools import partial

_MOMENTUM = {"momentum": 0.9, "nesterov": True}


def _scope(start, rate, low=0.0):
    """An exponential schedule in plain values: start (1 - rate)^t, not below `low`."""
    return {"schedule": "Exponential", "start": start, "rate": rate, "low": low}


def _run(optimizer, drops, factor, decay, **options):
    """One contestant; `drops` are effective epochs."""
    options = {"weight_decay": decay} | options
    return {"optimizer": optimizer, "optimizer_options": options, "drops": drops, "drop_factor": factor}


def _smoothed(drops, factor, decay, gamma, noise):
    """Entropy-SGD, HJ and HEAT of sections 3.3 and 4.6.1."""
    options = {"lr": 1.0, "inner_lr": 0.1, "gamma": gamma}
    return {
        "entropy-sgd": _run("entropy-sgd", drops, factor, decay, inner_steps=20, temperature=noise, **options),
        "hj": _run("hj", drops, factor, decay, inner_steps=5, **options),
        "heat": _run("heat", drops, factor, decay, inner_steps=20, temperature=1.0, lr=0.1, gamma=1e-3),
    }


def _replicas(batches, rate, single, looped, factor, decay):
    """The four contestants of section 5.4: (5.10), L = 25; `single` and `looped` are the epochs of the drops."""
    gamma, rho = _scope(100.0, 1 / (2 * batches), 1.0), _scope(1.0, 1 / (2 * batches), 0.1)
    loop = {"lr": rate, "inner_lr": rate, "inner_steps": 25, "gamma": gamma}
    looped = [25 * drop for drop in looped]
    run = partial(_run, factor=factor, decay=decay)
    return {
        "sgd": run("sgd", single, lr=rate, **_MOMENTUM),
        "entropy-sgd": run("entropy-sgd", looped, **loop),
        "elastic-sgd": run("elastic-sgd", single, lr=rate, rho=rho) | {"replicas": 3},
        "parle": run("parle", looped, **loop, rho=rho) | {"replicas": 3},
    }


def _field(runs, base, name, **field):
    """`base` under a fixed and under a resampled field (section 2.4)."""
    plain = runs[base]
    options = plain["optimizer_options"] | field
    return {
        "fixed field": plain | {"optimizer": name, "optimizer_options": options},
        "resampled field": plain | {"optimizer": name, "optimizer_options": options | {"resampled": True}},
    }


_ADAM = _run("adam", [30, 60, 90], 0.2, 0.0, lr=1e-3)
_MNIST_SGD = _run("sgd", [30, 60, 90], 0.1, 0.0, lr=0.1, **_MOMENTUM)
_MNIST = {"adam": _ADAM, "sgd": _MNIST_SGD} | _smoothed([40], 0.1, 0.0, _scope(1e4, 1e-3 / 1.001), 1e-6)
_CIFAR_SGD = {"sgd": _run("sgd", [60, 120, 180], 0.2, 1e-3, lr=0.1, **_MOMENTUM)}
_DEEP_ADAM = {"adam": _run("adam", [], 1.0, 1e-5, lr=1e-3)}
_BLOCK_ADAM = {"adam": _run("adam", [], 1.0, 1e-3, lr=1e-4)}

SETTINGS = {
    "deep-mnistfc": {
        "common": {"model": "deep-mnistfc", "data": "mnist", "epochs": 50, "batch_size": 128},
        **_DEEP_ADAM,
        **_field(_DEEP_ADAM, "adam", "trivialized-adam", coupling=1e-3, decay_steps=500.0),
    },
    "block-lenet": {
        "common": {"model": "block-lenet", "data": "mnist", "epochs": 100, "batch_size": 256},
        **_BLOCK_ADAM,
        **_field(_BLOCK_ADAM, "adam", "trivialized-adam", coupling=1e-4, decay_steps=1000.0),
    },
    "mnistfc": {
        "common": {"model": "mnistfc", "data": "mnist", "epochs": 100, "batch_size": 128},
        **_MNIST,
    },
    "lenet": {
        "common": {"model": "lenet", "data": "mnist", "epochs": 100, "batch_size": 128},
        **_MNIST,
    },
    "allcnn": {
        "common": {"model": "allcnn", "data": "cifar10", "epochs": 200, "batch_size": 128},
        **_CIFAR_SGD,
        **_smoothed([80, 160], 0.2, 1e-3, _scope(30.0, 1e-3 / 1.001), 1e-8),
        **_field(_CIFAR_SGD, "sgd", "trivialized-sgd", coupling=1e-4, decay_steps=1000.0),
    },
    "lenet, replicas": {
        "common": {"model": "lenet", "data": "mnist", "epochs": 100, "batch_size": 128,
                   "data_options": {"preprocess": "none"}},
        **_replicas(412, 0.1, [30, 60, 90], [2], 0.1, 0.0),
    },
    "wrn-28-10": {
        "common": {"model": "wrn-28-10", "data": "cifar10", "epochs": 200, "batch_size": 128,
                   "data_options": {"augment": True}},
        **_replicas(343, 0.1, [60, 120, 180], [2, 4, 6], 0.2, 5e-4),
    },
    "wrn-16-4": {
        "common": {"model": "wrn-16-4", "data": "svhn", "epochs": 160, "batch_size": 128,
                   "data_options": {"extra": True}},
        **_replicas(4155, 0.01, [80, 120], [2, 4], 0.1, 5e-4),
    },
    "allcnn, replicas": {
        "common": {"model": "allcnn", "data": "cifar10", "epochs": 200, "batch_size": 128,
                   "data_options": {"augment": True}},
        **_replicas(343, 0.1, [60, 120, 180], [2, 4, 6], 0.2, 1e-3),
    },
    "ptb-lstm": {
        "common": {"model": "ptb-lstm", "data": "ptb", "epochs": 55, "batch_size": 20, "clip": 10.0},
        "sgd": _run("sgd", range(14, 55), 1 / 1.15, 0.0, lr=1.0, momentum=0.0, nesterov=False),
        "entropy-sgd": _run("entropy-sgd", [15, 20], 0.1, 0.0, lr=1.0, inner_lr=1.0, inner_steps=5, gamma=1e3,
                            temperature=1e-8, momentum=0.5) | {"epochs": 25},
    },
    "char-lstm": {
        "common": {"model": "char-lstm", "data": "text", "epochs": 50, "batch_size": 128, "clip": 5.0},
        "adam": _run("adam", range(5, 50, 5), 0.5, 0.0, lr=2e-3),
        "sgd": _run("sgd", range(5, 50, 5), 0.5, 0.0, lr=3.0, momentum=0.9),
        "entropy-adam": _run("entropy-adam", range(5, 25, 5), 0.5, 0.0, lr=0.01, inner_lr=3.0, inner_steps=5,
                             gamma=100.0, betas=(0.5, 0.999), inner_momentum=0.5) | {"epochs": 25},
    },
}  # fmt: skip


def printed(problem, contestant):
    """Arguments of `train` for a contestant of a problem of the thesis; drops as fractions of the run."""
    settings = SETTINGS[problem]["common"] | SETTINGS[problem][contestant]
    return settings | {"drops": tuple(drop / settings["epochs"] for drop in settings["drops"])}
