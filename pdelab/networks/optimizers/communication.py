"""What replicas tell each other: the mean of their rows, the same bits on every rank.

Each rank is sent its share of everybody's columns, sums them in the order of the replicas in float64, rounds once, and
sends the result back: an all-reduce with the traffic of a ring, whose order of summation is known. Replicas stacked in
one process and replicas spread over ranks therefore agree bit for bit.

Where several replicas live on every rank, "exact" sends their sum in float64: the order is then not quite that of the
replicas, but a float64 sum of float32 numbers is exact unless their exponents differ by more than 29 - log2 n bits, and
what is rounded away then changes the float32 result only within 2⁻⁵³ of a tie. "ordered" sends them one by one.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as distributed

from pdelab.checks import choice
from pdelab.kernels import optimizers as fused
from pdelab.networks.devices import kernels_serve

__all__ = ["Communicator", "REDUCTIONS", "average"]

REDUCTIONS = ("exact", "native", "ordered")


class Communicator:
    """Means over all replicas: `local` ones in this process, and as many on each other rank of `group`.

    It counts what they cost. `collectives`: calls; an exchange of sums is the all-reduce that it replaces. `bytes`: the
    buffers that this process handed to them. `numbers`: as the papers count, 2 n d a mean, since each of n replicas
    sends d numbers to the master and receives d.

    Parameters
    ----------
    local : int >= 1
    group : process group of torch.distributed, or None
    reduction : "exact", "ordered" or "native"
        "exact" sums in float64 in the order of the ranks. "ordered" sums in the order of the replicas: another order,
        and more traffic, where a rank has several. "native" is the backend's all-reduce in the rows' own type and in
        an order of its own.

    Raises
    ------
    ValueError
        An unknown reduction, a group without torch.distributed.

    Examples
    --------
    >>> everybody = Communicator(local=2)
    >>> everybody.mean(torch.tensor([[1.0, 2.0], [3.0, 4.0]])), everybody.numbers
    (tensor([2., 3.]), 8)
    """

    def __init__(self, local: int = 1, group: Any = None, reduction: str = "exact"):
        self.local, self.reduction = local, choice("reduction", reduction, REDUCTIONS)
        ready = distributed.is_available() and distributed.is_initialized()
        if group is not None and not ready:
            raise ValueError("group needs torch.distributed: run under torchrun and call init_process_group first")
        self.group = group
        self.ranks = distributed.get_world_size(group) if group is not None else 1
        self.rank = distributed.get_rank(group) if group is not None else 0
        self.replicas = local * self.ranks
        self.collectives = self.bytes = self.numbers = 0
        self._kept: dict = {}  # memory for each shape: fresh pages would cost more than the sum

    def mean(self, rows: Any, count: int | None = None, out: Any = None) -> Any:
        """The mean over all replicas.

        Parameters
        ----------
        rows : tensor (local, size)
        count : int, optional
            Numbers a replica has, without the layout's padding.
        out : tensor (size,), optional
            Where to put it; by default in new memory.

        Returns
        -------
        tensor (size,)
            Of the same dtype, equal on every rank.

        Raises
        ------
        RuntimeError
            A rank is lost.
        """
        self.numbers += 2 * self.replicas * (rows.shape[1] if count is None else count)
        if self.reduction == "native":
            return self._native(rows, out)
        mean = torch.empty_like(rows[0]) if out is None else out
        if self.ranks == 1:
            return average(rows, mean, self.replicas)
        if self.reduction == "exact" and self.local > 1:
            rows = average(rows, self._memory((1, rows.shape[1]), torch.float64, rows.device)[0], 1)[None]
        self._call("all_reduce", rows, lambda: self._ordered(rows, mean))
        return mean

    def _native(self, rows, out):
        total = rows[0].clone() if out is None else out.copy_(rows[0])
        for row in rows[1:]:
            total += row
        if self.ranks > 1:
            self._call("all_reduce", total, lambda: distributed.all_reduce(total, group=self.group))
        return total.div_(self.replicas)

    def _ordered(self, rows, mean):
        """mean ← the mean of all ranks' rows: a share of the columns is summed on each rank, then passed on."""
        share = -(-len(mean) // self.ranks)
        columns = [slice(min(k * share, len(mean)), min((k + 1) * share, len(mean))) for k in range(self.ranks)]
        own, others = columns[self.rank], [k for k in range(self.ranks) if k != self.rank]
        inbox = self._memory((self.ranks, len(rows), own.stop - own.start), rows.dtype, rows.device)
        inbox[self.rank] = rows[:, own]
        self._pass_on(
            [(row[columns[k]], k) for k in others for row in rows], [(row, k) for k in others for row in inbox[k]]
        )
        average(inbox.flatten(0, 1), mean[own], self.replicas)
        self._pass_on([(mean[own], k) for k in others], [(mean[columns[k]], k) for k in others])

    def _pass_on(self, sent, received):
        """Pairs (tensor, rank), all of them at once."""
        pairs = [(distributed.irecv, *pair) for pair in received] + [(distributed.isend, *pair) for pair in sent]
        messages = [
            distributed.P2POp(way, tensor, distributed.get_global_rank(self.group, k), self.group)
            for way, tensor, k in pairs
            if tensor.numel()
        ]
        for work in distributed.batch_isend_irecv(messages) if messages else ():
            work.wait()

    def _memory(self, shape, dtype, device):
        key = shape, dtype, device
        if key not in self._kept:
            self._kept[key] = torch.empty(shape, dtype=dtype, device=device)
        return self._kept[key]

    def broadcast(self, rows: Any) -> None:
        """Every replica's row ← the first replica's of rank 0.

        Parameters
        ----------
        rows : tensor (local, size)
            Written on.
        """
        if self.ranks > 1:
            first = rows[0].clone()
            self._call("broadcast", first, lambda: distributed.broadcast(first, group=self.group, group_src=0))
            rows[0].copy_(first)
        rows[1:] = rows[0]

    def _call(self, name, tensor, collective):
        self.collectives += 1
        self.bytes += tensor.numel() * tensor.element_size()
        try:
            collective()
        except RuntimeError as error:
            raise RuntimeError(
                f"rank {self.rank} of {self.ranks} lost contact with the others in {name}: a replica has died or "
                f"hangs; start all ranks again from the last checkpoint ({str(error).splitlines()[0]})"
            ) from error


def average(rows, out, count):
    """out ← (Σ rows, in their order, in float64)/count, rounded once; returns out."""
    if kernels_serve(rows, out) and not torch.compiler.is_compiling():
        fused.mean_rows(rows.numpy(), out.numpy(), count)
        return out
    total = rows[0].to(torch.float64, copy=True)
    for row in rows[1:]:
        total += row
    return out.copy_(total.div_(count))
