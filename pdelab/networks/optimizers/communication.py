"""What replicas tell each other: the mean of their rows, in one collective, the same bits on every rank.

float32 rows are summed in float64 and rounded once, so that the result does not depend on the order of the sum, nor on
whether replicas are stacked in one process or spread over ranks. (A float64 sum of n float32 numbers is exact unless
their exponents differ by more than 29 - log2 n bits; what is then rounded away in float64 can change the float32
result only when it lies within 2⁻⁵³ of a tie.) float64 rows are summed in rank order by reduction="ordered".
"""

import torch
import torch.distributed as distributed

REDUCTIONS = ("exact", "native", "ordered")


class Communicator:
    """The mean over `local` replicas here times the ranks of `group`.

    reduction: "exact" sums float32 and shorter numbers in float64; "native" in their own type, with half the traffic;
    "ordered" gathers and sums in the order of the ranks, with n times the traffic (bit for bit in every type).
    Counts: `collectives` calls, `bytes` handed to them by this process, `numbers` by the papers' count: 2 n d a mean,
    every replica sending and receiving d numbers through the master.
    """

    def __init__(self, local=1, group=None, reduction="exact"):
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction must be one of {REDUCTIONS}, got {reduction!r}")
        self.local, self.reduction = local, reduction
        ready = distributed.is_available() and distributed.is_initialized()
        if group is not None and not ready:
            raise ValueError("group needs torch.distributed: run under torchrun and call init_process_group first")
        self.group = group
        self.ranks = distributed.get_world_size(group) if group is not None else 1
        self.rank = distributed.get_rank(group) if group is not None else 0
        self.replicas = local * self.ranks
        self.collectives = self.bytes = self.numbers = 0
        self._sums = {}  # one kept for each size: fresh memory would cost more than the sum

    def mean(self, rows, count=None):
        """The mean over all replicas of rows (local, size): a tensor (size,) of the same dtype, equal on every rank.

        count: numbers a replica has, without the layout's padding. Raises RuntimeError when a rank is lost.
        """
        self.numbers += 2 * self.replicas * (rows.shape[1] if count is None else count)
        wide = torch.float64 if self.reduction != "native" else rows.dtype
        if self.reduction == "ordered":
            total = self._ordered(rows)
        else:
            total = self._sum(rows, wide)
            if self.ranks > 1:
                self._call(distributed.all_reduce, total, total)
        return total.div_(self.replicas).to(rows.dtype, copy=True)

    def _ordered(self, rows):
        if self.ranks == 1:
            return self._sum(rows, torch.float64)
        everyone = torch.empty(self.ranks * rows.numel(), dtype=rows.dtype, device=rows.device)
        self._call(distributed.all_gather_into_tensor, everyone, everyone, rows.contiguous().view(-1))
        return self._sum(everyone.view(self.replicas, -1), torch.float64)

    def _sum(self, rows, dtype):
        """The sum of rows in their order."""
        key = rows.shape[1], dtype, rows.device
        if key not in self._sums:
            self._sums[key] = torch.empty(rows.shape[1], dtype=dtype, device=rows.device)
        total = self._sums[key].copy_(rows[0])
        for row in rows[1:]:
            total += row
        return total

    def broadcast(self, rows):
        """Every replica's row ← the first replica's of rank 0."""
        if self.ranks > 1:
            first = rows[0].clone()
            self._call(distributed.broadcast, first, first, group_src=0)
            rows[0].copy_(first)
        rows[1:] = rows[0]

    def _call(self, collective, tensor, *arguments, **options):
        self.collectives += 1
        self.bytes += tensor.numel() * tensor.element_size()
        try:
            collective(*arguments, group=self.group, **options)
        except RuntimeError as error:
            raise RuntimeError(
                f"rank {self.rank} of {self.ranks} lost contact with the others in {collective.__name__}: a replica "
                f"has died or hangs; start all ranks again from the last checkpoint ({str(error).splitlines()[0]})"
            ) from error
