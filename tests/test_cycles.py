"""Turns of simulated paths round periodic walls: current, spread and cycles of the washboard in closed form."""

import math

import numpy as np
import pytest
from scipy import integrate

import pdelab as pl
from pdelab import nonequilibrium
from pdelab.nonequilibrium import turns

LENGTH = 2 * math.pi


def washboard(force, beta, n=1024):
    """(turns per time, growth of their variance) of dX = (sin x + F) dt + sqrt(2/β) dW: Reimann et al. (2001).

    J = (1 - e^{-βFL}) / ∫ I₊,  D_eff = D L² ∫ I₊² I₋ / (∫ I₊)³ with I±(x) = 1/D ∫_0^L exp(±β(V(x) - V(x ∓ z))) dz.
    """
    x = np.arange(n) * LENGTH / n
    z = (np.arange(n) + 0.5) * LENGTH / n
    V = lambda x: np.cos(x) - force * x  # noqa: E731
    up = beta * np.exp(beta * (V(x)[:, None] - V(x[:, None] - z))).mean(1) * LENGTH
    down = beta * np.exp(-beta * (V(x)[:, None] - V(x[:, None] + z))).mean(1) * LENGTH
    rate = -math.expm1(-beta * force * LENGTH) / (up.mean() * LENGTH)
    effective = (up**2 * down).mean() / up.mean() ** 3 / beta
    return rate, 2 * effective / LENGTH**2


def test_the_closed_formula_is_that_of_the_grid_and_of_free_diffusion():
    grid = pl.Grid(0.0, LENGTH, 2000, boundary="periodic")
    problem = pl.FokkerPlanck(np.cos(grid.x), np.full(2000, 0.6), beta=2.0)
    assert washboard(0.6, 2.0)[0] == pytest.approx(nonequilibrium.winding_rate(problem, grid), rel=1e-4)
    rate, growth = washboard(10.0, 2.0)  # so strong a force that the potential counts by (1/F)² only
    assert rate == pytest.approx(math.sqrt(99) / LENGTH, rel=3e-3) and growth == pytest.approx(1 / LENGTH**2, rel=0.05)
    potential = lambda x: math.exp(2 * math.cos(x))  # noqa: E731 - Lifson and Jackson (1962) without a force
    mean = integrate.quad(potential, 0, LENGTH)[0] / LENGTH
    assert washboard(1e-9, 2.0)[1] == pytest.approx(2 * 0.5 / mean**2 / LENGTH**2, rel=1e-6)


@pytest.mark.parametrize("force", [0.2, 1.0])
def test_turns_of_the_washboard(force):
    """Rate, spread and affinity inside 99.99 % intervals around what wrapped states show."""
    beta, paths, start = 2.0, 4096, 10.0
    sde = pl.Diffusion("sin(x) + F".replace("F", str(force)), math.sqrt(2 / beta))
    run = pl.simulate(
        sde, 0.0, t=60.0, dt=0.02, paths=paths, seed=3, save_every=10, walls=(0.0, LENGTH, "periodic"), threads=1
    )
    keep = run.times >= start - 1e-9  # relaxed
    result = turns(run.states[keep], run.times[keep], LENGTH, confidence=0.9999)
    rate, growth = washboard(force, beta)
    assert run.states.min() >= 0 and run.states.max() < LENGTH and run.info["periods"] == [LENGTH]
    assert result.rate.low < rate < result.rate.high and result.rate.high - result.rate.low < rate
    assert result.spread.low < growth < result.spread.high and result.spread.high - result.spread.low < growth
    affinity = beta * force * LENGTH
    assert result.affinity.low < affinity < result.affinity.high
    assert result.up > 1000 and abs(result.numbers.sum() - (result.up - result.down)) < paths
    np.testing.assert_allclose((run.unwrapped[-1] - run.unwrapped[keep][0]) / LENGTH, result.numbers, atol=1e-9)


