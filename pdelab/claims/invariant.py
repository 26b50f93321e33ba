"""Section 4.1 of the thesis: SGD as a diffusion, its invariant law and convergence rates."""

import math
from functools import cache

import numpy as np
from scipy.linalg import expm, solve_continuous_lyapunov

from pdelab import losses, transport
from pdelab.claims import at_least, at_most, claim, equal, observed_order
from pdelab.fokker_planck import BackwardKolmogorov, FokkerPlanck
from pdelab.generator import generator, semigroup, spectral_gap, stationary
from pdelab.grid import Grid
from pdelab.noise import normals
from pdelab.stepping import solve


@cache
def three_wells():
    """f_A of the ledger."""
    return losses.three_wells()


def gaussian(grid, mean, deviation):
    """A Gaussian density of mass one in the weights of the grid."""
    density = np.exp(-((grid.x - mean) ** 2) / (2 * deviation**2))
    return density / grid.integrate(density)


def gibbs(grid, potential, beta):
    """exp(-beta U), normalised on the grid."""
    density = np.exp(-beta * (potential - potential.min()))
    return density / grid.integrate(density)


def evolve(grid, potential, D, density, times):
    """Densities at the times, exact in time on the generator: W^-1 exp(t Q^T) W."""
    Q = generator(FokkerPlanck(potential, diffusivity=D), grid)
    return semigroup(Q.T.tocsr(), grid.weights * density, times) / grid.weights


def slope(function, x, step):
    """Central difference of fourth order."""
    near, far = function(x + step) - function(x - step), function(x + 2 * step) - function(x - 2 * step)
    return (8 * near - far) / (12 * step)


# -- the model of SGD -------------------------------------------------------------------------------------------


@claim(
    "E4.2", source="thesis (4.2), (4.6), traffic paper (2.14)", as_printed="corrected",
    statement="x -= eta(grad f + xi), Var xi_i = s^2, is the SDE of diffusivity eta s^2/2, that is beta = 2/(eta s^2)",
    printed="dX(t) = -grad f(X) dt + beta^(-1/2) dB(t) ... the coefficient beta^-1 is the variance of a stochastic "
    "estimate of the gradient",
    perturbation="beta^-1 = s^2 in dX = -grad f dt + beta^(-1/2) dB: eta missing", rejects={"power": 0.0},
    tolerance="four standard errors of a Gaussian variance; the step's own O(eta) is known",
)  # fmt: skip
def diffusivity_of_sgd(quick=False, power=1.0):
    curvature, variance, chains = 3.37, 0.8, 4000 if quick else 40000
    expected, measured = [], []
    for k, eta in enumerate((0.1, 0.05, 0.025)):
        steps = math.ceil(10 / (eta * curvature))  # what is left of the start is e^-20 of the variance
        noise = math.sqrt(variance) * normals(42 + k, chains, steps)[:, 0]
        x = np.zeros(chains)
        for xi in noise:
            x -= eta * (curvature * x + xi)
        D = eta**power * variance / 2
        expected.append(D / curvature / (1 - eta * curvature / 2))
        measured.append(x @ x / chains)
    return equal(expected, measured, 4 * math.sqrt(2 / chains) * np.array(measured))


