"""Boxes for branch and bound on H(y) = f(y) + |x - y|²/(2t), f given by its tape: what is known of f, bounds of H.

What is known of f over a box (enclosures of value, gradient and curvature) does not depend on x and t: it is kept in a
binary tree of boxes that all x share and that grows only where a minimum may lie. stiffness = 1/t.
"""

import math

import numpy as np
from numba import njit

from pdelab.kernels.intervals import FAST
from pdelab.kernels.tapes import put, run_at, taylor


def empty_tree(lower, upper, capacity):
    """The arrays of a tree that has no box yet: (count, child, lower, upper, floor, defined, centre, ...)."""
    d = len(lower)
    tree = (
        np.zeros(1, np.int64),  # how many boxes there are
        np.empty(capacity, np.int64),  # the first of the two children, -1 at a leaf
        np.empty((capacity, d)),
        np.empty((capacity, d)),
        np.empty(capacity),  # lower bound of f
        np.empty(capacity, np.bool_),  # f is defined all over the box
        np.empty((capacity, 2)),  # enclosure of f at the centre
        np.empty((capacity, d, 2)),  # of its gradient there
        np.empty((capacity, d, 2)),  # of its gradient over the box
        np.empty((capacity, d)),  # a with Hess f >= diag(a) over the box
        np.empty(capacity),  # bound of |Hess f|
    )
    tree[2][0], tree[3][0] = lower, upper
    return tree


