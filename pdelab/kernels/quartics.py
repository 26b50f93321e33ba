"""Quartics: the minimum of f(y) + |x - y|²/(2t) between the nodes of smooth data, by Newton's method.

Around a node f is the tensor product of the quartics through five nodes along each axis; `smooth_nodes` says where that
is a good idea.
"""

import numpy as np
from numba import njit


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
