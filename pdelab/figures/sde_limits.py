"""What the diffusion (6.2) predicts of SGD, and where it stops: everywhere it is right as η tends to 0 and not before.

(a) Remark 6.6 of Chaudhari's thesis has 1/β = η/(2b) capture the learning rate and the batch size completely. At equal
η/b the mean of SGD is not one number: it moves with η and meets (6.2) at η = 0. The modified equation of Li, Tai & E is
nearer, though not of order 2 in η here: its error is O(η²) + O(η · η/b), and η/b stays. (b) Theorem 6.48: most likely
places move away from the minima of f by a multiple of η. Divided by η the shifts of SGD and of (6.2) meet at η = 0
only, at -D'(1)/(4 f''(1)) = -.48. (c) In a quadratic well SGD's stationary variance is η c/(h (2 - η h)); (6.2) is
short of it by the part η h/2, the equation of order 2, better over a fixed time, by more. Lines: no sampling;
points: paths of SGD with intervals of four standard errors.
"""

import math

import numpy as np

from pdelab import sgd
from pdelab.claims.sgd import mode_of_diffusion, mode_of_sgd, two_point_noise

NAME = "sde-limits"
TITLE = "The diffusion is SGD's limit as η → 0, not SGD: means, most likely places and variances are off by O(η)"
SEED = 0
PARAMETERS = {
    "ratio": 0.025, "batches": (1, 2, 4, 8), "t": 2.0, "rates": (0.05, 0.025, 0.0125, 0.00625), "nodes": 9521,
    "steps": (0.05, 0.1, 0.2, 0.4, 0.8, 1.2, 1.6), "paths": 4_000_000, "seed": 0,
}  # fmt: skip
QUICK = {"batches": (1, 2, 4), "rates": (0.05, 0.025, 0.0125), "paths": 200_000}
CHECKS = {
    "mean_limit": (None, 1.0),  # |means at equal η/b extrapolated to η = 0, - that of (6.2)| over the last correction
    "mean_z": (None, 4.0),  # paths against the means without sampling, in standard errors
    "captured_z": (4.0, None),  # one mean for all η of equal η/b, as printed, against the largest batch's paths
    "mode_limit": (None, 1.0),  # |extrapolated shift/η + .48| over the last correction, for SGD
    "mode_excess": (0.0, None),  # least excess of SGD's shift over that of (6.2), relative, at any η
    "variance_z": (None, 4.0),
    "diffusion_variance_gap": (None, 1e-12),  # from η h/2, the part that is missing in (6.2)
    "second_over_first": (1.0, None),  # least error of order 2 over that of order 1: 2/(1 + η h/2)
}


def compute(ratio, batches, t, rates, nodes, steps, paths, seed):
    """Means at equal η/b, shifts of the mode, stationary variances; each with and without sampling."""
    return _means(ratio, batches, t, paths, seed) | _modes(rates, nodes) | _variances(steps, paths, seed)


def _means(ratio, batches, t, paths, seed):
    from pdelab.paths import simulate

    f, box, mean = two_point_noise(), (-2.5, 2.5), lambda y: y
    variance = lambda y: ratio * f.covariance(y)  # noqa: E731
    limit = sgd.diffusion_expectation(lambda y: -f.gradient(y), variance, mean, 1.0, t, box=box)
    exact, modified = [], []
    for batch in batches:
        eta = ratio * batch
        exact.append(sgd.expectation(f, mean, 1.0, t, eta, batch=batch, box=box))
        drift = lambda y, eta=eta: -f.gradient(y) * (1 + eta / 2 * f.hessian(y))  # noqa: E731
        modified.append(sgd.diffusion_expectation(drift, variance, mean, 1.0, t, box=box))
    walked, errors = [], []
    for batch in (batches[0], batches[-1]):
        final = simulate(sgd.SGD(f, batch), 1.0, t, ratio * batch, paths=paths, seed=seed).final
        walked.append(final.mean())
        errors.append(final.std() / math.sqrt(paths))
    etas, exact, modified = ratio * np.array(batches), np.array(exact), np.array(modified)
    lines = exact[:-1] - etas[:-1] * np.diff(exact) / np.diff(etas)  # through two neighbours each, at η = 0
    return {
        "etas": etas, "means": exact, "modified_means": modified, "limit_mean": limit,
        "walked_means": np.array(walked), "mean_errors": np.array(errors),
        "mean_limit": float(abs(lines[0] - limit) / abs(lines[1] - lines[0])),
        "modified_share": float(((exact - modified) / (exact - limit))[0]),
        "mean_z": float(np.abs((np.array(walked) - exact[[0, -1]]) / errors).max()),
        "captured_z": float(abs(walked[-1] - exact[0]) / errors[-1]),
    }  # fmt: skip


