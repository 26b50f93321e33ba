"""Transport on the line: W₂ against closed forms and brute force; the minimising movement against its own theory."""

import math
from itertools import pairwise

import numpy as np
import pytest
from densities import gaussian
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import fixed_quad, quad
from scipy.special import ndtr

from pdelab import transport
from pdelab.grid import Grid
from pdelab.losses import Loss
from pdelab.transport import Law, free_energy, jko, jko_gaussian, law, movement, wasserstein, wasserstein_gaussian

EXAMPLES = settings(deadline=None, max_examples=25, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)


def random_law(rng, cells, masses=None):
    edges = np.cumsum(rng.exponential(size=cells + 1)) * 4 / cells - 2
    masses = rng.dirichlet(np.ones(cells)) if masses is None else masses
    return Law(edges[:-1], edges[1:], masses)


# -- laws and the distance --------------------------------------------------------------------------------------


def test_moments_and_entropy_of_a_law():
    law = Law([0.0, 2.0], [1.0, 4.0], [0.25, 0.75])
    second = 0.25 / 3 + 0.75 / 2 * (4**3 - 2**3) / 3
    assert law.mean == pytest.approx(0.25 * 0.5 + 0.75 * 3)
    assert law.variance == pytest.approx(second - law.mean**2)
    assert law.entropy == pytest.approx(0.25 * math.log(0.25) + 0.75 * math.log(0.375))
    assert law.quantiles([0.0, 0.125, 0.25, 0.625, 1.0]) == pytest.approx([0.0, 0.5, 1.0, 3.0, 4.0])


def test_density_returns_to_the_grid():
    grid = Grid(-1.0, 2.0, 61)
    rho = 1.5 + np.sin(3 * grid.x)
    rho /= grid.integrate(rho)
    assert law(grid, rho).density(grid) == pytest.approx(rho, rel=1e-12)
    finer = Grid(-2.0, 3.0, 333)
    assert finer.integrate(law(grid, rho).density(finer)) == pytest.approx(1.0, abs=1e-14)


@EXAMPLES
@given(SEEDS)
def test_distance_is_the_integral_over_quantiles(seed):
    rng = np.random.default_rng(seed)
    p, q = random_law(rng, 7), random_law(rng, 5)
    breaks = np.unique([0.0, 1.0, *np.minimum(np.cumsum(p.masses), 1), *np.minimum(np.cumsum(q.masses), 1)])
    square = sum(  # a parabola between two breaks, which two nodes of Gauss integrate exactly
        fixed_quad(lambda s: (p.quantiles(s) - q.quantiles(s)) ** 2, a, b, n=2)[0] for a, b in pairwise(breaks)
    )
    assert wasserstein(p, q) == pytest.approx(math.sqrt(square), rel=1e-9)


@EXAMPLES
@given(SEEDS)
def test_distance_is_a_metric(seed):
    rng = np.random.default_rng(seed)
    p, q, r = (random_law(rng, n) for n in (3, 8, 20))
    assert wasserstein(p, p) == 0
    assert wasserstein(p, q) == pytest.approx(wasserstein(q, p), rel=1e-13)
    assert wasserstein(p, r) <= wasserstein(p, q) + wasserstein(q, r) + 1e-14
    shift = rng.normal()
    moved = Law(p.left + shift, p.right + shift, p.masses)
    assert wasserstein(p, moved) == pytest.approx(abs(shift), rel=1e-12)


def test_laws_with_holes():
    """Half the mass travels one, half three: the hole in the first support must not be filled."""
    p = Law([0.0, 10.0], [1.0, 11.0], [0.5, 0.5])
    q = Law([1.0, 13.0], [2.0, 14.0], [0.5, 0.5])
    assert wasserstein(p, q) == pytest.approx(math.sqrt((1 + 9) / 2), rel=1e-14)


