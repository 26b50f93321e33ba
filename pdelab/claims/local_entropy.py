"""Chapter 3.1.2-3.2 of the thesis and sections 3-4 of the Entropy-SGD paper: what local entropy is and is not."""

import math
from functools import cache

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import logsumexp

from pdelab import closed_forms, losses
from pdelab.claims import at_least, at_most, claim, equal, observed_order
from pdelab.fokker_planck import FokkerPlanck
from pdelab.generator import stationary
from pdelab.grid import Grid

FREE = {"boundary": "outflow"}


@cache
def three_wells():
    """f_A of the ledger: 0.05x⁴ - 0.4x² + 0.15x + 0.3 sin 3x."""
    return losses.three_wells()


def gibbs(f, x, gamma, beta, *, half_width=12.0, step=1e-3):
    """Nodes y, weights of ρ_1(y; x) ~ exp(-β(f(y) + |x-y|²/2γ)) and log Z, by the trapezoid rule: spectral here.

    The independent route of this chapter: nothing but a sum. It is accurate to 1e-12 (and far better) for the smooth
    losses and the parameters used below, whose kernels are wider than fifteen steps.
    """
    y = np.arange(-half_width, half_width + step / 2, step)
    exponent = -beta * (f(y) + (x - y) ** 2 / (2 * gamma))
    log_z = logsumexp(exponent) + math.log(step)
    return y, np.exp(exponent + math.log(step) - log_z), log_z


def quadrature(f, x, gamma, beta, **where):
    """f_γ(x) with the normalised kernel, by `gibbs`."""
    log_z = gibbs(f, x, gamma, beta, **where)[2]
    return -(log_z - 0.5 * math.log(2 * math.pi * gamma / beta)) / beta


def derivative(function, x, step=1e-4):
    """Central difference of fourth order: its error here is below 1e-9, round-off included."""
    left, right = function(x - step) - function(x + step), function(x + 2 * step) - function(x - 2 * step)
    return (-8 * left - right) / (12 * step)


def shannon(f, x, gamma, beta, grid):
    """Shannon entropy -∫ρ log ρ of ρ_1(.; x), the stationary law of the fast variable on a grid."""
    density = stationary(FokkerPlanck(f.on(grid) + (grid.x - x) ** 2 / (2 * gamma), beta=beta), grid)
    return float(grid.integrate(-density * np.log(np.where(density > 0, density, 1.0))))


@claim(
    "E3.8", source="thesis (3.8), Entropy-SGD (3)", as_printed="right",
    statement="rho_1(y; x) concentrates at x as gamma -> 0 (variance gamma/beta) and tends to Gibbs as "
    "gamma -> infinity",
    perturbation="the two limits exchanged", rejects={"small": 1e4, "large": 1e-3},
    tolerance="the next terms of the two expansions: gamma f', gamma^2 f''/beta; O(1/gamma)",
)  # fmt: skip
def modified_gibbs(quick=False, small=1e-3, large=1e4):
    f, beta, x = three_wells(), 1.0, 0.3

    def mean(gamma):
        return x - gamma * float(closed_forms.local_entropy_gradient(f, x, gamma, beta))

    variance = small / beta * (1 - small * float(closed_forms.local_entropy_hessian(f, x, small, beta)))
    slope, bend = abs(float(f.gradient(x))), abs(float(f.hessian(x)))
    y = np.arange(-12.0, 12.0, 1e-3)
    free = np.exp(-beta * f(y)) / np.exp(-beta * f(y)).sum()
    return [
        equal([x, small / beta], [mean(small), variance], [2e-3 * slope, 2e-6 * bend / beta]),
        equal(free @ y, mean(large), 2e-3),
    ]


