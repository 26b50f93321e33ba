"""Absorbing ends: what has left the box, through which end and how fast.

The nodes on absorbing ends are states that the chain never leaves. While a scheme steps they collect the mass that has
arrived; what is handed out has density zero there, and the mass of each end stands in `info["absorbed"]`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import expm

from pdelab.fokker_planck.equations import FokkerPlanck
from pdelab.fokker_planck.space_error import with_error
from pdelab.generator import generator, ito
from pdelab.generator.assembly import chain_of
from pdelab.generator.coarser import ORDERS, every_second, half_as_many, on_other_nodes
from pdelab.grid import Grid
from pdelab.hints import Array, Times
from pdelab.losses import Loss
from pdelab.stepping import Solution, Stepper, solve

__all__ = ["FirstPassage", "first_passage", "with_walls"]

FEW, MANY, ALL = 5, 33, 400  # nodes of an axis, fewer and more than which are not asked what half of them say; of all


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
    form, coarse = ito(problem.coefficients(grid), grid), None
    followed = with_error(stepper, problem, grid, form, share)
    few = min(grid.shape) > FEW and max(grid.shape) <= MANY and math.prod(grid.shape) <= ALL
    if few and form.diagonal and problem.steady and share == 1.0:
        coarse = _by_half_the_nodes(problem, grid)
    if followed is None:
        return walled if coarse is None else _with_coarse(walled, coarse)
    walled = replace(
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
    return walled if coarse is None else _with_coarse(walled, coarse)


def _with_coarse(walled, coarse):
    """With the error of what is absorbed by half the nodes, where that is the larger one."""
    start: list[Array] = []

    def init(field):
        start[:] = [field]
        return walled.init(field)

    def absorbed_error(state, time):
        other = coarse(start[0], walled.records["absorbed"](state, time), time)
        known = walled.records["absorbed_error"](state, time) if "absorbed_error" in walled.records else 0 * other
        return other if np.abs(other).sum() > np.abs(known).sum() else known

    return replace(walled, init=init, records=walled.records | {"absorbed_error": absorbed_error})


def _by_half_the_nodes(problem, grid):
    """(start, absorbed, time) -> the error of what each end has absorbed by what half the nodes would say.

    They give the probabilities to have left by then; splines take these to the start.
    """
    other, given = every_second(grid) or half_as_many(grid), problem.coefficients(grid)
    names = [name for name in ("potential", "drift", "diffusion", "sigma") if getattr(given, name) is not None]
    fewer = replace(given, **{name: _moved(getattr(given, name), grid, other) for name in names})
    Q, ends = chain_of(ito(fewer, other), other).toarray(), other.absorbing_ends()
    wider = min((more / less) ** 2 for more, less in zip(other.spacing, grid.spacing))

    @lru_cache(maxsize=2)
    def over(step):
        return expm(step * Q)

    latest = [0.0, np.stack([nodes.ravel().astype(float) for nodes in ends.values()], axis=1)]
    first = latest[:]

    def left_by(time):
        if time < latest[0]:
            latest[:] = first
        if time > latest[0]:
            latest[:] = time, over(float(f"{time - latest[0]:.9g}")) @ latest[1]
        return latest[1]

    size = math.prod(other.shape)
    splines = on_other_nodes(np.eye(size).reshape(*other.shape, size), other, grid).reshape(-1, size)

    def error(start, absorbed, time):
        left = ((grid.weights * start).ravel() @ splines) @ left_by(time)
        return ORDERS * (_by_end(dict(zip(ends, left)), grid) - absorbed) / (wider - 1)

    return error


def _moved(values, grid, other):
    """A field on other nodes, within its bounds."""
    return np.clip(on_other_nodes(values, grid, other), values.min(), values.max())


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
