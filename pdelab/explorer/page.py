"""The page: sources that hold a table, figures that hold a row of it, and the callbacks between them."""

from functools import lru_cache
from html import escape
from pathlib import Path

import numpy as np
from bokeh.document import Document
from bokeh.embed import file_html
from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, CustomJS, Range1d
from bokeh.models.widgets import Button, Div, Slider, TextInput
from bokeh.resources import INLINE

import pdelab as pl
from pdelab import records
from pdelab.explorer.evolution import evolve
from pdelab.explorer.figures import characteristics, densities, landscape, paths, slopes
from pdelab.explorer.table import BETAS, GAMMAS, compute, loss_of
from pdelab.plotting import COLORS

__all__ = ["PRESETS", "Page", "blocks", "clause", "export", "gallery_loss", "opening", "stop", "table_of"]

DRAW = (Path(__file__).parent / "draw.js").read_text(encoding="utf-8")
DIFFUSIVITIES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0)
CLOCKS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
# title: what to look at, loss, γ, β, D, start, clock
PRESETS = {
    "Valley switch": ("γ up: f_γ leaves the deeper, sharp valley", "sharp_and_wide", 0.5, 2.0, 0.1, 2.0, 16.0),
    "Shock": ("characteristics meet, the slope of Hopf-Lax jumps", "three_wells", 1.0, 32.0, 0.05, 1.0, 8.0),
    "Figure 4.1": ("the smoothed flow finds the best minimum, SGD stays", "rugged", 2.0, 2.0, 0.02, -2.73, 16.0),
    "Equal clocks": ("S = γ: the smoothed flow stops on the way", "rugged", 2.0, 2.0, 0.02, -2.73, 2.0),
    "Printed noise": ("D = 1/(2β) samples exp(-2βf); 1/β would do exp(-βf)", "double_well", 1.0, 2.0, 0.25, -1.0, 32.0),
}
OFFLINE = ("Valley switch", "Shock", "Figure 4.1")
# No byte from outside: the page's own origin where a server stands behind it, nothing at all in an exported file.
POLICY = (
    "default-src 'none'; connect-src {own}; script-src {own} 'unsafe-inline' 'unsafe-eval'; "
    "style-src {own} 'unsafe-inline'; img-src {own} data: blob:; font-src data:"
)
TEMPLATE = '{{% block preamble %}}<meta http-equiv="Content-Security-Policy" content="{policy}">{{% endblock %}}'


@lru_cache(maxsize=8)
def table_of(loss, lower, upper):
    """The table of a loss, kept."""
    return compute(loss, lower, upper)


@lru_cache(maxsize=8)
def gallery_loss(name):
    """A loss of the gallery, one object a name."""
    return getattr(pl.losses, name)()


def blocks(table):
    """The data of the five sources that hold a table, in the order of `Page.tables`."""
    single = lambda values: np.ascontiguousarray(values, dtype=np.float32).ravel()  # noqa: E731
    return (
        {"x": table.x, "f": table.f, "slope": table.slope},
        {"value": single(table.entropy), "slope": single(table.entropy_slope)},
        {"value": single(table.inviscid), "slope": single(table.inviscid_slope),
         "broken": table.broken.astype(np.uint8).ravel()},
        {"viscous": table.minimum.ravel(), "moved": table.moved.astype(np.uint8).ravel(),
         "inviscid": np.resize(table.inviscid_minimum, table.minimum.size)},
        {"foot": table.feet, "slope": table.foot_slopes, "death": np.minimum(table.deaths, 2 * GAMMAS[-1])},
    )  # fmt: skip


