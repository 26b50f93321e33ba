"""Local entropy of a Loss at arbitrary points, with its gradient and Hessian: the integral over R^d, adaptively."""

import math

import numpy as np

from pdelab.closed_forms import descent, door, quadrature
from pdelab.grid import Grid


def derivative(f, points, gamma, beta, order):
    """f_gamma, its gradient or its Hessian at points."""
    return (value, _gradient, _hessian)[order](f, points, gamma, beta)


def value(f, points, gamma, beta, name="gamma"):
    """f_gamma at points (..., d), in one dimension (...,)."""
    f, x, shape, beta, gamma = _checked(f, points, gamma, beta, name)
    if gamma == 0.0:
        return np.asarray(f(points), dtype=float)
    u = descent.minimise(f, x, gamma)[0] if math.isinf(beta) else quadrature.integrate(f, x, gamma, beta)
    return u.reshape(shape)


def proximal(f, points, t):
    """argmin_y f(y) + |x - y|²/(2t) at points (..., d), in one dimension (...,); any of them on ties."""
    f, x, _, _, t = _checked(f, points, t, math.inf, "t")
    y = x if t == 0.0 else descent.minimise(f, x, t)[1]
    return y.reshape(np.shape(points))


def local_entropy_gradient(f, points, gamma, beta):
    """grad f_gamma(x) = (x - <y>)/gamma, the mean over rho_1(y; x) ~ exp(-beta (f(y) + |x - y|²/(2 gamma))).

    Parameters
    ----------
    f : Loss
    points : array (..., d), in one dimension (...,), or Grid
        Of a Grid: its nodes. The integral is over R^d, whatever the boundary of the grid.
    gamma : float >= 0
        Scope.
    beta : float > 0 or inf
        Inverse temperature; inf gives (x - y*)/gamma with the proximal point y*.

    Returns
    -------
    array of the shape of `points`

    Notes
    -----
    Chaudhari, thesis (3.10) and (4.12), with the sign of the latter.

    Examples
    --------
    >>> import pdelab as pl
    >>> f = pl.losses.quadratic(2.0)
    >>> round(float(local_entropy_gradient(f, 1.0, 0.5, 3.0)), 12)          # 2/(1 + 2 gamma)
    1.0
    """
    return _derivative(f, points, gamma, beta, 1)


def _gradient(f, points, gamma, beta):
    f, x, _, beta, gamma = _checked(f, points, gamma, beta)
    if gamma == 0.0:
        return np.asarray(f.gradient(points), dtype=float)
    if math.isinf(beta):
        slope = (x - descent.minimise(f, x, gamma)[1]) / gamma
    else:
        slope = -quadrature.integrate(f, x, gamma, beta, moments=True)[1] / gamma
    return slope.reshape(np.shape(points))


def local_entropy_hessian(f, points, gamma, beta):
    """Hess f_gamma(x) = (1/gamma)(I - (beta/gamma) Cov(y)) over rho_1(y; x).

    Parameters as for `local_entropy_gradient`; beta = inf gives (I - (I + gamma Hess f(y*))^-1)/gamma, away from kinks.

    Returns
    -------
    array (..., d, d), in one dimension (...,)

    Examples
    --------
    >>> import pdelab as pl
    >>> round(float(local_entropy_hessian(pl.losses.quadratic(2.0), 1.0, 0.5, 3.0)), 12)     # 2/(1 + 2 gamma)
    1.0
    """
    return _derivative(f, points, gamma, beta, 2)


def _derivative(f, where, gamma, beta, order):
    """At points, or at the nodes of a Grid by way of one sampled neighbourhood."""
    if not isinstance(where, Grid):
        return derivative(f, where, gamma, beta, order)
    from pdelab.closed_forms import sampled  # which compares its fields with values at points

    f, _, _, beta, gamma = _checked(door.loss(f, where.dimension), where.points, gamma, beta)
    return sampled.local_entropy(f, where, gamma, beta, order)


def _hessian(f, points, gamma, beta):
    f, x, shape, beta, gamma = _checked(f, points, gamma, beta)
    d, one = f.dimension, np.eye(f.dimension)
    if gamma == 0.0:
        return np.asarray(f.hessian(points), dtype=float)
    if math.isinf(beta):
        y = descent.minimise(f, x, gamma)[1]
        bend = np.asarray(f.hessian(y[:, 0] if d == 1 else y)).reshape(-1, d, d)
        result = (one - np.linalg.inv(one + gamma * bend)) / gamma
    else:
        result = (one - beta / gamma * quadrature.integrate(f, x, gamma, beta, moments=True)[2]) / gamma
    return result.reshape(shape) if d == 1 else result.reshape(*shape, d, d)


def _checked(f, points, gamma, beta, name="gamma"):
    f = door.loss(f)
    x, shape = door.points(points, f.dimension)
    scopes, many = door.times(gamma, name)
    if many:
        raise ValueError(f"{name}: expected one number for values at points")
    return f, x, shape, door.inverse_temperature(beta), float(scopes[0])
