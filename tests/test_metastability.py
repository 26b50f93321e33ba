"""Metastability: barriers against brute force, Kramers against exact times, annealing against its own clock."""

import math
import warnings

import numpy as np
import pytest
from densities import gaussian
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.special import expi

from pdelab.fokker_planck import FokkerPlanck, implicit
from pdelab.generator import generator, mean_exit_time
from pdelab.grid import Grid
from pdelab.losses import Loss, mueller_brown
from pdelab.metastability import anneal, kramers_time, wells
from pdelab.stepping import AccuracyWarning, solve

EXAMPLES = settings(deadline=None, max_examples=25, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)
WASHBOARD = Loss("sin(x) - x/5")
TILTED = Loss("x**4/4 - x**2/2 + x/10")


# -- barriers ---------------------------------------------------------------------------------------------------


def lowest_pass(values, boundary, start):
    """The height one must climb from a node to reach a deeper one: a flood, level after level. Brute force."""
    shape = values.shape
    for level in np.unique(values[values >= values[start]]):
        reached, front = {start}, [start]
        while front:
            node = front.pop()
            for axis in range(values.ndim):
                for step in (-1, 1):
                    other = list(node)
                    other[axis] += step
                    if boundary == "periodic":
                        other[axis] %= shape[axis]
                    other = tuple(other)
                    if 0 <= other[axis] < shape[axis] and values[other] <= level and other not in reached:
                        reached.add(other)
                        front.append(other)
        if min(values[node] for node in reached) < values[start]:
            return level
    return math.inf


@EXAMPLES
@given(SEEDS, st.sampled_from(["reflecting", "periodic"]), st.integers(1, 3))
def test_barriers_by_brute_force(seed, boundary, d):
    rng = np.random.default_rng(seed)
    grid = Grid((0.0,) * d, (1.0,) * d, tuple(int(n) for n in rng.integers(3, (14, 7, 5)[d - 1], size=d)), boundary)
    values = rng.permutation(math.prod(grid.shape)).reshape(grid.shape).astype(float)
    minima = wells(values, grid)
    assert minima[0].index == tuple(int(i) for i in np.unravel_index(values.argmin(), grid.shape))
    assert math.isinf(minima[0].barrier) and minima[0].pass_index is None
    for well in minima:
        assert well.value == values[well.index]
        assert well.value + well.barrier == lowest_pass(values, boundary, well.index)
        if well.pass_index is not None:
            assert values[well.pass_index] == well.value + well.barrier
    assert [well.barrier for well in minima] == sorted((well.barrier for well in minima), reverse=True)


def test_every_minimum_is_found():
    grid = Grid(-4.0, 4.0, 4001)
    values = Loss("0.05*x**4 - 0.4*x**2 + 0.15*x + 0.3*sin(3*x)").on(grid)
    minima = wells(values, grid)
    assert sorted(grid.x[well.index[0]] for well in minima) == pytest.approx([-2.36848, -0.81757, 1.66728], abs=2e-3)
    assert minima[1].barrier == pytest.approx(0.28127 + 0.76299, abs=1e-4)
    assert minima[2].barrier == pytest.approx(0.55837 - 0.51880, abs=1e-4)


@pytest.mark.parametrize("angle", [15.0, 45.0])
def test_a_valley_askew_to_the_axes_is_one_well(angle):
    """One quadratic well, 200 times as narrow as long: its nodes have up to 101 minima, the formula one."""
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    grid = Grid((-2.0, -2.0), (2.0, 2.0), (101, 101))
    valley = Loss(f"({c}*x + {s}*y)**2/2 + 100*({c}*y - {s}*x)**2")
    assert len(wells(valley.on(grid), grid)) > 10
    (well,) = wells(valley, grid)
    assert well.value < 0.1 and math.isinf(well.barrier)


