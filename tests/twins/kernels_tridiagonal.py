"""Slow, obvious twins of pdelab/kernels/tridiagonal.py: dense matrices, one line after the other."""

import itertools
import math

import numpy as np

EXPLICIT, IMPLICIT, TRAPEZOID = range(3)
SHAPES = [(1, 2, 1), (1, 3, 1), (1, 9, 1), (1, 2, 4), (2, 3, 2), (3, 4, 5), (2, 7, 1), (1, 33, 17)]


def bernoulli(q, D):
    def against(a):
        z = a / D if D > 0 else math.inf
        return D if a == 0 or z < 1e-300 else float(a / np.expm1(np.float64(z)))

    a = abs(q)
    pair = (a + against(a), against(a))
    return pair if q > 0 else pair[::-1]


def rates(drop, D, scale, periodic, up, down):
    outer, n, inner = drop.shape
    for o, i, j in itertools.product(range(outer), range(n), range(inner)):
        k = (i + 1) % n
        empty = i == n - 1 and not periodic
        up[o, i, j] = 0.0 if empty else scale * bernoulli(drop[o, i, j], D[o, i, j])[0]
        down[o, i, j] = 0.0 if empty else scale * bernoulli(drop[o, i, j], D[o, k, j])[1]
        if not periodic and i == 0:
            up[o, i, j] *= 2
        if not periodic and i == n - 2:
            down[o, i, j] *= 2


def dense(up, down):
    """Q of one line."""
    n = up.size
    Q = np.zeros((n, n))
    for i in range(n):
        k = (i + 1) % n
        Q[i, k] += up[i]
        Q[k, i] += down[i]
        Q[i, i] -= up[i]
        Q[k, k] -= down[i]
    return Q


