"""Fokker-Planck and backward Kolmogorov: structure with random data, orders against independent references."""

import math

import mpmath
import numpy as np
import pytest
from densities import gaussian, normalised
from hypothesis import given, settings
from hypothesis import strategies as st
from observed import orders
from scipy.linalg import expm

import pdelab as pl
from pdelab.fokker_planck import (
    BackwardKolmogorov,
    FokkerPlanck,
    Slices,
    chebyshev,
    compact,
    crank_nicolson,
    explicit,
    free_energy,
    implicit,
    spectral,
)
from pdelab.generator import generator, spectral_gap, stationary

PROPERTY = settings(deadline=None, max_examples=40, derandomize=True)
STEPS = st.floats(-6, 6).map(lambda x: 10.0**x)


def l1(grid, a, b):
    return grid.integrate(np.abs(a - b))


def well(x):
    return (x**2 - 1) ** 2 / 4 + x / 20


def rough_case(rng, shape, boundary, steepness):
    d = len(shape)
    grid = pl.Grid((-1.0,) * d, (1.0,) * d, shape, boundary=boundary)
    potential = steepness * rng.normal(size=shape)
    density = rng.random(shape) * (rng.random(shape) < 0.5)
    density.flat[rng.integers(density.size)] = 1.0
    return grid, potential, density


# --- structure ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("boundary", ["reflecting", "periodic"])
@pytest.mark.parametrize("scheme", [implicit, crank_nicolson, compact])
def test_mass_and_gibbs_over_a_hundred_thousand_steps(scheme, boundary):
    grid = pl.Grid(-2.0, 2.0, 120, boundary=boundary)
    U = 0.5 * np.cos(np.pi * grid.x) + 0.1 * np.sin(2 * np.pi * grid.x)
    problem, gibbs = FokkerPlanck(U, beta=4.0), normalised(grid, np.exp(-4 * U))
    held = pl.solve(problem, gibbs, grid, 1000.0, scheme=scheme, dt=0.01)
    assert held.steps == 100_000
    assert np.abs(held.final / gibbs - 1).max() < 1e-12
    moved = pl.solve(problem, gaussian(grid, 0.4, 0.1), grid, [1.0, 1000.0], scheme=scheme, dt=0.01)
    assert max(held.info["mass_drift"].max(), moved.info["mass_drift"].max()) <= 1e-13
    assert l1(grid, moved.final, gibbs) < 1e-2


@PROPERTY
@given(
    seed=st.integers(0, 10**6),
    dt=STEPS,
    steepness=st.sampled_from([0.1, 3.0, 100.0, 1e4]),
    shape=st.sampled_from([(2,), (3,), (40,), (6, 5), (2, 9), (3, 4, 3)]),
    boundary=st.sampled_from(["reflecting", "periodic"]),
    diffusivity=st.sampled_from([1e-3, 0.2, 50.0]),
)
def test_implicit_is_positive_and_dissipates_for_every_step(seed, dt, steepness, shape, boundary, diffusivity):
    grid, U, density = rough_case(np.random.default_rng(seed), shape, boundary, steepness)
    problem = FokkerPlanck(U, diffusivity=diffusivity)
    solution = pl.solve(problem, density, grid, dt * np.arange(4), scheme=implicit, dt=dt, rtol=math.inf)
    assert solution.values.min() >= 0
    assert solution.info["mass_drift"].max() < 1e-14
    energy = solution.info["free_energy"]
    rounding = 1e-12 * (np.abs(U).max() + 30 * diffusivity) * grid.integrate(density)
    assert (np.diff(energy) <= rounding).all()


@PROPERTY
@given(seed=st.integers(0, 10**6), dt=STEPS, shape=st.sampled_from([(30,), (5, 6), (3, 4, 3)]))
def test_implicit_keeps_the_gibbs_density_for_every_step(seed, dt, shape):
    grid, U, _ = rough_case(np.random.default_rng(seed), shape, "reflecting", 3.0)
    gibbs = normalised(grid, np.exp(-(U - U.min()) / 0.2))
    final = pl.solve(FokkerPlanck(U, diffusivity=0.2), gibbs, grid, 5 * dt, scheme=implicit, dt=dt, rtol=math.inf).final
    assert np.abs(final / gibbs - 1).max() < 1e-12


@PROPERTY
@given(seed=st.integers(0, 10**6), dt=STEPS, shape=st.sampled_from([(30,), (5, 6), (3, 4, 3)]))
def test_positive_and_mass_with_any_drift_that_moves(seed, dt, shape):
    rng = np.random.default_rng(seed)
    grid, U, density = rough_case(rng, shape, "periodic", 10.0)
    b = 50 * rng.normal(size=shape if len(shape) == 1 else (*shape, len(shape)))
    problem = FokkerPlanck(lambda t: U * math.cos(t), lambda t: b * t, diffusivity=0.01)
    solution = pl.solve(problem, density, grid, 3 * dt, dt=dt, rtol=math.inf)
    assert solution.values.min() >= 0 and solution.info["mass_drift"].max() < 1e-14


def test_no_noise_moves_mass_downhill_only():
    grid = pl.Grid(-1.0, 1.0, 81)
    solution = pl.solve(
        FokkerPlanck(grid.x**2, beta=math.inf),
        gaussian(grid, 0.5, 0.05),
        grid,
        [0.0, 1.0, 50.0],
        dt=0.05,
        rtol=math.inf,
    )
    assert solution.values.min() >= 0 and solution.info["mass_drift"].max() < 1e-14
    means = [grid.integrate(grid.x * v) for v in solution.values]
    assert means[0] > means[1] > means[2] and abs(means[2]) < 0.02  # the first cell beside the minimum


def test_crank_nicolson_damps_a_point_mass():
    grid = pl.Grid(-1.0, 1.0, 401)
    point = np.zeros(401)
    point[200] = 1 / grid.spacing[0]
    solution = pl.solve(FokkerPlanck(diffusivity=1.0), point, grid, 0.05, scheme=crank_nicolson, dt=0.005)
    exact = np.exp(-(grid.x**2) / 0.2) / math.sqrt(0.2 * math.pi)
    assert np.abs(solution.final - exact).max() < 0.03 and solution.final.min() > -1e-3


