"""Thesis 3.2, 4.6 and the Entropy-SGD paper: what the inner loops sample, and with which bias."""

import math
from functools import cache

import numpy as np

from pdelab import closed_forms, losses
from pdelab.claims import claim, equal, observed_order
from pdelab.grid import Grid
from pdelab.homogenization import hamilton_jacobi_steps, heat_gradient, inner_bias, inner_expectation
from pdelab.losses import Loss
from pdelab.paths import Diffusion, simulate

CURVATURE = 1.7 + 1 / 0.6  # of H = f + |y - x|^2/(2 gamma) for f = 1.7 y^2/2, gamma = .6: the test bed of inner loops


@cache
def three_wells():
    """f_A of the ledger."""
    return losses.three_wells()


def inner_variance(noise, eta, quick, seed=1):
    """Variance of y <- y - eta H''y + noise N(0, 1), simulated to equilibrium, and four standard errors of it."""
    paths = 20_000 if quick else 200_000
    sde = Diffusion(f"-{CURVATURE!r}*x", noise / math.sqrt(eta))
    run = simulate(sde, 0.0, 12 / (2 * CURVATURE), eta, paths=paths, seed=seed, store=False)
    return run.variance[-1], 4 * run.variance[-1] * math.sqrt(2 / paths)


def discrete(variance, eta):
    """The variance that the step eta gives when the equation's is `variance`."""
    return variance / (1 - eta * CURVATURE / 2)


@claim(
    "E3.15", source="thesis (3.15), (3.16), Entropy-SGD (11), (12)", as_printed="corrected",
    statement="dx = (eta/2) grad LOG p + sqrt(eta) N(0, eps^2) samples p^(1/eps^2): variance eps^2 s^2 for a Gaussian",
    printed="dx = (eta/2)(grad log p(x) + sum_k grad p(xi_k|x)) + sqrt(eta) N(0, eps^2) ... converges to the posterior",
    perturbation=["the gradient of p in place of log p, as printed", "p whatever eps"],
    rejects=[{"logarithm": False}, {"power": 0.0}],
    tolerance="four standard errors of a Gaussian variance; the step's own O(eta) is known",
)  # fmt: skip
def langevin_of_a_posterior(quick=False, logarithm=True, power=2.0):
    variance, eta, paths = 2.0, 0.05, 10_000 if quick else 100_000
    log_slope = f"-x/{2 * variance}"
    density = f"exp(-x**2/{2 * variance})/{math.sqrt(2 * math.pi * variance)!r}"
    slope = log_slope if logarithm else f"{log_slope}*{density}"
    evidence = []
    for k, eps in enumerate((1.0, 0.1)):
        run = simulate(Diffusion(slope, eps), 0.0, 30.0, eta, paths=paths, seed=k, store=False)
        expected = eps**power * variance / (1 - eta / (4 * variance))
        evidence.append(equal(expected, run.variance[-1], 4 * expected * math.sqrt(2 / paths)))
    return evidence


@claim(
    "Alg2", source="thesis Algorithm 2", as_printed="right",
    statement="y <- y - eta(grad f(y) - (x - y)/gamma) + sqrt(2 eta/beta) N samples rho_1 up to O(eta)",
    perturbation="noise sqrt(eta/beta)", rejects={"noise": 1.0},
    tolerance="four standard errors; the step's own O(eta) is known",
)  # fmt: skip
def algorithm_two(quick=False, noise=2.0):
    beta, eta = 2.0, 0.01
    measured, error = inner_variance(math.sqrt(noise * eta / beta), eta, quick)
    return equal(1 / (beta * CURVATURE), measured * (1 - eta * CURVATURE / 2), error)


@claim(
    "Alg1", source="Entropy-SGD Algorithm 1", as_printed="corrected",
    statement="the noise sqrt(eta') eps N samples rho_1 at beta = 2/eps^2 (not 1: eps = 1e-4..1e-3 is beta = 2e6..2e8)",
    printed="x' <- x' - eta' dx' + sqrt(eta') eps N(0, I) ... eps in SGLD on line 5 is the thermal noise and we fix "
    "this to eps in [10^-4, 10^-3]",
    perturbation=["beta = 1, that of Definition 1, whose gradient this is said to estimate", "beta = 1/eps^2"],
    rejects=[{"beta": 1.0}, {"double": 1.0}],
    tolerance="four standard errors; the step's own O(eta) is known",
)  # fmt: skip
def algorithm_one(quick=False, double=2.0, beta=None):
    eps, eta = 0.1, 0.02
    beta = beta or double / eps**2
    measured, error = inner_variance(math.sqrt(eta) * eps, eta, quick, seed=2)
    return equal(1 / (beta * CURVATURE), measured * (1 - eta * CURVATURE / 2), error)


def _first_bias(f, x, gamma, beta):
    """The bias of <y> over eta as eta -> 0: Euler-Maruyama samples exp(-beta U) (1 + eta (beta U'^2/4 - U''/2))."""
    grid = Grid(-6.0, 6.0, 6001)
    slope, bend = f.gradient(grid.x) + (grid.x - x) / gamma, f.hessian(grid.x) + 1 / gamma
    energy = beta * (f.on(grid) + (grid.x - x) ** 2 / (2 * gamma))
    law = np.exp(energy.min() - energy)
    law /= grid.integrate(law)
    change = beta * slope**2 / 4 - bend / 2
    mean = lambda values: grid.integrate(values * law)  # noqa: E731
    return mean(grid.x * change) - mean(grid.x) * mean(change)


