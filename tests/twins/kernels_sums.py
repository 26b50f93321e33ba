"""Slow, obvious twins of pdelab/kernels/sums.py: many digits, one cell after another."""

import importlib.util
import itertools
import math
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import scipy.special

SPEC = importlib.util.spec_from_file_location("twins_lines", Path(__file__).with_name("kernels_envelopes.py"))
LINES = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(LINES)
energies, line_cases, smallest = LINES.energies, LINES.line_cases, LINES.smallest
EMPTY, NO_MOMENTS = np.empty((0, 0)), np.empty((0, 0, 0))


def node_sum(f, extra, offset, stride, c, beta, index, u, moments):
    for k, i in np.ndindex(index.shape):
        x = offset + stride * i
        H = energies(f[k], x, c)
        weights = [math.exp(-float(Fraction(beta) * (v - min(H)))) for v in H]
        total = math.fsum(weights)
        u[k, i] = float(min(H)) - (math.log(total) + math.log(beta * c / math.pi) / 2) / beta
        if moments.size:
            weights = np.array(weights) / total
            y = np.arange(f.shape[1])
            mean = weights @ (y - x) + x
            moments[:2, k, i] = weights @ (y - x), weights @ (y - mean) ** 2
            if extra.size:
                centred = extra[k] - weights @ extra[k]
                moments[2:, k, i] = weights @ extra[k], weights @ (centred * (y - mean))


def erfcx(x):
    return scipy.special.erfcx(x)


def digits(*lengths):
    """Enough decimals for second moments of tails that far away, in units of the kernel."""
    return 60 + 5 * max(0, *(math.ceil(math.log10(abs(v) + 1)) for v in lengths))


def half_line(a):
    with mpmath.workdps(digits(a)):
        a = mpmath.mpf(a)
        j0 = mpmath.sqrt(mpmath.pi) / 2 * mpmath.exp(a * a) * mpmath.erfc(a)
        j1 = (1 - 2 * a * j0) / 2
        return float(j0), float(j1), float((j0 - 2 * a * j1) / 2)


def gaussian_moments(kappa, y0):
    """Integrals of y^k exp(-kappa² (y - y0)²) over 0 <= y <= 1, k = 0, 1, 2, by parts, with many digits."""
    low, high = -kappa * y0, kappa * (1 - y0)
    if low > 0:
        area = mpmath.erfc(low) - mpmath.erfc(high)
    elif high < 0:
        area = mpmath.erfc(-high) - mpmath.erfc(-low)
    else:
        area = mpmath.erf(high) - mpmath.erf(low)
    z = mpmath.sqrt(mpmath.pi) / 2 * area / kappa
    at0, at1 = mpmath.exp(-low * low), mpmath.exp(-high * high)
    y1 = y0 * z + (at0 - at1) / (2 * kappa**2)
    return z, y1, y0 * y1 + (z - at1) / (2 * kappa**2)


def cell_moments(kappa, y0, w0, w1, wm):
    with mpmath.workdps(digits(kappa * y0, kappa, y0)):
        kappa, y0 = mpmath.mpf(kappa), mpmath.mpf(y0)
        weight, at = (wm, y0) if 0 < y0 < 1 else (w0, mpmath.mpf(0)) if y0 <= 0 else (w1, mpmath.mpf(1))
        factor = weight * mpmath.exp((kappa * (at - y0)) ** 2)
        return tuple(float(factor * v) for v in gaussian_moments(kappa, y0))


def cell_minimum(row, j, x, c):
    """(minimum, minimiser) of the line through two sources plus c (x - y)² over their cell, exactly."""
    f0, f1, x, c = (Fraction(float(v)) for v in (row[j], row[j + 1], x, c))
    y = min(max(x - (f1 - f0) / (2 * c), Fraction(j)), Fraction(j + 1))
    return f0 + (f1 - f0) * (y - j) + c * (x - y) ** 2, y


def lowest_in_cells(row, low, high, a, x, c):
    H = energies(row, x, c)[a]
    return float(min([Fraction(0), *(cell_minimum(row, j, x, c)[0] - H for j in range(low, high))]))


def cell_sum(f, extra, offset, stride, c, beta, index, u, moments):
    steepest = float(np.abs(np.diff(f)).max()) / c
    with mpmath.workdps(digits(steepest, steepest * math.sqrt(beta * c))):
        for k, i in np.ndindex(index.shape):
            e = extra[k] if extra.size else np.zeros(f.shape[1])
            u[k, i], results = line_integral(f[k], e, offset + stride * i, c, beta)
            if moments.size:
                moments[:, k, i] = results[: moments.shape[0]]