def test_crank_nicolson_is_not_positive_and_says_so():
    grid = pl.Grid(-1.0, 1.0, 101)
    point = np.where(grid.x < -0.9, 10.0, 0.0)
    solution = pl.solve(
        FokkerPlanck(40 * grid.x, diffusivity=0.1), point, grid, 2.0, scheme=crank_nicolson, dt=1.0, rtol=math.inf
    )
    assert solution.info["minimum"].min() < 0
    assert "Not positive" in crank_nicolson.__doc__


def test_explicit_within_its_bound_and_refused_above_it():
    grid = pl.Grid((-1, -1), (1, 1), (9, 11))
    rng = np.random.default_rng(1)
    U, density = rng.normal(size=(9, 11)), rng.random((9, 11))
    problem = FokkerPlanck(U, diffusivity=0.3)
    bound = 1 / float(-generator(problem, grid).diagonal().min())
    solution = pl.solve(problem, density, grid, 40 * bound, scheme=explicit, dt=bound, rtol=math.inf)
    assert solution.values.min() >= 0 and solution.info["monotonicity"] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="above the bound"):
        pl.solve(problem, density, grid, 1.0, scheme=explicit, dt=1.01 * bound, rtol=math.inf)


# --- exact answers -----------------------------------------------------------------------------------------------


def ornstein_uhlenbeck(n, scheme, dt, time=0.7, k=1.3, D=0.4, start=(0.8, 0.5)):
    grid = pl.Grid(-5.0, 5.0, n)
    solution = pl.solve(
        FokkerPlanck(k * grid.x**2 / 2, diffusivity=D), gaussian(grid, *start), grid, time, scheme=scheme, dt=dt
    )
    decay = math.exp(-k * time)
    variance = start[1] ** 2 * decay**2 + D / k * (1 - decay**2)
    return l1(grid, solution.final, gaussian(grid, start[0] * decay, math.sqrt(variance)))


def test_second_order_in_space():
    rates = orders([ornstein_uhlenbeck(n, spectral if n < 100 else crank_nicolson, 5e-4) for n in (41, 81, 161, 321)])
    assert (np.abs(rates - 2) < 0.15).all(), rates


@pytest.mark.parametrize("scheme, order", [(implicit, 1), (crank_nicolson, 2)])
def test_order_in_time(scheme, order):
    grid = pl.Grid(-2.5, 2.5, 200)
    problem, start = FokkerPlanck(well(grid.x), beta=5.0), gaussian(grid, 0.6, 0.3)
    exact = pl.solve(problem, start, grid, 2.0, scheme=spectral).final
    errors = [
        l1(grid, pl.solve(problem, start, grid, 2.0, scheme=scheme, dt=2 / k).final, exact)
        for k in (20, 40, 80, 160, 320)
    ]
    rates = orders(errors)
    assert (np.abs(rates - order) < 0.12).all(), rates


def chebyshev_collocation(n, T, beta, half_width, start):
    """Points and ρ(T) = π e^{TL} (ρ_0 / π) with L = -U' d + d²/beta on Chebyshev points, v' = 0 at both ends."""
    theta = np.pi * np.arange(n + 1) / n
    x = np.cos(theta)
    c = np.r_[2, np.ones(n - 1), 2] * (-1.0) ** np.arange(n + 1)
    gap = x[:, None] - x[None, :] + np.eye(n + 1)
    d = np.outer(c, 1 / c) / gap
    d -= np.diag(d.sum(axis=1))
    d, x = d / half_width, x * half_width
    L = -np.diag(x**3 - x + 1 / 20) @ d + d @ d / beta
    inner, ends = np.arange(1, n), [0, n]
    close = -np.linalg.solve(d[np.ix_(ends, ends)], d[np.ix_(ends, inner)])
    gibbs = np.exp(-beta * (well(x) - well(x).min()))
    v = expm(T * (L[np.ix_(inner, inner)] + L[np.ix_(inner, ends)] @ close)) @ (start(x) / gibbs)[inner]
    return x[inner], (gibbs[inner] * v)


def test_p4_against_chebyshev_collocation():

    def start(x):
        return np.exp(-((x - 0.6) ** 2) / 0.18)

    x, reference = chebyshev_collocation(140, 5.0, 5.0, 2.5, start)
    errors = []
    for n in (129, 257, 513, 1025):
        grid = pl.Grid(-2.5, 2.5, n)
        final = pl.solve(
            FokkerPlanck(well(grid.x), beta=5.0), start(grid.x), grid, 5.0, scheme=crank_nicolson, dt=5 / 400
        ).final
        errors.append(l1(grid, final, barycentric(x, reference, grid.x)) / grid.integrate(start(grid.x)))
    assert (np.abs(orders(errors) - 2) < 0.15).all(), errors
    assert errors[-1] < 3e-6


def barycentric(x, values, points):
    """The polynomial through Chebyshev points without the two ends, at points."""
    from scipy.interpolate import BarycentricInterpolator

    return BarycentricInterpolator(x, values, rng=np.random.default_rng(0))(points)


def test_gibbs_belongs_to_d_equal_one_over_beta():
    """Thesis (4.10): with the noise beta^{-1/2} dB the equilibrium is exp(-2 beta f), not exp(-beta f)."""
    grid, beta = pl.Grid(-3.0, 3.0, 301), 2.0
    f = 0.05 * grid.x**4 - 0.4 * grid.x**2 + 0.15 * grid.x + 0.3 * np.sin(3 * grid.x)
    for D, power, sign in ((1 / beta, beta, True), (1 / (2 * beta), beta, False), (1 / (2 * beta), 2 * beta, True)):
        gibbs = normalised(grid, np.exp(-power * f))
        flux = np.abs(np.concatenate(pl.current(FokkerPlanck(f, diffusivity=D), grid, gibbs))).max()
        assert (flux < 1e-12) == sign, flux


