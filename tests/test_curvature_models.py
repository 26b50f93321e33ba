"""Curvature of any model, loss and input: every rule for single samples against one ordinary gradient a sample."""

import types

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from networks_device import DEVICE, array  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from pdelab.networks import curvature  # noqa: E402
from pdelab.networks.data import Split  # noqa: E402

DOUBLE = torch.float64

pytestmark = pytest.mark.usefixtures("one_thread")


class Standardised(nn.Conv2d):
    """A convolution whose weights are standardised on the way: a subclass with another forward."""

    def forward(self, x):
        w = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(x, w / w.std((1, 2, 3), keepdim=True), self.bias)


class Shifted(nn.BatchNorm2d):
    """A batch norm that also scales by a number of its own."""

    def forward(self, x):
        return super().forward(x) * 1.5 + self.weight[None, :, None, None]


class Doubled(nn.Linear):
    def forward(self, x):
        return super().forward(x) + functional.linear(x * x, self.weight)


class Reuse(nn.Module):
    """The weights of a layer used again by a function, out of sight of hooks."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(9, 9), nn.Linear(9, 4)

    def forward(self, x):
        x = torch.tanh(self.one(x.flatten(1)))
        return self.two(functional.linear(x, self.one.weight))


class Tied(nn.Module):
    """Two layers that share one parameter."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.out = nn.Linear(9, 9), nn.Linear(9, 9), nn.Linear(9, 4)
        self.two.weight = self.one.weight

    def forward(self, x):
        return self.out(torch.tanh(self.two(torch.tanh(self.one(x.flatten(1))))))


class Unused(nn.Module):
    """A head that never enters, and a parameter that is a single number."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(9, 4), nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, x):
        return self.scale * self.body(x.flatten(1))


class Positions(nn.Module):
    """Patches folded into the batch axis before a linear layer, and out of it afterwards."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(3, 2), nn.Linear(6, 4)

    def forward(self, x):
        return self.two(torch.tanh(self.one(x.reshape(-1, 3))).reshape(len(x), 6))


class Recurrent(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.cells = getattr(nn, kind)(3, 2, batch_first=True, **options)
        self.out = nn.LazyLinear(4)

    def forward(self, x):
        return self.out(self.cells(x[:, 0])[0][:, -1])


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(3, 1, 4, batch_first=True)
        self.out = nn.Linear(3, 4)

    def forward(self, x):
        return self.out(self.layer(x[:, 0]).mean(1))


def plain(*middle):
    return nn.Sequential(nn.Conv2d(1, 2, 2), *middle, nn.Flatten(), nn.Linear(8, 4))


def instance_forward():
    model = plain(nn.ReLU())
    forward = lambda self, x: self._conv_forward(x, 2.0 * self.weight, self.bias)  # noqa: E731
    model[0].forward = types.MethodType(forward, model[0])
    return model


def hooked():
    model = plain(nn.ReLU())
    model[3].register_forward_hook(lambda module, arguments, output: 2.0 * output)
    return model


def weight_norm():
    return nn.Sequential(nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(9, 4)))


def partly_frozen():
    model = plain(nn.ReLU())
    model[3].weight.requires_grad_(False)
    return model


def frozen_layer():
    model = plain(nn.ReLU())
    model[0].requires_grad_(False)
    return model


