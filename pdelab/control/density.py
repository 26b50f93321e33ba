"""The density of the controlled process, forward, on the generator that moves the value function backward."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pdelab.control.value import Control, Value, checked_times, weights_of_paths
from pdelab.fokker_planck import FokkerPlanck, Slices
from pdelab.generator import semigroup
from pdelab.grid import Grid
from pdelab.hints import Array, Field, Times
from pdelab.stepping import AccuracyWarning, Scheme, Solution, solve

__all__ = ["ForwardBackward", "checked_density", "controlled_density", "forward", "forward_backward", "point_mass"]

FEW_TIMES = 0.03  # change of a density without every second time of u, in L1: three times what is left with all


@dataclass(frozen=True, eq=False)
class ForwardBackward:
    """The value function backward and the density of the optimally controlled process forward, on one generator.

    Attributes
    ----------
    control : Control
    grid : Grid
    times : array (k,)
    values : array (k, *grid.shape)
        u.
    densities : array (k, *grid.shape)
        ρ.
    """

    control: Control
    grid: Grid
    times: np.ndarray
    values: np.ndarray
    densities: np.ndarray

    @property
    def duality(self) -> Array:
        """<h, φ> at each time: the mass of ρ, one to round-off because h and φ move by Q and its transpose."""
        return self.grid.integrate(self.densities)


def forward_backward(control: Control, grid: Grid, initial: Field, times: Times) -> ForwardBackward:
    """The pair of thesis (4.31) and (4.33), corrected: u backward from V, ρ forward from ρ₀, as adjoints on the grid.

        -u_t = -grad f·grad u - ½|grad u|² + D Δu,      ρ_t = div((grad f + grad u) ρ) + D Δρ

    Parameters
    ----------
    control : Control, diffusivity > 0
    grid : Grid, reflecting or periodic
    initial : array grid.shape or Loss
        ρ₀ >= 0 of mass one in the weights of `grid.integrate`.
    times : float or increasing sequence in [0, T]

    Returns
    -------
    ForwardBackward

    Warns
    -----
    AccuracyWarning
        A grid so coarse that the effort is wrong by more than 1 %.

    Notes
    -----
    (4.33) is printed with the sign of gradient ascent, without grad f, and with Δρ in place of D Δρ. Second order in
    the spacing, exact in time.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-6.0, 6.0, 241)
    >>> start = np.exp(-grid.x**2)
    >>> problem = Control(None, pl.Loss("(x - 1)**2/2"), horizon=1.0, diffusivity=0.5)
    >>> pair = forward_backward(problem, grid, start / grid.integrate(start), [0.0, 0.5, 1.0])
    >>> bool(abs(pair.duality - 1).max() < 1e-12)
    True
    """
    times = checked_times(times, control.horizon)
    start = checked_density(grid, initial)
    h, shift = weights_of_paths(control, grid, np.union1d(0.0, times), start)
    phi = forward(control, grid, start / h[0], times)
    h = h[-len(times) :]
    return ForwardBackward(control, grid, times, shift - 2 * control.diffusivity * np.log(h), h * phi)


def controlled_density(
    value: Value, initial: Field, times: Times, *, scheme: Scheme | str | None = None, dt: float | None = None
) -> Solution:
    """ρ_t = div((grad f + grad u) ρ) + D Δρ for any value function u, by a Fokker-Planck scheme.

    Parameters
    ----------
    value : Value
        From either route; its saved times are interpolated linearly and must start at 0.
    initial, times, scheme, dt
        As in `pdelab.solve` for `FokkerPlanck`.

    Returns
    -------
    Solution

    Raises
    ------
    ValueError
        A value function whose times do not start at 0 or do not reach the last of `times`.

    Warns
    -----
    AccuracyWarning
        So few saved times that every second of them changes the density by more than 3 %.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-3.0, 3.0, 61)
    >>> problem = Control(pl.Loss("x**2/2"), pl.Loss("(x - 1)**2"), 1.0, 0.5)
    >>> value = pl.control.logarithmic_transform(problem, grid, np.linspace(0.0, 1.0, 21))
    >>> rho = controlled_density(value, point_mass(grid, 0.0), 1.0).final
    >>> bool(grid.integrate(grid.x * rho) > 0.2)                         # pulled towards 1
    True
    """
    if value.times[0] > 0:
        raise ValueError(f"value: expected its times to start at 0, got {value.times[0]:.6g}")
    checked_times(times, value.times[-1])
    own = np.arange(len(value.times))
    solution = _density_between(value, own, initial, times, scheme=scheme, dt=dt)
    if len(own) > 1:
        every_second = own[::2] if len(own) % 2 else own[1::2]
        rarer = _density_between(value, every_second, initial, times, scheme=scheme, dt=dt, rtol=math.inf)
        change = float(value.grid.integrate(np.abs(rarer.values - solution.values)).max())
        if change > FEW_TIMES:
            warnings.warn(
                f"value: without every second of its {len(own)} saved times, between which u is linear, the density "
                f"changes by {100 * change:.2g} %: keep u at more times",
                AccuracyWarning,
                stacklevel=2,
            )
    return solution


def _density_between(value, kept, initial, times, **options):
    """The density along u of the kept saved times, linear in between."""
    fields = value.values[kept] + value.control.potential_on(value.grid)
    problem = FokkerPlanck(Slices(value.times[kept], fields), diffusivity=value.control.diffusivity)
    return solve(problem, initial, value.grid, times, **options)


def point_mass(grid: Grid, point: ArrayLike) -> Array:
    """A unit mass at a point as a density on the nodes around it: the transpose of `grid.interpolate`.

    <v, ρ> is the interpolated v(point) for every field v, so mass and mean are exact; at a node it is that node alone.

    Parameters
    ----------
    grid : Grid
    point : float or array (d,)
        Inside the box.

    Returns
    -------
    array grid.shape

    Raises
    ------
    ValueError
        A point outside the box, or of another number of coordinates.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(0.0, 1.0, 5)
    >>> point_mass(grid, 0.3).round(12)
    array([0. , 3.2, 0.8, 0. , 0. ])
    """
    where = np.atleast_1d(np.asarray(point, dtype=float))
    if where.shape != (grid.dimension,):
        raise ValueError(f"point: expected {grid.dimension} coordinates, got {point!r}")
    grid.interpolate(np.zeros(grid.shape), where if grid.dimension > 1 else where[0])  # inside the box, or ValueError
    masses = np.ones(())
    for x, axis, h, low, wraps in zip(where, grid.axes, grid.spacing, grid.lower, grid.periodic):
        position = (x - low) / h
        if wraps:
            position %= axis.size
        nearest = round(position)
        position = nearest if abs(position - nearest) < 1e-12 * axis.size else position  # rounding of the node itself
        k, line = int(position), np.zeros(axis.size)
        line[k % axis.size] += 1 - (position - k)
        line[(k + 1) % axis.size] += position - k
        masses = masses[..., None] * line
    return masses / grid.weights


def forward(control, grid, density, times):
    """W⁻¹ exp(t Q^T) W applied to a density, at the times."""
    w = grid.weights.ravel()
    masses = semigroup(control.generator(grid).T.tocsr(), w * density.ravel(), times)
    return (masses / w).reshape(-1, *grid.shape)


def checked_density(grid, values):
    """The values as a density >= 0 of mass one."""
    values = grid.field(values, "initial")
    if values.min() < 0:
        raise ValueError(f"initial: expected a density >= 0, got {values.min():.6g}")
    if abs(grid.integrate(values) - 1) > 1e-9:
        raise ValueError(f"initial: expected mass one, got {grid.integrate(values):.12g}: divide it by its integral")
    return values
