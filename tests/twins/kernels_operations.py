"""Twins of functions of intervals: values in 60 digits at many points, derivatives as their differences."""

import numpy as np
from enclosing import ONE, contains, germ, mp, ranges, real

from pdelab.kernels import operations as ops

WHERE = {ops.LOG: (0.05, 4.0), ops.ASIN: (-0.97, 0.97), ops.ACOS: (-0.97, 0.97), ops.ACOSH: (1.05, 4.0),
         ops.ATANH: (-0.97, 0.97), ops.TAN: (-1.5, 1.5)}  # fmt: skip
TURNS = [k * mp.pi / 2 for k in range(-4, 5)]  # where values turn


def unary(code, a):
    """(value, first, second derivative) over [a]; the value's range is that of its ends and turns."""
    low, high = a
    inside = [x for x in TURNS if low < x < high and code != ops.TAN]
    points = [low, high, *inside, *np.linspace(low, high, 23)[1:-1]] if low < high else [low]
    value, slope, bend = ranges([germ(lambda y: [real(ONE[code], y[0])], [x]) for x in points])
    return value[0], slope[0, 0], bend[0, 0]


def unaries(rng):
    for code in range(ops.FIRST_UNARY, ops.FIRST_UNARY + len(ops.UNARY)):
        low, high = WHERE.get(code, (-3.0, 3.0))
        for _ in range(4):
            a, b = np.sort(rng.uniform(low, high, 2))
            yield code, (float(a), float(a))
            yield code, (float(a), float(b))
        yield code, (low - 2.0, high + 2.0)


def enclosed(ours, theirs, message):
    (value, slope, bend), (code, (low, high)) = ours
    message = f"{message}, code {code}"
    for got, expected in zip(ours[0], theirs[0]):
        contains(np.array(got), expected, message)
    start, end = WHERE.get(code, (-3.0, 3.0))
    sharp = [value] if start <= low and high <= end else []
    for got, expected in zip((value, slope, bend) if low == high else sharp, theirs[0]):
        assert (np.abs(np.array(got) - expected) <= 1e-12 * (1.0 + np.abs(expected))).all(), message


def inside(code, n, a):
    """Are all numbers of [a] in the domain?"""
    low, high = a
    if code == ops.LOG:
        return low > 0
    if code == ops.POWER:
        return low >= 0
    if code == ops.WHOLE_POWER:
        return n >= 0 or not low <= 0 <= high
    if code in (ops.ASIN, ops.ACOS):
        return low >= -1 and high <= 1
    if code == ops.ATANH:
        return low > -1 and high < 1
    if code == ops.ACOSH:
        return low >= 1
    if code == ops.TAN:
        return mp.floor(low / mp.pi + 0.5) == mp.floor(high / mp.pi + 0.5)
    return True


def insides(rng):
    for code in range(ops.ADD, ops.FIRST_UNARY + len(ops.UNARY)):
        for scale in (0.4, 2.0):
            a, b = np.sort(scale * rng.normal(size=2))
            yield code, int(rng.integers(-2, 3)), (float(a), float(b))
        yield code, -1, (1.2, 1.3)
        yield code, -1, (0.0, 1.0)


def angle(y, x):
    """atan2 over a box and its derivatives by y, x, yy, yx, xx, at corners and between; no more near the cut."""
    points = [(p, q) for p in np.linspace(*y, 9) for q in np.linspace(*x, 9)]
    value, slope, bend = ranges([germ(lambda z: [real(mp.atan2, *z)], z) for z in points])
    return value[0], slope[0, 0], slope[0, 1], *bend[0]


def angles(rng):
    for _ in range(6):
        (a, b), (c, d) = np.sort(rng.normal(size=(2, 2)))
        yield (float(a), float(b)), (float(c), float(d))
        yield (float(a), float(a)), (float(c), float(c))
    yield (0.5, 1.0), (-1.0, 2.0)
    yield (-1.0, 1.0), (0.5, 2.0)


def angles_hold(ours, theirs, message):
    for got, expected in zip(ours[0], theirs[0]):
        contains(np.array(got), expected, message)
    y, x = ours[1]
    off = x[0] > 0 or not y[0] <= 0 <= y[1]  # the box does not meet the cut: its corners tell the range
    for got, expected in zip(ours[0] if y[0] == y[1] else ours[0][:1] if off else (), theirs[0]):
        assert (np.abs(np.array(got) - expected) <= 1e-12 * (1.0 + np.abs(expected))).all(), message


TWINS = {
    "unary": (unary, unaries, enclosed),
    "inside": (inside, insides),
    "angle": (angle, angles, angles_hold),
}
