"""The spherical spin glass: closed formulas, exact counts at every N, derivatives, and what descent finds."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate

from pdelab import spin_glass
from pdelab.spin_glass import SpinGlass, expected_critical_points

THRESHOLDS = {  # theory2.md, C2.Ek: E_infinity; E_0, E_1, E_2
    3: (1.632993, 1.656998, 1.652873, 1.650253),
    4: (1.732051, 1.794085, 1.783300, 1.776478),
    10: (1.897367, 2.135364, 2.092142, 2.065219),
    20: (1.949359, 2.340679, 2.267430, 2.222309),
}


@pytest.mark.parametrize("p", THRESHOLDS)
def test_thresholds(p):
    values = [spin_glass.E_infinity(p), *(spin_glass.energy_threshold(p, k) for k in range(3))]
    assert np.allclose(values, THRESHOLDS[p], rtol=0, atol=6e-7)
    for k in range(3):
        assert abs(spin_glass.complexity(-values[k + 1], p, k)) < 1e-13


@pytest.mark.parametrize("p", [3, 4, 7])
def test_ground_state_is_that_of_one_step_replica_symmetry_breaking(p):
    """2/p = -2y (1 - y + log y)/(1-y)², E_0 = (1 + (p-1) y)/sqrt(p y): an independent derivation."""
    from scipy.optimize import brentq

    y = brentq(lambda y: -2 * y * (1 - y + math.log(y)) / (1 - y) ** 2 - 2 / p, 1e-6, 1 - 1e-6, xtol=1e-15)
    assert abs((1 + (p - 1) * y) / math.sqrt(p * y) - spin_glass.energy_threshold(p)) < 1e-10


@pytest.mark.parametrize("p", [3, 5, 11])
def test_complexity_is_the_integral_it_stands_for(p):
    edge = spin_glass.E_infinity(p)
    for u in (-edge - 0.01, -edge - 0.3, -3.0):
        rate, _ = integrate.quad(lambda z: 2 / edge**2 * math.sqrt(z * z - edge * edge), u, -edge, epsabs=1e-13)
        front = 0.5 * math.log(p - 1) - (p - 2) / (4 * (p - 1)) * u * u
        assert abs(spin_glass.complexity(u, p) - (front - rate)) < 1e-10
        assert abs(spin_glass.complexity(u, p, 2) - (front - 3 * rate)) < 1e-10
    plateau = 0.5 * math.log(p - 1) - (p - 2) / p
    assert abs(spin_glass.complexity(-edge, p, 4) - plateau) < 1e-12
    assert spin_glass.complexity(0.0, p, 4) == spin_glass.complexity(-edge, p, 4)
    assert spin_glass.complexity(1.0, p) == spin_glass.complexity(0.0, p)


def test_the_density_of_eigenvalues_is_that_of_matrices(rng):
    """All critical points as a quadrature against GOE matrices drawn whole, with an energy and a field."""
    for n, field, energy in ((4, 0.0, None), (5, 0.0, -0.8), (5, 1.0, -0.8), (6, 2.5, None)):
        matrices = rng.normal(size=(40000, n, n))
        eigenvalues = np.linalg.eigvalsh((matrices + matrices.transpose(0, 2, 1)) / math.sqrt(2.0))
        b = spin_glass.curvature_ratio(3, field)
        share = 1.0
        if energy is not None:
            first, second = 3 + field**2, 6.0
            u = first / (first + second) * eigenvalues * math.sqrt(second / n)
            noise = rng.normal(size=u.shape) * math.sqrt((1 + field**2 - first**2 / (first + second)) / n)
            share = u + noise <= energy
        sums = (np.exp(-b * eigenvalues**2 / 4) * share).sum(1)
        front = 2 * math.sqrt(1 + b) * ((1 + b) / (1 - b)) ** ((n - 1) / 2)
        value, error = expected_critical_points(n, 3, field, energy=energy)
        assert error == 0.0
        assert abs(front * sums.mean() - value) < 4 * front * sums.std() / 200


@pytest.mark.parametrize("n", [2, 3, 8, 51, 900])
def test_indices_add_up(n):
    """The sum over all indices is the total, and the number of eigenvalues is n."""
    assert expected_critical_points(n, 3, math.sqrt(3.0))[0] == 2 * n
    near = expected_critical_points(n, 3, math.sqrt(3.0) * (1 + 1e-9))[0]
    assert abs(near / (2 * n) - 1) < 1e-6
    if n <= 8:
        parts = [expected_critical_points(n, 3, 0.5, k, draws=4000, seed=k) for k in range(n)]
        total = expected_critical_points(n, 3, 0.5)[0]
        assert abs(sum(v for v, _ in parts) - total) < 4 * math.hypot(*(e for _, e in parts))


def test_expected_numbers_of_the_theory():
    """theory2.md, C2.16: all critical points at n = 10, 20, 50, 100 without a field."""
    for n, count in ((10, 286.9), (20, 13842), (50, 7.418e8), (100, 3.557e16)):
        assert abs(expected_critical_points(n)[0] / count - 1) < 5e-4
    value, error = expected_critical_points(100, 3, 0.0, 0, draws=1500)
    assert abs(value - 205) < 4 * math.hypot(error, 3)


def test_limits_are_reached():
    assert spin_glass.trivialisation_limit(0.0) == 2.0
    for tau in (-2.0, 1.0, 5.0):
        gaps = []
        for n in (200, 400, 800):
            field = math.sqrt((3 + 9 * tau / n) / (1 - tau / n))  # B = -tau/n
            gaps.append(expected_critical_points(n, 3, field)[0] / n - spin_glass.trivialisation_limit(tau))
        assert all(abs(a / b - 2) < 0.03 for a, b in itertools.pairwise(gaps))  # the rest falls as 1/n
    ratios = [expected_critical_points(n)[0] / spin_glass.exponential_limit(n) for n in (50, 200, 800)]
    assert all(abs(a - 1) > 3 * abs(b - 1) for a, b in itertools.pairwise(ratios)) and abs(ratios[-1] - 1) < 2e-3
    for kappa, expected in ((-1, 1.5276), (-2, 2.9525), (-4, 8.4030), (-6, 18.8023), (-8, 36.0043)):  # C2.18
        assert abs(spin_glass.edge_limit(kappa, log=True) - expected) < 1e-4
    assert abs(spin_glass.edge_limit(2.0) - 1.0804) < 5e-4 and abs(spin_glass.edge_limit(0.0) - 2) < 1e-12


@pytest.mark.parametrize("n, fields", [(2, [0.5, 10.0, 1e3]), (50, [10.0, 1e3, 1e8]), (400, [10.0, 1e2, 1e8])])
def test_a_large_field_leaves_two_critical_points(n, fields):
    """At n = 2 a stationary process on the circle has 2 sqrt(r4/r2) of them (Rice), r2 = p + ν², r4 = 3p² - 2p + ν²."""
    for field in fields:
        exact = 2 * math.sqrt((21 + field**2) / (3 + field**2)) if n == 2 else 2.0
        assert expected_critical_points(n, 3, field)[0] == pytest.approx(exact, rel=1e-10)


def test_one_minimum_is_left_beyond_the_edge():
    """lim E[minima] falls to 1; where it is near, it rests on F_1 far in its upper tail, at s = κ²/4."""
    limits = [spin_glass.edge_limit(kappa) for kappa in (0.0, 1.0, 2.0, 3.0, 4.0, 6.0)]
    assert (np.diff(limits) < 0).all() and limits[-1] == pytest.approx(1.0, abs=1e-5)
    assert [spin_glass.edge_limit(kappa) for kappa in (9.0, 12.0)] == pytest.approx([1.0, 1.0], abs=1e-10)


def test_means_over_few_matrices_are_told():
    with pytest.warns(UserWarning, match="too few for a standard error"):
        expected_critical_points(400, 3, 0.0, 0, draws=20)
    with pytest.warns(UserWarning, match="far too small"):  # one minimum is left, and 2000 matrices say 0.15
        value, _ = expected_critical_points(10, 3, 8.0, 0)
    assert value < 0.5


def test_printed_exponents_are_wrong():
    """The exponent |κ|³/24 + (2/3)|κ|^(3/2) is approached, the printed κ²/24 + (4 sqrt 2/3)|κ|^(3/2) is not."""
    gaps = []
    for kappa in (4.0, 8.0):
        log = spin_glass.edge_limit(-kappa, log=True)
        gaps.append(
            (log / (kappa**3 / 24 + 2 / 3 * kappa**1.5), log / (kappa**2 / 24 + 4 * math.sqrt(2) / 3 * kappa**1.5))
        )
    assert abs(gaps[1][0] - 1) < 0.02 < 0.2 < abs(gaps[1][1] - 1)


def test_tracy_widom_moments():
    s = np.linspace(-9, 8, 400)
    law = np.array([spin_glass.tracy_widom(float(v)) for v in s])
    assert (np.diff(law) > -1e-14).all() and law[0] < 1e-8 and 1 - law[-1] < 1e-8
    mean = s[-1] - integrate.simpson(law, x=s)
    square = s[-1] ** 2 - integrate.simpson(2 * s * law, x=s)
    assert abs(mean + 1.2065335745) < 1e-6 and abs(square - mean**2 - 1.6077810345) < 1e-5


@pytest.mark.parametrize("n, p, field", [(6, 3, 0.7), (5, 4, 0.0), (4, 5, 1.0), (2, 3, 0.5)])
def test_derivatives(n, p, field):
    glass = SpinGlass(n, p, field, seed=3)
    points, vectors = glass.random_points(4, seed=1), np.random.default_rng(2).normal(size=(4, n))
    vectors -= points * ((points * vectors).sum(1, keepdims=True) / n)

    def along(x, v, s):
        angle = s * np.linalg.norm(v) / math.sqrt(n)
        return n * glass.energy(
            glass.project(x * math.cos(angle) + v * (math.sin(angle) * math.sqrt(n) / np.linalg.norm(v)))
        )

    e = 1e-3
    for x, v in zip(points, vectors):
        values = [along(x, v, k * e) for k in (-2, -1, 0, 1, 2)]
        slope = (values[0] - 8 * values[1] + 8 * values[3] - values[4]) / (12 * e)
        bend = (-values[0] + 16 * values[1] - 30 * values[2] + 16 * values[3] - values[4]) / (12 * e * e)
        hessian = glass.hessian(x)
        assert abs(v @ glass.gradient(x) - slope) < 1e-7 * (1 + abs(slope))
        assert abs(v @ hessian @ v - bend) < 1e-5 * (1 + abs(bend))
        assert abs(hessian @ x).max() < 1e-12 and abs(hessian - hessian.T).max() < 1e-12
    assert np.allclose(glass.hessian(points[None])[0], [glass.hessian(x) for x in points], rtol=0, atol=1e-12)
    products = glass.hessian_vector_product(points, vectors)
    assert np.allclose(products, [glass.hessian(x) @ v for x, v in zip(points, vectors)], atol=1e-11)
    with pytest.raises(ValueError, match=r"vectors: expected shape \(\d+,\) or"):
        glass.hessian_vector_product(points, vectors[:, 1:])


@pytest.mark.parametrize("p", [3, 4])
def test_the_energy_is_the_sum_over_all_tuples(p):
    """Var H = N (1 + ν²) and E[H(x) H(y)] = N f(x·y/N), from 4000 glasses of three spins."""
    n, field = 3, 0.6
    x, y = SpinGlass(n, p).project(np.array([[1.0, 2.0, -0.5], [0.3, 1.0, 1.0]]))
    energies = np.array([SpinGlass(n, p, field, seed=s).energy([x, y]) for s in range(4000)])
    q = x @ y / n
    for measured, expected in (
        (energies[:, 0] ** 2, 1 + field**2),
        (energies[:, 0] * energies[:, 1], q**p + field**2 * q),
    ):
        assert abs(n * measured.mean() - expected) < 4 * n * measured.std() / math.sqrt(4000)


def test_census_at_five_spins():
    """Every critical point, by index, against Kac-Rice; Euler's characteristic is 2 in every glass (p = 3 and 4)."""
    for p, field, draws in ((3, 0.0, 60), (3, 1.0, 60), (4, 0.0, 30)):
        counts = []
        for seed in range(draws):
            census = spin_glass.critical_points(SpinGlass(5, p, field, seed), starts=600)
            assert census.euler_characteristic == 2
            counts.append(np.bincount(census.index, minlength=5))
        mean, error = np.mean(counts, 0), np.std(counts, 0, ddof=1) / math.sqrt(draws)
        expected = [expected_critical_points(5, p, field, k, draws=3000, seed=k) for k in range(5)]
        for k, (value, own) in enumerate(expected):
            assert abs(mean[k] - value) < 4 * math.hypot(error[k], own)