@claim(
    "E4.7", source="thesis (4.7), (4.9)", as_printed="right",
    statement="for beta^(-1/2) dB: L = -grad f.grad + Lap/(2 beta) and L* rho = div(rho grad f) + Lap rho/(2 beta)",
    perturbation="1/beta in place of 1/(2 beta)", rejects={"factor": 2.0},
    tolerance="the order of four grids; the error of the finest one",
)  # fmt: skip
def generators(quick=False, factor=1.0):
    f, beta, sizes = three_wells(), 2.0, (101, 201, 401, 801)
    D = 1 / (2 * beta)
    printed = factor * D
    errors = {"L": [], "L*": []}
    for n in sizes:
        grid = Grid(-3.0, 3.0, n)
        x, w = grid.x, grid.weights
        Q = generator(FokkerPlanck(f, diffusivity=D), grid)
        inner = np.abs(x) < 2.5
        exact = -f.gradient(x) * np.cos(x) - printed * np.sin(x)
        adjoint = f.hessian(x) * np.sin(x) + f.gradient(x) * np.cos(x) - printed * np.sin(x)
        errors["L"].append(np.abs(Q @ np.sin(x) - exact)[inner].max())
        errors["L*"].append(np.abs(Q.T @ (w * np.sin(x)) / w - adjoint)[inner].max())
    orders = [observed_order(1 / (np.array(sizes) - 1), error) for error in errors.values()]
    # built by exponential rates: that it tends to L with order two is the evidence
    return [equal(2.0, orders, 0.1), at_most(1e-2, [error[-1] for error in errors.values()])]


@claim(
    "E4.8", source="thesis after (4.8)", as_printed="corrected",
    printed="u satisfies the backward Kolmogorov equation u_t = L u ... along with the terminal value u(x, T) = V(x)",
    statement="u(x,t) = E[V(X_T)|X_t = x] solves -u_t = L u",
    perturbation=["u_t = L u, as printed", "from the time that has passed, not that which is left"],
    rejects=[{"sign": 1.0}, {"elapsed": True}],
    tolerance="fourth order, step 1e-3: 1e-11 and round-off 1e-12; a third of the difference of two grids would do",
)  # fmt: skip
def backward_kolmogorov(quick=False, sign=-1.0, elapsed=False):
    a, D, T = 1.3, 0.4, 1.0
    x, t = np.linspace(-2.0, 2.0, 9), 0.4

    def u(t, derivative=0):
        """E cos(X_T) for the Ornstein-Uhlenbeck process, and its derivatives in x."""
        k = math.exp(-a * (T - t))
        size = math.exp(-D / a * (1 - k * k) / 2) * k**derivative
        return size * np.cos(k * x + derivative * math.pi / 2)

    generator_of_u = -a * x * u(t, 1) + D * u(t, 2)
    values, left = [], t if elapsed else T - t
    for n in (401, 801):
        grid = Grid(-6.0, 6.0, n)
        Q = generator(BackwardKolmogorov(a * grid.x**2 / 2, diffusivity=D), grid)
        values.append(grid.interpolate(semigroup(Q, np.cos(grid.x) + 1, [left])[0] - 1, x))
    return [
        equal(generator_of_u, sign * slope(u, t, 1e-3), 1e-9),
        equal(u(t), values[1], np.abs(values[1] - values[0]).max()),
    ]


@claim(
    "E4.10", source="thesis (4.10) with (4.9)", as_printed="corrected",
    statement="e^(-beta f) is invariant for the noise sqrt(2/beta) dB; beta^(-1/2) dB as in (4.2) has e^(-2 beta f)",
    printed="the stationary solution [of (4.9)] is the Gibbs distribution rho(x; beta) = e^(-beta f(x))/Z_beta",
    perturbation="e^(-beta f) for the noise beta^(-1/2) dB", rejects={"noise": 1.0},
    tolerance="differences of fourth order, step 1e-3: 1e-10; the order of four grids",
)  # fmt: skip
def gibbs_law(quick=False, noise=2.0):
    f, beta, step = three_wells(), 3.0, 1e-3
    D = noise / (2 * beta)
    x = np.linspace(-3.0, 3.0, 301)

    def density(y):
        return np.exp(-beta * f(y))

    drift = f.gradient(x) * density(x)
    flux = np.abs(drift + D * slope(density, x, step)).max() / np.abs(drift).max()
    sizes, distances = (101, 201, 401, 801), []
    for n in sizes:
        grid = Grid(-4.0, 4.0, n)
        # a drift, not a potential: Gibbs is not built in
        law = stationary(FokkerPlanck(drift=-f.gradient(grid.x), diffusivity=D), grid)
        distances.append(grid.integrate(np.abs(law - gibbs(grid, f.on(grid), beta))))
    return [equal(0.0, flux, 1e-8), equal(4.0, observed_order(sizes, 1 / np.array(distances)), 0.15)]


