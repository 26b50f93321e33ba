"""Interval arithmetic of second order on the tape of a formula: enclosures of value, gradient and Hessian over boxes.

A tape is a list of instructions, one value each: an operation, the numbers of its arguments and a constant. Every
result is widened outwards by more than its rounding error, and what is undefined is left out: an enclosure holds for
all points of the box where the function is defined, kinks included (generalised derivatives: between one-sided
slopes; the second derivative of a convex kink is [0, inf]).
"""

import math

import numpy as np
from numba import njit

CONSTANT, VARIABLE, ADD, MULTIPLY, POWER, WHOLE_POWER, MAXIMUM, HYPOT, LOG_ADD_EXP, ATAN2 = range(10)
UNARY = ("exp", "log", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
         "erf", "erfc", "abs", "sign")  # fmt: skip
FIRST_UNARY = 10
EXP, LOG, SIN, COS, TAN, ASIN, ACOS, ATAN, SINH, COSH, TANH, ASINH, ACOSH, ATANH, ERF, ERFC, ABS, SIGN = range(10, 28)
HUGE = 1.7976931348623157e308
FAST = {"cache": True, "nogil": True, "error_model": "numpy"}


# ------------------------------------------------------------------------------------------------- numbers


@njit(**FAST)
def down(x, rounding=2.3e-16):
    """A bit below x; an overflow is a finite number again."""
    if x > HUGE:
        return HUGE
    return x - rounding * abs(x) - 5e-324


@njit(**FAST)
def up(x, rounding=2.3e-16):
    """A bit above x."""
    if x < -HUGE:
        return -HUGE
    return x + rounding * abs(x) + 5e-324


@njit(**FAST)
def times(a, b):
    """[a] [b], with 0 times infinity 0."""
    a0, a1 = a
    b0, b1 = b
    if (a0 == 0.0 and a1 == 0.0) or (b0 == 0.0 and b1 == 0.0):
        return 0.0, 0.0
    p, q, r, s = a0 * b0, a0 * b1, a1 * b0, a1 * b1
    p = 0.0 if (a0 == 0.0 or b0 == 0.0) else p
    q = 0.0 if (a0 == 0.0 or b1 == 0.0) else q
    r = 0.0 if (a1 == 0.0 or b0 == 0.0) else r
    s = 0.0 if (a1 == 0.0 or b1 == 0.0) else s
    low, high = down(min(min(p, q), min(r, s))), up(max(max(p, q), max(r, s)))
    if (a0 >= 0.0 and b0 >= 0.0) or (a1 <= 0.0 and b1 <= 0.0):
        low = max(low, 0.0)
    elif (a0 >= 0.0 and b1 <= 0.0) or (a1 <= 0.0 and b0 >= 0.0):
        high = min(high, 0.0)
    return low, high


@njit(**FAST)
def plus(a, b):
    """[a] + [b]; adding an exact zero changes nothing."""
    if a[0] == 0.0 and a[1] == 0.0:
        return b
    if b[0] == 0.0 and b[1] == 0.0:
        return a
    return down(a[0] + b[0]), up(a[1] + b[1])


@njit(**FAST)
def negative(a):
    return -a[1], -a[0]


@njit(**FAST)
def square(a):
    """[a]²."""
    low, high = abs(a[0]), abs(a[1])
    if low > high:
        low, high = high, low
    if a[0] <= 0.0 <= a[1]:
        low = 0.0
    return max(down(low * low), 0.0), up(high * high) if high > 0.0 else 0.0


@njit(**FAST)
def meet(a, b):
    """The common part of two enclosures of the same number."""
    return max(a[0], b[0]), min(a[1], b[1])


@njit(**FAST)
def _wide(low, high):
    """An increasing libm function's values at both ends, widened by more than its error."""
    return down(low, 1e-15), up(high, 1e-15)


@njit(**FAST)
def real_power(a, exponent):
    """[a]^p for a >= 0 (what is below is left out) and any real p."""
    low, high = max(a[0], 0.0), a[1]
    if high < 0.0:
        return math.nan, math.nan
    if exponent == 0.0:
        return 1.0, 1.0
    if exponent == 0.5:
        first, last = math.sqrt(low), math.sqrt(high)
    elif exponent > 0.0:
        first, last = low**exponent, high**exponent
    else:
        first = 0.0 if high > HUGE else (high**exponent if high > 0.0 else math.inf)
        last = low**exponent if low > 0.0 else math.inf
    return max(down(first, 2e-15), 0.0), 0.0 if last == 0.0 and low == high == 0.0 else up(last, 2e-15)


