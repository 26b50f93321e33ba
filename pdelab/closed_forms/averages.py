"""Gaussian averages of a Loss at the nodes of a grid, on outflow axes over all of R.

Trapezoid sums over lattices that contain the nodes, and over the same shifted by the golden section of a spacing. The
lattices reach as far as the terms count at every node, and are refined until the two sums agree. Sums are plain sums of
terms with positive weights, so that rounding is relative to the terms of each node and not to the largest value of f.
"""

import math
import warnings

import numpy as np

from pdelab.checks import AccuracyWarning
from pdelab.closed_forms import gaussian
from pdelab.closed_forms.gaussian import SHIFT
from pdelab.closed_forms.viscous import RESOLVED
from pdelab.losses import enclosures

__all__ = ["averages"]

MOST_SAMPLES = 2**25  # of a Loss on one lattice
MOST_TERMS = 10**9  # of sums; beyond that by the fast Fourier transform
REFINED = 2 * 10**7  # samples or terms up to which lattices are refined until they agree
CHEAP, FINE = 10**6, 1e-8  # from how many on this disagreement is good enough
NARROW = 8  # kernels so many times narrower than a spacing get points of their own around every node
LOCAL, GAUSS = 0.5, 8  # spacing of these, in widths, on a line; how many they are along each of more axes
NEAR, FAR = 9.0, 37.5  # widths of the kernel that lattices reach at least and at most
TAIL = 1e-15  # of the sum of moduli, in the outer tenth of the reach
AGREE = 1e-12  # of the two lattices, relative to the sum of moduli
TOLD = 1e-7  # the same, from which it is warned
HIDDEN = 64.0  # how often as large as at the nodes a second derivative may be between them
TINY = 1e-300
GROUP = 8  # cells at first
BOXES = 10**5  # cells that are looked into


def averages(f, grid, variance, far):
    """f averaged along the axes `far`, on which it is known everywhere; node values along the others."""
    width = math.sqrt(variance)
    least = [
        max(1, math.ceil(h * math.sqrt(RESOLVED) / width)) if beyond else 1 for h, beyond in zip(grid.spacing, far)
    ]
    take = _around if max(least) > NARROW else _both
    parts, state, missed, hidden = 1, NEAR, math.inf, False
    while True:
        work = _local_work(grid, parts, far) if take is _around else _work(grid, width, state, parts, least, far)
        if parts > 1 and (work > REFINED or (work > CHEAP and missed <= FINE and not hidden)):
            break
        average, missed, state, hidden = take(f, grid, width, state, parts, least, far)
        if missed <= AGREE and not hidden:
            break
        parts *= 2
    if missed > TOLD or hidden:
        how = (
            "between the nodes f bends far more than at them" if hidden else f"it is known to some {missed:.1e} of |f|"
        )
        warnings.warn(
            f"f is too rough for the lattice on which its average was taken, {how}: use a finer grid, a larger gamma "
            "or a smoother f",
            AccuracyWarning,
            stacklevel=3,
        )
    return average


def _both(f, grid, width, reach, parts, least, far):
    """(averages, the largest disagreement of the two lattices, the reach, does f bend far more between the nodes?)."""
    counts = [parts * m if beyond else 1 for m, beyond in zip(least, far)]
    one, size, reach, line = _sum(f, grid, width, reach, counts, far, 0.0)
    other, _, reach, _ = _sum(f, grid, width, reach, counts, far, SHIFT)
    missed = float((np.abs(one - other) / (size + TINY)).max())
    looked = f.formula is not None and grid.dimension == 1 and missed <= TOLD
    return one, missed, reach, looked and _hidden(f, line, size, width)