@claim(
    "E3.9", source="thesis (3.9), Entropy-SGD Definition 1", as_printed="corrected",
    printed="f_gamma(x) = -log int exp(-f(y) - |x-y|^2/(2 gamma)) dy ... as gamma -> 0, the Local Entropy converges to "
    "the original loss function",
    statement="with the normalised kernel f_gamma -> f as gamma -> 0, slope -|f'|^2/2 + f''/(2 beta)",
    perturbation="the kernel without its normalisation, as in (3.9)", rejects={"kernel": 1.0},
    tolerance="the next term of the expansion, O(gamma): a thousandth of the slope here",
)  # fmt: skip
def normalisation(quick=False, kernel=0.0):
    f, x, beta, gamma = three_wells(), 0.3, 1.0, 1e-4
    value = closed_forms.local_entropy(f, x, gamma, beta) - kernel * math.log(2 * math.pi * gamma / beta) / (2 * beta)
    slope = -(float(f.gradient(x)) ** 2) / 2 + float(f.hessian(x)) / (2 * beta)
    return equal(slope, (value - float(f(x))) / gamma, 1e-3 * abs(slope))


@claim(
    "E3.10", source="thesis (3.10), (4.12), Entropy-SGD (7)", as_printed="corrected",
    printed="-grad f_gamma(x) = gamma^-1 <x - y>",
    statement="grad f_gamma(x) = +(x - <y>_1)/gamma for every beta",
    perturbation="the printed sign", rejects={"sign": -1.0}, tolerance="differences of fourth order: 1e-9",
)  # fmt: skip
def gradient_is_an_average(quick=False, sign=1.0):
    f, gamma, beta = three_wells(), 0.7, 3.0
    points = np.array([-1.5, 0.4, 1.0])
    exact = [derivative(lambda z: quadrature(f, z, gamma, beta), x) for x in points]
    averages = []
    for x in points:
        y, weights, _ = gibbs(f, x, gamma, beta)
        averages.append(sign * (x - weights @ y) / gamma)
    library = sign * closed_forms.local_entropy_gradient(f, points, gamma, beta)
    return [equal(exact, averages, 1e-8), equal(exact, library, 1e-8)]


@claim(
    "E3.13", source="thesis (3.13)", as_printed="corrected",
    printed="grad H(rho_gamma) = -(1/gamma) corr(g(y), x - y) with g(y) = f(y) + (gamma/2)|x - y|^2",
    statement="d/dx of the entropy of rho_1 is -(1/gamma)[<g (x-y)> - <g><x-y>], g = f(y) + |x-y|^2/(2 gamma), "
    "beta = 1",
    perturbation="g with gamma/2 in place of 1/(2 gamma), as printed", rejects={"power": 1.0},
    tolerance="differences of fourth order with step 1e-2: 1e-8",
)  # fmt: skip
def entropy_gradient(quick=False, power=-1.0):
    f, gamma, x, grid = three_wells(), 0.7, 0.4, Grid(-8.0, 8.0, 3201)
    y, weights, _ = gibbs(f, x, gamma, 1.0)
    g = f(y) + gamma**power / 2 * (x - y) ** 2
    covariance = weights @ (g * (x - y)) - (weights @ g) * (weights @ (x - y))
    return equal(-covariance / gamma, derivative(lambda z: shannon(f, z, gamma, 1.0, grid), x, 1e-2), 1e-7)


@claim(
    "R3.4", source="thesis Remark 3.4, Entropy-SGD section 3", as_printed="corrected",
    printed="Shannon entropy is smallest in the neighborhood of x_candidate which is a large region with very high "
    "loss",
    statement="Shannon entropy is largest, not smallest, over a wide flat region",
    perturbation="smallest, as printed", rejects={"sign": -1.0}, tolerance="none: an inequality",
)  # fmt: skip
def shannon_entropy_of_valleys(quick=False, sign=1.0):
    wide, narrow = losses.Loss("-exp(-x**2/2)"), losses.Loss("-2*exp(-x**2/0.005)")
    grid = Grid(-6.0, 6.0, 12001)
    wide_entropy, narrow_entropy = (shannon(f, 0.0, 1.0, 10.0, grid) for f in (wide, narrow))
    return at_least(0.0, sign * (wide_entropy - narrow_entropy))


