"""Twins of boxes and bounds: a formula and its derivatives at many points of a box, which what is kept must bound."""

import numpy as np
from valleys import at, drawn, mesh, smooth

from pdelab.kernels import boxes
from pdelab.losses import enclosures


def tree(f, splits=0, lower=-3.0, upper=3.0, room=0):
    """A tree over [lower, upper]^d whose first boxes are cut, the rest of its arrays zero."""
    tape, d = enclosures.tape(f), f.dimension
    arrays, work = boxes.empty_tree(np.full(d, lower), np.full(d, upper), max(2 * splits + 3, room)), spare(f)
    for part in (*arrays[:2], *arrays[4:]):
        part[:] = 0
    arrays[2][1:], arrays[3][1:], arrays[0][0] = 0.0, 0.0, 1
    boxes.fill(0, tape, arrays, work)
    for k in range(splits):
        boxes.split(k, tape, arrays, work)
    return arrays


def spare(f):
    return tuple(np.zeros(a.shape) for a in boxes.workspace(enclosures.tape(f)[0], f.dimension))


def inside(lower, upper, count=41):
    return mesh([np.linspace(a, b, count) for a, b in zip(lower, upper)])


LOSSES = {}


def losses(rng):
    if not LOSSES:
        LOSSES["all"] = [draw(rng, d) for d in (1, 2) for draw in (smooth, smooth, drawn)]
    return LOSSES["all"]


# ------------------------------------------------------------------------------------------ what is known of f


def fills(rng):
    for f in losses(rng):
        for width in (0.0, 1e-4, 0.5, 6.0):
            arrays = tree(f)
            arrays[2][2] = rng.uniform(-2.0, 1.5, f.dimension)
            arrays[3][2] = arrays[2][2] + width
            yield 2, enclosures.tape(f), arrays, spare(f)


def known(k, tape, tree, work):
    """The loss of that tape: (points of box k, values, gradients, Hessians), the middle first."""
    f = next(f for f in LOSSES["all"] if np.array_equal(enclosures.tape(f)[3], tape[3]))
    d = f.dimension
    y = np.concatenate([0.5 * (tree[2][k] + tree[3][k])[None], inside(tree[2][k], tree[3][k], 401 if d == 1 else 31)])
    z = y[:, 0] if d == 1 else y
    return y, f(z), f.gradient(z).reshape(-1, d), f.hessian(z).reshape(-1, d, d)


def filled(ours, theirs, message):
    k, _, tree, _ = ours[1]
    _, value, slope, bend = theirs[0]
    finite = np.isfinite(bend).all(axis=(1, 2)) & np.isfinite(slope).all(axis=1)
    value, slope, bend = value[finite], slope[finite], bend[finite]
    floor, centre, there, over, least, most = (part[k] for part in (tree[4], *tree[6:]))
    slack = 1e-12 * (1.0 + np.abs(value).max())
    assert tree[1][k] == -1, message
    assert floor <= value.min() + slack, message
    assert (over[:, 0] <= slope.min(0) + 1e-9).all() and (over[:, 1] >= slope.max(0) - 1e-9).all(), message
    diagonal = np.where(np.isfinite(least), least, -1e9)
    assert np.linalg.eigvalsh(bend - np.diag(diagonal)).min() >= -1e-9 * np.abs(bend).max(), message
    assert most >= np.linalg.norm(bend, 2, axis=(1, 2)).max() * (1.0 - 1e-9), message
    if finite[0]:  # what is known at the middle is sharp
        np.testing.assert_allclose(centre, value[[0, 0]], atol=slack, err_msg=message)
        np.testing.assert_allclose(there, slope[[0, 0]].T, rtol=1e-9, atol=1e-9, err_msg=message)
    width = (tree[3][k] - tree[2][k]).max()
    if width == 0.0 and finite[0]:
        sizes, own = np.abs(bend[0]).sum(1), bend[0].diagonal()
        np.testing.assert_allclose(floor, value[0], atol=slack, err_msg=message)
        np.testing.assert_allclose(least, own - (sizes - np.abs(own)), rtol=1e-9, atol=1e-9, err_msg=message)
        np.testing.assert_allclose(most, sizes.max(), rtol=1e-9, err_msg=message)
    elif width < 1e-3 and most < 1e3:  # of second order in the width
        assert floor >= value.min() - 2.0 * most * width**2, message


def splits(rng):
    for f in losses(rng):
        yield 5, enclosures.tape(f), tree(f, 5), spare(f)
        full = tree(f, 5)
        yield 6, enclosures.tape(f), tuple(a if i == 0 else a[:11] for i, a in enumerate(full)), spare(f)


