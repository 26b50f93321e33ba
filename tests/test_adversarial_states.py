"""Steady states under attack: ill-conditioned linear laws, tori, full matrices in space, and what has to be refused."""

import math

import numpy as np
import pytest
from scipy import linalg

import pdelab as pl
from pdelab import nonequilibrium
from pdelab.generator import turning_rate


def turned(rng, values):
    basis = np.linalg.qr(rng.normal(size=(len(values),) * 2))[0]
    return (basis * values) @ basis.T


def test_linear_laws_of_condition_up_to_a_million(rng):
    """1000 of them made from U, D and Q, again by eigenvectors and by Kronecker's system: errors of eps times cond.

    U has condition numbers up to 1e6, D up to 1e3, and Q is nothing, small or large.
    """
    largest = 0.0
    for _ in range(1000):
        d = int(rng.integers(2, 5))
        condition = 10.0 ** rng.uniform(0, 6)
        U = turned(rng, np.geomspace(1, 1 / condition, d)) * 10.0 ** rng.uniform(-5, 5)
        D = turned(rng, 10.0 ** rng.uniform(-3, 0, d)) * 10.0 ** rng.uniform(-5, 5)
        Q = rng.normal(size=(d, d)) * np.abs(D).max() * rng.choice([0.0, 1e-3, 1.0, 10.0])
        Q = Q - Q.T
        F, S = (D + Q) @ U, np.linalg.inv(U)
        state = nonequilibrium.linear(F, D, beta=3.0)
        eye = np.eye(d)
        operator = np.kron(F, eye) + np.kron(eye, F)
        largest = max(largest, np.linalg.cond(U))
        slack = 1e-14 * (np.linalg.cond(operator) + np.linalg.cond(U) + np.linalg.cond(F))
        values, V = np.linalg.eig(F)
        inverse = np.linalg.inv(V)
        inner = (inverse @ (2 * D) @ inverse.conj().T) / (values[:, None] + values.conj()[None, :])
        by_vectors = (V @ inner @ V.conj().T).real
        by_system = np.linalg.solve(operator, 2 * D.ravel()).reshape(d, d)
        size = np.abs(S).max()
        assert np.abs(3.0 * state.covariance - S).max() <= slack * size
        assert np.abs(by_system - S).max() <= slack * size
        assert np.abs(by_vectors - S).max() <= slack * np.linalg.cond(V) ** 2 * size
        assert np.abs(state.Q - Q).max() <= slack * np.abs(F).max() * size
        assert np.abs(state.Q + state.Q.T).max() == 0 and state.residual < 1e-13
        assert state.entropy_production >= 0
        exact = -np.trace(np.linalg.solve(D, Q @ U @ Q))
        wrong = slack * np.linalg.cond(D) * (np.abs(F).max() * size / np.abs(D).max() + 1) ** 2
        assert abs(state.entropy_production - exact) <= wrong * max(np.abs(F).max(), exact)
    assert largest > 3e5


@pytest.mark.filterwarnings(
    "ignore:drift|the nodes|the density bends"
)  # the chain of a coarse grid against dense algebra
@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("full", [False, True])
def test_a_constant_wind_on_a_torus(d, full, rng):
    """The density is flat, the entropy production β b·Σ^-1 b; edges of a full matrix that carry wind alone add some."""
    grid = pl.Grid((0.0,) * d, (1.0, 2.0, 0.7)[:d], (9, 8, 7)[:d], boundary="periodic")
    matrix = turned(rng, np.array([1.0, 0.4, 0.6])[:d]) if full else np.diag([1.0, 0.4, 0.6][:d])
    b = np.array([0.7, -1.1, 0.5])[:d]
    problem = pl.FokkerPlanck(
        drift=np.broadcast_to(b, (*grid.shape, d)), beta=2.5, diffusion=np.broadcast_to(matrix, (*grid.shape, d, d))
    )
    exact = 2.5 * b @ np.linalg.solve(matrix, b)
    state = nonequilibrium.decompose(problem, grid)
    assert state.potential.max() < 1e-12 and not state.balanced
    np.testing.assert_allclose(state.force, np.broadcast_to(b, state.force.shape), atol=1e-12)
    assert state.entropy_production == pytest.approx(exact, rel=1e-3 if full else 1e-9)
    density = nonequilibrium.entropy_production_density(problem, grid)
    assert grid.integrate(density) == pytest.approx(state.entropy_production, rel=1e-9)
    assert np.ptp(density) < 1e-9 * exact
    volume = math.prod(grid.upper)
    for axis in range(d):
        turns = turning_rate(problem, grid, axis)
        assert turns == pytest.approx(b[axis] / grid.upper[axis], rel=1e-9)
        area = volume / grid.upper[axis]
        assert np.mean(state.current[axis]) * area == pytest.approx(turns, rel=1e-9)


@pytest.mark.filterwarnings(
    "ignore:drift|the nodes|the density bends"
)  # the chain of a coarse grid against dense algebra
@pytest.mark.parametrize("beta", [0.5, 5.0, 20.0])
def test_the_entropy_of_a_driven_torus_is_force_times_turns(beta, rng):
    """Only the wind F along x is no gradient: entropy production = βFL turns, to round-off, over 20 orders."""
    grid = pl.Grid((0.0, 0.0), (2.0, 1.0), (14, 9), boundary=("periodic", "reflecting"))
    U = 1.5 * rng.normal(size=grid.shape)
    wind = np.broadcast_to([0.9, 0.0], (*grid.shape, 2))
    problem = pl.FokkerPlanck(U, wind, beta=beta)
    produced = nonequilibrium.entropy_production(problem, grid)
    assert produced == pytest.approx(beta * 0.9 * 2.0 * turning_rate(problem, grid), rel=1e-8)


