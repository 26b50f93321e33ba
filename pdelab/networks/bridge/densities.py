"""SGD's density on a slice against Fokker-Planck's, with three noises and the second-order correction.

    ρ_t = div(ρ ∇f) + (η/2) Σ_ij ∂_i ∂_j (Σ_ij ρ)

`measured`: Σ(u) of the mini-batches, exact; `isotropic`: a constant times the identity, of the trace that Σ has on
average over SGD's runs; `frozen`: Σ at the lowest node; `second order`: measured, with f + (η/4)|∇f|² in place of f
(Li, Tai & E 2017).

Distances are metrics: for runs P_n of SGD's law P, d(P, ρ) and d(P_n, ρ) are at most d(P_n, P) apart. The intervals
are d(P_n, ρ) plus and minus a quantile of d(P_n*, P_n) over resampled runs. They hold for equal laws too, where
an interval by percentiles would not; elsewhere they are conservative.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pdelab import checks, nonequilibrium, transport
from pdelab.fokker_planck import FokkerPlanck
from pdelab.grid import Grid
from pdelab.hints import Array
from pdelab.networks.bridge.descent import descend
from pdelab.networks.bridge.noise import checked, noise
from pdelab.networks.bridge.subspace import Subspace
from pdelab.stepping import solve

__all__ = [
    "Bins", "Comparison", "LineDistances", "METRICS", "PlaneDistances", "cell_edges", "compare_densities", "draw",
    "initial_density", "problems",
]  # fmt: skip

MODELS = ("measured", "isotropic", "frozen", "second order")
METRICS = ("w1", "w2", "tv")


@dataclass(frozen=True)
class Comparison:
    """SGD beside four Fokker-Planck equations; arrays over the times first.

    Attributes
    ----------
    grid : Grid
    times : array (T,)
    states : array (T, runs, k), on a line (T, runs)
        SGD's runs.
    densities : {model: array (T, *grid.shape)}
    distances, low, high : {metric: {model: array (T,)}}
        "w1", "w2" (in the plane of the laws binned to `cells` cells an axis) and "tv", the total variation of the
        binned laws, with their intervals.
    floor : {metric: array (T,)}
        What as many exact samples of the measured density stay below, at the same confidence.
    gain : {model: array (3,)}
        At the last time W₂ of the model less that of `measured`: value, low, high over resampled runs.
    free_energy : {model: array (T, 3)}
        nonequilibrium.free_energy of SGD's counts for each model's equation, and the range in which that of as many
        exact samples of the model's density lies.
    outside : float
        The largest share of runs outside the grid at any of the times.
    confidence : float
    """

    grid: Grid
    times: np.ndarray
    states: np.ndarray
    densities: dict
    distances: dict
    low: dict
    high: dict
    floor: dict
    gain: dict
    free_energy: dict
    outside: float
    confidence: float

    def consistent(self, model: str = "measured", metric: str = "w2") -> bool:
        """Whether SGD at the last time is as near to the model as exact samples of `measured` are to their law.

        Parameters
        ----------
        model : str
            One of those compared.
        metric : str
            "w1", "w2" or "tv".

        Returns
        -------
        bool
        """
        return bool(self.distances[metric][model][-1] <= self.floor[metric][-1])


def compare_densities(
    subspace: Subspace,
    grid: Grid,
    lr: float,
    times: Sequence[float] | Array,
    *,
    mean: ArrayLike,
    deviation: float,
    batch: int = 1,
    replacement: bool = True,
    runs: int = 2000,
    models: tuple = MODELS,
    cells: int | None = None,
    resamples: int = 100,
    confidence: float = 0.95,
    dt: float | None = None,
    seed: int = 0,
) -> Comparison:
    """Run SGD on a slice and solve Fokker-Planck beside it, from the same Gaussian.

    Parameters
    ----------
    subspace : Subspace
        A line or a plane.
    grid : Grid
        Reflecting: SGD knows no walls, so it should hold all runs.
    lr : float > 0
    times : array (T,)
        Positive multiples of lr, increasing.
    mean, deviation : point, float > 0
        Of the law at time 0, cut off at the ends of the grid.
    batch, replacement
        As in `noise`.
    runs : int >= 2
    models : tuple of str
        Which of `MODELS`; "measured" always is.
    cells : int, optional
        Cells an axis of the binned laws, at most the nodes; default 32, in the plane 16.
    resamples : int >= 20
        Resampled runs, and draws of exact samples for the floor.
    confidence : float in (0, 1)
    dt : float, optional
        Largest step of Fokker-Planck; default: that of `solve`.
    seed : int

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        Arguments out of range, a slice of three dimensions, times that are no multiples of lr.

    Warns
    -----
    AccuracyWarning
        Runs left the grid: the density has walls there that SGD has not.

    Examples
    --------
    >>> from pdelab import Grid
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> from pdelab.networks.bridge import random_directions, restrict
    >>> f = linear_model([[1.0, 0.5], [-1.0, 1.0], [0.5, 2.0], [2.0, -1.0]], [3.0, 3.0, -3.0, -3.0], [0.0, 0.0])
    >>> line = restrict(f, random_directions(f, 1))
    >>> start = {"mean": 0.0, "deviation": 0.3}
    >>> comparison = compare_densities(line, Grid(-4.0, 4.0, 257), 0.1, [0.5, 1.0], runs=200, resamples=20, **start)
    >>> sorted(comparison.distances)
    ['tv', 'w1', 'w2']
    """
    k = checked(subspace).dimension
    if not isinstance(grid, Grid) or grid.dimension != k or k > 2 or any(grid.periodic):
        raise ValueError(f"grid: expected a reflecting Grid of the slice's dimension, 1 or 2 (the slice has {k})")
    lr, steps = checks.positive("lr", lr), _steps(times, lr)
    unknown = [model for model in models if model not in MODELS]
    if unknown:
        checks.refuse("models", f"some of {', '.join(MODELS)}", models)
    runs, resamples = checks.whole("runs", runs, 2), checks.whole("resamples", resamples, 20)
    confidence = checks.within("confidence", confidence, 0, 1, "()")
    bins = Bins.of(grid, cells)
    start = initial_density(grid, mean, deviation)
    generator = np.random.default_rng([checks.seed("seed", seed), 1])
    states = _states(subspace, draw(grid, start, runs, generator), lr, steps, batch, replacement, seed)
    outside = max(_outside(grid, x) for x in states)
    if outside:
        warnings.warn(
            f"grid: up to {outside:.2%} of the runs were outside it, where the density cannot be: widen the grid",
            checks.AccuracyWarning, stacklevel=2,
        )  # fmt: skip
    times = lr * steps
    equations = problems(subspace, grid, lr, batch, replacement, states[-1])
    equations = {name: equations[name] for name in MODELS if name == "measured" or name in models}
    densities = {
        name: _positive(solve(p, start, grid, times, dt=dt).values, grid, name) for name, p in equations.items()
    }
    measure = LineDistances(grid, bins) if k == 1 else PlaneDistances(grid, bins)
    distances, radii, floor = _distances(measure, states, densities, grid, resamples, confidence, generator)
    low = {m: {n: np.maximum(d - radii[m], 0.0) for n, d in by_model.items()} for m, by_model in distances.items()}
    high = {m: {n: d + radii[m] for n, d in by_model.items()} for m, by_model in distances.items()}
    gain = _gains(measure, states[-1], densities, resamples, confidence, generator)
    energy = _energies(equations, grid, states, densities, resamples, confidence, generator)
    return Comparison(
        grid, times, states, densities, distances, low, high, floor, gain, energy, float(outside), confidence
    )


def problems(subspace, grid, lr, batch, replacement, states):
    """{model: FokkerPlanck}; `states` are runs of SGD, over which the trace of the isotropic noise is averaged."""
    f = subspace.loss.on(grid)
    measured = noise(subspace, grid.points, batch, replacement)
    at_runs = noise(subspace, states, batch, replacement)
    line = subspace.dimension == 1
    trace = float((at_runs if line else np.trace(at_runs, axis1=-2, axis2=-1) / subspace.dimension).mean())
    lowest = np.unravel_index(f.argmin(), f.shape)
    identity = np.ones(()) if line else np.eye(subspace.dimension)
    slope = subspace.loss.gradient(grid.points)
    steepness = slope**2 if line else (slope**2).sum(-1)
    fields = {
        "measured": (f, measured),
        "isotropic": (f, np.broadcast_to(trace * identity, measured.shape)),
        "frozen": (f, np.broadcast_to(measured[lowest], measured.shape)),
        "second order": (f + lr / 4 * steepness, measured),
    }
    return {name: FokkerPlanck(u, diffusion=D.copy(), diffusivity=lr / 2) for name, (u, D) in fields.items()}


def initial_density(grid, mean, deviation):
    """A Gaussian on a grid, of mass one there."""
    mean, deviation = checks.reals("mean", mean), checks.positive("deviation", deviation)
    points = grid.points.reshape(*grid.shape, grid.dimension)
    if mean.size != grid.dimension or not np.isfinite(mean).all():
        checks.refuse("mean", f"a point of {grid.dimension} finite numbers", mean)
    density = np.exp(-((points - mean.reshape(-1)) ** 2).sum(-1) / (2 * deviation**2))
    mass = grid.integrate(density)
    if not mass > 0:
        checks.refuse("mean", "a point within some deviations of the grid", mean)
    return density / mass


def draw(grid, density, count, generator):
    """Exact samples of a density: uniform in the cell of a node that is drawn by its mass."""
    masses = (grid.weights * density).ravel()
    nodes = np.unravel_index(generator.choice(masses.size, count, p=masses / masses.sum()), grid.shape)
    columns = []
    for axis, index in zip(grid.axes, nodes):
        edges = cell_edges(axis)
        columns.append(edges[index] + generator.random(count) * (edges[index + 1] - edges[index]))
    return columns[0] if grid.dimension == 1 else np.stack(columns, -1)


def cell_edges(axis):
    """Ends of the cells of an axis's nodes: half cells at both ends."""
    return np.concatenate([axis[:1], (axis[:-1] + axis[1:]) / 2, axis[-1:]])


