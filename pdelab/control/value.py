"""The problem of control and its value function, by two routes."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdelab import boundaries
from pdelab.fokker_planck import BackwardKolmogorov, Slices
from pdelab.generator import generator, semigroup
from pdelab.generator.coarser import every_second, half_as_many, on_other_nodes
from pdelab.grid import Grid
from pdelab.hamilton_jacobi import HamiltonJacobi, fitted, terminal
from pdelab.hints import Array, Times
from pdelab.stepping import AccuracyWarning, Scheme

__all__ = ["Control", "Value", "checked_times", "hamilton_jacobi_bellman", "logarithmic_transform", "weights_of_paths"]

COARSE = 0.01  # largest error of the spacing, relative, of which nothing is said
ORDERS = 2.0  # the difference to every second node over the error, 3 where all is smooth
SLIGHT = 1e-6  # of D, a range of u that may be rounding
FEW, SHORT = 5, 8  # nodes of an axis, half of which are none, and up to which twice as many are asked
LARGEST_EXPONENT = 700.0  # exp(-x) keeps all its digits up to here


@dataclass(frozen=True, eq=False)
class Control:
    """Minimise E[V(X_T) + ½∫₀ᵀ|α|² dt] over dX = (-grad f - α) dt + sqrt(2 D) dB.

    Parameters
    ----------
    loss : Loss, array grid.shape, or None
        f, the potential of the uncontrolled motion; None for no drift.
    terminal : Loss or array grid.shape
        V, the cost at the end.
    horizon : float > 0
        T.
    diffusivity : float >= 0
        D. The thesis writes beta^(-1/2) dB, which is D = 1/(2 beta).

    Raises
    ------
    ValueError
        A horizon that is not positive, a negative diffusivity.

    Examples
    --------
    >>> import pdelab as pl
    >>> problem = Control(None, pl.Loss("x**2/2"), horizon=1.0, diffusivity=0.5)
    >>> grid = pl.Grid(-8.0, 8.0, 801)
    >>> u = logarithmic_transform(problem, grid, [0.0]).values[0]
    >>> round(float(grid.interpolate(u, 0.0)), 4)                 # D log(1 + T) at the bottom
    0.3466
    """

    loss: object
    terminal: object
    horizon: float
    diffusivity: float

    def __post_init__(self):
        for name, least in (("horizon", "> 0"), ("diffusivity", ">= 0")):
            value = getattr(self, name)
            good = np.isscalar(value) and not isinstance(value, (str, bool)) and 0 <= value < math.inf
            if not good or (least == "> 0" and value == 0):
                raise ValueError(f"{name}: expected a finite number {least}, got {value!r}")
            object.__setattr__(self, name, float(value))
        if self.terminal is None:
            raise ValueError("terminal: expected a Loss or an array, got None")

    def potential_on(self, grid: Grid) -> Array:
        """f on the nodes; zeros without a loss.

        Parameters
        ----------
        grid : Grid

        Returns
        -------
        array, grid.shape
        """
        return np.zeros(grid.shape) if self.loss is None else grid.field(self.loss, "loss")

    def terminal_on(self, grid: Grid) -> Array:
        """V on the nodes.

        Parameters
        ----------
        grid : Grid

        Returns
        -------
        array, grid.shape
        """
        return grid.field(self.terminal, "terminal")

    def generator(self, grid: Grid) -> Any:
        """Q of the uncontrolled motion dX = -grad f dt + sqrt(2 D) dB, a Markov generator on the nodes.

        Parameters
        ----------
        grid : Grid

        Returns
        -------
        sparse array (n, n), n the number of nodes
        """
        return generator(BackwardKolmogorov(self.potential_on(grid), diffusivity=self.diffusivity), grid).tocsr()


@dataclass(frozen=True, eq=False)
class Value:
    """The value function at saved times: values[k] = u(·, times[k]), so that u at the horizon is the terminal cost.

    Attributes
    ----------
    control : Control
    grid : Grid
    times : array (k,)
        Increasing in [0, T].
    values : array (k, *grid.shape)
        u(·, times[k]).
    info : dict
        Of the scheme that made them.
    """

    control: Control
    grid: Grid
    times: np.ndarray
    values: np.ndarray
    info: dict

    def __call__(self, time):
        """u(·, time) on the nodes, linear between saved times."""
        return Slices(self.times, self.values)(time)

    def optimal(self, time: float) -> Array:
        """α* = grad u(·, time) on the nodes.

        Parameters
        ----------
        time : float
            0 to the horizon.

        Returns
        -------
        array (*grid.shape, d), in one dimension (n,)
        """
        return self.grid.gradient(self(time))


def hamilton_jacobi_bellman(
    control: Control, grid: Grid, times: Times, *, scheme: Scheme | str | None = fitted, dt: float | None = None
) -> Value:
    """The value function by a monotone scheme for the Hamilton-Jacobi-Bellman equation, any D >= 0.

    Parameters
    ----------
    control : Control
    grid : Grid
    times : float or increasing sequence in [0, T]
        Times t (not times to go) at which u(·, t) is kept.
    scheme, dt
        As in `pdelab.solve`: a scheme of `pdelab.hamilton_jacobi`, `fitted` by default.

    Returns
    -------
    Value

    Raises
    ------
    ValueError
        Times outside [0, T] or not increasing; what `pdelab.solve` refuses.

    Notes
    -----
    Monotone; of second order in the spacing where the grid resolves D, of first order elsewhere. Chaudhari, thesis
    (4.31), where the text before it prints u_t = H for -u_t = H.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-3.0, 3.0, 121)
    >>> problem = Control(pl.Loss("0*x"), pl.Loss("x**2/2"), horizon=1.0, diffusivity=0.0)
    >>> u = hamilton_jacobi_bellman(problem, grid, 0.0).values[0]
    >>> bool(abs(u - grid.x**2 / 4)[30:91].max() < 0.02)                 # x²/(2(1 + T)), Hopf-Lax
    True
    """
    times = checked_times(times, control.horizon)
    boundaries.only(grid, boundaries.FREE, "a control without exit costs")
    loss = control.loss
    if loss is not None and not hasattr(loss, "gradient"):
        loss = -grid.gradient(grid.field(loss, "loss"))
    problem = HamiltonJacobi(viscosity=control.diffusivity, drift=loss)
    values = control.terminal_on(grid)
    solution = terminal(problem, values, grid, control.horizon, times, scheme=scheme, dt=dt)
    return Value(control, grid, times, solution.values, solution.info)


def logarithmic_transform(control: Control, grid: Grid, times: Times) -> Value:
    """The value function u = -2D log E[exp(-V(X_T)/(2D))], exact in time on the generator Q of the uncontrolled motion.

    Parameters
    ----------
    control : Control, diffusivity > 0
    grid : Grid, reflecting or periodic
    times : float or increasing sequence in [0, T]

    Returns
    -------
    Value

    Raises
    ------
    ValueError
        D = 0, or V so large against D that exp(-V/(2D)) underflows: take `hamilton_jacobi_bellman` there.

    Warns
    -----
    AccuracyWarning
        A grid so coarse that exp(-u/(2D)) between nodes makes u wrong by more than 1 % of its range.

    Notes
    -----
    Second order in the spacing. The exponential of Q is summed from non-negative terms only, so that u is accurate
    where exp(-u/(2D)) is tiny, too. Cost: about 2 D d T/h² products with Q. Chaudhari, thesis (4.31)-(4.32); Fleming.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-6.0, 6.0, 241)
    >>> problem = Control(pl.Loss("0*x"), pl.Loss("x**2/2"), horizon=1.0, diffusivity=0.5)
    >>> u = logarithmic_transform(problem, grid, 0.0).values[0]
    >>> round(float(u[120]), 3), round(0.5 * math.log(2.0), 3)           # D log(1 + T) at the minimum
    (0.346, 0.347)
    """
    times = checked_times(times, control.horizon)
    h, shift = weights_of_paths(control, grid, times)
    return Value(control, grid, times, shift - 2 * control.diffusivity * np.log(h), {"route": "logarithmic_transform"})


def weights_of_paths(control, grid, times, density=None):
    """(h, shift): h = exp(-(u - shift)/(2D)) at the times, shift = min V; `density`: of the start, where it matters."""
    D = control.diffusivity
    boundaries.only(grid, boundaries.CLOSED, "the logarithmic transform, which has no exit costs")
    V = control.terminal_on(grid)
    shift = float(V.min())
    if not D > 0:
        raise ValueError("the logarithmic transform needs diffusivity > 0: take hamilton_jacobi_bellman without noise")
    if np.ptp(V) > 2 * D * LARGEST_EXPONENT:
        raise ValueError(
            f"exp(-V/(2D)) underflows: V spans {np.ptp(V):.4g}, at most {2 * D * LARGEST_EXPONENT:.4g} fits "
            f"D = {D:.4g}; take hamilton_jacobi_bellman or a smaller box"
        )
    start = np.exp((shift - V) / (2 * D)).ravel()
    h = semigroup(control.generator(grid), start, control.horizon - times[::-1])
    h = h[::-1].reshape(-1, *grid.shape)
    _tell_of_coarse(control, grid, -2 * D * np.log(h[0]), control.horizon - times[0], density)
    return h, shift


def _tell_of_coarse(control, grid, u, left, density):
    """Warn where exp(-u/(2D)) changes so much between nodes that u is wrong by more than 1 %.

    Of its range, by what half as many nodes make of u, and twice as many where they are less than nine along an axis.
    Under a density of the effort |Du|²/2: on exp(κ x), κ = -u'/(2D), the generator gives R in place of
    E = D κ² - f' κ: so u falls by 2 D (R - E) too much in unit time.
    """
    if density is None:
        missing = _by_half_the_nodes(control, grid, u, left) if min(grid.shape) > FEW else 0.0
        missing += _by_twice_the_nodes(control, grid, u, left) if min(grid.shape) <= SHORT else 0.0
        _warn_of_coarse(missing / max(float(np.ptp(u)), SLIGHT * control.diffusivity), "the range of u")
        return
    D, f, missing, effort = control.diffusivity, control.potential_on(grid), 0.0, 0.0
    for axis, h in enumerate(grid.spacing):
        step = np.clip(-np.diff(u, axis=axis) / (2 * D), -600.0, 600.0)  # κ h
        drop = np.clip(-np.diff(f, axis=axis) / D, -600.0, 600.0)  # -f' h/D
        jumps = _bernoulli(-drop) * np.expm1(step) + _bernoulli(drop) * np.expm1(-step)  # R h²/D
        wrong, cost = left * 2 * D**2 / h**2 * np.abs(jumps - step**2 - drop * step), left * 2 * D**2 / h**2 * step**2
        low, high = ((slice(None),) * axis + (part,) for part in (slice(-1), slice(1, None)))
        weights = np.minimum((grid.weights * density)[low], (grid.weights * density)[high])
        missing, effort = missing + float((weights * wrong).sum()), effort + float((weights * cost).sum())
    if missing > 0:
        _warn_of_coarse(missing / max(effort, 1e-300), "the effort")


def _by_half_the_nodes(control, grid, u, left):
    """The largest error of u by the difference to half as many nodes.

    Of arrays to every second node where these reach the ends; elsewhere to others, where formulas hide no waves.
    """
    known = [field is None or hasattr(field, "on") for field in (control.loss, control.terminal)]
    coarse = (None if all(known) else every_second(grid)) or half_as_many(grid)
    wider = min((more / less) ** 2 for more, less in zip(coarse.spacing, grid.spacing))
    there = _on_others(control, grid, coarse, left)
    return float(np.abs(there - on_other_nodes(u, grid, coarse)).max()) / (ORDERS * (wider - 1) / 3)


def _by_twice_the_nodes(control, grid, u, left):
    """The largest error of u by the difference to twice as many nodes along the axes that have few."""
    few = [n <= SHORT for n in grid.shape]
    shape = [(2 * n - (not wraps)) if short else n for n, wraps, short in zip(grid.shape, grid.periodic, few)]
    finer = Grid(grid.lower, grid.upper, shape, boundary=grid.boundary)
    there = _on_others(control, grid, finer, left)[tuple(slice(None, None, 1 + short) for short in few)]
    return 4 / 3 * float(np.abs(there - u).max())


def _on_others(control, grid, other, left):
    """u on other nodes."""
    loss, terminal = (
        field if field is None or hasattr(field, "on") else on_other_nodes(grid.field(field, "values"), grid, other)
        for field in (control.loss, control.terminal)
    )
    D, moved = control.diffusivity, Control(loss, terminal, control.horizon, control.diffusivity)
    V = moved.terminal_on(other)
    h = semigroup(moved.generator(other), np.exp((V.min() - V) / (2 * D)).ravel(), np.array([left]))[-1]
    return V.min() - float(control.terminal_on(grid).min()) - 2 * D * np.log(h.reshape(other.shape))


def _warn_of_coarse(missing, of):
    if missing > COARSE:
        warnings.warn(
            f"grid: exp(-u/(2D)) changes so much between nodes that u is wrong by up to {100 * missing:.2g} % of {of}: "
            "take a finer or smaller grid, more diffusivity, or hamilton_jacobi_bellman",
            AccuracyWarning,
            stacklevel=5,
        )


def _bernoulli(z):
    """z/(e^z - 1)."""
    return np.where(np.abs(z) < 1e-9, 1.0, z / np.where(z == 0, 1.0, np.expm1(z)))


def checked_times(times, horizon):
    """The times as an increasing array in [0, T]."""
    try:
        checked = np.array(np.atleast_1d(times), dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"times: expected a number or an increasing sequence of numbers, got {times!r}") from error
    good = checked.ndim == 1 and checked.size > 0 and np.isfinite(checked).all() and (np.diff(checked) > 0).all()
    if not good or checked[0] < 0 or checked[-1] > horizon:
        raise ValueError(f"times: expected increasing times in [0, T = {horizon:.6g}], got {times!r}")
    return checked
