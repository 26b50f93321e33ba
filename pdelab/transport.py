"""Optimal transport on the line: W₂ by quantiles, and the minimising movement of Jordan, Kinderlehrer and Otto.

    W₂(p, q)² = ∫₀¹ |F_p⁻¹(s) - F_q⁻¹(s)|² ds
    ρₖ₊₁ = argmin_ρ  ∫ V ρ + (1/beta) ∫ ρ log ρ + W₂(ρ, ρₖ)²/(2τ)          -> ρ_t = div(ρ grad V) + Δρ/beta

A law is held as cells of fixed mass, uniform in each cell, so its quantile function is piecewise linear and every
integral below is exact. Among such laws the free energy is as convex as V is, cell by cell: each step is a smooth
convex problem (for τ below 1/|min V''|), solved by Newton's method with a tridiagonal Hessian, and it contracts W₂ by
1/(1 + λτ) when V'' >= λ, to round-off and not only in the limit.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, solveh_banded

MASS_TOLERANCE = 1e-9  # how far a total mass may be from one: round-off of long solves, far below any real loss
NEGLIGIBLE = 1e-30  # masses below this share are beyond double precision in every integral
GAUSS = (0.5 - math.sqrt(0.15), 0.5, 0.5 + math.sqrt(0.15)), (5 / 18, 8 / 18, 5 / 18)  # on [0, 1], exact to degree five


@dataclass(frozen=True, eq=False)
class Law:
    """A probability law on the line, uniform in each of its cells.

    Parameters
    ----------
    left, right : arrays (n,)
        Ends of the cells, left[k] < right[k] <= left[k+1].
    masses : array (n,)
        Their masses, positive, of sum one.

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
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        sizes = [array.size for array in (self.left, self.right, self.masses)]
        if len(set(sizes)) > 1:
            raise ValueError(f"expected one left, right and mass a cell, got {sizes} of them")
        if not ((self.left < self.right).all() and (self.right[:-1] <= self.left[1:]).all()):
            raise ValueError("expected cells in order: left[k] < right[k] <= left[k+1]")
        if not ((self.masses > 0).all() and abs(self.masses.sum() - 1) <= MASS_TOLERANCE):
            raise ValueError(
                f"expected positive masses of sum one, got minimum {self.masses.min():.6g} and sum "
                f"{self.masses.sum():.12g}: divide a density by its integral first"
            )

    @property
    def mean(self):
        """∫ x dμ."""
        return float(self.masses @ (self.left + self.right) / 2)

    @property
    def variance(self):
        """∫ (x - mean)² dμ."""
        a, b = self.left - self.mean, self.right - self.mean
        return float(self.masses @ (a * a + a * b + b * b) / 3)

    @property
    def entropy(self):
        """Boltzmann's ∫ ρ log ρ, minus the Shannon entropy."""
        return float(self.masses @ np.log(self.masses / (self.right - self.left)))

    def quantiles(self, levels):
        """The quantile function at levels in [0, 1], shape of `levels`."""
        levels = np.asarray(levels, dtype=float)
        if not ((levels >= 0) & (levels <= 1)).all():
            raise ValueError(f"levels: expected numbers in [0, 1], got {levels}")
        bounds = self._levels()
        cells = np.clip(np.searchsorted(bounds, levels, side="left") - 1, 0, self.masses.size - 1)
        return self._quantile(bounds, cells, levels)

    def density(self, grid):
        """The law as a density on a one-dimensional grid: the mass in each node's cell over its weight, shape (n,).

        Raises ValueError when the law has mass outside the box.
        """
        edges = _cell_edges(grid)
        if self.left[0] < edges[0] or self.right[-1] > edges[-1]:
            raise ValueError(
                f"the law lives on [{self.left[0]:.6g}, {self.right[-1]:.6g}], "
                f"the grid covers [{edges[0]:.6g}, {edges[-1]:.6g}]"
            )
        corners = np.stack([self.left, self.right], axis=1).ravel()
        bounds = self._levels()
        cumulated = np.interp(edges, corners, np.stack([bounds[:-1], bounds[1:]], axis=1).ravel())
        return np.diff(cumulated) / grid.weights

    def _levels(self):
        return np.concatenate([[0.0], np.cumsum(self.masses)]) / self.masses.sum()

    def _quantile(self, bounds, cells, levels):
        width = bounds[cells + 1] - bounds[cells]
        share = np.clip((levels - bounds[cells]) / np.where(width > 0, width, 1.0), 0.0, 1.0)
        return self.left[cells] + share * (self.right[cells] - self.left[cells])


