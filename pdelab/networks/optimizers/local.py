"""Baselines for replicas: a local optimizer in each, averaged now and then (LocalSGD), with momentum (DiLoCo)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import ParamsT

from pdelab.networks.optimizers.engines import BY_TENSORS
from pdelab.networks.optimizers.entropy import accelerate
from pdelab.networks.optimizers.replicas import Replicated
from pdelab.networks.optimizers.update import add
from pdelab.networks.optimizers.wrapped import Wrapping

__all__ = ["DiLoCo", "LocalSGD"]


class DiLoCo(Replicated, Wrapping):
    """DiLoCo (Douillard et al. 2023), the outer rule of federated averaging with momentum, for comparison.

    Each replica takes `period` steps of the local optimizer from the common weights x, reaching y^a; then

        Δ = x - (1/n) Σ_a y^a,   x ← x - η_o N(Δ),   y^a ← x             η_o = outer_lr

    After `eval()` the model holds the outer weights, but its batch norms the statistics of the inner ones:
    `update_bn(model, batches, optimizer)` collects the right ones.

    Cost: one gradient a step in each replica. Memory per parameter: x, outer momentum: 2 numbers, and the local
    optimizer's. Communication: one all-reduce of d numbers every `period` steps.

    Parameters
    ----------
    params : iterable of tensors or of groups of them
        As in `Parle`.
    base : callable, groups -> torch.optim.Optimizer
        Builds the local optimizer, whose settings, `lr` among them, live in the same groups.
    period : int >= 1
    outer_lr, outer_momentum : float
        Of the outer step; published: 0.7 and 0.9.
    outer_nesterov : bool
    replicas, group, reduction, init
        See `Replicated`.
    engine
        See FlatOptimizer.

    Raises
    ------
    ValueError
        Settings out of range, bad parameters.
    RuntimeError
        A rank is lost.

    Examples
    --------
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> base = lambda groups: torch.optim.SGD(groups, lr=0.5)
    >>> opt = DiLoCo([weight], base, period=1, outer_lr=1.0, outer_momentum=0.0)
    >>> (weight**2 / 2).sum().backward()
    >>> opt.step()
    >>> weight.item()
    0.5
    """

    protected = False

    def __init__(
        self,
        params: ParamsT,
        base: Callable,
        period: int = 20,
        outer_lr: float = 0.7,
        outer_momentum: float = 0.9,
        outer_nesterov: bool = True,
        *,
        replicas: int = 1,
        group: Any = None,
        reduction: str = "exact",
        init: str = "broadcast",
        engine: str = "auto",
    ):
        super().__init__(params, base, {
            "period": period, "outer_lr": outer_lr, "outer_momentum": outer_momentum, "outer_nesterov": outer_nesterov,
            "replicas": replicas, "engine": engine,
        })  # fmt: skip
        self.connect(group, reduction, init)

    def loop_length(self) -> int:
        return self.param_groups[0]["period"]

    @torch.no_grad()
    def inner(self, outer: int, inner: int) -> None:
        for segment in self._layout.segments:
            BY_TENSORS.collect(segment)
            BY_TENSORS.check(segment)
            segment.release()
        self.base.step()

    @torch.no_grad()
    def outer(self, outer: int) -> None:
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

    DiLoCo with outer_lr = 1 and no momentum; cost and communication as there.

    Parameters
    ----------
    params, base, period
        As in `DiLoCo`.
    **settings
        Further ones of `DiLoCo`.

    Examples
    --------
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> opt = LocalSGD([weight], lambda groups: torch.optim.SGD(groups, lr=0.5), period=1)
    >>> (weight**2 / 2).sum().backward()
    >>> opt.step()
    >>> weight.item()
    0.5
    """

    def __init__(self, params: ParamsT, base: Callable, period: int = 20, **settings: Any):
        super().__init__(params, base, period, 1.0, 0.0, **settings)
