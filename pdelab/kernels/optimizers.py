"""CPU kernels: one pass over memory for an inner update, with its noise, straight from the gradients' addresses.

Work goes in blocks of 1024 numbers that stay in the first-level cache, so that each simple loop is one vector loop and
main memory is read and written once. The noise is that of `kernels/noise.py`, laid out in tiles; `thermal.py` computes
the same numbers in torch, and the two agree to a few units in the last place.
"""

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic

from pdelab.kernels import noise

BLOCK = 1024
TILE = 64
OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}


@intrinsic
def pointer(typing, address):
    """An integer address as a pointer."""

    def build(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), build


@intrinsic
def carried(typing, seen, number):
    """seen | (|number| + the exponent's lowest bit), as integers: negative from the first infinity or NaN on.

    number: a float, or its bits; seen: a signed integer as wide. Numba's own operators would widen 32 bits to 64, and
    the check would halve the vectors of a float32 loop.
    """

    def build(context, builder, signature, arguments):
        width = seen.bitwidth
        word, exponent = ir.IntType(width), 23 if width == 32 else 52
        magnitude = builder.and_(builder.bitcast(arguments[1], word), word((1 << (width - 1)) - 1))
        return builder.or_(arguments[0], builder.add(magnitude, word(1 << exponent)))

    return seen(seen, number), build


