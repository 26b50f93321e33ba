"""Slow, obvious twins of pdelab/kernels/cells.py: every cell, edge and face of every target, roots by eigenvalues."""

import itertools

import numpy as np
from numpy.polynomial import Polynomial

CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))


def within(s):
    return float(np.clip(s, 0.0, 1.0))


def edge(a, b, c):
    s = within((c - (b - a)) / (2 * c))
    return a + s * (b - a) - c * s * (1 - s), s


def face(v00, v01, v10, v11, c, e):
    m = v11 - v01 - v10 + v00
    H, g = np.array([[2 * c, m], [m, 2 * e]]), np.array([v10 - v00 - c, v01 - v00 - e])
    s, t = np.clip(-np.linalg.solve(H, g), 0, 1) if 4 * c * e - m * m > 0 else (0.0, 0.0)
    value = (1 - s) * (1 - t) * v00 + (1 - s) * t * v01 + s * (1 - t) * v10 + s * t * v11
    return value - c * s * (1 - s) - e * t * (1 - t), s, t


def inside(v, c, *s):
    s = np.array(s)
    weights = np.where(CORNERS == 1, s, 1 - s).prod(axis=1)
    return weights @ v - c @ (s * (1 - s))


def horner(q, degree, r):
    return sum(q[k] * r**k for k in range(degree + 1))


def roots(p, zeros):
    roots = Polynomial(p).roots()
    real = sorted(z.real for z in roots if abs(z.imag) < 1e-7 * (1 + abs(z)) and 0 < z.real < 1)
    zeros[: len(real)] = real
    return len(real)


def multiply(p, q):
    return np.convolve(p, q)


def slopes(v, out):
    v = v.reshape(2, 2, 2)
    for k, orders in enumerate(([0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2])):
        difference = v
        for axis in range(3):
            difference = np.diff(difference, axis=axis) if axis in orders else difference.take([0], axis)
        out[k] = difference.item()


def derivatives(a, c, s):
    """Gradient and Hessian of the energy in a cell."""
    h01, h02, h12 = a[3] + a[6] * s[2], a[4] + a[6] * s[1], a[5] + a[6] * s[0]
    g = a[:3] + [a[3] * s[1] + a[4] * s[2], a[3] * s[0] + a[5] * s[2], a[4] * s[0] + a[5] * s[1]]
    g = g + a[6] * np.array([s[1] * s[2], s[0] * s[2], s[0] * s[1]]) - c * (1 - 2 * s)
    return g, np.array([[2 * c[0], h01, h02], [h01, 2 * c[1], h12], [h02, h12, 2 * c[2]]])


def settle(a, c, s):
    for _ in range(12):
        g, H = derivatives(a, c, s)
        if np.linalg.eigvalsh(H)[0] <= 0:
            return -1
        step = np.linalg.solve(H, -g)
        s += step
        if np.abs(step).max() <= 1e-12:
            return int(s.min() > 0 and s.max() < 1)
    return -1


def crosses(v, bit, c):
    steps = np.array([v[k | bit] - v[k] for k in range(8) if not k & bit])
    return bool(steps.min() >= c or steps.max() <= -c)


def bends(near, far, product):
    if not np.isfinite(near + far):
        return False
    return bool(np.abs(np.linspace(near, far, 100_001)).min() < 2 * np.sqrt(product))


def stationary(v, c):
    """Points inside a cell where the gradient vanishes, by elimination: a resultant of degree five."""
    a = np.empty(7)
    slopes(v, a)
    m, p, q = Polynomial([a[3], a[6]]), Polynomial([c[0] - a[0], -a[4]]), Polynomial([c[1] - a[1], -a[5]])
    det = 4 * c[0] * c[1] - m**2
    first, second = 2 * c[1] * p - m * q, 2 * c[0] * q - m * p
    third = Polynomial([a[2] - c[2], 2 * c[2]])
    for r in (third * det**2 + (a[4] * first + a[5] * second) * det + a[6] * first * second).roots():
        if abs(r.imag) < 1e-6 and 0 < r.real < 1 and det(r.real) != 0:
            s = np.array([first(r.real) / det(r.real), second(r.real) / det(r.real), r.real])
            if s.min() > 0 and s.max() < 1:
                yield s


def body(v, c):
    if not np.isfinite(v).all():
        return np.inf, 0.0, 0.0, 0.0
    places = [p for p in stationary(v, c) if np.linalg.eigvalsh(derivatives_at(v, c, p)[1])[0] > 0]
    if not places:
        return np.inf, 0.0, 0.0, 0.0
    (s,) = places
    return inside(v, c, *s), *s


def derivatives_at(v, c, s):
    a = np.empty(7)
    slopes(v, a)
    return derivatives(a, c, s)


def folded(i, n):
    return i % n


def energy(y, best, x, c):
    return c * (y - x) ** 2 - c * (best - x) ** 2


