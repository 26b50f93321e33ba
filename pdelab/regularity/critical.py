"""Critical points of a Loss and how long they persist (thesis, Remark 4.16 made exact)."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from itertools import product

import numpy as np
import scipy
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.grid import Grid
from pdelab.hints import Array, Field
from pdelab.losses import Loss, search
from pdelab.losses.search import halved
from pdelab.regularity.shared import eigenvalues, filter_modes, fits, polished
from pdelab.stepping import AccuracyWarning

__all__ = ["CriticalPoints", "critical_points", "persistence_times"]


@dataclass(frozen=True)
class CriticalPoints:
    """Critical points of a Loss, in lexicographic order.

    Attributes
    ----------
    points : array (k,) or (k, d)
    values : array (k,)
    eigenvalues : array (k, d)
        Of the Hessian, ascending.
    index : array (k,) of int
        How many of them are negative: 0 for a minimum, d for a maximum. -1 at a degenerate point, where one is 0 to
        rounding, unless it is a minimum or maximum on a line, which the signs of f' tell.
    """

    points: np.ndarray
    values: np.ndarray
    eigenvalues: np.ndarray
    index: np.ndarray

    @property
    def minima(self) -> Array:
        """The points of index 0."""
        return self.points[self.index == 0]

    @property
    def maxima(self) -> Array:
        """The points of index d."""
        return self.points[self.index == self.eigenvalues.shape[1]]


def critical_points(f: Loss, grid: Grid) -> CriticalPoints:
    """Critical points of a Loss inside the box, to round-off; a periodic axis is looked at from end to end.

    Of a formula all of them are found. Boxes in which the enclosed gradient has no zero are dropped; Newton's method
    runs where an interval test proves that there is one root. What neither test decides is cut down to 1e-15 of the
    box, to 1e-9 where there is much of it, or as far as rounding lets the gradient be told from 0: there are degenerate
    points or kinks. Of each such cluster the roots are reported where the gradient is 0 up to rounding, several where
    it is not 0 between them and they are more than 2e-14 of the box apart; a minimum at a kink has none.

    Of a loss of functions the nodes say where to look: in one dimension between two nodes at which f' changes sign, in
    2-3 at the nodes and middles of cells where |grad f| is smallest among neighbours. The grid must separate the
    points: a warning says where the middles of the cells show more than the nodes.

    Parameters
    ----------
    f : Loss
        A formula with a proof that nothing is missed; a loss of functions as far as the nodes separate its points.
    grid : Grid
        The box that is searched; of a formula the nodes do not matter.

    Returns
    -------
    CriticalPoints

    Raises
    ------
    ValueError
        When critical points fill a curve or a region (a constant, a symmetric valley): they cannot be listed.
    ArithmeticError
        Minima and maxima of a smooth formula on a line that do not alternate, which would be a fault.

    Warns
    -----
    AccuracyWarning
        Degenerate points: where rounding hides their places, and in 2-3 dimensions that their index is not known.

    Notes
    -----
    Moore, Kearfott, Cloud, Introduction to Interval Analysis (2009), section 8.2: Krawczyk's operator.

    Examples
    --------
    >>> from pdelab import Grid, Loss
    >>> critical_points(Loss("cos(x + 0.05)"), Grid(0.0, 6.283185307179586, 32, boundary="periodic")).points.round(4)
    array([3.0916, 6.2332])
    """
    if fits(f, grid).formula is None:
        points = _roots(f, grid)
        spectra = eigenvalues(f, points)
        simple = np.abs(spectra).min(axis=1) > 1e-7 * np.abs(f.hessian(grid.points)).max()
    else:
        points, simple = _all_roots(f, grid)
        spectra = eigenvalues(f, points)
        if grid.dimension == 1:
            _check_turns(f, grid, spectra[:, 0])
    return CriticalPoints(points, f(points), spectra, _indices(f, grid, points, spectra, simple))


def persistence_times(f: Field, grid: Grid, points: ArrayLike | None = None) -> Array:
    """How long critical points keep their value under inviscid Hamilton-Jacobi, exactly: u(c, t) = f(c) iff t <= T(c).

        T(c) = inf over y with f(y) < f(c) of |y - c|²/(2 (f(c) - f(y)))

    Parameters
    ----------
    f : Loss or array (*shape)
        Of a formula the infimum over the box is found by branch and bound, with a proof; of a loss of functions it is
        polished from the best node, and a warning says where the middles of the cells give less; of node values it is
        the minimum over the nodes.
    grid : Grid
        y ranges over its box; along a periodic axis |y - c| is the shorter way around.
    points : array (k,) or (k, d), optional
        By default the critical points of the Loss. Required for node values, interpolated there.

    Returns
    -------
    array (k,)
        math.inf for global minima; for maxima and saddles at which f is smooth at most 1/|smallest eigenvalue|.

    Raises
    ------
    ValueError
        Node values without `points`; a Loss of another dimension than the grid.

    Notes
    -----
    The exact form of thesis, Remark 4.16. Minima keep their location too.

    Examples
    --------
    >>> from pdelab import Grid, Loss
    >>> f = Loss("(x**2 - 1)**2/4 + 0.1*x")
    >>> persistence_times(f, Grid(-2.0, 2.0, 201)).round(3)              # of global minimum, maximum, minimum
    array([  inf, 1.01 , 9.456])
    """
    if points is None:
        points = critical_points(f, grid).points if isinstance(f, Loss) else None
    if points is None:
        raise ValueError("points: say which points of the node values, critical points are found for a Loss only")
    points = checks.reals("points", points, "critical points").reshape(
        (-1,) if grid.dimension == 1 else (-1, grid.dimension)
    )
    nodes = grid.points.reshape(-1, grid.dimension)
    values = (f.on(grid) if isinstance(f, Loss) else grid.field(f)).ravel()
    if isinstance(f, Loss) and f.formula is not None:
        return _proved_times(f, grid, points.reshape(-1, grid.dimension), nodes, values)
    return np.array([_persistence(f, grid, c, nodes, values) for c in points])


MOST_BOXES = 200_000  # looked at together
FEW_BOXES = 4096  # so many are cut down to TINIEST
NEWTON, SMALLEST, TINIEST = 1e-5, 1e-9, 1e-15  # widths, of the grid's box, of boxes left to Newton and left undecided
MOST_APART, CLOSEST = 64, 2e-14  # places of one cluster, and how far apart, of the box, they are at least
SAME, WIDE = 1e-7, 0.05  # of the box: roots this close may be one, and clusters wider than this are none
NOT_ISOLATED = "f: expected isolated critical points, got a curve or a region of them"


def _all_roots(f, grid):
    """(all roots of grad f in the box of the grid, (k,) or (k, d), in lexicographic order; which are proved simple)."""
    d, low, high = grid.dimension, np.array(grid.lower), np.array(grid.upper)
    side = high - low
    room = 1e-9 * side  # roots on the faces
    lower, upper, roots, undecided = (low - room)[None], (high + room)[None], [], []
    for _ in range(5):  # 32 boxes to begin with: one call encloses them all
        lower, upper = halved(lower, upper)
    while len(lower):
        if len(lower) > MOST_BOXES:
            raise ValueError(NOT_ISOLATED)
        bounds = f.enclose(*(a[:, 0] if d == 1 else a for a in (lower, upper)))
        slope = bounds.gradient.reshape(-1, d, 2)
        keep = ((slope[..., 0] <= 0.0) & (slope[..., 1] >= 0.0)).all(axis=1) & ~np.isnan(bounds.value[:, 0])
        lower, upper = lower[keep], upper[keep]
        empty, unique, blurred, lower, upper = _krawczyk(f, lower, upper, bounds.hessian.reshape(-1, d, d, 2)[keep])
        least = np.where(unique, NEWTON, TINIEST if len(lower) < FEW_BOXES else SMALLEST)[:, None] * side
        ends = ~empty & (((upper - lower) <= least).all(axis=1) | blurred)
        middles = 0.5 * (lower + upper)
        roots, undecided = [*roots, middles[ends & unique]], [*undecided, np.stack([lower, upper])[:, ends & ~unique]]
        alone, rest = unique & ~ends, ~empty & ~ends & ~unique  # a box with one root shrinks to it by itself
        halves = halved(lower[rest], upper[rest])
        lower, upper = (np.concatenate([a[alone], half]) for a, half in zip((lower, upper), halves))
    simple, (first, last) = np.concatenate(roots), np.concatenate(undecided, axis=1)
    proved = np.arange(len(simple) + len(first)) < len(simple)
    starts = np.concatenate([simple, 0.5 * (first + last)])
    places, inside = _polished_roots(f, starts, grid)
    polished = inside & (proved | _critical(f, places, side))
    places = np.where((proved | polished)[:, None], places, starts)
    small = polished | (~proved & _inside(places, grid) & _critical(f, places, side))
    chosen = _one_of_each(places[~proved], small[~proved], first / side, last / side)
    kept = np.concatenate([np.flatnonzero(proved & small), len(simple) + chosen])
    return _apart(f, places[kept], proved[kept] | _simple(f, places[kept], side), grid)


def _krawczyk(f, lower, upper, hessian):
    """(holds no root, exactly one, is as narrow as rounding lets see, the boxes cut to where roots can be).

    Every root of the box c ± h has 0 in g(c) + H h, the mean value form, and lies in Krawczyk's K = c - C g(c) +
    (1 - C H) h with C the inverse of the Hessian's middle; if K is inside the box, there is one.
    """
    d = lower.shape[1]
    empty, unique, blurred = np.zeros((3, len(lower)), dtype=bool)
    centre, half = 0.5 * (lower + upper), 0.5 * (upper - lower)
    good = np.isfinite(hessian).all((1, 2, 3)) & np.isfinite(centre).all(1)
    hessian = np.where(good[:, None, None, None], hessian, 0.0)
    middle, radius = 0.5 * hessian.sum(-1), 0.5 * (hessian[..., 1] - hessian[..., 0])
    rows = np.flatnonzero(good)
    at = f.enclose(*(2 * (centre[rows][:, 0] if d == 1 else centre[rows],))).gradient.reshape(-1, d, 2)
    reach = half[rows] * (1.0 + 1e-14) + 4e-16 * np.abs(centre[rows])  # from the centre as it is rounded
    spread = (1.0 + 1e-14) * np.einsum("nij,nj->ni", np.abs(hessian[rows]).max(axis=-1), reach)
    empty[rows] = ((at[..., 0] - spread > 0.0) | (at[..., 1] + spread < 0.0)).any(axis=1)
    blurred[rows] = ((at[..., 0] <= 0.0) & (at[..., 1] >= 0.0) & (spread <= at[..., 1] - at[..., 0])).all(axis=1)
    solvable = _invertible(middle[rows], 1e10)
    rows, at = rows[solvable], at[solvable]
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):  # of an overflow nothing is concluded
        place, blur = _krawczyk_box(at, centre[rows], half[rows], middle[rows], radius[rows])
        first, last = place - blur, place + blur
    empty[rows] |= ((first > upper[rows]) | (last < lower[rows])).any(axis=1)
    unique[rows] = ((first > lower[rows]) & (last < upper[rows])).all(axis=1) & ~empty[rows]
    lower, upper = lower.copy(), upper.copy()
    inner = ~empty[rows] & np.isfinite(blur).all(axis=1)
    cut = rows[inner]
    lower[cut], upper[cut] = np.maximum(lower[cut], first[inner]), np.minimum(upper[cut], last[inner])
    return empty, unique, blurred, lower, upper


def _krawczyk_box(at, centre, half, middle, radius):
    """Middle and half widths (n, d) of Krawczyk's boxes, from gradients at the centres and Hessians over the boxes."""
    inverse = np.linalg.inv(middle)
    g, error = 0.5 * at.sum(-1), 0.5 * (at[..., 1] - at[..., 0])
    blur = np.einsum("nij,nj->ni", np.abs(inverse), error + np.einsum("nij,nj->ni", radius, half))
    blur = blur * (1.0 + 1e-12) + 1e-15 * np.abs(centre) + 1e-11 * half  # 1 - C times the middle is round-off
    return centre - np.einsum("nij,nj->ni", inverse, g), blur


