"""The tool that changes one line at a time: what it applies, what it calls a kill, what it reports."""

import importlib
from pathlib import Path

import pytest

mutation = pytest.importorskip("benchmarks.mutation", reason="the benchmarks stand in a checkout, not in the package")
mutants = importlib.import_module("benchmarks.mutants")

PACKAGE = Path(__file__).parents[1] / "pdelab"


def test_names_are_one_each():
    assert len({mutant.name for mutant in mutants.MUTANTS}) == len(mutants.MUTANTS)


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_is_another_program_that_parses(mutant):
    text = (PACKAGE / mutant.file).read_text(encoding="utf-8")
    changed = mutant.applied(text)
    assert changed != text
    compile(changed, mutant.file, "exec")


def test_a_line_that_is_gone_or_stands_twice_is_refused():
    mutant = mutants.Mutant("a", "b.py", "x + 1", "x - 1", "")
    for text in ("x", "x + 1; x + 1"):
        with pytest.raises(ValueError, match="a: expected 'x \\+ 1' once in b.py"):
            mutant.applied(text)


@pytest.mark.parametrize(
    "status, word", [(0, "survived"), (1, "killed"), (None, "killed"), (2, "error"), (4, "error"), (5, "error")]
)
def test_only_a_failing_test_kills(status, word):
    """pytest says 1 for tests that fail; 2 to 5 are interruptions, wrong arguments and no tests at all."""
    assert mutation.verdict(status) == word


def test_the_rate_is_that_of_the_killable():
    verdicts = {"a": "killed", "b": "killed", "c": "survived", "d": "equivalent", "e": "error"}
    assert mutation.summary(verdicts)["rate"] == 2 / 3
    assert mutation.summary({"d": "equivalent"})["rate"] is None


def test_a_mutant_is_judged_in_a_copy_and_taken_back(tmp_path):
    (tmp_path / "pdelab").mkdir()
    file, test = tmp_path / "pdelab" / "one.py", tmp_path / "test_one.py"
    file.write_text("def one():\n    return 1\n")
    test.write_text("from pdelab.one import one\n\n\ndef test_one():\n    assert one() == 1\n")
    for new, word in (("return 2", "killed"), ("return 1.0", "survived")):
        mutant = mutants.Mutant("one", "one.py", "return 1", new, "test_one.py -k test_one")
        before = file.read_text(), file.stat().st_mtime_ns
        assert mutation.judge(mutant, tmp_path) == word
        assert (file.read_text(), file.stat().st_mtime_ns) == before


def test_verdicts_come_as_they_are_made_and_tests_of_the_same_files_are_tried_together(tmp_path, monkeypatch):
    (tmp_path / "pdelab").mkdir()
    (tmp_path / "pdelab" / "one.py").write_text("def one():\n    return 1\n\n\ndef two():\n    return 2\n")
    tests = "from pdelab import one\n\n\ndef test_one():\n    assert one.one() == 1\n\n\ndef test_two():\n    one\n"
    (tmp_path / "test_it.py").write_text(tests + "\n\ndef test_red():\n    assert False\n")
    monkeypatch.setattr(mutation, "ROOT", tmp_path)
    monkeypatch.setattr(mutation, "COPIED", ("pdelab", "test_it.py"))
    rows = [
        mutants.Mutant("a", "one.py", "return 1", "return 3", "test_it.py -k test_one"),
        mutants.Mutant("b", "one.py", "return 2", "return 3", "test_it.py -k test_two"),
        mutants.Mutant("c", "one.py", "return 2", "return 4", "test_it.py -k test_red"),
    ]
    assert mutation.all_of(row.tests for row in rows[:2]) == "test_it.py -k (test_one) or (test_two)"
    assert dict(mutation.run(rows)) == {"a": "killed", "b": "survived", "c": "error"}
    with pytest.raises(FileNotFoundError):
        list(mutation.run([mutants.Mutant("d", "none.py", "x", "y", "test_it.py -k test_one")]))


def test_the_page_keeps_the_first_verdict_beside_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr(mutation, "RESULTS", tmp_path / "mutation.json")
    monkeypatch.setattr(mutation, "PAGE", tmp_path / "MUTATION.md")
    rows = [mutants.Mutant(name, "one.py", "x", "y", "tests") for name in "abcd"]
    mutation.save(rows, {"a": "killed", "b": "survived", "c": "error", "gone": "killed"})
    mutation.save(rows, {"b": "killed", "c": "killed"})
    said = (tmp_path / "MUTATION.md").read_text()
    assert "3 killed, 0 survived, 0 equivalent, 0 in error, 1 not run; of the killable that were run: 100.0 %" in said
    assert "for the first time, by the tests that were then chosen for it: 2 killed, 1 survived, 66.7 %" in said
    assert mutation.kept() == (
        {"a": "killed", "b": "killed", "c": "killed"},
        {"a": "killed", "b": "survived", "c": "killed"},
    )
