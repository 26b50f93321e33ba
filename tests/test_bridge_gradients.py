"""Entropy-SGD's inner loop on a slice: the algorithm itself, a quadratic's closed form, Langevin on the network."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from networks_device import DEVICE  # noqa: E402

import pdelab as pl  # noqa: E402
from pdelab.networks import EntropySGD, bridge, curvature, data, training, trajectory  # noqa: E402
from pdelab.networks.bridge.gradients import _loops  # noqa: E402


@pytest.fixture(scope="module")
def quadratic():
    """A linear model's plane: f = residuals squared / 2, with its Hessian and minimum."""
    torch.manual_seed(2)
    a, y = torch.randn(6, 3, dtype=torch.float64), torch.randn(6, 1, dtype=torch.float64)
    loss = lambda m, batch: (m(batch[0]) - batch[1]).square().mean() / 2  # noqa: E731
    model = torch.nn.Linear(3, 1, bias=False).to(DEVICE)
    part = bridge.restrict(curvature.Objective(model, (a, y), loss=loss), np.eye(2, 3))
    H = part.loss.hessian([0.0, 0.0])
    return part, H, -np.linalg.solve(H, part.loss.gradient([0.0, 0.0]))


@pytest.fixture(scope="module")
def plane():
    digits = data.load("digits", seed=0)
    torch.manual_seed(0)
    result = training.train(data=digits, epochs=5, model_options={"hidden": (6,)}, optimizer_options={"lr": 0.05})
    objective = curvature.Objective(result.model.to(DEVICE), digits.train, samples=60)
    return bridge.restrict(objective, bridge.curved_directions(objective, 2))


def test_the_loop_is_the_optimizer_s(quadratic):
    part, _, _ = quadratic
    x = np.array([[0.4, -0.7]])
    for averaging in (0.75, 0.2):
        loops = _loops(part.functions, x, 0.05, 0.5, 0.0, np.array([3, 8]), averaging, None, True, 1, [0])
        for length, z in zip((3, 8), loops[:, 0, 0]):
            settings = {"lr": 1.0, "inner_lr": 0.05, "inner_steps": length, "gamma": 0.5, "averaging": averaging}
            build = lambda p, s=settings: EntropySGD(p, momentum=0.0, **s)  # noqa: E731
            end = trajectory(build, lambda w: part.loss.gradient(w), x[0], length)[-1]
            np.testing.assert_allclose(z, end, atol=1e-12)


def test_local_entropy_of_a_quadratic_is_exact_on_the_grid(quadratic):
    part, H, centre = quadratic
    x, gamma, beta = np.array([[0.4, -0.7], [1.0, 1.0]]), 0.5, 20.0
    gradients, error = bridge.exact_gradient(part, pl.Grid((-5, -5), (5, 5), (201, 201)), x, gamma, beta)
    exact = (x - centre) @ (H @ np.linalg.inv(np.eye(2) + gamma * H)).T
    np.testing.assert_allclose(gradients, exact, atol=1e-8)
    assert error.max() < 1e-6
    with pytest.raises(ValueError, match="wider"):
        bridge.exact_gradient(part, pl.Grid((0, -1), (1, 0), (41, 41)), x, gamma, beta)
    with pytest.raises(ValueError, match="nearer"):
        bridge.exact_gradient(part, pl.Grid((-5, -5), (5, 5), (9, 9)), x, gamma, 2000.0)
    with pytest.raises(ValueError, match="odd"):
        bridge.exact_gradient(part, pl.Grid((-5, -5), (5, 5), (40, 41)), x, gamma, beta)


@pytest.mark.parametrize("x", [0.0, 0.015, 0.4, 0.41])
@pytest.mark.parametrize("gamma, beta", [(1e-2, 1e3), (1e-3, 1e4), (1e-4, 1e4), (1e-4, 1e6)])
def test_peaks_between_two_nodes_are_refused(gamma, beta, x):
    """One node has all the weight: the rule on every second node then says the same, and both are wrong."""
    line = bridge.restrict(bridge.linear_model([[1.0], [2.0]], [1.0, -1.0], [0.0]), np.eye(1))
    with pytest.raises(ValueError, match="nearer to each other"):
        bridge.exact_gradient(line, pl.Grid(-6.0, 6.0, 401), [x], gamma, beta)


