"""Entropy-SGD and HJ: gradient descent on the local entropy f_γ, sampled by an inner loop.

    ∇f_γ(x) = γ⁻¹ (x - <y>),   <y> the mean of exp(-β [f(y) + |y - x|²/(2γ)]);  β = ∞ is the Hamilton-Jacobi limit
Source: Chaudhari, thesis, chapters 3 and 4 ((3.10) with its sign corrected).
"""

from __future__ import annotations

import torch
from torch.optim.optimizer import ParamsT

from pdelab.checks import choice
from pdelab.hints import Schedule
from pdelab.networks.optimizers.base import FlatOptimizer
from pdelab.networks.optimizers.engines import BY_TENSORS
from pdelab.networks.optimizers.settings import inverse
from pdelab.networks.optimizers.update import Rule, add, nesterov, number, with_momentum
from pdelab.networks.optimizers.variants import Varied

__all__ = ["EntropySGD", "HJ", "accelerate", "loop_rule", "outer_rate"]

FORMS = ("4.40", "4.42")


def loop_rule(group, outer, inner, **changes):
    """The inner update shared by all that sample local entropy: momentum, elastic pull, noise, average."""
    rate, heat = number(group["inner_lr"]), group["temperature"]
    momentum, ahead = nesterov(group)
    rule = Rule(
        rate=rate,
        momentum=momentum,
        ahead=ahead,
        decay=group["weight_decay"],
        pull=inverse(group["gamma"], outer),
        heat=(2.0 * rate * heat) ** 0.5 if heat else 0.0,
        average=group["averaging"],
        capture=inner == 0,
        fresh=inner == 0,
        reset=inner == 0,
        sign=-1.0 if group["maximize"] else 1.0,
    )
    return rule._replace(**changes) if changes else rule


def accelerate(segment, direction, group, pieces=None, ahead=None):
    """N(d): the outer direction with momentum, lists of tensors; the buffer "outer_m" is never reset.

    pieces: of the buffer, as the direction is one; default those with a gradient in this loop.
    """
    if not group["outer_momentum"]:
        return direction
    momentum, usual = nesterov(group, "outer_momentum")
    return with_momentum(direction, (pieces or segment.moving)("outer_m"), momentum, ahead or usual or None)


def outer_rate(group, outer):
    """η, as the group holds it."""
    return number(group["lr"])


