"""What nodes leave out of exit times, laws and gaps: an estimate that is right, so that nothing large goes unsaid."""

import math
import re
import warnings

import numpy as np
import pytest
from scipy.integrate import cumulative_trapezoid
from scipy.sparse.linalg import spsolve

import pdelab as pl
from pdelab.generator import generator, ito
from pdelab.generator.coarser import Coarser
from pdelab.generator.slow_modes import Balanced, law_of
from pdelab.generator.truncation import Truncation

TOLD = 0.05  # what is below goes unsaid
FINE = 200_001  # nodes of the quadratures that the chain is held against


def told(question, *args):
    """(answer, the numbers that its warnings name, all that they say)."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        answer = question(*args)
    text = " ".join(str(warning.message) for warning in said)
    return answer, [float(number) for number in re.findall(r"off by about (\S+) of", text)], text


def integral(y, x):
    return cumulative_trapezoid(y, x, initial=0.0)


def exit_time(b, a, low, high, x):
    """From x to `high`, reflected at `low`, of a u'' + b u' = -1, by quadrature."""
    s = np.linspace(low, high, FINE)
    force = integral(b(s) / a(s), s)
    top = force.max()
    inner = integral(np.exp(force - top) / a(s), s)
    left = integral((np.exp(top - force) * inner)[::-1], s)[::-1]  # summed from its end on
    return np.interp(x, s, left)


def waves(rng, count, size):
    """A smooth function with a few waves on [-1, 1]."""
    amplitudes, phases = size * rng.normal(size=count), rng.uniform(0, 2 * math.pi, count)
    return lambda x: sum(c * np.sin((k + 1) * x + p) for k, (c, p) in enumerate(zip(amplitudes, phases)))


@pytest.mark.parametrize("interpretation", ["ito", "fick"])
@pytest.mark.parametrize("seed", range(12))
def test_exit_times_are_right_or_told(seed, interpretation):
    """Random drift and diffusion on a line of few nodes, against the double integral."""
    rng = np.random.default_rng(seed)
    b, bumps, D = waves(rng, 6, 1.0), waves(rng, 4, 0.25), 10 ** rng.uniform(-1, 0)
    n = int(rng.integers(20, 60))  # ten nodes and more to the shortest wave
    grid = pl.Grid(-1.0, 1.0, n, boundary=(("reflecting", "absorbing"),))
    a = lambda x: D * np.exp(bumps(x))  # noqa: E731
    slope = lambda x: (a(x + 1e-5) - a(x - 1e-5)) / 2e-5  # noqa: E731
    problem = pl.FokkerPlanck(drift=b(grid.x), diffusion=a(grid.x), diffusivity=1.0, interpretation=interpretation)
    full = b if interpretation == "ito" else lambda x: b(x) + slope(x)
    found, numbers, text = told(pl.mean_exit_time, problem, grid)
    wrong = abs(found[0] / exit_time(full, a, -1.0, 1.0, grid.x)[0] - 1)
    assert wrong < 1.3 * TOLD or re.search("less than a cell|bends", text) or numbers[0] > wrong / 2, (wrong, numbers)
    assert not numbers or wrong > TOLD / 2


@pytest.mark.parametrize("seed", range(24))
def test_exit_times_are_right_or_told_at_every_node(seed):
    """From a hill between two ends, where a few nodes decide which is met first, against the double integral."""
    rng = np.random.default_rng(seed)
    grid = pl.Grid(-5.0, 5.0, int(rng.choice([41, 61, 81])), boundary=(("reflecting", "absorbing"),))
    c, top, D, s = rng.uniform(0.5, 1.5), rng.uniform(-2, 2), rng.uniform(0.04, 0.1), rng.uniform(0.3, 0.9)
    b, a = lambda x: c * (x - top), lambda x: D * (1 + s * x**2)
    problem = pl.FokkerPlanck(drift=b(grid.x), diffusion=a(grid.x), diffusivity=1.0)
    found, numbers, text = told(pl.mean_exit_time, problem, grid)
    wrong = np.abs(found[:-1] / exit_time(b, a, -5.0, 5.0, grid.x)[:-1] - 1).max()
    assert text or wrong < 2 * TOLD, wrong
    assert not text or wrong > TOLD / 5, (wrong, text)


