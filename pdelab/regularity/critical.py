"""Critical points of a Loss and how long they persist (thesis, Remark 4.16 made exact)."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, optimize

from pdelab.losses import Loss
from pdelab.regularity.door import eigenvalues, filter_modes, fits, polished, smallest_eigenvalue


@dataclass(frozen=True)
class CriticalPoints:
    """Critical points of a Loss, in lexicographic order.

    points (k,) or (k, d); values (k,); eigenvalues of the Hessian (k, d), ascending; index (k,): how many are negative
    (0: minimum, d: maximum).
    """

    points: np.ndarray
    values: np.ndarray
    eigenvalues: np.ndarray
    index: np.ndarray

    @property
    def minima(self):
        """The points of index 0."""
        return self.points[self.index == 0]

    @property
    def maxima(self):
        """The points of index d."""
        return self.points[self.index == self.eigenvalues.shape[1]]


def critical_points(f, grid):
    """Critical points of a Loss inside the box, to round-off: roots of grad f started from the nodes.

    In one dimension every sign change of f' between nodes; in 2-3 dimensions Newton's method from the nodes where
    |grad f| is smallest among neighbours. The grid must separate the points; degenerate ones may be missed.

    Returns
    -------
    CriticalPoints
    """
    points = _roots(fits(f, grid), grid)
    spectra = eigenvalues(f, points)
    return CriticalPoints(points, f(points), spectra, (spectra < 0).sum(axis=1))


def persistence_times(f, grid, points=None):
    """How long critical points keep their value under inviscid Hamilton-Jacobi, exactly: u(c, t) = f(c) iff t <= T(c).

        T(c) = inf over y with f(y) < f(c) of |y - c|²/(2 (f(c) - f(y)))

    Parameters
    ----------
    f : Loss or array (*shape)
        Of a Loss the infimum is polished from the best node; of node values it is the minimum over the nodes.
    grid : Grid
        y ranges over its box.
    points : array (k,) or (k, d), optional
        By default the critical points of the Loss. Required for node values, interpolated there.

    Returns
    -------
    array (k,)
        math.inf for global minima; for maxima and saddles at most 1/|smallest eigenvalue|.

    Notes
    -----
    The exact form of thesis, Remark 4.16. Minima keep their location too.
    """
    if points is None:
        points = critical_points(f, grid).points if isinstance(f, Loss) else None
    if points is None:
        raise ValueError("points: say which points of the node values, critical points are found for a Loss only")
    points = np.asarray(points, dtype=float).reshape((-1,) if grid.dimension == 1 else (-1, grid.dimension))
    nodes = grid.points.reshape(-1, grid.dimension)
    values = (f.on(grid) if isinstance(f, Loss) else grid.field(f)).ravel()
    return np.array([_persistence(f, grid, c, nodes, values) for c in points])


def _roots(f, grid):
    """Roots of grad f inside the box, (k,) or (k, d), in lexicographic order."""
    if grid.dimension == 1:
        x, slope = grid.x, f.gradient(grid.x)
        crossed = np.flatnonzero(slope[1:] * slope[:-1] < 0)
        found = [optimize.brentq(f.gradient, x[k], x[k + 1], xtol=1e-15) for k in crossed]
        return np.sort(np.concatenate([found, x[slope == 0]]))
    size = np.linalg.norm(f.gradient(grid.points), axis=-1)
    starts = grid.points[size == ndimage.minimum_filter(size, 3, mode=filter_modes(grid))]
    found, sides = [], np.subtract(grid.upper, grid.lower)
    for start in starts:
        root = optimize.root(f.gradient, start, jac=f.hessian, tol=1e-14).x
        small = np.linalg.norm(f.gradient(root)) <= 1e-9 * (1 + np.abs(f.hessian(root)).max())
        inside = (root >= grid.lower).all() and (root <= grid.upper).all()
        if small and inside and all((np.abs(root - other) > 1e-6 * sides).any() for other in found):
            found.append(root)
    return np.array(sorted(found, key=tuple)).reshape(-1, grid.dimension)


def _persistence(f, grid, c, nodes, values):
    """T(c) of `persistence_times` for one point."""
    exact = isinstance(f, Loss)
    value = float(f(c) if exact else grid.interpolate(values.reshape(grid.shape), c))
    squares = ((nodes - c) ** 2).sum(axis=1)
    drop = value - values
    lower = drop > 8 * np.finfo(float).eps * np.maximum(abs(value), np.abs(values))  # by more than rounding
    if exact:
        lower &= squares > 0.25 * min(grid.spacing) ** 2  # closer by, the limit 1/|eigenvalue| speaks
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(lower, squares / (2 * drop), math.inf)
    best, node = float(ratio.min()), nodes[ratio.argmin()]
    if not exact:
        return best

    def scaled(y):
        depth = value - f(y)
        return float(np.sum((y - c) ** 2)) / (2 * depth) if depth > 0 else math.inf

    curvature = smallest_eigenvalue(f, c)
    limit = -1.0 / curvature if curvature < 0 else math.inf
    if math.isinf(best):
        return limit
    start = node[0] if grid.dimension == 1 else node
    return min(best, limit, polished(scaled, start, grid, forbidden=float(c) if grid.dimension == 1 else None))
