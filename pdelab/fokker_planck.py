"""Fokker-Planck: ρ_t = div(ρ grad U) - div(b ρ) + D Δρ, and its adjoint, the backward Kolmogorov equation.

The density of dX = (b - grad U) dt + sqrt(2 D) dW with D = 1/beta (Chaudhari, thesis (4.9), in the form that has
exp(-beta U) as its equilibrium). Rates are those of Scharfetter and Gummel, see `pdelab.generator`; the schemes differ
in what they promise, and each is a function (problem, grid, values) -> Stepper for `pdelab.solve`.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.linalg import eigh_tridiagonal
from scipy.special import ive, xlogy

from pdelab.generator import (
    INTERPRETATIONS, Coefficients, added_diffusion, axis_rates, drops, factored, generator, ito, no_outflow
)  # fmt: skip
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

    @property
    def gibbs(self):
        """True when exp(-U/D) is the equilibrium: a steady potential, nothing else, and D > 0."""
        plain = self.drift is None and self.diffusion is None and self.sigma is None
        return plain and self.potential is not None and self.steady and self.diffusivity > 0

    def initial(self, values, grid):
        """The density on the nodes, checked: finite, >= 0, of the grid's shape."""
        no_outflow(grid)
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
        no_outflow(grid)
        return grid.field(values, "initial")


def implicit(problem, grid, values):
    """Backward Euler: positive, mass and equilibrium kept, free energy falling, for every step; first order in dt.

    Eliminated without subtractions and refined once in flux form, so that the mass does not drift over 1e5 steps. In
    two and three dimensions one such step an axis, one after the other (each axis leaves the Gibbs density alone).
    The rule for dt=None is one cell a step at the speed rms(drift) + 2 D / width, taken over the initial density.
    """
    return _stepper(problem, grid, values, tridiagonal.IMPLICIT)


def crank_nicolson(problem, grid, values):
    """Crank-Nicolson after four backward Euler quarter steps: second order in dt; keeps mass and equilibrium.

    Not positive: with steps too large for the data it may undershoot, see info["minimum"]. In two and three dimensions
    half a step of every axis but the last, a whole one of the last, and back (Strang), so that no step is too large for
    stability. The rule for dt=None is that of `implicit`.
    """
    return _stepper(problem, grid, values, tridiagonal.TRAPEZOID)


def explicit(problem, grid, values):
    """Forward Euler: positive, mass and equilibrium kept, as long as dt times the largest rate out of a node is <= 1."""
    return _stepper(problem, grid, values, tridiagonal.EXPLICIT)


def spectral(problem, grid, values):
    """Exact in time on the grid, by the eigenvectors of the symmetrised generator: one reflecting axis, steady.

    All times cost little more than one: only modes that have not died out at the smallest interval are computed. Not
    positive to the last digit; refused where the initial mass lies so deep in the tails of the equilibrium that
    round-off would show (there `crank_nicolson` serves).
    """
    if grid.boundary != ("reflecting",) or not problem.steady:
        raise ValueError("spectral: expected one reflecting axis and a steady problem; use crank_nicolson otherwise")
    form = ito(problem.coefficients(grid), grid)
    ((up, down),) = axis_rates(form, grid)
    up, down, half = up.ravel(), down.ravel(), _half_cells(problem, grid)
    root = _root_of_equilibrium(up, down, "spectral")
    _check_amplification(values * half, root, problem.adjoint, "spectral")
    diagonal, modes = -up - np.roll(down, 1), {}

    def eigenpairs(dt):
        if not modes or dt < modes["dt"]:
            slowest = (-40 / dt - 1e-9 * np.abs(diagonal).max(), 1.0)
            pairs = eigh_tridiagonal(diagonal, np.sqrt(up[:-1]) * np.sqrt(down[:-1]), select="v", select_range=slowest)
            modes.update(dt=dt, pairs=pairs)
        return modes["pairs"]

    def advance(values, time, dt, steps):
        rates, vectors = eigenpairs(dt * steps)
        scale = 1 / root if problem.adjoint else root
        m = scale * (vectors @ (np.exp(rates * (dt * steps)) * (vectors.T @ (values * half / scale))))
        return m / half

    return Stepper(advance, dt=math.inf, certificates=_certificates(problem, grid, form))


