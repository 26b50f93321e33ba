"""Wasserstein distances between clouds of points and between densities in the plane, by POT (extra `transport`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.grid import Grid
from pdelab.hints import Array

__all__ = ["Transport", "wasserstein_grid", "wasserstein_points"]

LARGEST = 2**27  # entries of the matrix of costs: 1 GB


@dataclass(frozen=True)
class Transport:
    """A distance, and the bounds between which it is proved to lie.

    Attributes
    ----------
    distance : float
        W_p: exact (the linear programme), or the upper bound of the regularised plan.
    low, high : float
        The cost of a dual feasible pair and of a feasible plan: low <= W_p <= high. Their gap says what the
        regularisation cost.
    plan : array (n, m)
        Masses moved from each point of the first to each of the second.
    """

    distance: float
    low: float
    high: float
    plan: Array


def wasserstein_points(
    first: ArrayLike,
    second: ArrayLike,
    weights: tuple[ArrayLike | None, ArrayLike | None] = (None, None),
    *,
    order: float = 2,
    regularisation: float = 0.0,
) -> Transport:
    """W_p between two clouds of points.

    Parameters
    ----------
    first, second : arrays (n, d), (m, d)
    weights : pair of arrays (n,), (m,) or None
        Nonnegative; divided by their sums. None: all points alike.
    order : float >= 1
    regularisation : float >= 0
        0: exact, by the network simplex, in about n m log n steps. Above: entropic (Sinkhorn), as a share of the
        largest cost; good values: 0.001 to 0.01. Its plan and potentials are made feasible, so that `low` and `high`
        are bounds for any regularisation.

    Returns
    -------
    Transport

    Raises
    ------
    ModuleNotFoundError
        Without POT: pip install "pdelab[transport]".
    ValueError
        Clouds of different dimensions, negative weights, more than 2^27 pairs.

    Examples
    --------
    >>> from importlib.util import find_spec
    >>> move = lambda: wasserstein_points([[0.0, 0.0], [1.0, 0.0]], [[0.0, 2.0], [1.0, 2.0]]).distance
    >>> round(move(), 9) if find_spec("ot") else 2.0                     # every point goes up by 2
    2.0
    """
    first, second = _cloud("first", first), _cloud("second", second)
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"second: expected points of {first.shape[1]} coordinates, got {second.shape[1]}")
    order = checks.within("order", order, 1, math.inf, "[)")
    regularisation = checks.nonnegative("regularisation", regularisation)
    masses = [_masses(w, len(points)) for w, points in zip(weights, (first, second))]
    if len(first) * len(second) > LARGEST:
        raise ValueError(
            f"first, second: expected at most {LARGEST} pairs of points, got {len(first)} x {len(second)}: draw fewer"
        )
    cost, size = _distances(first, second)
    cost **= order
    plan, potentials = _solved(masses, cost, regularisation)
    high = float((plan * cost).sum())
    low = min(float(_checked_duality(masses, cost, plan, potentials, high)), high)
    root = lambda value: size(max(value, 0.0) ** (1 / order))  # noqa: E731
    return Transport(root(high), root(low), root(high), plan)


def wasserstein_grid(
    grid: Grid, first: ArrayLike, second: ArrayLike, *, order: float = 2, regularisation: float = 0.0
) -> Transport:
    """W_p between two densities on a grid of any dimension, their masses standing on the nodes.

    Parameters
    ----------
    grid : Grid
        Not periodic. The exact form is for up to 64 x 64 nodes or so that carry mass.
    first, second : arrays grid.shape
        Nonnegative, of integral 1.
    order, regularisation
        As in `wasserstein_points`.

    Returns
    -------
    Transport

    Raises
    ------
    ModuleNotFoundError
        Without POT.
    ValueError
        A periodic axis, a negative density or one of another mass.

    Examples
    --------
    >>> from importlib.util import find_spec
    >>> grid = Grid((0.0, 0.0), (1.0, 1.0), (5, 5))
    >>> first, second = np.zeros((5, 5)), np.zeros((5, 5))
    >>> first[1, 1], second[1, 3] = 1 / grid.weights[1, 1], 1 / grid.weights[1, 3]
    >>> round(wasserstein_grid(grid, first, second).distance, 9) if find_spec("ot") else 0.5
    0.5
    """
    if not isinstance(grid, Grid) or any(grid.periodic):
        raise ValueError("grid: expected a Grid without periodic axes, on which distances would go round")
    clouds, weights = [], []
    for name, density in (("first", first), ("second", second)):
        masses = grid.weights * grid.field(density, name)
        if masses.min() < 0 or abs(masses.sum() - 1) > 1e-9:
            raise ValueError(f"{name}: expected a density >= 0 of integral 1, got integral {masses.sum():.12g}")
        full = masses.ravel() > 0
        clouds.append(grid.points.reshape(masses.size, -1)[full])
        weights.append(masses.ravel()[full])
    return wasserstein_points(
        clouds[0], clouds[1], (weights[0], weights[1]), order=order, regularisation=regularisation
    )


def _distances(first, second):
    """All distances over the largest of them, so that no power leaves float64, and the map back to their size."""
    exponent = int(np.frexp(max(np.abs(first).max(), np.abs(second).max()))[1]) + 1
    first, second = (np.ldexp(points, -exponent) for points in (first, second))
    distances = np.linalg.norm(first[:, None] - second[None, :], axis=-1)
    largest = float(distances.max()) or 1.0
    return distances / largest, lambda share: float(np.ldexp(share * largest, exponent))


def _solved(masses, cost, regularisation):
    """A feasible plan and dual potentials of the first cloud."""
    try:
        import ot
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError('POT, which is not installed: pip install "pdelab[transport]"') from error
    if regularisation == 0.0:
        plan, log = ot.emd(*masses, cost, numItermax=10**7, log=True)
        if log["warning"]:
            raise FloatingPointError(f"the linear programme was not solved: {log['warning']}")
        return plan, log["u"]
    strength = regularisation * max(float(cost.max()), 1e-300)
    with np.errstate(over="ignore"):  # on the way to plans that are made feasible below
        plan, log = ot.sinkhorn(
            *masses, cost, strength, method="sinkhorn_log", numItermax=20000, stopThr=1e-9, log=True, warn=False
        )
    return _feasible(plan, masses), strength * log["log_u"]


def _feasible(plan, masses):
    """The plan with exactly these marginals (Altschuler, Weed, Rigollet 2017)."""
    a, b = masses
    plan = plan * np.minimum(a / np.maximum(plan.sum(1), 1e-300), 1.0)[:, None]
    plan *= np.minimum(b / np.maximum(plan.sum(0), 1e-300), 1.0)
    rest, other = np.maximum(a - plan.sum(1), 0.0), np.maximum(b - plan.sum(0), 0.0)
    return plan + np.outer(rest, other) / max(other.sum(), 1e-300)


def _checked_duality(masses, cost, plan, potentials, high):
    """The dual value, at most the cost of the plan, whose marginals are the masses; ArithmeticError otherwise."""
    for axis, mass in ((1, masses[0]), (0, masses[1])):
        checks.bounded(plan.sum(axis), mass, mass, 1e-9, "the marginals of the plan")
    low = _dual_value(masses, cost, potentials)
    return checks.bounded(np.float64(low), -math.inf, high, 1e-9 * float(cost.max()), "the dual value")


def _dual_value(masses, cost, potentials):
    """The dual value of potentials made feasible by one c-transform on each side: a lower bound."""
    second = (cost - potentials[:, None]).min(0)
    first = (cost - second[None, :]).min(1)
    return float(masses[0] @ first + masses[1] @ second)


def _cloud(name, points):
    points = checks.reals(name, points)
    points = points[:, None] if points.ndim == 1 else points
    if points.ndim != 2 or not points.size or not np.isfinite(points).all():
        raise ValueError(f"{name}: expected finite points (n, d), got shape {points.shape}")
    return points


def _masses(weights, count):
    if weights is None:
        return np.full(count, 1 / count)
    weights = checks.reals("weights", weights)
    if weights.shape != (count,) or not (weights >= 0).all() or not 0 < weights.sum() < math.inf:
        raise ValueError(f"weights: expected {count} numbers >= 0, not all 0, got {checks.shown(weights)}")
    return weights / weights.sum()
