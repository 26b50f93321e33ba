"""CPU kernels: one pass over memory for an inner update, with its noise, straight from the gradients' addresses.

Work goes in blocks of 1024 numbers that stay in the first-level cache, so that each simple loop is one vector loop and
main memory is read and written once. The noise is that of `thermal.py`, with polynomials of its own for log, sin and
cos because library calls are not vectorised; the two agree to a few units in the last place.
"""

import math

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic

BLOCK = 1024
TILE = 64
OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}
ONE = np.uint64(1)
FOUR = np.uint64(4)
LOW = np.uint64(0xFFFFFFFF)
PARITY = np.uint64(0x1BD11BDAA9FC1A22)
SQRT2 = math.sqrt(2.0)
LOG2 = math.log(2.0)
EXPONENT = np.int64(52)
BIAS = np.int64(1023)
FRACTION = np.int64((1 << 52) - 1)
UNITY = np.int64(1023 << 52)
UNIT, HALF, TWO, THREE, QUAD = (np.float32(v) for v in (1.0, 0.5, 2.0, 3.0, 4.0))
ROOT, TURN, WIDTH = np.float32(SQRT2), np.float32(0.5 * math.pi), np.float32(2.0**-32)
LOGS = tuple(np.float32(v) for v in (1 / 3, 1 / 5, 1 / 7, 1 / 9, LOG2))
SINS = tuple(np.float32(v) for v in (-1 / 6, 1 / 120, -1 / 5040, 1 / 362880))
COSS = tuple(np.float32(v) for v in (-1 / 2, 1 / 24, -1 / 720, 1 / 40320, -1 / 3628800))


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
def threefry(c0, c1, k0, k1):
    """Threefry-2x64-13 of the counter (c0, c1) under the key (k0, k1), unsigned 64-bit words."""
    k2 = PARITY ^ k0 ^ k1
    a, b = c0 + k0, c1 + k1
    a, b = four_rounds(a, b, 16, 42, 12, 31)
    a, b = a + k1, b + k2 + ONE
    a, b = four_rounds(a, b, 16, 32, 24, 21)
    a, b = a + k2, b + k0 + np.uint64(2)
    a, b = four_rounds(a, b, 16, 42, 12, 31)
    a, b = a + k0, b + k1 + np.uint64(3)
    a = a + b
    return a, ((b << np.uint64(16)) | (b >> np.uint64(48))) ^ a


@njit(**OPTIONS)
def four_rounds(a, b, r0, r1, r2, r3):
    """Four rounds of add, rotate, exclusive or."""
    a = a + b
    b = ((b << np.uint64(r0)) | (b >> np.uint64(64 - r0))) ^ a
    a = a + b
    b = ((b << np.uint64(r1)) | (b >> np.uint64(64 - r1))) ^ a
    a = a + b
    b = ((b << np.uint64(r2)) | (b >> np.uint64(64 - r2))) ^ a
    a = a + b
    b = ((b << np.uint64(r3)) | (b >> np.uint64(64 - r3))) ^ a
    return a, b


@njit(**OPTIONS, fastmath={"contract"})
def box_muller(first, second, scratch):
    """Two uniforms in (0, 1] into two normals, in place, in float64; scratch is int64 of the same length.

    log u = e log 2 + 2 atanh((m - 1)/(m + 1)), m in [1/√2, √2); the angle 2πv is folded to [-π/4, π/4].
    """
    n = first.size
    bits = first.view(np.int64)
    for i in range(n):
        scratch[i] = (bits[i] >> EXPONENT) - BIAS
        bits[i] = (bits[i] & FRACTION) | UNITY
    for i in range(n):
        m, e = first[i], float(scratch[i])
        large = m > SQRT2
        m = 0.5 * m if large else m
        e = e + 1.0 if large else e
        s = (m - 1.0) / (m + 1.0)
        q = s * s
        p = 1 / 15 + q * (1 / 17 + q * (1 / 19 + q * (1 / 21)))
        p = 1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9 + q * (1 / 11 + q * (1 / 13 + q * p)))))
        first[i] = math.sqrt(-2.0 * (e * LOG2 + 2.0 * s * (1.0 + q * p)))
    for i in range(n):
        quarter = 4.0 * second[i]
        k = math.floor(quarter + 0.5)
        t = (quarter - k) * (0.5 * math.pi)
        q = t * t
        sin = 1 / 362880 + q * (-1 / 39916800 + q * (1 / 6227020800 + q * (-1 / 1307674368000 + q / 355687428096000)))
        sin = t * (1.0 + q * (-1 / 6 + q * (1 / 120 + q * (-1 / 5040 + q * sin))))
        cos = 1 / 479001600 + q * (-1 / 87178291200 + q * (1 / 20922789888000 - q / 6402373705728000))
        cos = 1.0 + q * (-1 / 2 + q * (1 / 24 + q * (-1 / 720 + q * (1 / 40320 + q * (-1 / 3628800 + q * cos)))))
        odd = (k == 1.0) | (k == 3.0)
        c = -sin if odd else cos
        s = cos if odd else sin
        back = (k == 2.0) | (k == 3.0)
        c, s = (-c, -s) if back else (c, s)
        second[i] = first[i] * s
        first[i] = first[i] * c


