"""Kernels for Markov chains: elimination of a banded generator without subtractions (Grassmann, Taksar, Heyman 1985).

`band[i, j - i + width]` is the rate from i to j, its diagonal is ignored. Nodes are eliminated from the last to the
first; what leaves a node is always summed from its rates and its killing, never formed by a difference, so that every
result has the relative accuracy of the rates, however small it is.

Where the numbers leave the range of float64 they are wide: m 2^(512 e) with a whole number e and 2^-256 <= m < 2^256,
or zero. The arrays of e stand beside those of m; a band without wide numbers has an empty one.
"""

import numpy as np
from numba import njit

LARGE, SMALL, UP, DOWN = 2.0**256, 2.0**-256, 2.0**512, 2.0**-512
MOST, INFINITY = np.int64(2**63 - 1), np.int64(0x7FF0000000000000)  # the largest bits, and those of infinity


@njit(cache=True, nogil=True, error_model="numpy")
def normal(m, e):
    """A number m 2^(512 e), m >= 0, with m in its range."""
    if m == 0.0 or m == np.inf:
        return m, 0
    while m >= LARGE:
        m *= DOWN
        e += 1
    while m < SMALL:
        m *= UP
        e -= 1
    return m, e


@njit(cache=True, nogil=True, error_model="numpy")
def plus(m, e, n, f):
    """The sum of two wide numbers."""
    if n == 0.0 or (m != 0.0 and e - f > 1):  # what is smaller by 2^-512 does not count
        return m, e
    if m == 0.0 or f - e > 1:
        return n, f
    if e == f:
        return normal(m + n, e)
    return normal(m + n * DOWN, e) if e > f else normal(n + m * DOWN, f)


@njit(cache=True, nogil=True, error_model="numpy")
def eliminate(band, killing, leaving):
    """Censor the chain node by node, in place; killing: rates out of the chain; `leaving` gets what leaves a node.

    Column `last` of the band gets the rates into the node over what leaves it, its row the rates of the chain that is
    left. Right while these numbers stay within 1e±150; see `eliminate_wide`.
    """
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
                into = band[i, low - i + width : last - i + width]
                for j in range(row.size):
                    into[j] += share * row[j]
    leaving[0] = killing[0]


@njit(cache=True, nogil=True, error_model="numpy")
def eliminate_wide(band, exponents, killing, killing_exponents, leaving, leaving_exponents):
    """`eliminate` with wide numbers, in place."""
    n, width = band.shape[0], band.shape[1] // 2
    for last in range(n - 1, 0, -1):
        low = max(0, last - width)
        row, row_exponents = band[last, low - last + width : width], exponents[last, low - last + width : width]
        killed, killed_exponent = killing[last], killing_exponents[last]
        m, e = killed, killed_exponent
        for j in range(row.size):
            m, e = plus(m, e, row[j], row_exponents[j])
        leaving[last], leaving_exponents[last] = m, e
        for i in range(low, last):
            at = last - i + width
            if band[i, at] == 0.0:
                continue
            share, power = normal(band[i, at] / m, exponents[i, at] - e)
            band[i, at], exponents[i, at] = share, power
            add, more = normal(share * killed, power + killed_exponent)
            killing[i], killing_exponents[i] = plus(killing[i], killing_exponents[i], add, more)
            for j in range(row.size):
                if row[j] > 0.0:
                    add, more = normal(share * row[j], power + row_exponents[j])
                    k = low - i + width + j
                    band[i, k], exponents[i, k] = plus(band[i, k], exponents[i, k], add, more)
    leaving[0], leaving_exponents[0] = killing[0], killing_exponents[0]


@njit(cache=True, nogil=True, error_model="numpy")
def extremes(entries):
    """(smallest, largest) of the positive ones of flat numbers >= 0, (inf, 0) without any; not finite: (0, inf).

    Floating-point numbers >= 0 have the order of their bits, whose comparisons vectorise.
    """
    bits = entries.view(np.int64)
    low, high = MOST, np.int64(0)
    for k in range(bits.size):
        low = min(low, bits[k] if bits[k] > 0 else MOST)
        high = max(high, bits[k])
    if high >= INFINITY:
        return 0.0, np.inf
    ends = np.array([low, high]).view(np.float64)
    return (ends[0], ends[1]) if high > 0 else (np.inf, 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def weights(band, exponents):
    """Stationary masses after the elimination without killing, the first one 1: wide numbers (m, e)."""
    n, width = band.shape[0], band.shape[1] // 2
    mass, powers = np.zeros(n), np.zeros(n, dtype=np.int64)
    mass[0] = 1.0
    for i in range(n):
        for j in range(i + 1, min(n, i + width + 1)):
            share = band[i, j - i + width]
            if share > 0.0:
                power = powers[i] + (exponents[i, j - i + width] if exponents.size else 0)
                total = mass[j] + mass[i] * share
                if power == powers[j] and mass[j] > 0.0 and total < LARGE:
                    mass[j] = total
                else:
                    add, more = normal(mass[i] * share, power)
                    mass[j], powers[j] = plus(mass[j], powers[j], add, more)
    return mass, powers


@njit(cache=True, nogil=True, error_model="numpy")
def forward(band, exponents, load, powers):
    """Carry a load along with the elimination, in place: wide numbers."""
    n, width = band.shape[0], band.shape[1] // 2
    for i in range(n - 2, -1, -1):
        m, e = load[i], powers[i]
        for last in range(min(n - 1, i + width), i, -1):
            share = band[i, last - i + width]
            if share > 0.0 and load[last] > 0.0:
                power = powers[last] + (exponents[i, last - i + width] if exponents.size else 0)
                total = m + share * load[last]
                if power == e and m > 0.0 and total < LARGE:
                    m = total
                else:
                    add, more = normal(share * load[last], power)
                    m, e = plus(m, e, add, more)
        load[i], powers[i] = m, e


@njit(cache=True, nogil=True, error_model="numpy")
def values(band, exponents, load, powers, leaving, leaving_powers):
    """The solution v of (killing - Q) v = load after `forward`, in place of the load: wide numbers."""
    n, width = band.shape[0], band.shape[1] // 2
    for i in range(n):
        m, e = load[i], powers[i]
        for j in range(max(0, i - width), i):
            rate = band[i, j - i + width]
            if rate > 0.0 and load[j] > 0.0:
                power = powers[j] + (exponents[i, j - i + width] if exponents.size else 0)
                total = m + rate * load[j]
                if power == e and m > 0.0 and total < LARGE:
                    m = total
                else:
                    add, more = normal(rate * load[j], power)
                    m, e = plus(m, e, add, more)
        load[i], powers[i] = normal(m / leaving[i], e - leaving_powers[i])
