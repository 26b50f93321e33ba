"""Kramers' law: the time to leave a well, by three routes, and what the printed formula leaves out.

E τ = (2π/sqrt(|f''(x₃)| f''(x₁))) e^{beta (f(x₃)-f(x₁))} (1 + C/beta + ...) for dX = -f' dt + sqrt(2/beta) dB. The
thesis prints the exponent of this noise beside the SDE with beta^(-1/2) dB, which needs 2 beta in it.
"""

import math

import numpy as np

from pdelab.claims.metastability import LEFT, RIGHT, SADDLE, at_infinity, exact_time, kramers, tilted

NAME = "kramers"
TITLE = "The time to leave a well grows like exp(β barrier); with its prefactor Kramers' law is right up to C/β"
PARAMETERS = {"coldest": 160.0, "warmest": 5.0, "nodes": 480}
QUICK = {"nodes": 160}
CHECKS = {
    # second order in the spacing: beta f'' h² at the coldest
    "largest_error_of_the_generator": (None, 2e-2),
    "ratio_at_the_coldest": (1.0, 1.05),
    # Laplace's next term, 1.42597 in closed form
    "correction_error": (None, 0.02),
    # the printed pair of noise and exponent is wrong by factors that grow without bound
    "printed_pair_wrong_by": (7.0, None),
}


def compute(coldest, warmest, nodes):
    """Mean times from x₁ to x₂ against beta: the exact double integral, the generator, Kramers, the printed pair."""
    import pdelab as pl
    from pdelab.generator import mean_exit_time

    betas = warmest * 2.0 ** np.arange(round(math.log2(coldest / warmest)) + 1)
    h = (RIGHT - LEFT) / nodes
    grid = pl.Grid(LEFT - 0.75 * nodes * h, RIGHT, 7 * nodes // 4 + 1)  # x₁ and x₂ are nodes
    end = np.arange(grid.shape[0]) == 7 * nodes // 4
    problems = [pl.FokkerPlanck(tilted(grid.x), beta=b) for b in betas]
    routes = {
        "exact": [exact_time(b) for b in betas],
        "generator": [mean_exit_time(problem, grid, end)[3 * nodes // 4] for problem in problems],
        "kramers": [kramers(b) for b in betas],
        "printed_noise": [exact_time(2 * b) for b in betas[:-1]],
    }
    routes = {name: np.array(times) for name, times in routes.items()}
    correction = betas * (routes["exact"] / routes["kramers"] - 1)
    limit, _ = at_infinity(betas, correction)
    constant = sum(
        5 * (6 * x) ** 2 / (24 * abs(3 * x**2 - 1) ** 3) + sign * 6 / (8 * (3 * x**2 - 1) ** 2)
        for x, sign in ((LEFT, -1.0), (SADDLE, 1.0))
    )
    return {
        "betas": betas, **routes, "correction": correction, "constant": constant,
        "largest_error_of_the_generator": float(np.abs(routes["generator"] / routes["exact"] - 1).max()),
        "ratio_at_the_coldest": float(routes["exact"][-1] / routes["kramers"][-1]),
        "correction_error": float(abs(limit - constant)),
        "printed_pair_wrong_by": float((routes["printed_noise"] / routes["kramers"][:-1]).max()),
    }  # fmt: skip


def draw(data):
    """Left: the two wells; middle: times on a log axis; right: what Kramers' formula leaves out, times beta."""
    from pdelab.plotting import COLORS, label_ends, subplots

    betas = data["betas"]
    figure, (left, middle, right) = subplots(1, 3, size=(8.0, 3.8), width_ratios=(0.8, 1.2, 1.0))
    x = np.linspace(-1.6, 1.5, 400)
    left.plot(x, tilted(x), color=COLORS["loss"])
    for point, name, side in ((LEFT, "x₁", -14), (SADDLE, "x₃", 8), (RIGHT, "x₂", -14)):
        left.plot(point, tilted(point), "o", color=COLORS["viscous"])
        left.annotate(name, (point, tilted(point)), (0, side), textcoords="offset points", ha="center")
    left.set(xlabel="x", ylabel="f", ylim=(-0.47, 0.25))
    middle.semilogy(betas, data["exact"], color=COLORS["exact"], label="exact double integral")
    middle.semilogy(betas, data["generator"], "o", color=COLORS["good"], label="exit time on the generator Q")
    middle.semilogy(betas, data["kramers"], color=COLORS["viscous"], ls="--", label="Kramers with its prefactor")
    words = "exact for the printed noise"
    middle.semilogy(betas[:-1], data["printed_noise"], color=COLORS["bad"], ls=":", label=words)
    middle.set(xlabel="inverse temperature β", ylabel="mean time from x₁ to x₂")
    label_ends(middle, columns=1)
    right.semilogx(betas, data["correction"], "o-", color=COLORS["exact"], label="β (exact/Kramers − 1)")
    right.axhline(float(data["constant"]), color=COLORS["viscous"], ls="--", label="Laplace's next term C")
    right.set(xlabel="inverse temperature β", ylabel="β × relative error of Kramers' law")
    label_ends(right, columns=1)
    return figure
