"""One loop of an optimizer, L gradients and the outer step, recorded once and replayed: CUDA graphs.

A replay runs no Python: what changes from loop to loop is read on the device. Before each replay the host evaluates
rates, schedules and the noise's ticks for the loop to come, and sends them in one copy, without waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from pdelab.networks.optimizers.base import FlatOptimizer
from pdelab.networks.optimizers.gpu import send
from pdelab.networks.optimizers.wrapped import Wrapping

__all__ = ["Again", "Column", "CudaGraph", "Numbers", "RecordedLoop"]

MOVING = ("lr", "inner_lr", "gamma", "rho", "elastic", "temperature")  # settings that the device reads


class Numbers:
    """Numbers that the device reads: a vector of float64 and one of int64, in the order in which they are asked for.

    Each is a function of the outer step; `send` evaluates all of them for one. A loop that is run again asks for the
    same ones in the same order.
    """

    def __init__(self, device, room):
        self.reals, self.wholes = (Column(kind, device, room) for kind in (np.float64, np.int64))
        self.shared = {}

    def start(self, outer):
        """A loop begins, at this outer step."""
        self.outer = outer
        self.reals.asked = self.wholes.asked = 0

    def real(self, function, key=None):
        """function(outer step), a sequence of floats, as a tensor; with a key the same tensor each time."""
        if key is None:
            return self.reals.next(function, self.outer)
        if key not in self.shared:
            self.shared[key] = self.reals.add(function, self.outer)
        return self.shared[key]

    def whole(self, function):
        """function(outer step), a sequence of integers, as a tensor."""
        return self.wholes.next(function, self.outer)

    def send(self, outer):
        """The numbers of the loop at this outer step ← their functions; nothing is sent where nothing changed."""
        self.reals.send(outer)
        self.wholes.send(outer)


class Column:
    """The numbers of one kind."""

    def __init__(self, kind, device, room):
        self.kind, self.vector = kind, torch.from_numpy(np.zeros(room, kind)).to(device)
        self.functions, self.views, self.used, self.asked, self.sent = [], [], 0, 0, None

    def next(self, function, outer):
        """The next number of the loop, added where it is new."""
        if self.asked == len(self.views):
            self.views.append(self.add(function, outer))
        self.asked += 1
        return self.views[self.asked - 1]

    def add(self, function, outer):
        """Room for one more."""
        values = function(outer)
        view = self.vector[self.used : self.used + len(values)]
        if len(view) < len(values):
            raise RuntimeError("a recorded loop asked for more numbers than it has room for")
        self.functions.append(function)
        self.used += len(values)
        send(np.array(values, self.kind), view)
        return view

    def send(self, outer):
        """All of them, in one copy."""
        values = [value for function in self.functions for value in function(outer)]
        if values != self.sent:
            self.sent = values
            send(np.array(values, self.kind), self.vector[: self.used])


class CudaGraph:
    """A function whose work on a GPU is recorded and replayed; recording itself does none of it."""

    def __init__(self, device):
        self.stream, self.graph = torch.cuda.Stream(device), torch.cuda.CUDAGraph()

    @contextmanager
    def rehearsal(self):
        """Inside, the function runs as it will be recorded, off the usual stream."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            yield
        torch.cuda.current_stream().wait_stream(self.stream)

    def record(self, function):
        """Record the work of function()."""
        with torch.cuda.graph(self.graph, stream=self.stream):
            function()

    def replay(self):
        """Do it."""
        self.graph.replay()


class Again:
    """The stand-in for tests on the CPU: what is replayed is the function itself."""

    def __init__(self, device=None):
        self.function = None

    @contextmanager
    def rehearsal(self):
        """Nothing to prepare."""
        yield

    def record(self, function):
        """Keep the function."""
        self.function = function

    def replay(self):
        """Call it."""
        self.function()


