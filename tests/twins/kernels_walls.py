"""Slow, obvious twins of pdelab.kernels.walls: points as lists, faces by name."""

import math

import numpy as np

from pdelab.kernels.noise import BLOCK, DRAWS, threefry13
from pdelab.kernels.walls import ABSORBING, FIXED, OPEN, PERIODIC, REFLECTING


def touch(x, y, wall, end):
    low, high = wall[:2]
    if wall[2 + end] != ABSORBING:
        return 0.0
    if wall[3 - end] == REFLECTING:
        y = min(y, 2 * high - y) if end == 0 else max(y, 2 * low - y)
    inside = (x > low and y > low) if end == 0 else (x < high and y < high)
    if not inside:
        return 1.0
    face = wall[end]
    return math.exp(((y - x) ** 2 - (2 * face - y - x) ** 2) / (2 * wall[4])) if wall[4] > 0 else 0.0


def mirror(xs, i, wall, way):
    point = xs[i::BLOCK]
    point += way * wall[FIXED : FIXED + len(point)]
    if wall[5] >= 0:
        point[int(wall[5])] *= -1


def fold(xs, i, walls):
    for _ in range(64):
        moved = False
        for axis, wall in enumerate(walls):
            y = xs[i + BLOCK * axis]
            if wall[2] == PERIODIC:
                xs[i + BLOCK * axis] = wall[0] + (y - wall[0]) % (wall[1] - wall[0])
            for end, over in ((0, wall[0] - y), (1, y - wall[1])):
                if wall[2 + end] == REFLECTING and over > 0:
                    mirror(xs, i, wall, 2 * over * (1 if end == 0 else -1))
                    moved = True
                    break
        if not moved:
            return
    xs[i] = math.nan


def absorb(before, xs, i, seed, path, step, walls):
    x, y = before[i::BLOCK], xs[i::BLOCK]
    if not np.isfinite(y).all():
        return math.inf
    faces = [(axis, end, touch(x[axis], y[axis], wall, end)) for axis, wall in enumerate(walls) for end in (0, 1)]
    if not any(chance for *_, chance in faces):
        return math.inf
    first, second = (
        int(w) // 2048 / 2**53 for w in threefry13(np.uint64(path), np.uint64(step), seed, np.uint64(DRAWS))
    )
    if first < math.prod(1 - chance for *_, chance in faces):
        return math.inf
    ends = np.cumsum([chance for *_, chance in faces])
    picked = int(np.searchsorted(ends, second * ends[-1], side="right"))
    parts = [share(x[axis], y[axis], walls[axis, end]) for axis, end, _ in faces]
    face, least = -1, math.inf
    for k, (*_, chance) in enumerate(faces):
        if k == picked or (chance == 1.0 and parts[k] < least):
            face, least = k, parts[k]
    stop(before, xs, i, face, walls)
    return step - 0.5 if walls[face // 2, 4] > 0 else float(step)


def share(x, y, face):
    lengths = abs(x - face), abs(y - face)
    return lengths[0] / sum(lengths) if sum(lengths) else 0.0


def stop(before, xs, i, face, walls):
    x, y, (axis, end) = before[i::BLOCK].copy(), xs[i::BLOCK], divmod(face, 2)
    part = share(x[axis], y[axis], walls[axis, end])
    y[:] = (1 - part) * x + part * y
    y[axis] = walls[axis, end]
    for j, wall in enumerate(walls):
        low, high = (wall[k] if wall[2 + k] == ABSORBING else (-math.inf, math.inf)[k] for k in (0, 1))
        y[j] = min(max(y[j], low), high)


def confine(before, xs, n, seed, first, step, gone, walls):
    for i in range(n):
        if len(gone) and gone[i] < math.inf:
            xs[i::BLOCK] = before[i::BLOCK]
            continue
        if len(gone):
            gone[i] = absorb(before, xs, i, seed, first + i, step, walls)
        fold(xs, i, walls)


def confine_all(before, x, begin, end, seed, shift, step, gone, walls):
    for i in range(begin, end):
        old, new = np.zeros((2, len(x) * BLOCK))
        old[::BLOCK], new[::BLOCK] = before[:, i - begin], x[:, i]
        own = gone[i : i + 1]
        confine(old, new, 1, seed, shift + i, step, own, walls)
        x[:, i] = new[::BLOCK]


def table(*rows):
    return np.array(rows, float)


TABLES = [
    table([-1, 1, REFLECTING, REFLECTING, 0, -1, 1, 0], [0, math.inf, REFLECTING, OPEN, 0, -1, 0, 1]),
    table([-1, 1, REFLECTING, REFLECTING, 0, -1, 1, 0.4], [-1, 1, REFLECTING, REFLECTING, 0, -1, 0.3, 1]),
    table([-1, 1, ABSORBING, REFLECTING, 0.3, -1, 1, 0], [-1, 0.5, PERIODIC, PERIODIC, 0, -1, 0, 1]),
    table([-1, 1, ABSORBING, ABSORBING, 0, -1, 1, 0], [-1, 1, ABSORBING, ABSORBING, 0.2, -1, 0, 1]),
    table([-1, 1, REFLECTING, REFLECTING, 0, 1, 1, 0]),
]


def blocks(rng):
    for walls in TABLES:
        absorbs = (walls[:, 2:4] == ABSORBING).any()
        before, xs = rng.uniform(0, 0.5, 2 * BLOCK), rng.normal(size=2 * BLOCK)
        gone = np.where(rng.random(88) < 0.2, 3.0, np.inf) if absorbs else np.zeros(0)
        yield before, xs, 88, np.uint64(rng.integers(2**63)), 512, 7, gone, walls.copy()


def ensembles(rng):
    for _, _, _, seed, first, step, _, walls in blocks(rng):
        gone = np.full(600 if (walls[:, 2:4] == ABSORBING).any() else 0, np.inf)
        for begin, end in ((0, 512), (512, 600)):
            x = rng.normal(size=(2, 600))
            yield rng.uniform(0, 0.5, (2, end - begin)), x, begin, end, seed, first, step, gone.copy(), walls


def single(rng):
    for before, xs, _, seed, first, step, _, walls in blocks(rng):
        for i in (0, 3, 500):
            yield before.copy(), xs.copy(), i, seed, first + i, step, walls
        xs[3] = math.inf
        yield before, xs, 3, seed, first, step, walls


def stops(rng):
    for before, xs, i, *_, walls in single(rng):
        for face in range(2 * len(walls)):
            if math.isfinite(walls[face // 2, face % 2]) and np.isfinite(xs).all():
                yield before, xs.copy(), i, face, walls


def folds(rng):
    for _, xs, i, *_, walls in single(rng):
        xs[~np.isfinite(xs)] = 0.0
        yield 3 * xs, i, walls
    yield np.full(2 * BLOCK, 1e6), 2, TABLES[0]


def touches(rng):
    for walls in TABLES:
        for x, y in rng.uniform(-1.5, 1.5, (10, 2)):
            for end in (0, 1):
                yield float(x), float(y), walls[0], end


def mirrors(rng):
    for walls in TABLES:
        yield rng.normal(size=2 * BLOCK), 5, walls[0], 0.7


TWINS = {
    "confine": (confine, blocks),
    "confine_all": (confine_all, ensembles),
    "absorb": (absorb, single),
    "share": (share, lambda rng: (tuple(map(float, row)) for row in [(1, 1, 1), *rng.normal(size=(20, 3))])),
    "stop": (stop, stops),
    "touch": (touch, touches),
    "fold": (fold, folds),
    "mirror": (mirror, mirrors),
}
