"""What the page asks of the server: densities and paths of SGD and of the smoothed flow, from one start.

SGD: dX = -f'(X) ds + sqrt(2D) dW.  Smoothed flow: dX = -u_x(X, T (1 - s/S)) ds + sqrt(2D) dW, the scope T undone
while the clock runs to S. β shapes u through ν = 1/(2β); D is the diffusivity of both equations that run.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

import pdelab as pl
from pdelab.explorer.table import NODES, loss_of
from pdelab.losses import Loss

__all__ = ["Evolution", "evolve"]

SLICES, PATHS, SPREAD = 25, 20, 0.15
STEPS, MOST_STEPS = 400, 20_000
RATE = 0.5  # the largest product of a step and a curvature: Euler's step spreads without end above 2


@dataclass(frozen=True, eq=False)
class Evolution:
    """Densities at the end and paths up to it; n nodes, k saved times.

    Attributes
    ----------
    x, initial, sgd, flow, gibbs : array (n,)
        Nodes, first density, the two last ones, and exp(-βf) of mass one.
    times : array (k,)
    sgd_paths, flow_paths : array (k, PATHS)
    sgd_home, flow_home : float
        Mass that ends in the valley of f where the start lies.
    sgd_best, flow_best : float
        Mass that ends in the valley of the lowest minimum of f.
    distance : float
        Total variation between the last density of SGD and exp(-βf).
    doubts : tuple[str, ...]
        What the solver warned of, in words.
    """

    x: np.ndarray
    initial: np.ndarray
    sgd: np.ndarray
    flow: np.ndarray
    gibbs: np.ndarray
    times: np.ndarray
    sgd_paths: np.ndarray
    flow_paths: np.ndarray
    sgd_home: float
    flow_home: float
    sgd_best: float
    flow_best: float
    distance: float
    doubts: tuple[str, ...]


def evolve(
    loss: Loss | str,
    gamma: float,
    beta: float,
    *,
    diffusivity: float,
    start: float,
    clock: float,
    lower: float = -5.0,
    upper: float = 5.0,
    seed: int = 0,
) -> Evolution:
    """Densities and paths of SGD and of the smoothed flow.

    Parameters
    ----------
    loss : Loss of one variable, or its formula
    gamma : float >= 0
        T, the scope with which the smoothed flow begins; 0 makes it SGD.
    beta : float > 0
        Inverse temperature of the smoothing: ν = 1/(2β).
    diffusivity : float > 0
        D of the equations that run.
    start : float
        Mean of the first density, of standard deviation 0.15; the paths start there.
    clock : float > 0
        S, the time for which both run.
    lower, upper : float
        The interval; its ends reflect the densities.
    seed : int

    Returns
    -------
    Evolution

    Raises
    ------
    ValueError
        A start outside the interval, a clock or a coefficient that is not positive, a formula that is refused, a clock
        too long for paths in so sharp a valley.

    Examples
    --------
    >>> run = evolve("x**2/2", 1.0, 2.0, diffusivity=0.5, start=1.0, clock=16.0)
    >>> run.sgd_paths.shape[1], run.distance < 1e-3          # D = 1/beta samples exp(-beta f)
    (20, True)
    """
    loss = loss_of(loss, lower, upper)
    _check(start, clock, lower, upper)
    grid = pl.Grid(lower, upper, NODES)
    steps = _steps(grid, loss, start, diffusivity, clock)
    slices = _smoothed(loss, gamma, beta, lower, upper)
    potential = pl.fokker_planck.Slices(clock * slices[0], slices[1]) if gamma else loss
    initial = np.exp(-((grid.x - start) ** 2) / (2 * SPREAD**2))
    initial /= grid.integrate(initial)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", pl.AccuracyWarning)
        sgd, flow = (
            pl.solve(pl.FokkerPlanck(potential=u, diffusivity=diffusivity), initial, grid, clock).final
            for u in (loss, potential)
        )
    gibbs = pl.stationary(pl.FokkerPlanck(potential=loss, beta=beta), grid)
    noise = float(np.sqrt(2 * diffusivity))
    every: dict[str, Any] = {"t": clock, "dt": clock / steps, "paths": PATHS, "seed": seed, "save_every": steps // 100}
    euler = pl.paths.euler_maruyama
    drifts = (lambda points: -loss.gradient(points)), _drift(grid.x, slices, clock)
    plain, moved = (pl.simulate(pl.Diffusion(drift, noise), start, scheme=euler, **every) for drift in drifts)
    home, best = (_valley(grid, loss, place) for place in (start, grid.x[np.argmin(loss.on(grid))]))
    mass = lambda density, valley: float(grid.integrate(np.where(valley, density, 0.0)))  # noqa: E731
    return Evolution(
        grid.x, initial, sgd, flow, gibbs, plain.times, np.asarray(plain.states), np.asarray(moved.states),
        mass(sgd, home), mass(flow, home), mass(sgd, best), mass(flow, best),
        0.5 * float(grid.integrate(np.abs(sgd - gibbs))),
        tuple(dict.fromkeys(str(warning.message) for warning in caught)),
    )  # fmt: skip


def _check(start, clock, lower, upper):
    if not lower < start < upper:
        raise ValueError(f"start: expected a number between {lower:g} and {upper:g}, got {start:g}")
    if not 0 < clock < np.inf:
        raise ValueError(f"clock: expected a positive number, got {clock:g}")


def _steps(grid, loss, start, diffusivity, clock):
    """How many steps paths take, so that Euler's is stable for the curvatures they may meet; too many are refused."""
    f = loss.on(grid)
    reached = f <= np.interp(start, grid.x, f) + 15 * diffusivity
    steepest = float(np.abs(loss.hessian(grid.x))[reached].max(initial=0.0))
    if clock * steepest > 2 * RATE * MOST_STEPS:
        longest = 2 * RATE * MOST_STEPS / steepest
        raise ValueError(
            f"clock S: expected at most {longest:.2g} for paths where f'' is {steepest:.3g}, got {clock:g}"
        )
    return 100 * int(np.ceil(np.clip(clock * steepest / RATE, STEPS, MOST_STEPS) / 100))


