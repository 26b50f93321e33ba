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
    """value[k, i] = min_j f[k, j] + c (offset + stride i - j)² and its smallest minimiser index[k, i].

    The lower envelope of the parabolas of a line is a stack of vertices with increasing starts; one sweep builds it,
    one sweep reads it.
    """
    lines, n = f.shape
    vertex = np.empty(n, np.int64)
    start = np.empty(n)
    for k in range(lines):
        row = f[k]
        top = 0
        vertex[0], start[0] = 0, -np.inf
        for q in range(1, n):
            while True:
                v = vertex[top]
                s = 0.5 * (q + v) + (row[q] - row[v]) / (2.0 * c * (q - v))
                if top > 0 and s <= start[top]:
                    top -= 1
                else:
                    break
            top += 1
            vertex[top], start[top] = q, s
        at = 0
        for i in range(value.shape[1]):
            x = offset + stride * i
            while at < top and gap(row, vertex[at + 1], vertex[at], x, c) < 0.0:
                at += 1
            a = vertex[at]
            value[k, i] = row[a] + c * ((x - a) * (x - a))
            index[k, i] = a


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
    """exp(x²) erfc(x) for x >= 0: a product of the two where neither over- nor underflows, a continued fraction beyond.
    """
    if x < 5.0:
        high = math.floor(x * 4096.0) / 4096.0  # x² = high² + rest exactly enough: the square's rounding is not amplified
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
def taylor(p, start, stride):
    """Five values at -2..2 -> the coefficients of their quartic in place: p[start + k stride], k = 0..4."""
    a, b, v = p[start], p[start + stride], p[start + 2 * stride]
    d, e = p[start + 3 * stride], p[start + 4 * stride]
    odd1, odd2 = 0.5 * (d - b), 0.5 * (e - a)
    even1, even2 = 0.5 * ((d - v) + (b - v)), 0.5 * ((e - v) + (a - v))
    c3, c4 = (odd2 - 2.0 * odd1) * (1.0 / 6.0), (even2 - 4.0 * even1) * (1.0 / 12.0)
    p[start] = v
    p[start + stride] = odd1 - c3
    p[start + 2 * stride] = even1 - c4
    p[start + 3 * stride] = c3
    p[start + 4 * stride] = c4


@njit(cache=True, nogil=True, error_model="numpy")
def wrap(i, n):
    """i modulo n for -n <= i < 2n: no division."""
    return i + n if i < 0 else i - n if i >= n else i


@njit(cache=True, nogil=True, error_model="numpy")
def patch(f, periodic, a, centre, p):
    """Coefficients p (125) of the tensor-product quartic on the 5^d nodes around node a, in powers of y - centre.

    At an end that is not periodic the five nodes stay inside. Axes with a single node take no part.
    """
    n0, n1, n2 = f.shape
    centre[0] = 0 if n0 == 1 else a[0] if periodic[0] else min(max(a[0], 2), n0 - 3)
    centre[1] = 0 if n1 == 1 else a[1] if periodic[1] else min(max(a[1], 2), n1 - 3)
    centre[2] = a[2] if periodic[2] else min(max(a[2], 2), n2 - 3)
    wide0, wide1 = 5 if n0 > 1 else 1, 5 if n1 > 1 else 1
    inside = 2 <= centre[2] < n2 - 2
    for i in range(wide0):
        row = wrap(centre[0] + i - 2, n0) if n0 > 1 else 0
        for j in range(wide1):
            column = wrap(centre[1] + j - 2, n1) if n1 > 1 else 0
            at = 25 * i + 5 * j
            for k in range(5):
                p[at + k] = f[row, column, centre[2] - 2 + k if inside else wrap(centre[2] - 2 + k, n2)]
            taylor(p, at, 1)
    if wide1 == 5:
        for i in range(wide0):
            for k in range(5):
                taylor(p, 25 * i + k, 5)
    if wide0 == 5:
        for k in range(25 if wide1 == 5 else 5):
            taylor(p, k, 25)


