"""Integrals and minima over R^d of a Loss with a parabola, H(y) = f(y) + |x - y|²/(2t), at arbitrary points x.

Both by branch and prune. Boxes around x are cut in two, along the axis where the integrand is least resolved, until
the Gauss-Legendre rule in each is accurate; boxes that cannot come within 42/beta of the minimum are dropped. All
points are worked on at once. Where a box is accurate is read off the decay of its Legendre coefficients, so that
analytic integrands cost few boxes and a kink is closed in on until it no longer matters.
"""

import math
from functools import lru_cache

import numpy as np

from pdelab.closed_forms import descent
from pdelab.stencils.envelopes import DEPTH

ORDERS = {1: 16, 2: 12, 3: 8}  # Gauss points along an axis of a box
BLOCK = 2 * 10**6  # evaluations at once
CHUNK = {1: 2048, 2: 128, 3: 16}  # points at once
ROOTS = {1: 16, 2: 8, 3: 4}  # boxes along an axis to start with
LOOKOUT = 4.0  # a valley of f lower by D matters within sqrt(2 t D): from the start it is looked for up to D = 16
LATTICE = {1: 4097, 2: 257, 3: 65}  # nodes along an axis to look for the lowest value in reach


def spread(f, x, t, depth):
    """Radii r (one a point) of boxes around the points x (P, d) that hold all y with H(y) <= min H + depth.

    |y - x|² <= 2t (f(x) - min f + depth), the minimum taken on a lattice over what is in reach, at least LOOKOUT
    sqrt(2t), which is enlarged until that closes. Raises ValueError when it does not: f then falls faster than the
    parabola rises.
    """
    d = x.shape[1]
    low, high = x.min(0), x.max(0)
    here = values(f, x)
    width = max(math.sqrt(2.0 * t * depth), math.sqrt(2.0 * t) * LOOKOUT)
    for _ in range(200):
        axes = [np.linspace(a - width, b + width, LATTICE[d]) for a, b in zip(low, high)]
        lowest = min(float(values(f, _mesh(axes)).min()), float(here.min()))
        radii = 1.05 * np.sqrt(2.0 * t * ((here - lowest) + depth)) + 1e-300
        needed = float(radii.max())
        if needed <= width:
            return radii
        width = max(needed, 1.3 * width)
        if not width < 1e8 * (1.0 + np.abs(x).max() + math.sqrt(t)):
            break
    raise ValueError(
        "the loss falls as fast as the parabola |x - y|²/(2 gamma) rises: the local entropy is not finite; use a smaller gamma"
    )


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
def _rule(n):
    """Gauss points, weights (summing to 1) and the matrix values -> Legendre coefficients."""
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


def integrate(f, x, t, beta, moments=False):
    """u = -(1/beta) log of the Gaussian average of exp(-beta f) at points x (P, d); with `moments` a tuple of it, of
    mean(y) - x (P, d) and of the covariance of y (P, d, d).
    """
    parts = in_chunks(_integrate, x, f, t, beta, moments)
    return parts if moments else parts[0]


