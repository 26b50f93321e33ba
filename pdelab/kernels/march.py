"""Numba kernel of the path engine: the steps of an ensemble, with the equation's own step behind an address.

The loop over blocks and steps, the noise, walls and records are compiled once for all equations. What an equation adds,
one step of a block, is a function of few lines that is called by its address, so that a new formula compiles in a
fraction of the time.
"""

import numpy as np
from numba import njit, types

from pdelab.kernels.calls import by_address
from pdelab.kernels.noise import BLOCK, fill_normals, fill_normals32, fill_words
from pdelab.kernels.paths import leave, record, step_normals
from pdelab.kernels.walls import confine

__all__ = ["DIRECT", "LOOK_AHEAD", "NO_NORMALS", "SUMMED", "march", "step_arguments"]

NO_NORMALS, DIRECT, SUMMED, LOOK_AHEAD = range(4)  # normals of fine steps as they come, summed, and the next step's too


def step_arguments(real):
    """Types of move(xs, z, words, K, S, n, at, ahead, lane, step, column): a block of n paths one step on, in place.

    xs (d * BLOCK); z, with the normals of this step from `at` on and those of the next one from `ahead` on; words
    (., 2, BLOCK), of this step at `lane`; K, the numbers; S, the schedules (., columns), of this step at `column`.
    """
    line = types.Array(real, 1, "C")
    words, schedules = types.Array(types.uint64, 3, "C"), types.Array(real, 2, "C")
    return (line, line, words, line, schedules, *[types.int64] * 6)


_move = by_address(types.void, lambda given: step_arguments(given[0].dtype))


@njit(cache=True, nogil=True, error_model="numpy")
def march(
    x, begin, end, step, steps, every, refine, seed, shift, K, S, saved, row, moments, counts, geometry, exits, box,
    gone, walls, address, normals, channels, pairs, drawn, first_word, period,
):  # fmt: skip
    """Run the paths begin to end of x (d, paths) from one step for so many, and record them.

    Parameters
    ----------
    address
        Of the equation's step, see `step_arguments`.
    normals, channels, pairs
        Which normals it needs: one of the four above, how many channels, whether with their areas.
    drawn, first_word, period
        How many random words, their first channel, for how many steps one lasts.
    """
    d, size = x.shape[0], 2 if x.itemsize == 8 else 4
    xs, before = np.empty(d * BLOCK, x.dtype), np.empty(d * BLOCK, x.dtype)
    group = np.empty((max(channels, 1), size, BLOCK), x.dtype)
    ring = np.empty((2, max(channels, 1), BLOCK), x.dtype)
    scratch = np.empty((2, BLOCK), np.uint64)
    words = np.empty((max(drawn, 1), 2, BLOCK), np.uint64)
    z = group.reshape(-1) if normals == DIRECT else ring.reshape(-1)
    for block in range(begin, end, BLOCK):
        n = min(BLOCK, end - block)
        for j in range(d):
            for i in range(n):
                xs[BLOCK * j + i] = x[j, block + i]
        held, at, ahead = -1, 0, 0
        for s in range(step, step + steps):
            if normals == DIRECT:
                if s == step or s % size == 0:
                    for c in range(channels):
                        if x.itemsize == 8:
                            fill_normals(group[c], scratch, n, seed, c, s // size, shift + block)
                        else:
                            fill_normals32(group[c], scratch, n, seed, c, s // size, shift + block)
                at = BLOCK * (s % size)
            elif normals != NO_NORMALS:
                if normals == SUMMED or s == step:
                    held = step_normals(ring[s & 1], group, scratch, held, n, seed, s, refine, pairs, shift + block)
                if normals == LOOK_AHEAD:
                    out = ring[(s + 1) & 1]
                    held = step_normals(out, group, scratch, held, n, seed, s + 1, refine, pairs, shift + block)
                at = BLOCK * channels * (s & 1)
                ahead = BLOCK * channels - at
            if drawn > 0 and (s == step or s % (2 * period) == 0):
                for c in range(drawn):
                    fill_words(words[c], n, seed, first_word + c, s // (2 * period), shift + block)
            if box.shape[0] > 2 or walls.shape[0] > 0:
                for j in range(d * BLOCK):
                    before[j] = xs[j]
            lane = (s // period) & 1
            _move(address, xs, z, words, K, S, n, at, ahead, lane, s, s - step)
            if walls.shape[0] > 0:
                confine(before, xs, n, seed, shift + block, s + 1, gone[block : block + n], walls)
            if exits.shape[0] > 0:
                leave(before, xs, n, seed, shift + block, s + 1, exits[block : block + n], box)
            if (s + 1) % every == 0:
                after = (s + 1) // every - row
                record(xs, n, d, block, after, saved, moments, counts, geometry, gone[block : block + n])
        for j in range(d):
            for i in range(n):
                x[j, block + i] = xs[BLOCK * j + i]
