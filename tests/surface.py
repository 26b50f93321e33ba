"""The public surface: what public modules list in `__all__`, and the public methods of its classes."""

import functools
import importlib
import inspect
import sys
import types
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "docs"))

import pages  # noqa: E402 - of the site, which says what is public


def public_modules():
    """{name: module} of those that can be imported here: the pages of the site's reference."""
    return {name: importlib.import_module(name) for name in pages.public_names()}


@functools.cache
def callables():
    """{qualified name: function or class}, each once, under its own module's name."""
    public = {}
    for module in public_modules().values():
        for name in module.__all__:
            value = getattr(module, name)
            if isinstance(value, (types.FunctionType, type)):
                public[f"{value.__module__}.{value.__qualname__}"] = value
    return public


def methods(kind):
    """{name: function} of the public methods and properties that a class defines itself."""
    functions = {}
    for name, member in vars(kind).items():
        member = getattr(member, "fget", None) or getattr(member, "func", None) or getattr(member, "__func__", member)
        if isinstance(member, types.FunctionType) and not name.startswith("_") and member.__name__ == name:
            functions[name] = member
    return functions


def signature(value):
    """The signature of a function, or of what makes an object of a class; None where the class is not called."""
    if inspect.isclass(value):
        plain = value.__init__ in (object.__init__, Exception.__init__) or getattr(value, "_is_protocol", False)
        return None if plain or issubclass(value, Exception) else inspect.signature(value.__init__)
    return inspect.signature(value)
