"""Minimisers of H(y) = f(y) + |x - y|²/(2t) for a Loss f, polished to round-off by a guarded Newton method."""

import math
import warnings
from itertools import product

import numpy as np
import scipy

from pdelab.checks import AccuracyWarning
from pdelab.closed_forms import branching, certificates
from pdelab.losses import search

__all__ = ["GAP", "POLISH", "deepest", "lowest", "minimise", "newton", "settle_on_kinks", "tell_of_gap"]

POLISH = 1e-5  # how far the last Newton steps may lead: near a minimum the value tells places apart to 1e-8 only
BRACKETS = (1e-11, 1e-9, 1e-7, 1e-5)  # relative distances at which slopes tell a cusp that Newton's method ended at
DECIMALS = (4, 6, 8, 10)  # of numbers that are tried as the place of a cusp
SLOPES, VALLEYS = 512, 64  # nodes of the slopes on a line, and how many valleys of theirs are looked at
RIDGE = 1e-9  # relative: what is gained along a ridge by a step that is worth another
CUSP = 1e-9  # relative difference of the values at neighbouring floats from which a cusp is warned of
ON_KINK = 1e-9  # of the pull of the parabola: slopes of H that no smooth minimum leaves
NEAR_KINK = 1e-3  # relative: how far around a minimum on a kink the pieces of f are looked at first
SAME_PIECE, MOST_PIECES = 0.05, 8  # of the largest jump of slopes: those that are no jump; how many pieces may meet
OPEN = 1e-9  # gap, relative likewise, from which curves of jumps and cusps are followed
GAP = 1e-5  # of a proved minimum, relative to |value| and the scale of the search, from which it is warned
USELESS = 0.1  # the same, from which on a proof may be worth nothing


def newton(f, x, y, t, radius, low=None, high=None):
    """Minimise H(.; x) from the starts y (M, d), each within its own valley: returns (min H, minimiser).

    A step is at most `radius` long, is kept only if H does not grow, and is halved otherwise; where the Hessian is not
    positive definite its eigenvalues are taken by their absolute values. `low` and `high` (d,) are bounds: a
    coordinate that is held there by the gradient is left out of the step.
    """
    y = y.copy()
    energy = _energy(f, x, y, t)
    radius = np.full(len(y), float(radius))
    last = np.full(len(y), np.inf)
    active = np.arange(len(y))
    for _ in range(100):
        rows = slice(None) if len(active) == len(y) else active  # views where copies are not needed
        xa, ya = x[rows], y[rows]
        size = _largest(ya) + _largest(xa) + 1e-300
        step = _step(f, xa, ya, t, low, high)
        step *= np.minimum(1.0, radius[rows] / np.maximum(_largest(step), 1e-250))[:, None]
        new = ya + step if low is None else np.clip(ya + step, low, high)
        moved = _largest(new - ya)
        there = _energy(f, xa, new, t)
        # at round-off the gradient knows more than the value: small steps that shrink are taken if H is level
        polishing = (moved <= 1e-6 * size) & (moved <= 0.5 * last[rows])
        level = there <= energy[rows] + 1e-14 * np.abs(energy[rows])
        keep = (there < energy[rows]) | (polishing & level)
        y[rows] = np.where(keep[:, None], new, ya)
        energy[rows] = np.where(keep, np.minimum(there, energy[rows]), energy[rows])
        radius[rows] = np.where(keep, radius[rows], 0.25 * moved)
        ahead = moved * np.where(last[rows] < np.inf, np.minimum(moved / last[rows], 1.0), 1.0)  # the next step
        last[rows] = moved
        stuck = ~keep & (moved <= 1e-8 * size)  # shorter steps would be round-off too
        active = active[(np.where(keep, ahead, moved) > 2e-16 * size) & ~stuck]
        if not len(active):
            break
    return energy, y


def _largest(rows):
    """The largest modulus in each row."""
    return np.abs(rows[:, 0]) if rows.shape[1] == 1 else np.abs(rows).max(1)


