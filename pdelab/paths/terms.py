"""The terms of an equation at a state: gradients, Hessians and parameters, for numbers and for symbols alike.

States are arrays of components (d, paths), or of symbols (d,) while a step is written down.
"""

import numpy as np

from pdelab import checks
from pdelab.losses import Loss
from pdelab.paths.tracing import NotTraceable, Schedule, as_vector

__all__ = ["a_loss", "amplitude", "as_components", "as_points", "at", "gradient", "hessian", "parameter"]


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
    value, expected = parameter(t), "a number" if name is None else "values > 0"
    try:
        number = checks.number("schedule" if name is None else name, value, expected)
        if name is not None and not number > 0:
            checks.refuse(name, expected, value)
    except ValueError as error:
        raise ValueError(f"{error} at t = {t:.6g} in the schedule") from None
    return number


def amplitude(temperature_inverse, t, factor=1.0):
    """sqrt(2 factor / beta(t))."""
    return np.sqrt(2.0 * factor / at(temperature_inverse, t, "beta"))


def parameter(name, value, *, infinite=False):
    """A number > 0 as float, or a function of time as it is."""
    if callable(value):
        return checks.takes(name, value, "(t)")
    try:
        return checks.positive(name, value, infinite=infinite)
    except ValueError:
        return checks.refuse(name, "a number > 0" + " or math.inf" * infinite + " (or a function of time)", value)


def a_loss(value):
    """The argument if it is a Loss; ValueError otherwise."""
    return value if isinstance(value, Loss) else checks.refuse("loss", "a Loss, e.g. pl.Loss('x**4/4')", value)
