"""Slow, obvious twins of pdelab/kernels/elimination.py: the chain as a dense matrix."""

import numpy as np


def as_dense(band):
    n, width = band.shape[0], band.shape[1] // 2
    R = np.zeros((n, n))
    for i in range(n):
        for j in range(max(0, i - width), min(n, i + width + 1)):
            R[i, j] = band[i, j - i + width]
    return R


def eliminate(band, killing, load, leaving):
    n, width = band.shape[0], band.shape[1] // 2
    R = as_dense(band)
    for last in range(n - 1, 0, -1):
        leaving[last] = killing[last] + R[last, :last].sum()
        R[:last, last] /= leaving[last]
        for i in range(last):
            killing[i] += R[i, last] * killing[last]
            load[i] += R[i, last] * load[last]
            R[i, :last] += R[i, last] * R[last, :last]
    leaving[0] = killing[0]
    for i in range(n):
        for j in range(max(0, i - width), min(n, i + width + 1)):
            band[i, j - i + width] = R[i, j]


def weights(band):
    R, n = as_dense(band), band.shape[0]
    mass = np.zeros(n)
    mass[0] = 1.0
    for j in range(1, n):
        mass[j] = mass[:j] @ R[:j, j]
    return mass / mass.max()


def values(band, load, leaving):
    R, v = as_dense(band), np.zeros(load.size)
    for i in range(load.size):
        v[i] = (load[i] + R[i, :i] @ v[:i]) / leaving[i]
    return v


def chains(rng):
    for n, width in ((1, 1), (2, 1), (3, 1), (3, 2), (12, 1), (15, 4), (9, 8)):
        for size in (1.0, 1e-150, 1e150):
            band = size * rng.random((n, 2 * width + 1)) * 10.0 ** rng.integers(-9, 9, (n, 2 * width + 1))
            for i in range(n):
                for k in range(2 * width + 1):
                    if not 0 <= i + k - width < n:
                        band[i, k] = 0.0
            band[:, width] = 0.0
            yield band, size * rng.random(n), rng.random(n), np.zeros(n)


def eliminated(rng):
    for band, killing, load, leaving in chains(rng):
        eliminate(band, killing, load, leaving)
        yield band, load, leaving


TWINS = {
    "eliminate": (eliminate, chains),
    "weights": (weights, lambda rng: ((band,) for band, _, _ in eliminated(rng))),
    "values": (values, eliminated),
}
