"""Cole-Hopf on a grid: u = -(1/beta) log(G_{t/beta} * exp(-beta f)), axis by axis and in the log domain.

The heat kernel is a product of one kernel an axis, so d passes over lines do. Along a line with spacing h and kernel
width s = sqrt(t/beta):

    s² >= 2 h²   the trapezoid rule over the nodes. For any data it is the exact smoothing of the sum of point masses
                 at the nodes; of a smooth integrand that the nodes resolve it is the integral, to round-off. What a
                 step with variance s1² leaves is resolved by every second node (relative error below 2 exp(-pi²
                 s12²/2), 1/s12² = h²/s1² + h²/s2²), so that wide kernels are applied level by level, each on half
                 the nodes: O(n) a line.
    s² <  2 h²   the linear interpolant of f is integrated cell by cell, exactly: |error of u| <= h² max|f''|/8 for
                 every beta, by the sup-norm contraction. Where this holds along two or three axes, the multilinear
                 interpolant is integrated to round-off by `strips`.

With forbidden nodes (+inf) the data jump, and the interpolant is integrated for every s: against a kernel of variance
4 h², to the nodes, which resolve that one and the rest.

Both are monotone in f, commute with constants and contract the sup norm. Sources more than 42/beta above the minimum
are left out; those that remain form an interval whose ends move monotonically, so no window has to be guessed.
"""

import math
import warnings
from functools import lru_cache, reduce

import numpy as np
from scipy import fft

from pdelab.checks import AccuracyWarning
from pdelab.closed_forms import continuation, strips
from pdelab.kernels import envelopes, sums

__all__ = ["Line", "RESOLVED", "along", "fourier", "gradient", "hessian", "integral", "smooth", "value"]

RESOLVED = 2.0  # s²/h² from which the nodes resolve the kernel: relative error 2 exp(-2 pi² 2) = 1e-17
CELLS = 4.0  # variance of a step from cells to nodes, in h²: harmonic mean with as much or more left >= 2, see RESOLVED
WIDE = 40.0  # s²/h² above which a level is taken off
LEVEL = 10.0  # variance of a level, in h²: harmonic mean with the rest >= 7.5, relative error 2 exp(-pi² 7.5/2) = 2e-16
ROOM = {1: math.inf, 2: 3 * 10**5, 3: 5 * 10**4}  # nodes whose cells are integrated by `integral`: some seconds
EMPTY = np.empty((0, 0))
NO_MOMENTS = np.empty((0, 0, 0))


class Line:
    """Where the sources and the targets of an axis stand: spacing, boundary and targets offset + stride i, i < count.

    boundary: "periodic" or "reflecting" (continued by images) or "free" (the sources are all there is).
    """

    def __init__(self, h, boundary, count, offset=0.0, stride=1.0):
        self.h, self.boundary, self.count, self.offset, self.stride = h, boundary, count, float(offset), float(stride)

    def scaled(self, factor):
        """The same nodes, further apart by a factor."""
        return Line(factor * self.h, self.boundary, self.count, self.offset, self.stride)


def smooth(rows, line, t, beta, extra=None, derivatives=False):
    """Smooth the rows (lines, n) along the last axis: returns u and, if asked, its derivatives.

    derivatives: arrays (k, lines, count) with u_x, u_xx and, of a field `extra` (lines, n) averaged along, its mean
    and the derivative of that mean.
    """
    t = _enough(rows.shape[1], line, t, beta)
    while t > WIDE * beta * line.h**2:
        step = LEVEL * beta * line.h**2
        coarse, line = _coarser(rows, line, t - step, beta)
        if extra is None:
            rows, _ = _once(rows, coarse, step, beta)
        else:
            rows, parts = _once(rows, coarse, step, beta, extra, True)
            extra = parts[2]
        t -= step
    return _once(rows, line, t, beta, extra, derivatives)


def _enough(n, line, t, beta):
    """The time, cut where an image kernel is constant already: relative error 2 exp(-2 pi² 2.25) = 1e-19."""
    if line.boundary == "free":
        return t
    return min(t, 2.25 * beta * _period(n, line) ** 2)


def _period(n, line):
    return line.h * (n if line.boundary == "periodic" else 2 * (n - 1))


