"""The steady state of a diffusion on a grid: potential, remaining force, currents, entropy, free energy."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from pdelab.generator import (
    DiffusionProblem,
    axis_rates,
    current,
    divergence,
    generator,
    ito,
    log_stationary,
    stationary,
)
from pdelab.generator.chains import moved_masses
from pdelab.generator.coarser import Coarser
from pdelab.generator.coefficients import asked
from pdelab.generator.currents import ring_current
from pdelab.generator.smearing import warn_of_smearing
from pdelab.generator.truncation import Truncation, fitting
from pdelab.grid import Grid
from pdelab.hints import Array

__all__ = [
    "Decomposition", "Split", "decompose", "dissipation", "entropy_production", "entropy_production_density",
    "force", "free_energy", "potential", "split",
]  # fmt: skip

ROUNDING = 1e-9  # share of the traffic over an edge below which its net current is rounding


@dataclass(frozen=True, eq=False)
class Decomposition:
    """b = j - D grad Φ + div(D)/β on a grid, with what certifies it.

    Attributes
    ----------
    potential : array grid.shape
        Φ = -log(ρ_ss)/β, minimum 0.
    force : array (*grid.shape, d), in one dimension (n,)
        j on the nodes, by central differences of Φ (second order); also where ρ_ss underflows.
    current : tuple of face arrays
        J_ss as `pl.current` gives it: ρ_t = -div J holds exactly on the grid.
    balanced : bool
        Detailed balance: no edge of the grid carries a net current beyond rounding.
    entropy_production : float
    residual : float
        max |div J_ss| over the largest traffic out of a node: rounding.
    """

    potential: Array
    force: Array
    current: tuple[Array, ...]
    balanced: bool
    entropy_production: float
    residual: float


@dataclass(frozen=True, eq=False)
class Split:
    """b = -(D + Q) grad Φ + div(D + Q)/β with an antisymmetric Q, in the plane.

    Attributes
    ----------
    potential : array grid.shape
    Q : array grid.shape
        Q_12 = -Q_21 on the nodes.
    stream : array (n_1 + 1, n_2 + 1)
        The stream function ψ of J_ss on the corners of the nodes' cells, zero on the walls: J_1 = d_2 ψ and
        J_2 = -d_1 ψ on the faces, up to rounding; Q_12 = β ψ/ρ_ss.
    """

    potential: Array
    Q: Array
    stream: Array


def potential(problem: DiffusionProblem, grid: Grid, time: float = 0.0) -> Array:
    """Φ = -log(ρ_ss)/β of a FokkerPlanck problem, minimum 0, of any height (thesis (6.23), sign corrected).

    Parameters
    ----------
    problem : FokkerPlanck
        With any potential, drift, diffusion matrix and interpretation; noise must not vanish.
    grid : Grid
        Closed: reflecting or periodic ends.
    time : float
        When the coefficients are taken, where they move.

    Returns
    -------
    array grid.shape; math.inf on nodes that the chain leaves for ever

    Raises
    ------
    ValueError
        As for `pdelab.stationary`: no noise, an open end, more than one closed class of nodes.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-3.0, 3.0, 301)
    >>> phi = potential(pl.FokkerPlanck(drift=-grid.x, beta=5000.0), grid)
    >>> bool(abs(phi - grid.x**2 / 2).max() < 1e-3)      # exp(-22500) at the ends is no float64
    True
    """
    logs = log_stationary(problem, grid, time)
    return asked(problem, grid, time).diffusivity * (logs.max() - logs)


def decompose(problem: DiffusionProblem, grid: Grid, time: float = 0.0) -> Decomposition:
    """The stationary state of a diffusion: where it sits, and what keeps it from equilibrium.

    D grad Φ is a gradient only where D is isotropic and constant, and div j = 0 is no consequence (thesis, Assumption
    6.22, fails in its own example): what holds is div(j ρ_ss) = 0.

    Parameters
    ----------
    problem, grid, time
        As for `potential`.

    Returns
    -------
    Decomposition

    Raises
    ------
    ValueError
        As for `potential`.

    Examples
    --------
    >>> import numpy as np, pdelab as pl
    >>> grid = pl.Grid((-4, -4), (4, 4), (81, 81))
    >>> turning = pl.FokkerPlanck(drift=grid.points @ np.array([[-1.0, -3.0], [3.0, -1.0]]), beta=1.0)
    >>> state = decompose(turning, grid)
    >>> state.balanced, bool(state.residual < 1e-12)
    (False, True)
    """
    phi = potential(problem, grid, time)
    density = stationary(problem, grid, time)
    with warnings.catch_warnings():  # a current of rounding alone is what `balanced` is for
        warnings.filterwarnings("ignore", message="current: along axis")
        fluxes = current(problem, grid, density, time)
    edges = _Edges.of(problem, grid, density, time)
    produced = entropy_production(problem, grid, time=time)
    residual = np.abs(divergence(fluxes, grid) * grid.weights).max() / max(edges.traffic.max(initial=0.0), 1e-300)
    return Decomposition(phi, force(problem, grid, phi, time), fluxes, edges.balanced, produced, float(residual))


def force(problem, grid, phi, time=0.0):
    """j = b + D grad Φ - div(D)/β on the nodes."""
    coefficients = asked(problem, grid, time)
    form = ito(coefficients, grid)
    d, scale = grid.dimension, coefficients.diffusivity
    slope = grid.gradient(np.where(np.isfinite(phi), phi, 0.0)).reshape(*grid.shape, d)
    j = np.zeros((*grid.shape, d))
    if form.potential is not None:
        j -= grid.gradient(form.potential).reshape(*grid.shape, d)
    if form.drift is not None:
        j += form.drift.reshape(*grid.shape, d)
    a = np.stack([part[..., None] * row for part, row in zip(form.a, np.eye(d))], -2) if form.diagonal else form.a
    for i in range(d):
        for k in range(d):
            entry = a[..., i, k]
            if np.ptp(entry):
                j[..., i] -= grid.gradient(entry).reshape(*grid.shape, d)[..., k]
            j[..., i] += entry * slope[..., k] / scale
    return j[..., 0] if d == 1 else j


def entropy_production(
    problem: DiffusionProblem, grid: Grid, density: ArrayLike | None = None, time: float = 0.0
) -> float:
    """Entropy produced per time, in units of Boltzmann's constant: β ∫ j·D^-1 j ρ, zero in detailed balance only.

    Parameters
    ----------
    problem : FokkerPlanck
    grid : Grid
    density : array grid.shape or None
        None: the stationary one.
    time : float
        When the coefficients are taken, where they move.

    Returns
    -------
    float >= 0, possibly math.inf (a current against no noise)

    Raises
    ------
    ValueError
        As for `potential`; a density that does not fit the grid.

    Warns
    -----
    AccuracyWarning
        Nodes so far apart that it is off by more than 5 %: of the stationary law on a diagonal diffusion; of another
        density by what every second node makes of it, where an axis has an odd number of nodes, a circle an even one.

    Notes
    -----
    On a diagonal diffusion, or with both directions on every edge, the result is the exact entropy production of the
    Markov chain on the grid, sum J log(forward/backward) (Schnakenberg 1976): math.inf where a current takes an edge
    with one direction only, as there is without noise. Otherwise it is the integral of j·D^-1 j by central
    differences. Thesis, Lemma 6.25, prints it with the opposite sign and a divergence.

    Examples
    --------
    A particle pushed around a ring against friction, v²/D in time:

    >>> import pdelab as pl
    >>> grid = pl.Grid(0.0, 1.0, 200, boundary="periodic")
    >>> round(entropy_production(pl.FokkerPlanck(drift=np.full(200, 2.0), diffusivity=0.5), grid), 6)
    8.0
    """
    if density is not None:
        density = grid.field(density, "density")
        produced = _production(_Edges.of(problem, grid, density, time), problem, grid, time)
        _tell_of_given(produced, density, problem, grid, time)
        return produced
    density = stationary(problem, grid, time)
    if grid.periodic == (True,):
        ((up, down),) = axis_rates(ito(asked(problem, grid, time), grid), grid)
        produced = _on_ring(up.ravel(), down.ravel())
    else:
        edges = _Edges.of(problem, grid, density, time)
        produced = _production(edges, problem, grid, time)
        if edges.balanced:
            return produced
    if 0 < produced < math.inf:
        _tell_of_production(produced, density, problem, grid, time)
    return produced


def entropy_production_density(
    problem: DiffusionProblem, grid: Grid, density: ArrayLike | None = None, time: float = 0.0
) -> Array:
    """Where the entropy is produced: a field whose `grid.integrate` is `entropy_production`.

    Parameters
    ----------
    problem, grid, density, time
        As for `entropy_production`.

    Returns
    -------
    array grid.shape, >= 0

    Warns
    -----
    AccuracyWarning
        As `entropy_production`.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(0.0, 1.0, 50, boundary="periodic")
    >>> problem = pl.FokkerPlanck(grid.x * (1 - grid.x), drift=np.full(50, 2.0), diffusivity=0.5)
    >>> field = entropy_production_density(problem, grid)
    >>> bool(field.min() >= 0), bool(abs(grid.integrate(field) / entropy_production(problem, grid) - 1) < 1e-12)
    (True, True)
    """
    given, density = density, stationary(problem, grid, time) if density is None else grid.field(density, "density")
    edges = _Edges.of(problem, grid, density, time)
    if given is None and grid.periodic == (True,):
        edges = edges.around(current(problem, grid, density, time)[0], problem, grid, time)
    if not edges.exact:
        return _continuous(problem, grid, edges.log_mass - np.log(grid.weights).ravel(), time)
    per_node = np.zeros(grid.weights.size)
    for ends in (edges.start, edges.end):
        np.add.at(per_node, ends, 0.5 * edges.flow * edges.affinity)
    tell, produced = _tell_of_production if given is None else _tell_of_given, float(per_node.sum())
    if 0 < produced < math.inf and not edges.balanced:
        tell(produced, density, problem, grid, time)
    return per_node.reshape(grid.shape) / grid.weights


def free_energy(problem: DiffusionProblem, grid: Grid, density: ArrayLike, time: float = 0.0) -> float:
    """F = KL(ρ | ρ_ss)/β, which decreases along the Fokker-Planck equation for any stationary state (Theorem 6.24).

    Parameters
    ----------
    problem, grid, time
        As for `potential`.
    density : array grid.shape
        Nonnegative, of mass 1.

    Returns
    -------
    float >= 0; math.inf where ρ has mass that ρ_ss has not

    Raises
    ------
    ValueError
        As for `potential`; a negative density or one of another mass.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-6.0, 6.0, 241)
    >>> problem, shifted = pl.FokkerPlanck(grid.x**2 / 2, beta=2.0), np.exp(-((grid.x - 1) ** 2))
    >>> round(free_energy(problem, grid, shifted / grid.integrate(shifted)), 6)            # shift²/2
    0.5
    """
    density = _density(grid, density)
    logs = log_stationary(problem, grid, time)
    there = density > 0
    if np.isneginf(logs[there]).any():
        return math.inf
    excess = np.zeros(grid.shape)
    ratio = np.log(density[there]) - logs[there]
    # ρ log(ρ/π) - ρ + π, which is >= 0 node by node; the masses are equal, so that the sum is the same
    excess[there] = density[there] * (ratio - 1) + np.exp(logs[there])
    excess[~there] = np.exp(logs[~there])
    return max(asked(problem, grid, time).diffusivity * float(grid.integrate(excess)), 0.0)


def dissipation(problem: DiffusionProblem, grid: Grid, density: ArrayLike, time: float = 0.0) -> tuple[float, float]:
    """(dF/dt on the grid, -∫ ρ D grad δF·grad δF): the two sides of Theorem 6.24, δF = log(ρ/ρ_ss)/β.

    The first is the exact derivative of the free energy along the chain, which is never positive; the second is the
    integral by central differences. They agree to second order. The theorem does not need div j = 0.

    Parameters
    ----------
    problem, grid, time
        As for `potential`.
    density : array grid.shape
        Positive, of mass 1.

    Returns
    -------
    (on_the_chain, as_an_integral) : floats <= 0

    Raises
    ------
    ValueError
        A density that is zero somewhere or of another mass; what `potential` refuses.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-6.0, 6.0, 241)
    >>> problem, shifted = pl.FokkerPlanck(grid.x**2 / 2, beta=2.0), np.exp(-((grid.x - 1) ** 2))
    >>> [round(rate, 2) for rate in dissipation(problem, grid, shifted / grid.integrate(shifted))]
    [-1.0, -1.0]
    """
    density = _density(grid, density)
    if not (density > 0).all():
        raise ValueError("density: expected positive values, so that its logarithm has a gradient, got zeros")
    scale = asked(problem, grid, time).diffusivity
    excess = np.log(density) - log_stationary(problem, grid, time)
    rate = -divergence(current(problem, grid, density, time), grid)
    slope = grid.gradient(excess).reshape(*grid.shape, grid.dimension)
    form = ito(asked(problem, grid, time), grid)
    if form.diagonal:
        square = sum(a * slope[..., k] ** 2 for k, a in enumerate(form.a))
    else:
        square = np.einsum("...i,...ij,...j->...", slope, form.a, slope)
    return scale * float(grid.integrate(rate * excess)), -scale * float(grid.integrate(density * square))


def split(problem: DiffusionProblem, grid: Grid, time: float = 0.0) -> Split:
    """Write the drift as b = -(D + Q) grad Φ + div(D + Q)/β with div row by row (thesis (6.53)), in a closed plane box.

    The thesis calls Q unique. It is not: Q_12 + c exp(β Φ) serves as well for any c. Here ψ = 0 on the walls fixes c.

    Parameters
    ----------
    problem, grid, time
        As for `potential`; the grid is a closed box in the plane.

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        Other than two dimensions (on an interval Q = 0; in space Q has a whole field of gauges), periodic axes.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid((-4, -4), (4, 4), (41, 41))
    >>> turning = pl.FokkerPlanck(drift=grid.points @ np.array([[-1.0, -3.0], [3.0, -1.0]]), beta=1.0)
    >>> round(float(split(turning, grid).Q[20, 20]), 1)                  # dX = -(I + Q) X dt + sqrt(2) dW, Q_12 = -3
    -3.0
    """
    if not isinstance(grid, Grid) or grid.dimension != 2 or any(grid.periodic):
        raise ValueError("grid: expected a closed box in the plane, where the current has a stream function")
    phi, density = potential(problem, grid, time), stationary(problem, grid, time)
    first = current(problem, grid, density, time)[0]
    stream = np.zeros(
        (grid.shape[0] + 1, grid.shape[1] + 1)
    )  # on the corners of the nodes' cells; the frame is the walls
    stream[1:-1, 1:-1] = np.cumsum(first * grid.axis_weights[1], axis=1)[:, :-1]
    centre = 0.25 * (stream[:-1, :-1] + stream[1:, :-1] + stream[:-1, 1:] + stream[1:, 1:])
    scale = asked(problem, grid, time).diffusivity
    with np.errstate(divide="ignore", invalid="ignore"):
        q = np.where(density > 0, centre / (scale * density), 0.0)
    return Split(phi, q, stream)


@dataclass(frozen=True, eq=False)
class _Edges:
    """Net flows and affinities over the edges of the chain, each edge once."""

    start: np.ndarray
    end: np.ndarray
    flow: np.ndarray
    affinity: np.ndarray
    traffic: np.ndarray
    log_mass: np.ndarray
    exact: bool

    @classmethod
    def of(cls, problem, grid, density, time):
        """The edges of a problem's chain with this density."""
        return cls.of_chain(generator(problem, grid, time), ito(asked(problem, grid, time), grid), grid, density)

    @classmethod
    def of_chain(cls, Q, form, grid, density):
        """The edges of the chain of a form."""
        Q = Q.tocsr()
        joined = sparse.triu(Q != 0, 1) + sparse.tril(Q != 0, -1).T
        start, end = joined.tocoo().coords
        rate, back = (np.asarray(Q[ends]).ravel() for ends in ((start, end), (end, start)))
        both = bool((rate > 0).all() and (back > 0).all())
        with np.errstate(divide="ignore", invalid="ignore"):
            log_mass = np.log(grid.weights.ravel()) + np.log(density.ravel())
            logs = log_mass[start] + np.log(rate), log_mass[end] + np.log(back)
            affinity = logs[0] - logs[1]
            flow = np.exp(np.maximum(*logs)) * np.copysign(-np.expm1(-np.abs(affinity)), affinity)
        infinite = np.isinf(affinity) & ((rate == 0) | (back == 0)) & (flow != 0)  # else a mass below float64
        good = np.isfinite(affinity) | infinite
        flow, affinity = np.where(good, flow, 0.0), np.where(good, affinity, 0.0)
        traffic = np.where(good, np.exp(logs[0]) + np.exp(logs[1]), 0.0)
        exact = both or form.diagonal
        return cls(start, end, flow, affinity, traffic, log_mass, exact)

    def around(self, flow, problem, grid, time):
        """The edges of a ring with its current on each: the affinity is log(1 + |J|/flow against it), of any size."""
        rates = axis_rates(ito(asked(problem, grid, time), grid), grid)[0]
        up, down = (rate.ravel() for rate in rates)
        nodes = np.arange(flow.size)
        flow = flow if (up > 0).all() or (down > 0).all() else np.zeros(flow.size)
        less = np.where(flow > 0, down * np.exp(np.roll(self.log_mass, -1)), up * np.exp(self.log_mass))
        with np.errstate(divide="ignore", invalid="ignore"):
            affinity = np.where(flow == 0, 0.0, np.copysign(np.log1p(np.abs(flow) / less), flow))
        return _Edges(nodes, np.roll(nodes, -1), flow, affinity, np.abs(flow) + 2 * less, self.log_mass, True)

    @property
    def balanced(self):
        """No edge with more net flow than rounding makes."""
        return bool((np.abs(self.flow) <= ROUNDING * self.traffic).all())


