"""Burgers and traffic: exact solutions, entropy, structure on random data, the identity with Hamilton-Jacobi."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdelab import burgers, hamilton_jacobi
from pdelab.burgers import Burgers
from pdelab.closed_forms import proximal
from pdelab.grid import Grid
from pdelab.hamilton_jacobi import HamiltonJacobi
from pdelab.losses import Loss
from pdelab.stepping import solve

MONOTONE = [burgers.godunov, burgers.engquist_osher, burgers.rusanov]
SCHEMES = [*MONOTONE, burgers.high_resolution]
random = settings(deadline=None, max_examples=40, derandomize=True)


@st.composite
def lines(draw, boundaries=("periodic", "outflow")):
    """(problem, grid, p): random data on a random line."""
    n = draw(st.integers(2, 60))
    grid = Grid(0.0, draw(st.floats(0.1, 3.0)), n, boundary=draw(st.sampled_from(boundaries)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    p = rng.normal(size=n) * rng.choice([1, 0.01, 0], size=n) + draw(st.sampled_from([0.0, 2.0, -2.0]))
    return Burgers(viscosity=draw(st.sampled_from([0.0, 0.0, 0.05]))), grid, p, rng


@pytest.mark.parametrize("scheme", [burgers.godunov, burgers.engquist_osher])  # which look upwind alone
@pytest.mark.parametrize("towards", [1.0, -1.0])
def test_what_flows_in_has_the_p_of_the_end(scheme, towards, rng):
    """Without viscosity the answer in the box is that in a larger one with data that go on constant."""
    grid, wide = Grid(0.0, 1.0, 41, boundary="outflow"), Grid(-1.0, 2.0, 121, boundary="outflow")
    p = towards * (1.0 + rng.uniform(-0.9, 0.9, size=41))
    given = {"scheme": scheme, "dt": 0.004, "rtol": math.inf}
    here = solve(Burgers(viscosity=0.0), p, grid, 0.3, **given).final
    there = solve(Burgers(viscosity=0.0), np.pad(p, 40, mode="edge"), wide, 0.3, **given).final
    np.testing.assert_allclose(here, there[40:-40], rtol=0, atol=1e-13)


# --- the identity with Hamilton-Jacobi -------------------------------------------------------------------------------


@pytest.mark.parametrize("viscosity", [0.0, 0.02])
def test_differences_of_hamilton_jacobi_are_burgers(viscosity):
    """Periodic, shifted by h/2, the same dt: Godunov with Godunov, to round-off after hundreds of steps."""
    n = 200
    grid = Grid(0, 1, n, boundary="periodic")
    h = grid.spacing[0]
    shifted = Grid(h / 2, 1 + h / 2, n, boundary="periodic")
    u = np.random.default_rng(4).normal(size=n).cumsum() * h
    u -= np.linspace(0, u[-1], n)
    p = (np.roll(u, -1) - u) / h
    problems = HamiltonJacobi(viscosity=viscosity), Burgers(viscosity=viscosity)
    dt = 0.9 * hamilton_jacobi.monotone(problems[0], grid, u).largest_step(u, 0.0)
    times = [0.0, 20 * dt, 400 * dt]
    potential = solve(problems[0], u, grid, times, dt=dt, rtol=math.inf)
    slopes = solve(problems[1], p, shifted, times, dt=dt, scheme=burgers.godunov, rtol=math.inf)
    differences = (np.roll(potential.values, -1, axis=1) - potential.values) / h
    assert abs(differences - slopes.values).max() < 1e-12 * abs(p).max()
    assert abs(slopes.final).max() < 0.5 * abs(p).max()
    assert dt == pytest.approx(0.9 * burgers.godunov(problems[1], shifted, p).largest_step(p, 0.0), rel=1e-12)


# --- exact solutions -------------------------------------------------------------------------------------------------

STATES = [(1.0, 0.0), (1.0, -0.5), (-1.0, 1.0), (0.2, 1.5), (-1.5, -0.2), (0.3, -0.3)]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("left, right", STATES)
def test_riemann_problems(scheme, left, right):
    """Shocks move with (l + r)/2 and rarefactions open, transonic ones too: errors in L1 fall, and are small."""
    errors = []
    for n in (201, 401, 801, 1601):
        grid = Grid(-4, 4, n, boundary="outflow")
        start = np.where(grid.x < 0, left, np.where(grid.x > 0, right, (left + right) / 2))
        p = solve(Burgers(viscosity=0.0), start, grid, 0.8, scheme=scheme).final
        errors.append(grid.integrate(abs(p - burgers.riemann(left, right, grid.x, 0.8))))
        assert abs(grid.integrate(p) - grid.integrate(start) - 0.4 * (left**2 - right**2)) < 1e-10
    assert (np.diff(errors) < 0).all()
    assert errors[-1] < {burgers.rusanov: 0.06, burgers.high_resolution: 0.008}.get(scheme, 0.03)
    assert errors[-1] < (0.45 if scheme is burgers.rusanov else 0.35) * errors[0]


def test_riemann_solutions_by_hand():
    x = np.array([-1.0, 0.2, 0.3, 3.0])
    assert burgers.riemann(1.0, 0.0, x, 0.5).tolist() == [1.0, 1.0, 0.0, 0.0]
    assert burgers.riemann(0.0, 1.0, x, 0.5).tolist() == pytest.approx([0.0, 0.4, 0.6, 1.0])
    assert burgers.riemann(0.0, 1.0, x, 0.0).tolist() == [0.0, 1.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="t: expected"):
        burgers.riemann(0.0, 1.0, x, -1.0)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_viscous_shock_travels(scheme):
    left, right, nu, t = 1.0, -0.4, 0.05, 1.0
    grid = Grid(-3, 3, 601, boundary="outflow")
    start = burgers.travelling_wave(left, right, grid.x, 0.0, nu)
    p = solve(Burgers(viscosity=nu), start, grid, t, scheme=scheme).final
    error = grid.integrate(abs(p - burgers.travelling_wave(left, right, grid.x, t, nu)))
    assert error < (0.03 if scheme is not burgers.high_resolution else 1e-3)
    for bad in ((0.0, 1.0, 0.1), (1.0, 0.0, 0.0)):
        with pytest.raises(ValueError):
            burgers.travelling_wave(bad[0], bad[1], grid.x, 1.0, bad[2])


def test_the_travelling_wave_solves_the_equation():
    x, t, nu, e = np.linspace(-1, 1, 41), 0.3, 0.1, 1e-4
    w = lambda y, s: burgers.travelling_wave(1.0, -0.4, y, s, nu)  # noqa: E731
    w_t, w_x = (w(x, t + e) - w(x, t - e)) / (2 * e), (w(x + e, t) - w(x - e, t)) / (2 * e)
    w_xx = (w(x + e, t) - 2 * w(x, t) + w(x - e, t)) / e**2
    assert abs(w_t + w(x, t) * w_x - nu * w_xx).max() < 1e-5


def test_characteristics_and_the_shock_time():
    """Thesis Example 4.14 with the f_A of the ledger: t* = 0.299110, u_xx = f''/(1 + t f'') until then."""
    loss = Loss("0.05*x**4 - 0.4*x**2 + 0.15*x + 0.3*sin(3*x)")
    grid = Grid(-2.8, 2.8, 28001)
    t_star = burgers.shock_time(loss, grid)
    assert t_star == pytest.approx(0.299110, abs=2e-6)
    assert burgers.shock_time(Loss("x**2"), grid) == math.inf
    x = np.linspace(-2, 2, 401)
    p = burgers.characteristics(loss, x, 0.9 * t_star)
    foot = x - 0.9 * t_star * p
    assert abs(p - loss.gradient(foot)).max() < 1e-12
    assert np.allclose(burgers.characteristics(loss, x, 0.0), loss.gradient(x), rtol=0, atol=1e-13)
    with pytest.raises(ValueError, match="have met"):
        burgers.characteristics(loss, np.linspace(-2, 2, 4001), 1.5 * t_star)
    bends = np.gradient(burgers.characteristics(loss, grid.x, 0.8 * t_star), grid.x)
    assert bends[7000:-7000].min() == pytest.approx(-16.716, abs=2e-3)


@pytest.mark.parametrize("t", [0.6, 1.0, 2.0])
def test_single_characteristics_after_the_shock(t):
    """One point at a time: p of Lax and Oleinik, or a refusal; other feet may lie far from the one that is found."""
    loss, grid = Loss("0.05*x**4 - 0.4*x**2 + 0.15*x + 0.3*sin(3*x)"), Grid(-4, 4, 1601, boundary="outflow")
    p = (grid.x - proximal(loss, grid, t)) / t
    answers = 0
    for k in range(200, 1401, 20):  # |x| <= 3
        try:
            slope = burgers.characteristics(loss, grid.x[k], t)
        except ValueError as refusal:
            assert "have met" in str(refusal)
        else:
            answers += 1
            assert slope == pytest.approx(p[k], abs=1e-9)
    assert 5 < answers < 61


@pytest.mark.parametrize("scheme, low, high", [(burgers.godunov, 3e-4, 7e-4), (burgers.high_resolution, 0, 2e-6)])
def test_reference_problem_p2(scheme, low, high):
    """P2 of the benchmarks at N = 1024: u0 = 0.5 + sin x, t = 2, mean error away from the shock."""
    grid = Grid(0, 2 * np.pi, 1024, boundary="periodic")
    p = solve(Burgers(viscosity=0.0), 0.5 + np.sin(grid.x), grid, 2.0, scheme=scheme).final
    exact = lax_oleinik(grid.x, 2.0)
    away = abs(grid.x - (np.pi + 1)) > 7 * grid.spacing[0]
    assert low <= abs(p - exact)[away].mean() < high


def lax_oleinik(x, t):
    """p = (x - y)/t at the minimiser y of y/2 - cos y + (x - y)²/(2t)."""
    y = np.linspace(-2 * np.pi, 4 * np.pi, 6001)
    best = y[np.argmin(y / 2 - np.cos(y) + (x[:, None] - y) ** 2 / (2 * t), axis=1)]
    for _ in range(6):
        best = best - (0.5 + np.sin(best) + (best - x) / t) / (np.cos(best) + 1 / t)
    return (x - best) / t


def test_cole_hopf_on_the_circle():
    """p = -2ν v_x/v with v of the heat equation."""
    nu, t = 0.05, 0.7
    grid = Grid(0, 2 * np.pi, 512, boundary="periodic")
    k = np.arange(257)
    v = np.fft.rfft(np.exp(np.cos(grid.x) / (2 * nu))) * np.exp(-nu * k**2 * t)
    exact = -2 * nu * np.fft.irfft(1j * k * v) / np.fft.irfft(v)
    errors = {
        s: abs(solve(Burgers(viscosity=nu), np.sin(grid.x), grid, t, scheme=s).final - exact).max() for s in SCHEMES
    }
    assert 1e-3 < errors[burgers.godunov] < 2e-2
    assert errors[burgers.high_resolution] < 1e-3


def test_a_reflecting_wall_is_an_odd_image():
    half = Grid(0, 1, 41)
    whole = Grid(-1, 1, 80, boundary="periodic")
    odd = lambda x: np.sin(np.pi * x) + 0.3 * np.sin(3 * np.pi * x)  # noqa: E731
    for scheme in SCHEMES:
        p = solve(Burgers(100.0), odd(half.x), half, 0.4, scheme=scheme, dt=0.002).final
        q = solve(Burgers(100.0), odd(whole.x), whole, 0.4, scheme=scheme, dt=0.002).final
        assert np.allclose(q[40:], p[:-1], rtol=0, atol=1e-12)


# --- structure on random data ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
@random
@given(case=lines())
def test_extrema_and_variation_do_not_grow_and_mass_stays(scheme, case):
    problem, grid, p, _ = case
    solution = solve(problem, p, grid, [0.0, 0.01, 0.3], scheme=scheme, cfl=1.0, rtol=math.inf)
    info, size = solution.info, 1e-12 * (1 + abs(p).max())
    assert (np.diff(info["maximum"]) <= size).all() and (np.diff(info["minimum"]) >= -size).all()
    assert (np.diff(info["total_variation"]) <= size * p.size).all()
    if grid.boundary == ("periodic",):
        assert abs(info["mass"] - info["mass"][0]).max() < 1e-12 * (1 + abs(p).max())
    else:
        assert "mass" not in info


@pytest.mark.parametrize("scheme", MONOTONE)
@random
@given(case=lines())
def test_monotone_fluxes_compare(scheme, case):
    """p <= q stays so and the L1 distance does not grow (periodic)."""
    problem, grid, p, rng = case
    q = p + rng.exponential(size=p.size) * rng.integers(0, 2, size=p.size)
    stepper = scheme(problem, grid, p)
    dt = min(stepper.largest_step(v, 0.0) for v in (p, q))
    if dt == math.inf:
        return
    new_p, new_q = (stepper.march(v, 0.0, dt, 1) for v in (p, q))
    assert (new_q - new_p).min() >= -1e-13
    if grid.boundary == ("periodic",):
        assert abs(new_q - new_p).sum() <= abs(q - p).sum() + 1e-12


def test_high_resolution_is_not_monotone():
    """The limits are real: beyond first order comparison fails, and beyond its bound the variation grows."""
    grid, rng = Grid(0, 1, 8, boundary="periodic"), np.random.default_rng(0)
    broken = 0
    for _ in range(300):
        p = rng.normal(size=8)
        stepper = burgers.high_resolution(Burgers(viscosity=0.0), grid, p)
        q = p + rng.exponential(size=8) * rng.integers(0, 2, size=8)
        dt = min(stepper.largest_step(v, 0.0) for v in (p, q))
        broken += (stepper.march(q, 0.0, dt, 1) - stepper.march(p, 0.0, dt, 1)).min() < -1e-6
    assert broken > 30
    p = np.array([-1.1, -1.1, 0.0, 1.3, 1.6, 1.3, 0.2, -0.6])
    stepper = burgers.high_resolution(Burgers(viscosity=0.0), grid, p)
    variation = stepper.certificates["total_variation"]
    after = [variation(stepper.march(p, 0.0, f * stepper.largest_step(p, 0.0), 1), 0.0) for f in (1.0, 1.2)]
    assert after[0] <= variation(p, 0.0) + 1e-12 and after[1] > variation(p, 0.0) + 0.01


def test_no_new_extremum_where_the_sign_changes():
    """Advancing states that flow in made the last node rise here, at half the bound."""
    grid = Grid(0, 1, 4, boundary="periodic")
    p = np.array([-0.14747643, -1.31488964, -0.28823675, 0.01322651])
    stepper = burgers.high_resolution(Burgers(viscosity=0.0), grid, p)
    for fraction in (0.3, 0.6, 1.0):
        assert stepper.march(p, 0.0, fraction * stepper.largest_step(p, 0.0), 1).max() <= p.max() + 1e-15


def test_rusanov_needs_a_third_of_the_step():
    """Between colliding states the update falls with the node itself at Godunov's step."""
    grid = Grid(0, 1, 5, boundary="outflow")
    p = np.array([-1.0, -1.0, 1.2, -1.0, -1.0])
    stepper = burgers.rusanov(Burgers(viscosity=0.0), grid, p)
    raised = p + np.array([0, 0, -1e-3, 0, 0])
    for factor, keeps in ((1.0, True), (2.9, False)):
        dt = factor * stepper.largest_step(p, 0.0)
        lifted = (stepper.march(p, 0.0, dt, 1) - stepper.march(raised, 0.0, dt, 1)).min() >= -1e-15
        assert lifted == keeps


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_step_just_above_the_bound_is_refused(scheme):
    grid = Grid(-1, 1, 50, boundary="periodic")
    p = np.sin(np.pi * grid.x)
    bound = scheme(Burgers(50.0), grid, p).largest_step(p, 0.0)
    solve(Burgers(50.0), p, grid, 3 * bound, scheme=scheme, dt=bound)
    with pytest.raises(ValueError, match="above the bound"):
        solve(Burgers(50.0), p, grid, 3 * bound, scheme=scheme, dt=bound * (1 + 1e-6))


