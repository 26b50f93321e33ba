"""Enclosures and the global search against sampled values and brute force, on formulas drawn at random."""

import math
import warnings

import mpmath
import numpy as np
import pytest
from scipy.special import logsumexp
from valleys import at, brute, drawn

import pdelab as pl
from pdelab import Grid, Loss, losses, regularity
from pdelab.closed_forms import descent
from pdelab.losses import enclosures, search

NARROW = Loss("x**2/4 - 3*exp(-(x - 0.7)**2/(2*0.02**2)) + cos(2*x)")


# ------------------------------------------------------------------------------------------------ enclosures

TEXTS = {
    1: ("x**3*exp(-x**2) + abs(x)**1.5", "max(x, 1 - x)*tanh(3*x) + min(x, 2)**2", "log(x) + sqrt(x + 1)*atan(x)",
        "tan(x)/(x**2 + 1) + asin(x/9)", "x**(-2) + erfc(x)*asinh(x)"),
    2: ("norm(x, y)**0.5*cos(3*x*y)", "logsumexp(x, 2*y, x*y) - x**2*y", "atan2(y, x) + sign(x - y)*x",
        "acosh(x)*y + erf(x*y)", "(1 + x**2)**y + cosh(x - y)"),
    3: ("norm(x, y, z) - exp(-(x**2 + y**2)/0.02)*z", "abs(x - y)**0.3 + max(x, y, z)**3"),
}  # fmt: skip


@pytest.mark.parametrize("d, text", [(d, text) for d, texts in TEXTS.items() for text in texts])
def test_enclosures_hold(d, text):
    """Values, slopes and bends at 200 points of 60 boxes from 1e-4 to 5 wide, kinks and ends of the domain included."""
    rng = np.random.default_rng(d)
    f = Loss(text, tuple("xyz"[:d]))
    centre, half = rng.normal(size=(60, d)), 10.0 ** rng.uniform(-4, 0.7, (60, 1)) * rng.uniform(0.1, 1, (60, d))
    centre[:6] = 0.0
    lower, upper = centre - half, centre + half
    bounds = f.enclose(*(a[:, 0] if d == 1 else a for a in (lower, upper)))
    points = lower[:, None] + (upper - lower)[:, None] * rng.random((60, 200, d))
    points = points[..., 0] if d == 1 else points
    with np.errstate(all="ignore"):
        value, slope, bend = f(points), f.gradient(points), f.hessian(points)
    for got, (low, high) in (
        (value, np.moveaxis(bounds.value, -1, 0)),
        (slope, np.moveaxis(bounds.gradient, -1, 0)),
        (bend, np.moveaxis(bounds.hessian, -1, 0)),
    ):
        known = np.isfinite(got) & np.isfinite(value).reshape(value.shape + (1,) * (got.ndim - value.ndim))
        slack = 1e-10 * (1.0 + np.abs(got))
        assert known.any()
        assert not (known & ((got < low[:, None] - slack) | (got > high[:, None] + slack))).any()


def test_enclosures_are_sharp_in_small_boxes():
    """The excess over the range falls with the square of the box."""
    f, excess = losses.three_wells(), []
    for half in (0.1, 0.05, 0.025):
        low, high = f.enclose(0.7 - half, 0.7 + half).value
        values = f(np.linspace(0.7 - half, 0.7 + half, 1001))
        excess.append((high - low) - (values.max() - values.min()))
    assert excess[0] > 3.5 * excess[1] > 12 * excess[2] > 0


def test_enclosures_need_a_formula_and_ordered_corners():
    with pytest.raises(ValueError, match="need a formula"):
        Loss.from_functions(np.cos, np.sin, dimension=1).enclose(0.0, 1.0)
    with pytest.raises(ValueError, match="in order"):
        NARROW.enclose(1.0, 0.0)
    with pytest.raises(ValueError, match="finite corners"):
        NARROW.minimum(0.0, math.inf)


@pytest.mark.parametrize("seed", range(6))
def test_minimum_over_a_box(seed):
    rng = np.random.default_rng(seed)
    f = drawn(rng, 1 + seed % 3)
    low, high = -2.0 * np.ones(f.dimension), 1.7 * np.ones(f.dimension)
    minimum = f.minimum(low, high) if f.dimension > 1 else f.minimum(-2.0, 1.7)
    exact = brute(f, np.zeros(f.dimension), math.inf, -2.0, 1.7, closed=True)
    assert minimum.bound <= exact + 1e-13 and minimum.value <= exact + 1e-9
    kinks = f.dimension > 1 and ("abs" in f.formula or "norm" in f.formula)  # there a gap of 1e-6 is promised
    assert minimum.value - minimum.bound <= (2e-6 if kinks else 1e-11) * (1 + abs(exact))
    assert f(minimum.point) == minimum.value


