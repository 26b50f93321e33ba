"""H(y) = f(y) + |x - y|²/(2t) at points, f given by its tape, and Newton's method for it in a box where it is convex.

stiffness = 1/t; rounding errors are read off enclosures at points.
"""

import math

import numpy as np
from numba import njit

from pdelab.kernels.boxes import dip, workspace
from pdelab.kernels.intervals import FAST
from pdelab.kernels.operations import ATAN2, SIGN
from pdelab.kernels.tapes import run_at

JUMP = 1e-6  # relative: a value that is known less well is one at a jump
ROUNDED = 1e-13  # the same of values at the jumps that a formula is known to have


@njit(**FAST)
def energy(y, x, stiffness, tape, work):
    """(H(y), half the width of its enclosure, which is its rounding error); infinite where f is not defined.

    At a jump, where the enclosure holds both sides, rounding is not what makes it wide.
    """
    code, left, right, constant, at = tape
    value = work[0]
    run_at(at, code, left, right, constant, y, y, 0, value, work[1], work[2])
    low, high = value[code.shape[0] - 1]
    if not (high < math.inf):
        return math.inf, 0.0
    total = 0.5 * low + 0.5 * high
    for i in range(x.shape[0]):
        total += 0.5 * stiffness * (y[i] - x[i]) ** 2
    known = min(_rounding(low, high, code, left, right, value), JUMP * (1.0 + abs(total)))
    return total, known + 2e-16 * abs(total)


@njit(**FAST)
def _rounding(low, high, code, left, right, value):
    """Half the width of the enclosure of f at a point, at jumps no more than what rounding makes of it elsewhere."""
    half = 0.5 * (high - low)
    return min(half, ROUNDED * (abs(low) + abs(high))) if _jumps(code, left, right, value) else half


@njit(**FAST)
def _jumps(code, left, right, value):
    """Is the point, up to rounding, at a jump of a sign or of an angle?"""
    for k in range(code.shape[0]):
        if code[k] == SIGN or code[k] == ATAN2:
            low, high = value[left[k]]
            if low <= 0.0 <= high and (code[k] == SIGN or value[right[k]][0] < 0.0):
                return True
    return False


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
    code, left, right, constant, at = tape
    value, gradient, hessian = work
    lower, upper, least = tree[2], tree[3], tree[9]
    d, last = x.shape[0], code.shape[0] - 1
    matrix, step, g = np.empty((d, d)), np.empty(d), np.empty(d)
    result, rounding, floor, previous = math.inf, 0.0, -math.inf, math.inf
    for _ in range(30):
        run_at(at, code, left, right, constant, y, y, 2, value, gradient, hessian)
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
        result = 0.5 * low + 0.5 * high + base
        rounding = _rounding(low, high, code, left, right, value) + 4e-16 * base
        below = 0.0
        for i in range(d):
            a, b = gradient[last, i, 0] + stiffness * (y[i] - x[i]), gradient[last, i, 1] + stiffness * (y[i] - x[i])
            bend = least[k, i] + stiffness
            below += min(dip(a, bend, 0.0, upper[k, i] - y[i]), dip(b, bend, lower[k, i] - y[i], 0.0))
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
