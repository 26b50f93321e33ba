"""Exact solutions of Burgers' equation: Riemann problems, travelling waves, characteristics before the shock."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.burgers.shocks import first_meeting
from pdelab.grid import Grid, reals
from pdelab.hints import Array
from pdelab.losses import Loss

__all__ = ["characteristics", "riemann", "shock_time", "travelling_wave"]


def riemann(left: float, right: float, x: ArrayLike, t: float) -> Array:
    """Entropy solution of p_t + (p²/2)_x = 0 from p = left for x < 0, right for x > 0.

    A shock of speed (left + right)/2 when left > right (Rankine-Hugoniot), else a rarefaction p = x/t between the two.

    Parameters
    ----------
    left, right : float
    x : array
    t : float >= 0

    Returns
    -------
    array of the shape of x

    Raises
    ------
    ValueError
        Numbers that are not finite, t < 0.

    Examples
    --------
    >>> riemann(0.0, 1.0, [-1.0, 0.5, 3.0], 2.0)
    array([0.  , 0.25, 1.  ])
    """
    left, right, x, t = _number(left, "left"), _number(right, "right"), _points(x), _time(t)
    if left > right or t == 0:
        return np.where(x < 0.5 * (left + right) * t, left, right)
    return np.clip(x / t, left, right)


def travelling_wave(left: float, right: float, x: ArrayLike, t: float, viscosity: float) -> Array:
    """The viscous shock from left to right < left: p = c - a tanh(a (x - c t)/(2ν)), c, a = (left ± right)/2.

    Solves p_t + p p_x = ν p_xx for all time and tends to the shock of `riemann` as ν -> 0.

    Parameters
    ----------
    left, right : float
        States at -inf and +inf, left > right.
    x : array
    t : float >= 0
    viscosity : float > 0
        ν.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    ValueError
        left <= right, which no wave joins; ν <= 0, t < 0, numbers that are not finite.

    Examples
    --------
    >>> travelling_wave(1.0, -1.0, [-1.0, 0.0, 1.0], 0.0, viscosity=0.1).round(4)
    array([ 0.9999,  0.    , -0.9999])
    """
    left, right, viscosity = _number(left, "left"), _number(right, "right"), checks.positive("viscosity", viscosity)
    if not left > right:
        raise ValueError(f"left, right: expected left > right, got {left} and {right}: others spread")
    c, a = 0.5 * (left + right), 0.5 * (left - right)
    return c - a * np.tanh(a * (_points(x) - c * _time(t)) / (2 * viscosity))


def shock_time(loss: Loss, grid: Grid) -> float:
    """t* = 1/max(-f''), when the characteristics of p = f' first meet; math.inf for a convex f.

    The maximum is over the box of the one-dimensional grid (Chaudhari, thesis Example 4.14); at a concave kink t* = 0.

    Parameters
    ----------
    loss : Loss of one variable
        f, with p(·, 0) = f'. Of a formula f'' is enclosed over the box; of functions it is looked at on the nodes and
        followed to its minimum from the best one.
    grid : Grid
        One dimension; of a formula the nodes do not matter.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        A grid of several dimensions, a loss of several variables.

    Warns
    -----
    AccuracyWarning
        An earlier shock is not excluded, by more than 1 %: of functions the middles of the cells show it.

    Examples
    --------
    >>> import pdelab as pl
    >>> shock_time(pl.Loss("cos(x)"), pl.Grid(-1.0, 1.0, 201))
    1.0
    """
    if grid.dimension != 1:
        raise ValueError(f"grid: expected one dimension, got {grid.dimension}")
    return first_meeting(_of_one_variable(loss), grid)


def characteristics(loss: Loss, x: ArrayLike, t: float) -> Array:
    """p(x, t) = f'(y) with x = y + t f'(y): the inviscid solution before its shock (thesis (4.36)).

    Parameters
    ----------
    loss : Loss of one variable
        f, with p(·, 0) = f'.
    x : array
    t : float >= 0, below the shock time

    Returns
    -------
    array of the shape of x

    Raises
    ------
    ValueError
        Characteristics that come to these points, or start between their feet, have met: the feet are not unique.

    Examples
    --------
    >>> import pdelab as pl
    >>> characteristics(pl.Loss("x**2/2"), 3.0, 0.5)                     # x/(1 + t)
    2.0
    """
    loss, x, t = _of_one_variable(loss), _points(x), _time(t)
    if not x.size:
        return x
    low, high = _bracket(loss, x, t)
    for _ in range(60):
        middle = 0.5 * (low + high)
        beyond = middle + t * loss.gradient(middle) > x
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    y = 0.5 * (low + high)
    between = np.concatenate([np.ravel(y), np.linspace(y.min(), y.max(), 2001)])
    if not (1 + t * loss.hessian(between) > 0).all():
        foot = float(between[np.argmin(loss.hessian(between))])
        raise ValueError(
            f"t: expected a time before the first shock, got {t}: characteristics from {foot:.6g} have met"
        )
    _only_feet(loss, np.ravel(x), np.ravel(y), t)
    y = y - (y + t * loss.gradient(y) - x) / (1 + t * loss.hessian(y))
    return loss.gradient(y)


def _only_feet(loss, x, y, t):
    """ValueError where characteristics from elsewhere come to the same points, too: all further left end further left.

    Sampled up to 10^7 times as far away as the feet, the finer the nearer.
    """
    reach = max(float(np.abs(y - x).max()), 1e-4)
    starts = np.unique([np.linspace(x.min() - far, x.max() + far, 1001) for far in reach * 2.0 ** np.arange(24)])
    with np.errstate(all="ignore"):
        ends = starts + t * loss.gradient(starts)
    slack = 1e-9 * (1 + np.abs(x) + reach)
    before = np.append(-math.inf, np.fmax.accumulate(ends))[np.searchsorted(starts, y, side="left")]
    after = np.append(np.fmin.accumulate(ends[::-1])[::-1], math.inf)[np.searchsorted(starts, y, side="right")]
    met = (before > x + slack) | (after < x - slack)
    if met.any():
        k = int(np.argmax(met))
        raise ValueError(
            f"t: expected a time before the first shock, got {t}: at x = {x[k]:.6g} characteristics from {y[k]:.6g} "
            "and elsewhere have met, where p = (x - pdelab.proximal(...))/t is the solution"
        )


def _bracket(loss, x, t):
    """Feet on either side of the true ones, found by doubling the distance."""
    low, high, reach = x.copy(), x.copy(), np.full(x.shape, 1e-3)
    for _ in range(200):
        short, long = low + t * loss.gradient(low) > x, high + t * loss.gradient(high) < x
        if not (short.any() or long.any()):
            return low, high
        low, high = np.where(short, low - reach, low), np.where(long, high + reach, high)
        reach = np.where(short | long, 2 * reach, reach)
    raise ValueError(
        "loss: expected a gradient that grows at most linearly, got one that grows faster: take a smaller t"
    )


def _number(value, name):
    number = reals(value, f"{name}: expected a finite number")
    if number.ndim or not np.isfinite(number):
        raise ValueError(f"{name}: expected a finite number, got {value!r}")
    return float(number)


def _time(t):
    if _number(t, "t") < 0:
        raise ValueError(f"t: expected a finite number >= 0, got {t!r}")
    return float(t)


def _points(x):
    x = reals(x, "x: expected finite numbers")
    if not np.isfinite(x).all():
        raise ValueError("x: expected finite numbers, got NaN or infinity")
    return x


def _of_one_variable(loss):
    if getattr(loss, "dimension", None) != 1:
        raise ValueError(f"loss: expected a Loss of one variable, got {loss!r}")
    return loss
