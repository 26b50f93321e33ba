"""Hopf-Lax on a grid: u = min over y of f(y) + |x - y|²/(2t), axis by axis by lower envelopes of parabolas.

|x - y|² is a sum over axes, so that d passes over lines give the minimum over all nodes, each pass O(n) a line.
"""

import math
import warnings

import numpy as np

from pdelab.closed_forms import door
from pdelab.kernels import envelopes


def node_minimum(values, grid, t, places=True):
    """(minimum over all nodes and images, its minimiser as node numbers (*shape, d)): lexicographically smallest.

    Outflow ends are continued linearly. Node numbers beyond the box are images or nodes of the continuation. Without
    `places` the second is None where no minimiser can be outside.
    """
    wide, low = door.outflow(values, grid, 0.0, t)
    return _node_minimum(wide, low, grid, t, places or wide is not values)


def refined_minimum(values, grid, t, places=True):
    """As node_minimum, over the interpolant of the nodes: the minimiser's node numbers are then fractions.

    The interpolant is the tensor product of quartics around the best node where the data are smooth (seven nodes each
    way, see `smooth_nodes`), and linear between the nodes, axis by axis, elsewhere.
    """
    values, low = door.outflow(values, grid, 0.0, t)
    u, nodes = _node_minimum(values, low, grid, t)
    lead = 3 - grid.dimension
    low3 = np.array([0] * lead + list(low))
    nodes3 = np.zeros((*[1] * lead, *grid.shape, 3), np.int64)
    np.add(nodes.reshape(nodes3[..., lead:].shape), low3[lead:], out=nodes3[..., lead:])
    periodic = np.array([0] * lead + [name == "periodic" for name in grid.boundary], dtype=np.int64)
    c = np.array([1.0] * lead + [h * h / (2.0 * t) for h in grid.spacing])
    u = u.reshape(nodes3.shape[:3])
    minimiser = np.empty(nodes3.shape)
    source = values.reshape(*[1] * lead, *values.shape)
    smooth = _smooth(values, grid).reshape(source.shape)
    envelopes.polish_all(source, smooth, periodic, nodes3, low3.astype(float), c, u, minimiser)
    u = u.reshape(grid.shape)
    minimiser = minimiser.reshape(*grid.shape, 3)[..., lead:] - low3[lead:] if places else None
    rough = np.isnan(u)
    if rough.any():
        linear, fractions = _linear_minimum(values, low, grid, t)
        u[rough] = linear[rough]
        if places:
            minimiser[rough] = fractions[rough]
    return u, minimiser


def _smooth(values, grid):
    """Which nodes look smooth along every axis; the three next to an end do as the fourth does."""
    smooth = np.ones(values.shape, dtype=bool)
    floor = 1e-13 * float(np.abs(values).max())
    for axis, name in enumerate(grid.boundary):
        n = values.shape[axis]
        if n < 7:
            return np.zeros(values.shape, dtype=bool)
        line = np.moveaxis(values, axis, 0)
        line = np.concatenate([line[-3:], line, line[:3]]) if name == "periodic" else np.ascontiguousarray(line)
        inner = np.ones((line.shape[0] - 6, line[0].size), dtype=bool)
        envelopes.smooth_nodes(line.reshape(line.shape[0], -1), floor, inner)
        inner = np.moveaxis(inner.reshape(-1, *line.shape[1:]), 0, axis)
        if name != "periodic":
            inner = np.take(inner, np.clip(np.arange(n) - 3, 0, n - 7), axis=axis)
        smooth &= inner
    return smooth


def _linear_minimum(values, low, grid, t):
    """(minimum, minimiser as fractional node numbers) with data that are linear between the nodes, axis by axis."""
    chosen = []
    for axis in reversed(range(grid.dimension)):
        rows, start, c = _sources(values, axis, low, grid, t)
        count = grid.shape[axis]
        best, index = np.empty((rows.shape[0], count)), np.empty((rows.shape[0], count), np.int64)
        envelopes.lower_envelope(rows, float(start), 1.0, c, best, index)
        place = np.empty(best.shape)
        envelopes.linear_envelope(rows, float(start), 1.0, c, index, best, place)
        values, place = _back(best, values, axis), _back(place, values, axis) - start
        if chosen:
            chosen = _follow(chosen, np.rint(place).astype(np.int64), axis, low, grid)
        chosen.append(place)
    return values, np.stack(chosen[::-1], axis=-1)


def _node_minimum(values, low, grid, t, places=True):
    chosen = []  # the node numbers along the axes passed so far, as fields over their targets
    for axis in reversed(range(grid.dimension)):
        rows, start, c = _sources(values, axis, low, grid, t)
        count = grid.shape[axis]
        best, index = np.empty((rows.shape[0], count)), np.empty((rows.shape[0], count), np.int64)
        envelopes.lower_envelope(rows, float(start), 1.0, c, best, index)
        values, before = _back(best, values, axis), values
        if places:
            index -= start
            index = _back(index, before, axis)
            chosen = _follow(chosen, index, axis, low, grid) + [index]
    if not places:
        return values, None
    nodes = np.stack(chosen[::-1], axis=-1)
    _warn_outside(nodes, grid)
    return values, nodes


def _sources(values, axis, low, grid, t):
    """Rows of sources along an axis, where its first target stands, and the parabola's coefficient."""
    moved = np.moveaxis(values, axis, -1)
    rows, start = np.ascontiguousarray(moved).reshape(-1, moved.shape[-1]), low[axis]
    if grid.boundary[axis] == "periodic":
        start = grid.shape[axis] // 2 + 1  # no node is closer than its nearest image
        rows = door.images(rows, "periodic", start, start)
    return rows, start, grid.spacing[axis] ** 2 / (2.0 * t)


def _back(rows, values, axis):
    """Rows over the targets of an axis as a field again."""
    others = [n for k, n in enumerate(values.shape) if k != axis]
    return np.ascontiguousarray(np.moveaxis(rows.reshape(*others, rows.shape[1]), -1, axis))


def _follow(chosen, index, axis, low, grid):
    """The minimisers along the axes passed earlier, at the node chosen along this one."""
    at = index % grid.shape[axis] if grid.boundary[axis] == "periodic" else index + low[axis]
    return [np.take_along_axis(field, at, axis) for field in chosen]


def _warn_outside(nodes, grid):
    outside = 0
    for axis, (n, name) in enumerate(zip(grid.shape, grid.boundary)):
        if name == "outflow":
            outside += int(((nodes[..., axis] < 0) | (nodes[..., axis] >= n)).sum())
    if outside:
        warnings.warn(
            f"the minimiser leaves the box at {outside} of {math.prod(grid.shape)} nodes: the answer there rests on "
            "the linear continuation beyond the outflow ends; enlarge the box",
            UserWarning,
            stacklevel=2,
        )


def coordinates(nodes, grid):
    """Node numbers (*shape, d) as coordinates: (n,) in one dimension, (*shape, d) otherwise."""
    parts = [low + h * nodes[..., axis] for axis, (low, h) in enumerate(zip(grid.lower, grid.spacing))]
    return parts[0] if grid.dimension == 1 else np.stack(parts, axis=-1)