@claim(
    "EMb", source="inner loop, thesis (4.39), traffic paper (5.18)", as_printed="new",
    statement="the Euler-Maruyama inner loop has a bias in <y> of O(eta) that no number L of inner steps removes",
    perturbation=["the estimate tends to grad f_gamma as L grows", "half the bias", "a bias of O(eta^2)"],
    rejects=[{"kept": 0.0}, {"share": 0.5}, {"order": 2.0}],
    tolerance="what L = 100 leaves; the last correction of an extrapolation to eta = 0; the order of three steps",
)  # fmt: skip
def inner_loop_keeps_its_bias(quick=False, kept=1.0, share=1.0, order=1.0):
    f, x, gamma, beta = three_wells(), 1.0, 0.2, 4.0
    steps = (0.1, 0.05, 0.025, 0.0125)
    biases = np.array([inner_bias(f, x, gamma=gamma, beta=beta, step=step) for step in steps])
    common = {"gamma": gamma, "beta": beta, "step": 0.05, "inner_steps": 400}
    estimates = inner_expectation(f, x, **common)[[99, 199, 399]]
    limit = closed_forms.local_entropy_gradient(f, x, gamma, beta) - kept * biases[1] / gamma
    limits = 2 * (biases / steps)[1:] - (biases / steps)[:-1]
    return [
        equal(limit, estimates, 1e-5),
        equal(share * _first_bias(f, x, gamma, beta), limits[-1], abs(limits[-1] - limits[-2])),
        equal(order, observed_order(steps[1:], np.abs(biases[1:])), 0.15),
    ]


@claim(
    "E4.39", source="thesis (4.39), (4.40)", as_printed="corrected",
    statement="the inner noise for exp(-beta H) is sqrt(2 eta/beta) N",
    printed="y^{k+1} = y^k - eta_y[grad f(y^k) + (y^k - x^k)/gamma] + sqrt(eta_y/beta) eps^k",
    perturbation="sqrt(eta/beta), as printed: the law at 2 beta", rejects={"noise": 1.0},
    tolerance="four standard errors; the step's own O(eta) is known",
)  # fmt: skip
def inner_noise(quick=False, noise=2.0):
    beta, expected, measured, errors = 2.0, [], [], []
    for k, eta in enumerate((0.1, 0.05, 0.025)):
        value, error = inner_variance(math.sqrt(noise * eta / beta), eta, quick, seed=3 + k)
        expected.append(discrete(1 / (beta * CURVATURE), eta))
        measured.append(value)
        errors.append(error)
    return equal(expected, measured, errors)


@claim(
    "E4.40", source="thesis after (4.40)", as_printed="corrected",
    printed="which corresponds to (4.39) with beta^-1 = beta_b^-1 + beta_ex^-1 [(4.6) ff.: E|grad f_b - grad f|^2 <= "
    "beta_b^-1]",
    statement="mini-batch noise of variance s^2 makes the temperature 1/beta = eta s^2 + 1/beta_ex (law at 2 "
    "beta): the "
    "printed sum is right if beta_b^-1 means eta s^2, not s^2 as after (4.6)",
    perturbation="1/beta = s^2 + 1/beta_ex: (4.40) read with the beta_b^-1 = s^2 of (4.6)", rejects={"power": 0.0},
    tolerance="four standard errors; the step's own O(eta) is known",
)  # fmt: skip
def effective_temperature(quick=False, power=1.0):
    variance, extra, expected, measured, errors = 0.8, 50.0, [], [], []
    for k, eta in enumerate((0.1, 0.03, 0.01)):
        temperature = eta**power * variance + 1 / extra
        value, error = inner_variance(math.sqrt(eta**2 * variance + eta / extra), eta, quick, seed=7 + k)
        expected.append(discrete(temperature / (2 * CURVATURE), eta))
        measured.append(value)
        errors.append(error)
    return equal(expected, measured, errors)


@claim(
    "E4.42", source="thesis (4.42)", as_printed="right",
    statement="y <- (1 - eta/gamma) y + eta grad f(x - y) has the fixed point y = x - prox(x), y/gamma = grad u_0(x)",
    perturbation="grad f(x + y)", rejects={"mirrored": True}, tolerance="a converged loop: 1e-13",
)  # fmt: skip
def proximal_fixed_point(quick=False, mirrored=False):
    f, x, gamma = three_wells(), 1.0, 0.2
    # f(2x - .) at x = 1: its gradient at x - y is -grad f(x + y)
    other = Loss("0.05*(2-x)**4 - 0.4*(2-x)**2 + 0.15*(2-x) + 0.3*sin(3*(2-x))")
    y, _ = hamilton_jacobi_steps(other if mirrored else f, x, gamma=gamma, step=0.1, inner_steps=300)
    slope = float(closed_forms.local_entropy_gradient(f, x, gamma, math.inf))
    return [equal(1.2421605828239, x - y, 1e-12), equal(slope, y / gamma, 1e-12)]


@claim(
    "E4.43", source="thesis (4.43)", as_printed="corrected",
    statement="the heat algorithm perturbs with variance gamma/beta (gamma I is beta = 1)",
    printed="eps^i are Gaussian random variables with zero mean and variance gamma I ... corresponding to (4.28)",
    perturbation="variance gamma, as printed", rejects={"power": 0.0}, tolerance="four standard errors",
)  # fmt: skip
def heat_perturbation(quick=False, power=1.0):
    f, x, gamma, beta = three_wells(), 0.5, 0.7, 3.0
    samples = 100_000 if quick else 2_000_000
    mean, error = heat_gradient(f, x, gamma=gamma, beta=beta**power, samples=samples, seed=1)
    return equal(gaussian_average(f.gradient, x, gamma / beta), mean, 4 * error)


def gaussian_average(function, x, variance):
    """(G_variance * function)(x) by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    return float(weights @ function(x + math.sqrt(variance) * nodes) / weights.sum())