def _energy(f, x, y, t):
    away = x - y
    return branching.values(f, y) + np.einsum("md,md->m", away, away) / (2.0 * t)


def _step(f, x, y, t, low, high):
    d = y.shape[1]
    g = _derivative(f.gradient, y).reshape(-1, d) + (y - x) / t
    h = _hessian(f, y) + np.eye(d) / t
    if low is not None:
        pinned = ((y <= low) & (g > 0)) | ((y >= high) & (g < 0))
        g = np.where(pinned, 0.0, g)
        h = np.where(pinned[:, :, None] | pinned[:, None, :], np.eye(d), h)
    if d == 1:
        return -g / np.maximum(np.abs(h[:, 0]), 1e-12 / t)
    values, vectors = np.linalg.eigh(h)
    along = np.einsum("mkj,mk->mj", vectors, g) / np.maximum(np.abs(values), 1e-12 / t)
    return -np.einsum("mkj,mj->mk", vectors, along)


def _derivative(function, y):
    value = function(y[:, 0] if y.shape[1] == 1 else y)
    return np.where(np.isfinite(value), value, 0.0)


def _hessian(f, y):
    """Hess f (M, d, d); by central differences of the gradient where the Loss has none."""
    d = y.shape[1]
    try:
        return _derivative(f.hessian, y).reshape(-1, d, d)
    except ValueError:
        columns = []
        for k in range(d):
            e = 1e-5 * (1.0 + np.abs(y[:, k : k + 1])) * np.eye(d)[k]
            difference = (_derivative(f.gradient, y + e) - _derivative(f.gradient, y - e)).reshape(-1, d)
            columns.append(difference / (2.0 * e[:, k : k + 1]))
        h = np.stack(columns, axis=2)
        return 0.5 * (h + h.transpose(0, 2, 1))


def lowest(owner, energy, y, count):
    """For each owner the lowest energy and its place; equal energies: the lexicographically smallest place."""
    best = np.full(count, np.inf)
    np.minimum.at(best, owner, energy)
    tie = np.flatnonzero(energy <= best[owner] + 8e-16 * np.abs(best[owner]))
    order = tie[np.lexsort((*y[tie].T[::-1], owner[tie]))]
    _, first = np.unique(owner[order], return_index=True)
    return best, y[order[first]]


def minimise(f, x, t, told=True):
    """min over R^d of H(.; x) at points x (P, d) and its minimiser.

    Of a formula by branch and bound, with a proof: a gap is told, see `tell_of_gap`, unless a low value is all that is
    asked for. Of functions by branch and prune on sampled values, then Newton in what is left: wells narrower than a
    twentieth of the first boxes (see `branching.valleys`) may be missed, with a warning where the second look's places
    see them.
    """
    if f.formula is None and x.shape[1] > 3:
        raise ValueError(f"f: expected at most 3 variables of a loss of functions, got {x.shape[1]}: give a formula")
    if f.formula is None:
        return branching.in_chunks(_minimise, x, f, t)
    here = branching.values(f, x)
    box = search.surroundings(f, x, t)
    _, y, below = search.minimise(f, x, t, *box)
    search.refuse_poles(f, below, *box)
    energy = _energy(f, x, y, t)
    stay = ~(energy < here)
    energy[stay], y[stay] = here[stay], x[stay]
    energy, y = newton(f, x, y, t, POLISH * (1.0 + float(np.abs(y).max(initial=0.0))))
    settle_on_kinks(f, x, t, energy, y)
    _settle_on_curves(f, x, t, energy, y, below)
    if told:
        tell_of_gap(f, energy, y, below, here)
    slack = 1e-12 * (1.0 + np.abs(energy))
    certificates.attained(energy, _energy(f, x, y, t), slack, "the minimum of a formula")
    return certificates.within(energy, below, here, slack, "the minimum of a formula"), y


