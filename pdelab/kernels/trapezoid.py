"""The trapezoid rule on lattices, one a point: their nodes, and sums of exp(-beta H) with first and second moments."""

import math

import numpy as np
from numba import njit

from pdelab.kernels.intervals import FAST


@njit(**FAST)
def nodes(first, counts, h, places):
    """The nodes first[p] + h[p] (i, j, k) of lattices of counts[p] nodes, one after the other: places (N, d)."""
    n, d = 0, first.shape[1]
    for p in range(first.shape[0]):
        last, middle = counts[p, d - 1], counts[p, d - 2] if d > 1 else 1
        size = 1
        for i in range(d):
            size *= counts[p, i]
        for m in range(size):
            places[n, d - 1] = first[p, d - 1] + h[p] * (m % last)
            if d > 1:
                places[n, d - 2] = first[p, d - 2] + h[p] * ((m // last) % middle)
            if d > 2:
                places[n, 0] = first[p, 0] + h[p] * (m // (last * middle))
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
