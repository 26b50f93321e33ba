"""Plots: one style for all pictures, and the few drawings that people make again and again.

`looks.py` has colours, lines and sizes, `labels.py` the names of lines, `results.py` drawings of results, `dragging.py`
pictures with sliders. This package and `pdelab.figures` alone import matplotlib. Functions take `ax` and return it.
"""

from pdelab.plotting.dragging import drag
from pdelab.plotting.labels import label_ends, legend_above
from pdelab.plotting.looks import COLORS, LINES, STYLE, frame, look, save_figure, style, subplots
from pdelab.plotting.results import animate, observed_order, orders, plot, plot_paths

__all__ = [
    "COLORS", "LINES", "STYLE", "animate", "drag", "frame", "label_ends", "legend_above", "look", "observed_order",
    "orders", "plot", "plot_paths", "save_figure", "style", "subplots",
]  # fmt: skip
