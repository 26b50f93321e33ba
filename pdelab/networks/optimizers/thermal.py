"""Thermal noise by address: the normal number of (seed, stream, outer step, inner step, flat index).

Nothing is drawn and nothing has to be stored: a resumed run, a fallback without flat buffers and every data-parallel
rank find the same numbers, and replicas (streams) find different ones. Threefry-2x64 with 13 rounds (Salmon et al.,
SC 2011) gives two 64-bit words per counter, Box-Muller turns them into two normals in float64 or four in float32.
Written in torch integer operations, so that it compiles and runs on any device; `kernels/optimizers.py` holds
the CPU kernel of the same numbers.

A tile is 64 consecutive elements: one counter serves elements k, k + w, k + 2w, ... of its tile (w = 32 in float64,
16 in float32), so that kernels write vectors. Tensors start on a tile.
"""

import math

import torch

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
    a, b = threefry(block, torch.zeros_like(block) + when, seed, stream)
    if wide:
        pairs = [(_unit(a >> 11, 53, dtype), _unit(b >> 11, 53, dtype))]
    else:
        halves = [_unit(w >> shift, 32, torch.float32) for w in (a, b) for shift in (32, 0)]
        pairs = [(halves[0], halves[1]), (halves[2], halves[3])]
    columns = []
    for first, second in pairs:
        radius = torch.sqrt(-2.0 * torch.log(first))
        angle = second * (2.0 * math.pi)
        columns += [radius * torch.cos(angle), radius * torch.sin(angle)]
    return torch.stack([c.view(tiles, width) for c in columns], dim=1).reshape(-1).to(dtype)


def _unit(words, bits, dtype):
    """The low `bits` of integer words as numbers in (0, 1]."""
    return ((words & ((1 << bits) - 1)).to(dtype) + 0.5) * 2.0**-bits
