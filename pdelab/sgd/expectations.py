"""Expectations without sampling, in one dimension."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import expm

from pdelab import checks
from pdelab.hints import Array, Box
from pdelab.sgd.sums import FiniteSum

__all__ = ["diffusion_expectation", "expectation"]


def expectation(
    problem: FiniteSum,
    observable: Callable[[Array], ArrayLike],
    x: ArrayLike,
    t: float,
    lr: float,
    *,
    batch: int = 1,
    replacement: bool = True,
    box: Box,
    nodes: int = 200,
) -> Any:
    """E φ(x_k) of SGD started at x, k = t/η steps, in one dimension: exact up to the interpolation of E φ in x.

    u_{k+1}(x) = mean over all mini-batches of u_k(x - η g_B(x)), carried on Chebyshev nodes.

    Parameters
    ----------
    problem : FiniteSum of one coordinate
    observable : function of points (n,)
    x : float or (n,)
    t : float
        A multiple of lr.
    lr : float > 0
    batch, replacement
        As for `SGD`.
    box : (lower, upper)
        Must contain what SGD reaches from inside it.
    nodes : int
        Of the interpolation; more of them until the result does not change.

    Returns
    -------
    float or array (n,)

    Raises
    ------
    ValueError
        Several coordinates, a time that is no multiple of lr, points outside the box, a box that SGD leaves.

    Examples
    --------
    >>> f = FiniteSum("(x - c)**2/2", c=[-1.0, 1.0])
    >>> round(expectation(f, lambda x: x, 2.0, 1.0, 0.25, box=(-4.0, 4.0), nodes=20), 9)   # 2 (1 - η)⁴
    0.6328125
    """
    lr, t = checks.positive("lr", lr), checks.positive("t", t)
    if problem.dimension != 1:
        raise ValueError(f"problem: expected one coordinate, got {problem.dimension}")
    steps = round(t / lr)
    if abs(steps * lr - t) > 1e-9 * t:
        raise ValueError(f"t: expected a multiple of lr = {lr}, got {t}")
    _inside(x, box)
    y = _chebyshev(nodes, box)
    chosen = problem.batches(batch, replacement=replacement)
    means = problem.gradients(y)[:, chosen].mean(axis=2)
    landed = y[:, None] - lr * means
    if landed.min() < box[0] or landed.max() > box[1]:
        raise ValueError(f"box: steps of SGD leave {box}: choose a wider one")
    move = sum(_interpolation(landed[:, k], y) for k in range(landed.shape[1])) / landed.shape[1]
    u = np.linalg.matrix_power(move, steps) @ observable(y)
    return _result(_interpolation(np.atleast_1d(np.asarray(x, float)), y) @ u, x)


def diffusion_expectation(
    drift: Callable[[Array], ArrayLike],
    variance: Callable[[Array], ArrayLike],
    observable: Callable[[Array], ArrayLike],
    x: ArrayLike,
    t: float,
    *,
    box: Box,
    nodes: int = 160,
) -> Any:
    """E φ(X_t) of dX = b dt + √v dW in one dimension by collocation on Chebyshev nodes: u_t = b u' + ½ v u''.

    Parameters
    ----------
    drift, variance, observable : functions of points (n,)
        b, v and φ.
    x : float or (n,)
    t : float >= 0
    box : (lower, upper)
        Its ends reflect; where the drift points inwards strongly, that changes nothing inside.
    nodes : int
        Of the collocation; more of them until the result does not change.

    Returns
    -------
    float or array (n,)

    Raises
    ------
    ValueError
        A box whose ends are not in order, points outside it.

    Examples
    --------
    >>> mean = diffusion_expectation(lambda x: -x, np.ones_like, lambda x: x, 2.0, 1.0, box=(-8.0, 8.0), nodes=60)
    >>> round(mean, 6), round(float(2 * np.exp(-1.0)), 6)
    (0.735759, 0.735759)
    """
    _inside(x, box)
    y = _chebyshev(nodes, box)
    first = _differentiation(y)
    b, v = np.asarray(drift(y), float), np.asarray(variance(y), float)
    L = b[:, None] * first + 0.5 * v[:, None] * (first @ first)
    ends, inner = [0, -1], slice(1, -1)
    follow = -np.linalg.solve(first[np.ix_(ends, ends)], first[ends, inner])  # u' = 0 at the ends gives u there
    u = np.array(observable(y), float)
    u[inner] = expm(t * (L[inner, inner] + L[inner][:, ends] @ follow)) @ u[inner]
    u[ends] = follow @ u[inner]
    return _result(_interpolation(np.atleast_1d(np.asarray(x, float)), y) @ u, x)


def _inside(x, box):
    ends = np.asarray(box, float)
    if ends.shape != (2,) or not ends[0] < ends[1]:
        raise ValueError(f"box: expected (lower, upper), got {box!r}")
    if not ((ends[0] <= np.asarray(x)) & (np.asarray(x) <= ends[1])).all():
        raise ValueError(f"x: expected points in the box {box}, got {x!r}")


def _result(values, x):
    return float(values[0]) if np.ndim(x) == 0 else values


def _chebyshev(nodes, box):
    low, high = box
    return 0.5 * (low + high) - 0.5 * (high - low) * np.cos(np.pi * np.arange(nodes) / (nodes - 1))


def _weights(n):
    weights = (-1.0) ** np.arange(n)
    weights[[0, -1]] *= 0.5
    return weights


def _interpolation(x, y):
    """Barycentric interpolation from Chebyshev nodes y to points x, as a matrix."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = _weights(len(y)) / (x[:, None] - y)
        matrix = terms / terms.sum(axis=1, keepdims=True)
    hit = x[:, None] == y
    return np.where(hit.any(axis=1, keepdims=True), hit, matrix)


def _differentiation(y):
    weights = _weights(len(y))
    gaps = y[:, None] - y
    np.fill_diagonal(gaps, 1.0)
    matrix = weights / weights[:, None] / gaps
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, -matrix.sum(axis=1))
    return matrix
