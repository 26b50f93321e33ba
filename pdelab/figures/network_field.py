"""Figure 2.3 of Chaudhari's thesis at the scale of the digits, with the control that it lacks.

A very deep thin network (16 layers) under Adam, under Adam in a fixed random field that decays (topology
trivialisation) and in a field that is drawn anew at each step. (a) From PyTorch's default initialisation plain Adam
does not train and the fixed field helps, as printed; from He's initialisation Adam trains and the field hurts: the
benefit is a repair of the initialisation. (b) The least back-propagated gradient of the print is zero for every ReLU
network before the field is added and positive after by construction; the part of its entries that are zero is shown
instead. (c) A convolutional network: the gain in print does not reproduce. Here the fixed field is worse in the end,
the resampled one is undecided (numbers lenet_*_verdict). Adam divides by the size of the gradient, so that a small
field rules once the images are learned; a field that is gone by then is harmless (--set lenet_decay_steps=50). The
first epochs say nothing: Adam is measured at the running batch-norm statistics, the other two at refreshed ones.
The printed settings on the thesis's data: --set data=mnist folder=... hidden=128 epochs=50.
"""

import numpy as np

from pdelab.figures.races import BUILT_IN, color, contestants, draw_curves, plain_ticks, race

NAME = "2.3"
TITLE = "A fixed random field repairs a bad initialisation; with a good one it hurts"
NEEDS = "networks"
PARAMETERS = {
    "data": "digits", "folder": "", "hidden": 64, "layers": 16, "coupling": 1e-3, "decay_steps": 500.0, "epochs": 25,
    "lenet": "", "lenet_epochs": 0, "lenet_decay_steps": 500.0, "seeds": 4,
}  # fmt: skip
QUICK = {"seeds": 2}
MARGIN = 0.2  # per cent, declared before any run
CHECKS = {
    "default_plain_error": (60.0, None),
    "default_fixed_error": (None, 50.0),
    "default_resampled_error": (60.0, None),
    "he_plain_error": (None, 8.0),
    "he_fixed_minus_plain": (2.0, None),
    "default_fixed_zero_fraction": (None, 0.4),
    "default_plain_zero_fraction": (0.4, None),
    "lenet_adam_mean": (None, 15.0),
    "lenet_fixed_field_low": (0.0, None),
    "lenet_resampled_field_difference": (-2.0, 2.0),
}
QUICK_CHECKS = {name: band for name, band in CHECKS.items() if name != "lenet_fixed_field_low"} | {
    "lenet_fixed_field_difference": (0.0, None)  # two seeds
}
FIELDS = {"plain": "adam", "fixed": "fixed field", "resampled": "resampled field"}
STARTS = {"default": "default initialisation", "he": "He initialisation (control)"}


def compute(data, folder, hidden, layers, coupling, decay_steps, epochs, lenet, lenet_epochs, lenet_decay_steps, seeds):
    """Error curves and zero gradient entries 0.4 of the way of the deep network, and a race of three on LeNet."""
    numbers = race({"lenet": panel(data, folder, lenet, lenet_epochs, lenet_decay_steps)}, seeds=seeds, margin=MARGIN)
    middle = max(1, round(0.4 * epochs))
    for start in STARTS:
        for field in FIELDS:
            runs = [
                deep(data, folder, hidden, layers, coupling, decay_steps, epochs, seed, start, field)
                for seed in range(seeds)
            ]
            curves = np.array([[record["validation_error"] for record in run.history] for run in runs])
            key = f"{start}_{field}"
            numbers |= {f"{key}_curve": curves, f"{key}_error": float(curves[:, -1].mean())}
            numbers[f"{key}_zero_fraction"] = float(np.mean([_zero_fraction(run, middle) for run in runs]))
        numbers[f"{start}_fixed_minus_plain"] = numbers[f"{start}_fixed_error"] - numbers[f"{start}_plain_error"]
    return numbers


