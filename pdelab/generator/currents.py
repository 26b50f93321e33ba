"""The probability current that the jumps of a chain carry over the faces of a grid, and its divergence."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from pdelab.checks import AccuracyWarning
from pdelab.generator.coefficients import DiffusionProblem, asked, axis_rates, ito
from pdelab.generator.edges import edges
from pdelab.generator.smearing import warn_of_smearing
from pdelab.generator.truncation import Truncation
from pdelab.grid import Grid
from pdelab.hints import Array

__all__ = ["balanced", "current", "divergence", "moved_on_ring", "ring_current"]

STATIONARY = 1e-11  # relative distance at which a density counts as the stationary one
ROUNDING = 64 * np.finfo(float).eps
UNEVEN = 1e-3  # of a steady current, by which the sections across an axis may differ before it counts as rounding


def current(problem: DiffusionProblem, grid: Grid, density: ArrayLike, time: float = 0.0) -> tuple[np.ndarray, ...]:
    """The probability current J on the faces of each axis: ρ_t = -div J exactly on the grid.

    Parameters
    ----------
    density : array grid.shape
    problem : FokkerPlanck or BackwardKolmogorov
    grid : Grid
    time : float
        When the coefficients are taken, where they move.
    problem : FokkerPlanck or BackwardKolmogorov
    grid : Grid
    time : float
        When the coefficients are taken, where they move.

    Returns
    -------
    tuple of arrays, one an axis
        J_k (probability per time and per area of the face), shape grid.shape with n_k - 1 faces along axis k, with n_k
        faces when that axis is periodic; face i joins node i to the next.

    Warns
    -----
    AccuracyWarning
        Along an axis that the drift blows along: a current that is everywhere below 64 units in the last place of what
        jumps to and fro, or a stationary one whose sections, which must all carry the same, differ by more than 1e-3.

    Notes
    -----
    On a ring (one periodic axis) the stationary density has one current all round. It is then not taken as a difference
    of what jumps to and fro, but from the affinity A of one turn and sums of positive terms,

        J = m_0 (1 - e^{-A}) / sum_i e^{-V_{i+1}} / down_i,    V_i = sum_{j<i} log(up_j / down_j),  A = V_n,

    so that a current of 1e-20 has its digits, too (Hill; Schnakenberg). In more dimensions faces are subtracted; the
    net current round a periodic axis has all its digits there from `generator.turning_rate`.

    Jumps along other directions than the axes are led over the faces of the box between their ends, half of them
    first along the first axis, half of them first along the last.

    Examples
    --------
    >>> import numpy as np, pdelab as pl
    >>> ring = pl.Grid(0.0, 2 * np.pi, 200, boundary="periodic")
    >>> tilted = pl.FokkerPlanck(-np.cos(ring.x), np.ones(200), beta=30.0)       # a washboard, force 1
    >>> J = pl.current(tilted, ring, pl.stationary(tilted, ring))[0]
    >>> bool(np.ptp(J) == 0), bool(J[0] > 0)
    (True, True)
    """
    coefficients = asked(problem, grid, time)
    form = ito(coefficients, grid)
    density = grid.field(density, "density")
    mass = grid.weights * density
    if grid.periodic == (True,):
        turning = _around(coefficients, form, grid, mass)
        if turning is not None:
            moved = moved_on_ring(form, grid) if turning else 0.0
            warn_of_smearing("the current is", moved, None, form, grid, stacklevel=3)
            return (np.full(grid.shape, turning),)
    flows, traffic = _over_faces(form, grid, mass) if form.diagonal else _routed(form, grid, mass)
    _warn_of_rounding(flows, traffic, coefficients, form, grid)
    faces = []
    for axis, flow in enumerate(flows):
        area = np.moveaxis(grid.weights, axis, -1) / grid.axis_weights[axis]
        flow = flow / np.moveaxis(area, -1, axis)
        keep = slice(None) if grid.periodic[axis] else slice(-1)
        faces.append(flow[(slice(None),) * axis + (keep,)])
    return tuple(faces)


def _warn_of_rounding(flows, traffic, coefficients, form, grid):
    """Say so where the flows along an axis are differences of which nothing is left."""
    if balanced(coefficients):
        return
    blown = [not form.diagonal or (drift is not None and bool(drift.any())) for drift in _by_axis(form.drift, grid)]
    net = sum(flow - np.roll(flow, 1, axis) for axis, flow in enumerate(flows))
    steady = float(np.abs(net).max()) <= STATIONARY * max(traffic) and not grid.absorbing.any()
    if steady and grid.dimension == 1 and not grid.periodic[0]:
        return  # there is none in a closed interval
    for axis in np.flatnonzero(blown):
        flow = np.moveaxis(flows[axis], axis, 0).reshape(grid.shape[axis], -1)
        largest, passing = float(np.abs(flow).max()), float(np.abs(flow).sum(axis=1).max())
        across = flow.sum(axis=1) if grid.periodic[axis] else np.append(0.0, flow[:-1].sum(axis=1))
        if 0 < largest < ROUNDING * traffic[axis]:
            what = f"at most {largest:.1e}, which is rounding of the {traffic[axis]:.1e} that jumps to and fro"
        elif steady and float(np.ptp(across)) > UNEVEN * passing:
            what = f"{passing:.1e} through a section, and sections differ by {np.ptp(across):.1e}, by rounding"
        else:
            continue
        warnings.warn(
            f"current: along axis {axis} {what}: take a larger force or less beta; the net current round a periodic "
            "axis keeps its digits in generator.turning_rate",
            AccuracyWarning,
            stacklevel=3,
        )


def _by_axis(drift, grid):
    """The components of a drift, one an axis; its interpretation's share counts, too."""
    return [None] * grid.dimension if drift is None else np.moveaxis(drift.reshape(*grid.shape, -1), -1, 0)


