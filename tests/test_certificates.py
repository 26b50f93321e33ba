"""What theory bounds is checked on the way out: a broken kernel is caught, a value outside its bound never returned."""

import math

import numpy as np
import pytest

import pdelab as pl
from pdelab import Grid, Loss
from pdelab.closed_forms import certificates, strips, viscous
from pdelab.kernels import envelopes, sums
from pdelab.kernels import search as search_kernels
from pdelab.kernels import strips as strip_kernels

LINE = Grid(0.0, 1.0, 30)
PLANE = Grid((0.0, 0.0), (1.0, 1.0), 5)
ROUGH = np.random.default_rng(0)


def shifted(kernel, argument, by):
    """The kernel, what it leaves in that argument moved by so much."""

    def broken(*arguments):
        result = kernel(*arguments)
        arguments[argument][:] += by
        return result

    return broken


@pytest.mark.parametrize("by", [-10.0, 10.0])
@pytest.mark.parametrize(
    "module, name, argument, beta",
    [(sums, "node_sum", 7, 1.0), (sums, "cell_sum", 7, 1e5), (strip_kernels, "across", -1, 1e3)],
)
def test_broken_sums_are_caught(monkeypatch, module, name, argument, beta, by):
    monkeypatch.setattr(module, name, shifted(getattr(module, name), argument, by))
    monkeypatch.setattr(viscous, "fourier", lambda *_: None)
    grid = PLANE if module is strip_kernels else LINE
    with pytest.raises(ArithmeticError, match="cole_hopf: .* outside the bounds of theory"):
        pl.cole_hopf(ROUGH.normal(size=grid.shape), grid, 0.3, beta)


def test_a_broken_transform_is_caught(monkeypatch):
    monkeypatch.setattr(viscous, "_filtered", lambda v, *_: 1e9 * v)
    with pytest.raises(ArithmeticError, match="cole_hopf"):
        pl.cole_hopf(np.cos(6 * LINE.x), LINE, 1.0, 1.0)


@pytest.mark.parametrize("by", [-10.0, 10.0])
def test_broken_envelopes_are_caught(monkeypatch, by):
    monkeypatch.setattr(envelopes, "lower_envelope", shifted(envelopes.lower_envelope, 4, by))
    with pytest.raises(ArithmeticError, match="hopf_lax"):
        pl.hopf_lax(ROUGH.normal(size=LINE.shape), LINE, 0.01, refine=False)


def test_a_broken_search_is_caught(monkeypatch):
    """Values lower than what the bounds prove."""
    f = Loss("x**2/4 + cos(5*x)")
    honest = search_kernels.minimise

    def broken(*arguments):
        room = honest(*arguments)
        arguments[-2][:] += 0.1  # bounds too high
        return room

    monkeypatch.setattr(search_kernels, "minimise", broken)
    with pytest.raises(ArithmeticError, match="of a formula"):
        pl.hopf_lax(f, np.linspace(-1.0, 1.0, 5), 0.5)
    with pytest.raises(ArithmeticError, match="of a formula"):
        pl.hopf_lax(f, Grid(-2.0, 2.0, 40), 0.5)


@pytest.mark.parametrize("seed", range(6))
def test_random_data_stay_within_their_bounds(seed):
    rng = np.random.default_rng(seed)
    d = 1 + seed % 3
    grid = Grid((0.0,) * d, (1.0,) * d, 12 if d < 3 else 4, boundary=rng.choice(["reflecting", "periodic"]))
    f = rng.normal(size=grid.shape) * 10 ** rng.uniform(-2, 4)
    t = 10 ** rng.uniform(-2, 0)
    u = pl.hopf_lax(f, grid, t)
    v = pl.cole_hopf(f, grid, t, 10 ** rng.uniform(-1, 2))
    slack = 1e-10 * np.abs(f).max()
    assert (f.min() - slack <= u).all() and (u <= f + slack).all()
    assert (f.min() - slack <= v).all()


def test_the_check_itself():
    assert certificates.within(np.array([0.0, math.inf]), 0.0, np.array([1.0, math.inf]), 0.0, "u").size == 2
    for bad in (math.nan, -0.1, 1.1):
        with pytest.raises(ArithmeticError, match="u: 1 values"):
            certificates.within(np.array([0.5, bad]), 0.0, 1.0, 0.05, "u")


def test_the_share_of_a_strip_is_that_of_its_panels():
    """The quadrature weights of the Chebyshev points are exact for the mean."""
    z = np.polynomial.Chebyshev(np.arange(1.0, 6.0))
    points, matrix = strips.chebyshev(9)
    mean = (matrix @ z(2 * points - 1))[::2] @ (1.0 / (1.0 - np.arange(0, 9, 2) ** 2.0))
    assert mean == pytest.approx((z.integ()(1.0) - z.integ()(-1.0)) / 2)
