"""Metastability: barriers between minima, Kramers' times to cross them, and simulated annealing.

    E τ = (2π/|λ₋|) sqrt(|det Hess f(saddle)| / det Hess f(minimum)) e^{beta (f(saddle) - f(minimum))} (1 + O(1/beta))
    ρ_t = div(ρ grad f) + Δρ/beta(t),  beta(t) = log(2 + t)/c:  finds the global minimum if and only if c >= E*

E* is the largest barrier between a minimum and a deeper one. The noise is sqrt(2/beta) dB, which has exp(-beta f) as
its law; Chaudhari, thesis section 4.1.1, prints the exponent of this noise beside dX = -grad f dt + beta^(-1/2) dB.
Exit times without asymptotics: `generator.mean_exit_time`; relaxation rates: `generator.spectral_gap`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.fokker_planck import FokkerPlanck, implicit
from pdelab.grid import Grid
from pdelab.hints import Field, Times
from pdelab.losses import Loss
from pdelab.stepping import AccuracyWarning, Solution, integral_error, solve

__all__ = ["Well", "anneal", "kramers_time", "wells"]

WARN_ABOVE = 0.01  # of the error in time, as `solve` does
DOUBLINGS = 10  # of the steps of `anneal`, for an accuracy
COMPARED, SURVEYED, LOOKS = 64, 256, 2**15  # steps to compare with, looks at beta between two times, and in all
DESCENT = 500  # steps, each of a node at most, in which a descent ends
NEARLY_CRITICAL = 0.02  # beta times what f changes up to the critical point: a relative error of the time


@dataclass(frozen=True)
class Well:
    """A local minimum on a grid and the lowest pass to a deeper one.

    Attributes
    ----------
    index, pass_index : tuple of ints
        Nodes of the minimum and of the pass (None for the global minimum).
    point, pass_point : tuple of floats
        Their coordinates.
    value : float
        f at the minimum.
    barrier : float
        f at the pass minus f at the minimum; math.inf for the global minimum.
    """

    index: tuple
    value: float
    barrier: float
    pass_index: tuple | None
    point: tuple = ()
    pass_point: tuple | None = None


def wells(loss: Field, grid: Grid) -> list[Well]:
    """All local minima of a field with their barriers, the most persistent first.

    Parameters
    ----------
    loss : Loss or array grid.shape
    grid : Grid

    Returns
    -------
    list of Well
        The first is the global minimum. The barrier of the second is E*, the depth that decides simulated annealing.

    Notes
    -----
    The merge tree of the sublevel sets, neighbours along the axes: nodes enter from the lowest up, and where two basins
    meet the shallower one ends. Plateaus count as one minimum. Cost: sorting, and a visit to each neighbour.

    In more than one dimension a narrow valley askew to the axes has many minima on the grid: of a Loss those from which
    it descends to the same point count once; of an array they all count, with barriers that fall with the spacing.

    Examples
    --------
    >>> import pdelab as pl
    >>> minima = wells(pl.Loss("x**4/4 - x**2/2 + x/10"), pl.Grid(-2.0, 2.0, 4001))
    >>> len(minima), round(minima[1].barrier, 4), round(minima[1].point[0], 3)
    (2, 0.1577, 0.946)
    """
    values = grid.field(loss, "loss").ravel()
    order = np.argsort(values, kind="stable")
    neighbours = _neighbours(grid)
    root = np.full(values.size, -1)
    passes = {}

    def basin(node):
        while root[node] != node:
            root[node] = root[root[node]]
            node = root[node]
        return node

    rank = np.empty(values.size, dtype=int)
    rank[order] = np.arange(values.size)
    for node in order:
        root[node] = node
        for other in neighbours[node]:
            if root[other] < 0:
                continue
            deep, shallow = sorted((basin(node), basin(other)), key=rank.__getitem__)
            if deep == shallow:
                continue
            if values[shallow] < values[node]:
                passes[shallow] = values[node] - values[shallow], node
            root[shallow] = deep
    passes[order[0]] = math.inf, None
    place = lambda node: None if node is None else tuple(int(i) for i in np.unravel_index(node, grid.shape))  # noqa: E731
    at = lambda index: index and tuple(float(axis[i]) for axis, i in zip(grid.axes, index))  # noqa: E731
    rows = []
    for low, (height, top) in passes.items():
        index, over = place(low) or (), place(top)
        rows.append(Well(index, float(values[low]), float(height), over, at(index), at(over)))
    rows = sorted(rows, key=lambda row: (-row.barrier, row.value))
    return _with_own_bottoms(rows, loss, grid) if isinstance(loss, Loss) and grid.dimension > 1 else rows


def _with_own_bottoms(rows, loss, grid):
    """The wells, of those from which the formula descends to one point of the box only the first."""
    spacing, period = np.array(grid.spacing), np.subtract(grid.upper, grid.lower)
    bottoms = _descended(loss, np.array([row.point for row in rows]), spacing)
    kept, seen = [], []
    for row, bottom in zip(rows, bottoms):
        apart = np.abs(np.array(seen).reshape(-1, grid.dimension) - bottom)
        apart = np.where(grid.periodic, np.minimum(apart % period, period - apart % period), apart)
        inside = (grid.periodic | ((bottom >= grid.lower) & (bottom <= grid.upper))).all()
        if not (inside and (apart <= spacing).all(axis=1).any()):
            kept.append(row)
            seen.append(bottom)
    return kept


def _descended(loss, x, spacing):
    """Where Newton's method with |Hessian|, a node a step at most and always down, takes points (m, d)."""
    value, moving = loss(x), np.arange(len(x))
    x = x.copy()
    for _ in range(DESCENT):
        curvatures, axes = np.linalg.eigh(loss.hessian(x[moving]))
        along = np.einsum("nij,ni->nj", axes, loss.gradient(x[moving]))
        step = -np.einsum("nij,nj->ni", axes, along / np.maximum(np.abs(curvatures), 1e-300))
        step /= np.maximum(np.abs(step / spacing).max(axis=1, keepdims=True), 1.0)
        for _ in range(30):
            lower = loss(x[moving] + step) <= value[moving]
            if lower.all():
                break
            step[~lower] /= 2
        x[moving] += step
        value[moving] = loss(x[moving])
        moving = moving[np.abs(step / spacing).max(axis=1) > 1e-3]
        if not moving.size:
            break
    return x


