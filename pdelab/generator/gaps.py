"""The spectral gap of a chain, to relative accuracy also where it is exponentially small."""

from __future__ import annotations

import math
import warnings

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph, linalg

from pdelab.generator.censored import Censored
from pdelab.generator.chains import (
    checked_chain,
    closed_class,
    factored,
    needs_noise,
    resting,
    sparse_masses,
    symmetrised,
)
from pdelab.generator.coefficients import DiffusionProblem, asked, ito
from pdelab.generator.smearing import TINY, added_backward, narrowness, peclet, smearing, warn_of_smearing
from pdelab.grid import Grid
from pdelab.kernels import modes
from pdelab.stepping import AccuracyWarning

__all__ = ["spectral_gap"]

FINE = 0.3  # cell Peclet number up to which rates add less than a hundredth to diffusion
WORST = 1e9  # condition of the slowest mode from which rounding may be seen in its rate
DENSE = 60  # nodes up to which the inverse is formed
FAST = 1e-7  # a gap above this share of the fastest rate is well seen by a sparse factorisation
CERTAIN = 1e-6  # relative residual of the slowest mode that is accepted


def spectral_gap(problem: DiffusionProblem, grid: Grid, time: float = 0.0) -> float:
    """min Re(-λ) over the eigenvalues λ != 0 of Q: the rate at which densities forget where they began; > 0.

    With absorbing ends it is the slowest rate at which what is left in the box dies out.

    Exponentially small gaps have relative accuracy too, on open and periodic axes and in one to three dimensions. On an
    open line the method is bisection, without subtractions; of other chains in detailed balance it is Lanczos' for the
    symmetric form of Q; elsewhere, and for tiny gaps, Arnoldi's for the inverse of Q, eliminated without subtractions.

    Parameters
    ----------
    problem : FokkerPlanck or BackwardKolmogorov
        With noise.
    grid : Grid
    time : float
        When the coefficients are taken, where they move.

    Returns
    -------
    float > 0
        The slowest rate of relaxation, 1/time.

    Raises
    ------
    ValueError
        No noise, several closed classes, neighbouring nodes more than 700 kT apart; a gap below 1e-300 of the fastest
        rate; a grid too large for the elimination (some 370² or 29³ nodes) with a gap below 1e-7 of it.

    Warns
    -----
    AccuracyWarning
        Drift that outruns diffusion from node to node, as in `stationary`; a mode so far from that of the adjoint that
        rounding decides.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-6.0, 6.0, 601)
    >>> bool(abs(spectral_gap(pl.FokkerPlanck(grid.x**2 / 2, beta=1.0), grid) - 1) < 1e-4)
    True
    """
    coefficients = asked(problem, grid, time)
    needs_noise(coefficients, "a spectral gap")
    form, Q = ito(coefficients, grid), checked_chain(problem, grid, time)
    stops, every = grid.absorbing.ravel(), Q.shape[0]
    inner = np.flatnonzero(~stops)
    chain = Q[inner][:, inner]
    killing = np.asarray(Q[inner][:, np.flatnonzero(stops)].sum(axis=1)).ravel() if stops.any() else None
    reversible = symmetrised(chain)
    if reversible is not None:
        slow = _reversible_gap(reversible, chain, killing)
    elif killing is not None:
        slow = _decay(chain, killing)
    else:
        inside = closed_class(Q, grid)
        slow = _embedded(_gap(Q if inside.size == every else Q[inside][:, inside], None), inside, every)
        if inside.size < every:  # nodes that are left for ever: how slowly
            others = np.setdiff1d(np.arange(every), inside)
            leaving = _decay(Q[others][:, others], np.asarray(Q[others][:, inside].sum(axis=1)).ravel())
            slow = min(slow, _embedded(leaving, others, every), key=lambda pair: pair[0])
    if not 0 < slow[0] < math.inf:
        raise ValueError(f"spectral_gap: expected a positive number, got {slow[0]}: the chain falls apart on this grid")
    if slow[1].any():
        _tell(slow, reversible, chain, inner, form, grid)
    return slow[0]


def _tell(slow, reversible, chain, inner, form, grid):
    """Warn where what the rates add moves the gap, or rounding does."""
    gap, mode = slow
    field, condition = np.zeros(grid.shape, dtype=complex), 1.0
    if reversible is None:
        field.flat[inner] = mode
        moved, condition = _moved(gap, mode, chain, inner, field, form, grid)
    else:
        up, down = _roots(reversible[1])
        field.flat[inner] = mode * down
        moved = _moved_reversibly(gap, mode * up, inner, field, form, grid)
    if condition > WORST:
        warnings.warn(
            f"spectral_gap: the slowest mode and that of the adjoint are nearly at right angles (condition "
            f"{condition:.1e}), so that rounding decides the rate: take more diffusion or a smaller box",
            AccuracyWarning,
            stacklevel=3,
        )
    narrow = 0.0 if reversible is None else narrowness(resting(reversible[1], inner, grid), grid, wall=1.0)
    warn_of_smearing("rates are", moved, narrow, form, grid, stacklevel=4)


