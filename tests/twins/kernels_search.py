"""Twins of the kernels of the global search: plain Python where that is short, the uncompiled text elsewhere.

That the minima are global is shown by brute force in tests/test_enclosures.py.
"""

import numpy as np

from pdelab.kernels import search
from pdelab.losses import Loss, enclosures

TEXT = "x**2/4 + y**2/3 + 0.3*cos(5*x)*sin(3*y) + 0.2*abs(x - 0.1)"


def tape():
    return enclosures.tape(Loss(TEXT, ("x", "y")))


def value(y):
    return Loss(TEXT, ("x", "y"))(y)


def tree(splits=20):
    arrays = search.empty_tree(np.full(2, -3.0), np.full(2, 3.0), 400)
    for part in arrays[4:]:
        part[:] = 0
    arrays[0][0], arrays[1][:] = 1, -1
    arrays[2][1:], arrays[3][1:] = 0.0, 0.0
    work = search.workspace(tape()[0], 2)
    search.fill(0, tape(), arrays, work)
    for k in range(splits):
        search.split(k, tape(), arrays, work)
    return arrays


def work():
    return tuple(np.zeros(a.shape) for a in search.workspace(tape()[0], 2))


def text(name):
    return getattr(search, name).py_func


def quadratic(slope, bend, low, high):
    s = np.concatenate([np.linspace(low, high, 200_001), [np.clip(-slope / bend, low, high)]])
    return float((slope * s + 0.5 * bend * s * s).min())


def quadratics(rng):
    for _ in range(5):
        low, high = np.sort(rng.normal(size=2))
        yield float(rng.normal()), float(rng.normal()), float(low), float(high)


def energy(y, x, stiffness, tape, work):
    return value(y) + 0.5 * stiffness * ((y - x) ** 2).sum()


def lattices(first, counts, h, places):
    parts = []
    for start, count, step in zip(first, counts, h):
        axes = [s + step * np.arange(n) for s, n in zip(start, count)]
        parts.append(np.stack([m.ravel() for m in np.meshgrid(*axes, indexing="ij")], axis=-1))
    places[:] = np.concatenate(parts)


def lattice_cases(rng):
    for d in (1, 2, 3):
        counts = rng.integers(2, 5, (3, d))
        yield rng.normal(size=(3, d)), counts, rng.uniform(0.1, 1.0, 3), np.zeros((np.prod(counts, axis=1).sum(), d))


def moments(values, places, size, x, anchor, lowest, stiffness, beta, sums):
    rows, columns = np.triu_indices(x.shape[1])
    ends = np.cumsum(size)
    for p, (a, b) in enumerate(zip(ends - size, ends)):
        far = ((places[a:b] - x[p]) ** 2).sum(1)
        exponent = -beta * (values[a:b] - lowest[p] + 0.5 * stiffness * far)
        w, z = np.where(exponent > -60.0, np.exp(exponent), 0.0), places[a:b] - anchor[p]
        sums[p] = np.concatenate([[w.sum()], w @ z, w @ (z[:, rows] * z[:, columns])])


