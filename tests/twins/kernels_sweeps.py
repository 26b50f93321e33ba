"""Slow, obvious twins of pdelab/kernels/sweeps.py: one line after the other, by the twins of a line."""

import itertools

import numpy as np
from twins.kernels_tridiagonal import (
    IMPLICIT,
    SHAPES,
    dense,
    each_line,
    eliminated,
    factor_ring,
    one_step,
    operator,
    random_rates,
)


def factor_lines(up, down, periodic, inverse, into, outof):
    n = up.shape[1]
    for o, j in each_line(up.shape):
        if periodic:
            factors = np.empty((5, n))
            factor_ring(up[o, :, j], down[o, :, j], factors)
            inverse[o, :, j] = factors[2]
            into[o, :-1, j] = factors[1, :-1] / factors[2, :-1]
            outof[o, :-1, j] = factors[4, :-1] / factors[2, :-1]
        else:
            R, killing = dense(up[o, :, j], down[o, :, j]), np.ones(n)
            np.fill_diagonal(R, 0.0)
            factors = np.zeros((5, n))
            for i in range(n - 1):
                eliminated(R, killing, i, list(range(i + 1, n)), factors, i + 1)
            inverse[o, :, j] = np.append(factors[2, :-1], 1 / killing[-1])


def solve_lines(up, down, inverse, into, outof, periodic, x):
    n = x.shape[1]
    for o, j in each_line(x.shape):
        L, U = np.eye(n), np.eye(n)
        k = inverse[o, :, j]
        for i in range(n - 1):
            if i < n - 2 or not periodic:
                L[i + 1, i], U[i, i + 1] = -up[o, i, j] * k[i], -down[o, i, j] * k[i]
            if periodic:
                L[n - 1, i], U[i, n - 1] = -into[o, i, j] * k[i], -outof[o, i, j] * k[i]
        x[o, :, j] = np.linalg.solve(U, k * np.linalg.solve(L, x[o, :, j]))


def change_lines(m, up, down, adjoint, scale, out):
    for o, j in each_line(m.shape):
        out[o, :, j] += scale * operator(up[o, :, j], down[o, :, j], adjoint) @ m[o, :, j]


def backward_euler_lines(m, up, down, inverse, into, outof, periodic, adjoint, x):
    for o, j in each_line(m.shape):
        one_step(m[o, :, j], up[o, :, j], down[o, :, j], None, periodic, adjoint, IMPLICIT, 1.0)
    x[:] = m


def corrected_euler_lines(m, up, down, inverse, into, outof, periodic, adjoint, gain, x):
    for o, j in each_line(m.shape):
        m[o, :, j] += (gain - 1) * operator(up[o, :, j], down[o, :, j], adjoint) @ m[o, :, j]
    backward_euler_lines(m, up, down, inverse, into, outof, periodic, adjoint, x)


def trapezoid_lines(m, up, down, inverse, into, outof, periodic, adjoint, gain, x):
    for o, j in each_line(m.shape):
        A = operator(up[o, :, j], down[o, :, j], adjoint)
        x[o, :, j] = np.linalg.solve(np.eye(len(A)) - A, gain * A @ m[o, :, j])
    m += x


def backward_euler_block(m, up, down, inverse, first, last, x):
    for j in range(first, last):
        one_step(m[:, j], up[:, j], down[:, j], None, False, False, IMPLICIT, 1.0)
        x[:, j] = m[:, j]


def trapezoid_block(m, up, down, inverse, first, last, gain, x):
    for j in range(first, last):
        A = operator(up[:, j], down[:, j], False)
        x[:, j] = np.linalg.solve(np.eye(len(A)) - A, gain * A @ m[:, j])
        m[:, j] += x[:, j]


def transpose(a, out):
    out[:] = a.T


def lines_cases(rng):
    for shape, periodic, size in itertools.product(SHAPES, (False, True), (1e-310, 0.3, 100.0)):
        up, down = random_rates(rng, shape, periodic, size)
        inverse = np.empty(shape)
        into, outof = np.zeros(shape), np.zeros(shape)
        yield up, down, periodic, inverse, into, outof


def factor_lines_cases(rng):
    yield from lines_cases(rng)


def solve_lines_cases(rng):
    for up, down, periodic, inverse, into, outof in lines_cases(rng):
        factor_lines(up, down, periodic, inverse, into, outof)
        yield up, down, inverse, into, outof, periodic, rng.normal(size=up.shape)
        yield down, up, inverse, outof, into, periodic, rng.random(up.shape)


def change_lines_cases(rng):
    for (up, down, *_), adjoint in itertools.product(lines_cases(rng), (False, True)):
        yield rng.normal(size=up.shape), up, down, adjoint, 1.5, rng.random(up.shape)


def step_lines_cases(rng):
    for (up, down, periodic, inverse, into, outof), adjoint in itertools.product(lines_cases(rng), (False, True)):
        factor_lines(up, down, periodic, inverse, into, outof)
        yield rng.random(up.shape), up, down, inverse, into, outof, periodic, adjoint, np.empty(up.shape)


def corrected_cases(rng):
    for *case, x in step_lines_cases(rng):
        if case[1].max() < 1:
            yield *case, 1.2, x


def trapezoid_lines_cases(rng):
    for *case, x in step_lines_cases(rng):
        yield *case, 2.3, x


def trapezoid_block_cases(rng):
    for m, up, down, inverse, _, _, periodic, adjoint, gain, x in trapezoid_lines_cases(rng):
        if not (periodic or adjoint):
            for first, last in ((0, m.shape[2]), (m.shape[2] // 2, m.shape[2])):
                yield m[0], up[0], down[0], inverse[0], first, last, gain, np.zeros_like(x[0])


def backward_euler_block_cases(rng):
    for m, up, down, inverse, _, _, periodic, adjoint, x in step_lines_cases(rng):
        if not (periodic or adjoint):
            for first, last in ((0, m.shape[2]), (m.shape[2] // 2, m.shape[2])):
                yield m[0], up[0], down[0], inverse[0], first, last, np.zeros_like(x[0])


def transpose_cases(rng):
    for shape in ((1, 1), (1, 5), (3, 2), (16, 17), (40, 33)):
        yield rng.normal(size=shape), np.empty(shape[::-1])


TWINS = {
    "factor_lines": (factor_lines, factor_lines_cases),
    "solve_lines": (solve_lines, solve_lines_cases),
    "change_lines": (change_lines, change_lines_cases),
    "backward_euler_lines": (backward_euler_lines, step_lines_cases),
    "corrected_euler_lines": (corrected_euler_lines, corrected_cases),
    "trapezoid_lines": (trapezoid_lines, trapezoid_lines_cases),
    "backward_euler_block": (backward_euler_block, backward_euler_block_cases),
    "trapezoid_block": (trapezoid_block, trapezoid_block_cases),
    "transpose": (transpose, transpose_cases),
}
