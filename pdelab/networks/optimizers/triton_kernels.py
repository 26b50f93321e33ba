"""Triton kernels of the inner update and its noise: `pdelab/kernels/optimizers.py` and `kernels/noise.py` on a GPU.

One program serves BLOCK numbers of one tensor: it finds the tensor's gradient and weights by their addresses, makes
the noise in registers, and reads and writes every row once. Operations stand in the order of the CPU's kernel, with
the same fused multiply-adds, correctly rounded quotients and roots, and (by `enable_fp_fusion=False` at the launch) no
others, so that both give the same bits. Half precision is computed in float32 and rounded when it is stored.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

from pdelab.kernels import optimizers as fused

try:
    import triton
    import triton.language as tl
except ImportError:  # then these functions can be read, not launched: `triton_refusal` says so
    triton = SimpleNamespace(jit=lambda function=None, **options: function or (lambda f: f))
    tl = SimpleNamespace(constexpr=lambda value: value, int64=int)

__all__ = [
    "amount", "block", "box_muller", "box_muller32", "counters", "fill_normals", "high", "inner_pass", "lane",
    "logarithm", "low", "mix", "present", "put", "read", "rotate", "sine_and_cosine", "step", "threefry13", "update",
    "write",
]  # fmt: skip

CAPTURE = tl.constexpr(fused.CAPTURE)
FRESH = tl.constexpr(fused.FRESH)
RESET = tl.constexpr(fused.RESET)
MOMENTUM = tl.constexpr(fused.MOMENTUM)
LOOK = tl.constexpr(fused.LOOK)
PULL = tl.constexpr(fused.PULL)
INSIDE = tl.constexpr(fused.INSIDE)
HEAT = tl.constexpr(fused.HEAT)
FIELD = tl.constexpr(fused.FIELD)
AVERAGE = tl.constexpr(fused.AVERAGE)
SIGN, DECAY, MU, AHEAD, TO_ANCHOR, RATE, SPREAD, NEW, OLD = (tl.constexpr(k) for k in range(9))
TILE = tl.constexpr(fused.TILE)
INFINITY = tl.constexpr(math.inf)


# the noise


@triton.jit
def rotate(x, turn: tl.constexpr):
    """A 64-bit word turned to the left."""
    return (x << turn) | (x >> (64 - turn))


@triton.jit
def mix(a, b, turn: tl.constexpr):
    """One round of Threefry."""
    a += b
    return a, rotate(b, turn) ^ a


@triton.jit
def threefry13(a, b, k0, k1):
    """Threefry2x64 with 13 rounds: counter (a, b) and key (k0, k1) -> two random words, all uint64."""
    k2 = k0 ^ k1 ^ 0x1BD11BDAA9FC1A22
    a += k0
    b += k1
    a, b = mix(a, b, 16)
    a, b = mix(a, b, 42)
    a, b = mix(a, b, 12)
    a, b = mix(a, b, 31)
    a += k1
    b += k2 + 1
    a, b = mix(a, b, 16)
    a, b = mix(a, b, 32)
    a, b = mix(a, b, 24)
    a, b = mix(a, b, 21)
    a += k2
    b += k0 + 2
    a, b = mix(a, b, 16)
    a, b = mix(a, b, 42)
    a, b = mix(a, b, 12)
    a, b = mix(a, b, 31)
    a += k0
    b += k1 + 3
    return mix(a, b, 16)


@triton.jit
def step(z, p, c: tl.constexpr):
    """z p + c rounded once, a step of Horner's scheme."""
    return tl.fma(z, p, tl.full(z.shape, c, z.dtype))


@triton.jit
def high(word):
    """The upper half of a 64-bit word as int32."""
    return (word >> 32).to(tl.uint32).to(tl.int32, bitcast=True)


@triton.jit
def low(word):
    """The lower half of a 64-bit word as int32."""
    return (word & 0xFFFFFFFF).to(tl.uint32).to(tl.int32, bitcast=True)


