"""A positive, conservative scheme of second order for drift that outruns diffusion: limited fluxes on the faces."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy import sparse

from pdelab.fokker_planck.accuracy import advised, looks
from pdelab.fokker_planck.equations import FokkerPlanck
from pdelab.fokker_planck.schemes import certificates
from pdelab.generator import Ito, ito, smearing
from pdelab.generator.assembly import assemble
from pdelab.generator.coefficients import over_faces
from pdelab.generator.edges import edges, face_means
from pdelab.grid import Grid
from pdelab.hints import Array
from pdelab.stepping import Stepper, integral_error, scheme

__all__ = ["high_resolution"]


@scheme(FokkerPlanck)
def high_resolution(problem: FokkerPlanck, grid: Grid, values: Array) -> Stepper:
    """Limited fluxes (MUSCL) for the drift, central ones for the diffusion, Heun in time: for large Peclet numbers.

    The flux over a face is b⁺ρ_L + b⁻ρ_R - δ(aρ)/h with ρ_L, ρ_R from slopes limited by the monotonised central
    limiter (van Leer 1979), a the diffusivity, axis by axis, all axes at once. Explicit: dt times
    Σ_i (2(b⁺ + b⁻) + a/h (one for each face))/h <= 1. Each of the two stages of Heun's method is then non-negative.

    Promises within that bound: density >= 0, mass to round-off, no diffusion added where the solution is smooth; second
    order in space and time there, first at extrema. Gibbs is kept to second order in the spacing only: where
    |b| h / D is small the schemes with Scharfetter-Gummel rates serve better. A full matrix diffuses along the offsets
    of Selling's decomposition, whose rates are then free of drift, and the drift of div(a grad ρ - β ρ) passes the
    faces: second order at any Peclet number, where `generator` has first. Closed ends. The limiter is not linear, so
    that there is no adjoint: refused for the backward equation.

    Raises
    ------
    ValueError
        The backward equation, an absorbing end, rates that outgrow the step during the run.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-1.0, 1.0, 201, boundary="periodic")
    >>> problem, start = pl.FokkerPlanck(drift=np.ones(201), diffusivity=1e-4), np.exp(-50 * grid.x**2)
    >>> run = pl.solve(problem, start, grid, 2.0, scheme="high_resolution")                # once around
    >>> bool(abs(run.final - start).max() < 0.05), bool(run.final.min() >= 0)
    (True, True)
    """
    form = ito(problem.coefficients(grid), grid)
    if problem.adjoint:
        raise ValueError("high_resolution: expected FokkerPlanck; its limiter is not linear and has no adjoint")
    if grid.absorbing.any():
        raise ValueError("high_resolution: expected no absorbing end; use crank_nicolson")

    @lru_cache(maxsize=4)
    def at(time):
        fluxes = _Fluxes.of(ito(problem.coefficients(grid, time), grid), grid)
        return fluxes, 1 / max(fluxes.largest_rate(), np.finfo(float).tiny)

    def moment(time):
        return at(0.0 if problem.steady else time)

    def advance(density, time, dt, steps):
        for step in range(steps):
            (before, _), (after, largest) = moment(time + step * dt), moment(time + (step + 1) * dt)
            if dt > largest * (1 + 1e-12):
                raise ValueError(
                    f"high_resolution: the rates grow so fast that dt = {dt:.6g} is too large at t = {time:.6g}"
                )
            stage = density + dt * before.change(density)
            density = 0.5 * density + 0.5 * (stage + dt * after.change(stage))
        return density

    def bound(density, time):
        step = moment(time)[1]
        while not problem.steady and step > moment(time + step)[1]:
            step = moment(time + step)[1]
        return math.inf if step > 1e300 else step

    return Stepper(
        advance,
        bound,
        fixed=problem.steady,
        certificates=certificates(problem, grid, form),
        order=2,
        measure=integral_error(grid.weights),
        peaks={"peclet": lambda values, time: smearing.peclet(moment(time)[0].form, grid)},
        estimates={
            "smearing": smearing.Followed(
                lambda values, time: [moment(time)[0].rates_of_change(piece) for piece in smearing.lumps(values, grid)]
            ),
        },
        looks=looks(problem, grid, form),
        advice=advised(problem, grid),
    )


@dataclass(frozen=True, eq=False)
class _Fluxes:
    """-div F at one time: limited fluxes of the drift, and the diffusion over the faces or along the offsets."""

    form: Ito
    grid: Grid
    winds: list  # velocity on the faces of each axis, grid.shape; that of an empty face is never looked at
    jumps: sparse.csr_array | None  # of a full matrix without drift: its change of the density

    @classmethod
    def of(cls, form, grid):
        if form.diagonal:
            return cls(form, grid, [drop / h for drop, h in zip(form.drops, grid.spacing)], None)
        still = edges(replace(form, fick=np.zeros_like(form.fick)), grid)
        Q, w = assemble(*still.jumps(), grid.weights.size), grid.weights.ravel()
        return cls(form, grid, face_means(form.fick, grid), (sparse.diags_array(1 / w) @ Q.T @ sparse.diags_array(w)))

    def change(self, density):
        """The rate of change of a density."""
        grid = self.grid
        out = np.zeros(grid.shape) if self.jumps is None else (self.jumps @ density.ravel()).reshape(grid.shape)
        for axis, wind in enumerate(self.winds):
            x, wind = np.moveaxis(density, axis, 0), np.moveaxis(wind, axis, 0)
            flux = _limited(x, wind, grid.periodic[axis])
            if self.jumps is None:
                flux = flux - self._spread(x, axis) / grid.spacing[axis]
            if not grid.periodic[axis]:
                flux[-1] = 0.0
            out -= np.moveaxis((flux - np.roll(flux, 1, 0)) / self._cell(axis), 0, axis)
        return out

    def rates_of_change(self, density):
        """Of the limited fluxes against the means over the faces."""
        added, density = [], smearing.of_size_one(density)
        for axis, wind in enumerate(self.winds):
            x, wind = np.moveaxis(density, axis, 0), np.moveaxis(wind, axis, 0)
            flux = wind * (x + np.roll(x, -1, 0)) / 2 - _limited(x, wind, self.grid.periodic[axis])
            added.append(np.moveaxis(flux, 0, axis))
        return smearing.rates_of_fluxes(added, density, self.form, self.grid)

    def _spread(self, x, axis):
        """a^α δ(a^(1-α) ρ) over the faces of an axis that is the first one of x."""
        a, share = np.moveaxis(self.form.a[axis], axis, 0), self.form.share
        x = a ** (1 - share) * x
        face = over_faces(a**share, 0, self.grid.periodic[axis]) if share else 1.0
        return face * (np.roll(x, -1, 0) - x)

    def _cell(self, axis):
        return self.grid.axis_weights[axis].reshape(-1, *[1] * (self.grid.dimension - 1))

    def largest_rate(self):
        """Of what leaves a node, over its density, when the values on its faces are twice it."""
        grid = self.grid
        total = np.zeros(grid.shape) if self.jumps is None else -self.jumps.diagonal().reshape(grid.shape)
        for axis, wind in enumerate(self.winds):
            wind = np.moveaxis(wind, axis, 0)
            faces = np.ones(wind.shape)
            if not grid.periodic[axis]:
                faces[-1] = 0.0
            leaving = 2 * np.maximum(wind, 0) * faces + np.roll(2 * np.maximum(-wind, 0) * faces, 1, 0)
            if self.jumps is None:
                a = np.moveaxis(self.form.a[axis], axis, 0)
                above, below = a, a  # what a node gives through its two faces
                if share := self.form.share:
                    face = over_faces(a**share, 0, grid.periodic[axis])
                    above, below = a ** (1 - share) * face, a ** (1 - share) * np.roll(face, 1, 0)
                leaving = leaving + (above * faces + below * np.roll(faces, 1, 0)) / grid.spacing[axis]
            total += np.moveaxis(leaving / self._cell(axis), 0, axis)
        return float(total.max())


def _limited(x, wind, periodic):
    """The flux over the faces of the first axis of x: from the side the wind comes from."""
    slope = _slopes(x, periodic)
    return np.where(wind > 0, wind * (x + slope / 2), wind * np.roll(x - slope / 2, -1, 0))


def _slopes(x, periodic):
    """Differences over a cell along the first axis, limited; zero at extrema and at ends."""
    ahead, behind = np.roll(x, -1, 0) - x, x - np.roll(x, 1, 0)
    limited = np.minimum(np.minimum(2 * np.abs(ahead), 2 * np.abs(behind)), np.abs(ahead + behind) / 2)
    limited = np.where(ahead * behind > 0, np.sign(ahead) * limited, 0.0)
    if not periodic:
        limited[0] = limited[-1] = 0.0
    return limited
