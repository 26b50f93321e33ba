"""Slow, obvious twins of pdelab/kernels/fluxes.py: face by face, from the definitions."""

import numpy as np

PERIODIC, REFLECTING, OUTFLOW = 0, 1, 2
GODUNOV, ENGQUIST_OSHER, RUSANOV, HIGH_RESOLUTION = 0, 1, 2, 3


def extended(p, boundary):
    """The line with two ghosts a side."""
    n = p.size
    if boundary == PERIODIC:
        return np.array([p[i % n] for i in range(-2, n + 2)])
    if boundary == OUTFLOW:
        return np.array([p[min(max(i, 0), n - 1)] for i in range(-2, n + 2)])
    low = [-p[min(2, n - 1)], -p[min(1, n - 1)]]
    return np.array([*low, *p, -p[max(n - 2, 0)], -p[max(n - 3, 0)]])


def close_line(p, boundary):
    p[:] = extended(p[2:-2], boundary)


def godunov_flux(left, right):
    """p²/2 at the state on the line x = 0 of the Riemann problem."""
    if left > right:
        state = left if left + right > 0 else right
    else:
        state = min(max(0.0, left), right)
    return state * state / 2


def engquist_osher_flux(left, right):
    return (max(left, 0.0) ** 2 + min(right, 0.0) ** 2) / 2


def rusanov_flux(left, right):
    return (left**2 / 2 + right**2 / 2) / 2 - max(abs(left), abs(right)) * (right - left) / 2


def limited(below, above):
    if (below > 0) != (above > 0) or 0 in (below, above):
        return 0.0
    return np.sign(below) * min(abs(below), abs(above), abs(below + above) / 4)


FLUXES = {GODUNOV: godunov_flux, ENGQUIST_OSHER: engquist_osher_flux, RUSANOV: rusanov_flux}


def first_order(out, left, here, right, c, d, kind):
    flux = FLUXES[kind]
    for j in range(out.size):
        out[j] = here[j] - c * (flux(here[j], right[j]) - flux(left[j], here[j]))
        out[j] += d * (left[j] - 2 * here[j] + right[j])


def face_states(left, here, right, lower, upper, c):
    """Half a step of p_t = -p p_x at the face the cell flows out of."""
    for j in range(here.size):
        slope = 2 * limited(here[j] - left[j], right[j] - here[j])
        change = c / 2 * here[j] * slope
        upper[j] = here[j] + slope / 2 - (change if here[j] > 0 else 0)
        lower[j] = here[j] - slope / 2 - (change if here[j] < 0 else 0)


def face_fluxes(flux, here, right, upper, lower, c, d):
    for j in range(flux.size):
        flux[j] = c * godunov_flux(upper[j], lower[j]) - d * (right[j] - here[j])


def second_order(out, p, lower, upper, flux, c, d):
    face_states(p[:-2], p[1:-1], p[2:], lower, upper, c)
    face_fluxes(flux, p[1:-2], p[2:-1], upper[:-1], lower[1:], c, d)
    for j in range(out.size):
        step = godunov_flux(upper[j + 1], lower[j + 2]) - godunov_flux(upper[j], lower[j + 1])
        out[j] = p[j + 2] - c * step + d * (p[j + 1] - 2 * p[j + 2] + p[j + 3])


def burgers_march(values, out, steps, boundary, c, d, kind):
    p = values.copy()
    if boundary == REFLECTING:
        p[[0, -1]] = 0.0
    for _ in range(steps):
        e, new = extended(p, boundary), np.empty_like(p)
        if kind == HIGH_RESOLUTION:
            second_order(new, e, np.empty(p.size + 2), np.empty(p.size + 2), np.empty(p.size + 1), c, d)
        else:
            first_order(new, e[1:-3], e[2:-2], e[3:-1], c, d, kind)
        p = new
    out[:] = p


def traffic_flux(behind, ahead, limit, next_limit):
    flow = lambda r, v: v * r * (1 - r)  # noqa: E731
    demand = flow(behind, limit) if behind < 0.5 else limit / 4
    supply = flow(ahead, next_limit) if ahead > 0.5 else next_limit / 4
    return demand if demand < supply else supply


