"""The closed forms as fields on a grid, with the grid's boundary conditions."""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import ArrayLike

from pdelab import boundaries
from pdelab.checks import AccuracyWarning
from pdelab.closed_forms import (
    arguments,
    averages,
    certificates,
    continuation,
    descent,
    gaussian,
    inviscid,
    points,
    sampled,
    separable,
    turned,
    viscous,
)
from pdelab.grid import Grid
from pdelab.kernels import envelopes
from pdelab.losses import Loss

__all__ = ["cole_hopf", "heat_smoothing", "hopf_lax", "local_entropy", "proximal"]

REFINEMENTS = {
    False: inviscid.node_minimum,
    True: inviscid.multilinear_minimum,
    "quartic": inviscid.quartic_minimum,
}


FURTHER, CORNERS = 1.5, 1e-6  # times as far beyond corners; what u may change by then, of 1/beta and its range
LINEAR = 1e-7  # beta times the range of f, up to which exp(-beta f) is linear where f is


def hopf_lax(f: Loss | ArrayLike, grid: Grid | ArrayLike, t: ArrayLike, *, refine: bool | str = True) -> np.ndarray:
    """Inviscid Hamilton-Jacobi in closed form: u(x, t) = min_y f(y) + |x - y|²/(2t) solves u_t = -½|∇u|², u(., 0) = f.

    Parameters
    ----------
    f : Loss, or array (*shape) of node values
        The initial data. Node values may be +inf where y is forbidden, on some nodes.
    grid : Grid, or points (..., d), in one dimension (...,)
        At points f must be a Loss, and the minimum is over R^d. On a grid it is over the box and its images, beyond an
        outflow end over a straight line, also of a Loss.
    t : float or sequence of floats (on a grid)
        Time(s) >= 0. At t = 0 the answer is f.
    refine : bool or "quartic"
        False: the minimum over the nodes. True: over the multilinear interpolant of the nodes. "quartic": over quartics
        where the nodes look smooth, and multilinear elsewhere. For a Loss all but False mean its formula (by Newton).

    Returns
    -------
    array (*shape), or (len(t), *shape) for a sequence of times; (...,) at points.

    Raises
    ------
    ValueError
        Times that are not finite numbers >= 0, data that do not fit the grid or are infinite everywhere, points without
        a Loss, an unknown `refine`; a Loss for which the minimum over R^d cannot be certified, or to a gap only that is
        more than a tenth of it and more than half of what f at the point and a lower bound told from the start.

    Warns
    -----
    AccuracyWarning
        Minimisers beyond an outflow end, which rest on that line; valleys between the places at which a loss of
        functions was sampled, a cusp of it between two floats, or kinks along curves; a minimum that is proved to a gap
        only.

    Notes
    -----
    The minimum over the multilinear interpolant If is exact, u = If(prox) + |x - prox|²/(2t) with `proximal`, and
    monotone: f <= g on the nodes implies u_f <= u_g (on an outflow axis as far as the linear continuation beyond the
    ends keeps the order). Of a smooth f it is the exact u up to Σ_k h_k² max|∂_k² f|/8. No map from node values to u
    that is monotone has a higher order: data that differ by a parabola between two nodes look the same to it.
    "quartic" is of fifth order on smooth data, and not monotone.

    A Loss of functions (`Loss.from_functions`) is known by samples alone: on a grid at its nodes, at points at 256, 96
    or 32 Gauss points along each axis of the reach, and more where it varies. On a grid every node is offered the
    valleys that any node shows, followed to their bottom. A second look, on a grid at the middles of its cells, at
    points at 4096 places or fewer within the reach, warns of lower values there. A valley that none of these places
    lies in goes unseen and without a warning. Of a formula the minimum is proved.

    Good values
    -----------
    refine : True. False is what a monotone scheme of first order compares with: it is at most Σ_k h_k²/(8t) above the
        minimum over the interpolant. "quartic" where node values of a smooth function are all there is.
    t : the curvature λ of a well becomes λ/(1 + tλ): t well above 1/λ flattens it, t well below 1/λ leaves it. Beyond
        the square of the box the minimisers of all nodes are the same few.

    Examples
    --------
    The squared distance from a set, by data that forbid the rest:

    >>> import numpy as np
    >>> grid = Grid(0.0, 4.0, 5)
    >>> hopf_lax(np.array([np.inf, 0.0, np.inf, np.inf, np.inf]), grid, 0.5)
    array([1., 0., 1., 4., 9.])
    """
    if terms := separable.parts(f) if _exact(f, grid, refine) else ():
        points.check_whole(f, grid, t, math.inf, "t")
        return separable.combined(terms, grid, 0, lambda part, where: hopf_lax(part, where, t))
    if not isinstance(grid, Grid):
        if turn := turned.turn(f):
            points.check_whole(f, grid, t, math.inf, "t")
            own = turned.evaluated(turn, grid, 0, t, hopf_lax)
            if own is not None:
                return own
        return points.value(f, grid, t, math.inf, "t")
    u = arguments.each_time(lambda time: _hopf_lax(f, grid, time, refine, places=False)[0], t)
    if np.ndim(t) and refine in (True, False) and not hasattr(f, "on"):
        certificates.falling(u, np.asarray(t, dtype=float), certificates.rounding(f), "hopf_lax")
    return u


