"""Integrals over R^d of a smooth formula under a Gaussian by the trapezoid rule: value, mean and covariance in one go.

Of an analytic integrand on R^d the trapezoid rule converges exponentially. Two lattices are summed, the second shifted
by the golden section of a spacing along every axis: where they agree, so does the integral. Enclosures say where the
integrand matters and that nothing hides between the nodes.
"""

import math

import numpy as np

from pdelab.closed_forms import branching, hiding
from pdelab.closed_forms.gaussian import SHIFT
from pdelab.kernels import trapezoid
from pdelab.losses import enclosures, search

__all__ = ["integrate"]

DEPTH = 34.0  # what is less than exp(-34) of the peak is left out
LARGEST = {1: 10**4, 2: 4 * 10**5, 3: 6 * 10**6}  # nodes of a lattice
CHUNK, PART = 4 * 10**6, 256  # nodes, and points, at once
ROUNDING = 1e-12  # of the exponents, beyond which the differences of branching.Energy are needed
HULL, KERNEL = 4.0, 4.0  # boxes of windows: in widths of the integrand, and how many to the kernel's at most
AGREE = 3e-13  # relative difference of the two lattices: the error of either
HIDDEN = 1e-10  # share of the integrand that a formula may hide between nodes
STEPS = (0.8, 0.6, 0.45, 0.3, 0.2, 0.13)  # spacings that are tried, in widths of the integrand


def integrate(f, x, t, beta):
    """(bounds of u (2, P), done (P,), u (P,), mean - x (P, d), covariance (P, d, d)).

    Where not done, the last three hold nothing. The bounds, of every point of a formula, need no integral.
    """
    count, d = x.shape
    done, u = np.zeros(count, dtype=bool), np.zeros(count)
    mean, covariance = np.zeros((count, d)), np.zeros((count, d, d))
    bounds = np.array([[-math.inf], [math.inf]]) * np.ones(count)
    if f.formula is None or d > 3:
        return bounds, done, u, mean, covariance
    here = branching.values(f, x)
    box = search.surroundings(f, x, t, DEPTH / beta)
    minima = search.Search(f, x, t, box)
    search.refuse_poles(f, minima.below, *box)
    fit = (minima.value - minima.below) * beta <= 1.0
    fit &= beta * 2e-16 * (np.abs(minima.value) + np.abs(here)) <= ROUNDING
    width = _width(f, minima.place, t, beta)
    hull = np.maximum(HULL * width, math.sqrt(t / beta) / KERNEL)
    for step in STEPS:
        left = np.flatnonzero(fit)
        for rows in np.array_split(left, math.ceil(left.size / PART)) if left.size else ():
            for p, h, total, seen in _agreed(f, minima, rows, t, beta, step * width[rows], hull[rows]):
                fit[p] = False
                p, h, total = p[seen], h[seen], total[seen]
                scale = np.log(total[:, 0]) + d * np.log(h) + 0.5 * d * math.log(beta / (2.0 * math.pi * t))
                u[p], done[p] = minima.value[p] - scale / beta, True
                middle = total[:, 1 : 1 + d] / total[:, :1]
                mean[p] = minima.place[p] - x[p] + middle
                covariance[p] = _square(total, d) / total[:, 0, None, None] - middle[:, :, None] * middle[:, None, :]
    return _bounds(f, minima, t, beta), done, u, mean, covariance


