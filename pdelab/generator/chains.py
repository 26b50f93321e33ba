"""Questions to a chain: its stationary law, exit times and committors, each with a certificate or refused."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.sparse import csgraph, linalg

from pdelab import boundaries, checks
from pdelab.checks import bounded
from pdelab.generator.assembly import generator
from pdelab.generator.censored import Censored, Wide
from pdelab.generator.coarser import ENOUGH, FEWEST, Coarser
from pdelab.generator.coefficients import DiffusionProblem, asked, ito
from pdelab.generator.edges import lines
from pdelab.generator.fading import dips, fades, fading
from pdelab.generator.smearing import FEW, SMEARED, TINY, smearing, warn_of_smearing
from pdelab.generator.truncation import Truncation, cell_numbers
from pdelab.grid import Grid
from pdelab.hints import Array
from pdelab.stepping import AccuracyWarning

__all__ = [
    "checked_chain", "closed_class", "committor", "factored", "log_stationary", "mean_exit_time", "moved_masses",
    "needs_noise", "reached_first", "resting", "solutions", "solver", "sparse_masses", "splitting", "stationary",
    "symmetrised", "tell_of_few",
]  # fmt: skip

STEEPEST = 700.0  # kT between neighbouring nodes: beyond, exp() of it leaves float64 and the chain falls apart
BALANCE = 1e-10  # relative difference of the flows in and out of a node: an elimination without subtractions is better
FEW_BENT = (
    (FEW, 0.2),
    (8, 0.6),
)  # nodes, and changes of b h/D or of log D from face to face of which they tell too little
CONSTANT = 1e-9  # of the largest value, a change that may be rounding
WORST = 1.5  # times as far off as most of an answer may be a node of it
SEEN = 0.1  # of the largest density, below which what is left out of it is not looked at
TRUSTED = 1e-7  # what a sparse factorisation, whose pivots are differences, may be wrong by


def stationary(problem: DiffusionProblem, grid: Grid, time: float = 0.0) -> np.ndarray:
    """The stationary density of the generator: Q^T (w ρ) = 0, ρ >= 0, integral one.

    A potential alone gives exp(-U/D) in closed form; otherwise the chain is eliminated without subtractions, with
    exponents of any size, so that a probability like 1e-200 has its digits too, and wells behind a barrier of a
    thousand kT keep their shares. Grids too large for that (some 370² or 29³ nodes) are solved by sparse inverse
    iteration, accurate relative to the largest value only.

    Parameters
    ----------
    problem : FokkerPlanck or BackwardKolmogorov
        With noise.
    grid : Grid
        Reflecting or periodic.
    time : float
        When the coefficients are taken, where they move.

    Returns
    -------
    array grid.shape; zero where the density is below the range of float64, see `log_stationary`.

    Raises
    ------
    ValueError
        No noise at all; an absorbing end; a chain with more than one closed class, naming the classes; neighbouring
        nodes more than 700 kT apart; a large chain so nearly disconnected that its sparse factors cannot tell.

    Warns
    -----
    AccuracyWarning
        Drift that outruns diffusion or bends from node to node so far that the law is off by more than 5 % in its
        integral, or by 10 % where it is a tenth of its largest value or more; a density that drift holds together on
        less than a cell: a finer grid. Noise that vanishes between two ends. Not told are laws that are singular at an
        end that no path reaches, where noise fades like the square of the distance and drift like it: some 10 %.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-5.0, 5.0, 201)
    >>> rho = stationary(pl.FokkerPlanck(drift=-grid.x, beta=1.0), grid)
    >>> bool(abs(grid.integrate(grid.x**2 * rho) - 1) < 1e-3)
    True
    """
    masses, logs = _law(problem, grid, time)
    density = np.exp(logs - logs.max()) if masses is None else masses.scaled(*masses.largest()) / grid.weights
    _tell_of_law("stationary", density, problem, grid, time)
    return density / float(np.sum(grid.weights * density))


def log_stationary(problem: DiffusionProblem, grid: Grid, time: float = 0.0) -> Array:
    """log of the stationary density, of any size; -inf on nodes that the chain leaves for ever.

    Arguments and errors as in `stationary`.

    Parameters
    ----------
    problem, grid, time
        As in `stationary`.

    Returns
    -------
    array grid.shape

    Raises
    ------
    ValueError
        As in `stationary`.

    Warns
    -----
    AccuracyWarning
        As in `stationary`.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-2.0, 2.0, 801)
    >>> logs = log_stationary(pl.FokkerPlanck(drift=-1e4 * grid.x, beta=1.0), grid)
    >>> round(float(logs[400] - logs[0]))                 # exp(-20000) is no float64
    20000
    """
    masses, logs = _law(problem, grid, time)
    if logs is None:
        logs = masses.log() - np.log(grid.weights)
    top = logs.max()
    _tell_of_law("log_stationary", np.exp(logs - top), problem, grid, time)
    return logs - (top + math.log(float(np.sum(grid.weights * np.exp(logs - top)))))


def _tell_of_law(name, density, problem, grid, time):
    form, masses = ito(asked(problem, grid, time), grid), density * grid.weights
    what, moved = f"the law that {name} gives is", None
    if form.diagonal:
        truncation = Truncation.of(form, grid)
        moved = _moved_law(masses, generator(problem, grid, time), truncation)
        if moved is None and truncation.bound() > SMEARED / 2:
            with suppress(ValueError):
                moved = _by_another(masses, _masses(truncation.better(), grid), grid.weights)
        if fades(form, grid) and (coarser := Coarser.of(asked(problem, grid, time), grid)) is not None:
            with suppress(ValueError):
                other, gathered = _masses(coarser.chain, coarser.grid), coarser.gathered(masses, grid)
                moved = max(moved or 0.0, _by_another(gathered, other, coarser.grid.weights) / coarser.orders)
    elif (coarser := Coarser.of(asked(problem, grid, time), grid, FEWEST)) is not None:
        with suppress(ValueError):  # on so few nodes it may fall apart
            fine = coarser.taken(density / masses.sum(), grid)
            moved = _by_another(
                fine * coarser.grid.weights.ravel(), _masses(coarser.chain, coarser.grid), coarser.grid.weights
            )
            moved /= coarser.orders
    widths = smearing(density, form, grid) if moved is None or not form.diagonal and min(grid.shape) < ENOUGH else 0.0
    if moved is None or widths > moved:
        what, moved = f"squared widths of what {name} gives are", widths
    warn_of_smearing(what, moved, density, form, grid, stacklevel=4)
    tell_of_few(what, density, form, grid, stacklevel=4)


def _by_another(masses, other, weights):
    """How far `_apart` a law is from other `Wide` masses on the same nodes, of any sums."""
    masses, weights, new = masses.ravel() / masses.sum(), weights.ravel(), other.scaled(*other.largest()).ravel()
    return _apart(masses / weights, (new / new.sum() - masses) / weights, weights)


def _apart(density, change, weights):
    """∫ |change| of a density of integral one, or half the largest relative change where there is some of it."""
    seen = density > SEEN * density.max()
    change = np.abs(change)
    return max(float((weights * change).sum()), 0.5 * float((change[seen] / density[seen]).max()))


def _moved_law(masses, Q, truncation):
    """How far `_apart` the law is from what the truncation makes of it; None where rounding decides."""
    masses, weights = masses / masses.sum(), truncation.grid.weights
    moved = moved_masses(masses, Q, truncation)
    return None if moved is None else _apart((masses / weights).ravel(), (moved / weights).ravel(), weights.ravel())


def moved_masses(masses, Q, truncation):
    """What the truncation moves stationary masses of sum one by, grid.shape; None where rounding decides.

    -Q^T δm is what Q has more than L of the flux out of each node.
    """
    load = truncation.left_out(masses)
    others = np.delete(np.arange(masses.size), int(np.argmax(masses)))
    solve = factored(0.0, 1.0, Q[others][:, others].T).solve
    moved, lost = np.zeros((2, masses.size))
    moved[others] = solve(load.ravel()[others])
    lost[others] = solve(4e-16 * np.abs(Q.diagonal() * masses.ravel())[others])
    return None if lost.sum() > SMEARED / 10 else moved.reshape(masses.shape) - moved.sum() * masses


def _law(problem, grid, time):
    """(masses, None) as `Wide` numbers by linear algebra, or (None, log density) of Gibbs, neither normalised."""
    coefficients = asked(problem, grid, time)
    needs_noise(coefficients, "a stationary density")
    boundaries.only(grid, boundaries.CLOSED, "a stationary density")
    if coefficients.drift is None and coefficients.diffusion is None and coefficients.sigma is None:
        U = np.zeros(grid.shape) if coefficients.potential is None else coefficients.potential
        return None, -(U - U.min()) / coefficients.diffusivity
    return _masses(checked_chain(problem, grid, time), grid), None


def needs_noise(coefficients, what):
    """Refuse a problem without noise."""
    if coefficients.diffusivity == 0:
        raise ValueError(f"{what} needs noise: with beta = inf (diffusivity 0) it is not unique")


def _not_too_steep(coefficients, grid):
    """Refuse neighbours so far apart in energy that float64 holds no rate between them."""
    form = ito(coefficients, grid)
    if not form.diagonal:
        return
    for axis, (drop, a) in enumerate(zip(form.drops, form.a)):
        noisy = a > 0
        wall, along = lines(noisy, axis, grid.shape)[:, 0], lines(np.ascontiguousarray(a), axis, grid.shape)
        wall &= ~fading(along, grid.ends[axis][0])  # the half cell there has its law's rate
        steepest = float((np.abs(drop[noisy]) / a[noisy]).max(initial=0.0))
        if steepest > STEEPEST:
            raise ValueError(
                f"grid: neighbouring nodes along axis {axis} differ by {steepest:.4g} kT, and float64 has no rates for "
                f"more than {STEEPEST:g}: take more nodes, or a larger diffusivity"
            )


def _masses(Q, grid):
    """Stationary masses of the nodes, shape grid.shape, as `Wide` numbers of any sum."""
    inside = closed_class(Q, grid)
    chain = Q[inside][:, inside]
    eliminated = Censored.of(chain, np.zeros(inside.size))
    masses = Wide.of(sparse_masses(chain)) if eliminated is None else _balanced_masses(chain, eliminated.masses())
    mantissas, exponents = np.zeros(Q.shape[0]), np.zeros(Q.shape[0], dtype=np.int64)
    mantissas[inside], exponents[inside] = masses.mantissas, masses.exponents
    return Wide(mantissas.reshape(grid.shape), exponents.reshape(grid.shape))


def _balanced_masses(chain, masses):
    """Masses m if Q^T m = 0 up to rounding, node by node; ArithmeticError otherwise."""
    m, jumps = masses.scaled(*masses.largest()), chain.tocoo()
    flow = np.where(jumps.row != jumps.col, jumps.data, 0.0) * m[jumps.row]
    into, out = (np.bincount(ends, flow, m.size) for ends in (jumps.col, jumps.row))
    _check_flows(m, into, out, "stationary masses")
    return masses


def closed_class(Q, grid):
    """Node numbers of the one closed communicating class."""
    count, label = csgraph.connected_components(Q, connection="strong")
    jumps = Q.tocoo()
    leaves = np.zeros(count, dtype=bool)
    crossing = (label[jumps.row] != label[jumps.col]) & (jumps.data > 0)
    leaves[label[jumps.row[crossing]]] = True
    closed = np.flatnonzero(~leaves)
    if closed.size > 1:
        names = []
        for k in closed[:4]:
            members = np.flatnonzero(label == k)
            first = grid.points.reshape(math.prod(grid.shape), -1)[members[0]]
            names.append(f"{members.size} nodes round {np.round(first, 6).tolist()}")
        more = f" and {closed.size - 4} more" if closed.size > 4 else ""
        raise ValueError(
            f"the chain has {closed.size} closed components, so its stationary law is not unique: "
            f"{'; '.join(names)}{more}: give them noise or drift that connects them, or solve on each by itself"
        )
    return np.flatnonzero(label == closed[0])


def sparse_masses(Q):
    """Stationary masses of a large chain by inverse iteration, with a certificate that nothing else is as slow."""
    fastest = float(-Q.diagonal().min())
    shift = 1e-11 * fastest
    factors = factored(shift, 1.0, Q.T)
    operator = linalg.LinearOperator(Q.shape, matvec=factors.solve, dtype=float)
    slow, x = linalg.eigs(operator, k=2, ncv=30, v0=np.ones(Q.shape[0]), tol=1e-10)
    gap = float(np.sort((1 / slow).real)[1]) - shift
    if gap < np.finfo(float).eps * fastest / TRUSTED:
        raise ValueError(
            f"grid: the chain of {Q.shape[0]} nodes is nearly disconnected (gap {gap:.1e} of {fastest:.1e}), and a "
            "sparse factorisation cannot tell the shares of its parts: take a grid of less than 370² or 29³ nodes"
        )
    x = np.abs(x[:, np.argmax(slow.real)].real)
    for _ in range(200):
        before, x = x / x.sum(), factors.solve(x)
        x /= x.sum()
        if np.abs(x - before).max() <= 1e-14 * x.max() and x.min() > 0:
            return x
    raise ValueError("grid: the stationary law did not converge to a positive one: take a smaller grid")


def factored(shift: float, step: float, Q: Any) -> Any:
    """Sparse factors of shift I - step Q with the diagonal as pivots, which keeps the signs of an M-matrix.

    Parameters
    ----------
    shift, step : float
        The two factors, such that the matrix is an M-matrix.
    Q : scipy sparse matrix (n, n)
        Non-negative off the diagonal.

    Returns
    -------
    scipy.sparse.linalg.SuperLU
        With the method `solve`.

    Examples
    --------
    >>> Q = sparse.csr_array(np.array([[-1.0, 1.0], [2.0, -2.0]]))
    >>> factored(1.0, 0.5, Q).solve(np.array([1.0, 1.0]))                # (I - Q/2) v = 1: rows of Q sum to 0
    array([1., 1.])
    """
    matrix = shift * sparse.eye_array(Q.shape[0]) - step * Q
    return linalg.splu(
        matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )


def mean_exit_time(
    problem: DiffusionProblem,
    grid: Grid,
    target: Callable | ArrayLike | None = None,
    time: float = 0.0,
    *,
    logarithm: bool = False,
) -> np.ndarray:
    """E[τ] for the first time τ in the target set, from every node: -Q v = 1 outside, v = 0 inside.

    Parameters
    ----------
    problem : FokkerPlanck or BackwardKolmogorov
        With noise.
    grid : Grid
        Of any ends but outflow.
    target : boolean array grid.shape, or callable points -> boolean array; None: the absorbing ends of the grid
        The nodes in it: let it end on nodes, since up to a spacing before its edge U may still rise by many kT.
    time : float
        When the coefficients are taken, where they move.
    logarithm : bool
        True: log v, which is finite also where v is beyond the range of float64; -inf inside the target.

    Returns
    -------
    array grid.shape; math.inf where the target may never be reached (also because an absorbing end outside it comes
    first). Relative accuracy also for huge times. The node on a reflecting end that no path leaves, without noise and
    drift there, has the time from its half cell.

    Raises
    ------
    ValueError
        No target, neighbouring nodes more than 700 kT apart, a time beyond the range of float64, or a large grid (some
        370² or 29³ nodes) whose sparse solution fails its certificate.

    Warns
    -----
    AccuracyWarning
        Drift that outruns diffusion or bends from node to node so far that they are off by more than 5 %, or by more
        than 7.5 % at some node; noise that vanishes between two ends.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(0.0, 1.0, 11)
    >>> v = mean_exit_time(pl.FokkerPlanck(beta=1.0), grid, lambda x: x >= 1.0)
    >>> bool(abs(v - (1 - grid.x**2) / 2).max() < 1e-14)
    True
    >>> walls = pl.Grid(0.0, 1.0, 11, boundary="absorbing")
    >>> bool(abs(mean_exit_time(pl.FokkerPlanck(beta=1.0), walls) - walls.x * (1 - walls.x) / 2).max() < 1e-14)
    True
    """
    inside = grid.absorbing.ravel() if target is None else _target(target, grid, "target")
    if not inside.any():
        raise ValueError("target: expected a set of nodes, since this grid has no absorbing end, got None")
    grid = _ending(problem, grid, time, inside)
    Q = checked_chain(problem, grid, time)
    times, logs = np.full((2, inside.size), math.inf)
    times[inside], logs[inside] = 0.0, -math.inf
    certain = np.flatnonzero(_sure_to_reach(Q, inside) & ~inside)
    if certain.size:
        killing = _rates_into(Q[certain], inside)
        inner = Q[certain][:, certain]
        solve = solver(inner, killing)
        (waits,) = solve([np.ones(certain.size)])
        times[certain], logs[certain] = waits.scaled(), waits.log()
        top = float(logs[certain].max())
        shares = np.where(np.isfinite(logs), np.exp(logs - top), 0.0).reshape(grid.shape)
        form = ito(asked(problem, grid, time), grid)
        longest = math.exp(min(top, 700.0))

        def again(other, taken):
            ends, nodes = taken(inside), np.flatnonzero(taken(np.isfinite(logs)))
            if not _sure_to_reach(other, ends)[nodes].all():
                return np.full(nodes.size, math.inf), nodes
            chain = other[nodes]
            found = solver(chain[:, nodes], _rates_into(chain, ends))([np.ones(nodes.size)])[0].log()
            return np.abs(np.expm1(found - taken(logs)[nodes])), nodes

        coarser = _coarser(problem, form, grid, time, inside)
        _tell_of_smearing("exit times are", shares, longest, form, grid, inner, certain, solve, again, coarser, 4)
    if logarithm:
        return logs.reshape(grid.shape)
    if np.isinf(times[certain]).any():
        raise ValueError(
            f"mean_exit_time: it reaches exp({logs[certain].max():.6g}), beyond the range of float64: "
            "ask for logarithm=True"
        )
    return times.reshape(grid.shape)


def committor(
    problem: DiffusionProblem, grid: Grid, a: Callable | ArrayLike, b: Callable | ArrayLike, time: float = 0.0
) -> np.ndarray:
    """P(b is reached before a) from every node: Q v = 0 outside, v = 0 on a and 1 on b.

    Parameters
    ----------
    a, b : boolean arrays grid.shape, or callables points -> boolean array; they do not meet
        The nodes in them: let them end on nodes. A reflecting end where noise fades is reached as an absorbing one is.
    problem : FokkerPlanck or BackwardKolmogorov
    grid : Grid
    time : float
        When the coefficients are taken, where they move.

    Returns
    -------
    array grid.shape in [0, 1], of relative accuracy however small. Paths that an absorbing end outside a and b takes
    reach neither and count as zero.

    Raises
    ------
    ValueError
        No noise, sets that are empty or meet, a node that reaches neither, neighbouring nodes more than 700 kT apart,
        or a large grid (some 370² or 29³ nodes) whose sparse solution fails its certificate.

    Warns
    -----
    AccuracyWarning
        Drift that outruns diffusion or bends from node to node so far that they are off by more than 5 %, or by more
        than 7.5 % at some node; noise that vanishes between two ends.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(0.0, 1.0, 5)
    >>> committor(pl.FokkerPlanck(beta=1.0), grid, grid.x <= 0.0, grid.x >= 1.0)
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    needs_noise(asked(problem, grid, time), "a committor")
    a, b = _target(a, grid, "a"), _target(b, grid, "b")
    if (a & b).any():
        raise ValueError(f"a and b: expected sets that do not meet, they share {int((a & b).sum())} nodes")
    grid = _ending(problem, grid, time, a, b)
    form = ito(asked(problem, grid, time), grid)
    Q = checked_chain(problem, grid, time)
    a = a | (grid.absorbing.ravel() & ~b)
    coarser = _coarser(problem, form, grid, time, a, b)
    return _probability(Q, b, a, form, grid, 5, coarser=coarser)[0]


