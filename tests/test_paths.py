"""Paths: laws and orders against exact answers, addresses instead of order, every refusal in words."""

import math
import os
import signal
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from observed import slope
from scipy.integrate import quad

import pdelab as pl
from pdelab import noise, paths
from pdelab.losses import Loss
from pdelab.paths import engine

WELL = Loss("x**4/4 - x**2/2")
QUADRATIC = Loss("1.7*x**2/2")
PYTHON_WELL = Loss.from_functions(lambda x: x**4 / 4 - x**2 / 2, lambda x: x**3 - x, dimension=1)


def gibbs_mean(g, potential, beta=1.0):
    """The mean of g under exp(-beta U) on the line."""
    weight = lambda x: math.exp(-beta * potential(x))  # noqa: E731
    return quad(lambda x: g(x) * weight(x), -8, 8)[0] / quad(weight, -8, 8)[0]


# ------------------------------------------------------------------------------- laws, and mutants that fail them


def ornstein_uhlenbeck_scores(sde, scheme=paths.euler_maruyama, seed=1):
    """z-scores of means and variances of Euler-Maruyama for f = 1.7 x^2/2, beta = 4 against its exact AR(1) law."""
    a, beta, dt, x0, count = 1.7, 4.0, 0.05, 1.0, 40_000
    run = paths.simulate(sde, x0, 40 * dt, dt, scheme=scheme, paths=count, seed=seed, save_every=10)
    m, steps = 1 - a * dt, np.array([10, 20, 30, 40])
    variance = 2 * dt / beta * (1 - m ** (2 * steps)) / (1 - m**2)
    means = (run.mean[1:] - m**steps * x0) / np.sqrt(variance / count)
    variances = (run.variance[1:] / variance - 1) / math.sqrt(2 / count)
    return np.abs([*means, *variances]).max()


def test_euler_maruyama_has_its_exact_discrete_law():
    assert ornstein_uhlenbeck_scores(paths.Langevin(QUADRATIC, 4.0)) < 4
    assert ornstein_uhlenbeck_scores(paths.Diffusion("-1.7*x", math.sqrt(0.5))) < 4


class ThesisNoise(paths.Langevin):
    """The noise beta^(-1/2) that the thesis prints: half the temperature."""

    def sigma(self, x, t):
        return math.sqrt(1 / self.beta)


def reused_noise(sde, x, t, dt, noise):
    """The wrong step: the noise of the next step instead of this one, twice."""
    return x + sde.drift(x, t) * dt + 0.5 * sde.noise_term(x, t, noise.dw + noise.dw * 1.1)


@pytest.mark.parametrize(
    "mutant",
    [
        (ThesisNoise(QUADRATIC, 4.0),),
        (paths.Langevin(Loss("-1.7*x**2/2"), 4.0),),
        (paths.Langevin(QUADRATIC, 8.0),),
        (paths.Langevin(QUADRATIC, 4.2),),
        (paths.Langevin(Loss("1.8*x**2/2"), 4.0),),
        (paths.Langevin(QUADRATIC, 4.0), reused_noise),
    ],
)
def test_the_law_rejects_wrong_equations(mutant):
    assert ornstein_uhlenbeck_scores(*mutant) > 6


# f = x^2/2 + x^4/4, D = 1 + x^2/2, beta = 1: the interpretation alpha has the invariant law D^(alpha-1) e^(-int f'/D)
MEAN_SQUARE = {"ito": 0.5000, "stratonovich": 0.5884, "klimontovich": 0.7000}


@pytest.fixture(scope="module")
def mean_squares():
    """E x^2 and its standard error for each interpretation, at equilibrium."""
    result = {}
    for name in MEAN_SQUARE:
        sde = paths.Diffusion("-x - x**3", "sqrt(2 + x**2)", interpretation=name)
        run = paths.simulate(sde, 0.0, 4.0, 0.01, scheme=paths.heun, paths=60_000, seed=3)
        result[name] = (run.final**2).mean(), (run.final**2).std() / math.sqrt(60_000)
    return result


def test_each_interpretation_has_its_own_invariant_law(mean_squares):
    for name, alpha in (("ito", 0.0), ("stratonovich", 0.5), ("klimontovich", 1.0)):

        def potential(x, alpha=alpha):
            return quad(lambda y: (y + y**3) / (1 + y**2 / 2), 0, x)[0] + (1 - alpha) * math.log1p(x * x / 2)

        exact = gibbs_mean(lambda x: x * x, potential)
        assert exact == pytest.approx(MEAN_SQUARE[name], abs=1e-4)
        mean, error = mean_squares[name]
        assert abs(mean - exact) < 4 * error + 0.004  # the bias of dt = 0.01
        for other in set(MEAN_SQUARE) - {name}:
            assert abs(mean - MEAN_SQUARE[other]) > 10 * error + 0.004


def test_every_scheme_solves_the_interpretation_that_is_meant():
    sde = {name: paths.Diffusion("-x - x**3", "sqrt(2 + x**2)", interpretation=name) for name in MEAN_SQUARE}
    for name, exact in MEAN_SQUARE.items():
        run = paths.simulate(sde[name], 0.0, 4.0, 0.005, scheme=paths.milstein, paths=20_000, seed=4)
        assert abs((run.final**2).mean() - exact) < 4 * (run.final**2).std() / math.sqrt(20_000) + 0.01


def test_baoab_takes_a_moving_temperature_at_the_middle_of_the_step():
    """Which keeps weak order 2; β of the beginning of each step left order 1."""
    loss, run = Loss("x**2"), {"t": 0.4, "dt": 0.4, "paths": 100, "seed": 3}
    moving, still = (
        pl.simulate(paths.Underdamped(loss, beta, 0.7), 0.3, **run).final for beta in (lambda t: 1 + 3 * t, 1.6)
    )
    assert moving == pytest.approx(still, rel=1e-14)


def test_annealing_follows_its_schedule():
    """Quadratic loss, beta(t) = 1 + 9 t: the variance obeys v <- m^2 v + 2 dt/beta(t_k) exactly."""
    sde = paths.Langevin(QUADRATIC, lambda t: 1 + 9 * t)
    run = paths.simulate(sde, 0.0, 1.0, 0.02, paths=40_000, seed=8, save_every=10)
    v, expected = 0.0, [0.0]
    for k in range(50):
        v = (1 - 1.7 * 0.02) ** 2 * v + 2 * 0.02 / (1 + 9 * 0.02 * k)
        expected += [v] * ((k + 1) % 10 == 0)
    assert run.info["compiled"]
    assert np.all(np.abs(run.variance[1:] / expected[1:] - 1) < 4 * math.sqrt(2 / 40_000))