def _oscillation(rows):
    """max - min, infinite where nodes are forbidden: what is allowed may be as far away as there is room."""
    high = float(rows.max())
    return high - float(rows.min()) if high < np.inf else np.inf


def _coarser(rows, line, rest, beta):
    """(where every second node is needed, the line that these nodes form)."""
    n = rows.shape[1]
    if line.boundary == "free":
        osc = _oscillation(rows)
        reach = math.sqrt(2.0 * rest * (osc + envelopes.DEPTH / beta)) / line.h
        low = math.floor(max(0.0, line.offset - reach) / 2.0) * 2
        high = math.ceil(min(n - 1.0, line.offset + line.stride * (line.count - 1) + reach))
        count = (high - low) // 2 + 1
        targets = Line(line.h, "free", count, low, 2)
        return targets, Line(2 * line.h, "free", line.count, (line.offset - low) / 2, line.stride / 2)
    cells = n if line.boundary == "periodic" else n - 1
    count = cells // 2 if cells % 2 == 0 else cells  # an odd number of cells: every second node over two periods
    count += line.boundary == "reflecting"
    targets = Line(line.h, line.boundary, count, 0, 2)
    return targets, Line(2 * line.h, line.boundary, line.count, line.offset / 2, line.stride / 2)


def _once(rows, line, t, beta, extra=None, derivatives=False, cells=False):
    """One smoothing step without levels; `cells`: of the linear interpolant, however wide the kernel."""
    h = line.h
    c = h * h / (2.0 * t)
    offset = line.offset
    if line.boundary != "free":
        period, spread = _period(rows.shape[1], line), t / beta
        osc = _oscillation(rows)
        reach = math.sqrt(2.0 * t * osc + 2.0 * envelopes.DEPTH * spread)
        reach = math.ceil(min(reach, 0.5 * period + envelopes.DEPTH * spread / period) / h) + 2
        end = offset + line.stride * (line.count - 1)
        left, right = math.ceil(reach - offset), math.ceil(end + reach) - rows.shape[1] + 1
        rows = continuation.images(rows, line.boundary, left, right)
        extra = None if extra is None else continuation.images(extra, line.boundary, left, right)
        offset += left
    resolved = not cells and t >= RESOLVED * beta * h * h
    rows = rows if resolved else _in_cells(rows)
    shape = (rows.shape[0], line.count)
    u, index = np.empty(shape), np.empty(shape, np.int64)
    envelopes.lower_envelope(rows, offset, line.stride, c, u, index)
    moments = np.empty((2 if extra is None else 4, *shape)) if derivatives else NO_MOMENTS
    kernel = sums.node_sum if resolved else sums.cell_sum
    kernel(rows, EMPTY if extra is None else extra, offset, line.stride, c, beta, index, u, moments)
    if derivatives:
        moments[0] *= -h / t
        moments[1] = (1.0 - (beta / t * h * h) * moments[1]) / t
        if extra is not None:
            moments[3] *= beta / t * h
    return u, moments


def _in_cells(rows):
    """The rows, +inf also at nodes whose cells are all forbidden: these have measure zero."""
    finite = np.isfinite(rows)
    if finite.all():
        return rows
    cell = np.zeros((rows.shape[0], rows.shape[1] + 1), bool)
    cell[:, 1:-1] = finite[:, 1:] & finite[:, :-1]
    return np.where(cell[:, 1:] | cell[:, :-1], rows, np.inf)


def along(values, axis, line, t, beta, extra=None, derivatives=False):
    """`smooth` along one axis of an array: u, or (u, derivatives) with the derivatives along a new first axis."""
    rows, shape = _rows(values, axis)
    u, parts = smooth(rows, line, t, beta, None if extra is None else _rows(extra, axis)[0], derivatives)
    u = _unrow(u, shape, axis)
    return (u, [_unrow(part, shape, axis) for part in parts]) if derivatives else u


def _rows(values, axis):
    moved = np.moveaxis(values, axis, -1)
    return np.ascontiguousarray(moved).reshape(-1, values.shape[axis]), moved.shape[:-1]


def _unrow(rows, shape, axis):
    return np.ascontiguousarray(np.moveaxis(rows.reshape(*shape, rows.shape[1]), -1, axis))


# ------------------------------------------------------------------------------------- all axes, from node values