def _agreed(f, minima, rows, t, beta, h, hull):
    """Yields (those of the points `rows` at which both lattices agree, their spacings, their sums, see `_seen`)."""
    d = minima.x.shape[1]
    fine, kept, ends = minima.windows(rows, beta, h, minima.value[rows] + DEPTH / beta, hull)
    boxes = minima.tree.arrays[2][kept], minima.tree.arrays[3][kept]
    rows, h, first, last = rows[fine], h[fine], ends[:-1][fine], ends[1:][fine]
    size = trapezoid.sizes(*boxes, first, last, minima.place[rows], h)
    fits = size <= LARGEST[d]
    rows, h, first, last, size = rows[fits], h[fits], first[fits], last[fits], size[fits]
    for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(np.cumsum(size) // CHUNK)) + 1):
        p, window = rows[part], (boxes, first[part], last[part])
        one, other = _sums(f, minima.x[p], minima.place[p], t, beta, h[part], minima.value[p], *window)
        agree = _agree(one, other, d)
        part = part[agree]
        if part.size:
            seen = _seen(f, minima, rows[part], t, beta, h[part], kept, first[part], last[part])
            yield rows[part], h[part], 0.5 * (one + other)[agree], seen


def _seen(f, minima, rows, t, beta, h, kept, first, last):
    """Where f hides next to nothing in the windows of the points `rows` (P,), as a share of a cell at the peak."""
    count = last - first
    owner = np.repeat(np.arange(len(rows)), count)
    k = kept[np.arange(len(owner)) + np.repeat(last - np.cumsum(count), count)]
    _, _, low, high, floor, *_ = minima.tree.arrays
    low, high, p = low[k], high[k], rows[owner]
    away = np.maximum(np.maximum(low - minima.x[p], minima.x[p] - high), 0.0)
    energy = floor[k] + (away**2).sum(axis=1) / (2.0 * t) - minima.value[p]
    weight = np.exp(-beta * np.maximum(energy, 0.0)) / h[owner] ** low.shape[1]
    counts = np.flatnonzero(weight * np.prod(high - low, axis=1) > HIDDEN)
    _, one, at = np.unique(k[counts], return_index=True, return_inverse=True)
    hidden = hiding.amounts(f, low[counts[one]], high[counts[one]], beta)[at]
    return np.bincount(owner[counts], hidden * weight[counts], len(rows)) <= HIDDEN


def _bounds(f, minima, t, beta):
    """Lower and upper bounds of u (2, P) from the minima of H and enclosures alone.

    From below: with m <= min H and l <= min f, H >= s m + (1 - s)(l + |y - x|²/(2t)) for every s in [0, 1], of which
    the integral is known. From above by Jensen's inequality for the uniform law on a box around the minimiser: the mean
    of H there is at most H(y) + Σ_i r_i² sup H_ii/6 + Σ_{i<j} r_i r_j rad H_ij/4, r_i half its sides.
    """
    x, y, d, floor = minima.x, minima.place, minima.x.shape[1], minima.floor()
    with np.errstate(invalid="ignore"):  # of what is refused
        rise = np.maximum(minima.below - floor, 0.0)
    share = d / np.maximum(2.0 * beta * rise, d)  # 1 - s, the best
    low = floor + (1.0 - share) * rise + 0.5 * d / beta * np.log(share)
    own = _hessians(f, y)[:, range(d), range(d)]
    sides = np.sqrt(3.0 / (beta * (1.0 / t + np.maximum(own, 0.0))))
    value, _, bend = enclosures.enclose(f, y - sides, y + sides)
    first = branching.values(f, y)
    mean, m = first.copy(), 0
    for i in range(d):
        for j in range(i, d):
            wide = 0.5 * (bend[:, m, 1] - bend[:, m, 0])
            mean += bend[:, m, 1] * sides[:, i] ** 2 / 6.0 if i == j else wide * sides[:, i] * sides[:, j] / 4.0
            m += 1
    mean = np.fmin(mean, value[:, 1]) + (((x - y) ** 2).sum(axis=1) + (sides**2).sum(axis=1) / 3.0) / (2.0 * t)
    high = mean - (np.log(2.0 * sides).sum(axis=1) + 0.5 * d * math.log(beta / (2.0 * math.pi * t))) / beta
    return np.where(np.isfinite(low), low, floor), np.where(np.isnan(high), math.inf, high)


def _width(f, place, t, beta):
    """Standard deviation of the integrand at its peak, in its narrowest direction (P,)."""
    return 1.0 / np.sqrt(beta * (1.0 / t + np.maximum(np.linalg.eigvalsh(_hessians(f, place))[:, -1], 0.0)))


def _hessians(f, place):
    """Hess f (P, d, d), 0 where it is not finite."""
    d = place.shape[1]
    hessian = np.asarray(f.hessian(place[:, 0] if d == 1 else place)).reshape(-1, d, d)
    return np.where(np.isfinite(hessian), hessian, 0.0)


def _sums(f, x, anchor, t, beta, h, lowest, boxes, first, last):
    """The sums of both lattices over the boxes from first to last (P,), (2, P, 1 + d + d (d + 1)/2)."""
    d = x.shape[1]
    both = np.empty((2, len(x), 1 + d + d * (d + 1) // 2))
    for shift, sums in zip((0.0, SHIFT), both):
        origin = anchor - shift * h[:, None]
        size = trapezoid.sizes(*boxes, first, last, origin, h)
        places = np.empty((size.sum(), d))
        trapezoid.nodes(*boxes, first, last, origin, h, places)
        values = branching.values(f, places)
        trapezoid.moments(values, places, size, x, anchor, lowest, 1.0 / t, beta, sums)
    return both


def _agree(one, other, d):
    """Where the two lattices agree, relative to the mass and the width of the integrand (P,)."""
    mass = one[:, :1]
    wide = np.sqrt(np.trace(_square(one, d), axis1=1, axis2=2) / mass[:, 0])[:, None]
    count = one.shape[1] - 1 - d
    size = np.concatenate([mass, np.repeat(mass * wide, d, axis=1), np.repeat(mass * wide**2, count, axis=1)], axis=1)
    return (np.abs(one - other) <= AGREE * size).all(axis=1)


def _square(sums, d):
    """The second moments as matrices (P, d, d)."""
    matrix = np.empty((len(sums), d, d))
    for m, (i, j) in enumerate(zip(*np.triu_indices(d))):
        matrix[:, i, j] = matrix[:, j, i] = sums[:, 1 + d + m]
    return matrix
