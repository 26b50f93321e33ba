"""The five pictures of the page, each a Bokeh figure over sources that the callbacks fill."""

from bokeh.plotting import figure

from pdelab.plotting import COLORS

__all__ = ["characteristics", "densities", "landscape", "paths", "slopes"]

WIDTH = 465  # two of them and the sliders fit into a window of 1280 pixels


def landscape(curves, lowest, span):
    """f, f_γ and Hopf-Lax, their minima, and below them where each is convex."""
    picture = _figure("f, f_γ and Hopf-Lax; bars: where each is convex", 330, span, "x", "loss")
    for name, label, dash in (
        ("f", "f", "solid"), ("viscous", "f_γ (viscous, β)", "solid"), ("inviscid", "Hopf-Lax (β = ∞)", "dashed"),
    ):  # fmt: skip
        color = COLORS["loss" if name == "f" else name]
        picture.line("x", name, source=curves, color=color, line_width=2, line_dash=dash, legend_label=label)
        picture.line("x", f"convex_{name}", source=curves, color=color, line_width=4)
    picture.scatter("x", "y", source=lowest, color="color", size=9, line_color="white")
    return _legend(picture)


def slopes(curves, shocks, span):
    """f', f_γ' and the slope of Hopf-Lax with its jumps."""
    picture = _figure("slopes; dotted: jumps of the Hopf-Lax slope", 250, span, "x", "slope")
    for name, color, dash in (
        ("slope", "loss", "solid"), ("viscous_slope", "viscous", "solid"), ("inviscid_slope", "inviscid", "dashed"),
    ):  # fmt: skip
        picture.line("x", name, source=curves, color=COLORS[color], line_width=1.6, line_dash=dash)
    picture.segment("x0", "y0", "x1", "y1", source=shocks, color=COLORS["inviscid"], line_dash="dotted", line_width=2)
    return picture


def characteristics(alive, span, last):
    """Characteristics of the slope in the (x, t) plane, up to γ or to the shock that absorbs them."""
    picture = _figure("characteristics x + t f'(x), until a shock absorbs them", 200, span, "x", "t")
    picture.segment("x0", "t0", "x1", "t1", source=alive, color=COLORS["inviscid"], line_width=1)
    return picture


def densities(source, span):
    """Densities at the end of the clock."""
    source.data = {name: [] for name in ("x", "initial", "sgd", "flow", "gibbs")}
    picture = _figure("densities after the clock S", 210, span, "x", "density")
    for name, color, label, dash in (
        ("initial", "initial", "start", "solid"), ("sgd", "sgd", "SGD", "solid"),
        ("flow", "viscous", "smoothed flow", "solid"), ("gibbs", "exact", "exp(-βf)", "dotted"),
    ):  # fmt: skip
        picture.line("x", name, source=source, color=COLORS[color], line_width=2, line_dash=dash, legend_label=label)
    return _legend(picture)


def paths(sgd, flow, span):
    """Twenty paths of SGD and twenty of the smoothed flow, of the same noise."""
    picture = _figure("20 + 20 paths, of the same noise", 210, span, "x", "clock s")
    for source, color in ((sgd, "sgd"), (flow, "viscous")):
        source.data = {"x": [], "t": []}
        picture.multi_line("x", "t", source=source, color=COLORS[color], line_alpha=0.6)
    return picture


def _figure(title, height, span, across, up):
    picture = figure(title=title, height=height, width=WIDTH, x_range=span, x_axis_label=across, y_axis_label=up,
                     tools="pan,wheel_zoom,reset", toolbar_location="right", output_backend="canvas")  # fmt: skip
    picture.toolbar.logo = None
    picture.toolbar.autohide = True
    return picture


def _legend(picture):
    picture.legend.orientation = "horizontal"
    picture.legend.border_line_alpha = 0
    picture.legend.padding, picture.legend.spacing = 0, 14
    picture.legend.location = "bottom_left"
    picture.legend.label_text_font_size = "11px"
    picture.add_layout(picture.legend[0], "above")
    return picture
