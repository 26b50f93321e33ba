"""Envelopes: kernels of the closed forms, min over y (Hopf-Lax) and log-sum over y (Cole-Hopf), line by line.

Lines are the rows of a two-dimensional array. Source j of a line stands at coordinate j, target i at offset + stride i,
and the energy of source j seen from x is

    H_j(x) = f_j + c (x - j)²,   c = h²/(2t) > 0.

Energies are compared by their differences, so that neither a huge f nor a tiny c absorbs the other. For y left of the
minimiser a(x), the gap H_y(x) - min H grows with x (and shrinks to its right): minimisers, and the first and the last
source within a given gap of the minimum, move to the right only. Everything below is therefore one sweep a line.
"""

import math

import numpy as np
from numba import njit

DEPTH = 42.0  # exp(-42) = 6e-19: a source this far above the minimum, in units of 1/beta, is left out
HALF_SQRT_PI = math.sqrt(math.pi) / 2.0


@njit(cache=True, nogil=True, error_model="numpy")
def gap(f, j, a, x, c):
    """H_j(x) - H_a(x) of one line, without absorption."""
    return (f[j] - f[a]) + c * ((j - a) * ((j - x) + (a - x)))


@njit(cache=True, nogil=True, error_model="numpy")
def lower_envelope(f, offset, stride, c, value, index):
    """value[k, i] = min_j f[k, j] + c (offset + stride i - j)² and its smallest minimiser index[k, i]; stride > 0.

    The lower envelope of the parabolas of a line is a stack of vertices with increasing starts; one sweep builds it,
    one sweep reads it. Starts are rounded: next to one, the differences of the energies decide.
    """
    lines, n = f.shape
    vertex, start, inverse = np.empty(n, np.int64), np.empty(n + 1), np.empty(n)
    for d in range(1, n):
        inverse[d] = min(0.5 / (c * d), 1.7e308)
    for k in range(lines):
        row = f[k]
        top, v, last = 0, 0, -np.inf
        vertex[0], start[0] = 0, -np.inf
        for q in range(1, n):
            s = 0.5 * (q + v) + (row[q] - row[v]) * inverse[q - v]
            while s <= last:
                top -= 1
                v, last = vertex[top], start[top]
                s = 0.5 * (q + v) + (row[q] - row[v]) * inverse[q - v]
            top += 1
            vertex[top], start[top], v, last = q, s, q, s
        start[top + 1] = np.inf
        i = 0
        for at in range(top + 1):
            a, end = vertex[at], start[at + 1]
            here = row[a]
            while i < value.shape[1] and offset + stride * i <= end:
                x = offset + stride * i
                value[k, i] = here + c * ((x - a) * (x - a))
                index[k, i] = a
                i += 1
            near = min(1e-9 * (1.0 + abs(end)), 1e-3)
            for m in range(i - 1, i + 1):  # the targets on either side of a start, when it is close
                if at < top and 0 <= m < value.shape[1] and abs(offset + stride * m - end) <= near:
                    x = offset + stride * m
                    b = vertex[at + 1]
                    best = a if gap(row, b, a, x, c) >= 0.0 else b
                    value[k, m] = row[best] + c * ((x - best) * (x - best))
                    index[k, m] = best
                    i = max(i, m + 1)


@njit(cache=True, nogil=True, error_model="numpy")
def significant(row, index, offset, stride, c, depth, first, last):
    """first[i], last[i]: the outermost sources with H_j(x_i) <= min H(x_i) + depth, given the minimisers index[i]."""
    m, n = index.size, row.size
    j = 0
    for i in range(m):
        x, a = offset + stride * i, index[i]
        while j < a and gap(row, j, a, x, c) > depth:
            j += 1
        first[i] = j
    j = n - 1
    for i in range(m - 1, -1, -1):
        x, a = offset + stride * i, index[i]
        while j > a and gap(row, j, a, x, c) > depth:
            j -= 1
        last[i] = j


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


@njit(cache=True, nogil=True, error_model="numpy")
def erfcx(x):
    """exp(x²) erfc(x) for x >= 0: the product where neither over- nor underflows, a continued fraction beyond."""
    if x < 5.0:
        high = math.floor(x * 4096.0) / 4096.0  # high² is exact: the rounding of x² is not amplified
        return math.exp(high * high) * math.exp((x - high) * (x + high)) * math.erfc(x)
    if x > 1e8:
        return 0.5 / (HALF_SQRT_PI * x)
    tail = 0.0
    for k in range(40, 0, -1):
        tail = 0.5 * k / (x + tail)
    return 0.5 / (HALF_SQRT_PI * (x + tail))


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

    Made for beta c > 1/8, where a cell is not small against the kernel: the differences that form a cell's integral
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
            low, high = max(first[i] - 1, 0), min(last[i] + 1, row.size - 1)
            lowest = lowest_in_cells(row, low, high, a, x, c)
            total = s1 = s2 = e0 = e1 = 0.0
            for j in range(low, high):
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


