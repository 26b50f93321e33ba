"""Local entropy in scopes that are short for f, γ|f''| well below one: the Gibbs measure is all but Gaussian.

There (1 - (β/γ) Cov y)/γ loses its digits. Integrated by parts, the derivatives keep them:

    ∇u = E f',   Hess u = E f'' - β Cov f'    over the Gibbs measure of f(y) + |x - y|²/(2γ),

where f has no kinks. What can count lies within the radius of `branching.spread` around x; with |f''| <= 1/(2γ) there
the energy is convex, and all of the measure within a few of its widths of the one minimiser. Enclosures prove that of a
formula; of functions samples have to do. Sums are trapezoid sums on two lattices, taken where they agree.
"""

import math

import numpy as np

from pdelab.closed_forms import branching
from pdelab.closed_forms.gaussian import SHIFT
from pdelab.kernels.envelopes import DEPTH
from pdelab.losses import enclosures

__all__ = ["SHORT", "integrate"]

SHORT = 1e-3  # γ|f''| from which on the other formula has digits enough
CONVEX = 0.25  # γ|f''| at most, all over the reach
WIDTHS = 9.5  # of the kernel to either side of the minimiser, which is at most 1/(1 - CONVEX) wider
STEPS = {1: (0.5, 0.25, 0.125, 0.0625), 2: (0.5, 0.25), 3: (0.5,)}  # spacings, in widths
AGREE = 1e-12  # of the two sums
ROUNDED = 64.0  # times the rounding of f, by which two sums of it may differ
NOISE = 1e-4  # rounding of the exponents from which on f is taken for its parabola at the minimiser
KINK = 1e-6  # of a slope's change over a width, for functions
ROUND = 4e-15  # of values and slopes, relative to their size and that of their terms
SAMPLES = {1: 129, 2: 17, 3: 7}  # of functions along an axis of the reach
BLOCK = 2 * 10**5  # nodes at once


