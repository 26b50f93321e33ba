"""Bounds that theorems give, checked on every value that is returned: a value outside its bound is refused.

min f <= f_gamma <= G * f             (Jensen's inequality on either side of the logarithm)
min f <= u <= f,  u = f(y) + |x - y|²/(2t) at the minimiser y
u(., t) falls with t;  u - |x|²/(2t) is concave, so that second differences are at most h²/t
|u(x + h) - u(x)| <= max |f(x + h) - f(x)| where the grid continues f by images
"""

import numpy as np

from pdelab.checks import bounded as within
from pdelab.kernels import differences

__all__ = ["attained", "falling", "rounding", "semiconcave", "within"]


def attained(u, energy, slack, words):
    """u if it is the energy f(y) + |x - y|²/(2t) of its minimiser y up to the slack; ArithmeticError otherwise."""
    return within(u, energy, energy, slack, f"{words} at its minimiser")


def falling(u, times, slack, words):
    """u (len(times), ...) if it does not grow with time; ArithmeticError otherwise."""
    order = np.argsort(times)
    for before, after in zip(order, order[1:]):
        within(u[after], -np.inf, u[before], slack, f"{words}, which falls with time")
    return u


def semiconcave(u, grid, t, slack, words, data=None):
    """u if along every axis its second differences are at most h²/t and, where `data` are given, it is not steeper.

    ArithmeticError otherwise. slack: of a value of u.
    """
    for axis, (n, h, ring) in enumerate(zip(grid.shape, grid.spacing, grid.periodic)):
        steepest, bend = _extremes(u, axis, n, ring)
        if not bend <= h * h / t * (1.0 + 1e-12) + 4.0 * slack:
            raise ArithmeticError(_fault(words, "second", axis, bend, h * h / t))
        if data is not None:
            limit = _extremes(data, axis, n, ring)[0]
            if not steepest <= limit + 2.0 * slack:
                raise ArithmeticError(_fault(words, "first", axis, steepest, limit))
    return u


def _extremes(field, axis, n, ring):
    before = int(np.prod(field.shape[:axis]))
    return differences.extremes(np.ascontiguousarray(field, dtype=float).reshape(before, n, -1), bool(ring))


def _fault(words, which, axis, difference, limit):
    return (
        f"{words}: a {which} difference along axis {axis} is {difference:.17g}, by theory at most {limit:.17g}; "
        "this is a fault of pdelab"
    )


def rounding(values, accuracy=1e-12):
    """The slack for values of this size."""
    values = np.asarray(values)
    largest = max(-float(values.min(initial=0.0)), float(values.max(initial=0.0)))
    if not largest < np.inf:
        largest = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
    return accuracy * largest + 1e-300
