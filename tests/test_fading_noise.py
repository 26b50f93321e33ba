"""Noise that fades at an end like any power of the distance: laws, exits and probabilities by speed and scale."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

import pdelab as pl
from pdelab.fokker_planck import FokkerPlanck, first_passage
from pdelab.generator import committor, mean_exit_time, spectral_gap, splitting, stationary

PROPERTY = settings(deadline=None, max_examples=60, derandomize=True)
SHARES = {"ito": 0.0, "stratonovich": 0.5, "klimontovich": 1.0, "fick": 1.0}


class Exact:
    """Speed and scale of a = a₀ + x^p (1 + c x), b = b₀ + b₁ x + b₂ x² on the unit interval, in logarithms.

    The integrand is a power of x from one of 10000 points to the next, even in log x.
    """

    def __init__(self, wall, power, c, drift, slope, bend, share):
        depth = 60.0 if power <= 1 or wall > 0 else min(60.0, 12 / (power - 1))
        self.s = np.linspace(depth, 0.0, 10001)
        x = np.exp(-self.s)
        a = wall + x**power * (1 + c * x)
        steps = (drift + slope * x + bend * x**2) / a * x
        steps = (steps[1:] + steps[:-1]) / 2 * self.s[0] / 10000
        phi = -np.append(np.cumsum(steps[::-1])[::-1], 0.0)
        self.speed, self.steepness = (share - 1) * np.log(a) + phi, -share * np.log(a) - phi
        self.masses, self.scale = self.below(self.speed), self.below(self.steepness)

    def parts(self, logs):
        logs = logs - self.s
        size = np.maximum(np.abs(np.diff(logs)), 1e-9)
        return np.maximum(logs[1:], logs[:-1]) + np.log(-np.expm1(-size) / size * self.s[0] / 10000)

    def below(self, logs):
        """log ∫ from 0 to x; inf where it does not converge."""
        power = (logs[50] - self.s[50] - logs[0] + self.s[0]) / (self.s[0] - self.s[50])
        if power < 1e-3:
            return np.full(self.s.size, np.inf)
        rest = logs[0] - self.s[0] - np.log(power)
        return np.logaddexp.accumulate(np.append(rest, self.parts(logs)))

    def above(self, logs):
        """log ∫ from x to 1."""
        return np.append(np.logaddexp.accumulate(self.parts(logs)[::-1])[::-1], -1e4)

    def at(self, x, logs):
        return np.exp(np.interp(np.log(x), -self.s, logs))

    def law(self, edges):
        """Masses between edges."""
        return np.diff(np.append(0.0, self.at(edges[1:], self.masses - self.masses[-1])))

    def exit_from_wall(self):
        """E[τ₁] from the reflecting end 0."""
        return float(np.exp(self.below(self.steepness + self.masses)[-1]))

    def hit(self, x):
        """P(0 comes before 1)."""
        return 0.0 if np.isinf(self.scale[-1]) else 1 - self.at(x, self.scale - self.scale[-1])

    def exit_between(self, x):
        """E[τ] to either end."""
        if np.isinf(self.scale[-1]):
            return self.at(x, self.above(self.steepness + self.masses))
        left = self.above(self.steepness)
        first = left - self.scale[-1] + self.below(self.scale + self.speed)
        return self.at(x, np.logaddexp(first, self.scale - self.scale[-1] + self.above(left + self.speed)))


def answered(question):
    """An answer without a warning, else None."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        answer = question()
    return None if told else answer


NOISES = st.tuples(
    st.one_of(st.just(0.0), st.floats(-9.0, -2.0).map(lambda e: 10.0**e)),
    st.one_of(st.sampled_from([0.5, 1.0, 1.5, 2.0]), st.floats(0.2, 2.0)),
    st.floats(-0.6, 1.5),
    st.one_of(st.just(0.0), st.floats(-1.0, 2.0)),
    st.floats(-2.0, 2.0),
    st.floats(-2.0, 2.0),
    st.sampled_from(sorted(SHARES)),
)


def of(noise, grid, mirrored=False):
    wall, power, c, drift, slope, bend, name = noise
    x = 1 - grid.x if mirrored else grid.x
    b = (drift + slope * x + bend * x**2) * (-1 if mirrored else 1)
    problem = FokkerPlanck(drift=b, diffusion=wall + x**power * (1 + c * x), diffusivity=1.0, interpretation=name)
    return problem, Exact(wall, power, c, drift, slope, bend, SHARES[name])


