"""How a random field makes a glass trivial: critical points and minima as B = (f'' - f')/(f'' + f') passes zero.

Left: E[critical points]/N at B = -τ/N against its limit 2 exp(-τ/2) (I_0(τ/2) - I_1(τ/2)); both lines of thesis (2.17)
are tails of this one curve. Right: E[minima] at B = -(κ/2) N^(-1/3) against the limit by the Tracy-Widom law, with the
exponent that the thesis prints in (2.18), κ²/24 + (4 sqrt(2)/3)|κ|^(3/2), and the right one, |κ|³/24 + (2/3)|κ|^(3/2).
"""

import math
import warnings
from functools import partial

import numpy as np

from pdelab import spin_glass

NAME = "topology"
TITLE = "A growing field removes critical points along one curve; the printed exponent of the minima is wrong"
SEED = 0
PARAMETERS = {"sizes": (100, 400), "taus": 25, "kappas": 33, "glass": 100, "draws": 3000, "seed": 0}
QUICK = {"sizes": (50, 100), "taus": 9, "draws": 400}
CHECKS = {
    "order_in_1_over_n": (0.85, 1.15),  # the distance to the limit falls as 1/N
    "right_exponent_off": (None, 0.05),  # log of the limit over the exponent, minus 1, at κ = -8
    "printed_exponent_off": (0.15, None),
    "worst_z_of_minima": (None, 4.0),  # of minima against maxima, by other matrices: in law they are as many
    "worst_error_of_minima": (0.001, 0.5),  # of the logarithm of a ratio that spans e^30: samples, and enough of them
}


def compute(sizes, taus, kappas, glass, draws, seed):
    """Kac-Rice counts at finite N and their limits."""
    tau = np.linspace(-4.0, 6.0, taus)
    limit = np.array([spin_glass.trivialisation_limit(t) for t in tau])
    finite = np.array([[_count(n, _field(-t / n)) / n for t in tau] for n in sizes])
    gaps = np.abs(finite - limit).max(1)
    kappa = np.linspace(-8.0, 3.0, kappas)
    logs = np.array([spin_glass.edge_limit(k, log=True) for k in kappa])
    size = np.maximum(-kappa, 0.0)
    coarse = np.array([k for k in kappa[::2] if -k / 2 * glass ** (-1 / 3) < 0.3])  # B is below 1/3
    fields = [_field(-k / 2 * glass ** (-1 / 3)) for k in coarse]
    minima = _sampled(glass, fields, 0, draws, seed)
    exponents = {"right": size**3 / 24 + 2 / 3 * size**1.5, "printed": size**2 / 24 + 4 * math.sqrt(2) / 3 * size**1.5}
    maxima = _sampled(glass, fields, glass - 1, draws, seed + 1)
    away = np.array([(low - high, math.hypot(e, d)) for (low, e), (high, d) in zip(minima, maxima)])
    sampled = away[:, 1] > 1e-6  # at B = 0 every matrix has the same weight
    return {
        "tau": tau, "limit": limit, "finite": finite, "sizes": np.array(sizes), "kappa": kappa, "logs": logs,
        "coarse": coarse, "minima": np.array([m for m, _ in minima]), "error": np.array([e for _, e in minima]),
        "glass": glass, "right": exponents["right"], "printed": exponents["printed"],
        "order_in_1_over_n": math.log(gaps[0] / gaps[-1]) / math.log(sizes[-1] / sizes[0]),
        "right_exponent_off": abs(logs[0] / exponents["right"][0] - 1),
        "printed_exponent_off": abs(logs[0] / exponents["printed"][0] - 1),
        "worst_z_of_minima": float(np.abs(away[sampled, 0] / away[sampled, 1]).max()),
        "worst_error_of_minima": float(away[:, 1].max()),
    }  # fmt: skip


def _sampled(glass, fields, index, draws, seed):
    """Logarithms of expected numbers with their errors; that few matrices count for some, `worst_error` says."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="draws: ")
        count = partial(spin_glass.expected_critical_points, index=index, draws=draws, seed=seed, log=True)
        return [count(glass, 3, field) for field in fields]


def _field(b):
    """ν of the 3-spin glass with this B."""
    return math.sqrt((3 - 9 * b) / (1 + b))


def _count(n, field):
    return spin_glass.expected_critical_points(n, 3, field)[0]


def draw(data):
    """Left: critical points; right: minima, with both exponents."""
    from pdelab.plotting import COLORS, label_ends, subplots

    figure, (left, right) = subplots(1, 2, size=(8.0, 3.6))
    left.semilogy(data["tau"], data["limit"], color=COLORS["exact"], label="limit")
    for n, line, marker in zip(data["sizes"], data["finite"], "os^"):
        left.semilogy(data["tau"], line, marker, ms=4, mfc="none", color=COLORS["viscous"], label=f"N = {n}")
    left.set(xlabel="τ,   B = -τ/N", ylabel="E[critical points]/N")
    label_ends(left)
    right.plot(data["kappa"], data["logs"], color=COLORS["exact"], label="limit")
    right.plot(data["kappa"], data["right"], "--", color=COLORS["good"], label="|κ|³/24 + ⅔|κ|³ᐟ²")
    right.plot(data["kappa"], data["printed"], ":", color=COLORS["bad"], label="printed exponent")
    right.errorbar(data["coarse"], data["minima"], 2 * data["error"], fmt="o", ms=4, mfc="none",
                   color=COLORS["viscous"], label=f"N = {int(data['glass'])}, ±2 s.e.")  # fmt: skip
    right.set(xlabel="κ,   B = -(κ/2) N$^{-1/3}$", ylabel="log E[minima]", ylim=(-1, 50))
    label_ends(right)
    return figure
