"""Kernels for Markov chains: elimination of a banded generator without subtractions (Grassmann, Taksar, Heyman 1985).

`band[i, j - i + width]` is the rate from i to j, its diagonal is ignored. Nodes are eliminated from the last to the
first; what leaves a node is always summed from its rates and its killing, never formed by a difference, so that every
result has the relative accuracy of the rates, however small it is.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def eliminate(band, killing, load, leaving):
    """Censor the chain node by node, in place. killing: rates out of the chain; load: right-hand side of `values`."""
    n, width = band.shape[0], band.shape[1] // 2
    for last in range(n - 1, 0, -1):
        low = max(0, last - width)
        row = band[last, low - last + width : width]
        leaving[last] = killing[last] + row.sum()
        for i in range(low, last):
            share = band[i, last - i + width] / leaving[last]
            band[i, last - i + width] = share
            if share > 0.0:
                killing[i] += share * killing[last]
                load[i] += share * load[last]
                into = band[i, low - i + width : last - i + width]
                for j in range(row.size):
                    into[j] += share * row[j]
    leaving[0] = killing[0]


@njit(cache=True, nogil=True, error_model="numpy")
def weights(band):
    """Stationary masses after `eliminate` without killing, largest one about 1."""
    n, width = band.shape[0], band.shape[1] // 2
    mass = np.zeros(n)
    mass[0] = 1.0
    for i in range(n):
        if mass[i] > 1e150:
            mass *= 1e-150
        for j in range(i + 1, min(n, i + width + 1)):
            mass[j] += mass[i] * band[i, j - i + width]
    return mass / mass.max()


@njit(cache=True, nogil=True, error_model="numpy")
def values(band, load, leaving):
    """The solution v of (killing - Q) v = load after `eliminate`."""
    n, width = band.shape[0], band.shape[1] // 2
    v = np.empty(n)
    for i in range(n):
        total = load[i]
        for j in range(max(0, i - width), i):
            total += band[i, j - i + width] * v[j]
        v[i] = total / leaving[i]
    return v