def _integrate(x, f, t, beta, moments):
    count, d = x.shape
    radii = spread(f, x, t, DEPTH / beta)
    boxes = _roots(radii, d)
    field = Energy(f, x, t)
    best = np.zeros(count)
    marks = np.full((0, count, d), np.nan)
    sums = np.zeros((count, 1 + (d + d * d if moments else 0)))
    aim = np.clip(1e-14 * beta * np.abs(field.base), 1e-15, 1e-12 if moments else 1e-9)
    for iteration in range(80 * d + 200):
        boxes, energy, floor, dips, lower = _survivors(field, boxes, best, DEPTH / beta, marks)
        owner, centre, half = boxes
        coarse = dips.sum(1) > 4.0 / beta  # H itself moves by more than 1/beta from node to node
        if iteration == 0 and coarse.any():
            energies, marks = descent.deepest(f, x, t, DEPTH / beta)
            field = Energy(f, x, t, marks[0], energies, np.where(radii > 500.0 * np.sqrt(t / beta), radii / 64.0, 0.0))
            boxes, best = _roots(radii, d), np.zeros(count)
            continue
        sums *= np.exp(-beta * (best - lower))[:, None]
        best = lower
        noise = 4e-15 * beta * np.where(field.near > 0.0, 0.0, np.abs(field.base) + radii**2 / t)  # rounding of f
        amounts, errors = _amounts(energy, best[owner], beta, field.relative(owner, centre), half, moments)
        total = sums[:, 0] + np.bincount(owner, amounts[:, 0], count)
        hidden = np.prod(2.0 * half, axis=1) * np.exp(-beta * np.maximum(floor - best[owner], 0.0))
        allowed = np.maximum(aim, noise) * total
        resolved = errors.max(1, initial=0.0) <= allowed[owner]
        resolved &= ~coarse | (hidden <= aim[owner] * total[owner])
        resolved[resolved] = _confirm(field, [a[resolved] for a in boxes], best, beta, amounts[resolved], allowed, sums)
        if resolved.all():
            break
        boxes = _split(boxes, np.where(coarse[:, None], dips, errors), ~resolved)
    else:
        raise ValueError("the integral did not converge: the loss is too rough for these points")
    u = field.base + best - (np.log(sums[:, 0]) + 0.5 * d * math.log(beta / (2.0 * math.pi * t))) / beta
    if not moments:
        return (u,)
    mean = sums[:, 1 : 1 + d] / sums[:, :1]
    second = (sums[:, 1 + d :] / sums[:, :1]).reshape(count, d, d)
    return u, field.anchor + mean, second - mean[:, :, None] * mean[:, None, :]


class Energy:
    """H relative to its value at an anchor, for all points x at once.

    Within `near` of the anchor the difference is integrated from the gradient of f along the segment to it: there H
    itself, rounded, would leave no digits of beta times the difference. anchor: relative to x; by default x itself.
    """

    def __init__(self, f, x, t, anchor=None, energy=None, near=None):
        self.f, self.x, self.t = f, x, t
        self.anchor = np.zeros(x.shape) if anchor is None else anchor
        self.base = values(f, x).astype(float) if energy is None else energy
        self.near = np.zeros(len(x)) if near is None else near

    def relative(self, owner, centre):
        """Centres relative to the anchor instead of x."""
        return centre - self.anchor[owner]

    def __call__(self, owner, centre, half, more=0):
        """H - base at the Gauss points of each box: (C, n, ..., n); `more` points an axis than ORDERS says."""
        d = self.x.shape[1]
        s = _rule(ORDERS[d] + more)[0]
        z = np.empty((len(owner), *[len(s)] * d, d))
        for k in range(d):
            line = centre[:, k, None] + half[:, k, None] * s
            z[..., k] = line.reshape(-1, *[len(s) if j == k else 1 for j in range(d)])
        column = (-1,) + (1,) * d
        close = (np.abs(self.relative(owner, centre)) + half).max(1) <= self.near[owner]
        energy = np.empty(z.shape[:-1])
        far = ~close
        if far.any():
            o, y = owner[far], z[far]
            energy[far] = values(self.f, y + self.x[o].reshape(*column, d)) - self.base[o].reshape(column)
            energy[far] += (y**2).sum(-1) / (2.0 * self.t)
        if close.any():
            energy[close] = self._difference(owner[close], z[close])
        return energy

    def _difference(self, owner, z):
        """f(x + z) - f(x + anchor) and the difference of the parabolas, both as (z - anchor) times a mean slope."""
        d = z.shape[-1]
        anchor = self.anchor[owner].reshape(-1, *[1] * d, d)
        origin = self.x[owner].reshape(-1, *[1] * d, d) + anchor
        away = z - anchor
        nodes, weights, _ = _rule(6)
        slope = 0.0
        for node, weight in zip(nodes, weights):
            y = origin + 0.5 * (1.0 + node) * away
            slope = slope + weight * np.asarray(self.f.gradient(y[..., 0] if d == 1 else y)).reshape(z.shape)
        return (away * (slope + (anchor + 0.5 * away) / self.t)).sum(-1)