def traffic_march(values, out, steps, boundary, limits, least, d):
    r = values.copy()
    for _ in range(steps):
        wrap = "wrap" if boundary == PERIODIC else "edge"
        e, v = np.pad(r, 1, mode=wrap), np.pad(limits, 1, mode=wrap)
        faces = np.array([traffic_flux(*e[j : j + 2], *v[j : j + 2]) for j in range(r.size + 1)])
        most = np.append(least[-1] if boundary == PERIODIC else np.inf, least) / 4
        faces = np.minimum(faces, most)
        r = r - np.diff(faces) + d * np.diff(e, 2)
    out[:] = r


def density_cases(rng):
    for _ in range(100):
        yield (*rng.choice([0.0, 0.5, 1.0, *rng.random(3)], size=2), *rng.choice([0.0, 1.0, rng.random()], size=2))


def traffic_cases(rng):
    for n in (1, 2, 3, 40):
        for boundary in (PERIODIC, OUTFLOW):
            limits, least = 0.6 * rng.random((2, n))
            yield rng.random(n), np.empty(n), int(rng.integers(1, 9)), boundary, limits, least, 0.1


def lines(rng):
    for n in (1, 2, 3, 5, 40):
        yield rng.normal(size=n)
        yield np.full(n, -0.3)
        yield 1e30 * rng.normal(size=n)
        yield 1e-310 * rng.integers(-9, 9, size=n)


def close_cases(rng):
    for p in lines(rng):
        for boundary in (PERIODIC, REFLECTING, OUTFLOW):
            yield np.concatenate([[np.nan] * 2, p, [np.nan] * 2]), boundary


def pair_cases(rng):
    for _ in range(300):
        yield tuple(rng.normal(size=2) * rng.choice([0, 1, 1e100, 1e-140], size=2))


def row_cases(rng):
    for here in lines(rng):
        for kind in (GODUNOV, ENGQUIST_OSHER, RUSANOV):
            yield np.zeros(here.size), rng.normal(size=here.size), here, rng.normal(size=here.size), 0.3, 0.2, kind


def state_cases(rng):
    for here in lines(rng):
        n = here.size
        yield rng.normal(size=n), here, rng.normal(size=n), np.zeros(n), np.zeros(n), 0.4


def flux_cases(rng):
    for here in lines(rng):
        yield np.zeros(here.size), here, *rng.normal(size=(3, here.size)), 0.3, 0.1


def second_cases(rng):
    for p in lines(rng):
        n = p.size
        e = extended(p, OUTFLOW) + rng.choice([0.0, 1e-310, 0.1]) * rng.normal(size=n + 4)
        yield np.zeros(n), e, *np.zeros((2, n + 2)), np.zeros(n + 1), 0.3 / max(abs(e).max(), 1e-300), 0.1


def march_cases(rng):
    for p in lines(rng):
        for boundary in (PERIODIC, REFLECTING, OUTFLOW):
            for kind in range(4):
                c = 0.4 / max(abs(p).max(), 1e-300)
                yield p, np.zeros_like(p), int(rng.integers(0, 4)), boundary, c, 0.1, kind
    yield rng.normal(size=2100), np.zeros(2100), 2, PERIODIC, 0.1, 0.0, HIGH_RESOLUTION


TWINS = {
    "close_line": (close_line, close_cases),
    "godunov_flux": (godunov_flux, pair_cases),
    "engquist_osher_flux": (engquist_osher_flux, pair_cases),
    "rusanov_flux": (rusanov_flux, pair_cases),
    "limited": (limited, pair_cases),
    "first_order": (first_order, row_cases),
    "face_states": (face_states, state_cases),
    "face_fluxes": (face_fluxes, flux_cases),
    "second_order": (second_order, second_cases),
    "burgers_march": (burgers_march, march_cases),
    "traffic_flux": (traffic_flux, density_cases),
    "traffic_march": (traffic_march, traffic_cases),
}
