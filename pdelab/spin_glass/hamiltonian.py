"""One spin glass on the sphere |x|² = N: energies, gradients and Hessians of many points at once.

The energy is a polynomial. Its gradient is one matrix product, W q(x), of a matrix of couplings (N rows) with all
products of p - 1 spins; the products are made block by block, in the order of sorted tuples, in which those that
begin with spin i or a later one stand together at the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.hints import Array
from pdelab.kernels.spin_glass import multiply_tails
from pdelab.spin_glass.complexity import checked_order, energy_threshold

__all__ = ["SpinGlass"]

BLOCK = 256  # points whose products of spins are made and used together
LARGEST = 2**28  # numbers in the matrix of couplings: 2 GB


@dataclass(frozen=True)
class SpinGlass:
    """H(x) = -N^(-(p-1)/2) sum J_{i1...ip} x_i1...x_ip - h·x on the sphere |x|² = N.

    Parameters
    ----------
    n : int >= 2
        Number of spins N.
    p : int >= 3
        Order of the couplings J, independent N(0, 1) over all ordered tuples, so that Var H = N (1 + ν²).
    field : float >= 0
        Standard deviation ν of the components of h. The couplings and the direction of h depend on the seed alone:
        `SpinGlass(n, p, field, seed)` at two fields differ by the length of h only.
    seed : int in [0, 2**63)
    scale : float > 0
        Factor of the p-spin term; 1 but for smoothed glasses.
    shift : float
        A constant added to H; 0 but for smoothed glasses.

    Attributes
    ----------
    couplings : array (n, C(n + p - 2, p - 1))
        For p = 3 these are n² (n + 1)/2 numbers, 4 MB at n = 100.
    linear : array (n,)
        h, and what smoothing adds to it.

    Raises
    ------
    ValueError
        For p below 3, a negative field, or couplings of more than 2 GB (with the size they would need).

    Examples
    --------
    >>> glass = SpinGlass(50, p=3, seed=1)
    >>> x = glass.random_points(4, seed=0)
    >>> glass.energy(x).shape, glass.gradient(x).shape, glass.hessian(x[0]).shape
    ((4,), (4, 50), (50, 50))
    """

    n: int
    p: int = 3
    field: float = 0.0
    seed: int = 0
    scale: float = 1.0
    shift: float = 0.0

    def __post_init__(self):
        n, p = checks.whole("n", self.n, 2), checked_order(self.p)
        checks.nonnegative("field", self.field)
        checks.whole("seed", self.seed, 0, 2**63 - 1)
        checks.positive("scale", self.scale)
        checks.finite("shift", self.shift)
        if (size := n * math.comb(n + p - 2, p - 1)) > LARGEST:
            raise ValueError(
                f"n: expected couplings of at most {LARGEST} numbers (2 GB), got n = {n}, p = {p}, which needs {size} "
                f"({8 * size / 2**30:.3g} GB)"
            )

    @cached_property
    def couplings(self) -> Array:
        """W: the gradient of the p-spin term at scale 1 is W q(x), with q all products of p - 1 spins."""
        return _couplings(self.n, self.p, self.seed)

    @cached_property
    def linear(self) -> Array:
        """The linear term: -H contains linear·x."""
        random = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, 1]))
        h = self.field * random.normal(size=self.n)
        return h + self.shift * self._trace() if self.shift else h

    @property
    def stiffness(self) -> float:
        """A bound on the curvature near low energies: the semicircle's edge and the radial term of the ground state."""
        p, linear = self.p, float(np.linalg.norm(self.linear)) / math.sqrt(self.n)
        return self.scale * (2 * math.sqrt(p * (p - 1)) + p * energy_threshold(p)) + linear

    def with_field(self, field: float) -> SpinGlass:
        """The same couplings and direction of the field at another ν.

        Parameters
        ----------
        field : float
            ν.

        Returns
        -------
        SpinGlass
        """
        other = SpinGlass(self.n, self.p, field, self.seed, self.scale, self.shift)
        other.__dict__["couplings"] = self.couplings
        return other

    def smoothed(self, time: float) -> SpinGlass:
        """The glass averaged by the heat flow on the sphere for some time: again a glass of p = 3, exactly.

        The flow dX = projection of dW multiplies a harmonic polynomial of degree k by exp(-k (k + N - 2) time/(2N)).
        A cubic form is x -> h_3 + |x|² h_1 with harmonic h_3, h_1: its couplings shrink, and its trace moves into the
        linear term, which shrinks by less. So smoothing strengthens the field relative to the couplings.

        Parameters
        ----------
        time : float >= 0
            In units in which the overlap of start and end is exp(-time (N - 1)/(2N)). Good values: 0.1 to 2.

        Returns
        -------
        SpinGlass

        Raises
        ------
        ValueError
            p is not 3, or time < 0.
        """
        if self.p != 3:
            raise ValueError(f"p: expected 3, got {self.p}: the average of other orders is not a glass of one order")
        time, n = checks.nonnegative("time", time), self.n
        one, three = (math.exp(-k * (k + n - 2) * time / (2 * n)) for k in (1, 3))
        other = SpinGlass(
            n, 3, self.field * one, self.seed, self.scale * three, self.scale * (one - three) + self.shift * one
        )
        other.__dict__["couplings"] = self.couplings
        return other

    def random_points(self, count: int, seed: int = 0) -> Array:
        """Points uniform on the sphere.

        Parameters
        ----------
        count : int >= 1
        seed : int >= 0

        Returns
        -------
        array (count, n)

        Raises
        ------
        ValueError
            count or seed outside that range.
        """
        count = checks.whole("count", count, 1)
        random = np.random.Generator(np.random.Philox(key=checks.whole("seed", seed, 0, 2**63 - 1)))
        return self.project(random.normal(size=(count, self.n)))

    def project(self, points: ArrayLike) -> Array:
        """The points of the sphere in the same directions.

        Parameters
        ----------
        points : array (..., n)

        Returns
        -------
        array (..., n)
            Of length sqrt(n).

        Raises
        ------
        ValueError
            Another last axis, a zero vector, numbers that are not finite.
        """
        points = checks.reals("points", points)
        lengths = np.linalg.norm(points, axis=-1, keepdims=True)
        if points.ndim < 1 or points.shape[-1] != self.n or not (lengths > 0).all() or not np.isfinite(lengths).all():
            raise ValueError(f"points: expected an array (..., {self.n}) of directions, got {checks.shown(points)}")
        return points * (math.sqrt(self.n) / lengths)

    def energy(self, points: ArrayLike) -> Array:
        """H/N, the energy per spin.

        Parameters
        ----------
        points : array (..., n)
            On the sphere |x|² = n.

        Returns
        -------
        array (...,)
        """
        columns, shape = self._columns(points)
        return self._value_and_slope(columns)[0].reshape(shape)

    def gradient(self, points: ArrayLike) -> Array:
        """The gradient of H on the sphere, tangent to it; its components are of order 1.

        Parameters
        ----------
        points : array (..., n)
            On the sphere |x|² = n.

        Returns
        -------
        array (..., n)
        """
        columns, shape = self._columns(points)
        return self.tangent(columns, self._slope(columns)).T.reshape(*shape, self.n)

    def hessian(self, points: ArrayLike) -> Array:
        """The Hessian of H on the sphere: P (D²H) P - (x·DH/N) P, with P x = 0.

        Parameters
        ----------
        points : array (..., n)
            On the sphere |x|² = n.

        Returns
        -------
        array (..., n, n)
        """
        columns, shape = self._columns(points)
        return self._hessians(columns).reshape(*shape, self.n, self.n)

    def hessian_vector_product(self, points: ArrayLike, vectors: ArrayLike) -> Array:
        """The Hessian on the sphere of each point times a vector each, without forming it.

        Parameters
        ----------
        points : array (..., n)
            On the sphere |x|² = n.
        vectors : array (n,) or (..., n)

        Returns
        -------
        array (..., n)

        Raises
        ------
        ValueError
            Vectors of another shape.
        """
        columns, shape = self._columns(points)
        vectors = checks.reals("vectors", vectors)
        if vectors.shape not in ((self.n,), (*shape, self.n)):
            raise ValueError(f"vectors: expected shape ({self.n},) or {(*shape, self.n)}, got {vectors.shape}")
        vectors = np.broadcast_to(vectors, (*shape, self.n)).reshape(-1, self.n).T
        flat = vectors - columns * ((columns * vectors).sum(0) / self.n)
        slope = self._slope(columns)
        bent = self._factor * (self.couplings @ _products_along(columns, flat, self.p - 1))
        radial = (columns * slope).sum(0) / self.n
        return (self.tangent(columns, bent) - radial * flat).T.reshape(*shape, self.n)

    def tangent(self, columns: Any, vectors: Any) -> Any:
        """Vectors without their part along the points.

        Parameters
        ----------
        columns, vectors : array (n, R)
            Points on the sphere and vectors, one a column.

        Returns
        -------
        array (n, R)
        """
        return vectors - columns * ((columns * vectors).sum(0) / self.n)

    @property
    def _factor(self):
        return -self.scale * self.n ** (-0.5 * (self.p - 1))

    def _slope(self, columns):
        """The gradient of H in space, (n, R)."""
        return self._coupled_slope(columns) - self.linear[:, None]

    def _coupled_slope(self, columns):
        """The gradient of the p-spin term in space, (n, R), by blocks whose products stay in the cache."""
        slope = np.empty_like(columns)
        for first in range(0, columns.shape[1], BLOCK):
            block = slice(first, first + BLOCK)
            np.matmul(
                self.couplings, _products(np.ascontiguousarray(columns[:, block]), self.p - 1), out=slope[:, block]
            )
        slope *= self._factor
        return slope

    def _value_and_slope(self, columns):
        """(H/N (R,), gradient in space (n, R)): by Euler's rule the p-spin term is x·gradient/p."""
        slope = self._coupled_slope(columns)
        energies = ((columns * slope).sum(0) / self.p - self.linear @ columns) / self.n
        return energies, slope - self.linear[:, None]

    def _hessians(self, columns):
        """The Hessians on the sphere of points (n, R): (R, n, n)."""
        n, count = columns.shape
        eye = np.eye(n)
        along = _products_along(np.repeat(columns, n, axis=1), np.tile(eye, count), self.p - 1)
        bent = self._factor * (self.couplings @ along).reshape(n, count, n).transpose(1, 0, 2)
        radial = (columns * self._slope(columns)).sum(0) / n
        across = eye - columns.T[:, :, None] * columns.T[:, None, :] / n
        return across @ (0.5 * (bent + bent.transpose(0, 2, 1))) @ across - radial[:, None, None] * across

    def _trace(self):
        """t with h_1(x) N = t·x, where sum J xxx/N = h_3 + |x|² h_1 has harmonic h_3, h_1: Δ/(2(N + 2)) of the term."""
        squares = np.concatenate([[0], np.cumsum(np.arange(self.n, 1, -1))])  # the place of x_k² among the products
        laplacian = 2 * self.couplings[:, squares].sum(1)
        return laplacian / (2 * (self.n + 2))

    def _columns(self, points):
        points = checks.reals("points", points)
        if points.ndim < 1 or points.shape[-1] != self.n:
            raise ValueError(f"points: expected an array (..., {self.n}), got shape {points.shape}")
        if not (abs((points * points).sum(-1) / self.n - 1) < 1e-9).all():
            raise ValueError(f"points: expected |x|² = {self.n} (see `project`), got other lengths")
        return np.ascontiguousarray(points.reshape(-1, self.n).T), points.shape[:-1]


