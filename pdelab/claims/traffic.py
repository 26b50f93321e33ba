"""The traffic-flow paper, sections 2-5: the change of variables, the potential, the averages."""

import math

import numpy as np
from scipy.linalg import expm
from scipy.special import i0

from pdelab import burgers, closed_forms, losses
from pdelab.claims import at_most, claim, equal, observed_order, standard_error
from pdelab.claims.local_entropy import derivative, gibbs, quadrature, three_wells
from pdelab.claims.samplers import CURVATURE, inner_variance
from pdelab.fokker_planck import FokkerPlanck
from pdelab.generator import stationary
from pdelab.grid import Grid
from pdelab.homogenization import FastSlow
from pdelab.paths import Diffusion, euler_maruyama, heun, milstein, simulate

NU = 0.2  # viscosity of the paper's examples; beta = 1/(2 NU)


@claim(
    "Tr2.16", source="traffic (2.16)", as_printed="corrected",
    printed="the unique invariant distribution of (2.15) [dx = -grad F dt + sqrt(2 nu) dW] is exp(-F(x)/(2 nu))",
    statement="the invariant law of dx = -grad F dt + sqrt(2 nu) dW is exp(-F/nu)",
    perturbation="exp(-F/(2 nu)), as printed", rejects={"double": 2.0}, tolerance="the order of four grids",
)  # fmt: skip
def invariant_law(quick=False, double=1.0):
    f, sizes, distances = three_wells(), (101, 201, 401, 801), []
    for n in sizes:
        grid = Grid(-4.0, 4.0, n)
        density = np.exp(-(f.on(grid) + 1.2455) / (double * NU))
        # a drift, not a potential: no density is built in
        law = stationary(FokkerPlanck(drift=-f.gradient(grid.x), diffusivity=NU), grid)
        distances.append(grid.integrate(np.abs(law - density / grid.integrate(density))))
    return equal(4.0, observed_order(sizes, 1 / np.array(distances)), 0.15)


@claim(
    "Tr3.12", source="traffic (3.12), (3.13)", as_printed="corrected",
    printed="rho = (rho_m/(2 u_m))(1 - w) ... Lap rho = rho_m Lap w/(2 u_m)",
    statement="rho = (rho_m/2)(1 - w/u_m) turns Burgers for w into the LWR model rho_t + (rho u_m (1 - rho/rho_m))_x = "
              "nu rho_xx",
    perturbation="rho = (rho_m/(2 u_m))(1 - w), as printed", rejects={"printed": True},
    tolerance="differences of fourth order, step 1e-2 in a wave of width 0.3: a thousandth of the diffusion",
)  # fmt: skip
def change_of_variables(quick=False, printed=False):
    u_m, rho_m, nu, c, a = 1.5, 2.0, 0.1, 0.2, 0.6
    road = burgers.traffic(free_speed=u_m, jam_density=rho_m, viscosity=nu)

    def density(x, t):
        w = c - a * np.tanh(a * (x - c * t) / (2 * nu))  # a travelling wave of Burgers' equation
        return rho_m / (2 * u_m) * (1 - w) if printed else road.density(w)

    x, t, h = np.linspace(-0.8, 0.9, 9), 0.3, 1e-2
    rho_t = derivative(lambda s: density(x, s), t, 1e-3)
    flow_x = derivative(lambda z: road.flow(density(z, t)), x, 1e-3)
    left, centre, right = (density(x + k * h, t) for k in (-1, 0, 1))
    far = density(x - 2 * h, t) + density(x + 2 * h, t)
    rho_xx = (-far + 16 * (left + right) - 30 * centre) / (12 * h**2)
    return equal(0.0, rho_t + flow_x - nu * rho_xx, 1e-3 * np.abs(nu * rho_xx).max())


@claim(
    "Tr4.1", source="traffic (4.1)", as_printed="corrected",
    printed="F_gamma(x) = 2 nu log(G_{2 nu gamma} * exp(-F(x)/(2 nu)))",
    statement="F_gamma = -2 nu log(G_{2 nu gamma} * exp(-F/(2 nu))), the local entropy with beta = 1/(2 nu)",
    perturbation="the printed sign +2 nu", rejects={"sign": 1.0}, tolerance="quadratures: 1e-13",
)  # fmt: skip
def smoothed_potential(quick=False, sign=-1.0):
    f, gamma = three_wells(), 0.7
    y = np.arange(-12.0, 12.0, 1e-3)
    points, values = np.array([-1.5, 0.4, 1.0]), []
    for x in points:
        kernel = np.exp(-((x - y) ** 2) / (4 * NU * gamma)) / math.sqrt(4 * math.pi * NU * gamma)
        values.append(sign * 2 * NU * math.log((kernel * np.exp(-f(y) / (2 * NU))).sum() * 1e-3))
    return equal(values, closed_forms.local_entropy(f, points, gamma, 1 / (2 * NU)), 1e-12)


