"""Fluxes of Burgers' equation p_t + (p²/2)_x = ν p_xx: explicit conservative kernels on a line.

Buffers carry two ghosts a side: images of a periodic line, odd images behind a reflecting wall (p = u_x with u even),
the edge value at an outflow end. All steps run in one call.
"""

import numpy as np
from numba import njit

from pdelab.stencils.slopes import PERIODIC, REFLECTING

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
    """The monotonised central slope of two differences (van Leer): zero at extrema, at most twice the smaller."""
    mean = 0.5 * (below + above)
    return max(min(2.0 * min(below, above), mean), 0.0) + min(max(2.0 * max(below, above), mean), 0.0)


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


@njit(cache=True, nogil=True, error_model="numpy")
def face_states(left, here, right, lower, upper, c):
    """MUSCL-Hancock: values of each cell at its lower and upper face, half a step ahead where they flow out.

    A state that flows in is not advanced: it is upwind only where p changes sign, and there it overshot.
    """
    for j in range(here.size):
        half = 0.5 * limited(here[j] - left[j], right[j] - here[j])
        lower[j] = here[j] - half * (1.0 + c * min(here[j], 0.0))
        upper[j] = here[j] + half * (1.0 - c * max(here[j], 0.0))


@njit(cache=True, nogil=True, error_model="numpy")
def second_order(out, left, here, right, lower, upper, c, d):
    """One conservative step from face states; lower and upper have one more cell a side."""
    above, below = lower[2:], upper[:-2]
    mine_low, mine_up = lower[1:-1], upper[1:-1]
    for j in range(out.size):
        step = godunov_flux(mine_up[j], above[j]) - godunov_flux(below[j], mine_low[j])
        out[j] = here[j] - c * step + d * ((left[j] - here[j]) + (right[j] - here[j]))


@njit(cache=True, nogil=True, error_model="numpy")
def burgers_march(values, out, steps, boundary, c, d, kind):
    """`steps` steps of p_t + (p²/2)_x = ν p_xx by the flux `kind`, c = dt/h, d = ν dt/h²."""
    n = values.size
    source, target = np.empty(n + 4), np.empty(n + 4)
    lower, upper = np.empty(BLOCK + 2), np.empty(BLOCK + 2)
    source[2:-2] = values
    for _ in range(steps):
        close_line(source, boundary)
        rows = source[1:-3], source[2:-2], source[3:-1]
        if kind == HIGH_RESOLUTION:
            for a in range(0, n, BLOCK):  # blocks whose face states stay in the first cache
                b = min(a + BLOCK, n)
                low, high = lower[: b - a + 2], upper[: b - a + 2]
                face_states(source[a : b + 2], source[a + 1 : b + 3], source[a + 2 : b + 4], low, high, c)
                second_order(target[a + 2 : b + 2], rows[0][a:b], rows[1][a:b], rows[2][a:b], low, high, c, d)
        else:
            first_order(target[2:-2], rows[0], rows[1], rows[2], c, d, kind)
        source, target = target, source
    out[:] = source[2:-2]
