"""Numba kernels of the path engine: normals of a coarse step, what is recorded at a saved time, first exits.

A block holds the coordinate j of its i-th path at xs[BLOCK * j + i]; everything is done in first-level cache.
"""

import math

import numpy as np
from numba import njit

from pdelab.kernels.noise import (
    BLOCK,
    DRAWS,
    SIGNS,
    fill_normals,
    fill_normals32,
    fill_words,
    fraction,
    random_sign,
    threefry13,
)

_KERNEL = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**_KERNEL)
def step_normals(out, z, words, held, n, seed, step, refine, pairs, first):
    """Normals of one coarse step made of `refine` fine ones; returns the group of fine steps that z now holds.

    out[c], c < m: Z_c = sum_j z_j / sqrt(k), so that sqrt(dt) Z_c is the increment of W_c. With pairs, out[m + c]:
    the normal X_c independent of Z_c with int (W_c(s) - W_c(0)) ds = dt^(3/2) (Z_c/2 + X_c/(2 sqrt(3))).
    """
    group = z.shape[1]
    channels = z.shape[0]
    m = channels // 2 if pairs else channels
    for j in range(refine):
        fine = step * refine + j
        if fine // group != held:
            held = fine // group
            for c in range(channels):
                if out.itemsize == 8:
                    fill_normals(z[c], words, n, seed, c, held, first)
                else:
                    fill_normals32(z[c], words, n, seed, c, held, first)
        lane = fine % group
        if refine == 1:
            for c in range(channels):
                for i in range(n):
                    out[c, i] = z[c, lane, i]
            return held
        for c in range(m):
            if pairs:
                _add_area(out[m + c], out[c], z[c, lane], z[m + c, lane], n, j == 0)
            for i in range(n):
                out[c, i] = z[c, lane, i] + (out[c, i] if j > 0 else 0.0)
    for c in range(m):
        for i in range(n):
            out[c, i] /= math.sqrt(refine)
            if pairs:
                out[m + c, i] = math.sqrt(12.0) * (out[m + c, i] / refine**1.5 - 0.5 * out[c, i])
    return held


@njit(**_KERNEL)
def _add_area(area, position, z, zeta, n, start):
    """Of a fine step: area += its own integral + the position that it starts from (in units of the fine step)."""
    for i in range(n):
        before = 0.0 if start else area[i] + position[i]
        area[i] = before + 0.5 * z[i] + zeta[i] / math.sqrt(12.0)


@njit(**_KERNEL)
def normals_of_step(out, seed, step, refine, pairs, first):
    """step_normals for any number of paths: out (channels, paths)."""
    channels, paths = out.shape
    z = np.empty((channels, 2 if out.itemsize == 8 else 4, BLOCK), out.dtype)
    words = np.empty((2, BLOCK), np.uint64)
    buffer = np.empty((channels, BLOCK), out.dtype)
    for block in range(0, paths, BLOCK):
        n = min(BLOCK, paths - block)
        step_normals(buffer, z, words, -1, n, seed, step, refine, pairs, first + block)
        for c in range(channels):
            for i in range(n):
                out[c, block + i] = buffer[c, i]


