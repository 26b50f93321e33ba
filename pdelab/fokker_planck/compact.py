"""Fourth order in space and in time: three-point rates with a compact correction, and two step sizes extrapolated."""

from __future__ import annotations

import numpy as np

from pdelab.fokker_planck.accuracy import accuracy
from pdelab.fokker_planck.equations import FokkerPlanck
from pdelab.fokker_planck.schemes import accuracy_step, certificates
from pdelab.fokker_planck.splitting import Sweeps
from pdelab.fokker_planck.timing import damped, half_cells
from pdelab.fokker_planck.walls import with_walls
from pdelab.generator import axis_rates, ito
from pdelab.generator.edges import lines
from pdelab.generator.smearing import peclet
from pdelab.grid import Grid
from pdelab.hints import Array
from pdelab.kernels import tridiagonal
from pdelab.stepping import Stepper, scheme

__all__ = ["compact"]

LEFT = (
    8.0  # cell Peclet number z from which the correction takes nothing of what the rates smear; below, all but (z/8)²
)
START = ((2, 2.0), (3, -9.0), (4, 8.0))  # backward Euler in k parts, extrapolated: third order, decays at every rate


@scheme(FokkerPlanck)
def compact(problem: FokkerPlanck, grid: Grid, values: Array) -> Stepper:
    """Fourth order in dt and in the spacing; keeps mass and equilibrium. A steady problem with constant diffusivity.

    In space, (I + θ A) ρ_t = A ρ for each axis, θ = h²/(12 D): A has Scharfetter-Gummel rates times
    1 + h² U''/(12 D), which leave exp(-U/D) invariant exactly. In time, axes are split (Strang) into trapezoidal
    steps with dt and, beside it, dt/2, of which (4 ρ_{dt/2} - ρ_dt)/3 is handed out; both begin with one damped step
    of third order.

    Not positive: with too large steps for the data it may undershoot, see info["minimum"]. Second order in the spacing
    where the density does not vanish at a wall with a force on it, and where U/D differs by more than 5 between nodes:
    there θ and the factor of the rates shrink together, down to the operator of `crank_nicolson`.
    The rule for dt=None is twice that of `crank_nicolson`.

    Raises
    ------
    ValueError
        A moving problem, a full or varying diffusion matrix, no noise.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-5.0, 5.0, 101)
    >>> problem, mean = pl.FokkerPlanck(grid.x**2 / 2, beta=1.0), np.exp(-1.0)
    >>> start = np.exp(-(grid.x - 1) ** 2) / np.sqrt(np.pi)              # variance 1/2, then 1 - e^(-2t)/2
    >>> run = pl.solve(problem, start, grid, 1.0, scheme="compact", dt=0.05)
    >>> variance = 1 - np.exp(-2.0) / 2
    >>> exact = np.exp(-(grid.x - mean) ** 2 / (2 * variance)) / np.sqrt(2 * np.pi * variance)
    >>> bool(abs(run.final - exact).max() < 1e-5)
    True
    """
    coefficients = problem.coefficients(grid)
    plain = coefficients.diffusion is None and coefficients.sigma is None
    if not (problem.steady and plain and problem.diffusivity > 0):
        raise ValueError(
            "compact: expected a steady potential or drift and a constant diffusivity > 0; use crank_nicolson otherwise"
        )
    share = _share(ito(coefficients, grid), grid)
    return with_walls(_steps(problem, grid, values), problem, grid, _steps, share)


def _smooth_share(form, grid):
    """Of what the generator's rates leave out of smooth functions inside, how much is left."""
    return min(1.0, (peclet(form, grid) / LEFT) ** 2)


def _share(form, grid):
    """The same at the nodes: all of it at walls."""
    share = np.full(grid.shape, _smooth_share(form, grid))
    for axis, ends in enumerate(grid.ends):
        along = np.moveaxis(share, axis, 0)
        for node, end in zip((0, -1), ends):
            along[node] = 1.0 if end == "reflecting" else along[node]
    return share


def _steps(problem, grid, values, *_):
    """The steps of `compact`."""
    coefficients = problem.coefficients(grid)
    form = ito(coefficients, grid)
    rates, shares = _fitted(coefficients.diffusivity, form, grid)
    sweeps, half = Sweeps(rates, shares, grid, problem.adjoint), half_cells(problem, grid)

    def run(pair, time, dt, steps):
        coarse, fine = pair  # by steps of dt and of dt / 2
        sweeps.trapezoid(coarse, dt, steps)
        sweeps.trapezoid(fine, dt / 2, 2 * steps)
        return pair

    init, advance, masses = damped(
        problem.adjoint,
        lambda m, time, dt: _start(m, dt, sweeps),
        run,
        pack=lambda m: (m, m.copy()),
        unpack=lambda pair: pair[1] + (pair[1] - pair[0]) / 3,
    )
    return Stepper(
        advance,
        dt=2 * accuracy_step(form, grid, values),
        certificates=certificates(problem, grid, form),
        init=lambda values: init(values * half),
        values=lambda state: masses(state) / half,
        order=4,
        **_of_fourth_order(accuracy(problem, grid, form, _share(form, grid)), _smooth_share(form, grid)),
    )


def _start(m, dt, sweeps):
    """One step of third order that damps what the grid cannot resolve."""
    smoothed, x = m.copy(), np.empty_like(m)
    for parts, weight in START:
        x[:] = m
        sweeps.euler(x, dt / parts, parts)
        x -= m
        x *= weight
        smoothed += x
    return smoothed


def _of_fourth_order(shared, share):
    """What the rates smear, less what the correction takes of it."""
    smeared = shared["estimates"]["smearing"]
    return shared | {
        "estimates": shared["estimates"] | {"smearing": lambda values, time: share * smeared(values, time)}
    }


def _fitted(D, form, grid):
    """(rates, θ) of each axis: the rates fitted to the curvature of the potential, and its correction to the masses."""
    rates, thetas = [], []
    for axis, (up, down) in enumerate(axis_rates(form, grid)):
        drop, periodic = lines(form.drops[axis], axis, grid.shape), grid.periodic[axis]
        theta, fitted = grid.spacing[axis] ** 2 / (12 * D), (up.copy(), down.copy())
        fastest = tridiagonal.fit(drop, D, periodic, *fitted)
        if theta * fastest > 1:  # θ must be less, and the factor of the rates 1 + θ U'' with it
            fitted, theta = (up, down), 1 / fastest
            fastest = tridiagonal.fit(drop, grid.spacing[axis] ** 2 / (12 * theta), periodic, *fitted)
        rates.append(fitted)
        thetas.append(min(theta, 1 / fastest))
    return rates, thetas
