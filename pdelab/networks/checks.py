"""Refusals at the door: one sentence that says what was expected and what came."""

import torch

__all__ = ["choice", "number", "place", "positive", "probability", "several", "switch", "whole"]


def whole(name, value, least):
    """Refuse what is not a whole number of at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"expected {name} to be a whole number of at least {least}, got {value!r}")


def number(name, value):
    """Refuse what is not a number; nan and infinities pass."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ValueError(f"expected {name} to be a number, got {value!r}")


def positive(name, value):
    """Refuse what is not a number > 0."""
    number(name, value)
    if not value > 0:
        raise ValueError(f"expected {name} > 0, got {value!r}")


def probability(name, value):
    """Refuse what is not a number in [0, 1)."""
    number(name, value)
    if not 0.0 <= value < 1.0:
        raise ValueError(f"expected {name} in [0, 1), got {value!r}")


def switch(name, value):
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool):
        raise ValueError(f"expected {name} to be True or False, got {value!r}")


def several(name, values, count=None):
    """Refuse what is not a sequence (of `count` things)."""
    if not isinstance(values, (list, tuple)) or count not in (None, len(values)):
        raise ValueError(f"expected {name} to be a sequence{f' of {count}' if count else ''}, got {values!r}")


def choice(name, value, allowed):
    """Refuse a name that is not in the list."""
    if value not in allowed:
        raise ValueError(f"unknown {name} {value!r}: choose from {', '.join(allowed)}")


def place(name):
    """A torch device that can be computed on."""
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()
    except Exception as error:  # every backend that is missing says so in its own way
        raise ValueError(f"there is no device {name!r} here: use device='cpu'") from error
    return device
