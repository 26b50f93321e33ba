"""The error of the nodes by a run on fewer of them beside it: of densities, of what ends absorb, of values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy import sparse

from pdelab.fokker_planck.accuracy import worst_share
from pdelab.fokker_planck.ends import at_ends, by_end
from pdelab.fokker_planck.equations import FokkerPlanck
from pdelab.fokker_planck.moving import moves
from pdelab.fokker_planck.space_error import EVEN, of_first, relative_error
from pdelab.generator import Ito
from pdelab.generator.coarser import (
    FIELDS,
    ORDERS,
    adds,
    along,
    halved,
    interpolation,
    moved_coefficients,
    on_other_nodes,
)  # fmt: skip
from pdelab.generator.edges import longest_offset
from pdelab.generator.fading import fades
from pdelab.generator.smearing import peclet
from pdelab.generator.truncation import ROUNDING
from pdelab.grid import Grid
from pdelab.stepping import Stepper

__all__ = ["beside"]

FEW, MANY = 6, 33  # nodes of an axis half of which show nothing between walls, and that leading order needs
ROUGH = 0.4  # of the range of the data, what half as many nodes do not show of kinks and steps: orders are lost
APART = 0.5, 1.0  # the error of a density over its difference from half as many nodes: of next ones, of longer offsets
ENOUGH = 257  # along every axis, where the cell Peclet number is small


def beside(
    stepper: Stepper,
    problem: FokkerPlanck,
    grid: Grid,
    form: Ito,
    again: Callable[..., Stepper] | None,
    followed: bool,
) -> Stepper:
    """The same steps with those of fewer nodes beside them, and the error that these tell where it is the worse one.

    Forwards of what each end has absorbed, `absorbed_error`, backwards of the values, `space_error`; math.inf where the
    nodes are too few to tell. Nothing is done where the error is followed and the nodes are enough for that. Of a full
    matrix, of which it is not, of densities too, `space_error`.

    Parameters
    ----------
    again : (problem, grid, values, times) -> the steps of the same scheme without walls, with so many times the
        diffusion that must be added to a full matrix; None: nodes are not compared
    followed : bool
        Does the stepper follow the error to leading order?
    """
    if not problem.adjoint and not grid.absorbing.any():
        return _with_densities(stepper, problem, grid, form, again)
    asked = again is not None and (not followed or min(grid.shape) <= MANY or not problem.steady)
    asked = asked and (not form.diagonal or followed or min(grid.shape) < ENOUGH)
    fewer, few = (
        _fewer(problem, grid, form, again) if asked else None,
        [k for k, n in enumerate(grid.shape) if n <= FEW],
    )
    if fewer is None and not few:
        return stepper

    def unknown(first, time):
        """Is there an axis of few nodes that matters?"""
        return time > 0 and any(_matters(axis, first, problem.coefficients(grid, time), grid) for axis in few)

    if problem.adjoint:
        return _backwards(stepper, fewer, grid, unknown)
    return _with_densities(_absorbed(stepper, fewer, grid, unknown), problem, grid, form, again)


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
            masses = along(part.T, masses, axis)
        return masses / self.grid.weights

    def of_finer(self, first, grid):
        """`share`, but one where the data at time 0 have kinks and steps that these nodes do not show."""
        rebuilt = on_other_nodes(first, grid, self.grid)
        for axis, part in enumerate(self.parts):
            rebuilt = along(part, rebuilt, axis)
        return max(self.share, 1.0) if np.abs(rebuilt - first).max() > ROUGH * np.ptp(first) else self.share

    def density(self, state):
        return np.where(self.grid.absorbing, 0.0, self.stepper.values(state))

    def absorbed(self, state):
        return at_ends(self.stepper.values(state), self.grid)


def _fewer(problem, grid, form, again):
    """The one of these that tells: where diffusion is added that."""
    return _added(problem, grid, again) if adds(form, grid) else _halved(problem, grid, form, again)


def _added(problem, grid, again):
    """The same nodes with twice the diffusion that must be added."""
    parts = [sparse.eye_array(n, format="csr") for n in grid.shape]
    return _Fewer(again(problem, grid, np.ones(grid.shape), 2), grid, parts, 1.0)


def _halved(problem, grid, form, again):
    """Every second node along each axis that has enough of them; None where none has."""
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


def _together(stepper, fewer, started):
    """Both at once: the state is (its state, that of the fewer nodes or None, the data)."""

    def init(field):
        return stepper.init(field), fewer and fewer.stepper.init(started(field)), field

    def advance(state, time, dt, steps):
        own, other, first = state
        return stepper.advance(own, time, dt, steps), fewer and fewer.stepper.advance(other, time, dt, steps), first

    return of_first(stepper, init=init, advance=advance)


def _absorbed(walled, fewer, grid, unknown):
    both = _together(walled, fewer, lambda field: fewer.start(field, grid))

    def absorbed_error(state, time):
        own, other, first = state
        if unknown(first, time):
            return by_end(dict.fromkeys(grid.absorbing_ends(), math.inf), grid)
        absorbed = walled.records["absorbed"](own, time)
        if time == 0:
            return 0 * absorbed
        left = float((walled.values(own) * grid.weights).sum())
        errors = [walled.records["absorbed_error"](own, time)] if "absorbed_error" in walled.records else []
        if fewer and (min(grid.shape) <= MANY or not np.any(errors)):
            errors.append(fewer.of_finer(first, grid) * (absorbed - fewer.absorbed(other)))
        return max(errors, key=lambda error: worst_share(absorbed, left, error)[0], default=0 * absorbed)

    return replace(both, records=both.records | {"absorbed_error": absorbed_error})


def _with_densities(stepper, problem, grid, form, again):
    """The peak `space_error` of a density with a full matrix: ∫ |error| over its mass, the larger of two.

    That of half as many nodes, and that of added diffusion, unless this would take shorter steps.
    """
    if again is None or form.diagonal:
        return stepper
    fewer = _halved(problem, grid, form, again)
    if fewer is not None:
        stepper = _densities(stepper, replace(fewer, share=APART[longest_offset(form, grid) > 1]), grid)
    if adds(form, grid):
        more, bound = _added(problem, grid, again), again(problem, grid, np.ones(grid.shape), 1).bound(None, 0.0)
        stepper = _densities(stepper, more, grid) if more.stepper.bound(None, 0.0) >= bound else stepper
    return stepper


def _densities(stepper, fewer, grid):
    uneven = fewer.start(np.ones(grid.shape), grid) - 1.0

    def taken(field):
        """As `start`, but of a constant the same constant, up to the ends, where polynomials weigh nodes unevenly."""
        return fewer.start(field, grid) - field.min() * uneven

    both, seen = _together(stepper, fewer, taken), []

    def values(state):
        own, other, _ = state
        seen[:] = [fewer.density(other)]
        return stepper.values(own)

    def space_error(field, time):  # of the state whose field was asked for last
        known = stepper.estimates["space_error"](field, time)
        mass = float((np.abs(field) * grid.weights).sum())
        if time == 0 or not mass > 0:
            return known
        apart = np.abs(taken(field) - seen[0]) * fewer.grid.weights
        return max(known, fewer.share * float(apart.sum()) / mass)

    return replace(both, values=values, estimates=stepper.estimates | {"space_error": space_error})


def _backwards(stepper, fewer, grid, unknown):
    def taken(field):
        return np.clip(on_other_nodes(field, grid, fewer.grid), field.min(), field.max())

    both, seen, dies = _together(stepper, fewer, taken), [], grid.absorbing.any()

    def values(state):
        own, other, first = state
        seen[:] = [first, fewer and fewer.stepper.values(other)]
        return stepper.values(own)

    def space_error(field, time):  # of the state whose field was asked for last
        if time == 0:
            return 0.0
        first, other = seen
        if np.ptp(field) <= ROUNDING * np.abs(field if dies else first).max():
            return 0.0
        if unknown(first, time):
            return math.inf
        known = stepper.estimates["space_error"](field, time) if "space_error" in stepper.estimates else 0.0
        if fewer is None or (known > 0 and min(grid.shape) > MANY):
            return known
        return max(known, relative_error(taken(field), fewer.of_finer(first, grid) * (taken(field) - other), first))

    return replace(both, values=values, estimates=stepper.estimates | {"space_error": space_error})


def _matters(axis, first, coefficients, grid):
    """Do the ends of an axis absorb, or do the data at time 0 or the coefficients vary along it?"""
    fields = (first, *(getattr(coefficients, name) for name in FIELDS))
    varies = (field is not None and np.ptp(field, axis).max() > ROUNDING * np.abs(field).max() for field in fields)
    return "absorbing" in grid.ends[axis] or any(varies)
