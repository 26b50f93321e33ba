"""Lanczos on symmetric operators: Gauss quadrature, and the density of all eigenvalues by stochastic quadrature.

m steps from a unit vector v give the Gauss quadrature Σ_i w_i p(θ_i) = vᵀ p(A) v, exact for polynomials p of degree
up to 2m - 1 (Golub and Meurant 2010); averaged over random v it estimates tr p(A)/d (Ubaru, Chen and Saad 2017).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pdelab.hints import Array

__all__ = ["lanczos", "quadrature", "stochastic_quadrature"]


def lanczos(operator: Any, starts: torch.Tensor, steps: int) -> tuple[Array, Array]:
    """Lanczos with full re-orthogonalisation from several start vectors at once.

    Parameters
    ----------
    operator
        With `rows` (products with the rows of an array), as `Hessian` and `Noise`.
    starts : tensor (probes, d)
        Not zero.
    steps : int
        At most d.

    Returns
    -------
    diagonal : array (probes, steps); off_diagonal : array (probes, steps - 1)
        Of the tridiagonal matrices. Where a Krylov space is exhausted early, a zero off-diagonal ends it.

    Examples
    --------
    >>> import torch
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> f = linear_model([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0], [0, 0, 0])          # |w|²/6
    >>> from pdelab.networks.curvature.operators import Hessian
    >>> diagonal, off = lanczos(Hessian(f), torch.ones(1, 3, dtype=torch.float64), 2)
    >>> round(float(diagonal[0, 0]), 6), bool(abs(off[0, 0]) < 1e-12)    # the start is an eigenvector
    (0.333333, True)
    """
    count, size = starts.shape
    basis = torch.zeros(count, steps, size, dtype=starts.dtype, device=starts.device)
    diagonal, off = np.zeros((count, steps)), np.zeros((count, max(steps - 1, 0)))
    vector = starts / starts.norm(dim=1, keepdim=True)
    scale = torch.zeros(count, dtype=starts.dtype, device=starts.device)
    tiny = 10 * size**0.5 * torch.finfo(starts.dtype).eps
    for step in range(steps):
        basis[:, step] = vector
        image = operator.rows(vector)
        diagonal[:, step] = (image * vector).sum(1).cpu().numpy()
        scale = torch.maximum(scale, image.norm(dim=1))
        if step == steps - 1:
            break
        known = basis[:, : step + 1]
        for _ in range(2):  # once leaves an error of cond × eps, twice is enough
            image = image - torch.einsum("pk,pkd->pd", torch.einsum("pkd,pd->pk", known, image), known)
        length = image.norm(dim=1)
        alive = (length > tiny * scale) & (scale > 0)
        off[:, step] = torch.where(alive, length, 0.0).cpu().numpy()
        vector = torch.where(alive[:, None], image / torch.where(alive, length, 1.0)[:, None], 0.0)
    return diagonal, off


def quadrature(diagonal: Array, off_diagonal: Array) -> tuple[Array, Array]:
    """Nodes and weights (probes, steps) of the Gauss rules of `lanczos`; the weights of each rule sum to 1.

    Parameters
    ----------
    diagonal : array (probes, steps)
    off_diagonal : array (probes, steps - 1)
        As `lanczos` gives them.

    Returns
    -------
    nodes, weights : arrays (probes, steps)

    Examples
    --------
    >>> nodes, weights = quadrature(np.array([[0.0, 0.0]]), np.array([[1.0]]))
    >>> nodes.round(9).tolist(), weights.round(9).tolist()
    ([[-1.0, 1.0]], [[0.5, 0.5]])
    """
    from scipy.linalg import eigh_tridiagonal

    nodes, weights = np.zeros_like(diagonal), np.zeros_like(diagonal)
    for probe, (a, b) in enumerate(zip(diagonal, off_diagonal)):
        ended = np.flatnonzero(b == 0)
        count = ended[0] + 1 if len(ended) else len(a)
        values, vectors = eigh_tridiagonal(a[:count], b[: count - 1])
        nodes[probe, :count], weights[probe, :count] = values, vectors[0] ** 2
    return nodes, weights


def stochastic_quadrature(
    operator: Any, *, probes: int = 8, steps: int = 64, seed: int = 0, together: int | None = None
) -> tuple[Array, Array]:
    """Nodes and weights (probes, steps) whose average Σ w p(θ) estimates tr p(A)/d.

    Parameters
    ----------
    operator
        `Hessian` or `Noise`.
    probes, steps : int
        Random vectors (components ±1) and Lanczos steps from each. The error of a mean over the spectrum falls as
        (probes d)^-1/2, the resolution as 1/steps.
    seed : int
    together : int, optional
        Probes in one batched product; default: what keeps the bases below 2^27 numbers.

    Returns
    -------
    nodes, weights : arrays (probes, steps)

    Raises
    ------
    ValueError
        Numbers out of range.

    Examples
    --------
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> f = linear_model([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0], [0, 0, 0])          # |w|²/6
    >>> from pdelab.networks.curvature.operators import Hessian
    >>> nodes, weights = stochastic_quadrature(Hessian(f), probes=2, steps=3)
    >>> round(float((weights * nodes).sum() / 2), 6)                     # tr A/d
    0.333333
    """
    size = operator.dimension
    steps = min(steps, size)
    together = together or max(1, min(probes, 16, (1 << 27) // (steps * size)))
    rng, rules = np.random.default_rng(seed), []
    for start in range(0, probes, together):
        signs = rng.integers(0, 2, (min(together, probes - start), size)) * 2.0 - 1.0
        rules.append(quadrature(*lanczos(operator, torch.from_numpy(signs).to(operator.device, operator.dtype), steps)))
    nodes, weights = zip(*rules)
    return np.concatenate(nodes), np.concatenate(weights)