def chebyshev(problem, grid, values):
    """Exact in time on the grid, to round-off, by Chebyshev polynomials of the generator: a steady potential, any d.

    exp(t Q) = exp(-z) (I_0(z) + 2 sum_k I_k(z) T_k(1 + t Q / z)), z = t times the largest rate out of a node: about
    8 sqrt(z) products with Q. Not positive to the last digit. Refused where the initial mass lies so deep in the tails
    of the equilibrium that round-off would show.
    """
    if not problem.gibbs:
        raise ValueError("chebyshev: expected a steady potential alone and D > 0: the spectrum must be real")
    form, half = ito(problem.coefficients(grid), grid), _half_cells(problem, grid)
    U = form.potential - form.potential.min()
    root = np.exp(-U / (2 * problem.diffusivity)) * np.sqrt(grid.weights / np.prod(grid.spacing))
    _check_amplification(values * half, root, problem.adjoint, "chebyshev")
    axes = [_Axis(grid.shape, k, False, up, down, ()) for k, (up, down) in enumerate(axis_rates(form, grid))]
    largest = 1 / _largest_step(form, grid)

    def advance(values, time, dt, steps):
        z = dt * steps * largest
        m = values * half
        shares = _bessel(z)
        before, here = m, _split_change(m, axes, problem.adjoint, 1 / largest)
        total = shares[0] * before + shares[1] * here
        for share in shares[2:]:
            before, here = here, 2 * _split_change(here, axes, problem.adjoint, 1 / largest) - before
            total += share * here
        return total / half

    return Stepper(advance, dt=math.inf, certificates=_certificates(problem, grid, form))


def _bessel(z):
    """exp(-z) I_0(z), 2 exp(-z) I_1(z), ... up to round-off."""
    count = int(8.5 * math.sqrt(z)) + 40
    shares = 2 * ive(np.arange(count), z)
    shares[0] /= 2
    return shares[: max(int(np.flatnonzero(shares > 1e-18)[-1]) + 1, 2)]


def _root_of_equilibrium(up, down, name):
    """Square root of the equilibrium masses of a line, largest one."""
    if (up[:-1] == 0).any() or (down[:-1] == 0).any():
        raise ValueError(f"{name}: expected jumps both ways over every face; without noise there are none against the drift")
    logs = np.concatenate([[0.0], np.cumsum(np.log(up[:-1]) - np.log(down[:-1]))])
    return np.exp((logs - logs.max()) / 2)


def _check_amplification(m, root, adjoint, name):
    """Round-off grows by sum |m| / root (densities) or 1 / root (functions) in the symmetrised picture."""
    total = np.abs(m).sum()
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        growth = 1 / root.min() if adjoint else np.nansum(np.abs(m) / root) / total if total > 0 else 0.0
    if not growth * np.finfo(float).eps < 1e-7:
        raise ValueError(
            f"{name}: the data reach {growth:.1e} times into the tails of the equilibrium, where round-off would show: "
            "use crank_nicolson or implicit, or a smaller box"
        )


def _stepper(problem, grid, values, mode):
    form = ito(problem.coefficients(grid), grid)
    bound, info = lambda values, time: math.inf, {}
    if mode == tridiagonal.EXPLICIT:
        bound = _explicit_bound(problem, grid, form)
    if not form.diagonal:
        advance = _sparse(problem, grid, mode)
        info["added_diffusion"] = float(added_diffusion(problem, grid).max())
    elif grid.dimension > 1:
        advance = _split(problem, grid, form, mode)
    else:
        advance = (_steady_line if problem.steady else _moving_line)(problem, grid, form, mode)
    rule = None if mode == tridiagonal.EXPLICIT else _accuracy_step(form, grid, values)
    fixed = problem.steady or mode != tridiagonal.EXPLICIT
    return Stepper(advance, bound, rule, fixed, _certificates(problem, grid, form), info)


def _explicit_bound(problem, grid, form):
    """1 / (largest rate out of a node)."""

    def at(time):
        if form.diagonal:
            return _largest_step(ito(problem.coefficients(grid, time), grid), grid)
        return 1 / float(-generator(problem, grid, time).diagonal().min())

    steady = at(0.0)
    return lambda values, time: steady if problem.steady else at(time)


