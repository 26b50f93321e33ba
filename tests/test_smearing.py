"""What rates between nodes do to widths, times and rates: told as large as it is, or not at all where it is nothing."""

import math
import re
import warnings

import numpy as np
import pytest
from scipy import integrate, linalg

import pdelab as pl
from pdelab.generator import log_stationary, smearing, splitting
from pdelab.stepping import AccuracyWarning

TOLD = 0.05  # what is below goes unsaid


def listened(question, *args, **options):
    """(answer, numbers in its warnings of drift that outruns diffusion)."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        answer = question(*args, **options)
    texts = [str(warning.message) for warning in said]
    return answer, [float(found[1]) for found in (re.search(r"off by about (\S+) of", text) for text in texts) if found]


def variance(grid, density):
    mass = grid.integrate(density)
    mean = grid.integrate(grid.x * density) / mass
    return grid.integrate((grid.x - mean) ** 2 * density) / mass


def close(told, true):
    """An estimate to be trusted: what is large is told to a factor of three, nothing large is kept back."""
    assert told > true / 3 - 0.01, (told, true)
    assert told < 3 * true + 0.02, (told, true)


# --- densities -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["automatic", "crank_nicolson", "high_resolution"])
@pytest.mark.parametrize("seed", range(6))
def test_what_a_scheme_adds_in_a_wind_is_the_share_that_is_told(scheme, seed):
    """A Gaussian carried by a constant wind: its variance is s² + 2Dt."""
    rng = np.random.default_rng(seed)
    b, D, s = rng.choice([-1, 1]) * rng.uniform(0.5, 2), 10 ** rng.uniform(-3, -1), rng.uniform(0.1, 0.3)
    grid, t = pl.Grid(-6.0, 6.0, int(rng.integers(120, 500))), rng.uniform(0.3, 1.5)
    start = np.exp(-((grid.x + 1.5 * np.sign(b)) ** 2) / (2 * s**2))
    problem = pl.FokkerPlanck(drift=np.full(grid.shape, b), diffusivity=D)
    run, warned = listened(pl.solve, problem, start, grid, t, scheme=scheme, rtol=1e-3)
    found, exact = variance(grid, run.final), s**2 + 2 * D * t
    close(run.info["smearing"], abs(found - exact) / found)
    assert len(warned) == (run.info["smearing"] > TOLD)


@pytest.mark.parametrize("n", [41, 81, 161, 241])
def test_limited_fluxes_tell_of_a_law_narrower_than_their_cells(n):
    """Ornstein-Uhlenbeck at rest: the variance is D/100, and far too wide on the coarsest grid."""
    grid = pl.Grid(-1.0, 1.0, n)
    problem = pl.FokkerPlanck(drift=-100 * grid.x, diffusivity=0.02)
    run, warned = listened(pl.solve, problem, np.exp(-50 * grid.x**2), grid, 0.1, scheme="high_resolution")
    true = variance(grid, run.final) / 2e-4 - 1
    assert bool(warned) == (run.info["smearing"] > TOLD) == (true > TOLD)
    if n >= 81:
        close(run.info["smearing"], true)


def test_fitted_rates_are_right_in_balance_and_silent_until_the_law_is_narrower_than_a_cell():
    """The same law by the default: to a percent at large cell Peclet numbers, until it fits between two nodes."""
    for n, narrow in ((41, True), (81, True), (121, False), (241, False)):
        grid = pl.Grid(-1.0, 1.0, n)
        problem, start = pl.FokkerPlanck(drift=-100 * grid.x, diffusivity=0.02), np.exp(-50 * grid.x**2)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            run, law = pl.solve(problem, start, grid, 0.2), pl.stationary(problem, grid)
        for density in (run.final, law):
            assert (abs(variance(grid, density) / 2e-4 - 1) < 0.01) == (not narrow)
        assert sum("less than a cell" in str(w.message) for w in said) == 2 * narrow and (narrow or not said)
        assert run.info["peclet"] > 40 and (narrow or run.info["smearing"] < 1e-3)
        if n == 121:
            assert run.info["narrowness"] == pytest.approx(grid.spacing[0] / math.sqrt(2e-4), rel=0.02)


def test_what_was_smeared_on_the_way_into_balance_is_forgotten():
    """From x = 3 into the well at 0: too wide at first and told, right at last and silent."""
    grid = pl.Grid(-4.0, 4.0, 161)
    problem, start = pl.FokkerPlanck(drift=-grid.x, diffusivity=0.02), np.exp(-((grid.x - 3) ** 2) / 0.1)
    for t, told in ((1.0, True), (6.0, False)):
        run, warned = listened(pl.solve, problem, start, grid, t, scheme="crank_nicolson", dt=0.01)
        exact = 0.05 * math.exp(-2 * t) + 0.02 * (1 - math.exp(-2 * t))
        assert (variance(grid, run.final) > 1.1 * exact) == told == bool(warned)


@pytest.mark.parametrize("seed", range(12))
def test_what_sums_over_the_nodes_miss_at_a_kink_is_told(seed):
    """exp(-a |x - c|) wherever the kink lies, by its closed form: of stationary, and of a run into it."""
    rng = np.random.default_rng(seed)
    a, cell = rng.uniform(3, 18), 0.1
    c = rng.choice([0.0, 0.5, rng.uniform()]) * cell
    grid = pl.Grid(-3.0, 3.0, 61)
    U = a * np.abs(grid.x - c)
    missed = abs(grid.integrate(np.exp(-U)) / (2 / a) - 1)
    told = smearing.kinks(np.exp(-U), grid)
    assert told == pytest.approx(missed, rel=0.35, abs=0.003)
    start = np.exp(-(grid.x**2) / 2) / math.sqrt(2 * math.pi)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        law = pl.stationary(pl.FokkerPlanck(U, beta=1.0), grid)
        run = pl.solve(pl.FokkerPlanck(U, beta=1.0), start, grid, 4.0)
    assert smearing.kinks(law, grid) == pytest.approx(told) == run.info["kinks"]
    assert sum("bends" in str(warning.message) for warning in said) == 2 * (told > TOLD)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("side", [1, -1])
def test_what_sums_miss_of_a_layer_at_a_wall_that_bends_is_told(seed, side):
    """exp(-V) at a wall, V' changing from node to node as noise that varies makes it, by its integral."""
    rng = np.random.default_rng(seed)
    steep, bend, grid = rng.uniform(0.8, 2.5), rng.choice([-1, 1]) * rng.uniform(0.3, 0.45), pl.Grid(0.0, 1.0, 41)

    def density(y):
        return np.exp(-steep * (40 * y + bend * 5 * (1 - np.cos(40 * y / 2.5))))

    missed = abs(1 - integrate.quad(density, 0, 1, limit=500)[0] / grid.integrate(density(grid.x)))
    told = smearing.kinks(density(grid.x)[::side], grid)
    assert told == pytest.approx(missed, rel=0.4, abs=0.003)


