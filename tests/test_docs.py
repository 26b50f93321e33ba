"""Documentation that runs: doctests of every module, the README's example, a docstring for every public name."""

import doctest
import importlib
import inspect
import pkgutil
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import pdelab
from pdelab.claims import challenge, decide

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
MODULES = sorted(m.name for m in pkgutil.walk_packages(pdelab.__path__, "pdelab."))


def load(name):
    if name.startswith("pdelab.networks") and find_spec("torch") is None:
        pytest.skip("needs pdelab[networks]")
    return importlib.import_module(name)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    result = doctest.testmod(load(name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def test_some_examples_were_run():
    assert (
        sum(
            doctest.testmod(load(name)).attempted
            for name in ("pdelab.grid", "pdelab.stepping.solve", "pdelab.stepping.run")
        )
        > 5
    )


@pytest.mark.parametrize("name", ["pdelab", *MODULES])
def test_modules_and_public_functions_say_what_they_are(name):
    module = load(name)
    assert module.__doc__, name
    bare = [
        f"{name}.{key}"
        for key, value in vars(module).items()
        if not key.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == name
        and not value.__doc__
    ]
    assert not bare or name.startswith(("pdelab.figures.", "pdelab.claims."))


def test_public_names_exist():
    assert pdelab.__all__ == sorted(pdelab.__all__, key=lambda n: (n.islower(), n))
    for name in pdelab.__all__:
        assert getattr(pdelab, name).__doc__, name


def test_readme_examples_run(monkeypatch):
    monkeypatch.setattr("pdelab.claims._REGISTRY", added := {})  # the example's claim is not one of the ledger
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    assert blocks
    for block in blocks:
        if "import torch" not in block or find_spec("torch"):
            exec(compile(block, "README.md", "exec"), {})
    (row,) = added.values()
    assert decide(row).holds and challenge(row) and not any(verdict.holds for verdict in challenge(row))


def test_readme_pictures_exist():
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    assert pictures
    for path in pictures:
        assert (Path(__file__).parents[1] / path).is_file(), path
