"""Branch and bound for H(y) = f(y) + |x - y|²/(2t) over a box, f given by its tape: the global minimum with a bound.

For one x the tree of boxes is walked from the root; a box is dropped when a lower bound of H in it is above the lowest
value known, or H is monotone in it, and it is settled by Newton's method where H is convex.
"""

import math

import numpy as np
from numba import njit

from pdelab.kernels.boxes import bound, monotone, split, workspace
from pdelab.kernels.intervals import FAST
from pdelab.kernels.newton import energy, settle

SETTLED, OPEN = 0, 1  # how the search of a point ends: gap closed, budget or room spent


@njit(**FAST)
def _vertex(k, i, x, stiffness, tree):
    """Where along axis i the convex quadratic that bounds H from below has its minimum; the middle if there is none."""
    lower, upper, slope_there, least = tree[2], tree[3], tree[7], tree[9]
    middle = 0.5 * lower[k, i] + 0.5 * upper[k, i]
    g = 0.5 * (slope_there[k, i, 0] + slope_there[k, i, 1]) + stiffness * (middle - x)
    bend = least[k, i] + stiffness
    if bend > 0.0 and abs(g) < math.inf:
        return min(max(middle - g / bend, lower[k, i]), upper[k, i])
    return middle


@njit(**FAST)
def _better(y, value, rounding, newton, p, best, error, place):
    """Keep a point of lower value; of equal values the lexicographically smaller valley, in one valley Newton's."""
    tie = rounding + error[p]
    keep = value < best[p] - tie
    if not keep and value <= best[p] + tie:
        same, smaller = True, False
        for i in range(y.shape[0]):
            apart = y[i] - place[p, i]
            if abs(apart) > 1e-6 * (abs(y[i]) + abs(place[p, i])) + 1e-12:
                if same:
                    smaller = apart < 0.0
                same = False
        keep = smaller or (same and (newton or value < best[p]))
    if keep:
        best[p], error[p] = value, rounding
        for i in range(y.shape[0]):
            place[p, i] = y[i]


@njit(**FAST)
def _try_corners(k, x, stiffness, tape, tree, work, p, y, best, error, place):
    """Keep the corner of box k with the lowest value, if it is lower: of two sides of a jump the far one may be low."""
    lower, upper = tree[2], tree[3]
    d = lower.shape[1]
    for corner in range(2**d):
        for i in range(d):
            y[i] = upper[k, i] if (corner >> i) & 1 else lower[k, i]
        value, rounding = energy(y, x, stiffness, tape, work)
        _better(y, value, rounding, False, p, best, error, place)


