"""Slow, obvious twins of pdelab/kernels/elimination.py: the chain as a dense matrix, wide numbers as fractions."""

import math
from fractions import Fraction

import numpy as np


def exact(m, e):
    return Fraction(float(m)) * Fraction(2) ** (512 * int(e))


def wide(x):
    """(m, e) of a fraction, m rounded to float64 in [2^-256, 2^256)."""
    if x == 0:
        return 0.0, 0
    e, half = 0, Fraction(2) ** 256
    while x >= half:
        x, e = x / half**2, e + 1
    while x < 1 / half:
        x, e = x * half**2, e - 1
    return float(x), e


exact_all = np.vectorize(exact, otypes=[object])


def put(x, m, e):
    for k, value in np.ndenumerate(x):
        m[k], e[k] = wide(value)


def normal(m, e):
    return wide(exact(m, e))


def plus(m, e, n, f):
    return wide(exact(m, e) + exact(n, f))


def as_dense(band, exponents):
    n, width = band.shape[0], band.shape[1] // 2
    R = np.array([[Fraction(0)] * n for _ in range(n)])
    for i in range(n):
        for j in range(max(0, i - width), min(n, i + width + 1)):
            R[i, j] = exact(band[i, j - i + width], exponents[i, j - i + width] if exponents.size else 0)
    return R


def censored(R, killing):
    """(R, leaving) after the elimination of all nodes but the first."""
    n = len(killing)
    leaving = killing.copy()
    for last in range(n - 1, 0, -1):
        leaving[last] = killing[last] + R[last, :last].sum()
        R[:last, last] /= leaving[last]
        for i in range(last):
            killing[i] += R[i, last] * killing[last]
            R[i, :last] += R[i, last] * R[last, :last]
    leaving[0] = killing[0]
    return R, leaving


def eliminate_wide(band, exponents, killing, killing_exponents, leaving, leaving_exponents):
    n, width = band.shape[0], band.shape[1] // 2
    left = exact_all(killing, killing_exponents)
    R, out = censored(as_dense(band, exponents), left)
    put(left, killing, killing_exponents)
    put(out, leaving, leaving_exponents)
    for i in range(n):
        for j in range(max(0, i - width), min(n, i + width + 1)):
            band[i, j - i + width], exponents[i, j - i + width] = wide(R[i, j])


def eliminate(band, killing, leaving):
    none = [np.zeros(a.shape, dtype=int) for a in (band, killing, leaving)]
    eliminate_wide(band, none[0], killing, none[1], leaving, none[2])
    for a, e in zip((band, killing, leaving), none):
        a *= 2.0 ** (512 * e)


def extremes(entries):
    if not np.isfinite(entries).all():
        return 0.0, math.inf
    positive = entries[entries > 0]
    return positive.min(initial=math.inf), positive.max(initial=0.0)


def weights(band, exponents):
    R, n = as_dense(band, exponents), band.shape[0]
    mass = np.array([Fraction(0)] * n)
    mass[0] = Fraction(1)
    for j in range(1, n):
        mass[j] = mass[:j] @ R[:j, j]
    m, e = np.empty(n), np.empty(n, dtype=int)
    put(mass, m, e)
    return m, e


def forward(band, exponents, load, powers):
    R, x = as_dense(band, exponents), exact_all(load, powers)
    for last in range(len(load) - 1, 0, -1):
        x[:last] += R[:last, last] * x[last]
    put(x, load, powers)


def values(band, exponents, load, powers, leaving, leaving_powers):
    R, x, out = as_dense(band, exponents), exact_all(load, powers), exact_all(leaving, leaving_powers)
    for i in range(len(load)):
        x[i] = (x[i] + R[i, :i] @ x[:i]) / out[i]
    put(x, load, powers)


def chains(rng, spread=9, most=12):
    for n, width in ((1, 1), (2, 1), (3, 1), (3, 2), (most, 1), (most - 3, 4)):
        band = 10.0 ** rng.uniform(-spread, spread, (n, 2 * width + 1))
        for i in range(n):
            for k in range(2 * width + 1):
                if not 0 <= i + k - width < n:
                    band[i, k] = 0.0
        band[:, width] = 0.0
        yield band, rng.random(n), np.zeros(n)


def zeros(*arrays):
    return [np.zeros(a.shape, dtype=np.int64) for a in arrays]


def wide_chains(rng):
    for spread in (9, 60):
        for band, killing, leaving in chains(rng, spread):
            exponents, powers, others = zeros(band, killing, leaving)
            exponents[band > 0] = rng.integers(-4, 5, int((band > 0).sum()))
            powers[:] = rng.integers(-6, 3, killing.size)
            yield band, exponents, killing, powers, leaving, others


def eliminated(rng):
    for band, exponents, killing, powers, leaving, others in wide_chains(rng):
        eliminate_wide(band, exponents, killing, powers, leaving, others)
        yield band, exponents, rng.random(killing.size), rng.integers(-3, 4, killing.size), leaving, others
    for band, killing, leaving in chains(rng):
        eliminate(band, killing, leaving)
        (powers,) = zeros(leaving)
        yield band, np.zeros((0, 0), dtype=np.int64), rng.random(killing.size), powers, leaving, powers.copy()


def numbers(rng):
    for _ in range(60):
        yield float(10.0 ** rng.uniform(-70, 70)), int(rng.integers(-3, 4))


def pairs(rng):
    cases = [(0.0, 0), (1.0, 0), (1e70, 1), (2.0**-255, 1), (2.0**255, 0), (1e-70, 2), (1.0, 5), *numbers(rng)]
    for first in cases:
        for second in cases[::3]:
            yield *first, *second


def flat(rng):
    for entries in (
        [],
        [0.0, -1.0],
        [0.0, 3.0, 5e-324],
        [1.0, math.inf],
        [math.nan, 2.0],
        [math.inf],
        [1e308, 1e-308],
    ):
        yield (np.array(entries, dtype=float),)
    yield (10.0 ** rng.uniform(-300, 300, 1000),)


TWINS = {
    "normal": (normal, lambda rng: [(0.0, 3), (1e300, 0), (5e-324, 1), (1e-200, -2), *numbers(rng)]),
    "plus": (plus, pairs),
    "eliminate": (eliminate, chains),
    "eliminate_wide": (eliminate_wide, wide_chains),
    "extremes": (extremes, flat),
    "weights": (weights, lambda rng: (case[:2] for case in eliminated(rng))),
    "forward": (forward, lambda rng: (case[:4] for case in eliminated(rng))),
    "values": (values, eliminated),
}
