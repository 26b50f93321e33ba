"""What the rates between nodes do to the widths of a solution, where drift outruns diffusion from node to node."""

from __future__ import annotations

import math
import warnings

import numpy as np

from pdelab.generator.coefficients import Ito, axis_rates
from pdelab.generator.edges import corner_gradient, edges, in_cells, spread_added
from pdelab.grid import Grid
from pdelab.stepping import AccuracyWarning

__all__ = [
    "SMEARED",
    "added_backward",
    "advice",
    "along_offsets",
    "narrowness",
    "peclet",
    "smearing",
    "smearing_of",
    "warn_of_smearing",
]

SMEARED = 0.05  # of the variance
ROUNDING = 1e-12  # of the terms of a difference
NARROW = 1.7  # spacings over the standard deviation: sums over the nodes have its square to three percent


def smearing(values, form, grid, time=math.inf, *, adjoint=False, held=None, offsets=None):
    """`smearing_of` the generator's rates.

    Parameters
    ----------
    held : boolean array grid.shape, optional
        Nodes whose value is given; None: the absorbing ones.
    offsets : `along_offsets(form, grid)` of a full matrix, where that is known
    """
    if form.diagonal:
        held = grid.absorbing if held is None else held
        return smearing_of(_fitted(values, form, grid, adjoint, held), values, form, grid, time, adjoint)
    return _smearing_along(offsets or along_offsets(form, grid), values, form, grid, time, adjoint)


def along_offsets(form, grid):
    """(what the rates add to the diffusion of each cell, that diffusion, the edges) of a full matrix."""
    return *spread_added(form, grid), edges(form, grid)


def smearing_of(fluxes, values, form, grid, time=math.inf, adjoint=False):
    """The error of the variance that numerical fluxes make, over the variance: the largest of the axes.

    They let ∫ρ² fall at the rate 2 Σ f δρ, diffusion at 2 Σ a (δρ)²/h, and a density of variance s² has
    2 Σ a (δρ)²/h = (D/s²) ∫ρ²: of what the fluxes add to s² in the time t, 2 t D_f, the share is

        |Σ f δρ| / max(Σ a (δρ)²/h, ∫ρ² / 4t),

    with D_f over D where drift and diffusion are in balance. Backwards ρ is the solution less its mean.

    Parameters
    ----------
    fluxes : list of arrays grid.shape
        f on the faces of each axis, along which it points down the slope: a flux -f less than the right one.
    values : array grid.shape, real or complex
    time : float
        How long the fluxes have been at work; math.inf in balance.
    """
    worst = 0.0
    for axis, flux in enumerate(fluxes):
        falling, spreading, size = _rates(flux, values, form, grid, axis, adjoint)
        if falling > 0:
            scale = max(spreading, size / (4 * time) if time > 0 else math.inf)
            worst = max(worst, falling / scale if scale > 0 else math.inf)
    return worst


def narrowness(values, form, grid, time=math.inf):
    """The spacing over the standard deviation of a density that drift holds together, the largest of the axes.

    Zero while the density is no narrower than what diffusion has had time for. Of a Gaussian of deviation s on nodes
    h apart Σ(δρ)² = 2 (1 - exp(-h²/4s²)) Σρ², which is solved for h/s.
    """
    worst = 0.0
    for axis in range(grid.dimension):
        _, spreading, size = _rates(0.0, values, form, grid, axis, False)
        if 4 * time * spreading > 2 * size > 0:
            rough = _sum(_differences(values, axis, grid) ** 2, axis, grid) / (2 * size / grid.spacing[axis])
            worst = max(worst, 2 * math.sqrt(-math.log1p(-rough)) if rough < 1 else math.inf)
    return worst


def peclet(form: Ito, grid: Grid) -> float:
    """The largest |b| h / D over the faces of all axes; math.inf where there is drift and no diffusion.

    Of a full matrix a the largest entry of a^-1 β in units of the grid, over the cells.
    """
    if form.diagonal:
        return max((float(np.abs(numbers).max(initial=0.0)) for numbers in _numbers(form)), default=0.0)
    matrices, drifts = in_cells(form, grid)
    values, vectors = np.linalg.eigh(matrices)
    along = np.einsum("nij,ni->nj", vectors, drifts)
    with np.errstate(divide="ignore", invalid="ignore"):
        along = np.where(along == 0, 0.0, along / np.maximum(values, 0.0))
        numbers = np.abs(np.einsum("nij,nj->ni", vectors, along))
    return float(np.where(np.isfinite(numbers), numbers, math.inf).max())


def advice(what, smeared, narrow, number, better=""):
    """What to do about these numbers, as sentences; `what` is off, "widths are"."""
    if smeared > SMEARED:
        yield (
            f"drift outruns diffusion between nodes (cell Peclet number up to {number:.3g}): {what} off by about "
            f"{smeared:.2g} of their value: take {better}a finer grid or more diffusion"
        )
    if narrow > NARROW:
        yield (
            f"drift holds the density together on less than a cell (spacing over standard deviation {narrow:.3g}): "
            "its moments are those of the nodes, not its own: take a finer grid"
        )


def warn_of_smearing(what, smeared, narrow, form, grid, stacklevel):
    """Warn of what a question to the chain cannot have right on this grid."""
    if smeared > SMEARED or narrow > NARROW:
        for text in advice(what, smeared, narrow, peclet(form, grid)):
            warnings.warn(text, AccuracyWarning, stacklevel=stacklevel)


