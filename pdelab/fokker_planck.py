"""Fokker-Planck: ρ_t = div(ρ grad U) - div(b ρ) + D Δρ, and its adjoint, the backward Kolmogorov equation.

The density of dX = (b - grad U) dt + sqrt(2 D) dW with D = 1/beta (Chaudhari, thesis (4.9), in the form that has
exp(-beta U) as its equilibrium). Rates are those of Scharfetter and Gummel, see `pdelab.generator`; the schemes differ
in what they promise, and each is a function (problem, grid, values) -> Stepper for `pdelab.solve`.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy

from pdelab.generator import INTERPRETATIONS, Coefficients, drops
from pdelab.stencils import tridiagonal
from pdelab.stepping import Stepper

CALLS_AT_ONCE = 256  # steps whose time-dependent coefficients are evaluated together


@dataclass(frozen=True, eq=False)
class Slices:
    """A field saved at times, linear in between and constant beyond: a potential or drift for `FokkerPlanck`.

    times : increasing, shape (k,)
    values : shape (k, *grid.shape), for a drift (k, *grid.shape, d)

    Examples
    --------
    >>> Slices([0.0, 2.0], np.array([[0.0, 0.0, 0.0], [2.0, 4.0, 6.0]]))(0.5)
    array([0.5, 1. , 1.5])
    """

    times: np.ndarray
    values: np.ndarray

    def __post_init__(self):
        times, values = np.array(self.times, dtype=float), np.asarray(self.values, dtype=float)
        if times.ndim != 1 or times.size == 0 or not np.isfinite(times).all() or not (np.diff(times) > 0).all():
            raise ValueError(f"times: expected strictly increasing finite times, got {self.times!r}")
        if values.shape[:1] != times.shape or not np.isfinite(values).all():
            raise ValueError(f"values: expected one finite field for each of {times.size} times, got {values.shape}")
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "values", values)

    @classmethod
    def scoped(cls, solution, duration):
        """s -> u(., T (1 - s / duration)) of a Solution up to T: the smoothing undone while the density moves."""
        last = solution.times[-1]
        return cls(duration * (1 - solution.times[::-1] / last), solution.values[::-1])

    def __call__(self, time):
        k = int(np.clip(np.searchsorted(self.times, time) - 1, 0, max(len(self.times) - 2, 0)))
        if len(self.times) == 1:
            return self.values[0]
        part = np.clip((time - self.times[k]) / (self.times[k + 1] - self.times[k]), 0.0, 1.0)
        return (1 - part) * self.values[k] + part * self.values[k + 1]


@dataclass(frozen=True, init=False, eq=False)
class FokkerPlanck:
    """ρ_t = div(ρ grad U) - div(b ρ) + D Δρ with no flux through the box: densities ρ in, densities out.

    Parameters
    ----------
    potential : Loss, array grid.shape, callable t -> array, or None
        U. Its Gibbs density exp(-U/D) is the exact discrete equilibrium.
    drift : array (*grid.shape, d), in one dimension (n,), callable t -> array, or None
        b, averaged to the faces. With both the drift is b - grad U.
    beta : float > 0 or math.inf
        Inverse temperature: D = 1/beta; math.inf means no noise. Exactly one of beta and diffusivity.
    diffusivity : float >= 0
        D itself.
    diffusion : array (*grid.shape, d, d), in one dimension (n,), or None
        Σ(x) = σ σ^T, symmetric and positive semi-definite; D multiplies it. The identity by default.
    interpretation : str
        How σ dW is read: "ito", "stratonovich", "klimontovich", or "fick" for D div(Σ grad ρ).
    sigma : array (*grid.shape, d, k), in one dimension (n,), or None
        A factor σ of Σ other than the symmetric square root; it gives Σ when `diffusion` is not given.

    Raises
    ------
    ValueError
        Not exactly one of beta and diffusivity, beta <= 0, D < 0, an unknown interpretation; later, a field that does
        not fit the grid, a negative density, an outflow boundary.

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
    diffusivity: float
    diffusion: object
    interpretation: str
    sigma: object
    adjoint = False
    equation = "ρ_t = div(ρ grad U) - div(b ρ) + D Δρ"

    def __init__(
        self, potential=None, drift=None, *, beta=None, diffusivity=None, diffusion=None, interpretation="ito", sigma=None
    ):
        if interpretation not in INTERPRETATIONS:
            raise ValueError(f"interpretation: expected one of {', '.join(INTERPRETATIONS)}, got {interpretation!r}")
        if hasattr(drift, "on"):
            raise ValueError("drift: expected a vector field or a function of time; give a Loss as potential")
        values = (potential, drift, _diffusivity(beta, diffusivity), diffusion, interpretation, sigma)
        for key, value in zip(("potential", "drift", "diffusivity", "diffusion", "interpretation", "sigma"), values):
            object.__setattr__(self, key, value)

    @property
    def beta(self):
        """Inverse temperature 1/D, math.inf without noise."""
        return 1 / self.diffusivity if self.diffusivity > 0 else math.inf

    @property
    def default_scheme(self):
        """`implicit`: positive for every step."""
        return implicit

    @property
    def steady(self):
        """True when neither potential nor drift depends on time."""
        return not (_moves(self.potential) or _moves(self.drift))

    def initial(self, values, grid):
        """The density on the nodes, checked: finite, >= 0, of the grid's shape."""
        _no_outflow(grid)
        values = grid.field(values, "initial")
        if values.min() < 0:
            raise ValueError(f"initial: expected a density >= 0, got {values.min():.6g}")
        return values

    def coefficients(self, grid, time=0.0):
        """The problem's `Coefficients` on the grid at one time, checked."""
        potential, drift = _at(self.potential, time), _at(self.drift, time)
        matrix = grid.shape if grid.dimension == 1 else (*grid.shape, grid.dimension, grid.dimension)
        return Coefficients(
            None if potential is None else grid.field(potential, "potential"),
            None if drift is None else grid.vector_field(drift, "drift"),
            self.diffusivity,
            None if self.diffusion is None else _matrix_field(self.diffusion, matrix, "diffusion"),
            None if self.sigma is None else _matrix_field(self.sigma, matrix[:-1] if grid.dimension > 1 else matrix, "sigma"),
            self.interpretation,
        )