def settle_on_kinks(f, x, t, energy, y):
    """Lower energy and y, in place, to minima on kinks along curves and surfaces, which the search knows to a gap only.

    Newton's method for the largest of the smooth pieces of H that are seen around y, on shorter and shorter steps.
    """
    if x.shape[1] not in (2, 3):
        return
    slopes, pull = _slopes(f, x, y, t), np.abs(y - x).max(axis=1) / t
    for p in np.flatnonzero(np.abs(slopes).max(axis=1) > ON_KINK * pull):
        reach = NEAR_KINK * (np.abs(y[p]).max() + np.abs(x[p]).max())
        for _ in range(12):
            step = _step_on_kink(f, x[p], y[p], t, reach)
            if step is None or not np.abs(step).max() <= 10.0 * reach:
                break
            there = _energy(f, x[p : p + 1], y[p : p + 1] + step, t)[0]
            if not there <= energy[p] + 4e-16 * abs(energy[p]):
                break
            energy[p], y[p] = min(there, energy[p]), y[p] + step
            reach = max(min(0.1 * reach, 10.0 * np.abs(step).max()), 1e-9 * reach)
            if np.abs(step).max() <= 1e-15 * np.abs(y[p]).max():
                break


def _step_on_kink(f, x, y, t, reach):
    """The step from y to the minimum of the largest of the pieces of H within reach; None where there is one alone."""
    d = len(y)
    away = reach * np.array(list(product((-1.0, -0.3, 0.4, 1.0), repeat=d)))
    bends = _hessian(f, y + away) + np.eye(d) / t
    bent = np.einsum("mij,mj->mi", bends, away)
    slopes = _slopes(f, x, y + away, t)
    heights = _energy(f, np.broadcast_to(x, away.shape), y + away, t) - _energy(f, x[None], y[None], t)
    heights += (away * (0.5 * bent - slopes)).sum(axis=1)  # of the pieces, continued to y
    slopes -= bent
    apart = np.abs(slopes - slopes[0]).max()
    pieces = []
    for k in range(len(away)):
        if all(np.abs(slopes[k] - slopes[j]).max() > SAME_PIECE * apart for j in pieces):
            pieces.append(k)
    jump = apart > ON_KINK * np.abs(slopes).max() and np.isfinite(slopes).all()
    if not jump or not 2 <= len(pieces) <= MOST_PIECES:
        return None
    slopes, bends, heights = slopes[pieces], bends[pieces], heights[pieces]
    system = np.vstack([slopes.T / np.abs(slopes).max(), np.ones(len(pieces))])
    shares = scipy.optimize.nnls(system, np.eye(d + 1)[-1])[0]
    held = np.flatnonzero(shares)
    if not 2 <= len(held) <= d + 1:
        return None
    shares = shares / shares.sum()
    jumps, gaps = slopes[held[1:]] - slopes[held[0]], heights[held[1:]] - heights[held[0]]
    bend = np.einsum("m,mij->ij", shares, bends)
    matrix = np.block([[bend, jumps.T], [jumps, np.zeros((len(jumps), len(jumps)))]])
    return np.linalg.lstsq(matrix, -np.concatenate([shares @ slopes, gaps]), rcond=1e-14)[0][:d]


def _settle_on_curves(f, x, t, energy, y, below):
    """Lower energy and y, in place, along curves of the plane on which f jumps or has a cusp, where a gap is left.

    With one coordinate held the other is searched: a line crosses the curve at a point, where the search is exact. The
    least of these lines is that of a parabola through three of them, closer and closer.
    """
    if x.shape[1] != 2:
        return
    gaps, pull = energy - below, np.abs(y - x).max(axis=1) / t
    left = (gaps > OPEN * (1.0 + np.abs(energy))) & (gaps < math.inf)
    left &= ~(np.abs(_slopes(f, x, y, t)).max(axis=1) <= ON_KINK * pull)  # no smooth minima
    for p, axis in product(np.flatnonzero(left), (0, 1)):
        reach = 4.0 * math.sqrt(2.0 * t * gaps[p])

        def line(held, p=p, axis=axis, reach=reach):
            low, high = y[p] - 2.0 * reach, y[p] + 2.0 * reach
            low[axis] = high[axis] = held
            place = search.minimise(f, x[p : p + 1], t, low, high, closed=True)[1]
            value = _energy(f, x[p : p + 1], place, t)[0]
            if value < energy[p] - 1e-15 * (1.0 + abs(value)):
                energy[p], y[p] = value, place[0]
            return value

        middle, first = y[p, axis], energy[p]
        for step in reach * 0.1 ** np.arange(5):
            before, here, after = (line(middle + k * step) for k in (-1.0, 0.0, 1.0))
            bend = before - 2.0 * here + after
            if bend > 0.0:
                middle += step * min(max(0.5 * (before - after) / bend, -1.0), 1.0)
            if line(middle) >= first and energy[p] == first:  # as on kinks, where Newton's method has been
                break


