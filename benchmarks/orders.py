"""Observed orders of every scheme, equation and dimension: errors on refined grids against exact solutions.

Largest errors, for densities and for Burgers the integral of the error; `error` is the finest grid's, `order` the slope
over the last three grids above round-off. Hamilton-Jacobi, Heat, Burgers: smooth periodic data against Cole-Hopf
(viscous) or Hopf-Lax (inviscid, before the first kink). Fokker-Planck: Ornstein-Uhlenbeck, whose density is a Gaussian
at all times.
"""

import math
from functools import cache, partial

import numpy as np

import pdelab as pl
from benchmarks.harness import Row
from pdelab import fokker_planck
from pdelab.stepping import schemes_of

GRIDS = {1: (64, 128, 256, 512), 2: (32, 64, 128, 256), 3: (16, 24, 32, 48)}
STEPS = (0.1, 0.05, 0.025, 0.0125)
END = 0.4  # before the first kink of the waves below


def rows(quick=False):
    """One line a scheme, an equation and a dimension; quick: without the finest grid and without three dimensions."""
    for d in (1, 2) if quick else (1, 2, 3):
        sizes = GRIDS[d][:-1] if quick else GRIDS[d]
        for name, problem in (
            ("Hamilton-Jacobi, beta = 5", pl.HamiltonJacobi(beta=5.0)),
            ("Hamilton-Jacobi, inviscid", pl.HamiltonJacobi(beta=math.inf)),
            ("Heat, beta = 5", pl.Heat(beta=5.0)),
        ):
            for scheme in schemes_of(pl.HamiltonJacobi).values():
                yield from _in_space(f"{name}, {d}-D", scheme, sizes, partial(_potential, problem, d))
        yield from _fokker_planck(d, sizes)
    for name, beta in (("viscous, beta = 5", 5.0), ("inviscid", math.inf)):
        for scheme in schemes_of(pl.Burgers).values():
            sizes = GRIDS[1][:-1] if quick else (*GRIDS[1], 1024)
            yield from _in_space(f"Burgers, {name}, 1-D", scheme, sizes, partial(_burgers, beta))


def _in_space(problem, scheme, sizes, error):
    try:
        errors = [error(n, scheme) for n in sizes]
    except ValueError:
        return  # not made for this dimension
    yield _row(problem, scheme, 1.0 / np.array(sizes), errors, f"n = {', '.join(map(str, sizes))}")


def _row(problem, scheme, steps, errors, over):
    steps, last, above = np.array(steps), errors[-1], np.array(errors) > 1e-12
    steps, errors = steps[above][-3:], np.array(errors)[above][-3:]
    order = f"order {np.polyfit(np.log(steps), np.log(errors), 1)[0]:.2f}" if len(errors) > 1 else "round-off"
    return Row(problem, scheme.__name__, None, error=last, note=f"{order} over {over}")


# --- potentials: Hamilton-Jacobi and heat -----------------------------------------------------------------------------


def _waves(points, d):
    points = points[..., None] if d == 1 else points
    return sum(np.sin(points[..., k] + 0.3 * k) for k in range(d)) / 2 + np.cos(points.sum(axis=-1)) / 4


def _potential(problem, d, n, scheme):
    grid = pl.Grid((0.0,) * d, (2 * np.pi,) * d, n, boundary="periodic")
    u = pl.solve(problem, _waves(grid.points, d), grid, END, scheme=scheme, rtol=math.inf).final
    exact = _heat(grid, problem.viscosity) if problem.kinetic == 0.0 else _closed_form(problem.beta, d, n)
    return float(np.abs(u - exact).max())


def _heat(grid, viscosity):
    d = grid.dimension
    x = grid.points[..., None] if d == 1 else grid.points
    single = sum(np.sin(x[..., k] + 0.3 * k) for k in range(d)) / 2 * math.exp(-viscosity * END)
    return single + np.cos(x.sum(axis=-1)) / 4 * math.exp(-d * viscosity * END)


@cache
def _closed_form(beta, d, n):
    """Cole-Hopf or Hopf-Lax on a grid at least twice as fine."""
    finer = {1: 4096, 2: 512, 3: 192}[d] // n
    fine = pl.Grid((0.0,) * d, (2 * np.pi,) * d, finer * n, boundary="periodic")
    return pl.cole_hopf(_waves(fine.points, d), fine, END, beta)[(slice(None, None, finer),) * d]


# --- the conservation law ---------------------------------------------------------------------------------------------


def _burgers(beta, n, scheme):
    """From sin x, at t = 0.4; without viscosity the shock comes at t = 1."""
    grid = pl.Grid(0.0, 2 * np.pi, n, boundary="periodic")
    p = pl.solve(pl.Burgers(beta=beta), np.sin(grid.x), grid, END, scheme=scheme, rtol=math.inf).final
    foot = grid.x
    if math.isinf(beta):
        for _ in range(60):
            foot = grid.x - END * np.sin(foot)  # a contraction
        return float(grid.integrate(np.abs(p - np.sin(foot))))
    exact = pl.local_entropy_gradient(pl.Loss("-cos(x)"), grid.x, END, beta)
    return float(grid.integrate(np.abs(p - exact)))


# --- densities --------------------------------------------------------------------------------------------------------


def _law(grid, t):
    """The density of dX = -X dt + sqrt(2 D) dW with D = 1/2, started from a Gaussian of variance 0.1 at (0.6, ...)."""
    d, mean, variance = grid.dimension, 0.6 * math.exp(-t), 0.5 + (0.1 - 0.5) * math.exp(-2 * t)
    x = grid.points[..., None] if d == 1 else grid.points
    return np.exp(-((x - mean) ** 2).sum(axis=-1) / (2 * variance)) / (2 * np.pi * variance) ** (d / 2)


def _density(d, n, scheme, dt):
    grid = pl.Grid((-4.5,) * d, (4.5,) * d, n + 1)
    potential = (grid.points**2 if d == 1 else (grid.points**2).sum(axis=-1)) / 2
    return grid, pl.solve(
        pl.FokkerPlanck(potential, beta=2.0), _law(grid, 0.0), grid, 1.0, scheme=scheme, dt=dt, rtol=math.inf
    ).final


def _density_error(dt, d, n, scheme):
    grid, rho = _density(d, n, scheme, dt)
    return float(grid.integrate(np.abs(rho - _law(grid, 1.0))))


def _fokker_planck(d, sizes):
    """In h with small steps or exact in time; in dt against the solution that is exact in time on the same grid."""
    table = schemes_of(pl.FokkerPlanck)
    for scheme in table.values():
        if scheme is not fokker_planck.implicit:  # of first order in time; its rates are those of crank_nicolson
            exact = scheme in (fokker_planck.spectral, fokker_planck.chebyshev, fokker_planck.explicit)
            dt = None if exact else 2.5e-3
            yield from _in_space(f"Fokker-Planck in h, {d}-D", scheme, sizes, partial(_density_error, dt, d))
    fine = {1: 1024, 2: 128, 3: 32}[d]
    grid, exact = _density(d, fine, fokker_planck.chebyshev, None)
    for scheme in (table["implicit"], table["crank_nicolson"]):
        errors = [float(grid.integrate(np.abs(_density(d, fine, scheme, dt)[1] - exact))) for dt in STEPS]
        yield _row(f"Fokker-Planck in dt, {d}-D", scheme, STEPS, errors, f"dt = {', '.join(map(str, STEPS))}")