@PROPERTY
@given(NOISES, st.integers(20, 150))
def test_noise_that_fades_at_a_wall_leaves_the_law_of_its_speed_measure(noise, n):
    """An error above 10 % is told."""
    grid = pl.Grid(0.0, 1.0, n)
    problem, exact = of(noise, grid)
    if np.isinf(exact.masses[-1]) or noise[:4] == (0.0, 2.0, noise[2], 0.0):  # an end that no path reaches or leaves
        return
    law = answered(lambda: grid.weights * stationary(problem, grid))
    edges = np.array([0.0, *(grid.x[1:] + grid.x[:-1]) / 2, 1.0])
    assert law is None or np.abs(law - exact.law(edges)).sum() < 0.1
    times = answered(lambda: mean_exit_time(problem, grid, grid.x >= 1))
    if times is not None and np.isfinite(times[0]) and times[0] < 1e200:
        np.testing.assert_allclose(times[0], exact.exit_from_wall(), rtol=0.1)


@PROPERTY
@given(NOISES, st.integers(20, 120), st.floats(0.1, 0.6))
def test_noise_that_falls_to_a_floor_at_a_wall_leaves_its_half_cell_its_share(noise, n, share):
    """The floor is this share of the diffusivity of the next node."""
    grid = pl.Grid(0.0, 1.0, n)
    _, power, c, *others = noise
    rise = grid.x[1] ** power * (1 + c * grid.x[1])
    problem, exact = of((share / (1 - share) * rise, power, c, *others), grid)
    law = answered(lambda: grid.weights * stationary(problem, grid))
    known = exact.law(np.array([0.0, *(grid.x[1:] + grid.x[:-1]) / 2, 1.0]))
    assert law is None or np.abs(law - known).sum() < 0.05
    assert law is None or known[0] < 0.02 or abs(law[0] / known[0] - 1) < 0.12


