"""`__all__` says what each module has for others, and others take nothing else.

Modules whose functions are collected have none: there a name that is defined without an underscore is for others.
"""

import ast
import importlib
import pkgutil
from importlib.util import find_spec
from pathlib import Path

import pytest

import pdelab

ROOT = Path(pdelab.__file__).parent
FILES = ["pdelab", *(m.name for m in pkgutil.walk_packages(pdelab.__path__, "pdelab."))]
COLLECTED = {  # by their twins, by the ledger, by the gallery
    name
    for name in FILES
    if name.startswith(("pdelab.kernels", "pdelab.claims.", "pdelab.figures.")) and name != "pdelab.claims.errata"
}
MODULES = [name for name in FILES if name not in COLLECTED and not name.endswith("__main__")]


def source(name):
    path = ROOT.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def defined(tree):
    """Functions and classes of a module without an underscore."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")}


def for_others(module):
    """The names that other files may take of a module."""
    if module not in COLLECTED:
        return set(importlib.import_module(module).__all__)
    tree = ast.parse(source(module).read_text(encoding="utf-8"))
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    names = {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    return defined(tree) | {name for name in names if not name.startswith("_")}


def taken(tree):
    """(module, name) of all that a file takes of pdelab: `from module import name`, and `module.name` of a module."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module.startswith("pdelab")]
    pairs = {(node.module, alias.name): alias.asname or alias.name for node in imports for alias in node.names}
    local = {called: f"{module}.{name}" for (module, name), called in pairs.items() if f"{module}.{name}" in FILES}
    attributes = [
        node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    ]
    return {*pairs, *((local[node.value.id], node.attr) for node in attributes if node.value.id in local)}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_is_public(name):
    if name.startswith("pdelab.networks"):
        pytest.importorskip("torch")
    module, tree = importlib.import_module(name), ast.parse(source(name).read_text(encoding="utf-8"))
    assert len(set(module.__all__)) == len(module.__all__)
    assert all(hasattr(module, key) and not key.startswith("_") for key in module.__all__)
    assert defined(tree) <= set(module.__all__)


def test_files_take_only_what_is_public():
    surplus = []
    for path in sorted(ROOT.rglob("*.py")):
        for module, name in taken(ast.parse(path.read_text(encoding="utf-8"))):
            if f"{module}.{name}" in FILES or module.endswith("__main__") or name.startswith("__"):
                continue
            if find_spec("torch") is None and module.startswith("pdelab.networks"):
                continue
            if name not in for_others(module):
                surplus.append(f"{path.relative_to(ROOT)} takes {module}.{name}")
    assert not surplus


def test_what_is_taken_is_seen():
    text = "from pdelab import checks\nfrom pdelab.grid import Grid as G\ncheck = checks.positive\nother = G.axes"
    wanted = {("pdelab", "checks"), ("pdelab.grid", "Grid"), ("pdelab.checks", "positive")}
    assert taken(ast.parse(text)) == wanted


def test_collected_modules_offer_what_they_define():
    names = for_others("pdelab.kernels.modes")
    assert {"slowest", "SMALL"} <= names and not names & {"np", "njit"}
