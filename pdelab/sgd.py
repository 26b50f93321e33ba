"""Stochastic gradient descent on finite sums, and the diffusions that approximate it.

    f(x) = (1/N) Σ_k f_k(x),     x <- x - η g_B(x),    g_B = (1/b) Σ_{k in B} ∇f_k
    dX = -∇f(X) dt + √(η Σ(X)) dW,     Σ = cov g_B     (order 1 in η, over a fixed time)
    dX = -∇(f + (η/4)|∇f|²)(X) dt + √(η Σ(X)) dW       (order 2)

Time is t = kη. With D_w = (1/N) Σ_k (∇f_k - ∇f)(∇f_k - ∇f)ᵀ the covariance is D_w/b with replacement and
(N - b)/((N - 1) b) D_w without. Chaudhari, thesis 6.1: Lemma 6.3 (corrected), Theorem 6.5; Li, Tai & E (2017).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import expm, solve_continuous_lyapunov, solve_discrete_lyapunov

from pdelab import checks
from pdelab.hints import Array, Box
from pdelab.losses import Loss
from pdelab.paths import Diffusion, System
from pdelab.paths.terms import as_components, as_points
from pdelab.paths.tracing import NotTraceable, kept_kernel, scalar_functions

LARGEST_ENUMERATION = 100_000


class FiniteSum:
    """f(x) = (1/N) Σ_k f_k(x), the N terms given by one formula and columns of data.

    Parameters
    ----------
    formula : str
        f_k in the coordinates and in the names of the columns.
    variables : sequence of str, optional
        Coordinates in order; by default the names of the formula that are no columns.
    **data : (N,) arrays
        One column a name.

    Raises
    ------
    ValueError
        Columns of different lengths or not finite, no column, no coordinate.

    Good values
    -----------
    data : a few terms with curvatures and centres that differ show all effects; `expectation` and `batches` list all
        mini-batches, at most 100,000 of them.

    Examples
    --------
    >>> f = FiniteSum("h*(x - c)**2/2", h=[1.0, 2.0], c=[0.0, 1.0])
    >>> f.gradient(0.5), f.gradients(0.5), f.covariance(0.5)
    (-0.25, array([ 0.5, -1. ]), 0.5625)
    """

    def __init__(self, formula: str, variables: Sequence[str] | None = None, **data: ArrayLike):
        if not data:
            raise ValueError("data: expected columns of numbers, e.g. FiniteSum('(x - c)**2/2', c=[0.0, 1.0])")
        try:
            columns = {name: np.asarray(column, float) for name, column in data.items()}
        except (TypeError, ValueError) as error:
            raise ValueError(f"data: expected columns of numbers, got {data!r}") from error
        shapes = {column.shape for column in columns.values()}
        if len(shapes) > 1 or len(next(iter(shapes))) != 1 or next(iter(shapes)) == (0,):
            raise ValueError(f"data: expected columns of one length (N,), got {sorted(shapes)}")
        self.columns = np.column_stack(list(columns.values()))
        if not np.isfinite(self.columns).all():
            raise ValueError("data: expected finite numbers")
        self.names = tuple(columns)
        found = Loss(formula, None if variables is None else (*_tuple(variables), *self.names)).variables
        self.variables = tuple(name for name in found if name not in columns)
        if not self.variables:
            raise ValueError(f"the formula {formula!r} has no coordinates besides the columns {', '.join(self.names)}")
        self.term = Loss(formula, (*self.variables, *self.names))

    @property
    def count(self) -> int:
        """N."""
        return len(self.columns)

    @property
    def dimension(self) -> int:
        """d."""
        return len(self.variables)

    def _terms(self, points, indices=None):
        """Points (n, d) with their data: (n, N, d + columns), or (n, d + columns) for one index each."""
        if indices is not None:
            return np.concatenate([points, self.columns[indices]], axis=1)
        n, d = points.shape
        left = np.broadcast_to(points[:, None], (n, self.count, d))
        return np.concatenate([left, np.broadcast_to(self.columns, (n, *self.columns.shape))], axis=2)

    def _points(self, points):
        points = np.asarray(points, float)
        if self.dimension > 1 and points.shape[-1:] != (self.dimension,):
            raise ValueError(f"points: expected shape (..., {self.dimension}), got {points.shape}")
        shape = points.shape if self.dimension == 1 else points.shape[:-1]
        return points.reshape(-1, self.dimension), shape

    def _shaped(self, values, shape, axes=1):
        """(n, ..., d) -> (*shape, ..., d), without the coordinate axes in one dimension."""
        values = values.reshape((*shape, *values.shape[1:]))
        values = values.reshape(values.shape[: values.ndim - axes]) if self.dimension == 1 and axes else values
        return float(values) if values.ndim == 0 else values

    def __call__(self, points):
        """f: points (..., d) -> (...,), in one dimension (...,)."""
        points, shape = self._points(points)
        return self._shaped(self.term(self._terms(points)).mean(axis=1), shape, axes=0)

    def gradient(self, points: ArrayLike) -> Array:
        """∇f: (..., d), in one dimension (...,)."""
        points, shape = self._points(points)
        return self._shaped(self._gradients(points).mean(axis=1), shape)

    def gradients(self, points: ArrayLike) -> Array:
        """All ∇f_k: (..., N, d), in one dimension (..., N)."""
        points, shape = self._points(points)
        return self._shaped(self._gradients(points), shape)

    def hessian(self, points: ArrayLike) -> Array:
        """Hess f: (..., d, d), in one dimension (...,)."""
        points, shape = self._points(points)
        d = self.dimension
        values = self.term.hessian(self._terms(points))[..., :d, :d].mean(axis=1)
        return self._shaped(values, shape, axes=2)

    def _gradients(self, points):
        return self.term.gradient(self._terms(points))[..., : self.dimension]

    @cached_property
    def loss(self) -> Loss:
        """f as a Loss."""
        return Loss.from_functions(self, self.gradient, self.hessian, dimension=self.dimension)

    def diffusion_matrix(self, points: ArrayLike, *, replacement: bool = True) -> Array:
        """The matrix of Lemma 6.3: D_w, or without replacement D_wo = N/(N-1) D_w, (..., d, d), in 1-D (...,).

        The printed D_wo has the coefficient 1 - 1/(N-1) where 1 + 1/(N-1) is right.
        """
        factor = 1.0 if replacement else self.count / (self.count - 1) if self.count > 1 else 0.0
        return factor * self.covariance(points)

    def covariance(self, points: ArrayLike, batch: int = 1, *, replacement: bool = True) -> Array:
        """Σ, the covariance of the mini-batch gradient: D_w/b, without replacement (N - b)/((N - 1) b) D_w."""
        batch = _batch(self, batch, replacement)
        points, shape = self._points(points)
        g = self._gradients(points)
        g = g - g.mean(axis=1, keepdims=True)
        spread = np.einsum("nki,nkj->nij", g, g) / self.count
        factor = 1.0 if replacement else (self.count - batch) / max(self.count - 1, 1)
        return self._shaped(factor / batch * spread, shape, axes=2)

    def batches(self, batch: int, *, replacement: bool = True) -> np.ndarray:
        """All mini-batches, equally likely: (how many, b) indices; ValueError when there are more than 100,000."""
        batch = _batch(self, batch, replacement)
        count = self.count**batch if replacement else math.comb(self.count, batch)
        if count > LARGEST_ENUMERATION:
            raise ValueError(f"batch: {count} mini-batches are too many to list (at most {LARGEST_ENUMERATION})")
        chosen = product(range(self.count), repeat=batch) if replacement else combinations(range(self.count), batch)
        return np.array(list(chosen))


def _tuple(names):
    return (names,) if isinstance(names, str) else tuple(names)


def _batch(problem, batch, replacement):
    batch = checks.whole("batch", batch)
    if not replacement and batch > problem.count:
        raise ValueError(f"batch: expected at most N = {problem.count} without replacement, got {batch}")
    return batch


# --------------------------------------------------------------------------------------------------- the algorithm


@dataclass(frozen=True)
class SGD(System):
    """Stochastic gradient descent x <- x - η g_B(x) as an equation for `simulate`: the step `dt` is η, the time kη.

    Every step of every path draws its own mini-batch, with or without replacement within it, by address like all noise.

    Parameters
    ----------
    problem : FiniteSum
    batch : int >= 1
    replacement : bool

    Raises
    ------
    ValueError
        What is no FiniteSum, a batch below 1 or above N without replacement; later another scheme, or refine > 1.

    Good values
    -----------
    lr (the `dt` of `simulate`) : 0 < lr h < 2 for the largest curvature h, or the iterates grow; at lr h well below 1
        the `approximation` of order 1 serves, towards 1 that of order 2 shows.
    batch : the noise falls like 1/batch. All N without replacement is gradient descent.

    Examples
    --------
    >>> import pdelab as pl
    >>> f = FiniteSum("h*(x - c)**2/2", h=[1.0, 2.0], c=[0.0, 1.0])
    >>> run = pl.simulate(SGD(f), 1.0, t=10.0, dt=0.1, paths=1000, seed=1)
    >>> run.final.shape, run.info["steps"]
    ((1000,), 100)
    """

    problem: FiniteSum
    batch: int = 1
    replacement: bool = True

    def __post_init__(self):
        if not isinstance(self.problem, FiniteSum):
            raise ValueError(f"problem: expected a FiniteSum, got {type(self.problem).__name__}")
        object.__setattr__(self, "batch", _batch(self.problem, self.batch, self.replacement))

    @property
    def dimension(self) -> int:
        """d."""
        return self.problem.dimension

    @property
    def default_scheme(self) -> Callable[..., np.ndarray]:
        """The algorithm itself; there is no other."""
        return descent

    def drift(self, x: np.ndarray, t: float) -> np.ndarray:
        """-∇f, the mean step."""
        return -as_components(self.problem.gradient(as_points(x)), x)

    def noise_term(self, x: np.ndarray, t: float, dw: np.ndarray) -> np.ndarray:
        """Nothing: the noise is in the mini-batches."""
        return 0.0 * x

    def compiled(self, scheme: Callable[..., np.ndarray], dt: float, refine: int, dtype: Any) -> Any:
        """The compiled loop over mini-batches."""
        if scheme is not descent:
            raise ValueError("scheme: SGD has only its own step, sgd.descent")
        if refine > 1:
            raise ValueError("refine: mini-batches are not sums of finer ones")
        numbers = np.array([dt, *self.problem.columns.ravel()], dtype)
        return kept_kernel(_source(self, dtype)), numbers, lambda times: np.empty((0, len(times)), dtype)


def descent(sde: SGD, x: np.ndarray, t: float, dt: float, noise: Any) -> np.ndarray:
    """x - η g_B(x) with the mini-batch of this path and step.

    Parameters
    ----------
    sde : SGD
    x, t, dt, noise
        As for the schemes of `pdelab.paths`; dt is η.

    Returns
    -------
    array (d, paths)

    Raises
    ------
    ValueError
        Another equation than SGD.

    Examples
    --------
    >>> import pdelab as pl
    >>> f = FiniteSum("(x - c)**2/2", c=[0.0, 2.0])
    >>> set(pl.simulate(SGD(f), 1.0, t=0.5, dt=0.5, paths=50, seed=0, scheme=descent).final.tolist()) == {0.5, 1.5}
    True
    """
    if not isinstance(sde, SGD):
        raise ValueError(f"descent: expected SGD, got {type(sde).__name__}: use euler_maruyama")
    if x.dtype == object:
        raise NotTraceable
    indices = chosen(noise.words(sde.batch), sde.problem.count, sde.replacement)
    total = sum(sde.problem.term.gradient(sde.problem._terms(x.T, k))[:, : len(x)].T for k in indices)
    return x - dt / sde.batch * total


def chosen(words: np.ndarray, count: int, replacement: bool) -> np.ndarray:
    """Random words (b, n) -> indices in range(N): independent, or distinct along the first axis, all equally likely.

    Parameters
    ----------
    words : array (b, n) of uint64
        Random words, as `noise.words(b)` gives them.
    count : int
        N.
    replacement : bool

    Returns
    -------
    array (b, n) of int

    Examples
    --------
    >>> words = np.random.default_rng(0).integers(0, 2**64, (3, 4), dtype=np.uint64)
    >>> sorted(chosen(words, 3, replacement=False)[:, 0].tolist())
    [0, 1, 2]
    """
    size = np.uint64(count)
    high = words >> np.uint64(32)
    if replacement:
        return ((high * size) >> np.uint64(32)).astype(np.int64)
    taken = np.empty(words.shape, np.int64)
    for j, word in enumerate(high):
        draw = ((word * (size - np.uint64(j))) >> np.uint64(32)).astype(np.int64)  # among those that are left
        for earlier in np.sort(taken[:j], axis=0):
            draw += draw >= earlier
        taken[j] = draw
    return taken


TEMPLATE = """\
from math import {library}

