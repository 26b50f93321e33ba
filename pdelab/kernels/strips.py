"""Integrals across the rows of a multilinear interpolant: values between two rows, and sums over strips between rows.

Between two rows the interpolant is linear, so that what is left of it after the exact integration along the rows,
v(s) = -(1/beta) log of that integral, is concave and analytic across a strip 0 < s < 1, however steep. A panel is the
part of a strip between the distances a and b from its lower end, or with `upper` from its upper end, so that either end
is approached without a loss of digits; on it v is a sum of Chebyshev polynomials in z, where the distance is
(a (1 - z) + b (1 + z))/2.
"""

import math

import numpy as np
from numba import njit

from pdelab.kernels.envelopes import DEPTH
from pdelab.kernels.sums import HALF_SQRT_PI, erfcx

FAST = {"cache": True, "nogil": True, "error_model": "numpy"}
GAUSS = np.polynomial.legendre.leggauss(12)
NODES, WEIGHTS = GAUSS[0], 0.5 * GAUSS[1]
RANGE = 2.0  # how far the exponent may move over the nodes of an interval: an error of 1e-11 at worst
WIDTH = 3.0  # of an interval, in widths of the kernel: likewise


@njit(**FAST)
def mixed(low, high, p, q):
    """p low + q high; +inf where one of them is, also at p = 0 or q = 0."""
    if low == np.inf or high == np.inf:
        return np.inf
    return p * low + q * high


@njit(**FAST)
def cell_mass(kappa, y0, w0, w1, wm):
    """The first of `sums.cell_moments`."""
    if 0.0 < y0 < 1.0:
        return wm * HALF_SQRT_PI * (math.erf(kappa * y0) + math.erf(kappa * (1.0 - y0))) / kappa
    if y0 >= 1.0:
        y0, w0, w1 = 1.0 - y0, w1, w0
    return HALF_SQRT_PI * (w0 * erfcx(-kappa * y0) - w1 * erfcx(kappa * (1.0 - y0))) / kappa


@njit(**FAST)
def row_value(low, high, p, q, floor, x, c, beta):
    """-(1/beta) log of the integral of exp(-beta H) along the row p low + q high; floor: below all of its values."""
    kappa, n = math.sqrt(beta * c), low.size
    start = min(max(int(math.floor(x)), 0), n - 2)
    lowest, total = np.inf, 0.0
    for run in range(2):  # the lowest value, then the sum
        depth = 0.0 if run == 0 else DEPTH / beta
        for step in (1, -1):
            j = start if step == 1 else start - 1
            while 0 <= j < n - 1:
                away = max(max(j - x, x - (j + 1.0)), 0.0)
                if floor + c * (away * away) > lowest + depth:
                    break
                r0, r1 = mixed(low[j], high[j], p, q), mixed(low[j + 1], high[j + 1], p, q)
                if r0 < np.inf and r1 < np.inf:
                    h0, h1 = r0 + c * ((x - j) * (x - j)), r1 + c * ((x - j - 1.0) * (x - j - 1.0))
                    y0 = (x - j) - (r1 - r0) / (2.0 * c)
                    inside = 0.0 < y0 < 1.0
                    least = h0 - c * (y0 * y0) if inside else min(h0, h1)
                    if run == 0:
                        lowest = min(lowest, least)
                    elif least <= lowest + depth:
                        middle = math.exp(-beta * (least - lowest)) if inside else 0.0
                        w0, w1 = math.exp(-beta * (h0 - lowest)), math.exp(-beta * (h1 - lowest))
                        total += cell_mass(kappa, y0, w0, w1, middle)
                j += step
        if lowest == np.inf:
            return np.inf
    return lowest - (math.log(total) + 0.5 * math.log(beta * c / math.pi)) / beta


@njit(**FAST)
def row_values(planes, floors, plane, strip, p, q, x, c, beta, v):
    """v[i] = `row_value` at x[i] between the rows strip[i], strip[i] + 1 of planes[plane[i]], of minima floors."""
    for i in range(v.size):
        rows, j = planes[plane[i]], strip[i]
        floor = p[i] * floors[plane[i], j] + q[i] * floors[plane[i], j + 1]
        if not floor < np.inf:
            floor = min(floors[plane[i], j], floors[plane[i], j + 1])
        v[i] = row_value(rows[j], rows[j + 1], p[i], q[i], floor, x[i], c, beta)


