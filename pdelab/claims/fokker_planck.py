"""Thesis 6.1.2, 6.1.3 and 6.2: which Fokker-Planck equation, where its density sits, how its free energy falls."""

import math
from functools import cache

import numpy as np
from scipy import integrate
from scipy.sparse.linalg import expm_multiply

from pdelab import nonequilibrium
from pdelab.claims import at_least, at_most, claim, equal, observed_order, standard_error
from pdelab.fokker_planck import BackwardKolmogorov, FokkerPlanck
from pdelab.generator import current, divergence, generator, stationary
from pdelab.grid import Grid
from pdelab.paths import Diffusion, heun, simulate

BETA = 2.0
PLACES = np.array([[0.3, -0.7], [1.2, 0.4], [-0.9, 1.1], [0.1, 0.2]])


def derivatives(names="x y"):
    """Symbols, and a function that turns sympy expressions into numbers at PLACES."""
    import sympy

    symbols = sympy.symbols(names)
    return sympy, symbols, lambda e: np.array([float(e.subs(dict(zip(symbols, p)))) for p in PLACES.tolist()])


@cache
def turned_noise(moving=True):
    """(sympy, (x, y), numbers, D, Φ): a full D(x) in the plane that turns from place to place, and a potential."""
    sympy, (x, y), numbers = derivatives()
    angle = (x + y) / 2 if moving else sympy.Integer(0)
    turn = sympy.Matrix([[sympy.cos(angle), -sympy.sin(angle)], [sympy.sin(angle), sympy.cos(angle)]])
    D = turn * sympy.diag(1, sympy.Rational(1, 10)) * turn.T
    return sympy, (x, y), numbers, D, (x**2 - 1) ** 2 / 4 + y**2 / 2 + x * y / 3


def line(n, interpretation="ito", beta=1.0):
    """(grid, stationary density) of f = x²/2 + x⁴/4 with D = 1 + x²/2."""
    grid = Grid(-5.0, 5.0, n)
    x = grid.x
    problem = FokkerPlanck(x * x / 2 + x**4 / 4, diffusion=1 + x * x / 2, beta=beta, interpretation=interpretation)
    return grid, stationary(problem, grid)


def law(alpha, beta=1.0):
    """D^(α-1) exp(-β ∫ f'/D), not normalised."""
    return lambda x: math.exp((alpha - 1) * math.log1p(x * x / 2) - beta * (x * x - math.log1p(x * x / 2)))


def moment(alpha, beta=1.0):
    """E x² of `law` by quadrature."""
    weight = law(alpha, beta)
    return integrate.quad(lambda x: x * x * weight(x), -8, 8)[0] / integrate.quad(weight, -8, 8)[0]


@claim(
    "C6.8", source="thesis (6.8)", as_printed="right",
    statement="in Ito's sense rho_t = div(grad f rho + (1/beta) div(D rho)): on a line rho_ss = exp(-beta int f'/D)/D",
    perturbation="D outside of the derivative, the form (6.9)", rejects={"alpha": 1.0},
    tolerance="the difference of two grids",
)  # fmt: skip
def ito_form(quick=False, alpha=0.0):
    moments = [grid.integrate(grid.x**2 * rho) for grid, rho in (line(n, beta=BETA) for n in (401, 801))]
    return equal(moment(alpha, BETA), moments[1], abs(moments[1] - moments[0]))