def test_at_the_minimum_the_gradient_is_zero():
    line = bridge.restrict(bridge.linear_model([[1.0], [-1.0]], [0.7, -0.7], [0.0]), np.eye(1))
    gradient, _ = bridge.exact_gradient(line, pl.Grid(-6.0, 6.0, 401), [0.7], 0.5, 20.0)
    assert abs(gradient).max() < 1e-12


def test_mean_and_variance_on_a_quadratic(quadratic):
    """From u: the exact recursion of means and covariances; estimates within four standard errors."""
    part, H, centre = quadratic
    x, gamma, T, share, a = np.array([[0.4, -0.7], [1.0, 1.0]]), 0.5, 0.05, 0.2, 0.3
    grid = pl.Grid((-5, -5), (5, 5), (101, 101))
    for batch in (None, 2):
        estimate = bridge.gradient_map(
            part, grid, x, gamma, T, shares=[share], lengths=[4, 30], averaging=a, batch=batch, runs=400
        )
        for n, u in enumerate(x):
            y, z, covariances = u, u, np.zeros((4, 4))
            step = np.kron([[1.0, 0.0], [a, 0.0]], np.eye(2) - share * gamma * (H + np.eye(2) / gamma))
            step += np.kron([[0.0, 0.0], [0.0, 1 - a]], np.eye(2))
            kick = np.kron([[1.0, a], [a, a * a]], 2 * share * gamma * T * np.eye(2))
            for step_number in range(1, 31):
                y = y - share * gamma * (H @ (y - centre) + (y - u) / gamma)
                z = (1 - a) * z + a * y
                covariances = step @ covariances @ step.T + kick
                if step_number in (4, 30):
                    m = int(step_number == 30)
                    mean, error = estimate.mean[0, m, n], estimate.standard_error[0, m, n]
                    assert np.all(abs(mean - (u - z) / gamma) < 4 * error)
                    spread = covariances[2:, 2:] / gamma**2
                    if batch is None:
                        np.testing.assert_allclose(estimate.covariance[0, m, n], spread, atol=0.25 * np.trace(spread))
    assert estimate.region().shape == (1, 2) and np.all((estimate.region() >= 0) & (estimate.region() <= 1))


def test_long_langevin_averages_are_the_exact_gradient_of_the_network(plane):
    """Twenty points of the digits' plane: within three standard errors, jointly by chi² as well."""
    gamma, T = 0.05, 0.05
    points = 0.5 * np.random.default_rng(1).standard_normal((20, 2))
    grid = pl.Grid((-3, -3), (3, 3), (241, 241))
    exact, quadrature = bridge.exact_gradient(plane, grid, points, gamma, 1 / T)
    lengths = np.array([300, 700])  # what comes before the first is left out
    z = _loops(plane.functions, points, 0.02 * gamma, gamma, T, lengths, None, None, True, 50, [4])
    means = (700 * z[1] - 300 * z[0]) / 400
    estimates = (points[:, None] - means) / gamma
    errors = estimates.std(1, ddof=1) / np.sqrt(50)
    gaps = (estimates.mean(1) - exact) / errors
    assert quadrature.max() < 0.1 * errors.min()
    assert np.all(abs(gaps) < 3), gaps
    assert (gaps**2).sum() < 40 + 4 * np.sqrt(80)


def test_directions_and_refusals(plane):
    grid = pl.Grid((-3, -3), (3, 3), (241, 241))
    given = {"shares": [0.1], "lengths": [5], "runs": 4}
    estimate = bridge.gradient_map(plane, grid, [[0.5, 0.5]], 0.05, 0.05, batch=10, **given)
    u, v = estimate.mean[0, 0, 0], estimate.exact[0]
    cosine = u @ v / np.linalg.norm(u) / np.linalg.norm(v)
    assert np.cos(np.radians(estimate.angle[0, 0, 0])) == pytest.approx(cosine)
    assert estimate.relative_bias[0, 0, 0] == pytest.approx(np.linalg.norm(u - v) / np.linalg.norm(v))
    for changes, words in (
        ({"shares": [2.0]}, "shares"), ({"lengths": [0]}, "lengths"), ({"averaging": 0.0}, "averaging"),
        ({"batch": 61, "replacement": False}, "batch"), ({"runs": 1}, "runs"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            bridge.gradient_map(plane, grid, [[0.5, 0.5]], 0.05, 0.05, **(given | changes))
    with pytest.raises(ValueError, match="points"):
        bridge.gradient_map(plane, grid, [0.5, 0.5], 0.05, 0.05, **given)
