"""What theory bounds is checked on the way out: a broken kernel is caught, a value outside its bound never returned."""

import math
import warnings

import numpy as np
import pytest
from valleys import drawn, smooth

import pdelab as pl
from pdelab import Grid, Loss
from pdelab.closed_forms import certificates, descent, lattice, strips, viscous
from pdelab.kernels import cells, elimination, envelopes, sums, trapezoid
from pdelab.kernels import search as search_kernels
from pdelab.kernels import strips as strip_kernels
from pdelab.transport import line

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


WAVES = Loss("x**2/4 + cos(5*x)")
HILLS = Loss("x**2/4 + y**2/2 + cos(3*x)*sin(2*y)")
X = np.linspace(-1.0, 1.0, 5)


def falsified(kernel, change):
    """The function, its results changed."""

    def broken(*arguments, **named):
        return change(kernel(*arguments, **named))

    return broken


@pytest.mark.parametrize("loss", [WAVES, Loss.from_functions(WAVES, WAVES.gradient, WAVES.hessian, dimension=1)])
def test_minima_that_are_no_value_of_the_energy_are_caught(monkeypatch, loss):
    """u = f(y) + |x - y|²/(2t) at points, of formulas and of functions."""
    monkeypatch.setattr(descent, "newton", falsified(descent.newton, lambda pair: (pair[0] - 1e-6, pair[1])))
    for function in (pl.hopf_lax, pl.proximal):
        with pytest.raises(ArithmeticError, match="at its minimiser"):
            function(loss, X, 0.5)


@pytest.mark.parametrize("grid", [Grid(-2.0, 2.0, 40), Grid(-2.0, 2.0, 40, boundary="periodic")])
def test_minima_on_a_grid_that_are_no_value_of_the_energy_are_caught(monkeypatch, grid):
    honest = search_kernels.minimise

    def broken(*arguments):
        room = honest(*arguments)
        for k in (-5, -2):  # values and bounds alike
            arguments[k][:] -= 1e-6
        return room

    monkeypatch.setattr(search_kernels, "minimise", broken)
    with pytest.raises(ArithmeticError, match="at its minimiser"):
        pl.hopf_lax(WAVES, grid, 0.5)


@pytest.mark.parametrize("shape", [30, (7, 6), (4, 5, 4)])
@pytest.mark.parametrize("boundary", ["reflecting", "periodic", "outflow"])
def test_minimisers_of_node_values_that_are_none_are_caught(monkeypatch, shape, boundary):
    d = np.size(shape)
    grid = Grid((0.0,) * d, (1.0,) * d, shape, boundary=boundary)
    values = ROUGH.normal(size=grid.shape)
    names = "linear_minimum", "bilinear_minimum", "trilinear_minimum"
    monkeypatch.setattr(cells, names[d - 1], shifted(getattr(cells, names[d - 1]), -1, 0.01))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of minimisers beyond outflow ends
        with pytest.raises(ArithmeticError, match="at its minimiser"):
            pl.proximal(values, grid, 0.01)


def test_a_kink_that_bends_up_is_caught(monkeypatch):
    """Within [min f, f], but no minimum of parabolas."""
    grid, values = Grid(0.0, 1.0, 30), np.linspace(0.0, 5.0, 30)
    values[0] = -1.0
    honest = envelopes.lower_envelope

    def broken(*arguments):
        honest(*arguments)
        arguments[4][:, 20] -= 0.05

    monkeypatch.setattr(envelopes, "lower_envelope", broken)
    with pytest.raises(ArithmeticError, match="second difference along axis 0"):
        pl.hopf_lax(values, grid, 0.3, refine=False)


def test_a_jump_that_is_steeper_than_the_data_is_caught():
    grid = Grid((0.0, 0.0), (1.0, 1.0), (6, 5), boundary=("periodic", "reflecting"))
    f = ROUGH.normal(size=grid.shape)
    u = 1e-3 * f
    assert certificates.semiconcave(u, grid, 1e-3, 0.0, "u", f) is u
    u[2, 3] -= 20.0
    for t, word in ((1e-5, "first"), (1.0, "second")):
        with pytest.raises(ArithmeticError, match=f"{word} difference"):
            certificates.semiconcave(u, grid, t, 0.0, "u", f)


def test_values_that_grow_with_time_are_caught(monkeypatch):
    f, grid = ROUGH.normal(size=30), Grid(0.0, 1.0, 30)
    u = pl.hopf_lax(f, grid, [0.3, 0.0, 0.1])
    assert (np.diff(u[[1, 2, 0]], axis=0) <= 1e-12).all()
    honest = envelopes.lower_envelope

    def broken(*arguments):  # too low by less and less, and never below the minimum
        honest(*arguments)
        arguments[4][:] = f.min() + (arguments[4] - f.min()) * min(1.0, 5e-4 / arguments[3]) ** 6

    monkeypatch.setattr(envelopes, "lower_envelope", broken)
    with pytest.raises(ArithmeticError, match="falls with time"):
        pl.hopf_lax(f, grid, [1e-1, 0.3, 1.0], refine=False)


