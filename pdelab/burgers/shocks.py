"""When characteristics of inviscid Hamilton-Jacobi first meet: the most concave place of a loss, in any dimension."""

import math
import warnings
from itertools import product

import numpy as np

from pdelab.losses.search import halved
from pdelab.stepping import AccuracyWarning

__all__ = ["first_meeting"]

MOST_BOXES, BATCH = 2**17, 2**11  # in one search, and at once
GAP = 1e-6  # of the curvature, that is aimed at
TOLD = 1e-2  # of the curvature, from which on a gap is warned of
TINIEST = 1e-12  # of the box: what is as narrow is a kink or a pole
ROUNDING = 1e-12  # of the size of a Hessian: its eigenvalues are 0


def first_meeting(f, grid, stacklevel=3):
    """1/max(-λ) over the eigenvalues λ of Hess f in the box of a grid: inf where f is convex, 0 at a concave kink.

    Of a formula by branch and bound on enclosures of its Hessian; of functions at the nodes and the middles of cells.
    A warning tells where something more concave is not excluded (formula) or seen between the nodes (functions).
    """
    steepest, bound, scale = (_sampled if f.formula is None else _enclosed)(f, grid)
    if bound > max((1.0 + TOLD) * steepest, 1e-9 * scale):
        known = "f may be more concave between its nodes" if f.formula is None else "that is not excluded"
        last = 1.0 / steepest if steepest > 0.0 else math.inf
        warnings.warn(
            f"the first shock may be as early as {1.0 / bound:.3g} and is no later than {last:.3g}: {known}; use "
            + (
                "more nodes, or give f as a formula" if f.formula is None else "a smaller box, or smooth the kinks of f"
            ),
            AccuracyWarning,
            stacklevel=stacklevel,
        )
    return 1.0 / steepest if steepest > 0.0 else math.inf


