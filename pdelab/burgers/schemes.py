"""Schemes for Burgers' equation: conservative fluxes on a line, the gradient of Hamilton-Jacobi in 2-3 D."""

from __future__ import annotations

import math
from operator import itemgetter

import numpy as np

from pdelab import hamilton_jacobi
from pdelab.burgers.equation import Burgers
from pdelab.burgers.potentials import curl, potential
from pdelab.grid import Grid
from pdelab.hamilton_jacobi.layout import CODES, inverse
from pdelab.hints import Array
from pdelab.kernels import fluxes
from pdelab.stepping import Stepper, integral_error, scheme

__all__ = ["engquist_osher", "godunov", "high_resolution", "rusanov", "total_variation"]


@scheme(Burgers)
def godunov(problem: Burgers, grid: Grid, values: Array) -> Stepper:
    """Godunov's scheme: p_j ← p_j - dt/h (F_{j+1/2} - F_{j-1/2}) + ν dt δ²p, F the exact flux of the Riemann problem.

    For dt (max|p|/h + 2ν/h²) <= 1 it is monotone: comparison and the maximum principle hold, the total variation does
    not grow, and the limit is the entropy solution. On a periodic line the mass is kept to round-off. First order.

    On a periodic grid shifted by h/2 its solution is the differences of that of `hamilton_jacobi.monotone` with the
    same dt, to round-off. In 2-3 D the solution is the gradient of that scheme's solution.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-1.0, 1.0, 101, boundary="outflow")
    >>> p = pl.solve(pl.Burgers(viscosity=0.0), -np.sign(grid.x), grid, 0.5, scheme="godunov").final
    >>> p[[0, 50, 100]]                                                  # a shock at rest stays sharp
    array([ 1.,  0., -1.])
    """
    return _stepper(problem, grid, values, fluxes.GODUNOV, hamilton_jacobi.monotone)


@scheme(Burgers)
def engquist_osher(problem: Burgers, grid: Grid, values: Array) -> Stepper:
    """Engquist-Osher's flux ((p_l⁺)² + (p_r⁻)²)/2: the promises and the bound of `godunov`, smoother at shocks.

    2-3 D: the gradient of `hamilton_jacobi.engquist_osher`.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-1.0, 1.0, 101, boundary="outflow")
    >>> p = pl.solve(pl.Burgers(viscosity=0.0), np.sign(grid.x), grid, 0.5, scheme="engquist_osher", rtol=0.03).final
    >>> bool(np.abs(p - pl.burgers.riemann(-1.0, 1.0, grid.x, 0.5)).mean() < 0.02)
    True
    """
    return _stepper(problem, grid, values, fluxes.ENGQUIST_OSHER, hamilton_jacobi.engquist_osher)


@scheme(Burgers)
def rusanov(problem: Burgers, grid: Grid, values: Array) -> Stepper:
    """Rusanov's flux, the mean flux minus half the larger speed times the jump: simple, more diffusive. One dimension.

    At a shock between ±p its update depends on the node itself with the factor 3 dt|p|/h: the promises of `godunov`
    hold for dt (3 max|p|/h + 2ν/h²) <= 1.

    Raises
    ------
    ValueError
        A grid of several dimensions.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-1.0, 1.0, 101, boundary="outflow")
    >>> p = pl.solve(pl.Burgers(viscosity=0.0), -np.sign(grid.x), grid, 0.5, scheme="rusanov").final
    >>> bool(abs(p).max() <= 1), int((abs(p) < 0.99).sum())              # monotone, but the shock is smeared over nodes
    (True, 3)
    """
    if grid.dimension > 1:
        raise ValueError(f"rusanov: expected a one-dimensional grid, got {grid.dimension}: take godunov")
    return _line(problem, grid, values, fluxes.RUSANOV)


@scheme(Burgers)
def high_resolution(problem: Burgers, grid: Grid, values: Array) -> Stepper:
    """MUSCL-Hancock, monotonised central limiter, Godunov's flux: second order where smooth, sharp shocks.

    With a = max|p|/h and b = 2ν/h², for dt <= 2(√2 - 1)/a and dt (2a + b) <= 1 + a² dt² (Harten's conditions) it makes
    no new extrema and the total variation does not grow; the mass of a periodic line to round-off. Not monotone. First
    order in time for the viscous term. van Leer 1979.
    2-3 D: the gradient of `hamilton_jacobi.filtered`.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-1.0, 1.0, 101, boundary="outflow")
    >>> problem, start = pl.Burgers(viscosity=0.0), np.sign(grid.x)
    >>> run = {name: pl.solve(problem, start, grid, 0.5, scheme=name, rtol=np.inf).final
    ...        for name in ("godunov", "high_resolution")}
    >>> exact = pl.burgers.riemann(-1.0, 1.0, grid.x, 0.5)
    >>> bool(np.abs(run["high_resolution"] - exact).mean() < 0.5 * np.abs(run["godunov"] - exact).mean())
    True
    """
    return _stepper(problem, grid, values, fluxes.HIGH_RESOLUTION, hamilton_jacobi.filtered)


