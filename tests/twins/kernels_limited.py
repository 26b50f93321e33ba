"""Slow, obvious twins of pdelab/kernels/limited.py: face by face, from the definitions."""

import math

import numpy as np

HEUN, THIRD = np.array([0.0, 0.5]), np.array([0.0, 3 / 4, 1 / 3])


def slope_of(below, here, above):
    """Half the smallest of twice both differences and their mean, of their sign; zero at extrema."""
    behind, ahead = here - below, above - here
    if not behind * ahead > 0:
        return 0.0
    return np.sign(ahead) * min(2 * abs(behind), 2 * abs(ahead), abs(behind + ahead) / 2) / 2


def flux_of(wind, up, down, here, there, slope, next_slope):
    carried = wind * (here + slope) if wind > 0 else wind * (there - next_slope)
    return carried + up * here - down * there


def half_slopes(slope, below, here, above):
    slope[:] = [slope_of(*row) for row in zip(below, here, above)]


def fluxes_between(flux, wind, up, down, here, there, slope, next_slope):
    flux[:] = [flux_of(*row) for row in zip(wind, up, down, here, there, slope, next_slope)]


def slopes_along(x, periodic):
    n = x.size
    inside = [periodic or 0 < i < n - 1 for i in range(n)]
    return np.array([slope_of(x[i - 1], x[i], x[(i + 1) % n]) if inside[i] else 0.0 for i in range(n)])


def line_fluxes(flux, x, wind, up, down, slope, periodic):
    slope[:] = slopes_along(x, periodic)
    fluxes_between(flux, wind, up, down, x, np.roll(x, -1), slope, np.roll(slope, -1))


def row_fluxes(flux, x, wind, up, down, slopes, periodic):
    n, inner = x.shape
    along = np.array([slopes_along(x[:, j], periodic) for j in range(inner)]).T
    for j in range(inner):
        line_fluxes(flux[:, j], x[:, j], wind[:, j], up[:, j], down[:, j], np.empty(n), periodic)
    slopes[(n - 1) & 1], slopes[n & 1] = along[n - 1], along[0]  # what is left of the last face


def limited_fluxes(flux, x, wind, up, down, periodic):
    for o in range(x.shape[0]):
        for j in range(x.shape[2]):
            line = [field[o, :, j] for field in (flux, x, wind, up, down)]
            line_fluxes(*line, np.empty(x.shape[1]), periodic)


def fall_and_spread(flux, x, away, wind, a, weights, periodic):
    there = slice(None) if periodic else slice(-1)
    rise, mean = np.roll(away, -1, 1) - away, wind * (x + np.roll(x, -1, 1)) / 2
    a = (a + np.roll(a, -1, 1)) / 2 * weights[:, None]
    falling = (mean - flux) * rise * weights[:, None]
    return falling[:, there].sum(), (a * rise**2)[:, there].sum()


def add_balance(out, flux, share):
    out += (np.roll(flux, 1, 1) - flux) * share[:, None]


def axes_of(lines, fields, shares):
    """(shape, periodic, fields, shares) of each axis."""
    begin = 0
    for axis, (outer, n, inner, periodic) in enumerate(lines):
        shape = (outer, n, inner)
        yield shape, bool(periodic), [field[axis].reshape(shape) for field in fields], shares[begin : begin + n]
        begin += n


def add_limited(out, x, dt, lines, winds, ups, downs, shares, flux):
    for shape, periodic, fields, share in axes_of(lines, (winds, ups, downs), shares):
        limited_fluxes(flux.reshape(shape), x.reshape(shape), *fields, periodic)
        add_balance(out.reshape(shape), flux.reshape(shape), dt * share)


def add_leaving(out, wind, up, down, share):
    above = 2 * np.where(wind > 0, wind, 0) + up
    below = 2 * np.where(wind < 0, -wind, 0) + down
    out += (above + np.roll(below, 1, 1)) * share[:, None]


def largest_leaving(out, lines, winds, ups, downs, shares):
    for shape, _, fields, share in axes_of(lines, (winds, ups, downs), shares):
        add_leaving(out.reshape(shape), *fields, share)
    return out.max()


