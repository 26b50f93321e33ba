"""Local entropy in all of weight space: exact on quadratics, covered by intervals, quadrature on a small network."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from networks_device import DEVICE, array  # noqa: E402

from pdelab.networks import bridge, curvature  # noqa: E402
from pdelab.networks.bridge.volume import block_average, clenshaw_curtis, volume  # noqa: E402


def quadratic(inputs=12, scale=1.0):
    torch.manual_seed(2)
    a, y = torch.randn(30, inputs, dtype=torch.float64), torch.randn(30, 1, dtype=torch.float64)
    loss = lambda m, batch: scale * (m(batch[0]) - batch[1]).square().mean() / 2  # noqa: E731
    model = torch.nn.Linear(inputs, 1, bias=False).to(DEVICE)
    return curvature.Objective(model, (a, y), loss=loss), a.numpy(), y.numpy()[:, 0]


def test_laplace_and_the_harmonic_mean_are_closed_forms_of_a_quadratic():
    objective, a, y = quadratic()
    gamma, beta = 0.4, 30.0
    estimate = volume(objective, gamma, beta, steps=100, settle=50)
    x, H = array(objective.weights), a.T @ a / 30
    g, A = a.T @ (a @ x - y) / 30, np.eye(12) + gamma * H
    exact = estimate.value - gamma / 2 * g @ np.linalg.solve(A, g) + np.linalg.slogdet(A)[1] / (2 * beta)
    assert estimate.laplace == pytest.approx(exact, abs=1e-10)
    m = 12 / np.trace(np.linalg.inv(H + np.eye(12) / gamma)) - 1 / gamma
    assert estimate.harmonic_mean == pytest.approx(m, rel=1e-8)
    assert estimate.log_volume == pytest.approx(beta * (estimate.value - estimate.local_entropy))


def test_intervals_cover_the_exact_value():
    """Eight seeds of a quadratic: at least 6 intervals of 95 % hold the exact value (fewer with odds below 1 %)."""
    objective, *_ = quadratic(5)
    covered = []
    for seed in range(8):
        estimate = volume(objective, 0.3, 20.0, chains=4, steps=100, settle=50, intervals=4, seed=seed)
        covered.append(estimate.low <= estimate.laplace <= estimate.high)
    assert sum(covered) >= 6


def test_a_network_against_quadrature():
    """Two weights, a tanh: the double integral; Laplace's value is far off, so that the sampler is what is tested."""
    torch.manual_seed(0)
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    model = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.Tanh(), torch.nn.Linear(1, 1, bias=False))
    loss = lambda m, b: 3 * (m(b[0]) - torch.sin(2 * b[0])).square().mean()  # noqa: E731
    objective = curvature.Objective(model.to(DEVICE), (x,), loss=loss)
    gamma, beta = 1.5, 2.0
    part = bridge.restrict(objective, np.eye(2))
    axis = np.linspace(-6, 6, 241)
    u = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1)
    weight = np.exp(-beta * (part.loss(u) + (u**2).sum(-1) / (2 * gamma)))
    exact = -np.log(weight.sum() * 0.05**2 * beta / (2 * np.pi * gamma)) / beta
    estimate = volume(objective, gamma, beta, chains=16, steps=300, settle=150)
    assert estimate.low < exact < estimate.high and estimate.high - estimate.low < 0.1
    assert not abs(estimate.laplace - exact) < 5 * estimate.standard_error
    assert np.all((estimate.acceptance[1:] > 0.4) & (estimate.acceptance[1:] < 0.75))


def test_block_averages_and_the_rule(rng):
    series = np.zeros((10, 4000))  # an autoregression of correlation 0.8: (1 + r)/(1 - r) = 9 steps a sample
    for k in range(1, 4000):
        series[:, k] = 0.8 * series[:, k - 1] + rng.standard_normal(10)
    _, error, effective = block_average(series)
    assert 0.6 < effective * 9 / series.size < 1.7
    assert 0.7 < error / np.sqrt(1 / 0.36 * 9 / series.size) < 1.4
    for n in (4, 8):
        t = (1 - np.cos(np.pi * np.arange(n + 1) / n)) / 2
        for power in range(n + 1):
            assert clenshaw_curtis(n) @ t**power == pytest.approx(1 / (power + 1), abs=1e-14)


def test_refusals_and_the_warning():
    objective, *_ = quadratic(3)
    for changes, words in (({"gamma": 0.0}, "gamma"), ({"beta": np.inf}, "beta"), ({"intervals": 5}, "intervals"),
                           ({"chains": 1}, "chains"), ({"steps": 10}, "steps")):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            volume(objective, **({"gamma": 1.0, "beta": 1.0} | changes))
    stiff, *_ = quadratic(3, scale=300.0)
    with pytest.warns(UserWarning, match="independent ones: take more steps"):
        volume(stiff, 10.0, 1.0, steps=50, settle=20, chains=2)
