"""Another chain of the same equation: how far answers are off, where the truncation is not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
from scipy import sparse

from pdelab.generator.assembly import chain_of
from pdelab.generator.coefficients import Coefficients, Ito, ito
from pdelab.generator.edges import edges, in_cells
from pdelab.generator.fading import FADED
from pdelab.grid import Grid
from pdelab.hints import Array

__all__ = [
    "ENOUGH", "FEWEST", "FIELDS", "ORDERS", "Coarser", "adds", "along", "every_second", "half_as_many",
    "halved", "interpolation", "moved_coefficients", "on_other_nodes",
]  # fmt: skip

ORDERS = 1.5  # the difference over the error of the finer of two grids: 1 at first order, 3 at second
FIELDS = ("potential", "drift", "diffusion", "sigma")  # of coefficients
ENOUGH, FEWEST = 9, 5  # nodes of an axis half of which show something, and of which they show something beside others
FAINT = 0.01  # of the smallest eigenvalue of the matrix, what counts as nothing added to it


@dataclass(frozen=True, eq=False)
class Coarser:
    """The chain of the same coefficients on half as many nodes of a grid, or with twice the added diffusion on all.

    They are every second node or, where that would leave out an end, others, but for the ends.

    Attributes
    ----------
    grid : Grid
    form : Ito
    chain : sparse array
    orders : float
        How many times the error of the chain in question an answer is away from that of this one.
    """

    grid: Grid
    form: Ito
    chain: sparse.csr_array
    orders: float

    @classmethod
    def of(cls, coefficients: Coefficients, grid: Grid, enough: int = ENOUGH) -> Coarser | None:
        """None where an axis has less than `enough` nodes.

        None, too, where diffusion would be added on the coarser grid alone, since that says nothing of the finer one.
        """
        form = ito(coefficients, grid)
        if adds(form, grid):
            return cls(grid, form, chain_of(form, grid, times=2), 1.0)
        if min(grid.shape) < enough:
            return None
        coarse = halved(grid, range(grid.dimension))
        form = ito(moved_coefficients(coefficients, grid, coarse), coarse)
        return None if adds(form, coarse) else cls(coarse, form, chain_of(form, coarse), ORDERS)

    def taken(self, values: Array, grid: Grid) -> Array:
        """Of values on the nodes of the finer grid, those on this one, in C order.

        Where its nodes are others: of a set those of the nearest node, of numbers those of a spline through what lies
        between the ends, where they may be of any power of the distance.
        """
        if self.grid is grid:
            return values.ravel()
        values = values.reshape(grid.shape)
        for axis in range(grid.dimension):
            places = self.grid.axes[axis]
            nearest = np.rint((places - grid.lower[axis]) / grid.spacing[axis]).astype(int)
            if self._every_second(axis, grid) or values.dtype == bool:
                values = values.take(nearest, axis)
            elif grid.periodic[axis]:
                values = along(_polynomials(axis, grid, places), values, axis)
            else:
                values = _between_ends(values, axis, grid, places)
        return values.ravel()

    def gathered(self, masses: Array, grid: Grid) -> Array:
        """The masses in its cells, of masses on the nodes of the finer grid: those between two nodes are shared."""
        for axis, (m, wraps) in enumerate(zip(self.grid.shape, grid.periodic)):
            places = (grid.axes[axis] - grid.lower[axis]) / self.grid.spacing[axis]
            before = np.minimum(places.astype(int), m - 1 if wraps else m - 2)
            nodes = np.stack([before, (before + 1) % m])
            shares = np.stack([1 - places + before, places - before])
            shape = (m, grid.shape[axis])
            parts = sparse.coo_array((shares.ravel(), (nodes.ravel(), np.tile(np.arange(shape[1]), 2))), shape=shape)
            masses = along(parts.tocsr(), masses, axis)
        return masses

    def shows(self, inside: Array, grid: Grid) -> bool:
        """Do its nodes tell which nodes of the finer grid a set has: those between nodes that it has?"""
        if self.grid is grid:
            return True
        for axis in range(grid.dimension):
            line: Any = np.moveaxis(inside.reshape(grid.shape), axis, 0)
            if self._every_second(axis, grid):
                rebuilt = np.empty_like(line)
                rebuilt[::2] = line[::2]
                rebuilt[1::2] = (np.roll(rebuilt, 1, 0) & np.roll(rebuilt, -1, 0))[1::2]
                if (rebuilt != line).any():
                    return False
            else:  # ends alone are nodes of both
                between = line if grid.periodic[axis] else line[1:-1]
                if (between != between[:1]).any():
                    return False
        return True

    def _every_second(self, axis, grid):
        return self.grid.spacing[axis] == 2 * grid.spacing[axis]


def every_second(grid: Grid) -> Grid | None:
    """The grid of every second node; None where an axis has too few, or such a number that an end is left out."""
    if any(n < ENOUGH or n % 2 == wraps for n, wraps in zip(grid.shape, grid.periodic)):
        return None
    return Grid(grid.lower, grid.upper, [(n + 1) // 2 for n in grid.shape], boundary=grid.boundary)


def half_as_many(grid: Grid) -> Grid:
    """The grid of half as many nodes on the same box, or just less: next to none of them the same."""
    fewer = [(n - wraps) // 2 for n, wraps in zip(grid.shape, grid.periodic)]
    return Grid(grid.lower, grid.upper, fewer, boundary=grid.boundary)


def halved(grid: Grid, axes: Sequence[int]) -> Grid:
    """The grid of every second node along these axes, or of half as many where an end would be left out."""
    shape = list(grid.shape)
    for axis in axes:
        n, wraps = grid.shape[axis], grid.periodic[axis]
        shape[axis] = (n + 1) // 2 if n % 2 != wraps else (n - wraps) // 2
    return Grid(grid.lower, grid.upper, shape, boundary=grid.boundary)


def interpolation(grid: Grid, other: Grid) -> list[sparse.csr_array]:
    """Matrices, one an axis, from values on a grid to those on another, by polynomials through six nodes."""
    return [_polynomials(axis, grid, places) for axis, places in enumerate(other.axes)]


def _polynomials(axis, grid, places):
    """From values along an axis to those at other places."""
    n, wraps = grid.shape[axis], grid.periodic[axis]
    places = (places - grid.lower[axis]) / grid.spacing[axis]
    count = min(6, n)
    first = np.floor(places).astype(int) - (count - 1) // 2
    if not wraps:
        first = np.clip(first, 0, n - count)
    nodes = first[:, None] + np.arange(count)
    shares = np.ones(nodes.shape)
    for one, two in permutations(range(count), 2):
        shares[:, one] *= (places - nodes[:, two]) / (one - two)
    entries = shares.ravel(), (np.repeat(np.arange(places.size), count), nodes.ravel() % n)
    return sparse.coo_array(entries, shape=(places.size, n)).tocsr()


def along(matrix: sparse.csr_array, values: Array, axis: int) -> Array:
    """A matrix times the values along an axis."""
    first = np.moveaxis(values, axis, 0)
    return np.moveaxis((matrix @ first.reshape(len(first), -1)).reshape(-1, *first.shape[1:]), 0, axis)


def moved_coefficients(coefficients: Coefficients, grid: Grid, other: Grid) -> Coefficients:
    """The coefficients on other nodes, each within its bounds, matrices within those of their eigenvalues."""

    def moved(name):
        field = getattr(coefficients, name)
        if field is None:
            return None
        new = on_other_nodes(field, grid, other, noise=name in ("diffusion", "sigma"))
        if name == "diffusion" and grid.dimension > 1:
            bounds = np.linalg.eigvalsh(field)
            sizes, vectors = np.linalg.eigh(new)
            if sizes.min() < bounds.min() or sizes.max() > bounds.max():
                new = (vectors * np.clip(sizes, bounds.min(), bounds.max())[..., None, :]) @ vectors.swapaxes(-1, -2)
            return new
        return np.clip(new, field.min(), field.max())

    return replace(coefficients, **{name: moved(name) for name in FIELDS})


def on_other_nodes(values: Array, grid: Grid, other: Grid, noise: bool = False) -> Array:
    """A field on the nodes of another grid on the same box, by polynomials through six nodes.

    noise : are they of its logarithm, along lines at whose ends it fades?
    """
    for axis, places in enumerate(other.axes):
        if other.shape[axis] == grid.shape[axis]:
            continue
        if other.spacing[axis] == 2 * grid.spacing[axis]:
            values = values.take(np.arange(0, grid.shape[axis], 2), axis)
            continue
        new = along(_polynomials(axis, grid, places), values, axis)
        if noise and not grid.periodic[axis] and grid.shape[axis] > 4:
            line, into = (np.moveaxis(field, axis, 0) for field in (values, new))
            fade = (line[0] < FADED * line[1]) | (line[-1] < FADED * line[-2])
            fade &= (line[1:-1] > 0).all(axis=0)
            logs = np.log(np.where(fade & (line > 0), line, 1.0))
            inner = np.moveaxis(_between_ends(np.moveaxis(logs, 0, axis), axis, grid, places), axis, 0)
            into[1:-1] = np.where(fade, np.exp(inner[1:-1]), into[1:-1])
        values = new
    return np.ascontiguousarray(values)


def _between_ends(values, axis, grid, places):
    """The same of an open axis through all nodes but the ends, whose values stay: powers of the distance to them too.

    ValueError where a number between the ends is not finite.
    """
    from scipy.interpolate import CubicSpline

    def stretched(x):
        return np.log((x - grid.lower[axis]) / (grid.upper[axis] - x))

    line, between = np.moveaxis(values, axis, 0), slice(1, -1)
    spline = CubicSpline(stretched(grid.axes[axis][between]), line[between])
    inner = spline(stretched(places[between]))
    return np.moveaxis(np.concatenate([line[:1], inner, line[-1:]]), 0, axis)


def adds(form, grid):
    """Is diffusion added to a full matrix, so much that it counts?"""
    if form.diagonal:
        return False
    matrices, _ = in_cells(form, grid)
    units = np.array(grid.spacing)
    smallest = np.linalg.eigvalsh(matrices * np.outer(units, units))[:, 0]
    return bool((edges(form, grid).added.ravel() > FAINT * smallest).any())
