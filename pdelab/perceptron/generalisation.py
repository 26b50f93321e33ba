"""Exact probabilities at finite d: errors of a student, expected numbers of solutions and pairs, tilted averages."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.hints import Array

__all__ = [
    "angle", "disagreement", "expected_pairs", "expected_solutions", "isolation_probability", "odd_dimension",
    "tilted_average",
]  # fmt: skip


def odd_dimension(name, value, most=math.inf):
    """The value as an odd whole number; even ones are refused with the reason."""
    value = checks.whole(name, value, 1, most)
    if value % 2 == 0:
        raise ValueError(
            f"{name}: expected an odd number of weights, got {value}: x·ξ = 0 would be a tie without a label"
        )
    return value


@lru_cache(maxsize=4096)
def disagreement(d: int, distance: int) -> float:
    """Probability that sign(x·ξ) and sign(y·ξ) differ for ξ uniform in {-1, 1}^d, d odd: ε_k = 1 - 2 P_k.

    P_k = P(x·ξ > 0, y·ξ > 0) at Hamming distance k is the sum of two binomial sums in integers; the result is its
    ratio to 2^d, rounded once. For large d it tends to arccos(1 - 2k/d)/π (thesis (3.3), whose text calls this
    probability that of agreement), at a rate of d^(-1/2).

    Parameters
    ----------
    d : odd int
    distance : int in [0, d]
        Hamming distance k of x and y.

    Examples
    --------
    >>> disagreement(21, 1) == disagreement(21, 2), round(disagreement(21, 1), 4)
    (True, 0.1762)
    """
    d, k = odd_dimension("d", d), checks.whole("distance", distance, 0, d)
    # ξ agrees with x in a of the d - k places where x = y, and in b of the other k: x·ξ > |...| asks for A > |B|
    same = d - k
    above = [0, *accumulate(math.comb(same, same - a) for a in range(same + 1))]  # above[m]: the m largest sums A
    both = 0
    for b in range(k + 1):
        least = abs(2 * b - k) + 1  # A = 2a - same > |B| = |2b - k|
        first = max(-(-(least + same) // 2), 0)
        both += math.comb(k, b) * above[max(same + 1 - first, 0)]
    return (2**d - 2 * both) / 2**d


def angle(overlap: ArrayLike) -> Array:
    """arccos(x·y/d)/π, the limit of `disagreement` for many weights (thesis (3.3), corrected).

    Parameters
    ----------
    overlap : array, in [-1, 1]
        x·y/d.

    Returns
    -------
    array of the same shape, in [0, 1]

    Raises
    ------
    ValueError
        Numbers outside [-1, 1].

    Examples
    --------
    >>> angle(np.array([1.0, 0.0, -1.0]))
    array([0. , 0.5, 1. ])
    """
    overlap = checks.reals("overlap", overlap)
    if not (np.abs(overlap) <= 1).all():
        raise ValueError(f"overlap: expected numbers in [-1, 1], got {checks.shown(overlap)}")
    return np.arccos(overlap) / math.pi


def expected_solutions(d: int, patterns: int) -> float:
    """E Z = 2^(d - N), exact for d odd and random labels.

    Parameters
    ----------
    d : int, odd
        Weights.
    patterns : int
        N.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        An even d, numbers out of range.

    Examples
    --------
    >>> expected_solutions(21, 10)
    2048.0
    """
    exponent = odd_dimension("d", d) - checks.whole("patterns", patterns, 0)
    if exponent >= 1024:
        raise ValueError(
            f"d: expected fewer than 2^1024 solutions, got 2^{exponent}: it is no float64, take fewer weights"
        )
    return 2.0**exponent


def expected_pairs(d: int, patterns: int, distance: int) -> float:
    """Expected number of solutions at Hamming distance k from a given solution: C(d, k) (2 P_k)^N.

    Exact for random labels as a ratio of expectations (annealed), and for a teacher as the mean number of solutions at
    that distance from the teacher.

    Parameters
    ----------
    d : int, odd
        Weights.
    patterns : int
        N.
    distance : int in [0, d]
        k.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        Numbers out of range.

    Examples
    --------
    >>> round(expected_pairs(21, 10, 0), 9), bool(expected_pairs(21, 10, 1) < 21)          # itself; some of 21 flips
    (1.0, True)
    """
    d, n = odd_dimension("d", d), checks.whole("patterns", patterns, 0)
    chance = 1.0 - disagreement(d, distance)
    if not chance > 0 and n:
        return 0.0
    logarithm = _log_comb(d, distance) + (n * math.log(chance) if n else 0.0)
    if logarithm > 709:
        raise ValueError(f"d: expected fewer than 1e308 pairs, got exp({logarithm:.1f}): take fewer weights")
    return math.exp(logarithm)


def isolation_probability(d: int, patterns: int) -> float:
    """Probability that none of the d single flips of a solution is a solution, were flips independent.

    exp(-d (2 P_1)^N): a Poisson estimate, not exact. 2 P_1 is about 1 - sqrt(2/(π d)), so that typical solutions are
    isolated only for d well above (log d / (0.8 α))^2.

    Parameters
    ----------
    d : int, odd
        Weights.
    patterns : int
        N.

    Returns
    -------
    float in [0, 1]

    Examples
    --------
    >>> isolation_probability(21, 5) < isolation_probability(21, 20)
    True
    """
    return math.exp(-expected_pairs(d, patterns, 1))


def tilted_average(values: ArrayLike, counts: ArrayLike, tilt: float) -> float:
    """Average of `values` over solutions weighted by (local count)^tilt: the Gibbs law of local entropy.

    Parameters
    ----------
    values : array (n,)
        One number a solution, e.g. `Perceptron.generalisation_error`.
    counts : array (n,), >= 1
        `local_counts`.
    tilt : float
        0: all solutions alike; inf: the densest only. Good values: 0 to 10.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        Lists of different lengths, counts that are not > 0.

    Examples
    --------
    >>> [round(tilted_average([0.0, 1.0], [1, 3], tilt), 6) for tilt in (0.0, 1.0, math.inf)]
    [0.5, 0.75, 1.0]
    """
    values, counts = checks.reals("values", values), checks.reals("counts", counts)
    if values.ndim != 1 or values.shape != counts.shape or not values.size:
        raise ValueError(f"values, counts: expected two lists of equal length, got {values.shape} and {counts.shape}")
    if not (counts > 0).all():
        raise ValueError("counts: expected numbers > 0, got some that are not")
    if not math.isfinite(checks.number("tilt", tilt)):
        chosen = counts == (counts.max() if tilt > 0 else counts.min())
        return float(values[chosen].mean()) if not math.isnan(tilt) else checks.refuse("tilt", "a number", tilt)
    logs = tilt * np.log(counts)
    weights = np.exp(logs - logs.max())
    return float(weights @ values / weights.sum())


def _log_comb(n, k):
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) if n > 1000 else math.log(math.comb(n, k))
