"""Twins of pdelab/kernels/strips.py: many digits for rows, quadrature across; the uncompiled text for two pieces."""

import importlib.util
import math
from pathlib import Path

import numpy as np
from scipy import integrate

from pdelab.kernels import strips

SPEC = importlib.util.spec_from_file_location("twins_sums", Path(__file__).with_name("kernels_sums.py"))
SUMS = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(SUMS)


def mixed(low, high, p, q):
    return math.inf if math.inf in (low, high) else p * low + q * high


def row_value(low, high, p, q, floor, x, c, beta):
    row = p * low + q * high
    steepest = float(np.abs(np.diff(row)).max()) / c
    with SUMS.mpmath.workdps(SUMS.digits(steepest, steepest * math.sqrt(beta * c))):
        return SUMS.line_integral(row, np.zeros(len(row)), x, c, beta)[0]


def row_values(planes, floors, plane, strip, p, q, x, c, beta, v):
    for i, (k, j) in enumerate(zip(plane, strip)):
        v[i] = row_value(planes[k, j], planes[k, j + 1], p[i], q[i], None, x[i], c, beta)


def distance(y, low, high, period):
    shifts = (0.0, period, -period)
    return min(max(low + s - y, y - high - s, 0.0) for s in shifts)


def ceilings(column, middle, width, mean, period, offset, stride, c, beta, ceiling):
    for k, i in np.ndindex(len(column), ceiling.shape[1]):
        away = distance(offset + stride * i, middle[k], middle[k], period)
        energy = mean[k] + c * (away**2 + width[k] ** 2 / 12)
        share = math.sqrt(beta * c / math.pi) * width[k]
        ceiling[column[k], i] = min(ceiling[column[k], i], energy - math.log(share) / beta)


def gaps(column, middle, width, least, period, offset, stride, c, ceiling, gap):
    for k in range(len(column)):
        ends = middle[k] - width[k] / 2, middle[k] + width[k] / 2
        y = offset + stride * np.arange(ceiling.shape[1])
        gap[k] = min(
            least[k] + c * distance(v, *ends, period) ** 2 - top for v, top in zip(y, ceiling[column[k]], strict=True)
        )


def folded(j, count, images):
    if images == 0:
        return (j, False) if j in range(count) else (-1, False)
    line = [(k, False) for k in range(count)] + [(k, True) for k in reversed(range(count))] * (images == 2)
    return line[j % len(line)]


def across(first, strip, upper, a, b, v, degree, count, images, offset, stride, c, beta, u):
    for column, target in np.ndindex(u.shape):
        y, total = offset + stride * target, 0.0
        for i in range(first[column], first[column + 1]):
            for j in range(-6 * count, 7 * count):
                k, mirrored = folded(j, count, images)
                if k == strip[i]:

                    def density(d, i=i, j=j, y=y, mirrored=mirrored):
                        z = (2 * d - a[i] - b[i]) / (b[i] - a[i])
                        s = j + (1 - d if upper[i] != mirrored else d)
                        value = np.polynomial.chebyshev.chebval(z, v[i, : degree[i] + 1])
                        return math.exp(-beta * (value + c * (s - y) ** 2))

                    total += integrate.quad(density, *sorted((a[i], b[i])), epsabs=1e-14, epsrel=1e-12)[0]
        u[column, target] = -math.log(total * math.sqrt(beta * c / math.pi)) / beta if total else math.inf


def rows(rng):
    for size in (0.5, 30.0, 1e4):
        low, high = size * rng.normal(size=(2, 6))
        p = float(rng.random())
        yield low, high, p, 1.0 - p, min(low.min(), high.min()), float(rng.uniform(1, 4)), 0.8, 5.0


def many_rows(rng):
    planes = rng.normal(size=(2, 4, 5))
    p = rng.random(6)
    place = rng.integers(0, 2, 6), rng.integers(0, 3, 6), p, 1.0 - p, rng.uniform(0.0, 4.0, 6)
    yield planes, planes.min(2), *place, 0.6, 7.0, np.zeros(6)


def places(rng):
    for period in (0.0, 5.0):
        low = float(rng.uniform(0, 4))
        yield float(rng.uniform(0, 5)), low, low + 0.7, period


def panel_cases(rng):
    for period in (0.0, 4.0):
        column, width = rng.integers(0, 3, 8), rng.uniform(0.1, 1.0, 8)
        yield column, rng.uniform(0.5, 3.5, 8), width, rng.normal(size=8), period, 0.0, 1.0, 0.7


def ceiling_cases(rng):
    for case in panel_cases(rng):
        yield *case, 6.0, np.full((3, 5), np.inf)


def gap_cases(rng):
    for case in panel_cases(rng):
        yield *case, rng.normal(size=(3, 5)), np.zeros(8)


def concave(rng, count):
    """Coefficients of concave polynomials of degree four."""
    v = np.zeros((count, 17))
    v[:, 0], v[:, 1], v[:, 2] = rng.normal(size=(3, count))
    v[:, 2] = -0.2 * np.abs(v[:, 2])
    v[:, 4] = 0.05 * v[:, 2]
    return v


def across_cases(rng):
    for images in (0, 1, 2):
        first, strip = np.array([0, 3, 3, 6]), np.array([0, 0, 1, 0, 1, 2])
        upper = np.array([False, True, False, False, True, False])
        a, b = np.array([0.0, 0.5, 0.0, 0.0, 1.0, 0.2]), np.array([0.5, 0.0, 1.0, 1.0, 0.0, 0.9])
        yield (first, strip, upper, a, b, concave(rng, 6), np.full(6, 4), 3, images, 0.0, 1.0, 0.9, 8.0,
               np.zeros((3, 4)))  # fmt: skip


def chord_cases(rng):
    for v in concave(rng, 4):
        yield 0.2, 0.9, float(rng.normal()), 1.0, v, 4, 2.0


def interval_cases(rng):
    for v in concave(rng, 4):
        yield 0.2, 0.9, float(rng.normal()), -1.0, v, 4, 2.0, 30.0, 1.0, np.zeros((128, 2))


def polynomial(coefficients, degree, z):
    return float(np.polynomial.chebyshev.chebval(z, coefficients[: degree + 1]))


TWINS = {
    "mixed": (mixed, lambda rng: [(1.0, 2.0, 0.3, 0.7), (1.0, math.inf, 1.0, 0.0), (math.inf, 0.0, 0.0, 1.0)]),
    "cell_mass": (lambda *case: SUMS.cell_moments(*case)[0], SUMS.cell_moments_cases),
    "row_value": (row_value, rows, 1e-11),
    "row_values": (row_values, many_rows, 1e-11),
    "_distance": (distance, places),
    "ceilings": (ceilings, ceiling_cases),
    "gaps": (gaps, gap_cases),
    "folded": (folded, lambda rng: [(j, 3, images) for j in range(-7, 8) for images in (0, 1, 2)]),
    "polynomial": (polynomial, lambda rng: [(rng.normal(size=17), m, float(rng.uniform(-1, 1))) for m in (4, 16)]),
    "chord_minimum": (strips.chord_minimum.py_func, chord_cases),
    "interval": (strips.interval.py_func, interval_cases),
    "across": (across, across_cases, 1e-10),
    "grown": (lambda array, size: np.pad(array, (0, size - len(array))), lambda rng: [(rng.normal(size=3), 8)]),
}
