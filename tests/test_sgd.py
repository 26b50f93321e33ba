"""SGD: the covariance of mini-batches by listing them all, the algorithm, and the orders of its diffusions."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from observed import slope
from scipy.linalg import expm

import pdelab as pl
from pdelab import paths, sgd
from pdelab.losses import Loss
from pdelab.paths import engine
from pdelab.sgd import FiniteSum

A, C = np.array([1.0, 0.6, 1.4, 0.8, 1.2]), np.array([0.3, -0.5, 0.9, 0.1, -0.8])
NONCONVEX = FiniteSum("a*cos(x)/2 + x**2/2 + c*x", a=A, c=C)
QUADRATICS = FiniteSum("a*(x - c)**2/2", a=A, c=C)


# --------------------------------------------------------------------------------------------------- finite sums


def plane(rng, count):
    """A finite sum in two dimensions."""
    return FiniteSum("a*x**2/2 + b*x*y + cos(y - c)", ("x", "y"), **dict(zip("abc", rng.normal(size=(3, count)))))


def test_a_finite_sum_is_the_mean_of_its_terms(rng):
    f = plane(rng, 6)
    points = rng.normal(size=(4, 3, 2))
    single = lambda a, b, c: FiniteSum("a*x**2/2 + b*x*y + cos(y - c)", ("x", "y"), a=[a], b=[b], c=[c])  # noqa: E731
    terms = [single(*row) for row in f.columns]
    for name in ("__call__", "gradient", "hessian"):
        expected = np.mean([getattr(term, name)(points) for term in terms], axis=0)
        assert np.allclose(getattr(f, name)(points), expected, atol=1e-14)
    assert np.allclose(f.gradients(points)[..., 2, :], terms[2].gradient(points), atol=1e-14)
    assert np.allclose(f.loss.hessian(points), f.hessian(points)) and f.loss.dimension == 2
    line = FiniteSum("h*(x - c)**2", h=[1.0, 3.0], c=[0.0, 1.0])
    assert line(0.5) == pytest.approx(0.5) and line([0.5, 1.0]).shape == (2,) and line([[0.5]]).shape == (1, 1)
    assert f.gradients(points).shape == (4, 3, 6, 2) and f.covariance(points).shape == (4, 3, 2, 2)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(count=st.integers(1, 6), batch=st.integers(1, 4), replacement=st.booleans(), seed=st.integers(0, 100))
def test_the_covariance_is_that_of_all_batches(count, batch, replacement, seed):
    """Lemma 6.3, corrected, by enumeration: exact to round-off, in one and two dimensions."""
    rng = np.random.default_rng(seed)
    batch = batch if replacement else min(batch, count)
    line = FiniteSum("h*(x - c)**2", h=rng.normal(size=count), c=rng.normal(size=count))
    for f, x in ((line, 0.7), (plane(rng, count), [0.3, -1.0])):
        batches = f.batches(batch, replacement=replacement)
        means = f.gradients(x)[batches].mean(axis=1).reshape(len(batches), -1)
        gaps = means - means.mean(axis=0)
        expected = gaps.T @ gaps / len(batches)
        covariance = np.reshape(f.covariance(x, batch, replacement=replacement), expected.shape)
        scale = np.abs(f.gradients(x)).max() ** 2 + 1
        assert np.allclose(covariance, expected, rtol=0, atol=1e-14 * scale)


def test_the_printed_coefficient_of_lemma_6_3_is_wrong(rng):
    f = plane(rng, 5)
    g, mean = f.gradients([0.2, 0.1]), f.gradient([0.2, 0.1])
    printed = g.T @ g / 4 - (1 - 1 / 4) * np.outer(mean, mean)
    right = g.T @ g / 4 - (1 + 1 / 4) * np.outer(mean, mean)
    matrix = f.diffusion_matrix([0.2, 0.1], replacement=False)
    assert np.allclose(matrix, right, atol=1e-14)
    assert np.allclose(printed - matrix, 2 / 4 * np.outer(mean, mean), atol=1e-14)
    assert np.allclose(f.covariance([0.2, 0.1], 2, replacement=False), (1 - 2 / 5) / 2 * matrix, atol=1e-15)


# ------------------------------------------------------------------------------------------------- the algorithm


@pytest.mark.parametrize("batch, replacement", [(1, True), (3, True), (2, False), (4, False), (5, False)])
def test_the_compiled_loop_is_the_algorithm(batch, replacement, monkeypatch):
    sde, common = sgd.SGD(NONCONVEX, batch, replacement), {"paths": 700, "seed": 3, "save_every": 4}
    compiled = paths.simulate(sde, 1.0, 1.0, 0.05, **common)
    monkeypatch.setattr(engine._Run, "_compiled", lambda self: setattr(self, "is_compiled", False))
    numpy = paths.simulate(sde, 1.0, 1.0, 0.05, **common)
    assert compiled.info["compiled"] and not numpy.info["compiled"]
    assert np.allclose(compiled.states, numpy.states, rtol=1e-12, atol=1e-13)


def test_kinked_terms_have_a_compiled_loop(monkeypatch):
    terms = FiniteSum("abs(a - x) + max(x, a)**2/2", a=[-1.0, 0.2, 0.5])
    sde, common = sgd.SGD(terms, 2, False), {"paths": 300, "seed": 3}
    compiled = paths.simulate(sde, 0.5, 1.0, 0.05, **common)
    monkeypatch.setattr(engine._Run, "_compiled", lambda self: setattr(self, "is_compiled", False))
    numpy = paths.simulate(sde, 0.5, 1.0, 0.05, **common)
    assert compiled.info["compiled"] and not numpy.info["compiled"]
    assert np.allclose(compiled.final, numpy.final, rtol=1e-12, atol=1e-13)


def test_every_batch_is_equally_likely(rng):
    words = rng.integers(0, 2**64, size=(3, 60_000), dtype=np.uint64)
    for replacement, count in ((True, 5**3), (False, 5 * 4 * 3)):
        indices = sgd.chosen(words, 5, replacement)
        assert indices.min() == 0 and indices.max() == 4
        if not replacement:
            assert (np.diff(np.sort(indices, axis=0), axis=0) > 0).all()
        counts = np.bincount(np.ravel_multi_index(tuple(indices), (5, 5, 5)), minlength=125)
        allowed = [k for k, t in enumerate(product(range(5), repeat=3)) if replacement or len(set(t)) == 3]
        expected = 60_000 / count
        assert counts.sum() == counts[allowed].sum() and len(allowed) == count
        assert ((counts[allowed] - expected) ** 2 / expected).sum() < count + 4 * math.sqrt(2 * count)


def test_the_law_of_sgd_is_that_of_the_transfer_operator():
    for batch, replacement in ((1, True), (2, False)):
        run = paths.simulate(sgd.SGD(NONCONVEX, batch, replacement), 1.5, 1.0, 0.1, paths=200_000, seed=1)
        common = {"batch": batch, "replacement": replacement, "box": (-4, 4)}
        for observable in (lambda x: x, lambda x: x**2, lambda x: np.cos(2 * x)):
            exact = sgd.expectation(NONCONVEX, observable, 1.5, 1.0, 0.1, **common)
            values = observable(run.final)
            assert abs(values.mean() - exact) < 4 * values.std() / math.sqrt(len(values))


def test_full_batch_is_gradient_descent():
    run = paths.simulate(sgd.SGD(NONCONVEX, 5, False), 1.5, 2.0, 0.1, paths=3, seed=1)
    x = 1.5
    for _ in range(20):
        x -= 0.1 * NONCONVEX.gradient(x)
    assert run.final == pytest.approx(x, abs=1e-14)


# ------------------------------------------------------------------------------------------------------ the orders


def quadratic_moments(lr, t, x, model):
    """(E x, E x^2) at time t for terms a (x - c)^2/2: exact recursions and equations of the moments."""
    if model == "sgd":
        step = np.zeros((3, 3))
        for a, c in zip(A, C):
            m, s = 1 - lr * a, lr * a * c
            step += np.array([[1, 0, 0], [s, m, 0], [s * s, 2 * m * s, m * m]]) / len(A)
        return (np.linalg.matrix_power(step, round(t / lr)) @ [1, x, x * x])[1:]
    h, k = A.mean(), (A * C).mean()  # f' = h x - k
    scale = {"ode": 0.0, "half": 0.5}.get(model.split()[-1], 1.0)
    slow = 1 + 0.5 * lr * h if model.startswith("second") else 1.0
    v = np.array([(A * A * C * C).mean() - k * k, -2 * (A * A * C).mean() + 2 * h * k, (A * A).mean() - h * h])
    L = np.array([[0, 0, 0], [slow * k, -slow * h, 0], scale * lr * v + [0, 2 * slow * k, -2 * slow * h]])
    return (expm(t * L) @ [1, x, x * x])[1:]


def test_weak_orders_on_quadratics():
    """Row C6.5: order 1 for the equation, for the flow without noise too; order 2 only with the right noise."""
    rates = np.array([0.1, 0.05, 0.025, 0.0125])
    orders = {}
    for model in ("first", "ode", "second", "second half"):
        gaps = [quadratic_moments(r, 2.0, 1.5, model)[1] - quadratic_moments(r, 2.0, 1.5, "sgd")[1] for r in rates]
        orders[model] = slope(rates, gaps)
    assert abs(orders["first"] - 1) < 0.1 and abs(orders["ode"] - 1) < 0.1
    assert abs(orders["second"] - 2) < 0.1 and abs(orders["second half"] - 1) < 0.15


def test_weak_orders_on_a_nonconvex_sum():
    """Row C6.5: SGD by its transfer operator, the diffusions by their backward equations."""
    rates = np.array([0.1, 0.05, 0.025, 0.0125])
    box, x, t, f = (-2.6, 2.6), 1.5, 1.0, NONCONVEX
    observable = lambda y: np.cos(2 * y)  # noqa: E731
    errors = {"first": [], "ode": [], "second": [], "second half": []}
    for lr in rates:
        exact = sgd.expectation(f, observable, x, t, lr, box=box, nodes=100)
        for model, values in errors.items():
            slow = 0.5 * lr * model.startswith("second")
            noise = {"ode": 0.0, "half": 0.5}.get(model.split()[-1], 1.0)
            drift = lambda y, slow=slow: -f.gradient(y) * (1 + slow * f.hessian(y))  # noqa: E731
            variance = lambda y, noise=noise, lr=lr: noise * lr * f.covariance(y)  # noqa: E731
            values.append(sgd.diffusion_expectation(drift, variance, observable, x, t, box=box, nodes=150) - exact)
    orders = {model: slope(rates, values) for model, values in errors.items()}
    assert abs(orders["first"] - 1) < 0.1 and abs(orders["ode"] - 1) < 0.1
    assert abs(orders["second"] - 2) < 0.15 and orders["second half"] < 1.5
    assert abs(errors["second"][-1]) < abs(errors["first"][-1]) / 50


@pytest.mark.parametrize("order", [1, 2])
def test_the_approximation_is_the_equation(order):
    """Its drift and noise, and (one dimension) the mean of simulated paths against the backward equation."""
    f, lr = NONCONVEX, 0.1
    sde = sgd.approximation(f, lr, batch=2, replacement=False, order=order)
    drift = lambda y: -f.gradient(y) * (1 + 0.5 * lr * f.hessian(y) * (order == 2))  # noqa: E731
    variance = lambda y: lr * f.covariance(y, 2, replacement=False)  # noqa: E731
    exact = sgd.diffusion_expectation(drift, variance, np.sin, 1.5, 1.0, box=(-2.6, 2.6), nodes=80)
    run = paths.simulate(sde, 1.5, 1.0, 0.01, scheme=paths.heun, paths=5000, seed=2)
    values = np.sin(run.final)
    assert abs(values.mean() - exact) < 4 * values.std() / math.sqrt(5000)


def test_the_approximation_in_two_dimensions(rng):
    f = plane(rng, 6)
    sde = sgd.approximation(f, 0.1, order=2)
    x = rng.normal(size=(2, 5))
    sigma = np.moveaxis(sde.sigma(x, 0.0), -1, 0)
    assert np.allclose(sigma @ sigma.swapaxes(1, 2), 0.1 * f.covariance(x.T), atol=1e-12)
    H, g = f.hessian(x.T), f.gradient(x.T)
    assert np.allclose(sde.drift(x, 0.0).T, -g - 0.05 * np.einsum("nij,nj->ni", H, g), atol=1e-12)


def test_stationary_covariances():
    """Row C6.53s: H S + S H - eta H S H = eta C for SGD; the diffusions' are off at order eta."""
    H, covariance = np.array([[2.0, 0.3], [0.3, 1.0]]), np.array([[1.0, 0.2], [0.2, 0.5]])
    for lr in (0.2, 0.05):
        S = sgd.stationary_covariance(H, covariance, lr)
        assert np.allclose(H @ S + S @ H - lr * H @ S @ H, lr * covariance, atol=1e-14)
    rates = np.array([0.2, 0.1, 0.05, 0.025])
    for model in ("order 1", "order 2"):
        exact = [sgd.stationary_covariance(H, covariance, r) for r in rates]
        gaps = [np.abs(sgd.stationary_covariance(H, covariance, r, model) - S).max() / r for r, S in zip(rates, exact)]
        assert 0.9 < slope(rates, gaps) < 1.1
    f = FiniteSum("(x**2 + 2*y**2)/2 - a*x - b*y", ("x", "y"), a=[1.0, -1.0, 0.5, -0.5], b=[0.3, -0.3, -1.0, 1.0])
    S = sgd.stationary_covariance(np.diag([1.0, 2.0]), f.covariance([0.0, 0.0]), 0.2)
    run = paths.simulate(sgd.SGD(f), (0.0, 0.0), 16.0, 0.2, paths=200_000, seed=2)
    assert np.allclose(np.cov(run.final.T), S, atol=5 * np.abs(S).max() * math.sqrt(2 / 200_000))


