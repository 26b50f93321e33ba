"""How many solutions lie around a point: pairwise by population counts, or everywhere at once by Walsh-Hadamard."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from pdelab import checks
from pdelab.hints import Array
from pdelab.kernels.perceptron import add_distances, count_within, walsh_hadamard, weigh_by_bits

__all__ = ["clusters", "counts_everywhere", "distance_counts", "isolated", "local_counts", "local_entropy"]

LARGEST_TRANSFORM = 27  # 2^27 integers take 1 GB


def local_counts(
    solutions: ArrayLike, d: int, radius: int, *, references: ArrayLike | None = None, method: str = "auto"
) -> NDArray[np.int64]:
    """How many solutions lie within a Hamming ball, the centre counted where it is a solution.

    Parameters
    ----------
    solutions : unsigned integers (n,)
        As of `Perceptron.solutions`.
    d : int in [1, 63]
        Number of weights.
    radius : int in [0, d]
        Flips allowed. Good values: 2 to d/5; theory and figures use 4 at d = 21.
    references : unsigned integers (m,) or None
        The centres, solutions or not (thesis, after (3.5)); None: the solutions themselves.
    method : "auto", "pairs" or "transform"
        Pairs take n m steps; the transform about d 2^d, for all centres at once. Both are exact.

    Returns
    -------
    int array (n,) or (m,)

    Raises
    ------
    ValueError
        Numbers out of range, an unknown method.

    Examples
    --------
    >>> local_counts(np.array([0, 1, 7], np.uint64), 3, 1).tolist()
    [2, 2, 1]
    """
    solutions, d = _codes("solutions", solutions, d), checks.whole("d", d, 1, 63)
    radius = checks.whole("radius", radius, 0, d)
    centres = solutions if references is None else _codes("references", references, d)
    checks.choice("method", method, ("auto", "pairs", "transform"))
    quick = d <= LARGEST_TRANSFORM and float(solutions.size) * centres.size > 8.0 * d * 2**d
    if method == "transform" or (method == "auto" and quick):
        return counts_everywhere(solutions, d, radius)[centres]
    counts = np.empty(centres.size, np.int64)
    count_within(centres, solutions, radius, counts)
    return counts


def counts_everywhere(solutions: ArrayLike, d: int, radius: int) -> NDArray[np.int64]:
    """`local_counts` around every configuration, (2^d,), by a convolution on the hypercube.

    The transform of the ball is the sum of Krawtchouk polynomials up to the radius. Everything is done in integers
    modulo 2^64, and 2^d times a count is below that: exact.

    Parameters
    ----------
    solutions : unsigned integers (n,)
    d : int in [1, 27]
    radius : int in [0, d]

    Returns
    -------
    int array (2^d,)

    Raises
    ------
    ValueError
        For d above 27, where 2^d integers need more than a gigabyte.

    Examples
    --------
    >>> counts_everywhere(np.array([0, 1], np.uint64), 2, 1).tolist()
    [2, 2, 1, 1]
    """
    d = checks.whole("d", d, 1, LARGEST_TRANSFORM)
    solutions, radius = _codes("solutions", solutions, d), checks.whole("radius", radius, 0, d)
    values = np.zeros(2**d, np.int64)
    np.add.at(values, solutions, 1)
    walsh_hadamard(values)
    weigh_by_bits(values, np.array([sum(_krawtchouk(d, k, w) for k in range(radius + 1)) for w in range(d + 1)]))
    walsh_hadamard(values)
    return values >> d


def distance_counts(solutions: ArrayLike, d: int, references: ArrayLike | None = None) -> NDArray[np.int64]:
    """How many solutions lie at each Hamming distance 0, ..., d from each reference: (m, d + 1).

    Parameters
    ----------
    solutions : unsigned integers (n,)
    d : int in [1, 63]
    references : unsigned integers (m,)

    Returns
    -------
    int array (m, d + 1)

    Raises
    ------
    ValueError
        Numbers out of range.

    Examples
    --------
    >>> distance_counts(np.array([0, 1, 7], np.uint64), 3, np.array([0], np.uint64)).tolist()
    [[1, 1, 0, 1]]
    """
    solutions, d = _codes("solutions", solutions, d), checks.whole("d", d, 1, 63)
    centres = solutions if references is None else _codes("references", references, d)
    out = np.zeros((centres.size, d + 1), np.int64)
    add_distances(centres, solutions, out)
    return out


def local_entropy(
    solutions: ArrayLike, d: int, radius: int, *, references: ArrayLike | None = None, method: str = "auto"
) -> Array:
    """The discrete local entropy log(number of solutions within the radius)/d; -inf where there is none.

    It is the density of (3.5), with all distances up to the radius instead of one, so that it is finite at every
    solution.

    Parameters
    ----------
    solutions, d, radius, references, method
        As for `local_counts`.

    Returns
    -------
    array (n,) or (m,)

    Examples
    --------
    >>> local_entropy(np.array([0, 1, 7], np.uint64), 3, 1).round(4).tolist()              # log(2)/3 and 0
    [0.231, 0.231, 0.0]
    """
    counts = local_counts(solutions, d, radius, references=references, method=method)
    with np.errstate(divide="ignore"):
        return np.log(counts) / d


def isolated(solutions: ArrayLike, d: int) -> NDArray[np.bool_]:
    """Which solutions have no solution one flip away.

    Parameters
    ----------
    solutions : unsigned integers (n,)
    d : int in [1, 63]

    Returns
    -------
    bool array (n,)

    Raises
    ------
    ValueError
        Numbers out of range.

    Examples
    --------
    >>> isolated(np.array([0, 1, 7], np.uint64), 3).tolist()
    [False, False, True]
    """
    solutions, d = _codes("solutions", solutions, d), checks.whole("d", d, 1, 63)
    ordered = np.sort(solutions)
    alone = np.ones(solutions.size, bool)
    for bit in range(d):
        alone &= ~_among(solutions ^ np.uint64(1 << bit), ordered)
    return alone


def clusters(solutions: ArrayLike, d: int, *, flips: int = 1) -> NDArray[np.int64]:
    """Connected components of the solutions, neighbours being at most `flips` flips apart.

    Parameters
    ----------
    solutions : unsigned integers (n,)
    d : int in [1, 63]
    flips : int in [1, 3]

    Returns
    -------
    int array (n,)
        The component of each solution, counted from 0; sizes: `np.bincount`.

    Raises
    ------
    ValueError
        Numbers out of range.

    Examples
    --------
    >>> clusters(np.array([0, 1, 7], np.uint64), 3).tolist()             # 000 and 001 are neighbours, 111 is alone
    [0, 0, 1]
    """
    solutions, d = _codes("solutions", solutions, d), checks.whole("d", d, 1, 63)
    flips = checks.whole("flips", flips, 1, 3)
    order = np.argsort(solutions)
    ordered = solutions[order]
    rows, columns = [], []
    for count in range(1, flips + 1):
        for bits in itertools.combinations(range(d), count):
            moved = ordered ^ np.uint64(sum(1 << bit for bit in bits))
            place = np.searchsorted(ordered, moved)
            hit = np.flatnonzero(ordered[np.minimum(place, ordered.size - 1)] == moved) if ordered.size else place
            rows.append(hit)
            columns.append(place[hit])
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    graph = sparse.coo_array((np.ones(rows.size, bool), (rows, columns)), shape=(ordered.size, ordered.size))
    labels = np.empty(ordered.size, np.int64)
    labels[order] = sparse.csgraph.connected_components(graph, directed=False)[1]
    return labels


def _krawtchouk(d, k, w):
    """K_k(w): the sum of (-1)^|x & w| over all x of k bits."""
    return sum((-1) ** j * math.comb(w, j) * math.comb(d - w, k - j) for j in range(k + 1))


def _among(values, ordered):
    if not ordered.size:
        return np.zeros(values.size, bool)
    return ordered[np.minimum(np.searchsorted(ordered, values), ordered.size - 1)] == values


def _codes(name, codes, d):
    codes = np.asarray(codes)
    good = codes.ndim == 1 and codes.dtype.kind in "iu" and (not codes.size or codes.min() >= 0)
    if not good or (codes.size and int(codes.max()) >> checks.whole("d", d, 1, 63)):
        raise ValueError(f"{name}: expected a list of unsigned integers below 2^{d}, got {checks.shown(codes)}")
    return codes.astype(np.uint64)