def _largest_step(form, grid):
    total = np.zeros(grid.shape)
    for up, down in axis_rates(form, grid):
        total += (up + np.roll(down, 1, axis=1)).reshape(grid.shape)
    return 1 / total.max() if total.max() > 0 else math.inf


def _instant(problem, mode):
    """Where in its step a scheme takes coefficients that depend on time, 0 to 1; the adjoint at the other end."""
    where = {tridiagonal.IMPLICIT: 1.0, tridiagonal.TRAPEZOID: 0.5, tridiagonal.EXPLICIT: 0.0}[mode]
    return 1.0 - where if problem.adjoint and mode != tridiagonal.EXPLICIT else where


def _phases(mode, time, dt, steps):
    """(mode, first time, dt, steps) of a run; Crank-Nicolson begins with four backward Euler quarter steps."""
    if mode == tridiagonal.TRAPEZOID and time == 0:
        return [(tridiagonal.IMPLICIT, time, dt / 4, 4), (mode, time + dt, dt, steps - 1)]
    return [(mode, time, dt, steps)]


def _held(mode, dt):
    """The factor of the rates in I - Q^T: dt, for the trapezoid dt / 2."""
    return dt / 2 if mode == tridiagonal.TRAPEZOID else dt


def _steady_line(problem, grid, form, mode):
    """advance() of one line with constant coefficients, factorised once for each step size."""
    half, n, periodic, known = _half_cells(problem, grid), grid.shape[0], grid.boundary[0] == "periodic", {}

    def prepared(held):
        if held not in known:
            known.clear()
            ((up, down),) = axis_rates(form, grid, held)
            factors = np.empty((5, n))
            tridiagonal.factor(up.reshape(n), down.reshape(n), factors)
            known[held] = up.reshape(n), down.reshape(n), factors
        return known[held]

    def advance(values, time, dt, steps):
        m = values * half
        for phase, _, step, count in _phases(mode, time, dt, steps):
            if count:
                rates = prepared(_held(phase, step))
                tridiagonal.steady_steps(m, *rates, periodic, problem.adjoint, phase, count)
        return m / half

    return advance


def _moving_line(problem, grid, form, mode):
    """advance() of one line whose coefficients depend on time: rates anew in each step."""
    half, a = _half_cells(problem, grid), form.a[0]
    scale, periodic = 1 / grid.spacing[0] ** 2, grid.boundary[0] == "periodic"
    saved = _saved_drops(problem, grid)

    def run(m, phase, time, dt, steps):
        where = _instant(problem, phase)
        for first in range(0, steps, CALLS_AT_ONCE):
            count, begin = min(CALLS_AT_ONCE, steps - first), time + first * dt
            times, faces = saved or _called_drops(problem, grid, begin + (np.arange(count) + where) * dt)
            tridiagonal.moving_steps(
                m, times, faces, a, scale, periodic, problem.adjoint, phase, begin, dt, count, where
            )

    def advance(values, time, dt, steps):
        m = values * half
        for phase in _phases(mode, time, dt, steps):
            run(m, *phase)
        return m / half

    return advance


def _saved_drops(problem, grid):
    """(times, drops) when the only thing that moves is one `Slices`, else None."""
    moving = [field for field in (problem.potential, problem.drift) if _moves(field)]
    if len(moving) == 1 and isinstance(moving[0], Slices):
        return _called_drops(problem, grid, moving[0].times)
    return None


def _called_drops(problem, grid, times):
    forms = (ito(problem.coefficients(grid, time), grid) for time in times)
    return times, np.stack([drops(form.potential, form.drift, grid)[0] for form in forms])


def _split(problem, grid, form, mode):
    """advance() in two and three dimensions, axis by axis."""
    half, known = _half_cells(problem, grid), {}

    def axes(time, phase, dt):
        if not problem.steady:
            return _axes(ito(problem.coefficients(grid, time), grid), grid, phase, dt)
        if (phase, dt) not in known:
            known.clear()
            known[phase, dt] = _axes(form, grid, phase, dt)
        return known[phase, dt]

    def advance(values, time, dt, steps):
        m = values * half
        for phase, begin, step, count in _phases(mode, time, dt, steps):
            for k in range(count):
                here = axes(begin + (k + _instant(problem, phase)) * step, phase, step)
                m = SPLIT_STEPS[phase](m, here, problem.adjoint)
        return m / half

    return advance


