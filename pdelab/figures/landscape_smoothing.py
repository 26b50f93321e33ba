"""Does smoothing help on hard landscapes? Descent on the smoothed spin glass and search on the local entropy.

Left: a 3-spin glass averaged by the heat flow on the sphere is again a glass, with smaller couplings and a linear term
that shrinks by less: smoothing is the same as a stronger field. From the same starts and with as many gradients, plain
descent is compared with descent whose smoothing is switched off step by step; shown is the difference of the final
energies per spin, below 0 where smoothing helps. Without a field the harmonic part of the glass is only rescaled; what
smoothing brings out then is the trace of the couplings, a linear term of order N^(-1/2). Right: simulated annealing of
a binary perceptron, plain (one copy) and on the local entropy (several copies that attract each other), at equal
numbers of proposed flips: the share of runs that find a solution, with 95 % intervals.
"""

import math

import numpy as np

from pdelab import perceptron, spin_glass

NAME = "landscape-smoothing"
TITLE = "Does smoothing help on hard landscapes? Descent on a smoothed glass, annealing with copies"
SEED = 0
PARAMETERS = {
    "n": 50, "fields": (0.0, 0.5, 1.0, 1.5), "starts": 60, "glasses": 24, "gradients": 1500, "stages": 15, "time": 2.0,
    "d": 101, "loads": (0.5, 0.6, 0.7), "copies": (1, 3, 7), "proposals": 400, "runs": 60, "seed": 0,
}  # fmt: skip
QUICK = {"n": 30, "glasses": 8, "starts": 30, "gradients": 600, "runs": 20, "d": 61}
MARGIN = 3.0  # standard errors from 0 at which a difference is called one; declared before the runs
CHECKS = {
    "energy_bound": (0.0, None),  # no final energy below that of any point: E_0 + ν is a bound per spin up to O(N^-2/3)
    "solutions_that_are_none": (0, 0),
    "gap_without_smoothing": (None, 1e-6),  # stages that smooth by nothing are plain descent, cut into pieces
}


def compute(n, fields, starts, glasses, gradients, stages, time, d, loads, copies, proposals, runs, seed):
    """Paired differences of final energies, and success rates of searches."""
    effort = starts, gradients, stages, time, seed
    glass = spin_glass.SpinGlass
    differences = np.array(
        [[_difference(glass(n, 3, field, seed + g), *effort) for g in range(glasses)] for field in fields]
    )
    mean = differences[..., 0].mean(1)
    error = differences[..., 0].std(1, ddof=1) / math.sqrt(glasses)
    bound = min(float((differences[i, :, 1] + spin_glass.energy_threshold(3) + field + n ** (-2 / 3)).min())
                for i, field in enumerate(fields))  # fmt: skip
    still = (starts, gradients, stages, 0.0, seed)
    unsmoothed = max(abs(_difference(glass(n, 3, field, seed), *still)[0]) for field in fields)
    rates, low, high, wrong = (np.zeros((len(copies), len(loads))) for _ in range(4))
    for j, load in enumerate(loads):
        for i, count in enumerate(copies):
            for k in range(runs):
                instance = perceptron.Perceptron(d, round(load * d), seed=seed + k, teacher=True)
                run = perceptron.search(instance, proposals * d, copies=count, power=0, runs=1, seed=seed + k)
                rates[i, j] += run.solved[0]
                wrong[i, j] += int((instance.errors(run.solutions) > 0).sum()) if run.solved[0] else 0
            low[i, j], high[i, j] = _interval(int(rates[i, j]), runs)
    verdict = ["helps" if m < -MARGIN * e else "hurts" if m > MARGIN * e else "undecided" for m, e in zip(mean, error)]
    return {
        "fields": np.array(fields), "mean": mean, "error": error, "verdict": np.array(verdict),
        "loads": np.array(loads), "copies": np.array(copies), "rates": rates / runs,
        "low": low, "high": high, "n": n, "d": d,
        "energy_bound": bound, "solutions_that_are_none": int(wrong.sum()), "gap_without_smoothing": unsmoothed,
    }  # fmt: skip


def _difference(glass, starts, gradients, stages, time, seed):
    """(mean over starts of the energy by smoothed minus plain descent, lowest energy), with equally many gradients."""
    begin = glass.random_points(starts, seed=seed)
    plain = spin_glass.descend(glass, begin, most=gradients).energies
    points = begin
    for left in np.linspace(time, 0.0, stages):
        points = spin_glass.descend(glass.smoothed(float(left)), points, most=gradients // stages).points
    smooth = glass.energy(points)
    return float((smooth - plain).mean()), float(min(plain.min(), smooth.min()))


def _interval(successes, runs):
    from scipy.stats import binomtest

    interval = binomtest(successes, runs).proportion_ci(0.95)
    return interval.low, interval.high


def draw(data):
    """Left: energy differences against the field; right: success of searches against the load."""
    from pdelab.plotting import COLORS, subplots

    figure, (left, right) = subplots(1, 2, size=(8.0, 3.5))
    left.axhline(0, color="#999999", lw=0.8)
    left.errorbar(data["fields"], data["mean"], 2 * data["error"], fmt="o", ms=5, color=COLORS["heat"])
    for x, y, word in zip(data["fields"], data["mean"], data["verdict"]):
        left.annotate(str(word), (x, y), (6, 4), textcoords="offset points", fontsize=8)
    left.set(xlabel="field ν", ylabel="energy, smoothed minus plain", title=f"3-spin glass, N = {int(data['n'])}")
    colors = (COLORS["sgd"], COLORS["viscous"], COLORS["inviscid"])
    for i, count in enumerate(data["copies"]):
        shift = 0.012 * (i - 1)
        spread = np.abs(np.array([data["low"][i], data["high"][i]]) - data["rates"][i])
        label = "plain annealing" if count == 1 else f"local entropy, {count} copies"
        right.errorbar(data["loads"] + shift, data["rates"][i], spread, fmt="osD"[i % 3], ms=4, color=colors[i % 3],
                       label=label)  # fmt: skip
    right.set(xlabel="load N/d", ylabel="share of runs with a solution", ylim=(-0.05, 1.05),
              title=f"perceptron, d = {int(data['d'])}")  # fmt: skip
    right.legend(loc="lower left")
    return figure
