"""Section 4.1.1 of the thesis: Kramers' formula, its correction and simulated annealing."""

import math
import warnings
from functools import cache

import numpy as np

from pdelab import losses, metastability
from pdelab.claims import at_least, at_most, claim, equal
from pdelab.claims.invariant import gaussian
from pdelab.fokker_planck import FokkerPlanck
from pdelab.generator import mean_exit_time, spectral_gap
from pdelab.grid import Grid

TILT = 0.1
LEFT, SADDLE, RIGHT = sorted(np.roots([1.0, 0.0, -1.0, TILT]).real)


def tilted(x):
    """x^4/4 - x^2/2 + .1 x."""
    return x**4 / 4 - x**2 / 2 + TILT * x


def exact_time(beta, target=RIGHT, n=40001):
    """E[tau] from LEFT to the target: beta int e^(beta f(y)) int_{-inf}^y e^(-beta f(z)) dz dy, trapezoid rule."""
    x = np.linspace(-3.0, target, n)
    h = x[1] - x[0]
    well = np.exp(-beta * (tilted(x) - tilted(LEFT)))
    inner = np.concatenate([[0.0], np.cumsum((well[1:] + well[:-1]) / 2)]) * h
    outer = np.where(x >= LEFT, inner * np.exp(beta * np.minimum(tilted(x) - tilted(SADDLE), 0.0)), 0.0)
    return beta * np.sum((outer[1:] + outer[:-1]) / 2) * h * math.exp(beta * (tilted(SADDLE) - tilted(LEFT)))


def kramers(beta):
    """Kramers' time from LEFT over SADDLE."""
    return metastability.kramers_time(_tilted_loss(), LEFT, SADDLE, beta)


@cache
def _tilted_loss():
    return losses.Loss(f"x**4/4 - x**2/2 + {TILT}*x")


def at_infinity(betas, values):
    """(limit, error) of c0 + c1/beta + ... from values at betas that double: two linear extrapolations."""
    coarse, fine = (2 * values[k + 1] - values[k] for k in (-3, -2))
    return fine, abs(fine - coarse)


