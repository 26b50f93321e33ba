"""Absorbing ends: what has left the box, through which end and how fast.

The nodes on absorbing ends are states that the chain never leaves. While a scheme steps they collect the mass that has
arrived; what is handed out has density zero there, and the mass of each end stands in `info["absorbed"]`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from pdelab.fokker_planck.accuracy import worst_share
from pdelab.fokker_planck.equations import FokkerPlanck
from pdelab.fokker_planck.moving import moves
from pdelab.fokker_planck.space_error import EVEN, relative_error, with_error
from pdelab.generator import generator, ito
from pdelab.generator.coarser import FIELDS, ORDERS, adds, halved, interpolation, moved_coefficients, on_other_nodes
from pdelab.generator.fading import fades
from pdelab.generator.smearing import peclet
from pdelab.generator.truncation import ROUNDING
from pdelab.grid import Grid
from pdelab.hints import Times
from pdelab.losses import Loss
from pdelab.stepping import Solution, Stepper, solve

__all__ = ["FirstPassage", "first_passage", "with_walls"]

FEW, MANY = 6, 33  # nodes of an axis half of which show nothing between walls, and that leading order needs
ENOUGH = 257  # along every axis, where the cell Peclet number is small


def with_walls(
    stepper: Stepper, problem: FokkerPlanck, grid: Grid, again: Callable[..., Stepper] | None, share: float = 1.0
) -> Stepper:
    """The steps of a Fokker-Planck scheme on a grid that may have absorbing ends, with what they absorb as records.

    again : (problem, grid, values, times) -> the steps of the same scheme without walls, with so many times the
        diffusion that must be added to a full matrix
    share : of what the generator's rates leave out, how much the scheme does
    """
    form = ito(problem.coefficients(grid), grid)
    followed = with_error(stepper, problem, grid, form, share)
    asked = again is not None and (followed is None or min(grid.shape) <= MANY or not problem.steady)
    asked = asked and (not form.diagonal or followed is not None or min(grid.shape) < ENOUGH)
    if problem.adjoint:
        fewer = _fewer(problem, grid, form, again) if asked else None
        return replace(_backwards_beside(followed or stepper, fewer, problem, grid), bare=stepper)
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
    bare = walled
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
    fewer = _fewer(problem, grid, form, again) if asked else None
    return replace(_beside(walled, fewer, problem, grid), bare=bare)


@dataclass(frozen=True)
class _Fewer:
    """The same steps on fewer nodes, or with more of what is added to a full matrix.

    Attributes
    ----------
    stepper : Stepper
    grid : Grid
    parts : list of sparse arrays
        From values on its nodes to those on the finer ones, axis by axis.
    share : float
        The error of the finer nodes over the difference.
    """

    stepper: Stepper
    grid: Grid
    parts: list
    share: float

    def start(self, density, grid):
        """The density of the same mass and moments that gives functions the integrals that their interpolants have."""
        masses = density * grid.weights
        for axis, part in enumerate(self.parts):
            along = np.moveaxis(masses, axis, 0)
            fewer = part.T @ along.reshape(len(along), -1)
            masses = np.moveaxis(fewer.reshape(-1, *along.shape[1:]), 0, axis)
        return masses / self.grid.weights

    def absorbed(self, state):
        return _at_ends(self.stepper.values(state), self.grid)


def _fewer(problem, grid, form, again):
    """Every second node along each axis that has enough of them; None where none has."""
    if adds(form, grid):
        parts = [sparse.eye_array(n, format="csr") for n in grid.shape]
        return _Fewer(again(problem, grid, np.ones(grid.shape), 2), grid, parts, 1.0)
    axes = [axis for axis, n in enumerate(grid.shape) if n > FEW]
    if not axes:
        return None
    other = halved(grid, axes)
    wider = min((other.spacing[axis] / grid.spacing[axis]) ** 2 for axis in axes)
    try:
        stepper = again(_moved(problem, grid, other), other, np.ones(other.shape), 1)
    except ValueError:  # too steep for fewer nodes
        return None
    if form.diagonal and fades(form, grid):
        share = 1 / (math.sqrt(wider) - 1)  # of first order
    else:
        share = (1.0 if form.diagonal and peclet(form, grid) <= EVEN else ORDERS) / (wider - 1)
    return _Fewer(stepper, other, interpolation(other, grid), share)


def _moved(problem, grid, other):
    """The problem on other nodes."""

    @lru_cache(maxsize=1)
    def coefficients(time):
        return moved_coefficients(problem.coefficients(grid, time), grid, other)

    def moved(name):
        if moves(getattr(problem, name)):
            return lambda time: getattr(coefficients(time), name)
        return getattr(coefficients(0.0), name)

    fields = {name: moved(name) for name in FIELDS}
    return type(problem)(**fields, diffusivity=problem.diffusivity, interpretation=problem.interpretation)


def _beside(walled, fewer, problem, grid):
    """With the error of what is absorbed by fewer nodes, where that is the worse one; math.inf where none can tell."""
    few = _short_axes(grid)
    if fewer is None and not few:
        return walled

    def of_own(function):
        return lambda state, *time: function(state[0], *time)

    def init(field):
        return walled.init(field), fewer and fewer.stepper.init(fewer.start(field, grid)), field

    def advance(state, time, dt, steps):
        own, other, first = state
        return walled.advance(own, time, dt, steps), fewer and fewer.stepper.advance(other, time, dt, steps), first

    def absorbed_error(state, time):
        own, other, first = state
        if time > 0 and any(_matters(axis, first, problem.coefficients(grid, time), grid) for axis in few):
            return _by_end(dict.fromkeys(grid.absorbing_ends(), math.inf), grid)
        absorbed, left = walled.records["absorbed"](own, time), float((walled.values(own) * grid.weights).sum())
        errors = [walled.records["absorbed_error"](own, time)] if "absorbed_error" in walled.records else []
        if fewer and (min(grid.shape) <= MANY or not np.any(errors)):
            errors.append(fewer.share * (absorbed - fewer.absorbed(other)))
        return max(errors, key=lambda error: worst_share(absorbed, left, error)[0], default=0 * absorbed)

    return replace(
        walled,
        advance=advance,
        bound=of_own(walled.bound),
        init=init,
        values=of_own(walled.values),
        report=of_own(walled.report),
        records={name: of_own(record) for name, record in walled.records.items()} | {"absorbed_error": absorbed_error},
    )


def _backwards_beside(stepper, fewer, problem, grid):
    """With the `space_error` by fewer nodes, where that is more; math.inf where none can tell."""
    few = _short_axes(grid)
    if fewer is None and not few:
        return stepper
    seen: list[Any] = []

    def of_own(function):
        return lambda state, *time: function(state[0], *time)

    def taken(field):
        return np.clip(on_other_nodes(field, grid, fewer.grid), field.min(), field.max())

    def init(field):
        return stepper.init(field), fewer and fewer.stepper.init(taken(field)), field

    def advance(state, time, dt, steps):
        own, other, first = state
        return stepper.advance(own, time, dt, steps), fewer and fewer.stepper.advance(other, time, dt, steps), first

    def values(state):
        own, other, first = state
        seen[:] = [first, fewer and fewer.stepper.values(other)]
        return stepper.values(own)

    def space_error(field, time):  # of the state whose field was asked for last
        if time == 0:
            return 0.0
        first, other = seen
        if np.ptp(field) <= ROUNDING * np.abs(first).max():
            return 0.0
        if any(_matters(axis, first, problem.coefficients(grid, time), grid) for axis in few):
            return math.inf
        known = stepper.peaks["space_error"](field, time) if "space_error" in stepper.peaks else 0.0
        if fewer is None or (known > 0 and min(grid.shape) > MANY):
            return known
        return max(known, relative_error(taken(field), fewer.share * (taken(field) - other), first))

    return replace(
        stepper,
        advance=advance,
        bound=of_own(stepper.bound),
        init=init,
        values=values,
        report=of_own(stepper.report),
        records={name: of_own(record) for name, record in stepper.records.items()},
        peaks=stepper.peaks | {"space_error": space_error},
    )


def _short_axes(grid):
    return [axis for axis, n in enumerate(grid.shape) if n <= FEW]


def _matters(axis, first, coefficients, grid):
    """Do the ends of an axis absorb, or do the data at time 0 or the coefficients vary along it?"""
    fields = (first, *(getattr(coefficients, name) for name in FIELDS))
    varies = (field is not None and np.ptp(field, axis).max() > ROUNDING * np.abs(field).max() for field in fields)
    return "absorbing" in grid.ends[axis] or any(varies)


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
