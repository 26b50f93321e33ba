"""Two more questions to SGD and to Fokker-Planck on a slice: how long until a box is left, and which way it turns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from pdelab import checks, nonequilibrium
from pdelab.generator import mean_exit_time, stationary
from pdelab.grid import Grid
from pdelab.networks.bridge.densities import problems
from pdelab.networks.bridge.descent import descend
from pdelab.networks.bridge.noise import checked, flat_points, noise
from pdelab.networks.bridge.subspace import Subspace

__all__ = ["Exits", "OVERSHOOT", "Turning", "compare_exits", "compare_rotation"]

OVERSHOOT = 0.5825971579390106  # -ζ(1/2)/√(2π): a walk looked at every η passes a wall by this many σ√η on average


@dataclass(frozen=True)
class Exits:
    """Mean exit times from a box, in units of t = kη.

    Attributes
    ----------
    sgd, low, high : float
        SGD's mean with Student's interval; discrete steps pass the walls by some way.
    equations : {model: float}
        The mean exit time of each Fokker-Planck equation.
    moved : {model: float}
        The same with every wall moved out by 0.5826 times the noise of a step across it, at the wall's middle
        (Broadie, Glasserman and Kou 1997): what looking only after each step adds, to leading order.
    times : array (runs,)
        SGD's.
    """

    sgd: float
    low: float
    high: float
    equations: dict
    moved: dict
    times: np.ndarray


def compare_exits(
    subspace: Subspace,
    grid: Grid,
    start: ArrayLike,
    lr: float,
    *,
    batch: int = 1,
    replacement: bool = True,
    runs: int = 1000,
    longest: int = 100_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Exits:
    """How long SGD and Fokker-Planck take to leave the box of a grid from a point of it.

    Parameters
    ----------
    subspace : Subspace
        A line or a plane.
    grid : Grid
        With boundary="absorbing".
    start : point inside the grid
        Between nodes the mean exit times are interpolated.
    lr, batch, replacement, runs, seed
        As in `compare_densities`.
    longest : int
        Steps after which a run is given up.
    confidence : float in (0, 1)

    Returns
    -------
    Exits

    Raises
    ------
    ValueError
        A grid that does not absorb everywhere; a start outside; runs that are still inside after `longest`
        steps, whose mean would be too short.

    Examples
    --------
    >>> from pdelab import Grid
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> from pdelab.networks.bridge import random_directions, restrict
    >>> f = linear_model([[1.0, 0.5], [-1.0, 1.0], [0.5, 2.0], [2.0, -1.0]], [1.0, -1.0, 0.5, 1.5], [0.0, 0.0])
    >>> line = restrict(f, random_directions(f, 1))
    >>> exits = compare_exits(line, Grid(-0.5, 0.5, 41, boundary="absorbing"), 0.0, lr=0.1, runs=50)
    >>> bool(exits.low < exits.sgd < exits.high), sorted(exits.equations) == sorted(exits.moved)
    (True, True)
    """
    k = checked(subspace).dimension
    if not isinstance(grid, Grid) or grid.dimension != k or k > 2 or set(grid.ends) != {("absorbing", "absorbing")}:
        raise ValueError(f"grid: expected a Grid of dimension {k}, 1 or 2, with boundary='absorbing'")
    point, shape = flat_points(subspace, start, "start")
    if shape or not ((np.array(grid.lower) < point[0]) & (point[0] < np.array(grid.upper))).all():
        checks.refuse("start", "a point inside the grid", start)
    runs, longest = checks.whole("runs", runs, 2), checks.whole("longest", longest)
    confidence = checks.within("confidence", confidence, 0, 1, "()")
    states = np.repeat(point, runs, 0)
    states = states[:, 0] if k == 1 else states
    run = descend(
        subspace, states, lr, longest, batch, replacement=replacement, exit=(grid.lower, grid.upper), seed=seed
    )
    left = np.asarray(run.exit_times, float)
    if np.isnan(left).any():
        share = np.isnan(left).mean()
        raise ValueError(f"longest: {share:.1%} of the runs are still inside after {longest} steps: take more of them")
    half = stats.t.ppf(0.5 + 0.5 * confidence, runs - 1) * left.std(ddof=1) / math.sqrt(runs)
    common = (subspace, lr, batch, replacement)
    inner = Grid(grid.lower, grid.upper, grid.shape)
    still, moved = (_mean_exit_times(box, point[0], states, *common) for box in (inner, _widened(inner, *common)))
    return Exits(float(left.mean()), float(left.mean() - half), float(left.mean() + half), still, moved, left)


def _mean_exit_times(box, point, states, subspace, lr, batch, replacement):
    """{model: mean exit time}, between nodes interpolated."""
    grid = Grid(box.lower, box.upper, box.shape, boundary="absorbing")
    exits = {}
    for name, problem in problems(subspace, grid, lr, batch, replacement, states).items():
        times = mean_exit_time(problem, grid)
        exits[name] = float(box.interpolate(times, point[0] if box.dimension == 1 else point))
    return exits


def _widened(grid, subspace, lr, batch, replacement):
    """The grid with every wall moved out by the mean overshoot of a step across its middle."""
    middle, corners = (np.array(grid.lower) + np.array(grid.upper)) / 2, []
    for sign, side in ((-1, grid.lower), (1, grid.upper)):
        corner = np.array(side)
        for axis in range(grid.dimension):
            wall = middle.copy()
            wall[axis] = side[axis]
            D = np.reshape(
                noise(subspace, wall[0] if grid.dimension == 1 else wall, batch, replacement), (grid.dimension, -1)
            )
            corner[axis] += sign * OVERSHOOT * lr * math.sqrt(D[axis, axis])
        corners.append(corner)
    return Grid(*(tuple(corner) for corner in corners), grid.shape)


@dataclass(frozen=True)
class Turning:
    """How a plane's stationary SGD turns, E[u₁ du₂ - u₂ du₁]/dt about the mean, beside Fokker-Planck's.

    Attributes
    ----------
    sgd, low, high : float
        Of the runs, with the interval of nonequilibrium.rotation.
    p_value : float
        Of detailed balance.
    equations : {model: float}
        The same mean under each equation's stationary density.
    """

    sgd: float
    low: float
    high: float
    p_value: float
    equations: dict


def compare_rotation(
    subspace: Subspace,
    grid: Grid,
    start: ArrayLike,
    lr: float,
    steps: int,
    *,
    settle: int,
    batch: int = 1,
    replacement: bool = True,
    seed: int = 0,
) -> Turning:
    """The current of SGD in a plane against that of Fokker-Planck.

    Parameters
    ----------
    subspace : Subspace
        A plane.
    grid : Grid
        Reflecting, wide enough for the stationary density.
    start : array (runs, 2)
        At least 12 runs.
    lr, batch, replacement, seed
        As in `compare_densities`.
    steps, settle : int
        Steps that are measured, and before them steps that are not.

    Returns
    -------
    Turning

    Raises
    ------
    ValueError
        A line, a grid that is not a reflecting plane, fewer than 32 steps.

    Examples
    --------
    >>> from pdelab import Grid
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> from pdelab.networks.bridge import random_directions, restrict
    >>> f = linear_model([[1.0, 0.5], [-1.0, 1.0], [0.5, 2.0], [2.0, -1.0]], [3.0, 3.0, -3.0, -3.0], [0.0, 0.0])
    >>> plane, grid = restrict(f, random_directions(f, 2)), Grid((-3.0, -3.0), (3.0, 3.0), (41, 41))
    >>> turning = compare_rotation(plane, grid, np.zeros((12, 2)), lr=0.1, steps=40, settle=40)
    >>> bool(turning.low <= turning.sgd <= turning.high), "measured" in turning.equations
    (True, True)
    """
    if checked(subspace).dimension != 2 or not isinstance(grid, Grid) or grid.dimension != 2 or any(grid.periodic):
        raise ValueError(
            "subspace, grid: expected a plane and a reflecting Grid of dimension 2: a line has no rotation"
        )
    settle, steps = checks.whole("settle", settle), checks.whole("steps", steps, 32)
    common: dict[str, Any] = {"batch": batch, "replacement": replacement}
    before = descend(subspace, start, lr, settle, seed=seed, **common).final
    run = descend(subspace, before, lr, steps, save_every=1, seed=seed + 1, **common)
    rotation = nonequilibrium.rotation(run.states, run.times)
    area, low, high = (2 * float(part[0, 1]) for part in (rotation.Q, rotation.low, rotation.high))
    equations = {}
    drift = -subspace.loss.gradient(grid.points)
    for name, problem in problems(subspace, grid, lr, batch, replacement, run.final).items():
        density = stationary(problem, grid)
        mean = np.array([grid.integrate(density * x) for x in np.moveaxis(grid.points, -1, 0)])
        b = drift if name != "second order" else -np.stack(np.gradient(problem.potential, *grid.axes, edge_order=2), -1)
        u = grid.points - mean
        equations[name] = float(grid.integrate(density * (u[..., 0] * b[..., 1] - u[..., 1] * b[..., 0])))
    return Turning(area, low, high, float(rotation.p_value), equations)
