"""Implicit schemes: backward Euler by policy iteration, and RODAS on a line."""

from __future__ import annotations

import math
from operator import itemgetter

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from pdelab import checks
from pdelab.grid import Grid
from pdelab.hamilton_jacobi.equations import HamiltonJacobi, Heat
from pdelab.hamilton_jacobi.explicit_schemes import fitted
from pdelab.hamilton_jacobi.layout import CODES, coefficients, ends, inverse, largest_slopes, shifts, speeds
from pdelab.hints import Array
from pdelab.kernels import policies, slopes
from pdelab.stepping import Stepper, scheme

__all__ = ["implicit", "rosenbrock"]

ITERATIONS = 100  # of policy iteration in one step; a handful is the rule
TINY = 1e-300


@scheme(HamiltonJacobi, Heat)
def implicit(problem: HamiltonJacobi | Heat, grid: Grid, values: Array) -> Stepper:
    """Backward Euler for the operator of `fitted`, solved by policy iteration: monotone for every step.

    Each step solves u - dt min_q(L_q u + cost_q) = u_old. With the speeds q of the last iterate the system is linear
    with an M-matrix: a tridiagonal solve on a line, BiCGSTAB in 2-3 D; new speeds, until nothing changes (Howard).
    Comparison, constants and, but for drift at outflow ends, the maximum principle hold whatever the step; first order
    in time, second in space where the viscosity is resolved. dt=None means 1/Σ_i ((L_i + max|b_i|)/h_i + 16 ν/(h_i
    l_i)), l_i the length of the box: about one cell per step, and errors in time no larger than those in space of the
    explicit scheme. A drift that depends on time counts with its values at the end of each step, and in the rule for dt
    with those at time 0.

    Raises RuntimeError when 100 iterations do not settle a step: take a smaller dt.

    Raises
    ------
    RuntimeError
        100 iterations do not settle a step: take a smaller dt.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-2.0, 2.0, 101)
    >>> run = pl.solve(pl.HamiltonJacobi(viscosity=0.5), abs(grid.x), grid, 1.0, scheme="implicit", dt=0.1, rtol=np.inf)
    >>> run.steps, bool(run.final.max() <= 2.0)                          # 62 times the step that `fitted` may take
    (10, True)
    """
    drift, nu, h = problem.drift_on(grid), problem.viscosity, np.array(grid.spacing)
    columns = h.reshape(-1, *[1] * grid.dimension)
    still = np.zeros((grid.dimension, *grid.shape)) if drift is None else columns * drift
    settle = _settle_line if grid.dimension == 1 else _settle_grid

    def advance(values, time, dt, steps):
        k, d = coefficients(grid, max(problem.kinetic * dt / 2, TINY), nu * dt)
        rates = sum(2 * b + a * float(np.ptp(values)) for a, b in zip(k, d))  # round-off grows with them
        tolerance = (1e-13 + 1e-15 * rates) * max(float(np.abs(values).max()), TINY)
        k, d = k[-grid.dimension :], d[-grid.dimension :]
        if problem.steady:
            return settle(values, grid, still, k, d, steps, tolerance)
        for step in range(1, steps + 1):
            values = settle(values, grid, columns * problem.drift_on(grid, time + step * dt), k, d, 1, tolerance)
        return values

    length = np.array(grid.upper) - np.array(grid.lower)
    largest = problem.kinetic * largest_slopes(values, grid) + speeds(drift, grid)
    dt = inverse(np.sum(largest / h + 16 * nu / (h * length)))
    return Stepper(advance, dt=dt, info={"viscosity": nu}, **ends(problem, grid))


def _settle_line(values, grid, shift, k, d, steps, tolerance):
    out, code = np.empty_like(values), CODES[grid.boundary[0]]
    done = policies.howard_march(values, out, steps, code, shift[0], k[0], d[0], tolerance, ITERATIONS)
    return _settled(out, done >= 0)


def _settle_grid(values, grid, shift, k, d, steps, tolerance):
    system, out = _System(grid), values
    for _ in range(steps):
        old, done = out, False
        for _ in range(ITERATIONS):
            change = system.improve(old, out, shift, k, d, tolerance)
            out = out + change
            done = np.abs(change).max() <= tolerance
            if done:
                break
        _settled(out, done)
    return out


def _settled(out, done):
    if not done:
        raise RuntimeError(f"policy iteration did not settle in {ITERATIONS} rounds: take a smaller dt")
    return out


