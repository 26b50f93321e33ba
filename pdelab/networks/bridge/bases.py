"""Directions to cut weight space along: rows (count, d) for `restrict`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pdelab import checks
from pdelab.networks.curvature import Hessian, Objective, extreme_eigenvalues, gradient_noise

__all__ = [
    "curved_directions",
    "directions_to",
    "filter_directions",
    "gradient_direction",
    "noisy_directions",
    "random_directions",
    "trajectory_directions",
]


def random_directions(objective: Objective, count: int, seed: int = 0) -> np.ndarray:
    """`count` independent standard normal directions (count, d).

    Parameters
    ----------
    objective : Objective
    count : int >= 1
    seed : int

    Returns
    -------
    array (count, d)

    Examples
    --------
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> f = linear_model([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0], [0, 0, 0])          # |w|²/6
    >>> random_directions(f, 2).shape
    (2, 3)
    """
    return np.random.default_rng(seed).standard_normal((count, objective.dimension))


def curved_directions(objective: Objective, count: int) -> np.ndarray:
    """The eigenvectors (count, d) of the largest eigenvalues of the Hessian, the largest first.

    Parameters
    ----------
    objective : Objective
    count : int >= 1

    Returns
    -------
    array (count, d)

    Examples
    --------
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> f = linear_model([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0], [0, 0, 0])          # |w|²/6
    >>> curved_directions(f, 1).shape
    (1, 3)
    """
    *_, high = extreme_eigenvalues(Hessian(objective), count, vectors=True)
    return high.T[::-1]


def directions_to(objective: Objective, models: Sequence[torch.nn.Module]) -> np.ndarray:
    """Differences (len(models), d) from the objective's weights to those of other models of the same sizes.

    Parameters
    ----------
    objective : Objective
    models : sequence of torch.nn.Module

    Returns
    -------
    array (len(models), d)

    Raises
    ------
    ValueError
        Models of other sizes.

    Examples
    --------
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> f = linear_model([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0], [0, 0, 0])          # |w|²/6
    >>> directions_to(f, [f.model])
    array([[0., 0., 0.]])
    """
    here = objective.weights.cpu().double().numpy()
    directions = []
    for model in models:
        there = torch.cat([p.detach().flatten() for p in model.parameters() if p.requires_grad]).double().cpu().numpy()
        if there.shape != here.shape:
            raise ValueError(f"models: expected {len(here)} weights in each, as here, got {len(there)}")
        directions.append(there - here)
    return np.stack(directions)


def gradient_direction(objective: Objective) -> np.ndarray:
    """The gradient of the loss at the objective's weights.

    Parameters
    ----------
    objective : Objective

    Returns
    -------
    array (1, d)

    Examples
    --------
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> f = linear_model([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0], [0, 0, 0])          # |w|²/6
    >>> gradient_direction(f).shape
    (1, 3)
    """
    return objective.gradient().cpu().double().numpy()[None]


def noisy_directions(objective: Objective, count: int) -> np.ndarray:
    """Eigenvectors (count, d) of the largest eigenvalues of the gradient noise D(x), the largest first.

    Parameters
    ----------
    objective : Objective
    count : int >= 1

    Returns
    -------
    array (count, d)

    Raises
    ------
    ValueError
        More directions than the noise has.

    Examples
    --------
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> f = linear_model([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0], [1, 2, 3])          # |w|²/6
    >>> noisy_directions(f, 1).shape
    (1, 3)
    """
    count = checks.whole("count", count, 1, min(objective.count, objective.dimension))
    noise = gradient_noise(objective, directions=count)
    precision = np.finfo(noise.eigenvalues.dtype).eps  # of singular values, whose squares the eigenvalues are
    floor = (10 * precision) ** 2 * max(noise.eigenvalues[0], noise.gradient_norm**2)
    rank = int((noise.eigenvalues > floor).sum())
    if count > rank:
        raise ValueError(f"count: expected at most {rank}, the directions in which gradients differ, got {count}")
    return np.asarray(noise.directions, float)


def trajectory_directions(weights: Any, count: int) -> np.ndarray:
    """The principal components (count, d) of weights along a run, (times, d): where it moved most, the first first.

    Parameters
    ----------
    weights : array (times, d)
    count : int >= 1
        At most as many as the directions in which the weights differ.

    Returns
    -------
    array (count, d)

    Raises
    ------
    ValueError
        Weights that are not finite, more directions than there are.

    Examples
    --------
    >>> trajectory_directions([[0.0, 0.0], [1.0, 0.1], [2.0, -0.1]], 1).round(2) + 0.0
    array([[ 1.  , -0.05]])
    """
    weights = checks.reals("weights", weights)
    if weights.ndim != 2 or not weights.size or not np.isfinite(weights).all():
        raise ValueError(f"weights: expected finite numbers (times, d), got shape {weights.shape}")
    count = checks.whole("count", count)
    _, lengths, rows = np.linalg.svd(weights - weights.mean(0), full_matrices=False)
    rank = int((lengths > 1e-12 * max(lengths[0], 1e-300)).sum())
    if count > rank:
        raise ValueError(f"count: expected at most {rank}, the directions in which the weights differ, got {count}")
    rows = rows[:count]
    return rows * np.sign(rows[np.arange(count), np.abs(rows).argmax(1)])[:, None]


def filter_directions(objective: Objective, count: int, seed: int = 0) -> np.ndarray:
    """Random directions (count, d), each filter as long as the weights' own (Li et al. 2018, section 4).

    A filter is a row of a weight tensor; biases and norms, which have none, stay as they are. `restrict` makes the rows
    unit vectors: what remains is how the length is shared among the filters.

    Parameters
    ----------
    objective : Objective
    count : int >= 1
    seed : int

    Returns
    -------
    array (count, d)

    Raises
    ------
    ValueError
        Numbers out of range.

    Examples
    --------
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> f = linear_model([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0], [0, 0, 0])          # |w|²/6
    >>> filter_directions(f, 2).shape
    (2, 3)
    """
    count, seed = checks.whole("count", count), checks.seed("seed", seed)
    generator, rows = np.random.default_rng(seed), []
    for _ in range(count):
        parts = []
        for weight in objective.parameters.values():
            own = weight.detach().cpu().double().numpy().reshape(len(weight) if weight.ndim else 1, -1)
            drawn = generator.standard_normal(own.shape)
            lengths = np.linalg.norm(own, axis=1, keepdims=True) if weight.ndim > 1 else 0.0
            parts.append((drawn * lengths / np.linalg.norm(drawn, axis=1, keepdims=True)).ravel())
        rows.append(np.concatenate(parts))
    return np.stack(rows)
