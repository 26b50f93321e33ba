"""Curvature of networks: per-sample gradients, Hessian products, the spectrum of D(x); BackPACK and curvlinops.

The digits MLP (2,410 weights) and the digits LeNet (3,706 weights) on all 1,078 training images in float32, as in the
measurements the aims come from: per-sample gradients and the spectrum of D(x) at least 3 times as fast as by BackPACK
on the MLP and 0.9 times on the LeNet, batched Hessian products no slower than curvlinops. `error` is the largest
deviation from the slow answer, relative to its largest number.
"""

import numpy as np

from benchmarks.harness import Row, peer, race


def rows(quick=False):
    """One problem after the other, contestants interleaved."""
    import torch

    from pdelab.networks import data, models
    from pdelab.networks.curvature import Objective

    torch.set_num_threads(1)
    torch.manual_seed(0)
    digits = data.load("digits")
    repeats = 3 if quick else 7
    for name in ("mlp",) if quick else ("mlp", "digits-lenet"):
        objective = Objective(models.build(name, digits), digits.train, dtype=torch.float32)
        yield from _per_sample(name, objective, repeats)
        yield from _products(name, objective, repeats)
        yield from _noise(name, objective, repeats)


def _per_sample(name, objective, repeats):
    import torch

    from pdelab.networks.curvature import per_sample_gradients

    weights = list(objective.parameters.values())
    x, y = objective.split.inputs, objective.split.targets
    cross_entropy = torch.nn.functional.cross_entropy

    def loop():
        slopes = [torch.autograd.grad(cross_entropy(objective.model(a[None]), b[None]), weights) for a, b in zip(x, y)]
        return torch.stack([objective.flat(slope) for slope in slopes])

    contestants = {"pdelab": lambda: per_sample_gradients(objective), "loop over samples": loop}
    backpack = peer("backpack-for-pytorch", "backpack")
    if backpack:
        contestants["BackPACK BatchGrad"] = _backpack(backpack, objective)
    contestants["torch.func vmap(grad)"] = _functional(objective)
    targets = {"BackPACK BatchGrad": 3.0 if name == "mlp" else 0.9}
    yield from _rows(f"per-sample gradients, {name}", contestants, repeats, targets)


def _products(name, objective, repeats, together=16):
    import torch

    from pdelab.networks.curvature import Hessian

    hessian = Hessian(objective)
    vectors = torch.randn(objective.dimension, together)

    def one_by_one():
        return torch.stack([hessian @ v for v in vectors.T], 1)

    contestants = {"pdelab": lambda: hessian @ vectors, "one vector at a time": one_by_one}
    curvlinops = peer("curvlinops-for-pytorch", "curvlinops")
    if curvlinops:
        weights = [p for p in objective.model.parameters() if p.requires_grad]
        batch = [(objective.split.inputs, objective.split.targets)]
        loss = torch.nn.CrossEntropyLoss()
        operator = curvlinops.HessianLinearOperator(objective.model, loss, weights, batch)
        contestants["curvlinops matmat"] = lambda: operator @ vectors
    yield from _rows(f"{together} Hessian products, {name}", contestants, repeats, {"curvlinops matmat": 1.0})


def _noise(name, objective, repeats):
    import torch

    from pdelab.networks.curvature import gradient_noise, per_sample_gradients

    def ours():
        return torch.as_tensor(gradient_noise(objective).eigenvalues)

    def dense():
        gradients = per_sample_gradients(objective)
        return torch.linalg.eigvalsh(torch.cov(gradients.T, correction=0)).flip(0)[: len(gradients)]

    def svd():
        return torch.as_tensor(gradient_noise(objective, method="svd").eigenvalues)

    contestants = {"pdelab": ours, "d x d matrix": dense, "pdelab, SVD": svd}
    backpack = peer("backpack-for-pytorch", "backpack")
    if backpack:
        gradients = _backpack(backpack, objective)

        def theirs():
            g = gradients()
            return torch.linalg.svdvals(g - g.mean(0)).square() / len(g)

        def by_gram():
            g = gradients()
            g = g - g.mean(0)
            return torch.linalg.eigvalsh(g @ g.T / len(g)).flip(0)

        contestants["BackPACK + SVD"], contestants["BackPACK + Gram"] = theirs, by_gram
    targets = {"BackPACK + SVD": 3.0 if name == "mlp" else 0.9}
    yield from _rows(f"spectrum of D(x), {name}", contestants, repeats, targets)


def _functional(objective):
    import torch

    weights = {name: value.detach() for name, value in objective.model.named_parameters()}

    def loss(weights, x, y):
        outputs = torch.func.functional_call(objective.model, weights, (x[None],))
        return torch.nn.functional.cross_entropy(outputs, y[None])

    rows = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))

    def gradients():
        slopes = rows(weights, objective.split.inputs, objective.split.targets)
        return torch.cat([slope.flatten(1) for slope in slopes.values()], 1)

    return gradients


def _backpack(backpack, objective):
    import copy

    import torch
    from backpack.extensions import BatchGrad

    model = backpack.extend(copy.deepcopy(objective.model))
    loss = backpack.extend(torch.nn.CrossEntropyLoss())

    def gradients():
        with backpack.backpack(BatchGrad()):
            loss(model(objective.split.inputs), objective.split.targets).backward()
        return torch.cat([p.grad_batch.flatten(1) * objective.count for p in model.parameters()], 1)

    return gradients


def _rows(problem, contestants, repeats, targets):
    times = race(contestants, repeats)
    exact = np.asarray(next(reversed([run() for run in list(contestants.values())[:2]])).detach())
    for name, run in contestants.items():
        error = float(abs(np.asarray(run().detach()) - exact).max() / abs(exact).max())
        yield Row(problem, name, times[name], error, times[name] / times["pdelab"], targets.get(name))
