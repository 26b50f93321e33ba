"""How the kernels see a grid: three axes, boundary codes, scaled coefficients, largest slopes."""

import math

import numpy as np

from pdelab.kernels import slopes

__all__ = [
    "CODES", "Flow", "changes", "coefficients", "ends", "inverse", "largest_change", "largest_slopes", "layout",
    "shifts", "speeds",
]  # fmt: skip

LITTLE = 0.01  # of the range, what ends that let in something may be off
SLOW = 1e-3  # of the fastest speed, below which nothing comes in
CODES = {"periodic": slopes.PERIODIC, "reflecting": slopes.REFLECTING, "outflow": slopes.OUTFLOW}


def layout(grid):
    """(shape, boundary codes) of a grid seen as three axes with leading ones."""
    lead = 3 - grid.dimension
    return (1,) * lead + grid.shape, (slopes.REFLECTING,) * lead + tuple(CODES[name] for name in grid.boundary)


def coefficients(grid, kinetic, diffusive):
    """(k, d), three numbers each: kinetic/h_i² and diffusive/h_i², zero for the axes that are not there."""
    lead = (0.0,) * (3 - grid.dimension)
    return tuple(lead + tuple(c / h**2 for h in grid.spacing) for c in (kinetic, diffusive))


def shifts(drift, grid):
    """h_i b_i for the kernels: shape (3, rows, n of the last axis); one row of zeros without drift."""
    shape, _ = layout(grid)
    if drift is None:
        return np.zeros((3, 1, shape[2]))
    shift = np.zeros((3, shape[0] * shape[1], shape[2]))
    for axis, (b, h) in enumerate(zip(drift, grid.spacing), start=3 - grid.dimension):
        shift[axis] = h * b.reshape(-1, shape[2])
    return shift


class Flow:
    """The drift of a problem as the kernels see it: its `shift`, its `speed` (max|b_i| of each axis), and `none`."""

    def __init__(self, problem, grid):
        self.problem, self.grid, self.time = problem, grid, None
        self.at(0.0)
        self.none = problem.drift is None

    def at(self, time):
        """Itself, at that time; a drift that does not depend on time is read once."""
        if self.time is None or not (self.problem.steady or self.time == time):
            drift = self.problem.drift_on(self.grid, time)
            self.shift, self.speed, self.time = shifts(drift, self.grid), speeds(drift, self.grid), time
        return self


def largest_slopes(values, grid):
    """L_i = largest |one-sided slope| along each axis, shape (d,)."""
    differences = slopes.largest_differences(values.reshape(-1), *layout(grid))
    return differences[3 - grid.dimension :] / np.array(grid.spacing)


def changes(values, grid, axis):
    """Difference quotients of neighbours along an axis of a field, closed when that is periodic."""
    last = values.take([0], axis) if grid.periodic[axis] else values.take([], axis)
    return np.diff(values, axis=axis, append=last) / grid.spacing[axis]


def largest_change(values, grid):
    """The largest of each axis, summed over the axes."""
    return sum(float(np.abs(changes(values, grid, axis)).max()) for axis in range(grid.dimension))


def speeds(drift, grid):
    """max|b_i| of each axis."""
    return np.zeros(grid.dimension) if drift is None else np.abs(drift).reshape(grid.dimension, -1).max(axis=1)


def inverse(rate):
    """1/rate, and math.inf for 0."""
    return 1 / float(rate) if rate > 0 else math.inf


def ends(problem, grid):
    """The fields of a `Stepper` that watch the outflow ends: `peaks` and `advice`; none of them without such ends."""
    if "outflow" not in grid.boundary or (problem.kinetic == 0 and problem.drift is None):
        return {}
    steady = problem.drift_on(grid) if problem.steady else None

    def inflow(values, time):
        drift = steady if problem.steady else problem.drift_on(grid, time)
        return max(_speeds_in(values, grid, problem.kinetic, drift), default=0.0)

    return {"peaks": {"inflow": inflow}, "advice": _advice}


def _speeds_in(values, grid, kinetic, drift):
    """The largest (b - p)·n of each outflow end, n the outer normal: above 0 if characteristics certainly come in.

    p is the slope between the last two nodes. At the end itself it may be larger by half the change of slope to the
    next: three quarters of that are given away, or of the change after it if that is smaller, and rounding. What comes
    in a thousand times slower than the fastest speed in the box has gone nowhere: 0.
    """
    for axis, (h, name) in enumerate(zip(grid.spacing, grid.boundary)):
        if name == "outflow":
            for side in (1, -1):
                last = np.moveaxis(values, axis, 0)[::-side][:4]
                outward = (last[:-1] - last[1:]) / h
                changes = np.abs(np.diff(outward, axis=0)) if len(last) > 2 else np.zeros_like(outward)
                b = 0.0 if drift is None else side * np.moveaxis(drift[axis], axis, 0)[::-side][0]
                rounding = 1e-12 * kinetic * np.abs(last).max() / h
                speed = b - kinetic * (outward[0] + 0.75 * changes.min(axis=0)) - rounding
                if np.any(speed > 0):
                    fastest = np.abs(b) + kinetic * np.abs(np.diff(values, axis=axis)).max() / h
                    yield float(np.max(np.where(speed > SLOW * fastest, speed, 0.0)))


def _advice(info):
    if info["inflow"] > 0 and info.get("end_error", math.inf) > LITTLE:
        yield (
            f"characteristics come in through an outflow end, at speeds up to {info['inflow']:.3g}: what they bring is "
            "not known, and the values that they reach are those of the end's own rule on every grid: take a larger "
            "box, or reflecting or periodic ends if the problem has them"
        )
