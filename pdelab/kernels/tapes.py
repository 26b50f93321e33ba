"""The interpreter of a formula's tape: enclosures of value, gradient and Hessian over boxes.

A tape is a list of instructions, one value each: an operation, the numbers of its arguments and a constant. An
enclosure holds at all points of the box where the function is defined, kinks included.
"""

import math

import numpy as np
from numba import float64, int64, njit, types

from pdelab.kernels.calls import address_of, by_address
from pdelab.kernels.intervals import (
    FAST,
    bounded,
    down,
    meet,
    negative,
    plus,
    real_power,
    reciprocal,
    square,
    times,
    up,
    whole_power,
)
from pdelab.kernels.operations import (
    ADD,
    CONSTANT,
    FIRST_UNARY,
    HYPOT,
    LOG_ADD_EXP,
    MAXIMUM,
    MULTIPLY,
    POWER,
    VARIABLE,
    WHOLE_POWER,
    angle,
    inside,
    unary,
)


@njit(**FAST)
def run(code, left, right, constant, lower, upper, order, value, slope, bend):
    """Enclosures over one box after every instruction: value (n, 2), slope (n, d, 2), bend (n, d (d + 1)/2, 2).

    Returns whether the function is surely defined everywhere in the box.
    """
    d, defined = lower.shape[0], True
    for k in range(code.shape[0]):
        c, a, b = code[k], left[k], right[k]
        if c <= VARIABLE:
            value[k, 0] = constant[k] if c == CONSTANT else lower[a]
            value[k, 1] = constant[k] if c == CONSTANT else upper[a]
            if order > 0:
                slope[k] = 0.0
                bend[k] = 0.0
                if c == VARIABLE:
                    slope[k, a] = 1.0
        elif c == ADD:
            value[k, 0], value[k, 1] = plus((value[a, 0], value[a, 1]), (value[b, 0], value[b, 1]))
            if order > 0:
                for i in range(d):
                    slope[k, i, 0], slope[k, i, 1] = plus(
                        (slope[a, i, 0], slope[a, i, 1]), (slope[b, i, 0], slope[b, i, 1])
                    )
                for i in range(bend.shape[1]):
                    bend[k, i, 0], bend[k, i, 1] = plus((bend[a, i, 0], bend[a, i, 1]), (bend[b, i, 0], bend[b, i, 1]))
        elif c >= FIRST_UNARY or c in (POWER, WHOLE_POWER):
            u = (value[a, 0], value[a, 1])
            defined = defined and inside(c, b, u)
            if c == POWER:
                e = constant[k]
                v = real_power(u, e)
                if order > 0:
                    p = times((e, e), real_power(u, e - 1.0))
                    q = times((e * (e - 1.0), e * (e - 1.0)), real_power(u, e - 2.0))
            elif c == WHOLE_POWER:
                n = right[k]
                v = whole_power(u, n)
                if order > 0:
                    p = times((float(n), float(n)), whole_power(u, n - 1))
                    q = times((n * (n - 1.0), n * (n - 1.0)), whole_power(u, n - 2))
            else:
                v, p, q = unary(c, u)
            value[k, 0], value[k, 1] = v
            if order > 0:
                _chain(k, a, p, q, d, slope, bend)
        else:
            _binary(k, c, a, b, d, order, value, slope, bend)
    return defined


@njit(**FAST)
def _chain(k, a, p, q, d, slope, bend):
    """The chain rule for one argument."""
    m = 0
    for i in range(d):
        g = (slope[a, i, 0], slope[a, i, 1])
        slope[k, i, 0], slope[k, i, 1] = times(p, g)
        for j in range(i, d):
            pair = square(g) if i == j else times(g, (slope[a, j, 0], slope[a, j, 1]))
            bend[k, m, 0], bend[k, m, 1] = plus(times(p, (bend[a, m, 0], bend[a, m, 1])), times(q, pair))
            m += 1


_LINE, _NUMBERS = types.Array(int64, 1, "C"), types.Array(float64, 1, "C")
_RUN = (_LINE, _LINE, _LINE, _NUMBERS, _NUMBERS, _NUMBERS, int64, *(types.Array(float64, k, "C") for k in (2, 3, 3)))
run_at = by_address(types.boolean, _RUN)  # (address, *arguments of run)


def run_address():
    """Of `run`, for `run_at`: searches call the interpreter, and hold no copy of it."""
    return address_of(run, _RUN)


