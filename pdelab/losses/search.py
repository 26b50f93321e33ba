"""The global minimum of f(y) + |x - y|²/(2t) for a formula f, by branch and bound, with a gap."""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np

from pdelab.kernels import boxes, newton, operations, proofs, search
from pdelab.losses import enclosures

__all__ = [
    "Boxes", "Minimum", "Search", "floors", "halved", "lower_on_box", "minimise", "refuse_poles", "rounding", "scale",
    "surroundings",
]  # fmt: skip

CAPACITY = 2**12  # boxes of a new tree
LARGEST, TREES = 2**19, 8  # boxes at most in a tree, and how many of them are filled one after the other
PASSES = ((0.0, 4000), (1e-2, 2**15), (1e-4, 2**15), (1e-6, 2**15))  # gaps (relative) at kinks, and boxes to cut
JUMPS = ((0.0, 100), *PASSES[1:3])  # the same at jumps along curves, of more points than a FEW
FEW = 16
CURVES = ((1e-2, 2**15), (1e-4, 2**15), (8e-6, 2**17))  # the same everywhere, where minimisers fill a curve
TOLERANCE = 4e-15  # relative gap that is aimed at
FLOOR = 1e-3  # of the scale of the values: where that takes too many boxes, the gap is no smaller than of such a value
SMALL = 1e-2  # of how far f is above its minimum: from there down it, not 1, is the scale of the values
SEAM = 1e-12  # of the side of a ring, what is at its end
STRIDE = 32  # of many points on a grid, one in so many is searched before the others are judged
OCTAVES = 24  # how far around is looked for values so low that they matter: 2^24 times the first reach
HALVINGS = 120  # of a box that holds a pole, along each axis
FURTHER = 4  # times that this is looked at from 2^24 times as far: of large losses the first reach, of 1, is short


@dataclass(frozen=True)
class Minimum:
    """The lowest value that was found over a box, its point, and a bound that no value is below.

    Attributes
    ----------
    value : float
        f at the point.
    point : float or array (d,)
    bound : float
        No value over the box is below; value - bound is the gap.
    """

    value: float
    point: float | np.ndarray
    bound: float


class Boxes:
    """A growing tree of boxes over [lower, upper] for one formula: what one search learns serves the next."""

    def __init__(self, loss, lower, upper):
        self.tape = enclosures.tape(loss)
        self.lower, self.upper = lower, upper = np.asarray(lower, dtype=float), np.asarray(upper, dtype=float)
        self.arrays = boxes.empty_tree(lower, upper, CAPACITY)
        self.arrays[0][0] = 1
        boxes.fill(0, self.tape, self.arrays, boxes.workspace(self.tape[0], len(lower)))

    def grow(self):
        """Twice the room; False at the limit."""
        size = len(self.arrays[1])
        if size >= LARGEST:
            return False
        larger = boxes.empty_tree(self.lower, self.upper, 2 * size)
        for old, new in zip(self.arrays, larger):
            new[: len(old)] = old
        self.arrays = larger
        return True

    def full(self):
        """Is there no room for another cut?"""
        return self.arrays[0][0] + 2 > len(self.arrays[1])

    def rounding(self, points):
        """How far values of f may be off by rounding, at points (P, d)."""
        return _energies(self.tape, points)[1]

    def scale(self, points, best):
        """`scale` of best (P,) found for points (P, d)."""
        return scale(_energies(self.tape, points)[0], best)

    def minimise(self, x, t, *, closed=True, tolerance=TOLERANCE):
        """(value (P,), place (P, d), below (P,)) of `Search`, by default over the box itself."""
        x, place = np.array(x, dtype=float, order="C"), np.clip(x, self.lower, self.upper)
        value, error = np.empty(len(x)), np.empty(len(x))
        newton.energies(self.tape, x, 0.0 if math.isinf(t) else 1.0 / t, place, value, error)
        return value, place, _lowered(self, x, t, closed, tolerance, value, error, place)


