"""What a problem says about its diffusion, reduced to Ito form, and the rates along the axes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from pdelab.generator.edges import cell_shape, corner_gradient, corner_mean, lines
from pdelab.generator.fading import leave_fading_ends
from pdelab.grid import Grid
from pdelab.hints import Array
from pdelab.kernels import tridiagonal

__all__ = [
    "Coefficients", "DiffusionProblem", "INTERPRETATIONS", "Ito", "asked", "axis_rates", "ito",
    "largest_step", "isolated", "no_outflow", "over_faces", "second_difference", "stepping_faces", "stop",
]  # fmt: skip

INTERPRETATIONS = ("ito", "stratonovich", "klimontovich", "fick")
SHARP, ALONE = 3.0, 0.1  # a difference over those around it, 2 of a wave of six nodes; a share that counts as none
WIDEST = 1e100  # spacings and rates beyond this, or below its inverse, leave no room for their products
CORRECTION = dict(zip(INTERPRETATIONS, (0.0, 0.5, 1.0, 1.0)))  # α: σ is read at the point (1 - α) t + α (t + dt)


@dataclass(frozen=True, eq=False)
class Coefficients:
    """What a problem says about its diffusion on a grid at one time: dX = (b - grad U) dt + sqrt(2 D) σ dW.

    Attributes
    ----------
    potential : array grid.shape or None
        U on the nodes.
    drift : array (*grid.shape, d), in one dimension (n,), or None
        b on the nodes.
    diffusivity : float >= 0
        D.
    diffusion : array (*grid.shape, d, d), in one dimension (n,), or None
        Σ = σ σ^T on the nodes; None is the identity or σ σ^T.
    sigma : array (*grid.shape, d, k), in one dimension (n,), or None
        σ on the nodes; None is the symmetric square root of `diffusion`.
    interpretation : str
        "ito", "stratonovich", "klimontovich" or "fick".
    """

    potential: np.ndarray | None = None
    drift: np.ndarray | None = None
    diffusivity: float = 0.0
    diffusion: np.ndarray | None = None
    sigma: np.ndarray | None = None
    interpretation: str = "ito"


@runtime_checkable
class DiffusionProblem(Protocol):
    """What `generator` and the linear algebra on it ask of an equation.

    Examples
    --------
    >>> import pdelab as pl
    >>> isinstance(pl.Heat(viscosity=1.0), DiffusionProblem), isinstance(pl.Burgers(viscosity=1.0), DiffusionProblem)
    (True, False)
    """

    def coefficients(self, grid: Grid, time: float = 0.0) -> Coefficients:
        """The diffusion dX = (b - grad U) dt + sqrt(2 D) σ dW that the equation belongs to, checked, at one time.

        Parameters
        ----------
        grid : Grid
        time : float

        Returns
        -------
        Coefficients
        """


@dataclass(frozen=True, eq=False)
class Ito:
    """Coefficients reduced to dX = (b - grad U) dt + sqrt(2) a^{1/2} dW in the sense of Ito.

    Attributes
    ----------
    potential, drift : array or None
        U, and b with what the interpretation adds.
    a : list of one field an axis, or array (*grid.shape, d, d)
        A list when the matrix is diagonal everywhere.
    drops : list of arrays grid.shape
        Spacing times drift on the faces of each axis. Face i joins node i to the next one; a potential enters by its
        difference, a drift by its mean over the face, from four nodes; the last face of an open axis is empty.
    given : array or None
        b before the interpretation adds to it, where `share` is not 0; else `drift`.
    share : float
        α of dX = (b + α a') dt + sqrt(2 a) dW along each axis: 1/2 for Stratonovich and 1 for Klimontovich and Fick's
        law, if all noise is on the axes, and drops hold b - grad U alone, so that the law a^(α-1) of no drift is exact.
        Elsewhere 0, and drops hold all.
    fick : array (*cells, d) or None
        Where a is a full matrix, β of div(a grad ρ - β ρ), the same equation, on the cells.
    """

    potential: np.ndarray | None
    drift: np.ndarray | None
    a: Any
    drops: list
    given: np.ndarray | None
    share: float = 0.0
    fick: np.ndarray | None = None

    @property
    def diagonal(self) -> bool:
        """True when every axis diffuses by itself."""
        return isinstance(self.a, list)


def ito(coefficients: Coefficients, grid: Grid) -> Ito:
    """Check the matrix Σ and move the interpretation of the noise into the drift.

    With s = sqrt(2 D) σ the drift gains α sum_jk s_kj d_k s_ij, α = 1/2 for Stratonovich and 1 for Klimontovich
    (Haenggi); "fick", D div(Σ grad ρ), gains D div Σ. Derivatives are those of `grid.gradient`.

    Parameters
    ----------
    coefficients : Coefficients
        Of a problem, by its method `coefficients(grid, time)`.
    grid : Grid

    Returns
    -------
    Ito

    Raises
    ------
    ValueError
        A matrix Σ that is not symmetric and positive semi-definite.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(0.0, 1.0, 5)
    >>> noise = {"diffusion": 1 + grid.x, "diffusivity": 1.0, "interpretation": "stratonovich"}
    >>> problem = pl.FokkerPlanck(drift=np.zeros(5), **noise)
    >>> ito(problem.coefficients(grid), grid).drift                                       # half of dΣ/dx
    array([0.5, 0.5, 0.5, 0.5, 0.5])
    """
    D, d = coefficients.diffusivity, grid.dimension
    sigma, matrix = coefficients.sigma, coefficients.diffusion
    if matrix is None and sigma is None:
        return _ito(coefficients.potential, coefficients.drift, [np.full(grid.shape, D)] * d, grid)
    sigma, matrix = _matrices(sigma, matrix, grid)
    drift, added, root = coefficients.drift, None, None
    off = ~np.eye(d, dtype=bool)
    diagonal, fick = not matrix[..., off].any(), coefficients.interpretation == "fick"
    share, axes = CORRECTION[coefficients.interpretation], diagonal and (fick or sigma is None or _on_axes(sigma, grid))
    if axes or fick:
        added = D * share * _divergence_of_matrix(matrix, grid)  # σ itself bends sharply where it fades
    elif share:
        root = _square_root(matrix) if sigma is None else sigma
        added = 2 * D * share * _noise_induced(root, grid)
    if added is not None:
        added = added[..., 0] if d == 1 else added
        drift = added if drift is None else drift + added
    if diagonal:
        a = [np.ascontiguousarray(D * matrix[..., k, k]) for k in range(d)]
        if not (axes and share):
            return _ito(coefficients.potential, drift, a, grid)
        form = _ito(coefficients.potential, coefficients.drift, a, grid)
        return replace(form, drift=drift, share=share)
    form = _ito(coefficients.potential, drift, D * matrix, grid)
    return replace(form, fick=_fick_drift(coefficients, D * matrix, root, grid))


def _fick_drift(coefficients, a, root, grid):
    """β of div(a grad ρ - β ρ) on the cells: b - grad U, what the interpretation adds, less div a; 0 for Fick's law."""
    cell_drift = np.zeros((*cell_shape(grid), grid.dimension))
    if coefficients.drift is not None:
        cell_drift += corner_mean(coefficients.drift, grid)
    if coefficients.potential is not None:
        cell_drift -= corner_gradient(coefficients.potential, grid)
    if coefficients.interpretation == "fick":
        return cell_drift
    cell_drift -= np.einsum("...ikk->...i", corner_gradient(a, grid))
    if root is not None:
        weight = 2 * coefficients.diffusivity * CORRECTION[coefficients.interpretation]
        cell_drift += weight * np.einsum("...kj,...ijk->...i", corner_mean(root, grid), corner_gradient(root, grid))
    return cell_drift


def _ito(potential, drift, a, grid):
    drops, faces = [], None if drift is None else _on_faces(drift, grid)
    for axis, (h, wraps) in enumerate(zip(grid.spacing, grid.periodic)):
        before, low, high, last = ((slice(None),) * axis + (part,) for part in (slice(-1), 0, slice(1, None), -1))
        drop = np.zeros(grid.shape)
        if potential is not None:
            np.subtract(potential[before], potential[high], out=drop[before])
            drop[last] = potential[last] - potential[low]
        if faces is not None:
            b = 0.5 * h * faces[axis]
            drop[before] += b[before] + b[high]
            drop[last] += b[last] + b[low]
        if not wraps:
            drop[last] = 0.0
        drops.append(drop)
    _within_range(a, drops, grid)
    return Ito(potential, drift, a, drops, drift)


def _on_faces(drift, grid):
    """b - h² b''/12 along each axis: half the sum over the ends of a face is the mean of b over it, to fourth order."""
    parts = [drift] if grid.dimension == 1 else [drift[..., axis] for axis in range(grid.dimension)]
    return [b - second_difference(b, axis, grid) / 12 for axis, b in enumerate(parts)]


def second_difference(b, axis, grid):
    """b_{i-1} - 2 b_i + b_{i+1} along one axis; at an open end that of the next node, none of fewer than three."""
    if grid.periodic[axis]:
        return np.roll(b, -1, axis) - 2 * b + np.roll(b, 1, axis)
    second, part = np.zeros(b.shape), (slice(None),) * axis
    if grid.shape[axis] > 2:
        second[(*part, slice(1, -1))] = np.diff(b, 2, axis)
        for end, inner in ((0, 1), (-1, -2)):
            second[(*part, end)] = second[(*part, inner)]
    return second


def _within_range(a, drops, grid):
    """Refuse units in which float64 cannot hold sums and products of rates."""
    rates = [0.0]
    for axis, (h, drop) in enumerate(zip(grid.spacing, drops)):
        if not 1 / WIDEST <= h <= WIDEST:
            raise ValueError(f"grid: expected a spacing between 1e-100 and 1e100, got {h:.3g}: choose other units")
        diffusion = a[axis] if isinstance(a, list) else a[..., axis, axis]
        rates += [float(diffusion.max()) / h**2, float(max(drop.max(), -drop.min())) / h**2]
    if max(rates) > 0 and not 1 / WIDEST <= max(rates) <= WIDEST:
        raise ValueError(
            f"grid: expected D/h² and b/h between 1e-100 and 1e100, got {max(rates):.3g}: choose other units of time"
        )


def _matrices(sigma, matrix, grid):
    """(σ, Σ) with trailing axes (d, k) and (d, d), Σ symmetric and positive semi-definite."""
    d = grid.dimension
    if sigma is not None and d == 1:
        sigma = sigma.reshape(*grid.shape, 1, -1)
    if matrix is None:
        return sigma, sigma @ np.swapaxes(sigma, -1, -2)
    matrix = matrix.reshape(*grid.shape, d, d)
    size = np.maximum(np.abs(matrix).max(axis=(-1, -2)), np.finfo(float).tiny)  # each matrix by its own size
    skew = np.abs(matrix - np.swapaxes(matrix, -1, -2)).max(axis=(-1, -2)) / size
    if skew.max() > 1e-12:
        where = np.unravel_index(int(np.argmax(skew)), grid.shape)
        asymmetric = matrix[where].tolist()
        raise ValueError(f"diffusion: expected symmetric matrices, got {asymmetric} at index {_plain(where)}")
    smallest = np.linalg.eigvalsh(matrix)[..., 0]
    if (smallest / size).min() < -1e-12:
        where = np.unravel_index(int(np.argmin(smallest / size)), grid.shape)
        raise ValueError(
            f"diffusion: expected positive semi-definite matrices, got eigenvalue {smallest[where]:.6g} "
            f"at index {_plain(where)}"
        )
    if sigma is not None:
        gap = np.abs(sigma @ np.swapaxes(sigma, -1, -2) - matrix).max(axis=(-1, -2)) / size
        if gap.max() > 1e-10:
            where = np.unravel_index(int(np.argmax(gap)), grid.shape)
            raise ValueError(
                f"sigma: expected a factor of the diffusion, sigma sigma^T = diffusion, which fails at index "
                f"{_plain(where)}: give sigma alone, it makes the diffusion"
            )
    return sigma, matrix


def _plain(index):
    return tuple(int(i) for i in index)


def _square_root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]) @ np.swapaxes(vectors, -1, -2)


