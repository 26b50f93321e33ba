"""Slow, obvious twins of pdelab/kernels/modes.py: dense eigenvectors in fifty digits."""

import mpmath
import numpy as np

SMALL, WIDTH = 1e-305, 32


def matrix(up, down, first=0.0):
    """The symmetrised -Q, in as many digits as mpmath works with."""
    A = mpmath.zeros(up.size)
    for i in range(up.size - 1):
        A[i, i] += mpmath.mpf(up[i])
        A[i + 1, i + 1] += mpmath.mpf(down[i])
        A[i, i + 1] = A[i + 1, i] = -mpmath.sqrt(mpmath.mpf(up[i]) * mpmath.mpf(down[i]))
    A[0, 0] += mpmath.mpf(first)
    A[up.size - 1, up.size - 1] += mpmath.mpf(up[-1])
    return A


def spectrum(up, down, first=0.0):
    """The decay rates, ascending; without killing zero is one of them."""
    with mpmath.workdps(50):
        rates = sorted(mpmath.eigsy(matrix(up, down, first), eigvals_only=True))
    return np.array([*map(float, rates)] if first or up[-1] else [0.0, *map(float, rates[1:])])


def resolvent(up, down, rate):
    """(k, the column k of (-Q - rate)^-1 over its entry k, 1 / that entry), k the node where it is largest."""
    with mpmath.workdps(50):
        R = (matrix(up, down) - mpmath.mpf(rate) * mpmath.eye(up.size)) ** -1
        k = max(range(up.size), key=lambda i: abs(R[i, i]))
        return np.array([float(R[i, k] / R[k, k]) for i in range(up.size)]), float(1 / R[k, k])


def guarded(pivot):
    return -SMALL if abs(pivot) < SMALL else pivot


def below(up, down, first, shifts, killing, counts):
    rates = spectrum(up, down, first)
    for j, shift in enumerate(shifts):
        counts[j] = np.sum(rates < shift)
        killing[j] = first - shift
        for ahead, back in zip(up, down):
            killing[j] = back * (killing[j] / guarded(killing[j] + ahead)) - shift


def slowest(up, down, first, high, width, rates):
    skip = 0 if first or up[-1] else 1
    rates[:] = spectrum(up, down, first)[skip : skip + rates.size]


def twisted(up, down, rates, vectors):
    for j, rate in enumerate(rates):
        z, pivot = resolvent(up, down, rate)
        rates[j], vectors[j] = rate + pivot / (z @ z), z / np.sqrt(z @ z)


def twisted_block(up, down, rates, left, z, size):
    for j, rate in enumerate(rates):
        left[0, j] = -rate
        for i in range(1, up.size):
            left[i, j] = down[i - 1] * (left[i - 1, j] / guarded(left[i - 1, j] + up[i - 1])) - rate
        z[:, j], pivot = resolvent(up, down, rate)
        size[j] = 1 / np.sqrt(z[:, j] @ z[:, j])
        rates[j] += pivot * size[j] ** 2


def lines(rng):
    """Rates of random lines, and of two wells that hardly know of each other."""
    for n in (2, 3, 4, 9):
        up, down = 0.1 + 0.9 * rng.random(n), 0.1 + 0.9 * rng.random(n)
        if n == 9:
            up[3] *= 1e-20
            down[4] *= 1e-22
        up[-1] = down[-1] = 0.0
        yield up, down


def killed(rng):
    """The same with what leaves at the ends."""
    for n in (2, 3, 9):
        up, down = 0.1 + 0.9 * rng.random(n), 0.1 + 0.9 * rng.random(n)
        down[-1] = 0.0
        yield up, down, float(rng.random())
        yield np.append(up[:-1], 0.0), down, 0.3
        yield up, down, 0.0


def below_cases(rng):
    for up, down in lines(rng):
        shifts = np.array([1e-60, 1e-3, 0.11, 0.4, 0.9, 5.0])
        yield up, down, 0.0, shifts, np.empty(6), np.empty(6)
    for up, down, first in killed(rng):
        yield up, down, first, shifts, np.empty(6), np.empty(6)


def slowest_cases(rng):
    for up, down in lines(rng):
        for count in (0, 1, up.size - 1):
            yield up, down, 0.0, 4.0, 1e-15, np.empty(count)
    for up, down, first in killed(rng):
        yield up, down, first, 6.0, 1e-15, np.empty(up.size)


def twisted_cases(rng):
    for up, down in lines(rng):
        rates = spectrum(up, down)[1:] * (1 + 1e-4 * rng.random(up.size - 1))
        yield up, down, rates, np.empty((rates.size, up.size))


def twisted_block_cases(rng):
    for up, down, rates, _ in twisted_cases(rng):
        yield up, down, rates, np.ones((up.size, WIDTH)), np.ones((up.size, WIDTH)), np.ones(WIDTH)


TWINS = {
    "below": (below, below_cases),
    "slowest": (slowest, slowest_cases),
    "twisted": (twisted, twisted_cases),
    "twisted_block": (twisted_block, twisted_block_cases),
}
