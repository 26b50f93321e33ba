"""Slow, obvious twin of pdelab/kernels/uniformisation.py: a dense matrix, one power after the other."""

import math

import numpy as np
from scipy.sparse import csr_matrix


def poisson_sum(starts, columns, entries, values, mean, terms, total, power, work):
    n = values.size
    P = csr_matrix((entries, columns, starts), shape=(n, n)).toarray()
    powers = [values.copy()]
    for _ in range(terms):
        powers.append(P @ powers[-1])
    log_weights = [k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(terms + 1)]
    total[:] = sum(math.exp(w) * p for w, p in zip(log_weights, powers))
    buffers = (power, work) if terms % 2 == 0 else (work, power)
    for k, buffer in zip((terms, terms - 1), buffers):
        if k >= 0:
            buffer[:] = powers[k]


def cases(rng):
    for n, mean, terms in ((1, 3.0, 0), (1, 0.5, 1), (2, 1e-3, 4), (3, 20.0, 60), (8, 300.0, 450)):
        P = rng.exponential(size=(n, n)) * (rng.random((n, n)) < 0.7)
        P /= np.maximum(P.sum(axis=1, keepdims=True), 1e-300)
        P = csr_matrix(P)
        for scale in (1.0, 1e-290, 0.0):
            scratch = [rng.normal(size=n) for _ in range(3)]
            yield P.indptr, P.indices, P.data, scale * rng.exponential(size=n), mean, terms, *scratch


TWINS = {"poisson_sum": (poisson_sum, cases)}
