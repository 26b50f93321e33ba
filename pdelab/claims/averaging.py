"""Thesis 4.3: fast-slow systems, their averages, and the particles of Elastic-SGD."""

import math

import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import expm, solve_continuous_lyapunov
from scipy.optimize import brentq

from pdelab import closed_forms
from pdelab.claims import at_most, claim, equal, observed_order, standard_error
from pdelab.claims.samplers import gaussian_average, three_wells
from pdelab.fokker_planck import FokkerPlanck
from pdelab.generator import stationary
from pdelab.grid import Grid
from pdelab.homogenization import Elastic, FastSlow, homogenized
from pdelab.losses import Loss
from pdelab.paths import Diffusion, euler_maruyama, exponential, heun, leimkuhler_matthews, simulate


@claim(
    "E4.3", source="thesis (4.3)", as_printed="corrected",
    statement="dY = -(Y/gamma) ds + grad f(X - Y) ds + sqrt(2/beta) dB has the invariant law rho_2",
    printed="dY = -(1/gamma) Y ds - grad f(X - Y) ds + beta^(-1/2) dB",
    perturbation=["- grad f(X - Y), as printed", "the printed noise beta^(-1/2) alone"],
    rejects=[{"sign": -1.0}, {"noise": 1.0}],
    tolerance="the order of four grids; four standard errors, and 2e-3 for the sampler's step",
)  # fmt: skip
def fast_variable(quick=False, sign=1.0, noise=2.0):
    f, x, gamma, beta = three_wells(), 0.4, 0.7, 3.0
    sizes, distances = (101, 201, 401, 801), []
    for n in sizes:
        grid = Grid(-4.0, 4.0, n)
        y, drift = grid.x, -grid.x / gamma + sign * f.gradient(x - grid.x)
        density = np.exp(-beta * (f(x - y) + y**2 / (2 * gamma)))
        density /= grid.integrate(density)
        law = stationary(FokkerPlanck(drift=drift, diffusivity=noise / (2 * beta)), grid)
        distances.append(grid.integrate(np.abs(law - density)))
    paths = 4000 if quick else 40_000
    formula = "0.05*(0.4-y)**4 - 0.4*(0.4-y)**2 + 0.15*(0.4-y) + 0.3*sin(3*(0.4-y))"
    potential = Loss(f"{sign}*({formula}) + y**2/{2 * gamma}")  # d/dy f(x - y) = -f'(x - y)
    run = simulate(
        Diffusion(potential, math.sqrt(noise / beta)), 0.0, 8.0, 0.02, scheme=leimkuhler_matthews, paths=paths, seed=1
    )
    sampled = equal(grid.integrate(y * density), run.mean[-1], 4 * run.standard_error[-1] + 2e-3)
    return [equal(4.0, observed_order(sizes, 1 / np.array(distances)), 0.15), sampled]


@claim(
    "E4.20", source="thesis (4.20)", as_printed="right",
    statement="averaging principle: the slow drift is its mean over the fast variable at fixed X, here -grad f_gamma",
    perturbation="the fast variable at 2 beta: the noise beta^(-1/2)", rejects={"cold": 2.0},
    tolerance="four standard errors, and 2e-3 for the sampler's step",
)  # fmt: skip
def averaging_principle(quick=False, cold=1.0):
    f, gamma, beta, paths = three_wells(), 0.5, 3.0, 16_000 if quick else 40_000
    points, epsilon = np.array([-0.5, 0.4, 1.0]), 1e-7  # X moves by less than 1e-5
    expected = closed_forms.local_entropy_gradient(f, points, gamma, cold * beta)
    measured, errors = [], []
    for k, x in enumerate(points):
        run = simulate(FastSlow(f, gamma, beta, epsilon), x, 10 * epsilon, 0.02 * epsilon, paths=paths, seed=k)
        measured.append((x - run.mean[-1][1]) / gamma)
        errors.append(4 * run.standard_error[-1][1] / gamma + 2e-3)  # + the sampler's step
    return equal(expected, measured, errors)


