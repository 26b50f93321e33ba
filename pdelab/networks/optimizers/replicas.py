"""Several replicas of one network: Elastic-SGD and Parle (thesis chapter 5), and periodic averaging as a baseline.

A replica is a network of its own: n of them in one process (`replicas=n`, parameters one network after the other), or
one a rank under torchrun (`group=torch.distributed.group.WORLD`), or both. The master x̃ exists on every rank and is
computed there from one all-reduce, so nothing is sent back.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

import torch
import torch.distributed as distributed
from torch.optim.optimizer import ParamsT

from pdelab.checks import choice
from pdelab.hints import Schedule
from pdelab.networks.optimizers.base import FlatOptimizer
from pdelab.networks.optimizers.communication import Communicator
from pdelab.networks.optimizers.entropy import accelerate, loop_rule, outer_rate
from pdelab.networks.optimizers.settings import inverse, scope
from pdelab.networks.optimizers.update import Rule, add, blend, nesterov, number
from pdelab.networks.optimizers.variants import Varied

__all__ = ["ElasticSGD", "ORDERS", "Parle", "Replicated", "everybody", "warn_of_divergence"]

ORDERS = ("gauss-seidel", "jacobi")


def everybody():
    """All ranks of torch.distributed where there are several, else None; warns where torchrun's have not joined."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.group.WORLD if distributed.get_world_size() > 1 else None
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        warnings.warn(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but there is no process group: this rank's replicas train by "
            "themselves; call pdelab.networks.join() before the optimizer is built",
            stacklevel=5,
        )
    return None