import numpy as np
from numba import float32, njit

from pdelab.kernels.noise import fill_words, {vectorised}
from pdelab.kernels.paths import leave, record
from pdelab.kernels.walls import confine

{functions}
@njit(cache=True, nogil=True, error_model="numpy")
def advance(x, begin, end, step, steps, every, refine, seed, shift, K, S, saved, row, moments, counts, geometry, exits,
            box, gone, walls):
    xs, before = np.empty({d} * 512, x.dtype), np.empty({d} * 512, x.dtype)
    words = np.empty(({batch}, 2, 512), np.uint64)
    taken = np.empty({batch}, np.int64)
    size = np.uint64((K.shape[0] - 1) // {columns})
    rate = K[0] / {batch}
    for block in range(begin, end, 512):
        n = min(512, end - block)
        for j in range({d}):
            for i in range(n):
                xs[512 * j + i] = x[j, block + i]
        for s in range(step, step + steps):
            if s == step or s % 2 == 0:
                for c in range({batch}):
                    fill_words(words[c], n, seed, c, s // 2, shift + block)
            lane = s & 1
            if walls.shape[0] > 0:
                before[:] = xs
            for i in range(n):
                {loads}
                {zeros}
                for c in range({batch}):
{draw}
                    g = gradient_0({arguments})
                    {sums}
                {stores}
            if walls.shape[0] > 0:
                confine(before, xs, n, seed, shift + block, s + 1, gone[block : block + n], walls)
            if exits.shape[0] > 0:
                leave(xs, xs, n, seed, shift + block, s + 1, exits[block : block + n], box)
            if (s + 1) % every == 0:
                record(xs, n, {d}, block, (s + 1) // every - row, saved, moments, counts, geometry,
                       gone[block : block + n])
        for j in range({d}):
            for i in range(n):
                x[j, block + i] = xs[512 * j + i]
"""
WITH = """\
                    k = np.int64(((words[c, lane, i] >> np.uint64(32)) * size) >> np.uint64(32))"""
WITHOUT = """\
                    k = np.int64(((words[c, lane, i] >> np.uint64(32)) * (size - np.uint64(c))) >> np.uint64(32))
                    j = 0
                    while j < c and k >= taken[j]:
                        k += 1
                        j += 1
                    for m in range(c, j, -1):
                        taken[m] = taken[m - 1]
                    taken[j] = k"""


def _source(sde, dtype):
    from pdelab.paths.tracing import LIBRARY, VECTORISED

    problem, d = sde.problem, sde.dimension
    columns = problem.columns.shape[1]
    arguments = [f"x{j}" for j in range(d)] + [f"K[1 + {columns} * k + {m}]" for m in range(columns)]
    functions = scalar_functions(problem.term, 0, ["gradient"], np.dtype(dtype) == np.float32)
    return TEMPLATE.format(
        library=", ".join(LIBRARY), vectorised=", ".join(f"v{name} as {name}" for name in VECTORISED),
        functions=functions, d=d, batch=sde.batch, columns=columns, draw=WITH if sde.replacement else WITHOUT,
        loads="; ".join(f"x{j} = xs[{512 * j} + i]" for j in range(d)), arguments=", ".join(arguments),
        zeros="; ".join(f"g{j} = 0.0 * x{j}" for j in range(d)), sums="; ".join(f"g{j} += g[{j}]" for j in range(d)),
        stores="; ".join(f"xs[{512 * j} + i] = x{j} - rate * g{j}" for j in range(d)),
    )  # fmt: skip


# --------------------------------------------------------------------------------- diffusions that approximate it


def approximation(
    problem: FiniteSum, lr: float, *, batch: int = 1, replacement: bool = True, order: int = 1
) -> Diffusion:
    """The stochastic differential equation whose law at t = kη is that of SGD up to O(η) or O(η²).

    Parameters
    ----------
    problem : FiniteSum
    lr : float > 0
        η.
    batch, replacement
        As in `SGD`.
    order : 1 or 2
        2 adds the drift -(η/2) Hess f ∇f = -∇(η/4)|∇f|² (Li, Tai & E, ICML 2017).

    Returns
    -------
    Diffusion in the sense of Ito, with σ the symmetric square root of ηΣ.

    Raises
    ------
    ValueError
        lr <= 0, an order other than 1 and 2, a batch above N without replacement.

    Examples
    --------
    >>> f = FiniteSum("(x - c)**2/2", c=[-1.0, 1.0])
    >>> sde = approximation(f, lr=0.1, order=2)
    >>> sde.drift(np.array([[2.0]]), 0.0).round(9), sde.sigma(np.array([[2.0]]), 0.0).round(6)      # -x (1 + η/2), √η
    (array([[-2.1]]), array([[0.316228]]))
    """
    lr = checks.positive("lr", lr)
    if order not in (1, 2):
        raise ValueError(f"order: expected 1 or 2, got {order!r}")
    batch = _batch(problem, batch, replacement)

    def drift(x):
        g = problem.gradient(x)
        if order == 1:
            return -g
        H = problem.hessian(x)
        return -g - 0.5 * lr * (H * g if problem.dimension == 1 else np.einsum("...ij,...j->...i", H, g))

    def sigma(x):
        return square_root(lr * problem.covariance(x, batch, replacement=replacement), problem.dimension)

    kind = "diagonal" if problem.dimension == 1 else "general"
    return Diffusion(drift, sigma, kind=kind, dimension=problem.dimension, wieners=problem.dimension)


def square_root(matrices: ArrayLike, dimension: int) -> Array:
    """Symmetric square roots of positive semi-definite matrices (..., d, d), in one dimension of numbers.

    Parameters
    ----------
    matrices : array (..., d, d), in one dimension (...,)
    dimension : int
        d.

    Returns
    -------
    array of the same shape

    Examples
    --------
    >>> square_root(np.array([[2.0, 1.0], [1.0, 2.0]]), 2) @ square_root(np.array([[2.0, 1.0], [1.0, 2.0]]), 2)
    array([[2., 1.],
           [1., 2.]])
    """
    if dimension == 1:
        return np.sqrt(np.maximum(matrices, 0.0))
    values, vectors = np.linalg.eigh(np.asarray(matrices, float))
    return (vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]) @ np.swapaxes(vectors, -1, -2)


def stationary_covariance(H: ArrayLike, covariance: ArrayLike, lr: float, model: str = "sgd") -> Any:
    """Stationary covariance S for f = ½ xᵀHx and a constant covariance Σ of the mini-batch gradient.

    "sgd": HS + SH - ηHSH = ηΣ exactly;  "order 1": HS + SH = ηΣ;  "order 2": H <- H + (η/2)H² in the latter.

    Parameters
    ----------
    H : array (d, d) or float
        Symmetric, positive definite.
    covariance : array (d, d) or float
        Σ, of the mini-batch gradient.
    lr : float > 0
        η.
    model : "sgd", "order 1" or "order 2"

    Returns
    -------
    array (d, d)

    Raises
    ------
    ValueError
        Shapes that do not fit, an unknown model, eigenvalues h for which 0 < η h < 2 fails.

    Examples
    --------
    >>> [round(float(stationary_covariance(2.0, 1.0, 0.5, model)[0, 0]), 6) for model in ("sgd", "order 1", "order 2")]
    [0.25, 0.125, 0.083333]
    """
    H, covariance = np.atleast_2d(np.asarray(H, float)), np.atleast_2d(np.asarray(covariance, float))
    if model not in ("sgd", "order 1", "order 2"):
        raise ValueError(f"model: expected 'sgd', 'order 1' or 'order 2', got {model!r}")
    if H.shape != covariance.shape or H.shape != H.T.shape:
        raise ValueError(f"H, covariance: expected two (d, d) matrices, got shapes {H.shape} and {covariance.shape}")
    lr, curvatures = checks.positive("lr", lr), np.linalg.eigvals(H).real
    if curvatures.min() <= 0 or (model == "sgd" and lr * curvatures.max() >= 2):
        raise ValueError(f"H: nothing is stationary at lr = {lr} with eigenvalues {curvatures}: 0 < lr h < 2 is needed")
    if model == "sgd":
        return solve_discrete_lyapunov(np.eye(len(H)) - lr * H, lr**2 * covariance)
    rate = H if model == "order 1" else H + 0.5 * lr * H @ H
    return solve_continuous_lyapunov(rate, lr * covariance)


# --------------------------------------------------------------------- expectations without sampling, one dimension


def expectation(
    problem: FiniteSum,
    observable: Callable[[Array], ArrayLike],
    x: ArrayLike,
    t: float,
    lr: float,
    *,
    batch: int = 1,
    replacement: bool = True,
    box: Box,
    nodes: int = 200,
) -> Any:
    """E φ(x_k) of SGD started at x, k = t/η steps, in one dimension: exact up to the interpolation of E φ in x.

    u_{k+1}(x) = mean over all mini-batches of u_k(x - η g_B(x)), carried on Chebyshev nodes.

    Parameters
    ----------
    problem : FiniteSum of one coordinate
    observable : function of points (n,)
    x : float or (n,)
    t : float
        A multiple of lr.
    lr : float > 0
    batch, replacement
        As for `SGD`.
    box : (lower, upper)
        Must contain what SGD reaches from inside it.
    nodes : int
        Of the interpolation; more of them until the result does not change.

    Returns
    -------
    float or array (n,)

    Raises
    ------
    ValueError
        Several coordinates, a time that is no multiple of lr, points outside the box, a box that SGD leaves.

    Examples
    --------
    >>> f = FiniteSum("(x - c)**2/2", c=[-1.0, 1.0])
    >>> round(expectation(f, lambda x: x, 2.0, 1.0, 0.25, box=(-4.0, 4.0), nodes=20), 9)   # 2 (1 - η)⁴
    0.6328125
    """
    lr, t = checks.positive("lr", lr), checks.positive("t", t)
    if problem.dimension != 1:
        raise ValueError(f"problem: expected one coordinate, got {problem.dimension}")
    steps = round(t / lr)
    if abs(steps * lr - t) > 1e-9 * t:
        raise ValueError(f"t: expected a multiple of lr = {lr}, got {t}")
    _inside(x, box)
    y = _chebyshev(nodes, box)
    chosen = problem.batches(batch, replacement=replacement)
    means = problem.gradients(y)[:, chosen].mean(axis=2)
    landed = y[:, None] - lr * means
    if landed.min() < box[0] or landed.max() > box[1]:
        raise ValueError(f"box: steps of SGD leave {box}: choose a wider one")
    move = sum(_interpolation(landed[:, k], y) for k in range(landed.shape[1])) / landed.shape[1]
    u = np.linalg.matrix_power(move, steps) @ observable(y)
    return _result(_interpolation(np.atleast_1d(np.asarray(x, float)), y) @ u, x)


def diffusion_expectation(
    drift: Callable[[Array], ArrayLike],
    variance: Callable[[Array], ArrayLike],
    observable: Callable[[Array], ArrayLike],
    x: ArrayLike,
    t: float,
    *,
    box: Box,
    nodes: int = 160,
) -> Any:
    """E φ(X_t) of dX = b dt + √v dW in one dimension by collocation on Chebyshev nodes: u_t = b u' + ½ v u''.

    drift, variance, observable : functions of points (n,)
    box : (lower, upper)
        Its ends reflect; where the drift points inwards strongly, that changes nothing inside.

    Parameters
    ----------
    drift, variance, observable : functions of points (n,)
        b, v and φ.
    x : float or (n,)
    t : float >= 0
    box : (lower, upper)
        Its ends reflect; where the drift points inwards strongly, that changes nothing inside.
    nodes : int
        Of the collocation; more of them until the result does not change.

    Returns
    -------
    float or array (n,)

    Raises
    ------
    ValueError
        A box whose ends are not in order, points outside it.

    Examples
    --------
    >>> mean = diffusion_expectation(lambda x: -x, np.ones_like, lambda x: x, 2.0, 1.0, box=(-8.0, 8.0), nodes=60)
    >>> round(mean, 6), round(2 * math.exp(-1.0), 6)
    (0.735759, 0.735759)
    """
    _inside(x, box)
    y = _chebyshev(nodes, box)
    first = _differentiation(y)
    b, v = np.asarray(drift(y), float), np.asarray(variance(y), float)
    L = b[:, None] * first + 0.5 * v[:, None] * (first @ first)
    ends, inner = [0, -1], slice(1, -1)
    follow = -np.linalg.solve(first[np.ix_(ends, ends)], first[ends, inner])  # u' = 0 at the ends gives u there
    u = np.array(observable(y), float)
    u[inner] = expm(t * (L[inner, inner] + L[inner][:, ends] @ follow)) @ u[inner]
    u[ends] = follow @ u[inner]
    return _result(_interpolation(np.atleast_1d(np.asarray(x, float)), y) @ u, x)


def _inside(x, box):
    ends = np.asarray(box, float)
    if ends.shape != (2,) or not ends[0] < ends[1]:
        raise ValueError(f"box: expected (lower, upper), got {box!r}")
    if not ((ends[0] <= np.asarray(x)) & (np.asarray(x) <= ends[1])).all():
        raise ValueError(f"x: expected points in the box {box}, got {x!r}")


def _result(values, x):
    return float(values[0]) if np.ndim(x) == 0 else values


def _chebyshev(nodes, box):
    low, high = box
    return 0.5 * (low + high) - 0.5 * (high - low) * np.cos(np.pi * np.arange(nodes) / (nodes - 1))


def _weights(n):
    weights = (-1.0) ** np.arange(n)
    weights[[0, -1]] *= 0.5
    return weights


def _interpolation(x, y):
    """Barycentric interpolation from Chebyshev nodes y to points x, as a matrix."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = _weights(len(y)) / (x[:, None] - y)
        matrix = terms / terms.sum(axis=1, keepdims=True)
    hit = x[:, None] == y
    return np.where(hit.any(axis=1, keepdims=True), hit, matrix)


def _differentiation(y):
    weights = _weights(len(y))
    gaps = y[:, None] - y
    np.fill_diagonal(gaps, 1.0)
    matrix = weights / weights[:, None] / gaps
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, -matrix.sum(axis=1))
    return matrix


__all__ = [
    "FiniteSum", "SGD", "approximation", "chosen", "descent", "diffusion_expectation", "expectation", "square_root",
    "stationary_covariance",
]  # fmt: skip
