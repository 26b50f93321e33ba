"""Hamilton-Jacobi: u_t = -|Du|²/2 + b·Du + ν Δu, and its companion without the Hamiltonian, the heat equation.

The smoothing equation of the papers (Chaudhari, thesis (4.11) with ν = 1/(2 beta), and (4.16) without viscosity); with
a drift b the Hamilton-Jacobi-Bellman equation of stochastic control (thesis (4.31)). The schemes differ in what they
promise; each is a function (problem, grid, values) -> Stepper for `pdelab.solve`.
"""

import math
from dataclasses import dataclass

import numpy as np

from pdelab.generator import Coefficients
from pdelab.stencils import slopes
from pdelab.stepping import Stepper

CODES = {"periodic": slopes.PERIODIC, "reflecting": slopes.REFLECTING, "outflow": slopes.OUTFLOW}


def _one_of(beta, viscosity, name):
    """(beta, ν) of an equation that was given exactly one of the two; beta = 1/(2ν)."""
    if (beta is None) == (viscosity is None):
        got = "both" if beta is not None else "neither"
        raise ValueError(f"{name}: give exactly one of beta and viscosity (viscosity = 1/(2 beta)), got {got}")
    value, word = (beta, "beta") if viscosity is None else (viscosity, "viscosity")
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected {word} as a number, got {value!r}") from error
    if viscosity is None:
        if not number > 0:
            raise ValueError(f"{name}: expected beta > 0 (math.inf for no viscosity), got {value!r}")
        return number, 0.5 / number
    if not 0 <= number < math.inf:
        raise ValueError(f"{name}: expected a finite viscosity >= 0, got {value!r}")
    return (math.inf if number == 0 else 0.5 / number), number


@dataclass(frozen=True, init=False, eq=False)
class HamiltonJacobi:
    """u_t = -|Du|²/2 + b·Du + ν Δu with u(·, 0) = f: local entropy without drift, stochastic control with it.

    Parameters
    ----------
    beta : float > 0 or math.inf
        Inverse temperature; the viscosity is ν = 1/(2 beta), and math.inf means none. Exactly one of beta and
        viscosity is given.
    viscosity : float >= 0
        ν itself.
    drift : array (*grid.shape, d), in one dimension (n,), Loss, or None
        The field b on the nodes; a Loss f means b = -grad f.

    Raises
    ------
    ValueError
        beta <= 0, ν < 0, not exactly one of the two; later, a drift that does not fit the grid or is not finite.

    Notes
    -----
    Chaudhari, thesis (4.1), (4.11), (4.16), (4.31). With b = -grad f and u(·, T) given this is the control problem of
    diffusivity ν run backwards: see `terminal`.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-1.0, 1.0, 201)
    >>> u = pl.solve(pl.HamiltonJacobi(viscosity=0.0), abs(grid.x), grid, 0.2).final
    >>> bool(abs(u[-1] - 0.9) < 1e-12)                           # |x| - t/2 away from the kink
    True
    """

    beta: float
    viscosity: float
    drift: object
    kinetic = 1.0  # factor of |Du|²/2
    equation = "u_t = -|Du|²/2 + b·Du + ν Δu"

    def __init__(self, beta=None, *, viscosity=None, drift=None):
        beta, viscosity = _one_of(beta, viscosity, type(self).__name__)
        for key, value in (("beta", beta), ("viscosity", viscosity), ("drift", drift)):
            object.__setattr__(self, key, value)

    @property
    def default_scheme(self):
        """`monotone`."""
        return monotone

    def initial(self, values, grid):
        """The initial data as a checked float64 array of shape grid.shape."""
        return grid.field(values, "initial")

    def coefficients(self, grid, time=0.0):
        """Of the generator Q of dX = b dt + sqrt(2ν) dW, in u_t = Q u - |Du|²/2."""
        if hasattr(self.drift, "gradient"):
            return Coefficients(potential=grid.field(self.drift, "drift"), diffusivity=self.viscosity)
        field = None if self.drift is None else grid.vector_field(self.drift, "drift")
        return Coefficients(drift=field, diffusivity=self.viscosity)

    def drift_on(self, grid):
        """The drift as an array (d, *grid.shape), or None."""
        if self.drift is None:
            return None
        field = self.drift
        if hasattr(field, "gradient"):
            if field.dimension != grid.dimension:
                raise ValueError(f"drift: the Loss has {field.dimension} variables, the grid {grid.dimension} axes")
            field = -np.asarray(field.gradient(grid.points))
        field = grid.vector_field(field, "drift")
        return np.ascontiguousarray(np.moveaxis(field.reshape(*grid.shape, grid.dimension), -1, 0))


