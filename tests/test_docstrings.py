"""Docstrings of the public surface, read section by section: nothing is left out and nothing is made up."""

import ast
import inspect
import re
import textwrap

import pytest
from surface import callables, signature

from pdelab.paths.schemes import SCHEMES as STEPS
from pdelab.stepping.protocols import SCHEMES

OF_ALL_SCHEMES = {  # what `pdelab.stepping.Scheme` and the head of `pdelab.paths.schemes` say of all of them
    **{function: {"problem", "grid", "values"} for kind in SCHEMES.values() for function in kind.values()},
    **{function: {"sde", "x", "t", "dt", "noise"} for function in STEPS.values()},
}


def sections(text):
    """{heading: text below it} of a numpydoc docstring; "" is what stands above the first heading."""
    parts = re.split(r"^([A-Z][A-Za-z ]+)\n-{3,}\n", inspect.cleandoc(text or ""), flags=re.M)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2]))}


def names(section):
    """The names that a section of parameters describes: `a, b : float` and `**options` alike."""
    heads = [line.split(" : ")[0] for line in section.splitlines() if line and not line[0].isspace()]
    return {name.strip().lstrip("*") for head in heads for name in head.split(",")}


def refuses(thing):
    """Whether the source of a function, or of what makes an object of a class, raises or checks."""
    makers = (
        [getattr(thing, name, None) for name in ("__init__", "__post_init__")] if inspect.isclass(thing) else [thing]
    )
    trees = [
        ast.parse(textwrap.dedent(inspect.getsource(f)))
        for f in makers
        if inspect.isfunction(f) and f.__module__ == thing.__module__ and "<" not in f.__code__.co_filename
    ]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return any(isinstance(node, ast.Raise) or (isinstance(node, ast.Name) and node.id == "checks") for node in nodes)


def faults(thing):
    """What a docstring lacks, or says of a parameter that there is not."""
    parts, call = sections(thing.__doc__), signature(thing)
    taken = set(call.parameters) - {"self"} if call else set()
    known = (
        names(parts.get("Parameters", ""))
        | names(parts.get("Attributes", ""))
        | names(parts.get("Other Parameters", ""))
    )
    common = OF_ALL_SCHEMES.get(thing, set())
    result = inspect.isclass(thing) and "Attributes" in parts and "Parameters" not in parts
    yield from (f"parameter {name}" for name in sorted(taken - known - common))
    yield from (f"no parameter {name}" for name in sorted(names(parts.get("Parameters", "")) - taken))
    if not inspect.isclass(thing) and call.return_annotation not in (None, "None", "NoReturn") and not common:
        yield from () if {"Returns", "Yields"} & set(parts) else ("Returns",)
    if refuses(thing) and not result and not {"Raises", "Warns"} & set(parts):
        yield "Raises"
    if not result and ">>>" not in parts.get("Examples", ""):
        yield "Examples"


@pytest.mark.parametrize("name", sorted(callables()))
def test_a_docstring_is_complete(name):
    assert not list(faults(callables()[name]))


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
