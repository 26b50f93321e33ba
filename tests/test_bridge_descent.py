"""SGD on a slice and Fokker-Planck beside it: the algorithm itself, closed forms, and whether intervals cover."""

import math

import mpmath
import numpy as np
import pytest
from scipy import stats

torch = pytest.importorskip("torch")
pytest.importorskip("ot")

from networks_device import DEVICE  # noqa: E402

import pdelab as pl  # noqa: E402
from pdelab import sgd, transport  # noqa: E402
from pdelab.networks import bridge, curvature  # noqa: E402
from pdelab.networks.bridge import crossings, densities, descent  # noqa: E402


def shifted(centres, h=1.0):
    """f_k = h|w - c_k|²/2, the mean over samples c_k: constant noise h² cov(c)."""
    c = torch.as_tensor(centres, dtype=torch.float64)
    model = torch.nn.Linear(1, c.shape[1], bias=False).double()
    with torch.no_grad():
        model.weight.zero_()
    loss = lambda m, b: h * (m(torch.ones_like(b[:, :1])) - b).square().sum(1) / 2  # noqa: E731
    objective = curvature.Objective(model.to(DEVICE), c, loss=loss)
    return bridge.restrict(objective, np.eye(c.shape[1]))


LINE = [[-1.0], [0.4], [0.9], [-0.3]]
PLANE = [[-1.0, 0.5], [0.4, 0.8], [0.9, -1.0], [-0.3, -0.3]]


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("centres", [LINE, PLANE])
def test_descend_is_sgd_with_its_mini_batches(centres, replacement, rng):
    part, c = shifted(centres, 0.7), np.array(centres)
    start = rng.standard_normal((5, c.shape[1]))
    run = bridge.descend(part, start.squeeze(), 0.1, 7, 2, replacement=replacement, save_every=3, seed=4)
    np.testing.assert_allclose(run.times, [0.0, 0.3, 0.6, 0.7])
    x, saved = start, [start]
    for step in range(1, 8):
        drawn = descent.mini_batches(4, step, 5, 2, 4, replacement)
        x = x - 0.1 * 0.7 * (x - c[drawn].mean(1))
        saved += [x] if step in (3, 6, 7) else []
    np.testing.assert_allclose(run.states.reshape(4, 5, -1), saved, atol=1e-13)
    fewer = bridge.descend(part, start[:2].squeeze(), 0.1, 7, 2, replacement=replacement, save_every=3, seed=4)
    np.testing.assert_array_equal(fewer.states, run.states[:, :2])
    assert bridge.descend(part, start.squeeze(), 0.1, 0).states.shape[0] == 1


def test_mini_batches_are_uniform():
    drawn = descent.mini_batches(1, 1, 60_000, 2, 4, False)
    counts = np.bincount(drawn[:, 0] * 4 + drawn[:, 1], minlength=16).reshape(4, 4)
    assert np.all(np.diag(counts) == 0)
    assert abs(counts[~np.eye(4, dtype=bool)] - 5000).max() < 5 * math.sqrt(5000)


def test_runs_that_exit_stand_still_and_those_that_explode_say_when():
    part = shifted(LINE)
    run = bridge.descend(part, np.linspace(-0.9, 2.0, 200), 0.4, 60, save_every=1, exit=(-0.5, 0.5), seed=1)
    for path, time in zip(run.states.T, run.exit_times):
        outside = np.flatnonzero(abs(path) >= 0.5)
        assert np.isnan(time) if not len(outside) else time == pytest.approx(run.times[outside[0]])
        assert len(outside) == 0 or np.all(path[outside[0] :] == path[outside[0]])
    with pytest.raises(FloatingPointError, match="lr: .* by step"):
        bridge.descend(part, np.zeros(3), 5.0, 2000)


def test_densities_of_constant_noise_have_their_closed_forms():
    """Stationary variance ηΣ/(2h) to 1e-8 for three equations, h + ηh²/2 in place of h for the second order."""
    h, lr, D = 1.3, 0.05, 1.3**2 * np.var(LINE)
    part, grid = shifted(LINE, h), pl.Grid(-2.0, 2.0, 401)
    problems = densities.problems(part, grid, lr, 1, True, np.zeros(3))
    for name, problem in problems.items():
        rho = pl.stationary(problem, grid)
        rate = h + lr * h * h / 2 if name == "second order" else h
        mean = grid.integrate(grid.x * rho)
        assert grid.integrate((grid.x - mean) ** 2 * rho) == pytest.approx(lr * D / (2 * rate), rel=1e-8)
        box = pl.Grid(-0.5, 0.5, 41, boundary="absorbing")
        inner = densities.problems(part, box, lr, 1, True, np.zeros(3))[name]
        Q = pl.generator(inner, box).toarray()[1:-1, 1:-1]
        np.testing.assert_allclose(pl.mean_exit_time(inner, box)[1:-1], np.linalg.solve(Q, -np.ones(39)), rtol=1e-8)


