"""Cells: the minimum of f(y) + |x - y|²/(2t) where f is multilinear between its nodes, in one to three dimensions.

With δ the energies of the corners of a cell above that of the best node, the energy inside is, for s in [0, 1]^d,

    δ(s) - Σ_k c_k s_k (1 - s_k),   δ(s) multilinear,   c_k = h_k²/(2t),

so that only cells with a corner below Σ_k c_k/4 matter. Along an edge this is a parabola, on a face a quadratic form,
convex or a saddle. In the interior it is convex where its Hessian is positive definite; that set is convex, since the
Hessian has a constant diagonal and its other entries are linear in s, each in one coordinate: there is at most one
minimum inside. Corners are numbered 4 s_0 + 2 s_1 + s_2; f may be +inf at some.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def within(s):
    """s cut to [0, 1]."""
    return min(max(s, 0.0), 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def edge(a, b, c):
    """(minimum, s) along an edge with the ends a and b; not a number if one of them is infinite."""
    s = within(0.5 - 0.5 * (b - a) / c)
    return a + s * ((b - a) - c * (1.0 - s)), s


@njit(cache=True, nogil=True, error_model="numpy")
def face(v00, v01, v10, v11, c, e):
    """(energy, s, t) at the minimum of a face with the corners v_st, cut to the face; if there is none, at v_00.

    Not a number if a corner is infinite.
    """
    a, b = v10 - v00, v01 - v00
    m = (v11 - v01) - a
    det = 4.0 * c * e - m * m
    inverse = 1.0 / det if det > 0.0 else 0.0
    s = within((2.0 * e * (c - a) - m * (e - b)) * inverse)
    t = within((2.0 * c * (e - b) - m * (c - a)) * inverse)
    value = (1.0 - s) * ((1.0 - t) * v00 + t * v01) + s * ((1.0 - t) * v10 + t * v11)
    return value - c * (s * (1.0 - s)) - e * (t * (1.0 - t)), s, t


@njit(cache=True, nogil=True, error_model="numpy")
def inside(corners, c, s0, s1, s2):
    """The energy at a point of a cell."""
    near = (1.0 - s1) * ((1.0 - s2) * corners[0] + s2 * corners[1]) + s1 * ((1.0 - s2) * corners[2] + s2 * corners[3])
    far = (1.0 - s1) * ((1.0 - s2) * corners[4] + s2 * corners[5]) + s1 * ((1.0 - s2) * corners[6] + s2 * corners[7])
    dips = c[0] * (s0 * (1.0 - s0)) + c[1] * (s1 * (1.0 - s1)) + c[2] * (s2 * (1.0 - s2))
    return (1.0 - s0) * near + s0 * far - dips


@njit(cache=True, nogil=True, error_model="numpy")
def roots(p, zeros):
    """The zeros in (0, 1) at which the polynomial Σ p_k r^k changes its sign: their number, in `zeros`, increasing.

    Between the zeros of a derivative the one before is monotone, so that bisection finds them all.
    """
    n = p.size - 1
    ends, q, count = np.zeros(n + 2), np.empty(n + 1), 0
    for order in range(n - 1, -1, -1):
        size = n - order
        for k in range(size + 1):
            q[k] = p[k + order]
            for m in range(k + 1, k + order + 1):
                q[k] *= m
        ends[count + 1] = 1.0
        new = 0
        for j in range(count + 1):
            low, high = ends[j], ends[j + 1]
            at_low, at_high = horner(q, size, low), horner(q, size, high)
            if at_low == 0.0 or at_high == 0.0 or (at_low < 0.0) == (at_high < 0.0):
                continue
            while True:
                middle = 0.5 * (low + high)
                if not low < middle < high:
                    break
                if (horner(q, size, middle) < 0.0) == (at_low < 0.0):
                    low = middle
                else:
                    high = middle
            zeros[new] = high
            new += 1
        count = new
        for j in range(count):
            ends[j + 1] = zeros[j]
    zeros[count:] = 0.0
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def horner(q, degree, r):
    """Σ q_k r^k, k <= degree."""
    value = q[degree]
    for k in range(degree - 1, -1, -1):
        value = value * r + q[k]
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def multiply(p, q):
    """The product of two polynomials."""
    product = np.zeros(p.size + q.size - 1)
    for i in range(p.size):
        for j in range(q.size):
            product[i + j] += p[i] * q[j]
    return product


@njit(cache=True, nogil=True, error_model="numpy")
def slopes(v, out):
    """Coefficients (s0, s1, s2, s0 s1, s0 s2, s1 s2, s0 s1 s2) of the trilinear function with the corners v."""
    out[0], out[1], out[2] = v[4] - v[0], v[2] - v[0], v[1] - v[0]
    out[3], out[4], out[5] = (v[6] - v[2]) - out[0], (v[5] - v[1]) - out[0], (v[3] - v[1]) - out[1]
    out[6] = ((v[7] - v[3]) - (v[5] - v[1])) - out[3]


@njit(cache=True, nogil=True, error_model="numpy")
def settle(a, c, s):
    """Newton from s (in place) to a stationary point: 1 if it is a minimum inside, 0 if it is one outside, else -1."""
    for _ in range(12):
        h01, h02, h12 = a[3] + a[6] * s[2], a[4] + a[6] * s[1], a[5] + a[6] * s[0]
        g0 = a[0] + a[3] * s[1] + a[4] * s[2] + a[6] * s[1] * s[2] - c[0] * (1.0 - 2.0 * s[0])
        g1 = a[1] + a[3] * s[0] + a[5] * s[2] + a[6] * s[0] * s[2] - c[1] * (1.0 - 2.0 * s[1])
        g2 = a[2] + a[4] * s[0] + a[5] * s[1] + a[6] * s[0] * s[1] - c[2] * (1.0 - 2.0 * s[2])
        l10, l20 = h01 / (2.0 * c[0]), h02 / (2.0 * c[0])
        d1, m21 = 2.0 * c[1] - l10 * h01, h12 - l20 * h01
        d2 = 2.0 * c[2] - l20 * h02 - m21 * m21 / d1
        if not (d1 > 1e-9 * c[1] and d2 > 1e-9 * c[2]):
            return -1
        z1 = g1 - l10 * g0
        p2 = -(g2 - l20 * g0 - m21 / d1 * z1) / d2
        p1 = -(z1 + m21 * p2) / d1
        p0 = -(g0 + h01 * p1 + h02 * p2) / (2.0 * c[0])
        s[0], s[1], s[2] = s[0] + p0, s[1] + p1, s[2] + p2
        if max(abs(p0), max(abs(p1), abs(p2))) <= 1e-12:
            low, high = min(s[0], min(s[1], s[2])), max(s[0], max(s[1], s[2]))
            return 1 if low > 0.0 and high < 1.0 else 0
    return -1


@njit(cache=True, nogil=True, error_model="numpy")
def crosses(v, bit, c):
    """Does the energy rise, or fall, all the way along each of the four edges across an axis?"""
    step = v[bit] - v[0]
    low = high = step
    for corner in range(1, 8):
        if corner & bit == 0:
            step = v[corner | bit] - v[corner]
            low, high = min(low, step), max(high, step)
    return low >= c or high <= -c


@njit(cache=True, nogil=True, error_model="numpy")
def bends(near, far, product):
    """Can a face between two opposite ones with these mixed differences be convex? |m| < 2 sqrt(c e) on the way."""
    if not abs(near + far) < np.inf:
        return False
    smaller = 0.0 if (near < 0.0) != (far < 0.0) else min(abs(near), abs(far))
    return smaller * smaller < 4.0 * product


@njit(cache=True, nogil=True, error_model="numpy")
def body(v, c):
    """(minimum, s_0, s_1, s_2) in the interior of a cell; +inf at its first corner if there is none.

    Newton's method settles the matter when it converges to a minimum, in or out of the cell. Otherwise the first two
    equations give s_0 and s_1 as functions of s_2, the third becomes a polynomial of degree five, and Newton's method
    starts from its zeros.
    """
    for axis in range(3):
        if crosses(v, 4 >> axis, c[axis]):
            return np.inf, 0.0, 0.0, 0.0
    if not bends(v[0] - v[1] - v[2] + v[3], v[4] - v[5] - v[6] + v[7], c[1] * c[2]):
        return np.inf, 0.0, 0.0, 0.0
    if not bends(v[0] - v[1] - v[4] + v[5], v[2] - v[3] - v[6] + v[7], c[0] * c[2]):
        return np.inf, 0.0, 0.0, 0.0
    if not bends(v[0] - v[2] - v[4] + v[6], v[1] - v[3] - v[5] + v[7], c[0] * c[1]):
        return np.inf, 0.0, 0.0, 0.0
    a, s = np.empty(7), np.empty(3)
    slopes(v, a)
    s[0], s[1], s[2] = 0.5, 0.5, 0.5
    verdict = settle(a, c, s)
    if verdict == 0:
        return np.inf, 0.0, 0.0, 0.0
    if verdict == 1:
        return inside(v, c, s[0], s[1], s[2]), s[0], s[1], s[2]
    p, q = np.array([c[0] - a[0], -a[4]]), np.array([c[1] - a[1], -a[5]])
    m = np.array([a[3], a[6]])
    det = -multiply(m, m)
    det[0] += 4.0 * c[0] * c[1]
    first, second = -multiply(m, q), -multiply(m, p)
    for k in range(2):
        first[k] += 2.0 * c[1] * p[k]
        second[k] += 2.0 * c[0] * q[k]
    quintic = multiply(np.array([a[2] - c[2], 2.0 * c[2]]), multiply(det, det))
    quintic[:5] += multiply(a[4] * first + a[5] * second, det) + a[6] * multiply(first, second)
    zeros = np.empty(6)
    for k in range(roots(quintic, zeros)):
        r = zeros[k]
        d = horner(det, 2, r)
        s[0], s[1], s[2] = horner(first, 2, r) / d, horner(second, 2, r) / d, r
        if min(s[0], s[1]) > 0.0 and max(s[0], s[1]) < 1.0 and settle(a, c, s) == 1:
            return inside(v, c, s[0], s[1], s[2]), s[0], s[1], s[2]
    return np.inf, 0.0, 0.0, 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def folded(i, n):
    """i modulo n >= 1."""
    return i if 0 <= i < n else i % n


@njit(cache=True, nogil=True, error_model="numpy")
def energy(y, best, x, c):
    """The part of H_y(x) - H_best(x) that an axis adds to the difference of f."""
    return c * ((y - best) * ((y - x) + (best - x)))


@njit(cache=True, nogil=True, error_model="numpy")
def linear_minimum(f, ring, first, last, nodes, low, c, value, minimiser):
    """Lower the minimum over the nodes (value, nodes) of every target to that of the piecewise linear f.

    f: sources (m,); target i stands at source low + i. first, last: the sources between which a node within c/4 of the
    minimum lies; on a ring they and `nodes` go beyond 0..m-1 for images.
    """
    m = f.size
    for i in range(value.size):
        x, a, lowest = low + i, nodes[i], 0.0
        here, place = f[folded(a, m)], float(a)
        start, end = first[i] - 1, last[i]
        if not ring:
            start, end = max(start, 0), min(end, m - 2)
        left = f[folded(start, m)] - here + energy(start, a, x, c)
        for y in range(start, end + 1):
            right = f[folded(y + 1, m)] - here + energy(y + 1, a, x, c)
            v, s = edge(left, right, c)
            if v < lowest or (v == lowest and y + s < place):
                lowest, place = v, y + s
            left = right
        value[i] += lowest
        minimiser[i] = place


@njit(cache=True, nogil=True, error_model="numpy")
def square(v, c, e, y0, y1, lowest, place):
    """Lower `lowest` to the minima over two edges and the face of the square with the corners v_st, first (y0, y1)."""
    value, s, t = face(v[0], v[1], v[2], v[3], c, e)
    if value < lowest:
        lowest, place[0], place[1] = value, y0 + s, y1 + t
    value, s = edge(v[0], v[2], c)
    if value < lowest:
        lowest, place[0], place[1] = value, y0 + s, y1
    value, t = edge(v[0], v[1], e)
    if value < lowest:
        lowest, place[0], place[1] = value, y0, y1 + t
    return lowest


@njit(cache=True, nogil=True, error_model="numpy")
def bilinear_minimum(f, rings, level, first, last, nodes, low, c, value, minimiser):
    """As linear_minimum for sources f (m0, m1), bilinear between the nodes; nodes (n0, n1, 2); rings, low, c: pairs.

    level (m0, n1): the minimum over the nodes of each row of f; first, last: pairs of arrays of the shapes of value and
    level, the windows outside which no node is within (c0 + c1)/4 of value and level.
    """
    m0, m1 = f.shape
    v, place, depth = np.empty(4), np.empty(2), 0.25 * (c[0] + c[1])
    for i in range(value.shape[0]):
        for k in range(value.shape[1]):
            a0, a1, x0, x1, u = nodes[i, k, 0], nodes[i, k, 1], low[0] + i, low[1] + k, value[i, k]
            here, lowest, slack = f[folded(a0, m0), folded(a1, m1)], 0.0, depth * (1.0 + 1e-9) + 1e-14 * abs(u)
            place[0], place[1] = a0, a1
            start = first[0][i, k] - 1
            for y0 in range(start if rings[0] else max(start, 0), last[0][i, k] + 1):
                p, q, beyond = folded(y0, m0), folded(y0 + 1, m0), y0 + 1 == m0 and not rings[0]
                left, right = m1 + m1, -m1
                if level[p, k] - u + c[0] * (y0 - x0) ** 2 <= slack:
                    left, right = first[1][p, k], last[1][p, k]
                if not beyond and level[q, k] - u + c[0] * (y0 + 1 - x0) ** 2 <= slack:
                    left, right = min(left, first[1][q, k]), max(right, last[1][q, k])
                e0, e1 = energy(y0, a0, x0, c[0]), energy(y0 + 1, a0, x0, c[0])
                left = left - 1 if rings[1] else max(left - 1, 0)
                for y1 in range(left, right + 2):
                    v[0], v[2] = v[1], v[3]
                    v[1] = v[3] = np.inf
                    if y1 < m1 or rings[1]:
                        w, e = folded(y1, m1), energy(y1, a1, x1, c[1])
                        v[1] = f[p, w] - here + (e0 + e)
                        if not beyond:
                            v[3] = f[q, w] - here + (e1 + e)
                    if y1 > left and min(min(v[0], v[1]), min(v[2], v[3])) - depth < lowest:
                        lowest = square(v, c[0], c[1], float(y0), float(y1 - 1), lowest, place)
            value[i, k] = u + lowest
            minimiser[i, k, 0], minimiser[i, k, 1] = place[0], place[1]


@njit(cache=True, nogil=True, error_model="numpy")
def cube(v, c, y0, y1, y2, lowest, place):
    """Lower `lowest` to the minima over a cell's interior and the edges and faces at its first corner."""
    value, s, r, t = body(v, c)
    if value < lowest:
        lowest, place[0], place[1], place[2] = value, y0 + s, y1 + r, y2 + t
    value, r, t = face(v[0], v[1], v[2], v[3], c[1], c[2])
    if value < lowest:
        lowest, place[0], place[1], place[2] = value, y0, y1 + r, y2 + t
    value, r, t = face(v[0], v[1], v[4], v[5], c[0], c[2])
    if value < lowest:
        lowest, place[0], place[1], place[2] = value, y0 + r, y1, y2 + t
    value, r, t = face(v[0], v[2], v[4], v[6], c[0], c[1])
    if value < lowest:
        lowest, place[0], place[1], place[2] = value, y0 + r, y1 + t, y2
    value, r = edge(v[0], v[4], c[0])
    if value < lowest:
        lowest, place[0], place[1], place[2] = value, y0 + r, y1, y2
    value, r = edge(v[0], v[2], c[1])
    if value < lowest:
        lowest, place[0], place[1], place[2] = value, y0, y1 + r, y2
    value, r = edge(v[0], v[1], c[2])
    if value < lowest:
        lowest, place[0], place[1], place[2] = value, y0, y1, y2 + r
    return lowest


