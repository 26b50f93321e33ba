"""Local entropy of a Loss that moves by far less than 1/β within the kernel's reach.

The mean of exp(-β (f(y) - f(x))) is one but for a little, of which its logarithm keeps rounding over β. The mean of its
expm1 keeps the digits. Boxes are cut in two until two rules agree in each, and until what enclosures of a formula allow
f to bend by in a box is of the order of what its nodes show, or does not count.
"""

import math

import numpy as np

from pdelab.closed_forms import branching, quadrature
from pdelab.kernels.envelopes import DEPTH
from pdelab.losses import enclosures

__all__ = ["integrate", "moves"]

LARGEST = 1.0  # of β times what f moves by within the reach
AIM = {1: 1e-14, 2: 1e-11, 3: 1e-9}  # error of a box, relative to that
ROUNDED = 4e-16  # of values of f
HIDDEN = 100.0  # times what f moves by between the nodes of a box, by which it may bend there


def moves(f, x, width):
    """By how much f differs (P,) between points x (P, d) and a kernel's width beside them, at most along any axis."""
    here, beside = branching.values(f, x), [s * width * e for e in np.eye(x.shape[1]) for s in (1.0, -1.0)]
    return np.max([np.abs(branching.values(f, x + step) - here) for step in beside], axis=0)


def integrate(f, x, t, beta):
    """(where f moves by little and the sums settle (P,), u there or nonsense (P,)) at points x (P, d)."""
    return branching.in_chunks(_integrate, x, f, t, beta, branching.spread(f, x, t, DEPTH / beta).max())


def _integrate(x, f, t, beta, radius):
    count, d = x.shape
    boxes, lifts = branching.roots(np.full((count, d), radius)), branching.Energy(f, x, math.inf)
    gain, size = np.zeros(count), np.zeros(count)
    for _ in range(80 * d):
        owner, centre, half = boxes
        if len(owner) * branching.ORDERS[d] ** d > 2 * branching.BLOCK:
            if count > 1:
                raise branching.TooManyBoxes("f: expected a smoother loss")
            return np.zeros(1, dtype=bool), lifts.base
        lift = lifts(owner, centre, half)
        sides = lift.reshape(len(owner), -1)
        np.maximum.at(size, owner, beta * np.abs(sides).max(axis=1))
        if (size > LARGEST).all():
            break
        allowed = AIM[d] * size[owner] + ROUNDED * beta * np.abs(lifts.base[owner]) * _mass(centre, half, t, beta)
        (amounts, errors), (again, _) = (
            quadrature.amounts(_density(part, centre, half, t, beta, ends), centre, half, False, ends)
            for part, ends in ((lift, False), (lifts(owner, centre, half, ends=True), True))
        )
        fine = (errors.max(axis=1) <= allowed) & (np.abs(amounts - again)[:, 0] <= allowed)
        fine |= (half <= 4e-16 * (np.abs(centre) + np.abs(x[owner]))).all(axis=1) | (size > LARGEST)[owner]
        if f.formula is not None:
            fine &= _shown(
                f, x[owner] + centre, half, np.ptp(sides, axis=1), allowed, _mass(centre, half, t, beta) * beta
            )
        gain += np.bincount(owner[fine], again[fine, 0], count)
        if fine.all():
            break
        boxes = branching.split(boxes, errors, ~fine)
    settled = size <= LARGEST
    return settled, lifts.base - np.log1p(np.where(settled, gain, 0.0)) / beta


def _density(lift, centre, half, t, beta, ends):
    """expm1(-β lift) under the Gaussian of unit mass at the points of a rule in each box."""
    d, nodes = centre.shape[1], branching.rule(branching.ORDERS[centre.shape[1]], ends)[0]
    density = np.expm1(-np.maximum(beta * lift, -LARGEST))
    for k in range(d):
        bell = np.exp(-0.5 * beta / t * (centre[:, k, None] + half[:, k, None] * nodes) ** 2)
        density *= (bell * math.sqrt(0.5 * beta / (math.pi * t))).reshape(
            -1, *[len(nodes) if j == k else 1 for j in range(d)]
        )
    return density


def _mass(centre, half, t, beta):
    """The largest that the Gaussian of unit mass may have in each box."""
    nearest = np.maximum(np.abs(centre) - half, 0.0)
    bell = np.exp(-0.5 * beta / t * (nearest**2).sum(axis=1)) * (0.5 * beta / (math.pi * t)) ** (0.5 * centre.shape[1])
    return np.minimum(bell * np.prod(2.0 * half, axis=1), 1.0)


def _shown(f, middle, half, moved, allowed, weight):
    """Where nodes show what f does in each box: by the bounds of its bend, or where what may hide does not count."""
    value, _, bend = enclosures.enclose(f, middle - half, middle + half)
    with np.errstate(invalid="ignore"):
        bends = np.abs(enclosures.symmetric(bend, half.shape[1])).max(axis=-1)
        bends = np.einsum("ci,cij,cj->c", half, bends, half)
        hidden = np.fmin(bends, value[:, 1] - value[:, 0])
    return ~(hidden * weight > allowed) | (bends <= HIDDEN * moved)
