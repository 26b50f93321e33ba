"""Local entropy of a Loss at arbitrary points, with its gradient and Hessian: the integral over R^d, adaptively."""

import math
import warnings

import numpy as np

from pdelab.closed_forms import arguments, descent, moreau, quadrature
from pdelab.stepping import AccuracyWarning

__all__ = ["checked", "derivative", "proximal", "value"]

WIDEST = 1e150  # of scopes and temperatures, whose ratios are squared
LOST = 1e-15  # of a mass of size one


def derivative(f, points, gamma, beta, order):
    """f_gamma, its gradient or its Hessian at points."""
    return (value, _gradient, _hessian)[order](f, points, gamma, beta)


def value(f, points, gamma, beta, name="gamma"):
    """f_gamma at points (..., d), in one dimension (...,)."""
    f, x, shape, beta, gamma = checked(f, points, gamma, beta, name)
    if gamma == 0.0:
        return np.asarray(f(points), dtype=float)
    u = descent.minimise(f, x, gamma)[0] if math.isinf(beta) else _integrated(f, x, gamma, beta)[0]
    return u.reshape(shape)


def proximal(f, points, t):
    """argmin_y f(y) + |x - y|²/(2t) at points (..., d), in one dimension (...,); any of them on ties."""
    f, x, _, _, t = checked(f, points, t, math.inf, "t")
    y = x if t == 0.0 else descent.minimise(f, x, t)[1]
    return y.reshape(np.shape(points))


def _gradient(f, points, gamma, beta):
    f, x, _, beta, gamma = checked(f, points, gamma, beta)
    if gamma == 0.0:
        return np.asarray(f.gradient(points), dtype=float)
    if math.isinf(beta):
        slope = (x - descent.minimise(f, x, gamma)[1]) / gamma
    else:
        slope = -_integrated(f, x, gamma, beta, moments=True)[1] / gamma
    return slope.reshape(np.shape(points))


def _hessian(f, points, gamma, beta):
    f, x, shape, beta, gamma = checked(f, points, gamma, beta)
    d, identity = f.dimension, np.eye(f.dimension)
    if gamma == 0.0:
        return np.asarray(f.hessian(points), dtype=float)
    if math.isinf(beta):
        result = moreau.bends(f, x, gamma)
    else:
        result = (identity - beta / gamma * _integrated(f, x, gamma, beta, moments=True)[2]) / gamma
    return result.reshape(shape) if d == 1 else result.reshape(*shape, d, d)


def _integrated(f, x, gamma, beta, moments=False):
    """`quadrature.integrate` as a tuple, with a warning where the logarithm has lost its digits."""
    for name, value in (("gamma", gamma), ("beta", beta)):
        if not 1 / WIDEST <= value <= WIDEST:
            raise ValueError(
                f"{name}: expected 0, inf or a number from 1e-150 to 1e150, got {value:.6g}: choose other units"
            )
    parts = quadrature.integrate(f, x, gamma, beta, moments)
    parts = parts if moments else (parts,)
    size, lost = float(np.abs(parts[0]).max()), LOST / beta
    if lost > 0.01 * size:
        warnings.warn(
            f"the local entropy, up to {size:.3g}, is known to some {lost:.1g} only, rounding over beta, and its "
            "derivatives as well: take a larger beta, or values on a Grid, where the mean of f needs no logarithm",
            AccuracyWarning,
            stacklevel=5,
        )
    return parts


def checked(f, points, gamma, beta, name="gamma"):
    """(Loss, points (P, d), shape of the answer, beta, gamma) of what was given at points; ValueError in words."""
    f = arguments.loss(f)
    x, shape = arguments.points(points, f.dimension)
    scopes, many = arguments.times(gamma, name)
    if many:
        raise ValueError(f"{name}: expected one number for values at points, got {len(scopes)}: call once for each")
    if scopes[0] > 0.0:
        arguments.below_infinity(f(x[:, 0] if f.dimension == 1 else x), x)
    return f, x, shape, arguments.inverse_temperature(beta), float(scopes[0])