def _enclosed(f, grid):
    """(max(-λ) as found, a bound that it is not above, the size of the Hessian) of a formula over the box."""
    d, first, last = grid.dimension, np.array(grid.lower), np.array(grid.upper)
    side = last - first
    lower, upper, best, place, step, floor, scale = first[None], last[None], 0.0, first, side, 0.0, None
    for _ in range(5):
        lower, upper = halved(lower, upper)
    waiting, seen = (lower[:0], upper[:0], np.empty(0)), 0
    while len(lower) and seen < MOST_BOXES:
        seen += len(lower)
        bounds = f.enclose(*(a[:, 0] if d == 1 else a for a in (lower, upper)))
        low, least = _least(bounds.hessian.reshape(-1, d, d, 2))
        centre = 0.5 * (lower + upper)
        curvature, size = _curvatures(f, centre)
        scale = float(np.median(size)) if scale is None else scale
        if curvature.min() < best:
            k = curvature.argmin()
            best, place, step = float(curvature[k]), centre[k], upper[k] - lower[k]
        tiny = ((upper - lower) <= TINIEST * side).all(axis=1)
        if (tiny & np.isneginf(low)).any() and _concave_kink(f, centre[tiny & np.isneginf(low)], TINIEST * side):
            return math.inf, math.inf, scale
        floor = min(floor, low[tiny & np.isfinite(low)].min(initial=0.0))
        left = ~tiny & (low < -ROUNDING * least) & ~np.isnan(bounds.value[..., 0])
        pairs = zip(waiting, (lower, upper, low))
        lower, upper, low = (np.concatenate([old, new[left]]) for old, new in pairs)
        left = low < min(best - GAP * abs(best), floor)
        floor = min(floor, low[~left & (low < best)].min(initial=0.0))
        lower, upper, low = lower[left], upper[left], low[left]
        order = np.lexsort(((upper - lower).max(axis=1), low))  # the most concave first, of equal ones the narrowest
        waiting = tuple(a[order[BATCH // 2 :]] for a in (lower, upper, low))
        lower, upper = halved(lower[order[: BATCH // 2]], upper[order[: BATCH // 2]])
    if len(lower):
        floor = min(floor, low[order[0]])
    best = _lowest(f, place, best, step, first, last)
    return -best, max(-floor, -best), scale


def _least(hessian):
    """(lower bounds of the eigenvalues, the least size that the entries have) of enclosures (n, d, d, 2).

    The least eigenvalue grows with the diagonal, of which the lower ends are taken.
    """
    d = hessian.shape[1]
    size = np.maximum(np.maximum(hessian[..., 0], -hessian[..., 1]), 0.0).max(axis=(1, 2))
    diagonal = np.arange(d)
    if d == 1:
        return hessian[:, 0, 0, 0], size
    with np.errstate(invalid="ignore"):  # of a kink nothing is known
        middle, radius = 0.5 * (hessian[..., 0] + hessian[..., 1]), 0.5 * (hessian[..., 1] - hessian[..., 0])
    middle[:, diagonal, diagonal], radius[:, diagonal, diagonal] = hessian[:, diagonal, diagonal, 0], 0.0
    low = np.full(len(hessian), -math.inf)
    known = np.isfinite(middle).all(axis=(1, 2)) & np.isfinite(radius).all(axis=(1, 2))
    low[known] = np.linalg.eigvalsh(middle[known])[:, 0] - radius[known].sum(axis=2).max(axis=1)
    return low, size


def _curvatures(f, points):
    """(least eigenvalues of Hess f, those within rounding of 0 as 0, the size of the Hessian) at points (n, d)."""
    d = points.shape[1]
    hessian = np.reshape(f.hessian(points[:, 0] if d == 1 else points), (-1, d, d))
    known = np.isfinite(hessian).all(axis=(1, 2))
    hessian = np.where(known[:, None, None], hessian, 0.0)
    size = np.abs(hessian).max(axis=(1, 2))
    least = np.linalg.eigvalsh(hessian)[:, 0]
    return np.where(np.abs(least) > ROUNDING * size, least, 0.0), size


def _concave_kink(f, places, step):
    """Does the gradient fall by a jump across any of some places (n, d), along an axis or a diagonal?"""
    d = places.shape[1]
    for direction in product((-1.0, 0.0, 1.0), repeat=d):
        ahead = np.array(direction) * step
        if ahead.any():
            sides = [
                np.reshape(f.gradient(y[:, 0] if d == 1 else y), (-1, d)) for y in (places + ahead, places - ahead)
            ]
            jump = (sides[0] - sides[1]) @ ahead / np.linalg.norm(ahead)
            if (jump < -1e-3 * (np.linalg.norm(sides[0], axis=1) + np.linalg.norm(sides[1], axis=1))).any():
                return True
    return False


def _lowest(f, place, best, step, first, last):
    """The least eigenvalue near a place, in steps that are halved where no neighbour is lower."""
    around = np.array(list(product((-1.0, -0.5, 0.0, 0.5, 1.0), repeat=len(place))))
    for _ in range(200):
        points = np.clip(place + step * around, first, last)
        curvature = _curvatures(f, points)[0]
        if curvature.min() < best:
            best, place = float(curvature.min()), points[curvature.argmin()]
        else:
            step = 0.5 * step
        if (step <= 1e-10 * (last - first)).all():
            break
    return best


def _sampled(f, grid):
    """As `_enclosed`, of functions: found from the nodes, the bound from what the middles of the cells show."""
    d, first, last = grid.dimension, np.array(grid.lower), np.array(grid.upper)
    nodes = np.array(grid.points).reshape(-1, d)
    middles = np.array(grid.points).reshape(*grid.shape, d) + 0.5 * np.array(grid.spacing)
    middles = middles.reshape(-1, d)
    middles = middles[(middles <= last).all(axis=1)]
    found = []
    for points in (nodes, middles):
        curvature, size = _curvatures(f, points)
        k = curvature.argmin()
        found.append(_lowest(f, points[k], min(float(curvature[k]), 0.0), 0.5 * np.array(grid.spacing), first, last))
    return -found[0], -min(found), float(np.median(size))
