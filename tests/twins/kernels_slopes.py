"""Slow, obvious twins of pdelab/kernels/slopes.py: one node after the other, one axis after the other."""

import itertools

import numpy as np

PERIODIC, REFLECTING, OUTFLOW = 0, 1, 2
FITTED = 2
SHAPES = [(1, 1, 1), (1, 1, 2), (1, 1, 3), (1, 1, 70), (1, 2, 2), (1, 3, 5), (1, 4, 17), (2, 2, 2), (3, 4, 18)]
REAL = SHAPES[1:]  # an axis that is there has two nodes or more


def neighbours(i, n, boundary):
    image = {PERIODIC: lambda j: j % n, REFLECTING: lambda j: mirrored(j, n), OUTFLOW: lambda j: min(max(j, 0), n - 1)}
    end = i in (0, n - 1)
    return image[boundary](i - 1), image[boundary](i + 1), 0.0 if boundary == OUTFLOW and end else 1.0


def mirrored(j, n):
    if n == 1:
        return 0
    return -j if j < 0 else 2 * (n - 1) - j if j >= n else j


def godunov(step, low, here, high, k, d):
    steepest = max(here - low, here - high, 0.0)
    return step + d * (low - 2 * here + high) - k * steepest**2


def upwind(low, here, high, shift, k, d, both):
    left, right = max(here - low - shift, 0.0), max(here - high + shift, 0.0)
    square = left**2 + right**2 if both else max(left, right) ** 2
    return d * (low - 2 * here + high) - k * (square - shift**2)


def fitted(low, here, high, shift, k, d):
    """The smallest of the controlled operators over a fine choice of scaled speeds Q, each of them monotone."""
    below, above, critical = low - here, high - here, d / k
    best = np.inf
    natural = [(high - low) / 2 - shift, -below - shift, above - shift]
    for Q in [*natural, -critical, critical, 0.0]:
        rate = max(d, k * abs(Q))
        best = min(best, (rate + k * Q) * below + (rate - k * Q) * above + k * (Q + shift) ** 2)
    return best


def increment(low, here, high, shift, k, d, kind):
    return fitted(low, here, high, shift, k, d) if kind == FITTED else upwind(low, here, high, shift, k, d, kind)


def nodes_and_neighbours(shape, boundary):
    for node in itertools.product(*map(range, shape)):
        triples = []
        for axis, (i, n, name) in enumerate(zip(node, shape, boundary)):
            low, high, inner = neighbours(i, n, name)
            there = [tuple(j if a == axis else m for a, m in enumerate(node)) for j in (low, high)]
            triples.append((*there, inner))
        yield node, triples


def step(values, shape, boundary, k, d, shift=None, kind=0):
    u = values.reshape(shape)
    new = u.copy()
    drift = np.zeros((3, *shape)) if shift is None else full_shift(shift, shape)
    for node, triples in nodes_and_neighbours(shape, boundary):
        for axis, (low, high, inner) in enumerate(triples):
            if shape[axis] == 1:
                continue
            b = drift[axis][node]
            below, above = beyond(u[low], u[node], u[high], b, low == node, high == node)
            new[node] += increment(below, u[node], above, b, k[axis], inner * d[axis], kind)
    return new.ravel()


def full_shift(shift, shape):
    return np.broadcast_to(shift, (3, shape[0] * shape[1], shape[2])).reshape(3, *shape)


def godunov_step(values, out, first, last, shape, boundary, k, d):
    """Slabs are planes, or rows of the only plane."""
    slabs = shape[0] if shape[0] > 1 else shape[1]
    out.reshape(slabs, -1)[first:last] = step(values, shape, boundary, k, d).reshape(slabs, -1)[first:last]


def rows(values, start, count, n, out, at, boundary, offsets, k, d):
    for row in range(count):
        p, q = start + row * n, at + row * n
        cells(values, p + 1, p + n - 1, out, q + 1, offsets, k, d)
        ends(values, p, 1, n, out, q, boundary, offsets, k, d)


