"""Section 4.5 of the thesis: what Hamilton-Jacobi does to curvature, convexity, critical points and widths."""

import math
from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import i0, i1

from pdelab import closed_forms, losses, regularity
from pdelab.claims import at_least, at_most, claim, equal
from pdelab.grid import Grid

CIRCLE = 2 * math.pi


@cache
def _reference():
    """The reference loss, its grid and its first shock time."""
    f, grid = losses.three_wells(), Grid(-4.0, 4.0, 4001, boundary="outflow")
    return f, grid, regularity.first_shock_time(f, grid)


def _prox(f, x, t, half_width=6.0):
    """The minimiser of f(y) + (x - y)²/(2t), one dimension: the best of many nodes, then Newton. Shares no code."""
    nodes = np.linspace(-half_width, half_width, 24001)
    y = nodes[np.argmin(f(nodes) + (x - nodes) ** 2 / (2 * t))]
    for _ in range(40):
        y -= (f.gradient(y) + (y - x) / t) / (f.hessian(y) + 1 / t)
    return float(y)


def _inf_convolution(f, x, t):
    y = _prox(f, x, t)
    return f(y) + (x - y) ** 2 / (2 * t)


def _normalised(f, x, gamma, beta):
    """f_γ(x), one dimension, by the trapezoid rule over ±14 kernel widths: spectral for a smooth f. Shares no code."""
    width = math.sqrt(gamma / beta)
    y = x + width * np.linspace(-14, 14, 4001)
    exponent = -beta * (f(y) + (x - y) ** 2 / (2 * gamma))
    top = exponent.max()
    total = math.log(np.exp(exponent - top).sum() * (y[1] - y[0])) + top
    return -(total - 0.5 * math.log(CIRCLE * gamma / beta)) / beta


# ---------------------------------------------------------------------------------------------- quadratics and waves


@claim(
    "Ex4.12", source="thesis Example 4.12", as_printed="corrected",
    statement="u = |x|^2/(2(t+1/c)) + (d/(2 beta)) log(1+ct) for u(x,0) = c|x|^2/2; C(.01) = 99.9999 for c = 1e8",
    perturbation="the printed (d/(2 beta)) log(t+1/c)",
)  # fmt: skip
def quadratic_data(perturbed=False, quick=False):
    c, beta, f = 3.0, 2.0, losses.quadratic(3.0)
    places = [(x, t) for x in (0.0, 0.7, -2.0) for t in (1e-3, 0.3, 5.0)]
    shift = (lambda t: math.log(t + 1 / c)) if perturbed else (lambda t: math.log1p(c * t))
    formula = [x**2 / (2 * (t + 1 / c)) + shift(t) / (2 * beta) for x, t in places]
    measured = [_normalised(f, x, t, beta) for x, t in places]
    sharp, step = losses.quadratic(1e8), 1e-3
    curvature = sum(w * _inf_convolution(sharp, k * step, 0.01) for k, w in ((-1, 1), (0, -2), (1, 1))) / step**2
    return [equal(formula, measured, 1e-11), equal(99.9999, curvature, 1e-4)]


def _sine(grid, t, beta):
    """sup u_xx for u(x, 0) = sin x, by Fourier derivatives of the closed form."""
    return float(_derivative(closed_forms.cole_hopf(np.sin(grid.x), grid, t, beta), grid, (2,)).max())