@pytest.mark.parametrize("n, p", [(8, 3), (14, 3), (20, 3), (8, 4), (12, 4), (16, 4)])
def test_two_minima_at_the_critical_field(n, p):
    """At ν = sqrt(p(p-2)) two minima are expected, for every N and p."""
    field = spin_glass.critical_field(p)
    counts = [spin_glass.descend(SpinGlass(n, p, field, s), 60, seed=s).minima.energies.size for s in range(60)]
    assert abs(np.mean(counts) - 2) < 4 * np.std(counts, ddof=1) / math.sqrt(60)


def test_descent_ends_at_minima():
    glass = SpinGlass(30, seed=5)
    runs = spin_glass.descend(glass, 300, seed=2)
    assert runs.converged.all() and (runs.gradients <= 1e-4).all()
    minima = runs.minima
    assert minima.basins.sum() == 300 and (minima.index == 0).all()
    assert abs(glass.gradient(minima.points)).max() < 1e-9
    assert (np.diff(minima.energies) >= 0).all()
    assert minima.energies[0] > -spin_glass.energy_threshold(3) - 0.3
    again = spin_glass.descend(glass, runs.points)
    assert (again.steps == 0).all()


def test_even_orders_have_minima_in_pairs():
    minima = spin_glass.descend(SpinGlass(12, 4, seed=2), 400, seed=1).minima
    for x, energy in zip(minima.points, minima.energies):
        partner = np.argmin(np.linalg.norm(minima.points + x, axis=1))
        assert np.linalg.norm(minima.points[partner] + x) < 1e-6 and abs(minima.energies[partner] - energy) < 1e-10