def _neighbours(grid):
    """Indices of the axis neighbours of each node, (nodes, 2d); a missing neighbour is the node itself."""
    index = np.arange(math.prod(grid.shape)).reshape(grid.shape)
    columns = []
    for axis, wraps in enumerate(grid.periodic):
        for shift in (1, -1):
            moved = np.roll(index, shift, axis)
            if not wraps:
                edge = (slice(None),) * axis + (0 if shift == 1 else -1,)
                moved[edge] = index[edge]
            columns.append(moved.ravel())
    return np.stack(columns, axis=1)


def kramers_time(loss: Loss, minimum: ArrayLike, saddle: ArrayLike, beta: float) -> float:
    """Kramers' mean time from a minimum over a saddle to the next minimum, for dX = -grad f dt + sqrt(2/beta) dB.

        (2π/|λ₋|) sqrt(|det Hess f(saddle)| / det Hess f(minimum)) e^{beta (f(saddle) - f(minimum))}

    Parameters
    ----------
    loss : Loss with a Hessian
    minimum, saddle : point, (d,) or a number in one dimension
        Critical points of f: a minimum, and a saddle with one downward direction.
    beta : float > 0

    Returns
    -------
    float
        With a relative error of O(1/beta). math.inf where it overflows. To the saddle itself it takes half as long.

    Raises
    ------
    ValueError
        A Hessian that is not that of a minimum, or of a saddle with one downward direction; a saddle that is no higher
        than the minimum.

    Warns
    -----
    AccuracyWarning
        Points so far from critical ones that the time changes by more than 2 %.

    Notes
    -----
    Eyring and Kramers; Bovier, Eckhoff, Gayrard, Klein (2004). The thesis leaves the prefactor out.

    Examples
    --------
    >>> import pdelab as pl
    >>> round(kramers_time(pl.Loss("(x**2 - 1)**2/4"), -1.0, 0.0, 20.0), 1)       # 2π e^5/sqrt(2)
    659.4
    """
    beta, d = checks.positive("beta", beta), loss.dimension
    spectra, off = {}, 0.0
    for name, point, downward in (("minimum", minimum, 0), ("saddle", saddle, 1)):
        if checks.reals(name, point, "a point").shape != (() if d == 1 else (d,)):
            raise ValueError(f"{name}: expected a point of {d} coordinates, got {point!r}")
        hessian = np.reshape(loss.hessian(point), (d, d))
        spectra[name] = np.linalg.eigvalsh(hessian)
        if (spectra[name] < 0).sum() != downward or (spectra[name] == 0).any():
            raise ValueError(
                f"{name}: expected {downward} negative and no zero eigenvalue of the Hessian at {point!r}, "
                f"got {spectra[name].tolist()}"
            )
        slope = np.ravel(loss.gradient(point))
        off += beta * abs(float(slope @ np.linalg.solve(hessian, slope))) / 2
    if off > NEARLY_CRITICAL:
        warnings.warn(
            f"minimum, saddle: expected critical points, got slopes that add up to {off:.2g}/beta: find the "
            "zeros of the gradient first",
            AccuracyWarning,
            stacklevel=2,
        )
    if not float(loss(saddle)) > float(loss(minimum)):
        raise ValueError(
            f"saddle: expected a value of f above that at the minimum, {float(loss(minimum)):.6g}, "
            f"got {float(loss(saddle)):.6g}"
        )
    logarithm = np.log(np.abs(spectra["saddle"])).sum() - np.log(spectra["minimum"]).sum()
    logarithm = 0.5 * logarithm + beta * (float(loss(saddle)) - float(loss(minimum)))
    logarithm += math.log(2 * math.pi / abs(spectra["saddle"][0]))
    return math.exp(logarithm) if logarithm < 709 else math.inf


