"""Integrals over the plane of a Loss with kinks along curves, line by line.

Boxes of the plane close in on a curve of kinks by the thousand. On a line the kinks are points, which few panels close
in on, and what the lines add up to has few kinks itself. Panels are cut in two until both halves say what the whole
said. The first are what the lines cross of boxes between whose nodes nothing hides and outside of which nothing counts.
All lines of all points are worked on at once.
"""

import math

import numpy as np

from pdelab.closed_forms import branching
from pdelab.kernels import lines

__all__ = ["integrate"]

ORDER = 12  # points inside a panel, whose ends are points, too
AIM = 1e-10, 1e-11  # relative error of lines, and of their sum: of the mass alone, and with moments
FAINT = 1e-3  # of the largest mass of a line: lines of less are as accurate as those
ROUNDED = 1e-15  # of exponents
WIDER = 4.0  # times the widest box of a point: panels across the lines to start with
BLOCK, LINES = 2 * 10**5, 2 * 10**4  # nodes of the plane, and lines, at once


def integrate(field, boxes, best, beta, moments):
    """∫ exp(-β (H - base - best)) dz for all points of a field, z relative to its origins: (P, 1).

    With `moments` times 1, z₁, z₂, z₁², z₁ z₂, z₂ z₁ and z₂² too: (P, 7). boxes: all that counts, see above.
    """
    owner, centre, half = (a[np.lexsort((boxes[1][:, 1] - boxes[2][:, 1], boxes[0]))] for a in boxes)
    low, high, count = centre - half * (1.0 + 1e-12), centre + half * (1.0 + 1e-12), len(field.x)
    first = np.searchsorted(owner, np.arange(count + 1))
    far = np.maximum.reduceat(np.maximum(np.abs(low), np.abs(high)).max(axis=1), first[:-1])
    size = np.abs(field.height) + np.abs(field.base + best) + far * (far + np.abs(field.away).max(axis=1)) / field.t
    rounding, aim = ROUNDED * beta * size, AIM[moments]

    def along(point, places):
        """Of the lines z₁ = places (N,) the mass, with moments times z₂ and z₂² too: (N, 1) or (N, 3)."""
        none = np.empty((0, 3))
        ends = np.empty((lines.crossed(low, high, first[point], first[point + 1], places, none), 3))
        lines.crossed(low, high, first[point], first[point + 1], places, ends)
        line = ends[:, 0].astype(int)
        panels = line, 0.5 * (ends[:, 1] + ends[:, 2]), 0.5 * (ends[:, 2] - ends[:, 1])

        def amounts(line, centre, half):
            return _on_lines(field, point[line], places[line], centre, half, best, beta, moments)

        return _refined(amounts, panels, point, rounding[point], aim)

    def amounts(point, centre, half):
        s, weights, _ = branching.rule(ORDER, True)
        places = (centre[:, None] + half[:, None] * s).ravel()
        parts = np.array_split(np.arange(places.size), math.ceil(places.size / LINES))
        every = np.repeat(point, len(s))
        masses = np.concatenate([along(every[p], places[p]) for p in parts])
        if moments:
            m, m2, m22 = masses.T
            masses = np.stack([m, m * places, m2, m * places**2, m2 * places, m2 * places, m22], axis=-1)
        return 2.0 * half[:, None] * np.einsum("bnc,n->bc", masses.reshape(len(point), len(s), -1), weights)

    panels = _across(low[:, 0], high[:, 0], first)
    return _refined(amounts, panels, np.arange(count), rounding, aim)


def _across(low, high, first):
    """(point, centre, half) of panels across the lines: those that meet a box of their point."""
    parts = []
    for p, (start, stop) in enumerate(zip(first[:-1], first[1:])):
        a, b = low[start:stop], high[start:stop]
        edges = np.linspace(a.min(), b.max(), math.ceil((b.max() - a.min()) / (WIDER * (b - a).max())) + 1)
        met = np.searchsorted(np.sort(a), edges[1:]) > np.searchsorted(np.sort(b), edges[:-1])
        parts.append((np.full(met.sum(), p), (0.5 * (edges[1:] + edges[:-1]))[met], (0.5 * np.diff(edges))[met]))
    return tuple(np.concatenate(part) for part in zip(*parts))


def _on_lines(field, point, places, centre, half, best, beta, moments):
    """Integrals over panels of lines z₁ = places (N,) by the rule of Lobatto, as many at once as memory holds."""
    s, weights, _ = branching.rule(ORDER, True)
    result = np.empty((len(point), 3 if moments else 1))
    for rows in np.array_split(np.arange(len(point)), math.ceil(len(point) * len(s) / BLOCK)):
        p, z = point[rows], np.empty((len(rows), len(s), 2))
        z[..., 0], z[..., 1] = places[rows, None], centre[rows, None] + half[rows, None] * s
        values = branching.values(field.f, z + field.origin[p, None])
        part = np.empty((len(rows), result.shape[1]))
        lines.sums(values, z, weights, field.away[p], (field.height + best)[p], 1.0 / field.t, beta, part)
        result[rows] = 2.0 * half[rows, None] * part
    return result


def _refined(amounts, panels, point, rounding, aim):
    """Integrals along lines (N,), from panels (line, centre, half) with amounts(*panels): (N, C).

    point (N,): which lines are compared with each other; rounding (N,): of the exponents on a line.
    """
    whole, count = amounts(*panels), len(point)
    total = np.zeros((count, whole.shape[1]))
    for _ in range(200):
        line, centre, half = panels
        middles = centre[:, None] + half[:, None] * [-0.5, 0.5]
        children = np.repeat(line, 2), middles.ravel(), np.repeat(0.5 * half, 2)
        parts = amounts(*children).reshape(len(line), 2, -1)
        sums = parts.sum(axis=1)
        mass = total[:, 0] + np.bincount(line, sums[:, 0], count)
        largest = np.zeros(point.max(initial=0) + 1)
        np.maximum.at(largest, point, mass)
        enough = aim * np.maximum(mass, FAINT * largest[point])
        allowed = np.maximum(enough[line], rounding[line] * np.abs(sums[:, 0]))
        fine = (np.abs(sums - whole)[:, 0] <= allowed) | (half <= 4e-16 * np.abs(centre))
        np.add.at(total, line[fine], sums[fine])
        if fine.all():
            return total
        again = np.repeat(~fine, 2)
        panels, whole = tuple(a[again] for a in children), parts[~fine].reshape(-1, sums.shape[1])
    raise ValueError("f: expected a smoother loss, its integral along a line did not converge")