class EntropySGD(Varied, FlatOptimizer):
    """Entropy-SGD (Chaudhari, thesis, Algorithm 2; 1611.01838, Algorithm 1).

    With y = z = x at the start of each loop, ξ ~ N(0, I), for L = inner_steps gradients

        d ← N(∇f(y)) + γ⁻¹ (y - x)               N: Nesterov momentum, its buffer zero at the start of a loop
        y ← y - η' d + √(2 η' T) ξ               η' = inner_lr, T = temperature = 1/β
        z ← (1 - a) z + a y                       a = averaging, the weight of the new iterate (thesis: α = 1 - a)

    and then the outer step, with the gradient scaled by γ as in thesis section 3.2.3 (which forgets to drop γ⁻¹),
    η = lr and N with a buffer that is never reset:

        x ← x - η N(x - z)

    After `eval()` the model holds the outer weights, but its batch norms the statistics of the inner ones:
    `update_bn(model, batches, optimizer)` collects the right ones.

    Cost: one gradient a step, L gradients an outer step. Memory per parameter beside weight and gradient: x, z, inner
    momentum and, if any, outer momentum: 3-4 numbers. Communication: none (under DistributedDataParallel one
    all-reduce of the gradient a step; all ranks draw equal noise).

    Parameters
    ----------
    params : iterable of tensors, or of groups of tensors with settings of their own
        inner_steps, seed and variant are one for all groups.
    lr : float >= 0
        Outer rate η; schedulers drive it. With 1 and no outer momentum, x ← z.
    inner_lr : float >= 0
        Inner rate η'; the papers keep it fixed.
    inner_steps : int >= 1
        L.
    gamma : float > 0, math.inf, or a schedule of the outer step
        Scope γ, a length²; the papers' codes hold 1/γ.
    averaging : float in (0, 1] or None
        a; None: 0.75, and 0.25 in variant="official".
    temperature : float >= 0
        T = 1/β. The paper's ε is T = ε²/2, the official code's T = ε².
    momentum, outer_momentum : float in [0, 1)
        Of the two loops. The papers say Nesterov in both; the code behind the paper's tables had none in effect
        outside, the default here. The pull stands outside the inner momentum, which multiplies gradients by 1/(1 - μ):
        the scope is in effect γ/(1 - μ), ten times γ at μ = 0.9.
    nesterov : bool
        Nesterov's form in both loops, else heavy ball.
    weight_decay : float >= 0
        λ; ∇f(y) + λ y takes the place of ∇f(y).
    seed : int or None
        Key of the noise; None draws it from torch's generator.
    variant : "thesis", "paper" or "official"
        "thesis": as above. "paper": the algorithm boxes as printed: the elastic force is part of what gets momentum, d
        ← N(∇f(y) + γ⁻¹ (y - x)), and the outer step keeps its factor, x ← x - (η/γ) N(x - z). "official": the authors'
        Python code: each loop starts with a gradient at x that moves nothing (L + 1 gradients an outer step) and in the
        first loop fills the outer momentum buffer; weight decay acts on the outer direction too, N(x - z + λ x), though
        not on that first gradient; with nesterov=False the pull and the noise enter the inner momentum. (Their scope
        never changes: give a number for gamma.)
    maximize, engine
        See FlatOptimizer.

    Raises
    ------
    ValueError
        Settings out of range, no parameters, sparse or complex ones, gradients that are not finite.

    Good values
    -----------
    gamma : so that √(γ d) is the distance over which the loss should be smoothed; scoping from large to small follows
        the papers. Too large, and y runs away from x for L steps; too small, and the step is that of SGD.
    inner_steps : 5 to 20 in the papers. L η'/γ well below 1 leaves z near x: raise lr then, or L.
    temperature : 0 to begin with: mini-batches bring noise of their own.

    Examples
    --------
    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> opt = EntropySGD([weight], lr=1.0, inner_lr=0.1, inner_steps=5, gamma=1.0)
    >>> for _ in range(5):
    ...     opt.zero_grad()
    ...     (weight**2).sum().backward()
    ...     opt.step()
    >>> opt.outer_steps, bool(weight.norm() < 1.0)
    (1, True)
    """

    outer_row = "x"
    steady = True

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        inner_lr: float = 0.1,
        inner_steps: int = 20,
        gamma: Schedule = 1e4,
        averaging: float | None = None,
        temperature: float = 0.0,
        momentum: float = 0.9,
        outer_momentum: float = 0.0,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        seed: int | None = None,
        *,
        variant: str = "thesis",
        maximize: bool = False,
        engine: str = "auto",
    ):
        choice("variant", variant, ("thesis", *self.variants))
        averaging = self.default_averaging if averaging is None else averaging
        super().__init__(params, {
            "lr": lr, "inner_lr": inner_lr, "inner_steps": inner_steps, "gamma": gamma, "averaging": averaging,
            "temperature": temperature, "momentum": momentum, "outer_momentum": outer_momentum, "nesterov": nesterov,
            "weight_decay": weight_decay, "seed": seed, "variant": variant, "maximize": maximize, "engine": engine,
        })  # fmt: skip

    def rule(self, group: dict, outer: int, inner: int) -> Rule:
        return loop_rule(group, outer, inner)

    @torch.no_grad()
    def outer(self, outer: int) -> None:
        for segment, group in self._moving():
            x = segment.moving("x")
            direction = accelerate(segment, self._direction(segment, group, x), group)
            add(x, direction, self.amount(outer, self._rate, group), -1.0)
            segment.write("y", "x")

    def _direction(self, segment, group, x):
        """What momentum takes in the outer step."""
        return torch._foreach_sub(x, segment.moving("z"))

    def _rate(self, group, outer):
        """What the outer step multiplies it by."""
        return outer_rate(group, outer)


