"""How fast a steady state turns: round a point of the plane, and round a periodic axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.generator import DiffusionProblem, current, stationary, turning_rate
from pdelab.grid import Grid
from pdelab.nonequilibrium.fields import force, potential

__all__ = ["winding_rate"]


def winding_rate(
    problem: DiffusionProblem,
    grid: Grid,
    centre: ArrayLike = (0.0, 0.0),
    time: float = 0.0,
    *,
    axis: int | None = None,
) -> float:
    """Mean angular velocity of the steady state around a point of the plane: E[(r × j)/r²].

    Parameters
    ----------
    problem, grid, time
        As for `potential`; the grid is a plane, or `axis` is periodic.
    centre : two numbers
        The point, in the plane.
    axis : int, optional
        A periodic axis, around which turns are counted; on a periodic interval the only one.

    Returns
    -------
    float
        Radians per time, anticlockwise; with `axis`, and on a periodic interval, mean net turns per time around the
        axis, with the digits of `generator.turning_rate`.

    Raises
    ------
    ValueError
        An interval that cannot be gone round, three dimensions without `axis`.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(0.0, 2.0, 100, boundary="periodic")
    >>> round(winding_rate(pl.FokkerPlanck(drift=np.full(100, 3.0), diffusivity=0.5), grid), 9)
    1.5
    """
    if axis is not None:
        return turning_rate(problem, grid, axis, time)
    density = stationary(problem, grid, time)
    if grid.dimension == 1:
        if not grid.periodic[0]:
            raise ValueError("grid: expected a periodic interval or a plane, got an interval that cannot be gone round")
        return float(np.mean(current(problem, grid, density, time)[0]))
    if grid.dimension != 2:
        raise ValueError(
            f"grid: expected a ring or a plane, got dimension {grid.dimension}: winding has no meaning there"
        )
    centre = checks.reals("centre", centre, "two numbers")
    if centre.shape != (2,):
        raise ValueError(f"centre: expected two numbers, got shape {centre.shape}")
    j = force(problem, grid, potential(problem, grid, time), time)
    r = grid.points - centre
    square = (r * r).sum(-1)
    turning = np.divide(
        r[..., 0] * j[..., 1] - r[..., 1] * j[..., 0], square, where=square > 0, out=np.zeros(grid.shape)
    )
    if (square == 0).any():  # on the centre itself: the mean of the nodes around it
        at = np.unravel_index(int(np.argmin(square)), grid.shape)
        around = [tuple(np.add(at, step)) for step in ((1, 0), (-1, 0), (0, 1), (0, -1))]
        turning[at] = np.mean(
            [turning[place] for place in around if all(0 <= i < n for i, n in zip(place, grid.shape))]
        )
    return float(grid.integrate(density * turning))
