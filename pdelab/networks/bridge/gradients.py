"""Entropy-SGD's inner loop on a slice against the exact gradient of the slice's local entropy.

    ∇f_γ(u) = (u - <y>)/γ,   <y> the mean of exp(-β [f(y) + |y - u|²/(2γ)])          by quadrature on a grid
    y ← y - η'(g + (y - u)/γ) + √(2η'/β) ξ,   z ← (1 - a) z + a y,   y = z = u at first         the loop, L times

and (u - z)/γ is the algorithm's estimate, g a full gradient or that of a mini-batch (Chaudhari, thesis, Algorithm 2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.grid import Grid
from pdelab.hints import Array
from pdelab.networks.bridge.descent import mini_batches
from pdelab.networks.bridge.noise import batch_factor, checked, flat_points
from pdelab.networks.bridge.subspace import Subspace

__all__ = ["GradientMap", "exact_gradient", "gradient_map"]

EDGE = 1e-8  # the largest share of the weight that may lie on the ends of the grid


@dataclass(frozen=True)
class GradientMap:
    """The inner loop's direction beside the exact one; axes: shares η'/γ, lengths L, points.

    Attributes
    ----------
    shares : array (R,)
    lengths : array (M,)
    exact : array (n, k)
        ∇f_γ at the points.
    exact_error : array (n,)
        Estimated error of the quadrature.
    mean : array (R, M, n, k)
        The estimate, averaged over the runs.
    standard_error : array (R, M, n, k)
        Of the mean.
    covariance : array (R, M, n, k, k)
        Of one run's estimate.
    """

    shares: np.ndarray
    lengths: np.ndarray
    exact: np.ndarray
    exact_error: np.ndarray
    mean: np.ndarray
    standard_error: np.ndarray
    covariance: np.ndarray

    @property
    def relative_bias(self) -> np.ndarray:
        """|mean - exact|/|exact| (R, M, n)."""
        return np.linalg.norm(self.mean - self.exact, axis=-1) / np.linalg.norm(self.exact, axis=-1)

    @property
    def relative_deviation(self) -> np.ndarray:
        """The standard deviation of one run's estimate over |exact| (R, M, n)."""
        return np.sqrt(np.trace(self.covariance, axis1=-2, axis2=-1)) / np.linalg.norm(self.exact, axis=-1)

    @property
    def angle(self) -> np.ndarray:
        """Degrees between the mean and the exact gradient (R, M, n); on a line 0 or 180."""
        dot = (self.mean * self.exact).sum(-1)
        lengths = np.linalg.norm(self.mean, axis=-1) * np.linalg.norm(self.exact, axis=-1)
        return np.degrees(np.arccos(np.clip(dot / np.where(lengths > 0, lengths, 1.0), -1.0, 1.0)))

    def region(self, length: float = 0.1, degrees: float = 10.0) -> np.ndarray:
        """Share of the points at which the mean direction is right within a share of the length and an angle.

        Parameters
        ----------
        length : float > 0
            Bias over the length of the exact gradient.
        degrees : float

        Returns
        -------
        array (R, M)
            One number for each step and each length of the loop.
        """
        return ((self.relative_bias <= length) & (self.angle <= degrees)).mean(-1)


