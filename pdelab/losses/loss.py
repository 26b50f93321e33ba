"""Loss: a function on R^d with its gradient and Hessian, from a formula (compiled) or from vectorised functions."""

from __future__ import annotations

import ast
import inspect
import math
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from importlib import metadata
from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pdelab import checks
from pdelab.checks import AccuracyWarning
from pdelab.grid import Grid
from pdelab.losses import enclosures, formulas, search, tapes
from pdelab.losses.modules import compiled_module

__all__ = ["Loss"]

NEAR, GAPS, SAME = 4.0, 1e6, 1e-6  # of differenced Hessians: sizes of points, gaps between floats in a step, agreement


class Loss:
    """A loss f: R^d -> R with its gradient and its Hessian.

    Parameters
    ----------
    formula : str
        Numbers, names, pi, + - * / **, signs and functions: sqrt exp log sin cos tan asin acos atan atan2 sinh cosh
        tanh asinh acosh atanh erf erfc abs sign min max norm(x, y, ...) logsumexp(a, b, ...). Any other name is a
        variable, also beta, gamma, S, N, E and I.
    variables : sequence of str, optional
        Names and order of the coordinates; by default those found, in natural order (x2 before x10).

    Raises
    ------
    ValueError
        The text does not parse, contains anything else, is not real, or uses a name that is not in `variables`.

    Notes
    -----
    Points are arrays (..., d), in one dimension (...,) without a coordinate axis; f(points) has shape (...,), the
    gradient (..., d), the Hessian (..., d, d), in one dimension both (...,). One point gives plain numbers.

    Derivatives are those of the formula, not differences, and hold almost everywhere for functions with kinks: at a
    kink the gradient is the mean of the one-sided slopes along each axis, and the Hessian leaves the kink's own
    curvature out (write norm(x, y), not sqrt(x**2 + y**2), whose gradient at 0 is 0/0). Of kinks of kinks at one point
    that holds down to six of them within one another, of their Hessian down to three; deeper it is some mean. Where
    pieces meet with equal slopes, as in abs(x**2 - x**3) at 0, the Hessian there is some mean of the bends of all of
    them, also of those that are not taken on either side. Outside the domain the result is NaN, but what
    SymPy cancels counts as cancelled: exp(log(x)) is x everywhere. All is evaluated in floating point: where large
    terms cancel, as in (1 - cos(x))/x**2 or the Hessian of sin(x)/x at 1e-8, digits are lost without a warning; the
    widths of `enclose(x, x)` bound how many.

    The generated code is kept in the user's cache directory (environment variable PDELAB_CACHE overrides), keyed by
    formula, variables and versions: a second process needs neither SymPy nor a compiler. The first one takes about a
    second in few dimensions; dense Hessians cost more (10 s at d = 30), so that beyond d = 50 `from_functions` is the
    better door.

    A Loss never changes; two are equal when formula and variables are.

    Examples
    --------
    >>> f = Loss("x**2/2 + 0.3*cos(6*pi*x)")
    >>> f(0.5), f.gradient([0.0, 1.0]), f.dimension
    (-0.175, array([0., 1.]), 1)
    >>> g = Loss("x*y**2", variables=("x", "y"))
    >>> g.hessian([[1.0, 2.0]])
    array([[[0., 4.],
            [4., 2.]]])
    """

    __slots__ = ("_dimension", "_first", "_formula", "_functions", "_hessians", "_key", "_variables", "__weakref__")
    _dimension: int
    _first: Any
    _formula: str | None
    _functions: tuple | None
    _hessians: Any
    _key: tuple
    _variables: tuple[str, ...]

    def __init__(self, formula: str, variables: Sequence[str] | None = None):
        tree, names = formulas.parse(formula)
        if variables is None and not names:
            raise ValueError(f"formula: expected variables, got {formula!r}: name them with variables=('x',)")
        variables = names if variables is None else formulas.check_variables(variables, names, formula)
        self._set(formula=" ".join(formula.split()), variables=variables, dimension=len(variables), functions=None)
        self._set(key=(_normal(tree, formula), variables))
        self._set(first=self._module("first order", formulas.first_order_source), hessians=None)

    @classmethod
    def from_functions(
        cls,
        value: Callable[[np.ndarray], ArrayLike],
        gradient: Callable[[np.ndarray], ArrayLike],
        hessian: Callable[[np.ndarray], ArrayLike] | None = None,
        dimension: int = 2,
    ) -> Loss:
        """A Loss of vectorised callables.

        Parameters
        ----------
        value, gradient, hessian : callable
            Called with float64 points of shape (n, d), in one dimension (n,); they return arrays of shape (n,),
            (n, d) and (n, d, d), in one dimension (n,) each. Without `hessian` the gradient is differenced, to about
            ten digits where it is smooth: four gradients a coordinate, O(h^4) with h near 1e-3, far from the origin
            eight. What f does within less than that is not seen: give the Hessian of such an f.
        dimension : int
            d >= 1.

        Raises
        ------
        ValueError
            Here for what is not callable; at the call for a result of the wrong shape or kind.

        Examples
        --------
        >>> f = Loss.from_functions(lambda p: (p**2).sum(-1), lambda p: 2 * p, dimension=3)
        >>> f([1.0, 2.0, 2.0])
        9.0

        Returns
        -------
        Loss
        """
        for name, function in (("value", value), ("gradient", gradient), ("hessian", hessian)):
            if not callable(function) and not (name == "hessian" and function is None):
                raise ValueError(f"{name}: expected a function of points, got {function!r}")
            if function is not None:
                checks.takes(name, function, "(points)")
        if isinstance(dimension, bool) or not isinstance(dimension, (int, np.integer)) or dimension < 1:
            raise ValueError(f"dimension: expected a whole number, at least 1, got {dimension!r}")
        self = object.__new__(cls)
        functions = (value, gradient, hessian)
        self._set(formula=None, variables=None, dimension=int(dimension), functions=functions, first=None)
        self._set(key=(functions, int(dimension)))
        return self

    # ------------------------------------------------------------------------------------------ evaluation

    def __call__(self, points):
        """f(points): points (..., d) -> (...,); in one dimension (...,) -> (...,)."""
        return self._evaluate(0, points)

    def gradient(self, points: ArrayLike) -> NDArray[np.float64]:
        """grad f.

        Parameters
        ----------
        points : array (..., d), in one dimension (...,)

        Returns
        -------
        array, shape of points

        Raises
        ------
        ValueError
            Another last axis, or numbers that are not real.

        Examples
        --------
        >>> Loss("x**2/2 + x*y").gradient([1.0, 2.0])
        array([3., 1.])
        """
        return self._evaluate(1, points)

    def hessian(self, points: ArrayLike) -> NDArray[np.float64]:
        """Hess f.

        Parameters
        ----------
        points : array (..., d), in one dimension (...,)

        Returns
        -------
        array (..., d, d), in one dimension (...,)

        Raises
        ------
        ValueError
            Another last axis, or numbers that are not real.

        Examples
        --------
        >>> Loss("x**2/2 + x*y").hessian([1.0, 2.0])
        array([[1., 1.],
               [1., 0.]])
        """
        return self._evaluate(2, points)

    def on(self, grid: Grid) -> NDArray[np.float64]:
        """f at the nodes of a grid; a warning where f differs between the ends of a periodic axis.

        Parameters
        ----------
        grid : Grid
            Of the loss's dimension.

        Returns
        -------
        array, grid.shape

        Raises
        ------
        ValueError
            A grid of another dimension.
        """
        if grid.dimension != self._dimension:
            raise ValueError(f"grid: expected {self._dimension} axes, one a variable of the loss, got {grid.dimension}")
        values = self(grid.points)
        for axis, name in enumerate(grid.boundary):
            if name == "periodic":
                self._check_period(grid, axis, values)
        return values

    def _check_period(self, grid, axis, values):
        """Warn where a periodic axis does not fit: f at its two ends differs."""
        points = np.array(grid.points).reshape(*grid.shape, self._dimension)
        ends = np.moveaxis(points, axis, 0)[:1].copy()
        first = np.moveaxis(values, axis, 0)[:1]
        ends[..., axis] = grid.upper[axis]
        last = self(ends[..., 0] if self._dimension == 1 else ends)
        jump, size = np.abs(last - first).max(), values.max() - values.min()
        if jump > 1e-6 * (size + 1e-9 * np.abs(values).max()):
            warnings.warn(
                f"f is not periodic along axis {axis}: its two ends differ by {jump:.3g}, a jump for the solver; tilt "
                "the drift instead, or take a box of a whole number of periods or another boundary",
                AccuracyWarning,
                stacklevel=4,
            )

    def _evaluate(self, order, points):
        points, d = self._points(points), self._dimension
        shape = points.shape if d == 1 else points.shape[:-1]
        count = math.prod(shape)
        flat = np.ascontiguousarray(points.reshape(count) if d == 1 else points.reshape(count, d))
        flat = flat.view()
        flat.flags.writeable = False  # one compiled signature, and callables cannot change the caller's points
        each = () if d == 1 else (d,) * order
        if self._functions is None:
            result = np.empty((count, *each))
            self._loop(order)(flat, result)
        else:
            result = self._call(order, flat, (count, *each))
        result = result.reshape((*shape, *each))
        return float(result) if result.ndim == 0 else result

    def _points(self, points):
        points = checks.unmasked("points", points)
        try:
            array = np.asarray(points)
            if array.dtype.kind not in "fiub":
                raise TypeError(array.dtype)
            array = array.astype(float, copy=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"points: expected an array of real numbers, got {type(points).__name__}") from error
        if self._dimension > 1 and array.shape[-1:] != (self._dimension,):
            raise ValueError(
                f"points: expected shape (..., {self._dimension}), the last axis the coordinates, got {array.shape}"
            )
        return array

    def _loop(self, order):
        if order == 2:
            return self._second().hessians
        return self._first.gradients if order else self._first.values

    def _call(self, order, points, shape):
        name, function = ("value", "gradient", "hessian")[order], self._functions[order]
        if function is None:
            return self._differenced(points)
        result = np.asarray(checks.unmasked(name, function(points)))
        if result.shape != shape:
            raise ValueError(
                f"{name}: expected an array of shape {shape} for points of shape {points.shape}, got {result.shape}"
            )
        if result.dtype.kind not in "fiub":
            raise ValueError(f"{name}: expected real numbers, got an array of {result.dtype}")
        return result.astype(float)

    def _differenced(self, points):
        """The Hessian by central differences of the gradient, of fourth order, made symmetric.

        Far from the origin f may vary by its place, or within a unit: the steps of both are taken, and the longer ones,
        which leave more digits, where they say what the others do.
        """
        coordinates = points.reshape(len(points), self._dimension)
        size, unit = np.abs(coordinates), np.finfo(float).eps ** 0.2
        bend, _ = self._differences(points, unit * np.maximum(1.0, size))
        if size.max(initial=0.0) > NEAR:
            steps = np.minimum(np.maximum(unit, GAPS * np.spacing(size)), unit * np.maximum(1.0, size))
            closer, rounding = self._differences(points, steps)
            bend = np.where(np.abs(bend - closer) <= rounding + SAME * np.abs(bend), bend, closer)
        bend = 0.5 * (bend + bend.swapaxes(-1, -2))
        return bend[:, 0, 0] if points.ndim == 1 else bend

    def _differences(self, points, steps):
        """(differences of the gradient with steps (n, d), by how much rounding moves them)."""
        coordinates, columns, rounding = points.reshape(steps.shape), [], []
        for axis in range(self._dimension):
            total, largest = 0.0, 0.0
            for shift, weight in ((1, 2 / 3), (-1, -2 / 3), (2, -1 / 12), (-2, 1 / 12)):
                moved = coordinates.copy()
                moved[:, axis] += shift * steps[:, axis]
                slope = self._call(1, moved.reshape(points.shape), points.shape).reshape(coordinates.shape)
                total, largest = total + weight * slope, np.maximum(largest, np.abs(slope))
            columns.append(total / steps[:, axis : axis + 1])
            blur = 4.0 * np.finfo(float).eps * largest + 4.0 * np.spacing(np.abs(coordinates)) * np.abs(columns[-1])
            rounding.append(blur / steps[:, axis : axis + 1])
        return np.stack(columns, axis=-1), np.stack(rounding, axis=-1)

    # --------------------------------------------------------------------------------------- bounds on boxes

    def enclose(self, lower: ArrayLike, upper: ArrayLike) -> enclosures.Enclosure:
        """Bounds of value, gradient and Hessian over boxes, by interval arithmetic on the formula.

        Parameters
        ----------
        lower, upper : array (..., d), in one dimension (...,)
            The corners of the boxes; they may be infinite.

        Returns
        -------
        Enclosure
            .value (..., 2), .gradient (..., d, 2) and .hessian (..., d, d, 2), the last axis [lower, upper]; in one
            dimension (..., 2) each. They hold with rounding at all points of the box where f is defined (NaN where it
            is nowhere), at kinks for every slope between the one-sided ones; [0, inf] is the bend of a convex kink.

        Raises
        ------
        ValueError
            For a loss of functions, which knows nothing between its points, and for lower > upper.

        Notes
        -----
        Moore, Kearfott, Cloud, Introduction to Interval Analysis (2009), chapters 5 and 6: natural, mean-value and
        Taylor forms. The excess over the range shrinks with the square of the box.

        Examples
        --------
        >>> low, high = Loss("x**2 - exp(-abs(x))").enclose(-1.0, 2.0).value
        >>> bool(low <= -1.0 and high >= 4.0 - math.exp(-2.0))
        True
        """
        d = self._dimension
        lower, upper = self._corners(lower), self._corners(upper)
        if lower.shape != upper.shape or not (lower <= upper).all():
            raise ValueError(f"lower, upper: expected corners of the same shape in order, got {lower!r} and {upper!r}")
        shape = lower.shape if d == 1 else lower.shape[:-1]
        flat = lower.reshape(-1, d), upper.reshape(-1, d)
        value, slope, bend = enclosures.enclose(self, *flat)
        each = () if d == 1 else (d,)
        return enclosures.Enclosure(
            value.reshape(*shape, 2),
            slope.reshape(*shape, *each, 2),
            enclosures.symmetric(bend, d).reshape(*shape, *each, *each, 2),
        )

    def minimum(self, lower: ArrayLike, upper: ArrayLike) -> search.Minimum:
        """The global minimum over a box, by branch and bound: with a bound that proves it.

        Parameters
        ----------
        lower, upper : array (d,), in one dimension float
            Finite corners.

        Returns
        -------
        Minimum
            .value, .point (d,) (in one dimension a float) and .bound <= min f <= .value. The gap is at round-off; in
            two and three dimensions it may be 1e-6 (1 + |f|) where the minimum lies on a kink.

        Raises
        ------
        ValueError
            For a loss of functions.

        Examples
        --------
        >>> minimum = Loss("x**2/4 - 3*exp(-(x - 0.7)**2/(2*0.02**2))").minimum(-10.0, 10.0)
        >>> round(minimum.point, 4), minimum.value - minimum.bound < 1e-12
        (0.7, True)
        """
        lower, upper = self._corners(lower), self._corners(upper)
        ordered = lower.shape == upper.shape and (lower < upper).all()
        if lower.size != self._dimension or not ordered or not (np.isfinite(lower) & np.isfinite(upper)).all():
            raise ValueError(f"lower, upper: expected the finite corners of one box, got {lower!r} and {upper!r}")
        corners = lower.reshape(-1), upper.reshape(-1)
        middle = (0.5 * corners[0] + 0.5 * corners[1])[None]
        _, place, bound = search.minimise(self, middle, math.inf, *corners, closed=True)
        point = float(place[0, 0]) if self._dimension == 1 else place[0]
        value = float(self(point))
        return search.Minimum(value, point, min(value, float(bound[0])))

    def _corners(self, corner):
        if self._functions is not None:
            raise ValueError("enclosures need a formula: a loss of functions is known at points only")
        return self._points(corner)

    # ------------------------------------------------------------------------------------ the compiled code

    @property
    def value_kernel(self) -> Any:
        """Compiled f(x0, x1, ...) -> float for use inside other Numba kernels; None for a loss of functions."""
        return self._first and self._first.value

    @property
    def gradient_kernel(self) -> Any:
        """Compiled grad f(x0, x1, ...) -> tuple of d floats, in one dimension a float; None for a loss of functions."""
        return self._first and self._first.gradient

    @property
    def hessian_kernel(self) -> Any:
        """Compiled Hess f(x0, x1, ...) -> its upper triangle as a tuple, row by row, in one dimension a float."""
        return self._second().hessian if self._first else None

    @property
    def source(self) -> str:
        """Python source of a module with `value` and `gradient` as first-order compiled functions of floats.

        Text to build on: append a kernel that calls gradient(x0, x1, ...) and hand the whole to `compiled_module`;
        the kernel is then specialised to this loss and kept on disk. The elementary functions are imported from math
        in its first line. None for a loss of functions.
        """
        return self._first and self._first.__source__

    def _second(self):
        """The module of second order, made when it is first asked for."""
        if self._hessians is None:
            self._set(hessians=self._module("second order", formulas.second_order_source))
        return self._hessians

    def _module(self, order, make):
        """The kept module of this formula; SymPy is imported only when it has to be made."""

        def source():
            return make(formulas.parse(self._formula)[0], self._variables, self._formula)

        return compiled_module(source, "\n".join([order, *self._key[0:1], *self._variables, *_versions()]))

    # --------------------------------------------------------------------------------------------- identity

    @property
    def dimension(self) -> int:
        """d, the number of coordinates."""
        return self._dimension

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the coordinates in order; None for a loss of functions."""
        return self._variables

    @property
    def formula(self) -> str | None:
        """The formula as text; None for a loss of functions."""
        return self._formula

    def _set(self, **values):
        for name, value in values.items():
            object.__setattr__(self, "_" + name, value)

    def __setattr__(self, name, value):
        raise AttributeError(f"a Loss never changes: cannot set {name}")

    def __delattr__(self, name):
        raise AttributeError(f"a Loss never changes: cannot delete {name}")

    def __eq__(self, other):
        return self._key == other._key if isinstance(other, Loss) else NotImplemented

    def __hash__(self):
        return hash(self._key)

    def __reduce__(self):
        if self._functions is None:
            return Loss, (self._formula, self._variables)
        return Loss.from_functions, (*self._functions, self._dimension)

    def __repr__(self):
        if self._functions is None:
            return f"Loss({self._formula!r}, variables={self._variables!r})"
        return f"Loss.from_functions({', '.join(map(repr, self._functions))}, dimension={self._dimension})"


def _normal(tree, formula):
    """The formula without its spaces and needless parentheses: what equality and the kept code go by."""
    try:
        return ast.unparse(tree)
    except RecursionError:
        return " ".join(formula.split())


@cache
def _versions():
    """What the generated source depends on besides the formula."""
    return metadata.version("sympy"), numba.__version__, inspect.getsource(formulas), inspect.getsource(tapes)
