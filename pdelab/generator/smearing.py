"""What the rates between nodes do to the widths of a solution, where drift outruns diffusion between them."""

from __future__ import annotations

import math
import warnings
from weakref import WeakKeyDictionary

import numpy as np

from pdelab.generator.coefficients import Ito, isolated
from pdelab.generator.edges import corner_gradient, edges, in_cells, spread_added
from pdelab.generator.truncation import ROUNDING, Truncation, cell_numbers, differences, fitting
from pdelab.grid import Grid
from pdelab.stepping import AccuracyWarning

__all__ = [
    "FEW", "SMEARED", "TINY", "Followed", "advice", "balanced", "drift_kinks", "kinks", "lumps", "narrowness",
    "of_size_one", "off_mean", "parts_of", "peclet", "rates_of_change", "smearing", "warn_of_smearing",
]  # fmt: skip

SMEARED = 0.05  # of the variance
TINY = np.finfo(float).tiny
APART = 1e-4  # of the largest value, below which lumps are apart
FIRM = 1e3  # a cell Peclet number beyond which nothing changes
FEW = 4  # nodes of an axis that tell nothing of what is between them
_numbers: WeakKeyDictionary[Ito, float] = WeakKeyDictionary()  # cell Peclet numbers, asked for several times
NARROW = 1.7  # spacings over the standard deviation: sums over the nodes have its square to three percent


def smearing(values, form, grid, time=math.inf, *, adjoint=False, held=None):
    """The error of the variance that the generator's rates make, over the variance: the largest of the axes.

    Numerical fluxes f along the faces let ∫ρ² fall at the rate 2 Σ f δρ, ρ less its mean, and diffusion at
    2 Σ a (δρ)²/h, of a variance s² (D/s²) ∫ρ². So f spreads like a diffusivity D_f, and adds 2 t D_f to s² in a time t,

        |Σ f δρ| / max(Σ a (δρ)²/h, ∫ρ² / 4t)

    of it: D_f over D where drift and diffusion are in balance.

    Parameters
    ----------
    time : float
        How long the fluxes have been at work; math.inf in balance.
    held : boolean array grid.shape, optional
        Nodes whose value is given; None: the absorbing ones.
    """
    shares = [
        falling / max(spreading, size / (4 * time), TINY)
        for falling, spreading, size in rates_of_change(values, form, grid, adjoint=adjoint, held=held)
    ]
    return min(max(shares), 1e300)


def rates_of_change(values, form, grid, *, adjoint=False, held=None, parts=None):
    """(|Σ f δρ|, Σ a (δρ)²/h, ∫ρ²) of the generator's rates, for each axis; of a full matrix for all directions, too.

    values may be complex; `parts` is `parts_of(form, grid, held)` where that is known.
    """
    values, parts = of_size_one(values), parts_of(form, grid, held) if parts is None else parts
    if not form.diagonal:
        return _rates_along(parts, values, grid, adjoint)
    away, fluxes = off_mean(values, grid), parts.smeared(values, adjoint)
    falling = [(flux * differences(away, axis, grid).conj()).sum() for axis, flux in enumerate(fluxes)]
    return [(float(abs(rate)), *_spreading(away, form, grid, axis)) for axis, rate in enumerate(falling)]


def parts_of(form, grid, held=None):
    """The `Truncation` of the rates.

    Of a full matrix: what the rates along the offsets add to the diffusion of each cell, that diffusion, the edges.
    """
    if not form.diagonal:
        return *spread_added(form, grid), edges(form, grid)
    return Truncation.of(form, grid, held)