def balanced(coefficients):
    """True for a potential alone, in whose law nothing flows."""
    still = coefficients.drift is None or not coefficients.drift.any()
    return still and coefficients.diffusion is None and coefficients.sigma is None


def _around(coefficients, form, grid, mass):
    """The current round a ring, when these masses are the stationary ones up to rounding; else None."""
    ((up, down),) = axis_rates(form, grid)
    up, down = up.ravel(), down.ravel()
    if (up == 0).any() or (down == 0).any() or not (mass > 0).all():
        return None
    logs = np.log(up) - np.log(down)
    if coefficients.diffusion is None and coefficients.sigma is None:  # the potential comes back to where it began
        affinity = 0.0 if form.drift is None else math.fsum(grid.spacing[0] * form.drift / form.a[0])
    else:
        affinity = math.fsum(logs)
        affinity = affinity if abs(affinity) > ROUNDING * float(np.abs(logs).sum()) else 0.0
    lowest = int(np.argmax(mass))  # from the deepest well on
    heights = np.concatenate([[0.0], np.cumsum(np.roll(logs, -lowest))])
    heights[-1] = affinity
    terms = -heights[1:] - np.log(np.roll(down, -lowest))
    left = np.logaddexp.accumulate(terms[::-1])[::-1]  # log sum_{j>=i}
    behind = np.concatenate([[-math.inf], np.logaddexp.accumulate(terms)[:-1]])
    driven = math.log(-math.expm1(-abs(affinity))) + max(-affinity, 0.0) if affinity else -math.inf
    turning = math.copysign(mass[lowest] * math.exp(driven - left[0]), affinity)
    # m_i of the stationary law from m_0: e^{V_i} (m_0 - J sum_{j<i} e^{-V_{j+1}} / down_j), all terms of one sign
    law = np.exp(heights[:-1] + np.logaddexp(left, behind - affinity) - left[0]) * mass[lowest]
    away = np.abs(np.roll(mass, -lowest) - law)
    return turning if (away <= STATIONARY * law).all() else None


def ring_current(up, down):
    """(J, A) of a chain round a ring: its current for masses of sum one, the affinity of a turn, both of one sign.

    With φ the sum of log(up/down) before a node its mass is J/(1 - exp(-A)) times exp(φ) Σ_k exp(-φ_k)/up_k, k going
    round from this node, with a factor exp(-A) past the end: relative accuracy however small the current.
    """
    steps = np.log(up) - np.log(down)
    around = float(steps.sum())
    if around < 0:
        return tuple(-part for part in ring_current(down[::-1], up[::-1]))
    phi = np.cumsum(steps) - steps
    waits = -phi - np.log(up)
    after = np.logaddexp.accumulate(waits[::-1])[::-1]
    before = np.append(-math.inf, np.logaddexp.accumulate(waits)[:-1])
    size = phi + np.logaddexp(after, before - around)
    top = float(size.max())
    return -math.expm1(-around) * math.exp(-top) / float(np.exp(size - top).sum()), around


