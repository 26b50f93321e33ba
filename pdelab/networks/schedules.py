"""Scoping: how γ and ρ change with the outer step t (thesis section 3.2.3 and (5.10)).

A schedule is a frozen record, called with the number t of outer steps taken; it can be turned into plain values and
back, so that a checkpoint needs no pickled class.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from pdelab.networks.checks import number, positive

__all__ = ["BoundedExponential", "Exponential", "KINDS", "Linear", "Quadratic", "from_plain", "to_plain"]


@dataclass(frozen=True)
class Exponential:
    """value(t) = start (1 - rate)^t, kept within [low, high].

    Thesis (5.10) has rate = 1/(2B), with low = 1 for γ and 0.1 for ρ. The Entropy-SGD paper's 1/γ = g₀ (1 + g₁)^t is
    start = 1/g₀ with rate = g₁/(1 + g₁).

    Attributes
    ----------
    start, rate : float
    low, high : float
        Bounds of the values.

    Examples
    --------
    >>> Exponential(100.0, 0.5, low=30.0)(1), Exponential(100.0, 0.5, low=30.0)(4)
    (50.0, 30.0)
    """

    start: float
    rate: float
    low: float = 0.0
    high: float = math.inf

    def __post_init__(self):
        positive("start", self.start)
        for name in ("rate", "low", "high"):
            number(name, getattr(self, name))
        if not (self.rate < 1 and 0 <= self.low <= self.high):
            raise ValueError(f"rate, low, high: expected rate < 1 and 0 <= low <= high, got {self}")

    def __call__(self, t):
        return min(max(self.start * (1.0 - self.rate) ** t, self.low), self.high)


@dataclass(frozen=True)
class Linear:
    """value(t) = start + (stop - start) s, s = min(t/steps, 1).

    Attributes
    ----------
    start, stop : float
        Values at the ends.
    steps : int
    """

    start: float
    stop: float
    steps: int

    def __post_init__(self):
        for name in ("start", "stop", "steps"):
            positive(name, getattr(self, name))

    def __call__(self, t):
        return self.start + (self.stop - self.start) * min(t / self.steps, 1.0)


@dataclass(frozen=True)
class Quadratic(Linear):
    """value(t) = start + (stop - start) s², s = min(t/steps, 1).

    Attributes
    ----------
    start, stop : float
        Values at the ends.
    steps : int
    """

    def __call__(self, t):
        return self.start + (self.stop - self.start) * min(t / self.steps, 1.0) ** 2


@dataclass(frozen=True)
class BoundedExponential:
    """value(t) = limit / (1 - exp(-rate (t + 1))): the paper's 1/γ = g₀ (1 - e^{-τt}), finite at the first step.

    Source: Entropy-SGD (1611.01838) section 4.3, whose γ is our 1/γ; at t = 0 the printed 1/γ is zero.

    Attributes
    ----------
    limit, rate : float
    """

    limit: float
    rate: float

    def __post_init__(self):
        positive("limit", self.limit)
        positive("rate", self.rate)

    def __call__(self, t):
        return self.limit / -math.expm1(-self.rate * (t + 1))


KINDS = {kind.__name__: kind for kind in (Exponential, Linear, Quadratic, BoundedExponential)}


def to_plain(value: Any) -> Any:
    """A schedule as {"schedule": name, ...}; anything else as it is.

    Parameters
    ----------
    value : schedule, or anything else

    Returns
    -------
    dict, or the value

    Examples
    --------
    >>> to_plain(Linear(1.0, 0.5, 10)), to_plain(0.5)
    ({'schedule': 'Linear', 'start': 1.0, 'stop': 0.5, 'steps': 10}, 0.5)
    """
    return {"schedule": type(value).__name__, **asdict(value)} if type(value) in KINDS.values() else value


def from_plain(value: Any) -> Any:
    """The inverse of `to_plain`.

    Parameters
    ----------
    value : dict of `to_plain`, or anything else

    Returns
    -------
    schedule, or the value

    Raises
    ------
    ValueError
        A dict that is no schedule.

    Examples
    --------
    >>> from_plain(to_plain(Linear(1.0, 0.5, 10)))(5)
    0.75
    """
    if not (isinstance(value, dict) and value.get("schedule") in KINDS):
        return value
    kind, settings = KINDS[value["schedule"]], {k: v for k, v in value.items() if k != "schedule"}
    try:
        return kind(**settings)
    except TypeError as error:
        needed = ", ".join(field.name for field in fields(kind))
        raise ValueError(f"schedule: expected the settings {needed} of {kind.__name__}, got {settings}") from error
