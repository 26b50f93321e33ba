"""Drawings of results: fields, paths, animations, errors against step sizes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.plotting.labels import label_ends
from pdelab.plotting.looks import COLORS, look, style, subplots
from pdelab.stepping import Solution

__all__ = ["animate", "observed_order", "orders", "plot", "plot_paths"]


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
        label_ends(ax)
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
        label_ends(ax)
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