def value(values, lines, t, beta):
    """u at the targets of all axes; those that do not resolve the kernel come first: f is an interpolant there."""
    narrow = [axis for axis, line in enumerate(lines) if t < RESOLVED * beta * line.h**2]
    if len(narrow) > 1:
        others = [axis for axis in range(values.ndim) if axis not in narrow]
        moved = values.transpose(*others, *narrow)
        u = strips.value(moved.reshape(-1, *moved.shape[len(others) :]), [lines[axis] for axis in narrow], t, beta)
        u = u.reshape(*moved.shape[: len(others)], *u.shape[1:])
        values = np.ascontiguousarray(u.transpose(np.argsort([*others, *narrow])))
        narrow = []
    for axis in [
        *narrow,
        *(axis for axis in reversed(range(values.ndim)) if t >= RESOLVED * beta * lines[axis].h ** 2),
    ]:
        values = along(values, axis, lines[axis], t, beta)
    return values


def integral(values, lines, t, beta):
    """As `value`, but of the multilinear interpolant for every kernel: node sums see no jumps between the nodes.

    The cells are integrated with no more than a part of the kernel that the nodes resolve; node sums add the rest.
    Beyond ROOM nodes in two or three dimensions node sums do all, and what they miss is warned of.
    """
    wide = [t >= RESOLVED * beta * line.h**2 for line in lines]
    if values.size > ROOM[values.ndim] and any(wide):
        return _by_shares(values, lines, t, beta, wide)
    times = [_enough(n, line, t, beta) for n, line in zip(values.shape, lines)]
    steps = [min(time, CELLS * beta * line.h**2) for time, line in zip(times, lines)]
    steps = [time if time < 2.0 * step else step for time, step in zip(times, steps)]
    left = [time - step for time, step in zip(times, steps)]
    first = [Line(line.h, line.boundary, n) if rest else line for n, line, rest in zip(values.shape, lines, left)]
    if values.ndim == 1:
        values = _once(values[None], first[0], steps[0], beta, cells=True)[0][0]
    else:  # a kernel of its own for each axis is a spacing of its own
        first = [line.scaled(math.sqrt(steps[0] / step)) for line, step in zip(first, steps)]
        values = strips.value(values[None], first, steps[0], beta)[0]
    for axis in reversed(range(values.ndim)):
        if left[axis]:
            values = along(values, axis, lines[axis], left[axis], beta)
    return values


def _by_shares(values, lines, t, beta, wide):
    """`value` with the weights of nodes cut to the share of the cells around them that have no forbidden corner."""
    with np.errstate(divide="ignore"):
        u = value(values - np.log(_shares(values, lines, wide)) / beta, lines, t, beta)
    whole = value(values, lines, t, beta)
    missed = np.abs(u - whole).max()
    if missed > strips.WARN_ABOVE * max(1.0 / beta, _oscillation(whole)):
        warnings.warn(
            f"{values.size} nodes, outflow ends continued, are too many to integrate f between them next to forbidden "
            f"ones: nodes are summed, by the share of allowed cells around them, which moves u by up to {missed:.1e}: "
            "use fewer nodes or a smaller time",
            AccuracyWarning,
            stacklevel=6,
        )
    return u


def _shares(values, lines, wide):
    """The share of the cells around each node without a forbidden corner, the best along axes that are not `wide`."""
    share = np.isfinite(values).astype(float)
    for axis, line in enumerate(lines):
        ends = {"periodic": "wrap", "reflecting": "reflect", "free": "edge"}[line.boundary]
        share = np.pad(share, [(int(k == axis),) * 2 for k in range(values.ndim)], mode=ends)
    share = reduce(lambda cells, axis: np.minimum(*_pairs(cells, axis)), range(values.ndim), share)
    for axis, several in enumerate(wide):
        low, high = _pairs(share, axis)
        share = 0.5 * (low + high) if several else np.maximum(low, high)
    return share


def _pairs(array, axis):
    """(without the last, without the first) along an axis."""
    n = array.shape[axis]
    return array.take(range(n - 1), axis), array.take(range(1, n), axis)


def gradient(values, lines, t, beta):
    """The partial derivatives of u, a list: the axis in question goes last, where its derivative is a mean."""
    parts = []
    for k in range(values.ndim):
        before = values
        for axis in range(values.ndim):
            if axis != k:
                before = along(before, axis, lines[axis], t, beta)
        parts.append(along(before, k, lines[k], t, beta, derivatives=True)[1][0])
    return parts


