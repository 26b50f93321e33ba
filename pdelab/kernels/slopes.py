"""Upwind slopes: explicit kernels for Hamilton-Jacobi and Burgers on flat arrays.

A grid of one to three dimensions is seen as (n0, n1, n2) with leading ones; `boundary` holds one code an axis
(PERIODIC, REFLECTING, OUTFLOW). All steps run in one call, on two buffers.
"""

import numpy as np
from numba import njit

PERIODIC, REFLECTING, OUTFLOW = 0, 1, 2
GODUNOV, ENGQUIST_OSHER, FITTED = 0, 1, 2
BLOCK = 4096  # cells handled as one vector: long enough to hide the edges of short rows, short enough for the cache


@njit(cache=True, nogil=True, error_model="numpy")
def neighbours(i, n, boundary):
    """Indices of the two neighbours of node i, and 0.0 where the normal second difference is dropped (outflow ends).

    A reflecting end sees its mirror image, an outflow end sees itself (without drift: with it see `beyond`).
    """
    low, high, inner = i - 1, i + 1, 1.0
    if i == 0:
        low = n - 1 if boundary == PERIODIC else min(1, n - 1) if boundary == REFLECTING else 0
    if i == n - 1:
        high = 0 if boundary == PERIODIC else max(n - 2, 0) if boundary == REFLECTING else n - 1
    if boundary == OUTFLOW and (i == 0 or i == n - 1):
        inner = 0.0
    return low, high, inner


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def godunov(step, low, here, high, k, d):
    """`step` and the increment d (low - 2 here + high) - k max(p-^+, p+^-)^2 of one axis; k = dt/(2h²), d = ν dt/h²."""
    below, above = low - here, high - here
    fall = min(min(below, above), 0.0)
    return (step + d * (below + above)) - (k * fall) * fall


@njit(cache=True, nogil=True, error_model="numpy")
def upwind(low, here, high, shift, k, d, both):
    """Increment of one axis with the Hamiltonian (p - b)²/2 - b²/2, shift = h b.

    both = 0: Godunov, the larger of the two upwind slopes; both = 1: Engquist-Osher, the sum of their squares.
    """
    left = max((here - low) - shift, 0.0)
    right = max((here - high) + shift, 0.0)
    more, less = max(left, right), min(left, right)
    return d * ((low - here) + (high - here)) - k * (more * more + both * (less * less) - shift * shift)


@njit(cache=True, nogil=True, error_model="numpy")
def fitted(low, here, high, shift, k, d):
    """Increment of one axis, central where the viscosity is resolved: min over speeds q of the upwind-fitted operators.

    (p - b)²/2 - b²/2 = max_q (q p - (q + b)²/2); for each q the operator ν u_xx - q u_x is central if |q| h <= 2ν and
    upwind with the viscosity |q| h/2 otherwise, monotone in both cases. The three candidates are the minima over
    |Q| <= d/k, Q >= d/k and Q <= -d/k, where Q = h q and d/k = 2ν.
    """
    below, above, critical = low - here, high - here, d / k
    q = min(max((high - low) * 0.5 - shift, -critical), critical)
    left = max(-below - shift, critical)
    right = max(shift - above, critical)
    central = d * (below + above) + k * (q * (below - above) + (q + shift) * (q + shift))
    from_left = k * (2.0 * left * below + (left + shift) * (left + shift))
    from_right = k * (2.0 * right * above + (shift - right) * (shift - right))
    return min(central, min(from_left, from_right))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def cells(values, start, stop, out, at, offsets, k, d):
    """One Godunov step of the cells [start, stop) of `values`, none at an end of the last axis, to out[at:].

    offsets: distances to the neighbours below and above along axes 1 and 0; k, d: coefficients of the three axes.
    """
    here, left, right = values[start:stop], values[start - 1 : stop - 1], values[start + 1 : stop + 1]
    target = out[at : at + stop - start]
    a, b, e, f = offsets
    k0, k1, k2 = k
    d0, d1, d2 = d
    if a == 0 and b == 0 and e == 0 and f == 0:
        for j in range(target.size):
            target[j] = here[j] + godunov(0.0, left[j], here[j], right[j], k2, d2)
        return
    low, high = values[start + a : stop + a], values[start + b : stop + b]
    if e == 0 and f == 0:
        for j in range(target.size):
            step = godunov(0.0, left[j], here[j], right[j], k2, d2)
            target[j] = here[j] + godunov(step, low[j], here[j], high[j], k1, d1)
        return
    back, front = values[start + e : stop + e], values[start + f : stop + f]
    for j in range(target.size):
        step = godunov(0.0, left[j], here[j], right[j], k2, d2)
        step = godunov(step, low[j], here[j], high[j], k1, d1)
        target[j] = here[j] + godunov(step, back[j], here[j], front[j], k0, d0)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def ends(values, start, count, n, out, at, boundary, offsets, k, d):
    """One Godunov step of the two end cells of `count` adjacent rows of n cells from `start`, to out[at:]."""
    a, b, e, f = offsets
    k0, k1, k2 = k
    d0, d1, d2 = d
    for j in (0, n - 1):
        low, high, inner = neighbours(j, n, boundary)
        kept = inner * d2
        for first in range(0, count * n, n):
            row = start + first
            cell = row + j
            here = values[cell]
            step = godunov(0.0, values[row + low], here, values[row + high], k2, kept)
            step = godunov(step, values[cell + a], here, values[cell + b], k1, d1)
            out[at + first + j] = here + godunov(step, values[cell + e], here, values[cell + f], k0, d0)


