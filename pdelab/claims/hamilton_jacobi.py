"""Section 4.2 of the thesis: Cole-Hopf, Hopf-Lax, the proximal dynamics, and what smoothing keeps."""

import math

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from scipy.special import erfcx

from pdelab import closed_forms, hamilton_jacobi, losses
from pdelab.claims import at_least, at_most, claim, equal, not_computable, observed_order
from pdelab.claims.local_entropy import derivative, gibbs, quadrature, three_wells
from pdelab.grid import Grid

CURVATURE = 3.343251  # K = max(-f_A''), from the head of the ledger; checked in tests of the losses


@claim(
    "L4.1", source="thesis Lemma 4.1, (4.11)-(4.14)", as_printed="right",
    statement="f_gamma solves u_t = -|u_x|^2/2 + 1/(2 beta) u_xx with u(., 0) = f: the viscosity is 1/(2 beta)",
    perturbation="viscosity 1/beta, that of the sampling SDE",
)  # fmt: skip
def cole_hopf_solves_the_equation(perturbed=False, quick=False):
    f, residuals = three_wells(), []
    for x, t, beta in ((0.4, 0.7, 3.0), (1.0, 0.2, 4.0), (-0.5, 1.0, 3.0)):
        u_t = derivative(lambda s, x=x, beta=beta: quadrature(f, x, s, beta), t)
        h = 2e-3
        left, centre, right = (quadrature(f, x + k * h, t, beta) for k in (-1, 0, 1))
        far = [quadrature(f, x + k * h, t, beta) for k in (-2, 2)]
        u_xx = (-sum(far) + 16 * (left + right) - 30 * centre) / (12 * h**2)
        u_x = derivative(lambda z, t=t, beta=beta: quadrature(f, z, t, beta), x)
        nu = (1 if perturbed else 0.5) / beta
        residuals.append(u_t + u_x**2 / 2 - nu * u_xx)
    # quadrature to 1e-13, divided by h² in the second difference of fourth order
    return equal(0.0, residuals, 1e-6)


@claim(
    "L4.1H", source="follows from thesis (4.12)", as_printed="new",
    statement="Hess f_gamma = (1/gamma)(I - (beta/gamma) Cov_1(y))",
    perturbation="the covariance without its factor beta",
)  # fmt: skip
def hessian_is_a_covariance(perturbed=False, quick=False):
    f, gamma, beta = three_wells(), 0.7, 3.0
    points = np.array([-1.5, 0.4, 1.0])
    found = []
    for x in points:
        y, weights, _ = gibbs(f, x, gamma, beta)
        variance = weights @ y**2 - (weights @ y) ** 2
        found.append((1 - (1 if perturbed else beta) / gamma * variance) / gamma)
    exact = [derivative(lambda z: float(closed_forms.local_entropy_gradient(f, z, gamma, beta)), x) for x in points]
    library = closed_forms.local_entropy_hessian(f, points, gamma, beta)
    return [equal(exact, found, 1e-7), equal(exact, found if perturbed else library, 1e-7)]


@claim(
    "L4.1g", source="follows from thesis (4.12)", as_printed="new",
    statement="d f_gamma/d gamma = d/(2 beta gamma) - E_1|x-y|^2/(2 gamma^2)",
    perturbation="without the first term: the unnormalised kernel",
)  # fmt: skip
def derivative_in_the_scope(perturbed=False, quick=False):
    f, x, gamma, beta = three_wells(), 0.4, 0.7, 3.0
    y, weights, _ = gibbs(f, x, gamma, beta)
    value = -(weights @ (x - y) ** 2) / (2 * gamma**2) + (0 if perturbed else 1 / (2 * beta * gamma))
    exact = derivative(lambda g: closed_forms.local_entropy(f, x, g, beta), gamma)
    return equal([exact, -0.35518161], [value, value], [1e-8, 6e-9])