# --- two and three dimensions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["godunov", "engquist_osher", "high_resolution"])
def test_what_flows_into_a_plane_is_what_flows_into_a_line(name):
    """A viscous shock that crosses outflow ends with 1 and -0.2, both inwards, across an axis: up to the ends."""
    errors = []
    for n in (81, 161):
        grid = Grid((-2, -0.5), (2, 0.5), (n, 9), boundary="outflow")
        wave = lambda t: burgers.travelling_wave(1.0, -0.2, grid.points[..., 0], t, 0.1)  # noqa: B023, E731
        run = solve(Burgers(viscosity=0.1), np.stack([wave(0.0), 0 * wave(0.0)], -1), grid, 0.5, scheme=name)
        errors.append(abs(run.final[..., 0] - wave(0.5)).max())
        assert abs(run.final[..., 1]).max() < 1e-12
    assert errors[1] < grid.spacing[0] and errors[0] > 1.8 * errors[1]


@pytest.mark.parametrize("name, low", [("godunov", 0.8), ("engquist_osher", 0.8), ("high_resolution", 1.7)])
@pytest.mark.parametrize("dimension, sizes", [(2, (24, 36, 54, 80)), (3, (12, 18, 26, 38))])
def test_irrotational_flow_with_a_mean(name, low, dimension, sizes):
    """A plane wave on a mean flow: p_i(x, t) = m_i + q(Σ x - t Σ m, d t), q of one dimension by Cole-Hopf; curl 0."""
    scheme, nu, t, m = getattr(burgers, name), 0.2, 0.3, np.array([0.5, -0.2, 0.1])[:dimension]
    errors = []
    for n in sizes:
        grid = Grid((0.0,) * dimension, (2 * np.pi,) * dimension, n, boundary="periodic")
        s = grid.points.sum(axis=-1)
        p = m + np.sin(s)[..., None] * np.ones(dimension)
        solution = solve(Burgers(viscosity=nu), p, grid, [0.0, t], scheme=scheme, rtol=math.inf)
        exact = m + wave_velocity(s - t * m.sum(), dimension * t, nu)[..., None]
        errors.append(abs(solution.final - exact).max())
        assert solution.info["curl"].max() < 1e-11
    rates = np.diff(np.log(errors)) / -np.diff(np.log(sizes))
    assert (rates > low).all() and (rates < low + 0.7).all(), (rates, errors)