MODELS = {
    "in-place": lambda: plain(nn.ReLU(inplace=True)),
    "in-place after norm": lambda: plain(nn.BatchNorm2d(2), nn.LeakyReLU(0.1, inplace=True)),
    "in-place twice": lambda: plain(nn.Hardtanh(-0.3, 0.3, inplace=True), nn.ReLU(inplace=True)),
    "standardised": lambda: nn.Sequential(Standardised(1, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 4)),
    "subclass of norm": lambda: plain(Shifted(2)),
    "subclass of linear": lambda: nn.Sequential(nn.Flatten(), Doubled(9, 4)),
    "grouped": lambda: nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 2, groups=2), nn.Flatten(), nn.Linear(8, 4)),
    "circular": lambda: nn.Sequential(nn.Conv2d(1, 2, 2, padding="same", padding_mode="circular"), nn.Flatten(),
                                      nn.Linear(18, 4)),
    "instance's forward": instance_forward,
    "hook": hooked,
    "weight norm": weight_norm,
    "spectral norm": lambda: nn.Sequential(nn.Flatten(), nn.utils.parametrizations.spectral_norm(nn.Linear(9, 4))),
    "reuse": Reuse,
    "tied": Tied,
    "unused": Unused,
    "positions": Positions,
    "lstm": lambda: Recurrent("LSTM"),
    "deep lstm": lambda: Recurrent("LSTM", num_layers=2, bidirectional=True),
    "gru": lambda: Recurrent("GRU"),
    "rnn": lambda: Recurrent("RNN"),
    "attention": Attention,
    "layer norm": lambda: nn.Sequential(nn.Flatten(), nn.Linear(9, 5), nn.LayerNorm(5), nn.GELU(), nn.Linear(5, 4)),
    "partly frozen": partly_frozen,
    "frozen layer": frozen_layer,
}  # fmt: skip


def images(count=5):
    return Split(torch.randn(count, 1, 3, 3), torch.randint(4, (count,)))


def built(name, split):
    model = MODELS[name]()
    model(split.inputs)  # shapes and statistics
    return model.to(DEVICE)


