"""Thesis 6.2.4 and 6.4.4: bounds and divergences of variational inference beside SGD."""

import math

import numpy as np
from scipy import integrate

from pdelab.claims import at_least, at_most, claim, equal, not_computable


def divergence_of_normals(mean, deviation):
    """KL(N(m, s²) || N(0, 1)) by quadrature."""
    law = lambda x: math.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))  # noqa: E731
    gap = lambda x: 0.5 * x * x - 0.5 * ((x - mean) / deviation) ** 2 - math.log(deviation)  # noqa: E731
    reach = 12 * deviation
    return integrate.quad(lambda x: law(x) * gap(x), mean - reach, mean + reach, epsabs=1e-13, epsrel=1e-12)[0]


@claim(
    "C6.44", source="thesis (6.44)", as_printed="right",
    statement="KL(N(mu, sigma)||N(0, 1)) = -(1 + log sigma^2 - mu^2 - sigma^2)/2 with sigma the standard deviation: "
    ".563147 at (.7, .5)",
    perturbation="sigma the variance", rejects={"power": 0.5}, tolerance="quadrature: 1e-10; six digits",
)  # fmt: skip
def divergence_formula(quick=False, power=1.0):
    pairs = [(0.7, 0.5), (-1.0, 2.0), (0.0, 0.9)]
    formula = [-0.5 * (1 + math.log(s ** (2 * power)) - m * m - s ** (2 * power)) for m, s in pairs]
    return [equal([divergence_of_normals(m, s) for m, s in pairs], formula, 1e-10), equal(0.563147, formula[0], 1e-6)]


@claim(
    "R6.35", source="thesis Remark 6.35", as_printed="corrected",
    printed="if sigma < 1 for some synapse, minimizing -ELBO favors smaller values of sigma in this case while the "
    "variances are encouraged to grow unbounded if sigma > 1",
    statement="the divergence pulls sigma to 1 from both sides: its slope is sigma - 1/sigma, -1.5 at .5 and +1.5 at 2",
    perturbation="away from 1, as printed", rejects={"sign": -1.0},
    tolerance="fourth-order differences of a quadrature: 1e-6",
)  # fmt: skip
def pull_of_the_prior(quick=False, sign=1.0):
    step, slopes = 1e-3, []
    for s in (0.5, 2.0):
        up, down, far, near = (divergence_of_normals(0.3, s + k * step) for k in (1, -1, 2, -2))
        slopes.append((8 * (up - down) - (far - near)) / (12 * step))
    return equal([-1.5 * sign, 1.5 * sign], slopes, 1e-6)


@claim(
    "C6.41E", source="thesis, ELBO before (6.41)", as_printed="corrected",
    printed="ELBO(q) = E_q[log q(X)] - E_q[log p(X, Xi)] which is a lower bound on log p(Xi)",
    statement="ELBO(q) = E_q log p(X, Xi) - E_q log q(X) <= log p(Xi), with equality at the posterior",
    perturbation="the printed sign", rejects={"sign": -1.0}, tolerance="round-off: Gaussian closed forms",
)  # fmt: skip
def evidence_bound(quick=False, sign=1.0):
    data = 0.8  # X ~ N(0, 1), Xi | X ~ N(X, 1): Xi ~ N(0, 2), X | Xi ~ N(Xi/2, 1/2)
    exact = -0.5 * math.log(4 * math.pi) - data * data / 4
    laws = np.array([(data / 2, 0.5), (0.9, 0.5), (0.4, 0.2), (-1.0, 2.0)])
    m, v = laws.T
    joint = -math.log(2 * math.pi) - 0.5 * (m * m + v) - 0.5 * ((data - m) ** 2 + v)
    bounds = sign * (joint + 0.5 * np.log(2 * math.pi * math.e * v))
    return [at_most(exact, bounds, 1e-14), equal(exact, bounds[0], 1e-14)]


@claim(
    "C6.I", source="thesis, the bound on I(Z; Y) after (6.36)", as_printed="corrected",
    printed="I(Z; Y) <= H(Y; Z) - H(Y)",
    statement="I(Z; Y) >= H(Y) - cross-entropy for any guess of Y from Z, with equality for the true conditional law",
    perturbation="H(Y; Z) - H(Y), as printed", rejects={"sign": -1.0}, tolerance="round-off: tables of probabilities",
)  # fmt: skip
def information_bound(quick=False, sign=1.0):
    table, draw = np.array([[0.4, 0.1], [0.07, 0.43]]), np.random.default_rng(2)
    of_z, of_y = table.sum(1), table.sum(0)
    information = float((table * np.log(table / np.outer(of_z, of_y))).sum())
    true = table / of_z[:, None]
    guesses = [true, *draw.dirichlet([1.0, 1.0], (5, 2))]
    entropy = -float(of_y @ np.log(of_y))
    bounds = [sign * (entropy + float((table * np.log(guess)).sum())) for guess in guesses]
    return [at_least(bounds, np.full(6, information), 1e-14), equal(information, bounds[0], 1e-14)]


@claim(
    "C6.div", source="thesis 6.4.4.3, gradient diversity", as_printed="corrected",
    printed="sum_k |grad f_k(x)|/|grad f(x)|",
    statement="gradient diversity is sum_k |g_k|^2/|sum_k g_k|^2: 1 for orthogonal gradients, 1/N for equal ones, and "
    "(tr D/|g|^2 + 1)/N with D the diffusion matrix",
    perturbation="without squares and with the mean for the sum, as printed", rejects={"squared": False},
    tolerance="round-off",
)  # fmt: skip
def gradient_diversity(quick=False, squared=True):
    random = np.random.default_rng(3).normal(size=(6, 4)) + 0.5
    sets = [np.eye(4), np.ones((4, 3)), random]
    mean = random.mean(0)
    spread = np.trace(random.T @ random / 6 - np.outer(mean, mean))
    diversities = [
        (g**2).sum() / (g.sum(0) ** 2).sum()
        if squared
        else (np.linalg.norm(g, axis=1) / np.linalg.norm(g.mean(0))).sum()
        for g in sets
    ]
    return equal([1.0, 0.25, (spread / (mean @ mean) + 1) / 6], diversities, 1e-13)


not_computable(
    "C6.45", source="thesis (6.45)", as_printed="right",
    statement="(eta/b) tr(D)/d = constant as a rule for choosing learning rates",
    reason="a rule of thumb: nothing in it can be false",
)  # fmt: skip
