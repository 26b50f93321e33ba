"""Symmetric operators of a network's loss that are never formed: the Hessian and the gradient-noise covariance.

    H v = ∇⟨∇f, v⟩ (Pearlmutter 1994),    D v = (1/N) Σ_k g_k ⟨g_k, v⟩ - ḡ ⟨ḡ, v⟩

with f the mean loss of a model in eval mode over N samples, g_k the gradient of sample k and ḡ their mean.
Vectors are flat, in the order of `model.parameters()`; several are multiplied at once in batched passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from pdelab.networks.curvature.objective import Objective, derivative

__all__ = ["Hessian", "Noise", "linear_operator"]


class Hessian:
    """∇²f(x) of an `Objective`: `hessian @ v` for v of shape (d,) or (d, k).

    Parameters
    ----------
    objective : Objective
    block : int >= 1
        Vectors in one batched pass.
    on_products : callable, optional
        Called after each of them with the number of products it made (a part of it, where the samples take several
        passes).

    Examples
    --------
    >>> import torch
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> f = linear_model([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0], [0, 0, 0])          # |w|²/6
    >>> (Hessian(f) @ torch.ones(3, dtype=torch.float64)).tolist()
    [0.3333333333333333, 0.3333333333333333, 0.3333333333333333]
    """

    def __init__(self, objective: Objective, *, block: int = 16, on_products: Callable[[float], object] | None = None):
        self.objective, self.block, self.on_products = objective, block, on_products
        self.dimension, self.dtype, self.device = objective.dimension, objective.dtype, objective.device
        self._symmetric = False

    def __matmul__(self, vectors):
        vectors = torch.as_tensor(vectors, dtype=self.dtype, device=self.device)
        rows = vectors[None] if vectors.ndim == 1 else vectors.T
        product = self.rows(rows)
        return product[0] if vectors.ndim == 1 else product.T

    def rows(self, vectors: torch.Tensor) -> torch.Tensor:
        """H v for each row v: one forward and backward pass serves all of them.

        Parameters
        ----------
        vectors : tensor (k, d)

        Returns
        -------
        tensor (k, d)
        """
        f = self.objective
        weights = list(f.parameters.values())
        total = torch.zeros_like(vectors)
        for batch in f.batches():
            share = f.share(batch)
            gradient = derivative(f.mean_loss(batch) * share, weights, create_graph=True)
            self._refuse_asymmetry(gradient, weights)
            for start in range(0, len(vectors), self.block):
                part = vectors[start : start + self.block]
                total[start : start + self.block] += f.flat(_batched_grad(gradient, weights, f.unflat(part)))
                _tell(self, len(part) * share)
        return total

    def _refuse_asymmetry(self, gradient, weights):
        """⟨u, H v⟩ = ⟨v, H u⟩ once, for random u and v: some of torch's operations have a wrong second derivative."""
        if self._symmetric:
            return
        seeded = torch.Generator("cpu").manual_seed(0)
        pair = torch.randn(2, self.dimension, generator=seeded, device="cpu").to(self.device, self.dtype)
        images = self.objective.flat(_batched_grad(gradient, weights, self.objective.unflat(pair)))
        gap = (pair[0] @ images[1] - pair[1] @ images[0]).abs()
        if gap > torch.finfo(self.dtype).eps ** 0.5 * (pair.norm(dim=1) * images.norm(dim=1)).sum():
            raise ValueError(
                "model: expected operations that torch differentiates twice, got second derivatives that are not "
                "symmetric (torch.nn.utils.weight_norm is one such operation: use torch.nn.utils.parametrizations)"
            )
        self._symmetric = True

    def matrix(self) -> torch.Tensor:
        """The full matrix (d, d), symmetrised."""
        rows = self.rows(torch.eye(self.dimension, dtype=self.dtype, device=self.device))
        return (rows + rows.T) / 2


class Noise:
    """D(x) of an `Objective`, with replacement (thesis 6.4): `noise @ v` by two reverse passes.

    D has no negative eigenvalues, and at least `nullity` = d - N + 1 that are zero.

    Parameters
    ----------
    objective : Objective
    block, on_products
        As for `Hessian`.

    Examples
    --------
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> f = linear_model([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0], [0, 0, 0])          # |w|²/6
    >>> noise = Noise(f)
    >>> noise.nullity                                                    # at least d - N + 1
    1
    """

    def __init__(self, objective: Objective, *, block: int = 16, on_products: Callable[[float], object] | None = None):
        self.objective, self.block, self.on_products = objective, block, on_products
        self.dimension, self.dtype, self.device = objective.dimension, objective.dtype, objective.device
        self.mean, self.nullity = objective.gradient(), max(0, objective.dimension - objective.count + 1)

    __matmul__ = Hessian.__matmul__

    def rows(self, vectors: torch.Tensor) -> torch.Tensor:
        """D v for each row v.

        Parameters
        ----------
        vectors : tensor (k, d)

        Returns
        -------
        tensor (k, d)
        """
        f = self.objective
        weights = list(f.parameters.values())
        total = -(vectors @ self.mean)[:, None] * self.mean
        for batch in f.batches():
            losses = f.sample_losses(batch)
            ones = torch.ones_like(losses, requires_grad=True)
            summed = derivative(losses, weights, ones, create_graph=True)  # Jᵀ 1, linear in its ones
            for start in range(0, len(vectors), self.block):
                part = slice(start, start + self.block)
                (along,) = _batched_grad(summed, (ones,), f.unflat(vectors[part]))  # ⟨g_k, v⟩ = J v
                back = _batched_grad((losses,), weights, (along,))
                total[part] += f.flat(back) / f.count
                _tell(self, len(vectors[part]) * f.share(batch))
        return total


def _tell(operator, products):
    if operator.on_products is not None:
        operator.on_products(products)


def _batched_grad(outputs, inputs, vectors):
    """Vector-Jacobian products of several vectors at once, zero where nothing depends; the graph is kept."""
    moving = [k for k, output in enumerate(outputs) if output.requires_grad]
    count = len(vectors[0])
    if not moving:
        return tuple(p.new_zeros(count, *p.shape) for p in inputs)
    outputs, vectors = [outputs[k] for k in moving], [vectors[k] for k in moving]
    options = {"retain_graph": True, "materialize_grads": True}
    if count > 1:
        try:
            products = torch.autograd.grad(outputs, inputs, vectors, is_grads_batched=True, **options)
            return tuple(g if g.ndim > p.ndim else g.expand(count, *p.shape) for g, p in zip(products, inputs))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # an operation whose backward pass has no batched form
            pass
    rows = [torch.autograd.grad(outputs, inputs, [v[k] for v in vectors], **options) for k in range(count)]
    return tuple(torch.stack(parts) for parts in zip(*rows))


def linear_operator(operator: Any) -> Any:
    """A `scipy.sparse.linalg.LinearOperator` of the same matrix.

    Parameters
    ----------
    operator : Hessian or Noise

    Returns
    -------
    scipy.sparse.linalg.LinearOperator

    Examples
    --------
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> f = linear_model([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0], [0, 0, 0])          # |w|²/6
    >>> linear_operator(Hessian(f)).shape
    (3, 3)
    """
    from scipy.sparse.linalg import LinearOperator

    def matmat(vectors):
        return (operator @ torch.from_numpy(np.ascontiguousarray(vectors))).cpu().numpy()

    size = (operator.dimension,) * 2
    kind = torch.zeros(1, dtype=operator.dtype, device="cpu").numpy().dtype
    return LinearOperator(size, matvec=lambda v: matmat(v.ravel()), matmat=matmat, dtype=kind)