class Page:
    """Models of one page.

    live : whether a server stands behind it; without one there are neither flows nor a box for formulas.
    """

    def __init__(self, loss, lower, upper, live):
        self.lower, self.upper, self.live = lower, upper, live
        self.loss = loss
        self.tables = [ColumnDataSource(data=data) for data in blocks(table_of(loss, lower, upper))]
        self.curves, self.shocks, self.alive = (ColumnDataSource(syncable=False) for _ in range(3))
        colors = [COLORS["loss"], COLORS["viscous"], COLORS["inviscid"]]
        self.lowest = ColumnDataSource({"x": [0.0] * 3, "y": [0.0] * 3, "color": colors}, syncable=False)
        for source, names in (
            (self.curves, "x f slope viscous inviscid viscous_slope inviscid_slope "
                          "convex_f convex_viscous convex_inviscid"),
            (self.shocks, "x0 y0 x1 y1"),
            (self.alive, "x0 t0 x1 t1"),
        ):  # fmt: skip
            source.data = {name: [] for name in names.split()}
        self.heights, self.steepness = Range1d(), Range1d()
        self.gamma = Slider(
            start=0, end=len(GAMMAS) - 1, step=1, value=0, show_value=False, tooltips=False, name="gamma"
        )
        self.beta = Slider(start=0, end=len(BETAS) - 1, step=1, value=0, show_value=False, tooltips=False, name="beta")
        self.sentence = Div(name="sentence", syncable=False, sizing_mode="stretch_width", styles={"font-size": "15px"})
        self.clause, self.message = Div(visible=False), Div(name="message", styles={"color": COLORS["bad"]})
        self.diffusivity = Slider(
            start=0, end=len(DIFFUSIVITIES) - 1, step=1, value=2, show_value=False, tooltips=False, name="D"
        )
        self.clock = Slider(
            start=0, end=len(CLOCKS) - 1, step=1, value=5, show_value=False, tooltips=False, name="clock"
        )
        self.start = Slider(start=lower, end=upper, step=(upper - lower) / 400, value=(lower + upper) / 2,
                            title="start", name="start", show_value=True)  # fmt: skip
        self.formula = TextInput(title="loss f(x), then Enter", value=loss.formula, name="formula", width=300)
        self.buttons = {name: Button(label=name) for name in (PRESETS if live else OFFLINE)}
        self.flows = {name: ColumnDataSource() for name in ("density", "sgd", "flow")}
        self.draw = CustomJS(args=self._arguments(), code=DRAW)
        for slider in (self.gamma, self.beta):
            slider.js_on_change("value", self.draw)
        if live:
            self.diffusivity.js_on_change("value", self.draw)
            self.clause.js_on_change("text", self.draw)
            self.tables[-1].js_on_change("data", self.draw)

    def _arguments(self):
        names = ("nodes", "entropy", "inviscid", "minima", "rays")
        return dict(zip(names, self.tables)) | {
            "scopes": ColumnDataSource({"gammas": np.array(GAMMAS)}),
            "temperatures": ColumnDataSource({"betas": np.array(BETAS)}),
            "curves": self.curves, "shocks": self.shocks, "alive": self.alive, "lowest": self.lowest,
            "heights": self.heights, "steepness": self.steepness, "reference": GAMMAS.index(0.5),
            "gamma": self.gamma, "beta": self.beta, "sentence": self.sentence, "clause": self.clause,
            "diffusivity": self.diffusivity if self.live else None, "diffusivities": list(DIFFUSIVITIES),
        }  # fmt: skip

    def layout(self):
        """All models in their places."""
        span = (self.lower, self.upper)
        left = [landscape(self.curves, self.lowest, span), slopes(self.curves, self.shocks, span)]
        left[0].y_range, left[1].y_range = self.heights, self.steepness
        right = [characteristics(self.alive, span, GAMMAS[-1])]
        controls = [self.gamma, self.beta]
        if self.live:
            right += [densities(self.flows["density"], span), paths(self.flows["sgd"], self.flows["flow"], span)]
            controls += [self.diffusivity, self.start, self.clock, self.formula]
        tries = [Div(text="<b>Try this</b>"), *self.buttons.values()]
        words = Div(text="<br>".join(f"<b>{name}</b>: {PRESETS[name][0]}" for name in self.buttons), width=300)
        side = column(*controls, self.message, *tries, words, self.clause, width=320)
        return column(self.sentence, row(side, column(*left), column(*right)), sizing_mode="stretch_width")

    def document(self, document):
        """Put everything into a Bokeh document, which draws as soon as it is ready."""
        policy = POLICY.format(own="'self'" if self.live else "")
        document.template = TEMPLATE.format(policy=policy)
        document.title = "pdelab explorer"
        document.add_root(self.layout())
        document.js_on_event("document_ready", self.draw)
        return document

    def place(self, gamma, beta, diffusivity=None, start=None, clock=None):
        """Put the sliders at the stops nearest to these numbers."""
        self.gamma.value, self.beta.value = stop(GAMMAS, gamma), stop(BETAS, beta)
        if diffusivity is not None:
            self.diffusivity.value, self.clock.value = stop(DIFFUSIVITIES, diffusivity), stop(CLOCKS, clock)
            self.start.value = start

    def show_table(self, loss):
        """Change the loss: its table goes into the sources, the last one of which makes the browser draw."""
        data = blocks(table_of(loss, self.lower, self.upper))
        self.loss = loss
        for source, block in zip(self.tables, data):
            source.data = block
        self.formula.value = loss.formula

    def flow(self):
        """Compute the two flows for the place of the sliders and say how they end."""
        diffusivity, clock = DIFFUSIVITIES[self.diffusivity.value], CLOCKS[self.clock.value]
        self.diffusivity.title = f"diffusivity D = {diffusivity:g}"
        self.clock.title = f"clock S = {clock:g}"
        try:
            run = evolve(
                self.loss, GAMMAS[self.gamma.value], BETAS[self.beta.value], diffusivity=diffusivity,
                start=self.start.value, clock=clock, lower=self.lower, upper=self.upper,
            )  # fmt: skip
        except ValueError as error:
            self.message.text = escape(str(error))
            return
        self.flows["density"].data = {name: getattr(run, name) for name in ("x", "initial", "sgd", "flow", "gibbs")}
        for name, states in (("sgd", run.sgd_paths), ("flow", run.flow_paths)):
            self.flows[name].data = {"x": list(states.T), "t": [run.times] * states.shape[1]}
        self.message.text = "<br>".join(escape(doubt) for doubt in run.doubts)
        self.clause.text = clause(run, clock)


