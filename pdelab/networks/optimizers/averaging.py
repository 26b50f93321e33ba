"""`update_bn`: batch-norm statistics of the outer weights; `trajectory`: any optimizer on a NumPy gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from pdelab.hints import Array

__all__ = ["collecting", "trajectory", "update_bn"]

_BATCH_NORM = torch.nn.modules.batchnorm._BatchNorm
_DROPOUT = torch.nn.modules.dropout._DropoutNd


@torch.no_grad()
def update_bn(
    model: torch.nn.Module, batches: Iterable, optimizer: Any = None, device: str | torch.device | None = None
) -> None:
    """Set the running mean and variance of every batch norm to their averages over `batches`. Dropout is off.

    Momentum is ignored: every batch counts equally. Modes of all modules are put back. Source: the authors' evaluation
    of x; BatchNorm has no other right answer.

    Parameters
    ----------
    model : torch.nn.Module
    batches : iterable of inputs, or of tuples that start with the input
    optimizer : optimizer of this package, optional
        The statistics are collected at its outer weights. Afterwards the model has its inner weights again, and keeps
        the new statistics.
    device : torch.device or str, optional
        Where to move the inputs; default: that of the first parameter.

    Raises
    ------
    ValueError
        There is no batch.

    Examples
    --------
    >>> norm = torch.nn.BatchNorm1d(1)
    >>> update_bn(norm, [torch.tensor([[1.0], [3.0]])])
    >>> norm.running_mean.item()
    2.0
    """
    norms = [m for m in model.modules() if isinstance(m, _BATCH_NORM) and m.track_running_stats]
    device = device or next(model.parameters()).device
    with optimizer.outer_weights() if optimizer is not None else nullcontext(), collecting(model, norms):
        count = 0
        for batch in batches:
            model((batch[0] if isinstance(batch, (tuple, list)) else batch).to(device))
            count += 1
    if count == 0:
        raise ValueError("batches: expected at least one to collect statistics from, got none")


@contextmanager
def collecting(model, norms):
    """Batch norms reset, in training mode and averaging cumulatively; everything else in evaluation mode."""
    modes = [(m, m.training) for m in model.modules()]
    momenta = [(m, m.momentum) for m in norms]
    model.eval()
    for m in norms:
        m.reset_running_stats()
        m.train()
        m.momentum = None
    try:
        yield
    finally:
        for m, momentum in momenta:
            m.momentum = momentum
        for m, training in modes:
            m.training = training


def trajectory(
    build: Callable, gradient: Callable, start: ArrayLike, steps: int, replicas: int = 1, inner: bool = False
) -> Array:
    """Weights of an optimizer on a NumPy gradient in float64: the bridge from networks to the PDE side.

    Parameters
    ----------
    build : callable, list of parameters -> optimizer
    gradient : callable, array (d,) -> array (d,)
        With replicas of (array (d,), replica).
    start : array (d,) or (replicas, d)
    steps : int
        Number of gradients.
    replicas : int >= 1
    inner : bool
        True: the weights the next gradient is taken at, instead of the outer ones.

    Returns
    -------
    array (steps + 1, d), or (steps + 1, replicas, d)
        The start first.

    Examples
    --------
    >>> from pdelab.networks import SGLD
    >>> trajectory(lambda p: SGLD(p, lr=0.5, temperature=0.0), lambda x: x, [1.0], 2).ravel().tolist()
    [1.0, 0.5, 0.25]
    """
    start = np.array(start, float)
    rows = start.reshape(replicas, -1)
    params = [torch.nn.Parameter(torch.tensor(row)) for row in rows]
    optimizer = build(params)
    seen = [rows.copy()]
    for _ in range(steps):
        for a, p in enumerate(params):
            x = p.detach().numpy().copy()
            p.grad = torch.as_tensor(np.asarray(gradient(x) if replicas == 1 else gradient(x, a), float))
        optimizer.step()
        show = nullcontext() if inner or not hasattr(optimizer, "outer_weights") else optimizer.outer_weights()
        with show:
            seen.append(np.stack([p.detach().numpy().copy() for p in params]))
    return np.array(seen).reshape(steps + 1, *start.shape)