def _derivative(values, grid):
    """d_k of a scalar field for every axis k, trailing axis k also in one dimension."""
    return grid.gradient(values).reshape(*grid.shape, grid.dimension)


def _divergence_of_matrix(matrix, grid):
    d = grid.dimension
    return np.stack([sum(_derivative(matrix[..., i, k], grid)[..., k] for k in range(d)) for i in range(d)], axis=-1)


def _on_axes(sigma, grid):
    """Does every column of σ (*shape, d, k) stay on one axis, all over the grid?"""
    return bool(((sigma != 0).any(axis=tuple(range(grid.dimension))).sum(axis=0) <= 1).all())


def _noise_induced(sigma, grid):
    """sum_jk σ_kj d_k σ_ij, trailing axis i."""
    added = np.zeros((*grid.shape, grid.dimension))
    for i in range(grid.dimension):
        for j in range(sigma.shape[-1]):
            added[..., i] += np.sum(sigma[..., :, j] * _derivative(sigma[..., i, j], grid), axis=-1)
    return added


def axis_rates(form: Ito, grid: Grid) -> list[tuple[Array, Array]]:
    """Rates (up, down) over the faces of each axis, as (outer, n, inner), for a diagonal `Ito` form.

    Parameters
    ----------
    form : Ito
        Diagonal.
    grid : Grid

    Returns
    -------
    list of (up, down), one pair an axis
        Rates from the lower node of each face to the upper one and back, 1/time.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(0.0, 2.0, 3)
    >>> form = ito(pl.FokkerPlanck(np.zeros(3), diffusivity=1.0).coefficients(grid), grid)
    >>> [(up.ravel().tolist(), down.ravel().tolist()) for up, down in axis_rates(form, grid)]
    [([2.0, 1.0, 0.0], [1.0, 2.0, 0.0])]
    """
    rates = []
    for axis, drop in enumerate(form.drops):
        drop, a = lines(drop, axis, grid.shape), lines(form.a[axis], axis, grid.shape)
        up, down, scale = np.empty_like(drop), np.empty_like(drop), 1 / grid.spacing[axis] ** 2
        if form.share:
            over_face, noise, face = _over_means(drop, a, form.share, grid.periodic[axis])
            tridiagonal.rates(over_face, noise, scale, grid.periodic[axis], up, down)
            up *= face
            down *= face
        else:
            tridiagonal.rates(drop, a, scale, grid.periodic[axis], up, down)
        leave_fading_ends(form, grid, axis, up, down)
        if grid.absorbing.any():
            stop(lines(grid.absorbing, axis, grid.shape), up, down)
        rates.append((up, down))
    return rates