@njit(cache=True, nogil=True, error_model="numpy")
def quartic(a, b, v, d, e, s):
    """The quartic through the values a, b, v, d, e at -2, ..., 2, and its two derivatives, at s."""
    odd1, odd2 = 0.5 * (d - b), 0.5 * (e - a)
    even1, even2 = 0.5 * ((d - v) + (b - v)), 0.5 * ((e - v) + (a - v))
    c3, c4 = (odd2 - 2.0 * odd1) * (1.0 / 6.0), (even2 - 4.0 * even1) * (1.0 / 12.0)
    c1, c2 = odd1 - c3, even1 - c4
    value = (((c4 * s + c3) * s + c2) * s + c1) * s + v
    return value, ((4.0 * c4 * s + 3.0 * c3) * s + 2.0 * c2) * s + c1, (12.0 * c4 * s + 6.0 * c3) * s + 2.0 * c2


@njit(cache=True, nogil=True, error_model="numpy")
def wrap(i, n):
    """i modulo n for -n <= i < 2n: no division."""
    return i + n if i < 0 else i - n if i >= n else i


@njit(cache=True, nogil=True, error_model="numpy")
def jet_1(f, i, j, k, t):
    """Value and derivatives (first, second) at k + t along the last axis of the quartic on the nodes k-2..k+2."""
    n = f.shape[2]
    a, b, d, e = wrap(k - 2, n), wrap(k - 1, n), wrap(k + 1, n), wrap(k + 2, n)
    return quartic(f[i, j, a], f[i, j, b], f[i, j, wrap(k, n)], f[i, j, d], f[i, j, e], t)


@njit(cache=True, nogil=True, error_model="numpy")
def jet_2(f, i, j, k, s, t):
    """Value, gradient (2), Hessian (11, 12, 22) at (j + s, k + t) of the tensor-product quartic on 5² nodes."""
    n = f.shape[1]
    a, a2, a22 = jet_1(f, i, wrap(j - 2, n), k, t)
    b, b2, b22 = jet_1(f, i, wrap(j - 1, n), k, t)
    c, c2, c22 = jet_1(f, i, wrap(j, n), k, t)
    d, d2, d22 = jet_1(f, i, wrap(j + 1, n), k, t)
    e, e2, e22 = jet_1(f, i, wrap(j + 2, n), k, t)
    v, v1, v11 = quartic(a, b, c, d, e, s)
    v2, v12, _ = quartic(a2, b2, c2, d2, e2, s)
    v22, _, _ = quartic(a22, b22, c22, d22, e22, s)
    return v, v1, v2, v11, v12, v22


@njit(cache=True, nogil=True, error_model="numpy")
def jet_3(f, i, j, k, r, s, t):
    """Value, gradient (3), Hessian (00, 01, 02, 11, 12, 22) at (i + r, j + s, k + t) of the quartic on 5³ nodes."""
    n = f.shape[0]
    a, a1, a2, a11, a12, a22 = jet_2(f, wrap(i - 2, n), j, k, s, t)
    b, b1, b2, b11, b12, b22 = jet_2(f, wrap(i - 1, n), j, k, s, t)
    c, c1, c2, c11, c12, c22 = jet_2(f, wrap(i, n), j, k, s, t)
    d, d1, d2, d11, d12, d22 = jet_2(f, wrap(i + 1, n), j, k, s, t)
    e, e1, e2, e11, e12, e22 = jet_2(f, wrap(i + 2, n), j, k, s, t)
    v, v0, v00 = quartic(a, b, c, d, e, r)
    v1, v01, _ = quartic(a1, b1, c1, d1, e1, r)
    v2, v02, _ = quartic(a2, b2, c2, d2, e2, r)
    v11, _, _ = quartic(a11, b11, c11, d11, e11, r)
    v12, _, _ = quartic(a12, b12, c12, d12, e12, r)
    v22, _, _ = quartic(a22, b22, c22, d22, e22, r)
    return v, v0, v1, v2, v00, v01, v02, v11, v12, v22