def hessian(values, lines, t, beta):
    """The second derivatives of u as a nested list: variances and covariances of the kernel's weights."""
    d = values.ndim
    result = [[None] * d for _ in range(d)]
    for k in range(d):
        before = _without(values, (k,), lines, t, beta)
        result[k][k] = along(before, k, lines[k], t, beta, derivatives=True)[1][1]
        for other in range(k + 1, d):
            before = _without(values, (k, other), lines, t, beta)
            u, (slope, _) = along(before, k, lines[k], t, beta, derivatives=True)
            parts = along(u, other, lines[other], t, beta, extra=slope, derivatives=True)[1]
            result[k][other] = result[other][k] = parts[3]
    return result


def _without(values, left_out, lines, t, beta):
    """Smoothed along all axes except those kept."""
    for axis in range(values.ndim):
        if axis not in left_out:
            values = along(values, axis, lines[axis], t, beta)
    return values


# ------------------------------------------------------------------------------------------------ Fourier route


def fourier(values, grid, t, beta):
    """u by the fast Fourier transform where a bound says that it is accurate, otherwise None.

    With v = exp(-beta (f - min f)), or that less one, and w its smoothing, the transforms leave an absolute rounding
    error below eps log2(N) (p rms(v) + rms(w)), p² the share of modes that the kernel passes, also where w is tiny. The
    route is taken where this makes an error of u below 1e-12 min(1, osc f); it is not tried for beta osc f > 30.
    """
    if "outflow" in grid.boundary or any(t < RESOLVED * beta * h * h for h in grid.spacing):
        return None
    lowest = values.min()
    osc = float(values.max() - lowest)
    if beta * osc > 30.0:
        return None
    near = beta * osc < 1.0  # to 1, so that the difference has the digits
    v = (np.expm1 if near else np.exp)(-beta * (values - lowest))
    periods = [2 * (n - 1) if name == "reflecting" else n for n, name in zip(grid.shape, grid.boundary)]
    variances = [min(t / beta / h / h, 2.25 * period**2) for h, period in zip(grid.spacing, periods)]  # see _enough
    w = _filtered(v, grid, variances)
    passed = math.prod(min(1.0, 0.5 / math.sqrt(math.pi * q)) for q in variances)
    size = math.sqrt(passed * np.vdot(v, v) / v.size) + math.sqrt(np.vdot(w, w) / v.size)
    error = 2.3e-16 * math.log2(v.size + 1.0) * size
    if not error <= 1e-12 * min(1.0, osc) * beta * (w.min() + near):
        return None
    return lowest - (np.log1p if near else np.log)(w) / beta


def _filtered(v, grid, variances):
    """v smoothed with the images of a Gaussian, sampled at the nodes, along every axis."""
    periodic = [axis for axis, name in enumerate(grid.boundary) if name == "periodic"]
    mirrored = [axis for axis, name in enumerate(grid.boundary) if name == "reflecting"]
    last = periodic[-1] if periodic else None
    factors = 1.0
    for axis, (n, name) in enumerate(zip(grid.shape, grid.boundary)):
        modes = n if name == "reflecting" else n // 2 + 1 if axis == last else -n
        shape = [1] * grid.dimension
        shape[axis] = -1
        factors = factors * _transfer(modes, n - 1 if name == "reflecting" else n, variances[axis], name).reshape(shape)
    for axis in mirrored:
        v = fft.dct(v, type=1, axis=axis)
    if periodic:
        v = np.fft.irfftn(np.fft.rfftn(v, axes=periodic) * factors, s=[grid.shape[a] for a in periodic], axes=periodic)
    else:
        v *= factors
    for axis in mirrored:
        v = fft.idct(v, type=1, axis=axis)
    return v


@lru_cache(maxsize=64)
def _transfer(modes, n, variance, name):
    """Fourier coefficients of the sampled Gaussian: exp(-variance theta²/2) and its two nearest aliases."""
    k = np.fft.fftfreq(-modes, 1.0 / -modes) if modes < 0 else np.arange(modes)
    theta = k * (math.pi / n if name == "reflecting" else 2.0 * math.pi / n)
    return sum(np.exp(-0.5 * variance * (theta + alias) ** 2) for alias in (-2 * math.pi, 0.0, 2 * math.pi))