def tell_of_gap(f, energy, y, below, here):
    """A warning where minima at y are proved to a gap above GAP only; ValueError where the proof is worth nothing.

    It is worth nothing where the gap is more than a tenth of the value and its scale, and than half of what was known
    at first: that the minimum lies between the lower bound and f at the point. here: f at the points, which tells the
    scale of its values; their rounding is no gap.
    """
    gaps, size = energy - below, np.abs(energy) + search.scale(here, energy)
    wide = np.flatnonzero((gaps > GAP * size) & (gaps < math.inf))
    if wide.size:
        known = gaps[wide] > GAP * (1.0 + np.abs(energy[wide]))
        gaps[wide] -= np.where(known, 0.0, 4.0 * search.rounding(f, y[wide]) + 1e-15 * np.abs(here[wide]))
    gap = float(np.max(gaps / size, initial=0.0))
    if not gap < math.inf:
        raise ValueError(f"f: expected a loss that is bounded below near the points, got values of {energy.min():.3g}")
    useless = np.flatnonzero((gaps > USELESS * size) & (gaps > 0.5 * (here - below)))
    if useless.size:
        k = useless[0]
        raise ValueError(
            f"f: expected a loss whose minimum can be proved, it is between {below[k]:.6g} and {energy[k]:.6g} for all "
            "that a search of many boxes tells: use a smaller time, or node values on a Grid"
        )
    if gap > GAP:
        warnings.warn(
            f"the minimum is proved to a relative gap of {gap:.1e} only: the loss has jumps, kinks along curves, a "
            "surface of minimisers or more valleys than can be searched; values may be that much too high, use a "
            "smaller time",
            AccuracyWarning,
            stacklevel=5,
        )


def _minimise(x, f, t):
    owner, starts, size = branching.valleys(f, x, t)
    energy, y = newton(f, x[owner], starts, t, size)
    energy, y = lowest(owner, energy, y, len(x))
    radii = branching.spread(f, x, t, 0.0)
    if x.shape[1] == 1:
        _offer_bottoms(f, x, t, energy, y, radii)
    energy, y = _at_cusps(f, x, t, energy, y)
    branching.second_look(f, x, t, radii, energy)
    slack = 1e-12 * (1.0 + np.abs(energy))
    certificates.attained(energy, _energy(f, x, y, t), slack, "the minimum of a loss")
    return certificates.within(energy, -np.inf, branching.values(f, x), slack, "the minimum of a loss"), y


def _offer_bottoms(f, x, t, energy, y, radii):
    """Lower energy and y, in place, to valleys of f on a line that its slopes show, however narrow: cusps."""
    nodes = np.linspace((x[:, 0] - radii).min(), (x[:, 0] + radii).max(), SLOPES)[:, None]
    slopes = _derivative(f.gradient, nodes)
    turns = np.diff(slopes)
    around = np.minimum(np.abs(np.append(np.inf, turns[:-1])), np.abs(np.append(turns[1:], np.inf)))
    left = np.flatnonzero((slopes[:-1] < 0.0) & (slopes[1:] > 0.0) & (turns > 2.0 * around))  # a smooth one is seen
    if not 0 < left.size <= VALLEYS:
        return
    low, high = nodes[left], nodes[left + 1]
    for step in range(50):
        middle = 0.5 * low + 0.5 * high
        if step == 0:
            middle = np.where(low * high < 0.0, 0.0, middle)
        down = _derivative(f.gradient, middle)[:, None] < 0.0
        low, high = np.where(down, middle, low), np.where(down, high, middle)
    for place in np.concatenate([low, high, np.round(low, DECIMALS[-1])]):
        _keep_lower(f, x, t, energy, y, np.broadcast_to(place, x.shape), np.arange(len(x)))


