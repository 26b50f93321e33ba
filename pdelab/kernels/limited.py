"""Limited fluxes over the faces of a grid, axis by axis, and explicit steps with them, all in one call.

Face i joins node i of an axis to node i + 1; the last face closes a periodic axis and is empty otherwise. Of a
density x with half a limited slope s in each cell the flux over it is

    F_i = wind⁺ (x_i + s_i) + wind⁻ (x_{i+1} - s_{i+1}) + up_i x_i - down_i x_{i+1}.
"""

import numpy as np
from numba import njit

from pdelab.kernels.fluxes import limited


@njit(cache=True, nogil=True, error_model="numpy")
def half_slopes(slope, below, here, above):
    """Half the limited slopes of a row between its neighbours."""
    for j in range(slope.size):
        slope[j] = limited(here[j] - below[j], above[j] - here[j])


@njit(cache=True, nogil=True, error_model="numpy")
def fluxes_between(flux, wind, up, down, here, there, slope, next_slope):
    """Fluxes from the nodes of a row to those of the next one."""
    for j in range(flux.size):
        along, against = max(wind[j], 0.0), min(wind[j], 0.0)
        drift = along * (here[j] + slope[j]) + against * (there[j] - next_slope[j])
        flux[j] = drift + (up[j] * here[j] - down[j] * there[j])


@njit(cache=True, nogil=True, error_model="numpy")
def line_fluxes(flux, x, wind, up, down, slope, periodic):
    """Fluxes along a line (n,); slope (n,): scratch."""
    last = x.size - 1
    half_slopes(slope[1:-1], x[:-2], x[1:-1], x[2:])
    slope[0] = limited(x[0] - x[last], x[1] - x[0]) if periodic else 0.0
    slope[last] = limited(x[last] - x[last - 1], x[0] - x[last]) if periodic else 0.0
    fluxes_between(flux[:-1], wind[:-1], up[:-1], down[:-1], x[:-1], x[1:], slope[:-1], slope[1:])
    end = slice(last, last + 1)
    fluxes_between(flux[end], wind[end], up[end], down[end], x[end], x[:1], slope[end], slope[:1])


@njit(cache=True, nogil=True, error_model="numpy")
def row_fluxes(flux, x, wind, up, down, slopes, periodic):
    """Fluxes along the first axis of (n, inner); slopes (2, inner): scratch."""
    n, inner = x.shape
    for i in range(-1, n):  # slopes of node i + 1, fluxes from node i to it
        here, there = i % n, (i + 1) % n
        slope, next_slope = slopes[i & 1], slopes[(i + 1) & 1]
        if periodic or 0 < there < n - 1:
            half_slopes(next_slope, x[there - 1], x[there], x[(there + 1) % n])
        else:
            for j in range(inner):
                next_slope[j] = 0.0
        if i >= 0:
            fluxes_between(flux[here], wind[here], up[here], down[here], x[here], x[there], slope, next_slope)


@njit(cache=True, nogil=True, error_model="numpy")
def limited_fluxes(flux, x, wind, up, down, periodic):
    """Fluxes along the middle axis of (outer, n, inner), into `flux`."""
    outer, n, inner = x.shape
    if inner == 1:
        line = np.empty(n)
        flat = flux.reshape(outer, n), x.reshape(outer, n), wind.reshape(outer, n), up.reshape(outer, n)
        below = down.reshape(outer, n)
        for o in range(outer):
            line_fluxes(flat[0][o], flat[1][o], flat[2][o], flat[3][o], below[o], line, periodic)
    else:
        slopes = np.empty((2, inner))
        for o in range(outer):
            row_fluxes(flux[o], x[o], wind[o], up[o], down[o], slopes, periodic)


@njit(cache=True, nogil=True, error_model="numpy")
def fall_and_spread(flux, x, away, wind, a, weights, periodic):
    """(Σ f δy, Σ a (δy)²) over the faces along the middle axis of (outer, n, inner), times the areas of the faces.

    f: the mean flux wind x less `flux`; y: `away`; weights (outer, inner): the areas.
    """
    outer, n, inner = x.shape
    falling, spreading = 0.0, 0.0
    for o in range(outer):
        for i in range(n if periodic else n - 1):
            there = (i + 1) % n
            for j in range(inner):
                rise, area = away[o, there, j] - away[o, i, j], weights[o, j]
                less = 0.5 * wind[o, i, j] * (x[o, i, j] + x[o, there, j]) - flux[o, i, j]
                falling += area * less * rise
                spreading += 0.5 * area * (a[o, i, j] + a[o, there, j]) * rise * rise
    return falling, spreading