def _simple(f, roots, side):
    """Which roots (k, d) are proved to be the only one, with a Hessian that is regular, in some box around them."""
    d, simple = roots.shape[1], np.zeros(len(roots), dtype=bool)
    for size in (1e-12, 1e-10, 1e-8, 1e-6):
        lower, upper = roots - size * side, roots + size * side
        hessian = f.enclose(*(a[:, 0] if d == 1 else a for a in (lower, upper))).hessian.reshape(-1, d, d, 2)
        simple |= _krawczyk(f, lower, upper, hessian)[1]
    return simple


def _one_of_each(places, small, first, last):
    """Row numbers of one place a cluster of boxes first, last (k, d) that touch: a root, nearest to its middle.

    ValueError where a cluster is wider than WIDE: no single point is there.
    """
    if not small.any():
        return np.flatnonzero(small)
    size = max(SAME, float((last - first).max()))
    cells, member = np.unique(np.floor(0.5 * (first + last) / size), axis=0, return_inverse=True)
    pairs = scipy.spatial.cKDTree(cells).query_pairs(1.5, p=np.inf, output_type="ndarray")
    graph = scipy.sparse.coo_array((np.ones(len(pairs)), pairs.T), shape=(len(cells), len(cells)))
    cluster = scipy.sparse.csgraph.connected_components(graph, directed=False)[1][member.ravel()]
    chosen, widest, crowded = [], 0.0, False
    for number in np.unique(cluster[small]):
        rows = np.flatnonzero(cluster == number)
        widest = max(widest, (last[rows].max(axis=0) - first[rows].min(axis=0)).max())
        if widest > WIDE:
            raise ValueError(NOT_ISOLATED)
        middle = 0.5 * (places[rows].min(axis=0) + places[rows].max(axis=0))
        rows = rows[small[rows]]
        apart = _steps_apart(0.5 * (first + last)[rows])
        crowded = crowded or len(apart) > MOST_APART
        single = len(apart) < 2 or len(apart) > MOST_APART
        away = np.linalg.norm(places[rows] - middle, axis=1)
        chosen += [rows[away.argmin()]] if single else list(rows[sorted(apart, key=away.__getitem__)])
    if widest > SAME or crowded:
        warnings.warn(
            f"degenerate critical points are known to {widest:.1e} of the box only: rounding of f hides where in there "
            "its gradient is 0; write f in factors, or without terms that cancel",
            AccuracyWarning,
            stacklevel=4,
        )
    return np.array(chosen)


