"""Many machines: replicas as ranks under torchrun, split data, and the plain baselines LocalSGD and DiLoCo.

    torchrun --nproc-per-node 3 train.py          with, in train.py,
        group = join()                            and  Parle(model.parameters(), group=group)

One process may hold several replicas instead: `Parle(stacked(models), replicas=3)` takes the same steps bit for bit.
"""

import itertools
import os

import numpy as np
import torch
import torch.distributed as distributed

from pdelab.networks.optimizers.communication import Communicator
from pdelab.networks.optimizers.entropy import accelerate
from pdelab.networks.optimizers.replicas import Replicated
from pdelab.networks.optimizers.update import add, check_tensors, collect_tensors
from pdelab.networks.optimizers.wrapped import Wrapping

__all__ = ["Communicator", "DiLoCo", "LocalSGD", "join", "split_indices", "stacked"]


def join(backend=None, timeout_seconds=600.0):
    """Join the ranks that torchrun started and return their process group; None when there is only this process.

    backend: None takes NCCL where there is a GPU for each local rank, else gloo. Raises RuntimeError when the others
    cannot be reached.
    """
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    if not distributed.is_initialized():
        here = int(os.environ.get("LOCAL_RANK", "0"))
        gpus = torch.cuda.is_available() and torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        backend = backend or ("nccl" if gpus else "gloo")
        if backend == "nccl":
            torch.cuda.set_device(here)
        from datetime import timedelta

        try:
            distributed.init_process_group(backend, timeout=timedelta(seconds=timeout_seconds))
        except RuntimeError as error:
            rank, others = os.environ["RANK"], int(os.environ["WORLD_SIZE"]) - 1
            raise RuntimeError(
                f"rank {rank} could not reach the other {others} within {timeout_seconds:g} s: start all ranks again "
                f"({str(error).splitlines()[0]})"
            ) from error
    return distributed.group.WORLD


def stacked(models):
    """The parameters of equal networks one after the other, as `replicas=len(models)` expects them."""
    return list(itertools.chain.from_iterable(model.parameters() for model in models))


def split_indices(count, replicas, share=None, seed=0):
    """Which of `count` samples each replica sees (thesis section 5.5): a list of sorted index arrays of one size.

    share: fraction of the data a replica has, in [1/replicas, 1]; default 1/replicas. Every sample is in at least one
    part, for which the parts may be one sample larger. Table 5.2: 3 replicas with 0.5, 6 with 0.25. Raises ValueError
    when the parts cannot cover the data.

    >>> [len(part) for part in split_indices(10, 3, 0.5)]
    [5, 5, 5]
    """
    share = 1.0 / replicas if share is None else share
    if not 1.0 / replicas - 1e-12 <= share <= 1 or count < 1:
        raise ValueError(f"expected a share in [1/{replicas}, 1] of {count} samples, got {share!r}")
    size = max(round(share * count), -(-count // replicas))
    order = np.random.default_rng(seed).permutation(count)
    starts = np.arange(replicas) * count // replicas
    return [np.sort(order[(start + np.arange(size)) % count]) for start in starts]


class DiLoCo(Replicated, Wrapping):
    """DiLoCo (Douillard et al. 2023), the outer rule of federated averaging with momentum, for comparison.

    Each replica takes `period` steps of the local optimizer from the common weights x, reaching y^a; then

        Δ = x - (1/n) Σ_a y^a,   x ← x - η_o N(Δ),   y^a ← x             η_o = outer_lr

    Cost: one gradient a step in each replica. Memory per parameter: x, outer momentum: 2 numbers, and the local
    optimizer's. Communication: one all-reduce of d numbers every `period` steps.

    Parameters
        params: as in Parle; base: a function of parameter groups that builds the local optimizer, whose settings, `lr`
            among them, live in the same groups.
        period >= 1; outer_lr, outer_momentum, outer_nesterov: of the outer step (published: 0.7, 0.9, Nesterov).
        replicas, group, reduction, init: see Replicated.
    """

    protected = False

    def __init__(
        self, params, base, period=20, outer_lr=0.7, outer_momentum=0.9, outer_nesterov=True, *, replicas=1, group=None,
        reduction="exact", init="broadcast", engine="auto",
    ):  # fmt: skip
        super().__init__(params, base, {
            "period": period, "outer_lr": outer_lr, "outer_momentum": outer_momentum, "outer_nesterov": outer_nesterov,
            "replicas": replicas, "engine": engine,
        })  # fmt: skip
        self.connect(group, reduction, init)

    def loop_length(self):
        return self.param_groups[0]["period"]

    def inner(self, outer, inner):
        for segment in self._layout.segments:
            collect_tensors(segment)
            check_tensors(segment)
            segment.release()
        self.base.step()

    def outer(self, outer):
        means = {buffer: self.mean(buffer, "y") for buffer in self._layout.buffers.values()}
        for segment in self._layout.segments:
            group = self.param_groups[segment.group]
            wanted = self.moving_together(segment, means[segment.buffer])
            if not any(wanted):
                continue
            master, mean = segment.columns("master", wanted), segment.cut(means[segment.buffer], wanted)
            if group["outer_momentum"] or group["outer_lr"] != 1.0:
                own = {"outer_momentum": group["outer_momentum"], "nesterov": group["outer_nesterov"]}
                direction = accelerate(
                    segment, torch._foreach_sub(master, mean), own, lambda name, s=segment, w=wanted: s.columns(name, w)
                )
                add(master, direction, group["outer_lr"], -1.0)
            else:
                torch._foreach_copy_(master, mean)
            torch._foreach_copy_(segment.chosen("y", wanted), segment.chosen("master", wanted))
            segment.written([2 * want for want in wanted])


class LocalSGD(DiLoCo):
    """Local SGD, periodic averaging: after every `period` steps of the local optimizer y^a ← x = (1/n) Σ_a y^a.

    DiLoCo with outer_lr = 1 and no momentum; parameters, cost and communication as there.
    """

    def __init__(self, params, base, period=20, **settings):
        super().__init__(params, base, period, 1.0, 0.0, **settings)