def _production(edges, problem, grid, time):
    """Total entropy production over the edges, or by the integral where an edge has one direction only."""
    if not edges.exact:
        logs = edges.log_mass - np.log(grid.weights).ravel()
        return float(grid.integrate(_continuous(problem, grid, logs, time)))
    return max(float(np.sum(edges.flow * edges.affinity)), 0.0)


def _on_ring(up, down):
    """The current times the affinity of one turn; infinite where all jumps but one go one way round."""
    if not (np.minimum(up, down) > 0).all():
        return math.inf if (up > 0).all() or (down > 0).all() else 0.0
    flow, affinity = ring_current(up, down)
    return flow * affinity


def _tell_of_production(produced, density, problem, grid, time):
    """Warn where what the rates leave out, to leading order, moves the entropy production by much."""
    form = ito(asked(problem, grid, time), grid)
    if not form.diagonal:
        return
    truncation, better = Truncation.of(form, grid), produced
    if grid.periodic == (True,):
        up, down, _, more_up, more_down = truncation.axes[0]
        better = _on_ring(up * (1 + more_up), down * (1 + more_down))
    else:
        better += _moved_production(density * grid.weights, generator(problem, grid, time), truncation)
    moved = max(produced / better, better / produced) - 1 if better > 0 else math.inf
    warn_of_smearing("the entropy production is", min(moved, 1e300), None, form, grid, stacklevel=4)