def _stepper(problem, grid, values, kind, of_potential):
    if grid.dimension == 1:
        return _line(problem, grid, values, kind)
    return _irrotational(problem, grid, values, of_potential)


def _line(problem, grid, values, kind):
    (h,), nu, code = grid.spacing, problem.viscosity, CODES[grid.boundary[0]]

    def advance(values, time, dt, steps):
        out = np.empty_like(values)
        fluxes.burgers_march(values, out, steps, code, dt / h, nu * dt / h**2, kind)
        return out

    def bound(values, time):
        transport, diffusion = float(np.abs(values).max()) / h, 2 * nu / h**2
        if kind == fluxes.HIGH_RESOLUTION:
            total = 2 * transport + diffusion
            harten = 2 * inverse(total + math.sqrt(diffusion * (diffusion + 4 * transport)))
            return min(2 * (math.sqrt(2) - 1) * inverse(transport), harten)
        return inverse((3 if kind == fluxes.RUSANOV else 1) * transport + diffusion)

    certificates = {"total_variation": lambda values, time: total_variation(values, grid)}
    if grid.periodic == (True,):
        certificates["mass"] = lambda values, time: grid.integrate(values)
    order = 2 if kind == fluxes.HIGH_RESOLUTION and nu == 0 else 1
    return Stepper(
        advance, bound, certificates=certificates, info={"viscosity": nu},
        order=order, measure=integral_error(grid.weights),
    )  # fmt: skip


def total_variation(values, grid):
    """Σ|p_{j+1} - p_j| of a line, closed when periodic."""
    last = values[:1] if grid.periodic == (True,) else values[-1:]
    return float(np.abs(np.diff(values, append=last)).sum())


def _irrotational(problem, grid, values, of_potential):
    """p = m + Du with u of the Hamilton-Jacobi equation in the frame moving with m, the mean on periodic axes."""
    means, start = potential(values, grid)
    wide, inside = _beyond_outflow(grid)
    drift = np.broadcast_to(-means, (*wide.shape, grid.dimension)) if means.any() else None
    flow = hamilton_jacobi.HamiltonJacobi(viscosity=problem.viscosity, drift=drift)
    inner = of_potential(flow, wide, _continued(start, grid))

    def init(p):
        return p, start if np.array_equal(p, values) else potential(p, grid)[1]

    def advance(state, time, dt, steps):
        u = state[1]
        for k in range(steps if wide is not grid else 1):
            count = 1 if wide is not grid else steps
            u = inner.march(_continued(u, grid), time + k * dt, dt, count)[inside]
        return grid.gradient(u) + means, u

    return Stepper(
        advance,
        lambda state, time: inner.largest_step(_continued(state[1], grid), time),
        certificates={"curl": lambda values, time: curl(values, grid)},
        info=inner.info,
        init=init,
        values=itemgetter(0),
        order=inner.order,
        measure=integral_error(grid.weights[..., None]),
    )


def _beyond_outflow(grid):
    """(the grid with a node more at outflow ends, slices of the nodes of the grid in it)."""
    more = np.array([name == "outflow" for name in grid.boundary])
    if not more.any():
        return grid, (...,)
    step, inside = more * np.array(grid.spacing), tuple(slice(int(e), -1 if e else None) for e in more)
    shape = tuple(int(n) for n in np.array(grid.shape) + 2 * more)
    return Grid(tuple(grid.lower - step), tuple(grid.upper + step), shape, boundary=grid.boundary), inside


def _continued(u, grid):
    """u with its outflow ends continued linearly: as on a line, what flows in has the p of the end."""
    for axis, name in enumerate(grid.boundary):
        if name == "outflow":
            low, next_low, next_high, high = (u.take([k], axis) for k in (0, 1, -2, -1))
            u = np.concatenate([2 * low - next_low, u, 2 * high - next_high], axis)
    return np.ascontiguousarray(u)
