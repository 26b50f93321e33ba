"""From names and plain values to objects, and the plain record that makes them again."""

import copy
import inspect
import threading
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import numpy as np
import torch

from pdelab.networks import data as datasets
from pdelab.networks import models
from pdelab.networks.checks import choice, several, whole
from pdelab.networks.schedules import from_plain, to_plain

__all__ = [
    "INITIALISATIONS", "OPTIMIZERS", "alone", "cuda", "diloco", "local_sgd", "make_data", "make_models",
    "make_optimizer", "milestones", "surroundings", "trivialized_adam", "unboxed",
]  # fmt: skip

_SGD = {"lr": 0.1, "momentum": 0.9, "nesterov": True}
_HERE = "pdelab.networks.training.setup"
OPTIMIZERS = {
    "sgd": ("torch.optim", "SGD", _SGD),
    "adam": ("torch.optim", "Adam", {}),
    "swa": ("pdelab.networks.averages", "SWA", _SGD),
    "lookahead": ("pdelab.networks.averages", "Lookahead", _SGD),
    "sgld": ("pdelab.networks", "SGLD", {}),
    "entropy-sgd": ("pdelab.networks", "EntropySGD", {}),
    "entropy-adam": ("pdelab.networks", "EntropyAdam", {}),
    "hj": ("pdelab.networks", "HJ", {}),
    "heat": ("pdelab.networks", "Heat", {}),
    "elastic-sgd": ("pdelab.networks", "ElasticSGD", {}),
    "parle": ("pdelab.networks", "Parle", {}),
    "local-sgd": (_HERE, "local_sgd", _SGD),
    "diloco": (_HERE, "diloco", _SGD),
    "trivialized-sgd": ("pdelab.networks", "TrivializedSGD", {}),
    "trivialized-adam": (_HERE, "trivialized_adam", {}),
}
INITIALISATIONS = {"default": lambda model: model, "he": models.he}


def make_data(data, folder, options, seed):
    """A data set from a name or an object, and its entries of the config."""
    if isinstance(data, datasets.Data):
        if options:
            raise ValueError("data_options: expected none beside a data set, they belong to one given by name")
        return data, {"data": data.name or "given", "data_options": _plain(data.options), "folder": None}
    options = dict(options or {})
    if data in datasets.DATA and "seed" in datasets.DATA[data][1]:
        options.setdefault("seed", seed)
    loaded = datasets.load(data, folder, **options)
    return loaded, {"data": data, "data_options": _plain(options), "folder": None if folder is None else str(folder)}


def make_models(model, data, options, initialisation, replicas):
    """`replicas` models with the same weights, from a name or an object, and their entries of the config."""
    options = dict(options or {})
    if isinstance(model, torch.nn.Module):
        if options:
            raise ValueError("model_options: expected none beside a model, they belong to one given by name")
        network, name = model, type(model).__name__
    else:
        network, name = models.build(model, data, **options), model
    dimension = models.parameter_count(network)
    if not dimension:
        raise ValueError(f"model: expected trainable parameters, got none in {name!r}")
    INITIALISATIONS[initialisation](network)
    copies = [network, *(copy.deepcopy(network) for _ in range(replicas - 1))]
    config = {"model": name, "model_options": _plain(options), "dimension": dimension}
    return copies, config | {"initialisation": initialisation}


