"""The explorer: every number of the page against the library, its doors, and the page itself in a real browser."""

import builtins
import math
import shutil
import threading

import numpy as np
import pytest
from scipy.optimize import brentq

import pdelab as pl
from pdelab import cli, explorer
from pdelab.explorer import evolution
from pdelab.explorer import table as tables


@pytest.fixture(scope="module")
def wells():
    return pl.losses.three_wells()


@pytest.fixture(scope="module")
def table(wells):
    return explorer.compute(wells)


@pytest.mark.parametrize("gamma, beta", [(1 / 16, 0.5), (0.5, 2.0), (2.0, 32.0), (8.0, 64.0)])
def test_rows_are_the_values_of_the_library(table, wells, gamma, beta):
    b, g = tables.BETAS.index(beta), tables.GAMMAS.index(gamma)
    some = table.x[::40]
    h = 1e-4
    left, right = (pl.local_entropy(wells, some + s, gamma, beta) for s in (-h, h))
    assert table.entropy[b, g, ::40] == pytest.approx(pl.local_entropy(wells, some, gamma, beta), abs=1e-9)
    assert table.entropy_slope[b, g, ::40] == pytest.approx((right - left) / (2 * h), abs=1e-5)


@pytest.mark.parametrize("gamma", [1 / 16, 0.5, 2.0, 8.0])
def test_hopf_lax_rows_against_brute_force(table, wells, gamma):
    g = tables.GAMMAS.index(gamma)
    z = np.linspace(-7, 7, 14001)
    cost = wells(z) + (table.x[:, None] - z) ** 2 / (2 * gamma)
    assert table.inviscid[g] == pytest.approx(cost.min(axis=1), abs=2e-5 / gamma)
    away = ~(table.broken[g] | np.roll(table.broken[g], 1))
    slope = (table.x - z[cost.argmin(axis=1)]) / gamma
    assert table.inviscid_slope[g][away] == pytest.approx(slope[away], abs=2e-3 / gamma)


def test_jumps_are_where_the_slope_falls_by_more_than_a_cell_explains(table, wells):
    for g in np.flatnonzero(table.gammas > 0.6):
        falls = np.append(np.diff(table.inviscid_slope[g]) < -0.1, False)
        assert (falls == table.broken[g]).all()
    assert table.shocks[0] == 0 and not table.broken[:, -1].any()
    assert not table.shocks[table.gammas < 0.29].any()  # first shock at 0.2991


def test_the_minimum_is_a_zero_of_the_exact_slope(table, wells):
    for b, g in ((0, 12), (4, 16), (14, 20)):
        beta, gamma, place = table.betas[b], table.gammas[g], table.minimum[b, g]
        exact = brentq(lambda z, *of: float(pl.local_entropy_gradient(wells, z, *of)), place - 0.05, place + 0.05,
                       args=(gamma, beta))  # fmt: skip
        assert place == pytest.approx(exact, abs=1e-3)


def test_hopf_lax_keeps_the_minimum_and_local_entropy_leaves_it(monkeypatch):
    monkeypatch.setattr(tables, "BETAS", (2.0,))
    table = explorer.compute(pl.losses.sharp_and_wide())
    assert table.inviscid_minimum == pytest.approx(table.inviscid_minimum[0], abs=1e-3)
    row = table.moved[0]
    small, large = tables.GAMMAS.index(1 / 16), tables.GAMMAS.index(0.5)
    assert not row[small] and row[large]
    assert not row[0]


def test_deaths_of_characteristics(wells):
    """Before its death a characteristic attains the Hopf-Lax minimum, after it another point does better."""
    feet = np.linspace(-3, 3, 301)
    deaths = tables.death_times(wells, feet)
    assert deaths.min() == pytest.approx(0.29911, abs=1e-3)
    z = np.linspace(-8, 8, 32001)
    chosen = np.flatnonzero(np.isfinite(deaths) & (deaths < 20))[::15]
    assert chosen.size > 5
    for k in chosen:
        for part, alive in ((0.97, True), (1.03, False)):
            t, p = part * deaths[k], float(wells.gradient(feet[k]))
            best = float(np.min(wells(z) + (feet[k] + t * p - z) ** 2 / (2 * t)))
            assert (best >= float(wells(feet[k])) + t * p**2 / 2 - 1e-7) == alive


def test_the_caption_of_figure_4_1_and_equal_clocks():
    rugged = pl.losses.rugged()
    slow, equal = (
        explorer.evolve(rugged, 2.0, 2.0, diffusivity=0.02, start=-2.73, clock=clock) for clock in (16.0, 2.0)
    )
    assert slow.sgd_home > 0.99 and slow.flow_best > 0.95 and equal.flow_best < 0.05
    assert np.mean(np.abs(slow.flow_paths[-1]) < 0.6) > 0.8
    assert np.abs(slow.sgd_paths[-1] + 2.7).max() < 0.6


