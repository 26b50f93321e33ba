"""Homogenization: the limit and its constants, particles, and the loops with L inner steps against exact averages."""

import math

import numpy as np
import pytest
from observed import slope
from scipy.linalg import expm

from pdelab import homogenization as hom
from pdelab import losses, noise, paths
from pdelab.losses import Loss

F_A = losses.three_wells()
CURVED = Loss("1.5*x**2/2")


# ------------------------------------------------------------------------------------------------------ the limit


def test_the_averaged_drift_is_exact():
    reference = ((0.4, 0.7, 3, -0.076800641115174), (1, 0.2, 4, -1.082403110412), (-0.5, 1, 3, 0.3543101676086))
    for x, gamma, beta, exact in reference:
        limit = hom.homogenized(F_A, gamma, beta)
        assert limit.drift(np.array([[x]]), 0.0)[0, 0] == pytest.approx(-exact, abs=1e-12)
    quadratic = Loss("x**2 + x*y + 1.5*y**2")
    A, x = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[1.0, -0.5]])
    expected = np.linalg.solve(np.eye(2) + 0.4 * A, A @ x[0])
    assert hom.homogenized(quadratic, 0.4, 2.0).drift(x.T, 0.0)[:, 0] == pytest.approx(-expected, abs=1e-10)
    run = paths.simulate(hom.homogenized(quadratic, 0.4, 2.0), x[0], 0.5, 0.01, scheme=paths.heun, seed=0)
    eigenvalues, vectors = np.linalg.eigh(np.linalg.solve(np.eye(2) + 0.4 * A, A))
    assert run.final[0] == pytest.approx(vectors @ (np.exp(-0.5 * eigenvalues) * (vectors.T @ x[0])), abs=1e-4)


def fast_slow_errors(sde_of, reference, x0, t, epsilons, count):
    """(bias, rms) of X at t for each epsilon, and the standard errors of the biases."""
    rows = []
    for epsilon in epsilons:
        run = paths.simulate(sde_of(epsilon), x0, t, 0.02 * epsilon, paths=count, seed=4, store=False)
        gap = run.final[:, 0] - reference
        rows.append((gap.mean(), math.sqrt((gap**2).mean()), gap.std() / math.sqrt(count)))
    return np.array(rows).T


def test_constants_of_the_linear_case():
    """T4.5, c = 1.5, gamma = .5, beta = 4, s = 1, Y at its mean: rms/sqrt(eps) -> .2794, bias/eps -> .1187."""
    c, gamma, beta, s, count = 1.5, 0.5, 4.0, 1.0, 40_000
    a = c / (1 + gamma * c)
    limit = math.sqrt((2 / beta) / (gamma**2 * (c + 1 / gamma) ** 2) * (1 - math.exp(-2 * a * s)) / (2 * a))
    assert limit == pytest.approx(0.2794, abs=1e-4)
    start = (1.0, 1 / (1 + c * gamma))
    for epsilon in (0.05, 0.005):
        A = np.array([[-1 / gamma, 1 / gamma], [1 / (epsilon * gamma), -(c + 1 / gamma) / epsilon]])
        bias = (expm(s * A) @ start)[0] - math.exp(-a * s)  # exact at this epsilon
        assert bias / epsilon == pytest.approx(0.1187, abs=0.05 * epsilon)
        sde = hom.FastSlow(CURVED, gamma, beta, epsilon)
        run = paths.simulate(sde, start, s, 0.02 * epsilon, paths=count, seed=4, store=False)
        gap = run.final[:, 0] - math.exp(-a * s)
        assert abs(gap.mean() - bias) < 4 * gap.std() / math.sqrt(count) + 0.03 * bias
    assert abs(math.sqrt((gap**2).mean() / epsilon) - limit) < 4 * limit / math.sqrt(2 * count) + 0.002


