"""Does smoothing help on a slice? Which minima the algorithms, the exact equations and the best control end in.

From one law of starts and with the same number of gradients, on the same slice of a network:

    optimizers      those that `training.train` knows, thousands of runs at once, on mini-batches
    "smoothed"      u' = -∇f_γ(u), f_γ the exact local entropy of the slice
    "control"       dX = (-∇f - ∇u) dt + √(2D) dB, u the value function of the cost `weight` f at the end (4.29)

A run is judged by the minimum of f that gradient descent without noise finds from its end. For the control, Theorem
4.11 is measured twice: by the equations (`control.gap`) and on simulated paths.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.ndimage import minimum_filter
from scipy.stats import binomtest

from pdelab import checks, control
from pdelab.closed_forms import cole_hopf
from pdelab.grid import Grid
from pdelab.networks.bridge.densities import draw, initial_density
from pdelab.networks.bridge.descent import mini_batches
from pdelab.networks.bridge.noise import batch_factor, checked, noise
from pdelab.networks.bridge.subspace import Subspace
from pdelab.networks.training.setup import make_optimizer

__all__ = ["Basins", "bootstrap", "compare_basins", "lowest_points"]

PLAIN = {"sgd": {"optimizer": "sgd", "momentum": 0.0, "nesterov": False}}
NOWHERE = -1  # the basin of runs that end at none of the minima: beyond the grid, or on a plateau
LONGEST = 5000  # steps of a descent without noise
PARTS = 256  # of the horizon, in simulated control


@dataclass(frozen=True)
class Basins:
    """Where runs from the same starts end; arrays over the runs.

    Attributes
    ----------
    grid : Grid
    minima : array (m, k)
        Of the slice's loss on the grid, the lowest first.
    values : array (m,)
        The loss there.
    smoothed_minimiser : array (k,)
        The lowest node of f_γ.
    smoothed_basin : int
        The basin that holds it.
    starts : array (runs, k)
    ends : {name: array (runs, k)}
    losses : {name: array (runs,)}
        f at the ends.
    basins : {name: array (runs,)}
        The number of the minimum that a descent without noise finds from the end; -1 for none.
    theorem : control.Gap or None
        Theorem 4.11 by the equations; None, as the next three, where no control was asked for.
    gain, effort, surplus : array (3,)
        The same on paths: mean of weight (f(X_plain) - f(X_controlled)), of ½∫|α|² dt, and of their difference, which
        the theorem says is at least 0: value, low, high.
    diffusivity : float
        D, half the rate times the isotropic noise of SGD at its ends.
    outside : float
        The largest share of an optimizer's runs that end beyond the grid.
    baseline : str
    confidence : float
    resamples, seed : int
        Of the intervals.
    """

    grid: Grid
    minima: np.ndarray
    values: np.ndarray
    smoothed_minimiser: np.ndarray
    smoothed_basin: int
    starts: np.ndarray
    ends: dict
    losses: dict
    basins: dict
    theorem: control.Gap | None
    gain: np.ndarray | None
    effort: np.ndarray | None
    surplus: np.ndarray | None
    diffusivity: float
    outside: float
    baseline: str
    confidence: float
    resamples: int
    seed: int

    def depths(self, name: str) -> np.ndarray:
        """The loss at the minimum of each run's basin, or at its end where that leads to none.

        Parameters
        ----------
        name : str
            A contestant.

        Returns
        -------
        array (runs,)
        """
        basin = self.basins[name]
        return np.where(basin >= 0, self.values[basin], self.losses[name])

    def share(self, name: str, basin: int = 0) -> np.ndarray:
        """Share of the runs in a basin, with Wilson's interval.

        Parameters
        ----------
        name : str
            A contestant.
        basin : int
            Number of a minimum, by default the lowest; -1: runs that end in none.

        Returns
        -------
        array (3,)
            value, low, high.
        """
        hits, runs = int((self.basins[name] == basin).sum()), len(self.starts)
        interval = binomtest(hits, runs).proportion_ci(self.confidence, method="wilson")
        return np.array([hits / runs, interval.low, interval.high])

    def difference(self, name: str) -> np.ndarray:
        """Mean depth less that of the baseline, resampled in pairs of one start.

        Parameters
        ----------
        name : str
            A contestant.

        Returns
        -------
        array (3,)
            value, low, high.
        """
        gaps = self.depths(name) - self.depths(self.baseline)
        return bootstrap(gaps, self.resamples, self.confidence, [self.seed, 3])


def compare_basins(
    subspace: Subspace,
    grid: Grid,
    gradients: int,
    *,
    mean: ArrayLike,
    deviation: float,
    gamma: float,
    beta: float,
    lr: float,
    contestants: dict[str, dict] | None = None,
    batch: int = 1,
    weight: float | None = 1.0,
    runs: int = 1000,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Basins:
    """Run the algorithms and the exact equations from the same starts on a slice, and see which minima they reach.

    Parameters
    ----------
    subspace : Subspace
        A line or a plane.
    grid : Grid
        Reflecting: of the equations and of the search for minima. Wide enough for all runs.
    gradients : int
        Mini-batch gradients that each run of an optimizer takes; the horizon of the control is `gradients` lr.
    mean, deviation : point, float > 0
        Of the Gaussian law of the starts, cut off at the ends of the grid.
    gamma, beta : float > 0
        Of the exact local entropy; contestants have scopes of their own.
    lr : float > 0
        Rate of plain SGD, which is the baseline "sgd".
    contestants : {name: {"optimizer": ..., option: value}}, optional
        Further optimizers of `training.train` with one replica; an inner loop must divide `gradients`.
    batch : int >= 1
        Samples of a mini-batch, drawn with replacement, and the same ones for all contestants.
    weight : float > 0 or None
        Of the loss at the end against the control's effort; 1 in the thesis. None: no control.
    runs, resamples : int
    confidence : float in (0, 1)
    seed : int

    Returns
    -------
    Basins

    Raises
    ------
    ValueError
        Arguments out of range; a grid without a minimum inside; an inner loop that does not divide `gradients`.
    FloatingPointError
        Runs of an optimizer became infinite.

    Warns
    -----
    AccuracyWarning
        More than 1 % of an optimizer's runs ended beyond the grid.

    References
    ----------
    Chaudhari, thesis, section 4.3 and Theorem 4.11.

    Examples
    --------
    >>> from pdelab import Grid
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> from pdelab.networks.bridge import restrict
    >>> line = restrict(linear_model([[1.0], [2.0]], [1.0, 1.0], [0.0]), np.eye(1))
    >>> common = {"mean": 0.0, "deviation": 0.2, "gamma": 0.1, "beta": 5.0, "weight": None}
    >>> basins = compare_basins(line, Grid(-3.0, 3.0, 121), 10, lr=0.1, runs=20, resamples=50, **common)
    >>> basins.minima.round(2), set(basins.basins["sgd"].tolist())          # one minimum, and all runs in its basin
    (array([[0.6]]), {0})
    """
    k = checked(subspace).dimension
    if not isinstance(grid, Grid) or grid.dimension != k or k > 2 or set(grid.boundary) != {"reflecting"}:
        raise ValueError(f"grid: expected a reflecting Grid of the slice's dimension, 1 or 2 (the slice has {k})")
    gradients, runs = checks.whole("gradients", gradients), checks.whole("runs", runs, 2)
    lr, weight = checks.positive("lr", lr), weight if weight is None else checks.positive("weight", weight)
    gamma, beta = checks.positive("gamma", gamma), checks.positive("beta", beta)
    confidence = checks.within("confidence", confidence, 0, 1, "()")
    resamples, seed = checks.whole("resamples", resamples, 20), checks.seed("seed", seed)
    batch_factor(subspace.functions.count, batch, True)
    density = initial_density(grid, mean, deviation)
    starts = draw(grid, density, runs, np.random.default_rng([seed, 2])).reshape(runs, k)
    minima, values = lowest_points(subspace, grid)
    members = {"sgd": PLAIN["sgd"] | {"lr": lr}} | dict(contestants or {})
    ends = {
        name: _optimized(subspace, starts, name, settings, gradients, batch, seed) for name, settings in members.items()
    }
    outside = _beyond(grid, ends)
    smooth = cole_hopf(subspace.loss.on(grid), grid, gamma, beta)
    ends["smoothed"] = _flow(_interpolated(grid, smooth), starts, _rate(grid, smooth), box=(grid.lower, grid.upper))
    D, theorem = lr / 2 * _isotropic(subspace, ends["sgd"], batch), None
    gain = effort = surplus = None
    if weight is not None:
        problem = control.Control(subspace.loss.on(grid), weight * subspace.loss.on(grid), gradients * lr, D)
        ends["control"], pairs = _controlled(problem, grid, starts, seed)
        gain, effort, surplus = (bootstrap(sample, resamples, confidence, [seed, 4]) for sample in pairs)
        theorem = control.gap(problem, grid, density)
    least = grid.points.reshape(-1, k)[smooth.argmin()]
    step = _rate(grid, subspace.loss.on(grid))
    return Basins(
        grid, minima, values, least, int(_basins(subspace, grid, least[None], minima, step)[0]), starts, ends,
        {name: _losses(subspace, x) for name, x in ends.items()},
        {name: _basins(subspace, grid, x, minima, step) for name, x in ends.items()},
        theorem, gain, effort, surplus, float(D), outside, "sgd", confidence, resamples, seed,
    )  # fmt: skip


def bootstrap(sample: ArrayLike, resamples: int, confidence: float, seed: int | list[int]) -> np.ndarray:
    """The mean of a sample with the percentile interval of resampled means: value, low, high."""
    sample, generator = np.asarray(sample, float), np.random.default_rng(seed)
    means = [sample[generator.integers(len(sample), size=len(sample))].mean() for _ in range(resamples)]
    return np.array([sample.mean(), *np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])])


def lowest_points(subspace: Subspace, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """The minima of a slice's loss inside a grid, (m, k), the lowest first, and the loss there.

    Nodes below all their neighbours, polished by Newton's method; a minimum between nodes that no node sees is missed.
    """
    f, k = subspace.loss.on(grid), grid.dimension
    inside = np.zeros(grid.shape, bool)
    inside[(slice(1, -1),) * k] = True
    nodes = grid.points.reshape(*grid.shape, k)[(minimum_filter(f, 3, mode="nearest") == f) & inside]
    if not len(nodes):
        raise ValueError("grid: expected one that holds a minimum of the slice's loss inside: move or widen it")
    points, spacing = nodes.copy(), max(grid.spacing)
    for _ in range(20):
        x = points[:, 0] if k == 1 else points
        slope = np.reshape(subspace.loss.gradient(x), (-1, k))
        bend = np.reshape(subspace.loss.hessian(x), (-1, k, k))
        convex = np.linalg.eigvalsh(bend)[:, 0] > 0
        moved = np.linalg.solve(bend[convex], -slope[convex][..., None])[..., 0]
        near = np.abs(points[convex] + moved - nodes[convex]).max(1) <= 2 * spacing
        points[np.flatnonzero(convex)[near]] += moved[near]
    values = _losses(subspace, points)
    order = np.argsort(values)
    return points[order], values[order]


class _Runs(torch.nn.Module):
    """Points of a slice as the weights of a model: the optimizers act on each number alone."""

    def __init__(self, points):
        super().__init__()
        self.u = torch.nn.Parameter(points.clone())


def _optimized(subspace, starts, name, settings, gradients, batch, seed):
    """Ends (runs, k) of an optimizer after so many mini-batch gradients."""
    if not isinstance(settings, dict) or "optimizer" not in settings:
        checks.refuse("contestants", "{name: {'optimizer': ..., option: value}}", settings)
    functions, options = subspace.functions, dict(settings)
    model = _Runs(functions.points(starts))
    stepper, _ = make_optimizer(options.pop("optimizer"), [model], options, seed)
    loop = stepper.param_groups[0].get("inner_steps", 1)
    if gradients % loop:
        checks.refuse("gradients", f"a multiple of the inner loop of {name!r}, {loop}", gradients)
    for step in range(1, gradients + 1):
        drawn = torch.from_numpy(mini_batches(seed, step, len(starts), batch, functions.count, True))
        model.u.grad = functions.batch_gradient(model.u.detach(), drawn.to(model.u.device))
        stepper.step()
    getattr(stepper, "eval", lambda: None)()
    ends = model.u.detach().cpu().double().numpy()
    if not np.isfinite(ends).all():
        lost = int((~np.isfinite(ends).all(1)).sum())
        raise FloatingPointError(f"contestants: {lost} runs of {name!r} became infinite: lower its rate")
    return ends


def _controlled(problem, grid, starts, seed):
    """Ends of controlled paths, and (gain, effort, gain - effort) of each of them beside the plain one."""
    first = starts[:, 0] if grid.dimension == 1 else starts
    with warnings.catch_warnings():  # of the whole box: `gap` tells of where the runs are
        warnings.filterwarnings("ignore", message="grid: exp")
        value = control.logarithmic_transform(problem, grid, np.linspace(0.0, problem.horizon, PARTS + 1))
    common = {"paths": len(starts), "steps": PARTS, "seed": seed}
    best = control.controlled_paths(value, first, **common)
    plain = control.controlled_paths(value, first, controlled=False, **common)
    gain = plain.terminal - best.terminal
    return best.states.reshape(len(starts), -1), (gain, best.effort, gain - best.effort)


def _isotropic(subspace, points, batch):
    """The constant noise of the trace that mini-batches have on average over points."""
    line = subspace.dimension == 1
    at_runs = noise(subspace, points[:, 0] if line else points, batch)
    return float((at_runs if line else np.trace(at_runs, axis1=-2, axis2=-1) / subspace.dimension).mean())


def _losses(subspace, points):
    return subspace.loss(points[:, 0] if points.shape[1] == 1 else points)


def _beyond(grid, ends):
    low, high = np.array(grid.lower), np.array(grid.upper)
    share = max(float(((x < low) | (x > high)).any(1).mean()) for x in ends.values())
    if share > 0.01:
        warnings.warn(
            f"grid: {share:.2%} of an optimizer's runs ended beyond it, where the equations have walls: widen it",
            checks.AccuracyWarning, stacklevel=3,
        )  # fmt: skip
    return share


def _basins(subspace, grid, points, minima, step):
    """The minimum that each point descends to, or NOWHERE."""

    def slope(x):
        return np.reshape(subspace.loss.gradient(x[:, 0] if x.shape[1] == 1 else x), x.shape)

    def away(x):
        return np.linalg.norm(x[:, None] - minima[None], axis=-1)

    near = max(grid.spacing)
    distances = away(_flow(slope, points, step, lambda x: away(x).min(1) <= near))
    return np.where(distances.min(1) <= near, distances.argmin(1), NOWHERE)


def _flow(slope, points, rate, arrived=None, box=None):
    """Descent without noise until a point stands or has arrived; inside a box (low, high), if one is given."""
    points = points.copy()
    moving = np.arange(len(points))
    for _ in range(LONGEST):
        step = rate * slope(points[moving])
        new = points[moving] - step
        points[moving] = new if box is None else np.clip(new, *box)
        stands = np.linalg.norm(step, axis=1) <= 1e-7 * (1 + np.linalg.norm(new, axis=1))
        moving = moving[~(stands if arrived is None else stands | arrived(new))]
        if not len(moving):
            break
    return points


def _interpolated(grid, values):
    field = np.reshape(grid.gradient(values), (*grid.shape, grid.dimension))

    def slope(x):
        return np.reshape(grid.interpolate(field, x[:, 0] if grid.dimension == 1 else x), x.shape)

    return slope


def _rate(grid, values):
    """The reciprocal of a bound on the Hessian of node values."""
    total = np.zeros(grid.shape)
    for row in np.reshape(grid.gradient(values), (*grid.shape, grid.dimension)).transpose(-1, *range(grid.dimension)):
        total += np.square(np.reshape(grid.gradient(row), (*grid.shape, grid.dimension))).sum(-1)
    return 1.0 / max(math.sqrt(total.max()), 1e-12)
