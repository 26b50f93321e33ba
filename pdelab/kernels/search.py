"""Branch and bound for H(y) = f(y) + |x - y|²/(2t) over a box, f given by its tape: the global minimum with a bound.

What is known of f over a box (enclosures of value, gradient and curvature) does not depend on x and t: it is kept in a
binary tree of boxes that all x share and that grows only where a minimum may lie. For one x the tree is walked from
the root; a box is dropped when a lower bound of H in it is above the lowest value known, or H is monotone in it, and
it is settled by Newton's method where H is convex.
"""

import math

import numpy as np
from numba import njit

from pdelab.kernels.intervals import FAST, run, taylor

SETTLED, OPEN = 0, 1  # how the search of a point ends: gap closed, budget or room spent


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
    code, left, right, constant = tape
    _, child, lower, upper, floor, defined, centre, slope_there, slope, least, most = tree
    value, gradient, hessian = work
    d, last = lower.shape[1], code.shape[0] - 1
    child[k] = -1
    defined[k] = run(code, left, right, constant, lower[k], upper[k], 2, value, gradient, hessian)
    slope[k] = gradient[last]
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
    middle = 0.5 * lower[k] + 0.5 * upper[k]
    run(code, left, right, constant, middle, middle, 1, value, gradient, hessian)
    centre[k] = value[last]
    slope_there[k] = gradient[last]
    if centre[k, 0] == centre[k, 0]:
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
        lower[j], upper[j] = lower[k], upper[k]
    upper[n, axis] = cut
    lower[n + 1, axis] = cut
    fill(n, tape, tree, work)
    fill(n + 1, tape, tree, work)
    child[k] = n
    count[0] = n + 2
    return True


# ------------------------------------------------------------------------------------------------- bounds


@njit(**FAST)
def _quadratic(slope, bend, low, high):
    """min of slope s + bend s²/2 over [low, high]."""
    ends = min(slope * low + 0.5 * bend * low * low, slope * high + 0.5 * bend * high * high)
    if bend > 0.0:
        s = -slope / bend
        if low < s < high:
            return min(ends, -0.5 * slope * slope / bend)
    return ends


@njit(**FAST)
def bound(k, x, stiffness, tree):
    """A lower bound of H over box k; stiffness = 1/t."""
    _, _, lower, upper, floor, _, centre, slope_there, slope, least, _ = tree
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
        first += base + min(_quadratic(a, stiffness, 0.0, reach), _quadratic(b, stiffness, -reach, 0.0))
        a, b = slope_there[k, i, 0] + pull, slope_there[k, i, 1] + pull
        bend = least[k, i] + stiffness
        second += base + min(_quadratic(a, bend, 0.0, reach), _quadratic(b, bend, -reach, 0.0))
    result = floor[k] + 0.5 * stiffness * far * (1.0 - 1e-15)
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


# ------------------------------------------------------------------------------------------------- points


@njit(**FAST)
def energy(y, x, stiffness, tape, work):
    """(H(y), half the width of its enclosure, which is its rounding error); infinite where f is not defined."""
    code, left, right, constant = tape
    value = work[0]
    run(code, left, right, constant, y, y, 0, value, work[1], work[2])
    low, high = value[code.shape[0] - 1]
    if not (high < math.inf):
        return math.inf, 0.0
    total = 0.5 * low + 0.5 * high
    for i in range(x.shape[0]):
        total += 0.5 * stiffness * (y[i] - x[i]) ** 2
    return total, 0.5 * (high - low) + 2e-16 * abs(total)


@njit(**FAST)
def energies(tape, x, stiffness, y, best, error):
    """H at y (P, d) -> best, with its rounding errors."""
    work = workspace(tape[0], x.shape[1])
    for p in range(x.shape[0]):
        best[p], error[p] = energy(y[p], x[p], stiffness, tape, work)