@njit(**FAST)
def whole_power(a, n):
    """[a]^n for a whole number n."""
    if n == 0:
        return 1.0, 1.0
    return reciprocal(_natural_power(a, -n)) if n < 0 else _natural_power(a, n)


@njit(**FAST)
def _natural_power(a, n):
    if n == 1:
        return a
    if n == 2:
        return square(a)
    low, high = a
    even = n % 2 == 0
    if low >= 0.0:
        first, last = low**n, high**n
    elif high <= 0.0 and even:
        first, last = (-high) ** n, (-low) ** n
    elif even:
        first, last = 0.0, max(-low, high) ** n
    else:
        first = -((-low) ** n)
        last = high**n if high >= 0.0 else -((-high) ** n)
    first, last = down(first, 2e-15), up(last, 2e-15)
    return (max(first, 0.0) if even or a[0] >= 0.0 else first), last


@njit(**FAST)
def reciprocal(a):
    """1/[a]; all numbers of that sign, or all, where a contains 0."""
    low, high = a
    if low == 0.0 and high == 0.0:
        return -math.inf, math.inf
    if low > 0.0 or high < 0.0:
        return down(1.0 / high), up(1.0 / low)
    if low == 0.0:
        return max(down(1.0 / high), 0.0), math.inf
    if high == 0.0:
        return -math.inf, min(up(1.0 / low), 0.0)
    return -math.inf, math.inf


@njit(**FAST)
def sine(a):
    """sin [a]."""
    low, high = a
    if not (high - low < 6.283185307179586) or abs(low) > 1e8 or abs(high) > 1e8:
        return -1.0, 1.0
    first, last = math.sin(low), math.sin(high)
    least, most = down(min(first, last), 1e-15), up(max(first, last), 1e-15)
    turn = 6.283185307179586
    slack = 1e-15 * (1.0 + max(abs(low), abs(high)))
    if math.floor((high + slack - 0.25 * turn) / turn) >= math.ceil((low - slack - 0.25 * turn) / turn):
        most = 1.0
    if math.floor((high + slack + 0.25 * turn) / turn) >= math.ceil((low - slack + 0.25 * turn) / turn):
        least = -1.0
    return max(least, -1.0), min(most, 1.0)


@njit(**FAST)
def cosine(a):
    """cos [a] = sin([a] + pi/2)."""
    shift = 1.5707963267948966
    if a[0] == a[1] and abs(a[0]) <= 1e8:
        value = math.cos(a[0])
        return max(down(value, 1e-15), -1.0), min(up(value, 1e-15), 1.0)
    return sine((down(a[0] + shift), up(a[1] + shift)))


@njit(**FAST)
def _even_decreasing(a, kind):
    """An even function that decreases away from 0: sech² (0), 1/(1 + u²) (1), its root (2), exp(-u²) (3)."""
    low, high = abs(a[0]), abs(a[1])
    if low > high:
        low, high = high, low
    if a[0] <= 0.0 <= a[1]:
        low = 0.0
    if kind == 0:
        first, last = 1.0 / math.cosh(high) ** 2, 1.0 / math.cosh(low) ** 2
    elif kind == 1:
        first, last = 1.0 / (1.0 + high * high), 1.0 / (1.0 + low * low)
    elif kind == 2:
        first, last = 1.0 / math.sqrt(1.0 + high * high), 1.0 / math.sqrt(1.0 + low * low)
    else:
        first, last = math.exp(-high * high), math.exp(-low * low)
    return max(down(first, 2e-15), 0.0), up(last, 2e-15)


