"""Lanczos on symmetric operators: extreme eigenvalues, and the density of all of them by stochastic quadrature.

m steps from a unit vector v give the Gauss quadrature Σ_i w_i p(θ_i) = vᵀ p(A) v, exact for polynomials p of degree
up to 2m - 1 (Golub and Meurant 2010); averaged over random v it estimates tr p(A)/d (Ubaru, Chen and Saad 2017).
"""

import numpy as np
import torch

from pdelab.networks.curvature.operators import linear_operator


def lanczos(operator, starts, steps):
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


def quadrature(diagonal, off_diagonal):
    """Nodes and weights (probes, steps) of the Gauss rules of `lanczos`; the weights of each rule sum to 1."""
    from scipy.linalg import eigh_tridiagonal

    nodes, weights = np.zeros_like(diagonal), np.zeros_like(diagonal)
    for probe, (a, b) in enumerate(zip(diagonal, off_diagonal)):
        ended = np.flatnonzero(b == 0)
        count = ended[0] + 1 if len(ended) else len(a)
        values, vectors = eigh_tridiagonal(a[:count], b[: count - 1])
        nodes[probe, :count], weights[probe, :count] = values, vectors[0] ** 2
    return nodes, weights


def stochastic_quadrature(operator, *, probes=8, steps=64, seed=0, together=None):
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
    """
    size = operator.dimension
    steps = min(steps, size)
    together = together or max(1, min(probes, 16, (1 << 27) // (steps * size)))
    rng, rules = np.random.default_rng(seed), []
    for start in range(0, probes, together):
        signs = rng.integers(0, 2, (min(together, probes - start), size)) * 2.0 - 1.0
        rules.append(quadrature(*lanczos(operator, torch.as_tensor(signs).to(operator.device, operator.dtype), steps)))
    return tuple(np.concatenate(parts) for parts in zip(*rules))


def extreme_eigenvalues(operator, count=1, *, tolerance=1e-9, seed=0, vectors=False, restarts=2000):
    """The smallest and the largest eigenvalues of a symmetric operator.

    Parameters
    ----------
    operator
        `Hessian` or `Noise`, of dimension d > 2 count.
    count : int
        Eigenvalues at each end.
    tolerance : float
        Residuals |A v - λ v| are at most about tolerance × |A|; the error of λ is smaller still (their square over the
        gap).
    seed : int
        Of the start vector.
    vectors : bool
        Return the eigenvectors as well.
    restarts : int
        Give up after so many.

    Returns
    -------
    smallest, largest : arrays (count,), ascending
        With `vectors` two arrays (d, count) follow.

    Raises
    ------
    ValueError
        Not 1 <= count < d/2.
    RuntimeError
        No convergence.
    """
    size = operator.dimension
    if not 1 <= count < size / 2:
        raise ValueError(f"expected 1 <= count < d/2 = {size / 2:g}, got {count}")
    start = np.random.default_rng(seed).standard_normal(size)
    nodes, _ = quadrature(*lanczos(operator, torch.as_tensor(start[None]).to(operator.device, operator.dtype), 10))
    scale = float(abs(nodes).max())
    if scale == 0.0:
        zeros, axes = np.zeros(count), np.eye(size, count)
        return (zeros, zeros, axes, axes) if vectors else (zeros, zeros)
    tolerance = max(tolerance, 10 * torch.finfo(operator.dtype).eps)
    ends = [_end(operator, sign, 2.0 * scale, count, tolerance, start, restarts) for sign in (-1.0, 1.0)]
    (smallest, low), (largest, high) = ends
    return (smallest, largest, low, high) if vectors else (smallest, largest)


def _end(operator, sign, shift, count, tolerance, start, restarts):
    """Eigenvalues at one end of A from the largest ones of shift + sign A > 0: no tolerance is relative to 0."""
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    plain = linear_operator(operator)
    moved = LinearOperator(
        plain.shape, matvec=lambda v: shift * v.ravel() + sign * (plain @ v.ravel()), dtype=plain.dtype
    )
    krylov = min(operator.dimension, max(4 * count, 40))
    start = start.astype(plain.dtype)
    try:
        _, states = eigsh(moved, count, which="LA", tol=tolerance, v0=start, ncv=krylov, maxiter=restarts)
    except ArpackNoConvergence as error:
        raise RuntimeError(
            f"Lanczos did not converge to {tolerance:g}: allow more restarts or less precision"
        ) from error
    images = (operator @ torch.as_tensor(states)).cpu().numpy()
    values = (states * images).sum(0)
    order = np.argsort(values)
    return values[order], states[:, order]
