"""Policies and ring solves: implicit kernels for Hamilton-Jacobi.

Each node picks the speed q that minimises its controlled operator (see `slopes.fitted`); with the speeds fixed the
equation is linear, with the rates `down` and `up` to the two neighbours of an axis and a running cost. One line of
nodes gives a tridiagonal matrix, closed to a ring when periodic.
"""

import numpy as np
from numba import njit

from pdelab.kernels.slopes import FITTED, PERIODIC, beyond, neighbours, upwind_step, widen

STAGES = 6  # RODAS of Hairer and Wanner (1996), order 4 with an embedded order 3, stiffly accurate
GAMMA = 0.25
A = np.array(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [1.544, 0.0, 0.0, 0.0, 0.0],
        [0.9466785280815826, 0.2557011698983284, 0.0, 0.0, 0.0],
        [3.314825187068521, 2.896124015972201, 0.9986419139977817, 0.0, 0.0],
        [1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950, 0.0],
        [1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950, 1.0],
    ]
)
C = np.array(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [-5.6688, 0.0, 0.0, 0.0, 0.0],
        [-2.430093356833875, -0.2063599157091915, 0.0, 0.0, 0.0],
        [-0.1073529058151375, -9.594562251023355, -20.47028614809616, 0.0, 0.0],
        [7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160, 0.0],
        [8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054],
    ]
)


@njit(cache=True, nogil=True, error_model="numpy")
def policy(low, here, high, shift, k, d):
    """(down, up, total) of the best speed: `total`, its increment, is that of `slopes.fitted`."""
    below, above, critical = low - here, high - here, d / k
    q = min(max((high - low) * 0.5 - shift, -critical), critical)
    left = max(-below - shift, critical)
    right = max(shift - above, critical)
    central = d * (below + above) + k * (q * (below - above) + (q + shift) * (q + shift))
    from_left = k * (2.0 * left * below + (left + shift) * (left + shift))
    from_right = k * (2.0 * right * above + (shift - right) * (shift - right))
    side = min(from_left, from_right)
    down = max(d + k * q, 0.0) if central <= side else (2.0 * k * left if from_left <= from_right else 0.0)
    up = max(d - k * q, 0.0) if central <= side else (0.0 if from_left <= from_right else 2.0 * k * right)
    return down, up, min(central, side)


@njit(cache=True, nogil=True, error_model="numpy")
def policy_row(low, here, high, shift, k, d, down, up, total):
    """Policies of a row of nodes: rates, and increments added to `total`."""
    for j in range(here.size):
        to_low, to_high, step = policy(low[j], here[j], high[j], shift[j], k, d)
        down[j] = to_low
        up[j] = to_high
        total[j] += step


