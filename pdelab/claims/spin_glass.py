"""Thesis chapter 2: the network behind spin glasses, their complexity, and how a field makes them trivial."""

import math

import numpy as np
from scipy import integrate, optimize, stats

from pdelab import spin_glass
from pdelab.claims import at_least, at_most, claim, equal, not_computable
from pdelab.spin_glass import SpinGlass, expected_critical_points


def standard_errors(values):
    """Mean of independent values and its standard error."""
    values = np.asarray(values, float)
    return values.mean(), values.std(ddof=1) / math.sqrt(values.size)


@claim(
    "C2.4", source="thesis (2.8), (2.32)", as_printed="right",
    statement="with couplings J ~ N(0, 1) over ordered triples and the factor 1/N of (2.32), Var H = N on |x|² = N",
    perturbation="a factor 1/N² in place of 1/N", rejects={"power": 2.0},
    tolerance="four standard errors of a variance: 4 sqrt(2/draws)",
)  # fmt: skip
def variance_of_the_energy(quick=False, power=1.0):
    n, draws = 12, 400 if quick else 3000
    x = SpinGlass(n).random_points(1, seed=1)[0]
    energies = np.array([SpinGlass(n, seed=s).energy(x) for s in range(draws)]) * n ** (1 - power)
    return equal(1.0, n * energies.var(), 4 * math.sqrt(2 / draws))


@claim(
    "C2.11", source="thesis (2.11), (2.12)", as_printed="right",
    statement="Θ_k is continuous at -E_infinity, with the plateau log(p-1)/2 - (p-2)/p, and Θ_0 = Θ below it",
    perturbation="E_infinity = 2 sqrt(p/(p-1))", rejects={"inverted": True},
)  # fmt: skip
def complexity_is_continuous(quick=False, inverted=False):
    p = np.array([3, 4, 10])
    edges = np.array([2 * math.sqrt(q / (q - 1)) if inverted else spin_glass.E_infinity(int(q)) for q in p])
    plateau = 0.5 * np.log(p - 1) - (p - 2) / p
    at_edge = [float(spin_glass.complexity(-edge, int(q), 3)) for edge, q in zip(edges, p)]
    total = [float(spin_glass.complexity(-edge, int(q))) for edge, q in zip(edges, p)]
    return [equal(plateau, at_edge, 1e-12), equal(plateau, total, 1e-12)]


@claim(
    "C2.I1", source="thesis, display after (2.12)", as_printed="corrected",
    printed="I_1(u) = (2/E²) ∫_u^{-E} (z² - E²)^{1/2} dz = -(u²/E²) sqrt(u² - E²) - log(-u + sqrt(u² - E²)) + log E",
    statement="I_1(u) = -(u/E²) sqrt(u² - E²) - log(-u + sqrt(u² - E²)) + log E",
    perturbation="the printed u² in the first term (negative, though an integral of a positive function)",
    rejects={"square": True}, tolerance="quadrature to 1e-12",
)  # fmt: skip
def rate_function(quick=False, square=False):
    edge = spin_glass.E_infinity(3)
    u = np.array([-edge - 0.001, -1.657, -2.0, -4.0])
    integral = [2 / edge**2 * integrate.quad(lambda z: math.sqrt(z * z - edge * edge), v, -edge)[0] for v in u]
    if square:
        root = np.sqrt(u * u - edge * edge)
        return equal(integral, -(u * u) / edge**2 * root - np.log(-u + root) + math.log(edge), 1e-10)
    return equal(integral, 0.5 * math.log(2) - u * u / 8 - spin_glass.complexity(u, 3), 1e-10)


@claim(
    "C2.Ek", source="thesis Figure 2.1", as_printed="right",
    statement="E_0, the zero of Θ_0, is the ground state energy, 1.65699836 for p = 3",
    perturbation="the zero of Θ_1", rejects={"index": 1},
    tolerance="root finding to 1e-12 on both sides",
)  # fmt: skip
def ground_state(quick=False, index=0):
    energies = []
    for p in (3, 4, 7):  # one-step replica symmetry breaking, an independent derivation
        y = optimize.brentq(
            lambda y, p=p: -2 * y * (1 - y + math.log(y)) / (1 - y) ** 2 - 2 / p, 1e-6, 1 - 1e-6, xtol=1e-15
        )
        energies.append((1 + (p - 1) * y) / math.sqrt(p * y))
    return equal(energies, [spin_glass.energy_threshold(p, index) for p in (3, 4, 7)], 1e-9)


