"""Steady states with currents: closed forms, round-off certificates, coverage of the estimators, refusals."""

import math
import re
import warnings

import numpy as np
import pytest
from scipy import integrate, linalg, special

import pdelab as pl
from pdelab import nonequilibrium
from pdelab.claims.nonequilibrium import ornstein_uhlenbeck

TILTED = np.array([[0.6, -0.8], [0.8, 0.6]])
TURNING = np.array([[2.0, 0.8], [0.8, 1.0]]), np.diag([1.0, 0.1])


def random_stable(rng, d, condition):
    """A stable drift matrix and a positive definite noise of given condition numbers."""

    def spread():
        return np.exp(rng.uniform(0, math.log(condition), d))

    left, right, basis = (np.linalg.qr(rng.normal(size=(d, d)))[0] for _ in range(3))
    D = (basis * spread()) @ basis.T / condition
    U = (left * spread()) @ left.T / condition
    Q = rng.normal(size=(d, d))
    return (D + (Q - Q.T) * rng.choice([0.0, 0.01, 1.0])) @ U, D, right


def test_linear_against_two_other_algorithms(rng):
    """1000 random stable matrices: Kronecker's linear system, and the stationary covariance as an infinite sum."""
    for k in range(1000):
        d = int(rng.integers(1, 5))
        F, D, _ = random_stable(rng, d, 10.0 ** rng.uniform(0, 3))
        state = nonequilibrium.linear(F, D, beta=2.0)
        eye = np.eye(d)
        operator = np.kron(F, eye) + np.kron(eye, F)
        S = np.linalg.solve(operator, 2 * D.ravel()).reshape(d, d)
        slack = 1e-14 * np.linalg.cond(operator)
        assert np.abs(2.0 * state.covariance - S).max() <= slack * np.abs(S).max()
        assert state.residual < 1e-13
        assert np.abs(state.Q + state.Q.T).max() == 0.0
        scale = np.abs(F).max() * np.linalg.cond(S)
        assert np.abs((state.D + state.Q) @ state.U - F).max() <= 1e-12 * scale
        assert state.entropy_production >= 0
        if k % 10 == 0:  # S = sum of doublings: S_{2t} = S_t + e^{-Ft} S_t e^{-F^T t}
            t = 0.01 / np.abs(F).max()
            block = linalg.expm(np.block([[-F, 2 * D], [np.zeros((d, d)), F.T]]) * t)
            step, total = block[:d, :d], block[:d, d:] @ block[:d, :d].T
            for _ in range(80):
                total, step = total + step @ total @ step.T, step @ step
            assert np.abs(total - S).max() <= 1e3 * slack * np.abs(S).max()


