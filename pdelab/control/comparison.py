"""Theorem 4.11: what control gains and what it pays, as an equality."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from pdelab.control.density import checked_density, forward
from pdelab.control.value import Control, weights_of_paths
from pdelab.grid import Grid
from pdelab.hints import Field
from pdelab.stepping import AccuracyWarning

__all__ = ["Gap", "gap"]

UNEQUAL = 0.02  # share of the efforts by which the two sides of the equality may differ


@dataclass(frozen=True)
class Gap:
    """Theorem 4.11 as an equality: plain - controlled = effort + effort_plain = 2D (entropy + entropy_plain).

    Attributes
    ----------
    plain : float
        E V(X_T) without control.
    controlled : float
        E V(X_T) under the best control.
    effort : float
        ½E∫|grad u|² along controlled paths.
    effort_plain : float
        ½E∫|grad u|² along the paths without control.
    entropy : float
        KL(controlled | plain) of the laws of the paths.
    entropy_plain : float
        KL(plain | controlled).
    diffusivity : float
        D.
    """

    plain: float
    controlled: float
    effort: float
    effort_plain: float
    entropy: float
    entropy_plain: float
    diffusivity: float

    @property
    def residual(self) -> float:
        """(plain - controlled) - (effort + effort_plain): zero up to the grid's error of second order."""
        return self.plain - self.controlled - self.effort - self.effort_plain

    @property
    def ratio(self) -> float:
        """(plain - controlled)/(2 effort) = ½(1 + KL(plain|controlled)/KL(controlled|plain)), above ½.

        Theorem 4.11 says that plain - controlled is at least `effort`, that is ratio >= ½.
        """
        return (self.plain - self.controlled) / (2 * self.effort)


def gap(control: Control, grid: Grid, initial: Field, *, nodes: int = 32) -> Gap:
    """How much better the controlled process ends than the plain one, and what it paid: Theorem 4.11 as an equality.

    E V(X_plain) - E V(X_controlled) = ½E_controlled∫|grad u|² + ½E_plain∫|grad u|².

    The thesis prints >= with the first term on the right. Relative entropies come from the ends alone, since the law of
    the controlled paths has the density exp(-V(X_T)/(2D))/h(X_0, 0); efforts from quadrature over space and time.

    Parameters
    ----------
    control : Control, diffusivity > 0
    grid : Grid, reflecting or periodic
    initial : array grid.shape or Loss
        ρ₀ of mass one, the law of X_0 for both.
    nodes : int
        Gauss-Legendre nodes in time.

    Returns
    -------
    Gap

    Warns
    -----
    AccuracyWarning
        A grid so coarse that the effort is wrong by more than 1 %, or that the two sides differ by more than 2 %.

    Examples
    --------
    >>> import pdelab as pl
    >>> from pdelab.control import Control
    >>> grid = pl.Grid(-5.0, 5.0, 401)
    >>> start = np.exp(-grid.x**2)
    >>> terms = gap(Control(None, pl.Loss("x**2/2"), 1.0, 0.5), grid, start / grid.integrate(start))
    >>> bool(abs(terms.residual) < 1e-4 and terms.plain > terms.controlled + terms.effort)
    True
    """
    D, T = control.diffusivity, control.horizon
    abscissae, weights = np.polynomial.legendre.leggauss(nodes)
    times = np.concatenate([[0.0], T * (abscissae + 1) / 2, [T]])
    start, V = checked_density(grid, initial), control.terminal_on(grid)
    h, shift = weights_of_paths(control, grid, times, start)
    u = shift - 2 * D * np.log(h)
    phi, plain = (forward(control, grid, density, times) for density in (start / h[0], start))
    controlled = h * phi
    speed = np.stack([np.square(grid.gradient(value)).reshape(*grid.shape, -1).sum(-1) for value in u[1:-1]])
    effort, effort_plain = (T / 4 * weights @ grid.integrate(rho[1:-1] * speed) for rho in (controlled, plain))
    ends = [grid.integrate(rho[-1] * V) for rho in (plain, controlled)]
    start_value = grid.integrate(start * u[0])
    entropies = (start_value - ends[1]) / (2 * D), (ends[0] - start_value) / (2 * D)
    sides = Gap(*map(float, (*ends, effort, effort_plain, *entropies, D)))
    if abs(sides.residual) > UNEQUAL * (sides.effort + sides.effort_plain):
        warnings.warn(
            f"gap: its two sides, {sides.plain - sides.controlled:.4g} and {sides.effort + sides.effort_plain:.4g}, "
            "differ by more than 2 %: take a finer grid, which resolves the horizon and V, or more nodes in time",
            AccuracyWarning,
            stacklevel=2,
        )
    return sides