@claim(
    "C2.F1", source="thesis Figure 2.1", as_printed="right",
    statement="below -E_k, where Θ_k crosses zero, there are no critical points of an index higher than k, nor any of "
              "index k itself: Θ_j(-E_k - ε) < 0 for every j >= k",
    perturbation="those of index k and more are left: Θ_j is positive there", rejects={"sign": -1.0},
)  # fmt: skip
def no_saddles_below(quick=False, sign=1.0):
    values = [
        float(spin_glass.complexity(-spin_glass.energy_threshold(3, k) - 1e-3, 3, j))
        for k in range(4)
        for j in (k, k + 3)
    ]
    return at_most(0.0, sign * np.array(values))


@claim(
    "C2.R2.4", source="thesis Remark 2.4", as_printed="wrong",
    printed="they [local minima] exist at all energy levels above the global minimum -E_0. Beyond the threshold value "
            "-E_inf, the number of critical points is split evenly among different indices",
    statement="above -E_infinity a critical point has index close to N F_sc(u/E_infinity): 0.136 N at u = -1, and "
              "minima there are exponentially rarer than all critical points",
    perturbation="indices split evenly: a mean index of N/2", rejects={"even": True},
    tolerance="0.02: the mean at N = 200 is within 0.01 of the limit, and falls to it as 1/N",
)  # fmt: skip
def index_at_an_energy(quick=False, even=False):
    share, n = -1 / spin_glass.E_infinity(3), 200
    semicircle = 0.5 + (share * math.sqrt(1 - share**2) + math.asin(share)) / math.pi
    rng, draws = np.random.default_rng(4), 40 if quick else 200
    matrices = rng.normal(size=(draws, n, n))
    eigenvalues = np.linalg.eigvalsh((matrices + matrices.transpose(0, 2, 1)) / math.sqrt(2)) / math.sqrt(n)
    below = (eigenvalues < 2 * share).mean()  # the Hessian at energy u is that matrix minus the place of u in it
    minima = expected_critical_points(n, 3, 0.0, 0, energy=-1.0, draws=200, log=True)[0]
    everything = expected_critical_points(n, 3, 0.0, energy=-1.0, log=True)[0]
    return [
        equal(0.5 if even else semicircle, below, 0.02),
        at_most(0.0 if not even else -1e9, (minima - everything) / n),
    ]


@claim(
    "C2.L2.5a", source="thesis Lemma 2.5", as_printed="right",
    statement="the components of the gradient on the sphere of radius sqrt(N) have variance p (N p on the unit sphere)",
    perturbation="variance p - 1", rejects={"less": 1.0}, tolerance="four standard errors of a variance",
)  # fmt: skip
def variance_of_the_gradient(quick=False, less=0.0):
    n, draws = 12, 300 if quick else 2000
    x = SpinGlass(n).random_points(1, seed=1)[0]
    pieces = []
    for p in (3, 4):
        squares = [(SpinGlass(n, p, seed=s).gradient(x) ** 2).sum() / (n - 1) for s in range(draws)]
        mean, error = standard_errors(squares)
        pieces.append(equal(p - less, mean, 4 * error))
    return pieces


@claim(
    "C2.L2.5b", source="thesis Lemma 2.5, (2.13)", as_printed="corrected",
    printed="conditional on H(sigma_0) = Nu, the normalized Hessian N^{-1/2} Hess H has the distribution "
            "sqrt(2(N-1)p(p-1)) M - p u I",
    statement="N^{-1/2} Hess H = sqrt(2(N-1)p(p-1)) M - sqrt(N) p u I on the unit sphere: on |x|² = N the mean "
              "diagonal of the Hessian falls with u with slope -p, and off-diagonal entries have variance p(p-1)/N",
    perturbation="slope -p/sqrt(N), as printed", rejects=[{"printed": True}, {"wide": 2.0}],
    tolerance="four standard errors",
)  # fmt: skip
def hessian_at_an_energy(quick=False, printed=False, wide=1.0):
    n, p, draws = 12, 3, 300 if quick else 2000
    x = SpinGlass(n).random_points(1, seed=1)[0]
    basis = np.linalg.qr(np.column_stack([x, np.eye(n)[:, : n - 1]]))[0][:, 1:]
    slopes, squares = [], []
    for seed in range(draws):
        glass = SpinGlass(n, p, seed=seed)
        H = basis.T @ glass.hessian(x) @ basis
        u = float(glass.energy(x))
        slopes.append(H.diagonal().mean() * u * n)  # E[u² n] = 1
        squares.append(n * np.mean(H[np.triu_indices(n - 1, 1)] ** 2))
    slope, error = standard_errors(slopes)
    square, spread = standard_errors(squares)
    return [
        equal(-p / math.sqrt(n) if printed else -p, slope, 4 * error),
        equal(wide * p * (p - 1), square, 4 * spread),
    ]


