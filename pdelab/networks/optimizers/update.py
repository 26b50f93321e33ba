"""The one inner update, in engines that agree to rounding: fused (CPU kernel), torch and foreach (eager), compiled.

In place on flat rows (y the parameters, x the anchor, z the average, m the momentum buffer), with
d = ∇f(y) + weight_decay y:

    m ← μ m + d,  d ← d + μ m (Nesterov) or m,  y ← y - η [d + (y - x)/γ] + s ξ,  z ← (1 - a) z + a y
"""

import math
from typing import NamedTuple

import numpy as np
import torch

from pdelab.kernels import optimizers as fused
from pdelab.networks.devices import kernels_serve, looking_waits
from pdelab.networks.optimizers.buffers import NUMPY, local
from pdelab.networks.optimizers.thermal import TILE, normals

UNSEEN = {torch.float32: np.zeros(1, np.int32), torch.float64: np.zeros(1, np.int64)}  # no gradient looked at yet


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


# gradients


def collect(segment):
    """Find the gradients of a segment and check their kind."""
    if segment.engine == "fused":  # never while torch.compile looks on: step() runs between its graphs then
        collect_addresses(segment)
    else:
        collect_tensors(segment)


def check_home(segment):
    """Raise RuntimeError unless the parameters lie in the memory, or are of the kind, that the optimizer knows."""
    if segment.viewable:
        if [where() for where in segment.where] != segment.homes:
            raise moved()
    elif not torch.compiler.is_compiling():
        kind, device = segment.buffer.dtype, segment.buffer.device
        if any(p.dtype is not kind or p.device != device for p in segment.params):
            raise moved()


def collect_addresses(segment):
    """Addresses of the gradients, 0 for None; copies of those laid out differently are kept alive."""
    check_home(segment)
    table, kind, usual = segment.table, segment.buffer.dtype, segment.usual
    segment.alive = alive = []
    for k, p in enumerate(segment.params):
        g = p.grad
        if not (usual and g is not None and g.dtype is kind and g.is_contiguous()):
            g = adapted(p, k, g)
        table[k] = 0 if g is None else g.data_ptr()
        alive.append(g)
    if 0 in table:
        segment.note([g is not None for g in alive])
    else:
        segment.seen = segment.whole


def adapted(p, k, g):
    """The gradient of parameter k of a segment, dense and laid out in memory like the parameter."""
    if g is None:
        return None
    if g.layout is not torch.strided:
        raise sparse(p, k)
    if g.dtype != p.dtype or g.stride() != p.stride():
        with torch.no_grad():
            g = torch.empty_like(p).copy_(g)
    return g


def collect_tensors(segment):
    """Gradients as a list, one flat tensor when all are there; `pieces(name)` are the matching parts of a row."""
    check_home(segment)
    there = [p.grad is not None for p in segment.params]
    present = [k for k, found in enumerate(there) if found]
    segment.note(there)
    found = [local(segment.params[k].grad) for k in present]
    for k, g in zip(present, found):
        if g.layout is not torch.strided:
            raise sparse(segment.params[k], k)
    if segment.viewable and len(present) == len(segment.params):
        torch._foreach_copy_(segment.tensors("g"), found)
        segment.grads, segment.pieces = [segment.flat("g")], lambda name: [segment.flat(name)]
    else:
        segment.grads, segment.pieces = found, lambda name: [segment.tensors(name)[k] for k in present]


def check_finite(segment):
    """Raise ValueError at the first gradient of a segment that is not finite; `check_tensors` says where it looks."""
    if segment.engine == "fused":
        bad = fused.first_nonfinite(segment.addresses, segment.sizes, UNSEEN[segment.buffer.dtype])
        if bad >= 0:
            raise not_finite(segment.params[bad], bad)
    else:
        check_tensors(segment)


def check_tensors(segment):
    """`check_finite` on gradients collected as tensors: not on accelerators, where looking means waiting, and not
    while torch.compile looks on, since an error that depends on numbers breaks its graph."""
    if looking_waits(segment.buffer.device) or torch.compiler.is_compiling():
        return
    if not all(bool(torch.isfinite(g).all()) for g in segment.grads):
        for k, p in enumerate(segment.params):
            if p.grad is not None and not bool(torch.isfinite(local(p.grad)).all()):
                raise not_finite(p, k)


def apply(segment, rule, address):
    """One inner update of a segment; `address` = (seed, stream, tick) of its noise.

    Parameters without a gradient stay as they are, but their loop starts with the others'. The fused engine stops
    with a ValueError at a gradient that is not finite, part of the way.
    """
    if rule.capture or rule.fresh or rule.reset:
        start_absent(segment, rule)
    if segment.engine == "fused":
        apply_fused(segment, rule, address)
    elif torch.compiler.is_compiling() or segment.engine in ("torch", "foreach"):
        apply_torch(segment, rule, address)
    else:
        apply_compiled(segment, rule, address)


def start_absent(segment, rule):
    """Parameters without a gradient at the start of a loop: x ← y, z ← y, m ← 0 as the rule says."""
    roles = rule.rows
    for k, p in enumerate(segment.params):
        if p.grad is None:
            y = segment.tensors("y")[k]
            for role, wanted in (("x", rule.capture), ("z", rule.fresh)):
                if wanted:
                    segment.tensors(roles[role])[k].copy_(y)
            if rule.reset and rule.momentum:
                segment.tensors("m")[k].zero_()


