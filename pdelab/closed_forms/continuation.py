"""How boundary conditions continue node values beyond the box: periodic and even images, straight lines at outflow."""

import math

import numpy as np

from pdelab import boundaries

__all__ = ["images", "outflow", "short"]

LARGEST = 2 * 10**8  # nodes after continuation: beyond this the box is far too small for the time


def images(rows, boundary, left, right):
    """Rows (lines, n) continued by `left` and `right` nodes with periodic or even (reflecting) images."""
    n = rows.shape[1]
    j = np.arange(-left, n + right)
    if boundary == "periodic":
        j %= n
    else:
        j %= 2 * (n - 1)
        j = np.minimum(j, 2 * (n - 1) - j)
    return np.take(rows, j, axis=1)


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


def short(wide, grid, pads, reach, outwards):
    """Do values continued along several axes fall off so steeply somewhere that minimisers may lie further out?"""
    for axis, (h, name, n, low) in enumerate(zip(grid.spacing, grid.boundary, grid.shape, pads)):
        line = np.moveaxis(wide, axis, 0)
        high = len(line) - n - low
        added = (_added(_steepest(*ends) / h, h, reach, outwards) for ends in (line[:2], line[:-3:-1]))
        if name == "outflow" and any(needed > given for needed, given in zip(added, (low, high))):
            return True
    return False


def _steepest(edge, inner):
    """The largest rise from an end inwards; 0 where one of the two is infinite."""
    finite = np.isfinite(edge) & np.isfinite(inner)
    return float((inner[finite] - edge[finite]).max(initial=0.0))


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
    finite = np.isfinite(edge) & np.isfinite(inner)
    slope = np.subtract(edge, inner, out=np.zeros(edge.shape), where=finite)
    return np.where(finite, edge + steps * slope, np.inf)
