"""Documentation that runs: doctests of every module, the README's example, a docstring for every public name."""

import doctest
import importlib
import inspect
import pkgutil
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest

import pdelab
from pdelab import claims, figures
from pdelab.claims import challenge, decide, errata
from pdelab.cli import build_parser, main

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


SHELL = [line for block in re.findall(r"```bash\n(.*?)```", README, flags=re.S) for line in block.splitlines() if line]
COMMANDS = re.findall(r"`(pdelab [^`]+)`", README) + [line for line in SHELL if line.startswith("pdelab ")]
COMMANDS += [f"pdelab {line.partition('-m pdelab.cli ')[2]}" for line in SHELL if "-m pdelab.cli " in line]
CHEAP = {"list", "verify E3.10 --json"}


def test_the_readmes_headline_is_the_ledgers():
    assert re.search(r"<!-- headline --> (.*?) <!-- /headline -->", README, flags=re.S)[1] == errata.headline()


def test_the_headline_is_written_between_its_marks(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before {errata.MARKS[0]} old {errata.MARKS[1]} after\n", encoding="utf-8")
    errata.refresh_headline(readme)
    expected = f"before {errata.MARKS[0]} {errata.headline()} {errata.MARKS[1]} after\n"
    assert readme.read_text(encoding="utf-8") == expected


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_shell_commands_of_the_readme_are_commands(command):
    words = shlex.split(command)[1:]
    if "--help" in words:
        words.remove("--help")
    if words == ["solve"] or words == ["train"] or words == ["spectrum"] or words == ["solve", "simulate"]:
        words = [*words, "--help"]
    try:
        arguments = build_parser().parse_args(words)
    except SystemExit as stop:
        assert stop.code == 0 and words[-1] == "--help"
        return
    if words[0] == "figure":
        figures.parameters(figures.find(arguments.name), quick=arguments.quick, changes=arguments.set)
    if words[0] == "verify":
        claims.find([id for id in arguments.ids if f'"{id}"' not in README])  # not those of its own example
    if words[0] == "train" and arguments.recipe and find_spec("torch"):
        from pdelab.networks.training import recipe

        assert all(recipe(name) for name in arguments.recipe)


@pytest.mark.parametrize(
    "command", [c for c in sorted(set(COMMANDS)) if c.partition(" ")[2] in CHEAP or " solve " in c]
)
def test_cheap_shell_commands_of_the_readme_run(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(command)[1:]) == 0
    assert capsys.readouterr().out


def test_readme_has_shell_commands_and_links_that_exist():
    assert len(COMMANDS) > 8
    for path in re.findall(r"(?<!!)\[[^\]]*\]\(([^)#:]+)\)", README):
        assert (Path(__file__).parents[1] / path).exists(), path