def _steps_apart(places):
    """Numbers of places (k, d), of the box, one of each group closer together than a thousandth of all of them."""
    size = max(CLOSEST, 1e-3 * float(np.ptp(places, axis=0).max(initial=0.0)))
    kept = []
    for k in np.lexsort(places.T[::-1]):
        if all(np.abs(places[k] - places[other]).max() > size for other in kept):
            kept.append(int(k))
        if len(kept) > MOST_APART:
            break
    return kept


def _apart(f, places, simple, grid):
    """(each root once, in lexicographic order; which are simple), of places (k, d) the simple ones first."""
    side = np.subtract(grid.upper, grid.lower)
    order = np.argsort(~simple, kind="stable")
    places, simple = places[order], simple[order]
    if len(places):
        pairs = scipy.spatial.cKDTree(places / side).query_pairs(SAME, p=np.inf, output_type="ndarray")
        kept = np.ones(len(places), dtype=bool)
        same = pairs[~_distinct(f, places, simple, side, pairs)] if len(pairs) else pairs
        kept[same.max(axis=1, initial=-1) if len(same) else []] = False
        places, simple = places[kept], simple[kept]
    zero = np.where(np.abs(places) <= 4e-16 * side, 0.0, places)
    moved = (zero != places).any(axis=1)
    places[moved] = np.where(_critical(f, zero[moved], side)[:, None], zero[moved], places[moved])
    order = np.lexsort(places.T[::-1])
    return (places[order, 0] if grid.dimension == 1 else places[order]), simple[order]


