"""Optimal transport on the line, by quantiles.

    W_p(μ, ν)^p = ∫₀¹ |F_μ⁻¹(s) - F_ν⁻¹(s)|^p ds

A law is held as cells of fixed mass, uniform in each cell, and atoms, which are cells of no width. So its quantile
function is piecewise linear and every integral below is exact: densities against densities, samples against densities,
samples against samples, with ties, weights and outliers. Levels above one half are counted from above, so that masses
of any size count at both ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from pdelab import checks
from pdelab.grid import Grid
from pdelab.hints import Array, Field

__all__ = ["Law", "checked_law", "displacement", "law", "law_of_samples", "wasserstein", "wasserstein_gaussian"]

GAUSS = (0.5 - math.sqrt(0.15), 0.5, 0.5 + math.sqrt(0.15)), (5 / 18, 8 / 18, 5 / 18)  # on [0, 1], exact to degree five
MASS_TOLERANCE = 1e-9  # how far a total mass may be from one: round-off of long solves, far below any real loss
LARGEST = 1e307  # of the numbers that a law is on


@dataclass(frozen=True, eq=False)
class Law:
    """A probability law on the line, uniform in each of its cells; a cell of no width is an atom.

    Parameters
    ----------
    left, right : arrays (n,)
        Ends of the cells, left[k] <= right[k] <= left[k+1].
    masses : array (n,)
        Their masses, positive, of sum one.

    Raises
    ------
    ValueError
        Intervals that overlap or do not increase, numbers beyond 1e307, masses that are not positive or do not sum to
        one.

    Examples
    --------
    >>> law = Law([0.0], [1.0], [1.0])
    >>> law.mean, round(law.variance, 6)
    (0.5, 0.083333)
    """

    left: np.ndarray
    right: np.ndarray
    masses: np.ndarray

    def __post_init__(self):
        for name in ("left", "right", "masses"):
            array = np.array(getattr(self, name), dtype=float)
            if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
                raise ValueError(f"{name}: expected a list of finite numbers, one a cell, got {getattr(self, name)!r}")
            if np.abs(array).max() > LARGEST:
                raise ValueError(
                    f"{name}: expected numbers up to {LARGEST:g}, whose differences fit into float64, got "
                    f"{np.abs(array).max():.6g}: take other units"
                )
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        sizes = [array.size for array in (self.left, self.right, self.masses)]
        if len(set(sizes)) > 1:
            raise ValueError(f"left, right, masses: expected one of each a cell, got {sizes} of them")
        if not ((self.left <= self.right).all() and (self.right[:-1] <= self.left[1:]).all()):
            raise ValueError("left, right: expected cells in order, left[k] <= right[k] <= left[k+1]: sort them")
        if not ((self.masses > 0).all() and abs(self.masses.sum() - 1) <= MASS_TOLERANCE):
            raise ValueError(
                f"masses: expected positive numbers of sum one, got minimum {self.masses.min():.6g} and sum "
                f"{self.masses.sum():.12g}: divide a density by its integral first"
            )

    @property
    def mean(self) -> float:
        """∫ x dμ."""
        return float(self.masses @ (self.left + self.right) / 2)

    @property
    def variance(self) -> float:
        """∫ (x - mean)² dμ."""
        a, b = self.left - self.mean, self.right - self.mean
        return float(self.masses @ (a * a + a * b + b * b) / 3)

    @property
    def entropy(self) -> float:
        """Boltzmann's ∫ ρ log ρ, minus the Shannon entropy; math.inf for a law with atoms."""
        if (self.left == self.right).any():
            return math.inf
        return float(self.masses @ np.log(self.masses / (self.right - self.left)))

    def quantiles(self, levels: ArrayLike) -> Array:
        """The quantile function.

        Parameters
        ----------
        levels : array
            In [0, 1].

        Returns
        -------
        array, shape of levels

        Raises
        ------
        ValueError
            A level outside [0, 1].
        """
        levels = np.asarray(levels, dtype=float)
        if not ((levels >= 0) & (levels <= 1)).all():
            raise ValueError(f"levels: expected numbers in [0, 1], got {levels}")
        below, above = (law._quantile(s, side) for law, s, side in (
            (self, np.minimum(levels, 0.5), "left"), (self._mirrored(), np.minimum(1 - levels, 0.5), "right")
        ))  # fmt: skip
        return np.where(levels <= 0.5, below, 0.0 - above)

    def density(self, grid: Grid) -> Array:
        """The law as a density: the mass in each node's cell over the node's weight.

        Parameters
        ----------
        grid : Grid
            One-dimensional.

        Returns
        -------
        array (n,)

        Raises
        ------
        ValueError
            The law has mass outside the box.
        """
        edges = _cell_edges(grid)
        if self.left[0] < edges[0] or self.right[-1] > edges[-1]:
            raise ValueError(
                f"grid: expected one that covers the law, [{self.left[0]:.6g}, {self.right[-1]:.6g}], "
                f"got [{edges[0]:.6g}, {edges[-1]:.6g}]"
            )
        wide = self.left < self.right
        corners = np.stack([self.left[wide], self.right[wide]], axis=1).ravel()
        below, above = (np.concatenate([[0.0], np.cumsum(m)]) for m in (self.masses[wide], self.masses[wide][::-1]))
        masses = np.zeros(grid.shape)
        if wide.any():
            below, above = (
                np.interp(edges, corners, np.stack([bounds[:-1], bounds[1:]], axis=1).ravel())
                for bounds in (below, above[::-1])
            )
            masses = np.where(below[1:] < above[:-1], np.diff(below), -np.diff(above))
        cells = np.clip(np.searchsorted(edges, self.left[~wide], side="right") - 1, 0, grid.shape[0] - 1)
        return (masses + np.bincount(cells, self.masses[~wide], grid.shape[0])) / grid.weights

    @cached_property
    def _levels(self):
        total = math.fsum(self.masses)
        below, above = (np.concatenate([[0.0], np.cumsum(m)]) / total for m in (self.masses, self.masses[::-1]))
        return np.where(above[::-1] < 0.5, np.maximum(below, 0.5), below)  # rounding may leave both below

    def _mirrored(self):
        return Law(-self.right[::-1], -self.left[::-1], self.masses[::-1])

    def _quantile(self, levels, side):
        """At levels up to one half; at a step its lower end ("left") or its upper one."""
        bounds = self._levels
        cells = np.clip(np.searchsorted(bounds, levels, side=side) - 1, 0, self.masses.size - 1)
        return self._in_cells(bounds, cells, levels)

    def _in_cells(self, bounds, cells, levels):
        width = bounds[cells + 1] - bounds[cells]
        share = np.clip((levels - bounds[cells]) / np.where(width > 0, width, 1.0), 0.0, 1.0)
        return self.left[cells] + share * (self.right[cells] - self.left[cells])