@pytest.mark.filterwarnings(
    "ignore:drift|the nodes|the density bends"
)  # the chain of a coarse grid against dense algebra
def test_entropy_production_of_a_full_matrix_in_space():
    """Turning flow in three dimensions with correlated noise: the grid towards -tr(D^-1 Q U Q) at second order."""
    F = np.array([[1.2, 0.5, 0.0], [-0.5, 1.0, 0.3], [0.0, -0.3, 1.5]])
    D = np.array([[1.0, 0.3, 0.1], [0.3, 0.8, 0.0], [0.1, 0.0, 0.9]])
    exact = nonequilibrium.linear(F, D).entropy_production
    gaps = []
    for n in (9, 13):
        grid = pl.Grid((-4.0,) * 3, (4.0,) * 3, n)
        noise = np.broadcast_to(D, (n, n, n, 3, 3))
        problem = pl.FokkerPlanck(drift=-grid.points @ F.T, diffusion=noise, beta=1.0)
        production = nonequilibrium.entropy_production(problem, grid)
        density = nonequilibrium.entropy_production_density(problem, grid)
        assert grid.integrate(density) == pytest.approx(production, rel=1e-9)
        gaps.append(abs(production / exact - 1))
    assert gaps[1] < 0.1 and math.log(gaps[0] / gaps[1]) / math.log(12 / 8) > 1.3, gaps


LINE = pl.Grid(-2.0, 2.0, 9)
OPEN = pl.Grid(-2.0, 2.0, 9, boundary=("reflecting", "absorbing"))
PLANE = pl.Grid((-1.0, -1.0), (1.0, 1.0), (5, 5))
PARTLY = np.diag([1.0, 1.0]) + np.zeros((5, 5, 2, 2))
PARTLY[2, 3] = [[1.0, 2.0], [2.0, 1.0]]  # indefinite at one node
STATE = pl.FokkerPlanck(LINE.x**2, beta=1.0)
COLD = pl.FokkerPlanck(LINE.x**2, beta=math.inf)
QUESTIONS = {
    "potential": lambda problem, grid: nonequilibrium.potential(problem, grid),
    "decompose": lambda problem, grid: nonequilibrium.decompose(problem, grid),
    "entropy production": lambda problem, grid: nonequilibrium.entropy_production(problem, grid),
    "entropy density": lambda problem, grid: nonequilibrium.entropy_production_density(problem, grid),
    "free energy": lambda problem, grid: nonequilibrium.free_energy(problem, grid, np.ones(grid.shape) / 4),
    "dissipation": lambda problem, grid: nonequilibrium.dissipation(problem, grid, np.ones(grid.shape) / 4),
    "winding": lambda problem, grid: nonequilibrium.winding_rate(problem, grid),
    "turns": lambda problem, grid: nonequilibrium.winding_rate(problem, grid, axis=0),
    "split": lambda problem, grid: nonequilibrium.split(problem, grid),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    "problem, grid, words",
    [
        (STATE, OPEN, "absorbing|closed box|boundary"),
        (STATE, pl.Grid(-2.0, 2.0, 9, boundary="outflow"), "outflow|closed box"),
        (COLD, LINE, "noise|closed box"),
        (pl.FokkerPlanck(beta=1.0, diffusion=PARTLY), PLANE, r"semi-definite.*-1 at index \(2, 3\)"),
        (pl.FokkerPlanck(drift=1j * LINE.x, beta=1.0), LINE, "drift|closed box"),
    ],
    ids=["leaks", "flows out", "cold", "indefinite", "complex"],
)
def test_every_question_refuses_what_has_no_steady_state(question, problem, grid, words):
    with pytest.raises(ValueError, match=words):
        QUESTIONS[question](problem, grid)


@pytest.mark.parametrize("paths", [1, 40])
def test_trajectories_shorter_than_their_lags_are_refused(paths):
    states, times = np.random.default_rng(0).normal(size=(50, paths, 2)), np.arange(50.0)
    for lag in (31 if paths > 1 else 1, 49, 50, 500):
        with pytest.raises(ValueError, match="saved times for lag"):
            nonequilibrium.rotation(states, times, lag=lag)
    with pytest.raises(ValueError, match="lags"):
        nonequilibrium.autocorrelation(states[:, 0, 0], [10, 50])
    with pytest.raises(ValueError, match="times: expected one for each"):
        nonequilibrium.winding(states[:1], times[:1])
    with pytest.raises(ValueError, match="saved times"):
        nonequilibrium.path_entropy_production(states[:9, :1], times[:9], lambda x: -x, np.eye(2))
    for bad in (states * 1j, np.where(states > 2, math.nan, states)):
        with pytest.raises(ValueError, match="states: expected"):
            nonequilibrium.rotation(bad, times)


def test_complex_matrices_are_refused_and_shear_is_answered():
    for F in (np.eye(2) * 1j, np.eye(2) + 1e-300j, [["1", "0"], ["0", "1"]], [[math.nan, 0], [0, 1]]):
        with pytest.raises(ValueError, match="F: expected a square matrix"):
            nonequilibrium.linear(F, np.eye(2))
    jordan = nonequilibrium.linear([[1.0, 1e3], [0.0, 1.0]], np.eye(2))  # one eigenvector only
    assert jordan.residual < 1e-12 and np.linalg.eigvalsh(jordan.covariance)[0] > 0
    assert linalg.norm(jordan.covariance - [[1 + 5e5, -500.0], [-500.0, 1.0]]) < 1e-6