def factor(up, down, periodic, factors):
    if periodic:
        factor_ring(up, down, factors)
        return
    n = up.size
    towards = [(k, k + 1) if k < n // 2 else (k, k - 1) for k in range(n)]
    order = [*range(n // 2), *range(n - 1, n // 2, -1)]
    R, killing = dense(up, down), np.ones(n)
    np.fill_diagonal(R, 0.0)
    factors[:] = 0.0
    left = list(range(n))
    for i in order:
        left.remove(i)
        eliminated(R, killing, i, left, factors, towards[i][1])
    factors[2, n // 2] = 1 / killing[n // 2]


def eliminated(R, killing, i, left, factors, neighbour):
    """Take node i out of the chain without subtractions."""
    d = killing[i] + R[i, left].sum()
    factors[2, i] = 1 / d
    factors[0, i], factors[3, i] = R[i, neighbour] / d, R[neighbour, i] / d
    for k in left:
        killing[k] += R[k, i] * killing[i] / d
        R[k, left] += R[k, i] * R[i, left] / d
        R[k, k] = 0.0


def factor_ring(up, down, factors):
    n = up.size
    R, killing = dense(up, down), np.ones(n)
    np.fill_diagonal(R, 0.0)
    factors[:] = 0.0
    for i in range(n - 1):
        d = killing[i] + R[i, i + 1 :].sum()
        factors[1, i], factors[4, i] = R[i, n - 1] / d, R[n - 1, i] / d
        eliminated(R, killing, i, list(range(i + 1, n)), factors, i + 1)
    factors[0, n - 2] = factors[3, n - 2] = 0.0
    factors[2, n - 1] = 1 / killing[n - 1]


def solve(low, into, inverse, back, outof, periodic, rhs, x):
    if periodic:
        solve_ring(low, into, inverse, back, outof, rhs, x)
        return
    n = rhs.size
    L, U = np.eye(n), np.eye(n)
    for i in range(n):
        if i != n // 2:
            k = i + 1 if i < n // 2 else i - 1
            L[k, i], U[i, k] = -low[i], -back[i]
    x[:] = np.linalg.solve(U, inverse * np.linalg.solve(L, rhs))


def solve_ring(low, into, inverse, back, outof, rhs, x):
    n = rhs.size
    L, U = np.eye(n), np.eye(n)
    for i in range(n - 1):
        if i < n - 2:
            L[i + 1, i], U[i, i + 1] = -low[i], -back[i]
        L[n - 1, i], U[i, n - 1] = -into[i], -outof[i]
    x[:] = np.linalg.solve(U, inverse * np.linalg.solve(L, rhs))


def operator(up, down, adjoint):
    return dense(up, down) if adjoint else dense(up, down).T


def change(m, up, down, adjoint, scale, out):
    out[:] = 0.0
    for i in range(m.size):
        k = (i + 1) % m.size
        if adjoint:
            out[i] += scale * up[i] * (m[k] - m[i])
            out[k] += scale * down[i] * (m[i] - m[k])
        else:
            flux = scale * (up[i] * m[i] - down[i] * m[k])
            out[i] -= flux
            out[k] += flux


def backward_euler(m, up, down, factors, periodic, adjoint):
    one_step(m, up, down, factors, periodic, adjoint, IMPLICIT, 1.0)


def trapezoid(m, up, down, factors, periodic, adjoint, gain):
    one_step(m, up, down, factors, periodic, adjoint, TRAPEZOID, gain)


def one_step(m, up, down, factors, periodic, adjoint, mode, gain):
    A, I = operator(up, down, adjoint), np.eye(m.size)
    if mode == EXPLICIT:
        m[:] = m + A @ m
    elif mode == IMPLICIT:
        m[:] = np.linalg.solve(I - A, m + (gain - 1) * A @ m)
    else:
        m[:] = m + np.linalg.solve(I - A, gain * A @ m)


def steady_steps(m, up, down, factors, periodic, adjoint, mode, gain, steps):
    for _ in range(steps):
        one_step(m, up, down, factors, periodic, adjoint, mode, gain)


def moving_steps(m, times, drops, D, scale, periodic, adjoint, mode, time, dt, steps, where):
    n = m.size
    for step in range(steps):
        t = time + (step + where) * dt
        drop = np.array([np.interp(t, times, drops[:, i]) for i in range(n)])
        up, down = np.empty((1, n, 1)), np.empty((1, n, 1))
        held = scale * (dt / 2 if mode == TRAPEZOID else dt)
        rates(drop.reshape(1, n, 1), D.reshape(1, n, 1), held, periodic, up, down)
        one_step(m, up.ravel(), down.ravel(), None, periodic, adjoint, mode, 2.0 if mode == TRAPEZOID else 1.0)


def each_line(shape):
    return itertools.product(range(shape[0]), range(shape[2]))


def beside(face, n, periodic):
    table = {k: ((k - 1) % n, (k + 1) % n, 0.5) for k in range(n)}
    if not periodic:
        table |= {0: (0, 1, 1.0), n - 2: (n - 3, n - 2, 1.0), n - 1: (0, 0, 0.0)}
        if n == 2:
            table = {0: (0, 0, 0.0), 1: (0, 0, 0.0)}
    return table[face]


def fit(drop, D, periodic, up, down):
    n, fastest = drop.shape[1], 0.0
    for o, j in each_line(drop.shape):
        for i in range(n):
            first, second, share = beside(i, n, periodic)
            part = share * (drop[o, first, j] - drop[o, second, j]) / (12 * D)
            for rate in (up, down):
                rate[o, i, j] = rate[o, i, j] * (1 + part) if part > 0 else rate[o, i, j] / (1 - part)
        Q = dense(up[o, :, j], down[o, :, j])
        out = -2 * np.diag(Q)
        if not periodic:
            out[[0, -1]] *= 1.01 / 2
            symmetric = np.sqrt(np.abs(Q)) * np.sqrt(np.abs(Q.T))
            fastest = max(fastest, float(symmetric.sum(axis=1).max()))
        fastest = max(fastest, float(out.max()))
    return fastest


def random_rates(rng, shape, periodic, size):
    up, down = size * rng.random(shape), size * rng.random(shape)
    up[rng.random(shape) < 0.1] = 0.0
    down[rng.random(shape) < 0.1] = 0.0
    if not periodic:
        up[:, -1] = down[:, -1] = 0.0
    return up, down


def bernoulli_cases(rng):
    for q in (0.0, 1e-320, 1e-12, 1.0, 30.0, 700.0, 800.0, 1e300, *rng.normal(size=20) * 10):
        for D in (0.0, 1e-310, 1e-3, 1.0, 1e10):
            yield float(q), D
            yield -float(q), D


def rates_cases(rng):
    for shape, periodic, size in itertools.product(SHAPES, (False, True), (0.0, 1e-310, 1.0, 1e3)):
        drop, D = size * rng.normal(size=shape), rng.random(shape) * (rng.random(shape) > 0.2)
        yield drop, D, 0.7, periodic, np.empty(shape), np.empty(shape)
        yield drop, np.full(shape, 0.3), 0.7, periodic, np.empty(shape), np.empty(shape)


def line_cases(rng):
    for n, periodic, size in itertools.product((2, 3, 4, 40), (False, True), (1e-310, 0.3, 100.0)):
        up, down = random_rates(rng, (1, n, 1), periodic, size)
        yield up.ravel(), down.ravel(), periodic


def factored(up, down, periodic):
    factors = np.empty((5, up.size))
    factor(up, down, periodic, factors)
    return factors


def data(rng, n):
    yield rng.random(n)
    yield rng.normal(size=n)
    yield np.full(n, 3.0)
    yield rng.normal(size=n) * 1e200


def factor_cases(rng):
    for up, down, periodic in line_cases(rng):
        yield up, down, periodic, np.empty((5, up.size))


def ring_cases(rng):
    for up, down, periodic in line_cases(rng):
        if periodic:
            yield up, down, np.empty((5, up.size))


def solve_cases(rng):
    for up, down, periodic in line_cases(rng):
        low, into, inverse, back, outof = factored(up, down, periodic)
        for rhs in data(rng, up.size):
            yield low, into, inverse, back, outof, periodic, rhs, np.empty(up.size)
            yield back, outof, inverse, low, into, periodic, rhs, np.empty(up.size)


def solve_ring_cases(rng):
    for *factors, periodic, rhs, x in solve_cases(rng):
        if periodic:
            yield *factors, rhs, x


def change_cases(rng):
    for up, down, _ in line_cases(rng):
        for m, adjoint in itertools.product(data(rng, up.size), (False, True)):
            yield m, up, down, adjoint, 2.0, np.empty(up.size)


def step_cases(rng):
    for up, down, periodic in line_cases(rng):
        for m, adjoint in itertools.product(data(rng, up.size), (False, True)):
            yield m, up, down, factored(up, down, periodic), periodic, adjoint


def trapezoid_cases(rng):
    for gain, case in itertools.product((1.0, 2.0, 2.7), step_cases(rng)):
        yield *case, gain


def one_step_cases(rng):
    for mode, case in itertools.product(range(3), step_cases(rng)):
        yield *case, mode, 2.3 if mode == TRAPEZOID else 1.0
        if mode == IMPLICIT and case[1].max() < 1:
            yield *case, mode, 1.3


def steady_cases(rng):
    for mode, case in itertools.product(range(3), step_cases(rng)):
        if mode != EXPLICIT or case[1].max() < 1:  # larger ones are unstable
            yield *case, mode, 1.9 if mode == TRAPEZOID else 1.0, 3


def moving_cases(rng):
    for n, periodic, adjoint, mode in itertools.product((2, 3, 20), (False, True), (False, True), range(3)):
        D, m = np.full(n, 0.4), rng.random(n)
        for times in (np.array([0.5]), np.array([0.0, 0.3, 1.0, 1.1])):
            drops = rng.normal(size=(times.size, n))
            yield m, times, drops, D, 1.3, periodic, adjoint, mode, 0.1, 0.2, 6, 0.5


def beside_cases(rng):
    for n, periodic in itertools.product((2, 3, 4, 9), (False, True)):
        for face in range(n):
            yield face, n, periodic


def fit_cases(rng):
    for shape, periodic, size in itertools.product(SHAPES, (False, True), (0.0, 1.0, 100.0)):
        drop = size * rng.normal(size=shape)
        yield drop, 0.4, periodic, *random_rates(rng, shape, periodic, 3.0)


TWINS = {
    "bernoulli": (bernoulli, bernoulli_cases),
    "rates": (rates, rates_cases),
    "factor": (factor, factor_cases),
    "factor_ring": (factor_ring, ring_cases),
    "solve": (solve, solve_cases),
    "solve_ring": (solve_ring, solve_ring_cases),
    "change": (change, change_cases),
    "backward_euler": (backward_euler, step_cases),
    "trapezoid": (trapezoid, trapezoid_cases),
    "one_step": (one_step, one_step_cases),
    "steady_steps": (steady_steps, steady_cases),
    "moving_steps": (moving_steps, moving_cases),
    "beside": (beside, beside_cases),
    "fit": (fit, fit_cases),
}