def pieces(v, c, lowest):
    """(energy, place) of the edges at the first corner of a cell, its faces there and its interior."""
    d = len(c)
    corner = {tuple(key): value for key, value in zip(itertools.product((0, 1), repeat=d), v)}
    unit = np.eye(d, dtype=int)
    for k in range(d):
        value, s = edge(corner[(0,) * d], corner[tuple(unit[k])], c[k])
        yield value, s * unit[k]
    for k, m in itertools.combinations(range(d), 2):
        ends = (corner[tuple(i * unit[k] + j * unit[m])] for i in (0, 1) for j in (0, 1))
        value, s, t = face(*ends, c[k], c[m])
        yield value, s * unit[k] + t * unit[m]
    if d == 3:
        value, *s = body(v, c)
        yield value, np.array(s)


def square(v, c, e, y0, y1, lowest, place):
    for value, s in pieces(v, np.array([c, e]), lowest):
        if value < lowest:
            lowest, place[:] = value, [y0 + s[0], y1 + s[1]]
    return lowest


def cube(v, c, y0, y1, y2, lowest, place):
    for value, r in pieces(v, c, lowest):
        if value < lowest:
            lowest, place[:] = value, np.array([y0, y1, y2]) + r
    return lowest


def everywhere(f, rings, nodes, low, c, value, minimiser):
    """The minimum over all cells of data continued by images."""
    d, size = f.ndim, np.array(f.shape)
    ranges = [range(-n, 2 * n) if ring else range(n) for n, ring in zip(size, rings)]
    for target in np.ndindex(value.shape):
        x, best = np.array(target) + low, nodes[target]
        here, lowest = f[tuple(best % size)], 0.0
        place = best.astype(float)
        for base in itertools.product(*ranges):
            v = []
            for corner in itertools.product((0, 1), repeat=d):
                y = np.array(base) + corner
                missing = any(k >= n and not ring for k, n, ring in zip(y, size, rings))
                move = c @ ((y - x) ** 2 - (best - x) ** 2)
                v.append(np.inf if missing else f[tuple(y % size)] - here + move)
            if min(v) - c.sum() / 4 < lowest:
                for energy_there, s in pieces(np.array(v), c, lowest):
                    if energy_there < lowest:
                        lowest, place = energy_there, np.array(base) + s
        value[target] += lowest
        minimiser[target] = place


def linear_minimum(f, ring, first, last, nodes, low, c, value, minimiser):
    everywhere(f, [ring], nodes[:, None], np.array([low]), np.array([c]), value, minimiser[:, None])


def bilinear_minimum(f, rings, level, first, last, nodes, low, c, value, minimiser):
    everywhere(f, rings, nodes, np.array(low), c, value, minimiser)


def trilinear_minimum(f, rings, level1, level2, first, last, nodes, low, c, value, minimiser):
    everywhere(f, rings, nodes, np.array(low), c, value, minimiser)


def number_cases(rng):
    for s in (-1.0, -0.0, 0.0, 0.3, 1.0, 2.0, np.inf, -np.inf):
        yield (s,)


def edge_cases(rng):
    for scale in (1e-300, 1.0, 1e200):
        for a, b, c in rng.random((20, 3)):
            yield scale * a, scale * b, scale * c
    yield 0.0, 1e6, 1.0
    yield 0.0, np.inf, 1.0
    yield np.inf, np.inf, 1.0


def face_cases(rng):
    for strength in (0.3, 1.0, 30.0):
        for v in rng.normal(size=(40, 4)):
            yield *(strength * v).tolist(), *rng.uniform(0.5, 2.0, 2).tolist()


def inside_cases(rng):
    for v, c, s in zip(rng.normal(size=(20, 8)), rng.random((20, 3)), rng.random((20, 3))):
        yield v, c, *s.tolist()


def roots_cases(rng):
    for zeros in rng.uniform(-0.5, 1.5, (40, 5)):
        yield Polynomial.fromroots(zeros).coef, np.zeros(6)
    yield Polynomial.fromroots([0.25, 2.0, 3.0, 0.5 + 1j, 0.5 - 1j]).coef.real, np.zeros(6)


def horner_cases(rng):
    for degree in range(6):
        yield rng.normal(size=6), degree, float(rng.random())


def multiply_cases(rng):
    for m, n in itertools.product((1, 2, 5), (1, 3)):
        yield rng.normal(size=m), rng.normal(size=n)


def slopes_cases(rng):
    for _ in range(5):
        yield rng.normal(size=8), np.empty(7)


def settle_cases(rng):
    for _ in range(40):
        c = rng.uniform(0.5, 2.0, 3)
        yield 0.4 * rng.normal(size=7), c, np.full(3, 0.5)


def crosses_cases(rng):
    for strength in (0.1, 1.0, 3.0):
        for bit in (1, 2, 4):
            yield strength * rng.normal(size=8) + rng.normal() * CORNERS[:, {4: 0, 2: 1, 1: 2}[bit]] * 3, bit, 1.0


def bends_cases(rng):
    for near, far in 5 * rng.normal(size=(40, 2)):
        yield float(near), float(far), 1.0
    yield np.inf, 1.0, 1.0
    yield np.inf, -np.inf, 1.0


