"""Kernels of the generator for a full matrix: Selling's decomposition and the jump rates along its offsets.

Everything is in units of the grid: matrices a_ij / (h_i h_j), drifts b_i / h_i, offsets in nodes.
"""

import numpy as np
from numba import njit

from pdelab.kernels.tridiagonal import bernoulli

PAIRS_2 = np.array([[0, 1, 2, 2], [0, 2, 1, 1], [1, 2, 0, 0]])  # i, j and what is left of a superbase
PAIRS_3 = np.array([[0, 1, 2, 3], [0, 2, 1, 3], [0, 3, 1, 2], [1, 2, 0, 3], [1, 3, 0, 2], [2, 3, 0, 1]])
ROUNDING = 1e-14


@njit(cache=True, nogil=True, error_model="numpy")
def form(v, matrix, w):
    """v^T matrix w."""
    total = 0.0
    for i in range(v.size):
        for j in range(w.size):
            total += v[i] * matrix[i, j] * w[j]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def offsets_of(base, offsets):
    """The offset of each pair (i, j) of a superbase: orthogonal to its other vectors. Returns the largest entry."""
    d = base.shape[1]
    pairs = PAIRS_2 if d == 2 else PAIRS_3
    for k in range(len(pairs)):
        a, b = base[pairs[k, 2]], base[pairs[k, 3]]
        if d == 2:
            offsets[k, 0], offsets[k, 1] = -a[1], a[0]
        else:
            offsets[k, 0] = a[1] * b[2] - a[2] * b[1]
            offsets[k, 1] = a[2] * b[0] - a[0] * b[2]
            offsets[k, 2] = a[0] * b[1] - a[1] * b[0]
    return np.abs(offsets).max()


@njit(cache=True, nogil=True, error_model="numpy")
def decompose(matrix, isotropic, radius, offsets, weights):
    """matrix + τ isotropic = sum_k weights_k e_k e_k^T with weights >= 0 and |e_k| <= radius; returns τ.

    Selling's algorithm: while two vectors of the superbase make an acute angle in the matrix, exchange. Where the
    exchange would leave the radius, the pair is made orthogonal instead by adding τ; in two dimensions this is the
    smallest τ there is, because consecutive offsets of the radius are Farey neighbours. In three, where that
    would take too much, start again with a guess τ ~ trace / radius², doubled each time. τ = 0 away from degeneracy.
    """
    d = matrix.shape[0]
    pairs = PAIRS_2 if d == 2 else PAIRS_3
    a, added = matrix.copy(), 0.0
    base, trial, trial_offsets = np.zeros((d + 1, d)), np.zeros((d + 1, d)), np.zeros((len(pairs), d))
    for i in range(d):
        base[i, i] = 1.0
        base[d, i] = -1.0
    size, spread = 0.0, 0.0
    for i in range(d):
        size += a[i, i]
        spread += isotropic[i, i]
    enough, guess = dominance(matrix, isotropic), 0.125 * size / (spread * radius * radius)
    for _ in range(1000):
        worst, pair = ROUNDING * size, -1
        for k in range(len(pairs)):
            acute = form(base[pairs[k, 0]], a, base[pairs[k, 1]])
            if acute > worst:
                worst, pair = acute, k
        if pair < 0:
            break
        i, j = pairs[pair, 0], pairs[pair, 1]
        for k in range(d + 1):
            for m in range(d):
                trial[k, m] = -base[i, m] if k == i else base[k, m]
                if k not in (i, j):
                    trial[k, m] += base[i, m] * (2.0 / (d - 1))
        if offsets_of(trial, trial_offsets) <= radius:
            base, trial = trial, base
            continue
        angle = form(base[i], isotropic, base[j])
        tau = worst / -angle * (1.0 + ROUNDING)
        if angle >= 0 or (d == 3 and added + tau > 2.0 * guess):
            guess *= 2.0
            if guess * (1.0 - ROUNDING) > enough:  # a dominant diagonal needs no long offset
                guess = enough * (1.0 + ROUNDING)
            added = guess
            for p in range(d):
                base[d, p] = -1.0
                for q in range(d):
                    base[p, q] = 1.0 if p == q else 0.0
                    a[p, q] = matrix[p, q] + added * isotropic[p, q]
            continue
        added += tau
        a += tau * isotropic
    offsets_of(base, offsets)
    for k in range(len(pairs)):
        weights[k] = max(-form(base[pairs[k, 0]], a, base[pairs[k, 1]]), 0.0)
    return added


@njit(cache=True, nogil=True, error_model="numpy")
def dominance(a, isotropic):
    """The τ >= 0 that makes a + τ isotropic diagonally dominant."""
    d, tau = a.shape[0], 0.0
    for i in range(d):
        off = -a[i, i]
        for j in range(d):
            if j != i:
                off += abs(a[i, j])
        tau = max(tau, off / isotropic[i, i])
    return tau