@claim(
    "L3.5", source="thesis Lemma 3.5, Entropy-SGD Lemma 2", as_printed="corrected",
    printed="no eigenvalue of the Hessian lies in [-2/gamma - c, c] ... f_gamma is alpha/(1+gamma c)-Lipschitz and "
    "mu/(1+gamma c)-smooth",
    statement="c <= Hess f <= mu on R^d gives c/(1+gamma c) <= Hess f_gamma <= mu/(1+gamma mu), sharp, for every beta",
    perturbation=["the printed lemma, for a loss with curvatures -2/gamma - c and mu only",
                  "the upper bound of twice the scope", "the lower bound of half the scope"],
    rejects=[{"hill": True}, {"upper": 2.0}, {"lower": 0.5}],
    tolerance="the quadrature of a kinked loss: below 1e-6",
)  # fmt: skip
def smoothness(quick=False, hill=False, upper=1.0, lower=1.0):
    c, mu, beta = 0.5, 4.0, 1.0
    x = np.linspace(-8.0, 8.0, 41 if quick else 161)
    if hill:
        gamma = 1.0
        curvature = closed_forms.local_entropy_hessian(_hill(2 / gamma + c, mu, 2.0), x, gamma, beta)
        bound = mu / (1 + gamma * c)
        return [at_most(bound, np.abs(curvature).max(), 1e-6), at_least(-bound, curvature.min(), 1e-6)]
    highest, lowest, f = [], [], _kinked(c, mu)
    gammas = np.array([0.3, 1.0, 3.0])
    for gamma in gammas:
        curvature = closed_forms.local_entropy_hessian(f, x, gamma, beta)
        highest.append(curvature.max())
        lowest.append(curvature.min())
    return [
        at_most(mu / (1 + upper * gammas * mu), highest, 1e-6),
        at_least(c / (1 + lower * gammas * c), lowest, 1e-6),
    ]


@cache
def _kinked(c, mu):
    """f'' = c on the left of 0, mu on the right: the simplest loss between two curvatures."""
    return losses.Loss(f"{c}/2*min(x, 0)**2 + {mu}/2*max(x, 0)**2")


@cache
def _hill(K, mu, a):
    """f'' = -K for |x| < a, mu beyond, f' continuous."""
    return losses.Loss(f"-{K}/2*x**2 + ({K} + {mu})/2*max(abs(x) - {a}, 0)**2")


@claim(
    "L3.5c", source="thesis Lemma 3.5", as_printed="wrong",
    printed="f_gamma is alpha/(1+gamma c)-Lipschitz",
    statement="|f_gamma'| <= alpha/(1+gamma c) fails on a bounded domain: at the edge of [-1,1] the gradient is "
    "sqrt(2/(pi gamma)) = 2.5 up to alpha, not .05 (on R^d no strongly convex f is Lipschitz)",
    perturbation="the lemma as printed", rejects={"lemma": True}, tolerance="alpha, all that the slope of f can add",
)  # fmt: skip
def lipschitz_on_a_box(quick=False, lemma=False):
    gamma, c, alpha, grid = 0.1, 0.05, 0.05, Grid(-1.0, 1.0, 20001)
    density = stationary(FokkerPlanck(0.025 * grid.x**2 + (1.0 - grid.x) ** 2 / (2 * gamma), beta=1.0), grid)
    gradient = (1.0 - float(grid.integrate(density * grid.x))) / gamma
    if lemma:
        return at_most(alpha / (1 + gamma * c), gradient)
    return equal(math.sqrt(2 / (math.pi * gamma)), gradient, alpha)


@claim(
    "L3.5n", source="after thesis Lemma 3.5", as_printed="new",
    statement="-K <= Hess f <= mu, gamma < 1/K: -K/(1-gamma K) <= Hess f_gamma <= mu/(1+gamma mu); maxima get sharper",
    perturbation=["larger gamma is smoother: Hess f_gamma stays above -K", "the upper bound of twice the scope",
                  "the curvatures at another scope"],
    rejects=[{"lower": 1.0}, {"upper": 2.0}, {"gamma": 0.4}],
    tolerance="none in the bounds but 1e-9 of quadrature; the smallest curvatures were computed once by other means, "
    "to three digits",
)  # fmt: skip
def maxima_get_sharper(quick=False, lower=None, upper=1.0, gamma=0.5):
    f, K, mu = losses.Loss("cos(x)"), 1.0, 1.0
    x = np.linspace(-math.pi, math.pi, 33 if quick else 129)
    curvatures = [closed_forms.local_entropy_hessian(f, x, gamma, beta) for beta in (0.25, 1.0, 10.0, 100.0)]
    smallest = [h.min() for h in curvatures]
    return [
        at_least(-(lower or K / (1 - gamma * K)), smallest, 1e-9),
        at_most(mu / (1 + upper * gamma * mu), [h.max() for h in curvatures], 1e-9),
        equal([-0.397, -1.084, -1.826, -1.980], smallest, 6e-4),
    ]


