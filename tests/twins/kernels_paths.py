"""Slow, obvious twins of pdelab.kernels.paths."""

import math
from itertools import pairwise

import numpy as np

from pdelab import noise
from pdelab.kernels import noise as kernels
from pdelab.noise import BLOCK


def fine_normals(seed, step, refine, channels, n, first, dtype):
    """(refine, channels, n): the normals of the fine steps that make one coarse step."""
    steps = range(step * refine, (step + 1) * refine)
    return noise.normals(seed, range(first, first + n), steps, channels, dtype=dtype).astype(float)


def coarse(seed, step, refine, channels, pairs, n, first, dtype):
    """By the Brownian paths themselves: positions and areas of fine steps of length 1 added up."""
    z = fine_normals(int(seed), step, refine, channels, n, first, dtype)
    if refine == 1:
        return z[0]
    m = channels // 2 if pairs else channels
    position, area = np.zeros((m, n)), np.zeros((m, n))
    for j in range(refine):
        if pairs:
            area += position + z[j, :m] / 2 + z[j, m:] / math.sqrt(12)
        position += z[j, :m]
    increment = position / math.sqrt(refine)
    if not pairs:
        return increment
    return np.concatenate([increment, math.sqrt(12) * (area / refine**1.5 - increment / 2)])


def step_normals(out, z, words, held, n, seed, step, refine, pairs, first):
    group = z.shape[1]
    fine = range(step * refine, (step + 1) * refine)
    out[:, :n] = coarse(seed, step, refine, len(out), pairs, n, first, out.dtype)
    last = fine[-1] // group
    if last != held:  # what the kernel leaves in its buffers: the group of the last fine step
        steps = range(last * group, last * group + group)
        z[:, :, :n] = noise.normals(int(seed), range(first, first + n), steps, len(out), dtype=out.dtype).swapaxes(0, 1)
        kernels.fill_words(words, n, seed, len(out) - 1, last, first)
    return last


def normals_of_step(out, seed, step, refine, pairs, first):
    out[...] = coarse(seed, step, refine, len(out), pairs, out.shape[1], first, out.dtype)


