"""What saved trajectories show: the antisymmetric matrix of currents, windings, entropy production, with intervals."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.hints import Array

__all__ = ["BATCHES", "Rate", "Rotation", "path_entropy_production", "rotation", "trajectories", "winding"]

BATCHES = 24  # pieces of one trajectory whose averages are taken as independent
FAR_TURNS = 0.1  # share of moves by more than a quarter circle that may still be followed
FLIPS = 9999  # sign flips of the test of reversibility


@dataclass(frozen=True)
class Rate:
    """A rate per time with its confidence interval.

    Attributes
    ----------
    value : float
        1/time.
    low, high : float
        Ends of the interval.
    confidence : float
        Of the interval.
    """

    value: float
    low: float
    high: float
    confidence: float


@dataclass(frozen=True)
class Rotation:
    """The antisymmetric part of the lagged covariance, and whether it is there at all.

    Attributes
    ----------
    Q : array (d, d)
        Estimate of Q/β, Q of `linear`: (C^T - C)/(2 τ) with C = E x(t + τ) x(t)^T.
    low, high : arrays (d, d)
        Confidence interval of each entry.
    areal_velocity : array (d, d)
        E[x_i dx_j - x_j dx_i]/dt = 2 Q_ij/β.
    p_value : float
        Of detailed balance, in which every entry is zero: how often batches with random signs give as large a
        statistic. At least 1/10,000.
    lag : float
        τ, in units of time.
    batches : int
    confidence : float
    """

    Q: Array
    low: Array
    high: Array
    areal_velocity: Array
    p_value: float
    lag: float
    batches: int
    confidence: float


def rotation(
    states: ArrayLike,
    times: ArrayLike,
    D: ArrayLike | None = None,
    *,
    lag: int = 1,
    confidence: float = 0.95,
    seed: int = 0,
) -> Rotation:
    """Test detailed balance on saved trajectories of a stationary process, and measure how it is broken.

    x_i(t) x_j(t + τ) - x_j(t) x_i(t + τ) is averaged in batches: one a path if there are at least 12 paths, else pieces
    of the trajectories; at least four for each of the d (d - 1)/2 entries, as fewer cannot tell it from chance.
    Running time backwards turns its sign, so that in detailed balance each batch is as likely with the other sign: that
    is the null of the p-value, exact for independent batches. Intervals are Student's.

    Parameters
    ----------
    states : array (times, d) or (times, paths, d)
        One or several trajectories, saved at equal intervals, d >= 2. Of many weights take a few projections first.
    times : array (times,)
        Increasing, equally spaced.
    D : array (d, d) or None
        With it each coordinate is scaled by sqrt(D_ii) in the statistic, which else uses the standard deviations.
    lag : int >= 1
        τ in saved steps. Good values: a fraction of the relaxation time; too long a lag biases Q towards 0, like
        exp(-F τ).
    confidence : float in (0, 1)
    seed : int
        Of the signs.

    Returns
    -------
    Rotation

    Raises
    ------
    ValueError
        For one coordinate, unequal times, or trajectories too short for the lag (fewer than 20 pairs a batch).

    Warns
    -----
    AccuracyWarning
        When a piece of a trajectory is shorter than ten correlation times: the intervals are then too narrow.

    Examples
    --------
    >>> import pdelab as pl
    >>> turning = pl.Diffusion(["-x - y", "x - y"], 1.0)
    >>> run = pl.simulate(turning, [0.0, 0.0], np.arange(0.0, 20.0, 0.1), 0.02, paths=24, seed=1)
    >>> estimates = rotation(run.states, run.times)
    >>> bool(estimates.p_value < 0.001), bool(estimates.areal_velocity[0, 1] > 0)
    (True, True)
    """
    states, step = trajectories(states, times, least=2)
    lag = checks.whole("lag", lag)
    confidence = checks.within("confidence", confidence, 0, 1, "()")
    count, paths, d = states.shape
    entries = d * (d - 1) // 2
    pieces = 1 if paths >= max(12, 4 * entries) else math.ceil(max(BATCHES, 4 * entries) / paths)
    if count - lag < 20 * pieces:
        raise ValueError(
            f"states: expected at least {20 * pieces + lag} saved times for lag {lag} and {d} coordinates, got "
            f"{count}: give more, or fewer projections"
        )
    centred = states - states.mean((0, 1))
    products = np.einsum("tpi,tpj->tpij", centred[:-lag], centred[lag:]) / (2 * lag * step)
    turning = products - np.swapaxes(products, -1, -2)
    length = turning.shape[0] // pieces
    batches = turning[: length * pieces].reshape(pieces, length, paths, d, d).mean(1).reshape(-1, d, d)
    if pieces > 1:
        _long_enough(centred, length)
    mean, error = batches.mean(0), batches.std(0, ddof=1) / math.sqrt(len(batches))
    half = scipy.stats.t.ppf(0.5 + 0.5 * confidence, len(batches) - 1) * error
    size = centred.reshape(-1, d).std(0) if D is None else np.sqrt(np.diag(_matrix("D", D, d)))
    p = _sign_flips(batches[:, *np.triu_indices(d, 1)] / np.outer(size, size)[np.triu_indices(d, 1)], seed)
    return Rotation(mean, mean - half, mean + half, 2 * mean, p, lag * step, len(batches), confidence)


def winding(states: ArrayLike, times: ArrayLike, centre: ArrayLike = (0.0, 0.0), *, confidence: float = 0.95) -> Rate:
    """Mean angular velocity around a point of the plane, in radians per time, from saved trajectories.

    Parameters
    ----------
    states : array (times, 2) or (times, paths, 2)
        Saved so often that no path turns by half a circle between two saved times.
    times : array (times,)
    centre : two numbers
    confidence : float in (0, 1)

    Returns
    -------
    Rate

    Raises
    ------
    ValueError
        Other than two coordinates, unequal times, too few of them.

    Warns
    -----
    AccuracyWarning
        States saved too rarely: a tenth of the moves turn by more than a quarter circle, or every second state gives
        another rate, by more than the interval.

    Examples
    --------
    >>> times = np.linspace(0.0, 1.0, 101)
    >>> angles = np.multiply.outer(times, np.linspace(1.9, 2.1, 16))
    >>> rate = winding(np.stack([np.cos(angles), np.sin(angles)], axis=-1), times)
    >>> round(rate.value, 9), bool(rate.low < 2.0 < rate.high)
    (2.0, True)
    """
    states, step = trajectories(states, times, least=2)
    if states.shape[-1] != 2:
        raise ValueError(f"states: expected two coordinates, got {states.shape[-1]}")
    moved = states - checks.reals("centre", centre, "two numbers")
    angles = np.arctan2(moved[..., 1], moved[..., 0])
    confidence = checks.within("confidence", confidence, 0, 1, "()")
    turned = np.diff(np.unwrap(angles, axis=0), axis=0)
    rate = _rate(turned / step, confidence)
    far = float((np.abs(turned) > math.pi / 2).mean())
    rarer = np.diff(np.unwrap(angles[::2], axis=0), axis=0) / (2 * step)
    apart = abs(float(rarer.mean()) - rate.value) if rarer.size else 0.0
    if far > FAR_TURNS or apart > rate.high - rate.low:
        warnings.warn(
            f"states: saved too rarely to follow turns: {100 * far:.2g} % of the moves are more than a quarter circle, "
            f"and every second state gives a rate that differs by {apart:.2g}: save more often, or take another centre",
            checks.AccuracyWarning,
            stacklevel=2,
        )
    return rate


def path_entropy_production(
    states: ArrayLike,
    times: ArrayLike,
    drift: Callable[[Array], ArrayLike],
    D: ArrayLike,
    beta: float = 1.0,
    *,
    confidence: float = 0.95,
) -> Rate:
    """Entropy production per time of a stationary process from its paths: the work β ∫ b·D^-1 ∘ dX (Stratonovich).

    Parameters
    ----------
    states : array (times, d) or (times, paths, d)
        Saved finely: the midpoint rule leaves an error of second order in the saved step.
    times : array (times,)
    drift : callable, points (..., d) -> (..., d)
        b of dX = b dt + sqrt(2 D/β) dW.
    D : array (d, d), constant, positive definite
    beta : float > 0
    confidence : float in (0, 1)

    Returns
    -------
    Rate

    Raises
    ------
    ValueError
        A matrix that is not positive definite, a drift of another shape, unequal times, too few of them.

    Examples
    --------
    >>> import pdelab as pl
    >>> turning, times = pl.Diffusion(["-x - y", "x - y"], 1.0), np.arange(0.0, 8.0, 0.02)
    >>> run = pl.simulate(turning, [0.0, 0.0], times, 0.02, paths=24, seed=1)
    >>> rate = path_entropy_production(run.states[50:], run.times[50:],
    ...                                lambda x: x @ np.array([[-1.0, 1.0], [-1.0, -1.0]]), np.eye(2) / 2)
    >>> bool(rate.low < 2.0 < rate.high)                                 # β tr(Qᵀ D⁻¹ Q Σ) = 2
    True
    """
    states, step = trajectories(states, times, least=1)
    D, beta = _matrix("D", D, states.shape[-1]), checks.positive("beta", beta)
    if np.linalg.eigvalsh(D)[0] <= 0:
        raise ValueError("D: expected a positive definite matrix, got one that is not")
    if not callable(drift):
        checks.refuse("drift", "a function of points (..., d)", drift)
    checks.takes("drift", drift, "(points)")
    forces = checks.reals("drift", drift(0.5 * (states[1:] + states[:-1])))
    if forces.shape != states[1:].shape:
        raise ValueError(f"drift: expected values of shape {states[1:].shape}, got {forces.shape}")
    work = beta * (forces @ np.linalg.inv(D) * np.diff(states, axis=0)).sum(-1)
    return _rate(work / step, checks.within("confidence", confidence, 0, 1, "()"))


def _rate(values, confidence):
    """Mean of values (times, paths) with Student's interval over paths, or over pieces of few paths."""
    count, paths = values.shape
    pieces = 1 if paths >= 12 else math.ceil(BATCHES / paths)
    length = count // pieces
    if length < 1:
        raise ValueError(f"states: expected at least {pieces + 1} saved times, got {count + 1}")
    batches = values[: length * pieces].reshape(pieces, length, paths).mean(1).ravel()
    error = batches.std(ddof=1) / math.sqrt(batches.size)
    half = float(scipy.stats.t.ppf(0.5 + 0.5 * confidence, batches.size - 1) * error)
    mean = float(batches.mean())
    return Rate(mean, mean - half, mean + half, confidence)