def plane(values, start, out, at, first, last, shape, boundary, back, front, k, d):
    for i, j in itertools.product(range(first, last), range(shape[2])):
        (a, b, v), (e, f, w) = neighbours(i, shape[1], boundary[1]), neighbours(j, shape[2], boundary[2])
        p, n = start + i * shape[2] + j, shape[2]
        pairs = [(back, front), ((a - i) * n, (b - i) * n), (e - j, f - j)]
        new = values[p]
        for axis, ((low, high), inner) in enumerate(zip(pairs, (1, v, w))):
            new = godunov(new, values[p + low], values[p], values[p + high], k[axis], inner * d[axis])
        out[at + i * n + j] = new


def upwind_step(values, out, first, last, shape, boundary, k, d, shift, kind):
    new = step(values, shape, boundary, k, d, shift, kind).reshape(-1, shape[2])
    out.reshape(-1, shape[2])[first:last] = new[first:last]


def march(values, out, work, steps, *rest):
    """As the kernels do it, the last two states are left in the two buffers."""
    target, other = (out, work) if steps % 2 else (work, out)
    for _ in range(steps):
        target[:] = step(values, *rest)
        values, target, other = target, other, target


def line(values, out, work, steps, boundary, k, d):
    march(values, out, work, steps, (1, 1, values.size), (1, 1, boundary), (0, 0, k), (0, 0, d))


def cells(values, start, stop, out, at, offsets, k, d):
    for p in range(start, stop):
        pairs = [(offsets[2], offsets[3]), (offsets[0], offsets[1]), (-1, 1)]
        new = values[p]
        for axis, (low, high) in enumerate(pairs):
            if (low, high) != (0, 0):
                new = godunov(new, values[p + low], values[p], values[p + high], k[axis], d[axis])
        out[at + p - start] = new


def ends(values, start, count, n, out, at, boundary, offsets, k, d):
    for row, j in np.ndindex(count, n):
        if 0 < j < n - 1:
            continue
        p = start + row * n + j
        low, high, inner = neighbours(j, n, boundary)
        new = godunov(values[p], values[p + low - j], values[p], values[p + high - j], k[2], inner * d[2])
        new = godunov(new, values[p + offsets[0]], values[p], values[p + offsets[1]], k[1], d[1])
        new = godunov(new, values[p + offsets[2]], values[p], values[p + offsets[3]], k[0], d[0])
        out[at + row * n + j] = new


def beyond(low, here, high, shift, first, last):
    return here - shift if first else low, here + shift if last else high


def add_axis(out, low, here, high, shift, k, d, kind):
    for j in range(out.size):
        out[j] += increment(low[j], here[j], high[j], shift[j], k, d, kind)


def image(i, n, boundary):
    if boundary == PERIODIC:
        return i % n, 0, 0.0
    if boundary == REFLECTING:
        return int(np.pad(np.arange(n), 3 * n + 3, mode="reflect" if n > 1 else "edge")[i + 3 * n + 3]), 0, 0.0
    inside = min(max(i, 0), n - 1)
    return inside, min(1, n - 1) if i < 0 else max(n - 2, 0), float(abs(i - inside))


def padded_rows(u, boundary):
    """Three ghosts a side: images, or the straight line through the last two nodes."""
    n, columns = u.shape[-1], []
    for i in range(-3, n + 3):
        j, m, w = image(i, n, boundary)
        columns.append(u[..., j] + w * (u[..., j] - u[..., m]))
    return np.stack(columns, axis=-1)