def test_linear_in_any_units(rng):
    """x -> s x: S -> s S s and entropy as before, for units many decades apart; shear moves even more."""
    for _ in range(50):
        d = int(rng.integers(2, 4))
        F, D, _ = random_stable(rng, d, 10.0)
        s = 10.0 ** rng.uniform(-12, 12, d)
        here, there = nonequilibrium.linear(F, D), nonequilibrium.linear(s[:, None] * F / s, s[:, None] * D * s)
        np.testing.assert_allclose(there.covariance / s / s[:, None], here.covariance, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(there.U * s * s[:, None], here.U, rtol=1e-9, atol=1e-9 * np.abs(here.U).max())
        assert abs(there.entropy_production - here.entropy_production) < 1e-8 * (1 + here.entropy_production)
    state = nonequilibrium.linear([[1, 1e8], [0, 1]], np.eye(2))
    np.testing.assert_allclose(state.covariance, [[5e15, -5e7], [-5e7, 1.0]], rtol=1e-13)
    np.testing.assert_allclose(state.U, np.array([[1.0, 5e7], [5e7, 5e15]]) / 2.5e15, rtol=1e-12)
    assert abs(state.entropy_production / 5e15 - 1) < 1e-12
    faint = nonequilibrium.linear([[1, 1], [-1, 1]], np.diag([1.0, 1e-14]))  # Q_12 = (1 - 1e-14)/2, S ~ diag(3, 1)/4
    assert abs(faint.entropy_production / 0.5e14 - 1) < 1e-3


def test_linear_numbers():
    """theory2.md, section 4.3 and 4.4."""
    state = nonequilibrium.linear(*TURNING)
    assert abs(state.Q[0, 1] + 0.24) < 1e-12 and abs(state.entropy_production - 1.728) < 1e-12
    shown = [state.irreversibility(dt) for dt in (0.1, 0.03, 0.01, 0.003, 0.001)]
    assert np.allclose(shown, [1.4754, 1.6508, 1.7021, 1.7202, 1.7254], atol=6e-5)
    for dt in (1e-5, 1e-9, 1e-13):
        assert abs(state.irreversibility(dt) / state.entropy_production - 1) < max(10 * dt, 1e-6)
    for a, k in ((3.0, 1.0), (0.5, 2.0)):
        assert (
            abs(nonequilibrium.linear([[k, -a], [a, k]], np.eye(2), beta=7.0).entropy_production - 2 * a * a / k)
            < 1e-12
        )
    assert nonequilibrium.linear([[2, 0.8], [0.8, 1]], np.eye(2)).balanced
    assert nonequilibrium.linear([[1, 0.5], [0.5, 2]], np.diag([1.0, 0.0])).entropy_production == math.inf


def test_the_reversed_drift_has_the_same_eigenvalues(rng):
    for _ in range(20):
        F, D, _ = random_stable(rng, 3, 30.0)
        state = nonequilibrium.linear(F, D)
        key = lambda z: (round(z.real, 9), round(z.imag, 9))  # noqa: E731
        pairs = (sorted(np.linalg.eigvals(M), key=key) for M in (F, state.reversed_drift))
        assert np.allclose(*pairs, rtol=1e-8)


@pytest.mark.parametrize("F, D, words", [
    ([[1, 3], [-0.2, -0.7]], np.eye(2), "saddle"),
    ([[1, 0], [0, -1]], np.eye(2), "resonance"),
    ([[0, -1], [1, 0]], np.eye(2), "resonance"),
    ([[-1, 0], [0, -2]], np.eye(2), "unstable"),
    ([[0, 0], [0, 1]], np.eye(2), "invertible"),
    ([[1, 0], [0, 2]], np.diag([1, 0]), "controllability"),
    (TILTED @ [[1, 1e7], [0, 1]] @ TILTED.T, np.eye(2), "too thin"),
    (TILTED @ [[1, 1e8], [0, 1]] @ TILTED.T, np.eye(2), "resonant"),
    (np.eye(2), np.diag([1.0, -1e-13]), "semi-definite"),
    ([[1, 0], [0, 2]], np.diag([1, -1]), "positive semi-definite"),
    ([[1, 0], [0, 2]], [[1, 0.5], [0, 1]], "symmetric"),
    ([[1j, 0], [0, 2]], np.eye(2), "F: expected a square matrix of real numbers"),
    ([[1, 0, 0]], np.eye(2), "square"),
    ([[1.0]], np.eye(2), "shape of F"),
])  # fmt: skip
def test_linear_refuses(F, D, words):
    with pytest.raises(ValueError, match=words):
        nonequilibrium.linear(F, D)


def test_a_saddle_is_answered_when_asked_for():
    """theory2.md, L6.44: S is indefinite, and Q U has real eigenvalues."""
    F = np.array([[1.0, 1.0], [0.3, -0.7]])
    state = nonequilibrium.linear(F, np.eye(2), algebraic=True)
    values = np.linalg.eigvalsh(state.covariance)
    assert state.kind == "saddle" and values[0] < 0 < values[1]
    assert np.abs((state.D + state.Q) @ state.U - F).max() < 1e-12
    assert np.abs(np.linalg.eigvals(state.Q @ state.U).imag).max() < 1e-12


def washboard_turns(force, beta):
    """Turns per time of dX = (sin x + F) dt + sqrt(2/β) dW on the ring: Stratonovich's formula, for U = cos x."""
    length = 2 * math.pi

    def inner(s):
        return math.exp(2 * beta * abs(math.sin(s / 2)) - beta * force * s) * special.ive(
            0, 2 * beta * abs(math.sin(s / 2))
        )

    total = sum(
        integrate.quad(inner, a, a + length / 64, epsabs=0, epsrel=1e-13)[0] for a in np.arange(64) * length / 64
    )
    return -math.expm1(-beta * force * length) / (beta * length * total)


@pytest.mark.parametrize("beta", [1.0, 10.0, 40.0])
@pytest.mark.parametrize("force", [0.01, 0.1, 1.0, 10.0])
def test_washboard(force, beta):
    """Current and entropy production over eleven orders of magnitude: relative 1e-6 after one extrapolation in h²."""
    turns = []
    for n in (4000, 8000):
        grid = pl.Grid(0.0, 2 * math.pi, n, boundary="periodic")
        problem = pl.FokkerPlanck(np.cos(grid.x), drift=np.full(n, force), beta=beta)
        turns.append(nonequilibrium.winding_rate(problem, grid))
        produced = nonequilibrium.entropy_production(problem, grid)
        assert abs(produced / (2 * math.pi * force * beta * turns[-1]) - 1) < 1e-9
        assert abs(grid.integrate(nonequilibrium.entropy_production_density(problem, grid)) / produced - 1) < 1e-3
    exact = washboard_turns(force, beta)
    assert abs(turns[1] / exact - 1) < 2e-5
    assert abs((4 * turns[1] - turns[0]) / 3 / exact - 1) < 1e-6


@pytest.mark.filterwarnings(
    "ignore:drift|the nodes|the density bends"
)  # the chain of a coarse grid against dense algebra
def test_potential_beyond_the_range_of_exponents():
    """The drift of a coupled quadratic well, given as an array: exact where exp(-β Φ) is far below float64."""
    grid = pl.Grid((-3, -3), (3, 3), (61, 61))
    well = np.array([[1.0, 0.4], [0.4, 1.0]])
    phi = nonequilibrium.potential(pl.FokkerPlanck(drift=-grid.points @ well, beta=400.0), grid)
    exact = 0.5 * np.einsum("...i,ij,...j->...", grid.points, well, grid.points)
    assert phi.min() == 0 and 400 * exact.max() > 5000
    assert np.abs(phi - exact).max() < 1e-9


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.5])
def test_circulation(strength):
    """Example 6.43 at β = 1: exp(-Φ) for every λ, its winding rate, force, Q; second order in the spacing."""
    field, gaps = nonequilibrium.Circulation(strength), []
    for n in (57, 113):
        grid = pl.Grid((-2.8, -4.8), (2.8, 4.8), (n, 2 * n - 1))
        problem = pl.FokkerPlanck(drift=field.drift(grid.points), beta=1.0)
        state = nonequilibrium.decompose(problem, grid)
        phi = field.potential(grid.points)
        inner = phi < 1.5
        gaps.append([
            np.abs(state.potential - phi - (state.potential - phi)[inner].mean())[inner].max(),
            np.abs(state.force - field.force(grid.points))[inner].max(),
            abs(nonequilibrium.winding_rate(problem, grid) - field.winding_rate),
        ])  # fmt: skip
        assert state.residual < 1e-11
        assert state.balanced == (strength == 0)
    assert gaps[1][0] < 2e-3 and gaps[1][1] < 0.01 and gaps[1][2] < 1e-3
    assert all(fine < 0.35 * coarse or fine < 1e-12 for coarse, fine in zip(*gaps))