def _around(f, grid, width, _, parts, least, far):
    """As `_both`, by lattices of their own around every node: for kernels that are narrow between the nodes."""
    d, axes = grid.dimension, np.flatnonzero(far)
    if _local_work(grid, parts, far) > MOST_TERMS:
        raise ValueError(
            f"gamma: the kernel is {width:.3g} wide, too narrow for so many nodes: take a larger gamma, gamma=0, fewer "
            "nodes, or node values"
        )
    nodes = np.array(grid.points, dtype=float).reshape(-1, d)
    both, size = np.empty((2, len(nodes))), np.empty(len(nodes))
    for average, other in zip(both, (False, True)):
        line, w = _rule(parts, other, len(axes))
        z, weights = np.zeros((line.size ** len(axes), d)), np.ones(1)
        z[:, axes] = np.stack([m.ravel() for m in np.meshgrid(*[line] * len(axes), indexing="ij")], axis=-1)
        for _ in axes:
            weights = np.multiply.outer(weights, w).ravel()
        for part in np.array_split(np.arange(len(nodes)), math.ceil(len(nodes) * len(z) / 10**6)):
            places = nodes[part, None] + width * z
            values = f(places[..., 0] if d == 1 else places)
            average[part] = values @ weights
            size[part] = np.abs(values) @ weights
    if not np.isfinite(both).all():
        raise ValueError(_divergent(nodes[~np.isfinite(both).all(axis=0)][0], NEAR * width))
    apart = np.abs(both[0] - both[1]) / (size + TINY)
    return both[0].reshape(grid.shape), float(apart.max()), NEAR, False


def _rule(parts, other, d):
    """(points in widths, weights) along an axis around a node: the trapezoid rule on a line, Gauss's in more axes."""
    if d > 1:
        points, weights = np.polynomial.hermite_e.hermegauss(GAUSS * parts - other)
    else:
        count = math.ceil(NEAR * parts / LOCAL)
        points = LOCAL / parts * (np.arange(-count, count + 1) + SHIFT * other)
        weights = np.exp(-0.5 * points**2)
    return points, weights / weights.sum()


def _local_work(grid, parts, far):
    """Samples of f of `_around`."""
    return math.prod(grid.shape) * len(_rule(parts, False, sum(far))[0]) ** sum(far)


def _work(grid, width, reach, parts, least, far):
    """Samples of f, or terms of the sums, of `_both`."""
    return max(_samples_and_terms(grid, width, reach, [parts * m if k else 1 for m, k in zip(least, far)], far))


def _samples_and_terms(grid, width, reach, counts, far):
    """(samples of f, terms of the sums along the axes)."""
    beyond = [2 * reach * width * m / h if k else 0.0 for h, m, k in zip(grid.spacing, counts, far)]
    sizes = [m * n + more for n, m, more in zip(grid.shape, counts, beyond)]
    terms, left = 0.0, math.prod(sizes)
    for n, size, more, k in zip(grid.shape, sizes, beyond, far):
        left *= n / size
        terms += left * more if k else 0.0
    return math.prod(sizes), terms


def _sum(f, grid, width, reach, counts, far, shift):
    """(averages and, without a shift, those of |f|, the reach that is enough, nodes along the first axis)."""
    variance = width**2
    while True:
        samples, terms = _samples_and_terms(grid, width, reach, counts, far)
        if samples > MOST_SAMPLES:
            raise ValueError(
                f"gamma: the kernel reaches over {samples:.3g} nodes beyond outflow ends, expected at most "
                f"{MOST_SAMPLES}: take a coarser grid, a smaller gamma or a larger beta"
            )
        steps = [h / m for h, m in zip(grid.spacing, counts)]
        more = [math.ceil(reach * width / h) if k else 0 for h, k in zip(steps, far)]
        axes = [
            x[0] + h * (np.arange(-r, m * (len(x) - 1) + r + 1) + shift) if k else x
            for x, h, m, r, k in zip(grid.axes, steps, counts, more, far)
        ]
        mesh = axes[0] if len(axes) == 1 else np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        with np.errstate(over="ignore"):
            values = np.asarray(f(mesh), dtype=float)
        if not np.isfinite(values).all():
            raise ValueError(_divergent(mesh[~np.isfinite(values)][0], reach * width))
        kernels = [_weights(h, r, variance, shift) if k else None for h, r, k in zip(steps, more, far)]
        along = _transformed if terms > MOST_TERMS else _along
        if shift:  # the reach is known to be enough
            return along(values, kernels, counts, far), None, reach, None
        size = along(np.abs(values), kernels, counts, far)
        if _closed(along, values, kernels, counts, far, size, reach * width, steps):
            break
        reach *= 1.25
        if reach > FAR:
            raise ValueError(_divergent(None, reach * width))
    return along(values, kernels, counts, far), size, reach, axes[0]