def test_the_wells_of_mueller_and_brown():
    grid = Grid((-1.6, -0.4), (1.2, 2.1), (141, 126))
    minima = wells(mueller_brown(), grid)
    exact = [(-0.558, 1.442), (0.623, 0.028), (-0.05, 0.467)]  # Müller and Brown 1979
    assert len(minima) == 3
    for well, place in zip(minima, exact):
        assert np.abs(np.subtract(well.point, place)).max() <= 2 * max(grid.spacing)
    assert minima[1].barrier == pytest.approx(-40.665 + 108.167, abs=1.0)  # over the saddle at (-0.822, 0.624)
    assert len(wells(Loss("-x**2 - y**2"), Grid((-1.0, -1.0), (1.0, 1.0), (21, 21)))) == 4  # corners


def test_an_accuracy_that_doublings_do_not_reach_is_refused(monkeypatch):
    grid = Grid(-2.0, 2.0, 41)
    monkeypatch.setattr("pdelab.metastability.DOUBLINGS", 2)
    with pytest.raises(ValueError, match="rtol: 1e-09 is out of reach, the error in time is about .* with 128 steps"):
        anneal(TILTED, lambda t: 1.0 + np.asarray(t), gaussian(grid, 0.0, 1.0), grid, [0.5, 1.0], rtol=1e-9)


def test_a_plateau_is_one_minimum():
    grid = Grid(0.0, 1.0, 9)
    minima = wells(np.array([3.0, 1.0, 1.0, 1.0, 4.0, 0.0, 0.0, 5.0, 5.0]), grid)
    assert [(well.index, well.barrier) for well in minima] == [((5,), math.inf), ((1,), 3.0)]


# -- Kramers ----------------------------------------------------------------------------------------------------


def test_kramers_in_one_dimension():
    """The exact exit time over Kramers' tends to one like 1/beta."""
    left, saddle, right = sorted(np.roots([1.0, 0.0, -1.0, 0.1]).real)
    h = (right - left) / 400
    grid = Grid(left - 300 * h, right, 701)
    rest = []
    for beta in (20.0, 40.0, 80.0):
        exact = mean_exit_time(FokkerPlanck(TILTED, beta=beta), grid, np.arange(701) == 700)[300]
        rest.append(beta * (exact / kramers_time(TILTED, left, saddle, beta) - 1))
    assert 1.4 < rest[2] < rest[1] < rest[0] < 2.1  # the constant is 1.426


def test_kramers_with_transverse_curvature():
    """Each transverse direction multiplies the time by sqrt(curvature at the saddle / curvature at the minimum)."""
    plain = kramers_time(Loss("(x**2 - 1)**2/4"), -1.0, 0.0, 7.0)
    f = Loss("(x**2 - 1)**2/4 + (3 - 2*x**2)*y**2/2 + (1 + x**2)*z**2/2")
    assert kramers_time(f, [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0], 7.0) == pytest.approx(plain * math.sqrt(3 / 2), rel=1e-12)
    assert kramers_time(f, [1.0, 0.0, 0.0], [0.0, 0.0, 0.0], 1e5) == math.inf


def test_kramers_in_many_dimensions():
    """1000 transverse directions of curvature 1e-3: each determinant is beyond float64, their ratio is 1/2."""
    d = 1001
    curvature = lambda x: np.array([np.diag(np.append(3 * y[0] ** 2 - 1, np.full(d - 1, 1e-3))) for y in x])  # noqa: E731
    f = Loss.from_functions(
        lambda x: (x[..., 0] ** 2 - 1) ** 2 / 4 + 5e-4 * (x[..., 1:] ** 2).sum(-1),
        lambda x: np.concatenate([(x**3 - x)[..., :1], 1e-3 * x[..., 1:]], axis=-1),
        curvature, dimension=d,
    )  # fmt: skip
    time = kramers_time(f, np.eye(d)[0], np.zeros(d), 8.0)
    assert time == pytest.approx(2 * math.pi * math.sqrt(0.5) * math.e**2, rel=1e-10)


