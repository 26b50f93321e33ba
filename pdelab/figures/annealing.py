"""Simulated annealing: beta(t) = log(2 + t)/c reaches the global minimum exactly when c is at least the barrier E*.

The thesis writes beta = log(t + 1), that is c = 1, whatever the loss: with a barrier above one it stays stuck. Where c
reaches the barrier the mass follows the Gibbs law of the moment, exp(-beta(t) dF) = (2 + t)^(-dF/c), dF being the
difference of the two minima: the dashed lines.
"""

import numpy as np

from pdelab.claims.metastability import LEFT, RIGHT, SADDLE, annealing, tilted

NAME = "annealing"
TITLE = "Annealing finds the global minimum only if it cools no faster than the barrier allows: c ≥ E*"
PARAMETERS = {"barrier": 1.5, "speeds": (0.5, 0.75, 1.0, 1.25, 1.5), "steps": 1600}
QUICK = {"steps": 400}
CHECKS = {
    # c = E*/2 .. 3E*/2: what is left in the shallow well at t = 1e7
    "left_at_half": (0.3, None),
    "left_at_the_fastest_below": (0.01, None),
    "left_at_the_slowest": (None, 1e-4),
    # below E* the curve is flat in the end, above it falls like a power of t
    "late_slope_at_half": (-0.02, 0.0),
    "late_slope_at_the_slowest": (None, -0.3),
    # from c = E* on the slopes are -dF/c, up to the O(1/beta) of Laplace's method
    "largest_slope_error": (None, 0.02),
}


def compute(barrier, speeds, steps):
    """Mass left in the shallow well against time for several c/E*."""
    runs = [annealing(barrier, float(speed * barrier), steps) for speed in speeds]
    times, masses = runs[0][0], np.array([mass for _, mass in runs])
    late = np.searchsorted(times, times[-1] / 100)
    slopes = np.log(masses[:, -1] / masses[:, late]) / np.log(times[-1] / times[late])
    x = np.linspace(-1.75, 1.65, 300)
    scale = barrier / (tilted(SADDLE) - tilted(RIGHT))
    theory = -scale * (tilted(RIGHT) - tilted(LEFT)) / (np.array(speeds) * barrier)
    slow = np.array(speeds) >= 1
    below = int(np.flatnonzero(np.array(speeds) < 1)[-1])
    return {
        "times": times, "masses": masses, "speeds": np.array(speeds), "x": x, "barrier": barrier,
        "f": tilted(x) * barrier / (tilted(SADDLE) - tilted(RIGHT)), "slopes": slopes,
        "theory": theory, "largest_slope_error": float(np.abs(slopes / theory - 1)[slow].max()),
        "left_at_half": float(masses[0, -1]),
        "left_at_the_fastest_below": float(masses[below, -1]),
        "left_at_the_slowest": float(masses[-1, -1]),
        "late_slope_at_half": float(slopes[0]),
        "late_slope_at_the_slowest": float(slopes[-1]),
    }  # fmt: skip


def draw(data):
    """Left: the loss and its barrier; right: mass in the shallow well on log axes, one line a cooling speed."""
    import matplotlib

    from pdelab.plotting import COLORS, label_ends, subplots

    scale = float(data["barrier"]) / (tilted(SADDLE) - tilted(RIGHT))
    figure, (left, right) = subplots(1, 2, size=(8.0, 4.0), width_ratios=(0.7, 1.3))
    left.plot(data["x"], data["f"], color=COLORS["loss"])
    low, high = scale * tilted(RIGHT), scale * tilted(SADDLE)
    left.annotate("", (RIGHT, high), (RIGHT, low), arrowprops={"arrowstyle": "<->", "color": COLORS["viscous"]})
    left.annotate("E*", (RIGHT, (low + high) / 2), (4, 0), textcoords="offset points", color=COLORS["viscous"])
    left.axhline(high, color="#999999", lw=0.8, ls=":")
    left.annotate("start", (RIGHT, low), (0, -14), textcoords="offset points", ha="center", color="#666666")
    left.set(xlabel="x", ylabel="f", ylim=(data["f"].min() - 0.3, 3.0))
    shades = matplotlib.colormaps["plasma"](np.linspace(0.0, 0.85, len(data["speeds"])))
    late = data["times"] > 1e2
    for speed, mass, slope, shade in zip(data["speeds"], data["masses"], data["theory"], shades):
        said = f", slope {slope:.3f}" if speed >= 1 else ""
        right.loglog(data["times"] + 1, mass, color=shade, label=f"c = {speed:g} E*{said}")
        if speed >= 1:
            line = mass[-1] * ((data["times"] + 2) / (data["times"][-1] + 2)) ** slope
            right.loglog((data["times"] + 1)[late], 0.5 * line[late], color=shade, ls="--", lw=1.0)
    right.plot([], [], color="black", ls="--", lw=1.0, label="slope −ΔF/c, moved down")
    right.set(xlabel="1 + t", ylabel="mass left in the shallow well", ylim=(1e-9, 2))
    label_ends(right, loc="lower left")
    return figure
