"""Results on disk: arrays as .npz beside a .json that says how they came about.

A result can always be traced: parameters, seed, versions, command and seconds travel with the numbers. Files appear
whole or not at all.
"""

from __future__ import annotations

import json
import math
import os
import platform
import stat
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "Check", "atomic", "command", "dumps", "load", "load_arrays", "load_json", "output_folder", "provenance", "save",
    "save_json", "versions",
]  # fmt: skip

_UNPACKED = 1 << 30  # bytes; more than that only where the file itself is large
_TEXT = 1 << 28  # bytes of a record: far more than any has


@dataclass(frozen=True)
class Check:
    """A number and the interval it must lie in, ends excluded; None is an open end, two equal ends are one value.

    Attributes
    ----------
    name : str
    value : float
    low, high : float or None
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the value is a number strictly between the ends, or at both of them where they are equal."""
        value = float(self.value)
        if self.low is not None and self.low == self.high:
            return value == self.low
        low, high = (-math.inf if self.low is None else self.low), (math.inf if self.high is None else self.high)
        return low < value < high or (value == low == -math.inf) or (value == high == math.inf)

    def as_dict(self) -> dict:
        """The entry of a figure's sidecar."""
        return {"name": self.name, "value": self.value, "low": self.low, "high": self.high, "holds": self.holds}


def versions(*others: str) -> dict[str, str]:
    """Versions of pdelab, Python, the packages that make the numbers, and those of `others` that are installed.

    Parameters
    ----------
    *others : str
        Names of further packages.

    Returns
    -------
    dict
        {package: version}

    Examples
    --------
    >>> "numpy" in versions()
    True
    """
    numbers = {"python": platform.python_version()}
    for name in ("pdelab", "numpy", "scipy", "numba", "matplotlib", "sympy", "torch", "scikit-learn", *others):
        try:
            numbers[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return numbers


def command() -> str:
    """The command that runs, as a reader would type it (the program's name without its folder).

    Returns
    -------
    str

    Examples
    --------
    >>> isinstance(command(), str)
    True
    """
    program = Path(sys.argv[0])
    ours = "pdelab.cli" if program.parts[-3:-1] == ("pdelab", "cli") else program.parent.name
    run = f"python -m {ours}" if program.name == "__main__.py" else program.name or "python"
    return " ".join([run, *sys.argv[1:]])


def provenance(parameters: dict, seconds: float, seed: int | None = None) -> dict:
    """What every result carries: parameters, seed, versions, command, seconds.

    Parameters
    ----------
    parameters : dict
    seconds : float
    seed : int, optional

    Returns
    -------
    dict

    Examples
    --------
    >>> sorted(provenance({"beta": 1.0}, 0.5, seed=0))
    ['command', 'parameters', 'seconds', 'seed', 'versions']
    """
    return {
        "parameters": parameters,
        "seed": seed,
        "versions": versions(),
        "command": command(),
        "seconds": round(float(seconds), 3),
    }


def save(path: str | PathLike, arrays: Mapping[str, np.ndarray], record: dict) -> tuple[Path, Path]:
    """Write `path`.npz (arrays) and `path`.json (record), each one whole or not at all; returns the two paths.

    Parameters
    ----------
    path : path
        With or without the ending .npz.
    arrays : dict
        {name: array}
    record : dict
        Of plain values, NumPy numbers and arrays.

    Returns
    -------
    (npz, json) : pathlib.Path

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = save(f"{folder}/run", {"x": np.arange(3.0)}, {"beta": 1.0})
    ...     arrays, record = load(f"{folder}/run")
    >>> arrays["x"], record
    (array([0., 1., 2.]), {'beta': 1.0})
    """
    path = Path(path)
    path = path.with_name(path.name.removesuffix(".npz"))
    with atomic(path.with_name(path.name + ".npz")) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **dict(arrays))  # type: ignore[arg-type]
    return path.with_name(path.name + ".npz"), save_json(path.with_name(path.name + ".json"), record)


