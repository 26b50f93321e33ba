"""Expected numbers of critical points at every N by the Kac-Rice formula over GOE matrices, and their limits.

With B = (f'' - f')/(f'' + f'), f(q) = q^p + ν² q at q = 1 (theory2.md, C2.KR):

    E[critical points of index k] = 2 sqrt(1+B) ((1+B)/(1-B))^((N-1)/2) E_GOE[exp(-B λ_{k+1}²/4)]

λ_1 <= ... <= λ_N are the eigenvalues of a GOE matrix with off-diagonal variance 1. Their sum over k needs only the
density of eigenvalues, which is a finite sum of Hermite functions: it is computed by quadrature. One index is averaged
over matrices drawn in tridiagonal form (Dumitriu, Edelman 2002).
"""

from __future__ import annotations

import math
import warnings
from functools import cache

import numpy as np
from scipy import linalg, special

from pdelab import checks
from pdelab.hints import Array
from pdelab.spin_glass.complexity import checked_order

__all__ = [
    "critical_field", "curvature_ratio", "edge_limit", "energy_law", "expected_critical_points",
    "exponential_limit", "goe_eigenvalues", "tracy_widom", "trivialisation_limit",
]  # fmt: skip

FEW = 10.0  # matrices that a mean must rest on
LARGE_FIELD = 0.7  # 1 + B below which the mean over draws is one over rare matrices


def curvature_ratio(p: int, field: float) -> float:
    """B = (p(p-2) - ν²)/(p² + ν²), in (-1, 1 - 2/p]: exponentially many critical points for B > 0, two for B < 0.

    Parameters
    ----------
    p : int >= 3
    field : float >= 0
        ν.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        p < 3, a negative field.

    Examples
    --------
    >>> round(curvature_ratio(3, 0.0), 6), abs(curvature_ratio(4, critical_field(4))) < 1e-12
    (0.333333, True)
    """
    p, field = checked_order(p), checks.nonnegative("field", field)
    return (p * (p - 2) - field * field) / (p * p + field * field)


def _around_one(p, field):
    """(1 + B, 1 - B), without the rounding of B near -1."""
    return 2.0 * p * (p - 1) / (p * p + field * field), 2.0 * (p + field * field) / (p * p + field * field)


def critical_field(p: int = 3) -> float:
    """ν = sqrt(p(p-2)), at which B = 0 and, for every N, 2N critical points are expected, two of each index.

    Parameters
    ----------
    p : int >= 3

    Returns
    -------
    float

    Examples
    --------
    >>> round(critical_field(3), 6)
    1.732051
    """
    return math.sqrt(checked_order(p) * (p - 2))