def _tell_of_given(produced, density, problem, grid, time):
    """Warn where every second node would make another entropy production of a given density."""
    coefficients = asked(problem, grid, time)
    coarser = Coarser.of(coefficients, grid)
    if coarser is None or not 0 < produced < math.inf:
        return
    fewer = coarser.taken(density, grid).reshape(coarser.grid.shape)
    edges = _Edges.of_chain(coarser.chain, coarser.form, coarser.grid, fewer)
    orders = 1 if coarser.grid is grid else 3
    moved = abs(float(np.sum(edges.flow * edges.affinity)) / produced - 1) / orders if edges.exact else 0.0
    warn_of_smearing("the entropy production is", min(moved, 1e300), None, ito(coefficients, grid), grid, stacklevel=4)


def _moved_production(masses, Q, truncation):
    """What the truncation adds to Σ J log(forward/backward); zero where rounding decides.

    The law moves to δm and the fluxes J to those of better rates. Over a face J is linear and the density exponential.
    """
    moved, excess, change = moved_masses(masses, Q, truncation), truncation.fluxes(masses), 0.0
    if moved is None:
        return 0.0
    for axis, (up, down, _, more_up, more_down) in enumerate(truncation.axes):
        there = np.roll(masses, -1, axis)
        joined = (up > 0) & (down > 0) & (masses > 0) & (there > 0) & (np.minimum(more_up, more_down) > -1)
        with np.errstate(divide="ignore", invalid="ignore"):
            forwards, backwards, fall = up * masses, down * there, np.log(masses / there)
            flow, affinity = forwards - backwards, np.log(forwards / backwards)
            resistance = np.where(np.abs(affinity) > 1e-6, affinity / flow, 1 / forwards)
            rise = (np.roll(flow, -1, axis) - np.roll(flow, 1, axis)) / 2
            terms = (up * moved - down * np.roll(moved, -1, axis) - excess[axis]) * affinity
            terms += flow * (np.log1p(more_up) - np.log1p(more_down))
            terms += resistance * rise * (flow * fitting(fall) + rise / 12)
        change += float(terms[joined].sum())
    return change


def _continuous(problem, grid, log_density, time):
    """ρ β j·D^-1 j on the nodes."""
    coefficients = asked(problem, grid, time)
    logs = log_density.reshape(grid.shape)
    scale, d = coefficients.diffusivity, grid.dimension
    j = force(problem, grid, scale * (logs.max() - logs), time).reshape(*grid.shape, d)
    a = ito(coefficients, grid).a
    values, vectors = np.linalg.eigh(a)
    along = np.einsum("...ik,...i->...k", vectors, j)
    still = values <= 1e-12 * values.max(-1, keepdims=True)
    square = np.divide(along**2, values, where=~still, out=np.zeros_like(along))
    if (np.abs(along[still]) > 1e-6 * max(np.abs(j).max(), 1e-300)).any():
        return np.full(grid.shape, math.inf)
    return np.exp(logs) * square.sum(-1)


def _density(grid, density):
    density = grid.field(density, "density")
    if not (density >= 0).all() or abs(grid.integrate(density) - 1) > 1e-9:
        raise ValueError(
            f"density: expected nonnegative values of integral 1, got minimum {density.min():.6g} and integral "
            f"{grid.integrate(density):.12g}: divide it by its integral"
        )
    return density
