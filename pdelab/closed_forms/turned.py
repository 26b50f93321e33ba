"""Closed forms of a formula with kinks, cusps or jumps along slanted planes, in coordinates that are turned with them.

The kernel and the parabola look the same along all axes: with x = R y, R orthogonal, f(R y) has the local entropy of f
at R y, and its derivatives are turned with it. Where all such planes are parallel or at right angles, they stand across
coordinate axes then, where boxes close in on them in one direction alone, and sums may go axis by axis. Cusps that are
so steep that floats next to them are too far apart are moved to 0, which has closer ones.
"""

import math
import warnings
from functools import lru_cache

import numpy as np

from pdelab.checks import AccuracyWarning
from pdelab.closed_forms import arguments
from pdelab.grid import Grid
from pdelab.losses import Loss, formulas

__all__ = ["evaluated", "turn"]

BLURRED = 1e-6  # of 1/beta, by which f may change between floats
SQUARE = 1e-12  # cosine of an angle that is a right one, and sine of one that is none


def turn(f, where=None, beta=math.inf):
    """(x0, R, f(x0 + R y) as a Loss) whose kinks stand across axes, or its cusps at 0; () where f is taken as it is.

    So it is without noise on a Grid, whose nodes are done together, and without noise cusps stay where they are.
    """
    if not isinstance(f, Loss) or f.formula is None or not formulas.is_kinked(f.formula):
        return ()
    beta = arguments.inverse_temperature(beta)
    if isinstance(where, Grid) and math.isinf(beta):
        return ()
    return _turn(f) or (() if math.isinf(beta) else _moved(f, beta))


@lru_cache(maxsize=64)
def _turn(f):
    try:
        matrix = _across(formulas.ridges(f.formula, f.variables)[0])
    except RecursionError:  # sums of hundreds of terms
        matrix = None
    return () if matrix is None else _written(f, np.zeros(f.dimension), matrix)


def _across(normals):
    """R, whose columns hold all the normals (m, d) of slanted planes; None where they do not fit or none is slanted."""
    axes = np.empty((0, normals.shape[1]))
    for normal in normals:
        normal = normal / np.abs(normal).max()
        normal /= np.linalg.norm(normal)
        rest = normal - axes.T @ (axes @ normal)
        if np.linalg.norm(rest) > SQUARE:
            if len(axes) and np.abs(axes @ normal).max() > SQUARE:
                return None
            axes = np.vstack([axes, normal])
    if not ((np.abs(axes) > SQUARE).sum(axis=1) > 1).any():
        return None
    return np.linalg.qr(np.vstack([axes, np.eye(normals.shape[1])]).T)[0]


def _moved(f, beta):
    """`turn` to the one cusp across each axis, where f changes by a share of 1/beta between the floats next to it."""
    origin = _cusps(f)
    if not origin.any():
        return ()
    beside = np.nextafter(origin, np.inf) + np.spacing(np.abs(origin))
    with np.errstate(all="ignore"):
        change = abs(float(f(beside[0] if f.dimension == 1 else beside) - f(origin[0] if f.dimension == 1 else origin)))
    return _at(f, tuple(origin)) if beta * change > BLURRED else ()


@lru_cache(maxsize=64)
def _at(f, origin):
    return _written(f, np.array(origin), np.eye(f.dimension))


@lru_cache(maxsize=64)
def _cusps(f):
    """Where along each axis all kinks across it are (d,), 0 where there is none or more than one place."""
    try:
        normals, constants = formulas.ridges(f.formula, f.variables)
    except RecursionError:
        return np.zeros(f.dimension)
    places = [set() for _ in range(f.dimension)]
    for normal, constant in zip(normals, constants):
        (axes,) = np.nonzero(normal)
        if len(axes) == 1:
            places[axes[0]].add(float(-constant / normal[axes[0]]))
    return np.array([own.pop() if len(own) == 1 else 0.0 for own in places])


def _written(f, origin, matrix):
    return origin, matrix, Loss(*formulas.turned(f.formula, f.variables, matrix, origin))


def evaluated(turn, where, order, gamma, function):
    """function(turned Loss, turned points, gamma), or its gradients (order 1) or Hessians (2), in coordinates of f.

    None where that is refused or warned of: f as it is tells why in its own words and places.
    """
    origin, matrix, part = turn
    grid, line = isinstance(where, Grid), len(origin) == 1
    x = where.points if grid else np.asarray(where, dtype=float)
    y = x - origin[0] if line else (x - origin) @ matrix

    def at(scope):
        own = np.asarray(function(part, y, scope))
        if order == 0 or line:
            return own
        if order == 1:
            return own @ matrix.T
        own = matrix @ own @ matrix.T
        return 0.5 * (own + own.swapaxes(-1, -2))

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", AccuracyWarning)
            return arguments.each_time(at, gamma, "gamma") if grid else at(gamma)
    except (ValueError, AccuracyWarning):
        return None