def law(grid, density, name="density"):
    """A density on a one-dimensional grid as a Law: each node's mass spread over the node's cell.

    Parameters
    ----------
    grid : Grid
        One-dimensional, not periodic.
    density : array (n,) or Loss
        Non-negative, ∫ρ = 1 in the weights of `grid.integrate`.

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


def wasserstein(first, second):
    """W₂ between two laws on the line: the L² distance of their quantile functions, exact for laws held as cells.

    Parameters
    ----------
    first, second : Law
        For densities on a grid: `wasserstein(law(grid, p), law(grid, q))`, of second order in the spacing.

    Returns
    -------
    float

    Notes
    -----
    Villani, Topics in Optimal Transportation, theorem 2.18; the metric of Chaudhari, thesis (6.18).

    Examples
    --------
    >>> wasserstein(Law([0.0], [1.0], [1.0]), Law([3.0], [4.0], [1.0]))
    3.0
    """
    laws = [_checked_law(value, name) for value, name in ((first, "first"), (second, "second"))]
    bounds = [one._levels() for one in laws]
    levels = np.unique(np.concatenate(bounds))
    low, high = levels[:-1], levels[1:]
    ends = []
    for one, bound in zip(laws, bounds):
        cells = np.clip(np.searchsorted(bound, (low + high) / 2, side="right") - 1, 0, one.masses.size - 1)
        ends.append((one._quantile(bound, cells, low), one._quantile(bound, cells, high)))
    a, b = ends[0][0] - ends[1][0], ends[0][1] - ends[1][1]
    return math.sqrt(max(float((high - low) @ (a * a + a * b + b * b)) / 3, 0.0))


def wasserstein_gaussian(mean1, covariance1, mean2, covariance2):
    """W₂ between two Gaussian laws in d dimensions: |m₁-m₂|² + tr(S₁ + S₂ - 2 (S₁^½ S₂ S₁^½)^½), square root taken.

    Parameters
    ----------
    mean1, mean2 : float or array (d,)
    covariance1, covariance2 : float or array (d, d), symmetric, positive semi-definite

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
        raise ValueError(f"expected means (d,) and covariances (d, d), got {shapes}")
    for s in (s1, s2):
        if not np.allclose(s, s.T, rtol=1e-12, atol=0) or np.linalg.eigvalsh(s).min() < -1e-12 * np.abs(s).max():
            raise ValueError(f"expected symmetric positive semi-definite covariances, got {s.tolist()}")
    values, vectors = np.linalg.eigh(s1)
    root = vectors * np.sqrt(np.clip(values, 0.0, None)) @ vectors.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ s2 @ root), 0.0, None)).sum()
    return math.sqrt(max(float((m1 - m2) @ (m1 - m2) + np.trace(s1) + np.trace(s2) - 2 * cross), 0.0))


def free_energy(law, potential, *, beta):
    """∫ V ρ + (1/beta) ∫ ρ log ρ of a Law: what `jko` lowers (Chaudhari, thesis section 4.1).

    ∫ V in each cell by Gauss' rule with three points, as in the steps, so that the energy decays exactly.
    """
    beta, potential = _checked_problem(beta, potential)
    law = _checked_law(law, "law")
    value = law.entropy / beta
    return value if potential is None else value + _potential_energy(law.left, law.right, law.masses, potential)