def _sign_flips(batches, seed):
    """p-value of symmetry around zero, batches (n, k): T², with the signs of whole batches flipped at random."""
    n, k = batches.shape
    second = batches.T @ batches  # does not change when signs do
    inverse = np.linalg.pinv(second, rcond=1e-10, hermitian=True)
    signs = np.random.default_rng(checks.whole("seed", seed, 0)).integers(0, 2, (FLIPS, n)) * 2.0 - 1
    sums, own = signs @ batches, batches.sum(0)
    larger = np.einsum("fk,kl,fl->f", sums, inverse, sums) >= own @ inverse @ own * (1 - 1e-12)
    return float((1 + larger.sum()) / (1 + FLIPS))


def _long_enough(centred, length):
    """Warn where batches are shorter than ten integrated correlation times of a coordinate."""
    count, _, d = centred.shape
    longest = 0.0
    for k in range(d):
        x = centred[:, 0, k]
        spectrum = np.abs(np.fft.rfft(x, 2 * count)) ** 2
        covariance = np.fft.irfft(spectrum)[:count] / max(float(x @ x), 1e-300)
        cut = int(np.argmax(covariance < 0)) or count
        longest = max(longest, 1 + 2 * float(covariance[1:cut].sum()))
    if length < 10 * longest:
        warnings.warn(
            f"pieces of {length} saved times are shorter than ten correlation times ({10 * longest:.0f}): intervals "
            "and p-value are too optimistic; give a longer trajectory or more of them",
            checks.AccuracyWarning,
            stacklevel=3,
        )


