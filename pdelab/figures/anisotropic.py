"""Strongly anisotropic diffusion on a square grid: Selling's stencil stays positive, plain differences do not.

A narrow Gaussian spreads under a constant D whose axes are tilted against the grid; the exact answer is a Gaussian of
covariance Σ_0 + 2 D t. Both discretisations are second order in space; only one is a Markov generator.
"""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

NAME = "anisotropic"
TITLE = "Tilted diffusion: Selling's stencil keeps the density positive, the cross difference does not"
PARAMETERS = {"n": 129, "ratio": 0.01, "angle": 0.5, "spread": 0.04, "end": 0.05, "steps": 100}
QUICK = {"n": 97, "steps": 60}
CHECKS = {
    "selling_smallest_rate": (-1e-15, None),
    "selling_minimum": (0.0, None),
    "selling_mass_drift": (None, 1e-12),
    "cross_smallest_rate": (None, 0.0),
    "cross_minimum": (None, -1e-3),
    "selling_covariance_error": (None, 0.05),
    "cross_covariance_error": (None, 0.05),
}


def compute(n, ratio, angle, spread, end, steps):
    """The density at `end` by the generator and by central cross differences, and their distance to the exact law."""
    import pdelab as pl

    grid = pl.Grid((-1.0, -1.0), (1.0, 1.0), (n, n))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    tensor = turn @ np.diag([1.0, ratio]) @ turn.T
    field = np.broadcast_to(tensor, (n, n, 2, 2)).copy()
    r2 = (grid.points**2).sum(-1)
    start = np.exp(-r2 / (2 * spread**2))
    start /= grid.integrate(start)
    problem = pl.FokkerPlanck(diffusion=field, diffusivity=1.0)
    Q = pl.generator(problem, grid)
    solution = pl.solve(problem, start, grid, end, dt=end / steps)
    cross = _cross_differences(tensor, n, grid.spacing[0])
    plain = _backward_euler(cross, start, end, steps)
    exact = spread**2 * np.eye(2) + 2 * end * tensor
    sizes = {"selling": solution.final, "cross": plain}
    errors = {
        f"{name}_covariance_error": float(np.abs(_covariance(grid, rho) - exact).max() / exact.max())
        for name, rho in sizes.items()
    }
    return {
        "x": grid.axes[0], "selling": solution.final, "cross": plain, "peak": float(solution.final.max()),
        "selling_smallest_rate": float((Q - sparse.diags(Q.diagonal())).min()),
        "cross_smallest_rate": float((cross - sparse.diags(cross.diagonal())).min()),
        "selling_minimum": float(solution.final.min()), "cross_minimum": float(plain.min() / plain.max()),
        "selling_mass_drift": float(np.max(solution.info["mass_drift"])), **errors,
    }  # fmt: skip


def _cross_differences(tensor, n, h):
    """D:∇² by central second differences and the four-corner mixed one, on the inner nodes (the rest stays put)."""
    second = sparse.diags([1.0, -2.0, 1.0], [-1, 0, 1], (n, n)) / h**2
    first = sparse.diags([-1.0, 1.0], [-1, 1], (n, n)) / (2 * h)
    identity = sparse.identity(n)
    total = tensor[0, 0] * sparse.kron(second, identity) + tensor[1, 1] * sparse.kron(identity, second)
    return (total + 2 * tensor[0, 1] * sparse.kron(first, first)).tocsc()


def _backward_euler(matrix, start, end, steps):
    solve = splu(sparse.identity(matrix.shape[0], format="csc") - end / steps * matrix).solve
    density = start.ravel()
    for _ in range(steps):
        density = solve(density)
    return density.reshape(start.shape)


def _covariance(grid, density):
    density = density / grid.integrate(density)
    x = grid.points
    return np.array([[grid.integrate(density * x[..., i] * x[..., j]) for j in range(2)] for i in range(2)])


def draw(data):
    """Two maps on one colour scale; what is negative is magenta."""
    import matplotlib

    from pdelab.plotting import subplots

    figure, axes = subplots(1, 2, size=(8.0, 4.4), sharey=True)
    colours = matplotlib.colormaps["viridis"].with_extremes(under="#d6399c")
    titles = {"selling": "Selling: smallest value {:.1e}", "cross": "cross difference: smallest {:.1%} of the peak"}
    for ax, (name, title) in zip(axes, titles.items()):
        field = data[name]
        norm = matplotlib.colors.Normalize(-1e-4 * float(data["peak"]), float(data["peak"]))
        mesh = ax.pcolormesh(data["x"], data["x"], field.T, cmap=colours, norm=norm, shading="nearest", rasterized=True)
        smallest = float(field.min()) if name == "selling" else float(data["cross_minimum"])
        ax.set(title=title.format(smallest), xlabel="x", aspect="equal", xlim=(-0.7, 0.7), ylim=(-0.7, 0.7))
    axes[0].set_ylabel("y")
    figure.colorbar(mesh, ax=axes, label="density (magenta: negative)", extend="min", shrink=0.85)
    return figure
