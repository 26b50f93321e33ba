"""What every Fokker-Planck scheme reports of its accuracy: the error in time by mass, and the cell Peclet number."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from pdelab.fokker_planck.equations import FokkerPlanck
from pdelab.generator import Ito, ito
from pdelab.generator.edges import corner_gradient, corner_mean, in_cells, spread_added
from pdelab.grid import Grid
from pdelab.stepping import integral_error, largest_error

__all__ = ["accuracy", "at", "excess", "peclet", "smearing"]

SMEARED = 0.5  # added by the scheme, over the diffusion that is there: |b| h / D about 2.7


def accuracy(problem: FokkerPlanck, grid: Grid, form: Ito) -> dict[str, Any]:
    """The fields of a Stepper that say how accurate its solution is."""

    @lru_cache(maxsize=1)
    def added(time):
        return excess(at(problem, grid, form, time), grid)

    return {
        "measure": largest_error if problem.adjoint else integral_error(grid.weights),
        "peaks": {
            "peclet": lambda values, time: peclet(at(problem, grid, form, time), grid),
            "smearing": lambda values, time: smearing(
                added(0.0 if problem.steady else time), values, grid, problem.adjoint
            ),
        },
        "advice": _advice,
    }


def at(problem, grid, form, time):
    """The coefficients at that time; `form` are those of time 0."""
    return form if problem.steady or time == 0 else ito(problem.coefficients(grid, time), grid)


def peclet(form: Ito, grid: Grid) -> float:
    """The largest |b| h / D over the faces of all axes; math.inf where there is drift and no diffusion.

    Of a full matrix a the largest entry of a^-1 β in units of the grid, over the cells.
    """
    if form.diagonal:
        return max((float(numbers.max(initial=0.0)) for numbers in _numbers(form)), default=0.0)
    matrices, drifts = in_cells(form, grid)
    values, vectors = np.linalg.eigh(matrices)
    along = np.einsum("nij,ni->nj", vectors, drifts)
    with np.errstate(divide="ignore", invalid="ignore"):
        along = np.where(along == 0, 0.0, along / np.maximum(values, 0.0))
        numbers = np.abs(np.einsum("nij,nj->ni", vectors, along))
    return float(np.where(np.isfinite(numbers), numbers, math.inf).max())


def excess(form, grid):
    """What the rates add to the diffusion, over it: a field on the faces for each axis, of a full matrix on the cells.

    Scharfetter-Gummel rates diffuse like D z/2 coth(z/2), z the Peclet number of a face.
    """
    if not form.diagonal:
        return [spread_added(form, grid)]
    excesses = []
    for half in (numbers / 2 for numbers in _numbers(form)):
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            excesses.append(np.where(half > 1e-4, half / np.tanh(half) - 1, half**2 / 3))
    return excesses


def smearing(added, values, grid, adjoint):
    """The mean of the `excess` where the solution lives, the largest of the axes.

    The mean is weighted by the density, backwards by the squared differences of the solution.
    """
    if len(added) == grid.dimension:
        shares = [_share_of_faces(values, axis, grid, adjoint) for axis in range(grid.dimension)]
    else:
        shares = [_share_of_cells(values, grid, adjoint)]
    worst = 0.0
    for part, share in zip(added, shares):
        total, touched = float(share.sum()), share > 0
        if total > 0:
            worst = max(worst, float((share[touched] * np.minimum(part[touched], 1e300)).sum()) / total)
    return math.inf if worst > 1e200 else worst


def _share_of_faces(values, axis, grid, adjoint):
    other = np.roll(values, -1, axis)
    share = np.abs(other - values) ** 2 if adjoint else np.abs(other) + np.abs(values)
    if not grid.periodic[axis]:
        share[(slice(None),) * axis + (-1,)] = 0.0
    return share


def _share_of_cells(values, grid, adjoint):
    return (corner_gradient(values, grid) ** 2).sum(-1) if adjoint else corner_mean(np.abs(values), grid)


def _numbers(form):
    """|b| h / D on the faces of each axis, fields of grid.shape, of a diagonal form."""
    for axis, drop in enumerate(form.drops):
        face = (form.a[axis] + np.roll(form.a[axis], -1, axis)) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            yield np.where(drop == 0, 0.0, np.abs(drop) / face)


def _advice(info):
    if info["smearing"] > SMEARED:
        yield (
            f"drift outruns diffusion between nodes (cell Peclet number up to {info['peclet']:.3g}): {info['scheme']} "
            f"widens the solution as if the diffusion were {1 + info['smearing']:.2g} times what it is: take "
            "high_resolution, a finer grid or more diffusion"
        )