def trajectories(states, times, least):
    """States as (times, paths, d) of finite numbers and the spacing of the times."""
    states, times = checks.reals("states", states), checks.reals("times", times)
    if states.ndim == 2:
        states = states[:, None]
    if states.ndim != 3 or states.shape[-1] < least or not states.size:
        raise ValueError(
            f"states: expected an array (times, d) or (times, paths, d) with d >= {least}, got shape {states.shape}"
        )
    if not np.isfinite(states).all():
        raise ValueError("states: expected finite numbers, got some that are not")
    if times.shape != (states.shape[0],) or times.size < 2:
        raise ValueError(f"times: expected one for each of the {states.shape[0]} saved states, got shape {times.shape}")
    steps = np.diff(times)
    if not (steps > 0).all() or np.ptp(steps) > 1e-6 * steps.mean():
        raise ValueError("times: expected increasing times at equal distances, got others")
    return states, float(steps.mean())


def _matrix(name, matrix, d):
    matrix = np.atleast_2d(checks.reals(name, matrix))
    if matrix.shape != (d, d) or np.abs(matrix - matrix.T).max() > 1e-12 * np.abs(matrix).max():
        raise ValueError(f"{name}: expected a symmetric matrix ({d}, {d}), got shape {matrix.shape}")
    return matrix
