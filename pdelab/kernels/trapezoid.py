"""The trapezoid rule on lattices, one a point: their nodes, and sums of exp(-beta H) with first and second moments."""

import math

import numpy as np
from numba import njit

from pdelab.kernels.intervals import FAST


@njit(**FAST)
def sizes(low, high, first, last, origin, h):
    """How many nodes of the lattice origin[p] + h[p] (i, j, k) lie in the boxes [low, high) from first[p] to last[p].

    low, high (B, d). Returns counts (P,).
    """
    size = np.zeros(first.shape[0], np.int64)
    for p in range(first.shape[0]):
        for b in range(first[p], last[p]):
            count = 1
            for i in range(low.shape[1]):
                count *= math.ceil((high[b, i] - origin[p, i]) / h[p]) - math.ceil((low[b, i] - origin[p, i]) / h[p])
            size[p] += count
    return size


@njit(**FAST)
def nodes(low, high, first, last, origin, h, places):
    """The nodes that `sizes` counts, one box after the other: places (N, d)."""
    n, d = 0, low.shape[1]
    start, count = np.zeros(3, np.int64), np.ones(3, np.int64)
    for p in range(first.shape[0]):
        for b in range(first[p], last[p]):
            for i in range(d):
                start[i] = math.ceil((low[b, i] - origin[p, i]) / h[p])
                count[i] = math.ceil((high[b, i] - origin[p, i]) / h[p]) - start[i]
            for i in range(count[0]):
                for j in range(count[1]):
                    for k in range(count[2]):
                        places[n, 0] = origin[p, 0] + h[p] * (start[0] + i)
                        if d > 1:
                            places[n, 1] = origin[p, 1] + h[p] * (start[1] + j)
                        if d > 2:
                            places[n, 2] = origin[p, 2] + h[p] * (start[2] + k)
                        n += 1


@njit(**FAST)
def moments(values, places, size, x, anchor, lowest, stiffness, beta, sums):
    """Sums over lattices, one after the other, of w = exp(-beta (H - lowest)), w z and the upper triangle of w z z'.

    H = f + |place - x|² stiffness/2, z = place - anchor; size (P,) nodes each; sums (P, 1 + d + d (d + 1)/2).
    """
    d, n = x.shape[1], 0
    z = np.empty(d)
    for p in range(size.shape[0]):
        sums[p] = 0.0
        for _ in range(size[p]):
            far = 0.0
            for i in range(d):
                z[i] = places[n, i] - anchor[p, i]
                far += (places[n, i] - x[p, i]) ** 2
            exponent = -beta * (values[n] - lowest[p] + 0.5 * stiffness * far)
            n += 1
            if exponent > -60.0:
                w = math.exp(exponent)
                sums[p, 0] += w
                m = 1 + d
                for i in range(d):
                    sums[p, 1 + i] += w * z[i]
                    for j in range(i, d):
                        sums[p, m] += w * z[i] * z[j]
                        m += 1
