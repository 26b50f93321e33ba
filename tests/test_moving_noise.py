"""Noise that depends on time: β(t), D(t), Σ(x, t) and σ(x, t), in every scheme against the moments of exact laws."""

import math

import numpy as np
import pytest
from observed import orders
from scipy.integrate import solve_ivp

import pdelab as pl
from pdelab.fokker_planck import BackwardKolmogorov, FokkerPlanck, crank_nicolson, explicit, high_resolution, implicit
from pdelab.generator import INTERPRETATIONS

T = 0.8


def strength(t):
    """D(t), between 0.2 and 0.8."""
    return 0.5 + 0.3 * math.sin(5 * t)


def turning(t):
    """A full matrix whose axes turn once in 2π/3; diagonal at t = 0."""
    c, s = math.cos(3 * t), math.sin(3 * t)
    axes = np.array([[c, -s], [s, c]])
    return axes @ np.diag([1.0, 0.3]) @ axes.T


def exact_moments(A, D, mean, covariance):
    """Mean and covariance at T of dX = -A X dt + sqrt(2 D(t)) dW, from their differential equations."""
    d = len(mean)

    def rhs(t, y):
        m, S = y[:d], y[d:].reshape(d, d)
        return np.concatenate([-A @ m, (-A @ S - S @ A.T + 2 * D(t)).ravel()])

    start = np.concatenate([mean, np.ravel(covariance)])
    end = solve_ivp(rhs, (0, T), start, rtol=1e-11, atol=1e-13).y[:, -1]
    return end[:d], end[d:].reshape(d, d)


def moments(grid, density):
    x, mass = grid.points.reshape(-1, grid.dimension), (grid.weights * density).ravel()
    mean = mass @ x / mass.sum()
    return mean, (x - mean).T @ ((x - mean) * mass[:, None]) / mass.sum()


def gaussian(grid, mean, covariance):
    y = grid.points.reshape(*grid.shape, grid.dimension) - mean
    density = np.exp(-np.einsum("...i,ij,...j", y, np.linalg.inv(covariance), y) / 2)
    return density / grid.integrate(density)


def line_noise(kind, grid):
    """The same D(t) on a line, said in each of the ways."""
    ones = np.ones(grid.shape)
    return {
        "beta": lambda: {"beta": lambda t: 1 / strength(t)},
        "diffusivity": lambda: {"diffusivity": strength},
        "diffusion": lambda: {"diffusivity": 1.0, "diffusion": lambda t: strength(t) * ones},
        "sigma": lambda: {"beta": 2.0, "sigma": lambda t: math.sqrt(2 * strength(t)) * ones},
        "slices": lambda: {
            "beta": 1.0,
            "diffusion": pl.fokker_planck.Slices(
                np.linspace(0, T, 2001), np.outer([strength(t) for t in np.linspace(0, T, 2001)], ones)
            ),
        },
    }[kind]()


@pytest.mark.parametrize("kind", ["beta", "diffusivity", "diffusion", "sigma", "slices"])
def test_moments_of_an_oscillator_whose_noise_swells(kind):
    grid = pl.Grid(-6.0, 6.0, 301)
    problem = FokkerPlanck(grid.x**2 / 2, **line_noise(kind, grid))
    mean, variance = exact_moments(np.eye(1), lambda t: strength(t) * np.eye(1), [1.0], [[0.2]])
    start = gaussian(grid, [1.0], [[0.2]])
    # to h²/12 times a derivative or two of a smooth density, h = 0.04; time is controlled to 1e-3 of the mass
    measured = moments(grid, pl.solve(problem, start, grid, T, scheme=crank_nicolson, dt=T / 400).final)
    np.testing.assert_allclose(measured[0], mean, atol=2e-4)
    np.testing.assert_allclose(measured[1], variance, rtol=2e-3)
    automatic = pl.solve(problem, start, grid, T)
    assert automatic.info["time_error"] <= 1e-3 and automatic.info["mass_drift"].max() < 1e-13
    np.testing.assert_allclose(moments(grid, automatic.final)[1], variance, rtol=4e-3)


@pytest.mark.parametrize(
    "scheme, order, kind",
    [(implicit, 1, "sigma"), (crank_nicolson, 2, "sigma"), (crank_nicolson, 2, "beta"), (explicit, 1, "sigma"),
     (high_resolution, 2, "sigma")],
)  # fmt: skip
def test_order_in_time_with_moving_noise(scheme, order, kind):
    grid = pl.Grid(-5.0, 5.0, 31)
    problem = FokkerPlanck(drift=-grid.x, **line_noise(kind, grid))
    start, steps = gaussian(grid, [0.7], [[0.3]]), (12, 24, 48)
    if scheme in (explicit, high_resolution):
        steps = (60, 120, 240)

    def variance(k, scheme):
        return moments(grid, pl.solve(problem, start, grid, T, scheme=scheme, dt=T / k, rtol=math.inf).final)[1]

    variances = [variance(k, scheme) for k in (*steps, 2 * steps[-1])]
    rates = orders([np.abs(first - second).max() for first, second in zip(variances, variances[1:])])
    assert (np.abs(rates - order) < 0.25).all(), rates


