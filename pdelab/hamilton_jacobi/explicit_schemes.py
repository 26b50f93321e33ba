"""Explicit schemes: monotone (Godunov), Engquist-Osher, fitted, WENO and its filter."""

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numba import config

from pdelab.hamilton_jacobi.layout import CODES, coefficients, inverse, largest_slopes, layout, positive, shifts, speeds
from pdelab.stencils import slopes
from pdelab.stepping import Stepper

TINY = 1e-30  # no smoothness is measured against less: its eighth power must not underflow
LARGE = 2**23  # nodes from which memory and both cores matter more than the last few per cent


def monotone(problem, grid, values):
    """Godunov's scheme with central viscosity: explicit, monotone, order one in the sup norm, kinks included.

    uⱼ ← uⱼ - dt/2 Σ_i max(p⁻_i⁺, p⁺_i⁻)² + ν dt Σ_i δ_i² u. With drift each axis has the Hamiltonian p²/2 - b p and its
    own exact Godunov flux, max((p⁻-b)⁺, (p⁺-b)⁻)²/2 - b²/2.

    Promises, for dt Σ_i ((L_i + max|b_i|)/h_i + 2ν/h_i²) <= 1 with L_i the largest slope of the data: the update is
    non-decreasing in every node (hence comparison and, without drift, no growth of max|u| or of the slopes) and
    commutes with constants. A larger step is refused. Heat: second order, the maximum principle and, except at
    outflow ends, the mass.

    Boundaries: periodic; reflecting (mirror ghosts); outflow (the outer slope counts as zero and the normal second
    difference is dropped: information only leaves).

    Grids of 2²³ nodes and more are stepped in place, with one array of memory, by NUMBA_NUM_THREADS threads (by
    default as many as there are cores); the result is the same bit for bit.
    """
    return _explicit(problem, grid, slopes.GODUNOV)


def engquist_osher(problem, grid, values):
    """Engquist-Osher's scheme: as `monotone` with (p⁻⁺)² + (p⁺⁻)² in place of the larger of the two.

    At a local maximum both one-sided slopes act, so the promises need dt Σ_i (2(L_i + max|b_i|)/h_i + 2ν/h_i²) <= 1.
    """
    return _explicit(problem, grid, slopes.ENGQUIST_OSHER)


def fitted(problem, grid, values):
    """A monotone scheme: second order where the grid resolves the viscosity, L h <= 2ν, Godunov's where it does not.

    With q the velocity, p²/2 = max_q (q p - q²/2); for each q the operator ν u_xx - q u_x has the rates
    max(ν/h², |q|/(2h)) ± q/(2h) to the two neighbours, central differences as long as they are monotone and upwind ones
    beyond (the switched form of exponential fitting). The minimum over q is taken exactly, so the update is monotone
    for dt Σ_i max(2ν/h_i², (L_i + max|b_i|)/h_i) <= 1, a larger step than `monotone` may take. Promises and
    boundaries are those of `monotone`; ν -> 0 gives it back. For Heat it is the same scheme.
    """
    if problem.kinetic == 0:
        return monotone(problem, grid, values)
    return _explicit(problem, grid, slopes.FITTED)


def weno(problem, grid, values):
    """WENO5 slopes in Godunov's Hamiltonian, sixth-order viscosity, Runge-Kutta of order three: no promise kept.

    Order five in space and three in time (dt ~ h without viscosity) on smooth solutions, sharp kinks. Not monotone:
    use `filtered` where the proof matters. Step: dt Σ_i ((L_i + max|b_i|)/h_i + 2.6 ν/h_i²) <= 1. Outflow ends
    continue the data linearly. Jiang, Peng 2000; Shu, Osher 1988.
    """
    return _high_order(problem, grid, values, math.inf)