def _over_means(drop, a, share, wraps):
    """drop over the mean of a^α on each face, a^(1-α), and that mean.

    The flux is -a^α (d/dx - b/a) a^(1-α) ρ, and rates are homogeneous: B(cq, cD) = c B(q, D).
    """
    face = over_faces(a**share, 1, wraps)
    upwind = 1e-200 * np.abs(drop)  # without noise
    face = np.where(face > 0, np.maximum(face, upwind), upwind)
    return drop / np.where(face > 0, face, 1.0), a ** (1 - share), face


def over_faces(a: Array, axis: int, wraps: bool) -> Array:
    """The mean of a diffusivity over the faces of an axis: half the sum, in series where it steps, 2/(1/a + 1/a').

    Parameters
    ----------
    a : array
    axis : int
    wraps : bool
        Periodic along the axis; the last face of an open one is that from end to end.

    Returns
    -------
    array of its shape

    Examples
    --------
    >>> over_faces(np.array([1.0, 1.0, 1.0, 3.0, 3.0, 3.0, 3.0]), 0, False)[:5]
    array([1. , 1. , 1.5, 3. , 3. ])
    """
    there = np.roll(a, -1, axis)
    alone, before, after = stepping_faces(np.log(np.maximum(a, 1e-300)), axis, wraps)
    total = a + there
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((alone | before | after) & (a > 0) & (there > 0), 2 * a * (there / total), 0.5 * total)


