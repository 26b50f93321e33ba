"""Grid: a box in one, two or three dimensions, its nodes, its quadrature and its boundary conditions.

Nodes include both ends of an axis; a periodic axis leaves out the upper one, which is the lower one again.
`weights` are those of the trapezoid rule (half cells at the ends): every conservation law of the package keeps its
mass in exactly these weights.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

BOUNDARIES = ("reflecting", "outflow", "periodic")


@dataclass(frozen=True, init=False)
class Grid:
    """A uniform grid on the box [lower_1, upper_1] x ... x [lower_d, upper_d], d = 1, 2 or 3.

    Parameters
    ----------
    lower, upper : float or sequence of d floats
        The corners of the box, lower < upper in each axis.
    shape : int or sequence of d ints
        Nodes along each axis, at least two. A single number serves every axis.
    boundary : str or sequence of d str
        "reflecting" (mirror images, no flux: the Neumann problem), "outflow" (free ends) or "periodic".

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
    """

    lower: tuple
    upper: tuple
    shape: tuple
    boundary: tuple

    def __init__(self, lower, upper, shape, boundary="reflecting"):
        lower, upper = _corner(lower, "lower"), _corner(upper, "upper")
        dimension = max(len(lower), len(upper), np.size(shape), 1 if isinstance(boundary, str) else len(boundary))
        if dimension > 3:
            raise ValueError(f"a Grid has 1, 2 or 3 dimensions, got {dimension}")
        lower, upper = _per_axis(lower, dimension, "lower"), _per_axis(upper, dimension, "upper")
        shape = _per_axis(_counts(shape), dimension, "shape")
        names = (boundary,) if isinstance(boundary, str) else tuple(boundary)
        names = _per_axis(names, dimension, "boundary")
        for low, high in zip(lower, upper):
            if not low < high:
                raise ValueError(f"expected lower < upper in each axis, got lower={lower} and upper={upper}")
        for name in names:
            if name not in BOUNDARIES:
                raise ValueError(f"unknown boundary {name!r}: choose from {', '.join(BOUNDARIES)}")
        for key, value in zip(("lower", "upper", "shape", "boundary"), (lower, upper, shape, names)):
            object.__setattr__(self, key, value)

    @property
    def dimension(self):
        """Number of axes, 1 to 3."""
        return len(self.shape)

    @cached_property
    def spacing(self):
        """Distance of neighbouring nodes, a tuple with one number an axis."""
        cells = (n if name == "periodic" else n - 1 for n, name in zip(self.shape, self.boundary))
        return tuple((high - low) / k for low, high, k in zip(self.lower, self.upper, cells))

    @cached_property
    def axes(self):
        """Coordinates of the nodes along each axis, a tuple of read-only arrays."""
        return tuple(
            _frozen(np.linspace(low, high, n, endpoint=name != "periodic"))
            for low, high, n, name in zip(self.lower, self.upper, self.shape, self.boundary)
        )

    @property
    def x(self):
        """Coordinates of the nodes of a one-dimensional grid, shape (n,)."""
        if self.dimension != 1:
            raise AttributeError(f"grid.x needs a one-dimensional grid, this one has {self.dimension}: use grid.axes")
        return self.axes[0]

    @cached_property
    def points(self):
        """Coordinates of the nodes: shape (n,) in one dimension, (*shape, d) otherwise."""
        if self.dimension == 1:
            return self.x
        return _frozen(np.stack(np.meshgrid(*self.axes, indexing="ij"), axis=-1))

    @cached_property
    def axis_weights(self):
        """Trapezoid weights along each axis, a tuple of read-only arrays."""
        return tuple(_frozen(_trapezoid(n, h, name)) for n, h, name in zip(self.shape, self.spacing, self.boundary))

    @cached_property
    def weights(self):
        """Trapezoid weights of the nodes, shape `shape`; they sum to the volume of the box."""
        product = self.axis_weights[0]
        for axis in self.axis_weights[1:]:
            product = product[..., None] * axis
        return _frozen(product)

    def integrate(self, values):
        """∫ values dx over the box by the trapezoid rule: sum(weights * values).

        Leading axes (times, batches) are kept: an array (..., *shape) gives (...). Spectrally accurate for smooth
        periodic data, second order in the spacing otherwise.
        """
        values = np.asarray(values)
        if values.shape[values.ndim - self.dimension :] != self.shape:
            raise ValueError(f"expected values whose last axes are {self.shape}, got shape {values.shape}")
        total = np.tensordot(values, self.weights, axes=self.dimension)
        return float(total) if total.ndim == 0 else total

    def interpolate(self, values, points):
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
        """
        values = np.asarray(values, dtype=float)
        if values.shape[: self.dimension] != self.shape:
            raise ValueError(f"expected values on the nodes, first axes {self.shape}, got shape {values.shape}")
        points = self._inside(points)
        axes, values = list(self.axes), values
        for axis, name in enumerate(self.boundary):
            if name == "periodic":
                axes[axis] = np.append(axes[axis], self.upper[axis])
                values = np.concatenate([values, values.take([0], axis=axis)], axis=axis)
        if self.dimension == 1 and values.ndim == 1:
            return np.interp(points[..., 0], axes[0], values)
        from scipy.interpolate import RegularGridInterpolator

        found = RegularGridInterpolator(axes, values)(points)  # which gives one point an axis of its own
        return found.reshape(points.shape[:-1] + values.shape[self.dimension :])

    def gradient(self, values):
        """Second-order differences of node values: central, one-sided at the ends of an axis that is not periodic.

        Returns shape (*shape,) in one dimension, (*shape, d) otherwise. This is the derivative of the data, whatever
        the boundary condition; the solvers' ghosts are in their stencils.
        """
        values = self.field(values)
        parts = []
        for axis, (n, h, name) in enumerate(zip(self.shape, self.spacing, self.boundary)):
            if name == "periodic":
                parts.append((np.roll(values, -1, axis) - np.roll(values, 1, axis)) / (2 * h))
            else:
                parts.append(np.gradient(values, h, axis=axis, edge_order=2 if n > 2 else 1))
        return parts[0] if self.dimension == 1 else np.stack(parts, axis=-1)

    def field(self, values, name="values"):
        """Node values as a float64 array of shape `shape`: a Loss is sampled, an array is checked.

        Raises ValueError that names what is wrong: the shape, or where a NaN or an infinity stands.
        """
        return self._checked(values, self.shape, name)

    def vector_field(self, values, name="drift"):
        """Node vectors as a float64 array: shape (*shape, d), in one dimension (n,). Checked as in `field`."""
        return self._checked(values, self.shape if self.dimension == 1 else (*self.shape, self.dimension), name)

    def _checked(self, values, shape, name):
        sample = getattr(values, "on", None)
        try:
            values = np.ascontiguousarray(values if sample is None else sample(self), dtype=float)
        except (TypeError, ValueError) as error:
            if sample is not None:
                raise
            raise ValueError(
                f"{name}: expected an array of numbers of shape {shape} or a Loss, got {values!r}"
            ) from error
        if values.shape != shape:
            raise ValueError(f"{name}: expected shape {shape} as the grid has, got {values.shape}")
        if not np.isfinite(values).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise ValueError(f"{name}: expected finite numbers, got {values[where]} at index {where}")
        return values

    def _inside(self, points):
        """Points as an array (..., d) inside the box; periodic axes wrapped."""
        points = np.asarray(points, dtype=float)
        points = points[..., None] if self.dimension == 1 else points
        if points.shape[-1:] != (self.dimension,):
            raise ValueError(f"expected points of shape (..., {self.dimension}), got {points.shape}")
        points = points.copy()
        for axis, (low, high, name) in enumerate(zip(self.lower, self.upper, self.boundary)):
            x = points[..., axis]
            if name == "periodic":
                points[..., axis] = low + np.mod(x - low, high - low)
                continue
            slack = 1e-12 * (high - low)
            if not ((x >= low - slack) & (x <= high + slack)).all():
                raise ValueError(
                    f"points leave the box: axis {axis} covers [{low}, {high}], got {_worst(x, low, high)}"
                )
            points[..., axis] = np.clip(x, low, high)
        return points