@pytest.mark.parametrize("centres", [LINE, PLANE])
def test_sgd_of_a_small_rate_is_the_measured_density(centres):
    """The frozen noise is the measured one here; the isotropic one is too on a line, and is not in the plane."""
    part, k = shifted(centres), len(centres[0])
    grid = pl.Grid(-1.0, 1.0, 161) if k == 1 else pl.Grid((-1.0, -1.0), (1.0, 1.0), (101, 101))
    given = {"mean": [0.2] * k, "deviation": 0.15, "runs": 300, "resamples": 20}
    laws = bridge.compare_densities(part, grid, 0.02, [0.5, 2.0], **given)
    assert laws.outside == 0.0 and laws.consistent("measured", "w1") and laws.consistent("second order", "w1")
    np.testing.assert_allclose(laws.distances["w2"]["frozen"], laws.distances["w2"]["measured"], atol=1e-10)
    assert (laws.gain["isotropic"][1] > 1e-9) == (k == 2)
    for model in laws.densities:
        assert np.all(laws.low["tv"][model] <= laws.distances["tv"][model])
        assert grid.integrate(laws.densities[model][-1]) == pytest.approx(1.0)
    own, low, high = laws.free_energy["measured"][-1]
    assert low < own < high or k == 2
    with pytest.warns(UserWarning, match="of the runs were outside"):
        small = pl.Grid([-0.25] * k, [0.25] * k, [33] * k)
        bridge.compare_densities(part, small, 0.02, [0.5], **(given | {"mean": [0.0] * k, "resamples": 20}))


@pytest.mark.parametrize("shift", [0.0, 0.08])
def test_intervals_of_distances_cover(shift, rng):
    """Forty times 200 samples of one Gaussian against another: at least 35 intervals hold the exact distance."""
    grid = pl.Grid(-3.0, 3.0, 301)
    law, other = (densities.initial_density(grid, m, 0.5) for m in (0.0, shift))
    measure = densities.LineDistances(grid, densities.Bins.of(grid))
    exact = measure(measure.law(law), measure.law(other))
    assert exact[:2] == pytest.approx([shift, shift], abs=1e-6)
    covered = np.zeros(3)
    for _ in range(40):
        x = densities.draw(grid, law, 200, rng)
        distances, radii, _ = densities._distances(measure, [x], {"measured": other[None]}, grid, 40, 0.95, rng)
        gaps = [abs(distances[m]["measured"][0] - d) <= radii[m][0] for m, d in zip(densities.METRICS, exact)]
        covered += gaps
    assert covered.min() >= 35, covered


def test_intervals_of_gains_cover(rng):
    grid = pl.Grid(-3.0, 3.0, 301)
    law, near, far = (densities.initial_density(grid, m, s) for m, s in ((0.0, 0.5), (0.3, 0.5), (0.0, 0.9)))
    measure = densities.LineDistances(grid, densities.Bins.of(grid))
    exact = [measure(measure.law(law), measure.law(rho))[1] for rho in (near, far)]
    covered = 0
    for _ in range(40):
        x = densities.draw(grid, law, 300, rng)
        _, low, high = densities._gains(measure, x, {"measured": near[None], "frozen": far[None]}, 60, 0.95, rng)[
            "frozen"
        ]
        covered += low <= exact[1] - exact[0] <= high
    assert covered >= 34, covered


def test_exact_samples_have_the_masses_of_their_density(rng):
    grid = pl.Grid((-1.0, -1.0), (1.0, 2.0), (21, 31))
    rho = densities.initial_density(grid, [0.1, 0.2], 0.4)
    bins = densities.Bins.of(grid, 5)
    counts = np.bincount(bins.place(densities.draw(grid, rho, 100_000, rng)), minlength=25)
    masses = bins.masses(rho)
    assert np.all(abs(counts - 1e5 * masses) < 5 * np.sqrt(1e5 * masses) + 5)
    assert masses.sum() == pytest.approx(1.0) and bins.centres().shape == (25, 2)
    first, second = (densities.initial_density(grid, m, 0.4) for m in ([0.1, 0.2], [0.3, 0.2]))
    measure = densities.PlaneDistances(grid, densities.Bins.of(grid, 31))
    exact = transport.wasserstein_grid(grid, first, second).distance
    assert measure(measure.law(first), measure.law(second))[1] == pytest.approx(exact, rel=0.02)


