"""A loss from a formula: a parabola with ripples."""

import pdelab as pl
from pdelab import checks


def ripples(height=0.3, frequency=6.0):
    """f(x) = x²/2 + a cos(ω x): convex where a ω² <= 1, else with minima that smoothing removes.

    Parameters
    ----------
    height, frequency : float
        a >= 0 and ω > 0.

    Returns
    -------
    Loss
        In one dimension.
    """
    checks.nonnegative("height", height)
    checks.positive("frequency", frequency)
    return pl.Loss(f"x**2/2 + {height}*cos({frequency}*x)")