@triton.jit
def box_muller32(w, v):
    """Two random 32-bit words (as int32) -> two float32 normals."""
    u = step(((w >> 1) & 0x7FFFFFFF).to(tl.float32), tl.full(w.shape, 2.0**-31, tl.float32), 2.0**-32)
    i = u.to(tl.int32, bitcast=True)
    e = (i - 0x3F3504F3) >> 23
    s = (i - (e << 23)).to(tl.float32, bitcast=True)
    s = tl.div_rn(s - 1.0, s + 1.0)
    z = s * s
    p = step(z, tl.full(z.shape, 0.23330993684395507, tl.float32), 0.2855079760509556)
    p = step(z, p, 0.4000012209537361)
    p = step(z, p, 0.6666666655408127)
    log2 = tl.full(z.shape, -0.6931471805599453, tl.float32)
    radius = tl.sqrt_rn(tl.fma(e.to(tl.float32), log2, -tl.fma(s * z, p, s + s)))
    a = v.to(tl.float32) * 3.657291856353371e-10
    y = a * a
    p = step(y, tl.full(y.shape, -0.00019587360264337723, tl.float32), 0.008332744991787452)
    sine = tl.fma(a * y, step(y, p, -0.16666664636903428), a)
    p = step(y, tl.full(y.shape, 2.4547607492435253e-05, tl.float32), -0.0013888300970080626)
    half = step(y, tl.full(y.shape, -0.5, tl.float32), 1.0)
    cosine = tl.fma(y * y, step(y, p, 0.041666664643555514), half)
    first = (radius * (cosine - sine)).to(tl.int32, bitcast=True) ^ (v << 31)
    second = (radius * (cosine + sine)).to(tl.int32, bitcast=True) ^ ((v << 30) & -0x80000000)
    return first.to(tl.float32, bitcast=True), second.to(tl.float32, bitcast=True)


@triton.jit
def logarithm(m):
    """log m for m in [sqrt(1/2), sqrt(2)]."""
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    p = step(z, tl.full(z.shape, 0.14616879479279132, tl.float64), 0.15331683775055538)
    p = step(z, p, 0.18182890372344826)
    p = step(z, p, 0.22222211115872725)
    p = step(z, p, 0.2857142862610499)
    p = step(z, p, 0.39999999999899183)
    p = step(z, p, 0.666666666666667)
    return tl.fma(s * z, p, s + s)


@triton.jit
def sine_and_cosine(a):
    """sin a and cos a for |a| <= pi/4."""
    z = a * a
    p = step(z, tl.full(z.shape, 1.5917962022521282e-10, tl.float64), -2.5051129264438874e-08)
    p = step(z, p, 2.755731608861695e-06)
    p = step(z, p, -0.00019841269836727853)
    p = step(z, p, 0.008333333333330925)
    p = step(z, p, -0.16666666666666666)
    q = step(z, tl.full(z.shape, -1.1382564620590216e-11, tl.float64), 2.087614522245103e-09)
    q = step(z, q, -2.7557317266082143e-07)
    q = step(z, q, 2.480158729875324e-05)
    q = step(z, q, -0.0013888888888887387)
    q = step(z, q, 0.041666666666666664)
    half = step(z, tl.full(z.shape, -0.5, tl.float64), 1.0)
    return tl.fma(a * z, p, a), tl.fma(z * z, q, half)


@triton.jit
def box_muller(w, v):
    """Two random words -> two float64 normals."""
    u = ((w >> 12) | 0x3FF0000000000000).to(tl.float64, bitcast=True)
    i = (u - tl.full(u.shape, 0.9999999999999999, tl.float64)).to(tl.int64, bitcast=True)
    e = (i - 0x3FE6A09E667F3BCD) >> 52
    log2 = tl.full(u.shape, -0.6931471805599453, tl.float64)
    radius = tl.sqrt(tl.fma(e.to(tl.float64), log2, -logarithm((i - (e << 52)).to(tl.float64, bitcast=True))))
    turn = ((v >> 12) | 0x3FF0000000000000).to(tl.float64, bitcast=True)
    a = (turn - tl.full(u.shape, 1.4999999999999998, tl.float64)) * tl.full(u.shape, 1.5707963267948966, tl.float64)
    sine, cosine = sine_and_cosine(a)
    first = (radius * (cosine - sine)).to(tl.uint64, bitcast=True) ^ (v << 63)
    second = (radius * (cosine + sine)).to(tl.uint64, bitcast=True) ^ ((v << 62) & 0x8000000000000000)
    return first.to(tl.float64, bitcast=True), second.to(tl.float64, bitcast=True)


@triton.jit
def counters(column, seed, stream, tick, WIDTH: tl.constexpr, COUNT: tl.constexpr):
    """The random words of COUNT counters, those of the tiles from `column` on."""
    c = tl.arange(0, COUNT).to(tl.int64) + column // TILE * WIDTH
    b = tl.full((COUNT,), 0, tl.uint64) + tick.to(tl.uint64)
    return threefry13(c.to(tl.uint64), b, seed.to(tl.uint64), stream.to(tl.uint64))


