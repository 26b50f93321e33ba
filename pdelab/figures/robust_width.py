"""How wide is a minimum? The robust width γ*: the scope up to which local entropy stays within ε of f (thesis 4.20)."""

import math

import numpy as np

from pdelab.regularity import critical_points, quadratic_robust_width, robust_width

NAME = "robust-width"
TITLE = "The robust width of a quadratic minimum follows its curvature; a neighbour's depth can outweigh it"
PARAMETERS = {"epsilon": 0.1, "beta": 3.0, "curvatures": 13}
QUICK = {"curvatures": 7}
CHECKS = {
    # theory, β = 3, ε = .1: 1.64424 .41106 .10276 at λ = .5, 2, 8
    "quadratic_error": (None, 1e-8),
    "width_at_curvature_2": (0.41105, 0.41107),
    # a deeper neighbour holds local entropy down: the shallow minimum is "wider" than its curvature says
    "shallow_over_quadratic": (10.0, None),
    "printed_fails_below": (None, 1e-3),
}


def compute(epsilon, beta, curvatures):
    """γ* of quadratic minima by the solver and by formula; γ* of the minima of a loss with three wells."""
    import pdelab as pl

    stiff = np.geomspace(0.1, 20.0, curvatures)
    widths = np.array([robust_width(pl.losses.quadratic(float(k)), 0.0, epsilon, beta) for k in stiff])
    exact = np.array([quadratic_robust_width(float(k), epsilon, beta) for k in stiff])
    f = pl.losses.three_wells()
    minima = critical_points(f, pl.Grid(-3.0, 3.0, 601)).minima
    wells = np.array([robust_width(f, float(c), epsilon, beta) for c in minima])
    gammas = np.geomspace(1e-3, 3.0, 60)
    rise = np.array([[float(pl.local_entropy(f, float(c), g, beta) - f(c)) for g in gammas] for c in minima])
    bent = f.hessian(minima)
    local = [quadratic_robust_width(float(k), epsilon, beta) for k in bent]
    # the printed definition has the unnormalised kernel: f_γ - f then starts at -(1/2β) log(2πγ/β), not at 0
    printed = -math.log(2 * math.pi * 1e-4 / beta) / (2 * beta)
    return {
        "curvatures": stiff, "found": widths, "exact": exact, "minima": minima, "wells": wells, "gammas": gammas,
        "rise": rise, "bent": bent, "epsilon": epsilon, "beta": beta,
        "quadratic_error": float(np.abs(widths / exact - 1).max()),
        "width_at_curvature_2": robust_width(pl.losses.quadratic(2.0), 0.0, epsilon, beta),
        "shallow_over_quadratic": float(np.max(wells / local)),
        "printed_fails_below": 1e-4 if printed > epsilon else math.inf,
    }  # fmt: skip


def draw(data):
    """Left: the rise of local entropy at each minimum; right: γ* against curvature."""
    from pdelab.plotting import COLORS, label_ends, subplots

    colours = [COLORS["viscous"], COLORS["inviscid"], COLORS["good"]]
    figure, (left, right) = subplots(1, 2, size=(8.0, 4.0))
    for k, (c, rise, width) in enumerate(zip(data["minima"], data["rise"], data["wells"])):
        left.plot(data["gammas"], rise, color=colours[k % 3], label=f"minimum at {c:+.2f}: γ* = {width:.3f}")
        left.plot(width, float(data["epsilon"]), "o", color=colours[k % 3])
    left.axhline(float(data["epsilon"]), color="#999999", lw=0.9, ls=":")
    left.set(xscale="log", xlabel="scope γ", ylabel="f_γ(x) - f(x)", ylim=(-0.05, 0.3))
    label_ends(left, columns=1)
    right.loglog(data["curvatures"], data["exact"], color=COLORS["exact"], label="quadratic, formula")
    right.loglog(data["curvatures"], data["found"], "o", color=COLORS["good"], label="quadratic, found")
    for k, (bent, width) in enumerate(zip(data["bent"], data["wells"])):
        right.plot(bent, width, "s", color=colours[k % 3])
    right.set(xlabel="curvature at the minimum", ylabel="robust width γ*")
    label_ends(right, loc="lower left")
    return figure
