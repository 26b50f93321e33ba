"""Runs beside a run: what the same scheme gives on other nodes tells the errors that a grid makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdelab.grid import Grid
from pdelab.hints import Array

__all__ = ["WARN_ABOVE", "Beside", "advice", "errors"]

WARN_ABOVE = 0.05
SMOOTH = 0.5  # of schemes of high order: the error is all of the difference at kinks, where all is smooth much less
KINKS = 1.5  # of schemes of first order, by whose errors h log h the difference of two runs is less than the error


def _all(values: np.ndarray) -> np.ndarray:
    return values


@dataclass(frozen=True, eq=False)
class Beside:
    """Another run of the same scheme to the same times, and how it is compared with one before it.

    Attributes
    ----------
    name : str
        Of the error in `info`.
    advice : str
        What to do about it.
    problem, grid, first
        What is solved, where, and from what, checked.
    against : Beside | None
        The run that it is compared with; None: the one that was asked for.
    share : float
        The error over the difference of the two runs, were the order one.
    given : Callable[[np.ndarray], np.ndarray]
        A field of the run before -> its values on the nodes on which the two are compared.
    own : Callable[[np.ndarray], np.ndarray]
        A field of this run -> likewise.
    lost : iterable of arrays
        Fields that the run before has lost, the largest of which is an error at least.
    smooth : bool
        Have the data and the solution no kinks on these nodes?
    lifted : Callable[[np.ndarray], np.ndarray]
        A difference on these nodes -> one on all nodes of the run before.
    error : float | None
        The error where no run can tell it.
    """

    name: str
    advice: str
    problem: Any = None
    grid: Grid | None = None
    first: np.ndarray | None = None
    against: Beside | None = None
    share: float = 1.0
    given: Callable[[np.ndarray], np.ndarray] = _all
    own: Callable[[np.ndarray], np.ndarray] = _all
    lost: Iterable[np.ndarray] = ()
    smooth: bool = False
    lifted: Callable[[np.ndarray], np.ndarray] = _all
    error: float | None = None


def errors(others: Iterable[Beside], measure: Callable, first: Array, values: Array, run: Callable) -> dict[str, float]:
    """The largest errors at the saved times; none of a run that its scheme refuses.

    Parameters
    ----------
    others : iterable of Beside
    measure, first, values
        Of the run that was asked for: the measure of its stepper, its data, and its fields at the saved times.
    run : (Beside) -> (its stepper, its fields at the saved times)

    Returns
    -------
    dict
        {name: error}
    """
    told = {}
    for other in others:
        if other.error is not None:
            told[other.name] = other.error
            continue
        base, begin, size, share = values, first, measure, other.share
        try:
            stepper, fields = run(other)
            if other.against is not None:
                before, base = run(other.against)
                begin, size = other.against.first, before.measure
            else:
                share *= KINKS if stepper.order == 1 else SMOOTH if stepper.order > 2 and other.smooth else 1.0
        except (ValueError, ArithmeticError, RuntimeError):
            continue
        difference = max(
            size(other.lifted(other.given(now) - other.own(field)), begin, now) for now, field in zip(base, fields)
        )
        told[other.name] = max([share * difference, *(measure(part, first, first) for part in other.lost)])
    return told


def advice(others: Iterable[Beside], info: dict) -> Iterable[str]:
    """Warnings of errors in `info`, as sentences: of those that are large, or of the largest if all together are."""
    known = sorted(((info.get(other.name, 0.0), k, other) for k, other in enumerate(others)), reverse=True)
    total = sum(error for error, _, _ in known)
    for place, (error, _, other) in enumerate(known):
        if error > WARN_ABOVE or (place == 0 and total > WARN_ABOVE):
            yield other.advice.format(f"about {100 * error:.2g} %" if error < np.inf else "not known")
