"""Steps in two and three dimensions, one axis after the other; each axis leaves the Gibbs density alone."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pdelab.fokker_planck.timing import held_factor, instant
from pdelab.generator import axis_rates, ito
from pdelab.kernels import sweeps, tridiagonal

__all__ = ["Sweeps", "fields_apart", "oriented", "split_change", "split_run"]


def split_run(problem, grid, form):
    """(masses, mode, time, dt, steps) -> masses in two and three dimensions, axis by axis."""
    steady = axis_rates(form, grid) if problem.steady else None

    def rates(time):
        return steady if problem.steady else axis_rates(ito(problem.coefficients(grid, time), grid), grid)

    @lru_cache(maxsize=2)
    def axes(time, mode, dt):
        return _axes(rates(time), grid, mode, dt)

    def run(m, mode, time, dt, steps):
        for k in range(steps):
            at = 0.0 if problem.steady else time + (k + instant(problem, mode)) * dt
            if mode == tridiagonal.EXPLICIT:
                m = split_change(m, rates(at), problem.adjoint, dt)
            elif mode == tridiagonal.IMPLICIT:
                _split_implicit(m, axes(at, mode, dt), problem.adjoint)
            else:
                _split_trapezoid(m, axes(at, mode, dt), problem.adjoint)
        return m

    return run


@dataclass(frozen=True, eq=False)
class _Axis:
    """Rates, factors and scratch of the lines along one axis; the last axis is swept transposed, to vectorise."""

    periodic: bool
    sweep: tuple  # up, down, inverse, into, outof as (outer, n, inner)
    gain: float  # of the trapezoid: the step over what the rates hold
    scratch: np.ndarray
    turned: np.ndarray | None  # where the field lies transposed, for the last axis

    @classmethod
    def of(cls, axis, rate, matrix_step, dt, grid, scratch, room):
        """The lines along `axis`; matrix_step: the part of dt in the matrix; room: three fields to fill."""
        last, periodic = axis == grid.dimension - 1, grid.periodic[axis]
        up, down, inverse = (part.reshape(rate[0].shape) for part in room)
        np.multiply(matrix_step, rate[0], out=up)
        np.multiply(matrix_step, rate[1], out=down)
        into, outof = (np.zeros(up.shape if periodic else (1, 1, 1)) for _ in range(2))
        sweeps.factor_lines(up, down, periodic, inverse, into, outof)
        x, turned = (part.reshape(up.shape) for part in scratch)
        return cls(periodic, (up, down, inverse, into, outof), dt / matrix_step, x, turned if last else None)

    def step(self, kernel, m, adjoint, *gain):
        """One step of the field m along the axis, in place, by `backward_euler_lines` or `trapezoid_lines`."""
        x = m.reshape(self.scratch.shape) if self.turned is None else self.turned
        if self.turned is not None:
            sweeps.transpose(m.reshape(-1, m.shape[-1]), x[0])
        kernel(x, *self.sweep, self.periodic, adjoint, *gain, self.scratch)
        if self.turned is not None:
            sweeps.transpose(x[0], m.reshape(-1, m.shape[-1]))


def fields_apart(count, shape):
    """`count` empty fields that do not compete for the same lines of a cache, as fields of 2^k nodes else would."""
    size, gap = math.prod(shape), 136
    room = np.empty(count * (size + gap))
    return [room[k * (size + gap) :][:size].reshape(shape) for k in range(count)]


def oriented(rates):
    """Rates of every axis as they are swept: those of the last one, (outer, n, 1), as (1, n, outer)."""
    return [*rates[:-1], tuple(_transposed(rate) for rate in rates[-1])]


def _transposed(rate):
    out = np.empty((1, rate.shape[1], rate.shape[0]))
    sweeps.transpose(rate[:, :, 0], out[0])
    return out


def _axes(rates, grid, mode, dt):
    """An `_Axis` for each axis. Crank-Nicolson takes every axis but the last twice, with half a step each time."""
    axes, (*rooms, x, turned) = [], fields_apart(3 * grid.dimension + 2, grid.shape)
    for axis, rate in enumerate(oriented(rates)):
        whole = axis == grid.dimension - 1 or mode != tridiagonal.TRAPEZOID
        step = dt if whole else dt / 2
        axes.append(
            _Axis.of(axis, rate, held_factor(mode, step), step, grid, (x, turned), rooms[3 * axis : 3 * axis + 3])
        )
    return axes


def _split_implicit(m, axes, adjoint):
    """One backward Euler step an axis; the adjoint takes the axes in reverse order."""
    for axis in reversed(axes) if adjoint else axes:
        axis.step(sweeps.backward_euler_lines, m, adjoint)


def _split_trapezoid(m, axes, adjoint):
    """Half steps up to the last axis, its whole step, half steps back: its own adjoint."""
    for axis in (*axes, *reversed(axes[:-1])):
        axis.step(sweeps.trapezoid_lines, m, adjoint, axis.gain)


def split_change(m, rates, adjoint, scale):
    """m + scale sum_k Q_k^T m, adjoint m + scale sum_k Q_k m, with the rates of each axis."""
    out = m.copy()
    for up, down in rates:
        sweeps.change_lines(m.reshape(up.shape), up, down, adjoint, scale, out.reshape(up.shape))
    return out


class Sweeps:
    """Steps with constant rates: (I - (dt - b) A)^-1 (I + b A) along each axis; b = dt/2 + θ, or θ for euler."""

    def __init__(self, rates, thetas, grid, adjoint):
        self.rates, self.thetas, self.grid, self.adjoint = oriented(rates), thetas, grid, adjoint
        self.known, (*self.rooms, x, turned) = {}, fields_apart(6 * grid.dimension + 2, grid.shape)
        self.scratch = x, turned

    def trapezoid(self, m, dt, steps):
        """Strang's splitting, in place: half steps up to the last axis, its whole step, half steps back."""
        axes = self._axes(dt, 0.5)
        if self.grid.dimension == 1:
            axes[0].steps(m, tridiagonal.TRAPEZOID, self.adjoint, steps)
            return
        for _ in range(steps):
            _split_trapezoid(m, axes, self.adjoint)

    def euler(self, m, dt, steps):
        """One axis after the other, in place; the adjoint in reverse order."""
        axes = self._axes(dt, 1.0)
        if self.grid.dimension == 1:
            axes[0].steps(m, tridiagonal.IMPLICIT, self.adjoint, steps)
            return
        for _ in range(steps):
            for axis in reversed(axes) if self.adjoint else axes:
                axis.step(sweeps.corrected_euler_lines, m, self.adjoint, axis.gain)

    def _axes(self, dt, implicitness):
        """An `_Axis` for each axis, in one dimension a `_Line`, remembered for the last two step sizes."""
        if (dt, implicitness) not in self.known:
            if len(self.known) > 1:
                self.known.pop(next(iter(self.known)))
            d, axes = self.grid.dimension, []
            rooms = [self.rooms.pop(0) for _ in range(3 * d)]  # the older half
            self.rooms += rooms
            for axis, (rate, theta) in enumerate(zip(self.rates, self.thetas)):
                step = dt if implicitness == 1 or axis == d - 1 else dt / 2
                matrix_step = implicitness * step - theta
                room = rooms[3 * axis : 3 * axis + 3]
                axes.append(self._lines(axis, rate, matrix_step if matrix_step else 1e-12 * theta, step, room))
            self.known[dt, implicitness] = axes
        return self.known[dt, implicitness]

    def _lines(self, axis, rate, matrix_step, dt, room):
        if self.grid.dimension > 1:
            return _Axis.of(axis, rate, matrix_step, dt, self.grid, self.scratch, room)
        return _Line.of(rate, matrix_step, dt, self.grid.periodic[0])


@dataclass(frozen=True, eq=False)
class _Line:
    """Rates and factors of a grid of one dimension."""

    sweep: tuple  # up, down, factors, periodic
    gain: float

    @classmethod
    def of(cls, rate, matrix_step, dt, periodic):
        up, down = (matrix_step * part.ravel() for part in rate)
        factors = np.empty((5, up.size))
        tridiagonal.factor(up, down, periodic, factors)
        return cls((up, down, factors, periodic), dt / matrix_step)

    def steps(self, m, mode, adjoint, count):
        """So many steps of m, in place."""
        tridiagonal.steady_steps(m, *self.sweep, adjoint, mode, self.gain, count)
