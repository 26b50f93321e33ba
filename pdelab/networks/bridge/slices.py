"""Values and derivatives of a network's loss at many points of a slice of weight space at once.

    x(u) = x₀ + Σᵢ uᵢ vᵢ,     f_V(u) = f(x(u)),     ∂ᵢ f_V(u) = vᵢ · ∇f(x(u))

Along a slice every layer's weights are affine in u. Of the first layer, whose input is data, so is the output: it is
computed once for x₀ and each direction, and at a point u only summed. With δˡ the derivative of a sample's loss by the
output of layer l and aˡ its input, ∂ᵢ f_k = Σ_l δˡ · (Vᵢˡ aˡ + bᵢˡ) needs no gradient in all of weight space.
`Layered` does this for chains of linear layers and activations; `General` serves any model by `torch.func`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn
from torch.func import grad, jacrev, vmap
from torch.nn import functional

from pdelab.networks.curvature import Objective
from pdelab.networks.curvature.objective import classifier, derivative, each_tensor

__all__ = ["General", "Layered", "chain", "sliced"]

_ACTIVATIONS = {  # φ(z), and a function that returns φ'(z)
    nn.ReLU: lambda z: (z.relu(), lambda: z > 0),
    nn.Tanh: lambda z: (z.tanh(), lambda: 1 - z.tanh().square()),
    nn.Sigmoid: lambda z: (z.sigmoid(), lambda: z.sigmoid() * (1 - z.sigmoid())),
}
_IDENTITIES = (nn.Flatten, nn.Dropout, nn.Identity)


def sliced(objective: Objective, origin: Any, basis: Any, chunk: int | None = None) -> Layered | General:
    """The fastest way to evaluate an objective on the slice origin + u basis.

    Parameters
    ----------
    objective : Objective
    origin : array (d,)
    basis : array (k, d)
    chunk : int, optional
        Points evaluated together.

    Returns
    -------
    Layered or General

    Examples
    --------
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> f = linear_model([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0], [0, 0, 0])          # |w|²/6
    >>> line = sliced(f, np.zeros(3), np.eye(3)[:1])
    >>> line.value(line.points([0.0, 3.0])).tolist()
    [0.0, 1.5]
    """
    rows = torch.from_numpy(np.vstack([origin, basis])).to(objective.device, objective.dtype)
    return (Layered if chain(objective) else General)(objective, rows, chunk)


def chain(objective: Objective) -> list:
    """[linear, activation, linear, ...] of a plain classifier, or [] where the model or its loss is another.

    Parameters
    ----------
    objective : Objective

    Returns
    -------
    list of modules

    Examples
    --------
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> f = linear_model([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0], [0, 0, 0])          # |w|²/6
    >>> chain(f)                                                        # no cross-entropy
    []
    """
    model = objective.model
    if type(model) is not nn.Sequential or objective.loss is not classifier or len(objective.data) != 2:
        return []
    modules = list(model)
    hooked = any(m._forward_hooks or m._forward_pre_hooks or "forward" in vars(m) for m in [model, *modules])
    flat = objective.data[0].ndim == 2 or (modules and type(modules[0]) is nn.Flatten)
    core = [m for m in modules if type(m) not in _IDENTITIES]
    kinds = [nn.Linear if k % 2 == 0 else tuple(_ACTIVATIONS) for k in range(len(core))]
    usual = len(core) % 2 == 1 and all(isinstance(m, kind) for m, kind in zip(core, kinds))
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]  # also of weights that layers share
    complete = names == list(objective.parameters)
    complete = complete and all({n for n, _ in m.named_parameters()} <= {"weight", "bias"} for m in modules)
    plain = {nn.Linear, *_ACTIVATIONS, *_IDENTITIES}
    return core if usual and flat and complete and not hooked and {type(m) for m in modules} <= plain else []


class _Slice:
    """What both ways share: blocks of points, all of them tensors on the objective's device."""

    def __init__(self, objective: Objective, rows: Any, chunk: int | None):
        self.objective, self.rows = objective, rows
        self.dimension, self.count = len(rows) - 1, objective.count
        self.chunk = chunk or self._default_chunk()

    _default_chunk: Callable[..., int]
    _value: Callable
    _gradient: Callable
    _hessian: Callable
    _sample_gradients: Callable
    _batch_gradient: Callable

    def points(self, points: ArrayLike) -> torch.Tensor:
        """Points as a tensor (n, k)."""
        points = np.asarray(points, float).reshape(-1, self.dimension)
        return torch.tensor(points, dtype=self.objective.dtype, device=self.objective.device)

    def value(self, u: torch.Tensor) -> torch.Tensor:
        """f_V (n,) at points (n, k)."""
        with torch.no_grad():
            return self._blocks(self._value, u)

    def gradient(self, u: torch.Tensor) -> torch.Tensor:
        """∇f_V (n, k)."""
        return self._blocks(self._gradient, u)

    def hessian(self, u: torch.Tensor) -> torch.Tensor:
        """Hess f_V (n, k, k), symmetric."""
        blocks = self._blocks(self._hessian, u)
        return (blocks + blocks.mT) / 2

    def sample_gradients(self, u: torch.Tensor) -> torch.Tensor:
        """∇f_k of every sample (n, N, k)."""
        return self._blocks(self._sample_gradients, u)

    def covariance(self, u: torch.Tensor) -> torch.Tensor:
        """D_w = (1/N) Σ_k (∇f_k - ∇f)(∇f_k - ∇f)ᵀ on the slice (n, k, k)."""

        def spread(part):
            rows = self._sample_gradients(part)
            rows = rows - rows.mean(1, keepdim=True)
            return rows.mT @ rows / self.count

        return self._blocks(spread, u)

    def batch_gradient(self, u: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        """The mean gradient (n, k) at each point over samples of its own, indices (n, b)."""
        size = max(1, self.chunk * self.count // indices.shape[1])
        parts = [self._batch_gradient(*part) for part in zip(u.split(size), indices.split(size))]
        return torch.cat(parts).detach()

    def _blocks(self, function, u):
        return torch.cat([function(part).detach() for part in u.split(self.chunk)])


class Layered(_Slice):
    """A chain of linear layers and activations under cross-entropy.

    Arrays are (points, units, samples): the last axis is long, which is what softmax and activations are fast along.

    Parameters
    ----------
    objective, rows, chunk
        As for `General`.

    Examples
    --------
    >>> import torch
    >>> from pdelab.networks import data, models
    >>> from pdelab.networks.curvature import Objective
    >>> f = Objective(models.mlp(64, (4,)), data.load("digits").train, samples=50)
    >>> type(sliced(f, np.zeros(f.dimension), np.eye(f.dimension)[:1])).__name__
    'Layered'
    """

    def __init__(self, objective: Objective, rows: Any, chunk: int | None):
        core = chain(objective)
        self.activations = [_ACTIVATIONS[type(m)] for m in core[1::2]]
        parts, layers = iter(objective.unflat(rows)), []
        for layer in core[::2]:
            weight = next(parts)
            layers.append((weight, next(parts) if layer.bias is not None else weight.new_zeros(weight.shape[:2])))
        (weight, bias), *self.layers = layers
        self.first = weight @ objective.data[0].flatten(1).mT + bias[..., None]
        self.width = max(weight.shape[1] for weight, _ in layers)
        self.labels = objective.data[1].flatten()
        self.truth = functional.one_hot(self.labels, layers[-1][0].shape[1]).mT.to(objective.dtype)
        super().__init__(objective, rows, chunk)

    def _default_chunk(self):
        return max(1, (1 << 17) // (self.count * self.width))

    def _start(self, u, first):
        """Outputs (n, h, s) of the first layer from those at x₀ and along each direction, (1 + k, [n,] h, s)."""
        if first.ndim == 3:
            return torch.addmm(first[0].reshape(1, -1), u, first[1:].flatten(1)).view(len(u), *first.shape[1:])
        return first[0] + torch.einsum("nk,knhs->nhs", u, first[1:])

    def _forward(self, u, first):
        """Logits (n, classes, s), and what the way back needs of each later layer: input, slope before it, weights."""
        z, records = self._start(u, first), []
        for activation, (weight, bias) in zip(self.activations, self.layers):
            a, slope = activation(z)
            here, shift = (p[0] + torch.tensordot(u, p[1:], 1) for p in (weight, bias))
            z = torch.baddbmm(shift[..., None], here, a)
            records.append((a, slope, here))
        return z, records

    def _backward(self, u, first, truth):
        """(δ, input) of every layer from the last to the second, then (δ, None) of the first."""
        z, records = self._forward(u, first)
        delta = z.softmax(1) - truth
        for a, slope, here in reversed(records):
            yield delta, a
            delta = (here.mT @ delta) * slope()
        yield delta, None

    def _value(self, u):
        z, _ = self._forward(u, self.first)
        right = z.gather(1, self.labels.expand(len(u), 1, -1))[:, 0]
        return (z.logsumexp(1) - right).mean(1)

    def _gradient(self, u):
        return self._summed(u, self.first, self.truth) / self.count

    def _batch_gradient(self, u, indices):
        first, truth = (t[..., indices].movedim(-2, -3) for t in (self.first, self.truth))
        return self._summed(u, first, truth) / indices.shape[1]

    def _summed(self, u, first, truth):
        total, ways = 0.0, self._backward(u, first, truth)
        for (weight, bias), (delta, a) in zip(reversed(self.layers), ways):
            total = total + (delta @ a.mT).flatten(1) @ weight[1:].flatten(1).mT + delta.sum(2) @ bias[1:].mT
        delta, _ = next(ways)
        if first.ndim == 3:
            return total + delta.flatten(1) @ first[1:].flatten(1).mT
        return total + torch.einsum("nhs,knhs->nk", delta, first[1:])

    def _sample_gradients(self, u):
        total, ways = 0.0, self._backward(u, self.first, self.truth)
        for (weight, bias), (delta, a) in zip(reversed(self.layers), ways):
            along = [(delta * (w @ a + b[:, None])).sum(1) for w, b in zip(weight[1:], bias[1:])]
            total = total + torch.stack(along, -1)
        delta, _ = next(ways)
        return total + torch.stack([(delta * first).sum(1) for first in self.first[1:]], -1)

    def _hessian(self, u):
        """Column by column, the derivative of the gradient by a backward pass through its own backward pass."""
        u = u.detach().requires_grad_()
        with torch.enable_grad():
            slopes = self._gradient(u).sum(0)
            rows = [derivative(slope, [u], retain_graph=True)[0] for slope in slopes]
        return torch.stack(rows, 1)


class General(_Slice):
    """Any model whose operations have a batched form.

    Parameters
    ----------
    objective : Objective
    rows : tensor (k + 1, d)
        The basis, and the origin last.
    chunk : int or None
        Points evaluated together.

    Examples
    --------
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> f = linear_model([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0], [0, 0, 0])          # |w|²/6
    >>> isinstance(sliced(f, np.zeros(3), np.eye(3)[:1]), General)
    True
    """

    def _default_chunk(self):
        return max(1, (1 << 25) // (self.objective.dimension + 64 * self.count))

    def _parameters(self, u):
        pieces = self.objective.unflat(self.rows[0] + u @ self.rows[1:])
        return dict(zip(self.objective.parameters, pieces))

    def _mean(self, u, batch):
        return self.objective.mean_loss(batch, self._parameters(u))

    def _over_batches(self, function, u):
        whole = self.objective
        return sum(whole.share(batch) * vmap(function, (0, None))(u, batch) for batch in whole.batches())

    def _value(self, u):
        return self._over_batches(self._mean, u)

    def _gradient(self, u):
        return self._over_batches(grad(self._mean), u)

    def _hessian(self, u):
        return self._over_batches(jacrev(grad(self._mean)), u)

    def _sample_gradients(self, u):
        single = vmap(grad(self._mean), (None, 0))
        parts = [vmap(single, (0, None))(u, self.objective.apart(batch)) for batch in self.objective.batches()]
        return torch.cat(parts, 1)

    def _batch_gradient(self, u, indices):
        chosen = each_tensor(lambda t: t[indices], self.objective.data)
        return vmap(grad(self._mean), (0, 0))(u, chosen)
