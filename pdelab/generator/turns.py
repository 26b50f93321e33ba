"""How often a stationary chain goes round a periodic axis, net: with digits where faces have only rounding."""

from __future__ import annotations

import math
import warnings
from contextlib import suppress

import numpy as np
from scipy import sparse

from pdelab.checks import AccuracyWarning
from pdelab.generator.chains import checked_chain, closed_class, solutions, stationary
from pdelab.generator.coarser import Coarser
from pdelab.generator.coefficients import DiffusionProblem, asked, ito
from pdelab.generator.currents import balanced, moved_on_ring
from pdelab.generator.slow_modes import law_of
from pdelab.generator.smearing import SMEARED, warn_of_smearing
from pdelab.generator.truncation import Truncation
from pdelab.grid import Grid

__all__ = ["turning_rate"]

ROUNDING = 1e-13  # of the turns either way, below which their difference is no number
CANCELLED = 1e-8  # share of the turns that the difference must keep for five digits


def turning_rate(problem: DiffusionProblem, grid: Grid, axis: int = 0, time: float = 0.0) -> float:
    """Net turns per time of the stationary state round a periodic axis: its probability current through any section.

    `current` takes differences of the jumps to and fro over a face, of which high barriers leave rounding alone.
    Here the chain is cut along a slab that no jump crosses. Every excursion from the slab goes once round upwards, once
    round downwards or comes back to where it left, and the rates of the first two are sums of positive terms,

        N± = sum_s π_s sum_j q_sj P_j(the slab is entered from the other side),

    with probabilities from an elimination without subtractions. The relative accuracy of N+ - N- is that of float64
    divided by (N+ - N-)/(N+ + N-), which is tanh(A/2) where all turns have the affinity A = βFL of a force F.

    Parameters
    ----------
    problem : FokkerPlanck or BackwardKolmogorov
        With noise.
    grid : Grid
    axis : int
        A periodic axis of the grid, with enough nodes for a slab and as much beside it.
    time : float
        When the coefficients are taken, where they move.

    Returns
    -------
    float, turns per time

    Raises
    ------
    ValueError
        An axis that is not periodic or too short for the jumps of a full matrix, and what `stationary` refuses.

    Warns
    -----
    AccuracyWarning
        Turns up and down that cancel to less than 1e-8 of them: how many digits are left. Nodes so far apart that
        their difference is off by more than 5 %.

    Examples
    --------
    >>> import numpy as np, pdelab as pl
    >>> grid = pl.Grid((0.0, 0.0), (2 * np.pi, 1.0), (40, 5), boundary=("periodic", "reflecting"))
    >>> wind = np.ones((40, 5, 1)) * [1.0, 0.0]
    >>> washboard = pl.FokkerPlanck(-np.cos(grid.points[..., 0]), wind, beta=30.0)      # currents of 1e-7
    >>> ring = pl.Grid(0.0, 2 * np.pi, 40, boundary="periodic")
    >>> line = pl.FokkerPlanck(-np.cos(ring.x), np.ones(40), beta=30.0)
    >>> J = pl.current(line, ring, pl.stationary(line, ring))[0][0]
    >>> bool(abs(turning_rate(washboard, grid) / J - 1) < 1e-9)
    True
    """
    masses = (grid.weights * stationary(problem, grid, time)).ravel()
    if not isinstance(axis, (int, np.integer)) or not 0 <= axis < grid.dimension or not grid.periodic[axis]:
        raise ValueError(f"axis: expected the number of a periodic axis of the grid, got {axis!r}")
    if balanced(asked(problem, grid, time)):
        return 0.0
    form, Q = ito(asked(problem, grid, time), grid), checked_chain(problem, grid, time)
    inside = closed_class(Q, grid)
    columns = np.unravel_index(inside, grid.shape)[axis]
    up, down = _turns(Q[inside][:, inside], masses[inside], columns, grid.shape[axis])
    share = abs(up - down) / (up + down) if up + down > 0 else 1.0
    if share <= CANCELLED:
        digits = max(0, round(math.log10(max(share, 1e-300) / ROUNDING)))
        warnings.warn(
            f"turning_rate: {up:.6g} turns up and {down:.6g} down per time cancel to {digits} digits or less: take a "
            "larger force",
            AccuracyWarning,
            stacklevel=2,
        )
    elif up != down and (moved := _by_another(problem, form, grid, axis, time)) is not None:
        warn_of_smearing("turns are", moved(up - down), None, form, grid, stacklevel=3)
    return up - down


def _by_another(problem, form, grid, axis, time):
    """turns -> what a better chain, or another one, makes of them, relative; None where there is none to ask."""
    if grid.dimension == 1:
        return lambda turns: moved_on_ring(form, grid)
    orders, on = 1.0, grid
    if form.diagonal:
        truncation = Truncation.of(form, grid)
        if truncation.bound() < SMEARED / 2:
            return None
        Q = truncation.better()
    elif (coarser := Coarser.of(asked(problem, grid, time), grid)) is not None:
        Q, orders, on = coarser.chain, coarser.orders, coarser.grid
    else:
        return None

    def moved(turns):
        with suppress(ValueError):
            inside = closed_class(Q, on)
            chain = Q[inside][:, inside]
            law = law_of(chain)
            columns = np.unravel_index(inside, on.shape)[axis]
            up, down = _turns(chain, law / law.sum(), columns, on.shape[axis])
            return abs((up - down) / turns - 1) / orders
        return 0.0

    return moved


def _turns(Q, masses, columns, n):
    """(up, down) turns per time of a chain whose nodes stand in these columns of a ring of n."""
    jumps = Q.tocoo()
    keep = (jumps.row != jumps.col) & (jumps.data > 0)
    tail, head, rate = jumps.row[keep], jumps.col[keep], jumps.data[keep]
    steps = (columns[head] - columns[tail] + n // 2) % n - n // 2  # the shorter way round
    reach = int(np.abs(steps).max(initial=0))
    if n < 3 * reach or n < 3:
        raise ValueError(f"axis: expected at least {max(3 * reach, 3)} nodes round a turn, got {n}: take a finer grid")
    first = _emptiest(masses, columns, n, reach)
    place = (columns - first) % n  # the slab is at places 0 to reach - 1
    slab = place < reach
    crosses = place[tail] + steps
    above, below = crosses >= n, crosses < 0  # through the cut beneath the slab, upwards and downwards
    outside = np.flatnonzero(~slab)
    number = np.full(masses.size, -1)
    number[outside] = np.arange(outside.size)
    within = ~slab[tail] & ~slab[head]
    enters = ~slab[tail] & slab[head]
    from_below = np.bincount(number[tail[enters & above]], rate[enters & above], outside.size)
    from_above = np.bincount(number[tail[enters & ~above]], rate[enters & ~above], outside.size)
    rows = sparse.coo_array((rate[within], (number[tail[within]], number[head[within]])), shape=(outside.size,) * 2)
    through, back = solutions(rows.tocsr(), from_below + from_above, [from_below, from_above])
    leaves = slab[tail] & ~slab[head]
    flow = masses[tail] * rate
    chance_up, chance_down = through.share(back), back.share(through)
    upward, downward = leaves & ~below, leaves & below
    up = float(np.sum(flow[upward] * chance_up[number[head[upward]]]))
    down = float(np.sum(flow[downward] * chance_down[number[head[downward]]]))
    return up, down


def _emptiest(masses, columns, n, reach):
    """The first column of the slab of `reach` columns with the least mass: few excursions end where they began."""
    slab_masses = np.bincount(columns, masses, n)
    return int(np.argmin(sum(np.roll(slab_masses, -k) for k in range(reach))))