def test_contraction_of_a_convex_potential():
    """Row Elam: with U'' >= 1.3, W2 to the equilibrium falls like e^{-1.3 t} or faster, the entropy like e^{-2.6 t}."""
    grid, D = pl.Grid(-5.0, 5.0, 801), 0.4
    U = 0.65 * grid.x**2 + 0.05 * grid.x**4
    gibbs = normalised(grid, np.exp(-(U - U.min()) / D))
    times = np.array([0.0, 0.5, 1.0, 1.5, 2.0])
    solution = pl.solve(FokkerPlanck(U, diffusivity=D), gaussian(grid, 1.5, 0.4), grid, times, dt=1e-3)
    entropy = np.array([(free_energy(v, U, D, grid) - free_energy(gibbs, U, D, grid)) / D for v in solution.values])
    levels = (np.arange(4000) + 0.5) / 4000

    def quantile(v):
        return np.interp(levels, np.cumsum(grid.weights * v) - grid.weights * v / 2, grid.x)

    distance = np.array([np.sqrt(np.mean((quantile(v) - quantile(gibbs)) ** 2)) for v in solution.values])
    assert (entropy / entropy[0] <= np.exp(-2.6 * times) + 1e-6).all()
    assert (distance / distance[0] <= np.exp(-1.3 * times) + 1e-3).all()
    assert (np.diff(entropy) < 0).all()


def test_a_wave_on_a_circle_in_a_constant_wind():
    def error(n):
        grid, wind, D, t = pl.Grid(0.0, 1.0, n, boundary="periodic"), 1.5, 0.02, 0.4
        solution = pl.solve(
            FokkerPlanck(drift=np.full(n, wind), diffusivity=D), 1 + 0.5 * np.cos(2 * np.pi * grid.x), grid, t,
            scheme=crank_nicolson, dt=1e-3, rtol=math.inf
        )  # fmt: skip
        exact = 1 + 0.5 * math.exp(-4 * np.pi**2 * D * t) * np.cos(2 * np.pi * (grid.x - wind * t))
        return np.abs(solution.final - exact).max()

    rates = orders([error(n) for n in (32, 64, 128, 256)])
    assert (np.abs(rates - 2) < 0.2).all(), rates


@pytest.mark.parametrize("scheme, order", [(implicit, 1), (crank_nicolson, 2)])
def test_order_in_time_with_a_potential_that_moves(scheme, order):
    grid, D = pl.Grid(-3.0, 5.0, 300), 0.3
    start = gaussian(grid, 1.0, 0.4)

    def well_at(t):
        return (grid.x - math.sin(2 * t)) ** 2

    def final(k, scheme):
        return pl.solve(
            FokkerPlanck(well_at, diffusivity=D), start, grid, 1.5, scheme=scheme, dt=1.5 / k, rtol=math.inf
        ).final

    exact = final(4000, crank_nicolson)
    rates = orders([l1(grid, final(k, scheme), exact) for k in (10, 20, 40, 80)])
    assert (np.abs(rates - order) < 0.25).all(), rates
    mean = (2 * np.sin(3.0) - 2 * np.cos(3.0) + 2 * math.exp(-3.0)) / 4 + math.exp(
        -3.0
    )  # m' = -2 (m - sin 2t), m(0) = 1
    assert grid.integrate(grid.x * exact) == pytest.approx(mean, abs=2e-4)


def test_slices_are_the_function_they_sample():
    grid = pl.Grid(-2.0, 2.0, 60)
    times, start = np.array([0.0, 0.35, 0.5, 1.0]), gaussian(grid, 0.3, 0.4)
    values = np.stack([(1 + t) * well(grid.x) + t**2 * grid.x for t in times])
    saved = Slices(times, values)
    for scheme in (implicit, crank_nicolson, explicit):
        a, b = (
            pl.solve(
                FokkerPlanck(U, diffusivity=0.2),
                start,
                grid,
                [0.4, 1.3],
                scheme=scheme,
                dt=None if scheme is explicit else 0.01,
            )
            for U in (saved, lambda t: saved(t))
        )
        np.testing.assert_allclose(a.values, b.values, rtol=1e-12)
    frozen = pl.solve(FokkerPlanck(Slices([0.0], values[:1]), diffusivity=0.2), start, grid, 1.0, dt=0.01).final
    np.testing.assert_allclose(
        frozen, pl.solve(FokkerPlanck(values[0], diffusivity=0.2), start, grid, 1.0, dt=0.01).final, rtol=1e-11
    )


def test_scoped_slices_run_the_smoothing_backwards():
    grid = pl.Grid(-1.0, 1.0, 41)
    solution = pl.solve(pl.Heat(viscosity=0.1), grid.x**2, grid, [0.0, 0.5, 2.0])
    scoped = Slices.scoped(solution, 8.0)
    np.testing.assert_allclose(scoped(0.0), solution.values[2])
    np.testing.assert_allclose(scoped(6.0), solution.values[1])
    np.testing.assert_allclose(scoped(8.0), solution.values[0])


@pytest.mark.parametrize("scheme", [implicit, crank_nicolson, compact])
@pytest.mark.parametrize("d", [2, 3])
def test_a_separable_problem_is_the_product_of_lines(scheme, d):
    shape = (7, 9, 6)[:d]
    box = pl.Grid((-1.5,) * d, (1.5,) * d, shape)
    lines = [pl.Grid(-1.5, 1.5, n) for n in shape]
    potentials = [well(line.x) * (k + 1) for k, line in enumerate(lines)]
    starts = [gaussian(line, 0.2 * k, 0.4) for k, line in enumerate(lines)]

    def spread(parts):
        return [p.reshape([-1 if i == k else 1 for i in range(d)]) for k, p in enumerate(parts)]

    def run(U, start, grid):
        return pl.solve(
            FokkerPlanck(U, diffusivity=0.3), start, grid, 0.6, scheme=scheme, dt=0.001, rtol=math.inf
        ).final

    final = run(sum(spread(potentials)), math.prod(spread(starts)), box)
    product = math.prod(spread([run(*case) for case in zip(potentials, starts, lines)]))
    np.testing.assert_allclose(final, product, rtol=1e-11 if scheme is implicit else 1e-5)