@claim(
    "C2.16a", source="thesis Theorem 2.7, (2.16)", as_printed="corrected",
    printed="E crt = 2 if B = -Ω(N^{-1})",
    statement="E crt -> 2 for fixed B < 0; at B = -10/N it is 2 N times exp(-5) (I_0(5) - I_1(5)), which grows with N",
    perturbation="B = -10/N, within the printed condition", rejects={"band": True},
    tolerance="0.05: at N = 400 and B = -1/3 the excess is below 0.02",
)  # fmt: skip
def trivialisation(quick=False, band=False):
    n = 400
    b = -10 / n if band else -1 / 3
    return equal(2.0, expected_critical_points(n, 3, math.sqrt((3 - 9 * b) / (1 + b)))[0], 0.05)


@claim(
    "C2.17", source="thesis Theorem 2.8, (2.17)", as_printed="right",
    statement="at B = -τ/N, lim E crt/N = 2 exp(-τ/2) (I_0(τ/2) - I_1(τ/2)) for every τ, reached at the rate 1/N; the "
              "printed lines for τ >> 1 and τ << -1 are its tails, up to 1 + 3/(4τ) and 1 - 1/(4|τ|)",
    perturbation=["the tails hold at τ = -2, 1, 5 as well", "a tail of 1/τ"], rejects=[{"tails": True}, {"power": 1.0}],
    tolerance="counts at N = 200 and 400 extrapolated in 1/N: the next terms are below 5e-4; 4/τ²",
)  # fmt: skip
def polynomial_band(quick=False, tails=False, power=1.5):
    taus, far = np.array([-2.0, 1.0, 5.0]), np.array([-200.0, 200.0])
    field = lambda t, n: math.sqrt((3 + 9 * t / n) / (1 - t / n))  # noqa: E731
    coarse, fine = (np.array([expected_critical_points(n, 3, field(t, n))[0] / n for t in taus]) for n in (200, 400))

    def printed(tau):
        return 2 / math.sqrt(math.pi) * (tau**-power if tau > 0 else 2 * math.exp(-tau) / math.sqrt(-tau))

    limit = [printed(t) if tails else spin_glass.trivialisation_limit(t) for t in taus]
    shares = [spin_glass.trivialisation_limit(t) / printed(t) for t in far]
    return [equal(limit, 2 * fine - coarse, 5e-4), equal([1 - 0.25 / 200, 1 + 0.75 / 200], shares, 4 / far**2)]


@claim(
    "C2.16c", source="thesis Theorem 2.7, (2.16)", as_printed="corrected",
    printed="E crt = 4 N^{1/2} sqrt((1+B)/(pi B)) exp((N/2) log((1+B)/(1-B))) if B > 0",
    statement="E crt ~ 4 sqrt(N (1+B)/(πB)) exp(((N-1)/2) log((1+B)/(1-B)))",
    perturbation="N/2, as printed: too much by sqrt((1+B)/(1-B)) at every N", rejects={"whole": 1.0},
    tolerance="2/N: the correction is of order 1/N",
)  # fmt: skip
def exponential_regime(quick=False, whole=0.0):
    n, ratios = 400, []
    for field in (0.0, 1.0):
        b = spin_glass.curvature_ratio(3, field)
        printed = math.exp(0.5 * whole * (math.log1p(b) - math.log1p(-b)))
        log = expected_critical_points(n, 3, field, log=True)[0]
        ratios.append(math.exp(log - math.log(spin_glass.exponential_limit(n, 3, field))) / printed)
    return equal(1.0, ratios, 2 / n)


@claim(
    "C2.18", source="thesis Theorem 2.9, (2.18)", as_printed="corrected",
    printed="lim E crt_0 = C exp(kappa²/24 + 4 sqrt(2) |kappa|^{3/2}/3) for kappa << -1",
    statement="lim E crt_0 = 2 exp(-κ³/24) E exp(κ TW_1/2), whose exponent for κ << -1 is |κ|³/24 + (2/3)|κ|^{3/2}",
    perturbation="the printed exponent, with the best constant C", rejects={"printed": True},
    tolerance="the next terms of the saddle point, -(2/3)|κ|^{3/4} + (23/32) log|κ|, are taken away; what is left of "
              "relative order |κ|^{-3/4} grows by less than 0.05 between these κ",
)  # fmt: skip
def edge_of_the_minima(quick=False, printed=False):
    kappa = np.array([4.0, 6.0, 8.0])
    logs = np.array([spin_glass.edge_limit(-k, log=True) for k in kappa])
    exponent = kappa**2 / 24 + 4 * math.sqrt(2) / 3 * kappa**1.5 if printed else kappa**3 / 24 + 2 / 3 * kappa**1.5
    return equal(0.0, np.diff(logs - exponent + 2 / 3 * kappa**0.75 - 23 / 32 * np.log(kappa)), 0.05)


