"""How far is a slice's law from SGD in all of weight space, projected onto its own principal plane?

From one trained network, runs of SGD on mini-batches of one sample move through all weights. Their principal plane at
the end is laid through their mean, and as many runs start at the same weights and never leave it. Left: both clouds
at the rate that is shown. Right: W₂ between the two over the width of the unrestricted runs, against the rate, with
intervals; the grey band is what two sets of as many unrestricted runs stay below. The grey line is the share of the
unrestricted variance that the plane holds.

What a slice says is exact on the slice. This is how much of it carries over, said plainly: not the law. Where an
interval excludes zero the two laws differ (numbers w2_over_width_*_low): on the plane alone the runs have less room
(numbers width_ratio_*), and the plane of the largest variance holds but a small part of it (number largest_explained).
"""

import numpy as np

NAME = "bridge-projection"
TITLE = "SGD on its own principal plane is not SGD projected onto it"
NEEDS = "networks"
PARAMETERS = {"rates": (0.005, 0.01, 0.02, 0.05), "show": 0.05, "t": 4.0, "batch": 1, "runs": 600, "cells": 12,
              "resamples": 60, "hidden": 6, "epochs": 10, "samples": 100, "device": "cpu", "seed": 0}  # fmt: skip
QUICK = {"rates": (0.01, 0.05), "runs": 200, "resamples": 30}
SEED = 0
CHECKS = {
    # another set of unrestricted runs: the same law, whose distance must lie within its interval (at 99.9 %) of zero
    "same_law_low": (None, 1e-12),
    "largest_explained": (None, 1.0),
    "least_explained": (0.0, None),
}


def compute(rates, show, t, batch, runs, cells, resamples, hidden, epochs, samples, device, seed):
    """Distances with intervals at every rate, the clouds at one."""
    from pdelab.networks import bridge
    from pdelab.networks.bridge import projection

    line = bridge.trained_slice(1, hidden=hidden, epochs=epochs, samples=samples, seed=seed, device=device)
    objective, data = line.functions.objective, {"rates": np.array(rates)}
    common = {"batch": batch, "runs": runs, "cells": cells, "resamples": resamples, "seed": seed}
    comparisons = [bridge.compare_projection(objective, lr, round(t / lr), **common) for lr in rates]
    width = np.array([float(np.sqrt((p.spread**2).sum())) for p in comparisons])
    rows = [(p.distances["w2"], p.low["w2"], p.high["w2"], p.floor["w2"]) for p in comparisons]
    data["w2"] = np.array(rows) / width[:, None]
    data["explained"] = np.array([p.explained for p in comparisons])
    shown = comparisons[rates.index(show)]
    data |= {"projected": shown.projected, "restricted": shown.restricted}
    for lr, p, values in zip(rates, comparisons, data["w2"]):
        data |= {f"w2_over_width_{lr:g}{end}": float(v) for end, v in zip(("", "_low", "_high", "_floor"), values)}
        data |= {f"tv_{lr:g}": p.distances["tv"], f"tv_{lr:g}_floor": p.floor["tv"]}
        data[f"width_ratio_{lr:g}"] = float(np.linalg.norm(p.restricted.std(0)) / np.linalg.norm(p.spread))
    again = shown.subspace.coordinates(
        bridge.roam(objective, show, round(t / show), batch=batch, runs=runs, seed=seed + 7)
    )
    same = projection.distances(shown.projected, again, cells, resamples, 0.999, [seed, 8])
    data |= {"same_law_w2": same[0]["w2"], "same_law_low": same[1]["w2"]}
    return data | {"largest_explained": max(data["explained"]), "least_explained": min(data["explained"])}


def draw(data):
    """Left: clouds; right: W₂ and the share of variance against the rate."""
    from pdelab.plotting import COLORS, label_ends, subplots

    figure, (left, right) = subplots(1, 2, size=(8.0, 4.0))
    left.plot(*data["projected"].T, ".", ms=3, color=COLORS["sgd"], label="all weights, projected")
    left.plot(*data["restricted"].T, ".", ms=3, color=COLORS["viscous"], label="on the plane alone")
    left.set(xlabel="first principal component", ylabel="second", aspect="equal")
    left.legend(loc="lower right")
    middle, low, high, floor = data["w2"].T
    right.errorbar(data["rates"], middle, [middle - low, high - middle], color=COLORS["viscous"], label="W₂ / width")
    right.fill_between(data["rates"], 0, floor, color="0.9", label="two sets of one law")
    right.plot(data["rates"], data["explained"], color="0.5", ls="--", label="share of the variance")
    right.set(xlabel="learning rate", xscale="log", ylim=(0, None))
    right.set_xticks(data["rates"], [f"{rate:g}" for rate in data["rates"]])
    right.minorticks_off()
    label_ends(right)
    return figure
