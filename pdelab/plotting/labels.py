"""Names of lines: at their ends where these tell them apart, otherwise in a legend."""

from __future__ import annotations

from typing import Any

import numpy as np

from pdelab.plotting.looks import SMALLEST, STYLE, ink, text_width, wrapped

__all__ = ["label_ends", "legend_above"]

NEAREST = 3.0  # points: ends that are closer look like one
REACH = 0.9  # of the width: a line that stops before it has no end at the right
SHARE = 0.5  # of the width of the axes that names may take
LINE = 1.2 * SMALLEST  # points from one line of words to the next
SPACE = 9.0  # points from the axes to the names
ROWS = 3  # lines that a name may be broken into


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
    >>> from pdelab.plotting import subplots
    >>> _, ax = subplots()
    >>> line = ax.plot([0.0, 1.0], [0.0, 1.0], label="a line")
    >>> [text.get_text() for text in legend_above(ax).get_texts()]
    ['a line']
    """
    return _legend(ax, list(zip(*ax.get_legend_handles_labels())), columns)


def _legend(ax, named, columns=None, **options):
    """A legend of (handle, name) inside the axes, or above them in so many columns."""
    handles, names = [handle for handle, _ in named], [name for _, name in named]
    if columns is None:
        return ax.legend(handles, names, **options)
    title = ax.get_title(loc="left")
    ax.set_title("", loc="left")
    place = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.2, "alignment": "left"}
    heading = {"title": title or None, "title_fontsize": STYLE["axes.titlesize"]}
    return ax.legend(handles, names, ncols=columns, **heading, **place, **options)


def label_ends(ax: Any, *, columns: int | None = None, **legend: Any) -> Any:
    """Name the labelled lines of an axes at their right ends, kept apart, each in the colour of its line.

    Room for the names is made at the right of the axes. A thin leader runs from each end to its name.

    Parameters
    ----------
    ax : matplotlib axes
        With its lines drawn and its limits set.
    columns : int >= 1, optional
        The legend, where the rule below asks for one, stands above the axes in so many columns; default: inside.
    **legend
        Of matplotlib's legend, where there is one.

    Returns
    -------
    matplotlib axes
        The same.

    Notes
    -----
    The rule: names stand at the ends wherever the ends tell the lines apart. The legend holds what has no end, which is
    areas, bars, points without a line and lines that turn back. It holds the lines as well

    - where two of them end within 3 points of each other, as densities do, or curves that meet;
    - where one of them stops, or leaves through the top or the bottom, before the last tenth of the width;
    - where the names, broken into at most three lines, need more than half the width or all the height of the axes.

    Examples
    --------
    >>> from pdelab.plotting import subplots
    >>> _, ax = subplots()
    >>> for slope in (1.0, 2.0):
    ...     line = ax.plot([0.0, 1.0], [0.0, slope], label=f"slope {slope:g}")
    >>> [text.get_text() for text in label_ends(ax).texts]
    ['slope 1', 'slope 2']
    """
    handles, names = ax.get_legend_handles_labels()
    lines = {name: line for handle, name in zip(handles, names) if (line := _line(handle)) is not None}
    width, height = (72 * size for size in ax.figure.get_size_inches() * ax.get_position().size)
    broken = {name: wrapped(name, SHARE * width - SPACE, SMALLEST) for name in lines}
    if lines and _tell_apart(ax, list(lines.values()), list(broken.values()), width, height):
        _write(ax, list(lines.values()), list(broken.values()))
    else:
        lines = {}
    rest = [(handle, name) for handle, name in zip(handles, names) if name not in lines]
    if rest:
        _legend(ax, rest, columns, **legend)
    return ax


def _line(handle):
    """The Line2D of a handle of a legend that is one line from left to right, or None."""
    from matplotlib.container import ErrorbarContainer
    from matplotlib.lines import Line2D

    line = handle.lines[0] if isinstance(handle, ErrorbarContainer) else handle
    if not isinstance(line, Line2D) or line.get_linestyle() in ("None", "none", "", " "):
        return None
    x = np.asarray(line.get_xdata(orig=False), float)
    steps = np.diff(x[np.isfinite(x)])
    return line if steps.size and (np.all(steps >= 0) or np.all(steps <= 0)) else None


def _tell_apart(ax, lines, names, width, height):
    """Whether the ends name the lines: all reach the right, none is at another's place, and there is room."""
    ends = np.array([_end(ax, line) for line in lines])
    if not np.all(np.isfinite(ends)):
        return False
    box = ax.bbox
    across, up = (ends[:, 0] - box.x0) / box.width, np.sort(ends[:, 1] - box.y0) / box.height
    widest = max(text_width(part, SMALLEST) for name in names for part in name.split("\n"))
    rows = [name.count("\n") + 1 for name in names]
    return bool(
        across.min() >= REACH
        and np.all(np.diff(up) * height >= NEAREST)
        and widest + SPACE <= SHARE * width
        and max(rows) <= ROWS
        and LINE * sum(rows) <= height
    )


