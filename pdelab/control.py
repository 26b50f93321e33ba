"""Stochastic control: -u_t = -grad f·grad u - |grad u|²/2 + D Δu with u(·, T) = V, and what it says about smoothing.

    dX = (-grad f - α) dt + sqrt(2 D) dB,     cost  E[V(X_T) + ½∫|α|² dt],     best control  α* = grad u

(Chaudhari, thesis (4.29)-(4.32) with D = 1/(2 beta); the printed u_t = H lacks the minus.) Three routes to u:

- the Hamilton-Jacobi-Bellman equation by a monotone scheme, `hamilton_jacobi_bellman`;
- the logarithmic transform u = -2D log E[exp(-V(X_T)/(2D))], exact in time on the generator Q, `logarithmic_transform`;
- the cost of simulated paths, `controlled_paths`.

With h = exp(-u/(2D)), backward by Q, and φ, forward by its transpose from ρ₀/h(·, 0), the product h φ is the density of
the optimally controlled process: `forward_backward`, whose mass is the duality <h, φ> and stays one to round-off.
Without f this is the smoothing equation itself, and the scoped flow dX = -grad u(X, T - t) dt + sqrt(2D) dB ends
exactly in the local Gibbs law of local entropy (Föllmer).
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import identity

from pdelab.fokker_planck import BackwardKolmogorov, FokkerPlanck, Slices
from pdelab.generator import generator
from pdelab.hamilton_jacobi import HamiltonJacobi, fitted, terminal
from pdelab.noise import normals
from pdelab.stencils.uniformisation import poisson_sum
from pdelab.stepping import solve

LARGEST_EXPONENT = 700.0  # exp(-x) keeps all its digits up to here
PATHS_AT_ONCE, STEPS_AT_ONCE = 8192, 256


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

    def potential_on(self, grid):
        """f on the nodes; zeros without a loss."""
        return np.zeros(grid.shape) if self.loss is None else grid.field(self.loss, "loss")

    def terminal_on(self, grid):
        """V on the nodes."""
        return grid.field(self.terminal, "terminal")

    def generator(self, grid):
        """Q of the uncontrolled motion dX = -grad f dt + sqrt(2 D) dB, a Markov generator on the nodes."""
        return generator(BackwardKolmogorov(self.potential_on(grid), diffusivity=self.diffusivity), grid).tocsr()


@dataclass(frozen=True, eq=False)
class Value:
    """The value function at saved times: values[k] = u(·, times[k]), so that u at the horizon is the terminal cost.

    control : Control
    grid : Grid
    times : (k,), increasing, in [0, T]
    values : (k, *grid.shape)
    info : dict, how it was computed
    """

    control: Control
    grid: object
    times: np.ndarray
    values: np.ndarray
    info: dict

    def __call__(self, time):
        """u(·, time) on the nodes, linear between saved times."""
        return Slices(self.times, self.values)(time)

    def optimal(self, time):
        """α* = grad u(·, time) on the nodes, shape (*grid.shape, d), in one dimension (n,)."""
        return self.grid.gradient(self(time))


def hamilton_jacobi_bellman(control, grid, times, *, scheme=fitted, dt=None):
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

    Notes
    -----
    Monotone; of second order in the spacing where the grid resolves D, of first order elsewhere. Chaudhari, thesis
    (4.31), where the text before it prints u_t = H for -u_t = H.
    """
    times = _checked_times(times, control.horizon)
    loss = control.loss
    if loss is not None and not hasattr(loss, "gradient"):
        loss = -grid.gradient(grid.field(loss, "loss"))
    problem = HamiltonJacobi(viscosity=control.diffusivity, drift=loss)
    values = control.terminal_on(grid)
    solution = terminal(problem, values, grid, control.horizon, times, scheme=scheme, dt=dt)
    return Value(control, grid, times, solution.values, solution.info)


