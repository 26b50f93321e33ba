"""At which learning rate does Fokker-Planck stop predicting SGD? On a slice of a trained network, both are computed.

Runs of SGD on a line through the digits network (along the sharpest direction of its loss), and the density of
Fokker-Planck with the exact noise Σ(u) of the mini-batches, with one isotropic constant of SGD's own mean trace, with Σ
frozen at the minimum, and with the second-order drift. Left: final densities at one rate. Right: W₂ from SGD over the
standard deviation of SGD, against the learning rate; bars are intervals, the grey band is what as many exact samples of
the measured density stay below.

What reproduces: mean and width are those of the measured noise, up to the known O(η). What does not: the shape. The
slope of Σ skews the diffusion's density; mini-batch gradients have a skewness of their own, which enters at the same
order √η and which no diffusion has. So the measured Σ need not be nearer to SGD in W₂ than a constant that is told
SGD's mean trace: *_gain is W₂ of a model less that of the measured one, with its interval, whichever way it falls. It
is the law on the slice; unrestricted SGD has other directions to move in.
"""

import numpy as np

NAME = "bridge-density"
TITLE = "On a slice of a network Fokker-Planck has SGD's mean and width; the skewness it has not"
NEEDS = "networks"
PARAMETERS = {"rates": (0.002, 0.005, 0.01, 0.02, 0.05), "show": 0.01, "t": 2.0, "batch": 1, "runs": 5000,
              "nodes": 1601, "width": 1.0, "hidden": 6, "epochs": 10, "samples": 100, "device": "cpu",
              "seed": 1}  # fmt: skip
QUICK = {"rates": (0.005, 0.01, 0.05), "runs": 1500}
SEED = 1
CHECKS = {
    "outside": (None, 0.001),
    # of the smallest rate, over what the theorem of weak orders allows (Li, Tai & E 2017): to leading order the error
    # of the measured equation is its distance to the second-order one; allowed is twice that and 4 standard errors
    "width_error": (None, 1.0),
    "mean_error": (None, 1.0),
    # the second-order equation removes that leading term: allowed is half of it and 4 standard errors
    "second_order_width_error": (None, 1.0),
    "second_order_mean_error": (None, 1.0),
}


def compute(rates, show, t, batch, runs, nodes, width, hidden, epochs, samples, device, seed):
    """Densities, distances and intervals at every learning rate."""
    import pdelab as pl
    from pdelab.networks import bridge

    line = bridge.trained_slice(1, hidden=hidden, epochs=epochs, samples=samples, seed=seed, device=device)
    grid = pl.Grid(-width, width, nodes)
    common = {"mean": 0.3, "deviation": 0.1, "batch": batch, "runs": runs, "resamples": 60, "seed": seed}
    by_rate = [bridge.compare_densities(line, grid, lr, [t], **common) for lr in rates]
    spread = np.array([c.states[-1].std() for c in by_rate])
    data = {"x": grid.x, "rates": np.array(rates), "potential": line.loss.on(grid)}
    data |= {
        "noise": bridge.noise(line, grid.x, batch),
        "floor": np.array([c.floor["w2"][0] for c in by_rate]) / spread,
    }
    for model in by_rate[0].densities:
        key = model.replace(" ", "_")
        rows = [(c.distances["w2"][model][0], c.low["w2"][model][0], c.high["w2"][model][0]) for c in by_rate]
        data[f"w2_{key}"] = np.array(rows) / spread[:, None]
        data[f"density_{key}"] = by_rate[rates.index(show)].densities[model][-1]
    data["runs"] = by_rate[rates.index(show)].states[-1]
    smallest = by_rate[0]
    for model, (gain, low, high) in smallest.gain.items():
        key = model.replace(" ", "_")
        data |= {f"{key}_gain": float(gain), f"{key}_gain_low": float(low), f"{key}_gain_high": float(high)}
    data |= moments(grid, smallest)
    data["outside"] = max(c.outside for c in by_rate)
    beyond = [lr for lr, c in zip(rates, by_rate) if c.low["w2"]["measured"][0] > 0]
    data["first_rate_that_differs"] = float(min(beyond, default=np.inf))
    return data


def moments(grid, run):
    """Mean, width and skewness of SGD and of two equations, and the equations' errors over what is allowed."""
    x = run.states[-1]
    own = mean, width, skew = moments_of(x, np.full(len(x), 1 / len(x)))
    kurtosis = float((((x - mean) / width) ** 4).mean())
    errors = width / np.sqrt(len(x)), width * np.sqrt((kurtosis - 1) / (4 * len(x)))
    of = {name: moments_of(grid.x, grid.weights * run.densities[name][-1]) for name in ("measured", "second order")}
    data = {f"sgd_{part}": value for part, value in zip(("mean", "width", "skewness"), own)}
    data |= {f"measured_{part}": value for part, value in zip(("mean", "width", "skewness"), of["measured"])}
    for k, part in enumerate(("mean", "width")):
        leading = abs(of["measured"][k] - of["second order"][k])
        for key, name, share in (("", "measured", 2.0), ("second_order_", "second order", 0.5)):
            data[f"{key}{part}_error"] = float(abs(of[name][k] - own[k]) / (4 * errors[k] + share * leading))
    return data


def moments_of(x, masses):
    """Mean, standard deviation and skewness."""
    mean = float(masses @ x)
    width = float(np.sqrt(masses @ (x - mean) ** 2))
    return mean, width, float(masses @ ((x - mean) / width) ** 3)


def draw(data):
    """Left: densities; right: distances against the learning rate."""
    from pdelab.plotting import COLORS, label_ends, subplots

    styles = {"measured": (COLORS["viscous"], "-"), "isotropic": (COLORS["inviscid"], ":"), "frozen": ("0.5", "--"),
              "second_order": ("k", "-.")}  # fmt: skip
    figure, (left, right) = subplots(1, 2, size=(8.0, 4.2))
    left.hist(data["runs"], bins=60, density=True, color=COLORS["initial"], label="SGD")
    for name, (color, line) in styles.items():
        label = name.replace("_", " ")
        left.plot(data["x"], data[f"density_{name}"], color=color, ls=line, label=label)
        middle, low, high = data[f"w2_{name}"].T
        right.errorbar(data["rates"], middle, [middle - low, high - middle], color=color, ls=line, label=label)
    right.fill_between(data["rates"], 0, data["floor"], color="0.9", label="exact samples")
    reach = 4 * data["runs"].std()
    left.set(xlabel="u", ylabel="density", xlim=(data["runs"].mean() - reach, data["runs"].mean() + reach))
    right.set(xlabel="learning rate", ylabel="W₂ from SGD / its deviation", xscale="log")
    right.set_xticks(data["rates"], [f"{rate:g}" for rate in data["rates"]])
    right.minorticks_off()
    label_ends(left)
    label_ends(right, loc="upper left")
    return figure
