"""The pages around the code agree with it: one version, links that lead somewhere, one set of commands."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest

import pdelab

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for path in ROOT.glob("*.md"))


def test_the_version_has_one_source():
    assert version("pdelab") == pdelab.__version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", citation, flags=re.M).group(1) == pdelab.__version__
    assert f"\n## {pdelab.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


def test_the_workflow_runs_what_ci_runs():
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    assert "bash .ci/run" in workflow
    oldest = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8")).group(
        1
    )
    assert f'"{oldest}"' in workflow


def test_slow_tests_that_are_listed_exist(collected, request):
    if any("::" in argument for argument in request.config.args):
        pytest.skip("only some tests of a file were asked for")
    listed = (ROOT / "tests" / "slow.txt").read_text(encoding="utf-8").splitlines()
    assert listed == sorted(set(listed))
    files = {name.split("::")[0] for name in collected}
    assert [name for name in listed if name.split("::")[0] in files and name not in collected] == []
