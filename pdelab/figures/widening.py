"""Convex regions widen: Hamilton-Jacobi against the heat equation (thesis, Figure 4.1's last sentences, Example 4.13).

The part of the window on which the smoothed loss is convex, against time, for the inviscid and the viscous equation
and for the heat equation of the same viscosity.
"""

import math

import numpy as np

NAME = "widening"
TITLE = "Hamilton-Jacobi widens convex regions at once; heat is slow, yet no later"
PARAMETERS = {"n": 2401, "half_width": 6.0, "window": 3.6, "beta": 2.0, "last": 4.0, "times": 41}
QUICK = {"n": 1201, "times": 21}
CHECKS = {
    # theory: .520 at the start; viscous .604 .630 .704 and inviscid .653 .785 .985 at t = .05, .1, .5
    "convex_at_start": (0.51, 0.53),
    "viscous_at_half": (0.69, 0.72),
    "inviscid_at_half": (0.97, 1.0),
    "viscous_convex_from": (0.5, 1.0),
    # "for short times solutions of (4.1) and (4.15) widen faster than solutions of the heat equation": true,
    # and only so
    "viscous_lead_at_tenth": (0.05, None),
    "inviscid_lead_at_tenth": (0.2, None),
    "largest_lead_of_heat": (0.05, None),
}


def compute(n, half_width, window, beta, last, times):
    """Convex fraction of the window against time, three equations, each by its closed form."""
    import pdelab as pl

    f, grid = pl.losses.rugged(), pl.Grid(-half_width, half_width, n, boundary="outflow")
    inner = np.abs(grid.x[1:-1]) < window
    t = np.concatenate([[0.0], np.geomspace(last / 200, last, times - 2), [0.1, 0.5]])
    t = np.unique(t)
    fields = {
        "inviscid": pl.hopf_lax(f, grid, t),
        "viscous": pl.cole_hopf(f, grid, t, beta),
        "heat": np.array([pl.heat_smoothing(f, grid, s, beta) for s in t]),
    }
    data = {"t": t}
    for name, values in fields.items():
        data[name] = (np.diff(values, 2, axis=-1)[:, inner] > 0).mean(axis=1)
    convex_from = {name: t[np.flatnonzero(data[name] < 1)[-1] + 1 :] for name in ("viscous", "heat")}
    half = int(np.flatnonzero(t == 0.5)[0])
    tenth = int(np.flatnonzero(t == 0.1)[0])
    return data | {
        "convex_at_start": float(data["viscous"][0]),
        "viscous_at_half": float(data["viscous"][half]),
        "inviscid_at_half": float(data["inviscid"][half]),
        "viscous_convex_from": float(convex_from["viscous"][0]),
        "heat_convex_from": float(convex_from["heat"][0]) if convex_from["heat"].size else math.inf,
        "viscous_lead_at_tenth": float(data["viscous"][tenth] - data["heat"][tenth]),
        "inviscid_lead_at_tenth": float(data["inviscid"][tenth] - data["heat"][tenth]),
        "largest_lead_of_heat": float((data["heat"] - data["viscous"]).max()),
    }


def draw(data):
    """One curve an equation."""
    from pdelab.plotting import label_ends, look, subplots

    figure, ax = subplots(size=(7.0, 4.0))
    for name, label in (
        ("inviscid", "inviscid Hamilton-Jacobi"),
        ("viscous", f"viscous, β = {data['beta']:g}"),
        ("heat", "heat, same ν"),
    ):
        ax.plot(data["t"][1:], 100 * data[name][1:], **look(name), label=label)
    ax.set(xscale="log", xlabel="smoothing time t", ylabel="convex part of the window (%)", ylim=(48, 102))
    label_ends(ax)
    return figure