def _modes(rates, nodes):
    equation = np.array([(mode_of_diffusion(eta / 2) - 1) / eta for eta in rates])
    walk = np.array([(mode_of_sgd(eta, 1, nodes) - 1) / eta for eta in rates])
    limits = 2 * walk[1:] - walk[:-1]
    return {
        "rates": np.array(rates), "diffusion_shifts": equation, "shifts": walk,
        "mode_limit": float(abs(limits[-1] + 0.48) / abs(limits[-1] - limits[-2])),
        "mode_excess": float((walk / equation - 1).min()),
    }  # fmt: skip


def _variances(steps, paths, seed):
    from pdelab.paths import simulate

    h, f = 1.0, sgd.FiniteSum("(x - c)**2/2", c=[1.0, -1.0])
    models = ("sgd", "order 1", "order 2")
    exact, first, second = (
        np.array([sgd.stationary_covariance(h, 1.0, eta, model)[0, 0] for eta in steps]) for model in models
    )
    places, walked = np.linspace(0, len(steps) - 1, 3).astype(int), []
    for eta in np.array(steps)[places]:
        last = math.ceil(12 / (eta if eta < 1 else 2 - eta) / eta) * eta  # e^-12 of the start is left
        walked.append(simulate(sgd.SGD(f), 0.0, last, eta, paths=paths, seed=seed).final.var())
    gaps = [1 - model / exact for model in (first, second)]
    walked = np.array(walked)
    # four standard errors: Var x² <= 2 (Var x)² for a sum of independent signs
    error = exact[places] * math.sqrt(2 / paths)
    return {
        "steps": np.array(steps), "variances": exact, "first_gap": gaps[0], "second_gap": gaps[1],
        "walked_steps": np.array(steps)[places], "walked_variances": walked, "variance_errors": error,
        "variance_z": float(np.abs((walked - exact[places]) / error).max()),
        "diffusion_variance_gap": float(np.abs(gaps[0] - h * np.array(steps) / 2).max()),
        "second_over_first": float((gaps[1] / gaps[0]).min()),
    }  # fmt: skip


def draw(data):
    """Means, shifts over η, and the variances' relative errors, against η."""
    from pdelab.plotting import COLORS, label_ends, subplots

    figure, (left, middle, right) = subplots(1, 3, size=(8.0, 3.5))
    names = ("SGD", "(6.2)", "order 2")
    colors = [COLORS[name] for name in ("sgd", "viscous", "inviscid")]
    etas = data["etas"]
    left.plot(etas, data["means"], color=colors[0], label=names[0])
    left.plot(etas, np.full(etas.size, data["limit_mean"]), color=colors[1], label=names[1])
    left.plot(etas, data["modified_means"], "--", color=colors[2], label=names[2])
    left.errorbar(etas[[0, -1]], data["walked_means"], 4 * data["mean_errors"], fmt="o", ms=4, color=colors[0])
    left.set(xlabel="η, at equal η/b", ylabel=f"mean at time {data['t']:g}", xlim=(0, None))
    label_ends(left)
    middle.plot(data["rates"], data["shifts"], "o-", ms=4, color=colors[0])
    middle.plot(data["rates"], data["diffusion_shifts"], color=colors[1])
    middle.plot(0, -0.48, "k*", clip_on=False, zorder=3)
    middle.set(xlabel="η", ylabel="shift of most likely place / η", xlim=(0, None))
    steps = data["steps"]
    right.plot(steps, data["first_gap"], color=colors[1])
    right.plot(steps, data["second_gap"], "--", color=colors[2])
    places = np.searchsorted(steps, data["walked_steps"])
    ratio = data["walked_variances"] / data["variances"][places]
    spread = 4 * data["variance_errors"] / data["variances"][places]
    right.errorbar(data["walked_steps"], 1 - ratio, spread, fmt="o", ms=4, color=colors[0])
    right.axhline(0, color=colors[0], lw=0.8)
    right.set(xlabel="η h", ylabel="missing part of SGD's variance", xlim=(0, None))
    return figure
