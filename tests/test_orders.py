"""Observed orders of convergence: every scheme on at least four grids, inside a two-sided band."""

import math
from functools import partial

import numpy as np
import pytest

from pdelab import hamilton_jacobi as hj
from pdelab.grid import Grid
from pdelab.hamilton_jacobi import HamiltonJacobi, Heat
from pdelab.stepping import solve

SIZES = {1: (64, 128, 256, 512), 2: (24, 48, 96, 192), 3: (20, 32, 50, 80)}


def orders(sizes, errors):
    """Rates between neighbouring grids."""
    return np.diff(np.log(errors)) / -np.diff(np.log(sizes))


def within(sizes, errors, band, cap):
    rates = orders(sizes, errors)
    assert len(errors) >= 4
    assert (rates > band[0]).all() and (rates < band[1]).all(), f"orders {rates}, errors {errors}"
    assert errors[-1] < cap


def wave(s):
    """Smooth periodic data of one variable, with kinks to come at about t = 0.6."""
    return np.cos(s) + 0.2 * np.sin(2 * s)


def cole_hopf(s, t, nu, n=512):
    """-2ν log(G * e^{-f/(2ν)}) on the circle by its Fourier series, spectrally accurate."""
    y = 2 * np.pi * np.arange(n) / n
    k = np.fft.rfftfreq(n, 1 / n)
    v = np.fft.rfft(np.exp(-wave(y) / (2 * nu))) / n * np.exp(-nu * k**2 * t)
    v[1:-1] *= 2
    return -2 * nu * np.log((v * np.exp(1j * np.multiply.outer(s, k))).real.sum(axis=-1))


def hopf_lax(s, t):
    """min_y f(y) + (s - y)²/(2t) over three periods, polished by Newton's method."""
    y = np.linspace(-3 * np.pi, 5 * np.pi, 4001)
    flat = np.ravel(s)
    best = y[np.argmin(wave(y) + (flat[:, None] - y) ** 2 / (2 * t), axis=1)]
    for _ in range(4):
        slope = -np.sin(best) + 0.4 * np.cos(2 * best) + (best - flat) / t
        bend = -np.cos(best) - 0.8 * np.sin(2 * best) + 1 / t
        best = best - slope / np.maximum(bend, 0.1)
    return (wave(best) + (flat - best) ** 2 / (2 * t)).reshape(np.shape(s))


def plane_wave_errors(problem, dimension, end, scheme, sizes, dt=lambda h: None):
    """Errors at t = end/d for data f(x_1 + ... + x_d): one dimension's solution at time `end`, with no axis special."""
    errors, nu = [], problem.viscosity
    for n in sizes:
        grid = Grid((0.0,) * dimension, (2 * np.pi,) * dimension, n, boundary="periodic")
        index, s = sum(np.indices(grid.shape)) % n, grid.axes[0]
        u = solve(
            problem, wave(s)[index], grid, end / dimension, scheme=scheme, dt=dt(grid.spacing[0]), rtol=math.inf
        ).final
        exact = cole_hopf(s, end, nu) if nu else hopf_lax(s, end)
        errors.append(abs(u - exact[index]).max())
    return np.array(errors)


CASES = {  # scheme, viscosity, band of orders, cap of the error on the finest grid
    "monotone viscous": (hj.monotone, 0.3, (0.8, 1.1), 0.015),
    "monotone inviscid": (hj.monotone, 0.0, (0.8, 1.15), 0.016),
    "Engquist-Osher viscous": (hj.engquist_osher, 0.3, (0.8, 1.1), 0.015),
    "Engquist-Osher inviscid": (hj.engquist_osher, 0.0, (0.8, 1.15), 0.025),
    "fitted viscous": (hj.fitted, 0.3, (1.7, 2.2), 0.0016),
    "fitted inviscid": (hj.fitted, 0.0, (0.8, 1.15), 0.016),
}


@pytest.mark.parametrize("dimension", [1, 2, 3])
@pytest.mark.parametrize("case", CASES)
def test_hamilton_jacobi(case, dimension):
    """Inviscid runs end after the kinks have formed and count them."""
    scheme, nu, *rest = CASES[case]
    sizes = SIZES[dimension]
    within(sizes, plane_wave_errors(HamiltonJacobi(viscosity=nu), dimension, 1.2, scheme, sizes), *rest)


@pytest.mark.parametrize("scheme", [hj.weno, hj.filtered])
@pytest.mark.parametrize("dimension, sizes", [(1, (32, 64, 128, 256)), (2, (32, 48, 72, 108)), (3, (24, 32, 40, 48))])
def test_high_order_on_smooth_solutions(scheme, dimension, sizes):
    """Order five in space: viscous (dt ~ h² by the bound) and, before kinks form, inviscid with dt ~ h^(5/3)."""
    viscous = plane_wave_errors(HamiltonJacobi(viscosity=0.3), dimension, 1.2, scheme, sizes)
    within(sizes, viscous, (4.4, 5.7), 1e-4)
    inviscid = plane_wave_errors(
        HamiltonJacobi(math.inf), dimension, 0.3, scheme, sizes, dt=lambda h: 0.3 * h ** (5 / 3) / dimension
    )
    within(sizes, inviscid, (3.5, 5.7), 2e-4)


def test_time_orders_of_implicit_schemes():
    """Backward Euler against the same operator in time integrated to round-off."""
    grid = Grid(0, 2 * np.pi, 64, boundary="periodic")
    problem, f = HamiltonJacobi(viscosity=0.3), wave(grid.x)
    exact = solve(problem, f, grid, 0.5, scheme=partial(hj.rosenbrock, tolerance=1e-12), rtol=math.inf).final
    steps = np.array([10, 20, 40, 80])
    errors = [
        abs(solve(problem, f, grid, 0.5, scheme=hj.implicit, dt=0.5 / k, rtol=math.inf).final - exact).max()
        for k in steps
    ]
    within(steps, errors, (0.85, 1.1), 0.01)


@pytest.mark.parametrize("viscosity, band", [(0.3, (0.85, 1.25)), (0.0, (0.7, 1.2))])
@pytest.mark.parametrize("dimension, sizes", [(1, (64, 128, 256, 512)), (2, (32, 48, 72, 108))])
def test_implicit_with_its_own_steps(viscosity, band, dimension, sizes):
    """Order one when time and space are refined together, steps five to fifty times the explicit ones."""
    problem = HamiltonJacobi(viscosity=viscosity)
    within(sizes, plane_wave_errors(problem, dimension, 1.2, hj.implicit, sizes), band, 0.2)


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_heat(dimension):
    """Products of cosines of the frequencies 2, 1, 2 along a periodic and two reflecting axes."""
    errors, frequencies = [], (2, 1, 2)[:dimension]
    for n in SIZES[dimension]:
        boundary = ("periodic", "reflecting", "reflecting")[:dimension]
        grid = Grid((0.0,) * dimension, (np.pi,) * dimension, n, boundary=boundary)
        f = math.prod(np.cos(k * x) for k, x in zip(frequencies, np.meshgrid(*grid.axes, indexing="ij")))
        v = solve(Heat(viscosity=0.1), f, grid, 0.5, rtol=math.inf).final
        errors.append(abs(v - f * math.exp(-0.05 * sum(k * k for k in frequencies))).max())
    within(SIZES[dimension], errors, (1.8, 2.2), 1e-3)