class Search:
    """The minimum over R^d of H(y) = f(y) + |x - y|²/(2t) for points x (P, d), within a box known to hold it.

    value (P,), place (P, d) and below (P,): a lower bound within round-off of the value or, where a minimum lies on a
    ridge of kinks, as close as the budget of boxes allows. t = inf leaves the parabola out; `closed` asks for the
    minimum over the box itself.
    """

    def __init__(self, loss, x, t, box, *, closed=False, tolerance=TOLERANCE):
        self.x, self.t = np.array(x, dtype=float, order="C"), t
        self.tree = Boxes(loss, *box)
        self.value, self.place, self.below = self.tree.minimise(self.x, t, closed=closed, tolerance=tolerance)

    def floor(self):
        """A lower bound of f over the box, from the boxes that were not cut."""
        count, child, floor = self.tree.arrays[0][0], self.tree.arrays[1], self.tree.arrays[4]
        return float(floor[:count][child[:count] < 0].min())

    def windows(self, rows, beta, h, level, coarse):
        """(fine, the numbers of boxes, their ends (P + 1,)) of `kernels.search.windows` at the points `rows`."""
        fine, ends = np.zeros(len(rows), dtype=bool), np.zeros(len(rows) + 1, dtype=np.int64)
        kept = np.empty(64 * len(rows) + CAPACITY, dtype=np.int64)
        size = self.x[rows], 1.0 / self.t, level, beta, h, 1.0, coarse
        while not search.windows(self.tree.tape, self.tree.arrays, *size, fine, kept, ends[1:]):
            if len(kept) < LARGEST and not self.tree.full():
                kept = np.empty(2 * len(kept), dtype=np.int64)
            elif not self.tree.grow():
                fine[:], ends[:] = False, 0
                break
        return fine, kept[: ends[-1]], ends


def minimise(loss, x, t, lower, upper, *, closed=False, tolerance=TOLERANCE):
    """(value (P,), place (P, d), below (P,)) of `Search`."""
    least = Search(loss, x, t, (lower, upper), closed=closed, tolerance=tolerance)
    return least.value, least.place, least.below


def rounding(loss, points):
    """How far values of a formula may be off by rounding, at points (P, d)."""
    return _energies(enclosures.tape(loss), points)[1]


def scale(here, best):
    """What gaps are measured by beside the value: 1, or how far minima `best` (P,) are below f `here` if that is less.

    Differences of a few hundredths are no loss of another scale.
    """
    drop = np.where(np.isfinite(here) & np.isfinite(best), here - best, 0.0)
    return np.where((drop > 0.0) & (drop < SMALL), drop, 1.0)


def _energies(tape, points):
    """(f, its rounding error) at points (P, d)."""
    points = np.ascontiguousarray(points, dtype=float)
    value, error = np.empty((2, len(points)))
    newton.energies(tape, points, 0.0, points, value, error)
    return value, error


def halved(lower, upper):
    """Boxes cut in two along their longest side."""
    rows, axis = np.arange(len(lower)), np.argmax(upper - lower, axis=1)
    cut = 0.5 * (lower[rows, axis] + upper[rows, axis])
    first, second = upper.copy(), lower.copy()
    first[rows, axis], second[rows, axis] = cut, cut
    return np.concatenate([lower, second]), np.concatenate([first, upper])