def _corner(value, name):
    try:
        corner = tuple(float(v) for v in np.atleast_1d(value))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected a number or one number an axis, got {value!r}") from error
    if not all(math.isfinite(v) for v in corner):
        raise ValueError(f"{name}: expected finite numbers, got {value!r}")
    return corner


def _counts(shape):
    try:
        counts = tuple(int(n) for n in np.atleast_1d(shape))
        whole = all(n == m for n, m in zip(counts, np.atleast_1d(shape)))
    except (TypeError, ValueError) as error:
        raise ValueError(f"shape: expected whole numbers of nodes, got {shape!r}") from error
    if not whole or min(counts) < 2:
        raise ValueError(f"shape: expected at least 2 nodes along each axis, as whole numbers, got {shape!r}")
    return counts


def _per_axis(values, dimension, name):
    if len(values) == 1:
        return values * dimension
    if len(values) != dimension:
        raise ValueError(f"{name}: expected {dimension} entries, one an axis, got {len(values)}")
    return values


def _trapezoid(n, h, name):
    weights = np.full(n, h)
    if name != "periodic":
        weights[[0, -1]] = h / 2
    return weights


def _frozen(array):
    array.flags.writeable = False
    return array


def _worst(x, low, high):
    far = np.maximum(low - x, x - high)
    return float(np.ravel(x)[np.argmax(np.where(np.isnan(far), np.inf, far))])