def test_density_of_sgd_is_that_of_fokker_planck():
    """10^5 runs in one dimension against the solution with the measured D(x); with the mean of D it is off."""
    f = FiniteSum("x**4/4 - x**2/2 + a*x**2*cos(x) + c*x", a=[0.9, -0.9, 0.3, -0.3], c=[0.5, -0.5, -1.0, 1.0])
    lr, t = 0.05, 3.0
    grid = pl.Grid(-2.5, 2.5, 251)
    start = np.exp(-((grid.x - 0.2) ** 2) / (2 * 0.2**2))
    start /= grid.integrate(start)
    initial = 0.2 + 0.2 * pl.noise.normals(5, 100_000, 1)[0, 0]
    run = paths.simulate(sgd.SGD(f), initial, t, lr, seed=1, store=False, histogram=grid)

    def distance(diffusion):
        problem = pl.FokkerPlanck(f.loss, diffusion=diffusion, diffusivity=lr / 2)
        solution = pl.solve(problem, start, grid, [t], dt=0.01)
        return grid.integrate(np.abs(solution.final - run.density[-1]))

    measured = f.covariance(grid.x)
    assert distance(measured) < 0.1
    assert distance(np.full(251, grid.integrate(measured * run.density[-1]))) > 1.5 * distance(measured)


