"""An optimizer in one file: Langevin dynamics whose temperature falls with the steps."""

from pdelab.networks.optimizers.base import FlatOptimizer
from pdelab.networks.optimizers.update import Rule


class CooledLangevin(FlatOptimizer):
    """x ← x - η ∇f(x) + √(2 η T_t) ξ,   T_t = T/(1 + t)^b,   ξ ~ N(0, I).

    T = temperature, b = decay, η = lr. Memory per parameter: nothing.
    """

    protected = False

    def __init__(self, params, lr=0.1, temperature=1e-4, decay=1.0, seed=None, *, maximize=False, engine="auto"):
        super().__init__(params, {
            "lr": lr, "temperature": temperature, "decay": decay, "seed": seed, "maximize": maximize, "engine": engine,
        })  # fmt: skip

    def rule(self, group, outer, inner):
        temperature = group["temperature"] / (1.0 + outer) ** group["decay"]
        return Rule(
            rate=group["lr"],
            decay=0.0,
            heat=(2.0 * group["lr"] * temperature) ** 0.5,
            sign=-1.0 if group["maximize"] else 1.0,
        )
