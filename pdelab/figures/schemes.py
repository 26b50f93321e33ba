"""Consistency is not enough: a scheme without monotonicity converges to what is not the viscosity solution.

Data |x|: the Hopf-Lax formula rounds the kink off, u = x²/2t for |x| < t. Roe's choice of the slope (upwind by the sign
of the mean of the two one-sided slopes, no entropy fix) is consistent and stable, and keeps the kink for ever:
|x| - t/2 satisfies the equation almost everywhere, on every grid.
"""

from functools import partial

import numpy as np

NAME = "schemes"
TITLE = "Same data, same grid: without monotonicity a scheme converges to the wrong solution"
PARAMETERS = {"end": 0.5, "half_width": 2.0, "shown": 81, "sizes": (41, 81, 161, 321, 641, 1281, 2561)}
QUICK = {"sizes": (41, 81, 161, 321, 641, 1281)}
CHECKS = {
    "roe_error_at_0": (0.249, 0.251),
    "roe_order": (-0.05, 0.05),
    # In the fan x = a t an upwind step dt = λh leaves (h/2)|a|(1 - λ|a|) u_xx dt, and u_xx = 1/t from t ~ h on: the
    # error is h log(1/h) max_a |a|(1 - λ|a|)/2 + O(h). Measured over predicted factor, and the orders this looks like;
    # the filtered scheme is of first order at a kink too, with a smaller factor.
    "fan_factor": (0.9, 1.1),
    "monotone_order": (0.6, 1.0),
    "engquist_osher_order": (0.6, 1.0),
    "filtered_order": (0.6, 1.0),
    "filtered_over_monotone": (None, 1.0),
}


def compute(end, half_width, shown, sizes):
    """Errors of four schemes over the grids, and their solutions on one of them."""
    import pdelab as pl
    from pdelab import hamilton_jacobi as hj

    schemes = {"monotone": hj.monotone, "engquist_osher": hj.engquist_osher, "filtered": hj.filtered}
    errors = {name: [] for name in (*schemes, "roe")}
    data, ratio = {}, 0.0
    for n in sorted({*sizes, shown}):
        grid = pl.Grid(-half_width, half_width, n, boundary="outflow")
        exact = np.where(np.abs(grid.x) < end, grid.x**2 / (2 * end), np.abs(grid.x) - end / 2)
        problem = pl.HamiltonJacobi(viscosity=0.0)
        run = partial(pl.solve, problem, np.abs(grid.x), grid, end, rtol=np.inf)  # the errors are what is shown
        solved = {name: run(scheme=scheme) for name, scheme in schemes.items()}
        fields, ratio = (
            {name: solution.final for name, solution in solved.items()},
            solved["monotone"].info["dt"] / grid.spacing[0],
        )
        fields["roe"] = _roe(np.abs(grid.x), grid.spacing[0], end)
        if n in sizes:
            for name, u in fields.items():
                errors[name].append(np.abs(u - exact)[np.abs(grid.x) < half_width / 2].max())
        if n == shown:
            data |= {"x": grid.x, "exact": exact, **fields}
    h = 2 * half_width / (np.array(sizes) - 1)
    for name, wrong in errors.items():
        data |= {f"{name}_errors": np.array(wrong), f"{name}_order": float(np.polyfit(np.log(h), np.log(wrong), 1)[0])}
    speed = np.linspace(0.0, 1.0, 1001)
    growth = np.diff(np.array(errors["monotone"])[-2:] / h[-2:])[0] / np.log(h[-2] / h[-1])
    return data | {
        "h": h,
        "fan_factor": float(growth / (speed * (1.0 - ratio * speed) / 2.0).max()),
        "roe_error_at_0": errors["roe"][-1],
        "filtered_over_monotone": float(np.max(np.array(errors["filtered"]) / errors["monotone"])),
    }


def _roe(u, h, end):
    """Explicit steps with p²/2 at the slope that Roe's speed points to; no entropy fix."""
    steps = int(np.ceil(end / (0.9 * h)))
    for _ in range(steps):
        slope = np.diff(u) / h
        left, right = np.append(slope[:1], slope), np.append(slope, slope[-1:])
        u = u - end / steps / 2 * np.where(left + right >= 0, left, right) ** 2
    return u


def draw(data):
    """Left: the solutions near the kink. Right: errors against the spacing."""
    from pdelab.plotting import COLORS, label_ends, orders, subplots

    looks = {
        "monotone": (COLORS["inviscid"], "Godunov"),
        "filtered": (COLORS["good"], "filtered"),
        "roe": (COLORS["bad"], "Roe, no entropy fix"),
    }
    figure, (left, right) = subplots(1, 2, size=(8.0, 4.0))
    left.plot(data["x"], data["exact"], color=COLORS["exact"], lw=3, alpha=0.35, label="viscosity solution")
    for name, (color, label) in looks.items():
        left.plot(data["x"], data[name], ".-", color=color, lw=1, ms=3, label=label)
        orders(data["h"], data[f"{name}_errors"], right, label, color=color)
    orders(data["h"], data["engquist_osher_errors"], right, "Engquist-Osher", color=COLORS["heat"])
    left.set(xlim=(-1, 1), ylim=(-0.3, 0.6), xticks=(-1, -0.5, 0, 0.5, 1), xlabel="x", ylabel="u(x, 0.5)")
    right.set(xlabel="spacing h", ylabel="largest error on |x| < 1")
    label_ends(left)
    label_ends(right, loc="upper left", bbox_to_anchor=(0.0, 0.9))
    return figure