def _end(ax, line):
    """(x, y) in pixels where a line is seen last, going right; not a number where it is never seen."""
    box = ax.viewLim and ax.bbox  # viewLim brings the limits up to date
    points = np.asarray(line.get_transform().transform(np.column_stack(line.get_data(orig=False)).astype(float)))
    points = points[np.isfinite(points).all(1)]
    points = points[np.argsort(points[:, 0], kind="stable")]
    inside = (np.abs(points - (box.p0 + box.p1) / 2) <= box.size / 2 + 1).all(1)
    if not inside.any():
        return np.full(2, np.nan)
    last = int(np.flatnonzero(inside)[-1])
    if last + 1 == len(points):
        return points[last]
    step = points[last + 1] - points[last]
    with np.errstate(divide="ignore", invalid="ignore"):
        reaches = np.maximum((box.p0 - points[last]) / step, (box.p1 - points[last]) / step)
    return points[last] + np.clip(np.nanmin(reaches), 0.0, 1.0) * step


def _write(ax, lines, names):
    """The names right of the axes, each with a leader to the end of its line; placed anew whenever they are drawn."""
    column = _Column(ax, lines, [name.count("\n") + 1 for name in names])
    for k, (line, name) in enumerate(zip(lines, names)):
        leader = {"arrowstyle": "-", "color": line.get_color(), "alpha": line.get_alpha(), "lw": 0.8,
                  "shrinkA": 1.0, "shrinkB": 0.0, "relpos": (0.0, 0.5)}  # fmt: skip
        ax.annotate(
            name, (0, 0), (0, 0), xycoords=column.end(k), textcoords=column.beside(k), color=ink(line.get_color()),
            va="center", fontsize=SMALLEST, linespacing=1.0, annotation_clip=False, arrowprops=leader,
        )  # fmt: skip


class _Column:
    """Where the ends of lines are and where their names go, for the axes as they are when asked."""

    def __init__(self, ax, lines, rows):
        self.ax, self.lines, self.rows = ax, lines, np.array(rows)
        self._key, self._places = None, None

    def end(self, k):
        """Coordinates with the end of line k as the origin."""
        return lambda renderer: _moved_to(*self._now()[0][k])

    def beside(self, k):
        """Coordinates with the left of name k as the origin."""
        return lambda renderer: _moved_to(*self._now()[1][k])

    def _now(self):
        ax, point = self.ax, self.ax.figure.dpi / 72
        key = (point, *ax.bbox.extents, *ax.viewLim.extents)
        if key != self._key:
            ends = np.array([_end(ax, line) for line in self.lines])
            heights = _apart(ends[:, 1], LINE * point * self.rows, ax.bbox.y0, ax.bbox.y1)
            names = np.column_stack([np.full(len(ends), ax.bbox.x1 + SPACE * point), heights])
            self._key, self._places = key, (ends, names)
        return self._places


def _moved_to(x, y):
    from matplotlib.transforms import Affine2D

    return Affine2D().translate(x, y)


def _apart(wanted, sizes, low, high):
    """Centres of boxes of these sizes, nearest to the wanted ones in squares, that do not overlap in [low, high]."""
    from scipy.optimize import isotonic_regression

    order = np.argsort(wanted, kind="stable")
    size = np.asarray(sizes, float)[order]
    below = np.cumsum(size) - size / 2  # the centre of each box where they are stacked from 0
    free = isotonic_regression(np.asarray(wanted, float)[order] - below).x
    centres = np.empty_like(free)
    centres[order] = np.clip(free, low, max(low, high - size.sum())) + below
    return centres