@njit(cache=True, nogil=True, error_model="numpy")
def newton_step(g0, g1, g2, h00, h01, h02, h11, h12, h22):
    """-H^-1 g; where H is not positive definite -g/|H_kk| axis by axis."""
    i0 = 1.0 / h00
    l10, l20 = h01 * i0, h02 * i0
    d1, m21 = h11 - l10 * h01, h12 - l20 * h01
    i1 = 1.0 / d1
    l21 = m21 * i1
    d2 = h22 - l20 * h02 - l21 * m21
    if h00 > 0.0 and d1 > 0.0 and d2 > 0.0:
        z1 = g1 - l10 * g0
        s2 = (l20 * g0 + l21 * z1 - g2) / d2
        s1 = -z1 * i1 - l21 * s2
        return -g0 * i0 - l10 * s1 - l20 * s2, s1, s2
    return -g0 / abs(h00), -g1 / abs(h11), -g2 / abs(h22)


@njit(cache=True, nogil=True, error_model="numpy")
def smooth_nodes(f, floor, smooth):
    """smooth[i, j] &= do the seven nodes f[i..i+6, j] look like a smooth function, fit for a quartic?

    Fourth differences below a quarter of the second, fifth below a quarter of the third, sixth below 1/16 of the
    second: waves of at least twelve nodes pass, noise does not. Or fifth and sixth below 3 % of the largest of the
    others: what is nearly a quartic. Each up to `floor`.
    """
    for i in range(smooth.shape[0]):
        a, b, c, d, e, g, h = f[i], f[i + 1], f[i + 2], f[i + 3], f[i + 4], f[i + 5], f[i + 6]
        out = smooth[i]
        for j in range(out.size):
            p, q, r = a[j] - 2 * b[j] + c[j], b[j] - 2 * c[j] + d[j], c[j] - 2 * d[j] + e[j]
            s, t = d[j] - 2 * e[j] + g[j], e[j] - 2 * g[j] + h[j]
            second = max(max(max(abs(p), abs(q)), max(abs(r), abs(s))), abs(t))
            third = max(max(abs(q - p), abs(r - q)), max(abs(s - r), abs(t - s)))
            p, q, r = p - 2 * q + r, q - 2 * r + s, r - 2 * s + t
            fourth = max(max(abs(p), abs(q)), abs(r))
            fifth, sixth = max(abs(q - p), abs(r - q)), abs(p - 2 * q + r)
            fine = (fourth <= 0.25 * second + floor) & (fifth <= 0.25 * third + floor)
            fine &= sixth <= 0.0625 * second + floor
            top = 0.03 * max(max(second, third), fourth) + floor
            out[j] &= fine | ((fifth <= top) & (sixth <= top))


@njit(cache=True, nogil=True, error_model="numpy")
def middle(a, n, periodic):
    """The middle one of the five nodes used around node a: a, or shifted inwards at an end; 0 of a single node."""
    return 0 if n == 1 else a if periodic else min(max(a, 2), n - 3)


@njit(cache=True, nogil=True, error_model="numpy")
def confined(y, step, a, n, periodic):
    """y + step within one node of a and within the line, unless that is periodic."""
    low, high = a - 1.0, a + 1.0
    if not periodic:
        low, high = max(low, 0.0), min(high, n - 1.0)
    return min(max(y + step, low), high)


@njit(cache=True, nogil=True, error_model="numpy")
def around(f, i, j, k):
    """Gradient (3) and Hessian (00, 01, 02, 11, 12, 22) at a node by central differences; 0 along a single node."""
    n0, n1, n2 = f.shape
    i, j, k = wrap(i, n0), wrap(j, n1), wrap(k, n2)
    r, s = wrap(k - 1, n2), wrap(k + 1, n2)
    here, g0, g1, h00, h01, h02, h11, h12 = f[i, j, k], 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    if n1 > 1:
        p, q = wrap(j - 1, n1), wrap(j + 1, n1)
        g1, h11 = 0.5 * (f[i, q, k] - f[i, p, k]), (f[i, q, k] - here) + (f[i, p, k] - here)
        h12 = 0.25 * ((f[i, q, s] - f[i, q, r]) - (f[i, p, s] - f[i, p, r]))
    if n0 > 1:
        p, q = wrap(i - 1, n0), wrap(i + 1, n0)
        g0, h00 = 0.5 * (f[q, j, k] - f[p, j, k]), (f[q, j, k] - here) + (f[p, j, k] - here)
        h02 = 0.25 * ((f[q, j, s] - f[q, j, r]) - (f[p, j, s] - f[p, j, r]))
        low, high = wrap(j - 1, n1), wrap(j + 1, n1)
        h01 = 0.25 * ((f[q, high, k] - f[q, low, k]) - (f[p, high, k] - f[p, low, k]))
    g2, h22 = 0.5 * (f[i, j, s] - f[i, j, r]), (f[i, j, s] - here) + (f[i, j, r] - here)
    return g0, g1, g2, h00, h01, h02, h11, h12, h22


