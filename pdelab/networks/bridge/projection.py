"""SGD in all of weight space, projected onto its own principal plane, against SGD that never leaves that plane.

Both start at the same weights with the same rate and mini-batches of one size. The plane is that of the largest
variance of the unrestricted runs at the end, laid through their mean. Equal laws would mean that a slice tells the
whole story; what separates them is that the other directions move too, and that noise and curvature there act back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.func import grad, vmap

from pdelab import checks
from pdelab.grid import Grid
from pdelab.networks.bridge.bases import trajectory_directions
from pdelab.networks.bridge.densities import METRICS, Bins, LineDistances, PlaneDistances
from pdelab.networks.bridge.descent import descend, mini_batches
from pdelab.networks.bridge.noise import batch_factor
from pdelab.networks.bridge.subspace import Subspace, restrict
from pdelab.networks.curvature import Objective
from pdelab.networks.curvature.objective import each_tensor

__all__ = ["Projection", "compare_projection", "distances", "roam"]


@dataclass(frozen=True)
class Projection:
    """Unrestricted runs of SGD beside those on their plane.

    Attributes
    ----------
    subspace : Subspace
        The plane of the principal components of the unrestricted runs, through their mean.
    projected, restricted : array (runs, k), on a line (runs,)
        Coordinates of unrestricted SGD, and of SGD on the plane, at the end.
    explained : float
        The share of the unrestricted runs' variance that lies in the plane.
    distances, low, high, floor : {metric: float}
        "w1", "w2" and "tv" (in the plane of laws binned to cells) between the two, with an interval, and what two sets
        of as many runs of the unrestricted law stay below.
    spread : array (k,)
        Standard deviations of the projected runs.
    confidence : float
    """

    subspace: Subspace
    projected: np.ndarray
    restricted: np.ndarray
    explained: float
    distances: dict
    low: dict
    high: dict
    floor: dict
    spread: np.ndarray
    confidence: float


def roam(objective: Objective, lr: float, steps: int, *, batch: int = 1, runs: int = 100, seed: int = 0) -> np.ndarray:
    """The weights (runs, d) at which runs of mini-batch SGD in all of weight space end.

    Parameters
    ----------
    objective : Objective
        All runs start at its weights.
    lr : float > 0
    steps, batch, runs : int >= 1
        Mini-batches are drawn with replacement, those of a run independent of how many run with it.
    seed : int

    Returns
    -------
    array (runs, d)

    Raises
    ------
    FloatingPointError
        Runs became infinite.

    Examples
    --------
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> roam(linear_model([[1.0]], [1.0], [0.0]), 0.5, 2, runs=3).ravel().tolist()         # 1 - (1 - η)²
    [0.75, 0.75, 0.75]
    """
    if not isinstance(objective, Objective):
        checks.refuse("objective", "an Objective", objective)
    lr, steps, seed = checks.positive("lr", lr), checks.whole("steps", steps), checks.seed("seed", seed)
    runs = checks.whole("runs", runs)
    batch_factor(objective.count, batch, True)
    names = tuple(objective.parameters)

    def loss(weights, chosen):
        return objective.mean_loss(chosen, dict(zip(names, objective.unflat(weights))))

    slope = vmap(grad(loss), (0, 0))
    x = objective.weights.detach().repeat(runs, 1)
    for step in range(1, steps + 1):
        drawn = torch.from_numpy(mini_batches(seed, step, runs, batch, objective.count, True)).to(x.device)
        x = x - lr * slope(x, each_tensor(lambda t: t[drawn], objective.data)).detach()  # noqa: B023
        if step == steps or step % 64 == 0:
            lost = int((~torch.isfinite(x).all(1)).sum())
            if lost:
                raise FloatingPointError(f"lr: {lost} of {runs} runs were infinite by step {step}: lower the rate")
    return x.cpu().double().numpy()


def compare_projection(
    objective: Objective,
    lr: float,
    steps: int,
    *,
    dimension: int = 2,
    batch: int = 1,
    runs: int = 500,
    cells: int = 12,
    resamples: int = 60,
    confidence: float = 0.95,
    seed: int = 0,
) -> Projection:
    """How far the law of SGD on a slice is from that of unrestricted SGD projected onto it.

    Parameters
    ----------
    objective : Objective
    lr, steps, batch, runs, seed
        As in `roam`; the runs on the plane have mini-batches of their own.
    dimension : 1 or 2
    cells : int
        An axis of the binned laws, over the range of both.
    resamples : int >= 20
    confidence : float in (0, 1)

    Returns
    -------
    Projection

    Raises
    ------
    ValueError
        Numbers out of range, a dimension other than 1 and 2.

    Examples
    --------
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> f = linear_model([[1.0, 0.0], [0.5, 1.0], [0.0, 1.0]], [1.0, 0.0, -1.0], [0.0, 0.0])
    >>> projection = compare_projection(f, 0.2, 10, dimension=1, runs=60, resamples=20)
    >>> 0 < projection.explained <= 1
    True
    """
    dimension, runs = checks.whole("dimension", dimension, 1, 2), checks.whole("runs", runs, 8)
    resamples = checks.whole("resamples", resamples, 20)
    confidence = checks.within("confidence", confidence, 0, 1, "()")
    ends = roam(objective, lr, steps, batch=batch, runs=runs, seed=seed)
    mean, rows = ends.mean(0), trajectory_directions(ends, dimension)
    plane = restrict(objective, rows, origin=mean)
    start = np.repeat(plane.coordinates(objective.weights.cpu().double().numpy())[None], runs, 0)
    restricted = descend(plane, start, lr, steps, batch, seed=seed + 1).final
    projected = plane.coordinates(ends)
    named = distances(projected, restricted, cells, resamples, confidence, [seed, 5])
    flat = projected.reshape(runs, -1)
    explained = flat.var(0).sum() / ends.var(0).sum()
    return Projection(plane, projected, restricted, float(explained), *named, flat.std(0), confidence)


def distances(
    first: np.ndarray, second: np.ndarray, cells: int, resamples: int, confidence: float, seed: int | list[int]
) -> tuple[dict, dict, dict, dict]:
    """Distances of the laws of two samples, their intervals and the noise floor of the first.

    Returns
    -------
    value, low, high, floor : {metric: float}
        Intervals are d(P_n, Q_n) plus and minus a quantile of d(P_n*, P_n) + d(Q_n*, Q_n) over resampled runs: they
        hold for equal laws too.
    """
    measure, generator = _measure(first, second, cells), np.random.default_rng(seed)
    laws, radii, floor = (measure.sample(first), measure.sample(second)), [], []
    for _ in range(resamples):
        own, other = measure.resample(first, generator), measure.resample(second, generator)
        radii.append(measure(own, laws[0]) + measure(other, laws[1]))
        floor.append(measure(own, measure.resample(first, generator)))
    value, radius = measure(*laws), np.quantile(radii, confidence, axis=0)
    parts = value, np.maximum(value - radius, 0.0), value + radius, np.quantile(floor, confidence, axis=0)
    value, low, high, noise = ({metric: float(v) for metric, v in zip(METRICS, part)} for part in parts)
    return value, low, high, noise


def _measure(first, second, cells):
    """Distances of samples binned over the range of both."""
    both = np.concatenate([first, second]).reshape(len(first) + len(second), -1)
    margin = 1e-9 + 1e-6 * np.ptp(both, axis=0)
    corners = both.min(0) - margin, both.max(0) + margin
    grid = Grid(*(tuple(map(float, corner)) for corner in corners), (cells + 1,) * both.shape[1])
    return (LineDistances if both.shape[1] == 1 else PlaneDistances)(grid, Bins.of(grid, cells))
