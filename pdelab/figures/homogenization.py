"""Homogenization: the fast-slow system tends to the gradient flow of local entropy, weakly like ε, pathwise like √ε.

Chaudhari, thesis Theorem 4.5, with the noise √(2/(εβ)) that the limit needs; with the printed (εβ)^{-1/2} the slow
variable tends to the local entropy of another temperature, and its error stops falling.
"""

import numpy as np

NAME = "homogenization"
TITLE = "The fast-slow system tends to gradient flow of the local entropy: bias like ε, distance like √ε"
PARAMETERS = {
    "gamma": 0.2, "beta": 4.0, "start": 1.0, "t": 0.5, "paths": 40_000, "largest": 0.1, "levels": 5, "seed": 4,
}  # fmt: skip
QUICK = {"paths": 10_000, "levels": 4}
SEED = 4
CHECKS = {
    # slopes over a factor 2^(levels - 1) in ε: the next orders leave .05
    "rms_order": (0.43, 0.57),
    "bias_order": (0.8, 1.2),
    # the printed noise: the bias has a floor, at which it has the other sign
    "printed_noise_bias_order": (None, 0.5),
    "bias_over_its_standard_error": (5.0, None),
}


def compute(gamma, beta, start, t, paths, largest, levels, seed):
    """Bias and rms distance of X at time t from the homogenised path, for halved ε and both noises."""
    from pdelab import losses
    from pdelab.homogenization import FastSlow, homogenized
    from pdelab.paths import heun, simulate

    f = losses.three_wells()
    limit = simulate(homogenized(f, gamma, beta), start, t, t / 100, scheme=heun, seed=seed, save_every=1)
    epsilons = largest * 0.5 ** np.arange(levels)
    rows = {"bias": [], "rms": [], "error": [], "printed_bias": [], "printed_rms": []}
    for epsilon in epsilons:
        for name, inverse in (("", beta), ("printed_", 2 * beta)):
            sde = FastSlow(f, gamma, inverse, epsilon)
            gap = simulate(sde, start, t, 0.02 * epsilon, paths=paths, seed=seed).final[:, 0] - limit.final[0]
            rows[name + "bias"].append(gap.mean())
            rows[name + "rms"].append(np.sqrt((gap**2).mean()))
            if not name:
                rows["error"].append(gap.std() / np.sqrt(paths))
    rows = {name: np.array(values) for name, values in rows.items()}
    shown = simulate(FastSlow(f, gamma, beta, largest), start, t, t / 400, paths=6, seed=seed, save_every=1)
    order = lambda values: float(np.polyfit(np.log(epsilons), np.log(np.abs(values)), 1)[0])  # noqa: E731
    return {
        "epsilons": epsilons, **rows, "times": limit.times, "limit": limit.states[:, 0], "path_times": shown.times,
        "paths": shown.states[..., 0], "rms_order": order(rows["rms"]), "bias_order": order(rows["bias"]),
        "printed_noise_bias_order": order(rows["printed_bias"]),
        "bias_over_its_standard_error": float((np.abs(rows["bias"]) / rows["error"]).min()),
    }  # fmt: skip


def draw(data):
    """Left: a few slow paths about the limit; right: both errors against ε."""
    from pdelab.plotting import COLORS, label_ends, subplots

    figure, (left, right) = subplots(1, 2, size=(8.0, 4.0))
    left.plot(data["path_times"], data["paths"], color=COLORS["initial"], lw=0.9)
    words = r"$\varepsilon \to 0$: $dx = -\nabla f_\gamma(x)\,dt$"
    left.plot(data["times"], data["limit"], color=COLORS["viscous"], label=words)
    left.plot([], [], color=COLORS["initial"], label=f"X at ε = {data['epsilons'][0]:g}")
    left.set(xlabel="t", ylabel="x")
    label_ends(left)
    e = data["epsilons"]
    right.loglog(e, data["rms"], "o-", color=COLORS["inviscid"], label=f"rms: order {data['rms_order']:.2f}")
    bars = {"yerr": 2 * data["error"], "capsize": 2, "color": COLORS["viscous"]}
    right.errorbar(e, np.abs(data["bias"]), fmt="o-", label=f"|bias|: order {data['bias_order']:.2f}", **bars)
    words = "|bias|, printed noise (sign change)"
    right.loglog(e, np.abs(data["printed_bias"]), "s:", color=COLORS["bad"], label=words)
    right.set(xlabel="ε", ylabel="distance of X from the limit at t")
    label_ends(right)
    return figure
