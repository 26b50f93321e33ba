"""What the ways of stepping share: weights, where in a step coefficients are taken, and the damped start."""

import numpy as np

from pdelab.kernels import tridiagonal

__all__ = ["damped", "dt_over_held", "half_cells", "held_factor", "instant"]


def half_cells(problem, grid):
    """Weights over the cell volume: exact powers of two, so that masses are densities without rounding."""
    return np.ones(grid.shape) if problem.adjoint else grid.weights / np.prod(grid.spacing)


def instant(problem, mode):
    """Where in its step a scheme takes coefficients that depend on time, 0 to 1; the adjoint at the other end."""
    where = {tridiagonal.IMPLICIT: 1.0, tridiagonal.TRAPEZOID: 0.5, tridiagonal.EXPLICIT: 0.0}[mode]
    return 1.0 - where if problem.adjoint else where


def damped(adjoint, start, run, pack=np.copy, unpack=np.copy):
    """(init, advance, masses) of a state whose first step is `start`, which damps what the grid cannot resolve.

    start : (masses, time, dt) -> masses
    run : (m, time, dt, steps) -> m, the other steps, with m = pack(masses) and masses = unpack(m)

    Forwards the steps are R ... R S, so that the adjoint must end with S^T: it keeps one step behind, and where its
    field is looked at it takes that step by S^T.
    """

    def forwards(state, time, dt, steps):
        m, fresh = state
        if fresh:
            m, time, steps = pack(start(unpack(m), time, dt)), time + dt, steps - 1
        return run(m, time, dt, steps), False

    def backwards(state, time, dt, steps):
        m, waiting = state
        if waiting:
            m = run(m, *waiting, 1)
        return run(m, time, dt, steps - 1), (time + (steps - 1) * dt, dt)

    def masses(state):
        m, waiting = state
        return start(unpack(m), *waiting) if adjoint and waiting else unpack(m)

    return (lambda m: (pack(m), not adjoint)), backwards if adjoint else forwards, masses


def held_factor(mode, dt):
    """The factor of the rates in I - Q^T: dt, for the trapezoid dt / 2."""
    return dt / dt_over_held(mode)


def dt_over_held(mode):
    """The step over what the rates hold of it."""
    return 2.0 if mode == tridiagonal.TRAPEZOID else 1.0
