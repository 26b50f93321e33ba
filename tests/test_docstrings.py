"""Docstrings of the public surface, read section by section: nothing is left out and nothing is made up."""

import ast
import inspect
import re
import textwrap

import pytest
from surface import callables, methods, signature

from pdelab.generator.coefficients import DiffusionProblem
from pdelab.paths.schemes import SCHEMES as STEPS
from pdelab.paths.systems import System
from pdelab.stepping.protocols import SCHEMES, Problem

OF_ALL_SCHEMES = {  # what `pdelab.stepping.Scheme` and the head of `pdelab.paths.schemes` say of all of them
    **{function: {"problem", "grid", "values"} for kind in SCHEMES.values() for function in kind.values()},
    **{function: {"sde", "x", "t", "dt", "noise"} for function in STEPS.values()},
}
OF_ALL_SYSTEMS = {"x", "t", "dw"}  # what the docstring of `System` says of its methods


def sections(text):
    """{heading: text below it} of a numpydoc docstring; "" is what stands above the first heading."""
    parts = re.split(r"^([A-Z][A-Za-z ]+)\n-{3,}\n", inspect.cleandoc(text or ""), flags=re.M)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2]))}


def names(section):
    """The names that a section of parameters describes: `a, b : float` and `**options` alike."""
    heads = [line.split(" : ")[0] for line in section.splitlines() if line and not line[0].isspace()]
    return {name.strip().lstrip("*") for head in heads for name in head.split(",")}


def refuses(value):
    """Whether the source of a function, or of what makes an object of a class, raises or checks."""
    makers = (
        [getattr(value, name, None) for name in ("__init__", "__post_init__")] if inspect.isclass(value) else [value]
    )
    trees = [
        ast.parse(textwrap.dedent(inspect.getsource(f)))
        for f in makers
        if inspect.isfunction(f) and f.__module__ == value.__module__ and "<" not in f.__code__.co_filename
    ]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return any(isinstance(node, ast.Raise) or (isinstance(node, ast.Name) and node.id == "checks") for node in nodes)


def faults(value, common=frozenset()):
    """What a docstring lacks, or says of a parameter that there is not."""
    parts, call = sections(value.__doc__), signature(value)
    taken = set(call.parameters) - {"self", "cls"} if call else set()
    known = (
        names(parts.get("Parameters", ""))
        | names(parts.get("Attributes", ""))
        | names(parts.get("Other Parameters", ""))
    )
    common = common or OF_ALL_SCHEMES.get(value, set())
    result = inspect.isclass(value) and "Attributes" in parts and "Parameters" not in parts
    yield from (f"parameter {name}" for name in sorted(taken - known - common))
    yield from (f"no parameter {name}" for name in sorted(names(parts.get("Parameters", "")) - taken))
    if not inspect.isclass(value) and call.return_annotation not in (None, "None", "NoReturn") and not common:
        yield from () if {"Returns", "Yields"} & set(parts) else ("Returns",)
    if refuses(value) and not result and not {"Raises", "Warns"} & set(parts):
        yield "Raises"
    if not result and ">>>" not in parts.get("Examples", ""):
        yield "Examples"


def faults_of_method(kind, name):
    """The same of a method; an example is not asked for, nor a word more than a sentence where nothing is taken."""
    method, others = methods(kind)[name], [*kind.__mro__[1:], Problem, DiffusionProblem]
    taken = set(signature(method).parameters) - {"self", "cls"}
    common = OF_ALL_SYSTEMS & taken if issubclass(kind, System) else set()
    lacks = [fault for fault in faults(method, common) if fault != "Examples" and (taken or fault != "Returns")]
    described = (methods(base)[name] for base in others if isinstance(base, type) and name in methods(base))
    if not any(taken <= names(sections(role.__doc__).get("Parameters", "")) for role in described):
        yield from lacks
    if not inspect.getdoc(getattr(kind, name)):
        yield "a sentence"


@pytest.mark.parametrize("name", sorted(callables()))
def test_a_docstring_is_complete(name):
    assert not list(faults(callables()[name]))


@pytest.mark.parametrize("name", sorted(name for name, value in callables().items() if inspect.isclass(value)))
def test_docstrings_of_methods_are_complete(name):
    kind = callables()[name]
    assert not {method: lacks for method in methods(kind) if (lacks := list(faults_of_method(kind, method)))}


def test_faults_are_found():
    def half(x: float, y: float) -> float:
        """x/2.

        Parameters
        ----------
        x, z : float
        """
        if x < 0:
            raise ValueError
        return x / 2

    assert list(faults(half)) == ["parameter y", "no parameter z", "Returns", "Raises", "Examples"]

    class Mute:
        def part(self, x: float) -> float:
            return x

    class Third(System):
        def rest(self, x: float, k: int) -> float:
            """x/3."""
            return x / 3

        def expand(self, values: float) -> float:
            """As they are."""
            return values

    assert list(faults_of_method(Mute, "part")) == ["parameter x", "Returns", "a sentence"]
    assert list(faults_of_method(Third, "rest")) == ["parameter k"] and not list(faults_of_method(Third, "expand"))
