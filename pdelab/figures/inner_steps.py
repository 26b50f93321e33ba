"""L inner steps against the exact gradient of local entropy: more steps help until the bias of the step is left.

Exact means by the transfer operator, with samples on top; Chaudhari, thesis (4.39)-(4.40) and Algorithm 2, traffic
paper (5.18)-(5.19), corrected. The limit of L -> infinity is not the gradient: the Euler step biases <y> by O(η).
"""

import numpy as np

NAME = "inner-steps"
TITLE = "L inner steps: their bias falls with L, and then stays at the O(η) of the inner step"
PARAMETERS = {
    "gamma": 0.2, "beta": 4.0, "x": 1.0, "steps": (0.1, 0.05, 0.025), "weights": (0.75, 0.25, 0.05),
    "longest": 400, "samples": 40_000, "seed": 1,
}  # fmt: skip
QUICK = {"longest": 100, "samples": 8_000}
SEED = 1
CHECKS = {
    # samples against exact means: the largest of nine z-scores
    "largest_z_score": (None, 4.0),
    # what is left at the longest L against the bias of the invariant law
    "left_over_bias": (0.99, 1.01),
    "bias_order_in_the_step": (0.9, 1.3),
}


def compute(gamma, beta, x, steps, weights, longest, samples, seed):
    """Bias of (x - z_L)/gamma for each step and averaging weight, sampled at L = 5, 20, longest."""
    from pdelab import closed_forms, losses
    from pdelab.homogenization import inner_bias, inner_expectation, inner_gradient

    f = losses.three_wells()
    exact = float(closed_forms.local_entropy_gradient(f, x, gamma, beta))
    common = {"gamma": gamma, "beta": beta}
    by_step = np.array([inner_expectation(f, x, step=s, inner_steps=longest, **common) for s in steps]) - exact
    by_weight = [inner_expectation(f, x, step=steps[1], inner_steps=longest, averaging=a, **common) for a in weights]
    counts = np.array([5, 20, longest])
    sampled = np.array(
        [
            [inner_gradient(f, x, step=s, inner_steps=int(L), paths=samples, seed=seed, **common) for L in counts]
            for s in steps
        ]
    )
    limits = np.array([-inner_bias(f, x, step=s, **common) / gamma for s in steps])
    scores = np.abs(sampled[..., 0] - exact - by_step[:, counts - 1]) / sampled[..., 1]
    return {
        "L": np.arange(1, longest + 1), "steps": np.array(steps), "weights": np.array(weights), "by_step": by_step,
        "by_weight": np.array(by_weight) - exact, "counts": counts, "sampled": sampled[..., 0] - exact,
        "sampling_error": sampled[..., 1], "limits": limits, "largest_z_score": float(scores.max()),
        "left_over_bias": float(by_step[1, -1] / limits[1]),
        "bias_order_in_the_step": float(np.polyfit(np.log(steps), np.log(np.abs(limits)), 1)[0]),
    }  # fmt: skip


def draw(data):
    """Left: bias against L for each step; right: for each averaging weight."""
    from pdelab.plotting import COLORS, label_ends, subplots

    colors = [COLORS[name] for name in ("viscous", "inviscid", "good")]
    figure, (left, right) = subplots(1, 2, size=(8.0, 4.0))
    rows = zip(data["steps"], data["by_step"], data["sampled"], data["sampling_error"], data["limits"], colors)
    for step, curve, sampled, error, limit, color in rows:
        left.loglog(data["L"], np.abs(curve), color=color, label=f"η = {step:g}")
        left.errorbar(data["counts"], np.abs(sampled), yerr=2 * error, fmt="o", ms=4, capsize=2, color=color)
        left.axhline(abs(limit), color=color, ls=":", lw=1.0)
    left.set(xlabel="inner steps L", ylabel="|bias| of (x - z)/γ", title="dotted: L → ∞; points: sampled")
    for weight, curve, color in zip(data["weights"], data["by_weight"], colors):
        right.loglog(data["L"], np.abs(curve), color=color, label=f"weight of the new iterate {weight:g}")
    right.set(xlabel="inner steps L", title=f"η = {data['steps'][1]:g}")
    label_ends(left, columns=1)
    label_ends(right, columns=1)
    return figure
