"""Boundary conditions: their names and meanings, what each end of a grid has, and which of them an equation takes.

A boundary is a name an axis, or a pair of names, one an end. Other modules ask `grid.periodic`, `grid.ends` and
`grid.on_end`, and refuse by `only`: a new name begins here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pdelab import checks

__all__ = ["CLOSED", "FREE", "MEANINGS", "NAMES", "only", "pair", "per_axis"]

MEANINGS = {
    "reflecting": "no flux: mirror images, the Neumann problem",
    "outflow": "free ends of Hamilton-Jacobi and Burgers",
    "periodic": "the upper end is the lower one again; both ends of an axis",
    "absorbing": "what arrives has left for ever: zero densities and values there, the Dirichlet problem",
}
NAMES = tuple(MEANINGS)
FREE = ("reflecting", "outflow", "periodic")  # of Hamilton-Jacobi, heat and Burgers, alike at both ends of an axis
CLOSED = ("reflecting", "periodic")  # nothing leaves


def per_axis(boundary: str | Sequence[str | Sequence[str]], lengths: Sequence[int]) -> tuple:
    """A boundary as one entry an axis: a name, or a pair (lower, upper) of different names.

    On an interval two names are its two ends; with more axes they are one an axis, and an entry may be a pair.

    Parameters
    ----------
    boundary : str, or sequence of str and pairs
        As `Grid` takes it.
    lengths : sequence of int
        How many numbers the corners and the shape have.

    Returns
    -------
    tuple
        One entry an axis.

    Examples
    --------
    >>> per_axis("periodic", (2, 2)), per_axis(("absorbing", "reflecting"), (1, 1))
    (('periodic', 'periodic'), (('absorbing', 'reflecting'),))
    """
    entries = (boundary,) if isinstance(boundary, str) else _sequence(boundary)
    dimension = max(lengths)
    if dimension == 1 and len(entries) == 2 and all(isinstance(name, str) for name in entries):
        entries = (entries,)
    entries = tuple(_checked(entry) for entry in entries)
    return entries * dimension if len(entries) == 1 else entries


def pair(entry: str | tuple[str, str]) -> tuple[str, str]:
    """(lower, upper) names of an axis.

    Parameters
    ----------
    entry : str or (str, str)
        One entry of `Grid.boundary`.

    Returns
    -------
    (lower, upper) : str

    Examples
    --------
    >>> pair("periodic"), pair(("absorbing", "reflecting"))
    (('periodic', 'periodic'), ('absorbing', 'reflecting'))
    """
    return (entry, entry) if isinstance(entry, str) else entry


def only(grid: Any, allowed: Sequence[str], equation: str) -> None:
    """Refuse a grid with a boundary that an equation does not take, or with two different ends where it takes one.

    Parameters
    ----------
    grid : Grid
    allowed : sequence of str
        Names that serve.
    equation : str
        What is solved, for the message.

    Raises
    ------
    ValueError
        Another boundary; two different ends of an axis.

    Examples
    --------
    >>> from pdelab.grid import Grid
    >>> only(Grid(0.0, 1.0, 3), CLOSED, "this example")
    """
    for entry in grid.boundary:
        if entry not in allowed:
            checks.refuse("boundary", f"{' or '.join(allowed)} for {equation}", entry)


def _sequence(boundary):
    try:
        return tuple(boundary)
    except TypeError:
        return checks.refuse("boundary", f"{', '.join(NAMES)}, one an axis or a pair an axis", boundary)


def _checked(entry):
    """A name, or a pair of names as a tuple; two equal names are one."""
    names = (entry,) if isinstance(entry, str) else _sequence(entry)
    for name in names:
        if not isinstance(name, str) or name not in NAMES:
            raise ValueError(f"boundary: expected one of {', '.join(NAMES)}, got {name!r}")
    if len(names) not in (1, 2):
        checks.refuse("boundary", "a name or a pair (lower end, upper end) for each axis", entry)
    if len(set(names)) == 1:
        return names[0]
    if "periodic" in names:
        checks.refuse("boundary", "periodic at both ends of an axis or at none", entry)
    return tuple(names)
