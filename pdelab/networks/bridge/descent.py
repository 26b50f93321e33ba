"""Mini-batch SGD inside a slice of weight space: thousands of runs at once.

    u ← u - η (1/b) Σ_{k in B} ∇f_k(u),     ∇f_k along the slice, exact

Every step of every run draws its own mini-batch; time is t = kη.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.hints import Box
from pdelab.networks.bridge.noise import batch_factor, checked, flat_points
from pdelab.networks.bridge.subspace import Subspace
from pdelab.sgd import chosen

__all__ = ["Descent", "descend", "mini_batches"]


@dataclass(frozen=True)
class Descent:
    """Runs of SGD on a slice.

    Attributes
    ----------
    times : array (saved,)
        kη, from 0.
    states : array (saved, runs, k), on a line (saved, runs)
    exit_times : array (runs,) or None
        When each run was first outside the box `exit`, where it then stays; math.nan for those that never were.
    lr : float
    batch : int
    """

    times: np.ndarray
    states: np.ndarray
    exit_times: np.ndarray | None
    lr: float
    batch: int

    @property
    def final(self) -> np.ndarray:
        """The last states."""
        return self.states[-1]


def descend(
    subspace: Subspace,
    start: ArrayLike,
    lr: float,
    steps: int,
    batch: int = 1,
    *,
    replacement: bool = True,
    exit: Box | None = None,
    save_every: int | None = None,
    seed: int = 0,
) -> Descent:
    """Run mini-batch SGD from many points of a slice.

    Parameters
    ----------
    subspace : Subspace
    start : array (runs, k), on a line (runs,)
    lr : float > 0
        η.
    steps : int >= 0
    batch : int >= 1
        Samples of a mini-batch.
    replacement : bool
        Whether a mini-batch can hold a sample twice; different steps draw independently.
    exit : pair (low, high) of points, optional
        Corners of a box in which a run ends as soon as it is outside.
    save_every : int, optional
        Steps between two saved states; default: the first and the last alone.
    seed : int
        A run's mini-batches depend on the seed, the step and the run alone, not on how many run with it.

    Returns
    -------
    Descent

    Raises
    ------
    ValueError
        Arguments out of range.
    FloatingPointError
        A run became infinite: the step is named.

    Examples
    --------
    >>> import numpy as np
    >>> from pdelab.networks import data, models
    >>> from pdelab.networks.curvature import Objective
    >>> from pdelab.networks.bridge import random_directions, restrict
    >>> f = Objective(models.mlp(64, (4,)), data.load("digits").train, samples=50)
    >>> line = restrict(f, random_directions(f, 1))
    >>> runs = descend(line, np.zeros(100), lr=0.1, steps=20, batch=5, save_every=10)
    >>> runs.states.shape, runs.times.round(12).tolist()
    ((3, 100), [0.0, 1.0, 2.0])
    """
    functions = checked(subspace).functions
    points, shape = flat_points(subspace, start, "start")
    if len(shape) != 1 or not shape[0]:
        raise ValueError(f"start: expected one point a run, got shape {np.shape(start)}")
    lr, steps, seed = checks.positive("lr", lr), checks.whole("steps", steps, 0), checks.seed("seed", seed)
    batch_factor(functions.count, batch, replacement)
    every = checks.whole("save_every", steps if save_every is None else save_every, min(1, steps))
    box = None if exit is None else _box(exit, subspace.dimension, functions)
    u = functions.points(points)
    exits = np.full(len(u), math.nan)
    inside = torch.ones(len(u), dtype=torch.bool, device=u.device) if box is None else _inside(u, box)
    exits[~inside.cpu().numpy()] = 0.0
    saved, times = [u], lr * np.append(np.arange(0, steps, every or 1), steps)
    for step in range(1, steps + 1):
        indices = torch.from_numpy(mini_batches(seed, step, len(u), batch, functions.count, replacement)).to(u.device)
        if box is None:
            u = u - lr * functions.batch_gradient(u, indices)
        else:
            u = u.index_add(0, inside.nonzero()[:, 0], functions.batch_gradient(u[inside], indices[inside]), alpha=-lr)
        if step % 64 == 0 or step in (1, steps):
            _refuse_infinite(u, step)
        if box is not None:
            now = inside & _inside(u, box)
            exits[(inside & ~now).cpu().numpy()] = step * lr
            inside = now
        if step % every == 0 or step == steps:
            saved.append(u)
        if box is not None and not inside.any():
            saved += [u] * (len(times) - len(saved))
            break
    states = torch.stack(saved).cpu().double().numpy()
    states = states[..., 0] if subspace.dimension == 1 else states
    return Descent(times, states, None if box is None else exits, lr, batch)


def mini_batches(seed, step, runs, batch, count, replacement):
    """Indices (runs, b) of the mini-batches of a step; those of a run do not depend on the number of runs."""
    words = np.random.Philox(key=seed, counter=[0, 0, step, 0]).random_raw(runs * batch).reshape(runs, batch)
    return np.ascontiguousarray(chosen(words.T, count, replacement).T)


def _box(exit, dimension, functions):
    try:
        low, high = (np.broadcast_to(np.asarray(side, float), dimension) for side in exit)
    except (TypeError, ValueError):
        checks.refuse("exit", f"two corners of {dimension} numbers", exit)
    if not (low < high).all():
        checks.refuse("exit", "corners low < high", exit)
    return tuple(functions.points(side)[0] for side in (low, high))


def _inside(u, box):
    return ((u > box[0]) & (u < box[1])).all(1)


def _refuse_infinite(u, step):
    lost = int((~torch.isfinite(u).all(1)).sum())
    if lost:
        raise FloatingPointError(f"lr: {lost} of {len(u)} runs were infinite by step {step}: lower the learning rate")
