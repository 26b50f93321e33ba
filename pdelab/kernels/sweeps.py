"""Steps along one axis of a field: the tridiagonal steps of many lines at once, as (outer, n, inner) or transposed.

Rates and factors are those of `tridiagonal`, eliminated from one end of each line so that the lines vectorise.
"""

import numpy as np
from numba import njit

from pdelab.kernels.tridiagonal import TINY, change

BLOCK = 64  # lines swept together, so that what they touch stays in the cache


@njit(cache=True, nogil=True, error_model="numpy")
def factor_lines(up, down, periodic, inverse, into, outof):
    """`factor` along the middle axis of (outer, n, inner), from one end; into and outof only when periodic."""
    outer, n, inner = up.shape
    killing, last = np.empty(inner), np.empty(inner)
    for o in range(outer):
        killing[:] = 1.0
        last[:] = 1.0
        for i in range(n):
            if periodic and i < n - 1:
                for j in range(inner):
                    g = down[o, n - 1, j] if i == 0 else down[o, i - 1, j] * inverse[o, i - 1, j] * into[o, i - 1, j]
                    b = up[o, n - 1, j] if i == 0 else up[o, i - 1, j] * inverse[o, i - 1, j] * outof[o, i - 1, j]
                    if i == n - 2:  # the neighbour is the last node
                        g += up[o, i, j]
                        b += down[o, i, j]
                        k = 1.0 / (killing[j] + g)
                    else:
                        k = 1.0 / (killing[j] + up[o, i, j] + g)
                    into[o, i, j] = g
                    outof[o, i, j] = b
                    inverse[o, i, j] = k
                    last[j] += outof[o, i, j] * (killing[j] * k)
                    killing[j] = 1.0 + down[o, i, j] * (killing[j] * k)
            elif periodic:
                for j in range(inner):
                    inverse[o, i, j] = 1.0 / last[j]
            else:
                for j in range(inner):
                    k = 1.0 / (killing[j] + up[o, i, j])
                    inverse[o, i, j] = k
                    killing[j] = 1.0 + down[o, i, j] * (killing[j] * k)


@njit(cache=True, nogil=True, error_model="numpy")
def solve_lines(up, down, inverse, into, outof, periodic, x):
    """x <- (I - Q^T)^-1 x along the middle axis; with (up, into) and (down, outof) exchanged x <- (I - Q)^-1 x."""
    outer, n, inner = x.shape
    for o in range(outer):
        stop = n - 1 if periodic else n
        for j in range(inner):
            x[o, 0, j] *= inverse[o, 0, j]
        for i in range(1, stop):
            before, here, rate, k = x[o, i - 1], x[o, i], up[o, i - 1], inverse[o, i]
            for j in range(inner):
                here[j] = (here[j] + rate[j] * before[j]) * k[j]
        if periodic:
            last, k = x[o, n - 1], inverse[o, n - 1]
            for i in range(n - 1):
                here, rate = x[o, i], into[o, i]
                for j in range(inner):
                    last[j] += rate[j] * here[j]
            for j in range(inner):
                last[j] *= k[j]
            for i in range(n - 1):
                here, rate, k = x[o, i], outof[o, i], inverse[o, i]
                for j in range(inner):
                    here[j] += k[j] * rate[j] * last[j]
        for i in range(stop - 2, -1, -1):
            after, here, rate, k = x[o, i + 1], x[o, i], down[o, i], inverse[o, i]
            for j in range(inner):
                here[j] += rate[j] * k[j] * after[j]


