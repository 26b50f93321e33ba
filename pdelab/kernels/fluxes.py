"""Fluxes of Burgers' equation p_t + (p²/2)_x = ν p_xx: explicit conservative kernels on a line.

Buffers carry two ghosts a side: images of a periodic line, odd images behind a reflecting wall (p = u_x with u even),
the edge value at an outflow end. All steps run in one call.
"""

import numpy as np
from numba import njit

from pdelab.kernels.slopes import PERIODIC, REFLECTING

BLOCK = 1024
GODUNOV, ENGQUIST_OSHER, RUSANOV, HIGH_RESOLUTION = 0, 1, 2, 3


@njit(cache=True, nogil=True, error_model="numpy")
def close_line(p, boundary):
    """Fill the two ghosts a side of a padded line."""
    n = p.size - 4
    for g in range(2):
        if boundary == PERIODIC:
            p[1 - g] = p[2 + (-1 - g) % n]
            p[n + 2 + g] = p[2 + g % n]
        elif boundary == REFLECTING:
            p[1 - g] = -p[2 + min(1 + g, n - 1)]
            p[n + 2 + g] = -p[2 + max(n - 2 - g, 0)]
        else:
            p[1 - g] = p[2]
            p[n + 2 + g] = p[n + 1]


@njit(cache=True, nogil=True, error_model="numpy")
def godunov_flux(left, right):
    """max((left⁺)², (right⁻)²)/2: the exact flux of the Riemann problem."""
    speed = max(max(left, -right), 0.0)
    return 0.5 * (speed * speed)


@njit(cache=True, nogil=True, error_model="numpy")
def engquist_osher_flux(left, right):
    """((left⁺)² + (right⁻)²)/2."""
    a, b = max(left, 0.0), min(right, 0.0)
    return 0.5 * (a * a + b * b)


@njit(cache=True, nogil=True, error_model="numpy")
def rusanov_flux(left, right):
    """Mean flux minus half the larger speed times the jump."""
    return 0.25 * (left * left + right * right) - 0.5 * max(abs(left), abs(right)) * (right - left)


@njit(cache=True, nogil=True, error_model="numpy")
def limited(below, above):
    """Half the monotonised central slope of two differences (van Leer): zero at extrema, at most the smaller."""
    low, high = min(below, above), max(below, above)
    return max(min(0.25 * (below + above), max(low, 0.0)), min(high, 0.0))


@njit(cache=True, nogil=True, error_model="numpy")
def first_order(out, left, here, right, c, d, kind):
    """One conservative step of a row: out = here - c (F_right - F_left) + d (left - 2 here + right), c = dt/h."""
    if kind == GODUNOV:
        for j in range(out.size):
            step = godunov_flux(here[j], right[j]) - godunov_flux(left[j], here[j])
            out[j] = here[j] - c * step + d * ((left[j] - here[j]) + (right[j] - here[j]))
    elif kind == ENGQUIST_OSHER:
        for j in range(out.size):
            step = engquist_osher_flux(here[j], right[j]) - engquist_osher_flux(left[j], here[j])
            out[j] = here[j] - c * step + d * ((left[j] - here[j]) + (right[j] - here[j]))
    else:
        for j in range(out.size):
            step = rusanov_flux(here[j], right[j]) - rusanov_flux(left[j], here[j])
            out[j] = here[j] - c * step + d * ((left[j] - here[j]) + (right[j] - here[j]))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def face_states(left, here, right, lower, upper, c):
    """MUSCL-Hancock: values of each cell at its lower and upper face, half a step ahead where they flow out.

    A state that flows in is not advanced: it is upwind only where p changes sign, and there it overshot.
    """
    for j in range(here.size):
        half, move = limited(here[j] - left[j], right[j] - here[j]), c * here[j]
        lower[j] = here[j] - half * min(1.0 + move, 1.0)
        upper[j] = here[j] + half * min(1.0 - move, 1.0)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def face_fluxes(flux, here, right, upper, lower, c, d):
    """c F - d (right - here) at the face between two cells, from the states on its two sides: Godunov's F."""
    c = 0.5 * c
    for j in range(flux.size):
        speed = max(max(upper[j], -lower[j]), 0.0)
        flux[j] = c * (speed * speed) - d * (right[j] - here[j])


