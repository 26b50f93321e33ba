"""What the network figures share: contestants trained on the same seeds, their curves, and paired differences.

No figure of its own: modules without NAME are not in the gallery. A panel is one problem; `race` turns panels into the
flat {name: number or array} that a figure stores, `draw_panels` into curves with an interval plot beside each.
"""

import numpy as np

PALETTE = {
    "sgd": "sgd",
    "adam": "exact",
    "entropy-sgd": "viscous",
    "entropy-adam": "viscous",
    "hj": "inviscid",
    "heat": "heat",
    "parle": "good",
    "elastic-sgd": "bad",
    "swa": "initial",
    "lookahead": "initial",
    "fixed field": "viscous",
    "resampled field": "good",
    "sgd on a share": "initial",
}
DASHED = {"lookahead", "sgd on a share"}


def slug(text):
    """A name for a stored array: letters, digits and underscores."""
    return "".join(c if c.isalnum() else "_" for c in text)


def race(panels, *, seeds, metric="error", margin=0.2):
    """Train every panel's contestants on the same seeds.

    panels: {title: {contestant: arguments of `train`}}, the first contestant is the baseline. Returns per panel
    PANEL_names and per contestant PANEL_NAME_curve (seeds, epochs), _epochs (epochs,), _mean, _sd, _train_loss, and
    against the baseline _difference, _low, _high (95 % Student intervals of paired test errors).
    """
    from pdelab.networks import training

    data = {"panels": np.array(list(panels)), "metric": metric, "seeds": seeds}
    for panel, contestants in panels.items():
        found = training.compare(contestants, seeds=seeds, metric=metric, margin=margin)
        data[f"{slug(panel)}_names"] = np.array(found.names)
        for row in found.rows():
            key = f"{slug(panel)}_{slug(row['name'])}"
            data[f"{key}_curve"] = found.curves[row["name"]]
            data[f"{key}_epochs"] = np.arange(1, found.curves[row["name"]].shape[1] + 1)
            data |= {f"{key}_mean": row["mean"], f"{key}_sd": row["deviation"]}
            data[f"{key}_train_loss"] = float(np.mean([final["train"]["loss"] for final in found.finals[row["name"]]]))
            for end in ("difference", "low", "high"):
                if end in row:
                    data[f"{key}_{end}"] = row[end]
    return data


def draw_panels(data, title, ylabel="validation error (%)"):
    """One row a panel: mean curves over effective epochs with a band of one deviation; differences to the baseline."""
    import matplotlib

    from pdelab.plotting import STYLE, subplots

    panels = [str(p) for p in data["panels"]]
    with matplotlib.rc_context(STYLE):
        figure, axes = subplots(
            len(panels), 2, size=(9.0, 3.1 * len(panels) + 0.5), squeeze=False, gridspec_kw={"width_ratios": [1.5, 1]}
        )
        for (left, right), panel in zip(axes, panels):
            _curves(left, data, panel, ylabel)
            _differences(right, data, panel)
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def _curves(ax, data, panel, ylabel):
    for name in data[f"{slug(panel)}_names"]:
        key = f"{slug(panel)}_{slug(str(name))}"
        curves, epochs = data[f"{key}_curve"], data[f"{key}_epochs"]
        mean, spread = curves.mean(0), curves.std(0, ddof=1)
        style = {"color": _color(name), "ls": "--" if name in DASHED else "-"}
        ax.plot(epochs, mean, label=str(name), **style)
        ax.fill_between(epochs, np.maximum(mean - spread, 1e-2), mean + spread, color=style["color"], alpha=0.12, lw=0)
    ax.set(yscale="log", xlabel="effective epochs (gradients of every sample)", ylabel=ylabel, title=panel)
    ax.legend(ncols=2)


def _differences(ax, data, panel):
    names = [str(n) for n in data[f"{slug(panel)}_names"]]
    for place, name in enumerate(reversed(names[1:])):
        key = f"{slug(panel)}_{slug(name)}"
        low, high = data[f"{key}_low"], data[f"{key}_high"]
        ax.plot([low, high], [place, place], color=_color(name), lw=3, solid_capstyle="butt")
        ax.plot(data[f"{key}_difference"], place, "o", color=_color(name))
    ax.axvline(0.0, color="black", lw=0.8)
    ax.set_yticks(range(len(names) - 1), list(reversed(names[1:])))
    unit = "test error (%)" if str(data["metric"]) == "error" else "test loss (nats)"
    ax.set(xlabel=f"{unit} minus {names[0]}", title=f"{data['seeds']} paired seeds, 95 % intervals")


def _color(name):
    from pdelab.plotting import COLORS

    return COLORS[PALETTE.get(str(name), "exact")]


def shortened(arguments, epochs):
    """The arguments of `train` with another budget, or the recipe's own where `epochs` is 0."""
    return arguments | ({"epochs": epochs} if epochs else {})
