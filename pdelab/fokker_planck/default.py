"""What `solve` takes for Fokker-Planck when it is given no scheme: exact in time where it can be, else controlled."""

from __future__ import annotations

import math
from dataclasses import replace

from pdelab.fokker_planck.equations import FokkerPlanck
from pdelab.fokker_planck.propagators import LIFETIMES, chebyshev, spectral
from pdelab.fokker_planck.schemes import crank_nicolson, implicit
from pdelab.grid import Grid
from pdelab.hints import Array
from pdelab.stepping import Stepper, scheme

__all__ = ["automatic"]

CONTROLLED = 1e-3  # relative error in time of the steps that are not exact


@scheme(FokkerPlanck)
def automatic(problem: FokkerPlanck, grid: Grid, values: Array) -> Stepper:
    """The default: exact in time (`spectral`, `chebyshev`) where a scheme that is fits, else steps controlled to 1e-3.

    On one reflecting axis `spectral` where few modes outlive the first saved time, otherwise `chebyshev` for a steady
    potential in any dimension; `crank_nicolson` where the problem moves, has a drift that is not a gradient or a
    diffusion of its own, or where the data reach too deep into the tails of the equilibrium. With dt it is `implicit`.
    `info["scheme"]` names what was taken.

    Examples
    --------
    >>> import numpy as np, pdelab as pl
    >>> grid = pl.Grid(-4.0, 4.0, 101)
    >>> start = np.exp(-grid.x**2)
    >>> steady, pushed = pl.FokkerPlanck(grid.x**2 / 2, beta=1.0), pl.FokkerPlanck(drift=-grid.x, beta=1.0)
    >>> [pl.solve(problem, start, grid, 1.0).info["scheme"] for problem in (steady, pushed)]
    ['fokker_planck.spectral', 'fokker_planck.spectral']
    """
    stepper = _exact(problem, grid, values)
    if stepper is None:
        stepper = replace(_named(crank_nicolson)(problem, grid, values), rtol=CONTROLLED)
    return replace(stepper, with_dt=lambda: _named(implicit)(problem, grid, values))


def _exact(problem, grid, values):
    """The exact stepper of least work, or None where there is none."""
    steppers = []
    for propagator in (spectral, chebyshev):
        try:
            steppers.append(_named(propagator)(problem, grid, values))
        except ValueError:  # the problem or the data do not fit it
            continue
    return _either(*steppers, problem, grid) if len(steppers) == 2 else steppers[0] if steppers else None


def _named(function):
    def named(problem, grid, values):
        stepper = function(problem, grid, values)
        return replace(stepper, info=stepper.info | {"scheme": f"fokker_planck.{function.__name__}"})

    return named


def _either(modes: Stepper, series: Stepper, problem, grid) -> Stepper:
    """`spectral` where few modes outlive the first interval, else `chebyshev`; the state says which."""
    used = [modes]
    few, width = grid.shape[0] / 4, grid.upper[0] - grid.lower[0]

    def advance(state, time, dt, steps):
        stepper, inner = state
        if stepper is None:
            alive = width / math.pi * math.sqrt(LIFETIMES / (dt * steps * problem.diffusivity))
            stepper = modes if alive <= few else series
            inner = stepper.init(inner)
        return stepper, stepper.advance(inner, time, dt, steps)

    def values(state):
        stepper, inner = state
        used[:] = [stepper or modes]
        return inner if stepper is None else stepper.values(inner)

    def space_error(values, time):
        return used[0].estimates["space_error"](values, time)

    return replace(
        modes,
        advance=advance,
        bound=lambda state, time: math.inf,
        init=lambda field: (None, field),
        values=values,
        report=lambda state: (state[0] or modes).info,
        bare=_either(modes.bare, series.bare, problem, grid) if modes.bare and series.bare else None,
        estimates=modes.estimates
        | ({"space_error": space_error} if problem.adjoint and "space_error" in modes.estimates else {}),
        error=max(modes.error or 0.0, series.error or 0.0),
    )
