"""The stepping schemes: backward Euler, Crank-Nicolson and forward Euler, each on a line, by axis or through Q."""

from __future__ import annotations

import math
from functools import lru_cache, partial

import numpy as np
from numpy.typing import ArrayLike

from pdelab.fokker_planck.accuracy import accuracy
from pdelab.fokker_planck.equations import FokkerPlanck
from pdelab.fokker_planck.jumps import sparse_run
from pdelab.fokker_planck.lines import line_run
from pdelab.fokker_planck.moving import moves
from pdelab.fokker_planck.splitting import split_run
from pdelab.fokker_planck.timing import damped, half_cells, instant
from pdelab.fokker_planck.walls import with_walls
from pdelab.generator import Ito, added_diffusion, generator, ito, largest_step
from pdelab.generator.fading import fades
from pdelab.grid import Grid
from pdelab.hints import Array, Field
from pdelab.kernels import tridiagonal
from pdelab.stepping import Stepper, scheme

__all__ = ["accuracy_step", "certificates", "crank_nicolson", "explicit", "free_energy", "implicit"]

TINY = np.finfo(float).tiny


@scheme(FokkerPlanck)
def implicit(problem: FokkerPlanck, grid: Grid, values: Array) -> Stepper:
    """Backward Euler: positive, mass and equilibrium kept, free energy falling, for every step; first order in dt.

    Eliminated without subtractions and refined once in flux form, so that the mass does not drift over 1e5 steps. In
    two and three dimensions one such step an axis, one after the other (each axis leaves the Gibbs density alone).
    The rule for dt=None is one cell a step at the speed rms(drift) + 2 D / width, taken over the initial density.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-4.0, 4.0, 101)
    >>> problem, start = pl.FokkerPlanck(grid.x**2 / 2, beta=1.0), pl.control.point_mass(grid, 2.0)
    >>> run = pl.solve(problem, start, grid, 5.0, scheme="implicit", dt=1.0, rtol=np.inf)
    >>> bool(run.final.min() > 0), bool(run.info["mass_drift"].max() < 1e-14)             # for every step
    (True, True)
    """
    return _stepper(problem, grid, values, tridiagonal.IMPLICIT)


@scheme(FokkerPlanck)
def crank_nicolson(problem: FokkerPlanck, grid: Grid, values: Array) -> Stepper:
    """Crank-Nicolson after four backward Euler quarter steps: second order in dt; keeps mass and equilibrium.

    Stable for every step. Not positive: with steps too large for the data it may undershoot, see info["minimum"]. In
    two and three dimensions the axes are split (Strang): half a step of every axis but the last, a whole step of the
    last, then the halves in reverse order. The rule for dt=None is that of `implicit`.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-4.0, 4.0, 101)
    >>> problem, start = pl.FokkerPlanck(grid.x**2 / 2, beta=1.0), np.exp(-(grid.x - 1) ** 2)
    >>> errors = {name: pl.solve(problem, start, grid, 1.0, scheme=name, dt=0.02).info["time_error"]
    ...           for name in ("implicit", "crank_nicolson")}
    >>> bool(errors["crank_nicolson"] < 0.1 * errors["implicit"])
    True
    """
    return _stepper(problem, grid, values, tridiagonal.TRAPEZOID)


@scheme(FokkerPlanck)
def explicit(problem: FokkerPlanck, grid: Grid, values: Array) -> Stepper:
    """Forward Euler: positive, mass and equilibrium kept, while dt times the largest rate out of a node is <= 1.

    Raises
    ------
    ValueError
        A step above the bound, also when rates that change with time outgrow it during the run.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-4.0, 4.0, 101)
    >>> run = pl.solve(pl.FokkerPlanck(grid.x**2 / 2, beta=1.0), np.exp(-grid.x**2), grid, 0.5, scheme="explicit")
    >>> bool(run.final.min() >= 0), bool(run.info["monotonicity"] <= 1)
    (True, True)
    """
    return _stepper(problem, grid, values, tridiagonal.EXPLICIT)


def _stepper(problem, grid, values, mode):
    return with_walls(_steps(problem, grid, values, 1, mode), problem, grid, partial(_steps, mode=mode))


def _steps(problem, grid, values, times, mode):
    form = ito(problem.coefficients(grid), grid)
    largest, info, half = None, {}, half_cells(problem, grid)
    shared = accuracy(problem, grid, form)
    if mode == tridiagonal.EXPLICIT:  # whose steps are short
        largest = _largest_steps(problem, grid)
        del shared["breaks"]
    if grid.dimension > 1 and (moves(problem.diffusion) or moves(problem.sigma)):
        run = _turning_run(problem, grid, form, times)
        shared["peaks"]["added_diffusion"] = lambda values, time: float(added_diffusion(problem, grid, time).max())
    elif not form.diagonal:
        run = sparse_run(problem, grid, times)
        info["added_diffusion"] = float(added_diffusion(problem, grid).max())
    elif grid.dimension > 1 or (not problem.steady and (grid.absorbing.any() or form.share or fades(form, grid))):
        run = split_run(problem, grid, form)
    else:
        run = line_run(problem, grid, form)
    rule = None if mode == tridiagonal.EXPLICIT else accuracy_step(form, grid, values)

    def steps(m, time, dt, count):
        return run(m, mode, time, dt, count)

    def quarters(m, time, dt):
        return run(m, tridiagonal.IMPLICIT, time, dt / 4, 4)

    def explicit_steps(m, time, dt, count):
        if dt > largest(time + (dt if problem.adjoint else 0.0)) * (1 + 1e-12):
            raise ValueError(f"explicit: the rates grow so fast that dt = {dt:.6g} is too large at t = {time:.6g}")
        return steps(m, time, dt, count)

    init, advance, masses = np.copy, steps, lambda m: m
    if mode == tridiagonal.TRAPEZOID:
        init, advance, masses = damped(problem.adjoint, quarters, steps)
    elif mode == tridiagonal.EXPLICIT and not problem.steady:
        advance = explicit_steps
    return Stepper(
        advance,
        _never if largest is None else _bound(largest, problem),
        rule,
        problem.steady or mode != tridiagonal.EXPLICIT,
        certificates(problem, grid, form),
        info,
        init=lambda values: init(values * half),
        values=lambda state: masses(state) / half,
        order=2 if mode == tridiagonal.TRAPEZOID else 1,
        **shared,
    )


