"""Absorbing ends: densities, survival, fluxes and exit problems against exact answers."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from scipy.linalg import expm
from scipy.special import erf

import pdelab as pl
from pdelab import BackwardKolmogorov, FokkerPlanck
from pdelab.fokker_planck import chebyshev, compact, crank_nicolson, explicit, first_passage, implicit, spectral
from pdelab.generator import committor, current, divergence, generator, mean_exit_time, spectral_gap, splitting
from pdelab.stepping import AccuracyWarning

D = 0.4


def interval(x, start, t, length=1.0):
    """Density of Brownian motion of diffusivity D from `start`, absorbed at 0 and `length`: the sine series."""
    k = np.pi * np.arange(1, 200)[:, None] / length
    return (2 / length * np.sin(k * x) * np.sin(k * start) * np.exp(-D * k**2 * t)).sum(axis=0)


def interval_flux(start, t):
    """What leaves through (0, 1) at time t, from the derivatives of the series."""
    k = np.pi * np.arange(1, 200)
    terms = 2 * D * k * np.sin(k * start) * np.exp(-D * k**2 * t)
    return np.array([terms.sum(), -(terms * (-1.0) ** np.arange(1, 200)).sum()])


def interval_survival(start, t):
    k = np.pi * np.arange(1, 200, 2)
    return float((4 / k * np.sin(k * start) * np.exp(-D * k**2 * t)).sum())


@pytest.mark.parametrize(
    "scheme, order, options",
    [
        (crank_nicolson, 2, {"dt": 2e-4}),
        (chebyshev, 2, {}),
        (compact, 4, {"dt": 5e-4}),
    ],
)
def test_brownian_motion_between_absorbing_ends(scheme, order, options):
    begin, end, errors = 0.01, 0.16, []
    for n in (17, 33, 65):
        grid = pl.Grid(0.0, 1.0, n, boundary="absorbing")
        start = np.maximum(interval(grid.x, 0.3, begin), 0.0)
        start[[0, -1]] = 0.0
        solution = pl.solve(FokkerPlanck(0 * grid.x, diffusivity=D), start, grid, end - begin, scheme=scheme, **options)
        assert solution.info["mass_drift"].max() < 1e-13
        assert solution.final[0] == solution.final[-1] == 0.0
        error = [
            np.abs(solution.final - interval(grid.x, 0.3, end)).max(),
            abs(solution.info["mass"][0] - interval_survival(0.3, end)),
            np.abs(solution.info["flux"][0, 0] - interval_flux(0.3, end)).max() if order == 2 else 0.0,
        ]
        errors.append(error)
    errors = np.array(errors)[:, : 3 if order == 2 else 1]
    rates = np.log2(errors[:-1] / errors[1:])
    assert (rates[-1] > order - 0.2).all() and (rates[-1] < order + 0.5).all(), (errors, rates)


@pytest.mark.parametrize("kind", [FokkerPlanck, BackwardKolmogorov])
@pytest.mark.parametrize("name", ["implicit", "crank_nicolson", "compact", "chebyshev", "explicit"])
def test_the_error_in_time_is_that_of_what_is_left(kind, name):
    """The slowest mode alone, of which 1e-4 and 1e-26 are left, against its rate on the nodes."""
    n = 33 if name in ("explicit", "chebyshev") else 101
    grid, h = pl.Grid(0.0, 1.0, n, boundary="absorbing"), 1 / (n - 1)
    start = np.where(grid.absorbing, 0.0, np.sin(np.pi * grid.x))
    rate = D * np.pi**2 if name == "compact" else D * (2 / h * np.sin(np.pi * h / 2)) ** 2
    for time, scale in ((2.5, 1.0), (15.0, 1.0), (15.0, 0.05)):
        if name == "explicit" and scale < 1:
            continue
        problem, options = kind(0 * grid.x, diffusivity=D), {"dt": scale * 0.01} if scale < 1 else {}
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            run = pl.solve(problem, start, grid, time, scheme=name, **options)
        off = abs(run.final[n // 2] / start[n // 2] * math.exp(rate * time) - 1)
        assert off < 2 * run.info["time_error"] + 1e-3 or run.info["time_error"] > 1  # where rounding is all
        assert off < 0.05 or any("error in time" in str(warning.message) for warning in said)
        if name in ("implicit", "chebyshev"):
            assert run.info["time_error"] < 3 * off + 1e-9


def test_the_default_has_its_digits_of_what_little_is_left():
    grid = pl.Grid(0.0, 1.0, 51, boundary="absorbing")
    x, h, v, time = grid.x, 0.02, 1.5, 8.0
    rate = D * (2 / h * np.sin(np.pi * h / 2)) ** 2
    still = pl.solve(FokkerPlanck(0 * x, diffusivity=D), np.sin(np.pi * x) * ~grid.absorbing, grid, time)
    assert still.info["scheme"] == "fokker_planck.chebyshev"
    assert abs(still.final[25] * math.exp(rate * time) - 1) < 1e-9
    tilted = np.exp(v * x / (2 * D)) * np.sin(np.pi * x) * ~grid.absorbing
    run = pl.solve(FokkerPlanck(drift=np.full(51, v), diffusivity=D), tilted, grid, time)
    z = v * h / D
    up, down = (D / h**2 * y / math.expm1(y) for y in (-z, z))
    rate = up + down - 2 * math.sqrt(up * down) * math.cos(np.pi * h)
    assert abs(run.final[25] / tilted[25] * math.exp(rate * time) - 1) < 5e-3


def drifted(x, a, v, t):
    """Brownian motion with drift -v from a, absorbed at zero."""
    gauss = lambda y: np.exp(-(y**2) / (4 * D * t)) / math.sqrt(4 * math.pi * D * t)  # noqa: E731
    return gauss(x - a + v * t) - math.exp(v * a / D) * gauss(x + a + v * t)


def slowest_mode(x, v, closed):
    """(density of D = 1, values, decay rate) on (0, 1) with drift v, absorbed at 0 and at 1 or reflected there."""
    if not closed:
        k, wave = math.pi, np.sin(math.pi * x)
    elif v < 2:  # no flux through 1: tan k = 2 k/v, or the same of imaginary k
        k = optimize.brentq(lambda k: v * np.sin(k) - 2 * k * np.cos(k), 1e-9, math.pi - 1e-9)
        wave = np.sin(k * x)
    else:
        q = optimize.brentq(lambda q: v * np.tanh(q) - 2 * q, 1e-9, v)
        k, wave = 1j * q, np.sinh(q * x)
    return np.exp(v * x / 2) * wave, np.exp(-v * x / 2) * wave, float((k**2).real) + v**2 / 4


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("closed", [False, True])
@settings(deadline=None, max_examples=20, derandomize=True)
@given(n=st.integers(12, 60), v=st.one_of(st.floats(-4.0, 1.8), st.floats(2.2, 9.0)), log=st.floats(-0.5, 2.0))
def test_the_slowest_mode_between_absorbing_ends_has_its_error_told_at_every_time(n, v, closed, log, backward):
    """By its closed form, when the nodes are off in what is left by 10^log per cent, down to 1e-200 of the start."""
    grid = pl.Grid(0.0, 1.0, n, boundary=("absorbing", "reflecting" if closed else "absorbing"))
    density, values, rate = slowest_mode(grid.x, v, closed)
    drift, start = np.full(n, v), np.where(grid.absorbing, 0.0, values if backward else density)
    kind, scale = BackwardKolmogorov if backward else FokkerPlanck, float(start.max())
    on_nodes = spectral_gap(kind(drift=drift, diffusivity=1.0), grid)
    time = min(10**log / 100 / abs(on_nodes - rate), 460 / rate)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run = pl.solve(kind(drift=drift, diffusivity=1.0), start / scale, grid, time)
    left, exact = run.final[1 : n - 1], start[1 : n - 1] / scale * math.exp(-rate * time)
    error = np.median(np.abs(left - exact) / left)
    told = run.info["space_error"]
    assert error < 0.03 or error / 3 < told
    assert error < 0.1 or said
    assert error > 0.01 or not said


@pytest.mark.parametrize("side", [0, 1])
def test_first_passage_of_a_drift_is_inverse_gaussian(side):
    a, v, begin = 1.0, 0.8, 0.05
    names = ("absorbing", "reflecting")
    grid = pl.Grid(*((0.0, 9.0) if side == 0 else (-9.0, 0.0)), 1801, boundary=names if side == 0 else names[::-1])
    distance, sign = np.abs(grid.x), 1 if side == 0 else -1
    start = np.maximum(drifted(distance, a, v, begin), 0.0)
    problem = FokkerPlanck(drift=np.full(grid.shape, -sign * v), diffusivity=D)
    times = np.array([0.2, 0.5, 1.0, 2.0, 4.0])
    law = first_passage(problem, start, grid, times, scheme=crank_nicolson, dt=2e-3)
    survived = grid.integrate(start)
    t = times + begin
    exact = a / np.sqrt(4 * np.pi * D * t**3) * np.exp(-((a - v * t) ** 2) / (4 * D * t))
    np.testing.assert_allclose(law.density * survived, exact, rtol=2e-4)
    assert (law.flux >= 0).all() and (law.flux[:, 0, 1 - side] == 0).all()
    np.testing.assert_allclose(law.survival + law.absorbed.sum(axis=(1, 2)), 1, rtol=1e-13)
    assert (np.diff(law.survival) < 0).all()


def test_the_density_of_the_time_integrates_to_what_has_left():
    grid = pl.Grid(0.0, 1.0, 101, boundary="absorbing")
    times = np.linspace(0.0, 0.5, 501)[1:]
    law = first_passage(FokkerPlanck(3 * grid.x, diffusivity=D), np.ones(101), grid, times, dt=1e-3, rtol=np.inf)
    assert (law.density > 0).all()
    left = 1 - law.survival
    integral = np.cumsum(np.diff(times) * law.density[1:])  # backward Euler moves dt times the flux at the step's end
    np.testing.assert_allclose(integral, left[1:] - left[0], rtol=1e-12)


def test_survival_of_ornstein_uhlenbeck():
    grid, t = pl.Grid(0.0, 7.0, 1401, boundary=("absorbing", "reflecting")), 0.7
    v = pl.solve(
        BackwardKolmogorov(drift=-grid.x, diffusivity=D), np.ones(grid.shape), grid, t, scheme=crank_nicolson, dt=2e-3
    ).final
    exact = erf(grid.x * math.exp(-t) / math.sqrt(2 * D * (1 - math.exp(-2 * t))))
    np.testing.assert_allclose(v[:800], exact[:800], atol=2e-5)


@pytest.mark.parametrize("d", [2, 3])
def test_a_box_of_absorbing_ends_is_a_product(d):
    n = {2: 41, 3: 21}[d]
    grid = pl.Grid((0.0,) * d, (1.0,) * d, n, boundary="absorbing")
    line = pl.Grid(0.0, 1.0, n, boundary="absorbing")
    start = np.sin(np.pi * line.x) ** 2
    product = math.prod(np.ix_(*[start] * d)) if d == 2 else np.einsum("i,j,k", start, start, start)
    line_run = pl.solve(FokkerPlanck(0 * line.x, diffusivity=D), start, line, 0.1, scheme=chebyshev)
    many = pl.solve(FokkerPlanck(np.zeros(grid.shape), diffusivity=D), product, grid, 0.1, scheme=chebyshev)
    assert many.info["mass"][0] == pytest.approx(line_run.info["mass"][0] ** d, rel=1e-11)
    flux = many.info["flux"][0]
    np.testing.assert_allclose(flux, np.full((d, 2), flux[0, 0]), rtol=1e-10)
    assert flux[0, 0] == pytest.approx(line_run.info["flux"][0, 0, 0] * line_run.info["mass"][0] ** (d - 1), rel=1e-10)


def test_mixed_ends_in_the_plane_are_those_of_the_line():
    line = pl.Grid(0.0, 2.0, 31, boundary=("absorbing", "reflecting"))
    grid = pl.Grid((0.0, 0.0), (2.0, 1.0), (31, 8), boundary=(("absorbing", "reflecting"), "periodic"))
    U = 2 * np.cos(2 * line.x)
    start = np.exp(-((line.x - 1) ** 2))
    for scheme in (implicit, chebyshev, explicit):
        options = {} if scheme is chebyshev else {"dt": 2e-3}
        line_run = pl.solve(FokkerPlanck(U, diffusivity=D), start, line, [0.1, 0.3], scheme=scheme, **options)
        wide = np.broadcast_to(start[:, None], grid.shape)
        many = pl.solve(
            FokkerPlanck(np.tile(U[:, None], 8), diffusivity=D), wide, grid, [0.1, 0.3], scheme=scheme, **options
        )
        np.testing.assert_allclose(many.values, np.tile(line_run.values[..., None], 8), rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(many.info["absorbed"][:, 0], line_run.info["absorbed"][:, 0], rtol=1e-11, atol=1e-14)
        assert many.info["mass_drift"].max() < 1e-13


@pytest.mark.parametrize("shape, boundary", [((14,), "absorbing"), ((9, 7), (("reflecting", "absorbing"), "periodic"))])
@pytest.mark.parametrize("scheme, moving", [(implicit, False), (implicit, True), (explicit, False)])
def test_functions_and_densities_stay_dual(shape, boundary, scheme, moving):
    rng = np.random.default_rng(3)
    grid = pl.Grid((0.0,) * len(shape), (1.0,) * len(shape), shape, boundary=boundary)
    U = rng.normal(size=shape)
    field, back = (U, U)
    if moving:
        field, back = (lambda t: U * (1 + t)), (lambda s: U * (1 + 0.02 - s))
    rho, v = rng.random(shape), rng.normal(size=shape)
    forward = pl.solve(FokkerPlanck(field, diffusivity=D), rho, grid, 0.02, scheme=scheme, dt=5e-4, rtol=math.inf)
    backward = pl.solve(BackwardKolmogorov(back, diffusivity=D), v, grid, 0.02, scheme=scheme, dt=5e-4, rtol=math.inf)
    inner = np.where(grid.absorbing, 0.0, 1.0)
    left = grid.integrate(v * inner * forward.final)
    right = grid.integrate(rho * inner * backward.final)
    assert left == pytest.approx(right, rel=1e-12)
    assert np.abs(backward.final[grid.absorbing]).max() == 0 and np.abs(forward.final[grid.absorbing]).max() == 0


def test_moving_data_in_one_dimension_are_those_that_stand_still():
    grid = pl.Grid(0.0, 1.0, 21, boundary=("reflecting", "absorbing"))
    U, start = 3 * grid.x**2, np.exp(-grid.x)
    for scheme in (implicit, crank_nicolson):
        still, moving = (
            pl.solve(FokkerPlanck(potential, diffusivity=D), start, grid, [0.05, 0.1], scheme=scheme, dt=1e-3)
            for potential in (U, lambda t: U)
        )
        np.testing.assert_allclose(moving.values, still.values, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(moving.info["flux"], still.info["flux"], rtol=1e-11, atol=1e-14)


def test_the_generator_stops_at_absorbing_nodes():
    grid = pl.Grid((0.0, 0.0), (1.0, 1.0), (6, 5), boundary=(("absorbing", "reflecting"), "absorbing"))
    Q = generator(FokkerPlanck(np.zeros(grid.shape), beta=1.0), grid).toarray()
    walls = grid.absorbing.ravel()
    assert not Q[walls].any() and Q[~walls][:, walls].max() > 0
    np.testing.assert_allclose(Q.sum(axis=1), 0, atol=1e-12)
    assert (Q - np.diag(np.diag(Q)) >= 0).all()


def test_mean_exit_times_without_a_target():
    line = pl.Grid(-1.0, 2.0, 31, boundary="absorbing")
    exact = (line.x + 1) * (2 - line.x) / (2 * D)
    np.testing.assert_allclose(mean_exit_time(FokkerPlanck(diffusivity=D), line), exact, atol=1e-12)
    errors = []
    for n in (17, 33, 65):  # the torsion of a square: its largest value is known as a series
        square = pl.Grid((0.0, 0.0), (1.0, 1.0), n, boundary="absorbing")
        errors.append(abs(mean_exit_time(FokkerPlanck(diffusivity=1.0), square).max() - 0.07367135328136873))
    assert np.log2(errors[0] / errors[1]) > 1.9 and np.log2(errors[1] / errors[2]) > 1.9
    half = pl.Grid(0.0, 1.0, 11, boundary=("absorbing", "reflecting"))
    assert np.isinf(mean_exit_time(FokkerPlanck(beta=1.0), half, half.x > 0.95)[:-1]).all()  # the end may come first


@pytest.mark.filterwarnings("ignore:the nodes")  # coarse grids against dense algebra
def test_splitting_probabilities():
    grid, v = pl.Grid(0.0, 1.0, 41, boundary="absorbing"), 1.7
    problem = FokkerPlanck(drift=np.full(41, v), diffusivity=D)
    shares = splitting(problem, grid)
    upper = -np.expm1(-v * grid.x / D) / -np.expm1(-v / D)
    np.testing.assert_allclose(shares[0, 1], upper, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(shares[0, 0] + shares[0, 1], 1, rtol=1e-14)
    solid = pl.Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (7, 7, 7), boundary="absorbing")
    shares = splitting(FokkerPlanck(diffusivity=D), solid)
    assert len(shares) == 6 and all(share[3, 3, 3] == pytest.approx(1 / 6, rel=1e-12) for share in shares.values())
    np.testing.assert_allclose(sum(shares.values()), 1, rtol=1e-13)
    np.testing.assert_allclose(
        committor(problem, grid, grid.x < 0.01, grid.x > 0.99), upper, rtol=1e-12, atol=1e-15
    )  # the same sets by hand
    middle = committor(problem, grid, grid.x < 0.01, np.abs(grid.x - 0.5) < 0.01)
    assert middle[-1] == 0 and 0 < middle[-2] < 1  # taken by the upper end, which is neither


def test_the_slowest_decay_between_absorbing_ends():
    for n in (40, 901):
        grid = pl.Grid(0.0, 2.0, n, boundary="absorbing")
        h = grid.spacing[0]
        exact = 4 * D / h**2 * math.sin(math.pi * h / 4) ** 2
        assert spectral_gap(FokkerPlanck(diffusivity=D), grid) == pytest.approx(exact, rel=1e-9)
    grid = pl.Grid(-1.6, 1.6, 121, boundary="absorbing")  # a deep well: the rate is one over the mean time
    problem = FokkerPlanck(60 * (1 - (grid.x / 1.6) ** 2) * -1, beta=1.0)
    assert spectral_gap(problem, grid) == pytest.approx(1 / mean_exit_time(problem, grid)[60], rel=1e-6)


def test_the_current_carries_what_leaves():
    grid = pl.Grid((0.0, 0.0), (1.0, 1.0), (9, 7), boundary=("absorbing", "reflecting"))
    problem, rho = FokkerPlanck(grid.points[..., 0] * 2, beta=1.0), np.random.default_rng(0).random((9, 7))
    rho[grid.absorbing] = 0
    J = current(problem, grid, rho)
    masses = generator(problem, grid).T @ (grid.weights * rho).ravel()
    np.testing.assert_allclose(-divergence(J, grid) * grid.weights, masses.reshape(9, 7), atol=1e-12)
    solution = pl.solve(problem, rho, grid, 0.0)
    lower = -(J[0][0] * grid.axis_weights[1]).sum()
    assert solution.info["flux"][0, 0, 0] == pytest.approx(lower, rel=1e-12)


def test_what_absorbing_ends_cannot_have():
    grid = pl.Grid(0.0, 1.0, 11, boundary="absorbing")
    closed = pl.Grid(0.0, 1.0, 11)
    for ask, message in (
        (lambda: pl.stationary(FokkerPlanck(diffusivity=D), grid), "boundary: expected reflecting or periodic"),
        (lambda: first_passage(FokkerPlanck(diffusivity=D), np.ones(11), closed, 1.0), "at least one absorbing end"),
        (lambda: first_passage(FokkerPlanck(diffusivity=D), np.eye(11)[0], grid, 1.0), "some mass inside"),
        (lambda: splitting(FokkerPlanck(diffusivity=D), closed), "at least one absorbing end"),
        (lambda: mean_exit_time(FokkerPlanck(diffusivity=D), closed), "no absorbing end"),
        (lambda: pl.solve(FokkerPlanck(diffusivity=D), np.ones(11), grid, 1.0, scheme=spectral), "one reflecting axis"),
    ):
        with pytest.raises(ValueError, match=message):
            ask()


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_what_few_nodes_make_of_first_passage_is_right_or_told(seed):
    """Drifts and potentials of a few waves, against a sixteenth of the spacing."""
    rng = np.random.default_rng(seed)
    n, D, T = int(rng.integers(9, 26)), 10 ** rng.uniform(-1, 0.3), 10 ** rng.uniform(-1, 0.5)
    size, bend, phase, center = *rng.normal(size=3), rng.uniform(-0.2, 0.2)
    ends = "absorbing" if seed % 3 else ("absorbing", "reflecting")

    def shares(m):
        grid = pl.Grid(-1.0, 1.0, m, boundary=ends)
        drift, U = 6 * size * np.sin(1.5 * grid.x + phase), bend * grid.x**2 + size * np.cos(2 * grid.x + phase)
        problem = FokkerPlanck(U, diffusivity=D) if seed % 2 else FokkerPlanck(drift=drift, diffusivity=D)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            law = first_passage(problem, np.exp(-(((grid.x - center) / 0.3) ** 2)), grid, [T])
        return np.append(law.absorbed[-1].ravel(), law.survival[-1]), bool(told)

    (some, told), (exact, _) = shares(n), shares(16 * (n - 1) + 1)
    seen = exact > 1e-3
    assert told or np.abs(some / np.where(seen, exact, 1.0) - 1)[seen].max() < 0.1


WALLED = ["leaning", "long and short", "thin", "five nodes", "long", "moving"]


@pytest.mark.parametrize("kind", WALLED)
@settings(deadline=None, max_examples=20, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_what_absorbing_ends_take_in_is_right_or_told(kind, seed):
    """Full matrices, axes of three nodes and of eighty, drifts that turn: against grids of a quarter of the spacing."""
    rng = np.random.default_rng(seed)
    D, T = 10 ** rng.uniform(-1, 0.3), 10 ** rng.uniform(-1, 0.5)
    size, phase, bend, shift = rng.normal(size=4)
    shape = {
        "leaning": rng.integers(7, 14, 2),
        "long and short": [rng.integers(6, 9), rng.integers(34, 40)],
        "thin": [rng.integers(9, 20), rng.integers(3, 6)],
        "five nodes": [rng.integers(4, 6)],
        "long": [rng.integers(34, 60)],
        "moving": [rng.integers(6, 20)],
    }[kind]
    shape, center, lean = [int(n) for n in shape], rng.uniform(-0.2, 0.2), rng.uniform(-0.7, 0.7)
    ends = ["absorbing", *([] if len(shape) == 1 else ["reflecting" if kind == "thin" else "absorbing"])]
    if kind == "long":  # what is little, by steps that are exact in time
        D, T = D / 3, T / 10
    if kind == "moving":
        size = 0.1 * size

    def shares(times):
        grid = pl.Grid([-1.0] * len(shape), [1.0] * len(shape), [times * (n - 1) + 1 for n in shape], boundary=ends)
        x = grid.points.reshape(*grid.shape, -1)
        drift = np.stack([size * np.sin(1.5 * x[..., 0] + phase), bend * np.sin(2 * x[..., -1] + shift)], axis=-1)
        drift = 4 * (drift if len(shape) == 2 else drift[..., 0])
        matrix = np.broadcast_to([[1.0, lean], [lean, 0.8]], (*grid.shape, 2, 2)) if kind == "leaning" else None
        moving = (lambda t: drift * np.cos(5 * t / T)) if kind == "moving" else drift
        start = np.exp(-((x[..., 0] - center) ** 2) / 0.09 - (x[..., -1] - center) ** 2 / 0.25)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            problem = FokkerPlanck(drift=moving, diffusivity=D, diffusion=matrix)
            if kind == "long":
                problem = FokkerPlanck(size * np.cos(1.5 * grid.x + phase), diffusivity=D)
            law = first_passage(problem, start, grid, [T], rtol=3e-3)
        return np.append(law.absorbed[-1].ravel(), law.survival[-1]), bool(told)

    (some, told), (exact, _) = shares(1), shares(4)
    seen = exact > (1e-5 if kind == "long" else 1e-3)
    assert told or np.abs(some / np.where(seen, exact, 1.0) - 1)[seen].max() < 0.1


def test_thin_axes_along_which_nothing_varies_say_nothing():
    grid, n = pl.Grid((0.0, 0.0), (1.0, 1.0), (81, 3), boundary=("absorbing", "reflecting")), 20
    start = np.sin(np.pi * grid.points[..., 0])
    law = first_passage(FokkerPlanck(diffusivity=D), start, grid, [0.1 * k for k in range(1, n)])
    np.testing.assert_allclose(law.survival, np.exp(-(np.pi**2) * D * law.times), rtol=2e-3)
    with pytest.warns(AccuracyWarning, match="the nodes are too few"):
        first_passage(FokkerPlanck(diffusivity=D), start * [1.0, 0.5, 1.0], grid, 0.1)


@pytest.mark.parametrize("dimension", [1, 2])
@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_what_few_nodes_make_of_expectations_is_right_or_told(dimension, seed):
    """Waves backwards in a drift of few waves, with full matrices, against an eighth of the spacing."""
    rng = np.random.default_rng(seed)
    shape, D, T = (
        rng.integers(3 if seed % 4 == 0 else 6, 11, dimension),
        10 ** rng.uniform(-0.7, 0.3),
        10 ** rng.uniform(-1, 0.3),
    )
    size, phase, bend, shift = rng.normal(size=4)
    lean, ends = rng.uniform(-0.7, 0.7), ["reflecting", "absorbing"][seed % 2]

    def values(times):
        nodes = [int(times * (n - 1) + 1) for n in shape]
        grid = pl.Grid([-1.0] * dimension, [1.0] * dimension, nodes, boundary=ends)
        x = grid.points.reshape(*grid.shape, -1)
        drift = np.stack([size * np.sin(1.5 * x[..., 0] + phase), bend * np.sin(2 * x[..., -1] + shift)], axis=-1)
        matrix = np.broadcast_to([[1.0, lean], [lean, 0.8]], (*grid.shape, 2, 2)) if dimension == 2 else None
        problem = BackwardKolmogorov(
            drift=2 * (drift if dimension == 2 else drift[..., 0]), diffusivity=D, diffusion=matrix
        )
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            run = pl.solve(problem, np.cos(2 * x[..., 0] + 0.5 * x[..., -1] + phase), grid, [0.0, T], rtol=3e-3)
        return run.values, bool(told)

    (some, told), (exact, _) = values(1), values(8 // dimension)
    exact = exact[(slice(None), *[slice(None, None, 8 // dimension)] * dimension)]
    wrong, size = np.abs(some[1] - exact[1]), np.abs(exact[1])
    seen = size > 1e-3 * size.max()
    assert told or wrong.max() < 0.1 * max(np.ptp(some[0]), np.ptp(some[1]))
    assert told or np.median(wrong[seen] / size[seen]) < 0.1


def chain_of_drift(drift, D, n, closed):
    """Rates D/h² B(±b h/D), B(z) = z/(e^z - 1), between n nodes of (0, 1), those of ends that absorb left out."""
    h, x = 1 / (n - 1), np.linspace(0.0, 1.0, n)
    z = (drift(x)[1:] + drift(x)[:-1]) / 2 * h / D
    z = np.where(np.abs(z) < 1e-9, 1e-9, z)
    up, down = -z / np.expm1(-z) * D / h**2, z / np.expm1(z) * D / h**2
    if closed[0]:
        up[0] *= 2
    else:
        up[0] = 0
    if closed[1]:
        down[-1] *= 2
    else:
        down[-1] = 0
    return np.diag(up, 1) + np.diag(down, -1) - np.diag(np.append(up, 0) + np.append(0, down))


@pytest.mark.parametrize("seed", range(100, 140))
def test_drifts_with_kinks_and_steps_and_walls_have_the_error_of_compact_steps_told(seed):
    """Against the matrix exponential of a chain on eight times as many nodes, some of them where a drift bends."""
    rng, bent = np.random.default_rng(seed), seed % 3
    n, backward = int(rng.integers(12, 61)), bool(rng.integers(2))
    D, place, middle = 10 ** rng.uniform(-1.2, 0), rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8)
    place = round(place * (n - 1)) / (n - 1) if seed % 2 else place
    (shift, size), closed = 3 * rng.normal(size=2), rng.random(2) < 0.5

    def drift(x):
        return shift + size * (np.sign(x - place), 3 * np.abs(x - place), np.sin(4 * x))[bent]

    finer = 8
    inside = np.append(closed[0], np.append(np.ones(finer * (n - 1) - 1, dtype=bool), closed[1]))
    weights = np.ones(inside.size) / (inside.size - 1)
    weights[[0, -1]] /= 2
    grid = pl.Grid(0.0, 1.0, n, boundary=tuple("reflecting" if one else "absorbing" for one in closed))
    time, Q = rng.uniform(0.1, 2.0), chain_of_drift(drift, D, inside.size, closed)
    fine = np.exp(-(((np.linspace(0.0, 1.0, inside.size) - middle) / 0.3) ** 2)) * inside
    exact = expm(time * Q) @ fine if backward else fine * weights @ expm(time * Q) / weights
    kind = BackwardKolmogorov if backward else FokkerPlanck
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        problem = kind(drift=drift(grid.x), diffusivity=D)
        run = pl.solve(problem, fine[::finer], grid, time, scheme="compact", dt=time / 800)
    exact, size = (exact * inside)[::finer], np.abs(run.final)
    wrong, seen = np.abs(run.final - exact), size > 1e-3 * size.max()
    if backward:
        error = max(wrong.max() / max(np.ptp(fine), np.ptp(size)), np.median(wrong[seen] / size[seen]))
    else:
        error = float((wrong * grid.weights).sum() / (size * grid.weights).sum())
    told = [one for one in said if "probability" not in str(one.message)]  # of the density itself, or of the values
    assert error < 0.1 or told, (error, run.info)
    assert error > 0.005 or not told, (error, run.info)


@pytest.mark.parametrize("seed", range(60))
def test_the_error_of_the_default_step_of_crank_nicolson_is_told_and_no_more(seed):
    """To a factor of two, against the matrix exponential of the chain on the same nodes: walls and absorbing ends."""
    rng = np.random.default_rng(seed)
    n, D, time, closed = (
        int(rng.integers(40, 120)),
        10 ** rng.uniform(-1.2, 0),
        10 ** rng.uniform(-2, 0),
        [seed % 3 > 0] * 2,
    )
    drift, middle, width = rng.normal() * (seed % 2), rng.uniform(0.3, 0.7), rng.uniform(0.03, 0.2)
    grid = pl.Grid(0.0, 1.0, n, boundary="reflecting" if closed[0] else "absorbing")
    start, Q = (
        np.exp(-(((grid.x - middle) / width) ** 2)) * ~grid.absorbing,
        chain_of_drift(lambda x: drift + 0 * x, D, n, closed),
    )
    for kind, exact in (
        (FokkerPlanck, (start * grid.weights) @ expm(time * Q) / grid.weights),
        (BackwardKolmogorov, expm(time * Q) @ start),
    ):
        problem = kind(drift=np.full(n, drift), diffusivity=D)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            run = pl.solve(problem, start, grid, time, scheme="crank_nicolson")
        wrong, size = np.abs(run.final - exact * ~grid.absorbing), (np.abs(start) if closed[0] else run.final)
        if kind is FokkerPlanck:
            error = grid.integrate(wrong) / grid.integrate(size)
        else:
            error = wrong.max() / max(np.ptp(size), np.ptp(run.final))
        told = any("error in time" in str(one.message) for one in said)
        assert told == (run.info["time_error"] > 0.01) and (error < 0.1 or told) and (error > 0.007 or not told)
        assert error < 2 * run.info["time_error"] + 1e-4


@pytest.mark.parametrize("time, steps", [(3.0, 700), (5.0, 1400), (12.0, 3000), (12.0, 4000)])
@pytest.mark.parametrize("kind", [FokkerPlanck, BackwardKolmogorov])
def test_longer_compact_steps_raise_no_alarm_at_late_times(kind, time, steps):
    """All modes from a start off the middle: the slowest, by its sine, is left, of what the data have of it."""
    n = 60
    grid = pl.Grid(0.0, 1.0, n, boundary="absorbing")
    start = np.exp(-(((grid.x - 0.3) / 0.15) ** 2)) * ~grid.absorbing
    wave = np.sin(np.pi * grid.x)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run = pl.solve(kind(0 * grid.x, diffusivity=1.0), start, grid, time, scheme="compact", dt=time / steps)
    exact = 2 * grid.integrate(start * wave) * wave * math.exp(-(np.pi**2) * time)
    assert np.abs(run.final / np.where(exact > 0, exact, 1.0) - 1)[1:-1].max() < 0.01
    assert run.info["time_error"] < 0.01 and not said


@pytest.mark.parametrize("n", [9, 13, 17, 33])
def test_what_ends_take_in_by_compact_steps_is_right_or_told(n):
    """Brownian motion from 0.3, of which most goes through the lower end: the sine series."""
    grid, begin, end = pl.Grid(0.0, 1.0, n, boundary="absorbing"), 0.01, 0.1
    start = np.maximum(interval(grid.x, 0.3, begin), 0.0)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run = pl.solve(FokkerPlanck(0 * grid.x, diffusivity=D), start, grid, end - begin, scheme="compact", dt=2e-3)
    k = np.pi * np.arange(1, 200)
    terms = 2 * np.sin(0.3 * k) / k * (np.exp(-D * k**2 * begin) - np.exp(-D * k**2 * end))
    exact = np.array([terms.sum(), -(terms * (-1.0) ** np.arange(1, 200)).sum()])
    error = np.abs(run.info["absorbed"][-1, 0] - exact)
    assert (error < 3 * np.abs(run.info["absorbed_error"][-1, 0]) + 1e-3).all()
    assert (error < 0.05 * exact + 1e-3).all() or any("absorbed at the end" in str(warning.message) for warning in said)
    assert n < 33 or not said


@pytest.mark.parametrize("scheme", ["compact", "crank_nicolson"])
@pytest.mark.parametrize("n", [9, 17, 33])
def test_expectations_of_a_step_are_right_or_told(scheme, n):
    """P(X_t > c) between walls by its cosine series: where c lies between two nodes they do not know."""
    grid, t, k = pl.Grid(0.0, 1.0, n), 0.03, np.pi * np.arange(1, 400)[:, None]
    for c in (0.3, 0.47, 0.62):
        exact = 1 - c - (2 * np.sin(k * c) / k * np.cos(k * grid.x) * np.exp(-D * k**2 * t)).sum(axis=0)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            run = pl.solve(
                BackwardKolmogorov(0 * grid.x, diffusivity=D), 1.0 * (grid.x > c), grid, t, scheme=scheme, dt=1e-3
            )
        assert np.abs(run.final - exact).max() < 0.05 or any("values of" in str(warning.message) for warning in said)


@pytest.mark.parametrize("n", [26, 33])
@pytest.mark.parametrize("kind", [FokkerPlanck, BackwardKolmogorov])
def test_data_near_the_end_of_the_range_are_compared_as_others(kind, n):
    grid = pl.Grid(0.0, 1.0, n, boundary="absorbing")
    problem, start = kind(drift=np.ones(n), diffusivity=0.1), np.cos(3 * grid.x) ** 2
    large, small = (pl.solve(problem, size * start, grid, 0.1) for size in (1e306, 1.0))
    np.testing.assert_allclose(large.final / 1e306, small.final, rtol=1e-9, atol=1e-12)
    assert large.info["space_error"] == pytest.approx(small.info["space_error"], rel=1e-6)
