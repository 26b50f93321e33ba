"""Why the caption of Figure 4.1 cannot be taken by the letter: one clock, or one temperature, and the picture is lost.

Equal clocks (S = T): the proximal point of the start is never the best minimum while a nearer, persistent one lies on
the way, so both scoped flows end there. Equal temperatures (D = 1/(2β)): the noise that makes the viscous u convex also
lifts the inviscid density over its barrier. Between them lies the window in which the caption is true.
"""

import numpy as np

from pdelab.figures.figure_4_1 import basin_mass, gaussian
from pdelab.regularity import critical_points

NAME = "4.1-literal"
TITLE = "The caption needs a slow clock (S > T) and a cold density (D < 1/(2β))"
PARAMETERS = {
    "n": 1201, "half_width": 6.0, "T": 2.0, "beta": 2.0, "slices": 201, "start": -2.73, "spread": 0.15,
    "clocks": (2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0), "clock_D": 0.02,
    "temperatures": (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.25), "temperature_S": 16.0,
    "fokker_planck_steps": 1600,
}  # fmt: skip
QUICK = {
    "n": 901, "slices": 101, "fokker_planck_steps": 400,
    "clocks": (2.0, 6.0, 8.0, 16.0), "temperatures": (0.01, 0.02, 0.08, 0.25),
}  # fmt: skip
CHECKS = {
    # equal clocks: both flows end in the same, nearer minimum
    "viscous_at_equal_clocks": (None, 0.05),
    "inviscid_at_equal_clocks": (0.95, None),
    # equal temperatures: no density is concentrated in one basin
    "viscous_at_equal_temperatures": (None, 0.9),
    "inviscid_at_equal_temperatures": (None, 0.9),
    # the recipe of figure 4.1 lies inside the window
    "viscous_at_recipe": (0.95, None),
    "inviscid_at_recipe": (0.95, None),
}


def compute(n, half_width, T, beta, slices, start, spread, clocks, clock_D, temperatures, temperature_S,
            fokker_planck_steps):  # fmt: skip
    """Mass of the viscous flow in the best basin, of the inviscid flow in the nearer, against clock and temperature."""
    import pdelab as pl

    loss = pl.losses.rugged()
    hj, fp = (pl.Grid(-half_width, half_width, n, boundary=b) for b in ("outflow", "reflecting"))
    times = np.linspace(0.0, T, slices)
    smoothed = {
        "viscous": pl.solve(pl.HamiltonJacobi(beta=beta), loss, hj, times),
        "inviscid": pl.solve(pl.HamiltonJacobi(viscosity=0.0), loss, hj, times),
    }
    critical = critical_points(loss, hj)
    minima, maxima = critical.minima, critical.maxima
    best = minima[np.argmin(loss(minima))]
    nearer = minima[minima < best].max()
    initial = gaussian(fp, start, spread)

    def masses(S, D):
        in_basins = []
        for name, home in (("viscous", best), ("inviscid", nearer)):
            problem = pl.FokkerPlanck(potential=pl.fokker_planck.Slices.scoped(smoothed[name], S), diffusivity=D)
            solution = pl.solve(problem, initial, fp, S, scheme="crank_nicolson", dt=S / fokker_planck_steps)
            in_basins.append(basin_mass(fp, solution.final, maxima, home))
        return in_basins

    clock = np.array([masses(S, clock_D) for S in clocks])
    cold = np.array([masses(temperature_S, D) for D in temperatures])
    equal_clocks, equal_temperatures = masses(T, clock_D), masses(temperature_S, 1 / (2 * beta))
    recipe = masses(16.0, 0.02)
    data = {"clocks": np.array(clocks), "clock_masses": clock, "T": T, "beta": beta}
    data |= {"temperatures": np.array(temperatures), "temperature_masses": cold}
    for name, pair in (("equal_clocks", equal_clocks), ("equal_temperatures", equal_temperatures), ("recipe", recipe)):
        data |= {f"viscous_at_{name}": pair[0], f"inviscid_at_{name}": pair[1]}
    return data


def draw(data):
    """Two panels: mass where the caption wants it, against the clock and against the temperature."""
    from pdelab.plotting import COLORS, label_ends, subplots

    figure, (left, right) = subplots(1, 2, size=(8.0, 3.6), sharey=True)
    ratio = data["clocks"] / float(data["T"])
    _curves(left, ratio, data["clock_masses"], COLORS)
    left.axvline(1.0, color="#999999", lw=0.9, ls=":")
    left.set(xscale="log", xlabel="clock of the density over clock of the smoothing, S / T", ylim=(-0.03, 1.03))
    left.set(ylabel="probability mass", title="Equal clocks: both end in the nearer minimum")
    _curves(right, data["temperatures"], data["temperature_masses"], COLORS)
    right.axvline(1 / (2 * float(data["beta"])), color="#999999", lw=0.9, ls=":")
    right.set(xscale="log", xlabel="temperature of the density, D  (dotted: 1/(2β))")
    right.set(title="Equal temperatures: neither is concentrated")
    left.set_xticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
    left.minorticks_off()
    label_ends(right, loc="lower left")
    return figure


def _curves(ax, x, masses, colors):
    ax.plot(x, masses[:, 0], "o-", color=colors["viscous"], label="viscous, in the best basin", ms=4)
    ax.plot(x, masses[:, 1], "s-", color=colors["inviscid"], label="inviscid, in the nearer basin", ms=4)
