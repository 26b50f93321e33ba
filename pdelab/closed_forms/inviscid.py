"""Hopf-Lax on a grid: u = min over y of f(y) + |x - y|²/(2t), axis by axis by lower envelopes of parabolas.

|x - y|² is a sum over axes, so that d passes over lines give the minimum over all nodes, each pass O(n) a line.
"""

import math
import warnings

import numpy as np

from pdelab.closed_forms import door
from pdelab.stencils import envelopes


def node_minimum(values, grid, t):
    """(minimum over all nodes and images, its minimiser as node numbers (*shape, d)): lexicographically smallest.

    Outflow ends are continued linearly. Node numbers beyond the box are images or nodes of the continuation.
    """
    shape = grid.shape
    values, low = door.outflow(values, grid, 0.0, t)
    chosen = []  # chosen[k]: node number along the axis passed k-th, as a field over the targets so far
    for axis in reversed(range(grid.dimension)):
        h, name = grid.spacing[axis], grid.boundary[axis]
        moved = np.moveaxis(values, axis, -1)
        rows, start = np.ascontiguousarray(moved).reshape(-1, moved.shape[-1]), low[axis]
        if name == "periodic":
            start = shape[axis] // 2 + 1
            rows = door.images(rows, name, start, start)
        best, index = np.empty((rows.shape[0], shape[axis])), np.empty((rows.shape[0], shape[axis]), np.int64)
        envelopes.lower_envelope(rows, float(start), 1.0, h * h / (2.0 * t), best, index)
        index -= start
        whole = (*moved.shape[:-1], shape[axis])
        values = np.moveaxis(best.reshape(whole), -1, axis)
        index = np.ascontiguousarray(np.moveaxis(index.reshape(whole), -1, axis))
        if chosen:
            at = index + low[axis]
            at = at % shape[axis] if name == "periodic" else at
            chosen = [np.take_along_axis(field, at, axis) for field in chosen]
        chosen.append(index)
    nodes = np.stack(chosen[::-1], axis=-1)
    _warn_outside(nodes, grid)
    return np.ascontiguousarray(values), nodes


def _warn_outside(nodes, grid):
    outside = 0
    for axis, (n, name) in enumerate(zip(grid.shape, grid.boundary)):
        if name == "outflow":
            outside += int(((nodes[..., axis] < 0) | (nodes[..., axis] >= n)).sum())
    if outside:
        warnings.warn(
            f"the minimiser leaves the box at {outside} of {math.prod(grid.shape)} nodes: the answer there rests on the "
            "linear continuation beyond the outflow ends; enlarge the box",
            UserWarning,
            stacklevel=6,
        )


def coordinates(nodes, grid):
    """Node numbers (*shape, d) as coordinates: (n,) in one dimension, (*shape, d) otherwise."""
    parts = [low + h * nodes[..., axis] for axis, (low, h) in enumerate(zip(grid.lower, grid.spacing))]
    return parts[0] if grid.dimension == 1 else np.stack(parts, axis=-1)
