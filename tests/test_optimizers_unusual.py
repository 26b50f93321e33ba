"""Unusual models, gradients and surroundings: each is a step of torch's own SGD, which ElasticSGD is with ρ = ∞."""

import copy
import math
import threading

import pytest

torch = pytest.importorskip("torch", reason='needs the extra "networks"')

from networks_device import DEVICE  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations  # noqa: E402
from torch.optim import lr_scheduler  # noqa: E402

from pdelab.networks import SGLD, ElasticSGD, EntropySGD, Parle  # noqa: E402
from pdelab.networks.curvature import Hessian, Objective, per_sample_gradients  # noqa: E402

pytestmark = pytest.mark.usefixtures("branch")


def ours(params, lr=0.05):
    return ElasticSGD(params, lr=lr, rho=math.inf)


def torchs(params, lr=0.05):
    return torch.optim.SGD(params, lr=lr, momentum=0.9, nesterov=True)


def vector(net):
    return torch.cat([p.detach().reshape(-1).double() for p in net.parameters()])


def train(net, opt, steps=6, shape=(8, 6), seed=0, before_step=None):
    generator = torch.Generator().manual_seed(seed)
    dtype = next(net.parameters()).dtype
    for k in range(steps):
        inputs = torch.randn(*shape, generator=generator, dtype=torch.float64).to(DEVICE, dtype)
        opt.zero_grad()
        net(inputs).square().mean().backward()
        if before_step:
            before_step(k, net)
        opt.step()


def chain(dtype=torch.float64):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).to(DEVICE, dtype)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))


class Odd(nn.Module):
    """A scalar, an empty parameter and one that is never used."""

    def __init__(self):
        super().__init__()
        self.scale, self.empty = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.zeros(0, 3))
        self.unused, self.linear = nn.Linear(2, 2), nn.Linear(6, 3)

    def forward(self, x):
        return self.scale * self.linear(x) + self.empty.sum()


def frozen():
    net = chain()
    net[0].weight.requires_grad_(False)
    return net


def halved(p):
    p.grad.mul_(0.5)


def hooked():
    net = chain()
    net[0].weight.register_hook(lambda g: 2 * g)
    net[2].weight.register_post_accumulate_grad_hook(halved)
    return net


def images():
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 2)).to(memory_format=torch.channels_last)


MODELS = {
    "tied layers": (Tied, (8, 6)),
    "a scalar, an empty and an unused parameter": (Odd, (8, 6)),
    "frozen": (frozen, (8, 6)),
    "weight normalised": (lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(6, 5)), nn.Tanh()), (8, 6)),
    "channels last": (images, (4, 2, 6, 6)),
    "compiled": (lambda: torch.compile(chain(), backend="eager"), (8, 6)),
    "gradient hooks": (hooked, (8, 6)),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, while its compiler is imported
@pytest.mark.parametrize("name", MODELS)
def test_unusual_models(name):
    make, shape = MODELS[name]
    torch.manual_seed(0)
    first = make().double().to(DEVICE)
    if name == "gradient hooks":  # a copy has none of them
        second = make().double().to(DEVICE)
    else:
        second = copy.deepcopy(first)
    for net, build in ((first, ours), (second, torchs)):
        train(net, build(net.parameters()), shape=shape)
    torch.testing.assert_close(vector(first), vector(second), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)])
def test_types(dtype, tolerance):
    one, two = chain(dtype), chain(dtype)
    train(one, ours(one.parameters()))
    train(two, torchs(two.parameters()))
    torch.testing.assert_close(vector(one), vector(two), rtol=0, atol=tolerance)


def toggled(k, net):
    net[0].weight.requires_grad_(k % 2 == 1)


def test_requires_grad_toggled_between_steps():
    one, two = chain(), chain()
    train(one, ours(one.parameters()), steps=8, before_step=toggled)
    train(two, torchs(two.parameters()), steps=8, before_step=toggled)
    torch.testing.assert_close(vector(one), vector(two), rtol=0, atol=1e-12)


