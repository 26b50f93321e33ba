"""What every engine is, and what engines share: where gradients are looked for, and what is refused."""

from __future__ import annotations

from typing import Any

import torch

from pdelab.kernels import optimizers as fused

__all__ = [
    "Engine", "adapted", "agreed", "check_home", "find_addresses", "moved", "not_finite", "refused_elsewhere",
    "sparse", "start_absent", "switches",
]  # fmt: skip


class Engine:
    """How a segment's inner update is computed. An engine holds nothing: what it finds is kept in the segment."""

    scratch: tuple[str, ...] = ()  # rows it needs for itself
    traceable = True  # a graph of torch.compile may hold it
    by_torch = True  # operations of torch see the parameters: gradients must be off
    recordable = True  # `apply` can take its numbers from the device
    finds_on_the_way = False  # `apply` stops with a ValueError at a gradient that is not finite, part of the way

    def refusal(self, segment, reason):
        """Why it cannot serve a segment, or None; reason: why the parameters are not views, or None."""

    def serves(self, segment, reason):
        """Whether "auto" may take it."""
        return self.refusal(segment, reason) is None

    def collect(self, segment):
        """Find the gradients, check their kind, and note which parameters have one."""
        raise NotImplementedError

    def check(self, segment):
        """Raise ValueError at the first gradient that is not finite."""
        raise NotImplementedError

    def prepare(self, segment):
        """Before a loop is recorded, whose gradients lie where they lie now: what recording may not do."""

    def apply(self, segment, rule, address, numbers=None):
        """One inner update; address: (seed, stream, tick) of its noise.

        numbers: those of the rule on the device, in a loop that is recorded, where they and the tick are read.
        Parameters without a gradient stay as they are, but their loop starts with the others'.
        """
        raise NotImplementedError

    def healthy(self, segment):
        """Whether the inner weights are finite, asked once a loop; gradients that were checked make them so."""
        return True


def check_home(segment: Any) -> None:
    """Raise RuntimeError unless the parameters lie in the memory, or are of the kind, that the optimizer knows."""
    if segment.viewable:
        if [where() for where in segment.where] != segment.homes:
            raise moved()
    elif not torch.compiler.is_compiling():
        kind, device = segment.buffer.dtype, segment.buffer.device
        if any(p.dtype is not kind or p.device != device for p in segment.params):
            raise moved()


def find_addresses(segment):
    """segment.addresses ← those of the gradients, 0 for None; copies of those laid out differently are kept alive."""
    if not segment.views:
        check_home(segment)
    elif [where() for where in segment.where] != segment.homes:
        raise moved()
    kind = segment.buffer.dtype
    segment.alive = alive = [p.grad for p in segment.params]
    try:
        places = [g.data_ptr() if g.dtype is kind and g.is_contiguous() else 0 for g in alive] if segment.usual else [0]
    except AttributeError:  # None
        places = [0]
    if 0 in places:
        segment.alive = alive = [adapted(p, k, g) for k, (p, g) in enumerate(zip(segment.params, alive))]
        places = [0 if g is None else g.data_ptr() for g in alive]
        segment.note([g is not None for g in alive])
    else:
        segment.seen = segment.whole
    segment.addresses[:] = places


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


def start_absent(segment, rule):
    """Parameters without a gradient at the start of a loop: x ← y, z ← y, m ← 0 as the rule says."""
    if not (rule.capture or rule.fresh or rule.reset) or all(p.grad is not None for p in segment.params):
        return
    with torch.no_grad():
        roles = rule.rows
        for k in [k for k, p in enumerate(segment.params) if p.grad is None]:
            y = segment.tensors("y")[k]
            for role, wanted in (("x", rule.capture), ("z", rule.fresh)):
                if wanted:
                    segment.tensors(roles[role])[k].copy_(y)
            if rule.reset and rule.momentum:
                segment.tensors("m")[k].zero_()


def switches(rule):
    """The terms that are on, as the kernel's flags."""
    on = {
        fused.CAPTURE: rule.capture, fused.FRESH: rule.fresh, fused.RESET: rule.reset, fused.MOMENTUM: rule.momentum,
        fused.LOOK: rule.ahead, fused.PULL: rule.pull, fused.INSIDE: rule.inside,
        fused.HEAT: rule.heat and not rule.field, fused.FIELD: rule.heat and rule.field, fused.AVERAGE: rule.average,
    }  # fmt: skip
    return sum(bit for bit, value in on.items() if value)


# mistakes


def agreed(params, fine):
    """Whether it is fine on every rank that holds a part of these parameters: all of them refuse, or none does, for
    those that went on would wait for those that stopped. Without shards it is asked here only."""
    for mesh in dict.fromkeys(p.device_mesh for p in params if hasattr(p, "device_mesh")):
        for dimension in range(mesh.ndim):
            flag = torch.tensor(int(fine), device=mesh.device_type)
            torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MIN, mesh.get_group(dimension))
            fine = bool(flag)
    return fine


def refused_elsewhere(what):
    """The error of the ranks whose own part is fine."""
    return ValueError(f"{what} is not finite on another rank: all ranks refuse it together")


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
