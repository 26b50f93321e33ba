"""Curvature and noise: every operator against the full matrix, every estimate against its exact value."""

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from networks_device import DEVICE, array  # noqa: E402
from torch.nn import functional  # noqa: E402

from pdelab.networks import curvature, data, models, training  # noqa: E402
from pdelab.networks.curvature import extremes  # noqa: E402

DOUBLE = torch.float64

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", seed=3)


@pytest.fixture(scope="module")
def trained(digits):
    torch.set_num_threads(1)
    options = {"lr": 0.05, "weight_decay": 1e-4}
    settings = {"optimizer_options": options, "model_options": {"hidden": (10,)}, "device": str(DEVICE)}
    return training.train(data=digits, epochs=20, **settings)


def small(kind, digits):
    """A tiny model of each kind and the objective on a few samples."""
    if kind == "lstm":
        text = data.load("topics", train=200, steps=5)
        model = models.char_lstm(text.classes, 2, 2).to(DEVICE)
        return curvature.Objective(model, text.train, steps=5, samples=6, batch_size=4)
    if kind == "lenet":
        model = models.build("digits-lenet", digits, channels=(2, 3), hidden=4)
        model(digits.train.inputs[:64])  # batch-norm statistics that are not the initial ones
    else:
        model = models.mlp(64, (3,))
    return curvature.Objective(model.to(DEVICE), digits.train, samples=9, batch_size=4)


def full_hessian(objective):
    """∇² of the loss by autograd from a flat vector, the slow obvious way."""

    def loss(flat):
        parameters = dict(zip(objective.parameters, objective.unflat(flat)))
        return objective.sample_losses(objective.data, parameters).mean()

    return torch.autograd.functional.hessian(loss, objective.weights)


class Matrix:
    """A dense symmetric matrix with the interface of an operator."""

    def __init__(self, matrix):
        self.matrix = torch.as_tensor(matrix)
        self.dimension, self.dtype, self.device = len(self.matrix), self.matrix.dtype, self.matrix.device

    def rows(self, vectors):
        return vectors @ self.matrix

    __matmul__ = curvature.Hessian.__matmul__


def symmetric(rng, values):
    basis, _ = np.linalg.qr(rng.standard_normal((len(values), len(values))))
    return (basis * values) @ basis.T