@pytest.mark.parametrize("scheme, order", [(implicit, 1), (crank_nicolson, 2), (high_resolution, 2)])
def test_a_matrix_that_turns(scheme, order):
    """Σ(t) is diagonal at t = 0 and full afterwards: by axis first, through the sparse generator then.

    Second moments of the stencil are exact, so that without drift the covariance has an error in time alone.
    """
    grid = pl.Grid((-5.0, -5.0), (5.0, 5.0), (37, 37))
    field = np.ones((*grid.shape, 1, 1))
    problem = FokkerPlanck(diffusivity=0.5, diffusion=lambda t: field * turning(t))
    start = gaussian(grid, [0.2, -0.1], np.diag([0.3, 0.4]))
    _, exact = exact_moments(np.zeros((2, 2)), lambda t: 0.5 * turning(t), [0.2, -0.1], moments(grid, start)[1])
    steps = (16, 32, 64) if scheme is high_resolution else (8, 16, 32)
    runs = [pl.solve(problem, start, grid, T, scheme=scheme, dt=T / k, rtol=math.inf) for k in steps]
    rates = orders([np.abs(moments(grid, run.final)[1] - exact).max() for run in runs])
    assert (np.abs(rates - order) < 0.3).all(), rates
    assert runs[-1].info.get("added_diffusion", 0.0) == 0 and runs[-1].info["mass_drift"].max() < 1e-12


@pytest.mark.parametrize("scheme", [implicit, crank_nicolson, explicit])
@pytest.mark.parametrize("interpretation", INTERPRETATIONS)
@pytest.mark.parametrize("shape", [(9,), (5, 4)])
def test_steps_backwards_are_transposes_when_the_noise_moves(scheme, interpretation, shape):
    rng, d, end = np.random.default_rng(5), len(shape), 0.1
    grid = pl.Grid((0.0,) * d, (1.0,) * d, shape) if d > 1 else pl.Grid(0.0, 1.0, shape[0])
    base, v, density = 0.2 * rng.normal(size=(*shape, d, d)), rng.normal(size=shape), rng.random(shape)
    U = 0.1 * rng.normal(size=shape)

    def sigma(t):
        grown = (1 + 5 * t) * base + np.eye(d) * (t + 0.5)
        return grown[..., 0, 0] if d == 1 else grown

    def diagonal(t):
        field = (0.5 + np.abs(base[..., 0, 0])) * (1 + t)
        return field if d == 1 else field[..., None, None] * np.eye(d)

    for name, field in (("sigma", sigma), ("diffusion", diagonal)):
        options = {"interpretation": interpretation, "diffusivity": lambda t: 0.1 + t}
        forward = FokkerPlanck(U, **options, **{name: field})
        options["diffusivity"] = lambda s: 0.1 + max(end - s, 0)
        backward = BackwardKolmogorov(U, **options, **{name: lambda s, field=field: field(end - s)})
        dt = end / (4 if scheme is not explicit else 32)
        run = {"scheme": scheme, "dt": dt, "rtol": math.inf}
        rho, w = pl.solve(forward, density, grid, end, **run).final, pl.solve(backward, v, grid, end, **run).final
        gap = abs(grid.integrate(w * density) - grid.integrate(v * rho))
        assert gap < 5e-12 * np.abs(v).max() * grid.integrate(density)
        if scheme is not crank_nicolson:
            assert rho.min() >= 0


def test_what_cannot_move_is_refused_in_words():
    grid = pl.Grid((-1.0, -1.0), (1.0, 1.0), (9, 9))
    start, field = np.ones(grid.shape), np.ones((9, 9, 1, 1))
    turns = FokkerPlanck(drift=0.1 * grid.points, beta=1.0, diffusion=lambda t: field * turning(t))
    for scheme, message in (
        ("compact", "expected a steady potential"),
        ("chebyshev", "expected a steady potential"),
        ("spectral", "a steady problem"),
    ):
        with pytest.raises(ValueError, match=message):
            pl.solve(turns, start, grid, 0.1, scheme=scheme)
    for given, message in (
        ({"diffusion": lambda t: field * (turning(t) - 2 * t * np.eye(2))}, "positive semi-definite"),
        ({"diffusion": lambda t: None}, "diffusion: expected"),
        ({"sigma": lambda t: np.ones((9, 9))}, "sigma: expected shape"),
        ({"sigma": lambda t: np.full((9, 9, 2, 1), 1.0 if t == 0 else math.nan)}, "sigma: expected finite"),
    ):
        with pytest.raises(ValueError, match=message):
            pl.solve(FokkerPlanck(beta=1.0, **given), start, grid, 1.0, scheme="implicit", dt=0.25)
    for beta, message in ((lambda t: -1.0, "beta"), (lambda t: math.nan, "beta"), (lambda t: "hot", "beta")):
        with pytest.raises(ValueError, match=message):
            pl.solve(FokkerPlanck(grid.points[..., 0], beta=beta), start, grid, 1.0, scheme="implicit", dt=0.25)
