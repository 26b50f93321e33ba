"""Refusals at the door, in one dialect: "name: expected ..., got ...".

Every function takes the name of an argument and what came for it, and returns the value in its plain Python or NumPy
form, or raises ValueError. Booleans, text and complex numbers are not numbers here. Of answers, `bounded` refuses
those that theory rules out, and `AccuracyWarning` is told of those that are not as right as they should be.
"""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AccuracyWarning", "bounded", "choice", "exactly_one", "finite", "nonnegative", "number", "positive", "reals",
    "refuse", "seed", "shown", "switch", "takes", "unmasked", "whole", "within",
]  # fmt: skip


PLAIN = {float, int, bool, str, np.float64, np.int64}  # in which nothing can be masked


class AccuracyWarning(UserWarning):
    """An answer that is further from the truth than it should be; the message says what to do about it.

    Examples
    --------
    >>> import warnings, pdelab as pl
    >>> grid = pl.Grid(-4.0, 4.0, 101)
    >>> problem, start = pl.FokkerPlanck(grid.x**2 / 2, beta=1.0), np.exp(-8 * (grid.x - 1) ** 2)
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always")
    ...     end = pl.solve(problem, start, grid, 1.0, dt=0.5, scheme="implicit")
    >>> [warning.category.__name__ for warning in told]
    ['AccuracyWarning']
    """


def number(name: str, value: Any, expected: str = "a number") -> float:
    """A real number as float; infinities and NaN pass.

    Parameters
    ----------
    name, value
        What the argument is called, and what came for it.
    expected : str
        What the message says.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        What is no real number.

    Examples
    --------
    >>> number("x", np.int64(3))
    3.0
    """
    scalar = isinstance(value, (int, float, np.integer, np.floating))
    good = scalar or (isinstance(value, np.ndarray) and not value.ndim)
    if not good or isinstance(value, bool) or np.asarray(value).dtype.kind not in "fiu":
        refuse(name, expected, value)
    return float(value)


def finite(name: str, value: Any) -> float:
    """A finite number as float.

    Parameters
    ----------
    name, value
        What the argument is called, and what came for it.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        What is no finite number.

    Examples
    --------
    >>> finite("x", 3)
    3.0
    """
    value = number(name, value, "a finite number")
    return value if math.isfinite(value) else refuse(name, "a finite number", value)


def positive(name: str, value: Any, *, infinite: bool = False) -> float:
    """A number > 0 as float; math.inf only where `infinite`.

    Parameters
    ----------
    name, value
        What the argument is called, and what came for it.
    infinite : bool
        Whether math.inf will do.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        What is no number > 0.

    Examples
    --------
    >>> positive("beta", math.inf, infinite=True)
    inf
    """
    expected = "a number > 0" + " or math.inf" * infinite
    value = number(name, value, expected)
    return value if value > 0 and (infinite or value < math.inf) else refuse(name, expected, value)


def nonnegative(name: str, value: Any, *, infinite: bool = False) -> float:
    """A number >= 0 as float; math.inf only where `infinite`.

    Parameters
    ----------
    name, value
        What the argument is called, and what came for it.
    infinite : bool
        Whether math.inf will do.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        What is no number >= 0.

    Examples
    --------
    >>> nonnegative("t", 0)
    0.0
    """
    expected = "a number >= 0" + " or math.inf" * infinite
    value = number(name, value, expected)
    return value if value >= 0 and (infinite or value < math.inf) else refuse(name, expected, value)


def within(name: str, value: Any, low: float, high: float, ends: str = "[]") -> float:
    """A number between two bounds as float; `ends` says which bounds belong to the range: "[]", "[)", "(]" or "()".

    Parameters
    ----------
    name, value
        What the argument is called, and what came for it.
    low, high : float
    ends : "[]", "[)", "(]" or "()"

    Returns
    -------
    float

    Raises
    ------
    ValueError
        What is no number of the range.

    Examples
    --------
    >>> within("share", 0.5, 0, 1)
    0.5
    >>> within("share", 1.0, 0, 1, "[)")
    Traceback (most recent call last):
        ...
    ValueError: share: expected a number in [0, 1), got 1.0
    """
    expected = f"a number in {ends[0]}{low:g}, {high:g}{ends[1]}"
    value = number(name, value, expected)
    above = value >= low if ends[0] == "[" else value > low
    below = value <= high if ends[1] == "]" else value < high
    return value if above and below else refuse(name, expected, value)


