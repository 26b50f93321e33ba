"""Slices of networks: derivatives against full gradients, noise against brute force, a linear model in closed form."""

from itertools import combinations, product

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from networks_device import DEVICE, array  # noqa: E402

import pdelab as pl  # noqa: E402
from pdelab.networks import bridge, curvature, models  # noqa: E402
from pdelab.networks.bridge import slices  # noqa: E402
from pdelab.networks.data import Split  # noqa: E402


def split(samples=7, inputs=5, classes=3, shape=None):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(samples, *(shape or (inputs,)), generator=generator)
    return x, torch.randint(classes, (samples,), generator=generator)


def network(hidden=(4,), activation=torch.nn.Tanh, bias=True):
    torch.manual_seed(1)
    widths = [5, *hidden, 3]
    layers = [torch.nn.Flatten(), torch.nn.Dropout()]
    for k, (m, n) in enumerate(zip(widths, widths[1:])):
        layers += [activation()] * (k > 0) + [torch.nn.Linear(m, n, bias=bias)]
    return torch.nn.Sequential(*layers).to(DEVICE)


CASES = {
    "logistic regression": lambda: curvature.Objective(network(()), split()),
    "no biases": lambda: curvature.Objective(network((4, 3), torch.nn.Sigmoid, bias=False), split()),
    "three layers": lambda: curvature.Objective(network((4, 6)), split(), batch_size=3),
    "relu": lambda: curvature.Objective(network((8,), torch.nn.ReLU), split()),
    "images": lambda: curvature.Objective(network((4,)), split(shape=(1, 5))),
    "one sample": lambda: curvature.Objective(network((4,)), split(1)),
}
GENERAL = {
    "batch norm": lambda: curvature.Objective(models.mlp(5, (4,), 3, batch_norm=True).to(DEVICE), split()),
    "some parameters": lambda: curvature.Objective(network((4,)), split(), parameters="2"),
    "another loss": lambda: curvature.Objective(network((4,)), split(), loss=lambda m, b: m(b[0]).square().mean()),
    "linear": lambda: linear_model()[0],
}


def linear_model(samples=6, inputs=3):
    """f = (1/N) Σ (aᵢ·w - yᵢ)²/2, with A and y."""
    torch.manual_seed(2)
    a, y = torch.randn(samples, inputs, dtype=torch.float64), torch.randn(samples, 1, dtype=torch.float64)
    model = torch.nn.Linear(inputs, 1, bias=False).to(DEVICE)
    loss = lambda m, batch: (m(batch[0]) - batch[1]).square().mean() / 2  # noqa: E731
    return curvature.Objective(model, (a, y), loss=loss), a.numpy(), y.numpy()[:, 0]


def at(objective, weights):
    """Loss, gradient and every sample's gradient at flat weights, put into the model."""
    torch.nn.utils.vector_to_parameters(torch.as_tensor(weights, device=DEVICE), objective.parameters.values())
    return objective.value(), array(objective.gradient()), array(curvature.per_sample_gradients(objective))


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("case", [*CASES, *GENERAL])
def test_all_derivatives_are_those_of_the_whole_network_along_the_slice(case, k, rng):
    objective = (CASES | GENERAL)[case]()
    part = bridge.restrict(objective, bridge.random_directions(objective, k, seed=1), chunk=2)
    assert type(part.functions) is (slices.Layered if case in CASES else slices.General)
    points = rng.standard_normal((5, k))
    u, chosen = part.functions.points(points), torch.from_numpy(rng.integers(objective.count, size=(5, 2))).to(DEVICE)
    f = part.functions
    derivatives = (f.value(u), f.gradient(u), f.sample_gradients(u), f.covariance(u), f.batch_gradient(u, chosen))
    weights = part.origin + points @ part.basis
    for n, w in enumerate(weights):
        value, gradient, rows = at(objective, w)
        along = rows @ part.basis.T
        expected = (value, part.basis @ gradient, along, np.cov(along.T, bias=True).reshape(k, k),
                    along[array(chosen[n])].mean(0))  # fmt: skip
        for derivative, right in zip(derivatives, expected):
            np.testing.assert_allclose(array(derivative[n]), right, atol=1e-12)
    step = 1e-5
    moved = [f.points(points + s * e) for e in np.eye(k) for s in (step, -step)]
    bends = [array(f.gradient(p)) for p in moved]
    hessian = array(part.functions.hessian(u))
    for i in range(k):
        np.testing.assert_allclose(hessian[:, i], (bends[2 * i] - bends[2 * i + 1]) / (2 * step), atol=1e-8)
    np.testing.assert_array_equal(hessian, np.swapaxes(hessian, 1, 2))


