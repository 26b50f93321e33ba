"""The optimizers against slow references written from the equations, and against what users expect of an optimizer."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

import networks_reference as reference  # noqa: E402

from pdelab.networks import (  # noqa: E402
    HJ,
    SGLD,
    DiLoCo,
    ElasticSGD,
    EntropySGD,
    Exponential,
    Heat,
    LocalEntropy,
    LocalSGD,
    Parle,
    Trivialized,
    TrivializedSGD,
)
from pdelab.networks.optimizers.thermal import normals, tick  # noqa: E402

ENGINES = ("fused", "torch", "foreach")
SHAPES = ((3, 4), (4,), (70,))
SIZES = [int(np.prod(s)) for s in SHAPES]


def problem(seed=0):
    """A smooth, non-convex loss of 86 numbers with a gradient that changes from step to step: (start, gradient)."""
    rng = np.random.default_rng(seed)
    n = sum(SIZES)
    scale, centre, shifts = rng.uniform(0.2, 3.0, n), rng.normal(size=n), rng.normal(size=(7, n))

    def gradient(w, k):
        return scale * (w - centre) + 0.5 * np.sin(3.0 * w) + 0.1 * shifts[k % 7]

    return rng.normal(size=n), gradient


def parameters(x, dtype=torch.float64):
    parts = np.split(np.asarray(x), np.cumsum(SIZES)[:-1])
    return [torch.nn.Parameter(torch.tensor(p, dtype=dtype).reshape(s)) for p, s in zip(parts, SHAPES)]


def vector(tensors):
    return np.concatenate([t.detach().numpy().ravel() for t in tensors])


def give(params, g):
    for p, part, shape in zip(params, np.split(g, np.cumsum(SIZES)[:-1]), SHAPES):
        p.grad = torch.tensor(part, dtype=p.dtype).reshape(shape)


def compact(columns):
    """Numbers of the padded columns that belong to tensors: the layout gives each tensor whole tiles of 64."""
    starts = np.concatenate([[0], np.cumsum([-(-n // 64) * 64 for n in SIZES])])
    return np.concatenate([columns[s : s + n] for s, n in zip(starts, SIZES)])


def noise(seed, stream=0):
    tiles = sum(-(-n // 64) for n in SIZES)
    return lambda outer, inner: compact(normals(tiles, torch.float64, "cpu", seed, stream, tick(outer, inner)).numpy())


def close(got, expected, tolerance, message=""):
    np.testing.assert_allclose(
        got, expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max()), err_msg=message
    )


def follow(opt, params, gradient, expected, tolerance=1e-13):
    """The optimizer's parameters equal the reference's inner weights after every step, its outer weights at the end."""
    steps = 0
    for k, (x, y) in enumerate(expected):
        give(params, gradient(vector(params), k))
        opt.step()
        close(vector(params), y, tolerance, f"inner weights, step {k}")
        with opt.outer_weights():
            close(vector(params), x, tolerance, f"outer weights, step {k}")
        steps += 1
    assert steps > 5


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("variant", ["thesis", "paper", "official"])
@pytest.mark.parametrize("momenta", [(0.0, 0.0, True), (0.9, 0.0, True), (0.6, 0.5, True), (0.6, 0.5, False)])
def test_entropy_sgd_is_algorithm_2(engine, variant, momenta):
    x, gradient = problem()
    schedule = Exponential(2.0, 0.1, low=1.5)
    settings = {
        "lr": 0.7, "inner_lr": 0.05, "inner_steps": 4, "gamma": schedule, "averaging": 0.6, "temperature": 1e-3,
        "momentum": momenta[0], "outer_momentum": momenta[1], "nesterov": momenta[2], "weight_decay": 0.01,
        "variant": variant,
    }  # fmt: skip
    params = parameters(x)
    opt = EntropySGD(params, seed=5, engine=engine, **settings)
    follow(opt, params, gradient, reference.entropy_sgd(gradient, x, 6, noise=noise(5), **settings))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("form", ["4.40", "4.42"])
@pytest.mark.parametrize("steps, momenta", [(5, (0.0, 0.0)), (3, (0.8, 0.4)), (1, (0.5, 0.5))])
def test_hj_in_both_forms(engine, form, steps, momenta):
    x, gradient = problem()
    settings = {
        "lr": 0.3, "inner_lr": 0.05, "inner_steps": steps, "gamma": Exponential(0.5, 0.1), "momentum": momenta[0],
        "outer_momentum": momenta[1], "weight_decay": 0.02,
    }  # fmt: skip
    params = parameters(x)
    opt = HJ(params, form=form, engine=engine, **settings)
    if form == "4.40":
        expected = reference.entropy_sgd(gradient, x, 7, averaging=1.0, **settings)
    else:
        expected = reference.hj(gradient, x, 7, **settings)
    follow(opt, params, gradient, expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_heat_is_4_43(engine):
    x, gradient = problem()
    settings = {
        "lr": 0.2, "inner_steps": 4, "gamma": Exponential(0.05, 0.2), "temperature": 0.7, "momentum": 0.6,
        "weight_decay": 0.01,
    }  # fmt: skip
    params = parameters(x)
    opt = Heat(params, seed=3, engine=engine, **settings)
    close(vector(params), x + np.sqrt(0.05 * 0.7) * noise(3)(0, 0), 1e-14)
    follow(opt, params, gradient, reference.heat(gradient, x, 4, noise=noise(3), **settings))


@pytest.mark.parametrize("engine", ENGINES)
def test_sgld(engine):
    x, gradient = problem()
    settings = {"lr": 0.1, "temperature": 0.3, "decay": 0.4, "weight_decay": 0.05}
    params = parameters(x)
    opt = SGLD(params, seed=11, engine=engine, **settings)
    follow(opt, params, gradient, reference.sgld(gradient, x, 12, noise=noise(11), **settings))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("wrapped", [False, True])
def test_trivialized_sgd_is_algorithm_1(engine, wrapped):
    x, gradient = problem()
    settings = {"layers": 5, "coupling": 0.3, "decay_steps": 4.0}
    params = parameters(x)
    if wrapped:
        opt = Trivialized(
            params, lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.7, nesterov=True, weight_decay=0.03),
            seed=2, engine=engine, **settings,
        )  # fmt: skip
    else:
        opt = TrivializedSGD(params, lr=0.1, momentum=0.7, weight_decay=0.03, seed=2, engine=engine, **settings)
    expected = reference.trivialized_sgd(
        gradient, x, 12, lr=0.1, momentum=0.7, weight_decay=0.03, field=noise(2)(0, 0), **settings
    )
    follow(opt, params, gradient, expected)


@pytest.mark.parametrize("maximize", [False, True])
def test_local_entropy_gradient_under_adam(maximize):
    """The base optimizer sees γ⁻¹ (x - z): compared with torch's own Adam fed by the slow reference."""
    x, gradient = problem()
    inner = {"inner_lr": 0.05, "inner_steps": 4, "gamma": 2.0, "averaging": 0.6, "temperature": 1e-3}
    params, twins = parameters(x), parameters(x)
    opt = LocalEntropy(
        params, lambda g: torch.optim.Adam(g, lr=0.05, weight_decay=0.01, maximize=maximize), inner_momentum=0.5,
        inner_weight_decay=0.02, seed=4, **inner,
    )  # fmt: skip
    adam = torch.optim.Adam(twins, lr=0.05, weight_decay=0.01, maximize=maximize)
    sign = -1.0 if maximize else 1.0
    for t in range(5):
        start = vector(twins)
        loop = reference.entropy_sgd(
            lambda w, k, t=t: sign * gradient(w, 4 * t + k), start, 1, lr=1.0, momentum=0.5, weight_decay=0.02,
            noise=lambda _, k, t=t: noise(4)(t, k), **inner,
        )  # fmt: skip
        for k, (z, y) in enumerate(loop):
            give(params, gradient(vector(params), 4 * t + k))
            opt.step()
            if k < 3:
                close(vector(params), y, 1e-13)
        give(twins, sign * (start - z) / 2.0)
        adam.step()
        close(vector(params), vector(twins), 1e-12)
    assert [p.grad is not None for p in params] == [True] * 3


