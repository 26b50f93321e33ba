"""The ledger: every checkable claim of the papers as a small function with a verdict.

A claim compares measured numbers with the numbers they must be, and it can fail: called with the changes in `rejects`
the same function tests wrong versions of the statement (first the one in print, where the papers err). Every version
must be rejected, and every piece of evidence must be rejected by one of them.

Adding a claim takes one function in the chapter's module:

    @claim("E3.10", source="thesis (3.10)", as_printed="corrected", printed="-grad f_gamma(x) = <x - y>/gamma",
           statement="grad f_gamma = +(x - <y>)/gamma", perturbation="the printed sign", rejects={"sign": -1.0},
           tolerance="fourth-order differences")
    def gradient_is_an_average(quick=False, sign=1.0):
        ...
        return equal(expected=derivative, measured=sign * (x - mean) / gamma, tolerance=1e-8)

Words used: `right` as printed; `corrected` (the statement here is the corrected one); `wrong` (the claim itself fails;
what is confirmed is the counter-example); `new` (not in the papers). `holds` speaks of the statement in the ledger.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "Claim", "Evidence", "Verdict", "WORDS", "at_least", "at_most", "challenge", "claim", "decide", "equal", "find",
    "ledger", "not_computable", "numbers", "observed_order", "pieces", "record", "standard_error", "unshaken",
    "verify",
]  # fmt: skip

KINDS = ("right", "corrected", "wrong", "new")
WORDS = ("id", "source", "statement", "as_printed", "printed")  # of a record
LONG = 12  # of longer arrays a record keeps the worst number
NUMBERS = ("expected", "measured", "tolerance", "relation")
_REGISTRY: dict = {}


@dataclass(frozen=True)
class Evidence:
    """Measured numbers, what they must be, and how far they may stray; scalars or arrays of one shape.

    Attributes
    ----------
    expected, measured, tolerance : float or array
    relation : str
        "equal", "at most" or "at least".
    """

    expected: object
    measured: object
    tolerance: object
    relation: str

    @property
    def holds(self) -> bool:
        """Whether every measured number stands in the relation to the expected one; NaN never does."""
        expected, measured, tolerance = (np.asarray(v, float) for v in (self.expected, self.measured, self.tolerance))
        with np.errstate(invalid="ignore"):  # infinity minus infinity
            good = {
                "equal": np.abs(measured - expected) <= tolerance,
                "at most": measured <= expected + tolerance,
                "at least": measured >= expected - tolerance,
            }[self.relation]
        return bool(np.all(good | ((measured == expected) & np.isinf(expected))))

    def worst(self) -> Evidence:
        """The one number of an array that is nearest to failing, or fails most, as Evidence of its own."""
        expected, measured, tolerance = np.broadcast_arrays(
            *(np.asarray(value, float) for value in (self.expected, self.measured, self.tolerance))
        )
        sign = {"equal": 0.0, "at most": 1.0, "at least": -1.0}[self.relation]
        with np.errstate(invalid="ignore"):
            distance = sign * (measured - expected) if sign else np.abs(measured - expected)
            place = int(np.argmax(np.nan_to_num(np.ravel(distance - tolerance), nan=np.inf)))
        expected, measured, tolerance = (float(np.ravel(part)[place]) for part in (expected, measured, tolerance))
        return Evidence(expected, measured, tolerance, self.relation)


def equal(expected: ArrayLike, measured: ArrayLike, tolerance: ArrayLike) -> Evidence:
    """|measured - expected| <= tolerance, elementwise.

    Parameters
    ----------
    expected, measured, tolerance : float or array

    Returns
    -------
    Evidence

    Examples
    --------
    >>> equal(1.0, 1.01, 0.02).holds, equal(1.0, 1.01, 0.001).holds
    (True, False)
    """
    return Evidence(expected, measured, tolerance, "equal")


def at_most(bound: ArrayLike, measured: ArrayLike, tolerance: ArrayLike = 0.0) -> Evidence:
    """measured <= bound + tolerance, elementwise.

    Parameters
    ----------
    bound, measured, tolerance : float or array

    Returns
    -------
    Evidence

    Examples
    --------
    >>> at_most(1.0, [0.5, 1.0]).holds
    True
    """
    return Evidence(bound, measured, tolerance, "at most")


def at_least(bound: ArrayLike, measured: ArrayLike, tolerance: ArrayLike = 0.0) -> Evidence:
    """measured >= bound - tolerance, elementwise.

    Parameters
    ----------
    bound, measured, tolerance : float or array

    Returns
    -------
    Evidence

    Examples
    --------
    >>> at_least(1.0, [0.5, 1.0]).holds
    False
    """
    return Evidence(bound, measured, tolerance, "at least")


@dataclass(frozen=True)
class Claim:
    """One row of the ledger.

    Attributes
    ----------
    id, source, statement, as_printed : str
    check : callable or None
        check(quick=False, **changes) returns Evidence or a list of it.
    perturbations : tuple of str
        Wrong versions of the statement in words, one for each of `rejects`.
    rejects : tuple of dict
        What each of them changes in the arguments of `check`.
    printed : str or None
        The words or the formula in print, where the papers err.
    tolerance : str or None
        Where the tolerance comes from: a theorem, a standard error, a bound on an error.
    needs, reason : str or None
        An extra that must be installed; why there is no check.
    """

    id: str
    source: str
    statement: str
    as_printed: str
    check: Callable | None = None
    perturbations: tuple = ()
    rejects: tuple = ()
    printed: str | None = None
    tolerance: str | None = None
    needs: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What became of a claim: its evidence, whether it holds, the seconds it took; skipped says why it was not run.

    Attributes
    ----------
    claim : Claim
    evidence : tuple of Evidence
    holds : bool or None
        None where it was not decided.
    seconds : float
    skipped : str or None
        Why it was not run.
    """

    claim: Claim
    evidence: tuple
    holds: bool | None
    seconds: float
    skipped: str | None = None

    def as_dict(self) -> dict:
        """The record printed by `pdelab verify --json`."""
        words = {name: getattr(self.claim, name) for name in WORDS}
        return (
            words
            | numbers(self.evidence)
            | {"holds": self.holds}
            | {"seconds": round(self.seconds, 3), "skipped": self.skipped}
        )