@claim(
    "C2.19", source="thesis (2.19)", as_printed="right",
    statement="B = -τ/N exactly at ν² = (p(p-2) + τ p²/N)/(1 - τ/N), of which ν_c (1 + 2τ/N)^{1/2} is the limit for "
              "p >> 1, as printed; for p = 3 it is 3 (1 + 4τ/N), twice that shift",
    perturbation=["the limit at p = 3 as well", "ν_c (1 + τ/N)^{1/2} for p >> 1"],
    rejects=[{"limit": True}, {"shift": 1.0}],
    tolerance="round-off; 2/p and 2 τ/N of τ/N",
)  # fmt: skip
def field_of_the_band(quick=False, limit=False, shift=2.0):
    n, taus, p, many = 100, np.array([-5.0, -0.25, 2.0]), 3, 1000
    fields = np.sqrt((p * (p - 2) + taus * p * p / n) / (1 - taus / n))
    if limit:
        fields = math.sqrt(p * (p - 2)) * np.sqrt(1 + shift * taus / n)
    printed = math.sqrt(many * (many - 2)) * np.sqrt(1 + shift * taus / n)
    return [
        equal(-taus / n, [spin_glass.curvature_ratio(p, f) for f in fields], 1e-12),
        equal(-taus / n, [spin_glass.curvature_ratio(many, f) for f in printed],
              np.abs(taus) / n * (2 / many + 2 * np.abs(taus) / n)),
    ]  # fmt: skip


@claim(
    "C2.tr", source="thesis, after Lemma 2.5", as_printed="right",
    statement="the mean trace of the Hessian at energy u is -p u N to leading order: -p u (N - 1), the slope of the "
              "trace in u at N = 3",
    perturbation="-p u N at N = 3 as well", rejects={"more": 1}, tolerance="four standard errors",
)  # fmt: skip
def mean_trace(quick=False, more=0):
    n, p, draws = 3, 3, 1500 if quick else 10000
    x = SpinGlass(n).random_points(1, seed=1)[0]
    glasses = [SpinGlass(n, p, seed=s) for s in range(draws)]
    slope, error = standard_errors(
        [np.trace(glass.hessian(x)) * glass.energy(x) * n for glass in glasses]
    )  # E u² = 1/N
    return equal(-p * (n - 1 + more), slope, 4 * error)


@claim(
    "C2.15", source="thesis (2.15)", as_printed="right",
    statement="B = (f'' - f')/(f'' + f') at q = 1 of the covariance f(q) = q^p + ν² q, between -1 and 1 - 2/p",
    perturbation="a field that adds to B", rejects={"sign": 1.0},
)  # fmt: skip
def ratio_of_curvatures(quick=False, sign=-1.0):
    cases = [(p, field) for p in (3, 5) for field in (0.0, 0.7, 3.0)]
    expected = [(p * (p - 2) + sign * v * v) / (p * p + v * v) for p, v in cases]
    measured = []
    for p, v in cases:
        slope = np.polyder(np.poly1d([1.0, *[0.0] * (p - 2), v * v, 0.0]))
        first, second = slope(1.0), np.polyder(slope)(1.0)
        measured.append(((second - first) / (second + first), spin_glass.curvature_ratio(p, v)))
    return equal(np.repeat(np.array(expected)[:, None], 2, 1), measured, 1e-12)


@claim(
    "C2.16b", source="thesis Theorem 2.7, (2.16)", as_printed="right",
    statement="at B = -τ/N, E crt = (2N/sqrt(π)) τ^{-3/2} for 1 << τ << N^{2/3}: the limit's ratio to it tends "
              "to 1 as 1/τ",
    perturbation="the power -1/2", rejects={"power": -0.5}, tolerance="3/τ covers the next term of the expansion",
)  # fmt: skip
def polynomial_regime(quick=False, power=-1.5):
    taus = np.array([20.0, 50.0, 200.0])
    limits = np.array([spin_glass.trivialisation_limit(t) for t in taus])
    return equal(1.0, limits / (2 / math.sqrt(math.pi) * taus**power), 3 / taus)