@claim(
    "Tr4.3", source="traffic (4.3), (4.4), (4.12)-(4.18)", as_printed="corrected",
    printed="w(x, 0) = F(x) ... with initial values grad phi(x, 0) = F(x)",
    statement="the velocity starts from grad F: w(., t) = grad F_t -> F' as t -> 0",
    perturbation="w(., 0) = F, as printed", rejects={"derivatives": 0},
    tolerance="w - F' = t (nu F''' - F' F'') + ...: below 1e-3 for t = 1e-5",
)  # fmt: skip
def initial_velocity(quick=False, derivatives=1):
    f, points = three_wells(), np.array([-1.5, 0.4, 1.0])
    w = closed_forms.local_entropy_gradient(f, points, 1e-5, 1 / (2 * NU))
    return equal(f.gradient(points) if derivatives else f(points), w, 1e-3)


@claim(
    "Tr4.14", source="traffic (4.14)", as_printed="corrected",
    printed="By normalizing phi(x, t) by phi(0, t) = 0, we obtain ... phi(x, t) = ... =: F_t(x)",
    statement="phi(0, t) = 0 cannot be imposed: phi(0, 0.5) = -0.175 for f_A at nu = 0.2",
    perturbation="phi(0, t) = 0, as printed", rejects={"share": 0.0},
    tolerance="a number computed once by other means, to three digits; quadrature: 1e-13",
)  # fmt: skip
def normalisation_of_phi(quick=False, share=1.0):
    value = quadrature(three_wells(), 0.0, 0.5, 1 / (2 * NU))
    library = float(closed_forms.local_entropy(three_wells(), 0.0, 0.5, 1 / (2 * NU)))
    return [equal(-0.175 * share, library, 6e-4), equal(share * value, library, 1e-12)]


@claim(
    "Tr4.20", source="traffic (4.20)", as_printed="corrected",
    printed="w(x, t) = grad phi(x, t) = int (y - x)/t rho_1(dy; x)",
    statement="w = int (x - y)/t rho_1(y; x) dy is grad phi and solves Burgers' equation",
    perturbation="the sign of the first form, as printed", rejects={"sign": -1.0},
    tolerance="differences of fourth order: 1e-7; quadratures: 1e-10",
)  # fmt: skip
def velocity_is_an_average(quick=False, sign=1.0):
    f, beta, residuals, averages, slopes, h = three_wells(), 1 / (2 * NU), [], [], [], 2e-3

    def w(x, t):
        return sign * closed_forms.local_entropy_gradient(f, x, t, beta)

    for x, t in ((0.4, 0.5), (-1.5, 0.3)):
        w_t = derivative(lambda s, x=x: float(w(x, s)), t)
        values = w(x + h * np.arange(-2, 3), t)
        w_x = sign * float(closed_forms.local_entropy_hessian(f, x, t, beta))
        w_xx = (-values[0] - values[4] + 16 * (values[1] + values[3]) - 30 * values[2]) / (12 * h**2)
        residuals.append(w_t + values[2] * w_x - NU * w_xx)
        y, weights, _ = gibbs(f, x, t, beta)
        averages.append(sign * float(weights @ (x - y)) / t)
        slopes.append(float(closed_forms.local_entropy_gradient(f, x, t, beta)))
    return [equal(0.0, residuals, 1e-6), equal(averages, slopes, 1e-9)]


