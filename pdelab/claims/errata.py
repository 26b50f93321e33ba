"""The errata page: every correction to the papers with its numerical evidence, written from the ledger.

    python -m pdelab.claims.errata                 measures the ledger, writes figures/claims.json and ERRATA.md
    python -m pdelab.claims.errata --missing       measures only what is new in the ledger or reads differently
    python -m pdelab.claims.errata --stored        writes ERRATA.md from the numbers in figures/claims.json

Nothing of it is typed by hand. What is printed and what is right are the words of the ledger; the numbers are measured,
those of the rejected version by the same function that confirms the correction.
"""

import argparse
import re
from pathlib import Path

import numpy as np

from pdelab import claims, records

__all__ = [
    "ELSEWHERE", "HEAD", "MARKS", "NUMBERS", "headline", "load", "main", "measure", "page", "refresh_headline", "rows",
    "wording", "write",
]  # fmt: skip

PAPERS = (("thesis", "The thesis"), ("traffic", "The traffic-flow paper"), ("Entropy-SGD", "The Entropy-SGD paper"))
ELSEWHERE = "Not in the papers"
VERDICTS = {
    "corrected": "Corrected",
    "wrong": "Wrong: the claim itself fails; what is confirmed is the counter-example",
    "new": "New: not in the papers, needed or implied by them",
}
SAID = {"right": "right as printed", "corrected": "corrected", "wrong": "wrong", "new": "new"}
MARKS = "<!-- headline -->", "<!-- /headline -->"
HEAD = """\
# Errata

Written by `python -m pdelab.claims.errata` from the ledger of claims; do not edit. Each entry gives the statement that
holds, what was measured against what it must be, and a version that the same computation rejects: the printed one where
the papers err. `pdelab verify ID` repeats an entry.
"""
NUMBERS = "  - measured: "  # lines of numbers start like this; all others are wording


def rows():
    """The rows of the ledger that are not right as printed, in the order of the papers."""
    return sorted((row for row in claims.ledger().values() if row.as_printed != "right"), key=_place)


def page(evidence=None):
    """The page as text.

    evidence : {id: record of `claims.record`}; None leaves the lines of numbers out.
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
    return "\n".join(parts) + "\n"


def measure(*, quick=False, known=None):
    """{id: record} of the whole ledger, from `known` where the words agree; ValueError where it does not stand."""
    ledger = {}
    for id, row in claims.ledger().items():
        stored = (known or {}).get(id)
        ledger[id] = record = stored if stored and _same_words(row, stored) else claims.record(row, quick=quick)
        if record["holds"] is False:
            raise ValueError(f"claim {id} does not hold: no page")
        if any(version["holds"] for version in record.get("rejected", ())):
            raise ValueError(f"claim {id} accepts what it must reject: no page")
    return ledger


def _same_words(row, record):
    versions = [version["perturbation"] for version in record.get("rejected", ())]
    return all(record[name] == getattr(row, name) for name in claims.WORDS) and versions == list(row.perturbations)


def wording(text):
    """A page without its lines of numbers."""
    return "\n".join(line for line in text.splitlines() if not line.startswith(NUMBERS))


def _entry(row, record):
    lines = [f"\n- **{row.id}** ({row.source}): {row.statement}"]
    if row.printed:
        lines.append(f"  - printed: {row.printed}")
    if row.check is None:
        return "\n".join([*lines, f"  - no number: {row.reason}"])
    if record is not None:
        lines.append(NUMBERS + _numbers(record, record["skipped"]))
    lines.append(f"  - rejected: {row.perturbations[0]}")
    if record is not None:
        lines.append(NUMBERS + _numbers((record.get("rejected") or [record])[0], record["skipped"]))
    return "\n".join(lines)


def _numbers(numbers, skipped=None):
    """What a verdict rests on: all evidence where it holds, the worst piece where it does not."""
    if skipped:
        return skipped
    pieces = claims.pieces(numbers)
    if not numbers["holds"]:
        pieces = [piece for piece in pieces if not piece.holds][:1]
    return "; ".join(map(_piece, pieces))


def _piece(evidence):
    """One number against another, the worst of an array."""
    size, worst = np.broadcast(evidence.expected, evidence.measured, evidence.tolerance).size, evidence.worst()
    value, bound, slack = worst.measured, worst.expected, worst.tolerance
    word = "" if evidence.relation == "equal" else f"{evidence.relation} "
    margin = f" ± {slack:.1e}" if slack > 0 else f" with {-slack:.1e} to spare" if slack < 0 else ""
    more = f" (worst of {size})" if size > 1 else ""
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


def headline():
    """The README's line: how many claims there are, and how many are right as printed, corrected, wrong, or new."""
    kinds = [row.as_printed for row in claims.ledger().values()]
    counts = ", ".join(f"{kinds.count(kind)} {word}" for kind, word in SAID.items())
    return f"**{len(kinds)} claims in the ledger: {counts}** ([errata](ERRATA.md); `pdelab verify` repeats them)."


def refresh_headline(readme):
    """Write the headline between its marks in a README, where there is one with marks."""
    if readme.is_file() and MARKS[0] in (text := readme.read_text(encoding="utf-8")):
        before, _, rest = text.partition(MARKS[0])
        with records.atomic(readme) as temporary:
            after = rest.partition(MARKS[1])[2]
            temporary.write_text(f"{before}{MARKS[0]} {headline()} {MARKS[1]}{after}", encoding="utf-8")


def write(path, evidence):
    """Write the page, and the headline of a README beside it; returns its path."""
    text = page(evidence)
    refresh_headline(Path(path).with_name("README.md"))
    with records.atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def load(path):
    """{id: record} from a file that `main` or `pdelab reproduce` wrote; ValueError when it has no rejected versions."""
    rows = records.load_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) and isinstance(row.get("id"), str) for row in rows):
        raise ValueError(f"{path}: expected a list of records of claims")
    if not any("rejected" in record for record in rows):
        raise ValueError(f"{path}: no rejected versions in it, it comes from a quick run")
    return {record["id"]: record for record in rows}


def main(arguments=None):
    """Measure the ledger, write the evidence and the page; returns the page's path."""
    parser = argparse.ArgumentParser(prog="python -m pdelab.claims.errata", description="write the errata page")
    parser.add_argument("path", nargs="?", type=Path, default=Path("ERRATA.md"))
    parser.add_argument(
        "--evidence", type=Path, default=Path("figures/claims.json"), help="the numbers behind the page"
    )
    parser.add_argument("--stored", action="store_true", help="write the page from the evidence there is")
    parser.add_argument("--missing", action="store_true", help="measure only the rows that the evidence lacks")
    parser.add_argument("--quick", action="store_true", help="the quick sizes of the ledger")
    chosen = parser.parse_args(arguments)
    if chosen.stored:
        return write(chosen.path, load(chosen.evidence))
    evidence = measure(quick=chosen.quick, known=load(chosen.evidence) if chosen.missing else None)
    records.save_json(chosen.evidence, list(evidence.values()))
    return write(chosen.path, load(chosen.evidence))


if __name__ == "__main__":
    main()
