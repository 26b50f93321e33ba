"""Walls of paths: a box with what its ends do, as the rows that the kernel reads."""

import math

import numpy as np

from pdelab import boundaries, checks
from pdelab.grid import Grid
from pdelab.kernels.walls import ABSORBING, FIXED, OPEN, PERIODIC, REFLECTING

__all__ = [
    "OPEN", "PERIODIC", "absorbs", "diffusion_matrices", "directions", "is_formula", "periods", "points_in",
    "reflects", "rows", "sides",
]  # fmt: skip

CODES = {"reflecting": REFLECTING, "absorbing": ABSORBING, "periodic": PERIODIC, "open": OPEN}
SAMPLES = 64  # points of the box at which noise is asked whether it is constant or diagonal


def rows(walls, sde):
    """(axes, FIXED + components) for the kernel, without variances and directions; None gives no axes."""
    size = sde.state_size
    if walls is None:
        return np.empty((0, FIXED + size))
    wanted = "a Grid, (lower, upper) or (lower, upper, boundary) with names for its ends"
    if isinstance(walls, Grid):
        lower, upper, boundary = walls.lower, walls.upper, walls.boundary
    else:
        parts = (
            walls
            if isinstance(walls, (tuple, list)) and len(walls) in (2, 3)
            else checks.refuse("walls", wanted, walls)
        )
        lower, upper = (np.atleast_1d(checks.reals("walls", end, wanted)) for end in parts[:2])
        boundary = boundaries.per_axis(parts[2] if len(parts) == 3 else "reflecting", (lower.size, upper.size))
    axes = max(np.size(lower), np.size(upper), len(boundary))
    try:
        lower, upper = np.broadcast_to(lower, axes), np.broadcast_to(upper, axes)
    except ValueError:
        checks.refuse("walls", "corners of one length", walls)
    table = np.zeros((axes, FIXED + size))
    table[:, 0], table[:, 1], table[:, 5] = lower, upper, -1
    limit = sde.dimension if sde.has_momenta else size
    if axes > limit or np.ndim(lower) != 1 or not (lower < upper).all() or len(boundary) not in (1, axes):
        checks.refuse("walls", f"lower < upper for at most {limit} coordinates", walls)
    for axis, entry in enumerate(boundary * axes if len(boundary) == 1 else boundary):
        names = boundaries.pair(entry)
        if not set(names) <= set(CODES):
            checks.refuse("walls", "reflecting, absorbing or periodic ends", entry)
        codes = [CODES[name] for name in names]
        ends = table[axis, :2]
        table[axis, 2:4] = [OPEN if math.isinf(end) else code for code, end in zip(codes, ends)]
        if PERIODIC in codes and not np.isfinite(ends).all():
            checks.refuse("walls", "finite ends of a periodic axis", walls)
        table[axis, FIXED + axis] = 1.0
        if sde.has_momenta:
            table[axis, 5] = sde.dimension + axis
    return table


def absorbs(table):
    """Whether an end absorbs."""
    return bool((table[:, 2:4] == ABSORBING).any())


def reflects(table):
    """Whether an end reflects."""
    return bool((table[:, 2:4] == REFLECTING).any())


def periods(table):
    """The length of each periodic axis, inf for the others."""
    return [float(row[1] - row[0]) if row[2] == PERIODIC else math.inf for row in table]


def points_in(low, high, x):
    """States (components, SAMPLES) whose first coordinates fill a box, three units wide where an end is open."""
    fractions = (np.arange(SAMPLES)[None] * (0.5 + np.sqrt([[2.0], [3.0], [5.0], [7.0], [11.0], [13.0]]))) % 1.0
    states = np.repeat(x[:, :1].astype(float), SAMPLES, axis=1)
    for axis, (a, b) in enumerate(zip(low, high)):
        width = b - a if math.isfinite(b - a) else 3.0
        start = a if math.isfinite(a) else (b - width if math.isfinite(b) else states[axis, 0] - 0.5 * width)
        states[axis] = start + width * fractions[axis % 6]
    return states


def diffusion_matrices(sde, states, times, dt):
    """Covariances of a step at these states, (times, components, components, states)."""
    kicks = np.sqrt(dt) * np.eye(sde.wieners)
    with np.errstate(all="ignore"):
        columns = [
            [sde.noise_term(states, t, np.repeat(kick[:, None], states.shape[1], 1)) for kick in kicks] for t in times
        ]
    columns = np.array([[np.broadcast_to(c, states.shape) for c in row] for row in columns])
    return np.einsum("tkis,tkjs->tijs", columns, columns)


def is_formula(sde):
    """Whether noise is made of formulas and numbers: then its values at points of the box decide what it is."""
    return sde.kind == "additive" or getattr(getattr(sde, "s", None), "is_formula", False)


def directions(table, sde, states, times, dt):
    """Write the co-normals D n / (n.D n) into the rows that reflect; ValueError where they change with the place."""
    matrices = diffusion_matrices(sde, states, times, dt)
    for axis in np.flatnonzero((table[:, 2:4] == REFLECTING).any(axis=1)):
        along = matrices[:, axis, axis]
        ratios = np.divide(
            matrices[:, axis], along[:, None], where=along[:, None] > 0, out=np.zeros_like(matrices[:, axis])
        )
        ratios[:, axis] = 1.0
        first = ratios[0, :, 0]
        known = is_formula(sde) or sde.kind == "diagonal"
        if not known or not np.allclose(ratios, first[None, :, None], rtol=1e-9, atol=1e-9):
            raise ValueError(
                "walls: expected noise whose co-normal D n is one direction along a reflecting wall, got a matrix that "
                "changes with the place (or a function of general kind): reflection is not offered for it"
            )
        table[axis, FIXED:] = first


def sides(final, gone, table):
    """2 axis (lower) or 2 axis + 1 (upper) of the end at which each path of (components, paths) was absorbed, or -1."""
    side = np.full(final.shape[1], -1)
    for axis, row in enumerate(table):
        for end in (0, 1):
            if row[2 + end] == ABSORBING:
                face = final.dtype.type(row[end])
                there = final[axis] <= face if end == 0 else final[axis] >= face
                side[(side < 0) & np.isfinite(gone) & there] = 2 * axis + end
    return side
