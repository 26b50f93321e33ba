"""Full diffusion matrices at walls: no flux, absorption, and the orders of both."""

import math

import numpy as np
import pytest
from observed import orders
from scipy import sparse
from scipy.linalg import expm, solve_continuous_lyapunov
from scipy.sparse.linalg import expm_multiply, spsolve

import pdelab as pl
from pdelab import BackwardKolmogorov, FokkerPlanck
from pdelab.generator import current, divergence, generator, mean_exit_time, stationary

INTERPRETATIONS = ("ito", "stratonovich", "klimontovich", "fick")


def turned(angle, *values):
    """Rotation of diag(values) by a field of angles, in the first plane and, in three dimensions, in the last."""
    d, c, s = len(values), np.cos(angle), np.sin(angle)
    R = np.zeros((*np.shape(angle), d, d)) + np.eye(d)
    R[..., 0, 0], R[..., 0, 1], R[..., 1, 0], R[..., 1, 1] = c, -s, s, c
    if d == 3:
        S = np.zeros_like(R) + np.eye(3)
        S[..., 1, 1], S[..., 1, 2], S[..., 2, 1], S[..., 2, 2] = c, -s, s, c
        R = R @ S
    return R @ np.diag(values) @ np.swapaxes(R, -1, -2)


def box(d, n, boundary="reflecting"):
    return pl.Grid((0.0,) * d, (1.0, 1.2, 0.9)[:d], n, boundary=boundary)


@pytest.mark.parametrize("d, n", [(2, 11), (2, 32), (3, 7)])
@pytest.mark.parametrize("kind", ["constant", "turning", "needle"])
def test_without_drift_a_constant_density_is_stationary_under_ficks_law(d, n, kind):
    grid = box(d, n)
    x = grid.points[..., 0]
    smallest = 0.003 if kind == "needle" else 0.2
    matrix = turned(0.6 + 0 * x if kind == "constant" else 0.4 + 2 * x, 1.0, *[smallest] * (d - 1))
    problem = FokkerPlanck(diffusivity=0.7, diffusion=matrix, interpretation="fick")
    np.testing.assert_allclose(stationary(problem, grid), 1 / math.prod(grid.upper), rtol=1e-11)
    Q = generator(problem, grid).toarray()
    np.testing.assert_allclose(grid.weights.ravel() @ Q, 0, atol=1e-11 * np.abs(Q).max())
    flows = current(problem, grid, np.ones(grid.shape))
    assert max(np.abs(J).max() for J in flows) < 1e-11 * np.abs(Q).max()


def test_the_corner_of_the_unit_box_is_like_everywhere_else():
    grid = pl.Grid((0, 0), (1, 1), 21)
    matrix = np.broadcast_to(np.array([[1.0, 0.6], [0.6, 1.0]]) / 2, (21, 21, 2, 2))
    problem = FokkerPlanck(diffusivity=1.0, diffusion=matrix, interpretation="fick")
    end = pl.solve(problem, np.ones((21, 21)), grid, 1.0, dt=0.05)
    np.testing.assert_allclose(end.final, 1, rtol=1e-12)
    bump = np.exp(-20 * ((grid.points - 0.3) ** 2).sum(axis=-1))
    late = pl.solve(problem, bump, grid, 20.0, dt=0.2)
    np.testing.assert_allclose(late.final, grid.integrate(bump), rtol=1e-9)
    assert late.info["mass_drift"].max() < 1e-12 and late.info["minimum"].min() > 0


