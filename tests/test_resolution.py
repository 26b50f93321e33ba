"""A loss of functions is known by samples alone: where these are too coarse, a warning says so."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pdelab as pl
from pdelab import Grid, Loss
from pdelab.regularity import critical_points, persistence_times


def bare(text):
    """The functions of a formula without the formula."""
    f = Loss(text)
    return Loss.from_functions(f, f.gradient, f.hessian, dimension=f.dimension)


WELL = "x**2/4 - 3*exp(-(x - 0.7031)**2/(2*0.0006**2))"
SMOOTH = "x**2/4 + cos(2*x)"
PLANE = "x**2/4 + y**2/3 + cos(2*x)*sin(y)"


def test_a_valley_narrower_than_the_samples_is_said():
    x = np.linspace(-1.0, 3.0, 7)
    with pytest.warns(UserWarning, match="sampled too coarsely"):
        u = pl.hopf_lax(bare(WELL), x, 5.0)
    assert (u > pl.hopf_lax(Loss(WELL), x, 5.0) + 1.0).any()


@pytest.mark.parametrize("text", [SMOOTH, PLANE])
def test_smooth_functions_are_as_good_as_their_formula(text):
    f, g = Loss(text), bare(text)
    x = np.random.default_rng(0).uniform(-2.0, 2.0, (5, f.dimension) if f.dimension > 1 else 5)
    np.testing.assert_allclose(pl.hopf_lax(g, x, 0.7), pl.hopf_lax(f, x, 0.7), atol=1e-12)
    np.testing.assert_allclose(pl.local_entropy(g, x, 0.7, 5.0), pl.local_entropy(f, x, 0.7, 5.0), atol=1e-10)
    grid = Grid((-2.0,) * f.dimension, (2.0,) * f.dimension, 41)
    inner = (slice(5, -5),) * f.dimension  # at the faces the nodes are interpolated linearly
    np.testing.assert_allclose(pl.hopf_lax(g, grid, 0.1)[inner], pl.hopf_lax(f, grid, 0.1)[inner], atol=1e-10)
    np.testing.assert_allclose(critical_points(g, grid).points, critical_points(f, grid).points, atol=1e-8)
    np.testing.assert_allclose(persistence_times(g, grid), persistence_times(f, grid), rtol=1e-5)


def test_a_grid_that_is_too_coarse_is_said():
    coarse = Grid(-2.0, 2.0, 41)
    text = "x**2/4 - 3*exp(-(x - 1.0501)**2/(2*0.001**2))"  # between two nodes
    hidden = bare(text)
    with pytest.warns(UserWarning, match="too coarse for f: at .* valley between its nodes"):
        u = pl.hopf_lax(hidden, coarse, 0.5)
    np.testing.assert_allclose(u, pl.hopf_lax(Loss(text), coarse, 0.5), atol=1e-12)
    with pytest.warns(UserWarning, match="too coarse to separate the critical points"):
        critical_points(bare("x**2/4 + cos(61*x)"), Grid(-2.0, 2.0, 40))
    with pytest.warns(UserWarning, match="what the persistence time rests on"):
        persistence_times(hidden, coarse, points=[0.0])


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.integers(8, 400), st.floats(-0.1, 0.1))
def test_a_valley_that_one_node_shows_serves_all(count, shift):
    text = "-exp(-10000*(x - 0.77)**2) + 0.05*x**2"
    f, g, grid = Loss(text), bare(text), Grid(shift - 2.0, shift + 2.0, count)
    exact = pl.hopf_lax(f, grid, 0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the middle of a cell that is the first to see it
        u = pl.hopf_lax(g, grid, 0.3)
    looked = np.concatenate([grid.x, grid.x[:-1] + 0.5 * grid.spacing[0]])
    seen = np.abs(looked - 0.77).min() < 0.02
    if seen:
        np.testing.assert_allclose(u, exact, atol=1e-12)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if count < 60 else "error")
            place = pl.proximal(g, grid, 0.3)
        np.testing.assert_allclose(place, pl.proximal(f, grid, 0.3), atol=1e-6)


@pytest.mark.parametrize("count, shift", [(18, -0.075), (12, 0.025), (15, 0.075)])
def test_the_flank_of_a_valley_leads_to_its_bottom(count, shift):
    """A node or a middle three widths off the valley: no node is lower than its neighbours for it."""
    text = "-exp(-10000*(x - 0.77)**2) + 0.05*x**2"
    grid = Grid(shift - 2.0, shift + 2.0, count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        u = pl.hopf_lax(bare(text), grid, 0.5)
    np.testing.assert_allclose(u, pl.hopf_lax(Loss(text), grid, 0.5), atol=1e-12)


def test_a_valley_in_a_plane_and_on_a_circle_serves_all():
    text = "(x**2 + y**2)/20 - exp(-400*((x - 0.77)**2 + (y + 0.3)**2))"
    grid = Grid((-2.0, -2.0), (2.0, 2.0), 41)
    np.testing.assert_allclose(pl.hopf_lax(bare(text), grid, 0.3), pl.hopf_lax(Loss(text), grid, 0.3), atol=1e-12)
    text, ring = "cos(x)/10 - exp(-5000*(1 - cos(x - 0.52)))", Grid(0.0, 2 * np.pi, 60, boundary="periodic")
    np.testing.assert_allclose(pl.hopf_lax(bare(text), ring, 2.0), pl.hopf_lax(Loss(text), ring, 2.0), atol=1e-12)


def test_a_valley_that_the_second_look_at_an_integral_sees_is_said():
    text = "-exp(-10000*(x - 0.77)**2) + 0.05*x**2"
    with pytest.warns(UserWarning, match="sampled too coarsely"):
        u = pl.local_entropy(bare(text), -0.3, 5.0, 1.0)
    assert u > pl.local_entropy(Loss(text), -0.3, 5.0, 1.0) + 4e-3


def test_functions_as_large_as_any_are_searched_or_refused():
    x = np.array([0.2, -1.0, 0.0])
    for c in (1e8, 1e14, 1e20, 1e28):
        kink = Loss.from_functions(lambda y: c * np.abs(y), lambda y: c * np.sign(y), dimension=1)  # noqa: B023
        bowl = Loss.from_functions(lambda y: c * y**2, lambda y: 2 * c * y, dimension=1)  # noqa: B023
        np.testing.assert_allclose(pl.hopf_lax(kink, x, 0.1), 5 * x**2, rtol=1e-12)
        np.testing.assert_allclose(pl.hopf_lax(bowl, x, 0.1), c * x**2 / (1 + 0.2 * c), rtol=1e-12)
    with pytest.raises(ValueError, match="differ by less within the kernel's reach.*choose other units"):
        pl.hopf_lax(Loss.from_functions(lambda y: 1e80 * y**2, lambda y: 2e80 * y, dimension=1), x, 0.1)
    for fall in (lambda y: -6.0 * y**2, lambda y: -(np.abs(y) ** 3)):
        with pytest.raises(ValueError, match="falls as fast as the parabola"):
            pl.hopf_lax(Loss.from_functions(fall, lambda y: 0 * y, dimension=1), x, 0.1)