def replicas_problem(n):
    x, gradient = problem()
    shift = np.random.default_rng(8).normal(size=(n, x.size))
    return x, lambda w, k, a: gradient(w, k) + 0.3 * shift[a]


def follow_replicas(opt, params, gradients, expected, n, tolerance=1e-12):
    share, steps = len(params) // n, 0
    nets = [params[a * share : (a + 1) * share] for a in range(n)]
    for k, (master, inner) in enumerate(expected):
        for a, net in enumerate(nets):
            give(net, gradients(vector(net), k, a))
        opt.step()
        for a, net in enumerate(nets):
            close(vector(net), inner[a], tolerance, f"replica {a}, step {k}")
        with opt.outer_weights():
            for net in nets:
                close(vector(net), master, tolerance, f"master, step {k}")
        steps += 1
    assert steps > 5


def replicas(x, n):
    return [p for _ in range(n) for p in parameters(x)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("variant, order, master_lr, period", [
    ("thesis", "gauss-seidel", None, 1), ("thesis", "jacobi", 0.05, 1), ("thesis", "gauss-seidel", 0.02, 3),
    ("official", "gauss-seidel", None, 3),
])  # fmt: skip
def test_elastic_sgd_is_5_4(engine, variant, order, master_lr, period):
    n = 3
    x, gradients = replicas_problem(n)
    settings = {
        "lr": 0.1, "rho": Exponential(1.0, 0.1, low=0.5), "period": period, "momentum": 0.5, "weight_decay": 0.01,
        "master_lr": master_lr, "order": order, "variant": variant,
    }  # fmt: skip
    params = replicas(x, n)
    opt = ElasticSGD(params, replicas=n, engine=engine, **settings)
    follow_replicas(opt, params, gradients, reference.elastic_sgd(gradients, [x] * n, 12, **settings), n)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("variant, order, master_lr, elastic", [
    ("thesis", "gauss-seidel", None, 1.0), ("thesis", "jacobi", 0.1, 0.5), ("paper", "jacobi", 0.2, 1.0),
])  # fmt: skip
def test_parle_is_5_8(engine, variant, order, master_lr, elastic):
    n = 3
    x, gradients = replicas_problem(n)
    settings = {
        "lr": 0.2, "inner_lr": 0.05, "inner_steps": 4, "gamma": Exponential(3.0, 0.1), "rho": Exponential(1.0, 0.1),
        "averaging": 0.6, "temperature": 1e-3, "momentum": 0.5, "outer_momentum": 0.3, "weight_decay": 0.01,
        "elastic": elastic, "master_lr": master_lr, "order": order, "variant": variant,
    }  # fmt: skip
    params = replicas(x, n)
    opt = Parle(params, replicas=n, seed=6, engine=engine, **settings)
    noises = [noise(6, a << 8) for a in range(n)]
    follow_replicas(opt, params, gradients, reference.parle(gradients, [x] * n, 5, noises=noises, **settings), n)


def test_parle_official_follows_the_script():
    n = 3
    x, gradients = replicas_problem(n)
    settings = {
        "lr": 0.05, "inner_lr": 0.05, "inner_steps": 4, "gamma": 3.0, "rho": 2.0, "averaging": 0.25, "momentum": 0.5,
        "outer_momentum": 0.3,
    }  # fmt: skip
    params = replicas(x, n)
    opt = Parle(params, replicas=n, variant="official", **settings)
    follow_replicas(opt, params, gradients, reference.parle_official(gradients, [x] * n, 5, **settings), n)


@pytest.mark.parametrize("kind", ["diloco", "local"])
def test_diloco_and_local_sgd(kind):
    n = 3
    x, gradients = replicas_problem(n)
    params = replicas(x, n)
    base = lambda groups: torch.optim.SGD(groups, lr=0.05)  # noqa: E731
    if kind == "diloco":
        opt, outer = DiLoCo(params, base, 4, replicas=n), {"outer_lr": 0.7, "outer_momentum": 0.9}
    else:
        opt, outer = LocalSGD(params, base, 4, replicas=n), {"outer_lr": 1.0, "outer_momentum": 0.0}
    follow_replicas(opt, params, gradients, reference.diloco(gradients, [x] * n, 5, lr=0.05, period=4, **outer), n)
