"""Gradients of the papers under any optimizer of torch: local entropy (Entropy-Adam) and an external field."""

from __future__ import annotations

import copy
import inspect
import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import ParamsT

from pdelab.hints import Schedule
from pdelab.networks.optimizers.base import FlatOptimizer
from pdelab.networks.optimizers.buffers import local, spread
from pdelab.networks.optimizers.engines import BY_TENSORS
from pdelab.networks.optimizers.entropy import loop_rule
from pdelab.networks.optimizers.settings import inverse
from pdelab.networks.optimizers.thermal import tick
from pdelab.networks.optimizers.update import Rule, nesterov, thermal

__all__ = [
    "EntropyAdam", "LocalEntropy", "Trivialized", "TrivializedSGD", "Wrapping", "check_layers", "field_strength",
]  # fmt: skip

FREE = inspect.Parameter("closure", inspect.Parameter.KEYWORD_ONLY, default=None)


class Wrapping(FlatOptimizer):
    """An optimizer that hands gradients of its own to another one; both share their parameter groups.

    base: a function of parameter groups that builds the other optimizer, as `lambda groups: torch.optim.Adam(groups)`.
    """

    traceable = False  # the base works on the parameters, ours on the rows, and no graph knows that they are the same

    def __init__(self, params, base, defaults):
        groups = list(params)
        if not groups:
            raise ValueError("params: expected at least one tensor, got none: does the model have weights?")
        if not callable(base):
            raise ValueError(f"base: expected a function that builds an optimizer from parameter groups, got {base!r}")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        self.base = base(groups)
        if not isinstance(self.base, torch.optim.Optimizer):
            raise ValueError(f"base: expected it to build a torch.optim.Optimizer, got {type(self.base).__name__}")
        taken = sorted(set(defaults) & set(self.base.param_groups[0]) - {"maximize"})
        if inspect.signature(self.base.step).parameters.get("closure", FREE).default is inspect.Parameter.empty:
            raise ValueError(
                f"base: expected an optimizer whose step() needs no closure, got {type(self.base).__name__}, which "
                "evaluates the loss itself: it cannot be handed gradients"
            )
        if taken:
            raise ValueError(f"base: expected an optimizer without settings named {taken}, which are ours")
        super().__init__(self.base.param_groups, defaults)
        self.base.param_groups = self.param_groups
        self.defaults = self.base.defaults | self.defaults  # where schedulers look for betas or momentum to cycle

    def add_param_group(self, param_group):
        if self._layout is not None:
            self.base.add_param_group(param_group)
            self.base.param_groups.pop()
        super().add_param_group(param_group)

    def lend(self, gradients):
        """One step of the base optimizer with these gradients, {parameter: tensor}; the parameters keep their own."""
        own = {p: p.grad for p in self._parameters()}
        try:
            for p in own:
                p.grad = gradients.get(p)
            self.base.step()
        finally:
            for p, g in own.items():
                p.grad = g

    # checkpoints: each parameter's state has the base optimizer's under "base", and whether that has begun

    def _publish(self):
        super()._publish()
        for p in self._parameters():
            self.state[p].update({"base": dict(self.base.state.get(p, {})), "begun": p in self.base.state})

    def _show(self):
        super()._show()
        waiting = [p for p in self._parameters() if p not in self.base.state]
        future = self._future_state() if waiting else {}
        for p in waiting:
            self.state[p]["base"] = future[p]

    def _future_state(self):
        """The state that the base optimizer will have, of the right shapes but no meaning: distributed checkpoints load
        into the places that a fresh optimizer shows."""
        twins = {p: torch.zeros_like(p, requires_grad=True) for p in self._parameters()}
        for twin in twins.values():
            twin.grad = torch.zeros_like(twin)
        base = copy.copy(self.base)
        base.state = defaultdict(dict)
        base.param_groups = [group | {"params": [twins[p] for p in group["params"]]} for group in self.param_groups]
        base.step()
        return {p: dict(base.state[twin]) for p, twin in twins.items()}

    def _check_state(self, state_dict):
        super()._check_state(state_dict)
        if not all("begun" in entry for entry in state_dict["state"].values()):
            raise ValueError(f"the state is not one of {self.kind()} (missing: ['base'])")

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        entries = state_dict["state"].items()
        begun = {number: entry["base"] for number, entry in entries if entry.get("begun")}
        self.base.load_state_dict({"state": begun, "param_groups": state_dict["param_groups"]})
        self.base.param_groups = self.param_groups
        self._publish()

    def _parameters(self):
        return [p for group in self.param_groups for p in group["params"]]


