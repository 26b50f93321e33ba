"""The optimizers against slow references written from the equations, and against what users expect of an optimizer."""

import copy
import doctest
import importlib
import subprocess
import sys
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

import networks_reference as reference  # noqa: E402
from optimizers_shared import DEVICE, ENGINES, NAMES, SIZES, build, feed, give, parameters, problem, vector  # noqa: E402

from pdelab.networks import (  # noqa: E402
    HJ,
    SGLD,
    BoundedExponential,
    DiLoCo,
    ElasticSGD,
    EntropyAdam,
    EntropySGD,
    Exponential,
    Heat,
    Linear,
    LocalEntropy,
    LocalSGD,
    Parle,
    Quadratic,
    Trivialized,
    TrivializedSGD,
    trajectory,
    update_bn,
)
from pdelab.networks.devices import generic  # noqa: E402
from pdelab.networks.optimizers.engines import by_torch  # noqa: E402
from pdelab.networks.optimizers.replicas import ORDERS  # noqa: E402
from pdelab.networks.optimizers.thermal import normals, threefry, tick  # noqa: E402

pytestmark = pytest.mark.usefixtures("branch")


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
        "lr": 0.7, "inner_lr": 0.05, "inner_steps": 4, "gamma": schedule, "averaging": 0.6,
        "temperature": 0.0 if momenta == (0.6, 0.5, True) else 1e-3,  # the fused engine has a loop for no noise
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
    inner = {"inner_lr": 0.05, "inner_steps": 4, "averaging": 0.6, "temperature": 1e-3}
    gamma = Exponential(2.0, 0.1)
    params, twins = parameters(x), parameters(x)
    opt = LocalEntropy(
        params, lambda g: torch.optim.Adam(g, lr=0.05, weight_decay=0.01, maximize=maximize), inner_momentum=0.5,
        inner_weight_decay=0.02, seed=4, gamma=gamma, **inner,
    )  # fmt: skip
    adam = torch.optim.Adam(twins, lr=0.05, weight_decay=0.01, maximize=maximize)
    sign = -1.0 if maximize else 1.0
    for t in range(5):
        start = vector(twins)
        loop = reference.entropy_sgd(
            lambda w, k, t=t: sign * gradient(w, 4 * t + k), start, 1, lr=1.0, momentum=0.5, weight_decay=0.02,
            noise=lambda _, k, t=t: noise(4)(t, k), gamma=gamma(t), **inner,
        )  # fmt: skip
        for k, (outer, y) in enumerate(loop):
            give(params, gradient(vector(params), 4 * t + k))
            opt.step()
            if k < 3:
                close(vector(params), y, 1e-13)
            average = outer  # with lr = 1 the reference's last outer weights are z
        give(twins, sign * (start - average) / gamma(t))
        adam.step()
        close(vector(params), vector(twins), 1e-12)
    assert [p.grad is not None for p in params] == [True] * 3


def test_the_printed_master_order_averages_the_old_replicas_in_the_authors_variant_too():
    """Two means are formed in that loop: the first must outlive the second."""
    x, gradient = problem()
    params = parameters(x) + parameters(x)
    opt = Parle(params, variant="official", order="jacobi", inner_steps=3, inner_lr=0.05, replicas=2)
    feed(opt, params, gradient, 0, 3)
    assert not np.allclose(vector(params[:3]), x)
    with opt.outer_weights():
        close(vector(params[:3]), x, 0.0)


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
    ("official", "gauss-seidel", None, 3), ("official", "gauss-seidel", 0.02, 3),
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


@pytest.mark.parametrize("kind", ["diloco", "heavy ball", "local"])
def test_diloco_and_local_sgd(kind):
    n = 3
    x, gradients = replicas_problem(n)
    params = replicas(x, n)
    base = lambda groups: torch.optim.SGD(groups, lr=0.05)  # noqa: E731
    if kind == "diloco":
        opt, outer = DiLoCo(params, base, 4, replicas=n), {"outer_lr": 0.7, "outer_momentum": 0.9}
    elif kind == "heavy ball":
        opt = DiLoCo(params, base, 4, outer_nesterov=False, replicas=n)
        outer = {"outer_lr": 0.7, "outer_momentum": 0.9, "nesterov": False}
    else:
        opt, outer = LocalSGD(params, base, 4, replicas=n), {"outer_lr": 1.0, "outer_momentum": 0.0}
    follow_replicas(opt, params, gradients, reference.diloco(gradients, [x] * n, 5, lr=0.05, period=4, **outer), n)


# exact answers


def test_threefry_gives_the_published_numbers():
    """Random123's known answers for threefry2x64, 13 and 20 rounds."""
    known = {
        (13, 0): ("f167b032c3b480bd", "e91f9fee4b7a6fb5"), (20, 0): ("c2b6e3a8c2c69865", "6f81ed42f350084d"),
        (13, -1): ("ccdec5c917a874b1", "4df53abca26ceb01"), (20, -1): ("e02cb7c4d95d277a", "d06633d0893b8b68"),
    }  # fmt: skip
    for (rounds, word), answer in known.items():
        counter = torch.tensor(word)
        words = threefry(counter, counter, word % 2**64, word % 2**64, rounds)
        assert tuple(f"{int(v) % 2**64:016x}" for v in words) == answer


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_noise_is_standard_normal_and_never_repeats(dtype):
    keys = [(stream, tick(t, k)) for stream in (0, 256) for t in (0, 1) for k in (0, 1)]
    rows = torch.stack([normals(512, dtype, "cpu", 1, *key) for key in keys]).double()
    n = rows.shape[1]
    assert n == 64 * 512
    assert (rows.mean(1).abs() < 4.5 / n**0.5).all()
    assert ((rows.var(1) - 1).abs() < 4.5 * (2 / n) ** 0.5).all()
    assert (((rows**4).mean(1) - 3).abs() < 4.5 * (96 / n) ** 0.5).all()
    correlation = torch.corrcoef(rows) - torch.eye(len(rows), dtype=torch.float64)
    assert correlation.abs().max() < 4.5 / n**0.5
    part = normals(2, dtype, "cpu", 1, 0, tick(0, 0), first=7)
    assert torch.equal(part, normals(9, dtype, "cpu", 1, 0, tick(0, 0))[-128:])


