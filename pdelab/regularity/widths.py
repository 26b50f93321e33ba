"""How wide a minimum is: harmonic mean of its spectrum, robust width (thesis, sections 4.5.3 and 4.5.3.1)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike

from pdelab import checks, closed_forms
from pdelab.losses import Loss
from pdelab.regularity.shared import eigenvalues as spectrum

__all__ = ["harmonic_mean", "harmonic_mean_bound", "quadratic_robust_width", "robust_width"]


def harmonic_mean(values: ArrayLike) -> Any:
    """HM(λ) = (mean of 1/λ_i)⁻¹ along the last axis, 0 where a value is 0 (thesis, section 4.5.3).

    Between min λ_i and d min λ_i: it sees the small eigenvalues, which decide how wide a minimum is.

    Parameters
    ----------
    values : array (..., d), >= 0

    Returns
    -------
    float or array (...,)

    Raises
    ------
    ValueError
        Negative values, or none.

    Examples
    --------
    >>> float(harmonic_mean([1.0, 3.0])), float(harmonic_mean([1.0, 1e6]))
    (1.5, 1.9999980000020001)
    """
    values = checks.reals("values", values, "numbers >= 0")
    if values.ndim == 0 or values.shape[-1] == 0 or not (values >= 0).all():
        raise ValueError(f"values: expected numbers >= 0, at least one, got {checks.shown(values)}")
    with np.errstate(divide="ignore"):
        mean = 1.0 / np.mean(1.0 / values, axis=-1)
    return float(mean) if mean.ndim == 0 else mean


def harmonic_mean_bound(constants: ArrayLike, t: float) -> Any:
    """HM of the Hessian's spectrum at a minimum of u(., t) is at most 1/(t + 1/HM(C)), C_k = sup u_kk(., 0) > 0.

    Thesis, Lemma 4.19, whose printed hypothesis on sup u_kk(., t) must be taken at t = 0.

    Parameters
    ----------
    constants : array (..., d), > 0
        C_k at t = 0.
    t : float >= 0

    Returns
    -------
    float or array (...,)

    Raises
    ------
    ValueError
        Constants <= 0, t < 0.

    Examples
    --------
    >>> float(harmonic_mean_bound([1.0, 3.0], 0.5))                      # 1/(0.5 + 1/1.5)
    0.8571428571428572
    """
    t = checks.nonnegative("t", t)
    return float(1.0 / (t + 1.0 / harmonic_mean(checks.reals("constants", constants, "numbers > 0"))))


def quadratic_robust_width(eigenvalues: ArrayLike, epsilon: float, beta: float) -> float:
    """Robust width of a quadratic minimum: the gamma* with (1/(2 beta)) Σ log(1 + gamma* λ_i) = epsilon.

    In one dimension (exp(2 beta epsilon) - 1)/λ. Thesis (4.38) with the normalised local entropy.

    Parameters
    ----------
    eigenvalues : float or array (d,)
        Of the Hessian, >= 0; all zero gives math.inf.
    epsilon : float > 0
    beta : float > 0 or math.inf
        Without noise the value at a minimum never rises: math.inf.

    Returns
    -------
    float > 0 or math.inf

    Raises
    ------
    ValueError
        Negative eigenvalues, epsilon <= 0, beta <= 0.

    Examples
    --------
    >>> round(quadratic_robust_width(2.0, epsilon=0.1, beta=5.0), 6), round((math.exp(1.0) - 1) / 2, 6)
    (0.859141, 0.859141)
    """
    eigenvalues = np.atleast_1d(checks.reals("eigenvalues", eigenvalues, "those of a minimum, all >= 0"))
    epsilon, beta = checks.positive("epsilon", epsilon), checks.positive("beta", beta, infinite=True)
    if not (eigenvalues >= 0).all() or not eigenvalues.size or math.isinf(eigenvalues.max()):
        raise ValueError(f"eigenvalues: expected those of a minimum, all >= 0, got {eigenvalues}")
    if math.isinf(beta) or not eigenvalues.any():
        return math.inf
    level, logs = 2 * beta * epsilon, np.log(eigenvalues[eigenvalues > 0])
    alone = lambda share: share + math.log(-math.expm1(-share)) - logs.max()  # noqa: E731  log gamma of one eigenvalue
    low, high = alone(level / len(logs)), alone(level)
    if low < high:
        high = scipy.optimize.brentq(
            lambda s: np.logaddexp(0.0, s + logs).sum() - level, low, high, xtol=1e-15, rtol=1e-14
        )
    return math.exp(high) if high < 709 else math.inf


def robust_width(f: Loss, point: ArrayLike, epsilon: float, beta: float, *, largest: float = 1e6) -> float:
    """Robust width of a minimum: the largest gamma* with f_gamma(x) - f(x) <= epsilon for all gamma <= gamma*.

    Parameters
    ----------
    f : Loss
    point : float or array (d,)
        x, a minimum of f.
    epsilon : float > 0
    beta : float > 0 or math.inf
    largest : float
        The largest gamma to try. math.inf is returned where f_gamma(x) has not risen by epsilon up to it.

    Returns
    -------
    float
        The first crossing of f_gamma(x) = f(x) + epsilon, found on scopes that grow by a tenth and then polished;
        math.inf without noise (beta = inf), where the value at a minimum never rises.

    Raises
    ------
    ValueError
        No Loss, not one point, epsilon <= 0, beta <= 0.

    Notes
    -----
    Thesis, Definition 4.20 and (4.38), with the normalised local entropy: the printed one is not near f at gamma -> 0.
    The length scale of the neighbourhood it looks at is (gamma/beta)^½, not gamma.

    Examples
    --------
    >>> from pdelab import losses
    >>> round(robust_width(losses.quadratic(2.0), 0.0, 0.1, 3.0), 5)
    0.41106
    """
    if not isinstance(f, Loss):
        raise ValueError(f"f: expected a Loss, got {type(f).__name__}")
    epsilon, beta = checks.positive("epsilon", epsilon), checks.positive("beta", beta, infinite=True)
    largest = checks.positive("largest", largest, infinite=True)
    point = checks.reals("point", point, "the coordinates of a minimum")
    if point.shape != (() if f.dimension == 1 else (f.dimension,)):
        raise ValueError(f"point: expected a point of {f.dimension} coordinates, got shape {point.shape}")
    rise = lambda gamma: float(closed_forms.local_entropy(f, point, gamma, beta)) - f(point) - epsilon  # noqa: E731
    if math.isinf(beta):
        return math.inf
    curvature = np.atleast_1d(spectrum(f, point[None])[0]).max()
    gamma = quadratic_robust_width(max(curvature, 1e-12), epsilon / f.dimension, beta) / 64
    while rise(gamma) > 0:  # the loss is steeper around the minimum than at it
        gamma /= 64
    while gamma < largest:
        if rise(1.1 * gamma) > 0:
            return float(scipy.optimize.brentq(rise, gamma, 1.1 * gamma, xtol=1e-14 * gamma, rtol=1e-13))
        gamma *= 1.1
    return math.inf
