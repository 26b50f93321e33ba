"""A twin of the march: step by step over all paths at once, with the noise and the records of other kernels."""

import math

import numpy as np
from numba import float64, njit

from pdelab.kernels import march as kernels
from pdelab.kernels import noise, paths, walls
from pdelab.kernels.calls import address_of

BLOCK = noise.BLOCK
OPEN = np.empty((0, 0)), np.empty(0)


@njit
def move(xs, z, words, K, S, n, at, ahead, lane, step, column):
    """x -> K0 x + K1 (normal) + K3 (next normal) + S + K2 (last bit of a word), and the second of two the first."""
    for i in range(n):
        first = xs[i]
        xs[i] = K[0] * first + S[0, column] + K[2] * float(words[0, lane, i] & 1)
        if K[1] > 0.0:
            xs[i] += K[1] * z[at + i]
        if K[3] > 0.0:
            xs[i] += K[3] * z[ahead + i]
        if xs.shape[0] > BLOCK:
            xs[BLOCK + i] = first


def march(x, begin, end, step, steps, every, refine, seed, shift, K, S, saved, row, moments, counts, geometry, exits,
          box, gone, walled, address, normals, channels, pairs, drawn, first_word, period):  # fmt: skip
    count = end - begin
    for s in range(step, step + steps):
        now, then, words = np.zeros((1, count)), np.zeros((1, count)), np.zeros((1, count), np.uint64)
        if normals != kernels.NO_NORMALS:
            paths.normals_of_step(now, seed, s, refine, False, shift + begin)
        if normals == kernels.LOOK_AHEAD:
            paths.normals_of_step(then, seed, s + 1, refine, False, shift + begin)
        if drawn:
            paths.words_of_step(words, seed, s, shift + begin)
        before = x[:, begin:end].copy()
        moved = K[0] * before[0] + K[1] * now[0] + K[3] * then[0] + S[0, s - step] + (words[0] & np.uint64(1))
        x[:, begin:end] = np.stack([moved, before[0]])[: len(x)]
        if walled.shape[0] > 0:
            walls.confine_all(before, x, begin, end, seed, shift, s + 1, gone, walled)
        if exits.shape[0] > 0:
            paths.leave_all(before, x, begin, end, seed, shift, s + 1, exits, box)
        if (s + 1) % every == 0:
            paths.record_all(x, begin, end, (s + 1) // every - row, saved, moments, counts, geometry, gone)


def runs(rng):
    address = address_of(move, kernels.step_arguments(float64))
    for normals, refine, drawn in ((0, 1, 0), (0, 1, 1), (1, 1, 0), (1, 1, 1), (2, 3, 0), (3, 1, 0), (3, 2, 0)):
        for d, count in ((1, 700), (2, 1100)):
            x, K, S = (
                rng.normal(size=(d, count)),
                np.array([0.9, 0.1 * (normals > 0), float(drawn), 0.2 * (normals == 3)]),
                rng.normal(size=(1, 6)),
            )
            begin, step, blocks = BLOCK * (d - 1), int(rng.integers(5)), -(-count // BLOCK)
            row = step // 2 + 1
            rows = (step + 6) // 2 - row + 1
            exits, box = np.full(count, math.inf), np.array([[-1.0], [1.5]])
            yield (x, begin, count, step, 6, 2, refine, np.uint64(7), 3, K, S, np.zeros((rows, d, count)), row,
                   np.zeros((rows, blocks, 2, d)), np.zeros((rows, 5), np.int64), np.array([[-1.0, 0.5, 5.0, 0.0]]),
                   exits, box, np.empty(0), np.empty((0, 5)), address, normals, int(normals > 0), False, drawn, 0,
                   1)  # fmt: skip


TWINS = {"march": (march, runs, 1e-12)}
