"""Paths: laws and orders against exact answers, addresses instead of order, every refusal in words."""

import math

import numpy as np
import pytest

from pdelab import noise, paths
from pdelab.losses import Loss

QUADRATIC = Loss("1.7*x**2/2")


def test_euler_maruyama_has_its_exact_discrete_law():
    """For f = a x^2/2 the scheme is AR(1): mean (1 - a dt)^k x0, variance (2 dt/beta) (1 - m^(2k))/(1 - m^2)."""
    a, beta, dt, k, x0 = 1.7, 4.0, 0.05, 40, 1.0
    run = paths.simulate(paths.Langevin(QUADRATIC, beta), x0, k * dt, dt, paths=100_000, seed=1, save_every=10)
    m = 1 - a * dt
    steps = np.array([0, 10, 20, 30, 40])
    variance = 2 * dt / beta * (1 - m ** (2 * steps)) / (1 - m**2)
    assert run.info["compiled"] and run.info["steps"] == k
    assert np.all(np.abs(run.mean - m**steps * x0) <= 4 * np.sqrt(variance / 1e5) + 1e-15)
    assert np.all(np.abs(run.variance - variance) <= 4 * variance * math.sqrt(2 / 1e5))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_same_bits_for_any_threads_and_any_number_of_paths(dtype):
    sde = paths.Langevin(Loss("x**4/4 - x**2/2 + y**2 + x*y"), 3.0)
    common = dict(seed=5, save_every=7, dtype=dtype)
    one = paths.simulate(sde, (0.5, -0.2), 1.0, 0.02, paths=2000, threads=1, **common)
    for threads, count in ((2, 2000), (3, 2000), (2, 700), (1, 1)):
        other = paths.simulate(sde, (0.5, -0.2), 1.0, 0.02, paths=count, threads=threads, **common)
        assert (other.states == one.states[:, :count]).all()
        if count == 2000:
            assert (other.mean == one.mean).all() and (other.variance == one.variance).all()
    bare = paths.simulate(sde, (0.5, -0.2), 1.0, 0.02, paths=2000, threads=2, store=False, **common)
    assert bare.states is None and (bare.final == one.final).all()
    assert (bare.mean == one.mean).all() and (bare.variance == one.variance).all()


def test_a_python_loss_sees_the_same_noise():
    formula = paths.Langevin(Loss("x**4/4 - x**2/2"), 3.0)
    python = paths.Langevin(Loss.from_functions(lambda x: x**4 / 4 - x**2 / 2, lambda x: x**3 - x, dimension=1), 3.0)
    common = dict(paths=1100, seed=5, save_every=10)
    ours, theirs = (paths.simulate(sde, 0.3, 1.0, 0.01, **common) for sde in (formula, python))
    assert ours.info["compiled"] and not theirs.info["compiled"]
    assert np.allclose(ours.states, theirs.states, rtol=1e-12, atol=1e-12)
    z = noise.normals(5, 1100, 1)[0, 0]
    first = paths.simulate(formula, 0.3, 0.01, 0.01, paths=1100, seed=5).final
    assert np.allclose(first, 0.3 - 0.01 * (0.3**3 - 0.3) + math.sqrt(2 / 3 * 0.01) * z, rtol=1e-14)
