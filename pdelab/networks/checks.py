"""Refusals at the door in the dialect of `pdelab.checks`, with what only networks ask for."""

import torch

from pdelab.checks import choice, number, positive, refuse, switch, whole, within

__all__ = ["choice", "number", "place", "positive", "probability", "refuse", "several", "switch", "whole"]


def probability(name, value):
    """A number in [0, 1) as float."""
    return within(name, value, 0.0, 1.0, "[)")


def several(name, values, count=None):
    """A list or tuple (of `count` things)."""
    good = isinstance(values, (list, tuple)) and count in (None, len(values))
    return values if good else refuse(name, f"a sequence{f' of {count}' if count else ''}", values)


def place(name):
    """A torch device that can be computed on."""
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()
    except Exception as error:  # every backend that is missing says so in its own way
        raise ValueError(f"device: expected one that there is here, as 'cpu', got {name!r}") from error
    return device