@claim(
    "C6.KM", source="thesis, the general Fokker-Planck equation after (6.8)", as_printed="corrected",
    printed="rho_t = sum_{n=1}^infinity (1/n!) grad^(n) {A^(n)(x) rho(x)}",
    statement="rho_t = sum_n ((-1)^n/n!) d^n/dx^n (A^(n) rho), A^(n) the moments of the steps per time",
    perturbation="without (-1)^n, as printed", rejects={"sign": 1.0},
    tolerance="round-off: the Gaussian of an Ornstein-Uhlenbeck process, differentiated by hand",
)  # fmt: skip
def kramers_moyal(quick=False, sign=-1.0):
    x, m, v = np.linspace(-2, 2, 9), 0.7, 0.6  # dX = -X dt + sqrt(2) dB: m' = -m, v' = 2 - 2v, A1 = -x, A2 = 2
    rho = np.exp(-((x - m) ** 2) / (2 * v)) / math.sqrt(2 * math.pi * v)
    slope, bend = -(x - m) / v * rho, ((x - m) ** 2 / v**2 - 1 / v) * rho
    rate = -m * (-slope) + (2 - 2 * v) / 2 * bend
    return equal(rate, sign * (-rho - x * slope) + bend, 1e-14)


@claim(
    "L6.8", source="thesis Lemma 6.8", as_printed="right",
    statement="the Fokker-Planck equation keeps the mass 1, whatever drift and D(x), in a closed box",
    perturbation="the backward equation, which keeps constants and no mass", rejects={"forward": False},
    tolerance="round-off",
)  # fmt: skip
def mass_is_kept(quick=False, forward=True):
    rng, n = np.random.default_rng(1), 25
    grid = Grid((-2, -2), (2, 2), (n, n))
    problem = FokkerPlanck(
        drift=rng.normal(size=(n, n, 2)), diffusion=(1 + rng.random((n, n, 2, 1))) * np.eye(2), beta=1.0
    )
    mass = grid.weights.ravel() * rng.random(n * n)
    mass /= mass.sum()
    Q = generator(problem, grid)
    return equal(1.0, expm_multiply((Q.T if forward else Q).tocsc() * 0.5, mass).sum(), 1e-12)


@claim(
    "R6.9b", source="thesis Remark 6.9, (6.9)", as_printed="corrected",
    printed="alpha = 1 corresponds to the Fick's law or the Klimontovich-Haenggi version of the Fokker-Planck equation "
    "which is given by rho_t = div(grad f rho + beta^-1 D grad rho)",
    statement="(6.9) is the alpha = 1 reading on the line only: in the plane its drift in Ito's form is (div D)/beta, "
    "that of alpha = 1 is sum_jk s_kj d_k s_ij with s = sqrt(2 D/beta); where D = diag(1, .1) turns by (x + y)/2 these "
    "are (.45, .45) and (r - .1, 1 - r), r = sqrt(.1)",
    perturbation=["the two are the same, as printed", "they differ on the line too"],
    rejects=[{"same": True}, {"line": 0.5}], tolerance="the difference of two grids",
)  # fmt: skip
def fick_is_not_klimontovich(quick=False, same=False, line=1.0):
    fick, root = [0.45, 0.45], math.sqrt(0.1)
    exact = np.array([fick, fick if same else [root - 0.1, 1 - root], [line * 0.8, 0.8]])
    coarse, fine = (np.array([*_turning(n), [*_added_on_line(n)]]) for n in (41, 81))
    return equal(exact, fine, 2 * np.abs(fine - coarse) + 1e-12)


def _turning(n):
    """Ito drifts at the origin of Fick's law and of the alpha = 1 reading, for D = diag(1, .1) turned by (x + y)/2."""
    grid = Grid((-0.5, -0.5), (0.5, 0.5), (n, n))
    angle = grid.points.sum(-1) / 2
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], -1).reshape(n, n, 2, 2)
    D = turn @ np.diag([1.0, 0.1]) @ np.swapaxes(turn, -1, -2)
    middle = n // 2 * n + n // 2
    for reading in ("fick", "klimontovich"):
        Q = generator(BackwardKolmogorov(drift=0 * grid.points, diffusion=D, beta=1.0, interpretation=reading), grid)
        yield [(Q @ grid.points[..., axis].ravel())[middle] for axis in (0, 1)]


