"""Bounds that theorems give, checked on every value that is returned: a value outside its bound is refused.

min f <= f_gamma <= G * f             (Jensen's inequality on either side of the logarithm)
min f <= u <= f,  u = f(y) + |x - y|²/(2t) at the minimiser y
"""

import numpy as np

__all__ = ["rounding", "within"]


def within(u, low, high, slack, words):
    """u if low <= u <= high up to the slack everywhere; ArithmeticError otherwise, also for NaN."""
    wrong = ~((u >= low - slack) & (u <= high + slack))
    if wrong.any():
        at = np.unravel_index(int(np.argmax(wrong)), np.shape(u))
        low, high = (np.broadcast_to(bound, np.shape(u))[at] for bound in (low, high))
        raise ArithmeticError(
            f"{words}: {int(wrong.sum())} values lie outside the bounds of theory, the first of them "
            f"{np.asarray(u)[at]:.17g} for [{low:.17g}, {high:.17g}]; this is a fault of pdelab or of f (does it "
            "return the same value for the same point?)"
        )
    return u


def rounding(values, accuracy=1e-12):
    """The slack for values of this size."""
    finite = np.asarray(values)[np.isfinite(values)]
    return accuracy * float(np.abs(finite).max(initial=0.0)) + 1e-300
