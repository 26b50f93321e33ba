"""HEAT: descent on the Gaussian convolution of the loss, the smoothing of the heat equation (thesis 4.6.1.3)."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim.optimizer import ParamsT

from pdelab.hints import Schedule
from pdelab.networks.optimizers.base import FlatOptimizer
from pdelab.networks.optimizers.engines import BY_TENSORS
from pdelab.networks.optimizers.entropy import accelerate, outer_rate
from pdelab.networks.optimizers.settings import scope
from pdelab.networks.optimizers.update import add, thermal

__all__ = ["Heat", "deviation"]


class Heat(FlatOptimizer):
    """HEAT (thesis (4.28), (4.43)): averages gradients at Gaussian perturbations of the weights.

        x ← x - η N( (1/L) Σᵢ ∇f(x + εᵢ) ),   εᵢ ~ N(0, γ T I),  i = 1 … L = inner_steps

    T = temperature = 1/β; the papers' preset is T = 1, variance γ.

    The parameters hold x + εᵢ from construction on: `step()` ends with the next perturbation. Weights that are frozen
    or never get a gradient stay at x. So evaluate in eval mode, and load a model's weights before the optimizer is
    built, or call `restart()` afterwards.

    After `eval()` the model holds the outer weights, but its batch norms the statistics of the inner ones:
    `update_bn(model, batches, optimizer)` collects the right ones.

    Cost: one gradient a step, L an outer step. Memory per parameter: x, the sum of gradients and, if any, momentum: 2-3
    numbers and one of scratch. Communication: none.

    Parameters
    ----------
    params, lr, momentum, nesterov, weight_decay, seed
        As in `EntropySGD`; momentum and nesterov are those of the outer step N, and weight_decay adds λ (x + εᵢ) to
        the gradients.
    inner_steps : int >= 1
        L, the perturbations an outer step.
    gamma : float > 0 or a schedule of the outer step
        γ.
    temperature : float >= 0
        T.
    maximize, engine
        See FlatOptimizer.

    Raises
    ------
    ValueError
        Settings out of range, no parameters, sparse or complex ones, gradients that are not finite.

    Examples
    --------
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> opt = Heat([weight], lr=0.5, inner_steps=2, gamma=1e-6, momentum=0.0, seed=0)
    >>> for _ in range(2):
    ...     opt.zero_grad()
    ...     (weight**2 / 2).sum().backward()
    ...     opt.step()
    >>> with opt.outer_weights():
    ...     round(weight.item(), 2)                                      # a step of gradient descent: 1 - η
    0.5
    """

    outer_row = "x"
    protected = False  # gradients are checked first, so that nothing has to be undone

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.1,
        inner_steps: int = 20,
        gamma: Schedule = 1e-4,
        temperature: float = 1.0,
        momentum: float = 0.9,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        seed: int | None = None,
        *,
        maximize: bool = False,
        engine: str = "auto",
    ):
        super().__init__(params, {
            "lr": lr, "inner_steps": inner_steps, "gamma": gamma, "temperature": temperature, "momentum": momentum,
            "nesterov": nesterov, "weight_decay": weight_decay, "seed": seed, "maximize": maximize, "engine": engine,
        })  # fmt: skip
        self.restart()

    def _check(self, group):
        super()._check(group)
        if group["gamma"] == float("inf"):
            raise ValueError("gamma: expected a finite variance of the perturbations over temperature, got inf")

    def row_names(self, group: dict) -> list[str]:
        extra = {"noise": group["temperature"], "outer_m": group["momentum"]}
        return [*super().row_names(group), "x", "sum", *(name for name, used in extra.items() if used)]

    @torch.no_grad()
    def restart(self) -> None:
        """Take the model's present weights as x and start a new loop."""
        self.clock["inner_step"] = 0
        for segment in self._layout.segments:
            segment.write("x", "y")
            torch._foreach_zero_(segment.lists("sum"))
            self._perturb(segment, self.outer_steps, 0, fresh=self.outer_steps == 0)

    @torch.no_grad()
    def welcome(self, segments: Any) -> None:
        for segment in segments:
            self._perturb(segment, self.outer_steps, self.inner_step, fresh=True)

    def _adopted(self, exchanged):
        self.welcome([s for s in self._layout.segments if any(p is q for p in s.params for q in exchanged)])

    def _perturb(self, segment, outer, inner, fresh=False):
        """y ← x + √(γ T) ξ where a gradient is known, or with `fresh` may be expected: unused weights do not move."""
        group = self.param_groups[segment.group]
        segment.write("y", "x")
        free = [p.requires_grad for p in segment.params]
        if not fresh and segment.seen is not segment.whole:
            free = [may and state > 0 for may, state in zip(free, segment.seen)]
        if deviation(group, outer) and any(free):
            thermal(segment, self.address(segment, outer, inner))
            size = self.amount(outer, deviation, group)
            add(segment.chosen("y", free), segment.chosen("noise", free), size)
        if inner == 0 or not all(free):
            segment.written([2 * p.requires_grad for p in segment.params])

    @torch.no_grad()
    def inner(self, outer: int, inner: int) -> None:
        for segment in self._layout.segments:
            BY_TENSORS.collect(segment)
            BY_TENSORS.check(segment)
        for segment in self._layout.segments:
            group = self.param_groups[segment.group]
            share = (-1.0 if group["maximize"] else 1.0) / group["inner_steps"]
            if segment.grads:
                add(segment.pieces("sum"), segment.grads, share)
                if group["weight_decay"]:
                    add(segment.pieces("sum"), segment.pieces("y"), group["weight_decay"] / group["inner_steps"])
            segment.release()
            if inner + 1 < group["inner_steps"]:
                self._perturb(segment, outer, inner + 1)

    @torch.no_grad()
    def outer(self, outer: int) -> None:
        for segment, group in self._moving():
            direction = accelerate(segment, segment.moving("sum"), {**group, "outer_momentum": group["momentum"]})
            add(segment.moving("x"), direction, self.amount(outer, outer_rate, group), -1.0)
        for segment in self._layout.segments:
            torch._foreach_zero_(segment.lists("sum"))
            self._perturb(segment, outer + 1, 0)

    def _shows_other_weights(self):
        return True


def deviation(group, outer):
    """√(γ T), of the perturbations."""
    return (scope(group["gamma"], outer) * group["temperature"]) ** 0.5