def _moved(gap, mode, chain, inner, field, form, grid):
    """(what the rates' addition A to L moves the gap by, over the gap, the condition of the slowest mode).

    <l, A r> / <l, r> with the mode l of the adjoint; of a gap so small that one factorisation does not find l, and of
    a full matrix, `smearing`.
    """
    if not form.diagonal or gap <= FAST * float(-chain.diagonal().min()):
        return smearing(field, form, grid, 1 / gap, adjoint=True), 1.0
    r = mode / np.linalg.norm(mode)
    rate = np.vdot(r, chain @ r)
    near = linalg.splu((chain.T - (1 - 1e-9) * rate * sparse.eye_array(r.size)).tocsc())
    left = r.conj() + 0j
    for _ in range(2):
        left = near.solve(left)
        left /= np.abs(left).max()
    left /= np.linalg.norm(left)
    met = abs(left @ r)
    added = added_backward(field, form, grid, grid.absorbing).ravel()[inner] / np.linalg.norm(mode)
    moved = float(abs(left @ added)) / max(met, TINY) / gap
    return (moved if peclet(form, grid) > FINE else 0.0), 1 / max(met, TINY)


def _moved_reversibly(gap, left, inner, field, form, grid):
    """The same of a reversible chain, whose modes r and l = exp(phi) r have <l, r> = 1 here."""
    if not form.diagonal:
        return smearing(field, form, grid, 1 / gap, adjoint=True)
    if peclet(form, grid) <= FINE:
        return 0.0
    added = added_backward(field, form, grid, grid.absorbing).ravel()[inner]
    return float(abs(left @ added)) / gap


def _roots(phi):
    """exp(phi/2) and exp(-phi/2) up to a factor; zero where the law exp(phi) is below exp(-1200) of its largest."""
    half, kept = (phi - phi.max()) / 2 + 300.0, phi > phi.max() - 1200.0
    return (np.where(kept, np.exp(np.clip(sign * half, -300.0, 300.0)), 0.0) for sign in (1, -1))


def _reversible_gap(symmetric, Q, killing):
    """(gap, mode of the symmetric matrix) of a reversible chain; tiny gaps without subtractions."""
    S, phi = symmetric
    fastest, size = float(-Q.diagonal().min()), S.shape[0]
    skip = 0 if killing is not None else 1
    if size <= 400:
        rates, vectors = np.linalg.eigh(-S.toarray())
    else:
        shift = -1e-9 * fastest
        rates, vectors = linalg.eigsh(-S, k=2, sigma=shift, v0=np.cos(np.arange(size)), tol=0)
        ascending = np.argsort(rates)
        rates, vectors = rates[ascending], vectors[:, ascending]
    gap, mode = float(rates[skip]), vectors[:, skip]
    line = _as_line(Q, killing)
    if line is not None:
        gap = _line_gap(*line)
        if gap <= FAST * fastest:  # drift and diffusion are in balance in this mode
            return gap, np.zeros(size)
    elif gap <= FAST * fastest:
        gap, slow = _slowest(Q, killing, fastest)
        up, _ = _roots(phi)
        mode = (slow / slow[np.argmax(np.abs(slow))]).real * up
    return gap, mode / np.linalg.norm(mode)


def _as_line(Q, killing):
    """(up, down, first) of a chain with jumps between neighbouring numbers alone; None otherwise."""
    jumps = Q.tocoo()
    if np.abs(jumps.row - jumps.col).max() > 1:
        return None
    up, down = np.append(Q.diagonal(1), 0.0), np.append(Q.diagonal(-1), 0.0)
    if killing is None:
        return up, down, 0.0
    if killing[1:-1].any():
        return None
    up[-1] = killing[-1]
    return up, down, float(killing[0])


def _embedded(slow, nodes, size):
    """(gap, mode) with the mode on all nodes, zero on the others."""
    gap, mode = slow
    every = np.zeros(size, dtype=complex)
    every[nodes] = mode
    return gap, every


def _line_gap(up, down, first):
    """The smallest decay rate (after zero, without killing) by bisection with pivots without subtractions."""
    top, gap = max(up.max(), down.max(), first), np.empty(1)
    modes.slowest(up / top, down / top, first / top, 4.0, 4e-16, gap)
    return _within_range(float(gap[0]), top)