SCHEDULERS = {
    "step": lambda opt: lr_scheduler.StepLR(opt, 2, 0.5),
    "cosine": lambda opt: lr_scheduler.CosineAnnealingLR(opt, 5),
    "lambda": lambda opt: lr_scheduler.LambdaLR(opt, lambda epoch: 0.9**epoch),
    "one cycle": lambda opt: lr_scheduler.OneCycleLR(opt, max_lr=0.1, total_steps=8),  # the momentum too
    "two": lambda opt: lr_scheduler.SequentialLR(
        opt, [lr_scheduler.ConstantLR(opt, 0.1), lr_scheduler.ExponentialLR(opt, 0.9)], [3]
    ),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_of_torch(name):
    nets = chain(), chain()
    for net, build in zip(nets, (ours, torchs)):
        opt = build(net.parameters())
        scheduler = SCHEDULERS[name](opt)
        for k in range(6):
            train(net, opt, steps=1, seed=k)
            scheduler.step()
    torch.testing.assert_close(vector(nets[0]), vector(nets[1]), rtol=0, atol=1e-12)


def gradients(kind, k):
    generator = torch.Generator().manual_seed(k)
    if kind == "transposed":
        return torch.randn(5, 4, generator=generator, dtype=torch.float64).to(DEVICE).t()
    if kind == "expanded":
        return torch.randn(1, generator=generator, dtype=torch.float64).to(DEVICE).expand(4, 5)
    return (
        torch.randn(4, 5, generator=generator, dtype=torch.complex128).to(DEVICE).conj().imag
    )  # its sign is a bit of the view


@pytest.mark.parametrize("kind", ["transposed", "expanded", "negated"])
def test_gradients_laid_out_differently(kind):
    one, two = (nn.Parameter(torch.ones(4, 5, dtype=torch.float64, device=DEVICE)) for _ in range(2))
    first, second = ours([one]), torchs([two])
    for k in range(3):
        one.grad = gradients(kind, k)
        two.grad = gradients(kind, k).clone()
        first.step()
        second.step()
    torch.testing.assert_close(one, two, rtol=0, atol=1e-13)


def test_an_optimizer_a_parameter_stepped_in_the_backward_pass():
    one, two = chain(), chain()
    for net, build in ((one, ours), (two, torchs)):
        optimizers = {p: build([p]) for p in net.parameters()}

        def step(p, optimizers=optimizers):
            optimizers[p].step()
            optimizers[p].zero_grad()

        for p in net.parameters():
            p.register_post_accumulate_grad_hook(step)
        for k in range(4):
            net(torch.full((3, 6), 0.1 * k + 0.2, dtype=torch.float64, device=DEVICE)).square().mean().backward()
    torch.testing.assert_close(vector(one), vector(two), rtol=0, atol=1e-12)


def test_gradient_penalties_and_another_thread():
    one, two = chain(), chain()

    def penalised(net, opt):
        inputs = torch.randn(8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).to(DEVICE)
        for _ in range(3):
            opt.zero_grad()
            loss = net(inputs).square().mean()
            slopes = torch.autograd.grad(loss, net.parameters(), create_graph=True)
            (loss + 0.1 * sum(slope.square().sum() for slope in slopes)).backward()
            opt.step()

    thread = threading.Thread(target=penalised, args=(one, ours(one.parameters())))
    thread.start()
    thread.join()
    penalised(two, torchs(two.parameters()))
    torch.testing.assert_close(vector(one), vector(two), rtol=0, atol=1e-12)


def test_weights_loaded_in_the_middle_and_names_of_parameters():
    one, two, other = chain(), chain(), chain()
    with torch.no_grad():
        for p in other.parameters():
            p.mul_(0.5)
    for net, build in ((one, ours), (two, torchs)):
        opt = build(net.named_parameters())
        train(net, opt, steps=3)
        net.load_state_dict(other.state_dict())
        train(net, opt, steps=3)
    torch.testing.assert_close(vector(one), vector(two), rtol=0, atol=1e-12)


@pytest.mark.parametrize("build", [SGLD, EntropySGD, Parle])
def test_parameters_without_numbers_are_refused_in_words(build):
    with torch.device("meta"):
        nowhere = nn.Linear(3, 3)
    for parameters, words in (
        (nowhere.parameters(), "on meta"),
        (nn.LazyLinear(3).parameters(), "a lazy one"),
        ([nn.Parameter(torch.ones(3, dtype=torch.complex64))], "view_as_real"),
    ):
        with pytest.raises(ValueError, match=words):
            build(parameters)


@pytest.mark.parametrize("steps", [2, 3])
def test_parameters_exchanged_in_a_group_are_refused(steps):
    """At the beginning of a loop and in the middle of one."""
    net, other = chain(), chain()
    opt = EntropySGD(net.parameters(), inner_steps=2)
    train(net, opt, steps=steps)
    opt.param_groups[0]["params"] = list(other.parameters())
    with pytest.raises(RuntimeError, match="the parameters of a group were exchanged"):
        train(other, opt, steps=1)


# curvature


def second_derivatives(model, inputs, labels):
    weights = [p for p in model.parameters() if p.requires_grad]
    loss = nn.functional.cross_entropy(model(inputs), labels)
    options = {"retain_graph": True, "materialize_grads": True}
    slopes = torch.autograd.grad(loss, weights, create_graph=True, materialize_grads=True)
    entries = torch.cat([slope.reshape(-1) for slope in slopes])
    rows = [torch.autograd.grad(entry, weights, **options) if entry.requires_grad else weights for entry in entries]
    return torch.stack([
        torch.cat([part.reshape(-1) for part in row]) if entry.requires_grad else torch.zeros_like(entries)
        for row, entry in zip(rows, entries)
    ])  # fmt: skip


class Doubled(nn.Linear):
    def forward(self, x):
        return 2.0 * super().forward(x)


CURVED = {
    "tied layers": Tied,
    "a scalar, an empty and an unused parameter": Odd,
    "frozen": frozen,
    "overwritten": lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(inplace=True), nn.Linear(5, 3)),
    "layer norm": lambda: nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.GELU(), nn.Linear(5, 3)),
    "a subclass": lambda: nn.Sequential(Doubled(6, 5), nn.Tanh(), nn.Linear(5, 3)),
}