@njit(cache=True, nogil=True, error_model="numpy")
def polish(f, periodic, a0, a1, a2, x0, x1, x2, c0, c1, c2):
    """Minimise the quartic around node a plus sum_k c_k (y_k - x_k)² over |y_k - a_k| <= 1: (value, y0, y1, y2).

    f: (n0, n1, n2) with leading ones; five nodes or more along the other axes. Newton, its first step with central
    differences; the last step, below 1/100 of a node, is credited with its predicted gain without another evaluation.
    """
    n0, n1, n2 = f.shape
    ring0, ring1, ring2 = periodic[0] != 0, periodic[1] != 0, periodic[2] != 0
    m0, m1, m2 = middle(a0, n0, ring0), middle(a1, n1, ring1), middle(a2, n2, ring2)
    y0, y1, y2 = float(a0), float(a1), float(a2)
    if m0 == a0 and m1 == a1 and m2 == a2:
        g0, g1, g2, h00, h01, h02, h11, h12, h22 = around(f, a0, a1, a2)
        g0, g1, g2 = g0 + 2.0 * c0 * (y0 - x0), g1 + 2.0 * c1 * (y1 - x1), g2 + 2.0 * c2 * (y2 - x2)
        s0, s1, s2 = newton_step(g0, g1, g2, h00 + 2.0 * c0, h01, h02, h11 + 2.0 * c1, h12, h22 + 2.0 * c2)
        y0, y1, y2 = confined(y0, s0, a0, n0, ring0), confined(y1, s1, a1, n1, ring1), confined(y2, s2, a2, n2, ring2)
    value = g0 = g1 = h00 = h01 = h02 = h11 = h12 = 0.0
    for _ in range(12):
        if n0 > 1:
            value, g0, g1, g2, h00, h01, h02, h11, h12, h22 = jet_3(f, m0, m1, m2, y0 - m0, y1 - m1, y2 - m2)
        elif n1 > 1:
            value, g1, g2, h11, h12, h22 = jet_2(f, 0, m1, m2, y1 - m1, y2 - m2)
            g0, h00 = 0.0, 0.0
        else:
            value, g2, h22 = jet_1(f, 0, 0, m2, y2 - m2)
            g0, g1, h00, h11 = 0.0, 0.0, 0.0, 0.0
        d0, d1, d2 = y0 - x0, y1 - x1, y2 - x2
        value += c0 * d0 * d0 + c1 * d1 * d1 + c2 * d2 * d2
        g0, g1, g2 = g0 + 2.0 * c0 * d0, g1 + 2.0 * c1 * d1, g2 + 2.0 * c2 * d2
        s0, s1, s2 = newton_step(g0, g1, g2, h00 + 2.0 * c0, h01, h02, h11 + 2.0 * c1, h12, h22 + 2.0 * c2)
        z0, z1, z2 = confined(y0, s0, a0, n0, ring0), confined(y1, s1, a1, n1, ring1), confined(y2, s2, a2, n2, ring2)
        held = max(max(abs(z0 - y0 - s0), abs(z1 - y1 - s1)), abs(z2 - y2 - s2))
        moved = max(max(abs(z0 - y0), abs(z1 - y1)), abs(z2 - y2))
        y0, y1, y2 = z0, z1, z2
        if held < 1e-9 and moved <= 1e-2:
            return value + 0.5 * (g0 * s0 + g1 * s1 + g2 * s2), y0, y1, y2
        if moved <= 1e-9:
            break
    return value, y0, y1, y2


@njit(cache=True, nogil=True, error_model="numpy")
def calm(nodes, i, j, k):
    """Do the neighbours of target (i, j, k) have its best node or one next to it? False at the ends of the axes."""
    n0, n1, n2 = nodes.shape[:3]
    a, b, c = nodes[i, j, k, 0], nodes[i, j, k, 1], nodes[i, j, k, 2]
    if k == 0 or k == n2 - 1 or (n1 > 1 and (j == 0 or j == n1 - 1)) or (n0 > 1 and (i == 0 or i == n0 - 1)):
        return False
    most = 0
    for side in (-1, 1):
        most = max(most, abs(nodes[i, j, k + side, 2] - c))
        if n1 > 1:
            most = max(most, max(abs(nodes[i, j, k + side, 1] - b), abs(nodes[i, j + side, k, 1] - b)))
            most = max(most, abs(nodes[i, j + side, k, 2] - c))
        if n0 > 1:
            most = max(most, max(abs(nodes[i, j, k + side, 0] - a), abs(nodes[i, j + side, k, 0] - a)))
            most = max(most, max(abs(nodes[i + side, j, k, 0] - a), abs(nodes[i + side, j, k, 1] - b)))
            most = max(most, abs(nodes[i + side, j, k, 2] - c))
    return most <= 1


