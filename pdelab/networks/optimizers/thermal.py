"""Thermal noise by address: the normal number of (seed, stream, outer step, inner step, flat index).

Nothing is drawn and nothing has to be stored: a resumed run, a fallback without flat buffers and every data-parallel
rank find the same numbers, and replicas (streams) find different ones. Threefry-2x64 with 13 rounds (Salmon et al.,
SC 2011) gives two 64-bit words per counter, Box-Muller turns them into two normals in float64 or four in float32, in
the form of `kernels/noise.py`, which is the CPU kernel of the same numbers:

    (z0, z1) = sqrt(-log u) (cos a - sin a, cos a + sin a) with random signs,  a uniform in (-pi/4, pi/4).

Written in torch integer operations, so that it compiles and runs on any device.

A tile is 64 consecutive elements: one counter serves elements k, k + w, k + 2w, ... of its tile (w = 32 in float64,
16 in float32), so that kernels write vectors. Tensors start on a tile.
"""

import math

import torch

__all__ = ["INNER_BITS", "TILE", "box_muller", "normals", "signed", "threefry", "tick"]

TILE = 64
ROUNDS = 13
ROTATIONS = (16, 42, 12, 31, 16, 32, 24, 21)
PARITY = 0x1BD11BDAA9FC1A22
INNER_BITS = 24  # counter word 1 = outer step << 24 | inner step


def signed(word):
    """A 64-bit word as a signed integer, the only kind that torch computes with."""
    word &= (1 << 64) - 1
    return word - (1 << 64) if word >> 63 else word


def tick(outer, inner):
    """The second counter word of an inner step."""
    return outer << INNER_BITS | inner


def threefry(c0, c1, k0, k1, rounds=ROUNDS):
    """Threefry-2x64 of int64 counters (tensors or integers) under the key (k0, k1): two int64 tensors."""
    keys = (signed(k0), signed(k1), signed(PARITY ^ k0 ^ k1))
    a, b = c0 + keys[0], c1 + keys[1]
    for r in range(rounds):
        a = a + b
        turn = ROTATIONS[r % 8]
        b = ((b << turn) | ((b >> (64 - turn)) & ((1 << turn) - 1))) ^ a
        if r % 4 == 3:
            n = r // 4 + 1
            a, b = a + keys[n % 3], b + signed(keys[(n + 1) % 3] + n)
    return a, b


def normals(tiles, dtype, device, seed, stream, when, first=0):
    """64·tiles standard normals from tile `first` on at `when` = tick(outer, inner), an integer or a 0-d tensor."""
    wide = dtype == torch.float64
    width = TILE // (2 if wide else 4)
    block = torch.arange(first * width, (first + tiles) * width, dtype=torch.int64, device=device)
    words = threefry(block, torch.zeros_like(block) + when, seed, stream)
    if wide:
        columns = box_muller(*words, 52, dtype)
    else:
        columns = box_muller(*(w >> 32 for w in words), 31, dtype)
        columns += box_muller(*words, 31, dtype)
    return torch.stack([c.view(tiles, width) for c in columns], dim=1).reshape(-1).to(dtype)


def box_muller(first, second, bits, dtype):
    """Two normals of integer words, whose last 64 (bits = 52) or 32 (bits = 31) bits count.

    The radius comes from the first word and the angle from the second, which also gives both signs by its last bits.
    """
    if bits == 52:
        u = _centred(first >> 12, 52, dtype)
        angle = (0.5 * math.pi) * (_centred(second >> 12, 52, dtype) - 0.5)
    else:
        u = ((first >> 1) & 0x7FFFFFFF).to(torch.float32) * 2.0**-31 + 2.0**-32
        low = second & 0xFFFFFFFF
        angle = (math.pi * 2.0**-33) * (low - ((low >> 31) << 32)).to(torch.float32)
    radius, cos, sin = torch.sqrt(-torch.log(u)), torch.cos(angle), torch.sin(angle)
    signs = [(1 - 2 * ((second >> k) & 1)).to(radius.dtype) for k in (0, 1)]
    return [signs[0] * radius * (cos - sin), signs[1] * radius * (cos + sin)]


def _centred(words, bits, dtype):
    """The low `bits` of integer words as the middles of 2^bits cells of (0, 1)."""
    return ((words & ((1 << bits) - 1)).to(dtype) + 0.5) * 2.0**-bits