def test_no_noise_is_gradient_flow():
    run = paths.simulate(paths.Langevin(QUADRATIC, math.inf), [1.0, -2.0], 1.0, 1e-3, seed=0)
    assert np.allclose(run.final, np.array([1.0, -2.0]) * (1 - 1.7e-3) ** 1000, rtol=1e-12)


# ------------------------------------------------------------------------------------------------- strong orders


def geometric(levels, seed=3, count=8000):
    """Exact solutions of dX = 1.5 X dt + X dW at t = 1 for the noise whose finest step is 2^-levels."""
    w = noise.normals(seed, count, 2**levels)[:, 0].sum(0) / math.sqrt(2**levels)
    return {"ito": np.exp(1.0 + w), "stratonovich": np.exp(1.5 + w), "klimontovich": np.exp(2.0 + w)}


def strong_errors(sde, exact, scheme, levels, finest, t=1.0, x0=1.0, seed=3):
    """E|X - exact| and its standard error at dt = 2^-level, all on the same Brownian paths."""
    errors = []
    for level in levels:
        refine = 2 ** (finest - level)
        run = paths.simulate(sde, x0, t, 2.0**-level, scheme=scheme, paths=len(exact), seed=seed, refine=refine)
        gap = np.abs(run.final - exact)
        errors.append((gap.mean(), gap.std() / math.sqrt(len(gap))))
    return np.array(errors).T


STRONG = [  # interpretation, scheme, order
    ("ito", paths.euler_maruyama, 0.5),
    ("ito", paths.milstein, 1.0),
    ("ito", paths.derivative_free_milstein, 1.0),
    ("ito", paths.heun, 1.0),
    ("stratonovich", paths.heun, 1.0),
    ("stratonovich", paths.milstein, 1.0),
    ("klimontovich", paths.milstein, 1.0),
]


@pytest.mark.parametrize("interpretation, scheme, order", STRONG)
def test_strong_order_on_geometric_brownian_motion(interpretation, scheme, order):
    exact = geometric(11)[interpretation]
    levels = range(6, 12)
    sde = paths.Diffusion("1.5*x", "x", interpretation=interpretation)
    errors, deviations = strong_errors(sde, exact, scheme, levels, 11)
    assert (deviations < 0.05 * errors).all()
    assert abs(slope(2.0 ** -np.array(levels), errors) - order) < 0.05


def test_mutants_of_milstein_lose_its_order():
    exact = geometric(11)["ito"]

    def wrong_sign(sde, x, t, dt, noise):
        return 2 * paths.euler_maruyama(sde, x, t, dt, noise) - paths.milstein(sde, x, t, dt, noise)

    def no_mean(sde, x, t, dt, noise):
        return paths.euler_maruyama(sde, x, t, dt, noise) + 0.5 * sde.slope(x, t) * noise.dw**2

    for mutant in (wrong_sign, no_mean):
        errors, _ = strong_errors(paths.Diffusion("1.5*x", "x"), exact, mutant, range(6, 12), 11)
        assert slope(2.0 ** -np.arange(6, 12), errors) < 0.6


def test_strong_orders_with_additive_noise():
    """Double well: Euler-Maruyama (Milstein is the same) and Heun 1, SRA1 3/2, against SRA1 at a much finer step."""
    sde = paths.Langevin(WELL, 2.0)
    exact = paths.simulate(sde, 1.0, 1.0, 2.0**-12, scheme=paths.sra1, paths=2000, seed=3).final
    levels = np.arange(4, 9)
    for scheme, order, band in ((paths.euler_maruyama, 1, 0.05), (paths.heun, 1, 0.05), (paths.implicit, 1, 0.06)):
        errors, _ = strong_errors(sde, exact, scheme, levels, 12)
        assert abs(slope(2.0**-levels, errors) - order) < band, scheme
    errors, deviations = strong_errors(sde, exact, paths.sra1, levels, 12)
    assert abs(slope(2.0 ** -levels[1:], errors[1:]) - 1.5) < 0.1 and (deviations < 0.05 * errors).all()
    euler, milstein = (
        paths.simulate(sde, 1.0, 1.0, 0.1, scheme=scheme, paths=9, seed=1).final
        for scheme in (paths.euler_maruyama, paths.milstein)
    )
    assert (euler == milstein).all()


def test_time_enters_each_scheme_where_it_should():
    """A drift and a noise that change with time: SRA1 keeps 3/2, Heun without noise 2, and both their exact noise."""
    levels = np.arange(4, 8)
    driven = paths.Diffusion("x - x**3 + 3*sin(9*t)", 0.7)
    annealed = paths.Langevin(WELL, lambda t: 2.0 / (1.2 + math.cos(7 * t)) ** 2)
    for sde in (driven, annealed):
        exact = paths.simulate(sde, 1.0, 1.0, 2.0**-11, scheme=paths.sra1, paths=1000, seed=3).final
        errors, _ = strong_errors(sde, exact, paths.sra1, levels, 11)
        assert 1.4 < slope(2.0**-levels, errors) < 2.1  # the part without noise is of order 2
    still = paths.Diffusion("x - x**3 + 3*sin(9*t)", 0.0)
    exact = paths.simulate(still, 1.0, 1.0, 2.0**-12, scheme=paths.heun, seed=3).final
    errors = [abs(paths.simulate(still, 1.0, 1.0, 2.0**-k, scheme=paths.heun, seed=3).final - exact)[0] for k in levels]
    assert abs(slope(2.0**-levels, errors) - 2) < 0.2
    free, z = paths.Langevin(Loss("0*x"), annealed.beta), noise.normals(3, 9, 8)[:, 0]
    sigma = 1.2 + np.cos(7 * np.arange(9) / 8)
    run = paths.simulate(free, 0.0, 1.0, 1 / 8, scheme=paths.heun, paths=9, seed=3)
    assert np.allclose(run.final, (0.5 * (sigma[1:] + sigma[:-1])[:, None] * z).sum(0) / math.sqrt(8), atol=1e-14)


