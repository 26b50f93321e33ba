"""Cole-Hopf of the multilinear interpolant where two or three axes are coarser than the kernel.

Along the first axis the interpolant is integrated exactly, cell by cell. What is left, v(s) between two rows, is
concave and analytic but as steep as the data jump: it is approximated on panels of each strip by polynomials in
Chebyshev points, panels are cut in two until these polynomials hold, and exp(-beta v) times the kernel is integrated
across. In three dimensions this is done twice.
"""

import math
import warnings
from dataclasses import dataclass, fields

import numpy as np

from pdelab.checks import AccuracyWarning
from pdelab.closed_forms import continuation
from pdelab.kernels import strips as kernels
from pdelab.kernels.envelopes import DEPTH

__all__ = ["Panels", "WARN_ABOVE", "chebyshev", "value"]

ACCURATE, TWICE = 1e-11, 1e-9  # error of u, relative to 1/beta or to the range of f; of the second integration
HOPELESS = 1e-2  # of beta v with nine points: the panel is cut at once
STEEP = 3e3  # range of beta v on a panel beyond which interpolation costs digits
TINY = 1e-15  # share of a panel that needs no care
WORK = {2: 4 * 10**6, 3: 6 * 10**6}  # values between rows in so many dimensions, the first round not counted
WARN_ABOVE = 1e-7  # error of u, relative likewise, from which it is warned
POINTS = 17


def chebyshev(count):
    """(points in [0, 1] as squared sines, the matrix values -> Chebyshev coefficients) of count = 2^k + 1 points."""
    n = count - 1
    k = np.arange(count)
    matrix = np.cos(np.pi * np.outer(k, n - k) / n) * (2.0 / n)
    matrix[:, [0, -1]] *= 0.5
    matrix[[0, -1]] *= 0.5
    return np.sin(np.pi * k / (2 * n)) ** 2, matrix


