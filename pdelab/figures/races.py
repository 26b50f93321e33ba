"""What the network figures share: contestants trained on the same seeds, their curves, and paired differences.

No figure of its own: modules without NAME are not in the gallery. A panel is one problem; `race` turns panels into the
flat {name: number or array} that a figure stores, `draw_panels` into curves with an interval plot beside each.
"""

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from os import PathLike

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
BUILT_IN = ("digits", "topics")
FAMILIES = {("mnist-5k", "digits-mlp"): "mnist-fc", ("mnist-5k", "digits-lenet"): "mnist-lenet"}  # tuned for the images
POWER = 0.8  # of the smallest difference that so many seeds can see
DASHED = {"lookahead", "sgd on a share"}
MNIST = "mnist-5k"  # what the row called MNIST shows
_HELP: ContextVar = ContextVar("what races need not train again", default=None)


def slug(text):
    """A name for a stored array: letters, digits and underscores."""
    return "".join(c if c.isalnum() else "_" for c in text)


def contestants(family, problem, names, *, data="digits", folder="", model="", epochs=0, **changes):
    """{contestant: arguments of `train`}: the tuned recipes of a family on built-in data, else what the thesis prints.

    family: of `pdelab.networks.training.RECIPES`; problem: of `pdelab.figures.printed.SETTINGS`. Another model or
    budget replaces that of the settings ("" and 0: their own); other keywords replace those of recipes. Contestants
    without a setting are left out.
    """
    from pdelab.figures.printed import SETTINGS, printed
    from pdelab.networks.training import RECIPES, recipe

    settings, tuned = {}, data in BUILT_IN or (data, family) in FAMILIES
    family = FAMILIES.get((data, family), family)
    for name in names:
        if tuned and name in RECIPES[family]:
            settings[name] = recipe(f"{family}/{name}") | changes
        elif not tuned and name in SETTINGS[problem]:
            settings[name] = printed(problem, name) | {"data": data, "folder": folder or None}
    replaced = ({"model": model} if model else {}) | ({"epochs": epochs} if epochs else {})
    return {name: arguments | replaced for name, arguments in settings.items()}


@dataclass
class Help:
    """What races need not train again: `rows` of a stored race, and the `runs` that a folder has.

    effort says afterwards how many runs were trained, how many read, and the seconds that all of them took when they
    were trained; kept, which rows were taken.
    """

    runs: str | PathLike | None = None
    rows: dict = field(default_factory=dict)
    effort: dict = field(default_factory=dict)
    kept: list = field(default_factory=list)

    @contextmanager
    def given(self):
        """Races inside take it."""
        token = _HELP.set(self)
        try:
            yield
        finally:
            _HELP.reset(token)

    def row(self, panel, names, seeds, metric, margin):
        """The stored numbers of a panel, where they are of the same contestants, seeds, metric and margin."""
        rows, key = self.rows, slug(panel)
        if panel not in map(str, rows.get("panels", ())):
            return None
        there = (list(map(str, rows[f"{key}_names"])), seeds_of(rows, panel))
        if (*there, rows[f"{key}_metric"], rows[f"{key}_margin"]) != (names, seeds, metric, margin):
            return None
        self.kept.append(panel)
        others = [f"{slug(str(other))}_" for other in rows["panels"] if slug(str(other)).startswith(f"{key}_")]
        return {k: v for k, v in rows.items() if k.startswith(f"{key}_") and not k.startswith(tuple(others))}

    def count(self, effort):
        """Add what a comparison took."""
        self.effort |= {key: self.effort.get(key, 0) + value for key, value in effort.items()}


def images_row(family, problem, names, more, folder="", **changes):
    """The row of MNIST's images that a figure has beside its own, {title: contestants}; none where `more` is empty.

    `more` is the data set: 3,500 images to train on, 500 to validate and 1,000 to test, or those of a folder.
    """
    return {"MNIST": contestants(family, problem, names, data=more, folder=folder, **changes)} if more else {}


def seeds_of(data, panel):
    """How many seeds a panel of a race has."""
    return int(data.get(f"{slug(panel)}_seeds", data["seeds"]))


