"""Figure 4.1 of Chaudhari's thesis: one rugged loss, smoothed by two Hamilton-Jacobi equations, and where SGD ends.

The loss f is smoothed by the viscous (β = 2) and the inviscid equation up to T. A density starts in a poor basin and
follows the Fokker-Planck equation with the drift of f (SGD) and with the two scoped drifts -u_x(., T(1 - s/S)). Each
sentence of the printed caption is a number below. The temperature D and the clock S are not those of the caption's
letter: figure 4.1-literal shows why they cannot be.
"""

import numpy as np

from pdelab.regularity import (
    convexity_intervals,
    critical_points,
    first_shock_time,
    inflection_points,
    persistence_times,
)

NAME = "4.1"
TITLE = "Smoothing leads SGD out of a poor minimum; with viscosity the landscape becomes convex"
PARAMETERS = {
    "n": 1201, "half_width": 6.0, "window": 3.6, "T": 2.0, "beta": 2.0, "slices": 201,
    "D": 0.02, "S": 16.0, "fokker_planck_steps": 1600, "start": -2.73, "spread": 0.15,
}  # fmt: skip
QUICK = {"n": 601, "slices": 101, "fokker_planck_steps": 800}
CHECKS = {
    # "The terminal density obtained using SGD remains concentrated in a local minimum."
    "sgd_mass_in_start_basin": (0.99, None),
    # "u_viscous(x, T) is convex, with the global minimum close to that of f(x)"
    "viscous_smallest_curvature": (0.15, None),
    "viscous_argmin_distance": (None, 0.03),
    # "consequently the terminal density is concentrated near the minimum of f(x)"
    "viscous_mass_in_best_basin": (0.95, None),
    # "u_non-viscous(x, T) is non-convex, so the presence of gradients pointing away from the global minimum ..."
    "inviscid_minima": (1.5, None),
    "inviscid_barrier": (0.04, None),
    # "... the corresponding terminal density is concentrated in a nearly optimal local minimum"
    "inviscid_mass_in_one_basin": (0.95, None),
    "inviscid_excess_over_start": (0.0, 0.1),
    # "it is given by the Hopf-Lax formula"
    "inviscid_hopf_lax_error": (None, 0.06),
    "viscous_cole_hopf_error": (None, 0.02),
    # "both the value and location of some local extrema for non-viscous HJ are unchanged"
    "persistent_minima_at_T": (1.5, None),
    "persistent_minima_change": (None, 1e-12),
    # "while the regions of convexity widen"
    "convex_fraction_gain": (0.3, None),
    "narrowest_convex_widening": (0.05, None),
    # "local maxima located in smooth concave regions see their concave regions shrink, value eventually decreases"
    "largest_concave_widening": (None, -0.02),
    "maxima_kept_at_half": (0, 0),
    # what the densities must keep
    "density_mass_error": (None, 1e-12),
    "density_minimum": (0.0, None),
}


def compute(n, half_width, window, T, beta, slices, D, S, fokker_planck_steps, start, spread):
    """The smoothed losses, the three terminal densities and the numbers behind each sentence of the caption."""
    import pdelab as pl

    loss = pl.losses.rugged()
    hj, fp = (pl.Grid(-half_width, half_width, n, boundary=b) for b in ("outflow", "reflecting"))
    x = hj.x
    f = loss.on(hj)
    times = np.linspace(0.0, T, slices)
    viscous = pl.solve(pl.HamiltonJacobi(beta=beta), f, hj, times)
    inviscid = pl.solve(pl.HamiltonJacobi(viscosity=0.0), f, hj, times)
    critical = critical_points(loss, hj)
    minima, maxima = critical.minima, critical.maxima
    initial = gaussian(fp, start, spread)
    densities = {}
    scoped = pl.fokker_planck.Slices.scoped
    for name, potential in (("sgd", f), ("viscous", scoped(viscous, S)), ("inviscid", scoped(inviscid, S))):
        problem = pl.FokkerPlanck(potential=potential, diffusivity=D)
        densities[name] = pl.solve(
            problem, initial, fp, S, scheme=pl.fokker_planck.implicit, dt=S / fokker_planck_steps
        )
    data = {"x": x, "f": f, "initial": initial, "minima": minima, "maxima": maxima, "window": window}
    data |= {"viscous": viscous.final, "inviscid": inviscid.final}
    data |= {f"density_{name}": solution.final for name, solution in densities.items()}
    data |= _density_numbers(fp, loss, densities, minima, maxima, start)
    data |= _value_numbers(hj, loss, viscous, inviscid, T, beta, window)
    return data | _shape_numbers(loss, hj, minima, maxima, T, window)


