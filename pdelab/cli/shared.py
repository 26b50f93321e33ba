"""What the verbs share: progress and notes on stderr, first lines of docstrings."""

import os
import sys
from pathlib import Path

__all__ = ["compiled", "first_line", "note", "progress", "quiet", "say_compiling", "show"]

_QUIET: set[bool] = set()  # holds True after --quiet


def quiet(wanted):
    """Whether notes and bars are left out from now on."""
    _QUIET.clear()
    _QUIET.update([True] if wanted else [])


def progress(total, unit, shown=True):
    """A progress bar on stderr, where that is a terminal and nobody asked for quiet."""
    from tqdm import tqdm

    options = {
        "mininterval": 0.5,
        "dynamic_ncols": True,
        "leave": False,
        "disable": None if shown and not _QUIET else True,
    }
    return tqdm(total=total, unit=f" {unit}", file=sys.stderr, **options)


def note(text):
    """Say something on stderr, unless quiet was asked for."""
    if not _QUIET:
        print(text, file=sys.stderr, flush=True)


def first_line(documented):
    """The first line of a docstring, or nothing."""
    return (documented.__doc__ or "").strip().splitlines()[0] if documented.__doc__ else ""


def compiled():
    """Whether Numba has kernels of this package in store; True where it cannot be known."""
    import pdelab

    home = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(pdelab.__file__).parent)
    return not os.access(home, os.W_OK) or next(home.rglob("*.nbi"), None) is not None


def say_compiling():
    """Say that the first run compiles, where it does; returns whether."""
    first = not compiled()
    if first:
        note("compiling once: this first run takes longer, what is compiled is kept")
    return first


def show(bar, done, total):
    """Move a bar to what is done."""
    bar.total = total
    bar.update(done - bar.n)
