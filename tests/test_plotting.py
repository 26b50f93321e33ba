"""The style of all pictures: colours that the colour-blind and a grey printer keep apart, sizes, labels."""

import itertools
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.text import Text

import pdelab as pl
from pdelab import plotting
from pdelab.plotting import dragging, labels, looks

# Machado, Oliveira, Fernandes, IEEE Trans. Vis. Comput. Graph. 15 (2009) 1291: deuteranopia, on linear RGB
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
RGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear(colour):
    """Linear RGB of "#rrggbb"."""
    c = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIELAB of linear RGB, white D65."""
    xyz = RGB_TO_XYZ @ np.clip(rgb, 0, 1) / RGB_TO_XYZ.sum(1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def differences(one, other):
    """(Delta E for a deuteranope, difference of lightness) of two colours."""
    seen = [lab(DEUTERANOPIA @ linear(c)) for c in (one, other)]
    grey = [lab(linear(c))[0] for c in (one, other)]
    return float(np.linalg.norm(seen[0] - seen[1])), abs(grey[0] - grey[1])


def test_the_measure_knows_a_bad_pair():
    """The former colours of Elastic-SGD and SGD, and of Figure 4.1's two flows."""
    assert differences("#b0307a", "#6b6b6b")[0] < 10
    assert differences("#c1272d", "#1f5fae")[1] < 4
    assert lab(np.ones(3)) == pytest.approx([100, 0, 0], abs=1e-3)


@pytest.mark.parametrize("pair", list(itertools.combinations(sorted(set(plotting.COLORS.values())), 2)))
def test_two_meanings_differ_for_the_colour_blind_and_in_grey(pair):
    apart, lightness = differences(*pair)
    assert apart > 10 and lightness >= 8


def test_two_meanings_of_one_colour_are_only_the_loss_and_the_exact_answer():
    assert len(set(plotting.COLORS.values())) == len(plotting.COLORS) - 1
    assert set(plotting.LINES) == set(plotting.COLORS)
    assert plotting.look("heat") == {"color": plotting.COLORS["heat"], "ls": ":"}
    with pytest.raises(ValueError, match="meaning: expected one of"):
        plotting.look("nonsense")


def test_a_framed_picture_is_narrow_and_legible():
    figure, (left, right) = plotting.subplots(1, 2, size=(12.0, 4.0))
    left.text(0.5, 0.5, "small", fontsize=5)
    left.set_title(
        "a title of a panel that is far too long to fit above the half of a picture it belongs to", loc="left"
    )
    plotting.frame(figure, "a message " * 20, "β = 2")
    assert figure.get_figwidth() == 8.0
    figure.canvas.draw()
    box = figure.get_tightbbox()
    assert box.x0 > -0.05 and box.x1 < 8.05
    assert min(t.get_fontsize() for t in figure.findobj(lambda a: hasattr(a, "get_fontsize"))) >= 8


def labelled(*ends, size=(7.0, 4.0), names=None, **options):
    """Axes with a line to each end, and their names."""
    figure, ax = plotting.subplots(size=size)
    for k, end in enumerate(ends):
        ax.plot([0, 1], [0.5, end], label=names[k] if names else f"line {k}")
    ax.set(ylim=(0, 1.2))
    plotting.label_ends(ax, **options)
    return figure, ax


def in_legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()] if ax.get_legend() else []


