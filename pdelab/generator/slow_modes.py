"""The slowest mode of a chain without detailed balance, also where it is exponentially slow or turns quickly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph, linalg

from pdelab.generator.censored import Censored
from pdelab.generator.chains import factored, sparse_masses
from pdelab.hints import Array

__all__ = ["Balanced", "FAST", "SMALL", "decay", "embedded", "law_of", "slowest", "tiny", "within_range"]

DENSE = 60  # nodes up to which the inverse is formed
SMALL = 400  # nodes up to which all eigenvalues are asked for
FAST = 1e-7  # a gap above this share of the fastest rate is well seen by a sparse factorisation
CERTAIN = 1e-6  # relative residual of the slowest mode that is accepted
MODES = (40, 120)  # slow modes of the chain in balance that are taken, and the most of them
COVERED = 2.0  # how much faster than the gap the last of them is to be
INVERSE = 40  # iterations at most
TURNING = 8  # eigenvalues among them that are looked at


@dataclass(frozen=True, eq=False)
class Balanced:
    """Slow modes of the chain in detailed balance that has the law of Q and spreads as Q does without drift, or less.

    A mode of Q that decays at the rate r spreads at the mean rate r, hence lies mostly in the modes of up to a few r,
    however fast it turns: among them the slow eigenvalues of Q are found without knowing where. None is slower than the
    slowest of them, as flows between two nodes are at most half of those of Q to and fro.

    Attributes
    ----------
    basis, dual : array (nodes, modes)
        Modes v and m v, <v, m v> = 1 with the law m.
    least, most : float
        The rates of the slowest and the fastest of them; 0 and math.inf for all nodes.
    """

    basis: Array
    dual: Array
    least: float
    most: float

    @classmethod
    def of(cls, Q: sparse.csr_array, still: sparse.csr_array, law: Array | None, wanted: float) -> Balanced:
        """The modes for a chain whose rates without drift are `still`; law = None: all nodes.

        wanted : a rate that the fastest of them should exceed by far
        """
        size = still.shape[0]
        if law is None:
            return cls(np.eye(size), np.eye(size), 0.0, math.inf)
        kept = np.flatnonzero(law > 1e-280)
        half, between, flows = 0.5 * np.log(law[kept]), still[kept][:, kept], Q[kept][:, kept].tocoo()
        scaled = flows.data * np.exp(half[flows.row] - half[flows.col])
        flows = sparse.coo_array((scaled, (flows.row, flows.col)), shape=flows.shape).tocsr()
        jumps = between.multiply(between.T).sqrt().minimum((flows + flows.T) / 2).tocoo()
        off = jumps.row != jumps.col
        rows, columns, rates = jumps.row[off], jumps.col[off], jumps.data[off]
        out = np.bincount(rows, rates * np.exp(half[columns] - half[rows]), kept.size)
        symmetric = (sparse.diags_array(out) - sparse.coo_array((rates, (rows, columns)), shape=jumps.shape)).tocsc()
        start, shift = np.cos(np.arange(kept.size)), -1e-9 * float(out.max())
        for count in MODES:
            rates, vectors = linalg.eigsh(symmetric, k=min(count, kept.size - 2), sigma=shift, v0=start, tol=1e-4)
            if rates.max() > COVERED * wanted:
                break
        order = np.argsort(rates)[1:]  # without the constants
        basis, dual = np.zeros((2, size, order.size))
        basis[kept] = vectors[:, order] * np.exp(-half)[:, None]
        dual[kept] = vectors[:, order] * np.exp(half)[:, None]
        return cls(basis, dual, float(rates[order[0]]), float(rates[order[-1]]))

    def rates(self, matrix: sparse.csr_array) -> Array:
        """-λ for the eigenvalues of a matrix on the nodes in these modes, the slowest first; zero is none of them."""
        rates = -np.linalg.eigvals(self.dual.T @ (matrix @ self.basis))
        if math.isinf(self.most):
            rates = np.delete(rates, np.argmin(np.abs(rates)))
        return rates[np.argsort(rates.real)]

    def slowest(self, matrix: sparse.csr_array, near: complex) -> float:
        """The rate of the slowest mode of a matrix on the nodes: of an eigenvalue near one, and of those found here."""
        rates = self.rates(matrix)
        if math.isinf(self.most):
            return float(rates[0].real)
        found = -_near(matrix, near)[0].real
        for rate in rates[:TURNING]:
            if rate.imag >= 0 and rate.real < found:
                found = min(found, -_near(matrix, -rate)[0].real)
        return found

    def slower(self, Q: sparse.csr_array, slow: tuple) -> tuple:
        """(rate, mode) of Q as `slow`, or slower ones that are among these modes."""
        gap, mode = slow
        if math.isinf(self.most) or self.least > (1 - CERTAIN) * gap:
            return slow
        for rate in self.rates(Q)[:TURNING]:
            if rate.real < (1 - CERTAIN) * gap and rate.imag >= 0:
                found, vector = _near(Q, -rate)
                if -found.real < gap:
                    gap, mode = float(-found.real), vector
        return gap, mode


def _near(Q, value):
    """(λ, v) of Q v = λ v with a complex λ near this value, by inverse iteration; λ = -inf without one."""
    v, options = np.cos(np.arange(Q.shape[0])) + 0j, {"SymmetricMode": True}
    shifted = (Q - value * sparse.eye_array(v.size)).astype(complex).tocsc()
    factors = linalg.splu(shifted, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.01, options=options)
    residual = found = math.inf
    for _ in range(INVERSE):
        v = factors.solve(v)
        v /= np.linalg.norm(v)
        image = Q @ v
        before, found = residual, np.vdot(v, image)
        residual = np.linalg.norm(image - found * v) / abs(found)
        if residual < CERTAIN and residual > 0.5 * before:  # rounding is all that is left
            return found, v
    return -math.inf + 0j, v


def law_of(Q):
    """The stationary law of a chain, over its largest value."""
    eliminated = Censored.of(Q, np.zeros(Q.shape[0]))
    if eliminated is None:
        masses = sparse_masses(Q)
        return masses / masses.max()
    masses = eliminated.masses()
    return masses.scaled(*masses.largest())


def slowest(Q, killing, law=None):
    """(smallest real part of a decay rate, its mode) of a connected chain, killed (`killing`) or not (None).

    Of many nodes without killing, whose law is then asked for, it is that of the eigenvalues nearest to zero.
    """
    if Q.shape[0] <= SMALL:
        rates, vectors = np.linalg.eig(-Q.toarray())
        if killing is None:
            rates[np.argmin(np.abs(rates))] = math.inf
        slow = int(np.argmin(rates.real))
        gap, mode = float(rates[slow].real), vectors[:, slow]
    else:
        gap, mode = _nearest(Q, None if killing is not None else law / law.sum())
    return (gap, mode) if gap > FAST * float(-Q.diagonal().min()) else tiny(Q, killing)


def _nearest(Q, share):
    """(rate, mode) of the eigenvalue nearest to zero; with killing no other is as slow (Perron and Frobenius)."""
    factors = factored(1e-12 * float(-Q.diagonal().min()), 1.0, Q)

    def operate(x):
        y = np.ravel(x)
        y = factors.solve(y if share is None else y - share @ y)
        return y if share is None else y - share @ y

    times, vectors = _arnoldi(operate, Q.shape, 4)
    nearest = int(np.argmin((1 / times).real))
    return float((1 / times[nearest]).real), vectors[:, nearest]


def decay(Q, killing):
    """(rate, mode) of the slowest communicating class of a killed chain: what leaves one does not come back."""
    count, label = csgraph.connected_components(Q, connection="strong")
    if count == 1:
        return slowest(Q, killing)
    sizes = np.bincount(label)
    slow = float(-Q.diagonal()[sizes[label] == 1].max(initial=-math.inf)), np.zeros(Q.shape[0])
    for members in (np.flatnonzero(label == number) for number in np.flatnonzero(sizes > 1)):
        rows = Q[members]
        outside = np.asarray(rows[:, np.flatnonzero(label != label[members[0]])].sum(axis=1)).ravel()
        leaving = killing[members] + outside
        if not leaving.any():
            raise ValueError(
                f"spectral_gap: {members.size} nodes are never left for an absorbing end, so that what is there stays: "
                "give them noise or drift that leads out"
            )
        other = embedded(slowest(rows[:, members], leaving), members, Q.shape[0])
        slow = min(slow, other, key=lambda pair: pair[0])
    return slow


def embedded(slow, nodes, size):
    """(gap, mode) with the mode on all nodes, zero on the others."""
    gap, mode = slow
    every = np.zeros(size, dtype=complex)
    every[nodes] = mode
    return gap, every


def tiny(Q, killing):
    """The decay rate nearest to zero, by Arnoldi's iteration for the inverse of Q off its equilibrium."""
    nodes, at_rest, fastest = Q.shape[0], None, float(-Q.diagonal().min())
    if killing is None:  # hold one node, in the deepest well; what it holds is projected out
        law = Censored.of(Q, np.zeros(nodes))
        if law is not None:
            at_rest = law.masses()
            at_rest = at_rest.scaled(*at_rest.largest())
            killing = np.where(np.arange(nodes) == np.argmax(at_rest), fastest, 0.0)
            at_rest /= at_rest.sum()
    inverse = None if killing is None else Censored.of(Q, killing)
    if inverse is None:
        raise ValueError(
            f"spectral_gap: below {FAST:g} of the fastest rate, and {nodes} nodes are too many for the elimination "
            "that such a small gap needs: take a grid of less than 370² or 29³ nodes"
        )
    unit = inverse.solve(np.ones(nodes)).largest()

    def operate(x):
        x = np.ravel(x)
        x = x if at_rest is None else x - at_rest @ x
        y = inverse.solve(np.maximum(x, 0.0)).scaled(*unit) - inverse.solve(np.maximum(-x, 0.0)).scaled(*unit)
        return y if at_rest is None else y - at_rest @ y

    time, v = _longest(operate, nodes)
    residual = np.linalg.norm(operate(v.real) + 1j * operate(v.imag) - time * v) / (abs(time) * np.linalg.norm(v))
    if not (time.real > 0 and residual < CERTAIN):
        raise ValueError(
            f"spectral_gap: the slowest mode did not converge (residual {residual:.1e}): take another grid"
        )
    m, e = unit
    logarithm = math.log((1 / time).real) - math.log(m) - 512 * math.log(2.0) * e
    if logarithm < math.log(1e-300) + math.log(fastest):
        return within_range(0.0, fastest), v
    return (1 / time).real * float(np.ldexp(1 / m, -512 * e)), v


