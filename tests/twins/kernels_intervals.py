"""Twins of the interval kernels: plain Python for the elementary ones, the uncompiled text for those that combine them.

That the enclosures hold is shown against sampled values of random formulas in tests/test_enclosures.py.
"""

import numpy as np

from pdelab.kernels import intervals
from pdelab.losses import Loss, enclosures

FORMULAS = ("x**2 - exp(-x*y) + abs(x - y)**1.5", "max(x, y)*norm(x, y) + logsumexp(x, 2*y) + atan2(y, x + 9)",
            "sin(3*x) + cosh(y)/(2 + cos(x)) + tanh(x)**3 + erf(y) + atan(x)")  # fmt: skip


def down(x, rounding=2.3e-16):
    return x - rounding * abs(x) - 5e-324


def up(x, rounding=2.3e-16):
    return x + rounding * abs(x) + 5e-324


def times(a, b):
    products = [p * q for p in a for q in b]
    return min(products), max(products)


def square(a):
    largest = max(abs(a[0]), abs(a[1])) ** 2
    return (0.0 if a[0] <= 0.0 <= a[1] else min(abs(a[0]), abs(a[1])) ** 2), largest


def real_power(a, exponent):
    ends = [max(end, 0.0) ** exponent for end in a]
    return min(ends), max(ends)


def whole_power(a, n):
    values = np.linspace(a[0], a[1], 3) ** float(n)
    low = 0.0 if n % 2 == 0 and n > 0 and a[0] <= 0.0 <= a[1] else min(values[0], values[-1])
    return float(low), float(max(values[0], values[-1]))


def reciprocal(a):
    return 1.0 / a[1], 1.0 / a[0]


def sampled(function):
    def twin(a):
        values = function(np.linspace(a[0], a[1], 400_001))
        return values.min(), values.max()

    return twin


def numbers(rng):
    for x in rng.normal(size=4) * 10.0 ** rng.integers(-5, 5, 4):
        yield (float(x),)


def interval(rng, sign=None):
    a, b = np.sort(rng.normal(size=2) * 2.0)
    if sign:
        a, b = np.sort(sign * np.abs([a, b]) + sign * 0.1)
    return float(a), float(b)


def one(sign=None):
    def cases(rng):
        for _ in range(6):
            yield (interval(rng, sign),)

    return cases


def two(rng):
    for _ in range(8):
        yield interval(rng), interval(rng)


def meeting(rng):
    for _ in range(4):
        a, b = interval(rng)
        yield (a, b), (a - 1.0, b + 0.5)


def powers(exponents, sign=None):
    def cases(rng):
        for exponent in exponents:
            yield interval(rng, sign), exponent

    return cases


def even(rng):
    for kind in range(4):
        yield interval(rng), kind


def even_decreasing(a, kind):
    functions = (lambda u: 1 / np.cosh(u) ** 2, lambda u: 1 / (1 + u * u), lambda u: 1 / np.sqrt(1 + u * u),
                 lambda u: np.exp(-u * u))  # fmt: skip
    values = functions[kind](np.array([*a, 0.0] if a[0] <= 0.0 <= a[1] else a))
    return values.min(), values.max()


def codes(rng):
    for code in range(intervals.FIRST_UNARY, intervals.FIRST_UNARY + len(intervals.UNARY)):
        low = rng.uniform(0.1, 0.4)
        yield code, (low + (1.0 if code == intervals.ACOSH else 0.0), low + rng.uniform(0.1, 0.5) + 1.0 * (code == 21))


def insides(rng):
    for code in (intervals.LOG, intervals.POWER, intervals.WHOLE_POWER, intervals.ASIN, intervals.ATANH, intervals.TAN):
        yield code, -1, interval(rng)


def boxes(rng, order=2):
    for text in FORMULAS:
        tape = enclosures.tape(Loss(text, ("x", "y")))
        n = len(tape[0])
        lower = rng.uniform(-1.0, 1.0, 2)
        yield (*tape, lower, lower + rng.uniform(0.0, 0.4, 2), order,
               np.zeros((n, 2)), np.zeros((n, 2, 2)), np.zeros((n, 3, 2)))  # fmt: skip


def many_boxes(rng):
    for text in FORMULAS:
        tape = enclosures.tape(Loss(text, ("x", "y")))
        lower = rng.uniform(-1.0, 1.0, (3, 2))
        yield (*tape, lower, lower + rng.uniform(0.0, 0.4, (3, 2)), 2,
               np.zeros((3, 2)), np.zeros((3, 2, 2)), np.zeros((3, 3, 2)))  # fmt: skip


def arrays(rng):
    return rng.normal(size=(3, 2)).cumsum(1), rng.normal(size=(3, 2, 2)), rng.normal(size=(3, 3, 2))


def chains(rng):
    _, slope, bend = (np.sort(a, axis=-1) for a in arrays(rng))
    yield 2, 0, interval(rng), interval(rng), 2, slope, bend


def binaries(rng):
    for code in (intervals.MULTIPLY, intervals.MAXIMUM, intervals.HYPOT, intervals.LOG_ADD_EXP, intervals.ATAN2):
        value, slope, bend = (np.sort(a, axis=-1) for a in arrays(rng))
        yield 2, code, 0, 1, 2, 2, value, slope, bend


def angles(rng):
    yield (0.5, 1.0), (-1.0, 2.0)
    yield interval(rng), interval(rng)


def expansions(rng):
    value, slope, bend = (np.sort(a, axis=-1) for a in arrays(rng))
    middle = rng.normal(size=2)
    yield value[0], slope[0], slope[1], bend[0], middle, middle - 0.2, middle + 0.2


def text(name):
    return getattr(intervals, name).py_func


TWINS = {
    "down": (down, numbers),
    "up": (up, numbers),
    "times": (times, two),
    "plus": (lambda a, b: (a[0] + b[0], a[1] + b[1]), two),
    "negative": (lambda a: (-a[1], -a[0]), one()),
    "square": (square, one()),
    "meet": (lambda a, b: (max(a[0], b[0]), min(a[1], b[1])), meeting),
    "_wide": (lambda a, b: (a, b), lambda rng: (interval(rng) for _ in range(3))),
    "real_power": (real_power, powers((0.5, 1.5, -0.5, 0.3, -2.7), 1)),
    "whole_power": (whole_power, powers((0, 1, 2, 3, 6, -1, -2), 1)),
    "_natural_power": (whole_power, powers((1, 2, 3, 4, 5))),
    "reciprocal": (reciprocal, one(-1)),
    "sine": (sampled(np.sin), one(), 1e-9),
    "cosine": (sampled(np.cos), one(), 1e-9),
    "_even_decreasing": (even_decreasing, even),
    "_bounded": (lambda a, b: (max(a[0], -b), min(a[1], b)), lambda rng: ((interval(rng), 0.5) for _ in range(3))),
    "unary": (text("unary"), codes),
    "run": (text("run"), boxes),
    "_inside": (text("_inside"), insides),
    "_chain": (text("_chain"), chains),
    "_binary": (text("_binary"), binaries),
    "_angle": (text("_angle"), angles),
    "enclose": (text("enclose"), many_boxes),
    "taylor": (text("taylor"), expansions),
}