def split(k, tape, tree, work):
    """In two across the axis along which width times the spread of the slope is largest."""
    count, child, lower, upper, slope = tree[0], tree[1], tree[2], tree[3], tree[8]
    n = int(count[0])
    if n + 2 > len(child):
        return False
    width, spread = upper[k] - lower[k], slope[k, :, 1] - slope[k, :, 0]
    weight = spread / spread.max() + 1e-3 if 0.0 < spread.max() < np.inf else np.ones(len(width))
    axis = int(np.argmax(np.where(width > 0.02 * width.max(), width * weight, 0.0)))
    lower[n], upper[n], lower[n + 1], upper[n + 1] = lower[k], upper[k], lower[k], upper[k]
    upper[n, axis] = lower[n + 1, axis] = 0.5 * (lower[k, axis] + upper[k, axis])
    for j in (n, n + 1):
        boxes.fill(j, tape, tree, work)
    child[k], count[0] = n, n + 2
    return True


# -------------------------------------------------------------------------------------------------- bounds of H


def dip(slope, bend, low, high):
    s = np.concatenate([np.linspace(low, high, 200_001), [np.clip(-slope / bend, low, high)]])
    return float((slope * s + 0.5 * bend * s * s).min())


def dips(rng):
    for _ in range(5):
        low, high = np.sort(rng.normal(size=2))
        yield float(rng.normal()), float(rng.normal()), float(low), float(high)


def asked(rng):
    for f in losses(rng):
        arrays = tree(f, 12)
        for k in (0, 3, 8, 11, 20, 24):
            for stiffness in (0.0, 0.3, 4.0):
                yield k, rng.uniform(-2.0, 2.0, f.dimension), stiffness, arrays


def bound(k, x, stiffness, tree):
    """The best of three bounds, each a sum over the axes of the least of many values."""
    lower, upper, middle = tree[2][k], tree[3][k], 0.5 * (tree[2][k] + tree[3][k])
    flat, tangent, parabola = tree[4][k], tree[6][k, 0], tree[6][k, 0]
    for i in range(len(x)):
        y = np.union1d(np.linspace(lower[i], upper[i], 100_001), np.clip(x[i], lower[i], upper[i]))
        s, pull = y - middle[i], 0.5 * stiffness * (y - x[i]) ** 2
        flat += pull.min()
        over, there = (np.minimum(g[k, i, 0] * s, g[k, i, 1] * s) for g in (tree[8], tree[7]))
        tangent += (over + pull).min()
        parabola += (there + 0.5 * tree[9][k, i] * s**2 + pull).min()
    return np.nanmax([flat, tangent, parabola])


def monotone(k, x, stiffness, tree, closed):
    """Is some derivative of H of one sign all over a box where f is defined, faces of the closed domain left out?"""
    lower, upper, slope = tree[2], tree[3], tree[8]
    rises = slope[k, :, 0] + stiffness * (lower[k] - x) > 0.0
    falls = slope[k, :, 1] + stiffness * (upper[k] - x) < 0.0
    rises &= ~(closed & (lower[k] == lower[0]))
    falls &= ~(closed & (upper[k] == upper[0]))
    return bool(tree[5][k] and (rises | falls).any())


def moved(rng):
    for f in losses(rng):
        arrays, d = tree(f, 6), f.dimension
        yield (enclosures.tape(f), arrays, np.array([0, 1, 1, 0, 2, 2, 0]), rng.uniform(-2, 2, (3, d)), 2.0, 0.1,
               np.zeros(7), np.zeros((7, d)))  # fmt: skip


def floors(tape, tree, owner, x, stiffness, gap, floor, dips):
    """The least value of H at many points; between neighbouring nodes, how far it falls below the lower of both."""
    f = next(f for f in LOSSES["all"] if np.array_equal(enclosures.tape(f)[3], tape[3]))
    for k, p in enumerate(owner):
        energy = lambda y, p=p: at(f, y) + 0.5 * stiffness * ((y - x[p]) ** 2).sum(-1)  # noqa: E731
        lower, upper = tree[2][k], tree[3][k]
        y = inside(lower, upper, 201 if len(lower) == 1 else 31)
        floor[k] = energy(y).min()
        for i in range(len(lower)):
            step = gap * (upper[i] - lower[i]) * np.eye(len(lower))[i]
            start = y[(y + step <= upper + 1e-12).all(axis=1)]
            line = energy(start[:, None] + np.linspace(0, 1, 21)[:, None] * step)
            dips[k, i] = (np.minimum(line[:, 0], line[:, -1]) - line.min(1)).max()


def below(ours, theirs, message):
    for (floor, dips), (least, fall) in ((ours[1][-2:], theirs[1][-2:]),):
        assert (floor <= least + 1e-12 * (1.0 + np.abs(least))).all(), message
        assert (dips >= fall - 1e-12).all(), message


TWINS = {
    "workspace": (
        lambda code, d: tuple(np.zeros((len(code), *s)) for s in ((2,), (2, 2), (3, 2))),
        lambda rng: [(np.zeros(7, np.int64), 2)],
    ),
    "fill": (known, fills, filled),
    "split": (split, splits),
    "dip": (dip, dips, 1e-8),
    "bound": (bound, asked, 1e-7),
    "monotone": (monotone, lambda rng: ((*case, closed) for case in asked(rng) for closed in (True, False))),
    "floors": (floors, moved, below),
}