def moment_cases(rng):
    for d in (1, 2, 3):
        size = np.array([4, 7])
        yield (rng.normal(size=11), rng.normal(size=(11, d)), size, rng.normal(size=(2, d)), rng.normal(size=(2, d)),
               np.zeros(2), 2.0, 3.0, np.zeros((2, 1 + d + d * (d + 1) // 2)))  # fmt: skip


LINE = Loss("x**2/4 + 0.3*cos(5*x)")


def line_tree(splits=12):
    arrays = search.empty_tree(np.full(1, -3.0), np.full(1, 3.0), 200)
    arrays[0][0], arrays[1][:] = 1, -1
    spare, own = search.workspace(enclosures.tape(LINE)[0], 1), enclosures.tape(LINE)
    search.fill(0, own, arrays, spare)
    for k in range(splits):
        search.split(k, own, arrays, spare)
    return arrays


def least_bend(low, high, stiffness, tree):
    def cover(k):
        if tree[3][k, 0] < low or high < tree[2][k, 0]:
            return []
        if np.isfinite(tree[10][k]) and tree[9][k, 0] + stiffness > 0.0:
            return [tree[9][k, 0] + stiffness]
        return [0.0] if tree[1][k] < 0 else cover(tree[1][k]) + cover(tree[1][k] + 1)

    bends = cover(0)
    return min(bends) if bends else 0.0


def certify_between(tree, known, stiffness, tolerance, place, slope, certain):
    for first, last in zip(known, known[1:]):
        low, high = place[first, 0], place[last, 0]
        room = 1e-13 * (abs(low) + abs(high))
        bend = least_bend(low - room, high + room, stiffness, tree)
        for p in range(first + 1, last):
            y, s = place[p, 0], np.linspace(low - room, high + room, 100_001) - place[p, 0]
            falls = (slope[p, 0] * s + 0.5 * bend * s * s).min()
            certain[p] = certain[p] and bend > 0.0 and low - room <= y <= high + room and falls >= -tolerance[p]


def between_cases(rng):
    place = np.array([[0.50], [0.55], [0.60], [1.60], [1.62], [1.70]])
    tolerance, slope = np.full(6, 1e-6), np.array([[0.0], [1e-9], [0.0], [0.0], [0.4], [0.0]])
    for known in (np.array([0, 2, 3, 5]), np.array([0, 5])):
        yield line_tree(), known, 2.0, tolerance, place, slope, np.ones(6, bool)


def certify(tree, x, stiffness, closed, tolerance, best, place, slope, certain):
    def proved(k, p):
        slack = tolerance[p] + 1e-15 * abs(best[p])
        if search.bound(k, x[p], stiffness, tree) >= best[p] - slack:
            return True
        if search.monotone(k, x[p], stiffness, tree, closed):
            return True
        low, high, bend = tree[2][k] - place[p], tree[3][k] - place[p], tree[9][k] + stiffness
        if (low <= 0).all() and (high >= 0).all() and (bend > 0).all() and np.isfinite(tree[10][k]):
            falls = sum(search._quadratic(slope[p, i], bend[i], low[i], high[i]) for i in range(x.shape[1]))
            if falls >= -(slack + 2.0 * np.ptp(tree[6][k])):
                return True
        return tree[1][k] >= 0 and proved(tree[1][k], p) and proved(tree[1][k] + 1, p)

    for p in range(len(x)):
        certain[p] = bool(certain[p]) and proved(0, p)


def certify_cases(rng):
    x = points(rng, 12)
    best = np.array([value(point) for point in x]) + rng.choice([-3.0, -0.3, 0.0], 12)
    for slope in (np.zeros((12, 2)), rng.normal(size=(12, 2))):
        yield tree(120), x, 6.0, True, np.full(12, 1e-3), best, x.copy(), slope, np.arange(12) != 3


def points(rng, count=3):
    return rng.uniform(-2.0, 2.0, (count, 2))


def floor_cases(rng):
    arrays = tree()
    yield tape(), arrays, np.array([0, 1, 1]), points(rng), 2.0, 0.1, np.zeros(3), np.zeros((3, 2))


def minimise_cases(rng):
    x = points(rng)
    yield (tape(), tree(), x, 2.0, True, np.full(3, 1e-9), 0.0, 40, value(x), np.zeros(3), x.copy(), np.zeros(3),
           np.zeros(3, np.int64))  # fmt: skip


def window_cases(rng):
    x = points(rng)
    yield (tape(), tree(), x, 2.0, np.full(3, 1.0), 5.0, np.full(3, 0.4), 1.0, np.full(3, 1.0), np.zeros(3, bool),
           np.zeros((3, 2)), np.zeros((3, 2)))  # fmt: skip


def better_cases(rng):
    for newton in (True, False):
        yield rng.normal(size=2), 0.5, 1e-16, newton, 1, np.ones(2), np.zeros(2), rng.normal(size=(2, 2))


TWINS = {
    "workspace": (
        lambda code, d: tuple(np.zeros((len(code), *s)) for s in ((2,), (2, 2), (3, 2))),
        lambda rng: [(tape()[0], 2)],
    ),
    "fill": (text("fill"), lambda rng: [(3, tape(), tree(), work())]),
    "split": (text("split"), lambda rng: [(25, tape(), tree(), work())]),
    "_quadratic": (quadratic, quadratics, 1e-8),
    "bound": (text("bound"), lambda rng: [(k, points(rng)[0], 2.0, tree()) for k in (0, 9, 30)]),
    "monotone": (
        text("monotone"),
        lambda rng: [(k, points(rng)[0], 2.0, tree(), c) for k in (0, 30) for c in (True, False)],
    ),
    "energy": (text("energy"), lambda rng: [(points(rng)[0], points(rng)[0], 2.0, tape(), work())]),
    "energies": (text("energies"), lambda rng: [(tape(), points(rng), 2.0, points(rng), np.zeros(3), np.zeros(3))]),
    "_solve": (text("_solve"), lambda rng: [(rng.normal(size=(3, 3)), rng.normal(size=3))]),
    "settle": (
        text("settle"),
        lambda rng: [(30, tree()[2][30] + 0.1, points(rng)[0], 9.0, 1e-9, tape(), tree(), work())],
    ),
    "_vertex": (text("_vertex"), lambda rng: [(k, 1, 0.3, 2.0, tree()) for k in (4, 20)]),
    "_better": (text("_better"), better_cases),
    "minimise": (text("minimise"), minimise_cases),
    "_least_bend": (
        least_bend,
        lambda rng: [
            (low, low + w, s, line_tree()) for low in (-2.0, 0.6, 1.5) for w in (0, 0.1, 1) for s in (0.5, 4.0)
        ],
    ),
    "certify_between": (certify_between, between_cases),
    "certify": (certify, certify_cases),
    "windows": (text("windows"), window_cases),
    "lattices": (lattices, lattice_cases),
    "moments": (moments, moment_cases),
    "floors": (text("floors"), floor_cases),
}
