"""Integrals over R^d of a smooth formula under a Gaussian by the trapezoid rule: value, mean and covariance in one go.

Of an analytic integrand on R^d the trapezoid rule converges exponentially. Two lattices are summed, the second shifted
by the golden section of a spacing along every axis: where they agree, so does the integral. Enclosures say where the
integrand matters and that nothing hides between the nodes.
"""

import math

import numpy as np

from pdelab.closed_forms import branching, certificates
from pdelab.kernels import trapezoid
from pdelab.losses import search

__all__ = ["integrate"]

DEPTH = 34.0  # what is less than exp(-34) of the peak is left out
LARGEST = {1: 10**4, 2: 4 * 10**5, 3: 6 * 10**6}  # nodes of a lattice
CHUNK = 4 * 10**6  # nodes at once
ROUNDING = 1e-12  # of the exponents, beyond which the differences of branching.Energy are needed
SHIFT = 0.3819660112501051  # of the second lattice, in spacings: no wave looks alike on both
AGREE = 3e-13  # relative difference of the two lattices: the error of either
STEPS = (0.8, 0.6, 0.45, 0.3, 0.2, 0.13)  # spacings that are tried, in widths of the integrand


def integrate(f, x, t, beta):
    """(done (P,), u (P,), mean - x (P, d), covariance (P, d, d)); where not done, the others hold nothing."""
    count, d = x.shape
    done, u = np.zeros(count, dtype=bool), np.zeros(count)
    mean, covariance = np.zeros((count, d)), np.zeros((count, d, d))
    if f.formula is None or d > 3:
        return done, u, mean, covariance
    here = branching.values(f, x)
    known = search.Search(f, x, t, search.surroundings(f, x, t, DEPTH / beta))
    fit = (known.value - known.below) * beta <= 1.0
    fit &= beta * 2e-16 * (np.abs(known.value) + np.abs(here)) <= ROUNDING
    width = _width(f, known.place, t, beta)
    for step in STEPS:
        left = np.flatnonzero(fit & ~done)
        if not left.size:
            break
        fine, low, high = known.windows(left, beta, step * width[left], known.value[left] + DEPTH / beta)
        left, low, high = left[fine], low[fine], high[fine]
        counts = np.ceil((high - low) / (step * width[left])[:, None]) + 2.0
        size = np.prod(counts, axis=1)
        fits = size <= LARGEST[d]
        left, low, counts, size = left[fits], low[fits], counts[fits].astype(np.int64), size[fits]
        for rows in np.split(np.arange(len(left)), np.flatnonzero(np.diff(np.cumsum(size) // CHUNK)) + 1):
            if rows.size:
                p = left[rows]
                h = step * width[p]
                one, other = _sums(f, x[p], known.place[p], t, beta, h, known.value[p], low[rows], counts[rows])
                agree = _agree(one, other, d)
                done[p] = agree
                p, h, total = p[agree], h[agree], 0.5 * (one + other)[agree]
                scale = np.log(total[:, 0]) + d * np.log(h) + 0.5 * d * math.log(beta / (2.0 * math.pi * t))
                u[p] = known.value[p] - scale / beta
                middle = total[:, 1 : 1 + d] / total[:, :1]
                mean[p] = known.place[p] - x[p] + middle
                covariance[p] = _square(total, d) / total[:, 0, None, None] - middle[:, :, None] * middle[:, None, :]
    slack = 1e-10 * (np.abs(u[done]) + 1.0 / beta)
    certificates.within(u[done], known.floor(), math.inf, slack, "local_entropy")
    return done, u, mean, covariance


def _width(f, place, t, beta):
    """Standard deviation of the integrand at its peak, in its narrowest direction (P,)."""
    d = place.shape[1]
    hessian = np.asarray(f.hessian(place[:, 0] if d == 1 else place)).reshape(-1, d, d)
    hessian = np.where(np.isfinite(hessian), hessian, 0.0)
    return 1.0 / np.sqrt(beta * (1.0 / t + np.maximum(np.linalg.eigvalsh(hessian)[:, -1], 0.0)))


def _sums(f, x, anchor, t, beta, h, lowest, low, counts):
    """The sums of both lattices, (2, P, 1 + d + d (d + 1)/2)."""
    d = x.shape[1]
    size = np.prod(counts, axis=1)
    both = np.empty((2, len(x), 1 + d + d * (d + 1) // 2))
    places = np.empty((size.sum(), d))
    for shift, sums in zip((0.0, -SHIFT), both):
        trapezoid.nodes(low + shift * h[:, None], counts, h, places)
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
