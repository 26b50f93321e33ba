"""Numba kernels of the noise by address, of paths and of optimizers alike, and elementary functions that vectorise.

    words  = Threefry2x64-13(counter = (path, step // 2), key = (seed, channel))
    normal = Box-Muller(words)[step % 2]

Threefry is a counter-based generator: a few additions, rotations and exclusive-ors turn an address into random bits
(Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011), so that nothing has to be drawn
in order. Two words give two normals, those of two successive steps; in float32 they give four. Box-Muller is taken in
the form

    (z0, z1) = sqrt(-log u) (cos a - sin a, cos a + sin a) with random signs,  a uniform in (-pi/4, pi/4),

which is the usual one turned by 45 degrees and needs no reduction of the angle.

Library calls cannot be vectorised by the compiler, so logarithm, sine and cosine are polynomials here, with one
fused multiply-add a coefficient: the same bits on every machine. `vexp`, `vlog`, `vsin`, `vcos` and `vtanh` are the
same for the formulas of drifts (within 2 units in the last place, measured against 40 digits in the tests).
"""

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

SIGNS = 2**32  # channels from here on hold random signs, from the next constant on the draws of exits
DRAWS = 2**33
BLOCK = 512  # paths that are advanced together: state, words and normals of a block stay in the first-level cache

_INLINE = {"forceinline": True, "nogil": True, "error_model": "numpy", "cache": True}
_KERNEL = {"nogil": True, "error_model": "numpy", "cache": True}
_U = np.uint64
_F = np.float32


# ---------------------------------------------------------------------------------------- bits and one rounding


def _bitcast(source, target, llvm):
    @intrinsic
    def cast(context, x):
        def generate(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], llvm)

        return target(source), generate

    return cast


_bits = _bitcast(types.float64, types.int64, ir.IntType(64))
_number = _bitcast(types.int64, types.float64, ir.DoubleType())
_ubits = _bitcast(types.float64, types.uint64, ir.IntType(64))
_unumber = _bitcast(types.uint64, types.float64, ir.DoubleType())
_bits32 = _bitcast(types.float32, types.int32, ir.IntType(32))
_number32 = _bitcast(types.int32, types.float32, ir.FloatType())


def _fused(kind, llvm):
    @intrinsic
    def fma(context, a, b, c):
        def generate(context, builder, signature, arguments):
            function = builder.module.declare_intrinsic("llvm.fma", [llvm], ir.FunctionType(llvm, [llvm] * 3))
            return builder.call(function, arguments)

        return kind(kind, kind, kind), generate

    return fma


_fma = _fused(types.float64, ir.DoubleType())
_fma32 = _fused(types.float32, ir.FloatType())


# ---------------------------------------------------------------------------------------------- the generator


@njit(**_INLINE)
def _rotate(x, r):
    return (x << _U(r)) | (x >> _U(64 - r))


@njit(**_INLINE)
def _even_rounds(x, y):
    x += y
    y = _rotate(y, 16) ^ x
    x += y
    y = _rotate(y, 42) ^ x
    x += y
    y = _rotate(y, 12) ^ x
    x += y
    return x, _rotate(y, 31) ^ x


@njit(**_INLINE)
def _odd_rounds(x, y):
    x += y
    y = _rotate(y, 16) ^ x
    x += y
    y = _rotate(y, 32) ^ x
    x += y
    y = _rotate(y, 24) ^ x
    x += y
    return x, _rotate(y, 21) ^ x


@njit(**_INLINE)
def threefry13(x, y, k0, k1):
    """Threefry2x64 with 13 rounds: counter (x, y) and key (k0, k1) -> two random words, all uint64."""
    k2 = k0 ^ k1 ^ _U(0x1BD11BDAA9FC1A22)
    x, y = _even_rounds(x + k0, y + k1)
    x, y = _odd_rounds(x + k1, y + k2 + _U(1))
    x, y = _even_rounds(x + k2, y + k0 + _U(2))
    x += k0
    y += k1 + _U(3)
    x += y
    return x, _rotate(y, 16) ^ x