# Operators ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mlp", "lenet", "lstm"])
def test_hessian_is_the_second_derivative(kind, digits):
    objective = small(kind, digits)
    operator, exact = curvature.Hessian(objective, block=7), full_hessian(objective)
    torch.testing.assert_close(operator.matrix(), exact, rtol=1e-10, atol=1e-13)
    vectors = torch.randn(objective.dimension, 5, dtype=DOUBLE)
    torch.testing.assert_close(operator @ vectors, exact @ vectors, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(operator @ vectors[:, 0], exact @ vectors[:, 0], rtol=1e-10, atol=1e-12)
    assert torch.equal(curvature.Hessian(objective).matrix(), curvature.Hessian(objective).matrix().T)


def test_hessian_by_differences_of_the_gradient(trained, digits):
    objective = curvature.Objective(trained.model, digits.train)
    generator = torch.Generator("cpu").manual_seed(0)
    v = torch.randn(objective.dimension, dtype=DOUBLE, generator=generator, device="cpu").to(DEVICE)
    v /= v.norm()
    step, weights, slopes = 1e-6, objective.weights, []  # larger ones may cross a kink of ReLU
    for sign in (1, -1):
        torch.nn.utils.vector_to_parameters(weights + sign * step * v, objective.parameters.values())
        slopes.append(objective.gradient())
    torch.nn.utils.vector_to_parameters(weights, objective.parameters.values())
    difference = (slopes[0] - slopes[1]) / (2 * step)
    torch.testing.assert_close(curvature.Hessian(objective) @ v, difference, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("kind", ["mlp", "lenet", "lstm"])
def test_gradients_of_single_samples(kind, digits, branch):
    objective = small(kind, digits)
    ours = curvature.per_sample_gradients(objective, chunk=4)
    for k, row in enumerate(ours):
        x, y = objective.split.inputs[k : k + 1], objective.split.targets[k : k + 1]
        output = objective.model(x)
        logits = output[0].flatten(0, 1) if isinstance(output, tuple) else output
        loss = functional.cross_entropy(logits, y.flatten())
        expected = objective.flat(torch.autograd.grad(loss, list(objective.parameters.values())))
        torch.testing.assert_close(row, expected, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(ours.mean(0), objective.gradient(), rtol=1e-10, atol=1e-14)
    gram = curvature.gram_matrix(objective, most=objective.count * 17)  # a few columns at a time
    torch.testing.assert_close(gram, ours @ ours.T, rtol=1e-10, atol=1e-13)


class Twice(torch.nn.Module):
    """A linear layer used twice, and one on a sequence: the layer formulas do not hold, the general rule does."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = torch.nn.Linear(8, 8), torch.nn.Linear(8, 10)

    def forward(self, x):
        return self.outer(torch.tanh(self.inner(torch.tanh(self.inner(x.flatten(0, 1).flatten(1, 1)))))).mean(1)


@pytest.mark.parametrize(
    "build", [Twice, lambda: models.allcnn(1, 10, channels=(2, 3)), lambda: models.wide_resnet(10, 1, 1)]
)
def test_gradients_of_single_samples_in_any_model(build, digits):
    objective = curvature.Objective(build(), digits.train, samples=5)
    ours = curvature.per_sample_gradients(objective)
    for k in range(5):
        logits = objective.model(objective.split.inputs[k : k + 1])
        loss = functional.cross_entropy(logits, objective.split.targets[k : k + 1])
        expected = objective.flat(torch.autograd.grad(loss, list(objective.parameters.values())))
        torch.testing.assert_close(ours[k], expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(curvature.gram_matrix(objective), ours @ ours.T, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["mlp", "lenet", "lstm"])
def test_noise_operator_is_the_covariance(kind, digits):
    objective = small(kind, digits)
    gradients = curvature.per_sample_gradients(objective)
    exact = torch.cov(gradients.T, correction=0)
    vectors = torch.randn(objective.dimension, 3, dtype=DOUBLE)
    torch.testing.assert_close(curvature.Noise(objective) @ vectors, exact @ vectors, rtol=1e-9, atol=1e-13)


def test_the_model_is_left_alone(trained, digits):
    before = {name: value.clone() for name, value in trained.model.state_dict().items()}
    curvature.spectrum(trained, samples=50)
    after = trained.model.state_dict()
    assert all(torch.equal(before[name], after[name]) and after[name].dtype == before[name].dtype for name in before)


# Lanczos ------------------------------------------------------------------------------------------------------------


def test_quadrature_is_exact_to_degree_2m_minus_1(rng):
    matrix = symmetric(rng, rng.standard_normal(30))
    starts = torch.as_tensor(rng.standard_normal((4, 30)))
    nodes, weights = curvature.quadrature(*curvature.lanczos(Matrix(matrix), starts, 5))
    for start, theta, w in zip(array(starts), nodes, weights):
        v = start / np.linalg.norm(start)
        for power in range(10):
            assert (w * theta**power).sum() == pytest.approx(v @ np.linalg.matrix_power(matrix, power) @ v, abs=1e-11)
        wrong = abs((w * theta**10).sum() - v @ np.linalg.matrix_power(matrix, 10) @ v)
        assert wrong > 1e-6  # degree 2m is beyond it


def test_all_steps_give_all_eigenvalues(rng):
    values = np.sort(rng.standard_normal(40))
    nodes, _ = curvature.quadrature(
        *curvature.lanczos(Matrix(symmetric(rng, values)), torch.as_tensor(rng.standard_normal((2, 40))), 40)
    )
    np.testing.assert_allclose(np.sort(nodes, axis=1), [values, values], atol=1e-12)


@pytest.mark.parametrize("values", [[0.0] * 12, [3.0] * 12, [5.0, -2.0] + [0.0] * 10])
def test_an_exhausted_krylov_space_ends_cleanly(rng, values):
    matrix = Matrix(symmetric(rng, np.array(values)))
    nodes, weights = curvature.stochastic_quadrature(matrix, probes=3, steps=12)
    np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-12)
    np.testing.assert_allclose((weights * nodes).sum(1).mean(), np.mean(values), atol=2.0)
    smallest, largest = curvature.extreme_eigenvalues(matrix, 2)
    np.testing.assert_allclose(np.r_[smallest, largest], np.sort(values)[[0, 1, -2, -1]], atol=1e-9)


def test_moments_within_four_standard_errors(trained, digits):
    objective = curvature.Objective(trained.model, digits.train, samples=300)
    operator = curvature.Hessian(objective)
    values = array(torch.linalg.eigvalsh(operator.matrix()))
    nodes, weights = curvature.stochastic_quadrature(operator, probes=40, steps=20, seed=5)
    for power in (1, 2, 3):
        samples = (weights * nodes**power).sum(1)
        error = samples.std(ddof=1) / np.sqrt(len(samples))
        assert abs(samples.mean() - (values**power).mean()) < 4 * error
    below = [(weights * (nodes < t)).sum(1).mean() for t in (1e-2, 0.1)]  # cuts that 20 nodes can resolve
    np.testing.assert_allclose(below, [(values < t).mean() for t in (1e-2, 0.1)], atol=0.02)


@pytest.mark.parametrize("name", ["mlp", "digits-lenet"])
def test_extreme_eigenvalues_within_1e_6(name, digits):
    sizes = {"hidden": (16,)} if name == "mlp" else {"channels": (2, 4), "hidden": 8}
    result = training.train(
        model=name, data=digits, epochs=5, model_options=sizes, optimizer_options={"lr": 0.05, "weight_decay": 1e-4}
    )
    operator = curvature.Hessian(curvature.Objective(result.model, digits.train, samples=128))
    values = np.linalg.eigvalsh(array(operator.matrix()))
    smallest, largest, low, high = curvature.extreme_eigenvalues(operator, 3, vectors=True)
    np.testing.assert_allclose(smallest, values[:3], rtol=1e-6)
    np.testing.assert_allclose(largest, values[-3:], rtol=1e-6)
    residual = array(operator @ torch.as_tensor(high).to(operator.device)) - high * largest
    assert abs(residual).max() < 1e-6 * largest[-1] and low.shape == high.shape == (operator.dimension, 3)


class Counting(Matrix):
    """A matrix that counts the products with it."""

    products = 0

    def rows(self, vectors):
        self.products += len(vectors)
        return super().rows(vectors)


REPEATED = {
    "every eigenvalue nine times": (np.repeat(np.linspace(-1.0, 1.0, 133) ** 3, 9), 9),
    "two values": (np.r_[np.full(700, 1.0), np.full(500, -1.0)], 8),
    "low rank": (np.r_[np.zeros(1170), np.repeat([3.0, 2.0, 1.0, 0.5, 0.1, 0.01], 5)], 12),
    "one outside a cluster": (np.r_[np.full(1199, 1.0), 1.0 + 1e-3], 3),
    "small gaps": (np.r_[np.linspace(0.0, 1.0, 1190), np.repeat(1.01, 10)], 4),
    "zero": (np.zeros(1100), 2),
}


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("name", REPEATED)
def test_repeated_eigenvalues_are_found_as_often_as_they_occur(monkeypatch, rng, name, dense):
    values, count = REPEATED[name]
    if not dense:
        monkeypatch.setattr(extremes, "STILL_DENSE", 0)
    operator = Counting(symmetric(rng, values))
    smallest, largest, low, high = curvature.extreme_eigenvalues(operator, count, vectors=True)
    exact = np.sort(values)
    np.testing.assert_allclose(np.r_[smallest, largest], np.r_[exact[:count], exact[-count:]], atol=2e-9)
    for ends, states in ((smallest, low), (largest, high)):
        np.testing.assert_allclose(array(operator.matrix) @ states, states * ends, atol=5e-9)
        np.testing.assert_allclose(states.T @ states, np.eye(count), atol=1e-8)
    assert operator.products <= (2.1 * len(values) if dense else 20000)


def test_eigenvalues_of_softmax_regression_at_zero(digits):
    """Every eigenvalue nine-fold and a null space: the Kronecker product of two matrices says what they are."""
    model = models.mlp(64, ())
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    objective = curvature.Objective(model, digits.train, samples=200)
    x = torch.cat([objective.split.inputs.flatten(1), torch.ones(200, 1, dtype=DOUBLE)], 1)
    second = np.linalg.eigvalsh(array(x.T @ x / 200))
    exact = np.sort(np.kron(second, np.r_[0.0, np.full(9, 0.1)]))
    smallest, largest = curvature.extreme_eigenvalues(curvature.Hessian(objective), 12)
    np.testing.assert_allclose(smallest, exact[:12], atol=1e-12)
    np.testing.assert_allclose(largest, exact[-12:], atol=1e-12)


def test_the_work_is_bounded_and_the_end_is_said_in_words(monkeypatch, rng):
    operator = Counting(symmetric(rng, np.exp(-np.arange(1100) / 20.0)))
    exact = np.exp(-np.arange(3) / 20.0)
    _, largest = curvature.extreme_eigenvalues(operator, 3)  # the small end crowds at zero: the matrix is solved
    np.testing.assert_allclose(largest[::-1], exact, atol=1e-12)
    assert 1100 < operator.products < 2400
    monkeypatch.setattr(extremes, "STILL_DENSE", 0)
    operator.products = 0
    with pytest.raises(RuntimeError, match="did not converge: after 5.. products .* allow more products"):
        curvature.extreme_eigenvalues(operator, 3, products=500)
    assert 500 <= operator.products < 520


@pytest.mark.parametrize("missing", [-1, 0, None])
def test_a_missed_eigenvalue_is_seen(monkeypatch, rng, missing):
    """The check knows ends from what lies inside them, and sends the iteration back with larger blocks."""
    values = np.r_[-3.0, np.linspace(0.0, 1.0, 1099), 5.0]
    basis, _ = np.linalg.qr(rng.standard_normal((1101, 1101)))
    operator = Counting((basis * values) @ basis.T)
    ends = [1 if missing == 0 else 0, 1099 if missing == -1 else 1100]
    claimed = SimpleNamespace(
        vectors=torch.as_tensor(basis[:, ends].T.copy()), values=torch.as_tensor(values[ends]), low=1, scale=5.0
    )
    assert bool(extremes._nothing_beyond(operator, claimed, 1e-9, rng)) is (missing is None)
    blocks, verdicts, built = [], [True, False], extremes._Krylov.__init__

    def noted(self, operator, low, high, block, rng):
        blocks.append(block)
        built(self, operator, low, high, block, rng)

    monkeypatch.setattr(extremes._Krylov, "__init__", noted)
    monkeypatch.setattr(extremes, "_nothing_beyond", lambda *arguments: verdicts.pop())
    smallest, largest = curvature.extreme_eigenvalues(operator, 1)
    assert blocks == [4, 8] and [smallest[0], largest[0]] == pytest.approx([-3.0, 5.0], abs=1e-8)


def test_the_null_space_of_the_noise_costs_nothing(digits):
    objective = curvature.Objective(models.mlp(64, (16,)), digits.train, samples=30)
    operator = curvature.Noise(objective)
    products = []
    operator.on_products = products.append
    smallest, largest = curvature.extreme_eigenvalues(operator, 2)
    exact = curvature.gradient_noise(objective).eigenvalues
    np.testing.assert_allclose(largest[::-1], exact[:2], rtol=1e-9)
    assert not smallest.any() and sum(products) < 200
    with pytest.raises(ValueError, match="NaN or infinities"):
        curvature.extreme_eigenvalues(Matrix(np.full((6, 6), np.nan)), 1)


# Layers -------------------------------------------------------------------------------------------------------------


def test_spectra_and_traces_by_layer(digits):
    model = models.mlp(64, (4,))
    objective = curvature.Objective(model, digits.train, samples=60)
    matrix = curvature.Hessian(objective).matrix()
    spectra = curvature.layer_spectra(model=model, data=digits, samples=60)
    assert list(spectra) == ["1", "3"]
    for name, block in {"1": slice(0, 260), "3": slice(260, None)}.items():
        np.testing.assert_allclose(spectra[name].nodes, np.linalg.eigvalsh(array(matrix[block, block])), atol=1e-12)
        part = curvature.Objective(model, digits.train, samples=60, parameters=[name])
        exact = matrix[block, block].trace().item()
        assert curvature.trace(curvature.Hessian(part), probes=300) == (pytest.approx(exact, rel=1e-10), 0.0)
        value, error = curvature.trace(curvature.Hessian(part), probes=40)
        assert error > 0 and abs(value - exact) < 4 * error
    noise = curvature.layer_spectra(model=model, data=digits, samples=60, of="noise", layers=["3.weight"])
    rows = curvature.per_sample_gradients(objective)[:, 260:300]
    assert noise["3.weight"].moment(1) * 40 == pytest.approx(rows.var(0, correction=0).sum().item(), rel=1e-9)


def test_eigenvalues_over_twelve_decades_are_right_to_round_off():
    """Orthogonal once leaves errors of 1e-9 of the largest, twice none."""

    class Diagonal:
        dtype, device, dimension = torch.float64, torch.device("cpu"), 60
        values = torch.from_numpy(np.logspace(-12, 0, 60))

        def rows(self, vectors):
            return vectors * self.values

    nodes, weights = curvature.stochastic_quadrature(Diagonal(), probes=1, steps=60, seed=0)
    np.testing.assert_allclose(np.sort(nodes[0]), Diagonal.values.numpy(), rtol=0, atol=1e-13)
    assert weights.sum() == pytest.approx(1.0)


def test_the_error_of_a_trace_is_that_of_its_probes(digits):
    """v^T A v has the variance 2 (|A|^2 - sum_i A_ii^2) for signs v; so many probes, the root of their number."""
    objective = curvature.Objective(models.mlp(64, (4,)), digits.train, samples=60, parameters=["1"])
    A = curvature.Hessian(objective).matrix()
    variance = 2 * (A.square().sum() - A.diagonal().square().sum()).item()
    for probes in (60, 240):
        error = curvature.trace(curvature.Hessian(objective), probes=probes)[1]
        assert error == pytest.approx((variance / probes) ** 0.5, rel=0.35)


# Noise --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [40, 400])
def test_noise_spectrum_without_the_matrix(digits, samples, branch):
    """N = 40 < d = 236 and N = 400 > d."""
    objective = curvature.Objective(models.mlp(16, (9,)), data.load("digits", size=4).train, samples=samples)
    gradients = array(curvature.per_sample_gradients(objective))
    exact = np.linalg.eigvalsh(np.cov(gradients.T, bias=True))[::-1]
    for method in ("svd", "gram"):
        noise = curvature.gradient_noise(objective, method=method)
        size = min(samples, objective.dimension)
        assert noise.eigenvalues.shape == (size,)
        np.testing.assert_allclose(noise.eigenvalues, exact[:size], atol=1e-14 * samples * exact[0])
        assert noise.gradient_norm == pytest.approx(np.linalg.norm(gradients.mean(0)), rel=1e-9)
        assert noise.rank("float64") <= samples - 1
    directions = curvature.gradient_noise(objective, method="svd", directions=2).directions
    covariance = np.cov(gradients.T, bias=True)
    np.testing.assert_allclose(covariance @ directions.T, directions.T * exact[:2], atol=1e-12)


def test_single_precision_gradients_keep_what_digits_they_have(trained):
    """The Gram matrix of float32 gradients in float64 loses no more than their SVD in float32, which takes longer."""
    double, single = (curvature.Objective(trained.model, trained.data.train, samples=150, dtype=d)
                      for d in (DOUBLE, torch.float32))  # fmt: skip
    exact = curvature.gradient_noise(double).eigenvalues
    eigenvalues = {m: curvature.gradient_noise(single, method=m).eigenvalues for m in ("auto", "gram", "svd")}
    np.testing.assert_array_equal(eigenvalues["auto"], eigenvalues["gram"])
    for values in eigenvalues.values():
        np.testing.assert_allclose(np.sqrt(values), np.sqrt(exact), rtol=1e-5, atol=1e-6 * exact[0] ** 0.5)
    error = {method: abs(values - exact).max() for method, values in eigenvalues.items()}
    assert error["gram"] < error["svd"]
    assert curvature.gradient_noise(single, directions=1).directions.shape == (1, single.dimension)


def test_lemma_6_3_by_enumeration(digits):
    """The variance of a mini-batch gradient over all batches, with and without replacement; the printed sign fails."""
    objective = curvature.Objective(models.mlp(16, (2,)), data.load("digits", size=4).train, samples=5)
    g = array(curvature.per_sample_gradients(objective))
    count, mean = len(g), g.mean(0)
    covariance = np.cov(g.T, bias=True)
    noise = curvature.gradient_noise(objective)
    for b in (1, 2, 3, 5):
        draws = {True: itertools.product(range(count), repeat=b), False: itertools.combinations(range(count), b)}
        for replacement, batches in draws.items():
            means = np.array([g[list(batch)].mean(0) for batch in batches]) - mean
            exact = means.T @ means / len(means)
            np.testing.assert_allclose(noise.batch_factor(b, replacement) * covariance, exact, atol=1e-15)
    second = g.T @ g / (count - 1)
    corrected, printed = (second - (1 + s / (count - 1)) * np.outer(mean, mean) for s in (1, -1))
    exact = noise.batch_factor(2, False) * covariance
    np.testing.assert_allclose((1 / 2) * (1 - 2 / count) * corrected, exact, atol=1e-15)
    missing = (1 / 2) * (1 - 2 / count) * (2 / (count - 1)) * np.outer(mean, mean)
    np.testing.assert_allclose((1 / 2) * (1 - 2 / count) * printed - exact, missing, atol=1e-15)
    assert np.linalg.norm(missing) > 0.04 * np.linalg.norm(exact)  # the printed sign is 5 % off here


def test_ranks_of_a_known_spectrum():
    values = np.array([1.0, 1.0, 1e-3, 1e-6, 1e-12, 0.0])
    noise = curvature.GradientNoise(values, 10, 6, 0.0, np.zeros((0, 10)))
    assert (noise.rank("float32"), noise.rank("float64")) == (3, 5)  # thresholds 10 × 1.2e-7 and 10 × 2.2e-16
    assert noise.participation_ratio == pytest.approx(2.0, abs=5e-3)
    assert noise.leading(0.9) == 2 and noise.leading(0.4) == 1
    equal = curvature.GradientNoise(np.ones(4), 4, 9, 0.0, np.zeros((0, 4)))
    assert equal.effective_rank == pytest.approx(4.0) and equal.participation_ratio == 4.0
    assert equal.leading(1.0) == 4 and equal.numbers["deviation"] == 0.0
    nothing = curvature.GradientNoise(np.zeros(3), 4, 3, 0.0, np.zeros((0, 4)))
    assert nothing.rank() == 0 and nothing.participation_ratio == 0.0 and nothing.effective_rank == 0.0


@pytest.mark.parametrize("kind", ["mlp", "lenet", "lstm"])
def test_fisher_diagonal(kind, digits, branch):
    objective = small(kind, digits)
    g = curvature.per_sample_gradients(objective)
    torch.testing.assert_close(curvature.fisher_diagonal(objective), g.square().mean(0), rtol=1e-10, atol=1e-16)
    torch.testing.assert_close(
        curvature.fisher_diagonal(objective, "centred"), g.var(0, correction=0), rtol=1e-8, atol=1e-14
    )


def test_true_fisher_of_a_linear_model_is_its_hessian(digits):
    objective = curvature.Objective(models.mlp(64, ()), digits.train, samples=30)
    fisher = curvature.fisher_diagonal(objective, "true")
    torch.testing.assert_close(fisher, curvature.Hessian(objective).matrix().diagonal(), rtol=1e-10, atol=1e-14)


def test_fisher_from_adam_is_the_running_variance():
    x = torch.zeros(2, requires_grad=True)
    adam = torch.optim.Adam([x], lr=0.0, betas=(0.9, 0.99))
    with pytest.raises(ValueError, match="has taken a step"):
        curvature.fisher_from_adam(adam)
    for k in range(400):
        x.grad = torch.tensor([1.0, (-1.0) ** k])
        adam.step()
    torch.testing.assert_close(curvature.fisher_from_adam(adam), torch.tensor([0.0, 1.0]), atol=4e-3, rtol=0)


# spectrum -----------------------------------------------------------------------------------------------------------


def test_spectrum_exact_and_by_lanczos_agree(trained):
    exact = curvature.spectrum(trained, method="exact", count=2)
    estimate = curvature.spectrum(trained, method="lanczos", count=2, probes=16, steps=50)
    assert exact.dimension == 760 and len(exact.nodes) == 760 and exact.samples == 1078
    np.testing.assert_allclose(estimate.largest, exact.largest, rtol=1e-6)
    np.testing.assert_allclose(estimate.smallest, exact.smallest, rtol=1e-6)
    assert estimate.weights.sum() == pytest.approx(1.0) and exact.weights.sum() == pytest.approx(1.0)
    assert estimate.numbers["near_zero"] == pytest.approx(exact.numbers["near_zero"], abs=0.05)
    grid = np.linspace(-2, 2 * exact.largest[-1], 4000)
    assert np.trapezoid(exact.density(grid, 0.05), grid) == pytest.approx(1.0, abs=1e-3)
    assert exact.numbers["near_zero"] > 0.5 and -exact.smallest[0] < 0.1 * exact.largest[-1]


def test_spectrum_of_the_noise_and_the_fisher(trained):
    noise = curvature.spectrum(trained, of="noise", samples=100)
    estimate = curvature.spectrum(trained, of="noise", method="lanczos", samples=100, probes=16, steps=40)
    assert noise.weights.sum() == pytest.approx(1.0) and noise.weights[0] == pytest.approx(660 / 760)
    assert estimate.largest[-1] == pytest.approx(noise.largest[-1], rel=1e-6)
    assert estimate.numbers["trace"] == pytest.approx(noise.numbers["trace"], rel=0.2)
    assert noise.moment(1) == pytest.approx(noise.numbers["mean"])
    fisher = curvature.spectrum(trained, of="fisher", samples=100)
    assert fisher.nodes.sum() == pytest.approx(noise.numbers["trace"], rel=1e-9)


def test_spectrum_of_a_folder(tmp_path, digits):
    result = training.train(epochs=1, out=tmp_path, model_options={"hidden": (4,)})
    np.testing.assert_array_equal(curvature.spectrum(tmp_path).nodes, curvature.spectrum(result).nodes)


def test_the_verb_names_its_route(tmp_path, capsys):
    from pdelab.cli import main

    training.train(epochs=1, out=tmp_path / "run", model_options={"hidden": (4,)})
    arguments = ["spectrum", str(tmp_path / "run"), "--samples", "50"]
    assert main([*arguments, "--of", "hessian", "fisher", "--out", str(tmp_path / "found")]) == 0
    printed = capsys.readouterr()
    assert not printed.err  # bars are for terminals
    assert "hessian of 310 weights over 50 samples, exact: all of them" in printed.out
    with np.load(tmp_path / "found.npz") as arrays:
        assert len(arrays["hessian_nodes"]) == 310 and arrays["fisher_weights"].sum() == pytest.approx(1.0)
    assert main([*arguments, "--of", "hessian", "--method", "lanczos", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)["hessian"]
    assert report["method"] == "lanczos" and report["weights"] == 310 and report["samples"] == 50


def test_the_exact_route_is_taken_where_it_costs_seconds(digits):
    from pdelab.networks.curvature.spectra import affordable

    def objective(model, samples=None):
        return curvature.Objective(model, digits.train, samples=samples)

    assert affordable(objective(models.build("mlp", digits)))  # 2410 weights, d gradients in 2.6e10 operations
    assert affordable(objective(models.build("digits-lenet", digits), 50))
    assert not affordable(objective(models.build("digits-lenet", digits)))  # 3706 weights, but 6e11
    assert not affordable(objective(models.mlp(64, (80,)), 1))  # 6010 weights: a matter of the matrix


def test_progress_counts_the_products(trained):
    calls = []
    exact = curvature.spectrum(trained, on_progress=lambda *now: calls.append(now))
    assert calls[-1] == (pytest.approx(760.0), 760) and [a for a, _ in calls] == sorted(a for a, _ in calls)
    assert exact.method == "exact" and len(calls) >= 760 / 16
    calls.clear()
    curvature.spectrum(trained, method="lanczos", probes=2, steps=5, on_progress=lambda *now: calls.append(now))
    assert calls[-1][0] >= 10 and {total for _, total in calls} == {None}
    calls.clear()
    settings = {"of": "noise", "method": "lanczos", "samples": 50, "probes": 2, "steps": 5}
    curvature.spectrum(trained, **settings, on_progress=lambda *now: calls.append(now))
    assert calls[-1][0] >= 10 and calls[-1][1] is None


def test_spectrum_of_a_text_model():
    text = data.load("topics", train=3000, steps=5)
    spectrum = curvature.spectrum(model=models.char_lstm(text.classes, 3, 1), data=text, samples=20)
    assert len(spectrum.nodes) == spectrum.dimension and np.isfinite(spectrum.nodes).all()


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({}, "run, model, data: expected a finished run"),
        ({"run": "nowhere"}, "cannot read the checkpoint"),
        ({"model": models.mlp(64)}, "run, model, data: expected a finished run"),
        ({"model": models.mlp(64), "data": "digits", "of": "colour"}, "of: expected one of"),
        ({"model": models.mlp(64), "data": "digits", "method": "magic"}, "method: expected one of"),
        ({"model": models.mlp(64), "data": "digits", "samples": 0}, "samples: expected a whole number, at least 1"),
        ({"model": torch.nn.ReLU(), "data": "digits"}, "model: expected trainable parameters"),
        (
            {"model": models.mlp(64), "data": "digits", "of": "fisher", "method": "lanczos"},
            "for the Fisher diagonal",
        ),
        ({"model": models.mlp(64, (2,)), "data": "digits", "method": "lanczos", "count": 200}, "count < d/2"),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ValueError, match=words):
        curvature.spectrum(**arguments)


# Overlap ------------------------------------------------------------------------------------------------------------


def chain(kind):
    builders = {
        "mlp": lambda: models.mlp(20, (12, 9), 5),
        "mnistfc": lambda: models.mnistfc(20, 12, 2, 5),
        "lenet": lambda: models.build("digits-lenet", channels=(5, 7), hidden=9, batch_norm=(True, True)),
        "allcnn": lambda: models.allcnn(1, 4, channels=(5, 6)),
    }
    model = builders[kind]()
    for module in model.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            for tensor in (module.weight, module.bias, module.running_mean):
                torch.nn.init.normal_(tensor)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    return model.eval()


def shuffled(model, rng):
    """The same function with its hidden units in a random order, written without the library's bookkeeping."""
    from pdelab.networks.curvature.overlap import _layers, _renumber

    moved = __import__("copy").deepcopy(model)
    layers = _layers(moved)
    with torch.no_grad():
        for k in range(len(layers) - 1):
            _renumber(layers, k, torch.as_tensor(rng.permutation(len(layers[k][0].weight))))
    return moved


@pytest.mark.parametrize("method", ["greedy", "weights"])
@pytest.mark.parametrize("kind", ["mlp", "mnistfc", "lenet", "allcnn"])
def test_a_planted_permutation_is_found(kind, method, rng):
    model = chain(kind)
    moved = shuffled(model, rng)
    shape = (3, 20) if kind in ("mlp", "mnistfc") else (3, 1, 8, 8)
    x = torch.randn(shape)
    torch.testing.assert_close(moved(x), model(x), rtol=1e-4, atol=1e-5)
    assert curvature.overlap(moved, model) < 0.9
    back = curvature.align(moved, model, method)
    assert curvature.overlap(back, model) == pytest.approx(1.0, abs=1e-6)
    other = chain(kind)
    aligned = curvature.align(other, model, method)
    torch.testing.assert_close(aligned(x), other(x), rtol=1e-4, atol=1e-5)
    assert curvature.overlap(aligned, model) > curvature.overlap(other, model)


def test_matching_by_weights_finds_the_best_order_of_one_layer(rng):
    one, other = models.mlp(3, (5,), 2), models.mlp(3, (5,), 2)
    matched = curvature.overlap(curvature.align(one, other, "weights"), other)
    from pdelab.networks.curvature.overlap import _layers, _renumber

    best = -1.0
    for order in itertools.permutations(range(5)):
        moved = __import__("copy").deepcopy(one)
        with torch.no_grad():
            _renumber(_layers(moved), 0, torch.tensor(order))
        best = max(best, curvature.overlap(moved, other))
    assert matched == pytest.approx(best, abs=1e-12)


def test_overlap_matrix_and_average():
    networks = [models.mlp(6, (5,), 3) for _ in range(3)]
    raw, aligned = curvature.overlap_matrix(networks), curvature.overlap_matrix(networks, "weights")
    np.testing.assert_allclose(np.diag(aligned), 1.0)
    np.testing.assert_array_equal(aligned, aligned.T)
    assert (aligned >= raw - 1e-12).all() and aligned[0, 1] > raw[0, 1]
    mean = curvature.average(networks)
    torch.testing.assert_close(mean[1].weight, sum(n[1].weight for n in networks) / 3)


def test_what_cannot_be_aligned():
    with pytest.raises(ValueError, match="model: expected a chain of Linear and Conv2d"):
        curvature.align(models.wide_resnet(10, 1), models.wide_resnet(10, 1))
    with pytest.raises(ValueError, match="model: expected layers of the sizes"):
        curvature.align(models.mlp(3, (4,)), models.mlp(3, (5,)))
    with pytest.raises(ValueError, match="method: expected one of"):
        curvature.align(models.mlp(3, (4,)), models.mlp(3, (4,)), "magic")
    with pytest.raises(ValueError, match="same sizes"):
        curvature.overlap(models.mlp(3, (4,)), models.mlp(3, (5,)))
