"""Grid: a box in one, two or three dimensions, its nodes, its quadrature and its boundary conditions.

Nodes include both ends of an axis; a periodic axis leaves out the upper one, which is the lower one again.
`weights` are those of the trapezoid rule (half cells at the ends): every conservation law of the package keeps its
mass in exactly these weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pdelab import boundaries, checks

__all__ = ["Grid", "reals"]


@dataclass(frozen=True, init=False)
class Grid:
    """A uniform grid on the box [lower_1, upper_1] x ... x [lower_d, upper_d], d = 1, 2 or 3.

    Parameters
    ----------
    lower, upper : float or sequence of d floats
        The corners of the box, lower < upper in each axis.
    shape : int or sequence of d ints
        Nodes along each axis, at least two. A single number serves every axis.
    boundary : str, or a sequence with one entry an axis
        "reflecting" (mirror images, no flux: the Neumann problem), "outflow" (free ends), "periodic", or "absorbing"
        (what arrives has left: the Dirichlet problem of densities and chains). An entry may be a pair of names, lower
        and upper end: ("absorbing", "reflecting"), on an interval also as the whole argument.

    Raises
    ------
    ValueError
        Corners that are not finite or not ordered, fewer than two nodes, an unknown boundary, d > 3.

    Examples
    --------
    >>> grid = Grid(-1.0, 1.0, 5)
    >>> grid.x
    array([-1. , -0.5,  0. ,  0.5,  1. ])
    >>> grid.integrate(grid.x**2)
    0.75
    >>> Grid((-2, -2), (2, 2), (256, 256), boundary="periodic").spacing
    (0.015625, 0.015625)
    >>> Grid(0.0, 1.0, 11, boundary=("absorbing", "reflecting")).ends
    (('absorbing', 'reflecting'),)
    """

    lower: tuple
    upper: tuple
    shape: tuple
    boundary: tuple

    def __init__(
        self, lower: ArrayLike, upper: ArrayLike, shape: int | Sequence[int], boundary: str | Sequence = "reflecting"
    ) -> None:
        lower, upper = _corner(lower, "lower"), _corner(upper, "upper")
        names = boundaries.per_axis(boundary, (len(lower), len(upper), np.size(shape)))
        dimension = max(len(lower), len(upper), np.size(shape), len(names))
        if dimension > 3:
            raise ValueError(f"lower, upper, shape: expected 1, 2 or 3 numbers, one an axis, got {dimension}")
        lower, upper = _per_axis(lower, dimension, "lower"), _per_axis(upper, dimension, "upper")
        shape = _per_axis(_counts(shape), dimension, "shape")
        names = _per_axis(names, dimension, "boundary")
        for low, high in zip(lower, upper):
            if not low < high:
                raise ValueError(f"lower, upper: expected lower < upper in each axis, got {lower} and {upper}")
        for key, value in zip(("lower", "upper", "shape", "boundary"), (lower, upper, shape, names)):
            object.__setattr__(self, key, value)
        for low, high, h in zip(lower, upper, self.spacing):
            if not (math.isfinite(h) and low < low + h and high - h < high):
                raise ValueError(f"shape: float64 cannot tell nodes {h} apart on [{low}, {high}]: take fewer nodes")

    @property
    def dimension(self) -> int:
        """Number of axes, 1 to 3."""
        return len(self.shape)

    @cached_property
    def ends(self) -> tuple[tuple[str, str], ...]:
        """(lower, upper) boundary names of each axis."""
        return tuple(boundaries.pair(entry) for entry in self.boundary)

    @cached_property
    def periodic(self) -> tuple[bool, ...]:
        """True for each axis that wraps around."""
        return tuple(entry == "periodic" for entry in self.boundary)

    def on_end(self, name: str) -> NDArray[np.bool_]:
        """Which nodes lie on an end with this boundary; on none of a periodic axis.

        Parameters
        ----------
        name : str
            "reflecting", "outflow" or "absorbing".

        Returns
        -------
        array of bool, shape of the grid

        Examples
        --------
        >>> Grid(0.0, 1.0, 4, boundary=(("absorbing", "reflecting"),)).on_end("absorbing")
        array([ True, False, False, False])
        """
        inside = np.zeros(self.shape, dtype=bool)
        for axis, ends in enumerate(self.ends):
            for index, end in zip((0, -1), ends):
                if end == name and not self.periodic[axis]:
                    inside[(slice(None),) * axis + (index,)] = True
        return inside

    def absorbing_ends(self) -> dict[tuple[int, int], NDArray[np.bool_]]:
        """{(axis, side): boolean field} of the nodes on each absorbing end; side 0 is the lower end, 1 the upper one.

        A node on two absorbing ends stands in the first of them only.
        """
        ends, taken = {}, np.zeros(self.shape, dtype=bool)
        for axis, names in enumerate(self.ends):
            for side, name in enumerate(names):
                if name == "absorbing":
                    nodes = np.zeros(self.shape, dtype=bool)
                    nodes[(slice(None),) * axis + (-side,)] = True
                    ends[axis, side] = nodes & ~taken
                    taken |= nodes
        return ends

    @cached_property
    def absorbing(self) -> NDArray[np.bool_]:
        """The nodes on absorbing ends, a read-only boolean field."""
        return _frozen(self.on_end("absorbing"))

    @cached_property
    def spacing(self) -> tuple[float, ...]:
        """Distance of neighbouring nodes, a tuple with one number an axis."""
        cells = (n if wraps else n - 1 for n, wraps in zip(self.shape, self.periodic))
        return tuple((high - low) / k for low, high, k in zip(self.lower, self.upper, cells))

    @cached_property
    def axes(self) -> tuple[NDArray[np.float64], ...]:
        """Coordinates of the nodes along each axis, a tuple of read-only arrays."""
        return tuple(
            _frozen(np.linspace(low, high, n, endpoint=not wraps))
            for low, high, n, wraps in zip(self.lower, self.upper, self.shape, self.periodic)
        )

    @property
    def x(self) -> NDArray[np.float64]:
        """Coordinates of the nodes of a one-dimensional grid, shape (n,).

        Raises
        ------
        AttributeError
            More than one dimension: use `axes`.
        """
        if self.dimension != 1:
            raise AttributeError(f"grid.x needs a one-dimensional grid, this one has {self.dimension}: use grid.axes")
        return self.axes[0]

    @cached_property
    def points(self) -> NDArray[np.float64]:
        """Coordinates of the nodes: shape (n,) in one dimension, (*shape, d) otherwise."""
        if self.dimension == 1:
            return self.x
        return _frozen(np.stack(np.meshgrid(*self.axes, indexing="ij"), axis=-1))

    @cached_property
    def axis_weights(self) -> tuple[NDArray[np.float64], ...]:
        """Trapezoid weights along each axis, a tuple of read-only arrays."""
        return tuple(_frozen(_trapezoid(n, h, wraps)) for n, h, wraps in zip(self.shape, self.spacing, self.periodic))

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """Trapezoid weights of the nodes, shape `shape`; they sum to the volume of the box."""
        product = self.axis_weights[0]
        for axis in self.axis_weights[1:]:
            product = product[..., None] * axis
        return _frozen(product)

    def integrate(self, values: ArrayLike) -> Any:
        """∫ values dx over the box by the trapezoid rule: sum(weights * values).

        Spectrally accurate for smooth periodic data, second order in the spacing otherwise.

        Parameters
        ----------
        values : array (..., *shape)
            Leading axes (times, batches) are kept.

        Returns
        -------
        float, or array (...,)

        Raises
        ------
        ValueError
            The last axes are not the grid's.

        Examples
        --------
        >>> Grid(0.0, 1.0, 3).integrate([1.0, 2.0, 3.0])
        2.0
        """
        values = np.asarray(checks.unmasked("values", values))
        if values.shape[values.ndim - self.dimension :] != self.shape:
            raise ValueError(f"values: expected the last axes {self.shape}, got shape {values.shape}")
        total = np.tensordot(values, self.weights, axes=self.dimension)
        return float(total) if total.ndim == 0 else total

    def interpolate(self, values: ArrayLike, points: ArrayLike) -> NDArray[np.float64]:
        """Multilinear interpolation of node values at any points of the box; second order in the spacing.

        Parameters
        ----------
        values : array (*shape) or (*shape, k)
            A field or a vector field on the nodes.
        points : array (...,) in one dimension, (..., d) otherwise
            Where to evaluate. A periodic axis wraps around; a point outside another axis raises ValueError.

        Returns
        -------
        array (...,) or (..., k)

        Raises
        ------
        ValueError
            First axes that are not the grid's, or a point outside the box.

        Examples
        --------
        >>> float(Grid(0.0, 1.0, 3).interpolate([0.0, 1.0, 4.0], 0.75))
        2.5
        """
        values = reals(values, f"values: expected numbers on the nodes, first axes {self.shape}")
        if values.shape[: self.dimension] != self.shape:
            raise ValueError(f"values: expected the first axes {self.shape}, got shape {values.shape}")
        points = self._inside(points)
        axes = list(self.axes)
        for axis, wraps in enumerate(self.periodic):
            if wraps:
                axes[axis] = np.append(axes[axis], self.upper[axis])
                values = np.concatenate([values, values.take([0], axis=axis)], axis=axis)
        if self.dimension == 1 and values.ndim == 1:
            return np.interp(points[..., 0], axes[0], values)
        from scipy.interpolate import RegularGridInterpolator

        interpolated = RegularGridInterpolator(axes, values)(points)  # which gives one point an axis of its own
        return interpolated.reshape(points.shape[:-1] + values.shape[self.dimension :])

    def gradient(self, values: Any) -> NDArray[np.float64]:
        """Second-order differences of node values: central, one-sided at the ends of an axis that is not periodic.

        This is the derivative of the data, whatever the boundary condition; the solvers' ghosts are in their kernels.

        Parameters
        ----------
        values : Loss or array, shape of the grid

        Returns
        -------
        array (*shape, d), in one dimension (n,)

        Raises
        ------
        ValueError
            As `field` raises.

        Examples
        --------
        >>> Grid(0.0, 2.0, 3).gradient([0.0, 1.0, 4.0])
        array([0., 2., 4.])
        """
        values = self.field(values)
        parts = []
        for axis, (n, h, wraps) in enumerate(zip(self.shape, self.spacing, self.periodic)):
            if wraps:
                parts.append((np.roll(values, -1, axis) - np.roll(values, 1, axis)) / (2 * h))
            else:
                parts.append(np.gradient(values, h, axis=axis, edge_order=2 if n > 2 else 1))
        return parts[0] if self.dimension == 1 else np.stack(parts, axis=-1)

    def field(self, values: Any, name: str = "values") -> NDArray[np.float64]:
        """Node values as a float64 array: a Loss is sampled, an array is checked.

        Parameters
        ----------
        values : Loss or array, shape of the grid
        name : str
            What the message calls them.

        Returns
        -------
        array, shape of the grid

        Raises
        ------
        ValueError
            Another shape, or a NaN or an infinity: the message says at which node.
        """
        return self._checked(values, self.shape, name)

    def vector_field(self, values: Any, name: str = "drift") -> NDArray[np.float64]:
        """Node vectors as a float64 array.

        Parameters
        ----------
        values : array (*shape, d), in one dimension (n,)
        name : str
            What the message calls them.

        Returns
        -------
        array, the same shape

        Raises
        ------
        ValueError
            As `field` raises.
        """
        return self._checked(values, self.shape if self.dimension == 1 else (*self.shape, self.dimension), name)

    def _checked(self, values, shape, name):
        sample = getattr(values, "on", None)
        expected = f"{name}: expected an array of numbers of shape {shape} or a Loss"
        values = np.ascontiguousarray(reals(values, expected) if sample is None else sample(self))
        if values.shape != shape:
            raise ValueError(f"{name}: expected shape {shape} as the grid has, got {values.shape}")
        if not np.isfinite(values).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise ValueError(f"{name}: expected finite numbers, got {values[where]} at index {where}")
        return values

    def _inside(self, points):
        """Points as an array (..., d) inside the box; periodic axes wrapped."""
        points = reals(points, f"points: expected coordinates of shape (..., {self.dimension})")
        points = points[..., None] if self.dimension == 1 else points
        if points.shape[-1:] != (self.dimension,):
            raise ValueError(f"points: expected shape (..., {self.dimension}), got {points.shape}")
        if not np.isfinite(points).all():
            raise ValueError("points: expected finite coordinates, got NaN or infinity")
        points = points.copy()
        for axis, (low, high, wraps) in enumerate(zip(self.lower, self.upper, self.periodic)):
            x = points[..., axis]
            if wraps:
                points[..., axis] = low + np.mod(x - low, high - low)
                continue
            slack = 1e-12 * (high - low)
            if not ((x >= low - slack) & (x <= high + slack)).all():
                raise ValueError(
                    f"points: expected numbers in [{low}, {high}] along axis {axis}, got {_worst(x, low, high)}"
                )
            points[..., axis] = np.clip(x, low, high)
        return points


def reals(values: Any, expected: str) -> NDArray[np.float64]:
    """A float64 array of real numbers; ValueError that begins with what was expected. Text and complex are refused.

    Parameters
    ----------
    values : array-like
    expected : str
        What the message begins with.

    Returns
    -------
    array

    Raises
    ------
    ValueError
        Text, complex numbers, ragged sequences.

    Examples
    --------
    >>> reals([1, 2.5], "x: expected numbers")
    array([1. , 2.5])
    """
    name, _, words = expected.partition(": expected ")
    return checks.reals(name, values, words)


def _corner(value, name):
    corner = np.atleast_1d(reals(value, f"{name}: expected a number or one number an axis"))
    if corner.ndim > 1 or not np.isfinite(corner).all():
        raise ValueError(f"{name}: expected a finite number or one an axis, got {value!r}")
    return tuple(corner.tolist())


def _counts(shape):
    wanted = "shape: expected at least 2 nodes along each axis, as whole numbers"
    counts = np.atleast_1d(reals(shape, wanted))
    whole = np.isfinite(counts) & (counts == np.floor(counts)) & (counts >= 2)
    if counts.ndim > 1 or not counts.size or not whole.all():
        raise ValueError(f"{wanted}, got {shape!r}")
    return tuple(int(n) for n in counts)


def _per_axis(values, dimension, name):
    if len(values) == 1:
        return values * dimension
    if len(values) != dimension:
        raise ValueError(f"{name}: expected {dimension} entries, one an axis, got {len(values)}")
    return values


def _trapezoid(n, h, wraps):
    weights = np.full(n, h)
    if not wraps:
        weights[[0, -1]] = h / 2
    return weights


def _frozen(array):
    array.flags.writeable = False
    return array


def _worst(x, low, high):
    return float(np.ravel(x)[np.argmax(np.maximum(low - x, x - high))])
