"""The noise of mini-batch gradients on a slice: exact, from the directional derivatives of every sample.

    D_w(u) = (1/N) Σ_k (∇f_k - ∇f)(∇f_k - ∇f)ᵀ,     Σ = D_w/b,  without replacement (N - b)/((N - 1) b) D_w

(Chaudhari, thesis Lemma 6.3, corrected.) On a slice V D_w Vᵀ is the noise of the slice's own gradient.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.networks.bridge.subspace import Subspace

__all__ = ["batch_factor", "checked", "flat_points", "noise"]


def noise(subspace: Subspace, points: ArrayLike, batch: int, replacement: bool = True) -> np.ndarray:
    """The covariance of the mini-batch gradient at points of a slice.

    Parameters
    ----------
    subspace : Subspace
    points : array (..., k), on a line (...,)
        Such as `grid.points`.
    batch : int >= 1
        Samples b of a mini-batch; without replacement at most all N.
    replacement : bool
        Whether a sample can be drawn twice.

    Returns
    -------
    array (..., k, k), on a line (...,)
        SGD of learning rate η has the density of `FokkerPlanck(subspace.loss, diffusion=noise(...), diffusivity=η/2)`.

    Raises
    ------
    ValueError
        Points of the wrong shape or not finite, no whole batch, more samples than there are.

    Examples
    --------
    >>> import pdelab as pl
    >>> from pdelab.networks import data, models
    >>> from pdelab.networks.curvature import Objective
    >>> from pdelab.networks.bridge import random_directions, restrict
    >>> f = Objective(models.mlp(64, (4,)), data.load("digits").train, samples=20)
    >>> plane = restrict(f, random_directions(f, 2))
    >>> grid = pl.Grid((-1, -1), (1, 1), (5, 5))
    >>> D = noise(plane, grid.points, batch=4)
    >>> D.shape, pl.generator(pl.FokkerPlanck(plane.loss, diffusion=D, diffusivity=0.05), grid).shape
    ((5, 5, 2, 2), (25, 25))
    """
    functions = checked(subspace).functions
    points, shape = flat_points(subspace, points)
    factor = batch_factor(functions.count, batch, replacement)
    covariances = factor * functions.covariance(functions.points(points)).cpu().double().numpy()
    return covariances.reshape(shape if subspace.dimension == 1 else (*shape, *covariances.shape[1:]))


def batch_factor(count, batch, replacement):
    """c such that the mini-batch gradient of `count` samples has covariance c D_w."""
    replacement = checks.switch("replacement", replacement)
    batch = checks.whole("batch", batch, 1, np.inf if replacement else count)
    return 1 / batch if replacement else (count - batch) / (max(count - 1, 1) * batch)


def checked(subspace):
    """A Subspace, or ValueError."""
    if not isinstance(subspace, Subspace):
        checks.refuse("subspace", "a Subspace, the result of restrict", subspace)
    return subspace


def flat_points(subspace, points, name="points"):
    """Points (n, k) and the shape they came in, the coordinate axis left out."""
    points, k = checks.reals(name, points), subspace.dimension
    shape = points.shape if k == 1 else points.shape[:-1]
    if (k > 1 and points.shape[-1:] != (k,)) or not np.isfinite(points).all():
        wanted = "(..." + (f", {k})" if k > 1 else ",)")
        raise ValueError(f"{name}: expected finite numbers {wanted}, got shape {points.shape}")
    return points.reshape(-1, k), shape
