"""What SGD descends is not a property of the loss and the noise alone: Φ = -log(ρ_ss)/β moves with β.

Theorem 6.28 of Chaudhari's thesis has Φ free of β. (a) On a line with noise D(x) it is ∫ f'/D + log(D)/β: as β falls
its minima leave those of f (grey), and the barrier grows. (b) In the plane, with constant D and a loss f, it moves too:
the height of the saddle over the minima, for D = diag(1, s); only s = 1 has Φ = f, at every β. (c) With D(x) the one
formula dX = -f' dt + sqrt(2 D/β) dB is three equations. Read as Ito, Stratonovich or Klimontovich (α = 0, 1/2, 1) it
has three laws, D^(α-1) exp(-β ∫ f'/D): Remark 6.9 has one. Lines: closed forms; points: grids (a, b), paths (c).
"""

import math

import numpy as np

from pdelab import nonequilibrium
from pdelab.claims.fokker_planck import law, moment
from pdelab.claims.nonequilibrium import formula_on_line, on_line
from pdelab.fokker_planck import FokkerPlanck
from pdelab.grid import Grid

NAME = "implicit-potential"
TITLE = "The potential of SGD's density moves with the temperature, and with how the noise is read"
SEED = 0
PARAMETERS = {
    "betas": (0.5, 1.0, 2.0, 4.0), "nodes": 401, "shares": (1.0, 0.5, 0.1), "plane_betas": (1.0, 1.5, 2.0, 3.0, 4.0),
    "plane_nodes": 121, "paths": 1_000_000, "dt": 0.02, "seed": 0,
}  # fmt: skip
QUICK = {"nodes": 201, "plane_nodes": 81, "plane_betas": (1.0, 2.0, 4.0), "paths": 100_000}
READINGS = ("ito", "stratonovich", "klimontovich")
CHECKS = {
    "line_order": (1.8, 2.2),  # in the spacing, of the grid's Φ against the closed form
    "line_moved": (10.0, None),  # how far Φ moves between the outer β, over the grid's error
    "control_moved": (None, 1e-9),  # the saddle's height for D = I: Φ = f
    "saddle_moved": (1.0, None),  # how far that height moves over all β where s < 1, over the change of two grids
    "moment_z": (None, 4.0),  # E x² of paths, extrapolated to dt = 0, against the closed forms, in standard errors
    "one_law_z": (4.0, None),  # and against that of the next reading
}


def compute(betas, nodes, shares, plane_betas, plane_nodes, paths, dt, seed):
    """Potentials on the line, saddles in the plane, and moments and histograms of three readings."""
    return _line(betas, nodes) | _plane(shares, plane_betas, plane_nodes) | _readings(paths, dt, seed)


def _line(betas, nodes):
    errors, coarse = [], (nodes + 1) // 2
    for n in (coarse, nodes):
        grid = on_line(1.0, n)[0]
        computed = np.array([on_line(beta, n)[1] for beta in betas])
        exact = np.array([formula_on_line(beta, grid.x) for beta in betas])
        errors.append(np.abs(computed - exact).max())
    return {
        "x": grid.x, "found": computed, "exact": exact, "betas": np.array(betas),
        "line_order": math.log2(errors[0] / errors[1]),
        "line_moved": np.abs(computed[0] - computed[-1]).max() / errors[1],
    }  # fmt: skip


