"""A two-step scheme in one file: BDF2 for Fokker-Planck, (3 m_{n+1} - 4 m_n + m_{n-1}) / (2 dt) = Q^T m_{n+1}."""

from functools import lru_cache

from pdelab import FokkerPlanck
from pdelab.fokker_planck import accuracy_step
from pdelab.generator import factored, generator, ito
from pdelab.stepping import Stepper, scheme


@scheme(FokkerPlanck)
def bdf2(problem, grid, values):
    """Second order in dt, L-stable, mass kept, any diffusion matrix; not positive. The first step is backward Euler."""
    if not problem.steady:
        raise ValueError("bdf2: expected coefficients that do not depend on time; use crank_nicolson")
    Q, weights = generator(problem, grid), 1.0 if problem.adjoint else grid.weights
    factors = lru_cache(4)(lambda shift, dt: factored(shift, dt, Q if problem.adjoint else Q.T))

    def init(values):
        return None, (weights * values).ravel(), None  # masses one step ago, masses now, the step between them

    def advance(state, time, dt, steps):
        before, now, last = state
        for _ in range(steps):
            ratio = 0.0 if before is None else dt / last  # 0 makes the formula backward Euler, 1 the one above
            past = 0.0 if before is None else ratio**2 / (1 + ratio) * before
            shift = (1 + 2 * ratio) / (1 + ratio)
            before, now, last = now, factors(shift, dt).solve((1 + ratio) * now - past), dt
        return before, now, last

    def field(state):
        return state[1].reshape(grid.shape) / weights

    dt = accuracy_step(ito(problem.coefficients(grid), grid), grid, values)
    return Stepper(advance, init=init, values=field, dt=dt)
