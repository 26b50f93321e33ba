"""Second derivatives of the Moreau envelope u(x) = min over y of f(y) + |x - y|²/(2t): (I - Dy)/t, y the minimiser.

Where f is smooth at y, Dy = (I + t Hess f(y))^-1. A minimiser on a kink or a cusp does not move across it: Dy is zero
along the coordinates that are held there, and the formula along the others. Where the minimiser may be on one, its
differences decide: they are trusted where both sides agree.
"""

import math
import warnings

import numpy as np

from pdelab.checks import AccuracyWarning
from pdelab.closed_forms import descent
from pdelab.losses import enclosures

__all__ = ["bends"]

NEAR = 1e-7  # how near a kink, relative to the coordinates, a minimiser may be on it
STEP = 1e-5  # of the differences, relative likewise
HELD = 1e-6  # of a step: a minimiser that moves less is held
SIDES = 1e-2  # by how much differences to either side, and the formula, may differ
SECOND = 1e-5  # the same of steps of two lengths, which both see both sides, where there is no formula


def bends(f, x, t):
    """Hess u at points x (P, d): (P, d, d). NaN, with a warning, where it does not exist or cannot be told."""
    count, d = x.shape
    y = descent.minimise(f, x, t)[1]
    own = np.asarray(f.hessian(y[:, 0] if d == 1 else y)).reshape(-1, d, d)
    bend = np.eye(d) + t * own
    moves, certain = _inverse(bend)
    result = np.where(certain[:, None, None], own, 0.0) @ moves  # (I - Dy)/t without its cancellation
    doubtful = np.flatnonzero(~certain | _kinks(f, x, y, t))
    if d == 1 and doubtful.size:
        held = _held(f, x[doubtful], y[doubtful], t)
        result[doubtful[held]] = 1.0 / t
        doubtful = doubtful[~held]
    if doubtful.size:
        moves = _differences(f, x[doubtful], y[doubtful], t, bend[doubtful])
        result[doubtful] = (np.eye(d) - moves) / t
        lost = np.isnan(result).any(axis=(1, 2))
        if lost.any():
            warnings.warn(
                f"at {int(lost.sum())} of {count} points, as at {x[lost][0].tolist()}, the minimiser jumps, or comes "
                "to a kink of f or leaves it, or rounding hides how it moves: there is no second derivative, NaN; "
                "take other points or a finite beta",
                AccuracyWarning,
                stacklevel=6,
            )
    return 0.5 * (result + result.swapaxes(1, 2))


def _inverse(bend):
    """(the inverses, nonsense where they are not positive; where they are)."""
    fine = np.isfinite(bend).all(axis=(1, 2))
    fine[fine] = np.linalg.eigvalsh(bend[fine])[:, 0] > 1e-12
    return np.linalg.inv(np.where(fine[:, None, None], bend, np.eye(bend.shape[1]))), fine


def _kinks(f, x, y, t):
    """Where f may have a kink at y (P,): by its enclosures, or where slopes on either side differ too much."""
    d = x.shape[1]
    size = np.maximum(np.abs(x), np.abs(y)).max(axis=1, keepdims=True)
    here, pull = _slopes(f, y), (x - y) / t
    scale = np.abs(pull).max(axis=1) + np.abs(here).max(axis=1)
    kink = ~(np.abs(here - pull).max(axis=1) <= 1e-4 * scale + 1e-300)
    if f.formula is not None:
        near = NEAR * size + np.finfo(float).tiny
        return kink | ~np.isfinite(enclosures.enclose(f, y - near, y + near)[2]).all(axis=(1, 2))
    away = 1e-6 * np.where(size > 0.0, size, math.sqrt(t))
    hessian = np.asarray(f.hessian(y[:, 0] if d == 1 else y)).reshape(-1, d, d)
    for k in range(d):
        step = away * np.eye(d)[k]
        change = _slopes(f, y + step) - _slopes(f, y - step) - 2.0 * away * hessian[:, :, k]
        kink |= ~(np.abs(change).max(axis=1) <= 1e-3 * (scale + 2.0 * away[:, 0] * np.abs(hessian).max(axis=(1, 2))))
    return kink


def _held(f, x, y, t):
    """Where on a line y (P, 1) is held by a kink: the pull to x lies between the slopes on both sides, and not by bend.

    What the slope gains on the next step out is what the bend of a smooth f would gain on this one.
    """
    size = np.maximum(np.abs(x), np.abs(y))
    away = 1e-6 * np.where(size > 0.0, size, math.sqrt(t))
    slopes = [_slopes(f, y + k * away) for k in (-2.0, -1.0, 1.0, 2.0)]
    gains = [np.maximum(slopes[1] - slopes[0], 0.0), np.maximum(slopes[3] - slopes[2], 0.0)]
    margin, pull = 1e-3 * (slopes[2] - slopes[1]), (x - y) / t
    return ((pull > slopes[1] + 2.0 * gains[0] + margin) & (pull < slopes[2] - 2.0 * gains[1] - margin))[:, 0]


def _slopes(f, y):
    return np.asarray(f.gradient(y[:, 0] if y.shape[1] == 1 else y)).reshape(y.shape)


def _differences(f, x, y, t, bend):
    """Dy (P, d, d) by differences, made exact where the minimiser is held or moves as a formula says; NaN elsewhere."""
    count, d = x.shape
    size = np.maximum(np.abs(x), np.abs(y)).max(axis=1)
    step = STEP * np.where(size > 0.0, size, math.sqrt(t))[:, None]
    moves = np.empty((2, 2, count, d, d))  # steps of two lengths, to both sides
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccuracyWarning)  # of minima, told at the points themselves
        for k in range(d):
            for m, length in enumerate((1.0, 0.5)):
                for side, sign in enumerate((1.0, -1.0)):
                    there = x + sign * length * step * np.eye(d)[k]
                    went = there[:, k] - x[:, k]
                    moves[m, side, ..., k] = (descent.minimise(f, there, t)[1] - y) / went[:, None]
    apart = np.abs(moves - moves[0, 0]).max(axis=(0, 1, 3, 4))
    mean = moves.mean(axis=1)
    settled = (apart <= SIDES) & (np.abs(mean[0] - mean[1]).max(axis=(1, 2)) <= SECOND)
    result = np.full((count, d, d), math.nan)
    result[settled] = 0.5 * (mean[1] + mean[1].swapaxes(1, 2))[settled]
    for p in np.flatnonzero(apart <= SIDES):
        free = np.abs(moves[:, :, p]).max(axis=(0, 1, 3)) > HELD
        formula, block = np.zeros((d, d)), np.ix_(free, free)
        inverse, fine = _inverse(bend[p][block][None]) if free.any() else (np.empty((1, 0, 0)), [True])
        formula[block] = inverse[0]
        if fine[0] and np.abs(formula - mean[1, p]).max() <= SIDES * max(1.0, np.abs(formula).max()):
            result[p] = formula
    return result