def lower_on_box(loss, grid, x, t, best, place):
    """As `minimise` over the closed box of a grid, from values and places known, which are lowered where they can be.

    Periodic axes continue f by images. A few points are searched; what that tells of the boxes proves most of the
    others as they are, and those that it does not prove are searched, too. Of places outside the box, where f is not
    meant, the bound is their value.
    """
    lower, upper = np.array(grid.lower), np.array(grid.upper)
    sides = [high - low if name == "periodic" else 0.0 for low, high, name in zip(lower, upper, grid.boundary)]
    x, best, place = np.array(x, order="C"), np.array(best, dtype=float), np.array(place, dtype=float)
    tree = Boxes(loss, lower, upper)
    shifts = [np.array(shift) for shift in product(*[(0.0, side, -side)[: 3 if side else 1] for side in sides])]
    left = np.arange(len(x)) % STRIDE > 0
    left[-1:] = False
    left &= (np.abs(place - upper) > SEAM * np.array(sides)).all(axis=1)  # there f may be that of the other end
    below = np.empty(len(x))
    _search_box(tree, ~left, x, t, shifts, best, place, below)
    if left.any():
        proved = _proved(tree, loss, left, x, t, shifts, best, place)
        below[proved] = best[proved]
        _search_box(tree, left & ~proved, x, t, shifts, best, place, below)
    ring = np.array(sides) > 0.0
    meant = (((place >= lower) & (place <= upper)) | ring).all(axis=1)
    return best, place, np.where(meant, below, np.minimum(below, best))


def _search_box(tree, rows, x, t, shifts, best, place, below):
    """Lower best and place at some of the points x, for every image of them, and bound the minimum from below."""
    if not rows.any():
        return
    x, value, spot = x[rows], best[rows], place[rows]
    start, error = np.empty(len(x)), np.empty(len(x))
    newton.energies(tree.tape, x, 1.0 / t, spot, start, error)
    inside = ((spot >= tree.lower) & (spot <= tree.upper)).all(axis=1)
    value = np.where(inside, start, value)
    bound = np.full(len(x), np.inf)
    for shift in shifts:
        spot -= shift
        bound = np.minimum(bound, _lowered(tree, x - shift, t, True, TOLERANCE, value, error, spot))
        spot += shift
    best[rows], place[rows], below[rows] = value, spot, bound


def _proved(tree, loss, rows, x, t, shifts, best, place):
    """At which of some points the boxes that are known prove best and place to be the minimum, for every image."""
    slope = np.asarray(loss.gradient(place[:, 0] if place.shape[1] == 1 else place)).reshape(place.shape)
    slope = slope + (place - x) / t
    inside = ((place >= tree.lower) & (place <= tree.upper)).all(axis=1)
    sound = rows & inside & np.isfinite(slope).all(axis=1) & np.isfinite(best)
    tolerance, certain = TOLERANCE * np.abs(best), np.zeros(len(x), dtype=bool)
    if x.shape[1] == 1 and len(shifts) == 1:
        certain |= sound
        proofs.certify_between(tree.arrays, np.flatnonzero(~rows), 1.0 / t, tolerance, place, slope, certain)
    left = np.flatnonzero(sound & ~certain)
    also = np.ones(len(left), dtype=bool)
    parts = [a[left] for a in (tolerance, best, place, slope)]
    for shift in shifts:
        places = parts[2] - shift
        proofs.certify(tree.arrays, x[left] - shift, 1.0 / t, True, *parts[:2], places, parts[3], also)
    certain[left] = also
    return certain


