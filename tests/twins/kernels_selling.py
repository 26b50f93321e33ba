"""Slow, obvious twins of pdelab/kernels/selling.py, in plain NumPy."""

import itertools

import numpy as np

ROUNDING = 1e-14


def form(v, matrix, w):
    return v @ matrix @ w


def pairs_of(d):
    """Pairs of a superbase in the order of the kernel, with the vectors left over."""
    for i, j in itertools.combinations(range(d + 1), 2):
        yield i, j, [k for k in range(d + 1) if k not in (i, j)]


def offsets_of(base, offsets):
    d = base.shape[1]
    for k, (_, _, rest) in enumerate(pairs_of(d)):
        if d == 2:
            offsets[k] = np.array([[0, -1], [1, 0]]) @ base[rest[0]]
        else:
            offsets[k] = np.cross(base[rest[0]], base[rest[1]])
    return np.abs(offsets).max()


def canonical(d):
    return np.vstack([np.eye(d), -np.ones(d)])


def dominance(a, isotropic):
    off = np.abs(a).sum(axis=1) - np.abs(np.diag(a)) - np.diag(a)
    return max(0.0, (off / np.diag(isotropic)).max())


def decompose(matrix, isotropic, radius, offsets, weights):
    d, added, a, base = len(matrix), 0.0, matrix.copy(), canonical(len(matrix))
    enough, guess = dominance(matrix, isotropic), np.trace(matrix) / np.trace(isotropic) / radius**2 / 8
    for _ in range(1000):
        angles = [base[i] @ a @ base[j] for i, j, _ in pairs_of(d)]
        pair = int(np.argmax(angles))
        if angles[pair] <= ROUNDING * np.trace(matrix):
            break
        i, j, rest = list(pairs_of(d))[pair]
        trial = base.copy()
        trial[i] = -base[i]
        trial[rest] += base[i] * 2 / (d - 1)
        if offsets_of(trial, np.empty_like(offsets)) <= radius:
            base = trial
            continue
        angle, tau = base[i] @ isotropic @ base[j], angles[pair]
        if angle >= 0 or (d == 3 and added + tau / -angle * (1 + ROUNDING) > 2 * guess):
            guess *= 2
            if guess * (1 - ROUNDING) > enough:
                guess = enough * (1 + ROUNDING)
            added, base = guess, canonical(d)
            a = matrix + added * isotropic
            continue
        tau = tau / -angle * (1 + ROUNDING)
        added += tau
        a = a + tau * isotropic
    offsets_of(base, offsets)
    weights[:] = [max(-(base[i] @ a @ base[j]), 0.0) for i, j, _ in pairs_of(d)]
    return added


def split_drift(drift, offsets, weights, parts):
    a = np.einsum("k,ki,kj->ij", weights, offsets, offsets)
    parts[:] = weights * (offsets @ np.linalg.solve(a, drift))


def bernoulli(q, D):
    a = abs(q)
    if a == 0 or (D > 0 and a / D < 1e-300):
        pair = (D + a, D)
    else:
        with np.errstate(all="ignore"):
            against = a / np.expm1(np.float64(a) / D)
        pair = (a + against, against)
    return pair if q > 0 else pair[::-1]


def narrowest(a):
    trace = np.trace(a)
    return max(np.linalg.det(a / trace), 0.0) * trace if trace > 0 else 0.0


def jumps(matrices, drifts, isotropic, radius, offsets, forward, backward, added):
    nodes, d = drifts.shape
    selling = 3 if d == 2 else 6
    for node in range(nodes):
        weights, parts = np.zeros(selling + d), np.zeros(selling + d)
        added[node] = decompose(matrices[node], isotropic, radius, offsets[node, :selling], weights[:selling])
        offsets[node, selling:] = np.eye(d)
        for k in range(selling):
            if np.abs(offsets[node, k]).sum() == 1:
                weights[selling + int(np.argmax(np.abs(offsets[node, k])))] += weights[k]
                weights[k] = 0.0
        speed = np.abs(drifts[node]).sum()
        if weights.sum() + speed == 0:
            forward[node] = backward[node] = 0.0
            continue
        lift = 1e-12 * weights.sum() + (0.1 * speed**2 / (speed + narrowest(matrices[node])) if speed > 0 else 0.0)
        lifted = weights.copy()
        lifted[selling:] += lift
        split_drift(drifts[node], offsets[node], lifted, parts)
        kept = lifted.copy()
        kept[selling:] -= lift
        for k in range(selling + d):
            forward[node, k], backward[node, k] = bernoulli(parts[k], max(kept[k], 0.0))


def count_edges(offsets, forward, backward):
    even = (offsets % 2 == 0).sum(-1)
    return int((2**even)[forward + backward > 0].sum())


