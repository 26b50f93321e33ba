"""Does smoothing help here? Which minima are reached on the plane through three minima of a network, from equal starts.

Three networks are trained on the digits from different seeds; the plane through them holds their three minima. SGD,
HEAT, HJ and Entropy-SGD take equally many mini-batch gradients in it; beside them run the exact descent on the local
entropy of the plane, for several scopes, and the best control of SGD's own temperature. Rates are tuned on other starts
(numbers tuned_*). Left: the loss, its minima, the starts. Right: the loss at the minimum that is reached, less SGD's,
paired by start with 95 % intervals: left of zero smoothing helps.

What reproduces: at a scope that spans the distance between the minima exact descent on the local entropy finds better
ones, as do the best control and HEAT (whose runs end at a higher loss, on the way still). What does not: Entropy-SGD
and HJ gain at no scope.

Checked are theorems: the control gains at least what it pays (Theorem 4.11), by the equations and on simulated paths,
which must agree. The value function is steep for the grid: both sides of the control's identity differ by the number
`residual`, and a warning says so. Whether an algorithm gains is in the numbers *_difference with their intervals, and
in no check.
"""

import numpy as np

NAME = "bridge-basins"
TITLE = "On a plane of a network wide exact smoothing, HEAT and control find better minima; Entropy-SGD and HJ do not"
NEEDS = "networks"
PARAMETERS = {"gammas": (3.0, 30.0, 100.0), "beta": 10.0, "lr": 0.5, "gradients": 400, "batch": 1, "runs": 1000,
              "tuning_runs": 200, "width": 14.0, "spread": 4.0, "nodes": 257, "weight": 1.0, "hidden": 6, "epochs": 10,
              "samples": 100, "device": "cpu", "seed": 0}  # fmt: skip
QUICK = {"runs": 300, "tuning_runs": 60, "nodes": 81, "gammas": (3.0, 30.0)}
SEED = 0
CHECKS = {
    # Theorem 4.11 by the equations, and on paths up to its interval
    "surplus_by_equations": (0.0, None),
    "surplus_on_paths_high": (0.0, None),
    # paths and equations are one: the difference over twice the interval's half plus the residual of the equality
    "gain_disagreement": (None, 1.0),
    "effort_disagreement": (None, 1.0),
    # the equality that sharpens the theorem, relative to the gain; second order in the spacing
    "residual": (None, 0.5),
    "outside": (None, 0.01),
}
INNER = {"entropy-sgd": 20, "hj": 5, "heat": 20}
GRIDS = {"entropy-sgd": (0.1, 0.3, 1.0), "hj": (0.1, 0.3, 1.0), "heat": (1.0, 3.0, 10.0)}  # of each rate, times lr
HEAT = 0.1  # variance of HEAT's perturbations over the scope


def compute(gammas, beta, lr, gradients, batch, runs, tuning_runs, width, spread, nodes, weight, hidden, epochs,
            samples, device, seed):  # fmt: skip
    """Basins, depths and intervals."""
    import pdelab as pl
    from pdelab.networks import bridge

    plane, centre = through_minima(hidden, epochs, samples, seed, device)
    grid = pl.Grid(tuple(centre - width), tuple(centre + width), (nodes, nodes))
    common = {"mean": centre, "deviation": spread, "beta": beta, "lr": lr, "batch": batch}
    comparisons, data = [], {"axes": np.array(grid.axes), "loss": plane.loss.on(grid), "scopes": np.array(gammas)}
    for k, gamma in enumerate(gammas):
        own = common | {"gamma": gamma}
        rates = tuned(plane, grid, gradients, own | {"runs": tuning_runs, "seed": seed + 1000})
        data |= {f"tuned_{slug(name)}_{gamma:g}": rate for name, rate in rates.items()}
        members = {name: settings(name, gamma, rate) for name, rate in rates.items()}
        price = None if k else weight  # the control has no scope: once is enough
        comparisons.append(
            bridge.compare_basins(
                plane, grid, gradients, contestants=members, runs=runs, seed=seed, weight=price, **own
            )
        )
    first = comparisons[0]
    data |= {"minima": first.minima, "values": first.values, "starts": first.starts}
    data |= measured("sgd", first, "sgd") | measured("control", first, "control") | theorem(first)
    for gamma, basins in zip(gammas, comparisons):
        for name in (*INNER, "smoothed"):
            data |= measured(f"{slug(name)}_{gamma:g}", basins, name)
        data[f"smoothed_minimiser_is_in_the_best_basin_{gamma:g}"] = float(basins.smoothed_basin == 0)
    return data | {"outside": max(basins.outside for basins in comparisons)}


def through_minima(hidden, epochs, samples, seed, device):
    """The plane through three trained networks, and the middle of their places in it."""
    from pdelab.networks import bridge, curvature
    from pdelab.networks.bridge.examples import train_small

    runs = [train_small("digits", None, hidden, epochs, "sgd", None, seed + k, device) for k in range(3)]
    objective = curvature.Objective(runs[0].model, runs[0].data.train, samples=samples)
    rows = bridge.directions_to(objective, [run.model for run in runs[1:]])
    plane = bridge.restrict(objective, rows)
    return plane, plane.coordinates(plane.origin + rows).sum(0) / 3


