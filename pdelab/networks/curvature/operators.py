"""Symmetric operators of a network's loss that are never formed: the Hessian and the gradient-noise covariance.

    H v = ∇⟨∇f, v⟩ (Pearlmutter 1994),    D v = (1/N) Σ_k g_k ⟨g_k, v⟩ - ḡ ⟨ḡ, v⟩

with f the mean cross-entropy of a model in eval mode over N samples, g_k the gradient of sample k and ḡ their mean.
Vectors are flat, in the order of `model.parameters()`; several are multiplied at once in batched passes.
"""

import copy

import numpy as np
import torch
from torch.func import functional_call
from torch.nn import functional

from pdelab.networks import models
from pdelab.networks.data import Split
from pdelab.networks.training.measure import cross_entropy


class Objective:
    """f(x) = mean cross-entropy of a model over a split, as a function of its flat weights.

    Parameters
    ----------
    model : torch.nn.Module
        Used as a copy in eval mode (dropout off, batch-norm statistics frozen), as in thesis 6.3.1.
    split : pdelab.networks.data.Split
        The samples; a running text is cut into windows of `steps` tokens that start afresh.
    steps : int, optional
        Window of a text stream.
    samples : int, optional
        Use only the first so many.
    dtype : torch.dtype
        Of weights, images and all arithmetic.
    batch_size : int
        Samples in one pass, at most.

    Examples
    --------
    >>> from pdelab.networks import data
    >>> f = Objective(models.mlp(64, (4,)), data.load("digits").train)
    >>> f.dimension, f.value() > 0
    (310, True)
    """

    def __init__(self, model, split, *, steps=None, samples=None, dtype=torch.float64, batch_size=600):
        self.model = copy.deepcopy(model).to(dtype).eval()
        for module in self.model.modules():
            if isinstance(module, models.LSTM):
                module.fused = False
        self.parameters = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        if not self.parameters:
            raise ValueError("the model has no trainable parameters")
        self.shapes = [p.shape for p in self.parameters.values()]
        self.sizes = [p.numel() for p in self.parameters.values()]
        self.dimension, self.dtype = sum(self.sizes), dtype
        first = next(iter(self.parameters.values()))
        self.device = first.device
        self.split = _independent(split, steps, samples, dtype, self.device)
        self.count, self.batch_size = len(self.split), batch_size

    @property
    def weights(self):
        """The flat weights x, a copy."""
        return torch.cat([p.detach().flatten() for p in self.parameters.values()])

    def value(self):
        """f(x), a float."""
        with torch.no_grad():
            parts = ((len(y) / self.count) * cross_entropy(self.model, x, y)[0] for x, y in self.batches())
            return sum(part.item() for part in parts)

    def gradient(self):
        """∇f(x), flat (d,)."""
        total = torch.zeros(self.dimension, dtype=self.dtype, device=self.device)
        for x, y in self.batches():
            loss = cross_entropy(self.model, x, y)[0] * (len(y) / self.count)
            total += self.flat(torch.autograd.grad(loss, list(self.parameters.values())))
        return total

    def batches(self, size=None):
        """Pairs (inputs, targets) of at most `size` samples, nearly equal."""
        passes = -(-self.count // (size or self.batch_size))
        return zip(*(part.tensor_split(passes) for part in (self.split.inputs, self.split.targets)))

    def flat(self, parts):
        """Tensors shaped like the parameters (leading axes in common) as one flat array."""
        lead = parts[0].ndim - len(self.shapes[0])
        return torch.cat([part.flatten(lead) for part in parts], -1)

    def unflat(self, flat):
        """The inverse of `flat`: a tuple shaped like the parameters."""
        pieces = torch.as_tensor(flat, dtype=self.dtype, device=self.device).split(self.sizes, -1)
        return tuple(piece.unflatten(-1, shape or (1,)) for piece, shape in zip(pieces, self.shapes))

    def sample_losses(self, parameters, inputs, targets):
        """The loss of each sample, as a function of the parameters (a dict)."""
        own = parameters is self.parameters  # nothing to put in their place
        output = self.model(inputs) if own else functional_call(self.model, parameters, (inputs,))
        logits = output[0].flatten(0, 1) if isinstance(output, tuple) else output
        losses = functional.cross_entropy(logits, targets.flatten(), reduction="none")
        return losses.view(len(targets), -1).mean(1)


class Hessian:
    """∇²f(x) of an `Objective`: `hessian @ v` for v of shape (d,) or (d, k).

    block: vectors in one batched pass; on_products: called after each of them with the number of products it made (a
    part of it, where the samples take several passes).

    Examples
    --------
    >>> from pdelab.networks import data
    >>> H = Hessian(Objective(models.mlp(64, (4,)), data.load("digits").train))
    >>> (H @ torch.ones(310, 3, dtype=torch.float64)).shape
    torch.Size([310, 3])
    """

    def __init__(self, objective, *, block=16, on_products=None):
        self.objective, self.block, self.on_products = objective, block, on_products
        self.dimension, self.dtype, self.device = objective.dimension, objective.dtype, objective.device

    def __matmul__(self, vectors):
        vectors = torch.as_tensor(vectors, dtype=self.dtype, device=self.device)
        rows = vectors[None] if vectors.ndim == 1 else vectors.T
        product = self.rows(rows)
        return product[0] if vectors.ndim == 1 else product.T

    def rows(self, vectors):
        """H v for each row v of (k, d): one forward and backward pass serves all of them."""
        f = self.objective
        weights = list(f.parameters.values())
        total = torch.zeros_like(vectors)
        for x, y in f.batches():
            loss = cross_entropy(f.model, x, y)[0] * (len(y) / f.count)
            gradient = torch.autograd.grad(loss, weights, create_graph=True)
            for start in range(0, len(vectors), self.block):
                part = vectors[start : start + self.block]
                total[start : start + self.block] += f.flat(_batched_grad(gradient, weights, f.unflat(part)))
                _tell(self, len(part) * len(y) / f.count)
        return total

    def matrix(self):
        """The full matrix (d, d), symmetrised."""
        found = self.rows(torch.eye(self.dimension, dtype=self.dtype, device=self.device))
        return (found + found.T) / 2


class Noise:
    """D(x) of an `Objective`, with replacement (thesis 6.4): `noise @ v` by two reverse passes."""

    def __init__(self, objective, *, block=16, on_products=None):
        self.objective, self.block, self.on_products = objective, block, on_products
        self.dimension, self.dtype, self.device = objective.dimension, objective.dtype, objective.device
        self.mean = objective.gradient()

    __matmul__ = Hessian.__matmul__

    def rows(self, vectors):
        """D v for each row v of (k, d)."""
        f = self.objective
        weights = list(f.parameters.values())
        total = -(vectors @ self.mean)[:, None] * self.mean
        for x, y in f.batches():
            losses = f.sample_losses(f.parameters, x, y)
            ones = torch.ones_like(losses, requires_grad=True)
            summed = torch.autograd.grad(losses, weights, ones, create_graph=True)  # Jᵀ 1, linear in its ones
            for start in range(0, len(vectors), self.block):
                part = slice(start, start + self.block)
                (along,) = _batched_grad(summed, (ones,), f.unflat(vectors[part]))  # ⟨g_k, v⟩ = J v
                back = _batched_grad((losses,), weights, (along,))
                total[part] += f.flat(back) / f.count
                _tell(self, len(vectors[part]) * len(y) / f.count)
        return total


def _tell(operator, products):
    if operator.on_products is not None:
        operator.on_products(products)


def _batched_grad(outputs, inputs, vectors):
    """Vector-Jacobian products of several vectors at once; the graph is kept."""
    if len(vectors[0]) == 1:
        single = tuple(v[0] for v in vectors)
        found = torch.autograd.grad(outputs, inputs, single, retain_graph=True, materialize_grads=True)
        return tuple(g[None] for g in found)
    options = {"retain_graph": True, "is_grads_batched": True, "materialize_grads": True}
    return torch.autograd.grad(outputs, inputs, vectors, **options)


def linear_operator(operator):
    """A `scipy.sparse.linalg.LinearOperator` of the same matrix."""
    from scipy.sparse.linalg import LinearOperator

    def matmat(vectors):
        return (operator @ torch.as_tensor(np.ascontiguousarray(vectors))).cpu().numpy()

    size = (operator.dimension,) * 2
    kind = torch.zeros(1, dtype=operator.dtype).numpy().dtype
    return LinearOperator(size, matvec=lambda v: matmat(v.ravel()), matmat=matmat, dtype=kind)


def _independent(split, steps, samples, dtype, device):
    inputs, targets = split.inputs, split.targets
    if split.stream:
        if not steps:
            raise ValueError("a running text needs steps=..., the length of its windows")
        count = len(split) // steps
        inputs, targets = (part[: count * steps].view(count, steps) for part in (inputs, targets))
    inputs, targets = inputs[:samples].to(device), targets[:samples].to(device)
    if not len(inputs):
        raise ValueError("expected at least one sample, got an empty split")
    return Split(inputs.to(dtype) if inputs.is_floating_point() else inputs, targets)
