"""Turns of paths round a periodic coordinate: how many, how their number spreads, and cycles up against cycles down."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.hints import Array
from pdelab.nonequilibrium.trajectories import BATCHES, Rate, trajectories
from pdelab.paths.results import unwrapped

__all__ = ["Turns", "turns"]


@dataclass(frozen=True)
class Turns:
    """What paths on a ring show of its current.

    Attributes
    ----------
    numbers : array (paths,)
        Turns of each path from the first saved time to the last, with fractions.
    rate : Rate
        Net turns per time; of a stationary process the probability current.
    spread : Rate
        Growth of the variance of the number of turns per time, 2 D_eff/L².
    up, down : int
        Completed cycles of all paths: each time a path is one period above, or below, where it completed the last.
    affinity : Rate
        log(up/down) with its interval, per cycle and not per time: of the force F on a ring of length L it is βFL,
        whatever the potential, and `rate` times it is the entropy produced per time.
    """

    numbers: Array
    rate: Rate
    spread: Rate
    up: int
    down: int
    affinity: Rate


def turns(states: ArrayLike, times: ArrayLike, period: float, *, confidence: float = 0.95) -> Turns:
    """Count the turns of saved paths round one periodic coordinate.

    Parameters
    ----------
    states : array (times,) or (times, paths)
        One coordinate, wrapped into its box as `simulate` with periodic walls saves it, or not.
    times : array (times,)
        Increasing, equally spaced.
    period : float > 0
        Length of the box.
    confidence : float in (0, 1)

    Returns
    -------
    Turns

    Raises
    ------
    ValueError
        States saved too rarely: half the period is less than the mean and six standard deviations of what a coordinate
        moves between two saved times. Fewer than 48 paths are cut into pieces; fewer than two saved times a piece.

    Notes
    -----
    Intervals are Student's over batches of paths. The variance is taken between half and the whole of the time, which
    leaves out what the start adds to it. Each completed cycle goes up with probability 1/(1 + exp(-βFL)), independently
    of the others: the interval of the affinity is that of a binomial number.

    Examples
    --------
    >>> import numpy as np, pdelab as pl
    >>> tilted = pl.Diffusion("sin(x) + 0.7", 1.0)                          # β = 2, F = 0.7
    >>> ring = (0.0, 2 * np.pi, "periodic")
    >>> run = pl.simulate(tilted, 0.0, t=40.0, dt=0.02, paths=200, seed=1, save_every=10, walls=ring)
    >>> estimates = turns(run.states, run.times, 2 * np.pi)
    >>> bool(estimates.rate.low > 0), bool(estimates.affinity.low < 2 * 0.7 * 2 * np.pi < estimates.affinity.high)
    (True, True)
    """
    states, confidence = checks.reals("states", states), checks.within("confidence", confidence, 0, 1, "()")
    period = checks.positive("period", period)
    if states.ndim not in (1, 2):
        raise ValueError(f"states: expected one coordinate, (times,) or (times, paths), got shape {states.shape}")
    cube, step = trajectories(states.reshape(len(states), -1, 1), times, least=1)
    walks = unwrapped(cube[..., 0], period) / period
    numbers = walks[-1] - walks[0]
    pieces = _pieces(walks)
    half = (len(pieces) - 1) // 2
    whole = np.array_split(pieces[-1] - pieces[0], BATCHES)
    parts = np.array_split(pieces[half] - pieces[0], BATCHES)
    duration = step * (len(pieces) - 1)
    rate = _student(np.array([part.mean() for part in whole]) / duration, confidence)
    growth = [(a.var(ddof=1) - b.var(ddof=1)) / (duration - half * step) for a, b in zip(whole, parts)]
    up, down = _cycles(walks)
    return Turns(numbers, rate, _student(np.array(growth), confidence), up, down, _log_odds(up, down, confidence))


def _pieces(walks):
    """Walks as (times, at least 2 BATCHES of them): those of few paths cut into pieces."""
    count, paths = walks.shape
    cuts = math.ceil(2 * BATCHES / paths)
    length = (count - 1) // cuts
    if length < 2:
        raise ValueError(f"states: expected at least {2 * cuts + 1} saved times of {paths} paths, got {count}")
    return np.concatenate([walks[k * length : (k + 1) * length + 1] for k in range(cuts)], axis=1)


def _student(values, confidence):
    """Mean of batches with Student's interval."""
    mean, error = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(values.size)
    half = float(scipy.stats.t.ppf(0.5 + 0.5 * confidence, values.size - 1)) * error
    return Rate(mean, mean - half, mean + half, confidence)


def _cycles(walks):
    """(up, down): whole periods beyond the place where the last cycle was completed."""
    last, up, down = walks[0].copy(), 0, 0
    for now in walks[1:]:
        whole = np.trunc(now - last)
        last += whole
        up, down = up + int(whole[whole > 0].sum()), down - int(whole[whole < 0].sum())
    return up, down


def _log_odds(up, down, confidence):
    """log(up/down) with the interval of Clopper and Pearson for the share that goes up."""
    tail = 0.5 - 0.5 * confidence
    low = scipy.stats.beta.ppf(tail, up, down + 1) if up else 0.0
    high = scipy.stats.beta.ppf(1 - tail, up + 1, down) if down else 1.0
    with np.errstate(divide="ignore"):
        ends = np.log([low, high]) - np.log1p([-low, -high])
        value = np.log(up) - np.log(down) if up + down else math.nan
    return Rate(float(value), float(ends[0]), float(ends[1]), confidence)
