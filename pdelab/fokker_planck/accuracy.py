"""What every Fokker-Planck scheme reports of its accuracy: the error in time, and what its fluxes do to widths."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from pdelab.fokker_planck import space_error
from pdelab.fokker_planck.equations import FokkerPlanck
from pdelab.fokker_planck.moving import breaks
from pdelab.generator import Ito, axis_rates, ito, smearing
from pdelab.grid import Grid
from pdelab.hints import Array
from pdelab.stepping import integral_error, largest_error

__all__ = ["accuracy", "advised", "looks", "worst_share"]

STEADY, MOVING = 8, 64  # looks
RARE, EARLY = 1e-6, 1e-2  # probabilities below are not looked at, at the end and before
QUIET = 0.75  # cell Peclet number z with z/2 coth(z/2) - 1 < 0.05


def accuracy(problem: FokkerPlanck, grid: Grid, form: Ito, share: Array | float = 1.0) -> dict[str, Any]:
    """The fields of a Stepper with the generator's rates that say how accurate its solution is.

    share : of what these leave out, how much the scheme does where that is smooth
    """

    def at(time):
        return form if problem.steady or time == 0 else ito(problem.coefficients(grid, time), grid)

    @lru_cache(maxsize=1)
    def parts(time):
        return smearing.parts_of(at(time), grid)

    def rates(values, time):
        given = parts(0.0 if problem.steady else time)
        pieces = [values] if problem.adjoint else smearing.lumps(values, grid)
        return [
            smearing.rates_of_change(piece, at(time), grid, adjoint=problem.adjoint, parts=given) for piece in pieces
        ]

    @lru_cache(maxsize=1)
    def number(time):
        return smearing.peclet(at(time), grid)

    @lru_cache(maxsize=1)
    def rates_at(time):
        return axis_rates(at(time), grid) if at(time).diagonal else None

    @lru_cache(maxsize=1)
    def given(time):
        return smearing.drift_kinks(at(time), grid)

    def kinks(values, time):
        return smearing.kinks(values, grid, given=given(0.0 if problem.steady else time)) if held[0] else 0.0

    def left_out(values, time):
        return space_error.left_out(parts(0.0 if problem.steady else time), values, grid, share)

    largest = [0.0]

    def peclet(values, time):
        now = 0.0 if problem.steady else time
        largest[0] = max(0.0 if time == 0 else largest[0], number(now))
        return largest[0]

    first: list[float] = []  # how narrow the start is: diffusion alone makes no law narrower

    held = [False]  # by drift, as found last

    def narrow(values, time):
        found = smearing.narrowness(values, grid)
        if time == 0:
            first[:] = [found]
        narrower = not first or found > 1.05 * first[0]
        held[0] = time > 0 and (narrower or smearing.balanced(values, at(time), grid, time))
        return found if held[0] else 0.0

    of_density = {  # called in this order
        "narrowness": narrow,
        "kinks": kinks,
        "space_error": space_error.Followed(lambda time: rates_at(0.0 if problem.steady else time), left_out, grid),
    }
    return {
        "measure": _measure(problem, grid),
        "leaks": bool(grid.absorbing.any()),
        "peaks": {"peclet": peclet},
        "estimates": {"smearing": smearing.Followed(rates)}
        | ({"narrowness": lambda values, time: 0.0} if problem.adjoint else of_density),
        "looks": looks(problem, grid, form),
        "unfollowed": frozenset({"narrowness", "kinks"}),
        "watched": not problem.steady,
        "breaks": breaks(problem, grid),
        "advice": advised(problem, grid),
    }


def _measure(problem, grid):
    """(error, first, now) -> its size relative to the data, or, where ends absorb, to what is left of them."""
    measure = largest_error if problem.adjoint else integral_error(grid.weights)
    return (lambda error, first, now: measure(error, now, now)) if grid.absorbing.any() else measure


def looks(problem, grid, form):
    """How often a run must be looked at on the way: what smears less than the limit everywhere needs none."""
    if not problem.steady:
        return MOVING
    return STEADY if smearing.peclet(form, grid) > QUIET or not form.diagonal else 0


def advised(problem, grid):
    """info -> what to do about `smearing`, `narrowness`, `kinks`, `space_error` and `absorbed_error`."""

    def advice(info):
        name, number = info["scheme"], info["peclet"]
        limited = name.endswith("high_resolution") or problem.adjoint or grid.absorbing.any()
        better = "" if limited else "high_resolution, "
        if problem.adjoint and math.isinf(info.get("space_error", 0.0)):
            yield f"the nodes are too few (less than seven along an axis) to tell how far {name} is off: take more"
            return
        if problem.adjoint and "space_error" in info:
            yield from smearing.advice(f"values of {name} are", info["space_error"], 0.0, number)
            return
        what, smeared = f"squared widths of what {name} gives are", info["smearing"]
        if smeared <= smearing.SMEARED:  # the density may be off for other reasons
            what, smeared = f"the density that {name} gives is", info.get("space_error", 0.0)
        yield from smearing.advice(what, smeared, info.get("narrowness", 0.0), number, better, info.get("kinks", 0.0))
        if "absorbed_error" in info:
            yield from _of_the_ends(info["absorbed"], info["mass"], info["absorbed_error"])

    return advice


def worst_share(absorbed, left, error, rare=RARE):
    """(error relative to its value, number, value) of the worst of the shares that the ends have absorbed and left."""
    shares, errors = np.append(absorbed, left), np.abs(np.append(error, error.sum()))
    seen = shares > rare * shares.sum()
    relative = np.where(seen, errors / np.where(seen, shares, 1.0), 0.0)
    worst = int(np.argmax(relative))
    return relative[worst], worst, shares[worst] / shares.sum()


def _of_the_ends(absorbed, left, error):
    """What is said of the shares that the ends have absorbed and left at the saved times."""
    if not np.isfinite(error[-1]).all():
        yield "the nodes are too few (less than seven along an axis) to tell what absorbing ends take in: take more"
        return
    count = len(error)
    rare = [EARLY] * (count - 1) + [RARE]  # all begins with next to nothing, of which half is an error
    found = [worst_share(*now) for now in zip(absorbed, left, error, rare)]
    k = int(np.argmax([relative for relative, _, _ in found]))
    relative, worst, share = found[k]
    if relative > smearing.SMEARED:
        when = "the end" if k == count - 1 else f"saved time {k + 1} of {count}"
        yield (
            f"the nodes are too far apart for a probability as small as {share:.2g}, of what is "
            f"{'left' if worst == absorbed[k].size else 'absorbed'} at {when}: it is off by about {relative:.2g} of "
            "its value: take a finer grid"
        )
