"""Where Entropy-SGD's inner loop points along the gradient of local entropy: on a plane of a trained network, exactly.

At points of a plane through the digits network (its two sharpest directions) the loop's mean direction, over loop
length L and step η'/γ, against the gradient of local entropy by quadrature. Top: full gradients; bottom: mini-batches.
Left: median relative bias; middle: median angle in degrees; right: standard deviation of one loop over the gradient.
What reproduces: long loops of small steps are right. What does not: L = 20 at the papers' averaging is one noisy sample
of the direction, whose deviation falls with a (the weight of the newest iterate), not with L.
"""

import itertools

import numpy as np

NAME = "bridge-gradients"
TITLE = "Entropy-SGD's loop forgets its start like exp(-L η'/γ); its noise does not fall with L"
NEEDS = "networks"
PARAMETERS = {"gamma": 0.05, "temperature": 0.02, "shares": (0.02, 0.05, 0.1, 0.2, 0.5), "lengths": (2, 5, 10, 20, 50),
              "averaging": 0.75, "batch": 10, "points": 12, "runs": 60, "nodes": 481, "width": 3.0, "spread": 0.7,
              "hidden": 6, "epochs": 10, "samples": 100, "device": "cpu", "seed": 0}  # fmt: skip
QUICK = {"points": 6, "runs": 24, "shares": (0.05, 0.2), "lengths": (2, 20, 60)}
SEED = 0
CHECKS = {
    "quadrature_error": (None, 0.01),
    # the loop forgets its start like (1 - share)^L: the shortest loop of the smallest step has hardly moved
    "shortest_bias": (0.5, None),
    "longest_bias_full": (None, 0.25),
    "bias_falls": (2.0, None),
}


def compute(gamma, temperature, shares, lengths, averaging, batch, points, runs, nodes, width, spread, hidden, epochs,
            samples, device, seed):  # fmt: skip
    """Bias, angle and deviation of the loop for full gradients and for mini-batches."""
    import pdelab as pl
    from pdelab.networks import bridge

    plane = bridge.trained_slice(2, hidden=hidden, epochs=epochs, samples=samples, seed=seed, device=device)
    grid = pl.Grid((-width, -width), (width, width), (nodes, nodes))
    where = spread * np.random.default_rng(seed).standard_normal((points, 2))
    data = {"shares": np.array(shares), "lengths": np.array(lengths), "points": where}
    for name, size in (("full", None), ("batch", batch)):
        comparison = bridge.gradient_map(
            plane, grid, where, gamma, temperature, shares=shares, lengths=lengths, averaging=averaging, batch=size,
            runs=runs, seed=seed,
        )  # fmt: skip
        data[f"bias_{name}"] = np.median(comparison.relative_bias, -1)
        data[f"angle_{name}"] = np.median(comparison.angle, -1)
        data[f"deviation_{name}"] = np.median(comparison.relative_deviation, -1)
        data[f"region_{name}"] = comparison.region()
    data["quadrature_error"] = float((comparison.exact_error / np.linalg.norm(comparison.exact, axis=1)).max())
    data["shortest_bias"] = float(data["bias_full"][0, 0])
    data["longest_bias_full"] = float(data["bias_full"][:, -1].min())
    data["bias_falls"] = float(data["bias_full"][0, 0] / data["bias_full"][:, -1].min())
    for name in ("full", "batch"):
        data[f"best_share_of_points_{name}"] = float(data[f"region_{name}"].max())
    return data


def draw(data):
    """Rows: full gradients and mini-batches; columns: bias, angle, deviation."""
    from pdelab.figures.races import plain_ticks
    from pdelab.plotting import label_ends, subplots

    figure, axes = subplots(2, 3, size=(8.0, 5.6))
    for row, name in zip(np.reshape(axes, (2, 3)), ("full", "batch")):
        for panel, what in zip(row, ("bias", "angle", "deviation")):
            for share, marker, values in zip(data["shares"], itertools.cycle("osD^v"), data[f"{what}_{name}"]):
                panel.plot(data["lengths"], values, marker=marker, ms=3.5, label=f"η'/γ = {share:g}")
            panel.set(xlabel="L", xscale="log", yscale="log", ylabel=f"{what}, {name} gradients")
            panel.set_xticks(data["lengths"], [str(length) for length in data["lengths"]])
            panel.minorticks_off()
            plain_ticks(panel)
        row[0].axhline(0.1, color="0.6", lw=0.8)
        row[1].axhline(10.0, color="0.6", lw=0.8)
    label_ends(np.reshape(axes, (2, 3))[1, 2])
    return figure
