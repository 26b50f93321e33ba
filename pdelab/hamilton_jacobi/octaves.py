"""Waves that a run has lost: of each octave what is left, beside what viscosity, shocks and drift leave at least.

Runs on two grids do not tell what numerical diffusion has taken on both, nor waves that the coarser one does not show.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from pdelab.hamilton_jacobi.layout import changes, largest_change
from pdelab.hints import Array
from pdelab.kernels import waves
from pdelab.stepping import Solution

__all__ = ["lost"]

FAINT = 0.02  # of the data, below which waves are not looked at
LOOKS = 4  # saved times that are looked at
MOST = 4  # strides on several axes
SAMPLES = 5  # times at which a drift that moves is looked at
FAR = 100.0  # e-foldings of a wave by the drift after which nothing is left
SPREADS = 3.0  # standard deviations of what diffuses, after which nothing arrives


def lost(problem: Any, first: Array, solution: Solution) -> Iterator[Array]:
    """Fields that the run has lost, one an axis, an octave and a saved time.

    A wave of the data of wave number k keeps at least exp(-νk²t), divided by 1 + st where the equation steepens it at
    the rate s, and by exp(bt) where the drift has the slope b. What is left is compared in squared means, in which this
    is so of every part of the data; k is that of its own mean square slope. Waves within reach of an end may have gone.

    Parameters
    ----------
    problem : HamiltonJacobi, Heat or Burgers
    first : array
        The data on the nodes.
    solution : Solution

    Yields
    ------
    array, shape of the data
    """
    grid, size = solution.grid, float(np.abs(first).max())
    data = first / (size or 1.0)
    whole = np.linalg.norm(data - data.mean())
    looks, kept = np.unique(np.linspace(0, len(solution.times) - 1, LOOKS).round().astype(int)), None
    for axis, code in enumerate(_beyond(problem, grid)):
        for stride in _strides(grid, axis, code):
            wave = _waves(data, axis, stride, code)
            if not np.linalg.norm(wave) > FAINT * whole:
                continue
            kept = kept or _kept(problem, first, solution)
            square = _square_of_wave_number(wave, grid)
            for time, now in zip(solution.times[looks], solution.values[looks]):
                share, reach = kept(square, time)
                part = _out_of_reach(wave, grid, reach, axis, stride) if reach.any() else wave
                there = np.linalg.norm(part)
                if share > FAINT and there > 0:
                    left = np.linalg.norm(_waves(now / size, axis, stride, code)) / there
                    if share > left:
                        yield (share - left) * size * part


def _strides(grid, axis, code):
    """Powers of two; of planes and boxes few, as waves of more nodes cost more to look at than they fade."""
    n, most = grid.shape[axis], math.inf if grid.dimension == 1 else MOST
    stride = 1
    while (6 if code == waves.UNKNOWN else 4) * stride <= n and stride <= most:
        yield stride
        stride *= 2


def _kept(problem, first, solution):
    """A function (square of a wave number, time) -> (least share of a wave, how far from an end it may have gone)."""
    grid, nu = solution.grid, problem.viscosity
    steepening, turning = problem.steepening(first, grid), _turning(problem, grid, solution.times[-1])
    unknown = np.array([code == waves.UNKNOWN for code in _beyond(problem, grid)])
    speeds, widths = problem.speeds(first, grid), SPREADS * math.sqrt(2 * nu) * unknown

    def kept(square, time):
        turned = min(turning * time, FAR)
        share = np.exp(-nu * square * time * math.exp(2 * turned) - turned) / (1 + steepening * time)
        return share, speeds * time + widths * math.sqrt(time)

    return kept


def _turning(problem, grid, last):
    """The largest slope of the drift."""
    if problem.drift is None:
        return 0.0
    times = [0.0] if problem.steady else np.linspace(0.0, last, SAMPLES)
    return max(largest_change(np.moveaxis(problem.drift_on(grid, time), 0, -1), grid) for time in times)


def _beyond(problem, grid):
    """Of each axis, what the kernel takes to lie beyond its ends."""
    mirror = waves.REFLECTING if problem.mirrored else waves.UNKNOWN
    codes = {"periodic": waves.PERIODIC, "reflecting": mirror}
    return [codes.get(name, waves.UNKNOWN) for name in grid.boundary]


def _waves(values, axis, stride, code):
    shape = values.shape
    lines = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
    return waves.short_waves(np.ascontiguousarray(values).reshape(lines), stride, code).reshape(shape)


def _square_of_wave_number(field, grid):
    """The mean square slope over the mean square, by axes; of one wave that of the formula, not of its differences."""
    size, total = (field**2).sum(), 0.0
    if not size:
        return 0.0
    for axis, h in enumerate(grid.spacing):
        slopes = (changes(field, grid, axis) ** 2).sum() * h**2 / size
        total += (2 * np.arcsin(min(np.sqrt(slopes) / 2, 1.0)) / h) ** 2
    return total


def _out_of_reach(field, grid, reach, along, stride):
    """Waves along an axis without those of which something is as near to an end as that."""
    field = field.copy()
    for axis, (wraps, far, h) in enumerate(zip(grid.periodic, reach, grid.spacing)):
        if not wraps and far > 0:
            n = grid.shape[axis]
            near = math.ceil(min(far / h, n)) + (3 * stride if axis == along else 0)
            lines = np.moveaxis(field, axis, 0)
            lines[:near] = lines[max(n - near, 0) :] = 0.0
    return field