def test_distance_of_gaussians_has_second_order():
    errors, sizes = [], (51, 101, 201, 401)
    for n in sizes:
        grid = Grid(-9.0, 9.0, n)
        distance = wasserstein(law(grid, gaussian(grid, 0.0, 1.0)), law(grid, gaussian(grid, 1.0, 0.5)))
        errors.append(abs(distance - wasserstein_gaussian(0.0, 1.0, 1.0, 0.25)))
    order = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert 1.85 < order < 2.15
    assert errors[-1] < 5e-5


def test_gaussians_in_many_dimensions(rng):
    commuting = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    a, b = np.array([1.0, 4.0, 9.0]), np.array([4.0, 1.0, 0.0])
    mean = rng.normal(size=3)
    s1, s2 = (commuting @ np.diag(v) @ commuting.T for v in (a, b))
    exact = math.sqrt(mean @ mean + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum())
    assert wasserstein_gaussian(mean, s1, 0 * mean, s2) == pytest.approx(exact, rel=1e-7)  # one eigenvalue is zero
    assert wasserstein_gaussian(mean, s2, 0 * mean, s1) == pytest.approx(exact, rel=1e-7)


def test_close_gaussians_keep_their_digits(rng):
    """To a few roundings times the condition of a covariance, however close the laws; singular ones too."""
    mpmath = pytest.importorskip("mpmath")

    def exact(s1, s2):
        with mpmath.workdps(60):
            first, second = (mpmath.matrix(s.tolist()) for s in (s1, s2))
            values, vectors = mpmath.eigsy(first)
            root = vectors * mpmath.diag([mpmath.sqrt(v) for v in values]) * vectors.T
            cross = mpmath.eigsy((root * second * root + (root * second * root).T) / 2, eigvals_only=True)
            total = sum(first[k, k] + second[k, k] for k in range(len(s1)))
            return float(mpmath.sqrt(total - 2 * sum(mpmath.sqrt(v) for v in cross)))

    for _ in range(60):
        d, scale, close = int(rng.integers(1, 5)), *10.0 ** rng.uniform([-30, -12], [30, 0])
        basis, noise = np.linalg.qr(rng.normal(size=(d, d)))[0], rng.normal(size=(d, d))
        s1 = scale * (basis * 10.0 ** rng.uniform(0, 3, d)) @ basis.T
        s1, stretch = (s1 + s1.T) / 2, np.eye(d) + 0.1 * close * (noise + noise.T)
        s2 = stretch @ s1 @ stretch
        s2 = (s2 + s2.T) / 2
        slack = 20 * np.finfo(float).eps * np.linalg.cond(s1)
        for pair in ((s1, s2), (s2, s1)):
            distance = wasserstein_gaussian(np.zeros(d), pair[0], np.zeros(d), pair[1])
            assert distance == pytest.approx(exact(*pair), rel=slack)
        assert wasserstein_gaussian(np.zeros(d), s1, np.zeros(d), s1) == 0
    zero, large = np.zeros(2), 1e12
    assert wasserstein_gaussian(zero, np.diag([large, 1e-12]), zero, np.diag([large, 4e-12])) == pytest.approx(1e-6)
    assert wasserstein_gaussian(zero, np.diag([large, 0.0]), zero, np.diag([0.0, large])) == pytest.approx(1e6 * 2**0.5)
    assert wasserstein_gaussian([1e200, 0.0], np.eye(2), zero, np.zeros((2, 2))) == 1e200
    with pytest.raises(ValueError, match="means: expected finite"):
        wasserstein_gaussian(math.nan, 1.0, 0.0, 1.0)


def test_gaussian_quantile_function():
    grid = Grid(-9.0, 9.0, 2001)
    levels = np.array([0.01, 0.3, 0.5, 0.9])
    assert ndtr(law(grid, gaussian(grid, 0.0, 1.0)).quantiles(levels)) == pytest.approx(levels, abs=1e-5)


# -- the minimising movement ------------------------------------------------------------------------------------


