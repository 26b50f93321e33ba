"""An equation in one file, Fisher's: laid into `pdelab`, it is found by `pdelab list` and `pdelab solve`."""

from dataclasses import dataclass, replace

import numpy as np

from pdelab import Heat, checks, hamilton_jacobi
from pdelab.stepping import equation, scheme


@equation
@dataclass(frozen=True)
class Fisher:
    """v_t = ν Δv + r v (1 - v) for shares 0 <= v <= 1: fronts run with speed 2 sqrt(r ν) (Fisher 1937)."""

    viscosity: float = 0.1
    rate = 1.0

    def __post_init__(self):
        checks.nonnegative("viscosity", self.viscosity)

    @classmethod
    def from_formula(cls, loss, initial=None, **coefficients):
        return cls(**coefficients), loss

    @property
    def default_scheme(self):
        return split

    def initial(self, values, grid):
        values = grid.field(values, "initial")
        return values if ((values >= 0) & (values <= 1)).all() else checks.refuse("initial", "0 <= v <= 1", values)


@scheme(Fisher)
def split(problem, grid, values):
    """The monotone step of the heat equation, then the exact one of v' = r v (1 - v): first order, 0 <= v <= 1."""
    heat = hamilton_jacobi.monotone(Heat(viscosity=problem.viscosity), grid, values)

    def advance(v, time, dt, steps):
        for _ in range(steps):
            v, growth = heat.march(v, time, dt), np.exp(problem.rate * dt)
            v = growth * v / (1 + (growth - 1) * v)
        return v

    def bound(v, time):
        return min(heat.largest_step(v), 0.1 / problem.rate)

    return replace(heat, advance=advance, bound=bound, certificates={}, init=lambda v: v, values=lambda v: v)
