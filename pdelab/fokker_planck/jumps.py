"""Steps for a full matrix D(x): through the sparse generator."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse

from pdelab.fokker_planck.timing import held_factor, instant
from pdelab.generator import factored, ito
from pdelab.generator.assembly import chain_of
from pdelab.kernels import tridiagonal

__all__ = ["sparse_run"]


def sparse_run(problem, grid, times=1):
    """(masses, mode, time, dt, steps) -> masses for a full matrix D(x): sparse factors for each step size.

    times : of the diffusion that must be added, how many times it is
    """

    @lru_cache(maxsize=2)
    def prepared(mode, time, matrix_step):
        chain = chain_of(ito(problem.coefficients(grid, time), grid), grid, times)
        return _Jumps.of(chain, matrix_step, mode != tridiagonal.EXPLICIT)

    def run(m, mode, time, dt, steps):
        m = m.ravel()
        for k in range(steps):
            at = 0.0 if problem.steady else time + (k + instant(problem, mode)) * dt
            jumps = prepared(mode, at, held_factor(mode, dt))
            m = JUMP_STEPS[mode](m, jumps, problem.adjoint)
        return m.reshape(grid.shape)

    return run


@dataclass(frozen=True, eq=False)
class _Jumps:
    """A generator times a step as exchanges between pairs of nodes: what one loses is what the other gets."""

    tail: np.ndarray
    head: np.ndarray
    up: np.ndarray
    down: np.ndarray
    gather: sparse.csr_array  # exchange of each pair -> change of each mass
    factors: object  # of I - Q^T

    @classmethod
    def of(cls, Q, matrix_step, solve):
        """The exchanges of matrix_step Q, factorised when they are to be solved with."""
        jumps, nodes = Q.tocoo(), Q.shape[0]
        keep = jumps.row != jumps.col
        rows, columns, rates = (a[keep].astype(kind) for a, kind in zip((jumps.row, jumps.col, jumps.data), "qqd"))
        pairs, which = np.unique(np.minimum(rows, columns) * nodes + np.maximum(rows, columns), return_inverse=True)
        up = matrix_step * np.bincount(which, np.where(rows < columns, rates, 0.0), pairs.size)
        down = matrix_step * np.bincount(which, np.where(rows > columns, rates, 0.0), pairs.size)
        tail, head = np.divmod(pairs, nodes)
        count = np.arange(pairs.size)
        signs = np.concatenate([-np.ones(pairs.size), np.ones(pairs.size)])
        places = (np.concatenate([tail, head]), np.concatenate([count, count]))
        gather = sparse.csr_array((signs, places), shape=(nodes, pairs.size))
        return cls(tail, head, up, down, gather, factored(1.0, matrix_step, Q.T) if solve else None)

    def change(self, m, adjoint):
        """Q^T m in flux form, adjoint Q m in differences."""
        if adjoint:
            step = m[self.head] - m[self.tail]
            return np.bincount(self.tail, self.up * step, m.size) - np.bincount(self.head, self.down * step, m.size)
        return self.gather @ (self.up * m[self.tail] - self.down * m[self.head])

    def solve(self, m, adjoint):
        """(I - Q^T)^-1 m, adjoint (I - Q)^-1 m."""
        return self.factors.solve(m, trans="T" if adjoint else "N")


def _jump_implicit(m, jumps, adjoint):
    x = jumps.solve(m, adjoint)
    refined = x + jumps.solve(m - x + jumps.change(x, adjoint), adjoint)
    return np.where(np.abs(x) > tridiagonal.TINY, refined, x)


def _jump_trapezoid(m, jumps, adjoint):
    return m + jumps.solve(2 * jumps.change(m, adjoint), adjoint)


def _jump_explicit(m, jumps, adjoint):
    return m + jumps.change(m, adjoint)


JUMP_STEPS = {
    tridiagonal.IMPLICIT: _jump_implicit,
    tridiagonal.TRAPEZOID: _jump_trapezoid,
    tridiagonal.EXPLICIT: _jump_explicit,
}
