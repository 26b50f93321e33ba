"""Sums of Cole-Hopf: -(1/beta) log of the sum over the sources, or of the integral over the cells between them.

Lines, energies and minimisers are those of `envelopes`. Where nothing but +inf is near, the value is +inf.
"""

import math

import numpy as np
from numba import njit
from scipy import special

from pdelab.kernels.envelopes import DEPTH, gap, significant

HALF_SQRT_PI = math.sqrt(math.pi) / 2.0


@njit(cache=True, nogil=True, error_model="numpy")
def node_sum(f, extra, offset, stride, c, beta, index, u, moments):
    """u = -(1/beta) log sum_j sqrt(beta c/pi) exp(-beta H_j(x)): the trapezoid rule for Cole-Hopf, in the log domain.

    moments[:, k, i], if it is not empty, receives mean(y) - x, var(y), and of the field `extra` (empty: left out) its
    mean and its covariance with y, under the weights exp(-beta H_j(x)); y in units of the source spacing.
    """
    lines, count = index.shape
    first, last = np.empty(count, np.int64), np.empty(count, np.int64)
    constant = 0.5 * math.log(beta * c / math.pi)
    for k in range(lines):
        row = f[k]
        significant(row, index[k], offset, stride, c, DEPTH / beta, first, last)
        for i in range(count):
            x, a = offset + stride * i, index[k, i]
            if row[a] == np.inf:
                u[k, i] = np.inf
                continue
            total = s1 = s2 = e0 = e1 = 0.0
            for j in range(first[i], last[i] + 1):
                weight = math.exp(-beta * gap(row, j, a, x, c))
                total += weight
                if moments.size > 0:
                    d = float(j - a)
                    s1 += weight * d
                    s2 += weight * (d * d)
                    if extra.size > 0:
                        z = extra[k, j] - extra[k, a]
                        e0 += weight * z
                        e1 += weight * (z * d)
            u[k, i] = row[a] + c * ((x - a) * (x - a)) - (math.log(total) + constant) / beta
            if moments.size > 0:
                mean = s1 / total
                moments[0, k, i] = (a - x) + mean
                moments[1, k, i] = s2 / total - mean * mean
                if extra.size > 0:
                    moments[2, k, i] = extra[k, a] + e0 / total
                    moments[3, k, i] = e1 / total - (e0 / total) * mean


def _table(parts=128, degree=7):
    """Polynomials in 2 parts y - 2 k - 1 that are erfcx(4 (1 - y)/y)/y on k <= parts y <= k + 1, 0 < y <= 1."""
    z = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    y = (np.arange(parts)[:, None] + 0.5 * (1.0 + z)) / parts
    values = special.erfcx(4.0 * (1.0 - y) / y) / y
    return np.ascontiguousarray(np.linalg.solve(np.vander(z, increasing=True), values.T).T)


ERFCX = _table()


@njit(cache=True, nogil=True, error_model="numpy")
def erfcx(x):
    """exp(x²) erfc(x) for x >= 0, by piecewise polynomials in y = 4/(4 + x)."""
    y = 4.0 / (4.0 + x)
    k = min(int(y * ERFCX.shape[0]), ERFCX.shape[0] - 1)
    z, total = 2.0 * ERFCX.shape[0] * y - (2.0 * k + 1.0), 0.0
    for m in range(ERFCX.shape[1] - 1, -1, -1):
        total = total * z + ERFCX[k, m]
    return y * total


@njit(cache=True, nogil=True, error_model="numpy")
def half_line(a):
    """Integrals of tau^k exp(-tau² - 2 a tau) over tau >= 0 for k = 0, 1, 2 and a >= 0."""
    j0 = HALF_SQRT_PI * erfcx(a)
    if a < 30.0:
        j1 = 0.5 - a * j0
        return j0, j1, 0.5 * (j0 - 2.0 * a * j1)
    r = 0.5 / (a * a)  # the recurrence cancels here: asymptotic series instead
    j1 = 0.5 * r * (1.0 - 3.0 * r * (1.0 - 5.0 * r * (1.0 - 7.0 * r * (1.0 - 9.0 * r * (1.0 - 11.0 * r)))))
    j2 = 1.0 - 6.0 * r * (1.0 - 7.5 * r * (1.0 - 28.0 / 3.0 * r * (1.0 - 11.25 * r * (1.0 - 13.2 * r))))
    return j0, j1, 0.5 * r / a * j2


