"""What the ways of stepping share: weights, where in a step coefficients are taken, and the damped start."""

import numpy as np

from pdelab.kernels import tridiagonal


def half_cells(problem, grid):
    """Weights over the cell volume: exact powers of two, so that masses are densities without rounding."""
    return np.ones(grid.shape) if problem.adjoint else grid.weights / np.prod(grid.spacing)


def instant(problem, mode):
    """Where in its step a scheme takes coefficients that depend on time, 0 to 1; the adjoint at the other end."""
    where = {tridiagonal.IMPLICIT: 1.0, tridiagonal.TRAPEZOID: 0.5, tridiagonal.EXPLICIT: 0.0}[mode]
    return 1.0 - where if problem.adjoint and mode != tridiagonal.EXPLICIT else where


def phases(mode, fresh, time, dt, steps):
    """(mode, first time, dt, steps) of a run; Crank-Nicolson begins with four backward Euler quarter steps."""
    if mode == tridiagonal.TRAPEZOID and fresh:
        return [(tridiagonal.IMPLICIT, time, dt / 4, 4), (mode, time + dt, dt, steps - 1)]
    return [(mode, time, dt, steps)]


def held_factor(mode, dt):
    """The factor of the rates in I - Q^T: dt, for the trapezoid dt / 2."""
    return dt / dt_over_held(mode)


def dt_over_held(mode):
    """The step over what the rates hold of it."""
    return 2.0 if mode == tridiagonal.TRAPEZOID else 1.0