def moved_on_ring(form, grid):
    """What better rates make of the current round a ring, relative; 0 where there is none."""
    truncation = Truncation.of(form, grid)
    up, down, _, more_up, more_down = truncation.axes[0]
    better = up * (1 + more_up), down * (1 + more_down)
    if not (np.minimum(up, down) > 0).all() or not (np.minimum(*better) > 0).all():
        return 0.0
    (flow, affinity), (other, _) = ring_current(up, down), ring_current(*better)
    return abs(other / flow - 1) if abs(affinity) > ROUNDING * float(np.abs(np.log(up / down)).sum()) else 0.0


def _over_faces(form, grid, mass):
    """(flows, largest one-way flow along each axis) of jumps to neighbours."""
    flows, traffic = [], []
    for axis, (up, down) in enumerate(axis_rates(form, grid)):
        ahead = up.reshape(grid.shape) * mass
        back = down.reshape(grid.shape) * np.roll(mass, -1, axis)
        flows.append(ahead - back)
        traffic.append(max(float(ahead.max()), float(back.max())))
    return flows, traffic


def divergence(flux: Sequence[ArrayLike], grid: Grid) -> Array:
    """div J on the nodes, shape grid.shape, of face fluxes as `current` returns them: the mass leaving each cell.

    Parameters
    ----------
    flux : sequence of arrays, one an axis
        Face fluxes, as `current` returns them.
    grid : Grid

    Returns
    -------
    array grid.shape

    Raises
    ------
    ValueError
        Arrays of other shapes.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-3.0, 3.0, 61)
    >>> problem = pl.FokkerPlanck(grid.x**2 / 2, beta=1.0)
    >>> rho = pl.stationary(problem, grid)
    >>> bool(abs(divergence(pl.current(problem, grid, rho), grid)).max() < 1e-12)          # Gibbs stands still
    True
    """
    total, parts = np.zeros(grid.shape), [np.asarray(part) for part in flux]
    open_axes = np.diag([not wraps for wraps in grid.periodic])
    wanted = [tuple(faces.tolist()) for faces in np.array(grid.shape) - open_axes]
    shapes = [part.shape for part in parts]
    if shapes != wanted:
        raise ValueError(f"flux: expected one array an axis, of shapes {wanted} as `current` gives, got {shapes}")
    for axis, part in enumerate(parts):
        if grid.periodic[axis]:
            change = part - np.roll(part, 1, axis)
        else:
            edge = [(0, 0)] * grid.dimension
            edge[axis] = (1, 1)
            change = np.diff(np.pad(part, edge), axis=axis)
        total += np.moveaxis(np.moveaxis(change, axis, -1) / grid.axis_weights[axis], -1, axis)
    return total


def _routed(form, grid, mass):
    """(flows, largest one-way flow for each axis), jumps led along the axes in both orders."""
    network, mass = edges(form, grid), mass.ravel()
    rows, steps = network.tail, network.steps.astype(np.int64)
    ahead, back = network.up * mass[network.tail], network.down * mass[network.head]
    flow = 0.5 * (ahead - back)
    flows = [np.zeros(grid.shape) for _ in range(grid.dimension)]
    for order in (range(grid.dimension), reversed(range(grid.dimension))):
        at = np.stack(np.unravel_index(rows, grid.shape), axis=-1)
        for axis in order:
            remaining = steps[:, axis].copy()
            while (moving := np.flatnonzero(remaining)).size:
                sign = np.sign(remaining[moving])
                face = at[moving].copy()
                face[:, axis] += np.minimum(sign, 0)
                face %= grid.shape
                np.add.at(flows[axis], tuple(face.T), sign * flow[moving])
                at[moving, axis] = (at[moving, axis] + sign) % grid.shape[axis]
                remaining[moving] -= sign
    return flows, [float(max(ahead.max(), back.max()))] * grid.dimension