@njit(**OPTIONS, fastmath={"contract"})
def box_muller_single(first, second, scratch):
    """Two uniforms in (0, 1] into two normals, in place, in float32; scratch is int32 of the same length."""
    n = first.size
    bits = first.view(np.int32)
    for i in range(n):
        scratch[i] = (bits[i] >> np.int32(23)) - np.int32(127)
        bits[i] = (bits[i] & np.int32(0x7FFFFF)) | np.int32(127 << 23)
    for i in range(n):
        m, e = first[i], np.float32(scratch[i])
        large = m > ROOT
        m = HALF * m if large else m
        e = e + UNIT if large else e
        s = (m - UNIT) / (m + UNIT)
        q = s * s
        p = LOGS[0] + q * (LOGS[1] + q * (LOGS[2] + q * LOGS[3]))
        first[i] = math.sqrt(-TWO * (e * LOGS[4] + TWO * s * (UNIT + q * p)))
    for i in range(n):
        quarter = QUAD * second[i]
        k = np.floor(quarter + HALF)
        t = (quarter - k) * TURN
        q = t * t
        sin = t * (UNIT + q * (SINS[0] + q * (SINS[1] + q * (SINS[2] + q * SINS[3]))))
        cos = UNIT + q * (COSS[0] + q * (COSS[1] + q * (COSS[2] + q * (COSS[3] + q * COSS[4]))))
        odd = (k == UNIT) | (k == THREE)
        c = -sin if odd else cos
        s = cos if odd else sin
        back = (k == TWO) | (k == THREE)
        c = -c if back else c
        s = -s if back else s
        second[i] = first[i] * s
        first[i] = first[i] * c