def wave_velocity(s, t, nu):
    """q_t + q q_s = ν q_ss from q = sin s."""
    k = np.arange(129)
    y = 2 * np.pi * np.arange(256) / 256
    v = np.fft.rfft(np.exp(np.cos(y) / (2 * nu))) / 256 * np.exp(-nu * k**2 * t)
    v[1:-1] *= 2
    value, slope = 0.0, 0.0
    for j in range(60):
        value = value + (v[j] * np.exp(1j * j * s)).real
        slope = slope + (1j * j * v[j] * np.exp(1j * j * s)).real
    return -2 * nu * slope / value


def test_initial_data_in_two_dimensions_may_be_a_potential():
    grid = Grid((-1, -1), (1, 1), (41, 31), boundary="outflow")
    loss = Loss("x**2 + x*y + 2*y**2")
    x, y = grid.points[..., 0], grid.points[..., 1]
    p = np.stack([2 * x + y, x + 4 * y], axis=-1)
    forms = [solve(Burgers(4.0), f, grid, 0.1).final for f in (loss, loss.on(grid), p)]
    assert np.allclose(forms[0], forms[1], rtol=0, atol=1e-10) and np.allclose(forms[0], forms[2], rtol=0, atol=1e-10)
    inside = (abs(x) < 0.5) & (abs(y) < 0.5)
    hessian = np.array([[2.0, 1.0], [1.0, 4.0]])
    exact = grid.points @ (np.linalg.inv(np.linalg.inv(hessian) + 0.1 * np.eye(2)))
    assert abs(forms[0] - exact)[inside].max() < 0.1