@njit(**FAST)
def _bounded(a, bound):
    return max(a[0], -bound), min(a[1], bound)


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
        v = _wide(math.tan(low), math.tan(high))
        p = plus((1.0, 1.0), square(v))
        return v, p, times((2.0, 2.0), times(v, p))
    if code in (ASIN, ACOS):
        if high < -1.0 or low > 1.0:
            return NOTHING, ALL, ALL
        u = (max(low, -1.0), min(high, 1.0))
        p = real_power(plus((1.0, 1.0), negative(square(u))), -0.5)
        q = times(u, whole_power(p, 3))
        if code == ASIN:
            return _wide(math.asin(u[0]), math.asin(u[1])), p, q
        return _wide(math.acos(u[1]), math.acos(u[0])), negative(p), negative(q)
    if code == ATAN:
        p = _even_decreasing(a, 1)
        q = _bounded(times((-2.0, -2.0), times(a, square(p))), 0.6495190528383291)
        return _wide(math.atan(low), math.atan(high)), p, q
    if code in (SINH, COSH):
        s = _wide(math.sinh(low), math.sinh(high))
        first, last = math.cosh(low), math.cosh(high)
        c = (1.0 if low <= 0.0 <= high else max(down(min(first, last), 1e-15), 1.0), up(max(first, last), 1e-15))
        return (s, c, s) if code == SINH else (c, s, c)
    if code == TANH:
        v = _bounded(_wide(math.tanh(low), math.tanh(high)), 1.0)
        p = _even_decreasing(a, 0)
        return v, p, _bounded(times((-2.0, -2.0), times(v, p)), 0.7698003589195011)
    if code == ASINH:
        p = _even_decreasing(a, 2)
        q = _bounded(negative(times(a, whole_power(p, 3))), 0.3849001794597507)
        return _wide(math.asinh(low), math.asinh(high)), p, q
    if code == ACOSH:
        if high < 1.0:
            return NOTHING, ALL, ALL
        u = (max(low, 1.0), high)
        p = real_power(plus(square(u), (-1.0, -1.0)), -0.5)
        return _wide(math.acosh(u[0]), math.acosh(u[1])), p, negative(times(u, whole_power(p, 3)))
    if code == ATANH:
        if high < -1.0 or low > 1.0:
            return NOTHING, ALL, ALL
        u = (max(low, -1.0), min(high, 1.0))
        p = reciprocal(meet((0.0, 1.0), plus((1.0, 1.0), negative(square(u)))))
        return _wide(math.atanh(u[0]), math.atanh(u[1])), p, times((2.0, 2.0), times(u, square(p)))
    if code in (ERF, ERFC):
        p = times((1.1283791670955126, 1.1283791670955126), _even_decreasing(a, 3))
        q = _bounded(times((-2.0, -2.0), times(a, p)), 0.9678828980765736)
        if code == ERF:
            return _wide(math.erf(low), math.erf(high)), p, q
        v = (max(down(math.erfc(high), 1e-14), 0.0), up(math.erfc(low), 1e-14))
        return v, negative(p), negative(q)
    inside = low < 0.0 < high or (low != high and (low == 0.0 or high == 0.0)) or (low == 0.0 and high == 0.0)
    sign = (-1.0, 1.0) if inside else ((1.0, 1.0) if low > 0.0 else (-1.0, -1.0))
    if code == ABS:
        least = 0.0 if low <= 0.0 <= high else min(abs(low), abs(high))
        return (least, max(abs(low), abs(high))), sign, (0.0, math.inf if inside else 0.0)
    return sign, (0.0, math.inf if inside else 0.0), ALL if inside else (0.0, 0.0)


# ------------------------------------------------------------------------------------------------- the tape


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
            defined = defined and _inside(c, b, u)
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
def _inside(code, n, a):
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
        pa, pb = _bounded(times(u, inverse), 1.0), _bounded(times(w, inverse), 1.0)
        if v[1] == 0.0:
            pa, pb = (-1.0, 1.0), (-1.0, 1.0)
        paa, pbb = times(square(pb), inverse), times(square(pa), inverse)
        pab = negative(times(times(pa, pb), inverse))
    else:
        v, pa, pb, paa, pab, pbb = _angle(u, w)
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
def _angle(y, x):
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
    return _wide(low, high), pa, pb, negative(mixed), pab, mixed


# --------------------------------------------------------------------------------------------- many boxes


@njit(**FAST)
def enclose(code, left, right, constant, lower, upper, order, value, slope, bend):
    """Enclosures over boxes lower, upper (N, d): value (N, 2), and of order > 0 slope (N, d, 2), bend (N, m, 2)."""
    n, d = code.shape[0], lower.shape[1]
    v, g, h = np.empty((n, 2)), np.empty((n, d, 2)), np.empty((n, d * (d + 1) // 2, 2))
    middle = np.empty(d)
    for k in range(lower.shape[0]):
        run(code, left, right, constant, lower[k], upper[k], order, v, g, h)
        value[k] = v[n - 1]
        if order == 0:
            continue
        slope[k], bend[k] = g[n - 1], h[n - 1]
        for i in range(d):
            middle[i] = 0.5 * lower[k, i] + 0.5 * upper[k, i]
        if np.all(np.isfinite(middle)):
            run(code, left, right, constant, middle, middle, 1, v, g, h)
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