def jko(initial, potential, tau, steps=1, *, beta=1.0):
    """Steps of the minimising movement ρₖ₊₁ = argmin ∫ V ρ + (1/beta) ∫ ρ log ρ + W₂(ρ, ρₖ)²/(2τ).

    Parameters
    ----------
    initial : Law
        Its cells must touch: a hole in the middle of the support is refused. Cells at the ends with less than 1e-30 of
        the mass are left out.
    potential : Loss of one variable with a Hessian, or None (then: the heat equation)
    tau : float > 0
        Size of a step, below 1/|min V''| where V is not convex.
    steps : int
    beta : float > 0
        Inverse temperature: the flow is ρ_t = div(ρ grad V) + Δρ/beta.

    Returns
    -------
    list of Law, steps + 1 of them, the initial law first

    Raises
    ------
    ValueError
        What is written above, or a step too large for a non-convex V.

    Notes
    -----
    First order in τ, second in the size of the cells. Jordan, Kinderlehrer and Otto (1998); Chaudhari, thesis (6.18).
    The support moves freely: no wall.

    Examples
    --------
    >>> import numpy as np, pdelab as pl
    >>> grid = pl.Grid(-8.0, 8.0, 401)
    >>> start = np.exp(-(grid.x - 1.0) ** 2 / 2)
    >>> laws = jko(law(grid, start / grid.integrate(start)), pl.Loss("x**2"), tau=0.1, steps=3)
    >>> round(laws[-1].mean, 6)                                   # exactly 1/(1 + 2τ)³
    0.578704
    """
    beta, potential = _checked_problem(beta, potential)
    if not (np.isscalar(tau) and 0 < tau < math.inf):
        raise ValueError(f"tau: expected a positive number, got {tau!r}")
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 0:
        raise ValueError(f"steps: expected a whole number >= 0, got {steps!r}")
    laws = [_connected(_checked_law(initial, "initial"))]
    edges = np.append(laws[0].left, laws[0].right[-1])
    for _ in range(steps):
        edges = _step(edges, laws[0].masses, potential, float(tau), beta)
        laws.append(Law(edges[:-1], edges[1:], laws[0].masses))
    return laws


def jko_gaussian(mean, deviation, curvature, tau, *, beta=1.0):
    """One step of `jko` from N(mean, deviation²) in V = curvature x²/2: (mean', deviation').

    m' = m/(1 + λτ) and (λ + 1/τ) s'² - (s/τ) s' - 1/beta = 0.

    Examples
    --------
    >>> jko_gaussian(1.0, 1.0, 1.0, 0.1)
    (0.9090909090909091, 1.0)
    """
    k = curvature + 1 / tau
    if not k > 0:
        raise ValueError(f"expected tau < 1/|curvature| for a negative curvature, got {tau} and {curvature}")
    s = deviation / tau
    return mean / (1 + curvature * tau), (s + math.sqrt(s * s + 4 * k / beta)) / (2 * k)


# -- the step ---------------------------------------------------------------------------------------------------


def _step(start, masses, potential, tau, beta):
    """Newton's method on the edges; the step is halved until the cells keep their order and the energy falls."""
    edges = start
    energy = _energy(edges, start, masses, potential, tau, beta)
    for _ in range(100):
        gradient, diagonal, side = _derivatives(edges, start, masses, potential, tau, beta)
        direction = _solve_spd(diagonal, side, gradient, tau)
        decrement = float(gradient @ direction)
        shrink = np.diff(direction) / np.diff(edges)
        length = min(1.0, 0.9 / max(shrink.max(), 1e-300))
        floor = 1e-13 * (1 + abs(energy))  # the energy's own round-off
        while (trial := _energy(edges - length * direction, start, masses, potential, tau, beta)) > energy - length * (
            decrement / 4
        ) + floor:
            length /= 2
        edges, energy = edges - length * direction, trial
        if decrement < 1e-24 * (1 + abs(energy)) and length == 1.0:
            return edges
    raise ValueError(f"tau = {tau:.6g}: Newton's method did not settle in 100 steps; take a smaller step")