def isolated(values: Any, *, of_smooth: bool = False) -> tuple[Any, Any, Any]:
    """(sharp, size, share) of values that stand out, alone or as a pair of one sign, along the first axis.

    sharp : boolean; the larger of a pair is, whose neighbours on both sides, two each, add up to a third of it or less.
    size, share : of both together, and what of it the smaller one has; negative where that comes before.
    of_smooth : of values that are smooth elsewhere, not zero: all are counted from the median of five.

    Two values more than the result has are given at either end.
    """
    near, left, here, right, far = (values[k : k + len(values) - 4] for k in range(5))
    if of_smooth:
        level = _median(near, left, here, right, far)
        near, left, here, right, far = (part - level for part in (near, left, here, right, far))
    after = right * np.sign(here) >= left * np.sign(here)
    other = np.maximum(np.where(after, right, left) * np.sign(here), 0.0)
    sizes = [np.abs(field) for field in (near, left, right, far)]
    size = np.abs(here) + other
    sharp = (np.abs(here) > sizes[1]) & (np.abs(here) >= sizes[2]) & (size > SHARP * (sum(sizes) - other))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(sharp, other / size, 0.0)
    return sharp, size, np.where(after, share, -share)


def _median(a, b, c, d, e):
    """Of five arrays, element by element."""
    low = np.maximum(np.minimum(a, b), np.minimum(c, d))
    high = np.minimum(np.maximum(a, b), np.maximum(c, d))
    return np.maximum(np.minimum(low, high), np.minimum(e, np.maximum(low, high)))