def whole(name: str, value: Any, least: int = 1, most: float = math.inf) -> int:
    """A whole number as int, at least `least` and at most `most`.

    Parameters
    ----------
    name, value
        What the argument is called, and what came for it.
    least, most : int

    Returns
    -------
    int

    Raises
    ------
    ValueError
        What is no whole number of the range.

    Examples
    --------
    >>> whole("paths", 3)
    3
    """
    expected = f"a whole number, at least {least}" + (f" and at most {most}" if most < math.inf else "")
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        integer = operator.index(value)
    except TypeError:
        refuse(name, expected, value)
    return integer if least <= integer <= most else refuse(name, expected, integer)


def seed(name: str, value: Any) -> int:
    """A seed as int: a whole number in [0, 2**64).

    Parameters
    ----------
    name, value
        What the argument is called, and what came for it.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        What is no whole number in [0, 2**64).

    Examples
    --------
    >>> seed("seed", 7)
    7
    """
    try:
        return whole(name, value, least=0, most=2**64 - 1)
    except ValueError:
        return refuse(name, "a whole number in [0, 2**64)", value)


def switch(name: str, value: Any) -> bool:
    """True or False.

    Parameters
    ----------
    name, value
        What the argument is called, and what came for it.

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        What is neither True nor False.

    Examples
    --------
    >>> switch("refine", True)
    True
    """
    return bool(value) if isinstance(value, (bool, np.bool_)) else refuse(name, "True or False", value)


def choice(name: str, value: Any, allowed: Iterable) -> Any:
    """One of the allowed values.

    Parameters
    ----------
    name, value
        What the argument is called, and what came for it.
    allowed : iterable

    Returns
    -------
    one of the allowed

    Raises
    ------
    ValueError
        What is none of them.

    Examples
    --------
    >>> choice("form", "heat", ("average", "heat"))
    'heat'
    """
    allowed = tuple(allowed)
    for option in allowed:
        if value is option or ((type(value) is type(option) or isinstance(value, str)) and value == option):
            return option
    return refuse(name, f"one of {', '.join(map(str, allowed))}", value)


def exactly_one(owner: str, relation: str = "", **values: Any) -> tuple[str, Any]:
    """The argument that was given, of several that say the same.

    Parameters
    ----------
    owner : str
        What takes the arguments.
    relation : str
        How one follows from the other, for the message.
    **values
        The arguments by name; None: not given.

    Returns
    -------
    (name, value)

    Raises
    ------
    ValueError
        None of them or more than one is given.

    Examples
    --------
    >>> exactly_one("Heat", beta=None, viscosity=0.5)
    ('viscosity', 0.5)
    """
    given = {name: value for name, value in values.items() if value is not None}
    if len(given) == 1:
        return next(iter(given.items()))
    names = " and ".join(values) + f" ({relation})" * bool(relation)
    raise ValueError(f"{owner}: expected exactly one of {names}, got {' and '.join(given) or 'neither'}: give one")


def reals(name: str, values: Any, expected: str = "real numbers") -> NDArray[np.float64]:
    """A float64 array of real numbers; infinities and NaN pass.

    Parameters
    ----------
    name : str
        Of the argument.
    values : anything
    expected : str
        What the message says.

    Returns
    -------
    array

    Raises
    ------
    ValueError
        Text, complex numbers, ragged sequences, masked numbers.

    Examples
    --------
    >>> reals("x", [1, 2])
    array([1., 2.])
    """
    unmasked(name, values)
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "fiubO":
            raise TypeError(array.dtype)
        return array.astype(float, copy=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name}: expected {expected}, got {shown(values)}") from error


