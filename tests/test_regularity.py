"""Regularity: constants against exact grid functions, convexity and persistence against Hopf-Lax, tracks, widths."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdelab import burgers, closed_forms, losses, regularity
from pdelab.grid import Grid
from pdelab.losses import Loss
from pdelab.regularity import critical
from pdelab.stepping import AccuracyWarning

FREE = {"boundary": "outflow"}
FINE = Grid(-4.0, 4.0, 801, **FREE)
PROPERTY = settings(deadline=None, max_examples=40, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)
ROUND = np.finfo(float).eps


# --------------------------------------------------------------------------------------- second differences


@pytest.mark.parametrize("boundary", ["outflow", "reflecting"])
@pytest.mark.parametrize("direction, expected", [(0, 2.0), (1, -1.0), ((1, 1), None), ((1, -1), None), ((2, 0), 2.0)])
def test_second_differences_are_exact_on_quadratics(boundary, direction, expected):
    grid = Grid((-1.0, -2.0), (1.0, 2.0), (9, 11), boundary=boundary)
    hessian = np.array([[2.0, 0.7], [0.7, -1.0]])
    values = losses.quadratic(hessian, centre=[0.3, 0.1]).on(grid)
    if expected is None:
        e = np.multiply(direction, grid.spacing)
        expected = e @ hessian @ e / (e @ e)
    differences = regularity.second_differences(values, grid, direction)
    step = np.abs(np.eye(2, dtype=int)[direction] if np.ndim(direction) == 0 else direction)
    assert differences.shape == tuple(np.subtract(grid.shape, 2 * step))
    np.testing.assert_allclose(differences, expected, rtol=1e-11)


def test_second_differences_wrap_on_periodic_axes(rng):
    grid = Grid((0.0, 0.0), (1.0, 2.0), (6, 5), boundary=("periodic", "outflow"))
    u = rng.normal(size=grid.shape)
    h = np.array(grid.spacing)
    differences = regularity.second_differences(u, grid, (1, -1))
    expected = [
        [(u[(i + 1) % 6, j - 1] - 2 * u[i, j] + u[(i - 1) % 6, j + 1]) / (h @ h) for j in range(1, 4)] for i in range(6)
    ]
    np.testing.assert_allclose(differences, expected, atol=1e-12 * np.abs(expected).max())
    wide = regularity.second_differences(u, grid, (2, 0))
    expected = (np.roll(u, -2, 0) - 2 * u + np.roll(u, 2, 0)) / (2 * h[0]) ** 2
    np.testing.assert_allclose(wide, expected, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("direction", [2, -1, "x", (1,), (0, 0), (0.5, 1.0), (1, 1, 1)])
def test_directions_are_checked(direction):
    grid = Grid((0.0, 0.0), (1.0, 1.0), 5)
    with pytest.raises(ValueError, match="direction: expected an axis"):
        regularity.second_differences(np.zeros(grid.shape), grid, direction)


def test_too_few_nodes_for_a_direction():
    with pytest.raises(ValueError, match="needs more than 2 nodes"):
        regularity.second_differences(np.zeros(2), Grid(0.0, 1.0, 2))


@given(seed=SEEDS, d=st.integers(1, 2))
@PROPERTY
def test_semiconcavity_is_the_smallest_constant(seed, d):
    rng = np.random.default_rng(seed)
    grid = Grid((0.0,) * d, (1.0, 0.7)[:d], (7, 5)[:d], **FREE)
    u = rng.normal(size=grid.shape)
    constant = regularity.semiconcavity(u, grid)
    square = (grid.points**2 if d == 1 else (grid.points**2).sum(-1)) / 2
    slack = 1e-9 * max(1.0, abs(constant))
    assert regularity.semiconcavity(u - constant * square, grid) <= slack
    assert regularity.semiconcavity(u - (constant - 2 * slack) * square, grid) > 0
    largest = max(regularity.semiconcavity(u, grid, axis) for axis in range(d))
    assert largest <= constant
    assert regularity.laplacian_bound(u, grid) <= d * largest + slack


@given(seed=SEEDS, t=st.floats(1e-3, 1.0))
@PROPERTY
def test_oleinik_holds_exactly_for_grid_functions(seed, t):
    grid = Grid(0.0, 1.0, 33, **FREE)
    f = np.random.default_rng(seed).uniform(-1, 1, 33)
    u = np.min(f + (grid.x[:, None] - grid.x) ** 2 / (2 * t), axis=1)
    assert regularity.semiconcavity(u, grid) <= regularity.semiconcavity_bound(math.inf, t) + 8 * ROUND * 32**2 * (
        2 + 1 / t
    )


def test_semiconcavity_bound():
    bound = regularity.semiconcavity_bound
    assert bound(3.0, 0.5) == pytest.approx(1 / (1 / 3 + 0.5), rel=1e-15)
    assert bound(3.0, 0.5, dimension=2) == pytest.approx(1 / (1 / 3 + 0.25), rel=1e-15)
    assert bound(math.inf, 0.25) == 4.0 and bound(math.inf, 0.0) == math.inf
    assert bound(0.0, 5.0) == 0.0 and bound(7.0, 0.0) == 7.0
    assert bound(1e8, 0.01) == pytest.approx(99.9999, abs=1e-4)
    assert bound(-1.0, 0.5) == pytest.approx(-2.0)
    np.testing.assert_allclose(bound(np.array([1.0, math.inf]), 1.0), [0.5, 1.0])
    with pytest.raises(ValueError, match="t: expected 1 . C t/d > 0"):
        bound(-1.0, 1.0)
    for bad in ((1.0, -1.0), (math.nan, 1.0), (1.0, math.nan)):
        with pytest.raises(ValueError, match="constant, t, dimension: expected"):
            bound(*bad)


@pytest.mark.parametrize("beta", [0.25, 1.0, 10.0, 100.0])
def test_hessian_bounds_hold_for_local_entropy(beta):
    grid = Grid(0.0, 2 * math.pi, 1024, boundary="periodic")
    u = closed_forms.cole_hopf(np.cos(grid.x), grid, 0.5, beta)
    low, high = regularity.hessian_bounds(-1.0, 1.0, 0.5)
    assert (low, high) == (-2.0, pytest.approx(2 / 3))
    bends = regularity.second_differences(u, grid)
    exact = {  # (1/gamma)(1 - (beta/gamma) Var) at 0 and at pi, by mpmath quadrature
        0.25: (-0.39658577, 0.33857567), 1.0: (-1.08353138, 0.58795424),
        10.0: (-1.82579227, 0.65921126), 100.0: (-1.98030924, 0.66592545),
    }[beta]  # fmt: skip
    np.testing.assert_allclose([bends.min(), bends.max()], exact, atol=1e-4)
    assert low <= bends.min() and bends.max() <= high


def test_hessian_bounds_at_the_door():
    assert regularity.hessian_bounds(1.0, math.inf, 0.5) == (pytest.approx(2 / 3), 2.0)
    with pytest.raises(ValueError, match="lower <= upper"):
        regularity.hessian_bounds(2.0, 1.0, 0.5)
    with pytest.raises(ValueError, match="gamma: expected less than 1/"):
        regularity.hessian_bounds(-2.0, 1.0, 0.5)
    with pytest.raises(ValueError, match="gamma: expected"):
        regularity.hessian_bounds(0.0, 1.0, -0.5)


def test_lipschitz_constants():
    grid = Grid((-1.0, -1.0), (1.0, 1.0), (21, 31), boundary=("outflow", "reflecting"))
    plane = 3 * grid.points[..., 0] - 4 * grid.points[..., 1]
    assert regularity.lipschitz(plane, grid) == pytest.approx(5.0)
    assert regularity.lipschitz(Loss("3*x - 4*y"), grid) == 5.0
    rough = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 3.0, 0.0]])  # steepest along one edge only
    corner = Grid((0.0, 0.0), (2.0, 1.0), 3)
    assert regularity.lipschitz(rough, corner) == pytest.approx(math.hypot(3.0, 6.0))
    circle = Grid(0.0, 1.0, 4, boundary="periodic")
    assert regularity.lipschitz(np.array([0.0, 1.0, 2.0, 3.0]), circle) == 12.0  # the jump where the ends meet
    f = Loss("sqrt(1 + x**2)")
    line = Grid(-20.0, 20.0, 4001, **FREE)
    smoothed = closed_forms.cole_hopf(f.on(line), line, 2.0, 1.0)
    assert regularity.lipschitz(smoothed, line) <= regularity.lipschitz(f, line) * (1 + 1e-12)


# ------------------------------------------------------------------------------------------------ convexity


def test_convexity_of_the_reference_loss():
    f = losses.three_wells()
    inflections = [-1.91323, -1.02647, -0.09950, 1.06237]
    np.testing.assert_allclose(regularity.inflection_points(f, FINE), inflections, atol=6e-6)
    np.testing.assert_allclose(regularity.inflection_points(f.on(FINE), FINE), inflections, atol=FINE.spacing[0] ** 2)
    intervals = regularity.convexity_intervals(f, FINE)
    np.testing.assert_allclose(intervals.ravel(), [-4, *inflections, 4], atol=6e-6)
    assert regularity.convexity_interval(f, FINE, -0.8) == tuple(intervals[1])
    with pytest.raises(ValueError, match="point: expected a place where f is convex, got 0.4"):
        regularity.convexity_interval(f, FINE, 0.4)


def test_convexity_of_special_functions():
    grid = Grid(-1.0, 1.0, 21, **FREE)
    assert regularity.convexity_intervals(Loss("x**2"), grid).tolist() == [[-1.0, 1.0]]
    assert regularity.convexity_intervals(Loss("-x**2"), grid).shape == (0, 2)
    assert regularity.convexity_intervals(3.0 * grid.x + 0.1, grid).tolist() == [[-1.0, 1.0]]  # round-off is not a bend
    assert regularity.inflection_points(-(grid.x**2), grid).size == 0
    kinked = regularity.convexity_intervals(-np.abs(grid.x), grid)
    np.testing.assert_allclose(kinked, [[-1, -0.1], [0.1, 1]], atol=1e-12)
    for bad in (Grid(0.0, 1.0, 8, boundary="periodic"), Grid((0.0, 0.0), (1.0, 1.0), 8)):
        with pytest.raises(ValueError, match="grid: expected one axis, not periodic, got "):
            regularity.convexity_intervals(np.zeros(bad.shape), bad)
    with pytest.raises(ValueError, match="at least three nodes"):
        regularity.convexity_intervals(np.zeros(2), Grid(0.0, 1.0, 2))


def test_inflections_move_in_straight_lines_until_the_shock():
    f = losses.three_wells()
    shock = regularity.first_shock_time(f, FINE)
    assert shock == pytest.approx(0.299110, abs=6e-7)
    t = 0.5 * shock
    moved = regularity.transported_inflections(f, FINE, t)
    np.testing.assert_allclose(moved, [-1.756, -1.048, 0.063, 0.859], atol=1e-3)
    errors = []
    for n in (401, 801, 1601, 3201):
        grid = Grid(-4.0, 4.0, n, **FREE)
        y = grid.x.copy()
        for _ in range(60):  # Newton for the foot of the characteristic: y + t f'(y) = x
            y -= (y + t * f.gradient(y) - grid.x) / (1 + t * f.hessian(y))
        u = f(y) + (grid.x - y) ** 2 / (2 * t)
        errors.append(np.abs(regularity.inflection_points(u, grid) - moved).max())
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert errors[-1] < 1e-5 and (orders > 1.5).all() and (orders < 2.6).all(), (errors, orders)
    with pytest.raises(ValueError, match="t: expected a time before the first shock at 0.29911"):
        regularity.transported_inflections(f, FINE, 0.3)


def test_first_shock_time():
    assert regularity.first_shock_time(Loss("x**2"), FINE) == math.inf
    assert regularity.first_shock_time(FINE.x**2, FINE) == math.inf
    wave = Grid(0.0, 2 * math.pi, 200, boundary="periodic")
    assert regularity.first_shock_time(Loss("2*cos(x)"), wave) == pytest.approx(0.5, rel=1e-12)
    plane = Grid((-1.0, -1.0), (1.0, 1.0), (21, 21))
    assert regularity.first_shock_time(losses.quadratic([[0.0, 2.0], [2.0, 0.0]]), plane) == pytest.approx(
        0.5, rel=1e-12
    )
    saddle = Loss("x**4/12 - x**2 + y**2 + 0.123*x**3")
    assert regularity.first_shock_time(saddle, plane) == pytest.approx(1 / (2 + 0.369**2), rel=1e-9)
    with pytest.raises(ValueError, match="f: expected a loss of . variables"):
        regularity.first_shock_time(Loss("x"), plane)


@pytest.mark.parametrize(
    "formula, expected",
    [
        ("x**2 + exp(-300*(x - 0.1)**2)", 1 / 598),
        ("exp(-1e4*(x - 0.05)**2)", 5e-5),
        ("-exp(-1e4*(x - 0.05)**2)", math.exp(1.5) / 4e4),
        ("exp(-1e10*(x - 1/3)**2)", 5e-11),
        ("cosh(30*x) - 1000*x**2", 1 / 1100),
        ("cos(x) - 1 + x**2/2", math.inf),
        ("abs(x - 0.3)", math.inf),
        ("abs(x - 0.3) - x**2", 0.5),
        ("-abs(x - 0.3)", 0.0),
        ("min(x, 1)", 0.0),
    ],
)
def test_the_first_shock_of_a_formula_is_that_of_the_box(formula, expected):
    f, grid = Loss(formula), Grid(-3.0, 3.0, 31)
    assert regularity.first_shock_time(f, grid) == pytest.approx(expected, rel=1e-9)
    assert burgers.shock_time(f, grid) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "formula, expected", [("cos(3*x)*cos(3*y)", 1 / 9), ("-norm(x, y)", 0.0), ("(x**2 + y**2 - 1)**2", 0.25)]
)
def test_the_first_shock_of_a_plane(formula, expected):
    grid = Grid((-1.0, -1.0), (1.0, 1.0), 4)
    assert regularity.first_shock_time(Loss(formula), grid) == pytest.approx(expected, rel=1e-9)


@PROPERTY
@given(st.floats(-3.0, 3.0), st.floats(0.01, 3.0))
def test_the_first_shock_in_any_box_of_a_line(low, side):
    grid, f = Grid(low, low + side, 3), Loss("cos(7*x) + x**2/2")
    steepest = -min(1 - 49 * np.cos(7 * np.linspace(low, low + side, 200_001)))
    time = regularity.first_shock_time(f, grid)
    assert time == pytest.approx(1 / steepest, rel=1e-6) if steepest > 1e-6 else time > 1e5


def test_a_shock_that_is_not_excluded_or_hidden_from_the_nodes_is_said():
    with pytest.warns(AccuracyWarning, match="may be as early as"):
        regularity.first_shock_time(Loss("abs(x + y) - 0.25*x**2"), Grid((-1.0, -1.0), (1.0, 1.0), 4))
    f = Loss("exp(-1e6*(x - 0.05)**2)")
    hidden = Loss.from_functions(f, f.gradient, f.hessian, dimension=1)
    with pytest.warns(AccuracyWarning, match="more nodes"):
        regularity.first_shock_time(hidden, Grid(-3.0, 3.0, 61))
    grid = Grid(-3.0, 3.0, 60)
    wave = Loss.from_functions(np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), dimension=1)
    assert regularity.first_shock_time(wave, grid) == burgers.shock_time(wave, grid) == pytest.approx(1.0, rel=1e-12)


# ------------------------------------------------------------------------------------------- critical points


def test_critical_points_and_persistence_of_the_reference_loss():
    f = losses.three_wells()
    critical = regularity.critical_points(f, FINE)
    np.testing.assert_allclose(critical.minima, [-2.36848, -0.81757, 1.66728], atol=6e-6)
    np.testing.assert_allclose(critical.maxima, [-1.23472, 0.45161], atol=6e-6)
    np.testing.assert_allclose(f.gradient(critical.points), 0, atol=1e-14)
    times = regularity.persistence_times(f, FINE)
    assert times[0] == math.inf
    np.testing.assert_allclose(times[1:], [0.5484, 1.4862, 0.3000, 16.649], rtol=2e-4)


def test_persistence_does_not_depend_on_the_grid():
    f, coarse = losses.three_wells(), Grid(-4.0, 4.0, 101)
    times = regularity.persistence_times(f, coarse)
    np.testing.assert_allclose(times, regularity.persistence_times(f, FINE), rtol=1e-10)
    # an even maximum is touched from nearby first: the infimum is the limit 1/|f''|
    assert regularity.persistence_times(Loss("cos(x)"), Grid(-3.0, 3.0, 302), [0.0]) == 1.0


def test_a_critical_point_on_a_node_counts_once():
    assert regularity.critical_points(Loss("x**2"), Grid(-1.0, 1.0, 21)).points.tolist() == [0.0]


def test_persistence_of_figure_4_1():
    f, grid = losses.rugged(), Grid(-6.0, 6.0, 1201, **FREE)
    critical = regularity.critical_points(f, grid)
    inside = (critical.index == 0) & (np.abs(critical.points) < 5)
    expected = [0.315, 0.756, 9.80, math.inf, 0.859, 1.859, 0.592, 0.290]
    np.testing.assert_allclose(regularity.persistence_times(f, grid, critical.points[inside]), expected, rtol=2e-3)
    inside = (critical.index == 1) & (np.abs(critical.points) < 4.5)
    expected = [0.107, 0.0868, 0.1263, 0.474, 0.192, 0.0977, 0.095]
    np.testing.assert_allclose(regularity.persistence_times(f, grid, critical.points[inside]), expected, rtol=6e-3)


def inf_convolution(f, point, t, grid):
    """min over y of f(y) + |point - y|²/(2t), from the best node by Newton: an independent Hopf-Lax value."""
    y = grid.x[np.argmin(f(grid.x) + (point - grid.x) ** 2 / (2 * t))]
    for _ in range(50):
        y -= (f.gradient(y) + (y - point) / t) / (f.hessian(y) + 1 / t)
    return f(y) + (point - y) ** 2 / (2 * t)


def test_critical_values_persist_exactly_until_their_time():
    f = losses.three_wells()
    critical = regularity.critical_points(f, FINE)
    for c, value, time in zip(critical.points, critical.values, regularity.persistence_times(f, FINE)):
        time = min(time, 100.0)
        grid = Grid(-4.0, 4.0, 20001)
        assert inf_convolution(f, c, 0.98 * time, grid) == pytest.approx(value, abs=1e-14)
        if time < 100:
            assert inf_convolution(f, c, 1.05 * time, grid) < value - 1e-3


@given(seed=SEEDS)
@PROPERTY
def test_persistence_is_exact_for_node_values(seed):
    rng = np.random.default_rng(seed)
    grid = Grid(0.0, 1.0, 12, **FREE)
    f = rng.integers(0, 6, 12).astype(float)
    k = rng.integers(12)
    time = regularity.persistence_times(f, grid, [grid.x[k]])[0]
    value = lambda t: np.min(f + (grid.x[k] - grid.x) ** 2 / (2 * t))  # noqa: E731
    assert (time == math.inf) == (f[k] == f.min())
    if time < math.inf:
        assert value(time * (1 - 1e-9)) >= f[k] - 1e-9 and value(time * (1 + 1e-6)) < f[k]


@pytest.mark.parametrize(
    "formula, box, expected",
    [
        ("abs(x) - 0.3*x**2", (-3.0, 3.0, 61), math.inf),
        ("abs(x) - 0.3*x**2", (-3.5, 3.5, 701), 35.0),
        ("norm(x, y) - 0.3*x**2", ((-1.0, -1.0), (1.0, 1.0), 41), math.inf),
        ("abs(x) + abs(y) - 0.3*x**2", ((-1.0, -1.0), (1.0, 1.0), 41), math.inf),
        ("abs(x) - 0.3*x**2 - 0.1*y**2 + 0.1*y**4", ((-1.0, -1.0), (1.0, 1.0), 41), 5.0),
        ("abs(x + y) - 0.3*x**2 - 0.1*y**2 + 0.1*y**4", ((-1.0, -1.0), (1.0, 1.0), 41), 2.5),
    ],
)
def test_persistence_at_a_kink_is_not_cut_short_by_the_hessian_beside_it(formula, box, expected):
    f, grid = Loss(formula), Grid(*box)
    centre = np.zeros(1) if grid.dimension == 1 else np.zeros((1, 2))
    functions = Loss.from_functions(f, f.gradient, f.hessian, dimension=grid.dimension)
    for loss in (f, functions):
        np.testing.assert_allclose(regularity.persistence_times(loss, grid, centre), [expected], rtol=1e-8)


@PROPERTY
@given(SEEDS)
def test_persistence_at_kinks_is_that_of_the_node_values_on_fine_grids(seed):
    rng = np.random.default_rng(seed)
    kink, bend, far = rng.uniform(0.1, 2.0, 3)
    f = Loss.from_functions(
        lambda x: kink * np.abs(x) - bend * x**2 + 0.1 * far * x**4,
        lambda x: kink * np.sign(x) - 2 * bend * x + 0.4 * far * x**3,
        lambda x: -2 * bend + 1.2 * far * x**2,
        dimension=1,
    )
    grid = Grid(-3.0, 3.0, 3001)
    nodes = regularity.persistence_times(f.on(grid), grid, [0.0])
    time = regularity.persistence_times(f, grid, [0.0])
    assert time == nodes == math.inf or 0.999 * nodes <= time <= nodes


def test_critical_points_in_two_dimensions():
    f, grid = losses.mueller_brown(), Grid((-1.5, -0.5), (1.2, 2.2), (60, 60))
    critical = regularity.critical_points(f, grid)
    expected = [[-0.82200, 0.62431], [-0.55822, 1.44173], [-0.05001, 0.46669], [0.21249, 0.29299], [0.62350, 0.02804]]
    np.testing.assert_allclose(critical.points, expected, atol=1e-5)
    assert critical.index.tolist() == [1, 0, 0, 1, 0]
    assert critical.eigenvalues.shape == (5, 2)
    times = regularity.persistence_times(f, grid)
    assert times[1] == math.inf and (np.delete(times, 1) < 1).all()
    assert (times[critical.index == 1] <= -1 / critical.eigenvalues[critical.index == 1, 0] * (1 + 1e-12)).all()
    ring = losses.double_well()
    two = Loss("(x**2 - 1)**2/4 + y**2/2 + 0.1*x")
    left, right = regularity.critical_points(two, Grid((-2.0, -1.0), (2.0, 1.0), (81, 41))).minima
    tilted = losses.double_well(tilt=0.1)
    critical = regularity.critical_points(tilted, Grid(-2.0, 2.0, 401))
    np.testing.assert_allclose([left[0], right[0]], critical.minima, atol=1e-12)
    plane = regularity.persistence_times(two, Grid((-2.0, -1.0), (2.0, 1.0), (81, 41)), [right])
    line = regularity.persistence_times(tilted, Grid(-2.0, 2.0, 401), critical.minima[1:])
    np.testing.assert_allclose(plane, line, rtol=1e-9)
    assert regularity.persistence_times(ring, Grid(-2.0, 2.0, 401), [-1.0, 1.0]).tolist() == [math.inf] * 2


def waves(rng, names, still):
    """A random sum of waves on [0, 1]^d; `still`: with no slope across the ends, else tilted as well."""
    terms = []
    for _ in range(3):
        factors = [f"cos({rng.integers(0, 4)}*pi*{a} + {0.0 if still else rng.normal():.3f})" for a in names]
        terms.append(f"{rng.normal():.3f}*" + "*".join(factors))
    return Loss(" + ".join([*terms, *(f"{0.0 if still else rng.normal():.3f}*{a}" for a in names)]), tuple(names))


def crossings(f):
    """Roots of f' on [0, 1] by sign changes on 1e5 nodes, an end where f' is 0 included."""
    x = np.linspace(0.0, 1.0, 100_003)
    slope = f.gradient(x)
    ends = [end for end, s in zip((0.0, 1.0), (slope[0], slope[-1])) if abs(s) < 1e-12]
    inner = x[1:-1][:-1][slope[1:-2] * slope[2:-1] < 0] + 0.5e-5
    return np.sort([*ends, *inner])


def zeros(f, count=60):
    """Roots of grad f on [0, 1]² by Newton's method from many nodes."""
    y = np.stack(np.meshgrid(*[np.linspace(0.0, 1.0, count)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    for _ in range(30):
        y = y - np.linalg.solve(f.hessian(y) + 1e-14 * np.eye(2), f.gradient(y)[..., None])[..., 0]
        y = y[(np.abs(y - 0.5) < 1.0).all(axis=1)]
    y = y[(np.abs(f.gradient(y)).max(axis=1) < 1e-10) & (np.abs(y - 0.5) <= 0.5 + 1e-12).all(axis=1)]
    return np.unique(np.round(y, 8) + 0.0, axis=0)


@pytest.mark.parametrize("boundary", ["outflow", "reflecting"])
@pytest.mark.parametrize("still", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_critical_points_and_persistence_at_ends(seed, still, boundary):
    """Against brute force on a box whose ends hold critical points themselves or cut waves off anywhere."""
    f = waves(np.random.default_rng(seed), "x", still)
    grid, expected, x = Grid(0.0, 1.0, 101, boundary=boundary), crossings(f), np.linspace(0.0, 1.0, 100_001)
    for loss in (f, Loss.from_functions(f, f.gradient, f.hessian, dimension=1)):
        critical = regularity.critical_points(loss, grid)
        assert len(critical.points) == len(expected)
        np.testing.assert_allclose(critical.points, expected, atol=2e-5)
        assert (np.diff(critical.index) != 0).all()
        for c, bend, time in zip(
            critical.points, critical.eigenvalues[:, 0], regularity.persistence_times(loss, grid, critical.points)
        ):
            drop = f(c) - f(x)
            lower = drop > 1e-9
            ratio = np.min((x[lower] - c) ** 2 / (2.0 * drop[lower]), initial=math.inf)
            assert time == pytest.approx(min(ratio, -1.0 / bend if bend < 0 else math.inf), rel=1e-4)


@pytest.mark.parametrize("boundary", ["outflow", "reflecting"])
@pytest.mark.parametrize("still", [True, False])
@pytest.mark.parametrize("seed", range(2))
def test_critical_points_and_persistence_at_ends_of_a_plane(seed, still, boundary):
    f = waves(np.random.default_rng(20 + seed), "xy", still)
    grid, expected = Grid((0.0, 0.0), (1.0, 1.0), (31, 33), boundary=boundary), zeros(f)
    nodes = np.stack(np.meshgrid(*[np.linspace(0.0, 1.0, 401)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    for loss in (f, Loss.from_functions(f, f.gradient, f.hessian, dimension=2)):
        critical = regularity.critical_points(loss, grid)
        points = critical.points[np.lexsort(np.round(critical.points, 8).T[::-1])]
        np.testing.assert_allclose(points, expected, atol=1e-7)
        for c, bend, time in zip(
            critical.points, critical.eigenvalues[:, 0], regularity.persistence_times(loss, grid, critical.points)
        ):
            drop = f(c) - f(nodes)
            lower = drop > 1e-9
            ratio = np.min(((nodes[lower] - c) ** 2).sum(axis=1) / (2.0 * drop[lower]), initial=math.inf)
            limit = -1.0 / bend if bend < 0 else math.inf
            assert time <= min(ratio, limit) * (1.0 + 1e-9) and time >= min(ratio, limit) * (1.0 - 1e-2)


def test_a_missing_critical_point_is_caught(monkeypatch):
    roots = critical._all_roots
    monkeypatch.setattr(critical, "_all_roots", lambda f, grid: tuple(np.delete(part, 2) for part in roots(f, grid)))
    with pytest.raises(ArithmeticError, match="both minima or both maxima"):
        regularity.critical_points(losses.three_wells(), FINE)


@PROPERTY
@given(st.floats(-9.0, 0.0), st.floats(-9.0, 0.0), st.floats(0.5, 9.0))
def test_all_critical_points_in_any_box_are_found(first, second, side):
    """Of cos x cos y: the multiples of π together, and the odd multiples of π/2 together."""
    grid = Grid((first, second), (first + side, second + side), 5)
    critical = regularity.critical_points(Loss("cos(x)*cos(y)"), grid)
    expected = []
    for k in range(-6, 7):
        for m in range(-6, 7):
            for shift, index in ((0.0, 2 if (k + m) % 2 == 0 else 0), (math.pi / 2, 1)):
                place = np.array([k * math.pi + shift, m * math.pi + shift])
                edge = np.abs([*(place - grid.lower), *(place - grid.upper)]).min()
                if edge > 1e-12 and (place > grid.lower).all() and (place < grid.upper).all():
                    expected.append((*place, index))
    expected = np.array(sorted(expected)).reshape(-1, 3)
    inner = np.minimum(critical.points - grid.lower, np.array(grid.upper) - critical.points).min(axis=1) > 1e-12
    found = np.column_stack([critical.points, critical.index])[inner]
    assert len(found) == len(expected)
    gaps = np.abs(found[:, None, :2] - expected[None, :, :2]).max(axis=2)
    assert (gaps.min(axis=1, initial=0.0 if not len(found) else 9.0) < 1e-12).all()
    assert (found[:, 2] == expected[gaps.argmin(axis=1), 2]).all() if len(found) else True


@pytest.mark.parametrize("formula", ["norm(x, y)", "norm(x, y) + 0.5*x", "norm(x - 0.3, y - 0.1)", "norm(x, y, z)"])
def test_a_kink_is_no_critical_point(formula):
    f = Loss(formula)
    grid = Grid((-2.0,) * f.dimension, (2.0,) * f.dimension, 15)
    assert len(regularity.critical_points(f, grid).points) == 0


@pytest.mark.parametrize("formula", ["abs(x)", "sqrt(abs(x))", "abs(x - 0.3) + 0.5*x"])
def test_a_kink_on_a_line_is_no_critical_point(formula):
    assert len(regularity.critical_points(Loss(formula), Grid(-3.0, 3.0, 31)).points) == 0


@pytest.mark.parametrize(
    "formula, point, index, room",
    [
        ("x - sin(x)", 0.0, -1, 1e-7),
        ("x**3", 0.0, -1, 1e-12),
        ("x**4", 0.0, 0, 1e-12),
        ("-(x - 1)**4", 1.0, 1, 1e-12),
        ("abs(x)**1.5", 0.0, 0, 1e-12),
        ("cos(x) - 1 + x**2/2", 0.0, 0, 1e-6),
        ("sqrt(x**2 + 0.00000000000000000100)", 0.0, 0, 1e-15),
        ("sqrt((x - 0.1)**2 + 1e-24)", 0.1, 0, 1e-15),
    ],
)
def test_index_and_place_of_degenerate_and_sharp_points(formula, point, index, room):
    critical = regularity.critical_points(Loss(formula), Grid(-3.0, 3.0, 31))
    assert critical.index.tolist() == [index] and np.abs(critical.points - point).max() <= room
    assert len(critical.minima) == (index == 0) and len(critical.maxima) == (index == 1)


@pytest.mark.parametrize("formula, point", [("x**5-5*x**4+10*x**3-10*x**2+5*x-1", 1.0), ("atan(x)-x+x**3/3", 0.0)])
def test_points_that_rounding_hides_are_said(formula, point):
    with pytest.warns(AccuracyWarning, match="degenerate critical points are known to") as told:
        critical = regularity.critical_points(Loss(formula), Grid(-3.0, 3.0, 31))
    known = 6.0 * float(str(told[0].message).split("known to ")[1].split(" ")[0])
    assert critical.index.tolist() == [-1] and abs(critical.points[0] - point) <= known < 0.01


@pytest.mark.parametrize("formula", ["x*0 + 1", "max(x, 0)**2", "abs(x - 0.3) + x"])
def test_regions_of_critical_points_are_refused(formula):
    with pytest.raises(ValueError, match="isolated critical points"):
        regularity.critical_points(Loss(formula), Grid(-3.0, 3.0, 31))


def test_degenerate_points_of_a_plane_and_of_functions():
    with pytest.warns(AccuracyWarning, match="degenerate"):
        critical = regularity.critical_points(Loss("x**4 + y**2"), Grid((-2.0, -2.0), (2.0, 2.0), 15))
    assert critical.index.tolist() == [-1] and np.abs(critical.points).max() < 1e-9
    for power, index in ((3, -1), (4, 0)):
        f = Loss.from_functions(
            lambda x, p=power: x**p,
            lambda x, p=power: p * x ** (p - 1),
            lambda x, p=power: p * (p - 1) * x ** (p - 2),
            1,
        )
        assert regularity.critical_points(f, Grid(-1.0, 1.0, 21)).index.tolist() == [index]


def test_no_critical_points():
    critical = regularity.critical_points(Loss("x"), FINE)
    assert critical.points.shape == (0,) and critical.minima.shape == (0,)
    assert regularity.persistence_times(Loss("x"), FINE).shape == (0,)
    assert regularity.critical_points(Loss("x + y"), Grid((0.0, 0.0), (1.0, 1.0), 5)).points.shape == (0, 2)


def test_critical_points_at_the_door():
    with pytest.raises(ValueError, match="expected a Loss"):
        regularity.critical_points(FINE.x**2, FINE)
    with pytest.raises(ValueError, match="f: expected a loss of . variables"):
        regularity.critical_points(losses.ackley(), FINE)
    with pytest.raises(ValueError, match="points: say which"):
        regularity.persistence_times(FINE.x**2, FINE)


# ---------------------------------------------------------------------------------------------------- tracks


def test_tracks_of_hopf_lax_die_when_their_time_is_up():
    f, grid = losses.three_wells(), Grid(-4.0, 4.0, 801, **FREE)
    times = np.linspace(0.0, 2.0, 41)
    cost = (grid.x[:, None] - grid.x) ** 2 / 2
    u = np.array([f.on(grid) if t == 0 else np.min(f.on(grid) + cost / t, axis=1) for t in times])
    tracks = regularity.track(times, u, grid)
    minima = [track for track in tracks if track.kind == "minimum"]
    assert [track.birth for track in tracks] == [0.0] * 5
    assert [track.death for track in minima] == [math.inf, 1.5, math.inf]  # persistence times inf, 1.4862, 16.65
    np.testing.assert_allclose([track.points[0] for track in minima], [-2.36848, -0.81757, 1.66728], atol=1e-3)
    for track in minima:
        np.testing.assert_allclose(track.points, track.points[0], atol=0.011)
        np.testing.assert_allclose(track.values, track.values[0], atol=1e-3)
    assert sum(track.kind == "maximum" for track in tracks) == 2


def test_tracks_follow_motion_birth_and_death():
    grid = Grid(0.0, 1.0, 200, boundary="periodic")
    times = np.linspace(0.0, 1.0, 21)
    times = times + 0.001
    u = np.array([np.cos(2 * np.pi * (grid.x - t)) for t in times])  # once round the circle
    low, high = sorted(regularity.track(times, u, grid), key=lambda track: track.kind, reverse=True)
    assert (low.kind, high.kind, low.death) == ("minimum", "maximum", math.inf)
    np.testing.assert_allclose(np.exp(2j * np.pi * high.points), np.exp(2j * np.pi * times), atol=1e-3)
    np.testing.assert_allclose(high.values, 1.0, atol=1e-6)
    times = times - 0.001
    u = np.array([np.cos(2 * np.pi * grid.x) * (abs(t - 0.5) < 0.3) for t in times])
    for track in regularity.track(times, u, grid):
        np.testing.assert_allclose([track.birth, track.death], [0.25, 0.8])
        np.testing.assert_allclose(track.times, times[5:16])
    jump = np.array([np.cos(2 * np.pi * grid.x), np.cos(2 * np.pi * (grid.x - 0.3))])
    assert len(regularity.track([0.0, 1.0], jump, grid)) == 4
    assert len(regularity.track([0.0, 1.0], jump, grid, reach=0.4)) == 2


def test_extrema_of_plateaus_and_constants():
    grid = Grid(0.0, 9.0, 10, **FREE)
    kinds = lambda u: [(track.kind, track.points[0]) for track in regularity.track([0.0], np.array([u], float), grid)]  # noqa: E731
    assert kinds([5, 4, 3, 3, 2, 1, 0, -1, -2, -3]) == []
    assert kinds([5, 4, 3, 3, 4, 5, 5, 5, 4, 3]) == [("maximum", 6.0), ("minimum", 2.5)]
    assert kinds([0] * 10) == []
    assert kinds([3, 3, 3, 4, 5, 6, 7, 7, 7, 7]) == []


def test_tracks_in_two_dimensions():
    grid = Grid((-2.0, -2.0), (2.0, 2.0), (81, 61))
    x, y = grid.points[..., 0], grid.points[..., 1]
    times = np.array([0.0, 1.0, 2.0])
    u = np.array([(x - 0.1 * t) ** 2 + 2 * (y + 0.2 * t) ** 2 + t for t in times])
    (track,) = regularity.track(times, u, grid)
    np.testing.assert_allclose(track.points, [[0, 0], [0.1, -0.2], [0.2, -0.4]], atol=1e-12)
    np.testing.assert_allclose(track.values, times, atol=1e-12)


def test_tracks_at_the_door():
    with pytest.raises(ValueError, match="increasing"):
        regularity.track([1.0, 0.0], np.zeros((2, 801)), FINE)
    with pytest.raises(ValueError, match=r"expected shape \(2, 801\)"):
        regularity.track([0.0, 1.0], np.zeros((2, 800)), FINE)
    with pytest.raises(ValueError, match="finite"):
        regularity.track([0.0], np.full((1, 801), math.nan), FINE)


# ---------------------------------------------------------------------------------------------------- widths


@given(values=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=8))
@PROPERTY
def test_harmonic_mean_sees_the_smallest(values):
    mean = regularity.harmonic_mean(values)
    assert min(values) * (1 - 1e-12) <= mean <= len(values) * min(values) * (1 + 1e-12)


def test_harmonic_mean():
    assert regularity.harmonic_mean([1.0, 4.0, 4.0]) == pytest.approx(2.0)
    assert regularity.harmonic_mean([0.0, 3.0]) == 0.0
    np.testing.assert_allclose(regularity.harmonic_mean([[2.0, 2.0], [1.0, 3.0]]), [2.0, 1.5])
    assert regularity.harmonic_mean_bound([3.0, 3.0], 0.5) == pytest.approx(1 / (0.5 + 1 / 3))
    for bad in ([-1.0, 2.0], [], 3.0, [math.nan]):
        with pytest.raises(ValueError, match="values: expected numbers >= 0, at least one"):
            regularity.harmonic_mean(bad)


def test_quadratic_robust_width():
    width = regularity.quadratic_robust_width
    np.testing.assert_allclose(
        [width(lam, 0.1, 3.0) for lam in (0.5, 2.0, 8.0)], [1.64424, 0.41106, 0.10276], atol=6e-6
    )
    spectrum = np.array([0.3, 2.0, 11.0, 0.0])
    for epsilon in (1e-9, 0.1, 5.0, 60.0):
        gamma = width(spectrum, epsilon, 2.0)
        assert np.log1p(gamma * spectrum).sum() / 4 == pytest.approx(epsilon, rel=1e-12)
    assert width(2.0, 0.1, math.inf) == width([0.0, 0.0], 0.1, 1.0) == width(2.0, 500.0, 3.0) == math.inf
    for bad in ((-1.0, 0.1, 1.0), (1.0, 0.0, 1.0), (1.0, 0.1, -1.0), (math.nan, 0.1, 1.0), (math.inf, 0.1, 1.0),
                ([], 0.1, 1.0), ("1.0", 0.1, 1.0), (1j, 0.1, 1.0)):  # fmt: skip
        with pytest.raises(ValueError, match="expected"):
            width(*bad)


def test_robust_width_of_quadratics_is_the_formula():
    for curvature in (0.5, 8.0):
        width = regularity.robust_width(losses.quadratic(curvature), 0.0, 0.1, 3.0)
        assert width == pytest.approx(regularity.quadratic_robust_width(curvature, 0.1, 3.0), rel=1e-8)
    hessian = [[2.0, 0.5], [0.5, 1.0]]
    width = regularity.robust_width(losses.quadratic(hessian, centre=[1.0, 0.0]), [1.0, 0.0], 0.1, 3.0)
    assert width == pytest.approx(regularity.quadratic_robust_width(np.linalg.eigvalsh(hessian), 0.1, 3.0), rel=1e-6)


@pytest.mark.parametrize("bad", [[0.0, 0.0], "0.0", 1j])
def test_robust_width_asks_for_one_point(bad):
    with pytest.raises(ValueError, match="point: expected"):
        regularity.robust_width(losses.quadratic(2.0), bad, 0.1, 3.0)


def test_robust_width_prefers_the_wide_valley():
    f = losses.sharp_and_wide()
    wide, sharp = (regularity.robust_width(f, x, 0.2, 5.0, largest=2.0) for x in (-1.95, 1.9993))
    assert wide > 5 * sharp
    assert regularity.robust_width(f, -1.95, 0.2, math.inf) == math.inf
    assert regularity.robust_width(losses.quadratic(1.0), 0.0, 1.0, 10.0, largest=1.0) == math.inf
    with pytest.raises(ValueError, match="expected a Loss"):
        regularity.robust_width(np.zeros(3), 0.0, 0.1, 1.0)
    with pytest.raises(ValueError, match="epsilon: expected"):
        regularity.robust_width(f, 0.0, -0.1, 1.0)


def test_critical_points_on_the_faces_of_the_box_are_found():
    """cos has its extrema on both ends of [0, pi], and the product of two of them at the corners of the square."""
    f, square = Loss("cos(x)"), Loss("cos(x)*cos(y)")
    critical = regularity.critical_points(f, Grid(0.0, math.pi, 33))
    assert critical.points == pytest.approx([0.0, math.pi], abs=1e-12) and critical.index.tolist() == [1, 0]
    corners = regularity.critical_points(square, Grid((0.0, 0.0), (math.pi, math.pi), (9, 9))).points
    expected = [[0, 0], [0, math.pi], [math.pi / 2] * 2, [math.pi, 0], [math.pi, math.pi]]
    np.testing.assert_allclose(corners, expected, atol=1e-9)


def test_the_two_ends_of_a_circle_are_one_point():
    critical = regularity.critical_points(Loss("cos(x)"), Grid(0.0, 2 * math.pi, 32, boundary="periodic"))
    assert critical.points == pytest.approx([0.0, math.pi], abs=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_persistence_on_a_ring_is_that_of_three_turns_of_it(seed):
    """However the ring is cut open, of the formula, its functions and its node values."""
    rng, around = np.random.default_rng(seed), 2 * math.pi
    f = Loss(" + ".join(f"{rng.uniform(0.2, 1.5)}*cos({k}*x + {rng.uniform(0, 6)})" for k in (1, 2, 3)))
    low = rng.uniform(-5.0, 5.0)
    ring, turns = Grid(low, low + around, 96, boundary="periodic"), Grid(low - around, low + 2 * around, 289)
    points = regularity.critical_points(f, ring).points
    expected = regularity.persistence_times(f, turns, points)
    assert regularity.persistence_times(f, ring) == pytest.approx(expected, rel=1e-9)
    functions = Loss.from_functions(f, f.gradient, f.hessian, dimension=1)
    assert regularity.critical_points(functions, ring).points == pytest.approx(points, abs=1e-9)
    assert regularity.persistence_times(functions, ring) == pytest.approx(expected, rel=1e-4)  # no proof for them
    values = f.on(ring)
    again = regularity.persistence_times(np.append(np.tile(values, 3), values[0]), turns, points)
    assert regularity.persistence_times(values, ring, points) == pytest.approx(again, rel=1e-9)


def test_persistence_on_a_torus_is_that_of_its_turns():
    f = Loss("cos(x) + 0.7*cos(2*y + 1) + 0.5*sin(x + y) + 0.3*sin(2*x - y)")
    low, high = np.array([0.0, 1.0]), np.array([0.0, 1.0]) + 2 * math.pi
    torus, turns = Grid(low, high, 24, boundary="periodic"), Grid(2 * low - high, 2 * high - low, 73)
    points = regularity.critical_points(f, torus).points
    expected = regularity.persistence_times(f, turns, points)
    assert regularity.persistence_times(f, torus) == pytest.approx(expected, rel=1e-9)
    functions = Loss.from_functions(f, f.gradient, f.hessian, dimension=2)
    assert regularity.persistence_times(functions, torus, points) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("exponent", [-3, -5.7, -6, -7, -8, -10, -12])
@pytest.mark.parametrize("centre", [0.0, 0.5, -1.25])
def test_critical_points_next_to_one_another_are_told_apart(exponent, centre):
    """f = (x - c)² (x - c - e)² has its minima at c and c + e and a maximum between them."""
    e = 10.0**exponent
    if centre and exponent < -10:
        return
    f = Loss(f"(x - ({centre}))**2*(x - ({centre}) - {e!r})**2")
    found = regularity.critical_points(f, Grid(-3.0, 3.0, 61))
    np.testing.assert_allclose(found.points, centre + np.array([0.0, e / 2, e]), rtol=0, atol=1e-6 * e + 2e-16)
    if not centre:
        assert list(found.index) == [0, 1, 0]
        times = regularity.persistence_times(f, Grid(-3.0, 3.0, 61))
        assert np.isinf(times[0])
        if exponent > -9:  # else the rounding of c + e is seen: f there is not quite 0
            assert times[2] > 100.0 * times[1]
        assert times[1] == pytest.approx(1 / e**2, rel=1e-6)


def test_close_critical_points_of_other_kinds():
    """Degenerate ones next to simple ones, and in the plane; a single degenerate one stays one."""
    grid, plane = Grid(-3.0, 3.1, 61), Grid((-3.0, -3.0), (3.0, 3.1), (31, 31))
    found = regularity.critical_points(Loss("x**3*(x - 1e-8)"), grid).points
    np.testing.assert_allclose(found, [0.0, 7.5e-9], rtol=0, atol=1e-14)
    for text, place in (("(x - 1/3)**4", 1 / 3), ("(x - 0.7)**6", 0.7), ("(cos(x) - 1)**2", 0.0), ("x**4", 0.0)):
        found = regularity.critical_points(Loss(text), grid).points
        assert len(found) == 1 and found[0] == pytest.approx(place, abs=1e-7)
    f = Loss("x**2*(x - 1e-8)**2 + y**2*(y - 1e-9)**2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccuracyWarning)
        found = regularity.critical_points(f, plane).points
    exact = [[a * 1e-8, b * 1e-9] for a in (0.0, 0.5, 1.0) for b in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-14)


def test_searches_for_critical_points_say_nothing_of_numpy():
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        found = regularity.critical_points(Loss("-exp(-(x - 1.2345)**2*1e10) + x**2/1e3"), Grid(-3.0, 3.0, 61))
    assert len(found.points) and np.abs(found.points - 1.2345).min() < 1e-9