@njit(cache=True, nogil=True, error_model="numpy")
def polish_all(f, smooth, periodic, nodes, low, c, value, minimiser):
    """Refine the minimum over nodes (value, nodes) of every target; targets next to rough data keep it and turn NaN.

    f: sources (m0, m1, m2); nodes: (n0, n1, n2, 3) source numbers, on a periodic axis beyond 0..m-1 for images;
    target i stands at source coordinate low + i. The minimiser of each neighbouring target is tried too where it lies
    elsewhere: next to a kink the best node may be in the wrong valley.
    """
    n0, n1, n2 = value.shape
    m0, m1, m2 = f.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                x0, x1, x2 = low[0] + i, low[1] + j, low[2] + k
                own0, own1, own2 = nodes[i, j, k, 0], nodes[i, j, k, 1], nodes[i, j, k, 2]
                if not smooth[wrap(own0, m0), wrap(own1, m1), wrap(own2, m2)]:
                    value[i, j, k] = np.nan
                    continue
                lowest, b0, b1, b2 = polish(f, periodic, own0, own1, own2, x0, x1, x2, c[0], c[1], c[2])
                for neighbour in range(0 if calm(nodes, i, j, k) else 6):
                    axis, side = neighbour // 2, 2 * (neighbour % 2) - 1
                    if value.shape[axis] == 1:
                        continue
                    p, q, r = i + side * (axis == 0), j + side * (axis == 1), k + side * (axis == 2)
                    inside = 0 <= p < n0 and 0 <= q < n1 and 0 <= r < n2
                    if not inside and periodic[axis] == 0:
                        continue
                    image = 0 if inside else side * f.shape[axis]
                    p, q, r = wrap(p, n0), wrap(q, n1), wrap(r, n2)
                    a0 = nodes[p, q, r, 0] + image * (axis == 0)
                    a1 = nodes[p, q, r, 1] + image * (axis == 1)
                    a2 = nodes[p, q, r, 2] + image * (axis == 2)
                    if max(max(abs(a0 - own0), abs(a1 - own1)), abs(a2 - own2)) <= 1:
                        continue
                    if not smooth[wrap(a0, m0), wrap(a1, m1), wrap(a2, m2)]:
                        continue
                    v, y0, y1, y2 = polish(f, periodic, a0, a1, a2, x0, x1, x2, c[0], c[1], c[2])
                    tie = abs(v - lowest) <= 4e-16 * (abs(v) + abs(lowest))
                    if (v < lowest and not tie) or (tie and before(y0, y1, y2, b0, b1, b2)):
                        lowest, b0, b1, b2 = v, y0, y1, y2
                value[i, j, k] = min(value[i, j, k], lowest)
                minimiser[i, j, k, 0], minimiser[i, j, k, 1], minimiser[i, j, k, 2] = b0, b1, b2


@njit(cache=True, nogil=True, error_model="numpy")
def before(y0, y1, y2, z0, z1, z2):
    """Is (y0, y1, y2) lexicographically smaller than (z0, z1, z2)?"""
    return y0 < z0 or (y0 == z0 and (y1 < z1 or (y1 == z1 and y2 < z2)))


@njit(cache=True, nogil=True, error_model="numpy")
def linear_envelope(f, offset, stride, c, index, value, minimiser):
    """Minimum over y of the piecewise linear f(y) + c (y - x)², cell by cell, given the best nodes `index`.

    A cell dips at most c/4 below its ends, so that only cells next to nodes this close to the minimum matter.
    """
    lines, count = index.shape
    first, last = np.empty(count, np.int64), np.empty(count, np.int64)
    for k in range(lines):
        row = f[k]
        significant(row, index[k], offset, stride, c, 0.25 * c, first, last)
        for i in range(count):
            x, a = offset + stride * i, index[k, i]
            lowest, best = 0.0, float(a)
            for j in range(max(first[i] - 1, 0), min(last[i] + 1, row.size - 1)):
                y0 = (x - j) - (row[j + 1] - row[j]) / (2.0 * c)
                if 0.0 < y0 < 1.0:
                    v = gap(row, j, a, x, c) - c * (y0 * y0)
                    if v < lowest:
                        lowest, best = v, j + y0
            value[k, i] = row[a] + c * ((x - a) * (x - a)) + lowest
            minimiser[k, i] = best