def test_step_is_the_gaussian_closed_form():
    """Same step from the same Gaussian: the difference is the grid's, of second order."""
    errors, sizes = [], (101, 201, 401, 801)
    for n in sizes:
        grid = Grid(-7.0, 8.0, n)
        after = jko(law(grid, gaussian(grid, 1.0, 0.6)), Loss("0.75*x**2"), 0.1, 4, beta=2.0)[-1]
        mean, deviation = 1.0, 0.6
        for _ in range(4):
            mean, deviation = jko_gaussian(mean, deviation, 1.5, 0.1, beta=2.0)
        assert after.mean == pytest.approx(mean, abs=1e-12)
        errors.append(abs(math.sqrt(after.variance) - deviation))
    order = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert 1.85 < order < 2.15
    assert errors[-1] < 3e-5


def test_first_order_in_the_step():
    """Against the Ornstein-Uhlenbeck law at t = 0.5, curvature 1.5, beta = 2."""
    grid = Grid(-7.0, 8.0, 801)
    decay = math.exp(-1.5)
    deviation = math.sqrt(0.36 * decay + (1 - decay) / 3.0)
    exact = law(grid, gaussian(grid, math.exp(-0.75), deviation))
    errors, taus = [], (0.1, 0.05, 0.025, 0.0125)
    for tau in taus:
        after = jko(law(grid, gaussian(grid, 1.0, 0.6)), Loss("0.75*x**2"), tau, round(0.5 / tau), beta=2.0)[-1]
        errors.append(wasserstein(after, exact))
    order = np.polyfit(np.log(taus), np.log(errors), 1)[0]
    assert 0.9 < order < 1.1
    assert errors[-1] < 0.006


def test_heat_flow_without_potential():
    grid = Grid(-9.0, 9.0, 801)
    laws = jko(law(grid, gaussian(grid, 0.3, 1.0)), None, 0.05, 4, beta=0.5)
    assert laws[-1].mean == pytest.approx(laws[0].mean, abs=1e-12)
    assert laws[-1].variance == pytest.approx(1 + 2 * 0.2 / 0.5, rel=0.02)  # tau = 0.05 leaves 0.7 % here


@EXAMPLES
@given(SEEDS, st.floats(0.01, 0.6))
def test_step_contracts(seed, tau):
    """V'' >= 1.3 everywhere: W₂ shrinks by 1/(1 + 1.3 τ) for laws of the same masses, to round-off."""
    rng = np.random.default_rng(seed)
    potential = Loss("0.85*x**2 + 0.4*cos(x)")
    p = random_law(rng, 12)
    q = random_law(rng, 12, p.masses)
    after = [jko(law, potential, tau, beta=2.0)[-1] for law in (p, q)]
    assert wasserstein(*after) <= wasserstein(p, q) / (1 + 1.3 * tau) + 1e-10


@EXAMPLES
@given(SEEDS, st.floats(0.01, 0.6))
def test_step_pays_for_its_way(seed, tau):
    """F(ρ₁) + W₂²/(2τ) <= F(ρ₀), in a double well, and no competitor nearby does better than ρ₁."""
    rng = np.random.default_rng(seed)
    potential = Loss("(x**2 - 1)**2/4")
    before = random_law(rng, 9)
    after = jko(before, potential, tau, beta=2.0)[-1]

    def cost(candidate):
        return free_energy(candidate, potential, beta=2.0) + wasserstein(before, candidate) ** 2 / (2 * tau)

    best = cost(after)
    assert best <= free_energy(before, potential, beta=2.0) + 1e-12
    edges = np.append(after.left, after.right[-1])
    for _ in range(5):
        other = np.sort(edges + 1e-3 * rng.normal(size=edges.size))
        assert cost(Law(other[:-1], other[1:], after.masses)) > best


def test_derivatives_of_a_step(rng):
    """Gradient and Hessian against central differences of the energy (step 1e-5: errors of 1e-10 relative)."""
    potential, masses = Loss("(x**2 - 1)**2/4 + 0.3*sin(3*x)"), rng.dirichlet(np.ones(6))
    start, edges = (np.cumsum(rng.uniform(0.3, 0.6, size=7)) - 1.5 for _ in range(2))
    rest = start, masses, potential, 0.2, 2.0
    gradient, diagonal, side = movement._derivatives(edges, *rest)
    hessian = np.diag(diagonal) + np.diag(side, 1) + np.diag(side, -1)
    slope, rows = [], []
    for e in 1e-5 * np.eye(7):
        slope.append((movement._energy(edges + e, *rest) - movement._energy(edges - e, *rest)) / 2e-5)
        ahead, behind = (movement._derivatives(edges + sign * e, *rest)[0] for sign in (1, -1))
        rows.append((ahead - behind) / 2e-5)
    assert gradient == pytest.approx(np.array(slope), abs=1e-8)
    assert hessian == pytest.approx(np.array(rows), abs=1e-7)


