"""Enclosures of a formula over boxes: certified bounds of value, gradient and Hessian."""

from dataclasses import dataclass

import numpy as np

from pdelab.kernels import tapes as kernels
from pdelab.losses import tapes

__all__ = ["Enclosure", "enclose", "symmetric", "tape"]


@dataclass(frozen=True)
class Enclosure:
    """Bounds that hold everywhere in a box, the last axis [lower, upper].

    Attributes
    ----------
    value : array (..., 2)
    gradient : array (..., d, 2), in one dimension (..., 2)
    hessian : array (..., d, d, 2), in one dimension (..., 2)
    """

    value: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray


def tape(loss):
    """The arrays of a Loss's formula and the address of their interpreter, made once in a process; None without one."""
    if loss._first is None:
        return None
    module = loss._first
    if not hasattr(module, "TAPE_ARRAYS"):
        module.TAPE_ARRAYS = *tapes.arrays(module.TAPE), kernels.run_address()
    return module.TAPE_ARRAYS


def enclose(loss, lower, upper, order=2):
    """(value (N, 2), slope (N, d, 2), upper triangle of the Hessian (N, m, 2)) over boxes lower, upper (N, d)."""
    lower, upper = (np.ascontiguousarray(a, dtype=float) for a in (lower, upper))
    count, d = lower.shape
    value, slope, bend = np.empty((count, 2)), np.empty((count, d, 2)), np.empty((count, d * (d + 1) // 2, 2))
    kernels.enclose(*tape(loss), lower, upper, order, value, slope, bend)
    return value, slope, bend


def symmetric(bend, d):
    """The upper triangle (..., m, 2) as matrices (..., d, d, 2)."""
    full = np.empty((*bend.shape[:-2], d, d, 2))
    for m, (i, j) in enumerate(zip(*np.triu_indices(d))):
        full[..., i, j, :] = full[..., j, i, :] = bend[..., m, :]
    return full
