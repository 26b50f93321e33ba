"""The engine of the CPU: one pass of its kernel, straight from the gradients' addresses."""

import numpy as np
import torch

from pdelab.kernels import optimizers as fused
from pdelab.networks.devices import kernels_serve
from pdelab.networks.optimizers.buffers import NUMPY
from pdelab.networks.optimizers.engines.engine import Engine, find_addresses, not_finite, start_absent, switches

__all__ = ["FusedEngine", "packed"]

UNSEEN = {torch.float32: np.zeros(1, np.int32), torch.float64: np.zeros(1, np.int64)}  # no gradient looked at yet


class FusedEngine(Engine):
    """One pass of the CPU's kernel, straight from the gradients' addresses; no operation of torch is involved."""

    traceable = False
    by_torch = False
    recordable = False
    finds_on_the_way = True

    def refusal(self, segment, reason):
        if not segment.views:
            return f"needs parameters that are views of one buffer, but {reason}"
        if not kernels_serve(segment.buffer):
            return f"needs float32 or float64 on the CPU, got {segment.buffer.dtype} on {segment.buffer.device}"
        return None

    def collect(self, segment):
        find_addresses(segment)

    def check(self, segment):
        bad = fused.first_nonfinite(segment.addresses, segment.sizes, UNSEEN[segment.buffer.dtype])
        if bad >= 0:
            raise not_finite(segment.params[bad], bad)

    def apply(self, segment, rule, address, numbers=None):
        start_absent(segment, rule)
        pack = segment.packs.get(rule.capture)
        if pack is None or pack[0] is not rule:
            pack = segment.packs[rule.capture] = packed(segment, rule)
        if address is not None:
            segment.key[:] = address
        bad = fused.inner_pass(segment.map, *pack[1:], segment.key)
        if bad >= 0:
            raise not_finite(segment.params[bad], bad)


def packed(segment, rule):
    """The rule as the kernel's arguments, after the rule itself: rows, numbers, flags."""
    roles, dtype = rule.rows, segment.buffer.dtype
    rows = [segment.array(roles.get(role, "y")) for role in "yxzm"]
    amounts = np.array(rule.amounts, NUMPY[dtype])
    return rule, *rows, amounts, switches(rule), UNSEEN[dtype]