def test_gibbs_stays_put():
    """The step moves Gibbs by the size of the grid's error only, of second order."""
    moved = []
    for n in (101, 201, 401):
        grid = Grid(-3.0, 3.0, n)
        gibbs = np.exp(-2.0 * (grid.x**2 - 1) ** 2 / 4)
        start = law(grid, gibbs / grid.integrate(gibbs))
        moved.append(wasserstein(jko(start, Loss("(x**2 - 1)**2/4"), 0.05, beta=2.0)[-1], start))
    assert moved[1] < 0.3 * moved[0] and moved[2] < 0.3 * moved[1]
    assert moved[2] < 2e-4


def test_masses_of_many_decades():
    """A narrow start on a wide grid: tails below 1e-30 are left out, the rest must survive."""
    grid = Grid(-6.0, 6.0, 1201)
    laws = jko(law(grid, gaussian(grid, 0.0, 0.1)), Loss("x**2/2"), 0.05, 2, beta=4.0)
    _, deviation = jko_gaussian(0.0, 0.1, 1.0, 0.05, beta=4.0)
    _, deviation = jko_gaussian(0.0, deviation, 1.0, 0.05, beta=4.0)
    assert math.sqrt(laws[-1].variance) == pytest.approx(deviation, rel=2e-3)


# -- at the door ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda g: law(g, np.ones(g.shape)), "mass one"),
        (lambda g: law(g, -np.ones(g.shape)), "density >= 0"),
        (lambda g: law(g, np.ones(3)), "expected shape"),
        (lambda g: law(Grid(0.0, 1.0, 5, boundary="periodic"), np.ones(5)), "interval"),
        (lambda g: law(Grid((0, 0), (1, 1), 5), np.ones((5, 5))), "interval"),
        (lambda g: Law([0.0, 0.5], [1.0, 2.0], [0.5, 0.5]), "in order"),
        (lambda g: Law([0.0, 1.0], [1.0, 2.0], [0.5, 0.6]), "sum one"),
        (lambda g: Law([0.0], [1.0, 2.0], [1.0]), "left, right, masses: expected one of each a cell"),
        (lambda g: Law([np.nan], [1.0], [1.0]), "finite"),
        (lambda g: wasserstein(np.ones(3), np.ones(3)), "expected a Law"),
        (lambda g: Law([0.0], [1.0], [1.0]).quantiles(1.5), r"\[0, 1\]"),
        (lambda g: Law([0.0], [5.0], [1.0]).density(g), "grid: expected one that covers the law"),
        (lambda g: jko(Law([0.0], [1.0], [1.0]), Loss("x**2"), 0.0), "tau"),
        (lambda g: jko(Law([0.0], [1.0], [1.0]), Loss("x**2"), 0.1, 1.5), "steps"),
        (lambda g: jko(Law([0.0], [1.0], [1.0]), Loss("x**2"), 0.1, beta=0.0), "beta"),
        (lambda g: jko(Law([0.0], [1.0], [1.0]), Loss("x*y"), 0.1), "one variable"),
        (lambda g: jko(Law([0.0, 2.0], [1.0, 3.0], [0.5, 0.5]), None, 0.1), "hole"),
        (lambda g: jko(Law([-0.1], [0.1], [1.0]), Loss("-5*x**2"), 1.0), "tau: expected less than"),
        (lambda g: wasserstein_gaussian([0.0, 0.0], np.eye(3), [0.0, 0.0], np.eye(2)), "means"),
        (lambda g: wasserstein_gaussian(0.0, -1.0, 0.0, 1.0), "semi-definite"),
        (lambda g: jko_gaussian(0.0, 1.0, -2.0, 1.0), "tau"),
        (lambda g: jko_gaussian(0.0, 1.0, 1.0, 0.0), "tau: expected a number > 0"),
        (lambda g: jko_gaussian(0.0, -1.0, 1.0, 0.1), "deviation: expected a number > 0"),
        (lambda g: jko_gaussian(0.0, 1.0, 1.0, 0.1, beta=-1.0), "beta: expected a number > 0"),
    ],
)
def test_bad_input_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make(Grid(0.0, 2.0, 21))


