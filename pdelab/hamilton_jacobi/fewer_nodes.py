"""The error of the nodes: the same problem on every second of them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from pdelab.generator.coarser import halved, on_other_nodes
from pdelab.grid import Grid
from pdelab.hamilton_jacobi.octaves import lost
from pdelab.hints import Array
from pdelab.losses import Loss
from pdelab.stepping import Beside, Solution

__all__ = ["ENOUGH", "fewer_nodes", "moved"]

FEW = 6  # nodes of an axis half of which show nothing
ENOUGH = 257  # along every axis of several, from where on nodes are not compared
MANY = 2**20  # numbers, from where on what is left of waves costs more than the steps
ROUNDING = 1e-12
KINKED = 3.0
ADVICE = "the error of the nodes is {}: take more nodes or a scheme of higher order; rtol=math.inf asks for no accuracy"


def fewer_nodes(problem: Any, first: Array, solution: Solution) -> list[Beside]:
    """The run on every second node, or that some axis has too few of them to tell; [] where nothing is compared.

    What both runs have lost, and waves that every second node does not show, are told by what is left of each octave.

    Parameters
    ----------
    problem : HamiltonJacobi, Heat or Burgers
    first : array
        The data on the nodes.
    solution : Solution
        On the nodes.

    Returns
    -------
    list of Beside
    """
    grid = solution.grid
    if grid.dimension > 1 and min(grid.shape) >= ENOUGH:
        return []
    few = [axis for axis, n in enumerate(grid.shape) if n <= FEW]
    if any(_varies(first, axis) or _varies(_drift(problem, grid), axis) for axis in few):
        return [Beside("space_error", ADVICE, error=np.inf)]
    axes = [axis for axis in range(grid.dimension) if axis not in few]
    if not axes:
        return []
    other = halved(grid, axes)
    wider = min(other.spacing[axis] / grid.spacing[axis] for axis in axes)
    return [
        Beside(
            "space_error", ADVICE, _on_nodes(problem, grid, other), other, moved(first, grid, other),
            share=1 / (wider - 1),
            given=lambda values: moved(values, grid, other),
            smooth=_smooth(first, grid) and _smooth(solution.final, grid),
            lifted=lambda difference: difference[_nearest(grid, other)],
            lost=lost(problem, first, solution) if first.size <= MANY else (),
        )
    ]  # fmt: skip


def moved(values: Array, grid: Grid, other: Grid) -> Array:
    """A field, or a field of vectors, on other nodes of the same box, within its bounds.

    Parameters
    ----------
    values : array
    grid, other : Grid

    Returns
    -------
    array
    """
    axes = tuple(range(grid.dimension))
    new = on_other_nodes(values, grid, other)
    return np.clip(new, values.min(axes, keepdims=True), values.max(axes, keepdims=True))


def _smooth(field, grid):
    """Are second differences over two nodes about four times those over one? At a kink they are twice as large.

    Reflecting ends are kinks of what has a slope there.
    """
    for axis, (n, name) in enumerate(zip(grid.shape, grid.boundary)):
        line = np.moveaxis(field, axis, 0)
        if name != "outflow":
            line = np.pad(line, [(2, 2)] + [(0, 0)] * (line.ndim - 1), "wrap" if name == "periodic" else "reflect")
        near, far = (np.abs(line[2 * k :] - 2 * line[k:-k] + line[: -2 * k]).max(initial=0.0) for k in (1, 2))
        if n > FEW and far < KINKED * near and near > ROUNDING * np.abs(field).max():
            return False
    return True


def _nearest(grid, other):
    """Of each node of a grid, the nearest on a coarser one."""
    places = ((x - low) / h for x, low, h in zip(grid.axes, grid.lower, other.spacing))
    return np.ix_(*(np.rint(place).astype(int) % n for place, n in zip(places, other.shape)))


def _on_nodes(problem: Any, grid: Grid, other: Grid) -> Any:
    """The same problem with the drift on other nodes; a formula stays what it is."""
    drift = problem.drift
    if drift is None or isinstance(drift, Loss):
        return problem

    def taken(time):
        return moved(np.moveaxis(problem.drift_on(grid, time), 0, -1).reshape(np.shape(first)), grid, other)

    new, first = copy.copy(problem), grid.points
    object.__setattr__(new, "drift", taken(0.0) if problem.steady else taken)
    return new


def _drift(problem, grid):
    drift = problem.drift_on(grid)
    return None if drift is None else np.moveaxis(drift, 0, -1)


def _varies(field, axis):
    return field is not None and np.ptp(field, axis).max() > ROUNDING * np.abs(field).max()