def _within_range(gap, top):
    if gap < 1e-300:
        raise ValueError(
            f"spectral_gap: below 1e-300 of the fastest rate {top:.3g}, which float64 cannot hold: "
            "see mean_exit_time(..., logarithm=True) for its size, or take less beta"
        )
    return top * gap


def _decay(Q, killing):
    """(rate, mode) of the slowest communicating class of a killed chain: what leaves one does not come back."""
    count, label = csgraph.connected_components(Q, connection="strong")
    if count == 1:
        return _gap(Q, killing)
    sizes = np.bincount(label)
    slowest = float(-Q.diagonal()[sizes[label] == 1].max(initial=-math.inf)), np.zeros(Q.shape[0])
    for members in (np.flatnonzero(label == number) for number in np.flatnonzero(sizes > 1)):
        rows = Q[members]
        outside = np.asarray(rows[:, np.flatnonzero(label != label[members[0]])].sum(axis=1)).ravel()
        slow = _embedded(_gap(rows[:, members], killing[members] + outside), members, Q.shape[0])
        slowest = min(slowest, slow, key=lambda pair: pair[0])
    return slowest


def _gap(Q, killing):
    """(smallest real part of a decay rate, its mode) of a connected chain, killed (`killing`) or not (None)."""
    fastest = float(-Q.diagonal().min())
    if Q.shape[0] <= 400:
        rates, vectors = np.linalg.eig(-Q.toarray())
        if killing is None:
            rates[np.argmin(np.abs(rates))] = math.inf
        slow = int(np.argmin(rates.real))
        gap, mode = float(rates[slow].real), vectors[:, slow]
    else:
        gap, mode = _sparse_gap(Q, killing)
    return (gap, mode) if gap > FAST * fastest else _slowest(Q, killing, fastest)


def _slowest(Q, killing, fastest):
    """The decay rate nearest to zero, by Arnoldi's iteration for the inverse of Q off its equilibrium."""
    nodes, at_rest = Q.shape[0], None
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
        return _within_range(0.0, fastest), v
    return (1 / time).real * float(np.ldexp(1 / m, -512 * e)), v


def _longest(operate, nodes):
    """The eigenvalue t with the smallest Re 1/t and its vector; the start is fixed, so that the answer is too."""
    if nodes <= DENSE:
        matrix = np.column_stack([operate(column) for column in np.eye(nodes)])
        times, vectors = np.linalg.eigvals(matrix), None
    else:
        times, vectors = _arnoldi(operate, (nodes, nodes), 4)
    clear = np.abs(times) > 1e-6 * np.abs(times).max()  # what is left of the others is rounding
    slowest = int(np.argmin(np.where(clear & (times.real > 0), 1 / np.where(times == 0, 1, times), math.inf).real))
    if vectors is not None:
        return times[slowest], vectors[:, slowest]
    return times[slowest], np.linalg.svd(matrix - times[slowest] * np.eye(nodes))[2][-1].conj()


def _sparse_gap(Q, killing):
    """The eigenvalue nearest to zero, or a slower one that rotates: those of (I - τQ/32)^-32 ~ exp(τQ) show it."""
    fastest, share = float(-Q.diagonal().min()), None
    if killing is None:
        law = Censored.of(Q, np.zeros(Q.shape[0]))
        share = sparse_masses(Q) if law is None else law.masses().scaled(*law.masses().largest())
        share = share / share.sum()
    near = _forgetting(factored(1e-12 * fastest, 1.0, Q), share, 1)
    times, vectors = _arnoldi(near, Q.shape, 4)
    nearest = int(np.argmin((1 / times).real))
    gap, mode = float((1 / times[nearest]).real), vectors[:, nearest]
    if not gap > FAST * fastest:
        return gap, mode
    _, vectors = _arnoldi(_forgetting(factored(1.0, 2 / gap / 32, Q), share, 32), Q.shape, 6)
    rates = -np.sum(vectors.conj() * (Q @ vectors), axis=0).real / np.sum(np.abs(vectors) ** 2, axis=0)
    slowest = int(np.argmin(rates))
    return (float(rates[slowest]), vectors[:, slowest]) if rates[slowest] < gap else (gap, mode)


def _forgetting(factors, share, power):
    """x -> factors^-power x, the constants projected out before and after."""

    def operate(x):
        y = np.ravel(x)
        y = y if share is None else y - share @ y
        for _ in range(power):
            y = factors.solve(y)
        return y if share is None else y - share @ y

    return operate


def _arnoldi(operate, shape, count):
    operator = linalg.LinearOperator(shape, matvec=operate, dtype=float)
    return linalg.eigs(operator, k=count, ncv=30, v0=np.cos(np.arange(shape[0])), tol=1e-10)
