"""A small problem, one of each optimizer, and steps on it: shared by the tests of the optimizers.

PDELAB_TEST_DEVICE=cuda runs them there.
"""

import os

import numpy as np
import torch

from pdelab.networks import (
    HJ,
    SGLD,
    DiLoCo,
    ElasticSGD,
    EntropyAdam,
    EntropySGD,
    Exponential,
    Heat,
    LocalSGD,
    Parle,
    Trivialized,
    TrivializedSGD,
)

DEVICE = torch.device(os.environ.get("PDELAB_TEST_DEVICE", "cpu"))
ENGINES = ("auto", "torch", "foreach")  # auto: the CPU's kernel, or on its generic branch torch
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
    return [torch.nn.Parameter(torch.tensor(p, dtype=dtype, device=DEVICE).reshape(s)) for p, s in zip(parts, SHAPES)]


def vector(tensors):
    return np.concatenate([t.detach().cpu().numpy().ravel() for t in tensors])


def give(params, g):
    for p, part, shape in zip(params, np.split(g, np.cumsum(SIZES)[:-1]), SHAPES):
        p.grad = torch.tensor(part, dtype=p.dtype, device=p.device).reshape(shape)


def every_optimizer(params, **common):
    """One of each, with settings that use every row; replicated ones take `params` as two networks."""
    adam = lambda groups: torch.optim.Adam(groups, lr=0.01)  # noqa: E731
    loop = {"inner_lr": 0.05, "inner_steps": 4, "gamma": Exponential(2.0, 0.1)}
    noisy = {"temperature": 1e-3, "seed": 7}
    yield "SGLD", lambda: SGLD(params, lr=0.05, decay=0.3, **noisy, **common)
    for variant in ("thesis", "official"):
        yield (
            f"EntropySGD {variant}",
            lambda v=variant: EntropySGD(
                params, variant=v, outer_momentum=0.5, weight_decay=0.01, **loop, **noisy, **common
            ),
        )
    for form in ("4.40", "4.42"):
        yield f"HJ {form}", lambda f=form: HJ(params, lr=0.2, form=f, outer_momentum=0.5, **loop, **common)
    yield "Heat", lambda: Heat(params, lr=0.05, inner_steps=4, gamma=Exponential(1e-2, 0.1), seed=7, **common)
    yield "Entropy-Adam", lambda: EntropyAdam(params, lr=0.01, **loop, **noisy, **common)
    yield (
        "TrivializedSGD",
        lambda: TrivializedSGD(params, lr=0.05, layers=4, coupling=0.01, decay_steps=5, seed=7, **common),
    )
    yield (
        "Trivialized Adam",
        lambda: Trivialized(params, adam, layers=4, coupling=0.01, resampled=True, seed=7, **common),
    )
    two = {"replicas": 2, **common}
    yield "ElasticSGD", lambda: ElasticSGD(params, lr=0.05, period=3, master_lr=0.1, order="jacobi", **two)
    yield "ElasticSGD official", lambda: ElasticSGD(params, lr=0.05, period=3, variant="official", **two)
    for variant in ("thesis", "official"):
        yield f"Parle {variant}", lambda v=variant: Parle(params, lr=0.05, variant=v, **loop, **noisy, **two)
    yield "DiLoCo", lambda: DiLoCo(params, adam, period=3, **two)
    yield "LocalSGD", lambda: LocalSGD(params, adam, period=3, **two)


NAMES = [name for name, _ in every_optimizer([])]


def build(name, params, **common):
    return dict(every_optimizer(params, **common))[name]()


def feed(opt, params, gradient, first, last):
    for k in range(first, last):
        for r in range(len(params) // 3):
            net = params[3 * r : 3 * r + 3]
            give(net, gradient(vector(net), k + r))
        opt.step()
