"""Steps in two and three dimensions, one axis after the other; each axis leaves the Gibbs density alone."""

from dataclasses import dataclass

import numpy as np

from pdelab.fokker_planck.timing import half_cells, held_factor, instant, phases
from pdelab.generator import axis_rates, ito
from pdelab.stencils import tridiagonal


def split_advance(problem, grid, form, mode):
    """advance() in two and three dimensions, axis by axis."""
    half, known, steady = half_cells(problem, grid), {}, axis_rates(form, grid) if problem.steady else None

    def rates(time):
        return steady if problem.steady else axis_rates(ito(problem.coefficients(grid, time), grid), grid)

    def axes(time, phase, dt):
        if (phase, dt) not in known or not problem.steady:
            known.clear()
            known[phase, dt] = _axes(rates(time), grid, phase, dt)
        return known[phase, dt]

    def advance(values, time, dt, steps):
        m = values * half
        for phase, begin, step, count in phases(mode, time, dt, steps):
            for k in range(count):
                at = begin + (k + instant(problem, phase)) * step
                if phase == tridiagonal.EXPLICIT:
                    m = split_change(m, rates(at), problem.adjoint, step)
                elif phase == tridiagonal.IMPLICIT:
                    _split_implicit(m, axes(at, phase, step), problem.adjoint)
                else:
                    _split_trapezoid(m, axes(at, phase, step), problem.adjoint)
        return m / half

    return advance


@dataclass(frozen=True, eq=False)
class _Axis:
    """Rates, factors and scratch of the lines along one axis; the last axis is swept transposed, to vectorise."""

    periodic: bool
    sweep: tuple  # up, down, inverse, into, outof as (outer, n, inner)
    scratch: np.ndarray
    turned: np.ndarray | None  # where the field lies transposed, for the last axis

    def step(self, kernel, m, adjoint):
        """One step of the field m along the axis, in place, by `backward_euler_lines` or `trapezoid_lines`."""
        x = m.reshape(self.scratch.shape) if self.turned is None else self.turned
        if self.turned is not None:
            tridiagonal.transpose(m.reshape(-1, m.shape[-1]), x[0])
        kernel(x, *self.sweep, self.periodic, adjoint, self.scratch)
        if self.turned is not None:
            tridiagonal.transpose(x[0], m.reshape(-1, m.shape[-1]))


def _axes(rates, grid, mode, dt):
    """An `_Axis` for each axis. Crank-Nicolson takes every axis but the last twice, with half a step each time."""
    found = []
    for axis, (up, down) in enumerate(rates):
        last, periodic = axis == grid.dimension - 1, grid.boundary[axis] == "periodic"
        held = held_factor(mode, dt if last or mode != tridiagonal.TRAPEZOID else dt / 2)
        if last:
            up, down = _transposed(up), _transposed(down)
        up, down, inverse = held * up, held * down, np.empty(up.shape)
        into, outof = (np.zeros(up.shape if periodic else (1, 1, 1)) for _ in range(2))
        tridiagonal.factor_lines(up, down, periodic, inverse, into, outof)
        scratch, turned = np.empty(up.shape), np.empty(up.shape) if last else None
        found.append(_Axis(periodic, (up, down, inverse, into, outof), scratch, turned))
    return found


def _transposed(rate):
    """Rates of the last axis, (outer, n, 1), as (1, n, outer)."""
    out = np.empty((1, rate.shape[1], rate.shape[0]))
    tridiagonal.transpose(rate[:, :, 0], out[0])
    return out


def _split_implicit(m, axes, adjoint):
    """One backward Euler step an axis; the adjoint takes the axes in reverse order."""
    for axis in reversed(axes) if adjoint else axes:
        axis.step(tridiagonal.backward_euler_lines, m, adjoint)


def _split_trapezoid(m, axes, adjoint):
    """Half steps up to the last axis, its whole step, half steps back: its own adjoint."""
    for axis in (*axes, *reversed(axes[:-1])):
        axis.step(tridiagonal.trapezoid_lines, m, adjoint)


def split_change(m, rates, adjoint, scale):
    """m + scale sum_k Q_k^T m, adjoint m + scale sum_k Q_k m, with the rates of each axis."""
    out = m.copy()
    for up, down in rates:
        tridiagonal.change_lines(m.reshape(up.shape), up, down, adjoint, scale, out.reshape(up.shape))
    return out