def pad(values, padded, first, last, shape, boundary):
    """Continuation along the first two axes adds up in the corners; then the rows themselves."""
    every, padded = padded.reshape(-1, padded.shape[2]), np.zeros(padded.shape)
    u = values.reshape(shape)
    ghost = [3 if n > 1 else 0 for n in shape[:2]]
    for a, b in np.ndindex(padded.shape[:2]):
        (h, h2, v), (i, i2, w) = (image(m - g, n, c) for m, g, n, c in zip((a, b), ghost, shape, boundary))
        padded[a, b, 3:-3] = u[h, i] + v * (u[h, i] - u[h2, i]) + w * (u[h, i] - u[h, i2])
    every[first:last] = padded_rows(padded[:, :, 3:-3], boundary[2]).reshape(every.shape)[first:last]


def textbook(a, b, c, d, e):
    """(slope, Σα) at the right end of the third of five cells: smoothness, nonlinear weights, three parabolas."""
    smooth = (
        13 / 12 * (a - 2 * b + c) ** 2 + (a - 4 * b + 3 * c) ** 2 / 4,
        13 / 12 * (b - 2 * c + d) ** 2 + (b - d) ** 2 / 4,
        13 / 12 * (c - 2 * d + e) ** 2 + (3 * c - 4 * d + e) ** 2 / 4,
    )
    weights = np.array([0.1, 0.6, 0.3]) / (np.array(smooth) + 1e-6) ** 2
    ends = np.array([2 * a - 7 * b + 11 * c, -b + 5 * c + 2 * d, 2 * c + 5 * d - e]) / 6
    s = 12 * (np.array(smooth) + 1e-6)
    return (weights * ends).sum() / weights.sum(), 60 * np.prod(s**2) * (weights / 144).sum() / 6


def weno(a, b, c, d, e, small):
    """From six cells with these differences: 3 (central - left) and 3 (right - central), as fractions."""
    unit = np.sqrt(small / 1.2e-5)
    cells = np.cumsum(np.array([0, a, b, c, d, e]) / unit)
    central = (7 * (cells[2] + cells[3]) - cells[1] - cells[4]) / 12
    (left, m), (right, q) = textbook(*cells[:5]), textbook(*cells[:0:-1])
    m, q = m * unit**8, q * unit**8
    return np.array([3 * (central - left) * unit * m, m, 3 * (right - central) * unit * q, q])


def weno_axis(out, a, b, c, here, e, f, g, shift, k, unit):
    nodes = [a, b, c, here, e, f, g]
    for j in range(out.size):
        p = np.diff([row[j] for row in nodes]) / unit
        left, right = (textbook(*five)[0] * unit for five in (p[:5], p[:0:-1]))
        steepest = max(left - shift[j], shift[j] - right, 0)
        out[j] -= k * (steepest**2 - shift[j] ** 2)


def bend_axis(out, a, b, c, here, e, f, g, d):
    out += d * (2 * a - 27 * b + 270 * c - 490 * here + 270 * e - 27 * f + 2 * g) / 180


def seven(out, a, b, c, here, e, f, g, shift, k, d, unit):
    weno_axis(out, a, b, c, here, e, f, g, shift, k, unit)
    bend_axis(out, a, b, c, here, e, f, g, d)


def weno_stage(padded, out, a, u, b, first, last, shape, k, d, shift, unit):
    drift = full_shift(shift, shape)
    ghost = [3 if n > 1 else 0 for n in shape[:2]] + [3]
    inner = tuple(slice(g, g + n) for g, n in zip(ghost, shape))
    rate = np.zeros(shape)
    for axis in (2, 1, 0):
        if shape[axis] == 1 and axis < 2:
            continue
        for node in np.ndindex(shape):
            line = [m + g for m, g in zip(node, ghost)]
            nodes = []
            for move in range(-3, 4):
                at = list(line)
                at[axis] += move
                nodes.append(padded[tuple(at)])
            cell = np.zeros(1)
            seven(cell, *np.array(nodes)[:, None], drift[axis][node].reshape(1), k[axis], d[axis], unit[axis])
            rate[node] += cell[0]
    some = slice(first * shape[2], last * shape[2])
    mix(out[some], a, u[some], b, padded[inner].ravel()[some], rate.ravel()[some])