def test_a_rotational_field_is_refused():
    grid = Grid((-1, -1), (1, 1), 21)
    x, y = grid.points[..., 0], grid.points[..., 1]
    with pytest.raises(ValueError, match="initial: expected a gradient, p = Du"):
        solve(Burgers(1.0), np.stack([-y, x], axis=-1), grid, 0.1)
    with pytest.raises(ValueError, match="one-dimensional"):
        solve(Burgers(1.0), np.stack([x, y], axis=-1), grid, 0.1, scheme=burgers.rusanov)
    with pytest.raises(ValueError, match="variables"):
        solve(Burgers(1.0), Loss("x**2"), grid, 0.1)
    with pytest.raises(ValueError, match="initial.*shape"):
        solve(Burgers(1.0), np.zeros((21, 21, 3)), grid, 0.1)


def test_a_loss_in_one_dimension_means_its_slope():
    grid = Grid(-1, 1, 101, boundary="outflow")
    slopes = Loss("cos(3*x)"), -3 * np.sin(3 * grid.x)
    one, two = (solve(Burgers(5.0), f, grid, 0.1, rtol=math.inf).final for f in slopes)
    assert np.allclose(one, two, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, "Burgers: expected exactly one of beta and viscosity"),
        ({"beta": 1.0, "viscosity": 0.5}, "Burgers: expected exactly one of beta and viscosity"),
        ({"beta": -1.0}, "beta: expected a number > 0"),
        ({"viscosity": -0.1}, "viscosity: expected a number >= 0"),
    ],
)
def test_bad_coefficients(arguments, message):
    with pytest.raises(ValueError, match=message):
        Burgers(**arguments)


