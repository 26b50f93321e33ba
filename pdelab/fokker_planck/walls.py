"""Absorbing ends: what has left the box, through which end and how fast.

The nodes on absorbing ends are states that the chain never leaves. While a scheme steps they collect the mass that has
arrived; what is handed out has density zero there, and the mass of each end stands in `info["absorbed"]`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pdelab.fokker_planck.ends import arrivals, at_ends, by_end
from pdelab.fokker_planck.equations import FokkerPlanck
from pdelab.fokker_planck.fewer_nodes import beside
from pdelab.fokker_planck.space_error import Flattened, with_error
from pdelab.generator import ito
from pdelab.generator.smearing import Followed
from pdelab.grid import Grid
from pdelab.hints import Times
from pdelab.losses import Loss
from pdelab.stepping import Solution, Stepper, solve

__all__ = ["FirstPassage", "first_passage", "with_walls"]


def with_walls(
    stepper: Stepper, problem: FokkerPlanck, grid: Grid, again: Callable[..., Stepper] | None, share: Any = 1.0
) -> Stepper:
    """The steps of a Fokker-Planck scheme on a grid that may have absorbing ends, with what they absorb as records.

    again : (problem, grid, values, times) -> the steps of the same scheme without walls, with so many times the
        diffusion that must be added to a full matrix
    share : of what the generator's rates leave out, how much the scheme does where that is smooth, float or array
    """
    form = ito(problem.coefficients(grid), grid)
    if not (problem.adjoint or grid.absorbing.any()):
        return stepper if form.diagonal else replace(beside(stepper, problem, grid, form, again, False), bare=stepper)
    followed = with_error(stepper, problem, grid, form, share)
    known = followed is not None
    if problem.adjoint:
        return replace(
            _with_flattening(beside(followed or stepper, problem, grid, form, again, known), form), bare=stepper
        )
    walls, inner, rates_into = grid.absorbing, stepper.values, arrivals(problem, grid)

    def density(state):
        return np.where(walls, 0.0, inner(state))

    def absorbed(state, time):
        return at_ends(inner(state), grid)

    def flux(state, time):
        mass = (grid.weights * density(state)).ravel()
        return by_end({end: float(rates @ mass) for end, rates in rates_into(time).items()}, grid)

    bare = walled = replace(stepper, values=density, records=stepper.records | {"absorbed": absorbed, "flux": flux})
    if followed is not None:
        walled = replace(
            followed,
            values=lambda state: density(state[0]),
            records={
                "absorbed": lambda state, time: absorbed(state[0], time),
                "flux": lambda state, time: flux(state[0], time),
                "absorbed_error": lambda state, time: absorbed(state[1], time),
            }
            | followed.records,
        )
    return replace(beside(walled, problem, grid, form, again, known), bare=bare)


def _with_flattening(stepper, form):
    """The peak `space_error` with what numerical diffusion flattens, where there is such a peak."""
    if not isinstance(stepper.estimates["smearing"], Followed) or "space_error" not in stepper.estimates:
        return stepper
    known, flattened = stepper.estimates["space_error"], Flattened(stepper.estimates["smearing"].rates, form.diagonal)

    def space_error(values, time):
        return max(flattened(values, time), known(values, time))

    return replace(stepper, estimates=stepper.estimates | {"space_error": space_error})


@dataclass(frozen=True, eq=False)
class FirstPassage:
    """When and where a process first meets the absorbing ends of its box.

    Attributes
    ----------
    times : array (k,)
    survival : array (k,)
        P(τ > t), the mass that is left.
    absorbed : array (k, d, 2)
        P(τ <= t, through this end); last axis: lower end, upper end. With `survival` it sums to one.
    flux : array (k, d, 2)
        The density of τ through each end, >= 0 with a positive scheme.
    solution : Solution
        The Solution it was read from.
    """

    times: np.ndarray
    survival: np.ndarray
    absorbed: np.ndarray
    flux: np.ndarray
    solution: Solution

    @property
    def density(self) -> np.ndarray:
        """(k,), the density of τ."""
        return self.flux.sum(axis=(1, 2))


def first_passage(
    problem: FokkerPlanck, initial: ArrayLike | Loss, grid: Grid, times: Times, **options: Any
) -> FirstPassage:
    """The law of the first time at which a process meets an absorbing end, and of the end.

    Parameters
    ----------
    problem : FokkerPlanck
    initial : array grid.shape
        Density at time 0, divided by its mass here. Mass on absorbing nodes has left before the beginning.
    grid : Grid with at least one absorbing end
    times : float or increasing sequence of floats, >= 0
    options
        `scheme`, `dt`, ... of `pdelab.solve`.

    Returns
    -------
    FirstPassage

    Raises
    ------
    ValueError
        A grid without an absorbing end, a density without mass inside, and what `pdelab.solve` refuses.

    Notes
    -----
    The mass that a step moves into an end is what its solution loses, so survival + absorbed = 1 to round-off for every
    step. Second order in the spacing; in the step of the order of the scheme.

    Examples
    --------
    >>> import pdelab as pl
    >>> from pdelab.fokker_planck import first_passage
    >>> grid = pl.Grid(0.0, 1.0, 101, boundary=("absorbing", "reflecting"))
    >>> start = np.exp(-(((grid.x - 0.5) / 0.1) ** 2))
    >>> law = first_passage(pl.FokkerPlanck(beta=1.0), start, grid, [0.1, 1.0], dt=1e-3)
    >>> bool(abs(law.survival + law.absorbed.sum(axis=(1, 2)) - 1).max() < 1e-12), bool((law.density > 0).all())
    (True, True)
    """
    if not grid.absorbing.any():
        raise ValueError(f"grid: expected at least one absorbing end, got boundary={grid.boundary}")
    start = problem.initial(initial, grid)
    mass = grid.integrate(start)
    if not mass > 0:
        raise ValueError("initial: expected a density with some mass inside the absorbing ends, got none")
    solution = solve(problem, start / mass, grid, times, **options)
    info = solution.info
    return FirstPassage(solution.times, info["mass"], info["absorbed"], info["flux"], solution)
