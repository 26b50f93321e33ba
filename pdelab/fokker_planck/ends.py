"""Numbers of each absorbing end of a box: the mass there, the rates into it."""

from __future__ import annotations

import numpy as np

from pdelab.generator import generator

__all__ = ["arrivals", "at_ends", "by_end"]


def at_ends(density, grid):
    """The mass on each absorbing end."""
    masses = grid.weights * density
    return by_end({end: float(masses[nodes].sum()) for end, nodes in grid.absorbing_ends().items()}, grid)


def arrivals(problem, grid):
    """time -> {end: rates from each node into it}."""
    ends = grid.absorbing_ends()

    def at(time):
        Q = generator(problem, grid, time)
        return {end: np.asarray(Q[:, np.flatnonzero(nodes)].sum(axis=1)).ravel() for end, nodes in ends.items()}

    if not problem.steady:
        return at
    steady = at(0.0)
    return lambda time: steady


def by_end(numbers, grid):
    """An array (d, 2) of a number an end; zero at ends that do not absorb."""
    ends = np.zeros((grid.dimension, 2))
    for (axis, side), number in numbers.items():
        ends[axis, side] = number
    return ends
