"""Chains whose probabilities, times and gaps are exponentially small or large, against 900-digit arithmetic."""

import math

import mpmath
import numpy as np
import pytest
from exact_chains import Chain

import pdelab as pl
from pdelab import FokkerPlanck
from pdelab.generator import (
    censored,
    committor,
    current,
    divergence,
    generator,
    log_stationary,
    mean_exit_time,
    spectral_gap,
    stationary,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:drift|the nodes|the density bends"
)  # chains of coarse grids against exact arithmetic
DIGITS = 900


class Exact(Chain):
    """The generator of a problem with 900 digits."""

    def __init__(self, problem, grid, digits=DIGITS):
        mpmath.mp.dps = digits
        super().__init__(generator(problem, grid))

    def solve(self, inside, load):
        """{node: v} where v = 0 outside `inside`, -Q v = load there."""
        nodes = [int(i) for i in np.flatnonzero(inside)]
        return dict(zip(nodes, self.solved(nodes, [load[i] for i in nodes])))

    def gap(self, steps):
        """Inverse iteration off the equilibrium."""
        law = self.law()
        held = max(range(self.n), key=law.__getitem__)
        A = -self.Q
        A[held, held] += 1
        inverse = A**-1
        x = mpmath.matrix([mpmath.cos(i + 1) for i in range(self.n)])
        for _ in range(steps):
            x = self.forgets(x, law)
            y = self.forgets(inverse * x, law)
            rate = mpmath.fsum(p * a * a for p, a in zip(law, x)) / mpmath.fsum(p * a * b for p, a, b in zip(law, x, y))
            x = y / mpmath.norm(y, mpmath.inf)
        return rate

    @staticmethod
    def forgets(x, law):
        mean = mpmath.fsum(p * a for p, a in zip(law, x))
        return mpmath.matrix([a - mean for a in x])


def wells(grid, depth, tilt, swirl=0.0):
    """The drift of several wells, on axes of any kind, as arrays: no closed form is known to the chain."""
    points = grid.points.reshape(*grid.shape, -1)
    waves = [np.pi * 2 / (high - low) for low, high in zip(grid.lower, grid.upper)]
    b = np.stack(
        [(depth if i == 0 else 5) * k * np.sin(2 * k * points[..., i]) + tilt * np.cos(k * points[..., i])
         for i, k in enumerate(waves)], -1,
    )  # fmt: skip
    if swirl:
        b[..., 0] += swirl * np.cos(waves[-1] * points[..., -1])
    return b.reshape(grid.shape) if grid.dimension == 1 else b


CASES = [
    (pl.Grid(0.0, 2.0, 41), 800.0, 65.0, 0.0),
    (pl.Grid(-1.0, 2.5, 40, boundary="periodic"), 800.0, 2.0, 0.0),
    (pl.Grid((0.0, 0.0), (1.0, 1.5), (15, 4)), 850.0, 20.0, 4.0),
    (pl.Grid((0.0, 0.0), (1.0, 1.5), (14, 4), boundary=("periodic", "reflecting")), 1000.0, 12.0, 0.0),
]
IDS = ["line", "ring", "plane", "cylinder"]


@pytest.mark.parametrize("grid, depth, tilt, swirl", CASES, ids=IDS)
def test_stationary_laws_beyond_the_range_of_float64(grid, depth, tilt, swirl):
    problem = FokkerPlanck(drift=wells(grid, depth, tilt, swirl), diffusivity=1.0)
    exact = Exact(problem, grid).law()
    logs = np.array([float(mpmath.log(mass)) for mass in exact]) - np.log(grid.weights.ravel())
    assert np.ptp(logs) > 720, np.ptp(logs)
    np.testing.assert_allclose(log_stationary(problem, grid).ravel(), logs, rtol=1e-13, atol=1e-10)
    density = stationary(problem, grid)
    np.testing.assert_allclose(density.ravel(), np.exp(logs), rtol=1e-10, atol=1e-300)
    assert grid.integrate(density) == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize("grid, depth, tilt, swirl", CASES[::2], ids=IDS[::2])
