"""The one inner update, in three engines that agree to rounding: fused (CPU kernel), torch (eager), compiled.

In place on flat rows (y the parameters, x the anchor, z the average, m the momentum buffer), with
d = ∇f(y) + weight_decay y:

    m ← μ m + d,  d ← d + μ m (Nesterov) or m,  y ← y - η [d + (y - x)/γ] + s ξ,  z ← (1 - a) z + a y
"""

from typing import NamedTuple

import numpy as np
import torch

from pdelab.networks.optimizers import fused
from pdelab.networks.optimizers.buffers import local
from pdelab.networks.optimizers.thermal import TILE, normals

BITS = {torch.float32: np.uint32, torch.float64: np.uint64}
NUMPY = {torch.float32: np.float32, torch.float64: np.float64}


class Rule(NamedTuple):
    """The numbers of one inner update; a zero leaves its term out."""

    rate: float  # η
    momentum: float = 0.0  # μ
    nesterov: bool = True
    decay: float = 0.0  # weight decay
    pull: float = 0.0  # 1/γ
    inside: bool = False  # the pull enters the momentum buffer
    heat: float = 0.0  # s, standard deviation of the noise
    average: float = 0.0  # a, weight of the new iterate
    capture: bool = False  # before the update x, z ← y
    reset: bool = False  # before the update m ← 0
    sign: float = 1.0  # -1 maximises
    anchor: str = "x"

    @property
    def rows(self):
        """The rows it reads and writes, by role; one that it leaves alone is absent."""
        roles = {"y": "y"}
        if self.pull or self.capture:
            roles["x"] = self.anchor
        if self.average:
            roles["z"] = "z"
        if self.momentum:
            roles["m"] = "m"
        return roles


def collect(segment):
    """Find the gradients of a segment and check their kind."""
    if segment.engine == "fused" and not torch.compiler.is_compiling():
        collect_addresses(segment)
    else:
        collect_tensors(segment)


def collect_addresses(segment):
    """Addresses of the gradients, 0 for None; copies of those laid out differently are kept alive."""
    segment.alive = []
    for k, p in enumerate(segment.params):
        g = p.grad
        if g is None:
            segment.addresses[k] = 0
            continue
        if g.layout is not torch.strided:
            raise sparse(p, k)
        if g.dtype != p.dtype or not (g.is_contiguous() if segment.contiguous[k] else g.stride() == p.stride()):
            g = torch.empty_like(p).copy_(g)
            segment.alive.append(g)
        if p.data_ptr() != segment.homes[k]:
            raise moved(k)
        segment.addresses[k] = g.data_ptr()


def collect_tensors(segment):
    """Gradients as a list, one flat tensor when all are there; `pieces(name)` are the matching parts of a row."""
    present = [k for k, p in enumerate(segment.params) if p.grad is not None]
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
    """Raise ValueError at the first gradient of a segment that is not finite."""
    if segment.engine == "fused":
        bad = fused.first_nonfinite(segment.addresses, segment.sizes, _MASKS[segment.buffer.dtype])
        if bad >= 0:
            raise not_finite(segment.params[bad], bad)
    elif not all(bool(torch.isfinite(g).all()) for g in segment.grads):
        for k, p in enumerate(segment.params):
            if p.grad is not None and not bool(torch.isfinite(local(p.grad)).all()):
                raise not_finite(p, k)


def apply(segment, rule, address):
    """One inner update of a segment; `address` = (seed, stream, tick) of its noise.

    The fused engine stops with a ValueError at a gradient that is not finite, part of the way.
    """
    if torch.compiler.is_compiling() or segment.engine in ("torch", "foreach"):
        apply_torch(segment, rule, address)
    elif segment.engine == "fused":
        apply_fused(segment, rule, address)
    else:
        apply_compiled(segment, rule, address)


# fused


def apply_fused(segment, rule, address):
    """One pass of the CPU kernel."""
    roles = rule.rows
    y, x, z, m = [segment.array(roles.get(role, "y")) for role in "yxzm"]
    amounts, flags = packed(segment, rule)
    mask, key = _MASKS[segment.buffer.dtype], np.array(address, np.uint64)
    bad = fused.inner_pass(segment.addresses, segment.sizes, segment.places, y, x, z, m, amounts, flags, mask, key)
    if bad >= 0:
        raise not_finite(segment.params[bad], bad)
    torch.autograd.graph.increment_version(segment.params)