def body_cases(rng):
    for strength in (0.1, 0.5, 1.0, 3.0):
        for _ in range(40):
            c = rng.uniform(0.5, 2.0, 3)
            yield strength * rng.random(8), c
    yield np.where(np.arange(8) == 3, np.inf, 0.0), np.ones(3)


def folded_cases(rng):
    for i in range(-7, 12):
        yield i, 4


def energy_cases(rng):
    for x, c in rng.random((10, 2)):
        yield int(rng.integers(-5, 5)), int(rng.integers(-5, 5)), float(x), float(c)


def square_cases(rng):
    for strength in (0.3, 1.0, 5.0):
        for _ in range(20):
            yield strength * rng.random(4), 1.0, float(rng.uniform(0.3, 3)), 2.0, 5.0, 0.0, np.zeros(2)


def cube_cases(rng):
    for strength in (0.3, 1.0, 5.0):
        for _ in range(20):
            c = rng.uniform(0.3, 3.0, 3)
            yield strength * rng.random(8), c, 2.0, 5.0, 1.0, 0.0, np.zeros(3)


def minimum_cases(rng, shapes):
    """(f, rings, value, nodes, low, c): random data, some of them forbidden, and the best nodes."""
    for shape, ring, strength in itertools.product(shapes, (False, True), (0.3, 3.0, 30.0)):
        d, f = len(shape), strength * rng.normal(size=shape)
        f[rng.random(shape) < 0.15] = np.inf
        f.flat[0] = 0.5
        rings, c = (ring,) * d, rng.uniform(0.3, 3.0, d)
        low = tuple(rng.uniform(0.0, 0.3, d) + (0 if ring else 0.5))  # no ties
        size = shape if ring else tuple(n - 1 for n in shape)
        choices = [range(-n, 2 * n) if ring else range(n) for n in shape]
        sources = np.array(list(itertools.product(*choices)))
        heights = f[tuple((sources % shape).T)]
        value, nodes = np.empty(size), np.empty((*size, d), np.int64)
        for target in np.ndindex(*size):
            H = heights + (sources - (np.array(target) + low)) ** 2 @ c
            value[target], nodes[target] = H.min(), sources[H.argmin()]
        yield f, rings, value, nodes, low, c


def wide(shape, n, ring):
    """Windows that hold everything."""
    start, end = (-n, 2 * n - 2) if ring else (0, n - 1)
    return np.full(shape, start), np.full(shape, end)


def lowest_level(f):
    """Levels that exclude nothing: the least of f everywhere."""
    return float(f.min())


def linear_cases(rng):
    for f, rings, value, nodes, low, c in minimum_cases(rng, [(2,), (3,), (9,)]):
        windows = wide(value.shape, f.size, rings[0])
        yield f, rings[0], *windows, nodes[:, 0], low[0], c[0], value, np.empty(value.shape)


def bilinear_cases(rng):
    for f, rings, value, nodes, low, c in minimum_cases(rng, [(2, 2), (3, 5)]):
        level = np.full((f.shape[0], value.shape[1]), lowest_level(f) - 100.0)
        pairs = [wide(field.shape, n, ring) for field, n, ring in zip((value, level), f.shape, rings)]
        yield f, rings, level, *zip(*pairs), nodes, low, c, value, np.empty(nodes.shape)


def trilinear_cases(rng):
    for f, rings, value, nodes, low, c in minimum_cases(rng, [(2, 3, 2)]):
        level1 = np.full((f.shape[0], *value.shape[1:]), lowest_level(f) - 100.0)
        level2 = np.full((*f.shape[:2], value.shape[2]), lowest_level(f) - 100.0)
        triples = [wide(field.shape, n, ring) for field, n, ring in zip((value, level1, level2), f.shape, rings)]
        yield f, rings, level1, level2, *zip(*triples), nodes, low, c, value, np.empty(nodes.shape)


TWINS = {
    "within": (within, number_cases),
    "edge": (edge, edge_cases),
    "face": (face, face_cases, 1e-10),
    "inside": (inside, inside_cases),
    "roots": (roots, roots_cases, 1e-6),  # of random polynomials, eigenvalues lose half their digits at close pairs
    "horner": (horner, horner_cases),
    "multiply": (multiply, multiply_cases),
    "slopes": (slopes, slopes_cases),
    "settle": (settle, settle_cases, 1e-9),
    "crosses": (crosses, crosses_cases),
    "bends": (bends, bends_cases),
    "body": (body, body_cases, 1e-6),
    "folded": (folded, folded_cases),
    "energy": (energy, energy_cases, 1e-11),
    "linear_minimum": (linear_minimum, linear_cases),
    "square": (square, square_cases, 1e-10),
    "bilinear_minimum": (bilinear_minimum, bilinear_cases, 1e-10),
    "cube": (cube, cube_cases, 1e-6),
    "trilinear_minimum": (trilinear_minimum, trilinear_cases, 1e-6),
}
