"""What equations and schemes offer to `solve`, and where both are found by name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from pdelab.grid import Grid
from pdelab.losses import Loss
from pdelab.stepping.accuracy import largest_error

__all__ = ["EQUATIONS", "Problem", "SCHEMES", "Scheme", "Stepper", "equation", "scheme", "schemes_of"]

State = Any
Kind = TypeVar("Kind", bound=type)
EQUATIONS: dict[str, type] = {}
SCHEMES: dict[type, dict[str, Callable]] = {}


@runtime_checkable
class Problem(Protocol):
    """What `solve` asks of an equation. All else is between the equation and its schemes.

    One that has a method `beside`, (initial, first, solution) -> list of `Beside`, gets the errors that these runs tell
    in `info`, and their warnings; `initial` are the data as they were given, `first` on the nodes.

    Examples
    --------
    >>> import pdelab as pl
    >>> isinstance(pl.Heat(viscosity=1.0), Problem), isinstance("u_t = u_xx", Problem)
    (True, False)
    """

    @property
    def default_scheme(self) -> Scheme:
        """The scheme that `solve` takes when it is given none."""

    def initial(self, values: ArrayLike | Loss, grid: Grid) -> np.ndarray:
        """The data at time 0 on the nodes, checked.

        Parameters
        ----------
        values : Loss or array
        grid : Grid

        Returns
        -------
        array, float64
            New, or the same array where nothing had to change.

        Raises
        ------
        ValueError
            What does not fit the equation or the grid.
        """


class Scheme(Protocol):
    """A way to step an equation. A scheme that does not fit the problem raises ValueError and says which does.

    Examples
    --------
    >>> import pdelab as pl
    >>> def still(problem, grid, values):
    ...     return Stepper(advance=lambda state, time, dt, steps: state, dt=0.5)
    >>> pl.solve(pl.Heat(viscosity=1.0), np.ones(3), pl.Grid(0.0, 1.0, 3), 1.0, scheme=still).final
    array([1., 1., 1.])
    """

    def __call__(self, problem: Problem, grid: Grid, values: np.ndarray) -> Stepper:
        """The steps of this problem on this grid; `values` are the initial data."""


def equation(kind: Kind) -> Kind:
    """Class decorator: make an equation known to the command line, under its name in small letters and hyphens.

    `pdelab solve` builds it by its classmethod `from_formula(loss, initial, **coefficients)`, which returns the problem
    and its initial data; `initial` is a field or None, and the coefficients are those that its constructor takes.

    Parameters
    ----------
    kind : class
        With the methods of `Problem`.

    Returns
    -------
    class
        The same.

    Examples
    --------
    >>> import pdelab as pl
    >>> sorted(EQUATIONS)
    ['backward-kolmogorov', 'burgers', 'fokker-planck', 'hamilton-jacobi', 'heat']
    """
    EQUATIONS[re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()] = kind
    return kind


def scheme(*kinds: type) -> Callable[[Callable], Callable]:
    """Decorator: make a scheme known by its name for these equations and the subclasses of them.

    Parameters
    ----------
    *kinds : classes
        The equations that the scheme steps.

    Returns
    -------
    decorator of a function (problem, grid, values) -> Stepper
        The name of the function is the scheme's name in `solve`.

    Examples
    --------
    >>> class Growth: ...
    >>> @scheme(Growth)
    ... def euler(problem, grid, values): ...
    >>> list(schemes_of(Growth))
    ['euler']
    """

    def mark(function):
        for kind in kinds:
            SCHEMES.setdefault(kind, {})[function.__name__] = function
        return function

    return mark


def schemes_of(kind: type) -> dict[str, Scheme]:
    """The schemes of an equation by name, those of its base classes included.

    Parameters
    ----------
    kind : class
        An equation.

    Returns
    -------
    dict
        {name: scheme}

    Examples
    --------
    >>> import pdelab as pl
    >>> sorted(schemes_of(pl.Heat))
    ['engquist_osher', 'filtered', 'fitted', 'implicit', 'monotone', 'rosenbrock', 'weno']
    """
    return {name: function for base in reversed(kind.__mro__) for name, function in SCHEMES.get(base, {}).items()}


def _same(values):
    return values


@dataclass(frozen=True)
class Stepper:
    """What a scheme hands to `solve`: pure functions of a state.

    Attributes
    ----------
    advance : Callable[[State, float, float, int], State]
        (state, time, dt, steps) -> state after `steps` equal steps of size dt from `time`; the state that it was
        given is used up: its arrays may be written on.
    bound : Callable[[State, float], float]
        (state, time) -> the largest dt that keeps the scheme's structure; math.inf when there is none.
    dt : float | None
        Accuracy rule of an implicit scheme, used when the caller gives no dt; None means cfl * bound.
    fixed : bool
        False when the bound must be taken anew from the current state before every step.
    certificates : dict[str, Callable]
        {name: (values, time) -> float}, evaluated at the saved times and reported in `info`.
    records : dict[str, Callable]
        {name: (state, time) -> number or array}, likewise, of what only the state knows.
    info : dict
        Constants to report.
    init : Callable[[np.ndarray], State]
        values -> state that may be used up without touching these values; by default the values themselves, which
        is right for an `advance` that writes on nothing it was given.
    values : Callable[[State], np.ndarray]
        state -> the field, valid until the state is used up.
    report : Callable[[State], dict]
        state -> {name: value} to report in `info` besides, of the last state.
    order : int
        The order in dt, by which the error in time is estimated.
    measure : Callable[[np.ndarray, np.ndarray, np.ndarray], float]
        (error, first, now) -> its size relative to the data at the start and now.
    leaks : bool
        True where the solution dies out and its error is taken relative to what is left: many short steps are made
        again with half their length, since what they leave out dies out too.
    error : float | None
        The error in time of a scheme that knows it, relative; None: it is estimated.
    check : Stepper | None
        A stepper with the same steps to compare with: of a higher order, or a rougher one with a few times the error,
        for a scheme that chooses steps within.
    rtol : float | None
        The accuracy that the steps are chosen for when the caller gives neither dt nor rtol; None: by the rule
        above.
    with_dt : Callable[[], Stepper] | None
        () -> the stepper to take in place of this one when the caller gives dt.
    peaks : dict[str, Callable]
        {name: (values, time) -> float}, reported in `info` as one number, the largest of the start and the saved times;
        called on the way, too, see `looks`.
    estimates : dict[str, Callable]
        Likewise, of errors, of many saved times at some thirty; `solve` with rtol=math.inf makes none of them.
    looks : int
        How often about `peaks` and `estimates` are called between the start and the end; in a run of fewer steps after
        each, and of one that is `watched` in a run of many more steps after some sixty of them.
    unfollowed : frozenset of str
        Names of those among them that are not called on the way: what they say of a time needs none before it.
    watched : bool
        True where the equation moves: when the caller gives no dt, `looks` steps at least are taken, lest one of them
        passes over what happens in its midst.
    breaks : Callable[[float], Sequence[float]]
        last time -> times before it, increasing, at which a step ends when the caller gives no dt: where the equation
        changes its course.
    bare : Stepper | None
        The same steps with less beside them, for the estimate of the error in time and for rtol=math.inf.
    advice : Callable[[dict], Sequence[str]]
        info -> warnings that the numbers in it call for, as sentences.
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
    order: int = 1
    measure: Callable[[np.ndarray, np.ndarray, np.ndarray], float] = largest_error
    leaks: bool = False
    error: float | None = None
    check: Stepper | None = None
    rtol: float | None = None
    with_dt: Callable[[], Stepper] | None = None
    peaks: dict[str, Callable] = field(default_factory=dict)
    estimates: dict[str, Callable] = field(default_factory=dict)
    looks: int = 0
    unfollowed: frozenset[str] = frozenset()
    watched: bool = False
    breaks: Callable[[float], Sequence[float]] = lambda last: ()
    bare: Stepper | None = None
    advice: Callable[[dict], Sequence[str]] = lambda info: ()

    def march(self, values: np.ndarray, time: float, dt: float, steps: int = 1) -> np.ndarray:
        """The field after so many steps from these values as initial data.

        Parameters
        ----------
        values : array
        time : float
            Of the values.
        dt : float > 0
        steps : int

        Returns
        -------
        array, shape of values
        """
        return self.values(self.advance(self.init(values), time, dt, steps))

    def largest_step(self, values: np.ndarray, time: float = 0.0) -> float:
        """The bound on dt for these values as initial data.

        Parameters
        ----------
        values : array
        time : float
            Of the values.

        Returns
        -------
        float
            math.inf where there is no bound.
        """
        return self.bound(self.init(values), time)