def line_integral(row, e, x, c, beta):
    """-(1/beta) log of the integral over the line, and (mean - x, variance, mean of e, covariance of e and y)."""
    H = energies(row, x, c)
    row, e = [mpmath.mpf(v) for v in row.tolist()], [mpmath.mpf(v) for v in e.tolist()]
    x, exact_c, c, beta = mpmath.mpf(x), Fraction(c), mpmath.mpf(c), mpmath.mpf(beta)
    reference = mpmath.mpf(min(H).numerator) / min(H).denominator
    parts = []  # (1, y, y², e, e y) of each cell
    for j in range(len(row) - 1):
        if (min(H[j], H[j + 1]) - exact_c / 4 - min(H)) * Fraction(float(beta)) > 100:
            continue  # exp(-100)
        slope, tilt = row[j + 1] - row[j], e[j + 1] - e[j]
        y0 = x - j - slope / (2 * c)
        factor = mpmath.exp(-beta * (row[j] + c * ((x - j) ** 2 - y0**2) - reference))
        z, y1, y2 = (factor * v for v in gaussian_moments(mpmath.sqrt(beta * c), y0))
        field, field_y = e[j] * z + tilt * y1, e[j] * y1 + tilt * y2
        parts.append((z, j * z + y1, j * j * z + 2 * j * y1 + y2, field, j * field + field_y))
    total, *sums = (sum(column) for column in zip(*parts))
    y, yy, field, field_y = (v / total for v in sums)
    u = reference - (mpmath.log(total) + mpmath.log(beta * c / mpmath.pi) / 2) / beta
    return float(u), [float(v) for v in (y - x, yy - y * y, field, field_y - field * y)]


def sum_cases(rng, lines, products):
    for rows, offset, stride, c, count in lines:
        index, shape = smallest(rows, offset, stride, c, count), (rows.shape[0], count)
        for product in products:
            tail = index, np.empty(shape)
            beta = product / c
            yield rows, EMPTY, offset, stride, c, beta, *tail, NO_MOMENTS
            yield rows, EMPTY, offset, stride, c, beta, *tail, np.empty((2, *shape))
            yield rows, rng.normal(size=rows.shape), offset, stride, c, beta, *tail, np.empty((4, *shape))


def node_sum_cases(rng):
    lines = [case for case in line_cases(rng) if 1e-300 < case[3] < 1e100]
    yield from sum_cases(rng, lines, (1e-3, 0.24, 3.0))
    yield from sum_cases(rng, [(np.cos(np.arange(300.0))[None], 100.0, 1.5, 1e-3, 9)], [0.04])


def cell_sum_cases(rng):
    sizes = (0.0, 0.7), (1.0, 0.7), (30.0, 1.0), (1e40, 2.0), (1e-308, 1.0), (1e200, 1e200)
    for n, (size, c) in itertools.product((2, 3, 8), sizes):
        yield from sum_cases(rng, [(size * rng.normal(size=(2, n)), -1.3, 1.3, c, 4)], [0.126, 1.0, 1e4])
    rows = np.array([[0.0, 0.0, 1.0, 1.0, 0.0]])
    yield from sum_cases(rng, [(rows, -1.0, 0.5, 0.25, 13)], [0.5, 2.0])
    yield from sum_cases(rng, LINES.arched_cases(rng), [1.0, 1e3])


def erfcx_cases(rng):
    fixed = (0.0, 5e-324, 1e-9, 0.5, 4.9999999, 5.0, 26.0, 27.3, 99999999.0, 1e8, 1.1e8, 1e300, 1e308, math.inf)
    for x in (*fixed, *rng.uniform(0, 6, 200), *10 ** rng.uniform(-3, 9, 200)):
        yield (float(x),)


def half_line_cases(rng):
    for a in (
        0.0,
        5e-324,
        1e-8,
        4.999,
        5.0,
        29.999,
        30.0,
        31.0,
        1e5,
        1e60,
        1e110,
        *range(32, 61),
        *10 ** rng.uniform(-3, 7, 100),
    ):
        yield (float(a),)


def cell_moments_cases(rng):
    centres = [0.0, 1.0, 0.5, 1e-300, 1 - 2**-53, 1 + 2**-52, -1e-9, -3.0, 4.0, 1e6, -1e9]
    for kappa in (0.36, 1.0, 5.0, 300.0, 1e8):
        for y0 in (*centres, *rng.uniform(0, 1, 5), *rng.uniform(-9, 10, 20)):
            near = min(max(y0, 0.0), 1.0)
            excess = ((y - y0) ** 2 - (near - y0) ** 2 for y in (0.0, 1.0, near))
            yield kappa, float(y0), *(math.exp(-float(kappa * kappa * v)) for v in excess)


def lowest_cases(rng):
    for rows, offset, stride, c, count in line_cases(rng):
        index = smallest(rows, offset, stride, c, count)
        for i in {0, count // 2, count - 1}:
            yield rows[0], 0, rows.shape[1] - 1, int(index[0, i]), offset + stride * i, c


TWINS = {
    "node_sum": (node_sum, node_sum_cases),
    "erfcx": (erfcx, erfcx_cases),
    "half_line": (half_line, half_line_cases, 1e-9),  # the recurrence cancels up to a = 30
    "cell_moments": (cell_moments, cell_moments_cases, 1e-10),
    "lowest_in_cells": (lowest_in_cells, lowest_cases, 1e-10),  # a small difference of energies
    "cell_sum": (cell_sum, cell_sum_cases),
}