@njit(**FAST)
def _distance(y, low, high, period):
    """From y to the interval [low, high] or to the nearest of its images, `period` apart (0: there are none)."""
    away = max(max(low - y, y - high), 0.0)
    if period > 0.0:
        away = min(away, max(max(low - period - y, y - high + period), 0.0))
        away = min(away, max(max(low + period - y, y - high - period), 0.0))
    return away


@njit(**FAST)
def ceilings(column, middle, width, mean, period, offset, stride, c, beta, ceiling):
    """Lower ceiling[column, i] >= u(x_i) by Jensen's inequality on each panel, of mean values `mean`."""
    for k in range(column.size):
        if not mean[k] < np.inf:
            continue
        level = (
            mean[k] + c * width[k] * width[k] / 12.0 - (math.log(width[k]) + 0.5 * math.log(beta * c / math.pi)) / beta
        )
        for i in range(ceiling.shape[1]):
            away = _distance(offset + stride * i, middle[k], middle[k], period)
            ceiling[column[k], i] = min(ceiling[column[k], i], level + c * away * away)


@njit(**FAST)
def gaps(column, middle, width, least, period, offset, stride, c, ceiling, gap):
    """gap[k]: how far H on panel k, where v >= least, stays above the ceiling at least, over all targets."""
    for k in range(column.size):
        low, high = middle[k] - 0.5 * width[k], middle[k] + 0.5 * width[k]
        gap[k] = np.inf
        if least[k] < np.inf:
            for i in range(ceiling.shape[1]):
                away = _distance(offset + stride * i, low, high, period)
                gap[k] = min(gap[k], least[k] + c * away * away - ceiling[column[k], i])


@njit(**FAST)
def folded(j, strips, images):
    """(strip, seen in the mirror?) that stands at place j; images: 0 none (strip -1), 1 periodic, 2 reflecting."""
    if images == 0:
        return (j if 0 <= j < strips else -1), False
    if images == 1:
        return j % strips, False
    j = j % (2 * strips)
    return (j, False) if j < strips else (2 * strips - 1 - j, True)


@njit(**FAST)
def polynomial(coefficients, degree, z):
    """The sum of coefficients[k] T_k(z), k <= degree, by Clenshaw's recurrence."""
    b1 = b2 = 0.0
    for k in range(degree, 0, -1):
        b1, b2 = coefficients[k] + 2.0 * z * b1 - b2, b1
    return coefficients[0] + z * b1 - b2


@njit(**FAST)
def chord_minimum(a, b, base, way, v, degree, c):
    """H = v + c (base + way d)² where the chord of v would have its least energy: not below the minimum of H."""
    first, last, z = polynomial(v, degree, -1.0), polynomial(v, degree, 1.0), -1.0
    p, q = base + way * a, base + way * b
    lowest = min(first + c * (p * p), last + c * (q * q))
    if p != q:
        z = 2.0 * (-p - 0.5 * (last - first) / (c * (q - p))) / (q - p) - 1.0
    if -1.0 < z < 1.0:
        p = base + way * (0.5 * a * (1.0 - z) + 0.5 * b * (1.0 + z))
        lowest = min(lowest, polynomial(v, degree, z) + c * (p * p))
    return lowest