def integrate(f, x, gamma, beta):
    """(done (P,), u (P,), gradient (P, d), Hessian (P, d, d)) at points x (P, d); nothing holds where not done."""
    count, d = x.shape
    u, slope, bend = np.zeros(count), np.zeros((count, d)), np.zeros((count, d, d))
    done = _convex(f, x, gamma, branching.spread(f, x, gamma, DEPTH / beta))
    rows = np.flatnonzero(done)
    if not rows.size:
        return done, u, slope, bend
    away = np.zeros((len(rows), d))  # of the minimiser from x
    for _ in range(60):
        g, h = _slopes(f, x[rows] + away), _bends(f, x[rows] + away)
        step = np.linalg.solve(np.eye(d) + gamma * h, -(away + gamma * g)[:, :, None])[:, :, 0]
        away += step
        if (np.abs(step) <= 4e-16 * (np.abs(away) + np.abs(x[rows]))).all():
            break
    size = STEPS[d][-1]
    for part in np.array_split(np.arange(len(rows)), max(1, len(rows) * int(2 * WIDTHS / size) ** d // BLOCK)):
        if part.size:
            p = rows[part]
            done[p], u[p], slope[p], bend[p] = _sums(f, x[p], away[part], gamma, beta)
    return done, u, slope, bend


def _convex(f, x, gamma, radii):
    """Where γ|f''| is at most CONVEX all over the reach, and f has no kinks there (P,)."""
    count, d = x.shape
    radii = np.maximum(radii[:, None], 2.0 * np.spacing(np.abs(x)))
    if f.formula is not None:
        bend = np.abs(enclosures.symmetric(enclosures.enclose(f, x - radii, x + radii)[2], d)).max(axis=-1)
        return gamma * bend.reshape(count, d, d).sum(axis=2).max(axis=1) <= CONVEX
    line = np.linspace(-1.0, 1.0, SAMPLES[d])
    mesh = np.stack(np.meshgrid(*[line] * d, indexing="ij"), axis=-1)
    fine = np.empty(count, dtype=bool)
    for p in range(count):
        places = x[p] + radii[p] * mesh
        bend = np.abs(_bends(f, places.reshape(-1, d)))
        fine[p] = gamma * bend.sum(axis=2).max() <= CONVEX and not _kinks(f, places, bend)
    return fine


def _kinks(f, places, bend):
    """Do values or slopes change from node to node by more than the slopes and bends there allow?"""
    d = places.shape[-1]
    values, slopes = branching.values(f, places), _slopes(f, places.reshape(-1, d)).reshape(places.shape)
    most, far = bend.sum(axis=2).max(axis=1).reshape(values.shape), np.abs(places).max()
    for k in range(d):
        before, after = ([slice(None)] * k + [part] for part in (slice(None, -1), slice(1, None)))
        before, after = tuple(before), tuple(after)
        moved = (places[after] - places[before])[..., k]
        allowed = moved * (2.0 * np.maximum(most[before], most[after]) + KINK * most.max())
        apart = np.abs(slopes[after] - slopes[before]).max(axis=-1)
        jump = np.abs(values[after] - values[before] - 0.5 * moved * (slopes[before] + slopes[after])[..., k])
        if (apart > allowed + ROUND * (np.abs(slopes).max() + far * most.max())).any():
            return True
        if (jump > moved * allowed + ROUND * (np.abs(values).max() + far * np.abs(slopes).max())).any():
            return True
    return False


def _sums(f, x, away, gamma, beta):
    """(settled, u, gradient, Hessian) by sums around the minimisers x + away."""
    d = x.shape[1]
    place, width = x + away, math.sqrt(gamma / beta)
    here, g, h = branching.values(f, place), _slopes(f, place), _bends(f, place)
    noise = 1e-15 * beta * np.maximum(1e-300, np.abs(here) + np.abs(branching.values(f, x)))
    plain = ~(noise <= NOISE)
    softened = np.linalg.inv(np.eye(d) + gamma * h)
    base = here + (away**2).sum(axis=1) / (2.0 * gamma)
    log = np.linalg.slogdet(softened)[1]
    u, slope, bend = base - 0.5 * log / beta, g.copy(), h @ softened  # all that is left of it in the narrowest scopes
    settled = plain.copy()
    left = np.flatnonzero(~plain)
    for size in STEPS[d]:
        if not left.size:
            break
        both = [
            _lattice(f, place[left], g[left], h[left], here[left], width, gamma, beta, size, shift)
            for shift in (0.0, SHIFT)
        ]
        (m0, s0, b0), (m1, s1, b1) = both
        scale = np.abs(h[left]).max(axis=(1, 2)) + np.abs(b0).max(axis=(1, 2))
        blur = ROUNDED * noise[left]  # of the weights, by the rounding of f
        agree = np.abs(m0 - m1) <= AGREE * np.maximum(np.abs(m0), np.minimum(beta * np.abs(here[left]), 1.0)) + blur
        agree &= np.abs(s0 - s1).max(axis=1) <= AGREE * np.abs(s0).max(axis=1) + (AGREE + blur) * width * scale
        agree &= np.abs(b0 - b1).max(axis=(1, 2)) <= 10.0 * AGREE * scale + blur * gamma * scale**2
        p = left[agree]
        u[p] = base[p] - np.log1p(0.5 * (m0 + m1)[agree]) / beta
        slope[p], bend[p] = 0.5 * (s0 + s1)[agree], 0.5 * (b0 + b1)[agree]
        settled[p], left = True, left[~agree]
    return settled, u, slope, bend


def _lattice(f, place, g, h, here, width, gamma, beta, size, shift):
    """(mass less one, mean of f', E f'' - β Cov f') on one lattice around the minimisers."""
    count, d = place.shape
    line = size * (np.arange(-math.ceil(WIDTHS / size), math.ceil(WIDTHS / size) + 1) + shift)
    z = np.stack(np.meshgrid(*[line] * d, indexing="ij"), axis=-1).reshape(-1, d)
    y = (place[:, None] + width * z).reshape(-1, d)
    lift = branching.values(f, y).reshape(count, -1) - here[:, None] - (g * width) @ z.T
    bell = np.exp(-0.5 * (z**2).sum(axis=1))
    gain = np.expm1(-beta * lift) @ (bell / bell.sum())  # of a mass of one: digits for little beta
    weight = np.exp(-beta * lift) * bell
    weight /= weight.sum(axis=1, keepdims=True)
    slopes = _slopes(f, y).reshape(count, -1, d) - g[:, None]
    mean = np.einsum("pn,pni->pi", weight, slopes)
    slopes -= mean[:, None]
    spread = np.einsum("pn,pni,pnj->pij", weight, slopes, slopes)
    bends = np.einsum("pn,pnij->pij", weight, _bends(f, y).reshape(count, -1, d, d) - h[:, None]) + h
    return gain, g + mean, bends - beta * spread


def _slopes(f, y):
    return np.asarray(f.gradient(y[:, 0] if y.shape[1] == 1 else y)).reshape(y.shape)


def _bends(f, y):
    d = y.shape[1]
    return np.asarray(f.hessian(y[:, 0] if d == 1 else y)).reshape(-1, d, d)