@njit(**OPTIONS)
def spread(out, source, offset, width):
    """Lay `source` out in tiles: out[64 t + offset + k] = source[width t + k]."""
    for t in range(source.size // width):
        to = out[TILE * t + offset : TILE * t + offset + width]
        start = source[width * t : width * t + width]
        for k in range(width):
            to[k] = start[k]


@njit(**OPTIONS)
def first_nonfinite(addresses, sizes, unseen):
    """Index of the first array with an infinity or a NaN, -1 when there is none.

    addresses: of contiguous arrays (0 is skipped); sizes: their lengths; unseen: (1,) zero, a signed integer of the
    arrays' width.
    """
    for k in range(addresses.size):
        if addresses[k] != 0 and nonfinite(carray(pointer(addresses[k]), (sizes[k],), unseen.dtype), unseen):
            return k
    return -1


@njit(**OPTIONS)
def nonfinite(bits, unseen):
    """Whether these bits of floats hold an infinity or a NaN."""
    seen = unseen[0]
    for i in range(bits.size):
        seen = carried(seen, bits[i])
    return seen < 0


CAPTURE, FRESH, RESET, MOMENTUM, LOOK, PULL, INSIDE, HEAT, FIELD, AVERAGE = (1 << k for k in range(10))
STREAM = MOMENTUM | LOOK | PULL | AVERAGE
SIGN, DECAY, MU, AHEAD, TO_ANCHOR, RATE, SPREAD, NEW, OLD = range(9)


@njit(**OPTIONS)
def inner_pass(tensors, y, x, z, m, amounts, flags, unseen, key):
    """The inner update of `base.py` on the tensors of one segment; index of a non-finite gradient, or -1.

    tensors: (3, their number) addresses of the gradients, lengths, and where the tensors start in the rows y, x, z, m;
    amounts: numbers in the rows' dtype; unseen: as in `first_nonfinite`; key: (seed, stream, tick) as uint64. Stops
    soon after a bad gradient.
    """
    if flags == STREAM:  # before any scratch is allocated: that would be felt in small networks
        for k in range(tensors.shape[1]):
            address, size, lo = tensors[:, k]
            if address != 0:
                g, hi = carray(pointer(address), (size,), y.dtype), lo + size
                if stream(g, y[lo:hi], x[lo:hi], z[lo:hi], m[lo:hi], amounts, unseen):
                    return k
        return -1
    d = np.empty(BLOCK, y.dtype)
    noisy = flags & (HEAT | FIELD) != 0
    xi = np.empty(BLOCK if noisy else 0, y.dtype)
    words = np.empty((2, BLOCK // 2 if noisy else 0), np.uint64)
    lanes = np.empty((16 // y.itemsize, words.shape[1]), y.dtype)
    for k in range(tensors.shape[1]):
        address, size, place = tensors[:, k]
        if address == 0:
            continue
        g = carray(pointer(address), (size,), y.dtype)
        bits = carray(pointer(address), (size,), unseen.dtype)
        for start in range(0, size, BLOCK):
            n = min(BLOCK, size - start)
            if nonfinite(bits[start : start + n], unseen):
                return k
            lo = place + start
            if noisy:
                tiles = (n + TILE - 1) // TILE
                normals(xi[: TILE * tiles], lo // TILE, key, lanes, words)
            hi = lo + n
            if flags == STREAM | HEAT:
                heated(g[start : start + n], y[lo:hi], x[lo:hi], z[lo:hi], m[lo:hi], xi, amounts)
            else:
                block(g[start : start + n], y[lo:hi], x[lo:hi], z[lo:hi], m[lo:hi], d[:n], xi, amounts, flags)
    return -1


@njit(**OPTIONS)
def fill_normals(out, tile, key):
    """Standard normals of whole tiles from `tile` on; key: (seed, stream, tick) as uint64."""
    words = np.empty((2, BLOCK // 2), np.uint64)
    lanes = np.empty((16 // out.itemsize, BLOCK // 2), out.dtype)
    for start in range(0, out.size, BLOCK):
        normals(out[start : start + BLOCK], tile + start // TILE, key, lanes, words)


@njit(**OPTIONS)
def normals(out, tile, key, lanes, words):
    """Standard normals of whole tiles in out's dtype; lanes (2 or 4, >= n) and words (2, >= n) are scratch.

    A tile of 64 numbers takes 32 counters in float64 and 16 in float32, each with two or four normals: the first of
    all counters, then the second, ...
    """
    width = TILE // len(lanes)
    n = out.size // len(lanes)
    if out.itemsize == 8:
        noise.fill_normals(lanes, words, n, key[0], key[1], key[2], width * tile)
    else:
        noise.fill_normals32(lanes, words, n, key[0], key[1], key[2], width * tile)
    for k in range(len(lanes)):
        spread(out, lanes[k, :n], width * k, width)


@njit(**OPTIONS)
def mean_rows(rows, out, count):
    """out ← (Σ rows, in their order, in float64)/count."""
    total = np.empty(BLOCK, np.float64)
    for start in range(0, out.size, BLOCK):
        n = min(BLOCK, out.size - start)
        row = rows[0, start : start + n]
        for i in range(n):
            total[i] = row[i]
        for k in range(1, rows.shape[0]):
            row = rows[k, start : start + n]
            for i in range(n):
                total[i] += row[i]
        place = out[start : start + n]
        for i in range(n):
            place[i] = total[i] / count


@njit(**OPTIONS)
def stream(g, y, x, z, m, amounts, unseen):
    """The commonest update, Nesterov, pull outside and average, as one loop; true at a gradient that is not finite."""
    sign, decay, mu, ahead = amounts[SIGN], amounts[DECAY], amounts[MU], amounts[AHEAD]
    pull, rate, old, new = amounts[TO_ANCHOR], amounts[RATE], amounts[OLD], amounts[NEW]
    seen = unseen[0]
    for i in range(g.size):
        seen = carried(seen, g[i])
        d = sign * g[i] + decay * y[i]
        momentum = mu * m[i] + d
        m[i] = momentum
        d += ahead * momentum + pull * (y[i] - x[i])
        moved = y[i] - rate * d
        y[i] = moved
        z[i] = old * z[i] + new * moved
    return seen < 0


@njit(**OPTIONS)
def heated(g, y, x, z, m, xi, amounts):
    """The commonest update with noise as one loop: what `block` computes, in its order."""
    sign, decay, mu, ahead = amounts[SIGN], amounts[DECAY], amounts[MU], amounts[AHEAD]
    pull, rate, strength = amounts[TO_ANCHOR], amounts[RATE], amounts[SPREAD]
    old, new = amounts[OLD], amounts[NEW]
    for i in range(g.size):
        d = sign * g[i] + decay * y[i]
        momentum = mu * m[i] + d
        m[i] = momentum
        d += ahead * momentum
        d += pull * (y[i] - x[i])
        moved = y[i] - rate * d
        moved += strength * xi[i]
        y[i] = moved
        z[i] = old * z[i] + new * moved


@njit(**OPTIONS)
def block(g, y, x, z, m, d, xi, amounts, flags):
    """The inner update on one block of numbers; d is scratch."""
    n = g.size
    if flags & CAPTURE:
        for i in range(n):
            x[i] = y[i]
    if flags & FRESH:
        for i in range(n):
            z[i] = y[i]
    if flags & RESET and flags & MOMENTUM:
        m[:] = 0
    sign, decay, mu, ahead = amounts[SIGN], amounts[DECAY], amounts[MU], amounts[AHEAD]
    pull, rate, strength = amounts[TO_ANCHOR], amounts[RATE], amounts[SPREAD]
    for i in range(n):
        d[i] = sign * g[i] + decay * y[i]
    if flags & FIELD:
        for i in range(n):
            d[i] += strength * xi[i]
    if flags & PULL and flags & INSIDE:
        for i in range(n):
            d[i] += pull * (y[i] - x[i])
    if flags & MOMENTUM:
        if flags & LOOK:
            for i in range(n):
                m[i] = mu * m[i] + d[i]
                d[i] += ahead * m[i]
        else:
            for i in range(n):
                m[i] = mu * m[i] + d[i]
                d[i] = m[i]
    if flags & PULL and not flags & INSIDE:
        for i in range(n):
            d[i] += pull * (y[i] - x[i])
    for i in range(n):
        y[i] -= rate * d[i]
    if flags & HEAT:
        for i in range(n):
            y[i] += strength * xi[i]
    if flags & AVERAGE:
        old, new = amounts[OLD], amounts[NEW]
        for i in range(n):
            z[i] = old * z[i] + new * y[i]