@claim(
    "E4.10m", source="thesis, second-order Langevin after (4.10)", as_printed="corrected",
    statement="the position has the law e^(-2 beta f) for every friction c, Var p = c/(2 beta); c -> inf gives (4.2)",
    printed="Momentum is often used to accelerate convergence to this invariant distribution [e^(-beta f)]",
    perturbation=["e^(-beta f), as printed", "c -> infinity gives (4.2) only to order c^(-1/2)"],
    rejects=[{"weight": 1.0}, {"order": 0.5}],
    tolerance="round-off of the Lyapunov equation; two nested differences of fourth order, step 1e-3; the order of "
    "four "
    "frictions",
)  # fmt: skip
def momentum(quick=False, weight=2.0, order=1.0):
    k, beta, frictions = 1.7, 2.0, (0.5, 5.0, 50.0)
    weight, laws, memories = weight * beta, [], []
    for c in frictions:
        A = np.array([[0.0, 1.0], [-c * k, -c]])
        law = solve_continuous_lyapunov(A, -np.diag([0.0, c * c / beta]))
        laws.append([law[0, 0], law[1, 1]])
    for c in (50.0, 100.0, 200.0, 400.0):
        A = np.array([[0.0, 1.0], [-c * k, -c]])
        memories.append(abs(expm(0.5 * A)[0, 0] - math.exp(-0.5 * k)))  # autocorrelation of q against that of (4.2)
    f, c, step = three_wells(), 0.7, 1e-3
    q, p = (z.ravel() for z in np.meshgrid(np.linspace(-2.5, 2.0, 19), np.linspace(-1.5, 1.5, 13)))

    def density(q, p):
        return np.exp(-weight * (f(q) + p * p / (2 * c)))

    def flux(p):
        return c * (f.gradient(q) + p) * density(q, p) + c * c / (2 * beta) * slope(lambda r: density(q, r), p, step)

    rest = -p * slope(lambda r: density(r, p), q, step) + slope(flux, p, step)
    size = np.abs(p * slope(lambda r: density(r, p), q, step)).max()
    expected = np.array([[1 / (weight * k), c / (2 * beta)] for c in frictions])
    return [
        equal(expected, laws, 1e-11 * expected),
        equal(0.0, np.abs(rest).max() / size, 1e-6),
        equal(order, observed_order([1 / c for c in (50.0, 100.0, 200.0, 400.0)], memories), 0.1),
    ]


# -- convergence ------------------------------------------------------------------------------------------------


@claim(
    "EJKO", source="thesis section 4.1, the functional J; (6.18)", as_printed="right",
    statement="(4.9) is the W2 gradient flow of J = int V rho + (1/(2 beta)) int rho log rho: JKO steps have order 1",
    perturbation=["(1/beta) int rho log rho, which belongs to the noise sqrt(2/beta) dB", "the flow climbs J"],
    rejects=[{"double": 1.0}, {"sign": -1.0}], tolerance="the order of four steps; none: an inequality",
)  # fmt: skip
def gradient_flow(quick=False, double=2.0, sign=1.0):
    beta, a, T = 1.0, 1.5, 0.5
    D = 1 / (2 * beta)
    grid = Grid(-7.0, 8.0, 401)
    start = transport.law(grid, gaussian(grid, 1.0, 0.6))
    decay = math.exp(-2 * a * T)
    exact = transport.law(grid, gaussian(grid, math.exp(-a * T), math.sqrt(0.36 * decay + D / a * (1 - decay))))
    taus, errors, falls = (0.1, 0.05, 0.025, 0.0125), [], []
    V = losses.Loss(f"{a / 2}*x**2")
    for tau in taus:
        laws = transport.jko(start, V, tau, round(T / tau), beta=double * beta)
        errors.append(transport.wasserstein(laws[-1], exact))
        energies = [transport.free_energy(law, V, beta=2 * beta) for law in laws]
        falls.append((sign * np.diff(energies)).max())
    return [equal(1.0, observed_order(taus, errors), 0.1), at_most(0.0, falls)]


