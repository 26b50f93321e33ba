"""Slow, obvious twins of pdelab/kernels/quartics.py: exact fractions and dense matrices."""

import itertools
from fractions import Fraction

import numpy as np

# the coefficients of a quartic from its values at -2..2, times 24: whole numbers
QUARTIC = np.rint(24 * np.linalg.inv(np.vander(np.arange(-2.0, 3.0), increasing=True))).astype(int).tolist()


def quartic(a, b, v, d, e, s):
    coefficients = [sum(Fraction(q, 24) * Fraction(w) for q, w in zip(row, (a, b, v, d, e))) for row in QUARTIC]
    derivatives = [coefficients]
    for _ in range(2):
        derivatives.append([k * q for k, q in enumerate(derivatives[-1])][1:])
    return tuple(float(sum(q * Fraction(s) ** k for k, q in enumerate(each))) for each in derivatives)


def wrap(i, n):
    return i % n


def lagrange(s):
    """Weights of the values at -2..2 for the quartic and its two derivatives at s."""
    derivatives = [[s**k for k in range(5)], [0, 1, 2 * s, 3 * s**2, 4 * s**3], [0, 0, 2, 6 * s, 12 * s**2]]
    return [np.array(row) @ np.array(QUARTIC) / 24 for row in derivatives]


def jets(f, place, shift):
    """{(orders by axis): derivative} at place + shift of the tensor-product quartic on the five nodes each way."""
    block, bases = f, []
    for axis, (k, s) in enumerate(zip(place, shift)):
        if f.shape[axis] > 1:
            block = np.take(block, [(k + o) % f.shape[axis] for o in range(-2, 3)], axis)
        bases.append(lagrange(s) if f.shape[axis] > 1 else [np.ones(1)])
    derivatives = {}
    for orders in itertools.product(*(range(len(basis)) for basis in bases)):
        a, b, c = (basis[order] for basis, order in zip(bases, orders))
        derivatives[orders] = float(block @ c @ b @ a)
    return derivatives


def jet_1(f, i, j, k, t):
    derivatives = jets(f[i, j][None, None], (0, 0, k), (0.0, 0.0, t))
    return tuple(derivatives[0, 0, order] for order in range(3))


def jet_2(f, i, j, k, s, t):
    derivatives = jets(f[i][None], (0, j, k), (0.0, s, t))
    return tuple(derivatives[0, p, q] for p, q in ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)))


ORDERS = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 0, 0), (1, 1, 0), (1, 0, 1), (0, 2, 0), (0, 1, 1), (0, 0, 2)]


def jet_3(f, i, j, k, r, s, t):
    derivatives = jets(f, (i, j, k), (r, s, t))
    return tuple(derivatives[orders] for orders in ORDERS)


def newton_step(*entries):
    g, H = np.array(entries[:3]), np.empty((3, 3))
    H[np.triu_indices(3)] = H.T[np.triu_indices(3)] = entries[3:]
    size = np.sqrt(np.abs(np.diag(H)))
    scaled = H / np.outer(size, size)  # axes may differ by hundreds of orders of magnitude
    if size.all() and np.linalg.eigvalsh(scaled).min() > 0:
        return tuple(np.linalg.solve(scaled, -g / size) / size)
    return tuple(-g / size / size)


def smooth_nodes(f, floor, smooth):
    for i, j in np.ndindex(smooth.shape):
        second, third, fourth, fifth, sixth = (np.abs(np.diff(f[i : i + 7, j], k)).max() for k in range(2, 7))
        wave = fourth <= second / 4 + floor and fifth <= third / 4 + floor and sixth <= second / 16 + floor
        plain = max(fifth, sixth) <= 0.03 * max(second, third, fourth) + floor
        smooth[i, j] = smooth[i, j] and (wave or plain)


def middle(a, n, periodic):
    if n == 1:
        return 0
    return a if periodic else sorted((2, a, n - 3))[1]


def confined(y, step, a, n, periodic):
    ends = (a - 1.0, a + 1.0) if periodic else (max(a - 1.0, 0.0), min(a + 1.0, n - 1.0))
    return float(np.clip(y + step, *ends))