def _distinct(f, places, simple, side, pairs):
    """Which pairs (m, 2) of close places (k, d) are two roots: simple ones further apart than they are known to.

    Or others between which the gradient is not 0.
    """
    d = places.shape[1]
    first, second = places[pairs[:, 0]], places[pairs[:, 1]]
    distance = np.abs((first - second) / side).max(axis=1)
    at = f.enclose(*(2 * (places[:, 0] if d == 1 else places,))).gradient.reshape(-1, d, 2)
    hessians = np.where(simple[:, None, None], _derivatives(f, places)[1], np.eye(d))
    blur = np.abs(np.linalg.pinv(hessians)) @ np.abs(at).max(axis=-1)[..., None]
    known = 4.0 * np.abs(blur[..., 0] / side).max(axis=1) + 8.0 * np.spacing(np.abs(places / side).max(axis=1))
    alone = simple[pairs].all(axis=1) & (distance > known[pairs].sum(axis=1))
    between = 0.5 * (first + second)
    slope = f.enclose(*(2 * (between[:, 0] if d == 1 else between,))).gradient.reshape(-1, d, 2)
    clear = ((slope[..., 0] > 0.0) | (slope[..., 1] < 0.0)).any(axis=1)
    return alone | ((distance > CLOSEST) & clear)


def _invertible(matrices, limit):
    """Whose condition is below a limit, of symmetric matrices (k, d, d)."""
    if matrices.shape[1] == 1:
        return matrices[:, 0, 0] != 0.0
    moduli = np.abs(np.linalg.eigvalsh(matrices))
    return moduli.max(axis=1) < limit * moduli.min(axis=1)


def _indices(f, grid, points, spectra, simple):
    """The numbers of negative eigenvalues; where the Hessian is singular, on a line 0 or 1 at a turn of f, else -1."""
    index = np.where(simple, (spectra < 0.0).sum(axis=1), -1)
    if grid.dimension == 1:
        for k in np.flatnonzero(~simple):
            index[k] = _turn(f, grid, points, k)
    elif not simple.all():
        warnings.warn(
            f"{int((~simple).sum())} critical points are degenerate, the first at {points[simple.argmin()].tolist()}: "
            "the Hessian does not tell whether they are minima, their index is -1; look at f around them",
            AccuracyWarning,
            stacklevel=3,
        )
    return index