class BackwardKolmogorov(FokkerPlanck):
    """v_t = (b - grad U)·grad v + D Δv: expectations v(x, t) = E[v(X_t, 0) | X_0 = x], the adjoint of `FokkerPlanck`.

    Takes the same arguments. Each step is the exact transpose of the Fokker-Planck step in the weights of the grid, so
    that sum(w v(T) ρ(0)) = sum(w v(0) ρ(T)) to round-off. Its time runs backwards: a potential or drift that depends on
    time is given as a function of the time to go.

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

    def initial(self, values, grid):
        """The function on the nodes, checked: finite, of the grid's shape."""
        _no_outflow(grid)
        return grid.field(values, "initial")


def implicit(problem, grid, values):
    """Backward Euler: positive, mass and equilibrium kept, free energy falling, for every step; first order in dt.

    Solved without subtractions and refined once in flux form, so that the mass does not drift over 1e5 steps.
    The rule for dt=None is one cell a step at the speed rms(drift) + 2 D / width, taken over the initial density.
    """
    return _stepper(problem, grid, values, True)


def crank_nicolson(problem, grid, values):
    """Crank-Nicolson after four backward Euler quarter steps: second order in dt; keeps mass and equilibrium.

    Not positive: with steps too large for the data it may undershoot, see info["minimum"]. The rule for dt=None is
    that of `implicit`.
    """
    return _stepper(problem, grid, values, False)


def _stepper(problem, grid, values, implicit):
    advance = _steady_line(problem, grid, implicit) if problem.steady else _moving_line(problem, grid, implicit)
    return Stepper(advance, dt=_accuracy_step(problem, grid, values), certificates=_certificates(problem, grid))


def _steady_line(problem, grid, implicit):
    """advance() of one line with constant coefficients, factorised once for each step size."""
    half, D = _half_cells(problem, grid), _node_diffusivity(problem, grid)
    (drop,) = drops(problem.coefficients(grid), grid)
    periodic = grid.boundary[0] == "periodic"
    known = {}

    def prepared(dt):
        if dt not in known:
            up, down, factors = np.empty(drop.size), np.empty(drop.size), np.empty((5, drop.size))
            tridiagonal.rates(drop, D, dt / grid.spacing[0] ** 2, periodic, up, down)
            tridiagonal.factor(up, down, factors)
            known.clear()
            known[dt] = up, down, factors
        return known[dt]

    def advance(values, time, dt, steps):
        m = values * half
        if not implicit and time == 0:
            tridiagonal.steady_steps(m, *prepared(dt / 4), periodic, problem.adjoint, True, 4)
            steps -= 1
        tridiagonal.steady_steps(m, *prepared(dt if implicit else dt / 2), periodic, problem.adjoint, implicit, steps)
        return m / half

    return advance


