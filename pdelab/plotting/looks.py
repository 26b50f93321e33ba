"""The look of all pictures: colours and lines by meaning, sizes, figures, files."""

from __future__ import annotations

import io
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from pdelab import checks, records

__all__ = [
    "COLORS", "LINES", "SMALLEST", "STYLE", "WIDTH", "frame", "ink", "look", "save_figure", "style", "subplots",
    "text_width", "wrapped",
]  # fmt: skip

# One meaning, one colour, in every picture of the project. The lightness falls in steps of at least 8 (L*), so that two
# meanings differ in grey as well; to a deuteranope they differ by more than 10 (CIELAB). Tests compute both.
COLORS = {
    "initial": "#d4d4d4",
    "heat": "#f0b32c",
    "sgd": "#a2a2a2",
    "good": "#119a76",
    "viscous": "#c2401d",
    "bad": "#862d88",
    "inviscid": "#0a3a85",
    "loss": "#111111",
    "exact": "#111111",
}
LINES = {
    "initial": (0, (1, 1)),
    "heat": ":",
    "sgd": "-.",
    "good": (0, (8, 2)),
    "viscous": "-",
    "bad": (0, (4, 1, 1, 1, 1, 1)),
    "inviscid": "--",
    "loss": "-",
    "exact": "-",
}
WIDTH = 8.0  # inches, the widest picture
SMALLEST = 8.0  # points, the smallest letters in print
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # of linear red, green and blue

STYLE: dict[Any, Any] = {
    "figure.dpi": 110,
    "savefig.dpi": 160,
    "figure.constrained_layout.use": True,
    "font.size": 9.5,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "axes.prop_cycle": f"cycler(color={[COLORS[k] for k in ('inviscid', 'viscous', 'heat', 'bad', 'good', 'sgd')]})",
    "image.cmap": "viridis",
    "svg.hashsalt": "pdelab",
    "svg.fonttype": "path",
}


def style() -> Any:
    """The project's style, as a context: `with style(): ...` draws and saves in it.

    Returns
    -------
    context manager

    Examples
    --------
    >>> with style():
    ...     figure, ax = subplots()
    """
    import matplotlib

    return matplotlib.rc_context(STYLE)


def look(meaning: str) -> dict[str, Any]:
    """Colour and line style of a meaning, as keywords of a line: `ax.plot(x, y, **look("viscous"))`.

    Parameters
    ----------
    meaning : key of COLORS

    Returns
    -------
    dict with "color" and "ls"

    Raises
    ------
    ValueError
        An unknown meaning.

    Examples
    --------
    >>> sorted(look("viscous"))
    ['color', 'ls']
    """
    checks.choice("meaning", meaning, COLORS)
    return {"color": COLORS[meaning], "ls": LINES[meaning]}


def frame(figure: Any, title: str, corner: str = "") -> Any:
    """Put the message above a figure and its parameters below; no letter smaller than 8 pt, not wider than 8 inches.

    Parameters
    ----------
    figure : matplotlib Figure
    title : str, wrapped to the width
    corner : str, in small letters at the lower right

    Returns
    -------
    matplotlib Figure
        The same.

    Examples
    --------
    >>> figure, ax = subplots()
    >>> frame(figure, "A message", "beta = 1") is figure
    True
    """
    from matplotlib.text import Text

    width, height = figure.get_size_inches()
    figure.set_size_inches(min(width, WIDTH), height)
    room = 72 * 0.98 * figure.get_size_inches()[0]
    figure.suptitle(wrapped(title, room, 11.0), x=0.01, ha="left", fontsize=11)
    if corner:
        said = wrapped(corner, room, SMALLEST, between=" · ")
        figure.supxlabel(said, x=0.99, ha="right", fontsize=SMALLEST, color="#555555")
    _wrap_words(figure)
    for text in figure.findobj(Text):
        text.set_fontsize(max(text.get_fontsize(), SMALLEST))
    return figure


