"""Slow, obvious twins of pdelab/kernels/policies.py: candidates compared one by one, dense matrices."""

import importlib.util
from pathlib import Path

import numpy as np

from pdelab.kernels.policies import GAMMA, A, C

spec = importlib.util.spec_from_file_location("twins_of_slopes", Path(__file__).parent / "kernels_slopes.py")
slopes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(slopes)


def policy(low, here, high, shift, k, d):
    below, above, critical = low - here, high - here, d / k
    best = None
    central, left, right = (high - low) / 2 - shift, -below - shift, above - shift
    for Q in (np.clip(central, -critical, critical), max(left, critical), min(right, -critical)):
        rate = max(d, k * abs(Q))
        rates = (rate + k * Q, rate - k * Q)
        total = rates[0] * below + rates[1] * above + k * (Q + shift) ** 2
        if best is None or total < best[2]:
            best = (*rates, total)
    return np.array(best)


def policy_row(low, here, high, shift, k, d, down, up, total):
    for j in range(here.size):
        down[j], up[j], step = policy(low[j], here[j], high[j], shift[j], k, d)
        total[j] += step


def policies(u, boundary, shift, k, d, down, up, total):
    outer, n, inner = u.shape
    for o, i, j in np.ndindex(outer, n, inner):
        low, high, keep = slopes.neighbours(i, n, boundary)
        here, b = u[o, i, j], shift[o, i, j]
        below, above = slopes.beyond(u[o, low, j], here, u[o, high, j], b, low == i, high == i)
        a, c, step = policy(below, here, above, b, k, keep * d)
        down[o, i, j], up[o, i, j] = a * (low != i), c * (high != i)
        total[o, i, j] += step


def matrix(down, up, boundary, alpha):
    n = down.size
    dense = alpha * np.eye(n)
    for i in range(n):
        low, high, _ = slopes.neighbours(i, n, boundary)
        for j, rate in ((low, down[i]), (high, up[i])):
            dense[i, i] += rate
            dense[i, j] -= rate
    return dense


def factor_ring(down, up, boundary, alpha, factors):
    """Gauss on the dense matrix without its corners, rows taken from both ends, each divided by its pivot."""
    n = down.size
    dense, ratio = matrix(down, up, boundary, alpha), 0.0
    correction = np.zeros(n)
    if boundary == slopes.PERIODIC and n > 2:
        first = dense[0, 0]
        ratio = -dense[0, -1] / first
        correction[[0, -1]] = -first, dense[-1, 0]
        dense -= np.outer(correction, np.eye(n)[0] + ratio * np.eye(n)[-1])
    tridiagonal = dense.copy()
    half = n // 2
    for i in [*range(half), *range(n - 1, half - 1, -1)]:
        factors[0, i] = dense[i, i - 1] / dense[i, i] if i > 0 else 0.0
        factors[2, i] = dense[i, i + 1] / dense[i, i] if i < n - 1 else 0.0
        factors[1, i] = 1 / dense[i, i]
        following = i + 1 if i < half else i - 1
        if 0 <= following < n and (following < half) == (i < half):
            pivot = dense[following, i] / dense[i, i]
            outside = i - 1 if i < half else i + 1
            keep = dense[following, i]
            dense[following] -= pivot * dense[i]
            dense[following, i] = keep
            if 0 <= outside < n:
                dense[following, outside] = 0
    if correction.any():
        correction = np.linalg.solve(tridiagonal, correction)
        correction /= 1 + correction[0] + ratio * correction[-1]
    factors[3] = correction
    return ratio


def unfactored(factors):
    """The tridiagonal matrix whose factors these are."""
    lower, inverse, upper = factors[:3]
    n, half = lower.size, lower.size // 2
    dense = np.zeros((n, n))
    for i in range(n):
        a, b, c = lower[i] / inverse[i], 1 / inverse[i], upper[i] / inverse[i]
        if 0 < i < half:
            b += a * upper[i - 1]
        if half <= i < n - 1:
            b += c * lower[i + 1]
        for j, entry in ((i - 1, a), (i, b), (i + 1, c)):
            if 0 <= j < n:
                dense[i, j] = entry
    return dense


def sweep(factors, x, small):
    x[:] = np.linalg.solve(unfactored(factors), x)


def solve_ring(factors, ratio, x):
    sweep(factors, x, 0.0)
    x -= (x[0] + ratio * x[-1]) * factors[3]


def largest_change(a, b):
    return abs(a - b).max()


def howard_march(values, out, steps, boundary, shift, k, d, tolerance, most):
    n, total = values.size, 0
    line = (1, n, 1)
    out[:] = values
    for _ in range(steps):
        old = out.copy()
        for _ in range(most):
            down, up, change = np.zeros(n), np.zeros(n), old - out
            reshaped = (a.reshape(line) for a in (down, up, change))
            policies(out.reshape(line), boundary, shift.reshape(line), k, d, *reshaped)
            change = np.linalg.solve(matrix(down, up, boundary, 1.0), change)
            out += change
            total += 1
            if abs(change).max() <= tolerance:
                break
        else:
            return -1
    return total


def combine(point, stage, other, a, c):
    point += a * other
    stage += c * other


