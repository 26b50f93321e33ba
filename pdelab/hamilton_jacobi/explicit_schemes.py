"""Explicit schemes: monotone (Godunov), Engquist-Osher, fitted, WENO and its filter."""

from __future__ import annotations

import math
from operator import itemgetter

import numpy as np

from pdelab import checks
from pdelab.grid import Grid
from pdelab.hamilton_jacobi.equations import HamiltonJacobi, Heat
from pdelab.hamilton_jacobi.layout import Flow, coefficients, ends, inverse, largest_slopes, layout
from pdelab.hamilton_jacobi.threads import crew, march, workers
from pdelab.hints import Array
from pdelab.kernels import slopes
from pdelab.stepping import Stepper, scheme

__all__ = ["engquist_osher", "filtered", "fitted", "monotone", "weno"]

TINY = 1e-30  # no smoothness is measured against less: its eighth power must not underflow
STAGES = ((0.0, 1.0, 0.0), (0.75, 0.25, 1.0), (1 / 3, 2 / 3, 0.5))  # of Shu and Osher's method: a, b, and when


@scheme(HamiltonJacobi, Heat)
def monotone(problem: HamiltonJacobi | Heat, grid: Grid, values: Array) -> Stepper:
    """Godunov's scheme with central viscosity: explicit, monotone, order one in the sup norm, kinks included.

    uⱼ ← uⱼ - dt/2 Σ_i max(p⁻_i⁺, p⁺_i⁻)² + ν dt Σ_i δ_i² u. With drift each axis has the Hamiltonian p²/2 - b p and its
    own exact Godunov flux, max((p⁻-b)⁺, (p⁺-b)⁻)²/2 - b²/2.

    Promises, for dt Σ_i ((L_i + max|b_i|)/h_i + 2ν/h_i²) <= 1 with L_i the largest slope of the data: the update is
    non-decreasing in every node (hence comparison and, without drift, no growth of max|u| or of the slopes) and
    commutes with constants. A larger step is refused. Heat: second order, the maximum principle and, except at
    outflow ends, the mass.

    Boundaries: periodic; reflecting (mirror ghosts); outflow (the outer slope is the minimiser b of p²/2 - b p, zero
    without drift, and the normal second difference is dropped). Outflow ends are right where characteristics leave,
    (p - b)·n >= 0 with n the outer normal; with viscosity up to about ν² |u_nn|/p² within ν/|p| of the end. Where
    characteristics come in, as for -x at its upper end, `info["inflow"]` is their largest speed and a warning says so.

    A drift that depends on time counts with its values at the beginning of each step.

    Grids of two and three dimensions with 2²² nodes and more are stepped by NUMBA_NUM_THREADS threads (by default as
    many as there are cores); the result is the same bit for bit.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-2.0, 2.0, 401)
    >>> u = pl.solve(pl.HamiltonJacobi(viscosity=0.0), grid.x**2 / 2, grid, 1.0, scheme="monotone").final
    >>> bool(abs(u - grid.x**2 / 4)[100:301].max() < 0.01)               # x²/(2(1 + t)), first order in h = 0.01
    True
    """
    return _explicit(problem, grid, slopes.GODUNOV)


@scheme(HamiltonJacobi, Heat)
def engquist_osher(problem: HamiltonJacobi | Heat, grid: Grid, values: Array) -> Stepper:
    """Engquist-Osher's scheme: as `monotone` with (p⁻⁺)² + (p⁺⁻)² in place of the larger of the two.

    At a local maximum both one-sided slopes act, so the promises need dt Σ_i (2(L_i + max|b_i|)/h_i + 2ν/h_i²) <= 1.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-1.0, 1.0, 201)
    >>> u = pl.solve(pl.HamiltonJacobi(viscosity=0.0), -abs(grid.x), grid, 0.2, scheme="engquist_osher").final
    >>> round(float(u[100]), 3)                                          # -t/2 where the kink of a maximum was
    -0.103
    """
    return _explicit(problem, grid, slopes.ENGQUIST_OSHER)