def test_kramers_tells_of_points_that_are_not_critical():
    with pytest.warns(UserWarning, match="expected critical points"):
        kramers_time(TILTED, -0.9, 0.101, 20.0)
    kramers_time(TILTED, -1.0456, 0.101, 20.0)  # as good as a grid of 1e-3 gives


# -- annealing --------------------------------------------------------------------------------------------------


def test_constant_temperature_is_fokker_planck():
    grid = Grid(-2.5, 2.5, 201)
    start = gaussian(grid, 0.9, 0.2)
    times = np.linspace(0.1, 1.0, 10)
    annealed = anneal(TILTED, lambda t: 3.0 + 0 * t, start, grid, times, steps=5, rtol=math.inf)
    exact = solve(FokkerPlanck(TILTED, beta=3.0), start, grid, times, dt=0.02, rtol=math.inf)
    assert annealed.values == pytest.approx(exact.values, rel=1e-9)
    assert annealed.times == pytest.approx(times) and annealed.steps == 50
    assert len(annealed.info["mass"]) == 10 and annealed.info["mass_drift"].max() < 1e-13


def test_first_order_in_the_steps():
    grid = Grid(-2.5, 2.5, 101)
    start = gaussian(grid, 0.9, 0.2)

    def final(steps):
        return anneal(TILTED, lambda t: 2 + np.log(2 + t), start, grid, [1.0, 3.0], steps=steps, rtol=math.inf).final

    exact = final(3200)
    counts = (50, 100, 200, 400)
    errors = [grid.integrate(np.abs(final(k) - exact)) for k in counts]
    assert 0.9 < -np.polyfit(np.log(counts), np.log(errors), 1)[0] < 1.2  # the reference is of the same kind


@pytest.mark.parametrize("times, steps", [([10.0], 1), ([1.0], 4), ([0.5, 1.0, 2.0, 4.0, 8.0, 16.0], 4)])
def test_error_in_time_of_an_annealing(times, steps):
    """Against the masses' own equations m' = Q(t)^T m at rtol 1e-8: the estimate is right, a large one is told."""
    grid, beta = Grid(-2.5, 2.5, 61), lambda t: np.log(2 + t) / 0.5
    start, f = gaussian(grid, 0.9, 0.2), TILTED(grid.x)
    transposed = lambda t, m=None: generator(FokkerPlanck(f, beta=float(beta(t))), grid).T.tocsc()  # noqa: E731
    exact = solve_ivp(
        lambda t, m: transposed(t) @ m, (0.0, times[-1]), grid.weights * start, "BDF", times, jac=transposed,
        rtol=1e-8, atol=1e-11,
    ).y.T / grid.weights  # fmt: skip
    with pytest.warns(AccuracyWarning, match="error in time is about"):
        run = anneal(TILTED, beta, start, grid, times, steps=steps)
    error = grid.integrate(abs(run.values - exact)).max()
    assert 0.01 < error < 2 * run.info["time_error"] < 4 * error
    finer = anneal(TILTED, beta, start, grid, times, steps=steps, rtol=0.02)
    assert grid.integrate(abs(finer.values - exact)).max() < 0.02 and finer.info["time_error"] <= 0.02


def test_clock_is_the_logarithmic_integral():
    """Quadratic loss: v' = -2v + 2/beta(t), so v(t) = e^{-2t} + 2∫ e^{-2(t-s)}/beta(s) ds; steps are those of li."""
    grid = Grid(-5.0, 5.0, 401)
    times = np.geomspace(0.01, 50.0, 600)
    annealed = anneal(
        Loss("x**2/2"), lambda t: np.log(2 + t), gaussian(grid, 0.0, 1.0), grid, times, steps=4, rtol=math.inf
    )
    variance = grid.integrate(annealed.values * grid.x**2)
    s = np.linspace(0.0, 50.0, 500001)
    exact = math.exp(-100) + 2 * np.trapezoid(np.exp(-2 * (50 - s)) / np.log(2 + s), s)
    assert variance[-1] == pytest.approx(exact, rel=5e-3)
    coarse = anneal(Loss("x**2/2"), lambda t: np.log(2 + t), gaussian(grid, 0.0, 1.0), grid, times, rtol=math.inf)
    assert abs(grid.integrate(coarse.final * grid.x**2) - exact) > abs(variance[-1] - exact)
    assert coarse.info["dt"] == pytest.approx(max(np.diff(expi(np.log(2 + np.append(0.0, times))))), rel=1e-9)


