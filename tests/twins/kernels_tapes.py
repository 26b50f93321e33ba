"""Twins of the tape's interpreter: random formulas in 60 digits at many points of each box, derivatives by differences.

Enclosures must hold them all; over a box that is one point they must be them.
"""

from fractions import Fraction

import numpy as np
from enclosing import TWO, add, contains, fractions, germ, multiply, near, ranges, real, samples, squared, tight, values

from pdelab.kernels import operations as ops
from pdelab.kernels import tapes as kernels
from pdelab.losses import Loss, enclosures

FORMULAS = ("x**2 - exp(-x*y) + abs(x - y)**1.5", "max(x, y)*norm(x, y) + logsumexp(x, 2*y) + atan2(y, x + 9)",
            "sin(3*x) + cosh(y)/(2 + cos(x)) + tanh(x)**3 + erf(y) + atan(x)",
            "log(2 + x)*sqrt(y + 2) + asinh(x*y) - atanh(x/4) + x**(-3)*erfc(y) + acos(y/5)")  # fmt: skip


SHORT = 12  # instructions of a tape drawn at random; the formulas have more


def drawn_tape(rng, d=2):
    """Variables, a constant and operations drawn at random on what stands before them."""
    tape = [(ops.VARIABLE, i, 0, 0.0) for i in range(d)] + [(ops.CONSTANT, 0, 0, float(rng.normal()))]
    while len(tape) < SHORT:
        code, a, b = int(rng.integers(ops.ADD, 28)), *(int(k) for k in rng.integers(0, len(tape), 2))
        if code == ops.WHOLE_POWER:
            b = int(rng.integers(-3, 5))
        tape.append((code, a, b, float(rng.choice([0.5, 1.5, -0.5, 2.7])) if code == ops.POWER else 0.0))
    columns = list(zip(*tape))
    return (*(np.array(part, dtype=np.int64) for part in columns[:3]), np.array(columns[3], dtype=float))


def tapes(rng, count):
    yield from (enclosures.tape(Loss(text, ("x", "y"))) for text in FORMULAS)
    yield from (drawn_tape(rng) for _ in range(count))


def boxes(rng):
    for tape in tapes(rng, 25):
        n = len(tape[0])
        for width in (0.0, 0.3):
            lower = rng.uniform(-1.0, 1.5, 2)
            upper = lower + width * rng.random(2)
            yield (*tape[:4], lower, upper, 2, np.zeros((n, 2)), np.zeros((n, 2, 2)), np.zeros((n, 3, 2)))


def run(code, left, right, constant, lower, upper, order, value, slope, bend):
    tape, rng = (code, left, right, constant), np.random.default_rng(0)
    germs = [germ(lambda y: values(tape, y), point) for point in samples(rng, lower, upper)]
    value[:], slope[:], bend[:] = ranges(germs)
    return all(None not in g[0] for g in germs)