def _turn(f, grid, points, k):
    """0 where f' goes from below 0 to above at a degenerate point of a line, 1 from above to below, -1 otherwise."""
    c, side = points[k], grid.upper[0] - grid.lower[0]
    apart = np.abs(np.delete(points, k) - c).min(initial=side)
    for away in min(0.01 * side, 0.5 * apart) * 2.0 ** np.arange(-24.0, 1.0):
        beside = np.array([c - away, c + away])
        slope = np.sign(f.gradient(beside)[:, None] if f.formula is None else f.enclose(beside, beside).gradient)
        if (slope[:, 0] == slope[:, -1]).all() and slope.all():
            return {(-1.0, 1.0): 0, (1.0, -1.0): 1}.get((slope[0, 0], slope[1, 0]), -1)
    return -1


def _check_turns(f, grid, bends):
    """Between two minima of a smooth function on a line there is a maximum: ArithmeticError where it is missing."""
    clear = (np.abs(bends) > 1e-6 * np.abs(bends).max(initial=0.0)).all()
    if clear and (bends[1:] * bends[:-1] > 0.0).any():
        bend = f.enclose(grid.lower[0], grid.upper[0]).hessian
        if np.isfinite(bend).all():
            raise ArithmeticError(
                "critical_points: two neighbours are both minima or both maxima, so that one between them is missing; "
                "this is a fault of pdelab"
            )


def _polished_roots(f, starts, grid):
    """(Newton's method from the boxes that were left, which of the places are in the box)."""
    low, high = np.array(grid.lower), np.array(grid.upper)
    side, y, left = high - low, starts.copy(), np.arange(len(starts))
    for _ in range(8):
        g, h = _derivatives(f, y[left])
        sound = np.isfinite(g).all(1) & np.isfinite(h).all((1, 2))
        sound[sound] = _invertible(h[sound], 1e12)
        left, g, h = left[sound], g[sound], h[sound]
        step = np.linalg.solve(h, g[..., None])[..., 0]
        near = np.abs(step).max(axis=1, initial=0.0) <= 1e-3 * side.max()
        left, step = left[near], step[near]
        y[left] -= step
        left = left[np.abs(step).max(axis=1, initial=0.0) > 1e-15 * side.max()]
        if not left.size:
            break
    y = np.where(np.abs(y - low) <= 1e-14 * side, low, np.where(np.abs(y - high) <= 1e-14 * side, high, y))
    return y, _inside(y, grid)


def _inside(y, grid):
    """Which places y (k, d) are in the box of the grid, of the two ends of a ring the first."""
    inside = ((y >= np.array(grid.lower)) & (y <= np.array(grid.upper))).all(axis=1)
    return inside & ~(np.array(grid.periodic) & (y >= np.array(grid.upper))).any(axis=1)


def _critical(f, y, side):
    """At which of the places y (k, d) the gradient does not jump as at a kink, and is 0 within rounding.

    Or it is next to nothing of the gradient around.
    """
    d = y.shape[1]
    room = 4e-16 * np.abs(y) + TINIEST * side
    slope = f.enclose(*(a[:, 0] if d == 1 else a for a in (y - room, y + room))).gradient.reshape(-1, d, 2)
    around = np.zeros(len(y))
    for step in [*(1e-3 * np.diag(side)), *(-1e-3 * np.diag(side))]:
        beside = np.linalg.norm(_derivatives(f, y + step)[0], axis=1)
        around = np.fmax(around, np.where(np.isfinite(beside), beside, 0.0))
    smooth = (slope[..., 1] - slope[..., 0]).max(axis=1) <= 0.1 * around
    zero = ((slope[..., 0] <= 0.0) & (slope[..., 1] >= 0.0)).all(axis=1)
    return smooth & (zero | (np.abs(slope).max(axis=(1, 2)) <= 1e-8 * around))


def _derivatives(f, y):
    """Gradient (k, d) and Hessian (k, d, d) at y (k, d)."""
    d = y.shape[1]
    points = y[:, 0] if d == 1 else y
    return np.reshape(f.gradient(points), (-1, d)), np.reshape(f.hessian(points), (-1, d, d))