def sharing(whole):
    """Two layers that are one, or that share their weight alone."""
    torch.manual_seed(1)
    first, second, last = torch.nn.Linear(5, 5), torch.nn.Linear(5, 5), torch.nn.Linear(5, 3)
    second.weight = first.weight
    layers = (first, torch.nn.Tanh(), first if whole else second, torch.nn.Tanh(), last)
    return torch.nn.Sequential(*layers).to(DEVICE)


@pytest.mark.parametrize("whole", [True, False])
def test_layers_that_share_weights_are_moved_together(whole, rng):
    objective = curvature.Objective(sharing(whole), split())
    part = bridge.restrict(objective, bridge.random_directions(objective, 2))
    u = rng.standard_normal(2)
    value, gradient, rows = at(objective, part.weights(u))
    assert part.loss(u) == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(part.loss.gradient(u), part.basis @ gradient, atol=1e-13)
    np.testing.assert_allclose(bridge.noise(part, u, 1), np.cov(part.basis @ rows.T, bias=True), atol=1e-13)


@pytest.mark.parametrize("whole", [True, False])
def test_layers_that_share_weights_keep_them(whole):
    """torch.func.functional_call leaves in a module of two names the weights that it was called with."""
    objective = curvature.Objective(sharing(whole), Split(*split()))
    value, weights = objective.value(), objective.weights
    bridge.restrict(objective, bridge.random_directions(objective, 1)).loss(5.0)
    fisher = curvature.fisher_diagonal(objective, "true")
    assert objective.value() == value and torch.equal(objective.weights, weights)
    model, expected = objective.model, torch.zeros_like(fisher)
    for single, _ in objective.singles(objective.data):
        logs = torch.log_softmax(model(single)[0], -1)
        for log in logs:
            slope = objective.flat(torch.autograd.grad(log, list(model.parameters()), retain_graph=True))
            expected += log.detach().exp() * slope.square() / objective.count
    np.testing.assert_allclose(array(fisher), array(expected), atol=1e-13)


def test_what_the_fast_way_may_not_serve_goes_the_general_way():
    class Shifted(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x) + 1

    hooked = network((4,))
    hooked[2].register_forward_hook(lambda m, x, y: 2 * y)
    for model in (torch.nn.Sequential(Shifted(5, 3)).to(DEVICE), hooked):
        objective = curvature.Objective(model, split())
        part = bridge.restrict(objective, bridge.random_directions(objective, 2))
        assert type(part.functions) is slices.General
        assert part.loss([0.0, 0.0]) == pytest.approx(objective.value(), rel=1e-13)


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("k, batch", [(1, 2), (2, 1), (2, 3), (3, 2)])
def test_noise_is_the_covariance_over_all_mini_batches(k, batch, replacement, rng):
    objective = CASES["three layers"]()
    part = bridge.restrict(objective, bridge.random_directions(objective, k))
    points = rng.standard_normal((2, 3, k))
    D = bridge.noise(part, points[..., 0] if k == 1 else points, batch, replacement)
    assert D.shape == ((2, 3) if k == 1 else (2, 3, k, k))
    rows = array(part.functions.sample_gradients(part.functions.points(points)))
    drawn = product(range(7), repeat=batch) if replacement else combinations(range(7), batch)
    means = rows[:, np.array(list(drawn))].mean(2)
    gaps = means - means.mean(1, keepdims=True)
    exact = np.einsum("nci,ncj->nij", gaps, gaps) / gaps.shape[1]
    np.testing.assert_allclose(D.reshape(exact.shape), exact, atol=1e-13)
    assert np.all(bridge.noise(part, points[..., 0] if k == 1 else points, 7, False) == 0.0)