def make_optimizer(optimizer, networks, options, seed, group=None):
    """An optimizer of all replicas here and on the ranks of `group`, and its entries of the config."""
    options, name = {key: from_plain(value) for key, value in (options or {}).items()}, optimizer
    if isinstance(optimizer, str):
        choice("optimizer", optimizer, OPTIMIZERS)
        module, kind, defaults = OPTIMIZERS[optimizer]
        optimizer = getattr(import_module(module), kind)
        options = defaults | options
    else:
        name = getattr(optimizer, "__name__", type(optimizer).__name__)
    accepted = _arguments(optimizer)
    if "seed" in accepted:
        options.setdefault("seed", seed)
    if "layers" in accepted:
        weighted = (torch.nn.Linear, torch.nn.Conv2d)
        options.setdefault("layers", sum(isinstance(module, weighted) for module in networks[0].modules()))
    if "replicas" in accepted:
        options["replicas"] = len(networks)
    elif len(networks) > 1:
        raise ValueError(f"replicas: expected 1 for the optimizer {name!r}, got {len(networks)}")
    if group is not None and "group" not in accepted:
        raise ValueError(f"the optimizer {name!r} works in one process: under torchrun use one of replicas, as parle")
    ranks = {} if group is None else {"group": group}
    parameters = [p for network in networks for p in network.parameters() if p.requires_grad]
    try:
        stepper = optimizer(parameters, **options, **ranks)
    except TypeError as error:
        values = ", ".join(f"{key}={value}" for key, value in options.items())
        raise ValueError(f"optimizer_options: expected those of {name!r}, got {values}: {error}") from error
    return stepper, {"optimizer": name, "optimizer_options": _plain(options)}


def local_sgd(params, lr, momentum=0.9, nesterov=True, weight_decay=0.0, *, replicas=1, group=None, **outer):
    """LocalSGD over SGD, from plain settings."""
    sgd = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
    return _over_sgd("LocalSGD", params, sgd, outer | {"replicas": replicas, "group": group})


def diloco(params, lr, momentum=0.9, nesterov=True, weight_decay=0.0, *, replicas=1, group=None, **outer):
    """DiLoCo over SGD, from plain settings."""
    sgd = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
    return _over_sgd("DiLoCo", params, sgd, outer | {"replicas": replicas, "group": group})


def trivialized_adam(params, lr=1e-3, weight_decay=0.0, *, layers, seed=None, **field):
    """Adam in the external field of Trivialized-SGD, as in thesis 2.4.3, from plain settings."""
    from pdelab.networks import Trivialized

    def adam(groups):
        return torch.optim.Adam(groups, lr=lr, weight_decay=weight_decay)

    return Trivialized(params, adam, layers=layers, seed=seed, **field)


def _over_sgd(kind, params, sgd, outer):
    from pdelab import networks

    return getattr(networks, kind)(params, lambda groups: torch.optim.SGD(groups, **sgd), **outer)


def _arguments(optimizer):
    """Names an optimizer's constructor takes, those of its bases included."""
    kinds = [kind for kind in getattr(optimizer, "__mro__", ()) if "__init__" in vars(kind) and kind is not object]
    calls = [kind.__init__ for kind in kinds] or [optimizer]
    return {name for call in calls for name in inspect.signature(call).parameters}


def milestones(drops, epochs):
    """Epochs after which the learning rate drops, from epochs and fractions of the run."""
    several("drops", drops)
    lowered = []
    for drop in drops:
        fraction = isinstance(drop, float) and 0 < drop < 1
        epoch = max(1, round(drop * epochs)) if fraction else drop
        whole("drops", epoch, 1)
        lowered.append(epoch)
    return sorted(lowered)


_TURN = threading.RLock()


def alone():
    """One run at a time in a process: torch's generator and its number of threads belong to all of its threads."""
    return _TURN


@contextmanager
def surroundings(device, deterministic):
    """Torch's random generators and its choice of kernels, given back as they were."""
    before = torch.are_deterministic_algorithms_enabled()
    with alone(), torch.random.fork_rng(devices=cuda(device)):
        torch.use_deterministic_algorithms(deterministic or before)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)


def cuda(device):
    """The devices besides the CPU whose generators matter."""
    return [device] if device.type == "cuda" else []


def unboxed(value):
    """NumPy numbers, arrays and paths, also inside containers, as plain values: a checkpoint holds nothing else."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, range):
        return list(value)
    if isinstance(value, dict):
        return {key: unboxed(item) for key, item in value.items()}
    return type(value)(map(unboxed, value)) if type(value) in (list, tuple) else value


def _plain(value):
    value = to_plain(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (int, float, str, bool, type(None))) else repr(value)
