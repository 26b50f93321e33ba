"""A network's loss on a line, a plane or a 3-D slice of weight space, as a Loss of the PDE side.

    f_V(u) = f(x₀ + Vᵀ u),   V Vᵀ = I

Directions are orthonormalised, so distances on the slice are distances between weights: a scope γ, a temperature and
a time mean the same on both sides. Only the slice is smoothed: its local entropy is not that of the whole space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pdelab.hints import Array
from pdelab.losses import Loss
from pdelab.networks.bridge.slices import General, Layered, sliced
from pdelab.networks.curvature import Objective

__all__ = ["Subspace", "restrict"]


@dataclass(frozen=True)
class Subspace:
    """An affine slice of weight space.

    Attributes
    ----------
    loss : pdelab.Loss
        f_V with gradient and Hessian, of dimension 1, 2 or 3.
    origin : array (d,)
        x₀, flat weights in the order of `model.parameters()`.
    basis : array (k, d)
        V: orthonormal rows.
    functions : Layered or General
        f_V on tensors: also of single samples and of mini-batches.
    """

    loss: Loss
    origin: np.ndarray
    basis: np.ndarray
    functions: Layered | General

    @property
    def dimension(self) -> int:
        """k."""
        return len(self.basis)

    def weights(self, points: ArrayLike) -> Array:
        """x₀ + Vᵀ u.

        Parameters
        ----------
        points : array (..., k), in one dimension (...,)

        Returns
        -------
        array (..., d)
        """
        points = np.asarray(points, float)
        return self.origin + (points[..., None] if len(self.basis) == 1 else points) @ self.basis

    def coordinates(self, weights: ArrayLike) -> Array:
        """The nearest point u = V (x - x₀).

        Parameters
        ----------
        weights : array (..., d)
            Flat weights.

        Returns
        -------
        array (..., k), in one dimension (...,)
        """
        u = (np.asarray(weights, float) - self.origin) @ self.basis.T
        return u[..., 0] if len(self.basis) == 1 else u


def restrict(objective: Objective, directions: ArrayLike, *, origin: Any = None, chunk: int | None = None) -> Subspace:
    """The loss of a network on the slice through `origin` along `directions`.

    Parameters
    ----------
    objective : pdelab.networks.curvature.Objective
        The loss: a model, its samples, its arithmetic (float64 unless it says otherwise).
    directions : array (k, d)
        k = 1, 2 or 3 independent directions; the first row of the basis is the first direction, made a unit vector.
    origin : array (d,), optional
        Default: the model's weights.
    chunk : int, optional
        Points evaluated together.

    Returns
    -------
    Subspace

    Raises
    ------
    ValueError
        Directions of the wrong shape, dependent or not finite.

    Examples
    --------
    >>> from pdelab.networks import data, models
    >>> from pdelab.networks.bridge import random_directions
    >>> from pdelab.networks.curvature import Objective
    >>> f = Objective(models.mlp(64, (4,)), data.load("digits").train, samples=20)
    >>> line = restrict(f, random_directions(f, 1))
    >>> bool(abs(line.loss(0.0) - f.value()) < 1e-12), line.loss([0.0, 0.5, 1.0]).shape
    (True, (3,))
    """
    rows = np.atleast_2d(np.asarray(directions, float))
    count, size = rows.shape if rows.ndim == 2 else (0, 0)
    if not 1 <= count <= 3 or size != objective.dimension:
        raise ValueError(f"directions: expected 1 to 3 of {objective.dimension} numbers, got shape {rows.shape}")
    basis = _orthonormal(rows)
    start = objective.weights.cpu().double().numpy() if origin is None else np.asarray(origin, float)
    if start.shape != (size,) or not np.isfinite(start).all():
        raise ValueError(f"origin: expected {size} finite numbers, got shape {start.shape}")
    functions = sliced(objective, start, basis, chunk)
    return Subspace(_as_loss(functions, flat=count == 1), start, basis, functions)


def _orthonormal(rows):
    if not np.isfinite(rows).all():
        raise ValueError("directions: expected finite numbers, got NaN or infinity")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise ValueError("directions: expected lengths > 0, got a direction that is zero")
    q, r = np.linalg.qr((rows / lengths).T)
    if abs(np.diag(r)).min() < 1e-8:
        raise ValueError(
            "directions: expected linearly independent ones, got a combination of the others: leave it out"
        )
    return (q * np.sign(np.diag(r))).T


def _as_loss(functions, flat):
    """f_V as a Loss on arrays of points (n, k), in one dimension (n,)."""

    def on_arrays(function):
        def evaluated(points):
            values = function(functions.points(points)).cpu().double().numpy()
            return values.reshape(len(values)) if flat else values

        return evaluated

    methods = map(on_arrays, (functions.value, functions.gradient, functions.hessian))
    return Loss.from_functions(*methods, dimension=functions.dimension)