def linear_moments(c, gamma, beta, epsilon, s, noise=2.0):
    """Bias and rms of X^eps - X at time s for f = c x^2/2, X = 1, Y at its mean: linear equations, solved exactly."""
    A = np.array([[-1 / gamma, 1 / gamma], [1 / (epsilon * gamma), -(c + 1 / gamma) / epsilon]])
    Q = np.diag([0.0, noise / (beta * epsilon)])
    decay = expm(s * A)
    limit = solve_continuous_lyapunov(A, -Q)  # the stationary covariance; what is left of the start decays
    covariance = limit - decay @ limit @ decay.T
    mean = decay @ [1.0, 1 / (1 + c * gamma)]
    bias = mean[0] - math.exp(-c * s / (1 + gamma * c))
    return bias, math.sqrt(covariance[0, 0] + bias**2)


@claim(
    "T4.5", source="thesis Theorem 4.5", as_printed="corrected",
    statement="X^eps tends to the gradient flow of f_gamma: weak error O(eps), rms error O(sqrt eps) with the constant "
              "[(2/beta)/(gamma^2 (c + 1/gamma)^2) (1 - e^(-2as))/(2a)]^(1/2), a = c/(1 + gamma c), when f is c x^2/2",
    printed="As eps -> 0, the system (4.21) converges to the homogenized dynamics ... with beta^(-1/2)/sqrt(eps) "
    "dB, and "
    "<x - y> = lim (1/T) int_0^T y(s) ds",
    perturbation=["the noise beta^(-1/2), as printed", "weak order 1/2, strong order 1"],
    rejects=[{"noise": 1.0}, {"orders": (0.5, 1.0)}],
    tolerance="linear equations, the next power of eps; constants to three digits; over a factor 8 in eps the next "
    "orders "
    "leave .05, sampling .03",
)  # fmt: skip
def homogenization(quick=False, noise=2.0, orders=(1.0, 0.5)):
    c, gamma, beta, s = 1.5, 0.5, 4.0, 1.0
    a = c / (1 + gamma * c)
    constant = math.sqrt((2 / beta) / (gamma * (c + 1 / gamma)) ** 2 * (1 - math.exp(-2 * a * s)) / (2 * a))
    epsilons = np.array([1e-3, 5e-4, 2.5e-4, 1.25e-4])
    bias, rms = np.array([linear_moments(c, gamma, beta, e, s, noise) for e in epsilons]).T
    evidence = [
        equal(orders, [observed_order(epsilons, np.abs(bias)), observed_order(epsilons, rms)], 0.005),
        equal([constant, 0.1187], [rms[-1] / math.sqrt(epsilons[-1]), bias[-1] / epsilons[-1]], [2e-4, 5e-4]),
    ]
    f, gamma, x, s, paths = three_wells(), 0.2, 1.0, 0.5, 20_000 if quick else 100_000
    limit = simulate(homogenized(f, gamma, beta), x, s, 0.005, scheme=heun, seed=0).final[0]
    epsilons = np.array([0.1, 0.05, 0.025, 0.0125])
    sdes = [FastSlow(f, gamma, 2 * beta / noise, e) for e in epsilons]
    runs = [simulate(sde, x, s, 0.02 * sde.epsilon, paths=paths, seed=4).final[:, 0] for sde in sdes]
    bias, rms = ([abs((r - limit).mean()) for r in runs], [math.sqrt(((r - limit) ** 2).mean()) for r in runs])
    return [*evidence, equal(orders, [observed_order(epsilons, bias), observed_order(epsilons, rms)], [0.15, 0.06])]


@claim(
    "E4.27", source="thesis (4.27)", as_printed="corrected",
    statement="the fast variable of heat, dY = -Y/(eps gamma) ds + sqrt(2/(eps beta)) dB, has the variance gamma/beta",
    printed="dY = -(1/(eps gamma)) y ds + (eps beta)^(-1/2) dB ... a Gaussian distribution with ... variance "
    "gamma/beta",
    perturbation="noise (eps beta)^(-1/2), as printed: gamma/(2 beta)", rejects={"noise": 1.0},
    tolerance="four standard errors of a Gaussian variance",
)  # fmt: skip
def heat_fast_variable(quick=False, noise=2.0):
    gamma, beta, epsilon, paths = 0.9, 3.0, 0.01, 20_000 if quick else 400_000
    sde = FastSlow(three_wells(), gamma, 2 * beta / noise, epsilon, "heat")
    run = simulate(sde, 0.3, 10 * epsilon, epsilon / 5, scheme=exponential, paths=paths, seed=1, store=False)
    return equal(gamma / beta, run.variance[-1][1], 4 * gamma / beta * math.sqrt(2 / paths))