def _derivative(u, grid, orders):
    """∂^orders u of a periodic field, by the discrete Fourier transform."""
    transform = np.fft.fftn(u)
    for axis, (order, n, low, high) in enumerate(zip(orders, u.shape, grid.lower, grid.upper)):
        k = CIRCLE / (high - low) * np.fft.fftfreq(n, 1 / n)
        if order % 2:
            k[n // 2] = 0.0
        transform = transform * ((1j * k) ** order).reshape((-1,) + (1,) * (u.ndim - 1 - axis))
    return np.fft.ifftn(transform).real


@claim(
    "Ex4.13", source="thesis Example 4.13", as_printed="corrected",
    statement="at equal nu viscous HJ flattens sin x more than heat does, C_HJ/C_heat -> 2 I_1(b)/(b I_0(b)); but the "
              "example's own heat flow (rate 1) beats inviscid HJ, C = 1/(1+t), at every t > 0",
    perturbation="the example: HJ flattens sin x more than the heat flow of rate lambda_1 = 1",
)  # fmt: skip
def heat_against_hamilton_jacobi(perturbed=False, quick=False):
    grid = Grid(0.0, CIRCLE, 128, boundary="periodic")
    times = np.array([0.1, 1.0, 3.0, 5.0])
    fine = Grid(0.0, CIRCLE, 4096, boundary="periodic")
    inviscid = [regularity.semiconcavity(closed_forms.hopf_lax(np.sin(fine.x), fine, t), fine) for t in times]
    heat = np.exp(-times)
    viscous = [[_sine(grid, t, beta) for t in times] for beta in (0.5, 1.0, 4.0)]
    same_viscosity = [np.exp(-times / (2 * beta)) for beta in (0.5, 1.0, 4.0)]
    betas = np.array([0.5, 1.0, 4.0])
    late = [_sine(grid, 20 * beta, beta) * math.exp(10) for beta in betas]
    race = at_most(heat, inviscid) if perturbed else at_least(heat, inviscid)
    return [
        equal(regularity.semiconcavity_bound(1.0, times), inviscid, 2e-6),
        race,
        at_most(same_viscosity, viscous),
        equal(2 * i1(betas) / (betas * i0(betas)), late, 1e-4),
    ]


@claim(
    "Ex4.13b", source="after thesis Example 4.13", as_printed="new",
    statement="at the maxima of A cos kx: d u_xx/dt = A k^4 (1/(2 beta) - A), so that they sharpen iff 2 beta A > 1",
    perturbation="smoothing flattens maxima: d u_xx/dt = A k^4/(2 beta)",
)  # fmt: skip
def maxima_sharpen(perturbed=False, quick=False):
    grid, tau, betas = Grid(0.0, CIRCLE, 256, boundary="periodic"), 0.01, (0.25, 0.5, 1.0, 4.0)
    weights = np.array([-25, 48, -36, 16, -3]) / (12 * tau)  # one-sided, fourth order: its error is 2e-5 at most here

    def top(t, beta):
        return _derivative(closed_forms.cole_hopf(np.cos(grid.x), grid, t, beta), grid, (2,))[0]

    slopes = [weights @ [top(k * tau, beta) for k in range(5)] for beta in betas]
    expected = [1 / (2 * beta) - (0.0 if perturbed else 1.0) for beta in betas]
    return equal(expected, slopes, 5e-5)


# ------------------------------------------------------------------------------------ characteristics and convexity


@claim(
    "Ex4.14", source="thesis (4.35), (4.36)", as_printed="right",
    statement="u_x = p with p = f'(x - tp), p_x = f''/(1 + t f'') at x - tp, until t* with t* f'' + 1 = 0",
    perturbation="1 - t f'' in the denominator",
)  # fmt: skip
def characteristics(perturbed=False, quick=False):
    f, grid, shock = _reference()
    foot = float(grid.x[np.argmin(f.hessian(grid.x))])
    expected, measured, residual, step = [], [], [], 1e-6
    for fraction in (0.8, 0.9, 0.95):
        t, bend = fraction * shock, f.hessian(foot)
        x = foot + t * f.gradient(foot)
        slopes = [(x + s - _prox(f, x + s, t)) / t for s in (-step, 0.0, step)]
        expected.append(bend / (1 - t * bend if perturbed else 1 + t * bend))
        measured.append((slopes[2] - slopes[0]) / (2 * step))
        residual.append(slopes[1] - f.gradient(x - t * slopes[1]))
    return [equal(expected, measured, 1e-3), equal(0.0, residual, 1e-12)]


@claim(
    "Ex4.15", source="thesis Example 4.15", as_printed="corrected",
    statement="until t* inflection points move exactly in straight lines, x_i + t f'(x_i): convex intervals widen at "
              "f'(x_1) - f'(x_0) > 0, concave ones shrink",
    perturbation="inflection points run down the slope, x_i - t f'(x_i)",
)  # fmt: skip
def inflections_move(perturbed=False, quick=False):
    f, grid, shock = _reference()
    start = regularity.inflection_points(f, grid)
    sign = -1.0 if perturbed else 1.0
    lines, found = [], []
    for t in (0.25 * shock, 0.5 * shock, 0.75 * shock):
        lines.append(start + sign * t * f.gradient(start))
        found.append(regularity.inflection_points(closed_forms.hopf_lax(f, grid, t), grid))
    widths = np.diff(np.array(found), axis=1)  # concave, convex, concave
    # a zero of second differences between nodes: the spacing bounds its error
    return [
        equal(lines, found, grid.spacing[0]),
        at_least(0.0, np.diff(widths[:, 1])),
        at_most(0.0, np.diff(widths[:, ::2], axis=0)),
    ]


def _least(f, x, t, low, high):
    """min of f(y) + (x - y)²/(2t) over low <= y <= high: the best of many nodes, then Newton."""
    nodes = np.linspace(low, high, 4001)
    y = nodes[np.argmin(f(nodes) + (x - nodes) ** 2 / (2 * t))]
    for _ in range(20):
        y = np.clip(y - (f.gradient(y) + (y - x) / t) / (f.hessian(y) + 1 / t), low, high)
    return float(f(y) + (x - y) ** 2 / (2 * t))


@claim(
    "Ex4.15l", source="thesis Example 4.15 beyond t*", as_printed="new",
    statement="after t* the convex interval of a shallow minimum shrinks again: its ends are shocks, ties of two wells",
    perturbation="the interval around a minimum only ever widens",
)  # fmt: skip
def shallow_interval_shrinks(perturbed=False, quick=False):
    f, grid, _ = _reference()
    critical = regularity.critical_points(f, grid)
    wells, walls = critical.minima, [-4.0, *critical.maxima, 4.0]
    times = (0.6, 0.9, 1.2, 1.45)
    exact, found = [], []
    for t in times:
        low, high = regularity.convexity_interval(closed_forms.hopf_lax(f, grid, t), grid, wells[1])
        found.append(high - low)
        if t < 0.7:
            continue  # the left end is not a shock yet
        tie = lambda x, k, t=t: _least(f, x, t, *walls[k : k + 2]) - _least(f, x, t, *walls[k + 1 : k + 3])  # noqa: E731
        exact.append(brentq(tie, wells[1], wells[2], args=(1,)) - brentq(tie, wells[0], wells[1], args=(0,)))
    steps = np.diff(found)
    return [equal(exact, found[1:], 4 * grid.spacing[0]), at_least(0.0, steps) if perturbed else at_most(0.0, steps)]


# ----------------------------------------------------------------------------------------------------- persistence


@claim(
    "PERS", source="thesis Remark 4.16, Figure 4.1", as_printed="new",
    statement="a critical point keeps its value exactly until T(c) = inf |y-c|^2/(2(f(c)-f(y))); maxima: T <= 1/|f''|",
    perturbation="T(c) without the 2",
)  # fmt: skip
def persistence(perturbed=False, quick=False):
    f, grid, _ = _reference()
    found = regularity.critical_points(f, grid)
    times = regularity.persistence_times(f, grid, found.points)
    finite = np.isfinite(times)
    points, values, bends = found.points[finite], found.values[finite], found.eigenvalues[finite, 0]
    claimed = times[finite] * (2 if perturbed else 1)
    before = [_inf_convolution(f, c, 0.98 * t) - v for c, t, v in zip(points, claimed, values)]
    after = [_inf_convolution(f, c, 1.05 * t) - v for c, t, v in zip(points, claimed, values)]
    maxima = bends < 0
    return [
        equal(0.0, before, 1e-14),
        at_most(-1e-3, after),
        at_most(-1 / bends[maxima], times[finite][maxima]),
        equal([0.5484, 1.4862, 0.3000, 16.649], times[finite], [6e-5, 6e-5, 6e-5, 6e-4]),
        equal([1, 0, 0, 0, 0], np.isinf(times).astype(float), 0.0),
    ]


@claim(
    "R4.16", source="thesis Remark 4.16", as_printed="right",
    statement="convex f gives convex u; the minimiser stays near: |y* - x| <= sqrt(2 t osc f)",
    perturbation="|y* - x| <= sqrt(t osc f)",
)  # fmt: skip
def minimiser_stays_near(perturbed=False, quick=False):
    f, factor = losses.three_wells(), 1.0 if perturbed else 2.0
    box = np.linspace(-2.5, 2.5, 5001)
    osc = np.ptp(f(box))
    dip = losses.Loss("-exp(-x**2/(2*0.01**2))")  # osc 1, and a minimiser that is reached from as far as possible
    bounds, moves = [], []
    for t in (0.1, 0.5, 2.0):
        cost = f(box) + (box[::25, None] - box) ** 2 / (2 * t)
        moves += [
            np.abs(box[cost.argmin(axis=1)] - box[::25]).max(),
            abs(_prox(dip, 0.99 * math.sqrt(2 * t), t) - 0.99 * math.sqrt(2 * t)),
        ]
        bounds += [math.sqrt(factor * t * osc), math.sqrt(factor * t)]
    grid = Grid(-3.0, 3.0, 601, boundary="outflow")
    convex = closed_forms.hopf_lax(losses.Loss("x**4/4 + abs(x)"), grid, 0.3)
    return [at_most(bounds, moves), at_least(0.0, regularity.second_differences(convex, grid).min(), 1e-9)]


# -------------------------------------------------------------------------------------------------- semi-concavity


@cache
def _waves(quick):
    """Random trigonometric polynomials on a torus: [(constants at time 0, beta, t, u on the grid)], and the grid."""
    grid = Grid((0.0, 0.0), (CIRCLE, CIRCLE), 160, boundary="periodic")  # resolves the shocks of beta = 8: to 1e-3
    fine = Grid((0.0, 0.0), (CIRCLE, CIRCLE), 512, boundary="periodic")
    rng, runs = np.random.default_rng(417), []
    for _ in range(1 if quick else 3):
        waves = [(k, l, *(rng.normal(size=2) / (1 + k * k + l * l)).tolist()) for k in range(3) for l in range(-2, 3)]
        formula = " + ".join(f"({a!r})*cos({k}*x + ({l})*y) + ({b!r})*sin({k}*x + ({l})*y)" for k, l, a, b in waves)
        f = losses.Loss(formula, ("x", "y"))
        hessian = f.hessian(fine.points)
        constants = hessian[..., 0, 0].max(), hessian[..., 1, 1].max(), (hessian[..., 0, 0] + hessian[..., 1, 1]).max()
        for beta in (1.0, 3.0, 8.0):
            runs += [(constants, beta, t, closed_forms.cole_hopf(f.on(grid), grid, t, beta)) for t in (0.05, 0.2, 1.0)]
    return runs, grid


@claim(
    "L4.17", source="thesis Lemma 4.17", as_printed="right",
    statement="sup u_kk <= 1/(1/C_k + t) and sup Lap u <= 1/(1/C_Lap + t/d), C > 0, every beta; sharp",
    perturbation="the Laplacian's bound without the d",
)  # fmt: skip
def semiconcavity_decays(perturbed=False, quick=False):
    runs, grid = _waves(quick)
    bounds, found = [], []
    for (c1, c2, lap), _, t, u in runs:
        u_11, u_22 = _derivative(u, grid, (2, 0)), _derivative(u, grid, (0, 2))
        bounds += [regularity.semiconcavity_bound(c, t) for c in (c1, c2)]
        bounds += [regularity.semiconcavity_bound(lap, t, dimension=1 if perturbed else 2)]
        found += [u_11.max(), u_22.max(), (u_11 + u_22).max()]
    # the isotropic quadratic attains it: Lap u = d c/(1 + c t)
    c, t = 3.0, 0.7
    attained = regularity.semiconcavity_bound(2 * c, t, dimension=1 if perturbed else 2)
    return [at_most(bounds, found, 1e-9), equal(2 * c / (1 + c * t), attained, 1e-12)]


@claim(
    "E4.37", source="thesis (4.37)", as_printed="corrected",
    statement="w = u_kk solves w_t + grad u.grad w + sum_i u_ik^2 = (1/(2 beta)) Lap w",
    perturbation="the printed sum of u_ii^2",
)  # fmt: skip
def curvature_equation(perturbed=False, quick=False):
    grid, beta, t, tau = Grid((0.0, 0.0), (CIRCLE, CIRCLE), 96, boundary="periodic"), 2.0, 0.3, 1e-3
    f = losses.Loss("cos(x)*sin(y) + 0.4*cos(2*x + y) + 0.3*sin(y - x)").on(grid)
    solution = {k: closed_forms.cole_hopf(f, grid, t + k * tau, beta) for k in (-2, -1, 0, 1, 2)}
    w = {k: _derivative(u, grid, (2, 0)) for k, u in solution.items()}
    u = solution[0]
    w_t = (8 * (w[1] - w[-1]) - (w[2] - w[-2])) / (12 * tau)
    transport = _derivative(u, grid, (1, 0)) * _derivative(w[0], grid, (1, 0))
    transport += _derivative(u, grid, (0, 1)) * _derivative(w[0], grid, (0, 1))
    other = _derivative(u, grid, (0, 2) if perturbed else (1, 1))
    laplacian = _derivative(w[0], grid, (2, 0)) + _derivative(w[0], grid, (0, 2))
    residual = w_t + transport + w[0] ** 2 + other**2 - laplacian / (2 * beta)
    return equal(0.0, np.abs(residual).max(), 1e-7)


@claim(
    "L4.18", source="thesis Lemma 4.18", as_printed="right",
    statement="HM(eigenvalues) <= HM(diagonal) for positive definite matrices",
    perturbation="the inequality the other way round",
)  # fmt: skip
def harmonic_means(perturbed=False, quick=False):
    rng = np.random.default_rng(418)
    worst = []
    for d in (2, 3, 7):
        factors = rng.normal(size=(1000 if quick else 7000, d, d))
        matrices = factors @ factors.transpose(0, 2, 1)
        spectrum = regularity.harmonic_mean(np.maximum(np.linalg.eigvalsh(matrices), 0.0))
        diagonal = regularity.harmonic_mean(np.einsum("kii->ki", matrices))
        ratio = diagonal / spectrum if perturbed else spectrum / diagonal
        worst.append(ratio.max())
    return at_most(1.0, worst, 1e-9)


@claim(
    "L4.19", source="thesis Lemma 4.19", as_printed="corrected",
    statement="where Hess u is positive, HM of its spectrum <= 1/(t + 1/HM(C)) with C_k = sup u_kk(., 0); equality for "
              "the isotropic quadratic",
    perturbation="the printed hypothesis: C_k = sup u_kk(., t)",
)  # fmt: skip
def spectrum_at_minima(perturbed=False, quick=False):
    runs, grid = _waves(quick)
    bounds, found = [], []
    for (c1, c2, _), _, t, u in runs:
        second = [_derivative(u, grid, orders) for orders in ((2, 0), (1, 1), (0, 2))]
        spectra = np.linalg.eigvalsh(np.stack([second[0], second[1], second[1], second[2]], -1).reshape(-1, 2, 2))
        positive = spectra[spectra[:, 0] > 0]
        constants = [second[0].max(), second[2].max()] if perturbed else [c1, c2]
        bounds.append(regularity.harmonic_mean_bound(constants, t))
        found.append(regularity.harmonic_mean(positive).max())
    c, t = 3.0, 0.7
    now = c / (1 + c * t)
    bounds.append(regularity.harmonic_mean_bound([now if perturbed else c] * 2, t))
    return at_most(bounds, [*found, now], 1e-9)


@claim(
    "X4", source="Oleinik's inequality", as_printed="new",
    statement="u_xx <= 1/t for every f, rough ones included; the inviscid grid function attains it exactly",
    perturbation="u_xx <= 1/(2t)",
)  # fmt: skip
def oleinik(perturbed=False, quick=False):
    rng = np.random.default_rng(4)
    grid = Grid(-3.0, 3.0, 301, boundary="outflow")
    rough = rng.normal(size=301)
    times = (0.1, 1.0)
    cost = (grid.x[:, None] - grid.x) ** 2 / 2
    inviscid = [t * regularity.semiconcavity(np.min(rough + cost / t, axis=1), grid) for t in times]
    smooth, wide, _ = _reference()
    viscous = [t * regularity.semiconcavity(closed_forms.cole_hopf(smooth, wide, t, 3.0), wide) for t in times]
    bound = 0.5 if perturbed else 1.0
    return [equal(bound, inviscid, 1e-9), at_most(bound, viscous, 1e-6)]


# ----------------------------------------------------------------------------------------------------------- widths


@claim(
    "D4.20", source="thesis Definition 4.20, (4.38)", as_printed="corrected",
    statement="with the normalised f_gamma the robust width of a quadratic minimum is (exp(2 beta eps) - 1)/lambda",
    perturbation="the printed, not normalised f_gamma, which exceeds f + eps already at gamma = 1e-4",
)  # fmt: skip
def robust_width(perturbed=False, quick=False):
    beta, epsilon, curvatures = 3.0, 0.1, (0.5, 2.0, 8.0)
    expected = [math.expm1(2 * beta * epsilon) / curvature for curvature in curvatures]
    wells = [losses.quadratic(curvature) for curvature in curvatures]
    if perturbed:
        gamma = 1e-4
        rise = [_normalised(f, 0.0, gamma, beta) - 0.5 * math.log(CIRCLE * gamma / beta) / beta for f in wells]
        return at_most(epsilon, rise)
    rise = lambda gamma, f: _normalised(f, 0.0, gamma, beta) - epsilon  # noqa: E731
    measured = [brentq(rise, 1e-3, 10.0, args=(f,), xtol=1e-14) for f in wells]
    searched = [regularity.robust_width(f, 0.0, epsilon, beta) for f in wells]
    return [equal(expected, measured, 1e-10), equal(expected, searched, 1e-9)]


@claim(
    "D4.20e", source="thesis, display after (4.38)", as_printed="corrected",
    statement="f_gamma(x*) = f(x*) + (1/(2 beta)) log det(I + gamma Q) + O(beta^-2), at a minimum x*",
    perturbation="the printed expansion without its 1/2",
)  # fmt: skip
def laplace_at_a_minimum(perturbed=False, quick=False):
    f, gamma = losses.three_wells(), 0.1
    x, _, _ = regularity.critical_points(*_reference()[:2]).minima
    half = 1.0 if perturbed else 0.5
    step = 1e-2
    third = (f.hessian(x + step) - f.hessian(x - step)) / (2 * step)
    fourth = (f.hessian(x + step) - 2 * f.hessian(x) + f.hessian(x - step)) / step**2
    a = f.hessian(x) + 1 / gamma
    second_order = fourth / (8 * a**2) - 5 * third**2 / (24 * a**3)
    measured = []
    for beta in (1e2, 1e3):
        error = _normalised(f, x, gamma, beta) - f(x) - half * math.log1p(gamma * f.hessian(x)) / beta
        measured.append(beta**2 * error)
    return equal(second_order, measured, [2e-4, 2e-5])