PARLE = {"lr": 0.1, "inner_lr": 0.1, "inner_steps": 25, "gamma": 5.0, "rho": 0.8, "averaging": 0.75}
CENTRES = np.array([-1.0, 0.5, 2.0])
STILL = {"momentum": 0.0, "outer_momentum": 0.0}


def parle_on_quadratics(h, outers, order="gauss-seidel", start=(1.0, -2.0, 0.5), **changes):
    """Master and replicas after every outer step on f_a = (h/2)(x - c_a)², n = 3, c = CENTRES; η₂ = 0.1."""
    settings = PARLE | STILL | changes
    params = [torch.nn.Parameter(torch.tensor([v], dtype=torch.float64, device=DEVICE)) for v in start]
    opt = Parle(params, replicas=3, order=order, init="independent", **settings)
    seen = [[np.mean(start), *start]]
    for k in range(outers * settings["inner_steps"]):
        for p, c in zip(params, CENTRES):
            p.grad = h * (p.detach() - c)
        opt.step()
        if (k + 1) % settings["inner_steps"] == 0:
            replicas = [p.item() for p in params]
            with opt.outer_weights():
                seen.append([params[0].item(), *replicas])
    return np.array(seen)


def contraction(h, L=25, a=0.75, inner_lr=0.1, gamma=5.0, lr=0.1):
    """p of C5.8-q: an outer step moves x - c by -p (x - c)."""
    alpha, m = 1 - a, 1 - inner_lr * (h + 1 / gamma)
    G = alpha**L + (1 - alpha) * m * (m**L - alpha**L) / (m - alpha)
    return lr * gamma * h / (1 + gamma * h) * (1 - G)


def master_matrix(p, e, s, order):
    """How an outer step maps (mean of the replicas, master), C5.8-q."""
    if order == "jacobi":
        return np.array([[1 - p - e, e], [s, 1 - s]])
    return np.array([[1 - p - e, e], [s * (1 - p - e), 1 - s + s * e]])


def slowest(matrix):
    return np.abs(np.linalg.eigvals(matrix)).max()


@pytest.mark.parametrize("s", [1.0, 0.375])
@pytest.mark.parametrize("order, printed", [
    ("jacobi", {1.0: 0.92969, 0.3: 0.96189, 2.0: 0.92014}),
    ("gauss-seidel", {1.0: 0.92024, 0.3: 0.95694, 2.0: 0.90929}),
])  # fmt: skip
def test_parle_contracts_as_predicted(order, printed, s):
    """C5.8-q: the master and mean modes by the matrix, the differences by 1 - p - e, the fixed point; s = η₃ n/ρ."""
    e, differences = 0.125, {1.0: 0.79524, 0.3: 0.83194, 2.0: 0.78429}
    for h in printed:
        p = contraction(h)
        matrix = master_matrix(p, e, s, order)
        assert s != 1.0 or abs(slowest(matrix) - printed[h]) < 6e-6
        assert abs(1 - p - e - differences[h]) < 6e-6
        rate = None if s == 1.0 else s * 0.8 / 3
        limit = CENTRES.mean() + p * (CENTRES - CENTRES.mean()) / (p + e)
        seen = parle_on_quadratics(h, 6, order, master_lr=rate)
        modes = np.stack([seen[:, 1:].mean(1), seen[:, 0]], 1) - CENTRES.mean()
        close(modes[1:], modes[:-1] @ matrix.T, 1e-14)
        spread = (seen[:, 1:] - limit) - (seen[:, 1:] - limit).mean(1, keepdims=True)
        close(spread[1:], (1 - p - e) * spread[:-1], 1e-14)
        close(parle_on_quadratics(h, 3, order, start=limit, master_lr=rate)[-1], [CENTRES.mean(), *limit], 1e-14)


@pytest.mark.parametrize("rho, printed", [(0.12, 0.9879), (0.1, 1.0112), (0.09, 1.1229)])
def test_the_printed_master_order_is_unstable_and_the_default_is_not(rho, printed):
    """C5.8-stab: h = 0.3, η = 0.1, γ = 1, master_lr = ρ/n; unstable iff e = η/ρ > 1 - p/2."""
    p, e = contraction(0.3, gamma=1.0), 0.1 / rho
    assert abs(slowest(master_matrix(p, e, 1.0, "jacobi")) - printed) < 6e-5
    assert (printed > 1) == (e > 1 - p / 2)
    for order, factor in (("jacobi", printed), ("gauss-seidel", 0.9777)):
        seen = parle_on_quadratics(0.3, 4, order, gamma=1.0, rho=rho) - 0.5
        modes = np.stack([seen[:, 1:].mean(1), seen[:, 0]], 1)
        measured = np.linalg.lstsq(modes[:-1], modes[1:], rcond=None)[0]
        assert abs(slowest(measured) - factor) < 6e-5


def test_the_printed_master_order_blows_up():
    away = {order: abs(parle_on_quadratics(0.3, 90, order, gamma=1.0, rho=0.09)[-1, 0] - 0.5) for order in ORDERS}
    assert away["jacobi"] > 50.0
    assert away["gauss-seidel"] < 0.2


