"""Figure 5.2 of Chaudhari's thesis, the schematic of Parle's updates, drawn from a run of the optimizer.

Three replicas with losses f_a(x) = ½(x - c_a)ᵀH(x - c_a) of their own (split data), two weights, no momentum and no
noise. Every replica walks L inner steps (dots), pulled back to its x^a; then x^a moves towards the mean z^a of that
walk and towards the master, which is the mean of the new replicas: one exchange every L gradients. On quadratics all
of it is known: an outer step shrinks the move of a difference of replicas by 1 - p - e and the master's distance to the
common minimum by 1 - p, with p the step of Entropy-SGD and e = η/ρ; the replicas end p/(p + e) of the way from the
master to their own minima. The numbers *_error are the distances of this run from these values: all reproduces.
"""

import numpy as np

NAME = "5.2"
TITLE = "Parle: L steps alone, then one towards their mean and towards the others"
NEEDS = "networks"
PARAMETERS = {"inner_steps": 12, "loops": 80, "gamma": 2.0, "rho": 1.0, "lr": 0.2, "inner_lr": 0.15, "averaging": 0.75}
QUICK = {"loops": 60}
CHECKS = {
    "update_error": (None, 1e-12),
    "difference_factor_error": (None, 1e-8),
    "master_factor_error": (None, 1e-8),
    "spread_at_rest_error": (None, 1e-2),
    "master_at_rest_distance": (None, 0.05),
}
CURVATURES = np.array([1.2, 0.4])
CENTRES = np.array([[-1.6, 0.4], [1.5, 0.9], [0.4, -1.6]])
START = np.array([-2.2, 2.6])


def compute(inner_steps, loops, gamma, rho, lr, inner_lr, averaging):
    """Walks (loops, L + 1, replica, weight), their means, replicas and master at outer steps, distances from theory."""
    from pdelab import networks

    settings = {"gamma": gamma, "rho": rho, "lr": lr, "inner_lr": inner_lr, "inner_steps": inner_steps}
    settings |= {"averaging": averaging, "momentum": 0.0, "outer_momentum": 0.0, "replicas": 3}

    def path(inner):
        return networks.trajectory(
            lambda p: networks.Parle(p, **settings), lambda x, a: CURVATURES * (x - CENTRES[a]),
            np.tile(START, (3, 1)), inner_steps * loops, replicas=3, inner=inner,
        )  # fmt: skip

    walks, master = path(True), path(False)[::inner_steps, 0]
    replicas, p, e = walks[::inner_steps], shares(gamma, inner_lr, inner_steps, averaging, lr), lr / rho
    moves = np.diff(replicas[:, 0] - replicas[:, 1], axis=0)
    goal = CENTRES.mean(0)
    rest = goal + (p / (p + e)) * (CENTRES - goal)
    walks = walks[:-1].reshape(loops, inner_steps, 3, 2)
    y = walks[:, -1]  # the last inner step and the outer one are one step of the optimizer
    last = y - inner_lr * (CURVATURES * (y - CENTRES) + (y - walks[:, 0]) / gamma)
    walks = np.concatenate([walks, last[:, None]], axis=1)
    means = walks[:, 0]
    for step in range(1, inner_steps + 1):
        means = (1 - averaging) * means + averaging * walks[:, step]
    moved = replicas[:-1] - lr * (replicas[:-1] - means) - e * (replicas[:-1] - master[:-1, None])
    return {
        "walks": walks, "means": means, "replicas": replicas, "master": master, "rest": rest,
        "update_error": float(np.abs(moved - replicas[1:]).max()),
        "difference_factor_error": float(np.abs(moves[1] / moves[0] - (1 - p - e)).max()),
        "master_factor_error": float(np.abs((master[2] - goal) / (master[1] - goal) - (1 - p)).max()),
        "spread_at_rest_error": float(np.abs(replicas[-1] - master[-1] - (rest - goal)).max()),
        "master_at_rest_distance": float(np.abs(master[-1] - goal).max() / np.abs(START - goal).max()),
    }  # fmt: skip


def shares(gamma, inner_lr, inner_steps, averaging, lr):
    """p of each weight: an outer step of Entropy-SGD moves x - c by -p (x - c) on (h/2)(x - c)²."""
    old, m = 1 - averaging, 1 - inner_lr * (CURVATURES + 1 / gamma)
    left = old**inner_steps + averaging * m * (m**inner_steps - old**inner_steps) / (m - old)
    return lr * gamma * CURVATURES / (1 + gamma * CURVATURES) * (1 - left)


def draw(data):
    """Left one loop with its outer step, right the whole run over the mean of the losses."""
    from pdelab.plotting import COLORS, label_ends, subplots

    figure, (left, right) = subplots(1, 2, size=(8.0, 4.6))
    for a, shade in enumerate((COLORS["viscous"], COLORS["inviscid"], COLORS["good"])):
        x, z = data["replicas"][:, a], data["means"][:, a]
        left.plot(*data["walks"][1, :, a].T, ".-", color=shade, ms=4, lw=0.6, alpha=0.6)
        left.plot(*z[1], "x", color=shade, ms=8, mew=2)
        left.plot(*x[1], "o", color=shade, mfc="none", ms=7)
        left.annotate("", x[2], x[1], arrowprops={"arrowstyle": "-|>", "color": shade, "lw": 2})
        left.plot(*x[2], "o", color=shade, ms=7)
        for walk in data["walks"][:, :, a]:
            right.plot(*walk.T, color=shade, lw=0.6, alpha=0.4)
        right.plot(*x.T, "o", color=shade, ms=3, label=f"replica {a + 1}")
        right.plot(*CENTRES[a], "*", color=shade, ms=11)
    left.plot(*data["master"][1], "ks", mfc="none", ms=7)
    left.plot(*data["master"][2], "ks", ms=7)
    right.plot(*data["master"].T, "ks-", ms=3, lw=1.2, label="master")
    for marker, said in (("o", "replica xᵃ"), ("s", "master x"), (".", "inner steps yᵃ"), ("x", "their mean zᵃ")):
        left.plot([], [], marker, color="black", label=said)
    left.set(title="the second loop; hollow: before, full: after", xlabel="weight 1", ylabel="weight 2")
    right.set(title="the whole run; stars: the replicas' own minima", xlabel="weight 1", ylabel="weight 2")
    _contours(right)
    left.legend()
    label_ends(right, loc="lower left")
    return figure


def _contours(ax):
    x, y = np.meshgrid(np.linspace(-2.9, 2.4, 101), np.linspace(-2.3, 3.0, 101))
    f = sum(0.5 * (CURVATURES[0] * (x - c[0]) ** 2 + CURVATURES[1] * (y - c[1]) ** 2) for c in CENTRES) / 3
    ax.contour(x, y, f, levels=12, colors="0.75", linewidths=0.6)
