"""Figure 6.4 / Example 6.43: a double well with a circulation, as the thesis draws it and as it is.

Above: the drift -grad f = j - grad Φ for three strengths λ, with contours of Φ, the most likely places (red) and the
zeros of the drift (white). The density exp(-Φ) is the same for all three. The thesis sees limit cycles around the
saddle for λ = 1.5; below, left: the return map of the first axis lies under the diagonal, so that there is no cycle:
the origin attracts. What grows with λ is the winding rate (middle: closed form, grid and paths) and the spectral gap
(right): a force that keeps the density makes it reached sooner. At β other than 1 the density is not exp(-β Φ).
"""

import numpy as np

import pdelab as pl
from pdelab import nonequilibrium

NAME = "6.4"
TITLE = "A circulation leaves the density alone, speeds it up and winds around the saddle: there is no limit cycle"
SEED = 0
PARAMETERS = {
    "strengths": (0.0, 0.5, 1.5), "rates": (0.0, 0.25, 0.5, 1.0, 1.5, 3.0, 5.0), "n": 161, "paths": 2000, "time": 30.0,
    "dt": 0.005, "betas": (0.5, 1.0, 2.0, 4.0), "seed": 0,
}  # fmt: skip
QUICK = {"n": 81, "paths": 600, "time": 12.0, "rates": (0.0, 0.5, 1.5, 5.0)}
CHECKS = {
    "largest_return": (None, 0.0),  # log(r_1/r_0) of the return map at λ = 1.5: below 0 means no cycle
    "potential_order": (1.7, 2.3),  # of max |Φ_grid - Φ| over {Φ < 1.5} in the spacing, at the λ of the last field
    "winding_z": (None, 4.0),  # paths against λ π^(3/2)/Z, in standard errors
    "winding_gap": (None, 0.01),  # grid against the same, relative
    "gap_rises": (0.0, None),  # smallest rise of the spectral gap from one λ to the next
    "beta_shift": (0.1, None),  # how far Φ moves at β = 4: it depends on β
}