@njit(**FAST)
def _solve(a, b):
    """Solve a small dense system in place by elimination with the largest pivot."""
    n = b.shape[0]
    for i in range(n):
        pivot = i
        for j in range(i + 1, n):
            if abs(a[j, i]) > abs(a[pivot, i]):
                pivot = j
        if a[pivot, i] == 0.0:
            return False
        for j in range(n):
            a[i, j], a[pivot, j] = a[pivot, j], a[i, j]
        b[i], b[pivot] = b[pivot], b[i]
        for j in range(i + 1, n):
            factor = a[j, i] / a[i, i]
            for m in range(i, n):
                a[j, m] -= factor * a[i, m]
            b[j] -= factor * b[i]
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            b[i] -= a[i, j] * b[j]
        b[i] /= a[i, i]
    return True


@njit(**FAST)
def settle(k, y, x, stiffness, slack, tape, tree, work):
    """Newton's method for H within box k, where H is convex, from y: (H, rounding error, lower bound of H in the box).

    y becomes the last point; it ends at once where the bound is within `slack` of H.
    """
    code, left, right, constant = tape
    value, gradient, hessian = work
    lower, upper, least = tree[2], tree[3], tree[9]
    d, last = x.shape[0], code.shape[0] - 1
    matrix, step, g = np.empty((d, d)), np.empty(d), np.empty(d)
    result, rounding, floor, previous = math.inf, 0.0, -math.inf, math.inf
    for _ in range(30):
        run(code, left, right, constant, y, y, 2, value, gradient, hessian)
        low, high = value[last]
        if not (high < math.inf):
            return math.inf, 0.0, -math.inf
        base, m = 0.0, 0
        for i in range(d):
            z = y[i] - x[i]
            base += 0.5 * stiffness * z * z
            g[i] = 0.5 * (gradient[last, i, 0] + gradient[last, i, 1]) + stiffness * z
            for j in range(i, d):
                matrix[i, j] = 0.5 * (hessian[last, m, 0] + hessian[last, m, 1])
                matrix[j, i] = matrix[i, j]
                m += 1
            matrix[i, i] += stiffness
        result, rounding = 0.5 * low + 0.5 * high + base, 0.5 * (high - low) + 4e-16 * base
        below = 0.0
        for i in range(d):
            a, b = gradient[last, i, 0] + stiffness * (y[i] - x[i]), gradient[last, i, 1] + stiffness * (y[i] - x[i])
            bend = least[k, i] + stiffness
            below += min(_quadratic(a, bend, 0.0, upper[k, i] - y[i]), _quadratic(b, bend, lower[k, i] - y[i], 0.0))
        if low + base + below > floor:
            floor = low + base + below
        if floor >= result - slack and below >= -1e-16 * abs(result):
            return result, rounding, floor
        for i in range(d):
            step[i] = -g[i]
            if not (abs(g[i]) < math.inf):
                return result, rounding, floor
            if (y[i] <= lower[k, i] and g[i] > 0.0) or (y[i] >= upper[k, i] and g[i] < 0.0):
                step[i] = 0.0
                for j in range(d):
                    matrix[i, j] = 0.0
                    matrix[j, i] = 0.0
                matrix[i, i] = 1.0
        if not _solve(matrix, step):
            return result, rounding, floor
        moved = 0.0
        for i in range(d):
            if not (abs(step[i]) < math.inf):
                return result, rounding, floor
            new = min(max(y[i] + step[i], lower[k, i]), upper[k, i])
            moved = max(moved, abs(new - y[i]))
            y[i] = new
        size = 0.0
        for i in range(d):
            size = max(size, abs(y[i]))
        if moved <= 1e-15 * size or moved > 0.9 * previous:
            break
        previous = moved
    other, wide = energy(y, x, stiffness, tape, work)
    return other, max(rounding, wide), floor


# ------------------------------------------------------------------------------------------------- the search


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
        place[p] = y


