"""Local entropy of a Loss at arbitrary points, with its gradient and Hessian: the integral over R^d, adaptively."""

import math
import warnings

import numpy as np

from pdelab.checks import AccuracyWarning
from pdelab.closed_forms import arguments, branching, descent, mild, moreau, narrow, quadrature
from pdelab.grid import Grid

__all__ = ["check_whole", "checked", "derivative", "proximal", "value"]

WIDEST = 1e150  # of scopes and temperatures, whose ratios are squared
LOST = 1e-15  # of a mass of size one
COLD = 1e-17  # 1/beta over the size of u, below which beta is infinite for float64
CLOSE = 1e-6  # a kernel's width over the size of x, from which on values are of f near by
FLOATS = 1e6  # gaps between floats in a width, from which on the rounding of places costs no digits
MILD = 1e-2  # beta times what f moves by over a width, up to which logarithms of means leave few digits
MOMENTS = 1e-12  # of a mean or a covariance, relative to the kernel's
BESIDE, FAR, ACROSS = 1e-7, 0.1, 1e-3  # relative steps of slopes beside a point and far from it; what bends may differ
TOLD = 1e-4  # of a value or a derivative, from which it is warned


def derivative(f, points, gamma, beta, order):
    """f_gamma, its gradient or its Hessian at points."""
    f, x, shape, beta, gamma = checked(f, points, gamma, beta)
    d = f.dimension
    if gamma == 0.0:
        if order == 2:
            _tell_of_differences(f, x)
        return np.asarray((f, f.gradient, f.hessian)[order](points), dtype=float)
    result, done = np.empty((len(x), *(d,) * order)), np.zeros(len(x), dtype=bool)
    if not math.isinf(beta):
        _in_range(gamma, beta)
    for way in (_narrow, _mild, _cold):
        rows = np.flatnonzero(~done)
        if rows.size:
            done[rows], part = way(f, x[rows], gamma, beta, order)
            result[rows[done[rows]]] = part
    if not done.all():
        if d > 3:
            raise ValueError(
                f"f: expected at most 3 variables, or a formula that is a sum of functions of at most 3 each, got {d}: "
                "take beta=inf, or sample"
            )
        result[~done] = _wide(f, x[~done], gamma, beta, order, np.abs(branching.values(f, x)).max())
    return result.reshape(shape if d == 1 else (*shape, *(d,) * order))


def value(f, points, gamma, beta, name="gamma"):
    """f_gamma at points (..., d), in one dimension (...,)."""
    if name == "gamma":
        return derivative(f, points, gamma, beta, 0)
    f, x, shape, _, t = checked(f, points, gamma, beta, name)
    return np.asarray(f(points), dtype=float) if t == 0.0 else descent.minimise(f, x, t)[0].reshape(shape)


def proximal(f, points, t):
    """argmin_y f(y) + |x - y|²/(2t) at points (..., d), in one dimension (...,); any of them on ties."""
    f, x, _, _, t = checked(f, points, t, math.inf, "t")
    y = x if t == 0.0 else descent.minimise(f, x, t)[1]
    return y.reshape(np.shape(points))


def _envelope(f, x, gamma, order):
    """Without noise: the Moreau envelope."""
    if order == 2:
        return moreau.bends(f, x, gamma)
    u, y = descent.minimise(f, x, gamma)
    return u if order == 0 else (x - y) / gamma


def _in_range(gamma, beta):
    for name, value in (("gamma", gamma), ("beta", beta)):
        if not 1 / WIDEST <= value <= WIDEST:
            raise ValueError(
                f"{name}: expected 0, inf or a number from 1e-150 to 1e150, got {value:.6g}: choose other units"
            )


def _cold(f, x, gamma, beta, order):
    """(where 1/beta is lost in the rounding of u (P,), the answer there: as without noise)."""
    if math.isinf(beta):
        return np.ones(len(x), dtype=bool), _envelope(f, x, gamma, order)
    done = 1.0 / beta <= COLD * np.abs(branching.values(f, x))
    if done.any():
        done[done] = 1.0 / beta <= COLD * np.abs(descent.minimise(f, x[done], gamma, told=False)[0])
    return done, _envelope(f, x[done], gamma, order) if done.any() else np.empty((0, *(f.dimension,) * order))


def _narrow(f, x, gamma, beta, order):
    """(where `narrow` has the answer (P,), the answer there)."""
    d, done = f.dimension, np.zeros(len(x), dtype=bool)
    wanted = np.full(len(x), d <= 3)
    if order == 0:
        close = math.sqrt(gamma / beta) <= CLOSE * np.abs(x).max(axis=1)
        wanted &= (close & (gamma / beta > 0.0)) | _is_mild(f, x, gamma, beta)
    if wanted.any():
        wanted[wanted] = gamma * _size(f, x[wanted]) <= narrow.SHORT
    rows = np.flatnonzero(wanted)
    if rows.size:
        fine, *parts = narrow.integrate(f, x[rows], gamma, beta)
        done[rows] = fine
        if order == 2 and fine.any():
            _tell_of_differences(f, x[rows[fine]])
    return done, parts[order][fine] if rows.size else np.empty((0, *(d,) * order))


