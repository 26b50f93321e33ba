"""One-sided constants of node values and what Hamilton-Jacobi makes of them (thesis, sections 3.2.4 and 4.5.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.grid import Grid
from pdelab.hints import Array, Field
from pdelab.losses import Loss
from pdelab.regularity.shared import fits

__all__ = [
    "hessian_bounds", "laplacian_bound", "lipschitz", "second_differences", "semiconcavity", "semiconcavity_bound",
]  # fmt: skip


def second_differences(values: Field, grid: Grid, direction: int | Sequence[int] = 0) -> Array:
    """(u(x + e) - 2 u(x) + u(x - e))/|e|² at every node where both neighbours exist.

    Parameters
    ----------
    values : array (*shape) or Loss
        u on the nodes.
    grid : Grid
    direction : int or sequence of d ints
        An axis, or the offset e in nodes, such as (1, -1).

    Returns
    -------
    array
        Periodic axes wrap around; along other axes the first and last nodes drop out.

    Raises
    ------
    ValueError
        A direction that is no axis and no offset of the grid, or one that leaves no node with both neighbours.

    Examples
    --------
    >>> from pdelab import Grid
    >>> grid = Grid(0.0, 1.0, 6)
    >>> second_differences(grid.x**2, grid).round(9)
    array([2., 2., 2., 2.])
    """
    u, offset = grid.field(values), _offset(direction, grid)
    here, ahead, behind = u, u, u
    for axis, (step, n, name) in enumerate(zip(offset, u.shape, grid.boundary)):
        if name == "periodic":
            ahead, behind = np.roll(ahead, -step, axis), np.roll(behind, step, axis)
        elif step:
            k = abs(step)
            if n <= 2 * k:
                raise ValueError(f"direction: {direction!r} needs more than {2 * k} nodes along axis {axis}, got {n}")
            middle, high, low = slice(k, n - k), slice(2 * k, n), slice(0, n - 2 * k)
            cut = (slice(None),) * axis
            here = here[(*cut, middle)]
            ahead = ahead[(*cut, high if step > 0 else low)]
            behind = behind[(*cut, low if step > 0 else high)]
    length = sum((step * h) ** 2 for step, h in zip(offset, grid.spacing))
    return ((ahead - here) - (here - behind)) / length


def semiconcavity(values: Field, grid: Grid, direction: int | Sequence[int] | None = None) -> float:
    """The smallest C for which u - C|x|²/2 has no positive second difference: sup of D²u from above.

    Exact for the grid function. A concave function has C <= 0; a convex kink has C ~ 1/h.

    Parameters
    ----------
    values : array (*shape) or Loss
    grid : Grid
    direction : int or sequence of d ints, optional
        One axis or offset; by default the largest over the axes and the diagonals of a cell.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        As for `second_differences`.

    Notes
    -----
    Thesis, section 4.5.1. The semi-convexity constant is `-semiconcavity(-u, grid)`.

    Examples
    --------
    >>> from pdelab import Grid, Loss, hopf_lax
    >>> grid = Grid(-2.0, 2.0, 401)
    >>> round(semiconcavity(hopf_lax(Loss("5*x**2"), grid, 0.4), grid), 9)        # 1/(1/10 + 0.4)
    2.0
    """
    u = grid.field(values)
    directions = _directions(grid.dimension) if direction is None else [direction]
    return float(max(second_differences(u, grid, e).max() for e in directions))


def laplacian_bound(values: Field, grid: Grid) -> float:
    """The largest discrete Laplacian of node values: sup Δu (thesis, Lemma 4.17).

    Parameters
    ----------
    values : array (*shape) or Loss
    grid : Grid

    Returns
    -------
    float

    Examples
    --------
    >>> from pdelab import Grid
    >>> grid = Grid((-1.0, -1.0), (1.0, 1.0), (21, 21))
    >>> round(laplacian_bound((grid.points**2).sum(-1), grid), 9)
    4.0
    """
    u = grid.field(values)
    inner = tuple(slice(None) if name == "periodic" else slice(1, -1) for name in grid.boundary)
    total = 0.0
    for axis in range(grid.dimension):
        others = tuple(slice(None) if k == axis else cut for k, cut in enumerate(inner))
        total = total + second_differences(u, grid, axis)[others]
    return float(np.max(total))


def semiconcavity_bound(constant: ArrayLike, t: ArrayLike, *, dimension: int = 1) -> Any:
    """Bound of the semi-concavity constant of a Hamilton-Jacobi solution: C(t) <= 1/(1/C + t/d), for every beta.

    Parameters
    ----------
    constant : float or array
        C at time 0: sup u_kk, or sup Δu with `dimension` = d. math.inf gives Oleinik's 1/t.
    t : float or array, >= 0
    dimension : int
        1 for a direction, d for the Laplacian.

    Returns
    -------
    float or array

    Raises
    ------
    ValueError
        t < 0, a dimension below 1, a concave function (C < 0) at a time at which it has blown up.

    Notes
    -----
    Thesis, Lemma 4.17, where it needs C > 0; for C <= 0 the same formula holds while 1 + C t/d > 0 (ValueError after).

    Examples
    --------
    >>> semiconcavity_bound(np.array([1.0, np.inf]), 2.0)                # whatever C was, C(t) <= 1/t
    array([0.33333333, 0.5       ])
    """
    constant, t = np.asarray(constant, dtype=float), np.asarray(t, dtype=float)
    if not (t >= 0).all() or np.isnan(constant).any() or dimension < 1:
        raise ValueError(f"constant, t, dimension: expected a number, >= 0, >= 1, got {constant}, {t}, {dimension}")
    with np.errstate(divide="ignore"):
        rest = 1.0 / constant + t / dimension
    growth = 1.0 + np.where(np.isinf(constant), 0.0, constant) * t / dimension
    if not (growth > 0).all():
        raise ValueError(f"t: expected 1 + C t/d > 0, later a concave function has blown up, got {t} and C={constant}")
    with np.errstate(divide="ignore"):
        bound = np.where(constant == 0, 0.0, 1.0 / np.where(constant == 0, 1.0, rest))
    return float(bound) if bound.ndim == 0 else bound


def hessian_bounds(lower: float, upper: float, gamma: float) -> tuple[float, float]:
    """c/(1 + gamma c) <= Hess f_gamma <= mu/(1 + gamma mu) when c <= Hess f <= mu everywhere, for every beta; sharp.

    Parameters
    ----------
    lower, upper : float
        c <= mu; a negative c needs gamma < 1/|c|. Negative curvatures grow in size: maxima get sharper.
    gamma : float >= 0

    Returns
    -------
    tuple of two floats

    Raises
    ------
    ValueError
        lower > upper, or gamma >= 1/|lower| for a negative lower bound.

    Notes
    -----
    Corrects thesis, Lemma 3.5, whose printed constants hold for strongly convex f only and are weaker.

    Examples
    --------
    >>> hessian_bounds(-0.5, 4.0, 1.0)                                   # (-1, 4/5)
    (-1.0, 0.8)
    """
    lower, upper, gamma = float(lower), float(upper), checks.nonnegative("gamma", gamma)
    if not lower <= upper:
        raise ValueError(f"lower, upper: expected lower <= upper, got {lower} and {upper}")
    if not 1 + gamma * lower > 0:
        raise ValueError(f"gamma: expected less than 1/|lower| = {-1 / lower:.6g}, got {gamma}")
    return lower / (1 + gamma * lower), (1 / gamma if math.isinf(upper) else upper / (1 + gamma * upper))


def lipschitz(values: Field, grid: Grid) -> float:
    """Lipschitz constant: of node values the largest slope between neighbours, of a Loss the largest |grad f| on them.

    For node values in 2-3 dimensions this is the Euclidean norm of the largest slopes of each cell, an upper bound for
    the multilinear interpolant. Local entropy never has a larger one (thesis, Lemma 3.5, corrected).

    Parameters
    ----------
    values : array (*shape) or Loss
    grid : Grid

    Returns
    -------
    float

    Examples
    --------
    >>> from pdelab import Grid
    >>> grid = Grid(-1.0, 1.0, 21)
    >>> round(lipschitz(abs(grid.x), grid), 9)
    1.0
    """
    if isinstance(values, Loss):
        slopes = fits(values, grid).gradient(grid.points)
        return float(np.abs(slopes).max() if grid.dimension == 1 else np.linalg.norm(slopes, axis=-1).max())
    u, squares = grid.field(values), 0.0
    for axis, (h, name) in enumerate(zip(grid.spacing, grid.boundary)):
        ahead = np.concatenate([u, u.take([0], axis)], axis) if name == "periodic" else u
        slope = np.abs(np.diff(ahead, axis=axis)) / h
        for other, (n, boundary) in enumerate(zip(u.shape, grid.boundary)):
            if other != axis:  # the larger of the two edges of a cell
                cells = np.arange(n if boundary == "periodic" else n - 1)
                slope = np.maximum(slope.take(cells, other), slope.take((cells + 1) % n, other))
        squares = squares + slope**2
    return float(np.sqrt(np.max(squares)))


def _offset(direction, grid):
    """A direction as node offsets, one an axis."""
    d = grid.dimension
    if np.ndim(direction) == 0:
        if direction not in range(d):
            raise ValueError(f"direction: expected an axis 0..{d - 1} or {d} whole numbers, got {direction!r}")
        return tuple(int(axis == direction) for axis in range(d))
    offset = np.asarray(direction)
    if offset.shape != (d,) or offset.dtype.kind not in "iu" or not offset.any():
        raise ValueError(f"direction: expected an axis 0..{d - 1} or {d} whole numbers, not all 0, got {direction!r}")
    return tuple(int(k) for k in offset)


def _directions(d):
    """Axes and diagonals of a cell, one of each pair e, -e."""
    return [e for e in product((0, 1, -1), repeat=d) if next((k for k in e if k), 0) == 1]