def _moving_line(problem, grid, implicit):
    """advance() of one line whose coefficients depend on time: rates anew in each step."""
    half, D = _half_cells(problem, grid), _node_diffusivity(problem, grid)
    scale, periodic = 1 / grid.spacing[0] ** 2, grid.boundary[0] == "periodic"
    saved = _saved_drops(problem, grid)
    end = 0.0 if problem.adjoint else 1.0  # transposed steps come in reverse order: each takes its rates at its other end

    def run(m, time, dt, steps, euler):
        where = end if euler else 0.5
        for first in range(0, steps, CALLS_AT_ONCE):
            count = min(CALLS_AT_ONCE, steps - first)
            begin = time + first * dt
            times, faces = saved
            if faces is None:
                times = begin + (np.arange(count) + where) * dt
                faces = np.stack([drops(problem.coefficients(grid, t), grid)[0] for t in times])
            tridiagonal.moving_steps(
                m, times, faces, D, scale, periodic, problem.adjoint, euler, begin, dt, count, where
            )

    def advance(values, time, dt, steps):
        m = values * half
        if not implicit and time == 0:
            run(m, time, dt / 4, 4, True)
            time, steps = time + dt, steps - 1
        run(m, time, dt, steps, implicit)
        return m / half

    return advance


def _saved_drops(problem, grid):
    """(times, drops) when the only thing that moves is one `Slices`, else (None, None)."""
    moving = [field for field in (problem.potential, problem.drift) if _moves(field)]
    if len(moving) != 1 or not isinstance(moving[0], Slices):
        return None, None
    times = moving[0].times
    return times, np.stack([drops(problem.coefficients(grid, t), grid)[0] for t in times])


def _half_cells(problem, grid):
    """Weights over the cell volume: exact powers of two, so that masses are densities without rounding."""
    return np.ones(grid.shape) if problem.adjoint else grid.weights / np.prod(grid.spacing)


def _node_diffusivity(problem, grid):
    D = np.full(grid.shape, problem.diffusivity)
    return D


def _accuracy_step(problem, grid, values):
    """One cell a step at the speed rms(drift) + 2 D / width; the mean is over |values|."""
    share = np.abs(values) * grid.weights
    share = share / share.sum() if share.sum() > 0 else grid.weights / grid.weights.sum()
    rate = 0.0
    for drop, h, low, high in zip(drops(problem.coefficients(grid), grid), grid.spacing, grid.lower, grid.upper):
        rate += (math.sqrt(float(np.sum(share * drop**2))) / h + 2 * problem.diffusivity / (high - low)) / h
    return 1 / rate if rate > 0 else math.inf


def _certificates(problem, grid):
    if problem.adjoint:
        return {}
    found = {"mass": lambda values, time: grid.integrate(values)}
    if problem.steady and problem.potential is not None and problem.drift is None and problem.diffusion is None:
        U = problem.coefficients(grid).potential
        found["free_energy"] = lambda values, time: free_energy(values, U, problem.diffusivity, grid)
    return found


def free_energy(density, potential, diffusivity, grid):
    """F(ρ) = ∫ U ρ + D ρ log ρ dx, which the Fokker-Planck equation decreases (Chaudhari, thesis section 4.1)."""
    density = np.asarray(density)
    return grid.integrate(potential * density + diffusivity * xlogy(density, density))


def _diffusivity(beta, diffusivity):
    """D from exactly one of beta and diffusivity."""
    if (beta is None) == (diffusivity is None):
        got = "both" if beta is not None else "neither"
        raise ValueError(f"FokkerPlanck: give exactly one of beta and diffusivity (diffusivity = 1/beta), got {got}")
    value, word = (beta, "beta") if diffusivity is None else (diffusivity, "diffusivity")
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"FokkerPlanck: expected {word} as a number, got {value!r}") from error
    if diffusivity is None:
        if not number > 0:
            raise ValueError(f"FokkerPlanck: expected beta > 0 (math.inf for no noise), got {value!r}")
        return 1 / number
    if not 0 <= number < math.inf:
        raise ValueError(f"FokkerPlanck: expected a finite diffusivity >= 0, got {value!r}")
    return number


def _moves(field):
    """A function of time: callable, but not a Loss."""
    return callable(field) and not hasattr(field, "on")


def _at(field, time):
    return field(time) if _moves(field) else field


def _no_outflow(grid):
    if "outflow" in grid.boundary:
        raise ValueError(
            "Fokker-Planck needs reflecting (no flux) or periodic boundaries, got outflow: "
            "the density that leaves would have to be followed; take a larger reflecting box"
        )


def _matrix_field(values, shape, name):
    values = np.ascontiguousarray(values, dtype=float)
    if values.shape[: len(shape)] != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: expected finite numbers")
    return values