@njit(cache=True, nogil=True, error_model="numpy")
def split_drift(drift, offsets, weights, parts):
    """drift = sum_k parts_k e_k with parts_k = weights_k e_k·(sum weights e e^T)^-1 drift: exponential fitting's share.

    The caller adds to the weights of the axes, so that the matrix can be inverted.
    """
    d, count = offsets.shape[1], len(weights)
    a, x = np.zeros((d, d)), drift.copy()
    for k in range(count):
        for i in range(d):
            for j in range(d):
                a[i, j] += weights[k] * offsets[k, i] * offsets[k, j]
    for i in range(d):  # elimination without pivots: the matrix is positive definite
        for p in range(i + 1, d):
            ratio = a[p, i] / a[i, i]
            for j in range(i, d):
                a[p, j] -= ratio * a[i, j]
            x[p] -= ratio * x[i]
    for i in range(d - 1, -1, -1):
        for j in range(i + 1, d):
            x[i] -= a[i, j] * x[j]
        x[i] /= a[i, i]
    for k in range(count):
        share = 0.0
        for i in range(d):
            share += offsets[k, i] * x[i]
        parts[k] = weights[k] * share


@njit(cache=True, nogil=True, error_model="numpy")
def narrowest(a):
    """det / trace^(d-1): at most the smallest eigenvalue, and of its size in two dimensions; 0 if degenerate."""
    trace = 0.0
    for i in range(a.shape[0]):
        trace += a[i, i]
    if trace == 0.0:
        return 0.0
    b = a / trace
    if a.shape[0] == 2:
        det = b[0, 0] * b[1, 1] - b[0, 1] * b[1, 0]
    else:
        det = (
            b[0, 0] * (b[1, 1] * b[2, 2] - b[1, 2] * b[2, 1])
            - b[0, 1] * (b[1, 0] * b[2, 2] - b[1, 2] * b[2, 0])
            + b[0, 2] * (b[1, 0] * b[2, 1] - b[1, 1] * b[2, 0])
        )
    return max(det, 0.0) * trace


@njit(cache=True, nogil=True, error_model="numpy")
def jumps(matrices, drifts, isotropic, radius, offsets, forward, backward, added):
    """Offsets and rates (forward, backward) of every node: (nodes, K[, d]) with K = 5 in two, 9 in three dimensions.

    The last d directions are the axes; they carry the drift that the diffusion cannot (upwind). `added` gets τ.
    """
    nodes, d = drifts.shape
    selling = 3 if d == 2 else 6
    weights, parts = np.empty(selling + d), np.empty(selling + d)
    for node in range(nodes):
        here, drift = offsets[node], drifts[node]
        added[node] = decompose(matrices[node], isotropic, radius, here[:selling], weights[:selling])
        for i in range(d):
            here[selling + i] = 0.0
            here[selling + i, i] = 1.0
            weights[selling + i] = 0.0
        total, speed = 0.0, 0.0
        for k in range(selling):  # an offset along an axis is that axis
            length = np.abs(here[k]).sum()
            for i in range(d):
                if abs(here[k, i]) == 1.0 and length == 1.0:
                    weights[selling + i] += weights[k]
                    weights[k] = 0.0
        for k in range(selling + d):
            total += weights[k]
        for i in range(d):
            speed += abs(drift[i])
        if total + speed == 0.0:
            forward[node] = backward[node] = 0.0
            continue
        lift = 1e-12 * total
        if speed > 0.0:
            lift += 0.1 * speed * (speed / (speed + narrowest(matrices[node])))
        for i in range(d):
            weights[selling + i] += lift
        split_drift(drift, here, weights, parts)
        for i in range(d):
            weights[selling + i] -= lift
        for k in range(selling + d):
            forward[node, k], backward[node, k] = bernoulli(parts[k], max(weights[k], 0.0))


@njit(cache=True, nogil=True, error_model="numpy")
def count_edges(offsets, forward, backward):
    """How many edges `ends` lists."""
    cells, directions, d = offsets.shape
    total = 0
    for k in range(directions):
        for cell in range(cells):
            if forward[cell, k] + backward[cell, k] > 0.0:
                ways = 1
                for i in range(d):
                    if offsets[cell, k, i] % 2.0 == 0.0:
                        ways *= 2
                total += ways
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def ends(offsets, forward, backward, cells, nodes, mirrors, tail, head, up, down):
    """Edges nearest to each cell along its offsets: the one centred in it, or a share of those beside its centre.

    cells, nodes: numbers of them along each axis; mirrors (d, 2): ends at which an edge is moved into the box.
    tail, head (edges, d) get the nodes, which may lie beyond other ends; up, down the rates between them.
    """
    directions, d = offsets.shape[1:]
    edge = 0
    for k in range(directions):
        for bits in range(2**d):  # along an even offset there are two edges beside the centre
            for cell in range(len(offsets)):
                ahead, back = forward[cell, k], backward[cell, k]
                share, listed = 1.0, ahead + back > 0.0
                for axis in range(d):
                    if offsets[cell, k, axis] % 2.0 == 0.0:
                        share *= 0.5
                    elif (bits >> (d - 1 - axis)) & 1:
                        listed = False
                if not listed:
                    continue
                rest = cell
                for j in range(d):
                    axis = d - 1 - j
                    offset, place = offsets[cell, k, axis], rest % cells[axis]
                    rest //= cells[axis]
                    length = int(abs(offset))
                    low = place - length // 2 + ((bits >> j) & 1)
                    if mirrors[axis, 0]:
                        low = max(low, 0)
                    if mirrors[axis, 1]:
                        low = min(low, nodes[axis] - 1 - length)
                    tail[edge, axis] = low + length if offset < 0 else low
                    head[edge, axis] = low if offset < 0 else low + length
                up[edge], down[edge] = share * ahead, share * back
                edge += 1