@cache
def text_width(text, size):
    """Width of one line of text in points: of the corners of its letters' outlines, which hold the curves."""
    from matplotlib.textpath import TextPath

    if not text.strip():
        return 0.0
    outline = TextPath((0, 0), text, size=size)
    return float(np.ptp(outline.vertices[outline.codes != TextPath.CLOSEPOLY, 0]))


def wrapped(text, room, size, between=" "):
    """A text broken into lines no wider than a room in points, as far as its parts allow."""
    lines = []
    for paragraph in text.split("\n"):
        line, *parts = paragraph.split(between)
        for part in parts:
            longer = line + between + part
            if text_width(longer, size) <= room:
                line = longer
            else:
                lines.append(line)
                line = part
        lines.append(line)
    return "\n".join(lines)


def ink(color):
    """A colour for letters on white: the same, darkened where its contrast with white is below 4.5."""
    from matplotlib.colors import to_hex, to_rgb

    rgb = np.array(to_rgb(color))
    light = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    light *= min(1.0, (1.05 / 4.5 - 0.05) / max(light @ LUMINANCE, 1e-9))
    return to_hex(np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))


def _wrap_words(figure):
    """Break titles and names below axes that would reach into the axes beside them, or out of the picture."""
    size = STYLE["axes.labelsize"]
    width = 72 * figure.get_size_inches()[0]
    words = [(ax, text_width(line, size)) for ax in figure.axes for line in (ax.get_title(loc="left"), ax.get_xlabel())]
    if all(needed < 0.8 * _room(ax, width) for ax, needed in words):
        return
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    for ax in figure.axes:
        if ax.get_title(loc="left"):
            ax.set_title(wrapped(ax.get_title(loc="left"), _room(ax, width), size), loc="left")
        if ax.get_xlabel():
            ax.set_xlabel(wrapped(ax.get_xlabel(), _room(ax, width), size))


def _room(ax, width):
    """Points from the left of axes to what stands right of them: the nearest axes, or the end of the figure."""
    own = ax.get_position()
    others = [other.get_position() for other in ax.figure.axes if other is not ax]
    beside = [box.x0 for box in others if box.x0 > own.x0 + 0.01 and box.y0 < own.y1 and own.y0 < box.y1]
    return (min(beside, default=1.0) - own.x0) * width - 10.0


@cache
def _shown():
    """A Figure that notebooks show by itself, without pyplot and its state."""
    from matplotlib.figure import Figure

    class Shown(Figure):
        def _repr_png_(self):
            buffer = io.BytesIO()
            self.savefig(buffer, format="png", dpi=90, metadata={"Software": None})
            return buffer.getvalue()

    return Shown


def subplots(rows: int = 1, columns: int = 1, size: tuple[float, float] = (7.0, 4.0), **kwargs: Any) -> Any:
    """A figure and its axes in the project's style, drawn without a display.

    Parameters
    ----------
    rows, columns : int >= 1
    size : (width, height) in inches
    **kwargs
        Of `matplotlib.figure.Figure.subplots`.

    Returns
    -------
    (figure, axes)

    Examples
    --------
    >>> figure, axes = subplots(1, 2)
    >>> len(axes)
    2
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with style():
        figure = _shown()(figsize=size)
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, **kwargs)
    return figure, axes


def save_figure(figure: Any, stem: str | PathLike) -> Path:
    """Write stem.png and stem.svg, byte for byte the same for the same data; returns the path of the PNG.

    Parameters
    ----------
    figure : matplotlib Figure
    stem : path
        Without an ending.

    Returns
    -------
    pathlib.Path
        Of the PNG.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_figure(subplots()[0], f"{folder}/empty").name
    'empty.png'
    """
    stem = Path(stem)
    picture = stem.with_name(stem.name + ".png")
    with style():
        with records.atomic(picture) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})
        engine = figure.get_layout_engine()
        figure.set_layout_engine("none")  # the second format keeps the places of the first
        with records.atomic(stem.with_name(stem.name + ".svg")) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})
        figure.set_layout_engine(engine)
    return picture
