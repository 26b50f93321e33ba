"""A full diffusion matrix as a network of edges: fluxes between pairs of nodes that never point out of the box.

The Fokker-Planck equation in the form ρ_t = div(a grad ρ - β ρ) has the no-flux wall n·(a grad ρ - β ρ) = 0 as its
natural condition (the process is reflected along the co-normal a n). Its weak form is summed cell by cell,

    ∫ grad v · a grad ρ  ~  sum over cells, sum_k λ_k (difference of v along e_k) (difference of ρ along e_k),

with Selling's decomposition a = sum_k λ_k e_k e_k^T, λ_k >= 0, of the cell's matrix, each difference taken over the
edges along e_k that are nearest to the cell: moved into the box at reflecting walls, cut at absorbing ones. With the
exponential fitting of the drift along each edge all rates are >= 0, and what leaves one node of an edge arrives at the
other. Weickert; Fehrenbach and Mirebeau (2014).

Second order in the spacing h while the drift along an edge is at most about two diffusions (cell Peclet number |z|/2
up to one: |β| h over the smallest eigenvalue of a), first order where it dominates, since a monotone stencil is upwind
there. Offsets of r nodes, which strong anisotropy needs, leave an error of (r h)² at walls.
"""

import math
from dataclasses import dataclass

import numpy as np

from pdelab.kernels import selling