@njit(**_INLINE)
def threefry20(x, y, k0, k1):
    """Threefry2x64 with the 20 rounds of the published default, here only to be tested."""
    k2 = k0 ^ k1 ^ _U(0x1BD11BDAA9FC1A22)
    x, y = _even_rounds(x + k0, y + k1)
    x, y = _odd_rounds(x + k1, y + k2 + _U(1))
    x, y = _even_rounds(x + k2, y + k0 + _U(2))
    x, y = _odd_rounds(x + k0, y + k1 + _U(3))
    x, y = _even_rounds(x + k1, y + k2 + _U(4))
    return x + k2, y + k0 + _U(5)


# ------------------------------------------------------------------------------------------ bits to normals


@njit(**_INLINE)
def _log_of_fraction(m):
    """log m for m in [sqrt(1/2), sqrt(2)]: 2 atanh(s) = 2s + s^3 P(s^2), s = (m - 1)/(m + 1)."""
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    p = _fma(z, 0.14616879479279132, 0.15331683775055538)
    p = _fma(z, p, 0.18182890372344826)
    p = _fma(z, p, 0.22222211115872725)
    p = _fma(z, p, 0.2857142862610499)
    p = _fma(z, p, 0.39999999999899183)
    p = _fma(z, p, 0.666666666666667)
    return _fma(s * z, p, s + s)


@njit(**_INLINE)
def _sine_near_zero(a):
    """sin a for |a| <= pi/4."""
    z = a * a
    p = _fma(z, 1.5917962022521282e-10, -2.5051129264438874e-08)
    p = _fma(z, p, 2.755731608861695e-06)
    p = _fma(z, p, -0.00019841269836727853)
    p = _fma(z, p, 0.008333333333330925)
    p = _fma(z, p, -0.16666666666666666)
    return _fma(a * z, p, a)


@njit(**_INLINE)
def _cosine_near_zero(a):
    """cos a for |a| <= pi/4."""
    z = a * a
    p = _fma(z, -1.1382564620590216e-11, 2.087614522245103e-09)
    p = _fma(z, p, -2.7557317266082143e-07)
    p = _fma(z, p, 2.480158729875324e-05)
    p = _fma(z, p, -0.0013888888888887387)
    p = _fma(z, p, 0.041666666666666664)
    return _fma(z * z, p, _fma(z, -0.5, 1.0))


@njit(**_INLINE)
def _exponent(i):
    """Of a positive number with the bits i: the integer e with 2^-e u in [sqrt(1/2), sqrt(2))."""
    return (i - 0x3FE6A09E667F3BCD) >> 52


@njit(**_INLINE)
def _whole(k):
    """A small integer as float64, without the conversion that older processors have no vector form of."""
    return _number(k + 0x4338000000000000) - 6755399441055744.0


@njit(**_INLINE)
def box_muller(w, v):
    """Two random words -> two normals. u = (2k + 1) 2^-53 lies strictly between 0 and 1: the largest normal is 8.57."""
    i = _bits(_unumber((w >> _U(12)) | _U(0x3FF0000000000000)) - 0.9999999999999999)
    e = _exponent(i)
    radius = math.sqrt(_fma(_whole(e), -0.6931471805599453, -_log_of_fraction(_number(i - (e << 52)))))
    a = 1.5707963267948966 * (_unumber((v >> _U(12)) | _U(0x3FF0000000000000)) - 1.4999999999999998)
    c, s = _cosine_near_zero(a), _sine_near_zero(a)
    sign = _U(0x8000000000000000)
    z0 = _unumber(_ubits(radius * (c - s)) ^ (v << _U(63)))
    z1 = _unumber(_ubits(radius * (c + s)) ^ ((v << _U(62)) & sign))
    return z0, z1