def load(path: str | PathLike) -> tuple[dict, Any]:
    """Read back what `save` wrote. No pickle is executed.

    Parameters
    ----------
    path : path
        With or without the ending .npz.

    Returns
    -------
    (arrays, record) : dict, dict

    Raises
    ------
    ValueError
        A result that is missing or damaged.

    Examples
    --------
    >>> load("no-such-result")
    Traceback (most recent call last):
        ...
    ValueError: ...
    """
    path = Path(str(path).removesuffix(".npz"))
    return load_arrays(path.with_name(path.name + ".npz")), load_json(path.with_name(path.name + ".json"))


def load_arrays(path: str | PathLike) -> dict[str, np.ndarray]:
    """{name: array} of an .npz; ValueError when it is missing, damaged, or far larger than it looks.

    Parameters
    ----------
    path : path
        Of an .npz.

    Returns
    -------
    dict
        {name: array}

    Raises
    ------
    ValueError
        A file that is missing, damaged, or far larger than it looks.

    Examples
    --------
    >>> load_arrays("no-such.npz")
    Traceback (most recent call last):
        ...
    ValueError: ...
    """
    with _readable(path) as size:
        with zipfile.ZipFile(path) as file:
            unpacked = sum(part.file_size for part in file.infolist())
        if unpacked > max(_UNPACKED, 200 * size):
            raise ValueError(f"it unpacks to {unpacked} bytes")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}


def load_json(path: str | PathLike) -> dict | list:
    """The dict or list in a file that `save_json` wrote; ValueError when it is missing, damaged or no strict JSON.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict or list

    Raises
    ------
    ValueError
        A file that is missing, damaged or no strict JSON.

    Examples
    --------
    >>> load_json("no-such.json")
    Traceback (most recent call last):
        ...
    ValueError: ...
    """
    with _readable(path) as size:
        if size > _TEXT:
            raise ValueError(f"it has {size} bytes")
        content = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        if not isinstance(content, (dict, list)):
            raise ValueError(f"it holds a {type(content).__name__}")
        return content


@contextmanager
def _readable(path):
    """Give the size of a regular file; whatever goes wrong while it is read is said in one sentence."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        yield status.st_size
    except OSError as error:
        raise ValueError(f"cannot read the result {path}: {error.strerror or error}") from error
    except Exception as error:  # NumPy and JSON raise whatever the damage leads to
        raise ValueError(f"the result {path} is damaged: {error}") from error


def _refuse_constant(word):
    raise ValueError(f"{word} is no number of JSON")


def save_json(path: str | PathLike, record: Any) -> Path:
    r"""Write a record as strict JSON (infinities and NaN as strings), atomically; returns the path.

    Parameters
    ----------
    path : path
    record : dict or list

    Returns
    -------
    pathlib.Path

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_json(Path(folder) / "one.json", {"beta": math.inf}).read_text()
    '{\n  "beta": "inf"\n}\n'
    """
    with atomic(path) as temporary:
        temporary.write_text(dumps(record) + "\n", encoding="utf-8")
    return Path(path)


def dumps(record: Any) -> str:
    """JSON text of a record of plain values, NumPy numbers and arrays; infinities and NaN become strings.

    Parameters
    ----------
    record : dict or list

    Returns
    -------
    str

    Examples
    --------
    >>> print(dumps({"x": np.arange(2), "y": math.nan}))
    {
      "x": [
        0,
        1
      ],
      "y": "nan"
    }
    """
    return json.dumps(_plain(record), indent=2, allow_nan=False)


@contextmanager
def atomic(path: str | PathLike) -> Iterator[Path]:
    """Give a temporary path beside `path`; move it there when the block ends well, remove it when it does not.

    Parameters
    ----------
    path : path

    Yields
    ------
    pathlib.Path
        Where to write.

    Raises
    ------
    OSError
        A folder that cannot be written.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic(Path(folder) / "one.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     (Path(folder) / "one.txt").read_text()
    'whole'
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def output_folder(path: str | PathLike) -> Path:
    """Make a folder for results and be sure that it can be written; ValueError says why not.

    Parameters
    ----------
    path : path

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        A folder that cannot be written.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     output_folder(f"{folder}/new").is_dir()
    True
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise ValueError(f"cannot write to the folder {path}: {error.strerror or error}") from error
    return path


def _plain(value):
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, complex):
        return [_plain(value.real), _plain(value.imag)]
    return value