def limited_march(values, out, steps, dt, kept, lines, winds, ups, downs, shares):
    x = values.copy()
    for _ in range(steps):
        y = x
        for share in kept:
            rate = np.zeros(x.size)
            add_limited(rate, y, 1.0, lines, winds, ups, downs, shares, np.empty(x.size))
            y = share * x + (1 - share) * (y + dt * rate)
        x = y
    out[:] = x


def faces(rng, shape, periodic):
    """Wind, up and down on the faces along the middle axis, some of them without wind."""
    wind = rng.normal(size=shape) * (rng.uniform(size=shape) < 0.8)
    up, down = rng.uniform(size=(2, *shape))
    if not periodic:
        wind[:, -1] = up[:, -1] = down[:, -1] = 0.0
    return wind, up, down


def blocks(rng):
    for outer, n, inner in ((1, 2, 1), (1, 3, 1), (3, 7, 1), (1, 5, 4), (2, 4, 3), (2, 2, 2), (1, 9, 2)):
        for periodic in (False, True):
            x = rng.uniform(size=(outer, n, inner)) * (rng.uniform(size=(outer, n, inner)) < 0.7)
            yield x, faces(rng, x.shape, periodic), periodic


def slope_cases(rng):
    for n in (0, 1, 5, 20):
        yield np.empty(n), *rng.integers(-3, 4, size=(3, n)).astype(float)


def flux_cases(rng):
    for n in (0, 1, 5, 20):
        yield np.empty(n), *rng.normal(size=(7, n))


def line_cases(rng):
    for x, fields, periodic in blocks(rng):
        if x.shape[2] == 1:
            yield (
                np.empty(x.shape[1]),
                x[0, :, 0].copy(),
                *(f[0, :, 0].copy() for f in fields),
                np.empty(x.shape[1]),
                periodic,
            )


def row_cases(rng):
    for x, fields, periodic in blocks(rng):
        yield np.empty(x.shape[1:]), x[0], *(f[0] for f in fields), np.empty((2, x.shape[2])), periodic


def block_cases(rng):
    for x, fields, periodic in blocks(rng):
        yield np.empty(x.shape), x, *fields, periodic


def sum_cases(rng):
    for x, (wind, up, down), periodic in blocks(rng):
        yield up, x, x - x.mean(), wind, down, rng.uniform(size=(x.shape[0], x.shape[2])), periodic


def balance_cases(rng):
    for x, fields, _ in blocks(rng):
        yield x, fields[0], rng.uniform(size=x.shape[1])


def leaving_cases(rng):
    for x, fields, _ in blocks(rng):
        yield x, *fields, rng.uniform(size=x.shape[1])


def grids(rng):
    """Values and the five arguments of a grid."""
    for shape in ((2,), (9,), (5, 4), (2, 3, 4)):
        for _ in range(3):
            lines = [
                (math.prod(shape[:k]), n, math.prod(shape[k + 1 :]), rng.integers(0, 2)) for k, n in enumerate(shape)
            ]
            fields = [faces(rng, line[:3], line[3]) for line in lines]
            stacked = (np.array([field.ravel() for field in part]) for part in zip(*fields))
            values = rng.uniform(size=math.prod(shape)) * (rng.uniform(size=math.prod(shape)) < 0.7)
            yield values, (np.array(lines), *stacked, rng.uniform(0.5, 2.0, size=sum(shape)))


def change_cases(rng):
    for values, grid in grids(rng):
        yield rng.normal(size=values.size), values, 0.1, *grid, np.empty(values.size)


def rate_cases(rng):
    for values, grid in grids(rng):
        yield values, *grid


def march_cases(rng):
    for values, grid in grids(rng):
        yield values, np.empty(values.size), int(rng.integers(0, 4)), 0.05, HEUN, *grid
        yield values, np.empty(values.size), 2, 0.05, THIRD, *grid


TWINS = {
    "half_slopes": (half_slopes, slope_cases),
    "fluxes_between": (fluxes_between, flux_cases),
    "line_fluxes": (line_fluxes, line_cases),
    "row_fluxes": (row_fluxes, row_cases),
    "limited_fluxes": (limited_fluxes, block_cases),
    "fall_and_spread": (fall_and_spread, sum_cases),
    "add_balance": (add_balance, balance_cases),
    "add_limited": (add_limited, change_cases),
    "add_leaving": (add_leaving, leaving_cases),
    "largest_leaving": (largest_leaving, rate_cases),
    "limited_march": (limited_march, march_cases),
}