def test_data_that_are_not_finite():
    grid = Grid(0, 1, 8)
    with pytest.raises(ValueError, match="finite"):
        solve(Burgers(1.0), np.full(8, np.nan), grid, 0.1)


# --- traffic ---------------------------------------------------------------------------------------------------------


def test_the_fundamental_diagram():
    road = burgers.traffic(30.0, 0.15)
    density = np.linspace(0, 0.15, 1001)
    assert road.flow(density).max() == pytest.approx(road.capacity) == 1.125
    assert np.gradient(road.flow(density), density)[1:-1] == pytest.approx(road.wave_speed(density)[1:-1], abs=1e-8)
    assert np.allclose(road.density(road.wave_speed(density)), density, rtol=0, atol=1e-15)
    assert road.speed(0.0) == 30.0 and road.speed(0.15) == 0.0
    a, b = 0.03, 0.12
    assert road.shock_speed(a, b) == pytest.approx((road.flow(b) - road.flow(a)) / (b - a))


def test_change_of_variables_tr3_12():
    """ρ_t + q(ρ)_x - νρ_xx = -(ρ_m/(2u_m)) (w_t + w w_x - ν w_xx): one vanishes with the other, u_m not being 1."""
    sympy = pytest.importorskip("sympy")
    x, t, um, rm, nu = sympy.symbols("x t u_m rho_m nu", positive=True)
    w = sympy.Function("w")(x, t)
    rho = rm / 2 * (1 - w / um)
    left = rho.diff(t) + (um * rho * (1 - rho / rm)).diff(x) - nu * rho.diff(x, 2)
    right = -rm / (2 * um) * (w.diff(t) + w * w.diff(x) - nu * w.diff(x, 2))
    assert sympy.simplify(left - right) == 0