@njit(cache=True, nogil=True, error_model="numpy")
def jets(p, wide0, wide1, r, s, t, jet):
    """jet: value, gradient (0, 1, 2), Hessian (00, 01, 02, 11, 12, 22) of the polynomial p at (r, s, t), by Horner."""
    v = v0 = v1 = v2 = v00 = v01 = v02 = v11 = v12 = v22 = 0.0
    for i in range(wide0 - 1, -1, -1):
        u = u1 = u2 = u11 = u12 = u22 = 0.0
        for j in range(wide1 - 1, -1, -1):
            at = 25 * i + 5 * j
            c0, c1, c2, c3, c4 = p[at], p[at + 1], p[at + 2], p[at + 3], p[at + 4]
            w = (((c4 * t + c3) * t + c2) * t + c1) * t + c0
            w2 = ((4.0 * c4 * t + 3.0 * c3) * t + 2.0 * c2) * t + c1
            w22 = (12.0 * c4 * t + 6.0 * c3) * t + 2.0 * c2
            u11, u12, u1 = u11 * s + 2.0 * u1, u12 * s + u2, u1 * s + u
            u, u2, u22 = u * s + w, u2 * s + w2, u22 * s + w22
        v00, v01, v02 = v00 * r + 2.0 * v0, v01 * r + v1, v02 * r + v2
        v0 = v0 * r + v
        v, v1, v2, v11, v12, v22 = v * r + u, v1 * r + u1, v2 * r + u2, v11 * r + u11, v12 * r + u12, v22 * r + u22
    jet[0], jet[1], jet[2], jet[3] = v, v0, v1, v2
    jet[4], jet[5], jet[6], jet[7], jet[8], jet[9] = v00, v01, v02, v11, v12, v22


@njit(cache=True, nogil=True, error_model="numpy")
def newton_step(jet, step):
    """step = -H^-1 g for the jet's gradient and Hessian; where H is not positive definite -g/|H_kk| axis by axis."""
    g0, g1, g2 = jet[1], jet[2], jet[3]
    h00, h01, h02, h11, h12, h22 = jet[4], jet[5], jet[6], jet[7], jet[8], jet[9]
    i0 = 1.0 / h00
    l10, l20 = h01 * i0, h02 * i0
    d1, m21 = h11 - l10 * h01, h12 - l20 * h01
    i1 = 1.0 / d1
    l21 = m21 * i1
    d2 = h22 - l20 * h02 - l21 * m21
    if h00 > 0.0 and d1 > 0.0 and d2 > 0.0:
        z1 = g1 - l10 * g0
        step[2] = (l20 * g0 + l21 * z1 - g2) / d2
        step[1] = -z1 * i1 - l21 * step[2]
        step[0] = -g0 * i0 - l10 * step[1] - l20 * step[2]
    else:
        step[0], step[1], step[2] = -g0 / abs(h00), -g1 / abs(h11), -g2 / abs(h22)


@njit(cache=True, nogil=True, error_model="numpy")
def smooth_nodes(f, floor, smooth):
    """smooth[i, j] &= do the seven nodes f[i..i+6, j] look like a smooth function, fit for a quartic?

    Fourth differences below a quarter of the second, fifth below a quarter of the third, sixth below 1/16 of the
    second, each up to `floor`: waves of at least twelve nodes pass, noise does not.
    """
    for i in range(smooth.shape[0]):
        a, b, c, d, e, g, h = f[i], f[i + 1], f[i + 2], f[i + 3], f[i + 4], f[i + 5], f[i + 6]
        out = smooth[i]
        for j in range(out.size):
            p, q, r, s, t = a[j] - 2 * b[j] + c[j], b[j] - 2 * c[j] + d[j], c[j] - 2 * d[j] + e[j], d[j] - 2 * e[j] + g[j], e[j] - 2 * g[j] + h[j]
            second = max(max(max(abs(p), abs(q)), max(abs(r), abs(s))), abs(t))
            third = max(max(abs(q - p), abs(r - q)), max(abs(s - r), abs(t - s)))
            p, q, r = p - 2 * q + r, q - 2 * r + s, r - 2 * s + t
            fourth = max(max(abs(p), abs(q)), abs(r))
            fifth, sixth = max(abs(q - p), abs(r - q)), abs(p - 2 * q + r)
            fine = (fourth <= 0.25 * second + floor) & (fifth <= 0.25 * third + floor)
            out[j] &= fine & (sixth <= 0.0625 * second + floor)