def around(f, *node):
    def at(*shifts):
        return f[tuple((i + e) % n for i, e, n in zip(node, shifts, f.shape))]

    e, many = np.eye(3, dtype=int), np.array(f.shape) > 1
    g = [many[k] * (at(*e[k]) - at(*-e[k])) / 2 for k in range(3)]
    H = []
    for k, m in itertools.combinations_with_replacement(range(3), 2):
        if k == m:
            H.append(many[k] * (at(*e[k]) - 2 * at(0, 0, 0) + at(*-e[k])))
        else:
            corners = at(*(e[k] + e[m])) - at(*(e[k] - e[m])) - at(*(e[m] - e[k])) + at(*-(e[k] + e[m]))
            H.append(many[k] * many[m] * corners / 4)
    return tuple(float(v) for v in (*g, *H))


def polish(f, periodic, *numbers):
    a, x, c = (np.array(numbers[k : k + 3]) for k in (0, 3, 6))
    place = [middle(*each) for each in zip(a, f.shape, periodic)]
    y, value = a.astype(float), 0.0
    if place == a.tolist():
        derivatives = np.array(around(f, *place))
        derivatives[:3] += 2 * c * (y - x)
        derivatives[[3, 6, 8]] += 2 * c
        step = newton_step(*derivatives)
        y = np.array([confined(*each) for each in zip(y, step, a, f.shape, periodic)])
    for _ in range(12):
        derivatives = jets(f, place, (y - place).tolist())
        entries = [derivatives.get(orders, 0.0) for orders in ORDERS]
        value = entries[0] + np.sum(c * (y - x) ** 2)
        g, h = np.array(entries[1:4]) + 2 * c * (y - x), np.array(entries[4:])
        h[[0, 3, 5]] += 2 * c
        step = np.array(newton_step(*g, *h))
        new = np.array([confined(*each) for each in zip(y, step, a, f.shape, periodic)])
        held, moved = np.abs(new - y - step).max(), np.abs(new - y).max()
        y = new
        if held < 1e-9 and moved <= 1e-2:
            value += g @ step / 2
            break
        if moved <= 1e-9:
            break
    return value, *y


def calm(nodes, i, j, k):
    near = []
    for axis, n in enumerate(nodes.shape[:3]):
        for side in (-1, 1):
            other = [i, j, k]
            other[axis] += side
            if n > 1 or axis == 2:
                near.append(0 <= other[axis] < n and np.abs(nodes[tuple(other)] - nodes[i, j, k]).max() <= 1)
    return all(near)


def polish_all(f, smooth, periodic, nodes, low, c, value, minimiser):
    size = value.shape
    for target in np.ndindex(size):
        own = nodes[target]
        if not smooth[tuple(own % f.shape)]:
            value[target] = np.nan
            continue
        starts = [own]
        for axis, side in itertools.product(range(3), (-1, 1)):
            other, image = list(target), np.zeros(3, np.int64)
            other[axis] += side
            if not 0 <= other[axis] < size[axis]:
                if not periodic[axis] or size[axis] == 1:
                    continue
                image[axis] = side * f.shape[axis]
                other[axis] %= size[axis]
            node = nodes[tuple(other)] + image
            if np.abs(node - own).max() > 1 and smooth[tuple(node % f.shape)]:
                starts.append(node)
        polished = []
        for a in starts:
            v, *y = polish(f, periodic, *a, *(low + np.array(target)), *c)
            polished.append((v, y))
        lowest = min(v for v, _ in polished)
        ties = [tuple(y) for v, y in polished if abs(v - lowest) <= 4e-16 * (abs(v) + abs(lowest))]
        value[target], minimiser[target] = min(value[target], lowest), min(ties)


def before(*numbers):
    return numbers[:3] < numbers[3:]


def quartic_cases(rng):
    for size in (0.0, 1e-308, 1.0, 1e300):
        for s in (0.0, 1.0, -2.0, *rng.uniform(-2, 2, 10)):
            yield *(size * rng.normal(size=5)).tolist(), float(s)
            yield *np.full(5, size).tolist(), float(s)


def wrap_cases(rng):
    for n in (1, 2, 3, 10):
        for i in range(-n, 2 * n):
            yield i, n


