"""Figure 3.4 of Chaudhari's thesis at small scale: two Hessian spectra and a Fisher diagonal of one shape.

(a) a fully-connected network on the digits, exact; (b) an LSTM on letters of Python's help topics, by Lanczos with
stochastic quadrature; (c) an all-convolutional network on the digits by the diagonal of its Fisher information, which
is exactly E g² - (E g)² from the gradients of all samples, and, dashed, the estimate from Adam's running moments that
the thesis used (it can be negative, a variance cannot). A diagonal is no spectrum: (c) says nothing about eigenvalues.
The shape reproduces in all three; the printed "95 % below 10⁻⁵" of (c) is a statement about how far training went and
does not (numbers fisher_below_*).
On another data set for (a) and (c): --set data=mnist folder=... hidden=64.
"""

import numpy as np

from pdelab.figures.races import BUILT_IN

NAME = "3.4"
TITLE = "Two Hessian spectra and a Fisher diagonal: most of each near zero, with a long right tail"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "folder": "", "epochs": 40, "hidden": 32, "lstm_hidden": 24, "lines": 256, "probes": 8}
QUICK = {"epochs": 15, "hidden": 16, "lstm_hidden": 8, "lines": 64, "probes": 4}
CHECKS = {
    "fully_connected_near_zero": (0.6, None),
    "fully_connected_left_over_right": (None, 0.1),
    "lstm_near_zero": (0.5, None),
    "lstm_left_over_right": (None, 0.5),
    "fisher_below_1_percent_of_largest": (0.5, None),
    "fisher_least": (-1e-12, None),
}


def compute(data, folder, epochs, hidden, lstm_hidden, lines, probes):
    """Two spectra of the Hessian and one of the Fisher diagonal."""
    from pdelab.networks import curvature, training

    numbers = {}
    common = {"data": data, "epochs": epochs, "folder": folder or None}
    options = {"lr": 0.1, "weight_decay": 1e-4}
    result = training.train("sgd", "mlp", model_options={"hidden": (hidden,)}, optimizer_options=options, **common)
    numbers |= _spectrum("fully_connected", curvature.spectrum(result, method="exact" if data in BUILT_IN else "auto"))
    result = training.train(
        "adam", "small-char-lstm", "topics", epochs=4 * epochs, batch_size=32, model_options={"hidden": lstm_hidden},
        data_options={"train": 40 * lines, "steps": 32, "lines": lines}, optimizer_options={"lr": 5e-3},
    )  # fmt: skip
    numbers |= _spectrum("lstm", curvature.spectrum(result, method="lanczos", probes=probes, steps=60))
    result = training.train("adam", "small-allcnn", optimizer_options={"lr": 2e-3}, **common)
    fisher = curvature.spectrum(result, of="fisher", precision="float32")
    adam = np.sort(curvature.fisher_from_adam(result.optimizer).numpy())
    return numbers | {
        "fisher": fisher.nodes,
        "fisher_adam": adam,
        "fisher_least": float(fisher.nodes[0]),
        "fisher_below_1_percent_of_largest": float((fisher.nodes < 1e-2 * fisher.nodes[-1]).mean()),
        "fisher_below_1e_5": float((fisher.nodes < 1e-5).mean()),
        "fisher_adam_negative": float((adam < 0).mean()),
    }


def _spectrum(name, spectrum):
    return {
        f"{name}_nodes": spectrum.nodes,
        f"{name}_weights": spectrum.weights,
        f"{name}_near_zero": spectrum.numbers["near_zero"],
        f"{name}_left_over_right": float(max(-spectrum.smallest[0], 0.0) / spectrum.largest[-1]),
        f"{name}_dimension": spectrum.dimension,
    }


def draw(data):
    """Three densities on a symmetric-logarithmic axis."""
    from pdelab.plotting import COLORS, legend_above, subplots

    figure, axes = subplots(1, 3, size=(8.0, 3.4))
    for ax, name in zip(axes, ("fully_connected", "lstm")):
        nodes, weights = data[f"{name}_nodes"], data[f"{name}_weights"]
        edges = _edges(nodes)
        ax.hist(nodes, edges, weights=weights, color=COLORS["viscous"])
        _axis(ax, nodes)
        ax.set(title=f"{name.replace('_', ' ')}, {data[f'{name}_dimension']} weights", xlabel="Hessian eigenvalue")
    edges = _edges(data["fisher"])
    share = np.full(len(data["fisher"]), 1 / len(data["fisher"]))
    axes[2].hist(data["fisher"], edges, weights=share, color=COLORS["inviscid"], label="all samples")
    share = np.full(len(data["fisher_adam"]), 1 / len(data["fisher_adam"]))
    axes[2].hist(data["fisher_adam"], edges, weights=share, histtype="step", color="black", ls="--", label="Adam")
    _axis(axes[2], data["fisher"])
    axes[2].set(title=f"all-convolutional,\n{len(data['fisher'])} weights", xlabel="diagonal Fisher information")
    legend_above(axes[2])
    axes[0].set_ylabel("part of the eigenvalues")
    axes[2].set_ylabel("part of the diagonal")
    return figure


def _edges(nodes):
    top = abs(nodes).max()
    tail = np.geomspace(1e-4 * top, 1.05 * top, 22)
    return np.concatenate([-tail[::-1], tail])


def _axis(ax, nodes):
    top, least = float(abs(nodes).max()), float(nodes.min())
    decades = 10.0 ** np.arange(np.floor(np.log10(top)), np.log10(1e-4 * top) + 0.3, -2)
    ax.set_xscale("symlog", linthresh=1e-4 * top)
    ax.set_xticks([*-decades, 0.0, *decades], minor=False)
    ax.set_xticks([], minor=True)
    ax.set(yscale="log", xlim=(2.0 * least if least < 0 else -1e-4 * top, 2.0 * top))
