"""solve(): the one time loop of the package."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.grid import Grid, reals
from pdelab.hints import Times
from pdelab.losses import Loss
from pdelab.stepping.accuracy import AccuracyWarning, Estimate
from pdelab.stepping.beside import advice, errors
from pdelab.stepping.protocols import EQUATIONS, Problem, Scheme, Stepper, schemes_of
from pdelab.stepping.run import Run

__all__ = ["Solution", "solve"]

WARN_ABOVE = 0.01  # of the error in time, when no rtol is given
ATTEMPTS = 12
ENOUGH = 32  # saved times that tell the largest error of all


@dataclass(frozen=True, repr=False)
class Solution:
    """What `solve` returns: values[k] is the solution at times[k]; nothing in it changes.

    Attributes
    ----------
    times : array (k,)
        The saved times, increasing.
    values : array (k, *grid.shape), for a vector field (k, *grid.shape, d)
        values[k] is the solution at times[k]. Read-only, as times.
    grid : Grid
    steps : int
        Steps that were taken in all.
    info : dict
        The certificate of `solve`: scheme, dt, monotonicity, minimum, maximum, mass and its drift, time_error, ...

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-1.0, 1.0, 101)
    >>> heat = pl.solve(pl.Heat(viscosity=0.1), pl.Loss("cos(pi*x)"), grid, [0.5, 1.0])
    >>> heat.values.shape, heat.info["scheme"]
    ((2, 101), 'hamilton_jacobi.monotone')
    >>> round(float(heat.final[50]), 3), round(float(np.exp(-0.1 * np.pi**2)), 3)       # the exact decay of this mode
    (0.373, 0.373)
    """

    times: np.ndarray
    values: np.ndarray
    grid: Grid
    steps: int
    info: dict

    @property
    def final(self) -> np.ndarray:
        """The solution at the last saved time, shape grid.shape."""
        return self.values[-1]

    def __repr__(self):
        low, high = self.values[-1].min(), self.values[-1].max()
        shape = " x ".join(map(str, self.values.shape[1:]))
        told = f", error in time {self.info['time_error']:.1e}" if "time_error" in self.info else ""
        return (
            f"Solution({self.info.get('scheme', 'unnamed scheme')}: {len(self.times)} times from {self.times[0]:g} to "
            f"{self.times[-1]:g}, {shape} values, at the end from {low:.6g} to {high:.6g}, {self.steps} steps{told})"
        )


def solve(
    problem: Problem,
    initial: ArrayLike | Loss,
    grid: Grid,
    times: Times,
    *,
    scheme: Scheme | str | None = None,
    dt: float | None = None,
    cfl: float = 0.9,
    rtol: float | None = None,
    on_save: Callable[[float, np.ndarray], object] | None = None,
    progress: bool | Callable[[float, float], object] = False,
) -> Solution:
    r"""Solve an evolution equation and return it at the times asked for.

    Parameters
    ----------
    problem : HamiltonJacobi, Heat, Burgers, FokkerPlanck or BackwardKolmogorov
        The equation.
    initial : Loss or array of shape grid.shape
        Data at time 0.
    grid : Grid
    times : float or increasing sequence of floats, >= 0
        Times to save; a number is one time. values[0] is the initial data only if times[0] == 0.
    scheme : function or str, optional
        One of the equation's schemes, e.g. `hamilton_jacobi.monotone`, or its name, "monotone"; by default the
        equation's own choice.
    dt : float, optional
        The largest step: each interval between saved times is cut into ceil(interval / dt) equal steps. By default
        cfl times the scheme's bound, or the accuracy rule of an implicit scheme.
    cfl : float, in (0, 1]
        Fraction of the bound used when dt is not given.
    rtol : float > 0, optional
        The largest relative error in time: steps are shortened until the estimate is below it. By default steps are
        what the scheme takes, and an estimate above 1 % is an `AccuracyWarning`. math.inf estimates no error at
        all, of steps or nodes, and warns of none: the bare steps.
    on_save : callable (time, values), optional
        Called at each saved time as soon as it is reached; with rtol, as soon as the values are known to be as accurate
        as that. What it was handed survives Ctrl-C.
    progress : bool or callable (time reached, last time)
        True shows a bar on stderr. A solve that shortens its steps for `rtol` begins again from 0.

    Returns
    -------
    Solution
        `info` is the certificate. Whatever the equation it has scheme, dt (the largest step), steps, monotonicity (dt
        over the bound, largest over the run: at most 1), minimum and maximum at the saved times. Errors are estimates,
        the largest at the saved times, of many at some thirty of them, the last among them:

        - time_error: of the steps, relative to the data: of densities and Burgers in integrals of absolute values,
          otherwise the largest error over the range; between absorbing ends relative to what is left.
        - space_error: of the nodes. Of a density ∫ |error| over its mass, to leading order or, of a full matrix, by
          runs beside it on half as many nodes and with twice the added diffusion. Backwards the largest over the range
          of the values or, if that is more, the median of its share of the value, or half of the range that numerical
          diffusion has taken. Of Hamilton-Jacobi, heat and Burgers what a run on every second node tells, relative as
          time_error is, steps included where they belong to the nodes, or what the run has left of each octave of waves
          below what viscosity, shocks and drift leave at least: about right for smooth data, at kinks and shocks to a
          factor of a few, a guess for waves of four nodes or fewer and where a drift makes layers thinner than that;
          math.inf where something varies along an axis of six nodes or fewer; not there on several axes that all have
          257 nodes or more, where no second run is made. Waves are looked at up to 2^20 nodes.
          Between absorbing ends it is relative to what is left. Data that step between nodes are those of the nodes.
        - end_error: what lies beyond outflow ends, on the whole space, makes of Hamilton-Jacobi, heat and Burgers in
          the box, by runs on fewer nodes of the box and of a wider one. A Loss goes on as it is; values on the nodes go
          on bending as they do before the end, of Burgers constant: give a Loss where something else follows. It is
          not there where nothing is known beyond the box (a drift on the nodes, a Loss not defined there), nor of
          values on the nodes where `inflow` is above 0, of vectors or on nodes as many as above.
        - mass, mass_drift, of equations that conserve it: the change since the start over the integral of |values| at
          the start. Between absorbing ends mass is what is left, and the drift counts what has left, too.
        - absorbed, flux, arrays (times, d, 2): what has left through the lower and upper end of each axis, how fast.
        - absorbed_error: what the nodes leave out of absorbed, to leading order where |b| h / D is not small, else, and
          on axes of 7 to 33 nodes, by a run beside it on every second node, unless all axes have 257 or more; math.inf
          on fewer along an axis that matters. What `compact` gains over second order is not in it, and where the data
          have steps they count as of first order. It is far too small where noise varies in waves of few nodes and
          |b| h / D is 3 or more: compare with twice as many nodes.
        - peclet, of Fokker-Planck: the largest |b| h / D over the faces.
        - smearing: the error of the squared widths, over them, that the fluxes of the scheme make. Where |b| h / D is
          not small a run is looked at on the way, too, and what was smeared then counts as far as it is not forgotten;
          of several lumps it is the worst.
        - narrowness: the spacing over the standard deviation of a density that drift holds together.
        - kinks: the share of its integral that the sum over the nodes misses where its logarithm has kinks.

    Raises
    ------
    ValueError
        Bad data, unsorted or negative times, dt above the scheme's bound, cfl outside (0, 1].
    FloatingPointError
        The solution stopped being finite; the message names the time.

    Warns
    -----
    AccuracyWarning
        A `time_error` above 1 % (above rtol), `smearing`, `space_error`, `end_error` (or these two together) or `kinks`
        above 5 %, a `narrowness` above 1.7, what is left or absorbed off by more than 5 %, at the end or, of 1 % or
        more, at another saved time, or, of Hamilton-Jacobi, characteristics that come in through an outflow end unless
        `end_error` says that they make less than 1 %; it says what to do.

    Notes
    -----
    ==================  ====================================  ==========================  ==========================
    equation            scheme                                order in time, space        cost of a step, per node
    ==================  ====================================  ==========================  ==========================
    Hamilton-Jacobi,    monotone, engquist_osher (explicit)   1, 1 (heat: 2)              one sweep; dt ~ h, h²/ν
    heat                fitted (explicit)                     1, 2 where L h <= 2ν        one sweep
    \                   weno, filtered (explicit)             3, 5 where smooth           three long sweeps
    \                   implicit                              1, as fitted                a few linear solves
    \                   rosenbrock (one dimension)            4, as fitted; own steps     six tridiagonal solves
    Burgers             godunov, engquist_osher, rusanov      1, 1                        one sweep
    \                   high_resolution                       2 (1 with viscosity), 2     one sweep
    Fokker-Planck,      automatic (the default)               exact, or controlled, 2     that of what it takes
    backward            spectral (one reflecting axis)        exact, 2                    one product a mode
    Kolmogorov          chebyshev (steady potential)          exact, 2                    8 sqrt(t rate) products
    \                   implicit (positive for every dt)      1, 2                        one solve an axis
    \                   crank_nicolson                        2, 2                        one solve an axis
    \                   compact (constant D)                  4, 4                        three solves an axis
    \                   explicit (positive)                   1, 2                        one product; dt ~ h²/D
    \                   high_resolution (forward only)        2, 2 at any Peclet number   two sweeps; dt ~ h/|b|
    ==================  ====================================  ==========================  ==========================

    With a full diffusion matrix space is of first order where `peclet` is large, but for `high_resolution`.

    Good values
    -----------
    scheme : begin with the default. For a picture of a kink `weno` or `filtered`; for a proof `monotone` or `implicit`;
        for a drift much stronger than the noise (info["peclet"] above 2) a finer grid, or `high_resolution`.
    dt : leave it out at first and read info["time_error"]. Much smaller costs time and gives nothing once that error is
        below the error in space. Explicit schemes refuse a larger one; with implicit ones it costs accuracy alone.
    rtol : 1e-3 for a plot, 1e-6 to compare schemes in space. Below the scheme's reach it is refused; It speaks of
        time alone: what the nodes leave out is `space_error`, which more nodes make smaller. math.inf is for a problem
        whose errors are known, as in a loop over many like it: nothing is estimated and no warning given.
    cfl : 0.9. Close to 1 the bound is used up; smaller adds steps, and at first order numerical diffusion.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-1.0, 1.0, 101)
    >>> solution = pl.solve(pl.HamiltonJacobi(beta=2.0), grid.x**2, grid, [0.0, 0.1])
    >>> solution.values.shape, bool(solution.info["monotonicity"] <= 1)
    ((2, 101), True)
    """
    times = _checked_times(times)
    if not (isinstance(cfl, Real) and 0 < cfl <= 1):
        raise ValueError(f"cfl: expected a number in (0, 1], got {cfl!r}: the scheme's bound holds up to 1")
    if dt is not None and not (isinstance(dt, Real) and 0 < dt < math.inf):
        raise ValueError(f"dt: expected a positive number or None, got {dt!r}")
    if not isinstance(grid, Grid):
        raise ValueError(f"grid: expected a Grid, got {type(grid).__name__}")
    if type(problem) not in EQUATIONS.values() and not isinstance(problem, Problem):
        raise ValueError(f"problem: expected an equation such as HamiltonJacobi(beta=1.0), got {problem!r}")
    if on_save is not None and not callable(on_save):
        raise ValueError(f"on_save: expected a function or None, got {on_save!r}")
    if on_save is not None:
        checks.takes("on_save", on_save, "(time, values)")
    if callable(progress):
        checks.takes("progress", progress, "(time reached, last time)")
    else:
        checks.switch("progress", progress)
    if rtol is not None:
        rtol = checks.positive("rtol", rtol, infinite=True)
    chosen = _chosen(scheme, problem)
    first = problem.initial(initial, grid)
    stepper = chosen(problem, grid, first)
    if dt is not None and stepper.with_dt is not None:
        stepper = stepper.with_dt()
    wanted = stepper.rtol if rtol is None and dt is None else rtol
    with _teller(progress, float(times[-1])) as tell:
        task = _Task(stepper, first, grid, times, dt, cfl, rtol != math.inf, tell)
        if wanted is None or wanted == math.inf or stepper.error is not None:
            above = WARN_ABOVE if rtol is None else math.inf
            solution = _interruptible(lambda save: task.solved(1.0, save, above), times, on_save)
        else:
            solution = _interruptible(lambda save: task.refined(wanted, save), times, on_save)
    solution.info.setdefault("scheme", _name(chosen))
    if rtol != math.inf:
        others = _beside(problem, initial, task, solution, chosen)
        _warn(solution.info, WARN_ABOVE if rtol is None else rtol, [*stepper.advice(solution.info), *others])
    return solution


def _beside(problem, initial, task, solution, chosen):
    """Warnings from the runs beside that the problem offers, whose errors are added to `info`."""
    if not hasattr(problem, "beside") or not solution.steps:
        return ()
    ours = solution.info

    def run(other):
        stepper = chosen(other.problem, other.grid, other.first)
        dt, cfl = (None, min(ours["monotonicity"], 1.0)) if ours["monotonicity"] else (ours["dt"], task.cfl)
        beside = replace(
            task, stepper=stepper, first=other.first, grid=other.grid, dt=dt, cfl=cfl, estimated=False, tell=None
        )
        return stepper, beside.solved(1.0, _unsaved).values

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is to be said of them was said of the run that was asked for
        others = problem.beside(initial, task.first, solution)
        ours |= errors(others, task.stepper.measure, task.first, solution.values, run)
    return advice(others, ours)


@contextmanager
def _teller(progress, end):
    """A function of the time reached that calls a function or moves a bar; None for no progress."""
    if callable(progress):
        yield lambda time: progress(time, end)
    elif not progress:
        yield None
    else:
        from tqdm import tqdm

        with tqdm(total=100, unit="%", desc="solve") as bar:
            yield lambda time: bar.update(int(100 * time / end if end else 100) - bar.n)


def _unsaved(time, values):
    pass


def _interruptible(solved, times, on_save):
    """What `solved` returns; a Ctrl-C on the way carries a note that says what had been handed out."""
    reached = []

    def save(time, values):
        reached.append(time)
        if on_save is not None:
            on_save(time, values)

    try:
        return solved(save)
    except KeyboardInterrupt as interruption:
        last = f", up to t = {reached[-1]:g}" if reached else ""
        kept = "what on_save was given is whole" if on_save is not None else "nothing is kept, as there is no on_save"
        interruption.add_note(f"solve: {len(reached)} of {len(times)} saved times were reached{last}; {kept}")
        raise


def _warn(info, above, others):
    if info["time_error"] > above:
        way = "a smaller dt or rtol=1e-3" if info["monotonicity"] == 0 else "a finer grid, to which its steps belong,"
        text = (
            f"the error in time is about {100 * info['time_error']:.2g} % with {info['scheme']} and "
            f"dt = {info['dt']:.3g}: take {way} or a scheme of higher order; rtol=math.inf asks for no accuracy in time"
        )
        warnings.warn(text, AccuracyWarning, stacklevel=3)
    for text in others:
        warnings.warn(text, AccuracyWarning, stacklevel=3)


@dataclass(frozen=True)
class _Task:
    """A solve whose arguments have been checked."""

    stepper: Stepper
    first: np.ndarray
    grid: Grid
    times: np.ndarray
    dt: float | None
    cfl: float
    estimated: bool
    tell: Callable | None = None

    def refined(self, wanted, on_save):
        """The solution with steps so short that the estimated error in time is at most `wanted`."""
        scale = 1.0
        for _ in range(ATTEMPTS):
            solution = self.solved(scale, _unsaved)
            error = solution.info["time_error"]
            if error <= wanted:
                for time, values in zip(self.times, solution.values):
                    on_save(time, values)
                return solution
            scale *= max(0.8 * (wanted / error) ** (1 / self.stepper.order), 1 / 64)
        raise ValueError(
            f"rtol: {wanted:g} is out of reach, the error in time is about {error:.2g} with "
            f"dt = {solution.info['dt']:.3g}: take a scheme of higher order"
        )

    def solved(self, scale, on_save, above=math.inf):
        """The solution with steps `scale` times as long as they would be; an error in time above that is made sure."""
        stepper, first, times = self.stepper, self.first, self.times
        followed = stepper.peaks | stepper.estimates
        if not self.estimated:
            stepper, followed = stepper.bare or stepper, stepper.peaks
        peaks = {name: [peak(first, 0.0)] for name, peak in followed.items()}

        def look(values, time):  # some of them follow what goes on between the saved times
            for name, peak in followed.items():
                if name not in stepper.unfollowed:
                    peak(values, time)

        on_the_way = look if self.estimated else None
        run, state = Run(stepper, self.dt, self.cfl, scale, self.tell, on_the_way, times[-1]), stepper.init(first)
        estimate = Estimate(stepper, first, times, self.dt, self.cfl, scale) if self.estimated else None
        certificates, rare = stepper.certificates, math.ceil(len(times) / ENOUGH)
        records = {name: [] for name in (*certificates, *stepper.records, "minimum", "maximum")}
        saved = np.empty((len(times), *first.shape)) if len(times) > 1 else None
        for k, (begin, end) in enumerate(pairwise([0.0, *times])):
            state = run.advance(state, begin, end)
            values = run.field
            if saved is None:  # one time: the last values are the answer, not a copy of them
                saved = np.ascontiguousarray(values if run.steps else values.copy(), dtype=float)[np.newaxis]
            else:
                saved[k] = values
            for name, certificate in certificates.items():
                records[name].append(certificate(values, end))
            for name, record in stepper.records.items():
                records[name].append(record(state, end))
            seen = followed if k % rare == 0 or k == len(times) - 1 else stepper.peaks
            for name, peak in seen.items():
                peaks[name].append(peak(values, end))
            records["minimum"].append(run.extremes[0])
            records["maximum"].append(run.extremes[1])
            if estimate is not None:
                estimate.follow(k, end, run)
            on_save(end, saved[k])
        info = {"dt": run.largest_dt, "steps": run.steps, "monotonicity": run.monotonicity}
        info |= stepper.info | stepper.report(state) | {name: np.array(record) for name, record in records.items()}
        info |= {name: max(peak) for name, peak in peaks.items()}
        if estimate is not None:
            if run.steps:
                estimate.finish(len(times) - 1, times[-1], run)
            if estimate.unsure and estimate.error > above:
                estimate.with_half(self._apart(saved, scale / 2))
            info["time_error"] = estimate.error
        if "mass" in certificates:
            mass, size = (certificates["mass"](field, 0.0) for field in (first, np.abs(first)))
            left = info["absorbed"].sum(axis=(1, 2)) if "absorbed" in info else 0.0
            info["mass_drift"] = np.abs(info["mass"] + left - mass) / max(size, np.finfo(float).tiny)
        for array in (times, saved):
            array.flags.writeable = False
        return Solution(times, saved, self.grid, run.steps, info)

    def _apart(self, saved, scale):
        """How far the saved values are from those of such steps, the largest of all times."""
        bare = replace(self.stepper.bare or self.stepper, peaks={}, records={}, certificates={})
        others = replace(self, stepper=bare, estimated=False, tell=None).solved(scale, _unsaved).values
        return max(bare.measure(mine - other, self.first, mine) for mine, other in zip(saved, others))


def _chosen(scheme, problem):
    """The scheme itself, by its name, or the equation's own."""
    if scheme is None:
        return problem.default_scheme
    schemes = schemes_of(type(problem))
    if isinstance(scheme, str) and scheme in schemes:
        return schemes[scheme]
    if isinstance(scheme, str) or not callable(scheme):
        names = f"a scheme of {type(problem).__name__} ({', '.join(schemes)})" if schemes else "a function"
        raise ValueError(f"scheme: expected {names} or None, got {scheme!r}")
    return checks.takes("scheme", scheme, "(problem, grid, values)")


def _checked_times(times):
    times = np.array(np.atleast_1d(reals(times, "times: expected a number or an increasing sequence of numbers")))
    if times.ndim != 1 or times.size == 0 or not np.isfinite(times).all() or times[0] < 0:
        raise ValueError(f"times: expected finite numbers >= 0, at least one, got {times}")
    if not (np.diff(times) > 0).all():
        raise ValueError(f"times: expected strictly increasing times, got {times}")
    return times


def _name(scheme):
    function = getattr(scheme, "func", scheme)
    return f"{function.__module__.removeprefix('pdelab.').split('.')[0]}.{function.__name__}"