@dataclass(frozen=True)
class Bins:
    """A coarser partition of a grid's box, made of whole cells of its nodes.

    Attributes
    ----------
    groups : tuple of arrays
        The bin of each node along each axis.
    centres : array (*shape, k)
    """

    grid: Grid
    groups: tuple
    shape: tuple

    @classmethod
    def of(cls, grid, cells=None):
        """Bins of nearly as many cells an axis as were asked for."""
        cells = checks.whole("cells", (32 if grid.dimension == 1 else 16) if cells is None else cells, 2)
        groups = tuple(np.arange(n) * min(cells, n) // n for n in grid.shape)
        return cls(grid, groups, tuple(int(g[-1]) + 1 for g in groups))

    def masses(self, density):
        """The mass of each bin, flat."""
        masses = self.grid.weights * density
        for axis, group in enumerate(self.groups):
            masses = np.add.reduceat(masses, np.flatnonzero(np.diff(group, prepend=-1)), axis)
        return masses.ravel() / masses.sum()

    def place(self, points):
        """The flat index of the bin of each point; points outside count at the nearest end."""
        points = points.reshape(len(points), self.grid.dimension)
        where = []
        for axis, group, x in zip(self.grid.axes, self.groups, points.T):
            where.append(group[np.clip(np.searchsorted(cell_edges(axis), x) - 1, 0, len(axis) - 1)])
        return np.ravel_multi_index(where, self.shape)

    def centres(self):
        """The middle of each bin, (bins, k)."""
        middles = []
        for axis, group in zip(self.grid.axes, self.groups):
            edges = cell_edges(axis)
            starts = np.append(np.flatnonzero(np.diff(group, prepend=-1)), len(axis))
            middles.append((edges[starts[:-1]] + edges[starts[1:]]) / 2)
        return np.stack(np.meshgrid(*middles, indexing="ij"), -1).reshape(-1, len(middles))


class LineDistances:
    """Distances on a line: W₁ and W₂ exact, total variation of binned laws."""

    def __init__(self, grid, bins):
        self.grid, self.bins = grid, bins

    def law(self, density):
        return transport.law(self.grid, density), self.bins.masses(density)

    def sample(self, x):
        return transport.law_of_samples(x), self._share(x)

    def resample(self, x, generator):
        return self.sample(x[generator.integers(len(x), size=len(x))])

    def _share(self, x):
        return np.bincount(self.bins.place(x), minlength=math.prod(self.bins.shape)) / len(x)

    def __call__(self, first, second):
        """(W₁, W₂, total variation)."""
        distances = [transport.wasserstein(first[0], second[0], order) for order in (1, 2)]
        return np.array([*distances, 0.5 * np.abs(first[1] - second[1]).sum()])


class PlaneDistances(LineDistances):
    """Distances in the plane, of laws binned to the centres of bins: exact by a linear programme."""

    def law(self, density):
        return self.bins.masses(density)

    def sample(self, x):
        return self._share(x)

    def __call__(self, first, second):
        centres, distances = self.bins.centres(), []
        full = first > 0, second > 0
        for order in (1, 2):
            weights = first[full[0]], second[full[1]]
            distances.append(
                transport.wasserstein_points(centres[full[0]], centres[full[1]], weights, order=order).distance
            )
        return np.array([*distances, 0.5 * np.abs(first - second).sum()])


def _distances(measure, states, densities, grid, resamples, confidence, generator):
    """{metric: {model: (T,)}}, radii {metric: (T,)}, floor {metric: (T,)}."""
    values, radii, floors = {name: [] for name in densities}, [], []
    for t, x in enumerate(states):
        sample = measure.sample(x)
        laws = {name: measure.law(density[t]) for name, density in densities.items()}
        for name, law in laws.items():
            values[name].append(measure(sample, law))
        again = [measure(measure.resample(x, generator), sample) for _ in range(resamples)]
        fresh = (draw(grid, densities["measured"][t], len(x), generator) for _ in range(resamples))
        floor = [measure(measure.sample(y), laws["measured"]) for y in fresh]
        radii.append(np.quantile(again, confidence, axis=0))
        floors.append(np.quantile(floor, confidence, axis=0))
    values = {name: np.array(v) for name, v in values.items()}
    distances = {metric: {n: v[:, j] for n, v in values.items()} for j, metric in enumerate(METRICS)}
    radii, floors = ({metric: np.array(v)[:, j] for j, metric in enumerate(METRICS)} for v in (radii, floors))
    return distances, radii, floors


def _gains(measure, x, densities, resamples, confidence, generator):
    """{model: (value, low, high)}: W₂ of the model less W₂ of the measured one, resampled in pairs."""
    laws = {name: measure.law(density[-1]) for name, density in densities.items()}

    def w2(sample):
        return np.array([measure(sample, law)[1] for law in laws.values()])

    here = w2(measure.sample(x))
    again = np.array([w2(measure.resample(x, generator)) for _ in range(resamples)])
    gains, tail = {}, (1 - confidence) / 2
    for j, name in enumerate(laws):
        if name != "measured":
            low, high = np.quantile(again[:, j] - again[:, 0], [tail, 1 - tail])
            gains[name] = np.array([here[j] - here[0], low, high])
    return gains


def _energies(equations, grid, states, densities, resamples, confidence, generator):
    """{model: (T, 3)}: the free energy of SGD's counts on the grid, and the range of exact samples'."""
    fine = Bins.of(grid, max(grid.shape))

    def counted(x):
        counts = np.bincount(fine.place(x), minlength=grid.weights.size).reshape(grid.shape)
        return counts / (len(x) * grid.weights)

    energy, tail = {}, (1 - confidence) / 2
    for name, problem in equations.items():
        rows = []
        for x, density in zip(states, densities[name]):
            fresh = (counted(draw(grid, density, len(x), generator)) for _ in range(min(resamples, 40)))
            energies = [nonequilibrium.free_energy(problem, grid, rho) for rho in fresh]
            own = nonequilibrium.free_energy(problem, grid, counted(x))
            rows.append([own, *np.quantile(energies, [tail, 1 - tail])])
        energy[name] = np.array(rows)
    return energy


def _positive(values, grid, name):
    """Densities of mass one; what a scheme of second order leaves below zero must be below 1e-8 of the mass."""
    negative = max(grid.integrate(np.maximum(-rho, 0.0)) for rho in values)
    if negative > 1e-8:
        raise ValueError(f"dt: the density of {name!r} has a negative mass of {negative:.2g}: take smaller steps")
    values = np.maximum(values, 0.0)
    return np.stack([rho / grid.integrate(rho) for rho in values])


def _steps(times, lr):
    """Whole numbers of steps."""
    times = np.atleast_1d(checks.reals("times", times))
    steps = np.round(times / lr)
    good = times.ndim == 1 and times.size and np.isfinite(times).all() and (np.diff(steps, prepend=0) > 0).all()
    if not good or np.abs(times / lr - steps).max() > 1e-6:
        checks.refuse("times", f"increasing positive multiples of lr = {lr}", times.tolist())
    return steps.astype(int)


def _states(subspace, start, lr, steps, batch, replacement, seed):
    """SGD's states at numbers of steps (T, runs, ...)."""
    every = int(np.gcd.reduce(steps))
    run = descend(subspace, start, lr, int(steps[-1]), batch, replacement=replacement, save_every=every, seed=seed)
    return run.states[steps // every]


def _outside(grid, x):
    x = x.reshape(len(x), grid.dimension)
    ends = np.array([(axis[0], axis[-1]) for axis in grid.axes]).T
    return ((x < ends[0]) | (x > ends[1])).any(1).mean()