@cache
def relaxation(D, wells=1):
    """W2, KL and chi-square to equilibrium at t = 0, .5, 1, 1.5, 2.

    One well: .85 x^2 + .4 cos x, V'' >= 1.3; two: (x^2 - 1)^2/4, V'' >= -1.
    """
    grid = Grid(-6.0, 6.0, 401) if wells == 1 else Grid(-2.5, 2.5, 401)
    potential = (losses.Loss("0.85*x**2 + 0.4*cos(x)") if wells == 1 else losses.double_well()).on(grid)
    final = gibbs(grid, potential, 1 / D)
    gaps = []
    for rho in evolve(grid, potential, D, gaussian(grid, 1.0, 0.25), [0.0, 0.5, 1.0, 1.5, 2.0]):
        distance = transport.wasserstein(transport.law(grid, rho), transport.law(grid, final))
        ratio = np.where(final > 0, rho, 1.0) / np.where(final > 0, final, 1.0)
        entropy = grid.integrate(rho * np.log(np.where(rho > 0, ratio, 1.0)))
        gaps.append([distance, entropy, grid.integrate(final * (ratio - 1) ** 2)])
    return np.array(gaps)


@claim(
    "Elam", source="thesis section 4.1, lambda-convexity", as_printed="corrected",
    statement="Hess V >= +lambda I: W2 <= e^(-lambda t) W2(0), KL and chi^2 <= e^(-2 lambda t) of theirs, whatever D",
    printed="V(x) is lambda-convex, i.e., Hess V(x) + lambda I is positive definite for all x ... d_W2(rho(x,t), "
    "rho_eq) "
    "<= d_W2(rho(x,0), rho_eq) e^(-lambda t)",
    perturbation=["lambda-convex as printed, Hess V + lambda I positive definite: the double well with lambda = 1.01",
                  "the rates 2 lambda of W2, 4 lambda of KL and chi^2"],
    rejects=[{"wells": 2}, {"speed": 2.0}],
    tolerance="none: inequalities with a tenth to spare; the difference of two grids",
)  # fmt: skip
def contraction(quick=False, wells=1, speed=1.0):
    times, evidence, shifts = np.array([0.5, 1.0, 1.5, 2.0]), [], []
    for D in (0.1, 0.4, 1.0):
        gaps, rate = relaxation(D, wells), {1: 1.3, 2: 1.01}[wells]
        bounds = gaps[0] * np.exp(-np.outer(speed * rate * times, [1.0, 2.0, 2.0]))
        evidence.append(at_most(bounds, gaps[1:]))
    for n in (401, 801):  # equality for a shifted equilibrium of a quadratic: the rate cannot be better
        grid = Grid(-6.0, 6.0, n)
        rho = evolve(grid, 0.65 * grid.x**2, 0.4, gaussian(grid, 1.0, math.sqrt(0.4 / 1.3)), [1.0])[0]
        final = transport.law(grid, gibbs(grid, 0.65 * grid.x**2, 2.5))
        shifts.append(transport.wasserstein(transport.law(grid, rho), final))
    return [*evidence, equal(math.exp(-1.3 * speed), shifts[1], abs(shifts[1] - shifts[0]))]


