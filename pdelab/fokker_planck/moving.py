"""Fields that depend on time: saved slices, and functions t -> field."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from pdelab.grid import Grid, reals
from pdelab.stepping import Solution

__all__ = ["Slices", "at", "breaks", "moves"]

INSTANTS, SURVEYED = (64, 512), 2e7  # at which moving coefficients are looked at beforehand, and nodes in all
SHARP = 0.05  # of the range of a coefficient, by which it bends from one of them to the next


@dataclass(frozen=True, eq=False)
class Slices:
    """A field saved at times, linear in between and constant beyond: a potential or drift for `FokkerPlanck`.

    Attributes
    ----------
    times : array (k,)
        Increasing.
    values : array (k, *grid.shape), for a drift (k, *grid.shape, d)

    Raises
    ------
    ValueError
        Times that do not increase, another number of fields than of times, values that are not finite.

    Examples
    --------
    >>> Slices([0.0, 2.0], np.array([[0.0, 0.0, 0.0], [2.0, 4.0, 6.0]]))(0.5)
    array([0.5, 1. , 1.5])
    """

    times: np.ndarray
    values: np.ndarray

    def __post_init__(self):
        times = np.array(reals(self.times, "times: expected increasing numbers"))
        values = reals(self.values, "values: expected one field of numbers for each of the times")
        if times.ndim != 1 or times.size == 0 or not np.isfinite(times).all() or not (np.diff(times) > 0).all():
            raise ValueError(f"times: expected strictly increasing finite times, got {self.times!r}")
        if values.shape[:1] != times.shape or not np.isfinite(values).all():
            raise ValueError(f"values: expected one finite field for each of {times.size} times, got {values.shape}")
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "values", values)

    @classmethod
    def scoped(cls, solution: Solution, duration: float) -> Slices:
        """s -> u(., T (1 - s / duration)) of a Solution up to T: the smoothing undone while the density moves.

        Parameters
        ----------
        solution : Solution
            Up to the time T.
        duration : float > 0

        Returns
        -------
        Slices
        """
        last = solution.times[-1]
        return cls(duration * (1 - solution.times[::-1] / last), solution.values[::-1])

    def __call__(self, time):
        k = int(np.clip(np.searchsorted(self.times, time) - 1, 0, max(len(self.times) - 2, 0)))
        if len(self.times) == 1:
            return self.values[0]
        part = np.clip((time - self.times[k]) / (self.times[k + 1] - self.times[k]), 0.0, 1.0)
        return (1 - part) * self.values[k] + part * self.values[k + 1]


def moves(field):
    """A function of time: callable, but not a Loss."""
    return callable(field) and not hasattr(field, "on")


def at(field, time):
    """The field at one time."""
    return field(time) if moves(field) else field


def breaks(problem: Any, grid: Grid) -> Callable[[float], Sequence[float]]:
    """last -> the times before it at which the coefficients turn sharply: those of `Slices`, and what a survey finds.

    Some hundreds of instants are looked at, so that no step passes over a gust that lasts as long as a few of them.
    """
    fields = [field for field in vars(problem).values() if moves(field)]
    slices = {float(time) for field in fields if isinstance(field, Slices) for time in field.times}

    @lru_cache(maxsize=1)
    def until(last):
        turns = set() if all(isinstance(field, Slices) for field in fields) else _turns(problem, grid, last)
        return tuple(sorted(time for time in slices | turns if 0 < time < last))

    return until


def _turns(problem, grid, last):
    """Instants at which one of a few random sums of the coefficients is far from the mean of its neighbours."""
    number = int(np.clip(SURVEYED / math.prod(grid.shape), *INSTANTS))
    times = (np.arange(number) + 0.5) / number * last
    rng = np.random.default_rng(0)
    directions, sums = {}, []
    for time in times:
        coefficients, row = problem.coefficients(grid, time), []
        for name, field in vars(coefficients).items():
            if isinstance(field, (float, np.ndarray)):
                size = np.size(field)
                if name not in directions:
                    directions[name] = rng.normal(size=size)
                row.append(float(directions[name] @ np.reshape(field, -1)))
        sums.append(row)
    signal = np.array(sums)
    bent = np.abs(np.diff(signal, 2, axis=0)) > SHARP * np.ptp(signal, axis=0)
    near = np.flatnonzero(bent.any(axis=1)) + 1
    return set(times[np.unique(np.clip(near[:, None] + [-1, 0, 1], 0, number - 1))].tolist())