def test_a_census_that_is_not_complete_says_so():
    with pytest.warns(UserWarning, match="points are missing"):
        spin_glass.critical_points(SpinGlass(12, seed=1), starts=2)


def test_a_strong_field_leaves_one_minimum():
    minima = spin_glass.descend(SpinGlass(30, 3, 4.0, seed=1), 100, seed=1).minima
    assert minima.energies.size == 1 and minima.basins.tolist() == [100]


def test_a_minimum_does_not_stay_where_it_was_as_the_field_grows():
    """With a field of constant ν a minimum moves by O(1) (theory2.md, C2.T2.13), with ν/sqrt(N) by O(N^-1/2)."""
    strong, weak = [], []
    for seed in range(12):
        moved = []
        for n in (15, 60):
            glass = SpinGlass(n, seed=seed)
            deepest = spin_glass.descend(glass, 12, seed=1).minima.points[0]
            for field in (0.3, 0.3 / math.sqrt(n)):
                points, energies = spin_glass.continuation(glass, deepest, np.linspace(0, field, 4))
                assert energies[-1] < glass.with_field(field).energy(deepest)
                moved.append(np.linalg.norm(points[-1] - deepest) / math.sqrt(n))
        strong.append(math.log(moved[2] / moved[0]))
        weak.append(math.log(moved[3] / moved[1]))
    error = [np.std(logs, ddof=1) / math.sqrt(12) for logs in (strong, weak)]
    assert np.mean(strong) - 2 * error[0] > math.log(0.5) > np.mean(weak) - 2 * error[1]  # N^-1/2 would be 1/2
    assert np.mean(weak) + 2 * error[1] < 0