class Followed:
    """`smearing` of a run, called with (values, time) from time 0 on: e' = 4 |Σ f δρ|/∫ρ² - e 4 Σ a (δρ)²/h /∫ρ².

    The first term is what the fluxes add to the variance, over it; the second what its growth and the return to balance
    leave of what was added before: in balance e is |Σ f δρ| / Σ a (δρ)²/h. Of several lumps each begins again from the
    largest e of all, since nobody knows which is which.

    rates : (values, time) -> rates_of_change of each lump
    """

    def __init__(self, rates):
        self.rates, self.time, self.shares = rates, 0.0, np.zeros(1)

    def __call__(self, values, time):
        if time == 0:
            self.time, self.shares = 0.0, np.zeros(1)
        if time > self.time:
            falling, spreading, size = np.moveaxis(np.array(self.rates(values, time)), -1, 0)
            if falling.shape != self.shares.shape or len(falling) > 1:
                self.shares = np.full(falling.shape, self.shares.max())
            passed, size = 4 * (time - self.time), np.maximum(size, TINY)
            left = np.exp(-spreading / size * passed)
            gained = np.where(
                left < 1 - 1e-8, (1 - left) * falling / np.maximum(spreading, TINY), falling / size * passed
            )
            self.time, self.shares = time, np.minimum(self.shares * left + gained, 1e300)
        return float(self.shares.max())


def lumps(density, grid):
    """The parts of a density that next to nothing joins, each zero elsewhere, of those with a tenth of it or more."""
    from scipy import ndimage

    size = np.abs(density)
    labels, count = ndimage.label(size > APART * size.max())
    if count < 2:
        return [density]
    for axis in np.flatnonzero(grid.periodic):
        ends = np.moveaxis(labels, axis, 0)
        for low, high in set(zip(ends[0].ravel().tolist(), ends[-1].ravel().tolist())):
            if low and high and (ends[0] == low).any():
                labels[labels == low] = high
    masses = np.bincount(labels.ravel(), (size * grid.weights).ravel())
    large = np.flatnonzero(masses[1:] >= 0.1 * masses[1:].sum()) + 1
    return [np.where(labels == number, density, 0.0) for number in large] if large.size > 1 else [density]


def narrowness(values, grid):
    """The spacing over the standard deviation of a density, the largest of the axes.

    On nodes h apart Σ ρ_i ρ_{i+2} / Σ ρ_i² = exp(-h²/s²) of a Gaussian of deviation s, wherever its middle lies.
    """
    worst, values = 0.0, np.abs(of_size_one(values))
    for axis, n in enumerate(grid.shape):
        if n < 5:
            continue
        x = np.moveaxis(values, axis, 0)
        low, high = (x, np.roll(x, -2, 0)) if grid.periodic[axis] else (x[:-2], x[2:])
        size = float((low**2 + high**2).sum()) / 2
        met = float((low * high).sum())
        if size > 0:
            worst = max(worst, math.sqrt(max(-math.log(met / size), 0.0)) if met > 0 else math.inf)
    return worst


def kinks(values, grid, weights=1.0, given=()):
    """The share by which the sum over the nodes misses the integral of a density whose logarithm has kinks.

    That of the density times these weights, without kinks of their own.

    Of exp(-V), V bent by K at a node, the sum is too large by 2 (coth(K/4)/2 - 2/K) times the cell there; between two
    nodes, of parts (1 - θ) K and θ K, by 1 - 6 θ (1 - θ) of that, of the density there. A wall is a kink of the even
    continuation, of twice the slope there. A second difference is one where it is three times as far from the median of
    five as all around it, or where V has a kink, as `drift_kinks` gives them: mass on its way may bend the density
    beside it as much. Of four nodes or fewer between walls every bend counts.
    """
    values = np.abs(of_size_one(values))
    logs, share = -np.log(np.maximum(values, TINY)), np.zeros(grid.shape)
    for axis, n in enumerate(grid.shape):
        if n < 4:
            continue
        ends = [(3, 3) if k == axis else (0, 0) for k in range(grid.dimension)]
        wider = np.pad(logs, ends, "wrap" if grid.periodic[axis] else "reflect")
        bent = np.moveaxis(np.diff(wider, 2, axis), axis, 0)
        sharp, bend, theta = isolated(bent, of_smooth=True)
        if given and given[axis][0].any():
            found = np.pad(sharp, [(1, 1)] + [(0, 0)] * (sharp.ndim - 1), "wrap" if grid.periodic[axis] else "reflect")
            there, most, part = given[axis]
            there = there & ~(found[:-2] | sharp | found[2:]) & (bent[2:-2] * most > 0)
            bend, theta = np.where(there, np.minimum(bend, np.abs(most)), bend), np.where(there, part, theta)
            sharp = sharp | there
        peak, theta = bent[2:-2] > 0, np.abs(theta)
        there = np.exp(np.minimum(theta * bend / 2, 700.0) * np.where(peak, 1, -1))
        missed = np.where(sharp, 2 * fitting(bend / 2) * np.abs(1 - 6 * theta * (1 - theta)) * there, 0.0)
        share = np.maximum(share, np.moveaxis(missed, 0, axis))
    masses = values * grid.weights * weights
    missed = float((share * masses).sum() / masses.sum()) if masses.any() else 0.0
    return max(missed, *(_missed_by_few(logs, grid, axis) for axis in range(grid.dimension)))


