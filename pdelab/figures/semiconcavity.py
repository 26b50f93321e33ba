"""Semi-concavity decays at least like 1/(1/C + t), whatever β (thesis, Lemma 4.17; Examples 4.12 and 4.13)."""

import numpy as np

from pdelab.regularity import semiconcavity, semiconcavity_bound

NAME = "semiconcavity"
TITLE = "Curvature falls below 1/(1/C + t) for every β; heat obeys no such bound"
PARAMETERS = {"n": 1024, "wavenumber": 10.0, "last": 1.0, "times": 33}
QUICK = {"n": 512, "times": 17}
CHECKS = {
    # sharp for the inviscid sine; the discrete constant of a smooth function is below the exact one by O(h²)
    "inviscid_over_bound": (0.97, 1.0001),
    "viscous_over_bound": (None, 1.0),
    # theory, k = 10, t = .01: viscous 48.4 at β = 4, heat 60.7 at β = 1 and 88.3 at β = 4 (bound 50)
    "viscous_at_hundredth": (48.0, 48.8),
    "heat_at_hundredth": (87.8, 88.8),
    "heat_over_bound": (1.5, None),
}


def compute(n, wavenumber, last, times):
    """sup u_xx against t for f = sin kx: inviscid, viscous at two β, heat, and the bound."""
    import pdelab as pl

    grid = pl.Grid(0.0, 2 * np.pi / wavenumber, n, boundary="periodic")
    loss = pl.Loss(f"sin({wavenumber}*x)")  # node values would be joined by lines: kinks, whose curvature is unbounded
    f = loss.on(grid)
    t = np.unique(np.concatenate([np.geomspace(1e-4, last, times), [0.01]]))
    constant = wavenumber**2
    data = {"t": t, "bound": semiconcavity_bound(constant, t)}
    data["inviscid"] = np.array([semiconcavity(u, grid) for u in pl.hopf_lax(loss, grid, t)])
    for name, beta in (("viscous", 4.0), ("warm", 1.0)):
        data[name] = np.array([semiconcavity(u, grid) for u in pl.cole_hopf(f, grid, t, beta)])
    data["heat"] = constant * np.exp(-(wavenumber**2) * t / (2 * 4.0))
    at = int(np.flatnonzero(t == 0.01)[0])
    smooth = t < 0.9 / constant
    return data | {
        "inviscid_over_bound": float((data["inviscid"][smooth] / data["bound"][smooth]).max()),
        "viscous_over_bound": float((data["viscous"] / data["bound"]).max()),
        "viscous_at_hundredth": float(data["viscous"][at]),
        "heat_at_hundredth": float(data["heat"][at]),
        "heat_over_bound": float((data["heat"] / data["bound"]).max()),
    }


def draw(data):
    """Log axes; the region that the lemma forbids is shaded."""
    from pdelab.plotting import COLORS, label_ends, look, subplots

    t, bound = data["t"], data["bound"]
    figure, ax = subplots(size=(7.2, 4.2))
    ax.fill_between(t, bound, 300, color="#eeeeee", lw=0)
    ax.plot(t, bound, color=COLORS["exact"], lw=1.2, ls="-", label="bound 1/(1/C + t)")
    ax.plot(t, data["inviscid"], **look("inviscid"), label="inviscid")
    ax.plot(t, data["viscous"], color=COLORS["viscous"], label="viscous, β = 4")
    ax.plot(t, data["warm"], color=COLORS["viscous"], alpha=0.5, label="viscous, β = 1")
    ax.plot(t, data["heat"], color=COLORS["heat"], ls=":", label="heat, the ν of β = 4")
    ax.text(0.03, 110, "forbidden to Hamilton-Jacobi", color="#777777", fontsize=9)
    ax.set(xscale="log", yscale="log", ylim=(0.3, 200), xlabel="smoothing time t", ylabel="sup u_xx")
    label_ends(ax, loc="lower left")
    return figure