def gradient_map(
    subspace: Subspace,
    grid: Grid,
    points: ArrayLike,
    gamma: float,
    temperature: float,
    *,
    shares: Sequence[float] = (0.05, 0.1, 0.2, 0.5),
    lengths: Sequence[int] = (5, 10, 20, 50, 100),
    averaging: float | None = 0.75,
    batch: int | None = None,
    replacement: bool = True,
    runs: int = 100,
    seed: int = 0,
) -> GradientMap:
    """Bias and variance of Entropy-SGD's estimate of the gradient of local entropy.

    Parameters
    ----------
    subspace : Subspace
    grid : Grid
        Of the quadrature: so wide that the Gibbs weights die out on it, its spacing well below √(gamma temperature).
    points : array (n, k), on a line (n,)
        Where the gradients are compared.
    gamma : float > 0
    temperature : float > 0
        T = 1/β of the loop and of the exact local entropy alike. Mini-batches add a noise of their own.
    shares : sequence of float in (0, 2)
        η'/γ.
    lengths : sequence of int >= 1
        L.
    averaging : float in (0, 1] or None
        a, the weight of the newest iterate; None: the plain mean of y over the loop.
    batch : int, optional
        Samples of a mini-batch; default: full gradients.
    replacement : bool
    runs : int >= 2
        Loops at each point.
    seed : int

    Returns
    -------
    GradientMap

    Raises
    ------
    ValueError
        Arguments out of range; a grid too narrow or too coarse for an exact gradient.
    FloatingPointError
        A loop became infinite: its share is too large for the curvature.

    Examples
    --------
    >>> from pdelab import Grid
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> from pdelab.networks.bridge import random_directions, restrict
    >>> f = linear_model([[1.0, 0.5], [-1.0, 1.0], [0.5, 2.0], [2.0, -1.0]], [1.0, -1.0, 0.5, 1.5], [0.0, 0.0])
    >>> line, grid = restrict(f, random_directions(f, 1)), Grid(-6.0, 6.0, 401)
    >>> biases = gradient_map(line, grid, [0.5], 0.1, 0.05, shares=(0.2,), lengths=(5, 20), runs=20)
    >>> type(biases).__name__
    'GradientMap'
    """
    functions = checked(subspace).functions
    flat, shape = flat_points(subspace, points)
    if len(shape) != 1 or not shape[0]:
        raise ValueError(f"points: expected points (n, k), on a line (n,), got shape {np.shape(points)}")
    gamma, temperature = checks.positive("gamma", gamma), checks.positive("temperature", temperature)
    shares = np.array([checks.within("shares", share, 0, 2, "()") for share in shares])
    lengths = np.array(sorted({checks.whole("lengths", length) for length in lengths}))
    averaging = averaging if averaging is None else checks.within("averaging", averaging, 0, 1, "(]")
    if batch is not None:
        batch_factor(functions.count, batch, replacement)
    runs, seed = checks.whole("runs", runs, 2), checks.seed("seed", seed)
    exact, error = exact_gradient(subspace, grid, flat, gamma, 1 / temperature)
    by_share = []
    for j, share in enumerate(shares):
        key = [seed, j]
        loops = _loops(
            functions, flat, share * gamma, gamma, temperature, lengths, averaging, batch, replacement, runs, key
        )
        if not np.isfinite(loops).all():
            raise FloatingPointError(f"shares: the loop became infinite at η'/γ = {share:g}: take a smaller one")
        by_share.append((flat[:, None] - loops) / gamma)
    estimates = np.stack(by_share)
    mean = estimates.mean(3)
    gaps = estimates - mean[:, :, :, None]
    covariance = np.einsum("abcri,abcrj->abcij", gaps, gaps) / (runs - 1)
    errors = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1) / runs)
    return GradientMap(shares, lengths, exact, error, mean, errors, covariance)


def _loops(functions, points, rate, gamma, temperature, lengths, averaging, batch, replacement, runs, key):
    """The averages z (M, n, runs, k) of loops of several lengths from every point."""
    x = functions.points(np.repeat(points, runs, 0))
    y, z, saved = x, x, []
    generator = np.random.default_rng(key)
    for step in range(1, lengths[-1] + 1):
        if batch is None:
            slope = functions.gradient(y)
        else:
            seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
            drawn = mini_batches(seed, step, len(y), batch, functions.count, replacement)
            slope = functions.batch_gradient(y, torch.from_numpy(drawn).to(y.device))
        xi = functions.points(generator.standard_normal(tuple(y.shape)))
        y = y - rate * (slope + (y - x) / gamma) + math.sqrt(2 * rate * temperature) * xi
        weight = 1 / step if averaging is None else averaging
        z = (1 - weight) * z + weight * y
        if step in lengths:
            saved.append(z)
    return torch.stack(saved).cpu().double().numpy().reshape(len(lengths), len(points), runs, -1)


