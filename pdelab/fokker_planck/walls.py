"""Absorbing ends: what has left the box, through which end and how fast.

The nodes on absorbing ends are states that the chain never leaves. While a scheme steps they collect the mass that has
arrived; what is handed out has density zero there, and the mass of each end stands in `info["absorbed"]`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pdelab.fokker_planck.equations import FokkerPlanck
from pdelab.fokker_planck.space_error import with_error
from pdelab.generator import generator, ito
from pdelab.grid import Grid
from pdelab.hints import Times
from pdelab.losses import Loss
from pdelab.stepping import Solution, Stepper, solve

__all__ = ["FirstPassage", "first_passage", "with_walls"]


def with_walls(stepper: Stepper, problem: FokkerPlanck, grid: Grid, share: float = 1.0) -> Stepper:
    """The steps of a Fokker-Planck scheme on a grid that may have absorbing ends, with what they absorb as records.

    share : of what the generator's rates leave out, how much the scheme does
    """
    if problem.adjoint:
        return with_error(stepper, problem, grid, ito(problem.coefficients(grid), grid), share) or stepper
    if not grid.absorbing.any():
        return stepper
    walls, inner, arrivals = grid.absorbing, stepper.values, _arrivals(problem, grid)

    def density(state):
        return np.where(walls, 0.0, inner(state))

    def absorbed(state, time):
        return _at_ends(inner(state), grid)

    def flux(state, time):
        mass = (grid.weights * density(state)).ravel()
        return _by_end({end: float(rates @ mass) for end, rates in arrivals(time).items()}, grid)

    walled = replace(stepper, values=density, records=stepper.records | {"absorbed": absorbed, "flux": flux})
    followed = with_error(stepper, problem, grid, ito(problem.coefficients(grid), grid), share)
    if followed is None:
        return walled
    return replace(
        followed,
        values=lambda state: density(state[0]),
        records={
            "absorbed": lambda state, time: absorbed(state[0], time),
            "flux": lambda state, time: flux(state[0], time),
            "absorbed_error": lambda state, time: absorbed(state[1], time),
        }
        | followed.records,
        bare=walled,
    )


def _at_ends(density, grid):
    """The mass on each absorbing end."""
    masses = grid.weights * density
    return _by_end({end: float(masses[nodes].sum()) for end, nodes in grid.absorbing_ends().items()}, grid)


def _arrivals(problem, grid):
    """time -> {end: rates from each node into it}."""
    ends = grid.absorbing_ends()

    def at(time):
        Q = generator(problem, grid, time)
        return {end: np.asarray(Q[:, np.flatnonzero(nodes)].sum(axis=1)).ravel() for end, nodes in ends.items()}

    if not problem.steady:
        return at
    steady = at(0.0)
    return lambda time: steady


def _by_end(numbers, grid):
    """An array (d, 2) of a number an end; zero at ends that do not absorb."""
    ends = np.zeros((grid.dimension, 2))
    for (axis, side), number in numbers.items():
        ends[axis, side] = number
    return ends


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