@claim(
    "EKr", source="thesis section 4.1.1, Kramers' formula", as_printed="corrected",
    statement="E tau = (2 pi/sqrt(|f''(x3)| f''(x1))) e^(beta(f(x3)-f(x1))) (1+O(1/beta)) if D = 1/beta; half to x3",
    printed="E_x1[tau_x2] ~ |f''(x3) f''(x1)|^(-1/2) exp(beta (f(x3) - f(x1))) under the dynamics in (4.2)",
    perturbation=["the noise of (4.2), beta^(-1/2) dB, with the printed exponent", "a third of it to x3",
                  "the spectral gap is one rate, not both", "the grid's time for a barrier of another height"],
    rejects=[{"noise": 2.0}, {"share": 1 / 3}, {"rates": 1.0}, {"sharpness": 1.1}],
    tolerance="the O(1/beta) term, see X10; two extrapolations in 1/beta (for x3 in beta^(-1/2)); the difference "
    "of two "
    "grids",
)  # fmt: skip
def kramers_time(quick=False, noise=1.0, share=0.5, rates=2.0, sharpness=1.0):
    betas = (20.0, 40.0, 80.0)
    ratios = np.array([exact_time(noise * b) / kramers(b) for b in betas])
    limit, limit_error = at_infinity(betas, ratios)
    halves = [exact_time(b, SADDLE) / exact_time(b) for b in (*betas, 160.0, 320.0)]
    root = math.sqrt(2.0)  # their error is of order beta^(-1/2)
    half, half_before = ((root * halves[k + 1] - halves[k]) / (root - 1) for k in (-2, -3))
    on_grid, sharp = [], noise * betas[0]
    for nodes in (160, 320):  # between x1 and x2, both of them nodes
        h = (RIGHT - LEFT) / nodes
        grid = Grid(LEFT - 0.75 * nodes * h, RIGHT, 7 * nodes // 4 + 1)
        end = np.arange(grid.shape[0]) == 7 * nodes // 4
        times = mean_exit_time(FokkerPlanck(tilted(grid.x), beta=sharpness * sharp), grid, end)
        on_grid.append(times[3 * nodes // 4])
    gaps = []
    for beta in (10.0, 20.0, 40.0):
        grid = Grid(-2.5, 2.5, 801)
        rate = math.sqrt(2.0) / (2 * math.pi) * math.exp(-beta / 4)
        gaps.append(spectral_gap(FokkerPlanck(losses.double_well(), beta=beta), grid) / (rates * rate))
    gap_limit, gap_error = at_infinity((10.0, 20.0, 40.0), gaps)
    return [
        equal(1.0, ratios, 4 / np.array(betas)),
        equal(1.0, limit, limit_error),
        equal(exact_time(sharp), on_grid[1], abs(on_grid[1] - on_grid[0])),
        at_most(share, halves),
        equal(share, half, abs(half - half_before)),
        equal(1.0, gap_limit, gap_error),
    ]


@claim(
    "EKr2", source="thesis section 4.1.1, Kramers in higher dimension", as_printed="new",
    statement="in two dimensions E tau = (2 pi/|lambda_-|) sqrt(|det Hess f(x3)|/det Hess f(x1)) e^(beta(f(x3)-f(x1)))",
    perturbation="the prefactor of the valley floor alone, without the transverse curvatures", rejects={"floor": True},
    tolerance="two extrapolations in 1/beta; a third of the difference of two grids",
)  # fmt: skip
def eyring_kramers(quick=False, floor=False):
    f = losses.Loss("(x**2 - 1)**2/4 + (0.5 + 1.5*exp(-2*x**2))*y**2/2")
    plain = losses.double_well()  # the valley floor; its time lacks the transverse curvatures

    def formula(beta):
        if floor:
            return metastability.kramers_time(plain, -1.0, 0.0, beta)
        return metastability.kramers_time(f, [-1.0, 0.0], [0.0, 0.0], beta)

    limits = []
    for shape in ((53, 39), (105, 77)):
        grid, ratios = Grid((-2.0, -2.5), (2.0, 2.5), shape), []
        for beta in (8.0, 16.0, 32.0):
            with warnings.catch_warnings():  # of the slopes beside the target: asked for is the valley
                warnings.filterwarnings("ignore", message=".*exit times round")
                times = mean_exit_time(FokkerPlanck(f, beta=beta), grid, lambda x: x[..., 0] >= 1.0)
            ratios.append(float(grid.interpolate(times, [-1.0, 0.0])) / formula(beta))
        limits.append(at_infinity((8.0, 16.0, 32.0), ratios))
    (coarse, _), (fine, limit_error) = limits
    return equal(1.0, fine, limit_error + abs(fine - coarse) / 3)


@claim(
    "X10", source="correction to Kramers' formula", as_printed="new",
    statement="beta (E tau/Kramers - 1) tends to the sum over x1, x3 of 5 f'''^2/(24|f''|^3) -/+ f''''/(8 f''^2)",
    perturbation="the sign of the quartic terms", rejects={"sign": -1.0}, tolerance="two extrapolations in 1/beta",
)  # fmt: skip
def kramers_correction(quick=False, sign=1.0):
    constant = 0.0
    for x, quartic in ((LEFT, -1.0), (SADDLE, 1.0)):
        second, third, fourth = 3 * x**2 - 1, 6 * x, 6.0
        constant += 5 * third**2 / (24 * abs(second) ** 3) + sign * quartic * fourth / (8 * second**2)
    betas = (80.0, 160.0, 320.0)
    corrections = [b * (exact_time(b, n=160001) / kramers(b) - 1) for b in betas]
    limit, limit_error = at_infinity(betas, corrections)
    return equal(constant, limit, limit_error)


@cache
def annealing(barrier, c, steps=400):
    """Mass left in the shallow well under beta(t) = log(2 + t)/c, started there: (times, masses), t to 1e7.

    The barrier from the shallow well is `barrier`; implicit steps, equal in log t.
    """
    grid = Grid(-2.5, 2.5, 301)
    potential = tilted(grid.x) * barrier / (tilted(SADDLE) - tilted(RIGHT))
    times = np.expm1(np.linspace(math.log(2.0), math.log(2.0 + 1e7), steps + 1)[1:]) - 1
    start, schedule = gaussian(grid, RIGHT, 0.2), lambda t: np.log(2 + t) / c
    annealed = metastability.anneal(potential, schedule, start, grid, times, rtol=math.inf)  # late times count
    return times, grid.integrate(np.where(grid.x > SADDLE, annealed.values, 0.0))


@claim(
    "ESA", source="thesis section 4.1.1, simulated annealing", as_printed="corrected",
    statement="beta(t) = log(2+t)/c finds the global minimum iff c >= E*, the largest barrier from another minimum: of "
    "a well behind a barrier of 1.5 the part exp(-int rate dt) stays at c = 1",
    printed="setting beta = beta(t) = log(t+1) ... simulated annealing converges to the global minimum",
    perturbation=["beta = log(t+1), as printed: nothing stays", "a barrier of 6 and c = 2", "the thesis's noise "
                  "leaves c as it is", "Kramers' rate of half the barrier"],
    rejects=[{"converges": True}, {"tall": 6.0}, {"halved": 2.0}, {"height": 0.5}],
    tolerance="Kramers' rate has an error of about 2/beta; masses a factor of ten from the bounds",
)  # fmt: skip
def simulated_annealing(quick=False, converges=False, tall=1.5, halved=0.5, height=1.0):
    steps = 400 if quick else 1600
    times, left = annealing(1.5, 1.0, steps)
    late = np.searchsorted(times, 1e5)
    # Kramers' rate at beta(t) = log(2+t): what may still leave after t = 1e5
    scale, power = 1.5 / (tilted(SADDLE) - tilted(RIGHT)), 1 - 1.5 * height
    prefactor = scale * math.sqrt((1 - 3 * SADDLE**2) * (3 * RIGHT**2 - 1)) / (2 * math.pi)
    leaving = prefactor * ((2 + times[-1]) ** power - (2 + times[late]) ** power) / power
    stays, error = left[late] * math.exp(-leaving), 2 / math.log(times[late]) * leaving
    return [
        equal(0.0 if converges else 1.0, left[-1] / stays, math.expm1(error)),
        at_most(1e-3, [annealing(tall, 2.0, steps)[1][-1], annealing(0.5, 1.0, steps)[1][-1]]),
        at_least(0.5, annealing(1.5, halved, steps)[1][-1]),  # the thesis's noise halves c
    ]
