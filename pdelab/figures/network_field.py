"""Figures 2.3 and 2.4 and Table 2.1 of Chaudhari's thesis at the scale of the digits, with the control they lack.

A very deep thin network (16 layers) under Adam, under Adam in a fixed random field that decays (topology
trivialisation) and in a field that is drawn anew at each step. From PyTorch's default initialisation plain Adam does
not train and the fixed field helps, as printed; from He's initialisation Adam trains and the field hurts: the benefit
is a repair of the initialisation. The printed Figure 2.3b, the least back-propagated gradient, is zero for every ReLU
network before the field is added and positive after by construction; the fraction of zero entries is shown instead.
Figure 2.4: the weights align with a fixed field, not with a resampled one.
"""

import numpy as np

from pdelab.figures.races import slug

NAME = "2.3"
TITLE = "A fixed random field repairs a bad initialisation; with a good one it hurts"
NEEDS = "networks"
PARAMETERS = {
    "data": "digits", "folder": "", "hidden": 64, "layers": 16, "coupling": 1e-3, "decay_steps": 500.0, "epochs": 25,
    "seeds": 4,
}  # fmt: skip
QUICK = {"seeds": 2}
CHECKS = {
    "default_plain_error": (60.0, None),
    "default_fixed_error": (None, 50.0),
    "default_resampled_error": (60.0, None),
    "he_plain_error": (None, 8.0),
    "he_fixed_minus_plain": (2.0, None),
    "default_fixed_alignment": (0.3, None),
    "he_resampled_alignment": (None, 0.05),
    "default_fixed_zero_fraction": (None, 0.4),
    "default_plain_zero_fraction": (0.4, None),
}
FIELDS = ("plain", "fixed", "resampled")


def compute(data, folder, hidden, layers, coupling, decay_steps, epochs, seeds):
    """Error curves, alignment |cos(h, w)| over epochs and the fraction of zero gradient entries a third through."""
    found = {}
    middle = max(1, round(0.4 * epochs))
    for start in ("default", "he"):
        for field in FIELDS:
            curves, aligned, zeros = [], [], []
            for seed in range(seeds):
                options = {"lr": 1e-3, "weight_decay": 1e-5}
                if field != "plain":
                    options |= {"coupling": coupling, "decay_steps": decay_steps, "layers": layers}
                    options["resampled"] = field == "resampled"
                run = _run(data, folder, hidden, layers, epochs, seed, start, field, options)
                curves.append([record["validation_error"] for record in run.history])
                aligned.append(_alignments(run, layers, seed))
                zeros.append(_zero_fraction(run, middle))
            key = f"{start}_{field}"
            found |= {f"{key}_curve": np.array(curves), f"{key}_alignments": np.array(aligned)}
            found[f"{key}_error"] = float(np.mean(curves, 0)[-1])
            found[f"{key}_alignment"] = float(np.mean(aligned, 0)[-1])
            found[f"{key}_zero_fraction"] = float(np.mean(zeros))
        found[f"{start}_fixed_minus_plain"] = found[f"{start}_fixed_error"] - found[f"{start}_plain_error"]
    return found


def _run(data, folder, hidden, layers, epochs, seed, start, field, options):
    from pdelab.networks import training

    sizes = {"train": 1437, "validation": 360} if data == "digits" else {}
    return training.train(
        "adam" if field == "plain" else "trivialized-adam", "deep-mnistfc", data, epochs=epochs, seed=seed,
        model_options={"hidden": hidden, "layers": layers}, data_options=sizes, folder=folder or None,
        initialisation=start, optimizer_options=options, snapshots=range(1, epochs + 1),
    )  # fmt: skip


def _alignments(run, layers, seed):
    """|cos(h, w)| after each epoch, h the direction of the fixed field of this seed."""
    import copy

    from pdelab.networks import TrivializedSGD

    blank = copy.deepcopy(run.model)
    for p in blank.parameters():
        p.data.zero_()
        p.grad = p.data.clone()
    TrivializedSGD(blank.parameters(), lr=1.0, momentum=0.0, layers=layers, coupling=1.0, seed=seed).step()
    h = _flat(p.detach() for p in blank.parameters())
    names, found = [name for name, _ in run.model.named_parameters()], []
    for state in run.snapshots.values():
        w = _flat(state[name] for name in names)
        found.append(abs(h @ w) / (np.linalg.norm(h) * np.linalg.norm(w)))
    return found


def _flat(tensors):
    return np.concatenate([np.asarray(t, float).ravel() for t in tensors])


def _zero_fraction(run, epoch):
    """Part of the back-propagated gradient's entries that are exactly zero, on one batch at the end of an epoch."""
    from pdelab.networks.training.measure import cross_entropy

    model = run.model
    model.load_state_dict(run.snapshots[epoch])
    model.zero_grad()
    cross_entropy(model, run.data.train.inputs[:64], run.data.train.targets[:64])[0].backward()
    return float((_flat(p.grad for p in model.parameters()) == 0.0).mean())


def draw(data):
    """Left the printed setting, right the control; above the errors, below the alignment with the field."""
    import matplotlib

    from pdelab.plotting import COLORS, STYLE, subplots

    colors = {"plain": COLORS["sgd"], "fixed": COLORS["viscous"], "resampled": COLORS["good"]}
    names = {"plain": "Adam", "fixed": "fixed field", "resampled": "resampled field"}
    starts = {"default": "default initialisation", "he": "He initialisation (control)"}
    with matplotlib.rc_context(STYLE):
        figure, axes = subplots(2, 2, size=(9.0, 6.0), sharex=True, sharey="row")
        for column, (start, said) in enumerate(starts.items()):
            for field in FIELDS:
                for row, kind in enumerate(("curve", "alignments")):
                    values = data[slug(f"{start}_{field}_{kind}")]
                    epochs = np.arange(1, values.shape[1] + 1)
                    axes[row, column].plot(epochs, values.T, color=colors[field], alpha=0.25, lw=1)
                    axes[row, column].plot(epochs, values.mean(0), color=colors[field], label=names[field])
            zero = "\n".join(f"{names[f]}: {data[f'{start}_{f}_zero_fraction']:.0%}" for f in FIELDS)
            axes[0, column].set(title=said, yscale="log")
            axes[1, column].text(0.98, 0.3, f"zero gradient entries\n{zero}", ha="right", fontsize=8,
                                 transform=axes[1, column].transAxes)  # fmt: skip
            axes[1, column].set(xlabel="epochs")
        axes[0, 0].set(ylabel="validation error (%)")
        axes[1, 0].set(ylabel="alignment |cos(h, w)|", ylim=(0, 1))
        axes[0, 1].legend()
        figure.suptitle(TITLE, x=0.01, ha="left", fontsize=11)
    return figure
