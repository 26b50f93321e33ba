"""Figure 2.4 of Chaudhari's thesis at the scale of the digits: do the weights align with the field?

An all-convolutional network under SGD (as printed) and the deep network of Figure 2.3 under Adam from He's
initialisation, without a field, in a fixed one and in one drawn anew at each step. |cos(h, w)| over the epochs, h being
the direction of the fixed field of the run's seed. What reproduces: weights align with a fixed field and not with a
resampled one, in both networks. Whether that is good for the error is the question of Table 2.1.
The printed settings on the thesis's data: --set data=cifar10 folder=... (All-CNN-BN, 200 epochs; slow).
"""

import numpy as np

from pdelab.figures.network_field import deep, flat, in_fields
from pdelab.figures.races import BUILT_IN, color, contestants

NAME = "2.4"
TITLE = "Weights align with a fixed random field, not with one that is drawn anew"
NEEDS = "networks"
PARAMETERS = {"data": "digits", "folder": "", "model": "", "epochs": 0, "deep_epochs": 25, "hidden": 64, "seeds": 4}
QUICK = {"epochs": 25, "deep_epochs": 10, "seeds": 2}
CHECKS = {
    "allcnn_fixed_field_alignment": (0.1, None),
    "allcnn_resampled_field_alignment": (None, 0.05),
    "allcnn_sgd_alignment": (None, 0.05),
    "deep_fixed_field_alignment": (0.3, None),
    "deep_resampled_field_alignment": (None, 0.05),
}
LAYERS = 16


def compute(data, folder, model, epochs, deep_epochs, hidden, seeds):
    """Alignments (seeds, epochs) of both networks, and their means at the end."""
    from pdelab.networks import training

    numbers = {}
    for name, arguments in panel(data, folder, model, epochs).items():
        runs = []
        for seed in range(seeds):
            kept = range(1, arguments["epochs"] + 1)
            runs.append(training.train(**arguments, seed=seed, snapshots=kept))
        numbers |= _aligned(f"allcnn_{name}", runs, None)
    for field, name in (("plain", "adam"), ("fixed", "fixed field"), ("resampled", "resampled field")):
        shared = (data if data in BUILT_IN else "mnist", folder, hidden, LAYERS, 1e-3, 500.0, deep_epochs)
        runs = [deep(*shared, seed, "he", field) for seed in range(seeds)]
        numbers |= _aligned(f"deep_{name}", runs, LAYERS)
    return numbers


def panel(data, folder, model="", epochs=0):
    """An all-convolutional network under SGD, without a field and in two."""
    if data in BUILT_IN:
        model, epochs = model or "small-allcnn", epochs or 60
    names = ("sgd", "fixed field", "resampled field")
    contestant = contestants("digits-lenet", "allcnn", names, data=data, folder=folder, model=model, epochs=epochs)
    return in_fields(contestant, "trivialized-sgd") if data in BUILT_IN else contestant


def _aligned(name, runs, layers):
    key = name.replace(" ", "_").replace("-", "_")
    values = np.array([_alignments(run, seed, layers) for seed, run in enumerate(runs)])
    return {f"{key}_alignments": values, f"{key}_alignment": float(values[:, -1].mean())}


def _alignments(run, seed, layers):
    """|cos(h, w)| after each epoch, h the direction of the fixed field of this seed."""
    import copy

    from pdelab.networks import TrivializedSGD

    blank = copy.deepcopy(run.model)
    for p in blank.parameters():
        p.data.zero_()
        p.grad = p.data.clone()
    TrivializedSGD(blank.parameters(), lr=1.0, momentum=0.0, layers=layers or 3, coupling=1.0, seed=seed).step()
    h = flat(p.detach() for p in blank.parameters())
    names, alignments = [name for name, _ in run.model.named_parameters()], []
    for state in run.snapshots.values():
        w = flat(state[name] for name in names)
        alignments.append(abs(h @ w) / (np.linalg.norm(h) * np.linalg.norm(w)))
    return alignments


def draw(data):
    """One panel a network."""
    from pdelab.plotting import label_ends, subplots

    titles = {"allcnn": ("all-convolutional, SGD", "sgd"), "deep": ("16 layers, He initialisation, Adam", "adam")}
    figure, axes = subplots(1, 2, size=(8.0, 3.8), sharey=True)
    for ax, (key, (title, plain)) in zip(axes, titles.items()):
        for name in (plain, "fixed field", "resampled field"):
            values = data[f"{key}_{name.replace(' ', '_')}_alignments"]
            epochs = np.arange(1, values.shape[1] + 1)
            ax.plot(epochs, values.T, color=color(name), alpha=0.3, lw=1)
            ax.plot(epochs, values.mean(0), color=color(name), label=name if name != plain else f"{name}, no field")
        ax.set(title=title, xlabel="epochs", ylim=(0, 1))
        label_ends(ax)
    axes[0].set_ylabel("alignment |cos(h, w)|")
    return figure
