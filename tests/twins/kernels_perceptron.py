"""Slow, obvious twins of pdelab/kernels/perceptron.py: bit strings, all pairs, dense matrices."""

import math

import numpy as np

from pdelab.kernels.noise import threefry13


def bits(word):
    return bin(int(word)).count("1")


def solutions_in(first, last, codes, most, near, lanes, out):
    count = 0
    for x in range(64 * first, 64 * last):
        used = int(lanes) >> (x % 64) & 1
        if used and all(bits(x ^ int(c)) <= most for c in codes):
            if count < out.size:
                out[count] = x
            count += 1
    return count


def near_table():
    table = np.zeros((64, 6), np.uint64)
    for c in range(64):
        for m in range(6):
            table[c, m] = sum(1 << low for low in range(64) if bits(low ^ c) <= m)
    return table


def solutions_cases(rng):
    near = near_table()
    for d, n, most, room in ((1, 1, 0, 4), (3, 2, 1, 8), (5, 0, 2, 40), (9, 4, 4, 3), (11, 5, 5, 4096), (9, 3, -1, 9)):
        codes = rng.integers(0, 2**d, n).astype(np.uint64)
        lanes = np.uint64(2 ** min(2**d, 64) - 1)
        yield 0, max(2**d // 64, 1), codes, most, near, lanes, np.zeros(room, np.uint64)
    yield 3, 9, codes, 5, near, lanes, np.zeros(100, np.uint64)


def add_distances(references, points, out):
    for r, a in enumerate(references):
        for b in points:
            out[r, bits(int(a) ^ int(b))] += 1


def distances_cases(rng):
    for m, n, d in ((3, 7, 20), (1, 1, 63), (4, 0, 9)):
        words = [rng.integers(0, 2**d, k).astype(np.uint64) for k in (m, n)]
        yield *words, np.zeros((m, d + 1), np.int64)


def count_within(references, points, radius, out):
    for r, a in enumerate(references):
        out[r] = sum(bits(int(a) ^ int(b)) <= radius for b in points)


def within_cases(rng):
    for m, n, d, radius in ((3, 7, 5, 2), (2, 9, 63, 31), (4, 0, 9, 1)):
        words = [rng.integers(0, 2**d, k).astype(np.uint64) for k in (m, n)]
        yield *words, radius, np.zeros(m, np.int64)


def walsh_hadamard(values):
    d = values.size.bit_length() - 1
    if d <= 10:
        index = np.arange(values.size)
        signs = np.array([[(-1) ** bits(w & x) for x in index] for w in index])
        values[:] = signs @ values
        return
    cube = values.reshape((2,) * d)  # one axis a bit
    for axis in range(d):
        a, b = np.take(cube, 0, axis), np.take(cube, 1, axis)
        cube = np.stack([a + b, a - b], axis)
    values[:] = cube.reshape(-1)


def transform_cases(rng):
    for d in (0, 1, 2, 5, 8, 14, 15, 16, 17):
        yield (rng.integers(-(10**6), 10**6, 2**d),)


def weigh_by_bits(values, weights):
    for w in range(values.size):
        values[w] *= weights[bits(w)]


def weigh_cases(rng):
    for d in (0, 1, 6):
        yield rng.integers(-9, 9, 2**d), rng.integers(-9, 9, d + 1)


def anneal(points, patterns, proposals, hot, cold, pull, margin, power, seed, run):
    copies, d = points.shape

    def energy(x):
        fields = patterns.astype(int) @ x
        missed = fields <= margin
        return sum((math.floor((margin - f) / 2) + 1) ** power for f in fields[missed]), not missed.any()

    for a in range(copies):
        if energy(points[a])[1]:
            points[0] = points[a]
            return 0
    for step in range(proposals):
        time = step / proposals
        with np.errstate(over="ignore"):
            first, second = threefry13(np.uint64(step), np.uint64(0), seed, run)
        place = int(first % np.uint64(copies * d))
        a, j = place // d, place % d
        flipped = points[a].copy()
        flipped[j] *= -1
        change = energy(flipped)[0] - energy(points[a])[0]
        if copies > 1:
            others = int(points[:, j].sum()) - int(points[a, j])
            change += pull * time * 2 * int(points[a, j]) * others / (copies - 1)
        if change <= 0 or (int(second) >> 11) * 2.0**-53 < math.exp(-change / (hot * (cold / hot) ** time)):
            points[a] = flipped
            if energy(flipped)[1]:
                points[0] = flipped
                return step + 1
    return -1


def anneal_cases(rng):
    for copies, d, n, power, margin in ((1, 9, 5, 1, 0.0), (3, 7, 6, 0, 0.0), (2, 11, 8, 1, 1.0), (2, 5, 0, 1, 0.0)):
        points = rng.integers(0, 2, (copies, d)).astype(np.int8) * 2 - 1
        patterns = rng.integers(0, 2, (n, d)).astype(np.int8) * 2 - 1
        yield points, patterns, 200, 0.5, 0.05, 0.4, margin, power, np.uint64(7), np.uint64(copies)


TWINS = {
    "solutions_in": (solutions_in, solutions_cases),
    "add_distances": (add_distances, distances_cases),
    "count_within": (count_within, within_cases),
    "walsh_hadamard": (walsh_hadamard, transform_cases),
    "weigh_by_bits": (weigh_by_bits, weigh_cases),
    "anneal": (anneal, anneal_cases),
}
