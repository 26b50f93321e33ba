"""Bridges: one fact computed by two modules that know nothing of each other."""

import math

import numpy as np

import pdelab as pl

LOSS = pl.Loss("0.05*x**4 - 0.4*x**2 + 0.15*x + 0.3*sin(3*x)")


def test_logarithm_of_heat_is_hamilton_jacobi():
    """u = -(1/β) log v, v_t = ν Δv (thesis (4.14)): the heat solver against Cole-Hopf, second order in the spacing."""
    beta, t, errors = 3.0, 0.2, []
    for n in (64, 128, 256, 512):
        grid = pl.Grid(-1.0, 1.0, n, boundary="periodic")
        f = np.cos(np.pi * grid.x) / 2
        v = pl.solve(pl.Heat(beta=beta), np.exp(-beta * f), grid, t).final
        errors.append(np.abs(-np.log(v) / beta - pl.cole_hopf(f, grid, t, beta)).max())
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    assert ((rates > 1.8) & (rates < 2.2)).all(), rates


def test_paths_have_the_fokker_planck_density():
    """A histogram of Langevin paths against the density, cell by cell at five standard errors of 40 cells."""
    beta, time, count = 3.0, 0.7, 200_000
    paths = pl.simulate(pl.Langevin(LOSS, beta), 0.3, time, 0.002, paths=count, seed=11)
    grid = pl.Grid(-4.0, 4.0, 2001)
    start = np.exp(-((grid.x - 0.3) ** 2) / (2 * 0.004))
    problem = pl.FokkerPlanck(LOSS, beta=beta)
    density = pl.solve(problem, start / grid.integrate(start), grid, time - 0.002 * beta / 2, dt=0.002).final
    edges = np.linspace(-3.0, 2.6, 41)
    shares = np.histogram(paths.states[-1], edges)[0] / count
    cumulative = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2 * grid.spacing[0])])
    exact = np.diff(np.interp(edges, grid.x, cumulative))
    sigma = np.sqrt(exact * (1 - exact) / count)
    assert (np.abs(shares - exact) < 5 * sigma + 4e-4).all()  # 4e-4: the Euler step's bias, the start's width
    assert np.abs(shares - exact).sum() < 0.02


def test_hamilton_jacobi_and_fokker_planck_share_the_generator():
    grid = pl.Grid((-2.0, -2.0), (2.0, 2.0), (17, 19))
    field = np.random.default_rng(0).normal(size=(17, 19, 2))
    of_hamilton_jacobi = pl.generator(pl.HamiltonJacobi(viscosity=0.3, drift=field), grid)
    of_fokker_planck = pl.generator(pl.FokkerPlanck(drift=field, diffusivity=0.3), grid)
    assert abs(of_hamilton_jacobi - of_fokker_planck).max() < 1e-12 * abs(of_hamilton_jacobi).max()
    same_beta = pl.generator(pl.FokkerPlanck(drift=field, beta=1 / 0.6), grid)
    assert abs(of_hamilton_jacobi - same_beta).max() > 1.0  # beta means 1/(2 beta) there and 1/beta here


def test_scoped_flow_ends_in_the_modified_gibbs_law():
    """Follow -grad u(x, T-t) with noise sqrt(2 nu) for exactly T: the terminal law is rho_1(.; x0), gamma = T."""
    beta, T, x0 = 3.0, 1.0, -0.5
    fine = pl.Grid(-5.0, 5.0, 2001)
    times = np.linspace(0.0, T, 401)
    values = pl.cole_hopf(LOSS, pl.Grid(-5.0, 5.0, 2001, boundary="outflow"), times, beta)
    potential = pl.fokker_planck.Slices(T - times[::-1], values[::-1])
    start = np.exp(-((fine.x - x0) ** 2) / (2 * 0.02**2))
    problem = pl.FokkerPlanck(potential, diffusivity=1 / (2 * beta))
    end = pl.solve(problem, start / fine.integrate(start), fine, T, dt=T / 1600).final
    law = np.exp(-beta * (LOSS(fine.x) + (fine.x - x0) ** 2 / (2 * T)))
    law /= fine.integrate(law)
    assert fine.integrate(np.abs(end - law)) < 0.01
    wrong = pl.solve(pl.FokkerPlanck(potential, diffusivity=1 / beta), start / fine.integrate(start), fine, T).final
    assert fine.integrate(np.abs(wrong - law)) > 0.2  # the sampler's diffusivity is not the control's


def test_stationary_law_of_q_is_gibbs_and_long_time_density():
    grid = pl.Grid(-3.0, 3.0, 301)
    problem = pl.FokkerPlanck(LOSS, beta=4.0)
    gibbs = np.exp(-4.0 * (LOSS(grid.x) - LOSS(grid.x).min()))
    gibbs /= grid.integrate(gibbs)
    np.testing.assert_allclose(pl.stationary(problem, grid), gibbs, rtol=1e-10)
    late = pl.solve(problem, np.full(301, 1 / 6), grid, 40 / pl.spectral_gap(problem, grid), dt=1.0).final
    np.testing.assert_allclose(late, gibbs, rtol=1e-9)


def test_hopf_lax_is_the_cold_limit_of_local_entropy():
    grid = pl.Grid(-4.0, 4.0, 801, boundary="outflow")
    inner = np.abs(grid.x) < 2.5
    cold, limit = pl.cole_hopf(LOSS, grid, 0.3, 1e9), pl.cole_hopf(LOSS, grid, 0.3, math.inf)
    np.testing.assert_allclose(cold[inner], pl.hopf_lax(LOSS, grid, 0.3)[inner], atol=1e-4)
    np.testing.assert_array_equal(limit, pl.hopf_lax(LOSS, grid, 0.3))
