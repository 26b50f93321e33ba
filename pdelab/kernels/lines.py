"""Integrals over the plane line by line: which boxes a line crosses, and sums of exp(-beta H) over panels of lines."""

import math

from numba import njit

from pdelab.kernels.intervals import FAST


@njit(**FAST)
def crossed(low, high, first, last, place, ends):
    """The parts of lines z1 = place[k] in the boxes low, high (B, 2) from first[k] to last[k], sorted by low[:, 1].

    Fills line, start and end, each part once where boxes meet or overlap; returns how many there are. With ends (0,)
    they are counted only.
    """
    n, counting = 0, ends.shape[0] == 0
    for k in range(place.shape[0]):
        reached = -math.inf
        for b in range(first[k], last[k]):
            if low[b, 0] <= place[k] <= high[b, 0] and high[b, 1] > reached:
                if not counting:
                    ends[n, 0], ends[n, 1], ends[n, 2] = k, max(low[b, 1], reached), high[b, 1]
                n += 1
                reached = high[b, 1]
    return n


@njit(**FAST)
def sums(values, places, weights, away, level, stiffness, beta, result):
    """Sums over the nodes of each panel of w = weight exp(-beta (f + bowl - level)), with columns to spare w z2, w z2².

    values (N, n) of f at places (N, n, 2), relative to an origin that is away (N, 2) from x; weights (n,), level (N,).
    bowl: (|z + away|² - |away|²) stiffness/2.
    """
    moments = result.shape[1] > 1
    for k in range(values.shape[0]):
        result[k] = 0.0
        for i in range(values.shape[1]):
            z1, z2 = places[k, i, 0], places[k, i, 1]
            bowl = stiffness * (z1 * (0.5 * z1 + away[k, 0]) + z2 * (0.5 * z2 + away[k, 1]))
            above = beta * min(values[k, i] + bowl - level[k], 1e290 / beta)
            w = weights[i] * math.exp(-min(max(above, -600.0), 700.0))
            result[k, 0] += w
            if moments:
                result[k, 1] += w * z2
                result[k, 2] += w * z2 * z2