def logarithmic_transform(control, grid, times):
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

    Notes
    -----
    Second order in the spacing. The exponential of Q is summed from non-negative terms only, so that u is accurate
    where exp(-u/(2D)) is tiny, too. Cost: about 2 D d T/h² products with Q. Chaudhari, thesis (4.31)-(4.32); Fleming.
    """
    times = _checked_times(times, control.horizon)
    h, shift = _weights_of_paths(control, grid, times)
    return Value(control, grid, times, shift - 2 * control.diffusivity * np.log(h), {"route": "logarithmic_transform"})


@dataclass(frozen=True, eq=False)
class ForwardBackward:
    """The value function backward and the density of the optimally controlled process forward, on one generator.

    control : Control
    grid : Grid
    times : (k,)
    values : (k, *grid.shape), u(·, times[k])
    densities : (k, *grid.shape), ρ(·, times[k]), of mass one in the weights of the grid
    """

    control: Control
    grid: object
    times: np.ndarray
    values: np.ndarray
    densities: np.ndarray

    @property
    def duality(self):
        """<h, φ> at each time: the mass of ρ, one to round-off because h and φ move by Q and its transpose."""
        return self.grid.integrate(self.densities)


def forward_backward(control, grid, initial, times):
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
    times = _checked_times(times, control.horizon)
    h, shift = _weights_of_paths(control, grid, np.union1d(0.0, times))
    start = _checked_density(grid, initial)
    phi = _forward(control, grid, start / h[0], times)
    h = h[-len(times) :]
    return ForwardBackward(control, grid, times, shift - 2 * control.diffusivity * np.log(h), h * phi)


def controlled_density(value, initial, times, *, scheme=None, dt=None):
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
    """
    if value.times[0] > 0:
        raise ValueError(f"value: expected its times to start at 0, got {value.times[0]:.6g}")
    _checked_times(times, value.times[-1])
    potential = Slices(value.times, value.values + value.control.potential_on(value.grid))
    problem = FokkerPlanck(potential, diffusivity=value.control.diffusivity)
    return solve(problem, initial, value.grid, times, scheme=scheme, dt=dt)


def point_mass(grid, point):
    """A unit mass at a point as a density on the nodes around it: the transpose of `grid.interpolate`.

    <v, ρ> is the interpolated v(point) for every field v, so mass and mean are exact; at a node it is that node alone.

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
    for x, axis, h, low, boundary in zip(where, grid.axes, grid.spacing, grid.lower, grid.boundary):
        position = (x - low) / h
        if boundary == "periodic":
            position %= axis.size
        nearest = round(position)
        position = nearest if abs(position - nearest) < 1e-12 * axis.size else position  # rounding of the node itself
        k, line = int(position), np.zeros(axis.size)
        line[k % axis.size] += 1 - (position - k)
        line[(k + 1) % axis.size] += position - k
        masses = masses[..., None] * line
    return masses / grid.weights


# -- Theorem 4.11 -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gap:
    """Theorem 4.11 as an equality: plain - controlled = effort + effort_plain = 2D (entropy + entropy_plain).

    plain : E V(X_T) without control
    controlled : E V(X_T) under the best control
    effort : ½E∫|grad u|² along controlled paths
    effort_plain : ½E∫|grad u|² along the paths without control
    entropy : KL(controlled | plain) of the laws of the paths
    entropy_plain : KL(plain | controlled)
    diffusivity : D
    """

    plain: float
    controlled: float
    effort: float
    effort_plain: float
    entropy: float
    entropy_plain: float
    diffusivity: float

    @property
    def residual(self):
        """(plain - controlled) - (effort + effort_plain): zero up to the grid's error of second order."""
        return self.plain - self.controlled - self.effort - self.effort_plain

    @property
    def ratio(self):
        """(plain - controlled)/(2 effort) = ½(1 + KL(plain|controlled)/KL(controlled|plain)), above ½.

        Theorem 4.11 says that plain - controlled is at least `effort`, that is ratio >= ½.
        """
        return (self.plain - self.controlled) / (2 * self.effort)