def claim(
    id: str,
    *,
    source: str,
    statement: str,
    as_printed: str,
    perturbation: str | Sequence[str],
    rejects: dict | Sequence[dict],
    printed: str | None = None,
    tolerance: str = "round-off",
    needs: str | None = None,
) -> Callable[[Callable], Callable]:
    """Register a function (quick=False, ...) -> Evidence | list[Evidence] as a row of the ledger.

    Parameters
    ----------
    rejects : dict or sequence of dict
        Changes of the function's arguments that make the statement a wrong one.
    perturbation : str or sequence of str
        The same in words; versions without words are named by their changes.
    source, statement, as_printed, printed, tolerance, needs
        As in `Claim`.
    id : str
        Of the row, e.g. "E3.10".

    Returns
    -------
    decorator

    Raises
    ------
    ValueError
        A change of an argument that the function does not have, or that changes nothing.

    Examples
    --------
    >>> words = {"source": "", "statement": "", "as_printed": "new", "perturbation": ""}
    >>> claim("X", **words, rejects={"sign": 1.0})(lambda sign=1.0: None)
    Traceback (most recent call last):
        ...
    ValueError: claim X: sign=1.0 changes nothing in <lambda>
    """
    versions = (rejects,) if isinstance(rejects, dict) else tuple(rejects)
    words = [perturbation] if isinstance(perturbation, str) else list(perturbation)
    words += [", ".join(f"{name} = {value}" for name, value in changed.items()) for changed in versions[len(words) :]]

    def register(function):
        defaults = {name: p.default for name, p in inspect.signature(function).parameters.items()}
        for changes in versions:
            for name, value in changes.items():
                if name == "quick" or defaults.get(name, value) == value:
                    raise ValueError(f"claim {id}: {name}={value!r} changes nothing in {function.__name__}")
        row = Claim(id, source, statement, as_printed, function, tuple(words), versions, printed, tolerance, needs)
        _add(row)
        return function

    return register


