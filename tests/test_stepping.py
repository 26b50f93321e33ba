"""solve(): the step-size rule, saved times, certificates, failure, interruption - on a problem with a known answer."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

import pdelab as pl
from pdelab.stepping import Stepper

GRID = pl.Grid(0.0, 1.0, 5)


@dataclass(frozen=True)
class Decay:
    """y' = rate y by explicit Euler, bound 0.1."""

    rate: float = -1.0

    @property
    def default_scheme(self):
        return euler

    def initial(self, values, grid):
        return grid.field(values, "initial")


def euler(problem, grid, values, fixed=True):
    def advance(values, time, dt, steps):
        for _ in range(steps):
            values = values + dt * problem.rate * values
        return values

    return Stepper(
        advance,
        lambda values, time: 0.1,
        fixed=fixed,
        certificates={"mass": lambda v, t: float(v.sum())},
        info={"kind": "toy"},
    )


def rule(problem, grid, values):
    return Stepper(euler(problem, grid, values).advance, dt=0.3)


def adaptive(problem, grid, values):
    return euler(problem, grid, values, fixed=False)


def run(times, **options):
    """Steps so long that nobody would ask how accurate they are."""
    return pl.solve(Decay(), np.ones(5), GRID, times, **{"rtol": math.inf} | options)


def test_intervals_are_cut_into_equal_steps():
    solution = run([0.25, 0.5], dt=0.1)
    assert solution.steps == 6 and solution.info["dt"] == pytest.approx(0.25 / 3)
    assert np.allclose(solution.values[0], (1 - 0.25 / 3) ** 3)
    assert np.allclose(solution.final, (1 - 0.25 / 3) ** 6)


def test_a_whole_number_of_steps_is_not_rounded_up():
    assert run(1.0, dt=0.1).steps == 10
    assert run([0.3, 0.6, 0.9], dt=0.1).steps == 9


@pytest.mark.parametrize("scheme, dt", [(euler, 0.09), (rule, 0.3), (adaptive, 0.09)])
def test_default_step(scheme, dt):
    solution = run(2.7, scheme=scheme)
    assert solution.steps == round(2.7 / dt) and solution.info["dt"] == pytest.approx(dt)


def test_a_rule_of_accuracy_stays_within_the_bound():
    def both(problem, grid, values):
        return Stepper(euler(problem, grid, values).advance, lambda values, time: 0.1, dt=0.3)

    solution = run(0.3, scheme=both)
    assert solution.steps == 3 and solution.info["dt"] == pytest.approx(0.1)


def test_cfl_scales_the_default_step():
    assert run(1.0, cfl=0.5).steps == 20


@pytest.mark.parametrize("scheme", [euler, adaptive])
def test_the_bound_is_a_bound(scheme):
    assert run(1.0, scheme=scheme, dt=0.1).info["monotonicity"] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="above the bound 0.1"):
        run(1.0, scheme=scheme, dt=0.1001)


def test_initial_data_are_saved_only_when_asked_for():
    with_start, without = run([0.0, 0.5]), run([0.5])
    assert np.array_equal(with_start.values[0], np.ones(5)) and with_start.values.shape == (2, 5)
    assert np.array_equal(with_start.final, without.final) and without.values.shape == (1, 5)
    assert run(0.0).steps == 0


def test_input_and_output_do_not_change():
    initial = np.ones(5)
    solution = pl.solve(Decay(), initial, GRID, [0.0, 1.0], rtol=math.inf)
    assert np.array_equal(initial, np.ones(5))
    with pytest.raises(ValueError):
        solution.values[0, 0] = 2.0


def test_certificate():
    info = run([0.0, 0.5, 1.0], dt=0.05).info
    assert info["scheme"].endswith("euler") and info["kind"] == "toy" and info["steps"] == 20
    assert info["monotonicity"] == pytest.approx(0.5)
    assert np.allclose(info["mass"], 5 * 0.95 ** np.array([0, 10, 20]))
    assert np.allclose(info["mass_drift"], 1 - 0.95 ** np.array([0, 10, 20]))
    assert np.allclose(info["maximum"], info["minimum"]) and info["maximum"].shape == (3,)


def test_mass_drift_is_relative_to_the_size_of_the_data_not_to_their_mean():
    start = np.array([1.0, -1.0, 2.0, -2.0, 0.5])
    info = pl.solve(Decay(), start, GRID, [0.5, 1.0], dt=0.05, scheme=euler, rtol=math.inf).info
    assert np.allclose(info["mass_drift"], 0.5 * (1 - 0.95 ** np.array([10, 20])) / 6.5)
    grid = pl.Grid(0.0, 2 * np.pi, 200, boundary="periodic")
    for scheme in (pl.burgers.godunov, pl.burgers.high_resolution):
        waves = pl.solve(pl.Burgers(viscosity=0.0), np.sin(grid.x), grid, [0.5, 1.5], scheme=scheme, rtol=math.inf)
        assert waves.info["mass_drift"].max() < 1e-14
    assert pl.solve(pl.Burgers(viscosity=0.0), 0 * grid.x, grid, 1.0, rtol=math.inf).info["mass_drift"].max() == 0


def test_on_save_hands_out_each_time_as_it_comes():
    seen = []
    run([0.0, 0.5, 1.0], on_save=lambda time, values: seen.append((time, values.copy())))
    assert [time for time, _ in seen] == [0.0, 0.5, 1.0]

    def stop(time, values):
        if time == 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([0.0, 0.5, 1.0], on_save=stop)


@pytest.mark.parametrize("scheme", [euler, adaptive])
def test_blow_up_says_when(scheme):
    with pytest.raises(FloatingPointError, match=r"stopped being finite between t = \d"), np.errstate(all="ignore"):
        pl.solve(Decay(rate=1e40), np.ones(5), GRID, 3.0, scheme=scheme)


