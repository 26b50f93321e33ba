"""What the closed forms ask of their arguments, in the words of `pdelab.checks`, and the arrays they make of them."""

import numpy as np

from pdelab.grid import Grid, reals
from pdelab.losses import Loss

__all__ = ["below_infinity", "each_time", "field", "grid", "inverse_temperature", "loss", "points", "times"]


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
        raise ValueError(
            f"f: expected a Loss here, got {type(f).__name__}: node values have no values and no slopes at points, "
            "they are for local_entropy, hopf_lax and proximal on a Grid"
        )
    if dimension is not None and f.dimension != dimension:
        raise ValueError(f"f: expected a loss of {dimension} variables, one an axis of the grid, got {f.dimension}")
    return f


def field(f, grid):
    """Node values of a Loss or an array, +inf allowed in an array where it forbids a node; ValueError otherwise."""
    if hasattr(f, "on"):
        return grid.field(below_infinity(f.on(grid), grid.points), "f")
    values = reals(f, f"f: expected a Loss or an array of numbers of shape {grid.shape}")
    if not values.size or values.max() < np.inf:  # NaN goes on to the next line but one
        return grid.field(values, "f")
    forbidden = values == np.inf
    if forbidden.all():
        raise ValueError("f: expected a finite number on at least one node, got +inf on all")
    grid.field(np.where(forbidden, 0.0, values), "f")
    return np.ascontiguousarray(values)


def below_infinity(values, points):
    """The values of a Loss at points; ValueError where one is +inf."""
    forbidden = np.isposinf(values)
    if forbidden.any():
        where = np.asarray(points)[forbidden][0]
        raise ValueError(
            f"f: expected finite numbers, got +infinity at {where}: a formula that overflows needs another form, as "
            "logsumexp(0, z) for log(1 + exp(z)); to forbid places give node values on a grid, which may be +inf there"
        )
    return values


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