def ou_2d(n, K, scheme, diffusion, time=0.5):
    """L1 error against the exact Gaussian of dX = -A X dt + sqrt(2 D Σ) dW."""
    grid = pl.Grid((-4, -4), (4, 4), (n, n))
    A, D, cov = np.array([[1.0, 0.4], [0.4, 1.5]]), 0.4, np.diag([0.3, 0.5])
    mean = np.array([0.5, -0.4])
    Sigma = np.eye(2) if diffusion is None else diffusion
    E = expm(-A * time)
    block = expm(np.block([[-A, 2 * D * Sigma], [np.zeros((2, 2)), A.T]]) * time)
    spread = E @ cov @ E.T + block[:2, 2:] @ E.T

    def density(m, S):
        y = grid.points - m
        return normalised(grid, np.exp(-np.einsum("...i,ij,...j", y, np.linalg.inv(S), y) / 2))

    U = np.einsum("...i,ij,...j", grid.points, A, grid.points) / 2
    field = None if diffusion is None else np.broadcast_to(diffusion, (n, n, 2, 2))
    problem = FokkerPlanck(U, diffusivity=D, diffusion=field)
    final = pl.solve(problem, density(mean, cov), grid, time, scheme=scheme, dt=time / K, rtol=math.inf).final
    return l1(grid, final, density(E @ mean, spread))


def test_second_order_in_space_in_two_dimensions():
    rates = orders([ou_2d(n, 100, crank_nicolson, None) for n in (17, 33, 65, 129)])
    assert (np.abs(rates - 2) < 0.25).all(), rates


def test_chebyshev_is_second_order_in_space_and_exact_in_time():
    rates = orders([ou_2d(n, 1, chebyshev, None) for n in (17, 33, 65)])
    assert (np.abs(rates - 2) < 0.25).all(), rates


@pytest.mark.parametrize("scheme, order", [(implicit, 1), (crank_nicolson, 2)])
def test_order_in_time_in_two_dimensions(scheme, order):
    grid = pl.Grid((-2.0, -2.0), (2.0, 2.0), (40, 36), boundary=("reflecting", "periodic"))
    x, y = grid.points[..., 0], grid.points[..., 1]
    problem = FokkerPlanck(well(x) + 0.4 * x * np.cos(np.pi * y / 2), beta=4.0)
    start = normalised(grid, np.exp(-((x - 0.5) ** 2 + y**2) / 0.3))
    exact = pl.solve(problem, start, grid, 1.0, scheme=chebyshev, rtol=math.inf).final
    errors = [
        l1(grid, pl.solve(problem, start, grid, 1.0, scheme=scheme, dt=1 / k, rtol=math.inf).final, exact)
        for k in (10, 20, 40, 80, 160)
    ]
    rates = orders(errors)
    assert (np.abs(rates - order) < 0.15).all(), rates


def test_crank_nicolson_is_second_order_in_three_dimensions():
    grid = pl.Grid((-1.5,) * 3, (1.5,) * 3, (9, 8, 10))
    x, y, z = np.moveaxis(grid.points, -1, 0)
    problem = FokkerPlanck(well(x) + 2 * np.sin(x + y) * z + y**2 + z**2, beta=2.0)
    start = normalised(grid, np.exp(-((x - 0.5) ** 2 + y**2 + z**2) / 0.5))
    exact = pl.solve(problem, start, grid, 0.5, scheme=chebyshev).final
    rates = orders(
        [
            l1(grid, pl.solve(problem, start, grid, 0.5, scheme=crank_nicolson, dt=0.5 / k).final, exact)
            for k in (20, 40, 80, 160)
        ]
    )
    assert (np.abs(rates - 2) < 0.15).all(), rates


def test_full_matrix_converges_in_space():
    tilted = np.array([[1.0, 0.4], [0.4, 0.8]])
    rates = orders([ou_2d(n, 60, crank_nicolson, tilted) for n in (17, 33, 65, 129)])
    assert (np.abs(rates - 2) < 0.3).all(), rates


@pytest.mark.parametrize("scheme", [implicit, crank_nicolson, explicit])
def test_full_matrix_keeps_mass_and_dual(scheme):
    rng = np.random.default_rng(3)
    grid = pl.Grid((-1, -1), (1, 1), (12, 11), boundary=("reflecting", "periodic"))
    root = rng.normal(size=(12, 11, 2, 2))
    matrix = root @ np.swapaxes(root, -1, -2)
    U, density, v = rng.normal(size=(12, 11)), rng.random((12, 11)), rng.normal(size=(12, 11))
    args = {"diffusivity": 0.2, "diffusion": matrix}
    for dt in (None,) if scheme is explicit else (0.01, 1.0):
        forward = pl.solve(FokkerPlanck(U, **args), density, grid, 3.0, scheme=scheme, dt=dt, rtol=math.inf)
        backward = pl.solve(BackwardKolmogorov(U, **args), v, grid, 3.0, scheme=scheme, dt=dt, rtol=math.inf)
        assert forward.info["mass_drift"].max() < 1e-13
        assert scheme is crank_nicolson or forward.final.min() >= 0
        assert grid.integrate(backward.final * density) == pytest.approx(
            grid.integrate(v * forward.final), rel=1e-12, abs=1e-12
        )


# --- duality -----------------------------------------------------------------------------------------------------


@PROPERTY
@given(
    seed=st.integers(0, 10**6),
    dt=st.floats(-3, 3).map(lambda x: 10.0**x),
    shape=st.sampled_from([(2,), (25,), (5, 6), (4, 3, 3)]),
    boundary=st.sampled_from(["reflecting", "periodic"]),
    moving=st.booleans(),
)
def test_implicit_steps_are_transposes_to_round_off(seed, dt, shape, boundary, moving):
    rng = np.random.default_rng(seed)
    grid, U, density = rough_case(rng, shape, boundary, 2.0)
    b = rng.normal(size=shape if len(shape) == 1 else (*shape, len(shape)))
    T = 4 * dt
    forward, backward = U, U
    if moving:
        forward, backward = (
            (lambda t: U * (1 + t / T)),
            (lambda t: U * (2 - t / T)),
        )  # the adjoint counts the time to go
    v = rng.normal(size=shape)
    rho_T = pl.solve(FokkerPlanck(forward, b, diffusivity=0.3), density, grid, T, dt=dt, rtol=math.inf).final
    v_T = pl.solve(BackwardKolmogorov(backward, b, diffusivity=0.3), v, grid, T, dt=dt, rtol=math.inf).final
    assert (
        abs(grid.integrate(v_T * density) - grid.integrate(v * rho_T))
        < 1e-12 * grid.integrate(density) * np.abs(v).max()
    )
    assert v_T.max() <= v.max() * (1 + 1e-12) + 1e-12 and v_T.min() >= v.min() - 1e-12 * np.abs(v).max() - 1e-12