@njit(**_INLINE)
def box_muller32(w, v):
    """Two random 32-bit words (as int32) -> two float32 normals; u >= 2^-32: the largest normal is 6.66."""
    u = _fma32(_F((w >> np.int32(1)) & np.int32(0x7FFFFFFF)), _F(2.0**-31), _F(2.0**-32))
    i = _bits32(u)
    e = (i - np.int32(0x3F3504F3)) >> np.int32(23)
    s = _number32(i - (e << np.int32(23)))
    s = (s - _F(1.0)) / (s + _F(1.0))
    z = s * s
    p = _fma32(z, _F(0.23330993684395507), _F(0.2855079760509556))
    p = _fma32(z, p, _F(0.4000012209537361))
    p = _fma32(z, p, _F(0.6666666655408127))
    radius = math.sqrt(_fma32(_F(e), _F(-0.6931471805599453), -_fma32(s * z, p, s + s)))
    a = _F(3.657291856353371e-10) * _F(v)
    y = a * a
    p = _fma32(y, _F(-0.00019587360264337723), _F(0.008332744991787452))
    s = _fma32(a * y, _fma32(y, p, _F(-0.16666664636903428)), a)
    p = _fma32(y, _F(2.4547607492435253e-05), _F(-0.0013888300970080626))
    c = _fma32(y * y, _fma32(y, p, _F(0.041666664643555514)), _fma32(y, _F(-0.5), _F(1.0)))
    z0 = _number32(_bits32(radius * (c - s)) ^ (v << np.int32(31)))
    z1 = _number32(_bits32(radius * (c + s)) ^ ((v << np.int32(30)) & np.int32(-0x80000000)))
    return z0, z1


@njit(**_INLINE)
def random_sign(word, step):
    """+1 or -1, by the bit step % 64 of a random word."""
    return _unumber(((word >> (_U(step) & _U(63))) << _U(63)) | _U(0x3FF0000000000000))


@njit(**_INLINE)
def fraction(word):
    """A random word as a number in [0, 1), a multiple of 2^-53."""
    return (word >> _U(11)) * 1.1102230246251565e-16


@njit(**_KERNEL)
def fill_words(words, n, seed, channel, group, first):
    """words[:, i] = the two random words of the path first + i, i < n: counter (path, group), key (seed, channel)."""
    for i in range(n):
        words[0, i], words[1, i] = threefry13(_U(first) + _U(i), _U(group), _U(seed), _U(channel))


@njit(**_KERNEL)
def fill_normals(z, words, n, seed, channel, group, first):
    """z[k, i] = the normal of the path first + i at the step 2 group + k, k < 2. Two loops, as registers are few."""
    fill_words(words, n, seed, channel, group, first)
    for i in range(n):
        z[0, i], z[1, i] = box_muller(words[0, i], words[1, i])


@njit(**_KERNEL)
def fill_normals32(z, words, n, seed, channel, group, first):
    """float32: z[k, i] = the normal of the path first + i at the step 4 group + k, k < 4."""
    fill_words(words, n, seed, channel, group, first)
    for i in range(n):
        z[0, i], z[1, i] = box_muller32(np.int32(words[0, i] >> _U(32)), np.int32(words[1, i] >> _U(32)))
    for i in range(n):
        z[2, i], z[3, i] = box_muller32(np.int32(words[0, i]), np.int32(words[1, i]))


