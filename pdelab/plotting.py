"""Plots: one style for all pictures, and the few drawings that people make again and again.

The only place besides `pdelab.figures` that imports matplotlib. Functions take `ax` and return it.
"""

import io
from functools import cache
from pathlib import Path

import numpy as np

from pdelab import records

# One meaning, one colour, in every picture of the project.
COLORS = {
    "loss": "#1b1b1b",
    "viscous": "#c1272d",
    "inviscid": "#1f5fae",
    "sgd": "#6b6b6b",
    "exact": "#1b1b1b",
    "heat": "#d98c00",
    "initial": "#b8b8b8",
    "good": "#2b8a57",
    "bad": "#b0307a",
}

STYLE = {
    "figure.dpi": 110,
    "savefig.dpi": 160,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "image.cmap": "viridis",
    "svg.hashsalt": "pdelab",
    "svg.fonttype": "path",
}


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


def subplots(rows=1, columns=1, size=(7.0, 4.0), **kwargs):
    """A figure and its axes in the project's style, drawn without a display."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with matplotlib.rc_context(STYLE):
        figure = _shown()(figsize=size)
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, **kwargs)
    return figure, axes


def save_figure(figure, stem):
    """Write stem.png and stem.svg, byte for byte the same for the same data; returns the path of the PNG."""
    import matplotlib

    stem = Path(stem)
    picture = stem.with_name(stem.name + ".png")
    with matplotlib.rc_context(STYLE):
        with records.atomic(picture) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})
        with records.atomic(stem.with_name(stem.name + ".svg")) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})
    return picture


def plot(solution, ax=None, times=None):
    """Draw a Solution: curves at the saved times in one dimension, a filled map of the final field in two.

    Parameters
    ----------
    solution : Solution
    ax : matplotlib axes, optional
    times : indices of saved times to draw, optional (one dimension); by default at most eight of them
    """
    import matplotlib

    grid = solution.grid
    if grid.dimension > 2:
        raise ValueError("plot draws one and two dimensions: take a slice of a three-dimensional field first")
    if ax is None:
        _, ax = subplots()
    with matplotlib.rc_context(STYLE):
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


def orders(sizes, errors, ax=None, label=None, **style):
    """Draw errors against step sizes on log axes and write the order observed over the smallest three in the label."""
    from matplotlib.ticker import NullFormatter

    slope = observed_order(sizes, errors)
    if ax is None:
        _, ax = subplots()
    ax.loglog(sizes, errors, "o-", label=f"{label or 'error'}: order {slope:.2f}", **style)
    ax.xaxis.set_minor_formatter(NullFormatter())
    return ax


def observed_order(sizes, errors):
    """Slope of log error against log step size over the three smallest steps."""
    finest = np.argsort(sizes)[:3]
    return float(np.polyfit(np.log(np.asarray(sizes)[finest]), np.log(np.asarray(errors)[finest]), 1)[0])
