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
from pdelab.grid import Grid
from pdelab.hints import Array

__all__ = [
    "FIELDS", "ORDERS", "Coarser", "adds", "every_second", "half_as_many", "halved", "interpolation",
    "moved_coefficients", "on_other_nodes",
]  # fmt: skip

ORDERS = 1.5  # the difference over the error of the finer of two grids: 1 at first order, 3 at second
FIELDS = ("potential", "drift", "diffusion", "sigma")  # of coefficients
FAINT = 0.01  # of the smallest eigenvalue of the matrix, what counts as nothing added to it


@dataclass(frozen=True, eq=False)
class Coarser:
    """The chain of the same coefficients on every second node of a grid, or with twice the added diffusion on all.

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
    def of(cls, coefficients: Coefficients, grid: Grid) -> Coarser | None:
        """None where an axis has too few nodes, or such a number that every second one leaves out an end.

        None, too, where diffusion would be added on the coarser grid alone, since that says nothing of the finer one.
        """
        form = ito(coefficients, grid)
        if adds(form, grid):
            return cls(grid, form, chain_of(form, grid, times=2), 1.0)
        coarse = every_second(grid)
        if coarse is None:
            return None
        every = (slice(None, None, 2),) * grid.dimension
        taken: dict[str, Any] = {
            name: np.ascontiguousarray(field[every])
            for name in FIELDS
            if (field := getattr(coefficients, name)) is not None
        }
        form = ito(replace(coefficients, **taken), coarse)
        return None if adds(form, coarse) else cls(coarse, form, chain_of(form, coarse), ORDERS)

    def taken(self, values: Array, grid: Grid) -> Array:
        """Of values on the nodes of the finer grid, those on this one, in C order."""
        if self.grid is grid:
            return values.ravel()
        return values.reshape(grid.shape)[(slice(None, None, 2),) * grid.dimension].ravel()

    def gathered(self, masses: Array, grid: Grid) -> Array:
        """The masses in its cells, of masses on the nodes of the finer grid: those between two nodes are shared."""
        for axis, wraps in enumerate(grid.periodic):
            x = np.moveaxis(masses, axis, 0)
            own, between = x[::2].copy(), x[1::2] / 2
            own[: len(between)] += between
            own[1:] += between[: len(own) - 1]
            if wraps:
                own[0] += between[-1]
            masses = np.moveaxis(own, 0, axis)
        return masses

    def shows(self, inside: Array, grid: Grid) -> bool:
        """Do its nodes tell which nodes of the finer grid a set has: those between nodes that it has?"""
        if self.grid is grid:
            return True
        rebuilt = np.zeros(grid.shape, dtype=bool)
        rebuilt[(slice(None, None, 2),) * grid.dimension] = self.taken(inside, grid).reshape(self.grid.shape)
        for axis in range(grid.dimension):
            between = (slice(None),) * axis + (slice(1, None, 2),)
            rebuilt[between] = (np.roll(rebuilt, 1, axis) & np.roll(rebuilt, -1, axis))[between]
        return bool((rebuilt == inside.reshape(grid.shape)).all())


def every_second(grid: Grid) -> Grid | None:
    """The grid of every second node; None where an axis has too few, or such a number that an end is left out."""
    if any(n < 9 or n % 2 == wraps for n, wraps in zip(grid.shape, grid.periodic)):
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
    matrices = []
    for axis, (n, m, wraps) in enumerate(zip(grid.shape, other.shape, grid.periodic)):
        places = (other.axes[axis] - grid.lower[axis]) / grid.spacing[axis]
        count = min(6, n)
        first = np.floor(places).astype(int) - (count - 1) // 2
        if not wraps:
            first = np.clip(first, 0, n - count)
        nodes = first[:, None] + np.arange(count)
        shares = np.ones(nodes.shape)
        for one, two in permutations(range(count), 2):
            shares[:, one] *= (places - nodes[:, two]) / (one - two)
        entries = shares.ravel(), (np.repeat(np.arange(m), count), nodes.ravel() % n)
        matrices.append(sparse.coo_array(entries, shape=(m, n)).tocsr())
    return matrices


def moved_coefficients(coefficients: Coefficients, grid: Grid, other: Grid) -> Coefficients:
    """The coefficients on other nodes, each within its bounds, matrices within those of their eigenvalues."""

    def moved(name):
        field = getattr(coefficients, name)
        if field is None:
            return None
        new = on_other_nodes(field, grid, other)
        if name == "diffusion" and grid.dimension > 1:
            bounds = np.linalg.eigvalsh(field)
            sizes, vectors = np.linalg.eigh(new)
            if sizes.min() < bounds.min() or sizes.max() > bounds.max():
                new = (vectors * np.clip(sizes, bounds.min(), bounds.max())[..., None, :]) @ vectors.swapaxes(-1, -2)
            return new
        return np.clip(new, field.min(), field.max())

    return replace(coefficients, **{name: moved(name) for name in FIELDS})


def on_other_nodes(values: Array, grid: Grid, other: Grid) -> Array:
    """A field on the nodes of another grid on the same box, by cubic splines."""
    from scipy.interpolate import CubicSpline  # a third of a second to import

    for axis, (x, wraps) in enumerate(zip(grid.axes, grid.periodic)):
        if other.shape[axis] == grid.shape[axis]:
            continue
        if other.spacing[axis] == 2 * grid.spacing[axis]:
            values = values.take(np.arange(0, grid.shape[axis], 2), axis)
            continue
        if wraps:
            x, values = np.append(x, grid.upper[axis]), np.concatenate([values, values.take([0], axis)], axis)
        values = CubicSpline(x, values, axis, "periodic" if wraps else "not-a-knot")(other.axes[axis])
    return np.ascontiguousarray(values)


def adds(form, grid):
    """Is diffusion added to a full matrix, so much that it counts?"""
    if form.diagonal:
        return False
    matrices, _ = in_cells(form, grid)
    units = np.array(grid.spacing)
    smallest = np.linalg.eigvalsh(matrices * np.outer(units, units))[:, 0]
    return bool((edges(form, grid).added.ravel() > FAINT * smallest).any())