def stepping_faces(values: Any, axis: int, wraps: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(alone, before, after): faces over which values step, in one cell, or in two before and after a node between.

    Parameters
    ----------
    values : array
    axis : int
    wraps : bool
        Periodic along the axis.

    Returns
    -------
    three boolean arrays of its shape

    Examples
    --------
    >>> np.flatnonzero(stepping_faces(np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]), 0, False)[0])
    array([2])
    """
    values = np.moveaxis(values, axis, 0)
    rises, n = np.diff(values, axis=0), len(values)
    if wraps:
        rises = np.concatenate([rises, values[:1] - values[-1:]])
    if len(rises) < 3:
        nothing = np.moveaxis(np.zeros(values.shape, dtype=bool), 0, axis)
        return nothing, nothing, nothing
    sharp, _, share = isolated(np.pad(rises, [(2, 2)] + [(0, 0)] * (values.ndim - 1), "wrap" if wraps else "edge"))
    first, second = sharp & (share > ALONE), sharp & (share < -ALONE)  # of the two faces
    room = [(0, n - len(rises))] + [(0, 0)] * (values.ndim - 1)
    alone, before, after = (
        np.moveaxis(np.pad(part, room), 0, axis)
        for part in (
            sharp & (np.abs(share) <= ALONE),
            first | np.roll(second, -1, 0),
            np.roll(first, 1, 0) | second,
        )
    )
    return alone, before, after


def stop(absorbing, up, down):
    """No jump leaves an absorbing node."""
    up[absorbing] = 0.0
    down[np.roll(absorbing, -1, axis=1)] = 0.0


def largest_step(form: Ito, grid: Grid) -> float:
    """1 / (largest rate out of a node) for a diagonal form: the bound of explicit steps.

    Parameters
    ----------
    form : Ito
        Diagonal.
    grid : Grid

    Returns
    -------
    float
        A time; math.inf where nothing moves.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(0.0, 1.0, 11)
    >>> form = ito(pl.FokkerPlanck(np.zeros(11), diffusivity=1.0).coefficients(grid), grid)
    >>> round(float(largest_step(form, grid)), 6)                              # h²/(2 D)
    0.005
    """
    total = np.zeros(grid.shape)
    for up, down in axis_rates(form, grid):
        total += (up + np.roll(down, 1, axis=1)).reshape(grid.shape)
    return 1 / total.max() if total.max() > 0 else math.inf


def asked(problem, grid, time=0.0):
    """The coefficients of a problem on a grid where a Markov chain can live; ValueError for what is neither."""
    no_outflow(grid)
    if not isinstance(problem, DiffusionProblem):
        raise ValueError(f"problem: expected an equation such as FokkerPlanck(potential, beta=1.0), got {problem!r}")
    return problem.coefficients(grid, time)


def no_outflow(grid: Any) -> None:
    """Raise ValueError for what is no Grid and for an outflow boundary, which a Markov chain on the box cannot have.

    Parameters
    ----------
    grid : Grid
        What should be one.

    Raises
    ------
    ValueError
        No Grid, or one with an outflow boundary.

    Examples
    --------
    >>> no_outflow(Grid(0.0, 1.0, 5))
    """
    if not isinstance(grid, Grid):
        raise ValueError(f"grid: expected a Grid, got {grid!r}")
    if strange := {name for ends in grid.ends for name in ends} - {"reflecting", "absorbing", "periodic"}:
        raise ValueError(
            f"a Markov generator needs reflecting (no flux), absorbing or periodic boundaries, got {strange.pop()}: "
            "what leaves the box would have to be followed; take a larger reflecting box"
        )
