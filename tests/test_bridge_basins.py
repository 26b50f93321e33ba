"""Which minima are reached on a slice: losses with known minima, the optimizers as they are, Theorem 4.11, refusals."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from networks_device import DEVICE  # noqa: E402

import pdelab as pl  # noqa: E402
from pdelab.networks import bridge  # noqa: E402
from pdelab.networks.bridge.basins import bootstrap, lowest_points  # noqa: E402
from pdelab.networks.curvature import Objective  # noqa: E402

TILT = 0.3


class Weight(torch.nn.Module):
    """One number for each sample to judge."""

    def __init__(self, count=1):
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(count, dtype=torch.float64))

    def forward(self, x):
        return self.w + 0 * x


def double_well(scatter=1.5, samples=40):
    """(w² - 1)² + TILT w on average; a sample's gradient is off by its own constant, whose mean is zero."""
    noise = torch.randn(samples, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    noise = scatter * (noise - noise.mean())

    def loss(model, batch):
        w = model(batch[0])
        return ((w.square() - 1).square() + (TILT + batch[0]) * w).mean()

    return Objective(Weight().to(DEVICE), (noise,), loss=loss)


@pytest.fixture(scope="module")
def well():
    line = bridge.restrict(double_well(), [[1.0]])
    return line, pl.Grid(-2.2, 2.2, 401)


@pytest.fixture(scope="module")
def comparison(well):
    return bridge.compare_basins(
        *well, 200, mean=0.5, deviation=0.4, gamma=3.0, beta=20.0, lr=0.05, runs=400, resamples=200,
        contestants={"hj": {"optimizer": "hj", "lr": 1.0, "inner_lr": 0.05, "inner_steps": 10, "momentum": 0.0}},
    )  # fmt: skip


def test_minima_are_the_roots_of_the_gradient(well):
    points, values = lowest_points(*well)
    exact = np.sort(np.roots([4.0, 0.0, -4.0, TILT]).real)[[0, 2]]
    np.testing.assert_allclose(points[:, 0], exact, rtol=0, atol=1e-12)
    np.testing.assert_allclose(values, (exact**2 - 1) ** 2 + TILT * exact, atol=1e-14)


def test_sgd_is_the_descent_of_the_slice_and_ends_in_the_basin_of_its_sign(well, comparison):
    line, _ = well
    own = bridge.descend(line, comparison.starts[:, 0], 0.05, 200)
    np.testing.assert_allclose(comparison.ends["sgd"][:, 0], own.final, atol=1e-12)
    top = np.sort(np.roots([4.0, 0.0, -4.0, TILT]).real)[1]
    for name, ends in comparison.ends.items():
        clear = abs(ends[:, 0] - top) > 0.02
        np.testing.assert_array_equal(comparison.basins[name][clear], (ends[clear, 0] > top).astype(int), err_msg=name)


def test_smoothing_that_leaves_one_minimum_takes_every_run_there(well, comparison):
    smooth = pl.cole_hopf(well[0].loss.on(well[1]), well[1], 3.0, 20.0)
    assert ((smooth[1:-1] < smooth[:-2]) & (smooth[1:-1] < smooth[2:])).sum() == 1
    assert comparison.smoothed_basin == 0 and comparison.share("smoothed")[0] == 1.0
    value, low, high = comparison.difference("smoothed")
    assert value == low == high or low < value < high < 0
    np.testing.assert_array_equal(comparison.difference("sgd"), 0.0)


def test_theorem_4_11_on_paths_and_by_the_equations(comparison):
    """The equality, its two sides by the equations, and each side within four standard errors on paths."""
    theorem = comparison.theorem
    assert abs(theorem.residual) < 0.01 * (theorem.plain - theorem.controlled)
    for exact, (value, low, high) in (
        (theorem.plain - theorem.controlled, comparison.gain),
        (theorem.effort, comparison.effort),
        (theorem.plain - theorem.controlled - theorem.effort, comparison.surplus),
    ):
        assert abs(value - exact) < 2.1 * (high - low) / 2 + 0.01 * abs(exact)
    assert comparison.surplus[1] > 0


def test_a_quadratic_has_one_basin_and_the_gain_of_its_riccati_equation():
    """f = h w²/2 = V: du/dt = ... the control is linear, its gain is known in closed form."""
    h, D, T, x = 0.8, 0.1, 1.5, 1.2
    p, dt = h, 1e-4  # u = p(t) x²/2 + c(t): -p' = -2 h p - p², backward from p(T) = h (midpoint)
    ps = [p]
    for _ in range(round(T / dt)):
        middle = p - dt / 2 * (2 * h * p + p * p)
        p = p - dt * (2 * h * middle + middle**2)
        ps.append(p)
    ps, mean, second = ps[::-1], x, 0.0
    for before, after in zip(ps[:-1], ps[1:]):
        rate = h + (before + after) / 2
        decay = np.exp(-rate * dt)
        mean, second = mean * decay, second * decay**2 + D * (1 - decay**2) / rate
    plain = h / 2 * (x**2 * np.exp(-2 * h * T) + D * (1 - np.exp(-2 * h * T)) / h)
    grid = pl.Grid(-5.0, 5.0, 1601)
    problem = pl.control.Control(pl.losses.quadratic(h), pl.losses.quadratic(h), T, D)
    gap = pl.control.gap(problem, grid, pl.control.point_mass(grid, x))
    assert gap.controlled == pytest.approx(h / 2 * (mean**2 + second), abs=2e-4)
    assert gap.plain == pytest.approx(plain, abs=2e-4)


def test_intervals_cover():
    generator, hits = np.random.default_rng(1), 0
    for k in range(300):
        _, low, high = bootstrap(generator.exponential(size=60), 200, 0.9, k)
        hits += low < 1.0 < high
    assert abs(hits / 300 - 0.9) < 4 * np.sqrt(0.09 / 300) + 0.02  # percentile intervals of 60 skewed numbers


def test_shares_have_the_interval_of_wilson(comparison):
    value, low, high = comparison.share("sgd")
    n, z = 400, 1.959963984540054
    centre, half = value + z**2 / (2 * n), z * np.sqrt(value * (1 - value) / n + z**2 / (4 * n**2))
    np.testing.assert_allclose([low, high], np.array([centre - half, centre + half]) / (1 + z**2 / n), rtol=1e-9)


def test_without_a_control_and_in_a_plane():
    model = torch.nn.Linear(2, 1, bias=False, dtype=torch.float64)
    generator = torch.Generator().manual_seed(3)
    x, y = (torch.randn(30, k, dtype=torch.float64, generator=generator) for k in (2, 1))
    objective = Objective(model.to(DEVICE), (x, y), loss=lambda m, b: (m(b[0]) - b[1]).square().mean() / 2)
    plane = bridge.restrict(objective, np.eye(2), origin=np.zeros(2))
    grid = pl.Grid((-3, -3), (3, 3), (61, 61))
    comparison = bridge.compare_basins(
        plane, grid, 60, mean=(1.0, 1.0), deviation=0.3, gamma=1.0, beta=50.0, lr=0.1, batch=5, weight=None, runs=30,
        contestants={"heat": {"optimizer": "heat", "lr": 0.3, "inner_steps": 6, "gamma": 0.01, "momentum": 0.0},
                     "adam": {"optimizer": "adam", "lr": 0.1}},
    )  # fmt: skip
    exact = np.linalg.lstsq(x.numpy(), y.numpy()[:, 0], rcond=None)[0]
    np.testing.assert_allclose(comparison.minima, exact[None], atol=1e-8)
    assert comparison.theorem is comparison.gain is None and "control" not in comparison.ends
    assert set(comparison.ends) == {"sgd", "heat", "adam", "smoothed"}
    assert all((basins == 0).all() for basins in comparison.basins.values())
    assert np.abs(comparison.ends["smoothed"] - exact).max() < 0.02  # local entropy of a quadratic keeps its minimiser


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"gradients": 0}, "gradients: expected a whole number, at least 1"),
        ({"weight": 0.0}, "weight: expected"),
        ({"contestants": {"hj": {"lr": 1.0}}}, "contestants: expected"),
        ({"contestants": {"hj": {"optimizer": "hj", "inner_steps": 7}}}, "multiple of the inner loop of 'hj', 7"),
        ({"grid": pl.Grid(0.05, 0.5, 41), "mean": 0.2}, "grid: expected one that holds a minimum"),
        ({"grid": pl.Grid(-2.0, 2.0, 41, boundary="outflow")}, "grid: expected a reflecting Grid"),
    ],
)
def test_refusals(well, changes, words):
    line, grid = well
    given = {"subspace": line, "grid": grid, "gradients": 20, "mean": 0.5, "deviation": 0.5, "gamma": 0.5, "beta": 5.0}
    with pytest.raises(ValueError, match=words):
        bridge.compare_basins(**(given | {"lr": 0.05, "runs": 20} | changes))