@claim(
    "L4.2", source="thesis Lemma 4.2, (4.16)-(4.18)", as_printed="right",
    statement="Hopf-Lax: grad u_0 = (x - y*)/t = grad f(y*) at the proximal point y*",
    perturbation="grad f at x instead of at y*",
)  # fmt: skip
def gradient_of_hopf_lax(perturbed=False, quick=False):
    f, x = three_wells(), np.linspace(-2.5, 2.5, 21 if quick else 101)
    evidence = []
    for t in (0.1, 0.5):
        slope = closed_forms.local_entropy_gradient(f, x, t, math.inf)
        smooth = np.abs(np.diff(slope, append=slope[-1])) < 0.5  # away from kinks, where there is no gradient
        x_s, slope = x[smooth], slope[smooth]
        exact = derivative(lambda z, t=t: closed_forms.local_entropy(f, z, t, math.inf), x_s)
        evidence.append(equal(exact, f.gradient(x_s if perturbed else x_s - t * slope), 1e-8))
    return evidence


@claim(
    "L4.3", source="thesis Lemma 4.3, (4.19)", as_printed="right",
    statement="y' = -t (y - grad f(x - t y)) contracts to grad u(x, t) at least at rate t (1 - t K), asymptotically "
              "exactly at t (1 + t f''(y*))",
    perturbation="the rate without its factor t",
)  # fmt: skip
def proximal_dynamics(perturbed=False, quick=False):
    f, rates, theory, excess = three_wells(), [], [], []
    for t in (0.1, 0.2):
        for x in (-0.9, 0.6):
            point = _proximal_point(f, x, t)
            limit = (x - point) / t
            end = 30 / t
            times = np.array([0.0, 0.5 * end, 0.75 * end])
            flow = solve_ivp(lambda s, y, t=t, x=x: -t * (y - f.gradient(x - t * y)), (0, end), [limit + 0.5],
                             t_eval=times, rtol=1e-12, atol=1e-14)  # fmt: skip
            gap = np.abs(flow.y[0] - limit)
            rates.append(-math.log(gap[2] / gap[1]) / (times[2] - times[1]))
            theory.append((1 if perturbed else t) * (1 + t * float(f.hessian(point))))
            excess.append(float((gap - gap[0] * np.exp(-t * (1 - t * CURVATURE) * times)).max()))
    return [equal(theory, rates, 2e-3 * np.array(theory)), at_most(0.0, excess, 1e-10)]


def _proximal_point(f, x, t):
    """argmin f(y) + (x-y)²/2t by Newton from x, for t < 1/K where there is only one."""
    y = x
    for _ in range(60):
        y -= (float(f.gradient(y)) + (y - x) / t) / (float(f.hessian(y)) + 1 / t)
    return y


@claim(
    "L4.3n", source="after thesis Lemma 4.3", as_printed="new",
    statement="for t > 1/K the proximal dynamics has several steady states, and its end depends on the start",
    perturbation="one steady state, as for t < 1/K",
)  # fmt: skip
def several_steady_states(perturbed=False, quick=False):
    f, x, t = three_wells(), 0.3, 1.0
    y = np.linspace(-4.0, 4.0, 80001)
    h = f(y) + (x - y) ** 2 / (2 * t)
    where = np.flatnonzero((h[1:-1] < h[:-2]) & (h[1:-1] < h[2:])) + 1
    values = [1.0] if perturbed else [2.0]
    order = np.argsort((x - y[where]) / t)  # as steady states of the flow: (x - y)/t
    found = np.concatenate([((x - y[where]) / t)[order], h[where][order]])
    return [equal(values, [len(where)], 0), equal([-1.0326, 0.7291, -0.0462, -0.1586], found, 1.1e-4)]


