"""Engines of torch's operations: eager on flat rows, tensor by tensor, and as one graph."""

import torch

from pdelab.networks.devices import looking_waits
from pdelab.networks.optimizers.buffers import local
from pdelab.networks.optimizers.engines.engine import (
    Engine,
    agreed,
    check_home,
    not_finite,
    refused_elsewhere,
    sparse,
    start_absent,
)
from pdelab.networks.optimizers.gpu import triton_refusal
from pdelab.networks.optimizers.thermal import TILE, normals
from pdelab.networks.optimizers.update import inner_update, terms, thermal

__all__ = ["CompiledEngine", "ForeachEngine", "TorchEngine", "compiled_update", "graph", "with_numbers"]


class TorchEngine(Engine):
    """Elementwise torch operations: on the flat rows when every gradient is there, else tensor by tensor."""

    scratch = ("g",)

    def collect(self, segment):
        """Gradients as a list, one flat tensor when all are there; `pieces(name)` are the matching parts of a row."""
        check_home(segment)
        there = [p.grad is not None for p in segment.params]
        present = [k for k, given in enumerate(there) if given]
        segment.note(there)
        gradients = [local(segment.params[k].grad) for k in present]
        for k, g in zip(present, gradients):
            if g.layout is not torch.strided:
                raise sparse(segment.params[k], k)
        if segment.viewable and len(present) == len(segment.params):
            torch._foreach_copy_(segment.tensors("g"), gradients)
            segment.grads, segment.pieces = [segment.flat("g")], lambda name: [segment.flat(name)]
        else:
            segment.grads, segment.pieces = gradients, lambda name: [segment.tensors(name)[k] for k in present]

    def check(self, segment):
        """Not on accelerators, where looking means waiting, and not
        while torch.compile looks on, since an error that depends on numbers breaks its graph."""
        if looking_waits(segment.buffer.device) or torch.compiler.is_compiling():
            return
        if agreed(segment.params, all(bool(torch.isfinite(g).all()) for g in segment.grads)):
            return
        for k, p in enumerate(segment.params):
            if p.grad is not None and not bool(torch.isfinite(local(p.grad)).all()):
                raise not_finite(p, k)
        raise refused_elsewhere("a gradient")

    def apply(self, segment, rule, address, numbers=None):
        start_absent(segment, rule)
        if not segment.grads:
            return
        rows = {role: segment.pieces(name) for role, name in rule.rows.items()}
        if rule.heat:
            thermal(segment, address)
            rows["noise"] = segment.pieces("noise")
        on = terms(rule)
        inner_update(rows, segment.grads, rule if numbers is None else with_numbers(on, numbers), on)

    def healthy(self, segment):
        """Looks only where `check` does not, because that means waiting."""
        if not looking_waits(segment.buffer.device) or torch.compiler.is_compiling():
            return True
        parts = *segment.lists("y"), *(segment.grads or ())
        return agreed(segment.params, all(bool(torch.isfinite(t).all()) for t in parts))


class ForeachEngine(TorchEngine):
    """The torch engine where parameters are not views of one buffer; segments then offer no flat row of them."""


class CompiledEngine(TorchEngine):
    """The torch engine's update as one graph; numbers travel as a tensor, so that schedules never recompile it."""

    def refusal(self, segment, reason):
        return None if segment.views else f"needs parameters that are views of one buffer, but {reason}"

    def serves(self, segment, reason):
        """On GPUs what compiles graphs needs triton itself."""
        usable = segment.buffer.device.type == "cpu" or triton_refusal(segment.buffer) is None
        return usable and super().serves(segment, reason)

    def apply(self, segment, rule, address, numbers=None):
        if torch.compiler.is_compiling() or numbers is not None:
            super().apply(segment, rule, address, numbers)
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


# the graph of the compiled engine


COMPILED: list = []


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
    inner_update(rows, grads, with_numbers(on, numbers), on)


def with_numbers(on, numbers):
    """A rule whose numbers are 0-d tensors, those of `numbers`; on: its terms."""
    names = ("sign", "decay", "momentum", "ahead", "pull", "rate", "heat", "average")
    return on._replace(**dict(zip(names, numbers.unbind())))
