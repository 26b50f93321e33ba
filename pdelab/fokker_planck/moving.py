"""Fields that depend on time: saved slices, and functions t -> field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdelab.grid import reals
from pdelab.stepping import Solution

__all__ = ["Slices", "at", "moves"]


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