class Replicated:
    """What replicated optimizers share; keyword settings of all of them:

    replicas: number of replicas in this process; `params` holds the parameters of each, one network after the other.
    group: a process group of torch.distributed whose ranks are replicas; None: all ranks, where torch.distributed runs.
    reduction: "exact" (summed in float64 in the order of the ranks: stacked replicas and any number of ranks agree bit
        for bit), "ordered" (in the order of the replicas, which differs for float64 where a rank has several; traffic
        of all of them), "native" (the backend's own all-reduce).
    init: "broadcast" starts every replica at the first one's weights, "independent" leaves them.
    """

    outer_row: str | None = "master"

    def connect(self, group, reduction, init):
        """Find the other replicas, and start at the first one's weights."""
        choice("init", init, ("broadcast", "independent"))
        self.independent = init == "independent"
        self.process_group = group = group if group is not None else everybody()
        self.communicator = Communicator(self.param_groups[0]["replicas"], group, reduction)
        if init == "broadcast":
            self._broadcast()

    @torch.no_grad()
    def _broadcast(self):
        """Every replica's weights ← the first one's."""
        for buffer in self._layout.buffers.values():
            self.communicator.broadcast(self.packed(buffer, "y"))
            self.unpacked(buffer, "y")
        for segment in self._layout.segments:
            segment.written(segment.whole)

    @torch.no_grad()
    def welcome(self, segments):
        """A late group has one master too, and with init="broadcast" the first replica's weights."""
        columns = {}
        for segment in segments:
            columns.setdefault(segment.buffer, {})[segment.start, segment.stop] = None
        for buffer, places in columns.items():
            for start, stop in places:
                part = self.packed(buffer, "y")[:, start:stop]
                if self.independent:
                    mean = self.communicator.mean(part.contiguous(), 0)
                else:
                    self.communicator.broadcast(part)
                    self.unpacked(buffer, "y")
                    mean = part[0]
                buffer.row("master")[:, start:stop] = mean
        for segment in segments:
            for name in {"x", "z"} & set(segment.buffer.rows):
                segment.write(name, "y")
            segment.written(segment.whole)

    @torch.no_grad()
    def _adopted(self, exchanged):
        """Weights that were exchanged, in whatever replica, have one master: the mean of the replicas."""
        if self.communicator.ranks == 1 and not exchanged:
            return
        marked = {id(p) for p in exchanged}
        for buffer in self._layout.buffers.values():
            rows = self._flagged(buffer, self.packed(buffer, "y"), lambda s: [id(p) in marked for p in s.params])
            mean = self.communicator.mean(rows, 0)
            flags = (buffer.flags(mean) > 0).tolist()
            for segment in self._layout.segments:
                wanted = flags[segment.first : segment.first + len(segment.params)]
                if segment.buffer is buffer and any(wanted):
                    torch._foreach_copy_(segment.columns("master", wanted), segment.cut(mean, wanted))

    def _flagged(self, buffer, rows, marks):
        """The rows, in whose flags each segment's `marks`, one truth a parameter, travel to the other ranks."""
        for segment in self._layout.segments:
            if segment.buffer is buffer:
                place = slice(segment.first, segment.first + len(segment.params))
                buffer.flags(rows)[segment.replica, place] = torch.tensor(marks(segment)).to(rows)
        return rows

    def moving_together(self, segment, mean):
        """Of each parameter of a segment, whether it had a gradient in this loop in any replica, here or elsewhere."""
        if segment.seen is segment.whole:
            return segment.everyone
        peers = [s.active for s in self._layout.segments if s.buffer is segment.buffer and s.group == segment.group]
        here = tuple(map(any, zip(*peers)))
        if all(here) or self.communicator.ranks == 1:
            return here
        return tuple((segment.buffer.flags(mean)[segment.first :][: len(here)] > 0).tolist())

    def first_replica(self):
        return self.communicator.rank * self.communicator.local

    def packed(self, buffer, name):
        """The row's numbers, (local replicas, size), in one piece also where parameters are not views."""
        if name != "y" or (self._layout.reason is None and not torch.compiler.is_compiling()):
            return buffer.row(name)
        for segment in self._layout.segments:
            if segment.buffer is buffer:
                torch._foreach_copy_(segment.tensors("g"), segment.tensors("y"))
        return buffer.row("g")

    def unpacked(self, buffer, name):
        """Back from `packed` where that was a copy."""
        if name == "y" and (self._layout.reason is not None or torch.compiler.is_compiling()):
            for segment in self._layout.segments:
                if segment.buffer is buffer:
                    torch._foreach_copy_(segment.tensors("y"), segment.tensors("g"))

    def mean(self, buffer, name):
        """The mean of a row over all replicas, in memory that the next mean of this buffer takes again."""
        out = None if torch.compiler.is_compiling() else buffer.column_memory()
        rows = self.packed(buffer, name)
        if self.communicator.ranks > 1:
            self._flagged(buffer, rows, lambda segment: segment.active)
        return self.communicator.mean(rows, buffer.count, out)

    @torch.no_grad()
    def _means(self, name="y"):
        return {buffer: self.mean(buffer, name) for buffer in self._layout.buffers.values()}

    @torch.no_grad()
    def begin(self):
        """Before the first step: the master is the replicas' common start, or their mean."""
        for buffer in self._layout.buffers.values():
            start = self.mean(buffer, "y") if self.independent else self.packed(buffer, "y")
            buffer.row("master").copy_(start)

    def _advance(self):
        if self.outer_steps == 0 and self.inner_step == 0:
            self.begin()
        super()._advance()

    def _shows_other_weights(self):
        return self.outer_steps > 0 or self.inner_step > 0

    def relax_master(self, means, outer):
        """x̃ ← x̃ - (n η_m/ρ)(x̃ - mean): η_m = master_lr; None means n η_m/ρ = 1."""
        for segment in self._layout.segments:
            group = self.param_groups[segment.group]
            share = None if group["master_lr"] is None else self.amount(outer, self._master_share, group)
            self.move_master(segment, means, share)

    def _master_share(self, group, outer):
        return self.communicator.replicas * group["master_lr"] * inverse(group["rho"], outer)

    def move_master(self, segment, means, share):
        """x̃ ← x̃ - share (x̃ - mean), share=None: the mean, of parameters that some replica had a gradient for."""
        wanted = self.moving_together(segment, means[segment.buffer])
        if any(wanted):
            master, mean = segment.columns("master", wanted), segment.cut(means[segment.buffer], wanted)
            if share is None:
                torch._foreach_copy_(master, mean)
            else:
                blend(master, mean, share)