def gap(control, grid, initial, *, nodes=32):
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

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-5.0, 5.0, 401)
    >>> start = np.exp(-grid.x**2)
    >>> found = gap(Control(None, pl.Loss("x**2/2"), 1.0, 0.5), grid, start / grid.integrate(start))
    >>> bool(abs(found.residual) < 1e-4 and found.plain > found.controlled + found.effort)
    True
    """
    D, T = control.diffusivity, control.horizon
    abscissae, weights = np.polynomial.legendre.leggauss(nodes)
    times = np.concatenate([[0.0], T * (abscissae + 1) / 2, [T]])
    start, V = _checked_density(grid, initial), control.terminal_on(grid)
    h, shift = _weights_of_paths(control, grid, times)
    u = shift - 2 * D * np.log(h)
    phi, plain = (_forward(control, grid, one, times) for one in (start / h[0], start))
    controlled = h * phi
    speed = np.stack([np.square(grid.gradient(one)).reshape(*grid.shape, -1).sum(-1) for one in u[1:-1]])
    effort, effort_plain = (T / 4 * weights @ grid.integrate(rho[1:-1] * speed) for rho in (controlled, plain))
    ends = [grid.integrate(rho[-1] * V) for rho in (plain, controlled)]
    start_value = grid.integrate(start * u[0])
    entropies = (start_value - ends[1]) / (2 * D), (ends[0] - start_value) / (2 * D)
    return Gap(*map(float, (*ends, effort, effort_plain, *entropies, D)))


# -- paths ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PathCost:
    """What simulated paths paid; arrays (paths,) and (paths[, d]).

    terminal : V(X_T)
    effort : ½∫|α|² dt
    martingale : sqrt(2D)∫α·dB, of mean zero. Under the best control terminal + effort - martingale = u(X_0, 0) on
        every single path: its spread measures how far a control is from the best.
    states : X_T
    """

    terminal: np.ndarray
    effort: np.ndarray
    martingale: np.ndarray
    states: np.ndarray

    @property
    def cost(self):
        """terminal + effort."""
        return self.terminal + self.effort


def controlled_paths(value, initial, *, paths, steps, seed, controlled=True):
    """Simulate dX = (-grad f - grad u) dt + sqrt(2D) dB over [0, T] and add up what each path pays.

    Parameters
    ----------
    value : Value
        u at saved times from 0 to T, linear in between and multilinear in space: steps + 1 equal times serve best.
    initial : float or array (d,) or (paths[, d])
    paths, steps : int
    seed : int
        Noise is addressed by (seed, path, step).
    controlled : bool
        False: α = 0, the plain process.

    Returns
    -------
    PathCost

    Notes
    -----
    Stochastic Heun, of weak order two for additive noise; paths are mirrored at the walls of a reflecting box, and a
    path that meets a wall loses an order.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-8.0, 8.0, 801)
    >>> value = logarithmic_transform(Control(None, pl.Loss("x**2/2"), 1.0, 0.5), grid, np.linspace(0, 1, 51))
    >>> found = controlled_paths(value, 0.0, paths=1000, steps=50, seed=1)
    >>> bool(abs((found.cost - found.martingale).mean() - np.log(2) / 2) < 1e-2)     # D log(1 + T)
    True
    """
    problem, grid = value.control, value.grid
    if not (value.times[0] == 0 and value.times[-1] == problem.horizon):
        raise ValueError(
            f"value: expected times from 0 to T = {problem.horizon}, got {value.times[0]} to {value.times[-1]}"
        )
    for name, count in (("paths", paths), ("steps", steps)):
        if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
            raise ValueError(f"{name}: expected a whole number >= 1, got {count!r}")
    states = _initial_states(initial, paths, grid)
    tables = _path_tables(value, steps, controlled)
    parts = []
    for first in range(0, paths, PATHS_AT_ONCE):
        chunk = range(first, min(first + PATHS_AT_ONCE, paths))
        noise = _kicks(problem, seed, chunk, steps, grid.dimension)
        parts.append(_march(grid, states[chunk.start : chunk.stop], tables, noise, problem.horizon / steps))
    effort, martingale, ends = (np.concatenate(part) for part in zip(*parts))
    ends = ends[..., 0] if grid.dimension == 1 else ends
    V = problem.terminal
    paid = V(ends) if callable(V) else grid.interpolate(problem.terminal_on(grid), ends)
    return PathCost(paid, effort, martingale, ends)


def _path_tables(value, steps, controlled):
    """[drift and α side by side] at the steps' times: arrays (*grid.shape, 2d)."""
    grid, control = value.grid, value.control
    shape = (*grid.shape, grid.dimension)
    if control.loss is None:
        free = np.zeros(shape)
    elif hasattr(control.loss, "gradient"):
        free = -np.reshape(control.loss.gradient(grid.points), shape)
    else:
        free = -np.reshape(grid.gradient(control.potential_on(grid)), shape)
    if not controlled:
        return [np.concatenate([free, np.zeros(shape)], axis=-1)] * (steps + 1)
    alphas = (np.reshape(value.optimal(time), shape) for time in np.linspace(0.0, control.horizon, steps + 1))
    return [np.concatenate([free - alpha, alpha], axis=-1) for alpha in alphas]