@claim(
    "Tr4.22", source="traffic (4.22)", as_printed="corrected",
    printed="Z_1(x) = -int exp(-F(y)/(2 nu) - |x-y|^2/(4 nu t)) dy",
    statement="the partition functions are Z_i = + integral: rho_1 is a probability density",
    perturbation="Z_i = - integral, as printed", rejects={"sign": -1.0}, tolerance="one rule on both sides: 1e-12",
)  # fmt: skip
def partition_function(quick=False, sign=1.0):
    f, x, t, grid = three_wells(), 0.4, 0.5, Grid(-6.0, 6.0, 2401)
    weight = np.exp(-f.on(grid) / (2 * NU) - (x - grid.x) ** 2 / (4 * NU * t))
    law = stationary(FokkerPlanck(f.on(grid) + (x - grid.x) ** 2 / (2 * t), beta=1 / (2 * NU)), grid)
    return equal(weight / (sign * grid.integrate(weight)), law, 1e-11)


@claim(
    "Tr5.1", source="traffic (5.1), (5.2)", as_printed="corrected",
    printed="w^eps(x, 0) = g(eps x), after the rescaling x -> x/eps and t -> t/eps^2",
    statement="after x -> x/eps, t -> t/eps^2 the data are g(x), not g(eps x) (without transport, g = cos); (5.2) is "
    "linear, and a divergence-free h in one dimension is constant",
    perturbation="the data g(eps x), as printed", rejects={"power": 1.0}, tolerance="a spectral closed form: 1e-10",
)  # fmt: skip
def rescaled_data(quick=False, power=0.0):
    eps, t, x = 0.125, 0.7, np.array([0.3, 1.0, 2.2])
    grid = Grid(0.0, 2 * math.pi / eps, 512, boundary="periodic")
    # the unscaled equation w_t = nu w_xx with data g(eps x), read at x/eps and t/eps^2
    wide = closed_forms.heat_smoothing(losses.Loss(f"cos({eps}*x)").on(grid), grid, 2 * NU * t / eps**2, 1.0)
    expected = math.exp(-NU * eps ** (2 * power) * t) * np.cos(eps**power * x)
    return equal(expected, _trigonometric(wide, grid, x / eps), 1e-8)


def _trigonometric(values, grid, points):
    """A periodic field between its nodes, by its Fourier series."""
    n, length = grid.shape[0], grid.upper[0] - grid.lower[0]
    k = 2 * math.pi / length * np.fft.fftfreq(n, 1 / n)
    return (np.exp(1j * np.outer(points - grid.lower[0], k)) @ np.fft.fft(values)).real / n


@claim(
    "Tr5.6", source="traffic (5.6), (5.8)", as_printed="corrected",
    printed="w_t = (1/eps) L_0 w with L_0 w = g(x, y) . grad_y w + B Lap_y w/2",
    statement="the backward equation of (5.5) carries + h . grad_x w, so that E x moves at E h: for f = c x^2/2 as "
    "exp(A s) says",
    perturbation="without h . grad_x w, as printed: E x stands still", rejects={"transport": 0.0},
    tolerance="four standard errors, and 2e-3 for the sampler's step",
)  # fmt: skip
def backward_equation(quick=False, transport=1.0):
    c, gamma, beta, epsilon, s, paths = 1.5, 0.5, 4.0, 0.1, 0.5, 4000 if quick else 40_000
    A = np.array([[-transport / gamma, transport / gamma], [1 / (epsilon * gamma), -(c + 1 / gamma) / epsilon]])
    sde = FastSlow(losses.quadratic(c), gamma, beta, epsilon)
    run = simulate(sde, 1.0, s, 0.02 * epsilon, paths=paths, seed=56)
    return equal((expm(s * A) @ [1.0, 1.0])[0], run.mean[-1][0], 4 * run.standard_error[-1][0] + 2e-3)


@claim(
    "Tr5.11", source="traffic Remark 5.1, (5.11)", as_printed="wrong",
    printed="for eps << 1 and times t up to O(1), w^eps solving (5.2) is approximated by w solving w_t = grad "
    "F_gamma w_x",
    statement="with <h> = 0 the limit of (5.2) is effective diffusion (Lifson-Jackson) without transport, no averaging",
    perturbation=["the diffusion stays nu", "transport at 1/10 of the largest slope"],
    rejects=[{"effective": False}, {"transport": 0.1}], tolerance="four standard errors",
)  # fmt: skip
def effective_diffusion(quick=False, effective=True, transport=0.0):
    height, nu, T, paths = 0.15, 0.1, 40.0, 5000 if quick else 50_000
    potential = losses.Loss(f"{height}*sin(2*pi*x)")
    run = simulate(
        Diffusion(potential, math.sqrt(2 * nu)), 0.0, 2 * T, 0.005, scheme=heun, paths=paths, seed=1, save_every=8000
    )
    (_, first, second) = run.states
    gap = second - first
    squares = (gap - gap.mean()) ** 2 / (2 * T)
    return [
        equal(nu / i0(height / nu) ** 2 if effective else nu, squares.mean(), 4 * standard_error(squares)),
        equal(transport * 2 * math.pi * height, gap.mean() / T, 4 * standard_error(gap) / T),
    ]


