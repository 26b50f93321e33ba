"""Stochastic gradient descent on finite sums, and the diffusions that approximate it.

    f(x) = (1/N) Σ_k f_k(x),     x <- x - η g_B(x),    g_B = (1/b) Σ_{k in B} ∇f_k
    dX = -∇f(X) dt + √(η Σ(X)) dW,     Σ = cov g_B     (order 1 in η, over a fixed time)
    dX = -∇(f + (η/4)|∇f|²)(X) dt + √(η Σ(X)) dW       (order 2)

Time is t = kη. With D_w = (1/N) Σ_k (∇f_k - ∇f)(∇f_k - ∇f)ᵀ the covariance is D_w/b with replacement and
(N - b)/((N - 1) b) D_w without. Chaudhari, thesis 6.1: Lemma 6.3 (corrected), Theorem 6.5; Li, Tai & E (2017).
"""

from pdelab.sgd.algorithm import SGD, chosen, descent
from pdelab.sgd.approximations import approximation, square_root, stationary_covariance
from pdelab.sgd.expectations import diffusion_expectation, expectation
from pdelab.sgd.sums import FiniteSum

__all__ = [
    "SGD", "FiniteSum", "approximation", "chosen", "descent", "diffusion_expectation", "expectation", "square_root",
    "stationary_covariance",
]  # fmt: skip