@pytest.mark.parametrize("seed", range(8))
def test_smooth_densities_have_no_kinks(seed):
    """Gaussians wherever they lie, at walls and on circles, and sums of them; waves of six nodes and more."""
    rng = np.random.default_rng(seed)
    for boundary in ("reflecting", "periodic"):
        grid = pl.Grid((-2.0, 0.0), (2.0, 1.0), (41, 9), boundary=boundary)
        x, s = grid.points[..., 0], rng.uniform(0.7, 4) * grid.spacing[0]
        middle = rng.choice([rng.uniform(-1, 1), -2.0 if boundary == "reflecting" else 0.0])
        assert smearing.kinks(np.exp(-((x - middle) ** 2) / (2 * s**2)), grid) < 1e-3  # tails end at walls
        both = np.exp(-((x + 1) ** 2) / (2 * s**2)) + rng.uniform() * np.exp(-((x - 1) ** 2) / (2 * s**2))
        assert smearing.kinks(both, grid) < 1e-3
    waves = rng.integers(1, 7)  # on 41 nodes
    wave = np.cos(2 * np.pi * waves * x / 4 + rng.uniform(0, 6)) * rng.uniform(0.5, 4)
    assert smearing.kinks(np.exp(wave), grid) < 1e-12


@pytest.mark.parametrize("seed", range(10))
def test_kinks_into_which_mass_still_flows_are_told(seed):
    """An even start on its way to A |x - c|, by implicit steps of a symmetric chain on sixteen times as many nodes."""
    rng = np.random.default_rng(seed)
    grid, fine = (pl.Grid(-2.0, 2.0, n) for n in (81, 1281))
    A, z, s = rng.uniform(0.5, 3.0), rng.uniform(1.5, 4.0), rng.choice([0.0, rng.uniform(0, 0.4)])
    D, time, c = A * grid.spacing[0] / z, rng.uniform(0.3, 1.0) / A, rng.choice([0.0, rng.uniform() * grid.spacing[0]])
    a = D * (1 + s * np.sin(fine.x[1:] + fine.x[:-1])) / fine.spacing[0] ** 2
    rise = A * np.diff(np.abs(fine.x - c)) / (a * fine.spacing[0] ** 2)
    up, down, w = a * np.exp(-rise / 2), a * np.exp(rise / 2), fine.weights / fine.spacing[0]

    def stepped(count, dt):
        matrix = np.array([np.append(0.0, -down), w / dt, np.append(-up, 0.0)])
        matrix[1] += np.append(up, 0.0) + np.append(0.0, down)
        density = np.full(1281, 0.25)
        for _ in range(count):
            density = linalg.solve_banded((1, 1), matrix, w * density / dt)
        return density

    exact = (2 * stepped(400, time / 400) - stepped(200, time / 200))[::16]
    start = np.full(81, 0.25)
    noise = {"diffusivity": D, "diffusion": 1 + s * np.sin(2 * grid.x), "interpretation": "fick"}
    problem = pl.FokkerPlanck(A * np.abs(grid.x - c), **noise)
    run, said = heard(pl.solve, problem, start, grid, time)
    wrong = grid.integrate(np.abs(run.final - exact))
    assert said or wrong < 2 * TOLD, (wrong, run.info)
    assert not said or wrong > TOLD / 5, (wrong, said)


@pytest.mark.parametrize("seed", range(12))
def test_kinks_are_told_where_noise_bends_the_density_beside_them(seed):
    """c |x| under Fick's law with 1 + s x², whose law is exp(-c arctan(√s |x|) / D√s)."""
    rng = np.random.default_rng(seed)
    grid, D = pl.Grid(-5.0, 5.0, int(rng.choice([21, 41]))), rng.uniform(0.1, 0.4)
    h = grid.spacing[0]
    c, s = rng.uniform(0.5, 4.0) * D / h, rng.uniform(0.05, 0.3) / h**2

    def density(x):
        return np.exp(-c * np.arctan(math.sqrt(s) * np.abs(x)) / (D * math.sqrt(s)))

    problem = pl.FokkerPlanck(c * np.abs(grid.x), diffusivity=D, diffusion=1 + s * grid.x**2, interpretation="fick")
    law, said = heard(pl.stationary, problem, grid)
    wrong = grid.integrate(np.abs(law - density(grid.x) / (2 * integrate.quad(density, 0, 5)[0])))
    assert said or wrong < 2 * TOLD, wrong
    assert not said or wrong > TOLD / 5, (wrong, said)