def race(panels, *, seeds, margin, metric="error"):
    """Train every panel's contestants on the same seeds.

    panels: {title: {contestant: arguments of `train`}}, the first contestant is the baseline. Returns per panel
    PANEL_names, PANEL_metric and per contestant PANEL_NAME_curve (validation error, or perplexity where the metric is
    "loss") and _losses (of training), both (seeds, epochs), _epochs (epochs,), the test metric's _mean and _sd,
    _train_loss and _train_error at the end, _reached (the effective epoch from which on the mean curve stays within a
    tenth of its end), and against the baseline _difference, _low, _high (95 % Student intervals, paired by seed) and
    _detectable: the smallest difference that so many seeds see in four runs of five, and
    _verdict: the word of `networks.training.compare` at the margin, which a figure's module declares before any run.
    seeds is that of the first panel, PANEL_seeds each panel's own.
    """
    from pdelab.networks import training

    help = _HELP.get() or Help()
    data = {"panels": np.array(list(panels)), "seeds": seeds}
    for panel, members in panels.items():
        data[f"{slug(panel)}_seeds"] = seeds
        if stored := help.row(panel, list(members), seeds, metric, margin):
            data |= stored
            continue
        comparison = training.compare(members, seeds=seeds, metric=metric, margin=margin, reuse=help.runs)
        help.count(comparison.effort)
        data |= {f"{slug(panel)}_names": np.array(comparison.names), f"{slug(panel)}_metric": metric}
        data |= {f"{slug(panel)}_margin": margin}
        for row in comparison.rows():
            key, name = f"{slug(panel)}_{slug(row['name'])}", row["name"]
            curve, ends = comparison.curves[name], [final["train"] for final in comparison.finals[name]]
            curve = np.exp(curve) if metric == "loss" else curve
            data |= {f"{key}_curve": curve, f"{key}_losses": comparison.losses[name]}
            data |= {f"{key}_epochs": np.arange(1, curve.shape[1] + 1), f"{key}_reached": _reached(curve.mean(0))}
            data |= {f"{key}_mean": row["mean"], f"{key}_sd": row["deviation"]}
            data |= {f"{key}_train_{part}": float(np.mean([end[part] for end in ends])) for part in ("loss", "error")}
            data |= {f"{key}_{end}": row[end] for end in ("difference", "low", "high", "verdict") if end in row}
            if "low" in row:
                data[f"{key}_detectable"] = detectable(row["low"], row["high"], len(comparison.seeds))
    return data


def detectable(low, high, seeds, level=0.95):
    """The smallest difference that so many paired seeds find with probability POWER, from a Student interval."""
    from scipy.stats import t

    outer, inner = t.ppf([0.5 + level / 2, POWER], seeds - 1)
    return float((high - low) / 2 * (1 + inner / outer))


def reached_ratios(data, name):
    """PANEL_reached_ratio: effective epochs that a contestant needs over those of SGD, in each panel that has both."""
    ratios = {}
    for panel in map(slug, map(str, data["panels"])):
        epochs = [data.get(f"{panel}_{slug(contestant)}_reached") for contestant in (name, "sgd")]
        if None not in epochs:
            ratios[f"{panel}_reached_ratio"] = epochs[0] / epochs[1]
    return ratios


def with_verdicts(data, margin):
    """A stored race completed by what its intervals and a margin give; the words that it has stay."""
    from pdelab.networks.training.comparison import verdict

    completed = dict(data)
    for panel in map(str, data["panels"]):
        completed.setdefault(f"{slug(panel)}_margin", margin)
        for name in map(str, data[f"{slug(panel)}_names"][1:]):
            key = f"{slug(panel)}_{slug(name)}"
            word = verdict(data[f"{key}_low"], data[f"{key}_high"], completed[f"{slug(panel)}_margin"])
            completed.setdefault(f"{key}_verdict", word)
            least = detectable(data[f"{key}_low"], data[f"{key}_high"], seeds_of(data, panel))
            completed.setdefault(f"{key}_detectable", least)
    return completed


def sentence(data):
    """What the paired intervals of a race say, in the words of `compare`, and what they can see: a caption's end."""
    parts = []
    for panel in map(str, data["panels"]):
        first, *others = map(str, data[f"{slug(panel)}_names"])
        if others:
            unit = "%" if data[f"{slug(panel)}_metric"] == "error" else "nats"
            keys = [f"{slug(panel)}_{slug(name)}" for name in others]
            words = ", ".join(
                f"{name} {data[f'{key}_verdict']} ({data[f'{key}_detectable']:.2g})" for name, key in zip(others, keys)
            )
            margin, seeds = data[f"{slug(panel)}_margin"], seeds_of(data, panel)
            parts.append(f"{panel}, {seeds} seeds against {first} at a margin of {margin:g} {unit}: {words}")
    return (
        "Verdicts of paired seeds; in brackets the smallest difference that so many seeds see in four runs of five. "
        f"{'; '.join(parts)}."
    )