def test_a_linear_model_has_its_closed_forms(rng):
    """D(u), local entropy and its gradient, the stationary covariance of the diffusion: to 1e-8."""
    objective, a, y = linear_model()
    part = bridge.restrict(objective, bridge.random_directions(objective, 2, seed=4))
    b = a @ part.basis.T
    residual = a @ part.origin - y
    H, g = b.T @ b / 6, b.T @ residual / 6
    points = rng.standard_normal((4, 2))
    rows = (points @ b.T + residual)[..., None] * b
    exact = [np.cov(r.T, bias=True) / 4 for r in rows]
    np.testing.assert_allclose(bridge.noise(part, points, 4), exact, atol=1e-13)
    gamma, beta = 0.7, 3.0
    A = np.linalg.inv(np.eye(2) + gamma * H)
    slope = points @ (H @ A).T + A @ g
    np.testing.assert_allclose(pl.local_entropy_gradient(part.loss, points, gamma, beta), slope, atol=1e-8)
    centre = -np.linalg.solve(H, g)
    floor = part.loss(centre)
    entropy = floor + 0.5 * np.einsum("ni,ij,nj->n", points - centre, H @ A, points - centre)
    entropy += np.log(np.linalg.det(np.eye(2) + gamma * H)) / (2 * beta)
    np.testing.assert_allclose(pl.local_entropy(part.loss, points, gamma, beta), entropy, atol=1e-8)


def test_bases():
    objective = CASES["relu"]()
    np.testing.assert_allclose(bridge.gradient_direction(objective)[0], array(objective.gradient()))
    rows = array(curvature.per_sample_gradients(objective))
    values, vectors = np.linalg.eigh(np.cov(rows.T, bias=True))
    noisy = bridge.noisy_directions(objective, 2)
    np.testing.assert_allclose(np.abs(noisy @ vectors[:, [-1, -2]]), np.eye(2), atol=1e-6)
    run = np.outer(np.linspace(-1, 1, 9), np.eye(4)[2]) * 3 + np.outer(np.linspace(-1, 1, 9) ** 2, np.eye(4)[0])
    np.testing.assert_allclose(bridge.trajectory_directions(run + 5.0, 2), np.eye(4)[[2, 0]], atol=1e-12)
    pieces = objective.unflat(torch.from_numpy(bridge.filter_directions(objective, 2, seed=1)).to(DEVICE))
    for piece, weight in zip(pieces, objective.parameters.values()):
        wanted = weight.detach().norm(dim=1) if weight.ndim > 1 else torch.zeros_like(weight)
        lengths = piece.norm(dim=-1) if weight.ndim > 1 else piece
        torch.testing.assert_close(lengths, wanted.expand(2, -1))


def test_refusals(rng):
    objective = CASES["relu"]()
    part = bridge.restrict(objective, bridge.random_directions(objective, 2))
    for arguments, words in (
        ((part, [[0.0]], 2), r"points: expected finite numbers \(..., 2\)"),
        ((part, [[0.0, np.nan]], 2), "points"),
        ((part, [[0.0, 0.0]], 0), "batch"),
        ((part, [[0.0, 0.0]], 8, False), "batch: expected .* at most 7"),
        ((part, [[0.0, 0.0]], 1, 1), "replacement"),
        ((objective, [[0.0, 0.0]], 1), "subspace: expected a Subspace"),
    ):
        with pytest.raises(ValueError, match=words):
            bridge.noise(*arguments)
    with pytest.raises(ValueError, match="count: expected at most 1"):
        bridge.trajectory_directions([[0.0, 0.0], [1.0, 0.0]], 2)
    for weights in ([0.0, 1.0], np.zeros((0, 3))):
        with pytest.raises(ValueError, match="weights"):
            bridge.trajectory_directions(weights, 1)
    few = bridge.linear_model(rng.standard_normal((3, 8)), rng.standard_normal(3), np.zeros(8))
    assert bridge.noisy_directions(few, 2).shape == (2, 8)
    with pytest.raises(ValueError, match="count: expected at most 2, the directions in which gradients differ, got 3"):
        bridge.noisy_directions(few, 3)  # three gradients less their mean
    quiet = bridge.linear_model(np.ones((4, 2)), np.zeros(4), [1.0, 1.0])  # four times the same gradient
    with pytest.raises(ValueError, match="count: expected at most 0"):
        bridge.noisy_directions(quiet, 1)


def test_slices_in_half_precision_are_float64_outside():
    objective = curvature.Objective(network((4,)), split(), dtype=torch.bfloat16)
    part = bridge.restrict(objective, bridge.directions_to(objective, [network((4,), bias=True).apply(doubled)]))
    assert part.origin.dtype == float and part.loss(0.0) == pytest.approx(objective.value(), rel=0.02)


def doubled(module):
    for p in module.parameters(recurse=False):
        p.data *= 2
