"""The complexity of the pure p-spin glass: the rate at which critical points of an energy and index multiply with N."""

from __future__ import annotations

import math

import numpy as np
import scipy
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.hints import Array

__all__ = ["E_infinity", "checked_order", "complexity", "energy_threshold"]


def E_infinity(p: int) -> float:
    """The threshold energy 2 sqrt((p-1)/p): below -E_infinity critical points of finite index live (thesis (2.11)).

    Parameters
    ----------
    p : int >= 3

    Returns
    -------
    float

    Examples
    --------
    >>> round(E_infinity(3), 6)
    1.632993
    """
    p = checked_order(p)
    return 2.0 * math.sqrt((p - 1) / p)


def complexity(u: ArrayLike, p: int = 3, index: int | None = None) -> Array:
    """Θ(u) = lim (1/N) log E[number of critical points with H <= N u]; of those of index k it is Θ_k(u).

    Parameters
    ----------
    u : array
        Energy per spin.
    p : int >= 3
    index : int >= 0 or None
        Number k of negative directions; None: all critical points.

    Returns
    -------
    float array of the shape of u
        Negative where such points do not exist with high probability.

    Raises
    ------
    ValueError
        p < 3, a negative index.

    Notes
    -----
    Thesis (2.11), (2.12), with I_1(u) = -(u/E²) sqrt(u² - E²) - log(-u + sqrt(u² - E²)) + log E, E = E_infinity; the
    thesis prints u² for u in its first term, which makes it negative.

    Examples
    --------
    >>> round(float(complexity(0.0)), 4), round(float(complexity(0.0, index=0)), 5)
    (0.3466, 0.01324)
    """
    u, p = checks.reals("u", u), checked_order(p)
    edge = E_infinity(p)
    low = np.minimum(u, -edge)
    root = np.sqrt(np.maximum(low * low - edge * edge, 0.0))
    rate = -low / edge**2 * root - np.log((-low + root) / edge)
    if index is None:
        bulk = np.minimum(u, 0.0)
        return 0.5 * math.log(p - 1) - (p - 2) / (4 * (p - 1)) * bulk * bulk - rate
    k = checks.whole("index", index, 0)
    return 0.5 * math.log(p - 1) - (p - 2) / (4 * (p - 1)) * low * low - (k + 1) * rate


def energy_threshold(p: int = 3, index: int = 0) -> float:
    """E_k, the zero of Θ_k below -E_infinity: no critical points of index k or higher have energy below -E_k per spin.

    E_0 is the energy of the ground state.

    Parameters
    ----------
    p : int >= 3
    index : int >= 0
        k.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        p < 3, a negative index.

    Examples
    --------
    >>> round(energy_threshold(3), 6), round(energy_threshold(3, 1), 6)
    (1.656998, 1.652873)
    """
    edge, k = E_infinity(p), checks.whole("index", index, 0)
    below = edge
    while complexity(-below, p, k) > 0:
        below *= 1.25
    return float(scipy.optimize.brentq(lambda e: float(complexity(-e, p, k)), edge, below, xtol=1e-15, rtol=8.9e-16))


def checked_order(p):
    """p as a whole number of at least 3: the quadratic case p = 2 has 2N critical points, always."""
    return checks.whole("p", p, 3)
