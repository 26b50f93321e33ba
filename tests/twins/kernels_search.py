"""Twins of branch and bound: lattices over the whole box, then finer ones around their lowest nodes."""

import numpy as np
from valleys import at, drawn, lowest, mesh, smooth

from pdelab.kernels import boxes, newton, search
from pdelab.losses import enclosures

LOSSES = []
LOW, HIGH = -2.0, 1.7


def losses(rng):
    if not LOSSES:
        LOSSES.extend(draw(rng, d) for d in (1, 2) for draw in (smooth, smooth, drawn, drawn))
    return LOSSES


def loss_of(tape):
    return next(f for f in LOSSES if np.array_equal(enclosures.tape(f)[3], tape[3]))


def tree(f, splits, room):
    tape, d = enclosures.tape(f), f.dimension
    arrays, work = boxes.empty_tree(np.full(d, LOW), np.full(d, HIGH), room), boxes.workspace(tape[0], d)
    arrays[0][0] = 1
    boxes.fill(0, tape, arrays, work)
    for k in range(splits):
        boxes.split(k, tape, arrays, work)
    return arrays


def vertices(rng):
    for f in losses(rng):
        for k in (0, 4, 15):
            for i in range(f.dimension):
                yield k, i, float(rng.normal()), 6.0, tree(f, 10, 21)


def vertex(k, i, x, stiffness, tree):
    """Where many values of the quadratic along an axis are least; the middle if it is not convex."""
    lower, upper = tree[2][k, i], tree[3][k, i]
    middle, bend = 0.5 * (lower + upper), tree[9][k, i] + stiffness
    if not bend > 0.0:
        return middle
    y = np.linspace(lower, upper, 400_001)
    s = y - middle
    return y[np.argmin(tree[7][k, i].mean() * s + 0.5 * tree[9][k, i] * s**2 + 0.5 * stiffness * (y - x) ** 2)]


def betters(rng):
    for move in (0.0, 1e-9, 1.0, -1.0):
        for gain in (-1e-3, -1e-17, 0.0, 1e-17, 1e-3):
            for by_newton in (True, False):
                place = rng.normal(size=(2, 2))
                yield place[1] + [0.0, move], 0.5 + gain, 1e-16, by_newton, 1, np.full(2, 0.5), np.zeros(2), place


def better(y, value, rounding, newton, p, best, error, place):
    """Lower by more than rounding; or level and lexicographically first, or in the same valley of Newton or lower."""
    tie = rounding + error[p]
    apart = [b - a for a, b in zip(place[p], y) if abs(b - a) > 1e-6 * (abs(a) + abs(b)) + 1e-12]
    level = best[p] - tie <= value <= best[p] + tie
    same = newton or value < best[p]
    if value < best[p] - tie or (level and (apart[0] < 0.0 if apart else same)):
        best[p], error[p], place[p] = value, rounding, y


def boxes_of_corners(rng):
    for f in losses(rng):
        arrays, d = tree(f, 10, 21), f.dimension
        for k in (0, 4, 15):
            for before in (-1e3, 1e3):
                x, best = rng.uniform(LOW, HIGH, d), np.array([0.0, before])
                yield (k, x, 2.0, enclosures.tape(f), arrays, boxes.workspace(enclosures.tape(f)[0], d), 1, np.zeros(d),
                       best, np.zeros(2), np.full((2, d), 9.0))  # fmt: skip


def corners(k, x, stiffness, tape, tree, work, p, y, best, error, place):
    """The value and the place of the lowest corner, if it is lower than what is known."""
    y = mesh([[a, b] for a, b in zip(tree[2][k], tree[3][k])])
    energy = at(loss_of(tape), y) + 0.5 * stiffness * ((y - x) ** 2).sum(-1)
    if energy.min() < best[p]:
        best[p], place[p] = energy.min(), y[energy.argmin()]


def lowest_corner(ours, theirs, message):
    (best, _, place), (least, _, lowest) = ours[1][-3:], theirs[1][-3:]
    np.testing.assert_allclose(best, least, rtol=1e-13, atol=1e-13, err_msg=message)
    np.testing.assert_array_equal(place, lowest, err_msg=message)