def one_by_one(objective):
    """Row k is the gradient of sample k alone, by one backward pass each: nothing of the package but the model."""
    weights, rows = list(objective.parameters.values()), []
    for x, y in zip(objective.split.inputs, objective.split.targets):
        loss = functional.cross_entropy(objective.model(x[None]), y[None])
        parts = torch.autograd.grad(loss, weights, materialize_grads=True)
        rows.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(rows)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_single_samples(name, branch):
    split = images()
    objective = curvature.Objective(built(name, split), split)
    exact = one_by_one(objective)
    torch.testing.assert_close(curvature.per_sample_gradients(objective, chunk=2), exact, rtol=1e-10, atol=1e-13)
    fresh = curvature.Objective(objective.model, split)  # a Gram matrix first, with nothing learnt from rows
    torch.testing.assert_close(curvature.gram_matrix(fresh), exact @ exact.T, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(fresh.gradient(), exact.mean(0), rtol=1e-10, atol=1e-13)
    largest = np.linalg.eigvalsh(np.cov(array(exact.T), bias=True))[-1]
    for method in ("svd", "gram"):
        assert curvature.gradient_noise(fresh, method=method).eigenvalues[0] == pytest.approx(largest, rel=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_products_with_hessian_and_noise(name):
    split = images()
    objective = curvature.Objective(built(name, split), split)
    weights, gradients = objective.weights, one_by_one(objective)
    v = torch.randn(objective.dimension, dtype=DOUBLE).to(DEVICE)
    v /= v.norm()
    slopes = []
    for step in (1e-5, -1e-5):
        torch.nn.utils.vector_to_parameters(weights + step * v, objective.parameters.values())
        slopes.append(one_by_one(objective).mean(0))
    torch.nn.utils.vector_to_parameters(weights, objective.parameters.values())
    operator = curvature.Hessian(objective)
    torch.testing.assert_close(operator @ v, (slopes[0] - slopes[1]) / 2e-5, rtol=1e-4, atol=1e-6)
    pair = torch.stack([v, v.flip(0)], 1)
    torch.testing.assert_close((operator @ pair)[:, 0], operator @ v, rtol=1e-10, atol=1e-13)
    exact = torch.cov(gradients.T, correction=0)
    torch.testing.assert_close(curvature.Noise(objective) @ pair, exact @ pair, rtol=1e-9, atol=1e-12)


def test_the_fast_rule_serves_where_it_may():
    split = images()
    rules = {"in-place": "layers", "frozen layer": "layers", "standardised": "vmap", "reuse": "vmap", "gru": "loop"}
    for name, rule in rules.items():
        objective = curvature.Objective(built(name, split), split)
        curvature.per_sample_gradients(objective)
        assert objective.rules[0] == rule, name


def wrong_second_derivative():
    layer = nn.utils.weight_norm(nn.Linear(9, 4))
    with torch.no_grad():
        layer(torch.zeros(1, 9))
    return nn.Sequential(nn.Flatten(), layer)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")
def test_a_wrong_second_derivative_of_torch_is_refused():
    split = images()
    objective = curvature.Objective(wrong_second_derivative(), split)
    torch.testing.assert_close(curvature.per_sample_gradients(objective), one_by_one(objective), rtol=1e-10, atol=1e-13)
    with pytest.raises(ValueError, match="not symmetric"):
        curvature.Hessian(objective) @ torch.ones(objective.dimension)


# Losses and inputs --------------------------------------------------------------------------------------------------


class TwoInputs(nn.Module):
    """Two inputs by name, two outputs in a dict."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(3, 2), nn.Linear(2, 2, bias=False)

    def forward(self, left, right):
        return {"mean": torch.tanh(self.left(left)) + self.right(right)}


def squares(model, batch):
    return (model(**batch["inputs"])["mean"] - batch["target"]).square().sum(1)


def mean_square(model, batch):
    return squares(model, batch).mean()


def regression(loss=mean_square, count=7, **options):
    inputs = {"left": torch.randn(count, 3), "right": torch.randn(count, 2)}
    return curvature.Objective(TwoInputs(), {"inputs": inputs, "target": np.ones((count, 2))}, loss=loss, **options)


@pytest.mark.parametrize("loss", [mean_square, squares])
def test_a_regression_on_dictionaries(loss):
    objective = regression(loss, batch_size=3)
    weights, model = list(objective.parameters.values()), objective.model
    rows = []
    for k in range(objective.count):
        single = {"inputs": {name: x[k : k + 1] for name, x in objective.data["inputs"].items()}}
        value = mean_square(model, single | {"target": objective.data["target"][k : k + 1]})
        rows.append(objective.flat(torch.autograd.grad(value, weights)))
    exact = torch.stack(rows)
    torch.testing.assert_close(curvature.per_sample_gradients(objective), exact, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(objective.gradient(), exact.mean(0), rtol=1e-10, atol=1e-13)
    assert objective.value() == pytest.approx(mean_square(model, objective.data).item(), rel=1e-12)
    spectrum = curvature.spectrum(model=model, data=objective.data, loss=loss)
    whole = torch.autograd.functional.hessian(
        lambda x: objective.mean_loss(objective.data, dict(zip(objective.parameters, objective.unflat(x)))),
        objective.weights,
    )
    np.testing.assert_allclose(spectrum.nodes, np.linalg.eigvalsh(whole.numpy()), atol=1e-12)
    noise = curvature.spectrum(model=model, data=objective.data, loss=loss, of="noise")
    assert noise.largest[-1] == pytest.approx(np.linalg.eigvalsh(np.cov(exact.T.numpy(), bias=True))[-1], rel=1e-9)


def test_least_squares_have_the_hessian_of_their_normal_equations():
    x, y = torch.randn(30, 4, dtype=DOUBLE), torch.randn(30, 1, dtype=DOUBLE)
    objective = curvature.Objective(
        nn.Linear(4, 1), (x, y), loss=lambda model, batch: (model(batch[0]) - batch[1]).square().mean()
    )
    design = torch.cat([x, torch.ones(30, 1, dtype=DOUBLE)], 1)
    torch.testing.assert_close(curvature.Hessian(objective).matrix(), 2 * design.T @ design / 30)
    affine = curvature.Objective(nn.Linear(4, 1), (x, y), loss=lambda model, batch: model(batch[0])[:, 0])
    assert not curvature.Hessian(affine).matrix().any()


@pytest.mark.parametrize(
    "loss, words",
    [
        (lambda model, batch: squares(model, batch).sum(), "expected a mean over samples"),
        (lambda model, batch: squares(model, batch).mean() * len(batch["target"]), "expected a mean over samples"),
        (lambda model, batch: model(**batch["inputs"])["mean"].std(0, correction=0).sum(), "expected a mean over"),
        (lambda model, batch: model(**batch["inputs"])["mean"], r"one number a sample \(4,\)"),
        (lambda model, batch: 1.0, "expected a tensor"),
    ],
)
def test_what_is_no_mean_over_samples_is_refused(loss, words):
    with pytest.raises(ValueError, match=words):
        regression(loss)


@pytest.mark.parametrize("size", [600, 6])
def test_means_that_weigh_some_samples_more_are_refused(size):
    """Labels in order, so that a weight for each class changes nothing in a small part; two samples of padding."""
    torch.manual_seed(0)
    labels, x, model = torch.arange(3).repeat_interleave(6), torch.randn(18, 4), torch.nn.Linear(4, 3)
    padded, weight = labels.clone(), torch.tensor([1.0, 5.0, 0.2], dtype=torch.float64, device=DEVICE)
    padded[[1, 13]] = -100
    for targets, options in ((labels, {"weight": weight}), (padded, {})):

        def loss(model, batch, reduction="mean", options=options):
            return torch.nn.functional.cross_entropy(model(batch[0]), batch[1], reduction=reduction, **options)

        with pytest.raises(ValueError, match="class weights or padding return one number a sample"):
            curvature.Objective(model.to(DEVICE), (x, targets), loss=loss, batch_size=size)
        each = curvature.Objective(model, (x, targets), loss=lambda m, b, f=loss: f(m, b, "none"), batch_size=size)
        logits = model(x.to(DEVICE)).double()
        expected = torch.nn.functional.cross_entropy(logits, targets.to(DEVICE), reduction="none", **options).mean()
        assert each.value() == pytest.approx(expected.item(), rel=1e-5)


def test_samples_that_see_one_another_in_the_gradient_are_refused():
    """The value is a mean over samples, the gradient is not: the rows do not add up."""

    def loss(model, batch):
        values = squares(model, batch)
        return values.mean() + len(values) * (values.mean() - values.mean().detach())

    objective = regression(loss)
    for measure in (curvature.per_sample_gradients, curvature.gram_matrix):
        with pytest.raises(ValueError, match="do not see one another"):
            measure(objective)


@pytest.mark.parametrize(
    "data, words",
    [
        ({"inputs": {"left": torch.ones(2, 3), "right": torch.ones(3, 2)}, "target": torch.ones(2, 2)}, "at least one"),
        ({"inputs": 3}, "tensors, in tuples, lists or dicts"),
        (torch.tensor(1.0), "at least one sample"),
    ],
)
def test_bad_data_is_refused(data, words):
    with pytest.raises(ValueError, match=words):
        curvature.Objective(TwoInputs(), data, loss=mean_square)


# Blocks and statistics ----------------------------------------------------------------------------------------------


def test_a_block_is_the_block_of_the_whole():
    split = images(6)
    model = built("in-place after norm", split)
    whole = curvature.Objective(model, split)
    matrix, rows = curvature.Hessian(whole).matrix(), curvature.per_sample_gradients(whole)
    places = dict(zip(whole.parameters, torch.arange(whole.dimension).split(whole.sizes)))
    for wanted in (["0"], ["1.weight"], ["0.bias", "4"], "4.bias"):
        part = curvature.Objective(model, split, parameters=wanted)
        index = torch.cat([places[name] for name in part.parameters])
        torch.testing.assert_close(curvature.Hessian(part).matrix(), matrix[index][:, index], rtol=1e-9, atol=1e-13)
        torch.testing.assert_close(curvature.per_sample_gradients(part), rows[:, index], rtol=1e-9, atol=1e-13)
    with pytest.raises(ValueError, match="names of trainable parameters or of modules, such as '0.weight', got '7'"):
        curvature.Objective(model, split, parameters=["0", "7"])


def test_fresh_statistics_are_those_of_the_samples():
    split = images(40)
    model = plain(nn.BatchNorm2d(2), nn.ReLU())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    stale = curvature.Objective(model, split, statistics="running", batch_size=40)
    fresh = curvature.Objective(model, split, statistics="fresh", batch_size=40)
    with torch.no_grad():
        out = fresh.model[0](fresh.split.inputs).movedim(1, 0).flatten(1)
    torch.testing.assert_close(fresh.model[1].running_mean, out.mean(1))
    torch.testing.assert_close(fresh.model[1].running_var, out.var(1))
    assert abs(fresh.value() - stale.value()) > 1e-3
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
