"""The same chain on every second node: how far its answers are off, where the truncation is not known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from pdelab.generator.assembly import chain_of
from pdelab.generator.coefficients import Coefficients, Ito, ito
from pdelab.grid import Grid
from pdelab.hints import Array

__all__ = ["ORDERS", "Coarser"]

ORDERS = 1.5  # the difference over the error of the finer of two grids: 1 at first order, 3 at second


@dataclass(frozen=True, eq=False)
class Coarser:
    """The chain of the same coefficients on every second node of a grid.

    Attributes
    ----------
    grid : Grid
        The coarser one.
    form : Ito
    chain : sparse array
    """

    grid: Grid
    form: Ito
    chain: sparse.csr_array

    @classmethod
    def of(cls, coefficients: Coefficients, grid: Grid) -> Coarser | None:
        """None where an axis has too few nodes, or such a number that every second one leaves out an end."""
        if any(n < 9 or n % 2 == wraps for n, wraps in zip(grid.shape, grid.periodic)):
            return None
        coarse = Grid(grid.lower, grid.upper, [(n + 1) // 2 for n in grid.shape], boundary=grid.boundary)
        every = (slice(None, None, 2),) * grid.dimension
        taken: dict[str, Any] = {
            name: np.ascontiguousarray(field[every])
            for name in ("potential", "drift", "diffusion", "sigma")
            if (field := getattr(coefficients, name)) is not None
        }
        form = ito(replace(coefficients, **taken), coarse)
        return cls(coarse, form, chain_of(form, coarse))

    def taken(self, values: Array, grid: Grid) -> Array:
        """Of values on the nodes of the finer grid, those on the coarser one, in C order."""
        return values.reshape(grid.shape)[(slice(None, None, 2),) * grid.dimension].ravel()
