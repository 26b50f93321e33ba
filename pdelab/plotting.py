"""Plots: one style for all pictures, and the few drawings that people make again and again.

The only place besides `pdelab.figures` that imports matplotlib. Functions take `ax` and return it.
"""

from __future__ import annotations

import io
import math
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pdelab import checks, records
from pdelab.stepping import Solution

__all__ = [
    "COLORS", "LINES", "STYLE", "animate", "drag", "frame", "label_ends", "legend_above", "look", "observed_order",
    "orders", "plot", "plot_paths", "save_figure", "style", "subplots",
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
    if meaning not in COLORS:
        raise ValueError(f"meaning: expected one of {', '.join(COLORS)}, got {meaning!r}")
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
    figure.suptitle(_wrapped(title, figure, 11.0), x=0.01, ha="left", fontsize=11)
    if corner:
        said = _wrapped(corner, figure, SMALLEST)
        figure.supxlabel(said, x=0.99, ha="right", fontsize=SMALLEST, color="#555555")
    for ax in figure.axes:
        if ax.get_title(loc="left"):
            ax.set_title(_wrapped(ax.get_title(loc="left"), figure, STYLE["axes.titlesize"], _share(ax)), loc="left")
    for text in figure.findobj(Text):
        text.set_fontsize(max(text.get_fontsize(), SMALLEST))
    return figure


def _wrapped(text, figure, size, share=1.0):
    """A text broken into lines that fit a share of a figure: a letter is a bit more than half as wide as high."""
    letters = int(72 * share * figure.get_size_inches()[0] / (0.56 * size))
    lines = [part for line in text.split("\n") for part in textwrap.wrap(line, letters, break_long_words=False)]
    return "\n".join(lines)


def _share(ax):
    """The part of the figure's width that axes of a grid of axes take."""
    place = ax.get_subplotspec()
    if place is None:
        return 1.0
    grid = place.get_gridspec()
    widths = grid.get_width_ratios() or [1] * grid.ncols
    return 0.9 * sum(widths[place.colspan.start : place.colspan.stop]) / sum(widths)


def legend_above(ax: Any, columns: int = 1) -> Any:
    """The legend above the axes, where it hides nothing, below the title if there is one.

    Parameters
    ----------
    ax : matplotlib axes
    columns : int >= 1

    Returns
    -------
    matplotlib legend

    Examples
    --------
    >>> _, ax = subplots()
    >>> line = ax.plot([0.0, 1.0], [0.0, 1.0], label="a line")
    >>> [text.get_text() for text in legend_above(ax).get_texts()]
    ['a line']
    """
    title = ax.get_title(loc="left")
    ax.set_title("", loc="left")
    keys = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.2, "alignment": "left"}
    return ax.legend(ncols=columns, title=title or None, title_fontsize=STYLE["axes.titlesize"], **keys)


def label_ends(ax: Any, gap: float = 0.085) -> Any:
    """Name the labelled lines of an axes at their right ends, kept apart, in place of a legend.

    Parameters
    ----------
    ax : matplotlib axes
        Its limits final.
    gap : float
        The least distance of two names, in heights of the axes.

    Returns
    -------
    matplotlib axes
        The same.

    Examples
    --------
    >>> _, ax = subplots()
    >>> line = ax.plot([0.0, 1.0], [0.0, 1.0], label="a line")
    >>> label_ends(ax).texts[-1].get_text()
    'a line'
    """
    ends = []
    for line in ax.get_lines():
        if not line.get_label().startswith("_"):
            x, y = (np.asarray(v, float) for v in line.get_data())
            last = np.flatnonzero(np.isfinite(y) & (x <= max(ax.get_xlim())))[-1]
            height = ax.transAxes.inverted().transform(ax.transData.transform((x[last], y[last])))[1]
            ends.append((float(height), line))
    ends.sort(key=lambda end: end[0])
    for place, (_, line) in zip(_apart([height for height, _ in ends], gap), ends):
        ax.annotate(
            line.get_label(), (1.0, place), xycoords="axes fraction", xytext=(4, 0), textcoords="offset points",
            color=line.get_color(), va="center", fontsize=SMALLEST, annotation_clip=False,
        )  # fmt: skip
    return ax


