"""What algorithms find on a spin glass: descent from many starts, Newton's method, continuation in the field."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pdelab import checks
from pdelab.hints import Array
from pdelab.spin_glass.hamiltonian import SpinGlass

__all__ = ["CriticalPoints", "Descent", "chao1", "continuation", "critical_points", "descend"]

COLUMNS = 512  # points that are advanced together
NUMBERS = 2**23  # what the Hessians of a batch take together
ROUNDING = 1e-10  # a gradient that Newton's method need not improve
SAME = 1e-6  # two critical points whose 1 - cosine is below this are one


@dataclass(frozen=True)
class CriticalPoints:
    """Distinct critical points of a glass, in the order of their energies.

    Attributes
    ----------
    points : array (k, n)
    energies : array (k,)
        Per spin.
    index : int array (k,)
        Negative eigenvalues of the Hessian on the sphere.
    basins : int array (k,)
        How many starts ended at each.
    """

    points: Array
    energies: Array
    index: NDArray[np.int64]
    basins: NDArray[np.int64]

    @property
    def euler_characteristic(self) -> int:
        """sum (-1)^index: that of the sphere, 1 + (-1)^(n-1), when all critical points are there (Morse)."""
        return int(((-1) ** self.index).sum())


@dataclass(frozen=True)
class Descent:
    """Where gradient descent from many starts ended.

    Attributes
    ----------
    points : array (starts, n)
    energies : array (starts,), per spin
    gradients : array (starts,)
        Largest component of the gradient on the sphere at the end.
    steps : int array (starts,)
    converged : bool array (starts,)
    glass : SpinGlass
    """

    glass: SpinGlass
    points: Array
    energies: Array
    gradients: Array
    steps: NDArray[np.int64]
    converged: NDArray[np.bool_]

    @cached_property
    def minima(self) -> CriticalPoints:
        """The distinct minima among the converged end points, polished by Newton's method.

        An end point counts only if Newton's method from it stays near and ends where the Hessian is positive.
        """
        ends, sizes = _representatives(self.points[self.converged], 1e-3)
        polished, good = _newton(self.glass, ends, steps=30, stay=0.1)
        every = _distinct(self.glass, polished[good], sizes[good])
        keep = every.index == 0
        return CriticalPoints(every.points[keep], every.energies[keep], every.index[keep], every.basins[keep])


def descend(
    glass: SpinGlass,
    starts: int | ArrayLike,
    *,
    step: float | None = None,
    tolerance: float = 1e-4,
    most: int = 20000,
    seed: int = 0,
) -> Descent:
    """Gradient descent on the sphere from many starts at once.

    x <- x - step · gradient, projected back to the sphere, until no component of the gradient on the sphere exceeds the
    tolerance (the gradient in space never vanishes). Points that have arrived leave the batch.

    Parameters
    ----------
    glass : SpinGlass
    starts : int, or array (k, n)
        How many uniform starts, or the starts themselves.
    step : float or None
        None: 1/(largest curvature that a minimum can have), 0.1 for p = 3 without a field.
    tolerance : float > 0
    most : int
        Steps after which a start is given up (`converged` says so).
    seed : int
        Of the uniform starts.

    Returns
    -------
    Descent

    Raises
    ------
    ValueError
        What is no SpinGlass, starts of another dimension, numbers out of range.

    Examples
    --------
    >>> runs = descend(SpinGlass(20, seed=3), 50, seed=1)
    >>> bool(runs.converged.all()), bool((runs.minima.index == 0).all())
    (True, True)
    """
    if not isinstance(glass, SpinGlass):
        checks.refuse("glass", "a SpinGlass", glass)
    if isinstance(starts, (int, np.integer)) and not isinstance(starts, bool):
        points = glass.random_points(int(starts), seed)
    else:
        points = glass.project(starts).reshape(-1, glass.n)
    step = 1.0 / glass.stiffness if step is None else checks.positive("step", step)
    tolerance, most = checks.positive("tolerance", tolerance), checks.whole("most", most)
    ends = np.empty_like(points)
    gradients, steps = np.full(len(points), np.inf), np.full(len(points), most, np.int64)
    for first in range(0, len(points), COLUMNS):
        block = slice(first, first + COLUMNS)
        _descend_block(glass, points[block], step, tolerance, most, ends[block], gradients[block], steps[block])
    return Descent(glass, ends, glass.energy(ends), gradients, steps, gradients <= tolerance)


def critical_points(glass: SpinGlass, starts: int = 3000, seed: int = 0) -> CriticalPoints:
    """A census of critical points of every index by Newton's method from uniform starts.

    Morse theory gives the sum of (-1)^index over all critical points. While it is wrong, as many starts again are
    tried, up to eight times; then a warning says that points are missing. A right sum does not prove that none is:
    choose starts so that each point is found several times (`basins`).

    Parameters
    ----------
    glass : SpinGlass
    starts : int
        Good values: a hundred times `expected_critical_points`, which is possible up to n = 8 or so.
    seed : int
        Of the starts.

    Returns
    -------
    CriticalPoints

    Raises
    ------
    ValueError
        What is no SpinGlass, no starts.

    Examples
    --------
    >>> points = critical_points(SpinGlass(3, seed=1), starts=300)
    >>> int(((-1.0) ** points.index).sum())                               # Euler's number of the sphere |x|² = 3
    2
    """
    starts, ends = checks.whole("starts", starts), np.empty((0, glass.n))
    for round_ in range(8):
        polished, good = _newton(glass, glass.random_points(starts, seed + round_), steps=60)
        ends = np.concatenate([ends, polished[good]])
        census = _distinct(glass, ends, np.ones(len(ends), np.int64))
        if census.euler_characteristic == 1 + (-1) ** (glass.n - 1):
            return census
    warnings.warn(
        f"the signs of {census.index.size} critical points sum to {census.euler_characteristic}, the sphere's Euler "
        f"characteristic is {1 + (-1) ** (glass.n - 1)}: points are missing, take more starts",
        checks.AccuracyWarning,
        stacklevel=2,
    )
    return census


def chao1(basins: ArrayLike) -> float:
    """Chao's lower estimate of how many minima there are, from how often each was found (bias-corrected).

    observed + s (s - 1)/(2 (t + 1)), with s minima found once and t found twice (Chao 1984).

    Parameters
    ----------
    basins : array (m,) of int
        How often each minimum was found.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        Counts that are not whole and >= 1.

    Examples
    --------
    >>> chao1([5, 1, 1, 2])                                              # 4 + 2 · 1/(2 · 2)
    4.5
    """
    basins = checks.reals("basins", basins)
    if basins.ndim != 1 or not ((basins >= 1) & (basins == np.floor(basins)) & (basins < math.inf)).all():
        raise ValueError(f"basins: expected a list of whole numbers >= 1, got {checks.shown(basins)}")
    once, twice = int((basins == 1).sum()), int((basins == 2).sum())
    return float(basins.size + once * (once - 1) / (2 * (twice + 1)))


def continuation(glass: SpinGlass, point: ArrayLike, fields: ArrayLike) -> tuple[Array, Array]:
    """Follow a minimum while the field grows: where gradient descent takes it at each ν, starting from the last one.

    Parameters
    ----------
    glass : SpinGlass
        Its own field is not used: the field has its direction and the lengths that `fields` gives.
    point : array (n,)
    fields : array (k,)
        Values of ν, in the order in which they are switched on.

    Returns
    -------
    points (k, n), energies (k,) per spin

    Raises
    ------
    ValueError
        Fields that are negative or no list.
    FloatingPointError
        Descent that does not arrive.

    Examples
    --------
    >>> glass = SpinGlass(10, seed=0)
    >>> start = descend(glass, 1, seed=0).points[0]
    >>> points, energies = continuation(glass, start, [0.5, 1.0])
    >>> points.shape, bool(energies[1] < energies[0])
    ((2, 10), True)
    """
    fields = checks.reals("fields", fields)
    if fields.ndim != 1 or not (fields >= 0).all():
        raise ValueError(f"fields: expected a list of numbers >= 0, got {checks.shown(fields)}")
    x = glass.project(point)
    points, energies = [], []
    for field in fields:
        stage = glass.with_field(float(field))
        runs = descend(stage, x[None], tolerance=1e-5, most=200000)
        if not runs.converged.all():
            raise FloatingPointError(f"descent at field {field:g} did not arrive within 200000 steps: take more fields")
        polished, good = _newton(stage, runs.points, steps=30, stay=0.1)
        x = polished[0] if good[0] else runs.points[0]
        points.append(x)
        energies.append(float(stage.energy(x)))
    return np.array(points), np.array(energies)


def _descend_block(glass, points, step, tolerance, most, ends, gradients, steps):
    root = math.sqrt(glass.n)
    x, where = np.ascontiguousarray(points.T), np.arange(len(points))
    for k in range(most + 1):
        slope = glass.tangent(x, glass._slope(x))
        size = abs(slope).max(0)
        done = size <= tolerance
        if k == most:
            done[:] = True
        if done.any():
            arrived = where[done]
            ends[arrived], gradients[arrived], steps[arrived] = x.T[done], size[done], k
            x, slope, where = np.ascontiguousarray(x[:, ~done]), slope[:, ~done], where[~done]
            if not where.size:
                return
        x -= step * slope
        x *= root / np.linalg.norm(x, axis=0)


def _newton(glass, points, *, steps, stay=None):
    """Newton's method on the sphere; (points, which converged). `stay`: the largest 1 - cosine to the start allowed."""
    block = max(NUMBERS // (glass.couplings.shape[1] * glass.n), 1)
    pieces = [_newton_block(glass, points[k : k + block], steps) for k in range(0, len(points), block)]
    if not pieces:
        return points, np.zeros(0, bool)
    ends, good = (np.concatenate(part) for part in zip(*pieces))
    if stay is not None:
        good &= 1 - (ends * points).sum(1) / glass.n < stay
    return ends, good


def _newton_block(glass, points, steps):
    """Newton's method for some points together: the Hessian bordered by the point itself, steps of bounded length."""
    n, root = glass.n, math.sqrt(glass.n)
    x, sizes = np.ascontiguousarray(points.T), np.full(len(points), np.inf)
    active = np.arange(len(points))
    for k in range(steps + 1):
        slope = glass.tangent(x[:, active], glass._slope(x[:, active]))
        sizes[active] = abs(slope).max(0)
        active, slope = active[sizes[active] > ROUNDING], slope[:, sizes[active] > ROUNDING]
        if not active.size or k == steps:
            break
        border = np.zeros((active.size, n + 1, n + 1))
        border[:, :n, :n] = glass._hessians(x[:, active])
        border[:, :n, n] = border[:, n, :n] = x[:, active].T / root
        border[:, :n, :n] += 1e-14 * np.eye(n)  # an exactly singular matrix would stop the whole batch
        moves = np.linalg.solve(border, np.append(-slope, np.zeros((1, active.size)), axis=0).T[:, :, None])[:, :n, 0].T
        lengths = np.maximum(np.linalg.norm(moves, axis=0), 1e-300)
        x[:, active] += moves * np.minimum(1.0, 0.7 * root / lengths)
        x[:, active] *= root / np.linalg.norm(x[:, active], axis=0)
    return x.T, sizes < 1e-9


def _representatives(points, gap):
    """One point of every group within 1 - cosine < gap of it, and how many points each group has."""
    n = points.shape[1] if points.ndim == 2 else 1
    left, chosen, sizes = points, [], []
    while len(left):
        near = 1 - left @ left[0] / n < gap
        chosen.append(left[0])
        sizes.append(int(near.sum()))
        left = left[~near]
    return np.array(chosen).reshape(-1, n), np.array(sizes, np.int64)


def _distinct(glass, points, sizes):
    """The different ones among critical points, with the sum of their sizes, by energy."""
    n = glass.n
    left, weights, chosen, basins = points.reshape(-1, n), sizes, [], []
    while len(left):
        near = 1 - left @ left[0] / n < SAME
        chosen.append(left[0])
        basins.append(int(weights[near].sum()))
        left, weights = left[~near], weights[~near]
    chosen = np.array(chosen).reshape(-1, n)
    energies = glass.energy(chosen) if len(chosen) else np.empty(0)
    index = np.array([_index(glass, x) for x in chosen], np.int64)
    order = np.argsort(energies)
    return CriticalPoints(chosen[order], energies[order], index[order], np.array(basins, np.int64)[order])


def _index(glass, x):
    """Negative eigenvalues of the Hessian on the tangent space: the direction of x is sent far above."""
    return int((np.linalg.eigvalsh(glass.hessian(x) + 1e6 * np.outer(x, x) / glass.n) < 0).sum())