__all__ = [
    "Edges", "cell_shape", "corner_gradient", "corner_mean", "edges", "face_means", "in_cells", "lines",
    "longest_offset", "on_nodes", "spread_added",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Edges:
    """Pairs of nodes and the rates between them; a pair may stand more than once.

    Attributes
    ----------
    tail, head : array
        Numbers of the nodes.
    up, down : array
        Rates from tail to head and back.
    steps : array
        Head less tail in nodes, across periodic ends too, (edges, d).
    added : array
        Isotropic diffusion that was added to each cell, in the units of a.
    """

    tail: np.ndarray
    head: np.ndarray
    up: np.ndarray
    down: np.ndarray
    steps: np.ndarray
    added: np.ndarray

    def jumps(self):
        """(rows, columns, rates) of all jumps."""
        return (
            np.concatenate([self.tail, self.head]),
            np.concatenate([self.head, self.tail]),
            np.concatenate([self.up, self.down]),
        )


def edges(form, grid, times=1):
    """The `Edges` of an `Ito` form with a full matrix, with so many times the diffusion that must be added to it."""
    matrices, drifts = in_cells(form, grid)
    offsets, forward, backward, added, radius = _stencils(matrices, drifts, grid)
    if times > 1:
        matrices = matrices + times * added[:, None, None] * np.diag(1 / np.array(grid.spacing) ** 2)
        offsets, forward, backward, _, radius = _stencils(matrices, drifts, grid)
    _join_corners(matrices, drifts, radius, forward, backward, grid)
    tail, head, up, down, steps = _listed(offsets, forward, backward, grid)
    volume = (grid.weights / math.prod(grid.spacing)).ravel()
    stops = grid.absorbing.ravel()
    up, down = up / volume[tail], down / volume[head]
    if stops.any():
        up[stops[tail]] = 0.0
        down[stops[head]] = 0.0
    return Edges(tail, head, up, down, steps, added.reshape(cell_shape(grid)))


def in_cells(form, grid):
    """(a, β) of the cells in units of the grid: a_ij / (h_i h_j), (cells, d, d), and β_i / h_i, (cells, d)."""
    d, h = grid.dimension, np.array(grid.spacing)
    matrices = np.ascontiguousarray(corner_mean(form.a, grid) / np.outer(h, h))
    return matrices.reshape(-1, d, d), np.ascontiguousarray((form.fick / h).reshape(-1, d))


def _stencils(matrices, drifts, grid):
    """(offsets, forward, backward, added, radius) of the cells: rates along offsets of at most `radius` nodes."""
    number, d = drifts.shape
    count = 5 if d == 2 else 9
    offsets, added = np.empty((number, count, d)), np.empty(number)
    forward, backward = np.empty((number, count)), np.empty((number, count))
    radius = float(max(1, min(max(2, round(0.5 * math.sqrt(min(grid.shape)))), min(cell_shape(grid)))))
    isotropic = np.diag(1 / np.array(grid.spacing) ** 2)
    selling.jumps(matrices, drifts, isotropic, radius, offsets, forward, backward, added)
    return offsets, forward, backward, added, radius


def longest_offset(form, grid):
    """The most nodes along an axis from one end of an edge with rates to the other."""
    along = edges(form, grid)
    return int(np.abs(along.steps[along.up + along.down > 0]).max())


def spread_added(form, grid):
    """(excess, a) of the cells in units of the grid, (cells, d, d): what the rates along the offsets add to a.

    sum_k (rates to and fro)/2 e_k e_k^T - a.
    """
    matrices, drifts = in_cells(form, grid)
    offsets, forward, backward, _, _ = _stencils(matrices, drifts, grid)
    return np.einsum("nk,nki,nkj->nij", 0.5 * (forward + backward), offsets, offsets) - matrices, matrices


def _join_corners(matrices, drifts, radius, forward, backward, grid):
    """Edges along the axes for cells near two walls or more that have none, in place.

    No edge along a long offset ends in a corner that the diffusion does not point to: these join it to the others, with
    the drift of what the cell is in balance with. Their weight, the smallest eigenvalue over the number of nodes along
    an axis, vanishes with the grid.
    """
    near = np.zeros(cell_shape(grid), dtype=int)
    for axis, wraps in enumerate(grid.periodic):
        if not wraps:
            k, n = np.arange(near.shape[axis]), near.shape[axis]
            line = ((k < radius) | (k >= n - radius)).astype(int)
            near += line.reshape([-1 if other == axis else 1 for other in range(grid.dimension)])
    lacking = (forward[:, -grid.dimension :] + backward[:, -grid.dimension :] == 0).any(axis=1)
    corners = np.flatnonzero((near.ravel() >= 2) & lacking)
    smallest = np.linalg.eigvalsh(matrices[corners])[:, :1]
    sound = smallest[:, 0] > 1e-10 * np.trace(matrices[corners], axis1=1, axis2=2)
    corners, weight = corners[sound], smallest[sound] / min(grid.shape)
    z = np.linalg.solve(matrices[corners], drifts[corners][..., None])[..., 0]
    with np.errstate(invalid="ignore", over="ignore"):
        against = np.where(np.abs(z) < 1e-10, 1.0, z / np.expm1(z))
    forward[corners, -grid.dimension :] += weight * (against + z)
    backward[corners, -grid.dimension :] += weight * against


def _listed(offsets, forward, backward, grid):
    """(tail, head, up, down, steps) of the edges nearest to each cell along its offsets."""
    count, shape = selling.count_edges(offsets, forward, backward), np.array(grid.shape)
    tail, head = np.empty((2, count, grid.dimension), dtype=np.int32)
    up, down = np.empty((2, count))
    mirrors = np.array([[name == "reflecting" for name in names] for names in grid.ends])
    cells = np.array(cell_shape(grid))
    selling.ends(offsets, forward, backward, cells, shape, mirrors, tail, head, up, down)
    if grid.absorbing.any():
        _cut(tail, head, up, down, grid)
    strides = (np.append(1, np.cumprod(shape[:0:-1]))[::-1]).astype(np.int32)
    numbers = [((nodes % shape if any(grid.periodic) else nodes) @ strides).astype(np.int32) for nodes in (tail, head)]
    return *numbers, up, down, (head - tail).astype(np.int8)


def _cut(tail, head, forward, backward, grid):
    """Shorten edges that cross an absorbing wall, in place: they end at its nearest node, at a part s of their length.

    The difference over the edge becomes the value inside over s, hence λ B(-z) becomes λ B(-s z) / s².
    """
    for inside, outside, out, into in ((tail, head, forward, backward), (head, tail, backward, forward)):
        part = np.ones(len(out))
        for axis, (n, names) in enumerate(zip(grid.shape, grid.ends)):
            for side, wall in ((0, 0), (1, n - 1)):
                if names[side] == "absorbing":
                    beyond = outside[:, axis] < 0 if side == 0 else outside[:, axis] > n - 1
                    step = (outside[:, axis] - inside[:, axis])[beyond]
                    part[beyond] = np.minimum(part[beyond], (wall - inside[beyond, axis]) / step)
        cut = np.flatnonzero(part < 1)
        s, f, b = part[cut], out[cut], into[cut]
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.log(f) - np.log(b)
            weight = np.where(np.abs(z) < 1e-6, np.sqrt(f * b), (f - b) / z)
            fitted = np.where(np.abs(s * z) < 1e-6, 1 + 0.5 * s * z, -s * z / np.expm1(-s * z))
            out[cut] = np.where((f > 0) & (b > 0), weight * fitted / s**2, f / s)
        into[cut] = 0.0
        landing = inside[cut] + np.rint(s[:, None] * (outside[cut] - inside[cut]))
        outside[cut] = np.where(np.array(grid.periodic), landing, np.clip(landing, 0, np.array(grid.shape) - 1))


def lines(array, axis, shape):
    """View of a contiguous field of this shape as (outer, n, inner) with `axis` in the middle."""
    return array.reshape(math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))


