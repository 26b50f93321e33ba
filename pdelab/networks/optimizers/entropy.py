"""Entropy-SGD and its relatives with one replica: gradient descent on the local entropy f_γ.

∇f_γ(x) = (x - <y>)/γ,   <y> the mean of exp(-β [f(y) + |y - x|²/(2γ)])
"""

import torch

from pdelab.networks.optimizers.base import FlatOptimizer
from pdelab.networks.optimizers.settings import inverse, number, one_of
from pdelab.networks.optimizers.update import Rule, check_finite, collect

VARIANTS = ("thesis", "paper", "official")


def outer_momentum(segment, direction, group, row="outer_m"):
    """N(d): the outer direction with momentum, a list of tensors; the buffer is never reset."""
    momentum = number(group["outer_momentum"])
    if not momentum:
        return direction
    buffer = segment.lists(row)
    torch._foreach_mul_(buffer, momentum)
    torch._foreach_add_(buffer, direction)
    if not group["nesterov"]:
        return torch._foreach_mul(buffer, 1.0)
    return torch._foreach_add(direction, torch._foreach_mul(buffer, momentum))


def descend(target, direction, rate):
    """target ← target - rate direction, lists of tensors."""
    if isinstance(rate, torch.Tensor):
        torch._foreach_sub_(target, torch._foreach_mul(direction, rate))
    else:
        torch._foreach_add_(target, direction, alpha=-rate)


class EntropySGD(FlatOptimizer):
    """Entropy-SGD (Chaudhari, thesis, Algorithm 2; 1611.01838, Algorithm 1).

    With y = z = x at the start of each loop, ξ ~ N(0, I), L = inner_steps, for L gradients

        d ← N(∇f(y)) + γ⁻¹ (y - x)               N: Nesterov momentum, its buffer zero at the start of a loop
        y ← y - η' d + √(2 η' T) ξ               η' = inner_lr, T = temperature = 1/β
        z ← (1 - a) z + a y                       a = averaging, the weight of the new iterate (thesis α = 1 - a)

    and then the outer step, with the scaled gradient of thesis section 3.2.3 (the factor γ⁻¹ printed there is to be
    left out), η = lr and N with a buffer that is never reset:

        x ← x - η N(x - z)

    Cost: one gradient a step, L gradients an outer step. Memory per parameter beside weight and gradient: x, z, inner
    momentum, outer momentum (if any): 3-4 numbers. Communication: none (under DistributedDataParallel one all-reduce of
    the gradient a step; all ranks draw equal noise).

    Parameters
        params: tensors or groups of tensors with settings of their own (inner_steps, seed, variant: one for all).
        lr: outer rate η >= 0; schedulers drive it. With 1 and no outer momentum x ← z.
        inner_lr: inner rate η' >= 0; the papers keep it fixed at 0.1.
        inner_steps: L >= 1.
        gamma: scope γ > 0 (a length²; the papers' codes hold 1/γ), a number, math.inf, or a schedule of the outer step.
        averaging: a in (0, 1]; None: 0.75, and 0.25 in variant="official".
        temperature: T = 1/β >= 0; the paper's ε is T = ε²/2, the official code's T = ε².
        momentum, outer_momentum: of the two loops, in [0, 1). The papers say Nesterov in both; the code behind the
            paper's tables had none in effect outside, the default here.
        nesterov: Nesterov's form in both loops, else heavy ball.
        weight_decay: λ >= 0, ∇f ← ∇f + λ y.
        seed: key of the noise. variant: see below. maximize, engine: see FlatOptimizer.

    variant
        "thesis": as above.
        "paper": the two boxes as printed. The elastic force is part of the direction that gets momentum,
            d ← N(∇f(y) + γ⁻¹ (y - x)), and the outer step keeps the factor: x ← x - (η/γ) N(x - z).
        "official": the authors' Python code. Each loop starts with a gradient at x that moves nothing (L + 1 gradients
            an outer step) and, in the first loop, fills the outer momentum buffer; weight decay acts on the outer
            direction too, N(x - z + λ x). (Their scope never changes: give a number for γ.)

    Raises ValueError for settings out of range, no parameters, sparse or complex ones, gradients that are not finite.

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> opt = EntropySGD([weight], lr=1.0, inner_lr=0.1, inner_steps=5, gamma=1.0)
    >>> for _ in range(5):
    ...     opt.zero_grad(); (weight**2).sum().backward(); opt.step()
    >>> opt.outer_steps, bool(weight.norm() < 1.0)
    (1, True)
    """

    outer_row = "x"

    def __init__(
        self, params, lr=1.0, inner_lr=0.1, inner_steps=20, gamma=1e4, averaging=None, temperature=0.0, momentum=0.9,
        outer_momentum=0.0, nesterov=True, weight_decay=0.0, seed=0, *, variant="thesis", maximize=False, engine="auto",
    ):  # fmt: skip
        one_of("variant", variant, VARIANTS)
        if averaging is None:
            averaging = 0.25 if variant == "official" else 0.75
        super().__init__(params, {
            "lr": lr, "inner_lr": inner_lr, "inner_steps": inner_steps, "gamma": gamma, "averaging": averaging,
            "temperature": temperature, "momentum": momentum, "outer_momentum": outer_momentum, "nesterov": nesterov,
            "weight_decay": weight_decay, "seed": seed, "variant": variant, "maximize": maximize, "engine": engine,
        })  # fmt: skip

    def loop_length(self):
        head = self.param_groups[0]
        return head["inner_steps"] + (head["variant"] == "official")

    def rule(self, group, outer, inner):
        rate, heat = number(group["inner_lr"]), group["temperature"]
        return Rule(
            rate=rate,
            momentum=number(group["momentum"]),
            nesterov=group["nesterov"],
            decay=group["weight_decay"],
            pull=inverse(group["gamma"], outer),
            inside=group["variant"] == "paper",
            heat=(2.0 * rate * heat) ** 0.5 if heat else 0.0,
            average=group["averaging"],
            capture=inner == 0,
            reset=inner == 0,
            sign=-1.0 if group["maximize"] else 1.0,
        )

    def inner(self, outer, inner):
        if self.param_groups[0]["variant"] == "official":
            if inner == 0:
                return self._discard(outer)
            inner -= 1
        return super().inner(outer, inner)

    def _discard(self, outer):
        """The authors' extra gradient at x: it only fills the outer momentum buffer, once."""
        for segment in self._layout.segments:
            collect(segment)
            check_finite(segment)
            segment.write("x", "y")
            group = self.param_groups[segment.group]
            if outer == 0 and group["outer_momentum"]:
                sign = -1.0 if group["maximize"] else 1.0
                for buffer, y, p in zip(segment.tensors("outer_m"), segment.tensors("y"), segment.params):
                    if p.grad is not None:
                        buffer.copy_(sign * p.grad + group["weight_decay"] * y)

    def outer(self, outer):
        for segment in self._layout.segments:
            group = self.param_groups[segment.group]
            x, rate = segment.lists("x"), number(group["lr"])
            direction = torch._foreach_sub(x, segment.lists("z"))
            if group["variant"] == "official" and group["weight_decay"]:
                torch._foreach_add_(direction, x, alpha=group["weight_decay"])
            if group["variant"] == "paper":
                rate = rate * inverse(group["gamma"], outer)
            descend(x, outer_momentum(segment, direction, group), rate)
            segment.write("y", "x")