def _lowered(tree, x, t, closed, tolerance, best, error, place):
    """Branch and bound in passes: those that kinks hold up are done again with a larger gap. Returns the bounds.

    Those that are held up all the same, by curves of minimisers, are done with that gap everywhere. At first the gap
    is relative to the value alone, also of values next to 0, then to the scale of its differences as well.
    """
    below = np.full(len(x), -np.inf)
    size = np.full(len(x), 1.0 if tolerance > TOLERANCE else 0.0)

    def settled(left, rough, smooth, budget):
        """Which of the points `left` one pass settles."""
        done = np.zeros(len(left), dtype=bool)
        for _ in range(TREES):
            rows = left[~done]
            parts = [np.ascontiguousarray(a[rows]) for a in (best, error, place, below)]
            gap = tolerance, tolerance * FLOOR * size[rows], size[rows], rough, smooth
            where = x[rows], 0.0 if math.isinf(t) else 1.0 / t, closed, *gap, budget
            ends = np.full(len(rows), search.OPEN)
            while not (room := search.minimise(tree.tape, tree.arrays, *where, *parts, ends)) and tree.grow():
                pass
            best[rows], error[rows], place[rows] = parts[:3]
            below[rows] = np.maximum(below[rows], parts[3])
            done[~done] = ends == search.SETTLED
            if room or not (ends == search.SETTLED).any():
                break
            tree.arrays[0][0], tree.arrays[1][0] = 1, -1  # only the root: room for those that the tree had none for
        return done

    every = np.arange(len(x))
    passes = JUMPS if len(x) > FEW and np.isin(tree.tape[0], (operations.SIGN, operations.ATAN2)).any() else PASSES
    left = every[~settled(every, 0.0, 0.0, passes[0][1])]
    if left.size and not size.any():
        size = tree.scale(x, best)
        left = left[~settled(left, 0.0, 0.0, passes[0][1])]
    size = np.ones(len(x))
    for _ in range(2):  # with gaps of the scale of 1, and then of small values
        kinks, curves = left, left[:0]
        for k, (rough, budget) in enumerate(passes[1:]):
            done = settled(kinks, rough, 0.0, budget)
            curves = kinks[~done] if k == 0 else curves
            kinks = kinks[done]
        for rough, budget in CURVES[: len(passes) - 1]:
            curves = curves[settled(curves, rough, rough, budget)]
        size = tree.scale(x, best) if left.size else size
        left = left[size[left] < 1.0]
    return below


def refuse_poles(loss, below, lower, upper):
    """ValueError with the place next to which a formula has no bound from below; below (P,): what bounds are known."""
    if (below > -math.inf).all():
        return
    lower, upper = lower[None], upper[None]
    for _ in range(HALVINGS * lower.shape[1]):
        lower, upper = halved(lower, upper)
        falls = np.flatnonzero(enclosures.enclose(loss, lower, upper, 0)[0][:, 0] == -math.inf)
        if not falls.size:
            return  # it is the bounds that are wide
        lower, upper = lower[falls[:1]], upper[falls[:1]]
    place = np.round(0.5 * lower + 0.5 * upper, 12)[0] + 0.0
    raise ValueError(
        f"f: expected a loss that is bounded below where the kernel reaches, no bound is found near {place.tolist()} "
        "(a pole, or a gap of the formula as at 0 in sin(x)/x): bound it, as by max(f, -100), or take points and a "
        "gamma that do not reach there"
    )


def floors(loss, owner, lower, upper, x, t, gap):
    """(lower bounds of H(.; x[owner]) over boxes lower, upper (C, d), how far H may move between nodes (C, d))."""
    arrays = boxes.empty_tree(lower[0], upper[0], len(owner))
    arrays[2][:], arrays[3][:] = lower, upper
    floor, dips = np.empty(len(owner)), np.empty(lower.shape)
    boxes.floors(enclosures.tape(loss), arrays, owner, x, 1.0 / t, gap, floor, dips)
    return floor, dips


def surroundings(loss, x, t, depth=0.0):
    """(lower, upper) of a box that holds, for all x (P, d), every y with f(y) + |x - y|²/(2t) <= f(x) + depth.

    Rings around the points, each twice as wide as the last, are enclosed out to 2^24 times the first reach, and
    further where low values go on so far. Raises ValueError where they go on for ever: f then falls as fast as the
    parabola rises.
    """
    low, high = x.min(0), x.max(0)
    top = float(np.max(loss(x[:, 0] if x.shape[1] == 1 else x))) + depth
    width = max(math.sqrt(2.0 * t) * max(4.0, math.sqrt(depth)), 8.0 * np.spacing(np.abs(x).max()))
    first, further = 2.0 * width, FURTHER
    for _ in range(60):
        ring = _farthest_ring(loss, low, high, width, t, top)
        if ring < 0:
            return low - width, high + width
        further -= ring >= OCTAVES - 2
        if further < 0:
            break
        width *= 2.0 ** (ring + 1)
    refuse_poles(loss, np.array([-math.inf]), low - first, high + first)
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
