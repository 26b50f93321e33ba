"""Slow, obvious twins of pdelab.kernels.noise: 64-bit arithmetic in Python integers, Box-Muller with libm."""

import math
from fractions import Fraction

import numpy as np

MASK = 2**64 - 1
SHIFT = 1.5 * 2.0**52
ROTATIONS = (16, 42, 12, 31, 16, 32, 24, 21)


def threefry(rounds):
    def words(x, y, k0, k1):
        key = [int(k0), int(k1), int(k0) ^ int(k1) ^ 0x1BD11BDAA9FC1A22]
        x, y = (int(x) + key[0]) & MASK, (int(y) + key[1]) & MASK
        for r in range(rounds):
            x = (x + y) & MASK
            turn = ROTATIONS[r % 8]
            y = (((y << turn) | (y >> (64 - turn))) & MASK) ^ x
            if r % 4 == 3:
                j = r // 4 + 1
                x, y = (x + key[j % 3]) & MASK, (y + key[(j + 1) % 3] + j) & MASK
        return np.uint64(x), np.uint64(y)

    return words


def rotate(x, r):
    return np.uint64(((int(x) << int(r)) | (int(x) >> (64 - int(r)))) & MASK)


def rounds(turns):
    def mix(x, y):
        x, y = int(x), int(y)
        for turn in turns:
            x = (x + y) & MASK
            y = int(rotate(y, turn)) ^ x
        return np.uint64(x), np.uint64(y)

    return mix


def box_muller(w, v):
    w, v = int(w), int(v)
    u, a = (2 * (w >> 12) + 1) / 2**53, math.pi / 2 * ((2 * (v >> 12) + 1) / 2**53 - 0.5)
    return _turned(u, a, v & 1, v & 2)


def box_muller32(w, v):
    u = float(np.float32(float(np.float32((int(w) & 0xFFFFFFFF) >> 1)) / 2**31 + 2.0**-32))
    z = _turned(u, math.pi / 4 * (float(np.float32(v)) / 2**31), int(v) & 1, int(v) & 2)
    return np.float32(z[0]), np.float32(z[1])


def _turned(u, a, first, second):
    radius = math.sqrt(-math.log(u)) if u < 1 else 0.0
    z0, z1 = radius * (math.cos(a) - math.sin(a)), radius * (math.cos(a) + math.sin(a))
    return (-z0 if first else z0), (-z1 if second else z1)


def fill_words(words, n, seed, channel, group, first):
    for i in range(n):
        words[:, i] = threefry(13)(first + i, group, seed, channel)


def fill_normals(z, words, n, seed, channel, group, first):
    fill_words(words, n, seed, channel, group, first)
    for i in range(n):
        z[:, i] = box_muller(*words[:, i])


def fill_normals32(z, words, n, seed, channel, group, first):
    fill_words(words, n, seed, channel, group, first)
    for i in range(n):
        high, low = (words[:, i] >> np.uint64(32)).astype(np.uint32), words[:, i].astype(np.uint32)
        z[:2, i] = box_muller32(*high.view(np.int32))
        z[2:, i] = box_muller32(*low.view(np.int32))