@cache
def _starts(n, degree):
    """Where among the sorted tuples of `degree` spins those that begin with spin i or a later one start, (n,)."""
    lengths = np.array([math.comb(n - i + degree - 2, degree - 1) for i in range(n)])
    return np.concatenate([[0], np.cumsum(lengths)])[:n]


def _products(columns, degree):
    """All products of `degree` spins, by sorted tuples: (C(n + degree - 1, degree), R)."""
    n, products = columns.shape[0], columns
    for k in range(2, degree + 1):
        longer = np.empty((math.comb(n + k - 1, k), columns.shape[1]))
        multiply_tails(products, _starts(n, k - 1), columns, longer)
        products = longer
    return products


def _products_along(columns, directions, degree):
    """The derivatives of all products of `degree` spins along directions: (C(n + degree - 1, degree), R)."""
    n = columns.shape[0]
    columns = np.broadcast_to(columns, directions.shape)
    products, slopes = columns, directions
    for k in range(2, degree + 1):
        starts = _starts(n, k - 1)
        slopes = np.concatenate([
            directions[i] * products[starts[i] :] + columns[i] * slopes[starts[i] :] for i in range(n)
        ])  # fmt: skip
        products = _products(columns, k) if k < degree else None
    return slopes


def _couplings(n, p, seed):
    """W, (n, C(n + p - 2, p - 1)): from one normal number with the right variance for each sorted tuple of p spins."""
    random = np.random.Generator(np.random.Philox(key=seed))
    tuples = _sorted_tuples(n, p - 1)
    values = random.normal(size=math.comb(n + p - 1, p))
    w = np.empty((n, tuples.shape[0]))
    for i in range(n):
        longer = np.sort(np.column_stack([tuples, np.full(tuples.shape[0], i, tuples.dtype)]), axis=1)
        ways, count = _orderings(longer), (tuples == i).sum(1) + 1
        w[i] = np.sqrt(ways) * values[_rank(longer, n)] * count
    return w


def _sorted_tuples(n, degree):
    tuples = np.arange(n, dtype=np.int32)[:, None]
    for k in range(2, degree + 1):
        starts = _starts(n, k - 1)
        tuples = np.concatenate([
            np.column_stack([np.full(tuples.shape[0] - s, i, np.int32), tuples[s:]]) for i, s in enumerate(starts)
        ])  # fmt: skip
    return tuples


def _orderings(tuples):
    """How many different orderings each sorted tuple has."""
    ways, run = np.ones(tuples.shape[0]), np.ones(tuples.shape[0])
    for k in range(1, tuples.shape[1]):
        run = np.where(tuples[:, k] == tuples[:, k - 1], run + 1, 1)
        ways *= (k + 1) / run
    return ways


def _rank(tuples, n):
    """The place of sorted tuples in their order."""
    degree = tuples.shape[1]
    table = np.array([[math.comb(m, r) for r in range(degree + 1)] for m in range(n + degree)], dtype=np.int64)
    backwards = n - 1 - tuples[:, ::-1]  # the order of the mirrored tuples is the colexicographic one, reversed
    rank = sum(table[backwards[:, r] + r, r + 1] for r in range(degree))
    return math.comb(n + degree - 1, degree) - 1 - rank