def law(grid: Grid, density: Field, name: str = "density") -> Law:
    """A density on a one-dimensional grid as a Law: each node's mass spread over the node's cell.

    Parameters
    ----------
    grid : Grid
        One-dimensional, not periodic.
    density : array (n,) or Loss
        Non-negative, ∫ρ = 1 in the weights of `grid.integrate`.
    name : str
        What messages call the density.

    Returns
    -------
    Law

    Raises
    ------
    ValueError
        Another dimension, a periodic axis, a negative density or one of another mass.

    Examples
    --------
    >>> import numpy as np, pdelab as pl
    >>> grid = pl.Grid(0.0, 1.0, 101)
    >>> round(law(grid, np.ones(101)).mean, 12)
    0.5
    """
    edges = _cell_edges(grid)
    density = grid.field(density, name)
    if density.min() < 0:
        where = int(np.argmin(density))
        raise ValueError(f"{name}: expected a density >= 0, got {density[where]:.6g} at index {where}")
    masses = grid.weights * density
    if abs(masses.sum() - 1) > MASS_TOLERANCE:
        raise ValueError(f"{name}: expected mass one, got {masses.sum():.12g}: divide it by grid.integrate({name})")
    full = masses > 0
    return Law(edges[:-1][full], edges[1:][full], masses[full])


def law_of_samples(values: ArrayLike, weights: ArrayLike | None = None) -> Law:
    """The empirical law of samples on the line: an atom at each different value.

    Parameters
    ----------
    values : array (n,)
        Numbers up to 1e307 in size, in any order; equal ones become one atom.
    weights : array (n,) or None
        Nonnegative, of any positive sum, by which they are divided; None: all alike.

    Returns
    -------
    Law

    Raises
    ------
    ValueError
        Values that are not finite or beyond 1e307, negative weights or no weight at all.

    Examples
    --------
    >>> law_of_samples([2.0, 1.0, 2.0]).masses.round(4).tolist()
    [0.3333, 0.6667]
    """
    values = checks.reals("values", values)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"values: expected a list of finite numbers, got {checks.shown(values)}")
    weights = np.ones(values.size) if weights is None else checks.reals("weights", weights)
    if weights.shape != values.shape or not (weights >= 0).all() or not 0 < weights.sum() < math.inf:
        raise ValueError(f"weights: expected one number >= 0 a sample, not all 0, got {checks.shown(weights)}")
    places, where = np.unique(values, return_inverse=True)
    masses = np.bincount(where, weights / weights.max(), places.size)
    full = masses > 0
    return Law(places[full], places[full], masses[full] / masses.sum())


