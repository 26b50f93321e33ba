"""What the closed forms ask of their arguments, and how boundary conditions continue data beyond the box."""

import math

import numpy as np

from pdelab import boundaries
from pdelab.grid import Grid, reals
from pdelab.losses import Loss

LARGEST = 2 * 10**8  # nodes after continuation: beyond this the box is far too small for the time


def times(t, name="t"):
    """(array of times, was it a sequence?); ValueError for a negative or non-finite one."""
    array = reals(t, f"{name}: expected a number >= 0 or a sequence of them")
    if array.ndim > 1 or array.size == 0 or not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(f"{name}: expected a finite number >= 0 or a sequence of them, got {t!r}")
    return np.atleast_1d(array), array.ndim == 1


def inverse_temperature(beta):
    """beta as a float in (0, inf]; ValueError otherwise."""
    value = reals(beta, "beta: expected a number > 0 or inf")
    if value.ndim > 0 or not value > 0:
        raise ValueError(f"beta: expected a number > 0 or inf, got {beta!r}")
    return float(value)


def grid(where):
    """A Grid as it is; ValueError otherwise."""
    if not isinstance(where, Grid):
        raise ValueError(f"grid: expected a Grid, got {type(where).__name__}; at points there is local_entropy")
    return where


def loss(f, dimension=None):
    """f if it is a Loss (of that many variables); ValueError otherwise."""
    if not isinstance(f, Loss):
        raise ValueError(f"f: expected a Loss here, got {type(f).__name__}; node values need a Grid")
    if dimension is not None and f.dimension != dimension:
        raise ValueError(f"f: a loss of {f.dimension} variables does not fit a grid of dimension {dimension}")
    return f


def field(f, grid):
    """Node values of a Loss or an array, +inf allowed in an array where it forbids a node; ValueError otherwise."""
    if hasattr(f, "on"):
        return grid.field(f, "f")
    values = reals(f, f"f: expected a Loss or an array of numbers of shape {grid.shape}")
    forbidden = values == np.inf
    if values.size and forbidden.all():
        raise ValueError("f: expected a finite number on at least one node, got +inf on all")
    grid.field(np.where(forbidden, 0.0, values), "f")
    return np.ascontiguousarray(values)


def points(where, dimension):
    """Points as a flat array (count, d) and the shape of what is computed at them."""
    array = reals(where, "points: expected a Grid or an array of numbers")
    if dimension == 1:
        shape, flat = array.shape, array.reshape(-1, 1)
    elif array.shape[-1:] == (dimension,):
        shape, flat = array.shape[:-1], array.reshape(-1, dimension)
    else:
        raise ValueError(f"points: expected shape (..., {dimension}), the last axis the coordinates, got {array.shape}")
    if not np.isfinite(flat).all():
        raise ValueError("points: expected finite coordinates, got NaN or infinity")
    return flat, shape


def each_time(function, t, name="t"):
    """function(time) for a scalar, the stack of its results along a new leading axis for a sequence."""
    ts, many = times(t, name)
    results = [function(float(time)) for time in ts]
    return np.stack(results) if many else results[0]


# -------------------------------------------------------------------------------------------- continuation


def images(rows, boundary, left, right):
    """Rows (lines, n) continued by `left` and `right` nodes with periodic or even (reflecting) images."""
    n = rows.shape[1]
    j = np.arange(-left, n + right)
    if boundary == "periodic":
        j %= n
    else:
        j %= 2 * (n - 1)
        j = np.minimum(j, 2 * (n - 1) - j)
    return rows[:, j]


def outflow(values, grid, reach, outwards):
    """Node values continued linearly beyond the outflow ends of the box.

    Each end is continued as far as a minimiser can lie (`outwards` times the steepest descent out of the box) plus
    `reach`. Returns the larger array and the number of nodes added below each axis.
    """
    boundaries.only(grid, boundaries.FREE, "closed forms")
    pads = []
    for axis, (h, name) in enumerate(zip(grid.spacing, grid.boundary)):
        if name != "outflow":
            pads.append((0, 0))
            continue
        line = np.moveaxis(values, axis, 0)
        pads.append(tuple(_added(_steepest(*ends) / h, h, reach, outwards) for ends in (line[:2], line[:-3:-1])))
    sizes = [n + low + high for n, (low, high) in zip(values.shape, pads)]
    if math.prod(sizes) > LARGEST:
        raise ValueError(
            "the minimisers leave the box too far for a continuation beyond its outflow ends "
            f"({' x '.join(f'{s:.3g}' for s in sizes)} "
            "nodes): enlarge the box or shorten the time"
        )
    for axis, (low, high) in enumerate(pads):
        if low or high:
            values = _continued(values, axis, int(low), int(high))
    return values, tuple(int(low) for low, _ in pads)


def _steepest(edge, inner):
    """The largest rise from an end inwards; 0 where one of the two is infinite."""
    known = np.isfinite(edge) & np.isfinite(inner)
    return float((inner[known] - edge[known]).max(initial=0.0))


def _added(slope, h, reach, outwards):
    """Nodes to add at an end that the data leave downhill with `slope` (>= 0) or uphill (< 0)."""
    distance = outwards * max(slope, 0.0) + reach
    return math.ceil(distance / h) + 2 if distance > 0 else 0


def _continued(values, axis, low, high):
    line = np.moveaxis(values, axis, 0)
    column = (-1,) + (1,) * (line.ndim - 1)
    below, above = np.arange(low, 0, -1).reshape(column), np.arange(1, high + 1).reshape(column)
    parts = [_linearly(line[0], line[1], below), line, _linearly(line[-1], line[-2], above)]
    return np.ascontiguousarray(np.moveaxis(np.concatenate(parts), 0, axis))


def _linearly(edge, inner, steps):
    """The edge value plus so many times its difference to the inner one; +inf where one of them is infinite."""
    known = np.isfinite(edge) & np.isfinite(inner)
    slope = np.subtract(edge, inner, out=np.zeros(edge.shape), where=known)
    return np.where(known, edge + steps * slope, np.inf)
