"""Modes of a reversible line: decay rates and eigenvectors of -Q to relative accuracy, the exponentially slow ones too.

Rates `up` and `down` as in `tridiagonal`, without a periodic face, scaled so that the largest is about one. The
symmetrised matrix has the diagonal up_i + down_{i-1} and -sqrt(up_i down_i) beside it. Less a shift it is eliminated by

    killing_i = down_{i-1} killing_{i-1} / (killing_{i-1} + up_{i-1}) - shift,    pivot_i = killing_i + up_i,

from the left, and likewise from the right: products of what is given, never the difference of two large numbers
(the stationary qd transform of a bidiagonal factor: Dhillon and Parlett 2004).
"""

import math

import numpy as np
from numba import njit

SMALL = 1e-305  # a pivot is never closer to zero
WIDTH = 32  # modes side by side


@njit(cache=True, nogil=True, error_model="numpy")
def below(up, down, first, shifts, killing, counts):
    """counts = how many decay rates lie below each shift, zero's among them (Sturm); scratch: killing.

    first : rate at which the first node is killed; of the last node it is up[-1]
    """
    for j in range(shifts.size):
        killing[j] = first - shifts[j]
        counts[j] = 0.0
    for i in range(up.size):
        ahead, back = up[i], down[i]
        for j in range(shifts.size):
            pivot = killing[j] + ahead
            pivot = -SMALL if abs(pivot) < SMALL else pivot
            counts[j] += 1.0 if pivot < 0.0 else 0.0
            killing[j] = back * (killing[j] / pivot) - shifts[j]


@njit(cache=True, nogil=True, error_model="numpy")
def slowest(up, down, first, high, width, rates):
    """The decay rates, ascending, all at most `high`, by bisection side by side to the relative `width`.

    Without killing (first = up[-1] = 0) they begin after zero.
    """
    skip = 0 if first > 0.0 or up[-1] > 0.0 else 1
    count = rates.size
    lower, upper = np.zeros(count), np.full(count, high)
    killing, counts = np.empty(count), np.empty(count)
    for j in range(count):
        rates[j] = high * (j + 1) / (count + 1)
    below(up, down, first, rates, killing, counts)
    for i in range(count):
        lying = min(max(int(counts[i]) - skip, 0), count)  # all before are below this shift
        for j in range(lying):
            upper[j] = min(upper[j], rates[i])
        for j in range(lying, count):
            lower[j] = max(lower[j], rates[i])
    wide = True
    while wide:
        for j in range(count):
            rates[j] = 0.5 * (lower[j] + upper[j])
        below(up, down, first, rates, killing, counts)
        wide = False
        for j in range(count):
            if counts[j] <= j + skip:
                lower[j] = rates[j]
            else:
                upper[j] = rates[j]
            wide |= upper[j] - lower[j] > max(width * upper[j], SMALL)


@njit(cache=True, nogil=True, error_model="numpy")
def twisted(up, down, rates, vectors):
    """Eigenvectors of length one to approximate decay rates, as rows of `vectors`; the rates get Rayleigh's correction.

    Two eliminations meet at the node where the pivot that remains is smallest; from there quotients give the vector.
    """
    n = up.size
    left, z, size = np.empty((n, WIDTH)), np.empty((n, WIDTH)), np.empty(WIDTH)
    for first in range(0, rates.size, WIDTH):
        last = min(first + WIDTH, rates.size)
        twisted_block(up, down, rates[first:last], left, z, size)
        for start in range(0, n, 16):  # transposed in pieces that stay in the cache
            for j in range(first, last):
                for i in range(start, min(start + 16, n)):
                    vectors[j, i] = z[i, j - first] * size[j - first]


@njit(cache=True, nogil=True, error_model="numpy")
def twisted_block(up, down, rates, left, z, size):
    """`twisted` for at most WIDTH rates: the vectors are the columns of z (n, WIDTH) times `size`; scratch: left."""
    n, count = up.size, rates.size
    for j in range(count):
        left[0, j] = -rates[j]
    for i in range(1, n):
        ahead, back, before, here = up[i - 1], down[i - 1], left[i - 1], left[i]
        for j in range(count):
            pivot = before[j] + ahead
            pivot = -SMALL if abs(pivot) < SMALL else pivot
            here[j] = back * (before[j] / pivot) - rates[j]
    right, best, node = -rates, left[n - 1, :count].copy(), np.full(count, n - 1.0)
    for i in range(n - 2, -1, -1):
        ahead, back, here, after = up[i], down[i], left[i], z[i + 1]
        root = math.sqrt(ahead) * math.sqrt(back)
        for j in range(count):
            pivot = right[j] + back
            pivot = -SMALL if abs(pivot) < SMALL else pivot
            after[j] = root / pivot
            right[j] = ahead * (right[j] / pivot) - rates[j]
            meeting = here[j] + right[j] + rates[j]
            nearer = abs(meeting) < abs(best[j])
            best[j] = meeting if nearer else best[j]
            node[j] = i if nearer else node[j]
    z[0, :count] = 1.0
    size[:count] = 0.0
    for i in range(1, n):
        before, here = z[i - 1], z[i]
        for j in range(count):
            here[j] = here[j] * before[j] if i > node[j] else 1.0
            size[j] += here[j] * here[j] if i > node[j] else 0.0
    for i in range(n - 1, -1, -1):
        ahead, here, after, gains = up[i], z[i], z[i + 1 if i < n - 1 else i], left[i]
        root = math.sqrt(ahead) * math.sqrt(down[i])
        for j in range(count):
            pivot = gains[j] + ahead
            pivot = -SMALL if abs(pivot) < SMALL else pivot
            here[j] = root / pivot * after[j] if i < node[j] else here[j]
            size[j] += here[j] * here[j] if i <= node[j] else 0.0
    for j in range(count):
        rates[j] += best[j] / size[j]
        size[j] = 1.0 / math.sqrt(size[j])
