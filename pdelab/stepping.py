"""solve(): the one time loop of the package.

An equation (a frozen dataclass marked by `equation`) says what is solved, a scheme (a function marked by `scheme`) how:

    scheme(problem, grid, values) -> Stepper

A `Stepper` carries no memory from step to step: what a scheme has to remember is its state, a value that `init` makes,
`advance` takes and returns, and `values` turns into the field. `solve` does the rest: saved times, the step-size rule,
the check of the scheme's bound, blow-up, `on_save`, and the certificate that comes with every solution.
"""

import math
import re
import time as clock
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from numbers import Real
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from pdelab.grid import Grid, reals
from pdelab.losses import Loss

__all__ = ["Problem", "Scheme", "Solution", "Stepper", "equation", "scheme", "schemes_of", "solve"]

MOST_STEPS = 1e12  # hours even on two nodes
SECONDS_PER_CHUNK = 0.4  # compiled steps are run in pieces of about this length, so that Ctrl-C is heard

State = Any
Kind = TypeVar("Kind", bound=type)
EQUATIONS: dict[str, type] = {}
SCHEMES: dict[type, dict[str, Callable]] = {}


@runtime_checkable
class Problem(Protocol):
    """What `solve` asks of an equation. Its other coefficients are between it and its schemes."""

    @property
    def default_scheme(self) -> "Scheme":
        """The scheme that `solve` takes when it is given none."""

    def initial(self, values: ArrayLike | Loss, grid: Grid) -> np.ndarray:
        """The data at time 0 on the nodes as a new or the same float64 array; ValueError for what does not fit."""


class Scheme(Protocol):
    """A way to step an equation. A scheme that does not fit the problem raises ValueError and says which does."""

    def __call__(self, problem: Problem, grid: Grid, values: np.ndarray) -> "Stepper":
        """The steps of this problem on this grid; `values` are the initial data."""


def equation(kind: Kind) -> Kind:
    """Class decorator: make an equation known to the command line, under its name in small letters and hyphens.

    `pdelab solve` builds it by its classmethod `from_formula(loss, initial, **coefficients)`, which returns the problem
    and its initial data; `initial` is a field or None, and the coefficients are those that its constructor takes.
    """
    EQUATIONS[re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()] = kind
    return kind


def scheme(*kinds: type) -> Callable[[Callable], Callable]:
    """Decorator: make a scheme known by its name for these equations and the subclasses of them."""

    def mark(function):
        for kind in kinds:
            SCHEMES.setdefault(kind, {})[function.__name__] = function
        return function

    return mark


def schemes_of(kind: type) -> dict[str, Scheme]:
    """The schemes of an equation by name, those of its base classes included."""
    return {name: function for base in reversed(kind.__mro__) for name, function in SCHEMES.get(base, {}).items()}


def _same(values):
    return values


@dataclass(frozen=True)
class Stepper:
    """What a scheme hands to `solve`: pure functions of a state.

    advance : (state, time, dt, steps) -> state after `steps` equal steps of size dt from `time`; the state that it was
        given is used up: its arrays may be written on
    bound : (state, time) -> the largest dt that keeps the scheme's structure; math.inf when there is none
    dt : accuracy rule of an implicit scheme, used when the caller gives no dt; None means cfl * bound
    fixed : False when the bound must be taken anew from the current state before every step
    certificates : {name: (values, time) -> float}, evaluated at the saved times and reported in `info`
    records : {name: (state, time) -> number or array}, likewise, of what only the state knows
    info : constants to report
    init : values -> state that may be used up without touching these values; by default the values themselves, which is
        right for an `advance` that writes on nothing it was given
    values : state -> the field, valid until the state is used up
    report : state -> {name: value} to report in `info` besides, of the last state
    """

    advance: Callable[[State, float, float, int], State]
    bound: Callable[[State, float], float] = lambda state, time: math.inf
    dt: float | None = None
    fixed: bool = True
    certificates: dict[str, Callable] = field(default_factory=dict)
    info: dict = field(default_factory=dict)
    records: dict[str, Callable] = field(default_factory=dict)
    init: Callable[[np.ndarray], State] = _same
    values: Callable[[State], np.ndarray] = _same
    report: Callable[[State], dict] = lambda state: {}

    def march(self, values: np.ndarray, time: float, dt: float, steps: int = 1) -> np.ndarray:
        """The field after so many steps from these values as initial data."""
        return self.values(self.advance(self.init(values), time, dt, steps))

    def largest_step(self, values: np.ndarray, time: float = 0.0) -> float:
        """The bound on dt for these values as initial data."""
        return self.bound(self.init(values), time)


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


