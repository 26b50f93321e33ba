"""A network with a closed form: on a slice of a linear model with squared loss, what the bridge computes is exact."""

from functools import cache

import numpy as np

from pdelab.claims import claim, equal
from pdelab.closed_forms import local_entropy
from pdelab.fokker_planck import FokkerPlanck
from pdelab.generator import generator, mean_exit_time, stationary
from pdelab.grid import Grid
from pdelab.nonequilibrium import linear

ETA = 0.05  # the learning rate


@cache
def model(weights=5, samples=12, seed=0):
    """Samples (a_k, y_k), weights x₀ and the objective of f = (1/N) Σ (a_k·x - y_k)²/2."""
    from pdelab.networks import bridge

    rng = np.random.default_rng(seed)
    a, y, x = rng.normal(size=(samples, weights)), rng.normal(size=samples), rng.normal(size=weights)
    return a, y, x, bridge.linear_model(a, y, x)


@cache
def slice_of(dimension, at_minimum=False):
    """A slice of the model, and the samples seen from it: rows V a_k and residuals at its origin."""
    from pdelab.networks import bridge

    a, y, x, objective = model()
    rows = np.random.default_rng(1).normal(size=(dimension, len(x)))
    basis = np.linalg.qr(rows.T)[0].T
    if at_minimum:
        x = x - basis.T @ np.linalg.lstsq(a @ basis.T, a @ x - y, rcond=None)[0]
    part = bridge.restrict(objective, basis, origin=x)
    return part, a @ part.basis.T, a @ x - y


@claim(
    "B.noise", source="thesis Lemma 6.3 on a slice of a linear model", as_printed="new", needs="networks",
    statement="on a slice u the mini-batch gradient of sum_k (a_k.x - y_k)^2/(2N) has the covariance of the vectors "
    "(V a_k)(a_k.x - y_k) over b, and times (N-b)/(N-1) without replacement",
    perturbation=["with replacement for without", "the noise of the slice's origin everywhere"],
    rejects=[{"factor": 1.0}, {"frozen": True}], tolerance="round-off: 1e-8",
)  # fmt: skip
def noise_of_mini_batches(quick=False, factor=None, frozen=False):
    from pdelab.networks import bridge

    evidence = []
    for dimension in (1, 2, 3):
        part, rows, residual = slice_of(dimension)
        points = np.random.default_rng(2).normal(size=(4, dimension))
        count, batch = len(rows), 5
        for replacement in (True, False):
            share = 1.0 if replacement else (count - batch) / (count - 1)
            share = share if factor is None else factor
            exact = []
            for u in 0 * points if frozen else points:
                g = rows * (residual + rows @ u)[:, None]
                exact.append(share / batch * np.cov(g.T, bias=True).reshape(dimension, dimension))
            covariances = bridge.noise(part, points[:, 0] if dimension == 1 else points, batch, replacement)
            evidence.append(equal(np.array(exact), covariances.reshape(4, dimension, dimension), 1e-8))
    return evidence


@claim(
    "B.entropy", source="thesis (3.9) on a slice and in all of weight space", as_printed="new", needs="networks",
    statement="on a linear model f_gamma = f - (gamma/2) g.(I + gamma H)^-1 g + log det(I + gamma H)/(2 beta), with "
    "the gradient and Hessian of the slice for the slice and of all weights for all",
    perturbation=["the kernel of (3.9), not normalised", "the whole space's value for the slice, and conversely"],
    rejects=[{"normalised": False}, {"swapped": True}], tolerance="quadrature and round-off: 1e-8",
)  # fmt: skip
def local_entropy_of_a_linear_model(quick=False, normalised=True, swapped=False):
    from pdelab.networks import bridge

    gamma, beta = 0.7, 9.0
    a, y, x, objective = model()

    def exact(rows, residual):
        g, H = rows.T @ residual / len(rows), rows.T @ rows / len(rows)
        A = np.eye(len(g)) + gamma * H
        kernel = 0.0 if normalised else len(g) * np.log(2 * np.pi * gamma / beta) / (2 * beta)
        value = (residual @ residual) / (2 * len(rows)) - gamma / 2 * g @ np.linalg.solve(A, g)
        return value + np.linalg.slogdet(A)[1] / (2 * beta) + kernel

    whole = exact(a, a @ x - y)
    full = bridge.volume(objective, gamma, beta, steps=50, settle=20, chains=4, intervals=4).laplace
    evidence, values = [], []
    for dimension in (1, 2):
        part, rows, residual = slice_of(dimension)
        values.append(exact(rows, residual))
        smoothed = float(local_entropy(part.loss, 0.0 if dimension == 1 else np.zeros(2), gamma, beta))
        evidence.append(equal(whole if swapped else values[-1], smoothed, 1e-8))
    return [*evidence, equal(values[0] if swapped else whole, full, 1e-8)]