def drift_kinks(form, grid):
    """(sharp, size, share) of the kinks of V, V' = -b/D, along each axis, moved to the front; () of a full matrix.

    As `isolated` has them, but for the sign of the bend in its size; at walls those of the even continuation.
    """
    if not form.diagonal:
        return ()
    found = []
    for axis, wraps in enumerate(grid.periodic):
        z = np.clip(np.moveaxis(cell_numbers(form, axis), axis, 0), -FIRM, FIRM)
        before = z[-1:] if wraps else -z[:1]
        z = z if wraps else np.concatenate([z[:-1], -z[-2:-1]])
        bent = -np.diff(z, axis=0, prepend=before)
        wider = np.pad(bent, [(2, 2)] + [(0, 0)] * (z.ndim - 1), "wrap" if wraps else "reflect")
        sharp, size, share = isolated(wider, of_smooth=True)
        found.append((sharp, np.copysign(size, bent), share))
    return found


def _missed_by_few(logs, grid, axis):
    """What the sum over few nodes between walls may miss: all that a density straight in its logarithm has less."""
    n = grid.shape[axis]
    if n > FEW or grid.periodic[axis]:
        return 0.0
    density, fall = np.exp(-logs), differences(logs, axis, grid)
    there = np.roll(density, -1, axis)
    with np.errstate(divide="ignore", invalid="ignore"):
        less = (density + there) / 2 - np.where(np.abs(fall) > 1e-6, (density - there) / fall, density)
    masses = _sum(density * grid.spacing[axis], axis, grid)
    return float(_sum(np.where(fall == 0, 0.0, less * grid.spacing[axis]), axis, grid) / masses)


def balanced(values, form, grid, time):
    """Has diffusion had time enough for twice the widths of this density, so that drift holds it together?"""
    away = off_mean(of_size_one(values), grid)
    rates = [_spreading(away, form, grid, axis) for axis in range(grid.dimension)]
    return any(4 * time * spreading > 2 * size > 0 for spreading, size in rates)


def peclet(form: Ito, grid: Grid) -> float:
    """The largest |b| h / D over the faces of all axes; math.inf where there is drift and no diffusion.

    Of a full matrix a the largest entry of a^-1 β in units of the grid, over the cells.
    """
    if form not in _numbers:
        _numbers[form] = _largest_number(form, grid)
    return _numbers[form]


def _largest_number(form, grid):
    if form.diagonal:
        return max(float(np.abs(cell_numbers(form, axis)).max(initial=0.0)) for axis in range(grid.dimension))
    matrices, drifts = in_cells(form, grid)
    values, vectors = np.linalg.eigh(matrices)
    along = np.einsum("nij,ni->nj", vectors, drifts)
    with np.errstate(divide="ignore", invalid="ignore"):
        along = np.where(along == 0, 0.0, along / np.maximum(values, 0.0))
        numbers = np.abs(np.einsum("nij,nj->ni", vectors, along))
    return float(np.where(np.isfinite(numbers), numbers, math.inf).max())