@claim(
    "L4.4", source="thesis Lemma 4.4", as_printed="corrected",
    statement="Q-quadratic f, p = grad f(x), Sigma = (Q + I/gamma)^-1: rho_1 = N(x - Sigma p, Sigma/beta)",
    perturbation="gamma and 1/gamma exchanged, as printed",
)  # fmt: skip
def gaussian_case(perturbed=False, quick=False):
    Q, x, gamma, beta = np.array([[1.5, 0.4], [0.4, 0.7]]), np.array([0.6, -0.8]), 0.5, 3.0
    axis = np.linspace(-6.0, 6.0, 301)
    y = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1)
    exponent = -beta * (np.einsum("...i,ij,...j", y, Q, y) / 2 + ((x - y) ** 2).sum(-1) / (2 * gamma))
    weights = np.exp(exponent - exponent.max())
    weights /= weights.sum()
    mean = np.einsum("ab,abi->i", weights, y)
    covariance = np.einsum("ab,abi,abj->ij", weights, y - mean, y - mean)
    sigma = np.linalg.inv(Q + np.eye(2) * (gamma if perturbed else 1 / gamma))
    p = Q @ x
    expansion = [np.linalg.norm(np.linalg.inv(Q + np.eye(2) / g) - g * np.eye(2) + g**2 * Q, 2) / g**3
                 for g in (1e-2, 1e-3, 1e-4)]  # fmt: skip
    return [
        equal(x - sigma @ p, mean, 1e-12),
        equal(sigma / beta, covariance, 1e-12),
        equal(np.linalg.norm(Q @ Q, 2), expansion[-1], 1e-3 * expansion[-1]),
    ]


@claim(
    "X1", source="section 4.2 of the thesis, vanishing viscosity", as_printed="new",
    statement="sup|u_beta - u_0| = O(1/beta) with coefficient (1/2) log det(I + t Q(y*)) for smooth f; for f = |x| at "
              "0 u = -(1/beta) log erfcx(sqrt(beta t/2)), slower by a logarithm",
    perturbation="order 1/2, the general bound of Crandall and Lions, attained",
)  # fmt: skip
def vanishing_viscosity(perturbed=False, quick=False):
    f, t, betas = three_wells(), 0.5 / CURVATURE, np.array([1e2, 1e3, 1e4, 1e5])
    x = np.linspace(-2.5, 2.5, 21 if quick else 101)
    limit = np.array([_proximal_point(f, z, t) for z in x])
    u_0 = f(limit) + (x - limit) ** 2 / (2 * t)
    laplace = np.log(1 + t * f.hessian(limit)) / 2
    gaps = [closed_forms.local_entropy(f, x, t, beta) - u_0 for beta in betas]
    order = observed_order(1 / betas, [np.abs(gap).max() for gap in gaps])
    cone, exact, found = losses.cone(), [], []
    for beta in (1e2, 1e4, 1e6):
        exact.append(-math.log(erfcx(math.sqrt(beta * t / 2))) / beta)
        found.append(float(closed_forms.local_entropy(cone, 0.0, t, beta)))
    # Laplace leaves a term O(1/beta²), here below 1/beta of the first one; the order of four points inherits it
    return [
        equal(0.5 if perturbed else 1.0, order, 0.02),
        equal(laplace, betas[-1] * gaps[-1], 1e-3),
        equal(exact, found, 1e-9 * np.array(exact)),
    ]


@claim(
    "X2", source="theory of the log-domain sum", as_printed="new",
    statement="in the log domain f_gamma - u_0 is right for beta up to 1e10 and more, where exp(-beta f) has long "
              "underflowed",
    perturbation="the plain integral of exp(-beta f) in double precision",
)  # fmt: skip
def log_domain(perturbed=False, quick=False):
    f, x, t, beta = three_wells(), 0.4, 0.1, 1e10
    point = _proximal_point(f, x, t)
    u_0 = float(f(point)) + (x - point) ** 2 / (2 * t)
    if perturbed:
        y = np.linspace(-12, 12, 240001)
        with np.errstate(divide="ignore"):
            value = -np.log(np.exp(-1e3 * (f(y) + 1.5 + (x - y) ** 2 / (2 * t))).sum()) / 1e3
            value = value if math.isfinite(value) and abs(value - u_0) < 1e-9 else math.inf
    else:
        value = float(closed_forms.local_entropy(f, x, t, beta))
    laplace = math.log(1 + t * float(f.hessian(point))) / (2 * beta)
    # u_0 itself carries one rounding of f, 1e-16
    return equal(laplace, value - u_0, 1e-15)


