"""The ledger: every claim holds, every piece of it can fail, and what is committed is what today's code says."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from pdelab import claims, records
from pdelab.cli import main

ROWS = claims.ledger()
COMPUTABLE = [row for row in ROWS.values() if row.check is not None]
COMMITTED = json.loads((Path(claims.__file__).parents[2] / "figures" / "claims.json").read_text(encoding="utf-8"))
EVIDENCE = {record["id"]: record for record in COMMITTED}


def test_there_are_claims():
    assert len(COMPUTABLE) > 10


@pytest.mark.parametrize("row", COMPUTABLE, ids=lambda row: row.id)
def test_claim_holds_and_its_committed_numbers_are_todays(row):
    """`python -m pdelab.claims.errata` refreshes them; samples and grids are smaller here, so within tolerances."""
    verdict = claims.decide(row, quick=True)
    if verdict.skipped:
        pytest.skip(verdict.skipped)
    for evidence in verdict.evidence:
        assert evidence.holds, f"{row.statement}: measured {evidence.measured}, {evidence.relation} {evidence.expected}"
    committed = claims.pieces(EVIDENCE[row.id])
    assert [piece.relation for piece in committed] == [piece.relation for piece in verdict.evidence]
    for today, stored in zip(verdict.evidence, committed):
        assert stored.holds
        measured = [np.asarray(piece.measured, float) for piece in (today, stored)]
        if today.relation == "equal" and measured[0].shape == measured[1].shape:
            room = np.asarray(today.tolerance, float) + np.asarray(stored.tolerance, float)
            assert np.all(np.abs(measured[0] - measured[1]) <= room), "the committed number is another one"


@pytest.mark.parametrize("row", COMPUTABLE, ids=lambda row: row.id)
def test_every_wrong_version_is_rejected_and_every_piece_rejects_one(row):
    verdicts = claims.challenge(row, quick=True)
    if verdicts[0].skipped:
        pytest.skip(verdicts[0].skipped)
    for words, verdict in zip(row.perturbations, verdicts, strict=True):
        assert not verdict.holds, f"{row.id} also accepts: {words}"
    assert claims.unshaken(verdicts) == [], f"pieces of {row.id} that nothing rejects"


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.id)
def test_row_is_complete(row):
    """Sources, words, where tolerances come from; the printed words where the papers err, and only there."""
    assert row.source and row.statement
    assert (row.rejects and row.perturbations and row.tolerance) if row.check else row.reason
    assert (row.printed is not None) == (row.as_printed in ("corrected", "wrong"))


def test_committed_evidence_is_of_this_ledger():
    assert sorted(EVIDENCE) == sorted(ROWS)
    for id, row in ROWS.items():
        assert {name: EVIDENCE[id][name] for name in claims.WORDS} == {
            name: getattr(row, name) for name in claims.WORDS
        }
        versions = EVIDENCE[id].get("rejected", [])
        assert [version["perturbation"] for version in versions] == list(row.perturbations)
        for version in versions:
            assert not all(piece.holds for piece in claims.pieces(version))


def test_a_record_is_read_back(tmp_path):
    row = COMPUTABLE[0]
    path = records.save_json(tmp_path / "one.json", claims.record(row, quick=True))
    record = json.loads(path.read_text())
    for stored, today in zip(claims.pieces(record), claims.decide(row, quick=True).evidence, strict=True):
        assert stored.holds and np.array_equal(np.asarray(stored.measured, float), np.asarray(today.measured, float))
    assert len(record["rejected"]) == len(row.rejects)


def test_verify_prints_json(capsys):
    first = COMPUTABLE[0].id
    assert main(["verify", first, "--quick", "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    keys = {"id", "source", "statement", "as_printed", "expected", "measured", "tolerance", "holds", "seconds"}
    assert keys <= set(record) and record["id"] == first and record["holds"] is True


def test_verify_shows_what_is_rejected(capsys):
    assert main(["verify", "L4.4", "--quick", "--perturbed"]) == 0
    assert "rejected by 1, 2, 3 of 3" in capsys.readouterr().out


def test_unknown_claim_is_refused(capsys):
    assert main(["verify", "nonsense"]) == 2
    assert "unknown claim 'nonsense'" in capsys.readouterr().err


def test_nan_never_holds():
    nan = float("nan")
    assert not claims.equal(1.0, nan, 1.0).holds
    assert not claims.at_most(1.0, nan).holds
    assert not claims.at_least(nan, 1.0).holds


def test_evidence_holds_up_to_its_tolerance_and_not_beyond():
    for inside, outside in ((1.09, 1.11), (0.91, 0.89)):
        assert claims.equal(1.0, inside, 0.1).holds and not claims.equal(1.0, outside, 0.1).holds
    assert claims.at_most(1.0, 1.09, 0.1).holds and not claims.at_most(1.0, 1.11, 0.1).holds
    assert claims.at_least(1.0, 0.91, 0.1).holds and not claims.at_least(1.0, 0.89, 0.1).holds
    assert claims.at_most(1.0, 1.0).holds and not claims.at_most(1.0, 1.0 + 1e-15).holds
    assert not claims.equal([1.0, 1.0], [1.0, 2.0], 0.1).holds, "one number of many"
    assert claims.equal(math.inf, math.inf, 0.0).holds and not claims.equal(math.inf, -math.inf, 0.0).holds


@pytest.fixture
def plant(monkeypatch):
    """Register a function as the only claim of an empty ledger."""
    monkeypatch.setattr(claims, "_REGISTRY", {})

    def planted(function, rejects, **words):
        words = {"source": "s", "statement": "t", "as_printed": "new", "perturbation": "p"} | words
        claims.claim("P1", rejects=rejects, **words)(function)
        return claims._REGISTRY["P1"]

    return planted


def test_a_piece_that_nothing_rejects_is_found(plant):
    def two(quick=False, left=1.0, right=1.0):
        return [claims.equal(1.0, left, 0.1), claims.equal(1.0, right, 0.1)]

    row = plant(two, [{"left": 2.0}, {"left": 3.0}])
    assert row.perturbations == ("p", "left = 3.0")
    assert claims.decide(row).holds and claims.unshaken(claims.challenge(row)) == [1]
    claims._REGISTRY.clear()
    assert claims.unshaken(claims.challenge(plant(two, [{"left": 2.0}, {"right": 2.0}]))) == []


@pytest.mark.parametrize("rejects", [{"sing": -1.0}, {"sign": 1.0}, {"quick": True}])
def test_a_version_that_changes_nothing_is_refused(plant, rejects):
    with pytest.raises(ValueError, match="claim P1: .* changes nothing"):
        plant(lambda quick=False, sign=1.0: claims.equal(1.0, sign, 0.1), rejects)


def test_versions_have_the_pieces_of_the_claim(plant):
    row = plant(lambda quick=False, n=1: [claims.equal(0.0, 1.0, 0.1)] * n, [{"n": 2}, {"n": 3}])
    with pytest.raises(ValueError, match="different numbers of pieces"):
        claims.unshaken(claims.challenge(row))


@pytest.mark.parametrize("first, second, holds", [(1.0, 1.0, True), (1.0, 2.0, False), (2.0, 1.0, False)])
def test_a_claim_holds_when_all_its_pieces_do(first, second, holds):
    check = lambda quick=False: [claims.equal(1.0, first, 0.1), claims.equal(1.0, second, 0.1)]  # noqa: E731
    assert claims.decide(claims.Claim("P1", "s", "t", "new", check)).holds is holds