class HJ(FlatOptimizer):
    """Non-viscous Hamilton-Jacobi descent: β = ∞, the last inner iterate in place of an average (thesis 4.6.1.2).

    The inner loop of Entropy-SGD without noise and average, y = x at first:

        y ← y - η_y [N(∇f(y)) + γ⁻¹ (y - x)]

    form="4.40":  L such steps, then  x ← x - η N(x - y)             (4.40)-(4.41), scaled by γ
    form="4.42":  L - 1 such steps, then  x ← x - η N(∇f(y))         (4.42), whose variable is x - y here: the two inner
    updates are the same; the L-th gradient moves x. At L = 1 it is SGD.

    With y → prox_{γf}(x) both directions tend to the gradient of the Moreau envelope (the first times γ).

    After `eval()` the model holds the outer weights, but its batch norms the statistics of the inner ones:
    `update_bn(model, batches, optimizer)` collects the right ones.

    Cost: one gradient a step, L an outer step. Memory per parameter: x, inner and, if any, outer momentum: 2-3 numbers.
    Communication: none.

    Parameters
    ----------
    params, lr, inner_lr, inner_steps, gamma, momentum, outer_momentum, nesterov, weight_decay
        As in `EntropySGD`; the thesis has L = 5, η_y = 0.1.
    form : "4.40" or "4.42"
    maximize, engine
        See FlatOptimizer.

    Raises
    ------
    ValueError
        Settings out of range, no parameters, sparse or complex ones, gradients that are not finite.

    Good values
    -----------
    gamma, inner_steps : without noise the loop finds prox_{γf}(x): a well of curvature h acts like one of h/(1 + γh).
        L steps of rate η_y reach it when L η_y is a few times γ.

    Examples
    --------
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> opt = HJ([weight], lr=1.0, inner_lr=0.25, inner_steps=40, gamma=1.0, momentum=0.0)
    >>> for _ in range(40):
    ...     opt.zero_grad()
    ...     (weight**2 / 2).sum().backward()
    ...     opt.step()
    >>> round(weight.item(), 4)                                          # prox: x/(1 + γ)
    0.5
    """

    outer_row = "x"
    steady = True

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        inner_lr: float = 0.1,
        inner_steps: int = 5,
        gamma: Schedule = 1e4,
        momentum: float = 0.9,
        outer_momentum: float = 0.0,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        *,
        form: str = "4.40",
        maximize: bool = False,
        engine: str = "auto",
    ):
        choice("form", form, FORMS)
        super().__init__(params, {
            "lr": lr, "inner_lr": inner_lr, "inner_steps": inner_steps, "gamma": gamma, "temperature": 0.0,
            "momentum": momentum, "outer_momentum": outer_momentum, "nesterov": nesterov, "weight_decay": weight_decay,
            "form": form, "maximize": maximize, "engine": engine,
        })  # fmt: skip

    def rule(self, group: dict, outer: int, inner: int) -> Rule:
        return loop_rule({**group, "averaging": 0.0}, outer, inner, fresh=False)

    @torch.no_grad()
    def inner(self, outer: int, inner: int) -> None:
        head = self.param_groups[0]
        if head["form"] == "4.40" or inner + 1 < head["inner_steps"]:
            return super().inner(outer, inner)
        for segment in self._layout.segments:
            BY_TENSORS.collect(segment)
            BY_TENSORS.check(segment)
            if inner == 0:
                segment.write("x", "y")
        return None

    @torch.no_grad()
    def outer(self, outer: int) -> None:
        for segment, group in self._moving():
            if group["form"] == "4.42" and not segment.grads:
                segment.write("y", "x")
                continue
            pieces = segment.moving if group["form"] == "4.40" else segment.pieces
            x, y = pieces("x"), pieces("y")
            if group["form"] == "4.40":
                direction = torch._foreach_sub(x, y)
            else:
                direction = torch._foreach_mul(segment.grads, -1.0 if group["maximize"] else 1.0)
                if group["weight_decay"]:
                    add(direction, y, group["weight_decay"])
            add(x, accelerate(segment, direction, group, pieces), self.amount(outer, outer_rate, group), -1.0)
            segment.write("y", "x")
            segment.release()