@njit(cache=True, nogil=True, error_model="numpy")
def second_order(out, p, lower, upper, flux, c, d):
    """One conservative step of a row; p has two cells more a side, lower and upper (work) one, flux one more face."""
    here = p[2:-2]
    face_states(p[:-2], p[1:-1], p[2:], lower, upper, c)
    face_fluxes(flux, p[1:-2], p[2:-1], upper[:-1], lower[1:], c, d)
    into, off = flux[:-1], flux[1:]
    for j in range(out.size):
        out[j] = here[j] - (off[j] - into[j])


@njit(cache=True, nogil=True, error_model="numpy")
def burgers_march(values, out, steps, boundary, c, d, kind):
    """`steps` steps of p_t + (p²/2)_x = ν p_xx by the flux `kind`, c = dt/h, d = ν dt/h².

    The nodes of a reflecting wall hold the mean of an odd function, zero, whatever is given there.
    """
    n = values.size
    source, target = np.empty(n + 4), np.empty(n + 4)
    lower, upper, flux = np.empty(BLOCK + 2), np.empty(BLOCK + 2), np.empty(BLOCK + 1)
    for j in range(n):
        source[j + 2] = values[j]
    if boundary == REFLECTING:
        source[2] = source[n + 1] = 0.0
    for _ in range(steps):
        close_line(source, boundary)
        if kind == HIGH_RESOLUTION:
            for a in range(0, n, BLOCK):  # blocks whose face states stay in the first cache
                m = min(BLOCK, n - a)
                work = lower[: m + 2], upper[: m + 2], flux[: m + 1]
                second_order(target[a + 2 : a + m + 2], source[a : a + m + 4], work[0], work[1], work[2], c, d)
        else:
            first_order(target[2:-2], source[1:-3], source[2:-2], source[3:-1], c, d, kind)
        source, target = target, source
    for j in range(n):
        out[j] = source[j + 2]


@njit(cache=True, nogil=True, error_model="numpy")
def traffic_flux(behind, ahead, limit, next_limit):
    """min(demand behind, supply ahead) of the parabolas limit r (1 - r), r in [0, 1]: demand grows, supply falls."""
    a, b = min(behind, 0.5), max(ahead, 0.5)
    return min(limit * (a * (1.0 - a)), next_limit * (b * (1.0 - b)))


@njit(cache=True, nogil=True, error_model="numpy")
def traffic_march(values, out, steps, boundary, limits, least, d):
    """`steps` Godunov steps of r_t + (V r (1 - r))_x = ν r_xx, limits = V dt/h at the nodes, d = ν dt/h².

    least: the smallest V dt/h between each node and the next.

    A line is periodic or goes on beyond its ends with the densities and the limits there.
    """
    n = values.size
    source, target = values.copy(), np.empty(n)
    for _ in range(steps):
        low, high = (n - 1, 0) if boundary == PERIODIC else (0, n - 1)
        flux = traffic_flux(source[low], source[0], limits[low], limits[0])
        if boundary == PERIODIC:
            flux = min(flux, 0.25 * least[low])
        first = flux - d * (source[0] - source[low])
        into = first
        for j in range(n):
            k = j + 1 if j < n - 1 else high
            flux = min(traffic_flux(source[j], source[k], limits[j], limits[k]), 0.25 * least[j])
            off = flux - d * (source[k] - source[j])
            target[j] = source[j] - (off - into)
            into = off
        source, target = target, source
    for j in range(n):
        out[j] = source[j]