def test_parle_is_sgd_elastic_sgd_and_entropy_sgd_in_the_corrected_limits():
    x, gradients = replicas_problem(3)
    single = lambda w, k: gradients(w, k, 0)  # noqa: E731
    limit = {"inner_steps": 1, "gamma": np.inf, "averaging": 1.0, "lr": 1.0} | STILL
    sgd, ours = parameters(x), parameters(x)
    run([Parle(ours, inner_lr=0.07, rho=np.inf, **limit), torch.optim.SGD(sgd, lr=0.07)], [ours, sgd], single, 40)
    close(vector(ours), vector(sgd), 1e-15)
    ours, damped = parameters(x), parameters(x)
    run(
        [Parle(ours, inner_lr=0.07, rho=np.inf, **limit | {"averaging": 0.75, "lr": 0.5}),
         torch.optim.SGD(damped, lr=0.75 * 0.5 * 0.07)], [ours, damped], single, 40,
    )  # fmt: skip
    close(vector(ours), vector(damped), 1e-15)
    ours, elastic = replicas(x, 3), replicas(x, 3)
    settings = {"rho": 0.8, "master_lr": 0.05, "replicas": 3, "order": "jacobi"}
    a = Parle(ours, inner_lr=0.07, elastic=0.07, **limit, **settings)
    b = ElasticSGD(elastic, lr=0.07, momentum=0.0, **settings)
    for k in range(40):
        for params in (ours, elastic):
            for r in range(3):
                give(params[3 * r : 3 * r + 3], gradients(vector(params[3 * r : 3 * r + 3]), k, r))
        a.step()
        b.step()
    close(vector(ours), vector(elastic), 1e-15)


def run(optimizers, sets, gradient, steps):
    for k in range(steps):
        for opt, params in zip(optimizers, sets):
            give(params, gradient(vector(params), k))
            opt.step()


def test_parle_with_one_replica_is_entropy_sgd_bit_for_bit():
    x, gradient = problem()
    ours, twins = parameters(x), parameters(x)
    settings = {
        "lr": 0.3,
        "inner_lr": 0.05,
        "inner_steps": 6,
        "gamma": 2.0,
        "temperature": 1e-3,
        "outer_momentum": 0.5,
        "seed": 3,
    }
    a, b = Parle(ours, rho=np.inf, **settings), EntropySGD(twins, **settings)
    for k in range(30):
        run([a, b], [ours, twins], lambda w, _, k=k: gradient(w, k), 1)
        assert (vector(ours) == vector(twins)).all()


def test_entropy_sgd_follows_the_local_entropy_gradient_of_a_quadratic():
    """(3.10), (5.7): on f = x'Ax/2 the exact gradient is A (I + γA)⁻¹ x; a long averaged inner loop finds it."""
    A = np.diag([0.3, 1.0, 2.5])
    start, gamma = np.array([1.0, -2.0, 0.7]), 0.8
    build = lambda p: EntropySGD(p, lr=0.5, inner_lr=0.05, inner_steps=2000, gamma=gamma, momentum=0.0)  # noqa: E731
    end = trajectory(build, lambda w: A @ w, start, 2000)[-1]
    exact = A @ np.linalg.solve(np.eye(3) + gamma * A, start)
    close((start - end) / (0.5 * gamma), exact, 1e-12)


@pytest.mark.parametrize("form", ["4.40", "4.42"])
def test_hj_steps_to_the_proximal_point(form):
    """The inner loop converges to y = prox: x - y = γ ∇f(y); (4.40) with η = 1 and (4.42) with η = γ land there."""
    f1 = lambda w: w**3 - w + 2.0 * np.cos(3.0 * w)  # noqa: E731
    gamma, x = 0.05, 1.3
    lr = 1.0 if form == "4.40" else gamma
    build = lambda p: HJ(p, lr=lr, inner_lr=0.02, inner_steps=3000, gamma=gamma, momentum=0.0, form=form)  # noqa: E731
    y = trajectory(build, f1, [x], 3000)[-1, 0]
    assert abs(x - y - gamma * f1(y)) < 1e-14


@pytest.mark.parametrize("variant, scope", [("thesis", 0.08), ("paper", 0.02)])
def test_momentum_outside_the_pull_widens_the_scope(variant, scope):
    """N(∇f) alone weighs gradients 1/(1 - μ) times: the loop settles at scope γ/(1 - μ); with the pull inside, at γ."""
    f1 = lambda w: w**3 - w + 2.0 * np.cos(3.0 * w)  # noqa: E731
    build = lambda p: EntropySGD(  # noqa: E731
        p, lr=1.0 if variant == "thesis" else 0.02, inner_lr=0.005, inner_steps=4000, gamma=0.02, momentum=0.75,
        averaging=1.0, variant=variant,
    )  # fmt: skip
    y = trajectory(build, f1, [1.3], 4000)[-1, 0]
    assert abs(1.3 - y - scope * f1(y)) < 1e-13


def test_langevin_has_the_right_temperature():
    """SGLD on h x²/2: variance T/(h (1 - ηh/2)) exactly, measured over 40,000 chains."""
    n, h, lr, T = 40_000, 1.7, 0.2, 0.3
    w = torch.nn.Parameter(torch.zeros(n, dtype=torch.float64, device=DEVICE))
    opt = SGLD([w], lr=lr, temperature=T, seed=1)
    for _ in range(60):
        w.grad = h * w.detach()
        opt.step()
    variance, exact = w.detach().var().item(), T / (h * (1 - lr * h / 2))
    assert abs(variance / exact - 1) < 4 * (2 / n) ** 0.5


def test_the_inner_loop_samples_the_local_gibbs_law():
    """Algorithm 2, line 4: with x held (lr = 0) y has mean x/(1 + γh) and variance T/(a (1 - η'a/2)), a = h + 1/γ."""
    n, h, gamma, eta, T = 40_000, 0.9, 0.6, 0.2, 0.4
    w = torch.nn.Parameter(torch.ones(n, dtype=torch.float64, device=DEVICE))
    opt = EntropySGD([w], lr=0.0, inner_lr=eta, inner_steps=100, gamma=gamma, temperature=T, momentum=0.0, seed=2)
    for _ in range(60):
        w.grad = h * w.detach()
        opt.step()
    y, a = w.detach(), h + 1 / gamma
    exact = T / (a * (1 - eta * a / 2))
    assert abs(y.var().item() / exact - 1) < 4 * (2 / n) ** 0.5
    assert abs(y.mean().item() - 1 / (1 + gamma * h)) < 4 * (exact / n) ** 0.5
    with opt.outer_weights():
        assert (w == 1).all()


