"""The global minimum of f(y) + |x - y|²/(2t) for a formula f, by branch and bound: with a gap, not by a lattice and hope."""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np

from pdelab.kernels import search
from pdelab.losses import enclosures

CAPACITY = 2**12  # boxes of a new tree
LARGEST = 2**19  # boxes at most
PASSES = ((0.0, 4000), (1e-2, 2**15), (1e-4, 2**15), (1e-6, 2**15))  # gaps (relative) at kinks, and boxes to cut
OCTAVES = 24  # how far around is looked for values so low that they matter: 2^24 times the first reach


@dataclass(frozen=True)
class Minimum:
    """The lowest value that was found over a box, its point, and a bound that no value is below."""

    value: float
    point: float | np.ndarray
    bound: float


class _Tree:
    """A growing tree of boxes over [lower, upper] for one formula."""

    def __init__(self, loss, lower, upper):
        self.tape = enclosures.tape(loss)
        self.lower, self.upper = lower, upper
        self.arrays = search.empty_tree(lower, upper, CAPACITY)
        self.arrays[0][0] = 1
        search.fill(0, self.tape, self.arrays, search.workspace(self.tape[0], len(lower)))

    def grow(self):
        """Twice the room; False at the limit."""
        size = len(self.arrays[1])
        if size >= LARGEST:
            return False
        larger = search.empty_tree(self.lower, self.upper, 2 * size)
        for old, new in zip(self.arrays, larger):
            new[: len(old)] = old
        self.arrays = larger
        return True


def minimise(loss, x, t, lower, upper, *, closed=False, start=None, tolerance=4e-15):
    """Minimum of H(y) = f(y) + |x - y|²/(2t) over the box for points x (P, d).

    Without `closed` the box is known to hold the minimiser over R^d in its interior. t = inf leaves the parabola out.
    `start`: points (P, d) to begin with, by default x. Returns (value (P,), place (P, d), lower bound of the minimum
    (P,)); the bound is within `tolerance` (relative) of the value or, where a minimum lies on a ridge of kinks, as
    close as the budget of boxes allows.
    """
    x = np.ascontiguousarray(x, dtype=float)
    known = _Tree(loss, np.asarray(lower, float), np.asarray(upper, float))
    place = np.clip(x if start is None else start, lower, upper)
    best, error = np.empty(len(x)), np.empty(len(x))
    search.energies(known.tape, x, 0.0 if math.isinf(t) else 1.0 / t, place, best, error)
    below = _lowered(known, x, t, closed, tolerance, best, error, place)
    return best, place, below


def lower_on_box(loss, grid, x, t, best, place):
    """As `minimise` over the closed box of a grid, from values and places known, which are lowered where they can be.

    Periodic axes continue f by images.
    """
    lower, upper = np.array(grid.lower), np.array(grid.upper)
    sides = [high - low if name == "periodic" else 0.0 for low, high, name in zip(lower, upper, grid.boundary)]
    x, place = np.ascontiguousarray(x), np.array(place, dtype=float)
    known = _Tree(loss, lower, upper)
    start, error = np.empty(len(x)), np.empty(len(x))
    search.energies(known.tape, x, 1.0 / t, place, start, error)
    inside = ((place >= lower) & (place <= upper)).all(axis=1)
    best = np.where(inside, start, best)
    for shift in product(*[(0.0, side, -side)[: 3 if side else 1] for side in sides]):
        place -= shift
        _lowered(known, x - np.array(shift), t, True, 4e-15, best, error, place)
        place += shift
    return best, place


def _lowered(known, x, t, closed, tolerance, best, error, place):
    """Branch and bound in passes: those that kinks hold up are done again with a larger gap. Returns the bounds."""
    stiffness = 0.0 if math.isinf(t) else 1.0 / t
    absolute = tolerance * np.where(np.isfinite(best), 1e-3 + np.abs(best), 1.0)
    below, ends = np.full(len(x), -np.inf), np.ones(len(x), np.int64)
    for rough, budget in PASSES:
        left = np.flatnonzero(ends)
        if not left.size:
            break
        parts = [np.ascontiguousarray(a[left]) for a in (best, error, place, below, ends)]
        size = x[left], stiffness, closed, absolute[left], rough, budget
        while not search.minimise(known.tape, known.arrays, *size, *parts) and known.grow():
            pass
        best[left], error[left], place[left] = parts[:3]
        below[left] = np.maximum(below[left], parts[3])
        ends[left] = (parts[4] == search.SETTLED) == (rough > 0.0)
    return below


def surroundings(loss, x, t, depth=0.0):
    """(lower, upper) of a box that holds, for all x (P, d), every y with f(y) + |x - y|²/(2t) <= f(x) + depth.

    Rings around the points, each twice as wide as the last, are enclosed out to 2^24 times the first reach. Raises
    ValueError where low values go on for ever: f then falls as fast as the parabola rises.
    """
    low, high = x.min(0), x.max(0)
    top = float(np.max(loss(x[:, 0] if x.shape[1] == 1 else x))) + depth
    width = math.sqrt(2.0 * t) * max(4.0, math.sqrt(depth))
    for _ in range(60):
        ring = _farthest_ring(loss, low, high, width, t, top)
        if ring < 0:
            return low - width, high + width
        if ring >= OCTAVES - 2:
            break
        width *= 2.0 ** (ring + 1)
    raise ValueError(
        "the loss falls as fast as the parabola |x - y|²/(2 gamma) rises: the local entropy is not finite; use "
        "a smaller gamma"
    )


def _farthest_ring(loss, low, high, width, t, top):
    """The number of the widest ring around the box that may hold f(y) + dist²/(2t) <= top; -1 if none does."""
    lower, upper = _rings(low, high, width)
    ring = np.repeat(np.arange(OCTAVES), len(lower) // OCTAVES)
    for _ in range(12):
        floor = enclosures.enclose(loss, lower, upper)[0][:, 0]
        away = np.maximum(np.maximum(low - upper, lower - high), 0.0)
        left = ~(floor + (away**2).sum(1) / (2.0 * t) > top)
        left &= ~np.isnan(floor)
        if not left.any():
            return -1
        lower, upper, ring = lower[left], upper[left], ring[left]
        if len(ring) > 4096:
            break
        axis = np.argmax(upper - lower, axis=1)
        rows = np.arange(len(ring))
        cut = 0.5 * (lower[rows, axis] + upper[rows, axis])
        first, second = upper.copy(), lower.copy()
        first[rows, axis], second[rows, axis] = cut, cut
        lower, upper, ring = np.concatenate([lower, second]), np.concatenate([first, upper]), np.tile(ring, 2)
    return int(ring.max())


def _rings(low, high, width):
    """Slabs that make up the rings between the box widened by width 2^j and by width 2^(j + 1), j < OCTAVES."""
    d = len(low)
    lower, upper = [], []
    for j in range(OCTAVES):
        inner, outer = width * 2.0**j, width * 2.0 ** (j + 1)
        for axis in range(d):
            a = np.where(np.arange(d) < axis, low - inner, low - outer)
            b = np.where(np.arange(d) < axis, high + inner, high + outer)
            for ends in ((low - outer, low - inner), (high + inner, high + outer)):
                a[axis], b[axis] = ends[0][axis], ends[1][axis]
                lower.append(a.copy())
                upper.append(b.copy())
    return np.array(lower), np.array(upper)