@claim(
    "B.cov", source="thesis (6.3) on a slice of a linear model", as_printed="new", needs="networks",
    statement="with the noise of the minimum the stationary covariance of SGD's diffusion solves H C + C H = eta S; "
    "with the noise where SGD is, on a line 2 h C = eta (S + s C), s the curvature of the noise over 2",
    perturbation=["the learning rate for its half, D = eta", "the noise frozen at the minimum on the line"],
    rejects=[{"temperature": 2.0}, {"frozen": True}],
    tolerance="round-off in the plane; on the line the grid's error, extrapolated: 1e-8",
)  # fmt: skip
def stationary_covariance(quick=False, temperature=1.0, frozen=False):
    from pdelab.networks import bridge

    plane, rows, residual = slice_of(2, at_minimum=True)
    H, g = rows.T @ rows / len(rows), rows * residual[:, None]
    lyapunov = np.kron(H, np.eye(2)) + np.kron(np.eye(2), H)
    exact = np.linalg.solve(lyapunov, temperature * ETA * (g.T @ g / len(g)).ravel()).reshape(2, 2)
    S = bridge.noise(plane, np.zeros(2), 1)
    covariance = linear(plane.loss.hessian(np.zeros(2)), S, beta=2 / ETA).covariance
    line, rows, residual = slice_of(1, at_minimum=True)
    g, slope = rows[:, 0] * residual, rows[:, 0] ** 2
    h, S, s = slope.mean(), (g**2).mean(), slope.var()
    C = temperature * ETA * S / (2 * h - (0.0 if frozen else temperature * ETA * s))
    coarse, fine = (_variance(line, n) for n in (2001, 4001))
    return [equal(exact, covariance, 1e-8), equal(C, fine + (fine - coarse) / 3, 1e-8)]


def _variance(line, nodes):
    """The stationary variance of Fokker-Planck with the measured noise, on a grid."""
    from pdelab.networks import bridge

    width = 25 * np.sqrt(ETA * bridge.noise(line, 0.0, 1) / (2 * line.loss.hessian(0.0)))
    grid = Grid(-float(width), float(width), nodes)
    problem = FokkerPlanck(line.loss.on(grid), diffusion=bridge.noise(line, grid.x, 1), diffusivity=ETA / 2)
    density = stationary(problem, grid)
    mean = grid.integrate(grid.x * density)
    return float(grid.integrate((grid.x - mean) ** 2 * density))


@claim(
    "B.exit", source="thesis (6.3) on a slice of a linear model", as_printed="new", needs="networks",
    statement="the mean exit time of SGD's diffusion from a box of a plane is the dense solution of -Q t = 1 on the "
    "nodes inside, Q of the exact drift and noise",
    perturbation=["an isotropic noise of equal trace", "the learning rate for its half, D = eta"],
    rejects=[{"isotropic": True}, {"temperature": 2.0}], tolerance="round-off: 1e-8, relative",
)  # fmt: skip
def exit_from_a_box(quick=False, isotropic=False, temperature=1.0):
    from pdelab.networks import bridge

    plane, rows, residual = slice_of(2, at_minimum=True)
    grid = Grid((-0.3, -0.3), (0.3, 0.3), (17, 17), boundary="absorbing")
    u = grid.points
    errors = residual + u @ rows.T
    g = errors[..., None] * rows
    centred = g - g.mean(-2, keepdims=True)
    D = centred.swapaxes(-1, -2) @ centred / len(rows)
    if isotropic:
        D = np.trace(D, axis1=-2, axis2=-1)[..., None, None] / 2 * np.eye(2)
    f = np.square(errors).mean(-1) / 2
    Q = generator(FokkerPlanck(f, diffusion=D, diffusivity=temperature * ETA / 2), grid).toarray()
    problem = FokkerPlanck(plane.loss.on(grid), diffusion=bridge.noise(plane, u, 1), diffusivity=ETA / 2)
    times = mean_exit_time(problem, grid)[1:-1, 1:-1].ravel()
    inside = np.zeros(grid.shape, bool)
    inside[1:-1, 1:-1] = True
    block = Q[np.ix_(inside.ravel(), inside.ravel())]
    return equal(1.0, times / np.linalg.solve(-block, np.ones(len(block))), 1e-8)
