"""What a formula may hide between the nodes of boxes: where it may bend far more than samples in the box show.

Enclosures bound how much the Hessian varies over a box. That is compared with the Hessian at a few places; boxes in
doubt are cut, as enclosures overestimate, and so are boxes with kinks, in which the gradient varies. What a narrow well
adds to the Hessian, depth over width squared, its enclosure sees in any box.
"""

from itertools import product

import numpy as np

from pdelab.losses import enclosures

__all__ = ["amounts"]

SEEN = 4.0  # times the size of the Hessian that samples show, by which it may vary over a part of a box
HALVINGS = {1: 3, 2: 4, 3: 6}  # times that a box is cut
PLACES = 8  # of a set of samples, beside corners: waves show at one of them
GOLDEN = {1: 1.618033988749895, 2: 1.324717957244746, 3: 1.2207440846057596}


def amounts(f, low, high, beta):
    """∫ min(β δ, 1) over boxes low, high (N, d), δ what a formula f may hide: (N,), 0 where samples show all of it."""
    d, result = low.shape[1], np.zeros(len(low))
    sides, box = high - low, np.arange(len(low))
    shown = None
    for cut in range(HALVINGS[d] + 1):
        value, slopes, bends = enclosures.enclose(f, low, high)
        with np.errstate(invalid="ignore", over="ignore"):
            varies = np.ptp(enclosures.symmetric(bends, d), axis=-1) * sides[:, :, None] * sides[:, None, :]
            smooth = np.isfinite(varies).all(axis=(1, 2))
            varies = np.where(smooth[:, None], varies.max(axis=2), sides * np.ptp(slopes, axis=-1))
            largest = varies.max(axis=1)
        shown = _shown(f, low, high) if shown is None else shown
        left = (~smooth | (largest > SEEN * shown)) & np.isfinite(largest)
        if not left.any():
            return result
        if cut < HALVINGS[d]:
            box, sides, shown = (np.tile(a[left], (2,) + (1,) * (a.ndim - 1)) for a in (box, sides, shown))
            low, high = _halves(low[left], high[left], np.argmax(varies[left], axis=1))
    hides = np.fmin(np.ptp(value, axis=1), np.where(smooth, 0.5 * d, 1.0) * largest)
    np.add.at(result, box[left], (np.minimum(beta * hides, 1.0) * np.prod(high - low, axis=1))[left])
    return result


def _halves(low, high, axis):
    rows = np.arange(len(low))
    middle = 0.5 * (low[rows, axis] + high[rows, axis])
    top, bottom = high.copy(), low.copy()
    top[rows, axis], bottom[rows, axis] = middle, middle
    return np.concatenate([low, bottom]), np.concatenate([top, high])


def _shown(f, low, high):
    """The largest entry of Hess f in boxes (N,), by their sides.

    Of two sets of places the one that shows less: a well that happens to be at a place of one is at none of the other.
    """
    d = low.shape[1]
    corners = np.array([*product((0.0, 1.0), repeat=d), (0.5,) * d])
    inside = (np.arange(1.0, 2.0 * PLACES + 1.0)[:, None] * GOLDEN[d] ** -np.arange(1.0, d + 1.0)) % 1.0
    sides, least = high - low, np.full(len(low), np.inf)
    for places in (np.concatenate([corners, inside[:PLACES]]), inside[PLACES:]):
        y = low[:, None] + sides[:, None] * places
        bend = np.abs(_at(f.hessian, y).reshape(*y.shape, d)) * sides[:, None, :, None] * sides[:, None, None, :]
        least = np.minimum(least, bend.max(axis=(1, 2, 3)))
    return least


def _at(derivative, y):
    """A derivative at places y (N, K, d), 0 where it is not finite."""
    flat = y.reshape(-1, y.shape[-1])
    with np.errstate(all="ignore"):
        values = np.asarray(derivative(flat[:, 0] if y.shape[-1] == 1 else flat))
    return np.where(np.isfinite(values), values, 0.0)