def _roots(f, grid):
    """Roots of grad f inside the box, (k,) or (k, d), in lexicographic order."""
    if grid.dimension == 1:
        x = np.append(grid.x, grid.upper) if grid.periodic[0] else grid.x
        slope = f.gradient(x)
        crossed = np.flatnonzero(slope[1:] * slope[:-1] < 0)
        between = f.gradient(0.5 * (x[1:] + x[:-1]))
        hidden = (slope[1:] * slope[:-1] > 0) & (between * slope[1:] < 0)
        _warn_of_hidden(int(hidden.sum()), "cells")
        roots = [scipy.optimize.brentq(f.gradient, x[k], x[k + 1], xtol=1e-15) for k in crossed]
        return np.sort(np.concatenate([roots, grid.x[slope[: grid.x.size] == 0], _at_ends(f, grid, slope)]))
    size = np.linalg.norm(f.gradient(grid.points), axis=-1)
    starts = grid.points[size == scipy.ndimage.minimum_filter(size, 3, mode=filter_modes(grid))]
    roots = _newton_roots(f, grid, starts, [])
    count = len(roots)
    middles = _middles(grid)
    size = np.linalg.norm(f.gradient(middles), axis=-1)
    starts = middles[size == scipy.ndimage.minimum_filter(size, 3, mode=filter_modes(grid))]
    roots = _newton_roots(f, grid, starts, roots)
    _warn_of_hidden(len(roots) - count, "points, found from the middles of the cells,")
    return np.array(sorted(roots, key=tuple)).reshape(-1, grid.dimension)


def _beside(f, grid, c):
    """Places (n, d) of the box around a point, closer than the nodes, along the eigenvectors of the Hessian there."""
    d = grid.dimension
    hessian = np.nan_to_num(np.reshape(f.hessian(c), (d, d)), posinf=0.0, neginf=0.0)
    steps = min(grid.spacing) * np.geomspace(1e-2, 1.0, 32)
    steps = np.concatenate([steps, -steps])[:, None, None] * np.linalg.eigh(hessian)[1].T
    places = c + steps.reshape(-1, d)
    around = grid.lower + (places - grid.lower) % np.subtract(grid.upper, grid.lower)
    return np.where(grid.periodic, around, np.clip(places, grid.lower, grid.upper))


def _middles(grid):
    """Middles of all cells (*cells, d), of a ring also of the one between its last node and its first."""
    cells = tuple(slice(None if wraps else -1) for wraps in grid.periodic)
    points = grid.points.reshape(*grid.shape, grid.dimension)
    return points[cells] + 0.5 * np.array(grid.spacing)


def _at_ends(f, grid, slope):
    """Ends of a line, no ring, where f' is 0 up to rounding and does not change its sign within the box."""
    if grid.periodic[0]:
        return np.array([])
    x, bend, h = grid.x[[0, -1]], np.abs(f.hessian(grid.x[[0, -1]])), grid.spacing[0]
    ends, beside = slope[[0, -1]], slope[[1, -2]]
    still = (ends != 0.0) & (np.abs(ends) <= 1e-12 * h * bend) & (ends * beside > 0.0)
    return x[still]


def _warn_of_hidden(count, what):
    if count:
        warnings.warn(
            f"the grid is too coarse to separate the critical points of f: {count} {what} hold more than its nodes "
            "show; use more nodes, or give f as a formula",
            AccuracyWarning,
            stacklevel=4,
        )


def _newton_roots(f, grid, starts, roots):
    """The known roots and those that Newton's method finds from the starts, each once."""
    roots, sides = list(roots), np.subtract(grid.upper, grid.lower)
    for start in starts:
        root = scipy.optimize.root(f.gradient, start, jac=f.hessian, tol=1e-14).x
        small = np.linalg.norm(f.gradient(root)) <= 1e-9 * (1 + np.abs(f.hessian(root)).max())
        root = np.where(np.abs(root - grid.lower) <= 1e-12 * sides, grid.lower, root)
        root = np.where(np.abs(root - grid.upper) <= 1e-12 * sides, grid.upper, root)
        if (
            small
            and _inside(root[None], grid)[0]
            and all((np.abs(root - other) > 1e-6 * sides).any() for other in roots)
        ):
            roots.append(root)
    return roots


def _proved_times(f, grid, points, nodes, values):
    """T(c) of a formula at points (k, d): from the best nodes by Newton's method, then proved over the box."""
    flat = points[:, 0] if points.shape[1] == 1 else points
    boxes, heights = search.Boxes(f, grid.lower, grid.upper), np.asarray(f(flat), dtype=float)
    times = _curvature_times(f, grid, points)
    starts = np.empty_like(points)
    for k, (c, value) in enumerate(zip(points, heights)):
        ratio = _ratios(c, value, nodes, values, grid, 0.25 * min(grid.spacing) ** 2)
        starts[k], times[k] = nodes[ratio.argmin()], min(times[k], ratio.min())
    noise = 8.0 * boxes.rounding(points) + 4e-16 * np.abs(heights)
    times = _descended(f, grid, _image(points, starts, grid), heights, starts, times, noise)
    for away in _images(grid):
        rows = zip(points + away, heights, times, noise)
        times = np.array([_first_loss(f, boxes, *row) for row in rows])
    return times