@pytest.mark.parametrize("scheme", [implicit, crank_nicolson, compact, spectral, chebyshev, explicit])
@pytest.mark.parametrize("shape", [(9,), (6, 5), (4, 3, 5)])
@pytest.mark.parametrize("boundary", ["reflecting", "periodic"])
def test_steps_of_every_scheme_are_transposes_to_round_off(scheme, shape, boundary):
    """Potentials, drifts, both, full matrices, and data that move: those of the adjoint in the time to go."""
    rng, d, T, tested = np.random.default_rng(len(shape)), len(shape), 0.4, 0
    for _ in range(2):
        grid, U, density = rough_case(rng, shape, boundary, 1.0)
        b = rng.normal(size=shape if d == 1 else (*shape, d))
        factor = rng.normal(size=(d, d))
        full = np.broadcast_to(factor @ factor.T + 0.2 * np.eye(d), (*shape, d, d))
        v, rate = rng.normal(size=shape), rng.uniform(1, 5)
        moving, to_go = (
            (lambda t, U=U, c=rate: U * (1 + np.sin(c * t))),
            (lambda s, f=rate, U=U: U * (1 + np.sin(f * (T - s)))),
        )
        for forward, backward in (((U,), (U,)), ((None, b), (None, b)), ((U, b), (U, b)), ((moving, b), (to_go, b))):
            for diffusion in (None, full) if d > 1 else (None,):
                given = {"diffusivity": 0.4, "diffusion": diffusion}
                options = {"scheme": scheme, "dt": 0.04 if scheme is not explicit else T / 200}
                try:
                    rho = pl.solve(FokkerPlanck(*forward, **given), density, grid, T, **options, rtol=math.inf).final
                except ValueError as refusal:
                    assert "expected a steady" in str(refusal) or "expected one reflecting" in str(refusal)
                    with pytest.raises(ValueError):
                        pl.solve(BackwardKolmogorov(*backward, **given), v, grid, T, **options, rtol=math.inf)
                    continue
                v_T = pl.solve(BackwardKolmogorov(*backward, **given), v, grid, T, **options, rtol=math.inf).final
                gap = abs(grid.integrate(v_T * density) - grid.integrate(v * rho))
                assert gap < 1e-13 * np.abs(v).max() * grid.integrate(density) * 50, (forward, diffusion is None)
                tested += 1
    assert tested or (scheme is spectral and (d > 1 or boundary == "periodic"))


def test_an_explicit_adjoint_step_keeps_its_bound_at_its_own_end():
    """Rates that grow with the time to go: the largest step is that of the rates where the step ends."""
    grid, v = pl.Grid(0.0, 1.0, 11), np.random.default_rng(2).normal(size=11)
    problem = BackwardKolmogorov(drift=lambda s: np.full(11, 50.0 + 1e4 * s), diffusivity=0.01)
    solution = pl.solve(problem, v, grid, 0.01, scheme=explicit, rtol=math.inf)
    assert solution.info["monotonicity"] <= 1
    assert solution.values.max() <= v.max() and solution.values.min() >= v.min()
    with pytest.raises(ValueError, match="above the bound"):
        pl.solve(problem, v, grid, 0.01, scheme=explicit, dt=1.2e-3, rtol=math.inf)


def test_constants_stay_constant_backwards():
    grid = pl.Grid((-1, -1), (1, 1), (20, 21))
    U = np.random.default_rng(0).normal(size=(20, 21)) * 5
    for scheme in (implicit, crank_nicolson):
        v = pl.solve(
            BackwardKolmogorov(U, diffusivity=0.1), np.ones((20, 21)), grid, 100.0, scheme=scheme, dt=0.1
        ).final
        assert np.abs(v - 1).max() < 1e-12


# --- compact -----------------------------------------------------------------------------------------------------


def p4_start(x):
    return np.exp(-((x - 0.6) ** 2) / 0.18)


def p4_error(n, T, reference, **how):
    grid = pl.Grid(-2.5, 2.5, n)
    U = well(grid.x)
    given = {"drift": grid.x - grid.x**3 - 1 / 20} if how.pop("as_drift", False) else {"potential": U}
    final = pl.solve(FokkerPlanck(**given, beta=5.0), p4_start(grid.x), grid, T, scheme=compact, **how).final
    return l1(grid, final, barycentric(*reference, grid.x)) / grid.integrate(p4_start(grid.x))


@pytest.mark.parametrize("as_drift", [False, True])
def test_compact_is_fourth_order_in_space(as_drift):
    reference = chebyshev_collocation(140, 5.0, 5.0, 2.5, p4_start)
    errors = [p4_error(n, 5.0, reference, dt=5 / 80, as_drift=as_drift) for n in (65, 97, 129, 193)]
    rates = np.log(np.array(errors[:-1]) / errors[1:]) / np.log(np.array([97, 129, 193]) / [65, 97, 129])
    assert (np.abs(rates - 4) < 0.4).all(), (errors, rates)
    if not as_drift:
        assert errors[0] < 1e-5  # Scharfetter-Gummel alone: 5e-4


def test_compact_is_fourth_order_in_time():
    reference = chebyshev_collocation(140, 2.0, 5.0, 2.5, p4_start)
    errors = [p4_error(513, 2.0, reference, dt=2 / k) for k in (8, 12, 16, 24, 32)]
    rates = np.log(np.array(errors[:-1]) / errors[1:]) / np.log([3 / 2, 4 / 3, 3 / 2, 4 / 3])
    assert (np.abs(rates - 4) < 0.6).all(), (errors, rates)


