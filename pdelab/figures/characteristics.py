"""Characteristics of Burgers' equation and how a shock forms (thesis, Example 4.14, (4.35), (4.36)).

The slope p = u_x is carried along straight lines x + t f'(x). They first meet at t* = 1/max(-f''); from there on a
shock absorbs them, at the speed of Rankine and Hugoniot, and the Hopf-Lax formula says which of them are still alive.
"""

import numpy as np

from pdelab.regularity import first_shock_time

NAME = "characteristics"
TITLE = "Characteristics meet at t*; a shock absorbs them at the mean of the two slopes"
PARAMETERS = {"n": 5001, "half_width": 4.0, "last": 1.2, "lines": 61, "times": 61}
QUICK = {"n": 2501, "lines": 41, "times": 41}
CHECKS = {
    "shock_time": (0.2990, 0.2992),
    # theory: u_xx = f''/(1 + t f'') is -16.716, -33.433 at .8 t* and .9 t*
    "steepest_at_0.8": (-16.73, -16.70),
    "steepest_at_0.9": (-33.47, -33.40),
    # theory: 1/max(-f'') over the left concave region
    "left_shock_time": (0.4785, 0.4787),
    "lines_lost_before_shock": (0, 0),
    "rankine_hugoniot_error": (None, 5e-3),
}


def compute(n, half_width, last, lines, times):
    """The lines that are alive, the shocks, and the slopes before and after."""
    import pdelab as pl

    f = pl.losses.three_wells()
    grid = pl.Grid(-half_width, half_width, n, boundary="outflow")
    shock = first_shock_time(f, grid)
    feet = np.linspace(-2.6, 2.6, lines)
    t = np.linspace(0.0, last, times)
    alive = np.array([_alive(f, grid, feet, s) for s in t])
    deaths = np.array([t[np.flatnonzero(~column)[0]] if not column.all() else last for column in alive.T])
    (left_birth, left_place), (birth, place) = shock_births(f, grid)
    path = np.array([[s, *_shock(f, grid, s, 0.0, 0.9)] for s in np.linspace(1.1 * birth, last, 12)])
    left = np.array([[s, *_shock(f, grid, s, -1.7, -0.6)] for s in np.linspace(1.1 * left_birth, last, 8)])
    speed = np.gradient(path[:, 1], path[:, 0], edge_order=2)[1:-1]
    steepest = {
        f"steepest_at_{part}": float(np.min(f.hessian(grid.x) / (1 + part * shock * f.hessian(grid.x))))
        for part in (0.8, 0.9)
    }
    shown = {f"slope_{k}": _slope(f, grid, s) for k, s in enumerate((0.0, 0.9 * shock, last))}
    return {
        "x": grid.x, "feet": feet, "slopes": f.gradient(feet), "deaths": deaths, "path": path, "left_path": left,
        "births": np.array([[birth, place], [left_birth, left_place]]), "left_shock_time": left_birth,
        **shown,
        "shock_time": shock, "last": last, **steepest,
        "lines_lost_before_shock": int((~alive[t < shock]).sum()),
        "rankine_hugoniot_error": float(np.abs(speed - path[1:-1, 2:].mean(axis=1)).max()),
    }  # fmt: skip


def shock_births(f, grid):
    """(time, place) of each shock's birth, from the left: -1/f'' at the local minima of f'' < 0, carried along."""
    bends = f.hessian(grid.x)
    inside = np.flatnonzero((bends[1:-1] < bends[:-2]) & (bends[1:-1] < bends[2:]) & (bends[1:-1] < 0)) + 1
    births = []
    for k in inside:
        curve = np.polyfit(grid.x[k - 1 : k + 2] - grid.x[k], bends[k - 1 : k + 2], 2)
        foot = grid.x[k] - curve[1] / (2 * curve[0])
        time = -1 / float(f.hessian(foot))
        births.append((time, foot + time * float(f.gradient(foot))))
    return births


def _alive(f, grid, feet, t):
    """Whether the foot of a line still attains the minimum in the Hopf-Lax formula at its head."""
    import pdelab as pl

    if t == 0:
        return np.ones(feet.size, bool)
    slopes = f.gradient(feet)
    attained = np.interp(feet + t * slopes, grid.x, pl.hopf_lax(f, grid, t))
    return f(feet) + t * slopes**2 / 2 <= attained + 1e-4  # interpolation errs by O(h²/(t* - t)) near t*


def _shock(f, grid, t, low, high):
    """Place of the largest jump of the proximal map in (low, high), and the slopes on its two sides."""
    import pdelab as pl

    point = pl.proximal(f, grid, t)
    x = grid.x
    inside = np.flatnonzero((x[:-1] > low) & (x[1:] < high))
    k = inside[np.argmax(np.diff(point)[inside])]
    left, right = (x[k] - point[k]) / t, (x[k + 1] - point[k + 1]) / t
    # where both candidates cost the same: linear between the two nodes
    cost = lambda y, z: f(y) + (z - y) ** 2 / (2 * t)  # noqa: E731
    gap = [float(cost(point[k], z) - cost(point[k + 1], z)) for z in (x[k], x[k + 1])]
    return x[k] - gap[0] * (x[k + 1] - x[k]) / (gap[1] - gap[0]), left, right


def _slope(f, grid, t):
    import pdelab as pl

    return f.gradient(grid.x) if t == 0 else (grid.x - pl.proximal(f, grid, t)) / t


def draw(data):
    """Above: the lines in the (x, t) plane. Below: the slope before, at and after the shock."""
    from pdelab.plotting import COLORS, label_ends, subplots

    figure, (top, bottom) = subplots(2, 1, size=(7.6, 6.4), sharex=True, gridspec_kw={"height_ratios": [1.5, 1]})
    for foot, slope, death in zip(data["feet"], data["slopes"], data["deaths"]):
        top.plot([foot, foot + death * slope], [0, death], color=COLORS["inviscid"], lw=0.8)
    for key, (time, place), label in zip(("path", "left_path"), data["births"], ("shock, from its birth on", None)):
        times, places = np.append(time, data[key][:, 0]), np.append(place, data[key][:, 1])
        top.plot(places, times, color=COLORS["viscous"], lw=2.2, label=label)
        top.plot(place, time, "o", color=COLORS["viscous"], ms=4)
    top.axhline(float(data["shock_time"]), color="#999999", lw=0.9, ls=":")
    top.text(
        2.55,
        float(data["shock_time"]),
        "t*",
        va="bottom",
        ha="right",
        color="#555555",
        bbox={"fc": "white", "ec": "none", "alpha": 0.8, "pad": 1},
    )
    top.set(ylabel="time t", xlim=(-2.6, 2.6), ylim=(0, float(data["last"])))
    top.legend(loc="upper right", frameon=True, framealpha=1.0)
    labels = ("t = 0", "t = 0.9 t*", f"t = {data['last']:g}")
    looks = zip(labels, ("sgd", "heat", "inviscid"), (":", "--", "-"))
    for k, (label, meaning, line) in enumerate(looks):
        bottom.plot(data["x"], data[f"slope_{k}"], color=COLORS[meaning], ls=line, label=label, lw=1.5)
    bottom.set(xlabel="x", ylabel="slope p = u_x", ylim=(-1.8, 2.4))
    label_ends(bottom, ncols=3, loc="upper center")
    return figure