@claim(
    "R3.6m", source="after thesis (3.17), Entropy-SGD after (9)", as_printed="wrong",
    printed="for a convex loss function f(x), the Local Entropy objective does not change the minimizer",
    statement="local entropy moves the minimiser of a convex f when beta < infinity (it is kept only for "
    "beta = infinity)",
    perturbation=["the minimiser is kept, as printed", "it moves without noise, too"],
    rejects=[{"moves": 0.0}, {"cold": 1.0}],
    tolerance="the places were computed once by other means, to three digits; the search for a minimum: 1e-6",
)  # fmt: skip
def convex_minimiser_moves(quick=False, moves=1.0, cold=math.inf):
    f, beta, gammas = _kinked(0.5, 4.0), 1.0, (0.3, 1.0, 3.0)
    minimisers = [
        brentq(lambda x, g=gamma: float(closed_forms.local_entropy_gradient(f, x, g, beta)), -2.0, 1.0, xtol=1e-9)
        for gamma in gammas
    ]
    expected = moves * np.array([-0.375, -0.533, -0.639])
    kept = [
        minimize_scalar(lambda x, g=gamma: float(closed_forms.local_entropy(f, x, g, cold)), (-1.0, 0.9)).x
        for gamma in gammas
    ]
    return [equal(expected, minimisers, 6e-4), equal([0.0] * 3, kept, 1e-6)]


@claim(
    "E3.17", source="thesis (3.17), Theorem 3.6, Entropy-SGD (9)", as_printed="corrected",
    printed="eps_Entropy-SGD <~ (alpha/T)^((1 - 1/(1+gamma c)) mu) eps_SGD",
    statement="stability ratio alpha'^(1/(1+mu')) alpha^(-1/(1+mu)) T^(1/(1+mu)-1/(1+mu')), alpha' = "
    "alpha/(1+gamma c), "
    "mu' = mu/(1+gamma c)",
    perturbation="the printed exponent (1 - 1/(1+gamma c)) mu of alpha/T", rejects={"printed": True},
    tolerance="round-off of the measured constants",
)  # fmt: skip
def stability_exponent(quick=False, printed=False):
    mu, gamma, T, alpha, beta = 0.5, 1.0, 1e3, 10.0, 2.0
    # a quadratic loss, c = mu: it attains the lemma's bounds
    f, edge = losses.quadratic(mu), alpha / mu  # |f'| <= alpha for |x| <= edge

    def bound(lipschitz, smooth):
        """Hardt et al. (2016) as in Theorem 3.6, up to 1/N: alpha^(1/(1+mu)) T^(1 - 1/(1+mu))."""
        return lipschitz ** (1 / (1 + smooth)) * T ** (smooth / (1 + smooth))

    steepest = abs(float(closed_forms.local_entropy_gradient(f, edge, gamma, beta)))
    curvature = float(closed_forms.local_entropy_hessian(f, edge, gamma, beta))
    shrink = 1 + gamma * mu
    ratio = (alpha / shrink) ** (1 / (1 + mu / shrink)) * alpha ** (-1 / (1 + mu))
    ratio *= T ** (1 / (1 + mu) - 1 / (1 + mu / shrink))
    expected = (alpha / T) ** ((1 - 1 / shrink) * mu) if printed else ratio
    return equal(expected, bound(steepest, curvature) / bound(alpha, mu), 1e-8)