@scheme(HamiltonJacobi, Heat)
def fitted(problem: HamiltonJacobi | Heat, grid: Grid, values: Array) -> Stepper:
    """A monotone scheme: second order where the grid resolves the viscosity, L h <= 2ν, Godunov's where it does not.

    With q the velocity, p²/2 = max_q (q p - q²/2); for each q the operator ν u_xx - q u_x has the rates
    max(ν/h², |q|/(2h)) ± q/(2h) to the two neighbours, central differences as long as they are monotone and upwind ones
    beyond (the switched form of exponential fitting). The minimum over q is taken exactly, so the update is monotone
    for dt Σ_i max(2ν/h_i², (L_i + max|b_i|)/h_i) <= 1, a larger step than `monotone` may take. Promises and
    boundaries are those of `monotone`; ν -> 0 gives it back. For Heat it is the same scheme.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-6.0, 6.0, 241)
    >>> f = pl.Loss("log(cosh(x))")
    >>> exact = pl.cole_hopf(f, grid, 1.0, beta=1.0)
    >>> errors = {name: abs(pl.solve(pl.HamiltonJacobi(beta=1.0), f, grid, 1.0, scheme=name).final - exact).max()
    ...           for name in ("monotone", "fitted")}
    >>> bool(errors["fitted"] < 0.2 * errors["monotone"])                # where the grid resolves the viscosity
    True
    """
    if problem.kinetic == 0:
        return monotone(problem, grid, values)
    return _explicit(problem, grid, slopes.FITTED)


@scheme(HamiltonJacobi, Heat)
def weno(problem: HamiltonJacobi | Heat, grid: Grid, values: Array) -> Stepper:
    """WENO5 slopes in Godunov's Hamiltonian, sixth-order viscosity, Runge-Kutta of order three: no promise kept.

    Order five in space and three in time (dt ~ h without viscosity) on smooth solutions, sharp kinks. Not monotone:
    use `filtered` where the proof matters. Step: dt Σ_i ((L_i + max|b_i|)/h_i + 2.6 ν/h_i²) <= 1. Outflow ends
    continue the data linearly. A drift that depends on time is taken at the times of the three stages. Threads as in
    `monotone`, from 2¹⁸ nodes on. Jiang, Peng 2000; Shu, Osher 1988.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(0.0, 2 * np.pi, 64, boundary="periodic")
    >>> u = pl.solve(pl.HamiltonJacobi(viscosity=0.0), np.cos(grid.x), grid, 0.5, scheme="weno").final
    >>> bool(abs(u - pl.hopf_lax(pl.Loss("cos(x)"), grid, 0.5)).max() < 1e-4)
    True
    """
    return _high_order(problem, grid, values, math.inf)


@scheme(HamiltonJacobi, Heat)
def filtered(problem: HamiltonJacobi | Heat, grid: Grid, values: Array, *, threshold: float | None = None) -> Stepper:
    """Froese-Oberman filter: the step of `weno` where it is close to the monotone step of `fitted`, else the latter.

    u ← M(u) + dt ε S((A(u) - M(u))/(dt ε)) with A the high-order and M the monotone step; S(x) = x for |x| <= 1,
    zero for |x| >= 2. High order on smooth solutions; converges like the monotone scheme whatever happens, since no
    step is further than dt ε from it.

    Parameters
    ----------
    threshold : float > 0, optional
        ε, in units of u per time. By default Σ_i min(5 h_i L_i K_i, L_i² sqrt(h_i / l_i)), L_i and K_i the largest
        slope and second difference of the data, l_i the length of the box: five times the consistency error of
        Godunov's scheme on smooth data, and o(1) on all. Use functools.partial to set it.

    Raises
    ------
    ValueError
        A threshold that is not a number > 0.

    Notes
    -----
    Froese, Oberman 2013; Bokanowski, Falcone, Sahu 2016 for the equation in time. `info["threshold"]` reports ε.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(0.0, 2 * np.pi, 64, boundary="periodic")
    >>> u = pl.solve(pl.HamiltonJacobi(viscosity=0.0), np.cos(grid.x), grid, 0.5, scheme="filtered").final
    >>> bool(abs(u - pl.hopf_lax(pl.Loss("cos(x)"), grid, 0.5)).max() < 1e-4)
    True
    """
    threshold = _consistency(grid, values) if threshold is None else checks.positive("threshold", threshold)
    return _high_order(problem, grid, values, threshold)


def _consistency(grid, values):
    """Σ_i min(5 h L K, L² sqrt(h / l)): what the monotone step may be wrong by in unit time."""
    total = 0.0
    slopes_of = largest_slopes(values, grid)
    for axis, (h, slope, low, high) in enumerate(zip(grid.spacing, slopes_of, grid.lower, grid.upper)):
        bend = np.abs(np.diff(values, 2, axis=axis)).max(initial=0.0) / h**2
        total += min(5 * h * slope * bend, slope**2 * math.sqrt(h / (high - low)))
    return total