def clause(run, clock):
    """How the two flows end, in words."""
    return (
        f"after the clock S = {clock:g}, SGD has {run.sgd_home:.0%} of its mass in the valley of the start and "
        f"{run.sgd_best:.0%} in the best one, the smoothed flow {run.flow_home:.0%} and {run.flow_best:.0%}; SGD is "
        f"{run.distance:.2f} in total variation from exp(-βf)"
    )


def stop(stops, value):
    """Index of the nearest stop of a slider."""
    return int(np.argmin(np.abs(np.array(stops) - value)))


def opening(formula, lower, upper):
    """The loss with which a page opens."""
    return loss_of(gallery_loss("sharp_and_wide") if formula is None else formula, lower, upper)


def export(path, formula, lower, upper):
    """Write the page without a server; see `pdelab.explorer.export`."""
    page = Page(opening(formula, lower, upper), lower, upper, live=False)
    page.place(0.5, 2.0)
    for name, button in page.buttons.items():
        _, loss, gamma, beta, *_ = PRESETS[name]
        stored = [ColumnDataSource(data=data) for data in blocks(table_of(gallery_loss(loss), lower, upper))]
        move = "gamma.value = g; beta.value = b; draw.execute(gamma);"
        copy = "tables.forEach((table, k) => { table.data = stored[k].data; });"
        arguments = {"tables": page.tables, "stored": stored, "gamma": page.gamma, "beta": page.beta,
                     "g": stop(GAMMAS, gamma), "b": stop(BETAS, beta), "draw": page.draw}  # fmt: skip
        button.js_on_event("button_click", CustomJS(args=arguments, code=copy + move))
    document = page.document(Document())
    text = file_html(document, INLINE, title=document.title, template=document.template)
    path = Path(path)
    records.output_folder(path.parent)
    with records.atomic(path) as temporary:
        Path(temporary).write_text(text, encoding="utf-8")
    return path
