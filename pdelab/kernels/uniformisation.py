"""The exponential of a Markov generator as a sum of non-negative terms, on a sparse matrix in compressed rows."""

import math

from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def poisson_sum(starts, columns, entries, values, mean, terms, total, power, work):
    """total = Σ_{k=0}^{terms} e^{-mean} mean^k/k! P^k values; `power` and `work` are scratch of the same size.

    starts, columns, entries : P in compressed rows
    """
    weight = math.exp(-mean)
    for i in range(values.size):
        power[i] = values[i]
        total[i] = weight * values[i]
    for k in range(1, terms + 1):
        weight *= mean / k
        for i in range(values.size):
            product = 0.0
            for j in range(starts[i], starts[i + 1]):
                product += entries[j] * power[columns[j]]
            work[i] = product
            total[i] += weight * product
        power, work = work, power