def test_compact_is_fourth_order_in_space_in_two_dimensions():
    errors = [ou_2d(n, 20, compact, None) for n in (33, 41, 49, 65)]
    rates = np.log(np.array(errors[:-1]) / errors[1:]) / np.log([40 / 32, 48 / 40, 64 / 48])
    assert (np.abs(rates - 4) < 0.4).all(), (errors, rates)


def test_compact_is_fourth_order_in_time_in_two_dimensions():
    grid = pl.Grid((-2.0, -2.0), (2.0, 2.0), (40, 36), boundary=("reflecting", "periodic"))
    x, y = grid.points[..., 0], grid.points[..., 1]
    problem = FokkerPlanck(well(x) + 0.4 * x * np.cos(np.pi * y / 2), beta=4.0)
    start = normalised(grid, np.exp(-((x - 0.5) ** 2 + y**2) / 0.3))
    runs = [pl.solve(problem, start, grid, 1.0, scheme=compact, dt=1 / k).final for k in (6, 12, 24, 48, 384)]
    rates = orders([l1(grid, run, runs[-1]) for run in runs[:-1]])
    assert (np.abs(rates - 4) < 0.5).all(), rates


@PROPERTY
@given(
    seed=st.integers(0, 10**6),
    dt=st.floats(-4, 2).map(lambda x: 10.0**x),
    steepness=st.sampled_from([0.1, 1.0, 30.0]),
    shape=st.sampled_from([(2,), (3,), (4,), (40,), (6, 5), (2, 9), (3, 4, 3)]),
    boundary=st.sampled_from(["reflecting", "periodic"]),
)
def test_compact_keeps_mass_and_gibbs_and_stays_bounded(seed, dt, steepness, shape, boundary):
    grid, U, density = rough_case(np.random.default_rng(seed), shape, boundary, steepness)
    problem, gibbs = FokkerPlanck(U, diffusivity=0.7), normalised(grid, np.exp(-(U - U.min()) / 0.7))
    held = pl.solve(problem, gibbs, grid, 20 * dt, scheme=compact, dt=dt, rtol=math.inf).final
    assert np.abs(held - gibbs).max() < 1e-11 * gibbs.max()
    moved = pl.solve(problem, density, grid, 20 * dt * np.arange(1, 4), scheme=compact, dt=dt, rtol=math.inf)
    assert moved.info["mass_drift"].max() < 1e-13
    size = [float(np.sqrt(grid.integrate(v**2 / gibbs))) for v in (density, *moved.values)]
    assert max(size[1:]) <= 5 / 3 * size[0] + 1e-9  # |(4 r - s) / 3| for factors of size one


def test_compact_does_not_depend_on_how_its_steps_are_cut():
    grid, U, density = rough_case(np.random.default_rng(3), (12, 10), "reflecting", 1.0)
    problem = FokkerPlanck(U, diffusivity=0.5)
    stepper = compact(problem, grid, density)
    whole = stepper.march(density, 0.0, 0.01, 12)
    part = stepper.init(density)
    for first, count in ((0, 1), (1, 4), (5, 7)):
        part = stepper.advance(part, 0.01 * first, 0.01, count)
    assert np.array_equal(whole, stepper.values(part))
    assert np.array_equal(stepper.march(density, 0.0, 0.01, 12), whole)  # and begins anew


def test_compact_damps_a_point_mass():
    grid = pl.Grid(-1.0, 1.0, 401)
    point = np.zeros(401)
    point[200] = 1 / grid.spacing[0]
    final = pl.solve(FokkerPlanck(diffusivity=1.0), point, grid, 0.05, scheme=compact, dt=0.005).final
    images = [np.exp(-((grid.x - 2 * k) ** 2) / 0.2) for k in (-1, 0, 1)]
    exact = sum(images) / math.sqrt(0.2 * math.pi)
    assert np.abs(final - exact).max() < 0.03 and final.min() > -1e-3


@pytest.mark.parametrize("beta", [30.0, 300.0, 1e4, 1e12])
def test_compact_is_no_worse_than_crank_nicolson_where_the_grid_does_not_resolve_the_drift(beta):
    """Ornstein-Uhlenbeck, U/D differing by 5 to 1e14 between nodes."""
    grid, t = pl.Grid(-2.0, 2.0, 101), 0.3
    variance = 0.25 * math.exp(-4 * t) + (1 - math.exp(-4 * t)) / (2 * beta)
    problem, start = FokkerPlanck(grid.x**2, beta=beta), gaussian(grid, 0.0, 0.5)
    errors = [
        l1(
            grid,
            pl.solve(problem, start, grid, t, scheme=scheme, dt=0.005, rtol=math.inf).final,
            gaussian(grid, 0.0, variance**0.5),
        )
        for scheme in (compact, crank_nicolson)
    ]
    assert errors[0] < errors[1] < 0.05


