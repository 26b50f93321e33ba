"""Thirty random problems of one to three dimensions, in any units and at any temperature, against 250-digit algebra."""

import math

import mpmath
import numpy as np
import pytest
from exact_chains import Chain
from scipy.linalg import expm

import pdelab as pl
from pdelab import nonequilibrium
from pdelab.fokker_planck import BackwardKolmogorov, FokkerPlanck
from pdelab.generator import (
    INTERPRETATIONS,
    committor,
    current,
    divergence,
    generator,
    log_stationary,
    mean_exit_time,
    spectral_gap,
    stationary,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:drift|the nodes|the density bends"
)  # chains of coarse grids against exact arithmetic
DIGITS = 250
SEEDS = range(30)


def hard(seed):
    """(grid, coefficients, random numbers): sizes and diffusivities of 1e±8, wells of 0.01 to 60 kT between nodes.

    Constant, diagonal and full matrices that change with the place, and nearly degenerate ones; winds from nothing to
    thirty diffusions a cell; reflecting and periodic walls.
    """
    rng = np.random.default_rng(seed)
    d = 1 + seed % 3
    shape = ((int(rng.integers(6, 22)),), tuple(rng.integers(3, 6, 2).tolist()), (3, 3, 3))[d - 1]
    walls = tuple(str(rng.choice(["reflecting", "periodic"])) for _ in shape)
    L, D = 10.0 ** rng.uniform(-8, 8, 2)
    grid = pl.Grid((0.0,) * d, (L,) * d, shape, boundary=walls)
    h = np.array(grid.spacing)
    kind = ("constant", "diagonal", "full", "thin")[(seed // 3) % 4]
    # a full matrix has long offsets: what lies 60 kT apart between neighbours is for the axes alone
    U = rng.normal(size=shape) * 10.0 ** rng.uniform(-2, 1.3 if kind in ("constant", "diagonal") else 0.5) * D
    b = rng.normal(size=(*shape, d)) * 10.0 ** rng.uniform(-6, 1.5 if kind != "thin" else 0.0) * D / h
    given = {"diffusivity": D, "interpretation": INTERPRETATIONS[seed % 4]}
    if kind == "diagonal":
        given["diffusion"] = (0.1 + rng.random((*shape, d)))[..., None] * np.eye(d)
    elif kind == "full":
        root = rng.normal(size=(*shape, d, d))
        given["diffusion"] = root @ np.swapaxes(root, -1, -2) + 0.1 * np.eye(d)
    elif kind == "thin":
        v = rng.normal(size=d)
        given["diffusion"] = np.broadcast_to(np.outer(v, v) + 0.02 * np.eye(d), (*shape, d, d)).copy()
    if d == 1:
        given = {k: v[..., 0, 0] if k == "diffusion" else v for k, v in given.items()}
        grid, b = pl.Grid(0.0, L, shape[0], boundary=walls[0]), b[..., 0]
    return grid, {"potential": U, "drift": b if seed % 5 else None} | given, rng


@pytest.fixture(scope="module", params=SEEDS)
def case(request):
    grid, given, rng = hard(request.param)
    problem = FokkerPlanck(**given)
    with mpmath.workdps(DIGITS):
        chain = Chain(generator(problem, grid))
        yield grid, given, problem, chain, chain.law(), rng


@pytest.mark.filterwarnings("ignore:current. along axis")
def test_laws_currents_and_entropy(case):
    grid, _, problem, chain, law, _ = case
    assert min(law) > 0
    logs = log_stationary(problem, grid).ravel() + np.log(grid.weights).ravel()
    exact = np.array([float(mpmath.log(m)) for m in law])
    np.testing.assert_allclose(logs, exact, rtol=1e-13, atol=1e-12)
    rho = stationary(problem, grid)
    assert rho.min() >= 0 and grid.integrate(rho) == pytest.approx(1, rel=1e-12)
    traffic = max(law[i] * -chain.Q[i, i] for i in range(chain.n))
    net, produced = current(problem, grid, rho), mpmath.mpf(0)
    assert np.abs(divergence(net, grid) * grid.weights).max() <= 1e-12 * float(traffic)
    both = True
    for i in range(chain.n):
        for j in range(i):
            ahead, back = law[i] * chain.Q[i, j], law[j] * chain.Q[j, i]
            both &= (ahead > 0) == (back > 0)
            produced += (ahead - back) * mpmath.log(ahead / back) if ahead > 0 and back > 0 else 0
    if both:  # else it is the integral over the field
        production = nonequilibrium.entropy_production(problem, grid)
        assert abs(production - produced) <= 1e-9 * produced + 1e-26 * traffic


def test_times_and_chances(case):
    grid, _, problem, chain, _, rng = case
    first = int(rng.integers(chain.n))
    second = (first + 1 + int(rng.integers(chain.n - 1))) % chain.n
    a, b = np.zeros((2, *grid.shape), dtype=bool)
    a.ravel()[first], b.ravel()[second] = True, True
    nodes = [i for i in range(chain.n) if i != first]
    logs = mean_exit_time(problem, grid, a, logarithm=True).ravel()
    exact = chain.solved(nodes, [1] * len(nodes))
    np.testing.assert_allclose(logs[nodes], [float(mpmath.log(t)) for t in exact], rtol=1e-13, atol=1e-12)
    nodes = [i for i in range(chain.n) if i not in (first, second)]
    chance = committor(problem, grid, a, b).ravel()
    exact = chain.solved(nodes, [chain.Q[i, second] for i in nodes])
    assert chance.min() >= 0 and chance.max() <= 1
    np.testing.assert_allclose(chance[nodes], [float(q) for q in exact], rtol=1e-12, atol=1e-300)


def test_gaps(case):
    grid, _, problem, chain, law, _ = case
    gap = spectral_gap(problem, grid)
    # det(Q - λ) = λ p(λ): the slowest of p is a root, and the gap is the smallest real part
    if chain.n > 16:
        rates = np.linalg.eigvals(-generator(problem, grid).toarray())
        wrong = 1e-13 * np.abs(rates).max() * chain.n
        assert gap >= 0 and abs(gap - np.sort(rates.real)[1]) < wrong + 1e-6 * gap
        return
    with mpmath.workdps(60):
        rates = sorted(mpmath.eig(chain.Q, left=False, right=False), key=abs)[1:]
        assert gap == pytest.approx(float(min(-mpmath.re(rate) for rate in rates)), rel=1e-9)


@pytest.mark.filterwarnings("ignore::pdelab.stepping.AccuracyWarning")
def test_densities_and_functions(case):
    grid, given, problem, chain, _, rng = case
    fastest = float(max(-chain.Q[i, i] for i in range(chain.n)))
    start = rng.random(grid.shape) ** 8
    start /= grid.integrate(start)
    v = rng.normal(size=grid.shape)
    Q = generator(problem, grid).toarray()
    for steps in (1e-2, 1.0, 1e3):
        dt = steps / fastest
        for scheme in ("implicit", "crank_nicolson"):
            run = {"scheme": scheme, "dt": dt, "rtol": math.inf}
            rho = pl.solve(problem, start, grid, 3 * dt, **run)
            u = pl.solve(BackwardKolmogorov(**given), v, grid, 3 * dt, **run).final
            assert rho.info["mass_drift"].max() < 1e-13 and (scheme != "implicit" or rho.final.min() >= 0)
            assert abs(grid.integrate(u * start) - grid.integrate(v * rho.final)) < 1e-12 * np.abs(v).max()
    end = 1 / fastest
    exact = (expm(Q.T * end) @ (grid.weights * start).ravel()).reshape(grid.shape) / grid.weights
    solution = pl.solve(problem, start, grid, end)
    assert grid.integrate(np.abs(solution.final - exact)) < 3 * max(solution.info["time_error"], 1e-9)
    assert solution.info["time_error"] <= 1e-3
