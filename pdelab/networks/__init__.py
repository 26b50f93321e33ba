"""Full networks: the papers' optimizers for PyTorch, models, data, training, many machines, curvature.

Needs the extra `networks`; `import pdelab` alone never imports torch. Names are resolved on first use.
"""

import importlib

try:
    import torch  # noqa: F401
except ImportError as error:
    raise ImportError("pdelab.networks needs PyTorch: pip install 'pdelab[networks]'") from error

_HOME = {
    "optimizers": (
        "SGLD", "EntropySGD", "EntropyAdam", "LocalEntropy", "HJ", "Heat", "ElasticSGD", "Parle", "TrivializedSGD",
        "Trivialized", "RecordedLoop", "update_bn", "trajectory",
    ),
    "schedules": ("Exponential", "Linear", "Quadratic", "BoundedExponential"),
    "distributed": ("LocalSGD", "DiLoCo", "join", "stacked", "split_indices"),
}  # fmt: skip
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_MODULE)


def __getattr__(name):
    if name in _MODULE:
        return getattr(importlib.import_module(f"{__name__}.{_MODULE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
