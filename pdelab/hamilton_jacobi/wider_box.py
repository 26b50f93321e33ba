"""The error of outflow ends: the same problem on a wider box, where the data go on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pdelab.grid import Grid
from pdelab.hamilton_jacobi.fewer_nodes import ENOUGH, moved
from pdelab.hints import Array, Field
from pdelab.losses import Loss
from pdelab.stepping import Beside, Solution

__all__ = ["wider_box"]

NODES = (33, 17, 9)  # along an axis of one, two, three dimensions; what the ends change is told by as few
QUARTER, MANY = 4, 129  # of the nodes of a finer grid, if these are more, and the most
SPREADS = 3.0  # standard deviations of what diffuses, after which nothing arrives
STEEPER = 4.0  # how many times steeper data may be beyond the box: steps of explicit schemes are shorter as many times
ADVICE = (
    "what lies beyond the outflow ends changes the answer in the box by {{}}: take a box that is wider by {:.3g} at "
    "these ends, or reflecting or periodic ends if the problem has them; rtol=math.inf asks for no accuracy"
)


def wider_box(problem: Any, initial: Field, first: Array, solution: Solution) -> list[Beside]:
    """The run on a wider box, to be compared with one on as few nodes of the box; [] where nothing lies beyond it.

    A formula goes on as it is; values on the nodes bend as they do before the ends, of Burgers they stay constant. So
    wide that nothing comes in from farther, up to the length of the box at each end, less where the data get too steep.

    Parameters
    ----------
    problem : HamiltonJacobi, Heat or Burgers
    initial : Loss or array
        The data as they were given.
    first : array
        The data on the nodes.
    solution : Solution
        On the box.

    Returns
    -------
    list of Beside
    """
    grid, formula, drift = solution.grid, isinstance(initial, Loss), problem.drift
    known = isinstance(drift, Loss) or drift is None if formula else drift is None and _goes_on(first, grid)
    if "outflow" not in grid.boundary or not known or (not formula and solution.info.get("inflow", 0.0) > 0):
        return []
    few = [min(n, max(NODES[grid.dimension - 1], min(math.ceil(n / QUARTER), MANY))) for n in grid.shape]
    box = Grid(grid.lower, grid.upper, few, boundary=grid.boundary)
    start = problem.initial(initial, box) if formula else moved(first, grid, box)
    speeds, time = problem.speeds(start, box), float(solution.times[-1])
    reach = [speed * time + SPREADS * math.sqrt(2 * problem.viscosity * time) for speed in speeds]
    cells = [
        min(math.ceil(far / h), n - 1) if name == "outflow" else 0
        for far, h, n, name in zip(reach, box.spacing, box.shape, box.boundary)
    ]
    while max(cells):
        wide = _wider(box, cells)
        try:
            beyond = problem.initial(initial, wide) if formula else problem.continued(start, box, cells)
        except ValueError:  # the formula is not defined there
            return []
        if max(problem.speeds(beyond, wide)) <= STEEPER * max(speeds):
            break
        cells = [k // 2 for k in cells]
    else:
        return []
    inside = tuple(slice(k, k + n) for k, n in zip(cells, box.shape))
    narrow = Beside("", "", problem, box, start)
    advice = ADVICE.format(max(far for far, k in zip(reach, cells) if k))
    return [Beside("end_error", advice, problem, wide, beyond, own=lambda values: values[inside], against=narrow)]


def _goes_on(first, grid):
    """May values on the nodes be continued? Not fields of vectors, of which no gradient would come, nor large ones."""
    return grid.dimension == 1 or (first.shape == grid.shape and min(grid.shape) < ENOUGH)


def _wider(grid, cells):
    more = np.array(cells) * np.array(grid.spacing)
    shape = [n + 2 * k for n, k in zip(grid.shape, cells)]
    return Grid(grid.lower - more, grid.upper + more, shape, boundary=grid.boundary)
