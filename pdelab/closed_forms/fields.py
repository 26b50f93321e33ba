"""The closed forms as fields on a grid, with the grid's boundary conditions."""

import math

import numpy as np

from pdelab.closed_forms import door, inviscid, viscous


def hopf_lax(f, grid, t, *, refine=True):
    """Inviscid Hamilton-Jacobi in closed form: u(x, t) = min_y f(y) + |x - y|²/(2t) solves u_t = -½|∇u|², u(., 0) = f.

    Parameters
    ----------
    f : Loss or array (*shape)
        The initial data.
    grid : Grid
    t : float or sequence of floats
        Time(s) >= 0. At t = 0 the answer is f.
    refine : bool
        False: the minimum over the nodes.

    Returns
    -------
    array (*shape), or (len(t), *shape) for a sequence of times.
    """
    return door.each_time(lambda time: _hopf_lax(f, grid, time, refine)[0], t)


def proximal(f, grid, t, *, refine=True):
    """The proximal map: the minimiser y of f(y) + |x - y|²/(2t), as coordinates; lexicographically smallest on ties."""
    return door.each_time(lambda time: _hopf_lax(f, grid, time, refine)[1], t)


def _hopf_lax(f, grid, t, refine):
    values = grid.field(f, "f")
    if t == 0.0:
        return values.copy(), np.array(grid.points)
    minimum = inviscid.refined_minimum if refine else inviscid.node_minimum
    u, nodes = minimum(values, grid, t)
    return u, inviscid.coordinates(nodes, grid)


def cole_hopf(f, grid, t, beta):
    """Viscous Hamilton-Jacobi in closed form: u = -(1/beta) log(G_{t/beta} * exp(-beta f)).

    It solves u_t = -½|∇u|² + 1/(2 beta) Δu with u(., 0) = f.

    Parameters
    ----------
    f : Loss or array (*shape)
    grid : Grid
    t : float or sequence of floats >= 0
    beta : float > 0 or inf
        Inverse temperature.

    Returns
    -------
    array (*shape), or (len(t), *shape) for a sequence of times.
    """
    beta = door.inverse_temperature(beta)
    if math.isinf(beta):
        return hopf_lax(f, grid, t)
    return door.each_time(lambda time: _cole_hopf(f, grid, time, beta), t)


def _cole_hopf(f, grid, t, beta):
    values = grid.field(f, "f")
    if t == 0.0:
        return values.copy()
    u = viscous.fourier(values, grid, t, beta)
    if u is None:
        values, lines = _lines(values, grid, t, beta)
        u = viscous.value(values, lines, t, beta)
    return u


def _lines(values, grid, t, beta):
    values, low = door.outflow(values, grid, math.sqrt(2.0 * viscous.envelopes.DEPTH * t / beta), t)
    names = ["free" if name == "outflow" else name for name in grid.boundary]
    return values, [viscous.Line(h, name, n, at) for h, name, n, at in zip(grid.spacing, names, grid.shape, low)]


def local_entropy(f, grid, gamma, beta):
    """Local entropy f_gamma = -(1/beta) log(G_{gamma/beta} * exp(-beta f)): cole_hopf at time gamma."""
    return cole_hopf(f, grid, gamma, beta)
