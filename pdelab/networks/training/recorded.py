"""Loops of the optimizer as CUDA graphs inside a training run: L mini-batches without Python in between."""

from itertools import islice

import torch

from pdelab.networks.optimizers.recording import CudaGraph, RecordedLoop

__all__ = ["Loops", "refusal"]

GRAPH = CudaGraph  # tests on the CPU put its stand-in here


class Loops:
    """The batches of a run, one at a time, or as many as a loop of the optimizer takes where that can be recorded.

    reason: why nothing is recorded, or None. Loops are recorded as long as they lie within an epoch; what remains of
    it, and the loop that goes on in the next one, are ordinary steps.
    """

    def __init__(self, run, wanted):
        self.run = run
        self.reason = "it was not wanted" if wanted is False else refusal(run)
        if wanted and self.reason:
            raise ValueError(f"graphs: expected a run whose loops can be recorded, but {self.reason}")
        self.loop = self.inputs = self.losses = None

    def steps(self, pairs):
        """All the batches, a pair a replica each; yields after each step or loop the number of batches it took."""
        length = 0 if self.reason else self.run.optimizer.loop_length()
        while True:
            whole = length and not self.run.optimizer.inner_step and self.run.batches - self.run.batch >= length
            batches = list(islice(pairs, length if whole else 1))
            if not batches:
                return
            if whole:
                self.run.losses[self.run.batch : self.run.batch + length] = self._loop(batches)
            else:
                self.run.losses[self.run.batch] = self.run.gradient_step(batches[0])
            yield len(batches)

    def _loop(self, batches):
        """One loop on these batches, which are brought to where the recorded loop looks for them; its losses."""
        if self.loop is None:
            self.inputs = [[tuple(map(torch.clone, pair)) for pair in pairs] for pairs in batches]
            self.losses = torch.zeros(len(batches), device=self.run.device)
            self.loop = RecordedLoop(self.run.optimizer, self._gradient, GRAPH)
        for places, pairs in zip(self.inputs, batches):
            for place, pair in zip(places, pairs):
                for target, source in zip(place, pair):
                    target.copy_(source)
        self.loop.run()
        return self.losses

    def _gradient(self, k):
        self.losses[k] = self.run.gradients(self.inputs[k])


def refusal(run):
    """Why the loops of this run cannot be recorded, or None."""
    if GRAPH is CudaGraph and run.device.type != "cuda":
        return f"CUDA graphs need a GPU, got device={str(run.device)!r}"
    if run.splits[0].stream:
        return "a running text hands its state from batch to batch"
    reason = RecordedLoop.refusal(run.optimizer, GRAPH is CudaGraph)
    if reason:
        return f"the optimizer {run.config['optimizer']!r} {reason}"
    length = run.optimizer.loop_length()
    if run.batches < length:
        return f"an epoch has {run.batches} batches and a loop takes {length}"
    return None
