"""Cole-Hopf of node values whose kernel is narrower than the spacing: the integral of the multilinear interpolant."""

import itertools
import math
import warnings

import numpy as np
import pytest
from scipy.special import erf, erfcx, log_ndtr, logsumexp

import pdelab as pl
from pdelab import AccuracyWarning, Grid

BETAS = {1.0: 11.47458234060, 10.0: 2.3225319140175, 100.0: 1.1455079759093}  # mpmath's nested quadrature, 30 digits


def graded(octaves):
    """(p, 1 - p, weights) of Gauss rules on panels of [0, 1] that halve towards both ends."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    edges = np.concatenate([[0.0], 2.0 ** np.arange(-octaves, 0.0)])
    half = 0.5 * np.diff(edges)[:, None]
    p, w = (edges[:-1, None] + half * (1.0 + nodes)).ravel(), (half * weights).ravel()
    return np.concatenate([1.0 - p, p]), np.concatenate([p, 1.0 - p]), np.concatenate([w, w])


def cells(grid, axis, reach):
    """(place, nodes at both ends) of the cells along an axis and their images."""
    n, ring = grid.shape[axis], grid.boundary[axis] == "periodic"
    count = n if ring else n - 1
    for j in range(-reach, count + reach):
        k = j % (count if ring else 2 * count)
        ends = (k, (k + 1) % n) if ring else (k, k + 1) if k < count else (2 * count - k, 2 * count - k - 1)
        yield j, ends


def brute_force(f, grid, t, beta, node):
    """u at a node of a plane, every cell and image that matters by a product of graded rules."""
    p, q, w = graded(6 + math.ceil(math.log2(1 + beta * np.abs(f[np.isfinite(f)]).max())))
    x = [axis[k] for axis, k in zip(grid.axes, node)]
    reach = [math.ceil(11 * math.sqrt(t / beta) / h) + n for h, n in zip(grid.spacing, grid.shape)]
    near = []
    for (i, rows), (j, columns) in itertools.product(cells(grid, 0, reach[0]), cells(grid, 1, reach[1])):
        away = [
            max(low + h * k - a, a - low - h * (k + 1), 0.0)
            for a, low, h, k in zip(x, grid.lower, grid.spacing, (i, j))
        ]
        corners = f[np.ix_(rows, columns)]
        near.append((corners.min() + (away[0] ** 2 + away[1] ** 2) / (2 * t), i, j, corners))
    parts, lowest = [], math.inf
    for floor, i, j, corners in sorted(near, key=lambda corner: corner[0]):
        if not np.isfinite(corners).all() or beta * (floor - lowest) > 40:
            continue
        y = [low + h * (k + q) for low, h, k in zip(grid.lower, grid.spacing, (i, j))]
        moves = [(a - b) ** 2 / (2 * t) for a, b in zip(x, y)]
        energy = moves[0][:, None] + moves[1] + np.outer(p, p) * corners[0, 0] + np.outer(p, q) * corners[0, 1]
        energy += np.outer(q, p) * corners[1, 0] + np.outer(q, q) * corners[1, 1]
        lowest = min(lowest, float(energy.min()))
        parts.append(logsumexp(-beta * energy, b=np.outer(w, w)))
    if not parts:
        return math.inf
    return -(logsumexp(parts) + math.log(math.prod(grid.spacing) * beta / (2 * math.pi * t))) / beta


@pytest.mark.parametrize("beta", BETAS)
def test_an_extreme_peak_in_the_plane(beta):
    f = np.array([[0.0, 0.0], [0.0, 1e6]])
    assert pl.cole_hopf(f, Grid((0.0, 0.0), (1.0, 1.0), 2), 0.5, beta)[1, 1] == pytest.approx(BETAS[beta], rel=1e-11)


SIZES = {"peak": 1e4, "high peak": 1e9, "pit": -300.0, "forbidden": math.inf, "mild": 3.0}


@pytest.mark.parametrize("boundary", ["reflecting", "periodic", ("periodic", "reflecting")])
@pytest.mark.parametrize("name", SIZES)
def test_peaks_pits_and_forbidden_nodes_in_the_plane(name, boundary):
    rng = np.random.default_rng(len(name))
    grid = Grid((0.0, 0.0), (1.0, 1.3), 3, boundary=boundary)
    f = rng.normal(size=grid.shape)
    f[1, 2] = f[0, 0] = SIZES[name]
    t, beta = 0.4, 0.4 / min(grid.spacing) ** 2 * rng.uniform(0.6, 6.0)
    u = pl.cole_hopf(f, grid, t, beta)
    node = (1, 2) if name == "pit" else (2, 2)
    assert u[node] == pytest.approx(brute_force(f, grid, t, beta, node), rel=1e-9, abs=1e-9 / beta)


@pytest.mark.parametrize("size", [10.0, 1e5, 1e9])
def test_data_that_jump_everywhere(size):
    grid = Grid((0.0, 0.0), (1.0, 1.0), (3, 4))
    f = size * np.random.default_rng(5).random(grid.shape)
    f[1, 1] = 0.0
    u = pl.cole_hopf(f, grid, 0.3, 30.0)
    assert u[2, 0] == pytest.approx(brute_force(f, grid, 0.3, 30.0, (2, 0)), rel=1e-9)


@pytest.mark.parametrize("beta", [60.0, 400.0])
def test_an_extreme_peak_in_space(beta):
    """At the corner with the peak the integral is eight times that over one octant, here exact along the last axis."""
    t, peak = 0.5, 1e6
    f = np.zeros((2, 2, 2))
    f[1, 1, 1] = peak
    u = pl.cole_hopf(f, Grid((0.0,) * 3, (1.0,) * 3, 2), t, beta)[1, 1, 1]
    p, q, w = graded(40)
    d, share, w = np.concatenate([q, 1.0 + q]), np.concatenate([p, q]), np.tile(w, 2)  # distances, the next cell too
    kappa = beta / (2 * t)
    height, root = beta * peak * np.outer(share, share), math.sqrt(kappa)
    a = height / (2 * kappa)  # ∫ exp(-kappa r² - height |1 - r|) dr from 0 to 1 and on from there
    above = erfcx(root * (1.0 + a)) * math.exp(-kappa)
    steep = erfcx(root * np.maximum(a - 1.0, 0.0)) * math.exp(-kappa)
    steep -= erfcx(root * a) * np.exp(-np.minimum(height, 700.0))
    inner = np.exp(np.minimum(kappa * a**2 - height, 0.0)) * (erf(root * a) + erf(root * (1.0 - a)))
    line = 0.5 * math.sqrt(math.pi) / root * (np.where(a >= 1.0, steep, inner) + above)
    kernel = np.exp(-kappa * d**2) * w
    total = kernel @ line @ kernel
    exact = -(math.log(8.0 * total) + 1.5 * math.log(kappa / math.pi)) / beta
    assert u == pytest.approx(exact, rel=1e-7)


def test_a_plane_in_space():
    """Data that do not depend on one axis, and the order of the axes."""
    rng = np.random.default_rng(3)
    f = rng.normal(size=(3, 3))
    f[1, 1] = 1e5
    plane = pl.cole_hopf(f, Grid((0.0, 0.0), (1.0, 1.5), 3), 0.3, 20.0)
    for axis, wide in itertools.product(range(3), (1.0, 0.05)):
        sides = [1.0, 1.5]
        sides.insert(axis, wide)
        count = [3, 3]
        count.insert(axis, 2)
        block = np.repeat(np.expand_dims(f, axis), 2, axis=axis)
        u = pl.cole_hopf(block, Grid((0.0,) * 3, sides, count), 0.3, 20.0)
        np.testing.assert_allclose(u.take(0, axis=axis), plane, rtol=1e-7)


def test_what_is_not_resolved_is_said(monkeypatch):
    grid = Grid((0.0, 0.0), (1.0, 1.0), 3)
    f = 1e6 * np.random.default_rng(0).random(grid.shape)
    monkeypatch.setitem(pl.closed_forms.strips.WORK, 2, 0)
    with pytest.warns(pl.AccuracyWarning, match="f jumps by so much between its nodes"):
        pl.cole_hopf(f, grid, 0.5, 10.0)


def test_a_lone_node_has_measure_zero():
    """Between forbidden nodes: the value comes from the next cell, however far."""
    grid = Grid(0.0, 7.0, 8)
    f = np.array([math.inf, 0.0, math.inf, math.inf, 50.0, 50.0, 50.0, math.inf])
    beside = np.where(grid.x < 3.5, math.inf, f)
    u = pl.cole_hopf(f, grid, 0.5, 3.0)
    assert np.isfinite(u).all()
    np.testing.assert_array_equal(u, pl.cole_hopf(beside, grid, 0.5, 3.0))


def by_rows(f, grid, t, beta, node):
    """Cole-Hopf of the bilinear interpolant in a reflecting plane: normal integrals along cells, Gauss rules across.

    A cell of the last axis on which f is a + b (y - y0) gives e^{-β (a + b (x - y0)) + β² b² s²/2} times the mass that
    a normal law of mean x - β b s² and variance s² = t/β has in it.
    """
    h, x, s = grid.spacing, [axis[k] for axis, k in zip(grid.axes, node)], math.sqrt(t / beta)
    slope = max(np.abs(np.diff(f, axis=axis)).max() / h[axis] for axis in (0, 1))
    reach = [math.ceil((12 * s + t * slope) / step) + 1 for step in h]
    whole = np.pad(f, [(r, r) for r in reach], mode="reflect")
    gauss, weights = np.polynomial.legendre.leggauss(100)
    gauss, weights, terms = (gauss + 1) / 2, weights / 2, []
    for i in range(whole.shape[0] - 1):
        y = grid.lower[0] + (i - reach[0] + gauss) * h[0]
        rows = np.outer(1 - gauss, whole[i]) + np.outer(gauss, whole[i + 1])
        b, start = np.diff(rows) / h[1], grid.lower[1] + (np.arange(rows.shape[1] - 1) - reach[1]) * h[1]
        mean = x[1] - beta * b * s**2
        low, high = (start - mean) / s, (start + h[1] - mean) / s
        low, high = np.where(low > 0, -high, low), np.where(low > 0, -low, high)  # the tail that keeps its digits
        mass = log_ndtr(high) + np.log1p(-np.exp(log_ndtr(low) - log_ndtr(high)))
        along = -beta * (rows[:, :-1] + b * (x[1] - start)) + (beta * b * s) ** 2 / 2 + mass
        across = np.log(weights * h[0] / (math.sqrt(2 * math.pi) * s)) - ((y - x[0]) / s) ** 2 / 2
        terms.append(logsumexp(along + across[:, None]))
    return -logsumexp(terms) / beta


@pytest.mark.parametrize("seed, beta, share", [(9, 30.0, 0.01), (4, 30.0, 0.01), (8, 60.0, 0.007), (5, 6.0, 0.4)])
def test_rough_planes_are_known_to_eleven_digits(seed, beta, share):
    """Noise on 12² nodes, kernels of variance `share` h²: bends between two rows are narrower than any five points."""
    grid = Grid((-1.0, -1.0), (1.0, 1.0), 12)
    f, t = np.random.default_rng(seed).normal(size=(12, 12)), beta * share * grid.spacing[0] ** 2
    u = pl.cole_hopf(f, grid, t, beta)
    for node in [(0, 0), (1, 9), (0, 10), (4, 7), (11, 5)]:
        assert abs(u[node] - by_rows(f, grid, t, beta, node)) <= 1e-11 * max(1 / beta, np.ptp(f))


@pytest.mark.parametrize("seed", range(6))
def test_the_continuation_beyond_corners_is_right_or_told(seed):
    """Of c x y, its own continuation: u = log(1 - c²t²)/(2β) + (c x y - t c² (x² + y²)/2)/(1 - c²t²), |c| t < 1."""
    rng = np.random.default_rng(seed)
    grid = Grid((-1.0, -1.0), (1.0, 1.0), 21, boundary="outflow")
    x, y = grid.points[..., 0], grid.points[..., 1]
    c, t, beta = rng.uniform(-1.0, 1.0), rng.uniform(0.1, 0.95), 10 ** rng.uniform(0.0, 3.0)
    rest = 1.0 - (c * t) ** 2
    exact = math.log(rest) / (2 * beta) + (c * x * y - t * c * c * (x**2 + y**2) / 2) / rest
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        u = pl.cole_hopf(c * x * y, grid, t, beta)
    if not any("beyond corners" in str(w.message) for w in told):
        np.testing.assert_allclose(u, exact, atol=1e-5 * (1.0 / beta + np.ptp(exact)))


def test_corners_that_fall_ever_more_steeply_are_told():
    grid = Grid((-1.0, -1.0), (1.0, 1.0), 21, boundary="outflow")
    product = grid.points[..., 0] * grid.points[..., 1]
    for t, beta in ((0.7, 1e3), (0.95, 3.0), (2.0, 3.0)):
        with pytest.warns(AccuracyWarning, match="beyond corners"):
            pl.cole_hopf(-product, grid, t, beta)


def by_images(f, grid, t, beta, node):
    """Cole-Hopf of the linear interpolant on the cells of a line and their images: normal integrals, as in by_rows."""
    h, s, x = grid.spacing[0], math.sqrt(t / beta), grid.x[node]
    many = math.ceil(20 * s / h) + 2 * f.size
    low, high, start = (
        np.array(part)
        for part in zip(*((f[a], f[b], grid.lower[0] + h * j) for j, (a, b) in cells(grid, 0, many)), strict=True)
    )
    allowed = np.isfinite(low) & np.isfinite(high)
    low, high, start = low[allowed], high[allowed], start[allowed]
    b = (high - low) / h
    mean = x - beta * b * s**2
    z0, z1 = (start - mean) / s, (start + h - mean) / s
    z0, z1 = np.where(z0 > 0, -z1, z0), np.where(z0 > 0, -z0, z1)
    mass = log_ndtr(z1) + np.log1p(-np.exp(log_ndtr(z0) - log_ndtr(z1)))
    return -logsumexp(-beta * (low + b * (x - start)) + (beta * b * s) ** 2 / 2 + mass) / beta


@pytest.mark.parametrize("boundary", ["periodic", "reflecting"])
@pytest.mark.parametrize("seed", range(30))
def test_allowed_arcs_are_those_of_all_images(seed, boundary):
    """Data on a few arcs, forbidden elsewhere, kernels from far below the spacing to beyond the period."""
    rng = np.random.default_rng(seed)
    n, beta = int(rng.integers(8, 90)), 10 ** rng.uniform(-1, 2)
    grid, width = Grid(-3.0, 3.0, n, boundary=boundary), 10 ** rng.uniform(-0.5, math.log10(1.5 * n))  # in spacings
    f = np.full(n, math.inf)
    for _ in range(rng.integers(1, 4)):
        arc = (rng.integers(n - 1) + np.arange(rng.integers(2, max(3, n // 3)))) % n
        f[arc] = rng.normal(size=arc.size) * 10 ** rng.uniform(-2, 0.5) / beta / max(1.0, width)
    f[3:5] = 0.0
    t = beta * (width * grid.spacing[0]) ** 2
    u = pl.cole_hopf(f, grid, t, beta)
    size = 1e-11 * max(1 / beta, np.ptp(f[np.isfinite(f)])) + 1e-14 * np.abs(u).max()
    exact = [by_images(f, grid, t, beta, node) for node in range(n)]
    np.testing.assert_allclose(u, exact, rtol=0, atol=size)
    if boundary == "periodic":
        shift = int(rng.integers(1, n))
        np.testing.assert_allclose(pl.local_entropy(np.roll(f, shift), grid, t, beta), np.roll(u, shift), atol=size)


@pytest.mark.parametrize("shape", [(14, 22), (4, 5, 9)])
@pytest.mark.parametrize("seed", range(4))
def test_allowed_boxes_roll_with_the_data(seed, shape):
    """Periodic along one axis or more: far side of the ring included, and in the plane by brute force."""
    rng, d = np.random.default_rng(seed), len(shape)
    names, ring = rng.choice(["periodic", "reflecting"], d), seed % d
    names[ring] = "periodic"
    grid = Grid((0.0,) * d, rng.uniform(0.7, 1.4, d), shape, boundary=names)
    box = np.ix_(*(rng.integers(n - 1) // 2 + np.arange(2 if d == 3 else 3) for n in shape))
    f = np.full(shape, math.inf)
    f[box] = 0.3 * rng.normal(size=f[box].shape)
    beta = 3.0
    for share in (0.1, 3.0, 30.0):
        t = share * beta * max(grid.spacing) ** 2
        u, shift = pl.cole_hopf(f, grid, t, beta), int(rng.integers(1, shape[ring]))
        size = 1e-8 * max(1 / beta, np.ptp(u))
        rolled = pl.cole_hopf(np.roll(f, shift, ring), grid, t, beta)
        np.testing.assert_allclose(rolled, np.roll(u, shift, ring), atol=size)
        if d == 2:
            node = tuple(int(rng.integers(n)) for n in shape)
            assert abs(u[node] - brute_force(f, grid, t, beta, node)) <= size


@pytest.mark.parametrize("shape", [(12, 17), (5, 4, 6)])
@pytest.mark.parametrize("seed", range(4))
def test_sums_over_coordinates_on_a_box_are_those_of_lines(seed, shape):
    """f1(x) + f2(y) + ... on a box: the integral is a product, whatever the kernel's width along each axis."""
    rng, d = np.random.default_rng(seed), len(shape)
    names = rng.choice(["periodic", "reflecting"], d)
    grid = Grid((0.0,) * d, 10 ** rng.uniform(-0.7, 0.7, d), shape, boundary=names)
    beta = 10 ** rng.uniform(-1, 1)
    t = beta * rng.uniform(1.0, 12.0) * grid.spacing[0] * grid.spacing[1]
    f, exact, node = 0.0, 0.0, tuple(int(rng.integers(n)) for n in shape)
    for axis, n in enumerate(shape):
        line, part = Grid(0.0, grid.upper[axis], n, boundary=names[axis]), np.full(n, math.inf)
        part[: n // 2 + 1] = rng.normal(size=n // 2 + 1) / beta / max(1.0, math.sqrt(t / beta) / line.spacing[0])
        f, exact = np.add.outer(f, part), exact + by_images(part, line, t, beta, node[axis])
    assert abs(pl.cole_hopf(f, grid, t, beta)[node] - exact) <= 1e-9 * max(1 / beta, np.ptp(f[np.isfinite(f)]))


@pytest.mark.parametrize(
    "boundary, dimension", [*itertools.product(["periodic", "reflecting"], (1, 2, 3)), ("outflow", 1), ("outflow", 2)]
)
def test_no_jump_where_node_sums_begin(boundary, dimension):
    rng = np.random.default_rng(dimension)
    grid = Grid((0.0,) * dimension, (1.0,) * dimension, (40, 10, 5)[dimension - 1], boundary=boundary)
    f = rng.uniform(-0.01, 0.01, grid.shape)
    f[(slice(None, grid.shape[0] // 2),) * dimension] = math.inf
    for share in (2.0, 8.0):
        below, above = pl.cole_hopf(f, grid, [(share + e) * grid.spacing[0] ** 2 for e in (-1e-11, 0.0)], 1.0)
        np.testing.assert_allclose(below, above, atol=1e-8 * max(1.0, np.ptp(above)))


def test_many_nodes_with_forbidden_ones_are_told(monkeypatch):
    """Summed by shares of allowed cells: right to second order in h."""
    grid = Grid((0.0, 0.0), (1.0, 1.0), 41, boundary=("periodic", "reflecting"))
    f = np.where(np.abs(grid.points - 0.5).max(axis=-1) < 0.2, 0.0, math.inf)
    exact = pl.cole_hopf(f, grid, 0.1, 1.0)
    monkeypatch.setitem(pl.closed_forms.viscous.ROOM, 2, 0)
    with pytest.warns(AccuracyWarning, match="too many to integrate f between them next to forbidden ones"):
        u = pl.cole_hopf(f, grid, 0.1, 1.0)
    np.testing.assert_allclose(u, exact, atol=2 * grid.spacing[0] ** 2 / 12 / 0.1**2)
