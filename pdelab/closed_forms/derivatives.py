"""Gradient and Hessian of the local entropy of a Loss, at points or at the nodes of a Grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pdelab.closed_forms import arguments, points, sampled, separable, turned
from pdelab.grid import Grid
from pdelab.losses import Loss

__all__ = ["local_entropy_gradient", "local_entropy_hessian"]


def local_entropy_gradient(f: Loss, where: Grid | ArrayLike, gamma: ArrayLike, beta: float) -> np.ndarray | float:
    """grad f_gamma(x) = (x - <y>)/gamma, the mean over rho_1(y; x) ~ exp(-beta (f(y) + |x - y|²/(2 gamma))).

    Parameters
    ----------
    f : Loss
    where : array (..., d), in one dimension (...,), or Grid
        Of a Grid: its nodes. The integral is over R^d, whatever the boundary of the grid.
    gamma : float >= 0, or a sequence of them on a grid
        Scope.
    beta : float > 0 or inf
        Inverse temperature; inf gives (x - y*)/gamma with the proximal point y*.

    Returns
    -------
    array of the shape of the points, (len(gamma), *shape) for a sequence

    Raises
    ------
    ValueError
        What `local_entropy` refuses; node values, which have no derivatives.

    Warns
    -----
    AccuracyWarning
        Scopes so short that rounding counts, next to kinks: how much of the derivative is known.

    Notes
    -----
    Chaudhari, thesis (3.10) and (4.12), with the sign of the latter. Where gamma |Hess f| is small this is <∇f>.

    Examples
    --------
    >>> import pdelab as pl
    >>> f = pl.losses.quadratic(2.0)
    >>> round(float(local_entropy_gradient(f, 1.0, 0.5, 3.0)), 12)          # 2/(1 + 2 gamma)
    1.0
    """
    return _derivative(f, where, gamma, beta, 1)


def local_entropy_hessian(f: Loss, where: Grid | ArrayLike, gamma: ArrayLike, beta: float) -> np.ndarray | float:
    """Hess f_gamma(x) = (1/gamma)(I - (beta/gamma) Cov(y)) over rho_1(y; x).

    beta = inf gives (I - (I + gamma Hess f(y*))^-1)/gamma, and 1/gamma along what a kink or a cusp holds y* at.

    Parameters
    ----------
    f : Loss
    where : Grid, or points (..., d), in one dimension (...,)
    gamma : float >= 0, or a sequence of them on a grid
        Scope.
    beta : float > 0 or inf
        Inverse temperature.

    Returns
    -------
    array (..., d, d), in one dimension (...,), for a sequence (len(gamma), *shape)

    Raises
    ------
    ValueError
        What `local_entropy` refuses; node values, which have no derivatives.

    Warns
    -----
    AccuracyWarning
        Without noise: NaN where y* jumps, or comes to a kink or leaves it, and where rounding hides how it moves.
        Scopes so short that rounding counts, next to kinks: how much of the derivative is known.

    Notes
    -----
    Where gamma |Hess f| is small, and f has no kinks, by parts: <Hess f> - beta Cov(∇f).

    Examples
    --------
    >>> import pdelab as pl
    >>> round(float(local_entropy_hessian(pl.losses.quadratic(2.0), 1.0, 0.5, 3.0)), 12)     # 2/(1 + 2 gamma)
    1.0
    """
    return _derivative(f, where, gamma, beta, 2)


def _derivative(f, where, gamma, beta, order):
    """At points, or at the nodes of a Grid by way of one sampled neighbourhood; of sums over coordinates each alone."""
    if terms := separable.parts(f) if isinstance(f, Loss) else ():
        points.check_whole(f, where, gamma, beta)
        return separable.combined(terms, where, order, lambda part, own: _derivative(part, own, gamma, beta, order))
    if turn := turned.turn(f, where, beta):
        points.check_whole(f, where, gamma, beta)
        own = turned.evaluated(turn, where, order, gamma, lambda part, y, t: _derivative(part, y, t, beta, order))
        if own is not None:
            return own
    if not isinstance(where, Grid):
        return points.derivative(f, where, gamma, beta, order)
    f, beta = arguments.loss(f, where.dimension), arguments.inverse_temperature(beta)
    arguments.below_infinity(f(where.points), where.points)
    return arguments.each_time(lambda scope: sampled.local_entropy(f, where, scope, beta, order), gamma, "gamma")