@cache
def local_gap(gamma, beta, n):
    """Spectral gap of the fast variable's law exp(-beta(f(y) + |x-y|^2/2 gamma)) at the maximum x = .4516 of f_A."""
    grid = Grid(-4.0, 4.0, n)
    potential = three_wells().on(grid) + (grid.x - 0.4516) ** 2 / (2 * gamma)
    return spectral_gap(FokkerPlanck(potential, beta=beta), grid)


@cache
def steepest():
    """K = max(-f'') of f_A."""
    x = np.linspace(-2.5, 2.5, 200001)
    return float(np.max(-three_wells().hessian(x)))


@claim(
    "R4.6", source="thesis Remark 4.6", as_printed="right",
    statement="gap of the fast variable >= 1/gamma - K if gamma < 1/K, any beta; beyond, exponentially small when cold",
    perturbation=["gap >= 1/gamma, without the curvature of f", "the gap stays large at every scope",
                  "it is as small when warm"],
    rejects=[{"share": 0.0}, {"long_scopes": (0.1, 0.2, 0.25)}, {"warm": 40.0}],
    tolerance="the difference of two grids; orders of magnitude, each with a factor of ten to spare",
)  # fmt: skip
def fast_gap(quick=False, share=1.0, long_scopes=(0.4, 0.6, 1.0), warm=2.0):
    scopes, n = np.array([0.1, 0.2, 0.25, 0.29]), 801
    K = share * steepest()
    evidence = []
    for beta in (2.0, 10.0, 40.0):
        fine = np.array([local_gap(g, beta, n) for g in scopes])
        coarse = np.array([local_gap(g, beta, (n + 1) // 2) for g in scopes])
        evidence.append(at_least(1 / scopes - K, fine, np.abs(fine - coarse)))
    beyond = [local_gap(g, 40.0, n) for g in long_scopes]
    # at beta = 40 each step in gamma costs a factor; at beta = 2 the same gamma = 1 keeps a gap of order one
    return [*evidence, at_most([0.1, 0.01, 1e-4], beyond), at_least(0.1, local_gap(1.0, warm, n))]


# -- schemes ----------------------------------------------------------------------------------------------------


@claim(
    "X7", source="Scharfetter-Gummel rates with implicit Euler", as_printed="new",
    statement="Gibbs is kept to round-off, KL and chi^2 fall, densities stay positive, mass stays; order 2 in h",
    perturbation=["face averages of the drift in place of the potential", "KL and chi^2 rise",
                  "a density of another mass is kept", "order 1 in h"],
    rejects=[{"averaged": True}, {"sign": -1.0}, {"mass": 1.0 + 1e-9}, {"order": 1.0}],
    tolerance="round-off; the order of four grids",
)  # fmt: skip
def structure_of_fokker_planck(quick=False, averaged=False, sign=1.0, mass=1.0, order=2.0):
    f, beta = three_wells(), 3.0
    grid = Grid(-3.0, 3.0, 301)
    field = {"drift": -f.gradient(grid.x)} if averaged else {"potential": f}
    problem = FokkerPlanck(beta=beta, **field)
    final = gibbs(grid, f.on(grid), beta)
    kept = np.abs(solve(problem, final, grid, 0.1, dt=0.1).final - final).max() / final.max()
    start = np.random.default_rng(7).exponential(size=grid.shape)
    start /= grid.integrate(start)
    solution = solve(problem, start, grid, np.linspace(0.0, 2.0, 21), dt=0.1, rtol=math.inf)
    ratio = solution.values / final
    entropies, squares = grid.integrate(solution.values * np.log(ratio)), grid.integrate(final * (ratio - 1) ** 2)
    spacings, gaps = (0.2, 0.1, 0.05, 0.025), []
    for h in spacings:
        line = Grid(-6.0, 6.0, round(12 / h) + 1)
        gaps.append(1 - spectral_gap(FokkerPlanck(line.x**2 / 2, beta=1.0), line))
    return [
        equal(0.0, kept, 1e-13),
        at_most(0.0, [(sign * np.diff(entropies)).max(), (sign * np.diff(squares)).max(), -solution.values.min()]),
        equal(mass, grid.integrate(solution.values), 1e-12),
        equal(order, observed_order(spacings, gaps), 0.05),
    ]


def _inner_loop(eta, nodes):
    """(Euler-Maruyama, Leimkuhler-Matthews): stationary means of the inner loop at x = 1, gamma = .2, beta = 4.

    One step is a map of a Gaussian number, monotone for eta H'' < 2, so that its transition density is explicit; the
    trapezoid rule makes it a matrix whose left eigenvector is the stationary law, accurate beyond 1e-10 here.
    Leimkuhler-Matthews, X' = X - eta H'(X) + sqrt(2 eta/beta)(z + z')/2, is a chain in Y = X - sqrt(eta/(2 beta)) z:
    Y' = Y + 2 s z - eta H'(Y + s z), s = sqrt(eta/(2 beta)), and X has the mean of Y.
    """
    f, x, gamma, beta = three_wells(), 1.0, 0.2, 4.0
    y = np.linspace(-0.3, 2.7, nodes)  # eight standard deviations around the well
    s = math.sqrt(eta / (2 * beta))

    def force(z):
        return f.gradient(z) + (z - x) / gamma

    def mean(kernel):
        kernel /= kernel.sum(axis=1, keepdims=True)
        law = np.full(nodes, 1 / nodes)
        for _ in range(60):  # squaring: 2^k steps, until nothing changes
            following = law @ kernel
            if np.abs(following - law).max() < 1e-15:
                break
            law, kernel = following, kernel @ kernel
        return law @ y

    euler = np.exp(-((y[None, :] - y[:, None] + eta * force(y)[:, None]) ** 2) / (2 * (2 * s) ** 2))
    z = (y[None, :] - y[:, None]) / (2 * s) * np.ones((nodes, nodes))
    for _ in range(30):  # y' = y + 2 s z - eta H'(y + s z), solved for z by Newton's method
        rest = y[:, None] + 2 * s * z - eta * force(y[:, None] + s * z) - y[None, :]
        z -= rest / _rate(f, gamma, eta, s, y, z)
        if np.abs(rest).max() < 1e-12:
            break
    return mean(euler), mean(np.exp(-(z**2) / 2) / _rate(f, gamma, eta, s, y, z))


def _rate(f, gamma, eta, s, y, z):
    return s * (2 - eta * (f.hessian(y[:, None] + s * z) + 1 / gamma))


@claim(
    "X11", source="inner loop of Entropy-SGD, thesis (4.39)", as_printed="new",
    statement="the Euler-Maruyama inner loop biases <y> by O(eta); averaged noise (Leimkuhler-Matthews) by O(eta^2)",
    perturbation=["both of order eta^2", "Leimkuhler-Matthews is not better", "both of order eta"],
    rejects=[{"euler": 2.0}, {"gain": 1e-4}, {"averaged": 1.0}],
    tolerance="the order at eta = 0 from those at three pairs of step sizes: the last correction of the extrapolation",
)  # fmt: skip
def inner_loop_bias(quick=False, euler=1.0, gain=0.1, averaged=2.0):
    f = three_wells()
    y = np.linspace(-4.0, 6.0, 10001)
    weights = np.exp(-4.0 * (f(y) + (y - 1.0) ** 2 / 0.4))
    exact = weights @ y / weights.sum()
    etas = 0.1 * 0.5 ** np.arange(4)
    biases = np.abs(np.array([_inner_loop(eta, 401) for eta in etas]) - exact)
    orders = np.log2(biases[:-1] / biases[1:])  # they differ from the limit by O(eta)
    limits = 2 * orders[1:] - orders[:-1]
    return [
        equal([euler, averaged], limits[1], np.abs(limits[1] - limits[0])),
        at_most(gain * biases[-1, 0], biases[-1, 1]),
    ]
