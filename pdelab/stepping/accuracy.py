"""How wrong the steps are: an estimate of the error in time that comes with every solution."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pdelab.checks import AccuracyWarning
from pdelab.stepping.run import Run

__all__ = ["AccuracyWarning", "Estimate", "integral_error", "largest_error"]

SMALL = 2**24  # nodes times steps: as long as a run is that short, a second one with half its steps is not felt
LARGE = 0.1  # relative error of steps that do not show their order
TINY = np.finfo(float).tiny


def largest_error(error: np.ndarray, first: np.ndarray, now: np.ndarray) -> float:
    """The largest |error|, relative to the range of the data or of the solution, whichever is larger.

    Where both are constant it is relative to their size.

    Parameters
    ----------
    error : array grid.shape
    first, now : array grid.shape
        The data and the solution that the error is measured against.

    Returns
    -------
    float
        Relative; 0 for no error.

    Examples
    --------
    >>> largest_error(np.array([0.0, 0.1]), np.array([0.0, 2.0]), np.array([0.5, 1.0]))
    0.05
    """
    size = _size(error)
    spread = max(float(np.ptp(first)), float(np.ptp(now))) or _size(first)
    return size and size / max(spread, TINY)


def _size(field):
    return max(abs(float(field.min())), abs(float(field.max())))


def integral_error(weights: np.ndarray) -> Callable[[np.ndarray, np.ndarray, np.ndarray], float]:
    """∫ |error| over ∫ |data| with these weights: for a density the share of its mass in the wrong place, twice.

    Parameters
    ----------
    weights : array grid.shape
        Those of the grid, `grid.weights`.

    Returns
    -------
    function (error, first, now) -> float
        A measure for `Stepper.measure`.

    Examples
    --------
    >>> integral_error(np.ones(2))(np.array([0.1, -0.1]), np.array([0.5, 0.5]), None)
    0.2
    """

    def measure(error, first, now):
        size = float((weights * np.abs(error)).sum())
        return size and size / max(float((weights * np.abs(first)).sum()), TINY)

    return measure


class Estimate:
    """The error in time of a run, found beside it; `error` is the largest at the saved times so far.

    A second run takes other steps: twice as long where nothing forbids it, half as long where the scheme has a bound.
    With steps r times as long its error is r^p times as large, p the order, so that the difference of the two tells
    both. Of an order above one longer steps may be too few for that, or leave what shorter ones damp: where `unsure`
    the difference from half as long ones makes sure, `with_half`. A scheme with a `check` is compared with that, of a
    higher order all of whose difference is error. Many other explicit steps are not made again, but where the
    solution leaks: for them stands dt/2 times the change of u_t over the run, what forward Euler leaves out of the
    integral over time.
    """

    def __init__(self, stepper, first, times, dt, cfl, scale):
        stepper = stepper.bare or stepper
        self.stepper, self.first = stepper, first
        self.error, self.follow, self.finish = stepper.error or 0.0, _nothing, _nothing
        self.unsure, self.gap = False, 0.0
        bound = stepper.bound(stepper.init(first), 0.0)

        def run(stepper, scale):
            return Run(stepper, dt, cfl, scale, last=times[-1])

        first_run = run(stepper, scale)
        self.step, breaks = first_run.step(bound, 0.0), first_run.breaks
        gaps = np.diff(np.union1d(times, breaks) if breaks else times, prepend=0.0)
        counts = [max(math.ceil(gap / self.step * (1 - 1e-12)), 1) if gap else 0 for gap in gaps]
        if stepper.error is not None or not sum(counts):
            return
        if stepper.check is not None:
            share = 1.0 if stepper.check.order > stepper.order else 1 / 3
            self._beside(run(stepper.check, scale), set(range(len(times))), lambda ratio, order: share)
        elif 2 * self.step <= bound and sum(counts) > 1 and not breaks:
            self.unsure = stepper.order > 1
            self._beside(run(stepper, 2 * scale), _meetings(counts), _of_shorter)
        elif bound == math.inf or stepper.leaks or first.size * sum(counts) <= SMALL:
            self._beside(run(stepper, scale / 2), set(range(len(times))), lambda r, p: 1 / (1 - min(r, 0.9) ** p))
        else:
            self.change = self._changed(first, 0.0, self.step)
            self.finish = self._finish

    def _beside(self, other, compared, share):
        self.other, self.compared, self.share = other, compared, share
        self.state, self.reached, self.follow = other.stepper.init(self.first), 0.0, self._follow

    def _follow(self, k, end, run):
        """Go on to the saved time number k, which the run has reached, and compare."""
        if k not in self.compared or not end > self.reached:
            return
        self.state = self.other.advance(self.state, self.reached, end)
        self.reached = end
        share = self.share(run.steps / self.other.steps, min(self.stepper.order, 2))
        gap = self.stepper.measure(run.field - self.other.field, self.first, run.field)
        self.gap, self.error = max(self.gap, gap), max(self.error, share * gap)

    def with_half(self, gap: float) -> None:
        """The error from the difference from steps half as long, of the order that both differences show, 1 to 2."""
        fall = min(max(self.gap / max(gap, TINY), 2.0), 4.0)
        sure = gap / (1 - 1 / fall)
        self.error = sure if sure < LARGE else max(sure, self.error)  # no order is seen in what is wrong

    def _finish(self, k, end, run):
        """What forward Euler leaves out, from the first and the last change."""
        now, dt = run.field, run.largest_dt
        error = self._changed(now, end, min(dt, self.stepper.largest_step(now, end)))
        error -= self.change
        error *= 0.5 * dt
        self.error = self.stepper.measure(error, self.first, now)

    def _changed(self, values, time, step):
        """The rate of change over one step."""
        change = self.stepper.march(values, time, step) - values
        change /= step
        return change


def _of_shorter(ratio, order):
    """The error over the difference from steps `ratio` times as long; 1.5 as orders above one are rarely reached."""
    return (1.5 if order > 1 else 1.0) / (max(ratio, 1.01) ** order - 1)


def _nothing(k, end, run):
    pass


def _meetings(counts):
    """Numbers of the saved times, from the last one back, with at least two steps before each."""
    meetings, steps = {len(counts) - 1}, 0
    for k in range(len(counts) - 1, 0, -1):
        steps += counts[k]
        if steps >= 2 and sum(counts[:k]) >= 2:
            meetings.add(k - 1)
            steps = 0
    return meetings