@njit(**FAST)
def _binary(k, c, a, b, d, order, value, slope, bend):
    """Functions of two arguments: value, partial derivatives, chain rule."""
    u, w = (value[a, 0], value[a, 1]), (value[b, 0], value[b, 1])
    one, zero = (1.0, 1.0), (0.0, 0.0)
    pa, pb, paa, pab, pbb = zero, zero, zero, zero, zero
    convex = False
    if c == MULTIPLY:
        v = square(u) if a == b else times(u, w)
        pa, pb, pab = w, u, one
    elif c in (MAXIMUM, LOG_ADD_EXP):
        gap = (down(u[0] - w[1]), up(u[1] - w[0]))
        if c == MAXIMUM:
            v = (max(u[0], w[0]), max(u[1], w[1]))
            pa = (1.0 if u[0] > w[1] else 0.0, 0.0 if u[1] < w[0] else 1.0)
            paa = (0.0, math.inf if pa[0] != pa[1] else 0.0)
        else:
            v = (down(np.logaddexp(u[0], w[0]), 2e-15), up(np.logaddexp(u[1], w[1]), 2e-15))
            pa = (max(down(1.0 / (1.0 + math.exp(-gap[0])), 2e-15), 0.0), up(1.0 / (1.0 + math.exp(-gap[1])), 2e-15))
            least = min(pa[0] * (1.0 - pa[0]), pa[1] * (1.0 - pa[1]))
            most = 0.25 if gap[0] <= 0.0 <= gap[1] else max(pa[0] * (1.0 - pa[0]), pa[1] * (1.0 - pa[1]))
            paa = (max(down(least, 1e-14) - 1e-15, 0.0), most + 1e-15)
        convex = True
    elif c == HYPOT:
        v = real_power(plus(square(u), square(w)), 0.5)
        inverse = reciprocal(v) if v[1] > 0.0 else (0.0, math.inf)
        pa, pb = bounded(times(u, inverse), 1.0), bounded(times(w, inverse), 1.0)
        if v[1] == 0.0:
            pa, pb = (-1.0, 1.0), (-1.0, 1.0)
        paa, pbb = times(square(pb), inverse), times(square(pa), inverse)
        pab = negative(times(times(pa, pb), inverse))
        if not v[0] > 0.0:  # the kink at the origin, also where one argument is 0 all over the box
            paa, pbb, pab = (0.0, math.inf), (0.0, math.inf), (-math.inf, math.inf)
    else:
        v, pa, pb, paa, pab, pbb = angle(u, w)
    value[k, 0], value[k, 1] = v
    if order == 0:
        return
    m = 0
    for i in range(d):
        ga, gb = (slope[a, i, 0], slope[a, i, 1]), (slope[b, i, 0], slope[b, i, 1])
        if convex:
            slope[k, i, 0], slope[k, i, 1] = plus(gb, times(pa, plus(ga, negative(gb))))
            if pa[0] == 1.0:
                slope[k, i, 0], slope[k, i, 1] = ga
        else:
            slope[k, i, 0], slope[k, i, 1] = plus(times(pa, ga), times(pb, gb))
        for j in range(i, d):
            ha, hb = (bend[a, m, 0], bend[a, m, 1]), (bend[b, m, 0], bend[b, m, 1])
            fa, fb = (slope[a, j, 0], slope[a, j, 1]), (slope[b, j, 0], slope[b, j, 1])
            if convex:
                first = plus(ga, negative(gb))
                pair = square(first) if i == j else times(first, plus(fa, negative(fb)))
                mixed = ha if pa[0] == 1.0 else plus(hb, times(pa, plus(ha, negative(hb))))
                bend[k, m, 0], bend[k, m, 1] = plus(mixed, times(paa, pair))
            else:
                total = plus(times(pa, ha), times(pb, hb))
                total = plus(total, times(paa, square(ga) if i == j else times(ga, fa)))
                total = plus(total, times(pbb, square(gb) if i == j else times(gb, fb)))
                total = plus(total, times(pab, plus(times(ga, fb), times(gb, fa))))
                bend[k, m, 0], bend[k, m, 1] = total
            m += 1


@njit(**FAST)
def put(target, source):
    """target[...] = source of one shape (n, 2), without the words of an error that NumPy has for others."""
    for i in range(target.shape[0]):
        target[i, 0], target[i, 1] = source[i, 0], source[i, 1]


@njit(**FAST)
def enclose(code, left, right, constant, at, lower, upper, order, value, slope, bend):
    """Enclosures over boxes lower, upper (N, d): value (N, 2), and of order > 0 slope (N, d, 2), bend (N, m, 2)."""
    n, d = code.shape[0], lower.shape[1]
    v, g, h = np.empty((n, 2)), np.empty((n, d, 2)), np.empty((n, d * (d + 1) // 2, 2))
    middle = np.empty(d)
    for k in range(lower.shape[0]):
        finite = run_at(at, code, left, right, constant, lower[k], upper[k], order, v, g, h)  # else no expansion holds
        value[k, 0], value[k, 1] = v[n - 1, 0], v[n - 1, 1]
        if order == 0:
            continue
        put(slope[k], g[n - 1])
        put(bend[k], h[n - 1])
        for i in range(d):
            middle[i] = 0.5 * lower[k, i] + 0.5 * upper[k, i]
            finite = finite and abs(middle[i]) < math.inf
        if finite:
            run_at(at, code, left, right, constant, middle, middle, 1, v, g, h)
            low, high = taylor(v[n - 1], g[n - 1], slope[k], bend[k], middle, lower[k], upper[k])
            if low <= high:
                value[k, 0], value[k, 1] = max(value[k, 0], low), min(value[k, 1], high)


@njit(**FAST)
def taylor(v, g, slope, bend, middle, lower, upper):
    """The value over a box by the mean-value theorem and by Taylor's formula around its middle, the better of both."""
    d = middle.shape[0]
    first, second = (v[0], v[1]), (v[0], v[1])
    m = 0
    for i in range(d):
        s = (down(lower[i] - middle[i]), up(upper[i] - middle[i]))
        first = plus(first, times((slope[i, 0], slope[i, 1]), s))
        second = plus(second, times((g[i, 0], g[i, 1]), s))
        for j in range(i, d):
            h = (bend[m, 0], bend[m, 1])
            if i == j:
                second = plus(second, times((0.5, 0.5), times(h, square(s))))
            else:
                second = plus(second, times(h, times(s, (down(lower[j] - middle[j]), up(upper[j] - middle[j])))))
            m += 1
    return meet(first, second)
