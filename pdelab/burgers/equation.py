"""The equation as a frozen record that checks its data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdelab import boundaries
from pdelab.burgers.potentials import potential
from pdelab.grid import Grid
from pdelab.hamilton_jacobi.equations import Viscous
from pdelab.hamilton_jacobi.layout import largest_change
from pdelab.hints import Array, Field
from pdelab.losses import Loss
from pdelab.stepping import Scheme, equation, schemes_of

__all__ = ["Burgers"]


@equation
@dataclass(frozen=True, init=False, eq=False)
class Burgers(Viscous):
    """p_t + (p·D)p = ν Δp, p = Du: conservative in one dimension, irrotational in two and three.

    Parameters
    ----------
    beta : float > 0 or math.inf
        The viscosity is ν = 1/(2 beta). Exactly one of beta and viscosity is given.
    viscosity : float >= 0
        ν itself.

    Raises
    ------
    ValueError
        beta <= 0, ν < 0, not exactly one of the two; later, data that are not a gradient.

    Notes
    -----
    Initial data in one dimension: p on the nodes, shape (n,), or a Loss f, then p = f'. In two and three: p of shape
    (*grid.shape, d), which must be a gradient; a potential of shape grid.shape; or a Loss. The solution has the shape
    of p. Boundaries: periodic; reflecting, where p is odd (u is even), hence zero at the wall;
    outflow, beyond which p goes on as it is at the end: what flows in has the p of that end. In one dimension without
    viscosity this is the solution on the line from data that go on constant; where they go on otherwise, or viscosity
    moves the p of an end at which something flows in, take a larger box. Chaudhari, thesis (4.35)-(4.36).

    Examples
    --------
    >>> import numpy as np, pdelab as pl
    >>> grid = pl.Grid(-1.0, 1.0, 400, boundary="outflow")
    >>> p = pl.solve(pl.Burgers(viscosity=0.0), np.where(grid.x < 0, 1.0, 0.0), grid, 1.0).final
    >>> bool(abs(np.interp(-0.5, -p, grid.x) - 0.5) < 0.01)       # the shock moves with speed 1/2
    True
    """

    beta: float
    viscosity: float
    mirrored = False
    equation = "p_t + (p·D)p = ν Δp"

    @property
    def default_scheme(self) -> Scheme:
        """`godunov`."""
        return schemes_of(type(self))["godunov"]

    def initial(self, values: Field, grid: Grid) -> Array:
        """p on the nodes as a checked float64 array: shape (n,), or (*grid.shape, d).

        Parameters
        ----------
        values : Loss or array (n,) or (*grid.shape, d) or (*grid.shape,)
            f, of which the gradient is taken, exactly; or p; or for d > 1 node values of f, which are differenced.
        grid : Grid
            Its ends are periodic, reflecting or outflow.

        Returns
        -------
        array (n,), for d > 1 (*grid.shape, d)

        Raises
        ------
        ValueError
            Another shape, numbers that are not finite, a p that is no gradient, a boundary that Burgers does not have.
        """
        boundaries.only(grid, boundaries.FREE, "Burgers")
        if isinstance(values, Loss):
            if values.dimension != grid.dimension:
                raise ValueError(
                    f"initial: expected a Loss of {grid.dimension} variables, one an axis, got {values.dimension}"
                )
            return grid.vector_field(values.gradient(grid.points), "initial")
        if grid.dimension > 1 and np.shape(values) == grid.shape:
            return grid.gradient(grid.field(values, "initial"))
        p = grid.vector_field(values, "initial")
        if grid.dimension > 1:
            self._irrotational(p, grid)
        return p

    def speeds(self, values: Array, grid: Grid) -> Array:
        """The largest |p| along each axis, an array (d,)."""
        return np.abs(values.reshape(-1, grid.dimension)).max(axis=0)

    def steepening(self, values: Array, grid: Grid) -> float:
        """The largest rate at which characteristics of the data come nearer to each other or go apart."""
        return largest_change(values, grid)

    def continued(self, values: Array, grid: Grid, cells: Sequence[int]) -> Array:
        """p beyond the ends, where it goes on constant.

        Parameters
        ----------
        values : array
        grid : Grid
        cells : sequence of int
            How many at both ends of each axis.

        Returns
        -------
        array
        """
        return np.pad(values, [(k, k) for k in cells] + [(0, 0)] * (values.ndim - grid.dimension), mode="edge")

    @staticmethod
    def _irrotational(p, grid):
        means, u = potential(p, grid)
        missing = float(np.abs(grid.gradient(u) + means - p).mean())
        if missing > 0.1 * float(np.abs(p).mean()):
            raise ValueError(
                f"initial: expected a gradient, p = Du, got a field that its best potential misses by {missing:.3g} on "
                "average: give the potential u or a Loss"
            )
