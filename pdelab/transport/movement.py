"""The minimising movement of Jordan, Kinderlehrer and Otto on the line.

    ρₖ₊₁ = argmin_ρ  ∫ V ρ + (1/beta) ∫ ρ log ρ + W₂(ρ, ρₖ)²/(2τ)          -> ρ_t = div(ρ grad V) + Δρ/beta

Among laws held as cells of fixed mass the free energy is as convex as V is, cell by cell: each step is a smooth convex
problem (for τ below 1/|min V''|), solved by Newton's method with a tridiagonal Hessian, and it contracts W₂ by
1/(1 + λτ) when V'' >= λ, to round-off and not only in the limit.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import LinAlgError, solveh_banded

from pdelab import checks
from pdelab.hints import Field
from pdelab.transport.line import Law, checked_law

__all__ = ["free_energy", "jko", "jko_gaussian"]

NEGLIGIBLE = 1e-30  # masses below this share are beyond double precision in every integral
GAUSS = (0.5 - math.sqrt(0.15), 0.5, 0.5 + math.sqrt(0.15)), (5 / 18, 8 / 18, 5 / 18)  # on [0, 1], exact to degree five


def free_energy(law: Law, potential: Field, *, beta: float) -> float:
    """∫ V ρ + (1/beta) ∫ ρ log ρ of a Law: what `jko` lowers (Chaudhari, thesis section 4.1).

    ∫ V in each cell by Gauss' rule with three points, as in the steps, so that the energy decays exactly.

    Parameters
    ----------
    law : Law
        Without atoms, else the entropy is infinite.
    potential : Loss or None
        V.
    beta : float > 0 or math.inf

    Returns
    -------
    float

    Examples
    --------
    >>> import pdelab as pl
    >>> uniform = pl.transport.Law([0.0], [2.0], [1.0])
    >>> round(free_energy(uniform, None, beta=1.0), 6), round(-math.log(2.0), 6)
    (-0.693147, -0.693147)
    """
    beta, potential = _checked_problem(beta, potential)
    law = checked_law(law, "law")
    value = law.entropy / beta
    return value if potential is None else value + _potential_energy(law.left, law.right, law.masses, potential)


def jko(initial: Law, potential: Field, tau: float, steps: int = 1, *, beta: float = 1.0) -> list[Law]:
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
    >>> begin = pl.transport.law(grid, start / grid.integrate(start))
    >>> laws = jko(begin, pl.Loss("x**2"), tau=0.1, steps=3)
    >>> round(laws[-1].mean, 6)                                   # exactly 1/(1 + 2τ)³
    0.578704
    """
    beta, potential = _checked_problem(beta, potential)
    tau = checks.positive("tau", tau)
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 0:
        raise ValueError(f"steps: expected a whole number >= 0, got {steps!r}")
    laws = [_connected(checked_law(initial, "initial"))]
    edges = np.append(laws[0].left, laws[0].right[-1])
    for _ in range(steps):
        edges = _step(edges, laws[0].masses, potential, float(tau), beta)
        laws.append(Law(edges[:-1], edges[1:], laws[0].masses))
    return laws


def jko_gaussian(
    mean: float, deviation: float, curvature: float, tau: float, *, beta: float = 1.0
) -> tuple[float, float]:
    """One step of `jko` from N(mean, deviation²) in V = curvature x²/2: (mean', deviation').

    m' = m/(1 + λτ) and (λ + 1/τ) s'² - (s/τ) s' - 1/beta = 0.

    Parameters
    ----------
    mean, deviation : float
        Of the Gaussian, deviation > 0.
    curvature : float
        h of V = h x²/2.
    tau : float > 0
        The step.
    beta : float > 0 or math.inf

    Returns
    -------
    (mean, deviation) : floats

    Raises
    ------
    ValueError
        A step too large for a concave V, numbers out of range.

    Examples
    --------
    >>> jko_gaussian(1.0, 1.0, 1.0, 0.1)
    (0.9090909090909091, 1.0)
    """
    mean, curvature = checks.finite("mean", mean), checks.finite("curvature", curvature)
    deviation, tau = checks.positive("deviation", deviation), checks.positive("tau", tau)
    beta = checks.positive("beta", beta, infinite=True)
    k = curvature + 1 / tau
    if not k > 0:
        raise ValueError(f"tau: expected less than 1/|curvature| = {-1 / curvature:.6g}, got {tau}")
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
    raise ValueError(f"tau: Newton's method did not settle in 100 steps, got {tau:.6g}: take a smaller step")


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
    return f"tau: expected less than 1/|min V''| for a potential that is not convex, got {tau:.6g}: take a smaller step"


# -- at the door ------------------------------------------------------------------------------------------------


def _connected(initial):
    if (initial.left == initial.right).any():
        raise ValueError("initial: expected a law with a density, got atoms, whose entropy is infinite")
    inner = np.flatnonzero(initial.masses >= NEGLIGIBLE)
    inner = slice(inner[0], inner[-1] + 1)
    left, right, masses = initial.left[inner], initial.right[inner], initial.masses[inner]
    if (right[:-1] != left[1:]).any() or masses.min() < NEGLIGIBLE:
        where = np.argmax((right[:-1] != left[1:]) | (masses[1:] < NEGLIGIBLE))
        raise ValueError(
            f"initial: expected a law without a hole in its support, found one at {right[where]:.6g}: "
            "start from a density that is positive between its ends"
        )
    return Law(left, right, masses)


def _checked_problem(beta, potential):
    if not (np.isscalar(beta) and 0 < beta < math.inf):
        raise ValueError(f"beta: expected a positive finite number, got {beta!r}")
    if potential is not None and getattr(potential, "dimension", None) != 1:
        raise ValueError(f"potential: expected a Loss of one variable or None, got {potential!r}")
    return float(beta), potential