def anneal(
    potential: Field,
    beta: Callable[[float], float],
    initial: ArrayLike,
    grid: Grid,
    times: Times,
    *,
    steps: int = 1,
    rtol: float | None = None,
) -> Solution:
    """Simulated annealing as a density: ρ_t = div(ρ grad f) + Δρ/beta(t) from ρ(·, 0).

    Parameters
    ----------
    potential : Loss or array grid.shape
        f.
    beta : callable
        Schedule t -> inverse temperature > 0 on [0, times[-1]], an array for an array of times.
    initial : array grid.shape
    grid : Grid, reflecting or periodic
    times : increasing sequence, > 0
        Times to save. For a logarithmic schedule take equal steps of log(t): 400 of them reach t = 1e7.
    steps : int
        Implicit steps between two of the times (from 0 to the first, too).
    rtol : float > 0, optional
        The largest relative error in time: the steps are doubled until the estimate is below it, and close where beta
        changes. By default an estimate above 1 % is an `AccuracyWarning`; math.inf makes none, which saves the second
        run.

    Returns
    -------
    Solution
        At the times given. For any steps it is positive and keeps the mass; the error is of first order in their size.
        info["time_error"], the largest over the times, is twice the distance to a run with twice as many steps, of
        which there are 64 or more, closer where beta changes at one of 32,768 looks, 256 or more between two times.

    Raises
    ------
    ValueError
        A schedule that is not > 0, times that do not increase from above 0, a density that does not fit the grid, an
        rtol that is not > 0 or not reached with 1024 times the steps.

    Warns
    -----
    AccuracyWarning
        A `time_error` above 1 %.

    Notes
    -----
    In the clock τ = ∫dt/beta(t) the equation has unit diffusivity and the potential beta f. The clock is summed by
    Gauss' rule with eight points a step.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-3.0, 3.0, 121)
    >>> f = pl.losses.double_well(tilt=0.1)
    >>> start = np.full(121, 1.0) / grid.integrate(np.full(121, 1.0))
    >>> end = anneal(f, lambda t: np.log(2 + t) / 0.5, start, grid, np.geomspace(1.0, 1e4, 40), rtol=1e-2).final
    >>> bool(grid.integrate(np.where(grid.x < 0, end, 0.0)) > 0.9)       # the deeper well
    True
    """
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
        raise ValueError(f"steps: expected a whole number >= 1, got {steps!r}")
    times = np.array(times, dtype=float)
    if times.ndim != 1 or times.size == 0 or not ((np.diff(times, prepend=0.0) > 0).all() and times[-1] < math.inf):
        raise ValueError(f"times: expected an increasing sequence of finite times > 0, got {times}")
    rtol = None if rtol is None else checks.positive("rtol", rtol, infinite=True)
    f, error = grid.field(potential, "potential"), 0.0
    least, uniform = math.ceil(COMPARED / len(times)), rtol is None or rtol == math.inf
    steps = steps if uniform else max(steps, least)
    annealed = _annealed(f, beta, initial, grid, times, steps, uniform)
    for doubled in range(0 if rtol == math.inf else DOUBLINGS + 1):
        finer = _annealed(f, beta, initial, grid, times, max(2 * steps, least), uniform=False)
        worst, error = _apart(annealed, finer, grid, len(times))
        if rtol is None or error <= rtol:
            break
        if doubled == DOUBLINGS:
            raise ValueError(
                f"rtol: {rtol:g} is out of reach, the error in time is about {error:.2g} with {steps} steps a saved "
                "time: take more times"
            )
        annealed, steps = finer, 2 * steps
    if error > WARN_ABOVE and rtol is None:
        warnings.warn(
            f"the error in time is about {100 * error:.2g} % at t = {times[worst]:.3g} with {steps} implicit steps a "
            "saved time: take more steps, more times or rtol=1e-3; rtol=math.inf asks for no accuracy in time",
            AccuracyWarning,
            stacklevel=2,
        )
    saved = slice(steps - 1, None, steps)
    info = {key: part[saved] if isinstance(part, np.ndarray) else part for key, part in annealed.info.items()}
    if rtol != math.inf:
        info["time_error"] = error
    return Solution(times, annealed.values[saved], grid, annealed.steps, info)