def test_a_red_light_turns_green():
    road = burgers.traffic(2.0, 0.5)
    grid = Grid(-3, 3, 601, boundary="outflow")
    start = np.where(grid.x < 0, 0.5, np.where(grid.x > 0, 0.0, 0.25))
    solution = road.solve(start, grid, [0.5, 1.0], scheme=burgers.high_resolution)
    exact = road.green_light(grid.x, 1.0)
    assert exact[300] == 0.25 and grid.integrate(abs(solution.final - exact)) < 5e-3
    inside = abs(grid.x) < 2
    assert np.allclose(exact[inside], 0.25 * (1 - grid.x[inside] / 2), rtol=0, atol=1e-15)
    assert (solution.info["minimum"] >= -1e-12).all() and (solution.info["maximum"] <= 0.5 + 1e-12).all()


def test_the_tail_of_a_queue_moves_with_rankine_hugoniot():
    road = burgers.traffic(2.0, 0.5)
    grid = Grid(-3, 3, 1201, boundary="outflow")
    start = np.where(grid.x < 0, 0.2, 0.5)
    for scheme in SCHEMES:
        end = road.solve(start, grid, 1.0, scheme=scheme).final
        tail = np.interp(0.35, end, grid.x)
        assert tail == pytest.approx(road.shock_speed(0.2, 0.5) * 1.0, abs=2 * grid.spacing[0])
        assert grid.integrate(abs(end - road.queue(0.2, grid.x, 1.0))) < 0.01
    assert road.shock_speed(0.2, 0.5) == pytest.approx(-0.8)


def test_cars_on_a_ring_road_are_kept_and_seen():
    road, grid = burgers.traffic(1.5, 2.0, viscosity=0.02), Grid(0, 1, 200, boundary="periodic")
    seen = []
    solution = road.solve(1 + 0.9 * np.sin(2 * np.pi * grid.x), grid, [0.1, 0.5], on_save=lambda t, d: seen.append(d))
    assert solution.info["mass"] == pytest.approx(2 * [1.0], abs=1e-12) and solution.info["mass_drift"].max() < 1e-13
    assert np.array_equal(seen, solution.values)
    assert np.ptp(solution.final) < 1.2


@pytest.mark.parametrize("mean", [0.5, 0.02])
def test_error_in_time_is_relative_to_the_cars(mean):
    """In light traffic the wave speeds are all near u_m, and an error relative to them would hide that of the cars."""
    road, grid = burgers.traffic(30.0, 0.15), Grid(0, 1, 200, boundary="periodic")
    start, run = 0.15 * mean * (1 + 0.9 * np.sin(2 * np.pi * grid.x)), {"times": 0.5 / 30, "rtol": 0.1}
    solution, fine = road.solve(start, grid, **run), road.solve(start, grid, cfl=0.01, **run)
    error = grid.integrate(abs(solution.final - fine.final)) / grid.integrate(start)
    assert error < 1.2 * solution.info["time_error"] < 2 * error
    assert solution.info["scheme"] == "burgers.godunov"


def test_density_scheme_against_the_travelling_wave():
    """Row Tr3.12: second order in L1 where the viscosity is resolved, shock speed 0.2."""
    road, nu, t = burgers.traffic(1.0, 1.0, viscosity=0.1), 0.1, 1.0
    behind, ahead = road.density(0.6), road.density(-0.2)
    assert road.shock_speed(behind, ahead) == pytest.approx(0.2)
    errors, sizes = [], (121, 241, 481, 961)
    for n in sizes:
        grid = Grid(-6, 6, n, boundary="outflow")
        wave = lambda s: road.density(burgers.travelling_wave(0.6, -0.2, grid.x, s, nu))  # noqa: B023, E731
        final = road.solve(wave(0.0), grid, t, scheme=burgers.high_resolution).final
        errors.append(grid.integrate(abs(final - wave(t))))
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    assert ((rates > 1.6) & (rates < 2.2)).all(), (rates, errors)


@pytest.mark.parametrize(
    ("behind", "ahead", "before", "after"),
    [(0.3, 0.3, 1.0, 0.5), (0.3, 0.1, 1.0, 0.5), (0.8, 0.1, 0.5, 1.0), (0.2, 0.9, 0.7, 1.0), (0.7, 0.6, 1.0, 0.4)],
)
def test_a_change_of_the_speed_limit(behind, ahead, before, after):
    """Godunov by demand and supply tends to the exact solution with a queue or a rarefaction on either side."""
    first, second = burgers.traffic(before), burgers.traffic(after)
    road, errors = burgers.Road(lambda x: np.where(x < 0, before, after)), []
    for n in (200, 400, 800):
        grid = Grid(-1.0, 1.0, n, boundary="outflow")  # the jump lies between two nodes
        final = road.solve(np.where(grid.x < 0, behind, ahead), grid, 0.9).final
        errors.append(grid.integrate(abs(final - first.junction(second, behind, ahead, grid.x, 0.9))))
    assert errors[2] < 0.012 and errors[2] < max(0.6 * errors[0], grid.spacing[0] / 2), errors