def test_wrapped_paths_turn_like_those_without_walls():
    """The same noise on the ring and on the line, whose drift is periodic: the unwrapped ring is the line."""
    sde = pl.Diffusion("sin(x) + 0.8", 1.0)
    options = {"t": 20.0, "dt": 0.01, "paths": 200, "seed": 5, "save_every": 20, "threads": 1}
    line = pl.simulate(sde, 1.0, **options)
    ring = pl.simulate(sde, 1.0, walls=(0.0, LENGTH, "periodic"), **options)
    np.testing.assert_allclose(ring.unwrapped, line.states, atol=1e-8)
    first, second = (turns(run.states, run.times, LENGTH) for run in (line, ring))
    assert (first.up, first.down) == (second.up, second.down)
    assert first.rate.value == pytest.approx(second.rate.value, rel=1e-9)


def test_only_periodic_axes_are_unwrapped():
    sde = pl.Diffusion(("0.5", "0*y"), 1.0, variables=("x", "y"))
    walls = ((0.0, 0.0), (3.0, 1.0), ("periodic", "reflecting"))
    run = pl.simulate(sde, (0.5, 0.5), t=4.0, dt=0.01, paths=40, seed=1, save_every=2, walls=walls, threads=1)
    assert run.info["periods"] == [3.0, math.inf]
    np.testing.assert_array_equal(run.unwrapped[..., 1], run.states[..., 1])
    np.testing.assert_allclose(run.unwrapped[..., 0] % 3.0, run.states[..., 0], atol=1e-9)
    assert np.abs(np.diff(run.unwrapped[..., 0], axis=0)).max() < 1.5


def test_one_long_path_is_cut_into_pieces(rng):
    walk = np.cumsum(0.025 + 0.05 * rng.normal(size=20000)) % 1.0
    result = turns(walk, 0.01 * np.arange(20000), 1.0, confidence=0.999)
    assert result.rate.low < 2.5 < result.rate.high and result.spread.low < 0.25 < result.spread.high
    assert result.numbers.shape == (1,)


@pytest.mark.parametrize("confidence", [0.9])
def test_intervals_of_turns_cover(confidence, rng):
    """200 ensembles of driven walks: the intervals cover their share, give or take four standard errors of it."""
    hits = np.zeros(2)
    for _ in range(200):
        walks = np.cumsum(0.01 + 0.05 * rng.normal(size=(61, 96)), axis=0)
        result = turns(walks, 0.1 * np.arange(61), 1.0, confidence=confidence)
        hits += [result.rate.low < 0.1 < result.rate.high, result.spread.low < 0.025 < result.spread.high]
    assert (np.abs(hits / 200 - confidence) < 4 * math.sqrt(confidence * (1 - confidence) / 200)).all(), hits


def test_what_cannot_be_counted_is_refused():
    times, steady = np.arange(60.0), np.zeros((60, 50))
    rare = np.random.default_rng(0).random((60, 50))  # anywhere on the ring at each time
    for states, when, period, words in (
        (rare, times, 1.0, "saved too rarely"),
        (steady[:3], times[:3], -1.0, "period"),
        (steady[:, 0], times[:7], 1.0, "times: expected one for each"),
        (steady[:3, 0], times[:3], 1.0, "at least 97 saved times of 1 paths"),
        (steady[..., None], times, 1.0, "states: expected one coordinate"),
        (steady * np.nan, times, 1.0, "finite"),
        (1j * steady, times, 1.0, "states"),
    ):
        with pytest.raises(ValueError, match=words):
            turns(states, when, period)
    free = pl.simulate(pl.Diffusion("0*x", 1.0), 0.0, t=1.0, dt=0.1, paths=3, seed=0)
    with pytest.raises(ValueError, match="unwrapped: expected a run with stored states and periodic walls"):
        free.unwrapped  # noqa: B018
    rarely = pl.simulate(pl.Diffusion("0*x", 3.0), 0.5, t=9.0, dt=0.01, paths=99, seed=0, walls=(0.0, 1.0, "periodic"))
    with pytest.raises(ValueError, match="save more often"):
        rarely.unwrapped  # noqa: B018
