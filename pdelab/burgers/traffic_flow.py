"""Traffic on a road: Lighthill-Whitham-Richards with a linear speed law, which is Burgers in other units."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pdelab import boundaries, checks
from pdelab.burgers.equation import Burgers
from pdelab.burgers.exact import riemann
from pdelab.grid import Grid
from pdelab.hints import Array, Field, Times
from pdelab.stepping import Solution, integral_error, schemes_of, solve

__all__ = ["Traffic", "checked_density", "checked_road", "traffic"]


def traffic(free_speed: float = 1.0, jam_density: float = 1.0, *, viscosity: float = 0.0) -> Traffic:
    """A road: ρ_t + (ρ u(ρ) - ν ρ_x)_x = 0 with the speed u = u_m (1 - ρ/ρ_m) and drivers who look ahead (ν).

    Parameters
    ----------
    free_speed : float > 0
        u_m, length per time, of an empty road.
    jam_density : float > 0
        ρ_m, cars per length, at which cars stand.
    viscosity : float >= 0
        ν, length² per time.

    Returns
    -------
    Traffic

    Raises
    ------
    ValueError
        A speed or a density <= 0, ν < 0.

    Notes
    -----
    Equations (3.1)-(3.13) of the traffic-flow paper; its change of variables (3.12) is corrected to
    ρ = (ρ_m/2)(1 - w/u_m), hence Δρ = -(ρ_m/(2u_m)) Δw.

    `Road` is a road whose speed limit varies.

    Examples
    --------
    >>> road = traffic(free_speed=30.0, jam_density=0.15)
    >>> road.capacity                                             # cars per second, at half the jam density
    1.125
    >>> round(road.shock_speed(0.03, 0.15), 9)                    # the tail of a queue moves backwards
    -6.0
    """
    return Traffic(free_speed, jam_density, viscosity)


@dataclass(frozen=True)
class Traffic:
    """See `traffic`. Densities lie in [0, ρ_m]; the wave speed w = q'(ρ) = u_m (1 - 2ρ/ρ_m) solves Burgers.

    Attributes
    ----------
    free_speed : float > 0
        u_m, of an empty road.
    jam_density : float > 0
        ρ_m, at which cars stand.
    viscosity : float >= 0
        ν, how far drivers look ahead.
    """

    free_speed: float
    jam_density: float
    viscosity: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "free_speed", checks.positive("free_speed", self.free_speed))
        object.__setattr__(self, "jam_density", checks.positive("jam_density", self.jam_density))
        object.__setattr__(self, "viscosity", self.burgers.viscosity)

    @property
    def burgers(self) -> Burgers:
        """w_t + w w_x = ν w_xx, what the wave speed solves."""
        return Burgers(viscosity=self.viscosity)

    @property
    def capacity(self) -> float:
        """Largest flow, ρ_m u_m/4, at half the jam density."""
        return self.jam_density * self.free_speed / 4

    def speed(self, density: ArrayLike) -> Any:
        """u = u_m (1 - ρ/ρ_m), the speed of the cars.

        Parameters
        ----------
        density : array
            0 to the jam density.

        Returns
        -------
        array, shape of density

        Raises
        ------
        ValueError
            A density outside that range.
        """
        return self.free_speed * (1 - self._checked(density) / self.jam_density)

    def flow(self, density: ArrayLike) -> Any:
        """q = ρ u(ρ), cars per time: the fundamental diagram, a parabola.

        Parameters
        ----------
        density : array
            0 to the jam density.

        Returns
        -------
        array, shape of density

        Raises
        ------
        ValueError
            A density outside that range.
        """
        return self._checked(density) * self.speed(density)

    def wave_speed(self, density: ArrayLike) -> Any:
        """w = q'(ρ) = u_m (1 - 2ρ/ρ_m), the speed of small disturbances.

        Parameters
        ----------
        density : array
            0 to the jam density.

        Returns
        -------
        array, shape of density
            -u_m to u_m; the initial data of Burgers' equation.

        Raises
        ------
        ValueError
            A density outside that range.
        """
        return self.free_speed * (1 - 2 * self._checked(density) / self.jam_density)

    def density(self, wave_speed: ArrayLike) -> Any:
        """ρ = (ρ_m/2)(1 - w/u_m), the inverse of `wave_speed`.

        Parameters
        ----------
        wave_speed : array
            -u_m to u_m.

        Returns
        -------
        array, shape of wave_speed

        Raises
        ------
        ValueError
            What is no array of numbers.
        """
        return 0.5 * self.jam_density * (1 - checks.reals("wave_speed", wave_speed, "numbers") / self.free_speed)

    def shock_speed(self, behind: ArrayLike, ahead: ArrayLike) -> Any:
        """(q_ahead - q_behind)/(ρ_ahead - ρ_behind) = u_m (1 - (ρ_behind + ρ_ahead)/ρ_m), Rankine-Hugoniot.

        Parameters
        ----------
        behind, ahead : array
            Densities on either side, 0 to the jam density.

        Returns
        -------
        array
            Of the shape that both broadcast to; negative where a queue grows backwards.

        Raises
        ------
        ValueError
            A density outside that range.
        """
        return self.free_speed * (1 - (self._checked(behind) + self._checked(ahead)) / self.jam_density)

    def riemann(self, behind: float, ahead: float, x: ArrayLike, t: float) -> Array:
        """Density from `behind` for x < 0 and `ahead` for x > 0, ν = 0: a queue's tail or a platoon that spreads.

        Parameters
        ----------
        behind, ahead : float
            Densities at t = 0, 0 to the jam density.
        x : array
        t : float >= 0

        Returns
        -------
        array, shape of x

        Raises
        ------
        ValueError
            A density outside that range, t < 0.
        """
        return self.density(riemann(float(self.wave_speed(behind)), float(self.wave_speed(ahead)), x, t))

    def demand(self, density: ArrayLike) -> Any:
        """The flow that wants to leave a place: q up to half the jam density, the capacity above.

        Parameters
        ----------
        density : array
            0 to the jam density.

        Returns
        -------
        array, shape of density
            Cars per time.

        Raises
        ------
        ValueError
            A density outside that range.
        """
        return self.flow(np.minimum(self._checked(density), self.jam_density / 2))

    def supply(self, density: ArrayLike) -> Any:
        """The flow that fits into a place: the capacity up to half the jam density, q above.

        Parameters
        ----------
        density : array
            0 to the jam density.

        Returns
        -------
        array, shape of density
            Cars per time.

        Raises
        ------
        ValueError
            A density outside that range.
        """
        return self.flow(np.maximum(self._checked(density), self.jam_density / 2))

    def junction(self, ahead_road: Traffic, behind: float, ahead: float, x: ArrayLike, t: float) -> Array:
        """This road for x < 0 goes on as another for x > 0, ν = 0: densities `behind` and `ahead` at t = 0.

        The flow between the roads is min(demand(behind), supply(ahead)). Where not all cars get through, a queue grows
        backwards with the speed of Rankine-Hugoniot. See `Road`.

        Parameters
        ----------
        ahead_road : Traffic
            The road for x > 0.
        behind, ahead : float
            Densities at t = 0, each 0 to the jam density of its road.
        x : array
        t : float >= 0

        Returns
        -------
        array, shape of x

        Raises
        ------
        ValueError
            A density outside that range, t < 0.
        """
        flow = min(float(self.demand(behind)), float(ahead_road.supply(ahead)))
        last = behind if behind <= self.jam_density / 2 and flow >= self.demand(behind) else self._carrying(flow, 1)
        free = ahead < ahead_road.jam_density / 2 or flow < ahead_road.supply(ahead)
        first = ahead_road._carrying(flow, -1) if free else ahead
        x = checks.reals("x", x, "numbers")
        return np.where(x < 0, self.riemann(behind, last, x, t), ahead_road.riemann(first, ahead, x, t))

    def _carrying(self, flow, side):
        """The density with that flow: free (side -1) or congested (1)."""
        return 0.5 * self.jam_density * (1 + side * np.sqrt(max(1 - flow / self.capacity, 0.0)))

    def green_light(self, x: ArrayLike, t: float) -> Array:
        """A red light at x = 0 turns green: jam behind, empty road ahead. ρ = (ρ_m/2)(1 - x/(u_m t)), a rarefaction.

        Parameters
        ----------
        x : array
        t : float >= 0

        Returns
        -------
        array, shape of x

        Raises
        ------
        ValueError
            t < 0.
        """
        return self.riemann(self.jam_density, 0.0, x, t)

    def queue(self, arriving: float, x: ArrayLike, t: float) -> Array:
        """Cars of density `arriving` run into a jam that begins at x = 0: its tail moves with `shock_speed`.

        Parameters
        ----------
        arriving : float
            Their density, 0 to the jam density.
        x : array
        t : float >= 0

        Returns
        -------
        array, shape of x

        Raises
        ------
        ValueError
            A density outside that range, t < 0.
        """
        return self.riemann(arriving, self.jam_density, x, t)

    def solve(self, density: Field, grid: Grid, times: Times, **options: Any) -> Solution:
        """Evolve densities.

        Parameters
        ----------
        density : Loss, or array (n,)
            At time 0, 0 to the jam density.
        grid : Grid
            One-dimensional, periodic or outflow.
        times : float or increasing sequence
        **options
            Those of `pdelab.solve`.

        Returns
        -------
        Solution
            Its values and extrema are densities, its mass counts the cars of a ring road, and its error in time is
            relative to all cars.

        Raises
        ------
        ValueError
            Another grid, densities outside that range, or as `pdelab.solve` raises.
        """
        checked_road(grid)
        start = self.wave_speed(grid.field(density, "density"))
        report = options.pop("on_save", None)
        if report is not None:
            options["on_save"] = lambda time, w: report(time, self.density(w))
        scheme = self._of_densities(options.pop("scheme", None))
        waves = solve(self.burgers, start, grid, times, scheme=scheme, **options)
        values = self.density(waves.values)
        info = {k: v for k, v in waves.info.items() if k not in ("mass", "mass_drift", "total_variation")}
        info |= {"minimum": values.min(axis=1), "maximum": values.max(axis=1)}
        if grid.periodic == (True,):
            cars = grid.integrate(values)
            first = self.density(start)
            size = max(grid.integrate(np.abs(first)), np.finfo(float).tiny)
            info |= {"mass": cars, "mass_drift": np.abs(cars - grid.integrate(first)) / size}
        return Solution(waves.times, values, grid, waves.steps, info)

    def _of_densities(self, scheme):
        """A scheme of Burgers' equation whose error in time is relative to the densities, (ρ_m/(2 u_m)) (u_m - w)."""
        chosen = self.burgers.default_scheme if scheme is None else scheme
        if isinstance(chosen, str):
            chosen = schemes_of(Burgers).get(chosen, chosen)
        if not callable(chosen):
            return scheme  # `solve` refuses it

        @wraps(getattr(chosen, "func", chosen))
        def measured(problem, grid, waves):
            share = integral_error(grid.weights)
            return replace(
                chosen(problem, grid, waves),
                measure=lambda error, first, now: share(error, self.free_speed - first, now),
            )

        return measured

    def _checked(self, density):
        values = checked_density(density, self.jam_density)
        return values if values.ndim else float(values)


def checked_density(density, jam_density):
    """Densities from 0 to the jam density, up to a rounding of 1e-12 of it, as an array."""
    expected = f"numbers in [0, {jam_density}]"
    values, slack = checks.reals("density", density, expected), 1e-12 * jam_density
    if not ((values >= -slack) & (values <= jam_density + slack)).all():
        worst = values.min() if np.isnan(values).any() or values.min() < 0 else values.max()
        checks.refuse("density", expected, float(worst))
    return values


def checked_road(grid):
    """Refuse a grid that is no road."""
    boundaries.only(grid, ("periodic", "outflow"), "a road")
    if grid.dimension != 1:
        raise ValueError(f"grid: expected one dimension for a road, got {grid.dimension}")