def proximal(f: Loss | ArrayLike, grid: Grid | ArrayLike, t: ArrayLike, *, refine: bool | str = True) -> np.ndarray:
    """The proximal map: the minimiser y of f(y) + |x - y|²/(2t), as coordinates, at nodes or points as for `hopf_lax`.

    On ties it is the lexicographically smallest on a grid, any of them at points.

    Parameters
    ----------
    f : Loss, or array (*shape) of node values
        As for `hopf_lax`.
    grid : Grid, or points (..., d), in one dimension (...,)
        At points f must be a Loss.
    t : float or sequence of floats (on a grid)
        Time(s) >= 0; at t = 0 the map is the identity.
    refine : bool or "quartic"
        As for `hopf_lax`.

    Returns
    -------
    array (*shape, d), in one dimension (*shape,); for a sequence of times (len(t), ...); (..., d) or (...,) at points
        Coordinates of minimisers.

    Raises
    ------
    ValueError
        What `hopf_lax` refuses.

    Notes
    -----
    Chaudhari, thesis (4.19): the proximal point of an implicit gradient step, x - t grad u(x, t) where u is smooth.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-2.0, 2.0, 5)
    >>> proximal(pl.losses.quadratic(1.0), grid, 1.0).ravel()        # x/(1 + t)
    array([-1. , -0.5,  0. ,  0.5,  1. ])
    """
    if terms := separable.parts(f) if _exact(f, grid, refine) else ():
        points.check_whole(f, grid, t, math.inf, "t")
        return separable.combined(terms, grid, 1, lambda part, where: proximal(part, where, t))
    if not isinstance(grid, Grid):
        return points.proximal(f, grid, t)
    return arguments.each_time(lambda time: _hopf_lax(f, grid, time, refine)[1], t)


def _exact(f, where, refine):
    """Is the minimum that of a Loss itself, and not of its node values?"""
    refined = refine == "quartic" if isinstance(refine, str) else isinstance(refine, (bool, np.bool_)) and refine
    return isinstance(f, Loss) and (not isinstance(where, Grid) or bool(refined))


def _hopf_lax(f, grid, t, refine, places=True):
    values = arguments.field(f, grid)
    if not isinstance(refine, (bool, np.bool_)) and refine != "quartic":
        raise ValueError(f'refine: expected True, False or "quartic", got {refine!r}')
    if t == 0.0:
        return values.copy(), np.array(grid.points)
    exact = bool(refine) and hasattr(f, "on")
    free = "outflow" in grid.boundary
    start = refine if not exact else "quartic" if free or f.formula is None else False  # the formula does the rest
    u, nodes = REFINEMENTS[start](values, grid, t, places or exact)
    place = inviscid.coordinates(nodes, grid) if places or exact or (free and nodes is not None) else None
    u, place, gap = sampled.polished(f, grid, t, u, place) if exact else (u, place, 0.0)
    outside = free and place is not None and inviscid.warn_outside(place, grid)
    proved = start != "quartic" or (exact and f.formula is not None and not outside)
    slack = certificates.rounding(values) + certificates.rounding(u)
    low = -math.inf if exact or free or not proved else values.min()
    certificates.within(u, low, values, slack, "hopf_lax")
    if proved:
        gap = max(gap, descent.GAP * (1.0 + np.abs(u).max())) if exact else 0.0
        certificates.semiconcave(u, grid, t, slack + gap, "hopf_lax", None if exact or free else values)
    if places and not exact and proved:
        missed = inviscid.missed(values, grid, t, u, nodes)
        certificates.attained(missed, 0.0, slack, "proximal")
    return np.maximum(u, low), place  # the slack is rounding: a squared distance has a root


