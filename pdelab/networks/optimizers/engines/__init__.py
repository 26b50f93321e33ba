"""What computes the inner update of a segment: engines that agree to rounding.

fused: one pass of the CPU's kernel, straight from the gradients' addresses; triton: the same as one launch on a GPU;
torch: eager operations on flat rows; foreach: the same tensor by tensor, where parameters cannot be views of one
buffer; compiled: torch's as one graph.
"""

from __future__ import annotations

from typing import Any

from pdelab.networks.optimizers.engines.by_numba import FusedEngine
from pdelab.networks.optimizers.engines.by_torch import CompiledEngine, ForeachEngine, TorchEngine
from pdelab.networks.optimizers.engines.by_triton import TritonEngine
from pdelab.networks.optimizers.engines.engine import Engine, agreed, check_home, refused_elsewhere

__all__ = ["BY_TENSORS", "KINDS", "NAMES", "agreed", "check_home", "chosen", "refused_elsewhere"]

KINDS = {
    "fused": FusedEngine(), "triton": TritonEngine(), "torch": TorchEngine(), "foreach": ForeachEngine(),
    "compiled": CompiledEngine(),
}  # fmt: skip
NAMES = ("auto", *KINDS)
BY_TENSORS = KINDS["torch"]  # serves optimizers that need the gradients themselves, beside any engine


def chosen(name: str, segment: Any, reason: str | None) -> Engine:
    """The engine of a segment; ValueError where the one that was asked for cannot serve it.

    "auto" takes the first that serves: on the CPU of "fused" and "torch", elsewhere of "triton", "compiled" and
    "torch", whose place "foreach" takes where parameters are not views of one buffer.
    """
    if name == "auto":
        usual = ("fused",) if segment.buffer.device.type == "cpu" else ("triton", "compiled")
        for kind in usual:
            if KINDS[kind].serves(segment, reason):
                return KINDS[kind]
        name = "torch"
    if name == "torch" and not segment.views:
        return KINDS["foreach"]
    refusal = KINDS[name].refusal(segment, reason)
    if refusal:
        raise ValueError(f"engine={name!r} {refusal}")
    return KINDS[name]
