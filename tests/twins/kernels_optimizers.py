"""Slow twins of the optimizers' kernels: NumPy, plain formulas, and the twins of the noise."""

import ctypes

import numpy as np
from twins import kernels_noise

from pdelab.kernels import optimizers as fused

WORD = (1 << 64) - 1
U = np.uint64
KEEP = []  # arrays whose addresses are arguments


def spread(out, source, offset, width):
    for i, value in enumerate(source[: source.size // width * width]):
        out[64 * (i // width) + offset + i % width] = value


def normals(out, tile, key, lanes, words):
    """By their addresses, one counter at a time, with the twins of the noise."""
    count, wide = len(lanes), out.itemsize == 8
    width, n = 64 // count, out.size // count
    fill = kernels_noise.fill_normals if wide else kernels_noise.fill_normals32
    fill(lanes, words, n, key[0], key[1], key[2], width * tile)
    for i in range(out.size):
        t, lane, k = i // 64, i % 64 // width, i % width
        out[i] = lanes[lane, width * t + k]


def fill_normals(out, tile, key):
    lanes = np.zeros((16 // out.itemsize, out.size), out.dtype)
    normals(out, tile, key, lanes, np.zeros((2, out.size), U))


def at(address, size, itemsize):
    kind = ctypes.c_double if itemsize == 8 else ctypes.c_float
    return np.ctypeslib.as_array((kind * int(size)).from_address(int(address)))


def first_nonfinite(addresses, sizes, unseen):
    for k, (address, size) in enumerate(zip(addresses, sizes)):
        if address and not np.isfinite(at(address, size, unseen.itemsize)).all():
            return k
    return -1


def nonfinite(bits, unseen):
    return not np.isfinite(bits.view(f"f{bits.itemsize}")).all()


def block(g, y, x, z, m, d, xi, amounts, flags):
    on = lambda bit: bool(flags & bit)  # noqa: E731
    sign, decay, mu, ahead, pull, rate, strength, new, old = amounts
    n = g.size
    if on(fused.CAPTURE):
        x[:] = y
    if on(fused.FRESH):
        z[:] = y
    if on(fused.RESET) and on(fused.MOMENTUM):
        m[:] = 0.0
    d[:] = sign * g + decay * y
    if on(fused.FIELD):
        d[:] += strength * xi[:n]
    if on(fused.PULL) and on(fused.INSIDE):
        d[:] += pull * (y - x)
    if on(fused.MOMENTUM):
        m[:] = mu * m + d
        d[:] = d + ahead * m if on(fused.LOOK) else m
    if on(fused.PULL) and not on(fused.INSIDE):
        d[:] += pull * (y - x)
    y[:] -= rate * d
    if on(fused.HEAT):
        y[:] += strength * xi[:n]
    if on(fused.AVERAGE):
        z[:] = old * z + new * y


def stream(g, y, x, z, m, amounts, unseen):
    with np.errstate(invalid="ignore"):
        block(g, y, x, z, m, np.zeros_like(g), None, amounts, fused.STREAM)
    return not np.isfinite(g).all()


def heated(g, y, x, z, m, xi, amounts):
    block(g, y, x, z, m, np.zeros_like(g), xi, amounts, fused.STREAM | fused.HEAT)


def inner_pass(tensors, y, x, z, m, amounts, flags, unseen, key):
    for k, (address, size, place) in enumerate(tensors.T):
        if address and flags == fused.STREAM:
            own = slice(place, place + size)
            g = at(address, size, y.itemsize)
            if stream(g, y[own], x[own], z[own], m[own], amounts, unseen):
                return k
            continue
        for start in range(0, int(size) if address else 0, 1024):
            g = at(address, size, y.itemsize)[start : start + 1024]
            if not np.isfinite(g).all():
                return k
            lo, hi = place + start, place + start + g.size
            xi = np.zeros(-(-g.size // 64) * 64, y.dtype)
            if flags & (fused.HEAT | fused.FIELD):
                fill_normals(xi, lo // 64, key)
            block(g, y[lo:hi], x[lo:hi], z[lo:hi], m[lo:hi], np.zeros_like(g), xi, amounts, flags)
    return -1


# cases

KEYS = [(U(0), U(0)), (U(3), U(7)), (U(WORD), U(WORD)), (U(12345678901), U(1 << 63))]


def mean_rows(rows, out, count):
    out[:] = [sum(map(float, column)) / count for column in rows.T]


def spread_cases(rng):
    for width, tiles in ((16, 1), (16, 3), (32, 5)):
        for offset in range(0, 64, width):
            yield np.zeros(64 * tiles), rng.normal(size=width * tiles), offset, width


def normal_cases(*dtypes):
    def cases(rng):
        for dtype in dtypes:
            for tiles, tile in ((1, 0), (3, 5), (16, 1 << 20)):
                key = np.array([*KEYS[tiles % 4], tile << 24 | 3], U)
                lanes = np.zeros((16 // np.dtype(dtype).itemsize, 32 * tiles), dtype)
                yield np.zeros(64 * tiles, dtype), tile, key, lanes, np.zeros((2, 32 * tiles), U)

    return cases


def fill_cases(rng):
    for dtype in (np.float64, np.float32):
        for tiles in (1, 17, 40):
            yield np.zeros(64 * tiles, dtype), 3, np.array([5, 256, 9], U)


def unseen(dtype):
    return np.zeros(1, np.int64 if dtype is np.float64 else np.int32)


def addresses(arrays):
    KEEP.extend(arrays)
    return np.array([a.ctypes.data for a in arrays], np.int64), np.array([a.size for a in arrays], np.int64)


def finite_cases(rng):
    for dtype in (np.float64, np.float32):
        for bad in (None, 0, 2):
            for value in (np.nan, np.inf, -np.inf):
                arrays = [rng.normal(size=n).astype(dtype) for n in (1, 3, 2000)]
                arrays[0][0] = np.finfo(dtype).max
                arrays[1][0] = np.finfo(dtype).smallest_subnormal
                if bad is not None:
                    arrays[bad][-1] = value
                where, sizes = addresses(arrays)
                yield where, sizes, unseen(dtype)
                where[2] = 0
                yield where, sizes, unseen(dtype)


def bits_cases(rng):
    for dtype in (np.float64, np.float32):
        none, tiny, largest = unseen(dtype), np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max
        for n in (1, 2, 3, 100):
            for value in (0.0, -0.0, tiny, largest, -largest, np.inf, -np.inf, np.nan, -np.nan):
                numbers = rng.normal(size=n).astype(dtype)
                numbers[n // 2] = value
                yield numbers.view(none.dtype), none


FLAGS = [
    0, fused.MOMENTUM, fused.MOMENTUM | fused.LOOK, fused.PULL | fused.INSIDE | fused.MOMENTUM | fused.LOOK,
    fused.CAPTURE | fused.FRESH | fused.RESET | fused.MOMENTUM | fused.LOOK | fused.PULL | fused.AVERAGE | fused.HEAT,
    fused.STREAM, fused.STREAM | fused.HEAT, fused.FIELD | fused.MOMENTUM, fused.HEAT, fused.AVERAGE | fused.PULL,
    fused.RESET | fused.FRESH,
]  # fmt: skip


def amounts(dtype):
    return np.array([-1.0, 0.03, 0.8, 0.7, 0.6, 0.05, 0.2, 0.75, 0.25], dtype)


def block_cases(rng):
    for flags in FLAGS:
        for n in (1, 2, 3, 500):
            xi = rng.normal(size=512)
            yield *rng.normal(size=(5, n)), np.zeros(n), xi, amounts(float), flags


def stream_cases(rng):
    for n in (1, 2, 3, 500):
        for bad in (0.0, np.nan, np.inf):
            g = rng.normal(size=n)
            g[-1] += bad
            yield g, *rng.normal(size=(4, n)), amounts(float), unseen(np.float64)


def heated_cases(rng):
    for n in (1, 2, 3, 500):
        yield *rng.normal(size=(5, n)), rng.normal(size=512), amounts(float)


def pass_cases(*dtypes):
    def cases(rng):
        for dtype in dtypes:
            for flags in FLAGS:
                for bad in (False, True):
                    gradients = [rng.normal(size=n).astype(dtype) for n in (1, 70, 2050)]
                    if bad:
                        gradients[2][1500] = np.nan
                    where, sizes = addresses(gradients)
                    where[0] *= flags % 2 == 0
                    rows = rng.normal(size=(4, 64 + 128 + 2112)).astype(dtype)
                    places, key = np.array([0, 64, 192], np.int64), np.array([3, 256, 77], U)
                    yield np.array([where, sizes, places]), *rows, amounts(dtype), flags, unseen(dtype), key

    return cases


def mean_cases(rng):
    for rows, size in ((1, 1), (2, 3), (3, 1024), (5, 1025), (4, 2100)):
        for given, made in ((np.float32, np.float32), (np.float64, np.float64), (np.float64, np.float32)):
            values = rng.standard_normal((rows, size)) * 10.0 ** rng.integers(-12, 12, (rows, size))
            yield values.astype(given), np.full(size, np.nan, made), rows
    yield np.full((2, 5), 3e38, np.float32), np.zeros(5, np.float32), 2  # the sum is beyond float32
    yield np.array([[1.0, np.inf, np.nan, 5e-324]] * 2), np.zeros(4), 2


TWINS = {
    "mean_rows": (mean_rows, mean_cases, 0.0),
    "spread": (spread, spread_cases),
    "normals": (normals, normal_cases(np.float64, np.float32), 2e-6),
    "fill_normals": (fill_normals, fill_cases, 2e-6),
    "first_nonfinite": (first_nonfinite, finite_cases),
    "nonfinite": (nonfinite, bits_cases),
    "stream": (stream, stream_cases),
    "heated": (heated, heated_cases),
    "block": (block, block_cases),
    "inner_pass": (inner_pass, pass_cases(np.float64, np.float32), 2e-6),
}