def gaussian(grid, mean, spread):
    """A Gaussian density on the grid, of mass one in its quadrature."""
    density = np.exp(-((grid.x - mean) ** 2) / (2 * spread**2))
    return density / grid.integrate(density)


def basin_mass(grid, density, maxima, minimum):
    """Mass between the two maxima of the loss around a minimum."""
    inside = np.searchsorted(maxima, grid.x) == np.searchsorted(maxima, minimum)
    return grid.integrate(np.where(inside, density, 0.0))


def _density_numbers(grid, loss, densities, minima, maxima, start):
    best = minima[np.argmin(loss(minima))]
    lowest = float(loss(best))
    near = minima[np.argmin(np.abs(minima - start))]
    numbers = {"best_minimum": float(best), "start_minimum": float(near)}
    for name, solution in densities.items():
        masses = [basin_mass(grid, solution.final, maxima, m) for m in minima]
        home = int(np.argmax(masses))
        numbers[f"{name}_largest_mass"] = masses[home]
        numbers[f"{name}_largest_mass_at"] = float(minima[home])
        numbers[f"{name}_mean_excess"] = grid.integrate(solution.final * (loss.on(grid) - lowest))
    numbers["sgd_mass_in_start_basin"] = basin_mass(grid, densities["sgd"].final, maxima, near)
    numbers["viscous_mass_in_best_basin"] = basin_mass(grid, densities["viscous"].final, maxima, best)
    numbers["inviscid_mass_in_one_basin"] = numbers["inviscid_largest_mass"]
    home = numbers["inviscid_largest_mass_at"]
    numbers["inviscid_excess_over_start"] = float((loss(home) - lowest) / (loss(near) - lowest))
    numbers["density_mass_error"] = max(float(np.max(s.info["mass_drift"])) for s in densities.values())
    numbers["density_minimum"] = min(float(np.min(s.info["minimum"])) for s in densities.values())
    return numbers


def _value_numbers(grid, loss, viscous, inviscid, T, beta, window):
    import pdelab as pl

    x, h = grid.x, grid.spacing[0]
    inner = np.abs(x) < window
    curvature = np.diff(viscous.final, 2) / h**2
    best = _vertex(x, loss(x), inner)
    u = inviscid.final
    is_minimum = (u[1:-1] < u[:-2]) & (u[1:-1] < u[2:]) & inner[1:-1]
    where = np.flatnonzero(is_minimum) + 1
    barrier = np.max(u[where[0] : where[-1] + 1]) - max(u[where[0]], u[where[-1]])
    return {
        "viscous_smallest_curvature": float(curvature[inner[1:-1]].min()),
        "viscous_argmin_distance": abs(_vertex(x, viscous.final, inner) - best),
        "viscous_cole_hopf_error": float(np.abs(viscous.final - pl.cole_hopf(loss, grid, T, beta))[inner].max()),
        "inviscid_hopf_lax_error": float(np.abs(u - pl.hopf_lax(loss, grid, T))[inner].max()),
        "inviscid_minima": int(is_minimum.sum()),
        "inviscid_barrier": float(barrier),
    }


def _vertex(x, values, inner):
    """Where the parabola through the lowest inner node and its neighbours is smallest."""
    k = int(np.flatnonzero(inner)[0] + np.argmin(values[inner]))
    left, centre, right = values[k - 1 : k + 2]
    return float(x[k] + 0.5 * (x[k] - x[k - 1]) * (left - right) / (left - 2 * centre + right))


