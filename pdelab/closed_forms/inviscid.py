"""Hopf-Lax on a grid: u = min over y of f(y) + |x - y|²/(2t), axis by axis by lower envelopes of parabolas.

|x - y|² is a sum over axes, so that d passes over lines give the minimum over all nodes, each pass O(n) a line.
"""

import math
import warnings

import numpy as np

from pdelab.checks import AccuracyWarning
from pdelab.closed_forms import continuation
from pdelab.kernels import cells, differences, envelopes, quartics

__all__ = ["coordinates", "missed", "multilinear_minimum", "node_minimum", "quartic_minimum", "warn_outside"]


def node_minimum(values, grid, t, places=True):
    """(minimum over all nodes and images, its minimiser as node numbers (*shape, d)): lexicographically smallest.

    Outflow ends are continued linearly. Node numbers beyond the box are images or nodes of the continuation. Without
    `places` the second is None where no minimiser can be outside.
    """
    wide, low = continuation.outflow(values, grid, 0.0, t)
    return _node_minimum(wide, low, grid, t, places or wide is not values)


def multilinear_minimum(values, grid, t, places=True):
    """As node_minimum, over the multilinear interpolant of the nodes: node numbers are then fractions.

    Monotone in the values, and at most Σ_k h_k² max|∂_k² f|/8 above the minimum of a smooth f.
    """
    wide, low = continuation.outflow(values, grid, 0.0, t)
    u, nodes, levels = _node_minimum(wide, low, grid, t, windows=True)
    return _between(wide, low, grid, t, u, nodes, levels)


def quartic_minimum(values, grid, t, places=True):
    """As node_minimum, with quartics between the nodes where the data are smooth, multilinear elsewhere.

    The quartics are those through the five nodes around the best one, along each axis; seven nodes each way decide
    whether the data are smooth (see `quartics.smooth_nodes`). Fifth order there, but not monotone in the values.
    """
    wide, low = continuation.outflow(values, grid, 0.0, t)
    u, nodes = _node_minimum(wide, low, grid, t)
    source, lead = _three(wide), 3 - grid.dimension
    smooth = _three(_smooth(wide, grid))
    shape = (1,) * lead + grid.shape
    low3 = np.array([0] * lead + list(low))
    nodes3 = np.zeros((*shape, 3), np.int64)
    np.add(nodes.reshape(nodes3[..., lead:].shape), low3[lead:], out=nodes3[..., lead:])
    refined, minimiser = u.reshape(shape).copy(), np.zeros((*shape, 3))
    c = np.array([1.0] * lead + [h * h / (2.0 * t) for h in grid.spacing])
    quartics.polish_all(source, smooth, _rings(grid), nodes3, low3.astype(float), c, refined, minimiser)
    refined = refined.reshape(grid.shape)
    minimiser = minimiser.reshape(*grid.shape, 3)[..., lead:] - low3[lead:]
    rough = np.isnan(refined)
    if rough.any():
        linear, fractions = multilinear_minimum(values, grid, t)
        refined[rough], minimiser[rough] = linear[rough], fractions[rough]
    return refined, minimiser


def _between(wide, low, grid, t, u, nodes, levels):
    """(minimum, minimiser) over the multilinear interpolant, from what the passes over the nodes left."""
    d, value, minimiser = grid.dimension, u.copy(), np.empty(nodes.shape)
    nodes = nodes + np.array(low)
    rings = tuple(name == "periodic" for name in grid.boundary)
    start, c = tuple(float(k) for k in low), np.array([h * h / (2.0 * t) for h in grid.spacing])
    fields, first, last = zip(*levels)
    if d == 1:
        ends = first[0], last[0]
        cells.linear_minimum(wide, rings[0], *ends, nodes[:, 0], start[0], c[0], value, minimiser[:, 0])
    elif d == 2:
        cells.bilinear_minimum(wide, rings, fields[1], first, last, nodes, start, c, value, minimiser)
    else:
        cells.trilinear_minimum(wide, rings, *fields[1:], first, last, nodes, start, c, value, minimiser)
    return value, minimiser - np.array(low)


def missed(values, grid, t, u, nodes):
    """The largest distance of u from the energy If(y) + |x - y|²/(2t) of its minimisers, as far as they are in the box.

    nodes (*shape, d): numbers of nodes, fractions where u is the minimum over the multilinear interpolant If.
    """
    lead = 3 - grid.dimension
    c = np.array([0.0] * lead + [h * h / (2.0 * t) for h in grid.spacing])
    places = np.ascontiguousarray(nodes, dtype=float).reshape((1,) * lead + nodes.shape)
    return differences.missed(_three(values), _rings(grid), places, c, _three(u))