@claim(
    "E4.28", source="thesis (4.28)", as_printed="right",
    statement="the homogenised heat dynamics is -grad(G_{gamma/beta} * f)",
    perturbation="-grad(G_{gamma/(2 beta)} * f), what the printed noise gives", rejects={"cold": 2.0},
    tolerance="four standard errors",
)  # fmt: skip
def homogenised_heat(quick=False, cold=1.0):
    f, x, gamma, beta, paths = three_wells(), 0.5, 0.7, 3.0, 4000 if quick else 40_000
    expected = gaussian_average(f.gradient, x, gamma / (cold * beta))
    epsilon, steps = 1e-8, 200  # X stands still; from t = 4 eps on the rest of the run averages
    sde = FastSlow(f, gamma, beta, epsilon, "heat")
    run = simulate(sde, x, steps * epsilon / 10, epsilon / 10, scheme=exponential, paths=paths, seed=1, save_every=1)
    y = run.states[40:, :, 1]
    averages = f.gradient(x - y).mean(axis=0)
    return equal(expected, averages.mean(), 4 * standard_error(averages))


@claim(
    "R4.8", source="thesis Remark 4.8", as_printed="wrong",
    statement="at a critical point the fast variables of local entropy and of heat differ: Var Y = "
              "1/(beta(Q + 1/gamma)) against gamma/beta",
    printed="the gradient term at a critical point vanishes whereby (4.27) and Section 4.3.2 coincide",
    perturbation="the two coincide", rejects={"bend": 0.0},
    tolerance="four standard errors; X moves a little, O(epsilon)",
)  # fmt: skip
def systems_at_a_critical_point(quick=False, bend=1.0):
    Q, gamma, beta, epsilon, paths = 2.0, 0.7, 3.0, 1e-3, 20_000 if quick else 200_000
    f, measured = Loss("2*x**2/2"), []
    for form in ("average", "heat"):
        sde = FastSlow(f, gamma, beta, epsilon, form)
        scheme = exponential if form == "heat" else leimkuhler_matthews
        run = simulate(sde, 0.0, 4 * epsilon, 0.02 * epsilon, scheme=scheme, paths=paths, seed=1, store=False)
        measured.append(run.variance[-1][1])
    expected = np.array([1 / (beta * (bend * Q + 1 / gamma)), gamma / beta])
    return equal(expected, measured, 4 * expected * math.sqrt(2 / paths) + 1e-3)


# -- particles: Elastic-SGD -----------------------------------------------------------------------------------------


@claim(
    "E4.25m", source="thesis after (4.25)", as_printed="corrected",
    statement="the law of (4.25) is exp(-beta sum_i (f(y_i) + |y_i - ybar|^2/(2 gamma)))",
    printed="H(X, Y; gamma) = sum_i f(Y^i) + |X - Ybar|^2/(2 gamma). The invariant measure ... of (4.25) is "
    "exp(-beta H)/Z",
    perturbation="the printed H = sum f(y_i) + |x - ybar|^2/(2 gamma)", rejects={"leader": True},
    tolerance="a gradient drift with noise sqrt(2/beta) has the law exp(-beta potential); differences leave 1e-9",
)  # fmt: skip
def law_of_tied_workers(quick=False, leader=False):
    f, gamma, n, x = three_wells(), 0.5, 4, 0.3
    y = np.array([-0.7, 0.2, 1.1, 1.9])

    def potential(y):
        pull = (x - y.mean()) ** 2 if leader else ((y - y.mean()) ** 2).sum()
        return f(y).sum() + pull / (2 * gamma)

    h = 1e-5
    slope = [(potential(y + h * e) - potential(y - h * e)) / (2 * h) for e in np.eye(n)]
    drift = Elastic(f, gamma, 3.0, n, tie="mean").drift(y[:, None], 0.0)[:, 0]
    return equal(slope, -drift, 1e-7)


