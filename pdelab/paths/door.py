"""What `simulate` asks of its arguments, and the arrays it makes of them."""

import inspect
import math
import os

import numba
import numpy as np

from pdelab import checks
from pdelab.grid import Grid

LARGEST_STEPS = 2**53  # step numbers that float64 holds


def steps(t, dt):
    """How many steps of at most dt make t."""
    t, dt = checks.positive("t", t), checks.positive("dt", dt)
    if not t / dt < LARGEST_STEPS:
        raise ValueError(f"dt: expected at most {LARGEST_STEPS} steps, got t / dt = {t / dt:g}: take a larger dt")
    return max(math.ceil(t / dt * (1 - 1e-12)), 1)


def precision(dtype):
    """float64 or float32 as a NumPy type."""
    try:
        if np.dtype(dtype) in (np.float64, np.float32):
            return np.dtype(dtype)
    except TypeError:
        pass
    raise ValueError(f"dtype: expected float64 or float32, got {dtype!r}")


def takes(function, name, wanted):
    """ValueError unless this is a function of as many arguments as are wanted."""
    try:
        inspect.signature(function).bind(*wanted.split(")")[0].split(","))
    except TypeError:
        raise ValueError(f"{name}: expected a function {wanted}, got {function!r}") from None
    except ValueError:  # a function without a signature
        pass


def threads(wanted):
    """How many threads run; None: one a processor."""
    return min(available_threads(), 64) if wanted is None else checks.whole("threads", wanted)


def available_threads():
    """Processors this process may use; NUMBA_NUM_THREADS lowers it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(min(cores, numba.config.NUMBA_NUM_THREADS), 1)


def states(sde, initial, paths, dtype=np.float64):
    """The initial ensemble (components, paths) from what a user may give."""
    size = sde.state_size
    wanted = f"a number or ({size},) for all paths, or (paths, {size})" if size > 1 else "a number or shape (paths,)"
    try:
        values = np.array(initial, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"initial: expected {wanted}, got {initial!r}") from error
    if not (np.abs(values) <= np.finfo(dtype).max).all():
        raise ValueError(f"initial: expected finite numbers of {dtype}, got NaN, infinity or more than it can hold")
    if size == 1:
        values = values[..., None]
    elif values.ndim == 0 and sde.dimension == 1:
        values = values[None]
    shape = values.shape
    values = sde.expand(values) if values.ndim in (1, 2) else values
    if values.ndim not in (1, 2) or values.shape[-1] != size:
        raise ValueError(f"initial: expected {wanted}, got shape {np.shape(initial)}")
    given = shape[0] if values.ndim == 2 else None
    paths = checks.whole("paths", (1 if given is None else given) if paths is None else paths)
    if given is not None and given != paths:
        raise ValueError(f"initial: {given} states for {paths} paths: give one for all, or one each")
    x = np.empty((size, paths), dtype)
    x[...] = values[:, None] if given is None else values.T
    return x


def cells(grid, size):
    """The cells of a grid for the counting kernel: lower end, spacing, nodes, periodic?, one row an axis."""
    if grid is None:
        return np.empty((0, 4))
    if not isinstance(grid, Grid) or grid.dimension > size:
        raise ValueError(f"histogram: expected a Grid of at most {size} dimensions, got {grid!r}")
    periodic = [name == "periodic" for name in grid.boundary]
    return np.array([grid.lower, grid.spacing, grid.shape, periodic], float).T.copy()


def box(exit, size):
    """The ends of a box as an array (2, coordinates), of no coordinates without one."""
    if exit is None:
        return np.empty((2, 0))
    try:
        low, high = (np.atleast_1d(np.asarray(end, float)) for end in exit)
        ends = np.array(np.broadcast_arrays(low, high))
    except (TypeError, ValueError) as error:
        raise ValueError(f"exit: expected (lower, upper), numbers or one each a coordinate, got {exit!r}") from error
    if ends.ndim != 2 or ends.shape[1] > size or not (ends[0] < ends[1]).all():
        raise ValueError(f"exit: expected lower < upper for at most {size} coordinates, got {exit!r}")
    return ends