def test_kinks_between_and_across_the_axes():
    """A product of two layers misses what both miss; along a diagonal, as much as one axis does; at a wall the same."""
    grid = pl.Grid((-2.0, -2.0), (2.0, 2.0), 41)
    x, y = np.moveaxis(grid.points, -1, 0)
    one = pl.Grid(-2.0, 2.0, 41).integrate(np.exp(-8 * np.abs(pl.Grid(-2.0, 2.0, 41).x))) / (2 / 8) - 1
    assert smearing.kinks(np.exp(-8 * np.abs(x) - y**2), grid) == pytest.approx(one / (1 + one), rel=0.02)
    assert smearing.kinks(np.exp(-8 * np.abs(x + y) - (x - y) ** 2), grid) == pytest.approx(one / (1 + one), rel=0.1)
    assert smearing.kinks(np.exp(-8 * (np.abs(x) + np.abs(y))), grid) == pytest.approx(2 * one / (1 + one), rel=0.2)
    assert smearing.kinks(np.exp(-8 * (x + 2)), grid) == pytest.approx(one / (1 + one), rel=0.02)


@pytest.mark.parametrize("n", [21, 41, 81, 161, 641])
@pytest.mark.parametrize("form", ["drift", "potential"])
def test_times_out_of_the_shallower_of_two_wells_at_walls_are_right_or_told(n, form):
    """The deeper one is left at once, through its absorbing end: what waits in the other is judged, by quadrature."""
    slope, top, D = 6.39, 0.2, 0.1
    grid = pl.Grid(-1.0, 1.0, n, boundary=("absorbing", "reflecting"))
    given = {"drift": slope * (grid.x - top)} if form == "drift" else {"potential": -slope * (grid.x - top) ** 2 / 2}
    found, said = heard(pl.mean_exit_time, pl.FokkerPlanck(**given, diffusivity=D), grid)
    fine = np.linspace(-1.0, 1.0, 20001)
    U = -slope * (fine - top) ** 2 / (2 * D)
    inner = integrate.cumulative_trapezoid(np.exp(-U)[::-1], dx=1e-4, initial=0.0)[::-1]
    exact = integrate.trapezoid(np.exp(U) * inner, dx=1e-4) / D
    wrong = abs(1 - exact / found[-1])
    assert bool(said) == (wrong > TOLD), (wrong, said)


@pytest.mark.parametrize("z", [0.1, 0.3, 1.0, 2.0])
def test_a_drift_that_steps_at_a_node_is_told_of(z):
    """-A sign(x), zero at the node in the middle, which nodes cannot tell from a ramp of two cells."""
    grid = pl.Grid(-2.0, 2.0, 101)
    A = z / grid.spacing[0]
    problem = pl.FokkerPlanck(drift=-A * np.sign(grid.x), diffusivity=1.0)
    law, said = heard(pl.stationary, problem, grid)
    exact = np.exp(-A * np.abs(grid.x)) * A / 2 / -math.expm1(-2 * A)
    wrong = max(grid.integrate(np.abs(law - exact)), 0.5 * abs(law[50] / exact[50] - 1))
    assert bool(said) == (wrong > TOLD), (wrong, said)


@pytest.mark.parametrize("n", [3, 4])
def test_few_nodes_between_walls_tell_of_what_they_do_not_see(n):
    """x²/2 at β = 1 on boxes of any size: the weight exp(-x²/2) of a node over its integral."""
    for half in (0.2, 0.5, 1.0, 2.0, 3.0):
        grid = pl.Grid(-half, half, n)
        law, said = heard(pl.stationary, pl.FokkerPlanck(grid.x**2 / 2, beta=1.0), grid)
        exact = np.exp(-(grid.x**2) / 2) / (math.sqrt(2 * math.pi) * math.erf(half / math.sqrt(2)))
        wrong = grid.integrate(np.abs(law - exact))
        assert ("bends" in said) >= (wrong > 1.3 * TOLD)
        assert not said or wrong > TOLD / 3


@pytest.mark.parametrize("boundary", ["reflecting", "absorbing"])
def test_rates_between_wells_with_kinks_have_the_error_of_their_masses(boundary):
    """The slow mode of two wells, or the decay of one, sees the kinks; of one well between walls it is zero there."""
    for n, told in ((41, True), (401, False)):
        grid = pl.Grid(-2.0, 2.0, n, boundary=boundary)
        U = 10 * np.abs(np.abs(grid.x) - (1 if boundary == "reflecting" else 0))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            pl.spectral_gap(pl.FokkerPlanck(U, beta=1.0), grid)
            time = pl.mean_exit_time(
                pl.FokkerPlanck(U, beta=1.0), grid, np.abs(grid.x) < 0.01 if boundary == "reflecting" else None
            )
        assert np.isfinite(time).all() and sum("bends" in str(warning.message) for warning in said) == 2 * told
    grid = pl.Grid(-2.0, 2.0, 41)
    assert pl.spectral_gap(pl.FokkerPlanck(10 * np.abs(grid.x), beta=1.0), grid) > 20


def test_a_point_mass_that_diffusion_spreads_is_no_law_narrower_than_a_cell():
    grid = pl.Grid(-1.0, 1.0, 101)
    run = pl.solve(pl.FokkerPlanck(beta=1.0), pl.control.point_mass(grid, 0.0), grid, [0.0, 1e-5, 1e-3])
    assert run.info["narrowness"] == run.info["smearing"] == 0.0


