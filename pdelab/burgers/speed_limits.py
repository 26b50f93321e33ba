"""Traffic on a road whose speed limit varies along it: a conservation law whose flux depends on the place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.burgers.traffic_flow import checked_density, checked_road
from pdelab.grid import Grid
from pdelab.hamilton_jacobi.layout import CODES, inverse
from pdelab.hints import Array, Field, Times
from pdelab.kernels import fluxes
from pdelab.stepping import Scheme, Solution, Stepper, integral_error, scheme, schemes_of, solve

__all__ = ["Road", "supply_and_demand"]

PLACES = 32  # between two nodes, at which the speed limit is looked at


@dataclass(frozen=True)
class Road:
    """ρ_t + (V(x) ρ (1 - ρ/ρ_m))_x = ν ρ_xx: Lighthill-Whitham-Richards with a speed limit V that varies.

    Parameters
    ----------
    speed_limit : function of x, or Loss
        V >= 0 at an array of places, of any shape; jumps are allowed. Zero closes the road, as a red light does. What
        is narrower than a thirtieth of a cell may go unseen.
    jam_density : float > 0
        ρ_m, cars per length, at which cars stand.
    viscosity : float >= 0
        ν.

    Raises
    ------
    ValueError
        A speed limit that is no function or gives values that are negative or not finite, a jam density <= 0, ν < 0.

    Notes
    -----
    Where V jumps, the flow is the smaller of what arrives (`demand`) and what fits (`supply`): the entropy solution
    that maximises the flow (Lebacque 1996). `Traffic.junction` is the exact solution for one jump.

    Examples
    --------
    Road works halve the speed for x > 0: the road ahead takes 0.125, and a queue grows against the traffic.

    >>> import numpy as np, pdelab as pl
    >>> road = pl.burgers.Road(lambda x: np.where(x < 0, 1.0, 0.5))
    >>> grid = pl.Grid(-1.0, 1.0, 401, boundary="outflow")
    >>> density = road.solve(np.full(401, 0.3), grid, 2.0).final
    >>> [round(float(np.interp(x, grid.x, density)), 3) for x in (-0.8, -0.1)]
    [0.3, 0.854]
    """

    speed_limit: Callable
    jam_density: float = 1.0
    viscosity: float = 0.0
    equation = "ρ_t + (V(x) ρ (1 - ρ/ρ_m))_x = ν ρ_xx"

    def __post_init__(self):
        if not callable(self.speed_limit):
            raise ValueError(f"speed_limit: expected a function of x, got {self.speed_limit!r}")
        checks.takes("speed_limit", self.speed_limit, "(x)")
        object.__setattr__(self, "jam_density", checks.positive("jam_density", self.jam_density))
        object.__setattr__(self, "viscosity", checks.nonnegative("viscosity", self.viscosity))

    @property
    def default_scheme(self) -> Scheme:
        """`supply_and_demand`."""
        return schemes_of(type(self))["supply_and_demand"]

    def limit(self, x: ArrayLike) -> Array:
        """V at places x.

        Parameters
        ----------
        x : array

        Returns
        -------
        array, shape of x

        Raises
        ------
        ValueError
            A limit that is not finite or < 0.
        """
        x = checks.reals("x", x, "numbers")
        limits = checks.reals("speed_limit", self.speed_limit(x), "numbers")
        if limits.shape not in ((), x.shape) or not (np.isfinite(limits) & (limits >= 0)).all():
            raise ValueError(f"speed_limit: expected finite values >= 0, one a place, got {limits!r}")
        return np.broadcast_to(limits, x.shape).astype(float)

    def capacity(self, x: ArrayLike) -> Array:
        """The largest flow at x, V ρ_m/4.

        Parameters
        ----------
        x : array

        Returns
        -------
        array, shape of x
            Cars per time.
        """
        return self.limit(x) * self.jam_density / 4

    def flow(self, density: ArrayLike, x: ArrayLike) -> Array:
        """V(x) ρ (1 - ρ/ρ_m), cars per time.

        Parameters
        ----------
        density : array
            Cars per length, 0 to the jam density.
        x : array

        Returns
        -------
        array
            Of the shape that both broadcast to.
        """
        density = checked_density(density, self.jam_density)
        return self.limit(x) * density * (1 - density / self.jam_density)

    def stationary(self, flow: float, x: ArrayLike, *, congested: bool = False) -> Array:
        """The density at x that carries `flow`: (ρ_m/2)(1 ∓ sqrt(1 - flow/capacity(x))), free or congested.

        Parameters
        ----------
        flow : float >= 0
            Cars per time.
        x : array
        congested : bool
            The dense one of the two states.

        Returns
        -------
        array, shape of x

        Raises
        ------
        ValueError
            The flow exceeds the capacity at one of the places.
        """
        flow, capacity = checks.nonnegative("flow", flow), self.capacity(x)
        if (flow > capacity).any():
            raise ValueError(f"flow: expected at most the capacity of the road, {capacity.min():.6g}, got {flow:.6g}")
        used = np.divide(flow, capacity, out=np.zeros(capacity.shape), where=capacity > 0)
        root = np.sqrt(1 - used)
        free = 0.5 * self.jam_density * used / (1 + root)  # without the cancellation of 1 - root
        return self.jam_density - free if congested else free

    def solve(self, density: Field, grid: Grid, times: Times, **options: Any) -> Solution:
        """Evolve densities.

        Parameters
        ----------
        density : Loss, or array (n,)
            At time 0.
        grid : Grid
            One-dimensional, periodic or outflow.
        times : float or increasing sequence
        **options
            Those of `pdelab.solve`.

        Returns
        -------
        Solution
            Of densities.

        Raises
        ------
        ValueError
            As `pdelab.solve` raises, and for densities outside 0 to the jam density.
        """
        return solve(self, density, grid, times, **options)

    def initial(self, values: Field, grid: Grid) -> Array:
        """Densities at the nodes as a checked array.

        Parameters
        ----------
        values : Loss, or array (n,)
        grid : Grid
            One-dimensional, periodic or outflow.

        Returns
        -------
        array (n,)

        Raises
        ------
        ValueError
            Another grid, or densities outside 0 to the jam density.
        """
        checked_road(grid)
        return checked_density(grid.field(values, "density"), self.jam_density)


@scheme(Road)
def supply_and_demand(problem: Road, grid: Grid, values: Array) -> Stepper:
    """Godunov's scheme by demand and supply: the flow between two nodes is min(demand behind, supply ahead).

    With the parabola q(ρ) = V ρ (1 - ρ/ρ_m) of each node, demand is q up to ρ_m/2 and the capacity above, supply the
    reverse; between the nodes no more flows than the slowest of 32 places there can take. Promises for
    dt (max V/h + 2ν/h²) <= 1: monotone, densities stay in [0, ρ_m], the cars of a ring road are kept to round-off.
    First order.

    Examples
    --------
    >>> import pdelab as pl
    >>> road, grid = Road(lambda x: np.where(x < 0, 1.0, 0.5)), pl.Grid(-1.0, 1.0, 81, boundary="outflow")
    >>> density = pl.solve(road, np.full(81, 0.4), grid, 1.0).final
    >>> bool(density.max() > 0.8), bool(density.max() <= 1)              # a queue before the slower stretch
    (True, True)
    """
    (h,), nu, top = grid.spacing, problem.viscosity, problem.jam_density
    limits, least = np.ascontiguousarray(problem.limit(grid.x)), _least(problem, grid)
    code, bound = CODES[grid.boundary[0]], inverse(float(limits.max()) / h + 2 * nu / h**2)

    def advance(values, time, dt, steps):
        out = np.empty_like(values)
        fluxes.traffic_march(values / top, out, steps, code, dt / h * limits, dt / h * least, nu * dt / h**2)
        out *= top
        return out

    certificates = {"mass": lambda values, time: grid.integrate(values)} if grid.periodic == (True,) else {}
    return Stepper(
        advance, lambda state, time: bound, certificates=certificates, info={"viscosity": nu},
        measure=integral_error(grid.weights),
    )  # fmt: skip


def _least(problem, grid):
    """The least speed limit between each node and the next, (n,); beyond an open end that of the end."""
    between = grid.x[:, None] + grid.spacing[0] * np.arange(1, PLACES + 1) / (PLACES + 1)
    if not grid.periodic[0]:
        between[-1] = grid.x[-1]
    return np.ascontiguousarray(problem.limit(between.ravel()).reshape(between.shape).min(axis=1))
