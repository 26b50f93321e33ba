"""Integrals over R^d of a Loss under a Gaussian, u = -(1/beta) log ∫ G exp(-beta f), at arbitrary points x.

By branch and prune: boxes are cut in two, along the axis where the integrand is least resolved, until the
Gauss-Legendre rule in each is accurate; boxes that cannot come within 42/beta of the minimum are dropped. Where a box
is accurate is read off the decay of its Legendre coefficients, so that analytic integrands cost few boxes and a kink is
closed in on until it no longer matters. Kinks along slanted curves of the plane are left to `iterated`.
"""

import math
import warnings

import numpy as np

from pdelab.checks import AccuracyWarning
from pdelab.closed_forms import branching, certificates, descent, hiding, iterated, lattice
from pdelab.kernels.envelopes import DEPTH

__all__ = ["amounts", "integrate"]

TOO_ROUGH = "f: expected a smoother loss, its integral did not converge: smooth it, or give its values on a Grid"
UNSEEN = 0.1  # share of an integral that boxes may hold, on curves of jumps, of whose nodes H is not known between
MANY = 500  # boxes a point, from which on lines serve better
HIDDEN = 1e-9  # share of an integral that a formula may hide between the nodes of a box
ROUNDED, PLACED = 1e-15, 4.0  # rounding of H, relative; of places, in gaps between floats
BLURRED = 1e-3  # share of an integral that floats next to one another disagree about, from which a warning says so


def integrate(f, x, t, beta, moments=False):
    """u = -(1/beta) log of the Gaussian average of exp(-beta f) at points x (P, d); with `moments` a tuple of it, of
    mean(y) - x (P, d) and of the covariance of y (P, d, d).

    Of a formula u is refused outside bounds that need no integral, see `lattice`.
    """
    bounds, done, *parts = lattice.integrate(f, x, t, beta)
    parts = parts if moments else parts[:1]
    if not done.all():
        for part, rest in zip(parts, branching.in_chunks(_integrate, x[~done], f, t, beta, moments)):
            part[~done] = rest
    slack = 1e-10 * (np.abs(parts[0]) + 1.0 / beta)
    certificates.within(parts[0], *bounds, slack, "local_entropy")
    if moments:
        spread = np.linalg.eigvalsh(parts[2])  # not negative, so that Hess u <= 1/t
        certificates.within(spread, 0.0, math.inf, 1e-10 * t / beta + 1e-10 * spread[:, -1:], "the covariance")
    return parts if moments else parts[0]