@pytest.mark.parametrize("n", [33, 65, 129])
@pytest.mark.parametrize("scheme", ["crank_nicolson", "high_resolution"])
def test_a_full_matrix_is_told_as_well(n, scheme):
    """Ornstein-Uhlenbeck with a tilted matrix of noise: the covariance is known at all times."""
    a, t, spread = 0.05 * np.array([[1.0, 0.4], [0.4, 0.8]]), 0.5, 0.05
    grid = pl.Grid((-2, -2), (2, 2), n)
    start = np.exp(-(((grid.points - [1.0, 0.3]) ** 2).sum(-1)) / (2 * spread))
    problem = pl.FokkerPlanck(drift=-grid.points, diffusivity=1.0, diffusion=np.broadcast_to(a, (*grid.shape, 2, 2)))
    run, warned = listened(pl.solve, problem, start, grid, t, scheme=scheme, rtol=1e-3)
    masses = run.final * grid.weights / (run.final * grid.weights).sum()
    away = grid.points - np.einsum("ij,ijk->k", masses, grid.points)
    found = np.einsum("ij,ijk,ijl->kl", masses, away, away)
    exact = spread * math.exp(-2 * t) * np.eye(2) + (1 - math.exp(-2 * t)) * a
    close(run.info["smearing"], np.abs(np.linalg.eigvals(np.linalg.solve(exact, found - exact))).max())
    assert bool(warned) == (run.info["smearing"] > TOLD)


@pytest.mark.parametrize("n", [101, 201, 401])
def test_backwards_the_squared_width_of_a_value_is_told(n):
    grid, D, s, t = pl.Grid(-4.0, 4.0, n), 0.01, 0.2, 1.0
    problem = pl.BackwardKolmogorov(drift=np.ones(n), diffusivity=D)
    run, warned = listened(pl.solve, problem, np.exp(-((grid.x - 0.5) ** 2) / (2 * s**2)), grid, t)
    close(run.info["smearing"], abs(variance(grid, run.final) / (s**2 + 2 * D * t) - 1))
    assert bool(warned) == (run.info["smearing"] > TOLD)