@claim(
    "X3", source="section 4.2 of the thesis", as_printed="new",
    statement="S_s S_t = S_{s+t}; u is monotone in f, commutes with constants and contracts in the sup norm",
    perturbation="the semigroup with the times exchanged for their product",
)  # fmt: skip
def semigroup(perturbed=False, quick=False):
    grid = Grid(-6.0, 6.0, 1201, boundary="outflow")
    f, beta, inner = three_wells().on(grid), 3.0, np.abs(grid.x) < 3
    total = 0.3 * 0.4 if perturbed else 0.7
    gaps = []
    for b in (beta, math.inf):
        twice = closed_forms.cole_hopf(closed_forms.cole_hopf(f, grid, 0.3, b), grid, 0.4, b)
        gaps.append(np.abs(twice - closed_forms.cole_hopf(f, grid, total, b))[inner].max())
    rng = np.random.default_rng(4)
    g = f + rng.uniform(0, 1, f.size)
    u, v = (closed_forms.cole_hopf(w, grid, 0.3, beta) for w in (f, g))
    shifted = closed_forms.cole_hopf(f + 2.5, grid, 0.3, beta)
    # inviscid: kinks are interpolated, O(h²)
    return [
        equal(0.0, gaps, [1e-10, 1e-4]),
        at_least(0.0, float((v - u).min()), 1e-12),
        equal(2.5, shifted - u, 1e-12),
        at_most(np.abs(f - g).max(), np.abs(u - v).max(), 1e-12),
    ]


@claim(
    "X5", source="section 3.1.2 of the thesis", as_printed="new",
    statement="inf f <= f_gamma <= G_{gamma/beta} * f, and f_gamma - log(2 pi gamma/beta)/(2 beta) -> -(1/beta) log Z",
    perturbation="f_gamma >= G * f",
)  # fmt: skip
def sandwich(perturbed=False, quick=False):
    f, beta = three_wells(), 2.0
    x = np.linspace(-2.5, 2.5, 11 if quick else 41)
    entropy = closed_forms.local_entropy(f, x, 0.5, beta)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    heat = (f(x[:, None] + math.sqrt(0.5 / beta) * nodes) @ weights) / weights.sum()
    slack = float((heat - entropy).min())
    y = np.arange(-12.0, 12.0, 1e-3)
    limit = -math.log(np.exp(-beta * f(y)).sum() * 1e-3) / beta
    gammas = np.array([1e1, 1e2, 1e3, 1e4])
    free = [float(closed_forms.local_entropy(f, 0.4, g, beta)) - math.log(2 * math.pi * g / beta) / (2 * beta)
            for g in gammas]  # fmt: skip
    order = observed_order(1 / gammas[1:], np.abs(np.array(free)[1:] - limit))
    return [
        at_most(0.0, slack) if perturbed else at_least(0.0, slack),
        at_least(-1.24552, entropy, 1e-5),
        equal(limit, free[-1], 1e-3),
        equal(1.0, order, 0.05),
    ]


@claim(
    "X6", source="Moreau; thesis Remark 4.16", as_printed="new",
    statement="Hopf-Lax keeps min f and its minimiser for all t; local entropy moves the minimiser by O(1/beta)",
    perturbation="local entropy moves it by O(1/beta^2)",
)  # fmt: skip
def minimiser(perturbed=False, quick=False):
    f, t = three_wells(), 0.5
    start = brentq(f.gradient, -2.5, -2.2, xtol=1e-15)
    kept = [float(closed_forms.local_entropy(f, start, s, math.inf) - f(start)) for s in (0.1, 1.0, 5.0)]
    betas, shifts = np.array([50.0, 100.0, 200.0, 400.0]), []
    for beta in betas:
        x = start
        for _ in range(30):
            step = closed_forms.local_entropy_gradient(f, x, t, beta) / closed_forms.local_entropy_hessian(
                f, x, t, beta
            )
            x -= float(step)
        shifts.append(abs(x - start))
    order = observed_order(1 / betas, shifts)
    return [equal(0.0, kept, 1e-12), equal(2.0 if perturbed else 1.0, order, 0.05)]