def wasserstein(first: Law, second: Law, order: float = 2) -> float:
    """W_p between two laws on the line: the L^p distance of their quantile functions, exact.

    Parameters
    ----------
    first, second : Law
        For densities on a grid: `wasserstein(law(grid, p), law(grid, q))`, of second order in the spacing; for samples:
        `law_of_samples`.
    order : float >= 1
        p: 2 (default) for the metric of the Fokker-Planck equation, 1 where outliers should count less.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        What is not a Law, an order below 1.

    Notes
    -----
    Villani, Topics in Optimal Transportation, theorem 2.18; the metric of Chaudhari, thesis (6.18).

    Examples
    --------
    >>> wasserstein(Law([0.0], [1.0], [1.0]), Law([3.0], [4.0], [1.0]))
    3.0
    >>> wasserstein(law_of_samples([0.0, 1.0]), law_of_samples([0.0, 3.0]), order=1)
    1.0
    """
    order = checks.within("order", order, 1, math.inf, "[)")
    widths, lefts, rights = _coupled(first, second)
    a, b = lefts[0] - lefts[1], rights[0] - rights[1]
    size = max(np.abs(a).max(), np.abs(b).max())
    if size == 0:
        return 0.0
    distance = size * float(widths @ _mean_power(a / size, b / size, order)) ** (1 / order)
    return float(_checked_distance(distance, first, second, size, order))


def _checked_distance(distance, first, second, size, order):
    """W_p if |mean - mean| <= W_p <= the largest distance of quantiles and, for p = 2, within what variances allow.

    There (m₁ - m₂)² + (s₁ - s₂)² <= W₂² <= (m₁ - m₂)² + s₁² + s₂², as equal quantiles have a covariance >= 0.
    """
    apart, ends = abs(first.mean - second.mean), [np.abs([law.left[0], law.right[-1]]).max() for law in (first, second)]
    low, high, slack = apart, size, 1e-8 * max(ends)
    if order == 2 and max(ends) < 1e150:  # else variances overflow
        spread = [math.sqrt(max(law.variance, 0.0)) for law in (first, second)]
        low, high = math.hypot(apart, spread[0] - spread[1]), min(size, math.hypot(apart, *spread))
    return checks.bounded(np.float64(distance), low, high, slack, "wasserstein")


def displacement(first: Law, second: Law, share: float) -> Law:
    """The law at a share s of the way along the geodesic of W₂: quantiles (1 - s) F_μ⁻¹ + s F_ν⁻¹ (McCann).

    Parameters
    ----------
    first, second : Law
    share : float in [0, 1]

    Returns
    -------
    Law

    Raises
    ------
    ValueError
        What is not a Law, a share outside [0, 1].

    Examples
    --------
    >>> halfway = displacement(Law([0.0], [1.0], [1.0]), Law([4.0], [7.0], [1.0]), 0.5)
    >>> halfway.left.tolist(), halfway.right.tolist()
    ([2.0], [4.0])
    """
    share = checks.within("share", share, 0, 1)
    widths, lefts, rights = _coupled(first, second)
    low, high = ((1 - share) * ends[0] + share * ends[1] for ends in (lefts, rights))
    low = np.maximum.accumulate(low)  # rounding may set neighbours in the wrong order
    return Law(low, np.maximum(np.minimum(high, np.append(low[1:], math.inf)), low), widths)


def _coupled(first, second):
    """Levels on which both quantile functions are linear: their widths, and both functions at their ends."""
    laws = [checked_law(value, name) for value, name in ((first, "first"), (second, "second"))]
    mirrored = [law._mirrored() for law in laws]
    (widths, lefts, rights), (above, highs, lows) = _lower_half(laws), _lower_half(mirrored)
    if all((np.abs(law._levels - 0.5) > 1e-9).all() for law in (*laws, *mirrored)):  # one piece reaches over one half
        widths, above = np.append(widths[:-1], widths[-1] + above[-1]), above[:-1]
        rights, lows = [np.append(f[:-1], -high[-1]) for f, high in zip(rights, highs)], [low[:-1] for low in lows]
        highs = [high[:-1] for high in highs]
    lefts, rights = (
        [np.concatenate([low, -high[::-1]]) for low, high in zip(*halves)]
        for halves in ((lefts, lows), (rights, highs))
    )
    return np.concatenate([widths, above[::-1]]), lefts, rights


def _lower_half(laws):
    """`_coupled` up to the level one half."""
    bounds = [law._levels for law in laws]
    levels = np.unique(np.concatenate([*(bound[bound < 0.5] for bound in bounds), [0.5]]))
    low, high = levels[:-1], levels[1:]
    lefts, rights = [], []
    for law, bound in zip(laws, bounds):
        cells = np.clip(np.searchsorted(bound, low, side="right") - 1, 0, law.masses.size - 1)
        lefts.append(law._in_cells(bound, cells, low))
        rights.append(law._in_cells(bound, cells, high))
    return high - low, lefts, rights