@njit(cache=True, nogil=True, error_model="numpy")
def policies(u, boundary, shift, k, d, down, up, total):
    """Best policies along the middle axis of u (outer, n, inner): rates, none out of the box, and increments added."""
    outer, n, inner = u.shape
    for o in range(outer):
        if inner == 1:
            line, b = u[o].reshape(n), shift[o].reshape(n)
            a, c, t = down[o].reshape(n), up[o].reshape(n), total[o].reshape(n)
            policy_row(line[:-2], line[1:-1], line[2:], b[1:-1], k, d, a[1:-1], c[1:-1], t[1:-1])
        for i in range(0, n, n - 1 if inner == 1 else 1):
            low, high, keep = neighbours(i, n, boundary)
            below, above = beyond(u[o, low], u[o, i], u[o, high], shift[o, i], low == i, high == i)
            policy_row(below, u[o, i], above, shift[o, i], k, keep * d, down[o, i], up[o, i], total[o, i])
            if low == i:
                down[o, i] = 0.0
            if high == i:
                up[o, i] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def factor_ring(down, up, boundary, alpha, factors):
    """Factorise alpha - L on a line of nodes, L the rates to the neighbours; factors (4, n) is what `solve_ring` needs.

    Nodes are eliminated from both ends towards the middle, two recurrences at a time. A periodic line is closed by a
    rank-one correction (Sherman, Morrison), held in factors[3] and the returned number.
    """
    n, lower, inverse, upper, correction = down.size, factors[0], factors[1], factors[2], factors[3]
    for i in range(n):
        lower[i], inverse[i], upper[i], correction[i] = -down[i], alpha + down[i] + up[i], -up[i], 0.0
    ratio, last = 0.0, n - 1
    ring = boundary == PERIODIC and n > 2
    if ring:
        ratio = -lower[0] / inverse[0]
        correction[0], correction[last] = -inverse[0], upper[last]
        inverse[last] -= upper[last] * ratio
        inverse[0] *= 2.0
    else:  # both neighbours of an end are the same node
        upper[0] += lower[0]
        lower[last] += upper[last]
    lower[0] = upper[last] = 0.0
    half = n // 2
    inverse[0], inverse[last] = 1.0 / inverse[0], 1.0 / inverse[last]
    for i in range(1, half):
        j = last - i
        inverse[i] = 1.0 / (inverse[i] - lower[i] * (upper[i - 1] * inverse[i - 1]))
        inverse[j] = 1.0 / (inverse[j] - upper[j] * (lower[j + 1] * inverse[j + 1]))
    if n > 2 * half and half > 0:
        inverse[half] = 1.0 / (inverse[half] - upper[half] * (lower[half + 1] * inverse[half + 1]))
    for i in range(n):
        lower[i] *= inverse[i]
        upper[i] *= inverse[i]
    if ring:
        sweep(factors, correction, 1e-200)
        scale = 1.0 / (1.0 + correction[0] + ratio * correction[last])
        for i in range(n):
            correction[i] *= scale
    return ratio


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def sweep(factors, x, small):
    """Substitution in place, from both ends to the middle and back, without the correction.

    Numbers below `small` become zero there: the correction decays, and gradual underflow is slow.
    """
    lower, inverse, upper = factors[0], factors[1], factors[2]
    n = x.size
    half, last = n // 2, n - 1
    for i in range(n):
        x[i] *= inverse[i]
    y, z = 0.0, 0.0
    if small > 0.0:
        for i in range(half):
            y = x[i] - lower[i] * y
            y = y if abs(y) > small else 0.0
            x[i] = y
            z = x[last - i] - upper[last - i] * z
            z = z if abs(z) > small else 0.0
            x[last - i] = z
    else:
        for i in range(half):
            y = x[i] - lower[i] * y
            x[i] = y
            z = x[last - i] - upper[last - i] * z
            x[last - i] = z
    if n > 2 * half:
        z = x[half] - upper[half] * z
        x[half] = z
    if half == 0:
        return
    y, z = x[half - 1], x[half]  # the two halves meet: y = x + upper x', z = x' + lower x
    inside = 1.0 / (1.0 - upper[half - 1] * lower[half])
    x[half - 1] = (y - upper[half - 1] * z) * inside
    x[half] = (z - lower[half] * y) * inside
    y, z = x[half - 1], x[half]
    if n > 2 * half:
        z = x[half + 1] - lower[half + 1] * z
        x[half + 1] = z
    for i in range(half - 2, -1, -1):
        y = x[i] - upper[i] * y
        x[i] = y if abs(y) > small else 0.0
        z = x[last - i] - lower[last - i] * z
        x[last - i] = z if abs(z) > small else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def solve_ring(factors, ratio, x):
    """x becomes (alpha - L)^-1 x, with the factors and the ratio of `factor_ring`."""
    sweep(factors, x, 0.0)
    if factors[3, 0] != 0.0:
        amount = x[0] + ratio * x[x.size - 1]
        for i in range(x.size):
            x[i] -= amount * factors[3, i]


@njit(cache=True, nogil=True, error_model="numpy")
def largest_change(a, b):
    """max|a - b| of two flat arrays."""
    lanes = np.zeros(32)
    widen(lanes, a, b)
    return lanes.max()