def test_names_at_the_ends_are_apart_in_order_and_inside_the_picture():
    ends = (0.9, 0.93, 0.0, 0.96, 1.2)
    figure, ax = labelled(*ends)
    plotting.frame(figure, "a message that takes two lines, and so the axes get lower " * 2, "β = 2")
    for dpi in (72, 160):  # as an SVG and as a PNG are written
        figure.set_dpi(dpi)
        figure.canvas.draw()
        boxes = [Text.get_window_extent(text) for text in ax.texts]  # without the leader
        by_height = sorted(range(5), key=lambda k: boxes[k].y0)
        assert by_height == sorted(range(5), key=lambda k: ends[k])
        assert all(boxes[j].y1 <= boxes[k].y0 + 1 for j, k in itertools.pairwise(by_height))
        assert all(ax.bbox.x1 < box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
        tips = [ax.transData.transform((1, end)) for end in ends]
        leaders = [text.arrow_patch.get_path().vertices[-1] for text in ax.texts]  # in pixels
        np.testing.assert_allclose(leaders, tips, atol=1e-6 * dpi)
    assert in_legend(ax) == []


def test_what_the_ends_do_not_tell_apart_is_in_a_legend():
    lines = ["line 0", "line 1"]
    assert in_legend(labelled(0.3, 0.8)[1]) == []
    assert in_legend(labelled(0.3, 0.301)[1]) == lines  # they meet
    assert in_legend(labelled(0.3, 1.6)[1]) == lines  # the second leaves through the top, at 0.64 of the width
    assert in_legend(labelled(*np.linspace(0.1, 1.1, 30))[1]) == [f"line {k}" for k in range(30)]  # too many
    long = ["one", "a-name-in-one-word-that-is-wider-than-a-half-of-the-axes"]
    assert in_legend(labelled(0.3, 0.8, names=long, size=(4.0, 4.0))[1]) == long


def test_what_has_no_end_stays_in_the_legend_beside_names_at_ends():
    figure, ax = plotting.subplots()
    ax.plot([0, 1], [0, 0.4], label="line")
    ax.errorbar([0, 1], [0, 0.9], [0.1, 0.1], label="line with bars")
    ax.fill_between([0, 1], 0, [0.1, 0.2], label="area")
    ax.plot([0, 1], [0.7, 0.7], "o", label="points")
    ax.plot([0, 1, 0.5], [0.2, 0.6, 0.3], label="turns back")
    plotting.label_ends(ax, columns=1)
    assert [text.get_text() for text in ax.texts] == ["line", "line with bars"]
    assert sorted(in_legend(ax)) == ["area", "points", "turns back"]


def test_an_end_is_where_the_line_leaves_the_axes():
    figure, ax = plotting.subplots()
    (early,) = ax.plot([0.1, 4.0], [1.0, 40.0], label="early")  # leaves to the right at x = 2, where it is 20
    (late,) = ax.semilogy([0.1, 1.9], [3.0, 3.0], label="late")
    ax.set(xlim=(0, 2), ylim=(1, 100))
    right, up = ax.transAxes.inverted().transform(labels._end(ax, early))
    straight = np.log10(40.0) * 1.9 / 3.9 / 2  # on logarithmic axes the segment is straight
    assert (right, up) == pytest.approx((1.0, straight), abs=1e-9)
    assert ax.transAxes.inverted().transform(labels._end(ax, late))[0] == pytest.approx(0.95)


@pytest.mark.parametrize("seed", range(5))
def test_boxes_are_moved_no_more_than_they_must(seed):
    """Beside the least squares of a general solver: no overlap, inside the room."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    wanted, sizes = rng.uniform(0, 100, 6), rng.uniform(5, 15, 6)
    places, order = labels._apart(wanted, sizes, 0.0, 100.0), np.argsort(wanted)
    assert (np.diff(places[order]) >= (sizes[order][1:] + sizes[order][:-1]) / 2 - 1e-9).all()
    assert (places - sizes / 2 >= -1e-9).all() and (places + sizes / 2 <= 100 + 1e-9).all()
    gaps = [{"type": "ineq", "fun": lambda z, j=j, k=k: z[k] - z[j] - (sizes[j] + sizes[k]) / 2}
            for j, k in itertools.pairwise(order)]  # fmt: skip
    room = [(size / 2, 100 - size / 2) for size in sizes]
    best = minimize(lambda z: ((z - wanted) ** 2).sum(), places, constraints=gaps, bounds=room)
    assert ((places - wanted) ** 2).sum() <= best.fun + 1e-6 * (1 + best.fun)


@pytest.mark.parametrize("colour", sorted(set(plotting.COLORS.values())))
def test_letters_in_the_colour_of_a_line_can_be_read(colour):
    """Contrast with white of at least 4.5, as WCAG 2 asks of text; dark colours stay as they are."""
    contrast = [1.05 / (linear(c) @ RGB_TO_XYZ[1] + 0.05) for c in (colour, looks.ink(colour))]
    assert contrast[1] > 4.45
    assert contrast[0] < 4.5 or looks.ink(colour) == colour


def test_lines_of_words_are_as_wide_as_they_are_measured():
    said = "one two three four five six seven eight nine ten"
    lines = looks.wrapped(said, 60.0, 8.0).split("\n")
    assert " ".join(lines) == said and len(lines) > 3
    assert all(looks.text_width(line, 8.0) <= 60.0 for line in lines)
    longer = [f"{line} {after.split()[0]}" for line, after in itertools.pairwise(lines)]
    assert all(looks.text_width(line, 8.0) > 60.0 for line in longer)
    assert looks.wrapped("a · b · c", 1.0, 8.0, between=" · ") == "a\nb\nc"


def test_results_draw_themselves_in_one_line():
    grid = pl.Grid(-2.0, 2.0, 33)
    solution = pl.solve(pl.Heat(viscosity=0.1), pl.Loss("cos(x)"), grid, [0.0, 0.5, 1.0])
    lines = solution.plot().get_lines()
    assert [line.get_label() for line in lines] == ["t = 0", "t = 0.5", "t = 1"]
    np.testing.assert_array_equal(lines[-1].get_ydata(), solution.final)
    paths = pl.simulate(pl.Langevin(pl.Loss("x**2/2"), 2.0), 1.0, 0.1, 0.05, paths=5, seed=1, save_every=1)
    drawn = paths.plot().get_lines()
    np.testing.assert_allclose(drawn[-1].get_ydata(), paths.states.mean(1))
    assert len(drawn) == 6
    with pytest.raises(ValueError, match="stored states"):
        pl.simulate(pl.Langevin(pl.Loss("x**2/2"), 2.0), 1.0, 0.1, 0.05, paths=5, seed=1, store=False).plot()


@pytest.mark.parametrize("dimension", [1, 2])
def test_an_animation_shows_the_saved_times(dimension, tmp_path):
    f = pl.Loss("cos(x)") if dimension == 1 else pl.Loss("cos(x)*cos(y)")
    grid = pl.Grid([-2.0] * dimension, [2.0] * dimension, [33] * dimension)
    solution = pl.solve(pl.Heat(viscosity=0.1), f, grid, [0.0, 0.5])
    moving = pl.plotting.animate(solution)
    moving.save(tmp_path / "heat.gif", writer="pillow")
    assert (tmp_path / "heat.gif").read_bytes()[:3] == b"GIF"
    with pytest.raises(ValueError, match="interval"):
        pl.plotting.animate(solution, interval=0)


def curve(gamma, side="up"):
    if gamma > 5:
        raise ValueError("gamma: expected at most 5")
    figure, ax = plotting.subplots()
    ax.plot([0.0, 1.0], [0.0, gamma if side == "up" else -gamma])
    return figure


def test_where_nobody_drags_there_is_the_picture_at_the_start():
    figure = plotting.drag(curve, gamma=(0.1, 10.0, 2.0), side=["down", "up"])
    assert list(figure.axes[0].get_lines()[0].get_ydata()) == [0.0, -2.0]
    assert figure._repr_png_()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    "slider", [(0.1, 2.0), (0, 2, 1, "log"), (0.1, 2.0, 3.0), (1.0, 1.0, 1.0), [], 2.0, (1, 2, "b")]
)
def test_a_slider_of_no_kind_is_refused(slider):
    with pytest.raises(ValueError, match="gamma: expected"):
        plotting.drag(curve, gamma=slider)


def png(*values):
    return plotting.style()(curve)(*values)._repr_png_()


def test_a_moved_slider_redraws_and_a_refusal_is_shown(monkeypatch):
    pytest.importorskip("ipywidgets")
    monkeypatch.setattr(dragging, "_somebody_can_drag", lambda: True)
    box = plotting.drag(curve, gamma=(0.1, 10.0, 2.0, "log"), side=["up", "down"])
    gamma, side, picture, words = box.children
    assert (gamma.description, side.description) == ("γ", "side")
    assert bytes(picture.value) == png(2.0) and not words.value
    gamma.value = 3.0
    assert bytes(picture.value) == png(gamma.value) != png(2.0)
    side.value = "down"
    assert bytes(picture.value) == png(gamma.value, "down")
    gamma.value = 8.0
    assert words.value == "gamma: expected at most 5"
    gamma.value = 1.0
    assert words.value == ""


def test_sliders_have_the_kind_of_their_numbers(monkeypatch):
    widgets = pytest.importorskip("ipywidgets")
    monkeypatch.setattr(dragging, "_somebody_can_drag", lambda: True)
    kinds = {
        widgets.IntSlider: (1, 5, 2),
        widgets.FloatSlider: (1, 5, 2.0),
        widgets.FloatLogSlider: (1, 5, 2, "log"),
        widgets.SelectionSlider: [2, 4],
    }
    for kind, slider in kinds.items():
        handle = plotting.drag(curve, gamma=slider).children[0]
        assert type(handle) is kind and handle.value == 2


def test_only_a_kernel_that_may_ask_has_somebody_before_it(monkeypatch):
    pytest.importorskip("ipywidgets")
    for answers, expected in ((True, True), (False, False)):
        shell = SimpleNamespace(get_parent=lambda may=answers: {"content": {"allow_stdin": may}})
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda shell=shell: shell))
        assert dragging._somebody_can_drag() is expected
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not dragging._somebody_can_drag()


@pytest.mark.slow
@pytest.mark.parametrize("asks, kind", [(True, "application/vnd.jupyter.widget-view+json"), (False, "image/png")])
def test_a_kernel_shows_sliders_to_a_person_and_the_picture_for_the_record(asks, kind):
    for package in ("ipykernel", "ipywidgets"):
        pytest.importorskip(package)
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")

    class Client(nbclient.NotebookClient):
        async def async_start_new_kernel_client(self):
            client = await super().async_start_new_kernel_client()
            client.allow_stdin = asks  # as JupyterLab's
            return client

    draw = "from pdelab import plotting\ndef draw(gamma):\n    return plotting.subplots()[0]"
    code = [draw, "plotting.drag(draw, gamma=(0.1, 2.0, 1.0))"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in code])
    Client(notebook, timeout=120, kernel_name="python3", store_widget_state=False).execute()
    (shown,) = [output.data for output in notebook.cells[1].outputs if "data" in output]
    assert kind in shown and ("image/png" in shown) is not asks