def held(ours, theirs, message):
    """Enclosures hold what is known; of the formulas they are tight over a point."""
    assert theirs[0] or not ours[0], f"{message}: defined everywhere, it says"
    size = 1.0
    for got, expected in zip(ours[1][-3:], theirs[1][-3:]):
        contains(got, expected, message)
        size = max(size, np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
    lower, upper = ours[1][-6:-4]
    if (lower == upper).all() and len(ours[1][0]) > SHORT:
        for got, expected in zip(ours[1][-3:], theirs[1][-3:]):
            near(got, expected, 1e-11 * size, message)


def many_boxes(rng):
    for tape in tapes(rng, 8):
        lower = rng.uniform(-1.0, 1.5, (3, 2))
        width = np.array([[0.0], [1e-3], [0.3]])
        yield (*tape[:4], kernels.run_address(), lower, lower + width * rng.random((3, 2)), 2,
               np.zeros((3, 2)), np.zeros((3, 2, 2)), np.zeros((3, 3, 2)))  # fmt: skip


def enclose(code, left, right, constant, at, lower, upper, order, value, slope, bend):
    tape, rng = (code, left, right, constant), np.random.default_rng(0)
    for k in range(len(lower)):
        germs = [germ(lambda y: values(tape, y)[-1:], point) for point in samples(rng, lower[k], upper[k], 12)]
        value[k], slope[k], bend[k] = (part[0] for part in ranges(germs))


def all_held(ours, theirs, message):
    for k in range(len(ours[1][5])):
        parts = [(None, [*a[:4], a[5][k], a[6][k], a[7], *(part[k] for part in a[8:])]) for a in (ours[1], theirs[1])]
        held((False, parts[0][1]), (True, parts[1][1]), f"{message}, box {k}")


def intervals(rng, shape, point):
    return np.repeat(rng.normal(size=(*shape, 1)), 2, -1) if point else np.sort(rng.normal(size=(*shape, 2)))


def chains(rng):
    for point in (True, False):
        p, q = (tuple(map(float, intervals(rng, (), point))) for _ in range(2))
        yield 2, 0, p, q, 2, intervals(rng, (3, 2), point), intervals(rng, (3, 3), point)


def chain(k, a, p, q, d, slope, bend):
    """p g and p h + q g g', in rational numbers."""
    p, q, m = fractions(p), fractions(q), 0
    g = [fractions(x) for x in slope[a]]
    for i in range(d):
        slope[k, i] = multiply(p, g[i])
        for j in range(i, d):
            pair = squared(g[i]) if i == j else multiply(g[i], g[j])
            bend[k, m] = add(multiply(p, fractions(bend[a, m])), multiply(q, pair))
            m += 1


def binaries(rng):
    for code in TWO:
        for point in (True, False):
            if code != ops.ADD:
                yield (2, code, 0, 1, 2, 2, *(intervals(rng, (3, *s), point) for s in ((), (2,), (3,))))
    for code in (ops.HYPOT, ops.MAXIMUM):  # a kink inside the box, one argument 0 all over it
        value, slope, bend = (intervals(rng, (3, *s), False) for s in ((), (2,), (3,)))
        value[0], value[1], slope[1], bend[1] = (-0.5, 0.7), 0.0, 0.0, 0.0
        yield 2, code, 0, 1, 2, 2, value, slope, bend


def binary(k, c, a, b, d, order, value, slope, bend):
    """Two functions of s with values, slopes and bends from the intervals, put together: its derivatives at s = 0."""
    rng, germs = np.random.default_rng(0), []
    for sample in range(60):
        pick = lambda part: part[..., 0] + rng.choice([0.0, 1.0, rng.random()], part.shape[:-1]) * np.ptp(part, -1)  # noqa: E731
        (u, w), (g, h), (p, q) = (pick(part[[a, b]]).tolist() for part in (value, slope, bend))
        if sample < 3:  # as near to a kink as the box is
            u, w = (float(np.clip(0.0, *value[m])) for m in (a, b))

        def both(s, u=u, w=w, g=g, h=h, p=p, q=q):
            products = s[0] * s[0] / 2, s[0] * s[1], s[1] * s[1] / 2
            one = u + sum(x * y for x, y in zip([*g, *p], [*s, *products]))
            other = w + sum(x * y for x, y in zip([*h, *q], [*s, *products]))
            return [real(TWO[c], one, other)]

        germs.append(germ(both, [0.0, 0.0]))
    value[k], slope[k], bend[k] = (part[0] for part in ranges(germs))


def row_held(ours, theirs, message):
    k, point = ours[1][0], (np.ptp(ours[1][6][:2], -1) == 0).all()
    for got, expected in zip(ours[1][-3:], theirs[1][-3:]):
        contains(got[k], expected[k], message)
        if point:
            near(got[k], expected[k], 1e-12 * np.abs(expected[k]).max(initial=1.0), message)


def row_tight(ours, theirs, message):
    k = ours[1][0]
    for got, expected in zip(ours[1][-2:], theirs[1][-2:]):
        contains(got[k], expected[k], message)
        near(got[k], expected[k], 1e-14 * np.abs(expected[k]).max(), message)


def expansions(rng):
    for width in (1e-3, 0.2, 3.0):
        middle = rng.normal(size=2)
        yield (
            *(intervals(rng, s, False) for s in ((), (2,), (2,), (3,))),
            middle,
            middle - width,
            middle + 0.7 * width,
        )


def taylor(v, g, slope, bend, middle, lower, upper):
    """The common part of v + slope·s and v + g·s + s'(bend)s/2, s the distance from the middle, in rational numbers."""
    s = [tuple(Fraction(end) - Fraction(m) for end in ends) for m, *ends in zip(middle, lower, upper)]
    mean = add(fractions(v), *(multiply(fractions(a), b) for a, b in zip(slope, s)))
    square = [multiply(fractions(bend[0]), squared(s[0])), multiply(fractions(bend[2]), squared(s[1]))]
    cross = multiply(fractions(bend[1]), multiply(s[0], s[1]))
    second = add(
        fractions(v), *(multiply(fractions(a), b) for a, b in zip(g, s)), cross, *((a / 2, b / 2) for a, b in square)
    )
    return max(mean[0], second[0]), min(mean[1], second[1])


def pairs(rng):
    for n in (0, 1, 5):
        yield rng.normal(size=(n, 2)), rng.normal(size=(n, 2))


def put(target, source):
    target[...] = source


TWINS = {
    "put": (put, pairs, 0.0),
    "run": (run, boxes, held),
    "_chain": (chain, chains, row_tight),
    "_binary": (binary, binaries, row_held),
    "enclose": (enclose, many_boxes, all_held),
    "taylor": (taylor, expansions, tight(1e-14)),
}
