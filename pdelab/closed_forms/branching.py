"""Branch and prune over R^d for H(y) = f(y) + |x - y|²/(2t), f a Loss: boxes that may hold low values.

Boxes around x are cut in two again and again; those that cannot come close enough to the minimum are dropped. All
points x are worked on at once. What is done with the boxes: `descent` looks for minimisers, `quadrature` integrates.
"""

import math
import warnings
from functools import lru_cache

import numpy as np

from pdelab.checks import AccuracyWarning
from pdelab.losses import search

__all__ = [
    "BLOCK", "Energy", "ORDERS", "TooManyBoxes", "in_chunks", "roots", "rule", "second_look", "slack", "split",
    "spread", "survivors", "valleys", "values",
]  # fmt: skip

ORDERS = {1: 16, 2: 12, 3: 8}  # Gauss points along an axis of a box
BLOCK = 2 * 10**6  # evaluations at once
MOST = {1: 10, 2: 4, 3: 2}  # times as many that boxes may hold
CHUNK = {1: 2048, 2: 128, 3: 16}  # points at once
ROOTS = {1: 16, 2: 8, 3: 4}  # boxes along an axis to start with
LOOKOUT = 4.0  # a valley of f lower by D matters within sqrt(2 t D): from the start it is looked for up to D = 16
LOOKS = 256, 4096, 10**5  # points of the second look at a loss of functions around a point, and in all
SAME = 2e-14  # relative: two ways to a difference of values that differ by rounding only
NARROW = 0.01  # of a lattice's width: where valleys matter within less, a narrower one is looked at as well
FARTHEST, FURTHER = 1e16, 1e8  # times the size of x: reaches of large losses, and how far a loss may keep on falling
LATTICE = {1: 4097, 2: 257, 3: 65}  # nodes along an axis to look for the lowest value in reach


def spread(f, x, t, depth):
    """Radii r (one a point) of boxes around the points x (P, d) that hold all y with H(y) <= min H + depth.

    |y - x|² <= 2t (f(x) - min f + depth), the minimum taken over what is in reach: of a formula a proved bound of it,
    of functions the lowest value on a lattice of at least LOOKOUT sqrt(2t), which is enlarged until that closes. Raises
    ValueError when it does not: f then falls faster than the parabola rises.
    """
    d = x.shape[1]
    low, high = x.min(0), x.max(0)
    here = values(f, x)
    if f.formula is not None:
        box = search.surroundings(f, x, t, depth)
        below = search.minimise(f, x[here.argmin()][None], math.inf, *box, closed=True, tolerance=1e-6)[2]
        search.refuse_poles(f, below, *box)
        return 1.0001 * np.sqrt(2.0 * t * (here - below + depth)) + 1e-300
    width = max(math.sqrt(2.0 * t * depth), math.sqrt(2.0 * t) * LOOKOUT)
    lowest, finer, first = float(here.min()), 12 // d, None
    size = 1.0 + np.abs(x).max() + math.sqrt(t)
    for _ in range(200):
        axes = [np.linspace(a - width, b + width, LATTICE[d]) for a, b in zip(low, high)]
        lowest = min(_lowest(f, axes), lowest)
        radii = 1.05 * np.sqrt(2.0 * t * ((here - lowest) + depth + 4e-16 * np.abs(here))) + 1e-300
        needed = float(radii.max())
        if needed <= width:
            if needed > NARROW * width or finer == 0 or width < NARROW * float((high - low).max()):
                return radii
            width, finer = max(needed, 0.1 * width), finer - 1  # of small losses this lattice may pass over valleys
            continue
        first = needed if first is None else first
        if not first < FARTHEST * size:
            raise ValueError(
                f"f: expected values that differ by less within the kernel's reach, got {here.max():.3g} at the points "
                f"and {lowest:.3g} beside them: choose other units or give f as a formula"
            )
        width = max(needed, 1.3 * width)
        if not width < FURTHER * (size + first):
            break
    raise ValueError(
        "the loss falls as fast as the parabola |x - y|²/(2 gamma) rises: the local entropy is not finite; use "
        "a smaller gamma"
    )