def _at_cusps(f, x, t, energy, y):
    """Minima whose places (P, d) are next to a cusp, where a rounding of the place is none of the value, made exact.

    Along each axis on which the slope of H changes its sign steeply, that change is bisected down to neighbouring
    floats. Numbers of few decimals are tried as well: cusps are put there. A warning where neighbours differ.
    """
    energy, y = energy.copy(), y.copy()
    heights = np.abs(energy) + np.abs(branching.values(f, x))
    slopes = np.abs(_slopes(f, x, y, t)).max(axis=1)
    left = np.flatnonzero(slopes * (_largest(y) + _largest(x)) > 1e-9 * heights)  # elsewhere Newton's method ended
    steep = np.zeros(len(x), dtype=bool)
    for axis in list(range(x.shape[1])) * min(2, x.shape[1]) if left.size else ():
        low, high, found = _bracketed(f, x[left], t, y[left], axis, 1e-14 * heights[left])
        rows = left[found]
        steep[rows] = True
        if rows.size:
            _bisect(f, x, t, energy, y, low[found], high[found], rows, axis)
    rows = np.flatnonzero(steep)
    if rows.size:
        plain = _try_plain(f, x, t, energy, y, rows)
        if x.shape[1] > 1:
            _along_ridges(f, x, t, energy, y, rows)
        _warn_of_cusps(f, x, t, energy, y, rows[~plain])
    return energy, y


def _bracketed(f, x, t, y, axis, seen):
    """(low, high, found): next to y on an axis the slope of H turns from down to up, and that moves H by `seen`."""
    size, low, high = _largest(y) + _largest(x), y.copy(), y.copy()
    found = np.zeros(len(y), dtype=bool)
    for reach in BRACKETS:
        low[~found, axis] = (y[:, axis] - reach * size)[~found]
        high[~found, axis] = (y[:, axis] + reach * size)[~found]
        fall, rise = (_slopes(f, x, place, t)[:, axis] for place in (low, high))
        found |= (fall < 0.0) & (rise > 0.0) & (np.minimum(-fall, rise) * reach * size > seen)
    return low, high, found


def _along_ridges(f, x, t, energy, y, rows):
    """Lower energy and y at some rows, in place, along ridges of kinks; a warning where that does not come to an end.

    The slopes around a place do not balance there: what is left of them leads down along the ridge.
    """
    d = x.shape[1]
    directions = np.array([e for e in product((-1.0, 0.0, 1.0), repeat=d) if any(e)])
    steps = t * np.array([1.0, 0.3, 0.1, 0.01, 1e-3])[:, None]
    gain = 0.0
    for p in rows:
        for _ in range(4):
            size = 1e-9 * (np.abs(y[p]).max() + np.abs(x[p]).max())
            slopes = _slopes(f, x[p], y[p] + size * directions, t)
            largest = np.abs(slopes).max()
            if not 0.0 < largest < math.inf:
                break
            system = np.vstack([slopes.T / largest, np.ones(len(directions))])
            shares = scipy.optimize.nnls(system, np.eye(d + 1)[-1])[0]
            rest = slopes.T @ shares / shares.sum()  # the shortest of their means
            places = y[p] - steps * rest
            there = _energy(f, np.broadcast_to(x[p], places.shape), places, t)
            last = energy[p] - there.min()
            if not last > RIDGE * (np.abs(energy[p]) + np.abs(there).min()):
                break
            energy[p], y[p] = there.min(), places[there.argmin()]
        else:
            gain = max(gain, last / np.abs(there).max())
    if gain > 0.0:
        warnings.warn(
            "f has kinks along curves, on which the descent did not end: values may be too high by a share of "
            f"{gain:.0e} or more, give f as a formula",
            AccuracyWarning,
            stacklevel=6,
        )