def test_no_expansion_reaches_across_a_pole():
    """1/x² is convex on both sides of its pole, and not on an interval around it."""
    x = np.array([1.0, -3.0])
    u, place = pl.hopf_lax(Loss("1/x**2"), x, 0.5), pl.proximal(Loss("1/x**2"), x, 0.5)
    exact = [max(np.roots([1.0, -at, 0.0, 0.0, -1.0]).real, key=lambda y, at=at: at * y) for at in x]  # y⁴ = x y³ + 1
    np.testing.assert_allclose(place, exact, rtol=1e-12)
    np.testing.assert_allclose(u, 1.0 / place**2 + (x - place) ** 2, rtol=1e-14)


def test_minima_of_the_gallery_are_proved():
    for f, box, point in (
        (losses.rastrigin(3), (-5.0, 4.3), [0.0, 0.0, 0.0]),
        (losses.ackley(2), (-5.0, 4.3), [0.0, 0.0]),
        (losses.mueller_brown(), (-2.0, 2.5), [-0.558223634, 1.441725842]),
    ):
        d = f.dimension
        minimum = f.minimum([box[0]] * d, [box[1]] * d)
        np.testing.assert_allclose(minimum.point, point, atol=1e-8)
        assert minimum.value - minimum.bound < 1e-10


@pytest.mark.parametrize("boundary", ["outflow", "periodic"])
@pytest.mark.parametrize("seed", range(6))
def test_what_is_proved_without_a_search_is_the_minimum(seed, boundary):
    """Minima of other valleys are given at many nodes: none of them is proved, and all are lowered."""
    rng = np.random.default_rng(seed)
    d, t = 1 + seed % 2, rng.uniform(0.05, 0.8)
    names = "xy"[:d]
    wave = " + ".join(f"{rng.uniform(0.2, 1):.3f}*cos({rng.uniform(3, 9):.3f}*{a} + {rng.normal():.3f})" for a in names)
    f = Loss(" + ".join(f"{rng.uniform(0.05, 0.3):.3f}*{a}**2" for a in names) + " + " + wave, tuple(names))
    grid = Grid([-2.0] * d, [2.0] * d, [401 if d == 1 else 31] * d, boundary=boundary)
    x = grid.points.reshape(-1, d)
    place = np.clip(x + rng.choice([0.0, 0.7, -0.7], len(x))[:, None], -1.99, 1.99)
    energy, place = descent.newton(f, x, place, t, 0.3, np.array(grid.lower), np.array(grid.upper))
    exact, _, _ = search.minimise(f, x, t, np.array(grid.lower), np.array(grid.upper), closed=True)
    if boundary == "periodic":
        for shift in np.ndindex((3,) * d):
            images = x + 4.0 * (np.array(shift) - 1)
            exact = np.minimum(exact, search.minimise(f, images, t, [-2.0] * d, [2.0] * d, closed=True)[0])
    assert np.mean(energy > exact + 1e-6) > 0.01
    lowered, there, below = search.lower_on_box(f, grid, x, t, energy, place)
    np.testing.assert_allclose(lowered, exact, rtol=0, atol=1e-12)
    np.testing.assert_allclose(below, exact, rtol=0, atol=1e-12)
    moved = (there != place).any(axis=1)
    assert moved[energy > exact + 1e-9].all() and (boundary == "periodic" or not moved.all())


# ------------------------------------------------------------------------------------------- Hopf-Lax, proximal


