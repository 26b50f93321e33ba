"""Twins of the trapezoid rule on lattices: meshes and sums of NumPy."""

import numpy as np


def within(low, high, first, last, origin, h):
    """The nodes of each lattice in each of its boxes, by trying all that are near."""
    for p in range(len(first)):
        axes = [origin[p, i] + h[p] * np.arange(-40, 41) for i in range(low.shape[1])]
        mesh = np.stack([m.ravel() for m in np.meshgrid(*axes, indexing="ij")], axis=-1)
        yield [mesh[((mesh >= low[b]) & (mesh < high[b])).all(axis=1)] for b in range(first[p], last[p])]


def sizes(*arguments):
    return np.array([sum(map(len, parts)) for parts in within(*arguments)])


def nodes(low, high, first, last, origin, h, places):
    places[:] = np.concatenate([part for parts in within(low, high, first, last, origin, h) for part in parts])


def lattices(rng):
    for d in (1, 2, 3):
        low = rng.uniform(-2.0, 0.5, (4, d))
        yield low, low + rng.uniform(0.4, 1.2, (4, d)), np.array([0, 2]), np.array([2, 4]), rng.normal(size=(2, d)), \
            rng.uniform(0.15, 0.3, 2)  # fmt: skip


def node_cases(rng):
    for case in lattices(rng):
        yield *case, np.zeros((sizes(*case).sum(), case[0].shape[1]))


def moments(values, places, size, x, anchor, lowest, stiffness, beta, sums):
    rows, columns = np.triu_indices(x.shape[1])
    ends = np.cumsum(size)
    for p, (a, b) in enumerate(zip(ends - size, ends)):
        far = ((places[a:b] - x[p]) ** 2).sum(1)
        exponent = -beta * (values[a:b] - lowest[p] + 0.5 * stiffness * far)
        w, z = np.where(exponent > -60.0, np.exp(exponent), 0.0), places[a:b] - anchor[p]
        sums[p] = np.concatenate([[w.sum()], w @ z, w @ (z[:, rows] * z[:, columns])])


def moment_cases(rng):
    for d in (1, 2, 3):
        size = np.array([4, 7])
        yield (rng.normal(size=11), rng.normal(size=(11, d)), size, rng.normal(size=(2, d)), rng.normal(size=(2, d)),
               np.zeros(2), 2.0, 3.0, np.zeros((2, 1 + d + d * (d + 1) // 2)))  # fmt: skip


TWINS = {"sizes": (sizes, lattices), "nodes": (nodes, node_cases), "moments": (moments, moment_cases)}