def test_paths_stay_in_a_sharp_valley_as_the_density_does():
    """Where f'' is 111 a step of S/400 = 0.04 is unstable: such paths leave, the density does not."""
    run = explorer.evolve(pl.losses.sharp_and_wide(), 0.5, 2.0, diffusivity=0.1, start=2.0, clock=16.0)
    assert run.sgd_home > 0.99
    assert np.abs(run.sgd_paths[10:] - 2.0).max() < 8 * np.sqrt(0.1 / 111)  # eight deviations of the law in the valley
    with pytest.raises(ValueError, match="clock S: expected at most 5 for paths where f'' is 4e\\+03, got 16"):
        explorer.evolve("2000*x**2", 0.5, 2.0, diffusivity=0.1, start=0.1, clock=16.0)


def test_the_flow_against_finer_slices(monkeypatch):
    rugged = pl.losses.rugged()
    asked = {"diffusivity": 0.05, "start": -2.73, "clock": 8.0}
    coarse = explorer.evolve(rugged, 2.0, 2.0, **asked)
    evolution._smoothed.cache_clear()
    monkeypatch.setattr(evolution, "SLICES", 201)
    fine = explorer.evolve(rugged, 2.0, 2.0, **asked)
    evolution._smoothed.cache_clear()
    assert 0.5 * np.abs(coarse.flow - fine.flow).sum() * (coarse.x[1] - coarse.x[0]) < 0.01


def test_which_noise_samples_the_gibbs_law():
    """D = 1/β samples exp(-βf); the printed D = 1/(2β) samples exp(-2βf) instead."""
    beta, well = 2.0, pl.losses.double_well()
    right, printed = (
        explorer.evolve(well, 1.0, beta, diffusivity=D, start=-1.0, clock=64.0) for D in (1 / beta, 0.5 / beta)
    )
    weight = np.exp(-2 * beta * well(printed.x))
    weight /= np.trapezoid(weight, printed.x)
    assert right.distance < 1e-4 and printed.distance > 0.05
    assert 0.5 * np.trapezoid(np.abs(printed.sgd - weight), printed.x) < 1e-3


def test_no_scope_makes_the_flow_sgd():
    run = explorer.evolve("x**2/2", 0.0, 2.0, diffusivity=0.3, start=1.0, clock=2.0)
    assert np.allclose(run.sgd, run.flow, atol=1e-8) and run.sgd_paths.shape == run.flow_paths.shape == (101, 20)


@pytest.mark.parametrize("formula, words", [
    ("x**2 +", "cannot read the formula"), ("x**2 + y**2", "expected one variable, got 2"),
    ("log(x)", "expected finite values"), ("__import__('os')", "formula"), ("-x**4", "rises"), ("", "formula"),
])  # fmt: skip
def test_a_bad_formula_is_refused_in_words(formula, words):
    with pytest.raises(ValueError, match=words):
        explorer.compute(formula)


def test_bad_places_are_refused():
    with pytest.raises(ValueError, match="lower, upper: expected finite"):
        explorer.compute("x**2", 1.0, -1.0)
    for wrong in ({"start": 9.0}, {"clock": 0.0}, {"clock": math.inf}, {"diffusivity": -1.0}):
        with pytest.raises(ValueError):
            explorer.evolve("x**2", 1.0, 2.0, **({"diffusivity": 0.1, "start": 0.0, "clock": 1.0} | wrong))