def _image(points, y, grid):
    """The images of points (k, d) on the axes' rings that are nearest to y (k, d)."""
    sides = np.subtract(grid.upper, grid.lower)
    return points + np.where(grid.periodic, sides * np.round((y - points) / sides), 0.0)


def _images(grid):
    """The ways (d,) from a point in the box to itself around the rings that can be nearer to a place in the box."""
    sides = np.subtract(grid.upper, grid.lower)
    return [sides * turns for turns in product(*((0, -1, 1) if ring else (0,) for ring in grid.periodic))]


def _curvature_times(f, grid, points):
    """The limits 1/|eigenvalue| of the ratio next to points (k, d), inf where there is none.

    Where f is smooth the smallest eigenvalue gives it. At a kink, and of functions, which do not tell, the Hessian
    leaves the kink's own curvature out: it counts along directions in which the gradients around c do not jump, and
    only where f falls by it there.
    """
    d, hessians = grid.dimension, _derivatives(f, points)[1]
    lowest = np.full(len(points), math.inf)
    room = 4e-16 * np.abs(points) + 1e-300
    corners = [a[:, 0] if d == 1 else a for a in (points - room, points + room)]
    smooth = np.zeros(len(points), dtype=bool)
    if f.formula is not None:
        smooth = np.isfinite(f.enclose(*corners).hessian.reshape(len(points), d, d, 2)).all(axis=(1, 2, 3))
    for k in np.flatnonzero(np.isfinite(hessians).all(axis=(1, 2))):
        level = np.eye(d) if smooth[k] else _level_directions(f, grid, points[k], hessians[k])
        bends, vectors = np.linalg.eigh(level @ hessians[k] @ level.T)
        directions = zip(bends, vectors.T @ level)
        lowest[k] = min((b for b, e in directions if smooth[k] or _falls(f, grid, points[k], b, e)), default=math.inf)
    return np.divide(-1.0, lowest, out=np.full(len(points), math.inf), where=lowest < 0.0)


def _level_directions(f, grid, c, hessian):
    """An orthonormal basis (k, d) of the directions in which the gradients around c do not jump."""
    s = 1e-8 * min(grid.spacing)
    steps = np.array(list(product((-1.0, 0.0, 1.0), repeat=len(c))))
    around = _derivatives(f, c + s * steps[steps.any(axis=1)])[0]
    _, sizes, basis = np.linalg.svd(around - around.mean(axis=0), full_matrices=False)
    return basis[~(sizes > 100.0 * s * np.abs(hessian).sum() + 1e-9 * np.abs(around).max())]


def _falls(f, grid, c, bend, direction):
    """Does f along a direction from c, to one side or the other, follow bend s²/2 to a thousandth at some small s?"""
    s = (min(grid.spacing) * np.array([1e-2, 1e-3, 1e-4, 1e-5]))[:, None, None] * np.array([[1.0], [-1.0]])
    y = c + s * direction
    fall = f(y[..., 0] if len(c) == 1 else y) - f(c[0] if len(c) == 1 else c)
    return bool((np.abs(fall / (0.5 * bend * s[..., 0] ** 2) - 1.0) <= 1e-3).any())


def _squares(y, c, grid):
    """|y - c|² at places y (n, d), along a periodic axis the shorter way around."""
    away = np.abs(y - c)
    for axis in np.flatnonzero(grid.periodic):
        side = grid.upper[axis] - grid.lower[axis]
        away[:, axis] = np.minimum(away[:, axis] % side, -away[:, axis] % side)
    return (away**2).sum(axis=1)


def _ratios(c, value, nodes, values, grid, closest=-1.0):
    """|y - c|²/(2 (f(c) - f(y))) at nodes y lower by more than rounding, squared distances from `closest` on."""
    squares, drop = _squares(nodes, c, grid), value - values
    lower = drop > 8 * np.finfo(float).eps * np.maximum(abs(value), np.abs(values))
    lower &= squares > closest  # closer by, the limit 1/|eigenvalue| speaks
    return np.divide(squares, 2.0 * drop, out=np.full(len(nodes), math.inf), where=lower)