@triton.jit
def lane(k: tl.constexpr, WIDTH: tl.constexpr, COUNT: tl.constexpr):
    """Where the k-th normals of COUNT counters lie among their tiles."""
    c = tl.arange(0, COUNT)
    return c // WIDTH * TILE + WIDTH * k + c % WIDTH


@triton.jit
def present(tick, DEVICE_TICK: tl.constexpr):
    """The tick of the noise: a number, or where the device holds it."""
    if DEVICE_TICK:
        now = tl.load(tick)
    else:
        now = tick
    return now


@triton.jit(do_not_specialize=["count", "first", "seed", "stream", "tick"])
def fill_normals(
    out, count: tl.int64, first: tl.int64, seed: tl.int64, stream: tl.int64, tick,
    DEVICE_TICK: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """out[: count] <- standard normals of whole tiles, from the column `first` on."""
    start = tl.program_id(0).to(tl.int64) * BLOCK
    now = present(tick, DEVICE_TICK)
    if WIDE:
        w, v = counters(first + start, seed, stream, now, 32, BLOCK // 2)
        a, b = box_muller(w, v)
        put(out + start, lane(0, 32, BLOCK // 2), count - start, a)
        put(out + start, lane(1, 32, BLOCK // 2), count - start, b)
    else:
        w, v = counters(first + start, seed, stream, now, 16, BLOCK // 4)
        a, b = box_muller32(high(w), high(v))
        c, d = box_muller32(low(w), low(v))
        put(out + start, lane(0, 16, BLOCK // 4), count - start, a)
        put(out + start, lane(1, 16, BLOCK // 4), count - start, b)
        put(out + start, lane(2, 16, BLOCK // 4), count - start, c)
        put(out + start, lane(3, 16, BLOCK // 4), count - start, d)


@triton.jit
def put(out, place, count, values):
    """out[place] <- values, below `count`."""
    tl.store(out + place, values.to(out.dtype.element_ty), mask=place < count)


# the update


@triton.jit
def read(row, place, left, WHOLE: tl.constexpr, WORK: tl.constexpr):
    """row[place] in the precision of the work; 0 from `left` on."""
    if WHOLE:
        values = tl.load(row + place)
    else:
        values = tl.load(row + place, mask=place < left, other=0.0)
    return values.to(WORK)


@triton.jit
def write(row, place, left, values, WHOLE: tl.constexpr):
    """row[place] <- values."""
    if WHOLE:
        tl.store(row + place, values.to(row.dtype.element_ty))
    else:
        tl.store(row + place, values.to(row.dtype.element_ty), mask=place < left)


@triton.jit
def amount(amounts, k: tl.constexpr, WORK: tl.constexpr):
    """A number of the rule in the precision of the work."""
    return tl.load(amounts + k).to(WORK)


@triton.jit
def update(place, left, gradients, weights, x, z, m, xi, amounts, bad, FLAGS: tl.constexpr, WHOLE: tl.constexpr):
    """The inner update at these places of one tensor; xi: their normals.

    bad[0] <- 1 where a gradient or a new weight is not finite.
    """
    WORK: tl.constexpr = tl.float64 if x.dtype.element_ty == tl.float64 else tl.float32
    g = read(gradients, place, left, WHOLE, WORK)
    y = read(weights, place, left, WHOLE, WORK)
    d = amount(amounts, SIGN, WORK) * g + amount(amounts, DECAY, WORK) * y
    if FIELD & FLAGS:
        d += amount(amounts, SPREAD, WORK) * xi
    if CAPTURE & FLAGS:
        write(x, place, left, y, WHOLE)
    if PULL & FLAGS:
        if CAPTURE & FLAGS:
            anchor = y
        else:
            anchor = read(x, place, left, WHOLE, WORK)
        pull = amount(amounts, TO_ANCHOR, WORK) * (y - anchor)
        if INSIDE & FLAGS:
            d += pull
    if MOMENTUM & FLAGS:
        mu = amount(amounts, MU, WORK)
        if RESET & FLAGS:
            momentum = mu * tl.full(g.shape, 0.0, WORK) + d
        else:
            momentum = mu * read(m, place, left, WHOLE, WORK) + d
        write(m, place, left, momentum, WHOLE)
        if LOOK & FLAGS:
            d += amount(amounts, AHEAD, WORK) * momentum
        else:
            d = momentum
    if (PULL & FLAGS) and (INSIDE & FLAGS) == 0:
        d += pull
    new = y - amount(amounts, RATE, WORK) * d
    if HEAT & FLAGS:
        new += amount(amounts, SPREAD, WORK) * xi
    write(weights, place, left, new, WHOLE)
    if AVERAGE & FLAGS:
        if FRESH & FLAGS:
            average = y
        else:
            average = read(z, place, left, WHOLE, WORK)
        average = amount(amounts, OLD, WORK) * average + amount(amounts, NEW, WORK) * new
        write(z, place, left, average, WHOLE)
    else:
        if FRESH & FLAGS:
            write(z, place, left, y, WHOLE)
    odd = ((tl.abs(g) < INFINITY) & (tl.abs(new) < INFINITY)) == 0
    tl.store(bad + tl.full(g.shape, 0, tl.int32), 1, mask=odd)


@triton.jit
def block(
    left, column, gradients, weights, x, z, m, amounts, bad, seed, stream, now, FLAGS: tl.constexpr,
    WHOLE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The inner update of up to BLOCK numbers of one tensor, from `column` of the rows on."""
    if x.dtype.element_ty == tl.float64:
        if (HEAT | FIELD) & FLAGS:
            w, v = counters(column, seed, stream, now, 32, BLOCK // 2)
            a, b = box_muller(w, v)
        else:
            a, b = 0.0, 0.0
        update(lane(0, 32, BLOCK // 2), left, gradients, weights, x, z, m, a, amounts, bad, FLAGS, WHOLE)
        update(lane(1, 32, BLOCK // 2), left, gradients, weights, x, z, m, b, amounts, bad, FLAGS, WHOLE)
    else:
        if (HEAT | FIELD) & FLAGS:
            w, v = counters(column, seed, stream, now, 16, BLOCK // 4)
            a, b = box_muller32(high(w), high(v))
            c, d = box_muller32(low(w), low(v))
        else:
            a, b, c, d = 0.0, 0.0, 0.0, 0.0
        update(lane(0, 16, BLOCK // 4), left, gradients, weights, x, z, m, a, amounts, bad, FLAGS, WHOLE)
        update(lane(1, 16, BLOCK // 4), left, gradients, weights, x, z, m, b, amounts, bad, FLAGS, WHOLE)
        update(lane(2, 16, BLOCK // 4), left, gradients, weights, x, z, m, c, amounts, bad, FLAGS, WHOLE)
        update(lane(3, 16, BLOCK // 4), left, gradients, weights, x, z, m, d, amounts, bad, FLAGS, WHOLE)


@triton.jit(do_not_specialize=["tensors", "seed", "stream", "tick"])
def inner_pass(
    addresses, sizes, places, blocks, tensors: tl.int64, x, z, m, amounts, bad, seed: tl.int64, stream: tl.int64, tick,
    FLAGS: tl.constexpr, DEVICE_TICK: tl.constexpr, ALIGNED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The inner update of one segment, whose block `program` is BLOCK numbers of one tensor.

    addresses: (2, tensors) of the gradients, 0 where there is none, and of the weights; sizes, places: of the tensors,
    and where they start in the rows x, z, m; blocks: (programs, 2), each one's tensor and its first number there.
    """
    program = tl.program_id(0)
    tensor = tl.load(blocks + 2 * program)
    start = tl.load(blocks + 2 * program + 1)
    gradient = tl.load(addresses + tensor)
    if gradient != 0:
        kind: tl.constexpr = tl.pointer_type(x.dtype.element_ty)
        gradients = gradient.to(kind)
        weights = tl.load(addresses + tensors + tensor).to(kind)
        if ALIGNED:
            gradients = tl.multiple_of(gradients, 16)
            weights = tl.multiple_of(weights, 16)
        column = tl.multiple_of(tl.load(places + tensor) + start, TILE)
        start = tl.multiple_of(start, TILE)
        left = tl.load(sizes + tensor) - start
        now = present(tick, DEVICE_TICK)
        if left >= BLOCK:
            block(
                left, column, gradients + start, weights + start, x + column, z + column, m + column, amounts, bad,
                seed, stream, now, FLAGS, True, BLOCK,
            )  # fmt: skip
        else:
            block(
                left, column, gradients + start, weights + start, x + column, z + column, m + column, amounts, bad,
                seed, stream, now, FLAGS, False, BLOCK,
            )  # fmt: skip
