"""Curvature layer by layer: the diagonal blocks of the Hessian, of the noise or of the Fisher information."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pdelab.checks import whole
from pdelab.networks.curvature.spectra import spectrum, subject

__all__ = ["layer_spectra", "trace"]


def layer_spectra(
    run: Any = None,
    *,
    model: torch.nn.Module | None = None,
    data: Any = None,
    layers: Sequence[str] | None = None,
    split: str = "train",
    **options: Any,
) -> dict:
    """The spectrum of the block of each layer, all other weights held fixed.

    Parameters
    ----------
    run, model, data, split
        As for `spectrum`.
    layers : sequence of str, optional
        Names of modules or of parameters (`model.named_modules()`, `model.named_parameters()`); default: every module
        that holds trainable parameters of its own ("" for those of the model itself).
    **options
        Of `spectrum`.

    Returns
    -------
    dict
        {layer: Spectrum}

    Examples
    --------
    >>> from pdelab.networks import models
    >>> spectra = layer_spectra(model=models.mlp(64, (4,)), data="digits", samples=50)
    >>> [(name, part.dimension) for name, part in spectra.items()]
    [('1', 260), ('3', 50)]
    """
    names = [name for name, p in subject(run, model, data, split)[0].named_parameters() if p.requires_grad]
    if layers is None:
        own = [name for name in names if "." not in name]  # of the model itself, in no layer
        layers = {name.rpartition(".")[0]: None for name in names if "." in name}
        wanted = {"": own, **{layer: [name for name in names if name.rpartition(".")[0] == layer] for layer in layers}}
    else:
        wanted = {layer: [layer] for layer in layers}
    source = {"model": model, "data": data, "split": split}
    return {layer: spectrum(run, parameters=own, **source, **options) for layer, own in wanted.items() if own}


def trace(operator: Any, *, probes: int = 64, seed: int = 0) -> tuple[float, float]:
    """The trace of a symmetric operator by Hutchinson's estimator, the mean of vᵀ A v over random v of ±1.

    Parameters
    ----------
    operator
        `Hessian` or `Noise`, of all weights or of a layer's.
    probes : int
        At least two; with d or more the trace is computed exactly.
    seed : int

    Returns
    -------
    value, error : float
        The estimate and its standard error, 0 where it is exact.

    Examples
    --------
    >>> from pdelab.networks import data, models
    >>> from pdelab.networks.curvature import Hessian, Objective
    >>> f = Objective(models.mlp(64, (4,)), data.load("digits").train, samples=50, parameters=["3"])
    >>> value, error = trace(Hessian(f), probes=50)
    >>> bool(abs(value - Hessian(f).matrix().trace().item()) < 1e-9), error
    (True, 0.0)
    """
    size = operator.dimension
    exact = whole("probes", probes, 2) >= size
    rng, terms = np.random.default_rng(seed), []
    for start in range(0, size if exact else probes, 16):
        stop = min(start + 16, size if exact else probes)
        rows = np.eye(stop - start, size, start) if exact else rng.integers(0, 2, (stop - start, size)) * 2.0 - 1.0
        rows = torch.from_numpy(rows).to(operator.device, operator.dtype)
        terms.append((rows * operator.rows(rows)).sum(1).double().cpu().numpy())
    values = np.concatenate(terms)
    if exact:
        return float(values.sum()), 0.0
    return float(values.mean()), float(values.std(ddof=1) / probes**0.5)
