"""Intervals of convexity, inflection points and the first shock (thesis, Examples 4.14 and 4.15)."""

from __future__ import annotations

import math

import numpy as np
import scipy

from pdelab import checks
from pdelab.burgers.shocks import first_meeting
from pdelab.grid import Grid
from pdelab.hints import Array, Field
from pdelab.losses import Loss
from pdelab.regularity.constants import second_differences, semiconcavity
from pdelab.regularity.shared import fits

__all__ = [
    "convexity_interval", "convexity_intervals", "first_shock_time", "inflection_points", "transported_inflections",
]  # fmt: skip


def convexity_intervals(f: Field, grid: Grid) -> Array:
    """The widest intervals on which f is convex, in order: array (k, 2), ends within the box.

    Parameters
    ----------
    f : Loss or array (n,)
        Of a Loss the ends are the exact inflection points (the grid must separate them); of node values, the zeros of
        the second differences between nodes, O(h).
    grid : Grid
        One dimension, not periodic.

    Returns
    -------
    array (k, 2)
        Lower and upper ends.

    Raises
    ------
    ValueError
        Several dimensions, a periodic axis, fewer than three nodes.

    Notes
    -----
    Thesis, Example 4.15.

    Examples
    --------
    >>> from pdelab import Grid, Loss
    >>> convexity_intervals(Loss("cos(x)"), Grid(0.0, 6.0, 61)).round(6)
    array([[1.570796, 4.712389]])
    """
    x, curvature, root = _curvature(f, grid)
    convex = np.concatenate([[False], curvature >= 0, [False]])
    starts, ends = np.flatnonzero(convex[1:] & ~convex[:-1]), np.flatnonzero(convex[:-1] & ~convex[1:]) - 1
    low = [grid.lower[0] if k == 0 else root(k - 1) for k in starts]
    high = [grid.upper[0] if k == len(x) - 1 else root(k) for k in ends]
    return np.array([low, high]).T.reshape(-1, 2)


def convexity_interval(f: Loss, grid: Grid, point: float) -> tuple[float, float]:
    """The widest interval around a point on which f is convex.

    Parameters
    ----------
    f : Loss or array (n,)
    grid : Grid
        One dimension, not periodic.
    point : float

    Returns
    -------
    (low, high) : floats

    Raises
    ------
    ValueError
        f is not convex at the point; what `convexity_intervals` refuses.

    Examples
    --------
    >>> from pdelab import Grid, Loss
    >>> [round(end, 6) for end in convexity_interval(Loss("cos(x)"), Grid(0.0, 6.0, 61), 3.0)]
    [1.570796, 4.712389]
    """
    for low, high in convexity_intervals(f, grid):
        if low <= point <= high:
            return float(low), float(high)
    raise ValueError(f"point: expected a place where f is convex, got {point}: `convexity_intervals` lists them")


def inflection_points(f: Field, grid: Grid) -> Array:
    """Points inside the box where f'' changes sign, in order.

    Parameters
    ----------
    f : Loss or array (n,)
        As for `convexity_intervals`.
    grid : Grid
        One dimension, not periodic.

    Returns
    -------
    array (k,)

    Raises
    ------
    ValueError
        As for `convexity_intervals`.

    Examples
    --------
    >>> from pdelab import Grid, Loss
    >>> inflection_points(Loss("cos(x)"), Grid(0.0, 6.0, 61)).round(6)
    array([1.570796, 4.712389])
    """
    x, curvature, root = _curvature(f, grid)
    return np.array([root(k) for k in np.flatnonzero((curvature[1:] >= 0) != (curvature[:-1] >= 0))])


def transported_inflections(f: Loss, grid: Grid, t: float) -> Array:
    """Where the inflection points of f are at time t of inviscid Hamilton-Jacobi: x_i + t f'(x_i), exactly.

    Each moves on its characteristic at constant speed, so that the interval around a minimum widens at the rate
    f'(x_1) - f'(x_0) > 0 and the one around a maximum shrinks.

    Parameters
    ----------
    f : Loss
        One variable.
    grid : Grid
    t : float
        0 <= t < first_shock_time(f, grid); ValueError otherwise.

    Returns
    -------
    array (k,)
        In the order of `inflection_points`.

    Raises
    ------
    ValueError
        t beyond the first shock.

    Notes
    -----
    Thesis, Example 4.15, which holds until the first shock only.

    Examples
    --------
    >>> from pdelab import Grid, Loss
    >>> f, grid = Loss("cos(x)"), Grid(0.0, 6.0, 61)
    >>> (transported_inflections(f, grid, 0.5) - inflection_points(f, grid)).round(6)
    array([-0.5,  0.5])
    """
    t, shock = checks.nonnegative("t", t), first_shock_time(f, grid)
    if t >= shock:
        raise ValueError(
            f"t: expected a time before the first shock at {shock:.6g}, until which inflections move straight, got {t}"
        )
    points = inflection_points(f, grid)
    return points + t * f.gradient(points)


def first_shock_time(f: Field, grid: Grid) -> float:
    """t* = 1/max(-λ) over the eigenvalues λ of Hess f: inviscid Hamilton-Jacobi stays smooth before it (inf: for ever).

    Parameters
    ----------
    f : Loss or array (*shape)
        Of a formula the Hessian is enclosed over the box; of a loss of functions the largest -λ on the nodes is
        polished; of node values it is that of the second differences.
    grid : Grid
        Of a formula the nodes do not matter.

    Returns
    -------
    float >= 0, math.inf for a convex f, 0 for one with a concave kink

    Raises
    ------
    ValueError
        A Loss of another dimension than the grid, node values that do not fit it.

    Warns
    -----
    AccuracyWarning
        An earlier shock is not excluded, by more than 1 %: of functions the middles of the cells show it.

    Notes
    -----
    Thesis (4.36) and Lemma 4.3; 1/max(-f'') is also the scope gamma* below which the fast variable of (4.21) has a
    spectral gap (Remark 4.6).

    Examples
    --------
    >>> from pdelab import Grid, Loss
    >>> round(float(first_shock_time(Loss("2*cos(x)"), Grid(-3.0, 3.0, 61))), 9)
    0.5
    """
    if isinstance(f, Loss):
        return first_meeting(fits(f, grid), grid)
    steepest = semiconcavity(-grid.field(f), grid)
    return 1.0 / steepest if steepest > 0 else math.inf


def _curvature(f, grid):
    """(nodes, f'' on them, root(k): where f'' vanishes between nodes k and k + 1), one dimension."""
    if grid.dimension != 1 or grid.periodic[0]:
        raise ValueError(f"grid: expected one axis, not periodic, got {grid.dimension}, boundary={grid.boundary}")
    x = grid.x
    if isinstance(f, Loss):
        curvature = fits(f, grid).hessian(x)
        return x, curvature, lambda k: scipy.optimize.brentq(f.hessian, x[k], x[k + 1], xtol=1e-15)
    if len(x) < 3:
        raise ValueError(f"grid: expected at least three nodes, got {len(x)}")
    u = grid.field(f, "f")
    curvature = np.pad(second_differences(u, grid), 1, mode="edge")
    curvature[np.abs(curvature) <= 4 * np.finfo(float).eps * np.abs(u).max() / grid.spacing[0] ** 2] = 0.0  # round-off
    return x, curvature, lambda k: x[k] + grid.spacing[0] * curvature[k] / (curvature[k] - curvature[k + 1])
