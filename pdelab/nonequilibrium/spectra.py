"""Spectra of trajectories, with bands and the null that fits: a process that relaxes, not white noise (6.3.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from pdelab import checks
from pdelab.hints import Array
from pdelab.nonequilibrium.linear import Linear

__all__ = ["Spectrum", "autocorrelation", "increment_spectrum", "linear_spectrum", "spectrum"]


@dataclass(frozen=True)
class Spectrum:
    """Power spectral densities of several series, averaged.

    Attributes
    ----------
    frequencies : array (k,)
        Cycles per unit of time, 0 left out.
    power : array (k,)
        Mean over the series, each scaled to mean 1 over the frequencies when `normalise`.
    low, high : arrays (k,)
        Confidence band of the mean over the series; with one series, of its Welch average (χ²).
    """

    frequencies: Array
    power: Array
    low: Array
    high: Array


def spectrum(
    series: ArrayLike, step: float = 1.0, *, segments: int = 8, normalise: bool = True, confidence: float = 0.95
) -> Spectrum:
    """Welch's power spectral density (Hann windows, half overlapping) of series saved at equal times.

    Parameters
    ----------
    series : array (times,) or (times, series)
    step : float > 0
        Time between two entries.
    segments : int >= 1
        Pieces of a series. More pieces: less noise, fewer low frequencies. Good values: 4 to 32.
    normalise : bool
        Scale each series to mean power 1, so that weights of different size can be averaged.
    confidence : float in (0, 1)

    Returns
    -------
    Spectrum

    Raises
    ------
    ValueError
        A series shorter than 16 entries a segment, or constant.

    Examples
    --------
    >>> slow = np.cumsum(np.random.default_rng(0).normal(size=2048))
    >>> power = spectrum(slow, segments=8)
    >>> power.frequencies.size, bool(power.power[0] > 100 * power.power[-1])               # a random walk is red
    (128, True)
    """
    series, step = _series(series), checks.positive("step", step)
    segments = checks.whole("segments", segments)
    confidence = checks.within("confidence", confidence, 0, 1, "()")
    if series.shape[0] < 16 * segments:
        raise ValueError(
            f"series: expected at least {16 * segments} times for {segments} segments, got {series.shape[0]}"
        )
    length = series.shape[0] // segments
    frequencies, power = scipy.signal.welch(series, 1 / step, window="hann", nperseg=length, axis=0)
    frequencies, power = frequencies[1:], power[1:]
    if normalise:
        power = power / power.mean(0)
    mean = power.mean(1)
    if power.shape[1] > 1:
        error = power.std(1, ddof=1) / math.sqrt(power.shape[1])
        half = scipy.stats.t.ppf(0.5 + 0.5 * confidence, power.shape[1] - 1) * error
        return Spectrum(frequencies, mean, mean - half, mean + half)
    blocks = 2 * segments - 1  # half-overlapping, of Hann's shape (Percival and Walden 1993, section 6.17)
    freedom = 36 * blocks**2 / (19 * blocks - 1)
    low, high = freedom / scipy.stats.chi2.ppf([0.5 + 0.5 * confidence, 0.5 - 0.5 * confidence], freedom)
    return Spectrum(frequencies, mean, low * mean, high * mean)


def autocorrelation(series: ArrayLike, lags: ArrayLike) -> tuple[Array, float]:
    """Autocorrelation of series at some lags, averaged over them, and the 99 % band of white noise, 2.576/sqrt(n).

    The band is that of independent entries. Positions of a process that relaxes slowly lie outside it whether it has
    cycles or not, those of an Ornstein-Uhlenbeck process up to the lag log(sqrt(n)/2.576)/(rate step).

    Parameters
    ----------
    series : array (times,) or (times, series)
    lags : ints in [0, times)

    Returns
    -------
    (values, band) : array (lags,), float

    Raises
    ------
    ValueError
        A constant series, lags that are no whole numbers in [0, times).

    Examples
    --------
    >>> values, band = autocorrelation(np.sin(np.arange(1000)), [0, 1])
    >>> values.round(2), round(band, 3)                                  # cos(lag)
    (array([1.  , 0.54]), 0.081)
    """
    series = _series(series)
    lags = np.array([checks.whole("lags", lag, 0, series.shape[0] - 1) for lag in np.atleast_1d(np.asarray(lags))])
    centred = series - series.mean(0)
    square = (centred * centred).sum(0)
    values = [(centred[: len(centred) - lag] * centred[lag:]).sum(0) / square for lag in lags]
    return np.mean(values, axis=1), 2.576 / math.sqrt(series.shape[0])


def increment_spectrum(frequencies: ArrayLike, memory: float) -> Array:
    """The spectrum of increments of x_{t+1} = φ x_t + noise, scaled to mean 1: 4 sin²(w/2)/|1 - φ e^{iw}|² (1 + φ)/2.

    The null for increments of a process that relaxes: low frequencies are suppressed. That they are not (as for flat
    white noise, the wrong null) shows drift, not cycles.

    Parameters
    ----------
    frequencies : array
        Cycles per step, in [0, 1/2].
    memory : float in (-1, 1]
        φ, e.g. the autocorrelation of x at lag 1.

    Returns
    -------
    array
        Of the shape of `frequencies`.

    Raises
    ------
    ValueError
        A memory outside (-1, 1].

    Examples
    --------
    >>> increment_spectrum(np.array([0.0, 0.25, 0.5]), 0.5).round(3)
    array([0.   , 1.2  , 1.333])
    """
    w = 2 * math.pi * checks.reals("frequencies", frequencies)
    memory = checks.within("memory", memory, -1, 1, "(]")
    if memory == 1.0:
        return np.ones_like(w)
    return 0.5 * (1 + memory) * 4 * np.sin(w / 2) ** 2 / (1 - 2 * memory * np.cos(w) + memory**2)


def linear_spectrum(state: Linear, frequencies: ArrayLike) -> NDArray[np.complex128]:
    """The spectral matrix of dX = -F X dt + sqrt(2 D/β) dW, (k, d, d): (F + iω)^-1 (2D/β) (F^T - iω)^-1.

    In detailed balance its diagonal decreases with ω. So a peak in the spectrum of a coordinate shows that detailed
    balance is broken. The converse fails: complex eigenvalues of Q U need not make a peak.

    Parameters
    ----------
    state : Linear
    frequencies : array (k,)
        Angular frequencies ω in radians per time.

    Returns
    -------
    array (k, d, d), complex, Hermitian

    Raises
    ------
    ValueError
        What is not a Linear.

    Examples
    --------
    >>> from pdelab.nonequilibrium import linear
    >>> linear_spectrum(linear(np.eye(2), np.eye(2)), [0.0, 1.0])[:, 0, 0].real            # 2/(1 + ω²)
    array([2., 1.])
    """
    if not isinstance(state, Linear):
        checks.refuse("state", "what `linear` returns", state)
    omega = np.atleast_1d(checks.reals("frequencies", frequencies))
    shifted: NDArray[np.complex128] = state.F + 1j * omega[:, None, None] * np.eye(len(state.F))
    transfer = np.linalg.inv(shifted)
    return transfer @ (2 * state.D / state.beta) @ np.conj(np.swapaxes(transfer, -1, -2))


def _series(series):
    series = checks.reals("series", series)
    series = series[:, None] if series.ndim == 1 else series
    if series.ndim != 2 or series.shape[0] < 2 or not series.shape[1] or not np.isfinite(series).all():
        raise ValueError(f"series: expected an array (times,) or (times, series) of finite numbers, got {series.shape}")
    if (np.ptp(series, axis=0) == 0).any():
        raise ValueError("series: expected series that vary, got a constant one")
    return series