class _System:
    """The sparse matrix 1 - L_q of a grid: fixed pattern, one row of 2d + 1 numbers a node, new rates each round."""

    def __init__(self, grid):
        self.grid = grid
        index = np.arange(math.prod(grid.shape)).reshape(grid.shape)
        columns = [index]
        for axis, (n, name) in enumerate(zip(grid.shape, grid.boundary)):
            pairs = np.array([slopes.neighbours(i, n, CODES[name])[:2] for i in range(n)])
            columns += [index.take(pairs[:, 0], axis=axis), index.take(pairs[:, 1], axis=axis)]
        self.columns = np.stack([c.ravel() for c in columns], axis=1).ravel()
        self.starts = np.arange(0, self.columns.size + 1, len(columns))
        self.entries = np.empty((index.size, len(columns)))

    def improve(self, old, u, shift, k, d, tolerance):
        """The change of u after one round of policy iteration."""
        residual = old - u
        for axis, (n, name) in enumerate(zip(u.shape, self.grid.boundary)):
            lines = (math.prod(u.shape[:axis]), n, math.prod(u.shape[axis + 1 :]))
            down, up = np.empty(lines), np.empty(lines)
            cells = u.reshape(lines), CODES[name], shift[axis].reshape(lines), k[axis], d[axis]
            policies.policies(*cells, down, up, residual.reshape(lines))
            self.entries[:, 1 + 2 * axis], self.entries[:, 2 + 2 * axis] = -down.ravel(), -up.ravel()
        self.entries[:, 0] = 1 - self.entries[:, 1:].sum(axis=1)
        matrix = sparse.csr_array((self.entries.ravel(), self.columns, self.starts), shape=(u.size, u.size))
        diagonal = linalg.LinearOperator(matrix.shape, matvec=lambda v: v.ravel() / self.entries[:, 0])
        change, failed = linalg.bicgstab(matrix, residual.ravel(), rtol=1e-6, atol=tolerance / 10, M=diagonal)
        if failed:
            change = linalg.spsolve(matrix.tocsc(), residual.ravel())
        return change.reshape(u.shape)


@scheme(HamiltonJacobi, Heat)
def rosenbrock(
    problem: HamiltonJacobi | Heat, grid: Grid, values: Array, *, tolerance: float = 1e-5, checked: bool = True
) -> Stepper:
    """The operator of `fitted` in space, RODAS in time with steps it chooses itself: the fast way to an accurate line.

    Linearly implicit, order four, L-stable, one tridiagonal matrix a step (Hairer, Wanner 1996, Section IV.10). Second
    order in space where the viscosity is resolved. Not monotone: the promise of `implicit` is traded for accuracy in
    time. One dimension only, since in 2-3 D the explicit `weno` is cheaper.

    Parameters
    ----------
    tolerance : float > 0
        Largest estimated error of one step, relative to max u - min u of the data. Use functools.partial to set it.
    checked : bool
        False leaves out the run with 10 times the tolerance that `solve` estimates the error in time by.

    Raises
    ------
    ValueError
        Several dimensions, a drift that depends on time, a tolerance that is not a number > 0.

    Notes
    -----
    dt counts as the largest step; `info["substeps"]` and `info["refused"]` report the steps taken.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-6.0, 6.0, 241)
    >>> f = pl.Loss("log(cosh(x))")
    >>> run = pl.solve(pl.HamiltonJacobi(beta=1.0), f, grid, 1.0, scheme="rosenbrock")
    >>> bool(run.info["substeps"] < 60), bool(abs(run.final - pl.cole_hopf(f, grid, 1.0, 1.0)).max() < 1e-3)
    (True, True)
    """
    if grid.dimension != 1:
        raise ValueError(f"rosenbrock: expected a one-dimensional grid, got {grid.dimension}: take weno or fitted")
    if not problem.steady:
        raise ValueError(
            "rosenbrock: expected a drift that does not depend on time, got a function of time: take implicit or weno"
        )
    shift, nu = shifts(problem.drift_on(grid), grid), problem.viscosity
    allowed = checks.positive("tolerance", tolerance) * max(float(np.ptp(values)), TINY)
    first, code = fitted(problem, grid, values).largest_step(values), CODES[grid.boundary[0]]

    def advance(state, time, dt, steps):
        out, step, substeps, refusals = state
        k, d = max(problem.kinetic, TINY) / (2 * grid.spacing[0] ** 2), nu / grid.spacing[0] ** 2
        for _ in range(steps):
            source, out = out, np.empty_like(out)
            step, taken, refused = policies.rosenbrock_march(source, out, dt, step, code, shift, k, d, allowed)
            substeps, refusals = substeps + taken, refusals + refused
        return out, step, substeps, refusals

    return Stepper(
        advance,
        info={"viscosity": nu},
        init=lambda values: (values, first, 0, 0),
        values=itemgetter(0),
        report=lambda state: {"substeps": state[2], "refused": state[3]},
        check=rosenbrock(problem, grid, values, tolerance=10 * tolerance, checked=False) if checked else None,
        **ends(problem, grid),
    )