def cole_hopf(f: Loss | ArrayLike, grid: Grid, t: ArrayLike, beta: float) -> np.ndarray:
    """Viscous Hamilton-Jacobi in closed form: u = -(1/beta) log(G_{t/beta} * exp(-beta f)).

    It solves u_t = -½|∇u|² + 1/(2 beta) Δu with u(., 0) = f.

    Parameters
    ----------
    f : Loss or array (*shape)
        +inf where y is forbidden, on some nodes.
    grid : Grid
    t : float or sequence of floats >= 0
    beta : float > 0 or inf
        Inverse temperature.

    Returns
    -------
    array (*shape), or (len(t), *shape) for a sequence of times. +inf where no cell without a forbidden corner is near.

    Raises
    ------
    ValueError
        Times that are not finite numbers >= 0, beta <= 0, data that do not fit the grid or are +inf everywhere.

    Warns
    -----
    AccuracyWarning
        Beyond corners of outflow ends, where values that rest on a continuation which falls ever more steeply. Where
        nodes are forbidden and others resolve the kernel, on planes of more than 3e5 nodes or in space of more than
        5e4, outflow ends continued: these are summed, each by its share of allowed cells, and how much that moves u.

    Notes
    -----
    Monotone in f and never below its minimum. Where the nodes resolve the kernel, t/beta >= 2 h², f enters by its node
    values (the trapezoid rule: spectrally accurate for smooth f); elsewhere, and for every t where nodes are forbidden,
    by its multilinear interpolant on the cells without a forbidden corner, second order in h, integrated to 1e-11 of
    max(1/beta, range of f) whatever the jumps of f (to 1e-9 in three dimensions). Where that takes too many values
    between the nodes and 1e-7 is missed (rough data on large grids in three dimensions), a warning says what is known.
    A finite node without such a cell counts nothing. Large numbers in place of +inf are summed over the nodes from
    t/beta = 2 h² on: where finite f jumps by 1/beta or more from node to node, u jumps there too, without a warning.

    Examples
    --------
    >>> grid = Grid(-4.0, 4.0, 401)
    >>> u = cole_hopf(grid.x**2 / 2, grid, 1.0, beta=2.0)
    >>> round(float(u[200]), 4), round(math.log(2) / 4, 4)               # log(1 + t)/(2 beta) at the minimum
    (0.1733, 0.1733)
    """
    beta, grid = arguments.inverse_temperature(beta), arguments.grid(grid)
    if math.isinf(beta):
        return hopf_lax(f, grid, t)
    return arguments.each_time(lambda time: _cole_hopf(f, grid, time, beta), t)


def _cole_hopf(f, grid, t, beta):
    values = arguments.field(f, grid)
    if t == 0.0:
        return values.copy()
    if any(math.isinf(beta / t * h * h) for h in grid.spacing):  # at most log(1e308)/beta away
        return hopf_lax(values, grid, t)
    free = "outflow" in grid.boundary  # continued linearly, beyond all bounds
    low, high = (-math.inf, math.inf) if free else (values.min(), values.max())
    u = viscous.fourier(values, grid, t, beta)
    if u is None:
        wide, lines = _lines(values, grid, t, beta)
        resolved = all(t >= viscous.RESOLVED * beta * h * h for h in grid.spacing)
        if gaussian.is_mild(wide, beta, gaussian.MILD if resolved else LINEAR):
            u = gaussian.entropy(wide, beta, lambda v: _along_lines(v, lines, t / beta))
        else:
            smooth = viscous.integral if wide.max() == np.inf else viscous.value
            u = smooth(wide, lines, t, beta)
        if grid.boundary.count("outflow") > 1:
            _tell_of_corners(values, grid, t, beta, wide, lines, u)
        narrow = all(9.0 * math.sqrt(t / beta) <= b - a for a, b in zip(grid.lower, grid.upper))
        if narrow and not free and math.isfinite(high):  # elsewhere the images cost more than the answer
            high = heat_smoothing(values, grid, t, beta)
    return certificates.within(u, low, high, certificates.rounding(values) + 1e-9 / beta, "cole_hopf")