# -- atoms, samples, other orders, the plane ---------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 1.5, 2, 3, 7])
def test_samples_against_samples_is_sorting(order, rng):
    x, y = rng.standard_cauchy(400), rng.normal(size=400)  # outliers
    expected = np.mean(np.abs(np.sort(x) - np.sort(y)) ** order) ** (1 / order)
    assert wasserstein(transport.law_of_samples(x), transport.law_of_samples(y), order) == pytest.approx(
        expected, rel=1e-11
    )


def test_weights_and_ties_are_what_they_stand_for(rng):
    values, repeats = rng.integers(-3, 4, 50).astype(float), rng.integers(0, 5, 50)
    plain = transport.law_of_samples(np.repeat(values, repeats))
    weighted = transport.law_of_samples(values, repeats)
    assert np.array_equal(plain.left, weighted.left) and np.allclose(plain.masses, weighted.masses, rtol=1e-14)
    for order in (1, 2):
        assert wasserstein(plain, weighted, order) < 1e-7


def test_order_one_is_that_of_scipy(rng):
    from scipy.stats import wasserstein_distance

    for _ in range(50):
        x, y = (np.round(rng.normal(size=rng.integers(1, 30)), 1) * 10.0 ** rng.integers(-3, 4) for _ in range(2))
        u, v = rng.exponential(size=x.size), rng.exponential(size=y.size)
        ours = wasserstein(transport.law_of_samples(x, u), transport.law_of_samples(y, v), order=1)
        assert ours == pytest.approx(wasserstein_distance(x, y, u, v), rel=1e-10, abs=1e-14)


@EXAMPLES
@given(SEEDS, st.sampled_from([1, 1.7, 2, 4]))
def test_atoms_against_densities(seed, order):
    """Cells, atoms and both, against quadrature of the quantile functions."""
    rng = np.random.default_rng(seed)
    edges = np.sort(rng.normal(size=8))
    left, right = edges[::2].copy(), edges[1::2].copy()
    right[1] = left[1]
    mixed, samples = (
        Law(left, right, rng.dirichlet(np.ones(4))),
        transport.law_of_samples(np.round(rng.normal(size=9), 1)),
    )
    breaks = np.unique(np.concatenate([[0.0], np.cumsum(mixed.masses), np.cumsum(samples.masses)]))
    breaks[-1] = 1.0
    total = 0.0
    for a, b in zip(breaks[:-1], breaks[1:]):
        if b - a > 1e-12:
            gap = lambda s: abs(float(mixed.quantiles(s) - samples.quantiles(s))) ** order  # noqa: E731
            total += quad(gap, a + 1e-13, b - 1e-13, limit=200, epsabs=1e-11)[0]
    assert wasserstein(mixed, samples, order) == pytest.approx(total ** (1 / order), rel=1e-5, abs=1e-6)
    assert mixed.entropy == math.inf


def test_numbers_whose_differences_leave_float64_are_refused():
    for values in ([1e308, -1e308], [-1e308]):
        with pytest.raises(ValueError, match="up to 1e.307, whose differences fit into float64"):
            transport.law_of_samples(values)
    far = transport.law_of_samples([1e307]), transport.law_of_samples([-1e307])
    assert wasserstein(*far) == pytest.approx(2e307)