def _rates(flux, values, form, grid, axis, adjoint):
    """(|Σ f δρ|, Σ a (δρ)²/h, Σ ρ² h) along one axis."""
    if adjoint:
        values = _off_mean(values, grid)
    a = form.a[axis] if form.diagonal else form.a[..., axis, axis]
    drop = _differences(values, axis, grid)
    falling = float(abs(_sum(flux * drop.conj(), axis, grid)))
    spreading = float(_sum((a + np.roll(a, -1, axis)) / 2 * np.abs(drop) ** 2, axis, grid)) / grid.spacing[axis]
    return falling, spreading, float((np.abs(values) ** 2 * grid.weights).sum())


def _off_mean(values, grid):
    """A solution less its mean, as far as that is no rounding."""
    away = values - (values * grid.weights).sum() / grid.weights.sum()
    return np.where(np.abs(away) > 1e-10 * np.abs(values).max(), away, 0.0)


def _differences(values, axis, grid):
    drop = np.roll(values, -1, axis) - values
    if not grid.periodic[axis]:
        drop[(slice(None),) * axis + (-1,)] = 0.0
    return drop


def _sum(faces, axis, grid):
    """The sum over the faces of an axis, each with its area."""
    along = [-1 if k == axis else 1 for k in range(grid.dimension)]
    return (faces * grid.weights / grid.axis_weights[axis].reshape(along)).sum()


def _fitted(values, form, grid, adjoint, held):
    """The numerical fluxes of Scharfetter-Gummel rates on the faces of each axis.

    The rates are exact where the flux J is one number around a face; where it varies they add D (z/2 coth(z/2) - 1)
    times the slope of J/b, z = b h/D, and J' = -ρ_t: nothing in equilibrium, in a wind the whole of it. Backwards alike
    with u_t, since the rates are exact where b u' + D u'' = 0. Held nodes have no u_t: their neighbours' is taken.
    """
    fluxes, free = [], ~held
    for axis, (share, change) in enumerate(zip(_shares(form), _changes(values, form, grid, adjoint))):
        change = np.where(free, change, 0.0)
        count = np.maximum(free.astype(int) + np.roll(free, -1, axis), 1)
        fluxes.append(-grid.spacing[axis] * share * (change + np.roll(change, -1, axis)) / count)
    return fluxes


def added_backward(values, form, grid, held):
    """What Scharfetter-Gummel rates add to L u at the nodes, to first order: (D/b)(z/2 coth(z/2) - 1) times Du_t."""
    total, free = np.zeros_like(values), ~held
    for axis, (share, change) in enumerate(zip(_shares(form), _changes(values, form, grid, True))):
        slope = np.where(free & np.roll(free, -1, axis), share * _differences(change, axis, grid), 0.0)
        total += (slope + np.roll(slope, 1, axis)) / 2
    return total


def _changes(values, form, grid, adjoint):
    """ρ_t or u_t by the rates along one axis alone, for each axis."""
    for axis, (up, down) in enumerate(axis_rates(form, grid)):
        up, down = up.reshape(grid.shape), down.reshape(grid.shape)
        if adjoint:
            drop = _differences(values, axis, grid)
            ahead, behind = up * drop, np.roll(down * drop, 1, axis)
            yield np.where(np.abs(ahead - behind) > ROUNDING * (np.abs(ahead) + np.abs(behind)), ahead - behind, 0.0)
        else:
            masses = values * grid.weights
            flux = up * masses - down * np.roll(masses, -1, axis)
            yield (np.roll(flux, 1, axis) - flux) / grid.weights


def _shares(form):
    """(z/2 coth(z/2) - 1)/z on the faces of each axis, z = b h/D."""
    for numbers in _numbers(form):
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            yield np.where(np.abs(numbers) > 1e-3, 0.5 / np.tanh(numbers / 2) - 1 / numbers, numbers / 12)


def _numbers(form):
    """b h / D on the faces of each axis, fields of grid.shape, of a diagonal form."""
    for axis, drop in enumerate(form.drops):
        face = (form.a[axis] + np.roll(form.a[axis], -1, axis)) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            yield np.where(drop == 0, 0.0, drop / face)


def _smearing_along(offsets, values, form, grid, time, adjoint):
    """`smearing` of the rates along offsets: ∇ρ·E∇ρ over ∇ρ·a∇ρ with what they add, E.

    Forwards it counts as far as there is flux along the edges: in equilibrium the rates are exact.
    """
    excess, matrices, along = offsets
    if adjoint:
        values = _off_mean(values, grid)
    slopes = (corner_gradient(values, grid) * grid.spacing).reshape(-1, grid.dimension)
    falling, spreading = (
        float(np.einsum("ni,nij,nj->", slopes.conj(), fields, slopes).real) for fields in (excess, matrices)
    )
    size = float((np.abs(values) ** 2 * grid.weights).sum()) / math.prod(grid.spacing)
    scale = max(spreading, size / (4 * time) if time > 0 else math.inf)
    share = falling / scale if scale > 0 and falling > 0 else 0.0
    return share if adjoint else share * _moving(along, values, grid)


def _moving(along, density, grid):
    """Flux over drift, summed over the edges, at most 1."""
    m = (density * grid.weights).ravel()
    up, down = along.up * m[along.tail], along.down * m[along.head]
    drift = (along.up - along.down) * (m[along.tail] + m[along.head]) / 2
    flux, traffic = float(np.abs(up - down).sum()), float((up + down).sum())
    return min(1.0, flux / (float(np.abs(drift).sum()) + 1e-10 * traffic)) if traffic > 0 else 0.0