@claim(
    "Tr5.12", source="traffic (5.12), (5.13)", as_printed="right",
    statement="with (4.1)'s own sign (row Tr4.1) dX/ds = <y - X>/gamma = grad F_gamma is descent of the local entropy",
    perturbation="ascent of the local entropy", rejects={"sign": 1.0}, tolerance="quadratures: 1e-10",
)  # fmt: skip
def averaged_descent(quick=False, sign=-1.0):
    f, gamma, x, beta = three_wells(), 0.3, 0.9, 1 / (2 * NU)
    y, weights, _ = gibbs(f, x, gamma, beta)
    sde = Diffusion(lambda z: sign * closed_forms.local_entropy_gradient(f, z, gamma, beta), 0.0)
    run = simulate(sde, x, 0.5, 0.01, scheme=heun, seed=0, save_every=10)
    levels = closed_forms.local_entropy(f, run.states[:, 0], gamma, beta)
    drift = sign * float(closed_forms.local_entropy_gradient(f, x, gamma, beta))
    return [equal((weights @ y - x) / gamma, drift, 1e-9), at_most(0.0, np.diff(levels))]


@claim(
    "Tr5.14", source="traffic (5.14)-(5.16)", as_printed="corrected",
    printed="dy = -(1/eps)[grad F(y) + (y - x)/gamma] ds + sqrt(2/eps) nu^(1/2) dW ... which agrees with (4.21)",
    statement="the fast variable needs the noise sqrt(4 nu/eps) for exp(-G/(2 nu)), the rho of (4.21)",
    perturbation="sqrt(2 nu/eps), as printed, which samples exp(-G/nu)", rejects={"noise": 2.0},
    tolerance="the order of four grids",
)  # fmt: skip
def traffic_fast_noise(quick=False, noise=4.0):
    f, gamma, x, sizes, distances = three_wells(), 0.3, 0.9, (101, 201, 401, 801), []
    for n in sizes:
        grid = Grid(-4.0, 5.0, n)
        density = np.exp(-(f.on(grid) + (x - grid.x) ** 2 / (2 * gamma)) / (2 * NU))
        drift = -(f.gradient(grid.x) + (grid.x - x) / gamma)
        law = stationary(FokkerPlanck(drift=drift, diffusivity=noise * NU / 2), grid)
        distances.append(grid.integrate(np.abs(law - density / grid.integrate(density))))
    return equal(4.0, observed_order(sizes, 1 / np.array(distances)), 0.15)


@claim(
    "Tr5.18", source="traffic (5.18), (5.19)", as_printed="corrected",
    printed="Using the Milstein method ... + sqrt(2 delta nu) dW_k, dW_k = W_{tau_k+1} - W_{tau_k}",
    statement="the inner step needs sqrt(4 nu) dW with dW ~ N(0, delta); the scheme named Milstein is Euler-Maruyama",
    perturbation=["sqrt(2 delta nu) dW, as printed: the temperature vanishes with the step",
                  "Milstein differs for additive noise: so it does for another"],
    rejects=[{"printed": True}, {"sigma": "1 + x**2/2"}], tolerance="four standard errors; none: bit for bit",
)  # fmt: skip
def traffic_inner_step(quick=False, printed=False, sigma=None):
    nu, delta = 0.25, 0.01
    kick = math.sqrt(2 * delta * nu if printed else 4 * nu) * math.sqrt(delta)
    measured, error = inner_variance(kick, delta, quick, seed=11)
    sde = Diffusion("-x**3", sigma or math.sqrt(4 * nu))
    twice = [simulate(sde, 1.0, 0.1, delta, scheme=s, paths=5, seed=1).final for s in (milstein, euler_maruyama)]
    return [equal(2 * nu / CURVATURE, measured * (1 - delta * CURVATURE / 2), error), equal(twice[0], twice[1], 0.0)]
