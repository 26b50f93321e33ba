"""solve(): the one time loop of the package.

A problem (a frozen dataclass in its equation's module) says what is solved, a scheme (a plain function there) says how:

    scheme(problem, grid, values) -> Stepper

and `solve` does the rest: saved times, the step-size rule, the check of the scheme's bound, blow-up, `on_save`, and
the certificate that comes with every solution.
"""

import math
import time as clock
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from numbers import Real

import numpy as np

from pdelab.grid import Grid, reals

MOST_STEPS = 1e12  # hours even on two nodes
SECONDS_PER_CHUNK = 0.4  # compiled steps are run in pieces of about this length, so that Ctrl-C is heard


@dataclass(frozen=True)
class Stepper:
    """What a scheme hands to `solve`.

    advance : (values, time, dt, steps) -> values after `steps` equal steps of size dt from `time`; it may overwrite the
        array that it returned last, when it gets that one back, and no other input
    bound : (values, time) -> the largest dt that keeps the scheme's structure; math.inf when there is none
    dt : accuracy rule of an implicit scheme, used when the caller gives no dt; None means cfl * bound
    fixed : False when the bound must be taken anew from the current values before every step
    certificates : {name: (values, time) -> float}, evaluated at the saved times and reported in `info`
    info : constants to report
    """

    advance: Callable
    bound: Callable = lambda values, time: math.inf
    dt: float | None = None
    fixed: bool = True
    certificates: dict = field(default_factory=dict)
    info: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Solution:
    """What `solve` returns: values[k] is the solution at times[k]; nothing in it changes."""

    times: np.ndarray
    values: np.ndarray
    grid: Grid
    steps: int
    info: dict

    @property
    def final(self):
        """The solution at the last saved time, shape grid.shape."""
        return self.values[-1]