@njit(cache=True, nogil=True, error_model="numpy")
def trilinear_minimum(f, rings, level1, level2, first, last, nodes, low, c, value, minimiser):
    """As bilinear_minimum for sources f (m0, m1, m2); level1 (m0, n1, n2) and level2 (m0, m1, n2): the minima over the
    nodes along the last two axes and the last one; three windows, of the shapes of value, level1 and level2.
    """
    m0, m1, m2 = f.shape
    depth = 0.25 * (c[0] + c[1] + c[2])
    v, place = np.empty(8), np.empty(3)
    rows, parts = np.empty((4, 2), np.int64), np.empty(4)
    for i, j, k in np.ndindex(value.shape):
        a0, a1, a2 = nodes[i, j, k, 0], nodes[i, j, k, 1], nodes[i, j, k, 2]
        x0, x1, x2, u = low[0] + i, low[1] + j, low[2] + k, value[i, j, k]
        here, lowest = f[folded(a0, m0), folded(a1, m1), folded(a2, m2)], 0.0
        place[0], place[1], place[2], slack = a0, a1, a2, depth * (1.0 + 1e-9) + 1e-14 * abs(u)
        start = first[0][i, j, k] - 1
        for y0 in range(start if rings[0] else max(start, 0), last[0][i, j, k] + 1):
            top, bottom = m1 + m1, -m1
            for side in range(2):
                p = folded(y0 + side, m0)
                inside_f = y0 + side < m0 or rings[0]
                if inside_f and level1[p, j, k] - u + c[0] * (y0 + side - x0) ** 2 <= slack:
                    top, bottom = min(top, first[1][p, j, k]), max(bottom, last[1][p, j, k])
            for y1 in range(top - 1 if rings[1] else max(top - 1, 0), bottom + 1):
                left, right = m2 + m2, -m2
                for row in range(4):
                    z0, z1 = y0 + row // 2, y1 + row % 2
                    rows[row, 0] = -1
                    if (z0 >= m0 and not rings[0]) or (z1 >= m1 and not rings[1]):
                        continue
                    p, q = folded(z0, m0), folded(z1, m1)
                    rows[row, 0], rows[row, 1] = p, q
                    parts[row] = energy(z0, a0, x0, c[0]) + energy(z1, a1, x1, c[1])
                    if level2[p, q, k] - u + (c[0] * (z0 - x0) ** 2 + c[1] * (z1 - x1) ** 2) <= slack:
                        left, right = min(left, first[2][p, q, k]), max(right, last[2][p, q, k])
                left = left - 1 if rings[2] else max(left - 1, 0)
                for y2 in range(left, right + 2):
                    smallest = np.inf
                    for row in range(4):
                        v[2 * row] = v[2 * row + 1]
                        v[2 * row + 1] = np.inf
                        if rows[row, 0] >= 0 and (y2 < m2 or rings[2]):
                            height = f[rows[row, 0], rows[row, 1], folded(y2, m2)] - here
                            v[2 * row + 1] = height + (parts[row] + energy(y2, a2, x2, c[2]))
                        smallest = min(smallest, min(v[2 * row], v[2 * row + 1]))
                    if y2 > left and smallest - depth < lowest:
                        lowest = cube(v, c, float(y0), float(y1), float(y2 - 1), lowest, place)
        value[i, j, k] = u + lowest
        minimiser[i, j, k] = place