@njit(cache=True, nogil=True, error_model="numpy")
def change_lines(m, up, down, adjoint, scale, out):
    """out += scale Q^T m along the middle axis of (outer, n, inner) in flux form; adjoint: scale Q m."""
    outer, n, inner = m.shape
    if inner == 1:
        line = np.empty(n)
        for o in range(outer):
            change(m[o, :, 0], up[o, :, 0], down[o, :, 0], adjoint, scale, line)
            for i in range(n):
                out[o, i, 0] += line[i]
        return
    behind, ahead = np.empty(inner), np.empty(inner)  # fluxes over the two faces of a node
    for o in range(outer):
        for i in range(-1, n):
            face = i if i >= 0 else n - 1
            a, b, rate, back = m[o, face], m[o, i + 1 if i < n - 1 else 0], up[o, face], down[o, face]
            if adjoint:
                for j in range(inner):
                    ahead[j] = scale * (b[j] - a[j])
            else:
                for j in range(inner):
                    ahead[j] = scale * (rate[j] * a[j] - back[j] * b[j])
            if i >= 0:
                here = out[o, i]
                if adjoint:
                    back = down[o, i - 1 if i > 0 else n - 1]
                    for j in range(inner):
                        here[j] += rate[j] * ahead[j] - back[j] * behind[j]
                else:
                    for j in range(inner):
                        here[j] += behind[j] - ahead[j]
            behind, ahead = ahead, behind


@njit(cache=True, nogil=True, error_model="numpy")
def backward_euler_lines(m, up, down, inverse, into, outof, periodic, adjoint, x):
    """`backward_euler` along the middle axis of (outer, n, inner); x gets the unrefined result."""
    if not periodic and not adjoint:
        for o in range(m.shape[0]):
            for first in range(0, m.shape[2], BLOCK):
                backward_euler_block(m[o], up[o], down[o], inverse[o], first, min(first + BLOCK, m.shape[2]), x[o])
        return
    forward, back, enter, leave = (down, up, outof, into) if adjoint else (up, down, into, outof)
    outer, n, inner = m.shape
    for o in range(outer):
        for i in range(n):
            for j in range(inner):
                x[o, i, j] = m[o, i, j]
    solve_lines(forward, back, inverse, enter, leave, periodic, x)
    m -= x
    change_lines(x, up, down, adjoint, 1.0, m)
    solve_lines(forward, back, inverse, enter, leave, periodic, m)
    for o in range(outer):
        for i in range(n):
            for j in range(inner):
                m[o, i, j] = x[o, i, j] + m[o, i, j] if abs(x[o, i, j]) > TINY else x[o, i, j]


@njit(cache=True, nogil=True, error_model="numpy")
def backward_euler_block(m, up, down, inverse, first, last, x):
    """`backward_euler` of the open lines first to last - 1 of (n, lines): solve, residual in flux form, solve."""
    n, width = m.shape[0], last - first
    here, new, k = m[0, first:last], x[0, first:last], inverse[0, first:last]
    for j in range(width):
        new[j] = here[j] * k[j]
    for i in range(1, n):
        here, before, new = m[i, first:last], x[i - 1, first:last], x[i, first:last]
        low, k = up[i - 1, first:last], inverse[i, first:last]
        for j in range(width):
            new[j] = (here[j] + low[j] * before[j]) * k[j]
    for i in range(n - 2, -1, -1):
        after, new, back, k = x[i + 1, first:last], x[i, first:last], down[i, first:last], inverse[i, first:last]
        for j in range(width):
            new[j] += back[j] * k[j] * after[j]
    here, new, after = m[0, first:last], x[0, first:last], x[1, first:last]
    rate, back, k = up[0, first:last], down[0, first:last], inverse[0, first:last]
    for j in range(width):
        here[j] = ((here[j] - new[j]) - (rate[j] * new[j] - back[j] * after[j])) * k[j]
    for i in range(1, n):
        before, new, after = x[i - 1, first:last], x[i, first:last], x[i + 1 if i < n - 1 else 0, first:last]
        behind, here, k = m[i - 1, first:last], m[i, first:last], inverse[i, first:last]
        low, low_back = up[i - 1, first:last], down[i - 1, first:last]
        rate, back = up[i, first:last], down[i, first:last]  # none over the last face
        for j in range(width):
            fluxes = (low[j] * before[j] - low_back[j] * new[j]) - (rate[j] * new[j] - back[j] * after[j])
            here[j] = (((here[j] - new[j]) + fluxes) + low[j] * behind[j]) * k[j]
    for i in range(n - 2, -1, -1):
        after, here, back, k = m[i + 1, first:last], m[i, first:last], down[i, first:last], inverse[i, first:last]
        for j in range(width):
            here[j] += back[j] * k[j] * after[j]
    for i in range(n):
        here, new = m[i, first:last], x[i, first:last]
        for j in range(width):
            here[j] = new[j] + here[j] if abs(new[j]) > TINY else new[j]


