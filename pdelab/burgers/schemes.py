"""Schemes for Burgers' equation: conservative fluxes on a line, the gradient of Hamilton-Jacobi in 2-3 D."""

import math

import numpy as np

from pdelab import hamilton_jacobi
from pdelab.hamilton_jacobi.layout import CODES, inverse
from pdelab.kernels import fluxes
from pdelab.stepping import Stepper


def godunov(problem, grid, values):
    """Godunov's scheme: p_j ← p_j - dt/h (F_{j+1/2} - F_{j-1/2}) + ν dt δ²p, F the exact flux of the Riemann problem.

    Promises for dt (max|p|/h + 2ν/h²) <= 1: monotone, so comparison, the maximum principle, no growth of the total
    variation, and the entropy solution; the mass of a periodic line to round-off. First order. On a periodic grid
    shifted by h/2, its solution is the differences of `hamilton_jacobi.monotone` with the same dt, to round-off.
    2-3 D: the gradient of that scheme's solution.
    """
    return _scheme(problem, grid, values, fluxes.GODUNOV, hamilton_jacobi.monotone)


def engquist_osher(problem, grid, values):
    """Engquist-Osher's flux ((p_l⁺)² + (p_r⁻)²)/2: the promises and the bound of `godunov`, smoother at shocks.

    2-3 D: the gradient of `hamilton_jacobi.engquist_osher`.
    """
    return _scheme(problem, grid, values, fluxes.ENGQUIST_OSHER, hamilton_jacobi.engquist_osher)


def rusanov(problem, grid, values):
    """Rusanov's flux, the mean flux minus half the larger speed times the jump: simple, more diffusive. One dimension.

    At a shock between ±p its update depends on the node itself with the factor 3 dt|p|/h: the promises of `godunov`
    hold for dt (3 max|p|/h + 2ν/h²) <= 1.
    """
    if grid.dimension > 1:
        raise ValueError(f"rusanov: expected a one-dimensional grid, got {grid.dimension}: take godunov")
    return _line(problem, grid, values, fluxes.RUSANOV)


def high_resolution(problem, grid, values):
    """MUSCL-Hancock, monotonised central limiter, Godunov's flux: second order where smooth, sharp shocks.

    With a = max|p|/h and b = 2ν/h², for dt <= 2(√2 - 1)/a and dt (2a + b) <= 1 + a² dt² (Harten's conditions) it makes
    no new extrema and the total variation does not grow; the mass of a periodic line to round-off. Not monotone. First
    order in time for the viscous term. van Leer 1979.
    2-3 D: the gradient of `hamilton_jacobi.filtered`.
    """
    return _scheme(problem, grid, values, fluxes.HIGH_RESOLUTION, hamilton_jacobi.filtered)


def _scheme(problem, grid, values, kind, of_potential):
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
    if grid.boundary == ("periodic",):
        certificates["mass"] = lambda values, time: grid.integrate(values)
    return Stepper(advance, bound, certificates=certificates, info={"viscosity": nu})


def total_variation(values, grid):
    """Σ|p_{j+1} - p_j| of a line, closed when periodic."""
    last = values[:1] if grid.boundary == ("periodic",) else values[-1:]
    return float(np.abs(np.diff(values, append=last)).sum())


def _irrotational(problem, grid, values, scheme):
    """p = m + Du with u of the Hamilton-Jacobi equation in the frame moving with m, the mean on periodic axes."""
    means, start = potential(values, grid)
    drift = np.broadcast_to(-means, (*grid.shape, grid.dimension)) if means.any() else None
    flow = hamilton_jacobi.HamiltonJacobi(viscosity=problem.viscosity, drift=drift)
    inner = scheme(flow, grid, start)
    kept = {"p": values, "u": start}  # the potential of the latest p, so that it is integrated only once

    def potential_of(p):
        return kept["u"] if p is kept["p"] else potential(p, grid)[1]

    def advance(values, time, dt, steps):
        u = inner.advance(potential_of(values), time, dt, steps)
        p = grid.gradient(u) + means
        kept.update(p=p, u=u)
        return p

    return Stepper(
        advance,
        lambda values, time: inner.bound(potential_of(values), time),
        certificates={"curl": lambda values, time: curl(values, grid)},
        info=inner.info,
    )


def curl(p, grid):
    """max |∂_i p_k - ∂_k p_i| by central differences: round-off for a gradient computed by them."""
    parts = [grid.gradient(np.ascontiguousarray(p[..., k])) for k in range(grid.dimension)]
    return max(
        float(np.abs(parts[k][..., i] - parts[i][..., k]).max()) for i in range(grid.dimension) for k in range(i)
    )


def potential(p, grid):
    """(m, u): the mean of p along the periodic axes, shape (d,), and a potential of p - m, integrated line by line.

    Cubic splines along the first axis from the lower corner, then along the second from there, and so on.
    """
    from scipy.interpolate import CubicSpline  # a third of a second to import

    means, u = np.zeros(grid.dimension), 0.0
    for axis, (x, name, high) in enumerate(zip(grid.axes, grid.boundary, grid.upper)):
        line = p[..., axis]
        for other in range(axis + 1, grid.dimension):
            line = line.take([0], axis=other)
        if name == "periodic":
            means[axis] = p[..., axis].mean()
            line = line - line.mean(axis=axis, keepdims=True)
            closed = np.concatenate([line, line.take([0], axis=axis)], axis=axis)
            spline = CubicSpline(np.append(x, high), closed, axis=axis, bc_type="periodic")
        else:
            spline = CubicSpline(x, line, axis=axis)
        u = u + spline.antiderivative()(x)
    return means, np.ascontiguousarray(np.broadcast_to(u, grid.shape))
