"""Grid: nodes, quadrature, interpolation, gradient, and the words for what cannot be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pdelab as pl
from pdelab import Grid

NAMES = ("reflecting", "outflow", "periodic")


def test_one_dimension_speaks_in_tuples():
    grid = Grid(-3.0, 3.0, 1025)
    assert (grid.dimension, grid.shape, grid.spacing, grid.boundary) == (1, (1025,), (6 / 1024,), ("reflecting",))
    assert grid.x is grid.axes[0] and grid.points.shape == (1025,)
    assert grid.x[0] == -3.0 and grid.x[-1] == 3.0


def test_periodic_axis_leaves_out_the_upper_end():
    grid = Grid(0.0, 1.0, 4, boundary="periodic")
    assert np.array_equal(grid.x, [0.0, 0.25, 0.5, 0.75]) and grid.spacing == (0.25,)


def test_one_word_or_number_serves_every_axis():
    grid = Grid((-2, -1), (2, 1), 5, boundary="periodic")
    assert grid.shape == (5, 5) and grid.boundary == ("periodic",) * 2
    mixed = Grid(0.0, 1.0, (3, 4, 5), boundary=("periodic", "outflow", "reflecting"))
    assert mixed.dimension == 3 and mixed.points.shape == (3, 4, 5, 3) and mixed.lower == (0.0,) * 3


def test_grids_are_values():
    assert Grid(0, 1, 5) == Grid(0.0, 1.0, (5,)) and hash(Grid(0, 1, 5)) == hash(Grid(0.0, 1.0, 5))
    with pytest.raises(AttributeError):
        Grid(0, 1, 5).shape = (6,)
    with pytest.raises(ValueError):
        Grid(0, 1, 5).x[0] = 7.0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("d", [1, 2, 3])
def test_weights_sum_to_the_volume(name, d):
    grid = Grid((0.0,) * d, (2.0,) * d, (7,) * d, boundary=name)
    assert grid.integrate(np.ones(grid.shape)) == pytest.approx(2.0**d, rel=1e-14)
    assert grid.weights.shape == grid.shape


def test_integral_of_a_batch_and_its_order():
    exact, errors = 2 * np.sinh(1.0), []
    for n in (11, 21, 41, 81):
        grid = Grid(-1.0, 1.0, n)
        batch = grid.integrate(np.stack([np.exp(grid.x), np.ones(n)]))
        assert batch.shape == (2,) and batch[1] == pytest.approx(2.0)
        errors.append(abs(batch[0] - exact))
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    assert ((rates > 1.95) & (rates < 2.05)).all()
    periodic = Grid(0.0, 2 * np.pi, 24, boundary="periodic")
    assert periodic.integrate(np.exp(np.cos(periodic.x))) == pytest.approx(7.95492652101284, rel=1e-14)


@settings(deadline=None, max_examples=30, derandomize=True)
@given(st.integers(1, 3), st.sampled_from(NAMES), st.integers(0, 2**31))
def test_interpolation_is_exact_at_nodes_and_for_linear_data(d, name, seed):
    rng = np.random.default_rng(seed)
    grid = Grid(-rng.uniform(0.5, 2, d), rng.uniform(0.5, 2, d), rng.integers(2, 7, d), boundary=name)
    values = rng.normal(size=grid.shape)
    np.testing.assert_allclose(grid.interpolate(values, grid.points), values, rtol=1e-13, atol=1e-13)
    if name != "periodic":
        a = rng.normal(size=d)
        linear = grid.points @ a if d > 1 else a[0] * grid.points
        points = rng.uniform(grid.lower, grid.upper, (5, d))
        interpolated = grid.interpolate(linear, points if d > 1 else points[:, 0])
        np.testing.assert_allclose(interpolated, points @ a, rtol=1e-12, atol=1e-12)


def test_interpolation_wraps_and_takes_vector_fields():
    grid = Grid(0.0, 1.0, 4, boundary="periodic")
    assert grid.interpolate(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.875, -0.125, 1.25])) == pytest.approx(
        [1.5, 1.5, 1.0]
    )
    plane = Grid((0, 0), (1, 1), (5, 5))
    np.testing.assert_allclose(plane.interpolate(plane.points, [[0.3, 0.6]]), [[0.3, 0.6]])


@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_second_order(name):
    errors = []
    for n in (20, 40, 80, 160):
        grid = Grid((0.0, 0.0), (1.0, 2.0), (n, 2 * n), boundary=name)
        x, y = np.moveaxis(grid.points, -1, 0)
        k = 2 * np.pi
        gradient = grid.gradient(np.sin(k * x) * np.cos(np.pi * y))
        exact = np.stack([k * np.cos(k * x) * np.cos(np.pi * y), -np.pi * np.sin(k * x) * np.sin(np.pi * y)], -1)
        errors.append(np.abs(gradient - exact).max())
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    assert ((rates > 1.8) & (rates < 2.2)).all(), rates


def test_gradient_of_two_nodes():
    assert np.allclose(Grid(0.0, 1.0, 2).gradient([1.0, 3.0]), [2.0, 2.0])


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((0, 1, 1), "at least 2 nodes"),
        ((0, 1, 2.5), "whole numbers"),
        ((0, 1, "many"), "whole numbers"),
        ((1, 1, 5), "lower < upper"),
        ((0, np.inf, 5), "finite"),
        ((0, np.nan, 5), "finite"),
        (("a", 1, 5), "expected a number"),
        ((0, 1, 5, "open"), "boundary: expected one of .* got 'open'"),
        (((0, 0), (1, 1, 1), 5), "expected 3 entries"),
        ((0, 1, (3, 3, 3, 3)), "expected 1, 2 or 3 numbers, one an axis, got 4"),
        ((0, 1, np.inf), "whole numbers"),
        ((0, 1, []), "at least 2 nodes"),
        (("0", 1, 5), "lower: expected a number"),
        ((0, 1 + 1j, 5), "upper: expected a number"),
        ((0, 1, 5, None), "boundary: expected reflecting"),
        ((0, 1, 5, 3), "boundary: expected reflecting"),
        ((-1e308, 1e308, 5), "cannot tell nodes inf apart"),
        ((0, 5e-324, 5), "cannot tell nodes"),
        ((1e16, 1e16 + 4, 101), "cannot tell nodes"),
    ],
)
def test_bad_grids_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        Grid(*arguments)


def test_bad_fields_are_refused():
    grid = Grid(0, 1, 5)
    with pytest.raises(ValueError, match=r"expected shape \(5,\) as the grid has, got \(4,\)"):
        grid.field(np.zeros(4))
    with pytest.raises(ValueError, match=r"got nan at index \(2,\)"):
        grid.field([0, 0, np.nan, 0, 0])
    with pytest.raises(ValueError, match="array of numbers"):
        grid.field(["a"] * 5)
    for values in (np.ones(5) * 1j, ["1"] * 5, [10**400] * 5, np.zeros(5, "M8[s]")):
        with pytest.raises(ValueError, match="array of numbers"):
            grid.field(values)
    with pytest.raises(ValueError, match=r"points: expected numbers in \[0.0, 1.0\] along axis 0, got 1.5"):
        grid.interpolate(np.zeros(5), [1.5])
    for boundary in ("reflecting", "periodic"):
        for point in (np.nan, np.inf, 1j, "a"):
            with pytest.raises(ValueError, match="points: expected"):
                Grid(0, 1, 5, boundary).interpolate(np.zeros(5), point)
    with pytest.raises(ValueError, match="numbers on the nodes"):
        grid.interpolate(np.ones(5) * 1j, 0.5)
    with pytest.raises(ValueError, match="last axes"):
        grid.integrate(np.zeros(4))
    with pytest.raises(AttributeError, match="one-dimensional"):
        _ = Grid((0, 0), (1, 1), 3).x


def test_a_pair_of_names_is_one_an_end():
    mixed = Grid(0.0, 1.0, 5, boundary=("absorbing", "reflecting"))
    assert mixed.dimension == 1 and mixed.boundary == (("absorbing", "reflecting"),)
    assert mixed.ends == (("absorbing", "reflecting"),) and mixed.absorbing.tolist() == [True] + [False] * 4
    assert Grid(0.0, 1.0, 5, boundary=("reflecting", "reflecting")) == Grid(0.0, 1.0, 5)
    assert Grid(0.0, 1.0, 5, boundary=[("absorbing", "reflecting")]) == mixed
    plane = Grid((0, 0), (1, 1), (4, 5), boundary=(("reflecting", "absorbing"), "periodic"))
    assert plane.ends == (("reflecting", "absorbing"), ("periodic", "periodic"))
    assert plane.periodic == (False, True) and plane.absorbing.sum() == 5 and plane.absorbing[3].all()
    both = Grid((0, 0), (1, 1), (4, 5), boundary=("absorbing", "reflecting"))  # one an axis
    assert both.boundary == ("absorbing", "reflecting") and both.absorbing.sum() == 10
    assert Grid((0, 0), (1, 1), 4, boundary=[("absorbing", "reflecting")]).absorbing.sum() == 7


@pytest.mark.parametrize(
    "boundary, message",
    [
        (("periodic", "reflecting"), "periodic at both ends of an axis or at none"),
        (("absorbing", "sticky"), "boundary: expected one of .* got 'sticky'"),
        ([("absorbing",) * 3], "a pair"),
        (7, "boundary: expected"),
    ],
)
def test_boundaries_that_are_none_are_refused(boundary, message):
    with pytest.raises(ValueError, match=message):
        Grid(0.0, 1.0, 5, boundary=boundary)


@pytest.mark.parametrize("boundary", ["absorbing", ("reflecting", "outflow")])
def test_equations_without_such_a_boundary_refuse_it(boundary):
    grid = Grid(-1.0, 1.0, 11, boundary=boundary)
    values, loss = grid.x**2, pl.Loss("x**2")
    start = pl.control.Control(None, loss, 1.0, 0.5)
    for attempt in (
        lambda: pl.solve(pl.HamiltonJacobi(beta=1.0), values, grid, 0.1),
        lambda: pl.solve(pl.Heat(beta=1.0), values, grid, 0.1),
        lambda: pl.solve(pl.Burgers(beta=1.0), values, grid, 0.1),
        lambda: pl.hopf_lax(values, grid, 0.1),
        lambda: pl.proximal(values, grid, 0.1),
        lambda: pl.cole_hopf(values, grid, 0.1, 1.0),
        lambda: pl.heat_smoothing(values, grid, 0.1, 1.0),
        lambda: pl.control.hamilton_jacobi_bellman(start, grid, 0.0),
        lambda: pl.control.logarithmic_transform(start, grid, 0.0),
    ):
        with pytest.raises(ValueError, match="boundary: expected reflecting or"):
            attempt()
