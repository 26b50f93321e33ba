"""The algorithm as an equation for `simulate`: mini-batches by address, compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdelab.kernels import march
from pdelab.paths import System
from pdelab.paths.terms import as_components, as_points
from pdelab.paths.tracing import ELEMENTARY, NotTraceable, kept_kernel, scalar_functions
from pdelab.sgd.sums import FiniteSum, batch_size

__all__ = ["SGD", "chosen", "descent"]


@dataclass(frozen=True)
class SGD(System):
    """Stochastic gradient descent x <- x - η g_B(x) as an equation for `simulate`: the step `dt` is η, the time kη.

    Every step of every path draws its own mini-batch, with or without replacement within it. Like all noise it depends
    on seed, path and step alone.

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
    lr (the `dt` of `simulate`) : 0 < lr h < 2 for the largest curvature h, or the iterates grow. Where lr h is well
        below 1, the `approximation` of order 1 is near; towards 1 take that of order 2.
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
        object.__setattr__(self, "batch", batch_size(self.problem, self.batch, self.replacement))

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
        """The compiled loop over mini-batches.

        Parameters
        ----------
        scheme : function
            Only `descent`.
        dt, dtype
            As for `System`.
        refine : int
            Only 1: mini-batches are not sums of finer ones.

        Returns
        -------
        (kernel, numbers, schedules)

        Raises
        ------
        ValueError
            Another scheme or refine.
        """
        if scheme is not descent:
            raise ValueError("scheme: SGD has only its own step, sgd.descent")
        if refine > 1:
            raise ValueError("refine: mini-batches are not sums of finer ones")
        numbers = np.array([dt, *self.problem.columns.ravel()], dtype)
        kernel = kept_kernel(_source(self, dtype), (march.NO_NORMALS, 0, False, self.batch, 0, 1), dtype)
        return kernel, numbers, lambda times: np.empty((0, len(times)), dtype)


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
    drawn = np.empty(words.shape, np.int64)
    for j, word in enumerate(high):
        draw = ((word * (size - np.uint64(j))) >> np.uint64(32)).astype(np.int64)  # among those that are left
        for earlier in np.sort(drawn[:j], axis=0):
            draw += draw >= earlier
        drawn[j] = draw
    return drawn


TEMPLATE = """\
from math import {library}

import numpy as np
from numba import float32, njit

from pdelab.kernels.noise import {vectorised}

{functions}
@njit(cache=True, nogil=True, error_model="numpy")
def move(xs, z, words, K, S, n, at, ahead, lane, step, column):
    taken = np.empty({batch}, np.int64)
    size = np.uint64({samples})
    rate = K[0] / {batch}
    for i in range(n):
        {loads}
        {zeros}
        for c in range({batch}):
{draw}
            g = gradient_0({arguments})
            {sums}
        {stores}
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
    problem, d = sde.problem, sde.dimension
    columns = problem.columns.shape[1]
    arguments = [f"x{j}" for j in range(d)] + [f"K[1 + {columns} * k + {m}]" for m in range(columns)]
    single = dtype == np.float32
    return TEMPLATE.format(
        functions=scalar_functions(problem.term, 0, ["gradient"], single), d=d, batch=sde.batch,
        samples=len(problem.columns), draw=WITH if sde.replacement else WITHOUT,
        loads="; ".join(f"x{j} = xs[{512 * j} + i]" for j in range(d)), arguments=", ".join(arguments),
        zeros="; ".join(f"g{j} = 0.0 * x{j}" for j in range(d)), sums="; ".join(f"g{j} += g[{j}]" for j in range(d)),
        stores="; ".join(f"xs[{512 * j} + i] = x{j} - rate * g{j}" for j in range(d)),
        **ELEMENTARY,
    )  # fmt: skip