def expected_critical_points(
    n: int,
    p: int = 3,
    field: float = 0.0,
    index: int | None = None,
    energy: float | None = None,
    draws: int = 2000,
    seed: int = 0,
    *,
    log: bool = False,
) -> tuple[float, float]:
    """Expected number of critical points on the sphere, over couplings and field, with its standard error.

    Parameters
    ----------
    n : int >= 2
        Number of spins N.
    p : int >= 3
    field : float >= 0
        Standard deviation ν of the field's components.
    index : int in [0, n) or None
        Number of negative directions; None: all critical points, by quadrature, with standard error 0.
    energy : float or None
        Count only those with H <= N energy.
    draws : int >= 2
        GOE matrices for one index. At B = 0 without an energy the answer, 2, needs none.
    seed : int
    log : bool
        Return the logarithm and its standard error instead (needed above about 1e308).

    Returns
    -------
    (value, standard error)

    Raises
    ------
    ValueError
        Numbers out of range, a count beyond float64 (ask for log=True).

    Warns
    -----
    AccuracyWarning
        A mean for one index that rests on less than ten matrices: λ_{k+1} spreads like n^(-1/6), its weights like
        exp(B n^(1/3)). In a large field, B < -0.3, one that lies where fewer than ten matrices reach.

    Examples
    --------
    >>> value, error = expected_critical_points(50, 3)
    >>> f"{value:.4g} {error}"
    '7.418e+08 0.0'
    >>> expected_critical_points(30, 4, critical_field(4), index=0)
    (2.0, 0.0)
    """
    n, b = checks.whole("n", n, 2), curvature_ratio(p, field)
    if energy is not None:
        energy = checks.finite("energy", energy)
    plus, minus = _around_one(p, field)
    front = math.log(2.0) + 0.5 * math.log(plus) + 0.5 * (n - 1) * math.log(plus / minus)
    at_critical_field = abs(b) < 4 * np.finfo(float).eps and energy is None
    if index is None:
        logarithm, error = (math.log(2.0 * n) if at_critical_field else front + _log_total(n, p, field, energy)), 0.0
    else:
        k = checks.whole("index", index, 0, n - 1)
        if at_critical_field:
            logarithm, error = math.log(2.0), 0.0
        else:
            eigenvalues = goe_eigenvalues(n, k, draws, seed)
            logs = -0.25 * b * eigenvalues**2 + _log_share(eigenvalues, n, p, field, energy)
            logarithm, error = _log_mean(logs)
            _far_enough(eigenvalues, n, plus, minus)
            logarithm += front
    if log:
        return logarithm, error
    if logarithm > 709.0:
        raise ValueError(f"n: expected a count below 1e308, got exp({logarithm:.1f}): ask for log=True")
    value = 2.0 * n if index is None and at_critical_field else 2.0 if at_critical_field else math.exp(logarithm)
    return value, value * error


def energy_law(n: int, p: int = 3, index: int = 0, draws: int = 2000, seed: int = 0) -> tuple[Array, Array]:
    """Energies per spin of critical points of one index of the pure p-spin glass, as a weighted sample.

    Parameters
    ----------
    n : int >= 2
    p : int >= 3
    index : int in [0, n)
    draws : int >= 2
        GOE matrices.
    seed : int

    Returns
    -------
    energies (draws,), weights (draws,) with sum 1
        u = λ sqrt((p-1)/(p n)), weighted by exp(-B λ²/4).

    Raises
    ------
    ValueError
        Numbers out of range.

    Warns
    -----
    AccuracyWarning
        Weights of which less than ten count.

    Examples
    --------
    >>> energies, weights = energy_law(10, draws=200)
    >>> round(float(weights.sum()), 9), bool(-2 < weights @ energies < -1)
    (1.0, True)
    """
    n, b = checks.whole("n", n, 2), curvature_ratio(p, 0.0)
    eigenvalues = goe_eigenvalues(n, checks.whole("index", index, 0, n - 1), draws, seed)
    logs = -0.25 * b * eigenvalues**2
    weights = np.exp(logs - logs.max())
    _few(weights, "the law")
    return eigenvalues * math.sqrt((p - 1) / (p * n)), weights / weights.sum()


def goe_eigenvalues(n: int, k: int, draws: int, seed: int) -> Array:
    """λ_{k+1} of GOE matrices with off-diagonal variance 1, (draws,), from their tridiagonal form."""
    draws, seed = checks.whole("draws", draws, 2), checks.whole("seed", seed, 0)
    random = np.random.default_rng(seed)
    diagonals = random.normal(0.0, math.sqrt(2.0), (draws, n))
    beside = np.sqrt(random.chisquare(np.arange(n - 1, 0, -1), (draws, n - 1)))
    return np.array([
        linalg.eigvalsh_tridiagonal(d, e, select="i", select_range=(k, k))[0] for d, e in zip(diagonals, beside)
    ])  # fmt: skip


