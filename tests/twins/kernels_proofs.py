"""Twins of the proofs without a search: the same by recursion over the boxes and dense samples of tangents."""

import numpy as np

from pdelab.kernels import boxes
from pdelab.losses import Loss, enclosures

PLANE = Loss("x**2/4 + y**2/3 + 0.3*cos(5*x)*sin(3*y) + 0.2*abs(x - 0.1)", ("x", "y"))
LINE = Loss("x**2/4 + 0.3*cos(5*x)")


def tree(loss, splits):
    tape, d = enclosures.tape(loss), loss.dimension
    arrays, work = boxes.empty_tree(np.full(d, -3.0), np.full(d, 3.0), 2 * splits + 1), boxes.workspace(tape[0], d)
    arrays[0][0] = 1
    boxes.fill(0, tape, arrays, work)
    for k in range(splits):
        boxes.split(k, tape, arrays, work)
    return arrays


def least_bend(low, high, stiffness, tree):
    def cover(k):
        if tree[3][k, 0] < low or high < tree[2][k, 0]:
            return []
        if np.isfinite(tree[10][k]) and tree[9][k, 0] + stiffness > 0.0:
            return [tree[9][k, 0] + stiffness]
        return [0.0] if tree[1][k] < 0 else cover(tree[1][k]) + cover(tree[1][k] + 1)

    bends = cover(0)
    return min(bends) if bends else 0.0


def certify_between(tree, known, stiffness, tolerance, place, slope, certain):
    for first, last in zip(known, known[1:]):
        low, high = place[first, 0], place[last, 0]
        room = 1e-13 * (abs(low) + abs(high))
        bend = least_bend(low - room, high + room, stiffness, tree)
        for p in range(first + 1, last):
            y, s = place[p, 0], np.linspace(low - room, high + room, 100_001) - place[p, 0]
            falls = (slope[p, 0] * s + 0.5 * bend * s * s).min()
            certain[p] = certain[p] and bend > 0.0 and low - room <= y <= high + room and falls >= -tolerance[p]


def between_cases(rng):
    place = np.array([[0.50], [0.55], [0.60], [1.60], [1.62], [1.70]])
    tolerance, slope = np.full(6, 1e-6), np.array([[0.0], [1e-9], [0.0], [0.0], [0.4], [0.0]])
    for known in (np.array([0, 2, 3, 5]), np.array([0, 5])):
        yield tree(LINE, 12), known, 2.0, tolerance, place, slope, np.ones(6, bool)


def certify(tree, x, stiffness, closed, tolerance, best, place, slope, certain):
    def proved(k, p):
        slack = tolerance[p] + 1e-15 * abs(best[p])
        if boxes.bound(k, x[p], stiffness, tree) >= best[p] - slack:
            return True
        if boxes.monotone(k, x[p], stiffness, tree, closed):
            return True
        low, high, bend = tree[2][k] - place[p], tree[3][k] - place[p], tree[9][k] + stiffness
        if (low <= 0).all() and (high >= 0).all() and (bend > 0).all() and np.isfinite(tree[10][k]):
            falls = sum(boxes.dip(slope[p, i], bend[i], low[i], high[i]) for i in range(x.shape[1]))
            if falls >= -(slack + 2.0 * np.ptp(tree[6][k])):
                return True
        return tree[1][k] >= 0 and proved(tree[1][k], p) and proved(tree[1][k] + 1, p)

    for p in range(len(x)):
        certain[p] = bool(certain[p]) and proved(0, p)


def certify_cases(rng):
    x = rng.uniform(-2.0, 2.0, (12, 2))
    best = PLANE(x) + rng.choice([-3.0, -0.3, 0.0], 12)
    for slope in (np.zeros((12, 2)), rng.normal(size=(12, 2))):
        yield tree(PLANE, 120), x, 6.0, True, np.full(12, 1e-3), best, x.copy(), slope, np.arange(12) != 3


TWINS = {
    "_least_bend": (
        least_bend,
        lambda rng: [
            (low, low + w, s, tree(LINE, 12)) for low in (-2.0, 0.6, 1.5) for w in (0, 0.1, 1) for s in (0.5, 4.0)
        ],
    ),
    "certify_between": (certify_between, between_cases),
    "certify": (certify, certify_cases),
}
