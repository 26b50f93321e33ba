"""Generated Python modules kept on disk, so that compiled code made from a formula outlives the process.

A module is written once to the cache directory, whole or not at all, and imported from there: functions in it that are
declared `@njit(cache=True)` are then kept by Numba beside it, and a later process pays for neither. Where the directory
cannot be written, the module lives in memory for the length of the process.

What is kept there is run: the directory is the user's own and closed to others (0700), nobody else may replace a folder
above it, and files that others own or may write, Numba's among them, are not read.
"""

from __future__ import annotations

import hashlib
import linecache
import os
import stat
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from numba import config

from pdelab.records import atomic

__all__ = ["cache_directory", "compiled_module"]

_LOCK = threading.RLock()
_FIRST_LINE = "# sha256 of what follows: "
_STAMP = 946684800  # one modification time for all: rewriting a file must not make Numba's copy beside it look stale


def cache_directory() -> Path:
    """The folder of generated modules: $PDELAB_CACHE, or `pdelab` in the user's cache directory of this system.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        A relative path, since what it means would depend on where the process happens to stand.

    Examples
    --------
    >>> cache_directory().is_absolute()
    True
    """
    if chosen := os.environ.get("PDELAB_CACHE"):
        folder = Path(chosen).expanduser()
        if not folder.is_absolute():
            raise ValueError(f"PDELAB_CACHE: expected an absolute path, got {chosen!r}")
        return folder
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        named = os.environ.get("XDG_CACHE_HOME", "")
        base = named if os.path.isabs(named) else Path.home() / ".cache"  # a relative one is to be ignored (XDG)
    return Path(base) / "pdelab"


def compiled_module(source: str | Callable[[], str], key: str | None = None) -> ModuleType:
    r"""Import generated Python source as a module that is kept on disk.

    Parameters
    ----------
    source : str or callable
        The module's text, or a function without arguments that makes it; the function is called only when no kept
        copy is found. Compiled functions in it are first order and declared `@njit(cache=True, ...)`.
    key : str, optional
        What the text depends on (inputs and versions). By default the text itself; required for a callable.

    Returns
    -------
    module
        Imported once in a process; `__source__` is its text, `__file__` where it is kept (None: in memory only).

    Raises
    ------
    ValueError
        A source that is made by a function, without a key.

    Notes
    -----
    Two processes may make the same module at once: each writes a whole file of the same content. A copy that does not
    match its checksum is made anew.

    Examples
    --------
    >>> text = "from numba import njit\n\n@njit(cache=True)\ndef twice(x):\n    return 2 * x\n"
    >>> compiled_module(text).twice(21)
    42
    """
    if key is None:
        if callable(source):
            raise ValueError("key: expected text beside a source that a function makes, got None")
        key = source
    name = "pdelab_generated_" + _digest(key)[:32]
    with _LOCK:
        if name not in sys.modules:
            path, text = _find(name)
            if text is None:
                text = source() if callable(source) else source
                path = path and _keep(path, text)
            sys.modules[name] = _load(name, path, text)
        return sys.modules[name]


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def _find(name):
    """Where the module is or should be kept (None: nowhere) and its text, if a whole copy is there."""
    try:
        folder = cache_directory()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if reason := _distrust(folder, name):
            _warn(reason)
            return None, None
        path = folder / f"{name}.py"
        first, _, text = path.read_text(encoding="utf-8").partition("\n")
    except FileNotFoundError:
        return path, None
    except ValueError as error:
        if not isinstance(error, UnicodeDecodeError):
            _warn(str(error))
        return None, None
    except (OSError, RuntimeError):  # RuntimeError: the user has no home directory
        return None, None
    return path, text if first == _FIRST_LINE + _digest(text) else None


def _distrust(folder, name):
    """Why modules in this folder might not be the user's own; None if nobody else can have put them there."""
    if not hasattr(os, "getuid"):  # Windows: a user's folders are closed to others
        return None
    folder = folder.resolve()
    numba = [Path(chosen).resolve()] if (chosen := config.CACHE_DIR) else []  # also named by .numba_config.yaml
    if folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & 0o022:
        folder.chmod(0o700)
    for own in (folder, *(place for place in numba if place.exists())):
        if _foreign(own):
            return f"{own} belongs to someone else or others may write to it"
        for above in own.parents:
            status = above.stat()
            open_to_others = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
            if status.st_uid not in (0, os.getuid()) or open_to_others:
                return f"others may replace folders in {above}"
    index = folder / "__pycache__"
    kept = [folder / f"{name}.py", index, *index.glob(f"{name}*"), *(f for n in numba for f in n.rglob(f"{name}*"))]
    for file in kept:
        if (file.exists() or file.is_symlink()) and _foreign(file):
            return f"{file} belongs to someone else or others may write to it"
    return None


def _foreign(path):
    """Is it a link, someone else's, or open to the pens of others?"""
    status = path.lstat()
    return stat.S_ISLNK(status.st_mode) or status.st_uid != os.getuid() or bool(status.st_mode & 0o022)


def _warn(reason):
    text = f"compiled formulas are not kept: {reason}; set PDELAB_CACHE to an absolute path in a folder of your own"
    warnings.warn(text, RuntimeWarning, stacklevel=5)


def _keep(path, text):
    """Write the module; returns its path, or None where that is impossible."""
    try:
        with atomic(path) as temporary:
            temporary.write_text(f"{_FIRST_LINE}{_digest(text)}\n{text}", encoding="utf-8")
            os.utime(temporary, (_STAMP, _STAMP))
        path.chmod(0o600)
    except OSError:
        return None
    return path


def _load(name, path, text):
    """Run the text as a module: from its file, or in memory and then without Numba's disk cache."""
    if path is not None:
        try:
            # one line down, where the text stands in the file
            return _execute(ModuleType(name), str(path), "\n" + text, text, str(path))
        except RuntimeError as error:
            if "cannot cache function" not in str(error):  # Numba found no folder it may write to
                raise
    text = text.replace("cache=True", "cache=False")
    filename = f"<{name}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    return _execute(ModuleType(name), filename, text, text, None)


def _execute(module, filename, code, text, file):
    module.__file__, module.__source__ = file, text
    exec(compile(code, filename, "exec"), module.__dict__)
    return module
