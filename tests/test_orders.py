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


def within(dimension, errors, band, cap):
    found = orders(SIZES[dimension], errors)
    assert len(errors) >= 4
    assert (found > band[0]).all() and (found < band[1]).all(), f"orders {found}, errors {errors}"
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


def plane_wave_errors(problem, dimension, exact, **options):
    """Errors at t = 1.2/d for data f(x_1 + ... + x_d): one dimension's solution at time 1.2, with no axis special."""
    found = []
    for n in SIZES[dimension]:
        grid = Grid((0.0,) * dimension, (2 * np.pi,) * dimension, n, boundary="periodic")
        index = sum(np.indices(grid.shape)) % n
        s = grid.axes[0]
        u = solve(problem, wave(s)[index], grid, 1.2 / dimension, **options).final
        found.append(abs(u - exact(s)[index]).max())
    return np.array(found)


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
    exact = partial(cole_hopf, t=1.2, nu=nu) if nu else partial(hopf_lax, t=1.2)
    errors = plane_wave_errors(HamiltonJacobi(viscosity=nu), dimension, exact, scheme=scheme)
    within(dimension, errors, *rest)


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_heat(dimension):
    """Products of cosines of the frequencies 2, 1, 2 along a periodic and two reflecting axes."""
    errors, frequencies = [], (2, 1, 2)[:dimension]
    for n in SIZES[dimension]:
        boundary = ("periodic", "reflecting", "reflecting")[:dimension]
        grid = Grid((0.0,) * dimension, (np.pi,) * dimension, n, boundary=boundary)
        f = math.prod(np.cos(k * x) for k, x in zip(frequencies, np.meshgrid(*grid.axes, indexing="ij")))
        v = solve(Heat(viscosity=0.1), f, grid, 0.5).final
        errors.append(abs(v - f * math.exp(-0.05 * sum(k * k for k in frequencies))).max())
    within(dimension, errors, (1.8, 2.2), 1e-3)
