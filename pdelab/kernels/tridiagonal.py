"""Kernels of the Fokker-Planck equation: Scharfetter-Gummel rates and tridiagonal steps without subtractions.

A line of n nodes carries masses m, and face i joins node i to node i + 1; the last face closes a periodic line and is
empty otherwise. `up` and `down` are the rates of jumping over a face, so that m_t = Q^T m reads

    dm_i/dt = F_{i-1} - F_i,    F_i = up_i m_i - down_i m_{i+1}.

A step solves (I - Q^T) x = m, where the rates already hold the step, by eliminating node after node: the diagonal is
never formed by a difference but carried as `killing + rates out` (Grassmann, Taksar, Heyman 1985; here with killing
one), so that every number below is positive and keeps its relative accuracy.
"""

import math

import numpy as np
from numba import njit

LOW, IN, INVERSE, BACK, OUT = range(5)  # rows of the factors
EXPLICIT, IMPLICIT, TRAPEZOID = range(3)  # forward Euler, backward Euler, Crank-Nicolson
TINY = 1e-280  # masses below are not refined: their products would lose digits to gradual underflow


@njit(cache=True, nogil=True, error_model="numpy")
def bernoulli(q, D):
    """(D B(-q/D), D B(q/D)), B(z) = z / (e^z - 1): rates along and against a drift q; upwind when D = 0."""
    a = abs(q)
    z = a / D
    against = a / math.expm1(z) if z > 1e-30 else D
    along = a + against
    return (along, against) if q > 0 else (against, along)


@njit(cache=True, nogil=True, error_model="numpy")
def rates(drop, D, scale, periodic, up, down):
    """Scharfetter-Gummel rates along the middle axis of (outer, n, inner): scale = dt / h².

    drop: h times the drift on each face; D: diffusivity on each node.
    """
    outer, n, inner = drop.shape
    for o in range(outer):
        for i in range(n - 1):
            here, there = D[o, i], D[o, i + 1]
            for j in range(inner):
                along, against = bernoulli(drop[o, i, j], here[j])
                if there[j] != here[j]:
                    against = bernoulli(drop[o, i, j], there[j])[1]
                up[o, i, j] = scale * along
                down[o, i, j] = scale * against
        for j in range(inner):
            if periodic:
                up[o, n - 1, j] = scale * bernoulli(drop[o, n - 1, j], D[o, n - 1, j])[0]
                down[o, n - 1, j] = scale * bernoulli(drop[o, n - 1, j], D[o, 0, j])[1]
            else:  # the end cells are half cells
                up[o, n - 1, j] = down[o, n - 1, j] = 0.0
                up[o, 0, j] *= 2.0
                down[o, n - 2, j] *= 2.0


@njit(cache=True, nogil=True, error_model="numpy")
def beside(face, n, periodic):
    """(i, j, w): h² U'' on a face is w (drop_i - drop_j); next to a wall as one face further in."""
    if periodic:
        return (face - 1) % n, (face + 1) % n, 0.5
    if n == 2 or face == n - 1:
        return 0, 0, 0.0
    if face == 0:
        return 0, 1, 1.0
    if face == n - 2:
        return n - 3, n - 2, 1.0
    return face - 1, face + 1, 0.5


@njit(cache=True, nogil=True, error_model="numpy")
def fit(drop, D, periodic, up, down):
    """Multiply both rates over each face by 1 + h² U''/(12 D), or as good a positive number, in place.

    Returns a bound of the fastest decay: twice the largest rate out of a node, at a wall 1.01 times it, or Gershgorin's
    bound of the symmetrised line. With θ one over this, I + θ Q^T is positive definite, and no node but those two
    passes on more than it keeps, so that nothing grows along a line. Arrays as in `rates`.
    """
    outer, n, inner = drop.shape
    fastest, over, behind = 0.0, np.empty(inner), np.empty(inner)
    for o in range(outer):
        for i in range(n):
            first, second, share = beside(i, n, periodic)
            share /= 12.0 * D
            low, high, along, against = drop[o, first], drop[o, second], up[o, i], down[o, i]
            for j in range(inner):
                part = share * (low[j] - high[j])
                factor = 1.0 + part if part > 0.0 else 1.0 / (1.0 - part)
                along[j] *= factor
                against[j] *= factor
        for j in range(inner):
            behind[j] = down[o, n - 1, j]
            over[j] = 0.0  # square root of both rates over the face before
        for i in range(n):
            share = 1.0 if periodic or 0 < i < n - 1 else 0.01
            for j in range(inner):
                out = behind[j] + up[o, i, j]
                mean = 0.0 if periodic else math.sqrt(up[o, i, j] * down[o, i, j])
                fastest = max(fastest, out + max(share * out, over[j] + mean))
                over[j] = mean
                behind[j] = down[o, i, j]
    return fastest