@njit(cache=True, nogil=True, error_model="numpy")
def polish(f, periodic, a, x, c, y, centre, p, jet, step):
    """Minimise the quartic around node a plus sum_k c_k (y_k - x_k)² over |y_k - a_k| <= 1: value, minimiser in y.

    Newton; the last step, below 1/100 of a node, is credited with its predicted gain instead of another evaluation.
    """
    patch(f, periodic, a, centre, p)
    wide0, wide1 = 5 if f.shape[0] > 1 else 1, 5 if f.shape[1] > 1 else 1
    y[0], y[1], y[2] = a[0], a[1], a[2]
    if centre[0] == a[0] and centre[1] == a[1] and centre[2] == a[2]:
        jet[0], jet[1], jet[2], jet[3], jet[4], jet[7], jet[9] = p[0], 0.0, 0.0, p[1], 0.0, 0.0, 2.0 * p[2]
        jet[5], jet[6], jet[8] = 0.0, 0.0, 0.0
        if wide1 == 5:
            jet[2], jet[7], jet[8] = p[5], 2.0 * p[10], p[6]
        if wide0 == 5:
            jet[1], jet[4], jet[5], jet[6] = p[25], 2.0 * p[50], p[30], p[26]
    else:
        jets(p, wide0, wide1, y[0] - centre[0], y[1] - centre[1], y[2] - centre[2], jet)
    for iteration in range(12):
        if iteration > 0:
            jets(p, wide0, wide1, y[0] - centre[0], y[1] - centre[1], y[2] - centre[2], jet)
        d0, d1, d2 = y[0] - x[0], y[1] - x[1], y[2] - x[2]
        value = jet[0] + ((c[0] * d0) * d0 + (c[1] * d1) * d1 + (c[2] * d2) * d2)
        jet[1] += 2.0 * c[0] * d0
        jet[2] += 2.0 * c[1] * d1
        jet[3] += 2.0 * c[2] * d2
        jet[4] += 2.0 * c[0]
        jet[7] += 2.0 * c[1]
        jet[9] += 2.0 * c[2]
        newton_step(jet, step)
        moved, free = 0.0, True
        for k in range(3):
            low, high = a[k] - 1.0, a[k] + 1.0
            if periodic[k] == 0:
                low, high = max(low, 0.0), min(high, f.shape[k] - 1.0)
            new = min(max(y[k] + step[k], low), high)
            free = free and abs(new - y[k] - step[k]) < 1e-9
            moved = max(moved, abs(new - y[k]))
            y[k] = new
        if free and moved <= 1e-2:
            return value + 0.5 * (jet[1] * step[0] + jet[2] * step[1] + jet[3] * step[2])
        if moved <= 1e-9:
            return value
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def polish_all(f, smooth, periodic, nodes, low, c, value, minimiser):
    """Refine the minimum over nodes (value, nodes) of every target; targets next to rough data keep it and turn NaN.

    f: sources (m0, m1, m2); nodes: (n0, n1, n2, 3) source numbers, on a periodic axis beyond 0..m-1 for images;
    target i stands at source coordinate low + i. The minimiser of each neighbouring target is tried too where it lies
    elsewhere: next to a kink the best node may be in the wrong valley.
    """
    n0, n1, n2 = value.shape
    p, jet, step = np.empty(125), np.empty(10), np.empty(3)
    a, centre, x, y, best = np.empty(3, np.int64), np.empty(3, np.int64), np.empty(3), np.empty(3), np.empty(3)
    size, shape = np.array([n0, n1, n2]), np.array(f.shape)
    at = np.empty(3, np.int64)
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                x[0], x[1], x[2] = low[0] + i, low[1] + j, low[2] + k
                lowest = np.inf
                for candidate in range(7):
                    at[0], at[1], at[2] = i, j, k
                    shift = 0
                    axis = (candidate - 1) // 2
                    if candidate > 0:
                        at[axis] += 1 if candidate % 2 == 0 else -1
                        if at[axis] < 0 or at[axis] >= size[axis]:
                            if periodic[axis] == 0 or size[axis] == 1:
                                continue
                            shift = shape[axis] if at[axis] >= size[axis] else -shape[axis]
                            at[axis] -= shift
                    far = candidate == 0
                    for m in range(3):
                        a[m] = nodes[at[0], at[1], at[2], m]
                    if candidate > 0:
                        a[axis] += shift
                        for m in range(3):
                            far = far or abs(a[m] - nodes[i, j, k, m]) > 2
                    if not far:
                        continue
                    if not smooth[wrap(a[0], shape[0]), wrap(a[1], shape[1]), wrap(a[2], shape[2])]:
                        if candidate == 0:
                            break
                        continue
                    v = polish(f, periodic, a, x, c, y, centre, p, jet, step)
                    tie = lowest < np.inf and abs(v - lowest) <= 4e-16 * (abs(v) + abs(lowest))
                    if (v < lowest and not tie) or (tie and before(y, best)):
                        lowest = v
                        best[0], best[1], best[2] = y[0], y[1], y[2]
                if lowest == np.inf:
                    value[i, j, k] = np.nan
                else:
                    value[i, j, k] = min(value[i, j, k], lowest)
                    for m in range(3):
                        minimiser[i, j, k, m] = best[m]


@njit(cache=True, nogil=True, error_model="numpy")
def before(y, z):
    """Is y lexicographically smaller than z?"""
    for k in range(y.size):
        if y[k] != z[k]:
            return y[k] < z[k]
    return False


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