@claim(
    "WV", source="quantifies Entropy-SGD Figure 2", as_printed="new",
    statement="the wide well wins iff beta Df < (1/2) log det(I + gamma Q_sharp)/det(I + gamma Q_wide)",
    perturbation="the rule without its factor 1/2", rejects={"half": 1.0},
    tolerance="the root finder's 1e-5; wells that overlap by exp(-beta times the barrier)",
)  # fmt: skip
def wide_valley_rule(quick=False, half=0.5):
    sharp, wide, gap, distance = 60.0, 1.0, 0.3, 3.0
    f = losses.two_parabolas(sharp=sharp, wide=wide, gap=gap, distance=distance)
    rule, switches = [], []
    for gamma in (0.1, 0.5, 2.0):
        rule.append(half * math.log((1 + gamma * sharp) / (1 + gamma * wide)) / gap)

        def difference(beta, gamma=gamma):
            wells = (minimize_scalar(lambda x: closed_forms.local_entropy(f, x, gamma, beta), (s - 0.3, s, s + 0.3))
                     for s in (-distance, distance))  # fmt: skip
            return float(np.subtract(*(well.fun for well in wells)))

        switches.append(brentq(difference, 1.0, 12.0, rtol=1e-5))
    return equal(rule, switches, 1e-4)


@cache
def _sharp_and_wide():
    return losses.sharp_and_wide(), Grid(-6.0, 6.0, 1201, **FREE)


def _argmin(values):
    return float(_sharp_and_wide()[1].x[np.argmin(values)])


@claim(
    "WV0", source="Entropy-SGD section 2, thesis section 3.4", as_printed="new",
    statement="without noise (Hopf-Lax) the minimiser and the minimum of f are kept for all gamma: no "
    "preference for width",
    perturbation="beta = 2 behaves like beta = infinity", rejects={"beta": 2.0},
    tolerance="the grid: the minimum lies within half a spacing of a node",
)  # fmt: skip
def inviscid_has_no_preference(quick=False, beta=math.inf):
    f, grid = _sharp_and_wide()
    values = f.on(grid)
    smoothed = [closed_forms.local_entropy(f, grid, gamma, beta) for gamma in (0.1, 0.5, 2.0)]
    places = [_argmin(u) for u in smoothed]
    return [equal(_argmin(values), places, 1e-12), equal(values.min(), [u.min() for u in smoothed], 1e-3)]


@claim(
    "WVh", source="Entropy-SGD section 2, thesis section 3.4", as_printed="wrong",
    printed="places more weight on wide local minima even if they are much shallower than the global minimum; this "
    "effect cannot be obtained by smoothing",
    statement="heat smoothing with the same kernel also prefers the wide valley, and earlier than local "
    "entropy at beta = 5",
    perturbation=["'this effect cannot be obtained by smoothing'", "local entropy prefers it as early"],
    rejects=[{"heat_side": 1.0}, {"cold_side": -1.0}], tolerance="none: signs",
)  # fmt: skip
def heat_prefers_wide_too(quick=False, heat_side=-1.0, cold_side=1.0):
    f, grid = _sharp_and_wide()
    variances = (0.05, 0.1, 0.3, 0.6)
    heat = [_argmin(closed_forms.heat_smoothing(f, grid, s, 1.0)) for s in variances]
    cold = [_argmin(closed_forms.local_entropy(f, grid, 5.0 * s, 5.0)) for s in variances]
    return [equal(heat_side, np.sign(heat), 0.0), equal(cold_side, np.sign(cold), 0.0)]


