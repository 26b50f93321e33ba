"""How much room do the minima of SGD and of Entropy-SGD have? Local entropy in all of weight space, with error bars.

From the same seeds both train a small network on the digits. Around each minimum the log of the mean Gibbs weight over
a Gaussian neighbourhood is sampled (Langevin steps with Metropolis's correction, thermodynamic integration); beside it
stand Laplace's value and the harmonic mean of the spectrum at the scope. Left: log volumes, seed by seed; larger is
wider. Middle: their paired differences, Entropy-SGD less SGD, with Student's interval. Right: log volume per weight
against the harmonic mean, as a quadratic would have it.

A log volume above zero says that the neighbourhood holds losses below that of the point: training had stopped early.
The volume counts the slope there too, the harmonic mean the curvature alone: they need not agree, and here they do not
(numbers *_difference_low and *_high; number laplace_outside counts intervals that miss Laplace's value). Whether a
difference excludes zero only the run can say, and no check does.
"""

import numpy as np

NAME = "bridge-volume"
TITLE = "The room around minima of SGD and Entropy-SGD: undecided by volume, flatter by the harmonic mean"
NEEDS = "networks"
PARAMETERS = {"gamma": 0.02, "beta": 500.0, "seeds": 8, "hidden": 6, "epochs": 20, "samples": 100, "chains": 8,
              "steps": 600, "device": "cpu", "seed": 0}  # fmt: skip
QUICK = {"seeds": 3, "steps": 250}
SEED = 0
CHECKS = {
    # the integration rule's error over the sampling error: the integral is resolved
    "rule_over_sampling": (None, 1.0),
    # independent samples at every λ, below which `volume` warns
    "least_effective": (50.0, None),
    # Jensen: f_γ is at most the mean of f over the neighbourhood, which is sampled at λ = 0; in standard errors
    "above_jensen": (None, 4.0),
    # <f>_λ falls with λ (its derivative is -β times a variance): the largest rise in standard errors
    "largest_rise": (None, 4.0),
}


def compute(gamma, beta, seeds, hidden, epochs, samples, chains, steps, device, seed):
    """Log volumes of paired minima with their intervals."""
    from pdelab.networks import bridge, curvature
    from pdelab.networks.bridge.examples import train_small
    from pdelab.networks.training.comparison import paired

    volumes_of, data = {"sgd": [], "entropy-sgd": []}, {}
    for name, volumes in volumes_of.items():
        for k in range(seeds):
            run = train_small("digits", None, hidden, epochs, name, None, seed + k, device)
            objective = curvature.Objective(run.model, run.data.train, samples=samples)
            v = bridge.volume(objective, gamma, beta, chains=chains, steps=steps, settle=steps // 2, seed=seed + k)
            volumes.append(v)
        data[name.replace("-", "_")] = np.array([row(v, beta) for v in volumes])
    for key, column in (("difference", 0), ("laplace_difference", 3), ("harmonic_difference", 4)):
        interval = paired(data["entropy_sgd"][:, column] - data["sgd"][:, column])
        data |= {key: interval["difference"], f"{key}_low": interval["low"], f"{key}_high": interval["high"]}
    return data | {"weights": objective.dimension} | quality([v for volumes in volumes_of.values() for v in volumes])


def row(v, beta):
    """Log volume, its interval, Laplace's, the harmonic mean, the loss."""
    low, high, laplace = (beta * (v.value - end) for end in (v.high, v.low, v.laplace))
    return v.log_volume, low, high, laplace, v.harmonic_mean, v.value


def quality(volumes):
    """What theorems say of the samples, and how often Laplace's value lies outside their intervals."""
    rises = [np.diff(v.means) / np.hypot(v.standard_errors[1:], v.standard_errors[:-1]) for v in volumes]
    jensen = [(v.local_entropy - v.means[0]) / np.hypot(v.standard_error, v.standard_errors[0]) for v in volumes]
    return {
        "rule_over_sampling": float(max(v.rule_error / v.standard_error for v in volumes)),
        "least_effective": float(min(v.effective.min() for v in volumes)),
        "above_jensen": float(max(jensen)),
        "largest_rise": float(max(rise.max() for rise in rises)),
        "laplace_outside": sum(not v.low <= v.laplace <= v.high for v in volumes),
    }


def draw(data):
    """Log volumes by seed, their paired differences, and log volumes against the harmonic mean."""
    from pdelab.plotting import COLORS, subplots

    figure, (left, middle, right) = subplots(1, 3, size=(8.0, 3.8), gridspec_kw={"width_ratios": [1.3, 1.0, 1.2]})
    count = len(data["sgd"])
    for name, color, shift in (("sgd", "inviscid", -0.1), ("entropy_sgd", "viscous", 0.1)):
        value, low, high, laplace, harmonic, _ = data[name].T
        at, label = np.arange(count) + shift, name.replace("_", "-")
        left.errorbar(at, value, [value - low, high - value], fmt="o", ms=4, color=COLORS[color], label=label)
        left.plot(at, laplace, "_", color=COLORS["exact"], ms=10, label="Laplace" if shift > 0 else None)
        right.plot(harmonic, value / data["weights"], "o", ms=4, color=COLORS[color])
    left.set(xlabel="seed", ylabel="log volume")
    left.legend()
    gaps = data["entropy_sgd"][:, :5] - data["sgd"][:, :5]
    middle.plot(np.arange(count), gaps[:, 0], "o", ms=4, color=COLORS["viscous"])
    middle.axhspan(data["difference_low"], data["difference_high"], color=COLORS["initial"], lw=0, zorder=0)
    middle.axhline(0.0, color="black", lw=0.8)
    middle.set(xlabel="seed", ylabel="Entropy-SGD less SGD")
    right.set(xlabel="harmonic mean of the spectrum", ylabel="log volume per weight")
    return figure
