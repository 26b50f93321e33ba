"""Figure 3.1 of Chaudhari's thesis on the digits: all eigenvalues of the Hessian of a small convolutional network.

Two independent runs. Left and right the tails, in the middle the neighbourhood of zero. What reproduces: most
eigenvalues are near zero, the right tail is long, the left one is short. On the thesis's data: --set data=mnist
folder=... epochs=100 samples=60000 (small-lenet, 47,658 weights; spectra by Lanczos with stochastic quadrature).
"""

import itertools

import numpy as np

from pdelab.figures.races import BUILT_IN, plain_ticks

NAME = "3.1"
TITLE = "Most directions at a minimum are flat, a few are steep, and those that lead down do so gently"
NEEDS = "networks"
PARAMETERS = {
    "data": "digits",
    "folder": "",
    "channels": (6, 12),
    "hidden": 24,
    "epochs": 30,
    "samples": 600,
    "runs": 2,
}
QUICK = {"channels": (3, 5), "hidden": 10, "samples": 200}
CHECKS = {"near_zero": (0.5, None), "left_over_right_tail": (None, 0.2), "negative": (None, 0.6)}


def compute(data, folder, channels, hidden, epochs, samples, runs):
    """Spectra at the end of training with Adam, as in the thesis."""
    from pdelab.networks import curvature, training

    built_in = data in BUILT_IN
    sizes = {"channels": tuple(channels), "hidden": hidden, "batch_norm": (False, False)} if built_in else {}
    spectra = []
    for seed in range(runs):
        result = training.train(
            "adam", "digits-lenet" if built_in else "small-lenet", data, epochs=epochs, seed=seed,
            folder=folder or None, drops=(0.7,), model_options=sizes,
            optimizer_options={"lr": 3e-3 if built_in else 1e-3, "weight_decay": 1e-5},
        )  # fmt: skip
        spectra.append(curvature.spectrum(result, method="exact" if built_in else "auto", samples=samples))
    names = ("near_zero", "negative", "largest")
    numbers = {name: float(np.mean([s.numbers[name] for s in spectra])) for name in names}
    numbers["left_over_right_tail"] = float(np.max([-s.smallest[0] / s.largest[-1] for s in spectra]))
    for k, s in enumerate(spectra, start=1):
        numbers |= {f"eigenvalues_{k}": s.nodes, f"counts_{k}": s.weights * s.dimension}
    return numbers | {"weights": spectra[0].dimension, "runs": runs}


def draw(data):
    """Three histograms of the same eigenvalues, logarithmic counts."""
    from pdelab.plotting import COLORS, subplots

    runs = range(1, data["runs"] + 1)
    least, most = (end([end(data[f"eigenvalues_{k}"]) for k in runs]) for end in (np.min, np.max))
    near = 1e-3 * most
    windows = ((least, -near), (-near, near), (near, most))
    names = ("negative tail", "around zero (|λ| < λ_max/1000)", "positive tail")
    figure, axes = subplots(1, 3, size=(8.0, 3.4))
    for ax, (low, high), name in zip(axes, windows, names):
        for k, color in zip(runs, itertools.cycle((COLORS["viscous"], COLORS["inviscid"], COLORS["good"]))):
            values, counts = data[f"eigenvalues_{k}"], data[f"counts_{k}"]
            ax.hist(values, np.linspace(low, high, 41), weights=counts, color=color, alpha=0.55, label=f"run {k}")
        ax.set(yscale="log", ylim=(0.7, None), xlabel="eigenvalue", title=name)
        ax.locator_params(axis="x", nbins=4)
        plain_ticks(ax)
    axes[0].set_ylabel("eigenvalues")
    axes[2].legend()
    return figure