def _apart(annealed, finer, grid, count):
    """(number of the time, size) of the largest error in time of a run, twice its distance to one of half the steps."""
    last = [run.values[len(run.times) // count - 1 :: len(run.times) // count] for run in (annealed, finer)]
    share = integral_error(grid.weights)
    errors = [2 * share(coarse - fine, coarse, coarse) for coarse, fine in zip(*last)]
    return int(np.argmax(errors)), max(errors)


def _annealed(f, beta, initial, grid, times, steps, uniform):
    """The run with so many implicit steps between two of the times, saved after each, in the time of the clock."""
    ends = np.concatenate([[0.0], times])
    if uniform:
        inside = ends[:-1, None] + np.diff(ends)[:, None] * np.arange(steps) / steps
    else:
        looks = max(SURVEYED, LOOKS // len(times))
        inside = np.array([_spread(beta, begin, end, steps, looks) for begin, end in pairwise(ends)])
    fine = np.append(inside.ravel(), times[-1])
    schedule = _checked_schedule(beta, fine)
    abscissae, weights = np.polynomial.legendre.leggauss(8)
    inner = fine[:-1, None] + np.diff(fine)[:, None] * (abscissae + 1) / 2
    rates = 1 / _checked_schedule(beta, inner.ravel()).reshape(inner.shape)
    clock = np.concatenate([[0.0], np.cumsum(np.diff(fine) / 2 * (rates @ weights))])
    problem = FokkerPlanck(lambda tau: np.interp(tau, clock, schedule) * f, diffusivity=1.0)
    # one implicit step an interval of the clock: dt is longer than all of them
    return solve(problem, initial, grid, clock[1:], scheme=implicit, dt=2 * clock[-1], rtol=math.inf)


def _spread(beta, begin, end, steps, looks):
    """Where this many steps begin: even in the time, in its clock and in what log beta changes by, a third each."""
    first = np.geomspace(1e-6, 1.0, SURVEYED // 2) if begin == 0 else []
    looked = begin + (end - begin) * np.union1d(np.linspace(0.0, 1.0, looks), first)
    logs = np.log(_checked_schedule(beta, looked))
    changed = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(logs)))])
    clock = np.concatenate([[0.0], np.cumsum(np.diff(looked) * np.exp(-logs[1:]))])
    passed = (looked - begin) / (end - begin) + changed / max(changed[-1], 1e-3) + clock / clock[-1]
    return np.interp(np.arange(steps) / steps * passed[-1], passed, looked)


def _checked_schedule(beta, times):
    values = checks.reals("beta", checks.takes("beta", beta, "(times)")(times))
    if values.shape not in ((), times.shape):
        raise ValueError(f"beta: expected a number for each of {len(times)} times, got shape {values.shape}")
    values = np.broadcast_to(values, times.shape)
    if not (np.isfinite(values) & (values > 0)).all():
        worst = int(np.argmin(np.where(np.isfinite(values), values, -math.inf)))
        raise ValueError(f"beta: expected positive finite numbers, got {values[worst]} at t = {times[worst]:.6g}")
    return values
