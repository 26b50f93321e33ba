"""Strong and weak orders of the schemes, measured on problems with exact answers.

Strong: geometric Brownian motion, on the same Brownian paths at every step. With additive noise (a double well)
Milstein is Euler-Maruyama, and the scheme SRA1 has order 3/2. Weak: E X² of geometric Brownian motion, with the exact
solution on the same path as control variate.
"""

import numpy as np

NAME = "sde-orders"
TITLE = (
    "Strong and weak errors of the schemes fall with their orders (slopes beside the names; bars: 2 standard errors)"
)
PARAMETERS = {"paths": 8000, "coarsest": 5, "finest": 10, "weak_paths": 400_000, "seed": 3}
QUICK = {"paths": 3000, "weak_paths": 100_000}
SEED = 3
CHECKS = {
    "euler_maruyama_strong": (0.45, 0.55),
    "milstein_strong": (0.93, 1.05),
    "derivative_free_milstein_strong": (0.93, 1.05),
    "heun_strong": (0.93, 1.07),
    "euler_maruyama_additive": (0.93, 1.07),
    "sra1_additive": (1.4, 1.65),
    "euler_maruyama_weak": (0.85, 1.1),
}


def compute(paths, coarsest, finest, weak_paths, seed):
    """Mean errors and their standard errors for halved steps."""
    from pdelab import noise
    from pdelab.losses import Loss
    from pdelab.paths import (
        Diffusion,
        Langevin,
        derivative_free_milstein,
        euler_maruyama,
        heun,
        milstein,
        simulate,
        sra1,
    )

    levels = np.arange(coarsest, finest + 1)
    motion = noise.normals(seed, paths, 2**finest)[:, 0].sum(0) / 2 ** (finest / 2)

    def errors(sde, scheme, exact):
        rows = []
        for level in levels:
            common = {"scheme": scheme, "paths": paths, "seed": seed, "refine": int(2 ** (finest - level))}
            gap = np.abs(simulate(sde, 1.0, 1.0, 2.0**-level, **common).final - exact)
            rows.append((gap.mean(), gap.std() / np.sqrt(paths)))
        return np.array(rows).T

    data = {"dt": 2.0**-levels}
    geometric = Diffusion("1.5*x", "x")
    for scheme in (euler_maruyama, milstein, derivative_free_milstein, heun):
        data[f"{scheme.__name__}_strong_errors"] = errors(geometric, scheme, np.exp(1.0 + motion))
    well = Langevin(Loss("x**4/4 - x**2/2"), 2.0)
    fine = simulate(well, 1.0, 1.0, 2.0 ** -(finest + 2), scheme=sra1, paths=paths, seed=seed).final
    for scheme in (euler_maruyama, sra1):
        rows = []
        for level in levels[:-1]:
            common = {"scheme": scheme, "paths": paths, "seed": seed, "refine": int(2 ** (finest + 2 - level))}
            gap = np.abs(simulate(well, 1.0, 1.0, 2.0**-level, **common).final - fine)
            rows.append((gap.mean(), gap.std() / np.sqrt(paths)))
        data[f"{scheme.__name__}_additive_errors"] = np.array(rows).T
    data["weak_dt"], data["euler_maruyama_weak_errors"] = _weak(Diffusion("0.5*x", "0.3*x"), weak_paths, seed)
    numbers = {}
    for name in [key for key in data if key.endswith("_errors")]:
        sizes = data["weak_dt"] if "weak" in name else data["dt"][: data[name].shape[1]]
        numbers[name.removesuffix("_errors")] = float(np.polyfit(np.log(sizes), np.log(data[name][0]), 1)[0])
    return data | numbers


def _weak(sde, paths, seed):
    """|E X² - exact| of Euler-Maruyama at t = 1 for dX = X/2 dt + .3 X dW, with the exact path as control variate."""
    from pdelab import noise
    from pdelab.paths import simulate

    finest, rows, sizes = 5, [], 2.0 ** -np.arange(2, 6)
    motion = noise.normals(seed, paths, 2**finest)[:, 0].sum(0) / 2 ** (finest / 2)
    exact = np.exp(2 * (0.5 - 0.045 + 0.3 * motion))
    for level in range(2, 6):
        run = simulate(sde, 1.0, 1.0, 2.0**-level, paths=paths, seed=seed, refine=2 ** (finest - level))
        gap = run.final**2 - exact
        rows.append((abs(gap.mean()), gap.std() / np.sqrt(paths)))
    return sizes, np.array(rows).T


def draw(data):
    """Left: strong errors with multiplicative noise; middle: with additive noise; right: weak errors."""
    import matplotlib
    import matplotlib.ticker

    from pdelab.plotting import COLORS, label_ends, subplots

    panels = ("strong", "additive", "weak")
    titles = ("strong, geometric Brownian motion", "strong, additive noise", "weak, E X²")
    names = ("euler_maruyama", "milstein", "derivative_free_milstein", "heun", "sra1")
    words = ("Euler-Maruyama", "Milstein", "Milstein, no derivatives", "Heun", "SRA1")
    labels = dict(zip(names, words))
    colors = dict(zip(names, ("sgd", "viscous", "heat", "inviscid", "good")))
    figure, axes = subplots(1, 3, size=(8.0, 4.0))
    for ax, panel, title in zip(axes, panels, titles):
        for name, color in colors.items():
            key = f"{name}_{panel}_errors"
            if key in data:
                sizes = data["weak_dt"] if panel == "weak" else data["dt"][: data[key].shape[1]]
                label = f"{labels[name]}: {data[f'{name}_{panel}']:.2f}"
                ax.errorbar(sizes, data[key][0], yerr=2 * data[key][1], fmt="o-", color=COLORS[color], label=label)
        ax.set(xscale="log", yscale="log", xlabel="dt", title=title)
        ax.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
        if panel == "weak":
            ax.set_ylim(top=1.0)
        label_ends(ax, columns=1)
    axes[0].set_ylabel("mean error at t = 1")
    return figure