def _added_on_line(n):
    """The same two drifts at x = .8 for D = 1 + x²/2."""
    grid = Grid(0.3, 1.3, n)
    for reading in ("klimontovich", "fick"):
        problem = BackwardKolmogorov(diffusion=1 + grid.x**2 / 2, beta=1.0, interpretation=reading)
        yield (generator(problem, grid) @ grid.x)[n // 2]


@claim(
    "R6.9c", source="thesis Remark 6.9", as_printed="corrected",
    printed="We can however conveniently switch across different stochastic calculi using the fact that the "
    "corresponding PDE should have the same invariant distribution",
    statement="Ito, Stratonovich and Klimontovich readings of one equation have different laws: E x^2 = .500 .588 .700 "
    "by quadrature, grid and paths; the law stays only if the drift is changed with the reading",
    perturbation="one law for all three, as printed", rejects={"alphas": (0.0, 0.0, 0.0)},
    tolerance="the difference of two grids; four standard errors and .004 for the bias of dt = .01",
)  # fmt: skip
def three_laws(quick=False, alphas=(0.0, 0.5, 1.0)):
    readings, exact = ("ito", "stratonovich", "klimontovich"), np.array([moment(alpha) for alpha in alphas])
    coarse, fine = (
        np.array([grid.integrate(grid.x**2 * rho) for grid, rho in (line(n, name) for name in readings)])
        for n in (401, 801)
    )
    walked = []
    for name in readings:
        sde = Diffusion("-x - x**3", "sqrt(2 + x**2)", interpretation=name)
        squares = simulate(sde, 0.0, 4.0, 0.01, scheme=heun, paths=20_000 if quick else 200_000, seed=5).final ** 2
        walked.append((squares.mean(), 4 * standard_error(squares) + 0.004))
    values, errors = np.array(walked).T
    return [
        equal(exact, fine, np.abs(fine - coarse).max()),
        equal(exact, values, errors),
    ]


def swirl(n, strength=1.5, beta=1.0, half=2.6):
    """(grid, problem, field) of Example 6.43 on a square."""
    field = nonequilibrium.Circulation(strength)
    grid = Grid((-half, -half), (half, half), (n, n))
    return grid, FokkerPlanck(drift=field.drift(grid.points), beta=beta), field


@claim(
    "C6.12", source="thesis (6.11), (6.12)", as_printed="right",
    statement="rho_t = div(grad f rho + (1/beta) div(D rho)) = -div J for every density, and 0 for the steady one",
    perturbation=["rho_t = +div J", "another density is steady"], rejects=[{"sign": 1.0}, {"power": 0.5}],
    tolerance="round-off on the grid",
)  # fmt: skip
def sign_of_the_current(quick=False, sign=-1.0, power=1.0):
    grid, problem, _ = swirl(31)
    rho = np.exp(-(grid.points**2).sum(-1))
    rate = (generator(problem, grid).T @ (grid.weights * rho).ravel()).reshape(grid.shape) / grid.weights
    steady = divergence(current(problem, grid, stationary(problem, grid) ** power), grid)
    size = 1e-12 * np.abs(rate).max()
    return [equal(rate, sign * divergence(current(problem, grid, rho), grid), size), equal(0.0, steady, size)]


@claim(
    "D6.14", source="thesis Definition 6.14", as_printed="corrected",
    printed="div J_ss(x) = 0 for all x in Omega but J_ss(x) != 0 for all x in Omega",
    statement="detailed balance is broken as soon as J_ss != 0 at SOME x: in Example 6.43 J_ss is 0 at the origin, one "
    "of 441 places of a lattice",
    perturbation=["J_ss != 0 at all x, as printed", "detailed balance"],
    rejects=[{"zeros": 0}, {"strength": 0.0}], tolerance="a count; closed forms",
)  # fmt: skip
def current_at_some_place(quick=False, zeros=1, strength=1.5):
    field = nonequilibrium.Circulation(strength)
    places = np.stack(np.meshgrid(*2 * [np.linspace(-1, 1, 21)]), -1)
    speed = np.linalg.norm(field.force(places) * np.exp(-field.potential(places))[..., None], axis=-1)
    return [equal(zeros, (speed == 0).sum(), 0), at_least(0.1, speed.max())]


@claim(
    "R6.20", source="thesis (6.21) and its Fokker-Planck equation", as_printed="corrected",
    printed="rho_t = div(D grad Phi rho + (1/beta) div(D rho))",
    statement="(6.21) has rho_t = div(D grad Phi rho + (1/beta) D grad rho), for which exp(-beta Phi) is stationary",
    perturbation="div(D rho) in place of D grad rho, as printed", rejects={"inside": True},
    tolerance="round-off of exact derivatives, full D(x) in the plane",
)  # fmt: skip
def the_special_equation(quick=False, inside=False):
    sympy, (x, y), numbers, D, phi = turned_noise()
    rho, both = sympy.exp(-BETA * phi), range(2)
    z = (x, y)
    flux = []
    for i in both:
        spread = sum(sympy.diff(D[i, j] * rho, z[j]) if inside else D[i, j] * sympy.diff(rho, z[j]) for j in both)
        flux.append(sum(D[i, j] * sympy.diff(phi, z[j]) for j in both) * rho + spread / BETA)
    return equal(0.0, numbers(sum(sympy.diff(flux[i], z[i]) for i in both)), 1e-13)


@claim(
    "C6.23", source="thesis (6.23)", as_printed="corrected", printed="Phi(x) = beta^-1 log rho_ss(x)",
    statement="Phi = -(1/beta) log rho_ss: f itself for noise of one size in all directions",
    perturbation="the printed sign", rejects={"sign": 1.0}, tolerance="round-off on the grid",
)  # fmt: skip
def sign_of_the_potential(quick=False, sign=-1.0):
    grid = Grid(-2.5, 2.5, 101)
    f = (grid.x**2 - 1) ** 2 / 4
    logs = sign * np.log(stationary(FokkerPlanck(f, beta=BETA), grid)) / BETA
    return equal(f, logs - logs.min(), 1e-12)


@claim(
    "D6.21", source="thesis Definition 6.21", as_printed="corrected",
    printed="The term D grad Phi is curl-free because it is the gradient of a potential Phi",
    statement="J_ss = j rho_ss without any assumption; D grad Phi is no gradient: for a linear drift and constant D "
    "its curl is (D_22 - D_11) U_12",
    perturbation=["no curl, as printed", "the current of half of j"], rejects=[{"curl": 0.0}, {"share": 0.5}],
    tolerance="order 2 in the spacing: between 1.7 and 2.3; the difference of two grids",
)  # fmt: skip
def remainder_force(quick=False, curl=1.0, share=1.0):
    gaps, curls = [], []
    for n in (21, 41, 81):
        grid = Grid((-3, -3), (3, 3), (n, n))
        F = np.array([[2.0, 0.8], [0.8, 1.0]])
        noise = np.broadcast_to(np.diag([1.0, 0.5]), (n, n, 2, 2))
        problem = FokkerPlanck(drift=-grid.points @ F, diffusion=noise, beta=1.0)
        rho, j = stationary(problem, grid), nonequilibrium.decompose(problem, grid).force
        first = current(problem, grid, rho)[0]
        middle = 0.5 * (j[1:, :, 0] * rho[1:] + j[:-1, :, 0] * rho[:-1])
        gaps.append(np.abs(first - share * middle)[2:-2, 2:-2].max())
        slopes = grid.gradient(nonequilibrium.potential(problem, grid)) @ np.diag([1.0, 0.5])
        turned = grid.gradient(slopes[..., 1])[..., 0] - grid.gradient(slopes[..., 0])[..., 1]
        curls.append(turned[n // 2, n // 2])
    U = nonequilibrium.linear(F, np.diag([1.0, 0.5])).U
    return [
        equal(2.0, observed_order([1 / 20, 1 / 40, 1 / 80], gaps), 0.3),
        equal(curl * (0.5 - 1.0) * U[0, 1], curls[2], abs(curls[2] - curls[1])),
    ]


@cache
def example():
    """(sympy, symbols, numbers, Φ, j at β) of Example 6.43 at β = 2: j = exp(β Φ) J, J the printed current."""
    sympy, (x, y), numbers = derivatives()
    phi = (x**2 - 1) ** 2 / 4 + y**2 / 2
    speed = sympy.Rational(3, 2) * sympy.exp(-((x**2 + y**2) ** 2) / 4)
    return sympy, (x, y), numbers, phi, speed


@claim(
    "A6.22", source="thesis Assumption 6.22 in Example 6.43", as_printed="wrong",
    printed="The force j(x) as defined in Definition 6.21 is conservative, i.e., it is divergence-free div j(x) = 0; "
    "for all x in Omega",
    statement="in the thesis's own example div j = -x1 x2 (x1^2 - 2) lambda exp(Phi - |x|^4/4), not 0; what holds is "
    "div(j rho_ss) = 0",
    perturbation=["div j = 0, as printed", "div(j rho_ss) != 0 for another density"],
    rejects=[{"share": 0.0}, {"power": 0.5}], tolerance="round-off of exact derivatives",
)  # fmt: skip
def divergence_of_the_force(quick=False, share=1.0, power=1.0):
    sympy, (x, y), numbers, phi, speed = example()
    j = (-y * speed * sympy.exp(phi), x * speed * sympy.exp(phi))
    rho = sympy.exp(-power * phi)
    spread = sympy.diff(j[0], x) + sympy.diff(j[1], y)
    formula = -share * x * y * (x**2 - 2) * speed * sympy.exp(phi)
    return [
        equal(numbers(formula), numbers(spread), 1e-13),
        equal(0.0, numbers(sympy.diff(j[0] * rho, x) + sympy.diff(j[1] * rho, y)), 1e-13),
    ]


@claim(
    "L6.23", source="thesis Lemma 6.23, (6.27)", as_printed="corrected",
    printed="0 = div(j rho_ss) = rho_ss (div j - j . grad Phi)",
    statement="0 = div(j rho_ss) = rho_ss (div j - beta j . grad Phi): j is orthogonal to grad Phi where div j = 0, as "
    "the lemma assumes; in Example 6.43 it is not, j . grad Phi = x1 x2 (2 - x1^2) lambda exp(beta Phi - |x|^4/4)",
    perturbation=["without beta, as printed", "j . grad Phi = 0 without the assumption"],
    rejects=[{"factor": 1.0}, {"along_phi": 0.0}], tolerance="round-off of exact derivatives, at beta = 2",
)  # fmt: skip
def force_and_slope(quick=False, factor=BETA, along_phi=1.0):
    sympy, (x, y), numbers, phi, speed = example()
    j = (-y * speed * sympy.exp(BETA * phi), x * speed * sympy.exp(BETA * phi))
    along = numbers(j[0] * sympy.diff(phi, x) + j[1] * sympy.diff(phi, y))
    spread = numbers(sympy.diff(j[0], x) + sympy.diff(j[1], y))
    formula = along_phi * x * y * (2 - x**2) * speed * sympy.exp(BETA * phi)
    return [equal(spread, factor * along, 1e-12), equal(numbers(formula), along, 1e-12)]


def disturbed(n, strength=1.5, anisotropic=False):
    """(grid, problem, density): a density off the stationary one."""
    grid, problem, _ = swirl(n, strength)
    if anisotropic:
        x, y = grid.points[..., 0], grid.points[..., 1]
        noise = np.broadcast_to(np.diag([1.0, 0.1]), (n, n, 2, 2))
        problem = FokkerPlanck(x**4 / 4 - x * x / 2 + y * y / 2 + 0.4 * x * x * y, diffusion=noise, beta=1.0)
    shape = 1 + 0.3 * np.sin(grid.points[..., 0] + 1) * np.cos(grid.points[..., 1])
    rho = stationary(problem, grid) * shape
    return grid, problem, rho / grid.integrate(rho)


@claim(
    "T6.24", source="thesis Theorem 6.24", as_printed="right",
    statement="F = KL(rho|rho_ss)/beta falls with dF/dt = -int rho D:(grad dF)(grad dF)^T, also where div j != 0: "
    "Assumption 6.22 is not needed",
    perturbation=["F grows", "half of the integral"], rejects=[{"sign": -1.0}, {"share": 0.5}],
    tolerance="order 2 in the spacing: a quarter of the gap on the grid with twice the spacing, with a fifth of room",
)  # fmt: skip
def free_energy_falls(quick=False, sign=1.0, share=1.0):
    sizes = (31, 61) if quick else (61, 121)
    rates, gaps = [], []
    for anisotropic in (False, True):
        pair = []
        for n in sizes:
            grid, problem, rho = disturbed(n, anisotropic=anisotropic)
            rate, integral = nonequilibrium.dissipation(problem, grid, rho)
            pair.append(abs(rate - share * integral))
            rates.append(sign * rate)
        gaps.append(pair)
    coarse, fine = np.array(gaps).T
    return [at_most(0.0, rates), at_most(0.3 * coarse, fine)]


@claim(
    "L6.25", source="thesis Lemma 6.25", as_printed="corrected",
    printed="(1/beta) dS_i/dt = int div(dF/drho) J dx",
    statement="the entropy production is -beta int grad(dF/drho) . J dx >= 0 with the gradient and a minus: "
    "-beta dF/dt",
    perturbation="the printed sign", rejects={"sign": 1.0},
    tolerance="order 2 in the spacing: the gap to the chain's own -beta dF/dt falls to a third or less",
)  # fmt: skip
def internal_entropy(quick=False, sign=-1.0):
    produced, falls = [], []
    for n in (31, 61):
        grid, problem, rho = disturbed(n)
        response = np.log(rho / stationary(problem, grid))
        total = 0.0
        for axis, J in enumerate(current(problem, grid, rho)):
            other = grid.axis_weights[1 - axis]
            share = J * np.diff(response, axis=axis)  # J times the slope times the spacing
            total += float(np.sum(share * (other[None, :] if axis == 0 else other[:, None])))
        produced.append(sign * total)
        falls.append(-nonequilibrium.dissipation(problem, grid, rho)[0])
    coarse, fine = np.abs(np.subtract(falls, produced))
    return [at_least(0.0, produced), at_most(coarse / 3, fine)]


@claim(
    "L6.27", source="thesis Lemma 6.27, (6.34)", as_printed="corrected",
    printed="D(x) = c I <=> Phi(x) = f(x); rho_ss proportional to exp(-c beta f(x))",
    statement="D = c I gives Phi = f/c, rho_ss = exp(-beta f/c); the converse fails: D = I + eps exp(beta f) K with "
    "constant K has Phi = f and no current",
    perturbation=["exp(-c beta f), as printed in the proof", "Phi = f for every c, as printed in (6.34)",
                  "another D that is no multiple of I"],
    rejects=[{"power": 1.0}, {"power": 0.0}, {"exponent": 0.5}], tolerance="round-off",
)  # fmt: skip
def isotropic_noise(quick=False, power=-1.0, exponent=1.0):
    grid = Grid(-2.5, 2.5, 101)
    f, c = (grid.x**2 - 1) ** 2 / 4, 3.0
    phi = nonequilibrium.potential(FokkerPlanck(f, diffusion=np.full(101, c), beta=BETA), grid)
    sympy, (x, y), numbers, _, well = turned_noise()
    z, both = (x, y), range(2)
    D = sympy.eye(2) + sympy.exp(exponent * BETA * well) * sympy.Matrix([[2, 1], [1, 1]]) / 10
    rho = sympy.exp(-BETA * well)
    flux = [
        numbers(sympy.diff(well, z[i]) * rho + sum(sympy.diff(D[i, j] * rho, z[j]) for j in both) / BETA) for i in both
    ]
    return [equal(f * c**power, phi, 1e-12), equal(0.0, flux, 1e-13)]
