"""What `simulate` asks of its arguments, and the arrays it makes of them."""

import math
import os
from dataclasses import dataclass

import numba
import numpy as np

from pdelab import checks
from pdelab.grid import Grid
from pdelab.paths.schemes import SCHEMES

__all__ = [
    "Piece", "Plan", "available_threads", "box", "cells", "densities", "plan", "precision", "scheme", "states",
    "steps", "teller", "threads",
]  # fmt: skip

LARGEST_STEPS = 2**53  # step numbers that float64 holds


@dataclass(frozen=True)
class Piece:
    """Equal steps: time and number of the first, size, how many, and the row of the saved time at their end."""

    start: float
    first: int
    dt: float
    steps: int
    row: int

    @property
    def end(self):
        """The number of steps of the run up to the end of the piece."""
        return self.first + self.steps


@dataclass(frozen=True)
class Plan:
    """Saved times, the steps between them, and whether the first saved time is the start."""

    times: np.ndarray
    pieces: list
    every: int
    saves_start: bool

    @property
    def steps(self):
        """Steps in all."""
        return self.pieces[-1].end

    @property
    def largest_step(self):
        """The largest dt."""
        return max(piece.dt for piece in self.pieces)

    def when(self, steps):
        """Times of numbers of steps, with halves; inf stays inf."""
        if len(self.pieces) == 1:
            return self.pieces[0].start + steps * self.pieces[0].dt
        edges = [0, *(piece.end for piece in self.pieces)]
        times = [*(piece.start for piece in self.pieces), self.times[-1]]
        return np.where(np.isfinite(steps), np.interp(steps, edges, times), math.inf)


def plan(t, dt, start, save_every):
    """The steps of a run to the time t, or to each of the times t."""
    start, dt = checks.finite("start", start), checks.positive("dt", dt)
    if np.ndim(t) == 0:
        end = checks.positive("t", t) if start == 0.0 else checks.finite("t", t)
        count = steps(end - start if end > start else checks.refuse("t", f"a number > start = {start:g}", t), dt)
        every = min(count if save_every is None else checks.whole("save_every", save_every), count)
        saved = np.append(np.arange(0, count, every), count)
        size = (end - start) / count
        return Plan(start + saved * size, [Piece(start, 0, size, count, len(saved) - 1)], every, True)
    if save_every is not None:
        raise ValueError("save_every: expected None beside a sequence of times, which are saved")
    times = checks.reals("t", t, "increasing times")
    if (
        times.ndim != 1
        or not times.size
        or not (np.isfinite(times).all() and (np.diff(times, prepend=-math.inf) > 0).all())
    ):
        checks.refuse("t", "increasing finite times", t)
    saves_start = bool(times[0] == start)
    if times[0] < start or times[-1] == start:
        checks.refuse("t", f"times from the start, {start:g}, on", t)
    pieces, first = [], 0
    for row, end in enumerate(times):
        begin = start if row == 0 else times[row - 1]
        if end > begin:
            count = steps(end - begin, dt)
            pieces.append(Piece(float(begin), first, float(end - begin) / count, count, row))
            first += count
    return Plan(times.copy(), pieces, first + 1, saves_start)


def scheme(chosen, default):
    """A scheme: a function, or one of `pdelab.paths` by its name; None is the default."""
    if isinstance(chosen, str):
        return SCHEMES[checks.choice("scheme", chosen, sorted(SCHEMES))]
    if chosen is not None:
        checks.takes("scheme", chosen, "(sde, x, t, dt, noise), such as pdelab.paths.milstein")
    return default if chosen is None else chosen


def teller(progress, total, stack):
    """A function of the steps done, which shows a bar, calls a function or does nothing."""
    if callable(progress):
        return lambda done: progress(done, total)
    if not progress:
        return lambda done: None
    from tqdm import tqdm

    bar = stack.enter_context(tqdm(total=total, unit="step"))
    return lambda done: bar.update(done - bar.n)


def densities(counts, grid, paths):
    """Counts (rows, cells) as densities on the nodes with their standard errors; (None, None) without a grid."""
    if grid is None:
        return None, None
    share = counts.reshape(-1, *grid.shape) / paths
    return share / grid.weights, np.sqrt(share * (1 - share) / paths) / grid.weights


def steps(t, dt):
    """How many steps of at most dt make t."""
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
        values = checks.reals("initial", initial, wanted).copy()
    except ValueError as error:
        raise ValueError(f"{error} (real numbers: of complex ones take real and imaginary part)") from error
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
    periodic = grid.periodic
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