def compute(strengths, rates, n, paths, time, dt, betas, seed):
    """Fields, potentials, return maps, winding rates and gaps."""
    grid = pl.Grid((-2.8, -4.4), (2.8, 4.4), (n, 3 * (n // 2) + 1))
    fields = [nonequilibrium.Circulation(s) for s in strengths]
    phi = fields[0].potential(grid.points)
    inner = phi < 1.5
    coarse = pl.Grid((-2.0, -2.0), (2.0, 2.0), (25, 25))
    radii = np.geomspace(0.05, 2.2, 24)
    back = np.array([fields[-1].return_map(r) for r in radii])
    gaps, on_grid = [], []
    for strength in rates:
        problem = pl.FokkerPlanck(drift=nonequilibrium.Circulation(strength).drift(grid.points), beta=1.0)
        on_grid.append(nonequilibrium.winding_rate(problem, grid))
        gaps.append(pl.spectral_gap(problem, grid))
    shifts = []
    for beta in betas:
        problem = pl.FokkerPlanck(drift=fields[-1].drift(grid.points), beta=beta)
        computed = nonequilibrium.potential(problem, grid)
        shifts.append(np.abs(computed - phi - (computed - phi)[inner].mean())[inner].max())
    exact = np.array([nonequilibrium.Circulation(s).winding_rate for s in rates])
    walked = [_walk(nonequilibrium.Circulation(s), paths, time, dt, seed) for s in strengths]
    z = [abs(w.value - f.winding_rate) / (w.high - w.value) * 1.97 for w, f in zip(walked, fields)]
    return {
        "points": coarse.points, "drifts": np.array([f.drift(coarse.points) for f in fields]),
        "potential": coarse_potential(coarse), "strengths": np.array(strengths),
        "zeros": np.concatenate([np.insert(f.zeros(), 0, k, axis=1) for k, f in enumerate(fields)]),
        "radii": radii, "back": back, "rates": np.array(rates), "gaps": np.array(gaps), "on_grid": np.array(on_grid),
        "exact": exact, "walked": np.array([[w.value, w.low, w.high] for w in walked]), "betas": np.array(betas),
        "shifts": np.array(shifts), "largest_return": float(np.log(back / radii).max()),
        "potential_order": float(np.log2(_off(fields[-1], grid, 2) / _off(fields[-1], grid, 1))),
        "winding_z": float(max(z)),
        "winding_gap": float((abs(np.array(on_grid) - exact) / np.maximum(exact, 1e-9))[exact > 0].max()),
        "gap_rises": float(np.diff(gaps).min()), "beta_shift": float(shifts[-1]),
    }  # fmt: skip


def _off(field, grid, coarser):
    """max |Φ_grid - Φ| over {Φ < 1.5} on a grid with so many times the spacing."""
    grid = pl.Grid(grid.lower, grid.upper, tuple((n - 1) // coarser + 1 for n in grid.shape))
    phi = field.potential(grid.points)
    difference = nonequilibrium.potential(pl.FokkerPlanck(drift=field.drift(grid.points), beta=1.0), grid) - phi
    return np.abs(difference - difference[phi < 1.5].mean())[phi < 1.5].max()


def coarse_potential(grid):
    """Φ on the nodes of the picture."""
    return nonequilibrium.Circulation.potential(grid.points)


def _walk(field, paths, time, dt, seed):
    """Winding rate of paths that start from the stationary law and are saved at every fifth step."""
    draw = np.random.default_rng(seed)
    well = np.linspace(-3, 3, 4001)
    weights = np.exp(-((well**2 - 1) ** 2) / 4)
    x = np.interp(draw.random(paths), np.cumsum(weights) / weights.sum(), well)
    start = np.column_stack([x, draw.normal(size=paths)])
    steps, states = round(time / dt), [start]
    x = start
    for k in range(steps):
        noise = np.sqrt(2 * dt) * draw.normal(size=x.shape)
        ahead = x + dt * field.drift(x) + noise
        x = x + 0.5 * dt * (field.drift(x) + field.drift(ahead)) + noise
        if (k + 1) % 2 == 0:
            states.append(x)
    return nonequilibrium.winding(np.array(states), 2 * dt * np.arange(len(states)))


def draw(data):
    """Above: three fields; below: return map, winding rates, spectral gap."""
    from pdelab.plotting import COLORS, label_ends, subplots

    figure, axes = subplots(2, 3, size=(8.0, 5.6))
    x, y = data["points"][:, 0, 0], data["points"][0, :, 1]
    for k, ax in enumerate(axes[0]):
        u, v = data["drifts"][k][..., 0].T, data["drifts"][k][..., 1].T
        ax.contour(x, y, data["potential"].T, levels=np.arange(0.1, 2.0, 0.25), colors="#c9c9c9", linewidths=0.8)
        ax.streamplot(x, y, u, v, density=0.8, linewidth=0.7, arrowsize=0.7, color=COLORS["inviscid"])
        ax.plot([-1, 1], [0, 0], "o", ms=5, color=COLORS["viscous"])
        zeros = data["zeros"][data["zeros"][:, 0] == k, 1:]
        ax.plot(*zeros.T, "o", ms=6, mfc="white", mec=COLORS["exact"])
        ax.set(title=f"λ = {data['strengths'][k]:g}", aspect="equal", xlim=(-2, 2), ylim=(-2, 2), xlabel="x₁")
    axes[0, 0].set_ylabel("x₂")
    left, middle, right = axes[1]
    left.plot(data["radii"], data["radii"], color="#999999", lw=0.8, label="diagonal")
    left.plot(data["radii"], data["back"], "o-", ms=3, color=COLORS["inviscid"], label="return map")
    left.set(xlabel="radius r₀", ylabel="next radius r₁", title=f"λ = {data['strengths'][-1]:g}")
    label_ends(left)
    middle.plot(data["rates"], data["exact"], color=COLORS["exact"], label="λ π$^{3/2}$/Z")
    middle.plot(data["rates"], data["on_grid"], "s", ms=4, mfc="none", color=COLORS["viscous"], label="grid")
    walked = data["walked"]
    middle.errorbar(data["strengths"], walked[:, 0], [walked[:, 0] - walked[:, 1], walked[:, 2] - walked[:, 0]],
                    fmt="o", ms=3, color=COLORS["sgd"], label="paths")  # fmt: skip
    middle.set(xlabel="λ", ylabel="winding rate, rad/time")
    label_ends(middle)
    right.plot(data["rates"], data["gaps"], "o-", ms=4, color=COLORS["good"])
    right.set(xlabel="λ", ylabel="spectral gap, 1/time", title="β = 1, D = I")
    return figure