def test_smoothing_is_the_heat_flow_on_the_sphere(rng):
    glass = SpinGlass(6, 3, 0.7, seed=3)
    start = glass.random_points(1, seed=2)[0]
    time, steps = 0.4, 200
    points = np.repeat(start[None], 40000, 0)
    for _ in range(steps):
        points = glass.project(points + math.sqrt(time / steps) * rng.normal(size=points.shape))
    energies = glass.energy(points)
    assert abs(energies.mean() - glass.smoothed(time).energy(start)) < 4 * energies.std() / 200 + 0.002
    twice = glass.smoothed(0.15).smoothed(0.25)
    assert np.allclose(twice.energy(points[:20]), glass.smoothed(0.4).energy(points[:20]), rtol=0, atol=1e-12)
    assert np.allclose(glass.smoothed(0.0).energy(points[:20]), glass.energy(points[:20]), rtol=0, atol=1e-13)


def test_chao1():
    assert spin_glass.chao1([5, 3, 4]) == 3.0
    assert spin_glass.chao1([1, 1, 1, 1, 2, 7]) == 6 + 12 / 4
    assert spin_glass.chao1([]) == 0.0


def test_energies_of_minima():
    """theory2.md, C2.KRE: the mean energy of minima at N = 20, 30, 50."""
    for n, mean in ((20, -1.3526), (30, -1.4083), (50, -1.4603)):
        energies, weights = spin_glass.energy_law(n, draws=3000, seed=n)
        average = weights @ energies
        error = math.sqrt(float(weights**2 @ (energies - average) ** 2))
        assert abs(average - mean) < 4 * error + 2e-3


