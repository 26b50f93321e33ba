"""Slow, obvious twin of pdelab/kernels/spin_glass.py: every sorted tuple of spins."""

import itertools
import math

import numpy as np


def tuples(n, degree):
    return list(itertools.combinations_with_replacement(range(n), degree))


def multiply_tails(products, starts, columns, out):
    n, degree = columns.shape[0], 2
    while math.comb(n + degree - 2, degree - 1) != products.shape[0]:
        degree += 1
    for row, spins in enumerate(tuples(n, degree)):
        out[row] = np.prod(columns[list(spins)], axis=0)


def cases(rng):
    for n, degree, count in ((1, 2, 3), (4, 2, 1), (5, 3, 7), (3, 4, 2)):
        columns = rng.normal(size=(n, count))
        products = np.array([np.prod(columns[list(spins)], axis=0) for spins in tuples(n, degree - 1)])
        starts = np.array([next(k for k, spins in enumerate(tuples(n, degree - 1)) if spins[0] == i) for i in range(n)])
        yield products, starts, columns, np.zeros((math.comb(n + degree - 1, degree), count))


TWINS = {"multiply_tails": (multiply_tails, cases)}