def settings(name, gamma, rate):
    """An optimizer at a scope, without momentum; `rate` is that of its gradients."""
    options = {"optimizer": name, "inner_steps": INNER[name], "momentum": 0.0}
    if name == "heat":
        return options | {"lr": rate, "gamma": HEAT * gamma, "temperature": 1.0}
    return options | {"lr": 1.0, "inner_lr": rate, "gamma": gamma}


def tuned(plane, grid, gradients, common):
    """{optimizer: rate} with the least mean depth from other starts, of equal ones that of the lowest mean loss."""
    from pdelab.networks import bridge

    rates = {(name, share * common["lr"]) for name, grid in GRIDS.items() for share in grid}
    members = {f"{name} {rate:g}": settings(name, common["gamma"], rate) for name, rate in sorted(rates)}
    basins = bridge.compare_basins(plane, grid, gradients, contestants=members, weight=None, **common)

    def score(rate):
        label = f"{rate[0]} {rate[1]:g}"
        return basins.depths(label).mean(), basins.losses[label].mean()

    return {name: min((rate for rate in rates if rate[0] == name), key=score)[1] for name in GRIDS}


def measured(key, basins, name):
    """What one contestant leaves: the share of runs in the best basin and the difference of depths, with intervals."""
    parts = {"best_share": basins.share(name)} | ({} if name == "sgd" else {"difference": basins.difference(name)})
    numbers = {f"{key}_loss": float(basins.losses[name].mean()), f"{key}_counts": counts(basins, name)}
    for part, values in parts.items():
        numbers |= {f"{key}_{part}{end}": float(value) for end, value in zip(("", "_low", "_high"), values)}
    return numbers


def counts(basins, name):
    """Runs that end nowhere, then in each basin, the deepest first."""
    return np.bincount(basins.basins[name] + 1, minlength=len(basins.values) + 1)


def theorem(basins):
    """Theorem 4.11 by the equations and on paths."""
    exact, numbers = basins.theorem, {}
    gain = exact.plain - exact.controlled
    for name, value, (middle, low, high) in (
        ("gain", gain, basins.gain), ("effort", exact.effort, basins.effort),
    ):  # fmt: skip
        numbers |= {f"{name}_by_equations": value, f"{name}_on_paths": float(middle)}
        allowed = (high - low) + abs(exact.residual)
        numbers[f"{name}_disagreement"] = float(abs(middle - value) / allowed)
    ends = zip(("", "_low", "_high"), basins.surplus)
    numbers |= {f"surplus_on_paths{end}": float(value) for end, value in ends}
    return numbers | {"surplus_by_equations": gain - exact.effort, "residual": abs(exact.residual) / gain}


def slug(name):
    """A name of numbers."""
    return name.replace("-", "_")


def draw(data):
    """Left: the plane; right: differences of depths with their intervals."""
    from pdelab.plotting import COLORS, legend_above, subplots

    figure, (left, right) = subplots(1, 2, size=(8.0, 4.2), gridspec_kw={"width_ratios": [1.1, 1.0]})
    levels = np.geomspace(max(data["loss"].min(), 1e-3), data["loss"].max(), 18)
    left.contour(*data["axes"], data["loss"].T, levels=levels, norm="log", linewidths=0.7)
    left.plot(*data["starts"][:300].T, ".", ms=2, color=COLORS["sgd"], label="starts")
    for rank, (point, value) in enumerate(zip(data["minima"], data["values"])):
        left.plot(*point, "o", color=COLORS["good" if rank == 0 else "bad"])
        white = {"fc": "white", "ec": "none", "alpha": 0.8, "pad": 1}
        left.annotate(f"{value:.3f}", point, (4, 5), textcoords="offset points", fontsize=8, bbox=white)
    left.set(xlabel="to the second network", ylabel="to the third, orthogonalised", aspect="equal")
    for dot in legend_above(left).legend_handles:
        dot.set_markersize(6)
    colors = {"heat": "heat", "hj": "inviscid", "entropy-sgd": "sgd", "smoothed": "viscous"}
    rows = [(f"{name}, γ = {g:g}", f"{slug(name)}_{g:g}", c) for name, c in colors.items() for g in data["scopes"]]
    rows.append(("best control", "control", "exact"))
    for place, (_, key, color) in enumerate(reversed(rows)):
        middle, low, high = (data[f"{key}_difference{end}"] for end in ("", "_low", "_high"))
        right.plot([low, high], [place, place], color=COLORS[color], lw=3, solid_capstyle="butt")
        right.plot(middle, place, "o", color=COLORS[color])
    right.axvline(0.0, color="black", lw=0.8)
    right.set_yticks(range(len(rows)), [row[0] for row in reversed(rows)])
    right.set(xlabel="loss at the minimum reached, less SGD's")
    return figure