def not_computable(
    id: str, *, source: str, statement: str, as_printed: str, reason: str, printed: str | None = None
) -> None:
    """Register a row that only fixes wording, or that no computer can decide, with the reason.

    Parameters
    ----------
    id, source, statement, as_printed, printed
        As for `claim`.
    reason : str
        Why there is no number.

    Examples
    --------
    >>> not_computable("X", source="", statement="", as_printed="new?", reason="an example")
    Traceback (most recent call last):
        ...
    ValueError: claim X: as_printed must be one of ('right', 'corrected', 'wrong', 'new'), got 'new?'
    """
    _add(Claim(id, source, statement, as_printed, printed=printed, reason=reason))


def _add(row):
    if row.as_printed not in KINDS:
        raise ValueError(f"claim {row.id}: as_printed must be one of {KINDS}, got {row.as_printed!r}")
    if row.id in _REGISTRY:
        raise ValueError(f"claim {row.id} is registered twice")
    _REGISTRY[row.id] = row


@cache
def ledger() -> dict[str, Claim]:
    """All claims of the package, {id: Claim}, in the order of their modules."""
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        importlib.import_module(f"{__name__}.{module.name}")
    return dict(_REGISTRY)


def find(ids: Iterable[str]) -> list[Claim]:
    """The claims with these ids; all of them when there are none.

    Parameters
    ----------
    ids : iterable of str

    Returns
    -------
    list of Claim

    Raises
    ------
    ValueError
        An unknown id.

    Examples
    --------
    >>> [row.id for row in find(["E3.10"])]
    ['E3.10']
    """
    rows = ledger()
    unknown = [id for id in ids if id not in rows]
    if unknown:
        raise ValueError(f"unknown claim {unknown[0]!r}: `pdelab list claims` prints the {len(rows)} ids")
    return [rows[id] for id in ids] if ids else list(rows.values())


def verify(ids: Iterable[str] = (), *, quick: bool = False) -> Iterator[Verdict]:
    """Check claims one after the other; yields a Verdict each, so that progress can be shown.

    Parameters
    ----------
    ids : iterable of str
        None of them: all claims.
    quick : bool
        In the quick form.

    Yields
    ------
    Verdict

    Examples
    --------
    >>> [verdict.holds for verdict in verify(["E3.10"], quick=True)]
    [True]
    """
    for row in find(ids):
        yield decide(row, quick=quick)


def decide(row: Claim, *, quick: bool = False, changes: dict | None = None) -> Verdict:
    """The verdict on one claim, or on the version of it that `changes` (one of `row.rejects`) makes.

    Parameters
    ----------
    row : Claim
    quick : bool
        In the quick form.
    changes : dict, optional
        One of `row.rejects`.

    Returns
    -------
    Verdict

    Raises
    ------
    ValueError
        A claim that returned no evidence.

    Examples
    --------
    >>> (row,) = find(["E3.10"])
    >>> decide(row, quick=True).holds, decide(row, quick=True, changes=row.rejects[0]).holds
    (True, False)
    """
    if row.check is None:
        return Verdict(row, (), None, 0.0, skipped=f"not computable: {row.reason}")
    if row.needs == "networks" and find_spec("torch") is None:
        return Verdict(row, (), None, 0.0, skipped="needs pdelab[networks]")
    start = time.perf_counter()
    evidence = row.check(quick=quick, **(changes or {}))
    evidence = tuple(evidence) if isinstance(evidence, (list, tuple)) else (evidence,)
    if not evidence:
        raise ValueError(f"claim {row.id} returned no evidence")
    return Verdict(row, evidence, all(e.holds for e in evidence), time.perf_counter() - start)


def challenge(row: Claim, *, quick: bool = False) -> tuple[Verdict, ...]:
    """The verdicts on all wrong versions of a claim, in the order of `row.rejects`.

    Parameters
    ----------
    row : Claim
    quick : bool
        In the quick form.

    Returns
    -------
    tuple of Verdict

    Examples
    --------
    >>> (row,) = find(["E3.10"])
    >>> any(verdict.holds for verdict in challenge(row, quick=True))
    False
    """
    return tuple(decide(row, quick=quick, changes=changes) for changes in row.rejects)