@claim(
    "C2.20", source="thesis (2.20) and Algorithm 1", as_printed="right",
    statement="with tau(i) = n (exp(-i/tau_0) - 1/2) the field (1 + 2 tau/n)^{1/2} h falls as exp(-i/(2 tau_0)): the "
              "optimizer's field does",
    perturbation="exp(-i/tau_0)", rejects={"rate": 1.0}, needs="networks",
)  # fmt: skip
def field_of_the_schedule(quick=False, rate=0.5):
    from pdelab.networks.optimizers.wrapped import field_strength

    group = {"coupling": 0.3, "layers": 5, "decay_steps": 40.0}
    steps = np.arange(1, 200, 17)
    strengths = np.array([field_strength(group, int(k)) for k in steps])
    return equal(np.exp(-rate * (steps - steps[0]) / 40.0), strengths / strengths[0], 1e-12)


@claim(
    "C2.R2.6", source="thesis Remark 2.6", as_printed="corrected",
    printed="(1/N) log chi_k(u)/chi_{k+1}(u) ~ I_1(u) ... the energy landscape is completely dominated by local minima",
    statement="the ratio of index k to k + 1 grows as exp(N I_1(u)) below -E_infinity only; above it I_1 = 0 and "
              "saddles dominate",
    perturbation="at all energies: minima dominate at u = -1.4", rejects={"u": -1.4},
    tolerance="strict: at N = 100 the share of minima is above or below one half",
)  # fmt: skip
def minima_dominate_below(quick=False, u=-1.66):
    n, draws = 100, 400 if quick else 4000
    minima = expected_critical_points(n, 3, 0.0, 0, energy=u, draws=draws, seed=1, log=True)[0]
    everything = expected_critical_points(n, 3, 0.0, energy=u, log=True)[0]
    return at_least(math.log(0.5), minima - everything)


@claim(
    "C2.1", source="thesis (2.1)", as_printed="corrected", printed="g(x) = 1_{x >= 0} are threshold nonlinearities",
    statement="the threshold must be strict: the share of active neurons of a sparse layer is then "
              "(1 - (1 - d/N)^ρ)/2, about ρ d/(2N)",
    perturbation="1_{x >= 0}, as printed: every silent neuron fires", rejects={"strict": False},
    tolerance="four standard errors of a share; sums of two inputs that cancel lower it by at most (ρ d/N)²/4",
)  # fmt: skip
def strict_threshold(quick=False, strict=True):
    n, d, active, draws = 20000, 20, 40, 5 if quick else 20
    network = spin_glass.SparseNetwork(n, d, seed=1)
    shares = [network.generate(network.features(active, s), strict=strict).mean() for s in range(draws)]
    expected = (1 - (1 - d / n) ** active) / 2
    slack = 4 * math.sqrt(expected / n / draws) + (active * d / n) ** 2 / 4
    return equal(expected, np.mean(shares), slack)


@claim(
    "C2.2", source="thesis (2.2)", as_printed="corrected",
    printed="for high sparsity (d < N^{1/5} ...) the hidden layer can be computed (w.h.p) by running the network in "
            "reverse",
    statement="running it in reverse misses an active unit with probability P(Poisson(d/2) <= d/3), which needs "
              "d >> log N to vanish: 0.13 at d = 20",
    perturbation="exact with high probability: no unit is missed", rejects={"exact": True},
    tolerance="four standard errors of a share, and ρ d/N for neurons that hear two units",
)  # fmt: skip
def decoding(quick=False, exact=False):
    n, d, active, draws = 20000, 20, 10, 40 if quick else 400
    network = spin_glass.SparseNetwork(n, d, seed=2)
    inputs = [network.features(active, s) for s in range(draws)]
    missed = np.mean([~network.decode(network.generate(h))[h] for h in inputs])
    chance = float(stats.poisson.cdf(d / 3, d / 2))
    slack = 4 * math.sqrt(chance * (1 - chance) / (active * draws)) + active * d / n
    return equal(0.0 if exact else chance, missed, slack)


not_computable(
    "C2.R2.3", source="thesis Remark 2.3", as_printed="corrected", printed="For p >= 7, near the global minimum ...",
    statement="the second moment method works for p >= 3 at low energies (Subag 2017)",
    reason="a theorem about limits in the literature",
)  # fmt: skip
not_computable(
    "C2.Alg1", source="thesis Algorithm 1, line 10", as_printed="corrected",
    printed="w <- x - eta (grad loss(x, xi_i) + h_curr)",
    statement="w <- w - eta (grad loss(w, xi_i) + h_curr)", reason="a slip of notation",
)  # fmt: skip
