"""Closed forms of a formula that is a sum over groups of its coordinates: f(x, y, z) = g(x, y) + h(z).

The kernel and the parabola are products and sums over the coordinates, so that value, minimiser and derivatives of each
group are its own: u = u_g + u_h, ∇u = (∇u_g, ∇u_h), and Hess u has the two in its blocks. A kink of h, along a whole
plane of (x, y, z), is a point on its own line. Smooth formulas of few variables are taken whole.
"""

import warnings
from functools import lru_cache

import numpy as np

from pdelab.grid import Grid
from pdelab.losses import Loss, formulas

__all__ = ["combined", "parts"]

FEW = 2  # variables of a smooth formula that is taken whole


def parts(f):
    """((axes, Loss), ...) that f is the sum of, one a group of coordinates; () where it is better taken whole."""
    return _parts(f)


@lru_cache(maxsize=64)
def _parts(f):
    if getattr(f, "formula", None) is None or f.dimension == 1:
        return ()
    if f.dimension <= FEW and not formulas.is_kinked(f.formula):
        return ()
    groups = formulas.summands(f.formula, f.variables)
    return tuple((axes, Loss(text, names)) for axes, text, names in groups) if len(groups) > 1 else ()


def combined(terms, where, order, function):
    """The sum (order 0) of function(part, where along its axes) over the parts, or their gradients (1) or Hessians (2).

    where: a Grid or points (..., d); what a sequence of times puts in front stays there.
    """
    d, result = sum(len(axes) for axes, _ in terms), 0.0
    for axes, part in terms:
        m = len(axes)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "f is not periodic")  # told of the whole
            own = np.asarray(function(part, _along(where, axes)))
        shape = own.shape[: own.ndim - (order if m > 1 else 0)]
        if isinstance(where, Grid):
            spread = (n if k in axes else 1 for k, n in enumerate(where.shape))
            shape = (*shape[: len(shape) - m], *spread)
        block = np.zeros((*shape, *(d,) * order))
        block[(..., *np.ix_(*[axes] * order))] = own.reshape((*shape, *(m,) * order))
        result = result + block
    return np.asarray(result)


def _along(where, axes):
    """A Grid or points, of some coordinates alone."""
    if isinstance(where, Grid):
        sides = ([side[k] for k in axes] for side in (where.lower, where.upper, where.shape))
        return Grid(*sides, boundary=[where.boundary[k] for k in axes])
    where = np.asarray(where, dtype=float)
    return where[..., axes[0]] if len(axes) == 1 else where[..., list(axes)]