@njit(**_KERNEL)
def fill_addresses(out, seed, first_path, first_step):
    """out[k, c, i] = the normal of (seed, first_path + i, first_step + k, c), in the precision of out."""
    group = 2 if out.itemsize == 8 else 4
    words = np.empty((2, BLOCK), np.uint64)
    z = np.empty((group, BLOCK), out.dtype)
    steps, channels, paths = out.shape
    for block in range(0, paths, BLOCK):
        n = min(BLOCK, paths - block)
        for c in range(channels):
            for k in range(steps):
                step = first_step + k
                if k == 0 or step % group == 0:
                    if out.itemsize == 8:
                        fill_normals(z, words, n, seed, c, step // group, first_path + block)
                    else:
                        fill_normals32(z, words, n, seed, c, step // group, first_path + block)
                for i in range(n):
                    out[k, c, block + i] = z[step % group, i]


# ------------------------------------------------------------------------- elementary functions that vectorise


@njit(**_INLINE)
def vlog(x):
    """log x; -inf at 0, NaN below."""
    tiny = x < 2.2250738585072014e-308
    i = _bits(x * 18014398509481984.0 if tiny else x)
    e = _exponent(i)
    k = _whole(e) - (54.0 if tiny else 0.0)
    value = _fma(k, 0.6931471805599453, _fma(k, 2.3190468138462996e-17, _log_of_fraction(_number(i - (e << 52)))))
    value = value if x < math.inf else x
    value = value if x > 0.0 else math.nan
    return -math.inf if x == 0.0 else value


@njit(**_INLINE)
def _exponential_parts(x):
    """x = k log 2 + r: returns (k + 1.5 2^52, e^r - 1) for |x| <= 746."""
    shifted = _fma(x, 1.4426950408889634, 6755399441055744.0)
    k = shifted - 6755399441055744.0
    r = _fma(k, -2.3190468138462996e-17, _fma(k, -0.6931471805599453, x))
    p = _fma(r, 2.088938932097246e-09, 2.5105173981412972e-08)
    p = _fma(r, p, 2.7557349571763294e-07)
    p = _fma(r, p, 2.7557255513350564e-06)
    p = _fma(r, p, 2.480158724579272e-05)
    p = _fma(r, p, 0.00019841269874721484)
    p = _fma(r, p, 0.0013888888888917937)
    p = _fma(r, p, 0.008333333333326167)
    p = _fma(r, p, 0.041666666666666616)
    p = _fma(r, p, 0.1666666666666667)
    p = _fma(r, p, 0.5)
    return shifted, _fma(r * r, p, r)


@njit(**_INLINE)
def _power_of_two(shifted):
    """2^k from k + 1.5 2^52, -1022 <= k <= 1023."""
    return _number((_bits(shifted) - 0x4338000000000000 + 1023) << 52)


@njit(**_INLINE)
def vexp(x):
    """e^x; overflows to inf and underflows to 0 gradually."""
    y = 710.0 if x > 710.0 else x
    y = -746.0 if y < -746.0 else y
    shifted, p = _exponential_parts(y)
    i = _bits(shifted) - 0x4338000000000000
    half = i >> 1
    scale = _number((half + 1023) << 52)
    rest = _number((i - half + 1023) << 52)
    return _fma(scale, p, scale) * rest


@njit(**_INLINE)
def vtanh(x):
    """tanh x = e/(e + 2), e = exp(2|x|) - 1."""
    y = abs(x)
    y = 20.0 if y > 20.0 else y
    shifted, p = _exponential_parts(y + y)
    scale = _power_of_two(shifted)
    e = _fma(scale, p, scale - 1.0)
    return math.copysign(e / (e + 2.0), x)


@njit(**_INLINE)
def _quarter_turns(x):
    """x = k pi/2 + r, |r| <= pi/4: returns (k, sin r, cos r); NaN beyond |x| = 2^31."""
    shifted = _fma(x, 0.6366197723675814, 6755399441055744.0)
    k = shifted - 6755399441055744.0
    r = _fma(k, -1.5707963267948966, x)
    r = _fma(k, 1.4973849048591833e-33, _fma(k, -6.123233995736766e-17, r))
    r = r if abs(x) <= 2147483648.0 else math.nan
    return _bits(shifted), _sine_near_zero(r), _cosine_near_zero(r)


@njit(**_INLINE)
def vsin(x):
    """sin x for |x| <= 2^31, NaN beyond."""
    k, s, c = _quarter_turns(x)
    value = c if k & 1 else s
    return -value if k & 2 else value


@njit(**_INLINE)
def vcos(x):
    """cos x for |x| <= 2^31, NaN beyond."""
    k, s, c = _quarter_turns(x)
    value = s if k & 1 else c
    return -value if (k + 1) & 2 else value
