"""Inflection points move in straight lines until the first shock (thesis, Example 4.15), and what happens after it."""

import numpy as np

from pdelab.regularity import first_shock_time, inflection_points, transported_inflections

NAME = "inflections"
TITLE = "Convex regions widen at constant speed until the first shock t*; then kinks take over"
PARAMETERS = {"n": 4001, "half_width": 3.0, "last": 2.0, "times": 161}
QUICK = {"n": 2001, "times": 61}
CHECKS = {
    # theory: x_i(t) = x_i + t f'(x_i); observed on the grid to about one spacing
    "straight_line_error": (None, 5e-3),
    "shock_time": (0.2990, 0.2992),
    "left_shock_time": (0.4785, 0.4787),
    # after t* the shallow minimum's interval shrinks again (theory: 1.522 at t = .6, 1.150 at t = 1.45)
    "shallow_width_at_0.6": (1.50, 1.54),
    "shallow_width_at_1.45": (1.13, 1.17),
}


def compute(n, half_width, last, times):
    """Sign of u_xx over (x, t), the straight lines, and the width of the shallow minimum's convex interval."""
    import pdelab as pl

    f, grid = pl.losses.three_wells(), pl.Grid(-half_width, half_width, n, boundary="outflow")
    from pdelab.figures.characteristics import shock_births

    x, shock = grid.x, first_shock_time(f, grid)
    t = np.linspace(0.0, last, times)
    curvature = np.diff(pl.hopf_lax(f, grid, t), 2, axis=1) / grid.spacing[0] ** 2
    error = 0.0
    for s in (0.25 * shock, 0.5 * shock, 0.8 * shock):
        seen = inflection_points(pl.hopf_lax(f, grid, s), grid)
        error = max(error, *(np.abs(seen - point).min() for point in transported_inflections(f, grid, s)))
    widths = {f"shallow_width_at_{s}": _width(pl.hopf_lax(f, grid, s), x, -0.81757) for s in (0.6, 1.45)}
    lines = transported_inflections(f, grid, 0.999 * shock)
    births = shock_births(f, grid)
    walls = [0.5 * (a[1] + b[1]) for a, b in zip(births, births[1:])]
    born = np.array([time for time, _ in births])[np.digitize(x[1:-1], walls)]  # of the shock of each region
    row, column = np.nonzero((curvature * grid.spacing[0] < -0.02) & (t[:, None] > born))
    return {
        "x": x[1:-1], "t": t, "convex": curvature > 0, "kinks": np.stack([x[1:-1][column], t[row]]), 
        "line_start": inflection_points(f, grid), "line_end": lines,
        "straight_line_error": float(error), "shock_time": shock, "births": np.array(births), **widths,
        "left_shock_time": births[0][0],
    }  # fmt: skip


def _width(u, x, centre):
    """Length of the interval around `centre` on which second differences are positive; a kink ends it."""
    bends = np.flatnonzero(np.diff(u, 2) < 0) + 1
    return float(x[bends[x[bends] > centre][0]] - x[bends[x[bends] < centre][-1]])


def draw(data):
    """Convex and concave regions of the (x, t) plane; the exact lines on top."""
    import matplotlib

    from pdelab.plotting import COLORS, subplots

    figure, ax = subplots(size=(7.2, 4.4))
    colours = matplotlib.colors.ListedColormap(["#f3d9c9", "#dbe7f3"])
    ax.pcolormesh(data["x"], data["t"], data["convex"], cmap=colours, shading="nearest", rasterized=True)
    shock = float(data["shock_time"])
    for start, end in zip(data["line_start"], data["line_end"]):
        ax.plot([start, end], [0.0, shock], color=COLORS["exact"], lw=1.4)
    ax.plot(*data["kinks"], ".", color=COLORS["viscous"], ms=2.5)
    ax.axhline(shock, color=COLORS["viscous"], lw=1.0, ls="--")
    ax.text(data["x"][-1], shock, "t* ", color=COLORS["viscous"], va="bottom", ha="right")
    ax.set(xlabel="x", ylabel="smoothing time t", xlim=(-3, 3), ylim=(0, data["t"][-1]))
    patch = matplotlib.patches.Patch
    handles = [patch(color="#dbe7f3", label="convex"), patch(color="#f3d9c9", label="concave")]
    handles.append(matplotlib.lines.Line2D([], [], color=COLORS["exact"], label="x + t f'(x)"))
    handles.append(matplotlib.lines.Line2D([], [], ls="", marker=".", color=COLORS["viscous"], label="kink"))
    ax.legend(handles=handles, loc="upper right", frameon=True, framealpha=0.9)
    return figure
