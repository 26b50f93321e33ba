"""Hamilton-Jacobi-Bellman with terminal data: stochastic control, thesis (4.31)."""

from __future__ import annotations

from typing import Any

import numpy as np

from pdelab import checks
from pdelab.grid import Grid, reals
from pdelab.hamilton_jacobi.equations import HamiltonJacobi
from pdelab.hints import Field, Times
from pdelab.stepping import Solution, solve

__all__ = ["terminal"]


def terminal(problem: HamiltonJacobi, values: Field, grid: Grid, end: float, times: Times, **options: Any) -> Solution:
    """The Hamilton-Jacobi-Bellman equation with terminal data: -u_t = -|Du|²/2 + b·Du + ν Δu, u(·, end) = values.

    The value u(x, t) = min E[V(X_end) + ½∫|α|²] of dX = (b - α) dt + sqrt(2ν) dW from X_t = x, with the best control
    α = Du. It is `solve` in the time that is left.

    Parameters
    ----------
    problem : HamiltonJacobi
        A drift that depends on time is a function of the clock that runs to `end`.
    values : Loss or array of shape grid.shape
        V, the cost at the end.
    end : float > 0
    times : float or increasing sequence of floats in [0, end]
        Times to save, of the clock that runs to `end`.
    options
        Those of `solve`: scheme, dt, cfl, on_save (called from the latest time to the earliest).
    grid : Grid
    grid : Grid

    Returns
    -------
    Solution
        In increasing time: values[k] is u(·, times[k]); what `info` records over the saved times is in that order too.

    Raises
    ------
    ValueError
        Another equation than HamiltonJacobi, times that are not increasing in [0, end], and what `solve` refuses.

    Notes
    -----
    Chaudhari, thesis (4.31)-(4.32); the text above (4.31) prints u_t for -u_t.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-3.0, 3.0, 301)
    >>> loss = pl.Loss("x**2/2")
    >>> u = pl.hamilton_jacobi.terminal(pl.HamiltonJacobi(2.0, drift=loss), loss, grid, 1.0, [0.0, 0.5])
    >>> u.times
    array([0. , 0.5])
    """
    end, between = checks.positive("end", end), f"times: expected increasing times between 0 and end = {end}"
    times = np.atleast_1d(reals(times, between))
    if not isinstance(problem, HamiltonJacobi):
        raise ValueError(f"problem: expected HamiltonJacobi, got {problem!r}")
    if times.ndim != 1 or times.size == 0 or not ((times >= 0) & (times <= end)).all() or (np.diff(times) <= 0).any():
        raise ValueError(f"{between}, got {times}")
    report = options.pop("on_save", None)
    if report is not None:
        options["on_save"] = lambda left, u: report(end - left, u)
    if not problem.steady:
        problem = HamiltonJacobi(viscosity=problem.viscosity, drift=lambda left, drift=problem.drift: drift(end - left))
    back = solve(problem, values, grid, end - times[::-1], **options)
    recorded = {name: v[::-1] for name, v in back.info.items() if isinstance(v, np.ndarray) and v.shape == times.shape}
    return Solution(times, back.values[::-1], grid, back.steps, back.info | recorded)
