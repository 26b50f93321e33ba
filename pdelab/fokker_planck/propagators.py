"""Propagators that are exact in time on the grid, for steady problems whose generator is symmetric in disguise."""

from __future__ import annotations

import math
from dataclasses import replace
from operator import itemgetter

import numpy as np
from scipy.linalg import lapack
from scipy.special import ive

from pdelab.fokker_planck.accuracy import accuracy
from pdelab.fokker_planck.equations import FokkerPlanck
from pdelab.fokker_planck.schemes import certificates
from pdelab.fokker_planck.splitting import split_change
from pdelab.fokker_planck.timing import half_cells
from pdelab.fokker_planck.walls import with_walls
from pdelab.generator import axis_rates, ito, largest_step
from pdelab.grid import Grid
from pdelab.hints import Array
from pdelab.kernels import modes
from pdelab.stepping import Stepper, scheme

__all__ = ["LIFETIMES", "chebyshev", "spectral"]

LIFETIMES = 40  # after so many a mode is below round-off
KEPT = 1e-4  # inside absorbing ends: a time after which less is left is cut, since rounding is of what was there


@scheme(FokkerPlanck)
def spectral(problem: FokkerPlanck, grid: Grid, values: Array) -> Stepper:
    """Exact in time on the grid, by the eigenvectors of the symmetrised generator: one reflecting axis, steady.

    Only modes that have not died out at the first saved time are computed, their rates to relative accuracy; later
    times cost little more. The part at equilibrium is split off first and never touched: mass stays for any time. Not
    positive to the last digit; refused where the initial mass lies so deep in the tails of the equilibrium that
    round-off would show (there `crank_nicolson` and `implicit` serve).

    Raises
    ------
    ValueError
        Another grid than one reflecting axis, a moving problem, no noise, data too deep in the tails, modes that
        round-off cannot tell apart.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(0.0, np.pi, 101)
    >>> start = 1 + np.cos(grid.x)                                       # the slowest mode of pure diffusion
    >>> late = pl.solve(pl.FokkerPlanck(np.zeros(101), diffusivity=1.0), start, grid, 2.0, scheme="spectral").final
    >>> bool(abs(late[0] - 1 - np.exp(-2.0)) < 1e-4)
    True
    """
    if grid.boundary != ("reflecting",) or not problem.steady:
        raise ValueError("spectral: expected one reflecting axis and a steady problem; use crank_nicolson otherwise")
    ((up, down),) = axis_rates(ito(problem.coefficients(grid), grid), grid)
    root = _root_of_equilibrium(up.ravel(), down.ravel(), "spectral")
    error = _amplification(values * half_cells(problem, grid), root, problem.adjoint, "spectral")
    return with_walls(replace(_modal(problem, grid), error=error), problem, grid, _modal)


def _modal(problem, grid, *_):
    """The steps of `spectral`."""
    form = ito(problem.coefficients(grid), grid)
    ((up, down),) = axis_rates(form, grid)
    up, down, half = up.ravel(), down.ravel(), half_cells(problem, grid)
    root = _root_of_equilibrium(up, down, "spectral")
    rest, scale = root / np.linalg.norm(root), 1 / root if problem.adjoint else root

    def advance(state, time, dt, steps):
        field, parts = state
        if parts is None:
            parts = decomposed(field, time, 1 / (dt * steps))
        begin, rates, moving, resting = parts
        elapsed = time + dt * steps - begin
        alive = rates[: rates.searchsorted(LIFETIMES / elapsed)]
        field = np.exp(-elapsed * alive) @ moving[: len(alive)]
        field += resting
        return field, parts

    def decomposed(field, time, cut):
        """(time, decay rates, the field's part in each mode, its part at equilibrium); modes that outlive 1/cut."""
        rates, vectors = _modes(up, down, rest, LIFETIMES * cut)
        m = field * half / scale
        moving = vectors * (vectors @ m)[:, np.newaxis] * (scale / half)
        return time, rates, moving, (rest @ m) * rest * scale / half

    return Stepper(
        advance,
        dt=math.inf,
        certificates=certificates(problem, grid, form),
        init=lambda values: (values, None),
        values=itemgetter(0),
        **accuracy(problem, grid, form),
    )


def _modes(up, down, rest, cut):
    """(decay rates up to the cut, eigenvectors as rows) of the symmetrised -Q, ascending, all but the equilibrium's."""
    top, dead = max(up.max(), down.max()), np.empty(1)
    up, down, cut = up / top, down / top, min(cut / top, 4.0)
    modes.below(up, down, 0.0, np.array([cut]), np.empty(1), dead)
    rates = np.empty(int(dead[0]) - 1)
    vectors = np.empty((rates.size, up.size))
    modes.slowest(up, down, 0.0, cut, 1e-8, rates)
    for _ in range(2):
        modes.twisted(up, down, rates, vectors)
    gap = _closest(rates)
    if not gap > 1e-10:  # round-off cannot tell some of them apart
        modes.slowest(up, down, 0.0, cut, 4e-16, rates)
        _orthogonalised(up, down, rates, vectors)
    if not gap > 1e-3:
        vectors[:] = np.linalg.qr(np.column_stack([rest, vectors.T]))[0].T[1:]
    return top * rates, vectors


def _closest(rates):
    """Smallest relative gap between neighbours."""
    return (np.diff(rates) / rates[1:]).min(initial=1.0)