@pytest.mark.parametrize("beta", [5.0, 80.0, 400.0])
def test_compact_does_not_grow_along_lines_with_a_strong_drift(beta):
    """Two dimensions between walls; errors against the next finer grid but one."""

    def run(n, scheme):
        grid = pl.Grid((0.0, 0.0), (2 * np.pi, np.pi), (n + 1, n + 1))
        x, y = grid.points[..., 0], grid.points[..., 1]
        start = normalised(grid, np.exp(2 * np.cos(x) + np.cos(y)))
        U = np.cos(x) + 0.5 * np.cos(2 * y) + 0.4 * np.cos(x) * np.cos(y)
        return grid, pl.solve(FokkerPlanck(U, beta=beta), start, grid, 0.5, scheme=scheme, dt=0.01, rtol=math.inf).final

    _, fine = run(128, compact)
    for n in (16, 32):
        grid, final = run(n, compact)
        reference = fine[:: 128 // n, :: 128 // n]
        assert l1(grid, final, reference) < l1(grid, run(n, crank_nicolson)[1], reference) < 0.2


def test_compact_refuses_what_it_is_not_for():
    grid = pl.Grid(-1.0, 1.0, 20)
    for problem in (
        FokkerPlanck(lambda t: grid.x * t, beta=1.0),
        FokkerPlanck(grid.x, beta=1.0, diffusion=1 + grid.x**2),
        FokkerPlanck(grid.x, beta=math.inf),
    ):
        with pytest.raises(ValueError, match="compact: expected a steady"):
            pl.solve(problem, np.ones(20), grid, 1.0, scheme=compact)


# --- propagators -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [FokkerPlanck, BackwardKolmogorov])
@pytest.mark.parametrize("scheme", [spectral, chebyshev])
def test_propagators_are_the_matrix_exponential(cls, scheme):
    grid = pl.Grid(-2.0, 2.0, 50)
    problem, rng = cls(well(grid.x), beta=5.0), np.random.default_rng(2)
    start, w, Q = rng.random(50), grid.weights, generator(problem, grid).toarray()
    solution = pl.solve(problem, start, grid, [0.0, 0.3, 1.0], scheme=scheme)
    for t, values in zip(solution.times, solution.values):
        exact = expm(t * Q) @ start if problem.adjoint else (expm(t * Q).T @ (w * start)) / w
        np.testing.assert_allclose(values, exact, rtol=0, atol=1e-10)


@pytest.mark.parametrize("time", [1e3, 1e6, 1e9])
def test_spectral_keeps_mass_and_ends_at_gibbs_for_any_time(time):
    grid = pl.Grid(-2.5, 2.5, 301)
    U = well(grid.x)
    solution = pl.solve(FokkerPlanck(U, beta=5.0), gaussian(grid, 0.4, 0.3), grid, time, scheme=spectral)
    assert solution.info["mass_drift"] <= 1e-12
    np.testing.assert_allclose(solution.final, normalised(grid, np.exp(-5 * U)), rtol=0, atol=1e-10)


def test_spectral_holds_two_wells_apart_whose_modes_a_difference_could_not_tell():
    grid = pl.Grid(-1.6, 1.6, 401)
    start, times = gaussian(grid, 0.3, 0.22), [1e4, 1e10, 1e14, 1e18]
    problem = FokkerPlanck((grid.x**2 - 1) ** 2 / 4, beta=120.0)  # gap about 1e-14, largest rate about 1e3
    solution = pl.solve(problem, start, grid, times, scheme=spectral)
    settled = pl.solve(problem, start, grid, 1e4, scheme=crank_nicolson, dt=1.0).final
    assert solution.info["mass_drift"].max() <= 1e-12
    assert l1(grid, solution.values[0], settled) < 1e-8
    gap, gibbs = spectral_gap(problem, grid), stationary(problem, grid)
    for time, values in zip(times, solution.values):  # two states, each in equilibrium with itself
        assert l1(grid, values, gibbs + math.exp(-gap * time) * (solution.values[0] - gibbs)) < 1e-8


@pytest.mark.parametrize("barrier, tilt", [(1.0, 0.0), (12.0, 1e-6), (23.0, 0.0), (27.0, 1e-8), (50.0, 0.0)])
def test_spectral_tells_modes_apart_that_differ_by_less_than_round_off(barrier, tilt):
    """Wells alike: slow modes of relative size 1e-16 beside groups of fast ones closer than round-off."""
    grid = pl.Grid(-1.5, 1.5, 37)
    U = barrier * np.sin(np.pi * grid.x) ** 2 + tilt * grid.x
    times = np.array([4e-3, 0.05, 1.0, 1e6, 1e14])
    start = gaussian(grid, 1.1, 0.02) + 0.2 * gaussian(grid, -0.1, 0.02) + 0.5 * gaussian(grid, -1.1, 0.02)
    problem = FokkerPlanck(U, beta=1.0)
    solution = pl.solve(problem, start, grid, times, scheme=spectral, rtol=math.inf)
    Q, w = generator(problem, grid), grid.weights
    with mpmath.workdps(60):
        root, S = [mpmath.mpf(1)], mpmath.zeros(37)
        for i in range(36):
            up, down = mpmath.mpf(Q[i, i + 1]), mpmath.mpf(Q[i + 1, i])
            root.append(root[-1] * mpmath.sqrt(up / down))
            S[i, i + 1] = S[i + 1, i] = mpmath.sqrt(up * down)
            S[i, i] -= up
            S[i + 1, i + 1] -= down
        rates, vectors = mpmath.eigsy(S)
        amplitudes = vectors.T * mpmath.matrix([w * m / r for w, m, r in zip(w, start, root)])
        for time, values in zip(times, solution.values):
            alive = [a * mpmath.exp(min(rate, 0) * mpmath.mpf(time)) for a, rate in zip(amplitudes, rates)]
            exact = np.array([float(r * v / weight) for r, v, weight in zip(root, vectors * mpmath.matrix(alive), w)])
            np.testing.assert_allclose(values, exact, rtol=0, atol=1e-10 * exact.max())


def test_propagators_refuse_what_round_off_would_spoil():
    grid = pl.Grid(-6.0, 6.0, 200)
    point = np.zeros(200)
    point[-1] = 1.0
    for scheme in (spectral, chebyshev):
        with pytest.raises(ValueError, match="tails of the equilibrium"):
            pl.solve(FokkerPlanck(grid.x**2, beta=2.0), point, grid, 1.0, scheme=scheme)
    with pytest.raises(ValueError, match="spectral: expected one reflecting axis"):
        pl.solve(FokkerPlanck(lambda t: grid.x, beta=2.0), point, grid, 1.0, scheme=spectral)
    with pytest.raises(ValueError, match="chebyshev: t = 1e\\+12 takes 1e.* products"):
        pl.solve(FokkerPlanck(grid.x**2 / 9, beta=2.0), np.ones(200), grid, 1e12, scheme=chebyshev)
    with pytest.raises(ValueError, match="chebyshev: expected a steady potential alone"):
        pl.solve(FokkerPlanck(drift=grid.x, beta=2.0), point, grid, 1.0, scheme=chebyshev)


# --- the door ----------------------------------------------------------------------------------------------------

LINE = pl.Grid(-1.0, 1.0, 11)
PLANE = pl.Grid((0.0, 0.0), (1.0, 2.0), (5, 6))
ONES = np.ones(11)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: FokkerPlanck(ONES), "exactly one of beta and diffusivity.*neither"),
        (lambda: FokkerPlanck(ONES, beta=1.0, diffusivity=1.0), "exactly one of.*got beta and diffusivity"),
        (lambda: FokkerPlanck(ONES, beta=0.0), "beta: expected a number > 0 or math.inf"),
        (lambda: FokkerPlanck(ONES, beta=-1.0), "beta: expected a number > 0 or math.inf"),
        (lambda: FokkerPlanck(ONES, beta=math.nan), "beta: expected a number > 0 or math.inf"),
        (lambda: FokkerPlanck(ONES, diffusivity=-1.0), "diffusivity: expected a number >= 0"),
        (lambda: FokkerPlanck(ONES, diffusivity=math.inf), "diffusivity: expected a number >= 0"),
        (lambda: FokkerPlanck(ONES, beta="hot"), "beta: expected a number > 0 or math.inf, got 'hot'"),
        (lambda: FokkerPlanck(ONES, beta=1.0, interpretation="anti"), "interpretation: expected one of ito"),
        (lambda: FokkerPlanck(drift=pl.Loss("x**2"), beta=1.0), "give a Loss as potential"),
        (lambda: Slices([0.0, 0.0], np.zeros((2, 3))), "strictly increasing"),
        (lambda: Slices([0.0, 1.0], np.zeros((3, 3))), "one finite field for each of 2 times"),
        (lambda: Slices("ab", [1.0, 2.0]), "times: expected increasing numbers, got 'ab'"),
        (lambda: Slices([0.0, 1.0], [[1.0, 2.0], [1.0]]), "values: expected one field of numbers for each"),
        (lambda: Slices([0.0, 1.0], 1j * np.ones((2, 3))), "values: expected one field of numbers for each"),
    ],
)
def test_the_constructor_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "problem, start, grid, message",
    [
        (FokkerPlanck(ONES, beta=1.0), -ONES, LINE, "density >= 0"),
        (FokkerPlanck(ONES, beta=1.0), ONES[:5], LINE, r"expected shape \(11,\)"),
        (FokkerPlanck(ONES, beta=1.0), ONES * np.nan, LINE, "finite"),
        (FokkerPlanck(ONES[:5], beta=1.0), ONES, LINE, r"potential: expected shape \(11,\)"),
        (FokkerPlanck(drift=ONES * np.nan, beta=1.0), ONES, LINE, "drift: expected finite"),
        (FokkerPlanck(drift=np.ones((11, 1)), beta=1.0), ONES, LINE, r"drift: expected shape \(11,\)"),
        (FokkerPlanck(lambda t: ONES[:3], beta=1.0), ONES, LINE, r"potential: expected shape \(11,\)"),
        (FokkerPlanck(diffusion=-ONES, beta=1.0), ONES, LINE, "positive semi-definite"),
        (FokkerPlanck(diffusion=ONES[:4], beta=1.0), ONES, LINE, r"diffusion: expected shape \(11,\)"),
        (FokkerPlanck(diffusion=np.ones((11, 2)), beta=1.0), ONES, LINE, r"diffusion: expected shape \(11,\)"),
        (FokkerPlanck(diffusion=1j * ONES, beta=1.0), ONES, LINE, "diffusion: expected an array of numbers"),
        (FokkerPlanck(diffusion=lambda t: ONES[:4], beta=1.0), ONES, LINE, r"diffusion: expected shape \(11,\)"),
        (FokkerPlanck(diffusion=ONES * np.nan, beta=1.0), ONES, LINE, r"finite numbers, got nan at index \(0,\)"),
        (
            FokkerPlanck(sigma=np.ones((5, 6)), beta=1.0),
            np.ones((5, 6)),
            PLANE,
            r"sigma: expected shape \(5, 6, 2, k\)",
        ),
        (FokkerPlanck(drift=lambda t: None, beta=1.0), ONES, LINE, r"drift: expected shape \(11,\)"),
        (FokkerPlanck(ONES, beta=1.0), ONES, pl.Grid(-1.0, 1.0, 11, boundary="outflow"), "got outflow"),
        (BackwardKolmogorov(ONES, beta=1.0), ONES, pl.Grid(-1.0, 1.0, 11, boundary="outflow"), "got outflow"),
    ],
)
def test_solve_refuses(problem, start, grid, message):
    with pytest.raises(ValueError, match=message):
        pl.solve(problem, start, grid, 1.0)


