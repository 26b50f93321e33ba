"""The density of SGD's iterates on top of the Fokker-Planck density with the measured D(x), in one and two dimensions.

    ρ_t = div(ρ ∇f) + Σ_ij ∂_i ∂_j ((η/2) Σ_ij(x) ρ),    Σ = cov of the mini-batch gradient, exact for the finite sum

Chaudhari, thesis (6.2)-(6.8). With its mean in place of Σ(x) the density is visibly wrong.
"""

import numpy as np

NAME = "sgd-density"
TITLE = "The iterates of SGD lie on the Fokker-Planck density with the measured D(x)"
PARAMETERS = {"lr": 0.05, "t": 3.0, "paths": 1_000_000, "nodes": 161, "lr2": 0.025, "t2": 4.0, "nodes2": 91, "seed": 1}
QUICK = {"paths": 200_000}
SEED = 1
CHECKS = {
    # L1 distances: weak error O(η), the grid, and sampling noise sqrt(cells/paths)
    "distance_1d": (None, 0.06),
    "constant_noise_is_worse_by": (1.8, None),
    "distance_2d": (None, 0.1),
}


def compute(lr, t, paths, nodes, lr2, t2, nodes2, seed):
    """Histograms and densities at the final times."""
    import pdelab as pl
    from pdelab import noise, sgd
    from pdelab.paths import simulate

    f = sgd.FiniteSum("x**4/4 - x**2/2 + a*x**2*cos(x) + c*x", a=[0.9, -0.9, 0.3, -0.3], c=[0.5, -0.5, -1.0, 1.0])
    grid = pl.Grid(-2.5, 2.5, nodes)
    start = np.exp(-((grid.x - 0.2) ** 2) / (2 * 0.2**2))
    initial = 0.2 + 0.2 * noise.normals(seed, paths, 1)[0, 0]
    counted = simulate(sgd.SGD(f), initial, t, lr, seed=seed, store=False, histogram=grid).density[-1]

    def density(diffusion):
        problem = pl.FokkerPlanck(f.loss, diffusion=diffusion, diffusivity=lr / 2)
        return pl.solve(problem, start / grid.integrate(start), grid, [t], dt=0.01).final

    measured = f.covariance(grid.x)
    right, flat = density(measured), density(np.full(nodes, grid.integrate(measured * counted)))
    distance = lambda a: float(grid.integrate(np.abs(a - counted)))  # noqa: E731

    # 4 terms with rotated noise: the cross derivatives of D matter
    g = sgd.FiniteSum(
        "x**4/4 - x**2/2 + y**2 + x*y/2 + a*(x + y/2) + b*x*y/2 + c*y", ("x", "y"),
        a=[2.0, -2.0, 0.8, -0.8], b=[0.8, -0.8, -1.0, 1.0], c=[2.0, 2.0, -2.0, -2.0],
    )  # fmt: skip
    plane = pl.Grid((-2.4, -2.0), (2.4, 2.0), (nodes2, nodes2))
    first, second = np.moveaxis(plane.points, -1, 0)
    start2 = np.exp(-((first - 0.3) ** 2 + (second - 0.4) ** 2) / (2 * 0.25**2))
    z = noise.normals(seed + 1, paths, 1, 2)[0]
    initial2 = np.array([0.3, 0.4]) + 0.25 * z.T
    counted2 = simulate(sgd.SGD(g), initial2, t2, lr2, seed=seed, store=False, histogram=plane).density[-1]
    problem = pl.FokkerPlanck(g.loss, diffusion=g.covariance(plane.points), diffusivity=lr2 / 2)
    solved2 = pl.solve(problem, start2 / plane.integrate(start2), plane, [t2], dt=0.02).final
    return {
        "x": grid.x, "counted": counted, "density": right, "constant": flat, "potential": f.loss.on(grid),
        "x2": plane.axes[0], "y2": plane.axes[1], "counted2": counted2, "density2": solved2,
        "distance_1d": distance(right), "constant_noise_is_worse_by": distance(flat) / distance(right),
        "distance_2d": float(plane.integrate(np.abs(counted2 - solved2))),
    }  # fmt: skip


def draw(data):
    """Left: one dimension; right: two dimensions, the counts as colours, level lines of the solution on top."""
    import matplotlib
    import matplotlib.colors

    from pdelab.plotting import COLORS, label_ends, subplots

    figure, (left, right) = subplots(1, 2, size=(8.0, 4.2))
    left.fill_between(data["x"], data["counted"], color=COLORS["initial"], label="SGD, counted")
    left.plot(data["x"], data["density"], color=COLORS["viscous"], label="Fokker-Planck, D(x)")
    left.plot(data["x"], data["constant"], color=COLORS["inviscid"], ls=":", label="Fokker-Planck, mean of D")
    left.set(xlabel="x", ylabel="density", xlim=(-1.6, 1.6), ylim=(0.0, 1.3 * data["density"].max()))
    label_ends(left, loc="upper left")
    top = float(data["density2"].max())
    norm = matplotlib.colors.PowerNorm(0.5, vmin=0.0, vmax=top, clip=True)
    style = {"norm": norm, "shading": "nearest", "rasterized": True, "cmap": "Blues"}
    mesh = right.pcolormesh(data["x2"], data["y2"], data["counted2"].T, **style)
    levels = top * np.array([0.01, 0.05, 0.15, 0.4, 0.7])
    right.contour(data["x2"], data["y2"], data["density2"].T, levels, colors=COLORS["viscous"], linewidths=1.2)
    right.plot([], [], color=COLORS["viscous"], label="Fokker-Planck, D(x, y):\n1, 5, 15, 40, 70 % of the top")
    right.set(xlabel="x", ylabel="y", xlim=(-1.8, 1.8), ylim=(-1.3, 1.5))
    right.legend(loc="upper left")
    figure.colorbar(mesh, ax=right, label="density of SGD, counted", ticks=np.arange(0.0, top))
    return figure