def gibbs_problem(grid, interpretation, c=1.5):
    """A drift for which exp(-Φ) solves div(a grad ρ - β ρ) = 0 with no flux at all, β = -a grad Φ, and exp(-Φ)."""
    points = grid.points
    x, d = points[..., 0], grid.dimension
    angle = lambda x: 0.3 + 0.8 * x  # noqa: E731
    values = (1.0, 0.3, 0.5)[:d]
    phi = c * (np.cos(2.5 * x) + 0.5 * x * points[..., -1])
    grad = np.zeros(points.shape)
    grad[..., 0] = c * (-2.5 * np.sin(2.5 * x) + 0.5 * points[..., -1])
    grad[..., -1] += c * 0.5 * x
    a, step = turned(angle(x), *values), 1e-5
    slope = lambda f: (f(x + step) - f(x - step)) / (2 * step)  # noqa: E731 - coefficients depend on x_1 alone
    div_a = slope(lambda x: turned(angle(x), *values))[..., :, 0]
    drift = -np.einsum("...ij,...j", a, grad)
    if interpretation != "fick":
        root = lambda x: turned(angle(x), *np.sqrt(values))  # noqa: E731
        alpha = {"ito": 0.0, "stratonovich": 0.5, "klimontovich": 1.0}[interpretation]
        drift = drift + div_a - 2 * alpha * np.einsum("...j,...ij->...i", root(x)[..., 0, :], slope(root))
    gibbs = np.exp(-phi)
    problem = FokkerPlanck(drift=drift, diffusivity=1.0, diffusion=a, interpretation=interpretation)
    return problem, gibbs / grid.integrate(gibbs)


@pytest.mark.parametrize("interpretation", INTERPRETATIONS)
def test_laws_without_flux_through_walls_are_second_order(interpretation):
    errors = []
    for n in (21, 41, 81):
        grid = box(2, n)
        problem, gibbs = gibbs_problem(grid, interpretation)
        errors.append(grid.integrate(np.abs(stationary(problem, grid) - gibbs)))
    assert (np.abs(orders(errors) - 2) < 0.2).all() and errors[-1] < 1e-3, errors


@pytest.mark.filterwarnings("ignore:the nodes are too far apart")  # as the law's errors, which are looked at, say
@pytest.mark.parametrize("interpretation", INTERPRETATIONS)
def test_laws_without_flux_through_walls_in_three_dimensions(interpretation):
    errors = []
    for n in (6, 11, 16):
        grid = box(3, n)
        problem, gibbs = gibbs_problem(grid, interpretation)
        errors.append(np.abs(stationary(problem, grid) - gibbs).max())
    rates = np.log(np.array(errors[:-1]) / errors[1:]) / np.log([2.0, 1.5])
    assert (rates > 1.3).all() and errors[-1] < 0.1, (errors, rates)


@pytest.mark.parametrize("smallest, angle", [(0.2, 0.5), (0.3, math.pi / 4), (0.02, 0.3)])
@pytest.mark.parametrize("boundary", ["reflecting", "absorbing"])
def test_boundary_value_problems_are_second_order(smallest, angle, boundary):
    """v with grad v = 0 on reflecting walls, v = 0 on absorbing ones, from its source -div(a grad v)."""
    errors = []
    for n in (17, 33, 65):
        grid = pl.Grid((0, 0), (1, 1), n, boundary=boundary)
        x, y = np.pi * grid.points[..., 0], np.pi * grid.points[..., 1]
        a = turned(0.0 * x + angle, 1.0, smallest)
        if boundary == "reflecting":
            v = np.sin(x) ** 2 * np.sin(y) ** 2
            xx, yy, xy = (2 * np.cos(2 * x) * np.sin(y) ** 2, 2 * np.cos(2 * y) * np.sin(x) ** 2,
                          np.sin(2 * x) * np.sin(2 * y))  # fmt: skip
        else:
            v = np.sin(x) * np.sin(y)
            xx, yy, xy = -v, -v, np.cos(x) * np.cos(y)
        source = np.pi**2 * (a[..., 0, 0] * xx + a[..., 1, 1] * yy + 2 * a[..., 0, 1] * xy)
        problem = FokkerPlanck(diffusivity=1.0, diffusion=a, interpretation="fick")
        errors.append(np.abs(solved(generator(problem, grid), source, grid, v) - v).max())
    if boundary == "absorbing" and smallest == 0.02:  # offsets of several nodes, more of them on finer grids
        assert errors[-1] < 0.03 and errors[-1] < errors[-2] / 1.8, errors
    else:
        assert (orders(errors) > 1.8).all(), errors