class ElasticSGD(Varied, Replicated, FlatOptimizer):
    """Elastic-SGD (thesis (5.4); Zhang, Choromanska, LeCun 2015), n replicas x^a tied to a master x̃.

        x^a ← x^a - η N(∇f(x^a) + ρ⁻¹ (x^a - x̃))                 every step, η = lr
        x̃  ← x̃ - (n η_m/ρ) (x̃ - (1/n) Σ_a x^a)                  every `period` steps, η_m = master_lr

    master_lr=None takes η_m = ρ/n, the mean of the replicas. order="gauss-seidel" averages the new replicas,
    "jacobi" those before the step, as printed; the printed order is unstable for η/ρ near 1.

    After `eval()` the model holds the outer weights, but its batch norms the statistics of the inner ones:
    `update_bn(model, batches, optimizer)` collects the right ones.

    Cost: one gradient a step in each replica. Memory per parameter: momentum and x̃: 2 numbers, and a buffer for the
    collective. Communication: one all-reduce of d numbers every `period` steps (2nd/period numbers a step by the
    papers' count).

    Parameters
    ----------
    params, lr, momentum, nesterov, weight_decay
        As in `EntropySGD`; with several replicas the parameters of each, one network after the other. Outer steps count
        periods.
    rho : float > 0, math.inf, or a schedule
        ρ; thesis: 1, scoped to 0.1.
    period : int >= 1
        Steps between two updates of the master.
    master_lr : float > 0 or None
        η_m.
    order : "gauss-seidel" or "jacobi"
    variant : "thesis" or "official"
        "official": the force acts once a period, as in the authors' EAMSGD: after the last plain step of a period x^a ←
        x^a - (η/ρ)(x^a - x̃) and x̃ ← x̃ - (n η_m/ρ)(x̃ - mean x^a), both from the old values, η_m = η unless given.
    replicas, group, reduction, init
        See `Replicated`.
    maximize, engine
        See FlatOptimizer.

    Raises
    ------
    ValueError
        Settings out of range, bad parameters, gradients that are not finite.
    RuntimeError
        A rank is lost.

    Good values
    -----------
    rho : η/ρ is how far a replica goes to the master in a step: 1 and the replicas are one, near 0 and each is alone.

    Examples
    --------
    >>> first, second = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1))
    >>> opt = ElasticSGD([first, second], lr=0.1, replicas=2, momentum=0.0)
    >>> (first**2 / 2 + (second - 2) ** 2 / 2).sum().backward()
    >>> opt.step()
    >>> with opt.outer_weights():
    ...     round(first.item(), 6)                                       # the mean of 0.9 and 1.1
    1.0
    """

    protected = False

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.1,
        rho: Schedule = 1.0,
        period: int = 1,
        momentum: float = 0.9,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        master_lr: float | None = None,
        *,
        order: str = "gauss-seidel",
        variant: str = "thesis",
        replicas: int = 1,
        group: Any = None,
        reduction: str = "exact",
        init: str = "broadcast",
        maximize: bool = False,
        engine: str = "auto",
    ):
        choice("order", order, ORDERS)
        choice("variant", variant, ("thesis", *self.variants))
        super().__init__(params, {
            "lr": lr, "rho": rho, "period": period, "momentum": momentum, "nesterov": nesterov,
            "weight_decay": weight_decay, "master_lr": master_lr, "order": order, "variant": variant,
            "replicas": replicas, "maximize": maximize, "engine": engine,
        })  # fmt: skip
        self.connect(group, reduction, init)

    def loop_length(self) -> int:
        return self.param_groups[0]["period"]

    def rule(self, group: dict, outer: int, inner: int) -> Rule:
        momentum, ahead = nesterov(group)
        return Rule(
            rate=number(group["lr"]),
            momentum=momentum,
            ahead=ahead,
            decay=group["weight_decay"],
            pull=inverse(group["rho"], outer),
            inside=True,
            sign=-1.0 if group["maximize"] else 1.0,
            anchor="master",
        )

    def inner(self, outer: int, inner: int) -> None:
        head = self.param_groups[0]
        self._old = None
        if inner + 1 == head["period"] and head["order"] == "jacobi":
            for segment in self._layout.segments:
                with torch.no_grad():
                    segment.engine.collect(segment)  # the mean says whose gradients there are
            self._old = self._means()
        super().inner(outer, inner)

    @torch.no_grad()
    def outer(self, outer: int) -> None:
        self.relax_master(self._old or self._means(), outer)


