"""Walls of paths: exact laws of reflected and absorbed Brownian motion, Fokker-Planck with the same walls, refusals."""

import math

import numpy as np
import pytest
from scipy import stats

import pdelab as pl
from pdelab import noise, paths
from pdelab.losses import Loss
from pdelab.paths import engine, walls

BROWNIAN = paths.Diffusion(0.0, 1.0)
WELL = Loss("x**4/4 - x**2/2")


def folded(x, x0, t, images=20):
    """Distribution function of Brownian motion from x0 reflected at 0 and 1, by images."""
    k = 2.0 * np.arange(-images, images + 1)[:, None]
    part = lambda centre: stats.norm.cdf((x - centre) / math.sqrt(t)) - stats.norm.cdf(-centre / math.sqrt(t))  # noqa: E731
    return (part(x0 + k) + part(-x0 + k)).sum(0)


def test_reflected_brownian_motion_has_its_exact_law_at_any_step():
    for dt in (0.35, 0.05):
        run = paths.simulate(BROWNIAN, 0.3, 0.7, dt, walls=(0.0, 1.0), paths=20_000, seed=4)
        assert stats.kstest(run.final, lambda x: folded(x, 0.3, 0.7)).pvalue > 1e-3
    early = paths.simulate(BROWNIAN, 0.3, 0.05, 0.025, walls=(0.0, 1.0), paths=20_000, seed=4).final
    assert stats.kstest(early, lambda x: folded(x, 0.3, 0.05)).pvalue > 1e-3
    assert stats.kstest(early, lambda x: folded(x, 0.33, 0.05)).pvalue < 1e-6


@pytest.mark.parametrize("boundary, shift", [("absorbing", 0.0), (("absorbing", "reflecting"), 0.5)])
def test_survival_of_brownian_motion(boundary, shift):
    """(0, 1) from 0.3: sums of sines of k pi x, at a reflecting upper end of (k - 1/2) pi x."""
    count, t = 50_000, np.array([0.1, 0.2, 0.4, 0.8])
    k = (np.arange(1, 200) - shift) * math.pi
    weight = (2 / k * (1 - (np.cos(k) if shift == 0.0 else 0.0)) * np.sin(0.3 * k))[:, None]
    exact = (weight * np.exp(-(k**2)[:, None] * t / 2)).sum(0)
    run, plain = (
        paths.simulate(BROWNIAN, 0.3, t, 0.01, walls=(0.0, 1.0, boundary), paths=count, seed=3, bridge=bridge)
        for bridge in (None, False)
    )
    error = np.sqrt(exact * (1 - exact) / count)
    assert run.info["bridge"] and (np.abs(run.survival - exact) < 4 * error).all()
    assert (plain.survival > exact + 8 * error)[:2].all()  # exits between two looks are missed
    assert np.array_equal(np.isfinite(run.exit_times), run.exit_sides >= 0)
    left = run.exit_sides >= 0
    assert np.array_equal(run.final[left], run.exit_sides[left].astype(float))
    assert (run.states[:, left][run.times[:, None] > run.exit_times[left]] % 1.0 == 0.0).all()


def test_sides_and_places_of_exit_are_those_of_martingales():
    """x itself gives the side on a line, x^2 - y^2 and x the places in a square, x^2 + y^2 - 2t the time."""
    line = paths.simulate(BROWNIAN, 0.3, 12.0, 0.02, walls=(0.0, 1.0, "absorbing"), paths=20_000, seed=3)
    assert abs((line.exit_sides == 1).mean() - 0.3) < 4 * math.sqrt(0.21 / 20_000)
    plane = paths.Diffusion([0.0, 0.0], 1.0, variables=("x", "y"))
    run = paths.simulate(plane, (0.4, -0.2), 12.0, 0.01, walls=((-1, -1), (1, 1), "absorbing"), paths=20_000, seed=5)
    assert (run.exit_sides >= 0).all() and set(run.exit_sides) == {0, 1, 2, 3}
    x, y = run.final.T
    on = np.array([x == -1, x == 1, y == -1, y == 1])
    assert on[run.exit_sides, np.arange(20_000)].all()
    for values, exact in ((x**2 - y**2, 0.12), (x, 0.4), (y, -0.2), (x**2 + y**2 - 2 * run.exit_times, 0.2)):
        assert abs(values.mean() - exact) < 4 * values.std() / math.sqrt(20_000) + 0.004  # order dt


WALLS = ["reflecting", "absorbing", ("absorbing", "reflecting"), ("reflecting", "absorbing"), "periodic"]


