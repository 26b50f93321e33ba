"""What the twins of enclosures share: intervals of rational numbers, tapes in 60 digits, and rules of agreement.

Derivatives are differences of values over 1e-20, which 60 digits leave exact to 1e-19: no formula of a derivative is
needed. A rule takes (returned, arguments afterwards) of the kernel and of the twin.
"""

from fractions import Fraction
from itertools import product

import mpmath
import numpy as np

from pdelab.kernels import operations

mp = mpmath.mp.clone()
mp.dps = 60
STEP = mp.mpf(10) ** -20
LARGE = 1e290  # beyond it the kernels overflow


# ------------------------------------------------------------------------------------------------- intervals


def fractions(a):
    return Fraction(a[0]), Fraction(a[1])


def add(*parts):
    return sum(a[0] for a in parts), sum(a[1] for a in parts)


def multiply(a, b):
    products = [x * y for x in a for y in b]
    return min(products), max(products)


def squared(a):
    ends = [a[0] ** 2, a[1] ** 2]
    return (Fraction(0) if a[0] <= 0 <= a[1] else min(ends)), max(ends)


# ----------------------------------------------------------------------------------------------------- tapes

ONE = {
    operations.FIRST_UNARY + k: getattr(mp, {"abs": "fabs"}.get(name, name)) for k, name in enumerate(operations.UNARY)
}
TWO = {
    operations.ADD: lambda a, b: a + b,
    operations.MULTIPLY: lambda a, b: a * b,
    operations.MAXIMUM: max,
    operations.HYPOT: mp.hypot,
    operations.LOG_ADD_EXP: lambda a, b: max(a, b) + mp.log1p(mp.exp(-abs(a - b))),
    operations.ATAN2: mp.atan2,
}


def real(function, *arguments):
    """The value, None where there is no real finite one or an argument has none."""
    if any(a is None or abs(a) > LARGE for a in arguments):
        return None
    try:
        value = function(*arguments)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    return value if isinstance(value, mp.mpf) and mp.isfinite(value) and abs(value) < LARGE else None


def values(tape, point):
    """The value of every instruction at a point."""
    out = []
    for code, left, right, constant in zip(*(part.tolist() for part in tape[:4])):
        if code == operations.CONSTANT:
            out.append(mp.mpf(constant))
        elif code == operations.VARIABLE:
            out.append(mp.mpf(point[left]))
        elif code == operations.POWER:
            out.append(real(lambda a, e=constant: a ** mp.mpf(e), out[left]))
        elif code == operations.WHOLE_POWER:
            out.append(real(lambda a, n=right: a**n, out[left]))
        elif code in TWO:
            out.append(real(TWO[code], out[left], out[right]))
        else:
            out.append(real(ONE[code], out[left]))
    return out


def germ(function, point):
    """Value, gradient and upper triangle of the Hessian of every entry of function(point), a list."""
    point = [mp.mpf(x) for x in point]
    d = len(point)

    def moved(*steps):
        return function([x + STEP * sum(s for i, s in steps if i == k) for k, x in enumerate(point)])

    here = moved()
    plus, minus = [moved((i, 1)) for i in range(d)], [moved((i, -1)) for i in range(d)]
    slope = [_combined((1, -1), (plus[i], minus[i]), 2 * STEP) for i in range(d)]
    bend = []
    for i in range(d):
        for j in range(i, d):
            if i == j:
                bend.append(_combined((1, -2, 1), (plus[i], here, minus[i]), STEP**2))
            else:
                corners = [moved((i, a), (j, b)) for a, b in product((1, -1), repeat=2)]
                bend.append(_combined((1, -1, -1, 1), corners, 4 * STEP**2))
    return here, slope, bend


def _combined(weights, parts, over):
    return [
        None if None in column else sum(w * v for w, v in zip(weights, column)) / over for column in zip(*parts)
    ]  # fmt: skip


def floats(nested):
    """Nested lists as an array of floats, NaN for None."""
    return np.array(nested, dtype=object).astype(float)


def ranges(germs):
    """The smallest and the largest of many germs: value (n, 2), slope (n, d, 2), bend (n, m, 2); NaN where unknown."""
    parts = []
    for k in range(3):
        entries = np.stack([floats(g[k]) for g in germs])  # (samples, [d,] n)
        entries = entries if k == 0 else np.moveaxis(entries, 1, 2)
        unknown = np.isnan(entries)
        low, high = np.where(unknown, np.inf, entries).min(axis=0), np.where(unknown, -np.inf, entries).max(axis=0)
        none = unknown.all(axis=0)
        low[none] = high[none] = np.nan
        parts.append(np.stack([low, high], axis=-1))
    return parts


def samples(rng, lower, upper, count=4):
    """Corners and points between them."""
    inner = lower + (upper - lower) * rng.random((count, len(lower)))
    return [*product(*zip(lower.tolist(), upper.tolist())), *inner.tolist()] if (lower < upper).any() else [lower]


# ----------------------------------------------------------------------------------------------------- rules


def contains(got, expected, message):
    """Enclosures (..., 2) hold what is known of the values, to the last bit of a float."""
    known = ~np.isnan(expected)
    low, high = known[..., 0], known[..., 1]
    assert (got[..., 0][low] <= np.nextafter(expected[..., 0][low], np.inf)).all(), message
    assert (got[..., 1][high] >= np.nextafter(expected[..., 1][high], -np.inf)).all(), message


def near(got, expected, slack, message):
    known = ~np.isnan(expected)
    assert known.any(), message
    assert (np.abs(got[known] - expected[known]) <= slack).all(), message


def tight(slack):
    """One interval or several hold the exact ones and exceed them by no more than rounding, relative to their size."""

    def rule(ours, theirs, message):
        pairs = ours[0], theirs[0]
        pairs = [pairs] if np.ndim(pairs[0][0]) == 0 else zip(*pairs)
        for (low, high), (least, most) in pairs:
            size = max(abs(end) for end in (least, most, 0) if abs(end) < LARGE)
            assert low <= least and most <= high, f"{message}: {(low, high)} does not hold {(least, most)}"
            assert abs(least) > LARGE or least - low <= slack * size + 1e-300, f"{message}: {low} for {least}"
            assert abs(most) > LARGE or high - most <= slack * size + 1e-300, f"{message}: {high} for {most}"

    return rule