def fill_addresses(out, seed, first_path, first_step):
    wide = out.dtype == np.float64
    for k, c, i in np.ndindex(*out.shape):
        step, group = first_step + k, 2 if wide else 4
        z, words = np.empty((group, 1), out.dtype), np.empty((2, 1), np.uint64)
        (fill_normals if wide else fill_normals32)(z, words, 1, int(seed), c, step // group, first_path + i)
        out[k, c, i] = z[step % group, 0]


def exponent(i):
    """By halving and doubling."""
    u, e = np.int64(i).view(np.float64).item(), 0
    while u >= math.sqrt(2):
        u, e = u / 2, e + 1
    while u < math.sqrt(0.5):
        u, e = u * 2, e - 1
    return e


def reduced(x, k, *parts):
    return float(Fraction(x) - k * sum(Fraction(part) for part in parts))


def exponential_parts(x):
    k = round(x / math.log(2))
    return SHIFT + k, math.expm1(reduced(x, k, 0.6931471805599453, 2.3190468138462996e-17))


def quarter_turns(x):
    k = round(x / (math.pi / 2))
    r = reduced(x, k, 1.5707963267948966, 6.123233995736766e-17, -1.4973849048591833e-33)
    return np.float64(SHIFT + k).view(np.int64), math.sin(r), math.cos(r)


def numpy_twin(function):
    return lambda x: function(np.float64(x))


def exp(x):
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def word(rng):
    return rng.integers(0, 2**64, dtype=np.uint64)


def keys(rng):
    yield tuple(np.uint64(v) for v in (0, 0, 0, 0))
    yield tuple(np.uint64(MASK) for _ in range(4))
    for _ in range(20):
        yield tuple(word(rng) for _ in range(4))


def pairs(rng):
    for w in (0, 1, 2**12 - 1, 2**12, MASK, 2**63):
        yield np.uint64(w), word(rng)  # at the ends of v the difference cos - sin keeps no digits, only its size
    for _ in range(200):
        yield word(rng), word(rng)


def pairs32(rng):
    for w in (0, 1, -1, 2**31 - 1, -(2**31)):
        yield np.int32(w), np.int32(rng.integers(-(2**30), 2**30))
    for _ in range(200):
        yield np.int32(rng.integers(-(2**31), 2**31)), np.int32(rng.integers(-(2**30), 2**30))


def fills(dtype, rows):
    def cases(rng):
        for n in (1, 2, 3, 7):
            z, words = np.zeros((rows, 8), dtype), np.zeros((2, 8), np.uint64)
            yield z, words, n, np.uint64(word(rng)), 3, 5 + n, 512 * n

    return cases


def word_fills(rng):
    for _, *rest in fills(np.float64, 2)(rng):
        yield tuple(rest)


def blocks(rng):
    for dtype in (np.float64, np.float32):
        for shape in ((1, 1, 9), (5, 2, 3), (2, 1, 514)):
            yield np.zeros(shape, dtype), word(rng), 7, 3


def numbers(low, high, extra=()):
    def cases(rng):
        for x in (*extra, *rng.uniform(low, high, 100)):
            yield (float(x),)

    return cases


UGLY = (0.0, math.inf, math.nan, 5e-324, 1e-310, 1e-8, 1.0)
TWINS = {
    "threefry13": (threefry(13), keys, 0.0),
    "threefry20": (threefry(20), keys, 0.0),
    "_rotate": (rotate, lambda rng: ((word(rng), r) for r in (1, 16, 63)), 0.0),
    "_even_rounds": (rounds((16, 42, 12, 31)), lambda rng: ((word(rng), word(rng)) for _ in range(5)), 0.0),
    "_odd_rounds": (rounds((16, 32, 24, 21)), lambda rng: ((word(rng), word(rng)) for _ in range(5)), 0.0),
    "_exponent": (exponent, lambda rng: ((np.float64(u).view(np.int64),) for u in rng.uniform(1e-9, 1e9, 50)), 0.0),
    "_whole": (float, lambda rng: ((int(k),) for k in rng.integers(-1100, 1100, 20)), 0.0),
    "_log_of_fraction": (math.log, numbers(0.7072, 1.4142, (1.0,))),
    "_sine_near_zero": (math.sin, numbers(-math.pi / 4, math.pi / 4, (0.0, 5e-324))),
    "_cosine_near_zero": (math.cos, numbers(-math.pi / 4, math.pi / 4, (0.0, 5e-324))),
    "_exponential_parts": (exponential_parts, numbers(-700.0, 700.0, (0.0, 1e-300))),
    "_power_of_two": (lambda s: 2.0 ** (s - SHIFT), lambda rng: ((SHIFT + k,) for k in (-1022, 0, 5, 1023)), 0.0),
    "_quarter_turns": (quarter_turns, numbers(-1e4, 1e4, (0.0,))),
    "box_muller": (box_muller, pairs),
    "box_muller32": (box_muller32, pairs32, 1e-4),
    "random_sign": (lambda w, k: 1.0 - 2.0 * (int(w) >> k % 64 & 1), lambda rng: ((word(rng), k) for k in (0, 63, 70))),
    "fraction": (lambda w: int(w) // 2048 / 2**53, lambda rng: ((w,) for w in (np.uint64(MASK), word(rng))), 0.0),
    "fill_words": (fill_words, word_fills, 0.0),
    "fill_normals": (fill_normals, fills(np.float64, 2)),
    "fill_normals32": (fill_normals32, fills(np.float32, 4), 1e-5),
    "fill_addresses": (fill_addresses, blocks, 3e-6),
    "vlog": (numpy_twin(np.log), numbers(0.0, 10.0, (*UGLY, -1.0, 1e300))),
    "vexp": (exp, numbers(-740.0, 700.0, (*UGLY, -math.inf, 709.7, 711.0, -745.2, -1000.0))),
    "vtanh": (math.tanh, numbers(-3.0, 3.0, (*UGLY, -math.inf, 300.0))),
    "vsin": (numpy_twin(np.sin), numbers(-100.0, 100.0, (0.0, math.inf, math.nan, 1e5))),
    "vcos": (numpy_twin(np.cos), numbers(-100.0, 100.0, (0.0, math.inf, math.nan, 1e5))),
}  # fmt: skip