def test_general_commutative_noise_and_the_refusal_of_other():
    """dX = X dW1 + (X/2) dW2 in each of two coordinates: the noise vectors are multiples of x, so they commute."""
    matrix = [["x1", "x1/2"], ["x2", "x2/2"]]
    sde = paths.Diffusion(["0", "0"], matrix, variables=("x1", "x2"))
    z = noise.normals(3, 4000, 2**9, 2)
    w = z.sum(0) / math.sqrt(2**9)
    exact = np.exp(w[0] + w[1] / 2 - 5 / 8)
    levels = np.arange(5, 10)
    errors = []
    for level in levels:
        common = {"scheme": paths.milstein, "paths": 4000, "seed": 3, "refine": 2 ** (9 - level)}
        run = paths.simulate(sde, (1.0, 2.0), 1.0, 2.0**-level, **common)
        errors.append(np.abs(run.final - exact[:, None] * [1.0, 2.0]).mean())
    assert abs(slope(2.0**-levels, errors) - 1) < 0.06
    function = paths.Diffusion(
        lambda x: 0 * x, lambda x: x[..., None] * [1.0, 0.5], kind="general", dimension=2, wieners=2
    )
    numpy = paths.simulate(function, (1.0, 2.0), 1.0, 2.0**-9, scheme=paths.milstein, paths=4000, seed=3)
    assert not numpy.info["compiled"] and np.allclose(numpy.final, run.final, rtol=1e-6)
    areas = paths.Diffusion(["0", "0"], [["1", "0"], ["0", "x1"]], variables=("x1", "x2"))
    with pytest.raises(ValueError, match="does not commute.*iterated integrals"):
        paths.simulate(areas, (1.0, 1.0), 1.0, 0.1, scheme=paths.milstein, paths=3, seed=1)
    diagonal = paths.Diffusion(["0", "0"], ["x2", "x1"])
    with pytest.raises(ValueError, match="does not commute"):
        paths.simulate(diagonal, (1.0, 2.0), 1.0, 0.1, scheme=paths.milstein, paths=3, seed=1)


# --------------------------------------------------------------------------------------------------- weak orders


def test_weak_order_against_fokker_planck():
    """Double well from N(1.3, 0.2^2): E X^2 at t = 1 has an error O(dt) by Euler-Maruyama, O(dt^2) by Heun."""
    beta, count = 4.0, 1_000_000
    grid = pl.Grid(-3.0, 3.0, 1201)
    start = np.exp(-((grid.x - 1.3) ** 2) / (2 * 0.2**2))
    problem, scheme = pl.FokkerPlanck(WELL, beta=beta), pl.fokker_planck.crank_nicolson
    solution = pl.solve(problem, start / grid.integrate(start), grid, [1.0], scheme=scheme, dt=1e-3)
    exact = grid.integrate(grid.x**2 * solution.final)
    initial = 1.3 + 0.2 * noise.normals(99, count, 1)[0, 0]
    sizes = np.array([0.15, 0.1, 0.07, 0.05])
    runs = [paths.simulate(paths.Langevin(WELL, beta), initial, 1.0, dt, seed=17).final ** 2 for dt in sizes]
    errors = np.array([run.mean() - exact for run in runs])
    deviation = runs[0].std() / math.sqrt(count)
    assert abs(errors[-1]) > 5 * deviation
    assert abs(slope(sizes, np.abs(errors)) - 1) < 0.15
    heun = paths.simulate(paths.Langevin(WELL, beta), initial, 1.0, 0.15, scheme=paths.heun, seed=17).final ** 2
    assert abs(heun.mean() - exact) < 0.3 * abs(errors[0])


def test_random_signs_are_enough_for_expectations():
    """weak_euler: the exact moments of Euler-Maruyama's law; weak order 1 like it, no strong use."""
    assert ornstein_uhlenbeck_scores(paths.Langevin(QUADRATIC, 4.0), paths.weak_euler) < 4
    assert ornstein_uhlenbeck_scores(ThesisNoise(QUADRATIC, 4.0), paths.weak_euler) > 6
    sde, sizes, count = paths.Langevin(WELL, 4.0), np.array([0.1, 0.05, 0.025, 0.0125]), 1_000_000
    grid = pl.Grid(-3.0, 3.0, 1201)
    observable = pl.BackwardKolmogorov(WELL, beta=4.0)
    values = pl.solve(observable, grid.x**2, grid, [1.0], scheme=pl.fokker_planck.crank_nicolson, dt=1e-3).final
    exact = grid.interpolate(values, np.array([1.3]))[0]
    runs = [paths.simulate(sde, 1.3, 1.0, dt, scheme=paths.weak_euler, paths=count, seed=2).final ** 2 for dt in sizes]
    errors, deviation = np.array([run.mean() - exact for run in runs]), runs[0].std() / math.sqrt(count)
    assert abs(errors[-1]) > 4 * deviation and abs(slope(sizes, np.abs(errors)) - 1) < 0.2
    for loss in (WELL, PYTHON_WELL):
        with pytest.raises(ValueError, match="refine: random signs"):
            paths.simulate(paths.Langevin(loss, 4.0), 1.3, 1.0, 0.1, scheme=paths.weak_euler, seed=2, refine=2)


def test_random_signs_are_fair_and_independent():
    brownian, common = paths.Diffusion([0.0, 0.0], 1.0, variables=("x", "y")), {"paths": 8000, "seed": 3}
    run = paths.simulate(brownian, (0.0, 0.0), 300.0, 1.0, scheme=paths.weak_euler, save_every=1, **common)
    signs = np.diff(run.states, axis=0)
    assert (np.abs(signs) == 1).all() and np.abs(signs.mean(1)).max() < 4.5 / math.sqrt(8000)
    pairs = [(signs[k:], signs[:-k]) for k in (1, 64, 128)]
    for a, b in [*pairs, (signs[:, 1:], signs[:, :-1]), (signs[..., 0], signs[..., 1])]:
        assert abs((a * b).mean()) < 4 / math.sqrt(a.size)


def test_averages_at_equilibrium():
    """E x^2 for f = x^2/2 + cos(2x)/2: Leimkuhler-Matthews removes most of Euler-Maruyama's bias, BAOAB has O(dt^2)."""
    loss, beta, count = Loss("x**2/2 + cos(2*x)/2"), 2.0, 4_000_000
    exact = gibbs_mean(lambda x: x * x, lambda x: x * x / 2 + math.cos(2 * x) / 2, beta=beta)
    initial = noise.normals(98, count, 1)[0, 0]

    def bias(sde, scheme, dt):
        start = initial[:, None] if isinstance(sde, paths.Underdamped) else initial
        positions = paths.simulate(sde, start, 8.0, dt, scheme=scheme, seed=2).final
        return (positions.reshape(count, -1)[:, 0] ** 2).mean() - exact

    error = math.sqrt(0.75 / count)
    sde = paths.Langevin(loss, beta)
    euler, averaged = (bias(sde, scheme, 0.32) for scheme in (paths.euler_maruyama, paths.leimkuhler_matthews))
    assert euler > 20 * error and abs(averaged) < euler / 4
    sizes = np.array([0.7, 0.62, 0.55, 0.48])
    biases = [bias(paths.Underdamped(loss, beta, 1.0), paths.baoab, dt) for dt in sizes]
    assert abs(biases[-1]) > 4 * error and abs(slope(sizes, np.abs(biases)) - 2) < 0.5