def _apart(places, gap):
    """Ascending places moved as little upwards, then downwards, as a gap between neighbours inside [0, 1] asks for."""
    moved = list(places)
    for k in range(1, len(moved)):
        moved[k] = max(moved[k], moved[k - 1] + gap)
    top = 1.0
    for k in reversed(range(len(moved))):
        moved[k] = min(moved[k], top)
        top = moved[k] - gap
    return moved


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
        with records.atomic(stem.with_name(stem.name + ".svg")) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})
    return picture


def plot(solution: Solution, ax: Any = None, times: Sequence[int] | None = None) -> Any:
    """Draw a Solution: curves at the saved times in one dimension, a filled map of the final field in two.

    Parameters
    ----------
    solution : Solution
    ax : matplotlib axes, optional
    times : indices of saved times to draw, optional (one dimension); by default at most eight of them

    Returns
    -------
    matplotlib axes

    Raises
    ------
    ValueError
        A three-dimensional field.

    Examples
    --------
    >>> import pdelab as pl
    >>> heat = pl.solve(pl.Heat(viscosity=0.1), pl.Loss("cos(x)"), pl.Grid(-3.0, 3.0, 33), [0.0, 0.5, 1.0])
    >>> len(plot(heat).lines)
    3
    """
    import matplotlib

    grid = solution.grid
    if grid.dimension > 2:
        raise ValueError("plot draws one and two dimensions: take a slice of a three-dimensional field first")
    if ax is None:
        _, ax = subplots()
    with style():
        if grid.dimension == 2:
            return _map(solution, grid, ax)
        chosen = np.unique(np.linspace(0, len(solution.times) - 1, 8).astype(int)) if times is None else times
        shades = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.85, len(chosen)))
        for k, shade in zip(chosen, shades):
            ax.plot(grid.x, solution.values[k], color=shade, label=f"t = {solution.times[k]:.3g}")
        ax.set(xlabel="x", ylabel="u")
        ax.legend()
    return ax


def _map(solution, grid, ax):
    mesh = ax.pcolormesh(*grid.axes, solution.final.T, shading="nearest", rasterized=True)
    ax.figure.colorbar(mesh, ax=ax, label="u")
    ax.set(xlabel="x", ylabel="y", title=f"t = {solution.times[-1]:.3g}", aspect="equal")
    return ax


def plot_paths(paths: Any, ax: Any = None, most: int = 30, component: int = 0) -> Any:
    """Draw Paths: the first of them in grey, their mean with two standard errors on top.

    Parameters
    ----------
    paths : Paths
    ax : matplotlib axes, optional
    most : int, how many paths are drawn
    component : int, which coordinate

    Returns
    -------
    matplotlib axes

    Raises
    ------
    ValueError
        Where the states were not stored.

    Examples
    --------
    >>> import pdelab as pl
    >>> run = pl.simulate(pl.Langevin(pl.Loss("x**2/2"), 1.0), 1.0, t=1.0, dt=0.1, paths=5, seed=0, save_every=1)
    >>> len(plot_paths(run, most=3).lines)
    4
    """
    if paths.states is None:
        raise ValueError("paths: expected stored states, got a result of store=False")
    if ax is None:
        _, ax = subplots()
    states = paths.states if paths.states.ndim == 2 else paths.states[..., component]
    mean, error = states.mean(1), states.std(1, ddof=1) / np.sqrt(states.shape[1]) if states.shape[1] > 1 else 0.0
    with style():
        ax.plot(paths.times, states[:, :most], color=COLORS["sgd"], lw=0.7, alpha=0.6)
        ax.fill_between(paths.times, mean - 2 * error, mean + 2 * error, color=COLORS["viscous"], alpha=0.3, lw=0)
        ax.plot(paths.times, mean, **look("viscous"), label=f"mean of {states.shape[1]}, ±2 standard errors")
        ax.set(xlabel="t", ylabel="x" if paths.states.ndim == 2 else f"x{component}")
        ax.legend()
    return ax


