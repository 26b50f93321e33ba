"""What the verbs share: progress and notes on stderr, first lines of docstrings."""

import sys


def progress(total, unit, shown=True):
    """A progress bar on stderr."""
    from tqdm import tqdm

    options = {"mininterval": 0.5, "dynamic_ncols": True, "leave": False, "disable": not shown}
    return tqdm(total=total, unit=f" {unit}", file=sys.stderr, **options)


def note(text):
    """Say something on stderr."""
    print(text, file=sys.stderr, flush=True)


def first_line(thing):
    """The first line of a docstring, or nothing."""
    return (thing.__doc__ or "").strip().splitlines()[0] if thing.__doc__ else ""