def solve(
    problem: Problem,
    initial: ArrayLike | Loss,
    grid: Grid,
    times: float | Sequence[float],
    *,
    scheme: Scheme | str | None = None,
    dt: float | None = None,
    cfl: float = 0.9,
    on_save: Callable[[float, np.ndarray], object] | None = None,
) -> Solution:
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
    scheme : function or str, optional
        One of the equation's schemes, e.g. `hamilton_jacobi.monotone`, or its name, "monotone"; by default the
        equation's own choice.
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
        mass_drift: the change of mass since the start over the integral of |values| at the start. With absorbing ends
        mass is what is left, and absorbed and flux, arrays (times, d, 2), say what has left through the lower and upper
        end of each axis and how fast; mass_drift then counts what has left, too.

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
    if not isinstance(problem, Problem):
        raise ValueError(f"problem: expected an equation such as HamiltonJacobi(beta=1.0), got {problem!r}")
    if on_save is not None and not callable(on_save):
        raise ValueError(f"on_save: expected a function or None, got {on_save!r}")
    chosen = _chosen(scheme, problem)
    first = problem.initial(initial, grid)
    stepper = chosen(problem, grid, first)
    run, state = _Run(stepper, dt, cfl), stepper.init(first)
    certificates = stepper.certificates
    records = {name: [] for name in (*certificates, *stepper.records, "minimum", "maximum")}
    if "mass" in certificates:
        mass, size = (certificates["mass"](field, 0.0) for field in (first, np.abs(first)))
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
        records["minimum"].append(run.extremes[0])
        records["maximum"].append(run.extremes[1])
        if on_save is not None:
            on_save(end, saved[k])
    info = {"scheme": _name(chosen), "dt": run.largest_dt, "steps": run.steps, "monotonicity": run.monotonicity}
    info |= stepper.info | stepper.report(state) | {name: np.array(record) for name, record in records.items()}
    if "mass" in certificates:
        left = info["absorbed"].sum(axis=(1, 2)) if "absorbed" in info else 0.0
        info["mass_drift"] = np.abs(info["mass"] + left - mass) / max(size, np.finfo(float).tiny)
    for array in (times, saved):
        array.flags.writeable = False
    return Solution(times, saved, grid, run.steps, info)


def _chosen(scheme, problem):
    """The scheme itself, by its name, or the equation's own."""
    if scheme is None:
        return problem.default_scheme
    known = schemes_of(type(problem))
    if isinstance(scheme, str) and scheme in known:
        return known[scheme]
    if isinstance(scheme, str) or not callable(scheme):
        names = f"a scheme of {type(problem).__name__} ({', '.join(known)})" if known else "a function"
        raise ValueError(f"scheme: expected {names} or None, got {scheme!r}")
    return scheme


class _Run:
    """The step-size rule and the bookkeeping of one solve."""

    def __init__(self, stepper, dt, cfl):
        self.stepper, self.dt, self.cfl = stepper, dt, cfl
        self.steps, self.largest_dt, self.monotonicity = 0, 0.0, 0.0
        self.chunk, self.field, self.extremes = 16, None, None

    def advance(self, state, begin, end):
        time = begin
        if not begin < end:
            self._check(state, begin, end)
        while time < end:
            bound = self.stepper.bound(state, time)
            step = self._step(bound, time)
            if (end - time) / step > MOST_STEPS:
                raise ValueError(
                    f"dt = {step:.3g} means {(end - time) / step:.1e} steps from t = {time:.6g} to {end:.6g}: "
                    "take an implicit scheme with a larger dt, or less viscosity or noise"
                )
            remaining = max(math.ceil((end - time) / step * (1 - 1e-12)), 1)
            dt = (end - time) / remaining
            if self.stepper.fixed and remaining > 1:
                state = self._many(state, time, dt, remaining)
                time = end
            else:
                state = self.stepper.advance(state, time, dt, 1)
                self._check(state, time, time + dt)
                time = end if remaining == 1 else time + dt
                remaining = 1
            self.steps += remaining
            self.largest_dt = max(self.largest_dt, dt)
            self.monotonicity = max(self.monotonicity, dt / bound)
        return state

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

    def _many(self, state, time, dt, steps):
        done = 0
        while done < steps:
            count = min(self.chunk, steps - done)
            tic = clock.perf_counter()
            state = self.stepper.advance(state, time + done * dt, dt, count)
            seconds = clock.perf_counter() - tic
            self._check(state, time + done * dt, time + (done + count) * dt)
            done += count
            if seconds > 0:
                self.chunk = max(1, min(8 * count, int(count * SECONDS_PER_CHUNK / seconds)))
        return state

    def _check(self, state, begin, end):
        """Look at the field: its extremes, and whether it is finite."""
        self.field = self.stepper.values(state)
        low, high = self.extremes = float(self.field.min()), float(self.field.max())  # nan is the minimum where it is
        if not (math.isfinite(low) and math.isfinite(high)):
            raise FloatingPointError(
                f"the solution stopped being finite between t = {begin:.6g} and t = {end:.6g}: "
                "check the size of the data and the step"
            )


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