def rosenbrock_step(u, new, point, ahead, stages, factors, down, up, boundary, shift, k, d):
    n = u.size
    line = (1, n, 1)
    reshaped = (a.reshape(line) for a in (down, up, np.zeros(n)))
    policies(u.reshape(line), boundary, shift[2].reshape(line), k, d, *reshaped)
    factor_ring(down, up, boundary, 1 / GAMMA, factors)
    dense = matrix(down, up, boundary, 1 / GAMMA)
    for s in range(6):
        point[:] = u + A[s, :s] @ stages[:s]
        ahead[:] = slopes.step(point, (1, 1, n), (1, 1, boundary), (0, 0, k), (0, 0, d), shift, slopes.FITTED)
        stages[s] = np.linalg.solve(dense, ahead - point + C[s, :s] @ stages[:s])
    new[:] = point + stages[5]
    return abs(new - point).max()


def rosenbrock_march(values, out, span, first, boundary, shift, k, d, tolerance):
    n, time, dt, counts = values.size, 0.0, first, [0, 0]
    out[:] = values
    while time < span:
        remaining = span - time
        step = dt
        if dt >= remaining:
            step = remaining
        elif dt > remaining / 2:
            step = remaining / 2
        work = [np.zeros(n) for _ in range(3)], np.zeros((6, n)), np.zeros((4, n)), np.zeros(n), np.zeros(n)
        new = work[0][0]
        error = rosenbrock_step(out, *work[0], *work[1:], boundary, shift, k * step, d * step) / tolerance
        if error > 1:
            counts[1] += 1
            dt = step * max(0.2, 0.9 * error**-0.25)
            continue
        counts[0] += 1
        time = span if step == remaining else time + step
        out[:] = new
        grown = step * (min(5, 0.9 * error**-0.25) if error > 0 else 5)
        dt = max(dt, grown) if step < dt else grown
    return dt, *counts


def policy_cases(rng):
    for _ in range(300):
        low, here, high, shift = rng.normal(size=4) * rng.choice([1, 1e50])
        yield low, here, high, shift * rng.choice([0, 1]), rng.uniform(0.01, 1), rng.choice([0, 0.01, 1, 50])


def row_cases(rng):
    for n in (1, 2, 3, 30):
        yield *rng.normal(size=(4, n)), 0.3, 0.4, np.zeros(n), np.zeros(n), rng.normal(size=n)


def policies_cases(rng):
    for shape in ((1, 2, 1), (1, 3, 1), (1, 30, 1), (3, 5, 1), (1, 4, 6), (3, 4, 5)):
        for boundary in (0, 1, 2):
            work = np.zeros(shape), np.zeros(shape), rng.normal(size=shape)
            yield rng.normal(size=shape), boundary, rng.normal(size=shape), 0.3, 0.2, *work


def lines(rng):
    """(down, up, boundary, alpha) of diagonally dominant lines, rates out of the box absent at outflow ends."""
    for n in (2, 3, 4, 5, 30, 31):
        for boundary in (0, 1, 2):
            for size in (0.0, 1.0, 1e6):
                down, up = size * rng.random((2, n))
                if boundary == 2:
                    down[0] = up[-1] = 0
                yield down, up, boundary, rng.uniform(0.5, 4)


def factor_cases(rng):
    for down, up, boundary, alpha in lines(rng):
        yield down, up, boundary, alpha, np.zeros((4, down.size))


def solve_cases(rng):
    for arguments in factor_cases(rng):
        ratio = factor_ring(*arguments)
        yield arguments[-1], ratio, rng.normal(size=arguments[0].size)


def sweep_cases(rng):
    for factors, _, x in solve_cases(rng):
        yield factors, x, rng.choice([0.0, 1e-200])


def data(rng, sizes=(2, 3, 4, 25)):
    for n in sizes:
        for boundary in (0, 1, 2):
            for viscosity in (0.0, 0.02, 5.0):
                yield rng.normal(size=n), boundary, viscosity, rng.normal(size=n) * rng.choice([0, 1])


def howard_cases(rng):
    for u, boundary, viscosity, shift in data(rng):
        yield u, np.zeros_like(u), 2, boundary, shift, 3.0, viscosity, 1e-11, 50


def rosenbrock_cases(rng):
    for u, boundary, viscosity, shift in data(rng):
        n = u.size
        work = *np.zeros((3, n)), np.zeros((6, n)), np.zeros((4, n)), np.zeros(n), np.zeros(n)
        yield u, *work, boundary, np.stack([0 * u, 0 * u, shift])[:, None], 0.2, viscosity


def march_cases(rng):
    for u, boundary, viscosity, shift in data(rng):
        shift = np.stack([0 * u, 0 * u, shift])[:, None]
        yield u, np.zeros_like(u), 0.5, 0.1, boundary, shift, 0.5, viscosity, 1e-3


def combine_cases(rng):
    yield *rng.normal(size=(3, 20)), 0.3, -2.0


TWINS = {
    "policy": (policy, policy_cases),
    "policy_row": (policy_row, row_cases),
    "policies": (policies, policies_cases),
    "factor_ring": (factor_ring, factor_cases, 1e-9),
    "sweep": (sweep, sweep_cases, 1e-8),
    "solve_ring": (solve_ring, solve_cases, 1e-8),
    "largest_change": (largest_change, lambda rng: ((rng.normal(size=n), rng.normal(size=n)) for n in (1, 5, 90))),
    "howard_march": (howard_march, howard_cases, 1e-9),
    "combine": (combine, combine_cases),
    "rosenbrock_step": (rosenbrock_step, rosenbrock_cases, 1e-8),
    "rosenbrock_march": (rosenbrock_march, march_cases, 1e-8),
}
