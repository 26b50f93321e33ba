"""The engine of GPUs: one launch of a Triton kernel a segment, the noise made in registers.

The CPU's numbers: Threefry's words bit for bit, and the update operation by operation. Gradients and weights are read
by their addresses, so that parameters need not be views of one buffer: cuDNN's flat weights of an LSTM serve as well.
The host never waits: addresses and numbers are sent when they change, and a flag on the device keeps what was not
finite until the loop is asked for its health.
"""

import numpy as np
import torch

from pdelab.networks.optimizers.buffers import dense
from pdelab.networks.optimizers.engines.engine import Engine, find_addresses, start_absent, switches
from pdelab.networks.optimizers.gpu import BLOCK, WARPS, kernels, on_device, send, triton_refusal

__all__ = ["Launch", "TritonEngine", "launched"]


class TritonEngine(Engine):
    """One kernel launch, straight from the gradients' addresses; no operation of torch sees the parameters."""

    traceable = False
    by_torch = False

    def refusal(self, segment, reason):
        missing = triton_refusal(segment.buffer)
        if missing:
            return missing
        if segment.sharded:
            return "cannot serve the shards of a distributed tensor"
        if not segment.views and (reason == "parameters share memory" or not all(map(dense, segment.params))):
            return f"needs parameters without gaps that share no memory, but {reason}"
        return None

    def collect(self, segment):
        find_addresses(segment)

    def check(self, segment):
        """Nothing: looking means waiting. `healthy` looks once a loop."""

    def apply(self, segment, rule, address, numbers=None):
        start_absent(segment, rule)
        launched(segment, numbers is not None).update(rule, address, numbers)

    def prepare(self, segment):
        self.collect(segment)
        launched(segment, True).send_addresses()
        segment.release()

    def healthy(self, segment):
        """Reads the flag that the kernel raises, and lowers it."""
        launch = launched(segment, False)
        if not launch.bad.item():
            return True
        launch.bad.zero_()
        return False


def launched(segment, recorded):
    """The launch of a segment; a recorded loop has one of its own, whose table of addresses stays."""
    key = "recorded" if recorded else "launch"
    if key not in segment.packs:
        segment.packs[key] = Launch(segment)
    return segment.packs[key]


class Launch:
    """What the kernel of one segment reads on the device besides rows and gradients."""

    def __init__(self, segment):
        self.segment = segment
        device, sizes = segment.buffer.device, segment.sizes
        blocks = [(k, start) for k, size in enumerate(sizes) for start in range(0, size, BLOCK)]
        self.grid = (len(blocks),)
        self.blocks = torch.tensor(blocks, dtype=torch.int64).to(device)
        self.sizes = torch.from_numpy(sizes).to(device)
        self.places = torch.from_numpy(segment.places).to(device)
        self.bad = torch.zeros(1, dtype=torch.int32, device=device)
        self.addresses = torch.zeros(2, len(sizes), dtype=torch.int64, device=device)
        self.sent, self.aligned = None, False
        self.amounts = {}
        self.rows = {}

    def update(self, rule, address, numbers=None):
        """One inner update on the gradients whose addresses the segment has; numbers: the rule's there."""
        self.send_addresses()
        if not self.grid[0]:
            return
        if rule.capture:
            self.bad.zero_()
        seed, stream, tick = address or (0, 0, 0)
        rows = [self.row(rule.rows.get(role)) for role in "xzm"]
        with on_device(self.segment.buffer.device):
            kernels().inner_pass[self.grid](
                self.addresses, self.sizes, self.places, self.blocks, len(self.segment.sizes), *rows,
                self.numbers(rule) if numbers is None else numbers, self.bad, seed, stream, tick, FLAGS=switches(rule),
                DEVICE_TICK=isinstance(tick, torch.Tensor), ALIGNED=self.aligned, BLOCK=BLOCK, num_warps=WARPS,
                enable_fp_fusion=False,
            )  # fmt: skip

    def send_addresses(self):
        """Gradients mostly lie where they lay at the last step: nothing is sent then."""
        segment = self.segment
        weights = segment.homes if segment.views else [where() for where in segment.where]
        table = [*segment.addresses.tolist(), *weights]
        if table != self.sent:
            self.sent, self.aligned = table, not any(address % 16 for address in table)
            send(np.array(table, np.int64).reshape(2, -1), self.addresses)

    def numbers(self, rule):
        """The rule's numbers on the device, sent when they change."""
        earlier, there = self.amounts.get(rule.capture, (None, None))
        if earlier != rule:
            if there is None:
                there = torch.zeros(9, dtype=torch.float64, device=self.segment.buffer.device)
            send(np.array(rule.amounts), there)
            self.amounts[rule.capture] = rule, there
        return there

    def row(self, name):
        """The replica's whole row; for one that is not there another of its type, which is left alone."""
        if name not in self.rows:
            buffer = self.segment.buffer
            kind = {"dtype": buffer.dtype, "device": buffer.device}
            self.rows[name] = torch.zeros(64, **kind) if name is None else buffer.row(name)[self.segment.replica]
        return self.rows[name]