@pytest.mark.parametrize("loss, x", [(WAVES, X), (HILLS, np.stack([X, X], axis=1))])
@pytest.mark.parametrize("factor", [0.1, 1e4])
def test_broken_sums_of_lattices_are_caught(monkeypatch, loss, x, factor):
    """A tenth of the integral, or far too much of it, at high and low temperature."""
    honest = trapezoid.moments

    def broken(*arguments):
        honest(*arguments)
        arguments[-1][:] *= factor

    monkeypatch.setattr(trapezoid, "moments", broken)
    for beta in (1.0, 30.0, 1e3):
        with pytest.raises(ArithmeticError, match="local_entropy"):
            pl.local_entropy(loss, x, 0.5, beta if factor < 1.0 else 1e-2 * beta)


@pytest.mark.parametrize("loss", [WAVES, HILLS])
def test_local_entropy_above_the_average_is_caught(monkeypatch, loss):
    grid = Grid((-1.0,) * loss.dimension, (1.0,) * loss.dimension, 101 if loss.dimension == 1 else 21)
    monkeypatch.setattr(viscous, "value", falsified(viscous.value, lambda u: u + 2.0))
    with pytest.raises(ArithmeticError, match="at most the average of f"):
        pl.local_entropy(loss, grid, 0.5, 1.0)


@pytest.mark.parametrize("seed", range(6))
def test_bounds_of_local_entropy_hold_and_are_close(seed):
    """The bounds without an integral: of any formula, and within O(d/beta) of smooth ones at low temperature."""
    rng = np.random.default_rng(seed)
    d = 1 + seed % 2
    f, x = (smooth if seed < 4 else drawn)(rng, d), rng.uniform(-2.0, 2.0, (5, d))
    for t, beta in ((0.5, 10 ** rng.uniform(-1, 1)), (0.2, 1e4)):
        u = pl.local_entropy(f, x[:, 0] if d == 1 else x, t, beta)
        low, high = lattice.integrate(f, x, t, beta)[0]
        slack = 1e-10 * (np.abs(u) + 1.0 / beta)
        assert (low <= u + slack).all() and (u <= high + slack).all()
    if seed < 4:
        assert (high - u <= 0.3 * d / beta).all() and (u - low <= 12.0 * d / beta).all()


def test_broken_chains_are_caught(monkeypatch):
    grid = Grid(-2.0, 2.0, 41)
    problem = pl.FokkerPlanck(Loss("x**4/4 - x**2/2"), beta=2.0)
    far = pl.FokkerPlanck(drift=np.sin(3 * grid.x) - grid.x, beta=2.0)
    honest = elimination.values

    def broken(*arguments):
        honest(*arguments)
        arguments[2][7] *= 1.0 + 1e-6

    monkeypatch.setattr(elimination, "values", broken)
    with pytest.raises(ArithmeticError, match="in and out of a node"):
        pl.mean_exit_time(problem, grid, grid.x > 1.5)
    with pytest.raises(ArithmeticError, match="in and out of a node"):
        pl.committor(problem, grid, grid.x < -1.5, grid.x > 1.5)
    weights = elimination.weights

    def wrong(*arguments):
        mantissas, exponents = weights(*arguments)
        mantissas[7] *= 1.0 + 1e-6
        return mantissas, exponents

    monkeypatch.setattr(elimination, "weights", wrong)
    with pytest.raises(ArithmeticError, match="stationary masses"):
        pl.stationary(far, grid)


def test_broken_distances_are_caught(monkeypatch):
    law = pl.transport.law_of_samples
    one, other = law([0.0, 1.0, 2.0]), law([0.5, 4.0])
    for factor, order in ((0.5, 1), (0.5, 2), (3.0, 1), (3.0, 2)):
        with monkeypatch.context() as patch:
            patch.setattr(line, "_mean_power", falsified(line._mean_power, lambda a, p=order, k=factor: a * k**p))
            with pytest.raises(ArithmeticError, match="wasserstein"):
                pl.transport.wasserstein(one, other, order=order)
    monkeypatch.setattr(line, "_spread_apart", falsified(line._spread_apart, lambda spread: 4.0 * spread))
    with pytest.raises(ArithmeticError, match="wasserstein_gaussian"):
        pl.transport.wasserstein_gaussian([0.0, 1.0], np.eye(2), [1.0, 1.0], np.diag([2.0, 3.0]))
