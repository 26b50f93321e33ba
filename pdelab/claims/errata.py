"""The errata page: every correction to the papers with its numerical evidence, written from the ledger.

    python -m pdelab.claims.errata [--quick] [PATH]          writes ERRATA.md, or PATH

Nothing of it is typed by hand. What is printed and what is right are the words of the ledger; the numbers are measured
when the page is written, those of the rejected version by the same function that confirms the correction.
"""

import argparse
import re
from pathlib import Path

import numpy as np

from pdelab import claims, records

PAPERS = (("thesis", "The thesis"), ("traffic", "The traffic-flow paper"), ("Entropy-SGD", "The Entropy-SGD paper"))
ELSEWHERE = "Not in the papers"
VERDICTS = {
    "corrected": "Corrected",
    "wrong": "Wrong: the claim itself fails; what is confirmed is the counter-example",
    "new": "New: not in the papers, needed or implied by them",
}
HEAD = """\
# Errata

Written by `python -m pdelab.claims.errata` from the ledger of claims; do not edit. Each entry gives the statement that
holds, what was measured against what it must be, and a version that the same computation rejects: the printed one where
the papers err. `pdelab verify ID` repeats an entry.
"""
NUMBERS = "  - measured: "  # lines of numbers start like this; all others are wording


def rows():
    """The rows of the ledger that are not right as printed, in the order of the papers."""
    found = [row for row in claims.ledger().values() if row.as_printed != "right"]
    return sorted(found, key=_place)


def page(evidence=None):
    """The page as text.

    evidence : {id: (verdict, verdict on the perturbed statement)}; None leaves the lines of numbers out.
    """
    parts, chapter = [HEAD], None
    for row in rows():
        here = _paper(row), row.as_printed
        if chapter is None or here[0] != chapter[0]:
            parts.append(f"\n## {_title(here[0])}\n")
        if here != chapter:
            parts.append(f"\n### {VERDICTS[row.as_printed]}\n")
        chapter = here
        parts.append(_entry(row, evidence and evidence.get(row.id)))
    return "\n".join(parts)


def measure(*, quick=False):
    """{id: (verdict, verdict on the perturbed statement)} of all rows of the page."""
    return {
        row.id: (claims.decide(row, quick=quick), claims.decide(row, perturbed=True, quick=quick)) for row in rows()
    }


def wording(text):
    """A page without its lines of numbers."""
    return "\n".join(line for line in text.splitlines() if not line.startswith(NUMBERS))


def _entry(row, pair):
    lines = [f"\n- **{row.id}** ({row.source}): {row.statement}"]
    if row.check is None:
        return "\n".join([*lines, f"  - no number: {row.reason}"])
    verdict, rejected = pair if pair else (None, None)
    if verdict is not None:
        lines.append(NUMBERS + _numbers(verdict))
    lines.append(f"  - rejected: {row.perturbation}")
    if rejected is not None:
        lines.append(NUMBERS + _numbers(rejected))
    return "\n".join(lines)


def _numbers(verdict):
    """What a verdict rests on: all evidence where it holds, the worst piece where it does not."""
    if verdict.skipped:
        return verdict.skipped
    pieces = verdict.evidence if verdict.holds else [one for one in verdict.evidence if not one.holds][:1]
    return "; ".join(_piece(one) for one in pieces)


def _piece(evidence):
    """One number against another, the worst of an array."""
    expected, measured, tolerance = np.broadcast_arrays(
        *(np.asarray(value, float) for value in (evidence.expected, evidence.measured, evidence.tolerance))
    )
    sign = {"equal": 0.0, "at most": 1.0, "at least": -1.0}[evidence.relation]
    distance = sign * (measured - expected) if sign else np.abs(measured - expected)
    with np.errstate(invalid="ignore"):
        worst = int(np.argmax(np.nan_to_num(np.ravel(distance - tolerance), nan=np.inf)))
    value, bound, slack = (float(np.ravel(one)[worst]) for one in (measured, expected, tolerance))
    word = "" if evidence.relation == "equal" else f"{evidence.relation} "
    margin = f" ± {slack:.1e}" if slack > 0 else f" with {-slack:.1e} to spare" if slack < 0 else ""
    more = f" (worst of {measured.size})" if measured.size > 1 else ""
    return f"{value:.5g}, {'must be ' + word}{bound:.5g}{margin}{more}"


def _paper(row):
    """Index of the paper that a row's source names first, len(PAPERS) for none."""
    places = [(row.source.lower().find(word.lower()), k) for k, (word, _) in enumerate(PAPERS)]
    return min((where, k) for where, k in [*places, (10**6, len(PAPERS))] if where >= 0)[1]


def _title(paper):
    return PAPERS[paper][1] if paper < len(PAPERS) else ELSEWHERE


def _place(row):
    number = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", row.source)
    place = tuple(int(part or 0) for part in number.groups()) if number else (10**6,)
    return _paper(row), list(VERDICTS).index(row.as_printed), place, row.id


def main(arguments=None):
    """Measure everything and write the page; returns its path. ValueError where the ledger does not stand."""
    parser = argparse.ArgumentParser(prog="python -m pdelab.claims.errata", description="write the errata page")
    parser.add_argument("path", nargs="?", type=Path, default=Path("ERRATA.md"))
    parser.add_argument("--quick", action="store_true", help="the quick sizes of the ledger")
    chosen = parser.parse_args(arguments)
    evidence = measure(quick=chosen.quick)
    for id, (verdict, rejected) in evidence.items():
        if verdict.holds is False or rejected.holds:
            raise ValueError(
                f"claim {id} {'accepts what it must reject' if verdict.holds else 'does not hold'}: no page"
            )
    text = page(evidence)
    with records.atomic(chosen.path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return chosen.path


if __name__ == "__main__":
    main()