# --------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: FiniteSum("x**2"), "data: expected columns"),
        (lambda: FiniteSum("(x - c)**2", c=[]), "data: expected columns of one length"),
        (lambda: FiniteSum("(x - c)**2*h", c=[1.0], h=[1.0, 2.0]), "data: expected columns of one length"),
        (lambda: FiniteSum("(x - c)**2", c=[math.nan]), "data: expected finite"),
        (lambda: FiniteSum("c**2", c=[1.0]), "formula: expected coordinates besides c"),
        (lambda: FiniteSum("(x - c", c=[1.0]), "cannot read the formula"),
        (lambda: sgd.SGD("f"), "problem: expected a FiniteSum"),
        (lambda: sgd.SGD(NONCONVEX, 0), "batch: expected a whole number"),
        (lambda: sgd.SGD(NONCONVEX, 6, replacement=False), "batch: expected at most N = 5"),
        (lambda: NONCONVEX.batches(20), "too many to list"),
        (lambda: NONCONVEX.covariance(0.0, 7, replacement=False), "batch: expected at most"),
        (lambda: sgd.approximation(NONCONVEX, 0.0), "lr: expected a number > 0"),
        (lambda: sgd.approximation(NONCONVEX, True), "lr: expected a number > 0"),
        (lambda: FiniteSum("a*x", a=["one"]), "data: expected columns of numbers"),
        (lambda: sgd.stationary_covariance(np.eye(2), np.eye(3), 0.1), "expected two"),
        (lambda: sgd.stationary_covariance(np.eye(2), np.eye(2), 2.0), "nothing is stationary"),
        (lambda: sgd.stationary_covariance(-np.eye(2), np.eye(2), 0.1, "order 1"), "nothing is stationary"),
        (lambda: sgd.expectation(NONCONVEX, np.cos, 9.0, 1.0, 0.5, box=(-4, 4)), "x: expected points in the box"),
        (lambda: sgd.expectation(NONCONVEX, np.cos, 0.0, 1.0, 0.5, box=3), "box: expected"),
        (
            lambda: paths.simulate(paths.Langevin(Loss("x**2"), 1.0), 0.0, 1.0, 0.1, seed=1, scheme=sgd.descent),
            "descent: ",
        ),
        (lambda: sgd.approximation(NONCONVEX, 0.1, order=3), "order: expected 1 or 2"),
        (lambda: sgd.stationary_covariance(1.0, 1.0, 0.1, "order 3"), "model: expected"),
        (lambda: sgd.expectation(NONCONVEX, np.cos, 0.0, 1.0, 0.3, box=(-3, 3)), "t: expected a multiple of lr"),
        (lambda: sgd.expectation(NONCONVEX, np.cos, 0.0, 1.0, 0.5, box=(-0.3, 0.3)), "box: steps of SGD leave"),
        (lambda: paths.simulate(sgd.SGD(NONCONVEX), 0.0, 1.0, 0.1, seed=1, scheme=paths.heun), "scheme: SGD has only"),
        (lambda: paths.simulate(sgd.SGD(NONCONVEX), 0.0, 1.0, 0.1, seed=1, refine=2), "refine: mini-batches"),
    ],
)
def test_bad_input_is_refused_in_words(make, message):
    with pytest.raises(ValueError, match=message):
        make()