# fused


def apply_fused(segment, rule, address):
    """One pass of the CPU kernel."""
    pack = segment.packs.get(rule.capture)
    if pack is None or pack[0] is not rule:
        pack = segment.packs[rule.capture] = packed(segment, rule)
    if address is not None:
        segment.key[:] = address
    bad = fused.inner_pass(segment.addresses, segment.sizes, segment.places, *pack[1:], segment.key)
    if bad >= 0:
        raise not_finite(segment.params[bad], bad)


def packed(segment, rule):
    """The rule as the kernel's arguments, after the rule itself: rows, numbers, flags."""
    roles, dtype = rule.rows, segment.buffer.dtype
    rows = [segment.array(roles.get(role, "y")) for role in "yxzm"]
    amounts = np.array([*rule.numbers, 1.0 - rule.average], NUMPY[dtype])
    return rule, *rows, amounts, switches(rule), UNSEEN[dtype]


def switches(rule):
    """The terms that are on, as the kernel's flags."""
    on = {
        fused.CAPTURE: rule.capture, fused.FRESH: rule.fresh, fused.RESET: rule.reset, fused.MOMENTUM: rule.momentum,
        fused.LOOK: rule.ahead, fused.PULL: rule.pull, fused.INSIDE: rule.inside,
        fused.HEAT: rule.heat and not rule.field, fused.FIELD: rule.heat and rule.field, fused.AVERAGE: rule.average,
    }  # fmt: skip
    return sum(bit for bit, value in on.items() if value)


# torch


def apply_torch(segment, rule, address):
    """Elementwise torch operations: on the flat rows when every gradient is there, else tensor by tensor."""
    if not segment.grads:
        return
    rows = {role: segment.pieces(name) for role, name in rule.rows.items()}
    if rule.heat:
        thermal(segment, address)
        rows["noise"] = segment.pieces("noise")
    inner_update(rows, segment.grads, rule, terms(rule))


def thermal(segment, address):
    """The segment's standard normals, in its scratch row "noise"."""
    if segment.sharded:
        for p, origin, piece in zip(segment.params, segment.origins, segment.tensors("noise")):
            shard_normals(p, origin, piece, address)
    else:
        fill(segment.flat("noise"), segment.start // TILE, address)


def fill(noise, first, address):
    """noise ← standard normals of whole tiles from `first` on."""
    if kernels_serve(noise) and not torch.compiler.is_compiling():
        fused.fill_normals(noise.numpy(), first, np.array(address, np.uint64))
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


def add(target, source, factor, sign=1.0):
    """target += sign factor source, lists of tensors."""
    if isinstance(factor, torch.Tensor):
        torch._foreach_add_(target, torch._foreach_mul(source, factor * sign))
    else:
        torch._foreach_add_(target, source, alpha=sign * factor)


# compiled


def apply_compiled(segment, rule, address):
    """The torch engine's update as one graph; numbers travel as a tensor, so that schedules never recompile it."""
    if not segment.grads:
        return
    buffer = segment.buffer
    wide = torch.float64 if buffer.dtype == torch.float64 else torch.float32
    numbers = torch.tensor(rule.numbers, dtype=wide).to(buffer.device)
    when = torch.tensor(address[2] if address else 0, dtype=torch.int64).to(buffer.device)
    rows = {role: segment.pieces(name) for role, name in rule.rows.items()}
    place = None
    if rule.heat and segment.grads[0] is segment.flat("g"):
        place = segment.tiles, segment.start // TILE, *address[:2]
    elif rule.heat:
        thermal(segment, address)
        rows["noise"] = segment.pieces("noise")
    compiled_update()(rows, segment.grads, terms(rule), numbers, when, place)


COMPILED = []


def compiled_update():
    """`graph` behind torch.compile, built at first use."""
    if not COMPILED:
        COMPILED.append(torch.compile(graph, fullgraph=True))
    return COMPILED[0]


def graph(rows, grads, on, numbers, when, place):
    """`inner_update` with the numbers as 0-d tensors and the noise made on the way."""
    if place is not None:
        tiles, first, seed, stream = place
        y = rows["y"][0]
        rows = rows | {"noise": [normals(tiles, y.dtype, y.device, seed, stream, when, first)]}
    names = ("sign", "decay", "momentum", "ahead", "pull", "rate", "heat", "average")
    inner_update(rows, grads, on._replace(**dict(zip(names, numbers.unbind()))), on)


# mistakes


def not_finite(p, k):
    """The error for a gradient with an infinity or a NaN."""
    return ValueError(
        f"the gradient of parameter {k} of its group (shape {tuple(p.shape)}) is not finite: "
        "lower lr or inner_lr, clip the gradients, or use torch.amp.GradScaler with half precision"
    )


def sparse(p, k):
    """The error for a sparse gradient."""
    return ValueError(
        f"expected dense gradients, got layout {p.grad.layout} for parameter {k} (shape {tuple(p.shape)}): "
        "sparse gradients are not supported; use sparse=False in the embedding"
    )


def moved():
    """The error for parameters whose memory was exchanged behind the optimizer's back."""
    return RuntimeError(
        "the parameters no longer lie in the optimizer's buffer: move or convert the model before the optimizer is "
        "built, or call opt.rebuild() afterwards"
    )