@PROPERTY
@given(NOISES, st.integers(20, 150), st.booleans())
def test_an_end_where_noise_fades_absorbs_what_its_scale_function_says(noise, n, mirrored):
    grid = pl.Grid(0.0, 1.0, n, boundary="absorbing")
    problem, exact = of(noise, grid, mirrored)
    x, node = grid.x[n // 4], -1 - n // 4 if mirrored else n // 4
    hits = answered(lambda: splitting(problem, grid)[0, int(mirrored)])
    assert hits is None or abs(hits[node] - exact.hit(x)) < 0.01
    times = answered(lambda: mean_exit_time(problem, grid))
    if times is not None and np.isfinite(exact.exit_between(x)):
        np.testing.assert_allclose(times[node], exact.exit_between(x), rtol=0.05)


def drawn(rng):
    """As `NOISES` are."""
    wall, drift = 10.0 ** rng.uniform(-9.0, -2.0), rng.uniform(-1.0, 2.0)
    power = rng.choice([0.5, 1.0, 1.5, 2.0]) if rng.random() < 0.5 else rng.uniform(0.2, 2.0)
    wall, drift = (value if rng.random() < 0.5 else 0.0 for value in (wall, drift))
    return wall, power, rng.uniform(-0.6, 1.5), drift, *rng.uniform(-2.0, 2.0, 2), rng.choice(sorted(SHARES))


@pytest.mark.parametrize("seed", range(35))
def test_sets_that_are_reflecting_ends_are_reached_as_the_process_reaches_them(seed):
    """Not as their half cells are: by the scale function, and never where it has no integral."""
    rng = np.random.default_rng(seed)
    noise, n, mirrored = drawn(rng), int(rng.integers(20, 120)), bool(rng.integers(2))
    grid = pl.Grid(0.0, 1.0, n)
    problem, exact = of(noise, grid, mirrored)
    node, far = (-1 - n // 4, 0) if mirrored else (n // 4, n - 1)
    a, b = grid.x == grid.x[n - 1 - far], grid.x == grid.x[far]
    x = grid.x[n // 4]
    reached = answered(lambda: committor(problem, grid, a, b))
    assert reached is None or abs(1 - reached[node] - exact.hit(x)) < 0.01
    times = answered(lambda: mean_exit_time(problem, grid, a | b))
    if times is not None and np.isfinite(exact.exit_between(x)):
        np.testing.assert_allclose(times[node], exact.exit_between(x), rtol=0.05)


@PROPERTY
@given(st.integers(9, 21), st.floats(-0.6, 4.0), st.floats(0.3, 0.95))
def test_few_nodes_tell_a_straight_line_with_a_bend_from_another_power(n, c, power):
    """a = x (1 + c x), or sin(5x/2) 2/5, b = ν < 1: the end is reached."""
    grid = pl.Grid(0.0, 1.0, n, boundary="absorbing")
    drift, x = np.full(n, power), grid.x[n // 4]
    scale = integrate.quad(lambda y: np.tan(1.25 * y) ** -power, 0.0, x)[0]
    left = integrate.quad(lambda y: np.tan(1.25 * y) ** -power, x, 1.0)[0]
    bent, sine = Exact(0.0, 1.0, c, power, 0.0, 0.0, 0.0).hit(x), left / (scale + left)
    for noise, exact in ((grid.x * (1 + c * grid.x), bent), (np.sin(2.5 * grid.x) / 2.5, sine)):
        problem = FokkerPlanck(drift=drift, diffusion=noise, diffusivity=1.0)
        hits = answered(lambda problem=problem: splitting(problem, grid)[0, 0])
        assert hits is None or abs(hits[n // 4] - exact) < 0.01


@PROPERTY
@given(st.sampled_from(sorted(SHARES)), st.floats(0.0, 0.9), st.integers(6, 20), st.floats(0.8, 3.0))
def test_fellers_diffusion_is_absorbed_by_the_law_of_its_gamma_time(name, power, node, time):
    """dX = ν dt + sqrt(2 X) dW of Ito, ν < 1, started at x is at 0 before x/G, G of the law Γ(1 - ν)."""
    grid = pl.Grid(0.0, 25.0, 201, boundary=("absorbing", "reflecting"))
    start = np.zeros(201)
    start[node] = 1.0
    drift = np.full(201, power - SHARES[name])
    problem = FokkerPlanck(drift=drift, diffusion=grid.x, diffusivity=1.0, interpretation=name)
    law = answered(lambda: first_passage(problem, start, grid, time))
    assert law is None or abs(law.survival[-1] - stats.gamma(1 - power).cdf(grid.x[node] / time)) < 0.02


def test_noise_in_the_plane_fades_along_each_axis():
    """Products of Jacobi's processes in x and Feller's in y: the law is the product of theirs."""
    grid = pl.Grid((0.0, 0.0), (1.0, 12.0), (31, 61))
    x, y = grid.points[..., 0], grid.points[..., 1]
    sigma = np.zeros((*grid.shape, 2, 2))
    sigma[..., 0, 0], sigma[..., 1, 1] = np.sqrt(x * (1 - x)), np.sqrt(y)
    drift = np.stack([0.6 - 1.5 * x, 0.7 - y], axis=-1)
    masses = grid.weights * stationary(FokkerPlanck(drift=drift, sigma=sigma, diffusivity=1.0), grid)
    laws = []
    for axis, exact in ((0, stats.beta(0.6, 0.9)), (1, stats.gamma(0.7))):
        nodes = grid.axes[axis]
        edges = np.array([nodes[0], *(nodes[1:] + nodes[:-1]) / 2, nodes[-1]])
        laws.append(np.diff(exact.cdf(edges)))
    assert np.abs(masses - np.outer(*laws)).sum() < 0.04


@pytest.mark.parametrize("scheme", ["implicit", "crank_nicolson", "explicit"])
@pytest.mark.parametrize("name", sorted(SHARES))
def test_coefficients_of_time_have_the_same_fading_ends(scheme, name):
    """What is given as functions that do not change is what does not change."""
    grid = pl.Grid(0.0, 1.0, 11)
    drift, noise = 0.5 - grid.x, grid.x * (1 - grid.x)
    start = np.where(grid.x < 0.3, 1.0, 0.0)
    finals = []
    for fields in (
        {"drift": drift, "diffusion": noise},
        {"drift": lambda time: drift, "diffusion": noise},
        {"drift": drift, "diffusion": lambda time: noise},
    ):
        problem = FokkerPlanck(**fields, diffusivity=1.0, interpretation=name)
        finals.append(pl.solve(problem, start, grid, 0.04, scheme=scheme, dt=2e-3, rtol=math.inf).final)
    np.testing.assert_allclose(finals[1], finals[0], rtol=1e-9)
    np.testing.assert_allclose(finals[2], finals[0], rtol=1e-9)


@pytest.mark.parametrize("n", [11, 41])
def test_a_force_that_vanishes_at_an_end_is_none_there(n):
    """b = x(1 - x)/5 as a drift and as the slope of a potential: an end that noise of power 3/2 reaches."""
    grid = pl.Grid(0.0, 1.0, n, boundary="absorbing")
    noise = {"diffusion": grid.x**1.5, "diffusivity": 1.0}
    exact = Exact(0.0, 1.5, 0.0, 0.0, 0.2, -0.2, 0.0)
    for force in ({"drift": 0.2 * grid.x * (1 - grid.x)}, {"potential": -(grid.x**2) / 10 + grid.x**3 / 15}):
        hits = splitting(FokkerPlanck(**force, **noise), grid)[0, 0]
        assert abs(hits[n // 2] - exact.hit(grid.x[n // 2])) < 0.01


def test_a_potential_that_is_level_at_an_end_leaves_it_within_reach():
    """-cos(4x)/20, which no polynomial of five nodes is, and its slope as a drift."""
    grid = pl.Grid(0.0, 1.0, 41, boundary="absorbing")
    noise = {"diffusion": grid.x**1.5, "diffusivity": 1.0}
    forces = {"drift": -np.sin(4 * grid.x) / 5}, {"potential": -np.cos(4 * grid.x) / 20}
    hits = [splitting(FokkerPlanck(**force, **noise), grid)[0, 0][20] for force in forces]
    assert hits[0] > 0.4 and abs(hits[1] - hits[0]) < 0.01


def test_the_times_before_the_last_are_told_too():
    """Feller's diffusion on coarse nodes, which do not resolve what is absorbed at first."""
    grid = pl.Grid(0.0, 3.0, 21, boundary=("absorbing", "reflecting"))
    start = np.where(grid.x > 0, np.exp(-(((grid.x - 0.6) / 0.2) ** 2)), 0.0)
    with pytest.warns(pl.AccuracyWarning, match="saved time 1 of 2"):
        first_passage(FokkerPlanck(diffusion=grid.x, diffusivity=1.0), start, grid, [0.1, 3.0])


@pytest.mark.parametrize("n", [20, 21])
def test_noise_that_bends_between_the_nodes_of_an_end_is_told(n):
    """They do not resolve it, as half as many of them show."""
    grid = pl.Grid(0.0, 1.0, n)
    noise = {"diffusion": np.tanh(6 * grid.x) + 1e-3, "diffusivity": 0.1, "interpretation": "fick"}
    walls = pl.Grid(0.0, 1.0, n, boundary="absorbing")
    with pytest.warns(pl.AccuracyWarning, match="exit times are off"):
        mean_exit_time(FokkerPlanck(drift=5.3 * (0.24 - grid.x), **noise), walls)
    y = 1 - grid.x
    rough = (y**0.42 + 1e-4) * np.exp(-1.46 * np.sin(6.4 * grid.x))
    with pytest.warns(pl.AccuracyWarning, match="the law that stationary gives is off"):
        stationary(FokkerPlanck(drift=0 * y, diffusion=rough, diffusivity=1.0), grid)


def test_five_nodes_of_noise_that_bends_are_told_to_be_few():
    grid = pl.Grid(0.0, 1.0, 5, boundary="absorbing")
    noise = {"diffusion": np.sin(np.pi * grid.x) + 0.1, "diffusivity": 1.0, "interpretation": "fick"}
    with pytest.warns(pl.AccuracyWarning, match="too few"):
        mean_exit_time(FokkerPlanck(drift=np.full(5, -0.12), **noise), grid)


@pytest.mark.parametrize("n, start", [(38, 1.99), (39, 1.99), (52, 2.58), (60, 1.08), (200, 1.5)])
def test_the_gap_of_fellers_process_is_right_or_told(n, start):
    """dX = (ν - X) dt + sqrt(2 X) dW: means decay at the rate one."""
    grid = pl.Grid(0.0, start + 12 * math.sqrt(start) + 25, n)
    gap = answered(lambda: spectral_gap(FokkerPlanck(drift=start - grid.x, diffusion=grid.x, diffusivity=1.0), grid))
    assert gap is None if n < 100 else abs(gap - 1) < 0.02


@pytest.mark.parametrize("n", [31, 32, 200, 201])
def test_noise_that_vanishes_inside_is_told(n):
    """dX = X sqrt(2) dW has all rates from 1/4 on, which no nodes show; a drift across carries over the place."""
    grid = pl.Grid(-1.0, 2.0, n)

    def told(drift):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            gap = spectral_gap(FokkerPlanck(drift=np.full(n, drift), sigma=grid.x, diffusivity=1.0), grid)
        return gap, any("vanishes round" in str(warning.message) for warning in said)

    gap, vanishes = told(0.0)
    assert vanishes and gap > 0.27
    assert not told(1.0)[1]


JACOBI = st.tuples(st.floats(0.2, 5.0), st.floats(0.2, 5.0), st.floats(0.1, 3.0))


@PROPERTY
@given(st.sampled_from(["ito", "stratonovich", "fick"]), st.integers(5, 40), JACOBI)
def test_the_gap_of_jacobis_process_is_right_or_told(name, n, rates):
    """dX = (A (1 - X) - B X) dt + sqrt(2 D X (1 - X)) dW: means of straight lines decay at the rate A + B."""
    grid, (first, second, diffusivity) = pl.Grid(0.0, 1.0, n), rates
    drift = first - (first + second) * grid.x - SHARES[name] * diffusivity * (1 - 2 * grid.x)
    noise = {"diffusion": grid.x * (1 - grid.x), "diffusivity": diffusivity, "interpretation": name}
    gap = answered(lambda: spectral_gap(FokkerPlanck(drift=drift, **noise), grid))
    assert gap is None or abs(gap / (first + second) - 1) < 0.1