@pytest.mark.parametrize("call, words", [
    (lambda: SpinGlass(10, 2), "p: expected a whole number, at least 3"),
    (lambda: SpinGlass(10, 3, -1.0), "field"),
    (lambda: SpinGlass(1000, 4), "GB"),
    (lambda: SpinGlass(1), "n: "),
    (lambda: SpinGlass(5, seed=1.5), "seed"),
    (lambda: SpinGlass(5).energy(np.ones(4)), r"\(\.\.\., 5\)"),
    (lambda: SpinGlass(5).energy(2 * np.ones(5)), "project"),
    (lambda: SpinGlass(5).energy(np.full(5, np.nan)), "project"),
    (lambda: SpinGlass(5).project(np.zeros(5)), "directions"),
    (lambda: SpinGlass(5).hessian(np.ones(4)), r"\(\.\.\., 5\)"),
    (lambda: spin_glass.SparseNetwork(10, 11), "degree"),
    (lambda: spin_glass.SparseNetwork(10, 2).features(11), "active"),
    (lambda: spin_glass.SparseNetwork(10, 2).decode(np.full(10, 0.5)), "0 and 1"),
    (lambda: SpinGlass(5, 4).smoothed(0.1), "p: expected 3"),
    (lambda: spin_glass.complexity("x"), "u"),
    (lambda: spin_glass.complexity(0.0, 3, -1), "index"),
    (lambda: spin_glass.energy_threshold(2), "p"),
    (lambda: expected_critical_points(5, 3, 0.0, 5), "index"),
    (lambda: expected_critical_points(5, 3, math.inf), "field"),
    (lambda: expected_critical_points(3000), "log=True"),
    (lambda: expected_critical_points(5, 3, 0.0, 1, draws=1), "draws"),
    (lambda: spin_glass.exponential_limit(10, 3, 2.0), "field"),
    (lambda: spin_glass.edge_limit(-13.0), "kappa"),
    (lambda: spin_glass.trivialisation_limit(-1400.0), "tau: expected a number in"),
    (lambda: spin_glass.exponential_limit(3000), "n: expected a limit below 1e308"),
    (lambda: spin_glass.chao1([1.5, 2.0]), "basins: expected a list of whole numbers >= 1"),
    (lambda: spin_glass.chao1([2, 0]), "basins: expected a list of whole numbers >= 1"),
    (lambda: spin_glass.descend("x", 3), "SpinGlass"),
    (lambda: spin_glass.descend(SpinGlass(5), 0), "count"),
    (lambda: spin_glass.descend(SpinGlass(5), 3, step=0.0), "step"),
    (lambda: spin_glass.continuation(SpinGlass(5), np.ones(5), [-1.0]), "fields"),
])  # fmt: skip
def test_bad_input_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("n, p, field", [(14, 3, 0.5), (9, 4, 0.0)])
def test_descent_in_torch_takes_the_same_steps(n, p, field):
    pytest.importorskip("torch")
    from pdelab.networks.glass import descend

    glass = SpinGlass(n, p, field, seed=4)
    ours, theirs = spin_glass.descend(glass, 30, seed=2), descend(glass, 30, seed=2)
    assert np.array_equal(ours.steps, theirs.steps) and np.allclose(ours.points, theirs.points, atol=1e-10)
    assert np.allclose(ours.minima.energies, theirs.minima.energies, atol=1e-12)
    with pytest.raises(ValueError, match="device: expected one that there is here"):
        descend(glass, 3, device="nowhere")