def unmasked(name: str, values: Any) -> Any:
    """What came, unless numbers in it are masked: NumPy hands out what lies under a mask as if it were data.

    Parameters
    ----------
    name, values
        What the argument is called, and what came for it.

    Returns
    -------
    the same

    Raises
    ------
    ValueError
        A masked array, or a sequence of them or of masked numbers, that hides something.

    Examples
    --------
    >>> unmasked("values", [1.0, 2.0])
    [1.0, 2.0]
    """
    if hidden := _masked(values):
        raise ValueError(f"{name}: expected numbers, got a masked array that hides {hidden}: fill them in")
    return values


def _masked(values):
    """How many numbers are masked."""
    if isinstance(values, np.ma.MaskedArray):
        return int(np.ma.getmaskarray(values).sum())
    if not isinstance(values, (list, tuple)) or set(map(type, values)) <= PLAIN:
        return 0
    return sum(_masked(value) for value in values)


def takes(name: str, function: Any, wanted: str) -> Any:
    """A function that can be called with as many arguments as are wanted.

    Parameters
    ----------
    name, function
        What the argument is called, and what came for it.
    wanted : str
        The arguments by name, in brackets; what the message says, as all that follows them.

    Returns
    -------
    the same

    Raises
    ------
    ValueError
        What is no function, or one of other arguments.

    Examples
    --------
    >>> takes("drift", lambda x: x, "(t, x)")
    Traceback (most recent call last):
        ...
    ValueError: drift: expected a function (t, x), got one of (x)
    """
    expected = f"a function {wanted}"
    if not callable(function):
        refuse(name, expected, function)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a function without a signature
        return function
    try:
        signature.bind(*wanted.split(")")[0].split(","))
    except TypeError:
        raise ValueError(f"{name}: expected {expected}, got one of {signature}") from None
    return function


def bounded(values: NDArray[np.float64], low: Any, high: Any, slack: Any, words: str) -> NDArray[np.float64]:
    """Return an answer that lies within the bounds of theory, and refuse one that does not.

    Parameters
    ----------
    values : array
    low, high : arrays or floats
        The bounds.
    slack : array or float
        What rounding may add to them.
    words : str
        What the message calls the answer.

    Returns
    -------
    array
        The values as they came.

    Raises
    ------
    ArithmeticError
        A value outside the bounds by more than the slack, or NaN.

    Examples
    --------
    >>> bounded(np.array([0.0, 1.0]), 0.0, 1.0, 0.0, "a probability")
    array([0., 1.])
    """
    wrong = ~np.asarray((values >= low - slack) & (values <= high + slack))
    if wrong.any():
        at = np.unravel_index(int(np.argmax(wrong)), np.shape(values))
        low, high = (np.broadcast_to(bound, np.shape(values))[at] for bound in (low, high))
        raise ArithmeticError(
            f"{words}: {int(wrong.sum())} values lie outside the bounds of theory, the first of them "
            f"{np.asarray(values)[at]:.17g} for [{low:.17g}, {high:.17g}]; this is a fault of pdelab or of f (does it "
            "return the same value for the same point?)"
        )
    return values


def refuse(name: str, expected: str, value: Any) -> NoReturn:
    """Raise a ValueError that says what was expected and what came.

    Parameters
    ----------
    name : str
        Of the argument.
    expected : str
    value : anything
        What came.

    Raises
    ------
    ValueError
        Always.

    Examples
    --------
    >>> refuse("beta", "a number > 0", -1)
    Traceback (most recent call last):
        ...
    ValueError: beta: expected a number > 0, got -1
    """
    raise ValueError(f"{name}: expected {expected}, got {shown(value)}")


def shown(value: Any, width: int = 80) -> str:
    """A value in at most `width` characters of one line.

    Parameters
    ----------
    value : anything
    width : int
        The most characters.

    Returns
    -------
    str

    Examples
    --------
    >>> shown(list(range(100)), 20)
    '[0, 1, 2, 3, 4, 5...'
    """
    text = " ".join(repr(value).split())
    return text if len(text) <= width else text[: width - 3] + "..."