class RecordedLoop:
    """A loop of an optimizer as one CUDA graph: L gradients and the outer step without Python in between.

    `run()` is one loop. The first is an ordinary one, the second a rehearsal; the third is recorded, and it and all
    others are replayed. When a setting other than rates, scopes and temperatures has changed, this starts anew.
    Ordinary steps may be taken between loops. No number is looked at on the way: weights that are no longer finite show
    in the loss.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        One of this package, with all its parameters on one GPU and in one process, but none over another optimizer
        (LocalEntropy, EntropyAdam, Trivialized, DiLoCo, LocalSGD).
    gradient : callable
        A function of the position k = 0 … L - 1 in the loop: a forward and a backward pass, which add to the gradients.
        Its inputs always lie in the same memory and have the same shapes. It looks at no number of the device, and does
        not call `zero_grad`: that is done here, in place, since the graph knows the gradients' addresses.
    graph : type
        What records and replays: `CudaGraph`; tests on the CPU take `Again`.

    Raises
    ------
    ValueError
        The loop of this optimizer cannot be recorded; `refusal` says why.

    Examples
    --------
    >>> from pdelab.networks import EntropySGD
    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> opt = EntropySGD([weight], inner_steps=5, gamma=1.0, engine="torch")
    >>> loop = RecordedLoop(opt, lambda k: (weight**2).sum().backward(), graph=Again)
    >>> for _ in range(4):
    ...     loop.run()
    >>> opt.outer_steps, bool(weight.norm() < 1.0)
    (4, True)
    """

    def __init__(self, optimizer: FlatOptimizer, gradient: Callable[[int], object], graph: type = CudaGraph):
        reason = self.refusal(optimizer, graph is CudaGraph)
        if reason:
            raise ValueError(f"optimizer: expected one whose loop can be recorded, got one that {reason}")
        self.optimizer, self.gradient, self.kind = optimizer, gradient, graph
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.forget()

    @staticmethod
    def refusal(optimizer: Any, cuda: bool = True) -> str | None:
        """Why the loop of this optimizer cannot be recorded, or None.

        Parameters
        ----------
        optimizer : torch.optim.Optimizer
        cuda : bool
            As a CUDA graph.

        Returns
        -------
        str or None
        """
        if not isinstance(optimizer, FlatOptimizer):
            return "is none of pdelab.networks's own"
        if isinstance(optimizer, Wrapping):
            return "works over another optimizer, whose numbers stay on the host"
        if getattr(getattr(optimizer, "communicator", None), "ranks", 1) > 1:
            return "works on several ranks"
        if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
            return "has hooks of its step, which a replay does not call"
        segments = optimizer._layout.segments
        devices = {segment.buffer.device for segment in segments}
        if len(devices) > 1 or (cuda and {device.type for device in devices} != {"cuda"}):
            return f"has its parameters on {', '.join(sorted(map(str, devices)))}, not on one GPU"
        if any(segment.sharded for segment in segments):
            return "has sharded parameters"
        if any(not segment.engine.recordable for segment in segments):
            return "has an engine that reads its numbers on the host"
        settings = [value for group in optimizer.param_groups for name, value in group.items() if name != "params"]
        if any(isinstance(value, torch.Tensor) and value.device.type != "cpu" for value in settings):
            return "has a setting that is a tensor on the device"
        return None

    def forget(self) -> None:
        """Start anew: an ordinary loop, a rehearsal, a record."""
        self.graph = self.numbers = self.gradients = self.signature = None
        self.recorded = False

    def run(self) -> None:
        """One loop.

        Raises
        ------
        RuntimeError
            In the middle of a loop, or in eval mode.
        """
        optimizer = self.optimizer
        if optimizer.inner_step or optimizer._stash is not None:
            raise RuntimeError("a recorded loop begins where a loop of the optimizer begins, in train mode")
        signature = self._signature()
        if signature != self.signature or optimizer.outer_steps == 0:
            self.forget()
            self.signature = signature
            self._ordinary()
        elif self.graph is None:
            self._rehearse()
        else:
            self._replay(optimizer.outer_steps)

    def _ordinary(self):
        """A loop that shows which parameters have a gradient."""
        for k in range(self.optimizer.loop_length()):
            self.optimizer.zero_grad()
            self.gradient(k)
            self.optimizer.step()
        self.gradients = [p.grad for p in self.parameters]

    def _steps(self):
        """What is recorded: L gradients, in memory that stays, and steps."""
        for k in range(self.optimizer.loop_length()):
            torch._foreach_zero_([g for g in self.gradients if g is not None])
            self.gradient(k)
            self.optimizer.step()

    def _replay(self, outer):
        before = self._traffic()
        with self._gradients_there():
            self.numbers.start(outer)
            if not self.recorded:
                self._record()
            self.numbers.send(outer)
            with self._recording():
                self.graph.replay()
        self.optimizer.clock.update(outer_step=outer + 1, inner_step=0)
        for segment in self.optimizer._layout.segments:
            segment.written()
        self._count(before + self.traffic)

    def _rehearse(self):
        """A loop as it will be recorded, but done: its memory, numbers and kernels are there afterwards."""
        optimizer = self.optimizer
        segments = optimizer._layout.segments
        device = segments[0].buffer.device
        self.graph = self.kind(device)
        self.numbers = Numbers(device, 64 + 16 * len(segments) * (optimizer.loop_length() + 2))
        self.numbers.start(optimizer.outer_steps)
        with self._gradients_there(), self.graph.rehearsal(), self._recording():
            self._prepare()
            before = self._traffic()
            self._steps()
        self.traffic = self._traffic() - before

    def _record(self):
        """Nothing of what is recorded is done: the host's part of it is undone."""
        optimizer = self.optimizer
        self._prepare()
        clock = dict(optimizer.clock)
        with self._recording():
            self.graph.record(self._steps)
        optimizer.clock.update(clock)
        self.recorded = True

    def _traffic(self):
        """What replicas have told each other by now, in the papers' count."""
        return self.optimizer.communicator.numbers if hasattr(self.optimizer, "communicator") else 0

    def _count(self, numbers):
        if hasattr(self.optimizer, "communicator"):
            self.optimizer.communicator.numbers = numbers

    def _prepare(self):
        for segment in self.optimizer._layout.segments:
            segment.engine.prepare(segment)

    @contextmanager
    def _recording(self):
        """Inside, the optimizer's numbers are the device's."""
        self.optimizer.numbers = self.numbers
        try:
            yield
        finally:
            self.optimizer.numbers = None

    @contextmanager
    def _gradients_there(self):
        """Inside, the parameters have the gradients whose memory is recorded."""
        own = [p.grad for p in self.parameters]
        try:
            for p, g in zip(self.parameters, self.gradients):
                p.grad = g
            yield
        finally:
            for p, g in zip(self.parameters, own):
                p.grad = g

    def _signature(self):
        """What the recorded work depends on besides the numbers that the device reads."""
        optimizer = self.optimizer
        groups = [
            (id(group), name, bool(value) if name in MOVING and not callable(value) else value)
            for group in optimizer.param_groups
            for name, value in group.items()
            if name != "params"
        ]
        parameters = [(p.data_ptr(), p.requires_grad) for p in self.parameters]
        return groups, parameters, id(optimizer._layout)