def _tell_of_corners(values, grid, t, beta, wide, lines, u):
    """Warn where u depends on how far the continuation beyond corners is followed, which falls ever more steeply."""
    reach = math.sqrt(2.0 * envelopes.DEPTH * t / beta)
    if not continuation.short(wide, grid, [int(line.offset) for line in lines], reach, t):
        return
    if wide.max() == np.inf:  # as the further one: cells take longer
        u = viscous.value(wide, lines, t, beta)
    further, lines = _lines(values, grid, t, beta, FURTHER)
    apart = np.abs(viscous.value(further, lines, t, beta) - u)
    if apart.max() > CORNERS * (1.0 / beta + np.ptp(u)):
        at = tuple(int(k) for k in np.unravel_index(int(apart.argmax()), grid.shape))
        warnings.warn(
            f"beyond corners of outflow ends the continuation falls ever more steeply: near node {at} u is too high by "
            f"{apart.max():.2g} or more: use a larger box, a smaller time or a Loss",
            AccuracyWarning,
            stacklevel=7,
        )


def _along_lines(values, lines, variance):
    """The Gaussian average at the targets of all axes."""
    for axis, line in enumerate(lines):
        if line.boundary == "free":
            values = gaussian.convolved(values, gaussian.weights(line.h, int(line.offset), variance), axis)
        else:
            values = _smoothed(values, axis, line.boundary, line.h, variance)
    return values


def _lines(values, grid, t, beta, further=1.0):
    reach = math.sqrt(2.0 * envelopes.DEPTH * t / beta)
    values, low = continuation.outflow(values, grid, further * reach, further * t)
    names = ["free" if name == "outflow" else name for name in grid.boundary]
    return values, [viscous.Line(h, name, n, at) for h, name, n, at in zip(grid.spacing, names, grid.shape, low)]


def local_entropy(f: Loss | ArrayLike, where: Grid | ArrayLike, gamma: ArrayLike, beta: float) -> np.ndarray | float:
    """Local entropy f_gamma = -(1/beta) log(G_{gamma/beta} * exp(-beta f)), on a grid or at arbitrary points.

    Parameters
    ----------
    f : Loss, or array (*shape) of node values when `where` is a Grid
        Of a Loss the integral is over R^d, whatever the boundary of the grid; node values are continued by it.
    where : Grid, or points (..., d), in one dimension (...,)
        At points f must be a Loss.
    gamma : float >= 0 (a sequence of them on a grid)
        Scope: the time of the equation.
    beta : float > 0 or inf
        Inverse temperature.

    Returns
    -------
    array (*shape) or (len(gamma), *shape) on a grid; (...,) at points

    Raises
    ------
    ValueError
        gamma < 0, beta <= 0, node values at points, a Loss of another dimension than the grid, an integral that
        diverges.

    Notes
    -----
    Chaudhari, thesis (3.9) with the normalised kernel, and (4.11)-(4.14). A kinked formula that is a sum over
    coordinates, abs(x) + abs(y), is answered axis by axis, and so is any such sum of three variables or more; others of
    more than three are refused at finite beta. Kinks, cusps and jumps along slanted planes, parallel or at right
    angles, are answered in coordinates that are turned with them; those along curves of the plane on lines; those along
    curved surfaces in space, and along slanted planes at other angles there, may be refused.

    A Loss of functions is sampled at 256, 96 or 32 Gauss points along each axis of the kernel's reach in one, two or
    three dimensions, more where it varies. A second look at 4096 other places or fewer warns where f plus the parabola
    is lower by 1/(2 beta) than at all of those; valleys that no place lies in, or that are less deep, go without a
    warning. Values below the bounds of a formula raise ArithmeticError. Of a formula enclosures tell where it varies by
    far more than the nodes show, and nodes go there; in more than one dimension, where the trapezoid rule does not do,
    this is done for wells that are deeper than 1/beta only. Narrow wells whose second derivative is less than about
    four times that of the formula around them (on a grid 64 times) may go unseen: they move the value by less than
    1/beta times their share of the kernel.

    Good values
    -----------
    gamma : without noise a well of curvature λ gets the curvature λ/(1 + γλ), so that γ = 1/λ halves it. γ -> 0 gives
        f back, γ -> infinity a constant. Look at a few, a factor of 2 or 4 apart, up to the square of the distance of
        the wells.
    beta : a well counts as f(minimum) - log(width)/β. With β of the order of 1/(difference of two minima) the wider
        well can win over the deeper one; math.inf never prefers the wider one, and small β smooths like the heat
        equation.

    Examples
    --------
    >>> import pdelab as pl
    >>> round(float(local_entropy(pl.losses.quadratic(2.0), 1.0, 0.5, math.inf)), 12)       # x²/(1 + 2 gamma)
    0.5
    """
    if terms := separable.parts(f) if isinstance(f, Loss) else ():
        points.check_whole(f, where, gamma, beta)
        return separable.combined(terms, where, 0, lambda part, own: local_entropy(part, own, gamma, beta))
    if turn := turned.turn(f, where, beta):
        points.check_whole(f, where, gamma, beta)
        own = turned.evaluated(turn, where, 0, gamma, lambda part, y, scope: local_entropy(part, y, scope, beta))
        if own is not None:
            return own
    if not isinstance(where, Grid):
        return points.value(f, where, gamma, beta)
    if not hasattr(f, "on"):
        return cole_hopf(f, where, gamma, beta)
    f, beta = arguments.loss(f, where.dimension), arguments.inverse_temperature(beta)
    arguments.below_infinity(f(where.points), where.points)
    return arguments.each_time(lambda scope: sampled.local_entropy(f, where, scope, beta), gamma, "gamma")