@pytest.mark.parametrize("D", [0.02, 0.01, 0.004, 0.002])
@pytest.mark.parametrize("n", [31, 41, 61, 121])
def test_times_over_a_barrier_that_the_nodes_do_not_resolve_are_told(D, n):
    """exp(1/4D) from 1e5 to 1e54: a barrier of a few nodes is too low, by h² |U''| / 12D."""
    grid = pl.Grid(-1.5, 0.0, n, boundary=(("reflecting", "absorbing"),))
    exact = exit_time(lambda x: x - x**3, lambda x: 0 * x + D, -1.5, 0.0, grid.x)
    U = grid.x**4 / 4 - grid.x**2 / 2
    for problem in (pl.FokkerPlanck(U, diffusivity=D), pl.FokkerPlanck(drift=grid.x - grid.x**3, diffusivity=D)):
        found, numbers, _ = told(pl.mean_exit_time, problem, grid)
        wrong = abs(1 - exact[0] / found[0])
        assert bool(numbers) == (wrong > TOLD) or abs(wrong - TOLD) < TOLD / 10
        assert not numbers or numbers[0] == pytest.approx(wrong, rel=0.3)


@pytest.mark.parametrize("n", [11, 21, 41, 81])
def test_layers_on_walls_are_told_to_two_digits(n):
    """A wind blows away from the end that absorbs: what leaves first gathers in half a cell at the other."""
    grid = pl.Grid(-1.0, 1.0, n, boundary=(("reflecting", "absorbing"),))
    b = lambda x: -0.3 + 0.2 * np.cos(3 * x)  # noqa: E731
    found, numbers, _ = told(pl.mean_exit_time, pl.FokkerPlanck(drift=b(grid.x), diffusivity=0.02), grid)
    wrong = 1 - exit_time(b, lambda x: 0 * x + 0.02, -1.0, 1.0, grid.x)[0] / found[0]
    assert bool(numbers) == (wrong > TOLD)
    assert not numbers or numbers[0] == pytest.approx(wrong, rel=0.1)


