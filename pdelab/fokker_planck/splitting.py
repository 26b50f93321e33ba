"""Steps in two and three dimensions, one axis after the other; each axis leaves the Gibbs density alone."""

from dataclasses import dataclass

import numpy as np

from pdelab.fokker_planck.timing import half_cells, held_factor, instant, phases
from pdelab.generator import axis_rates, ito
from pdelab.stencils import tridiagonal


def split_advance(problem, grid, form, mode):
    """advance() in two and three dimensions, axis by axis."""
    half, known, steady = half_cells(problem, grid), {}, axis_rates(form, grid) if problem.steady else None

    def axes(time, phase, dt):
        if steady is None:
            return _axes(axis_rates(ito(problem.coefficients(grid, time), grid), grid), grid, phase, dt)
        if (phase, dt) not in known:
            known.clear()
            known[phase, dt] = _axes(steady, grid, phase, dt)
        return known[phase, dt]

    def advance(values, time, dt, steps):
        m = values * half
        for phase, begin, step, count in phases(mode, time, dt, steps):
            for k in range(count):
                here = axes(begin + (k + instant(problem, phase)) * step, phase, step)
                m = SPLIT_STEPS[phase](m, here, problem.adjoint)
        return m / half

    return advance


@dataclass(frozen=True, eq=False)
class Axis:
    """Rates and factors of all lines along one axis; the last axis is also kept transposed, so that lines vectorise."""

    shape: tuple
    axis: int
    periodic: bool
    up: np.ndarray  # (outer, n, inner)
    down: np.ndarray
    sweep: tuple  # up, down, inverse, into, outof in the layout of the sweep

    def load(self, m):
        """A copy of the field in the layout of the sweep."""
        if self.axis < len(self.shape) - 1:
            return m.reshape(self.up.shape).copy()
        return _transposed(m.reshape(-1, self.shape[-1]))[None]

    def store(self, x):
        """The field back from the layout of the sweep."""
        return (x if self.axis < len(self.shape) - 1 else _transposed(x[0])).reshape(self.shape)

    def step(self, kernel, m, adjoint):
        """One step along the axis by `backward_euler_lines` or `trapezoid_lines`."""
        x = self.load(m)
        kernel(x, *self.sweep, self.periodic, adjoint)
        return self.store(x)

    def add_change(self, m, adjoint, scale, out):
        """out += scale Q_axis^T m."""
        view = self.up.shape
        tridiagonal.change_lines(m.reshape(view), self.up, self.down, adjoint, scale, out.reshape(view))


def _axes(rates, grid, mode, dt):
    """An `Axis` for each axis. Crank-Nicolson takes every axis but the last twice, with half a step each time."""
    found = []
    for axis, (up, down) in enumerate(rates):
        last, periodic = axis == grid.dimension - 1, grid.boundary[axis] == "periodic"
        held = held_factor(mode, dt if last or mode != tridiagonal.TRAPEZOID else dt / 2)
        up, down = held * up, held * down
        across = tuple(_transposed(rate[:, :, 0])[None] for rate in (up, down)) if last else (up, down)
        inverse = np.empty(across[0].shape)
        into, outof = (np.zeros(inverse.shape if periodic else (1, 1, 1)) for _ in range(2))
        tridiagonal.factor_lines(*across, periodic, inverse, into, outof)
        found.append(Axis(grid.shape, axis, periodic, up, down, (*across, inverse, into, outof)))
    return found


def _transposed(matrix):
    out = np.empty(matrix.shape[::-1])
    tridiagonal.transpose(matrix, out)
    return out


def _split_implicit(m, axes, adjoint):
    """One backward Euler step an axis; the adjoint takes the axes in reverse order."""
    for axis in reversed(axes) if adjoint else axes:
        m = axis.step(tridiagonal.backward_euler_lines, m, adjoint)
    return m


def _split_trapezoid(m, axes, adjoint):
    """Half steps up to the last axis, its whole step, half steps back: its own adjoint."""
    for axis in (*axes, *reversed(axes[:-1])):
        m = axis.step(tridiagonal.trapezoid_lines, m, adjoint)
    return m


def split_change(m, axes, adjoint, scale):
    """m + scale sum_k Q_k^T m."""
    out = m.copy()
    for axis in axes:
        axis.add_change(m, adjoint, scale, out)
    return out


def _split_explicit(m, axes, adjoint):
    return split_change(m, axes, adjoint, 1.0)


SPLIT_STEPS = {
    tridiagonal.IMPLICIT: _split_implicit,
    tridiagonal.TRAPEZOID: _split_trapezoid,
    tridiagonal.EXPLICIT: _split_explicit,
}