def _kicks(problem, seed, chunk, steps, d):
    """sqrt(2D) dB of each step in turn, (paths, d); drawn by blocks of steps, so that long runs need no more memory."""
    scale = math.sqrt(2 * problem.diffusivity * problem.horizon / steps)
    for first in range(0, steps, STEPS_AT_ONCE):
        for noise in normals(seed, chunk, range(first, min(first + STEPS_AT_ONCE, steps)), d):
            yield scale * noise.T


def _march(grid, x, tables, noise, dt):
    effort, martingale = np.zeros(len(x)), np.zeros(len(x))
    drift, alpha = _at(grid, tables[0], x)
    for ahead, kick in zip(tables[1:], noise):
        guess = _inside(grid, x + drift * dt + kick)
        x = _inside(grid, x + (drift + _at(grid, ahead, guess)[0]) * (dt / 2) + kick)
        before = alpha
        drift, alpha = _at(grid, ahead, x)
        effort += dt / 4 * ((before**2).sum(-1) + (alpha**2).sum(-1))
        martingale += (before * kick).sum(-1)
    return effort, martingale, x


def _at(grid, table, x):
    """Drift and α at points (paths, d), multilinear."""
    if grid.dimension == 1:  # a plain table look-up: four times faster than the general one
        position = (x[:, 0] - grid.lower[0]) / grid.spacing[0]
        if grid.boundary[0] == "periodic":
            position %= len(table)
            table = np.concatenate([table, table[:1]])
        k = np.minimum(position.astype(int), len(table) - 2)
        values = table[k] + (position - k)[:, None] * (table[k + 1] - table[k])
    else:
        values = grid.interpolate(table, x)
    return values[..., : grid.dimension], values[..., grid.dimension :]


def _inside(grid, x):
    """Mirror points at the walls of reflecting axes; periodic axes wrap by themselves."""
    for axis, (low, high, boundary) in enumerate(zip(grid.lower, grid.upper, grid.boundary)):
        if boundary != "periodic":
            turn = np.mod(x[..., axis] - low, 2 * (high - low))
            x[..., axis] = low + np.minimum(turn, 2 * (high - low) - turn)
    return x


def _initial_states(initial, paths, grid):
    d = grid.dimension
    try:
        states = np.asarray(initial, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"initial: expected a point or one point a path, got {initial!r}") from error
    states = states[..., None] if d == 1 else states
    if states.shape not in ((d,), (paths, d)):
        raise ValueError(
            f"initial: expected one point of {d} coordinates or {paths} of them, got shape {np.shape(initial)}"
        )
    states = np.broadcast_to(states, (paths, d)).copy()
    grid.interpolate(np.zeros(grid.shape), states[..., 0] if d == 1 else states)  # inside the box, or ValueError
    return states


# -- the exponential of Q ---------------------------------------------------------------------------------------


def _weights_of_paths(control, grid, times):
    """(h, shift): h = exp(-(u - shift)/(2D)) at the times, shift = min V."""
    D = control.diffusivity
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
    return semigroup(control.generator(grid), start, control.horizon - times[::-1])[::-1].reshape(
        -1, *grid.shape
    ), shift