def animate(solution: Solution, interval: float = 60) -> Any:
    """An animation of a Solution over its saved times, one or two dimensions; notebooks show it by itself.

    Parameters
    ----------
    solution : Solution
    interval : float > 0, milliseconds from one saved time to the next

    Returns
    -------
    matplotlib.animation.FuncAnimation
        `.save("solution.gif")` writes it, `.to_jshtml()` is a page with buttons.

    Raises
    ------
    ValueError
        A three-dimensional field.

    Examples
    --------
    >>> import pdelab as pl
    >>> heat = pl.solve(pl.Heat(viscosity=0.1), pl.Loss("cos(x)"), pl.Grid(-3.0, 3.0, 33), [0.0, 0.5, 1.0])
    >>> len(list(pl.plotting.animate(heat).new_frame_seq()))
    3
    """
    grid = solution.grid
    if grid.dimension > 2:
        raise ValueError("animate draws one and two dimensions: take a slice of a three-dimensional field first")
    interval = checks.positive("interval", interval)
    figure, ax = subplots()
    low, high = float(np.min(solution.values)), float(np.max(solution.values))
    room = 0.05 * (high - low) or 1.0
    with style():
        if grid.dimension == 1:
            (shown,) = ax.plot(grid.x, solution.values[0], **look("viscous"))
            ax.set(xlabel="x", ylabel="u", ylim=(low - room, high + room))
        else:
            shown = ax.pcolormesh(*grid.axes, solution.values[0].T, shading="nearest", vmin=low, vmax=high)
            figure.colorbar(shown, ax=ax, label="u")
            ax.set(xlabel="x", ylabel="y", aspect="equal")

    def draw(k):
        if grid.dimension == 1:
            shown.set_ydata(solution.values[k])
        else:
            shown.set_array(solution.values[k].T)
        ax.set_title(f"t = {solution.times[k]:.3g}", loc="left")
        return (shown,)

    return _moving()(figure, draw, frames=len(solution.times), interval=interval, blit=False)


@cache
def _moving():
    """A FuncAnimation that notebooks show by itself, and that does not mind being only inspected."""
    from matplotlib.animation import FuncAnimation

    class Moving(FuncAnimation):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self._draw_was_started = True  # nobody must look at it

        def _repr_html_(self):
            return self.to_jshtml()

    return Moving


def drag(draw: Callable[..., Any], **sliders: tuple | list) -> Any:
    """A picture to drag: sliders above it, and it is drawn again while they move. Where nobody can drag, the picture.

    Sliders need the extra `notebooks` (ipywidgets) and a person before the notebook. In a plain script, without
    ipywidgets, and in a notebook that is executed for the record the result is the picture at the start values.

    Parameters
    ----------
    draw : callable
        Takes the sliders' values by name and returns a Figure of `subplots`. A ValueError is shown in its own words.
    **sliders : tuple or list
        (low, high, start), three whole numbers for whole steps; (low, high, start, "log") for steps of equal ratio;
        a list for a choice among its members, the first of them at the start.

    Returns
    -------
    matplotlib Figure, or ipywidgets.VBox where somebody can drag
        Shown by a notebook as the last line of a cell. `.children` are the sliders, the picture and a line for words.

    Raises
    ------
    ValueError
        For a slider that is none of the three kinds.

    Examples
    --------
    >>> import numpy as np
    >>> from pdelab import plotting
    >>> x = np.linspace(-1.0, 1.0, 101)
    >>> def parabola(gamma, side):
    ...     figure, ax = plotting.subplots()
    ...     ax.plot(x, side * x**2 / (1 + gamma))
    ...     return figure
    >>> picture = plotting.drag(parabola, gamma=(0.01, 10.0, 1.0, "log"), side=[1, -1])
    """
    checked = {name: _slider(name, slider) for name, slider in sliders.items()}
    first = {name: slider[0] if isinstance(slider, list) else slider[2] for name, slider in checked.items()}
    styled = style()(draw)
    start = styled(**first)
    return _widgets(styled, start, checked) if _somebody_can_drag() else start


