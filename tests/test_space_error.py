"""The error of the nodes that `solve` tells of Hamilton-Jacobi, heat and Burgers, beside closed forms."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pdelab as pl
from pdelab import burgers

LINE = {
    "HamiltonJacobi": ("monotone", "engquist_osher", "fitted", "weno", "filtered", "implicit", "rosenbrock"),
    "Heat": ("monotone", "weno", "implicit", "rosenbrock"),
    "Burgers": ("godunov", "engquist_osher", "rusanov", "high_resolution"),
}
CASES = [(kind, scheme) for kind, schemes in LINE.items() for scheme in schemes]
FINE = 2000


@st.composite
def waves(draw):
    """(formula on [0, 2π], its highest wave number, whether it is smooth)."""
    smooth, k = draw(st.booleans()), draw(st.integers(1, 3))
    phase, size, other = draw(st.integers(0, 9)), draw(st.sampled_from([0.3, 1.0])), draw(st.integers(-3, 3))
    first = f"sin({k}*x + {phase})" if smooth else f"abs(sin({k}*x/2 + {phase}))"
    return f"{size}*({first} + {0.1 * other:.1f}*cos(x))", k, smooth


def told(kind, formula, viscosity, grid, time, scheme, **options):
    """The run and what it warned of."""
    problem = getattr(pl, kind)(viscosity=viscosity)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        solution = pl.solve(problem, pl.Loss(formula), grid, time, scheme=scheme, **options)
    return solution, [str(one.message) for one in said]


def true_error(kind, formula, viscosity, grid, time, values):
    """Of the largest error over the range, for Burgers of integrals; the closed form on many more nodes."""
    loss, times = pl.Loss(formula), max(FINE // grid.shape[0], 1)
    fine = pl.Grid(0.0, 2 * math.pi, grid.shape[0] * times, boundary="periodic")
    if kind == "Heat":
        powers = np.fft.rfft(loss(fine.x)) * np.exp(-viscosity * time * np.arange(fine.shape[0] // 2 + 1) ** 2)
        exact = np.fft.irfft(powers, fine.shape[0])
    elif viscosity == 0:
        exact = pl.hopf_lax(loss, fine, time)
    else:
        exact = pl.cole_hopf(loss, fine, time, beta=0.5 / viscosity)
    if kind == "Burgers":
        size = np.abs(loss.gradient(grid.x)).sum()
        return np.abs(values - fine.gradient(exact)[::times]).sum() / size
    return np.abs(values - exact[::times]).max() / max(np.ptp(loss(grid.x)), np.ptp(values))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    case=st.sampled_from(CASES), wave=waves(), viscosity=st.sampled_from([0.0, 0.02, 0.2]),
    n=st.integers(12, 90), time=st.sampled_from([0.2, 1.0, 2.0]),
)  # fmt: skip
def test_large_errors_are_told_and_small_ones_of_smooth_data_are_not(case, wave, viscosity, n, time):
    """Above 10 % something is said, at kinks and shocks, too; below 1 %, with twelve nodes a wave, nothing of nodes."""
    (kind, scheme), (formula, k, smooth) = case, wave
    grid = pl.Grid(0.0, 2 * math.pi, n, boundary="periodic")
    solution, said = told(kind, formula, viscosity, grid, time, scheme)
    error = true_error(kind, formula, viscosity, grid, time, solution.final)
    assert error < 0.1 or said, (error, solution.info)
    assert any("error of the nodes" in text for text in said) == (solution.info["space_error"] > 0.05)
    if error < 0.01 and smooth and n >= 12 * k:
        assert solution.info["space_error"] < 0.05, (error, solution.info)


@pytest.mark.parametrize(("kind", "scheme"), CASES)
def test_the_estimate_follows_the_error(kind, scheme):
    """Of a sine before its shock, on numbers of nodes of which every second one leaves out an end, and others."""
    for n in (64, 65):
        grid = pl.Grid(0.0, 2 * math.pi, n, boundary="periodic")
        solution, said = told(kind, "sin(x)", 0.1, grid, 0.8, scheme)
        error = true_error(kind, "sin(x)", 0.1, grid, 0.8, solution.final)
        assert 0.2 * (error - solution.info["time_error"]) < solution.info["space_error"] < 0.05
        assert solution.info["space_error"] < 100 * error or solution.info["space_error"] < 1e-3
        assert not [text for text in said if "nodes" in text]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    case=st.sampled_from(CASES[:7]), nodes=st.floats(2.2, 14.0), n=st.integers(12, 90), phase=st.floats(0.0, 6.3),
    viscosity=st.sampled_from([0.0, 0.001, 0.01]), other=st.sampled_from([0.0, 0.3, 1.0]),
    time=st.sampled_from([0.2, 1.0, 5.0, 20.0]),
)  # fmt: skip
def test_waves_that_both_runs_lose_or_do_not_show_are_told(case, nodes, n, phase, viscosity, other, time):
    """Transport of two waves by a drift, the shorter of 2 to 14 nodes: an error above 10 % is told to a factor of 4."""
    k, grid, small = max(round(n / nodes), 1), pl.Grid(0.0, 2 * math.pi, n, boundary="periodic"), 1e-9
    problem = pl.HamiltonJacobi(viscosity=viscosity, drift=np.full(n, 0.7))

    def exact(x, t):
        fading = np.exp(-viscosity * k**2 * t), np.exp(-viscosity * t)
        return small * (fading[0] * np.sin(k * (x + 0.7 * t) + phase) + other * fading[1] * np.cos(x + 0.7 * t))

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        solution = pl.solve(problem, exact(grid.x, 0.0), grid, time, scheme=case[1])
    error = np.abs(solution.final - exact(grid.x, time)).max() / np.ptp(exact(grid.x, 0.0))
    told = solution.info["space_error"] + solution.info["time_error"]
    assert error < 0.1 or (said and told > error / 4), (error, solution.info)
    if error < 0.01 and nodes > 8:
        assert solution.info["space_error"] < 0.05, (error, solution.info)


@pytest.mark.parametrize("boundary", ["reflecting", "outflow"])
def test_what_leaves_through_an_end_is_not_lost(boundary):
    """A narrow bump that the drift carries out of the box, or viscosity spreads: nothing is told of either."""
    grid = pl.Grid(-1.0, 1.0, 241, boundary=boundary)
    bump = 1e-9 * np.exp(-(((grid.x + 0.6) / 0.1) ** 2))
    for problem in (pl.HamiltonJacobi(viscosity=0.0, drift=np.ones(241)), pl.Heat(viscosity=0.5)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            solution = pl.solve(problem, bump, grid, [0.5, 1.0], scheme="weno")
        assert solution.info["space_error"] < 0.02


def test_sizes_near_the_ends_of_float64_and_drifts_of_any_slope_are_compared():
    grid = pl.Grid(0.0, 2 * math.pi, 20, boundary="periodic")
    told = []
    for size in (1e-290, 1.0, 1e290):
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            told.append(pl.solve(pl.Heat(viscosity=1.0), size * np.sin(5 * grid.x), grid, 0.05).info["space_error"])
    assert told == pytest.approx(told[:1] * 3, rel=1e-6)
    steep = pl.HamiltonJacobi(viscosity=0.0, drift=1e3 * np.sin(grid.x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert pl.solve(steep, 1e-9 * np.sin(grid.x), grid, 1.0).info["space_error"] < 1


def test_a_sine_on_few_nodes_is_not_passed_over():
    grid = pl.Grid(0.0, 2 * math.pi, 10, boundary="periodic")
    solution, said = told("HamiltonJacobi", "sin(x)", 0.0, grid, 2.0, "monotone")
    assert true_error("HamiltonJacobi", "sin(x)", 0.0, grid, 2.0, solution.final) > 0.04
    assert any("take more nodes or a scheme of higher order" in text for text in said)
    assert "space_error" not in told("HamiltonJacobi", "sin(x)", 0.0, grid, 2.0, "monotone", rtol=math.inf)[0].info


def test_steps_that_do_not_belong_to_the_nodes_are_those_of_the_run():
    """Few implicit steps leave an error in time in both runs, which is none of the nodes."""
    grid = pl.Grid(0.0, 2 * math.pi, 64, boundary="periodic")
    solution, said = told("Heat", "sin(x)", 1.0, grid, 1.0, "implicit", dt=0.5)
    assert solution.info["time_error"] > 0.02 and solution.info["space_error"] < 0.005
    assert len(said) == 1


def test_what_every_second_node_does_not_see_is_told():
    """sin(2x) on eight nodes is zero on every second of them: the difference is relative to the data on all."""
    grid = pl.Grid(0.0, 2 * math.pi, 8, boundary="periodic")
    solution, said = told("HamiltonJacobi", "sin(2*x)", 0.0, grid, 0.3, "monotone")
    assert 0.05 < solution.info["space_error"] < 1 and said


@pytest.mark.parametrize("shape", [(6, 40), (40, 6)])
def test_an_axis_of_few_nodes_counts_where_something_varies_along_it(shape):
    grid = pl.Grid((0.0, 0.0), (1.0, 1.0), shape)
    along = shape.index(40)
    x = grid.points[..., along]
    for field, drift, known in (
        (np.cos(np.pi * x), None, True),
        (np.cos(np.pi * grid.points[..., 1 - along]), None, False),
        (np.cos(np.pi * x), grid.points, False),
    ):
        problem = pl.HamiltonJacobi(viscosity=0.1, drift=drift)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            error = pl.solve(problem, field, grid, 0.05).info["space_error"]
        assert (error < 0.05) == known == (not said), (error, said)


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("n", [60, 61])
def test_drift_on_the_nodes_is_taken_along(moving, n):
    """Pure transport by a field of the nodes: the error of smearing, of first order, is told to a factor of two."""
    grid = pl.Grid(0.0, 2 * math.pi, n, boundary="periodic")
    small, speed = 1e-9, np.full(n, 0.7)
    problem = pl.HamiltonJacobi(viscosity=0.0, drift=(lambda t: speed) if moving else speed)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        solution = pl.solve(problem, small * np.sin(grid.x), grid, 2.0, cfl=0.5)
    error = np.abs(solution.final - small * np.sin(grid.x + 1.4)).max() / (2 * small)
    assert error < solution.info["space_error"] < 2 * error


def test_planes_are_compared_too_but_large_ones():
    field = pl.Loss("sin(3*x)*cos(2*y)", variables=("x", "y"))
    for n, known in ((24, True), (257, False)):
        grid = pl.Grid((0.0, 0.0), (2 * math.pi,) * 2, n, boundary="periodic")
        for problem in (pl.HamiltonJacobi(viscosity=0.05), pl.Burgers(viscosity=0.05)):
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                solution = pl.solve(problem, field, grid, 0.001 if n > 200 else 1.0)
            assert ("space_error" in solution.info) == known
            assert known == any("nodes" in str(one.message) for one in said)


def test_traffic_is_relative_to_the_cars_and_terminal_data_are_compared():
    road, grid = burgers.traffic(), pl.Grid(0.0, 1.0, 20, boundary="periodic")
    light = 0.02 * (1 + 0.9 * np.sin(2 * np.pi * grid.x))
    with pytest.warns(pl.AccuracyWarning, match="error of the nodes"):
        cars = road.solve(light, grid, 0.4, rtol=1.0).info["space_error"]
    waves = pl.solve(pl.Burgers(viscosity=0.0), road.wave_speed(light), grid, 0.4, rtol=1.0).info["space_error"]
    assert cars == pytest.approx(waves * np.abs(road.wave_speed(light)).sum() / (2 * light.sum()))
    line = pl.Grid(0.0, 1.0, 21)
    back = pl.hamilton_jacobi.terminal(pl.HamiltonJacobi(1.0), np.cos(np.pi * line.x), line, 0.1, [0.0, 0.05])
    assert 0 < back.info["space_error"] < 0.05


def test_no_step_no_error_and_schemes_that_refuse_fewer_nodes_tell_none():
    grid = pl.Grid(0.0, 1.0, 21)
    assert "space_error" not in pl.solve(pl.Heat(viscosity=1.0), grid.x, grid, 0.0).info

    def choosy(problem, nodes, values):
        if nodes is not grid:
            raise ValueError("nodes: expected others")
        return pl.hamilton_jacobi.monotone(problem, nodes, values)

    assert "space_error" not in pl.solve(pl.Heat(viscosity=1.0), grid.x, grid, 0.1, scheme=choosy).info
