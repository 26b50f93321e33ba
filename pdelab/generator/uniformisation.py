"""The semigroup exp(tQ) of a generator, entry by entry to relative accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import identity

from pdelab.hints import Array
from pdelab.kernels.uniformisation import poisson_sum

__all__ = ["semigroup"]


def semigroup(Q: Any, start: ArrayLike, times: Sequence[float] | Array) -> Array:
    """exp(t Q) start for a non-negative start and a matrix with non-negative off-diagonals, by uniformisation.

    With Λ >= max|Q_ii| and P = I + Q/Λ >= 0,  exp(tQ) = Σ_k e^{-Λt}(Λt)^k/k! P^k: no term is negative, so every entry
    keeps its relative accuracy however small it is. The sum is cut by a bound on the remainder relative to the result,
    from r = max (P v)_i/v_i and s = min (P v)_i/v_i:  s^k v <= P^k v <= r^k v.

    Parameters
    ----------
    Q : scipy sparse matrix (n, n)
    start : array (n,), >= 0
    times : increasing sequence >= 0

    Returns
    -------
    array (len(times), n)

    Raises
    ------
    ValueError
        A start that is negative somewhere.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> Q = csr_matrix([[-1.0, 1.0], [2.0, -2.0]])
    >>> semigroup(Q, np.array([1.0, 0.0]), [50.0]).round(12)
    array([[0.66666667, 0.66666667]])
    """
    start = np.asarray(start, dtype=float)
    if not (start >= 0).all():
        raise ValueError(f"start: expected numbers >= 0, got minimum {start.min():.6g}")
    rate = float(-Q.diagonal().min())
    if rate == 0:
        return np.broadcast_to(start, (len(times), start.size)).copy()
    P = (Q / rate + identity(Q.shape[0], format="csr")).tocsr()
    P.data[:] = np.maximum(P.data, 0.0)  # the largest |Q_ii| leaves a zero that rounding may put below
    values, now, out = start, 0.0, np.empty((len(times), start.size))
    for k, time in enumerate(times):
        pieces = max(math.ceil(rate * (time - now) / 400.0), 1)  # exp(-400) is far from underflow
        for _ in range(pieces if time > now else 0):
            values = _poisson_sum(P, values, rate * (time - now) / pieces)
        out[k], now = values, time
    return out


def _poisson_sum(P, values, mean):
    total, power, work = (np.empty(values.size) for _ in range(3))
    poisson_sum(P.indptr, P.indices, P.data, values, mean, _terms(P @ values, values, mean), total, power, work)
    return total


def _terms(power, values, mean):
    """How many terms leave a remainder below 1e-18 of every entry of the result, by Chernoff's bound.

    Where neighbours differ by more than a factor of 8 (or are zero) the bound would ask for too many terms: then the
    remainder is below 1e-60 of the largest entry.
    """
    largest, smallest, target = 1.0, 1.0, math.log(1e-60)
    if values.min() > 0:
        ratio = power / values
        if ratio.max() <= 8.0:
            largest, smallest, target = max(float(ratio.max()), 1.0), min(float(ratio.min()), 1.0), math.log(1e-18)
    top = mean * largest
    k = math.ceil(top) + 1
    while k * (1 + math.log(top / k)) - mean * smallest > target:
        k += 1 + k // 50
    return k