@pytest.mark.parametrize("form", ["average", "gradient"])
def test_order_in_epsilon(form):
    """Weak order 1 and strong order 1/2 on the three wells, for both forms."""
    gamma, beta, x0, t = 0.2, 4.0, 1.0, 0.5
    exact = paths.simulate(hom.homogenized(F_A, gamma, beta), x0, t, 0.005, scheme=paths.heun, seed=0).final[0]
    epsilons = np.array([0.1, 0.05, 0.025, 0.0125])
    sde = lambda e, beta=beta: hom.FastSlow(F_A, gamma, beta, e, form)  # noqa: E731
    bias, rms, error = fast_slow_errors(sde, exact, x0, t, epsilons, 40_000)
    assert abs(slope(epsilons, rms) - 0.5) < 0.07
    assert abs(slope(epsilons, np.abs(bias)) - 1) < 0.15
    assert (error < 0.1 * np.abs(bias)).all()
    if form == "average":  # the noise beta^(-1/2) that is printed averages at 2 beta: not the same limit
        half, _, error = fast_slow_errors(lambda e: sde(e, 2 * beta), exact, x0, t, epsilons[-1:], 40_000)
        assert half[0] * bias[-1] < 0 and abs(half[0]) > 20 * error[0]


def test_the_bias_of_euler_maruyama_is_of_order_dt_over_epsilon():
    """Row X11: at fixed dt/epsilon it stays as epsilon -> 0; Leimkuhler-Matthews has none to speak of."""
    gamma, beta, x0, t, epsilon = 0.2, 4.0, 1.0, 0.5, 0.005
    exact = paths.simulate(hom.homogenized(F_A, gamma, beta), x0, t, 0.005, scheme=paths.heun, seed=0).final[0]
    ratios, biases = np.array([0.04, 0.02, 0.01, 0.005]), []
    sde, common = hom.FastSlow(F_A, gamma, beta, epsilon), {"paths": 30_000, "seed": 3, "store": False}
    fine = paths.simulate(sde, x0, t, 0.02 * epsilon, **common).final[:, 0].mean()  # the error of epsilon itself
    for ratio in ratios:
        run = paths.simulate(sde, x0, t, ratio * epsilon, scheme=paths.euler_maruyama, **common)
        biases.append(run.final[:, 0].mean() - fine)
    assert abs(slope(ratios, np.abs(biases)) - 1) < 0.2
    assert abs(fine - exact) < abs(biases[0]) / 2


def test_the_heat_form_tends_to_the_gaussian_average():
    """Row E4.28: x = .5, gamma = .7, beta = 3: (G_{gamma/beta} * f)' = -.13272; printed noise: -.15234."""
    value, error = hom.heat_gradient(F_A, 0.5, gamma=0.7, beta=3.0, samples=200_000, seed=1)
    assert abs(value + 0.13272) < 4 * error and abs(value + 0.15234) > 4 * error
    t, epsilon = 0.02, 1e-4
    sde = hom.FastSlow(F_A, 0.7, 3.0, epsilon, "heat")
    run = paths.simulate(sde, 0.5, t, 0.05 * epsilon, paths=4000, seed=2, store=False)
    velocity = (run.final[:, 0] - 0.5) / t
    assert abs(velocity.mean() - 0.13272) < 4 * velocity.std() / math.sqrt(4000) + 0.02


def test_the_exponential_step_needs_not_resolve_the_spring():
    """A stiff spring (1/(epsilon gamma) dt = 20) with a flat loss: the law of Y about X is exact, Euler explodes."""
    flat = Loss("0.001*cos(x)")
    sde = hom.FastSlow(flat, 0.01, 4.0, 0.01)
    run = paths.simulate(sde, 0.0, 0.02, 0.002, scheme=paths.exponential, paths=40_000, seed=1)
    y = run.final[:, 1] - run.final[:, 0]
    assert run.info["compiled"]
    assert abs((run.final[:, 1].var()) / (0.01 / 4) - 1) < 0.5 and np.abs(y).max() < 1
    with pytest.raises(FloatingPointError):
        paths.simulate(sde, 0.0, 2.0, 0.002, scheme=paths.euler_maruyama, paths=4, seed=1)


