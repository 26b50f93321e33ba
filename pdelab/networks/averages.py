"""Honest controls: two cheap averages of plain SGD that any smoothing of the loss has to beat.

Both have `eval()` and `train()`, which put the averaged weights into the parameters and take them out again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import ParamsT

from pdelab.checks import whole, within

__all__ = ["SWA", "Lookahead"]


class _Swapped(torch.optim.SGD):
    """SGD that keeps a second copy of the weights in `state[p][key]` and can exchange the two.

    Which of them is in the model stands in the groups, as "outside": a checkpoint knows it, and so does a copy.
    """

    key: str

    def __init__(self, params, settings, **sgd):
        super().__init__(params, **sgd)
        own = settings | {"updates": 0, "outside": False}
        self.defaults.update(own)  # of groups that join later
        for group in self.param_groups:
            group.update(own)

    def _average(self, group: dict[str, Any]) -> None:
        raise NotImplementedError("a subclass says what enters the average of a group, and when")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of SGD on `.grad`, then the average where it is due.

        Parameters
        ----------
        closure : callable, optional
            Evaluates the model again and returns its loss.

        Returns
        -------
        What the closure returns, None without one.

        Raises
        ------
        RuntimeError
            The averaged weights are in the parameters (after `eval()`).
        """
        if self._outside():
            raise RuntimeError("the averaged weights are in the parameters: call train() before step()")
        loss = super().step(closure)
        for group in self.param_groups:
            group["updates"] += 1
            self._average(group)
        return loss

    def eval(self):
        """Put the averaged weights into the parameters; nothing happens when they are there already."""
        if not self._outside():
            self._exchange()

    def train(self):
        """Put the weights of SGD back into the parameters."""
        if self._outside():
            self._exchange()

    def _outside(self):
        return self.param_groups[0].get("outside", False)

    @torch.no_grad()
    def _exchange(self):
        outside = not self._outside()
        for group in self.param_groups:
            group["outside"] = outside
            for p in group["params"]:
                if self.key in self.state[p]:
                    second = self.state[p][self.key]
                    first = p.clone()
                    p.copy_(second)
                    second.copy_(first)


class SWA(_Swapped):
    """Stochastic weight averaging (Izmailov et al. 2018): x̄ ← x̄ + (x - x̄)/k over the iterates of SGD.

    Cost: one gradient a step; memory: one copy of the weights beside SGD's.

    Parameters
    ----------
    params : iterable
        As for `torch.optim.SGD`.
    start : int
        Steps before the average begins.
    every : int
        Steps between two iterates that enter the average.
    **sgd
        lr, momentum, weight_decay, nesterov of `torch.optim.SGD`.

    Raises
    ------
    ValueError
        Settings out of range.

    Examples
    --------
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> opt = SWA([weight], lr=0.5)
    >>> for _ in range(2):
    ...     opt.zero_grad()
    ...     (weight**2 / 2).sum().backward()
    ...     loss = opt.step()
    >>> opt.eval()
    >>> weight.item()                                                    # the mean of 1/2 and 1/4
    0.375
    """

    key = "average"

    def __init__(self, params: ParamsT, *, start: int = 0, every: int = 1, **sgd: Any):
        whole("start", start, 0)
        whole("every", every, 1)
        super().__init__(params, {"start": start, "every": every}, **sgd)

    def _average(self, group):
        due = group["updates"] - group["start"]
        if due <= 0 or due % group["every"]:
            return
        for p in group["params"]:
            average = self.state[p].setdefault("average", p.clone())
            average.lerp_(p, group["every"] / due)


class Lookahead(_Swapped):
    """Lookahead (Zhang et al. 2019): every k steps of SGD φ ← φ + α (x - φ), then x ← φ.

    Cost: one gradient a step; memory: one copy of the weights beside SGD's.

    Parameters
    ----------
    params : iterable
        As for `torch.optim.SGD`.
    k : int
        Fast steps between two slow ones.
    alpha : float in (0, 1]
        Step of the slow weights.
    **sgd
        lr, momentum, weight_decay, nesterov of `torch.optim.SGD`; the momentum is kept over slow steps.

    Raises
    ------
    ValueError
        Settings out of range.

    Examples
    --------
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> opt = Lookahead([weight], k=1, alpha=0.5, lr=1.0)
    >>> (weight**2 / 2).sum().backward()
    >>> loss = opt.step()
    >>> weight.item()                                                    # half of the way to 0
    0.5
    """

    key = "slow"

    def __init__(self, params: ParamsT, *, k: int = 5, alpha: float = 0.5, **sgd: Any):
        whole("k", k, 1)
        within("alpha", alpha, 0, 1, "(]")
        super().__init__(params, {"k": k, "alpha": alpha}, **sgd)

    @torch.no_grad()
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, whose slow weights start at them.

        Parameters
        ----------
        param_group : dict
            "params" and settings of their own, as for torch.optim.Optimizer.
        """
        super().add_param_group(param_group)
        for p in self.param_groups[-1]["params"]:
            self.state[p]["slow"] = p.clone()

    def _average(self, group):
        if group["updates"] % group["k"]:
            return
        for p in group["params"]:
            slow = self.state[p]["slow"]
            p.copy_(slow.lerp_(p, group["alpha"]))
