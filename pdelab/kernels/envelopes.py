"""Lower envelopes: min over y of f(y) + |x - y|²/(2t), line by line.

Lines are the rows of a two-dimensional array. Source j of a line stands at coordinate j, target i at offset + stride i,
and the energy of source j seen from x is

    H_j(x) = f_j + c (x - j)²,   c = h²/(2t) > 0.

f may be +inf: such a source is never chosen. Energies are compared by their differences, so that neither a huge f nor a
tiny c absorbs the other. For y left of the minimiser a(x), the gap H_y(x) - min H grows with x (and shrinks to its
right): minimisers, and the first and the last source within a given gap of the minimum, move to the right only.
Everything below is therefore one sweep a line.
"""

import numpy as np
from numba import njit

DEPTH = 42.0  # exp(-42) = 6e-19: a source this far above the minimum, in units of 1/beta, is left out


@njit(cache=True, nogil=True, error_model="numpy")
def gap(f, j, a, x, c):
    """H_j(x) - H_a(x) of one line, without absorption."""
    return (f[j] - f[a]) + c * ((j - a) * ((j - x) + (a - x)))


@njit(cache=True, nogil=True, error_model="numpy")
def lower_envelope(f, offset, stride, c, value, index):
    """value[k, i] = min_j f[k, j] + c (offset + stride i - j)² and its smallest minimiser index[k, i]; stride > 0.

    The lower envelope of the parabolas of a line is a stack of vertices with increasing starts; one sweep builds it,
    one sweep reads it. Starts are rounded: next to one, the differences of the energies decide. A line without finite
    sources has the value +inf and the minimiser 0.
    """
    lines, n = f.shape
    vertex, start, inverse = np.empty(n, np.int64), np.empty(n + 1), np.empty(n)
    for d in range(1, n):
        inverse[d] = min(0.5 / (c * d), 1.7e308)
    for k in range(lines):
        row = f[k]
        v = 0
        while v < n - 1 and row[v] == np.inf:
            v += 1
        if row[v] == np.inf:
            value[k], index[k] = np.inf, 0
            continue
        top, last = 0, -np.inf
        vertex[0], start[0] = v, -np.inf
        for q in range(v + 1, n):
            if row[q] == np.inf:
                continue
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
def windows(f, index, offset, stride, c, depth, first, last):
    """`significant` for every line."""
    for k in range(f.shape[0]):
        significant(f[k], index[k], offset, stride, c, depth, first[k], last[k])