@dataclass(frozen=True, eq=False)
class _Axis:
    """Rates and factors of all lines along one axis; the last axis is also kept transposed, so that lines vectorise."""

    shape: tuple
    axis: int
    periodic: bool
    up: np.ndarray  # (outer, n, inner)
    down: np.ndarray
    sweep: tuple  # up, down, inverse, into, outof in the layout of the sweep

    def load(self, m):
        """A copy of the field in the layout of the sweep."""
        if self.axis < len(self.shape) - 1:
            return m.reshape(self.up.shape).copy()
        return _transposed(m.reshape(-1, self.shape[-1]))[None]

    def store(self, x):
        """The field back from the layout of the sweep."""
        return (x if self.axis < len(self.shape) - 1 else _transposed(x[0])).reshape(self.shape)

    def step(self, kernel, m, adjoint):
        """One step along the axis by `backward_euler_lines` or `trapezoid_lines`."""
        x = self.load(m)
        kernel(x, *self.sweep, self.periodic, adjoint, np.empty_like(x))
        return self.store(x)

    def add_change(self, m, adjoint, scale, out):
        """out += scale Q_axis^T m."""
        view = self.up.shape
        tridiagonal.change_lines(m.reshape(view), self.up, self.down, adjoint, scale, out.reshape(view))


def _axes(form, grid, mode, dt):
    """An `_Axis` for each axis. Crank-Nicolson takes every axis but the last twice, with half a step each time."""
    found = []
    for axis, (up, down) in enumerate(axis_rates(form, grid, _held(mode, dt))):
        last, periodic = axis == grid.dimension - 1, grid.boundary[axis] == "periodic"
        if mode == tridiagonal.TRAPEZOID and not last:
            up, down = up / 2, down / 2
        across = tuple(_transposed(rate[:, :, 0])[None] for rate in (up, down)) if last else (up, down)
        inverse = np.empty(across[0].shape)
        into, outof = (np.zeros(inverse.shape if periodic else (1, 1, 1)) for _ in range(2))
        tridiagonal.factor_lines(*across, periodic, inverse, into, outof)
        found.append(_Axis(grid.shape, axis, periodic, up, down, (*across, inverse, into, outof)))
    return found


def _transposed(matrix):
    out = np.empty(matrix.shape[::-1])
    tridiagonal.transpose(matrix, out)
    return out


def _split_implicit(m, axes, adjoint):
    """One backward Euler step an axis; the adjoint takes the axes in reverse order."""
    for axis in reversed(axes) if adjoint else axes:
        m = axis.step(tridiagonal.backward_euler_lines, m, adjoint)
    return m


def _split_trapezoid(m, axes, adjoint):
    """Half steps up to the last axis, its whole step, half steps back: its own adjoint."""
    for axis in (*axes, *reversed(axes[:-1])):
        m = axis.step(tridiagonal.trapezoid_lines, m, adjoint)
    return m


def _split_change(m, axes, adjoint, scale):
    """m + scale sum_k Q_k^T m."""
    out = m.copy()
    for axis in axes:
        axis.add_change(m, adjoint, scale, out)
    return out


def _split_explicit(m, axes, adjoint):
    return _split_change(m, axes, adjoint, 1.0)


SPLIT_STEPS = {
    tridiagonal.IMPLICIT: _split_implicit,
    tridiagonal.TRAPEZOID: _split_trapezoid,
    tridiagonal.EXPLICIT: _split_explicit,
}


def _sparse(problem, grid, mode):
    """advance() for a full matrix D(x): steps through the generator, sparse factors for each step size."""
    half, known = _half_cells(problem, grid), {}

    def prepared(time, held):
        key = (held, 0.0 if problem.steady else time)
        if key not in known:
            known.clear()
            known[key] = _Jumps.of(generator(problem, grid, time), held, mode != tridiagonal.EXPLICIT)
        return known[key]

    def advance(values, time, dt, steps):
        m = (values * half).ravel()
        for phase, begin, step, count in _phases(mode, time, dt, steps):
            for k in range(count):
                jumps = prepared(begin + (k + _instant(problem, phase)) * step, _held(phase, step))
                m = JUMP_STEPS[phase](m, jumps, problem.adjoint)
        return m.reshape(grid.shape) / half

    return advance