SINES = chebyshev(POINTS)[0]
COSINES = SINES[::-1].copy()
STAGES = {m: (chebyshev(m)[1], np.arange(0, POINTS, (POINTS - 1) // (m - 1))) for m in (5, 9, 17)}


@dataclass
class Panels:
    """Parts of strips (n,): column and strip they belong to, ends a, b, from which end of the strip these count, v.

    v (n, 17), NaN where it is not known; stage: how many of its points are to be known.
    """

    column: np.ndarray
    strip: np.ndarray
    upper: np.ndarray
    a: np.ndarray
    b: np.ndarray
    v: np.ndarray
    stage: np.ndarray

    def __getitem__(self, rows):
        return Panels(*(getattr(self, part.name)[rows] for part in fields(self)))

    @staticmethod
    def joined(parts):
        """Several as one."""
        return Panels(*(np.concatenate([getattr(p, part.name) for p in parts]) for part in fields(Panels)))

    @property
    def width(self):
        """Of the panels, in strips."""
        return np.abs(self.b - self.a)

    @property
    def middle(self):
        """Where they stand across all strips."""
        d = 0.5 * (self.a + self.b)
        return self.strip + np.where(self.upper, 1.0 - d, d)

    def halves(self):
        """Each cut in two."""
        middle = 0.5 * (self.a + self.b)
        root = (self.a == 0.0) & (self.b == 1.0) & ~self.upper
        v = np.full((2, *self.v.shape), np.nan)
        v[:, :, [0, -1]] = np.stack([self.v[:, [0, 8]], self.v[:, [8, 16]]])
        stage = np.full(len(self.a), 5)
        first = Panels(self.column, self.strip, self.upper, self.a, middle, v[0], stage)
        start, end = np.where(root, 1.0 - middle, middle), np.where(root, 0.0, self.b)
        second = Panels(self.column, self.strip, self.upper | root, start, end, v[1], stage)
        return Panels.joined([first, second])


def value(values, lines, t, beta):
    """u at the targets of the last two or three axes of values (B, n1, n2[, n3]), none of which resolves the kernel."""
    finite = values[np.isfinite(values)]
    scale = sum((line.h * n) ** 2 for line, n in zip(lines, values.shape[1:])) / (2.0 * t)
    kernel = _Kernel(t, beta, max(1.0, beta * min(scale, float(finite.max() - finite.min()))), WORK[len(lines)])
    u = _plane(values, lines, kernel) if len(lines) == 2 else np.stack([_block(b, lines, kernel) for b in values])
    if kernel.missed > WARN_ABOVE * kernel.scale:
        warnings.warn(
            f"f jumps by so much between its nodes that the integral is known to about {kernel.missed / beta:.1e} "
            "only: use a finer grid, or a smaller beta",
            AccuracyWarning,
            stacklevel=5,
        )
    return u


@dataclass
class _Kernel:
    """Time, inverse temperature, the scale of beta u, the work allowed and done, the largest error of beta u left."""

    t: float
    beta: float
    scale: float
    most: int
    work: int = 0
    missed: float = 0.0


def _plane(planes, lines, kernel):
    """u (B, targets, targets) of planes (B, n1, n2)."""
    across, along = lines
    c = along.h**2 / (2.0 * kernel.t)
    planes, offset = _continued(_closed(planes, across), along, kernel)
    x = offset + along.stride * np.arange(along.count)
    floors = planes.min(axis=2)

    def between(column, strip, p, q):
        v = np.empty(len(column))
        place = column // x.size, strip, p, q, x[column % x.size]
        kernels.row_values(planes, floors, *place, c, kernel.beta, v)
        return v

    finite = bool(np.isfinite(planes).all())
    u = _across(between, len(planes) * x.size, planes.shape[1] - 1, across, finite, kernel)
    return np.moveaxis(u.reshape(len(planes), x.size, across.count), 1, 2)


def _block(block, lines, kernel):
    """u (targets, targets, targets) of a block (n1, n2, n3)."""
    across, inner = lines[0], lines[1:]
    planes = _closed(block[None], across)[0]
    size = inner[0].count * inner[1].count

    def between(column, strip, p, q):
        wanted, which = np.unique(np.stack([strip, p, q]), axis=1, return_inverse=True)
        low, high = (planes[wanted[0].astype(int) + k] for k in (0, 1))
        v, which = np.empty(len(column)), which.reshape(-1)
        for some in np.array_split(np.arange(wanted.shape[1]), math.ceil(wanted.shape[1] * size / 10**5)):
            u = _plane(_mixed(low[some], high[some], *wanted[1:, some, None, None]), inner, kernel)
            rows = np.flatnonzero((which >= some[0]) & (which <= some[-1]))
            v[rows] = u.reshape(len(some), size)[which[rows] - some[0], column[rows]]
        return v

    finite = bool(np.isfinite(planes).all())
    u = _across(between, size, len(planes) - 1, across, finite, kernel, TWICE)
    return np.moveaxis(u.reshape(inner[0].count, inner[1].count, across.count), 2, 0)


def _mixed(low, high, p, q):
    """p low + q high, +inf where one of them is."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(low) | np.isinf(high), np.inf, p * low + q * high)


def _closed(values, line):
    """With the first row of a periodic axis (the second of the array) again at its end."""
    return np.concatenate([values, values[:, :1]], axis=1) if line.boundary == "periodic" else values


def _continued(planes, line, kernel):
    """(planes with as many images along the last axis as matter, where the first target then stands)."""
    if line.boundary == "free":
        return np.ascontiguousarray(planes), line.offset
    n = planes.shape[2]
    cells = n if line.boundary == "periodic" else 2 * (n - 1)
    high, spread = planes.max(), DEPTH * kernel.t / (kernel.beta * line.h**2)
    osc = high - planes.min() if high < np.inf else np.inf  # what is allowed may be as far away as there is room
    reach = math.sqrt(2.0 * kernel.t * osc / line.h**2 + 2.0 * spread)
    reach = math.ceil(min(reach, 0.5 * cells + spread / cells)) + 2
    rows = continuation.images(planes.reshape(-1, n), line.boundary, reach, reach + 1)
    return rows.reshape(*planes.shape[:2], rows.shape[1]), line.offset + reach


# ------------------------------------------------------------------------------------------------ across the strips


def _across(between, columns, strips, line, shared, kernel, accuracy=ACCURATE):
    """u (columns, targets) across the strips, from v = between(column, strip, 1 - s, s); `shared`: rows join strips."""
    c, beta, aim = line.h**2 / (2.0 * kernel.t), kernel.beta, accuracy * kernel.scale
    period = float(strips) if line.boundary == "periodic" else 0.0
    targets = line.offset, line.stride, c
    ceiling = np.full((columns, line.count), np.inf)
    left = _roots(between, columns, strips, shared)
    done = [left[:0]]
    while len(left.a):
        values = _known(left, between)
        kernel.work += values if len(done) > 1 and accuracy == ACCURATE else 0
        v = _coefficients(left)
        mean = v[:, ::2] @ (1.0 / (1.0 - np.arange(0, POINTS, 2) ** 2.0))
        least = np.minimum(left.v[:, 0], left.v[:, -1])  # v is concave
        place = left.column, left.middle, left.width
        kernels.ceilings(*place, mean, period, *targets, beta, ceiling)
        gap = np.empty(len(left.a))
        kernels.gaps(*place, least, period, *targets, ceiling, gap)
        with np.errstate(over="ignore"):
            share = np.minimum(left.width * np.exp(-beta * np.minimum(gap, 700.0 / beta)), 1.0)
        share[~np.isfinite(gap)] = 0.0
        error, steep = _error(left, v, beta)
        exhausted = np.full(len(left.a), kernel.work > kernel.most) | (left.width <= 1e-15 * np.maximum(left.a, left.b))
        error = np.where((error < 1.0) | (share <= TINY), error * share, error)
        fine = (error <= aim) & ~(steep & (share > TINY))
        keep = (fine | exhausted) & (share > 0.0)
        if (keep & ~fine).any():
            kernel.missed = max(kernel.missed, float(error[keep & ~fine].max()))
        left.v[keep], v = v[keep], None
        done.append(left[keep])
        open_ = ~fine & ~exhausted
        more = open_ & ~steep & ((left.stage == 5) | ((left.stage == 9) & (error < max(HOPELESS, 1e3 * aim))))
        further = left[more]
        further.stage = 2 * further.stage - 1
        left = Panels.joined([further, left[open_ & ~more].halves()]) if open_.any() else further
    panels = Panels.joined(done)
    panels = panels[np.lexsort((panels.strip, panels.column))]
    first = np.searchsorted(panels.column, np.arange(columns + 1))
    u = np.empty((columns, line.count))
    images = ("free", "periodic", "reflecting").index(line.boundary)
    where = panels.strip, panels.upper, panels.a, panels.b
    kernels.across(first, *where, panels.v, panels.stage - 1, strips, images, *targets, beta, u)
    return u


def _roots(between, columns, strips, shared):
    """Every strip of every column as one panel, of which the ends are known."""
    column, strip = (m.ravel() for m in np.meshgrid(np.arange(columns), np.arange(strips), indexing="ij"))
    zero, one = np.zeros(len(column)), np.ones(len(column))
    v = np.full((len(column), POINTS), np.nan)
    v[:, 0] = between(column, strip, one, zero)
    last = np.full(len(column), True) if not shared else strip == strips - 1
    v[last, -1] = between(column[last], strip[last], zero[last], one[last])
    v[~last, -1] = v[np.flatnonzero(~last) + 1, 0]
    roots = Panels(column, strip, np.zeros(len(column), bool), zero, one, v, np.full(len(column), 5))
    return roots[np.isfinite(v[:, 0])]  # +inf: every cell of the row is forbidden


def _known(panels, between):
    """Compute what is not known yet of v, in place; how many values that were."""
    wanted = np.isnan(panels.v)
    for m, (_, points) in STAGES.items():
        mine = np.zeros(POINTS, bool)
        mine[points] = True
        wanted[panels.stage == m] &= mine
    row, k = np.nonzero(wanted)
    d = panels.a[row] * COSINES[k] + panels.b[row] * SINES[k]
    upper = panels.upper[row]
    p, q = np.where(upper, d, 1.0 - d), np.where(upper, 1.0 - d, d)
    panels.v[row, k] = between(panels.column[row], panels.strip[row], p, q)
    return len(row)


def _coefficients(panels):
    """Chebyshev coefficients of v (n, 17), zero beyond the degree that the known points allow."""
    result = np.zeros(panels.v.shape)
    for m, (matrix, points) in STAGES.items():
        rows = np.flatnonzero(panels.stage == m)
        result[rows, :m] = panels.v[np.ix_(rows, points)] @ matrix.T
    return result


def _error(panels, coefficients, beta):
    """(error of beta v as a polynomial, by the decay of its coefficients; is it too steep to be interpolated?).

    The decay is carried on with all 17 points only: fewer may have stepped over a bend that is narrow.
    """
    size, last = beta * np.abs(coefficients), panels.stage[:, None] - 1 - np.arange(4)
    tail = np.take_along_axis(size, last, axis=1)
    tail[panels.stage == 5, 3] = 0.0  # the slope, which may be what it likes
    high, low = tail[:, 0] + tail[:, 1], tail[:, 2] + tail[:, 3]
    decays = (panels.stage == POINTS) & (high < 0.25 * low)
    error = np.where(decays, high * high / np.maximum(low, 1e-300), high)
    return np.maximum(error - 1e-14 * size.sum(axis=1), 0.0), 2.0 * size[:, 1:].sum(axis=1) > STEEP