@njit(**OPTIONS)
def spread(out, source, offset, width):
    """Lay `source` out in tiles: out[64 t + offset + k] = source[width t + k]."""
    for t in range(source.size // width):
        to = out[TILE * t + offset : TILE * t + offset + width]
        start = source[width * t : width * t + width]
        for k in range(width):
            to[k] = start[k]


@njit(**OPTIONS)
def normals_double(out, tile, when, k0, k1, words, scratch):
    """Standard normals of whole tiles from `tile` on, float64: out (64 t,), words (4, ≥ 32 t) uint64, scratch int64."""
    n = out.size // 2
    a, b = words[0, :n], words[1, :n]
    base = np.uint64(32 * tile)
    for i in range(n):
        a[i], b[i] = threefry(base + np.uint64(i), when, k0, k1)
    first, second = a.view(np.float64), b.view(np.float64)
    for i in range(n):
        first[i] = (float(np.int64(a[i] >> np.uint64(11))) + 0.5) * 2.0**-53
        second[i] = (float(np.int64(b[i] >> np.uint64(11))) + 0.5) * 2.0**-53
    box_muller(first, second, scratch[:n])
    spread(out, first, 0, 32)
    spread(out, second, 32, 32)


@njit(**OPTIONS)
def normals_single(out, tile, when, k0, k1, words, scratch):
    """Standard normals of whole tiles from `tile` on, float32: out (64 t,), words (4, ≥ 32 t) uint64, scratch int64."""
    n = out.size // 4
    a, b = words[0, :n], words[1, :n]
    base = np.uint64(16 * tile)
    for i in range(n):
        a[i], b[i] = threefry(base + np.uint64(i), when, k0, k1)
    first, second = words[2].view(np.float32)[: 2 * n], words[3].view(np.float32)[: 2 * n]
    for i in range(n):
        first[i] = (np.float32(np.uint32(a[i] >> np.uint64(32))) + HALF) * WIDTH
        second[i] = (np.float32(np.uint32(a[i])) + HALF) * WIDTH
    for i in range(n):
        first[n + i] = (np.float32(np.uint32(b[i] >> np.uint64(32))) + HALF) * WIDTH
        second[n + i] = (np.float32(np.uint32(b[i])) + HALF) * WIDTH
    box_muller_single(first, second, scratch.view(np.int32)[: 2 * n])
    spread(out, first[:n], 0, 16)
    spread(out, second[:n], 16, 16)
    spread(out, first[n:], 32, 16)
    spread(out, second[n:], 48, 16)


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
def inner_pass(addresses, sizes, places, y, x, z, m, amounts, flags, unseen, key):
    """The inner update of `base.py` on the tensors of one segment; index of a non-finite gradient, or -1.

    addresses, sizes, places: of the gradients, their lengths, and where the tensors start in the rows y, x, z, m;
    amounts: numbers in the rows' dtype; unseen: as in `first_nonfinite`; key: (seed, stream, tick) as uint64. Stops
    soon after a bad gradient.
    """
    if flags == STREAM:  # before any scratch is allocated: that would be felt in small networks
        for k in range(addresses.size):
            if addresses[k] != 0:
                g = carray(pointer(addresses[k]), (sizes[k],), y.dtype)
                lo, hi = places[k], places[k] + sizes[k]
                if stream(g, y[lo:hi], x[lo:hi], z[lo:hi], m[lo:hi], amounts, unseen):
                    return k
        return -1
    d = np.empty(BLOCK, y.dtype)
    noisy = flags & (HEAT | FIELD) != 0
    xi = np.empty(BLOCK if noisy else 0, y.dtype)
    words = np.empty((4, BLOCK // 2 if noisy else 0), np.uint64)
    scratch = np.empty(BLOCK if noisy else 0, np.int64)
    for k in range(addresses.size):
        if addresses[k] == 0:
            continue
        g = carray(pointer(addresses[k]), (sizes[k],), y.dtype)
        bits = carray(pointer(addresses[k]), (sizes[k],), unseen.dtype)
        for start in range(0, sizes[k], BLOCK):
            n = min(BLOCK, sizes[k] - start)
            if nonfinite(bits[start : start + n], unseen):
                return k
            lo = places[k] + start
            if noisy:
                tiles = (n + TILE - 1) // TILE
                normals(xi[: TILE * tiles], lo // TILE, key[2], key[0], key[1], words, scratch)
            hi = lo + n
            block(g[start : start + n], y[lo:hi], x[lo:hi], z[lo:hi], m[lo:hi], d[:n], xi, amounts, flags)
    return -1


@njit(**OPTIONS)
def fill_normals(out, tile, key):
    """Standard normals of whole tiles from `tile` on; key: (seed, stream, tick) as uint64."""
    words = np.empty((4, BLOCK // 2), np.uint64)
    scratch = np.empty(BLOCK, np.int64)
    for start in range(0, out.size, BLOCK):
        normals(out[start : start + BLOCK], tile + start // TILE, key[2], key[0], key[1], words, scratch)


@njit(**OPTIONS)
def normals(out, tile, when, k0, k1, words, scratch):
    """Standard normals of whole tiles in out's dtype."""
    if out.itemsize == 8:
        normals_double(out, tile, when, k0, k1, words, scratch)
    else:
        normals_single(out, tile, when, k0, k1, words, scratch)


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
def block(g, y, x, z, m, d, xi, amounts, flags):
    """The inner update on one block of numbers; d is scratch."""
    n = g.size
    if flags & CAPTURE:
        x[:] = y
    if flags & FRESH:
        z[:] = y
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
