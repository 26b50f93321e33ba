"""Steps in one dimension: all of them in one compiled call."""

from functools import lru_cache

import numpy as np

from pdelab.fokker_planck.moving import Slices, moves
from pdelab.fokker_planck.timing import dt_over_held, held_factor, instant
from pdelab.generator import axis_rates, ito
from pdelab.kernels import tridiagonal

__all__ = ["line_run"]

CALLS_AT_ONCE = 256  # steps whose time-dependent coefficients are evaluated together


def line_run(problem, grid, form):
    """(masses, mode, time, dt, steps) -> masses, written on the same array, in one dimension."""
    return (_steady_line if problem.steady else _moving_line)(problem, grid, form)


def _steady_line(problem, grid, form):
    """A line with constant coefficients, factorised once for each step size."""
    n, periodic = grid.shape[0], grid.periodic[0]
    ((unit_up, unit_down),) = axis_rates(form, grid)

    @lru_cache(maxsize=2)
    def prepared(matrix_step):
        up, down, factors = matrix_step * unit_up.reshape(n), matrix_step * unit_down.reshape(n), np.empty((5, n))
        tridiagonal.factor(up, down, periodic, factors)
        return up, down, factors

    def run(m, mode, time, dt, steps):
        if steps:
            rates = prepared(held_factor(mode, dt))
            tridiagonal.steady_steps(m, *rates, periodic, problem.adjoint, mode, dt_over_held(mode), steps)
        return m

    return run


def _moving_line(problem, grid, form):
    """A line whose coefficients depend on time: rates anew in each step."""
    a, scale, periodic = form.a[0], 1 / grid.spacing[0] ** 2, grid.periodic[0]
    saved = _saved_drops(problem, grid)

    def run(m, mode, time, dt, steps):
        where = instant(problem, mode)
        for k in range(steps if problem.noise_moves else 0):  # the diffusion of each step by itself
            at = time + (k + where) * dt
            form = ito(problem.coefficients(grid, at), grid)
            now = np.array([at]), form.drops[0][np.newaxis], form.a[0]
            tridiagonal.moving_steps(m, *now, scale, periodic, problem.adjoint, mode, time + k * dt, dt, 1, where)
        for first in range(0, 0 if problem.noise_moves else steps, CALLS_AT_ONCE):
            count, begin = min(CALLS_AT_ONCE, steps - first), time + first * dt
            times, faces = saved or _called_drops(problem, grid, begin + (np.arange(count) + where) * dt)
            tridiagonal.moving_steps(
                m, times, faces, a, scale, periodic, problem.adjoint, mode, begin, dt, count, where
            )
        return m

    return run


def _saved_drops(problem, grid):
    """(times, drops) when the only thing that moves is one `Slices`, else None."""
    moving = [field for field in (problem.potential, problem.drift) if moves(field)]
    if len(moving) == 1 and isinstance(moving[0], Slices):
        return _called_drops(problem, grid, moving[0].times)
    return None


def _called_drops(problem, grid, times):
    return times, np.stack([ito(problem.coefficients(grid, time), grid).drops[0] for time in times])