def test_the_queue_before_a_bottleneck_moves_with_rankine_hugoniot():
    wide, narrow = burgers.traffic(1.0, 1.0), burgers.traffic(0.5, 1.0)
    road, grid = burgers.Road(lambda x: np.where(x < 0, 1.0, 0.5)), Grid(-1.0, 1.0, 800, boundary="outflow")
    end = road.solve(np.full(800, 0.3), grid, 3.0).final
    queue = 0.5 * (1 + math.sqrt(0.5))  # carries the capacity of the narrow part
    assert wide.flow(queue) == pytest.approx(narrow.capacity)
    assert np.interp(-0.2, grid.x, end) == pytest.approx(queue, abs=1e-9)
    speed = (narrow.capacity - wide.flow(0.3)) / (queue - 0.3)
    tail = grid.x[np.argmax(end > 0.5 * (0.3 + queue))]
    assert wide.shock_speed(0.3, queue) == pytest.approx(speed) and abs(tail - 3.0 * speed) <= 2 * grid.spacing[0]


@pytest.mark.parametrize("width, where", [(0.001, 0.0071), (0.004, -0.3028), (0.05, 0.1)])
def test_road_works_between_two_nodes_let_through_their_capacity(width, where):
    """However narrow: half a kilometre of 0.3 for 1 in a cell of ten metres, and the flow ahead is 0.3/4."""
    road = burgers.Road(lambda x: np.where(np.abs(x - where) < width / 2, 0.3, 1.0))
    for boundary, ahead in (("outflow", 0.9), ("periodic", None)):
        grid = Grid(-1.0, 1.0, 201 if ahead else 200, boundary=boundary)
        density = road.solve(np.full(grid.shape, 0.3), grid, 3.0).final
        flow = road.flow(density, grid.x)
        if ahead is None:
            assert grid.integrate(density) == pytest.approx(0.6, rel=1e-12)
        assert flow[grid.x > where + 0.2][:20] == pytest.approx(
            0.075, rel=1e-3 if width < 0.01 else 1e-2
        )  # of the first order


@pytest.mark.parametrize("congested", [False, True])
def test_a_stationary_profile_of_a_varying_limit_stays(congested):
    """V ρ (1 - ρ) = constant at the nodes is stationary for the scheme too, free or congested."""
    road = burgers.Road(lambda x: 1.0 + 0.4 * np.sin(3 * x), 2.0)
    grid = Grid(0.0, 5.0, 301, boundary="outflow")
    start = road.stationary(0.2, grid.x, congested=congested)
    assert road.flow(start, grid.x) == pytest.approx(np.full(301, 0.2), abs=1e-14)
    assert np.abs(road.solve(start, grid, 4.0).final - start).max() < 1e-13
    with pytest.raises(ValueError, match="flow: expected at most the capacity"):
        road.stationary(0.31, grid.x)


def test_a_constant_limit_is_the_road_of_burgers():
    road, old = burgers.Road(lambda x: 1.5, 2.0, 0.02), burgers.traffic(1.5, 2.0, viscosity=0.02)
    grid = Grid(0, 1, 100, boundary="periodic")
    start = 1 + 0.9 * np.sin(2 * np.pi * grid.x)
    a, b = (r.solve(start, grid, 0.3, dt=1e-3).final for r in (road, old))
    assert np.abs(a - b).max() < 1e-12


