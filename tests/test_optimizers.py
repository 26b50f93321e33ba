"""The optimizers against slow references written from the equations, and against what users expect of an optimizer."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

import networks_reference as reference  # noqa: E402

from pdelab.networks import EntropySGD, Exponential  # noqa: E402
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