def packed(segment, rule):
    """The rule as the kernel's array of numbers and its flags; kept while the rule stays the same."""
    if segment.packed is None or segment.packed[0] != rule:
        kind = NUMPY[segment.buffer.dtype]
        amounts = np.array(
            [rule.sign, rule.decay, rule.momentum, rule.pull, rule.rate, rule.heat, 1 - rule.average, rule.average],
            kind,
        )
        flags = sum(
            bit
            for bit, on in (
                (fused.CAPTURE, rule.capture), (fused.RESET, rule.reset), (fused.NESTEROV, rule.nesterov),
                (fused.INSIDE, rule.inside), (fused.MOMENTUM, rule.momentum), (fused.PULL, rule.pull),
                (fused.HEAT, rule.heat), (fused.AVERAGE, rule.average),
            )
            if on
        )  # fmt: skip
        segment.packed = rule, amounts, flags
    return segment.packed[1:]


_MASKS = {dtype: np.array([NUMPY[dtype](np.inf)]).view(BITS[dtype]) for dtype in NUMPY}


# torch


def apply_torch(segment, rule, address):
    """Elementwise torch operations: on the flat rows when every gradient is there, else tensor by tensor."""
    if not segment.grads:
        return
    rows = {role: segment.pieces(name) for role, name in rule.rows.items()}
    if rule.heat:
        segment.flat("noise").copy_(thermal(segment, address))
        rows["noise"] = segment.pieces("noise")
    inner_update(rows, segment.grads, rule)


def thermal(segment, address):
    """The segment's standard normals, flat."""
    buffer = segment.buffer
    return normals(segment.tiles, buffer.dtype, buffer.device, *address, first=segment.start // TILE)


def inner_update(rows, grads, rule):
    """The update on lists of tensors, in place; numbers may be 0-d tensors."""
    y, x, z, m, noise = (rows.get(role) for role in ("y", "x", "z", "m", "noise"))
    if rule.capture:
        torch._foreach_copy_(x, y)
        if z:
            torch._foreach_copy_(z, y)
    if rule.reset and m:
        torch._foreach_zero_(m)
    d = torch._foreach_mul(grads, rule.sign)
    if rule.decay:
        add(d, y, rule.decay)
    if rule.pull and rule.inside:
        add(d, torch._foreach_sub(y, x), rule.pull)
    if m:
        torch._foreach_mul_(m, rule.momentum)
        torch._foreach_add_(m, d)
        d = torch._foreach_add(d, torch._foreach_mul(m, rule.momentum)) if rule.nesterov else torch._foreach_mul(m, 1.0)
    if rule.pull and not rule.inside:
        add(d, torch._foreach_sub(y, x), rule.pull)
    add(y, d, rule.rate, -1.0)
    if noise:
        add(y, noise, rule.heat)
    if z:
        torch._foreach_mul_(z, 1.0 - rule.average)
        add(z, y, rule.average)


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
    amounts = [rule.sign, rule.decay, rule.momentum, rule.pull, rule.rate, rule.heat, rule.average]
    numbers = torch.tensor(amounts, dtype=wide).to(buffer.device)
    when = torch.tensor(address[2], dtype=torch.int64).to(buffer.device)
    rows = {role: segment.pieces(name) for role, name in rule.rows.items()}
    place = None
    if rule.heat and segment.grads[0] is segment.flat("g"):
        place = segment.tiles, segment.start // TILE, *address[:2]
    elif rule.heat:
        segment.flat("noise").copy_(thermal(segment, address))
        rows["noise"] = segment.pieces("noise")
    compiled_update()(rows, segment.grads, tuple(bool(v) for v in rule[:-1]), numbers, when, place)


_COMPILED = []


def compiled_update():
    """`graph` behind torch.compile, built at first use."""
    if not _COMPILED:
        _COMPILED.append(torch.compile(graph, fullgraph=True))
    return _COMPILED[0]


def graph(rows, grads, switches, numbers, when, place):
    """`inner_update` with the numbers as 0-d tensors and the noise made on the way."""
    on = Rule(*switches)
    sign, decay, momentum, pull, rate, heat, average = numbers.unbind()
    if place is not None:
        tiles, first, seed, stream = place
        y = rows["y"][0]
        rows = rows | {"noise": [normals(tiles, y.dtype, y.device, seed, stream, when, first)]}
    rule = Rule(
        rate=rate, sign=sign, nesterov=on.nesterov, inside=on.inside, capture=on.capture, reset=on.reset,
        momentum=momentum if on.momentum else 0.0, decay=decay if on.decay else 0.0, pull=pull if on.pull else 0.0,
        heat=heat if on.heat else 0.0, average=average if on.average else 0.0,
    )  # fmt: skip
    inner_update(rows, grads, rule)


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


def moved(k):
    """The error for a parameter whose memory was exchanged behind the optimizer's back."""
    return RuntimeError(
        f"parameter {k} no longer lies in the optimizer's buffer: move or convert the model before the optimizer is "
        "built, or call opt.rebuild() afterwards"
    )
