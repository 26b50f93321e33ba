"""Twins of the largest differences: NumPy's differences of the lines, and SciPy's interpolation of the field."""

import numpy as np
from scipy.interpolate import RegularGridInterpolator


def extremes(lines, ring):
    closed = np.concatenate([lines, lines[:, : 2 if ring else 0]], axis=1)
    first, second = np.diff(closed, axis=1), np.diff(closed, 2, axis=1)
    first, second = first[~np.isnan(first)], second[~np.isnan(second)]
    return np.abs(first).max(initial=0.0), second.max(initial=-np.inf)


def cases(rng):
    for shape in ((1, 9, 1), (3, 4, 1), (1, 5, 4), (2, 3, 3), (1, 2, 3)):
        for ring in (True, False):
            yield rng.normal(size=shape), ring
    holes = rng.normal(size=(2, 8, 3))
    holes[0, 2:4, 1] = np.inf
    yield holes, False


def missed(values, rings, nodes, c, u):
    d, worst = nodes.shape[3], 0.0
    field, wide = values.reshape(values.shape[3 - d :]), values.reshape(values.shape[3 - d :])
    for axis in range(d):
        if rings[3 - d + axis]:
            wide = np.concatenate([wide, wide.take([0], axis)], axis)
    between = RegularGridInterpolator([np.arange(n) for n in wide.shape], wide)
    for x in np.ndindex(field.shape):
        y = nodes[(0,) * (3 - d) + x]
        place = np.where(rings[3 - d :], y % field.shape, y)
        if ((place >= 0) & (place <= np.array(wide.shape) - 1)).all():
            energy = between(place)[0] + (c[3 - d :] * (np.array(x) - y) ** 2).sum()
            worst = max(worst, abs(u.reshape(field.shape)[x] - energy))
    return worst


def fields(rng):
    for d in (1, 2, 3):
        for ring in (0, 1):
            shape = (1,) * (3 - d) + (4, 5, 3)[:d]
            nodes = rng.uniform(-1.0, 5.0, (*shape, d))
            nodes[..., 0] = np.round(nodes[..., 0])
            yield rng.normal(size=shape), np.array([ring] * 3), nodes, rng.uniform(0.1, 1.0, 3), rng.normal(size=shape)


def rows(rng):
    for lines, ring in cases(rng):
        yield lines[:, :, 0], ring


TWINS = {
    "_of_rows": (lambda lines, ring: extremes(lines[:, :, None], ring), rows),
    "extremes": (extremes, cases),
    "missed": (missed, fields),
}