class LocalEntropy(Wrapping):
    """Any optimizer of torch on the gradient of local entropy: Entropy-Adam is LocalEntropy over Adam (thesis 3.3.3).

    The inner loop of EntropySGD, y = z = x at first, for L = inner_steps gradients

        y ← y - η' [N(∇f(y)) + γ⁻¹ (y - x)] + √(2 η' T) ξ,   z ← (1 - a) z + a y

    and then one step of the base optimizer from x with the gradient  ∇f_γ(x) = γ⁻¹ (x - z)  ((3.10), sign corrected).

    After `eval()` the model holds the outer weights, but its batch norms the statistics of the inner ones:
    `update_bn(model, batches, optimizer)` collects the right ones.

    Cost: one gradient a step, L a base step. Memory per parameter: x, z, inner momentum: 3 numbers and the base
    optimizer's. Communication: none.

    Parameters
    ----------
    params : iterable of tensors or of groups of them
    base : callable, groups -> torch.optim.Optimizer
        Builds the outer optimizer, whose settings, `lr` among them, live in the same groups.
    inner_lr, inner_steps, averaging, temperature, seed
        As in `EntropySGD`.
    gamma : float > 0 or a schedule
        γ, finite.
    inner_momentum, inner_nesterov, inner_weight_decay
        momentum, nesterov and weight_decay of the inner loop.
    engine
        See FlatOptimizer.

    Raises
    ------
    ValueError
        Settings out of range, no parameters, sparse or complex ones, gradients that are not finite.

    Good values
    -----------
    lr (of the base) : that of the base optimizer alone; its gradient is that of f_γ, not scaled by γ as in
        `EntropySGD`.

    Examples
    --------
    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> opt = LocalEntropy([weight], lambda groups: torch.optim.Adam(groups, lr=0.1), inner_steps=1, gamma=100.0)
    >>> (weight**2).sum().backward()
    >>> opt.step()
    >>> [round(one, 6) for one in weight.tolist()]
    [0.9, 0.9]
    """

    outer_row = "x"

    def __init__(
        self,
        params: ParamsT,
        base: Callable,
        inner_lr: float = 0.1,
        inner_steps: int = 5,
        gamma: Schedule = 100.0,
        averaging: float = 0.75,
        temperature: float = 0.0,
        inner_momentum: float = 0.9,
        inner_nesterov: bool = True,
        inner_weight_decay: float = 0.0,
        seed: int | None = None,
        *,
        engine: str = "auto",
    ):
        super().__init__(params, base, {
            "inner_lr": inner_lr, "inner_steps": inner_steps, "gamma": gamma, "averaging": averaging,
            "temperature": temperature, "inner_momentum": inner_momentum, "inner_nesterov": inner_nesterov,
            "inner_weight_decay": inner_weight_decay, "seed": seed, "engine": engine,
        })  # fmt: skip

    def _check(self, group):
        super()._check(group)
        if group["gamma"] == math.inf:
            raise ValueError("gamma: expected a finite scope, got inf: the gradient (x - z)/gamma is 0 there")

    def rule(self, group: dict, outer: int, inner: int) -> Rule:
        own = {name: group[f"inner_{name}"] for name in ("momentum", "nesterov", "weight_decay")}
        return loop_rule({**group, **own}, outer, inner)

    @torch.no_grad()
    def outer(self, outer: int) -> None:
        gradients = {}
        for segment in self._layout.segments:
            segment.write("y", "x")
        for segment, group in self._moving():
            scale = inverse(group["gamma"], outer) * (-1.0 if group["maximize"] else 1.0)
            for p, x, z, active in zip(segment.params, segment.tensors("x"), segment.tensors("z"), segment.active):
                if active:
                    gradients[p] = spread(p, (x - z).mul_(scale))
        self.lend(gradients)