@njit(**FAST)
def workspace(code, d):
    """Arrays for the results of a tape."""
    n = code.shape[0]
    return np.zeros((n, 2)), np.zeros((n, d, 2)), np.zeros((n, d * (d + 1) // 2, 2))


@njit(**FAST)
def fill(k, tape, tree, work):
    """Compute what is kept of box k."""
    code, left, right, constant, at = tape
    _, child, lower, upper, floor, defined, centre, slope_there, slope, least, most = tree
    value, gradient, hessian = work
    d, last = lower.shape[1], code.shape[0] - 1
    child[k] = -1
    defined[k] = run_at(at, code, left, right, constant, lower[k], upper[k], 2, value, gradient, hessian)
    put(slope[k], gradient[last])
    low = value[last, 0]
    floor[k] = low if low == low else math.inf
    bend = hessian[last].copy()
    largest = 0.0
    for i in range(d):
        off = 0.0
        m = 0
        for p in range(d):
            for q in range(p, d):
                if (p == i) != (q == i):
                    off += max(abs(bend[m, 0]), abs(bend[m, 1]))
                if p == i and q == i:
                    low, high = bend[m, 0], bend[m, 1]
                m += 1
        least[k, i] = low - off - 1e-14 * abs(low)
        largest = max(largest, max(abs(low), abs(high)) + off)
    most[k] = largest
    middle = np.empty(d)
    for i in range(d):
        middle[i] = 0.5 * lower[k, i] + 0.5 * upper[k, i]
    run_at(at, code, left, right, constant, middle, middle, 1, value, gradient, hessian)
    centre[k, 0], centre[k, 1] = value[last, 0], value[last, 1]
    put(slope_there[k], gradient[last])
    if defined[k]:  # across a pole or a gap no expansion holds
        low, _ = taylor(value[last], gradient[last], slope[k], bend, middle, lower[k], upper[k])
        if low > floor[k]:
            floor[k] = low


@njit(**FAST)
def split(k, tape, tree, work):
    """Cut box k in two; False when the tree is full."""
    count, child, lower, upper = tree[0], tree[1], tree[2], tree[3]
    slope = tree[8]
    n, d = count[0], lower.shape[1]
    if n + 2 > child.shape[0]:
        return False
    widest, largest = 0.0, 0.0
    for i in range(d):
        widest = max(widest, upper[k, i] - lower[k, i])
        largest = max(largest, slope[k, i, 1] - slope[k, i, 0])
    axis, best = 0, -1.0
    for i in range(d):
        width = upper[k, i] - lower[k, i]
        score = width if width > 0.02 * widest else 0.0
        if 0.0 < largest < math.inf:
            score *= (slope[k, i, 1] - slope[k, i, 0]) / largest + 1e-3
        if score > best:
            axis, best = i, score
    cut = 0.5 * lower[k, axis] + 0.5 * upper[k, axis]
    for j in (n, n + 1):
        for i in range(d):
            lower[j, i], upper[j, i] = lower[k, i], upper[k, i]
    upper[n, axis] = cut
    lower[n + 1, axis] = cut
    fill(n, tape, tree, work)
    fill(n + 1, tape, tree, work)
    child[k] = n
    count[0] = n + 2
    return True


@njit(**FAST)
def dip(slope, bend, low, high):
    """min of slope s + bend s²/2 over [low, high]."""
    ends = min(slope * low + 0.5 * bend * low * low, slope * high + 0.5 * bend * high * high)
    if bend > 0.0:
        s = -slope / bend
        if low < s < high:
            return min(ends, -0.5 * slope * slope / bend)
    return ends


@njit(**FAST)
def bound(k, x, stiffness, tree):
    """A lower bound of H over box k, by expansions where f is defined all over it; stiffness = 1/t."""
    _, _, lower, upper, floor, defined, centre, slope_there, slope, least, _ = tree
    d = lower.shape[1]
    far, first, second, size = 0.0, centre[k, 0], centre[k, 0], abs(centre[k, 0])
    for i in range(d):
        low, high = lower[k, i], upper[k, i]
        middle = 0.5 * low + 0.5 * high
        away = max(max(low - x[i], x[i] - high), 0.0)
        far += away * away
        z = middle - x[i]
        reach = max(middle - low, high - middle)
        pull = stiffness * z
        base = 0.5 * pull * z
        size += base
        a, b = slope[k, i, 0] + pull, slope[k, i, 1] + pull
        first += base + min(dip(a, stiffness, 0.0, reach), dip(b, stiffness, -reach, 0.0))
        a, b = slope_there[k, i, 0] + pull, slope_there[k, i, 1] + pull
        bend = least[k, i] + stiffness
        second += base + min(dip(a, bend, 0.0, reach), dip(b, bend, -reach, 0.0))
    result = floor[k] + 0.5 * stiffness * far * (1.0 - 1e-15)
    if not defined[k]:
        return result
    margin = 2e-15 * size
    if first - margin > result:
        result = first - margin
    if second - margin > result:
        result = second - margin
    return result


@njit(**FAST)
def monotone(k, x, stiffness, tree, closed):
    """Is H strictly monotone in box k, so that no minimum lies in it (on faces of a closed domain it may)?"""
    lower, upper, defined, slope = tree[2], tree[3], tree[5], tree[8]
    if not defined[k]:
        return False
    for i in range(lower.shape[1]):
        if slope[k, i, 0] + stiffness * (lower[k, i] - x[i]) > 0.0 and not (closed and lower[k, i] == lower[0, i]):
            return True
        if slope[k, i, 1] + stiffness * (upper[k, i] - x[i]) < 0.0 and not (closed and upper[k, i] == upper[0, i]):
            return True
    return False


@njit(**FAST)
def floors(tape, tree, owner, x, stiffness, gap, floor, dips):
    """For box k of the tree and x[owner[k]]: a lower bound of H, and by axis how far H may move between two nodes.

    gap: the largest distance of neighbouring nodes along an axis, as a share of the box's width. Where nothing bounds
    how far H may move, the longest side of the box counts most.
    """
    lower, upper, slope, most = tree[2], tree[3], tree[8], tree[10]
    work = workspace(tape[0], lower.shape[1])
    for k in range(owner.shape[0]):
        p, widest = owner[k], 0.0
        fill(k, tape, tree, work)
        floor[k] = bound(k, x[p], stiffness, tree)
        for i in range(lower.shape[1]):
            widest = max(widest, upper[k, i] - lower[k, i])
        for i in range(lower.shape[1]):
            h = gap * (upper[k, i] - lower[k, i])
            pull = stiffness * max(abs(lower[k, i] - x[p, i]), abs(upper[k, i] - x[p, i]))
            rise = 0.5 * h * (max(abs(slope[k, i, 0]), abs(slope[k, i, 1])) + pull)
            dips[k, i] = min(min(rise, h * h / 8.0 * (most[k] + stiffness)), 1e300 * (h / (gap * widest)))
