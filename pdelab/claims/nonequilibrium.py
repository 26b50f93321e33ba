"""Thesis 6.4: potentials that depend on the temperature, circulations, most likely places, trajectories and spectra."""

import math
from functools import cache

import numpy as np
from scipy import linalg, special

from pdelab import nonequilibrium
from pdelab.claims import at_least, at_most, claim, equal, observed_order
from pdelab.fokker_planck import FokkerPlanck
from pdelab.generator import generator, spectral_gap, stationary
from pdelab.grid import Grid
from pdelab.nonequilibrium import Circulation

EXAMPLE = np.array([[2.0, 0.8], [0.8, 1.0]]), np.diag([1.0, 0.1])


# -- the potential depends on the temperature -------------------------------------------------------------------


def on_line(beta, n):
    """Φ on a grid for f = (x² - 1)²/4, D = 1 + .8 cos² x."""
    grid = Grid(-2.6, 2.6, n)
    x = grid.x
    problem = FokkerPlanck((x * x - 1) ** 2 / 4, diffusion=1 + 0.8 * np.cos(x) ** 2, beta=beta)
    return grid, nonequilibrium.potential(problem, grid)


def formula_on_line(beta, x, share=1.0):
    """Φ = ∫ f'/D + share log(D)/β at increasing points with 0 in the middle, up to a constant."""
    fine = np.linspace(x[0], x[-1], 40 * (len(x) - 1) + 1)
    D = 1 + 0.8 * np.cos(fine) ** 2
    slope = (fine**3 - fine) / D
    h = fine[1] - fine[0]
    area = np.concatenate([[0.0], np.cumsum(0.5 * h * (slope[1:] + slope[:-1]))])
    phi = (area + share * np.log(D) / beta)[::40]
    return phi - phi.min()


@cache
def anisotropic(beta, n=61, second=0.1):
    """(grid, Φ, f) for f = (x² - 1)²/4 + y²/2 + .4 x² y and the constant D = diag(1, second)."""
    grid = Grid((-2.6, -2.8), (2.6, 2.4), (n, n)) if beta < 2 else Grid((-2.0, -2.4), (2.0, 1.6), (n, n))
    x, y = grid.points[..., 0], grid.points[..., 1]
    f = (x * x - 1) ** 2 / 4 + y * y / 2 + 0.4 * x * x * y
    noise = np.broadcast_to(np.diag([1.0, second]), (*grid.shape, 2, 2))
    problem = FokkerPlanck(f, diffusion=noise, beta=beta)
    return grid, nonequilibrium.potential(problem, grid), f