def exact_gradient(subspace: Subspace, grid: Grid, points: ArrayLike, gamma: float, beta: float) -> tuple[Array, Array]:
    """∇f_γ of a slice at points, by the trapezoid rule over a grid, and its estimated error.

    Parameters
    ----------
    subspace : Subspace
    grid : Grid
        Of an odd number of nodes an axis: the error is the distance to the rule on every second node.
    points : array (n, k), on a line (n,)
    gamma, beta : float > 0

    Returns
    -------
    gradient : array (n, k)
    error : array (n,)

    Raises
    ------
    ValueError
        Where the weights reach the ends of the grid; where the two rules differ by more than 1 % of the gradients, or
        the rule contradicts <∇f(y)>, the same gradient, by more than 10 %: peaks between nodes are seen by neither.

    Examples
    --------
    >>> from pdelab import Grid
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> from pdelab.networks.bridge import random_directions, restrict
    >>> f = linear_model([[1.0, 0.5], [-1.0, 1.0], [0.5, 2.0], [2.0, -1.0]], [1.0, -1.0, 0.5, 1.5], [0.0, 0.0])
    >>> line = restrict(f, random_directions(f, 1))
    >>> slope, error = exact_gradient(line, Grid(-6.0, 6.0, 401), [0.0], gamma=0.1, beta=20.0)
    >>> slope.shape, bool(error < 1e-6)
    ((1, 1), True)
    """
    if (
        not isinstance(grid, Grid)
        or grid.dimension != checked(subspace).dimension
        or any(n % 2 == 0 for n in grid.shape)
    ):
        raise ValueError("grid: expected a Grid of the slice's dimension with an odd number of nodes along each axis")
    flat, _ = flat_points(subspace, points)
    gamma, beta = checks.positive("gamma", gamma), checks.positive("beta", beta)
    every_second = (slice(None, None, 2),) * grid.dimension
    nodes = grid.points.reshape(*grid.shape, grid.dimension)
    losses, ends = subspace.loss.on(grid), _ends(grid.shape)
    gradients, coarse, slopes = [], [], []
    for x in flat:
        energy = -beta * (losses + ((nodes - x) ** 2).sum(-1) / (2 * gamma))
        weights = np.exp(energy - energy.max())
        if weights[ends].sum() > EDGE * weights.sum():
            raise ValueError(f"grid: expected one on which the weights around {x} die out: take a wider one")
        gradients.append((x - _mean(weights, nodes)) / gamma)
        coarse.append((x - _mean(weights[every_second], nodes[every_second])) / gamma)
        slopes.append(_mean_slope(subspace, weights, nodes))
    gradients, error = np.array(gradients), np.linalg.norm(np.array(gradients) - coarse, axis=1)
    gap = np.linalg.norm(gradients - slopes, axis=1)
    rounding = 1e-6 / math.sqrt(gamma * beta)  # all that there is at a critical point
    scale = np.linalg.norm(np.stack([gradients, slopes]), axis=-1).max() + rounding
    if (error > 0.01 * scale).any() or (gap > 0.1 * scale).any():
        raise ValueError(
            f"grid: expected nodes nearer to each other than √(gamma/beta) = {math.sqrt(gamma / beta):.3g}"
        )
    return gradients, error


def _mean(weights, nodes):
    total = weights.sum()
    return np.tensordot(weights, nodes, weights.ndim) / total if total else np.full(nodes.shape[-1], np.inf)


def _mean_slope(subspace, weights, nodes):
    """<∇f(y)>, from the nodes that count."""
    count = weights > 1e-16 * weights.max()
    points = nodes[count]
    slopes = subspace.loss.gradient(points[:, 0] if subspace.dimension == 1 else points)
    return weights[count] @ np.reshape(slopes, points.shape) / weights[count].sum()


def _ends(shape):
    inside = np.zeros(shape, bool)
    inside[(slice(1, -1),) * len(shape)] = True
    return ~inside