@claim(
    "WVa", source="after Entropy-SGD section 2", as_printed="new",
    statement="two sharp valleys merge into an artificial minimum under heat (variance a^2 - s^2), as the paper says, "
              "and under local entropy too (gamma/beta = a^2); only Hopf-Lax never merges them",
    perturbation=["local entropy does not merge them", "heat does not merge them", "Hopf-Lax merges them"],
    rejects=[{"merged": (1, 2, 2)}, {"merged": (2, 1, 2)}, {"merged": (1, 1, 1)}], tolerance="none: counts",
)  # fmt: skip
def artificial_minimum(quick=False, merged=(1, 1, 2)):
    a, s = 1.0, 0.1
    f = losses.Loss(f"-exp(-(x - {a})**2/(2*{s}**2)) - exp(-(x + {a})**2/(2*{s}**2))")
    grid = Grid(-4.0, 4.0, 801, **FREE)

    def minima(u):
        return int(((u[1:-1] < u[:-2]) & (u[1:-1] < u[2:])).sum())

    beta, (after_heat, after_entropy, after_hopf_lax) = 20.0, merged
    heat = [minima(closed_forms.heat_smoothing(f, grid, v, 1.0)) for v in (0.9 * (a**2 - s**2), 1.1 * (a**2 - s**2))]
    cold = [minima(closed_forms.local_entropy(f, grid, v * beta, beta)) for v in (0.9 * a**2, 1.1 * a**2)]
    never = [minima(closed_forms.hopf_lax(f, grid, t)) for t in (0.9, 1.1, 5.0)]
    return [equal([2, after_heat], heat, 0), equal([2, after_entropy], cold, 0), equal(after_hopf_lax, never, 0)]


@claim(
    "ES7", source="Entropy-SGD (7)", as_printed="right",
    statement="-grad F(x, gamma_ES) = gamma_ES (x - <x'>) with F = -f_gamma + const, gamma = 1/gamma_ES, beta = 1",
    perturbation="gamma_ES replaced by the scope gamma", rejects={"power": -1.0}, tolerance="quadratures: 1e-10",
)  # fmt: skip
def paper_gradient(quick=False, power=1.0):
    f, x, gamma_es = three_wells(), 0.4, 1 / 0.7
    y, weights, _ = gibbs(f, x, 1 / gamma_es, 1.0)
    average = gamma_es**power * (x - weights @ y)
    return equal(average, float(closed_forms.local_entropy_gradient(f, x, 1 / gamma_es, 1.0)), 1e-9)


@claim(
    "ESC", source="Entropy-SGD Appendix C", as_printed="corrected",
    printed="grad F(x, gamma) = -gamma (x - <z; Xi>) = -gamma E_{z ~ r(z;x)}[z]",
    statement="grad F = -gamma_ES (x - <z>); the last line's -gamma_ES E[z] is not the gradient",
    perturbation="-gamma_ES E[z], as printed", rejects={"centre": 0.0}, tolerance="quadratures: 1e-10",
)  # fmt: skip
def paper_appendix(quick=False, centre=1.0):
    f, x, gamma_es = three_wells(), 0.4, 1 / 0.7
    y, weights, _ = gibbs(f, x, 1 / gamma_es, 1.0)
    mean = weights @ y
    average = -gamma_es * (x - mean) if centre else -gamma_es * mean
    return equal(average, -float(closed_forms.local_entropy_gradient(f, x, 1 / gamma_es, 1.0)), 1e-9)


@claim(
    "ESCw", source="Entropy-SGD Appendix C, (14)", as_printed="corrected",
    printed="log F(x, gamma) = log int exp[-f(z) - (gamma/2)|x - z|^2] dz >= int [log p(Xi|z) - (gamma/2)|x - z|^2] "
    "dz; by an application of Jensen's inequality",
    statement="(14) is true and says nothing: its right-hand side is -infinity (over |z| <= R it falls like R^3 for a "
    "bounded loss). Lebesgue measure is no probability: over a short interval the same step of Jensen's is false",
    perturbation=["the right-hand side is a number", "Jensen's step, as printed, over a short interval"],
    rejects=[{"order": 0.0}, {"sign": -1.0}], tolerance="the next power of R, R^1: a thousandth",
)  # fmt: skip
def jensen_with_lebesgue_measure(quick=False, order=3.0, sign=1.0):
    f, x, gamma_es = losses.Loss("1 - exp(-x**2)"), 0.0, 1.0

    def sides(reach):
        grid = Grid(x - reach, x + reach, 2001)
        exponent = -f.on(grid) - gamma_es / 2 * (grid.x - x) ** 2
        return math.log(grid.integrate(np.exp(exponent))), float(grid.integrate(exponent))

    reaches = np.array([50.0, 100.0, 200.0, 400.0])
    falls = observed_order(reaches, [-sides(reach)[1] for reach in reaches])
    left, right = sides(0.1)
    return [equal(order, falls, 5e-3), at_least(0.0, sign * (right - left))]
