"""What every Fokker-Planck scheme reports of its accuracy: the error in time by mass, and the cell Peclet number."""

import math

import numpy as np

from pdelab.generator import ito
from pdelab.stepping import integral_error, largest_error

__all__ = ["accuracy", "at", "peclet", "smearing"]

SMEARED = 0.5  # added by the scheme, over the diffusion that is there: |b| h / D about 2.7


def accuracy(problem, grid, form):
    """The fields of a Stepper that say how accurate its solution is."""
    return {
        "measure": largest_error if problem.adjoint else integral_error(grid.weights),
        "peaks": {
            "peclet": lambda values, time: peclet(at(problem, grid, form, time)),
            "smearing": lambda values, time: smearing(at(problem, grid, form, time), values, grid, problem.adjoint),
        },
        "advice": _advice,
    }


def at(problem, grid, form, time):
    """The coefficients at that time; `form` are those of time 0."""
    return form if problem.steady or time == 0 else ito(problem.coefficients(grid, time), grid)


def peclet(form):
    """The largest |b| h / D over the faces of all axes; math.inf where there is drift and no diffusion."""
    return max((float(numbers.max(initial=0.0)) for numbers in _numbers(form)), default=0.0)


def smearing(form, values, grid, adjoint):
    """What the rates add to the diffusion of an axis, over that diffusion, in the mean where the solution lives.

    Scharfetter-Gummel rates diffuse like D z/2 coth(z/2), z the Peclet number of a face. The mean over the faces is
    weighted by the density, backwards by the squared differences of the solution. The largest of the axes.
    """
    worst = 0.0
    for axis, numbers in enumerate(_numbers(form)):
        other = np.roll(values, -1, axis)
        share = np.abs(other - values) ** 2 if adjoint else np.abs(other) + np.abs(values)
        if grid.boundary[axis] != "periodic":
            share[(slice(None),) * axis + (-1,)] = 0.0
        total = float(share.sum())
        if not total > 0:
            continue
        half = numbers / 2
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            excess = np.where(half > 1e-4, half / np.tanh(half) - 1, half**2 / 3)
        touched = share > 0
        worst = max(worst, float((share[touched] * np.minimum(excess[touched], 1e300)).sum()) / total)
    return math.inf if worst > 1e200 else worst


def _numbers(form):
    """|b| h / D on the faces of each axis, fields of grid.shape."""
    for axis, drop in enumerate(form.drops):
        a = form.a[axis] if form.diagonal else form.a[..., axis, axis]
        face = (a + np.roll(a, -1, axis)) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            yield np.where(drop == 0, 0.0, np.abs(drop) / face)


def _advice(info):
    if info["smearing"] > SMEARED:
        yield (
            f"drift outruns diffusion between nodes (cell Peclet number up to {info['peclet']:.3g}): {info['scheme']} "
            f"widens the solution as if the diffusion were {1 + info['smearing']:.2g} times what it is: take "
            "high_resolution, a finer grid or more diffusion"
        )
