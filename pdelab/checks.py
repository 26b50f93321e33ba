"""Refusals at the door, in one dialect: "name: expected ..., got ...".

Every function takes the name of an argument and what came for it, and returns the value in its plain Python or NumPy
form, or raises ValueError. Booleans, text and complex numbers are not numbers here.
"""

import math
import operator

import numpy as np

__all__ = [
    "choice", "finite", "nonnegative", "number", "positive", "reals", "refuse", "seed", "shown", "switch",
    "whole", "within",
]  # fmt: skip


def number(name, value, expected="a number"):
    """A real number as float; infinities and NaN pass."""
    scalar = isinstance(value, (int, float, np.integer, np.floating))
    good = scalar or (isinstance(value, np.ndarray) and not value.ndim)
    if not good or isinstance(value, bool) or np.asarray(value).dtype.kind not in "fiu":
        refuse(name, expected, value)
    return float(value)


def finite(name, value):
    """A finite number as float."""
    value = number(name, value, "a finite number")
    return value if math.isfinite(value) else refuse(name, "a finite number", value)


def positive(name, value, *, infinite=False):
    """A number > 0 as float; math.inf only where `infinite`."""
    expected = "a number > 0" + " or math.inf" * infinite
    value = number(name, value, expected)
    return value if value > 0 and (infinite or value < math.inf) else refuse(name, expected, value)


def nonnegative(name, value, *, infinite=False):
    """A number >= 0 as float; math.inf only where `infinite`."""
    expected = "a number >= 0" + " or math.inf" * infinite
    value = number(name, value, expected)
    return value if value >= 0 and (infinite or value < math.inf) else refuse(name, expected, value)


def within(name, value, low, high, ends="[]"):
    """A number between two bounds as float; `ends` says which bounds belong to the range: "[]", "[)", "(]" or "()"."""
    expected = f"a number in {ends[0]}{low:g}, {high:g}{ends[1]}"
    value = number(name, value, expected)
    above = value >= low if ends[0] == "[" else value > low
    below = value <= high if ends[1] == "]" else value < high
    return value if above and below else refuse(name, expected, value)


def whole(name, value, least=1, most=math.inf):
    """A whole number as int, at least `least` and at most `most`."""
    expected = f"a whole number, at least {least}" + (f" and at most {most}" if most < math.inf else "")
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        integer = operator.index(value)
    except TypeError:
        refuse(name, expected, value)
    return integer if least <= integer <= most else refuse(name, expected, integer)


def seed(name, value):
    """A seed as int: a whole number in [0, 2**64)."""
    try:
        return whole(name, value, least=0, most=2**64 - 1)
    except ValueError:
        return refuse(name, "a whole number in [0, 2**64)", value)


def switch(name, value):
    """True or False."""
    return bool(value) if isinstance(value, (bool, np.bool_)) else refuse(name, "True or False", value)


def choice(name, value, allowed):
    """One of the allowed values."""
    allowed = tuple(allowed)
    if any(value is one or (type(value) is type(one) and value == one) for one in allowed):
        return value
    return refuse(name, f"one of {', '.join(map(str, allowed))}", value)


def reals(name, values, expected="real numbers"):
    """A float64 array of real numbers; infinities and NaN pass."""
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "fiubO":
            raise TypeError(array.dtype)
        return array.astype(float, copy=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name}: expected {expected}, got {shown(values)}") from error


def refuse(name, expected, value):
    """Raise the ValueError of this dialect."""
    raise ValueError(f"{name}: expected {expected}, got {shown(value)}")


def shown(value, width=80):
    """A value in at most `width` characters of one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= width else text[: width - 3] + "..."
