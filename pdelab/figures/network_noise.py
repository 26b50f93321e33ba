"""Figure 6.1 of Chaudhari's thesis on the digits: the spectrum of the gradient noise D(x) during training.

A fully-connected and a convolutional network at 20, 40 and 100 % of training. What reproduces: a handful of directions
carries the noise. What does not: the spectrum is not constant (its trace falls many times, since the gradients of
samples that are learned vanish), and "rank one per cent" is a statement about float32 in the threshold λ_max d ε: the
same D has several times that rank in float64. The participation ratio needs no threshold. On another data set:
--set data=mnist folder=... samples=5000.
"""

import numpy as np

NAME = "6.1"
TITLE = "Gradient noise lives in a few directions, and fades as the network learns"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "folder": "", "hidden": 24, "epochs": 60, "samples": 1437}
QUICK = {"epochs": 20, "samples": 600}
CHECKS = {
    "fully_connected_participation_end": (1.0, 30.0),
    "fully_connected_top_10_share_end": (0.6, None),
    "fully_connected_trace_ratio": (None, 0.5),
    "fully_connected_rank32_end": (0.01, 0.25),
    "fully_connected_rank64_over_rank32": (2.0, None),
    "convolutional_top_10_share_end": (0.6, None),
    "convolutional_trace_ratio": (None, 0.8),
}
TIMES = (0.2, 0.4, 1.0)


def compute(data, folder, hidden, epochs, samples):
    """Eigenvalues of D at three times for both networks, with ranks and participation ratios."""
    numbers = {"times": np.array(TIMES)}
    for name, model, options in (
        ("fully_connected", "mlp", {"hidden": (hidden,)}),
        ("convolutional", "digits-lenet", {"channels": (4, 8), "hidden": 16}),
    ):
        numbers |= summary(name, *measure(data, folder, model, options, epochs, samples))
    return numbers


def measure(data, folder, model, options, epochs, samples, data_options=None):
    """D of one network at the three times, and the training loss of those epochs."""
    from pdelab.networks import curvature, training

    sizes = {"train": 1437, "validation": 360} if data == "digits" else {}
    snapshots = [max(1, round(t * epochs)) for t in TIMES]
    result = training.train(
        "sgd", model, data, epochs=epochs, folder=folder or None, model_options=options, snapshots=snapshots,
        data_options=sizes | (data_options or {}), optimizer_options={"lr": 0.02},
    )  # fmt: skip
    noises = []
    losses = [result.history[epoch - 1]["train_loss"] for epoch in snapshots]
    for epoch in snapshots:
        result.model.load_state_dict(result.snapshots[epoch])
        noises.append(curvature.gradient_noise(curvature.Objective(result.model, result.data.train, samples=samples)))
    return noises, losses


def summary(name, noises, losses):
    """The eigenvalues (times, n) of a network, its training loss, and what is said about them."""
    rank = {bits: np.array([n.rank(f"float{bits}") / n.dimension for n in noises]) for bits in (32, 64)}
    numbers = [n.numbers for n in noises]
    return {
        f"{name}_eigenvalues": np.array([n.eigenvalues for n in noises]),
        f"{name}_rank32": rank[32],
        f"{name}_rank64": rank[64],
        f"{name}_participation": np.array([k["participation_ratio"] for k in numbers]),
        f"{name}_dimension": noises[0].dimension,
        f"{name}_rank32_end": float(rank[32][-1]),
        f"{name}_rank64_over_rank32": float(rank[64][-1] / rank[32][-1]),
        f"{name}_participation_end": numbers[-1]["participation_ratio"],
        f"{name}_top_10_share_end": numbers[-1]["top_10_share"],
        f"{name}_trace_ratio": numbers[-1]["trace"] / numbers[0]["trace"],
        f"{name}_mean_end": numbers[-1]["mean"],
        f"{name}_losses": np.array(losses),
        f"{name}_loss_end": float(losses[-1]),
        f"{name}_deviation_end": numbers[-1]["deviation"],
    }


def draw(data):
    """Eigenvalues by rank at three times, one panel a network."""
    from pdelab.plotting import subplots

    figure, axes = subplots(1, 2, size=(8.0, 3.8), sharey=True)
    for ax, name in zip(axes, ("fully_connected", "convolutional")):
        draw_spectra(ax, data, name, name.replace("_", " "))
    axes[0].set_ylabel("eigenvalue of D(x)")
    return figure


def draw_spectra(ax, data, name, title, named=True):
    """Eigenvalues against their number over d, darker is later, with the names of the times or without."""
    from pdelab.plotting import COLORS, label_ends

    d = data[f"{name}_dimension"]
    for values, time, alpha in zip(data[f"{name}_eigenvalues"], data["times"], (0.35, 0.6, 1.0)):
        shown = np.maximum(values, 1e-18)
        ax.plot(np.arange(1, len(values) + 1) / d, shown, color=COLORS["viscous"], alpha=alpha, label=f"{time:.0%}")
    ranks = "rank " + ", ".join(f"{data[f'{name}_rank{bits}'][-1]:.1%} (float{bits})" for bits in (32, 64))
    ratio = data[f"{name}_participation_end"]
    ax.set(xscale="log", yscale="log", ylim=(1e-14, 1e2), xlabel="number of the eigenvalue / d")
    ax.set_title(f"{title}, d = {d}\n{ranks}\nparticipation ratio {ratio:.1f}, at the end", fontsize=9)
    if named:
        label_ends(ax, title="of training")