def _slopes(f, x, y, t):
    return _derivative(f.gradient, y).reshape(y.shape) + (y - x) / t


def _bisect(f, x, t, energy, y, low, high, rows, axis):
    """Lower energy and y at some rows, in place, to where the slope along an axis turns between low and high (R, d)."""
    xs = x[rows]
    for step in range(64):
        middle = low.copy()
        middle[:, axis] = 0.5 * low[:, axis] + 0.5 * high[:, axis]
        if step == 0:  # 0 has no neighbours to speak of
            middle[:, axis] = np.where(low[:, axis] * high[:, axis] < 0.0, 0.0, middle[:, axis])
        _keep_lower(f, xs, t, energy, y, middle, rows)
        slope = _slopes(f, xs, middle, t)[:, axis]
        low, high = np.where((slope < 0.0)[:, None], middle, low), np.where((slope >= 0.0)[:, None], middle, high)
        if (np.nextafter(low[:, axis], np.inf) >= high[:, axis]).all():
            break
    for place in (low, high):
        _keep_lower(f, xs, t, energy, y, place, rows)


def _keep_lower(f, x, t, energy, y, place, rows):
    """Take the places (R, d) at rows where they are lower, in place; which of them are."""
    there = _energy(f, x, place, t)
    lower = there < energy[rows]
    energy[rows[lower]], y[rows[lower]] = there[lower], place[lower]
    return lower


def _try_plain(f, x, t, energy, y, rows):
    """Take places of few decimals at rows where they are lower, in place; which are such places then."""
    for decimals in DECIMALS:
        _keep_lower(f, x[rows], t, energy, y, np.round(y[rows], decimals), rows)
    return (np.round(y[rows], DECIMALS[-1]) == y[rows]).all(axis=1)


def _warn_of_cusps(f, x, t, energy, y, rows):
    """A warning where the energy at the floats next to a minimum tells that between them it may be lower still."""
    if not rows.size:
        return
    beside = np.full(len(rows), np.inf)
    for axis in range(x.shape[1]):
        for side in (-np.inf, np.inf):
            place = y[rows]
            place[:, axis] = np.nextafter(place[:, axis], side)
            beside = np.minimum(beside, _energy(f, x[rows], place, t))
    room = beside - energy[rows]
    bad = room > CUSP * (np.abs(energy[rows]) + np.abs(branching.values(f, x[rows])))
    if bad.any():
        warnings.warn(
            f"f has a cusp near {y[rows[bad][0]]}, between numbers of float64: the minimum may be lower by some "
            f"{room[bad].max():.1e}, give f as a formula or move the cusp to a number such as 0",
            AccuracyWarning,
            stacklevel=6,
        )


def deepest(f, x, t, depth, most=8):
    """(min H, the deepest minimisers (k, P, d), NaN where there are fewer) within `depth` of it, k <= most."""
    owner, starts, size = branching.valleys(f, x, t)
    energy, y = newton(f, x[owner], starts, t, size)
    best = np.full(len(x), np.inf)
    np.minimum.at(best, owner, energy)
    keep = energy <= best[owner] + depth
    owner, energy, y = owner[keep], energy[keep], y[keep]
    order = np.lexsort((energy, owner))
    owner, y = owner[order], y[order]
    size = 1e-6 * (np.abs(y).max(1) + np.abs(x[owner]).max(1))
    twin = (np.abs(np.diff(y, axis=0)).max(1) <= size[1:]) & (np.diff(owner) == 0)
    owner, y = owner[~np.append(False, twin)], y[~np.append(False, twin)]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    marks = np.full((most, len(x), x.shape[1]), np.nan)
    marks[rank[rank < most], owner[rank < most]] = y[rank < most]
    return best, marks
