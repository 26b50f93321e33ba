"""Noise: the published vectors of the generator, addresses instead of order, and the law of the numbers."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from scipy import stats

from pdelab import noise
from pdelab.kernels import noise as kernels

# Random123 1.14, tests/kat_vectors: rounds, counter, key, words.
VECTORS = """
13 0000000000000000 0000000000000000 0000000000000000 0000000000000000 f167b032c3b480bd e91f9fee4b7a6fb5
13 ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff ccdec5c917a874b1 4df53abca26ceb01
13 243f6a8885a308d3 13198a2e03707344 a4093822299f31d0 082efa98ec4e6c89 c3aac71561042993 3fe7ae8801aff316
20 0000000000000000 0000000000000000 0000000000000000 0000000000000000 c2b6e3a8c2c69865 6f81ed42f350084d
20 ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff e02cb7c4d95d277a d06633d0893b8b68
20 243f6a8885a308d3 13198a2e03707344 a4093822299f31d0 082efa98ec4e6c89 263c7d30bb0f0af1 56be8361d3311526
"""


@pytest.mark.parametrize("line", VECTORS.split("\n")[1:-1])
def test_published_vectors(line):
    rounds, *words = line.split()
    counter0, counter1, key0, key1, *expected = (int(word, 16) for word in words)
    generator = {"13": kernels.threefry13, "20": kernels.threefry20}[rounds]
    output = generator(*(np.uint64(word) for word in (counter0, counter1, key0, key1)))
    assert [int(word) for word in output] == expected


# ------------------------------------------------------------------------------------------------- addresses


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    seed=st.integers(0, 2**64 - 1),
    path=st.integers(0, 3 * noise.BLOCK),
    step=st.integers(0, 50),
    dtype=st.sampled_from([np.float64, np.float32]),
)
def test_one_address_is_one_number(seed, path, step, dtype):
    whole = noise.normals(seed, range(path, path + 600), range(step, step + 7), 2, dtype=dtype)
    for k, c, i in ((0, 0, 0), (3, 1, 511), (6, 0, 599)):
        alone = noise.normals(seed, range(path + i, path + i + 1), range(step + k, step + k + 1), 2, dtype=dtype)
        assert alone[0, c, 0] == whole[k, c, i]


def test_no_increment_is_used_twice():
    for dtype in (np.float64, np.float32):
        z = noise.normals(3, 700, 41, 3, dtype=dtype)
        repeated = 1 - len(np.unique(z)) / z.size
        assert repeated < 1e-12 if dtype is np.float64 else repeated < 0.01  # float32 has few numbers near 0
        assert not (z[1:] == z[:-1]).any() if dtype is np.float64 else (z[1:] == z[:-1]).mean() < 1e-6
        assert (noise.normals(4, 700, 41, 3, dtype=dtype) != z).mean() > 0.9999


@pytest.mark.parametrize("seed", [1.5, "1", None, -1, 2**64, True, np.float64(3)])
def test_bad_seed(seed):
    with pytest.raises(ValueError, match="seed: expected a whole number"):
        noise.normals(seed, 1, 1)


def test_bad_ranges():
    for paths in (0, -1, 2.5, range(0), range(-1, 3), range(0, 4, 2)):
        with pytest.raises(ValueError, match="paths: expected"):
            noise.normals(1, paths, 1)
    with pytest.raises(ValueError, match="channels: expected"):
        noise.normals(1, 1, 1, 0)
    with pytest.raises(ValueError, match="dtype: expected"):
        noise.normals(1, 1, 1, dtype=int)


# --------------------------------------------------------------------------------------------------- the law


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_moments_and_distribution(dtype):
    z = noise.normals(2026, 2**14, 64, dtype=dtype).astype(float).ravel()
    n = z.size
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10395 - 225)):
        assert abs((z**power).mean() - mean) < 4 * math.sqrt(variance / n), power
    assert stats.kstest(z, "norm").pvalue > 1e-4
    beyond = stats.norm.sf(4.0) * 2 * n
    assert abs((np.abs(z) > 4.0).sum() - beyond) < 4 * math.sqrt(beyond)


def test_neighbours_are_independent():
    """Correlations of the numbers, of their squares, and of number with square, for neighbours in every direction."""
    z = noise.normals(11, 2**13, 33, 2)
    pairs = [(z[k:], z[:-k]) for k in (1, 2)] + [(z[..., k:], z[..., :-k]) for k in (1, 512)]
    for a, b in [*pairs, (z[:, 0], z[:, 1]), (z, noise.normals(12, 2**13, 33, 2))]:
        a, b = a.ravel(), b.ravel()
        for f, g in ((a, b), (a**2 - 1, b**2 - 1), (a, b**2 - 1), (a**2 - 1, b)):
            product = f * g
            assert abs(product.mean()) < 4 * product.std() / math.sqrt(product.size)


def test_pairs_are_round():
    """The two normals of one Box-Muller pair: the angle is uniform and independent of the radius."""
    z = noise.normals(5, 2**18, 2)[:, 0]
    angle, radius = np.arctan2(z[1], z[0]), (z**2).sum(0)
    assert stats.kstest(angle, "uniform", args=(-math.pi, 2 * math.pi)).pvalue > 1e-4
    assert stats.kstest(radius, "expon", args=(0, 2)).pvalue > 1e-4
    assert stats.kstest(angle[radius > 4], "uniform", args=(-math.pi, 2 * math.pi)).pvalue > 1e-4


def test_extreme_words_give_finite_normals():
    top = np.uint64(2**64 - 1)
    for w in (np.uint64(0), top):
        for v in (np.uint64(0), top):
            assert all(math.isfinite(z) and abs(z) < 8.58 for z in kernels.box_muller(w, v))
    for w in (np.int32(-(2**31)), np.int32(-1), np.int32(2**31 - 1)):
        assert all(math.isfinite(z) and abs(z) < 6.67 for z in kernels.box_muller32(w, w))


# --------------------------------------------------------------------------------------- elementary functions


def loop(function):
    @njit(error_model="numpy")
    def apply(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    return apply


@pytest.mark.parametrize("name", ["log", "exp", "tanh", "sin", "cos"])
def test_elementary_functions_to_two_units_in_the_last_place(name, rng):
    points = {
        "log": np.concatenate([np.exp(rng.uniform(-740, 700, 300)), 1 + 0.1 * rng.normal(size=300)]),
        "exp": np.concatenate([rng.uniform(-708, 709, 300), 0.3 * rng.normal(size=300)]),
        "tanh": np.concatenate([rng.normal(size=300), 1e-6 * rng.normal(size=100), 10 * rng.normal(size=100)]),
    }
    angles = np.concatenate([5 * rng.normal(size=200), 1e6 * rng.normal(size=200), np.pi / 2 * np.arange(-100, 100)])
    x = points.get(name, angles)
    computed = np.empty_like(x)
    loop(getattr(kernels, "v" + name))(x, computed)
    with mpmath.workprec(140):
        exact = [getattr(mpmath, name)(mpmath.mpf(float(v))) for v in x]
        errors = [abs(mpmath.mpf(float(a)) - b) / float(np.spacing(abs(float(b)))) for a, b in zip(computed, exact)]
    assert max(errors) < 2.0


def test_elementary_functions_at_their_edges():
    assert [kernels.vlog(x) for x in (0.0, math.inf, 1.0)] == [-math.inf, math.inf, 0.0]
    assert math.isnan(kernels.vlog(-1.0)) and math.isnan(kernels.vlog(math.nan))
    assert [kernels.vexp(x) for x in (-math.inf, -800.0, 0.0, 800.0, math.inf)] == [0.0, 0.0, 1.0, math.inf, math.inf]
    assert kernels.vexp(-744.0) == pytest.approx(math.exp(-744.0), rel=0.3)  # one of the last denormal numbers
    assert [kernels.vtanh(x) for x in (-math.inf, 50.0)] == [-1.0, 1.0]
    for function in (kernels.vsin, kernels.vcos):
        assert math.isnan(function(math.inf)) and math.isnan(function(3e9))
    for function in (kernels.vexp, kernels.vtanh, kernels.vsin, kernels.vcos):
        assert math.isnan(function(math.nan))
