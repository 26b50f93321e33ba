"""What the page draws in the browser: f_γ, Hopf-Lax, slopes, minima and characteristics at every stop of γ and β.

The sliders stop at the rows of the table, so every number drawn is a value of the library and none is interpolated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

import pdelab as pl
from pdelab.losses import Loss

__all__ = ["BETAS", "GAMMAS", "NODES", "Table", "compute", "death_times", "jumps", "loss_of", "lowest"]

NODES = 401
GAMMAS = (0.0, *(2.0 ** (k / 3) for k in range(-15, 10)))
BETAS = tuple(2.0 ** (k / 2) for k in range(-2, 13))
FEET, LATTICE = 2001, 4001


@dataclass(frozen=True, eq=False)
class Table:
    """The rows of one loss; B stops of β, G of γ, n nodes.

    Attributes
    ----------
    formula : str
        Text of the loss.
    x, f, slope : array (n,)
        Nodes, loss, f'.
    gammas : array (G,)
    betas : array (B,)
    entropy, entropy_slope : array (B, G, n)
        Local entropy f_γ and its derivative.
    inviscid, inviscid_slope : array (G, n)
        Hopf-Lax and (x - y*)/γ with the smallest minimiser y*.
    broken : array (G, n)
        Whether the inviscid slope jumps between this node and the next.
    minimum : array (B, G)
        Where f_γ is smallest on the interval.
    inviscid_minimum : array (G,)
    moved : array (B, G)
        Whether that minimum lies in another valley of f than the minimum of f.
    shocks : array (G,)
        Number of jumps.
    feet, foot_slopes, deaths : array
        Characteristics y + t f'(y), and the time at which a shock absorbs each.
    """

    formula: str
    x: np.ndarray
    f: np.ndarray
    slope: np.ndarray
    gammas: np.ndarray
    betas: np.ndarray
    entropy: np.ndarray
    entropy_slope: np.ndarray
    inviscid: np.ndarray
    inviscid_slope: np.ndarray
    broken: np.ndarray
    minimum: np.ndarray
    inviscid_minimum: np.ndarray
    moved: np.ndarray
    shocks: np.ndarray
    feet: np.ndarray
    foot_slopes: np.ndarray
    deaths: np.ndarray


def loss_of(formula, lower=-5.0, upper=5.0):
    """A Loss of one variable with finite values and slopes on the interval, from text or a Loss."""
    if not (math.isfinite(lower) and math.isfinite(upper) and lower < upper):
        raise ValueError(f"lower, upper: expected finite numbers in increasing order, got {lower:g} and {upper:g}")
    loss = formula if isinstance(formula, pl.Loss) else pl.Loss(formula)
    if loss.dimension != 1:
        raise ValueError(f"formula: expected one variable, got {loss.dimension} ({', '.join(loss.variables)})")
    x = np.linspace(lower, upper, NODES)
    with np.errstate(all="ignore"):
        finite = np.isfinite(loss(x)) & np.isfinite(loss.gradient(x))
    if not finite.all():
        raise ValueError(
            f"formula: expected finite values and slopes from {lower:g} to {upper:g}, "
            f"got none at x = {x[np.argmin(finite)]:.3g}"
        )
    return loss


def compute(loss: Loss | str, lower: float = -5.0, upper: float = 5.0) -> Table:
    """The table of a loss on an interval.

    Parameters
    ----------
    loss : Loss of one variable, or its formula
    lower, upper : float

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        A formula that cannot be read, is not finite on the interval, or whose integral or minimum diverges.

    Examples
    --------
    >>> table = compute("x**2/2")
    >>> bool(abs(table.minimum[0, -1]) < 1e-12), int(table.shocks.sum())
    (True, 0)
    """
    loss = loss_of(loss, lower, upper)
    grid = pl.Grid(lower, upper, NODES, boundary="outflow")
    x, f, slope = grid.x, loss.on(grid), loss.gradient(grid.x)
    gammas, betas = np.array(GAMMAS), np.array(BETAS)
    entropy = np.array([[f, *np.asarray(pl.local_entropy(loss, grid, gammas[1:], beta))] for beta in betas])
    entropy_slope = np.array(
        [[slope, *(pl.local_entropy_gradient(loss, grid, gamma, beta) for gamma in gammas[1:])] for beta in betas]
    )
    point = np.array([x, *pl.proximal(loss, grid, gammas[1:])])
    inviscid = np.array([f, *pl.hopf_lax(loss, grid, gammas[1:])])
    inviscid_slope = np.array([slope, *((x - point[1:]) / gammas[1:, None])])
    feet = np.linspace(lower, upper, FEET)
    deaths = death_times(loss, feet)
    broken = np.array([jumps(y, feet, deaths, gamma) for y, gamma in zip(point, gammas)])
    minimum = np.array([[lowest(x, u, p) for u, p in zip(*rows)] for rows in zip(entropy, entropy_slope)])
    tops = x[1:-1][(f[1:-1] > f[:-2]) & (f[1:-1] >= f[2:])]
    home = np.searchsorted(tops, x[np.argmin(f)])
    shown = slice(None, None, 25)
    return Table(
        loss.formula, x, f, slope, gammas, betas, entropy, entropy_slope, inviscid, inviscid_slope, broken, minimum,
        np.array([lowest(x, u, p) for u, p in zip(inviscid, inviscid_slope)]), np.searchsorted(tops, minimum) != home,
        broken.sum(axis=1), feet[shown], loss.gradient(feet)[shown], deaths[shown],
    )  # fmt: skip


def death_times(loss, feet):
    """When a shock absorbs the characteristic y + t f'(y): inf over z of (z - y)²/(2 (f(y) + f'(y)(z - y) - f(z))_+).

    The foot y attains the minimum in the Hopf-Lax formula at its head exactly as long as
    f(z) + (y + t f'(y) - z)²/(2t) >= f(y) + t f'(y)²/2 for every z, which is solved for t. The limit z -> y is -1/f''.

    Parameters
    ----------
    loss : Loss of one variable
    feet : array (m,), increasing

    Returns
    -------
    array (m,), inf for a characteristic that is never absorbed

    Examples
    --------
    >>> import pdelab as pl
    >>> death_times(pl.Loss("x**2"), np.array([0.0, 1.0]))
    array([inf, inf])
    """
    width = feet[-1] - feet[0]
    z = np.linspace(feet[0] - width, feet[-1] + width, LATTICE)
    values, heights, slopes, bends = loss(z), loss(feet), loss.gradient(feet), loss.hessian(feet)
    times = np.where(bends < 0, -1 / np.where(bends < 0, bends, -1.0), np.inf)
    for k, y in enumerate(feet):
        away = z - y
        drop = heights[k] + slopes[k] * away - values
        below = drop > 1e-12 * (1 + abs(heights[k]) + np.abs(slopes[k] * away) + np.abs(values))
        if below.any():
            times[k] = min(times[k], float(np.min(away[below] ** 2 / (2 * drop[below]))))
    return times


def jumps(point, feet, deaths, gamma):
    """Between which neighbouring nodes the proximal map leaves out feet that are dead at γ; the last entry is False."""
    dead = np.concatenate([[0], np.cumsum(deaths < gamma)])
    upto = dead[np.searchsorted(feet, point)]
    return np.append(np.diff(upto) > 0, False)


def lowest(x, values, slopes):
    """Where values are smallest: the lowest node, moved to the zero of the slope in the cell beside it."""
    k = int(np.argmin(values))
    other = k + 1 if slopes[k] < 0 else k - 1
    if slopes[k] == 0 or not 0 <= other < x.size or slopes[k] * slopes[other] >= 0:
        return float(x[k])
    return float(x[k] - slopes[k] * (x[other] - x[k]) / (slopes[other] - slopes[k]))