def _confirm(field, boxes, best, beta, amounts, allowed, sums):
    """Integrate the boxes once more, with one point more an axis; those where the two agree go into the sums."""
    owner, centre, half = boxes
    d = centre.shape[1]
    confirmed = np.zeros(len(owner), dtype=bool)
    block = max(1, BLOCK // (ORDERS[d] + 1) ** d)
    for i in range(0, len(owner), block):
        o, c, h = (a[i : i + block] for a in (owner, centre, half))
        again, _ = _amounts(field(o, c, h, 1), best[o], beta, field.relative(o, c), h, sums.shape[1] > 1)
        tiny = (h <= 4e-16 * (np.abs(c) + np.abs(field.x[o]))).all(axis=1)
        fine = (np.abs(again[:, 0] - amounts[i : i + block, 0]) <= allowed[o]) | tiny
        np.add.at(sums, o[fine], again[fine])
        confirmed[i : i + block] = fine
    return confirmed


def valleys(f, x, t):
    """Where minima of H over R^d may lie: (owner, starts, size) of the boxes left after pruning, the best point first.

    Boxes are cut to an eighth of the first ones, or smaller.
    """
    count, d = x.shape
    radii = spread(f, x, t, 0.0)
    boxes, field = _roots(radii, d), Energy(f, x, t)
    best, places = np.zeros(count), x.copy()
    limit = radii / (8.0 * ROOTS[d])
    done = []
    while len(boxes[0]):
        boxes, energy, _, _, lower = _survivors(field, boxes, best, 0.0)
        owner, centre, half = boxes
        here = x[owner] + _place(energy, centre, half)
        lowest = energy.reshape(len(owner), math.prod(energy.shape[1:])).min(1)
        new = np.flatnonzero((lowest == lower[owner]) & (lower < best)[owner])
        places[owner[new]], best = here[new], lower
        large = np.where(half > limit[owner, None], half, 0.0)
        small = ~large.any(axis=1)
        done.append((owner[small], here[small]))
        boxes = _split(boxes, large, ~small)
    owner, starts = (np.concatenate([part[k] for part in done]) for k in (0, 1))
    return np.concatenate([np.arange(count), owner]), np.concatenate([places, starts]), 4.0 * float(limit.max())


def _roots(radii, d):
    """(owner, centre, half): the boxes [-r, r]^d around each point, cut into equal parts; centres relative to it."""
    parts = ROOTS[d]
    offsets = _mesh([(2.0 * np.arange(parts) + 1.0) / parts - 1.0] * d)
    owner = np.repeat(np.arange(len(radii)), len(offsets))
    centre = (radii[:, None, None] * offsets).reshape(-1, d)
    return owner, centre, np.repeat((radii / parts)[owner, None], d, axis=1)


def _survivors(field, boxes, best, depth, marks=()):
    """Evaluate the boxes, in blocks, and drop those that stay more than `depth` above the minimum.

    Boxes that hold one of the points marks (k, P, d), relative to x, always stay. Returns the boxes left, H at their
    Gauss points, the lowest value that H may reach in them, how far that is below a Gauss point, by axis, and the
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
        floor, dips = _floors(energy)
        for mark in marks:
            holds = (np.abs(mark[owner] - centre) <= half * (1.0 + 1e-9)).all(axis=1)
            floor[holds] = np.minimum(floor, best[owner])[holds]
        keep = floor <= best[owner] + (depth + 1e-13 * np.abs(field.base[owner]))
        parts.append([a[keep] for a in (owner, centre, half, energy, floor, dips)])
        if sum(part[3].size for part in parts) > 10 * BLOCK:
            raise TooManyBoxes("the loss varies too much within the kernel's reach: use a smaller gamma")
    owner, centre, half, energy, floor, dips = (np.concatenate(a) for a in zip(*parts))
    return (owner, centre, half), energy, floor, dips, best


def _floors(energy):
    """The lowest value that H may reach in each box, and by axis how far that is below the Gauss point next to it.

    Between neighbours a, b, c with b the lowest, a parabola dips at most (a - 2b + c)/8 below b; six times that is
    allowed for. Beyond an end the second difference next to it is taken to go on.
    """
    d = energy.ndim - 1
    dips = np.empty((d, *energy.shape))
    for k in range(d):
        rise = np.moveaxis(np.diff(energy, axis=1 + k), 1 + k, 0)
        before = np.maximum(rise[:1], abs(rise[1:2] - rise[:1]))
        after = np.maximum(-rise[-1:], abs(rise[-1:] - rise[-2:-1]))
        left, right = np.concatenate([before, -rise]), np.concatenate([rise, after])
        np.moveaxis(dips[k], k + 1, 0)[:] = np.where((left >= 0.0) & (right >= 0.0), 0.75 * (left + right), 0.0)
    floor = (energy - dips.sum(0)).reshape(len(energy), -1)
    at = floor.argmin(1)
    rows = np.arange(len(energy))
    return floor[rows, at], dips.reshape(d, len(energy), -1)[:, rows, at].T


def _place(energy, centre, half):
    """The Gauss point with the lowest energy in each box."""
    shape = energy.shape[1:]
    at = np.unravel_index(energy.reshape(len(energy), math.prod(shape)).argmin(1), shape)
    s = _rule(shape[0])[0]
    return np.stack([centre[:, k] + half[:, k] * s[at[k]] for k in range(len(shape))], axis=1)


def _amounts(energy, reference, beta, centre, half, moments):
    """Integrals of exp(-beta (H - reference)) over each box, with moments if asked, and estimated errors by axis."""
    d, n = centre.shape[1], energy.shape[1]
    s, w, transform = _rule(n)
    density = np.exp(-np.clip(beta * np.minimum(energy - reference.reshape(-1, *[1] * d), 1e290 / beta), -600.0, 800.0))
    volume = np.prod(2.0 * half, axis=1)
    errors = np.empty((len(density), d))
    for k in range(d):
        coefficients = np.abs(np.moveaxis(density, 1 + k, -1).reshape(len(density), -1, n) @ transform.T).mean(1)
        errors[:, k] = volume * _missing(coefficients)
    weights = w if d == 1 else np.multiply.outer(w, w) if d == 2 else np.multiply.outer(np.multiply.outer(w, w), w)
    density *= weights
    columns = [volume * density.reshape(len(density), -1).sum(1)]
    if moments:
        axes = [centre[:, k, None] + half[:, k, None] * s for k in range(d)]
        marginal = [volume[:, None] * density.sum(tuple(1 + j for j in range(d) if j != k)) for k in range(d)]
        columns += [(marginal[k] * axes[k]).sum(1) for k in range(d)]
        for k in range(d):
            for j in range(d):
                if j == k:
                    columns.append((marginal[k] * axes[k] ** 2).sum(1))
                else:
                    pair = volume[:, None, None] * density.sum(tuple(1 + i for i in range(d) if i not in (j, k)))
                    first, second = (k, j) if k < j else (j, k)
                    columns.append(np.einsum("cij,ci,cj->c", pair, axes[first], axes[second]))
    return np.stack(columns, axis=1), errors


def _missing(coefficients):
    """What the Gauss rule misses, from the moduli of the n Legendre coefficients: the size of coefficient 2n.

    It is extrapolated from the last six where they fall geometrically or faster. Otherwise (a kink, or waves that the
    points do not resolve) next to nothing is credited.
    """
    n = coefficients.shape[1]
    low, middle, high = (coefficients[:, n - k : n - k + 2].sum(1) + 1e-300 for k in (6, 4, 2))
    ratio = np.minimum(high / middle, 1.0)
    geometric = (ratio <= 2.0 * middle / low) & (ratio < 0.3)
    return (high - 1e-300) * np.where(geometric, ratio ** (n / 2.0), ratio)


def _split(boxes, size, which):
    """The boxes `which`, each in two halves along the axis with the largest `size` (all zero: the longest)."""
    owner, centre, half = (a[which] for a in boxes)
    size = np.where(size[which].any(axis=1, keepdims=True), size[which], half)
    rows, worst = np.arange(len(owner)), size.argmax(1)
    half[rows, worst] *= 0.5
    left, right = centre.copy(), centre
    left[rows, worst] -= half[rows, worst]
    right[rows, worst] += half[rows, worst]
    return np.concatenate([owner, owner]), np.concatenate([left, right]), np.concatenate([half, half])