def record(row: Claim, *, quick: bool = False, verdict: Verdict | None = None) -> dict:
    """The evidence on a claim as plain values, and the worst numbers of each wrong version of it.

    Parameters
    ----------
    row : Claim
    quick : bool
        In the quick form.
    verdict : Verdict, optional
        What `decide` returned in the same form; by default the claim is decided now.

    Returns
    -------
    dict

    Examples
    --------
    >>> (row,) = find(["E3.10"])
    >>> record(row, quick=True)["rejected"][0]["holds"]
    False
    """
    verdict = verdict or decide(row, quick=quick)
    entry = verdict.as_dict()
    if entry["skipped"]:
        return entry
    short = [piece.worst() if max(np.size(piece.measured), np.size(piece.expected)) > LONG else piece
             for piece in verdict.evidence]  # fmt: skip
    versions = [
        {"perturbation": words} | numbers([piece.worst() for piece in wrong.evidence]) | {"holds": wrong.holds}
        for words, wrong in zip(row.perturbations, challenge(row, quick=quick))
    ]
    return entry | numbers(short) | {"rejected": versions}


def numbers(evidence: Sequence[Evidence]) -> dict:
    """expected, measured, tolerance, relation of a piece of evidence; lists of them where there is not just one.

    Parameters
    ----------
    evidence : sequence of Evidence

    Returns
    -------
    dict

    Examples
    --------
    >>> numbers([equal(1.0, 1.01, 0.02)])
    {'expected': 1.0, 'measured': 1.01, 'tolerance': 0.02, 'relation': 'equal'}
    """
    columns = {name: [getattr(piece, name) for piece in evidence] for name in NUMBERS}
    return {name: values[0] for name, values in columns.items()} if len(evidence) == 1 else columns


def pieces(record: dict) -> tuple[Evidence, ...]:
    """The Evidence of a record, or of one of its rejected versions, read back from plain values.

    Parameters
    ----------
    record : dict
        As `numbers` gives it.

    Returns
    -------
    tuple of Evidence

    Examples
    --------
    >>> pieces(numbers([equal(1.0, 1.01, 0.02)]))[0].holds
    True
    """
    if isinstance(record["relation"], str):
        return (Evidence(*(record[name] for name in NUMBERS)),)
    return tuple(Evidence(*values) for values in zip(*(record[name] for name in NUMBERS)))


def unshaken(verdicts: Sequence[Verdict]) -> list[int]:
    """Places of the pieces of evidence that no wrong version rejects; empty for a claim that can fail in every piece.

    Parameters
    ----------
    verdicts : sequence of Verdict
        Of `challenge`.

    Returns
    -------
    list of int

    Raises
    ------
    ValueError
        Versions with different numbers of pieces.

    Examples
    --------
    >>> (row,) = find(["E3.10"])
    >>> unshaken(challenge(row, quick=True))
    []
    """
    if len({len(verdict.evidence) for verdict in verdicts}) > 1:
        raise ValueError(f"claim {verdicts[0].claim.id}: its wrong versions return different numbers of pieces")
    return [k for k, pieces in enumerate(zip(*(v.evidence for v in verdicts))) if all(e.holds for e in pieces)]


def observed_order(sizes: ArrayLike, errors: ArrayLike) -> float:
    """Least-squares slope of log(error) against log(size): the observed order of convergence.

    Parameters
    ----------
    sizes, errors : array (n,)

    Returns
    -------
    float

    Examples
    --------
    >>> round(observed_order([0.1, 0.05], [0.01, 0.0025]), 9)
    2.0
    """
    return float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


def standard_error(samples: ArrayLike) -> Any:
    """Standard error of the mean of independent samples (axis 0).

    Parameters
    ----------
    samples : array (n, ...)

    Returns
    -------
    float or array (...)

    Examples
    --------
    >>> float(standard_error([0.0, 2.0]))
    1.0
    """
    samples = np.asarray(samples)
    return samples.std(axis=0, ddof=1) / math.sqrt(len(samples))