def test_quadratic_loss_at_equilibrium_is_exact_for_leimkuhler_matthews_and_baoab():
    dt, beta, count = 0.5, 4.0, 200_000
    for sde, scheme, exact in (
        (paths.Langevin(QUADRATIC, beta), paths.leimkuhler_matthews, 1.0),
        (paths.Underdamped(QUADRATIC, beta, 1.0), paths.baoab, 1.0),
        (paths.Langevin(QUADRATIC, beta), paths.euler_maruyama, 1 / (1 - 1.7 * dt / 2)),
    ):
        run = paths.simulate(sde, 0.0, 20.0, dt, scheme=scheme, paths=count, seed=6)
        position = run.final if run.final.ndim == 1 else run.final[:, 0]
        assert abs(position.var() * beta * 1.7 / exact - 1) < 4 * math.sqrt(2 / count)


def test_underdamped_has_the_gibbs_law_for_every_friction_and_scheme():
    """Row E4.10m with our noise: Var q = 1/(beta k), Var p = 1/beta, whatever the friction."""
    count = 40_000
    for friction, scheme in ((0.5, paths.baoab), (5.0, paths.baoab), (2.0, paths.heun)):
        sde = paths.Underdamped(QUADRATIC, 2.0, friction)
        q, p = paths.simulate(sde, 0.0, 30.0, 0.1, scheme=scheme, paths=count, seed=4).final.T
        for values, variance in ((q, 1 / 3.4), (p, 0.5)):
            assert abs(values.var() / variance - 1) < 4 * math.sqrt(2 / count) + 0.003
        assert abs(np.corrcoef(q, p)[0, 1]) < 4 / math.sqrt(count)


def test_exponential_is_exact_for_ornstein_uhlenbeck_and_stable_when_stiff():
    rate, count = 400.0, 100_000
    sde = paths.Diffusion("0.0*x", math.sqrt(2.0), linear=rate)
    run = paths.simulate(sde, 3.0, 0.05, 0.005, scheme=paths.exponential, paths=count, seed=1, save_every=1)
    t = run.times
    variance = (1 - np.exp(-2 * rate * t)) / rate
    assert run.info["compiled"]
    assert np.all(np.abs(run.mean - 3 * np.exp(-rate * t)) <= 4 * np.sqrt(variance / count) + 1e-15)
    assert np.all(np.abs(run.variance - variance) <= 4 * variance * math.sqrt(2 / count))
    with pytest.raises(FloatingPointError, match="exploded"):
        paths.simulate(sde, 3.0, 20.0, 0.01, paths=3, seed=1)


def test_exponential_has_strong_order_one_with_a_nonlinear_rest_and_its_exact_mean_with_a_constant_one():
    levels, split = np.arange(3, 8), paths.Diffusion("3*sin(2*x)", 0.5, linear=4.0)
    whole = paths.Diffusion("3*sin(2*x) - 4*x", 0.5)
    exact = paths.simulate(whole, 1.0, 1.0, 2.0**-11, scheme=paths.sra1, paths=1000, seed=3).final
    errors, _ = strong_errors(split, exact, paths.exponential, levels, 11)
    assert abs(slope(2.0**-levels, errors) - 1) < 0.15
    one, other = (paths.simulate(sde, 1.0, 1.0, 1 / 64, paths=9, seed=3).final for sde in (split, whole))
    assert np.allclose(one, other, rtol=1e-13)
    run = paths.simulate(paths.Diffusion("2", 0.0, linear=4.0), 1.0, 1.0, 0.25, scheme=paths.exponential, seed=3)
    assert run.final[0] == pytest.approx(0.5 + 0.5 * math.exp(-4.0), rel=1e-14)


def test_implicit_solves_its_equation_in_three_dimensions():
    loss = Loss("200*(x - y)**2 + x**4 + 3*y**2 + 50*(z - x*y)**2 + z**2")
    x, dt, beta = np.array([0.3, -0.2, 0.4]), 0.005, 4.0
    run = paths.simulate(paths.Langevin(loss, beta), x, dt, dt, scheme=paths.implicit, paths=300, seed=1)
    target = x + math.sqrt(2 * dt / beta) * noise.normals(1, 300, 1, 3)[0].T
    assert run.info["compiled"] and np.allclose(run.final + dt * loss.gradient(run.final), target, atol=1e-8)
    long = paths.simulate(paths.Langevin(loss, beta), x, 4.0, 0.1, scheme=paths.implicit, paths=300, seed=1)
    assert np.abs(long.final).max() < 2


def test_implicit_is_stable_when_stiff():
    sde = paths.Langevin(Loss("200*x**2 + x**4"), 4.0)
    run = paths.simulate(sde, 1.0, 1.0, 0.05, scheme=paths.implicit, paths=1000, seed=1)
    assert np.abs(run.final).max() < 1
    with pytest.raises(FloatingPointError):
        paths.simulate(sde, 1.0, 10.0, 0.05, paths=10, seed=1)


# ------------------------------------------------------------------------- one scheme, two ways; one address, one path


EQUATIONS = {
    "langevin": (paths.Langevin(WELL, 3.0), 0.4),
    "langevin 2-d": (paths.Langevin(Loss("x**4/4 + y**2 + sin(x*y)*exp(-x**2)"), lambda t: 1 + t), (0.3, 0.2)),
    "underdamped": (paths.Underdamped(Loss("cos(x) + tanh(x) + x**2"), 3.0, 0.7), 0.4),
    "diagonal": (paths.Diffusion(["x - x*y", "x*y - y*t"], ["x/5", "y/9"], interpretation="stratonovich"), (1, 1.2)),
    "scalar": (paths.Diffusion(["-x", "-y"], ["x/5", "x*y"], kind="scalar", interpretation="klimontovich"), (1, 1.2)),
    "general": (paths.Diffusion(["-x", "-y"], [["0.2*x", "0.1"], ["0.1*x*y", "0.3"]]), (1.0, 1.2)),
    "additive": (paths.Diffusion(["-x", "-y*t"], [[0.2, 0.1, 0.3], [0.1, 0.0, -1.0]]), (1.0, 1.2)),
    "linear": (paths.Diffusion(["-x*y", "sin(x)"], 0.3, linear=(2.0, 0.0)), (1.0, 1.2)),
}
CASES = [
    ("langevin", paths.euler_maruyama), ("langevin", paths.sra1), ("langevin", paths.leimkuhler_matthews),
    ("langevin", paths.implicit), ("langevin 2-d", paths.implicit), ("langevin 2-d", paths.weak_euler),
    ("langevin 2-d", paths.heun), ("underdamped", paths.baoab),
    ("diagonal", paths.euler_maruyama), ("diagonal", paths.heun), ("scalar", paths.milstein), ("general", paths.heun),
    ("additive", paths.sra1), ("linear", paths.exponential),
]  # fmt: skip


KINKED = ["abs(x)", "max(x, 0) + x**2", "sign(x)*x**2", "min(x**2, 1)", "sqrt(abs(x)) + x**2", "max(abs(x), y) + y**2",
          "abs(x - y) + max(x, 2*y, 0) + x**2"]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*beyond the stability:pdelab.checks.AccuracyWarning")  # of cusps, rightly