def fields(rng):
    """(f, periodic, where the nodes may lie: low and high) for one, two and three dimensions."""
    shapes = ((1, 1, 5), (1, 1, 7), (1, 5, 6), (1, 7, 9), (5, 6, 8), (7, 8, 9))
    for shape, ring, size in itertools.product(shapes, (False, True), (0.0, 1e-308, 1.0, 1e200)):
        n = np.array(shape)
        periodic = np.array(n > 1, np.int64) * ring
        yield size * rng.normal(size=shape), periodic, -(n // 2) * periodic, n - 1 + n // 2 * periodic


def jet_cases(rng, dimension):
    for f, periodic, low, high in fields(rng):
        if sum(n > 1 for n in f.shape) < dimension:
            continue
        for a in (low, high, rng.integers(low, high + 1)):
            place = [middle(*each) for each in zip(a.tolist(), f.shape, periodic)]
            place[: 3 - dimension] = [int(p % n) for p, n in zip(place, f.shape)][: 3 - dimension]
            yield f, *place, *rng.uniform(-2, 2, dimension).tolist()


def around_cases(rng):
    for f, _, low, high in fields(rng):
        for a in (low, high, rng.integers(low, high + 1)):
            yield f, *a.tolist()


def newton_cases(rng):
    for k in range(120):
        H, g = rng.normal(size=(3, 3)), rng.normal(size=3)
        H = H @ H.T + 0.1 * np.eye(3) if k % 2 else H + H.T
        yield tuple((10.0 ** rng.choice([-250, 0, 0, 150]) * np.array([*g, *H[np.triu_indices(3)]])).tolist())
    yield 1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    yield 1.0, 0.0, 3.0, 1.0, 2.0, 0.0, 1.0, 0.0, 4.0
    yield 1.0, 0.0, -3.0, 1.0, 0.0, 0.0, 2.0, 0.0, -4.0


def middle_cases(rng):
    for n in (1, 5, 6, 9):
        for a in range(n):
            yield a, n, False
            yield a, n, True


def confined_cases(rng):
    for n, a, ring in itertools.product((1, 5, 9), (0, 2, 4), (False, True)):
        for y, step in (*rng.normal(size=(5, 2)), (float(a), 0.0), (float(a), 1e300), (float(a), -1e300)):
            yield float(y), float(step), min(a, n - 1), n, ring


def smooth_cases(rng):
    for count, width in ((1, 1), (1, 3), (2, 1), (20, 7)):
        x = np.arange(count + 6.0)[:, None]
        waves = np.cos(2 * np.pi * (x / rng.uniform(5, 25, width) + rng.random(width)))
        kink = np.abs(x - rng.uniform(0, count + 6, width))
        noise = rng.normal(size=waves.shape)
        bent = [waves + size * noise for size in (1e-5, 1e-4, 1e-3, 1e-2)]
        flat = [0 * waves, 0.1 * x + 0 * waves, 1e9 + 0 * waves]
        for f in (waves, kink, noise, *bent, *flat, 1e200 * waves, 1e-308 * noise):
            for floor in (1e-13 * np.abs(f).max(), 0.02):
                yield f, float(floor), rng.random((count, width)) < 0.8


def valleys(rng, shape):
    """A smooth field that is not a quadratic."""
    axes = np.meshgrid(*(np.arange(n) * (2 * np.pi / n) for n in shape), indexing="ij")
    tilted = sum(rng.normal() * np.cos(v + rng.normal()) for v in axes)
    return tilted + 0.5 * np.cos(axes[2] - axes[1] + 0.3) * np.sin(axes[0] + 1.0)


def polish_cases(rng):
    for f, periodic, low, high in fields(rng):
        for data, stiff in ((f, 100 * np.ptp(f) or 1.0), (valleys(rng, f.shape), 1.0), (valleys(rng, f.shape), 0.05)):
            a = rng.integers(low, high + 1)
            c = np.where(np.array(f.shape) > 1, stiff * rng.uniform(0.5, 3.0, 3), 1.0)
            x = np.where(np.array(f.shape) > 1, a + np.any(data) * rng.uniform(-0.9, 0.9, 3), 0.0)
            yield data, periodic, *a.tolist(), *x.tolist(), *c.tolist()


def best_nodes(f, periodic, low, c, size):
    """The best node of every target, images included."""
    choices = [range(-(n // 2) - 1, n + n // 2 + 1) if ring else range(n) for n, ring in zip(f.shape, periodic)]
    nodes = np.stack(np.meshgrid(*choices, indexing="ij"), axis=-1).reshape(-1, 3)
    values = f[tuple((nodes % f.shape).T)]
    chosen, value = np.empty((*size, 3), np.int64), np.empty(size)
    for target in np.ndindex(size):
        H = values + ((nodes - (low + np.array(target))) ** 2) @ c
        chosen[target], value[target] = nodes[H.argmin()], H.min()
    return chosen, value


def calm_cases(rng):
    for size in ((1, 1, 2), (1, 1, 6), (1, 4, 5), (3, 4, 5)):
        lead = np.array(size) > 1
        for spread, target in itertools.product((1, 2), np.ndindex(size)):
            steps = np.moveaxis(np.indices(size), 0, -1) * lead
            yield steps + lead * rng.integers(0, spread, (*size, 3)), *target


def polish_all_cases(rng):
    rings = [((1, 1, 7), (1, 1, 7)), ((1, 1, 24), (1, 1, 24)), ((1, 7, 8), (1, 7, 8)), ((7, 8, 9), (7, 1, 9))]
    boxes = [((1, 1, 7), (1, 1, 1)), ((1, 1, 30), (1, 1, 20)), ((1, 8, 9), (1, 6, 7)), ((7, 8, 9), (2, 3, 3))]
    pairs = [(*pair, ring) for ring, chosen in enumerate((boxes, rings)) for pair in chosen]
    for (shape, size, ring), weak in itertools.product(pairs, (1.0, 0.02)):
        f, lead = valleys(rng, shape), np.array(shape) > 1
        periodic = np.array(lead, np.int64) * ring
        low = np.zeros(3) if ring else np.where(lead, (np.array(shape) - np.array(size)) // 2, 0).astype(float)
        c = np.where(lead, weak * rng.uniform(0.5, 2.0, 3), 1.0)
        nodes, value = best_nodes(f, periodic, low, c, size)
        for smooth in (np.ones(shape, bool), rng.random(shape) < 0.7, np.zeros(shape, bool)):
            yield f, smooth, periodic, nodes, low, c, value, np.zeros((*size, 3))
        for _ in range(3):  # other nodes than the best: the neighbours' are then worth a try
            wrong = np.moveaxis(np.indices(size), 0, -1) + low.astype(int) + lead * rng.integers(-3, 4, (*size, 3))
            wrong = np.where(periodic == 1, wrong, np.clip(wrong, 0, np.array(shape) - 1))
            lower = value - (rng.random(size) < 0.3)
            yield f, np.ones(shape, bool), periodic, wrong, low, c, lower, np.zeros((*size, 3))
    f = 1.5 + np.cos(np.pi / 6 * np.abs(np.arange(25.0) - 12))[None, None]  # a tie of two valleys
    periodic, low, c = np.zeros(3, np.int64), np.zeros(3), np.array([1.0, 1.0, 0.01])
    nodes, value = best_nodes(f, periodic, low, c, f.shape)
    yield f, np.ones(f.shape, bool), periodic, nodes, low, c, value, np.zeros((*f.shape, 3))


def before_cases(rng):
    yield from itertools.product((-1.0, 0.0, 5e-324), repeat=6)


TWINS = {
    "quartic": (quartic, quartic_cases),
    "wrap": (wrap, wrap_cases),
    "jet_1": (jet_1, lambda rng: jet_cases(rng, 1), 1e-11),
    "jet_2": (jet_2, lambda rng: jet_cases(rng, 2), 1e-11),
    "jet_3": (jet_3, lambda rng: jet_cases(rng, 3), 1e-11),
    "middle": (middle, middle_cases),
    "confined": (confined, confined_cases),
    "newton_step": (newton_step, newton_cases),
    "smooth_nodes": (smooth_nodes, smooth_cases),
    "around": (around, around_cases, 1e-11),
    "polish": (polish, polish_cases, 1e-9),  # the last step is small
    "calm": (calm, calm_cases),
    "polish_all": (polish_all, polish_all_cases),
    "before": (before, before_cases),
}