def exponential_limit(n: int, p: int = 3, field: float = 0.0) -> float:
    """4 sqrt(N(1+B)/(πB)) ((1+B)/(1-B))^((N-1)/2), for B > 0 and N -> inf.

    Thesis (2.16) prints N/2 for (N-1)/2, too much by sqrt((1+B)/(1-B)).

    Parameters
    ----------
    n : int >= 2
        N.
    p : int >= 3
    field : float in [0, sqrt(p(p-2)))
        ν.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        A field at which B <= 0, a limit beyond float64.

    Examples
    --------
    >>> value, _ = expected_critical_points(50, 3)
    >>> round(value / exponential_limit(50, 3), 2)
    0.98
    """
    n, b = checks.whole("n", n, 2), curvature_ratio(p, field)
    if b <= 0:
        raise ValueError(f"field: expected one below sqrt(p(p-2)) = {critical_field(p):.6g}, got {field}")
    exponent = 0.5 * (n - 1) * (math.log1p(b) - math.log1p(-b))
    if exponent > 700.0:
        raise ValueError(f"n: expected a limit below 1e308, got one round exp({exponent:.1f}): take a smaller n")
    return 4 * math.sqrt(n * (1 + b) / (math.pi * b)) * math.exp(exponent)


def trivialisation_limit(tau: float) -> float:
    """lim E[critical points]/N at B = -τ/N: 2 e^(-τ/2) (I_0(τ/2) - I_1(τ/2)).

    Both lines of thesis (2.17) are its tails, for τ -> -inf and τ -> inf.

    Parameters
    ----------
    tau : float >= -700
        τ.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        What is no finite number, or below -700, where the limit leaves float64.

    Examples
    --------
    >>> [round(trivialisation_limit(tau), 4) for tau in (-2, 0, 2)]
    [9.9556, 2.0, 0.5157]
    """
    half = 0.5 * checks.within("tau", tau, -700.0, math.inf, "[)")
    return 2.0 * math.exp(abs(half) - half) * float(special.ive(0, half) - special.ive(1, half))


def edge_limit(kappa: float, *, log: bool = False) -> float:
    """lim E[minima] at B = -(κ/2) N^(-1/3): 2 e^(-κ³/24) E[e^(κ TW_1/2)], TW_1 the Tracy-Widom law of β = 1.

    Thesis (2.18) prints the exponent κ²/24 + (4 sqrt(2)/3) |κ|^(3/2) for κ -> -inf; it is |κ|³/24 + (2/3) |κ|^(3/2).

    Parameters
    ----------
    kappa : float in [-12, 12]
    log : bool
        Return the logarithm.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        kappa outside [-12, 12].

    Examples
    --------
    >>> edge_limit(0.0)
    2.0
    """
    kappa = checks.within("kappa", kappa, -12.0, 12.0)
    (w, left, below), (v, right, above) = _tails()
    a = 0.5 * kappa  # E e^{as} by parts on either side of 0; its largest terms lie at s = a²
    mean = 1.0 + a * (v @ (np.exp(a * right) * above) - w @ (np.exp(a * left) * below))
    logarithm = math.log(2.0) - kappa**3 / 24 + math.log(mean)
    return logarithm if log else math.exp(logarithm)


def tracy_widom(s: float, nodes: int = 60) -> float:
    """Distribution function F_1(s) of the Tracy-Widom law of β = 1: det(1 - Ai(x + y + s)) on the half line.

    By Gauss-Legendre quadrature of the Fredholm determinant (Bornemann 2010; Ferrari, Spohn 2005).

    Parameters
    ----------
    s : float
    nodes : int >= 1
        Of the quadrature.

    Returns
    -------
    float in [0, 1]

    Raises
    ------
    ValueError
        Numbers out of range.

    Examples
    --------
    >>> round(tracy_widom(-1.2065), 6)
    0.519663
    """
    s = checks.finite("s", s)
    return float(np.prod(1.0 - _shares(s, checks.whole("nodes", nodes, 2))))


def _upper_tail(s):
    """1 - F_1(s), to relative accuracy."""
    return float(-np.expm1(np.log1p(-_shares(s, 60)).sum()))