def solved(Q, source, grid, v):
    """u with Q u = source: of the mean of v, or zero on the absorbing ends."""
    w, inner = grid.weights.ravel(), np.flatnonzero(~grid.absorbing.ravel())
    if grid.absorbing.any():
        u = np.zeros(w.size)
        u[inner] = spsolve(Q[inner][:, inner].tocsc(), source.ravel()[inner])
        return u.reshape(grid.shape)
    source = source - grid.integrate(source)
    bordered = sparse.block_array([[Q, np.ones((w.size, 1))], [w[None], None]]).tocsc()
    return spsolve(bordered, np.append(source.ravel(), w @ v.ravel()))[:-1].reshape(grid.shape)


@pytest.mark.parametrize("seed", range(6))
def test_any_matrix_gives_a_conservative_chain_with_its_current(seed):
    rng = np.random.default_rng(seed)
    d = 2 + seed % 2
    shape = tuple(rng.integers(2, 8, d))
    names = [("reflecting", "periodic", "absorbing", ("absorbing", "reflecting"))[k] for k in rng.integers(0, 4, d)]
    grid = pl.Grid((0.0,) * d, tuple(rng.uniform(0.3, 2.0, d)), shape, boundary=names)
    sigma = rng.normal(size=(*shape, d, rng.integers(1, d + 1)))
    problem = FokkerPlanck(
        rng.normal(size=shape), 5 * rng.normal(size=(*shape, d)), beta=1.0, sigma=sigma,
        interpretation=INTERPRETATIONS[seed % 4],
    )  # fmt: skip
    Q = generator(problem, grid).toarray()
    off = Q - np.diag(np.diag(Q))
    assert (off >= 0).all() and not Q[grid.absorbing.ravel()].any()
    np.testing.assert_allclose(Q.sum(axis=1), 0, atol=1e-12 * np.abs(Q).max())
    rho = np.where(grid.absorbing, 0.0, rng.random(shape))
    change = (Q.T @ (grid.weights * rho).ravel()).reshape(shape)
    carried = -divergence(current(problem, grid, rho), grid) * grid.weights
    np.testing.assert_allclose(carried, change, atol=1e-11 * np.abs(change).max())


def test_exits_of_a_tilted_diffusion_through_a_strip():
    """Across the strip the time is that of the line with diffusivity a_11, whatever the tilt."""
    grid = pl.Grid((0.0, 0.0), (1.0, 1.0), (21, 12), boundary=("absorbing", "periodic"))
    a = np.broadcast_to(np.array([[0.8, 0.5], [0.5, 0.6]]), (21, 12, 2, 2))
    times = mean_exit_time(FokkerPlanck(diffusivity=1.0, diffusion=a), grid)
    x = grid.points[..., 0]
    np.testing.assert_allclose(times, x * (1 - x) / (2 * 0.8), atol=5e-4)
    square = pl.Grid((0.0, 0.0), (1.0, 1.0), (21, 20), boundary=("absorbing", "periodic"))  # offsets of one node
    times = mean_exit_time(FokkerPlanck(diffusivity=1.0, diffusion=np.broadcast_to(a[0, 0], (21, 20, 2, 2))), square)
    np.testing.assert_allclose(times[:, 0], square.axes[0] * (1 - square.axes[0]) / (2 * 0.8), atol=1e-12)
    solution = pl.solve(FokkerPlanck(diffusivity=1.0, diffusion=a), np.ones(grid.shape), grid, [0.1, 0.4], dt=2e-3,
                        rtol=math.inf)  # fmt: skip
    assert solution.info["mass_drift"].max() < 1e-12 and (solution.info["flux"][:, 0] > 0).all()


def test_a_tilted_diffusion_and_its_adjoint_at_walls_stay_dual():
    rng = np.random.default_rng(1)
    grid = box(2, 12, ("reflecting", ("absorbing", "reflecting")))
    options = {"beta": 1.0, "diffusion": turned(grid.points[..., 0], 1.0, 0.1), "drift": rng.normal(size=(12, 12, 2))}
    rho, v = rng.random((2, 12, 12))
    forward = pl.solve(FokkerPlanck(**options), rho, grid, 0.1, dt=0.02, rtol=math.inf).final
    backward = pl.solve(BackwardKolmogorov(**options), v, grid, 0.1, dt=0.02, rtol=math.inf).final
    inner = ~grid.absorbing
    assert grid.integrate(inner * v * forward) == pytest.approx(grid.integrate(inner * rho * backward), rel=1e-11)