@njit(cache=True, nogil=True, error_model="numpy")
def factor(up, down, periodic, factors):
    """Eliminate all nodes of I - Q^T but one; factors (5, n) is what `solve` needs.

    An open line is eliminated from both ends towards its middle, so that two chains of dependent operations run side
    by side; a ring from node 0 to n - 2, and every node keeps its rates to the last one.
    """
    if periodic:
        factor_ring(up, down, factors)
        return
    n = up.size
    middle = n // 2
    left = right = 0.0  # what the killing of a node gains from those eliminated before it
    for k in range(middle):
        inverse = 1.0 / (1.0 + left + up[k])
        factors[INVERSE, k] = inverse
        factors[LOW, k] = up[k] * inverse
        factors[BACK, k] = down[k] * inverse
        left = down[k] * ((1.0 + left) * inverse)
        i = n - 1 - k
        if i > middle:
            inverse = 1.0 / (1.0 + right + down[i - 1])
            factors[INVERSE, i] = inverse
            factors[LOW, i] = down[i - 1] * inverse
            factors[BACK, i] = up[i - 1] * inverse
            right = up[i - 1] * ((1.0 + right) * inverse)
    factors[INVERSE, middle] = 1.0 / (1.0 + left + right)
    factors[LOW, middle] = factors[BACK, middle] = 0.0
    factors[IN] = 0.0
    factors[OUT] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def factor_ring(up, down, factors):
    """`factor` for a periodic line."""
    n = up.size
    killing = last = 1.0
    into, outof = down[n - 1], up[n - 1]  # jumps to the last node and from it
    for i in range(n - 1):
        if i == n - 2:
            into += up[i]
            outof += down[i]
            inverse = 1.0 / (killing + into)
            factors[LOW, i] = factors[BACK, i] = 0.0
        else:
            inverse = 1.0 / (killing + up[i] + into)
            factors[LOW, i] = up[i] * inverse
            factors[BACK, i] = down[i] * inverse
        factors[INVERSE, i] = inverse
        factors[IN, i] = into * inverse
        factors[OUT, i] = outof * inverse
        last += outof * (killing * inverse)
        killing = 1.0 + down[i] * (killing * inverse)
        into = down[i] * (into * inverse)
        outof = up[i] * (outof * inverse)
    factors[LOW, n - 1] = factors[BACK, n - 1] = factors[IN, n - 1] = factors[OUT, n - 1] = 0.0
    factors[INVERSE, n - 1] = 1.0 / last


@njit(cache=True, nogil=True, error_model="numpy")
def solve(low, into, inverse, back, outof, periodic, rhs, x):
    """x = (I - Q^T)^-1 rhs; with (low, into) and (back, outof) exchanged x = (I - Q)^-1 rhs."""
    if periodic:
        solve_ring(low, into, inverse, back, outof, rhs, x)
        return
    n = rhs.size
    middle = n // 2
    right_count = n - 1 - middle
    r, s = rhs[0], rhs[n - 1]
    x[0] = r * inverse[0]
    if right_count > 0:
        x[n - 1] = s * inverse[n - 1]
    for k in range(1, right_count):
        i = n - 1 - k
        r = rhs[k] + low[k - 1] * r
        s = rhs[i] + low[i + 1] * s
        x[k] = r * inverse[k]
        x[i] = s * inverse[i]
    for k in range(max(right_count, 1), middle):
        r = rhs[k] + low[k - 1] * r
        x[k] = r * inverse[k]
    total = rhs[middle] + low[middle - 1] * r
    if right_count > 0:
        total += low[middle + 1] * s
    r = s = total * inverse[middle]
    x[middle] = r
    for k in range(1, right_count + 1):
        i, j = middle - k, middle + k
        r = x[i] + back[i] * r
        s = x[j] + back[j] * s
        x[i] = r
        x[j] = s
    for i in range(middle - right_count - 1, -1, -1):
        r = x[i] + back[i] * r
        x[i] = r


@njit(cache=True, nogil=True, error_model="numpy")
def solve_ring(low, into, inverse, back, outof, rhs, x):
    """`solve` for a periodic line."""
    n = rhs.size
    r = rhs[0]
    x[0] = r * inverse[0]
    last = rhs[n - 1] + into[0] * r
    for i in range(1, n - 1):
        r = rhs[i] + low[i - 1] * r
        x[i] = r * inverse[i]
        last += into[i] * r
    last *= inverse[n - 1]
    x[n - 1] = last
    right = x[n - 2] + outof[n - 2] * last
    x[n - 2] = right
    for i in range(n - 3, -1, -1):
        right = x[i] + outof[i] * last + back[i] * right
        x[i] = right