def test_circulation_has_no_cycle():
    """theory2.md, E3 and F6.4: zeros of the drift, and a return map that shrinks every radius."""
    zeros = {0.25: (0.9801, 0.1947), 0.5: (0.9024, 0.3888), 0.7: (0.6112, 0.4837), 0.75: (0.2997, 0.2859)}
    for strength, point in zeros.items():
        field = nonequilibrium.Circulation(strength)
        points = field.zeros()
        assert len(points) == 3 and np.abs(field.drift(points)).max() < 1e-12
        assert np.allclose(points[2], point, atol=6e-5) and np.allclose(points[0], -points[2])
    assert nonequilibrium.Circulation(0.78).zeros().tolist() == [[0.0, 0.0]]
    field = nonequilibrium.Circulation(1.5)
    radii = np.array([0.05, 0.2, 0.5, 1.0, 1.5, 2.0])
    back = np.array([field.return_map(r) for r in radii])
    assert np.allclose(back, [0.04992, 0.19465, 0.41649, 0.54160, 0.55958, 0.56250], atol=6e-6) and (back < radii).all()


def test_split_has_a_gauge():
    """Q_12 = λ sqrt(π)/2 erfc(r²/2) exp(Φ) up to c exp(Φ); ψ gives both currents."""
    field = nonequilibrium.Circulation(1.5)
    grid = pl.Grid((-2.8, -2.8), (2.8, 2.8), (113, 113))
    problem = pl.FokkerPlanck(drift=field.drift(grid.points), beta=1.0)
    parts = nonequilibrium.split(problem, grid)
    phi = field.potential(grid.points)
    exact = 1.5 * math.sqrt(math.pi) / 2 * special.erfc((grid.points**2).sum(-1) / 2) * np.exp(phi)
    assert np.abs(parts.Q - exact)[phi < 1.5].max() < 0.01
    first, second = pl.current(problem, grid, pl.stationary(problem, grid))
    assert np.allclose(np.diff(parts.stream, axis=1)[1:-1] / grid.axis_weights[1], first, atol=1e-13)
    assert np.allclose(-np.diff(parts.stream, axis=0)[:, 1:-1] / grid.axis_weights[0][:, None], second, atol=1e-12)