def words_of_step(out, seed, step, first):
    words = np.zeros((2, out.shape[1]), np.uint64)
    for c in range(len(out)):
        kernels.fill_words(words, out.shape[1], seed, c, step // 2, first)
        out[c] = words[step % 2]


def add_area(area, position, z, zeta, n, start):
    for i in range(n):
        area[i] = (0.0 if start else area[i] + position[i]) + z[i] / 2 + zeta[i] / math.sqrt(12)


def record(xs, n, dimension, first, row, saved, moments, counts, geometry, gone):
    x = xs.reshape(-1, BLOCK)[:dimension, :n].astype(float)
    if len(saved):
        saved[row, :, first : first + n] = x
    if len(moments):
        moments[row, first // BLOCK, 0] = [math.fsum(c) / n for c in x]
        moments[row, first // BLOCK, 1] = [math.fsum((c - math.fsum(c) / n) ** 2) for c in x]
    if len(counts):
        count_cells(xs, n, counts[row], geometry, gone)


def record_all(x, begin, end, row, saved, moments, counts, geometry, gone):
    for first in range(begin, end, BLOCK):
        n = min(BLOCK, end - first)
        xs = np.zeros((len(x), BLOCK), x.dtype)
        xs[:, :n] = x[:, first : first + n]
        record(xs.ravel(), n, len(x), first, row, saved, moments, counts, geometry, gone[first : first + n])


def tree_sum(tree, xs, at, n, centre, power):
    terms = [(float(v) - centre) ** power for v in xs[at : at + n]]
    terms += [0.0] * (BLOCK - n)
    tree[:] = terms
    width = BLOCK // 2
    while width:
        tree[:width] += tree[width : 2 * width]
        width //= 2
    assert abs(tree[0] - math.fsum(terms)) <= 1e-12 * math.fsum(map(abs, terms))
    return tree[0]


def count_cells(xs, n, counts, geometry, gone):
    shape = tuple(int(nodes) for nodes in geometry[:, 2])
    for i in range(n):
        cell = []
        for axis, (low, h, nodes, periodic) in enumerate(geometry):
            place = (xs[BLOCK * axis + i] - low) / h
            if periodic:
                cell.append(round_half_up(place) % int(nodes))
            elif 0 <= place <= nodes - 1:
                cell.append(round_half_up(place))
        if len(cell) == len(shape) and (len(gone) == 0 or math.isinf(gone[i])):
            counts[np.ravel_multi_index(tuple(cell), shape)] += 1


def round_half_up(place):
    return math.floor(place + 0.5)


def crossing(x, y, face, variance):
    """Probability that a Brownian bridge from x to y touches a face: by reflection, N(x -> 2 face - y) / N(x -> y)."""
    if math.isinf(face) or variance == 0.0:
        return 0.0
    return math.exp(((y - x) ** 2 - (2 * face - y - x) ** 2) / (2 * variance))


def stay(before, after, box):
    """The same for all faces of the box, 0 where the end is outside."""
    chance = 1.0
    for x, y, (low, high, variance) in zip(before, after, box.T):
        inside = low < y < high
        chance *= inside and (1 - crossing(x, y, low, variance)) * (1 - crossing(x, y, high, variance))
    return float(chance)


def chance_to_stay(before, xs, i, box):
    return stay(before[i::BLOCK], xs[i::BLOCK], box)


def left(before, after, seed, path, step, box):
    if len(box) == 2:
        return step if not all(low < x < high for x, (low, high) in zip(after, box.T)) else math.inf
    word, _ = kernels.threefry13(np.uint64(path), np.uint64(step), np.uint64(seed), np.uint64(kernels.DRAWS))
    return step - 0.5 if (int(word) >> 11) / 2**53 >= stay(before, after, box) else math.inf


def leave(before, xs, n, seed, first, step, exits, box):
    for i in range(n):
        if exits[i] == math.inf:
            exits[i] = left(before[i::BLOCK], xs[i::BLOCK], seed, first + i, step, box)


def leave_all(before, x, begin, end, seed, shift, step, exits, box):
    for i in range(begin, end):
        if exits[i] == math.inf:
            exits[i] = left(before[:, i - begin], x[:, i], seed, shift + i, step, box)


def signs_of_step(out, seed, step, first):
    words = np.zeros((2, out.shape[1]), np.uint64)
    for c in range(len(out)):
        kernels.fill_words(words, out.shape[1], seed, kernels.SIGNS + c, step // 128, first)
        out[c] = [-1.0 if int(w) >> (step % 64) & 1 else 1.0 for w in words[step // 64 % 2]]


# ------------------------------------------------------------------------------------------------------- cases


def steps(rng):
    for dtype, group in ((np.float64, 2), (np.float32, 4)):
        for n, refine, pairs, step in ((1, 1, False, 0), (3, 1, True, 5), (2, 3, False, 4), (7, 4, True, 3)):
            channels = 4 if pairs else 3
            out, z = np.zeros((channels, 8), dtype), np.zeros((channels, group, 8), dtype)
            yield out, z, np.zeros((2, 8), np.uint64), -1, n, np.uint64(rng.integers(2**63)), step, refine, pairs, 512


def ensembles(rng):
    for out, _, _, _, _, seed, step, refine, pairs, first in steps(rng):
        yield np.zeros((len(out), BLOCK + 3), out.dtype), seed, step, refine, pairs, first


def word_steps(rng):
    for draws, count, step in ((1, 1, 0), (3, 515, 7)):
        yield np.zeros((draws, count), np.uint64), np.uint64(rng.integers(2**63)), step, 9


def areas(rng):
    for n, start in ((1, True), (5, False)):
        yield *rng.normal(size=(4, 6)), n, start


def geometry(d, periodic=0.0):
    return np.array([[-1.0, 0.25, 9.0, 0.0], [0.0, 0.5, 4.0, periodic]])[:d]


def recordings(rng):
    for n, d, first in ((1, 1, 0), (512, 2, 512), (37, 2, 0)):
        xs = rng.normal(size=2 * BLOCK)
        arrays = np.zeros((2, d, 1100)), np.zeros((2, 3, 2, d)), np.zeros((2, 36), np.int64)
        yield xs, n, d, first, 1, *arrays, geometry(d), np.where(rng.random(n) < 0.3, 2.0, np.inf)
        nothing = np.zeros((0, d, 1100)), np.zeros((0, 3, 2, d)), np.zeros((0, 36), np.int64)
        yield xs, n, d, first, 1, *nothing, geometry(0), np.zeros(0)


def whole_recordings(rng):
    for paths, begin, d in ((1, 0, 1), (1100, 512, 2), (513, 0, 2)):
        arrays = np.zeros((1, d, paths)), np.zeros((1, 3, 2, d)), np.zeros((1, 36), np.int64)
        gone = np.where(rng.random(paths) < 0.3, 2.0, np.inf)
        yield rng.normal(size=(d, paths)), begin, paths, 0, *arrays, geometry(d), gone


def cells(rng):
    ugly = np.array([np.nan, np.inf, -np.inf, -1.0, 1.0, 1e300, -1.0 - 1e-12, 0.125, 0.0])
    xs = np.zeros(2 * BLOCK)
    xs[: ugly.size] = ugly
    for periodic in (0.0, 1.0):
        yield xs, ugly.size, np.zeros(9, np.int64), geometry(1), np.zeros(0)
        points = np.concatenate([rng.normal(size=BLOCK), 5 * rng.normal(size=BLOCK)])
        yield points, 200, np.zeros(36, np.int64), geometry(2, periodic), np.zeros(0)


BOX = np.array([[-1.0, -math.inf], [1.0, 2.0], [0.3, 0.0]])


def exits(rng):
    seed = np.uint64(rng.integers(2**63))
    for rows, d in ((2, 1), (2, 2), (3, 1), (3, 2)):
        before, box = np.where(rng.random(600) < 0.2, 3.0, np.inf), BOX[:rows, :d].copy()
        yield 0.3 * rng.normal(size=2 * BLOCK), 0.7 * rng.normal(size=2 * BLOCK), 88, seed, 512, 7, before, box
        yield np.zeros(2 * BLOCK), np.full(2 * BLOCK, np.nan), 2, seed, 0, 7, before.copy(), box


def bridges(rng):
    for d in (1, 2):
        for i in (0, 7, 511):
            yield 0.3 * rng.normal(size=2 * BLOCK), 0.7 * rng.normal(size=2 * BLOCK), i, BOX[:, :d].copy()


def whole_exits(rng):
    for rows in (2, 3):
        for begin, end in pairwise((0, 512, 600)):
            states = 0.3 * rng.normal(size=(2, end - begin)), 0.7 * rng.normal(size=(2, 600))
            yield *states, begin, end, np.uint64(9), 1024, 4, np.full(600, np.inf), BOX[:rows].copy()


def sign_steps(rng):
    for channels, count, step in ((1, 1, 0), (2, 515, 63), (1, 3, 64), (1, 3, 1000)):
        yield np.zeros((channels, count)), np.uint64(rng.integers(2**63)), step, 5


def sums(rng):
    for n in (1, 2, 512):
        yield np.zeros(BLOCK), rng.normal(size=2 * BLOCK) + 1.0, 0, n, 0.0, 1
        yield np.zeros(BLOCK), rng.normal(size=2 * BLOCK), BLOCK, n, 3.0, 2


TWINS = {
    "step_normals": (step_normals, steps, 1e-5),
    "normals_of_step": (normals_of_step, ensembles, 1e-5),
    "words_of_step": (words_of_step, word_steps, 0.0),
    "_add_area": (add_area, areas),
    "record": (record, recordings),
    "record_all": (record_all, whole_recordings),
    "tree_sum": (tree_sum, sums),
    "count_cells": (count_cells, cells, 0.0),
    "signs_of_step": (signs_of_step, sign_steps, 0.0),
    "chance_to_stay": (chance_to_stay, bridges),
    "leave": (leave, exits, 0.0),
    "leave_all": (leave_all, whole_exits, 0.0),
}
