"""The thesis's Example 6.43: a double well with a circulation whose stationary law is known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.hints import Array

__all__ = ["Circulation"]


@dataclass(frozen=True)
class Circulation:
    """dX = (j - grad Φ) dt + sqrt(2) dW,  Φ = (x_1² - 1)²/4 + x_2²/2,  j = λ exp(Φ - |x|⁴/4) (-x_2, x_1).

    At D = I and β = 1 the density exp(-Φ)/Z is stationary for every λ, since j exp(-Φ) turns with a speed that depends
    on |x| only. At other β it is not (`stationary` finds what is). The thesis draws limit cycles around the saddle for
    λ = 1.5: the drift has none; above λ_c = exp(-1/4) the origin is its only zero, and attracts.

    Parameters
    ----------
    strength : float >= 0
        λ.

    Raises
    ------
    ValueError
        A strength or a potential that is none of these; later, points of other dimensions.

    Examples
    --------
    >>> field = Circulation(0.5)
    >>> field.drift([0.0, 1.0]).round(4).tolist(), field.zeros().round(4).tolist()
    ([-0.8244, -1.0], [[-0.9024, -0.3888], [0.0, 0.0], [0.9024, 0.3888]])
    """

    strength: float

    def __post_init__(self):
        checks.nonnegative("strength", self.strength)

    @staticmethod
    def potential(points: ArrayLike) -> Array:
        """Φ.

        Parameters
        ----------
        points : array (..., 2)

        Returns
        -------
        array (...,)
        """
        x, y = np.moveaxis(_planar(points), -1, 0)
        return (x * x - 1) ** 2 / 4 + y * y / 2

    def force(self, points: ArrayLike) -> Array:
        """j.

        Parameters
        ----------
        points : array (..., 2)

        Returns
        -------
        array (..., 2)
        """
        x, y = np.moveaxis(_planar(points), -1, 0)
        speed = self.strength * np.exp(0.25 - x * x / 2 + y * y / 2 - x * x * y * y / 2 - y**4 / 4)
        return np.stack([-speed * y, speed * x], axis=-1)

    def drift(self, points: ArrayLike) -> Array:
        """j - grad Φ.

        Parameters
        ----------
        points : array (..., 2)

        Returns
        -------
        array (..., 2)
        """
        x, y = np.moveaxis(_planar(points), -1, 0)
        return self.force(points) - np.stack([x * (x * x - 1), y], axis=-1)

    @property
    def normalisation(self) -> float:
        """Z = ∫ exp(-Φ)."""
        well = scipy.integrate.quad(lambda x: math.exp(-((x * x - 1) ** 2) / 4), 0, 6, epsabs=1e-14)[0]
        return 2 * well * math.sqrt(2 * math.pi)

    @property
    def winding_rate(self) -> float:
        """Mean angular velocity around the origin in radians per time at β = 1: λ π^(3/2)/Z."""
        return self.strength * math.pi**1.5 / self.normalisation

    @property
    def critical_strength(self) -> float:
        """λ_c = exp(-1/4), above which the origin is the only zero of the drift."""
        return math.exp(-0.25)

    def zeros(self) -> Array:
        """All zeros of the drift, (k, 2), by their first coordinate: the origin, and two more below λ_c.

        Off the origin x (1 - x²) = s y and y = s x with s = λ exp(Φ - |x|⁴/4): hence x² = 1 - s², y = s x, and one
        equation for s in [0, 1].
        """

        def gap(s):
            x2 = 1 - s * s
            y2 = s * s * x2
            return self.strength * math.exp(0.25 - x2 / 2 + y2 / 2 - x2 * y2 / 2 - y2 * y2 / 4) - s

        points = [(0.0, 0.0)]
        grid = np.linspace(0.0, 1.0, 2001)
        values = np.array([gap(s) for s in grid])
        for a, b, low, high in zip(grid[:-1], grid[1:], values[:-1], values[1:]):
            if low == 0 or low * high < 0:
                s = a if low == 0 else scipy.optimize.brentq(gap, a, b, xtol=1e-15)
                x = math.sqrt(max(1 - s * s, 0.0))
                if x > 1e-6:
                    points += [(x, s * x), (-x, -s * x)]
        return np.array(sorted(points))

    def return_map(self, radius: float) -> float:
        """Where the drift takes the point (r, 0), r > 0, when it next crosses the positive first axis.

        Above λ_c the flow turns around the origin for ever; r_1 < r_0 for every r_0 means that there is no cycle.

        Parameters
        ----------
        radius : float > 0

        Returns
        -------
        float

        Raises
        ------
        ValueError
            radius <= 0, or a strength up to λ_c, at which nothing returns.
        """
        radius = checks.positive("radius", radius)
        if self.strength <= self.critical_strength:
            raise ValueError(
                f"strength: expected more than {self.critical_strength:.6g}, got {self.strength}: no return"
            )

        def crossing(t, x):
            return x[1] if t > 1e-9 else 1.0

        crossing.direction, crossing.terminal = 1, True  # type: ignore[attr-defined]
        run = scipy.integrate.solve_ivp(
            lambda t, x: self.drift(x), (0, 1e4), [radius, 0.0], events=crossing, rtol=1e-11, atol=1e-14
        )
        if not run.t_events[0].size:
            raise FloatingPointError(f"the flow from ({radius:g}, 0) did not come round within time 1e4")
        return float(run.y_events[0][0][0])


def _planar(points):
    points = checks.reals("points", points)
    if points.ndim < 1 or points.shape[-1] != 2:
        raise ValueError(f"points: expected an array (..., 2), got shape {points.shape}")
    return points
