"""Twins of sums over lines: running maxima of the boxes that a line meets, and NumPy's sums over the nodes."""

import numpy as np


def crossed(low, high, first, last, place, ends):
    rows = []
    for k, z1 in enumerate(place):
        met = np.arange(first[k], last[k])
        met = met[(low[met, 0] <= z1) & (z1 <= high[met, 0])]
        before = np.maximum.accumulate(np.append(-np.inf, high[met, 1]))[:-1]
        new = high[met, 1] > before
        rows += zip([k] * new.sum(), np.maximum(low[met, 1], before)[new], high[met, 1][new])
    if len(ends):
        ends[: len(rows)] = rows
    return len(rows)


def boxes(rng):
    for count in (1, 5, 20):
        low = rng.uniform(size=(count, 2))
        low = low[low[:, 1].argsort()]
        high = low + rng.uniform(size=(count, 2))
        high[::3, 1] = low[np.minimum(np.arange(0, count, 3) + 1, count - 1), 1]  # some meet
        place, first = rng.uniform(0.0, 2.0, 7), rng.integers(0, count, 7)
        last = rng.integers(first, count + 1)
        for ends in (np.empty((0, 3)), np.zeros((7 * count, 3))):
            yield low, high, first, last, place, ends


def sums(values, places, weights, away, level, stiffness, beta, result):
    z = np.moveaxis(places, -1, 0)
    shift = away.T[:, :, None]
    bowl = stiffness / 2 * ((z + shift) ** 2 - shift**2).sum(0)
    w = weights * np.exp(-np.clip(beta * (values + bowl - level[:, None]), -600.0, 700.0))
    result[:] = np.stack([w, w * z[1], w * z[1] ** 2][: result.shape[1]], axis=-1).sum(1)


def panels(rng):
    for columns in (1, 3):
        for beta in (0.5, 3.0):
            yield (
                rng.normal(size=(6, 5)), rng.normal(size=(6, 5, 2)), rng.uniform(size=5), rng.normal(size=(6, 2)),
                rng.normal(size=6), 2.0, beta, np.empty((6, columns)),
            )  # fmt: skip


TWINS = {"crossed": (crossed, boxes), "sums": (sums, panels, 1e-11)}