@pytest.mark.parametrize("p", [3, 4])
@pytest.mark.parametrize("n", [8, 21, 60])
def test_twice_as_many_critical_points_as_spins(n, p):
    """At B = 0, E crt = 2N: by the shortcut, and by quadrature beside it."""
    field = spin_glass.critical_field(p)
    assert expected_critical_points(n, p, field) == (2.0 * n, 0.0)
    beside = [expected_critical_points(n, p, field * (1 + e))[0] for e in (-1e-6, 1e-6)]
    assert abs(sum(beside) / 2 - 2 * n) < 1e-7 * n and beside[0] > 2 * n > beside[1]


def test_a_sparse_network_is_decoded_when_its_degree_is_large():
    """Bits missed fall with the degree; with the printed threshold nearly all neurons fire (theory2.md, C2.1, C2.2)."""
    missed = []
    for degree in (12, 120):
        network = spin_glass.SparseNetwork(20000, degree, seed=1)
        wrong = [
            (network.decode(network.generate(h)) != h)[h].sum() for h in (network.features(10, s) for s in range(20))
        ]
        missed.append(np.sum(wrong) / 200)
    assert missed[1] < 0.05 < 0.12 < missed[0]
    silent = network.features(10, 3)
    assert network.generate(silent, strict=False).mean() > 0.95 and network.generate(silent).mean() < 0.05


def test_the_stiffness_bounds_every_hessian():
    """Most of all where the field points: there the curvature is that of the field."""
    for field in (0.0, 1.0, 20.0):
        glass = SpinGlass(12, field=field, seed=2)
        points = np.concatenate([glass.random_points(20, seed=1), glass.project([glass.linear, -glass.linear])
                                 if field else glass.random_points(2)])  # fmt: skip
        worst = np.abs(np.linalg.eigvalsh(glass.hessian(points))).max()
        assert worst <= glass.stiffness
        assert field < 20.0 or worst > 0.5 * glass.stiffness


def test_a_descent_that_starts_on_a_saddle_has_found_no_minimum():
    glass = SpinGlass(6, seed=1)
    critical = spin_glass.critical_points(glass, starts=400)
    saddles, minima = critical.points[critical.index > 0], critical.points[critical.index == 0]
    run = spin_glass.descend(glass, np.concatenate([saddles, minima]))
    assert run.converged.all() and len(run.minima.points) == len(minima) and (run.minima.index == 0).all()


def test_the_error_of_an_expected_number_is_that_of_its_mean():
    """Four draws: the deviation with N - 1 below, over the root of N, relative to the mean."""
    number, error = expected_critical_points(9, index=0, draws=4, seed=3)
    b = spin_glass.curvature_ratio(3, 0.0)
    terms = np.exp(-0.25 * b * spin_glass.kac_rice.goe_eigenvalues(9, 0, 4, 3) ** 2)
    assert error / number == pytest.approx(terms.std(ddof=1) / 2 / terms.mean(), rel=1e-12)
