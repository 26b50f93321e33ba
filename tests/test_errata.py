"""The errata page is what the ledger says, no more and no less."""

from pathlib import Path

import pytest

from pdelab import claims
from pdelab.claims import Claim, at_least, at_most, equal, errata

PAGE = Path(claims.__file__).parents[2] / "ERRATA.md"


def planted(function=None, id="Q1", source="thesis (4.1)", as_printed="corrected"):
    reason = None if function else "a typing error"
    words = {"printed": None if as_printed == "new" else "2 = 3", "tolerance": "none", "reason": reason}
    return Claim(id, source, "two is two", as_printed, function, ("two is three",), ({"is_": 3.0},), **words)


def two(quick=False, is_=2.0):
    return [equal([1.0, is_], [1.0, 2.0], 1e-3), at_most(5.0, 4.0), at_least(1.0, 4.0, -0.5)]


@pytest.fixture
def ledger(monkeypatch):
    """A ledger of our own."""

    def plant(*rows):
        monkeypatch.setattr(claims, "ledger", lambda: {row.id: row for row in rows})

    return plant


def test_committed_page_is_that_of_the_committed_evidence():
    """To the last digit; the evidence is compared with today's numbers by the tests of the claims."""
    evidence = errata.load(PAGE.parent / "figures" / "claims.json")
    assert PAGE.read_text(encoding="utf-8") == errata.page(evidence)


def test_committed_page_shows_numbers():
    text = PAGE.read_text(encoding="utf-8")
    computable = [row for row in errata.rows() if row.check is not None]
    assert len(computable) > 20
    assert text.count(errata.NUMBERS) == 2 * len(computable)


def test_rows_are_those_that_are_not_right():
    ids = [row.id for row in errata.rows()]
    assert sorted(ids) == sorted(id for id, row in claims.ledger().items() if row.as_printed != "right")
    text = errata.page()
    assert all(text.count(f"- **{id}** ") == 1 for id in ids)


def test_an_entry(ledger):
    ledger(planted(two))
    text = errata.page(errata.measure())
    assert "## The thesis" in text and "### Corrected" in text
    assert "- **Q1** (thesis (4.1)): two is two" in text
    assert (
        "1, must be 1 ± 1.0e-03 (worst of 2); 4, must be at most 5; 4, must be at least 1 with 5.0e-01 to spare" in text
    )
    assert "rejected: two is three" in text
    assert "measured: 2, must be 3 ± 1.0e-03 (worst of 2)\n" not in errata.wording(text)


def test_order_and_papers(ledger):
    rows = [
        planted(two, "B", "Entropy-SGD (7), thesis (3.10)"),
        planted(two, "A", "thesis (4.33)"),
        planted(two, "C", "thesis (4.8)"),
        planted(two, "D", "thesis (4.1)", "new"),
        planted(two, "E", "traffic paper (2.14)"),
        planted(two, "F", "own", "new"),
        planted(None, "G", "thesis (5.1)", "wrong"),
        planted(two, "H", "thesis (4.2)", "right"),
    ]
    ledger(*rows)
    assert [row.id for row in errata.rows()] == ["C", "A", "G", "D", "E", "B", "F"]
    text = errata.page()
    assert text.index("traffic-flow") < text.index("Entropy-SGD paper") < text.index(errata.ELSEWHERE)
    assert "no number: a typing error" in text and "**H**" not in text


def test_new_wording_is_noticed(ledger):
    ledger(planted(two))
    before = errata.page(errata.measure())
    ledger(planted(two), planted(two, "Q2"))
    assert errata.wording(before) != errata.wording(errata.page())


def test_page_is_written(ledger, tmp_path):
    ledger(planted(two))
    evidence = tmp_path / "claims.json"
    path = errata.main([str(tmp_path / "E.md"), "--quick", "--evidence", str(evidence)])
    text = path.read_text(encoding="utf-8")
    assert errata.wording(text).strip() == errata.wording(errata.page()).strip()
    assert "measured: 2, must be 3" in text
    again = errata.main([str(tmp_path / "again.md"), "--stored", "--evidence", str(evidence)])
    assert again.read_text(encoding="utf-8") == text


def test_a_page_needs_the_rejected_versions(tmp_path):
    (tmp_path / "claims.json").write_text('[{"id": "Q1"}]')
    with pytest.raises(ValueError, match="no rejected versions"):
        errata.main([str(tmp_path / "E.md"), "--stored", "--evidence", str(tmp_path / "claims.json")])


@pytest.mark.parametrize(
    "function, words",
    [
        (lambda quick=False, is_=2.0: equal(1.0, 2.0, 0.1), "does not hold"),
        (lambda quick=False, is_=2.0: equal(1.0, 1.0, 0.1), "accepts what it must reject"),
    ],
)
def test_no_page_without_a_standing_ledger(ledger, tmp_path, function, words):
    ledger(planted(function))
    with pytest.raises(ValueError, match=words):
        errata.main([str(tmp_path / "E.md"), "--evidence", str(tmp_path / "claims.json")])
    assert not (tmp_path / "E.md").exists()


def test_nan_is_the_worst():
    nan = float("nan")
    assert errata._piece(equal([1.0, 1.0], [1.0, nan], 0.1)).startswith("nan")