class EntropyAdam(LocalEntropy):
    """Entropy-Adam (thesis 3.3.3): LocalEntropy over torch.optim.Adam.

    Parameters
    ----------
    params : iterable of tensors or of groups of them
    lr, betas, eps, weight_decay
        Of `torch.optim.Adam`.
    **inner
        Of `LocalEntropy`: inner_lr, inner_steps, gamma, ...

    Examples
    --------
    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> opt = EntropyAdam([weight], lr=0.1, inner_steps=1, gamma=100.0)
    >>> (weight**2).sum().backward()
    >>> opt.step()
    >>> [round(one, 6) for one in weight.tolist()]                       # Adam's first step has the size of its rate
    [0.9, 0.9]
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **inner: Any,
    ):
        settings: dict[str, Any] = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, lambda groups: torch.optim.Adam(groups, **settings), **inner)


class TrivializedSGD(FlatOptimizer):
    """Trivialized-SGD (thesis Algorithm 1): SGD in a fixed random field that decays.

        x ← x - η N(∇f(x) + h_t),   h_t = (1 + 2τ_t/n)^½ h = √2 e^{-t/(2τ₀)} h,   h ~ J √(p(p-2)) N(0, I) once

    with p = layers, J = coupling, τ₀ = decay_steps and τ_t = n (e^{-t/τ₀} - ½) of (2.20) (n and N are the same number).
    The field is zero for p = 2 and imaginary below: p <= 2 is refused. It is not stored but found again from its seed.

    Cost: one gradient a step. Memory per parameter: momentum: 1 number. Communication: none.

    Parameters
    ----------
    params, lr, momentum, nesterov, weight_decay, seed
        As in `EntropySGD`; lr is η.
    layers : int > 2
        p.
    coupling : float >= 0
        J.
    decay_steps : float > 0
        τ₀, in steps.
    resampled : bool
        A new field each step, the control of thesis section 2.4.3.2 (annealed gradient noise).
    maximize, engine
        See FlatOptimizer.

    Raises
    ------
    ValueError
        layers <= 2, settings out of range, bad parameters, gradients that are not finite.

    Examples
    --------
    >>> weight = torch.nn.Parameter(torch.ones(1000))
    >>> opt = TrivializedSGD([weight], lr=1.0, layers=3, coupling=0.1, momentum=0.0, seed=0)
    >>> (0 * weight).sum().backward()
    >>> opt.step()
    >>> abs(weight.std().item() / (0.1 * 6**0.5) - 1) < 0.1              # √2 J √(p(p-2)) of the field at t = 0
    True
    """

    protected = False

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.1,
        *,
        layers: int,
        coupling: float = 1e-4,
        decay_steps: float = 500.0,
        momentum: float = 0.9,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        seed: int | None = None,
        resampled: bool = False,
        maximize: bool = False,
        engine: str = "auto",
    ):
        super().__init__(params, {
            "lr": lr, "layers": layers, "coupling": coupling, "decay_steps": decay_steps, "momentum": momentum,
            "nesterov": nesterov, "weight_decay": weight_decay, "seed": seed, "resampled": resampled,
            "maximize": maximize, "engine": engine,
        })  # fmt: skip

    def _check(self, group):
        super()._check(group)
        check_layers(group["layers"])

    def rule(self, group: dict, outer: int, inner: int) -> Rule:
        momentum, ahead = nesterov(group)
        return Rule(
            rate=group["lr"],
            momentum=momentum,
            ahead=ahead,
            decay=group["weight_decay"],
            heat=field_strength(group, outer),
            field=True,
            sign=-1.0 if group["maximize"] else 1.0,
        )

    def moment(self, outer: int, inner: int) -> int:
        return tick(outer, inner) if self.param_groups[0]["resampled"] else 0


class Trivialized(Wrapping):
    """The field of TrivializedSGD under any optimizer of torch (thesis 2.4: Adam), handed gradients ∇f(x) + h_t.


    Cost, communication: those of the base optimizer. Memory per parameter: 2 numbers of scratch.

    Parameters
    ----------
    params : iterable of tensors or of groups of them
    base : callable, groups -> torch.optim.Optimizer
        Builds the optimizer, whose settings, `lr` among them, live in the same groups.
    layers, coupling, decay_steps, seed, resampled
        As in `TrivializedSGD`.
    engine
        See FlatOptimizer.

    Raises
    ------
    ValueError
        As for `TrivializedSGD`.

    Examples
    --------
    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> opt = Trivialized([weight], lambda groups: torch.optim.SGD(groups, lr=0.5), layers=3, coupling=0.0, seed=0)
    >>> (weight**2 / 2).sum().backward()
    >>> opt.step()
    >>> weight.tolist()                                                  # no field is left with coupling 0
    [0.5, 0.5]
    """

    protected = False

    def __init__(
        self,
        params: ParamsT,
        base: Callable,
        *,
        layers: int,
        coupling: float = 1e-4,
        decay_steps: float = 500.0,
        seed: int | None = None,
        resampled: bool = False,
        engine: str = "auto",
    ):
        super().__init__(params, base, {
            "layers": layers, "coupling": coupling, "decay_steps": decay_steps, "seed": seed, "resampled": resampled,
            "engine": engine,
        })  # fmt: skip

    def _check(self, group):
        super()._check(group)
        check_layers(group["layers"])

    @torch.no_grad()
    def inner(self, outer: int, inner: int) -> None:
        gradients = {}
        for segment in self._layout.segments:
            BY_TENSORS.collect(segment)
            BY_TENSORS.check(segment)
            group = self.param_groups[segment.group]
            thermal(segment, (self.seed(), self.stream(segment), tick(outer, inner) if group["resampled"] else 0))
            strength = field_strength(group, outer)
            for p, noise in zip(segment.params, segment.tensors("noise")):
                if p.grad is not None:
                    gradients[p] = spread(p, torch.add(local(p.grad), noise, alpha=strength))
            segment.release()
        self.lend(gradients)


def field_strength(group, t):
    """√2 e^{-t/(2 τ₀)} J √(p(p-2)): the factor of (2.19)-(2.20) with n = N times the standard deviation of h."""
    p = group["layers"]
    decayed = math.e ** (t / (-2.0 * group["decay_steps"]))  # for exp torch.compile would start afresh each step
    return math.sqrt(2.0 * p * (p - 2)) * group["coupling"] * decayed


def check_layers(p):
    """Raise ValueError unless the field exists."""
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 2 < p < math.inf:
        raise ValueError(f"layers: expected a number > 2, got {p!r}: the field J sqrt(p(p-2)) is zero at p = 2")
