"""The ends of the spectrum of a symmetric operator, with their multiplicities.

A few weights: the matrix itself. More: block Lanczos with thick restarts (Wu and Simon 2000; Golub and Ye 2002). One
start vector sees one direction of each eigenspace, however long it runs; a block of b random ones sees b of them. The
answer is checked: two fresh random vectors, kept orthogonal to what was found, must see nothing beyond its ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pdelab.checks import finite, refuse, switch, whole
from pdelab.networks.curvature.lanczos import lanczos, quadrature

DENSE = 1000  # weights up to which all eigenvalues are computed at once
STILL_DENSE = 5000  # up to which they are where iteration has cost as many products


def extreme_eigenvalues(
    operator: Any,
    count: int = 1,
    *,
    tolerance: float = 1e-9,
    seed: int = 0,
    vectors: bool = False,
    products: int = 20000,
) -> tuple[np.ndarray, ...]:
    """The smallest and the largest eigenvalues of a symmetric operator, repeated ones as often as they occur.

    Parameters
    ----------
    operator
        `Hessian` or `Noise`, of dimension d > 2 count.
    count : int
        Eigenvalues at each end.
    tolerance : float
        Residuals |A v - λ v| are at most tolerance × |A|, or 50 times the rounding unit. The error of λ is at most the
        residual, and at most its square over the gap to the other eigenvalues.
    seed : int
        Of the start vectors.
    vectors : bool
        Return the eigenvectors as well.
    products : int
        Give up after so many products with a vector. With up to 1000 weights the matrix is made, by d products, and
        solved; with up to 5000 that is done once the iteration has cost d products.

    Returns
    -------
    smallest, largest : arrays (count,), ascending
        With `vectors` two arrays (d, count) follow.

    Raises
    ------
    ValueError
        Not 1 <= count < d/2; arguments out of range; an operator that is not finite.
    RuntimeError
        No convergence within `products`: what was reached, and what to change.

    Notes
    -----
    An eigenvalue of multiplicity up to 2 count + 2 is found as often as it is asked for. The check at the end is two
    Lanczos runs of 30 steps: what they can miss shrinks like exp(-2 · 59 √ε) for an eigenvalue ε |A| beyond those
    returned (Kuczynski and Wozniakowski 1992), and faster where the spectrum has gaps.

    Examples
    --------
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> f = linear_model([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0], [0, 0, 0])          # |w|²/6
    >>> from pdelab.networks.curvature import Hessian
    >>> smallest, largest = extreme_eigenvalues(Hessian(f))
    >>> round(float(smallest[0]), 6), round(float(largest[0]), 6)
    (0.333333, 0.333333)
    """
    size = operator.dimension
    if not 1 <= whole("count", count) < size / 2:
        raise ValueError(f"count: expected 1 <= count < d/2 = {size / 2:g}, got {count}")
    if not 0 < finite("tolerance", tolerance) < 1:
        refuse("tolerance", "a number in (0, 1)", tolerance)
    switch("vectors", vectors)
    products = whole("products", products)
    tolerance = max(tolerance, 50 * torch.finfo(operator.dtype).eps)
    if getattr(operator, "nullity", 0) >= count and not vectors:  # nothing is below zero, and so much is zero
        return np.zeros(count), _ends(operator, 0, count, tolerance, seed, products)[0]
    values, states = _ends(operator, count, count, tolerance, seed, products)
    ends = values[:count], values[count:]
    return (*ends, states[:, :count], states[:, count:]) if vectors else ends


def _ends(operator, low, high, tolerance, seed, products):
    """Values and vectors (d, low + high) of the `low` smallest and the `high` largest eigenvalues, as arrays."""
    if operator.dimension <= DENSE:
        ends = _dense(operator, low, high)
    else:
        ends = _iterated(operator, low, high, tolerance, np.random.default_rng(seed), products)
    return tuple(part.cpu().numpy() for part in ends)


def _dense(operator, low, high):
    """The ends from all eigenvalues of the matrix."""
    axes = torch.eye(operator.dimension, dtype=operator.dtype, device=operator.device)
    matrix = operator.rows(axes)
    if not torch.isfinite(matrix).all():
        raise ValueError("operator: expected finite numbers, got products with NaN or infinities: the weights diverged")
    values, states = torch.linalg.eigh((matrix + matrix.T) / 2)
    ends = [*range(low), *range(len(values) - high, len(values))]
    return values[ends], states[:, ends]


def _iterated(operator, low, high, tolerance, rng, most):
    """Both ends by iteration; with blocks twice as large where some were missed."""
    block, used = low + high + 2, 0
    while True:
        krylov = _Krylov(operator, low, high, block, rng)
        while not krylov.converged(tolerance):
            spent = used + krylov.products
            if spent >= operator.dimension <= STILL_DENSE:
                return _dense(operator, low, high)
            if spent >= most:
                raise RuntimeError(
                    f"the eigenvalues did not converge: after {spent} products the residuals are {krylov.error:.1e} "
                    f"|A|, not {tolerance:.1e}: allow more products, a larger tolerance, or ask for a smaller count"
                )
            krylov.extend()
        used += krylov.products
        if _nothing_beyond(operator, krylov, tolerance, rng):
            return krylov.values, krylov.vectors.T
        block *= 2


class _Krylov:
    """A basis that grows by blocks of residuals of both ends, cut back to its best half when it is full."""

    def __init__(self, operator, low, high, block, rng):
        self.operator, self.low, self.high, self.block, self.rng = operator, low, high, block, rng
        size = operator.dimension
        room = max(3 * block, min(max(80, 10 * block), (1 << 26) // size))
        self.width = min(size, room)
        self.basis = torch.zeros(self.width, size, dtype=operator.dtype, device=operator.device)
        self.images = torch.zeros_like(self.basis)
        self.held = self.products = 0
        self._append(self._random(block))

    def converged(self, tolerance):
        """Whether the Ritz pairs of both ends have residuals below tolerance × |A|."""
        self.error = float(self.errors.max() / self.scale) if self.scale else 0.0
        return self.error <= tolerance or self.held == self.operator.dimension

    def extend(self):
        """One more block: the residuals that are still large."""
        if self.held + self.block > self.width:
            self._cut_back()
        worst = torch.argsort(self.errors, descending=True)[: self.block]
        fresh = self._orthonormal(self.residuals[worst[self.errors[worst] > 0]])
        self._append(fresh if len(fresh) else self._random(min(self.block, self.operator.dimension - self.held)))

    def _append(self, rows):
        place = slice(self.held, self.held + len(rows))
        self.basis[place], self.images[place] = rows, self.operator.rows(rows)
        if not torch.isfinite(self.images[place]).all():
            raise ValueError(
                "operator: expected finite numbers, got products with NaN or infinities: the weights diverged"
            )
        self.held, self.products = place.stop, self.products + len(rows)
        self._project()

    def _project(self):
        """Rayleigh and Ritz: values, vectors and residuals of both ends."""
        basis, images = self.basis[: self.held], self.images[: self.held]
        projected = basis @ images.T
        values, self.states = torch.linalg.eigh((projected + projected.T) / 2)
        ends = [*range(self.low), *range(self.held - self.high, self.held)]
        self.scale = values.abs().max()
        self.values, chosen = values[ends], self.states[:, ends].T
        self.vectors = chosen @ basis
        self.residuals = chosen @ images - self.values[:, None] * self.vectors
        self.errors = self.residuals.norm(dim=1)

    def _cut_back(self):
        room = (self.width - self.block) // 2
        low, high = (
            max(part + 1, room * part // (self.low + self.high)) if part else 0 for part in (self.low, self.high)
        )
        ends = [*range(low), *range(self.held - high, self.held)]
        chosen = self.states[:, ends].T
        self.basis[: len(ends)] = chosen @ self.basis[: self.held]
        self.images[: len(ends)] = chosen @ self.images[: self.held]
        self.held = len(ends)
        self._project()

    def _random(self, count):
        rows = torch.from_numpy(self.rng.standard_normal((count, self.operator.dimension)))
        return self._orthonormal(rows.to(self.operator.device, self.operator.dtype))

    def _orthonormal(self, rows):
        """Rows made orthonormal, also to the basis; those that depend on it are left out."""
        basis = self.basis[: self.held]
        rows = rows / rows.norm(dim=1, keepdim=True)
        for _ in range(2):
            rows = rows - (rows @ basis.T) @ basis
            lengths = rows.norm(dim=1, keepdim=True)
            rows = rows[lengths[:, 0] > 1e3 * torch.finfo(rows.dtype).eps]
            rows = rows / rows.norm(dim=1, keepdim=True)
        q, r = torch.linalg.qr(rows.T)
        rows = q.T[r.diagonal().abs() > 1e-8]
        rows = rows - (rows @ basis.T) @ basis
        return torch.linalg.qr(rows.T)[0].T


def _nothing_beyond(operator, krylov, tolerance, rng, steps=30):
    """Whether fresh random vectors, orthogonal to what was found, see no eigenvalue beyond it."""
    rows = krylov.vectors
    steps = min(steps, operator.dimension - len(rows))

    class Rest:
        dimension, dtype, device = operator.dimension, operator.dtype, operator.device

        @staticmethod
        def rows(vectors):
            image = operator.rows(vectors - (vectors @ rows.T) @ rows)
            return image - (image @ rows.T) @ rows

    starts = torch.from_numpy(rng.standard_normal((2, operator.dimension))).to(operator.device, operator.dtype)
    starts = starts - (starts @ rows.T) @ rows
    nodes, weights = quadrature(*lanczos(Rest, starts, steps))
    nodes = nodes[weights > 1e-14]
    margin = 100 * tolerance * float(krylov.scale)
    above = krylov.low == 0 or nodes.min() >= float(krylov.values[krylov.low - 1]) - margin
    return above and nodes.max() <= float(krylov.values[krylov.low]) + margin


__all__ = ["extreme_eigenvalues"]