def test_the_law_of_the_mirror_image_is_the_mirror_image(grid, depth, tilt, swirl):
    drift = wells(grid, depth, tilt, swirl)
    mirrored = -np.flip(drift) if grid.dimension == 1 else -np.flip(drift, axis=tuple(range(grid.dimension)))
    here, there = (log_stationary(FokkerPlanck(drift=b, diffusivity=1.0), grid) for b in (drift, mirrored))
    np.testing.assert_allclose(np.flip(there), here, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("grid, depth, tilt, swirl", CASES, ids=IDS)
def test_exit_times_of_any_size(grid, depth, tilt, swirl):
    problem, first = FokkerPlanck(drift=wells(grid, depth, tilt, swirl), diffusivity=1.0), np.zeros(grid.shape, bool)
    first[grid.shape[0] // 4] = True
    exact = Exact(problem, grid).solve(~first.ravel(), [1] * first.size)
    expected = np.array([float(mpmath.log(exact[i])) if i in exact else -math.inf for i in range(first.size)])
    assert expected.max() > 720
    logs = mean_exit_time(problem, grid, first, logarithm=True).ravel()
    np.testing.assert_allclose(logs, expected, rtol=1e-12, atol=1e-11)
    with pytest.raises(ValueError, match=r"reaches exp\(\d+.*logarithm=True"):
        mean_exit_time(problem, grid, first)


@pytest.mark.parametrize("grid, depth, tilt, swirl", CASES, ids=IDS)
@pytest.mark.parametrize("size", [0.35, 1.0])
def test_committors_of_any_size(grid, depth, tilt, swirl, size):
    problem = FokkerPlanck(drift=wells(grid, size * depth, tilt, swirl), diffusivity=1.0)
    a, b = np.zeros((2, *grid.shape), bool)
    a[grid.shape[0] // 4], b[(3 * grid.shape[0]) // 4] = True, True
    chain, outside = Exact(problem, grid), ~(a | b).ravel()
    exact = chain.solve(outside, [mpmath.fsum(chain.Q[i, int(j)] for j in np.flatnonzero(b)) for i in range(a.size)])
    expected = np.array([float(exact[i]) if i in exact else float(b.flat[i]) for i in range(a.size)])
    chances = committor(problem, grid, a, b).ravel()
    assert (chances >= 0).all() and (chances <= 1).all()
    np.testing.assert_allclose(chances, expected, rtol=1e-11, atol=1e-300)
    assert chances[outside].min() < (1e-6 if grid.boundary == ("periodic",) else 1e-80)  # a ring has two ways


@pytest.mark.parametrize("seed", range(12))
def test_committors_stay_between_zero_and_one(seed):
    rng = np.random.default_rng(seed)
    d = 1 + seed % 3
    shape = ((60,), (12, 9), (5, 6, 4))[d - 1]
    grid = pl.Grid((0.0,) * d, (1.0,) * d, shape, boundary=("reflecting", "periodic")[seed % 2])
    U = 10 ** rng.uniform(0, 2.6) * rng.random(shape)
    sets = rng.permutation(grid.weights.size)
    a, b = np.zeros((2, *shape), bool)
    a.flat[sets[:2]], b.flat[sets[2:4]] = True, True
    there, back = committor(FokkerPlanck(U, beta=1.0), grid, a, b), committor(FokkerPlanck(U, beta=1.0), grid, b, a)
    for v in (there, back):
        assert v.min() >= 0 and v.max() <= 1
    np.testing.assert_allclose(there + back, 1, rtol=1e-14)


GAPS = [
    (pl.Grid(0.0, 2.0, 60, boundary="periodic"), 250.0, 6.0),
    (pl.Grid((0.0, 0.0), (1.0, 1.5), (11, 6)), 120.0, 9.0),
    (pl.Grid((0.0, 0.0), (1.0, 1.5), (10, 8), boundary="periodic"), 200.0, 0.0),
    (pl.Grid((0.0, 0.0, 0.0), (1.0, 1.5, 1.0), (9, 3, 3)), 130.0, 3.0),
]


@pytest.mark.parametrize("grid, depth, tilt", GAPS, ids=["ring", "plane", "torus", "solid"])
def test_exponentially_small_gaps(grid, depth, tilt):
    problem = FokkerPlanck(drift=wells(grid, depth, tilt), diffusivity=1.0)
    gap = spectral_gap(problem, grid)
    Q = generator(problem, grid)
    assert 0 < gap < 1e-14 * -Q.diagonal().min()  # what a dense or a shifted sparse eigenvalue cannot see
    assert gap == pytest.approx(float(Exact(problem, grid, 250).gap(12)), rel=1e-9)


def test_small_gaps_on_larger_grids_follow_the_line():
    """A product of a double well and a single well has the gap of the double well, in one, two and three dimensions."""
    line = pl.Grid(-1.6, 1.6, 65)
    gap = spectral_gap(FokkerPlanck(40 * (line.x**2 - 1) ** 2, beta=1.0), line)
    assert gap < 1e-11
    for shape in ((65, 20), (65, 5, 4)):
        d = len(shape)
        grid = pl.Grid((-1.6,) * d, (1.6,) * d, shape)
        U = 40 * (grid.points[..., 0] ** 2 - 1) ** 2 + 3 * (grid.points[..., 1:] ** 2).sum(axis=-1)
        assert spectral_gap(FokkerPlanck(U, beta=1.0), grid) == pytest.approx(gap, rel=1e-9)


def test_gaps_beyond_the_range_are_refused():
    line = pl.Grid(-1.6, 1.6, 121)
    ring = pl.Grid(0.0, 2 * np.pi, 120, boundary="periodic")
    for grid, U in ((line, 800 * (line.x**2 - 1) ** 2), (ring, 400 * np.cos(2 * ring.x))):
        with pytest.raises(ValueError, match="float64 cannot hold"):
            spectral_gap(FokkerPlanck(U, beta=1.0), grid)


def test_neighbours_that_float64_cannot_join_are_refused():
    grid = pl.Grid(-1.0, 1.0, 5)
    problem = FokkerPlanck(drift=-4e3 * grid.x, beta=1.0)
    for ask in (
        lambda: stationary(problem, grid),
        lambda: mean_exit_time(problem, grid, grid.x > 0.9),
        lambda: committor(problem, grid, grid.x < -0.9, grid.x > 0.9),
        lambda: spectral_gap(problem, grid),
    ):
        with pytest.raises(ValueError, match="grid: neighbouring nodes along axis 0 differ by 1500 kT"):
            ask()


def test_large_grids_answer_with_a_certificate_or_refuse(monkeypatch):
    """Without the elimination: answers that its sparse factors certify agree with it, the others are refused."""
    grid = pl.Grid((-1.6, -1.0), (1.6, 1.0), (33, 9))
    a, b = grid.points[..., 0] < -1.0, grid.points[..., 0] > 1.0
    gentle, steep = (
        FokkerPlanck(drift=-grid.gradient(depth * (grid.points[..., 0] ** 2 - 1) ** 2), beta=1.0) for depth in (3, 60)
    )
    asks = [
        lambda problem: stationary(problem, grid),
        lambda problem: mean_exit_time(problem, grid, b),
        lambda problem: committor(problem, grid, a, b),
        lambda problem: spectral_gap(problem, grid),
    ]
    exact = [ask(gentle) for ask in asks]
    steep_times = mean_exit_time(steep, grid, b)
    monkeypatch.setattr(censored, "BANDED_WORK", 0.0)
    for ask, expected in zip(asks, exact):
        np.testing.assert_allclose(ask(gentle), expected, rtol=1e-8)
    for ask in (asks[0], asks[3]):
        with pytest.raises(ValueError, match="grid of less than 370² or 29³ nodes"):
            ask(steep)
    try:  # right, or refused
        np.testing.assert_allclose(asks[1](steep), steep_times, rtol=1e-6)
    except ValueError as error:
        assert "fails its certificate" in str(error)


@pytest.mark.parametrize("force", [1.0, -0.3, 1e-6])
@pytest.mark.parametrize("beta", [2.0, 30.0])
@pytest.mark.parametrize("flat", [True, False])
def test_small_currents_round_a_ring_keep_their_digits(force, beta, flat):
    """The washboard -cos x - F x: a current far below the rounding of what jumps to and fro."""
    grid = pl.Grid(0.0, 2 * np.pi, 48, boundary="periodic")
    drift, matrix = np.full(48, force), None if flat else 1 + 0.4 * np.sin(grid.x)
    problem = FokkerPlanck(-1.5 * np.cos(grid.x), drift, beta=beta, diffusion=matrix)
    chain = Exact(problem, grid, 120)
    law = chain.law()
    exact = float(chain.Q[3, 4] * law[3] - chain.Q[4, 3] * law[4])
    (flux,) = current(problem, grid, stationary(problem, grid))
    assert flux.shape == (48,) and np.ptp(flux) == 0
    assert exact != 0
    # the chain's own rates are rounded: one turn is worth its affinity give or take that
    affinity = 2 * np.pi * force * beta
    assert flux[0] == pytest.approx(exact, rel=1e-10 + 48 * 4e-15 / abs(affinity))


def test_the_current_of_a_ring_in_the_continuum():
    """Stratonovich: J = (1 - e^{-βFL}) / (β ∫dx ∫_x^{x+L}dy e^{β(V(y) - V(x))}) for V = -3 cos x - F x, β = 20."""
    beta, turn = 20.0, 2 * np.pi
    x = np.linspace(0.0, turn, 40001)
    V = -3 * np.cos(x) - x
    rising, falling = np.exp(beta * (V - V.max())), np.exp(-beta * (V - V.min()))
    parts = (rising[1:] + rising[:-1]) / 2 * x[1]
    before, after = np.cumsum(np.append(0.0, parts)), np.cumsum(np.append(0.0, parts[::-1]))[::-1]
    double = np.sum((falling * (after + math.exp(-beta * turn) * before))[:-1]) * x[1]
    exact = -math.expm1(-beta * turn) / beta / double * math.exp(-beta * (V.max() - V.min()))
    assert exact < 1e-20
    errors = []
    for n in (200, 400, 800):
        grid = pl.Grid(0.0, turn, n, boundary="periodic")
        problem = FokkerPlanck(-3 * np.cos(grid.x), np.ones(n), beta=beta)
        errors.append(abs(current(problem, grid, stationary(problem, grid))[0][0] / exact - 1))
    assert errors[-1] < 2e-3 and np.log2(errors[0] / errors[1]) > 1.8, errors


def test_other_densities_on_a_ring_have_the_current_of_their_faces():
    grid, rng = pl.Grid(0.0, 1.0, 20, boundary="periodic"), np.random.default_rng(0)
    problem = FokkerPlanck(np.cos(2 * np.pi * grid.x), np.ones(20), beta=1.0)
    rho = stationary(problem, grid) * (1 + 1e-6 * rng.normal(size=20))
    change = generator(problem, grid).T @ (grid.weights * rho)
    np.testing.assert_allclose(-divergence(current(problem, grid, rho), grid) * grid.weights, change, atol=1e-15 * 400)
    balanced = FokkerPlanck(np.cos(2 * np.pi * grid.x), beta=1.0)
    assert current(balanced, grid, stationary(balanced, grid))[0].tolist() == [0.0] * 20


def test_a_current_of_rounding_alone_comes_with_a_warning():
    grid = pl.Grid((0.0, 0.0), (2 * np.pi, 1.0), (24, 4), boundary=("periodic", "reflecting"))
    wind = np.zeros((24, 4, 2))
    wind[..., 0] = 1e-3
    problem = FokkerPlanck(-2 * np.cos(grid.points[..., 0]), wind, beta=20.0)
    with pytest.warns(UserWarning, match="rounding of the"):
        current(problem, grid, stationary(problem, grid))
