"""The small classifier whose weights are kept: derivatives, batches, the linear process near a minimum, refusals."""

import numpy as np
import pytest
from scipy import linalg

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from pdelab import nonequilibrium, sgd  # noqa: E402
from pdelab.networks import snapshots  # noqa: E402


@pytest.fixture(scope="module")
def network():
    """A network of 41 weights on 60 samples of three overlapping classes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60)
    return snapshots.SmallClassifier(0.7 * np.eye(3)[labels] + 0.4 * rng.normal(size=(60, 3)), labels, hidden=5)


def loss(network, weights):
    """Mean cross-entropy by matrices."""
    w1, b1, w2, b2 = np.split(weights, np.cumsum([15, 5, 15]))
    scores = np.maximum(network.inputs @ w1.reshape(5, 3).T + b1, 0) @ w2.reshape(3, 5).T + b2
    scores -= scores.max(1, keepdims=True)
    chosen = scores[np.arange(len(scores)), network.labels]
    return float((np.log(np.exp(scores).sum(1)) - chosen).mean())


def test_derivatives_are_those_of_the_loss(network, rng):
    weights, h = network.start(1), 1e-4
    for _ in range(5):
        v, u = rng.normal(size=(2, network.dimension))
        slope = (loss(network, weights + h * v) - loss(network, weights - h * v)) / (2 * h)
        assert network.gradients(weights).mean(0) @ v == pytest.approx(slope, abs=1e-6)
        bend = (network.gradients(weights + h * u) - network.gradients(weights - h * u)).mean(0) / (2 * h)
        assert bend @ v == pytest.approx(u @ network.hessian(weights) @ v, rel=1e-3, abs=1e-3)


def test_losses_and_first_step_are_those_of_all_samples(network):
    start = network.start(2)
    run = network.train(3, 0.1, batch=None, decay=0.01, start=start)
    assert run.losses[0] == pytest.approx(loss(network, start), rel=1e-12)
    step = network.gradients(start).mean(0) + 0.01 * start
    assert np.allclose(run.weights[0], start - 0.1 * step, rtol=0, atol=1e-14)


def test_without_replacement_an_epoch_sees_every_sample_once(network):
    """With a rate that moves nothing, the sum of an epoch's steps is the full gradient; with replacement it is not."""
    start, rate = network.start(3), 1e-9
    full = network.gradients(start).mean(0)
    for replacement in (False, True):
        run = network.train(1, rate, batch=20, replacement=replacement, start=start, seed=4)
        mean = (start - run.weights[0]) / (3 * rate)
        assert np.allclose(mean, full, rtol=0, atol=1e-5 * np.abs(full).max()) == (not replacement)


def test_the_linear_process_is_the_stationary_law_of_sgd(network):
    """Covariance by the Lyapunov equation of discrete SGD; Q is the antisymmetric part after one epoch."""
    weights = network.train(3000, 0.1, batch=None, decay=0.02).weights[-1]
    near = network.relaxation(weights, 0.1, batch=20, decay=0.02, count=6)
    gradients = network.gradients(weights) @ near.directions
    noise = np.cov(gradients.T, bias=True) / 20
    exact = sgd.stationary_covariance(np.diag(near.curvatures), noise, 0.1)
    assert np.allclose(near.covariance, exact, rtol=1e-10, atol=1e-14 * np.abs(exact).max())
    ahead = np.linalg.matrix_power(np.eye(6) - 0.1 * np.diag(near.curvatures), 3)
    assert np.allclose(near.memory, np.diag(ahead)) and (np.diff(near.curvatures) < 0).all()
    after = ahead @ exact
    assert np.allclose(near.Q, (after.T - after) / 2, rtol=0, atol=1e-12 * np.abs(exact).max())
    hessian = network.hessian(weights) + 0.02 * np.eye(network.dimension)
    assert np.allclose(hessian @ near.directions, near.directions * near.curvatures, atol=1e-10)
    assert linalg.norm(near.Q) > 0


def test_rotation_of_many_coordinates_has_power_and_its_level(rng):
    """With d (d - 1)/2 entries no fewer than the batches, no statistic could be large."""
    d, times = 8, 6000
    turning = rng.normal(size=(d, d))
    for scale, broken in ((0.0, False), (1.5, True)):
        ahead = linalg.expm(-0.5 * (np.eye(d) + scale * (turning - turning.T)))
        x = rng.normal(size=(times, d))
        for k in range(1, times):
            x[k] += ahead @ x[k - 1]
        rotation = nonequilibrium.rotation(x, np.arange(times))
        assert rotation.batches >= 4 * d * (d - 1) // 2 and (rotation.p_value < 0.001) == broken


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda n: snapshots.SmallClassifier([[1.0, np.nan]], [0]), "inputs"),
        (lambda n: snapshots.SmallClassifier([[1.0], [2.0]], [0, 0]), "labels"),
        (lambda n: snapshots.SmallClassifier([[1.0], [2.0]], [0, 1], hidden=0), "hidden"),
        (lambda n: n.train(0, 0.1), "epochs"),
        (lambda n: n.train(1, -0.1), "rate"),
        (lambda n: n.train(1, 0.1, batch=61), "batch"),
        (lambda n: n.train(1, 0.1, start=np.zeros(3)), "weights"),
        (lambda n: n.gradients(np.zeros(3)), "weights"),
        (lambda n: n.relaxation(n.start(), 10.0), "nothing is stationary"),
        (lambda n: n.relaxation(n.start(), 0.1, count=42), "count"),
        (lambda n: snapshots.pooled_digits(1), "classes"),
    ],
)
def test_refusals(network, call, words):
    with pytest.raises(ValueError, match=words):
        call(network)


def test_a_run_that_blows_up_says_when(network):
    with pytest.raises(FloatingPointError, match="epoch [0-9]+: take a rate below"):
        network.train(200, 1e6, decay=1.0)
