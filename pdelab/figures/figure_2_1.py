"""Figure 2.1: the complexity of the pure 3-spin glass, by index, and how slowly finite glasses approach it.

Left: Θ_k(u), the exponential rate of the number of critical points of index k below energy u per spin, with the
corrected closed form of I_1 (the printed one is negative). Below -E_k there are none of index k or higher; at
-E_infinity all indices meet at a plateau. Right: log E[minima below N u]/N at finite N, from Kac-Rice averages over
random matrices. At N = 100 it is several times the plateau: the picture on the left is that of very large glasses.
"""

import numpy as np

from pdelab import spin_glass

NAME = "2.1"
TITLE = "Minima of the spin glass crowd just above the ground state, but a hundred spins are far from that limit"
SEED = 0
PARAMETERS = {"p": 3, "indices": (0, 1, 2, 3, 10, 100), "sizes": (50, 100, 200), "draws": 4000, "seed": 0}
QUICK = {"draws": 400, "sizes": (50, 100)}
CHECKS = {
    "ground_state_gap": (None, 1e-9),  # E_0 against one-step replica symmetry breaking, an independent derivation
    "jump_at_E_infinity": (None, 1e-12),  # Θ_k is continuous
    "smallest_excess": (0.0, None),  # finite glasses have more minima than the plateau says ...
    "largest_growth": (None, 0.0),  # ... and the excess falls with N
}


def compute(p, indices, sizes, draws, seed):
    """Complexities over an energy window, and log E[minima]/N of finite glasses."""
    from scipy.optimize import brentq

    edge, ground = spin_glass.E_infinity(p), spin_glass.energy_threshold(p)
    u = np.linspace(-ground - 0.023, -edge + 0.033, 400)
    wide = np.linspace(-ground - 0.1, -edge + 0.45, 300)
    y = brentq(lambda y: -2 * y * (1 - y + np.log(y)) / (1 - y) ** 2 - 2 / p, 1e-6, 1 - 1e-6, xtol=1e-15)
    replica = (1 + (p - 1) * y) / np.sqrt(p * y)
    plateau = float(spin_glass.complexity(-edge, p, 0))
    curves, totals = [], []
    for n in sizes:
        energies, weights = spin_glass.energy_law(n, p, 0, draws, seed)
        order = np.argsort(energies)
        below = np.interp(wide, energies[order], np.cumsum(weights[order]), left=0.0)
        log_count = spin_glass.expected_critical_points(n, p, 0.0, 0, draws=draws, seed=seed, log=True)[0]
        with np.errstate(divide="ignore"):
            curves.append((log_count + np.log(below)) / n)
        totals.append(log_count / n)
    jump = max(abs(float(spin_glass.complexity(-edge - e, p, k)) - plateau) for k in indices for e in (0.0, 1e-14))
    return {
        "u": u, "wide": wide, "theta": np.array([spin_glass.complexity(u, p, k) for k in indices]),
        "indices": np.array(indices), "sizes": np.array(sizes), "finite": np.array(curves), "totals": np.array(totals),
        "thresholds": np.array([spin_glass.energy_threshold(p, k) for k in range(6)]), "edge": edge, "plateau": plateau,
        "limit": spin_glass.complexity(wide, p, 0),
        "ground_state_gap": abs(replica - ground), "jump_at_E_infinity": jump,
        "smallest_excess": min(totals) - plateau, "largest_growth": float(np.diff(totals).max()),
    }  # fmt: skip


def draw(data):
    """Left: Θ_k against energy; right: finite glasses against the limit."""
    import matplotlib

    from pdelab.plotting import COLORS, label_ends, subplots

    figure, (left, right) = subplots(1, 2, size=(8.0, 4.0))
    shades = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.85, len(data["indices"])))
    for k, line, shade in zip(data["indices"], data["theta"], shades):
        left.plot(data["u"], line, color=shade, label=f"k = {k}")
    left.axhline(0, color="#999999", lw=0.8)
    left.axvline(-float(data["edge"]), color="#999999", lw=0.8, ls=":")
    left.annotate("-E∞", (-float(data["edge"]), -0.045), (4, 0), textcoords="offset points")
    left.plot(-data["thresholds"], 0 * data["thresholds"], "k.", ms=5)
    left.annotate("-E₀", (-data["thresholds"][0], 0), (-6, -14), textcoords="offset points", ha="right",
                  bbox={"fc": "white", "ec": "none", "alpha": 0.8, "pad": 1})  # fmt: skip
    left.set(xlabel="energy per spin u", ylabel="Θₖ(u)", ylim=(-0.05, 0.02))
    label_ends(left, columns=3)
    styles = ("-", "--", "-.", ":")
    for n, line, style in zip(data["sizes"], data["finite"], styles):
        right.plot(data["wide"], line, ls=style, color=COLORS["viscous"], label=f"N = {n}")
    right.plot(data["wide"], data["limit"], color=COLORS["exact"], label="N → ∞")
    right.axhline(0, color="#999999", lw=0.8)
    right.set(xlabel="energy per spin u", ylabel="log E[minima below u]/N", ylim=(-0.05, 0.1))
    label_ends(right, columns=2)
    return figure