@pytest.mark.filterwarnings(
    "ignore:drift|the nodes|the density bends"
)  # the chain of a coarse grid against dense algebra
@pytest.mark.parametrize("case", ["circulation", "anisotropic", "ring", "gradient"])
def test_free_energy_falls_as_theorem_says(case, rng):
    """Theorem 6.24 without its assumption: the two sides agree to second order, the chain's is never positive."""
    gaps = []
    for n in (41, 81):
        if case == "ring":
            grid = pl.Grid(0, 2 * math.pi, n, boundary="periodic")
            problem = pl.FokkerPlanck(np.cos(grid.x), drift=np.full(n, 0.7), beta=2.0)
            shape = 1 + 0.4 * np.sin(grid.x + 1)
        else:
            grid = pl.Grid((-2.6, -2.6), (2.6, 2.6), (n, n))
            x, y = grid.points[..., 0], grid.points[..., 1]
            shape = 1 + 0.3 * np.sin(x + 1) * np.cos(y)
            D = np.broadcast_to(np.diag([1.0, 0.1]), (n, n, 2, 2)) if case == "anisotropic" else None
            drift = nonequilibrium.Circulation(1.5).drift(grid.points) if case != "gradient" else None
            well = None if drift is not None else (x * x - 1) ** 2 / 4 + y * y / 2
            problem = pl.FokkerPlanck(well, drift=drift, diffusion=D, beta=1.0)
        density = pl.stationary(problem, grid) * shape
        density /= grid.integrate(density)
        rate, integral = nonequilibrium.dissipation(problem, grid, density)
        assert rate <= 0 and integral <= 0 and nonequilibrium.free_energy(problem, grid, density) > 0
        gaps.append(abs(rate / integral - 1))
        Q = pl.generator(problem, grid)
        masses = (grid.weights * density).ravel()
        t = 1e-7
        ahead = ((masses + t * (Q.T @ masses)).reshape(grid.shape)) / grid.weights
        change = nonequilibrium.free_energy(problem, grid, ahead) - nonequilibrium.free_energy(problem, grid, density)
        assert abs(change / t - rate) < 1e-3 * abs(rate) + 1e-7
    assert gaps[1] < 0.4 * gaps[0] or gaps[1] < 1e-6
    assert nonequilibrium.free_energy(problem, grid, pl.stationary(problem, grid)) < 1e-14


@pytest.mark.filterwarnings("ignore:the nodes")  # of coarse chains
def test_free_energy_of_random_densities_never_rises(rng):
    grid = pl.Grid((-2, -2), (2, 2), (17, 13))
    for _ in range(10):
        drift = rng.normal(size=(17, 13, 2)) * 3
        problem = pl.FokkerPlanck(drift=drift, beta=float(np.exp(rng.uniform(-1, 1))))
        density = np.exp(3 * rng.normal(size=grid.shape))
        density /= grid.integrate(density)
        assert nonequilibrium.dissipation(problem, grid, density)[0] <= 0
        assert nonequilibrium.entropy_production(problem, grid, density) >= 0


@pytest.mark.filterwarnings("ignore:the nodes|drift holds|current")
@pytest.mark.filterwarnings("ignore:the noise all but vanishes")
@pytest.mark.filterwarnings("ignore:the density bends so sharply")  # as random fields do
def test_entropy_production_without_noise_somewhere(rng):
    """A current against no noise is infinite; rings with nodes of no noise give a number, infinity or a refusal."""
    for noise in ([1.0, 0.0], [0.0, 1.0], [1.0, 1.0, 0.0]):
        d = len(noise)
        grid = pl.Grid((-1,) * d, (1,) * d, (9, 9, 5)[:d])
        drift = grid.points @ (np.roll(np.eye(d), 1, 0) - np.roll(np.eye(d), -1, 0) - np.eye(d)).T
        drift += 0.5 * np.sin(grid.points).sum(-1, keepdims=True)
        problem = pl.FokkerPlanck(drift=drift, diffusion=np.broadcast_to(np.diag(noise), (*grid.shape, d, d)), beta=1.0)
        assert nonequilibrium.entropy_production(problem, grid) == math.inf
        assert nonequilibrium.entropy_production_density(problem, grid).max() == math.inf
    numbers = []
    for _ in range(200):
        n, scale, noise = int(rng.choice([5, 9])), *10.0 ** rng.choice([-30, -3, 0, 1, 30], 2)
        grid, where = pl.Grid(0.0, 1.0, n, boundary="periodic"), rng.random(n) < 0.8
        fields = scale * rng.normal(size=(2, n))
        problem = pl.FokkerPlanck(fields[0], drift=fields[1], diffusion=where.astype(float), diffusivity=noise)
        try:
            numbers.append(nonequilibrium.entropy_production(problem, grid))
        except ValueError:
            continue
        total = grid.integrate(nonequilibrium.entropy_production_density(problem, grid))
        assert total == numbers[-1] or abs(total / numbers[-1] - 1) < 1e-6
        assert numbers[-1] >= 0
    assert 0.0 in numbers and math.inf in numbers and any(0 < number < math.inf for number in numbers)


