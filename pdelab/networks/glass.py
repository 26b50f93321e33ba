"""Descent on a spin glass in torch, on any device: its gradient is one matrix product, which GPUs are made for."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.networks.checks import place
from pdelab.spin_glass import Descent, SpinGlass

__all__ = ["descend"]

COLUMNS = 4096  # points that are advanced together


def descend(
    glass: SpinGlass,
    starts: int | ArrayLike,
    *,
    step: float | None = None,
    tolerance: float = 1e-4,
    most: int = 20000,
    seed: int = 0,
    device: str = "cpu",
    dtype: torch.dtype = torch.float64,
) -> Descent:
    """`pdelab.spin_glass.descend` on a device, from the same starts to the same minima.

    Parameters
    ----------
    glass, starts, step, tolerance, most, seed
        As there.
    device : str
        "cpu", "cuda", ...
    dtype : torch.float64 or torch.float32
        In float32 a tolerance below 1e-3 is not reached at a hundred spins.

    Returns
    -------
    Descent

    Raises
    ------
    ValueError
        What is no SpinGlass, an unknown device or type, numbers out of range.

    Examples
    --------
    >>> glass = SpinGlass(12, seed=1)
    >>> runs = descend(glass, 20)
    >>> bool(runs.converged.all()), int(runs.minima.index.max())
    (True, 0)
    """
    if not isinstance(glass, SpinGlass):
        checks.refuse("glass", "a SpinGlass", glass)
    checks.choice("dtype", dtype, (torch.float64, torch.float32))
    tolerance, most, device = checks.positive("tolerance", tolerance), checks.whole("most", most), place(device)
    if isinstance(starts, (int, np.integer)) and not isinstance(starts, bool):
        points = glass.random_points(int(starts), seed)
    else:
        points = glass.project(starts).reshape(-1, glass.n)
    step = 1.0 / glass.stiffness if step is None else checks.positive("step", step)
    engine = _Engine(glass, device, dtype)
    ends, gradients, steps = np.empty_like(points), np.full(len(points), np.inf), np.full(len(points), most)
    for first in range(0, len(points), COLUMNS):
        block = slice(first, first + COLUMNS)
        engine.descend(points[block], step, tolerance, most, ends[block], gradients[block], steps[block])
    ends = glass.project(ends)
    return Descent(glass, ends, glass.energy(ends), gradients, steps, gradients <= tolerance)


class _Engine:
    """The couplings on the device, and which products of spins they meet."""

    def __init__(self, glass, device, dtype):
        self.root = math.sqrt(glass.n)
        send = lambda array: torch.as_tensor(array, dtype=dtype, device=device)  # noqa: E731
        self.couplings = send(glass.couplings * -glass.scale * glass.n ** (-0.5 * (glass.p - 1)))
        self.linear, self.send = send(glass.linear)[:, None], send
        tuples = np.array(list(_sorted_tuples(glass.n, glass.p - 1)))
        self.factors = [torch.as_tensor(column, device=device) for column in tuples.T]

    def slope(self, x):
        """The gradient on the sphere, (n, R)."""
        products = x[self.factors[0]]
        for factor in self.factors[1:]:
            products = products * x[factor]
        slope = self.couplings @ products - self.linear
        return slope - x * ((x * slope).sum(0) / self.root**2)

    def descend(self, points, step, tolerance, most, ends, gradients, steps):
        """Gradient descent until every point has arrived; writes where, how flat and when."""
        x, where = self.send(points.T.copy()), np.arange(len(points))
        for k in range(most + 1):
            slope = self.slope(x)
            size = slope.abs().amax(0)
            done = size <= tolerance if k < most else torch.ones_like(size, dtype=torch.bool)
            if bool(done.any()):
                ended = done.cpu().numpy()
                arrived = where[ended]
                ends[arrived], gradients[arrived] = x.T[done].cpu().numpy(), size[done].cpu().numpy()
                steps[arrived] = k
                x, slope, where = x[:, ~done], slope[:, ~done], where[~ended]
                if not where.size:
                    return
            x = x - step * slope
            x = x * (self.root / torch.linalg.vector_norm(x, dim=0))


def _sorted_tuples(n, degree, least=0):
    """Sorted tuples of spins in the order of the couplings' columns."""
    if degree == 0:
        yield ()
        return
    for i in range(least, n):
        for rest in _sorted_tuples(n, degree - 1, i):
            yield (i, *rest)