@dataclass(frozen=True, eq=False)
class _Jumps:
    """A generator times a step as exchanges between pairs of nodes: what one loses is bit for bit what the other gets."""

    tail: np.ndarray
    head: np.ndarray
    up: np.ndarray
    down: np.ndarray
    gather: sparse.csr_array  # exchange of each pair -> change of each mass
    factors: object  # of I - Q^T

    @classmethod
    def of(cls, Q, held, solve):
        """The exchanges of held Q, factorised when they are to be solved with."""
        jumps, nodes = Q.tocoo(), Q.shape[0]
        keep = jumps.row != jumps.col
        rows, columns, rates = (a[keep].astype(kind) for a, kind in zip((jumps.row, jumps.col, jumps.data), "qqd"))
        pairs, which = np.unique(np.minimum(rows, columns) * nodes + np.maximum(rows, columns), return_inverse=True)
        up = held * np.bincount(which, np.where(rows < columns, rates, 0.0), pairs.size)
        down = held * np.bincount(which, np.where(rows > columns, rates, 0.0), pairs.size)
        tail, head = np.divmod(pairs, nodes)
        count = np.arange(pairs.size)
        signs = np.concatenate([-np.ones(pairs.size), np.ones(pairs.size)])
        places = (np.concatenate([tail, head]), np.concatenate([count, count]))
        gather = sparse.csr_array((signs, places), shape=(nodes, pairs.size))
        return cls(tail, head, up, down, gather, factored(1.0, held, Q.T) if solve else None)

    def change(self, m, adjoint):
        """Q^T m in flux form, adjoint Q m in differences."""
        if adjoint:
            step = m[self.head] - m[self.tail]
            return np.bincount(self.tail, self.up * step, m.size) - np.bincount(self.head, self.down * step, m.size)
        return self.gather @ (self.up * m[self.tail] - self.down * m[self.head])

    def solve(self, m, adjoint):
        """(I - Q^T)^-1 m, adjoint (I - Q)^-1 m."""
        return self.factors.solve(m, trans="T" if adjoint else "N")


def _jump_implicit(m, jumps, adjoint):
    x = jumps.solve(m, adjoint)
    refined = x + jumps.solve(m - x + jumps.change(x, adjoint), adjoint)
    return np.where(np.abs(x) > tridiagonal.TINY, refined, x)


def _jump_trapezoid(m, jumps, adjoint):
    return m + jumps.solve(2 * jumps.change(m, adjoint), adjoint)


def _jump_explicit(m, jumps, adjoint):
    return m + jumps.change(m, adjoint)


JUMP_STEPS = {
    tridiagonal.IMPLICIT: _jump_implicit,
    tridiagonal.TRAPEZOID: _jump_trapezoid,
    tridiagonal.EXPLICIT: _jump_explicit,
}


def _half_cells(problem, grid):
    """Weights over the cell volume: exact powers of two, so that masses are densities without rounding."""
    return np.ones(grid.shape) if problem.adjoint else grid.weights / np.prod(grid.spacing)


def _accuracy_step(form, grid, values):
    """One cell a step at the speed rms(drift) + 2 D / width; the mean is over |values|."""
    share = np.abs(values) * grid.weights
    share = share / share.sum() if share.sum() > 0 else grid.weights / grid.weights.sum()
    rate = 0.0
    for axis, drop in enumerate(drops(form.potential, form.drift, grid)):
        h, width = grid.spacing[axis], grid.upper[axis] - grid.lower[axis]
        D = form.a[axis] if form.diagonal else form.a[..., axis, axis]
        rate += (math.sqrt(float(np.sum(share * drop**2))) / h + 2 * float(np.sum(share * D)) / width) / h
    return 1 / rate if rate > 0 else math.inf


def _certificates(problem, grid, form):
    if problem.adjoint:
        return {}
    found = {"mass": lambda values, time: float(np.sum(grid.weights * values))}
    if problem.gibbs:
        found["free_energy"] = lambda values, time: free_energy(values, form.potential, problem.diffusivity, grid)
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


def _matrix_field(values, shape, name):
    values = np.ascontiguousarray(values, dtype=float)
    if values.shape[: len(shape)] != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: expected finite numbers")
    return values
