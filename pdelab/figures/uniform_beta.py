"""Local entropy for every β, from 0.1 to infinity, on one axis: from heat smoothing to Hopf-Lax, in the log domain."""

import math

import numpy as np

NAME = "uniform-beta"
TITLE = "One formula from β = 0.1 to β = ∞: from heat smoothing to the inf-convolution"
PARAMETERS = {"n": 1201, "half_width": 6.0, "gamma": 0.5}
QUICK = {"n": 601}
BETAS = (0.1, 1.0, 3.0, 10.0, 100.0, 1e4, 1e8, math.inf)
CHECKS = {
    "not_finite": (0, 0),
    # local entropy stays below the heat average with the same kernel (Jensen)
    "largest_above_heat": (None, 1e-10),
    # vanishing viscosity: rate 1/β away from kinks
    "rate": (0.95, 1.05),
    "gap_at_1e8": (None, 1e-7),
}


def compute(n, half_width, gamma):
    """f_γ - its β part (1/2β) log(1 + ...) included - on a grid, for each β; the observed rate as β grows."""
    import pdelab as pl

    f, grid = pl.losses.three_wells(), pl.Grid(-half_width, half_width, n, boundary="outflow")
    inner = np.abs(grid.x) < 2.6
    shown = grid.x[inner]
    values = np.array([pl.local_entropy(f, shown, gamma, beta) for beta in BETAS])
    betas = np.geomspace(1e2, 1e6, 9)
    gaps = [np.median(np.abs(pl.local_entropy(f, shown[::8], gamma, beta) - values[-1][::8])) for beta in betas]
    heat = np.array([pl.heat_smoothing(f, grid, gamma, beta) for beta in BETAS[:4]])[:, inner]
    return {
        "x": shown, "f": f(shown), "values": values, "betas": betas, "gaps": np.array(gaps),
        "not_finite": int((~np.isfinite(values)).sum()),
        "largest_above_heat": float((values[:4] - heat).max()),
        "rate": float(-np.polyfit(np.log(betas), np.log(gaps), 1)[0]),
        "gap_at_1e8": float(np.median(np.abs(values[-2] - values[-1]))),
    }  # fmt: skip


def draw(data):
    """Left: the curves. Right: the distance to Hopf-Lax against β."""
    import matplotlib

    from pdelab.plotting import COLORS, label_ends, subplots

    figure, (left, right) = subplots(1, 2, size=(8.0, 4.2), gridspec_kw={"width_ratios": [1.7, 1]})
    left.plot(data["x"], data["f"], color=COLORS["loss"], lw=1.2, label="f")
    shades = matplotlib.colormaps["plasma"](np.linspace(0.0, 0.85, len(BETAS)))
    for beta, values, shade in zip(BETAS, data["values"], shades):
        label = "β = ∞ (Hopf-Lax)" if math.isinf(beta) else f"β = {_power(beta)}"
        left.plot(data["x"], values, color=shade, lw=1.6, label=label)
    left.set(xlabel="x", ylabel="local entropy")
    label_ends(left, ncols=2)
    right.loglog(data["betas"], data["gaps"], "o-", color=COLORS["viscous"], label=f"order {data['rate']:.2f} in 1/β")
    right.set(xlabel="inverse temperature β", ylabel="median distance to Hopf-Lax")
    label_ends(right)
    return figure


def _power(value):
    """1, 10, 100, and higher powers of ten as 10⁴."""
    return f"{value:g}" if value < 1e3 else f"10$^{{{math.log10(value):.0f}}}$"