# ------------------------------------------------------------------------------------------------------- particles


def test_the_leader_follows_local_entropy_for_every_number_of_workers():
    """Row E4.26A: f_A, gamma = .5, beta = 3: (X - Ybar)/gamma has mean f_gamma'(X), variance of Ybar over n."""
    for x, exact in ((-0.5, 0.3546), (1.0, -0.6798)):
        variances = []
        for n in (1, 4, 16):
            sde = hom.Elastic(F_A, 0.5, 3.0, n, epsilon=1e-6)  # X stands still
            run = paths.simulate(sde, x, 8e-6, 2e-8, scheme=paths.leimkuhler_matthews, paths=20_000 // n, seed=5)
            mean = run.final[:, 1:].mean(axis=1)
            gradient, error = (x - mean.mean()) / 0.5, mean.std() / math.sqrt(len(mean)) / 0.5
            variances.append(n * mean.var())
            assert abs(gradient - exact) < 4 * error + 0.003
        assert max(variances) / min(variances) < 1.25


def test_many_workers_run_through_numpy_with_the_same_noise():
    for n in (3, 40):
        sde = hom.Elastic(F_A, 0.5, 3.0, n)
        run = paths.simulate(sde, 0.3, 0.2, 0.01, paths=5, seed=5)
        assert run.info["compiled"] == (n == 3)
        x, y = np.full(5, 0.3), np.full((n, 5), 0.3)
        z = noise.normals(5, 5, 20, n)
        for k in range(20):
            x, y = (
                x - (x - y.mean(0)) / 0.5 * 0.01,
                y - 0.01 * (F_A.gradient(y) + (y - x) / 0.5) + math.sqrt(2 * 0.01 / 3) * z[k],
            )
        assert np.allclose(run.final, np.vstack([x, y]).T, rtol=1e-12, atol=1e-13)


def test_particles_in_two_dimensions():
    loss = Loss("x**2 + x*y + 1.5*y**2 + cos(x)")
    sde = hom.Elastic(loss, 0.5, 3.0, 2, tie="mean")
    run = paths.simulate(sde, (0.3, -0.1), 0.05, 0.01, paths=3, seed=5)
    y = np.broadcast_to([0.3, -0.1], (3, 2, 2)).copy()  # paths, workers, coordinates
    z = noise.normals(5, 3, 5, 4)
    for k in range(5):
        kick = math.sqrt(2 * 0.01 / 3) * z[k].T.reshape(3, 2, 2)
        y = y - 0.01 * (loss.gradient(y) + (y - y.mean(axis=1, keepdims=True)) / 0.5) + kick
    assert np.allclose(run.final, y.reshape(3, 4), rtol=1e-12, atol=1e-13)


# ------------------------------------------------------------------------------------------------- L inner steps


def entropy_sgd(loss, x, gamma, beta, step, inner, lr, averaging, rounds, seed, count):
    """Algorithm 2 of the thesis as it stands on paper."""
    z_all = noise.normals(seed, count, rounds * inner)[:, 0]
    x, history, k = np.full(count, x), [], 0
    for _ in range(rounds):
        y = z = x
        for j in range(inner):
            g = gamma(k * step) if callable(gamma) else gamma
            y = y - step * (loss.gradient(y) + (y - x) / g) + math.sqrt(2 * step / beta) * z_all[k]
            weight = 1 / (j + 1) if averaging is None else averaging
            z = (1 - weight) * z + weight * y
            k += 1
        x = x - lr * (x - z)
        history.append(x)
    return np.array(history)


@pytest.mark.parametrize("averaging, gamma", [(0.75, 0.2), (None, 0.2), (0.3, hom.scope(1.0, 0.1, 1.0))])
def test_entropy_descent_is_algorithm_two(averaging, gamma):
    sde = hom.EntropyDescent(F_A, gamma, 4.0, 7, lr=0.6, averaging=averaging)
    run = paths.simulate(sde, 1.0, 5 * 7 * 0.05, 0.05, paths=600, seed=3, save_every=7)
    expected = entropy_sgd(F_A, 1.0, gamma, 4.0, 0.05, 7, 0.6, averaging, 5, 3, 600)
    assert run.info["compiled"]
    assert np.allclose(run.states[1:, :, 0], expected, rtol=1e-11, atol=1e-12)


def test_inner_steps_against_the_transfer_operator():
    """Bias of the estimate (x - z_L)/gamma against L, step and averaging weight: sampling equals the exact mean."""
    exact = -1.082403110412
    for step, inner, averaging in ((0.05, 20, 0.75), (0.05, 20, None), (0.02, 60, 0.25)):
        common = {"gamma": 0.2, "beta": 4.0, "step": step, "inner_steps": inner, "averaging": averaging}
        mean, error = hom.inner_gradient(F_A, 1.0, paths=40_000, seed=1, **common)
        expected = hom.inner_expectation(F_A, 1.0, nodes=401, **common)
        assert abs(mean - expected[-1]) < 4 * error
        assert abs(expected[0] - exact) > abs(expected[-1] - exact)  # more steps, less bias
        assert expected[-1] == pytest.approx(hom.inner_expectation(F_A, 1.0, nodes=601, **common)[-1], abs=1e-8)


def test_the_bias_of_the_inner_loop_is_of_order_of_its_step():
    """Row EMb: bias/eta of <y> at eta = .1, .05, .025, .0125; more inner steps do not remove it."""
    steps = np.array([0.1, 0.05, 0.025, 0.0125])
    common = {"gamma": 0.2, "beta": 4.0, "nodes": 401}
    biases = np.array([hom.inner_bias(F_A, 1.0, step=s, **common) for s in steps])
    assert biases / steps == pytest.approx([-0.110, -0.091, -0.084, -0.080], abs=6e-4)
    assert 0.9 < slope(steps[2:], np.abs(biases[2:])) < 1.15
    long = hom.inner_expectation(F_A, 1.0, step=0.05, inner_steps=1000, **common)[-1]
    assert long + 1.082403110412 == pytest.approx(-biases[1] / 0.2, abs=1e-6)


@pytest.mark.parametrize("step, count", [(3.0, 50), (3.0, 1000), (0.6, 3)])
def test_a_loop_that_does_not_descend_is_told(step, count):
    """x²/2 + 0.3 cos 3x bends by at most 3.7: the loop goes down for η < 2/(1 + 3.7) = 0.43."""
    f, x = Loss("x**2/2 + 0.3*cos(3*x)"), np.linspace(-2.0, 2.0, 9)
    with pytest.warns(UserWarning, match="step: with .* the loop does not go down"):
        hom.hamilton_jacobi_steps(f, x, gamma=1.0, step=step, inner_steps=count)
    hom.hamilton_jacobi_steps(f, x, gamma=1.0, step=0.42, inner_steps=count)


def test_hamilton_jacobi_steps_find_the_proximal_point():
    y, gradient = hom.hamilton_jacobi_steps(F_A, 1.0, gamma=0.2, step=0.1, inner_steps=200)
    assert 1.0 - y == pytest.approx(1.2421605828239, abs=1e-12)
    assert y / 0.2 == pytest.approx(gradient, abs=1e-12)
    sde = hom.EntropyDescent(F_A, 0.2, math.inf, 200, lr=1.0, averaging=1.0)
    run = paths.simulate(sde, 1.0, 20.0, 0.1, seed=0)
    assert run.final[0, 0] == pytest.approx(1.2421605828239, abs=1e-12)


def test_scope():
    gamma = hom.scope(4.0, 1.0, 2.0)
    assert [gamma(t) for t in (0.0, 1.0, 2.0, 9.0)] == pytest.approx([4.0, 2.0, 1.0, 1.0])


# ------------------------------------------------------------------------------------------------------- refusals


def run(sde, **options):
    return paths.simulate(sde, 1.0, 0.2, 0.1, seed=1, **options)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: hom.FastSlow("x", 1, 1, 0.1), "loss: expected a Loss"),
        (lambda: hom.FastSlow(F_A, 0, 1, 0.1), "gamma: expected a number > 0"),
        (lambda: hom.FastSlow(F_A, 1, -1, 0.1), "beta: expected a number > 0"),
        (lambda: hom.FastSlow(F_A, 1, 1, 0.0), "epsilon: expected a number > 0"),
        (lambda: hom.FastSlow(F_A, 1, 1, 0.1, "slow"), "form: expected one of"),
        (lambda: hom.Elastic(F_A, 1, 1, 0), "workers: expected a whole number"),
        (lambda: hom.Elastic(F_A, 1, 1, 2, tie="x"), "tie: expected"),
        (lambda: hom.EntropyDescent(F_A, 1, 1, 0), "inner_steps: expected a whole number"),
        (lambda: hom.EntropyDescent(F_A, 1, 1, 2, averaging=0.0), "averaging: expected a number in"),
        (lambda: hom.EntropyDescent(F_A, 1, 1, 2, lr=-1.0), "lr: expected a number >= 0"),
        (lambda: hom.homogenized(F_A, -1.0, 1.0), "gamma: expected a number > 0"),
        (lambda: hom.Elastic(F_A, 1, 1, 2, epsilon=lambda t: 1.0), "epsilon: expected a number > 0, got"),
        (lambda: hom.EntropyDescent(F_A, 1, 1, 2, averaging="all"), "averaging: expected a number in"),
        (lambda: run(hom.FastSlow(F_A, lambda t: -1.0, 1, 0.1)), "gamma: expected values > 0, got -1.0 at t = 0 "),
        (lambda: run(hom.EntropyDescent(F_A, 1, 1, 2), scheme=paths.heun), "scheme: EntropyDescent has only its own"),
        (
            lambda: run(paths.Langevin(F_A, 1.0), scheme=hom.inner_and_outer),
            "inner_and_outer: expected an EntropyDescent",
        ),
        (
            lambda: hom.hamilton_jacobi_steps(F_A, 1.0, gamma=1.0, step=0.0, inner_steps=2),
            "step: expected a number > 0",
        ),
        (
            lambda: hom.heat_gradient(F_A, 1.0, gamma=1.0, beta=1.0, samples=1, seed=1),
            "samples: expected .* at least 2",
        ),
        (lambda: hom.heat_gradient(F_A, (1.0, 2.0), gamma=1.0, beta=1.0, samples=4, seed=1), "x: expected a number"),
        (lambda: hom.inner_expectation(F_A, 1.0, gamma=0.2, beta=math.inf, step=0.1, inner_steps=3), "beta: expected"),
        (lambda: hom.scope(1.0, 0.0, 1.0), "end: expected a number > 0"),
        (lambda: hom.inner_bias(F_A, 1.0, gamma=0.2, beta=4.0, step=1e-6), "step: .* is too small"),
        (lambda: hom.inner_bias(F_A, 1.0, gamma=0.2, beta=4.0, step=3.0), "step: .* is too large"),
        (lambda: hom.inner_bias(Loss("x + y"), 1.0, gamma=0.2, beta=4.0, step=0.1), "loss: expected one dimension"),
    ],
)
def test_bad_input_is_refused_in_words(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_every_coordinate_of_the_heat_gradient_has_its_own_noise():
    """f = x²y: E[2(x + a)(y + b)] = 2xy and E[(x + a)²] = x² + γ/β for independent a and b."""
    point, gamma, beta = (0.4, -0.7), 0.9, 1.5
    value, error = hom.heat_gradient(Loss("x**2*y"), point, gamma=gamma, beta=beta, samples=100_000, seed=3)
    exact = np.array([2 * point[0] * point[1], point[0] ** 2 + gamma / beta])
    assert (np.abs(value - exact) < 4 * error).all()
    assert 2 * gamma / beta > 40 * error[0]  # what one noise for both would add