@dataclass(frozen=True, init=False, eq=False)
class Heat:
    """v_t = ν Δv: smoothing by a Gaussian of variance 2νt = t/beta (Chaudhari, thesis (4.28)).

    Parameters
    ----------
    beta : float > 0 or math.inf
        The viscosity is ν = 1/(2 beta). Exactly one of beta and viscosity is given.
    viscosity : float >= 0
        ν itself.

    Raises
    ------
    ValueError
        beta <= 0, ν < 0, not exactly one of the two.

    Examples
    --------
    >>> import numpy as np, pdelab as pl
    >>> grid = pl.Grid(0.0, 2 * np.pi, 128, boundary="periodic")
    >>> v = pl.solve(pl.Heat(viscosity=0.5), np.sin(grid.x), grid, 1.0).final
    >>> bool(abs(v.max() - np.exp(-0.5)) < 1e-3)
    True
    """

    beta: float
    viscosity: float
    kinetic = 0.0
    equation = "v_t = ν Δv"

    def __init__(self, beta=None, *, viscosity=None):
        beta, viscosity = _one_of(beta, viscosity, type(self).__name__)
        object.__setattr__(self, "beta", beta)
        object.__setattr__(self, "viscosity", viscosity)

    @property
    def default_scheme(self):
        """`monotone`."""
        return monotone

    def initial(self, values, grid):
        """The initial data as a checked float64 array of shape grid.shape."""
        return grid.field(values, "initial")

    def coefficients(self, grid, time=0.0):
        """Of the generator of sqrt(2ν) dW: Q = νΔ."""
        return Coefficients(diffusivity=self.viscosity)

    def drift_on(self, grid):
        """None: no drift."""


def monotone(problem, grid, values):
    """Godunov's scheme with central viscosity: explicit, monotone, order one in the sup norm, kinks included.

    uⱼ ← uⱼ - dt/2 Σ_i max(p⁻_i⁺, p⁺_i⁻)² + ν dt Σ_i δ_i² u. With drift each axis has the Hamiltonian p²/2 - b p and its
    own exact Godunov flux, max((p⁻-b)⁺, (p⁺-b)⁻)²/2 - b²/2.

    Promises, for dt Σ_i ((L_i + max|b_i|)/h_i + 2ν/h_i²) <= 1 with L_i the largest slope of the data: the update is
    non-decreasing in every node (hence comparison and, without drift, no growth of max|u| or of the slopes) and
    commutes with constants. A larger step is refused. Heat: second order, the maximum principle and, except at
    outflow ends, the mass.

    Boundaries: periodic; reflecting (mirror ghosts); outflow (the outer slope counts as zero and the normal second
    difference is dropped: information only leaves).
    """
    return _explicit(problem, grid, slopes.GODUNOV)


def engquist_osher(problem, grid, values):
    """Engquist-Osher's scheme: as `monotone` with (p⁻⁺)² + (p⁺⁻)² in place of the larger of the two.

    At a local maximum both one-sided slopes act, so the promises need dt Σ_i (2(L_i + max|b_i|)/h_i + 2ν/h_i²) <= 1.
    """
    return _explicit(problem, grid, slopes.ENGQUIST_OSHER)