def test_huge_outliers_do_not_overflow():
    one, two = transport.law_of_samples([0.0, 1e200]), transport.law_of_samples([0.0, 3e200])
    assert wasserstein(one, two) == pytest.approx(math.sqrt(0.5) * 2e200)
    assert wasserstein(one, two, order=1) == pytest.approx(1e200)


@pytest.mark.parametrize("order", [1, 1.5, 2, 3])
def test_small_masses_count_at_both_ends(order, rng):
    """An atom of mass m at x against none: m^(1/p) x/(1 + m)^(1/p), however small m is, and on either side."""
    for m in (1e-3, 1e-14, 1e-16, 1e-40, 1e-300):
        for sign in (-1, 1):
            x = sign * m ** (-1 / order)
            distance = wasserstein(transport.law_of_samples([0.0, x], [1.0, m]), transport.law_of_samples([0.0]), order)
            assert distance == pytest.approx((1 + m) ** (-1 / order), rel=1e-13)
    p, q = random_law(rng, 9), random_law(rng, 6, 10.0 ** -np.arange(0, 60, 10) / (10.0 ** -np.arange(0, 60, 10)).sum())
    mirrored = [Law(-law.right[::-1], -law.left[::-1], law.masses[::-1]) for law in (p, q)]
    assert wasserstein(p, q, order) == pytest.approx(wasserstein(*mirrored, order), rel=1e-14)
    atoms = transport.law_of_samples([0.0, 1.0], [1.0, 1e-20])
    assert atoms.quantiles([0.0, 0.5, 1.0]).tolist() == [0.0, 0.0, 1.0]
    levels = rng.random(50)
    assert mirrored[0].quantiles(levels) == pytest.approx(-p.quantiles(1 - levels), abs=1e-12)
    grid = Grid(-12.0, 12.0, 241)
    rho = gaussian(grid, 0.0, 1.0)
    assert law(grid, rho).density(grid) == pytest.approx(rho, rel=1e-12, abs=0)


def test_atoms_on_a_grid_keep_their_mass(rng):
    grid = Grid(-4.0, 4.0, 33)
    values = np.append(rng.normal(size=200).clip(-4, 4), [-4.0, 4.0, 0.125])
    density = transport.law_of_samples(values).density(grid)
    assert grid.integrate(density) == pytest.approx(1.0, abs=1e-14)
    assert abs(wasserstein(law(grid, density), transport.law_of_samples(values))) < grid.spacing[0]


def test_displacement_is_a_geodesic(rng):
    ends = transport.law_of_samples(rng.normal(size=20)), random_law(rng, 7)
    whole = wasserstein(*ends)
    for share in (0.0, 0.3, 1.0):
        between = transport.displacement(*ends, share)
        assert wasserstein(ends[0], between) == pytest.approx(share * whole, abs=1e-9)
        assert wasserstein(between, ends[1]) == pytest.approx((1 - share) * whole, abs=1e-9)


def test_clouds_on_a_line_agree_with_quantiles(rng):
    pytest.importorskip("ot")
    for order in (1, 2):
        for _ in range(5):
            x, y = rng.normal(size=rng.integers(5, 60)), rng.normal(size=rng.integers(5, 60))
            u, v = rng.exponential(size=x.size), rng.exponential(size=y.size)
            exact = wasserstein(transport.law_of_samples(x, u), transport.law_of_samples(y, v), order)
            moved = transport.wasserstein_points(x, y, (u, v), order=order)
            assert abs(moved.distance - exact) < 1e-9
            assert moved.low <= moved.distance <= moved.high and moved.high - moved.low < 1e-7
            assert np.allclose(moved.plan.sum(1), u / u.sum()) and np.allclose(moved.plan.sum(0), v / v.sum())


@pytest.mark.parametrize("order", [1, 2, 4, 7.5])
def test_clouds_of_any_size(order):
    """Units are free: one point goes up by the unit and one by two of them."""
    pytest.importorskip("ot")
    first, second = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 1.0], [1.0, 2.0]])
    for unit in (1e-300, 1e-200, 1e-80, 1.0, 1e80, 1e155, 1e300):
        for regularisation in (0.0, 0.005)[: 2 if order == 2 else 1]:
            given = {"order": order, "regularisation": regularisation}
            moved = transport.wasserstein_points(first * unit, second * unit, **given)
            exact = unit * ((1 + 2**order) / 2) ** (1 / order)
            assert moved.distance == pytest.approx(exact, rel=1e-3 if regularisation else 1e-13, abs=0)
            assert 0.99 * moved.distance < moved.low <= moved.high == moved.distance