def merged(*races):
    """One record of several races over different panels; its number of seeds is that of the first."""
    numbers = {key: value for data in races for key, value in data.items()}
    return numbers | {"panels": np.concatenate([data["panels"] for data in races]), "seeds": races[0]["seeds"]}


def _reached(curve):
    """The first epoch from which on a curve stays at most a tenth above its end."""
    above = np.flatnonzero(curve > 1.1 * curve[-1])
    return int(above[-1]) + 2 if len(above) else 1


def draw_panels(data, ylabel="validation error (%)", losses=False):
    """One row a panel: mean curves over effective epochs with a band of one deviation; differences to the baseline.

    losses: with the training loss between the two.
    """
    from pdelab.plotting import subplots

    panels = [str(p) for p in data["panels"]]
    widths = [1.5, 1.3, 1.0] if losses else [1.5, 1.0]
    figure, axes = subplots(
        len(panels), len(widths), size=(8.0, 2.9 * len(panels) + 0.5), squeeze=False,
        gridspec_kw={"width_ratios": widths},
    )  # fmt: skip
    for row, panel in zip(axes, panels):
        draw_curves(row[0], data, panel, ylabel)
        if losses:
            draw_curves(row[1], data, panel, "training loss (nats)", "losses", named=False)
            row[1].set_title("")
        draw_differences(row[-1], data, panel)
    return figure


def draw_curves(ax, data, panel, ylabel, kind="curve", named=True):
    """Mean curves of a panel's contestants with a band of one deviation over the seeds, with their names or without."""
    from pdelab.plotting import label_ends

    for name in data[f"{slug(panel)}_names"]:
        key = f"{slug(panel)}_{slug(str(name))}"
        curves, epochs = data[f"{key}_{kind}"], data[f"{key}_epochs"]
        mean, spread = curves.mean(0), curves.std(0, ddof=1)
        style = line(name)
        ax.plot(epochs, mean, label=str(name), **style)
        low = np.maximum(mean - spread, 0.5 * mean.min())
        ax.fill_between(epochs, low, mean + spread, color=style["color"], alpha=0.12, lw=0)
    ax.set(yscale="log", xlabel="effective epochs", ylabel=ylabel, title=panel)
    ax.locator_params(axis="x", integer=True)
    plain_ticks(ax)
    if named:
        label_ends(ax, ncols=2)


def plain_ticks(ax):
    """1, 2, 5, 10, 20, ... on a logarithmic axis of ordinates."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))


def draw_differences(ax, data, panel):
    """Intervals of the paired differences to the first contestant."""
    names = [str(n) for n in data[f"{slug(panel)}_names"]]
    for place, name in enumerate(reversed(names[1:])):
        key = f"{slug(panel)}_{slug(name)}"
        low, high = data[f"{key}_low"], data[f"{key}_high"]
        ax.plot([low, high], [place, place], color=color(name), lw=3, solid_capstyle="butt")
        ax.plot(data[f"{key}_difference"], place, "o", color=color(name))
        ax.annotate(data[f"{key}_verdict"], (max(high, 0.0), place), (4, 5), textcoords="offset points", fontsize=8)
    margin = data[f"{slug(panel)}_margin"]
    ax.axvspan(-margin, margin, color="#dddddd", lw=0, zorder=0)
    ax.axvline(0.0, color="black", lw=0.8)
    ax.margins(x=0.25)
    ax.set_yticks(range(len(names) - 1), list(reversed(names[1:])))
    ax.set_ylim(-0.6, len(names) - 1.4)
    unit = "test error (%)" if data[f"{slug(panel)}_metric"] == "error" else "test loss (nats)"
    ax.set(xlabel=f"{unit} minus {names[0]}", title=f"{seeds_of(data, panel)} paired seeds, 95 %")


def line(name):
    """Colour and line style of a contestant."""
    from pdelab.plotting import look

    return look(PALETTE.get(str(name), "exact")) | ({"ls": "--"} if name in DASHED else {})


def color(name):
    """The colour of a contestant, the same in every figure."""
    from pdelab.plotting import COLORS

    return COLORS[PALETTE.get(str(name), "exact")]
