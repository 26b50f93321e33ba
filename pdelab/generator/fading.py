"""Noise that fades at an end of the box: the rates of the cells there, by the law and the scale function in them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pdelab.generator.edges import lines

__all__ = ["FADED", "dips", "fades", "fading", "leave_fading_ends"]

FADED = 0.6  # of the diffusivity of the next node, below which the noise at an end fades
STRAIGHT = 0.2  # of the rise from node to node
CARRIED = 4.0  # |b| h/D of a drift that carries on where there is next to no noise
ROUNDED = 1e-14  # of it, what is zero
STEEPEST, BENT = 8.0, 1.0  # the largest power of a rise, and the largest logarithm of what bends it over a cell
SMOOTH = 3e-3  # of the values, a difference that is none
HUGE = 700.0  # exponents
HALVINGS, PARTS = 58, 6  # of the distance to the end, down to 3e-18 of a cell, and parts of each
STEP = math.log(2) / PARTS


def fading(a: Any, end: str) -> Any:
    """Does a diffusivity fall off over the cell at the end before the first of its nodes?

    Parameters
    ----------
    a : array (outer, n, inner)
    end : str
        The boundary there.

    Returns
    -------
    boolean array (outer, inner)
    """
    if end == "periodic" or a.shape[1] < 3:
        return np.zeros((a.shape[0], a.shape[2]), dtype=bool)
    return a[:, 0] < FADED * a[:, 1]


def fades(form: Any, grid: Any) -> bool:
    """Does the noise of a diagonal `Ito` form fade at an end?

    Parameters
    ----------
    form : Ito
    grid : Grid

    Returns
    -------
    bool
    """
    along = (lines(a, axis, grid.shape) for axis, a in enumerate(form.a))
    return any(fading(a, lower).any() or fading(a[:, ::-1], upper).any() for a, (lower, upper) in zip(along, grid.ends))


def dips(form: Any, grid: Any) -> list[tuple[int, float]]:
    """Where the noise of a diagonal `Ito` form all but vanishes between the ends and no drift carries on.

    Parameters
    ----------
    form : Ito
    grid : Grid

    Returns
    -------
    list of (axis, the place along it)
        One an axis at most.
    """
    places = []
    for axis, n in enumerate(grid.shape):
        a, drop = (lines(np.ascontiguousarray(field), axis, grid.shape) for field in (form.a[axis], form.drops[axis]))
        count = n if grid.periodic[axis] else n - 5
        if count < 1 or n < 6:
            continue
        near = np.stack([np.roll(a, -shift, axis=1)[:, :count] for shift in range(6)])
        carried = np.abs(np.roll(drop, -2, axis=1)[:, :count]) > CARRIED * (near[2] + near[3]) / 2
        low = (_meet(near) | _meet(np.sqrt(near))) & ~carried
        if low.any():
            places.append((axis, grid.lower[axis] + (int(np.argwhere(low)[0, 1]) + 2.5) * grid.spacing[axis]))
    return places


def _meet(near):
    """Do straight lines through three of six nodes and through the others meet between them at zero?"""
    away, met = True, 0.0
    for first, second, third in (near[2::-1], near[3:]):
        slope = second - first
        away &= (np.abs(third - 2 * second + first) < STRAIGHT * slope) & (slope > 0.5 * first)
        met = met + first / np.where(slope > 0.5 * first, slope, 1.0)
    return away & (np.abs(met - 1) < STRAIGHT)


def leave_fading_ends(form: Any, grid: Any, axis: int, up: Any, down: Any) -> None:
    """Where the noise fades at an end, the rates there by the speed and scale of the process, in place.

    Of dX = (b + α a') dt + sqrt(2 a) dW in the sense of Ito the density of the speed measure is m = a^(α-1) exp(∫ b/a),
    the scale function S has the slope a^-α exp(-∫ b/a), and both give the mean time to leave an interval (Karlin and
    Taylor, A Second Course in Stochastic Processes, 15.3). From a wall the next node is reached in its time, and the
    law there is the half cell's of m. An absorbing end comes from the next node before the node after next with the
    probability that S gives, never where it has no integral, and one of them in their time. Rates of points alone would
    leave all the mass on a wall, or nothing, where a is zero.

    Parameters
    ----------
    form : Ito
        Diagonal.
    grid : Grid
    axis : int
    up, down : arrays (outer, n, inner)
        Rates, changed in place.
    """
    h, potential, drift = grid.spacing[axis], form.potential, form.given
    if drift is not None and grid.dimension > 1:
        drift = drift[..., axis]
    sides = ((slice(None), 0, up, down), (slice(None, None, -1), -2, down, up))
    for end, (nodes, face, out, back), inwards in zip(grid.ends[axis], sides, (1, -1)):
        faint = fading(lines(form.a[axis], axis, grid.shape)[:, nodes], end)
        if not faint.any():
            continue

        def first(field, count, nodes=nodes, faint=faint):
            along = lines(field, axis, grid.shape)[:, nodes]
            return np.stack([along[:, k][faint] for k in range(min(count, grid.shape[axis]))])

        near = first(form.a[axis], 5)
        force = np.zeros((4, near.shape[1]))
        if potential is not None:
            slopes = _slopes(first(potential, 5))
            force[: len(slopes)] = slopes
        if drift is not None:
            forces = first(drift, 4)
            force[: len(forces)] += inwards * h * _polynomials(np.arange(len(forces)), forces)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            cells = _EndCells(near, force, form.share)
            rates = cells.at_wall(1 / h**2) if end == "reflecting" else cells.absorbed(1 / h**2)
        leaving = face if end == "reflecting" else face + inwards
        for old, number, new in ((back, face, rates[0]), (out, leaving, rates[1])):
            old[:, number][faint] = np.where(np.isfinite(new), new, old[:, number][faint])


def _slopes(energies):
    """Coefficients of -dU/dx by powers of x in cells, from U on the first nodes; none at the end if that may be so."""
    count = len(energies)
    slopes, before = (
        -np.arange(1, k)[:, np.newaxis] * _polynomials(np.arange(k), energies[:k])[1:] for k in (count, count - 1)
    )
    slopes[0] = np.where(np.abs(slopes[0]) <= np.abs(slopes[0] - before[0]), 0.0, slopes[0])
    return slopes


def _polynomials(places, values):
    """Coefficients (m, k), by powers, of the polynomials through values (m, k) at these places."""
    return np.linalg.solve(places[:, np.newaxis] ** np.arange(len(places)), values)


class _EndCells:
    """m and S between an end and the node after next, k ends at once, x in cells: h b by powers of x, force (4, k).

    Sums over s = -log x, from x = 2 on, of integrands that are powers of x from one point to the next.
    """

    def __init__(self, near, force, share):
        self.s = math.log(2) * np.linspace(-1.0, HALVINGS, (HALVINGS + 1) * PARTS + 1)[:, np.newaxis]
        logs, self.first = np.log(_diffusivity(near, np.exp(-self.s))), near[1]
        inner = sum(part * self._to_first(-logs - power * self.s) for power, part in enumerate(force) if part.any())
        logs -= np.log(self.first)
        self.law, self.steepness = (share - 1) * logs - inner, inner - share * logs

    def at_wall(self, scale):
        """Rates from the first node to the wall and back; NaN where the wall holds what comes, or lets none go."""
        below = self._below(self.law)
        held = below[2 * PARTS]
        rate = scale * self.first / self._weighted(below, self.steepness)
        rate = np.where(np.isfinite(held) & (rate > 0), rate, np.nan)
        return held * rate, rate

    def absorbed(self, scale):
        """Rates from the first node to the end, and to the next node; NaN where the end holds what comes."""
        steps, below = self._parts(self.steepness)[0], self._below(self.steepness)
        near, far = below[PARTS], steps[:PARTS].sum(axis=0)
        reached = 1 / (1 + near / far)
        before = self._weighted(np.where(np.isfinite(near), reached * below, far), self.law)
        fallen = np.append(np.zeros((1, far.size)), np.cumsum(steps[:PARTS], axis=0), 0)  # of the node after next
        waits = fallen * np.exp(self.law - self.s)[: PARTS + 1]
        beyond = (1 - reached) * np.trapezoid(waits, dx=STEP, axis=0)
        rate = scale * self.first / (before + beyond)
        rate = np.where(rate > 0, rate, np.nan)
        return reached * rate, (1 - reached) * rate

    def _weighted(self, height, logs):
        """∫ height exp(logs) dx from the end to the first node."""
        return self._below(np.log(np.maximum(height, 1e-300)) + np.minimum(logs, 600.0))[PARTS]

    def _below(self, logs):
        """∫ exp(logs) dx from the end to x."""
        parts, rest = self._parts(logs)
        return np.append(np.cumsum(parts[::-1], axis=0)[::-1], np.zeros((1, rest.size)), 0) + rest

    def _to_first(self, logs):
        """∫ exp(logs) dx from x to the first node."""
        sums = np.cumsum(np.append(np.zeros((1, logs.shape[1])), self._parts(logs)[0], 0), axis=0)
        return sums - sums[PARTS]

    def _parts(self, logs):
        """(∫ exp(logs) dx between the points, beyond the last of them)."""
        logs = np.minimum(logs - self.s, HUGE)
        fall = np.diff(logs, axis=0)
        bend = np.clip(np.diff(fall, axis=0), -1.0, 1.0)
        bend = (np.append(bend[:1], bend, 0) + np.append(bend, bend[-1:], 0)) / 2
        size = np.maximum(np.abs(fall), 1e-3)
        mean = -np.expm1(-size) / size * np.exp(-bend * (0.5 / np.tanh(size / 2) - 1 / size) / size)
        power, last = -fall[-1] / STEP, np.exp(logs[-1])
        rest = np.where(last == 0, 0.0, np.where(power > 1e-6, last / power, np.inf))
        return STEP * np.exp(np.maximum(logs[:-1], logs[1:])) * mean, rest


def _diffusivity(near, x):
    """a at x, in cells from the ends, from its values (m, k) on the first nodes of k ends.

    a₀ and x^p times a polynomial, p whole, where differences of as high an order as there are nodes say that it is one;
    else times exp(r x + q x²), with p whole where it may be, and less of it where there are fewer than five nodes or
    where that bends too much. What is not above a₀ everywhere is constant.
    """
    wall, numbers = np.where(near[0] > ROUNDED * near[1], near[0], 0.0), np.arange(1, len(near))[:, np.newaxis]
    rises = near[1:] - wall
    known = (rises > 0).all(axis=0)
    rises = np.where(known, rises, near[1] - wall)
    logs = np.log(rises / rises[0])[1:]
    columns = np.concatenate([np.log(numbers), numbers - 1, numbers**2 - 1], axis=1)[1:, : len(logs)]
    power, before = (np.linalg.solve(columns[:k, :k], logs[:k])[0] for k in (len(logs), max(len(logs) - 1, 1)))
    whole = np.maximum(np.round(power), 1.0)
    power = np.clip(np.where(np.abs(power - whole) <= 2 * np.abs(power - before), whole, power), 0.0, STEEPEST)
    bends = np.zeros((2, power.size))
    if len(logs) > 1:
        bends[: len(logs) - 1] = np.linalg.lstsq(columns[:, 1:], logs - columns[:, :1] * power)[0]
    wild = np.abs(bends).sum(axis=0) > BENT
    power = np.where(wild, np.clip(logs[0] / math.log(2), 0.0, STEEPEST), power)
    bends = np.where(wild, 0.0, bends)
    a = wall + rises[0] * x**power * np.exp(bends[0] * (x - 1) + bends[1] * (x**2 - 1))
    factors = rises / numbers**whole
    factor = np.polynomial.polynomial.polyval(x[:, 0], _polynomials(numbers[:, 0], factors)).T
    smooth = np.abs(np.diff(factors, len(factors) - 1, axis=0)[0]) < SMOOTH * factors.max(axis=0)
    return np.where(smooth & known & (factor > 0).all(axis=0), wall + x**whole * factor, a)
