"""Stochastic equations: what runs, with its parameters, apart from how it is discretised.

    Langevin      dX = -grad f(X) dt + sqrt(2/beta) dW                              law exp(-beta f)
    Underdamped   dQ = P dt,  dP = -grad f(Q) dt - c P dt + sqrt(2c/beta) dW        law exp(-beta (f + |p|^2/2))
    Diffusion     dX = b(X, t) dt + sigma(X, t) dW                                  Ito, Stratonovich or Klimontovich

A scheme sees an equation through `drift`, `noise_term`, `sigma` and a few facts; states are arrays of components
(d, paths), or of symbols (d,) when the step is compiled. Formulas and numbers compile; Python functions run in NumPy.
"""

import math
from dataclasses import dataclass

import numpy as np

from pdelab.losses import Loss
from pdelab.paths.tracing import NotTraceable, Schedule, as_vector, compiled_step

# --------------------------------------------------------------------------------------- evaluating a function


def gradient(loss, x):
    """grad f of components: (d, n) -> (d, n), or of symbols (d,)."""
    if x.dtype == object:
        if loss.formula is None:
            raise NotTraceable
        return as_vector(x[0].trace.call(loss, "gradient", x))
    return as_components(loss.gradient(as_points(x)), x)


def hessian(loss, x):
    """Hess f of components: (d, n) -> (d, d, n), or of symbols (d,) -> (d, d)."""
    d = len(x)
    if x.dtype != object:
        return np.moveaxis(loss.hessian(as_points(x)).reshape(-1, d, d), 0, -1)
    if loss.formula is None:
        raise NotTraceable
    matrix, upper = np.empty((d, d), object), np.triu_indices(d)
    matrix[upper] = x[0].trace.call(loss, "hessian", x)
    matrix.T[upper] = matrix[upper]
    return matrix


def as_points(x):
    """Components (d, n) -> points (n, d), in one dimension (n,)."""
    return x[0] if len(x) == 1 else x.T


def as_components(values, x):
    """Vectors at points, (n, d) or (n,), as components of the shape of x."""
    return values[None] if len(x) == 1 else values.T


def at(parameter, t, name=None):
    """A parameter at time t: numbers stay, functions of time are evaluated (at every step of a Schedule).

    With a name the values must be positive.
    """
    if not callable(parameter):
        return parameter
    values = [_value_of(parameter, float(v), name) for v in (t.values if isinstance(t, Schedule) else [t])]
    return Schedule(values) if isinstance(t, Schedule) else values[0]


def _value_of(parameter, t, name):
    value = parameter(t)
    try:
        number = float(value)
    except TypeError:
        number = math.nan
    if name is not None and not number > 0:
        raise ValueError(f"{name}: expected values > 0, got {value!r} at t = {t:.6g} in the schedule")
    return number


def amplitude(temperature_inverse, t, factor=1.0):
    """sqrt(2 factor / beta(t))."""
    return np.sqrt(2.0 * factor / at(temperature_inverse, t, "beta"))


def positive(value, name, infinite=False, timed=True):
    """A positive number as float or, where timed, a function of time as it is; ValueError otherwise."""
    if callable(value) and timed:
        return value
    good = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, (bool, np.bool_))
    if not good or not value > 0 or (math.isinf(value) and not infinite):
        wanted = "a number > 0" + " or math.inf" * infinite + " (or a function of time)" * timed
        raise ValueError(f"{name}: expected {wanted}, got {value!r}")
    return float(value)


def number_or_none(value):
    """A finite real number as float, None for anything else."""
    good = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, (bool, np.bool_))
    return float(value) if good and math.isfinite(value) else None


def a_loss(value):
    """The argument if it is a Loss; ValueError otherwise."""
    if not isinstance(value, Loss):
        raise ValueError(f"loss: expected a Loss, e.g. pl.Loss('x**4/4 - x**2/2'), got {type(value).__name__}")
    return value


# ---------------------------------------------------------------------------------------------------- equations


class System:
    """What schemes and `simulate` ask of an equation; the defaults fit additive noise, one process a coordinate."""

    kind = "additive"
    interpretation = "ito"
    alpha = 0.0
    linear = None

    @property
    def dimension(self):
        """Coordinates of the loss or the drift."""
        return self.loss.dimension

    @property
    def state_size(self):
        """Components of the state of one path."""
        return self.dimension

    @property
    def wieners(self):
        """Independent Wiener processes."""
        return self.dimension

    @property
    def default_scheme(self):
        """The scheme that `simulate` takes when none is given."""
        from pdelab.paths.schemes import euler_maruyama

        return euler_maruyama

    def noise_term(self, x, t, dw):
        """sigma(x, t) dw, components like x."""
        return self.sigma(x, t) * dw

    def compiled(self, scheme, dt, refine, dtype):
        """The kernel of a step with its numbers and schedules; raises NotTraceable when there is none."""
        return compiled_step(self, scheme, dt, refine, dtype)

    def expand(self, values):
        """A user's initial values (..., components) as a full state; the default takes them as they are."""
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
        object.__setattr__(self, "beta", positive(self.beta, "beta", infinite=True))

    def drift(self, x, t):
        """-grad f."""
        return -gradient(self.loss, x)

    def sigma(self, x, t):
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
    """

    loss: Loss
    beta: object
    friction: float

    def __post_init__(self):
        a_loss(self.loss)
        object.__setattr__(self, "beta", positive(self.beta, "beta", infinite=True))
        object.__setattr__(self, "friction", positive(self.friction, "friction", timed=False))

    @property
    def state_size(self):
        """2d: positions and momenta."""
        return 2 * self.dimension

    @property
    def default_scheme(self):
        """BAOAB."""
        from pdelab.paths.schemes import baoab

        return baoab

    def force(self, q):
        """-grad f at positions q."""
        return -gradient(self.loss, q)

    def drift(self, x, t):
        """(p, -grad f - c p)."""
        q, p = x[: self.dimension], x[self.dimension :]
        return np.concatenate([p, self.force(q) - self.friction * p])

    def noise_term(self, x, t, dw):
        """(0, sqrt(2c/beta) dw)."""
        kick = amplitude(self.beta, t, self.friction) * dw
        return np.concatenate([0.0 * x[: self.dimension], kick])

    def expand(self, values):
        """Positions alone are completed by momenta 0."""
        if values.shape[-1:] == (self.dimension,):
            return np.concatenate([values, np.zeros_like(values)], axis=-1)
        return values
