"""Kernels of the binary perceptron: enumeration 64 configurations at a time, distances, Walsh-Hadamard, annealing.

A configuration x in {-1, 1}^d is an unsigned integer whose bit i is set where x_i = +1. Then x·ξ = d - 2 |x ^ ξ|, and
a pattern is satisfied where |x ^ ξ| <= `most`.
"""

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from pdelab.kernels.noise import threefry13

_KERNEL = {"cache": True, "nogil": True, "error_model": "numpy"}
_U = np.uint64
_ONE, _SIX, _LOW = _U(1), _U(6), _U(63)
_UNIT = 2.0**-53


@intrinsic
def popcount(typing, word):
    """How many bits of an unsigned 64-bit integer are set, as a signed integer."""

    def build(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), build


@intrinsic
def trailing_zeros(typing, word):
    """The place of the lowest bit that is set, as a signed integer."""

    def build(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), build


@njit(**_KERNEL)
def solutions_in(first, last, codes, most, near, lanes, out):
    """Solutions x with first <= x // 64 < last into `out`, ascending; returns how many there are, stored or not.

    codes: the patterns; near[c, m]: the 64 low parts l, one bit each, with |l ^ c| <= m; lanes: the low parts in use.
    """
    count = 0
    for block in range(first, last):
        high = _U(block)
        alive = lanes
        for i in range(codes.size):
            left = most - popcount(high ^ (codes[i] >> _SIX))
            if left < 0:
                alive = _U(0)
                break
            if left < 6:
                alive &= near[codes[i] & _LOW, left]
                if alive == _U(0):
                    break
        while alive != _U(0):
            if count < out.size:
                out[count] = (high << _SIX) | _U(trailing_zeros(alive))
            count += 1
            alive &= alive - _ONE
    return count


@njit(**_KERNEL)
def add_distances(references, points, out):
    """out[r, k] += how many points are at Hamming distance k from references[r]."""
    for r in range(references.size):
        for p in range(points.size):
            out[r, popcount(references[r] ^ points[p])] += 1


@njit(**_KERNEL)
def count_within(references, points, radius, out):
    """out[r]: how many points are at most `radius` flips from references[r]."""
    for r in range(references.size):
        total = 0
        for p in range(points.size):
            total += popcount(references[r] ^ points[p]) <= radius
        out[r] = total


@njit(**_KERNEL)
def walsh_hadamard(values):
    """Walsh-Hadamard transform in place, exact modulo 2^64: values[w] <- sum_x (-1)^|x & w| values[x].

    The levels within 2^14 numbers are done while these are in the cache, the others two at a time.
    """
    size = values.size
    tile = min(size, 1 << 14)
    for start in range(0, size, tile):
        half = 1
        while half < tile:
            for base in range(start, start + tile, 2 * half):
                for i in range(base, base + half):
                    a, b = values[i], values[i + half]
                    values[i], values[i + half] = a + b, a - b
            half *= 2
    half = tile
    while 2 * half < size:
        for base in range(0, size, 4 * half):
            for i in range(base, base + half):
                a, b, c, d = values[i], values[i + half], values[i + 2 * half], values[i + 3 * half]
                s, t, u, v = a + b, a - b, c + d, c - d
                values[i], values[i + half] = s + u, t + v
                values[i + 2 * half], values[i + 3 * half] = s - u, t - v
        half *= 4
    if half < size:
        for i in range(half):
            a, b = values[i], values[i + half]
            values[i], values[i + half] = a + b, a - b


@njit(**_KERNEL)
def weigh_by_bits(values, weights):
    """values[w] <- values[w] weights[|w|], modulo 2^64."""
    for w in range(values.size):
        values[w] *= weights[popcount(_U(w))]


@njit(**_KERNEL)
def anneal(points, patterns, proposals, hot, cold, pull, margin, power, seed, run):
    """Metropolis annealing of y coupled copies; returns the proposals made when a copy first satisfied all, or -1.

    points (y, d) and patterns (N, d): int8 ±1, changed in place; a pattern with x·ξ <= margin costs (its missing
    flips)^power. Temperatures fall geometrically from hot to cold; the copies attract each other with a strength that
    grows in time t from 0 to 1: the energy is sum_a E(x^a) - pull t sum_{a<b} x^a·x^b / (y - 1). On success row 0
    holds the solution.
    """
    copies, d = points.shape
    n = patterns.shape[0]
    fields = np.zeros((copies, n), np.int32)
    wrong = np.zeros(copies, np.int64)
    sums = np.zeros(d, np.int32)
    for a in range(copies):
        for j in range(d):
            sums[j] += points[a, j]
        for i in range(n):
            field = 0
            for j in range(d):
                field += points[a, j] * patterns[i, j]
            fields[a, i] = field
            wrong[a] += field <= margin
        if wrong[a] == 0:
            for j in range(d):
                points[0, j] = points[a, j]
            return 0
    price = np.zeros(2 * d + 1)  # what a pattern with x·ξ = k - d costs
    for k in range(2 * d + 1):
        if k - d <= margin:
            price[k] = (math.floor((margin - (k - d)) / 2) + 1) ** power
    for step in range(proposals):
        time = step / proposals
        temperature = hot * (cold / hot) ** time
        first, second = threefry13(_U(step), _U(0), seed, run)
        place = np.int64(first % _U(copies * d))
        a, j = place // d, place % d
        flip = points[a, j]
        change = 0.0
        for i in range(n):
            now = fields[a, i]
            change += price[now - 2 * flip * patterns[i, j] + d] - price[now + d]
        if copies > 1:
            change += 2.0 * pull * time * flip * (sums[j] - flip) / (copies - 1)
        if change <= 0 or (second >> _U(11)) * _UNIT < math.exp(-change / temperature):
            points[a, j] = -flip
            sums[j] -= 2 * flip
            wrong[a] = 0
            for i in range(n):
                fields[a, i] -= 2 * flip * patterns[i, j]
                wrong[a] += fields[a, i] <= margin
            if wrong[a] == 0:
                for i in range(d):
                    points[0, i] = points[a, i]
                return step + 1
    return -1