def mix(out, a, u, b, v, rate):
    out[:] = a * u + b * (v + rate)


def keep_close(high, low, threshold):
    for j in range(high.size):
        x = high[j] - low[j]
        if abs(x) > 2 * threshold:
            x = 0.0
        elif abs(x) > threshold:
            x = np.sign(x) * (2 * threshold - abs(x))
        high[j] = low[j] + x


def weno_march(values, out, stage, padded, steps, shape, boundary, k, d, shift, unit, threshold, kind):
    out[:] = values
    for _ in range(steps):
        source = out.copy()
        for a, b in ((0, 1), (3 / 4, 1 / 4), (1 / 3, 2 / 3)):
            pad(source, padded, 0, padded.shape[0] * padded.shape[1], shape, boundary)
            before, source = source, np.empty_like(source)
            weno_stage(padded, source, a, out, b, 0, shape[0] * shape[1], shape, k, d, shift, unit)
        stage[:] = before
        if np.isfinite(threshold):
            stage[:] = step(out, shape, boundary, k, d, shift, kind)
            keep_close(source, stage, threshold)
        out[:] = source


def widen(lanes, a, b):
    for j, (x, y) in enumerate(zip(a, b)):
        lanes[j % lanes.size] = max(lanes[j % lanes.size], abs(x - y))


def largest_differences(values, shape, boundary):
    u = values.reshape(shape)
    largest = np.zeros(3)
    for node, triples in nodes_and_neighbours(shape, boundary):
        for axis, (low, high, _) in enumerate(triples):
            largest[axis] = max(largest[axis], abs(u[node] - u[low]), abs(u[node] - u[high]))
    return largest


def fields(rng, n):
    yield rng.normal(size=n)
    yield np.full(n, 0.7)
    yield 1e30 * rng.normal(size=n)
    yield 1e-310 * rng.integers(0, 9, size=n)


def boundaries(rng):
    yield from ((b, b, b) for b in (PERIODIC, REFLECTING, OUTFLOW))
    yield tuple(int(b) for b in rng.permutation(3))


def grids(rng, shapes=SHAPES):
    for shape in shapes:
        for boundary in boundaries(rng):
            for values in fields(rng, int(np.prod(shape))):
                k, d = rng.uniform(0, 0.1, 3), rng.uniform(0, 0.1, 3)
                k[np.array(shape) == 1] = d[np.array(shape) == 1] = 0
                yield values, shape, boundary, tuple(k), tuple(d)


def shifts(rng, shape):
    yield rng.normal(size=(3, shape[0] * shape[1], shape[2])), 0
    yield np.zeros((3, 1, shape[2])), 1
    yield rng.normal(size=(3, shape[0] * shape[1], shape[2])), FITTED


def march_cases(rng):
    for values, *rest in grids(rng, REAL):
        steps = int(rng.integers(1, 4))
        yield values, np.zeros_like(values), np.zeros_like(values), steps, *rest


def line_cases(rng):
    for values, out, work, steps, shape, boundary, k, d in march_cases(rng):
        if shape[:2] == (1, 1):
            yield values, out, work, steps, boundary[2], k[2], d[2]


def upwind_march_cases(rng):
    for values, shape, *rest in grids(rng, REAL):
        for shift, kind in shifts(rng, shape):
            steps = int(rng.integers(1, 4))
            yield values, np.zeros_like(values), np.zeros_like(values), steps, shape, *rest, shift, kind


def step_cases(rng):
    for values, shape, *rest in grids(rng, REAL):
        for some in parts(rng, shape[0] if shape[0] > 1 else shape[1]):
            yield values, np.zeros_like(values), *some, shape, *rest