def _shares(s, nodes):
    """The eigenvalues of Ai(x + y + s) on the half line, by Gauss' rule as far as it is not negligible."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    length = max(16.0 - 0.5 * min(s, 0.0), 4.0) / math.sqrt(1.0 + max(s, 0.0) / 4)
    x, w = 0.5 * length * (x + 1), 0.5 * length * w
    root = np.sqrt(w)
    return np.linalg.eigvalsh(root[:, None] * special.airy(x[:, None] + x[None, :] + s)[0] * root[None, :])


@cache
def _tails():
    """(weights, places, F_1) on [-14, 0] and (weights, places, 1 - F_1) on [0, 84], by Gauss' rule in pieces of 14."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    left = 7.0 * weights, 7.0 * (nodes - 1)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    right = np.tile(7.0 * weights, 6), (14.0 * np.arange(6)[:, None] + 7.0 * (nodes + 1)).ravel()
    return (*left, np.array([_lower_tail(float(s)) for s in left[1]])), (
        *right, np.array([_upper_tail(float(s)) for s in right[1]]),
    )  # fmt: skip


def _lower_tail(s, start=-7.5):
    """F_1(s), below `start`, where the determinant loses its digits, continued by the shape of its tail."""
    if s >= start:
        return tracy_widom(s)
    shape = lambda v: -(v**3) / 24 - v**1.5 / (3 * math.sqrt(2.0)) - math.log(v) / 16  # noqa: E731
    return tracy_widom(start) * math.exp(shape(-s) - shape(-start))


def _log_mean(logs):
    """log of the mean of exp(logs), and the relative standard error of that mean."""
    top = logs.max()
    if top == -math.inf:
        return -math.inf, 0.0
    values = np.exp(logs - top)
    _few(values, "the mean over draws")
    return top + math.log(values.mean()), float(values.std(ddof=1) / math.sqrt(values.size) / values.mean())


def _far_enough(eigenvalues, n, plus, minus):
    """Warn where, in a large field, no matrix reaches the eigenvalue 2 sqrt(n/(1 - B²)) round which the mean lies."""
    place = 2.0 * math.sqrt(n / (plus * minus))
    if plus < LARGE_FIELD and (beyond := int((np.abs(eigenvalues) >= place).sum())) < FEW:
        warnings.warn(
            f"draws: the mean lies round eigenvalues of size {place:.3g}, which {beyond} of {eigenvalues.size} have: "
            "it is far too small, and so is its standard error; take the total, index=None, or a smaller field",
            checks.AccuracyWarning,
            stacklevel=3,
        )


def _few(weights, what):
    """Warn where so few weights count that their spread says nothing of the error."""
    count = float(weights.sum() ** 2 / (weights @ weights))
    if count < FEW < weights.size:
        warnings.warn(
            f"draws: {what} rests on about {count:.1f} of {weights.size} matrices, too few for a standard error: take "
            "more draws or a smaller n",
            checks.AccuracyWarning,
            stacklevel=4,
        )


def _log_share(eigenvalues, n, p, field, energy):
    """log P(H <= N energy | λ): with u the radial derivative, H/N given u is Gaussian; without a field it is fixed."""
    if energy is None:
        return np.zeros_like(eigenvalues)
    middle, width = _energy_step(n, p, field, energy)
    below = math.sqrt(2.0) * middle - eigenvalues
    if width == 0.0:
        return np.where(below >= 0, 0.0, -math.inf)
    return special.log_ndtr(below / (math.sqrt(2.0) * width))


def _energy_step(n, p, field, energy):
    """Where in x = λ/sqrt(2) the share of critical points below an energy falls from 1 to 0, and how fast."""
    first, second = p + field * field, p * (p - 1.0)
    slope = first / (first + second) * math.sqrt(2 * second / n)
    spread = 1 + field * field - first * first / (first + second)
    return energy / slope, math.sqrt(max(spread, 0.0) / n) / slope


