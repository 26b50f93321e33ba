"""A positive, conservative scheme of second order for drift that outruns diffusion: limited fluxes on the faces."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial

import numpy as np
from scipy import sparse

from pdelab.fokker_planck.accuracy import advised, looks
from pdelab.fokker_planck.equations import FokkerPlanck
from pdelab.fokker_planck.schemes import certificates
from pdelab.generator import Ito, ito, smearing
from pdelab.generator.assembly import assemble
from pdelab.generator.coefficients import over_faces
from pdelab.generator.edges import edges, face_means, lines
from pdelab.grid import Grid
from pdelab.hints import Array
from pdelab.kernels import limited
from pdelab.stepping import Stepper, integral_error, scheme

__all__ = ["high_resolution"]

HEUN, THIRD = np.array([0.0, 0.5]), np.array([0.0, 3 / 4, 1 / 3])  # what the stages keep (Shu and Osher 1988)
INSTANTS = (0.0, 1.0, 0.5)  # of the stages, in steps


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

    def advance(density, time, dt, steps, kept=HEUN):
        if problem.steady and form.diagonal:
            return moment(time)[0].march(density, dt, steps, kept)
        for begin in time + dt * np.arange(steps):
            stage = density
            if dt > moment(begin + dt)[1] * (1 + 1e-12):
                raise ValueError(
                    f"high_resolution: the rates grow so fast that dt = {dt:.6g} is too large at t = {begin:.6g}"
                )
            for share, part in zip(kept, INSTANTS):
                rate = moment(begin + part * dt)[0].change(stage)
                stage = share * density + (1 - share) * (stage + dt * rate)
            density = stage
        return density

    def bound(density, time):
        step = moment(time)[1]
        while not problem.steady and step > moment(time + step)[1]:
            step = moment(time + step)[1]
        return math.inf if step > 1e300 else step

    measure = integral_error(grid.weights)
    third = Stepper(partial(advance, kept=THIRD), bound, fixed=problem.steady, order=3, measure=measure)
    return Stepper(
        advance,
        bound,
        fixed=problem.steady,
        certificates=certificates(problem, grid, form),
        order=2,
        measure=measure,
        check=third,
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
    winds: Array  # velocity on the faces of each axis, (d, nodes); zero on empty faces, as ups and downs
    ups: Array  # diffusion over the faces, ups ρ - downs ρ of the next node; none of a full matrix
    downs: Array
    jumps: sparse.csr_array | None  # of a full matrix without drift: its change of the density

    @classmethod
    def of(cls, form, grid):
        winds, ups, downs = (np.zeros((grid.dimension, *grid.shape)) for _ in range(3))
        if form.diagonal:
            jumps = None
            for axis, (drop, h) in enumerate(zip(form.drops, grid.spacing)):
                np.divide(drop, h, out=winds[axis])
                _spread(form, axis, grid, ups[axis], downs[axis])
        else:
            still = edges(replace(form, fick=np.zeros_like(form.fick)), grid)
            Q, w = assemble(*still.jumps(), grid.weights.size), grid.weights.ravel()
            jumps = sparse.diags_array(1 / w) @ Q.T @ sparse.diags_array(w)
            winds[:] = face_means(form.fick, grid)
        for axis in np.flatnonzero(~np.array(grid.periodic)):
            for faces in (winds, ups, downs):
                faces[(axis, *[slice(None)] * axis, -1)] = 0.0
        return cls(form, grid, *(faces.reshape(grid.dimension, -1) for faces in (winds, ups, downs)), jumps)

    @cached_property
    def kernel(self):
        """lines, winds, ups, downs and shares of `pdelab.kernels.limited`."""
        shape, wraps = self.grid.shape, self.grid.periodic
        axes = [(math.prod(shape[:k]), n, math.prod(shape[k + 1 :]), wraps[k]) for k, n in enumerate(shape)]
        shares = 1 / np.concatenate(self.grid.axis_weights)
        return np.array(axes, dtype=np.int64), self.winds, self.ups, self.downs, shares

    def change(self, density):
        """The rate of change of a density."""
        out = np.zeros(density.size) if self.jumps is None else self.jumps @ density.ravel()
        limited.add_limited(out, np.ascontiguousarray(density).ravel(), 1.0, *self.kernel, np.empty(density.size))
        return out.reshape(density.shape)

    def march(self, density, dt, steps, kept):
        """The density after so many steps, without jumps."""
        out = np.empty(density.size)
        limited.limited_march(np.ascontiguousarray(density).ravel(), out, steps, dt, kept, *self.kernel)
        return out.reshape(density.shape)

    def rates_of_change(self, density):
        """`smearing.rates_of_change` of the limited fluxes against the means over the faces."""
        grid, rates = self.grid, []
        density = np.ascontiguousarray(smearing.of_size_one(density))
        away = smearing.off_mean(density, grid)
        size = float((away**2 * grid.weights).sum())
        for axis, (h, wraps) in enumerate(zip(grid.spacing, grid.periodic)):
            a = self.form.a[axis] if self.form.diagonal else np.ascontiguousarray(self.form.a[..., axis, axis])
            x, apart, wind, a, w = (
                lines(f, axis, grid.shape) for f in (density, away, self.winds[axis], a, grid.weights)
            )
            flux, none = np.empty_like(x), np.zeros_like(x)
            limited.limited_fluxes(flux, x, wind, none, none, wraps)
            areas = w[:, 0] / grid.axis_weights[axis][0]
            falling, spreading = limited.fall_and_spread(flux, x, apart, wind, a, areas, wraps)
            rates.append((abs(falling), spreading / h, size))
        return rates

    def largest_rate(self):
        """Of what leaves a node, over its density, when the values on its faces are twice it."""
        out = np.zeros(self.grid.weights.size) if self.jumps is None else -self.jumps.diagonal()
        return float(limited.largest_leaving(out, *self.kernel))


def _spread(form, axis, grid, up, down):
    """Fill in a^α δ(a^(1-α) ρ)/h over the faces of an axis: what it takes of the density before and after each."""
    a, share = form.a[axis], form.share
    node = a ** (1 - share) if share else a
    face = (over_faces(a**share, axis, grid.periodic[axis]) if share else 1.0) / grid.spacing[axis]
    np.multiply(face, node, out=up)
    np.multiply(face, np.roll(node, -1, axis), out=down)