def ends(offsets, forward, backward, cells, nodes, mirrors, tail, head, up, down):
    edge, d = 0, len(cells)
    for k in range(offsets.shape[1]):
        for bits in itertools.product((0, 1), repeat=d):
            for cell, place in enumerate(itertools.product(*map(range, cells))):
                offset, rates = offsets[cell, k].astype(int), (forward[cell, k], backward[cell, k])
                even = offset % 2 == 0
                if sum(rates) == 0 or (np.array(bits) > even).any():
                    continue
                length = np.abs(offset)
                low = np.array(place) - length // 2 + bits
                for axis in range(d):
                    if mirrors[axis, 0]:
                        low[axis] = max(low[axis], 0)
                    if mirrors[axis, 1]:
                        low[axis] = min(low[axis], nodes[axis] - 1 - length[axis])
                corners = np.stack([low, low + length])
                tail[edge], head[edge] = (
                    corners[((offset < 0) ^ side).astype(int), range(d)] for side in (False, True)
                )
                up[edge], down[edge] = (rate / 2.0 ** even.sum() for rate in rates)
                edge += 1


def edge_cases(rng):
    for cells, mirrors in (((4, 5), True), ((5, 4), False), ((3, 4, 3), True), ((3, 3, 3), False)):
        d, number = len(cells), int(np.prod(cells))
        count = 5 if d == 2 else 9
        offsets = rng.integers(-2, 3, (number, count, d)).astype(float)
        forward, backward = rng.random((2, number, count)) * rng.integers(0, 2, (2, number, count))
        total = count_edges(offsets, forward, backward)
        nodes = np.array(cells) + mirrors
        walls = np.full((d, 2), mirrors)
        walls[0, 1] = False
        places = np.zeros((2, total, d), dtype=np.int32)
        yield offsets, forward, backward, np.array(cells), nodes, walls, *places, np.zeros(total), np.zeros(total)


def matrices(rng, d):
    yield np.eye(d)
    yield np.zeros((d, d))
    yield np.diag([1.0] + [0.0] * (d - 1))
    yield np.ones((d, d))
    yield -np.ones((d, d)) + 3 * np.eye(d)
    for size in (1e-200, 1.0, 1e200):
        for smallest in (0.0, 1e-6, 1e-2, 0.3):
            v, _ = np.linalg.qr(rng.normal(size=(d, d)))
            a = size * v @ np.diag([1.0, *[smallest] * (d - 1)]) @ v.T
            yield (a + a.T) / 2


def decompose_cases(rng):
    for d in (2, 3):
        count = 3 if d == 2 else 6
        for a, radius in itertools.product(matrices(rng, d), (2.0, 5.0)):
            yield a, np.diag(0.5 + rng.random(d)), radius, np.empty((count, d)), np.empty(count)


def base_cases(rng):
    for d in (2, 3):
        count = 3 if d == 2 else 6
        yield canonical(d), np.empty((count, d))
        yield rng.integers(-5, 5, (d + 1, d)).astype(float), np.empty((count, d))


def drift_cases(rng):
    for d, count in ((2, 5), (3, 9)):
        for size in (1e-9, 1.0, 1e9):
            offsets = rng.integers(-3, 4, (count, d)).astype(float)
            yield size * rng.normal(size=d), offsets, rng.random(count), np.empty(count)


def jumps_cases(rng):
    for d, count in ((2, 5), (3, 9)):
        a = np.array(list(matrices(rng, d)))
        a = a[np.abs(a).max(axis=(1, 2)) < 1e100]
        for size in (0.0, 1.0, 1e3):
            n = len(a)
            drifts = size * rng.normal(size=(n, d))
            yield (
                a, drifts, np.eye(d), 4.0,
                np.empty((n, count, d)), np.empty((n, count)), np.empty((n, count)), np.empty(n),
            )  # fmt: skip


def narrowest_cases(rng):
    for d in (2, 3):
        for a in matrices(rng, d):
            if np.linalg.eigvalsh(a)[0] > 1e-3 * np.trace(a) or not a.any():  # else what is left is rounding
                yield (a,)


TWINS = {
    "count_edges": (count_edges, lambda rng: (case[:3] for case in edge_cases(rng))),
    "ends": (ends, edge_cases),
    "form": (form, lambda rng: ((rng.normal(size=d), rng.normal(size=(d, d)), rng.normal(size=d)) for d in (1, 2, 3))),
    "offsets_of": (offsets_of, base_cases),
    "decompose": (decompose, decompose_cases, 1e-9),
    "dominance": (dominance, lambda rng: ((a, np.eye(d)) for d in (2, 3) for a in matrices(rng, d))),
    "split_drift": (split_drift, drift_cases, 1e-9),
    "narrowest": (narrowest, narrowest_cases, 1e-9),
    "jumps": (jumps, jumps_cases, 1e-9),
}