@cache
def circulating(beta, n=57):
    """max |Φ_β - Φ| over {Φ < 1.5} for the drift of Example 6.43 at λ = 1.5, levels matched by their mean."""
    grid = Grid((-2.8, -4.4), (2.8, 4.4), (n, 3 * (n // 2) + 1))
    field = Circulation(1.5)
    phi = field.potential(grid.points)
    gap = nonequilibrium.potential(FokkerPlanck(drift=field.drift(grid.points), beta=beta), grid) - phi
    inner = phi < 1.5
    return float(np.abs(gap - gap[inner].mean())[inner].max())


def height(beta, n=61, second=0.1):
    """Φ(0, 0) - min Φ of `anisotropic`."""
    grid, phi, _ = anisotropic(beta, n, second)
    return float(grid.interpolate(phi, np.array([[0.0, 0.0]]))[0])


@claim(
    "T6.28", source="thesis Theorems 6.28, 6.48", as_printed="wrong",
    printed="The potential Phi is only a function of the dataset, architecture and the weights x, it does not depend "
    "on beta^-1",
    statement="Phi depends on beta: (a) on a line with D(x), Phi = int f'/D + log(D)/beta; (b) with a constant D = "
    "diag(1, .1) and a gradient f; (c) for the drift of the thesis's own example with D = I",
    perturbation=["one Phi for all beta, as printed", "(a) without log(D)/beta", "D = I in (b): Phi = f then"],
    rejects=[{"free_of_beta": True}, {"share": 0.0}, {"second": 1.0}],
    tolerance="the difference of two grids; for inequalities ten times that difference",
)  # fmt: skip
def potential_depends_on_temperature(quick=False, free_of_beta=False, share=1.0, second=0.1):
    moved, betas = not free_of_beta, (0.5, 1.0, 4.0)
    on_grid = []
    for n in (101, 201):
        cold, warm = (on_line(beta, n)[1] for beta in (2.0, 0.5))
        on_grid.append(np.abs(cold - warm).max())
    x = on_line(1.0, 101)[0].x
    exact = np.abs(formula_on_line(2.0, x, share) - formula_on_line(0.5, x, share)).max()
    falls, gaps = [], []
    for n in (41, 61):
        falls.append(height(betas[1], n, second) - height(betas[2] if moved else betas[1], n, second))
        gaps.append([circulating(beta if moved else 1.0, n) for beta in (betas[0], betas[2])])
    return [
        equal(moved * exact, on_grid[1], abs(on_grid[1] - on_grid[0])),
        at_least(10 * abs(falls[1] - falls[0]) + 1e-6, falls[1]),
        at_least(10 * np.abs(np.subtract(*gaps)) + 1e-6, gaps[1]),
    ]


@claim(
    "T6.28c", source="thesis Theorem 6.28", as_printed="new",
    statement="Phi does not depend on beta for a linear drift and constant D, nor for detailed balance and constant D",
    perturbation=["a cubic drift", "D(x) = 1 + .8 cos(x)^2"], rejects=[{"cubic": 0.3}, {"wave": 0.8}],
    tolerance="order 2 in the spacing: a third of the gap on twice the spacing; round-off",
)  # fmt: skip
def potentials_free_of_temperature(quick=False, cubic=0.0, wave=0.0):
    F, D = EXAMPLE
    gaps = []
    for n in (61, 121):
        grid = Grid((-4, -4), (4, 4), (n, n))
        noise = np.broadcast_to(D + 0.4 * np.eye(2), (n, n, 2, 2))
        state = nonequilibrium.linear(F, D + 0.4 * np.eye(2))
        exact = 0.5 * np.einsum("...i,ij,...j->...", grid.points, state.U, grid.points)
        inner = exact < 1.5
        row = []
        for beta in (1.0, 3.0):
            drift = -grid.points @ F.T - cubic * grid.points**3
            phi = nonequilibrium.potential(FokkerPlanck(drift=drift, diffusion=noise, beta=beta), grid)
            row.append(np.abs(phi - exact)[inner].max())
        gaps.append(row)
    line = Grid(-2.2, 2.2, 121)
    f = (line.x**2 - 1) ** 2 / 4
    noise = 1 + wave * np.cos(line.x) ** 2
    phis = [nonequilibrium.potential(FokkerPlanck(f, diffusion=noise, beta=b), line) for b in (0.5, 4.0)]
    return [at_most(np.array(gaps[0]) / 3, gaps[1]), equal(phis[0], phis[1], 1e-11)]


# -- the thesis's example of a circulation ----------------------------------------------------------------------


@claim(
    "Ex6.43", source="thesis Example 6.43, Figure 6.4", as_printed="wrong",
    printed="In Figure 6.4c with a large |j(x)|, SGD converges to limit cycles around the saddle point at the origin",
    statement="there is no limit cycle: above lambda = exp(-1/4) the origin is the only zero of the drift and every "
    "orbit comes back nearer; near it by -r^3 T/8 as lambda grows",
    perturbation=["an orbit that comes back where it was, as printed", "the zeros stay for every lambda"],
    rejects=[{"cycle": True}, {"strengths": (0.7, 0.5)}],
    tolerance="1e-9 on the return map's integration; the count is exact; .002 with 1/lambda^2 for the rate",
)  # fmt: skip
def no_limit_cycle(quick=False, cycle=False, strengths=(0.8, 10.0)):
    field, radii = Circulation(1.5), np.array([0.05, 0.2, 0.5, 1.0, 1.5, 2.0])
    back = radii if cycle else np.array([field.return_map(r) for r in radii])
    fast, r = Circulation(10.0), 0.05
    period = 2 * math.pi / math.sqrt(100 * math.exp(0.5) - 1)
    rate = 0.0 if cycle else (fast.return_map(r) - r) / (r**3 * period)
    zeros = [len(Circulation(s).zeros()) for s in strengths]
    return [at_most(-1e-9, np.log(back / radii)), equal(-1 / 8, rate, 0.002), equal(1, zeros, 0)]


@claim(
    "Ex6.43w", source="thesis Example 6.43", as_printed="new",
    statement="the density exp(-Phi) is the same for every lambda; what grows is the winding rate, lambda pi^(3/2)/Z",
    perturbation=["lambda moves the density", "the winding rate does not grow"],
    rejects=[{"factor": 0.8}, {"linear": 0.0}],
    tolerance="the order of the scheme: a third of the gap on twice the spacing",
)  # fmt: skip
def density_and_winding(quick=False, factor=1.0, linear=1.0):
    strengths = (0.5, 1.5)
    shifts, turns = [], []
    for n in (41, 81):
        grid = Grid((-2.8, -4.8), (2.8, 4.8), (n, 2 * n - 1))
        row, turn = [], []
        for strength in strengths:
            field = Circulation(strength)
            phi = factor * field.potential(grid.points)
            problem = FokkerPlanck(drift=field.drift(grid.points), beta=1.0)
            rho = stationary(problem, grid)
            gibbs = np.exp(-phi)
            row.append(grid.integrate(np.abs(rho - gibbs / grid.integrate(gibbs))))
            exact = field.winding_rate if linear else Circulation(0.5).winding_rate
            turn.append(abs(nonequilibrium.winding_rate(problem, grid) - exact))
        shifts.append(row)
        turns.append(turn)
    return [at_most(np.array(v[0]) / 3, v[1]) for v in (shifts, turns)]


@claim(
    "T6.46b", source="thesis (6.50), (6.51)", as_printed="right",
    statement="L = L_S + L_A: L_S is the generator without j, L_A is skew in L^2 weighted by the stationary law",
    perturbation="skew without the weight", rejects={"weighted": False}, tolerance="order 2 in the spacing, with .4",
)  # fmt: skip
def skew_part(quick=False, weighted=True):
    gaps, sizes = [], (21, 41, 81)
    for n in sizes:
        grid = Grid((-2.6, -2.6), (2.6, 2.6), (n, n))
        field = Circulation(1.5)
        phi = field.potential(grid.points)
        weight = grid.weights * (np.exp(-phi) if weighted else np.exp(-phi / 2))
        x, y = grid.points[..., 0], grid.points[..., 1]
        u, v = (np.sin(x + y) + 0.3 * x**2).ravel(), (np.cos(x - 0.5 * y) + y).ravel()
        force = field.force(grid.points)
        L_A = generator(FokkerPlanck(phi, force, beta=1.0), grid) - generator(FokkerPlanck(phi, beta=1.0), grid)
        gaps.append(abs(np.sum((weight / weight.sum()).ravel() * (u * (L_A @ v) + v * (L_A @ u)))))
    return equal(2.0, observed_order([1 / (n - 1) for n in sizes], gaps), 0.4)


@claim(
    "C6.51", source="thesis (6.51)", as_printed="corrected",
    printed="L_A rho = div(-j rho) = div(-D grad Phi rho + grad f rho) = div(beta^-1 D grad rho + grad f rho)",
    statement="L_A rho = -div(j rho); the third line is the whole operator L, which is L_A of rho_ss alone",
    perturbation="L_A rho = div(beta^-1 D grad rho + grad f rho) = L rho, as printed", rejects={"whole": True},
    tolerance="order 2 in the spacing: a third of the gap on twice the spacing",
)  # fmt: skip
def deterministic_part(quick=False, whole=False):
    field, gaps = Circulation(1.5), []
    for n in (41, 81):
        grid = Grid((-2.6, -2.6), (2.6, 2.6), (n, n))
        x, y = np.moveaxis(grid.points, -1, 0)
        phi, force = field.potential(grid.points), field.force(grid.points)
        rho = np.exp(-((x - 0.3) ** 2) - 2 * (y + 0.2) ** 2)
        part = generator(FokkerPlanck(phi, force, beta=1.0), grid)
        if not whole:
            part = part - generator(FokkerPlanck(phi, beta=1.0), grid)
        transported = (part.T @ (grid.weights * rho).ravel()).reshape(n, n) / grid.weights
        # j . grad rho + rho div j, where div j = j . grad(Phi - |x|^4/4) = j . grad Phi
        along = force[..., 0] * (-2 * (x - 0.3) + x * (x * x - 1)) + force[..., 1] * (-4 * (y + 0.2) + y)
        gaps.append(np.abs(transported + rho * along)[np.abs(x) + np.abs(y) < 1.5].max())
    return at_most(gaps[0] / 3, gaps[1])


@claim(
    "T6.46c", source="thesis 6.4.2, acceleration", as_printed="right",
    statement="a force j that keeps the density only speeds it up: .792 .930 1.042 2.47 at lambda = 0 .5 1.5 5 in "
    "Example 6.43 on |x_i| < 2.8; in a quadratic well with D = I the gap lies between min eig U and tr(U)/d",
    perturbation=["no acceleration", "no more than min eig U", "at least twice min eig U"],
    rejects=[{"strengths": (0.0, 0.0, 0.0, 0.0)}, {"bound": "least"}, {"least": 0.2}],
    tolerance="the difference of two grids; round-off",
)  # fmt: skip
def acceleration(quick=False, strengths=(0.0, 0.5, 1.5, 5.0), bound="mean", least=0.1):
    gaps = []
    for n in (33, 65):
        grid = Grid((-2.8, -2.8), (2.8, 2.8), (n, n))
        row = []
        for s in strengths:
            field = Circulation(s)
            problem = FokkerPlanck(field.potential(grid.points), field.force(grid.points), beta=1.0)
            row.append(spectral_gap(problem, grid))
        gaps.append(row)
    coarse, fine = np.array(gaps)
    rng, U = np.random.default_rng(4), np.diag([0.1, 1.0, 4.0])
    draws = rng.normal(size=(200, 3, 3)) * np.exp(rng.uniform(-2, 3, 200))[:, None, None]
    rates = np.linalg.eigvals((np.eye(3) + draws - np.swapaxes(draws, 1, 2)) @ U).real.min(1)
    return [
        equal([0.792, 0.930, 1.042, 2.475], fine, np.abs(fine - coarse) + 5e-4),
        at_least(least, rates, 1e-12),
        at_most(1.7 if bound == "mean" else 0.1, rates, 1e-12),
    ]


# -- linear drifts ----------------------------------------------------------------------------------------------


@claim(
    "L6.44", source="thesis Lemma 6.44", as_printed="corrected",
    printed="The matrix F in (6.46) can be uniquely decomposed into F = (D + Q) U; D and Q are the symmetric and "
    "anti-symmetric parts of a matrix G with G F^T - F G^T = 0",
    statement="F S + S F^T = 2D, U = S^-1, Q = F S - D: unique if and only if no two eigenvalues of F add up to 0 "
    "and S is invertible; the eigenvalues 1, -1 leave a direction of S free",
    perturbation=["unique for every F, as printed", "a Q of half the size"],
    rejects=[{"free": 0}, {"share": 0.5}], tolerance="round-off times the condition number; a count",
)  # fmt: skip
def linear_decomposition(quick=False, free=1, share=1.0):
    rng, gaps, bounds = np.random.default_rng(5), [], []
    for _ in range(20):
        A, B, C = rng.normal(size=(3, 3, 3))
        D = A @ A.T + 0.1 * np.eye(3)
        F = (D + B - B.T) @ (C @ C.T + 0.1 * np.eye(3))
        state = nonequilibrium.linear(F, D)
        gaps.append(np.abs((D + share * state.Q) @ state.U - F).max() / np.abs(F).max())
        bounds.append(1e-13 * np.linalg.cond(state.covariance))
    F = np.array([[1.0, 0.3], [0.0, -1.0]])
    symmetric = np.array([[[1, 0], [0, 0]], [[0, 1], [1, 0]], [[0, 0], [0, 1]]])
    images = (F @ symmetric + symmetric @ F.T).reshape(3, 4)
    return [at_most(bounds, gaps), equal(free, 3 - np.linalg.matrix_rank(images, tol=1e-14), 0)]


@claim(
    "C6.47r", source="thesis Remark 6.45, section 6.3.3", as_printed="new",
    statement="F symmetric, as a Hessian is, has real eigenvalues: near a minimum no spectrum of a coordinate peaks; "
    "the rotation is in the imaginary eigenvalues of Q U",
    perturbation=["a drift that is no gradient", "noise of one size: no rotation"],
    rejects=[{"turn": 30.0}, {"sizes": (1.0, 1.0, 1.0)}], tolerance="round-off; none: inequalities",
)  # fmt: skip
def hidden_rotation(quick=False, turn=0.0, sizes=(1.0, 0.1, 0.01)):
    A = np.random.default_rng(6).normal(size=(3, 3))
    T = np.array([[0.0, -1.0, 0.3], [1.0, 0.0, -0.5], [-0.3, 0.5, 0.0]])
    state = nonequilibrium.linear(A @ A.T + np.eye(3) + turn * T, np.diag(sizes))
    power = nonequilibrium.linear_spectrum(state, np.linspace(0.01, 20, 2000))[:, 0, 0].real
    turning = np.linalg.eigvals(state.Q @ state.U)
    return [
        equal(0.0, np.abs(np.linalg.eigvals(state.F).imag).max(), 1e-12),
        at_most(0.0, np.diff(power).max() / power.max(), 1e-15),
        at_least(0.1, np.abs(turning.imag).max()),
    ]


@claim(
    "T6.46", source="thesis Theorem 6.46", as_printed="wrong",
    printed="The condition div j(x) = 0 in Assumption 6.22 implies that most likely trajectories of SGD traverse "
    "closed trajectories in weight space",
    statement="x' = j is closed near a minimum in the plane only: in four dimensions the second of its two periods is "
    "missed after every turn of the first, at a saddle Q U has the real eigenvalues +-q sqrt(-det F/(1 + q^2)), "
    "q = (F_12 - F_21)/tr F for D = I; most likely paths climb by x' = (D - Q) grad Phi, not by j",
    perturbation=["closed in four dimensions and at a saddle, as printed", "climbing by j alone"],
    rejects=[{"closed": True}, {"alone": True}], tolerance="round-off",
)  # fmt: skip
def orbits_of_the_force(quick=False, closed=False, alone=False):
    rng, missed = np.random.default_rng(7), 0.0 if closed else 1.0
    A = rng.normal(size=(4, 4))
    state = nonequilibrium.linear(A @ A.T + np.eye(4), np.diag(np.geomspace(1, 0.05, 4)))
    force = -state.Q @ state.U
    slow, fast = np.unique(np.abs(np.linalg.eigvals(force).imag).round(12))
    turns = np.arange(1, 6)
    gaps = [np.abs(np.linalg.eigvals(linalg.expm(force * 2 * math.pi * k / fast)) - 1).max() for k in turns]
    F = np.array([[1.0, 1.0], [0.3, -0.7]])
    saddle, q = nonequilibrium.linear(F, np.eye(2), algebraic=True), (F[0, 1] - F[1, 0]) / np.trace(F)
    rate = q * math.sqrt(-np.linalg.det(F) / (1 + q * q))
    climbing = -force if alone else state.reversed_drift
    gap = np.sort_complex(np.linalg.eigvals(climbing)) - np.sort_complex(np.linalg.eigvals(state.F))
    return [
        equal(missed * 2 * np.abs(np.sin(math.pi * turns * slow / fast)), gaps, 1e-9),
        equal(missed * np.array([-rate, rate]), np.sort(np.linalg.eigvals(saddle.Q @ saddle.U).real), 1e-12),
        equal(0.0, np.abs(gap).max(), 1e-10),
    ]


# -- the drift from the potential -------------------------------------------------------------------------------


@claim(
    "T6.48", source="thesis Theorem 6.48 (6.53) with Definition 6.7", as_printed="corrected",
    printed="grad f(x) = (D(x) + Q(x)) grad Phi(x) - beta^-1 div (D(x) + Q(x)) ... where M_k is the k^th column of M. "
    "In other words, the vector operator is applied column-wise when it operates on a matrix",
    statement="(6.53) holds with div row by row, (div Q)_i = sum_j d_j Q_ij; Q_12 is determined up to c exp(beta Phi)",
    perturbation=["column by column, as printed", "the gauge c exp(beta Phi/2)", "Q is unique"],
    rejects=[{"rows": -1.0}, {"gauge": 0.5}, {"amount": 0.0}],
    tolerance="fourth-order differences of a closed form: 1e-8",
)  # fmt: skip
def the_split(quick=False, rows=1.0, gauge=1.0, amount=0.7):
    field, points = Circulation(1.5), np.random.default_rng(8).uniform(-1.2, 1.2, (12, 2))

    def own(p):
        return 1.5 * math.sqrt(math.pi) / 2 * special.erfc((p**2).sum(-1) / 2) * np.exp(field.potential(p))

    def shifted(p):
        return own(p) + amount * np.exp(gauge * field.potential(p))

    x, y = points.T
    slope = np.stack([x * (x * x - 1), y], -1)
    gaps = []
    for q in (own, shifted):
        d1, d2 = (_slope(q, points, axis) for axis in (0, 1))
        turned = q(points)[:, None] * np.stack([slope[:, 1], -slope[:, 0]], -1)
        gaps.append(np.abs(slope + turned - rows * np.stack([d2, -d1], -1) + field.drift(points)).max())
    return [equal(0.0, gaps, 1e-8), at_least(0.5, np.abs(shifted(points) - own(points)).min())]


def _slope(f, points, axis, h=1e-3):
    """Central difference of fourth order along an axis."""
    step = h * np.eye(2)[axis]
    return (8 * (f(points + step) - f(points - step)) - f(points + 2 * step) + f(points - 2 * step)) / (12 * h)


def most_likely(beta, n):
    """Shift of the minimum of Φ from that of f near x > 0, `anisotropic`, by a quadratic through nine nodes."""
    grid, phi, f = anisotropic(beta, n)
    peaks = []
    for values in (phi, f):
        masked = np.where(grid.points[..., 0] > 0.3, values, math.inf)
        i, j = np.unravel_index(int(np.argmin(masked)), grid.shape)
        near = np.s_[i - 1 : i + 2, j - 1 : j + 2]
        p = (grid.points[near] - grid.points[i, j]).reshape(-1, 2)
        design = np.column_stack([np.ones(9), p, p[:, 0] ** 2, p[:, 0] * p[:, 1], p[:, 1] ** 2])
        _, a, b, c, d, e = np.linalg.lstsq(design, values[near].ravel(), rcond=None)[0]
        peaks.append(grid.points[i, j] - np.linalg.solve([[2 * c, d], [d, 2 * e]], [a, b]))
    return peaks[0] - peaks[1]


@claim(
    "T6.48b", source="thesis Theorem 6.48, Remark 6.51", as_printed="right",
    statement="most likely places move away from the minima of f in proportion to 1/beta = eta/(2b), also for "
    "a constant D = diag(1, .1): beta times the shift tends to a constant",
    perturbation=["in proportion to beta^-2", "there is no shift"], rejects=[{"power": 2.0}, {"share": 0.0}],
    tolerance="the next power: half of the change from beta = 2 to 4, and the difference of two grids; a tenth",
)  # fmt: skip
def shift_of_likely_places(quick=False, power=1.0, share=1.0):
    betas = np.array([2.0, 4.0, 8.0])
    shifts = betas * [most_likely(beta, 81)[1] for beta in betas]
    error = abs(shifts[1] - shifts[0]) / 2 + 4 * abs(most_likely(4.0, 41)[1] - most_likely(4.0, 81)[1])
    scaled = share * betas ** (power - 1) * shifts
    return [equal(scaled[1], scaled[2], error), at_least(0.1, scaled)]


# -- what trajectories show -------------------------------------------------------------------------------------


def ornstein_uhlenbeck(state, step, times, paths, seed):
    """Exact samples of the stationary linear process, (times, paths, d); seed: a number or a Generator."""
    rng, d = np.random.default_rng(seed), len(state.F)
    ahead = linalg.expm(-state.F * step)
    root = np.linalg.cholesky(state.covariance - ahead @ state.covariance @ ahead.T)
    x = rng.normal(size=(paths, d)) @ np.linalg.cholesky(state.covariance).T
    saved = np.empty((times, paths, d))
    for k in range(times):
        saved[k] = x
        x = x @ ahead.T + rng.normal(size=(paths, d)) @ root.T
    return saved


@claim(
    "C6.Q", source="thesis Lemma 6.44; areal velocity of trajectories", as_printed="new",
    statement="the antisymmetric lagged covariance (C^T - C)/(2 dt) estimates Q/beta: -.2400 for F = [[2, .8], "
    "[.8, 1]], D = diag(1, .1), -.2329 at dt = .02; reversible dynamics have none",
    perturbation=["half of it", "a process in detailed balance"], rejects=[{"share": 0.5}, {"second": 1.0}],
    tolerance="a 99.99 % interval; four digits; p < .001",
)  # fmt: skip
def areal_velocity(quick=False, share=1.0, second=0.1):
    F, D, dt, times = EXAMPLE[0], np.diag([1.0, second]), 0.02, 300 if quick else 3000
    state = nonequilibrium.linear(F, D)
    ahead = linalg.expm(-F * dt) @ state.covariance
    exact = share * (ahead.T - ahead)[0, 1] / (2 * dt)
    saved = ornstein_uhlenbeck(state, dt, times, 400, 1)
    rotation = nonequilibrium.rotation(saved, dt * np.arange(times), confidence=0.9999)
    return [
        equal(exact, rotation.Q[0, 1], rotation.high[0, 1] - rotation.Q[0, 1]),
        equal([-0.24, -0.2329], [share * state.Q[0, 1], exact], 5e-5),
        at_most(0.001, rotation.p_value),
    ]


@claim(
    "C6.EP", source="thesis Lemma 6.25; entropy production of linear drifts", as_printed="new",
    statement="entropy is produced at -tr(D^-1 Q U Q) whatever beta, the limit of KL(law(x0, xdt)||law(xdt, x0))/dt: "
    "1.7280 for F = [[2, .8], [.8, 1]], D = diag(1, .1); 2 a^2/k for F = [[k, -a], [a, k]], D = I",
    perturbation=["it grows with beta", "a^2/k"], rejects=[{"power": 1.0}, {"factor": 1.0}],
    tolerance="four digits; the last change of dt, of order 1; round-off",
)  # fmt: skip
def entropy_of_linear_drifts(quick=False, power=0.0, factor=2.0):
    state = nonequilibrium.linear(*EXAMPLE, beta=3.0)
    produced = state.entropy_production * 3.0**power
    shown = [state.irreversibility(dt) for dt in (0.1, 0.01, 0.001)]
    turns = [nonequilibrium.linear([[k, -a], [a, k]], np.eye(2)).entropy_production for k, a in ((1, 3), (2, 0.5))]
    return [
        equal(1.7280, produced, 5e-5),
        equal([1.4754, 1.7021, 1.7254], np.array(shown) * 3.0**power, 5e-5),
        equal([factor * 9.0, factor * 0.125], turns, 1e-12),
    ]
