"""A loss of functions is known by samples alone: where these are too coarse, a warning says so."""

import numpy as np
import pytest

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
    hidden = bare("x**2/4 - 3*exp(-(x - 1.05)**2/(2*0.01**2))")  # between two nodes
    with pytest.warns(UserWarning, match="too coarse for f: at .* valley between its nodes"):
        pl.hopf_lax(hidden, coarse, 0.5)
    with pytest.warns(UserWarning, match="too coarse to separate the critical points"):
        critical_points(bare("x**2/4 + cos(61*x)"), Grid(-2.0, 2.0, 40))
    with pytest.warns(UserWarning, match="what the persistence time rests on"):
        persistence_times(hidden, coarse, points=[0.0])
