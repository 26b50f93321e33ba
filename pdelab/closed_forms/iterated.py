"""Integrals over the plane of a Loss with kinks along curves, line by line.

Boxes of the plane close in on a curve of kinks by the thousand. On a line the kinks are points, which few panels close
in on, and what the lines add up to has few kinks itself. Panels are cut in two until both halves say what the whole
said. The first are no wider than boxes between whose nodes nothing hides.
"""

import math

import numpy as np

from pdelab.closed_forms import branching, descent

__all__ = ["integrate"]

ORDER = 12  # points inside a panel, whose ends are points, too
AIM = 1e-10, 1e-11  # relative error of lines, and of their sum: of the mass alone, and with moments
FAINT = 1e-3  # of the largest mass of a line: lines of less are as accurate as those
ROUNDED = 1e-15  # of exponents
BLOCK = 4 * 10**5  # points of the plane at once


def integrate(x, f, t, beta, moments, radii, half):
    """(u (P,),) and with `moments` (mean - x (P, 2), covariance (P, 2, 2)) too, as of `quadrature.integrate`.

    radii (P,): half the sides of the squares that matter; half: half the width of the first panels, at most.
    """
    energies, _ = descent.minimise(f, x, t, told=False)
    sums = np.array([_point(f, *data, half, t, beta, moments) for data in zip(x, energies, radii)])
    u = energies - (np.log(sums[:, 0]) + math.log(beta / (2.0 * math.pi * t))) / beta
    if not moments:
        return (u,)
    means = sums / sums[:, :1]
    first = means[:, 1:3]
    return u, first, means[:, [3, 4, 4, 5]].reshape(-1, 2, 2) - first[:, :, None] * first[:, None, :]


def _point(f, x, lowest, radius, half, t, beta, moments):
    """∫ exp(-β (H - lowest)) dz at one point, with `moments` times 1, z₁, z₂, z₁², z₁ z₂ and z₂² too, z = y - x."""
    rounding = ROUNDED * beta * (abs(lowest) + abs(float(f(x))) + radius**2 / t)

    def along(first):
        """Of the lines z₁ = first (N,) the mass, with moments times z₂ and z₂² too: (N, 1) or (N, 3)."""

        def density(owner, s):
            z = np.stack([first[owner][:, None] + 0.0 * s, s], axis=-1)
            energy = branching.values(f, x + z) + (z**2).sum(axis=-1) / (2.0 * t) - lowest
            weight = np.exp(-np.minimum(beta * np.maximum(energy, -600.0 / beta), 700.0))
            return np.stack([weight, weight * s, weight * s * s], axis=-1) if moments else weight[..., None]

        return _lines(density, len(first), radius, half, rounding, AIM[moments])

    def density(_, s):
        masses = np.concatenate([along(part) for part in np.array_split(s.ravel(), math.ceil(s.size / 64))])
        if not moments:
            return masses.reshape(*s.shape, 1)
        m, m2, m22 = masses.T.reshape(3, *s.shape)
        return np.stack([m, m * s, m2, m * s * s, m2 * s, m22], axis=-1)

    return _lines(density, 1, radius, half, rounding, AIM[moments])[0]


def _lines(density, count, radius, half, rounding, aim):
    """Integrals over [-radius, radius] of density(owner (B,), s (B, n)) -> (B, n, C), a line an owner: (count, C)."""
    many = math.ceil(radius / half)
    centres = radius * ((2.0 * np.arange(many) + 1.0) / many - 1.0)
    panels = np.repeat(np.arange(count), many), np.tile(centres, count), np.full(count * many, radius / many)
    whole = _amounts(density, *panels)
    total = np.zeros((count, whole.shape[1]))
    for _ in range(200):
        owner, centre, half = panels
        middles = centre[:, None] + half[:, None] * [-0.5, 0.5]
        children = np.repeat(owner, 2), middles.ravel(), np.repeat(0.5 * half, 2)
        parts = _amounts(density, *children).reshape(len(owner), 2, -1)
        sums = parts.sum(axis=1)
        mass = total[:, 0] + np.bincount(owner, sums[:, 0], count)
        allowed = np.maximum(aim * np.maximum(mass, FAINT * mass.max())[owner], rounding * np.abs(sums[:, 0]))
        fine = (np.abs(sums - whole)[:, 0] <= allowed) | (half <= 4e-16 * radius)
        np.add.at(total, owner[fine], sums[fine])
        if fine.all():
            return total
        again = np.repeat(~fine, 2)
        panels, whole = tuple(a[again] for a in children), parts[~fine].reshape(-1, sums.shape[1])
    raise ValueError("f: expected a smoother loss, its integral along a line did not converge")


def _amounts(density, owner, centre, half):
    """Integrals over panels by the rule of Lobatto, as many at once as memory holds."""
    s, weights, _ = branching.rule(ORDER, True)
    parts = np.array_split(np.arange(len(owner)), math.ceil(len(owner) * len(s) / BLOCK))
    values = (density(owner[p], centre[p, None] + half[p, None] * s) for p in parts)
    return 2.0 * half[:, None] * np.concatenate([np.einsum("bnc,n->bc", part, weights) for part in values])