@njit(cache=True, nogil=True, error_model="numpy")
def change(m, up, down, adjoint, scale, out):
    """out = scale Q^T m in flux form (its sum vanishes to rounding); adjoint: scale Q m, zero on constants."""
    n = m.size
    if adjoint:
        out[0] = scale * (up[0] * (m[1] - m[0]) + down[n - 1] * (m[n - 1] - m[0]))
        for i in range(1, n - 1):
            out[i] = scale * (up[i] * (m[i + 1] - m[i]) + down[i - 1] * (m[i - 1] - m[i]))
        out[n - 1] = scale * (up[n - 1] * (m[0] - m[n - 1]) + down[n - 2] * (m[n - 2] - m[n - 1]))
    else:
        left = first = scale * (up[n - 1] * m[n - 1] - down[n - 1] * m[0])
        for i in range(n - 1):
            flux = scale * (up[i] * m[i] - down[i] * m[i + 1])
            out[i] = left - flux
            left = flux
        out[n - 1] = left - first


@njit(cache=True, nogil=True, error_model="numpy")
def backward_euler(m, up, down, factors, periodic, adjoint):
    """m <- (I - Q^T)^-1 m: the positive solve, then one refinement with the residual in flux form, which keeps the sum.

    The refinement changes the last digits only, so that positive masses stay positive.
    """
    x, residual = np.empty_like(m), np.empty_like(m)
    low, back, into, outof = (BACK, LOW, OUT, IN) if adjoint else (LOW, BACK, IN, OUT)
    solve(factors[low], factors[into], factors[INVERSE], factors[back], factors[outof], periodic, m, x)
    change(x, up, down, adjoint, 1.0, residual)
    for i in range(m.size):
        residual[i] += m[i] - x[i]
    solve(factors[low], factors[into], factors[INVERSE], factors[back], factors[outof], periodic, residual, residual)
    for i in range(m.size):
        m[i] = x[i] + residual[i] if abs(x[i]) > TINY else x[i]


@njit(cache=True, nogil=True, error_model="numpy")
def trapezoid(m, up, down, factors, periodic, adjoint, gain):
    """m <- m + (I - Q^T)^-1 gain Q^T m, sum kept: Crank-Nicolson with gain 2."""
    x = np.empty_like(m)
    low, back, into, outof = (BACK, LOW, OUT, IN) if adjoint else (LOW, BACK, IN, OUT)
    change(m, up, down, adjoint, gain, x)
    solve(factors[low], factors[into], factors[INVERSE], factors[back], factors[outof], periodic, x, x)
    for i in range(m.size):
        m[i] += x[i]


@njit(cache=True, nogil=True, error_model="numpy")
def one_step(m, up, down, factors, periodic, adjoint, mode, gain):
    """One step of a line in one of the three modes; the rates hold dt, or dt / gain.

    Backward Euler with gain 1 + θ first takes m to (I + θ Q^T) m.
    """
    if mode == IMPLICIT:
        if gain != 1.0:
            lead = np.empty_like(m)
            change(m, up, down, adjoint, gain - 1.0, lead)
            m += lead
        backward_euler(m, up, down, factors, periodic, adjoint)
    elif mode == TRAPEZOID:
        trapezoid(m, up, down, factors, periodic, adjoint, gain)
    else:
        x = np.empty_like(m)
        change(m, up, down, adjoint, 1.0, x)
        for i in range(m.size):
            m[i] += x[i]


@njit(cache=True, nogil=True, error_model="numpy")
def steady_steps(m, up, down, factors, periodic, adjoint, mode, gain, steps):
    """`steps` equal steps of a line with rates that do not change."""
    for _ in range(steps):
        one_step(m, up, down, factors, periodic, adjoint, mode, gain)


@njit(cache=True, nogil=True, error_model="numpy")
def moving_steps(m, times, drops, D, scale, periodic, adjoint, mode, time, dt, steps, where):
    """Steps of a line whose drops are linear in time between `times`; step k takes them at time + (k + where) dt.

    scale: 1/h²; drops: (len(times), n), before the first time and beyond the last time constant.
    """
    n = m.size
    up, down, drop = np.empty(n), np.empty(n), np.empty(n)
    factors = np.empty((5, n))
    held = scale * (0.5 * dt if mode == TRAPEZOID else dt)
    k = 0
    for step in range(steps):
        t = time + (step + where) * dt
        while k < times.size - 2 and times[k + 1] < t:
            k += 1
        after = min(k + 1, times.size - 1)
        part = min(max((t - times[k]) / (times[after] - times[k]), 0.0), 1.0) if after > k else 0.0
        for i in range(n):
            drop[i] = (1.0 - part) * drops[k, i] + part * drops[after, i]
        rates(drop.reshape(1, n, 1), D.reshape(1, n, 1), held, periodic, up.reshape(1, n, 1), down.reshape(1, n, 1))
        if mode != EXPLICIT:
            factor(up, down, periodic, factors)
        one_step(m, up, down, factors, periodic, adjoint, mode, 2.0 if mode == TRAPEZOID else 1.0)