@claim(
    "X8", source="monotone schemes for thesis (4.1)", as_printed="new",
    statement="comparison holds for Godunov at dt (L/h + 2 nu/h^2) <= 1, for Engquist-Osher only at "
              "dt (2L/h + 2 nu/h^2) <= 1",
    perturbation="Engquist-Osher at Godunov's step",
)  # fmt: skip
def monotone_steps(perturbed=False, quick=False):
    rng = np.random.default_rng(8)
    grid = Grid(0.0, 1.0, 32, boundary="periodic")
    problem = hamilton_jacobi.HamiltonJacobi(viscosity=1e-3)
    schemes = {"godunov": hamilton_jacobi.monotone, "engquist": hamilton_jacobi.engquist_osher}
    worst = dict.fromkeys(schemes, math.inf)
    for _ in range(100 if quick else 500):
        u = rng.normal(size=32)
        v = u + np.where(rng.random(32) < 0.5, 0.0, rng.random(32) * 1e-3)
        steepest = np.abs(np.diff(np.append(v, v[0]))).max() > np.abs(np.diff(np.append(u, u[0]))).max()
        steeper = v if steepest else u
        for name, scheme in schemes.items():
            stepper = scheme(problem, grid, steeper)
            source = schemes["godunov"] if perturbed else scheme
            dt = source(problem, grid, steeper).largest_step(steeper, 0.0)
            gap = stepper.march(v, 0.0, dt, 1) - stepper.march(u, 0.0, dt, 1)
            worst[name] = min(worst[name], float(gap.min()))
    # rounding of values of size one, updated with slopes of size 100: 1e-14
    return at_least(0.0, list(worst.values()), 1e-13)


@claim(
    "T4.5v", source="thesis (4.12), (4.13) as fast variables of Theorem 4.5", as_printed="new",
    statement="Var_1[(x-y)/gamma] = 1/(beta gamma) - u_xx/beta: at small gamma the gradient form fluctuates far less",
    perturbation="the two forms fluctuate alike",
)  # fmt: skip
def fluctuations_of_the_two_forms(perturbed=False, quick=False):
    f, x, beta, gammas = three_wells(), 1.0, 4.0, (0.1, 0.2, 0.5)
    displacement, formula, slope = [], [], []
    for gamma in gammas:
        y, weights, _ = gibbs(f, x, gamma, beta)
        displacement.append((weights @ y**2 - (weights @ y) ** 2) / gamma**2)
        formula.append(1 / (beta * gamma) - float(closed_forms.local_entropy_hessian(f, x, gamma, beta)) / beta)
        g = f.gradient(y)
        slope.append(weights @ g**2 - (weights @ g) ** 2)
    second = displacement if perturbed else [0.026, 0.097, 0.303]
    return [equal(formula, displacement, 1e-9), equal([2.394, 1.041, 0.288], displacement, 6e-4),
            equal(second, slope, 6e-4)]  # fmt: skip


@claim(
    "E4.24", source="thesis (4.24), (4.25)", as_printed="right",
    statement="d/dx^i of sum_j |x^j - xbar|^2/(2 gamma) is (x^i - xbar)/gamma: (4.25) is the thermal flow of n times "
    "(4.24)",
    perturbation="the factor 1 - 1/n of a mean that is held fixed",
)  # fmt: skip
def elastic_gradient(perturbed=False, quick=False):
    x, gamma, n = np.random.default_rng(5).normal(size=7), 0.4, 7

    def energy(z, i):
        moved = x.copy()
        moved[i] = z
        return float(((moved - moved.mean()) ** 2).sum() / (2 * gamma))

    exact = [derivative(lambda z, i=i: energy(z, i), x[i], 1e-2) for i in range(n)]
    return equal(exact, (1 - 1 / n if perturbed else 1.0) * (x - x.mean()) / gamma, 1e-10)


not_computable(
    "X9", source="list of exact identities", as_printed="new",
    statement="T4.11e, FOL, PERS, WV, T4.5 and E4.26A-C are closed forms, the best targets for regression",
    reason="a remark on other rows, each of which is checked under its own id",
)  # fmt: skip