def test_regularised_bounds_hold(rng):
    pytest.importorskip("ot")
    x, y = rng.normal(size=(40, 2)), rng.normal(size=(50, 2)) + 1
    exact = transport.wasserstein_points(x, y).distance
    gaps = []
    for regularisation in (0.05, 0.005):
        rough = transport.wasserstein_points(x, y, regularisation=regularisation)
        assert rough.low <= exact * (1 + 1e-12) and exact <= rough.high * (1 + 1e-12)
        assert np.allclose(rough.plan.sum(1), 1 / 40) and np.allclose(rough.plan.sum(0), 1 / 50)
        gaps.append(rough.high - rough.low)
    assert gaps[1] < 0.3 * gaps[0]


def test_gaussians_in_the_plane():
    pytest.importorskip("ot")
    grid, h = Grid((-5, -5), (5, 5), (26, 26)), 0.4

    def normal(mean, covariance):
        moved = grid.points - mean
        density = np.exp(-0.5 * np.einsum("...i,ij,...j->...", moved, np.linalg.inv(covariance), moved))
        return density / grid.integrate(density)

    first, second = np.diag([1.0, 0.5]), np.array([[0.8, 0.3], [0.3, 1.0]])
    exact = wasserstein_gaussian([0, 0], first, [1, -0.5], second)
    moved = transport.wasserstein_grid(grid, normal([0, 0], first), normal([1, -0.5], second))
    assert abs(moved.distance - exact) < h * h


@pytest.mark.parametrize("call, words", [
    (lambda: transport.law_of_samples([]), "values"),
    (lambda: transport.law_of_samples([1.0, math.nan]), "values"),
    (lambda: transport.law_of_samples([1.0], [-1.0]), "weights"),
    (lambda: transport.law_of_samples([1.0, 2.0], [1.0]), "weights"),
    (lambda: wasserstein(transport.law_of_samples([1.0]), transport.law_of_samples([1.0]), 0.5), "order"),
    (lambda: transport.displacement(transport.law_of_samples([1.0]), transport.law_of_samples([1.0]), 2), "share"),
    (lambda: jko(transport.law_of_samples([1.0, 2.0]), None, 0.1), "atoms"),
    (lambda: transport.wasserstein_points(np.zeros((3, 2)), np.zeros((3, 1))), "coordinates"),
    (lambda: transport.wasserstein_points(np.zeros((3, 2)), np.full((3, 2), np.inf)), "second"),
    (lambda: transport.wasserstein_points(np.zeros(3), np.zeros(3), ([1, 1], None)), "weights"),
    (lambda: transport.wasserstein_grid(Grid(0, 1, 5), np.ones(5), 2 * np.ones(5)), "integral"),
    (lambda: transport.wasserstein_grid(Grid(0, 1, 5, boundary="periodic"), np.ones(5), np.ones(5)), "periodic"),
])  # fmt: skip
def test_bad_input_of_laws_and_clouds(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_missing_package_is_asked_for_by_name(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ot", None)
    with pytest.raises(ModuleNotFoundError, match=r"pdelab\[transport\]"):
        transport.wasserstein_points([0.0], [1.0])


@pytest.mark.parametrize("order", [1, 1.5, 3])
def test_quantiles_may_cross_inside_a_cell(order):
    """U(0, 1) and U(-1, 2) are 1 - 2s apart at the level s, which is the mean of |u|^p over (-1, 1)."""
    narrow, wide = Law([0.0], [1.0], [1.0]), Law([-1.0], [2.0], [1.0])
    assert wasserstein(narrow, wide, order) == pytest.approx((1 / (order + 1)) ** (1 / order), rel=1e-14)