def test_heat_perturbs_with_variance_gamma_temperature():
    w = torch.nn.Parameter(torch.zeros(40_000, dtype=torch.float64, device=DEVICE))
    opt = Heat([w], gamma=0.3, temperature=0.5, seed=9)
    assert abs(w.detach().var().item() / 0.15 - 1) < 4 * (2 / w.numel()) ** 0.5
    with opt.outer_weights():
        assert (w == 0).all()


# what users expect


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_resumes_bit_for_bit_at_any_step(name, dtype, tmp_path):
    """Through torch.save and torch.load(weights_only=True), saved in training and in evaluation mode."""
    x, gradient = problem()
    params = parameters(x, dtype) + parameters(x, dtype)
    opt = build(name, params)
    loop, whole = opt.loop_length(), []
    for k in range(3 * loop):
        feed(opt, params, gradient, k, k + 1)
        whole.append(vector(params))
        if k % 2:
            opt.eval()
        torch.save(opt.state_dict(), tmp_path / f"{k}.pt")
        opt.train()
    end = vector(params)
    for k in range(loop, 2 * loop + 1):
        fresh = [torch.nn.Parameter(torch.randn_like(p)) for p in params]
        other = build(name, fresh)
        other.load_state_dict(torch.load(tmp_path / f"{k}.pt", weights_only=True))
        assert (vector(fresh) == whole[k]).all()
        feed(other, fresh, gradient, k + 1, 3 * loop)
        assert (vector(fresh) == end).all(), f"resumed after step {k}"
        with opt.outer_weights(), other.outer_weights():
            assert (vector(fresh) == vector(params)).all()


@pytest.mark.parametrize("name", NAMES)
def test_engines_agree_and_missing_gradients_change_nothing(name):
    """One parameter never has a gradient: it stays, and the others move as with all engines."""
    x, gradient = problem()
    ends = {}
    for engine in ("auto", "torch", "foreach"):
        params = parameters(x) + parameters(x)
        opt = build(name, params, engine=engine)
        for k in range(2 * opt.loop_length() + 1):
            for r in (0, 3):
                give(params[r : r + 3], gradient(vector(params[r : r + 3]), k + r))
                params[r + 1].grad = None
            opt.step()
        with opt.outer_weights():
            ends[engine] = vector(params)
    for engine in ends:
        close(ends[engine], ends["auto"], 1e-12)
    kept = vector([p for k, p in enumerate(parameters(x) + parameters(x)) if k in (1, 4)])
    parts = np.concatenate([ends["auto"][12:16], ends["auto"][86 + 12 : 86 + 16]])
    if name != "EntropySGD official":  # whose weight decay acts on the outer step too
        close(parts, kept, 1e-14)
    assert not np.allclose(ends["auto"][:12], x[:12])


@pytest.mark.parametrize("engine", ["auto", "torch"])
@pytest.mark.parametrize("name", NAMES)
def test_maximize_climbs_as_minimize_descends(name, engine):
    if name in ("Trivialized Adam", "DiLoCo", "LocalSGD", "Entropy-Adam"):
        pytest.skip("belongs to the base optimizer")
    x, gradient = problem()
    down, up = parameters(x) * 1 + parameters(x), parameters(x) + parameters(x)
    a, b = build(name, down, engine=engine), build(name, up, engine=engine, maximize=True)
    feed(a, down, gradient, 0, 9)
    feed(b, up, lambda w, k: -gradient(w, k), 0, 9)
    close(vector(up), vector(down), 1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_eval_shows_the_outer_weights_and_train_goes_on(name):
    x, gradient = problem()
    params, twins = parameters(x) + parameters(x), parameters(x) + parameters(x)
    opt, undisturbed = build(name, params), build(name, twins)
    for k in range(7):
        feed(opt, params, gradient, k, k + 1)
        feed(undisturbed, twins, gradient, k, k + 1)
        before = vector(params)
        assert opt.eval() is opt
        opt.eval()
        with pytest.raises(RuntimeError, match="opt.train"):
            opt.step()
        with opt.outer_weights():
            pass
        opt.train().train()
        assert (vector(params) == before).all()
    assert (vector(params) == vector(twins)).all()


@pytest.mark.parametrize("name", NAMES)
def test_parameter_groups_have_settings_and_may_join_late(name):
    x, gradient = problem()
    params = parameters(x) + parameters(x)
    groups = [{"params": [params[0], params[3]], "lr": 0.02}, {"params": [params[k] for k in (1, 2, 4, 5)]}]
    opt = build(name, groups)
    assert opt.param_groups[0]["lr"] == 0.02 != opt.param_groups[1]["lr"]
    feed(opt, params, gradient, 0, 2)
    before = vector(params)
    late = [torch.nn.Parameter(torch.ones(5, dtype=torch.float64, device=DEVICE)) for _ in range(2)]
    opt.add_param_group({"params": late, "lr": 0.3})
    assert (vector(params) == before).all()
    for p in late:
        p.grad = torch.zeros_like(p)
    feed(opt, params, gradient, 2, 2 + 2 * opt.loop_length())
    assert np.isfinite(vector(params)).all()
    with opt.outer_weights():
        assert not np.allclose(vector(params), np.tile(x, 2))
        assert name in NOISY or (vector(late) == 1).all()


NOISY = (
    "SGLD", "Heat", "EntropySGD thesis", "EntropySGD official", "Entropy-Adam", "TrivializedSGD", "Trivialized Adam",
    "Parle thesis", "Parle official",
)  # fmt: skip


def test_two_groups_are_two_optimizers():
    x, gradient = problem()
    together, apart = parameters(x), parameters(x)
    common = {"inner_steps": 3, "momentum": 0.5, "outer_momentum": 0.3}
    first, second = (
        {"lr": 0.5, "inner_lr": 0.05, "gamma": 2.0, "weight_decay": 0.1},
        {"lr": 0.9, "inner_lr": 0.02, "gamma": 0.7},
    )
    opts = [
        EntropySGD([{"params": together[:1], **first}, {"params": together[1:], **second}], **common),
        EntropySGD(apart[:1], **first, **common),
        EntropySGD(apart[1:], **second, **common),
    ]
    for k in range(10):
        for params in (together, apart):
            give(params, gradient(vector(params), k))
        for opt in opts:
            opt.step()
        assert (vector(together) == vector(apart)).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_deep_copy_goes_on_by_itself(name):
    x, gradient = problem()
    params = parameters(x) + parameters(x)
    opt = build(name, params)
    feed(opt, params, gradient, 0, 6)
    twins, twin = copy.deepcopy((params, opt))
    feed(twin, twins, gradient, 6, 14)
    assert not (vector(params) == vector(twins)).all()
    feed(opt, params, gradient, 6, 14)
    assert (vector(params) == vector(twins)).all()


def network(dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Dropout(0.3),
        torch.nn.Linear(16, 3),
    ).to(dtype)  # fmt: skip
    return net, torch.randn(24, 1, 4, 4, dtype=dtype), torch.randint(0, 3, (24,))


def loss_of(net, images, labels):
    return torch.nn.functional.cross_entropy(net(images), labels)


def test_a_closure_is_one_inner_update():
    (a, images, labels), (b, *_) = network(), network()
    one, two = EntropySGD(a.parameters(), inner_steps=3), EntropySGD(b.parameters(), inner_steps=3)
    for _ in range(7):
        torch.manual_seed(1)

        def closure():
            one.zero_grad()
            loss = loss_of(a, images, labels)
            loss.backward()
            return loss

        returned = one.step(closure)
        torch.manual_seed(1)
        two.zero_grad()
        loss = loss_of(b, images, labels)
        loss.backward()
        assert two.step() is None and torch.equal(returned, loss)
        assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters()))
    assert (one.outer_steps, one.inner_step) == (2, 1)


