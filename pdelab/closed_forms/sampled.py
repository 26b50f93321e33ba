"""Local entropy of a Loss at the nodes of a grid: the integral over R^d, on nodes that go as far and as fine as needed.

The Loss is sampled beyond the box as far as its kernel reaches, on the grid's own spacing, and the result is compared
with the adaptive quadrature at a few nodes. Where they differ, the spacing is halved; where that would take too many
nodes, the quadrature does all of them. Elsewhere a second lattice, shifted between the nodes, has to agree, and
enclosures of a formula tell what hides between the nodes of both: the quadrature does what is left in doubt.
"""

import math
import warnings
from itertools import product

import numpy as np
import scipy

from pdelab.checks import AccuracyWarning
from pdelab.closed_forms import branching, certificates, descent, gaussian, inviscid, points, viscous
from pdelab.closed_forms.gaussian import SHIFT
from pdelab.grid import Grid
from pdelab.kernels.envelopes import DEPTH
from pdelab.losses import enclosures, search

__all__ = ["local_entropy", "polished"]

LEVELS = (1, 2, 4, 8)  # halvings of the spacing that are tried
LARGEST = 16 * 10**6  # nodes of a sampled field
PROBES = 12  # nodes compared with the quadrature
AGREE = (
    2e-13,
    2e-12,
    2e-11,
)  # accepted errors of u and its derivatives
SHORT = 1e-9  # accepted errors, relative: of small losses, and of derivatives in scopes so short that sums cancel
SEAM = 1e-12  # of the box, what is at the end of a ring
SHARED = 10**7  # times that a valley of a loss of functions is offered to a node
SLACK = 10.0  # accepted differences of a second lattice over the accepted errors
GROUP, HIDDEN = 8, 64.0  # cells at first; how often as large as at the nodes a second derivative may be between them
FEW = 64  # nodes that the quadrature does at once


def local_entropy(f, grid, gamma, beta, order=0):
    """f_gamma (order 0), its gradient (1) or its Hessian (2) at the nodes: shape grid.shape, and d or d x d more.

    With few nodes, and where the sampled fields do not agree with it, by the quadrature at every node.
    """
    if gamma == 0.0:
        return (f, f.gradient, f.hessian)[order](grid.points)
    if math.prod(grid.shape) <= FEW:
        return points.derivative(f, grid.points, gamma, beta, order)
    where = grid.points.reshape(-1, grid.dimension)
    some = np.linspace(0, len(where) - 1, PROBES).astype(int)
    exact = points.derivative(f, where[some, 0] if grid.dimension == 1 else where[some], gamma, beta, order)
    reach = _reach(f, where, gamma, beta)
    for level in _levels(grid, gamma, beta, order):
        u = _on_nodes(f, grid, gamma, beta, reach, level, order)
        if u is None:
            break
        error = np.abs(u.reshape(len(where), *u.shape[grid.dimension :])[some] - exact).max()
        size = np.abs(exact).max()
        allowed = min(AGREE[order] * (size + (beta / gamma) ** (order / 2) / beta), SHORT * size)
        if error <= allowed:
            return _where_agreed(f, grid, gamma, beta, reach, level, order, u, allowed)
    return points.derivative(f, grid.points, gamma, beta, order)


def _where_agreed(f, grid, gamma, beta, reach, level, order, u, allowed):
    """u, by the quadrature at nodes where a shifted lattice says otherwise, or in whose reach f may hide something."""
    if math.isinf(beta):
        return u
    other = _on_nodes(f, grid, gamma, beta, reach, level, order, SHIFT)
    flat = u.reshape(-1, *u.shape[grid.dimension :])
    doubtful = np.zeros(len(flat), dtype=bool)
    if other is not None:
        doubtful |= ~(np.abs(u - other).reshape(len(flat), -1).max(axis=1) <= SLACK * allowed)
    if f.formula is not None:
        doubtful |= _hidden_from(f, grid, gamma, beta, reach, level, allowed * (gamma / beta) ** (order / 2))
    if doubtful.any():
        where = grid.points.reshape(-1, grid.dimension)[doubtful]
        flat[doubtful] = points.derivative(f, where[:, 0] if grid.dimension == 1 else where, gamma, beta, order)
    return flat.reshape(u.shape)