def splitting(problem: DiffusionProblem, grid: Grid, time: float = 0.0) -> dict[tuple[int, int], Array]:
    """P(the box is left through this end) from every node, for each absorbing end.

    Parameters
    ----------
    problem : FokkerPlanck or BackwardKolmogorov
    grid : Grid
        With at least one absorbing end.
    time : float
        When the coefficients are taken, where they move.

    Returns
    -------
    dict {(axis, side): array grid.shape}, side 0 for the lower end and 1 for the upper one; they sum to one. A node on
    two absorbing ends counts to the first of them.

    Raises
    ------
    ValueError
        A grid without an absorbing end; a large grid whose sparse solution fails its certificate.

    Warns
    -----
    AccuracyWarning
        Drift that outruns diffusion or bends from node to node so far that they are off by more than 5 %, or by more
        than 7.5 % at some node; noise that vanishes between two ends.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(0.0, 1.0, 5, boundary="absorbing")
    >>> splitting(pl.FokkerPlanck(beta=1.0), grid)[0, 1]
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    needs_noise(asked(problem, grid, time), "a splitting probability")
    Q, ends = checked_chain(problem, grid, time), grid.absorbing_ends()
    if not ends:
        raise ValueError(f"grid: expected at least one absorbing end, got boundary={grid.boundary}")
    form, absorbing = ito(asked(problem, grid, time), grid), grid.absorbing.ravel()
    shares, solve = {}, None
    coarser = _coarser(problem, form, grid, time)
    for end, nodes in ends.items():
        b = nodes.ravel()
        shares[end], solve = _probability(Q, b, absorbing & ~b, form, grid, 5, solve, coarser)
    return shares


def _coarser(problem, form, grid, time, *sets):
    """A chain to compare with, of a full matrix or of noise that fades at an end, if it shows these sets of nodes."""
    known = form.diagonal and not fades(form, grid)
    coarser = None if known else Coarser.of(asked(problem, grid, time), grid, ENOUGH if form.diagonal else FEWEST)
    return coarser if coarser is not None and all(coarser.shows(inside, grid) for inside in sets) else None


def _probability(Q, b, a, form, grid, stacklevel, solve=None, coarser=None):
    """(`reached_first` as a field, the `solver`), with a warning where the rates smear it."""
    probability, outside, solve = _reached_first(Q, b, a, solve)
    field = probability.reshape(grid.shape)
    if outside.size:
        chain = Q[outside][:, outside]

        def again(other, taken):
            nodes, there = np.flatnonzero(~taken(a | b)), taken(probability)
            found = reached_first(other, taken(b), taken(a))
            with np.errstate(divide="ignore", invalid="ignore"):
                change = np.abs((found - there) / np.minimum(there, 1 - there))[nodes]
            return np.where(np.isfinite(change), change, 0.0), nodes

        _tell_of_smearing(
            "probabilities are", field, math.inf, form, grid, chain, outside, solve, again, coarser, stacklevel
        )
    return field, solve


def _tell_of_smearing(what, field, longest, form, grid, chain, nodes, solve, again, coarser, stacklevel):
    """Warn where what the rates leave out of L u moves u by much, at the worst but a tenth of the nodes or at any.

    They are counted by volume, of a chain in detailed balance by the law it rests in, exit times by where it waits.

    field : exit times over the longest one, or probabilities (longest = inf), compared with what they are off 0 or 1
    again : (chain, values -> those on its nodes) -> (relative changes of the answer, the nodes that have them)

    Where rounding moves them as much, the chain of better rates is asked; along offsets the `coarser` one or, without
    one, `smearing`.
    """
    held = np.ones(grid.shape, dtype=bool)
    held.flat[nodes] = False
    smeared, rests, weights = smearing(field, form, grid, longest, adjoint=True, held=held), None, grid.weights
    said = what
    reversible = symmetrised(chain)
    if reversible is not None:
        law = resting(reversible[1], nodes, grid)
        if longest < math.inf:  # where it waits: the deepest wells may be those that are left at once
            law = law * field**2
            waits = float((weights * law * field).sum()) > 0.5 * float((weights * law).sum())
            rests = law if waits else None
        weights = weights * law
    if form.diagonal:
        truncation, u = Truncation.of(form, grid, held), field.ravel()[nodes]
        size = np.minimum(u, 1 - u) if math.isinf(longest) else u
        added = truncation(field, -1 / longest).ravel()[nodes]
        loads = [np.maximum(added, 0.0), np.maximum(-added, 0.0), 4e-16 * np.abs(chain.diagonal()) * u]
        more, less, lost = (answer.scaled() for answer in solve(loads))
        known, mass = (size > 0) & (lost < SMEARED / 10 * size), weights.ravel()[nodes]
        if 2 * known.sum() > known.size:
            smeared, said = _of_nodes(what, np.abs(more - less)[known] / size[known], mass[known], nodes[known], grid)
        elif truncation.bound() > SMEARED / 2:
            change, there = again(truncation.better(), np.ravel)
            smeared, said = _of_nodes(what, change, weights.ravel()[there], there, grid)
        elif reversible is not None:
            smeared = 0.0
    if coarser is not None:
        with suppress(ValueError):
            change, there = again(coarser.chain, lambda values: coarser.taken(values, grid))
            masses = np.maximum(coarser.taken(weights / grid.weights, grid), 0.0) * coarser.grid.weights.ravel()
            apart = _of_most(change, masses[there]) / coarser.orders
            if apart > smeared or not (form.diagonal or min(grid.shape) < ENOUGH):
                smeared, said = apart, what
    warn_of_smearing(said, smeared, rests, form, grid, stacklevel)
    tell_of_few(what, field, form, grid, stacklevel)


def tell_of_few(what, field, form, grid, stacklevel):
    """Warn of axes of few nodes along which an answer varies and drift or diffusion change from face to face.

    Of noise that all but vanishes between two ends, too, which no nodes are enough for.
    """
    for axis, place in dips(form, grid) if form.diagonal and np.ptp(field) > 0 else ():
        warnings.warn(
            f"the noise all but vanishes round {place:.3g} along axis {axis}, where what happens on scales below the "
            f"spacing counts: how far {what} off is not known: let the box end there, or give the noise a floor that "
            "the nodes show",
            AccuracyWarning,
            stacklevel=stacklevel,
        )
    for axis, n in enumerate(grid.shape if form.diagonal else ()):
        varies = max(SMEARED / 10 * np.ptp(field), CONSTANT * np.abs(field).max())
        if n > FEW_BENT[-1][0] or np.ptp(field, axis).max() <= varies:
            continue
        a = np.maximum(form.a[axis], TINY)
        with np.errstate(over="ignore"):
            parts = [cell_numbers(form, axis).take(range(n if grid.periodic[axis] else n - 1), axis), np.log(a)]
            if form.drift is not None:  # whose means over the faces may be the same
                b = form.drift if grid.dimension == 1 else form.drift[..., axis]
                parts.append(b * grid.spacing[axis] / a)
        noisy = np.minimum(form.a[axis].take(range(1, n), axis), form.a[axis].take(range(n - 1), axis)) > 0
        with np.errstate(invalid="ignore", over="ignore"):  # infinite where there is no noise
            bends = [np.nan_to_num(np.abs(np.diff(part, axis=axis))) for part in parts]
        if n > FEW:  # enough for powers of the distance from an end without noise
            bends = [np.where(noisy.take(range(bend.shape[axis]), axis), bend, 0.0) for bend in bends]
        if max(float(bend.max(initial=0.0)) for bend in bends) > next(limit for few, limit in FEW_BENT if n <= few):
            warnings.warn(
                f"the nodes are too few ({n} along axis {axis}) to tell how drift and diffusion bend between them, and "
                f"how far {what} off: take more",
                AccuracyWarning,
                stacklevel=stacklevel,
            )


def _of_most(values, masses):
    """What nine tenths of the mass are below."""
    order = np.argsort(values)
    share = np.cumsum(masses[order])
    return float(values[order][np.searchsorted(share, 0.9 * share[-1])])


def _of_nodes(what, values, masses, nodes, grid):
    """(the same, what is so), or the largest, and where, if it is `WORST` times as large: any node may be asked for."""
    most, k = _of_most(values, masses), int(np.argmax(values))
    if not values[k] > WORST * max(most, SMEARED):
        return most, what
    place = (x[i] for x, i in zip(grid.axes, np.unravel_index(nodes[k], grid.shape)))
    name, _, are = what.rpartition(" ")
    return float(values[k]), f"{name} round ({', '.join(f'{x:.3g}' for x in place)}) {are}"


def symmetrised(Q):
    """(exp(phi/2) Q exp(-phi/2), phi) of a chain in detailed balance with exp(phi), 1 at most in each part; or None."""
    Q = Q.tocsr()
    jumps = Q.tocoo()
    off = (jumps.row != jumps.col) & (jumps.data > 0)
    rows, columns, rates = jumps.row[off], jumps.col[off], jumps.data[off]
    back = np.asarray(Q[columns, rows]).ravel()
    if Q.shape[0] < 2 or not (back > 0).all():
        return None
    phi, (_, label) = np.zeros(Q.shape[0]), csgraph.connected_components(Q)
    _, first, sizes = np.unique(label, return_index=True, return_counts=True)
    for root in first[sizes > 1].tolist():
        order, before = csgraph.breadth_first_order(Q, root, directed=False)
        parents, children = before[order[1:]], order[1:]
        rise = np.log(np.asarray(Q[parents, children]).ravel() / np.asarray(Q[children, parents]).ravel())
        for parent, child, step in zip(parents.tolist(), children.tolist(), rise.tolist()):
            phi[child] = phi[parent] + step
        phi[order] -= phi[order].max()
    apart = np.log(rates / back)
    if np.abs(phi[columns] - phi[rows] - apart).max() > 1e-9 * (1.0 + np.abs(phi).max()):
        return None
    between = sparse.coo_array((np.sqrt(rates * back), (rows, columns)), shape=Q.shape)
    return (between + sparse.diags_array(Q.diagonal())).tocsc(), phi


def resting(phi, nodes, grid):
    """The density, up to a factor, of masses exp(phi) on these nodes, with which a chain is in detailed balance."""
    law = np.zeros(grid.shape)
    law.flat[nodes] = np.exp(np.maximum(phi - phi.max(), -700.0))
    return law / grid.weights


def reached_first(Q, b, a):
    """P(b is reached before a), from every node of a chain, for boolean arrays of nodes."""
    return _reached_first(Q, b, a)[0]


def _reached_first(Q, b, a, solve=None):
    """(`reached_first`, the other nodes, `solver` of the chain on them, where it is not given)."""
    if not _sure_to_reach(Q, a | b).all():
        raise ValueError("a, b: expected sets that every node reaches, and some reach neither: add them to a or b")
    probability = b.astype(float)
    outside = np.flatnonzero(~(a | b))
    if outside.size:
        rows = Q[outside]
        to_a, to_b = _rates_into(rows, a), _rates_into(rows, b)
        solve = solver(rows[:, outside], to_a + to_b) if solve is None else solve
        first, second = solve([to_b, to_a])
        probability[outside] = first.share(second)
    return probability, outside, solve


def checked_chain(problem, grid, time):
    """The generator, with rates that float64 can hold."""
    _not_too_steep(asked(problem, grid, time), grid)
    return generator(problem, grid, time)


def _rates_into(rows, nodes):
    return np.asarray(rows[:, np.flatnonzero(nodes)].sum(axis=1)).ravel()


def solutions(Q, killing, loads):
    """v of (killing - Q) v = load for each load, as `Wide` numbers; only the off-diagonals of Q count."""
    return solver(Q, killing)(loads)


def solver(Q, killing):
    """`solutions` of one chain, a function of the loads: what is eliminated once serves all."""
    eliminated = Censored.of(Q, killing)
    if eliminated is not None:
        return lambda loads: [_balanced(Q, killing, load, eliminated.solve(load)) for load in loads]
    factors = factored(0.0, 1.0, Q)
    longest = _certified(Q, np.ones(killing.size), factors, 1.0)
    return lambda loads: [Wide.of(_certified(Q, load, factors, longest)) for load in loads]


def _balanced(Q, killing, load, v):
    """v if it is >= 0 and solves (killing - Q) v = load up to rounding, node by node; ArithmeticError otherwise."""
    values, jumps = v.scaled(), Q.tocoo()
    with np.errstate(over="ignore", invalid="ignore"):
        rate = np.where(jumps.row != jumps.col, jumps.data, 0.0)
        into = np.bincount(jumps.row, rate * values[jumps.col], values.size) + load
        out = (np.bincount(jumps.row, rate, values.size) + killing) * values
    _check_flows(values, into, out, "an answer of the chain")
    return v


def _check_flows(values, into, out, words):
    """Refuse negative values, and nodes where what flows in and out differs, as far as float64 holds both."""
    bounded(values, 0.0, np.inf, 0.0, words)
    finite = np.isfinite(into + out)
    into, out = into[finite], out[finite]
    bounded(out, into, into, BALANCE * (into + out) + 1e-280, f"{words}, in and out of a node")


def _certified(Q, load, factors, longest):
    """v of -Q v = load by sparse factors, refined once: v >= 0 and |error| <= max|residual| E[τ], else refused.

    The bound is exact for an M-matrix; with load 1 it is relative. `longest` is E[τ], or 1 while it is asked for.
    """
    v = factors.solve(load)
    v += factors.solve(load + Q @ v)
    residual = float(np.abs(load + Q @ v).max())
    if not (v.min() >= 0 and residual * np.max(longest) <= TRUSTED * max(float(np.abs(load).max()), v.max())):
        raise ValueError(
            f"grid: {Q.shape[0]} nodes are too many for an elimination without subtractions, and the sparse solution "
            f"fails its certificate (residual {residual:.1e}): take a grid of less than 370² or 29³ nodes"
        )
    return v


def _ending(problem, grid, time, *sets):
    """The grid with the reflecting ends absorbing that lie in one of the sets whole, where noise fades at an end.

    They are reached as the process reaches a point; a node on a wall has its half cell, which may be reached where the
    wall is not.
    """
    form = ito(asked(problem, grid, time), grid)
    if not (form.diagonal and fades(form, grid)):
        return grid
    fields, boundary = [inside.reshape(grid.shape) for inside in sets], []
    for axis, ends in enumerate(grid.ends):
        taken = [any(field.take(node, axis).all() for field in fields) for node in (0, -1)]
        names = tuple("absorbing" if end == "reflecting" and whole else end for end, whole in zip(ends, taken))
        boundary.append(names if grid.boundary[axis] != "periodic" else "periodic")
    return Grid(grid.lower, grid.upper, grid.shape, boundary=tuple(boundary))


def _target(target, grid, name):
    if callable(target):
        target = checks.takes(name, target, "(points)")(grid.points)
    inside = np.asarray(checks.unmasked(name, target))
    if inside.shape != grid.shape or inside.dtype != bool:
        raise ValueError(
            f"{name}: expected a boolean field of shape {grid.shape} or a function of points that gives one, "
            f"got {inside.dtype} of shape {inside.shape}"
        )
    if not inside.any():
        raise ValueError(f"{name}: expected at least one node of the grid inside")
    return inside.ravel()


def _sure_to_reach(Q, target):
    """Nodes from which the target is reached with probability one."""
    jumps = Q.tocoo()
    move = (jumps.data > 0) & ~target[jumps.row]
    graph = sparse.csr_array((np.ones(move.sum()), (jumps.row[move], jumps.col[move])), shape=Q.shape)
    reaches = _ancestors(graph, target)
    return ~_ancestors(graph, ~reaches)


def _ancestors(graph, members):
    """Nodes with a path into the set, the set included."""
    if not members.any():
        return members.copy()
    nodes = graph.shape[0]
    source = sparse.coo_array(
        (np.ones(members.sum()), (np.full(members.sum(), nodes), np.flatnonzero(members))), shape=(nodes + 1, nodes + 1)
    )
    backward = sparse.csr_array(graph.T)
    backward.resize((nodes + 1, nodes + 1))
    reached = csgraph.breadth_first_order((backward + source).tocsr(), nodes, return_predecessors=False)
    ancestors = np.zeros(nodes + 1, dtype=bool)
    ancestors[reached] = True
    return ancestors[:nodes]