def _three(field):
    """A field as a contiguous array of three axes, those of a single node in front."""
    return np.ascontiguousarray(field).reshape((1,) * (3 - field.ndim) + field.shape)


def _rings(grid):
    return np.array([0] * (3 - grid.dimension) + [name == "periodic" for name in grid.boundary], dtype=np.int64)


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
        quartics.smooth_nodes(line.reshape(line.shape[0], -1), floor, inner)
        inner = np.moveaxis(inner.reshape(-1, *line.shape[1:]), 0, axis)
        if name != "periodic":
            inner = np.take(inner, np.clip(np.arange(n) - 3, 0, n - 7), axis=axis)
        smooth &= inner
    return smooth


def _node_minimum(values, low, grid, t, places=True, windows=False):
    """(minimum, its minimiser as node numbers or None); with `windows` also what `multilinear_minimum` needs, an axis.

    That is the field after the pass over the axis, and between which source numbers a value within Σ c/4 of it lies.
    """
    chosen = []  # the node numbers along the axes passed so far, as fields over their targets
    depth = sum(h * h for h in grid.spacing) / (8.0 * t)
    levels = []
    for axis in reversed(range(grid.dimension)):
        rows, start, c = _sources(values, axis, low, grid, t)
        count = grid.shape[axis]
        best, index = np.empty((rows.shape[0], count)), np.empty((rows.shape[0], count), np.int64)
        envelopes.lower_envelope(rows, float(start), 1.0, c, best, index)
        values, before = _back(best, values, axis), values
        if windows:
            first, last = np.empty(index.shape, np.int64), np.empty(index.shape, np.int64)
            envelopes.windows(rows, index, float(start), 1.0, c, depth * (1.0 + 1e-9), first, last)
            shift = start - low[axis]
            levels.append((values, _back(first - shift, before, axis), _back(last - shift, before, axis)))
        if places:
            index -= start
            index = _back(index, before, axis)
            chosen = [*_follow(chosen, index, axis, low, grid), index]
    nodes = np.stack(chosen[::-1], axis=-1) if places else None
    return (values, nodes, levels[::-1]) if windows else (values, nodes)


def _sources(values, axis, low, grid, t):
    """Rows of sources along an axis, where its first target stands, and the parabola's coefficient."""
    moved = np.moveaxis(values, axis, -1)
    rows, start = np.ascontiguousarray(moved).reshape(-1, moved.shape[-1]), low[axis]
    if grid.periodic[axis]:
        start = grid.shape[axis] // 2 + 1  # no node is closer than its nearest image
        rows = continuation.images(rows, "periodic", start, start)
    return rows, start, grid.spacing[axis] ** 2 / (2.0 * t)


def _back(rows, values, axis):
    """Rows over the targets of an axis as a field again."""
    others = [n for k, n in enumerate(values.shape) if k != axis]
    return np.ascontiguousarray(np.moveaxis(rows.reshape(*others, rows.shape[1]), -1, axis))


def _follow(chosen, index, axis, low, grid):
    """The minimisers along the axes passed earlier, at the node chosen along this one."""
    at = index % grid.shape[axis] if grid.periodic[axis] else index + low[axis]
    return [np.take_along_axis(field, at, axis) for field in chosen]


def warn_outside(place, grid):
    """A warning where minimisers, coordinates (*shape, d) or on a line (*shape,), are beyond outflow ends; are any?"""
    place, outside = np.reshape(place, (*grid.shape, grid.dimension)), np.zeros(grid.shape, dtype=bool)
    for axis, (low, high, name) in enumerate(zip(grid.lower, grid.upper, grid.boundary)):
        if name == "outflow":
            room = 1e-9 * (high - low)
            outside |= (place[..., axis] < low - room) | (place[..., axis] > high + room)
    if outside.any():
        warnings.warn(
            f"the minimiser leaves the box at {int(outside.sum())} of {math.prod(grid.shape)} nodes: the answer there "
            "rests on the linear continuation beyond the outflow ends; enlarge the box",
            AccuracyWarning,
            stacklevel=5,
        )
    return bool(outside.any())


def coordinates(nodes, grid):
    """Node numbers (*shape, d) as coordinates: (n,) in one dimension, (*shape, d) otherwise."""
    parts = [low + h * nodes[..., axis] for axis, (low, h) in enumerate(zip(grid.lower, grid.spacing))]
    for axis, (n, high, wraps) in enumerate(zip(grid.shape, grid.upper, grid.periodic)):
        if not wraps:  # the end itself, not what rounding makes of it
            parts[axis] = np.where(nodes[..., axis] == n - 1, high, parts[axis])
    return parts[0] if grid.dimension == 1 else np.stack(parts, axis=-1)
