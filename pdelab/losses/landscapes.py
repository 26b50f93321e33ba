"""The gallery: losses of the papers and of the field, each a function that returns a Loss made from a formula."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.losses.loss import Loss

__all__ = [
    "rugged", "three_wells", "sharp_and_wide", "two_parabolas", "double_well", "quadratic", "cone", "gaussian_mixture",
    "example_6_43", "mueller_brown", "rastrigin", "ackley", "gallery",
]  # fmt: skip


def gallery() -> dict[str, Callable[..., Loss]]:
    """All losses of the gallery: {name: function}; each function can be called without arguments.

    Returns
    -------
    dict
        {name: function}

    Examples
    --------
    >>> gallery()["rugged"]().dimension
    1
    """
    return {name: globals()[name] for name in __all__ if name != "gallery"}


def rugged() -> Loss:
    """The loss of Figure 4.1: f(x) = 0.2 x² + 0.3 cos(5x + 4.5) + 0.3 cos(4x + 2), eight minima of growing depth.

    Its global minimum -0.203864 is at x = -0.08049. The figure prints no formula; this one has the shape drawn there.
    Source: Chaudhari, thesis, Figure 4.1 (the formula is ours).

    Returns
    -------
    Loss

    Examples
    --------
    >>> round(float(rugged()(-0.08049)), 6)
    -0.203864
    """
    return Loss("0.2*x**2 + 0.3*cos(5*x + 4.5) + 0.3*cos(4*x + 2)")


def three_wells() -> Loss:
    """The reference loss in one dimension, three uneven wells: f(x) = 0.05 x⁴ - 0.4 x² + 0.15 x + 0.3 sin(3x).

    Minima at -2.36848 (global), -0.81757 and 1.66728; its gradient field (Burgers) breaks first at t = 0.299110.
    Source: the reference loss of this laboratory's ledger.

    Returns
    -------
    Loss

    Examples
    --------
    >>> bool(abs(three_wells().gradient([-2.36848, -0.81757, 1.66728])).max() < 1e-4)
    True
    """
    return Loss("0.05*x**4 - 0.4*x**2 + 0.15*x + 0.3*sin(3*x)")


def sharp_and_wide(
    wide: float = 0.8,
    sharp: float = 0.12,
    shallow: float = 1.0,
    deep: float = 1.6,
    distance: float = 2.0,
    confinement: float = 0.02,
) -> Loss:
    """The loss of Figure 3.2: a wide, shallow valley at -a beside a sharp, deeper one at +a.

        f(x) = c x² - A exp(-(x + a)²/(2 w²)) - B exp(-(x - a)²/(2 s²))

    The sharp valley is the global minimum. Local entropy at beta = 2 moves it to the wide one between gamma = 0.1 and
    gamma = 0.2; without noise (beta = inf) it never moves.

    Source: Chaudhari, thesis, Figure 3.2 (a drawing; the formula is ours).

    Parameters
    ----------
    wide, sharp : float
        Widths w and s of the valleys, > 0.
    shallow, deep : float
        Their depths A and B, > 0.
    distance : float
        Half their distance a, > 0.
    confinement : float
        c >= 0.

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        A width, a depth or a distance <= 0, a confinement < 0.

    Examples
    --------
    >>> f = sharp_and_wide()
    >>> bool(f(2.0) < f(-2.0))                                           # the sharp valley is the deeper one
    True
    """
    w, s, height, depth, a = _positive(wide=wide, sharp=sharp, shallow=shallow, deep=deep, distance=distance)
    c = checks.nonnegative("confinement", confinement)
    valley = f"- {height}*exp(-(x + {a})**2/(2*{w}**2)) - {depth}*exp(-(x - {a})**2/(2*{s}**2))"
    return Loss(f"{c}*x**2 {valley}")


def two_parabolas(sharp: float = 60.0, wide: float = 1.0, gap: float = 0.3, distance: float = 3.0) -> Loss:
    """The smaller of two parabolas, f(x) = min(q_w (x + a)²/2, q_s (x - a)²/2 - gap): both wells exactly quadratic.

    Local entropy prefers the wide well iff beta gap < ½ log((1 + gamma q_s)/(1 + gamma q_w)), up to terms that are
    exponentially small in the distance: beta = 5.0475 is the border at gamma = 0.5.

    Source: quantifies Chaudhari et al., Entropy-SGD, Figure 2.

    Parameters
    ----------
    sharp, wide : float
        Curvatures q_s and q_w, > 0.
    gap : float
        How much deeper the sharp well is, >= 0.
    distance : float
        Half the distance of the wells a, > 0.

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        A curvature or a distance <= 0, a gap < 0.

    Examples
    --------
    >>> two_parabolas()([-3.0, 3.0])
    array([ 0. , -0.3])
    """
    q_s, q_w, a = _positive(sharp=sharp, wide=wide, distance=distance)
    g = checks.nonnegative("gap", gap)
    return Loss(f"min({q_w}/2*(x + {a})**2, {q_s}/2*(x - {a})**2 - {g})")


def double_well(tilt: float = 0.0, barrier: float = 0.25, distance: float = 1.0) -> Loss:
    """A symmetric or tilted double well, f(x) = b ((x/a)² - 1)² + tilt x.

    With the defaults x⁴/4 - x²/2 + 1/4: wells at ±1, a barrier of 1/4 at 0. A positive tilt makes the left well the
    deeper one; both exist while |tilt| < 8 b/(3 √3 a).

    Source: Kramers, Physica 7 (1940) 284; the usual test of metastability.

    Parameters
    ----------
    tilt : float
        Slope added.
    barrier : float
        Height b of the symmetric barrier, > 0.
    distance : float
        Half the distance a of the symmetric wells, > 0.

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        A barrier or a distance <= 0.

    Examples
    --------
    >>> double_well()(0.0), double_well()([-1.0, 1.0])
    (0.25, array([0., 0.]))
    """
    b, a = _positive(barrier=barrier, distance=distance)
    slope = checks.finite("tilt", tilt)
    return Loss(f"{b}*((x/{a})**2 - 1)**2" + (f" + ({slope})*x" if slope else ""))


def quadratic(hessian: ArrayLike = 1.0, centre: ArrayLike | None = None) -> Loss:
    """A quadratic, f(x) = ½ (x - c)ᵀ H (x - c), convex or not.

    Source: the Gaussian case of local entropy, Chaudhari, thesis, Lemma 4.4.

    Parameters
    ----------
    hessian : float or array (d, d)
        H, symmetric; a number means one dimension.
    centre : float or array (d,), optional
        c; by default the origin.

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        A matrix that is not symmetric, a centre of another dimension.

    Examples
    --------
    >>> quadratic([[2.0, 1.0], [1.0, 3.0]])([1.0, 1.0])
    3.5
    """
    matrix = np.atleast_2d(_array(hessian, "hessian"))
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.array_equal(matrix, matrix.T):
        raise ValueError(f"hessian: expected a number or a symmetric matrix (d, d), got shape {np.shape(hessian)}")
    d = len(matrix)
    middle = np.zeros(d) if centre is None else np.atleast_1d(_array(centre, "centre"))
    if middle.shape != (d,):
        raise ValueError(f"centre: expected shape ({d},) as the Hessian has, got {middle.shape}")
    return Loss(f"({_form(matrix, middle)})/2", _names(d))


def cone(dimension: int = 1) -> Loss:
    """The distance to the origin, f(x) = |x|: convex, not differentiable at its minimum.

    At 0 the gradient is set to 0, the mean of the slopes, and the Hessian to 0.
    Source: the Lipschitz case of the vanishing-viscosity limit, with a closed local entropy in one dimension.

    Parameters
    ----------
    dimension : int >= 1
        d.

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        A dimension that is no whole number >= 1.

    Examples
    --------
    >>> cone(2)([3.0, 4.0]), cone(2).gradient([3.0, 4.0])
    (5.0, array([0.6, 0.8]))
    """
    names = _names(checks.whole("dimension", dimension))
    return Loss(f"norm({', '.join(names)})" if dimension > 1 else "abs(x)", names)


def gaussian_mixture(
    means: ArrayLike = (-1.5, 1.5),
    scales: ArrayLike = 0.5,
    weights: ArrayLike | None = None,
    *,
    covariances: ArrayLike | None = None,
) -> Loss:
    """Minus the log-density of a mixture of Gaussians, f(x) = -log Σ_k w_k N(x; m_k, C_k), so that ∫ exp(-f) = 1.

    Summed with the largest exponent taken out: finite, with its derivatives, far from every centre.

    Source: the usual test of samplers.

    Parameters
    ----------
    means : array (K,) or (K, d)
        Centres m_k.
    scales : float or array (K,)
        Standard deviations, C_k = s_k² I, > 0.
    weights : array (K,), optional
        Positive; divided by their sum. By default equal.
    covariances : array (K, d, d), optional
        C_k, positive definite; replace `scales`.

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        Numbers of centres, widths and weights that differ, widths and weights that are not > 0.

    Examples
    --------
    >>> grid = np.linspace(-8.0, 8.0, 1601)
    >>> round(float(np.exp(-gaussian_mixture()(grid)).sum() * 0.01), 9)
    1.0
    """
    centres = _array(means, "means")
    centres = centres[:, None] if centres.ndim == 1 else centres
    if centres.ndim != 2 or centres.size == 0:
        raise ValueError(f"means: expected shape (K,) or (K, d), got {np.shape(means)}")
    count, d = centres.shape
    precisions, dets = _precisions(scales, covariances, count, d)
    shares = np.ones(count) if weights is None else _array(weights, "weights")
    if shares.shape != (count,) or not (shares > 0).all():
        raise ValueError(f"weights: expected {count} positive numbers, got {weights!r}")
    logs = np.log(shares / shares.sum()) - 0.5 * (d * math.log(2 * math.pi) + dets)
    parts = (f"({c}) - ({_form(p, m)})/2" for c, p, m in zip(map(float, logs), precisions, centres))
    return Loss(f"-logsumexp({', '.join(parts)})", _names(d))


def example_6_43() -> Loss:
    """The potential of Example 6.43: Φ(x) = (x₁² - 1)²/4 + x₂²/2, wells at (±1, 0), a saddle at the origin.

    Source: Chaudhari, thesis, Example 6.43.

    Returns
    -------
    Loss

    Examples
    --------
    >>> example_6_43()([[1.0, 0.0], [0.0, 0.0]])
    array([0.  , 0.25])
    """
    return Loss("(x1**2 - 1)**2/4 + x2**2/2")


def mueller_brown() -> Loss:
    """The Müller-Brown surface: three minima and two saddles; the lowest is f(-0.55822, 1.44173) = -146.69952.

    Source: Müller, Brown, Theor. Chim. Acta 53 (1979) 75-93, doi:10.1007/BF00547608.

    Returns
    -------
    Loss

    Examples
    --------
    >>> round(float(mueller_brown()([-0.55822, 1.44173])), 4)
    -146.6995
    """
    table = (
        (-200, -1, 0, -10, 1, 0),
        (-100, -1, 0, -10, 0, 0.5),
        (-170, -6.5, 11, -6.5, -0.5, 1.5),
        (15, 0.7, 0.6, 0.7, -1, 1),
    )
    terms = (
        f"({height})*exp(({a})*(x - ({p}))**2 + ({b})*(x - ({p}))*(y - ({q})) + ({c})*(y - ({q}))**2)"
        for height, a, b, c, p, q in table
    )
    return Loss(" + ".join(terms))


def rastrigin(dimension: int = 2) -> Loss:
    """Rastrigin's function, f(x) = 10 d + Σ (x_i² - 10 cos(2π x_i)): a lattice of minima, the global one 0 at 0.

    Source: Rastrigin, Systems of extremal control (1974); Mühlenbein et al., Parallel Computing 17 (1991) 619.

    Parameters
    ----------
    dimension : int >= 1
        d.

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        A dimension that is no whole number >= 1.

    Examples
    --------
    >>> f = rastrigin(2)
    >>> round(float(f([0.0, 0.0])), 12), round(float(f([1.0, 0.0])), 12)
    (0.0, 1.0)
    """
    names = _names(checks.whole("dimension", dimension))
    return Loss(f"{10 * len(names)} + " + " + ".join(f"({x}**2 - 10*cos(2*pi*{x}))" for x in names), names)


def ackley(dimension: int = 2) -> Loss:
    """Ackley's function, f(x) = -20 exp(-0.2 |x|/√d) - exp(Σ cos(2π x_i)/d) + 20 + e: a funnel with a kink at 0.

    The global minimum 0 is at the kink: there the gradient is set to 0, the mean of the slopes, and the Hessian leaves
    the kink's own curvature out.
    Source: Ackley, A connectionist machine for genetic hillclimbing (1987).

    Parameters
    ----------
    dimension : int >= 1
        d.

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        A dimension that is no whole number >= 1.

    Examples
    --------
    >>> round(float(ackley(3)([0.0, 0.0, 0.0])), 12)
    0.0
    """
    names = _names(checks.whole("dimension", dimension))
    d = len(names)
    waves = " + ".join(f"cos(2*pi*{x})" for x in names)
    return Loss(f"20 + exp(1) - 20*exp(-0.2*norm({', '.join(names)})/sqrt({d})) - exp(({waves})/{d})", names)


# ---------------------------------------------------------------------------------------------------- building blocks


def _names(d):
    return ("x",) if d == 1 else tuple(f"x{k}" for k in range(1, d + 1))


def _form(matrix, centre):
    """(x - c)ᵀ M (x - c) as text, row by row."""
    d = len(centre)
    shifted = [f"({name} - ({float(c)!r}))" for name, c in zip(_names(d), centre)]
    rows = []
    for i in range(d):
        entries = [(j, float(matrix[i, j]) * (1 if j == i else 2)) for j in range(i, d) if matrix[i, j] != 0]
        if entries:
            rows.append(shifted[i] + "*(" + " + ".join(f"({m!r})*{shifted[j]}" for j, m in entries) + ")")
    return " + ".join(rows) or "0"


def _precisions(scales, covariances, count, d):
    """Inverse covariances (K, d, d) and log-determinants of the covariances (K,)."""
    if covariances is None:
        spread = _array(scales, "scales")
        if spread.shape not in ((), (count,)) or not (spread > 0).all():
            raise ValueError(f"scales: expected a positive number or {count} of them, got {scales!r}")
        spread = np.broadcast_to(spread, (count,))
        return np.eye(d) / spread[:, None, None] ** 2, 2 * d * np.log(spread)
    matrices = _array(covariances, "covariances")
    if matrices.shape != (count, d, d) or not np.array_equal(matrices, matrices.transpose(0, 2, 1)):
        raise ValueError(f"covariances: expected symmetric matrices, shape {(count, d, d)}, got {matrices.shape}")
    if not (np.linalg.eigvalsh(matrices) > 0).all():
        raise ValueError(f"covariances: expected positive definite matrices, got {checks.shown(covariances)}")
    inverse = np.linalg.inv(matrices)
    return (inverse + inverse.transpose(0, 2, 1)) / 2, np.linalg.slogdet(matrices)[1]


def _array(value, name):
    array = checks.reals(name, value, "numbers")
    return array if np.isfinite(array).all() else checks.refuse(name, "finite numbers", value)


def _positive(**values):
    return [checks.positive(name, value) for name, value in values.items()]
