"""Diffusion: a stochastic equation with any drift and any noise, from formulas, numbers or Python functions.

dX = b(X, t) dt + sigma(X, t) dW,    (sigma dW)_i = sigma_i dW_i   "diagonal"
                                                    sigma_i dW     "scalar"
                                                    sum_k sigma_ik dW_k   "general"
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.losses import Loss, formulas
from pdelab.paths.systems import System
from pdelab.paths.terms import as_points, gradient
from pdelab.paths.tracing import NotTraceable, as_vector

__all__ = ["Diffusion", "as_array"]

KINDS = ("additive", "diagonal", "scalar", "general")
ALPHA = {"ito": 0.0, "stratonovich": 0.5, "klimontovich": 1.0}
STEP = 6e-6  # relative step of central differences: the cube root of the rounding unit


@dataclass(frozen=True, init=False)
class Diffusion(System):
    """A stochastic equation dX = b(X, t) dt + σ(X, t) dW.

    Parameters
    ----------
    drift : formula, number, function, Loss, or a sequence of formulas and numbers
        b. Text is a formula in the coordinates and t; a sequence has one entry a coordinate; a Loss means -∇f. A
        function is called as drift(x) or drift(x, t) with points (n, d), in one dimension (n,), and returns the same.
    noise : number, matrix of numbers, formula(s) or function
        σ. Numbers and formulas of t are additive noise: one for all coordinates, one each, or a matrix (d, m). One
        formula a coordinate is diagonal noise, rows of formulas are general noise (d, m). A function needs `kind`.
    kind : "diagonal", "scalar" or "general", optional
        What the values of `noise` multiply: dW_i for each coordinate, the same dW for all, or (d, m) m processes.
        A function returns (n, d), in one dimension (n,), for general noise (n, d, m).
    interpretation : "ito", "stratonovich" or "klimontovich"
        α = 0, 1/2, 1 in σ(X_{t+α dt}) dW. Every scheme solves the equation that is meant: the drift is corrected by
        multiples of Σ_jk σ_kj ∂_k σ_ij, exact for formulas, by central differences for functions.
    variables : sequence of str, optional
        Names of the coordinates in formulas; by default those found, in natural order.
    dimension : int, optional
        d, needed when only functions are given and d > 1.
    wieners : int, optional
        m, needed for general noise given by a function.
    linear : float or (d,), optional
        λ >= 0: the drift is b(x, t) - λx, and the scheme `exponential` solves that part exactly.

    Raises
    ------
    ValueError
        Shapes that do not fit, unknown kinds, formulas that do not parse.

    Examples
    --------
    >>> import pdelab as pl
    >>> gbm = pl.Diffusion("1.5*x", "x")
    >>> pl.simulate(gbm, 1.0, t=1.0, dt=0.01, scheme=pl.paths.milstein, paths=4, seed=0).final.shape
    (4,)
    """

    b: Any
    s: Any
    kind: str
    interpretation: str
    linear: Any
    size: int
    processes: int

    def __init__(
        self,
        drift: Any,
        noise: Any,
        *,
        kind: str | None = None,
        interpretation: str = "ito",
        variables: Sequence[str] | None = None,
        dimension: int | None = None,
        wieners: int | None = None,
        linear: ArrayLike | None = None,
    ):
        checks.choice("interpretation", interpretation, ALPHA)
        names, size = _coordinates(drift, noise, variables, dimension)
        given, kind = kind, _kind(noise, kind)
        b = _field(drift, names, (size,), "drift")
        s, processes = _noise_field(noise, kind, given, names, size, wieners)
        values = {"b": b, "s": s, "kind": kind, "interpretation": interpretation, "size": size, "processes": processes}
        values["linear"] = None if linear is None else _rates(linear, size)
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def dimension(self) -> int:
        """d."""
        return self.size

    def drift(self, x: np.ndarray, t: float) -> np.ndarray:
        """b(x, t) - linear x, as given (not yet Ito)."""
        rest = self.rest(x, t)
        return rest if self.linear is None else rest - _column(self.linear, x) * x

    @property
    def wieners(self) -> int:
        """m."""
        return self.processes

    def linear_rates(self, t: float) -> list[float]:
        """The rates of the linear part, a float each coordinate."""
        return [float(rate) for rate in self.linear]

    def rest(self, x: np.ndarray, t: float) -> np.ndarray:
        """b(x, t), the drift without its linear part."""
        return self.b(x, t)

    def sigma(self, x: np.ndarray, t: float) -> np.ndarray:
        """sigma: (d, ...) for diagonal and scalar noise, (d, m, ...) for general noise."""
        return self.s(x, t)

    def noise_term(self, x: np.ndarray, t: float, dw: np.ndarray) -> np.ndarray:
        """sigma dw."""
        sigma = self.sigma(x, t)
        return (sigma * dw).sum(axis=1) if self._is_matrix else sigma * dw

    @property
    def _is_matrix(self):
        return self.kind == "general" or (self.kind == "additive" and len(self.s.shape) == 2)

    @property
    def alpha(self) -> float:  # type: ignore[override]
        """0 (Ito), 1/2 (Stratonovich), 1 (Klimontovich)."""
        return ALPHA[self.interpretation]

    def bend(self, x: np.ndarray, t: float) -> Any:
        """sum_jk sigma_kj d_k sigma_ij, the vector whose alpha-fold turns the given drift into that of Ito."""
        if self.kind == "additive":
            return 0.0
        if self.kind == "diagonal":
            return self.slope(x, t)
        return sum(self.along(x, t, j, j) for j in range(self.wieners))

    def slope(self, x: np.ndarray, t: float) -> np.ndarray:
        """sigma_i d_i sigma_i of diagonal noise."""
        sigma = self.sigma(x, t)
        if self.s.is_formula:
            return as_array([s * self.s.slopes(x, t, i)[i] for i, s in enumerate(sigma)])
        moved = [_unit(len(x), i) * sigma[i] for i in range(len(x))]
        return np.array([self._difference(x, t, step)[i] for i, step in enumerate(moved)])

    def along(self, x: np.ndarray, t: float, j: int, k: int) -> np.ndarray:
        """sum_i sigma_ij d_i sigma_k: the change of the k-th noise vector along the j-th.

        Parameters
        ----------
        x : array (d, paths)
        t : float
        j, k : int
            Numbers of Wiener processes.

        Returns
        -------
        array (d, paths)
        """
        vectors = self.sigma(x, t)
        direction = vectors[:, j] if self._is_matrix else vectors
        if self.s.is_formula:
            entries = range(self.size)
            index = (lambda i: (i, k)) if self._is_matrix else (lambda i: i)
            return as_array([(self.s.slopes(x, t, index(i)) * direction).sum(axis=0) for i in entries])
        change = self._difference(x, t, direction)
        return change[:, k] if self._is_matrix else change

    def _difference(self, x, t, step):
        """Derivative of sigma along `step` by central differences."""
        if x.dtype == object:
            raise NotTraceable
        length = np.sqrt((step**2).sum(axis=0))
        h = STEP * (1.0 + np.abs(x).max(axis=0)) / np.where(length > 0, length, 1.0)
        return (self.sigma(x + h * step, t) - self.sigma(x - h * step, t)) / (2 * h)

    def commutes(self, x: np.ndarray, t: float = 0.0) -> bool:
        """Whether along(j, k) = along(k, j) at the points x (d, n), up to rounding: then Milstein needs no areas."""
        if self.kind in ("additive", "scalar") or self.size == 1:
            return True
        if self.kind == "diagonal":
            sigma = self.sigma(x, t)
            pairs = [(i, j) for i in range(self.size) for j in range(self.size) if i != j]
            changes = [(self._difference(x, t, _unit(self.size, j) * sigma[j])[i], 0.0) for i, j in pairs]
        else:
            pairs = [(j, k) for j in range(self.wieners) for k in range(j)]
            changes = [(self.along(x, t, j, k), self.along(x, t, k, j)) for j, k in pairs]
        scale = np.abs(self.sigma(x, t)).max() ** 2 + 1e-300
        return all(np.abs(a - b).max() <= 1e-6 * scale for a, b in changes)


# ------------------------------------------------------------------------------------------------------ fields


class _Numbers:
    """Constants: (d,) or (d, m)."""

    is_formula = True

    def __init__(self, values):
        self.values, self.shape = values, values.shape

    def __call__(self, x, t):
        return self.values if x.dtype == object else self.values.reshape(self.shape + (1,) * (x.ndim - 1))


class _Formulas:
    """Formulas of the coordinates and t, and numbers among them: (d,) or (d, m)."""

    is_formula = True

    def __init__(self, entries, shape):
        self.entries, self.shape = entries, shape

    def __call__(self, x, t):
        values = [self._value(entry, x, t) for entry in self.entries.ravel()]
        if x.dtype == object:
            return as_array(values).reshape(self.shape)
        return np.array([np.broadcast_to(v, x.shape[1:]) for v in values]).reshape(*self.shape, *x.shape[1:])

    @staticmethod
    def _value(entry, x, t):
        if not isinstance(entry, Loss):
            return entry
        if x.dtype == object:
            return x[0].trace.call(entry, "value", [*x, t])[0]
        return entry(_with_time(x, t))

    def slopes(self, x, t, index):
        """Derivatives of one entry by the coordinates, (d, ...)."""
        entry = self.entries[index]
        if not isinstance(entry, Loss):
            return as_array([0.0] * len(x)) if x.dtype == object else np.zeros_like(x)
        if x.dtype == object:
            return as_vector(x[0].trace.call(entry, "gradient", [*x, t])[:-1])
        return entry.gradient(_with_time(x, t)).T[:-1]


class _Descent:
    """-grad f of a Loss."""

    is_formula = True

    def __init__(self, loss):
        self.loss, self.shape = loss, (loss.dimension,)

    def __call__(self, x, t):
        return -gradient(self.loss, x)


class _Function:
    """A Python function of points, or of points and time."""

    is_formula = False

    def __init__(self, function, shape, name):
        self.function, self.shape, self.name = function, shape, name
        self.timed = _takes_time(function, name)

    def __call__(self, x, t):
        if x.dtype == object:
            raise NotTraceable
        points = as_points(x)
        found = self.function(points, t) if self.timed else self.function(points)
        values = checks.reals(self.name, found)
        wanted = (x.shape[1], *(self.shape if self.shape != (1,) else ()))
        if values.shape != wanted:
            raise ValueError(
                f"{self.name}: expected real numbers of shape {wanted} for points of shape {points.shape}, "
                f"got shape {values.shape}"
            )
        return np.moveaxis(values, 0, -1).reshape(*self.shape, -1)


def _takes_time(function, name):
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a NumPy ufunc, say
        return False
    needed = [p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(needed) not in (1, 2):
        raise ValueError(f"{name}: expected a function of (x) or (x, t), got one of {len(needed)} arguments")
    return len(needed) == 2


def _with_time(x, t):
    return np.column_stack([x.T, np.full(x.shape[1], float(t))])


def as_array(values):
    """Components as an array: of numbers, or of symbols if there is one among them."""
    if all(isinstance(v, (float, int, np.number, np.ndarray)) for v in values):
        return np.array(values)
    return as_vector(values)


def _column(values, x):
    return values.reshape(values.shape + (1,) * (x.ndim - 1))


def _unit(d, i):
    return np.eye(d)[:, i : i + 1]


# ------------------------------------------------------------------------------------------------ at the door


def _coordinates(drift, noise, variables, dimension):
    """Names of the coordinates (for formulas) and their number."""
    names = {name for text in _texts(drift) | _texts(noise) for name in formulas.parse(text)[1]} - {"t"}
    sizes = {len(part) for part in (drift, noise) if _is_sequence(part)} - {0}
    if isinstance(drift, Loss):
        sizes.add(drift.dimension)
        variables = drift.variables if variables is None else variables
    if dimension is not None:
        sizes.add(checks.whole("dimension", dimension))
    if variables is not None:
        variables = (variables,) if isinstance(variables, str) else tuple(variables)
        if "t" in variables:
            raise ValueError("variables: expected names of coordinates, got t, which is the time")
        sizes.add(len(variables))
    size = max(sizes, default=1)
    if len(sizes) > 1:
        raise ValueError(f"drift, noise, variables, dimension disagree on the number of coordinates: {sorted(sizes)}")
    if variables is None:
        variables = tuple(sorted(names, key=_natural)) if names else tuple(f"x{i + 1}" for i in range(size))
    if len(variables) != size:
        raise ValueError(
            f"{size} coordinates, but the formulas use {', '.join(variables)}: "
            f"name the coordinates in their order with variables=(...)"
        )
    return variables, size


def _is_sequence(part):
    return not isinstance(part, (str, Loss)) and not callable(part) and np.ndim(np.asarray(part, object)) > 0


def _texts(part):
    if isinstance(part, str):
        return {part}
    if not _is_sequence(part):
        return set()
    return {entry for entry in np.asarray(part, object).ravel() if isinstance(entry, str)}


def _natural(name):
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", name)]


def _kind(noise, kind):
    if kind is not None:
        checks.choice("kind", kind, KINDS[1:])
    if isinstance(noise, Loss):
        raise ValueError("noise: expected numbers, formulas or a function, got a Loss")
    if callable(noise):
        if kind is None:
            raise ValueError(f"noise: a function needs kind=, one of {', '.join(KINDS[1:])}")
        return kind
    entries = np.asarray(noise, object)
    if entries.ndim > 2:
        raise ValueError(f"noise: expected a number, one entry a coordinate, or rows (d, m), got {entries.ndim} axes")
    if not {name for text in _texts(noise) for name in formulas.parse(text)[1]} - {"t"}:
        return "additive"
    shape = "general" if entries.ndim == 2 else "diagonal"
    if kind is not None and (kind == "general") != (shape == "general"):
        raise ValueError(f"noise: kind={kind!r} does not fit {entries.ndim} axes of entries")
    return kind or shape


def _noise_field(noise, kind, given, names, size, wieners):
    if callable(noise):
        if kind == "general":
            if wieners is None:
                raise ValueError("wieners: general noise by a function needs the number of Wiener processes")
            wieners = checks.whole("wieners", wieners)
            return _Function(noise, (size, wieners), "noise"), wieners
        return _Function(noise, (size,), "noise"), 1 if kind == "scalar" else size
    entries = np.asarray(checks.unmasked("noise", noise), object)
    if kind == "additive" and given == "scalar":
        entries = np.broadcast_to(entries, (size,))[:, None]
    shape = entries.shape if entries.ndim == 2 else (size,)
    if shape[0] != size:
        raise ValueError(f"noise: expected {size} rows, one a coordinate, got {shape[0]}")
    processes = shape[1] if len(shape) == 2 else 1 if kind == "scalar" else size
    return _field(entries, names, shape, "noise"), processes


def _field(part, names, shape, name):
    """A number, formulas, a function or a Loss as a function (x, t) -> components."""
    if isinstance(part, Loss):
        return _Descent(part)
    if callable(part):
        return _Function(part, shape, name)
    entries = np.asarray(checks.unmasked(name, part), object)
    if entries.ndim and entries.shape != shape:
        raise ValueError(f"{name}: expected one entry, or entries of shape {shape}, got shape {entries.shape}")
    entries = np.broadcast_to(entries, shape)
    numbers = [_number_or_none(entry) for entry in entries.ravel()]
    if None not in numbers:
        return _Numbers(np.array(numbers).reshape(shape))
    built = np.empty(shape, object)
    for index, entry in np.ndenumerate(entries):
        value = _number_or_none(entry)
        if value is None and not isinstance(entry, str):
            raise ValueError(f"{name}: expected formulas and finite numbers, got {entry!r}")
        built[index] = Loss(entry, (*names, "t")) if value is None else value
    return _Formulas(built, shape)


def _number_or_none(value):
    """A finite real number as float, None for anything else."""
    try:
        return checks.finite("entry", value)
    except ValueError:
        return None


def _rates(linear, size):
    linear = checks.unmasked("linear", linear)
    try:
        rates = np.broadcast_to(np.asarray(linear, float), (size,))
    except (TypeError, ValueError):
        rates = np.array([math.nan])
    if not (np.isfinite(rates).all() and (rates >= 0).all()):
        raise ValueError(f"linear: expected finite rates >= 0, one or {size}, got {linear!r}")
    return rates