def test_without_bokeh_one_sentence_says_what_to_install(monkeypatch, capsys, tmp_path):
    true = builtins.__import__

    def absent(name, *rest):
        if name.split(".")[0] == "bokeh":
            raise ModuleNotFoundError("No module named 'bokeh'")
        return true(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    assert cli.main(["explore", "--export", str(tmp_path / "page.html")]) == 2
    assert "pip install 'pdelab[explore]'" in capsys.readouterr().err


@pytest.fixture(scope="module")
def few_stops():
    """Two stops of β, so that the pages of the tests below are made quickly."""
    pytest.importorskip("bokeh")
    from pdelab.explorer import page

    with pytest.MonkeyPatch.context() as patch:
        page.table_of.cache_clear()
        for module in (tables, page):
            patch.setattr(module, "BETAS", (2.0, 32.0))
        yield
    page.table_of.cache_clear()


@pytest.fixture(scope="module")
def exported(few_stops, tmp_path_factory):
    return explorer.export(tmp_path_factory.mktemp("explorer") / "page.html")


def test_the_exported_page_forbids_every_request(exported):
    text = exported.read_text(encoding="utf-8")
    assert "default-src 'none'; connect-src ;" in text
    assert "<script src=" not in text and "<link " not in text.split("</head>")[0]


def test_a_server_answers_on_the_loopback_alone_and_to_its_own_page(few_stops):
    from pdelab.explorer import server

    made = server.make("x**2/2", -5.0, 5.0)
    try:
        assert made.address == "127.0.0.1"
        assert made._tornado.websocket_origins == {f"127.0.0.1:{made.port}"}
        with pytest.raises(ValueError, match="port"):
            server.make("x**2/2", -5.0, 5.0, made.port)
    finally:
        made.unlisten()
    with pytest.raises(ValueError, match="port: expected"):
        server.make("x**2/2", -5.0, 5.0, 70000)


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium found")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=chromium, args=flags)
        yield opened
        opened.close()


MODEL = "Bokeh.documents[0].get_model_by_name('{}')"
SENTENCE = MODEL.format("sentence") + ".text"


def visit(browser, address):
    """A page that has drawn, and the list of what it asked the network for."""
    page, asked = browser.new_page(viewport={"width": 1500, "height": 850}), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_function(f"window.Bokeh && Bokeh.documents.length && {SENTENCE}", timeout=60000)
    return page, asked


def test_dragging_the_exported_page(browser, exported):
    page, asked = visit(browser, exported.as_uri())
    before = page.evaluate(SENTENCE)
    assert "another valley" in before and "β = 2, " in before and "ν = 1/(2β) = 0.25" in before
    handle = page.locator(".noUi-handle").first.bounding_box()
    page.mouse.move(handle["x"] + 7, handle["y"] + 9)
    page.mouse.down()
    page.mouse.move(handle["x"] - 100, handle["y"] + 9, steps=8)
    page.mouse.up()
    page.wait_for_function(f"{SENTENCE}.includes('in the valley of')")
    picture = page.screenshot()
    assert len(picture) > 20000
    assert asked == [exported.as_uri()]


def test_what_the_browser_draws_is_the_row_of_the_library(browser, exported):
    page, _ = visit(browser, exported.as_uri())
    page.get_by_role("button", name="Shock").click()
    page.wait_for_function(f"{SENTENCE}.includes('γ = 1 ')")
    drawn = page.evaluate("""() => { const all = [...Bokeh.documents[0]._all_models.values()];
        const c = all.find(m => m.data && m.data.viscous_slope); return Object.fromEntries(
        Object.entries(c.data).map(([k, v]) => [k, Array.from(v).map(z => Number.isNaN(z) ? null : z)])); }""")
    loss, x = pl.losses.three_wells(), np.array(drawn["x"])
    grid = pl.Grid(-5, 5, tables.NODES, boundary="outflow")
    assert np.array_equal(x, grid.x)
    assert np.array(drawn["viscous"]) == pytest.approx(pl.local_entropy(loss, grid, 1.0, 32.0), abs=1e-5)
    assert np.array(drawn["inviscid"]) == pytest.approx(pl.hopf_lax(loss, grid, 1.0), abs=1e-5)
    slope = np.array([np.nan if p is None else p for p in drawn["inviscid_slope"]])
    exact = x - pl.proximal(loss, grid, 1.0)
    assert np.isnan(slope).sum() == 2
    assert slope[~np.isnan(slope)] == pytest.approx(exact[~np.isnan(slope)], abs=1e-5)


def test_the_served_page_answers(browser, few_stops):
    """A bad formula is refused in words, a button moves loss and flows, and nothing is asked of another origin."""
    from pdelab.explorer import server

    ready, held = threading.Event(), {}

    def run():
        import asyncio

        asyncio.set_event_loop(asyncio.new_event_loop())
        held["server"] = server.make(None, -5.0, 5.0)
        held["server"].start()
        ready.set()
        held["server"].io_loop.start()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(120)
    made = held["server"]
    try:
        address = f"http://127.0.0.1:{made.port}/"
        page, asked = visit(browser, address)
        page.wait_for_function(f"{SENTENCE}.includes('D = 0.1') && {SENTENCE}.includes('total variation')")
        box = page.get_by_label("loss f(x)")
        box.fill("x**2 +")
        box.press("Enter")
        page.wait_for_function(MODEL.format("message") + ".text.includes('cannot read the formula')")
        page.get_by_role("button", name="Figure 4.1").click()
        page.wait_for_function(f"{SENTENCE}.includes('γ = 2 ') && {SENTENCE}.includes('99%')", timeout=120000)
        box.fill("x**2/2")
        box.press("Enter")
        page.wait_for_function(f"{SENTENCE}.includes('x = 0; Hopf-Lax keeps 0, with 0 jumps')", timeout=120000)
        assert asked and all(url.startswith((address, "data:", "blob:")) for url in asked)
    finally:
        made.io_loop.add_callback(made.io_loop.stop)
        thread.join(20)
