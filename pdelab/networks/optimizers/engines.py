"""What computes the inner update of a segment: engines that agree to rounding.

fused: one pass of the CPU's kernel, straight from the gradients' addresses; torch: eager operations on flat rows;
foreach: the same tensor by tensor, where parameters cannot be views of one buffer; compiled: torch's as one graph.
"""

import numpy as np
import torch

from pdelab.kernels import optimizers as fused
from pdelab.networks.devices import kernels_serve, looking_waits
from pdelab.networks.optimizers.buffers import NUMPY, local
from pdelab.networks.optimizers.thermal import TILE, normals
from pdelab.networks.optimizers.update import inner_update, terms, thermal

__all__ = [
    "BY_TENSORS", "CompiledEngine", "Engine", "ForeachEngine", "FusedEngine", "NAMES", "TorchEngine", "adapted",
    "check_home", "chosen", "compiled_update", "graph", "moved", "not_finite", "packed", "sparse", "start_absent",
    "switches",
]  # fmt: skip

UNSEEN = {torch.float32: np.zeros(1, np.int32), torch.float64: np.zeros(1, np.int64)}  # no gradient looked at yet


class Engine:
    """How a segment's inner update is computed. An engine holds nothing: what it finds is kept in the segment."""

    scratch = ()  # rows it needs for itself
    traceable = True  # a graph of torch.compile may hold it
    by_torch = True  # operations of torch see the parameters: gradients must be off
    finds_on_the_way = False  # `apply` stops with a ValueError at a gradient that is not finite, part of the way

    def refusal(self, segment, reason):
        """Why it cannot serve a segment, or None; reason: why the parameters are not views, or None."""

    def collect(self, segment):
        """Find the gradients, check their kind, and note which parameters have one."""
        raise NotImplementedError

    def check(self, segment):
        """Raise ValueError at the first gradient that is not finite."""
        raise NotImplementedError

    def apply(self, segment, rule, address):
        """One inner update; address: (seed, stream, tick) of its noise.

        Parameters without a gradient stay as they are, but their loop starts with the others'.
        """
        raise NotImplementedError

    def healthy(self, segment):
        """Whether the inner weights are finite, asked once a loop; gradients that were checked make them so."""
        return True


class TorchEngine(Engine):
    """Elementwise torch operations: on the flat rows when every gradient is there, else tensor by tensor."""

    scratch = ("g",)

    def collect(self, segment):
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

    def check(self, segment):
        """Not on accelerators, where looking means waiting, and not
        while torch.compile looks on, since an error that depends on numbers breaks its graph."""
        if looking_waits(segment.buffer.device) or torch.compiler.is_compiling():
            return
        if not all(bool(torch.isfinite(g).all()) for g in segment.grads):
            for k, p in enumerate(segment.params):
                if p.grad is not None and not bool(torch.isfinite(local(p.grad)).all()):
                    raise not_finite(p, k)

    def apply(self, segment, rule, address):
        start_absent(segment, rule)
        if not segment.grads:
            return
        rows = {role: segment.pieces(name) for role, name in rule.rows.items()}
        if rule.heat:
            thermal(segment, address)
            rows["noise"] = segment.pieces("noise")
        inner_update(rows, segment.grads, rule, terms(rule))

    def healthy(self, segment):
        """Looks only where `check` does not, because that means waiting."""
        if not looking_waits(segment.buffer.device) or torch.compiler.is_compiling():
            return True
        return all(bool(torch.isfinite(t).all()) for t in (*segment.lists("y"), *(segment.grads or ())))


class ForeachEngine(TorchEngine):
    """The torch engine where parameters are not views of one buffer; segments then offer no flat row of them."""


class CompiledEngine(TorchEngine):
    """The torch engine's update as one graph; numbers travel as a tensor, so that schedules never recompile it."""

    def refusal(self, segment, reason):
        return None if segment.views else f"needs parameters that are views of one buffer, but {reason}"

    def apply(self, segment, rule, address):
        if torch.compiler.is_compiling():
            super().apply(segment, rule, address)
            return
        start_absent(segment, rule)
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


class FusedEngine(Engine):
    """One pass of the CPU's kernel, straight from the gradients' addresses; no operation of torch is involved."""

    traceable = False
    by_torch = False
    finds_on_the_way = True

    def refusal(self, segment, reason):
        if not segment.views:
            return f"needs parameters that are views of one buffer, but {reason}"
        if not kernels_serve(segment.buffer):
            return f"needs float32 or float64 on the CPU, got {segment.buffer.dtype} on {segment.buffer.device}"
        return None

    def collect(self, segment):
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

    def check(self, segment):
        bad = fused.first_nonfinite(segment.addresses, segment.sizes, UNSEEN[segment.buffer.dtype])
        if bad >= 0:
            raise not_finite(segment.params[bad], bad)

    def apply(self, segment, rule, address):
        start_absent(segment, rule)
        pack = segment.packs.get(rule.capture)
        if pack is None or pack[0] is not rule:
            pack = segment.packs[rule.capture] = packed(segment, rule)
        if address is not None:
            segment.key[:] = address
        bad = fused.inner_pass(segment.addresses, segment.sizes, segment.places, *pack[1:], segment.key)
        if bad >= 0:
            raise not_finite(segment.params[bad], bad)


KINDS = {"fused": FusedEngine(), "torch": TorchEngine(), "foreach": ForeachEngine(), "compiled": CompiledEngine()}
NAMES = ("auto", *KINDS)
BY_TENSORS = KINDS["torch"]  # serves optimizers that need the gradients themselves, beside any engine


def chosen(name, segment, reason):
    """The engine of a segment; ValueError where the one that was asked for cannot serve it."""
    if name in ("auto", "torch") and not segment.views:
        return KINDS["foreach"]
    if name == "auto":
        return KINDS["fused" if kernels_serve(segment.buffer) else "torch"]
    refusal = KINDS[name].refusal(segment, reason)
    if refusal:
        raise ValueError(f"engine={name!r} {refusal}")
    return KINDS[name]


# what engines share


def check_home(segment):
    """Raise RuntimeError unless the parameters lie in the memory, or are of the kind, that the optimizer knows."""
    if segment.viewable:
        if [where() for where in segment.where] != segment.homes:
            raise moved()
    elif not torch.compiler.is_compiling():
        kind, device = segment.buffer.dtype, segment.buffer.device
        if any(p.dtype is not kind or p.device != device for p in segment.params):
            raise moved()


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


# the graph of the compiled engine


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