@pytest.mark.parametrize("start, width", [(0.2003, 0.002), (0.4507, 0.0008), (0.7019, 0.003)])
def test_short_pulses_of_heat_are_seen(start, width):
    """1/beta = 50 for so short a time adds 2 ∫ dt/beta to the variance of a Gaussian that falls to 1 (exact)."""
    grid, end = Grid(-8.0, 8.0, 161), start + width

    def beta(t):
        return np.where((np.asarray(t) > start) & (np.asarray(t) < end), 0.02, 1.0)

    pulse = (50.0 - 1.0) * (np.exp(-2 * (1 - end)) - np.exp(-2 * (1 - start)))
    exact = gaussian(grid, 0.0, np.sqrt(1.0 + pulse))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = anneal(Loss("x**2/2"), beta, gaussian(grid, 0.0, 1.0), grid, [1.0], rtol=0.005)
    error = grid.integrate(np.abs(run.final - exact))
    assert error < max(3 * run.info["time_error"], 0.01), (error, run.info["time_error"])


def test_barrier_decides_annealing():
    """c below E* leaves mass behind for ever, c above it does not."""
    grid = Grid(-2.5, 2.5, 201)
    barrier = wells(TILTED, grid)[1].barrier
    start, times = gaussian(grid, 0.95, 0.1), np.geomspace(0.1, 1e6, 300)
    left = {}
    for share in (0.5, 1.5):
        annealed = anneal(TILTED, lambda t, c=share * barrier: np.log(2 + t) / c, start, grid, times, rtol=math.inf)
        left[share] = grid.integrate(np.where(grid.x > 0.1, annealed.values, 0.0))
    assert left[0.5][-1] > 0.3 and left[0.5][-1] > 0.99 * left[0.5][200]
    assert left[1.5][-1] < 1e-3 and left[1.5][-1] < 0.1 * left[1.5][200]