@pytest.mark.parametrize("formula", KINKED)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_paths_of_kinked_formulas_are_compiled(formula, dtype):
    """The same numbers as those of its functions; on the kink itself the gradient there, which both ask for."""
    f = Loss(formula)
    functions = Loss.from_functions(f, f.gradient, f.hessian, dimension=f.dimension)
    starts = np.linspace(-1.0, 1.0, 41)
    starts = starts if f.dimension == 1 else np.stack([starts, starts[::-1]], axis=1)
    runs = [
        paths.simulate(paths.Langevin(loss, 4.0), starts, 0.3, 0.1, paths=41, seed=3, dtype=dtype)
        for loss in (f, functions)
    ]
    assert runs[0].info["compiled"] and not runs[1].info["compiled"]
    np.testing.assert_allclose(*(run.final for run in runs), atol=1e-12 if dtype is np.float64 else 1e-4)


@pytest.mark.parametrize("where", ["walls", "exit"])
def test_steps_as_wide_as_the_box_are_told(where):
    noise = paths.Diffusion("-x/9", 1.0)
    for dt, told in ((0.65, True), (0.63, False)):  # sqrt(dt) over 2 is 0.4 at 0.64
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            paths.simulate(noise, 0.0, 1.3 if told else 1.26, dt, paths=10, seed=1, **{where: (-1.0, 1.0)})
        assert [warning.category for warning in caught] == [pl.stepping.AccuracyWarning] * told
        assert all("take dt below 0.64" in str(warning.message) for warning in caught)


def test_mirrors_of_brownian_motion_are_exact_for_any_step():
    run = paths.simulate(paths.Diffusion("0*x", 1.0), 0.3, 8.0, 4.0, paths=20_000, seed=1, walls=(-1.0, 1.0))
    assert run.final.var() == pytest.approx(1 / 3, abs=5 * math.sqrt((1 / 5 - 1 / 9) / 20_000))


@pytest.mark.parametrize("scheme", [paths.euler_maruyama, paths.heun, paths.weak_euler])
@pytest.mark.parametrize("ends", ["reflecting", "absorbing", "periodic"])
def test_walls_hide_no_step_beyond_stability(ends, scheme):
    """25 x² with steps of 1/50: at 0.041 each overshoots, and walls fold back what would have blown up."""
    if scheme is paths.weak_euler and ends == "absorbing":
        scheme = paths.milstein  # random signs have no bridge
    sde, common = paths.Langevin(Loss("25*x**2"), 100.0), {"paths": 500, "seed": 0, "walls": (-1.0, 1.0, ends)}
    for dt in (0.041, 0.05, 0.1):
        with pytest.warns(pl.stepping.AccuracyWarning, match="beyond the stability"):
            paths.simulate(sde, 0.05, 10.0, dt, scheme=scheme, **common)
    run = paths.simulate(sde, 0.05, 2.0, 0.01, scheme=scheme, **common)
    assert run.final.var() == pytest.approx(2e-4, rel=0.5)


@pytest.mark.parametrize("name, scheme", CASES)
def test_the_compiled_step_is_the_scheme(name, scheme, monkeypatch):
    sde, initial = EQUATIONS[name]
    for refine in (1, 3) if name == "langevin" else (1,):
        common = {"scheme": scheme, "paths": 600, "seed": 5, "save_every": 4, "refine": refine}
        compiled = paths.simulate(sde, initial, 0.5, 0.05, **common)
        with monkeypatch.context() as patch:
            patch.setattr(engine._Run, "_compiled", lambda self: setattr(self, "is_compiled", False))
            numpy = paths.simulate(sde, initial, 0.5, 0.05, **common)
        assert compiled.info["compiled"] and not numpy.info["compiled"]
        np.testing.assert_allclose(compiled.states, numpy.states, rtol=1e-11, atol=1e-12)


def test_with_additive_noise_every_milstein_is_euler_maruyama():
    for name in ("langevin 2-d", "underdamped", "additive"):
        sde, initial = EQUATIONS[name]
        runs = [
            paths.simulate(sde, initial, 0.3, 0.1, scheme=scheme, paths=5, seed=1).final
            for scheme in (paths.euler_maruyama, paths.milstein, paths.derivative_free_milstein)
        ]
        assert (runs[0] == runs[1]).all() and (runs[0] == runs[2]).all()


def test_a_scheme_of_ones_own_may_ask_what_symbols_cannot_answer():
    """Comparisons, remainders, shapes: such a step runs through NumPy; arithmetic and |x| are compiled."""

    def wrapped(sde, x, t, dt, noise):
        y = paths.euler_maruyama(sde, x, t, dt, noise)
        return np.where(y > 1, y - 2, y) % 2.0 * np.ones(x.shape[1])

    def tamed(sde, x, t, dt, noise):
        b = sde.drift(x, t)
        return x + b * dt / (1.0 + dt * np.abs(b)) + sde.noise_term(x, t, noise.dw)

    sde = paths.Langevin(WELL, 3.0)
    numpy, compiled = (paths.simulate(sde, 0.4, 0.1, 0.1, scheme=s, paths=600, seed=5) for s in (wrapped, tamed))
    assert not numpy.info["compiled"] and compiled.info["compiled"]
    kick = math.sqrt(2 / 3 * 0.1) * noise.normals(5, 600, 1)[0, 0]
    euler, b = 0.4 - 0.1 * (0.4**3 - 0.4) + kick, 0.4 - 0.4**3
    assert np.allclose(numpy.final, np.where(euler > 1, euler - 2, euler) % 2.0, atol=1e-14)
    assert np.allclose(compiled.final, 0.4 + 0.1 * b / (1 + 0.1 * b) + kick, atol=1e-14)


