"""Twins of the points of H: its value in 60 digits, and its minimum over a box on ever finer lattices."""

import numpy as np
from enclosing import mp, values
from valleys import at, lowest, smooth

from pdelab.kernels import boxes, newton, operations
from pdelab.losses import enclosures

LOSSES = []


def losses(rng):
    if not LOSSES:
        LOSSES.extend(smooth(rng, d) for d in (1, 2, 2, 3))
    return LOSSES


def spare(f):
    return boxes.workspace(enclosures.tape(f)[0], f.dimension)


def exact(y, x, stiffness, tape):
    away = sum((mp.mpf(a) - mp.mpf(b)) ** 2 for a, b in zip(y, x))
    return values(tape, y)[-1] + mp.mpf(stiffness) * away / 2


def points(rng):
    for f in losses(rng):
        y, x = rng.uniform(-2.0, 2.0, (2, f.dimension))
        yield y, x, float(rng.uniform(0.0, 5.0)), enclosures.tape(f), spare(f)


def many(rng):
    for f in losses(rng):
        y, x = rng.uniform(-2.0, 2.0, (2, 4, f.dimension))
        yield enclosures.tape(f), x, 3.0, y, np.zeros(4), np.zeros(4)


def rounded(ours, theirs, message):
    """The value is the exact one up to the error that is stated, and that is a few roundings."""
    for (value, error), true in zip(*(([ours[0]], [theirs[0]]) if ours[0] else (zip(*ours[1][-2:]), theirs[0]))):
        assert abs(value - true) <= error <= 1e-13 * (1.0 + abs(true)), message


def systems(rng):
    for n in (1, 2, 3, 5):
        yield rng.normal(size=(n, n)), rng.normal(size=n)
    yield np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([2.0, 3.0])
    yield np.zeros((2, 2)), np.ones(2)


def solve(a, b):
    if np.linalg.matrix_rank(a) < len(b):
        return False
    b[:] = np.linalg.solve(a, b)
    return True


def solved(ours, theirs, message):
    assert ours[0] == theirs[0], message
    if ours[0]:
        np.testing.assert_allclose(ours[1][1], theirs[1][1], rtol=1e-10, atol=1e-10, err_msg=message)


def convex(rng):
    for f in losses(rng):
        d, tape, work = f.dimension, enclosures.tape(f), spare(f)
        tree = boxes.empty_tree(np.full(d, -1.0), np.full(d, 1.0), 2)
        for _ in range(3):
            tree[2][0] = rng.uniform(-1.5, 1.0, d)
            tree[3][0] = tree[2][0] + rng.uniform(0.1, 0.5, d)
            boxes.fill(0, tape, tree, work)
            stiffness = float(max(0.5, 0.5 - 1.3 * tree[9][0].min()))
            x = rng.uniform(tree[2][0] - 0.3, tree[3][0] + 0.3)
            yield 0, rng.uniform(tree[2][0], tree[3][0]), x, stiffness, 1e-11, tape, tree, work


def settle(k, y, x, stiffness, slack, tape, tree, work):
    f = next(f for f in LOSSES if np.array_equal(enclosures.tape(f)[3], tape[3]))
    energy = lambda y: at(f, y) + 0.5 * stiffness * ((y - x) ** 2).sum(-1)  # noqa: E731
    value, y[:] = lowest(energy, tree[2][k], tree[3][k], {1: 401, 2: 41, 3: 17}[len(x)], closed=True)
    return value


def settled(ours, theirs, message):
    value, rounding, floor = ours[0]
    assert abs(value - theirs[0]) <= 1e-11 and rounding <= 1e-13, message
    assert value - 2e-11 <= floor <= theirs[0] + 1e-14, message
    np.testing.assert_allclose(ours[1][1], theirs[1][1], atol=2e-6, err_msg=message)


def programs(rng):
    """Steps of a tape that take two earlier results, which are next to zero or not."""
    for _ in range(60):
        n = 6
        code = rng.choice(
            [operations.ADD, operations.SIGN, operations.ATAN2, operations.ABS], n, p=[0.6, 0.1, 0.2, 0.1]
        )
        left, right = rng.integers(0, n, (2, n))
        low = rng.choice([-1.0, -1e-9, 0.0, 1e-9, 1.0], n)
        yield code, left, right, np.stack([low, low + rng.choice([0.0, 2e-9], n)], axis=1)


def jumps(code, left, right, value):
    holds = (value[:, 0] <= 0.0) & (value[:, 1] >= 0.0)
    behind = value[right, 0] < 0.0
    return bool((holds[left] & ((code == operations.SIGN) | ((code == operations.ATAN2) & behind))).any())


def known(rng):
    for program in programs(rng):
        low = rng.normal()
        yield low, low + 10 ** rng.uniform(-16.0, 0.0), *program


def rounding(low, high, *program):
    return min((high - low) / 2.0, newton.ROUNDED * (abs(low) + abs(high))) if jumps(*program) else (high - low) / 2.0


TWINS = {
    "_jumps": (jumps, programs),
    "_rounding": (rounding, known),
    "energy": (lambda y, x, stiffness, tape, work: exact(y, x, stiffness, tape), points, rounded),
    "energies": (
        lambda tape, x, stiffness, y, best, error: [exact(a, b, stiffness, tape) for a, b in zip(y, x)],
        many,
        rounded,
    ),
    "_solve": (solve, systems, solved),
    "settle": (settle, convex, settled),
}