def cell_shape(grid):
    """Cells between nodes along each axis."""
    return tuple(n if wraps else n - 1 for n, wraps in zip(grid.shape, grid.periodic))


def _corners(field, axis, grid):
    """(lower, upper) nodes of the cells along one axis."""
    if grid.periodic[axis]:
        return field, np.roll(field, -1, axis)
    before = (slice(None),) * axis
    return field[(*before, slice(-1))], field[(*before, slice(1, None))]


def corner_mean(field, grid):
    """The mean of a field (*grid.shape, ...) over the corners of each cell."""
    for axis in range(grid.dimension):
        low, high = _corners(field, axis, grid)
        field = 0.5 * (low + high)
    return field


def corner_gradient(field, grid):
    """The gradient of a field (*grid.shape, ...) at the centre of each cell, trailing axis k."""
    parts = []
    for axis in range(grid.dimension):
        part = field
        for other in range(grid.dimension):
            low, high = _corners(part, other, grid)
            part = (high - low) / grid.spacing[axis] if other == axis else 0.5 * (low + high)
        parts.append(part)
    return np.stack(parts, axis=-1)


def face_means(cells, grid):
    """A vector field on the cells (*cells, d) as its normal parts on the faces of each axis, fields of grid.shape."""
    parts = []
    for axis, wraps in enumerate(grid.periodic):
        part = cells[..., axis]
        for other, around in enumerate(grid.periodic):
            if other == axis:
                continue
            if around:
                part = 0.5 * (part + np.roll(part, 1, other))
            else:
                ends = [(0, 0)] * grid.dimension
                ends[other] = (1, 1)
                padded = np.moveaxis(np.pad(part, ends, mode="edge"), other, 0)
                part = np.moveaxis(0.5 * (padded[:-1] + padded[1:]), 0, other)
        if not wraps:
            empty = [(0, 0)] * grid.dimension
            empty[axis] = (0, 1)
            part = np.pad(part, empty)
        parts.append(part)
    return parts


def on_nodes(cells, grid):
    """The largest of the cells round each node."""
    for axis, wraps in enumerate(grid.periodic):
        if wraps:
            cells = np.maximum(cells, np.roll(cells, 1, axis))
        else:
            edge = [(0, 0)] * grid.dimension
            edge[axis] = (1, 1)
            padded = np.pad(cells, edge, mode="edge")
            low, high = (slice(None),) * axis + (slice(-1),), (slice(None),) * axis + (slice(1, None),)
            cells = np.maximum(padded[low], padded[high])
    return cells