def _integrate(x, f, t, beta, moments):
    count, d = x.shape
    radii = branching.spread(f, x, t, DEPTH / beta)
    boxes = branching.roots(np.repeat(radii[:, None], d, axis=1))
    field = branching.Energy(f, x, t)
    best = np.zeros(count)
    allowance = 4.0 if f.formula is None else 1.0
    marks, cover, calm = np.full((0, count, d), np.nan), [], False
    sums = np.zeros((count, 1 + (d + d * d if moments else 0) + 1))  # mass, moments; last, mass that float64 blurs
    for iteration in range(80 * d + 200):
        boxes, energy, floor, dips, lower = branching.survivors(field, boxes, best, DEPTH / beta, marks)
        owner, centre, half = boxes
        if not owner.size:  # what was left cannot come close enough to the minimum
            break
        coarse = dips.sum(1) > allowance / beta  # H itself moves by more than 1/beta from node to node
        if iteration == 0 and coarse.any():
            if f.formula is None:
                places = descent.deepest(f, x, t, DEPTH / beta)[1]
                marks = places - places[0]
            else:  # bounds are proved: no need to know more than the deepest valley
                places = descent.minimise(f, x, t, told=False)[1][None]
                marks = np.zeros((1, count, d))
            width = math.sqrt(t / beta)
            near = np.where(radii > 100.0 * width, np.maximum(radii / 64.0, 30.0 * width), 0.0)
            field = branching.Energy(f, x, t, places[0], near)
            boxes, best = branching.roots(radii[:, None] + np.abs(field.away)), np.zeros(count)
            continue
        aim = np.clip(1e-14 * beta * np.abs(field.base), 1e-15, 1e-12 if moments else 1e-9)
        sums *= np.exp(-beta * (best - lower))[:, None]
        best = lower
        rounding = (
            ROUNDED * beta * (np.abs(field.height)[owner] + np.abs(centre * (centre + field.away[owner])).sum(1) / t)
        )
        noise = np.where(field.close(owner, centre, half), 0.0, rounding) + _by_places(field, boxes, energy, beta)
        density = _density(energy, best[owner], beta)
        found, errors = amounts(density, centre, half, moments)
        total = sums[:, 0] + np.bincount(owner, found[:, 0], count)
        hidden = np.prod(2.0 * half, axis=1) * np.exp(-beta * np.maximum(floor - best[owner], 0.0))
        if d == 2 and not calm:
            many = owner.size > MANY * count
            unseen = np.bincount(owner, coarse * hidden, count)
            calm = (many or not coarse.any()) and bool((unseen <= UNSEEN * total).all())
            cover += [tuple(a.copy() for a in boxes)] if calm else []
        if calm and owner.size > MANY * count:
            every = tuple(np.concatenate(parts) for parts in zip(*cover))
            sums = np.pad(iterated.integrate(field, every, best, beta, moments), ((0, 0), (0, 1)))
            break
        allowed = np.maximum(aim[owner] * total[owner], noise * np.minimum(total[owner], 64.0 * found[:, 0]))
        resolved = errors.max(1, initial=0.0) <= allowed
        resolved &= ~coarse | (hidden <= aim[owner] * total[owner])
        resolved |= _floats(field, boxes).all(axis=1)
        if f.formula is not None and d == 1:  # in more dimensions boxes would be far too many
            most = HIDDEN * total[owner]
            doubt = np.flatnonzero(resolved & (hidden * beta * np.minimum(dips[:, 0], 1.0 / beta) > most))
            if doubt.size:
                resolved[doubt] = _seen(field, [a[doubt] for a in boxes], beta, hidden[doubt], most[doubt])
        parts = [a[resolved] for a in boxes], best, beta, found[resolved], allowed[resolved], sums
        resolved[resolved] = _confirm(field, *parts)
        if d == 2 and not calm:
            cover.append(tuple(a[resolved] for a in boxes))
        if resolved.all():
            break
        boxes = branching.split(boxes, np.where(coarse[:, None], dips, errors), ~resolved)
    else:
        raise ValueError(TOO_ROUGH)
    if not (sums[:, 0] > 0.0).all():
        raise ValueError(TOO_ROUGH)
    u = field.base + best - (np.log(sums[:, 0]) + 0.5 * d * math.log(beta / (2.0 * math.pi * t))) / beta
    _tell_of_blur(x, sums[:, -1] / sums[:, 0], beta)
    branching.second_look(f, x, t, radii, field.base + best, 0.5 / beta)
    here = branching.values(f, x)
    floor = here + DEPTH / beta - radii**2 / (2.0 * t)  # what `spread` knows of min f within reach
    certificates.within(u, floor, math.inf, 1e-10 * (np.abs(u) + np.abs(here) + 1.0 / beta), "local_entropy")
    if not moments:
        return (u,)
    mean = sums[:, 1 : 1 + d] / sums[:, :1]
    second = (sums[:, 1 + d : -1] / sums[:, :1]).reshape(count, d, d)
    return u, field.away + mean, second - mean[:, :, None] * mean[:, None, :]


def _seen(field, boxes, beta, peaks, most):
    """In which of some boxes a formula hides at most so much; peaks (C,): their volumes times the largest density."""
    owner, centre, half = boxes
    middle, volume = field.origin[owner] + centre, np.prod(2.0 * half, axis=1)
    return hiding.amounts(field.f, middle - half, middle + half, beta) * peaks <= most * volume