def _orthogonalised(up, down, rates, vectors):
    """Replace all eigenvectors but the slow ones by LAPACK's, which are orthogonal whatever the rates."""
    first = np.searchsorted(rates, 1e4 * np.finfo(float).eps)
    if not _closest(rates[:first]) > 1e-10:
        raise ValueError("spectral: round-off cannot tell some slow modes apart; use crank_nicolson")
    block, split = np.ones(up.size, dtype=np.int32), np.full(up.size, up.size, dtype=np.int32)
    beside = -np.sqrt(up[:-1]) * np.sqrt(down[:-1])
    eigenvectors, failed = lapack.dstein(up + np.roll(down, 1), beside, rates[first:], block, split)
    if failed:
        raise ValueError("spectral: the modes did not converge; use crank_nicolson")
    vectors[first:] = eigenvectors.T


@scheme(FokkerPlanck)
def chebyshev(problem: FokkerPlanck, grid: Grid, values: Array) -> Stepper:
    """Exact in time on the grid, to round-off, by Chebyshev polynomials of the generator: a steady potential, any d.

    exp(t Q) = exp(-z) (I_0(z) + 2 sum_k I_k(z) T_k(1 + t Q / z)), z = t times the largest rate out of a node: about
    8 sqrt(z) products with Q. Not positive to the last digit. Where ends absorb all but 1e-4 of what is inside, time is
    cut into pieces, so that the little that is left has its digits. Refused where the initial mass lies so deep in the
    tails of the equilibrium that round-off would show.

    Raises
    ------
    ValueError
        A moving problem, a drift that is not a gradient, no noise, data too deep in the tails, more products than are
        sane.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid((-3.0, -3.0), (3.0, 3.0), (31, 31))
    >>> problem = pl.FokkerPlanck(pl.Loss("x**2/2 + y**2/2"), beta=1.0)
    >>> start = np.exp(-((grid.points - 0.5) ** 2).sum(-1))
    >>> run = pl.solve(problem, start, grid, [0.5, 1.0], scheme="chebyshev")
    >>> run.info["scheme"], bool(run.info["time_error"] < 1e-12)
    ('fokker_planck.chebyshev', True)
    """
    if not problem.gibbs:
        raise ValueError("chebyshev: expected a steady potential alone and D > 0: the spectrum must be real")
    form = ito(problem.coefficients(grid), grid)
    assert form.potential is not None  # of a problem that has a Gibbs density
    U = form.potential - form.potential.min()
    root = np.exp(-U / (2 * problem.diffusivity)) * np.sqrt(grid.weights / np.prod(grid.spacing))
    error = _amplification(values * half_cells(problem, grid), root, problem.adjoint, "chebyshev")
    error /= KEPT if grid.absorbing.any() else 1.0
    return with_walls(replace(_series(problem, grid), error=error), problem, grid, _series)


def _series(problem, grid, *_):
    """The steps of `chebyshev`."""
    form, half = ito(problem.coefficients(grid), grid), half_cells(problem, grid)
    rates, largest = axis_rates(form, grid), 1 / largest_step(form, grid)
    stay = ~grid.absorbing

    def advance(m, time, dt, steps):
        if dt * steps * largest > 1e9:
            raise ValueError(
                f"chebyshev: t = {dt * steps:g} takes {8.5 * math.sqrt(dt * steps * largest):.0e} products with the "
                "generator: use implicit with a large step, or compact"
            )
        return whole(m, dt * steps) if stay.all() else parts(m, dt * steps)

    def parts(m, passed):
        """In pieces after each of which there is enough left inside."""
        before = np.abs(m[stay]).max(initial=0.0)
        if before == 0:
            return m
        after = whole(m, passed)
        if np.abs(after[stay]).max() >= KEPT * before:
            return after
        return parts(parts(m, passed / 2), passed / 2)

    def whole(m, passed):
        z = passed * largest
        shares = _bessel(z)
        before, here = m, split_change(m, rates, problem.adjoint, 1 / largest)
        total = shares[0] * before + shares[1] * here
        for share in shares[2:]:
            before, here = here, 2 * split_change(here, rates, problem.adjoint, 1 / largest) - before
            total += share * here
        return total

    return Stepper(
        advance,
        dt=math.inf,
        certificates=certificates(problem, grid, form),
        init=lambda values: values * half,
        values=lambda m: m / half,
        **accuracy(problem, grid, form),
    )


def _bessel(z):
    """exp(-z) I_0(z), 2 exp(-z) I_1(z), ... up to round-off."""
    count = int(8.5 * math.sqrt(z)) + 40
    shares = 2 * ive(np.arange(count), z)
    shares[0] /= 2
    return shares[: max(int(np.flatnonzero(shares > 1e-18)[-1]) + 1, 2)]


def _root_of_equilibrium(up, down, name):
    """Square root of the equilibrium masses of a line, largest one."""
    if (up[:-1] == 0).any() or (down[:-1] == 0).any():
        raise ValueError(f"{name}: expected jumps both ways over every face; without noise none go against the drift")
    logs = np.concatenate([[0.0], np.cumsum(np.log(up[:-1]) - np.log(down[:-1]))])
    return np.exp((logs - logs.max()) / 2)


def _amplification(m, root, adjoint, name):
    """Round-off after it has grown by sum |m| / root (densities) or 1 / root (functions) in the symmetrised picture."""
    total = np.abs(m).sum()
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        growth = 1 / root.min() if adjoint else np.nansum(np.abs(m) / root) / total if total > 0 else 0.0
    if not growth * np.finfo(float).eps < 1e-7:
        raise ValueError(
            f"{name}: the data reach {growth:.1e} times into the tails of the equilibrium, where round-off would show: "
            "use crank_nicolson or implicit, or a smaller box"
        )
    return float(growth * np.finfo(float).eps)
