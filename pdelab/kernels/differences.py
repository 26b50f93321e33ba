"""The largest differences of neighbouring nodes along an axis: what bounds of slope and curvature are checked with."""

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def _of_rows(rows, ring):
    steepest, bend = 0.0, -math.inf
    for row in rows:
        n = row.size
        rise = row[0] - row[n - 1] if ring else math.nan
        for i in range(n if ring else n - 1):
            last, rise = rise, row[i + 1 if i + 1 < n else 0] - row[i]
            steepest, bend = max(steepest, abs(rise)), max(bend, rise - last)
    return steepest, bend


@njit(cache=True, nogil=True, error_model="numpy")
def extremes(lines, ring):
    """(largest |u_{i+1} - u_i|, largest u_{i+1} - 2 u_i + u_{i-1}) of lines (before, n, after), closed if `ring`.

    NaN, as between two infinite values, counts as none; -inf where an axis has no second difference.
    """
    before, n, after = lines.shape
    if after == 1:
        return _of_rows(lines[:, :, 0], ring)
    steepest, bend = np.zeros(after), np.full(after, -math.inf)  # one an element of the last axis: they go side by side
    for a in range(before):
        for i in range(n if ring else n - 1):
            here, there = lines[a, i], lines[a, i + 1 if i + 1 < n else 0]
            back = lines[a, i - 1 if i > 0 else n - 1]
            if i > 0 or ring:
                for b in range(after):
                    rise, last = there[b] - here[b], here[b] - back[b]
                    steepest[b] = max(steepest[b], abs(rise))
                    bend[b] = max(bend[b], rise - last)
            else:
                for b in range(after):
                    steepest[b] = max(steepest[b], abs(there[b] - here[b]))
    return steepest.max(), bend.max()


@njit(cache=True, nogil=True, error_model="numpy")
def missed(values, rings, nodes, c, u):
    """Largest |u - If(y) - Σ c_k (x_k - y_k)²| over the nodes x of a field (n0, n1, n2), If its interpolant.

    nodes (n0, n1, n2, d): minimisers y as numbers of nodes, fractions allowed, along the last d axes; those outside the
    field on an axis without a ring are left out.
    """
    d, worst = nodes.shape[3], 0.0
    lead = 3 - d
    shape = values.shape
    at, low, high, share = np.zeros(3), np.zeros(3, np.int64), np.zeros(3, np.int64), np.zeros(3)
    for i in range(shape[0]):
        for j in range(shape[1]):
            for k in range(shape[2]):
                at[0], at[1], at[2] = i, j, k
                energy, inside = 0.0, True
                for m in range(d):
                    axis = lead + m
                    n, y = shape[axis], nodes[i, j, k, m]
                    energy += c[axis] * (at[axis] - y) ** 2
                    floor = math.floor(y)
                    share[axis] = y - floor
                    if rings[axis]:
                        low[axis] = floor % n
                        high[axis] = (floor + 1) % n
                    elif 0.0 <= y <= n - 1.0:
                        low[axis] = floor
                        high[axis] = min(floor + 1, n - 1)
                    else:
                        inside = False
                if not inside:
                    continue
                for corner in range(2**d):
                    weight, p, q, r = 1.0, 0, 0, 0
                    for m in range(d):
                        axis = lead + m
                        up = (corner >> m) & 1
                        weight *= share[axis] if up else 1.0 - share[axis]
                        place = high[axis] if up else low[axis]
                        if axis == 0:
                            p = place
                        elif axis == 1:
                            q = place
                        else:
                            r = place
                    if weight > 0.0:
                        energy += weight * values[p, q, r]
                gap = abs(u[i, j, k] - energy)
                if not gap <= worst:
                    worst = gap
    return worst