@pytest.mark.parametrize("scale, low, high", [(1.0, 1.75, 2.25), (0.005, 0.75, 1.35)])
def test_orders_with_a_turning_wind(scale, low, high):
    """The Gaussian of a linear drift that turns: second order where the diffusion is resolved, first elsewhere."""
    t, mean, spread = 0.3, np.array([1.0, 0.3]), 0.15 * np.eye(2)
    a, B = scale * turned(0.5, 1.0, 0.3), np.array([[-1.0, -2.0], [2.0, -0.7]])
    rest = solve_continuous_lyapunov(B, -2 * a)
    moved = expm(B * t)

    def gauss(points, m, S):
        away = points - m
        return np.exp(-0.5 * np.einsum("...i,ij,...j", away, np.linalg.inv(S), away)) / (
            2 * np.pi * math.sqrt(np.linalg.det(S))
        )

    errors = []
    for n in (41, 81, 161):
        grid = pl.Grid((-5, -5), (5, 5), n)
        problem = FokkerPlanck(drift=grid.points @ B.T, diffusivity=1.0, diffusion=np.broadcast_to(a, (n, n, 2, 2)))
        w = grid.weights.ravel()
        masses = expm_multiply(generator(problem, grid).T * t, w * gauss(grid.points, mean, spread).ravel())
        exact = gauss(grid.points, moved @ mean, moved @ (spread - rest) @ moved.T + rest)
        errors.append(np.abs(masses - w * exact.ravel()).sum())
    rate = orders(errors)[-1]
    assert low < rate < high, errors


@pytest.mark.parametrize("scale", [0.3, 0.01])
def test_limited_fluxes_with_a_full_matrix_are_second_order_at_any_peclet_number(scale):
    """The turning wind again, by `high_resolution`: where the generator's rates are far off."""
    t, mean, spread = 0.3, np.array([1.0, 0.3]), 0.15 * np.eye(2)
    a, B = scale * turned(0.5, 1.0, 0.3), np.array([[-1.0, -2.0], [2.0, -0.7]])
    rest, moved = solve_continuous_lyapunov(B, -2 * a), expm(B * t)

    def gauss(points, m, S):
        values = np.exp(-0.5 * np.einsum("...i,ij,...j", points - m, np.linalg.inv(S), points - m))
        return values / (2 * np.pi * math.sqrt(np.linalg.det(S)))

    errors, smeared = [], []
    for n in (33, 65, 129):
        grid = pl.Grid((-4, -4), (4, 4), n)
        problem = FokkerPlanck(drift=grid.points @ B.T, diffusivity=1.0, diffusion=np.broadcast_to(a, (n, n, 2, 2)))
        start = gauss(grid.points, mean, spread)
        run = pl.solve(problem, start, grid, t, scheme="high_resolution", rtol=math.inf)
        assert run.info["minimum"][-1] >= 0 and run.info["mass_drift"].max() < 1e-13
        exact = gauss(grid.points, moved @ mean, moved @ (spread - rest) @ moved.T + rest)
        errors.append(grid.integrate(np.abs(run.final - exact)))
        if n == 65:
            with pytest.warns(pl.AccuracyWarning, match="finer grid"):
                rough = pl.solve(problem, start, grid, t, scheme="crank_nicolson", dt=t / 20, rtol=1.0)
            smeared = grid.integrate(np.abs(rough.final - exact)), rough.info["smearing"]
    assert orders(errors).min() > 1.75, errors
    assert errors[1] < smeared[0] / 4 and smeared[1] > 0.05