def test_exact_samples_fill_their_cells(rng):
    """Three nodes of a uniform density: the samples are those of the interval, not of three points."""
    x = densities.draw(pl.Grid(0.0, 1.0, 3), np.ones(3), 4000, rng)
    assert stats.kstest(x, "uniform").pvalue > 1e-3


def test_exit_times_with_walls_moved_are_those_of_sgd():
    """Noise of four samples a step, nearly Gaussian: moving the walls removes most of the error of the equation."""
    part, grid = shifted(LINE), pl.Grid(-0.1, 0.1, 121, boundary="absorbing")
    exits = bridge.compare_exits(part, grid, 0.02, 0.05, batch=4, runs=4000, seed=2)
    assert exits.low < exits.sgd < exits.high
    plain, moved = (abs(v["measured"] / exits.sgd - 1) for v in (exits.equations, exits.moved))
    assert moved < 0.5 * plain
    plane = pl.Grid((-0.1, -0.1), (0.1, 0.1), (31, 31), boundary="absorbing")
    exits = bridge.compare_exits(shifted(PLANE), plane, [0.0, 0.03], 0.05, batch=4, runs=1000, seed=2)
    plain, moved = (abs(v["measured"] / exits.sgd - 1) for v in (exits.equations, exits.moved))
    assert moved < 0.5 * plain
    with pytest.raises(ValueError, match="longest: .* still inside"):
        bridge.compare_exits(part, grid, 0.05, 0.05, batch=4, runs=20, longest=3)
    with pytest.raises(ValueError, match="absorbing"):
        bridge.compare_exits(part, pl.Grid(-0.3, 0.3, 21), 0.05, 0.05)
    with pytest.raises(ValueError, match="start"):
        bridge.compare_exits(part, grid, 0.5, 0.05)


def test_the_turning_of_sgd_in_a_plane_is_that_of_its_equation():
    """f = u·Hu/2 with correlated constant noise does not balance: the areal velocity of nonequilibrium.linear."""
    c = torch.as_tensor(PLANE, dtype=torch.float64)
    model = torch.nn.Linear(1, 2, bias=False).double()
    with torch.no_grad():
        model.weight.zero_()
    H = torch.tensor([1.0, 3.0], dtype=torch.float64, device=DEVICE)
    loss = lambda m, b: (H * (m(torch.ones_like(b[:, :1])) - b).square()).sum(1) / 2  # noqa: E731
    part = bridge.restrict(curvature.Objective(model.to(DEVICE), c, loss=loss), np.eye(2))
    lr, grid = 0.05, pl.Grid((-1.2, -1.2), (1.2, 1.2), (97, 97))
    noise = bridge.noise(part, [0.0, 0.0], 1)
    exact = 2 * pl.nonequilibrium.linear(np.diag([1.0, 3.0]), lr / 2 * noise).Q[0, 1]
    rotation = bridge.compare_rotation(part, grid, np.zeros((400, 2)), lr, 200, settle=100)
    assert rotation.equations["measured"] == pytest.approx(exact, rel=0.02)
    assert abs(rotation.equations["isotropic"]) < 1e-3 * abs(exact) and rotation.p_value < 0.01
    discrete = sgd.stationary_covariance(np.diag([1.0, 3.0]), noise, lr)
    turning = discrete[0, 1] * (1.0 - 3.0)
    assert rotation.low - 0.02 * abs(exact) < turning < rotation.high + 0.02 * abs(exact)


def test_refusals():
    part, grid = shifted(LINE), pl.Grid(-1.0, 1.0, 41)
    given = {"mean": 0.0, "deviation": 0.1}
    for arguments, changes, words in (
        ((part, grid, 0.1, [0.25]), {}, "times: expected increasing positive multiples"),
        ((part, grid, 0.1, [0.2]), {"models": ("best",)}, "models"),
        ((part, grid, 0.1, [0.2]), {"mean": 90.0}, "mean"),
        ((part, pl.Grid((0, 0), (1, 1), 9), 0.1, [0.2]), {}, "grid"),
        ((part, grid, -0.1, [0.2]), {}, "lr"),
    ):
        with pytest.raises(ValueError, match=words):
            bridge.compare_densities(*arguments, **(given | changes))
    with pytest.raises(ValueError, match="start"):
        bridge.descend(part, 0.0, 0.1, 3)
    with pytest.raises(ValueError, match="exit"):
        bridge.descend(part, [0.0], 0.1, 3, exit=(1.0, 0.0))
    zeta = float(mpmath.zeta(0.5))
    assert pytest.approx(-zeta / math.sqrt(2 * math.pi), rel=1e-14) == crossings.OVERSHOOT
