"""The one inner update and its noise, in torch's operations; `engines/` what computes it.

In place on flat rows (y the parameters, x the anchor, z the average, m the momentum buffer), with
d = ∇f(y) + weight_decay y:

    m ← μ m + d,  d ← d + μ m (Nesterov) or m,  y ← y - η [d + (y - x)/γ] + s ξ,  z ← (1 - a) z + a y
"""

import math
from typing import NamedTuple

import numpy as np
import torch

from pdelab.kernels import optimizers as fused
from pdelab.networks.devices import kernels_serve
from pdelab.networks.optimizers import gpu
from pdelab.networks.optimizers.thermal import TILE, normals

__all__ = [
    "Rule", "add", "blend", "fill", "inner_update", "nesterov", "number", "shard_normals", "terms", "thermal",
    "with_momentum",
]  # fmt: skip


class Rule(NamedTuple):
    """The numbers of one inner update; a zero leaves its term out."""

    rate: float  # η
    momentum: float = 0.0  # μ
    ahead: float = 0.0  # Nesterov's look-ahead, usually μ; 0: heavy ball
    decay: float = 0.0  # weight decay
    pull: float = 0.0  # 1/γ
    inside: bool = False  # the pull enters the momentum buffer
    heat: float = 0.0  # s, standard deviation of the noise
    field: bool = False  # the noise enters the gradient instead of y
    average: float = 0.0  # a, weight of the new iterate
    capture: bool = False  # before the update x ← y
    fresh: bool = False  # before the update z ← y
    reset: bool = False  # before the update m ← 0
    sign: float = 1.0  # -1 maximises
    anchor: str = "x"

    @property
    def numbers(self):
        """Its numbers in the order of the kernel."""
        return self.sign, self.decay, self.momentum, self.ahead, self.pull, self.rate, self.heat, self.average

    @property
    def amounts(self):
        """`numbers` and the weight of the old average."""
        return *self.numbers, 1.0 - self.average

    @property
    def rows(self):
        """The rows it reads and writes, by role; one that it leaves alone is absent."""
        roles = {"y": "y"}
        if self.pull or self.capture:
            roles["x"] = self.anchor
        if self.average or self.fresh:
            roles["z"] = "z"
        if self.momentum:
            roles["m"] = "m"
        return roles


def terms(rule):
    """The rule with true for every term that is on."""
    return Rule(*(bool(value) for value in rule))


def nesterov(group, name="momentum"):
    """(μ, look-ahead) of a group's momentum."""
    momentum = number(group[name])
    return momentum, momentum if group["nesterov"] else 0.0


def number(value):
    """A one-number tensor on the CPU as a float; floats and tensors elsewhere as they are."""
    return float(value) if isinstance(value, torch.Tensor) and value.device.type == "cpu" else value


# noise


def thermal(segment, address):
    """The segment's standard normals, in its scratch row "noise"."""
    if segment.sharded:
        for p, origin, piece in zip(segment.params, segment.origins, segment.tensors("noise")):
            shard_normals(p, origin, piece, address)
    else:
        fill(segment.flat("noise"), segment.start // TILE, address)


def fill(noise, first, address):
    """noise ← standard normals of whole tiles from `first` on."""
    compiling, tick = torch.compiler.is_compiling(), address[2]
    if kernels_serve(noise) and not compiling and not isinstance(tick, torch.Tensor):
        fused.fill_normals(noise.numpy(), first, np.array(address, np.uint64))
    elif noise.device.type == "cuda" and not compiling and gpu.triton_refusal(noise) is None:
        gpu.fill(noise, first, address)
    else:
        noise.copy_(normals(noise.numel() // TILE, noise.dtype, noise.device, *address, first=first))


def shard_normals(p, origin, piece, address):
    """piece ← what a shard of p has of the normals that p would have in one process, from column `origin` on."""
    if not hasattr(p, "to_local"):
        shape, offset = p.shape, [0] * p.dim()
    else:
        from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

        shape, offset = compute_local_shape_and_global_offset(p.shape, p.device_mesh, p.placements)
    if not piece.numel():
        return
    width = math.prod(p.shape[1:])  # whole rows are made, and cut where a later axis is sharded
    start = offset[0] * width if shape else 0
    stop = start + (shape[0] * width if shape else 1)
    tiles = slice(start // TILE, -(-stop // TILE))
    noise = torch.empty((tiles.stop - tiles.start) * TILE, dtype=piece.dtype, device=piece.device)
    fill(noise, origin // TILE + tiles.start, address)
    rows = noise[start - tiles.start * TILE :][: stop - start].view(*shape[:1], *p.shape[1:])
    piece.copy_(rows[(slice(None), *(slice(o, o + n) for o, n in zip(offset[1:], shape[1:])))] if shape else rows)


# arithmetic


def inner_update(rows, grads, rule, on):
    """The update on lists of tensors, in place; rule: numbers or 0-d tensors; on: true for the terms that are on."""
    y, x, z, m, noise = (rows.get(role) for role in ("y", "x", "z", "m", "noise"))
    for wanted, target in ((on.capture, x), (on.fresh, z)):
        if wanted:
            torch._foreach_copy_(target, y)
    if on.reset and on.momentum:
        torch._foreach_zero_(m)
    d = torch._foreach_mul(grads, rule.sign)
    if on.decay:
        add(d, y, rule.decay)
    if on.heat and on.field:
        add(d, noise, rule.heat)
    if on.pull and on.inside:
        add(d, torch._foreach_sub(y, x), rule.pull)
    if on.momentum:
        d = with_momentum(d, m, rule.momentum, rule.ahead if on.ahead else None)
    if on.pull and not on.inside:
        add(d, torch._foreach_sub(y, x), rule.pull)
    add(y, d, rule.rate, -1.0)
    if on.heat and not on.field:
        add(y, noise, rule.heat)
    if on.average:
        torch._foreach_mul_(z, 1.0 - rule.average)
        add(z, y, rule.average)


def with_momentum(d, m, momentum, ahead):
    """m ← μ m + d; returns d + ahead m, or for ahead=None a copy of m (heavy ball)."""
    torch._foreach_mul_(m, momentum)
    torch._foreach_add_(m, d)
    return torch._foreach_mul(m, 1.0) if ahead is None else torch._foreach_add(d, torch._foreach_mul(m, ahead))


def blend(target, source, share):
    """target += share (source - target), lists of tensors."""
    if isinstance(share, torch.Tensor):
        for mine, theirs in zip(target, source):
            mine.lerp_(theirs, share.to(mine.dtype))
    else:
        torch._foreach_lerp_(target, source, share)


def add(target, source, factor, sign=1.0):
    """target += sign factor source, lists of tensors."""
    if isinstance(factor, torch.Tensor):
        torch._foreach_add_(target, torch._foreach_mul(source, factor * sign))
    else:
        torch._foreach_add_(target, source, alpha=sign * factor)