def _longest(operate, nodes):
    """The eigenvalue t with the smallest Re 1/t and its vector; the start is fixed, so that the answer is too."""
    if nodes <= DENSE:
        matrix = np.column_stack([operate(column) for column in np.eye(nodes)])
        times, vectors = np.linalg.eigvals(matrix), None
    else:
        times, vectors = _arnoldi(operate, (nodes, nodes), 4)
    clear = np.abs(times) > 1e-6 * np.abs(times).max()  # what is left of the others is rounding
    slow = int(np.argmin(np.where(clear & (times.real > 0), 1 / np.where(times == 0, 1, times), math.inf).real))
    if vectors is not None:
        return times[slow], vectors[:, slow]
    return times[slow], np.linalg.svd(matrix - times[slow] * np.eye(nodes))[2][-1].conj()


def within_range(gap, top):
    """gap, a share of the fastest rate `top`, as a rate; ValueError where float64 cannot hold it."""
    if gap < 1e-300:
        raise ValueError(
            f"spectral_gap: below 1e-300 of the fastest rate {top:.3g}, which float64 cannot hold: "
            "see mean_exit_time(..., logarithm=True) for its size, or take less beta"
        )
    return top * gap


def _arnoldi(operate, shape, count):
    operator = linalg.LinearOperator(shape, matvec=operate, dtype=float)
    return linalg.eigs(operator, k=count, ncv=30, v0=np.cos(np.arange(shape[0])), tol=1e-10)