@njit(**FAST)
def minimise(tape, tree, x, stiffness, closed, tolerance, rough, budget, best, error, place, below, end):
    """For each x (P, d): best (P,) and its place (P, d), lowered from what they hold, and a lower bound below (P,).

    `tolerance` is the gap that is aimed at, absolute and one a point, `rough` what is added to it (relative) in boxes
    with kinks; `budget` is the number of boxes that one x may cut. end (P,): how it ended. Returns False when the tree
    is full.
    """
    lower, upper, child, least, most = tree[2], tree[3], tree[1], tree[9], tree[10]
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
            slack = tolerance[p] + 2.0 * error[p]
            if most[k] == math.inf:
                slack += rough * (1.0 + abs(best[p]))
            if low >= best[p] - slack:
                below[p] = min(below[p], low)
                continue
            if monotone(k, x[p], stiffness, tree, closed):
                continue
            convex, tiny, here = most[k] < math.inf, True, True
            for i in range(d):
                convex = convex and least[k, i] + stiffness > 0.0
                here = here and lower[k, i] <= place[p, i] <= upper[k, i]
            if convex:
                for i in range(d):
                    y[i] = place[p, i] if here else _vertex(k, i, x[p, i], stiffness, tree)
                value, rounding, least_there = settle(k, y, x[p], stiffness, slack, tape, tree, work)
                _better(y, value, rounding, True, p, best, error, place)
                slack = tolerance[p] + 2.0 * max(error[p], rounding)
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
                if tiny:
                    for corner in range(2**d):
                        for i in range(d):
                            y[i] = upper[k, i] if (corner >> i) & 1 else lower[k, i]
                        value, rounding = energy(y, x[p], stiffness, tape, work)
                        _better(y, value, rounding, False, p, best, error, place)
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
def _least_bend(low, high, stiffness, tree):
    """A bound from below of H'' over [low, high] on a line, 0 where what is known of the boxes gives none above it."""
    child, lower, upper, least, most = tree[1], tree[2], tree[3], tree[9], tree[10]
    stack = np.empty(128, np.int64)
    stack[0], top, bend = 0, 1, math.inf
    while top > 0:
        top -= 1
        k = stack[top]
        if upper[k, 0] < low or high < lower[k, 0]:
            continue
        if most[k] < math.inf and least[k, 0] + stiffness > 0.0:
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
                    below = _quadratic(slope[p, 0], bend, low - room - y, high + room - y)
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
    _, child, lower, upper, floor, _, centre, _, _, least, most = tree
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
            below, convex = 0.0, most[k] < math.inf
            for i in range(d):
                bend, y = least[k, i] + stiffness, place[p, i]
                convex = convex and bend > 0.0 and lower[k, i] <= y <= upper[k, i]
                below += _quadratic(slope[p, i], bend, lower[k, i] - y, upper[k, i] - y)
            if convex and below >= -(slack + 2.0 * (centre[k, 1] - centre[k, 0])):
                continue
            if child[k] < 0 or top + 2 > stack.shape[0]:
                certain[p] = False
                break
            stack[top], stack[top + 1] = child[k], child[k] + 1
            top += 2


