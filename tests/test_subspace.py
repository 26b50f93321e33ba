"""The bridge: a network on a slice is a Loss like any other, and the PDE side says the same about it as quadrature."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from networks_device import DEVICE, array  # noqa: E402

import pdelab as pl  # noqa: E402
from pdelab.networks import bridge, curvature, data, models, training  # noqa: E402


@pytest.fixture(scope="module")
def objective():
    torch.set_num_threads(1)
    digits = data.load("digits", seed=0)
    torch.manual_seed(0)
    options = {"lr": 0.05, "weight_decay": 1e-3}
    settings = {"model_options": {"hidden": (6,)}, "optimizer_options": options, "device": str(DEVICE)}
    result = training.train(data=digits, epochs=10, **settings)
    return curvature.Objective(result.model, digits.train, samples=100)


def at(objective, weights):
    """The loss at given flat weights, by putting them into the model."""
    before = objective.weights
    torch.nn.utils.vector_to_parameters(torch.as_tensor(weights).to(objective.device), objective.parameters.values())
    value = objective.value()
    torch.nn.utils.vector_to_parameters(before, objective.parameters.values())
    return value


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_values_and_derivatives(objective, dimension, rng):
    part = bridge.restrict(objective, bridge.random_directions(objective, dimension), chunk=4)
    points = rng.standard_normal((9, dimension))
    points = points[:, 0] if dimension == 1 else points
    direct = [at(objective, w) for w in part.weights(points)]
    np.testing.assert_allclose(part.loss(points), direct, rtol=1e-12)
    np.testing.assert_allclose(part.coordinates(part.weights(points)), points, atol=1e-13)
    gradient, hessian = part.loss.gradient(points), part.loss.hessian(points)
    for axis in range(dimension):
        step = 1e-5 * (np.eye(dimension)[axis] if dimension > 1 else 1.0)
        slope = (part.loss(points + step) - part.loss(points - step)) / 2e-5
        bend = (part.loss.gradient(points + step) - part.loss.gradient(points - step)) / 2e-5
        np.testing.assert_allclose(gradient[..., axis] if dimension > 1 else gradient, slope, atol=1e-8)
        np.testing.assert_allclose(hessian[..., axis] if dimension > 1 else hessian, bend, atol=1e-7)


@pytest.mark.parametrize("batch_size", [1, 7, 60, 99, 100])
def test_batches_count_by_their_samples(objective, batch_size):
    """Batches of unlike sizes: the loss on the slice stays the mean over samples."""
    parted = curvature.Objective(objective.model, objective.split, batch_size=batch_size)
    directions = bridge.random_directions(objective, 2)
    whole, part = (bridge.restrict(f, directions) for f in (objective, parted))
    points = np.array([[0.0, 0.0], [1.0, -0.5]])
    np.testing.assert_allclose(part.loss(points), whole.loss(points), rtol=1e-13)
    np.testing.assert_allclose(part.loss.gradient(points), whole.loss.gradient(points), atol=1e-13)
    np.testing.assert_allclose(part.loss.hessian(points), whole.loss.hessian(points), atol=1e-12)


def test_the_basis_is_orthonormal_and_starts_with_the_first_direction(objective):
    directions = bridge.random_directions(objective, 3, seed=1)
    part = bridge.restrict(objective, directions)
    np.testing.assert_allclose(part.basis @ part.basis.T, np.eye(3), atol=1e-14)
    assert part.basis[0] @ directions[0] == pytest.approx(np.linalg.norm(directions[0]))
    np.testing.assert_array_equal(part.origin, array(objective.weights))
    # one unit on the slice is one unit between weights
    assert np.linalg.norm(part.weights([0.3, -0.4, 1.2]) - part.origin) == pytest.approx(1.3)


def test_derivatives_along_eigenvectors_are_eigenvalues(objective):
    part = bridge.restrict(objective, bridge.curved_directions(objective, 2))
    _, largest = curvature.extreme_eigenvalues(curvature.Hessian(objective), 2)
    np.testing.assert_allclose(part.loss.hessian([0.0, 0.0]), np.diag(largest[::-1]), atol=1e-8)
    gradient = array(objective.gradient())
    np.testing.assert_allclose(part.loss.gradient([0.0, 0.0]), part.basis @ gradient, atol=1e-12)


def test_a_plane_through_three_networks(objective):
    others = [models.mlp(64, (6,)) for _ in range(2)]
    part = bridge.restrict(objective, bridge.directions_to(objective, others))
    for other in others:
        weights = array(torch.cat([p.detach().flatten() for p in other.parameters()]).double())
        u = part.coordinates(weights)
        np.testing.assert_allclose(part.weights(u), weights, atol=1e-12)
        assert part.loss(u) == pytest.approx(at(objective, weights), rel=1e-12)


def exact(part, x, gamma, beta):
    """Local entropy by the trapezoid rule on 40,001 evaluations of the network: good to 1e-9 in spite of kinks."""
    y = np.linspace(-8.0, 8.0, 40001)
    f = part.loss(y)
    weight = np.exp(-beta * (f - f.min() + (np.asarray(x)[:, None] - y) ** 2 / (2 * gamma)))
    return f.min() - np.log(np.trapezoid(weight, y) / np.sqrt(2 * np.pi * gamma / beta)) / beta


@pytest.mark.parametrize("gamma, beta", [(0.1, 5.0), (0.5, 20.0)])
def test_local_entropy_on_the_slice_is_quadrature(objective, gamma, beta):
    """The PDE side (Cole-Hopf on a grid of values) converges to quadrature over the network, at least at order 1.5."""
    part = bridge.restrict(objective, bridge.curved_directions(objective, 1))
    places = np.array([-1.5, 0.0, 1.5])
    truth, errors = exact(part, places, gamma, beta), []
    for n in (65, 129, 257, 513):
        grid = pl.Grid(-6.0, 6.0, 3 * (n - 1) // 2 + 1)
        values = part.loss.on(grid)
        smooth = pl.local_entropy(values, grid, gamma, beta)
        nodes = np.round((places - grid.x[0]) / grid.spacing[0]).astype(int)
        np.testing.assert_allclose(grid.x[nodes], places, atol=1e-12)
        errors.append(abs(smooth[nodes] - truth).max())
    assert abs(truth - part.loss(places)).max() > 0.01
    assert errors[-1] < 2e-5 and np.log2(errors[0] / errors[-1]) / 3 > 1.5, errors


def test_the_density_on_the_slice_is_gibbs(objective):
    part = bridge.restrict(objective, bridge.curved_directions(objective, 1))
    grid, beta = pl.Grid(-3.0, 3.0, 201), 8.0
    density = pl.stationary(pl.FokkerPlanck(part.loss, beta=beta), grid)
    gibbs = np.exp(-beta * part.loss.on(grid))
    np.testing.assert_allclose(density, gibbs / grid.integrate(gibbs), rtol=1e-9)


@pytest.mark.parametrize(
    "directions, words",
    [
        (lambda d: np.ones((4, d)), "directions: expected 1 to 3 of"),
        (lambda d: np.ones((1, d + 1)), "directions: expected 1 to 3 of"),
        (lambda d: np.ones((2, d)), "directions: expected linearly independent ones"),
        (lambda d: np.zeros((1, d)), "zero"),
        (lambda d: np.full((1, d), np.nan), "finite"),
    ],
)
def test_refusals(objective, directions, words):
    with pytest.raises(ValueError, match=words):
        bridge.restrict(objective, directions(objective.dimension))
    with pytest.raises(ValueError, match="origin"):
        bridge.restrict(objective, np.eye(1, objective.dimension), origin=[1.0])
    with pytest.raises(ValueError, match="models: expected 460 weights"):
        bridge.directions_to(objective, [models.mlp(64, (5,))])