@claim(
    "E4.26A", source="thesis (4.26)", as_printed="corrected",
    statement="workers tied to the leader X are independent samples of rho_1(.; X): the leader follows -grad f_gamma "
              "for EVERY n, and n only divides the variance of their mean",
    printed="dX = (1/gamma)(X - Ybar) ds along with (4.25) ... converges to gradient descent for Local Entropy as "
    "n -> infinity",
    perturbation=["the leader's drift is -(x - m)/gamma, m the Gibbs mean (the printed limit n -> infinity)",
                  "the printed sign of dX", "n does not divide the variance"],
    rejects=[{"limit": True}, {"sign": -1.0}, {"power": 0}],
    tolerance="four standard errors, five of a variance, and 2e-3 for the sampler's step",
)  # fmt: skip
def elastic_leader(quick=False, limit=False, sign=1.0, power=1):
    f, gamma, beta, epsilon, x = three_wells(), 0.5, 3.0, 1e-7, 1.0
    exact = (x - gibbs_mean(f, beta)) / gamma if limit else closed_forms.local_entropy_gradient(f, x, gamma, beta)
    paths = 8000 if quick else 80_000
    measured, errors, spread = [], [], []
    for n in (1, 4, 16):
        sde = Elastic(f, gamma, beta, n, epsilon=epsilon)
        run = simulate(
            sde, x, 8 * epsilon, 0.02 * epsilon, scheme=leimkuhler_matthews, paths=max(paths // n, 500), seed=n
        )
        means = run.final[:, 1:].mean(axis=1)
        measured.append(sign * (x - means.mean()) / gamma)
        errors.append(4 * standard_error(means) / gamma + 2e-3)
        spread.append(n**power * means.var())
    variance = gamma / beta * (1 - gamma * float(closed_forms.local_entropy_hessian(f, x, gamma, beta)))
    samples = np.array([max(paths // n, 500) for n in (1, 4, 16)])
    return [equal(exact, measured, errors), equal(variance, spread, 5 * variance * np.sqrt(2 / samples) + 2e-3)]


def gibbs_mean(f, beta):
    """The mean of exp(-beta f)."""
    y = np.linspace(-6.0, 6.0, 12001)
    weights = np.exp(-beta * (f(y) - f(y).min()))
    return y @ weights / weights.sum()


@claim(
    "E4.26B", source="thesis (4.26)", as_printed="wrong",
    statement="with the printed H = sum f(y_i) + |x - ybar|^2/(2 gamma) the field is grad f_gamma only for n = 1; it "
              "tends to (x - m)/gamma, m the Gibbs mean, as n -> infinity; for c x^2/2 its slope is nc/(1 + nc gamma)",
    printed="H(X, Y; gamma) = sum_i f(Y^i) + |X - Ybar|^2/(2 gamma) ... the dynamics also converges to gradient "
    "descent "
    "for Local Entropy as n -> infinity",
    perturbation=["the field is grad f_gamma for every n, as printed", "counts half as large", "the limit is 0"],
    rejects=[{"every": True}, {"thinned": 2}, {"share": 0.0}],
    tolerance="the step of the convolution, 1e-6; fields computed once by other means, to three digits; an inequality",
)  # fmt: skip
def printed_elastic_energy(quick=False, every=False, thinned=1, share=1.0):
    f, gamma, beta, x = three_wells(), 0.5, 3.0, 1.0
    counts = (1, *(n // thinned for n in (2, 4, 8, 16, 32, 256)))
    fields = [coupled_field(f, gamma, beta, x, n) for n in counts]
    exact = closed_forms.local_entropy_gradient(f, x, gamma, beta)
    limit = share * (x - gibbs_mean(f, beta)) / gamma
    c, ns = 1.2, np.array([1, 2, 4, 16])
    slopes = [coupled_field(Loss("1.2*x**2/2"), gamma, beta, 1.0, int(n)) for n in ns // thinned + (thinned > ns)]
    distances = np.abs(np.array(fields) - limit)
    return [
        equal(exact, fields if every else fields[0], 1e-6),
        equal([0.404, 0.728, 1.355, 2.149, 3.012], fields[1:6], 1e-3),
        at_most(0.95 * distances[:-1], distances[1:]),
        at_most(0.1 * distances[0], distances[-1]),
        equal(ns * c / (1 + ns * c * gamma), slopes, 1e-6),
    ]


def coupled_field(f, gamma, beta, x, n):
    """(x - <ybar>)/gamma under exp(-beta(sum f(y_i) + |x - ybar|^2/(2 gamma))): ybar's law by an n-fold convolution."""
    step, reach = 0.01, 6.0
    y = np.arange(-reach, reach, step)
    weights = np.exp(-beta * (f(y) - f(y).min()))
    size = 1 << math.ceil(math.log2(n * len(y) + 1))
    transform = np.fft.rfft(weights / weights.sum(), size)
    total = np.fft.irfft(transform**n, size)[: n * (len(y) - 1) + 1].clip(0.0)
    mean = y[0] + step * np.arange(len(total)) / n
    law = total * np.exp(-beta * (x - mean) ** 2 / (2 * gamma))
    return (x - mean @ law / law.sum()) / gamma


@claim(
    "E4.26C", source="thesis (4.25)", as_printed="wrong",
    statement="workers tied to their own mean m, n -> infinity: dm/ds = -grad f_gamma(x(m)), where "
              "x - gamma grad f_gamma(x) = m, which is not -grad f_gamma(m)",
    printed="the dynamics above [(4.25)] converges to gradient descent of the Local Entropy",
    perturbation="dm/ds = -grad f_gamma(m), as printed", rejects={"shift": 0.0},
    tolerance="four standard errors, and .004 because the workers relax in a time gamma, not at once",
)  # fmt: skip
def mean_field_of_workers(quick=False, shift=1.0):
    f, gamma, beta, s = three_wells(), 0.1, 8.0, 0.5
    slope = lambda x: float(closed_forms.local_entropy_gradient(f, float(x), gamma, beta))  # noqa: E731

    def velocity(_, m):
        return [-slope(brentq(lambda x: x - shift * gamma * slope(x) - m[0], m[0] - 2, m[0] + 2, xtol=1e-10))]

    workers, copies = 4000, 4 if quick else 40
    expected, measured = [], []
    for k, start in enumerate((1.1, -1.6)):
        expected.append(solve_ivp(velocity, (0, s), [start], rtol=1e-6, atol=1e-8).y[0, -1])
        sde = Elastic(f, gamma, beta, workers, tie="mean")
        run = simulate(sde, start, s, 0.0025, scheme=euler_maruyama, paths=copies, seed=k)
        measured.append(run.final.mean())
    # the sampling error is sqrt(2 s/(beta n copies))
    return equal(expected, measured, 4 * math.sqrt(2 * s / (beta * workers * copies)) + 0.004)


@claim(
    "R4.7", source="thesis Remark 4.7", as_printed="corrected",
    statement="the interaction energy (1/(4 gamma)) integral |x - y|^2 rho(x) rho(y) has the drift (x - m)/gamma",
    printed="J(rho) = ... + (1/(2 gamma)) int int |x - y|^2 rho(x) rho(y) dx dy",
    perturbation="1/(2 gamma), as printed: twice the drift", rejects={"divisor": 2.0},
    tolerance="differences of a quadratic: round-off",
)  # fmt: skip
def interaction_energy(quick=False, divisor=4.0):
    f, gamma, h = three_wells(), 0.6, 1e-5
    y = np.array([-1.3, -0.2, 0.4, 0.9, 2.1])

    def energy(y):
        return ((y[:, None] - y) ** 2).mean() / (divisor * gamma)

    slope = [len(y) * (energy(y + h * e) - energy(y - h * e)) / (2 * h) for e in np.eye(len(y))]
    force = -Elastic(f, gamma, 3.0, len(y), tie="mean").drift(y[:, None], 0.0)[:, 0] - f.gradient(y)
    return equal(slope, force, 1e-9)