@njit(cache=True, nogil=True, error_model="numpy")
def rows(values, start, count, n, out, at, boundary, offsets, k, d):
    """One Godunov step of `count` adjacent rows of n cells with the same offsets."""
    cells(values, start + 1, start + count * n - 1, out, at + 1, offsets, k, d)
    ends(values, start, count, n, out, at, boundary, offsets, k, d)


@njit(cache=True, nogil=True, error_model="numpy")
def plane(values, start, out, at, first, last, shape, boundary, back, front, k, d):
    """One Godunov step of the rows first <= i < last of the plane that begins at values[start], to out[at:].

    back, front: distances to the planes around it.
    """
    _, n1, n2 = shape
    block = max(1, BLOCK // n2)
    i = first
    while i < last:
        low, high, inner = neighbours(i, n1, boundary[1])
        count = 1 if i == 0 or i == n1 - 1 else min(block, min(last, n1 - 1) - i)
        offsets = ((low - i) * n2, (high - i) * n2, back, front)
        kept = (d[0], inner * d[1], d[2])
        rows(values, start + i * n2, count, n2, out, at + i * n2, boundary[2], offsets, k, kept)
        i += count


@njit(cache=True, nogil=True, error_model="numpy")
def godunov_step(values, out, first, last, shape, boundary, k, d):
    """One explicit Godunov step of the slabs first <= h < last, from `values` to `out` (flat arrays of the grid).

    A slab is a plane in three dimensions, a row in two.
    """
    n0, n1, n2 = shape
    size = n1 * n2
    if n0 == 1:
        plane(values, 0, out, 0, first, last, shape, boundary, 0, 0, k, d)
        return
    for h in range(first, last):
        back, front, inner = neighbours(h, n0, boundary[0])
        kept = (inner * d[0], d[1], d[2])
        around = (back - h) * size, (front - h) * size
        plane(values, h * size, out, h * size, 0, n1, shape, boundary, around[0], around[1], k, kept)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def godunov_line(values, out, work, steps, boundary, k, d):
    """`godunov_march` in one dimension, where a step is so short that every test counts."""
    last = values.size - 1
    below, above, inner = neighbours(0, last + 1, boundary)
    under, over, kept = neighbours(last, last + 1, boundary)
    source = values
    target, other = (out, work) if steps % 2 == 1 else (work, out)
    for _ in range(steps):
        left, here, right, new = source[:-2], source[1:-1], source[2:], target[1:-1]
        for j in range(new.size):
            new[j] = here[j] + godunov(0.0, left[j], here[j], right[j], k, d)
        target[0] = source[0] + godunov(0.0, source[below], source[0], source[above], k, inner * d)
        target[last] = source[last] + godunov(0.0, source[under], source[last], source[over], k, kept * d)
        source = target
        target, other = other, target


@njit(cache=True, nogil=True, error_model="numpy")
def godunov_march(values, out, work, steps, shape, boundary, k, d):
    """`steps` Godunov steps of u_t = -|Du|²/2 + ν Δu; the result is in `out`, `values` stays as it is.

    values, out, work: flat arrays of n0 n1 n2 numbers; shape, k, d: three numbers an axis, k = dt/(2h²), d = ν dt/h².
    """
    if shape[0] * shape[1] == 1:
        godunov_line(values, out, work, steps, boundary[2], k[2], d[2])
        return
    source, slabs = values, shape[0] if shape[0] > 1 else shape[1]
    target, other = (out, work) if steps % 2 == 1 else (work, out)
    for _ in range(steps):
        godunov_step(source, target, 0, slabs, shape, boundary, k, d)
        source = target
        target, other = other, target


@njit(cache=True, nogil=True, error_model="numpy")
def beyond(low, here, high, shift, first, last):
    """The two neighbours of a row; beyond the first or the last row of an outflow axis `here` with the slope b.

    There (p - b)²/2 - b²/2 is least: nothing comes in from beyond, whichever way the drift goes. shift = h b.
    """
    return (here - shift if first else low), (here + shift if last else high)


@njit(cache=True, nogil=True, error_model="numpy")
def add_axis(out, low, here, high, shift, k, d, kind):
    """Add the increment of one axis to a row; kind is GODUNOV, ENGQUIST_OSHER or FITTED."""
    if kind == FITTED:
        for j in range(out.size):
            out[j] += fitted(low[j], here[j], high[j], shift[j], k, d)
    else:
        for j in range(out.size):
            out[j] += upwind(low[j], here[j], high[j], shift[j], k, d, kind)


@njit(cache=True, nogil=True, error_model="numpy")
def upwind_step(values, out, first, last, shape, boundary, k, d, shift, kind):
    """One explicit step with drift of the rows first <= row < last of the n0 n1 rows, axis by axis within a row.

    shift (3, rows, n2) holds h_i b_i; one row if it is 0.
    """
    n0, n1, n2 = shape
    u, target = values.reshape(n0 * n1, n2), out.reshape(n0 * n1, n2)
    for row in range(first, last):
        h, i = row // n1, row % n1
        here, new, r = u[row], target[row], min(row, shift.shape[1] - 1)
        for j in range(n2):
            new[j] = here[j]
        if n0 > 1:
            back, front, inner = neighbours(h, n0, boundary[0])
            low, high = beyond(u[back * n1 + i], here, u[front * n1 + i], shift[0, r], back == h, front == h)
            add_axis(new, low, here, high, shift[0, r], k[0], inner * d[0], kind)
        if n1 > 1:
            left, right, inner = neighbours(i, n1, boundary[1])
            low, high = beyond(u[h * n1 + left], here, u[h * n1 + right], shift[1, r], left == i, right == i)
            add_axis(new, low, here, high, shift[1, r], k[1], inner * d[1], kind)
        add_axis(new[1:-1], here[:-2], here[1:-1], here[2:], shift[2, r][1:-1], k[2], d[2], kind)
        for j in (0, n2 - 1):
            left, right, inner = neighbours(j, n2, boundary[2])
            cell, b = here[j : j + 1], shift[2, r][j : j + 1]
            low, high = beyond(here[left : left + 1], cell, here[right : right + 1], b, left == j, right == j)
            add_axis(new[j : j + 1], low, cell, high, b, k[2], inner * d[2], kind)


@njit(cache=True, nogil=True, error_model="numpy")
def upwind_march(values, out, work, steps, shape, boundary, k, d, shift, kind):
    """`steps` steps of u_t = -|Du|²/2 + b·Du + ν Δu by the scheme `kind`."""
    source = values
    target, other = (out, work) if steps % 2 == 1 else (work, out)
    for _ in range(steps):
        upwind_step(source, target, 0, shape[0] * shape[1], shape, boundary, k, d, shift, kind)
        source = target
        target, other = other, target


@njit(cache=True, nogil=True, error_model="numpy")
def image(i, n, boundary):
    """(j, m, w): the value at node i of [-3, n + 3) is u_j + w (u_j - u_m); linear continuation at outflow ends."""
    if boundary == PERIODIC:
        return i % n, 0, 0.0
    if boundary == REFLECTING:
        period = max(2 * (n - 1), 1)
        j = i % period
        return (j if j < n else period - j), 0, 0.0
    j = min(max(i, 0), n - 1)
    return j, (min(1, n - 1) if i < 0 else max(n - 2, 0)), float(abs(i - j))


@njit(cache=True, nogil=True, error_model="numpy")
def pad(values, padded, first, last, shape, boundary):
    """Copy the flat `values` into `padded`, three ghosts a side along each axis with more than one node; no corners.

    Only the rows first <= row < last of `padded`, counted over its first two axes.
    """
    n0, n1, n2 = shape
    g0, g1 = (padded.shape[0] - n0) // 2, (padded.shape[1] - n1) // 2
    u = values.reshape(n0, n1, n2)
    for line in range(first, last):
        a, b = line // padded.shape[1], line % padded.shape[1]
        row, (h, h2, w0), (i, i2, w1) = padded[a, b], image(a - g0, n0, boundary[0]), image(b - g1, n1, boundary[1])
        if w0 == 0.0 and w1 == 0.0:
            for j in range(n2):
                row[j + 3] = u[h, i, j]
        else:
            for j in range(n2):
                row[j + 3] = u[h, i, j] + w0 * (u[h, i, j] - u[h2, i, j]) + w1 * (u[h, i, j] - u[h, i2, j])
        for j in (-3, -2, -1, n2, n2 + 1, n2 + 2):
            k, k2, w2 = image(j, n2, boundary[2])
            row[j + 3] = row[k + 3] + w2 * (row[k + 3] - row[k2 + 3])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def weno(a, b, c, d, e, small):
    """(n, m, p, q): n/m and p/q are 3 Φ(a, b, c, d) and 3 Φ(e, d, c, b) of five second differences.

    The fifth-order one-sided slopes are the central slope -Φ(a, b, c, d)/h and +Φ(e, d, c, b)/h (Jiang, Peng 2000). The
    weights 1, 6, 3 over the squared smoothness plus `small` become one fraction; both sides share what they can.
    """
    w, x, y, z = b - a, c - b, d - c, e - d
    middle, low, high = 0.25 * (y - x), small + 13.0 * (x * x), small + 13.0 * (y * y)
    s1, s2, s3 = a - 3.0 * b, b + c, 3.0 * c - d
    s1, s2, s3 = small + 13.0 * (w * w) + 3.0 * (s1 * s1), low + 3.0 * (s2 * s2), high + 3.0 * (s3 * s3)
    s1, s2, s3 = s1 * s1, s2 * s2, s3 * s3
    first = s2 * s3
    most, last = first + 6.0 * (s1 * s3), s1 * s2
    t1, t2, t3 = e - 3.0 * d, d + c, 3.0 * c - b
    t1, t2, t3 = small + 13.0 * (z * z) + 3.0 * (t1 * t1), high + 3.0 * (t2 * t2), low + 3.0 * (t3 * t3)
    t1, t2, t3 = t1 * t1, t2 * t2, t3 * t3
    mirrored = t2 * t3
    rest, end = mirrored + 6.0 * (t1 * t3), t1 * t2
    n = first * (x - w) + (3.0 * last - most) * middle
    p = mirrored * (z - y) + (3.0 * end - rest) * middle
    return n, 3.0 * last + most, p, 3.0 * end + rest


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def weno_axis(out, a, b, c, here, e, f, g, shift, k, unit):
    """Add -k max(p⁻⁺, p⁺⁻)² of one axis to a row, WENO5 slopes; a ... g are the rows of the seven nodes.

    unit: the size of the differences, against which the smoothness is measured.
    """
    k, small = k / 9.0, 1.2e-5 * unit * unit
    for j in range(out.size):
        d1, d2, d3 = b[j] - a[j], c[j] - b[j], here[j] - c[j]
        d4, d5, d6 = e[j] - here[j], f[j] - e[j], g[j] - f[j]
        n, m, p, q = weno(d2 - d1, d3 - d2, d4 - d3, d5 - d4, d6 - d5, small)
        drift = 3.0 * shift[j]
        central = 1.75 * (d3 + d4) - 0.25 * (d2 + d5) - drift
        steepest = max(max(central - n / m, -central - p / q), 0.0)
        out[j] -= k * (steepest * steepest - drift * drift)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def bend_axis(out, a, b, c, here, e, f, g, d):
    """Add d δ² of one axis to a row, δ² the sixth-order second difference of the seven nodes."""
    d = d / 180.0
    for j in range(out.size):
        far, near = (a[j] - here[j]) + (g[j] - here[j]), (b[j] - here[j]) + (f[j] - here[j])
        out[j] += d * (2.0 * far - 27.0 * near + 270.0 * ((c[j] - here[j]) + (e[j] - here[j])))


@njit(cache=True, nogil=True, error_model="numpy")
def seven(out, a, b, c, here, e, f, g, shift, k, d, unit):
    """Both terms of one axis."""
    weno_axis(out, a, b, c, here, e, f, g, shift, k, unit)
    if d > 0.0:
        bend_axis(out, a, b, c, here, e, f, g, d)


@njit(cache=True, nogil=True, error_model="numpy")
def mix(out, a, u, b, v, rate):
    """out = a u + b (v + rate), where out may be any of them."""
    for j in range(out.size):
        out[j] = a * u[j] + b * (v[j] + rate[j])


@njit(cache=True, nogil=True, error_model="numpy")
def weno_stage(padded, out, a, u, b, first, last, shape, k, d, shift, unit):
    """out = a u + b (v + rate of v), v in `padded`, in the rows first <= row < last: one Runge-Kutta stage.

    The rate is that of all axes, WENO5 slopes and sixth-order second differences.
    """
    n0, n1, n2 = shape
    g0, g1 = (padded.shape[0] - n0) // 2, (padded.shape[1] - n1) // 2
    rate = np.empty(n2)
    for row in range(first, last):
        x, y = row // n1 + g0, row % n1 + g1
        r, v = min(row, shift.shape[1] - 1), padded[x, y]
        rate[:] = 0.0
        seven(rate, v, v[1:], v[2:], v[3:], v[4:], v[5:], v[6:], shift[2, r], k[2], d[2], unit[2])
        if n1 > 1:
            p, q, s, t = padded[x, y - 3], padded[x, y - 2], padded[x, y - 1], padded[x, y + 1]
            w, z = padded[x, y + 2], padded[x, y + 3]
            seven(rate, p[3:], q[3:], s[3:], v[3:], t[3:], w[3:], z[3:], shift[1, r], k[1], d[1], unit[1])
        if n0 > 1:
            p, q, s, t = padded[x - 3, y], padded[x - 2, y], padded[x - 1, y], padded[x + 1, y]
            w, z = padded[x + 2, y], padded[x + 3, y]
            seven(rate, p[3:], q[3:], s[3:], v[3:], t[3:], w[3:], z[3:], shift[0, r], k[0], d[0], unit[0])
        here = slice(row * n2, row * n2 + n2)
        mix(out[here], a, u[here], b, v[3:], rate)


@njit(cache=True, nogil=True, error_model="numpy")
def keep_close(high, low, threshold):
    """high = low + S(high - low), Froese and Oberman's filter: S(x) = x up to the threshold, 0 from its double on."""
    for j in range(high.size):
        x = high[j] - low[j]
        size = max(min(abs(x), 2.0 * threshold - abs(x)), 0.0)
        high[j] = low[j] + (size if x > 0.0 else -size)


@njit(cache=True, nogil=True, error_model="numpy")
def weno_march(values, out, stage, padded, steps, shape, boundary, k, d, shift, unit, threshold, kind):
    """`steps` WENO5 steps with the strong-stability-preserving Runge-Kutta method of order three (Shu, Osher 1988).

    A finite threshold (per step) keeps each step that close to the monotone step of scheme `kind`.
    """
    for j in range(out.size):
        out[j] = values[j]
    rows, lines, filtered = shape[0] * shape[1], padded.shape[0] * padded.shape[1], threshold < np.inf
    for _ in range(steps):
        pad(out, padded, 0, lines, shape, boundary)
        weno_stage(padded, stage, 0.0, out, 1.0, 0, rows, shape, k, d, shift, unit)
        pad(stage, padded, 0, lines, shape, boundary)
        weno_stage(padded, stage, 0.75, out, 0.25, 0, rows, shape, k, d, shift, unit)
        pad(stage, padded, 0, lines, shape, boundary)
        if filtered:
            upwind_step(out, stage, 0, rows, shape, boundary, k, d, shift, kind)
        weno_stage(padded, out, 1.0 / 3.0, out, 2.0 / 3.0, 0, rows, shape, k, d, shift, unit)
        if filtered:
            keep_close(out, stage, threshold)


@njit(cache=True, nogil=True, error_model="numpy")
def widen(lanes, a, b):
    """lanes[j] = max(lanes[j], |a - b| over the j-th residue class): a maximum that vectorises without fast-math."""
    for start in range(0, a.size, lanes.size):
        stop = min(start + lanes.size, a.size)
        best, left, right = lanes[: stop - start], a[start:stop], b[start:stop]
        for j in range(best.size):
            best[j] = max(best[j], abs(left[j] - right[j]))


@njit(cache=True, nogil=True, error_model="numpy")
def largest_differences(values, shape, boundary):
    """Largest |difference| of neighbours along each of the three axes, shape (3,), without temporaries."""
    n0, n1, n2 = shape
    size = n1 * n2
    lanes, last = np.zeros((3, 64 if n0 * n1 == 1 else 512)), values[values.size - size :]
    for h in range(n0):
        u = values[h * size : (h + 1) * size]
        for row in range(0, size, n2):
            widen(lanes[2], u[row + 1 : row + n2], u[row : row + n2 - 1])
            if boundary[2] == PERIODIC:
                lanes[2, 0] = max(lanes[2, 0], abs(u[row] - u[row + n2 - 1]))
        widen(lanes[1], u[n2:], u[:-n2])
        if boundary[1] == PERIODIC:
            widen(lanes[1], u[:n2], u[size - n2 :])
        if h > 0 or boundary[0] == PERIODIC:
            widen(lanes[0], u, last)
        last = u
    return np.array([lanes[0].max(), lanes[1].max(), lanes[2].max()])