@njit(**FAST)
def windows(tape, tree, x, stiffness, level, beta, h, limit, coarse, fine, low, high):
    """Where H is below `level` (P,): a box low, high (P, d) for each x, and whether nodes h (P,) apart see H there.

    fine (P,): H moves by at most limit/beta between nodes, has no kink, and no box had to be cut below the spacing.
    The hull is made of boxes no wider than coarse (P,). Returns False when the tree is full.
    """
    lower, upper, child, slope, most = tree[2], tree[3], tree[1], tree[8], tree[10]
    d = lower.shape[1]
    work = workspace(tape[0], d)
    stack = np.empty(4096, np.int64)
    for p in range(x.shape[0]):
        fine[p] = True
        low[p], high[p] = math.inf, -math.inf
        top = 1
        stack[0] = 0
        while top > 0 and fine[p]:
            top -= 1
            k = stack[top]
            if bound(k, x[p], stiffness, tree) > level[p]:
                continue
            rise, width, within = 0.0, 0.0, True
            for i in range(d):
                pull = stiffness * max(abs(lower[k, i] - x[p, i]), abs(upper[k, i] - x[p, i]))
                rise += 0.5 * h[p] * (max(abs(slope[k, i, 0]), abs(slope[k, i, 1])) + pull)
                width = max(width, upper[k, i] - lower[k, i])
                within = within and low[p, i] <= lower[k, i] and upper[k, i] <= high[p, i]
            seen = beta * min(rise, d * h[p] * h[p] / 8.0 * (most[k] + stiffness)) <= limit and most[k] < math.inf
            if seen and (within or width <= coarse[p]):
                for i in range(d):
                    low[p, i], high[p, i] = min(low[p, i], lower[k, i]), max(high[p, i], upper[k, i])
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
    return True


@njit(**FAST)
def lattices(first, counts, h, places):
    """The nodes first[p] + h[p] (i, j, k) of lattices of counts[p] nodes, one after the other: places (N, d)."""
    n, d = 0, first.shape[1]
    for p in range(first.shape[0]):
        last, middle = counts[p, d - 1], counts[p, d - 2] if d > 1 else 1
        size = 1
        for i in range(d):
            size *= counts[p, i]
        for m in range(size):
            places[n, d - 1] = first[p, d - 1] + h[p] * (m % last)
            if d > 1:
                places[n, d - 2] = first[p, d - 2] + h[p] * ((m // last) % middle)
            if d > 2:
                places[n, 0] = first[p, 0] + h[p] * (m // (last * middle))
            n += 1


@njit(**FAST)
def moments(values, places, size, x, anchor, lowest, stiffness, beta, sums):
    """Sums over lattices, one after the other, of w = exp(-beta (H - lowest)), w z and the upper triangle of w z z'.

    H = f + |place - x|² stiffness/2, z = place - anchor; size (P,) nodes each; sums (P, 1 + d + d (d + 1)/2).
    """
    d, n = x.shape[1], 0
    z = np.empty(d)
    for p in range(size.shape[0]):
        sums[p] = 0.0
        for _ in range(size[p]):
            far = 0.0
            for i in range(d):
                z[i] = places[n, i] - anchor[p, i]
                far += (places[n, i] - x[p, i]) ** 2
            exponent = -beta * (values[n] - lowest[p] + 0.5 * stiffness * far)
            n += 1
            if exponent > -60.0:
                w = math.exp(exponent)
                sums[p, 0] += w
                m = 1 + d
                for i in range(d):
                    sums[p, 1 + i] += w * z[i]
                    for j in range(i, d):
                        sums[p, m] += w * z[i] * z[j]
                        m += 1


@njit(**FAST)
def floors(tape, tree, owner, x, stiffness, gap, floor, dips):
    """For box k of the tree and x[owner[k]]: a lower bound of H, and by axis how far H may move between two nodes.

    gap: the largest distance of neighbouring nodes along an axis, as a share of the box's width.
    """
    lower, upper, slope, most = tree[2], tree[3], tree[8], tree[10]
    work = workspace(tape[0], lower.shape[1])
    for k in range(owner.shape[0]):
        p = owner[k]
        fill(k, tape, tree, work)
        floor[k] = bound(k, x[p], stiffness, tree)
        for i in range(lower.shape[1]):
            h = gap * (upper[k, i] - lower[k, i])
            pull = stiffness * max(abs(lower[k, i] - x[p, i]), abs(upper[k, i] - x[p, i]))
            rise = 0.5 * h * (max(abs(slope[k, i, 0]), abs(slope[k, i, 1])) + pull)
            dips[k, i] = min(min(rise, h * h / 8.0 * (most[k] + stiffness)), 1e300)