@njit(cache=True, nogil=True, error_model="numpy")
def add_balance(out, flux, share):
    """out += share (flux in - flux out) along the middle axis of (outer, n, inner); share (n,)."""
    outer, n, inner = out.shape
    if inner == 1:
        nodes, faces = out.reshape(outer, n), flux.reshape(outer, n)
        for o in range(outer):
            into, off, to = faces[o, :-1], faces[o, 1:], nodes[o, 1:]
            nodes[o, 0] -= share[0] * (faces[o, 0] - faces[o, n - 1])
            for i in range(n - 1):
                to[i] -= share[i + 1] * (off[i] - into[i])
    else:
        for o in range(outer):
            for i in range(n):
                to, off, into, part = out[o, i], flux[o, i], flux[o, (i - 1) % n], share[i]
                for j in range(inner):
                    to[j] -= part * (off[j] - into[j])


@njit(cache=True, nogil=True, error_model="numpy")
def add_limited(out, x, dt, lines, winds, ups, downs, shares, flux):
    """out += dt times the rate of change of x; flux: scratch, all fields flat.

    lines (d, 4): outer, n, inner and whether it is periodic, of each axis; winds, ups, downs (d, nodes); shares: one
    over the widths of the cells of all axes, one after the other.
    """
    begin = 0
    for axis in range(lines.shape[0]):
        outer, n, inner, periodic = lines[axis]
        field = flux.reshape(outer, n, inner)
        limited_fluxes(
            field, x.reshape(outer, n, inner), winds[axis].reshape(outer, n, inner),
            ups[axis].reshape(outer, n, inner), downs[axis].reshape(outer, n, inner), periodic != 0,
        )  # fmt: skip
        add_balance(out.reshape(outer, n, inner), field, dt * shares[begin : begin + n])
        begin += n


@njit(cache=True, nogil=True, error_model="numpy")
def add_leaving(out, wind, up, down, share):
    """out += what leaves a node over both faces, over its density, when the values on its faces are twice it.

    Fields (outer, n, inner); share (n,).
    """
    outer, n, inner = out.shape
    for o in range(outer):
        for i in range(n):
            before = (i - 1) % n
            for j in range(inner):
                above = 2.0 * max(wind[o, i, j], 0.0) + up[o, i, j]
                below = 2.0 * max(-wind[o, before, j], 0.0) + down[o, before, j]
                out[o, i, j] += share[i] * (above + below)


@njit(cache=True, nogil=True, error_model="numpy")
def largest_leaving(out, lines, winds, ups, downs, shares):
    """The largest of `out` with what leaves along all axes, which is added there; arguments as in `add_limited`."""
    begin = 0
    for axis in range(lines.shape[0]):
        outer, n, inner = lines[axis, 0], lines[axis, 1], lines[axis, 2]
        add_leaving(
            out.reshape(outer, n, inner), winds[axis].reshape(outer, n, inner), ups[axis].reshape(outer, n, inner),
            downs[axis].reshape(outer, n, inner), shares[begin : begin + n],
        )  # fmt: skip
        begin += n
    largest = 0.0
    for i in range(out.size):
        largest = max(largest, out[i])
    return largest


@njit(cache=True, nogil=True, error_model="numpy")
def limited_march(values, out, steps, dt, kept, lines, winds, ups, downs, shares):
    """`steps` steps of stages y <- k x + (1 - k)(y + dt y_t) from y = x, k of `kept` (Shu and Osher 1988), into `out`.

    Fields are flat; `lines` to `shares` as in `add_limited`.
    """
    x, y, new, flux = values.copy(), np.empty(values.size), np.empty(values.size), np.empty(values.size)
    for _ in range(steps):
        for stage in range(kept.size):
            given, share = x if stage == 0 else y, kept[stage]
            for i in range(x.size):
                new[i] = share * x[i] + (1.0 - share) * given[i]
            add_limited(new, given, (1.0 - share) * dt, lines, winds, ups, downs, shares, flux)
            y, new = new, y
        x, y = y, x
    for i in range(x.size):
        out[i] = x[i]