@njit(**FAST)
def interval(a, b, base, way, v, degree, c, beta, best, stack):
    """(integral of exp(-beta (v + c (base + way d)² - best)) over the distances d of a panel, best, lowered if H is).

    By Gauss's rule on intervals that are cut in two until H moves little on them. stack (n, 2): room.
    """
    total, spread = 0.0, WIDTH / math.sqrt(2.0 * beta * c)
    stack[0, 0], stack[0, 1] = -1.0, 1.0
    top = 1
    while top > 0:
        top -= 1
        start, end = stack[top, 0], stack[top, 1]
        p = base + way * (0.5 * a * (1.0 - start) + 0.5 * b * (1.0 + start))
        q = base + way * (0.5 * a * (1.0 - end) + 0.5 * b * (1.0 + end))
        away = 0.0 if p * q <= 0.0 else min(abs(p), abs(q))
        least = min(polynomial(v, degree, start), polynomial(v, degree, end))  # v is concave
        if least + c * (away * away) > best + DEPTH / beta:
            continue
        width = abs(q - p)
        if width <= spread or top + 2 > stack.shape[0]:
            low, high, amount = np.inf, -np.inf, 0.0
            for k in range(NODES.size):
                z = 0.5 * (start + end) + 0.5 * (end - start) * NODES[k]
                x = base + way * (0.5 * a * (1.0 - z) + 0.5 * b * (1.0 + z))
                energy = polynomial(v, degree, z) + c * (x * x)
                low, high = min(low, energy), max(high, energy)
                if energy < best:
                    factor = math.exp(-beta * (best - energy))
                    amount, total, best = amount * factor, total * factor, energy
                amount += WEIGHTS[k] * math.exp(-beta * (energy - best))
            if beta * (high - low) <= RANGE or top + 2 > stack.shape[0]:
                total += amount * width
                continue
        middle = 0.5 * (start + end)
        stack[top, 0], stack[top, 1] = start, middle
        stack[top + 1, 0], stack[top + 1, 1] = middle, end
        top += 2
    return total, best


@njit(**FAST)
def across(first, strip, upper, a, b, v, degree, strips, images, offset, stride, c, beta, u):
    """u (columns, targets): -(1/beta) log of the integral over all panels first[k] <= i < first[k + 1] of column k.

    v (n, 17): coefficients up to degree (n,). The panels of a column are in the order of their strips. A column
    without any has the value +inf.
    """
    stack = np.empty((128, 2))
    seen, place, ways = np.empty(0, np.int64), np.empty(0), np.empty(0)
    constant = 0.5 * math.log(beta * c / math.pi)
    begin = np.empty(strips + 1, np.int64)
    for column in range(u.shape[0]):
        i, end = first[column], first[column + 1]
        lowest = np.inf
        for j in range(strips + 1):
            while i < end and strip[i] < j:
                ends = min(polynomial(v[i], degree[i], -1.0), polynomial(v[i], degree[i], 1.0))
                lowest = min(lowest, ends)
                i += 1
            begin[j] = i
        if first[column] == end:
            u[column] = np.inf
            continue
        for target in range(u.shape[1]):
            y = offset + stride * target
            best, count = np.inf, 0
            for step in (1, -1):
                j = int(math.floor(y)) if step == 1 else int(math.floor(y)) - 1
                while True:
                    away = max(max(j - y, y - (j + 1.0)), 0.0)
                    outside = images == 0 and (j < 0 if step == -1 else j >= strips)
                    if outside or lowest + c * (away * away) > best + DEPTH / beta:
                        break
                    k, mirrored = folded(j, strips, images)
                    for i in range(begin[max(k, 0)], begin[k + 1] if k >= 0 else begin[0]):
                        turned = upper[i] != mirrored
                        base, way = (j + 1.0 - y, -1.0) if turned else (j - y, 1.0)
                        best = min(best, chord_minimum(a[i], b[i], base, way, v[i], degree[i], c))
                        if count == seen.size:
                            size = 2 * count + 64
                            seen, place, ways = grown(seen, size), grown(place, size), grown(ways, size)
                        seen[count], place[count], ways[count] = i, base, way
                        count += 1
                    j += step
            total = 0.0
            for k in range(count):
                i, scale = seen[k], best
                amount, best = interval(a[i], b[i], place[k], ways[k], v[i], degree[i], c, beta, best, stack)
                total = total * math.exp(-beta * (scale - best)) + amount
            u[column, target] = best - (math.log(total) + constant) / beta


@njit(**FAST)
def grown(array, size):
    """The array with zeros up to `size` entries."""
    larger = np.zeros(size, array.dtype)
    for i in range(array.size):
        larger[i] = array[i]
    return larger