def ring_production(b, D):
    """J A on [0, 2π): J = (1 - e^-A)/∫ dx/D e^ψ ∫ e^-ψ over a turn, ψ' = b/D, which rises by A."""
    x = np.linspace(0, 4 * math.pi, 16001)
    psi = integrate.cumulative_simpson(b(x) / D(x), x=x, initial=0)
    shifted = psi - psi.max() / 2
    inner, half = integrate.cumulative_simpson(np.exp(-shifted), x=x, initial=0), 8000
    ahead = inner[half:] - inner[: half + 1]
    total = integrate.simpson(np.exp(shifted[: half + 1]) / D(x[: half + 1]) * ahead, x=x[: half + 1])
    return -math.expm1(-psi[half]) / total * psi[half]


def test_entropy_production_tells_of_its_nodes(rng):
    """Rings of random drift and diffusion, and a whirl: what is silent is within 5 %, and what is told about right."""
    said = quiet = 0
    for _ in range(40):
        (mean, wave, turned), share = rng.normal(size=3) * [1.0, 2.0, 1.0], rng.choice([0.0, 0.3, 0.6])

        def b(x, mean=mean, wave=wave, turned=turned):
            return mean + wave * np.sin(x) + turned * np.cos(2 * x)

        def D(x, mean=mean, share=share):
            return 0.5 + 0.5 * share * np.sin(x + mean)

        exact = ring_production(b, D)
        for n in (16, 25, 40, 80):
            grid = pl.Grid(0.0, 2 * math.pi, n, boundary="periodic")
            problem = pl.FokkerPlanck(drift=b(grid.x), diffusion=D(grid.x), diffusivity=1.0)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                produced = nonequilibrium.entropy_production(problem, grid)
            told = [float(re.search("about (.*) of", str(w.message))[1]) for w in caught if "entropy" in str(w.message)]
            error = max(produced / exact, exact / produced) - 1
            assert error > 0.04 and told[0] / 3 < error < 3 * told[0] if told else error < 0.055
            said, quiet = said + bool(told), quiet + (not told)
    assert said > 10 and quiet > 80
    F = np.array([[1.0, 3.0], [-3.0, 1.0]])
    exact = nonequilibrium.linear(F, np.eye(2)).entropy_production
    for n, told in ((15, True), (31, True), (41, False), (61, False)):
        grid = pl.Grid((-5, -5), (5, 5), (n, n))
        problem = pl.FokkerPlanck(drift=-grid.points @ F.T, beta=1.0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            produced = nonequilibrium.entropy_production(problem, grid)
        assert any("entropy" in str(w.message) for w in caught) is told is (abs(produced / exact - 1) > 0.05)


def test_entropy_production_of_a_full_matrix():
    """Turning flow with correlated noise against the linear closed form -tr(D^-1 Q U Q)."""
    F, D = np.array([[1.0, 1.5], [-1.0, 2.0]]), np.array([[1.0, 0.3], [0.3, 0.6]])
    exact = nonequilibrium.linear(F, D).entropy_production
    gaps = []
    for n in (41, 81):
        grid = pl.Grid((-5, -4), (5, 4), (n, n))
        noise = np.broadcast_to(D, (n, n, 2, 2))
        value = nonequilibrium.entropy_production(
            pl.FokkerPlanck(drift=-grid.points @ F.T, diffusion=noise, beta=1.0), grid
        )
        gaps.append(abs(value / exact - 1))
    assert gaps[1] < 0.01 and math.log2(gaps[0] / gaps[1]) > 1.5  # towards second order as the grid resolves D


def test_intervals_of_the_rotation_cover():
    """95 % intervals cover in 93-97 % of 400 repetitions, from many short paths and from one long one."""
    rng, state, step = np.random.default_rng(5), nonequilibrium.linear(*TURNING, beta=2.0), 0.1
    ahead = linalg.expm(-state.F * step) @ state.covariance
    exact = ((ahead.T - ahead) / (2 * step))[0, 1]
    for times, paths in ((60, 24), (24000, 1)):
        saved = ornstein_uhlenbeck(state, step, times, 400 * paths, rng).reshape(times, 400, paths, 2)
        inside = 0
        for k in range(400):
            rotation = nonequilibrium.rotation(saved[:, k], step * np.arange(times), seed=k)
            inside += rotation.low[0, 1] <= exact <= rotation.high[0, 1]
        assert 0.93 <= inside / 400 <= 0.97


def test_the_test_of_reversibility_has_its_level_and_power():
    rng, step = np.random.default_rng(6), 0.1
    rates = {}
    for turn in (0.0, 0.15, 0.6):
        state = nonequilibrium.linear([[1.0, -turn], [turn, 1.0]], np.eye(2))
        saved = ornstein_uhlenbeck(state, step, 100, 300 * 20, rng).reshape(100, 300, 20, 2)
        times = step * np.arange(100)
        p = [nonequilibrium.rotation(saved[:, k], times, seed=k).p_value for k in range(300)]
        rates[turn] = np.mean(np.array(p) < 0.05)
    assert rates[0.0] < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
    assert 0.2 < rates[0.15] < rates[0.6] and rates[0.6] > 0.99


def test_reversible_noise_of_unequal_size_is_not_taken_for_rotation():
    """Anisotropic noise in a tilted well in detailed balance: F D symmetric."""
    rng = np.random.default_rng(7)
    D = np.array([[1.0, 0.4], [0.4, 0.3]])
    state = nonequilibrium.linear(D @ np.array([[2.0, 0.5], [0.5, 1.0]]), D)
    assert state.balanced
    saved = ornstein_uhlenbeck(state, 0.1, 100, 300 * 20, rng).reshape(100, 300, 20, 2)
    p = [nonequilibrium.rotation(saved[:, k], 0.1 * np.arange(100), seed=k).p_value for k in range(300)]
    assert np.mean(np.array(p) < 0.05) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


@pytest.mark.parametrize("angle", [2.0, 3.6])
def test_turns_that_cannot_be_followed_are_told(angle):
    """A point that turns by 3.6 radians between two saved times seems to turn back."""
    times = np.arange(100.0)
    states = np.stack([np.cos(angle * times), np.sin(angle * times)], axis=-1)
    with pytest.warns(UserWarning, match="saved too rarely to follow turns"):
        nonequilibrium.winding(states, times)


def test_entropy_and_windings_of_paths():
    rng = np.random.default_rng(8)
    F, step = np.array([[1.0, -3.0], [3.0, 1.0]]), 0.002
    state = nonequilibrium.linear(F, np.eye(2))
    saved = ornstein_uhlenbeck(state, step, 1500, 300, rng)
    times = step * np.arange(1500)
    produced = nonequilibrium.path_entropy_production(saved, times, lambda x: -x @ F.T, np.eye(2), confidence=0.999)
    assert produced.low < state.entropy_production < produced.high and produced.high - produced.low < 6
    turned = nonequilibrium.winding(saved, times, confidence=0.999)
    assert turned.low < -3.0 < turned.high  # -F x = -x + 3 (x_2, -x_1) turns clockwise


def test_short_pieces_are_warned_about():
    rng = np.random.default_rng(9)
    slow = nonequilibrium.linear(np.diag([0.01, 0.02]), np.eye(2))
    saved = ornstein_uhlenbeck(slow, 0.1, 600, 1, rng)
    with pytest.warns(UserWarning, match="correlation times"):
        nonequilibrium.rotation(saved[:, 0], 0.1 * np.arange(600))


def test_spectrum_of_increments_has_the_null_of_relaxation(rng):
    """Increments of x_{t+1} = φ x_t + noise against 4 sin²/|1 - φ e^{iw}|²; flat white noise is rejected."""
    phi = 0.9
    x = np.zeros((8192, 30))
    for k in range(1, 8192):
        x[k] = phi * x[k - 1] + rng.normal(size=30)
    spectrum = nonequilibrium.spectrum(np.diff(x, axis=0), segments=32, confidence=0.99)
    null = nonequilibrium.increment_spectrum(spectrum.frequencies, phi)
    inside = (spectrum.low <= null) & (null <= spectrum.high)
    assert inside[3:].mean() > 0.93
    low = spectrum.frequencies < 0.01
    assert (spectrum.high[low] < 0.5).all()  # white noise would give 1
    w = np.linspace(0, 0.5, 20001)
    assert abs(integrate.trapezoid(nonequilibrium.increment_spectrum(w, phi), w) * 2 - 1) < 1e-6


def test_linear_spectrum_peaks_where_it_must():
    """theory2.md, F6.3: w*² = -(a² + k²) + 2a sqrt(a² + k²); none in detailed balance."""
    omega = np.linspace(0.001, 15, 15001)
    for k, a, peak in ((1, 1, 0.910), (1, 3, 2.996), (1, 10, 10.000), (0.2, 3, 3.000)):
        power = nonequilibrium.linear_spectrum(nonequilibrium.linear([[k, -a], [a, k]], np.eye(2)), omega)[:, 0, 0].real
        assert abs(omega[power.argmax()] - peak) < 1.5e-3
    state = nonequilibrium.linear([[2, 0.8], [0.8, 1]], np.diag([1.0, 0.05]))
    assert (np.diff(nonequilibrium.linear_spectrum(state, omega)[:, 0, 0].real) < 0).all()
    area = integrate.simpson(
        nonequilibrium.linear_spectrum(state, np.linspace(-400, 400, 400001))[:, 0, 0].real, dx=0.002
    )
    assert abs(area / (2 * math.pi) / state.covariance[0, 0] - 1) < 5e-3


def test_autocorrelation_band_is_that_of_white_noise(rng):
    values, band = nonequilibrium.autocorrelation(rng.normal(size=(4000, 200)), [0, 1, 5, 50])
    assert values[0] == 1 and abs(values[1:]).max() < band
    single = [abs(nonequilibrium.autocorrelation(rng.normal(size=4000), [3])[0][0]) > band for _ in range(400)]
    assert np.mean(single) < 0.03


GRID = pl.Grid((-2, -2), (2, 2), (9, 9))
TURN = pl.FokkerPlanck(drift=GRID.points @ np.array([[-1.0, -1.0], [1.0, -1.0]]), beta=1.0)
INDEFINITE = pl.FokkerPlanck(diffusion=np.diag([1.0, -1.0]) + np.zeros((9, 9, 2, 2)), beta=1.0)
RING = pl.Grid(0, 1, 8, boundary="periodic")


@pytest.mark.parametrize("call, words", [
    (lambda: nonequilibrium.potential(pl.FokkerPlanck(0 * RING.x, beta=math.inf), RING), "noise|beta|diffus"),
    (lambda: nonequilibrium.potential(TURN, pl.Grid((-2, -2), (2, 2), (9, 9), boundary="absorbing")), "boundary"),
    (lambda: nonequilibrium.potential(TURN, pl.Grid((-2, -2), (2, 2), (9, 9), boundary="outflow")), "outflow"),
    (lambda: nonequilibrium.potential("x", GRID), "problem"),
    (lambda: nonequilibrium.decompose(INDEFINITE, GRID), "semi-def"),
    (lambda: nonequilibrium.free_energy(TURN, GRID, np.ones((9, 9))), "integral 1"),
    (lambda: nonequilibrium.free_energy(TURN, GRID, -np.ones((9, 9)) / 16), "nonnegative"),
    (lambda: nonequilibrium.split(TURN, RING), "closed box in the plane"),
    (lambda: nonequilibrium.winding_rate(pl.FokkerPlanck(np.zeros(5), beta=1.0), pl.Grid(0, 1, 5)), "periodic"),
    (lambda: nonequilibrium.rotation(np.zeros((100, 1)), np.arange(100)), "d >= 2"),
    (lambda: nonequilibrium.rotation(np.zeros((100, 2)) * 1j, np.arange(100)), "states"),
    (lambda: nonequilibrium.rotation(np.zeros((30, 2)), np.arange(30)), "at least 481 saved times"),
    (lambda: nonequilibrium.rotation(np.zeros((500, 2)), np.arange(499)), "times"),
    (lambda: nonequilibrium.rotation(np.zeros((500, 2)), np.arange(500.0) ** 2), "equal distances"),
    (lambda: nonequilibrium.winding(np.zeros((500, 3)), np.arange(500)), "two coordinates"),
    (lambda: nonequilibrium.spectrum(np.zeros(1000)), "constant"),
    (lambda: nonequilibrium.spectrum(np.arange(100.0)), "128 times"),
    (lambda: nonequilibrium.autocorrelation(np.arange(10.0), [10]), "lags"),
    (lambda: nonequilibrium.increment_spectrum([0.1], -1.0), "memory"),
    (lambda: nonequilibrium.linear_spectrum("x", [1.0]), "linear"),
    (lambda: nonequilibrium.Circulation(-1.0), "strength"),
    (lambda: nonequilibrium.Circulation(0.5).return_map(1.0), "no return"),
    (lambda: nonequilibrium.Circulation(0.5).drift([1.0]), "points"),
    (lambda: nonequilibrium.path_entropy_production(
        np.zeros((99, 2)), np.arange(99), lambda x: x[..., 0], np.eye(2)), "drift"),
])  # fmt: skip
def test_bad_input_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_rotation_runs_backwards_in_reversed_time():
    """F = I + 3J with D = I has U = I and Q = 3J: reversed it is the transpose; eigenvalues 1 ± 3i."""
    F = np.array([[1.0, 3.0], [-3.0, 1.0]])
    state = nonequilibrium.linear(F, np.eye(2))
    assert np.allclose(state.reversed_drift, F.T, rtol=0, atol=1e-14)
    assert state.gap == pytest.approx(1.0) and state.kind == "stable focus" and not state.balanced
    assert nonequilibrium.linear(np.diag([2.0, 1.0]), np.eye(2)).balanced


@pytest.mark.parametrize("beta", [0.5, 4.0])
def test_the_swirl_of_a_linear_drift_does_not_depend_on_the_temperature(beta):
    """dX = -(I + Q) X dt + sqrt(2/beta) dW has Phi = |x|^2/2 and Q_12 = -3 at every beta."""
    reach = 4.0 / math.sqrt(beta)
    grid = pl.Grid((-reach, -reach), (reach, reach), (61, 61))
    turning = pl.FokkerPlanck(drift=grid.points @ np.array([[-1.0, -3.0], [3.0, -1.0]]), beta=beta)
    parts = nonequilibrium.split(turning, grid)
    assert parts.Q[25:36, 25:36] == pytest.approx(-3.0, abs=0.1)
    assert parts.potential[30, 45] - parts.potential[30, 30] == pytest.approx(grid.points[30, 45, 1] ** 2 / 2, rel=0.02)


@pytest.mark.parametrize("beta", [0.5, 4.0])
def test_a_spectrum_integrates_to_the_covariance(beta):
    state = nonequilibrium.linear(*TURNING, beta=beta)
    for i, j in ((0, 0), (0, 1), (1, 1)):
        density = lambda w, i=i, j=j: nonequilibrium.linear_spectrum(state, w)[0, i, j].real  # noqa: E731
        total = integrate.quad(density, 0, math.inf)[0] / math.pi
        assert total == pytest.approx(state.covariance[i, j], rel=1e-6)


def test_the_interval_of_one_series_covers_at_its_level():
    """White noise of variance 1 has the one-sided density 2 at every frequency: intervals of 80 %, 600 series."""
    series = np.random.default_rng(8).standard_normal((512, 600))
    inside = []
    for path in series.T:
        spectrum = nonequilibrium.spectrum(path, normalise=False, confidence=0.8)
        inside.append([spectrum.low[k] <= 2.0 <= spectrum.high[k] for k in (7, 19)])
    assert 0.74 < np.mean(inside) < 0.87


def test_the_rotation_at_a_lag_is_its_definition(rng):
    """(C(lag)^T - C(lag))/2 over the time of the lag, by loops over times and paths."""
    states, step, lag = np.cumsum(rng.standard_normal((60, 15, 2)), axis=0), 0.2, 3
    x = states - states.mean((0, 1))
    covariance = sum(np.outer(x[t, p], x[t + lag, p]) for t in range(57) for p in range(15)) / (57 * 15)
    rotation = nonequilibrium.rotation(states, step * np.arange(60), lag=lag)
    np.testing.assert_allclose(rotation.Q, (covariance - covariance.T) / (2 * lag * step), atol=1e-12)
    assert rotation.lag == pytest.approx(lag * step)


def test_no_p_value_is_zero():
    """The observed signs are one of the 10,000: trajectories that all turn have p = 1e-4 (Phipson and Smyth 2010)."""
    angle = 0.3 * np.arange(40)
    circle = np.stack([np.cos(angle), np.sin(angle)], -1)[:, None] * np.linspace(1, 2, 30)[:, None]
    assert nonequilibrium.rotation(circle, 0.3 * np.arange(40)).p_value == pytest.approx(1e-4, rel=1e-12)


@pytest.mark.parametrize("drift", [False, True])
@pytest.mark.parametrize("n, s, m", [(13, 0.3, 0.0), (13, 0.5, 1.0), (65, 0.3, 0.0), (65, 0.5, 1.0), (129, 0.7, 2.0)])
def test_the_entropy_production_of_a_given_density_is_right_or_told(n, s, m, drift):
    """A Gaussian of deviation s round m in x²/2 at β = 1: s² (1/s² - 1)² + m²."""
    grid = pl.Grid(-4.0, 4.0, n)
    rho = np.exp(-((grid.x - m) ** 2) / (2 * s**2))
    problem = pl.FokkerPlanck(drift=-grid.x, beta=1.0) if drift else pl.FokkerPlanck(grid.x**2 / 2, beta=1.0)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        produced = nonequilibrium.entropy_production(problem, grid, rho / grid.integrate(rho))
    wrong = abs(produced / (s**2 * (1 / s**2 - 1) ** 2 + m**2) - 1)
    assert (wrong > 0.05) == bool(said) == (n == 13)


@pytest.mark.parametrize("given", [False, True])
def test_the_entropy_production_density_tells_as_its_integral_does(given):
    """A rotating Ornstein-Uhlenbeck process, and a narrow Gaussian in it, on coarse and on fine nodes."""
    for n in (21, 161):
        grid = pl.Grid((-5.0, -5.0), (5.0, 5.0), n)
        x, y = np.moveaxis(grid.points, -1, 0)
        problem = pl.FokkerPlanck(drift=np.stack([-x - 4 * y, 4 * x - y], -1), beta=1.0)
        rho = np.exp(-(x**2 + y**2) / 0.5)
        said = []
        for question in (nonequilibrium.entropy_production, nonequilibrium.entropy_production_density):
            with warnings.catch_warnings(record=True) as heard:
                warnings.simplefilter("always")
                question(problem, grid, rho / grid.integrate(rho) if given else None)
            said.append(sorted({str(warning.message) for warning in heard}))
        assert said[0] == said[1] and (given or bool(said[0]) == (n == 21))
