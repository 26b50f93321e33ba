"""The ledger: every claim holds, and every claim can fail."""

import json

import pytest

from pdelab import claims
from pdelab.cli import main

ROWS = claims.ledger()
COMPUTABLE = [row for row in ROWS.values() if row.check is not None]


def test_there_are_claims():
    assert len(COMPUTABLE) > 10


@pytest.mark.parametrize("row", COMPUTABLE, ids=lambda row: row.id)
def test_claim_holds(row):
    verdict = claims.decide(row, quick=True)
    if verdict.skipped:
        pytest.skip(verdict.skipped)
    for evidence in verdict.evidence:
        assert evidence.holds, f"{row.statement}: measured {evidence.measured}, {evidence.relation} {evidence.expected}"


@pytest.mark.parametrize("row", COMPUTABLE, ids=lambda row: row.id)
def test_perturbed_claim_is_rejected(row):
    verdict = claims.decide(row, perturbed=True, quick=True)
    if verdict.skipped:
        pytest.skip(verdict.skipped)
    assert not verdict.holds, f"{row.id} also accepts: {row.perturbation}"


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.id)
def test_row_is_complete(row):
    assert row.source and row.statement
    assert row.perturbation if row.check else row.reason


def test_verify_prints_json(capsys):
    first = COMPUTABLE[0].id
    assert main(["verify", first, "--quick", "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    keys = {"id", "source", "statement", "as_printed", "expected", "measured", "tolerance", "holds", "seconds"}
    assert keys <= set(record) and record["id"] == first and record["holds"] is True


def test_unknown_claim_is_refused(capsys):
    assert main(["verify", "nonsense"]) == 2
    assert "unknown claim 'nonsense'" in capsys.readouterr().err


def test_nan_never_holds():
    nan = float("nan")
    assert not claims.equal(1.0, nan, 1.0).holds
    assert not claims.at_most(1.0, nan).holds
    assert not claims.at_least(nan, 1.0).holds