def second_look(f, x, t, radii, energy, depth=0.0):
    """Warn where a loss of functions has values of H more than `depth` below its `energy` (P,) that sampling missed.

    A low-discrepancy sequence within the radii around some of the points x is looked at, none of whose places was
    sampled before.
    """
    if f.formula is not None:
        return
    some = np.unique(np.linspace(0, len(x) - 1, min(len(x), LOOKS[2] // LOOKS[0])).astype(int))
    x, radii, energy, d = x[some], radii[some], energy[some], x.shape[1]
    root = {1: 1.618033988749895, 2: 1.324717957244746, 3: 1.2207440846057596}.get(d) or 2.0 ** (1.0 / d)
    looks = min(LOOKS[2] // len(x), LOOKS[1])
    steps = np.arange(1, looks + 1)[:, None] * root ** -np.arange(1.0, d + 1.0)
    y = x[:, None] + radii[:, None, None] * (2.0 * (steps % 1.0) - 1.0)
    energies = values(f, y) + ((y - x[:, None]) ** 2).sum(-1) / (2.0 * t)
    lower = energies.min(axis=1) < energy - depth - slack(f, x, energy, 1e-9)
    if lower.any():
        k = int(np.argmax(lower))
        warnings.warn(
            f"f is sampled too coarsely: near {x[k]} the valley at {y[k, energies[k].argmin()]} was missed; "
            "give f as a formula, which is searched with a proof, or use a smaller time",
            AccuracyWarning,
            stacklevel=6,
        )


def slack(f, x, u, relative):
    """By how much energies (P,) must be below u, found for points x (P, d), to be others: a share of their size.

    Beside |u| that is 1, or what f differs from u by at any of the points if that is small, with its rounding.
    """
    here = values(f, x)
    drop = float(np.max(here - u, initial=0.0))
    return relative * (search.scale(drop, 0.0) + np.abs(u)) + 1e-14 * float(np.abs(here).max(initial=0.0))


def _lowest(f, axes, most=16):
    """The lowest value of f over a lattice and between its nodes, in the `most` places where it may lie."""
    nodes, h = _mesh(axes), np.array([a[1] - a[0] for a in axes])
    sampled = values(f, nodes)
    lattice = sampled.reshape(1, *[len(a) for a in axes])
    floors = (lattice - _dips(lattice).sum(0)).ravel()
    best = float(sampled.min())
    at = nodes[np.argsort(floors)[:most][np.sort(floors)[:most] <= best]]
    around = _mesh([np.linspace(-1.0, 1.0, 9)] * len(axes))
    for _ in range(14):
        near = np.clip(at[:, None] + h * around, nodes[0], nodes[-1])
        sampled = values(f, near)
        at, h = near[np.arange(len(at)), sampled.argmin(1)], h / 4.0
        best = min(best, float(sampled.min()))
        if (sampled.max(1) - sampled.min(1) <= 4e-16 * np.abs(best)).all():
            break
    return best


def _mesh(axes):
    return np.stack([m.ravel() for m in np.meshgrid(*axes, indexing="ij")], axis=-1)


def values(f, points):
    """f at points (..., d), also for d = 1; an overflow counts as a very high wall."""
    v = f(points[..., 0] if points.shape[-1] == 1 else points)
    v = np.minimum(v, 1e300)
    if not np.isfinite(v).all():
        where = points[~np.isfinite(v)][0] if np.ndim(v) else points
        raise ValueError(f"f: expected numbers wherever the kernel reaches, got NaN or -infinity at {where}")
    return v


@lru_cache
def rule(n, ends=False):
    """Gauss points, weights (summing to 1) and the matrix values -> Legendre coefficients.

    With `ends` a rule that includes both ends (Lobatto's): two points more, exact to two degrees more.
    """
    if ends:
        p = np.polynomial.legendre.Legendre.basis(n + 1)
        s = p.deriv().roots()
        s = np.concatenate([[-1.0], s - p.deriv()(s) / p.deriv(2)(s), [1.0]])
        return s, 1.0 / ((n + 1) * (n + 2) * p(s) ** 2), None
    s, w = np.polynomial.legendre.leggauss(n)
    k = np.arange(n)
    return s, w / 2, np.polynomial.legendre.legvander(s, n - 1).T * (w / 2) * (2 * k[:, None] + 1)


class TooManyBoxes(ValueError):
    """The work does not fit into memory: it is tried again with fewer points at once."""


def in_chunks(function, x, *arguments):
    """function(x, *arguments), a tuple of arrays, for all points x (P, d), as many at once as memory holds."""
    pending, results = [(0, len(x))], []
    chunk = CHUNK[x.shape[1]]
    while pending:
        start, stop = pending.pop()
        if stop - start > chunk:
            pending += [(i, min(i + chunk, stop)) for i in range(start, stop, chunk)][::-1]
            continue
        try:
            results.append(function(x[start:stop], *arguments))
        except TooManyBoxes:
            if stop - start == 1:
                raise
            middle = (start + stop) // 2
            pending += [(middle, stop), (start, middle)]
    return tuple(np.concatenate(parts) for parts in zip(*results))


class Energy:
    """H relative to its value at an origin, by default x itself, for all points x at once; places relative to it, too.

    Next to a cusp at the origin neither H nor a place is then rounded to what it is next to x. Within `near` of the
    origin the difference is integrated from the gradient of f along the segment to it: there H itself, rounded, would
    leave no digits of beta times the difference.
    """

    def __init__(self, f, x, t, origin=None, near=None):
        self.f, self.x, self.t = f, x, t
        self.origin = x if origin is None else origin
        self.away = self.origin - x
        self.height = values(f, self.origin).astype(float)
        self.base = self.height + (self.away**2).sum(axis=1) / (2.0 * t)
        self.near = np.zeros(len(x)) if near is None else near

    def close(self, owner, centre, half):
        """Are the boxes within `near` of the origin?"""
        return (np.abs(centre) + half).max(1) <= self.near[owner]

    def __call__(self, owner, centre, half, ends=False):
        """H - base at the points of the rule in each box: (C, n, ..., n)."""
        d = self.x.shape[1]
        s = rule(ORDERS[d], ends)[0]
        y, bowl = np.empty((len(owner), *[len(s)] * d, d)), 0.0
        for k in range(d):
            with np.errstate(invalid="ignore"):  # of what is refused
                line = centre[:, k, None] + half[:, k, None] * s
            shape = -1, *[len(s) if j == k else 1 for j in range(d)]
            y[..., k] = (line + self.origin[owner, k, None]).reshape(shape)
            bowl = bowl + (line * (0.5 * line + self.away[owner, k, None]) / self.t).reshape(shape)
        energy = values(self.f, y)
        energy -= self._at(owner, self.height)
        energy += bowl
        close = self.close(owner, centre, half)
        if close.any():
            z = centre[close].reshape(-1, *[1] * d, d) + half[close].reshape(-1, *[1] * d, d) * _mesh([s] * d).reshape(
                *[len(s)] * d, d
            )
            energy[close] = self._checked_difference(owner[close], z)
        return energy

    def _at(self, owner, rows):
        """Rows (P, ...) of the owners of boxes, for points of their rules."""
        d = self.x.shape[1]
        return rows[owner].reshape(-1, *[1] * d, *rows.shape[1:])

    def _bowl(self, owner, z):
        """The difference of the parabolas."""
        return (z * (0.5 * z + self._at(owner, self.away))).sum(-1) / self.t

    def _checked_difference(self, owner, z):
        """`_difference` where it is the difference of the values up to their rounding, elsewhere the latter.

        A kink, a jump or a narrow well between origin and point is not seen by the few slopes in between. `near` then
        shrinks to what is on this side of it.
        """
        fine, bowl = self._difference(owner, z), self._bowl(owner, z)
        there, height = values(self.f, z + self._at(owner, self.origin)), self._at(owner, self.height)
        plain = there - height + bowl
        wrong = ~(np.abs(fine - plain) <= SAME * (np.abs(there) + np.abs(height) + np.abs(bowl)))
        if wrong.any():
            where = np.nonzero(wrong)
            np.minimum.at(self.near, owner[where[0]], 0.99 * np.abs(z).max(-1)[where])
        return np.where(wrong, plain, fine)

    def bounds(self, owner, centre, half):
        """(proved lower bound of H - base in each box, how far H may move between Gauss points, by axis)."""
        nodes = rule(ORDERS[self.x.shape[1]])[0]
        middle = centre + self.origin[owner]
        lower, upper = np.nextafter(middle - half, -np.inf), np.nextafter(middle + half, np.inf)
        gap = 0.5 * max(np.diff(nodes).max(), 2.0 * (1.0 - nodes[-1]))
        floor, dips = search.floors(self.f, owner, lower, upper, self.x, self.t, gap)
        return floor - self.base[owner], dips

    def _difference(self, owner, z):
        """f(origin + z) - f(origin) and the difference of the parabolas, both as z times a mean slope."""
        d = z.shape[-1]
        origin = self._at(owner, self.origin)
        nodes, weights, _ = rule(6)
        slope = 0.0
        for node, weight in zip(nodes, weights):
            y = origin + 0.5 * (1.0 + node) * z
            slope = slope + weight * np.asarray(self.f.gradient(y[..., 0] if d == 1 else y)).reshape(z.shape)
        return (z * (slope + (self._at(owner, self.away) + 0.5 * z) / self.t)).sum(-1)


def valleys(f, x, t):
    """Where minima of H over R^d may lie: (owner, starts, size) of the boxes left after pruning, the best point first.

    Boxes are cut to an eighth of the first ones, or smaller.
    """
    count, d = x.shape
    radii = spread(f, x, t, 0.0)
    boxes, field = roots(np.repeat(radii[:, None], d, axis=1)), Energy(f, x, t)
    best, places = np.zeros(count), x.copy()
    limit = radii / (8.0 * ROOTS[d])
    done = []
    while len(boxes[0]):
        boxes, energy, _, _, lower = survivors(field, boxes, best, 0.0)
        owner, centre, half = boxes
        here = x[owner] + _place(energy, centre, half)
        lowest = energy.reshape(len(owner), math.prod(energy.shape[1:])).min(1)
        new = np.flatnonzero((lowest == lower[owner]) & (lower < best)[owner])
        places[owner[new]], best = here[new], lower
        large = np.where(half > limit[owner, None], half, 0.0)
        small = ~large.any(axis=1)
        done.append((owner[small], here[small]))
        boxes = split(boxes, large, ~small)
    owner, starts = (np.concatenate([part[k] for part in done]) for k in (0, 1))
    return np.concatenate([np.arange(count), owner]), np.concatenate([places, starts]), 4.0 * float(limit.max())


def roots(radii):
    """(owner, centre, half): the boxes [-r, r] around each origin, r (P, d), cut into equal parts; relative to it."""
    d = radii.shape[1]
    parts = ROOTS[d]
    offsets = _mesh([(2.0 * np.arange(parts) + 1.0) / parts - 1.0] * d)
    owner = np.repeat(np.arange(len(radii)), len(offsets))
    return owner, (radii[:, None] * offsets).reshape(-1, d), (radii / parts)[owner]


def survivors(field, boxes, best, depth, marks=()):
    """Evaluate the boxes, in blocks, and drop those that stay more than `depth` above the minimum.

    Boxes that hold one of the points marks (k, P, d), relative to the origin, always stay. Returns the boxes left, H at
    their Gauss points, the lowest value that H may reach in them, how far that is below a Gauss point, by axis, and the
    lowest values found so far.
    """
    d = field.x.shape[1]
    block = max(1, BLOCK // ORDERS[d] ** d)
    parts = []
    for i in range(0, len(boxes[0]), block):
        owner, centre, half = (a[i : i + block] for a in boxes)
        energy = field(owner, centre, half)
        best = best.copy()
        np.minimum.at(best, owner, energy.reshape(len(owner), -1).min(1))
        floor, dips = _floors(energy) if field.f.formula is None else field.bounds(owner, centre, half)
        for mark in marks:
            holds = (np.abs(mark[owner] - centre) <= half * (1.0 + 1e-9)).all(axis=1)
            floor[holds] = np.minimum(floor, best[owner])[holds]
        keep = floor <= best[owner] + (depth + 1e-13 * np.abs(field.base[owner]))
        parts.append([a[keep] for a in (owner, centre, half, energy, floor, dips)])
        if sum(part[3].size for part in parts) > MOST[d] * BLOCK:
            slanted = ", or has kinks along slanted surfaces there" if d > 1 else ""
            raise TooManyBoxes(
                f"the loss varies too much within the kernel's reach{slanted}: use node values on a Grid, a smaller "
                "gamma (0 is f itself) or, where beta is large, beta=inf"
            )
    owner, centre, half, energy, floor, dips = (np.concatenate(a) for a in zip(*parts))
    return (owner, centre, half), energy, floor, dips, best


def _floors(energy):
    """The lowest value that H may reach in each box, and by axis how far that is below the Gauss point next to it.

    Between neighbours a, b, c with b the lowest, a parabola dips at most (a - 2b + c)/8 below b; six times that is
    allowed for. Beyond an end the second difference next to it is taken to go on.
    """
    d, dips = energy.ndim - 1, _dips(energy)
    floor = (energy - dips.sum(0)).reshape(len(energy), -1)
    at = floor.argmin(1)
    rows = np.arange(len(energy))
    return floor[rows, at], dips.reshape(d, len(energy), -1)[:, rows, at].T


def _dips(energy):
    """How far H may dip below each Gauss point, by axis: (d, C, n, ..., n)."""
    d = energy.ndim - 1
    dips = np.empty((d, *energy.shape))
    for k in range(d):
        rise = np.moveaxis(np.diff(energy, axis=1 + k), 1 + k, 0)
        before = np.maximum(rise[:1], abs(rise[1:2] - rise[:1]))
        after = np.maximum(-rise[-1:], abs(rise[-1:] - rise[-2:-1]))
        left, right = np.concatenate([before, -rise]), np.concatenate([rise, after])
        np.moveaxis(dips[k], k + 1, 0)[:] = np.where((left >= 0.0) & (right >= 0.0), 0.75 * (left + right), 0.0)
    return dips


def _place(energy, centre, half):
    """The Gauss point with the lowest energy in each box."""
    shape = energy.shape[1:]
    at = np.unravel_index(energy.reshape(len(energy), math.prod(shape)).argmin(1), shape)
    s = rule(shape[0])[0]
    return np.stack([centre[:, k] + half[:, k] * s[at[k]] for k in range(len(shape))], axis=1)


def split(boxes, size, which):
    """The boxes `which`, each in two halves along the axis with the largest `size` (all zero: the longest)."""
    owner, centre, half = (a[which] for a in boxes)
    size = np.where(size[which].any(axis=1, keepdims=True), size[which], half)
    rows, worst = np.arange(len(owner)), size.argmax(1)
    half[rows, worst] *= 0.5
    left, right = centre.copy(), centre
    left[rows, worst] -= half[rows, worst]
    right[rows, worst] += half[rows, worst]
    return np.concatenate([owner, owner]), np.concatenate([left, right]), np.concatenate([half, half])