@pytest.mark.parametrize("scheme", ["automatic", "crank_nicolson", "implicit"])
@pytest.mark.parametrize("start", ["x", "x**2", "sin(2*x)", "1/(1 + exp(-4*x))"])
@pytest.mark.parametrize("rate", [-1.0, 0.0, 0.5])
def test_backwards_the_error_of_the_values_is_told(rate, start, scheme):
    """Against the same on a grid 16 times as fine; also where the largest value is far off and the wrong one small."""
    data = pl.Loss(start)

    def run(n):
        grid = pl.Grid(-5.0, 5.0, n)
        problem = pl.BackwardKolmogorov(drift=rate * grid.x + (rate == 0), diffusivity=0.1)
        return listened(pl.solve, problem, data, grid, 1.0, scheme=scheme, rtol=3e-3)

    exact = run(1281)[0].final
    for n in (21, 41, 81):
        found, warned = run(n)
        fine = exact[:: 1280 // (n - 1)]
        error, size, spread = np.abs(found.final - fine), np.abs(fine), max(np.ptp(fine), np.ptp(data(found.grid.x)))
        seen = size > 1e-3 * size.max()
        close(found.info["space_error"], max(error.max() / spread, np.median(error[seen] / size[seen])))
        assert len(warned) == (found.info["space_error"] > TOLD)


@pytest.mark.parametrize("scheme", ["automatic", "crank_nicolson", "compact"])
@pytest.mark.parametrize("seed", range(16))
def test_the_error_of_a_density_is_told(seed, scheme):
    """Gaussians in a linear drift, on grids that resolve them well or badly: ∫ |ρ - exact|."""
    rng = np.random.default_rng(seed)
    k, u, D, t = rng.choice([0.0, 0.5, 2.0]), rng.uniform(0, 2), 10 ** rng.uniform(-2, 0), 10 ** rng.uniform(-1, 0.3)
    grid, s, c = pl.Grid(-6.0, 9.0, int(rng.choice([60, 120, 250]))), rng.uniform(0.3, 0.8), rng.uniform(-1, 1)
    left = math.exp(-k * t)
    mean, var = (
        c * left + (u * (1 - left) / k if k else u * t),
        s**2 * left**2 + D * ((1 - left**2) / k if k else 2 * t),
    )
    start = np.exp(-((grid.x - c) ** 2) / (2 * s**2)) / math.sqrt(2 * math.pi * s**2)
    exact = np.exp(-((grid.x - mean) ** 2) / (2 * var)) / math.sqrt(2 * math.pi * var)
    problem = pl.FokkerPlanck(drift=u - k * grid.x, diffusivity=D)
    run, warned = listened(pl.solve, problem, start, grid, t, scheme=scheme, rtol=1e-3)
    away = (grid.x - mean) ** 2
    widths = abs(grid.integrate(away * (run.final - exact))) / var
    wrong = max(grid.integrate(np.abs(run.final - exact)), widths)
    assert run.info["space_error"] > wrong / 4 - 0.01, (run.info, wrong)
    assert run.info["space_error"] < 4 * wrong + 0.02, (run.info, wrong)
    assert bool(warned) == (max(run.info["space_error"], run.info["smearing"]) > TOLD)


@pytest.mark.parametrize("n", [40, 41])
@pytest.mark.parametrize("D", [2e-3, 1e-5, 0.0])
def test_a_law_narrower_than_a_cell_is_told_wherever_it_lies(n, D):
    """Held together in the middle of a cell or on a node, with diffusion that never had time to act, too."""
    grid = pl.Grid(-1.0, 1.0, n)
    problem, start = pl.FokkerPlanck(drift=-20 * grid.x, diffusivity=D), np.exp(-(grid.x**2) / 0.02)
    assert "less than a cell" in heard(pl.solve, problem, start, grid, 2.0, scheme="implicit", dt=0.01)[1]
    if D > 1e-3:
        assert "less than a cell" in heard(pl.stationary, problem, grid)[1]


@pytest.mark.parametrize("z, told", [(0.1, False), (0.3, False), (0.8, True), (1.2, True)])
def test_a_layer_at_a_wall_needs_finer_nodes(z, told):
    """exp(-x/l), h/l = z: its mean height is l, which the nodes miss for large z, but not half a Gaussian's width."""
    grid = pl.Grid(0.0, 1.0, 101)
    law, said = heard(pl.stationary, pl.FokkerPlanck(drift=-np.ones(101), diffusivity=0.01 / z), grid)
    assert (abs(grid.integrate(grid.x * law) * z / 0.01 - 1) > 0.05) == told == ("bends" in said)
    law, said = heard(pl.stationary, pl.FokkerPlanck(drift=-grid.x, diffusivity=(0.01 / 1.2) ** 2), grid)
    assert grid.integrate(grid.x**2 * law) == pytest.approx((0.01 / 1.2) ** 2, rel=0.01) and said == ""


def heard(question, *args, **options):
    """(answer, what was said)."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        answer = question(*args, **options)
    return answer, " ".join(str(warning.message) for warning in said)


def test_what_went_on_before_the_last_time_counts():
    """Tides, a wind that stops, a ring that was mixed long ago: nothing happens at the end, and the law is too wide."""
    grid = pl.Grid(-4.0, 4.0, 201)
    start = np.exp(-(grid.x**2) / 0.08)
    for wind, end in ((lambda t: 3 * math.cos(2 * math.pi * t), 2.25), (lambda t: float(t < 1), 1.25)):
        problem = pl.FokkerPlanck(drift=lambda t, wind=wind: np.full(201, wind(t)), diffusivity=1e-3)
        run, warned = listened(pl.solve, problem, start, grid, end, scheme="implicit", dt=0.005)
        assert variance(grid, run.final) > 1.3 * (0.04 + 2e-3 * end) and max(warned) > 0.2
    ring = pl.Grid(-math.pi, math.pi, 100, boundary="periodic")
    problem = pl.FokkerPlanck(drift=np.ones(100), diffusivity=1e-4)
    run, warned = listened(pl.solve, problem, np.exp(-(ring.x**2) / 0.02), ring, 200.0)
    assert abs((run.final * np.exp(1j * ring.x)).sum() / run.final.sum()) < 0.01 and max(warned) > 1


@pytest.mark.parametrize("scheme", ["crank_nicolson", "high_resolution"])
@pytest.mark.parametrize("boundary", ["reflecting", "periodic"])
@pytest.mark.parametrize("n", [201, 801])
def test_of_two_lumps_the_worst_counts(n, boundary, scheme):
    """A narrow one at rest and one in a wind: the integral of the square is that of the narrow one."""
    grid = pl.Grid(-4.0, 4.0, n, boundary=boundary)
    wind = np.where(grid.x > 0, 1.0, 0.0)
    start = np.exp(-((grid.x + 2) ** 2) / (2 * 0.05**2)) / 0.05 + np.exp(-((grid.x - 1) ** 2) / (2 * 0.2**2)) / 0.2
    problem = pl.FokkerPlanck(drift=wind, diffusivity=1e-5)
    run, warned = listened(pl.solve, problem, start, grid, 1.0, scheme=scheme)
    found = variance(grid, np.where(grid.x > 0, run.final, 0.0))
    close(run.info["smearing"], abs(found - 0.04 - 2e-5) / found)
    assert bool(warned) == (scheme == "crank_nicolson")


@pytest.mark.parametrize("scheme", ["crank_nicolson", "implicit", "compact"])
@pytest.mark.parametrize("wind, D, t", [("1", 0.05, 2.0), ("1", 0.05, 7.0), ("x", 0.05, 1.0), ("1", 0.2, 12.0)])
def test_small_probabilities_are_right_or_told(wind, D, t, scheme):
    """What two ends absorb, and what is left, against a grid of 3201 nodes: off by factors where widths are not."""

    def run(n):
        grid = pl.Grid(-4.0, 4.0, n, boundary="absorbing")
        drift = np.ones(n) if wind == "1" else grid.x
        start = np.exp(-(grid.x**2) / (2 * 0.35**2)) * ~grid.absorbing
        problem = pl.FokkerPlanck(drift=drift, diffusivity=D)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            run = pl.solve(problem, start / grid.integrate(start), grid, t, scheme=scheme, dt=t / 2000)
        return np.append(run.info["absorbed"][-1], run.info["mass"][-1]), run.info, [str(w.message) for w in said]

    exact = run(3201)[0]
    for n in (81, 161, 321):
        shares, info, texts = run(n)
        told = [text for text in texts if "probability" in text]
        seen = exact > 1e-5
        wrong = float((np.abs(shares - exact) / shares)[seen].max())
        assert wrong < 1.3 * TOLD or told, (n, wrong)
        assert not told or wrong > TOLD / 2, (n, wrong)
        if wrong > TOLD and scheme != "compact":
            error = info["absorbed_error"][-1]
            known = np.append(error, -error.sum())
            assert np.abs(shares + known - exact)[seen].sum() < 0.6 * np.abs(shares - exact)[seen].sum()


@pytest.mark.parametrize("amplitude, D", [(1.0, 0.05), (3.0, 0.05), (1.0, 0.005), (0.1, 0.05)])
def test_what_moving_problems_give_is_right_or_told(amplitude, D):
    """A wind that turns: what two ends absorb, and values backwards, against grids of 1281 nodes."""

    def wind(grid):
        return lambda t: amplitude * np.cos(6 * t) + 0 * grid.x

    def leaving(n):
        grid = pl.Grid(0.0, 1.0, n, boundary="absorbing")
        start = np.exp(-((grid.x - 0.5) ** 2) / (2 * 0.08**2))
        problem = pl.FokkerPlanck(drift=wind(grid), diffusivity=D)
        run, warned = listened(pl.solve, problem, start / grid.integrate(start), grid, 0.5, rtol=3e-3)
        return np.append(run.info["absorbed"][-1], run.info["mass"][-1]), run, warned

    def backwards(n):
        grid = pl.Grid(-2.0, 2.0, n)
        problem = pl.BackwardKolmogorov(drift=wind(grid), diffusivity=D)
        return listened(pl.solve, problem, np.exp(-(grid.x**2) / (2 * 0.2**2)), grid, 0.5, rtol=3e-3)

    exact, _, _ = leaving(1281)
    fine = backwards(1281)[0].final
    for n in (21, 41, 81, 161):
        shares, run, warned = leaving(n)
        wrong = float((np.abs(shares - exact) / shares)[exact > 1e-5].max())
        error = run.info["absorbed_error"][-1]
        known = np.append(error, -error.sum())
        assert warned or wrong < 1.3 * TOLD, (n, wrong)
        if TOLD < wrong < 0.5:  # to leading order
            assert np.abs(shares + known - exact).sum() < 0.6 * np.abs(shares - exact).sum()
        run, warned = backwards(n)
        error, size, spread = np.abs(run.final - fine[:: 1280 // (n - 1)]), np.abs(fine), np.ptp(run.values[0])
        seen = size[:: 1280 // (n - 1)] > 1e-3 * size.max()
        close(run.info["space_error"], max(error.max() / spread, np.median(error[seen] / run.final[seen])))
        assert len(warned) == (run.info["space_error"] > TOLD)


@pytest.mark.parametrize("wind", [0.0, 3.0])
def test_what_little_is_left_between_absorbing_ends_is_no_error(wind):
    """sin(πx) exp(bx/2D) decays at the rate π²D + b²/4D: to 1e-9 of the start, with the error of the nodes."""
    grid = pl.Grid(0.0, 1.0, 401, boundary="absorbing")
    start = np.sin(math.pi * grid.x) * np.exp(wind * grid.x / 2)
    problem = pl.FokkerPlanck(drift=np.full(401, wind), diffusivity=1.0)
    run, warned = listened(pl.solve, problem, start, grid, [0.2, 2.0])
    exact = start[None, 1:-1] * np.exp(-(math.pi**2 + wind**2 / 4) * run.times[:, None])
    assert np.abs(run.values[:, 1:-1] / exact - 1).max() < 0.05 and not warned
    assert run.info["space_error"] < 1e-3
    run, warned = listened(pl.solve, problem, np.sin(math.pi * grid.x), grid, [0.2, 2.0])  # of all modes
    assert run.info["space_error"] < 1e-2 and not warned


def test_a_lump_across_the_seam_is_one():
    grid = pl.Grid((-4.0, -4.0), (4.0, 4.0), (81, 61), boundary="periodic")
    x, y = np.moveaxis(grid.points, -1, 0)
    away = 8 * np.stack([np.sin((x - 4) * math.pi / 8), np.sin((y - 4) * math.pi / 8)]) / math.pi
    corner, middle = np.exp(-8 * (away**2).sum(0)), np.exp(-8 * (x**2 + y**2))
    parts = smearing.lumps(corner + middle, grid)
    assert sorted(grid.integrate(part) for part in parts) == pytest.approx([math.pi / 8] * 2, rel=1e-2)
    assert len(smearing.lumps(corner + 0.01 * middle, grid)) == 1


@pytest.mark.parametrize("last", [0.01, 0.05, 0.5])
def test_a_wind_that_sets_in_late_is_told_by_the_time_it_blew(last):
    grid = pl.Grid(-4.0, 4.0, 201)
    problem = pl.FokkerPlanck(drift=lambda t: np.full(201, 5.0 * (t > 1 - last)), diffusivity=0.02)
    start = np.exp(-((grid.x + 1) ** 2) / (2 * 0.2**2))
    run, _ = listened(pl.solve, problem, start, grid, 1.0, scheme="crank_nicolson", dt=1e-3)
    found = variance(grid, run.final)
    close(run.info["smearing"], (found - 0.08) / found)


def test_the_size_of_the_data_does_not_matter():
    grid = pl.Grid(-1.0, 1.0, 101, boundary="periodic")
    problem, start = pl.FokkerPlanck(drift=np.ones(101), diffusivity=1e-3), np.exp(-50 * grid.x**2)
    told = [listened(pl.solve, problem, c * start, grid, 0.5)[0].info["smearing"] for c in (1e-160, 1.0, 1e160)]
    assert told == pytest.approx([told[1]] * 3, rel=1e-9)


def test_compact_is_told_by_its_own_order():
    """Squared widths in a wind are right where the other schemes would be told, and told where they are wrong."""
    for D, right in ((0.04, True), (0.004, False)):
        grid = pl.Grid(-4.0, 4.0, 201)
        start = np.exp(-((grid.x + 1) ** 2) / 0.08)
        problem = pl.FokkerPlanck(drift=np.ones(201), diffusivity=D)
        run, warned = listened(pl.solve, problem, start, grid, 2.0, scheme="compact", rtol=1e-3)
        wrong = abs(variance(grid, run.final) / (0.04 + 4 * D) - 1)
        assert (wrong < 0.01) == right == (not warned)


# --- questions to a chain --------------------------------------------------------------------------------------------

D = 0.05


def whirl(n, speed, side=2.0):
    """Drift -x and a rotation about the origin, which changes no radial answer."""
    grid = pl.Grid((-side, -side), (side, side), n)
    x, y = grid.points[..., 0], grid.points[..., 1]
    drift = np.stack([-x - speed * y, speed * x - y], axis=-1)
    return grid, pl.FokkerPlanck(drift=drift, diffusivity=D)


@pytest.mark.parametrize("n, speed", [(33, 0.0), (33, 5.0), (65, 5.0), (65, 20.0), (129, 5.0)])
def test_the_law_of_a_whirl_is_that_without_or_told(n, speed):
    grid, problem = whirl(n, speed)
    law, warned = listened(pl.stationary, problem, grid)
    logs, again = listened(log_stationary, problem, grid)
    true = grid.integrate(law * grid.points[..., 0] ** 2) / D - 1
    assert warned == again and (warned or true < TOLD)
    assert not warned or true > TOLD / 2  # half of what the density is off by where it is a hundredth of its largest
    if warned:
        close(warned[0], min(true, 1.0))  # an integral of |error| is two at most


@pytest.mark.parametrize("n, speed", [(65, 0.0), (65, 2.0), (65, 5.0), (65, 20.0), (129, 2.0)])
def test_exits_from_a_whirl_take_as_long_as_without_or_are_told(n, speed):
    """A rotation about the middle of a disc changes neither; both on the same staircase of nodes."""
    disc = {}
    for turning in (0.0, speed):
        grid, problem = whirl(n, turning, side=1.0)
        r = np.hypot(*np.moveaxis(grid.points, -1, 0))
        v, told = listened(pl.mean_exit_time, problem, grid, r >= 0.8)
        q, also = listened(pl.committor, problem, grid, r <= 0.2, r >= 0.8)
        disc[turning] = v[n // 2, n // 2], q[n // 2, n // 2 + round(0.5 / grid.spacing[0])]
    wrong, missed = abs(disc[speed][0] / disc[0.0][0] - 1), abs(disc[speed][1] - disc[0.0][1])
    assert bool(told) == (speed > 0 and (n == 65 or wrong > TOLD)), (told, wrong)
    assert wrong < TOLD or told[0] > wrong / 2
    assert missed < TOLD / 2 or also[0] > missed / 2


def test_probabilities_of_ends_are_told():
    """In a whirl in a square all four ends are equally likely from the middle; on the way they are smeared."""
    grid, problem = whirl(21, 30.0, side=1.0)
    box = pl.Grid((-1, -1), (1, 1), 21, boundary="absorbing")
    shares, told = listened(splitting, problem, box)
    assert len(told) == 4 and min(told) > TOLD
    assert all(share[10, 10] == pytest.approx(0.25, abs=1e-9) for share in shares.values())


def test_huge_exit_times_of_a_whirl_and_wells_narrower_than_a_cell_are_told():
    grid = pl.Grid((-1, -1), (1, 1), 65)
    outside = (grid.points**2).sum(-1) >= 0.64
    times = []
    for turning in (0.0, 1.0):
        x, y = np.moveaxis(grid.points, -1, 0)
        problem = pl.FokkerPlanck(drift=np.stack([-x - turning * y, turning * x - y], -1), diffusivity=0.01)
        v, told = listened(pl.mean_exit_time, problem, grid, outside)
        times.append(v[32, 32])
    assert times[0] > 5 * times[1] > 1e11 and told
    for z in (0.2, 1.0, 2.0):  # the layer on a wall that it has to leave: z/2 coth(z/2) times too long
        line, D = pl.Grid(0.0, 1.0, 101, boundary=("reflecting", "absorbing")), 0.01 / z
        problem = pl.FokkerPlanck(drift=-np.ones(101), diffusivity=D)
        v, said = heard(pl.mean_exit_time, problem, line, logarithm=True)
        assert (abs(v[0] - math.log(D) - 1 / D) > 0.05) == ("bends" in said)


@pytest.mark.parametrize("boundary", ["reflecting", "absorbing", "periodic"])
def test_gaps_in_a_wind_are_right_or_told(boundary):
    """b²/4D + D(π/L)² between walls and between absorbing ends, D(2π/L)² on a ring."""
    for n in (41, 81, 161, 321):
        grid = pl.Grid(0.0, 2.0, n, boundary=boundary)
        gap, told = listened(pl.spectral_gap, pl.FokkerPlanck(drift=np.ones(n), diffusivity=0.02), grid)
        exact = 0.02 * math.pi**2 if boundary == "periodic" else 1 / 0.08 + 0.02 * math.pi**2 / 4
        wrong = abs(gap / exact - 1)
        assert wrong < TOLD or told[0] > wrong / 2
        assert not told or told[0] < 4 * wrong


@pytest.mark.parametrize("D", [0.02, 0.005])
def test_gaps_between_absorbing_ends_do_not_hang_on_rounding(D):
    """Modes and those of the adjoint differ by exp(b L/2D): the matrix is far from normal, and reversible."""
    grid = pl.Grid(-1.0, 1.0, 1201, boundary="absorbing")
    exact = 1 / (4 * D) + D * math.pi**2 / 4
    assert pl.spectral_gap(pl.FokkerPlanck(drift=np.ones(1201), diffusivity=D), grid) == pytest.approx(exact, rel=0.01)
    box = pl.Grid((-1.0, -1.0), (1.0, 1.0), (121, 61), boundary="absorbing")
    wind = np.zeros((121, 61, 2)) + [1.0, 0.0]
    exact = 1 / 0.16 + 0.04 * math.pi**2 / 2
    assert pl.spectral_gap(pl.FokkerPlanck(drift=wind, diffusivity=0.04), box) == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("n, told", [(17, True), (33, True), (65, True), (129, False)])
def test_the_gap_of_a_whirl_is_one_or_told(n, told):
    grid = pl.Grid((-2, -2), (2, 2), n)
    x, y = grid.points[..., 0], grid.points[..., 1]
    problem = pl.FokkerPlanck(drift=np.stack([-x - 20 * y, 20 * x - y], axis=-1), diffusivity=0.3)
    gap, said = listened(pl.spectral_gap, problem, grid)
    assert bool(said) is told and (told or gap == pytest.approx(1, rel=0.02))


def test_slow_gaps_of_wells_are_silent():
    """A force of many kT a node at the walls does nothing to escape rates, which the rates have exactly in balance."""
    grid = pl.Grid(-2.0, 2.0, 41)
    assert listened(pl.spectral_gap, pl.FokkerPlanck((grid.x**2 - 1) ** 2, beta=8.0), grid)[1] == []


def test_the_warning_points_at_the_caller():
    grid, problem = whirl(17, 20.0, side=1.0)
    outside = (grid.points**2).sum(-1) >= 0.64
    inside = (grid.points**2).sum(-1) <= 0.05
    for question, args in (
        (pl.stationary, ()),
        (log_stationary, ()),
        (pl.spectral_gap, ()),
        (pl.mean_exit_time, (outside,)),
        (pl.committor, (inside, outside)),
    ):
        with pytest.warns(AccuracyWarning, match="off by about") as said:
            question(problem, grid, *args)
        assert [w.filename for w in said] == [__file__]
    with pytest.warns(AccuracyWarning, match="off by about") as said:
        splitting(problem, pl.Grid((-1, -1), (1, 1), 17, boundary="absorbing"))
    assert {w.filename for w in said} == {__file__}


@pytest.mark.parametrize(
    "turn, thin, n, time", [(0.59, 1e-3, (40, 34), 0.5), (2.15, 6e-3, (48, 16), 0.4), (0.7, 0.3, 41, 0.4)]
)
@pytest.mark.parametrize("boundary", ["reflecting", "absorbing"])
def test_densities_of_full_matrices_are_right_or_told(turn, thin, n, time, boundary):
    """A Gaussian that spreads far from the ends: its covariance grows by 2 D Σ t."""
    along = np.array([math.cos(turn), math.sin(turn)])
    matrix = thin * np.eye(2) + (1 - thin) * np.outer(along, along)
    grid = pl.Grid((-6.0, -6.0), (6.0, 6.0), n, boundary=boundary)

    def gauss(cov):
        exponent = np.einsum("...i,ij,...j", grid.points, np.linalg.inv(cov), grid.points) / 2
        return np.exp(-exponent) / (2 * np.pi * math.sqrt(np.linalg.det(cov)))

    problem = pl.FokkerPlanck(diffusivity=1.0, diffusion=np.broadcast_to(matrix, (*grid.shape, 2, 2)))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run = pl.solve(problem, gauss(0.3 * np.eye(2)), grid, time, scheme="crank_nicolson", dt=0.02)
    wrong = grid.integrate(np.abs(run.final - gauss(0.3 * np.eye(2) + 2 * time * matrix)))
    assert wrong < 0.05 or any("the density that" in str(warning.message) for warning in said)
    assert wrong / 3 < run.info["space_error"] < 3 * wrong
    assert bool(said) == (wrong > 0.05)


@pytest.mark.parametrize(
    "n, waves, D, time", [(16, 3, 1e-4, 3.0), (16, 6, 1e-4, 3.0), (32, 6, 1e-4, 3.0), (64, 3, 1e-3, 2.0)]
)
def test_waves_that_numerical_diffusion_flattens_are_told(n, waves, D, time):
    """Carried round a ring they fall off at the rate D k², of which next to nothing is left on these nodes."""
    ring, k = pl.Grid(0.0, 1.0, n, boundary="periodic"), 2 * np.pi * waves
    problem = pl.BackwardKolmogorov(drift=np.ones(n), diffusivity=D)
    with pytest.warns(AccuracyWarning, match="values of"):
        run = pl.solve(problem, np.cos(k * ring.x), ring, time, scheme="implicit", rtol=1e-2)
    wrong = np.abs(run.final - math.exp(-D * k**2 * time) * np.cos(k * (ring.x + time))).max() / 2
    assert 0.1 < wrong < 3 * run.info["space_error"]


def test_values_that_drift_flattens_are_right():
    """E X_t = exp(-t) x of Ornstein and Uhlenbeck's process, when most of the range has gone."""
    grid = pl.Grid(-6.0, 6.0, 65)
    problem = pl.BackwardKolmogorov(drift=-grid.x, diffusivity=1.0)
    run = pl.solve(problem, grid.x, grid, 6.0, scheme="crank_nicolson", rtol=1e-3)
    assert run.info["space_error"] < 0.05 and np.abs(run.final - math.exp(-6.0) * grid.x).max() < 1e-3
