"""Figure 3.3 from data: all solutions of a binary perceptron, and what their density says of generalisation.

The thesis draws a cartoon. Left: every solution of one instance with d = 21 weights, placed by classical scaling of
Hamming distances, coloured by the number of solutions within four flips; rings are isolated ones. Middle: weighting
solutions by (local count)^y lowers the error on new patterns, over many instances. Right: a typical solution is
isolated only for many weights (line: exp(-mean number of neighbours), as if flips were independent).
"""

import math

import numpy as np

from pdelab import perceptron

NAME = "3.3"
TITLE = "Dense solutions of the perceptron generalise better; isolation of typical ones needs many weights"
SEED = 0
PARAMETERS = {
    "d": 21, "patterns": 13, "radius": 4, "instances": 60, "tilts": (0.0, 1.0, 2.0, 5.0, 10.0),
    "weights": (25, 51, 101, 201, 401), "planted": 400, "seed": 0,
}  # fmt: skip
QUICK = {"instances": 30, "planted": 150, "weights": (25, 101, 401)}
CHECKS = {
    "gain_z": (4.0, None),  # uniform minus densest, in standard errors over the instances
    "largest_step_of_the_tilt_curve": (None, 0.0),  # the error falls with y
    "isolated_rise_z": (4.0, None),  # P(isolated) at the largest d minus that at the smallest, in standard errors
    "worst_pair_z": (None, 4.0),  # neighbours of the planted solution against C(d, 1) (2 P_1)^N, every d
}


def compute(d, patterns, radius, instances, tilts, weights, planted, seed):
    """One instance with 200 to 400 solutions, tilted errors over many, isolation of planted solutions."""
    curves, shown = [], None
    for k in range(instances):
        instance = perceptron.Perceptron(d, patterns, seed=seed * 10**6 + k)
        solutions = instance.solutions()
        counts, errors = perceptron.local_counts(solutions, d, radius), instance.generalisation_error(solutions)
        curves.append([perceptron.tilted_average(errors, counts, y) for y in (*tilts, math.inf)])
        if shown is None and 200 <= solutions.size <= 400:
            shown = solutions, counts, errors
    solutions, counts, errors = shown or (solutions, counts, errors)
    curves = np.array(curves)
    gain = curves[:, 0] - curves[:, -1]
    alone, neighbours, expected = [], [], []
    for n in weights:
        load = round(0.4 * n)
        flips = [_free_flips(n, load, seed * 10**6 + k) for k in range(planted)]
        alone.append(np.mean(np.array(flips) == 0))
        neighbours.append((np.mean(flips), np.std(flips, ddof=1) / math.sqrt(planted)))
        expected.append(perceptron.expected_pairs(n, load, 1))
    alone, neighbours = np.array(alone), np.array(neighbours)
    spread = np.sqrt((alone * (1 - alone) + 1 / planted) / planted)
    z = abs(neighbours[:, 0] - expected) / np.maximum(neighbours[:, 1], 1 / planted)
    return {
        "places": _scaled(solutions, d), "counts": counts, "errors": errors,
        "isolated": perceptron.isolated(solutions, d), "tilts": np.array(tilts), "curve": curves.mean(0),
        "curve_error": curves.std(0, ddof=1) / math.sqrt(instances), "weights": np.array(weights), "alone": alone,
        "spread": spread, "estimate": np.exp(-np.array(expected)), "d": d, "patterns": patterns, "radius": radius,
        "gain_z": float(gain.mean() / (gain.std(ddof=1) / math.sqrt(instances))),
        "largest_step_of_the_tilt_curve": float(np.diff(curves.mean(0)).max()),
        "isolated_rise_z": float((alone[-1] - alone[0]) / math.hypot(spread[0], spread[-1])),
        "worst_pair_z": float(z.max()),
    }  # fmt: skip


def _free_flips(d, patterns, seed):
    instance = perceptron.Perceptron(d, patterns, seed=seed)
    return int(instance.free_flips(instance.teacher_weights).sum())


def _scaled(solutions, d):
    """Classical scaling of Hamming distances to the plane, (n, 2)."""
    points = perceptron.unpack(solutions, d).astype(float)
    left, sizes, _ = np.linalg.svd(points - points.mean(0), full_matrices=False)  # |x - y|² is four Hamming distances
    return left[:, :2] * sizes[:2] / 2


def draw(data):
    """Left: solutions in the plane; middle: error against tilt; right: isolated share against d."""
    from pdelab.plotting import COLORS, label_ends, legend_above, subplots

    figure, (left, middle, right) = subplots(1, 3, size=(8.0, 3.3), width_ratios=(1.25, 1, 1))
    x, y = data["places"].T
    order = np.argsort(data["counts"])
    shown = left.scatter(x[order], y[order], c=data["counts"][order], s=14, cmap="viridis", norm="log")
    lonely = data["isolated"].astype(bool)
    left.scatter(x[lonely], y[lonely], s=34, facecolors="none", edgecolors=COLORS["bad"], label="isolated")
    figure.colorbar(shown, ax=left, label=f"solutions within {int(data['radius'])} flips")
    left.set(
        xlabel="first scaled coordinate",
        ylabel="second",
        title=f"d = {int(data['d'])}, N = {int(data['patterns'])}",
    )
    legend_above(left)
    middle.errorbar(data["tilts"], data["curve"][:-1], 2 * data["curve_error"][:-1], fmt="o-", ms=4,
                    color=COLORS["good"])  # fmt: skip
    middle.axhline(data["curve"][-1], color=COLORS["good"], ls=":", lw=1)
    middle.annotate("densest only", (data["tilts"][-1], data["curve"][-1]), (0, 4), textcoords="offset points",
                    ha="right", fontsize=8)  # fmt: skip
    middle.set(xlabel="tilt y", ylabel="error on new patterns", title="weight (count)$^y$")
    right.errorbar(data["weights"], data["alone"], 2 * data["spread"], fmt="o", ms=4, color=COLORS["bad"],
                   label="planted")  # fmt: skip
    right.plot(data["weights"], data["estimate"], color=COLORS["exact"], lw=1, label="Poisson")
    right.set(xscale="log", xlabel="weights d", ylabel="P(isolated)", ylim=(0, 1.3), title="load 0.4")
    right.set_xticks(data["weights"], [str(d) for d in data["weights"]])
    right.minorticks_off()
    label_ends(right, loc="upper left")
    return figure