@pytest.mark.parametrize("A", [3.0, 5.0, 7.0])
def test_exits_against_a_sheared_wind_are_told(A):
    """The wind vanishes at the walls beside it: against the limit of three grids, second order."""

    def ask(n):
        grid = pl.Grid((-1.0, -1.0), (1.0, 1.0), n)
        x, y = np.moveaxis(grid.points, -1, 0)
        problem = pl.FokkerPlanck(drift=np.stack([-A * (1 - y**2), 0 * y], -1), diffusivity=0.4)
        v, numbers, _ = told(pl.mean_exit_time, problem, grid, x >= 1)
        return v[n // 2, n // 2], numbers

    times = {n: ask(n) for n in (21, 41, 81)}
    exact = times[81][0] + (times[81][0] - times[41][0]) / 3
    for found, numbers in times.values():
        wrong = abs(found / exact - 1)
        assert bool(numbers) == (wrong > TOLD)
        assert not numbers or numbers[0] == pytest.approx(wrong, rel=0.4)


@pytest.mark.parametrize("interpretation", ["ito", "stratonovich", "klimontovich"])
@pytest.mark.parametrize("n", [41, 81, 161])
def test_huge_times_of_a_diffusion_that_varies_are_told(n, interpretation):
    """The well and the barrier that drift and diffusion make together, where rounding hides what is left out."""
    a, slope = (lambda x: 0.1 * (0.2 + x**2)), (lambda x: 0.2 * x)
    share = {"ito": 0.0, "stratonovich": 0.5, "klimontovich": 1.0}[interpretation]
    grid = pl.Grid(-1.0, 1.0, n, boundary=(("reflecting", "absorbing"),))
    given = {"diffusion": 0.2 + grid.x**2, "diffusivity": 0.1, "interpretation": interpretation}
    found, numbers, _ = told(pl.mean_exit_time, pl.FokkerPlanck(drift=-4 * grid.x, **given), grid)
    exact = exit_time(lambda x: -4 * x + share * slope(x), a, -1.0, 1.0, grid.x)[0]
    wrong = abs(found[0] / exact - 1)
    assert found[0] > 1e9 and bool(numbers) == (wrong > TOLD)
    assert not numbers or numbers[0] == pytest.approx(wrong, rel=0.5)


@pytest.mark.parametrize("boundary", ["reflecting", "absorbing", "periodic"])
@pytest.mark.parametrize("n", [5, 6, 9, 12, 20])
def test_gaps_of_diffusion_alone_on_few_nodes_are_right_or_told(n, boundary):
    grid = pl.Grid(0.0, 1.0, n, boundary=boundary)
    gap, numbers, _ = told(pl.spectral_gap, pl.FokkerPlanck(diffusivity=1.0), grid)
    wrong = 1 - gap / ((2 if boundary == "periodic" else 1) * math.pi) ** 2
    assert wrong < 1.1 * TOLD or numbers[0] == pytest.approx(wrong, rel=0.4)
    assert not numbers or wrong > TOLD / 2


@pytest.mark.parametrize("D", [0.05, 0.01, 0.004])
@pytest.mark.parametrize("n", [21, 41, 81])
def test_gaps_of_two_wells_are_right_or_told(D, n):
    def gap(n):
        grid = pl.Grid(-2.0, 2.0, n)
        return told(pl.spectral_gap, pl.FokkerPlanck(grid.x**4 / 4 - grid.x**2 / 2, diffusivity=D), grid)

    (found, numbers, text), exact = gap(n), gap(1601)[0]
    wrong = abs(found / exact - 1)
    assert wrong < 1.2 * TOLD or numbers[0] > wrong / 2
    assert not numbers or wrong > TOLD / 2 or "less than a cell" in text


@pytest.mark.parametrize("n", [31, 41, 81])
def test_tiny_gaps_with_a_current_are_told_as_large_as_they_are(n):
    """Two wells on a ring with a tilt: no detailed balance, and a gap of e^-18 of the fastest rate."""

    def gap(n):
        grid = pl.Grid(0.0, 2 * math.pi, n, boundary="periodic")
        return told(pl.spectral_gap, pl.FokkerPlanck(drift=0.05 - np.sin(2 * grid.x), diffusivity=0.06), grid)

    (found, numbers, _), exact = gap(n), gap(1281)[0]
    wrong = abs(found / exact - 1)
    assert bool(numbers) == (wrong > TOLD)
    assert not numbers or numbers[0] == pytest.approx(wrong, rel=0.4)


@pytest.mark.parametrize("wind", [20.0, 60.0])
def test_a_slow_mode_that_the_rates_smear_away_is_told(wind):
    """Round the ring exp(ix) turns at the wind's speed and decays at D; the rates let it decay faster than the rest."""
    grid = pl.Grid((-math.pi, -4.0), (math.pi, 4.0), (48, 41), boundary=("periodic", "reflecting"))
    x, y = np.moveaxis(grid.points, -1, 0)
    problem = pl.FokkerPlanck(drift=np.stack([0 * x + wind, -0.5 * y], -1), diffusivity=0.05)
    gap, numbers, _ = told(pl.spectral_gap, problem, grid)
    assert gap > 9 * 0.05 and numbers[0] > 4


def test_a_slow_mode_that_turns_fast_is_found():
    """The rate of the circulant round the ring, on a grid where the modes nearest to zero are others."""
    grid = pl.Grid((-math.pi, -4.0), (math.pi, 4.0), (320, 21), boundary=("periodic", "reflecting"))
    x, y = np.moveaxis(grid.points, -1, 0)
    problem = pl.FokkerPlanck(drift=np.stack([0 * x + 20.0, -0.5 * y], -1), diffusivity=0.05)
    Q = generator(problem, grid)
    exact = (Q[21 * 5, 21 * 6] + Q[21 * 5, 21 * 4]) * (1 - math.cos(2 * math.pi / 320))
    assert told(pl.spectral_gap, problem, grid)[0] == pytest.approx(exact, rel=1e-9)
    assert exact < 0.45


@pytest.mark.parametrize("seed", range(4))
def test_no_mode_is_slower_than_the_slowest_in_balance(seed):
    """Re(-λ) of every mode is its mean rate of spreading: of random winds on a torus, against dense algebra."""
    rng = np.random.default_rng(seed)
    grid = pl.Grid((0.0, 0.0), (2 * math.pi, 2 * math.pi), (23, 19), boundary="periodic")
    x, y = np.moveaxis(grid.points, -1, 0)
    drift = rng.normal(size=2) * 3 + np.stack([waves(rng, 2, 1.0)(x + y), waves(rng, 2, 1.0)(x - 2 * y)], -1)
    problem, still = pl.FokkerPlanck(drift=drift, diffusivity=0.5), pl.FokkerPlanck(diffusivity=0.5)
    Q, gap = generator(problem, grid), told(pl.spectral_gap, problem, grid)[0]
    rates = np.sort(-np.linalg.eigvals(Q.toarray()).real)
    balanced = Balanced.of(Q, generator(still, grid), law_of(Q), gap)
    assert gap == pytest.approx(rates[1], rel=1e-9)
    assert balanced.least <= gap * (1 + 1e-9) and balanced.most > 2 * gap
    assert balanced.rates(Q)[0].real == pytest.approx(gap, rel=0.1)


@pytest.mark.parametrize("seed", range(4))
def test_steep_wells_have_no_faster_balance(seed):
    """Many kT from node to node, where rates without drift would carry more than Q does: the bound holds."""
    rng = np.random.default_rng(seed)
    grid = pl.Grid((-1.0, -1.0), (1.0, 1.0), (21, 23))
    x, y = np.moveaxis(grid.points, -1, 0)
    U = 6 * (x**2 + y**2) + rng.normal() * x * y
    drift = rng.uniform(0.5, 2) * np.stack([-12 * y, 12 * x], -1)
    problem = pl.FokkerPlanck(U, drift, diffusivity=0.1)
    Q, gap = generator(problem, grid), told(pl.spectral_gap, problem, grid)[0]
    balanced = Balanced.of(Q, generator(pl.FokkerPlanck(diffusivity=0.1), grid), law_of(Q), gap)
    rates = np.sort(-np.linalg.eigvals(Q.toarray()).real)
    assert 0 < balanced.least <= rates[1] * (1 + 1e-9) and gap == pytest.approx(rates[1], rel=1e-6)


@pytest.mark.parametrize("D, tilt, size, waves_round", [(0.5, 2.0, 3.0, 3), (0.1, 1.2, 1.0, 1), (0.02, 1.2, 1.0, 1)])
@pytest.mark.parametrize("n", [15, 30, 60])
def test_laws_with_a_current_are_right_or_told(D, tilt, size, waves_round, n):
    """A tilted wave on a ring, against the same on 2,880 nodes."""

    def law(n):
        grid = pl.Grid(0.0, 2 * math.pi, n, boundary="periodic")
        drift = tilt + size * np.sin(waves_round * grid.x)
        return told(pl.stationary, pl.FokkerPlanck(drift=drift, diffusivity=D), grid)

    (found, numbers, _), exact = law(n), law(2880)[0][:: 2880 // n]
    wrong = 2 * math.pi / n * float(np.abs(found - exact).sum())
    assert bool(numbers) == (wrong > TOLD)
    assert not numbers or numbers[0] == pytest.approx(wrong, rel=0.3)


@pytest.mark.parametrize("n, u, D", [(16, 7.0, 0.12), (40, 7.0, 0.12), (40, 0.0, 0.3)])
def test_almost_uniform_laws_of_strong_currents_are_silent(n, u, D):
    """Vortices in a wind, with a diffusion that varies: right to a per cent, whatever the rates smear."""

    def law(n):
        grid = pl.Grid((0.0, 0.0), (2 * math.pi, 2 * math.pi), n, boundary="periodic")
        x, y = np.moveaxis(grid.points, -1, 0)
        drift = np.stack([u - np.sin(x) * np.cos(y), np.cos(x) * np.sin(y)], -1)
        matrix = (1 + 0.6 * np.sin(x + y))[..., None, None] * np.eye(2)
        problem = pl.FokkerPlanck(drift=drift, diffusivity=D, diffusion=matrix, interpretation="klimontovich")
        return told(pl.stationary, problem, grid)

    (found, numbers, _), fine = law(n), law(160)[0]
    assert not numbers and np.abs(found / fine[:: 160 // n, :: 160 // n] - 1).max() < TOLD / 2


@pytest.mark.parametrize("A, D, turns, shape", [(5.0, 0.075, 4, (64, 40)), (4.7, 0.22, 4, (40, 24))])
def test_a_gap_on_which_the_shear_does_not_act_is_silent(A, D, turns, shape):
    grid = pl.Grid((0.0, 0.0), (2 * math.pi * turns, 2 * math.pi), shape, boundary="periodic")
    y = grid.points[..., 1]
    gap, numbers, _ = told(
        pl.spectral_gap, pl.FokkerPlanck(drift=np.stack([A * np.sin(y), 0 * y], -1), diffusivity=D), grid
    )
    assert not numbers and gap == pytest.approx(D, rel=0.01)


def test_weak_shear_has_real_modes_too():
    """Round the long way diffusion is slow, and Taylor's dispersion adds to it: (D + A²/2D) k² to leading order."""
    grid = pl.Grid((0.0, 0.0), (16 * math.pi, 2 * math.pi), 24, boundary="periodic")
    y = grid.points[..., 1]
    for A in (0.01, 0.1):
        problem = pl.FokkerPlanck(drift=np.stack([A * np.sin(y), 0 * y], -1), diffusivity=0.3)
        gap = told(pl.spectral_gap, problem, grid)[0]
        assert gap == pytest.approx((0.3 + A**2 / 0.6) / 64, rel=0.02)


@pytest.mark.parametrize("speed, ratio", [(1.0, 1.0), (3.0, 1.0), (1.0, 3.0)])
def test_fluxes_are_what_the_law_of_a_whirl_lacks(speed, ratio):
    """Ornstein-Uhlenbeck with a rotation that keeps its Gaussian: Q^T δ = -div F, δ the exact law less the chain's."""
    grid = pl.Grid((-5.0, -5.0), (5.0, 5.0), 41)
    x, y = np.moveaxis(grid.points, -1, 0)
    drift = np.stack([-x - speed * ratio * y, speed * x - ratio * y], -1)
    problem = pl.FokkerPlanck(drift=drift, diffusivity=1.0)
    exact = np.exp(-(x**2 + ratio * y**2) / 2) * math.sqrt(ratio) / (2 * math.pi)
    Q, masses = generator(problem, grid), told(pl.stationary, problem, grid)[0] * grid.weights
    load = np.zeros(grid.shape)
    for axis, flux in enumerate(Truncation.of(ito(problem.coefficients(grid), grid), grid).fluxes(masses)):
        load += np.roll(flux, 1, axis) - flux
    held = np.arange(1, 41 * 41)
    moved = np.zeros(41 * 41)
    moved[held] = spsolve(Q[held][:, held].T.tocsc(), load.ravel()[held])
    moved -= moved.sum() * masses.ravel()
    lacking = (exact * grid.weights - masses).ravel()
    assert np.abs(moved - lacking).sum() < 0.15 * np.abs(lacking).sum()


@pytest.mark.parametrize("boundary", ["reflecting", "periodic"])
def test_a_matrix_and_a_function_are_the_same_truncation(boundary):
    """E u both ways, and constants are kept: E 1 = 0."""
    rng = np.random.default_rng(1)
    grid = pl.Grid((0.0, 0.0), (1.0, 2.0), (7, 6), boundary=boundary)
    drift, diffusion = rng.normal(size=(7, 6, 2)), 0.1 + rng.uniform(size=(7, 6))
    matrices = diffusion[..., None, None] * np.diag([1.0, 0.5])
    problem = pl.FokkerPlanck(drift=drift, diffusion=matrices, diffusivity=1.0)
    truncation = Truncation.of(ito(problem.coefficients(grid), grid), grid)
    u = rng.normal(size=grid.shape)
    np.testing.assert_allclose(truncation.matrix() @ u.ravel(), truncation(u).ravel(), rtol=1e-9, atol=1e-9)
    assert np.abs(truncation(np.ones(grid.shape))).max() == 0.0


def test_nothing_is_left_out_of_equilibrium():
    """Rates keep exp(-U/D) exactly, in two dimensions and however steep: better ones have no flux either."""
    grid = pl.Grid((-2.0, -2.0), (2.0, 2.0), 17)
    x, y = np.moveaxis(grid.points, -1, 0)
    U = x**4 / 4 - x**2 / 2 + y**2 + x * y / 2
    truncation = Truncation.of(ito(pl.FokkerPlanck(U, diffusivity=0.2).coefficients(grid), grid), grid)
    masses = np.exp(-U / 0.2) * grid.weights
    assert max(np.abs(flux).max() for flux in truncation.fluxes(masses)) < 1e-11 * masses.max() / 0.25**2


def test_a_drift_enters_by_its_mean_over_the_face():
    """log ρ = ∫ b/D from node to node: fourth order, and exact for cubic drifts, also next to walls."""
    errors = []
    for n in (21, 41, 81):
        grid = pl.Grid(-1.0, 1.0, n)
        logs = np.log(pl.stationary(pl.FokkerPlanck(drift=np.sin(4 * grid.x + 1), diffusivity=1.0), grid))
        exact = -np.cos(4 * grid.x + 1) / 4
        errors.append(np.ptp(logs - exact))
        logs = np.log(pl.stationary(pl.FokkerPlanck(drift=grid.x**2 - grid.x, diffusivity=1.0), grid))
        assert np.ptp(logs - grid.x**3 / 3 + grid.x**2 / 2) < 1e-12
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (orders > 3.5).all(), orders


# --- full matrices: every second node is asked again ---------------------------------------------------------------


@pytest.mark.parametrize("turn, thin, D", [(0.6, 0.3, 0.5), (1.0, 0.3, 0.4), (1.4, 0.2, 0.4)])
@pytest.mark.parametrize("field", ["whirl", "shear", "wells"])
def test_full_matrices_are_right_or_told(field, turn, thin, D):
    """Laws, gaps and exits on 21² nodes against 81²."""
    axes = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    matrix = axes @ np.diag([1.0, thin]) @ axes.T

    def answers(n):
        for walls in ("reflecting", "absorbing"):
            grid = pl.Grid((-1.0, -1.0), (1.0, 1.0), n, boundary=walls)
            x, y = np.moveaxis(grid.points, -1, 0)
            winds = {
                "whirl": (-2 * x - y, x - 3 * y),
                "shear": (3 * (1 - y**2), 0 * x),
                "wells": (3 * (x - x**3), x - 2 * y),
            }
            given = {"diffusion": np.broadcast_to(matrix, (n, n, 2, 2)).copy(), "diffusivity": D}
            problem = pl.FokkerPlanck(drift=np.stack(winds[field], -1), **given)
            yield "gap", *told(pl.spectral_gap, problem, grid)
            if walls == "reflecting":
                yield "law", *told(pl.stationary, problem, grid)
            else:
                yield "exit", *told(pl.mean_exit_time, problem, grid)

    for (what, found, numbers, text), (_, exact, *_) in zip(answers(21), answers(81)):
        if what == "law":
            wrong = float(np.abs(found - exact[::4, ::4]).mean()) * 4
        elif what == "exit":
            inner = (slice(1, -1),) * 2
            wrong = np.quantile(np.abs(found / np.where(exact > 0, exact, 1.0)[::4, ::4] - 1)[inner], 0.9)
        else:
            wrong = abs(found / exact - 1)
        narrow = re.search("less than a cell|bends", text)
        assert wrong < 1.3 * TOLD or narrow or numbers[0] > wrong / 3, (what, wrong, numbers)
        assert not numbers or wrong > TOLD / 4 or what == "law", (what, wrong, numbers)


def test_a_coarser_chain_has_half_as_many_nodes_or_is_none():
    rng = np.random.default_rng(2)
    A = rng.normal(size=(11, 12, 2, 2))
    grid = pl.Grid((0.0, 0.0), (1.0, 2.0), (11, 12), boundary=(("absorbing", "reflecting"), "periodic"))
    matrix = A @ np.swapaxes(A, -1, -2) + 5 * np.eye(2)
    problem = pl.FokkerPlanck(drift=rng.normal(size=(11, 12, 2)), diffusion=matrix, diffusivity=1.0)
    coarser = Coarser.of(problem.coefficients(grid), grid)
    assert coarser.grid.spacing == pytest.approx([2 * h for h in grid.spacing]) and coarser.grid.ends == grid.ends
    np.testing.assert_array_equal(coarser.taken(grid.points[..., 1], grid), coarser.grid.points[..., 1].ravel())
    other = pl.Grid((0.0, 0.0), (1.0, 2.0), (7, 12), boundary=grid.boundary)
    assert Coarser.of(pl.FokkerPlanck(diffusivity=1.0).coefficients(other), other) is None
    whole, shifted = grid.points[..., 0] <= 0.401, grid.points[..., 0] <= 0.501
    assert coarser.shows(whole, grid) and not coarser.shows(shifted, grid)


def test_a_coarser_chain_of_an_even_number_of_nodes_has_the_ends():
    """Powers of the distance to them, and sets and masses that both grids show."""
    grid = pl.Grid((0.0, 0.0), (1.0, 2.0), (26, 13), boundary=(("absorbing", "reflecting"), "periodic"))
    x = grid.points[..., 0]
    noise = (x**0.4 * (1 - x) ** 1.5)[..., None, None] * np.eye(2)
    coarser = Coarser.of(pl.FokkerPlanck(diffusion=noise, diffusivity=1.0).coefficients(grid), grid)
    there = coarser.grid.points[..., 0]
    assert coarser.grid.shape == (13, 6) and coarser.grid.ends == grid.ends
    np.testing.assert_allclose(coarser.form.a[0], there**0.4 * (1 - there) ** 1.5, rtol=2e-4, atol=1e-15)
    np.testing.assert_allclose(coarser.taken(x**0.7, grid), there.ravel() ** 0.7, rtol=1e-3)
    masses = np.random.default_rng(1).random(grid.shape)
    gathered = coarser.gathered(masses, grid)
    assert gathered.sum() == pytest.approx(masses.sum()) and gathered.min() > 0
    assert (gathered * there).sum() == pytest.approx((masses * x).sum())
    assert coarser.shows(x == 0, grid) and coarser.shows(x == 1, grid) and not coarser.shows(x <= 0.2, grid)
    assert coarser.taken(x == 0, grid).sum() == 6 and not coarser.shows(grid.points[..., 1] == 0, grid)


def leaning(grid, angle, ratio, turning=0.0):
    """Noise that is `ratio` times as strong across one direction as along it, in a drift that turns about."""
    x, y = np.moveaxis(grid.points, -1, 0)
    along = np.array([math.cos(angle), math.sin(angle)])
    matrix = ratio * np.eye(2) + (1 - ratio) * np.outer(along, along)
    drift = turning * np.stack([np.sin(2 * y) - x, np.cos(2 * x) - y], -1)
    return pl.FokkerPlanck(drift=drift, diffusivity=1.0, diffusion=np.broadcast_to(matrix, (*grid.shape, 2, 2)))


@pytest.mark.parametrize("angle, ratio", [(2.73, 0.028), (0.3, 0.02), (1.2, 0.2), (0.9, 0.5)])
@pytest.mark.parametrize("boundary", ["reflecting", "absorbing"])
def test_diffusion_that_must_be_added_is_told_by_its_effect(angle, ratio, boundary):
    """Against four times the nodes each way, of which none needs it."""
    answers = {}
    for n in ((161, 97), (41, 25)):
        grid = pl.Grid((0.0, 0.0), (1.0, 1.0), n, boundary=boundary)
        problem = leaning(grid, angle, ratio)
        answers[n] = (
            told(pl.spectral_gap, problem, grid)[:2],
            (told(pl.mean_exit_time, problem, grid)[:2] if boundary == "absorbing" else (np.ones(n), [])),
        )
    (exact, _), (times, _) = answers[161, 97]
    (gap, rates), (found, waits) = answers[41, 25]
    wrong = abs(1 - exact / gap)
    assert bool(rates) == (wrong > TOLD) and (not rates or wrong / 3 < rates[0] < 3 * wrong)
    top = abs(found.max() / times.max() - 1)
    assert bool(waits) == (top > TOLD)
    grid = pl.Grid((0.0, 0.0), (1.0, 1.0), (81, 49), boundary=boundary)  # needs none, and every second node does
    gap, rates, _ = told(pl.spectral_gap, leaning(grid, angle, ratio), grid)
    assert bool(rates) == (abs(1 - exact / gap) > TOLD)


@pytest.mark.parametrize("seed", range(6))
def test_ways_to_sets_in_full_matrices_are_right_or_told(seed):
    """Exit times and committors against four times the nodes, at the worst but a tenth of the nodes."""
    rng = np.random.default_rng(seed)
    angle, ratio, turning = rng.uniform(0, math.pi), rng.uniform(0.1, 1), rng.uniform(0, 8)
    corner = 0.2 * rng.integers(-3, 4)

    def ways(n):
        grid = pl.Grid((-1.0, -1.0), (1.0, 1.0), n)
        x, y = np.moveaxis(grid.points, -1, 0)
        a = (x <= -0.6 + 1e-9) & (y <= corner + 1e-9)
        b = (x >= 0.6 - 1e-9) & (y >= corner - 1e-9)
        problem = leaning(grid, angle, ratio, turning)
        yield *told(pl.mean_exit_time, problem, grid, a)[:2], a
        yield *told(pl.committor, problem, grid, a, b)[:2], a | b

    for (found, numbers, inside), (exact, *_) in zip(ways(21), ways(81)):
        exact = exact[::4, ::4]
        size = np.where(
            inside, 1.0, np.minimum(exact, 1 - exact) if exact.max() <= 1 and found[inside].any() else exact
        )
        wrong = np.quantile(np.abs((found - exact) / size)[~inside], 0.9)
        assert wrong < 1.3 * TOLD or numbers[0] > wrong / 2, (wrong, numbers)
        assert not numbers or wrong > TOLD / 3, (wrong, numbers)


@pytest.mark.parametrize(
    "shape, boundary, D, ratio, turn, winds",
    [
        ((8, 8), "reflecting", 0.85, 0.51, 0.63, (-3.4, -1.1, -1.9, -3.0, -2.5, -1.8)),
        ((5, 6), "reflecting", 2.4, 0.88, 1.52, (-3.8, -0.3, -0.8, 0.4, 0.4, 4.2)),
        ((7, 7), ("absorbing", "reflecting"), 0.16, 0.12, 0.51, (-2.8, -0.5, -1.8, 2.0, 0.3, 1.6)),
        ((5, 5), ("reflecting", "absorbing"), 0.52, 0.18, 2.62, (-4.9, 2.4, 0.1, 3.0, 0.0, -1.5)),
    ],
)
def test_few_nodes_of_full_matrices_are_told(shape, boundary, D, ratio, turn, winds):
    """Off by more than the warnings are for, against eight times the nodes each way."""
    along = np.array([math.cos(turn), math.sin(turn)])
    matrix = ratio * np.eye(2) + (1 - ratio) * np.outer(along, along)

    def asked(shape):
        grid = pl.Grid((-1.0, -1.0), (1.0, 1.0), shape, boundary=boundary)
        x, y = np.moveaxis(grid.points, -1, 0)
        a, b, c, d, e, f = winds
        drift = np.stack([a + b * x + c * np.sin(2 * y), d + e * y + f * np.sin(2 * x)], -1)
        given = {"diffusion": np.broadcast_to(matrix, (*shape, 2, 2)), "diffusivity": D}
        question = pl.mean_exit_time if grid.absorbing.any() else pl.stationary
        return told(question, pl.FokkerPlanck(drift=drift, **given), grid)[:2]

    (found, numbers), (exact, _) = asked(shape), asked(tuple(8 * (n - 1) + 1 for n in shape))
    exact = exact[::8, ::8]
    known = found > (0.1 * found.max() if boundary == "reflecting" else 0.0)
    assert np.quantile(np.abs(found / np.where(exact > 0, exact, 1.0) - 1)[known], 0.9) > TOLD
    assert numbers and max(numbers) > TOLD