# -- at the door ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda g, r: kramers_time(TILTED, -1.0467, 0.101, 0.0), "beta"),
        (lambda g, r: kramers_time(TILTED, 0.101, -1.0467, 1.0), "minimum: expected 0 negative"),
        (lambda g, r: kramers_time(TILTED, "-1.0", 0.101, 1.0), "minimum: expected a point"),
        (lambda g, r: kramers_time(WASHBOARD, -13.93580902, 7.65262371, 1.0), "saddle: expected a value of f above"),
        (lambda g, r: kramers_time(TILTED, -1.0467, 0.9, 1.0), "saddle: expected 1 negative"),
        (lambda g, r: kramers_time(Loss("x**2*y**2"), [0.0, 0.0], [1.0, 0.0], 1.0), "no zero eigenvalue"),
        (lambda g, r: kramers_time(TILTED, [0.0, 1.0], 0.1, 1.0), "1 coordinates"),
        (lambda g, r: anneal(TILTED, lambda t: -1.0 + 0 * t, r, g, [1.0]), "positive finite"),
        (lambda g, r: anneal(TILTED, lambda t: 1 / (t - t), r, g, [1.0]), "positive finite"),
        (lambda g, r: anneal(TILTED, lambda t: 1.0, r, g, [0.0, 1.0]), "increasing"),
        (lambda g, r: anneal(TILTED, lambda t: 1.0, r, g, [1.0], steps=0), "steps"),
        (lambda g, r: anneal(TILTED, lambda t: 1.0, -r, g, [1.0]), "density"),
        (lambda g, r: wells(np.ones(3), g), "expected shape"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_input_is_refused(make, words):
    grid = Grid(-2.0, 2.0, 41)
    with pytest.raises(ValueError, match=words):
        make(grid, gaussian(grid, 0.0, 0.3))


def test_each_step_takes_the_schedule_at_its_own_end():
    """Two steps by hand: the clock of each from quadrature, the potential at the beta of its end."""
    grid = Grid(-2.0, 2.0, 41)
    f, start = TILTED(grid.x), gaussian(grid, 0.5, 0.4)
    beta = lambda t: 2.0 + 3.0 * np.asarray(t) ** 2  # noqa: E731
    clock = [math.atan(t * math.sqrt(1.5)) / math.sqrt(6) for t in (0.4, 1.0)]  # ∫ dt / (2 + 3t²)
    by_hand, begin = start, 0.0
    for time, tau in zip((0.4, 1.0), clock):
        problem = FokkerPlanck(beta(time) * f, diffusivity=1.0)
        by_hand = solve(problem, by_hand, grid, tau - begin, scheme=implicit, dt=1.0, rtol=math.inf).final
        begin = tau
    annealed = anneal(f, beta, start, grid, [0.4, 1.0], rtol=math.inf)
    np.testing.assert_allclose(annealed.final, by_hand, rtol=1e-9)


@pytest.mark.parametrize("steps", [1, 4])
def test_what_an_annealing_reports_is_of_its_times(steps):
    grid = Grid(-2.0, 2.0, 41)
    start, times = gaussian(grid, 0.5, 0.4), [0.5, 1.0, 2.0]
    run = anneal(TILTED, lambda t: 1.0 + np.asarray(t), start, grid, times, steps=steps, rtol=10.0)
    for name in ("minimum", "maximum", "mass", "mass_drift"):
        assert run.info[name].shape == (3,), name
    np.testing.assert_array_equal(run.info["minimum"], run.values.min(axis=1))
    np.testing.assert_array_equal(run.info["maximum"], run.values.max(axis=1))


def test_a_well_knows_its_coordinates():
    grid = Grid([-2.0, -1.0], [2.0, 1.0], [81, 41])
    deep, shallow = wells(Loss("x**4/4 - x**2/2 + x/10 + y**2"), grid)
    for well in (deep, shallow):
        assert well.point == tuple(axis[i] for axis, i in zip(grid.axes, well.index))
    assert deep.pass_point is None and abs(shallow.pass_point[0] - 0.1) < 0.06 and shallow.pass_point[1] == 0


@pytest.mark.parametrize("schedule", ["quench", "sudden", "log"])
def test_annealing_with_one_saved_time_has_the_accuracy_that_it_says(schedule):
    """Against many steps: one implicit step over the whole schedule is told, and rtol is kept."""
    grid = Grid(-3.0, 3.0, 121)
    f, start = (grid.x**2 - 1) ** 2 + 0.2 * grid.x, np.exp(-((grid.x - 1) ** 2) / 0.05)
    start /= grid.integrate(start)
    beta, end = {
        "quench": (lambda t: 1 + 9 / (1 + np.exp(-2 * (np.asarray(t) - 3))), 10.0),
        "sudden": (lambda t: np.where(np.asarray(t) < 3.3, 1.0, 10.0), 10.0),
        "log": (lambda t: 2 * np.log(2 + np.asarray(t)), 1e3),
    }[schedule]
    times = np.union1d(np.linspace(0, end, 2001)[1:], np.geomspace(1e-3, end, 1500))
    exact = anneal(f, beta, start, grid, times, rtol=math.inf).final
    with pytest.warns(AccuracyWarning):
        rough = anneal(f, beta, start, grid, [end])
    wrong = grid.integrate(np.abs(rough.final - exact))
    assert wrong < rough.info["time_error"] < 3 * wrong
    run = anneal(f, beta, start, grid, [end], rtol=2e-2)
    assert grid.integrate(np.abs(run.final - exact)) < 2e-2
