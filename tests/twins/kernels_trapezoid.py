"""Twins of the trapezoid rule on lattices: meshes and sums of NumPy."""

import numpy as np


def nodes(first, counts, h, places):
    parts = []
    for start, count, step in zip(first, counts, h):
        axes = [s + step * np.arange(n) for s, n in zip(start, count)]
        parts.append(np.stack([m.ravel() for m in np.meshgrid(*axes, indexing="ij")], axis=-1))
    places[:] = np.concatenate(parts)


def node_cases(rng):
    for d in (1, 2, 3):
        counts = rng.integers(2, 5, (3, d))
        yield rng.normal(size=(3, d)), counts, rng.uniform(0.1, 1.0, 3), np.zeros((np.prod(counts, axis=1).sum(), d))


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


TWINS = {"nodes": (nodes, node_cases), "moments": (moments, moment_cases)}