def filtered(problem, grid, values, *, threshold=None):
    """Froese-Oberman filter: the step of `weno` where it is close to the monotone step of `fitted`, that one elsewhere.

    u ← M(u) + dt ε S((A(u) - M(u))/(dt ε)) with A the high-order and M the monotone step; S(x) = x for |x| <= 1,
    zero for |x| >= 2. High order on smooth solutions; converges like the monotone scheme whatever happens, since no
    step is further than dt ε from it.

    Parameters
    ----------
    threshold : float > 0, optional
        ε, in units of u per time. By default Σ_i min(5 h_i L_i K_i, L_i² sqrt(h_i / l_i)), L_i and K_i the largest
        slope and second difference of the data, l_i the length of the box: five times the consistency error of
        Godunov's scheme on smooth data, and o(1) on all. Use functools.partial to set it.

    Notes
    -----
    Froese, Oberman 2013; Bokanowski, Falcone, Sahu 2016 for the equation in time. `info["threshold"]` reports ε.
    """
    threshold = _consistency(grid, values) if threshold is None else positive(threshold, "threshold")
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
    nu, drift, h = problem.viscosity, problem.drift_on(grid), np.array(grid.spacing)
    shift, speed = shifts(drift, grid), speeds(drift, grid)
    kind = slopes.FITTED if problem.kinetic else slopes.GODUNOV
    unit = (1.0,) * (3 - grid.dimension) + tuple(max(float(s), TINY) for s in largest_slopes(values, grid) * h)

    def advance(values, time, dt, steps):
        out, stage = np.empty_like(values), np.empty_like(values)
        padded = np.empty([n + 6 if n > 1 else 1 for n in shape])
        arrays = values.reshape(-1), out.reshape(-1), stage.reshape(-1), padded
        k, d = coefficients(grid, problem.kinetic * dt / 2, nu * dt)
        slopes.weno_march(*arrays, steps, shape, codes, k, d, shift, unit, dt * threshold, kind)
        return out

    def bound(values, time):
        largest = problem.kinetic * largest_slopes(values, grid) + speed
        return inverse(np.sum(largest / h + 2.6 * nu / h**2))

    info = {"viscosity": nu} | ({"threshold": threshold} if threshold < math.inf else {})
    return Stepper(advance, bound, fixed=drift is None, info=info)


def _explicit(problem, grid, kind):
    nu, drift, h, frame = problem.viscosity, problem.drift_on(grid), np.array(grid.spacing), layout(grid)
    speed = speeds(drift, grid)
    upwinded = kind != slopes.GODUNOV or drift is not None
    shift = shifts(drift, grid) if upwinded else None
    scratch = []  # the second buffer, kept between calls: fresh memory costs as much as a few steps

    def advance(values, time, dt, steps):
        if values.size >= LARGE and grid.dimension > 1 and not upwinded:
            return march_in_place(values, steps, grid, *coefficients(grid, problem.kinetic * dt / 2, nu * dt))
        out = np.empty_like(values)
        if steps > 1 and not scratch:
            scratch.append(np.empty_like(values))
        work = scratch[0] if steps > 1 else out
        arrays = values.reshape(-1), out.reshape(-1), work.reshape(-1)
        k, d = coefficients(grid, problem.kinetic * dt / 2, nu * dt)
        if upwinded:
            slopes.upwind_march(*arrays, steps, *frame, k, d, shift, kind)
        else:
            slopes.godunov_march(*arrays, steps, *frame, k, d)
        return out

    def bound(values, time):
        largest = problem.kinetic * largest_slopes(values, grid) + speed
        return inverse(np.sum(_rates(kind, largest / h, 2 * nu / h**2)))

    certificates = {}
    if problem.kinetic == 0 and "outflow" not in grid.boundary:
        certificates["mass"] = lambda values, time: grid.integrate(values)
    return Stepper(advance, bound, fixed=drift is None, certificates=certificates, info={"viscosity": nu})


def march_in_place(values, steps, grid, k, d, threads=None):
    """`steps` Godunov steps with one array of memory; each thread sweeps its own slabs (planes, in 2-D rows)."""
    (shape, codes), n, end = layout(grid), grid.shape[0], grid.boundary[0]
    u = values.copy()
    slabs, flat = u.reshape(n, -1), u.reshape(-1)
    threads = min(config.NUMBA_NUM_THREADS if threads is None else threads, n)
    cuts = [n * part // threads for part in range(threads + 1)]
    beside = [slopes.neighbours(i, n, CODES[end])[:2] for i in range(n)]

    def sweep(first, last, before, after):
        slopes.godunov_in_place(flat, before, after, first, last, shape, codes, k, d)

    with ThreadPoolExecutor(threads) as pool:
        for _ in range(steps):
            parts = [
                (first, last, slabs[beside[first][0]].copy(), slabs[beside[last - 1][1]].copy())
                for first, last in pairwise(cuts)
            ]
            list(pool.map(lambda part: sweep(*part), parts))
    return u


def _rates(kind, transport, diffusion):
    """What each axis takes away from its own node in unit time, at most."""
    if kind == slopes.FITTED:
        return np.maximum(transport, diffusion)
    return (2 if kind == slopes.ENGQUIST_OSHER else 1) * transport + diffusion