@pytest.mark.parametrize("power", [-400, -60, -40, -27, 27, 60, 400])
@pytest.mark.parametrize("seed", range(3))
def test_a_scaled_loss_has_scaled_answers(seed, power):
    """min s f(y) + |x - y|²/(2t/s) = s min f(y) + |x - y|²/(2t): powers of two round nothing, gaps are relative."""
    rng, s = np.random.default_rng(seed), 2.0**power
    a, b, c = rng.uniform(0.2, 1.0, 3).round(3)
    for text, tolerance in (
        (f"sqrt(abs(x - {a})) + {b}*abs(x)", 1e-13),
        (f"(x**2 - 1)**2/4 + {0.1 * b}*x + {0.1 * c}*cos(9*x)", 1e-13),
        (f"norm(x, y - {a})**0.5 + {b}*cos(3*x + y)", 1e-6),
    ):
        f, scaled = Loss(text), Loss(f"{s!r}*({text})")
        d, t = f.dimension, rng.uniform(0.05, 0.5)
        x = rng.uniform(-1.5, 1.5, 9 if d == 1 else (9, 2))
        u = pl.hopf_lax(f, x, t)
        np.testing.assert_allclose(pl.hopf_lax(scaled, x, t / s) / s, u, rtol=0, atol=tolerance * np.abs(u).max())
        np.testing.assert_allclose(pl.proximal(scaled, x, t / s), pl.proximal(f, x, t), rtol=0, atol=1e-7)
        least, other = f.minimum([-2.0] * d, [1.0] * d), scaled.minimum([-2.0] * d, [1.0] * d)
        np.testing.assert_allclose(other.point, least.point, rtol=0, atol=1e-7)
        assert other.value / s == pytest.approx(least.value, abs=tolerance)
        if d == 1:
            grid = Grid(-2.0, 2.0, 41)
            u = pl.hopf_lax(f, grid, t)
            np.testing.assert_allclose(pl.hopf_lax(scaled, grid, t / s) / s, u, rtol=0, atol=1e-12)


@pytest.mark.parametrize("power", [-60, 30])
def test_kinks_along_curves_of_a_scaled_loss(power):
    """As near as the search comes, or with a warning."""
    s, rng, t = 2.0**power, np.random.default_rng(5), 0.3
    x = rng.uniform(-1.0, 1.0, (6, 2))
    radii = np.linspace(0.0, 3.0, 300_001)
    energies = np.abs(radii**2 - 1.0) + (radii - np.hypot(*x.T)[:, None]) ** 2 / (2.0 * t)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        u = pl.hopf_lax(Loss(f"{s!r}*abs(x**2 + y**2 - 1)"), x, t / s) / s
    error = np.abs(u - energies.min(axis=1)).max()
    assert error < 2e-5 or any("relative gap" in str(w.message) for w in caught)


def test_a_large_offset_costs_its_own_rounding_only():
    text, x, t = "(x**2 - 1)**2/4 + 0.1*x + 0.05*cos(9*x)", np.linspace(-1.4, 1.3, 8), 0.3
    for offset in (1e6, -1e6, 1e9):
        u = pl.hopf_lax(Loss(f"{offset} + {text}"), x, t) - offset
        np.testing.assert_allclose(u, pl.hopf_lax(Loss(text), x, t), rtol=0, atol=4e-15 * abs(offset))