@njit(**FAST)
def minimise(
    tape, tree, x, stiffness, closed, tolerance, least_gap, scale, rough, smooth, budget, best, error, place, below, end
):
    """For each x (P, d): best (P,) and its place (P, d), lowered from what they hold, and a lower bound below (P,).

    The gap that is aimed at is `tolerance` of the value and at least least_gap (P,), with `rough` of scale (P,) plus
    the value added in boxes with kinks and `smooth` of it in the others; `budget` is the number of boxes that one x may
    cut. end (P,): how it ended.
    Returns False when the tree is full.
    """
    lower, upper, child, defined, slope, least, most = tree[2], tree[3], tree[1], tree[5], tree[8], tree[9], tree[10]
    d = lower.shape[1]
    work = workspace(tape[0], d)
    stack = np.empty(4096, np.int64)
    y = np.empty(d)
    room = True
    for p in range(x.shape[0]):
        below[p], end[p] = math.inf, SETTLED
        top, cuts = 1, 0
        stack[0] = 0
        while top > 0:
            top -= 1
            k = stack[top]
            low = bound(k, x[p], stiffness, tree)
            size = abs(best[p]) if best[p] < math.inf else 0.0
            slack = least_gap[p] + tolerance * size + 2.0 * error[p]
            slack += (rough if most[k] == math.inf else smooth) * (scale[p] + size)
            if low >= best[p] - slack:
                below[p] = min(below[p], low)
                continue
            if monotone(k, x[p], stiffness, tree, closed):
                continue
            convex, tiny, here, steep = defined[k] and most[k] < math.inf, True, True, False
            for i in range(d):
                convex = convex and least[k, i] + stiffness > 0.0
                here = here and lower[k, i] <= place[p, i] <= upper[k, i]
            if convex:
                for i in range(d):
                    y[i] = place[p, i] if here else _vertex(k, i, x[p, i], stiffness, tree)
                value, rounding, least_there = settle(k, y, x[p], stiffness, slack, tape, tree, work)
                _better(y, value, rounding, True, p, best, error, place)
                size = abs(best[p]) if best[p] < math.inf else 0.0
                slack = least_gap[p] + tolerance * size + 2.0 * max(error[p], rounding) + smooth * (scale[p] + size)
                low = max(low, least_there)
                if low >= min(value, best[p]) - slack:
                    below[p] = min(below[p], low)
                    continue
            if child[k] < 0:
                for i in range(d):
                    middle, width = 0.5 * lower[k, i] + 0.5 * upper[k, i], upper[k, i] - lower[k, i]
                    tiny = tiny and (middle <= lower[k, i] or middle >= upper[k, i] or width < 1e-200)
                    y[i] = _vertex(k, i, x[p, i], stiffness, tree)
                if not convex:
                    value, rounding = energy(y, x[p], stiffness, tape, work)
                    _better(y, value, rounding, False, p, best, error, place)
                for i in range(d):
                    steep = steep or slope[k, i, 0] == -math.inf or slope[k, i, 1] == math.inf
                if tiny or steep:
                    _try_corners(k, x[p], stiffness, tape, tree, work, p, y, best, error, place)
                if tiny:
                    below[p] = min(below[p], max(low, bound(k, x[p], stiffness, tree)))
                    continue
                if cuts >= budget:
                    below[p], end[p] = min(below[p], low), OPEN
                    continue
                if not room or not split(k, tape, tree, work):
                    below[p], end[p], room = min(below[p], low), OPEN, False
                    continue
                cuts += 1
            if top + 2 > stack.shape[0]:
                below[p], end[p] = min(below[p], low), OPEN
                continue
            j = child[k]
            if bound(j, x[p], stiffness, tree) <= bound(j + 1, x[p], stiffness, tree):
                stack[top], stack[top + 1] = j + 1, j
            else:
                stack[top], stack[top + 1] = j, j + 1
            top += 2
        below[p] = min(below[p], best[p])
    return room


@njit(**FAST)
def windows(tape, tree, x, stiffness, level, beta, h, limit, coarse, fine, kept, last):
    """The boxes where H may be below `level` (P,), and whether nodes h (P,) apart see H there.

    fine (P,): H moves by at most limit/beta between nodes, has no kink, and no box had to be cut below the spacing.
    kept (B,): the numbers of boxes no wider than coarse (P,), which do not overlap, those of point p end before
    last[p]. Returns False when the tree or `kept` is full.
    """
    lower, upper, child, slope, most = tree[2], tree[3], tree[1], tree[8], tree[10]
    d = lower.shape[1]
    work = workspace(tape[0], d)
    stack = np.empty(4096, np.int64)
    n = 0
    for p in range(x.shape[0]):
        fine[p] = True
        first = n
        top = 1
        stack[0] = 0
        while top > 0 and fine[p]:
            top -= 1
            k = stack[top]
            if bound(k, x[p], stiffness, tree) > level[p]:
                continue
            rise, width = 0.0, 0.0
            for i in range(d):
                pull = stiffness * max(abs(lower[k, i] - x[p, i]), abs(upper[k, i] - x[p, i]))
                rise += 0.5 * h[p] * (max(abs(slope[k, i, 0]), abs(slope[k, i, 1])) + pull)
                width = max(width, upper[k, i] - lower[k, i])
            seen = beta * min(rise, d * h[p] * h[p] / 8.0 * (most[k] + stiffness)) <= limit and most[k] < math.inf
            if seen and width <= coarse[p]:
                if n >= kept.shape[0]:
                    return False
                kept[n] = k
                n += 1
                continue
            if child[k] < 0:
                if width <= h[p] or top + 2 > stack.shape[0]:
                    fine[p] = False
                    continue
                if not split(k, tape, tree, work):
                    return False
            if top + 2 > stack.shape[0]:
                fine[p] = False
                continue
            stack[top], stack[top + 1] = child[k], child[k] + 1
            top += 2
        n = n if fine[p] else first
        last[p] = n
    return True