@njit(cache=True, nogil=True, error_model="numpy")
def howard_march(values, out, steps, boundary, shift, k, d, tolerance, most):
    """`steps` steps of backward Euler on a line by policy iteration, each until no change exceeds the tolerance.

    shift: (n,). Returns the number of iterations, or -1 if `most` were not enough for one step.
    """
    n, total = values.size, 0
    down, up, factors, change, old = np.empty(n), np.empty(n), np.empty((4, n)), np.empty(n), np.empty(n)
    line = (1, n, 1)
    for i in range(n):
        out[i] = values[i]
    for _ in range(steps):
        size = np.inf
        for i in range(n):
            old[i] = out[i]
        for _ in range(most):
            for i in range(n):
                change[i] = old[i] - out[i]
            rates = down.reshape(line), up.reshape(line)
            policies(out.reshape(line), boundary, shift.reshape(line), k, d, rates[0], rates[1], change.reshape(line))
            ratio = factor_ring(down, up, boundary, 1.0, factors)
            solve_ring(factors, ratio, change)
            size = 0.0
            for i in range(n):
                out[i] += change[i]
                size = max(size, abs(change[i]))
            total += 1
            if size <= tolerance:
                break
        if size > tolerance:
            return -1
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def combine(point, stage, other, a, c):
    """point += a other, stage += c other."""
    for i in range(point.size):
        point[i] += a * other[i]
        stage[i] += c * other[i]


@njit(cache=True, nogil=True, error_model="numpy")
def rosenbrock_step(u, new, point, ahead, stages, factors, down, up, boundary, shift, k, d):
    """One step of RODAS on a line, from u to `new`; returns its estimated error, max|last stage|.

    point, ahead, down, up (n,), stages (6, n), factors (4, n): work; shift (3, 1, n) as in `slopes.upwind_step`.
    """
    n = u.size
    line = (1, n, 1)
    rates = down.reshape(line), up.reshape(line)
    policies(u.reshape(line), boundary, shift[2].reshape(line), k, d, rates[0], rates[1], ahead.reshape(line))
    ratio = factor_ring(down, up, boundary, 1.0 / GAMMA, factors)
    for s in range(STAGES):
        stage = stages[s]
        for i in range(n):
            point[i] = u[i]
            stage[i] = 0.0
        for j in range(s):
            combine(point, stage, stages[j], A[s, j], C[s, j])
        upwind_step(point, ahead, 0, 1, (1, 1, n), (1, 1, boundary), (0.0, 0.0, k), (0.0, 0.0, d), shift, FITTED)
        for i in range(n):
            stage[i] += ahead[i] - point[i]
        solve_ring(factors, ratio, stage)
    for i in range(n):
        new[i] = point[i] + stages[STAGES - 1, i]
    return largest_change(new, point)


@njit(cache=True, nogil=True, error_model="numpy")
def rosenbrock_march(values, out, span, first, boundary, shift, k, d, tolerance):
    """Integrate over `span` with steps chosen so that each one's estimated error is at most the tolerance.

    first: the first step tried; k, d: the coefficients per unit of time. Returns the next step and the numbers of
    steps taken and refused.
    """
    n = values.size
    stages, factors, new, point = np.zeros((STAGES, n)), np.empty((4, n)), np.empty(n), np.empty(n)
    down, up, ahead = np.empty(n), np.empty(n), np.zeros(n)
    time, dt, taken, refused = 0.0, first, 0, 0
    for i in range(n):
        out[i] = values[i]
    while time < span:
        remaining = span - time
        step = remaining if dt >= remaining else min(dt, 0.5 * remaining) if dt > 0.5 * remaining else dt
        work = new, point, ahead, stages, factors, down, up
        error = rosenbrock_step(out, *work, boundary, shift, k * step, d * step) / tolerance
        if not error <= 1.0 and step > 1e-12 * span:
            refused += 1
            dt = step * (max(0.2, 0.9 * error**-0.25) if error < np.inf else 0.1)
            continue
        time = span if step == remaining else time + step
        taken += 1
        for i in range(n):
            out[i] = new[i]
        growth = min(5.0, 0.9 * error**-0.25) if error > 0.0 else 5.0
        dt = max(dt, step * growth) if step < dt else step * growth
    return dt, taken, refused