def _hidden_from(f, grid, gamma, beta, reach, level, allowed):
    """Nodes (N,) within whose reach a formula may bend far more in a cell than the nodes around it show."""
    axes = _wide_axes(grid, reach, level)[0]
    x = grid.points.reshape(-1, grid.dimension)
    low, high, floor = _hiding(f, axes, allowed)
    if len(floor) * len(x) > SHARED:
        return np.ones(len(x), dtype=bool)
    top, hidden = branching.values(f, x) + DEPTH / beta, np.zeros(len(x), dtype=bool)
    for a, b, least in zip(low, high, floor):
        away = np.maximum(np.maximum(a - x, x - b), 0.0)
        hidden |= ~(least + (away**2).sum(axis=1) / (2.0 * gamma) > top)
    return hidden


def _hiding(f, axes, allowed):
    """(low, high (K, d), lower bounds of f (K,)) of cells where f may bend far more than the nodes around them show."""
    d, steps = len(axes), np.array([a[1] - a[0] for a in axes])
    values = branching.values(f, np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
    bend = np.zeros(values.shape)
    for axis in range(d):
        ends = [(1, 1) if k == axis else (0, 0) for k in range(d)]
        bend = np.maximum(bend, np.pad(np.abs(np.diff(values, 2, axis)), ends, "edge"))
    last = np.array(values.shape) - 1
    starts = np.stack([m.ravel() for m in np.meshgrid(*[np.arange(0, n, GROUP) for n in last], indexing="ij")], axis=-1)
    for group in (GROUP, 1):
        shown = scipy.ndimage.maximum_filter(bend, 2 * group + 1)[tuple(starts.T)]
        low, high = (
            np.stack([axes[k][at[:, k]] for k in range(d)], axis=-1)
            for at in (starts, np.minimum(starts + group, last))
        )
        value, _, bends = enclosures.enclose(f, low, high)
        with np.errstate(invalid="ignore", over="ignore"):
            bends = np.abs(bends).max(axis=(1, 2)) * steps.max() ** 2
            hides = ~(bends <= HIDDEN * shown) & ~(np.fmin(0.125 * d * bends, np.ptp(value, axis=1)) <= allowed)
        starts = starts[hides]
        if group > 1:
            offsets = np.stack([m.ravel() for m in np.meshgrid(*[np.arange(group)] * d, indexing="ij")], axis=-1)
            starts = (starts[:, None] + offsets).reshape(-1, d)
            starts = starts[(starts < last).all(axis=1)]
    return low[hides], high[hides], value[hides, 0]


def _levels(grid, gamma, beta, order):
    """Halvings that may do: with a kernel that its nodes do not resolve, the interpolant of a smooth f never does."""
    if math.isinf(beta):
        return LEVELS if order == 0 else ()
    return [level for level in LEVELS if gamma >= viscous.RESOLVED * beta * (max(grid.spacing) / level) ** 2]


def polished(f, grid, t, u, minimiser, box=None):
    """Hopf-Lax minimisers found on nodes, made exact by Newton on the Loss: (u, minimiser as coordinates, gap).

    A start is kept where Newton leaves its neighbourhood, and outside the box in which f itself is meant (by default
    the grid's). On periodic axes, where f continues by images, a formula is searched instead, and of functions the
    image in the box is polished. gap: by how much u may be too high, for all that is proved of a formula.
    """
    gap = 0.0
    box, d = grid if box is None else box, grid.dimension
    x, y, u = grid.points.reshape(-1, d), minimiser.reshape(-1, d).copy(), u.ravel().copy()
    flat = not any(box.periodic)
    if flat:
        _descend(f, x, t, u, y, box, 2.0 * max(grid.spacing))
    if f.formula is not None:
        before = y
        u, y, below = search.lower_on_box(f, box, x, t, u, y)
        moved = (y != before).any(axis=1)
        if flat and moved.any():
            lowered, there = u[moved], y[moved]
            _descend(f, x[moved], t, lowered, there, box, descent.POLISH * (1.0 + float(np.abs(y).max())))
            u[moved], y[moved] = lowered, there
            _settle(f, x, t, u, y, box)
        slack = 1e-12 * (1.0 + np.abs(u))
        certificates.within(u, below, math.inf, slack, "hopf_lax of a formula")
        u = _energies(f, box, x, t, u, y, slack)
        descent.tell_of_gap(f, u, y, below, branching.values(f, x))
        gap = float(np.max(u - below, initial=0.0))
    else:
        here = branching.values(f, x)
        worse = u > here  # Newton's method from between nodes that passed over a valley
        u[worse], y[worse] = here[worse], x[worse]
        if not flat:
            _descend_in_box(f, x, t, u, y, box)
        _share(f, box, x, t, u, y, np.concatenate([_found(f, box, y), x[worse]]))
        _second_look(f, box, x, t, u, y)
    return u.reshape(grid.shape), y.reshape(minimiser.shape), gap


def _energies(f, box, x, t, u, y, slack):
    """u (P,) as the energies of its minimisers y (P, d) where these are in the box or its periodic images; checked."""
    low, high = np.array(box.lower), np.array(box.upper)
    at = _image(box, y)
    meant = ((at >= low) & (at <= high)).all(axis=1)
    far = ((x - y)[meant] ** 2).sum(axis=1) / (2.0 * t)
    energy = branching.values(f, at[meant]) + far
    seam = np.array(box.periodic) & (at - low <= SEAM * (high - low))
    if seam.any():  # f may differ at the two ends of a ring, which are one place
        other = branching.values(f, np.where(seam, high, at)[meant]) + far
        energy = np.where(np.abs(u[meant] - other) < np.abs(u[meant] - energy), other, energy)
    allowed = slack[meant]
    apart = np.abs(u[meant] - energy) > allowed
    if apart.any():
        allowed[apart] += _by_rounding(f, at[meant][apart])
    certificates.attained(u[meant], energy, allowed, "hopf_lax of a formula")
    u[meant] = energy
    return u


def _by_rounding(f, y):
    """What f at places y (P, d) changes by within two floats of them: (P,), 1e-8 and more on a cusp."""
    here, change = branching.values(f, y), np.zeros(len(y))
    for axis, towards in product(range(y.shape[1]), (-np.inf, np.inf)):
        near = y.copy()
        for _ in range(2):
            near[:, axis] = np.nextafter(near[:, axis], towards)
            change = np.maximum(change, np.abs(branching.values(f, near) - here))
    return 2.0 * change


def _settle(f, x, t, u, y, box):
    """`descent.settle_on_kinks`, in place, for minimisers inside the box that stay there."""
    low, high = np.array(box.lower), np.array(box.upper)
    rows = np.flatnonzero(((y > low) & (y < high)).all(axis=1))
    energy, place = u[rows], y[rows]
    descent.settle_on_kinks(f, x[rows], t, energy, place)
    stay = ((place >= low) & (place <= high)).all(axis=1)
    u[rows[stay]], y[rows[stay]] = energy[stay], place[stay]


def _image(box, y):
    """The images of places y (P, d) within the box along its periodic axes."""
    low, high = np.array(box.lower), np.array(box.upper)
    return np.where(box.periodic, low + np.mod(y - low, high - low), y)


def _descend_in_box(f, x, t, u, y, box):
    """As `_descend`, for the images in the box, as far as they stay there."""
    place, energy = _image(box, y), u.copy()
    moved = y - place
    _descend(f, x - moved, t, energy, place, box, 2.0 * max(box.spacing))
    stay = ((place >= np.array(box.lower)) & (place <= np.array(box.upper))).all(axis=1)
    u[stay], y[stay] = energy[stay], (place + moved)[stay]


def _share(f, box, x, t, u, y, starts):
    """Offer the valleys of f around `starts` (K, d) to all points x, in place: which of them are lower for it."""
    low, high, size = np.array(box.lower), np.array(box.upper), 2.0 * max(box.spacing)
    lower = np.zeros(len(x), dtype=bool)
    if not len(starts):
        return lower
    wells = descent.newton(f, starts, starts, t, size, low, high)[1]
    wells = wells[np.unique(np.round((wells - low) / (1e-7 * (high - low))), axis=0, return_index=True)[1]]
    heights = branching.values(f, wells)
    most = max(64, SHARED // len(x))
    if len(wells) > most:
        wells, heights = (a[np.argsort(heights)[:most]] for a in (wells, heights))
    d = x.shape[1]
    slopes = np.reshape(f.gradient(wells[:, 0] if d == 1 else wells), (-1, d))
    bends = np.reshape(f.hessian(wells[:, 0] if d == 1 else wells), (-1, d, d)) + np.eye(d) / t
    convex = np.isfinite(bends).all(axis=(1, 2))
    convex[convex] = np.linalg.eigvalsh(bends[convex])[:, 0] > 0.0
    softness = np.where(convex[:, None, None], np.linalg.inv(np.where(convex[:, None, None], bends, np.eye(d))), 0.0)
    images = [(0.0, side, -side) if ring else (0.0,) for side, ring in zip(high - low, box.periodic)]
    slack = branching.slack(f, x, u, 1e-12)
    for gain in (0.0, 0.5):  # what the bottom of a valley gives, and then what the way down from there should add
        best, chosen = u - slack, np.full(x.shape, np.nan)
        moved = np.zeros(x.shape)  # on periodic axes by how much: f is meant in the box alone
        for shift in map(np.array, product(*images)):
            for well, height, slope, soft in zip(wells, heights, slopes, softness):
                away = well + shift - x
                energy = height + (away**2).sum(axis=1) / (2.0 * t)
                if gain:
                    g = slope + away / t
                    energy -= gain * np.einsum("pi,ij,pj->p", g, soft, g)
                here = energy < best
                best[here], chosen[here], moved[here] = energy[here], well, shift
        rows = np.flatnonzero(np.isfinite(chosen).all(axis=1))
        energy, place = descent.newton(f, x[rows] - moved[rows], chosen[rows], t, size, low, high)
        fine = energy < u[rows] - slack[rows]
        u[rows[fine]], y[rows[fine]] = energy[fine], (place + moved[rows])[fine]
        lower[rows[fine]] = True
    return lower


def _found(f, box, y):
    """Where the nodes of a box and the places y (P, d) show valleys: nodes lowest around, y below the cell around."""
    values = branching.values(f, np.array(box.points).reshape(*box.shape, -1))
    deep = _deep(values, box)
    cell = np.floor((y - np.array(box.lower)) / box.spacing).astype(int)
    inside = ((y >= np.array(box.lower)) & (y <= np.array(box.upper))).all(axis=1)
    corners = [
        values[tuple(np.where(box.periodic, at % box.shape, np.minimum(at, np.array(box.shape) - 1)).T)]
        for at in (cell[inside] + np.array(corner) for corner in product((0, 1), repeat=len(box.shape)))
    ]
    places = y[inside]
    hidden = places[branching.values(f, places) < np.min(corners, axis=0)]
    return np.concatenate([np.array(box.points).reshape(-1, y.shape[1])[deep.ravel()], hidden])


def _second_look(f, box, x, t, u, y):
    """Lower u and y where the middles of the cells of a box, nodes of no earlier look, show less, and warn of it."""
    axes = [(a if ring else a[:-1]) + 0.5 * h for a, h, ring in zip(box.axes, box.spacing, box.periodic)]
    middles = axes[0] if len(axes) == 1 else np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    if min(map(len, axes)) < 2:
        return
    between = Grid([a[0] for a in axes], [a[-1] for a in axes], [len(a) for a in axes])
    values = branching.values(f, middles[..., None] if len(axes) == 1 else middles)
    nodes = inviscid.node_minimum(np.ascontiguousarray(values), between, t)[1]
    place = inviscid.coordinates(nodes, between).reshape(-1, len(axes))
    low = values[tuple(nodes.reshape(-1, len(axes)).T)]
    near = np.clip(
        np.round((x - np.array(between.lower)) / between.spacing).astype(int), 0, np.array(between.shape) - 1
    )
    row = np.ravel_multi_index(tuple(near.T), between.shape)
    energies = low[row] + ((x - place[row]) ** 2).sum(axis=1) / (2.0 * t)
    shown = np.flatnonzero(energies < u - branching.slack(f, x, u, 1e-9))
    nodes = branching.values(f, np.array(box.points).reshape(*box.shape, -1))
    hidden = (values < _over_corners(nodes, box, np.minimum)) & ~_over_corners(_deep(nodes, box), box, np.logical_or)
    dips = middles.reshape(*values.shape, -1)[hidden]
    starts = np.unique(np.concatenate([place[row[shown]], dips]), axis=0)
    before = u.copy()
    lower = _share(f, box, x, t, u, y, starts)
    lower[lower] = u[lower] < before[lower] - branching.slack(f, x, before, 1e-9)[lower]
    if shown.size or lower.any():
        where = place[row[shown[0]]] if shown.size else y[lower][0]
        warnings.warn(
            f"the grid is too coarse for f: at {int(lower.sum())} nodes a valley between its nodes is lower than what "
            f"they show, near {where}; it is in the answer, but there may be more: use more nodes, or give f as a "
            "formula",
            AccuracyWarning,
            stacklevel=5,
        )


def _over_corners(field, box, join):
    """What is joined over the corners of each cell of a box."""
    for axis, ring in enumerate(box.periodic):
        field = join(field, np.roll(field, -1, axis))
        field = field if ring else np.delete(field, -1, axis)
    return field


def _deep(values, box):
    """Which nodes are lowest around."""
    modes = ["wrap" if ring else "nearest" for ring in box.periodic]
    deep = values <= scipy.ndimage.minimum_filter(values, 3, mode=modes)
    return deep & (values < scipy.ndimage.maximum_filter(values, 3, mode=modes))


def _descend(f, x, t, u, y, box, size):
    """Newton's method from minimisers y inside the box, in place; those that go further than `size` are left.

    So are those that go through a wall: beyond an outflow end f goes on, and is warned of.
    """
    inside = ((y > np.array(box.lower)) & (y < np.array(box.upper))).all(axis=1)
    energy, place = descent.newton(f, x[inside], y[inside], t, size)
    near = (np.abs(place - y[inside]) <= size).all(axis=1)
    walls = [name == "reflecting" for name in box.boundary]
    near &= (~np.array(walls) | ((place >= np.array(box.lower)) & (place <= np.array(box.upper)))).all(axis=1)
    rows = np.flatnonzero(inside)[near]
    u[rows], y[rows] = energy[near], place[near]


def _reach(f, where, gamma, beta):
    """How far from the nodes the integrand matters."""
    depth = 0.0 if math.isinf(beta) else DEPTH / beta
    return float(branching.spread(f, where, gamma, depth).max())


def _at_most_mean(u, values, steps, more, level, variance):
    """u if it is at most the Gaussian average of f (Jensen), by the same trapezoid rule on the same nodes."""
    slack = certificates.rounding(values) if np.isfinite(values).all() else math.inf
    if slack < 1e-6 * (1.0 + float(np.abs(u).max())):  # else high walls leave the sum no digits
        mean = _mean(values, steps, more, level, variance)
        certificates.within(u, -math.inf, mean, slack, "local_entropy, which is at most the average of f")
    return u


def _mean(values, steps, more, level, variance):
    """The Gaussian average of nodes at every level-th of those in the box."""
    for axis, (h, reach) in enumerate(zip(steps, more)):
        values = gaussian.convolved(values, gaussian.weights(h, reach, variance), axis)
    return values[(slice(None, None, level),) * values.ndim]


def _wide_axes(grid, reach, level, shift=0.0):
    """(axes of the box and its surroundings with spacing h/level, the spacings, how many nodes are added at an end)."""
    steps = [h / level for h in grid.spacing]
    more = [level * math.ceil(reach / h) for h in grid.spacing]
    counts = [level * (n - 1) + 1 + 2 * m for n, m in zip(grid.shape, more)]
    axes = (x[0] + h * (np.arange(-m, count - m) + shift) for x, h, m, count in zip(grid.axes, steps, more, counts))
    return list(axes) if math.prod(counts) <= LARGEST else None, steps, more


def _on_nodes(f, grid, gamma, beta, reach, level, order=0, shift=0.0):
    """u from f sampled on the box and its surroundings with spacing h/level, or None when that is too much.

    shift: of the lattice, in spacings.
    """
    axes, steps, more = _wide_axes(grid, reach, level, shift)
    if axes is None:
        return None
    counts = [len(a) for a in axes]
    mesh = axes[0] if grid.dimension == 1 else np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    values = np.ascontiguousarray(f(mesh), dtype=float)
    if math.isinf(beta):
        wide = Grid([a[0] for a in axes], [a[-1] for a in axes], counts, boundary="outflow")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the nodes beyond the box, which are not asked for
            u, nodes = inviscid.quartic_minimum(values, wide, gamma)
        inner = tuple(slice(m, m + level * (n - 1) + 1, level) for m, n in zip(more, grid.shape))
        place = inviscid.coordinates(nodes, wide)[inner]
        return polished(f, grid, gamma, u[inner], place, wide)[0]
    lines = [viscous.Line(h, "free", n, m - shift, level) for h, n, m in zip(steps, grid.shape, more)]
    if order == 0 and shift:
        return None if gaussian.is_mild(values, beta) else viscous.value(values, lines, gamma, beta)
    if order == 0:
        size = steps, more, level, gamma / beta
        if gaussian.is_mild(values, beta):
            u = gaussian.entropy(values, beta, lambda v: _mean(v, *size))
        else:
            u = viscous.value(values, lines, gamma, beta)
        return _at_most_mean(u, values, *size)
    if order == 1:
        parts = viscous.gradient(values, lines, gamma, beta)
        return parts[0] if grid.dimension == 1 else np.stack(parts, axis=-1)
    rows = viscous.hessian(values, lines, gamma, beta)
    return rows[0][0] if grid.dimension == 1 else np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