def heat_smoothing(f: Loss | ArrayLike, grid: Grid, gamma: float, beta: float) -> np.ndarray:
    """G_{gamma/beta} * f, the heat equation's smoothing with the kernel of local entropy.

    Parameters
    ----------
    f : Loss or array (*shape)
        On an outflow axis a Loss is averaged over all of R; node values are continued by point reflection at the ends.
    grid : Grid
    gamma, beta : float
        The kernel has variance gamma/beta; gamma >= 0, beta > 0 or inf.

    Returns
    -------
    array (*shape)

    Raises
    ------
    ValueError
        gamma < 0, beta <= 0, data that do not fit the grid, an absorbing end; a Loss whose average over outflow axes
        diverges or leaves the range of float64, or takes more than 2^25 nodes.

    Warns
    -----
    AccuracyWarning
        A Loss on outflow axes that is too rough for the lattices that its average was taken on.

    Notes
    -----
    Chaudhari, thesis (4.28), v_t = (1/(2 beta)) Lap v. Along an outflow axis a Loss is summed on two lattices, as far
    as its terms count and as finely as it takes for them to agree: to round-off at every node for smooth f. On a line
    a formula is also searched for what hides between nodes; in the plane and in space wells that no node of either
    lattice sees go unseen. Other axes, and node values: where the spacing resolves the kernel the trapezoid rule is
    exact to round-off for smooth f; elsewhere the linear interpolant of f is smoothed, second order in the spacing.

    Examples
    --------
    >>> grid = Grid(0.0, 2 * np.pi, 64, boundary="periodic")
    >>> smooth = heat_smoothing(np.cos(grid.x), grid, gamma=1.0, beta=1.0)
    >>> round(float(smooth[0]), 12), round(math.exp(-0.5), 12)
    (0.606530659713, 0.606530659713)
    """
    beta, grid = arguments.inverse_temperature(beta), arguments.grid(grid)
    variance = float(arguments.times(gamma, "gamma")[0][0]) / beta
    if variance == 0.0:
        return grid.field(f, "f").copy()
    boundaries.only(grid, boundaries.FREE, "closed forms")
    far = [hasattr(f, "on") and name == "outflow" for name in grid.boundary]
    values = averages.averages(arguments.loss(f, grid.dimension), grid, variance, far) if any(far) else None
    values = grid.field(f, "f") if values is None else values
    for axis, (name, h) in enumerate(zip(grid.boundary, grid.spacing)):
        if not far[axis]:
            values = _smoothed(values, axis, name, h, variance)
    return values


def _reach(variance, h):
    return math.ceil(9.0 * math.sqrt(variance) / h)


def _smoothed(values, axis, name, h, variance):
    """Node values along one axis, on the circle of their images: beyond some periods the kernel is uniform there."""
    values = np.moveaxis(values, axis, -1)
    n = values.shape[-1]
    line = np.zeros_like(values)
    if name == "outflow":  # point reflection at the ends is this line and what is odd about both
        share = np.arange(n) / (n - 1)
        line = values[..., :1] * (1 - share) + values[..., -1:] * share
    turn = values - line
    if name != "periodic":
        images = turn[..., -2:0:-1]
        turn = np.concatenate([turn, -images if name == "outflow" else images], axis=-1)
    period = turn.shape[-1]
    variance = min(variance, 2.25 * (period * h) ** 2)  # relative error 2 exp(-2 pi² 2.25) = 1e-19
    kernel = gaussian.weights(h, _reach(variance, h), variance)
    folded = np.bincount((np.arange(kernel.size) - kernel.size // 2) % period, kernel, period)
    turn = np.fft.irfft(np.fft.rfft(turn) * np.fft.rfft(folded), period)
    return np.moveaxis(turn[..., :n] + line, -1, axis)