def _divergent(where, distance):
    place = "" if where is None else f", as at {np.ravel(where).tolist()}"
    return (
        "gamma: the average of f over the kernel diverges or leaves the range of float64: f still counts "
        f"{distance:.3g} away from nodes, or is not finite there{place}: take a smaller gamma or a larger beta"
    )


def _weights(h, reach, variance, shift):
    """Of nodes at (k + shift) h from a target, |k| <= reach, with sum one."""
    kernel = np.exp(-(((np.arange(-reach, reach + 1) + shift) * h) ** 2) / (2.0 * variance))
    return kernel / kernel.sum()


def _along(values, kernels, counts, far):
    """Weighted sums at every so many-th node along the axes `far`."""
    for axis, (kernel, m, beyond) in enumerate(zip(kernels, counts, far)):
        if beyond:
            moved = np.moveaxis(values, axis, -1)
            views = np.lib.stride_tricks.sliding_window_view(moved, kernel.size, axis=-1)[..., ::m, :]
            values = np.moveaxis(np.einsum("...k,k->...", views, kernel), -1, axis)
    return values


def _closed(along, values, kernels, counts, far, size, distance, steps):
    """Do the outer tenths of the reach count for nothing, at all nodes and along every axis?"""
    limit = TAIL if along is _along else 1e-9  # the transform's rounding is that of the largest value
    for axis in np.flatnonzero(far):
        kernel = kernels[axis]
        place = np.abs(np.arange(kernel.size) - kernel.size // 2) * steps[axis]
        outer = [np.where(place > 0.9 * distance, k, 0.0) if i == axis else k for i, k in enumerate(kernels)]
        if (along(np.abs(values), outer, counts, far) > limit * size).any():
            return False
    return True


def _transformed(values, kernels, counts, far):
    for axis, (kernel, m, beyond) in enumerate(zip(kernels, counts, far)):
        if beyond:
            values = np.moveaxis(gaussian.convolved(values, kernel[::-1], axis), axis, 0)[::m]
            values = np.moveaxis(values, 0, axis)
    return values


def _hidden(f, line, size, width):
    """Does f, a formula on a line, bend so much more between some of its nodes than at them that it may count?"""
    if line.size > BOXES:
        return False
    return _bends(f, line, size, width, GROUP) and _bends(f, line, size, width, 1)


def _bends(f, line, size, width, group):
    """`_hidden` for boxes of so many cells."""
    h, ends = line[1] - line[0], np.append(np.arange(0, line.size - 1, group), line.size - 1)
    inside = np.abs(enclosures.enclose(f, line[ends[:-1], None], line[ends[1:], None])[2]).max(axis=(1, 2))
    nodes = np.abs(np.diff(f(line), 2, prepend=math.nan, append=math.nan)) / (h * h)
    nodes[[0, -1]] = nodes[[1, -2]]
    nodes = np.fmax(np.maximum.reduceat(nodes, ends[:-1]), nodes[ends[1:]])
    nodes[1:-1] = np.maximum(np.maximum(nodes[:-2], nodes[2:]), nodes[1:-1])
    counts = np.minimum(group * h / width, 1.0) * np.minimum(inside * h * h, 1e300) > 1e-9 * float(size.min())
    return bool((np.isfinite(inside) & counts & (inside > HIDDEN * nodes)).any())
