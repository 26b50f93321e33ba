"""Checks and small searches shared by the parts of regularity."""

import numpy as np
import scipy

from pdelab.losses import Loss

__all__ = ["eigenvalues", "filter_modes", "fits", "polished"]


def fits(f, grid):
    """f if it is a Loss of as many variables as the grid has axes; ValueError otherwise."""
    if not isinstance(f, Loss):
        raise ValueError(f"f: expected a Loss, got {type(f).__name__}")
    if f.dimension != grid.dimension:
        raise ValueError(
            f"f: expected a loss of {grid.dimension} variables, one an axis of the grid, got {f.dimension}"
        )
    return f


def eigenvalues(f, points):
    """Eigenvalues of Hess f, ascending: (k, d) for points (k,) or (k, d)."""
    hessians = np.asarray(f.hessian(points))
    return hessians[:, None] if f.dimension == 1 else np.linalg.eigvalsh(hessians)


def polished(function, start, grid, forbidden=None):
    """Minimum of a function near a node, within one spacing and the box; in 1-D on one side of `forbidden`."""
    steps = np.array(grid.spacing)
    low, high = np.maximum(start - steps, grid.lower), np.minimum(start + steps, grid.upper)
    if grid.dimension > 1:
        options = {"xatol": 1e-9, "fatol": 1e-15, "maxiter": 2000}
        bounds = list(zip(low, high))
        return float(scipy.optimize.minimize(function, start, method="Nelder-Mead", bounds=bounds, options=options).fun)
    low, high = float(low[0]), float(high[0])
    if forbidden is not None and low < forbidden < high:
        low, high = (0.5 * (forbidden + start), high) if forbidden < start else (low, 0.5 * (forbidden + start))
    options = {"xatol": 1e-10}
    return float(scipy.optimize.minimize_scalar(function, bounds=(low, high), method="bounded", options=options).fun)


def filter_modes(grid):
    """How neighbours are looked up beyond the ends, in the words of scipy.ndimage."""
    return ["wrap" if wraps else "nearest" for wraps in grid.periodic]