@pytest.mark.parametrize("boundary", WALLS)
def test_densities_are_those_of_fokker_planck_with_the_same_walls(boundary):
    loss = Loss("cos(3*x)/2" if boundary == "periodic" else "x**2 - x/2")
    length = 2 * math.pi / 3 if boundary == "periodic" else 1.2
    grid, fine = (
        pl.Grid(0.0, length, n, boundary=boundary) for n in ((12, 480) if boundary == "periodic" else (13, 481))
    )
    count, beta = 100_000, 1.5
    start = np.exp(-((fine.x - 0.5) ** 2) / (2 * 0.1**2))
    start[fine.absorbing] = 0.0
    start /= fine.integrate(start)
    cdf = np.cumsum(start * fine.weights)
    initial = np.interp((np.arange(count) + 0.5) / count, cdf, fine.x)
    exact = pl.solve(pl.FokkerPlanck(loss, beta=beta), start, fine, [0.25], dt=1e-3).final
    run = paths.simulate(paths.Langevin(loss, beta), initial, 0.25, 0.0025, walls=grid, histogram=grid, seed=6)
    kernel = np.ones(41) / 40
    kernel[[0, -1]] /= 2  # the mean over a cell of the coarse grid
    if boundary == "periodic":
        cells = np.convolve(np.concatenate([exact[-20:], exact, exact[:20]]), kernel, "valid")[::40]
    else:
        cells = np.array([np.trapezoid(exact[max(c - 20, 0) : c + 21]) for c in range(0, 481, 40)]) / 40
        cells[[0, -1]] *= 2
    scores = (run.density[-1] - cells) / np.maximum(run.density_error[-1], 0.01)
    assert np.abs(scores).max() < 5 and (scores**2).mean() < 3
    assert (
        abs(run.survival[-1] - fine.integrate(exact)) < 0.006
        if "absorbing" in str(boundary)
        else run.exit_times is None
    )


def test_full_noise_reflects_along_the_conormal():
    """Without drift the uniform density of a box stays, whatever the correlation; along the normal it does not."""
    z = noise.normals(1, 40_000, 1, 2)[0]
    initial = stats.norm.cdf(z).T
    sigma = np.linalg.cholesky([[1.0, 0.8], [0.8, 1.0]]).tolist()
    sde = paths.Diffusion([0.0, 0.0], sigma, variables=("x", "y"))

    def chi2(final):
        counts = np.histogram2d(*final.T, bins=6, range=[[0, 1], [0, 1]])[0]
        return ((counts - 40_000 / 36) ** 2 / (40_000 / 36)).sum()

    run = paths.simulate(sde, initial, 0.5, 0.001, walls=((0, 0), (1, 1)), seed=2)
    assert ((run.final >= 0) & (run.final <= 1)).all() and stats.chi2.sf(chi2(run.final), 35) > 1e-4
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walls, "directions", lambda *arguments: None)
        wrong = paths.simulate(sde, initial, 0.5, 0.001, walls=((0, 0), (1, 1)), seed=2)
    assert stats.chi2.sf(chi2(wrong.final), 35) < 1e-30


def test_the_mirror_has_weak_order_one():
    """Mean of x under a drift into the wall, against Fokker-Planck: errors fall like dt."""
    grid = pl.Grid(0.0, 1.5, 601)
    loss, count = Loss("2*x"), 400_000
    start = np.exp(-((grid.x - 0.6) ** 2) / (2 * 0.15**2))
    start /= grid.integrate(start)
    exact = grid.integrate(grid.x * pl.solve(pl.FokkerPlanck(loss, beta=2.0), start, grid, [0.5], dt=5e-4).final)
    initial = np.interp((np.arange(count) + 0.5) / count, np.cumsum(start * grid.weights), grid.x)
    sizes = np.array([0.1, 0.05, 0.025])
    sde = paths.Langevin(loss, 2.0)
    runs = [paths.simulate(sde, initial, 0.5, dt, walls=grid, seed=9, store=False).final for dt in sizes]
    errors, deviation = np.array([run.mean() - exact for run in runs]), runs[0].std() / math.sqrt(count)
    assert np.abs(errors[-1]) > 4 * deviation
    assert 0.7 < np.polyfit(np.log(sizes), np.log(np.abs(errors)), 1)[0] < 1.3


def test_a_particle_with_momentum_bounces():
    free = paths.Underdamped(Loss("0*x"), math.inf, 1e-9)
    run = paths.simulate(free, [[0.25, 1.0]], 3.0, 0.125, walls=(0.0, 1.0), seed=1, save_every=1)
    q, p = run.states[:, 0].T
    assert np.allclose(q, np.abs((run.times + 0.25 + 1) % 2 - 1), atol=1e-7) and np.allclose(np.abs(p), 1.0, atol=1e-7)
    assert {-1.0, 1.0} == set(np.sign(p))


CASES = [
    (((-0.5, -0.5), (1.0, 0.5), ["reflecting", "periodic"]), [[0.6, 0.8], [0.0, 1.0]]),
    (((-0.5, -0.5), (1.0, 0.5), [("absorbing", "reflecting"), "reflecting"]), 0.7),
    (((-0.5, -0.5), (1.0, math.inf), ["absorbing", "absorbing"]), [[0.6, 0.8], [0.0, 1.0]]),
]