def _forward(control, grid, density, times):
    """W⁻¹ exp(t Q^T) W applied to a density, at the times."""
    w = grid.weights.ravel()
    masses = semigroup(control.generator(grid).T.tocsr(), w * density.ravel(), times)
    return (masses / w).reshape(-1, *grid.shape)


def semigroup(Q, start, times):
    """exp(t Q) start for a non-negative start and a matrix with non-negative off-diagonals, by uniformisation.

    With Λ >= max|Q_ii| and P = I + Q/Λ >= 0,  exp(tQ) = Σ_k e^{-Λt}(Λt)^k/k! P^k: no term is negative, so every entry
    keeps its relative accuracy however small it is. The sum is cut by a bound on the remainder relative to the result,
    from r = max (P v)_i/v_i and s = min (P v)_i/v_i:  s^k v <= P^k v <= r^k v.

    Parameters
    ----------
    Q : scipy sparse matrix (n, n)
    start : array (n,), >= 0
    times : increasing sequence >= 0

    Returns
    -------
    array (len(times), n)

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> Q = csr_matrix([[-1.0, 1.0], [2.0, -2.0]])
    >>> semigroup(Q, np.array([1.0, 0.0]), [50.0]).round(12)
    array([[0.66666667, 0.66666667]])
    """
    start = np.asarray(start, dtype=float)
    if not (start >= 0).all():
        raise ValueError(f"start: expected numbers >= 0, got minimum {start.min():.6g}")
    rate = float(-Q.diagonal().min())
    if rate == 0:
        return np.broadcast_to(start, (len(times), start.size)).copy()
    P = (Q / rate + identity(Q.shape[0], format="csr")).tocsr()
    P.data[:] = np.maximum(P.data, 0.0)  # the largest |Q_ii| leaves a zero that rounding may put below
    values, now, out = start, 0.0, np.empty((len(times), start.size))
    for k, time in enumerate(times):
        pieces = max(math.ceil(rate * (time - now) / 400.0), 1)  # exp(-400) is far from underflow
        for _ in range(pieces if time > now else 0):
            values = _poisson_sum(P, values, rate * (time - now) / pieces)
        out[k], now = values, time
    return out


def _poisson_sum(P, values, mean):
    total, power, work = (np.empty(values.size) for _ in range(3))
    poisson_sum(P.indptr, P.indices, P.data, values, mean, _terms(P @ values, values, mean), total, power, work)
    return total


def _terms(power, values, mean):
    """How many terms leave a remainder below 1e-18 of every entry of the result, by Chernoff's bound.

    Where neighbours differ by more than a factor of 8 (or are zero) the bound would ask for too many terms: then the
    remainder is below 1e-60 of the largest entry.
    """
    largest, smallest, target = 1.0, 1.0, math.log(1e-60)
    if values.min() > 0:
        ratio = power / values
        if ratio.max() <= 8.0:
            largest, smallest, target = max(float(ratio.max()), 1.0), min(float(ratio.min()), 1.0), math.log(1e-18)
    top = mean * largest
    k = math.ceil(top) + 1
    while k * (1 + math.log(top / k)) - mean * smallest > target:
        k += 1 + k // 50
    return k


# -- at the door ------------------------------------------------------------------------------------------------


def _checked_times(times, horizon):
    try:
        found = np.array(np.atleast_1d(times), dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"times: expected a number or an increasing sequence of numbers, got {times!r}") from error
    good = found.ndim == 1 and found.size > 0 and np.isfinite(found).all() and (np.diff(found) > 0).all()
    if not good or found[0] < 0 or found[-1] > horizon:
        raise ValueError(f"times: expected increasing times in [0, T = {horizon:.6g}], got {times!r}")
    return found


def _checked_density(grid, values):
    values = grid.field(values, "initial")
    if values.min() < 0:
        raise ValueError(f"initial: expected a density >= 0, got {values.min():.6g}")
    if abs(grid.integrate(values) - 1) > 1e-9:
        raise ValueError(f"initial: expected mass one, got {grid.integrate(values):.12g}: divide it by its integral")
    return values
