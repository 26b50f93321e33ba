"""Local extrema of a solution followed in time: birth, death, place and value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.grid import Grid
from pdelab.hints import Array
from pdelab.regularity.shared import filter_modes

__all__ = ["Track", "track"]


@dataclass(frozen=True)
class Track:
    """A local extremum followed in time.

    Attributes
    ----------
    kind : str
        "minimum" or "maximum".
    times : array (k,)
    points : array (k,) or (k, d)
    values : array (k,)
    birth : float
        When it was first seen.
    death : float
        When it was first seen no longer, or math.inf.
    """

    kind: str
    times: np.ndarray
    points: np.ndarray
    values: np.ndarray
    birth: float
    death: float


def track(times: Sequence[float] | Array, values: ArrayLike, grid: Grid, *, reach: float | None = None) -> list[Track]:
    """Follow the local minima and maxima of a solution through its saved times.

    Parameters
    ----------
    times : increasing sequence of k floats
    values : array (k, *shape)
        A solution, e.g. that of `solve` or `hopf_lax`; any equation.
    grid : Grid
    reach : float, optional
        How far an extremum may move between two saved times; by default a tenth of the shortest side.

    Returns
    -------
    list of Track
        By birth, then by place. Extrema on the ends of an axis that is not periodic do not count.

    Raises
    ------
    ValueError
        Times that do not increase, values of another shape than (k, *grid.shape), a reach <= 0.

    Examples
    --------
    >>> import pdelab as pl
    >>> f, grid, times = pl.losses.double_well(tilt=0.1), pl.Grid(-2.0, 2.0, 201), np.linspace(0.0, 12.0, 25)
    >>> tracks = track(times, pl.hopf_lax(f, grid, times), grid)
    >>> [(one.kind, round(float(one.points[0]), 1), float(one.death)) for one in tracks]
    [('maximum', 0.1, 9.5), ('minimum', -1.0, inf), ('minimum', 0.9, 9.5)]
    """
    times = checks.reals("times", times, "an increasing sequence")
    values = checks.reals("values", values, f"shape {(np.size(times), *grid.shape)}")
    if times.ndim != 1 or len(times) == 0 or not (np.diff(times) > 0).all():
        raise ValueError(f"times: expected an increasing sequence, got {times!r}")
    if values.shape != (len(times), *grid.shape):
        raise ValueError(f"values: expected shape {(len(times), *grid.shape)}, got {values.shape}")
    sides = [high - low for low, high in zip(grid.lower, grid.upper)]
    reach = 0.1 * min(sides) if reach is None else checks.positive("reach", reach)
    tracks = []
    for kind, sign in (("minimum", 1.0), ("maximum", -1.0)):
        tracks += _followed(kind, times, [_minima(sign * grid.field(u), grid, sign) for u in values], grid, reach)
    return sorted(tracks, key=lambda track: (track.birth, track.kind, tuple(np.atleast_1d(track.points[0]))))


def _minima(u, grid, sign):
    """Local minima of node values away from the ends: (points (k, d), sign * values (k,)), refined by parabolas."""
    modes, d = filter_modes(grid), grid.dimension
    flat = u == scipy.ndimage.minimum_filter(u, 3, mode=modes)
    steeper = np.where(flat, math.inf, u)
    sloping = u == scipy.ndimage.minimum_filter(steeper, 3, mode=modes)  # a plateau that goes on downhill
    for axis, name in enumerate(grid.boundary):
        if name != "periodic":
            sloping |= np.isin(np.arange(u.shape[axis]), (0, u.shape[axis] - 1)).reshape((-1,) + (1,) * (d - 1 - axis))
    labels, count = scipy.ndimage.label(flat, np.ones((3,) * d))
    if count == 0 or flat.all():
        return np.empty((0, d)), np.empty(0)
    each = np.arange(1, count + 1)
    deep = each[scipy.ndimage.maximum(flat & sloping, labels, each) == 0]
    places = np.array(scipy.ndimage.center_of_mass(flat, labels, deep)).reshape(-1, d)
    values = np.asarray(scipy.ndimage.minimum(u, labels, deep), dtype=float)
    whole = (places == np.round(places)).all(axis=1)
    for k in np.flatnonzero(whole):
        places[k], values[k] = _vertex(u, places[k].astype(int), values[k])
    return np.array(grid.lower) + places * np.array(grid.spacing), sign * values


def _vertex(u, node, value):
    """Vertex of the parabolas through a node and its neighbours, axis by axis: (place in nodes, value)."""
    place = node.astype(float)
    for axis, n in enumerate(u.shape):
        step = np.eye(len(node), dtype=int)[axis]
        left, here, right = u[tuple((node - step) % n)], u[tuple(node)], u[tuple((node + step) % n)]
        bend = left - 2 * here + right
        if bend > 0:
            move = float(np.clip((left - right) / (2 * bend), -0.5, 0.5))
            place[axis] += move
            value -= 0.5 * bend * move**2
    return place, value


def _followed(kind, times, minima, grid, reach):
    """Extrema of successive times joined into tracks: the pairing of least total distance, none beyond reach."""
    alive, done = [], []
    for k, (points, values) in enumerate(minima):
        last = np.array([track["points"][-1] for track in alive]).reshape(-1, grid.dimension)
        gap = _distance(last, points, grid)
        rows, columns = scipy.optimize.linear_sum_assignment(np.where(gap <= reach, gap, 1e6 * (1 + reach)))
        pairs = {int(r): int(c) for r, c in zip(rows, columns) if gap[r, c] <= reach}
        for r, track in enumerate(alive):
            if r in pairs:
                track["points"].append(points[pairs[r]])
                track["values"].append(values[pairs[r]])
        done += [(track, times[k]) for r, track in enumerate(alive) if r not in pairs]
        alive = [track for r, track in enumerate(alive) if r in pairs]
        fresh = set(range(len(points))) - set(pairs.values())
        alive += [{"start": k, "points": [points[c]], "values": [values[c]]} for c in sorted(fresh)]
    done += [(track, math.inf) for track in alive]
    return [_track(kind, times, track, death, grid) for track, death in done]


def _track(kind, times, track, death, grid):
    points = np.array(track["points"])
    seen = times[track["start"] : track["start"] + len(points)]
    points = points[:, 0] if grid.dimension == 1 else points
    return Track(kind, seen, points, np.array(track["values"]), float(seen[0]), float(death))


def _distance(a, b, grid):
    """Distances of points (k, d) and (l, d), (k, l); the shorter way round on periodic axes."""
    gap = np.abs(a[:, None] - b[None])
    for axis, (low, high, name) in enumerate(zip(grid.lower, grid.upper, grid.boundary)):
        if name == "periodic":
            gap[..., axis] = np.minimum(gap[..., axis], (high - low) - gap[..., axis])
    return np.linalg.norm(gap, axis=-1)