@pytest.mark.parametrize("name", CURVED)
def test_curvature_of_unusual_models(name):
    torch.manual_seed(0)
    model = CURVED[name]().double().to(DEVICE)
    inputs = torch.randn(7, 6, dtype=torch.float64).to(DEVICE)
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 2], device=DEVICE)
    objective = Objective(model, (inputs, labels))
    hessian = Hessian(objective) @ torch.eye(objective.dimension, dtype=torch.float64, device=DEVICE)
    torch.testing.assert_close(hessian, second_derivatives(model, inputs, labels), rtol=0, atol=1e-12)
    weights = [p for p in model.parameters() if p.requires_grad]
    for row, x, y in zip(per_sample_gradients(objective), inputs, labels):
        loss = nn.functional.cross_entropy(model(x[None]), y[None])
        exact = torch.autograd.grad(loss, weights, materialize_grads=True)
        torch.testing.assert_close(row, torch.cat([part.reshape(-1) for part in exact]), rtol=0, atol=1e-12)


def test_weights_that_cannot_be_differentiated_by_are_refused():
    with torch.device("meta"):
        nowhere = nn.Linear(3, 3)
    waves = nn.Module()
    waves.weight = nn.Parameter(torch.ones(3, dtype=torch.complex64))
    for model, words in ((nowhere, "on the device meta"), (nn.LazyLinear(3), "a lazy one"), (waves, "a complex one")):
        with pytest.raises(ValueError, match=words):
            Objective(model, (torch.ones(4, 3), torch.zeros(4, dtype=torch.int64)))