@njit(**_KERNEL)
def words_of_step(out, seed, step, first):
    """Random words of one step: out[c, i] is the word that would become the normal of (first + i, step, c)."""
    draws, paths = out.shape
    words = np.empty((2, BLOCK), np.uint64)
    for block in range(0, paths, BLOCK):
        n = min(BLOCK, paths - block)
        for c in range(draws):
            fill_words(words, n, seed, c, step // 2, first + block)
            for i in range(n):
                out[c, block + i] = words[step % 2, i]


@njit(**_KERNEL)
def signs_of_step(out, seed, step, first):
    """Random signs of one step: out[c, i] = +-1 for (first + i, step, c); a word holds those of 64 steps."""
    channels, paths = out.shape
    words = np.empty((2, BLOCK), np.uint64)
    for block in range(0, paths, BLOCK):
        n = min(BLOCK, paths - block)
        for c in range(channels):
            fill_words(words, n, seed, SIGNS + c, step // 128, first + block)
            for i in range(n):
                out[c, block + i] = random_sign(words[(step >> 6) & 1, i], step)


@njit(**_KERNEL)
def record(xs, n, dimension, first, row, saved, moments, counts, geometry, gone):
    """Record a block at a saved time: states, means and squared deviations, counts; empty arrays take nothing.

    gone: the steps at which its paths were absorbed, which are not counted then; empty without absorbing ends.
    """
    if saved.shape[0] > 0:
        for j in range(dimension):
            for i in range(n):
                saved[row, j, first + i] = xs[BLOCK * j + i]
    if moments.shape[0] > 0:
        tree = np.empty(BLOCK)
        for j in range(dimension):
            start = xs[BLOCK * j]
            mean = start + tree_sum(tree, xs, BLOCK * j, n, start, 1) / n
            moments[row, first // BLOCK, 0, j] = mean
            moments[row, first // BLOCK, 1, j] = tree_sum(tree, xs, BLOCK * j, n, mean, 2)
    if counts.shape[0] > 0:
        count_cells(xs, n, counts[row], geometry, gone)


@njit(**_KERNEL)
def record_all(x, begin, end, row, saved, moments, counts, geometry, gone):
    """`record` for the paths begin to end of an ensemble x (d, paths); begin is a multiple of BLOCK."""
    dimension = x.shape[0]
    xs = np.empty(dimension * BLOCK, x.dtype)
    for first in range(begin, end, BLOCK):
        n = min(BLOCK, end - first)
        for j in range(dimension):
            for i in range(n):
                xs[BLOCK * j + i] = x[j, first + i]
        record(xs, n, dimension, first, row, saved, moments, counts, geometry, gone[first : first + n])


@njit(**_KERNEL)
def tree_sum(tree, xs, at, n, centre, power):
    """sum_i (x_i - c)^power, power 1 or 2, in float64 and in the order of a binary tree: fast, accurate, fixed."""
    for i in range(BLOCK):
        deviation = xs[at + i] - centre if i < n else 0.0
        tree[i] = deviation if power == 1 else deviation * deviation
    width = BLOCK // 2
    while width > 0:
        for i in range(width):
            tree[i] += tree[i + width]
        width //= 2
    return tree[0]


@njit(**_KERNEL)
def count_cells(xs, n, counts, geometry, gone):
    """Add each path to the cell of its nearest node; geometry rows: lower end, spacing, nodes, periodic?, per axis."""
    for i in range(n):
        cell = 0
        for axis in range(geometry.shape[0]):
            nodes = geometry[axis, 2]
            place = (xs[BLOCK * axis + i] - geometry[axis, 0]) / geometry[axis, 1]
            nearest = math.floor(place + 0.5)
            if geometry[axis, 3] > 0.0:
                nearest -= nodes * math.floor(nearest / nodes)
                inside = nearest >= 0.0 and nearest < nodes
            else:
                inside = place >= 0.0 and place <= nodes - 1.0
            cell = cell * int(nodes) + int(nearest) if inside and cell >= 0 else -1
        if cell >= 0 and (gone.size == 0 or gone[i] == math.inf):
            counts[cell] += 1


@njit(**_KERNEL)
def leave(before, xs, n, seed, first, step, exits, box):
    """exits[i] = the step after which the path first + i was outside the box for the first time; inf means not yet.

    A third row of the box, the variance of a step along each axis, asks for the exits between two looks as well: each
    is drawn with the probability that the Brownian bridge from `before` to xs has, and noted at step - 1/2.
    """
    if box.shape[0] == 2:
        for axis in range(box.shape[1]):
            low, high = box[0, axis], box[1, axis]
            for i in range(n):
                x = xs[BLOCK * axis + i]
                left = not (x > low and x < high)
                exits[i] = step if left and exits[i] == math.inf else exits[i]
        return
    for i in range(n):
        if exits[i] == math.inf:
            stays = chance_to_stay(before, xs, i, box)
            if stays < 1.0:
                word, _ = threefry13(np.uint64(first + i), np.uint64(step), np.uint64(seed), np.uint64(DRAWS))
                if fraction(word) >= stays:
                    exits[i] = step - 0.5


@njit(**_KERNEL)
def chance_to_stay(before, xs, i, box):
    """Probability that Brownian bridges of variance box[2], independent along the axes, do not touch the box."""
    stays = 1.0
    for axis in range(box.shape[1]):
        low, high, variance = box[0, axis], box[1, axis], box[2, axis]
        x, y = before[BLOCK * axis + i], xs[BLOCK * axis + i]
        if not (y > low and y < high):
            return 0.0
        if variance > 0.0:
            stays *= 1.0 - math.exp(-2.0 * (x - low) * (y - low) / variance)
            stays *= 1.0 - math.exp(-2.0 * (high - x) * (high - y) / variance)
    return stays


@njit(**_KERNEL)
def leave_all(before, x, begin, end, seed, shift, step, exits, box):
    """`leave` for the paths begin to end of an ensemble x (d, paths), which was `before` (d, end - begin)."""
    xs, old = np.empty(x.shape[0] * BLOCK, x.dtype), np.empty(x.shape[0] * BLOCK, x.dtype)
    for first in range(begin, end, BLOCK):
        n = min(BLOCK, end - first)
        for j in range(x.shape[0]):
            for i in range(n):
                xs[BLOCK * j + i], old[BLOCK * j + i] = x[j, first + i], before[j, first - begin + i]
        leave(old, xs, n, seed, shift + first, step, exits[first : first + n], box)
