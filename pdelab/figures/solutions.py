"""When a binary perceptron has solutions: E Z = 2^(d - N) exactly, and P(Z > 0) falls around the load 0.833.

Every instance is enumerated. The mean number of solutions is far from the typical one: it passes 1 at the load N/d = 1,
while half of the instances lose their last solution before. The thesis says that solutions vanish below 0.833; they
exist there, and vanish above.
"""

import math

import numpy as np

from pdelab import perceptron

NAME = "solutions"
TITLE = "Random perceptrons lose their last solution around the load 0.83, sooner than the mean number says"
SEED = 0
PARAMETERS = {"sizes": (15, 21, 25), "loads": (0.4, 0.6, 0.8, 1.0, 1.2, 1.4), "draws": 400, "seed": 0}
QUICK = {"sizes": (15, 21), "draws": 120}
CHECKS = {
    "worst_z_of_the_mean": (None, 4.0),  # mean Z against 2^(d - N), where enough instances have solutions (E Z >= 1)
    "solvable_at_the_lowest_load": (0.95, None),
    "solvable_at_the_highest_load": (None, 0.1),
    "largest_rise_in_errors": (None, 3.0),  # P(Z > 0) falls with the load, up to three standard errors
}


def compute(sizes, loads, draws, seed):
    """Numbers of solutions of random instances."""
    mean, error, share, exact = (np.zeros((len(sizes), len(loads))) for _ in range(4))
    for i, d in enumerate(sizes):
        for j, load in enumerate(loads):
            n = round(load * d)
            counts = np.array([
                perceptron.Perceptron(d, n, seed=seed * 10**6 + k, teacher=False).count() for k in range(draws)
            ])  # fmt: skip
            mean[i, j], error[i, j] = counts.mean(), _deviation(d, n) / math.sqrt(draws)
            share[i, j], exact[i, j] = np.mean(counts > 0), perceptron.expected_solutions(d, n)
    spread = np.sqrt((share * (1 - share) + 1 / draws) / draws)
    rises = np.diff(share, axis=1) / np.hypot(spread[:, 1:], spread[:, :-1])
    return {
        "sizes": np.array(sizes), "loads": np.array(loads), "mean": mean, "error": error, "share": share,
        "spread": spread, "exact": exact,
        "worst_z_of_the_mean": float((abs(mean - exact) / error)[exact >= 1].max()),
        "solvable_at_the_lowest_load": float(share[:, 0].min()),
        "solvable_at_the_highest_load": float(share[:, -1].max()),
        "largest_rise_in_errors": float(rises.max()),
    }  # fmt: skip


def _deviation(d, n):
    """Standard deviation of Z, exactly: E Z² = E Z times the expected number of solutions seen from one."""
    mean = perceptron.expected_solutions(d, n)
    return math.sqrt(mean * sum(perceptron.expected_pairs(d, n, k) for k in range(d + 1)) - mean**2)


def draw(data):
    """Left: mean number of solutions; right: probability that there is one."""
    import matplotlib

    from pdelab.plotting import COLORS, label_ends, subplots

    figure, (left, right) = subplots(1, 2, size=(8.0, 3.4))
    shades = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.8, len(data["sizes"])))
    for i, (d, shade) in enumerate(zip(data["sizes"], shades)):
        left.errorbar(data["loads"], data["mean"][i], 2 * data["error"][i], fmt="osD"[i % 3], ms=4,
                      color=shade)  # fmt: skip
        left.plot(data["loads"], data["exact"][i], color=shade, lw=1, label=f"d = {d}")
        right.errorbar(data["loads"], data["share"][i], 2 * data["spread"][i], fmt="osD"[i % 3] + "-", ms=4,
                       color=shade, label=f"d = {d}")  # fmt: skip
    left.set(yscale="log", xlabel="load N/d", ylabel="mean Z (lines: 2$^{d-N}$)")
    label_ends(left)
    right.axvline(0.833, color=COLORS["exact"], ls=":", lw=1)
    right.annotate("0.833", (0.833, 0.05), (3, 0), textcoords="offset points")
    right.set(xlabel="load N/d", ylabel="P(Z > 0)", ylim=(0, 1.05))
    label_ends(right)
    return figure