@pytest.mark.parametrize("box, sigma", CASES)
def test_compiled_and_numpy_threads_and_parts_agree(box, sigma):
    common = {"walls": box, "seed": 4, "save_every": 3, "histogram": pl.Grid((-0.5, -0.5), (1, 0.5), (6, 7))}
    sde = paths.Diffusion(["-x", "-y"], sigma)
    alone = paths.simulate(sde, (0.0, 0.0), 1.0, 0.05, paths=1200, threads=1, **common)
    two = paths.simulate(sde, (0.0, 0.0), 1.0, 0.05, paths=1200, threads=2, **common)
    function = paths.Diffusion(lambda x: -x, sigma, dimension=2)
    numpy = paths.simulate(function, (0.0, 0.0), 1.0, 0.05, paths=1200, **common)
    assert alone.info["compiled"] and not numpy.info["compiled"]
    assert (two.states == alone.states).all() and (two.density == alone.density).all()
    np.testing.assert_allclose(numpy.states, alone.states, rtol=1e-10, atol=1e-11)
    part = paths.simulate(sde, (0.0, 0.0), 1.0, 0.05, paths=700, first_path=500, **common)
    assert (part.states == alone.states[:, 500:]).all()
    if alone.exit_times is not None:
        assert (numpy.exit_times == alone.exit_times).all() and (numpy.exit_sides == alone.exit_sides).all()
        assert (part.exit_times == alone.exit_times[500:]).all()
        last = alone.density[-1].ravel() @ common["histogram"].weights.ravel()
        assert last == pytest.approx(alone.survival[-1], abs=0.2) and last <= alone.survival[-1] + 1e-12


FULL = paths.Diffusion(["0", "0"], [["1", "x"], ["0", "1"]], variables=("x", "y"))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"walls": 3}, "walls: expected a Grid"),
        ({"walls": (1.0, 0.0)}, "walls: expected lower < upper"),
        ({"walls": (0.0, 1.0, "outflow")}, "walls: expected reflecting, absorbing or periodic"),
        ({"walls": (0.0, 1.0, "soft")}, "boundary: expected one of"),
        ({"walls": ((0, 0), (1, 1))}, "walls: expected lower < upper for at most 1"),
        ({"walls": (0.0, math.inf, "periodic")}, "walls: expected finite ends"),
        ({"walls": (1.0, 2.0)}, "initial: expected states inside the walls"),
        ({"walls": (0.0, 1.0, "absorbing"), "exit": (0.2, 0.8)}, "exit: expected None beside absorbing walls"),
        ({"walls": (0.0, 1.0), "scheme": "leimkuhler_matthews"}, "walls: a mirror spoils"),
        ({"walls": ((0, 0), (1, 1)), "sde": FULL, "initial": (0.5, 0.5)}, "walls: expected noise whose co-normal"),
        ({"walls": (0.0, 1.0), "bridge": True}, "bridge: expected a box"),
    ],
)
def test_bad_walls_are_refused_in_words(change, message):
    good = {"sde": BROWNIAN, "initial": 0.5, "t": 1.0, "dt": 0.1, "paths": 3, "seed": 1}
    with pytest.raises(ValueError, match=message):
        paths.simulate(**good | change)


def test_absorbing_walls_without_a_bridge_warn_and_say_so():
    sde = paths.Diffusion("0*x", "1 + x")
    with pytest.warns(UserWarning, match=r"after each step alone.*bridge=False"):
        run = paths.simulate(sde, 0.5, 0.1, 0.01, walls=(0.0, 1.0, "absorbing"), paths=3, seed=1)
    assert run.info["bridge"] is False
    paths.simulate(sde, 0.5, 0.1, 0.01, walls=(0.0, 1.0, "absorbing"), paths=3, seed=1, bridge=False)


def test_steps_that_are_too_long_for_the_box_are_not_repaired():
    with pytest.raises(FloatingPointError, match="exploded"):
        paths.simulate(paths.Diffusion("1e9", 0.0, variables="x"), 0.5, 1.0, 0.1, walls=(0.0, 1.0), seed=1)
    assert engine.walls.rows(None, BROWNIAN).shape == (0, 7)


def test_an_explosion_is_no_exit():
    for drift in ("x**9", lambda x: x**9):
        sde = paths.Diffusion(drift, 0.0)
        with pytest.raises(FloatingPointError, match="path 0 exploded"):
            box = (-math.inf, math.inf, "absorbing"), (0.0, math.inf, "absorbing")
            for walls_of in box:
                paths.simulate(sde, 1e5, 1.0, 0.1, walls=walls_of, seed=1, bridge=False)