@pytest.mark.parametrize(
    "times, words",
    [([], "at least one"), ([0.2, 0.1], "increasing"), ([0.1, 0.1], "increasing"), (-1.0, ">= 0"), (math.inf, "finite"),
     (math.nan, "finite"), ("soon", "expected a number"), (["0.1"], "expected a number"),
     (0.1 + 1j, "expected a number"), ([[0.1]], "finite numbers")],
)  # fmt: skip
def test_bad_times(times, words):
    with pytest.raises(ValueError, match=words):
        run(times)


@pytest.mark.parametrize(
    "options",
    [{"dt": 0.0}, {"dt": -1.0}, {"dt": math.nan}, {"dt": "x"}, {"cfl": 0.0}, {"cfl": 1.1}, {"scheme": "monotone"},
     {"on_save": 3}],
)  # fmt: skip
def test_bad_options(options):
    with pytest.raises(ValueError, match="^(dt|cfl|scheme|on_save)"):
        run(1.0, **options)


def test_more_steps_than_anyone_can_wait_for_are_refused():
    grid = pl.Grid(0.0, 1.0, 8)
    for problem, options in ((pl.Heat(beta=1e-15), {}), (pl.Heat(beta=1e-300), {}), (pl.Heat(beta=1.0), {"dt": 1e-14})):
        with pytest.raises(ValueError, match="steps from t = 0 to 0.1: take an implicit scheme"):
            pl.solve(problem, np.arange(8.0), grid, 0.1, **options)


def test_bad_data():
    for bad in (np.ones(4), np.array([1, 2, np.inf, 4, 5]), "text"):
        with pytest.raises(ValueError, match="initial"):
            pl.solve(Decay(), bad, GRID, 1.0)


def test_many_steps_can_be_interrupted():
    """Compiled steps come in chunks, so the loop is back in Python several times a second."""
    calls = []

    def slow(problem, grid, values):
        def advance(values, time, dt, steps):
            calls.append(steps)
            return values

        return Stepper(advance, dt=1e-6)

    run(1.0, scheme=slow)
    assert sum(calls) == 10**6 and len(calls) > 5


def test_wrong_kinds_of_grid_and_problem():
    grid = pl.Grid(0.0, 1.0, 8)
    with pytest.raises(ValueError, match="grid: expected a Grid"):
        pl.solve(pl.Heat(beta=1.0), np.zeros(8), 8, 0.1)
    with pytest.raises(ValueError, match="problem: expected an equation"):
        pl.solve("heat", np.zeros(8), grid, 0.1)


def test_a_solution_says_in_one_line_what_it_is():
    text = repr(run([0.0, 0.5], dt=0.1))
    assert "2 times from 0 to 0.5, 5 values" in text and "5 steps" in text and len(text.splitlines()) == 1
    grid = pl.Grid(0.0, 1.0, 17)
    assert "error in time" in str(pl.solve(pl.Heat(viscosity=0.1), grid.x**2, grid, 0.1, rtol=1e-2))


def test_schemes_by_name():
    grid = pl.Grid(-1.0, 1.0, 21)
    by_name, by_function = (
        pl.solve(pl.HamiltonJacobi(1.0), grid.x**2, grid, 0.1, scheme=which, rtol=math.inf).final
        for which in ("weno", pl.hamilton_jacobi.weno)
    )
    assert np.array_equal(by_name, by_function)
    with pytest.raises(ValueError, match=r"scheme of Burgers \(godunov, .*high_resolution\) or None, got 'weno'"):
        pl.solve(pl.Burgers(1.0), grid.x, grid, 0.1, scheme="weno")


def test_a_loss_is_no_density():
    grid = pl.Grid(-1.0, 1.0, 21)
    with pytest.raises(ValueError, match="initial: expected a density on the nodes, .* a Loss is no density"):
        pl.solve(pl.FokkerPlanck(grid.x**2, beta=1.0), pl.Loss("x**2"), grid, 0.1)


def test_the_largest_step_over_its_bound_counts_the_last_one():
    """Intervals of one step each, the longest of them last, first and in the middle."""
    for times in ([0.03, 0.1], [0.07, 0.1], [0.02, 0.09, 0.12]):
        info = run(times, dt=0.1).info
        assert info["monotonicity"] == pytest.approx(0.7) and info["dt"] == pytest.approx(0.07), times
    for scheme in (euler, adaptive):
        assert run([0.01, 0.09], scheme=scheme, dt=0.1).info["monotonicity"] == pytest.approx(0.8)


def test_what_was_handed_out_survives_an_interruption():
    kept = []

    def stop(time, values):
        kept.append((time, values.copy()))
        if len(kept) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        run([0.1, 0.2, 0.3], on_save=stop)
    assert "2 of 3 saved times were reached, up to t = 0.2; what on_save was" in "".join(stopped.value.__notes__)
    whole = run([0.1, 0.2, 0.3])
    assert all(np.array_equal(values, known) for (_, values), known in zip(kept, whole.values))


def test_progress_reaches_the_last_time():
    told = []
    grid = pl.Grid(-2.0, 2.0, 65)
    pl.solve(pl.HamiltonJacobi(beta=2.0), pl.Loss("cos(x)"), grid, 0.5, progress=lambda t, end: told.append((t, end)))
    assert told == sorted(told) and len(told) > 1 and told[-1] == (0.5, 0.5)
    with pytest.raises(ValueError, match="progress"):
        pl.solve(pl.HamiltonJacobi(beta=2.0), pl.Loss("cos(x)"), grid, 0.5, progress="yes")