class Parle(Varied, Replicated, FlatOptimizer):
    """Parle (thesis (5.8); 1707.00424): Entropy-SGD in each replica, the replicas tied to a master x̃.

    With y = z = x^a at the start of each loop, for L = inner_steps gradients in each replica

        y^a ← y^a - η₀ [N(∇f(y^a)) + γ⁻¹ (y^a - x^a)] + √(2 η₀ T) ξ                        (5.8a)   η₀ = inner_lr
        z^a ← (1 - a) z^a + a y^a                                                          (5.8b)   a = 1 - α
    and then
        x^a ← x^a - η N[(x^a - z^a) + (e/ρ)(x^a - x̃)]                                      (5.8c)   η = lr, e = elastic
        x̃  ← x̃ - (n η₃/ρ)(x̃ - (1/n) Σ_a x^a)                                              (5.8d)   η₃ = master_lr

    in the normalisation of thesis section 5.3.2, η₁ = ηγ, η₂ = eη, η₃ = ρ/n (master_lr=None: x̃ is the mean). The x
    step belongs after L inner steps (printed one step early), and order="gauss-seidel" averages the new replicas: the
    printed order, "jacobi", is unstable where ηe/ρ exceeds 1 - p/2, p the contraction of x^a - z^a, as for η = ρ = 0.1.

    Special cases, exact: n = 1, ρ = ∞ is EntropySGD; L = 1, γ = ∞, averaging = 1 (not the papers' 0.75), no momentum is
    Elastic-SGD with lr = 1, inner_lr = elastic = its η; with n = 1, ρ = ∞ too, SGD of rate inner_lr.

    After `eval()` the model holds the outer weights, but its batch norms the statistics of the inner ones:
    `update_bn(model, batches, optimizer)` collects the right ones.

    Cost: one gradient a step in each replica, L an outer step. Memory per parameter: x, z, two momenta, x̃: 5 numbers,
    and a buffer for the collective. Communication: one all-reduce of d numbers every L steps (2nd/L numbers a step).

    Parameters
    ----------
    params, inner_lr, inner_steps, gamma, averaging, momentum, nesterov, weight_decay, seed
        As in `EntropySGD`; with several replicas the parameters of each, one network after the other. Replicas draw
        different noise. As there the pull stands outside the inner momentum: the scope is in effect γ/(1 - μ), γ itself
        in variant="paper".
    lr, outer_momentum : float
        They go together: a steady direction moves lr/(1 - outer_momentum) times itself, so that 0.1 goes with 0.9, and
        the 1.0 of EntropySGD, which has no outer momentum, with 0; what may diverge is warned of.
    rho : float > 0, math.inf, or a schedule
        ρ. Thesis: γ from 100 to 1 and ρ from 1 to 0.1 by Exponential(start, 1/(2B), low) with B batches in the data, L
        = 25, a = 0.75.
    temperature : float >= 0
        Thesis: 0.
    elastic : float >= 0
        e = η₂/η.
    master_lr : float > 0 or None
        η₃.
    order : "gauss-seidel", "jacobi" or None
        None: the former, in variant="paper" the latter.
    variant : "thesis", "paper" or "official"
        "thesis": as above. "paper": (5.8) as printed, N taking the whole bracket in (5.8a), x^a ← x^a - η N[γ⁻¹ (x^a -
        z^a) + (e/ρ)(x^a - x̃)], and order="jacobi" unless given. "official": the authors' script: look-ahead 1 (g + m,
        not g + μ m) in both loops; inner momentum never reset, with the elastic force inside; z never reset; x^a ← y_L
        - η N[(x^a - z^a) + (e/ρ)(x^a - mean z)], the next loop's start; averaging 0.25 unless given; two all-reduces a
        loop. Their script knows the look-ahead only: with nesterov=False it is an extension of ours, the same loops
        with heavy ball in both. (Their scopes, which change 14 times too fast on their network, and their different
        initial weights are settings: gamma, rho, init.)
    replicas, group, reduction, init
        See `Replicated`.
    maximize, engine
        See FlatOptimizer.

    Raises
    ------
    ValueError
        Settings out of range, bad parameters, gradients that are not finite.
    RuntimeError
        A rank is lost.

    Good values
    -----------
    gamma, rho : the thesis's schedules; at their ends Parle is Entropy-SGD in each replica (ρ = ∞) and Elastic-SGD (γ =
        ∞, L = 1).
    replicas : 3 and 6 in the thesis; each costs a gradient a step.

    Examples
    --------
    >>> first, second = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(3 * torch.ones(1))
    >>> opt = Parle([first, second], inner_steps=2, gamma=1.0, replicas=2)
    >>> first.item(), second.item()                                      # init="broadcast": both start at the first
    (1.0, 1.0)
    >>> for _ in range(2):
    ...     opt.zero_grad()
    ...     (first**2 / 2 + second**2 / 2).sum().backward()
    ...     opt.step()
    >>> opt.outer_steps, bool(first < 1)
    (1, True)
    """

    default_order = "gauss-seidel"

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.1,
        inner_lr: float = 0.1,
        inner_steps: int = 25,
        gamma: Schedule = 100.0,
        rho: Schedule = 1.0,
        averaging: float | None = None,
        temperature: float = 0.0,
        momentum: float = 0.9,
        outer_momentum: float = 0.9,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        elastic: float = 1.0,
        master_lr: float | None = None,
        seed: int | None = None,
        *,
        order: str | None = None,
        variant: str = "thesis",
        replicas: int = 1,
        group: Any = None,
        reduction: str = "exact",
        init: str = "broadcast",
        maximize: bool = False,
        engine: str = "auto",
    ):
        choice("variant", variant, ("thesis", *self.variants))
        order = order or self.default_order
        choice("order", order, ORDERS)
        averaging = self.default_averaging if averaging is None else averaging
        super().__init__(params, {
            "lr": lr, "inner_lr": inner_lr, "inner_steps": inner_steps, "gamma": gamma, "rho": rho,
            "averaging": averaging, "temperature": temperature, "momentum": momentum, "outer_momentum": outer_momentum,
            "nesterov": nesterov, "weight_decay": weight_decay, "elastic": elastic, "master_lr": master_lr,
            "seed": seed, "order": order, "variant": variant, "replicas": replicas, "maximize": maximize,
            "engine": engine,
        })  # fmt: skip
        for settings in self.param_groups:
            warn_of_divergence(settings)
        self.connect(group, reduction, init)

    def rule(self, group: dict, outer: int, inner: int) -> Rule:
        return loop_rule(group, outer, inner)

    @torch.no_grad()
    def outer(self, outer: int) -> None:
        old = self._old_means()
        for segment, group in self._moving():
            x = segment.moving("x")
            direction = accelerate(segment, self._direction(segment, group, x, outer), group)
            add(x, direction, self.amount(outer, outer_rate, group), -1.0)
        self.relax_master(old or self._means("x"), outer)
        for segment in self._layout.segments:
            segment.write("y", "x")

    def _old_means(self):
        """The means before the step, where the printed order wants them."""
        if self.param_groups[0]["order"] != "jacobi":
            return None
        return {buffer: mean.clone() for buffer, mean in self._means("x").items()}

    def _direction(self, segment, group, x, outer):
        """The bracket of (5.8c), lists of tensors."""
        direction = self._from_average(segment, group, x, outer)
        if self._pull(group, outer):
            pull = self.amount(outer, self._pull, group)
            add(direction, torch._foreach_sub(x, segment.moving("master")), pull)
        return direction

    @staticmethod
    def _pull(group, outer):
        return group["elastic"] * inverse(group["rho"], outer)

    def _from_average(self, segment, group, x, outer):
        return torch._foreach_sub(x, segment.moving("z"))


def warn_of_divergence(group):
    """Warn where the outer step of Parle can grow: x ← x - η N(h x) needs η h below (2 + 2μ)/(1 + 2μ), for heavy ball
    2 (1 + μ), and h reaches 1 + e/ρ."""
    rate, momentum = number(group["lr"]), number(group["outer_momentum"])
    steepest = 1.0 + group["elastic"] * inverse(group["rho"], 0)
    limit = 2.0 * (1.0 + momentum) / (1.0 + 2.0 * momentum if group["nesterov"] else 1.0)
    if rate * steepest > limit:
        warnings.warn(
            f"lr={rate:g} with outer_momentum={momentum:g}, elastic={group['elastic']:g} and "
            f"rho={scope(group['rho'], 0):g} may diverge: take lr below {limit / steepest:.2g}, or less outer_momentum "
            "(lr=0.1 goes with 0.9)",
            stacklevel=3,
        )