def test_a_loss_is_a_potential():
    grid, f = pl.Grid(-2.0, 2.0, 41), pl.Loss("x**4/4 - x**2/2")
    a = pl.solve(FokkerPlanck(f, beta=2.0), gaussian(grid, 0, 1), grid, 1.0, dt=0.1).final
    np.testing.assert_array_equal(
        a, pl.solve(FokkerPlanck(f.on(grid), beta=2.0), gaussian(grid, 0, 1), grid, 1.0, dt=0.1).final
    )


def test_the_step_rule_needs_no_dt():
    grid = pl.Grid(-3.0, 3.0, 301)
    solution = pl.solve(FokkerPlanck(well(grid.x), beta=5.0), gaussian(grid, 0.5, 0.4), grid, 2.0, scheme=implicit)
    exact = pl.solve(FokkerPlanck(well(grid.x), beta=5.0), gaussian(grid, 0.5, 0.4), grid, 2.0, scheme=spectral).final
    assert solution.steps > 20 and l1(grid, solution.final, exact) < 1e-2


def test_the_step_of_pure_diffusion_is_the_time_across_a_cell_and_the_box():
    """Where nothing drifts, dt = h width / (2 D): halved by twice the diffusivity, not endless."""
    grid = pl.Grid(0.0, 3.0, 61)
    start = np.exp(-8 * (grid.x - 1) ** 2)
    steps = [implicit(FokkerPlanck(np.zeros(61), diffusivity=D), grid, start).dt for D in (0.1, 0.2)]
    assert steps == pytest.approx([grid.spacing[0] * 3.0 / 0.2, grid.spacing[0] * 3.0 / 0.4], rel=1e-12)
