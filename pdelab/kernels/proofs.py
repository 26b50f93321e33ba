"""Proofs without a search: which stationary points of H(y) = f(y) + |x - y|²/(2t) a tree of boxes shows to be lowest.

No box is cut and no tape is run.
"""

import math

import numpy as np
from numba import njit

from pdelab.kernels.boxes import bound, dip, monotone
from pdelab.kernels.intervals import FAST


@njit(**FAST)
def _least_bend(low, high, stiffness, tree):
    """A bound from below of H'' over [low, high] on a line, 0 where what is known of the boxes gives none above it."""
    child, lower, upper, defined, least, most = tree[1], tree[2], tree[3], tree[5], tree[9], tree[10]
    stack = np.empty(128, np.int64)
    stack[0], top, bend = 0, 1, math.inf
    while top > 0:
        top -= 1
        k = stack[top]
        if upper[k, 0] < low or high < lower[k, 0]:
            continue
        if defined[k] and most[k] < math.inf and least[k, 0] + stiffness > 0.0:
            bend = min(bend, least[k, 0] + stiffness)
        elif child[k] < 0 or top + 2 > stack.shape[0]:
            return 0.0
        else:
            stack[top], stack[top + 1] = child[k], child[k] + 1
            top += 2
    return bend if bend < math.inf else 0.0


@njit(**FAST)
def certify_between(tree, known, stiffness, tolerance, place, slope, certain):
    """Which points of a line, between points `known` whose minimisers are known, have theirs proved: certain (P,).

    As x increases its minimiser never turns back: between those of two points lie those of all points between, and
    where H is convex there, a stationary point is the minimum.
    """
    for m in range(known.shape[0] - 1):
        low, high = place[known[m], 0], place[known[m + 1], 0]
        room = 1e-13 * (abs(low) + abs(high))
        bend = _least_bend(low - room, high + room, stiffness, tree)
        if bend > 0.0:
            for p in range(known[m] + 1, known[m + 1]):
                y = place[p, 0]
                if low - room <= y <= high + room:
                    below = dip(slope[p, 0], bend, low - room - y, high + room - y)
                    certain[p] = certain[p] and below >= -tolerance[p]
                else:
                    certain[p] = False
        else:
            for p in range(known[m] + 1, known[m + 1]):
                certain[p] = False


@njit(**FAST)
def certify(tree, x, stiffness, closed, tolerance, best, place, slope, certain):
    """Which best (P,), H at the stationary points place (P, d), what is known of the boxes proves to be lowest.

    No box is cut and no tape is run: a box is dropped as in `minimise`, or where it holds the place and H is convex in
    it, by the tangent there; slope (P, d) is the gradient of H at the place. certain (P,) starts as what may be true.
    """
    _, child, lower, upper, floor, defined, centre, _, _, least, most = tree
    d = lower.shape[1]
    stack = np.empty(4096, np.int64)
    for p in range(x.shape[0]):
        top = 1 if certain[p] else 0
        stack[0] = 0
        while top > 0:
            top -= 1
            k = stack[top]
            slack = tolerance[p] + 1e-15 * abs(best[p])
            far = 0.0
            for i in range(d):
                away = max(max(lower[k, i] - x[p, i], x[p, i] - upper[k, i]), 0.0)
                far += away * away
            if floor[k] + 0.5 * stiffness * far * (1.0 - 1e-15) >= best[p] - slack:
                continue
            if monotone(k, x[p], stiffness, tree, closed) or bound(k, x[p], stiffness, tree) >= best[p] - slack:
                continue
            below, convex = 0.0, defined[k] and most[k] < math.inf
            for i in range(d):
                bend, y = least[k, i] + stiffness, place[p, i]
                convex = convex and bend > 0.0 and lower[k, i] <= y <= upper[k, i]
                below += dip(slope[p, i], bend, lower[k, i] - y, upper[k, i] - y)
            if convex and below >= -(slack + 2.0 * (centre[k, 1] - centre[k, 0])):
                continue
            if child[k] < 0 or top + 2 > stack.shape[0]:
                certain[p] = False
                break
            stack[top], stack[top + 1] = child[k], child[k] + 1
            top += 2