@lru_cache(maxsize=32)
def _smoothed(loss, gamma, beta, lower, upper):
    """Fractions of the clock from 0 to 1, u at the scopes γ(1 - fraction) there, and its slopes: (k,), (k, n), (k, n).

    The scopes lie close together near 0, where u changes fastest.
    """
    grid = pl.Grid(lower, upper, NODES, boundary="outflow")
    parts = np.linspace(0.0, 1.0, SLICES) ** 1.5
    f, slope = loss.on(grid), loss.gradient(grid.x)
    if gamma == 0:
        return 1 - parts[::-1], np.array([f] * SLICES), np.array([slope] * SLICES)
    u = np.array([f, *pl.local_entropy(loss, grid, gamma * parts[1:], beta)])[::-1]
    return 1 - parts[::-1], u, np.gradient(u, grid.x, axis=1)


def _drift(x, slices, clock):
    """-u_x at (points, time), linear between nodes and slices."""
    fractions, _, slopes = slices

    def drift(points, t):
        part = min(t / clock, 1.0)
        k = min(int(np.searchsorted(fractions, part, side="right")) - 1, len(fractions) - 2)
        weight = (part - fractions[k]) / (fractions[k + 1] - fractions[k])
        return -np.interp(points, x, (1 - weight) * slopes[k] + weight * slopes[k + 1])

    return drift


def _valley(grid, loss, place):
    """The nodes between the two maxima of f around a place."""
    f = loss.on(grid)
    tops = grid.x[1:-1][(f[1:-1] > f[:-2]) & (f[1:-1] >= f[2:])]
    return np.searchsorted(tops, grid.x) == np.searchsorted(tops, place)