def parts(rng, n):
    """All of them, none, and some."""
    yield from ((0, n), (n // 2, n // 2), tuple(int(i) for i in np.sort(rng.integers(0, n + 1, 2))))


def rows_cases(rng):
    for n, count, boundary in itertools.product((2, 3, 9), (1, 3), (PERIODIC, REFLECTING, OUTFLOW)):
        for values in fields(rng, 90):
            k, d = tuple(rng.uniform(0, 0.1, 3)), tuple(rng.uniform(0, 0.1, 3))
            yield values, 30, count, n, np.zeros(50), 7, boundary, (-n, n, 2 * n, -n), k, d


def plane_cases(rng):
    for values, shape, *rest in grids(rng, REAL):
        size = shape[1] * shape[2]
        back, front = (-size, 0) if shape[0] > 1 else (0, 0)
        boundary, k, d = rest
        for some in parts(rng, shape[1]):
            yield values, (shape[0] - 1) * size, np.zeros(size + 3), 3, *some, shape, boundary, back, front, k, d


def upwind_step_cases(rng):
    for values, shape, *rest in grids(rng, REAL):
        for (shift, kind), some in zip(shifts(rng, shape), parts(rng, shape[0] * shape[1])):
            yield values, np.zeros_like(values), 0, shape[0] * shape[1], shape, *rest, shift, kind
            yield values, np.zeros_like(values), *some, shape, *rest, shift, kind


def cells_cases(rng):
    for offsets in [(0, 0, 0, 0), (-7, 7, 0, 0), (7, 7, 0, 0), (-7, 14, -21, 21), (0, 7, -21, -21)]:
        for values in fields(rng, 100):
            k, d = tuple(rng.uniform(0, 0.1, 3)), tuple(rng.uniform(0, 0.1, 3))
            yield values, 30, int(rng.integers(30, 70)), np.zeros(60), 10, offsets, k, d


def ends_cases(rng):
    for n, boundary in itertools.product((2, 3, 9), (PERIODIC, REFLECTING, OUTFLOW)):
        for values in fields(rng, 60):
            k, d = tuple(rng.uniform(0, 0.1, 3)), tuple(rng.uniform(0, 0.1, 3))
            yield values, 20, 1 + 7 // n, n, np.zeros(30), 5, boundary, (-9, 9, 0, -18), k, d


def row_cases(rng):
    for n in (1, 2, 3, 40):
        for u in fields(rng, n):
            yield np.zeros(n), rng.normal(size=n), u, rng.normal(size=n), rng.normal(size=n), 0.1, 0.2, int(n % 3)


def beyond_cases(rng):
    for first, last in itertools.product((False, True), repeat=2):
        yield *rng.normal(size=(4, 5)), first, last


def scalar_cases(count):
    def cases(rng):
        for _ in range(200):
            yield tuple(rng.normal(size=count) * rng.choice([0, 1, 1e100, 5e-324]))

    return cases


def upwind_cases(rng):
    for arguments in scalar_cases(6)(rng):
        yield *arguments, int(rng.integers(0, 2))


def fitted_cases(rng):
    for low, here, high, shift, k, d in scalar_cases(6)(rng):
        yield low, here, high, shift, abs(k) + 1e-300, rng.choice([0, 1]) * abs(d)


def neighbour_cases(rng):
    for n, boundary in itertools.product((1, 2, 3, 8), (PERIODIC, REFLECTING, OUTFLOW)):
        for i in range(n):
            yield i, n, boundary


def image_cases(rng):
    for n, boundary in itertools.product((1, 2, 3, 8), (PERIODIC, REFLECTING, OUTFLOW)):
        for i in range(-3, n + 3):
            yield i, n, boundary


def padded_shape(shape):
    return [n + 6 if n > 1 else 1 for n in shape]


def pad_cases(rng):
    for values, shape, boundary, *_ in grids(rng, REAL):
        padded = np.zeros(padded_shape(shape))
        for some in parts(rng, padded.shape[0] * padded.shape[1]):
            yield values, padded, *some, shape, boundary


def weno_cases(rng):
    for _ in range(200):
        unit = rng.choice([1e-30, 1.0, 1e30])
        yield *(rng.normal(size=5) * rng.choice([0, 1e-9, 1]) * unit), 1.2e-5 * unit**2


def weno_axis_cases(rng):
    for n in (1, 2, 3, 20):
        for size in (0.0, 1.0, 1e30):
            rows = size * rng.normal(size=(8, n))
            yield rng.normal(size=n), *rows, 0.1, size or 1.0


def bend_axis_cases(rng):
    for n in (1, 2, 3, 20):
        yield rng.normal(size=n), *rng.normal(size=(7, n)), 0.2


def seven_cases(rng):
    for d in (0.0, 0.3):
        for *rows, k, unit in weno_axis_cases(rng):
            yield *rows, k, d, unit


def weno_stage_cases(rng):
    for shape in REAL:
        padded = rng.normal(size=padded_shape(shape))
        k, d = tuple(rng.uniform(0, 0.1, 3)), tuple(rng.uniform(0, 0.1, 3))
        shift = rng.normal(size=(3, shape[0] * shape[1], shape[2]))
        out, u = np.zeros(np.prod(shape)), rng.normal(size=np.prod(shape))
        for some in parts(rng, shape[0] * shape[1]):
            yield padded, out, 0.3, u, 0.7, *some, shape, k, d, shift, (1.0, 2.0, 3.0)


def weno_march_cases(rng):
    for shape in REAL:
        n = int(np.prod(shape))
        for boundary, threshold in zip(boundaries(rng), (np.inf, 1e-3, 0.1, np.inf)):
            k, d = tuple(rng.uniform(0.01, 0.1, 3)), tuple(rng.uniform(0, 0.1, 3))
            shift = rng.normal(size=(3, shape[0] * shape[1], shape[2]))
            work = rng.normal(size=n), *np.zeros((2, n)), np.zeros(padded_shape(shape))
            yield *work, 2, shape, boundary, k, d, shift, (1.0, 1.0, 1.0), threshold, int(rng.choice([0, 2]))


def mix_cases(rng):
    u, v, w = rng.normal(size=(3, 50))
    yield np.zeros(50), 0.75, u, 0.25, v, w


def close_cases(rng):
    for threshold in (1e-9, 0.5, 1e9):
        for low in fields(rng, 60):
            yield rng.normal(size=60), low, threshold


def widen_cases(rng):
    for n in (1, 7, 64, 200):
        for u in fields(rng, n):
            yield np.zeros(16), u, rng.normal(size=n)


TWINS = {
    "neighbours": (neighbours, neighbour_cases),
    "godunov": (godunov, scalar_cases(6)),
    "upwind": (upwind, upwind_cases),
    "fitted": (fitted, fitted_cases),
    "cells": (cells, cells_cases),
    "ends": (ends, ends_cases),
    "godunov_step": (godunov_step, step_cases),
    "rows": (rows, rows_cases),
    "plane": (plane, plane_cases),
    "godunov_line": (line, line_cases),
    "godunov_march": (march, march_cases),
    "beyond": (beyond, beyond_cases),
    "add_axis": (add_axis, row_cases),
    "upwind_step": (upwind_step, upwind_step_cases),
    "upwind_march": (march, upwind_march_cases),
    "image": (image, image_cases),
    "pad": (pad, pad_cases),
    "weno": (weno, weno_cases, 1e-10),
    "weno_axis": (weno_axis, weno_axis_cases, 1e-10),
    "bend_axis": (bend_axis, bend_axis_cases, 1e-10),
    "seven": (seven, seven_cases, 1e-10),
    "weno_stage": (weno_stage, weno_stage_cases, 1e-10),
    "mix": (mix, mix_cases),
    "keep_close": (keep_close, close_cases),
    "weno_march": (weno_march, weno_march_cases, 1e-9),
    "widen": (widen, widen_cases),
    "largest_differences": (largest_differences, lambda rng: ((v, s, b) for v, s, b, *_ in grids(rng))),
}