def panel(data, folder, model="", epochs=0, decay_steps=500.0):
    """A convolutional network under Adam, without a field and in two."""
    contestant = contestants(
        "digits-lenet", "block-lenet", ("adam", "fixed field", "resampled field"), data=data, folder=folder,
        model=model, epochs=epochs,
    )  # fmt: skip
    return in_fields(contestant, "trivialized-adam", decay_steps) if data in BUILT_IN else contestant


def in_fields(contestant, optimizer, decay_steps=500.0, coupling=1e-4):
    """The one contestant of a recipe, and the same in a fixed and in a resampled field, J as printed."""
    ((name, plain),) = contestant.items()
    options = plain["optimizer_options"] | {"coupling": coupling, "decay_steps": decay_steps}
    fields = {f"{kind} field": options | {"resampled": kind == "resampled"} for kind in ("fixed", "resampled")}
    return contestant | {kind: plain | {"optimizer": optimizer, "optimizer_options": o} for kind, o in fields.items()}


def deep(data, folder, hidden, layers, coupling, decay_steps, epochs, seed, start, field):
    """A run of the deep network, with the weights of every epoch."""
    from pdelab.networks import training

    options = {"lr": 1e-3, "weight_decay": 1e-5}
    if field != "plain":
        options |= {"coupling": coupling, "decay_steps": decay_steps, "layers": layers}
        options["resampled"] = field == "resampled"
    sizes = {"train": 1437, "validation": 360} if data == "digits" else {}
    return training.train(
        "adam" if field == "plain" else "trivialized-adam", "deep-mnistfc", data, epochs=epochs, seed=seed,
        model_options={"hidden": hidden, "layers": layers}, data_options=sizes, folder=folder or None,
        initialisation=start, optimizer_options=options, snapshots=range(1, epochs + 1),
    )  # fmt: skip


def flat(tensors):
    """All entries in one vector."""
    return np.concatenate([np.asarray(t, float).ravel() for t in tensors])


def _zero_fraction(run, epoch):
    """Part of the back-propagated gradient's entries that are exactly zero, on one batch at the end of an epoch."""
    from pdelab.networks.training.measure import cross_entropy

    model = run.model
    model.load_state_dict(run.snapshots[epoch])
    model.zero_grad()
    cross_entropy(model, run.data.train.inputs[:64], run.data.train.targets[:64])[0].backward()
    return float((flat(p.grad for p in model.parameters()) == 0.0).mean())


def draw(data):
    """Above the deep network from both initialisations, below its zero gradients and the convolutional network."""
    from pdelab.plotting import label_ends, subplots

    figure, axes = subplots(2, 2, size=(8.0, 6.4))
    for column, (start, said) in enumerate(STARTS.items()):
        for field, name in FIELDS.items():
            curves = data[f"{start}_{field}_curve"]
            epochs = np.arange(1, curves.shape[1] + 1)
            axes[0, column].plot(epochs, curves.T, color=color(name), alpha=0.25, lw=1)
            axes[0, column].plot(epochs, curves.mean(0), color=color(name), label=name)
        axes[0, column].set(title=f"(a) 16 layers, {said}", yscale="log", xlabel="epochs", ylim=(2, 110))
        plain_ticks(axes[0, column])
    axes[0, 0].set(ylabel="validation error (%)")
    label_ends(axes[0, 1])
    _bars(axes[1, 0], data)
    draw_curves(axes[1, 1], data, "lenet", "validation error (%)")
    axes[1, 1].set(title="(c) convolutional network", xlabel="epochs")
    return figure


def _bars(ax, data):
    places = np.arange(len(STARTS))
    for k, (field, name) in enumerate(FIELDS.items()):
        parts = [100 * data[f"{start}_{field}_zero_fraction"] for start in STARTS]
        bars = ax.bar(places + 0.27 * (k - 1), parts, 0.25, color=color(name))
        ax.bar_label(bars, fmt="%.0f", padding=2)
    ax.set_xticks(places, STARTS.values())
    ax.set(ylabel="gradient entries (%)", title="(b) back-propagated entries that are zero", ylim=(0, 100))