def _slider(name, slider):
    """A slider of `drag`, checked: a list of choices, or (low, high, start) with or without "log"."""
    expected = 'a list of choices, or (low, high, start) with low <= start <= high and, with "log", low > 0'
    if isinstance(slider, list) and slider:
        return slider
    if not isinstance(slider, tuple) or len(slider) not in (3, 4) or slider[3:] not in ((), ("log",)):
        checks.refuse(name, expected, slider)
    low, high, start = (checks.finite(name, value) for value in slider[:3])
    if not low <= start <= high or low == high or (slider[3:] and low <= 0):
        checks.refuse(name, expected, slider)
    return slider


def _somebody_can_drag():
    """Whether ipywidgets is there and a person before the kernel: one that runs for the record cannot be asked."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    request = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return bool(request.get("content", {}).get("allow_stdin")) and find_spec("ipywidgets") is not None


def _widgets(draw, start, sliders):
    """The sliders, the picture and a line for words, tied together."""
    import ipywidgets

    picture, words = ipywidgets.Image(value=start._repr_png_()), ipywidgets.Label()
    handles = {name: _handle(name, slider) for name, slider in sliders.items()}

    def redraw(_):
        try:
            picture.value = draw(**{name: handle.value for name, handle in handles.items()})._repr_png_()
            words.value = ""
        except ValueError as error:
            words.value = str(error)

    for handle in handles.values():
        handle.observe(redraw, names="value")
    return ipywidgets.VBox([*handles.values(), picture, words])


def _handle(name, slider):
    """The ipywidget of one slider."""
    import ipywidgets

    try:
        description = unicodedata.lookup(f"GREEK SMALL LETTER {name}")
    except KeyError:
        description = name
    if isinstance(slider, list):
        return ipywidgets.SelectionSlider(options=slider, value=slider[0], description=description)
    low, high, value = slider[:3]
    if slider[3:]:
        low, high = math.log10(low), math.log10(high)
        step = (high - low) / 100
        return ipywidgets.FloatLogSlider(min=low, max=high, value=value, step=step, description=description)
    if all(isinstance(end, int) for end in slider):
        return ipywidgets.IntSlider(min=low, max=high, value=value, description=description)
    step = (high - low) / 100
    return ipywidgets.FloatSlider(
        min=low, max=high, value=value, step=step, description=description, readout_format=".3g"
    )


def orders(sizes: ArrayLike, errors: ArrayLike, ax: Any = None, label: str | None = None, **style: Any) -> Any:
    """Draw errors against step sizes on log axes and write the order observed over the smallest three in the label.

    Parameters
    ----------
    sizes, errors : array (n,)
    ax : matplotlib axes, optional
    label : str, optional
    **style
        Of matplotlib's line.

    Returns
    -------
    matplotlib axes

    Examples
    --------
    >>> orders([0.1, 0.05, 0.025], [0.01, 0.0025, 0.000625], label="a scheme").get_legend_handles_labels()[1]
    ['a scheme: order 2.00']
    """
    from matplotlib.ticker import NullFormatter

    slope = observed_order(sizes, errors)
    if ax is None:
        _, ax = subplots()
    ax.loglog(sizes, errors, "o-", label=f"{label or 'error'}: order {slope:.2f}", **style)
    ax.xaxis.set_minor_formatter(NullFormatter())
    return ax


def observed_order(sizes: ArrayLike, errors: ArrayLike) -> float:
    """Slope of log error against log step size over the three smallest steps.

    Parameters
    ----------
    sizes, errors : array (n,)
        Step sizes and what was wrong with them.

    Returns
    -------
    float

    Examples
    --------
    >>> round(observed_order([0.1, 0.05, 0.025], [0.01, 0.0025, 0.000625]), 9)
    2.0
    """
    finest = np.argsort(sizes)[:3]
    return float(np.polyfit(np.log(np.asarray(sizes)[finest]), np.log(np.asarray(errors)[finest]), 1)[0])
