"""The operations of a tape: their codes, and functions of intervals with their first and second derivatives.

What is undefined is left out; at kinks derivatives are generalised: between one-sided slopes, and the second
derivative of a convex kink is [0, inf].
"""

import math

from numba import njit

from pdelab.kernels.intervals import (
    FAST,
    bounded,
    cosine,
    down,
    even_decreasing,
    meet,
    negative,
    plus,
    real_power,
    reciprocal,
    sine,
    square,
    times,
    up,
    whole_power,
    wide,
)

CONSTANT, VARIABLE, ADD, MULTIPLY, POWER, WHOLE_POWER, MAXIMUM, HYPOT, LOG_ADD_EXP, ATAN2 = range(10)
UNARY = ("exp", "log", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
         "erf", "erfc", "abs", "sign")  # fmt: skip
FIRST_UNARY = 10
EXP, LOG, SIN, COS, TAN, ASIN, ACOS, ATAN, SINH, COSH, TANH, ASINH, ACOSH, ATANH, ERF, ERFC, ABS, SIGN = range(10, 28)
NOTHING = (math.nan, math.nan)
ALL = (-math.inf, math.inf)


@njit(**FAST)
def unary(code, a):
    """(value, first, second derivative) of an elementary function over [a]."""
    low, high = a
    if code == EXP:
        v = (max(down(math.exp(low), 1e-15), 0.0), up(math.exp(high), 1e-15))
        return v, v, v
    if code == LOG:
        if not high > 0.0:
            return NOTHING, ALL, ALL
        low = max(low, 0.0)
        v = (down(math.log(low), 1e-15) if low > 0.0 else -math.inf, up(math.log(high), 1e-15))
        p = reciprocal((low, high))
        return v, p, negative(square(p))
    if code in (SIN, COS):
        s, c = sine(a), cosine(a)
        return (s, c, negative(s)) if code == SIN else (c, negative(s), negative(c))
    if code == TAN:
        c = cosine(a)
        if c[0] <= 0.0 <= c[1]:
            return ALL, (1.0, math.inf), ALL
        v = wide(math.tan(low), math.tan(high))
        p = plus((1.0, 1.0), square(v))
        return v, p, times((2.0, 2.0), times(v, p))
    if code in (ASIN, ACOS):
        if high < -1.0 or low > 1.0:
            return NOTHING, ALL, ALL
        u = (max(low, -1.0), min(high, 1.0))
        p = real_power(plus((1.0, 1.0), negative(square(u))), -0.5)
        q = times(u, whole_power(p, 3))
        if code == ASIN:
            return wide(math.asin(u[0]), math.asin(u[1])), p, q
        return wide(math.acos(u[1]), math.acos(u[0])), negative(p), negative(q)
    if code == ATAN:
        p = even_decreasing(a, 1)
        q = bounded(times((-2.0, -2.0), times(a, square(p))), 0.6495190528383291)
        return wide(math.atan(low), math.atan(high)), p, q
    if code in (SINH, COSH):
        s = wide(math.sinh(low), math.sinh(high))
        first, last = math.cosh(low), math.cosh(high)
        c = (1.0 if low <= 0.0 <= high else max(down(min(first, last), 1e-15), 1.0), up(max(first, last), 1e-15))
        return (s, c, s) if code == SINH else (c, s, c)
    if code == TANH:
        v = bounded(wide(math.tanh(low), math.tanh(high)), 1.0)
        p = even_decreasing(a, 0)
        return v, p, bounded(times((-2.0, -2.0), times(v, p)), 0.7698003589195011)
    if code == ASINH:
        p = even_decreasing(a, 2)
        q = bounded(negative(times(a, whole_power(p, 3))), 0.3849001794597507)
        return wide(math.asinh(low), math.asinh(high)), p, q
    if code == ACOSH:
        if high < 1.0:
            return NOTHING, ALL, ALL
        u = (max(low, 1.0), high)
        p = real_power(plus(square(u), (-1.0, -1.0)), -0.5)
        return wide(math.acosh(u[0]), math.acosh(u[1])), p, negative(times(u, whole_power(p, 3)))
    if code == ATANH:
        if high < -1.0 or low > 1.0:
            return NOTHING, ALL, ALL
        u = (max(low, -1.0), min(high, 1.0))
        p = reciprocal(meet((0.0, 1.0), plus((1.0, 1.0), negative(square(u)))))
        return wide(math.atanh(u[0]), math.atanh(u[1])), p, times((2.0, 2.0), times(u, square(p)))
    if code in (ERF, ERFC):
        p = times((1.1283791670955126, 1.1283791670955126), even_decreasing(a, 3))
        q = bounded(times((-2.0, -2.0), times(a, p)), 0.9678828980765736)
        if code == ERF:
            return wide(math.erf(low), math.erf(high)), p, q
        v = (max(down(math.erfc(high), 1e-14), 0.0), up(math.erfc(low), 1e-14))
        return v, negative(p), negative(q)
    inside = low < 0.0 < high or (low != high and (low == 0.0 or high == 0.0)) or (low == 0.0 and high == 0.0)
    sign = (-1.0, 1.0) if inside else ((1.0, 1.0) if low > 0.0 else (-1.0, -1.0))
    if code == ABS:
        least = 0.0 if low <= 0.0 <= high else min(abs(low), abs(high))
        return (least, max(abs(low), abs(high))), sign, (0.0, math.inf if inside else 0.0)
    return sign, (0.0, math.inf if inside else 0.0), ALL if inside else (0.0, 0.0)


@njit(**FAST)
def inside(code, n, a):
    """Is a function of one argument defined all over [a]?"""
    if code == LOG:
        return a[0] > 0.0
    if code == POWER:
        return a[0] >= 0.0
    if code == WHOLE_POWER:
        return n >= 0 or a[0] > 0.0 or a[1] < 0.0
    if code in (ASIN, ACOS):
        return a[0] >= -1.0 and a[1] <= 1.0
    if code == ATANH:
        return a[0] > -1.0 and a[1] < 1.0
    if code == ACOSH:
        return a[0] >= 1.0
    if code == TAN:
        c = cosine(a)
        return c[0] > 0.0 or c[1] < 0.0
    return True


@njit(**FAST)
def angle(y, x):
    """atan2(y, x) and its partial derivatives; everything where the box touches the cut or the origin."""
    pi = 3.1415926535897936
    r2 = plus(square(x), square(y))
    if r2[0] <= 0.0 or (x[0] <= 0.0 and y[0] <= 0.0 <= y[1]):
        return (-pi, pi), ALL, ALL, ALL, ALL, ALL
    low, high = pi, -pi
    for i in range(2):
        for j in range(2):
            angle = math.atan2(y[i], x[j])
            low, high = min(low, angle), max(high, angle)
    s = reciprocal(r2)
    pa, pb = times(x, s), negative(times(y, s))
    mixed = times((2.0, 2.0), times(times(x, y), square(s)))
    pab = times(plus(square(y), negative(square(x))), square(s))
    return wide(low, high), pa, pb, negative(mixed), pab, mixed