def test_hooks_fire_once_a_step_and_schedulers_drive_the_rates():
    w = torch.nn.Parameter(torch.ones(3, device=DEVICE))
    opt = EntropySGD([w], lr=1.0, inner_steps=2, momentum=0.9)
    calls = []
    opt.register_step_pre_hook(lambda *_: calls.append("before"))
    opt.register_step_post_hook(lambda *_: calls.append("after"))
    scheduler = torch.optim.lr_scheduler.ExponentialLR(opt, 0.5)
    cycle = torch.optim.lr_scheduler.OneCycleLR(opt, 0.4, total_steps=10)
    for _ in range(4):
        w.grad = torch.ones(3)
        opt.step()
    scheduler.step()
    cycle.step()
    assert calls == ["before", "after"] * 4
    assert 0 < opt.param_groups[0]["lr"] < 0.4 and opt.param_groups[0]["momentum"] != 0.9
    with torch.profiler.profile() as seen:
        w.grad = torch.ones(3)
        opt.step()
    assert any("EntropySGD.step" in event.key for event in seen.key_averages())


def test_a_scheduler_cycles_the_momentum_of_the_base_optimizer():
    params = parameters(problem()[0])
    opt = EntropyAdam(params, inner_steps=1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(opt, 0.1, total_steps=10)
    assert opt.base.param_groups[0]["betas"][0] == 0.95
    give(params, problem()[1](vector(params), 0))
    opt.step()
    scheduler.step()
    assert opt.base.param_groups[0]["betas"][0] < 0.95


def test_rates_may_be_tensors():
    x, gradient = problem()
    plain, tensors = parameters(x), parameters(x)
    a = EntropySGD(plain, lr=0.5, inner_lr=0.05, inner_steps=3)
    b = EntropySGD(
        tensors,
        lr=torch.tensor(0.5, dtype=torch.float64),
        inner_lr=torch.tensor(0.05, dtype=torch.float64),
        inner_steps=3,
    )
    for k in range(7):
        run([a, b], [plain, tensors], lambda w, _, k=k: gradient(w, k), 1)
    assert (vector(plain) == vector(tensors)).all()


def test_accumulated_gradients_and_clipping():
    (a, images, labels), (b, *_) = network(torch.float64), network(torch.float64)
    a.eval()
    b.eval()
    one, two = (EntropySGD(m.parameters(), inner_steps=2, inner_lr=0.05) for m in (a, b))
    for _ in range(5):
        one.zero_grad()
        loss_of(a, images, labels).backward()
        torch.nn.utils.clip_grad_norm_(a.parameters(), 0.3)
        one.step()
        two.zero_grad()
        for half in (slice(0, 12), slice(12, 24)):
            (loss_of(b, images[half], labels[half]) / 2).backward()
        torch.nn.utils.clip_grad_norm_(b.parameters(), 0.3)
        two.step()
    assert all(torch.allclose(p, q, rtol=0, atol=1e-14) for p, q in zip(a.parameters(), b.parameters()))


def test_mixed_precision_with_a_gradient_scaler():
    """bfloat16 autocast; a step with infinite gradients is skipped, and counts for nothing."""
    net, images, labels = network()
    opt = EntropySGD(net.parameters(), inner_steps=3, inner_lr=0.05)
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    for k in range(7):
        opt.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of(net, images, labels)
        scaler.scale(loss).backward()
        if k == 4:
            next(net.parameters()).grad[0] = torch.inf
        scaler.step(opt)
        scaler.update()
    assert (opt.outer_steps, opt.inner_step) == (2, 0)
    assert scaler.get_scale() == 128.0
    assert all(torch.isfinite(p).all() for p in net.parameters())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, while its compiler is imported
@pytest.mark.parametrize("heat", [0.0, 1e-3])
@pytest.mark.parametrize("branch", ["kernel"], indirect=True)
def test_the_compiled_engine_is_one_graph_without_breaks(heat, monkeypatch):
    """fullgraph=True raises at a break; schedules and rates that change every step do not recompile it."""
    from torch._dynamo.testing import CompileCounterWithBackend

    counter = CompileCounterWithBackend("inductor" if heat == 0.0 else "aot_eager")
    monkeypatch.setattr(by_torch, "COMPILED", [torch.compile(by_torch.graph, fullgraph=True, backend=counter)])
    x, gradient = problem()
    compiled, eager = parameters(x), parameters(x)
    settings = {"inner_steps": 3, "gamma": Exponential(2.0, 0.1), "temperature": heat, "inner_lr": 0.05, "seed": 1}
    opts = [EntropySGD(p, engine=e, **settings) for p, e in ((compiled, "compiled"), (eager, "torch"))]
    for k in range(12):
        for opt in opts:
            opt.param_groups[0]["inner_lr"] = 0.05 / (1 + k)
        run(opts, [compiled, eager], lambda w, _, k=k: gradient(w, k), 1)
        close(vector(compiled), vector(eager), 1e-13)
    assert counter.frame_count == 2  # the first update of a loop, and the others


COMPILED = {  # more outer steps than torch.compile allows graphs
    "sgld": lambda p, **engine: SGLD(p, temperature=1e-3, decay=0.5, seed=1, **engine),
    "entropy": lambda p, **engine: EntropySGD(
        p, inner_steps=3, temperature=1e-3, gamma=Exponential(9.0, 0.1), seed=1, **engine
    ),
    "hj": lambda p, **engine: HJ(p, inner_steps=3, outer_momentum=0.5, form="4.42", **engine),
    "heat": lambda p, **engine: Heat(p, inner_steps=2, seed=1, **engine),
    "field": lambda p, **engine: TrivializedSGD(p, layers=4, seed=1, **engine),
    "elastic": lambda p, **engine: ElasticSGD(p, period=2, **engine),
    "parle": lambda p, **engine: Parle(p, inner_steps=2, **engine),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("branch", ["kernel"], indirect=True)
def test_step_itself_compiles_without_breaks(name):
    """fullgraph=True raises at a break, in the inner step and in the outer one; a few graphs serve all steps."""
    from torch._dynamo.testing import CompileCounter

    torch._dynamo.reset()
    x, gradient = problem()
    compiled, eager = parameters(x), parameters(x)
    a, b = (COMPILED[name](p, engine="torch") for p in (compiled, eager))
    graphs = CompileCounter()
    step = torch.compile(a.step, fullgraph=True, backend=graphs)
    for k in range(24):
        for params in (compiled, eager):
            give(params, gradient(vector(params), k))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            step()
        b.step()
        close(vector(compiled), vector(eager), 1e-13)
    assert graphs.frame_count <= 6


@pytest.mark.parametrize("branch", ["kernel"], indirect=True)
def test_a_compiled_training_step_keeps_the_fused_pass():
    """The default engine runs between the graphs of a compiled step, whichever function is compiled."""
    x, gradient = problem()
    whole, alone, eager = parameters(x), parameters(x), parameters(x)
    a, b, c = (EntropySGD(p, inner_steps=3, temperature=1e-3, seed=1) for p in (whole, alone, eager))

    def train():
        a.zero_grad()
        loss = sum((p.square().cos() * p).sum() for p in whole)
        loss.backward()
        a.step()
        return loss

    first, second = (torch.compile(function, backend="aot_eager") for function in (train, b.step))
    for _ in range(4):
        for params, advance in ((alone, second), (eager, c.step)):
            for p in params:
                p.grad = None
            sum((p.square().cos() * p).sum() for p in params).backward()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of torch.compile itself
                advance()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            first()
        assert (vector(alone) == vector(eager)).all()
        close(vector(whole), vector(eager), 1e-13)
    assert a.outer_steps == b.outer_steps == 1 and a.inner_step == 1


def test_update_bn_collects_statistics_at_the_outer_weights():
    net, images, labels = network()
    opt = EntropySGD(net.parameters(), inner_steps=5, inner_lr=0.1)
    for _ in range(3):
        opt.zero_grad()
        loss_of(net, images, labels).backward()
        opt.step()
    before = vector(net.parameters())
    batches = [(images[:12], labels[:12]), (images[12:], labels[12:])]
    update_bn(net, batches, opt)
    assert (vector(net.parameters()) == before).all()
    assert net.training and net[1].training and net[4].training and net[1].momentum == 0.1
    with opt.outer_weights(), torch.no_grad():
        features = [net[0](part) for part, _ in batches]
    expected = sum(f.mean((0, 2, 3)) for f in features) / 2
    assert torch.allclose(net[1].running_mean, expected, atol=1e-6)
    expected = sum(f.var((0, 2, 3)) for f in features) / 2
    assert torch.allclose(net[1].running_var, expected, atol=1e-6)
    with pytest.raises(ValueError, match="batches: expected at least one"):
        update_bn(net, [], opt)


def test_update_bn_switches_dropout_off():
    net = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.BatchNorm1d(3))
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    update_bn(net, [x])
    assert torch.allclose(net[1].running_mean, x.mean(0), atol=1e-6)
    assert torch.allclose(net[1].running_var, x.var(0), atol=1e-6)
    assert net[0].training


def test_unusual_parameters():
    """Channels-last and empty tensors, numbers, two dtypes, shared memory: the same steps as plain ones."""
    x = [
        torch.randn(4, 3, 2, 2),
        torch.randn(()),
        torch.randn(0),
        torch.randn(5, dtype=torch.float64),
        torch.randn(6, 4),
    ]
    plain = [torch.nn.Parameter(t.clone()) for t in x]
    odd = [torch.nn.Parameter(t.clone()) for t in x[:4]] + [torch.nn.Parameter(x[4].t().contiguous().t())]
    odd[0].data = odd[0].data.to(memory_format=torch.channels_last)
    shared = torch.randn(9)
    overlap = [torch.nn.Parameter(shared[:6]), torch.nn.Parameter(shared[3:])]
    settings = {"inner_steps": 3, "inner_lr": 0.1, "outer_momentum": 0.5, "gamma": 1.0}
    opts = [EntropySGD(p, **settings) for p in (plain, odd)]
    assert opts[1].param_groups and odd[0].is_contiguous(memory_format=torch.channels_last)
    for k in range(7):
        for params, opt in zip((plain, odd), opts):
            for p in params:
                p.grad = torch.sin(3 * p.detach()) + 0.1 * k
                if p.dim() == 4 and k % 2:
                    p.grad = p.grad.contiguous()
            opt.step()
    assert all(torch.equal(p, q) for p, q in zip(plain, odd))
    opt = EntropySGD(overlap, **settings)
    assert opt._layout.reason == "parameters share memory"
    for p in overlap:
        p.grad = torch.ones_like(p)
    opt.step()
    with pytest.raises(ValueError, match="parameters share memory"):
        EntropySGD(overlap, engine="fused")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_short_types_work(dtype):
    w = torch.nn.Parameter(torch.ones(100, dtype=dtype))
    opt = EntropySGD([w], inner_steps=2, inner_lr=0.1, temperature=1e-3, gamma=1.0)
    for _ in range(4):
        w.grad = w.detach().clone()
        opt.step()
    assert w.dtype == dtype and 0 < w.float().norm() < 10


@pytest.mark.parametrize("build", [
    lambda p: EntropySGD(p, inner_steps=3), lambda p: EntropySGD(p, inner_steps=3, engine="torch"),
    lambda p: HJ(p, inner_steps=3), lambda p: Heat(p, inner_steps=3, gamma=1e-3),
    lambda p: LocalEntropy(p, torch.optim.Adam, inner_steps=3),
])  # fmt: skip
def test_a_model_that_moves_is_noticed_and_can_be_adopted(build):
    net, images, labels = network()
    opt = build(net.parameters())
    loss_of(net, images, labels).backward()
    opt.step()
    net.double()
    with pytest.raises(RuntimeError, match="rebuild"):
        opt.step()
    net.float()
    opt.rebuild()
    opt.zero_grad()
    loss_of(net, images, labels).backward()
    opt.step()
    assert opt.inner_step == 2


# mistakes


@pytest.mark.parametrize("settings, message", [
    ({"gamma": 0.0}, "gamma: expected a number > 0"), ({"gamma": -1.0}, "gamma"), ({"gamma": float("nan")}, "gamma"),
    ({"inner_steps": 0}, "inner_steps: expected an integer >= 1, got 0"), ({"inner_steps": 2.5}, "inner_steps"),
    ({"lr": -0.1}, "lr: expected a finite number >= 0, got -0.1"), ({"lr": float("inf")}, "lr"),
    ({"inner_lr": float("nan")}, "inner_lr"), ({"averaging": 0.0}, "averaging"), ({"averaging": 1.5}, "averaging"),
    ({"momentum": 1.0}, "momentum: expected a number in"), ({"outer_momentum": -0.1}, "outer_momentum"),
    ({"temperature": -1e-3}, "temperature"), ({"weight_decay": -1.0}, "weight_decay"), ({"variant": "mine"}, "variant"),
    ({"seed": -1}, "seed: expected an integer"), ({"seed": 1.5}, "seed"), ({"nesterov": "no"}, "nesterov: expected"),
    ({"engine": "fast"}, "engine"), ({"lr": "0.1"}, "lr"), ({"inner_steps": True}, "inner_steps"),
])  # fmt: skip
def test_bad_settings_get_one_clear_error(settings, message):
    with pytest.raises(ValueError, match=message):
        EntropySGD([torch.nn.Parameter(torch.ones(2))], **settings)


def test_bad_settings_of_the_others():
    w = [torch.nn.Parameter(torch.ones(2))]
    for layers in (2, 1, 0, -3, True, "4", float("inf")):
        with pytest.raises(ValueError, match="layers: expected a number > 2"):
            TrivializedSGD(w, layers=layers)
        with pytest.raises(ValueError, match="layers: expected a number > 2"):
            Trivialized(w, torch.optim.Adam, layers=layers)
    for wrong, message in (
        (lambda: Parle(w, rho=0.0), "rho"),
        (lambda: Parle(w, master_lr=0.0), "master_lr"),
        (lambda: Parle(w, order="random"), "order"),
        (lambda: Parle(w, init="zero"), "init"),
        (lambda: Parle(w, replicas=2), "replicas=2"),
        (lambda: Parle(w * 1 + [torch.nn.Parameter(torch.ones(3))], replicas=2), "replicas=2"),
        (lambda: Parle(w, replicas=0), "replicas: expected an integer >= 1"),
        (lambda: Parle(w, reduction="fast"), "reduction"),
        (lambda: Parle(w, group=object()), "torchrun"),
        (lambda: ElasticSGD(w, period=0), "period"),
        (lambda: HJ(w, form="4.41"), "form"),
        (lambda: Heat(w, gamma=np.inf), "gamma: expected a finite"),
        (lambda: LocalEntropy(w, torch.optim.Adam, gamma=np.inf), "gamma: expected a finite"),
        (lambda: LocalEntropy(w, "adam"), "function"),
        (lambda: LocalEntropy(w, list), "torch.optim.Optimizer"),
        (lambda: LocalEntropy([], torch.optim.Adam), "params: expected at least one tensor"),
        (lambda: Exponential(-1.0, 0.1), "start"),
        (lambda: Exponential(1.0, 1.0), "rate < 1"),
        (lambda: Linear(1.0, 0.0, 3), "stop"),
        (lambda: BoundedExponential(1.0, 0.0), "rate"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()


def test_bad_parameters_and_groups():
    for bad, message in (
        ([], "params: expected at least one tensor"),
        ([torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))], "expected real numbers, got torch.complex64"),
        ([torch.ones(2, dtype=torch.int64)], "floating-point"),
        ([torch.nn.Parameter(torch.eye(3).to_sparse())], "dense"),
    ):
        with pytest.raises(ValueError, match=message):
            EntropySGD(bad)
    opt = EntropySGD([torch.nn.Parameter(torch.ones(2))], inner_steps=3)
    with pytest.raises(ValueError, match="inner_steps: expected the same in every group"):
        opt.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "inner_steps": 4})
    assert len(opt.param_groups) == 1
    embedding = torch.nn.Embedding(5, 2, sparse=True)
    embedding(torch.tensor([1])).sum().backward()
    for engine in ENGINES:
        with pytest.raises(ValueError, match="dense gradients"):
            EntropySGD(embedding.parameters(), engine=engine).step()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_is_one_error_and_spares_the_outer_weights(engine, name, value, branch):
    """At once on the CPU; where looking means waiting, at the end of the loop, if its start can be gone back to."""
    if branch != "kernel" and not name.startswith(("EntropySGD", "HJ", "Parle", "Entropy-Adam")):
        pytest.skip("looks at no gradient where that means waiting")
    x, gradient = problem()
    params = parameters(x) + parameters(x)
    opt = build(name, params, engine=engine)
    for bad in (0, 2, 6):
        feed(opt, params, gradient, 0, bad)
        with opt.outer_weights():
            before = vector(params)
        give(params[:3], gradient(vector(params[:3]), 0))
        give(params[3:], gradient(vector(params[3:]), 0))
        params[4].grad[1] = value
        with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="not finite"):
            opt.step()
            feed(opt, params, gradient, 0, opt.loop_length() if branch != "kernel" else 0)
        with opt.outer_weights():
            assert (vector(params) == before).all()
    feed(opt, params, gradient, 0, 12)
    assert np.isfinite(vector(params)).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_after_a_bad_gradient_the_loop_starts_again_at_the_outer_weights(engine, branch):
    """Without noise the fused kernel finds the bad number only when it has written: y must come back to x."""
    x, gradient = problem()
    params = parameters(x)
    opt = EntropySGD(params, inner_steps=6, engine=engine)
    for k in range(9):
        run([opt], [params], lambda w, _, k=k: gradient(w, k), 1)
    with opt.outer_weights():
        before = vector(params)
    give(params, gradient(vector(params), 0))
    params[1].grad[2] = float("nan")
    with pytest.raises(ValueError, match="not finite.*starts again at the outer weights"):
        opt.step()
        run([opt], [params], gradient, 0 if branch == "kernel" else opt.loop_length())
    assert (vector(params) == before).all() and opt.inner_step == 0
    run([opt], [params], gradient, 6)
    assert opt.outer_steps == 2 and np.isfinite(vector(params)).all()