def _turning_run(problem, grid, form, times):
    """(masses, mode, time, dt, steps) -> masses for Σ(x, t): by axis where it is diagonal, else by the sparse Q."""
    by_axis, by_jumps = split_run(problem, grid, form), sparse_run(problem, grid, times)

    def run(m, mode, time, dt, steps):
        for begin in time + dt * np.arange(steps):
            coefficients = problem.coefficients(grid, begin + instant(problem, mode) * dt)
            m = (by_axis if ito(coefficients, grid).diagonal else by_jumps)(m, mode, begin, dt, 1)
        return m

    return run


def _never(state, time):
    return math.inf


def _largest_steps(problem, grid):
    """time -> 1 / (largest rate out of a node)."""

    @lru_cache(maxsize=4)
    def at(time):
        form = ito(problem.coefficients(grid, time), grid)
        if form.diagonal:
            return largest_step(form, grid)
        return 1 / float(-generator(problem, grid, time).diagonal().min())

    return (lambda time: at(0.0)) if problem.steady else at


def _bound(largest, problem):
    """The bound of an explicit step: that of its rates, which the adjoint takes at the end of the step."""

    def bound(state, time):
        step = largest(time)
        while problem.adjoint and step > largest(time + step):
            step = largest(time + step)
        return step

    return bound


def accuracy_step(form: Ito, grid: Grid, values: Array) -> float:
    """The time in which the solution moves by one cell, at the speed rms(drift) + 2 D / width of the box.

    Means are weighted by |values|.

    Parameters
    ----------
    form : Ito
        The coefficients, as `pdelab.generator.ito` gives them.
    grid : Grid
    values : array grid.shape
        The initial data.

    Returns
    -------
    float
        The default dt of `implicit` and `crank_nicolson`.

    Examples
    --------
    >>> import pdelab as pl
    >>> from pdelab.generator import ito
    >>> grid = pl.Grid(-1.0, 1.0, 101)
    >>> problem = pl.FokkerPlanck(np.zeros(101), diffusivity=0.5)
    >>> round(accuracy_step(ito(problem.coefficients(grid), grid), grid, np.ones(101)), 6)      # h/(2 D/width)
    0.04
    """
    share = np.abs(values) * grid.weights
    share = share / share.sum() if share.sum() > 0 else grid.weights / grid.weights.sum()
    rate = 0.0
    for axis, drop in enumerate(form.drops):
        h, width = grid.spacing[axis], grid.upper[axis] - grid.lower[axis]
        D = form.a[axis] if form.diagonal else form.a[..., axis, axis]
        rate += (math.sqrt(float(np.sum(share * drop**2))) / h + 2 * float(np.sum(share * D)) / width) / h
    return 1 / rate if rate > 0 else math.inf


def certificates(problem, grid, form):
    """Mass, and free energy where the equilibrium is Gibbs."""
    if problem.adjoint:
        return {}
    measured = {"mass": lambda values, time: float((grid.weights * values).sum())}
    if problem.gibbs and not grid.absorbing.any():
        measured["free_energy"] = lambda values, time: free_energy(values, form.potential, problem.diffusivity, grid)
    return measured


def free_energy(density: ArrayLike, potential: Field, diffusivity: float, grid: Grid) -> float:
    """F(ρ) = ∫ U ρ + D ρ log ρ dx, which the Fokker-Planck equation decreases (Chaudhari, thesis section 4.1).

    Where ρ < 0, as a scheme that is not positive may leave it, ρ log ρ counts as zero.

    Parameters
    ----------
    density : array grid.shape
        ρ.
    potential : Loss or array grid.shape
        U.
    diffusivity : float >= 0
        D.
    grid : Grid

    Returns
    -------
    float

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-5.0, 5.0, 201)
    >>> gibbs = pl.stationary(pl.FokkerPlanck(grid.x**2 / 2, diffusivity=1.0), grid)
    >>> round(free_energy(gibbs, grid.x**2 / 2, 1.0, grid), 6), round(float(-np.log(2 * np.pi) / 2), 6)      # -D log Z
    (-0.918938, -0.918939)
    """
    density, potential = grid.field(density, "density"), grid.field(potential, "potential")
    positive = np.maximum(density, TINY)
    energy = np.log(positive)
    energy *= diffusivity * positive
    energy += potential * density
    return float(np.vdot(grid.weights, energy))
