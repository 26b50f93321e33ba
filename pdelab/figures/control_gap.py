"""Theorem 4.11 as an equality: what the best control gains over SGD, and what it pays for it.

E V(X_sgd) - E V(X_csgd) = ½E∫|grad u|² along controlled paths + ½E∫|grad u|² along plain SGD paths. The thesis prints
>= with the first term alone; the second is the part it leaves on the table.
Left: the loss f, the value function of the terminal cost V = weight f divided by the weight, and both laws at the end.
"""

import numpy as np

NAME = "control-gap"
TITLE = "Control escapes the poor minimum; its gain is the sum of two efforts, and Theorem 4.11 promises only one"
PARAMETERS = {"n": 801, "start": 1.6, "D": 0.25, "weight": 5.0, "longest": 6.0, "horizons": 12, "half_width": 5.0}
QUICK = {"n": 401, "horizons": 6}
CHECKS = {
    # theorem 4.11: gain >= effort of the controlled paths, at every horizon
    "smallest_surplus_over_the_theorem": (0.0, None),
    # the equality, relative to the gain; second order in the spacing, h = 1/40 in the quick form
    "largest_residual": (None, 2e-3),
    # (gain)/(2 effort) is never below the constant of the theorem
    "smallest_ratio": (0.5, None),
    "mass_error": (None, 1e-10),
    # the picture on the left: how much of the law is in the best basin
    "mass_in_best_basin_controlled": (0.5, None),
    "mass_in_best_basin_sgd": (None, 0.2),
}


def compute(n, start, D, weight, longest, horizons, half_width):
    """The terms of the equality over the horizon T, and both laws at the longest."""
    import pdelab as pl
    from pdelab import control
    from pdelab.generator import semigroup

    f, grid = pl.losses.three_wells(), pl.Grid(-half_width, half_width, n)
    point = control.point_mass(grid, start)
    V = weight * f.on(grid)  # what reaching a low loss is worth against the effort
    times = np.linspace(longest / horizons, longest, horizons)
    gaps = [control.gap(control.Control(f, V, float(T), D), grid, point) for T in times]
    gain, effort, effort_plain = (
        np.array(values) for values in zip(*((g.plain - g.controlled, g.effort, g.effort_plain) for g in gaps))
    )
    best = control.Control(f, V, longest, D)
    pair = control.forward_backward(best, grid, point, [0.0, longest])
    masses = semigroup(best.generator(grid).T.tocsr(), grid.weights * point, [longest])[0]
    plain = masses / grid.weights
    x = grid.x
    lowest = x[np.argmin(f.on(grid))]
    maxima = x[1:-1][(f.on(grid)[1:-1] > f.on(grid)[:-2]) & (f.on(grid)[1:-1] > f.on(grid)[2:])]
    inside = np.searchsorted(maxima, x) == np.searchsorted(maxima, lowest)
    return {
        "x": x, "f": f.on(grid), "u": pair.values[0] / weight, "sgd": plain, "controlled": pair.densities[-1],
        "times": times, "gain": gain, "effort": effort, "effort_plain": effort_plain, "start": start,
        "smallest_surplus_over_the_theorem": float((gain - effort).min()),
        "largest_residual": float((np.abs(gain - effort - effort_plain) / gain).max()),
        "smallest_ratio": float((gain / (2 * effort)).min()),
        "mass_error": float(np.abs(pair.duality - 1).max()),
        "mass_in_best_basin_controlled": grid.integrate(np.where(inside, pair.densities[-1], 0.0)),
        "mass_in_best_basin_sgd": grid.integrate(np.where(inside, plain, 0.0)),
    }  # fmt: skip


def draw(data):
    """Left: the loss, the value function and both laws at the end; right: the gain and its two parts against T."""
    from pdelab.plotting import COLORS, label_ends, subplots

    x = data["x"]
    figure, (left, right) = subplots(1, 2, size=(8.0, 4.8))
    left.plot(x, data["f"], color=COLORS["loss"], label="loss f")
    left.plot(x, data["u"], color=COLORS["viscous"], label="u(·, 0)/weight")
    top = max(data["sgd"].max(), data["controlled"].max())
    for name, color, label in (("sgd", "sgd", "SGD at T"), ("controlled", "good", "controlled at T")):
        left.fill_between(x, -2.2 + data[name] / top, -2.2, color=COLORS[color], alpha=0.45, lw=0, label=label)
    left.axvline(float(data["start"]), color=COLORS["initial"], lw=1.0, ls=":", ymax=0.75)
    left.annotate("start", (float(data["start"]), 0.62), ha="center", color="#666666")
    left.set(xlim=(-3.4, 2.8), ylim=(-2.25, 1.6), xlabel="x", ylabel="loss (densities: not to scale)")
    label_ends(left, columns=1)
    t = data["times"]
    both = data["effort"] + data["effort_plain"]
    words = "½E∫|∇u|² along controlled paths", "½E∫|∇u|² along plain SGD paths"
    right.fill_between(t, 0, data["effort"], color=COLORS["good"], alpha=0.45, lw=0, label=words[0])
    right.fill_between(t, data["effort"], both, color=COLORS["sgd"], alpha=0.35, lw=0, label=words[1])
    right.plot(t, data["gain"], "o-", color=COLORS["exact"], label="gain E V(SGD) - E V(controlled)")
    right.plot(t, data["effort"], color=COLORS["good"], ls="--", label="what Theorem 4.11 promises")
    right.set(xlabel="horizon T", ylabel="expected terminal cost saved", ylim=(0, None), xlim=(t[0], t[-1]))
    label_ends(right, columns=1)
    return figure
