"""The error that the nodes make, followed beside a run: of values backwards, and of what absorbing ends take in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from pdelab.fokker_planck.equations import FokkerPlanck
from pdelab.fokker_planck.splitting import Sweeps
from pdelab.generator import Ito, ito
from pdelab.generator.smearing import of_size_one, peclet
from pdelab.generator.truncation import Truncation, roughness
from pdelab.grid import Grid
from pdelab.hints import Array
from pdelab.stepping import Stepper

__all__ = ["EVEN", "Flattened", "Followed", "left_out", "of_first", "relative_error", "with_error"]

EVEN = 0.3  # cell Peclet number up to which the nodes of a resolved solution make errors of a per cent or so
SEEN = 1e-3  # of the largest value, below which none is compared with its error
LEFT, FLAT = 1e-9, math.log(2.5)  # of the range of the data, what is no rounding; logarithm of a share that is lost
STEPS, LEAPS = 16, 8  # steps after which what was left out is added, and parts of one that is exact in time


def left_out(truncation: Truncation, density: Array, grid: Grid, share: Array | float = 1.0) -> Array:
    """What a scheme that leaves out this share of what the rates do leaves out of ρ_t, all where that is not smooth."""
    counted = None if np.all(share == 1.0) else lambda whole: np.maximum(share, _rough(whole / grid.weights, grid))
    return truncation.left_out(density * grid.weights, counted) / grid.weights


def _rough(load, grid):
    """The largest `roughness` of the axes, of what goes on straight into absorbing ends."""
    rough = np.zeros(grid.shape)
    for axis, ends in enumerate(grid.ends):
        along = np.moveaxis(np.array(load), axis, 0)
        for node, inner, further, end in ((0, 1, 2, ends[0]), (-1, -2, -3, ends[1])):
            if end == "absorbing" and len(along) > 3:
                along[node] = 2 * along[inner] - along[further]
        np.maximum(rough, roughness(np.moveaxis(along, 0, axis), axis, grid), out=rough)
    return rough


def with_error(
    stepper: Stepper, problem: FokkerPlanck, grid: Grid, form: Ito, share: Array | float = 1.0
) -> Stepper | None:
    """The same steps, in whose state the error δ of the nodes follows, δ_t = Q^T δ + what the rates left out of ρ_t.

    Backwards, δ_t = Q δ - E u, and the peak `space_error` is the largest |δ| over the range of the data or of u or, if
    that is more, the median of |δ| over |u|: a large value somewhere hides no wrong one elsewhere.

    Parameters
    ----------
    stepper : Stepper
        The state of the result is (its state, the state of δ); what it handed out before, it hands out still.
    form : Ito
        Of the problem on the grid.
    share : float or array grid.shape
        Of what the generator's rates leave out, how much the scheme does where that is smooth.

    Returns
    -------
    Stepper, or None where nothing moves and |b| h / D is small everywhere, or where the truncation of a full matrix is
    not known
    """
    if not form.diagonal or (problem.steady and peclet(form, grid) <= EVEN):
        return None
    values, nothing = stepper.values, np.zeros(grid.shape)
    pieces = LEAPS if stepper.error is not None else 1
    first: list[Array] = []
    seen: list[Array] = []

    @lru_cache(maxsize=1)
    def truncation(time):
        now = form if time == 0 else ito(problem.coefficients(grid, time), grid)
        return Truncation.of(now, grid) if now.diagonal and peclet(now, grid) > EVEN else None

    def load(state, time):
        known = truncation(0.0 if problem.steady else time)
        if known is None:
            return nothing
        if not problem.adjoint:
            return left_out(known, values(state), grid, share)
        whole = -known(values(state))
        return whole if np.all(share == 1.0) else np.maximum(share, _rough(whole, grid)) * whole

    def init(field):
        first[:] = [field]
        return stepper.init(field), stepper.init(nothing)

    def advance(state, time, dt, steps):
        own, error = state
        dt, steps, done = dt / pieces, steps * pieces, 0
        before, known = load(own, time), values(error)
        while done < steps:
            count = min(STEPS if pieces == 1 else 1, steps - done)
            half, begin = 0.5 * count * dt, time + done * dt
            own, known = stepper.advance(own, begin, dt, count), known + half * before
            if known.any():
                known = values(stepper.advance(stepper.init(known), begin, dt, count))
            before, done = load(own, begin + count * dt), done + count
            known = known + half * before
        error = stepper.init(known)
        return own, error

    def field(state):
        seen[:] = [values(state[1])]
        return values(state[0])

    def space_error(field, time):  # of the state whose field was asked for last
        return relative_error(field, *seen, *first) if time > 0 else 0.0

    return of_first(
        stepper,
        advance=advance,
        init=init,
        values=field,
        estimates=stepper.estimates | ({"space_error": space_error} if problem.adjoint else {}),
        bare=stepper,
    )


def of_first(stepper: Stepper, **changes: Any) -> Stepper:
    """A stepper whose state begins with that of this one, which hands out what this one does but for the changes."""

    def read(function):
        return lambda state, *time: function(state[0], *time)

    own = {name: read(getattr(stepper, name)) for name in ("bound", "values", "report")}
    records = {name: read(record) for name, record in stepper.records.items()}
    return replace(stepper, **{**own, "records": records, **changes})


def relative_error(field: Array, error: Array, first: Array) -> float:
    """The largest error over the range of the field or of the data, or the median of its share of the field."""
    size, error = np.abs(field), np.abs(error)
    if not error.any():
        return 0.0
    seen = size > SEEN * size.max()
    spread = max(float(np.ptp(first)), float(np.ptp(field)))
    return max(float(error.max()) / spread, float(np.median(error[seen] / size[seen])))


class Followed:
    """∫ |error that the nodes make of a density| over ∫ |density|, or that of its variance, over it, if that is more.

    Called with (values, time) from time 0 on. Between absorbing ends it is relative to what is left.

    The same equation for δ, in as few steps of backward Euler, axis by axis, as the run is looked at. Where mass leaves
    these leave too much of it: what stood at their start has what is left of the mass, and what the nodes have left out
    since, taken at their end, the mass that it has there.

    Parameters
    ----------
    rates_at : time -> the rates of each axis, or None where they are not known
    load_at : (values, time) -> what they leave out of ρ_t
    grid : Grid
    """

    def __init__(self, rates_at: Callable, load_at: Callable, grid: Grid):
        self.rates_at, self.load_at, self.grid = rates_at, load_at, grid
        self.time, self.mass, self.error = 0.0, 1.0, np.zeros(grid.shape)
        self.masses = self.error
        self.steps: tuple[Any, Any] = None, None

    def __call__(self, values: Array, time: float) -> float:
        if time == 0:
            self.time, self.error = 0.0, np.zeros(self.grid.shape)
            self.mass = float((np.abs(values) * self.grid.weights).sum())
        rates, passed = self.rates_at(time), time - self.time
        masses = values * self.grid.weights
        if passed > 0 and rates is not None and self.mass > 0:
            if self.steps[0] is not rates:
                self.steps = rates, Sweeps(rates, [0.0] * self.grid.dimension, self.grid, False)
            load = passed * self.load_at(values, time) * self.grid.weights
            if self.grid.absorbing.any():
                self.error = self._kept(self.error, self.masses, masses, passed) + self._kept(
                    load, masses, masses, passed
                )
                self.mass = float(np.abs(masses).sum())
            else:
                self.error = self._stepped(self.error + load, passed)
            self.time = time
        self.masses = masses
        if not self.mass > 0 or not self.error.any():
            return 0.0
        return max(float(np.abs(self.error).sum()) / self.mass, self._widths(masses))

    def _stepped(self, masses, passed):
        """After one step of backward Euler, less what is on absorbing ends."""
        masses = np.array(masses, order="C")
        self.steps[1].euler(masses, passed, 1)
        return np.where(self.grid.absorbing, 0.0, masses)

    def _kept(self, error, before, after, passed):
        """The error after such a step, of which as much is left as of the mass: from `before` to `after`."""
        if not error.any():
            return error
        stepped = self._stepped(before, passed).sum()
        return self._stepped(error, passed) * (float(after.sum() / stepped) if stepped > 0 else 1.0)

    def _widths(self, masses):
        """The error of the variance along the open axes, over the variance: the largest of them."""
        worst, total = 0.0, masses.sum()
        for axis in np.flatnonzero(~np.array(self.grid.periodic)):
            x = self.grid.axes[axis].reshape([-1 if k == axis else 1 for k in range(self.grid.dimension)])
            away = (x - (x * masses).sum() / total) ** 2
            variance = float((away * masses).sum()) / total
            if variance > 0:
                worst = max(
                    worst,
                    abs(float((away * self.error).sum()) / total - variance * self.error.sum() / total) / variance,
                )
        return worst


class Flattened:
    """What the rates alone have taken of the range of values, half of it over the range at the start, if it is much.

    Called with (values, time) from time 0 on. They let ∫u² fall at the rate 2 Σ f δu, so that a range r would be
    r exp(∫ Σ f δu / ∫u² dt) without it, where a rate that falls, as after a step of the data, counts by its geometric
    mean. Where rounding is all that is left, both go on as they did.

    Parameters
    ----------
    rates : (values, time) -> `rates_of_change` of one piece
    diagonal : bool
        False: the first of them is of all directions.
    """

    def __init__(self, rates: Callable, diagonal: bool):
        self.rates, self.diagonal = rates, diagonal
        self.time, self.lost, self.range, self.left, self.rate = 0.0, 0.0, 0.0, 0.0, 0.0

    def __call__(self, values: Array, time: float) -> float:
        size = float(np.ptp(values))
        if time == 0:
            self.time, self.lost, self.range, self.rate = 0.0, 0.0, size, self._rate(values, time)
        elif size > LEFT * self.range:
            rate = self._rate(values, time)
            mean = math.sqrt(self.rate * rate) if rate < self.rate else (self.rate + rate) / 2
            self.lost += (time - self.time) * mean
            self.time, self.left, self.rate = time, size, rate
        if not (self.time > 0 and self.range > 0):
            return 0.0
        left, lost = (time / self.time * log for log in (math.log(self.left / self.range), self.lost))
        return (math.exp(min(left + lost, 0.0)) - math.exp(min(left, 0.0))) / 2 if lost > FLAT else 0.0

    def _rate(self, values, time):
        (rates,) = self.rates(values, time)
        if not self.diagonal:
            rates = rates[:1]
        return sum(
            falling / size / _of_waves(values, axis) for axis, (falling, _, size) in enumerate(rates) if size > 0
        )


def _of_waves(values, axis):
    """cos²(kh/2) of a wave k h: what means of two faces have of its second difference."""
    away = of_size_one(values - values.mean())
    size = float((away**2).mean())
    return max(1 - float((np.diff(away, axis=axis) ** 2).mean()) / (4 * size), 0.1) if size > 0 else 1.0
