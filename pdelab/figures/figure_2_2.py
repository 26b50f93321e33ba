"""Figure 2.2: where gradient descent ends on a 3-spin glass in three regimes of the field, with an honest second view.

Above: t-SNE of the end points of many descents (colour: energy per spin), as the thesis draws them. t-SNE places points
by their neighbours only: what it shows as canyons are separate minima; after Newton's method no end point was a saddle.
Below, left: the number of distinct minima over several glasses, with Chao's estimate of those not yet found, against
the Kac-Rice expectation. Below, right: overlaps of pairs of end points. The thesis's size is
`--set n=100 runs=20000`, on a GPU with `device=cuda`.
"""

import math

import numpy as np

from pdelab import spin_glass

NAME = "2.2"
TITLE = "As the field grows many minima become few and then one; t-SNE draws structure even in one"
NEEDS = "networks"
SEED = 7
PARAMETERS = {
    "n": 50,
    "runs": 1000,
    "shown": 600,
    "glasses": 12,
    "counted": 300,
    "strong": 3.5,
    "perplexity": 30.0,
    "device": "cpu",
    "seed": 7,
}
QUICK = {"n": 30, "runs": 200, "shown": 200, "glasses": 8, "counted": 150}
CHECKS = {
    "saddles": (0, 0),  # end points that Newton's method does not confirm as minima, in all three regimes
    "z_exponential": (None, 4.0),  # mean Chao estimate against Kac-Rice, in standard errors of both
    "z_polynomial": (None, 4.0),
    "minima_in_the_strong_field": (1, 1),
    "mean_cosine_distance": (0.5, 1.05),  # of end points without a field; above M/(M-1) is impossible
}
REGIMES = ("no field", "critical field", "strong field")


def compute(n, runs, shown, glasses, counted, strong, perplexity, device, seed):
    """End points of descents in three fields, their minima, and expectations."""
    from sklearn.manifold import TSNE

    from pdelab.networks.glass import descend

    fields = (0.0, spin_glass.critical_field(3) * math.sqrt(1 - 1 / n), strong)
    data = {"fields": np.array(fields), "n": n, "runs": runs, "shown": shown}
    saddles, cosines = 0, []
    for k, field in enumerate(fields):
        glass = spin_glass.SpinGlass(n, 3, field, seed)
        ends = descend(glass, runs, seed=seed, device=device)
        minima = ends.minima
        saddles += int(ends.converged.sum() - minima.basins.sum())
        points = ends.points[:shown] + 0.0
        flat = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(points)
        overlaps = (points @ points.T / n)[np.triu_indices(shown, 1)]
        cosines.append(1 - overlaps.mean())
        data |= {
            f"flat_{k}": flat,
            f"energies_{k}": ends.energies[:shown],
            f"overlaps_{k}": overlaps[:: max(shown // 50, 1)],
        }
        data[f"basins_{k}"] = minima.basins
    z, means = [], []
    for field in fields[:2]:
        counts = [spin_glass.chao1(spin_glass.descend(spin_glass.SpinGlass(n, 3, field, seed + 1 + g), counted, seed=g)
                                   .minima.basins) for g in range(glasses)]  # fmt: skip
        expected, error = spin_glass.expected_critical_points(n, 3, field, 0, draws=2000, seed=seed)
        means.append((np.mean(counts), np.std(counts, ddof=1) / math.sqrt(glasses), expected, error))
        z.append(abs(means[-1][0] - expected) / math.hypot(means[-1][1], error, 1e-9))
    data |= {
        "means": np.array(means), "saddles": saddles, "z_exponential": float(z[0]), "z_polynomial": float(z[1]),
        "minima_in_the_strong_field": int(data["basins_2"].size), "mean_cosine_distance": float(cosines[0]),
    }  # fmt: skip
    return data


def draw(data):
    """Above: three t-SNE maps; below: numbers of minima, and overlaps."""
    from pdelab.plotting import COLORS, subplots

    figure, axes = subplots(2, 3, size=(8.0, 5.4))
    low, high = (
        min(data[f"energies_{k}"].min() for k in range(3)),
        max(data[f"energies_{k}"].max() for k in range(3)),
    )
    for k, ax in enumerate(axes[0]):
        dots = ax.scatter(*data[f"flat_{k}"].T, c=data[f"energies_{k}"], s=6, cmap="viridis", vmin=low, vmax=high)
        ax.set(title=f"{REGIMES[k]}, ν = {data['fields'][k]:.3g}", xticks=[], yticks=[])
    figure.colorbar(dots, ax=axes[0], label="energy per spin")
    left, middle, right = axes[1]
    for k in range(2):
        mean, error, expected, spread = data["means"][k]
        left.errorbar(
            k, mean, 2 * error, fmt="o", color=COLORS["sgd"], label="found (Chao), ±2 s.e." if k == 0 else None
        )
        left.errorbar(k + 0.15, expected, 2 * spread, fmt="_", ms=14, color=COLORS["exact"],
                      label="Kac-Rice" if k == 0 else None)  # fmt: skip
    left.set(
        xticks=(0, 1),
        xticklabels=REGIMES[:2],
        xlim=(-0.5, 1.6),
        ylim=(0.5, 400),
        yscale="log",
        ylabel="minima of a glass",
    )
    left.legend(loc="upper right")
    for k, style in enumerate(("-", "--", ":")):
        middle.hist(data[f"overlaps_{k}"], bins=np.linspace(-1, 1.02, 80), histtype="step", density=True, ls=style,
                    color=COLORS[("viscous", "heat", "good")[k]], label=REGIMES[k])  # fmt: skip
    middle.set(xlabel="overlap x·y/N of two ends", ylabel="density", yscale="log")
    middle.legend(loc="upper left")
    for k, marker in enumerate("os^"):
        sizes = np.sort(data[f"basins_{k}"])[::-1] / data[f"basins_{k}"].sum()
        right.loglog(np.arange(1, sizes.size + 1), sizes, marker, ms=4, mfc="none",
                     color=COLORS[("viscous", "heat", "good")[k]], label=REGIMES[k])  # fmt: skip
    right.set(xlabel="minimum, by size", ylabel="share of the starts")
    right.legend(loc="lower left")
    return figure
