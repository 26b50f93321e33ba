"""Figure 5.1 of Chaudhari's thesis on the digits: independent networks after their hidden units are matched.

Six networks from six seeds. Raw overlaps are zero; aligned by permutations of hidden units all pairs overlap equally
and far from one. The mean of the weights is useless before the alignment, usable after it. Both matchings (greedy from
the input on, as in the thesis, and by incoming and outgoing weights) give the same picture. On another data set:
--set data=mnist folder=... hidden=1024.
"""

import numpy as np

NAME = "5.1"
TITLE = "Independent networks, matched unit by unit: all pairs are alike, none are close"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "folder": "", "hidden": 128, "networks": 6, "epochs": 40}
QUICK = {"hidden": 32}
CHECKS = {
    "raw_overlap": (-0.05, 0.05),
    "aligned_overlap": (0.3, 0.7),
    "aligned_spread": (None, 0.05),
    "planted_overlap": (1 - 1e-6, 1 + 1e-6),
    "raw_average_error": (30.0, None),
    "aligned_average_error": (None, 20.0),
}


def compute(data, folder, hidden, networks, epochs):
    """Overlap matrices, and errors of one network, of the raw mean and of the aligned means."""
    from pdelab.networks import curvature, training

    runs = [_train(data, folder, hidden, epochs, seed) for seed in range(networks)]
    models, split = [run.model for run in runs], runs[0].data.validation
    raw = curvature.overlap_matrix(models)
    aligned = curvature.overlap_matrix(models, "weights")
    pairs = np.triu_indices(networks, 1)
    numbers = {"raw": raw, "aligned": aligned, "raw_overlap": float(raw[pairs].mean())}
    numbers |= {"aligned_overlap": float(aligned[pairs].mean()), "aligned_spread": float(aligned[pairs].std())}
    numbers["individual_error"] = float(np.mean([training.evaluate(m, split)["error"] for m in models]))
    numbers["raw_average_error"] = training.evaluate(curvature.average(models), split)["error"]
    for method, key in (("weights", "aligned"), ("greedy", "greedy")):
        moved = [models[0], *(curvature.align(m, models[0], method) for m in models[1:])]
        numbers[f"{key}_average_error"] = training.evaluate(curvature.average(moved), split)["error"]
        numbers[f"{key}_to_first"] = float(np.mean([curvature.overlap(m, models[0]) for m in moved[1:]]))
    return numbers | {"planted_overlap": _planted(models[0])}


def _train(data, folder, hidden, epochs, seed):
    from pdelab.networks import training

    options = {"train": 1437, "validation": 360, "seed": 0} if data == "digits" else {}
    return training.train(
        "sgd", "mlp", data, epochs=epochs, seed=seed, folder=folder or None, data_options=options, drops=(0.75,),
        model_options={"hidden": (hidden, hidden)}, optimizer_options={"lr": 0.05, "weight_decay": 1e-3},
    )  # fmt: skip


def _planted(model):
    """Overlap with a copy of which the first hidden layer's units were renumbered: the matching must undo it."""
    import copy

    from pdelab.networks import curvature

    moved = copy.deepcopy(model)
    first, second = [m for m in moved if hasattr(m, "in_features")][:2]
    order = np.random.default_rng(0).permutation(len(first.bias))
    for p in (first.weight, first.bias):
        p.data = p.data[order]
    second.weight.data = second.weight.data[:, order]
    return curvature.overlap(curvature.align(moved, model), model)


def draw(data):
    """The two matrices, and the errors of the means."""
    from pdelab.plotting import COLORS, subplots

    figure, axes = subplots(1, 3, size=(8.0, 3.4), gridspec_kw={"width_ratios": [1, 1, 1.1]})
    for ax, key, title in zip(axes, ("raw", "aligned"), ("as trained", "after matching units")):
        ax.imshow(data[key], vmin=0, vmax=1)
        for (i, j), value in np.ndenumerate(data[key]):
            ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color="black" if value > 0.6 else "w")
        ax.set(title=f"overlap, {title}", xticks=[], yticks=[])
    names = ("one network", "mean, as trained", "mean, greedy", "mean, matched")
    errors = [data[f"{key}_error"] for key in ("individual", "raw_average", "greedy_average", "aligned_average")]
    kinds = ("sgd", "bad", "heat", "good")
    bars = axes[2].barh(names[::-1], errors[::-1], color=[COLORS[k] for k in kinds[::-1]])
    axes[2].bar_label(bars, fmt="%.1f", padding=3)
    axes[2].set(xlim=(0, 1.15 * max(errors)), xlabel="validation error (%)", title="averaging the weights")
    return figure