@njit(cache=True, nogil=True, error_model="numpy")
def cell_moments(kappa, y0, w0, w1, wm):
    """Integrals of y^k exp(-kappa² (y - y0)²) over the cell 0 <= y <= 1, k = 0, 1, 2, up to one common factor.

    w0, w1, wm: the integrand, times that factor, at 0, at 1 and (needed only if it lies in the cell) at y0.
    """
    if 0.0 < y0 < 1.0:
        z = wm * HALF_SQRT_PI * (math.erf(kappa * y0) + math.erf(kappa * (1.0 - y0))) / kappa
        d1 = 0.5 * (w0 - w1) / kappa / kappa
        d2 = 0.5 * (z - y0 * w0 - (1.0 - y0) * w1) / kappa / kappa
        return z, y0 * z + d1, d2 + y0 * (2.0 * d1 + y0 * z)
    mirrored = y0 >= 1.0
    if mirrored:
        y0, w0, w1 = 1.0 - y0, w1, w0
    a0, a1, a2 = half_line(-kappa * y0)
    b0, b1, b2 = half_line(kappa * (1.0 - y0))
    a0, a1, a2 = a0 / kappa, a1 / kappa / kappa, a2 / kappa / kappa / kappa
    b0, b1, b2 = b0 / kappa, b1 / kappa / kappa, b2 / kappa / kappa / kappa
    z, y1, y2 = w0 * a0 - w1 * b0, w0 * a1 - w1 * (b1 + b0), w0 * a2 - w1 * (b2 + 2.0 * b1 + b0)
    return (z, z - y1, z - 2.0 * y1 + y2) if mirrored else (z, y1, y2)


@njit(cache=True, nogil=True, error_model="numpy")
def lowest_in_cells(row, low, high, a, x, c):
    """min of the piecewise linear f plus c (x - y)² over the cells [low, high), relative to H_a(x)."""
    lowest = 0.0
    for j in range(low, high):
        y0 = (x - j) - (row[j + 1] - row[j]) / (2.0 * c)
        if 0.0 < y0 < 1.0:
            lowest = min(lowest, gap(row, j, a, x, c) - c * (y0 * y0))
    return lowest


@njit(cache=True, nogil=True, error_model="numpy")
def cell_sum(f, extra, offset, stride, c, beta, index, u, moments):
    """As node_sum, but integrating over y with f and `extra` linear between the sources, cell by cell and exactly.

    Made for beta c > 1/16, where a cell is not small against the kernel: the differences that form a cell's integral
    then cost no digits. Sources are at least two.
    """
    lines, count = index.shape
    first, last = np.empty(count, np.int64), np.empty(count, np.int64)
    constant = 0.5 * math.log(beta * c / math.pi)
    kappa = math.sqrt(beta * c)
    for k in range(lines):
        row = f[k]
        significant(row, index[k], offset, stride, c, DEPTH / beta + 0.25 * c, first, last)
        for i in range(count):
            x, a = offset + stride * i, index[k, i]
            if row[a] == np.inf:
                u[k, i] = np.inf
                continue
            low, high = max(first[i] - 1, 0), min(last[i] + 1, row.size - 1)
            lowest = lowest_in_cells(row, low, high, a, x, c)
            total = s1 = s2 = e0 = e1 = 0.0
            for j in range(low, high):
                if not abs(row[j + 1] - row[j]) < np.inf:
                    continue  # forbidden at one end, hence inside
                g0, g1 = gap(row, j, a, x, c) - lowest, gap(row, j + 1, a, x, c) - lowest
                y0 = (x - j) - (row[j + 1] - row[j]) / (2.0 * c)
                middle = math.exp(-beta * (g0 - c * (y0 * y0))) if 0.0 < y0 < 1.0 else 0.0
                z, y1, y2 = cell_moments(kappa, y0, math.exp(-beta * g0), math.exp(-beta * g1), middle)
                total += z
                if moments.size > 0:
                    d = float(j - a)
                    s1 += d * z + y1
                    s2 += d * d * z + 2.0 * d * y1 + y2
                    if extra.size > 0:
                        m, slope = extra[k, j] - extra[k, a], extra[k, j + 1] - extra[k, j]
                        e0 += m * z + slope * y1
                        e1 += d * (m * z + slope * y1) + m * y1 + slope * y2
            u[k, i] = row[a] + c * ((x - a) * (x - a)) + lowest - (math.log(total) + constant) / beta
            if moments.size > 0:
                mean = s1 / total
                moments[0, k, i] = (a - x) + mean
                moments[1, k, i] = s2 / total - mean * mean
                if extra.size > 0:
                    moments[2, k, i] = extra[k, a] + e0 / total
                    moments[3, k, i] = e1 / total - (e0 / total) * mean