def _mean_power(a, b, order):
    """∫₀¹ |a + s (b - a)|^p ds."""
    if order == 2:
        return (a * a + a * b + b * b) / 3
    low, high = np.minimum(np.abs(a), np.abs(b)), np.maximum(np.abs(a), np.abs(b))
    crosses, steep = (a < 0) != (b < 0), high - low > 1e-3 * high
    with np.errstate(divide="ignore", invalid="ignore"):
        across = (low ** (order + 1) + high ** (order + 1)) / ((order + 1) * (low + high))
        along = (high ** (order + 1) - low ** (order + 1)) / ((order + 1) * (high - low))
    near = sum(w * (low + s * (high - low)) ** order for s, w in zip(*GAUSS))  # sixth order in a small difference
    return np.where(crosses & (high > 0), across, np.where(steep, along, near))


def wasserstein_gaussian(mean1: ArrayLike, covariance1: ArrayLike, mean2: ArrayLike, covariance2: ArrayLike) -> float:
    """W₂ between two Gaussian laws: the square root of |m₁-m₂|² + tr(S₁ + S₂ - 2 (S₁^½ S₂ S₁^½)^½), no sum cancelling.

    Parameters
    ----------
    mean1, mean2 : float or array (d,)
    covariance1, covariance2 : float or array (d, d), symmetric, positive semi-definite

    Returns
    -------
    float

    Raises
    ------
    ValueError
        Means and covariances that do not fit, covariances that are not symmetric and positive semi-definite.

    Notes
    -----
    The optimal map T has T S₁^½ = S₂^½ R with the rotation R that brings it nearest to S₁^½ (Procrustes), and the trace
    is |S₁^½ - S₂^½ R|². Of close laws E = T - 1 comes from (T S₁) E + E S₁ = S₂ - S₁, and it is |E S₁^½|².

    Examples
    --------
    >>> wasserstein_gaussian(0.0, 1.0, 3.0, 25.0)
    5.0
    """
    m1, m2 = (np.atleast_1d(np.asarray(m, float)) for m in (mean1, mean2))
    s1, s2 = (np.atleast_2d(np.asarray(s, float)) for s in (covariance1, covariance2))
    d = m1.size
    if not (m1.shape == m2.shape == (d,) and s1.shape == s2.shape == (d, d)):
        shapes = [array.shape for array in (m1, s1, m2, s2)]
        raise ValueError(f"means, covariances: expected shapes (d,) and (d, d), got {shapes}")
    if not np.isfinite(m1 - m2).all():
        raise ValueError(f"means: expected finite numbers, got {m1.tolist()} and {m2.tolist()}")
    for s in (s1, s2):
        if not np.allclose(s, s.T, rtol=1e-12, atol=0) or np.linalg.eigvalsh(s).min() < -1e-12 * np.abs(s).max():
            raise ValueError(f"covariances: expected symmetric positive semi-definite matrices, got {s.tolist()}")
    apart, spread = math.hypot(*(m1 - m2)), _spread_apart(s1, s2)
    most = math.hypot(apart, math.sqrt(np.trace(s1) + np.trace(s2)))
    distance = np.array(math.hypot(apart, spread))
    return float(checks.bounded(distance, apart, most, 1e-10 * most, "wasserstein_gaussian"))


def _spread_apart(s1, s2):
    """`wasserstein_gaussian` of equal means."""
    (low1, root1), (low2, root2) = (_root(s) for s in (s1, s2))
    left, _, right = np.linalg.svd(root2 @ root1)
    moved = root2 @ left @ right
    spread = float(np.linalg.norm(moved - root1))
    if spread**2 < min(low1, low2):  # there the difference cancels more than the equation loses
        stretch = linalg.solve_sylvester(moved @ root1, s1, s2 - s1)
        spread = float(np.linalg.norm(stretch @ root1))
    return spread


def _root(s):
    """The smallest eigenvalue of a covariance, and its square root."""
    values, vectors = np.linalg.eigh(s)
    return float(values[0]), vectors * np.sqrt(np.clip(values, 0.0, None)) @ vectors.T


def _cell_edges(grid):
    if grid.dimension != 1 or grid.periodic[0]:
        raise ValueError(f"grid: expected one on an interval, got {grid.dimension} axes, boundary={grid.boundary}")
    return np.concatenate([[grid.lower[0]], (grid.x[1:] + grid.x[:-1]) / 2, [grid.upper[0]]])


def checked_law(value, name):
    """The argument if it is a Law."""
    if not isinstance(value, Law):
        raise ValueError(f"{name}: expected a Law, got {type(value).__name__}: law(grid, density) makes one")
    return value
