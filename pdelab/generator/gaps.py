"""The spectral gap of a chain, to relative accuracy also where it is exponentially small."""

from __future__ import annotations

import math
import warnings
from contextlib import suppress
from dataclasses import replace

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from pdelab.generator.assembly import chain_of
from pdelab.generator.censored import Censored
from pdelab.generator.chains import checked_chain, closed_class, needs_noise, resting, symmetrised, tell_of_few
from pdelab.generator.coarser import ENOUGH, FEWEST, Coarser
from pdelab.generator.coefficients import DiffusionProblem, asked, ito
from pdelab.generator.fading import fades
from pdelab.generator.slow_modes import FAST, SMALL, Balanced, decay, embedded, law_of, slowest, tiny, within_range
from pdelab.generator.smearing import SMEARED, TINY, smearing, warn_of_smearing
from pdelab.generator.truncation import Truncation
from pdelab.grid import Grid
from pdelab.kernels import modes
from pdelab.stepping import AccuracyWarning

__all__ = ["spectral_gap"]

WORST = 1e9  # condition of the slowest mode from which rounding may be seen in its rate


def spectral_gap(problem: DiffusionProblem, grid: Grid, time: float = 0.0) -> float:
    """min Re(-λ) over the eigenvalues λ != 0 of Q: the rate at which densities forget where they began; > 0.

    With absorbing ends it is the slowest rate at which what is left in the box dies out.

    Exponentially small gaps have relative accuracy too, on open and periodic axes and in one to three dimensions. On an
    open line the method is bisection, without subtractions; of other chains in detailed balance it is Lanczos' for the
    symmetric form of Q; for tiny gaps Arnoldi's for the inverse of Q, eliminated without subtractions. Elsewhere slow
    modes may turn fast: they are looked for among those of the chain in detailed balance that has the same law and
    spreads no faster; no mode of Q decays more slowly than the slowest of them.

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
        Drift that outruns diffusion or bends from node to node so far that the gap is off by more than 5 %, also where
        the slowest mode of the equation is not that of the chain; a mode so far from that of the adjoint that rounding
        decides; slow modes that may turn too fast to be found; noise that vanishes between two ends.

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
    slow, reversible, balanced = _slowest_of(Q, form, grid)
    if not 0 < slow[0] < math.inf:
        raise ValueError(f"spectral_gap: expected a positive number, got {slow[0]}: the chain falls apart on this grid")
    law, squares, moved = None, np.ones(grid.shape), None
    if reversible is not None:
        inner = np.flatnonzero(~grid.absorbing)
        law = resting(reversible[1], inner, grid)
        if slow[0] > FAST * float(-Q.diagonal().min()):
            _, down = _roots(reversible[1])
            squares.flat[inner] = (slow[1] * down) ** 2
    faded, enough = form.diagonal and fades(form, grid), ENOUGH if form.diagonal else FEWEST
    if (faded or not form.diagonal) and (coarser := Coarser.of(coefficients, grid, enough)) is not None:
        with suppress(ValueError):
            moved = abs(_slowest_of(coarser.chain, coarser.form, coarser.grid)[0][0] / slow[0] - 1) / coarser.orders
    if moved is None or faded or min(grid.shape) < ENOUGH:
        moved = max(moved or 0.0, _moved(slow, Q, reversible, balanced, form, grid))
    warn_of_smearing("rates are", moved, law, form, grid, stacklevel=3, weights=squares)
    tell_of_few("rates are", grid.points.reshape(*grid.shape, -1).sum(axis=-1), form, grid, stacklevel=3)
    return float(slow[0])


def _parts(Q, grid):
    """(the nodes that stay, the chain on them, the rates at which they are killed or None)."""
    stops = grid.absorbing.ravel()
    inner = np.flatnonzero(~stops)
    killing = np.asarray(Q[inner][:, np.flatnonzero(stops)].sum(axis=1)).ravel() if stops.any() else None
    return inner, Q[inner][:, inner], killing


def _slowest_of(Q, form, grid):
    """((gap, mode), (symmetric form, logarithm of the law) or None, `Balanced` modes or None) of a chain."""
    _, chain, killing = _parts(Q, grid)
    reversible = symmetrised(chain)
    if reversible is not None:
        return _reversible_gap(reversible, chain, killing), reversible, None
    if killing is not None:
        return decay(chain, killing), None, None
    every, inside = Q.shape[0], closed_class(Q, grid)
    slow, balanced = _turning_gap(Q, inside, form, grid)
    if inside.size < every:  # nodes that are left for ever: how slowly
        others = np.setdiff1d(np.arange(every), inside)
        leaving = decay(Q[others][:, others], np.asarray(Q[others][:, inside].sum(axis=1)).ravel())
        slow = min(slow, embedded(leaving, others, every), key=lambda pair: pair[0])
    return slow, None, balanced


def _turning_gap(Q, inside, form, grid):
    """((gap, mode on all nodes), `Balanced` modes that may turn or None) of the closed class of a chain."""
    every, balanced = Q.shape[0], None
    chain = Q if inside.size == every else Q[inside][:, inside]
    law = law_of(chain) if inside.size > SMALL else None
    slow = slowest(chain, None, law)
    if slow[0] > FAST * float(-chain.diagonal().min()) and not (form.diagonal and min(a.min() for a in form.a) <= 0):
        none = [np.zeros(grid.shape)] * grid.dimension
        still = replace(form, drops=none) if form.diagonal else replace(form, fick=np.zeros_like(form.fick))
        balanced = Balanced.of(chain, chain_of(still, grid)[inside][:, inside], law, slow[0])
        slow = balanced.slower(chain, slow)
        if balanced.most < slow[0]:
            warnings.warn(
                f"spectral_gap: modes that turn fast may be slower than {slow[0]:.3g}, though none than "
                f"{balanced.least:.3g}: take more diffusion or a smaller box",
                AccuracyWarning,
                stacklevel=3,
            )
    return embedded(slow, inside, every), balanced if inside.size == every else None


def _moved(slow, Q, reversible, balanced, form, grid):
    """What the truncation E moves the gap by, over the gap, first of all <l, E r> / <l, r> with the mode l of Q^T.

    Where modes that turn may take the place of the slowest, all slow ones are asked for again; of a full matrix it is
    `smearing`. Warns where rounding decides.
    """
    if not slow[1].any():
        return 0.0
    if reversible is not None:
        return _moved_reversibly(slow, reversible[1], Q, form, grid)
    inner, chain, killing = _parts(Q, grid)
    (gap, mode), field = slow, np.zeros(grid.shape, dtype=complex)
    field.flat[inner] = mode
    seen = gap > FAST * float(-chain.diagonal().min())
    if not form.diagonal or not (seen or mode.all()):
        return smearing(field, form, grid, 1 / gap, adjoint=True)
    left = _adjoint_mode(chain, mode) if seen else _tiny_adjoint(chain, killing, mode)
    met = max(abs(left @ mode) / np.linalg.norm(left) / np.linalg.norm(mode), TINY)
    if seen and 1 / met > WORST:
        warnings.warn(
            f"spectral_gap: the slowest mode and that of the adjoint are nearly at right angles (condition "
            f"{1 / met:.1e}), so that rounding decides the rate: take more diffusion or a smaller box",
            AccuracyWarning,
            stacklevel=3,
        )
    truncation = Truncation.of(form, grid)
    if balanced is None:
        added = truncation(field, -gap * field).ravel()[inner]
        return float(abs(left @ added) / max(abs(left @ mode), TINY)) / gap
    exact = balanced.slowest(chain - truncation.matrix(), _eigenvalue(chain, mode))
    return abs(gap - exact) / exact if 0 < exact < math.inf else math.inf


def _adjoint_mode(chain, mode):
    """l of Q^T l = λ l with the λ of a mode."""
    rate, left = (1 - 1e-9) * _eigenvalue(chain, mode), mode.conj() + 0j
    near = linalg.splu((chain.T - rate * sparse.eye_array(mode.size)).astype(complex).tocsc())
    for _ in range(2):
        left = near.solve(left)
        left /= np.abs(left).max()
    return left


def _eigenvalue(chain, mode):
    return np.vdot(mode, chain @ mode) / np.vdot(mode, mode)


def _tiny_adjoint(chain, killing, mode):
    """The same of a rate too small for a factorisation.

    Without killing it is m r* with the mode r* of the chain that runs backwards; with killing π/r with the law π of the
    chain of rates Q_ij r_j / r_i.
    """
    jumps = chain.tocoo()
    if killing is None:
        masses = Censored.of(chain, np.zeros(mode.size)).masses()
        logs, law = masses.log(), masses.scaled(*masses.largest())
        back = jumps.data * np.exp(logs[jumps.row] - logs[jumps.col])
        backward = sparse.coo_array((back, (jumps.col, jumps.row)), shape=jumps.shape).tocsr()
        return law * tiny(backward, None)[1]
    r = np.abs(mode)
    lasting = sparse.coo_array((jumps.data * r[jumps.col] / r[jumps.row], (jumps.row, jumps.col)), shape=jumps.shape)
    law = Censored.of(lasting.tocsr(), np.zeros(r.size)).masses()
    return law.scaled(*law.largest()) / r


def _moved_reversibly(slow, phi, Q, form, grid):
    """The same of a chain in detailed balance with exp(phi), whose modes are r = exp(-phi/2) v and l = exp(phi/2) v."""
    (gap, mode), (up, down) = slow, _roots(phi)
    inner, chain, _ = _parts(Q, grid)
    field = np.zeros(grid.shape)
    field.flat[inner] = mode * down
    if not form.diagonal:
        return smearing(field, form, grid, 1 / gap, adjoint=True)
    truncation = Truncation.of(form, grid)
    if gap > FAST * float(-chain.diagonal().min()):
        return float(abs(mode * up @ truncation(field, -gap * field).ravel()[inner])) / gap
    if truncation.bound() < SMEARED / 2:
        return 0.0
    _, chain, killing = _parts(truncation.better(), grid)
    line = _as_line(chain, killing)
    return abs((tiny(chain, killing)[0] if line is None else _line_gap(*line)) / gap - 1)


def _roots(phi):
    """exp(phi/2) and exp(-phi/2) up to a factor; zero where the law exp(phi) is below exp(-1200) of its largest."""
    half, kept = (phi - phi.max()) / 2 + 300.0, phi > phi.max() - 1200.0
    return (np.where(kept, np.exp(np.clip(sign * half, -300.0, 300.0)), 0.0) for sign in (1, -1))


def _reversible_gap(symmetric, Q, killing):
    """(gap, mode of the symmetric matrix) of a reversible chain; tiny gaps without subtractions."""
    S, phi = symmetric
    fastest, size = float(-Q.diagonal().min()), S.shape[0]
    skip, line = 0 if killing is not None else 1, _as_line(Q, killing)
    if line is not None and (gap := _line_gap(*line)) <= FAST * fastest:
        return gap, np.ones(size)
    if size <= SMALL:
        rates, vectors = np.linalg.eigh(-S.toarray())
    else:
        rates, vectors = linalg.eigsh(-S, k=2, sigma=-1e-9 * fastest, v0=np.cos(np.arange(size)), tol=0)
        ascending = np.argsort(rates)
        rates, vectors = rates[ascending], vectors[:, ascending]
    found, mode = float(rates[skip]), vectors[:, skip]
    if line is None and found <= FAST * fastest:
        found, slow = tiny(Q, killing)
        mode = (slow / slow[np.argmax(np.abs(slow))]).real * next(_roots(phi))
    return found if line is None else gap, mode / np.linalg.norm(mode)


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


def _line_gap(up, down, first):
    """The smallest decay rate (after zero, without killing) by bisection with pivots without subtractions."""
    top, gap = max(up.max(), down.max(), first), np.empty(1)
    modes.slowest(up / top, down / top, first / top, 4.0, 4e-16, gap)
    return within_range(float(gap[0]), top)