def _log_total(n, p, field, energy):
    """log of the sum over all eigenvalues of E exp(-B λ²/4) [H <= N energy], by Gauss-Legendre quadrature in pieces."""
    plus, minus = _around_one(p, field)
    edge = math.sqrt(2.0 * n)
    inner = edge + 18.0
    cuts = np.linspace(-inner, inner, math.ceil(2 * inner * max(edge, 4.0) / 8.0) + 1)
    if plus < 1:  # the largest terms lie at edge/sqrt(1 - B²), as widely spread as 1/sqrt(1 - B²)
        wide = 1 / math.sqrt(plus * minus)
        outer = np.linspace(inner, inner + (edge + 12.0) * wide, math.ceil(edge + 12.0) + 1)[1:]
        cuts = np.concatenate([-outer[::-1], cuts, outer])
    reach = cuts[-1]
    if energy is not None:
        middle, width = _energy_step(n, p, field, energy)
        steep = np.linspace(middle - 10 * width, middle + 10 * width, 11)
        cuts = np.unique(np.concatenate([cuts, steep[abs(steep) < reach]]))
        if field == 0.0:
            cuts = np.append(cuts[cuts < middle], min(max(middle, -reach), reach))
    nodes, weights = np.polynomial.legendre.leggauss(24)
    x = (cuts[:-1, None] + 0.5 * np.diff(cuts)[:, None] * (nodes + 1)).ravel()
    w = (0.5 * np.diff(cuts)[:, None] * weights).ravel()
    share = _log_share(math.sqrt(2.0) * x, n, p, field, energy)
    with np.errstate(divide="ignore"):
        logs = _log_density(n, x) + np.log(np.maximum(w, 0.0)) - 0.5 * plus * x * x + share
    return float(special.logsumexp(logs))


def _log_density(n, x):
    """log of e^(x²/2) times the density of eigenvalues λ = sqrt(2) x of GOE_n in x, of mass n (Mehta, ch. 7)."""
    log_scale, half = (
        np.full_like(x, -0.25 * math.log(math.pi)),
        0.5 * x * x,
    )  # functions are e^(log_scale - half) times
    before, now, squares = np.zeros_like(x), np.ones_like(x), np.ones_like(x)
    # Ψ_j(x) = ½ ∫ sign(x - t) φ_j(t) dt and ∫ φ_j, both by the recurrence of φ_j'
    primitive = [math.pi**-0.25 * math.sqrt(math.pi / 2) * special.erf(x / math.sqrt(2.0)), None]
    integrals = [math.pi**-0.25 * math.sqrt(2 * math.pi), 0.0]
    primitive[1] = -math.sqrt(2.0) * np.exp(log_scale - half)
    for j in range(n - 1):
        before, now = now, x * math.sqrt(2.0 / (j + 1)) * now - math.sqrt(j / (j + 1)) * before
        squares = squares + now * now
        if j % 16 == 15:
            size = np.maximum(np.maximum(abs(now), abs(before)), np.sqrt(squares))
            before, now, squares, log_scale = before / size, now / size, squares / size**2, log_scale + np.log(size)
        primitive.append(_next(j + 1, primitive[j], np.exp(log_scale - half) * now))
        integrals.append(math.sqrt((j + 1) / (j + 2)) * integrals[j])
        primitive[j] = None
    odd = 1.0 / integrals[n - 1] if n % 2 else 0.0
    last = now * (math.sqrt(n / 2.0) * primitive[n] + odd)
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = np.log(squares) + 2 * log_scale - half, np.log(np.abs(last)) + log_scale
        total = np.where(
            last >= 0, np.logaddexp(first, second), first + np.log1p(-np.exp(np.minimum(second - first, 0.0)))
        )
    return np.where(np.isnan(total), -math.inf, total)


def _next(j, primitive, value):
    """Ψ_{j+1} from Ψ_{j-1} and φ_j."""
    return math.sqrt(j / (j + 1)) * primitive - math.sqrt(2.0 / (j + 1)) * value
