"""What the rates between nodes leave out of the backward equation, to leading order: the nodes' part of an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from pdelab.generator.assembly import chain_of_rates
from pdelab.generator.coefficients import Ito, axis_rates, second_difference, stepping_faces, stop
from pdelab.generator.edges import lines
from pdelab.generator.fading import fading
from pdelab.grid import Grid
from pdelab.hints import Array
from pdelab.kernels import tridiagonal

__all__ = ["ROUNDING", "Truncation", "cell_numbers", "differences", "fitting", "roughness"]

JUMP = 1.5  # third over first difference of a drift, 2 at a step, (2 sin(kh/2))² of a wave: of less than five nodes
ROUNDING = 1e-12  # of the terms of a difference
FAINT = 1e-6  # of the largest value, what is not looked at


@dataclass(frozen=True, eq=False)
class Truncation:
    """E of Q = L + E for a diagonal form, to leading order in the spacing.

    Scharfetter-Gummel rates are exact where g = L u along the axis and the drift are constant from node to node.
    Elsewhere they add D (z/2 coth(z/2) - 1)/b times the slope of g, z = b h/D, and h²/12 times its second difference;
    what the drift does between the nodes is the difference to better rates.

    At a wall the half cell takes 2 fitting(z) g and (fitting(z) + 1/2 - 2 fitting(z)/z) times the slope, z towards the
    wall negative.

    Attributes
    ----------
    grid : Grid
    free : boolean array grid.shape
        Nodes with an equation; the value of the others is given, and of their g that of the neighbours is taken.
    axes : list of (up, down, fitting, more up, more down), arrays grid.shape
        Rates over the faces of each axis, D (z/2 coth(z/2) - 1)/(b h), and better rates over these, less one.
    parts : list of (ahead, behind, own), arrays grid.shape
        What the slope of g over a face gives to the nodes before and after it, and g to its own.
    """

    grid: Grid
    free: np.ndarray
    axes: list
    parts: list

    @classmethod
    def of(cls, form: Ito, grid: Grid, held: Array | None = None) -> Truncation:
        """That of the rates of a form, with the nodes `held`; None: the absorbing ones."""
        axes, parts = [], []
        for axis, (rates, better) in enumerate(zip(axis_rates(form, grid), _finer_rates(form, grid))):
            more = (new / np.where(old > 0, old, 1.0) - (old > 0) for old, new in zip(rates, better))
            z = cell_numbers(form, axis)
            axes.append([field.reshape(grid.shape) for field in (*rates, fitting(z), *more)])
            parts.append(_shares(z, axis, grid))
        return cls(grid, np.logical_not(grid.absorbing if held is None else held), axes, parts)

    def __call__(self, u: Array, change: Any = None) -> Array:
        """E u at the nodes; differences of u that may be rounding count as zero.

        change : what Q u is known to be
        """
        total = np.zeros_like(u)
        for axis, ((up, down, _, more_up, more_down), (to, on, own)) in enumerate(zip(self.axes, self.parts)):
            rise = self._rise(u, axis)
            ahead, behind = up * rise, np.roll(down * rise, 1, axis)
            along = ahead - behind
            if change is not None and u.ndim == 1:
                along = np.where(self.free, change, 0.0)
            else:
                along = np.where(np.abs(along) > ROUNDING * (up + np.roll(down, 1, axis)) * np.abs(u), along, 0.0)
            slope = differences(along, axis, self.grid)
            slope = np.where(self.free & np.roll(self.free, -1, axis), slope, 0.0)
            total += to * slope + np.roll(on * slope, 1, axis) + own * along
            total -= more_up * ahead - np.roll(more_down, 1, axis) * behind
        return np.where(self.free, total, 0.0)

    def fluxes(self, masses: Array) -> list[Array]:
        """What Q has more than L of the flux of masses over the faces of each axis, per time; zero in equilibrium."""
        more = []
        for axis, (up, down, share, more_up, more_down) in enumerate(self.axes):
            there = np.roll(masses, -1, axis)
            change = self._change(masses, axis) / self._widths(axis)
            fitted = share * (change + np.roll(change, -1, axis)) / 2 - differences(change, axis, self.grid) / 12
            more.append(_on_faces(fitted, axis, self.grid) - more_up * up * masses + more_down * down * there)
        return more

    def left_out(self, masses: Array, share: Callable[[Array], Array] | None = None) -> Array:
        """What L has more than Q of the change of masses, per time; zero in equilibrium.

        The cell at a wall is half as wide and has its node at an end: beside the fluxes it leaves out h²/12 times the
        slope of what changes, as the trapezoidal rule does.

        share : all of it -> what part of that counts, at the nodes; over faces the larger one
        """
        fluxes = self.fluxes(masses)
        whole = self._gathered(masses, fluxes, np.ones(1))
        return whole if share is None else self._gathered(masses, fluxes, share(whole))

    def _gathered(self, masses, fluxes, share):
        total = np.zeros_like(masses)
        for axis, flux in enumerate(fluxes):
            on_faces = np.maximum(share, np.roll(share, -1, axis)) if share.size > 1 else share
            flux = on_faces * flux
            total += flux - np.roll(flux, 1, axis)
            if "reflecting" not in self.grid.ends[axis]:
                continue
            slope = on_faces * differences(self._change(masses, axis) / self._widths(axis), axis, self.grid) / 12
            along, rise = np.moveaxis(total, axis, 0), np.moveaxis(slope, axis, 0)
            for side, (node, face, sign) in enumerate(((0, 0, -1.0), (-1, -2, 1.0))):
                if self.grid.ends[axis][side] == "reflecting":
                    along[node] += sign * rise[face]
        return total

    def smeared(self, values: Array, adjoint: bool) -> Iterator[Array]:
        """The flux that the slope of g adds, times the area of the faces of each axis: of a density, or backwards of u.

        A held node has no g: its neighbour's is taken.
        """
        for axis, (up, down, share, _, _) in enumerate(self.axes):
            if adjoint:
                rise = self._rise(values, axis)
                change = self.grid.weights * (up * rise - np.roll(down * rise, 1, axis))
            else:
                change = self._change(values * self.grid.weights, axis)
            change = np.where(self.free, change, 0.0)
            count = np.maximum(self.free.astype(int) + np.roll(self.free, -1, axis), 1)
            yield _on_faces(share * (change + np.roll(change, -1, axis)) / count, axis, self.grid)

    def better(self) -> sparse.csr_array:
        """The chain of the better rates."""
        rates = [(up * (1 + more), down * (1 + less)) for up, down, _, more, less in self.axes]
        return chain_of_rates(rates, self.grid)

    def bound(self) -> float:
        """What better rates change the logarithm of an exit time by, at most about: of its law, and of its rates."""
        law = rate = 0.0
        for axis, (up, down, _, more, less) in enumerate(self.axes):
            both = (up > 0) & (down > 0)
            change, back = (np.log1p(np.where(both, np.maximum(part, -1 + 1e-15), 0.0)) for part in (more, less))
            tilt = np.cumsum(change - back, axis=axis)
            law += float(np.ptp(tilt, axis=axis).max())
            rate = max(rate, float(np.abs(change).max()))
        return law + rate

    def _change(self, masses, axis):
        """Of masses by the rates of one axis, per time."""
        up, down = self.axes[axis][:2]
        flux = up * masses - down * np.roll(masses, -1, axis)
        return np.where(self.free, np.roll(flux, 1, axis) - flux, 0.0)

    def _widths(self, axis):
        """Of the cells along an axis, in spacings."""
        widths = self.grid.axis_weights[axis] / self.grid.spacing[axis]
        return widths.reshape([-1 if k == axis else 1 for k in range(self.grid.dimension)])

    def _rise(self, u, axis):
        rise = differences(u, axis, self.grid)
        return np.where(np.abs(rise) > ROUNDING * np.abs(u), rise, 0.0)

    def matrix(self) -> sparse.csr_array:
        """E as a matrix, the nodes in C order."""
        size, numbers = self.free.size, np.arange(self.free.size).reshape(self.grid.shape)
        unit, total = sparse.eye_array(size, format="csr"), sparse.csr_array((size, size))
        for axis, ((up, down, _, more_up, more_down), (to, on, own)) in enumerate(zip(self.axes, self.parts)):
            inner = np.ones(self.grid.shape, dtype=bool)
            if not self.grid.periodic[axis]:
                inner[(slice(None),) * axis + (-1,)] = False
            ahead = sparse.csr_array((np.ones(size), (numbers.ravel(), np.roll(numbers, -1, axis).ravel())))
            rise = _times(inner) @ (ahead - unit)
            change, finer = (
                _times(first) @ rise - ahead.T @ _times(second) @ rise
                for first, second in ((up, down), (up * more_up, down * more_down))
            )
            slope = _times(self.free & np.roll(self.free, -1, axis)) @ rise @ change
            total = total + (_times(to) + ahead.T @ _times(on)) @ slope + _times(own) @ change - finer
        return (_times(self.free) @ total).tocsr()


def _shares(z, axis, grid):
    """(to, on, own): what the slope of g over a face gives to the nodes before and after it, and g to its own node."""
    share = fitting(z)
    with np.errstate(invalid="ignore", divide="ignore"):
        over = np.where(np.abs(z) > 1e-3, share / z, 1 / 12)
    to, on, own = share / 2 + 1 / 12, share / 2 - 1 / 12, np.zeros(grid.shape)
    part = (slice(None),) * axis
    for side, (node, face, sign) in enumerate(((0, 0, 1.0), (-1, -2, -1.0))):
        if grid.ends[axis][side] == "reflecting":
            last, wall = share[(*part, face)], over[(*part, face)]
            (to, on)[side][(*part, face)] = last + sign * (0.5 - 2 * wall)
            own[(*part, node)] = sign * 2 * last
    return to, on, own


def fitting(z: Array) -> Array:
    """(z/2 coth(z/2) - 1)/z: the mean of t - 1/2 on 0 < t < 1 under the weight exp(z t)."""
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        return np.where(np.abs(z) > 1e-3, 0.5 / np.tanh(z / 2) - 1 / z, z / 12)


def cell_numbers(form: Ito, axis: int) -> Array:
    """b h / D on the faces of one axis of a diagonal form, grid.shape."""
    drop, face = form.drops[axis], (form.a[axis] + np.roll(form.a[axis], -1, axis)) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(drop == 0, 0.0, drop / face)


def roughness(values: Array, axis: int, grid: Grid) -> Array:
    """How little values along an axis are smooth: (kh)²/2 of waves, one where they have kinks or stand out alone.

    Their second difference over twice the largest of the three; what is faint beside the largest is smooth.
    """
    near = np.abs(values)
    near = np.maximum(near, np.maximum(np.roll(near, 1, axis), np.roll(near, -1, axis)))
    floor = max(FAINT * float(near.max()), np.finfo(float).tiny)
    return np.minimum(np.abs(second_difference(values, axis, grid)) / (2 * near + floor), 1.0)


def differences(values: Array, axis: int, grid: Grid) -> Array:
    """The rise of values over the faces of one axis, grid.shape; zero on the empty face of an open one."""
    return _on_faces(np.roll(values, -1, axis) - values, axis, grid)


def _finer_rates(form, grid):
    """(up, down) as from `axis_rates`, of drift and diffusion that bend on a face as their neighbours tell.

    z = ∫ b/D over the face to one order more; the resistance ∫ exp(V), V' = -b/D, with h² V'' from the faces beside.
    A drift that jumps between two nodes does so a quarter of a cell elsewhere, the mean of what is not known; one that
    may step at a node does.
    """
    finer = []
    for axis, (rates, drop, a) in enumerate(zip(axis_rates(form, grid), form.drops, form.a)):
        h = grid.spacing[axis]
        if form.given is not None:
            b = form.given if grid.dimension == 1 else form.given[..., axis]
            second, first = second_difference(b, axis, grid), differences(b, axis, grid)
            jumps = np.abs(differences(second, axis, grid)) > JUMP * np.abs(first)
            fourth = _means(second_difference(second, axis, grid), axis, grid)
            sharper = _steps_at_nodes(b, axis, grid)
            drop = drop + h * np.where(sharper != 0, sharper, np.where(jumps, first / 4, 11 / 720 * fourth))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            noise = np.where(_fading(a, axis, grid), np.nan, a)
            steps, means = _steps_and_means(1 / noise, axis, grid)
            z = drop * means - _bend(drop, axis, grid) * steps / 12
            share = fitting(z)
            part = _bend(z, axis, grid) * np.where(np.abs(z) > 1e-3, share / z, 1 / 12)
            factor = np.where(part > 0, 1 + part, 1 / (1 - part))
            if form.share:
                steps, means = _steps_and_means(noise**-form.share, axis, grid)
                factor = factor / (means - share * steps)
        z, factor = (lines(np.ascontiguousarray(field), axis, grid.shape) for field in (z, factor))
        known, up, down = np.isfinite(z) & np.isfinite(factor), np.empty_like(z), np.empty_like(z)
        tridiagonal.rates(np.where(known, z, 0.0), np.ones_like(z), 1 / h**2, grid.periodic[axis], up, down)
        stop(lines(grid.absorbing, axis, grid.shape), up, down)
        here = lines(a ** (1 - form.share), axis, grid.shape)
        factor = np.where(known, factor, 0.0)
        better = (up * factor * here, down * factor * np.roll(here, -1, axis=1))
        finer.append([np.where(known, new, old) for new, old in zip(better, rates)])
    return finer


def _steps_and_means(values, axis, grid):
    """Differences and means over the faces of one axis, these from four nodes."""
    second = second_difference(values, axis, grid)
    return differences(values, axis, grid), _means(values - second / 12, axis, grid)


def _fading(a, axis, grid):
    """Nodes on ends where the noise fades: rates have the law of the half cell there."""
    walls, along = np.zeros(a.shape, dtype=bool), lines(np.ascontiguousarray(a), axis, grid.shape)
    for node, nodes in enumerate((slice(None), slice(None, None, -1))):
        lines(walls, axis, grid.shape)[:, -node] = fading(along[:, nodes], grid.ends[axis][node])
    return walls


def _steps_at_nodes(b, axis, grid):
    """What the mean of a drift over a face misses if it steps at a node, where it has a value between: zero elsewhere.

    Nodes show a ramp of two cells; a step is half as much more before the node and after it.
    """
    _, before, after = stepping_faces(b, axis, grid.periodic[axis])
    rises = np.roll(b, -1, axis) - b
    return np.where(after, rises / 2, np.where(before, -rises / 2, 0.0))


def _bend(drop, axis, grid):
    """h² V'' on the faces, h V' = -drop: half the difference of the faces beside; next to a wall in a straight line."""
    bent, n = (np.roll(drop, 1, axis) - np.roll(drop, -1, axis)) / 2, drop.shape[axis]
    if grid.periodic[axis]:
        return bent
    if n < 4:
        return np.zeros_like(drop)
    part = (slice(None),) * axis
    for face, inner, further in ((0, 1, 2), (n - 2, n - 3, n - 4)):
        straight = 2 * bent[(*part, inner)] - bent[(*part, further)] if n > 5 else bent[(*part, inner)]
        bent[(*part, face)] = straight
    return _on_faces(bent, axis, grid)


def _means(values, axis, grid):
    return _on_faces((values + np.roll(values, -1, axis)) / 2, axis, grid)


def _on_faces(values, axis, grid):
    if not grid.periodic[axis]:
        values[(slice(None),) * axis + (-1,)] = 0.0
    return values


def _times(values):
    return sparse.diags_array(values.ravel().astype(float), format="csr")
