"""Slow, obvious twins of pdelab/kernels/envelopes.py: all sources, exact fractions."""

import itertools
from fractions import Fraction

import numpy as np


def energies(row, x, c):
    """H_j(x) of all sources, exactly."""
    return [Fraction(v) + Fraction(c) * (Fraction(x) - j) ** 2 for j, v in enumerate(row.tolist())]


def gap(f, j, a, x, c):
    H = energies(f, x, c)
    return float(H[j] - H[a])


def lower_envelope(f, offset, stride, c, value, index):
    for k, i in np.ndindex(value.shape):
        H = energies(f[k], offset + stride * i, c)
        value[k, i], index[k, i] = float(min(H)), H.index(min(H))


def significant(row, index, offset, stride, c, depth, first, last):
    for i in range(index.size):
        H = energies(row, offset + stride * i, c)
        near = [j for j, v in enumerate(H) if v - min(H) <= depth]
        first[i], last[i] = near[0], near[-1]


def line_cases(rng):
    """(rows, offset, stride, c, number of targets)"""
    sizes = (1.0, 0.3), (1.0, 20.0), (10.0, 1e-3), (1e200, 1e198), (1e200, 1.0), (1e-308, 3e-309), (0.0, 0.5)
    targets = (0.0, 1.0, 1), (0.0, 1.0, 5), (-3.3, 0.7, 9)
    for n, (offset, stride, count) in itertools.product((1, 2, 3, 4, 17), targets):
        for size, c in sizes:
            yield size * rng.normal(size=(2, n)), offset, stride, c, count
    half = np.array([[0.0, 1.0, 0.0, 1.0, 0.0], [2.0, 0.0, 2.0, 0.0, 2.0], [4.0, 1.0, 0.0, 1.0, 4.0]])
    yield half, -1.0, 0.5, 0.25, 13  # ties, also of three sources
    yield -half, -1.0, 0.5, 1.0, 13
    yield 1e16 + 2 * rng.integers(0, 9, (2, 12)).astype(float), 0.5, 2.0, 0.125, 6
    yield np.full((1, 9), -1e300), -2.0, 0.5, 1e-300, 24


def arched_cases(rng):
    """As line_cases: seen from 5.25 the nodes are nearly level, and the cells between them dip by c/4 or not at all."""
    for _ in range(8):
        level = np.where(rng.random((2, 12)) < 0.5, 1.0, 0.2 * rng.random((2, 12)))
        yield level - (np.arange(12) - 5.25) ** 2, 5.25, 1.0, 1.0, 1


def smallest(rows, offset, stride, c, count):
    value, index = np.empty((rows.shape[0], count)), np.empty((rows.shape[0], count), np.int64)
    lower_envelope(rows, offset, stride, c, value, index)
    return index


def gap_cases(rng):
    for rows, offset, _, c, _ in line_cases(rng):
        n = rows.shape[1]
        yield rows[0], int(rng.integers(n)), int(rng.integers(n)), offset + 2.25, c


def envelope_cases(rng):
    for rows, offset, stride, c, count in line_cases(rng):
        shape = rows.shape[0], count
        yield rows, offset, stride, c, np.empty(shape), np.empty(shape, np.int64)


def significant_cases(rng):
    for rows, offset, stride, c, count in line_cases(rng):
        index = smallest(rows, offset, stride, c, count)
        for depth in (0.0, c, 5.5 * c + np.ptp(rows) / 2, np.inf):
            yield rows[0], index[0], offset, stride, c, depth, np.empty(count, np.int64), np.empty(count, np.int64)


def windows(f, index, offset, stride, c, depth, first, last):
    for k in range(len(f)):
        significant(f[k], index[k], offset, stride, c, depth, first[k], last[k])


def windows_cases(rng):
    for rows, offset, stride, c, count in line_cases(rng):
        index = smallest(rows, offset, stride, c, count)
        yield rows, index, offset, stride, c, 0.25 * c, np.empty(index.shape, np.int64), np.empty(index.shape, np.int64)


TWINS = {
    "gap": (gap, gap_cases),
    "lower_envelope": (lower_envelope, envelope_cases),
    "significant": (significant, significant_cases),
    "windows": (windows, windows_cases),
}