def advice(what, smeared, narrow, number, better="", kinked=0.0):
    """What to do about these numbers, as sentences; `what` is off, "widths are"."""
    if smeared > SMEARED:
        yield (
            f"the nodes are too far apart for drift and diffusion (cell Peclet number up to {number:.3g}): {what} off "
            f"by about {smeared if smeared < 1e3 else math.inf:.2g} of their value: take {better}a finer grid"
        )
    if narrow > NARROW:
        yield (
            f"drift holds the density together on less than a cell (spacing over standard deviation {narrow:.3g}): "
            "its moments are those of the nodes, not its own: take a finer grid"
        )
    if kinked > SMEARED:
        yield (
            f"the density bends so sharply that its sum over the nodes misses its integral by about {kinked:.2g}: take "
            "a finer grid"
        )


def warn_of_smearing(what, smeared, law, form, grid, stacklevel, weights=1.0):
    """Warn of what a question to the chain cannot have right on this grid: of a sum of these weights by the law."""
    narrow, kinked = (0.0, 0.0) if law is None else (narrowness(law, grid), kinks(law, grid, weights))
    if smeared > SMEARED or narrow > NARROW or kinked > SMEARED:
        for text in advice(what, smeared, narrow, peclet(form, grid), kinked=kinked):
            warnings.warn(text, AccuracyWarning, stacklevel=stacklevel)


def _spreading(away, form, grid, axis):
    """(Σ a (δρ)²/h, Σ ρ² h) along one axis, of ρ less its mean."""
    a = form.a[axis] if form.diagonal else form.a[..., axis, axis]
    square = np.abs(differences(away, axis, grid)) ** 2
    spreading = float(_sum((a + np.roll(a, -1, axis)) / 2 * square, axis, grid)) / grid.spacing[axis]
    return spreading, float((np.abs(away) ** 2 * grid.weights).sum())


def off_mean(values, grid):
    """A solution less its mean, as far as that is no rounding."""
    away = values - (values * grid.weights).sum() / grid.weights.sum()
    return np.where(np.abs(away) > ROUNDING * np.abs(values).max(), away, 0.0)


def of_size_one(values):
    """Over the largest absolute value."""
    size = float(np.abs(values).max())
    return values / size if size > 0 else values


def _sum(faces, axis, grid):
    """The sum over the faces of an axis, each with its area."""
    along = [-1 if k == axis else 1 for k in range(grid.dimension)]
    return (faces * grid.weights / grid.axis_weights[axis].reshape(along)).sum()


def _rates_along(offsets, values, grid, adjoint):
    """`rates_of_change` by the rates along offsets: Σ ∇ρ·E∇ρ and Σ ∇ρ·a∇ρ with what they add, E.

    Forwards E counts as far as there is flux along the edges: in equilibrium the rates are exact.
    """
    excess, matrices, along = offsets
    away = off_mean(values, grid)
    slopes = (corner_gradient(away, grid) * grid.spacing).reshape(-1, grid.dimension)
    size = float((np.abs(away) ** 2 * grid.weights).sum()) / math.prod(grid.spacing)
    moving, rates = 1.0 if adjoint else _moving(along, values, grid), []
    for directions in (slopes, *(slopes * unit for unit in np.eye(grid.dimension))):
        falling, spreading = (
            max(float(np.einsum("ni,nij,nj->", directions.conj(), fields, directions).real), 0.0)
            for fields in (excess, matrices)
        )
        rates.append((moving * falling, spreading, size))
    return rates


def _moving(along, density, grid):
    """Flux over drift, summed over the edges, at most 1."""
    m = (density * grid.weights).ravel()
    up, down = along.up * m[along.tail], along.down * m[along.head]
    drift = (along.up - along.down) * (m[along.tail] + m[along.head]) / 2
    flux, traffic = float(np.abs(up - down).sum()), float((up + down).sum())
    return min(1.0, flux / (float(np.abs(drift).sum()) + 1e-10 * traffic)) if traffic > 0 else 0.0