@pytest.mark.parametrize("seed", range(9))
def test_hopf_lax_is_the_global_minimum(seed):
    rng = np.random.default_rng(100 + seed)
    f, t = drawn(rng, 1 + seed % 3), 10 ** rng.uniform(-2, 1)
    x = rng.uniform(-2, 2, (4, f.dimension))
    where = x[:, 0] if f.dimension == 1 else x
    u, y = pl.hopf_lax(f, where, t), pl.proximal(f, where, t).reshape(x.shape)
    for k in range(4):
        assert u[k] <= brute(f, x[k], t) + 1e-9
    np.testing.assert_allclose(at(f, y) + ((x - y) ** 2).sum(1) / (2 * t), u, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(
    "text, x, place, value",
    [
        ("sqrt(abs(x))", 1.5137, 0.0, 1.5137**2 / 10),
        ("abs(x)**0.25", 1.5, 0.0, 0.225),
        ("sqrt(norm(x, y))", (1.0, 1.0), (0.0, 0.0), 0.2),
    ],
)
def test_cusps_are_met_exactly(text, x, place, value):
    np.testing.assert_allclose(pl.proximal(Loss(text), x, 5.0), place, atol=1e-14)
    np.testing.assert_allclose(pl.hopf_lax(Loss(text), x, 5.0), value, rtol=1e-13)


def test_near_ties_on_a_coarse_grid():
    f = Loss("0.2*x**2 + 1.237*cos(11.987*x + 1.684) + 0.3*cos(2.3*x)")
    grid, t = Grid(-3.0, 3.0, 113), 0.02019
    u = pl.hopf_lax(f, grid, t)
    y = np.linspace(-3.0, 3.0, 600_001)
    exact = np.array([np.min(f(y) + (x - y) ** 2 / (2 * t)) for x in grid.x])
    assert u[63] == pytest.approx(0.27649, abs=1e-5)
    np.testing.assert_allclose(u, exact, atol=1e-7)
    turn = Loss("cos(7*x + 1) + 0.4*sin(3*x)")
    ring = Grid(0.0, 2 * math.pi, 40, boundary="periodic")
    free = pl.hopf_lax(turn, ring.x, 0.3)  # the same over R, where f continues by itself
    np.testing.assert_allclose(pl.hopf_lax(turn, ring, 0.3), free, atol=1e-13)


def test_a_narrow_well_in_space_on_a_grid():
    f = Loss("(x**2 + y**2 + z**2)/2 - 4*exp(-((x - 0.31)**2 + (y + 0.2)**2 + (z - 0.1)**2)/(2*0.02**2))")
    grid = Grid((-1.0,) * 3, (1.0,) * 3, 4)
    u = pl.hopf_lax(f, grid, 2.0)
    well = np.array([0.31, -0.2, 0.1])
    bound = at(f, well) + ((grid.points - well) ** 2).sum(-1) / 4.0
    assert (u <= bound + 1e-12).all() and (u >= bound - 1e-2).all()


# ----------------------------------------------------------------------------------------------- local entropy


def test_narrow_wells_carry_only_their_weight():
    """Below the minimum of f no average can be: at beta = 1e3 the well weighs nothing at x = 3.2."""
    assert float(pl.local_entropy(NARROW, 3.2, 5.0, 1e3)) == pytest.approx(-2.0775669777914, abs=1e-12)
    assert float(pl.local_entropy_gradient(NARROW, 3.2, 5.0, 1e3)) == pytest.approx(0.49994, abs=1e-5)
    grid = Grid(-4.0, 4.0, 81)
    on_grid = pl.local_entropy(NARROW, grid, 5.0, 1e3)
    np.testing.assert_allclose(on_grid, pl.local_entropy(NARROW, grid.x, 5.0, 1e3), atol=1e-11)
    assert (on_grid >= NARROW.minimum(-9.0, 9.0).bound).all()


@pytest.mark.parametrize("seed", range(6))
def test_local_entropy_of_narrow_wells(seed):
    """Against the trapezoid rule on 4e5 nodes (1-D) or 2000² (2-D): smooth wells of random width, place and depth."""
    rng = np.random.default_rng(seed)
    d = 1 + seed % 2
    wide = 10 ** (rng.uniform(-1.6, -0.5) if d == 1 else rng.uniform(-0.8, -0.3))
    names, centre = "xy"[:d], rng.uniform(-1, 1, 2)
    well = " + ".join(f"({a} - ({c:.4f}))**2" for a, c in zip(names, centre))
    f = Loss(f"0.2*({' + '.join(f'{a}**2' for a in names)}) + 0.3*cos(4*x) - 2*exp(-({well})/(2*{wide:.5f}**2))")
    t, beta = rng.uniform(0.2, 3.0), 10 ** rng.uniform(0, 2 if d == 1 else 1)
    x = rng.uniform(-2, 2, (3, d))
    reach, n = 7.0 + 7.0 * math.sqrt(t / beta), 400_001 if d == 1 else 2001
    y = np.stack([m.ravel() for m in np.meshgrid(*[np.linspace(-reach, reach, n)] * d, indexing="ij")], -1)
    where = x[:, 0] if d == 1 else x
    u = pl.local_entropy(f, where, t, beta)
    slope = pl.local_entropy_gradient(f, where, t, beta).reshape(3, d)
    bend = pl.local_entropy_hessian(f, where, t, beta).reshape(3, d, d)
    for k in range(3):
        exponent = -beta * (at(f, y) + ((y - x[k]) ** 2).sum(1) / (2 * t))
        total = logsumexp(exponent)
        weights = np.exp(exponent - total)
        mean = weights @ y
        covariance = (y - mean).T @ ((y - mean) * weights[:, None])
        volume = d * math.log(2 * reach / (n - 1)) - 0.5 * d * math.log(2 * math.pi * t / beta)
        assert u[k] == pytest.approx(-(total + volume) / beta, rel=1e-10, abs=1e-11)
        np.testing.assert_allclose(slope[k], (x[k] - mean) / t, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(bend[k], (np.eye(d) - beta / t * covariance) / t, rtol=1e-6, atol=1e-7 * beta / t)


def test_local_entropy_of_a_cusp():
    """Against mpmath, split at the cusp and at the scale of its weight."""
    f, t, beta = Loss("0.35*x**2 + 1.527*abs(x - 0.003)**0.25"), 1.18, 61.5
    ends = [0.003 + s * 10.0**k for s in (-1, 1) for k in range(-14, 1)]
    for x in (-1.98, 0.4):
        with mpmath.workdps(25):
            weight = lambda y, x=x: mpmath.exp(  # noqa: E731
                -beta * (0.35 * y**2 + 1.527 * abs(y - mpmath.mpf(0.003)) ** 0.25 + (x - y) ** 2 / (2 * t))
            )
            total = mpmath.quad(weight, sorted([-8.0, *ends, 0.003, 8.0, x]))
            exact = -float(mpmath.log(total / mpmath.sqrt(2 * mpmath.pi * t / beta))) / beta
        assert float(pl.local_entropy(f, x, t, beta)) == pytest.approx(exact, rel=1e-8)


@pytest.mark.parametrize("text", ["abs(x + 0.3705)**0.5", "sqrt(norm(x + 0.3705))"])
def test_local_entropy_of_a_cusp_at_low_temperature(text):
    """The weight of the cusp, exp(-beta a sqrt|y|) over 1e-8, is the whole integral."""
    t, beta, x, cusp = 0.2, 1e4, -0.2, mpmath.mpf(-0.3705)
    f = Loss(f"0.474*x**2 + 0.842*{text}")
    with mpmath.workdps(25):
        energy = lambda z: (  # noqa: E731
            mpmath.mpf(0.474) * (cusp + z) ** 2
            + mpmath.mpf(0.842) * mpmath.sqrt(abs(z))
            + (x - cusp - z) ** 2 / (2 * t)
        )
        ends = [s * mpmath.mpf(10) ** k for s in (-1, 1) for k in range(-14, 0)]
        total = mpmath.quad(lambda z: mpmath.exp(-beta * (energy(z) - energy(0))), sorted([*ends, 0]))
        exact = energy(0) - mpmath.log(total / mpmath.sqrt(2 * mpmath.pi * t / beta)) / beta
    assert float(pl.local_entropy(f, x, t, beta)) == pytest.approx(float(exact), abs=1e-12)


def test_derivatives_at_the_nodes_of_a_grid():
    """A Grid is taken like its points, in one to three dimensions."""
    for f, grid in (
        (losses.three_wells(), Grid(-2.0, 2.0, 90)),
        (Loss("x**2/2 + y**2 + 0.3*cos(3*x*y)"), Grid((-1.0, -1.0), (1.0, 1.0), (9, 10))),
        (Loss("x**2/2 + y**2 + z**2/3 + 0.2*cos(3*x*z)"), Grid((-1.0,) * 3, (1.0,) * 3, 3)),
    ):
        for function in (pl.local_entropy_gradient, pl.local_entropy_hessian):
            for beta in (5.0, math.inf):
                points = function(f, grid.points, 0.3, beta)
                np.testing.assert_allclose(function(f, grid, 0.3, beta), points, rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match="expected a Loss"):
        pl.local_entropy_gradient(np.zeros(90), Grid(-2.0, 2.0, 90), 0.3, 1.0)


# -------------------------------------------------------------------------------------------------- regularity


def test_every_critical_point_is_found():
    ring = Grid(0.0, 2 * math.pi, 32, boundary="periodic")
    points = regularity.critical_points(Loss("cos(x + 0.05)"), ring).points
    np.testing.assert_allclose(points, [math.pi - 0.05, 2 * math.pi - 0.05], atol=1e-12)
    torus = Grid((0.0, 0.0), (2 * math.pi,) * 2, 8, boundary="periodic")
    critical = regularity.critical_points(Loss("cos(x + 0.1) + cos(y + 0.2)"), torus)
    assert sorted(critical.index) == [0, 1, 1, 2]
    assert len(regularity.critical_points(losses.rastrigin(2), Grid((-2.0,) * 2, (2.1,) * 2, 3)).points) == 81
    with pytest.raises(ValueError, match="a curve or a region"):
        regularity.critical_points(Loss("x**2 + 0*y", ("x", "y")), Grid((-1.0,) * 2, (1.0,) * 2, 5))


@pytest.mark.parametrize("seed", range(4))
def test_critical_points_and_persistence_of_random_waves(seed):
    """Every sign change of f' on 6e5 nodes is found from a coarse grid, and T(c) is the brute-force infimum."""
    rng = np.random.default_rng(seed)
    wide = rng.uniform(0.01, 0.3)
    f = Loss(
        f"{rng.uniform(0.1, 0.4):.3f}*x**2 + {rng.uniform(0.2, 1):.3f}*cos({rng.uniform(4, 12):.3f}*x + 1) "
        f"+ 0.3*sin(2*x) - exp(-(x - {rng.uniform(-1, 1):.3f})**2/(2*{wide:.4f}**2))"
    )
    grid, y = Grid(-3.0, 3.0, 41), np.linspace(-3.0, 3.0, 600_001)
    slope, critical = f.gradient(y), regularity.critical_points(f, grid)
    crossings = y[np.flatnonzero(slope[1:] * slope[:-1] < 0)]
    assert len(crossings) == len(critical.points)
    np.testing.assert_allclose(critical.points, crossings, atol=2e-5)
    for c, time in zip(critical.points, regularity.persistence_times(f, grid)):
        drop = f(c) - f(y)
        lower = drop > 1e-9
        ratio = np.min((y[lower] - c) ** 2 / (2 * drop[lower]), initial=math.inf)
        bend = float(f.hessian(c))
        limit = -1 / bend if bend < 0 else math.inf
        assert time <= ratio * (1 + 1e-9)
        assert time == pytest.approx(min(ratio, limit), rel=1e-3)


def test_a_minimum_lost_between_the_nodes_is_not_for_ever():
    f = Loss("0.15*x**2 + 0.38*cos(7.481*x + 4.513) + 0.3*sin(2*x)")
    critical = regularity.critical_points(f, Grid(-4.0, 4.0, 79))
    times = regularity.persistence_times(f, Grid(-4.0, 4.0, 79))
    assert times[np.abs(critical.points + 0.206).argmin()] == pytest.approx(35.3307, abs=1e-4)


# ------------------------------------------------------------------------------------------ derivatives, periods


def test_derivatives_where_a_power_is_flat():
    """sqrt(max(x, 0)) is constant for x < 0: its derivatives are 0 there, and so for others of the kind."""
    for text in ("sqrt(max(x, 0))", "max(x, 0)**1.5", "asin(min(max(x, 0), 1)/2)", "max(x, 0)**0.3*max(x + 3, 0)**0.7"):
        f = Loss(text)
        assert f.gradient(-1.0) == 0.0 and f.hessian(-1.0) == 0.0
    assert Loss("max(x, 0)**1.5").hessian(4.0) == pytest.approx(0.375)
    np.testing.assert_allclose(Loss("abs(x)**0.5").gradient([-1.0, 0.0, 4.0]), [-0.5, 0.0, 0.25])
    assert math.isnan(Loss("log(max(x, 0))").gradient(-1.0))


def test_a_tilt_on_a_periodic_axis_is_noticed():
    ring = Grid(0.0, 2 * math.pi, 32, boundary="periodic")
    with pytest.warns(UserWarning, match="not periodic along axis 0: its two ends differ by 0.628"):
        Loss("cos(x) + 0.1*x").on(ring)
    assert Loss("cos(x)").on(ring).shape == (32,)


def test_tapes_share_what_is_common():
    tape = enclosures.tape(Loss("exp(x*y) + exp(x*y)**2 + sin(x*y)"))
    assert len(tape[0]) < 12


@pytest.mark.parametrize("seed", range(4))
def test_jumps_of_any_size_and_height_are_searched(seed):
    """c (sign(x - a) + (x - a)²) + o: down to c below the jump, to the rounding of the offset."""
    rng = np.random.default_rng(seed)
    for c in (1e-30, 10 ** rng.uniform(-25, 5), 1e-9):
        a, side = (0.0, 1.0)[seed % 2] if seed < 2 else rng.uniform(-1, 1), rng.uniform(0.1, 0.5)
        f, t = Loss(f"{c!r}*(sign(x - ({a})) + (x - ({a}))**2)"), 3 / c
        u = float(pl.hopf_lax(f, a + side, t))
        assert u == pytest.approx(c * (side**2 / 6 - 1), rel=1e-9)
    for offset in (1e3, 1e6, 1e9):
        least = Loss(f"{offset} + sign(x) + x**2").minimum(-1.0, 1.0)
        assert least.value - offset == pytest.approx(-1, abs=1e-14 * offset)
        assert least.bound <= offset - 1 <= least.value
    angle = Loss("1e6 + atan2(y, x - 1) + (x + 1)**2 + y**2").minimum([-2.0, -1.0], [0.5, 1.0])
    assert angle.value - angle.bound < 1e-5 * angle.value
