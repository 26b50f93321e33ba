"""The ledger: every checkable claim of the papers as a small function with a verdict.

A claim compares a measured number with the number it must be, and it can fail: called with `perturbed=True` the same
function tests a wrong version of the statement (the one in print, where the papers err), which must be rejected.

Adding a claim takes one function in the chapter's module:

    @claim("E3.10", source="thesis (3.10)", as_printed="corrected",
           statement="grad f_gamma = +(x - <y>)/gamma", perturbation="the printed sign")
    def gradient_is_an_average(perturbed=False, quick=False):
        sign = -1.0 if perturbed else 1.0
        ...
        return equal(expected=derivative, measured=sign * (x - mean) / gamma, tolerance=1e-8)

Words used: `right` as printed; `corrected` (the statement here is the corrected one); `wrong` (the claim itself fails;
what is confirmed is the counter-example); `new` (not in the papers). `holds` speaks of the statement in the ledger.
"""

import importlib
import math
import pkgutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

import numpy as np

KINDS = ("right", "corrected", "wrong", "new")
_REGISTRY: dict = {}


@dataclass(frozen=True)
class Evidence:
    """Measured numbers, what they must be, and how far they may stray; scalars or arrays of one shape."""

    expected: object
    measured: object
    tolerance: object
    relation: str

    @property
    def holds(self):
        """Whether every measured number stands in the relation to the expected one; NaN never does."""
        expected, measured, tolerance = (np.asarray(v, float) for v in (self.expected, self.measured, self.tolerance))
        good = {
            "equal": np.abs(measured - expected) <= tolerance,
            "at most": measured <= expected + tolerance,
            "at least": measured >= expected - tolerance,
        }[self.relation]
        return bool(np.all(good | ((measured == expected) & np.isinf(expected))))


def equal(expected, measured, tolerance):
    """|measured - expected| <= tolerance, elementwise."""
    return Evidence(expected, measured, tolerance, "equal")


def at_most(bound, measured, tolerance=0.0):
    """measured <= bound + tolerance, elementwise."""
    return Evidence(bound, measured, tolerance, "at most")


def at_least(bound, measured, tolerance=0.0):
    """measured >= bound - tolerance, elementwise."""
    return Evidence(bound, measured, tolerance, "at least")


@dataclass(frozen=True)
class Claim:
    """One row of the ledger; `check(perturbed, quick)` returns Evidence or a list of it."""

    id: str
    source: str
    statement: str
    as_printed: str
    perturbation: str | None
    check: Callable | None
    needs: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What became of a claim: its evidence, whether it holds, the seconds it took; skipped says why it was not run."""

    claim: Claim
    evidence: tuple
    holds: bool | None
    seconds: float
    skipped: str | None = None

    def as_dict(self):
        """The record printed by `pdelab verify --json`."""
        one = len(self.evidence) == 1
        pick = lambda name: [getattr(e, name) for e in self.evidence]  # noqa: E731
        record = {
            "id": self.claim.id,
            "source": self.claim.source,
            "statement": self.claim.statement,
            "as_printed": self.claim.as_printed,
        }
        for name in ("expected", "measured", "tolerance", "relation"):
            values = pick(name)
            record[name] = values[0] if one else values
        return record | {"holds": self.holds, "seconds": round(self.seconds, 3), "skipped": self.skipped}


def claim(id, *, source, statement, as_printed, perturbation, needs=None):
    """Register a function (perturbed=False, quick=False) -> Evidence | list[Evidence] as a row of the ledger."""

    def register(function):
        _add(Claim(id, source, statement, as_printed, perturbation, function, needs=needs))
        return function

    return register


def not_computable(id, *, source, statement, as_printed, reason):
    """Register a row that only fixes wording, or that no computer can decide, with the reason."""
    _add(Claim(id, source, statement, as_printed, None, None, reason=reason))


def _add(row):
    if row.as_printed not in KINDS:
        raise ValueError(f"claim {row.id}: as_printed must be one of {KINDS}, got {row.as_printed!r}")
    if row.id in _REGISTRY:
        raise ValueError(f"claim {row.id} is registered twice")
    _REGISTRY[row.id] = row


@cache
def ledger():
    """All claims of the package, {id: Claim}, in the order of their modules."""
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        importlib.import_module(f"{__name__}.{module.name}")
    return dict(_REGISTRY)


def find(ids):
    """The claims with these ids (all of them when there are none); ValueError names an unknown one."""
    rows = ledger()
    unknown = [id for id in ids if id not in rows]
    if unknown:
        raise ValueError(f"unknown claim {unknown[0]!r}: `pdelab list claims` prints the {len(rows)} ids")
    return [rows[id] for id in ids] if ids else list(rows.values())


def verify(ids=(), *, quick=False) -> Iterator[Verdict]:
    """Check claims one after the other; yields a Verdict each, so that progress can be shown."""
    for row in find(ids):
        yield decide(row, quick=quick)


def decide(row, *, perturbed=False, quick=False):
    """The verdict on one claim, or on its perturbed statement."""
    if row.check is None:
        return Verdict(row, (), None, 0.0, skipped=f"not computable: {row.reason}")
    if row.needs == "networks" and find_spec("torch") is None:
        return Verdict(row, (), None, 0.0, skipped="needs pdelab[networks]")
    start = time.perf_counter()
    evidence = row.check(perturbed=perturbed, quick=quick)
    evidence = tuple(evidence) if isinstance(evidence, (list, tuple)) else (evidence,)
    if not evidence:
        raise ValueError(f"claim {row.id} returned no evidence")
    return Verdict(row, evidence, all(e.holds for e in evidence), time.perf_counter() - start)


def observed_order(sizes, errors):
    """Least-squares slope of log(error) against log(size): the observed order of convergence."""
    return float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


def standard_error(samples):
    """Standard error of the mean of independent samples (axis 0)."""
    samples = np.asarray(samples)
    return samples.std(axis=0, ddof=1) / math.sqrt(len(samples))