def fitted(problem, grid, values):
    """A monotone scheme: second order where the grid resolves the viscosity, L h <= 2ν, Godunov's where it does not.

    With q the velocity, p²/2 = max_q (q p - q²/2); for each q the operator ν u_xx - q u_x has the rates
    max(ν/h², |q|/(2h)) ± q/(2h) to the two neighbours, central differences as long as they are monotone and upwind ones
    beyond (the switched form of exponential fitting). The minimum over q is taken exactly, so the update is monotone
    for dt Σ_i max(2ν/h_i², (L_i + max|b_i|)/h_i) <= 1, a larger step than `monotone` may take. Promises and
    boundaries are those of `monotone`; ν -> 0 gives it back. For Heat it is the same scheme.
    """
    if problem.kinetic == 0:
        return monotone(problem, grid, values)
    return _explicit(problem, grid, slopes.FITTED)


def _explicit(problem, grid, kind):
    layout, nu = _layout(grid), problem.viscosity
    h = np.array(grid.spacing)
    drift = problem.drift_on(grid)
    speed = np.zeros(grid.dimension) if drift is None else np.abs(drift).reshape(grid.dimension, -1).max(axis=1)
    upwinded = kind != slopes.GODUNOV or drift is not None
    shift = _shift(drift, grid, layout) if upwinded else None

    def advance(values, time, dt, steps):
        out = np.empty_like(values)
        work = np.empty_like(values) if steps > 1 else out
        arrays = values.reshape(-1), out.reshape(-1), work.reshape(-1)
        k, d = _coefficients(grid, problem.kinetic * dt / 2, nu * dt)
        if upwinded:
            slopes.upwind_march(*arrays, steps, *layout, k, d, shift, kind)
        else:
            slopes.godunov_march(*arrays, steps, *layout, k, d)
        return out

    def bound(values, time):
        largest = problem.kinetic * _largest_slopes(values, grid, layout) + speed
        rate = float(np.sum(_rates(kind, largest / h, 2 * nu / h**2)))
        return 1 / rate if rate > 0 else math.inf

    certificates = {}
    if problem.kinetic == 0 and "outflow" not in grid.boundary:
        certificates["mass"] = lambda values, time: grid.integrate(values)
    return Stepper(advance, bound, fixed=drift is None, certificates=certificates, info={"viscosity": nu})


def _rates(kind, transport, diffusion):
    """What each axis takes away from its own node in unit time, at most."""
    if kind == slopes.FITTED:
        return np.maximum(transport, diffusion)
    return (2 if kind == slopes.ENGQUIST_OSHER else 1) * transport + diffusion


def _layout(grid):
    """(shape, boundary codes) of a grid seen as three axes with leading ones."""
    lead = 3 - grid.dimension
    return (1,) * lead + grid.shape, (slopes.REFLECTING,) * lead + tuple(CODES[name] for name in grid.boundary)


def _coefficients(grid, kinetic, diffusive):
    """(k, d), three numbers each: kinetic/h_i² and diffusive/h_i², zero for the axes that are not there."""
    lead = (0.0,) * (3 - grid.dimension)
    return tuple(lead + tuple(c / h**2 for h in grid.spacing) for c in (kinetic, diffusive))


def _shift(drift, grid, layout):
    """h_i b_i for the kernels: shape (3, rows, n of the last axis); one row of zeros without drift."""
    shape, _ = layout
    if drift is None:
        return np.zeros((3, 1, shape[2]))
    shift = np.zeros((3, shape[0] * shape[1], shape[2]))
    for axis, (b, h) in enumerate(zip(drift, grid.spacing), start=3 - grid.dimension):
        shift[axis] = h * b.reshape(-1, shape[2])
    return shift


def _largest_slopes(values, grid, layout):
    """L_i = largest |one-sided slope| along each axis, shape (d,)."""
    differences = slopes.largest_differences(values.reshape(-1), *layout)
    return differences[3 - grid.dimension :] / np.array(grid.spacing)
