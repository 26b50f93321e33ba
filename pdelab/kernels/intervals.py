"""Interval arithmetic: sums, products, powers and waves of intervals (low, high) of floats.

Every result is widened outwards by more than its rounding error: it holds all values over all numbers of the
arguments at which the operation is defined.
"""

import math

from numba import njit

TURN = 2.0 * math.pi
HUGE = 1.7976931348623157e308
FAST = {"cache": True, "nogil": True, "error_model": "numpy"}


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
    """-[a]."""
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
def bounded(a, bound):
    """The part of [a] within [-bound, bound]."""
    return max(a[0], -bound), min(a[1], bound)


@njit(**FAST)
def wide(low, high):
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
    if not (high - low < TURN) or abs(low) > 1e8 or abs(high) > 1e8:
        return -1.0, 1.0
    return _between_crests(low, high, math.sin(low), math.sin(high), 0.25)


@njit(**FAST)
def cosine(a):
    """cos [a]."""
    low, high = a
    if not (high - low < TURN) or abs(low) > 1e8 or abs(high) > 1e8:
        return -1.0, 1.0
    return _between_crests(low, high, math.cos(low), math.cos(high), 0.0)


@njit(**FAST)
def _between_crests(low, high, first, last, crest):
    """A wave with maxima at crest + k turns and minima half a turn off, from its values at the ends."""
    slack = 1e-15 * (1.0 + max(abs(low), abs(high)))
    begin, end = (low - slack) / TURN - crest, (high + slack) / TURN - crest
    most = 1.0 if math.floor(end) >= math.ceil(begin) else min(up(max(first, last), 1e-15), 1.0)
    least = -1.0 if math.floor(end + 0.5) >= math.ceil(begin + 0.5) else max(down(min(first, last), 1e-15), -1.0)
    return least, most


@njit(**FAST)
def even_decreasing(a, kind):
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
