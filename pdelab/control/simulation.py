"""Paths of the controlled process and what each of them pays."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.control.value import Value
from pdelab.hints import Array
from pdelab.noise import normals

__all__ = ["PathCost", "controlled_paths"]

PATHS_AT_ONCE, STEPS_AT_ONCE = 8192, 256


@dataclass(frozen=True, eq=False)
class PathCost:
    """What simulated paths paid; arrays (paths,) and (paths[, d]).

    Attributes
    ----------
    terminal : array
        V(X_T).
    effort : array
        ½∫|α|² dt.
    martingale : array
        sqrt(2D)∫α·dB, of mean zero. Under the best control terminal + effort - martingale = u(X_0, 0) on every
        single path: its spread measures how far a control is from the best.
    states : array
        X_T.
    """

    terminal: np.ndarray
    effort: np.ndarray
    martingale: np.ndarray
    states: np.ndarray

    @property
    def cost(self) -> Array:
        """terminal + effort."""
        return self.terminal + self.effort


def controlled_paths(
    value: Value, initial: ArrayLike, *, paths: int, steps: int, seed: int, controlled: bool = True
) -> PathCost:
    """Simulate dX = (-grad f - grad u) dt + sqrt(2D) dB over [0, T] and add up what each path pays.

    Parameters
    ----------
    value : Value
        u at saved times from 0 to T, linear in between and multilinear in space: steps + 1 equal times serve best.
    initial : float or array (d,) or (paths[, d])
    paths, steps : int
    seed : int
        Noise is addressed by (seed, path, step).
    controlled : bool
        False: α = 0, the plain process.

    Returns
    -------
    PathCost

    Raises
    ------
    ValueError
        Times of the value function that do not reach from 0 to T, states that do not fit, counts that are not whole.

    Notes
    -----
    Stochastic Heun, of weak order two for additive noise; paths are mirrored at the walls of a reflecting box, and a
    path that meets a wall loses an order.

    Examples
    --------
    >>> import pdelab as pl
    >>> from pdelab.control import Control, logarithmic_transform
    >>> grid = pl.Grid(-8.0, 8.0, 801)
    >>> value = logarithmic_transform(Control(None, pl.Loss("x**2/2"), 1.0, 0.5), grid, np.linspace(0, 1, 51))
    >>> run = controlled_paths(value, 0.0, paths=1000, steps=50, seed=1)
    >>> bool(abs((run.cost - run.martingale).mean() - np.log(2) / 2) < 1e-2)     # D log(1 + T)
    True
    """
    problem, grid = value.control, value.grid
    if not (value.times[0] == 0 and value.times[-1] == problem.horizon):
        raise ValueError(
            f"value: expected times from 0 to T = {problem.horizon}, got {value.times[0]} to {value.times[-1]}"
        )
    for name, count in (("paths", paths), ("steps", steps)):
        if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
            raise ValueError(f"{name}: expected a whole number >= 1, got {count!r}")
    states = _initial_states(initial, paths, grid)
    tables = _path_tables(value, steps, controlled)
    parts = []
    for first in range(0, paths, PATHS_AT_ONCE):
        chunk = range(first, min(first + PATHS_AT_ONCE, paths))
        noise = _kicks(problem, seed, chunk, steps, grid.dimension)
        parts.append(_march(grid, states[chunk.start : chunk.stop], tables, noise, problem.horizon / steps))
    effort, martingale, ends = (np.concatenate(part) for part in zip(*parts))
    ends = ends[..., 0] if grid.dimension == 1 else ends
    V = problem.terminal
    paid = V(ends) if callable(V) else grid.interpolate(problem.terminal_on(grid), ends)
    return PathCost(paid, effort, martingale, ends)


def _path_tables(value, steps, controlled):
    """[drift and α side by side] at the steps' times: arrays (*grid.shape, 2d)."""
    grid, control = value.grid, value.control
    shape = (*grid.shape, grid.dimension)
    if control.loss is None:
        free = np.zeros(shape)
    elif hasattr(control.loss, "gradient"):
        free = -np.reshape(control.loss.gradient(grid.points), shape)
    else:
        free = -np.reshape(grid.gradient(control.potential_on(grid)), shape)
    if not controlled:
        return [np.concatenate([free, np.zeros(shape)], axis=-1)] * (steps + 1)
    alphas = (np.reshape(value.optimal(time), shape) for time in np.linspace(0.0, control.horizon, steps + 1))
    return [np.concatenate([free - alpha, alpha], axis=-1) for alpha in alphas]


def _kicks(problem, seed, chunk, steps, d):
    """sqrt(2D) dB of each step in turn, (paths, d); drawn by blocks of steps, so that long runs need no more memory."""
    scale = math.sqrt(2 * problem.diffusivity * problem.horizon / steps)
    for first in range(0, steps, STEPS_AT_ONCE):
        for noise in normals(seed, chunk, range(first, min(first + STEPS_AT_ONCE, steps)), d):
            yield scale * noise.T


def _march(grid, x, tables, noise, dt):
    effort, martingale = np.zeros(len(x)), np.zeros(len(x))
    drift, alpha = _at(grid, tables[0], x)
    for ahead, kick in zip(tables[1:], noise):
        guess = _inside(grid, x + drift * dt + kick)
        x = _inside(grid, x + (drift + _at(grid, ahead, guess)[0]) * (dt / 2) + kick)
        before = alpha
        drift, alpha = _at(grid, ahead, x)
        effort += dt / 4 * ((before**2).sum(-1) + (alpha**2).sum(-1))
        martingale += (before * kick).sum(-1)
    return effort, martingale, x


def _at(grid, table, x):
    """Drift and α at points (paths, d), multilinear."""
    if grid.dimension == 1:  # a plain table look-up: four times faster than the general one
        position = (x[:, 0] - grid.lower[0]) / grid.spacing[0]
        if grid.periodic[0]:
            position %= len(table)
            table = np.concatenate([table, table[:1]])
        k = np.minimum(position.astype(int), len(table) - 2)
        values = table[k] + (position - k)[:, None] * (table[k + 1] - table[k])
    else:
        values = grid.interpolate(table, x)
    return values[..., : grid.dimension], values[..., grid.dimension :]


def _inside(grid, x):
    """Mirror points at the walls of reflecting axes; periodic axes wrap by themselves."""
    for axis, (low, high, wraps) in enumerate(zip(grid.lower, grid.upper, grid.periodic)):
        if not wraps:
            turn = np.mod(x[..., axis] - low, 2 * (high - low))
            x[..., axis] = low + np.minimum(turn, 2 * (high - low) - turn)
    return x


def _initial_states(initial, paths, grid):
    d = grid.dimension
    states = checks.reals("initial", initial, "a point or one point a path")
    states = states[..., None] if d == 1 else states
    if states.shape not in ((d,), (paths, d)):
        raise ValueError(
            f"initial: expected one point of {d} coordinates or {paths} of them, got shape {np.shape(initial)}"
        )
    states = np.broadcast_to(states, (paths, d)).copy()
    grid.interpolate(np.zeros(grid.shape), states[..., 0] if d == 1 else states)  # inside the box, or ValueError
    return states