def solve(problem, initial, grid, times, *, scheme=None, dt=None, cfl=0.9, on_save=None):
    """Solve an evolution equation and return it at the times asked for.

    Parameters
    ----------
    problem : HamiltonJacobi, Heat, Burgers, FokkerPlanck or BackwardKolmogorov
        The equation.
    initial : Loss or array of shape grid.shape
        Data at time 0.
    grid : Grid
    times : float or increasing sequence of floats, >= 0
        Times to save; a number is one time. values[0] is the initial data only if times[0] == 0.
    scheme : function, optional
        One of the equation's schemes, e.g. `hamilton_jacobi.monotone`; by default the equation's own choice.
    dt : float, optional
        The largest step: each interval between saved times is cut into ceil(interval / dt) equal steps. By default
        cfl times the scheme's bound, or the accuracy rule of an implicit scheme.
    cfl : float, in (0, 1]
        Fraction of the bound used when dt is not given.
    on_save : callable (time, values), optional
        Called at each saved time as soon as it is reached; what it was handed survives Ctrl-C.

    Returns
    -------
    Solution
        `info` is the certificate: scheme, dt (largest step), steps, monotonicity (dt over the bound, largest over the
        run: at most 1), minimum and maximum at the saved times, and where the equation conserves it mass and
        mass_drift: the change of mass since the start over the integral of |values| at the start.

    Raises
    ------
    ValueError
        Bad data, unsorted or negative times, dt above the scheme's bound, cfl outside (0, 1].
    FloatingPointError
        The solution stopped being finite; the message names the time.

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
    if not hasattr(problem, "default_scheme"):
        raise ValueError(f"problem: expected an equation such as HamiltonJacobi(beta=1.0), got {problem!r}")
    for name, function in (("scheme", scheme), ("on_save", on_save)):
        if function is not None and not callable(function):
            raise ValueError(f"{name}: expected a function or None, got {function!r}")
    values = first = problem.initial(initial, grid)
    scheme = problem.default_scheme if scheme is None else scheme
    stepper = scheme(problem, grid, values)
    run = _Run(stepper, dt, cfl)
    certificates = stepper.certificates
    records = {name: [] for name in (*certificates, "minimum", "maximum")}
    if "mass" in certificates:
        mass, size = (certificates["mass"](field, 0.0) for field in (first, np.abs(first)))
    saved = np.empty((len(times), *first.shape)) if len(times) > 1 else None
    for k, (begin, end) in enumerate(pairwise([0.0, *times])):
        values = run.advance(values, begin, end)
        if saved is None:  # one time: the last values are the answer, not a copy of them
            saved = np.ascontiguousarray(values.copy() if values is first else values, dtype=float)[np.newaxis]
        else:
            saved[k] = values
        for name, certificate in certificates.items():
            records[name].append(certificate(values, end))
        records["minimum"].append(run.extremes[0])
        records["maximum"].append(run.extremes[1])
        if on_save is not None:
            on_save(end, saved[k])
    info = {"scheme": _name(scheme), "dt": run.largest_dt, "steps": run.steps, "monotonicity": run.monotonicity}
    info |= stepper.info | {name: np.array(record) for name, record in records.items()}
    if "mass" in certificates:
        info["mass_drift"] = np.abs(info["mass"] - mass) / max(size, np.finfo(float).tiny)
    for array in (times, saved):
        array.flags.writeable = False
    return Solution(times, saved, grid, run.steps, info)


class _Run:
    """The step-size rule and the bookkeeping of one solve."""

    def __init__(self, stepper, dt, cfl):
        self.stepper, self.dt, self.cfl = stepper, dt, cfl
        self.steps, self.largest_dt, self.monotonicity = 0, 0.0, 0.0
        self.chunk, self.extremes = 16, None

    def advance(self, values, begin, end):
        time = begin
        if not begin < end:
            self._checked(values, begin, end)
        while time < end:
            bound = self.stepper.bound(values, time)
            step = self._step(bound, time)
            if (end - time) / step > MOST_STEPS:
                raise ValueError(
                    f"dt = {step:.3g} means {(end - time) / step:.1e} steps from t = {time:.6g} to {end:.6g}: "
                    "take an implicit scheme with a larger dt, or less viscosity or noise"
                )
            remaining = max(math.ceil((end - time) / step * (1 - 1e-12)), 1)
            dt = (end - time) / remaining
            if self.stepper.fixed and remaining > 1:
                values = self._many(values, time, dt, remaining)
                time = end
            else:
                values = self._checked(self.stepper.advance(values, time, dt, 1), time, time + dt)
                time = end if remaining == 1 else time + dt
                remaining = 1
            self.steps += remaining
            self.largest_dt = max(self.largest_dt, dt)
            self.monotonicity = max(self.monotonicity, dt / bound)
        return values

    def _step(self, bound, time):
        if self.dt is None:
            rule = self.stepper.dt
            step = self.cfl * bound if rule is None else min(rule, bound)
            if not step > 0:
                raise ValueError(f"the scheme's bound on dt is {bound} at t = {time}: the data are too steep for it")
            return step
        if self.dt > bound * (1 + 1e-12):
            raise ValueError(
                f"dt = {self.dt:.6g} is above the bound {bound:.6g} that keeps this explicit scheme monotone "
                f"(at t = {time:.6g}): take a smaller dt, leave it to the scheme (dt=None), or use an implicit scheme"
            )
        return self.dt

    def _many(self, values, time, dt, steps):
        done = 0
        while done < steps:
            count = min(self.chunk, steps - done)
            tic = clock.perf_counter()
            values = self.stepper.advance(values, time + done * dt, dt, count)
            seconds = clock.perf_counter() - tic
            values = self._checked(values, time + done * dt, time + (done + count) * dt)
            done += count
            if seconds > 0:
                self.chunk = max(1, min(8 * count, int(count * SECONDS_PER_CHUNK / seconds)))
        return values

    def _checked(self, values, begin, end):
        low, high = self.extremes = float(values.min()), float(values.max())  # nan is the minimum of whatever has it
        if not (math.isfinite(low) and math.isfinite(high)):
            raise FloatingPointError(
                f"the solution stopped being finite between t = {begin:.6g} and t = {end:.6g}: "
                "check the size of the data and the step"
            )
        return values


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