@random
@given(lines())
def test_densities_on_a_road_with_any_limit_stay_in_bounds_and_in_order(line):
    """0 <= ρ <= ρ_m, comparison, and the cars of a ring road, with limits that jump and vanish."""
    _, grid, _, rng = line
    n, limits = grid.shape[0], 2 * rng.random(3 * grid.shape[0])
    limits = np.where(limits > 0.3, limits, 0.0)

    def limit(x):
        return limits[
            np.minimum((3 * n * (x - grid.lower[0]) / (grid.upper[0] - grid.lower[0])).astype(int), 3 * n - 1)
        ]

    road = burgers.Road(limit, 0.5, rng.choice([0.0, 0.05]))
    more = 0.5 * rng.choice([0.0, 1.0, *rng.random(3)], size=n)
    less = more * rng.random(n)
    high, low = (road.solve(r, grid, 0.3 * grid.upper[0], cfl=1.0, rtol=math.inf) for r in (more, less))
    assert high.values.min() >= -1e-14 and high.values.max() <= 0.5 + 1e-14
    assert (low.final <= high.final + 1e-13).all()
    if grid.periodic == (True,):
        assert high.info["mass_drift"].max() < 1e-12


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: burgers.Road(1.0), "speed_limit: expected a function of x"),
        (lambda: burgers.Road(lambda x: -1.0).limit(0.0), "speed_limit: expected finite values >= 0"),
        (lambda: burgers.Road(np.ones_like, 0.0), "jam_density: expected"),
        (lambda: burgers.Road(np.ones_like).solve(np.full(9, 1.1), Grid(0, 1, 9, boundary="outflow"), 1.0), "density:"),
        (lambda: burgers.Road(np.ones_like).solve(np.zeros(9), Grid(0, 1, 9), 1.0), "boundary|reflecting"),
    ],
)
def test_what_a_road_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("arguments", [(0.0, 1.0), (1.0, -1.0), (math.nan, 1.0), ("fast", 1.0), (1.0, math.inf)])
def test_impossible_roads(arguments):
    with pytest.raises(ValueError, match="expected a number > 0"):
        burgers.traffic(*arguments)


@pytest.mark.parametrize(
    "ask, message",
    [
        (lambda: burgers.riemann("a", 0.0, 0.0, 1.0), "left: expected a finite number, got 'a'"),
        (lambda: burgers.riemann(1.0, math.nan, 0.0, 1.0), "right: expected a finite number, got nan"),
        (lambda: burgers.riemann(1.0, 0.0, [0.0, math.nan], 1.0), "x: expected finite numbers"),
        (lambda: burgers.riemann(1.0, 0.0, 0.0, "late"), "t: expected a finite number, got 'late'"),
        (lambda: burgers.travelling_wave(0.0, 1.0, 0.0, 1.0, 0.1), "expected left > right"),
        (lambda: burgers.travelling_wave(1.0, 0.0, 0.0, 1.0, "thin"), "viscosity: expected a number > 0"),
        (lambda: burgers.characteristics(np.sin, 0.0, 0.1), "loss: expected a Loss of one variable"),
        (lambda: burgers.characteristics(Loss("x*y"), 0.0, 0.1), "loss: expected a Loss of one variable"),
        (lambda: burgers.shock_time(Loss("x*y"), Grid((0, 0), (1, 1), 4)), "grid: expected one dimension, got 2"),
        (lambda: burgers.traffic().density("fast"), "wave_speed: expected numbers"),
        (lambda: burgers.traffic().speed("dense"), "density: expected numbers in"),
    ],
)
def test_exact_solutions_refuse(ask, message):
    with pytest.raises(ValueError, match=message):
        ask()


def test_impossible_densities():
    road = burgers.traffic()
    for bad in (-0.1, 1.1, math.nan, [0.5, 2.0]):
        with pytest.raises(ValueError, match="density"):
            road.flow(bad)
    with pytest.raises(ValueError, match="periodic or outflow"):
        road.solve(np.zeros(5), Grid(0, 1, 5), 1.0)
    with pytest.raises(ValueError, match="viscosity"):
        burgers.traffic(viscosity=-1.0)


@pytest.mark.parametrize("boundary", ["reflecting", "outflow", "periodic"])
@pytest.mark.parametrize("scheme", [burgers.godunov, burgers.engquist_osher])
def test_a_step_keeps_the_order_also_at_walls_that_the_data_run_into(scheme, boundary):
    """The Jacobian of a step by differences has no negative entry, whatever p is at the ends."""
    rng = np.random.default_rng(1)
    for viscosity in (0.0, 0.02):
        for _ in range(10):
            grid, p = Grid(0.0, 1.0, 6, boundary=boundary), rng.normal(size=6)

            def step(values, grid=grid, viscosity=viscosity):
                dt = 0.02
                return solve(
                    burgers.Burgers(viscosity=viscosity), values, grid, dt, scheme=scheme, dt=dt, rtol=math.inf
                ).final

            base = step(p)
            for node in range(6):
                raised = p.copy()
                raised[node] += 1e-5
                assert (step(raised) - base).min() > -1e-14


def test_what_runs_into_a_wall_stands_or_thins_out():
    """p = a beside a wall at 0: a < 0 is a shock that stands at the wall, a > 0 leaves a rarefaction."""
    grid = Grid(0.0, 4.0, 401, boundary=("reflecting",))
    for a, exact in ((1.0, np.clip(grid.x / 1.5, 0.0, 1.0)), (-1.0, -np.ones(401))):
        p = solve(burgers.Burgers(viscosity=0.0), np.full(401, a), grid, 1.5).final
        inner = (grid.x > 0.05) & (grid.x < 2.0)
        assert p[0] == 0.0 and np.abs(p - exact)[inner].mean() < 0.02
