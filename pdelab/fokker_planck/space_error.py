"""The error that the nodes make, followed beside a run: of values backwards, and of what absorbing ends take in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pdelab.fokker_planck.equations import FokkerPlanck
from pdelab.generator import Ito
from pdelab.generator.smearing import peclet
from pdelab.generator.truncation import Truncation
from pdelab.grid import Grid
from pdelab.hints import Array
from pdelab.stepping import Stepper

__all__ = ["with_error"]

EVEN = 0.3  # cell Peclet number up to which the nodes of a resolved solution make errors of a per cent or so
SEEN = 1e-3  # of the largest value, below which none is compared with its error
STEPS, LEAPS = 16, 8  # steps after which what was left out is added, and parts of one that is exact in time


def with_error(stepper: Stepper, problem: FokkerPlanck, grid: Grid, form: Ito, share: float = 1.0) -> Stepper | None:
    """The same steps, in whose state the error δ of the nodes follows, δ_t = Q^T δ + what the rates left out of ρ_t.

    Backwards, δ_t = Q δ - E u. Its record is `space_error`, the largest |δ| over the range of the data or of u, or, if
    that is more, the median of |δ| over |u|: a large value somewhere hides no wrong one elsewhere.

    Parameters
    ----------
    stepper : Stepper
        The state of the result is (its state, the state of δ); what it handed out before, it hands out still.
    form : Ito
        Of the problem on the grid.
    share : float
        Of what the generator's rates leave out, how much the scheme does.

    Returns
    -------
    Stepper, or None where |b| h / D is small everywhere, or the truncation not known: a moving problem, a full matrix
    """
    if not (problem.steady and form.diagonal and peclet(form, grid) > EVEN):
        return None
    truncation, values = Truncation.of(form, grid), stepper.values
    pieces = LEAPS if stepper.error is not None else 1
    first: list[Array] = []

    def load(field):
        if problem.adjoint:
            return -share * truncation(field)
        fluxes = truncation.fluxes(field * grid.weights)
        return share * sum(flux - np.roll(flux, 1, axis) for axis, flux in enumerate(fluxes)) / grid.weights

    def init(field):
        first[:] = [field]
        return stepper.init(field), stepper.init(np.zeros(grid.shape))

    def advance(state, time, dt, steps):
        own, error = state
        dt, steps, done = dt / pieces, steps * pieces, 0
        before = load(values(own))
        while done < steps:
            count = min(STEPS if pieces == 1 else 1, steps - done)
            half = 0.5 * count * dt
            own = stepper.advance(own, time + done * dt, dt, count)
            after = load(values(own))
            error = stepper.advance(stepper.init(values(error) + half * before), time + done * dt, dt, count)
            error = stepper.init(values(error) + half * after)
            before, done = after, done + count
        return own, error

    def space_error(state, time):
        size, error = np.abs(values(state[0])), np.abs(values(state[1]))
        if not error.any():
            return 0.0
        seen = size > SEEN * size.max()
        spread = max(float(np.ptp(first[0])), float(np.ptp(values(state[0]))))
        return max(float(error.max()) / spread, float(np.median(error[seen] / size[seen])))

    def of_own(function):
        return lambda state, *time: function(state[0], *time)

    records = {name: of_own(record) for name, record in stepper.records.items()}
    return replace(
        stepper,
        advance=advance,
        bound=of_own(stepper.bound),
        init=init,
        values=of_own(values),
        report=of_own(stepper.report),
        records=records | ({"space_error": space_error} if problem.adjoint else {}),
        bare=stepper,
    )
