"""The equations: Hamilton-Jacobi and heat, as frozen records that check their coefficients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from pdelab import boundaries, checks
from pdelab.generator import Coefficients
from pdelab.grid import Grid
from pdelab.hamilton_jacobi.fewer_nodes import fewer_nodes
from pdelab.hamilton_jacobi.layout import changes, largest_slopes, speeds
from pdelab.hamilton_jacobi.wider_box import wider_box
from pdelab.hints import Array, Field
from pdelab.losses import Loss
from pdelab.stepping import Beside, Scheme, Solution, equation, schemes_of

__all__ = ["HamiltonJacobi", "Heat", "Viscous"]


class Viscous:
    """What Hamilton-Jacobi, heat and Burgers share: the viscosity ν = 1/(2 beta), and initial data from a formula.

    Parameters
    ----------
    beta : float > 0 or math.inf
        The viscosity is ν = 1/(2 beta). Exactly one of beta and viscosity is given.
    viscosity : float >= 0
        ν itself.

    Raises
    ------
    ValueError
        beta <= 0, ν < 0, not exactly one of the two.
    """

    beta: float
    viscosity: float
    kinetic = 0.0  # factor of |Du|²/2
    mirrored = True  # at reflecting ends: its fields are even there
    drift: Any = None

    def __init__(self, beta: float | None = None, *, viscosity: float | None = None) -> None:
        relation = "viscosity = 1/(2 beta)"
        name, value = checks.exactly_one(type(self).__name__, relation, beta=beta, viscosity=viscosity)
        if name == "beta":
            beta = checks.positive("beta", value, infinite=True)
            viscosity = 0.5 / beta
        else:
            viscosity = checks.nonnegative("viscosity", value)
            beta = 0.5 / viscosity if viscosity > 0 else math.inf
        object.__setattr__(self, "beta", beta)
        object.__setattr__(self, "viscosity", viscosity)

    @classmethod
    def from_formula(cls, loss: Loss, initial: Field | None = None, **coefficients: Any) -> tuple[Self, Field]:
        """The problem and its initial data, which the formula is.

        Parameters
        ----------
        loss : Loss
            The initial data; of Burgers the potential f of the data p = Df.
        initial : None
            The formula is the initial data already.
        **coefficients
            Those of the equation.

        Returns
        -------
        (problem, Loss)

        Raises
        ------
        ValueError
            Initial data besides the formula, or a coefficient that the equation refuses.
        """
        if initial is not None:
            raise ValueError(f"initial: {cls.__name__} takes no --initial, the formula is its data, got {initial!r}")
        return cls(**coefficients), loss

    def beside(self, initial: Field, first: Array, solution: Solution) -> list[Beside]:
        """Runs by which `solve` tells the error of the nodes, and that of outflow ends.

        Parameters
        ----------
        initial : Loss or array
            The data as they were given.
        first : array
            The data on the nodes.
        solution : Solution

        Returns
        -------
        list of Beside
        """
        return fewer_nodes(self, first, solution) + wider_box(self, initial, first, solution)

    def drift_on(self, grid: Grid, time: float = 0.0) -> Array | None:
        """None: no drift.

        Parameters
        ----------
        grid : Grid
        time : float

        Returns
        -------
        array (d, *grid.shape), or None
        """

    def speeds(self, values: Array, grid: Grid) -> Array:
        """The largest speed along each axis.

        Parameters
        ----------
        values : array
        grid : Grid

        Returns
        -------
        array (d,)
        """
        return self.kinetic * largest_slopes(values, grid) + speeds(self.drift_on(grid), grid)

    def steepening(self, values: Array, grid: Grid) -> float:
        """The largest rate at which characteristics of the data come nearer to each other or go apart.

        Parameters
        ----------
        values : array
        grid : Grid

        Returns
        -------
        float
        """
        if not self.kinetic:
            return 0.0
        slopes = (changes(values, grid, axis) for axis in range(grid.dimension))
        return self.kinetic * sum(
            float(np.abs(changes(slope, grid, axis)).max(initial=0.0)) for axis, slope in enumerate(slopes)
        )

    def continued(self, values: Array, grid: Grid, cells: Sequence[int]) -> Array:
        """The field beyond the ends, where it bends as it does before them, in the mirror.

        Where the least value around wins, as with a kinetic term, bends lead no lower than the data.

        Parameters
        ----------
        values : array, grid.shape
        grid : Grid
        cells : sequence of int
            How many at both ends of each axis, less than it has nodes.

        Returns
        -------
        array
        """
        low = values.min() if self.kinetic else -math.inf
        for axis, k in enumerate(cells):
            if k:
                along = np.moveaxis(values, axis, 0)
                below, above = _mirrored(along, k, low), _mirrored(along[::-1], k, low)
                values = np.moveaxis(np.concatenate([below[::-1], along, above]), 0, axis)
        return values


def _mirrored(values, cells, low):
    """What goes on before the first node: bends of the first nodes, the lesser of two at the end; not below `low`."""
    bends, slope = np.diff(values, 2, axis=0), values[0] - values[1]
    first, second = bends[0], bends[min(1, len(bends) - 1)]
    end = np.where(first * second > 0, np.where(np.abs(first) < np.abs(second), first, second), 0.0)
    slopes = slope + np.cumsum(np.concatenate([end[None], bends[: cells - 1]]), axis=0)
    away = np.arange(1, cells + 1).reshape(-1, *[1] * (values.ndim - 1))
    return np.maximum(values[0] + np.cumsum(slopes, axis=0), np.minimum(values[0] + away * slope, low))


@equation
@dataclass(frozen=True, init=False, eq=False)
class HamiltonJacobi(Viscous):
    """u_t = -|Du|²/2 + b·Du + ν Δu with u(·, 0) = f: local entropy without drift, stochastic control with it.

    Parameters
    ----------
    beta : float > 0 or math.inf
        Inverse temperature; the viscosity is ν = 1/(2 beta), and math.inf means none. Exactly one of beta and
        viscosity is given.
    viscosity : float >= 0
        ν itself.
    drift : array (*grid.shape, d), in one dimension (n,), callable t -> array, Loss, or None
        The field b on the nodes; a Loss f means b = -grad f. A function of time is for the schemes that say so: all
        but `rosenbrock`.

    Raises
    ------
    ValueError
        beta <= 0, ν < 0, not exactly one of the two; later, a drift that does not fit the grid or is not finite.

    Notes
    -----
    Chaudhari, thesis (4.1), (4.11), (4.16), (4.31). With b = -grad f and u(·, T) given this is the control problem of
    diffusivity ν run backwards: see `terminal`.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-1.0, 1.0, 201)
    >>> u = pl.solve(pl.HamiltonJacobi(viscosity=0.0), abs(grid.x), grid, 0.2).final
    >>> bool(abs(u[-1] - 0.9) < 1e-12)                           # |x| - t/2 away from the kink
    True
    """

    beta: float
    viscosity: float
    drift: Any
    kinetic = 1.0
    equation = "u_t = -|Du|²/2 + b·Du + ν Δu"

    def __init__(self, beta: float | None = None, *, viscosity: float | None = None, drift: Any = None) -> None:
        super().__init__(beta, viscosity=viscosity)
        object.__setattr__(self, "drift", drift)
        if not self.steady:
            checks.takes("drift", drift, "(t), which gives the field at that time")

    @property
    def default_scheme(self) -> Scheme:
        """`monotone`."""
        return schemes_of(type(self))["monotone"]

    @property
    def steady(self) -> bool:
        """True when the drift does not depend on time."""
        return not callable(self.drift) or hasattr(self.drift, "gradient")

    def initial(self, values: Field, grid: Grid) -> Array:
        """The initial data on the nodes.

        Parameters
        ----------
        values : Loss or array, grid.shape
            Finite.
        grid : Grid
            Its ends are periodic, reflecting or outflow.

        Returns
        -------
        array, grid.shape

        Raises
        ------
        ValueError
            Another shape, a number that is not finite, a boundary that the equation does not have.
        """
        boundaries.only(grid, boundaries.FREE, "Hamilton-Jacobi")
        return grid.field(values, "initial")

    def coefficients(self, grid: Grid, time: float = 0.0) -> Coefficients:
        """Of the generator Q of dX = b dt + sqrt(2ν) dW, in u_t = Q u - |Du|²/2.

        Parameters
        ----------
        grid : Grid
        time : float

        Returns
        -------
        Coefficients

        Raises
        ------
        ValueError
            A drift of another shape or dimension, or one that is not finite.
        """
        if hasattr(self.drift, "gradient"):
            return Coefficients(potential=grid.field(self.drift, "drift"), diffusivity=self.viscosity)
        field = self.drift if self.steady else self.drift(time)
        return Coefficients(
            drift=None if field is None else grid.vector_field(field, "drift"), diffusivity=self.viscosity
        )

    def drift_on(self, grid: Grid, time: float = 0.0) -> Array | None:
        """The drift at one time.

        Parameters
        ----------
        grid : Grid
        time : float

        Returns
        -------
        array (d, *grid.shape), or None
            None: there is no drift.

        Raises
        ------
        ValueError
            A drift of another shape or dimension, or one that is not finite.
        """
        if self.drift is None:
            return None
        field = self.drift if self.steady else self.drift(time)
        if hasattr(field, "gradient"):
            if field.dimension != grid.dimension:
                raise ValueError(
                    f"drift: expected a Loss of {grid.dimension} variables, one an axis, got {field.dimension}"
                )
            field = -np.asarray(field.gradient(grid.points))
        field = grid.vector_field(field, "drift")
        return np.ascontiguousarray(np.moveaxis(field.reshape(*grid.shape, grid.dimension), -1, 0))


@equation
@dataclass(frozen=True, init=False, eq=False)
class Heat(Viscous):
    """v_t = ν Δv: smoothing by a Gaussian of variance 2νt = t/beta (Chaudhari, thesis (4.28)).

    Parameters
    ----------
    beta : float > 0 or math.inf
        The viscosity is ν = 1/(2 beta). Exactly one of beta and viscosity is given.
    viscosity : float >= 0
        ν itself.

    Raises
    ------
    ValueError
        beta <= 0, ν < 0, not exactly one of the two.

    Examples
    --------
    >>> import numpy as np, pdelab as pl
    >>> grid = pl.Grid(0.0, 2 * np.pi, 128, boundary="periodic")
    >>> v = pl.solve(pl.Heat(viscosity=0.5), np.sin(grid.x), grid, 1.0).final
    >>> bool(abs(v.max() - np.exp(-0.5)) < 1e-3)
    True
    """

    beta: float
    viscosity: float
    steady = True
    equation = "v_t = ν Δv"

    @property
    def default_scheme(self) -> Scheme:
        """`monotone`."""
        return schemes_of(type(self))["monotone"]

    def initial(self, values: Field, grid: Grid) -> Array:
        """The initial data as a checked float64 array of shape grid.shape."""
        boundaries.only(grid, boundaries.FREE, "the heat equation")
        return grid.field(values, "initial")

    def coefficients(self, grid: Grid, time: float = 0.0) -> Coefficients:
        """Of the generator of sqrt(2ν) dW: Q = νΔ."""
        return Coefficients(diffusivity=self.viscosity)
