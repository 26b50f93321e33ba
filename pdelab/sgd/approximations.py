"""Diffusions that approximate SGD, and stationary covariances of both."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve_continuous_lyapunov, solve_discrete_lyapunov

from pdelab import checks
from pdelab.hints import Array
from pdelab.paths import Diffusion
from pdelab.sgd.sums import FiniteSum, batch_size

__all__ = ["approximation", "square_root", "stationary_covariance"]


def approximation(
    problem: FiniteSum, lr: float, *, batch: int = 1, replacement: bool = True, order: int = 1
) -> Diffusion:
    """The stochastic differential equation whose law at t = kη is that of SGD up to O(η) or O(η²).

    Parameters
    ----------
    problem : FiniteSum
    lr : float > 0
        η.
    batch, replacement
        As in `SGD`.
    order : 1 or 2
        2 adds the drift -(η/2) Hess f ∇f = -∇(η/4)|∇f|² (Li, Tai & E, ICML 2017).

    Returns
    -------
    Diffusion in the sense of Ito, with σ the symmetric square root of ηΣ.

    Raises
    ------
    ValueError
        lr <= 0, an order other than 1 and 2, a batch above N without replacement.

    Examples
    --------
    >>> f = FiniteSum("(x - c)**2/2", c=[-1.0, 1.0])
    >>> sde = approximation(f, lr=0.1, order=2)
    >>> sde.drift(np.array([[2.0]]), 0.0).round(9), sde.sigma(np.array([[2.0]]), 0.0).round(6)      # -x (1 + η/2), √η
    (array([[-2.1]]), array([[0.316228]]))
    """
    lr = checks.positive("lr", lr)
    if order not in (1, 2):
        raise ValueError(f"order: expected 1 or 2, got {order!r}")
    batch = batch_size(problem, batch, replacement)

    def drift(x):
        g = problem.gradient(x)
        if order == 1:
            return -g
        H = problem.hessian(x)
        return -g - 0.5 * lr * (H * g if problem.dimension == 1 else np.einsum("...ij,...j->...i", H, g))

    def sigma(x):
        return square_root(lr * problem.covariance(x, batch, replacement=replacement), problem.dimension)

    kind = "diagonal" if problem.dimension == 1 else "general"
    return Diffusion(drift, sigma, kind=kind, dimension=problem.dimension, wieners=problem.dimension)


def square_root(matrices: ArrayLike, dimension: int) -> Array:
    """Symmetric square roots of positive semi-definite matrices (..., d, d), in one dimension of numbers.

    Parameters
    ----------
    matrices : array (..., d, d), in one dimension (...,)
    dimension : int
        d.

    Returns
    -------
    array of the same shape

    Examples
    --------
    >>> square_root(np.array([[2.0, 1.0], [1.0, 2.0]]), 2) @ square_root(np.array([[2.0, 1.0], [1.0, 2.0]]), 2)
    array([[2., 1.],
           [1., 2.]])
    """
    if dimension == 1:
        return np.sqrt(np.maximum(matrices, 0.0))
    values, vectors = np.linalg.eigh(np.asarray(matrices, float))
    return (vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]) @ np.swapaxes(vectors, -1, -2)


def stationary_covariance(H: ArrayLike, covariance: ArrayLike, lr: float, model: str = "sgd") -> Any:
    """Stationary covariance S for f = ½ xᵀHx and a constant covariance Σ of the mini-batch gradient.

    "sgd": HS + SH - ηHSH = ηΣ exactly;  "order 1": HS + SH = ηΣ;  "order 2": H <- H + (η/2)H² in the latter.

    Parameters
    ----------
    H : array (d, d) or float
        Symmetric, positive definite.
    covariance : array (d, d) or float
        Σ, of the mini-batch gradient.
    lr : float > 0
        η.
    model : "sgd", "order 1" or "order 2"

    Returns
    -------
    array (d, d)

    Raises
    ------
    ValueError
        Shapes that do not fit, an unknown model, eigenvalues h for which 0 < η h < 2 fails.

    Examples
    --------
    >>> [round(float(stationary_covariance(2.0, 1.0, 0.5, model)[0, 0]), 6) for model in ("sgd", "order 1", "order 2")]
    [0.25, 0.125, 0.083333]
    """
    H, covariance = np.atleast_2d(np.asarray(H, float)), np.atleast_2d(np.asarray(covariance, float))
    if model not in ("sgd", "order 1", "order 2"):
        raise ValueError(f"model: expected 'sgd', 'order 1' or 'order 2', got {model!r}")
    if H.shape != covariance.shape or H.shape != H.T.shape:
        raise ValueError(f"H, covariance: expected two (d, d) matrices, got shapes {H.shape} and {covariance.shape}")
    lr, curvatures = checks.positive("lr", lr), np.linalg.eigvals(H).real
    if curvatures.min() <= 0 or (model == "sgd" and lr * curvatures.max() >= 2):
        raise ValueError(f"H: nothing is stationary at lr = {lr} with eigenvalues {curvatures}: 0 < lr h < 2 is needed")
    if model == "sgd":
        return solve_discrete_lyapunov(np.eye(len(H)) - lr * H, lr**2 * covariance)
    rate = H if model == "order 1" else H + 0.5 * lr * H @ H
    return solve_continuous_lyapunov(rate, lr * covariance)