def _floats(field, boxes):
    """Along which axes boxes are as small as the gaps between floats (C, d)."""
    owner, centre, half = boxes
    return half <= 4e-16 * (np.abs(centre) + np.abs(field.origin[owner]))


def _by_places(field, boxes, energy, beta):
    """By how much beta H may be off in boxes (C,), as f is known at floats next to places alone."""
    owner, centre, half = boxes
    gaps = (np.spacing(np.abs(centre) + np.abs(field.origin[owner])) / half).max(axis=1)
    sides = energy.reshape(len(owner), -1)
    return PLACED * gaps * np.minimum(beta * np.ptp(sides, axis=1), DEPTH)


def _confirm(field, boxes, best, beta, found, allowed, sums):
    """Integrate the boxes once more, with a rule that sees their ends; those where the two agree go into the sums.

    A kink between the last Gauss point and the end of a box shows at the end alone.
    """
    owner, centre, half = boxes
    d = centre.shape[1]
    confirmed = np.zeros(len(owner), dtype=bool)
    block = max(1, branching.BLOCK // (branching.ORDERS[d] + 2) ** d)
    for i in range(0, len(owner), block):
        o, c, h = (a[i : i + block] for a in (owner, centre, half))
        energy = field(o, c, h, ends=True)
        again, _ = amounts(_density(energy, best[o], beta), c, h, sums.shape[1] > 2, ends=True)
        points = _floats(field, (o, c, h))
        tiny = points.all(axis=1)
        fine = (np.abs(again[:, 0] - found[i : i + block, 0]) <= allowed[i : i + block]) | tiny
        np.add.at(sums[:, :-1], o[fine], again[fine])
        blurred = np.flatnonzero(fine & points.any(axis=1))
        if blurred.size:
            np.add.at(sums[:, -1], o[blurred], _blur(field, o[blurred], c[blurred], again[blurred, 0], beta))
        confirmed[i : i + block] = fine
    return confirmed


def _blur(field, owner, centre, masses, beta):
    """How much of the masses of boxes as small as the gaps between floats depends on which float is taken."""
    x = field.origin[owner]
    gap = np.spacing(np.maximum(np.abs(x), np.abs(centre)))  # places are sums of both
    around = [x + centre + k * gap * axis for axis in np.eye(x.shape[1]) for k in (-2, -1, 0, 1, 2)]
    energy = np.stack([branching.values(field.f, places) for places in around])
    return masses * -np.expm1(-np.minimum(beta * np.ptp(energy, axis=0), 600.0))


def _tell_of_blur(x, shares, beta):
    """Warn where a good part of an integral lies where f changes by 1/beta from one float to the next."""
    worst = int(np.argmax(shares))
    if shares[worst] > BLURRED:
        warnings.warn(
            f"f changes by more than 1/beta = {1 / beta:.2g} from one float64 number to the next where the integral "
            f"for x = {x[worst].tolist()} has its mass: u is known to such a change only, take a smaller beta",
            AccuracyWarning,
            stacklevel=5,
        )


def _density(energy, reference, beta):
    """exp(-beta (H - reference)) at the points of a rule in each box."""
    above = energy - reference.reshape(-1, *[1] * (energy.ndim - 1))
    return np.exp(-np.clip(beta * np.minimum(above, 1e290 / beta), -600.0, 800.0))


def amounts(density, centre, half, moments, ends=False):
    """Integrals of a density over each box, with moments if asked, and estimated errors by axis."""
    d, n = centre.shape[1], density.shape[1]
    s, w, transform = branching.rule(branching.ORDERS[d], ends)
    volume = np.prod(2.0 * half, axis=1)
    errors = np.empty((len(density), d))
    for k in range(0 if ends else d):
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
