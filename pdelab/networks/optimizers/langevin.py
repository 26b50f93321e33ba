"""Langevin dynamics: one loop, no anchor."""

from __future__ import annotations

from torch.optim.optimizer import ParamsT

from pdelab.networks.optimizers.base import FlatOptimizer
from pdelab.networks.optimizers.update import Rule, number

__all__ = ["SGLD"]


class SGLD(FlatOptimizer):
    """Stochastic gradient Langevin dynamics (thesis (3.15), section 3.4; Welling and Teh 2011), sampling exp(-f/T).

        x ← x - η_t ∇f(x) + √(2 η_t T) ξ,   η_t = η/(1 + t)^b,   ξ ~ N(0, I)

    T = temperature = 1/β, η = lr, b = decay. With a mean loss over N samples T = 1/N samples the posterior, and
    weight_decay λ is the prior exp(-λ|x|²/(2T)). The step's bias is O(η): on f = hx²/2
    the variance is T/(h (1 - ηh/2)).

    Cost: one gradient a step. Memory per parameter: nothing. Communication: none (under DistributedDataParallel all
    ranks draw equal noise).

    Parameters
    ----------
    params, weight_decay, seed
        As in `EntropySGD`.
    lr : float >= 0
        η.
    temperature : float >= 0
        T.
    decay : float >= 0
        b.
    maximize, engine
        See FlatOptimizer.

    Raises
    ------
    ValueError
        Settings out of range, no parameters, sparse or complex ones, gradients that are not finite.

    Good values
    -----------
    lr : η h well below 1 for the largest curvature h, for a law that is right to a share η h/2.
    temperature : 1/N for the posterior of a mean loss over N samples, 0 for SGD.

    Examples
    --------
    >>> import torch
    >>> weights = torch.nn.Parameter(torch.zeros(4000))
    >>> opt = SGLD([weights], lr=0.1, temperature=0.5, seed=0)
    >>> for _ in range(60):
    ...     opt.zero_grad()
    ...     (weights**2 / 2).sum().backward()
    ...     opt.step()
    >>> abs(weights.var().item() - 0.5 / 0.95) < 0.06                    # T/(h (1 - ηh/2))
    True
    """

    protected = False

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.1,
        temperature: float = 1e-4,
        decay: float = 0.0,
        weight_decay: float = 0.0,
        seed: int | None = None,
        *,
        maximize: bool = False,
        engine: str = "auto",
    ):
        super().__init__(params, {
            "lr": lr, "temperature": temperature, "decay": decay, "weight_decay": weight_decay, "seed": seed,
            "maximize": maximize, "engine": engine,
        })  # fmt: skip

    def rule(self, group: dict, outer: int, inner: int) -> Rule:
        rate = number(group["lr"]) / (1.0 + outer) ** group["decay"]
        return Rule(
            rate=rate,
            decay=group["weight_decay"],
            heat=(2.0 * rate * group["temperature"]) ** 0.5 if group["temperature"] else 0.0,
            sign=-1.0 if group["maximize"] else 1.0,
        )