def _plane(shares, betas, nodes):
    heights = [[[_height(beta, n, share) for beta in betas] for share in shares] for n in ((nodes + 1) // 2, nodes)]
    coarse, fine = np.array(heights)
    moving = np.array(shares) < 1
    return {
        "shares": np.array(shares), "plane_betas": np.array(betas), "heights": fine,
        "control_moved": np.ptp(fine[~moving], axis=1).max(),
        "saddle_moved": (np.abs(fine[:, 0] - fine[:, -1]) / np.abs(fine - coarse).max(1))[moving].min(),
    }  # fmt: skip


def _height(beta, n, share):
    """Φ(0, 0) - min Φ for f = (x² - 1)²/4 + y²/2 + .4 x² y and D = diag(1, share), by splines through the nodes."""
    from scipy.interpolate import RectBivariateSpline
    from scipy.optimize import minimize

    grid = Grid((-2.2, -3.0), (2.2, 2.2), (n, n))
    x, y = np.moveaxis(grid.points, -1, 0)
    noise = np.broadcast_to(np.diag([1.0, share]), (n, n, 2, 2))
    f = (x * x - 1) ** 2 / 4 + y * y / 2 + 0.4 * x * x * y
    phi = RectBivariateSpline(*grid.axes, nonequilibrium.potential(FokkerPlanck(f, diffusion=noise, beta=beta), grid))
    least = minimize(
        lambda p: phi(*p)[0, 0], (1.2, -0.55), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-14}
    )
    return float(phi(0, 0)[0, 0] - least.fun)


def _readings(paths, dt, seed):
    from pdelab.paths import Diffusion, heun, simulate

    edges, places = np.linspace(-2.5, 2.5, 41), np.linspace(-2.5, 2.5, 201)
    laws, shares, squares, errors = [], [], [], []
    for alpha, name in zip((0.0, 0.5, 1.0), READINGS):
        weight = law(alpha)
        values = np.array([weight(x) for x in places])
        laws.append(values / (values.sum() * (places[1] - places[0])))
        equation = Diffusion("-x - x**3", "sqrt(2 + x**2)", interpretation=name)
        ends = [simulate(equation, 0.0, 4.0, step, scheme=heun, paths=paths, seed=seed + k).final
                for k, step in enumerate((dt, dt / 2))]  # fmt: skip
        rough, fine = ((end**2).mean() for end in ends)
        squares.append(2 * fine - rough)
        errors.append(math.sqrt(5 * (ends[1] ** 2).var() / paths))
        shares.append(np.histogram(ends[1], edges)[0] / paths / (edges[1] - edges[0]))
    exact, squares, errors = np.array([moment(alpha) for alpha in (0.0, 0.5, 1.0)]), np.array(squares), np.array(errors)
    other = np.abs(squares[:, None] - exact)[~np.eye(3, dtype=bool)].reshape(3, 2).min(1)
    return {
        "places": places, "laws": np.array(laws), "middles": 0.5 * (edges[1:] + edges[:-1]),
        "shares_of_paths": np.array(shares),
        "moments": exact, "walked_moments": squares, "moment_errors": errors,
        "moment_z": (np.abs(squares - exact) / errors).max(), "one_law_z": (other / errors).min(),
    }  # fmt: skip


def draw(data):
    """Potentials, heights of the saddle against β, and three laws."""
    from pdelab.plotting import COLORS, label_ends, subplots

    figure, (left, middle, right) = subplots(1, 3, size=(8.0, 3.8))
    x, colors = data["x"], [COLORS[name] for name in ("bad", "viscous", "good", "inviscid")]
    f = (x * x - 1) ** 2 / 4
    left.plot(x, f, color="#b0b0b0", lw=2.5, label="f")
    for beta, computed, exact, color in zip(data["betas"], data["found"], data["exact"], colors):
        left.plot(x, exact, color=color, lw=1.0, label=f"β = {beta:g}")
        left.plot(x[::16], computed[::16], ".", ms=4, color=color)
    left.set(xlabel="x", ylabel="Φ, noise D(x)", xlim=(-2.1, 2.1), ylim=(-0.05, 2.0))
    label_ends(left, ncols=2, loc="upper center")
    for share, heights, color in zip(data["shares"], data["heights"], ("#808080", *colors[1:])):
        middle.plot(data["plane_betas"], heights, "o-", ms=4, color=color, label=f"s = {share:g}")
    middle.set(xlabel="β", ylabel="height of the saddle", ylim=(0, None))
    label_ends(middle)
    for name, law_, share, color in zip(READINGS, data["laws"], data["shares_of_paths"], colors[1:]):
        right.plot(data["places"], law_, color=color, label=name)
        right.plot(data["middles"], share, ".", ms=4, color=color)
    right.set(xlabel="x", ylabel="density, one formula")
    label_ends(right, columns=1)
    return figure
