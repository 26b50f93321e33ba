"""Finite sums of losses f = (1/N) Σ_k f_k: their gradients, and the covariance of a mini-batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import combinations, product

import numpy as np
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.hints import Array
from pdelab.losses import Loss

__all__ = ["FiniteSum", "batch_size"]

LARGEST_ENUMERATION = 100_000


class FiniteSum:
    """f(x) = (1/N) Σ_k f_k(x), the N terms given by one formula and columns of data.

    Parameters
    ----------
    formula : str
        f_k in the coordinates and in the names of the columns.
    variables : sequence of str, optional
        Coordinates in order; by default the names of the formula that are no columns.
    **data : (N,) arrays
        One column a name.

    Raises
    ------
    ValueError
        Columns of different lengths or not finite, no column, no coordinate.

    Good values
    -----------
    data : a few terms with curvatures and centres that differ show all effects; `expectation` and `batches` list all
        mini-batches, at most 100,000 of them.

    Examples
    --------
    >>> f = FiniteSum("h*(x - c)**2/2", h=[1.0, 2.0], c=[0.0, 1.0])
    >>> f.gradient(0.5), f.gradients(0.5), f.covariance(0.5)
    (-0.25, array([ 0.5, -1. ]), 0.5625)
    """

    def __init__(self, formula: str, variables: Sequence[str] | None = None, **data: ArrayLike):
        if not data:
            raise ValueError("data: expected columns of numbers, e.g. FiniteSum('(x - c)**2/2', c=[0.0, 1.0])")
        columns = {name: checks.reals("data", column, "columns of numbers") for name, column in data.items()}
        shapes = {column.shape for column in columns.values()}
        if len(shapes) > 1 or len(next(iter(shapes))) != 1 or next(iter(shapes)) == (0,):
            raise ValueError(f"data: expected columns of one length (N,), got {sorted(shapes)}")
        self.columns = np.column_stack(list(columns.values()))
        if not np.isfinite(self.columns).all():
            raise ValueError(f"data: expected finite numbers, got {data!r}")
        self.names = tuple(columns)
        used = Loss(formula, None if variables is None else (*_tuple(variables), *self.names)).variables
        self.variables = tuple(name for name in used if name not in columns)
        if not self.variables:
            raise ValueError(f"formula: expected coordinates besides {', '.join(self.names)}, got {formula!r}")
        self.term = Loss(formula, (*self.variables, *self.names))

    @property
    def count(self) -> int:
        """N."""
        return len(self.columns)

    @property
    def dimension(self) -> int:
        """d."""
        return len(self.variables)

    def _terms(self, points, indices=None):
        """Points (n, d) with their data: (n, N, d + columns), or (n, d + columns) for one index each."""
        if indices is not None:
            return np.concatenate([points, self.columns[indices]], axis=1)
        n, d = points.shape
        left = np.broadcast_to(points[:, None], (n, self.count, d))
        return np.concatenate([left, np.broadcast_to(self.columns, (n, *self.columns.shape))], axis=2)

    def _points(self, points):
        points = checks.reals("points", points)
        if self.dimension > 1 and points.shape[-1:] != (self.dimension,):
            raise ValueError(f"points: expected shape (..., {self.dimension}), got {points.shape}")
        shape = points.shape if self.dimension == 1 else points.shape[:-1]
        return points.reshape(-1, self.dimension), shape

    def _shaped(self, values, shape, axes=1):
        """(n, ..., d) -> (*shape, ..., d), without the coordinate axes in one dimension."""
        values = values.reshape((*shape, *values.shape[1:]))
        values = values.reshape(values.shape[: values.ndim - axes]) if self.dimension == 1 and axes else values
        return float(values) if values.ndim == 0 else values

    def __call__(self, points):
        """f: points (..., d) -> (...,), in one dimension (...,)."""
        points, shape = self._points(points)
        return self._shaped(self.term(self._terms(points)).mean(axis=1), shape, axes=0)

    def gradient(self, points: ArrayLike) -> Array:
        """∇f.

        Parameters
        ----------
        points : array (..., d), in one dimension (...,)

        Returns
        -------
        array, shape of points
        """
        points, shape = self._points(points)
        return self._shaped(self._gradients(points).mean(axis=1), shape)

    def gradients(self, points: ArrayLike) -> Array:
        """All ∇f_k.

        Parameters
        ----------
        points : array (..., d), in one dimension (...,)

        Returns
        -------
        array (..., N, d), in one dimension (..., N)
        """
        points, shape = self._points(points)
        return self._shaped(self._gradients(points), shape)

    def hessian(self, points: ArrayLike) -> Array:
        """Hess f.

        Parameters
        ----------
        points : array (..., d), in one dimension (...,)

        Returns
        -------
        array (..., d, d), in one dimension (...,)
        """
        points, shape = self._points(points)
        d = self.dimension
        values = self.term.hessian(self._terms(points))[..., :d, :d].mean(axis=1)
        return self._shaped(values, shape, axes=2)

    def _gradients(self, points):
        return self.term.gradient(self._terms(points))[..., : self.dimension]

    @cached_property
    def loss(self) -> Loss:
        """f as a Loss."""
        return Loss.from_functions(self, self.gradient, self.hessian, dimension=self.dimension)

    def diffusion_matrix(self, points: ArrayLike, *, replacement: bool = True) -> Array:
        """The matrix of Lemma 6.3: D_w, or without replacement D_wo = N/(N-1) D_w.

        The printed D_wo has the coefficient 1 - 1/(N-1) where 1 + 1/(N-1) is right.

        Parameters
        ----------
        points : array (..., d), in one dimension (...,)
        replacement : bool

        Returns
        -------
        array (..., d, d), in one dimension (...,)
        """
        factor = 1.0 if replacement else self.count / (self.count - 1) if self.count > 1 else 0.0
        return factor * self.covariance(points)

    def covariance(self, points: ArrayLike, batch: int = 1, *, replacement: bool = True) -> Array:
        """Σ, the covariance of the mini-batch gradient: D_w/b, without replacement (N - b)/((N - 1) b) D_w.

        Parameters
        ----------
        points : array (..., d), in one dimension (...,)
        batch : int >= 1
            Without replacement at most N.
        replacement : bool

        Returns
        -------
        array (..., d, d), in one dimension (...,)

        Raises
        ------
        ValueError
            A batch outside that range.
        """
        batch = batch_size(self, batch, replacement)
        points, shape = self._points(points)
        g = self._gradients(points)
        g = g - g.mean(axis=1, keepdims=True)
        spread = np.einsum("nki,nkj->nij", g, g) / self.count
        factor = 1.0 if replacement else (self.count - batch) / max(self.count - 1, 1)
        return self._shaped(factor / batch * spread, shape, axes=2)

    def batches(self, batch: int, *, replacement: bool = True) -> np.ndarray:
        """All mini-batches, equally likely.

        Parameters
        ----------
        batch : int >= 1
            Without replacement at most N.
        replacement : bool

        Returns
        -------
        array (how many, batch) of indices

        Raises
        ------
        ValueError
            A batch outside that range, or more than 100,000 of them.
        """
        batch = batch_size(self, batch, replacement)
        count = self.count**batch if replacement else math.comb(self.count, batch)
        if count > LARGEST_ENUMERATION:
            raise ValueError(f"batch: {count} mini-batches are too many to list (at most {LARGEST_ENUMERATION})")
        chosen = product(range(self.count), repeat=batch) if replacement else combinations(range(self.count), batch)
        return np.array(list(chosen))


def _tuple(names):
    return (names,) if isinstance(names, str) else tuple(names)


def batch_size(problem, batch, replacement):
    """Samples of a mini-batch, checked: at least 1, without replacement at most N."""
    batch = checks.whole("batch", batch)
    if not replacement and batch > problem.count:
        raise ValueError(f"batch: expected at most N = {problem.count} without replacement, got {batch}")
    return batch
