"""Closed forms of a formula with kinks, cusps or jumps along slanted planes, in coordinates that are turned with them.

The kernel and the parabola look the same along all axes: with x = R y, R orthogonal, f(R y) has the local entropy of f
at R y, and its derivatives are turned with it. Where all such planes are parallel or at right angles, they stand across
coordinate axes then, where boxes close in on them in one direction alone, and sums may go axis by axis.
"""

import math
from functools import lru_cache

import numpy as np

from pdelab.closed_forms import arguments
from pdelab.grid import Grid
from pdelab.losses import Loss, formulas

__all__ = ["evaluated", "turn"]

SQUARE = 1e-12  # cosine of an angle that is a right one, and sine of one that is none


def turn(f, where=None, beta=math.inf):
    """(R, f(R y) as a Loss) for a formula whose kinks stand across axes then; () where it is better taken as it is.

    So it is without noise on a Grid, whose nodes are done together.
    """
    if not isinstance(f, Loss) or (isinstance(where, Grid) and math.isinf(arguments.inverse_temperature(beta))):
        return ()
    return _turn(f)


@lru_cache(maxsize=64)
def _turn(f):
    if f.formula is None or f.dimension == 1 or not formulas.is_kinked(f.formula):
        return ()
    try:
        matrix = _across(formulas.ridges(f.formula, f.variables))
        return () if matrix is None else (matrix, Loss(*formulas.turned(f.formula, f.variables, matrix)))
    except RecursionError:  # sums of hundreds of terms
        return ()


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


def evaluated(turn, where, order, gamma, function):
    """function(turned Loss, turned points, gamma), or its gradients (order 1) or Hessians (2), in coordinates of f."""
    matrix, part = turn
    grid = isinstance(where, Grid)
    y = (where.points if grid else np.asarray(where, dtype=float)) @ matrix

    def at(scope):
        own = np.asarray(function(part, y, scope))
        if order < 2:
            return own @ matrix.T if order else own
        own = matrix @ own @ matrix.T
        return 0.5 * (own + own.swapaxes(-1, -2))

    return arguments.each_time(at, gamma, "gamma") if grid else at(gamma)
