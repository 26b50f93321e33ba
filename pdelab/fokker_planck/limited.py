"""A positive, conservative scheme of second order for drift that outruns diffusion: limited fluxes on the faces."""

import math
from functools import lru_cache

import numpy as np

from pdelab.fokker_planck.accuracy import peclet
from pdelab.fokker_planck.equations import FokkerPlanck
from pdelab.fokker_planck.schemes import certificates
from pdelab.generator import ito
from pdelab.grid import Grid
from pdelab.hints import Array
from pdelab.stepping import Stepper, integral_error, scheme

__all__ = ["high_resolution"]


@scheme(FokkerPlanck)
def high_resolution(problem: FokkerPlanck, grid: Grid, values: Array) -> Stepper:
    """Limited fluxes (MUSCL) for the drift, central ones for the diffusion, Heun in time: for large Peclet numbers.

    The flux over a face is b⁺ρ_L + b⁻ρ_R - δ(aρ)/h with ρ_L, ρ_R from slopes limited by the monotonised central
    limiter (van Leer 1979), a the diffusivity, axis by axis, all axes at once. Explicit: dt times
    Σ_i (2(b⁺ + b⁻) + a/h (one for each face))/h <= 1. Each of the two stages of Heun's method is then non-negative.

    Promises within that bound: density >= 0, mass to round-off, no diffusion added where the solution is smooth; second
    order in space and time there, first at extrema. Gibbs is kept to second order in the spacing only: where
    |b| h / D is small the schemes with Scharfetter-Gummel rates serve better. Diagonal diffusion, closed ends. The
    limiter is not linear, so that there is no adjoint: refused for the backward equation.

    Raises
    ------
    ValueError
        The backward equation, a full diffusion matrix, an absorbing end, rates that outgrow the step during the run.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-1.0, 1.0, 201, boundary="periodic")
    >>> problem, start = pl.FokkerPlanck(drift=np.ones(201), diffusivity=1e-4), np.exp(-50 * grid.x**2)
    >>> run = pl.solve(problem, start, grid, 2.0, scheme="high_resolution")                # once around
    >>> bool(abs(run.final - start).max() < 0.05), bool(run.final.min() >= 0)
    (True, True)
    """
    form = ito(problem.coefficients(grid), grid)
    if problem.adjoint:
        raise ValueError("high_resolution: expected FokkerPlanck; its limiter is not linear and has no adjoint")
    if not form.diagonal or grid.absorbing.any():
        raise ValueError("high_resolution: expected a diagonal diffusion and no absorbing end; use crank_nicolson")

    @lru_cache(maxsize=4)
    def at(time):
        now = ito(problem.coefficients(grid, time), grid)
        if not now.diagonal:
            raise ValueError(f"high_resolution: expected a diagonal diffusion, got a full matrix at t = {time:.6g}")
        return now, 1 / max(_largest_rate(now, grid), np.finfo(float).tiny)

    def moment(time):
        return at(0.0 if problem.steady else time)

    def advance(density, time, dt, steps):
        for step in range(steps):
            (before, _), (after, largest) = moment(time + step * dt), moment(time + (step + 1) * dt)
            if dt > largest * (1 + 1e-12):
                raise ValueError(
                    f"high_resolution: the rates grow so fast that dt = {dt:.6g} is too large at t = {time:.6g}"
                )
            stage = density + dt * _change(density, before, grid)
            density = 0.5 * density + 0.5 * (stage + dt * _change(stage, after, grid))
        return density

    def bound(density, time):
        step = moment(time)[1]
        while not problem.steady and step > moment(time + step)[1]:
            step = moment(time + step)[1]
        return math.inf if step > 1e300 else step

    return Stepper(
        advance,
        bound,
        fixed=problem.steady,
        certificates=certificates(problem, grid, form),
        order=2,
        measure=integral_error(grid.weights),
        peaks={"peclet": lambda values, time: peclet(moment(time)[0])},
    )


def _change(density, form, grid):
    """-div F, the rate of change of a density."""
    out = np.zeros(grid.shape)
    for axis, (drop, a) in enumerate(zip(form.drops, form.a)):
        h, x = grid.spacing[axis], np.moveaxis(density, axis, 0)
        drift, a = np.moveaxis(drop, axis, 0) / h, np.moveaxis(a, axis, 0)
        slope = _slopes(x, grid.boundary[axis] == "periodic")
        left, right = x + slope / 2, np.roll(x - slope / 2, -1, 0)
        spread = np.roll(a * x, -1, 0) - a * x
        if form.symmetric:  # Fick's law: one mean of a over the face
            spread = (a + np.roll(a, -1, 0)) / 2 * (np.roll(x, -1, 0) - x)
        flux = np.where(drift > 0, drift * left, drift * right) - spread / h
        if grid.boundary[axis] != "periodic":
            flux[-1] = 0.0
        cell = grid.axis_weights[axis].reshape(-1, *[1] * (grid.dimension - 1))
        out -= np.moveaxis((flux - np.roll(flux, 1, 0)) / cell, 0, axis)
    return out


def _slopes(x, periodic):
    """Differences over a cell along the first axis, limited; zero at extrema and at ends."""
    ahead, behind = np.roll(x, -1, 0) - x, x - np.roll(x, 1, 0)
    limited = np.minimum(np.minimum(2 * np.abs(ahead), 2 * np.abs(behind)), np.abs(ahead + behind) / 2)
    limited = np.where(ahead * behind > 0, np.sign(ahead) * limited, 0.0)
    if not periodic:
        limited[0] = limited[-1] = 0.0
    return limited


def _largest_rate(form, grid):
    """Of what leaves a node, over its density, when the values on its faces are twice it."""
    total = np.zeros(grid.shape)
    for axis, (drop, a) in enumerate(zip(form.drops, form.a)):
        h, open_axis = grid.spacing[axis], grid.boundary[axis] != "periodic"
        drift = np.moveaxis(drop, axis, 0) / h
        faces = np.ones(drift.shape)
        if open_axis:
            faces[-1] = 0.0
        leaving = 2 * np.maximum(drift, 0) * faces + np.roll(2 * np.maximum(-drift, 0) * faces, 1, 0)
        a = np.moveaxis(a, axis, 0)
        above, below = a, a  # what a node gives through its two faces
        if form.symmetric:
            above = (a + np.roll(a, -1, 0)) / 2
            below = np.roll(above, 1, 0)
        leaving = leaving + (above * faces + below * np.roll(faces, 1, 0)) / h
        cell = grid.axis_weights[axis].reshape(-1, *[1] * (grid.dimension - 1))
        total += np.moveaxis(leaving / cell, 0, axis)
    return float(total.max())
