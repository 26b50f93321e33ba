"""Twins of interval arithmetic: the same in rational numbers or 60 digits, which the kernels must hold, and tightly."""

import math

import numpy as np
from enclosing import add, fractions, mp, multiply, squared, tight

from pdelab.kernels.intervals import HUGE

INF = math.inf
UGLY = [(0.0, 0.0), (0.0, 2.0), (-3.0, 0.0), (1e200, 1e300), (-1e300, 1e-300), (5e-324, 1.0), (-1e-310, 1e-310)]


def drawn(rng, sign=None):
    a, b = np.sort(rng.normal(size=2) * 10.0 ** rng.integers(-3, 3))
    if sign:
        a, b = np.sort(sign * np.abs([a, b]))
    return float(a), float(b)


def one(rng):
    yield from ((a,) for a in UGLY)
    for sign in (None, 1, -1) * 5:
        a = drawn(rng, sign)
        yield (a,)
        yield ((a[0], a[0]),)


def two(rng):
    yield from ((a, b) for a in UGLY for b in UGLY)
    for _ in range(20):
        yield drawn(rng, rng.choice([-1, 0, 1])), drawn(rng, rng.choice([-1, 0, 1]))


def numbers(rng):
    for x in (*rng.normal(size=6) * 10.0 ** rng.integers(-5, 5, 6), 0.0, 5e-324, -1e-310, 1e308):
        yield (float(x),)


def meeting(rng):
    for _ in range(4):
        a, b = drawn(rng)
        yield (a, b), (a - 1.0, b + 0.5)


def increasing(function, low, high):
    return function(mp.mpf(low)), function(mp.mpf(high))


def real_power(a, exponent):
    """Between the values at the ends, for the part of a that is not negative; 0 to a negative power is infinite."""
    power = lambda x: mp.inf if x == 0 and exponent < 0 else mp.mpf(x) ** mp.mpf(exponent)  # noqa: E731
    ends = [power(max(end, 0.0)) for end in a]
    return min(ends), max(ends)


def real_powers(rng):
    for exponent in (0.5, 1.5, -0.5, 0.3, -2.7, 0.0):
        yield drawn(rng, 1), exponent
        yield (-0.5, 1.3), exponent
        yield (0.0, 0.0), abs(exponent)


def natural_power(a, n):
    ends = [x**n for x in fractions(a)]
    return (0 if n % 2 == 0 and a[0] <= 0 <= a[1] else min(ends)), max(ends)


def natural_powers(rng):
    for n in range(1, 8):
        for sign in (None, 1, -1):
            yield drawn(rng, sign), n
        yield (0.0, 1.5), n
        yield (-1.5, 0.0), n


def reciprocal(a):
    """The smallest interval that holds 1/x for all x in a but 0."""
    low, high = fractions(a)
    if low < 0 < high or low == high == 0:
        return -INF, INF
    return (1 / high if high else -INF), (1 / low if low else INF)


def whole_power(a, n):
    if n == 0:
        return 1, 1
    low, high = natural_power(a, abs(n))
    if n > 0:
        return low, high
    if low < 0 < high or low == high == 0:
        return -INF, INF
    return (1 / high if high else -INF), (1 / low if low else INF)


def whole_powers(rng):
    for n in range(-5, 6):
        for a in (drawn(rng), drawn(rng, 1), drawn(rng, -1), (0.0, 1.5), (-0.5, 2.0)):
            yield a, n


def wave(function, first):
    """A wave of period 2 pi between its ends and its crests, the first of them a maximum at `first`."""

    def twin(a):
        ends = [mp.mpf(x) for x in a]
        reached = [function(x) for x in ends]
        for k in range(math.ceil((ends[0] - first) / mp.pi), math.floor((ends[1] - first) / mp.pi) + 1):
            reached.append(mp.mpf(-1 if k % 2 else 1))
        return min(reached), max(reached)

    return twin


def between_crests(low, high, first, last, crest):
    return wave(mp.sin if crest else mp.cos, mp.pi * 2 * crest)((low, high))


def phases(rng):
    for reach in (1.0, 3.0, 40.0):
        for _ in range(12):
            low = float(rng.uniform(-reach, reach))
            yield ((low, low + float(rng.choice([0.0, 1e-6, 0.3, 2.0, 5.0, 7.0]))),)
    for k in range(-3, 4):  # crests at an end, as near as floats come
        crest = k * math.pi / 2
        yield ((crest, crest + 0.1),)
        yield ((crest - 0.1, crest),)


BELLS = (lambda u: 1 / mp.cosh(u) ** 2, lambda u: 1 / (1 + u * u), lambda u: 1 / mp.sqrt(1 + u * u),
         lambda u: mp.exp(-u * u))  # fmt: skip


def even_decreasing(a, kind):
    ends = [BELLS[kind](mp.mpf(x)) for x in (*a, *([0.0] if a[0] <= 0.0 <= a[1] else []))]
    return min(ends), max(ends)


def bells(rng):
    for kind in range(4):
        for sign in (None, 1, -1):
            low, high = drawn(rng, sign)
            yield (max(low, -20.0), min(high, 20.0)), kind


def beside(step):
    """A number strictly on one side of another and no more than two roundings away."""

    def rule(ours, theirs, message):
        away = step * (mp.mpf(ours[0]) - mp.mpf(theirs[0]))
        assert 0 < away <= 5e-16 * abs(mp.mpf(theirs[0])) + 1e-323, message

    return rule


def finite(x):
    return min(max(x, -HUGE), HUGE)


TWINS = {
    "down": (finite, numbers, beside(-1)),
    "up": (finite, numbers, beside(1)),
    "times": (lambda a, b: multiply(fractions(a), fractions(b)), two, tight(1e-15)),
    "plus": (lambda a, b: add(fractions(a), fractions(b)), two, tight(1e-15)),
    "negative": (lambda a: (-a[1], -a[0]), one, 0.0),
    "square": (lambda a: squared(fractions(a)), one, tight(1e-15)),
    "meet": (lambda a, b: (max(a[0], b[0]), min(a[1], b[1])), meeting, 0.0),
    "bounded": (lambda a, b: (max(a[0], -b), min(a[1], b)), lambda rng: ((drawn(rng), 0.5) for _ in range(3)), 0.0),
    "wide": (lambda low, high: (mp.mpf(low), mp.mpf(high)), lambda rng: (drawn(rng) for _ in range(3)), tight(2e-15)),
    "real_power": (real_power, real_powers, tight(5e-15)),
    "whole_power": (whole_power, whole_powers, tight(5e-15)),
    "_natural_power": (natural_power, natural_powers, tight(5e-15)),
    "reciprocal": (reciprocal, one, tight(1e-15)),
    "sine": (wave(mp.sin, mp.pi / 2), phases, tight(5e-14)),
    "cosine": (wave(mp.cos, mp.mpf(0)), phases, tight(5e-14)),
    "_between_crests": (
        between_crests,
        lambda rng: (
            (*a, *map(f, a), c) for (a,) in phases(rng) if a[1] - a[0] < 6.2 for f, c in ((np.sin, 0.25), (np.cos, 0.0))
        ),
        tight(5e-14),
    ),
    "even_decreasing": (even_decreasing, bells, tight(5e-15)),
}
