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
    """Scharfetter-Gummel rates of a line: drop = h times the drift on each face, D on each node, scale = dt / h²."""
    n = D.size
    for i in range(n - 1):
        q = drop[i]
        along, against = bernoulli(q, D[i])
        if D[i + 1] != D[i]:
            against = bernoulli(q, D[i + 1])[1]
        up[i] = scale * along
        down[i] = scale * against
    up[n - 1] = down[n - 1] = 0.0
    if periodic:
        up[n - 1] = scale * bernoulli(drop[n - 1], D[n - 1])[0]
        down[n - 1] = scale * bernoulli(drop[n - 1], D[0])[1]
    else:  # the end cells are half cells
        up[0] *= 2.0
        down[n - 2] *= 2.0


@njit(cache=True, nogil=True, error_model="numpy")
def factor(up, down, factors):
    """Eliminate nodes 0 ... n - 2 of I - Q^T; factors (5, n) is what `solve` needs. The last node closes the ring."""
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
    n = rhs.size
    r = rhs[0]
    x[0] = r * inverse[0]
    last = rhs[n - 1] + into[0] * r
    if periodic:
        for i in range(1, n - 1):
            r = rhs[i] + low[i - 1] * r
            x[i] = r * inverse[i]
            last += into[i] * r
    else:
        for i in range(1, n - 1):
            r = rhs[i] + low[i - 1] * r
            x[i] = r * inverse[i]
        if n > 2:
            last = rhs[n - 1] + into[n - 2] * r
    last *= inverse[n - 1]
    x[n - 1] = last
    right = x[n - 2] + outof[n - 2] * last
    x[n - 2] = right
    if periodic:
        for i in range(n - 3, -1, -1):
            right = x[i] + outof[i] * last + back[i] * right
            x[i] = right
    else:
        for i in range(n - 3, -1, -1):
            right = x[i] + back[i] * right
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
def backward_euler(m, up, down, factors, periodic, adjoint, x, residual):
    """m <- (I - Q^T)^-1 m: the positive solve, then one refinement with the residual in flux form, which keeps the sum.

    The refinement changes the last digits only, so that positive masses stay positive.
    """
    low, back, into, outof = (BACK, LOW, OUT, IN) if adjoint else (LOW, BACK, IN, OUT)
    solve(factors[low], factors[into], factors[INVERSE], factors[back], factors[outof], periodic, m, x)
    change(x, up, down, adjoint, 1.0, residual)
    for i in range(m.size):
        residual[i] += m[i] - x[i]
    solve(factors[low], factors[into], factors[INVERSE], factors[back], factors[outof], periodic, residual, residual)
    for i in range(m.size):
        m[i] = x[i] + residual[i] if abs(x[i]) > TINY else x[i]


@njit(cache=True, nogil=True, error_model="numpy")
def trapezoid(m, up, down, factors, periodic, adjoint, x):
    """m <- (I - Q^T)^-1 (I + Q^T) m by its increment x = (I - Q^T)^-1 2 Q^T m: Crank-Nicolson, sum kept."""
    low, back, into, outof = (BACK, LOW, OUT, IN) if adjoint else (LOW, BACK, IN, OUT)
    change(m, up, down, adjoint, 2.0, x)
    solve(factors[low], factors[into], factors[INVERSE], factors[back], factors[outof], periodic, x, x)
    for i in range(m.size):
        m[i] += x[i]


@njit(cache=True, nogil=True, error_model="numpy")
def steady_steps(m, up, down, factors, periodic, adjoint, implicit, steps):
    """`steps` equal steps of one line with rates that do not change; implicit: backward Euler, else Crank-Nicolson."""
    x, residual = np.empty_like(m), np.empty_like(m)
    for _ in range(steps):
        if implicit:
            backward_euler(m, up, down, factors, periodic, adjoint, x, residual)
        else:
            trapezoid(m, up, down, factors, periodic, adjoint, x)


@njit(cache=True, nogil=True, error_model="numpy")
def moving_steps(m, times, drops, D, scale, periodic, adjoint, implicit, time, dt, steps, where):
    """Steps of one line whose drops are linear in time between `times`; taken at time + (k + where) dt in step k.

    scale: 1/h²; drops: (len(times), n), beyond the last time its own.
    """
    n = m.size
    up, down, drop, x, residual = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    factors = np.empty((5, n))
    k = 0
    for step in range(steps):
        t = time + (step + where) * dt
        while k < times.size - 2 and times[k + 1] < t:
            k += 1
        part = 0.0
        if times.size > 1:
            part = min(max((t - times[k]) / (times[k + 1] - times[k]), 0.0), 1.0)
        after = min(k + 1, times.size - 1)
        for i in range(n):
            drop[i] = (1.0 - part) * drops[k, i] + part * drops[after, i]
        rates(drop, D, scale * (dt if implicit else 0.5 * dt), periodic, up, down)
        factor(up, down, factors)
        if implicit:
            backward_euler(m, up, down, factors, periodic, adjoint, x, residual)
        else:
            trapezoid(m, up, down, factors, periodic, adjoint, x)