@njit(cache=True, nogil=True, error_model="numpy")
def corrected_euler_lines(m, up, down, inverse, into, outof, periodic, adjoint, gain, x):
    """`backward_euler_lines` of (I + θ Q^T) m, gain = 1 + θ."""
    if not periodic and not adjoint:
        outer, n, inner = m.shape
        before = x[0, 0]  # fluxes into the nodes
        for o in range(outer):
            before[:] = 0.0
            for i in range(n):
                here, ahead, rate, back = m[o, i], m[o, i + 1 if i < n - 1 else 0], up[o, i], down[o, i]
                for j in range(inner):
                    flux = (gain - 1.0) * (rate[j] * here[j] - back[j] * ahead[j])
                    here[j] += before[j] - flux
                    before[j] = flux
    else:
        x[:] = 0.0
        change_lines(m, up, down, adjoint, gain - 1.0, x)
        m += x
    backward_euler_lines(m, up, down, inverse, into, outof, periodic, adjoint, x)


@njit(cache=True, nogil=True, error_model="numpy")
def trapezoid_lines(m, up, down, inverse, into, outof, periodic, adjoint, gain, x):
    """`trapezoid` along the middle axis of (outer, n, inner); x gets the increment."""
    if not periodic and not adjoint:
        for o in range(m.shape[0]):
            for first in range(0, m.shape[2], BLOCK):
                trapezoid_block(m[o], up[o], down[o], inverse[o], first, min(first + BLOCK, m.shape[2]), gain, x[o])
        return
    forward, back, enter, leave = (down, up, outof, into) if adjoint else (up, down, into, outof)
    x[:] = 0.0
    change_lines(m, up, down, adjoint, gain, x)
    solve_lines(forward, back, inverse, enter, leave, periodic, x)
    m += x


@njit(cache=True, nogil=True, error_model="numpy")
def trapezoid_block(m, up, down, inverse, first, last, gain, x):
    """`trapezoid` of the open lines first to last - 1 of (n, lines): fluxes, elimination and update in two passes."""
    n, width = m.shape[0], last - first
    here, ahead, change = m[0, first:last], m[1, first:last], x[0, first:last]
    rate, back, k = up[0, first:last], down[0, first:last], inverse[0, first:last]
    for j in range(width):
        change[j] = -gain * (rate[j] * here[j] - back[j] * ahead[j]) * k[j]
    for i in range(1, n - 1):
        behind, here, ahead = m[i - 1, first:last], m[i, first:last], m[i + 1, first:last]
        before, change, k = x[i - 1, first:last], x[i, first:last], inverse[i, first:last]
        low, low_back, rate, back = (
            up[i - 1, first:last],
            down[i - 1, first:last],
            up[i, first:last],
            down[i, first:last],
        )
        for j in range(width):
            fluxes = (low[j] * behind[j] - low_back[j] * here[j]) - (rate[j] * here[j] - back[j] * ahead[j])
            change[j] = (gain * fluxes + low[j] * before[j]) * k[j]
    behind, here, low, back = m[n - 2, first:last], m[n - 1, first:last], up[n - 2, first:last], down[n - 2, first:last]
    before, change, k = x[n - 2, first:last], x[n - 1, first:last], inverse[n - 1, first:last]
    for j in range(width):
        change[j] = (gain * (low[j] * behind[j] - back[j] * here[j]) + low[j] * before[j]) * k[j]
        here[j] += change[j]
    for i in range(n - 2, -1, -1):
        after, here, change = x[i + 1, first:last], m[i, first:last], x[i, first:last]
        back, k = down[i, first:last], inverse[i, first:last]
        for j in range(width):
            change[j] += back[j] * k[j] * after[j]
        for j in range(width):
            here[j] += change[j]


@njit(cache=True, nogil=True, error_model="numpy")
def transpose(a, out):
    """out = a^T in blocks that stay in the cache."""
    rows, columns = a.shape
    for i in range(0, rows, 16):
        for j in range(0, columns, 16):
            for p in range(i, min(i + 16, rows)):
                for q in range(j, min(j + 16, columns)):
                    out[q, p] = a[p, q]