def test_single_precision_follows_its_own_noise():
    run = paths.simulate(paths.Langevin(WELL, 3.0), 0.4, 0.5, 0.05, paths=600, seed=5, dtype=np.float32)
    numpy = paths.simulate(paths.Langevin(PYTHON_WELL, 3.0), 0.4, 0.5, 0.05, paths=600, seed=5, dtype=np.float32)
    assert run.final.dtype == np.float32 and np.allclose(run.final, numpy.final, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_same_bits_for_any_threads_and_any_number_of_paths(dtype):
    sde, initial = EQUATIONS["langevin 2-d"]
    common = {"seed": 5, "save_every": 7, "dtype": dtype, "scheme": paths.heun}
    alone = paths.simulate(sde, initial, 1.0, 0.02, paths=2000, threads=1, **common)
    for threads, count in ((2, 2000), (3, 2000), (2, 700), (1, 1)):
        other = paths.simulate(sde, initial, 1.0, 0.02, paths=count, threads=threads, **common)
        assert (other.states == alone.states[:, :count]).all()
        if count == 2000:
            assert (other.mean == alone.mean).all() and (other.variance == alone.variance).all()
    bare = paths.simulate(sde, initial, 1.0, 0.02, paths=2000, threads=2, store=False, **common)
    assert bare.states is None and (bare.final == alone.final).all()
    assert (bare.mean == alone.mean).all() and (bare.variance == alone.variance).all()


@settings(deadline=None, max_examples=20, derandomize=True)
@given(count=st.integers(1, 1500), steps=st.integers(1, 30), every=st.integers(1, 31), seed=st.integers(0, 2**64 - 1))
def test_any_chunking_gives_the_same_paths(count, steps, every, seed):
    sde = paths.Langevin(WELL, 3.0)
    whole = paths.simulate(sde, 0.4, steps * 0.01, 0.01, paths=count, seed=seed, save_every=1)
    seen = []
    parts = paths.simulate(
        sde, 0.4, steps * 0.01, 0.01, paths=count, seed=seed, save_every=every, on_save=lambda t, x: seen.append(x)
    )
    rows = [*range(0, steps, every), steps]
    assert (parts.states == whole.states[rows]).all() and (np.array(seen) == parts.states).all()
    assert np.allclose(parts.times, np.array(rows) * 0.01)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_python_functions_give_the_same_bits_for_any_threads_and_pieces(dtype, monkeypatch):
    sde = paths.Diffusion(lambda x, t: -x * (1 + t), lambda x: 1 + 0.1 * x**2, kind="diagonal")
    common = {"paths": engine.NUMPY_PATHS + 700, "seed": 5, "save_every": 9, "dtype": dtype, "exit": (-1, 1)}
    alone = paths.simulate(sde, 0.4, 1.0, 0.05, threads=1, **common)
    for threads, seconds in ((2, 0.1), (1, 1e-5), (3, 1e-5)):  # pieces of a run are as long as they take
        monkeypatch.setattr(engine, "SECONDS_PER_CHUNK", seconds)
        run = paths.simulate(sde, 0.4, 1.0, 0.05, threads=threads, **common)
        assert (run.states == alone.states).all() and (run.exit_times == alone.exit_times).all()


def test_a_refined_increment_is_the_sum_of_finer_ones():
    brownian = paths.Diffusion(0.0, 1.0)
    fine = paths.simulate(brownian, 0.0, 1.0, 1 / 64, paths=700, seed=9, save_every=8).states
    coarse = paths.simulate(brownian, 0.0, 1.0, 1 / 8, paths=700, seed=9, save_every=1, refine=8).states
    assert np.allclose(fine, coarse, rtol=0, atol=1e-13)


def test_a_python_loss_sees_the_same_noise():
    ours = paths.simulate(paths.Langevin(WELL, 3.0), 0.3, 1.0, 0.01, paths=1100, seed=5, save_every=10)
    theirs = paths.simulate(paths.Langevin(PYTHON_WELL, 3.0), 0.3, 1.0, 0.01, paths=1100, seed=5, save_every=10)
    assert ours.info["compiled"] and not theirs.info["compiled"]
    assert np.allclose(ours.states, theirs.states, rtol=1e-12, atol=1e-12)
    z = noise.normals(5, 1100, 1)[0, 0]
    first = paths.simulate(paths.Langevin(WELL, 3.0), 0.3, 0.01, 0.01, paths=1100, seed=5).final
    assert np.allclose(first, 0.3 - 0.01 * (0.3**3 - 0.3) + math.sqrt(2 / 3 * 0.01) * z, rtol=1e-14)


# ---------------------------------------------------------------------------------------------------- statistics


def test_statistics_are_those_of_the_states():
    sde, initial = EQUATIONS["langevin 2-d"]
    grid = pl.Grid((-2, -1), (2, 1.5), (30, 20), boundary=("reflecting", "periodic"))
    common = {"paths": 1300, "seed": 1, "save_every": 3, "histogram": grid, "exit": ((-1.0, -0.6), (1.0, 0.7))}
    run = paths.simulate(sde, initial, 1.0, 0.05, **common)
    assert np.allclose(run.mean, run.states.mean(1), rtol=1e-13, atol=1e-14)
    assert np.allclose(run.variance, run.states.var(1, ddof=1), rtol=1e-12, atol=1e-15)
    assert np.allclose(run.standard_error, run.states.std(1, ddof=1) / math.sqrt(1300), atol=1e-15)
    h = grid.spacing
    edges = [np.append(grid.axes[0] - h[0] / 2, 2.0), np.append(grid.axes[1], 1.5) - h[1] / 2]
    edges[0][0] = -2.0
    points = run.states[-1].copy()
    points[:, 1] = -1 - h[1] / 2 + np.mod(points[:, 1] + 1 + h[1] / 2, 2.5)
    counts = np.histogram2d(*points.T, bins=edges)[0]
    assert np.allclose(run.density[-1], counts / 1300 / grid.weights)
    inside = (np.abs(run.states[-1, :, 0]) <= 2).mean()
    assert grid.integrate(run.density[-1]) == pytest.approx(inside)
    every = paths.simulate(sde, initial, 1.0, 0.05, paths=1300, seed=1, save_every=1)
    out = ~((np.abs(every.states[..., 0]) < 1) & (every.states[..., 1] > -0.6) & (every.states[..., 1] < 0.7))
    expected = np.where(out.any(0), every.times[out.argmax(0)], np.inf)
    assert np.array_equal(run.exit_times, expected)
    bare = paths.simulate(sde, initial, 1.0, 0.05, store=False, threads=2, **common)
    assert (bare.density == run.density).all() and (bare.exit_times == run.exit_times).all()


def test_mean_exit_time_with_the_shift_of_a_discrete_look():
    """Brownian motion from 0 leaves (-1, 1) after 1 on average; looked at every dt, after (1 + .5826 sqrt(dt))^2."""
    dt, count = 0.01, 20_000
    run = paths.simulate(paths.Diffusion(0.0, 1.0), 0.0, 20.0, dt, paths=count, seed=2, exit=(-1, 1), store=False)
    error = run.exit_times.std() / math.sqrt(count)
    assert abs(run.exit_times.mean() - (1 + 0.5826 * math.sqrt(dt)) ** 2) < 4 * error
    assert abs(run.exit_times.mean() - 1.0) > 10 * error  # without the shift


def test_exits_between_two_looks_are_drawn_from_the_bridge():
    """Brownian motion: exact at any step. Ornstein-Uhlenbeck against the generator: order 1 in dt, 1/2 without."""
    common = {"paths": 100_000, "seed": 2, "store": False, "exit": (-1, 1)}
    run = paths.simulate(paths.Diffusion(0.0, 1.0), 0.0, 25.0, 0.2, bridge=True, **common)
    assert abs(run.exit_times.mean() - 1.0) < 4 * run.exit_times.std() / math.sqrt(100_000) < 0.02
    loss, grid, sizes = Loss("x**2/2"), pl.Grid(-1.0, 1.0, 801), np.array([0.2, 0.1, 0.05, 0.025])
    exact = pl.mean_exit_time(pl.FokkerPlanck(loss, beta=1.0), grid, np.abs(grid.x) >= 1 - 1e-12)[400]
    errors = {}
    for bridge, count in ((True, 400_000), (False, 50_000)):
        options = common | {"paths": count, "bridge": bridge}
        runs = [paths.simulate(paths.Langevin(loss, 1.0), 0.0, 15.0, dt, **options) for dt in sizes]
        errors[bridge] = np.array([run.exit_times.mean() - exact for run in runs])
    assert (np.abs(errors[True]) < errors[False] / 6).all()
    assert 0.7 < slope(sizes, np.abs(errors[True])) < 1.15 and 0.42 < slope(sizes, errors[False]) < 0.58
    heun = paths.simulate(paths.Langevin(loss, 1.0), 0.0, 20.0, 0.1, bridge=True, scheme=paths.heun, **common)
    assert abs(heun.exit_times.mean() - exact) < 0.01  # what was left was the drift's


def test_the_bridge_in_two_dimensions_and_through_numpy():
    box = ((-1.0, -0.8), (1.0, math.inf))
    sigma = [[0.6, 0.8], [0.0, 1.0]]
    common = {"paths": 1200, "seed": 4, "exit": box, "bridge": True}
    compiled = paths.simulate(paths.Diffusion(["-x", "-y"], sigma), (0.0, 0.0), 2.0, 0.1, threads=2, **common)
    numpy = paths.simulate(paths.Diffusion(lambda x: -x, sigma, dimension=2), (0.0, 0.0), 2.0, 0.1, **common)
    assert compiled.info["compiled"] and not numpy.info["compiled"]
    assert (compiled.exit_times == numpy.exit_times).all()
    plain = paths.simulate(paths.Diffusion(["-x", "-y"], sigma), (0.0, 0.0), 2.0, 0.1, **common | {"bridge": False})
    assert (compiled.exit_times <= plain.exit_times).all() and (compiled.exit_times < plain.exit_times - 0.06).any()


def test_the_result_never_changes():
    run = paths.simulate(paths.Langevin(WELL, 3.0), 0.1, 0.1, 0.1, paths=3, seed=0, exit=(-9, 9))
    for array in (run.states, run.final, run.times):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
    with pytest.raises(AttributeError):
        run.final = None


def test_constant_ensembles_have_variance_zero():
    run = paths.simulate(paths.Langevin(WELL, math.inf), 0.1, 1.0, 0.1, paths=1234, seed=0, store=False)
    assert (run.variance == 0).all()


def child(code, *arguments, **kwargs):
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.run(command, capture_output=True, text=True, **kwargs)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads /proc")
def test_memory_of_a_million_paths_does_not_grow_with_the_number_of_steps():
    """10^6 paths with statistics after each of 20, then of 150 steps: to store the states would take 8 MB a step."""
    code = """
        import pdelab as pl, sys
        sde, steps = pl.paths.Langevin(pl.Loss("x**4/4 - x**2/2"), 4.0), int(sys.argv[1])
        run = pl.paths.simulate(sde, 0.0, steps * 0.01, 0.01, paths=10**6, seed=1, save_every=1, store=False,
                                histogram=pl.Grid(-3, 3, 301), exit=(-2, 2))
        peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
        print(len(run.mean), int(peak[0].split()[1]) // 1024)
    """
    rows, peaks = np.array([child(code, steps, check=True).stdout.split() for steps in ("20", "150")], int).T
    assert list(rows) == [21, 151] and peaks.max() < 300 and peaks[1] - peaks[0] < 16


def test_the_second_process_compiles_nothing(tmp_path):
    """The first process compiles at least the formula's kernels; what it keeps serves the second."""
    code = """
        from numba.core import event
        with event.install_recorder("numba:compile") as compiled:
            import pdelab as pl
            sde = pl.paths.Langevin(pl.Loss("x**4/4 - x**2/2"), 4.0)
            pl.paths.simulate(sde, 0.0, 1.0, 0.01, paths=1000, seed=1)
        print(len(compiled.buffer))
    """
    own = os.environ | {"PDELAB_CACHE": str(tmp_path / "formulas")}
    first, second = (int(child(code, check=True, env=own).stdout) for _ in range(2))
    assert first > 0 and second == 0


# -------------------------------------------------------------------------------------------- refusals, interrupts


GOOD = {"sde": paths.Langevin(WELL, 2.0), "initial": 0.0, "t": 1.0, "dt": 0.1, "paths": 3, "seed": 1}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"dt": 0.0}, "dt: expected a number > 0"),
        ({"dt": -0.1}, "dt: expected a number > 0"),
        ({"dt": math.nan}, "dt: expected a number > 0"),
        ({"t": math.inf}, "t: expected a number > 0"),
        ({"paths": 0}, "paths: expected a whole number, at least 1"),
        ({"paths": 2.5}, "paths: expected a whole number"),
        ({"seed": 1.5}, "seed: expected a whole number"),
        ({"seed": -1}, "seed: expected a whole number"),
        ({"seed": None}, "seed: expected a whole number"),
        ({"save_every": 0}, "save_every: expected a whole number"),
        ({"refine": 0}, "refine: expected a whole number"),
        ({"threads": 0}, "threads: expected a whole number"),
        ({"initial": [1.0, 2.0]}, "2 states for 3 paths"),
        ({"initial": np.zeros((3, 1))}, "initial: expected a number or shape"),
        ({"initial": math.nan}, "initial: expected finite numbers"),
        ({"initial": "one"}, "initial: expected"),
        ({"dtype": np.int64}, "dtype: expected float64 or float32"),
        ({"histogram": 30}, "histogram: expected a Grid"),
        ({"histogram": pl.Grid((0, 0), (1, 1), (3, 3))}, "histogram: expected a Grid of at most 1"),
        ({"exit": (1.0, -1.0)}, "exit: expected lower < upper"),
        ({"exit": 3}, "exit: expected"),
        ({"on_save": 3}, "on_save: expected a function"),
        ({"bridge": True}, "bridge: expected a box"),
        (
            {"bridge": True, "exit": (-1, 1), "scheme": paths.leimkuhler_matthews},
            "leimkuhler_matthews are not Brownian",
        ),
        ({"bridge": True, "exit": (-1, 1), "sde": paths.Diffusion("x", "x")}, "bridge: expected constant noise"),
        ({"bridge": True, "exit": (-1, 1), "sde": paths.Langevin(WELL, lambda t: 1 + t)}, "bridge: expected constant"),
        ({"bridge": True, "exit": (-1, 1), "sde": paths.Langevin(WELL, math.inf)}, "bridge: expected constant noise"),
        (
            {"bridge": True, "exit": (-1, 1), "sde": paths.Underdamped(WELL, 1.0, 1.0)},
            "bridge: expected constant noise",
        ),
        ({"scheme": paths.baoab}, "baoab: expected an Underdamped"),
        ({"scheme": paths.exponential}, "exponential: expected an equation with a linear part"),
        ({"sde": "x"}, "sde: expected an equation"),
        ({"scheme": "milstien"}, "scheme: expected one of .*milstein"),
        ({"dt": 1e-300}, "dt: expected at most"),
        ({"dtype": "half"}, "dtype: expected float64 or float32"),
        ({"initial": 1e300, "dtype": np.float32}, "initial: expected finite numbers of float32"),
        ({"initial": [], "paths": None}, "paths: expected a whole number, at least 1"),
        ({"on_save": lambda t: None}, r"on_save: expected a function \(time, states\)"),
        ({"scheme": lambda x: x}, r"scheme: expected a function \(sde, x, t, dt, noise\)"),
        ({"scheme": lambda sde, x, t, dt, noise: x[:0]}, "scheme: expected states of shape"),
        (
            {"sde": paths.Langevin(PYTHON_WELL, 1.0), "scheme": lambda sde, x, t, dt, noise: x[:0]},
            "scheme: expected states",
        ),
        ({"sde": paths.Langevin(WELL, lambda t: None)}, "beta: expected values > 0, got None"),
        ({"sde": paths.Diffusion("x", "x"), "scheme": paths.sra1}, "sra1: expected additive noise"),
        ({"sde": paths.Diffusion("log(x)", 1.0), "initial": -1.0}, "drift: not finite at t = 0"),
        ({"sde": paths.Diffusion(lambda x: x[:2], 1.0)}, r"drift: expected real numbers of shape \(3,\)"),
        ({"sde": paths.Diffusion(lambda x: x * np.nan, 1.0)}, "drift: not finite at t = 0, .* of path 0"),
        ({"sde": paths.Diffusion(lambda x: x, lambda x: 1 / x, kind="diagonal")}, "noise: not finite"),
        ({"sde": paths.Langevin(WELL, lambda t: -1.0)}, "beta: expected values > 0"),
    ],
)
def test_bad_input_is_refused_in_words(change, message):
    arguments = GOOD | change
    with pytest.raises(ValueError, match=message):
        paths.simulate(**arguments)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: paths.Langevin("x**2", 1.0), "loss: expected a Loss"),
        (lambda: paths.Langevin(WELL, 0.0), "beta: expected a number > 0"),
        (lambda: paths.Langevin(WELL, -1), "beta: expected a number > 0"),
        (lambda: paths.Underdamped(WELL, 1.0, 0.0), "friction: expected a number > 0"),
        (lambda: paths.Underdamped(WELL, 1.0, math.inf), "friction: expected a number > 0"),
        (lambda: paths.Diffusion("x", "x", interpretation="backward"), "interpretation: expected one of"),
        (lambda: paths.Diffusion("x", lambda x: x), "noise: a function needs kind="),
        (lambda: paths.Diffusion("x", lambda x: x, kind="whatever"), "kind: expected one of"),
        (lambda: paths.Diffusion("x +", 1.0), "cannot read the formula"),
        (lambda: paths.Diffusion("x*y", 1.0), "name the coordinates"),
        (lambda: paths.Diffusion(["x", "y"], ["x", "y", "z"]), "disagree on the number of coordinates"),
        (lambda: paths.Diffusion("x", math.nan), "expected formulas and finite numbers"),
        (lambda: paths.Diffusion(lambda x, y, z: x, 1.0), r"expected a function of \(x\) or \(x, t\)"),
        (lambda: paths.Diffusion(lambda x: x, lambda x: x, kind="general", dimension=2), "wieners: "),
        (lambda: paths.Diffusion("x", 1.0, linear=-1.0), "linear: expected finite rates"),
        (
            lambda: paths.Diffusion(["x", "y"], 1.0, linear=(1.0, 2.0, 3.0)),
            "linear: expected finite rates >= 0, one or 2",
        ),
        (lambda: paths.Diffusion(lambda x: x, 1.0, dimension=0), "dimension: expected a whole number"),
        (lambda: paths.Diffusion(lambda x: x, 1.0, dimension=1.5), "dimension: expected a whole number"),
        (
            lambda: paths.Diffusion(lambda x: x, lambda x: x, kind="general", dimension=2, wieners=0),
            "wieners: expected",
        ),
        (lambda: paths.Diffusion("x*t", 1.0, variables=("x", "t")), "variables: .* t, which is the time"),
        (lambda: paths.Diffusion([], 1.0), "drift: expected one entry, or entries of shape"),
        (lambda: paths.Diffusion("x", WELL), "noise: expected numbers, formulas or a function"),
    ],
)
def test_bad_equations_are_refused_in_words(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_explosion_says_which_path_and_when():
    initial = np.zeros(700)
    initial[[601, 650]] = 30.0, 2.0  # x' = x^3 explodes in finite time, the larger one first
    for drift in ("x**3 + 0*x", lambda x: x**3):
        with pytest.raises(FloatingPointError, match=r"path 601 exploded at t = 0\.0[0-9]+ \(step [0-9]+ of 100"):
            paths.simulate(paths.Diffusion(drift, 0.0), initial, 1.0, 0.01, seed=1, threads=2)


def test_what_was_handed_out_survives_an_interrupt():
    seen = []

    def interrupt(t, states):
        seen.append((t, states))
        if len(seen) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        paths.simulate(paths.Langevin(WELL, 2.0), 0.0, 1.0, 0.01, paths=600, seed=1, save_every=10, on_save=interrupt)
    whole = paths.simulate(paths.Langevin(WELL, 2.0), 0.0, 1.0, 0.01, paths=600, seed=1, save_every=10)
    assert [t for t, _ in seen] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert all((states == whole.states[k]).all() for k, (_, states) in enumerate(seen))


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_control_c_is_heard_soon():
    code = """
        import signal
        import pdelab as pl
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        sde = pl.paths.Langevin(pl.Loss("x**4/4 - x**2/2"), 4.0)
        try:
            tell = lambda done, total: print("at work", flush=True)
            pl.paths.simulate(sde, 0.0, 1e6, 0.01, paths=10**5, seed=1, progress=tell)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True) as process:
        try:
            for _ in range(3):  # pieces of the run are done: the signal comes in the middle of another
                assert process.stdout.readline().strip() == "at work"
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=120)  # the run itself would take days
        finally:
            process.kill()
    assert out.rstrip().endswith("interrupted")