def _energy(edges, start, masses, potential, tau, beta):
    gaps = np.diff(edges)
    if not (gaps > 0).all():
        return math.inf
    a, b = (edges - start)[:-1], (edges - start)[1:]
    value = float(masses @ ((a * a + a * b + b * b) / (6 * tau) + np.log(masses / gaps) / beta))
    return value if potential is None else value + _potential_energy(edges[:-1], edges[1:], masses, potential)


def _potential_energy(left, right, masses, potential):
    return sum(w * float(masses @ potential(left + s * (right - left))) for s, w in zip(*GAUSS))


def _derivatives(edges, start, masses, potential, tau, beta):
    """Gradient and tridiagonal Hessian (diagonal, side) of the energy in the edges."""
    gaps = np.diff(edges)
    a, b = (edges - start)[:-1], (edges - start)[1:]
    pressure = masses / (beta * gaps)
    stiffness = pressure / gaps
    lower = masses * (2 * a + b) / (6 * tau) + pressure
    upper = masses * (a + 2 * b) / (6 * tau) - pressure
    low = masses / (3 * tau) + stiffness
    high = low.copy()
    side = masses / (6 * tau) - stiffness
    for s, w in zip(*GAUSS) if potential is not None else ():
        points = edges[:-1] + s * gaps
        slope, curvature = w * masses * potential.gradient(points), w * masses * potential.hessian(points)
        lower += (1 - s) * slope
        upper += s * slope
        low += (1 - s) ** 2 * curvature
        high += s * s * curvature
        side += s * (1 - s) * curvature
    return _assemble(lower, upper), _assemble(low, high), side


def _assemble(lower, upper):
    total = np.zeros(lower.size + 1)
    total[:-1] += lower
    total[1:] += upper
    return total


def _solve_spd(diagonal, side, rhs, tau):
    """Solve the tridiagonal system after scaling its diagonal to one: masses span many decades."""
    if not (diagonal > 0).all():
        raise ValueError(_too_large(tau))
    scale = 1 / np.sqrt(diagonal)
    bands = np.ones((2, diagonal.size))
    bands[0, 1:] = side * scale[:-1] * scale[1:]
    try:
        return scale * solveh_banded(bands, scale * rhs)
    except LinAlgError as error:
        raise ValueError(_too_large(tau)) from error


def _too_large(tau):
    return f"tau = {tau:.6g} is too large for a potential that is not convex: take tau < 1/|min V''|"


# -- at the door ------------------------------------------------------------------------------------------------


def _cell_edges(grid):
    if grid.dimension != 1 or grid.boundary[0] == "periodic":
        raise ValueError(f"transport needs a grid on an interval, got {grid.dimension} axes, boundary {grid.boundary}")
    return np.concatenate([[grid.lower[0]], (grid.x[1:] + grid.x[:-1]) / 2, [grid.upper[0]]])


def _connected(initial):
    kept = np.flatnonzero(initial.masses >= NEGLIGIBLE)
    kept = slice(kept[0], kept[-1] + 1)
    left, right, masses = initial.left[kept], initial.right[kept], initial.masses[kept]
    if (right[:-1] != left[1:]).any() or masses.min() < NEGLIGIBLE:
        where = np.argmax((right[:-1] != left[1:]) | (masses[1:] < NEGLIGIBLE))
        raise ValueError(
            f"initial: expected a law without a hole in its support, found one at {right[where]:.6g}: "
            "start from a density that is positive between its ends"
        )
    return Law(left, right, masses)


def _checked_law(value, name):
    if not isinstance(value, Law):
        raise ValueError(f"{name}: expected a Law, got {type(value).__name__}: law(grid, density) makes one")
    return value


def _checked_problem(beta, potential):
    if not (np.isscalar(beta) and 0 < beta < math.inf):
        raise ValueError(f"beta: expected a positive finite number, got {beta!r}")
    if potential is not None and getattr(potential, "dimension", None) != 1:
        raise ValueError(f"potential: expected a Loss of one variable or None, got {potential!r}")
    return float(beta), potential
