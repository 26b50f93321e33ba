"""The problems: Fokker-Planck and backward Kolmogorov, their coefficients and the data that move with time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.fokker_planck.moving import at, moves
from pdelab.generator import INTERPRETATIONS, Coefficients, no_outflow
from pdelab.grid import Grid, reals
from pdelab.hints import Array, Field
from pdelab.losses import Loss
from pdelab.stepping import Scheme, equation, schemes_of

__all__ = ["BackwardKolmogorov", "FokkerPlanck"]


@equation
@dataclass(frozen=True, init=False, eq=False)
class FokkerPlanck:
    """ρ_t = div(ρ grad U) - div(b ρ) + D Δρ with no flux through the ends of the box: densities ρ in, densities out.

    No flux at reflecting ends; at absorbing ends ρ = 0, the mass falls, and what leaves through each end stands in
    `info["absorbed"]` and `info["flux"]`; see `first_passage`.

    Parameters
    ----------
    potential : Loss, array grid.shape, callable t -> array, or None
        U. Its Gibbs density exp(-U/D) is the exact discrete equilibrium.
    drift : array (*grid.shape, d), in one dimension (n,), callable t -> array, or None
        b, averaged to the faces from four nodes; what jumps between two nodes jumps half-way. With both the drift is
        b - grad U.
    beta : float > 0 or math.inf, or callable t -> float
        Inverse temperature: D = 1/beta; math.inf means no noise. Exactly one of beta and diffusivity.
    diffusivity : float >= 0, or callable t -> float
        D itself.
    diffusion : array (*grid.shape, d, d), in one dimension (n,), callable t -> array, or None
        Σ(x) = σ σ^T, symmetric and positive semi-definite; D multiplies it. The identity by default.
    interpretation : str
        How σ dW is read: "ito", "stratonovich", "klimontovich", or "fick" for D div(Σ grad ρ).
    sigma : array (*grid.shape, d, k), in one dimension (n,), callable t -> array, or None
        A factor σ of Σ other than the symmetric square root; it gives Σ when `diffusion` is not given.

    Raises
    ------
    ValueError
        Not exactly one of beta and diffusivity, beta <= 0, D < 0, an unknown interpretation; later, a field that does
        not fit the grid, a negative density, an outflow boundary.

    Good values
    -----------
    beta : it takes of the order of exp(β ΔU) relaxation times to cross a barrier ΔU, see `mean_exit_time`: 20 for β ΔU
        = 3, 1e13 for β ΔU = 30, where the density seems stuck and is. math.inf leaves the gradient flow.
    grid : so fine that the potential changes by less than 1/β or so between nodes (info["peclet"] below 2), and so wide
        that the density is small at the ends: 6 standard deviations leave 2e-9 of a Gaussian outside. Σ is known at the
        nodes alone: a dip or a peak of it between them goes unseen, and a step lies half-way between two.
    noise that fades at an end : like any power of the distance, as of Jacobi's and Feller's processes. A wall holds the
        mass of the law in its half cell; an absorbing end is reached as often as the scale function says, or never.
        How it fades is read off five nodes.
    functions of time : 512 instants, on large grids down to 64, are looked at before a run without dt, and steps end
        where they turn sharply. What lasts less than from one to the next may go unseen: save a time before and after.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-3.0, 3.0, 201)
    >>> problem = pl.FokkerPlanck(grid.x**2 / 2, beta=2.0)
    >>> start = np.exp(-((grid.x - 1) ** 2) / 0.1)
    >>> end = pl.solve(problem, start / grid.integrate(start), grid, 10.0, dt=0.05).final
    >>> bool(abs(grid.integrate(grid.x**2 * end) - 0.5) < 1e-3)
    True
    """

    potential: object
    drift: object
    diffusivity: Any
    diffusion: object
    interpretation: str
    sigma: object
    adjoint = False
    equation = "ρ_t = div(ρ grad U) - div(b ρ) + D Δρ"

    def __init__(
        self,
        potential: Loss | Callable | ArrayLike | None = None,
        drift: Callable | ArrayLike | None = None,
        *,
        beta: float | Callable | None = None,
        diffusivity: float | Callable | ArrayLike | None = None,
        diffusion: Callable | ArrayLike | None = None,
        interpretation: str = "ito",
        sigma: Callable | ArrayLike | None = None,
    ) -> None:
        checks.choice("interpretation", interpretation, INTERPRETATIONS)
        if hasattr(drift, "on"):
            raise ValueError("drift: expected a vector field or a function of time; give a Loss as potential")
        values = (potential, drift, _diffusivity(beta, diffusivity), diffusion, interpretation, sigma)
        for key, value in zip(("potential", "drift", "diffusivity", "diffusion", "interpretation", "sigma"), values):
            if moves(value):
                checks.takes(key, value, "(t), which gives its values at that time")
            object.__setattr__(self, key, value)

    @classmethod
    def from_formula(cls, loss: Loss, initial: Field | None = None, **coefficients: Any) -> tuple[FokkerPlanck, Field]:
        """The problem whose potential the formula is, and its initial data.

        Parameters
        ----------
        loss : Loss
            The potential.
        initial : Field
            The density at time 0.
        **coefficients
            Those of `FokkerPlanck`.

        Returns
        -------
        (FokkerPlanck, Field)
            The problem and its initial data.

        Raises
        ------
        ValueError
            No initial data, or a coefficient that `FokkerPlanck` refuses.
        """
        if initial is None:
            raise ValueError(f"initial: {cls.__name__} needs --initial, a formula of its data at t = 0; got none")
        return cls(loss, **coefficients), initial

    @property
    def beta(self) -> Any:
        """Inverse temperature 1/D, math.inf without noise; a function of time where D is one."""
        if moves(self.diffusivity):
            return lambda time: 1 / self.diffusivity(time)
        return 1 / self.diffusivity if self.diffusivity > 0 else math.inf

    @property
    def default_scheme(self) -> Scheme:
        """`automatic`: exact in time where it can be, else controlled; `implicit` where the caller gives dt."""
        return schemes_of(type(self))["automatic"]

    @property
    def steady(self) -> bool:
        """True when no coefficient depends on time."""
        return not (moves(self.potential) or moves(self.drift) or self.noise_moves)

    @property
    def noise_moves(self) -> bool:
        """True when D, Σ or σ depends on time."""
        return moves(self.diffusivity) or moves(self.diffusion) or moves(self.sigma)

    @property
    def gibbs(self) -> bool:
        """True when exp(-U/D) is the equilibrium: a steady potential, nothing else, and D > 0."""
        plain = self.drift is None and self.diffusion is None and self.sigma is None
        return plain and self.potential is not None and self.steady and self.diffusivity > 0

    def initial(self, values: Field, grid: Grid) -> Array:
        """The density on the nodes, zero on absorbing ends.

        Parameters
        ----------
        values : array, grid.shape
            Finite and >= 0; it need not integrate to 1.
        grid : Grid
            Without outflow ends.

        Returns
        -------
        array, grid.shape

        Raises
        ------
        ValueError
            A Loss, another shape, a number that is not finite or < 0, an outflow end.
        """
        no_outflow(grid)
        if isinstance(values, Loss):
            raise ValueError(
                f"initial: expected a density on the nodes, got {checks.shown(values)}: a Loss is no density; "
                "its Gibbs density is np.exp(-beta * loss.on(grid)) over its integral, its own values are loss.on(grid)"
            )
        values = grid.field(values, "initial")
        if values.min() < 0:
            raise ValueError(f"initial: expected a density >= 0, got {values.min():.6g}")
        return np.where(grid.absorbing, 0.0, values) if grid.absorbing.any() else values

    def coefficients(self, grid: Grid, time: float = 0.0) -> Coefficients:
        """The coefficients on the grid at one time.

        Parameters
        ----------
        grid : Grid
        time : float

        Returns
        -------
        Coefficients

        Raises
        ------
        ValueError
            A field of another shape, numbers that are not finite, a diffusivity < 0.
        """
        potential, drift = at(self.potential, time), at(self.drift, time)
        diffusion, sigma = at(self.diffusion, time), at(self.sigma, time)
        d = () if grid.dimension == 1 else (grid.dimension,)
        return Coefficients(
            None if self.potential is None else grid.field(potential, "potential"),
            None if self.drift is None else grid.vector_field(drift, "drift"),
            checks.nonnegative("diffusivity", at(self.diffusivity, time)),
            None if self.diffusion is None else _matrix_field(diffusion, (*grid.shape, *d, *d), 0, "diffusion"),
            None if self.sigma is None else _matrix_field(sigma, (*grid.shape, *d), len(d), "sigma"),
            self.interpretation,
        )


@equation
class BackwardKolmogorov(FokkerPlanck):
    """v_t = (b - grad U)·grad v + D Δv: expectations v(x, t) = E[v(X_t, 0) | X_0 = x], the adjoint of `FokkerPlanck`.

    Takes the same arguments. At absorbing ends v = 0: expectations over the paths that have not left. Each step is the
    exact transpose of the Fokker-Planck step in the weights of the grid, so that sum(w v(T) ρ(0)) = sum(w v(0) ρ(T)) to
    round-off with the same dt, and without it where the steps are exact in time. Its time runs backwards: a coefficient
    that depends on time is given as a function of the time to go.

    Parameters
    ----------
    potential, drift, beta, diffusivity, diffusion, interpretation, sigma
        As for `FokkerPlanck`.

    Raises
    ------
    ValueError
        As for `FokkerPlanck`.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-4.0, 4.0, 401)
    >>> v = pl.solve(pl.BackwardKolmogorov(grid.x**2 / 2, beta=1.0), grid.x, grid, 1.0, dt=0.01).final
    >>> bool(abs(grid.interpolate(v, 1.0) - np.exp(-1.0)) < 5e-3)        # E[X_1 | X_0 = 1] of Ornstein-Uhlenbeck
    True
    """

    adjoint = True
    equation = "v_t = (b - grad U)·grad v + D Δv"

    def initial(self, values: Field, grid: Grid) -> Array:
        """The function on the nodes, zero on absorbing ends.

        Parameters
        ----------
        values : Loss or array, grid.shape
            Finite.
        grid : Grid
            Without outflow ends.

        Returns
        -------
        array, grid.shape

        Raises
        ------
        ValueError
            Another shape, a number that is not finite, an outflow end.
        """
        no_outflow(grid)
        values = grid.field(values, "initial")
        return np.where(grid.absorbing, 0.0, values) if grid.absorbing.any() else values


def _diffusivity(beta, diffusivity):
    """D from exactly one of beta and diffusivity."""
    name, value = checks.exactly_one("FokkerPlanck", "diffusivity = 1/beta", beta=beta, diffusivity=diffusivity)
    if name == "diffusivity":
        return value if callable(value) else checks.nonnegative("diffusivity", value)
    if callable(value):
        checks.takes("beta", value, "(t)")
        return lambda time: 1 / checks.positive("beta", value(time), infinite=True)
    return 1 / checks.positive("beta", value, infinite=True)


def _matrix_field(values, shape, free, name):
    """Checked node matrices of this shape and `free` more axes."""
    wanted = str((*shape, *"k" * free)).replace("'", "")
    values = np.ascontiguousarray(reals(values, f"{name}: expected an array of numbers of shape {wanted}"))
    if values.ndim != len(shape) + free or values.shape[: len(shape)] != shape:
        raise ValueError(f"{name}: expected shape {wanted}, got {values.shape}")
    if not np.isfinite(values).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise ValueError(f"{name}: expected finite numbers, got {values[where]} at index {where}")
    return values