@pytest.mark.parametrize("interpretation", INTERPRETATIONS)
def test_limited_fluxes_keep_the_co_normal_wall(interpretation):
    """Gibbs with no flux at all through tilted walls stays where it is, to second order."""
    errors = []
    for n in (17, 33):
        grid = box(2, n)
        problem, gibbs = gibbs_problem(grid, interpretation, c=1.0)
        run = pl.solve(problem, gibbs, grid, 0.5, scheme="high_resolution", rtol=math.inf)
        errors.append(grid.integrate(np.abs(run.final - gibbs)))
        assert run.info["minimum"].min() > 0 and run.info["mass_drift"].max() < 1e-13
    assert orders(errors)[0] > 1.6 and errors[-1] < 0.01, errors


@pytest.mark.parametrize("seed", range(4))
def test_limited_fluxes_of_any_matrix_are_positive_and_conservative(seed):
    rng = np.random.default_rng(seed)
    d = 2 + seed % 2
    shape = (9, 8, 7)[:d]
    grid = pl.Grid((0.0,) * d, (1.0,) * d, shape, boundary=("periodic", "reflecting", "reflecting")[:d])
    root, b = rng.normal(size=(*shape, d, d)), 30 * rng.normal(size=(*shape, d))
    problem = FokkerPlanck(drift=b, diffusivity=0.1, sigma=root, interpretation=INTERPRETATIONS[seed])
    start = rng.random(shape) ** 8
    run = pl.solve(problem, start, grid, 0.02, scheme="high_resolution", cfl=1.0, rtol=math.inf)
    assert run.info["minimum"].min() >= 0 and run.info["mass_drift"].max() < 1e-13


@pytest.mark.parametrize("shape", [(17,), (9, 8), (5, 4, 6)])
@pytest.mark.parametrize("boundary", ["reflecting", "periodic"])
def test_ficks_law_on_the_axes_keeps_constants(shape, boundary):
    rng = np.random.default_rng(len(shape))
    d = len(shape)
    grid = pl.Grid((0.0,) * d, (1.0,) * d, shape, boundary=boundary)
    diagonal = 0.1 + rng.random((*shape, d))
    matrix = diagonal[..., 0] if d == 1 else diagonal[..., None] * np.eye(d)
    problem = FokkerPlanck(beta=1.0, diffusion=matrix, interpretation="fick")
    np.testing.assert_allclose(stationary(problem, grid), 1.0, rtol=1e-12)
    moving = FokkerPlanck(lambda t: np.zeros(shape), beta=1.0, diffusion=matrix, interpretation="fick")
    for case in (problem, moving):
        end = pl.solve(case, np.ones(shape), grid, 0.1, dt=0.02, rtol=math.inf).final
        np.testing.assert_allclose(end, 1.0, rtol=1e-12)


def test_ficks_law_without_noise_in_places_is_upwind():
    grid = pl.Grid(0.0, 1.0, 6)
    a, b = np.array([0.0, 0.0, 0.0, 0.3, 0.4, 0.5]), np.array([1.0, 1.0, 1.0, -2.0, 1.0, 0.0])
    Q = generator(FokkerPlanck(drift=b, beta=1.0, diffusion=a, interpretation="fick"), grid).toarray()
    assert np.isfinite(Q).all() and (Q - np.diag(np.diag(Q)) >= 0).all()
    assert Q[0, 1] == pytest.approx(2 * 1.0 / 0.2, rel=1e-12) and Q[1, 0] == 0


def test_ficks_law_with_limited_fluxes_is_the_same_equation():
    errors = []
    for n in (41, 81, 161):
        grid = pl.Grid(0.0, 1.0, n)
        a, start = 0.05 * (1 + 0.8 * np.sin(5 * grid.x)), 1 + np.cos(np.pi * grid.x)
        problem = FokkerPlanck(beta=1.0, diffusion=a, interpretation="fick")
        flat = pl.solve(problem, np.ones(n), grid, 0.1, scheme="high_resolution").final
        np.testing.assert_allclose(flat, 1.0, rtol=1e-12)
        ends = [pl.solve(problem, start, grid, 0.5, scheme=scheme).final for scheme in ("high_resolution", None)]
        errors.append(np.abs(ends[0] - ends[1]).max())
    assert errors[-1] < 1e-3 and errors[-1] < errors[0] / 4, errors