def searches(rng):
    for f in losses(rng):
        for stiffness in (0.0, 2.0):
            x = rng.uniform(LOW, HIGH, (3, f.dimension))
            best, error = np.zeros(3), np.zeros(3)
            newton.energies(enclosures.tape(f), x, stiffness, x, best, error)
            size = stiffness, True, 1e-14, np.full(3, 1e-13), np.ones(3), 1e-7, 0.0, 20_000
            yield (enclosures.tape(f), tree(f, 0, 40_000), x, *size, best, error, x.copy(), np.zeros(3),
                   np.zeros(3, np.int64))  # fmt: skip


def minimise(tape, tree, x, stiffness, closed, tolerance, least_gap, scale, rough, smooth, budget, best, error, place,
             below, end):  # fmt: skip
    f = loss_of(tape)
    for p in range(len(x)):
        energy = lambda y, p=p: at(f, y) + 0.5 * stiffness * ((y - x[p]) ** 2).sum(-1)  # noqa: E731
        lower, upper = np.full(x.shape[1], LOW), np.full(x.shape[1], HIGH)
        best[p], place[p] = lowest(energy, lower, upper, {1: 20_001, 2: 301}[x.shape[1]], closed=True)
    return True


def minimal(ours, theirs, message):
    tape, _, x, stiffness, *_, best, error, place, below, end = ours[1]
    exact = theirs[1][-5]
    assert ours[0] and (end == search.SETTLED).all(), message
    f = loss_of(tape)
    gap = 1e-12 if "abs" not in f.formula and "norm" not in f.formula else 3e-7
    assert (best <= exact + gap * (1.0 + np.abs(exact))).all() and (below <= exact + 1e-14).all(), message
    assert (best - below <= 2.0 * gap * (1.0 + np.abs(best))).all(), message
    energy = at(f, place) + 0.5 * stiffness * ((place - x) ** 2).sum(-1)
    np.testing.assert_allclose(best, energy, rtol=0, atol=1e-14 * (1.0 + np.abs(energy).max()), err_msg=message)


def views(rng):
    for f in losses(rng):
        for level in (0.3, 2.0):
            x = rng.uniform(LOW, HIGH, (3, f.dimension))
            lows = at(f, x) - 0.5 + level
            yield (enclosures.tape(f), tree(f, 0, 40_000), x, 2.0, lows, 5.0, np.full(3, 0.02), 1.0, np.full(3, 0.3),
                   np.zeros(3, bool), np.zeros(40_000, np.int64), np.zeros(3, np.int64))  # fmt: skip


def windows(tape, tree, x, stiffness, level, beta, h, limit, coarse, fine, kept, last):
    """Of many points, those where H is below its level, and how far H moves there over half a step."""
    f, d = loss_of(tape), x.shape[1]
    y = mesh([np.linspace(LOW, HIGH, 4001 if d == 1 else 181)] * d)
    falls, inside = np.zeros(len(x)), []
    for p in range(len(x)):
        energy = lambda y, p=p: at(f, y) + 0.5 * stiffness * ((y - x[p]) ** 2).sum(-1)  # noqa: E731
        here = energy(y)
        inside.append(y[here <= level[p]])
        for k in range(d):
            ends = [energy(inside[p] + s * h[p] * np.eye(d)[k]) for s in (-0.5, 0.5)]
            moved = np.minimum(*ends) - here[here <= level[p]]  # H at the middle of two nodes below both of them
            falls[p] = max(falls[p], moved.max(initial=0.0))
    return falls, inside


def seen(ours, theirs, message):
    """Every point below the level is in a box, those off faces in one, and boxes are as fine as was asked for."""
    _, tree, *_, beta, h, limit, coarse, fine, kept, last = ours[1]
    assert ours[0], message
    falls, inside = theirs[0]
    for p, first in zip(range(len(fine)), [0, *last]):
        boxes = kept[first : last[p]]
        assert fine[p] or not boxes.size, message
        if fine[p]:
            low, high = tree[2][boxes], tree[3][boxes]
            assert (high - low <= coarse[p]).all(), message
            holds = ((inside[p][:, None] >= low) & (inside[p][:, None] <= high)).all(axis=2)
            proper = ((inside[p][:, None] > low) & (inside[p][:, None] < high)).all(axis=2)
            assert holds.any(axis=1).all() and (proper.sum(axis=1) <= 1).all(), message
            assert beta * falls[p] <= limit + 1e-9, message


TWINS = {
    "_vertex": (vertex, vertices, 1e-5),
    "_better": (better, betters),
    "_try_corners": (corners, boxes_of_corners, lowest_corner),
    "minimise": (minimise, searches, minimal),
    "windows": (windows, views, seen),
}