def _shape_numbers(loss, grid, minima, maxima, T, window):
    """Persistence of extrema and movement of inflection points, exactly, from the loss alone."""
    import pdelab as pl

    inner = np.abs(grid.x) < window
    kept = persistence_times(loss, grid, minima) > T
    around = [pl.Grid(c - window, c + window, 801, boundary="outflow") for c in minima[kept]]
    change = [pl.hopf_lax(loss, g, T, refine=False)[400] - loss(c) for g, c in zip(around, minima[kept])]
    inflections = inflection_points(loss, grid)
    inflections = inflections[np.abs(inflections) < window]
    convex = loss.hessian((inflections[:-1] + inflections[1:]) / 2) > 0
    growth = 0.9 * first_shock_time(loss, grid) * np.diff(loss.gradient(inflections))
    after = np.diff(pl.hopf_lax(loss, grid, T), 2)[inner[1:-1]] > 0
    before = sum(min(high, window) - max(low, -window) for low, high in convexity_intervals(loss, grid)
                 if low < window and high > -window)  # fmt: skip
    return {
        "persistent_minima_at_T": int(kept.sum()),
        "persistent_minima_change": float(np.abs(change).max()),
        "maxima_kept_at_half": int((persistence_times(loss, grid, maxima) > T / 4).sum()),
        "convex_fraction_gain": float(after.mean() - before / (2 * window)),
        "narrowest_convex_widening": float(growth[convex].min()),
        "largest_concave_widening": float(growth[~convex].max()),
        "first_shock_time": first_shock_time(loss, grid),
    }


def draw(data):
    """Losses above, densities below, one colour a flow; the words stand where the eye is."""
    from pdelab.plotting import COLORS, label_ends, look, subplots

    x, window = data["x"], float(data["window"])
    figure, (top, bottom) = subplots(2, 1, size=(8.0, 6.4), sharex=True, gridspec_kw={"height_ratios": [1.7, 1]})
    lowest = float(data["f"].min())
    for name, label in (
        ("f", "loss f"),
        ("inviscid", "u inviscid (Hopf-Lax)"),
        ("viscous", "u viscous (Cole-Hopf)"),
    ):
        shown = look("loss" if name == "f" else name)
        top.plot(x, data[name] - lowest, **shown, label=label, lw=2.2 if name != "f" else 1.8)
    bottom.set(xlim=(-window, window), ylim=(0, 11), xlabel="x", ylabel="probability density")
    top.axvline(float(data["best_minimum"]), color=COLORS["loss"], lw=0.7, ls=":")
    bottom.axvline(float(data["best_minimum"]), color=COLORS["loss"], lw=0.7, ls=":")
    top.set(ylim=(-0.15, 2.75), ylabel="height above min f")
    for name, density in (
        ("sgd", "start_minimum"),
        ("inviscid", "inviscid_largest_mass_at"),
        ("viscous", "best_minimum"),
    ):
        place = float(data[density])
        height = float(np.interp(place, x, data["f"])) - lowest
        top.plot(place, height, "o", color=COLORS[name], ms=7, mec="white", zorder=5)
    label_ends(top, loc="upper center", ncols=3)
    _densities(bottom, data, COLORS)
    return figure


def _densities(ax, data, colors):
    from pdelab.plotting import look

    x = data["x"]
    ax.fill_between(x, data["initial"], color=colors["initial"], alpha=0.7, lw=0)
    words = {
        "sgd": "SGD stays\nin the poor\nminimum",
        "inviscid": "inviscid: nearly\noptimal minimum",
        "viscous": "viscous: best minimum",
    }
    for name, text in words.items():
        density, color = data[f"density_{name}"], colors[name]
        ax.fill_between(x, density, color=color, alpha=0.35, lw=0)
        ax.plot(x, density, **look(name), lw=1.4)
        peak = int(np.argmax(density))
        ax.annotate(
            text,
            (x[peak], density[peak]),
            (8, 2),
            textcoords="offset points",
            color="#555555" if name == "sgd" else color,
            va="top",
            fontsize=9,
        )
    beside = x[np.argmax(data["initial"])] + 0.3
    ax.annotate("initial", (beside, 0.35 * data["initial"].max()), color="#555555", fontsize=9)
