"""Stochastic equations: what runs, with its parameters, apart from how it is discretised.

    Langevin      dX = -grad f(X) dt + sqrt(2/beta) dW                              law exp(-beta f)
    Underdamped   dQ = P dt,  dP = -grad f(Q) dt - c P dt + sqrt(2c/beta) dW        law exp(-beta (f + |p|^2/2))
    Diffusion     dX = b(X, t) dt + sigma(X, t) dW                                  Ito, Stratonovich or Klimontovich

A scheme sees an equation through `drift`, `noise_term`, `sigma` and a few facts; states are arrays of components
(d, paths), or of symbols (d,) when the step is compiled. Formulas and numbers compile; Python functions run in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdelab import checks
from pdelab.hints import Array
from pdelab.losses import Loss
from pdelab.paths.schemes import baoab, euler_maruyama
from pdelab.paths.terms import a_loss, amplitude, gradient, hessian, parameter
from pdelab.paths.tracing import compiled_step

__all__ = ["Langevin", "System", "Underdamped"]


class System:
    """What schemes and `simulate` ask of an equation; the defaults fit additive noise, one process a coordinate.

    Notes
    -----
    Methods take the states x of all paths, an array (components, paths), and the time t, and return arrays of the
    shape of x. `drift` and `sigma` are b and σ of dX = b dt + σ dW; σ has shape (d, m, paths) where m Wiener processes
    are mixed. `noise_term` is σ dw for increments dw, an array (m, paths). An equation with a linear part says its
    rates in `linear_rates` and the drift without it in `rest`.

    Examples
    --------
    A process that is pulled to 1, with additive noise:

    >>> import pdelab as pl
    >>> class Pulled(System):
    ...     dimension = 1
    ...     def drift(self, x, t):
    ...         return 1.0 - x
    ...     def sigma(self, x, t):
    ...         return 0.1
    >>> bool(abs(pl.simulate(Pulled(), 0.0, t=8.0, dt=0.1, paths=100, seed=0).mean[-1] - 1) < 0.05)
    True
    """

    kind = "additive"
    interpretation = "ito"
    alpha = 0.0
    linear: Any = None
    loss: Loss
    sigma: Callable[..., Any]
    has_momenta = False  # True: `baoab` finds `force`, `friction` and `beta`
    drift_jacobian: Callable | None = None  # a function (x, t) -> (d, d, ...), symmetric, which `implicit` asks for

    @property
    def dimension(self) -> int:
        """Coordinates of the loss or the drift."""
        return self.loss.dimension

    @property
    def state_size(self) -> int:
        """Components of the state of one path."""
        return self.dimension

    @property
    def wieners(self) -> int:
        """Independent Wiener processes."""
        return self.dimension

    @property
    def default_scheme(self) -> Callable[..., np.ndarray]:
        """The scheme that `simulate` takes when none is given."""
        return euler_maruyama

    def noise_term(self, x: np.ndarray, t: float, dw: np.ndarray) -> np.ndarray:
        """sigma(x, t) dw, components like x.

        Parameters
        ----------
        x : array (components, paths)
        t : float
        dw : array (m, paths)
            Increments of the Wiener processes, of variance dt.

        Returns
        -------
        array, shape of x
        """
        return self.sigma(x, t) * dw

    def compiled(self, scheme: Callable[..., np.ndarray], dt: float, refine: int, dtype: Any) -> Any:
        """The compiled kernel of a step with its numbers and schedules.

        Parameters
        ----------
        scheme : function
        dt : float
        refine : int
            Fine increments in a step.
        dtype : float64 or float32

        Returns
        -------
        (kernel, numbers, schedules)

        Raises
        ------
        NotTraceable
            The equation or the scheme is not made of formulas: `simulate` then calls them in Python.
        """
        return compiled_step(self, scheme, dt, refine, dtype)

    def expand(self, values: Array) -> Array:
        """A user's initial values as full states; by default as they are.

        Parameters
        ----------
        values : array (..., components)

        Returns
        -------
        array (..., state_size)
        """
        return values


@dataclass(frozen=True)
class Langevin(System):
    """Overdamped Langevin dynamics, stochastic gradient descent at a constant or scheduled temperature.

        dX = -∇f(X) dt + √(2/β) dW,   invariant law e^{-βf}

    Chaudhari, thesis (4.2), with the noise that its (4.10) needs: √(2/β), not β^{-1/2}.

    Parameters
    ----------
    loss : Loss
    beta : float > 0, math.inf, or a function of time
        Inverse temperature; math.inf is the gradient flow. A function beta(t) is simulated annealing.

    Raises
    ------
    ValueError
        What is no Loss, beta <= 0.

    Good values
    -----------
    beta : barriers ΔU are crossed in a time of the order of exp(β ΔU): choose it so that the run is long against that,
        or short on purpose.
    dt (of `simulate`) : h dt well below 1 for the largest curvature h; at h dt = 2 Euler-Maruyama blows up. Its law at
        equilibrium is wrong by O(dt), that of `leimkuhler_matthews` by O(dt²) at the same cost.

    Examples
    --------
    >>> import pdelab as pl
    >>> run = pl.simulate(pl.Langevin(pl.Loss("x**2/2"), beta=4.0), 1.0, t=1.0, dt=0.01, paths=1000, seed=1)
    >>> run.states.shape
    (2, 1000)
    """

    loss: Loss
    beta: object

    def __post_init__(self):
        a_loss(self.loss)
        object.__setattr__(self, "beta", parameter("beta", self.beta, infinite=True))

    def drift(self, x: np.ndarray, t: float) -> np.ndarray:
        """-grad f."""
        return -gradient(self.loss, x)

    def drift_jacobian(self, x: np.ndarray, t: float) -> np.ndarray:
        """-Hess f."""
        return -hessian(self.loss, x)

    def sigma(self, x: np.ndarray, t: float) -> np.ndarray:
        """sqrt(2/beta(t))."""
        return amplitude(self.beta, t)


@dataclass(frozen=True)
class Underdamped(System):
    """Langevin dynamics with inertia (mass 1).

        dQ = P dt,   dP = -∇f(Q) dt - cP dt + √(2c/β) dW,   invariant law e^{-β(f(q) + |p|²/2)}

    A state has 2d components, positions before momenta. Initial values may be given for the positions alone: momenta
    then start at 0. Chaudhari, thesis 4.1 (there with noise √c β^{-1/2}: the law at 2β).

    Parameters
    ----------
    loss : Loss
    beta : float > 0, math.inf, or a function of time
    friction : float > 0

    Raises
    ------
    ValueError
        What is no Loss, beta <= 0, a friction <= 0.

    Examples
    --------
    >>> import pdelab as pl
    >>> sde = Underdamped(pl.Loss("x**2/2"), beta=2.0, friction=1.0)
    >>> run = pl.simulate(sde, 0.0, t=20.0, dt=0.1, paths=4000, seed=0)
    >>> bool(np.abs(run.variance[-1] - 0.5).max() < 0.05)                # of position and momentum: 1/β
    True
    """

    loss: Loss
    beta: object
    friction: float

    has_momenta = True

    def __post_init__(self):
        a_loss(self.loss)
        object.__setattr__(self, "beta", parameter("beta", self.beta, infinite=True))
        object.__setattr__(self, "friction", checks.positive("friction", self.friction))

    @property
    def state_size(self) -> int:
        """2d: positions and momenta."""
        return 2 * self.dimension

    @property
    def default_scheme(self) -> Callable[..., np.ndarray]:
        """BAOAB."""
        return baoab

    def force(self, q: np.ndarray) -> np.ndarray:
        """-grad f at positions q.

        Parameters
        ----------
        q : array (d, paths)

        Returns
        -------
        array, shape of q
        """
        return -gradient(self.loss, q)

    def drift(self, x: np.ndarray, t: float) -> np.ndarray:
        """(p, -grad f - c p)."""
        q, p = x[: self.dimension], x[self.dimension :]
        return np.concatenate([p, self.force(q) - self.friction * p])

    def noise_term(self, x: np.ndarray, t: float, dw: np.ndarray) -> np.ndarray:
        """(0, sqrt(2c/beta) dw)."""
        kick = amplitude(self.beta, t, self.friction) * dw
        return np.concatenate([0.0 * x[: self.dimension], kick])

    def expand(self, values: Array) -> Array:
        """Positions alone are completed by momenta 0."""
        if values.shape[-1:] == (self.dimension,):
            return np.concatenate([values, np.zeros_like(values)], axis=-1)
        return values