def _tell_of_differences(f, x):
    """Warn where Hess f of functions at x (P, d) is not what the slopes close by say: a difference across a kink."""
    if f.formula is not None:
        return
    d, size = f.dimension, np.maximum(1.0, np.abs(x).max(axis=1))[:, None]
    own, apart, scale = np.asarray(f.hessian(x[:, 0] if d == 1 else x)).reshape(-1, d, d), 0.0, 0.0
    for k in range(d):
        slopes = [_slopes(f, x + step * size * np.eye(d)[k]) for step in (-BESIDE, BESIDE, -FAR, FAR)]
        moved = (x + BESIDE * size)[:, k] - (x - BESIDE * size)[:, k]
        bend = (slopes[1] - slopes[0]) / moved[:, None]
        apart = np.maximum(apart, np.abs(bend - own[:, :, k]).max(axis=1))
        scale = np.maximum(scale, np.abs(slopes).max(axis=(0, 2)))
    wrong = apart > ACROSS * np.abs(own).max(axis=(1, 2)) + CLOSE * scale
    if wrong.any():
        warnings.warn(
            f"f: its Hessian near {x[wrong][0].tolist()} differs by {apart[wrong].max():.2g} from what its slopes "
            "close by say, as differences across a kink do: give the Hessian to Loss.from_functions, or f as a formula",
            AccuracyWarning,
            stacklevel=5,
        )


def _slopes(f, y):
    return np.asarray(f.gradient(y[:, 0] if y.shape[1] == 1 else y)).reshape(y.shape)


def _mild(f, x, gamma, beta, order):
    """(where `mild` has the answer (P,), the answer there): values alone."""
    done, u = np.zeros(len(x), dtype=bool), np.empty((0, *(f.dimension,) * order))
    rows = np.flatnonzero(_is_mild(f, x, gamma, beta)) if order == 0 and f.dimension <= 3 else ()
    if len(rows):
        done[rows], u = mild.integrate(f, x[rows], gamma, beta)
        u = u[done[rows]]
    return done, u


def _is_mild(f, x, gamma, beta):
    """Where the logarithm of a mean would leave few digits (P,)."""
    if math.isinf(beta) or gamma / beta == 0.0:
        return np.zeros(len(x), dtype=bool)
    width = math.sqrt(gamma / beta)
    return (beta * mild.moves(f, x, width) <= MILD) & (width >= FLOATS * np.spacing(np.abs(x).max(axis=1)))


def _size(f, x):
    """The largest entry of Hess f (P,), infinite where it is not finite."""
    bend = np.abs(np.asarray(f.hessian(x[:, 0] if f.dimension == 1 else x)).reshape(len(x), -1)).max(axis=1)
    return np.where(np.isfinite(bend), bend, math.inf)


def _wide(f, x, gamma, beta, order, scale):
    """By means and covariances of y; a warning where these leave few digits. scale: of f at all points asked for."""
    width = math.sqrt(gamma / beta)
    lost = width < np.spacing(np.abs(x).max(axis=1))
    if lost.any():
        raise ValueError(
            f"gamma, beta: the kernel's width {width:.2g} is less than a gap between floats next to "
            f"{x[lost][0].tolist()}, where f bends by more than 1/gamma: take gamma=0, which is f itself, a larger "
            "gamma, or beta=inf"
        )
    parts, told = _integrated(f, x, gamma, beta, order > 0, scale)
    if order == 0:
        return parts[0]
    if order == 1:
        result, lost = -parts[1] / gamma, MOMENTS / math.sqrt(gamma * beta)
    else:
        result, lost = (np.eye(f.dimension) - beta / gamma * parts[2]) / gamma, MOMENTS / gamma
    few = np.flatnonzero(lost > TOLD * np.abs(result).reshape(len(x), -1).max(axis=1))
    if few.size and not told:
        own = _around(f, x[few], width, order, scale)
        k = int(np.argmin(own))
        if lost > TOLD * own[k]:
            warnings.warn(
                f"the derivative at {x[few[k]].tolist()} is known to some {lost:.1g} only, the rounding of a mean over "
                "so short a scope: take a larger gamma, or gamma=0 for the derivative of f itself",
                AccuracyWarning,
                stacklevel=5,
            )
    return result


def _around(f, x, width, order, scale):
    """The largest entry of a derivative of f at points x and a kernel's width beside them, or what f and x make of it.

    The latter, the scale of f over |x| or over |x|², is where the rounding of f itself begins to count.
    """
    d = f.dimension
    size = scale / (np.abs(x).max(axis=1) + width) ** order
    for step in width * np.concatenate([np.zeros((1, d)), np.eye(d), -np.eye(d)]):
        with np.errstate(all="ignore"):
            own = np.abs((f.gradient, f.hessian)[order - 1]((x + step)[:, 0] if d == 1 else x + step))
        own = own.reshape(len(x), -1)
        size = np.maximum(size, np.where(np.isfinite(own), own, 0.0).max(axis=1))
    return size


def _integrated(f, x, gamma, beta, moments, scale):
    """(`quadrature.integrate` as a tuple, was it warned that the logarithm has lost its digits?)."""
    parts = quadrature.integrate(f, x, gamma, beta, moments)
    parts = parts if moments else (parts,)
    size, lost = max(float(np.abs(parts[0]).max()), scale), LOST / beta
    told = lost > (0.01 if moments else TOLD) * size
    if told:
        warnings.warn(
            f"the local entropy, up to {size:.3g}, is known to some {lost:.1g} only, rounding over beta, and its "
            "derivatives as well: take a larger beta, or values on a Grid, where the mean of f needs no logarithm",
            AccuracyWarning,
            stacklevel=5,
        )
    return parts, told


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


def check_whole(f, where, gamma, beta, name="gamma"):
    """What is asked of a Loss on a Grid or at points, before its parts are asked for; ValueError in words."""
    if not isinstance(where, Grid):
        checked(f, where, gamma, beta, name)
        return
    arguments.loss(f, where.dimension)
    arguments.times(gamma, name)
    arguments.inverse_temperature(beta)
    arguments.below_infinity(f.on(where) if name == "t" else f(where.points), where.points)