def _high_order(problem, grid, values, threshold):
    shape, codes = layout(grid)
    nu, flow, h = problem.viscosity, Flow(problem, grid), np.array(grid.spacing)
    kind = slopes.FITTED if problem.kinetic else slopes.GODUNOV
    unit = (1.0,) * (3 - grid.dimension) + tuple(max(float(s), TINY) for s in largest_slopes(values, grid) * h)
    padded = np.empty([n + 6 if n > 1 else 1 for n in shape])

    def advance(state, time, dt, steps):
        values, out, stage = _fields(state, 2)
        arrays = values.reshape(-1), out.reshape(-1), stage.reshape(-1), padded
        k, d = coefficients(grid, problem.kinetic * dt / 2, nu * dt)
        threads = workers(values.size, 16) if grid.dimension > 1 else 1
        if threads == 1 and problem.steady:
            slopes.weno_march(*arrays, steps, shape, codes, k, d, flow.shift, unit, dt * threshold, kind)
        else:
            _stages(*arrays, (time, dt, steps), shape, codes, k, d, flow, unit, dt * threshold, kind, threads)
        return out, stage

    def bound(state, time):
        largest = problem.kinetic * largest_slopes(state[0], grid) + flow.at(time).speed
        return inverse(np.sum(largest / h + 2.6 * nu / h**2))

    info = {"viscosity": nu} | ({"threshold": threshold} if threshold < math.inf else {})
    return Stepper(
        advance, bound, fixed=flow.none, info=info, init=_fresh, values=itemgetter(0), order=3, **ends(problem, grid)
    )


def _stages(values, out, stage, padded, clock, shape, codes, k, d, flow, unit, threshold, kind, threads):
    """`slopes.weno_march` stage by stage: for threads, and for a drift that depends on time."""
    time, dt, steps = clock
    rows, lines, n = shape[0] * shape[1], padded.shape[0] * padded.shape[1], shape[2]
    out[:] = values
    with crew(threads) as each:
        for step in range(steps):
            for a, b, when in STAGES:
                source, target = out if when == 0 else stage, out if when == 0.5 else stage
                each(lambda i, j, u=source: slopes.pad(u, padded, i, j, shape, codes), lines)
                if target is out and threshold < math.inf:
                    now = shape, codes, k, d, flow.at(time + step * dt).shift, kind
                    each(lambda i, j, now=now: slopes.upwind_step(out, stage, i, j, *now), rows)
                now = shape, k, d, flow.at(time + (step + when) * dt).shift, unit
                mixed = padded, target, a, out, b
                each(lambda i, j, mixed=mixed, now=now: slopes.weno_stage(*mixed, i, j, *now), rows)
            if threshold < math.inf:
                each(lambda i, j: slopes.keep_close(out[i * n : j * n], stage[i * n : j * n], threshold), rows)


def _fresh(values):
    """A state from initial data: a field, and another to write on; None while the field belongs to the caller."""
    return values, None


def _fields(state, steps):
    """(source, target, work) for so many sweeps to and fro; memory is kept, since fresh memory is slow."""
    values, spare = state
    if spare is None:
        return values, np.empty_like(values), np.empty_like(values)
    return (values, spare, values) if steps % 2 == 1 else (values, values, spare)


def _explicit(problem, grid, kind):
    nu, flow, h, frame = problem.viscosity, Flow(problem, grid), np.array(grid.spacing), layout(grid)
    upwinded = kind != slopes.GODUNOV or not flow.none

    def advance(state, time, dt, steps):
        values, out, work = _fields(state, steps)
        arrays = values.reshape(-1), out.reshape(-1), work.reshape(-1)
        k, d = coefficients(grid, problem.kinetic * dt / 2, nu * dt)
        rest = (*frame, k, d, flow.at(time).shift, kind) if upwinded else (*frame, k, d)
        threads = workers(values.size, 2 if upwinded else 1) if grid.dimension > 1 else 1
        if threads > 1:
            sweep = slopes.upwind_step if upwinded else slopes.godunov_step
            parts = values.size // grid.shape[-1] if upwinded else grid.shape[0]  # rows, or slabs
            march(lambda u, new, first, last: sweep(u, new, first, last, *rest), *arrays, steps, parts, threads)
        elif upwinded:
            slopes.upwind_march(*arrays, steps, *rest)
        else:
            slopes.godunov_march(*arrays, steps, *rest)
        return out, work

    def bound(state, time):
        largest = problem.kinetic * largest_slopes(state[0], grid) + flow.at(time).speed
        return inverse(np.sum(_rates(kind, largest / h, 2 * nu / h**2)))

    certificates = {}
    if problem.kinetic == 0 and "outflow" not in grid.boundary:
        certificates["mass"] = lambda values, time: grid.integrate(values)
    return Stepper(
        advance, bound, fixed=flow.none, certificates=certificates, info={"viscosity": nu},
        init=_fresh, values=itemgetter(0), **ends(problem, grid),
    )  # fmt: skip


def _rates(kind, transport, diffusion):
    """What each axis takes away from its own node in unit time, at most."""
    if kind == slopes.FITTED:
        return np.maximum(transport, diffusion)
    return (2 if kind == slopes.ENGQUIST_OSHER else 1) * transport + diffusion