def _ratio(drop, square, noise):
    """|y - c|²/(2 drop), enlarged by what noise of the drop may take from it: next to c there is little else."""
    safe = (drop > noise) & (square > 0.0)
    ratio = np.divide(square, 2.0 * drop, out=np.full(np.shape(drop), math.inf), where=safe)
    return ratio * (1.0 + np.divide(noise, drop, out=np.zeros(np.shape(drop)), where=safe))


def _descended(f, grid, points, heights, y, times, noise):
    """Smaller times from Newton's method for f(y) + |y - c|²/(2T) at the T of the last y, all points at once."""
    low, high, left = np.array(grid.lower), np.array(grid.upper), np.flatnonzero(np.isfinite(times))
    times, y, d = times.copy(), y.copy(), points.shape[1]
    for _ in range(20):
        if not left.size:
            break
        c, at, t = points[left], y[left], times[left, None]
        g, h = _derivatives(f, at)
        h = h + np.eye(d) / t[:, :, None]
        good = np.isfinite(h).all(axis=(1, 2)) & np.isfinite(g).all(axis=1)
        h = np.where(good[:, None, None], h, np.eye(d))
        good &= np.linalg.eigvalsh(h)[:, 0] > 0.0
        h = np.where(good[:, None, None], h, np.eye(d))
        new = np.clip(at - np.linalg.solve(h, (g + (at - c) / t)[..., None])[..., 0], low, high)
        ratio = _ratio(heights[left] - f(new[:, 0] if d == 1 else new), ((new - c) ** 2).sum(axis=1), noise[left])
        good &= ratio < times[left] * (1.0 - 4e-15)
        more = (times[left] - ratio > 1e-13 * ratio)[good]
        left = left[good]
        y[left], times[left] = new[good], ratio[good]
        left = left[more]
    return times


def _persistence(f, grid, c, nodes, values):
    """T(c) of `persistence_times` for one point: on the nodes, of a loss of functions polished from the best one."""
    if not isinstance(f, Loss):
        value = float(grid.interpolate(values.reshape(grid.shape), c))
        return float(_ratios(c, value, nodes, values, grid).min())
    value, limit = float(f(c)), float(_curvature_times(f, grid, np.reshape(c, (1, grid.dimension)))[0])
    noise = 4e-15 * max(abs(value), float(np.median(np.abs(values))))
    ratio, beside = _ratios(c, value, nodes, values, grid, 0.25 * min(grid.spacing) ** 2), _beside(f, grid, c)
    heights = f(beside[:, 0] if grid.dimension == 1 else beside)
    closer = _ratio(value - heights, _squares(beside, c, grid), noise)
    best = float(min(ratio.min(), closer.min()))
    start = beside[closer.argmin()] if closer.min() < ratio.min() else nodes[ratio.argmin()]
    image = _image(np.reshape(c, (1, -1)), start[None], grid)[0]

    def scaled(y):
        return float(_ratio(np.float64(value - f(y)), np.sum((y - image) ** 2), noise))

    time = limit
    if not math.isinf(best):
        place, side = (start[0], float(image[0])) if grid.dimension == 1 else (start, None)
        time = min(best, limit, polished(scaled, place, grid, forbidden=side))
    middles = _middles(grid).reshape(-1, grid.dimension)
    squares = _squares(middles, c, grid)
    drop = value - f(middles[:, 0] if grid.dimension == 1 else middles)
    far = (drop > 1e-9 * (1.0 + abs(value))) & (squares > min(grid.spacing) ** 2)
    if (squares[far] < 2.0 * drop[far] * time * (1.0 - 1e-6)).any():
        warnings.warn(
            "the grid is too coarse for f: between its nodes f is lower than what the persistence time rests on; use "
            "more nodes, or give f as a formula",
            AccuracyWarning,
            stacklevel=4,
        )
    return time


def _first_loss(f, boxes, c, value, time, noise):
    """The infimum of |y - c|²/(2 (f(c) - f(y))), at most `time`: Dinkelbach's method.

    While the minimum of f(y) + |y - c|²/(2T) over the box, found with a proof, is below f(c), the ratio at its place is
    a smaller T; each T comes from above and the number of digits doubles.
    """
    for _ in range(100):
        _, place, _ = boxes.minimise(c[None], time)
        y = place[0]
        if (np.abs(y - c) <= 1e-12 * np.abs(c)).all():  # c itself, as far as it is known
            return time
        drop = value - float(f(y[0] if len(y) == 1 else y))
        ratio = float(_ratio(np.float64(drop), ((y - c) ** 2).sum(), noise))
        if not ratio < time * (1.0 - 4e-15):
            return time
        time = ratio
    return time