def test_a_loss_that_is_not_finite_updates_nothing():
    w = torch.nn.Parameter(torch.ones(2, device=DEVICE))
    opt = EntropySGD([w])
    with pytest.raises(ValueError, match="the loss is nan"):
        opt.step(lambda: w.sum() * float("nan"))
    assert opt.inner_step == 0 and (w == 1).all()


def test_states_of_others_are_refused_and_nothing_changes():
    net = [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2))]
    opt = EntropySGD(net)
    other = EntropySGD([torch.nn.Parameter(torch.ones(4)), torch.nn.Parameter(torch.ones(2))])
    for p in other.param_groups[0]["params"]:
        p.grad = torch.ones_like(p)
    other.step()
    more = EntropySGD([torch.nn.Parameter(torch.ones(3)) for _ in range(3)])
    two = EntropySGD([{"params": [torch.nn.Parameter(torch.ones(3))]}, {"params": [torch.nn.Parameter(torch.ones(2))]}])
    adam = torch.optim.Adam([torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2))])
    parle = Parle([torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2))])
    for state, message in (
        (other.state_dict(), r"state_dict: expected x of parameter 0 of shape .* it is of another model"),
        (more.state_dict(), "state_dict: expected 2 parameters, got 3"),
        (two.state_dict(), "state_dict: expected 1 groups, got 2"), (adam.state_dict(), "not one of EntropySGD"),
        (parle.state_dict(), "not one of EntropySGD"), ({"model": 1}, "state_dict: expected that of an optimizer"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            opt.load_state_dict(state)
    assert opt.inner_step == 0 and all((p == 1).all() for p in net)


# modules


def test_schedules_have_their_formulas():
    assert [Exponential(100.0, 0.5, low=30.0)(t) for t in range(3)] == [100.0, 50.0, 30.0]
    assert Exponential(1.0, -1.0, high=3.0)(2) == 3.0
    assert [Linear(1.0, 0.2, 4)(t) for t in (0, 2, 4, 9)] == pytest.approx([1.0, 0.6, 0.2, 0.2])
    assert [Quadratic(1.0, 0.2, 4)(t) for t in (0, 2, 4, 9)] == pytest.approx([1.0, 0.8, 0.2, 0.2])
    bounded = BoundedExponential(2.0, 0.5)
    assert bounded(0) == pytest.approx(2.0 / (1 - np.exp(-0.5))) and bounded(100) == pytest.approx(2.0)
    B = 390  # C5.10: γ reaches its clip after 3590 outer steps, ρ after 1795
    gamma, rho = Exponential(100.0, 1 / (2 * B), low=1.0), Exponential(1.0, 1 / (2 * B), low=0.1)
    assert gamma(3589) > 1.0 == gamma(3590) and rho(1794) > 0.1 == rho(1795)


def test_without_torch_the_extra_is_named_and_the_core_works():
    code = (
        "import sys\n\nclass Absent:\n    def find_spec(self, name, *rest):\n        if name == 'torch':\n"
        "            raise ModuleNotFoundError(name)\n\nsys.meta_path.insert(0, Absent())\n"
        "import pdelab\ntry:\n    import pdelab.networks\nexcept ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "pdelab.networks needs PyTorch: pip install 'pdelab[networks]'"


def test_every_public_name_resolves_and_says_what_it_is():
    import pdelab.networks as networks

    for name in networks.__all__:
        assert getattr(networks, name).__doc__, name
    assert not hasattr(networks, "Adam")


@pytest.mark.parametrize(
    "module",
    ["devices", "optimizers.averaging", "optimizers.entropy", "optimizers.wrapped", "schedules", "distributed"],
)
def test_examples_of_the_docstrings_run(module):
    documented = importlib.import_module(f"pdelab.networks.{module}")
    with generic(False):  # their outputs are those of the usual branch
        done = doctest.testmod(documented, verbose=False)
    assert done.attempted > 0 and done.failed == 0
