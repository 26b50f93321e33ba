"""Homogenization: local entropy as the limit of a fast-slow system, and the algorithms that run it with L inner steps.

    dX = -(X - Y)/γ dt,    dY = -(1/ε)(∇f(Y) + (Y - X)/γ) dt + √(2/(εβ)) dB     (fast-slow, ε > 0)
    dX = -∇f_γ(X) dt,      f_γ = -(1/β) log(G_{γ/β} * e^{-βf})                  (ε -> 0)

For frozen X the fast variable samples ρ_1(y; X) ∝ exp(-β(f(y) + |y - X|²/(2γ))), and ∇f_γ(X) = (X - <y>)/γ = <∇f(y)>.
Chaudhari, thesis 4.3 and (4.39)-(4.43); traffic paper 5. Their noise β^{-1/2} belongs to the law at 2β: here it is
√(2/β) throughout, and signs are those that the ledger of claims confirms.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.closed_forms import local_entropy_gradient, local_entropy_hessian
from pdelab.hints import Array
from pdelab.losses import Loss
from pdelab.noise import normals
from pdelab.paths import Diffusion, System, leimkuhler_matthews, simulate
from pdelab.paths.terms import a_loss, amplitude, at, gradient, parameter
from pdelab.paths.tracing import NotTraceable

FORMS = ("average", "gradient", "heat")
TRACED_WORKERS = 8  # more workers than that run through NumPy


# ------------------------------------------------------------------------------------------ the averaged dynamics


def homogenized(loss: Loss, gamma: float | Callable, beta: float | Callable) -> Diffusion:
    """The averaged dynamics dX = -∇f_γ(X) dt with the exact drift, as an equation for `simulate`.

    Parameters
    ----------
    loss : Loss
    gamma : float > 0 or a function of time
        The scope; a function is scoping.
    beta : float > 0 or math.inf

    Returns
    -------
    Diffusion without noise (paths that start at the same point are the same path: one is enough).

    Examples
    --------
    >>> import pdelab as pl
    >>> limit = homogenized(pl.Loss("3*x**2/2"), gamma=0.5, beta=4.0)     # f_γ' = 3x/(1 + 3γ) = 1.2 x
    >>> run = pl.simulate(limit, 1.0, t=1.0, dt=0.01, scheme=pl.paths.heun, seed=0)
    >>> round(float(run.final[0]), 4)
    0.3012
    """
    a_loss(loss)
    gamma, beta = parameter("gamma", gamma), parameter("beta", beta, infinite=True)

    def drift(x, t):
        return -local_entropy_gradient(loss, x, at(gamma, t, "gamma"), at(beta, t, "beta"))

    return Diffusion(drift, 0.0, dimension=loss.dimension)


# ----------------------------------------------------------------------------------------------- the fast-slow system


@dataclass(frozen=True)
class FastSlow(System):
    """The fast-slow system whose slow variable follows -∇f_γ as ε -> 0; its state is (X, Y).

        "average"    dX = -(X - Y)/γ dt      dY = -(1/ε)(∇f(Y) + (Y - X)/γ) dt + √(2/(εβ)) dB     (4.21)
        "gradient"   dX = -∇f(Y) dt          the same Y                                           (4.3), in Y <- X - Y
        "heat"       dX = -∇f(X - Y) dt      dY = -Y/(εγ) dt + √(2/(εβ)) dB                       (4.27)

    The heat form tends to -∇(G_{γ/β} * f) instead. Errors at a fixed time: weak O(ε), in mean square O(√ε). The step
    must resolve ε: Euler-Maruyama adds a bias O(dt/ε), which Leimkuhler-Matthews (the default) mostly removes.

    Initial values: X alone (then Y starts at X, in the heat form at 0) or (X, Y).

    Parameters
    ----------
    loss : Loss
    gamma : float > 0 or a function of time
    beta : float > 0 or a function of time
    epsilon : float > 0
        Time scale of the fast variable.
    form : "average", "gradient" or "heat"

    Raises
    ------
    ValueError
        Numbers that are not > 0, an unknown form.

    Good values
    -----------
    epsilon : 0.1 to 0.01, with a step of a tenth of it or less; halve both to see the limit.

    Examples
    --------
    >>> import pdelab as pl
    >>> system = FastSlow(pl.losses.quadratic(1.0), gamma=1.0, beta=10.0, epsilon=0.01)
    >>> run = pl.simulate(system, 2.0, t=1.0, dt=0.001, paths=200, seed=0)
    >>> bool(abs(run.mean[-1, 0] - 2 * np.exp(-0.5)) < 0.05)             # dX/dt = -X/(1 + γ)
    True
    """

    loss: Loss
    gamma: object
    beta: object
    epsilon: float
    form: str = "average"

    def __post_init__(self):
        a_loss(self.loss)
        object.__setattr__(self, "gamma", parameter("gamma", self.gamma))
        object.__setattr__(self, "beta", parameter("beta", self.beta, infinite=True))
        object.__setattr__(self, "epsilon", checks.positive("epsilon", self.epsilon))
        checks.choice("form", self.form, FORMS)

    @property
    def state_size(self) -> int:
        """2d."""
        return 2 * self.dimension

    @property
    def default_scheme(self) -> Callable[..., np.ndarray]:
        """Leimkuhler-Matthews."""
        return leimkuhler_matthews

    @property
    def linear(self) -> Any:  # type: ignore[override]
        """The scheme `exponential` applies: the spring of the fast variable is its linear part."""
        return self.linear_rates

    def linear_rates(self, t: float) -> list:
        """0 for X, 1/(εγ) for Y."""
        rate = 1.0 / (self.epsilon * at(self.gamma, t, "gamma"))
        return [0.0] * self.dimension + [rate] * self.dimension

    def drift(self, x: np.ndarray, t: float) -> np.ndarray:
        """Both drifts; the fast one is of size 1/ε."""
        slow, fast = self._drifts(x, t)
        y = x[self.dimension :]
        return np.concatenate([slow, fast - y * (1.0 / (self.epsilon * at(self.gamma, t, "gamma")))])

    def rest(self, x: np.ndarray, t: float) -> np.ndarray:
        """The drift without -Y/(εγ)."""
        return np.concatenate(self._drifts(x, t))

    def _drifts(self, x, t):
        d, gamma = self.dimension, at(self.gamma, t, "gamma")
        x, y = x[:d], x[d:]
        if self.form == "heat":
            return -gradient(self.loss, x - y), 0.0 * y
        force = gradient(self.loss, y)
        slow = (y - x) * (1.0 / gamma) if self.form == "average" else -force
        return slow, (x * (1.0 / gamma) - force) * (1.0 / self.epsilon)

    def noise_term(self, x: np.ndarray, t: float, dw: np.ndarray) -> np.ndarray:
        """(0, √(2/(εβ)) dw)."""
        kick = amplitude(self.beta, t, 1.0 / self.epsilon) * dw
        return np.concatenate([0.0 * x[: self.dimension], kick])

    def expand(self, values: Array) -> Array:
        """X alone is completed by Y = X, in the heat form by 0."""
        if values.shape[-1:] == (self.dimension,):
            return np.concatenate([values, 0.0 * values if self.form == "heat" else values], axis=-1)
        return values


@dataclass(frozen=True)
class Elastic(System):
    """Elastic-SGD's particles: n workers tied to a leader, whose drift is -∇f_γ for every n when they are fast.

        dX = -(X - Ȳ)/γ dt,   dYᵢ = -(1/ε)(∇f(Yᵢ) + (Yᵢ - X)/γ) dt + √(2/(εβ)) dBᵢ    tie="leader", state (X, Y₁..Y_n)
                              dYᵢ = -(1/ε)(∇f(Yᵢ) + (Yᵢ - Ȳ)/γ) dt + √(2/(εβ)) dBᵢ    tie="mean",   state (Y₁..Y_n)

    With the leader, the workers are independent samples of ρ_1(.; X): n divides the variance of Ȳ by n and changes
    nothing else. Tied to their own mean (as (4.25) prints it) they sample exp(-β Σᵢ(f(yᵢ) + |yᵢ - ȳ|²/(2γ))) and their
    mean follows another equation (claim E4.26C). Chaudhari, thesis (4.24)-(4.26), corrected.

    Initial values: one point (d,) for all particles, or all components. More than 8 workers run through NumPy.

    Parameters
    ----------
    loss : Loss
    gamma, beta : float > 0 or a function of time
    workers : int >= 1
        n.
    epsilon : float > 0
        Time scale of the workers.
    tie : "leader" or "mean"

    Raises
    ------
    ValueError
        Numbers out of range, an unknown tie.

    Examples
    --------
    >>> import pdelab as pl
    >>> system = Elastic(pl.losses.quadratic(1.0), gamma=1.0, beta=10.0, workers=4, epsilon=0.01)
    >>> run = pl.simulate(system, 2.0, t=1.0, dt=0.001, paths=100, seed=0)
    >>> run.states.shape, bool(abs(run.mean[-1, 0] - 2 * np.exp(-0.5)) < 0.05)             # the leader and four workers
    ((2, 100, 5), True)
    """

    loss: Loss
    gamma: object
    beta: object
    workers: int
    epsilon: float = 1.0
    tie: str = "leader"

    def __post_init__(self):
        a_loss(self.loss)
        object.__setattr__(self, "gamma", parameter("gamma", self.gamma))
        object.__setattr__(self, "beta", parameter("beta", self.beta, infinite=True))
        object.__setattr__(self, "workers", checks.whole("workers", self.workers))
        object.__setattr__(self, "epsilon", checks.positive("epsilon", self.epsilon))
        checks.choice("tie", self.tie, ("leader", "mean"))

    @property
    def state_size(self) -> int:
        """d (n + 1) with a leader, d n without."""
        return self.dimension * (self.workers + (self.tie == "leader"))

    @property
    def wieners(self) -> int:
        """d n."""
        return self.dimension * self.workers

    def drift(self, x: np.ndarray, t: float) -> np.ndarray:
        """The leader's drift (if there is one) and those of the workers.

        Raises
        ------
        NotTraceable
            More workers than a compiled step is written out for.
        """
        d, n, gamma = self.dimension, self.workers, at(self.gamma, t, "gamma")
        if x.dtype == object and n > TRACED_WORKERS:
            raise NotTraceable
        workers = x[-d * n :].reshape(n, d, *x.shape[1:])
        mean = workers.sum(axis=0) * (1.0 / n)
        centre = x[:d] if self.tie == "leader" else mean
        force = self._forces(workers)
        pull = (workers - centre) * (1.0 / gamma)
        fast = ((force + pull) * (-1.0 / self.epsilon)).reshape(d * n, *x.shape[1:])
        return np.concatenate([(mean - centre) * (1.0 / gamma), fast]) if self.tie == "leader" else fast

    def _forces(self, workers):
        if workers.dtype == object:
            return np.array([gradient(self.loss, y) for y in workers])
        n, d, count = workers.shape
        flat = np.moveaxis(workers, 1, 0).reshape(d, n * count)
        return np.moveaxis(gradient(self.loss, flat).reshape(d, n, count), 0, 1)

    def noise_term(self, x: np.ndarray, t: float, dw: np.ndarray) -> np.ndarray:
        """√(2/(εβ)) dw for the workers."""
        kick = amplitude(self.beta, t, 1.0 / self.epsilon) * dw
        return kick if self.tie == "mean" else np.concatenate([0.0 * x[: self.dimension], kick])

    def expand(self, values: Array) -> Array:
        """One point is the start of every particle."""
        if values.shape[-1:] == (self.dimension,):
            return np.concatenate([values] * (self.state_size // self.dimension), axis=-1)
        return values


# ------------------------------------------------------------------------------------- algorithms with L inner steps


@dataclass(frozen=True)
class EntropyDescent(System):
    """Entropy-SGD in low dimension: L inner steps of Langevin dynamics, their average, one outer step.

        y <- y - η(∇f(y) + (y - x)/γ) + √(2η/β) N(0, I),     z <- (1 - a) z + a y,     L times, from y = z = x
        x <- x - r (x - z)                                                             once

    η is the step `dt` of `simulate`; the state is (x, y, z). a = averaging is the weight of the NEW iterate; None
    is the plain mean of the L iterates. β = inf is the Hamilton-Jacobi (non-viscous) loop; r = 0 keeps x: a sampler.

    Chaudhari, thesis Algorithm 2 and (4.39)-(4.40), traffic paper (5.18)-(5.19), with the noise √(2η/β) that ρ_1 needs.

    Parameters
    ----------
    loss : Loss
    gamma, beta : float > 0 or a function of time
        Scope and inverse temperature.
    inner_steps : int >= 1
        L.
    lr : float >= 0
        r.
    averaging : float in (0, 1] or None
        a.

    Raises
    ------
    ValueError
        Numbers out of range; later, another scheme than its own.

    Good values
    -----------
    inner_steps : so many that L η is a few times γ, the time in which y forgets where it began; fewer leave the
        estimate between x and z, with a gradient that is too small.
    averaging : 0.75 follows the last few iterates; None averages all, with the least noise and the start in it.

    Examples
    --------
    >>> import pdelab as pl
    >>> loop = EntropyDescent(pl.losses.quadratic(1.0), gamma=1.0, beta=1e6, inner_steps=100, lr=1.0)
    >>> run = pl.simulate(loop, 2.0, t=10.0, dt=0.1, paths=1, seed=0)
    >>> run.states.shape, round(float(run.final[0, 0]), 2)               # one outer step: x -> prox(x) = x/(1 + γ)
    ((2, 1, 3), 1.0)
    """

    loss: Loss
    gamma: object
    beta: object
    inner_steps: int
    lr: float = 1.0
    averaging: float | None = 0.75

    def __post_init__(self):
        a_loss(self.loss)
        object.__setattr__(self, "gamma", parameter("gamma", self.gamma))
        object.__setattr__(self, "beta", parameter("beta", self.beta, infinite=True))
        object.__setattr__(self, "inner_steps", checks.whole("inner_steps", self.inner_steps))
        object.__setattr__(self, "lr", checks.nonnegative("lr", self.lr))
        object.__setattr__(self, "averaging", _averaging(self.averaging))

    @property
    def state_size(self) -> int:
        """3d: x, y, z."""
        return 3 * self.dimension

    @property
    def default_scheme(self) -> Callable[..., np.ndarray]:
        """The loop itself."""
        return inner_and_outer

    def compiled(self, scheme: Callable[..., np.ndarray], dt: float, refine: int, dtype: Any) -> Any:
        """The compiled loop.

        Parameters
        ----------
        scheme : function
            Only `inner_and_outer`: any other would leave x and z where they are.
        dt, refine, dtype
            As for `System`.

        Returns
        -------
        (kernel, numbers, schedules)

        Raises
        ------
        ValueError
            Another scheme.
        """
        if scheme is not inner_and_outer:
            raise ValueError("scheme: EntropyDescent has only its own step, homogenization.inner_and_outer")
        return super().compiled(scheme, dt, refine, dtype)

    def expand(self, values: Array) -> Array:
        """x alone is completed by y = z = x."""
        if values.shape[-1:] == (self.dimension,):
            return np.concatenate([values] * 3, axis=-1)
        return values

    def drift(self, x: np.ndarray, t: float) -> np.ndarray:
        """-∇f(y) - (y - x)/γ for y, nothing for x and z."""
        d = self.dimension
        x, y = x[:d], x[d : 2 * d]
        pull = (x - y) * (1.0 / at(self.gamma, t, "gamma"))
        return np.concatenate([0.0 * x, pull - gradient(self.loss, y), 0.0 * x])

    def noise_term(self, x: np.ndarray, t: float, dw: np.ndarray) -> np.ndarray:
        """√(2/β) dw for y."""
        return np.concatenate([0.0 * dw, amplitude(self.beta, t) * dw, 0.0 * dw])


def _averaging(weight):
    return None if weight is None else checks.within("averaging", weight, 0.0, 1.0, "(]")


def inner_and_outer(sde: EntropyDescent, x: np.ndarray, t: float, dt: float, noise: Any) -> np.ndarray:
    """One step of `EntropyDescent`: an inner step, and the outer one when it was the last of its L.

    Parameters
    ----------
    sde : EntropyDescent
    x, t, dt, noise
        As for the schemes of `pdelab.paths`; dt is η.

    Returns
    -------
    array (3 d, paths)

    Raises
    ------
    ValueError
        Another equation than EntropyDescent.

    Examples
    --------
    >>> import pdelab as pl
    >>> loop = EntropyDescent(pl.losses.quadratic(1.0), gamma=1.0, beta=math.inf, inner_steps=2, lr=0.0)
    >>> pl.simulate(loop, 1.0, t=0.1, dt=0.1, paths=1, seed=0, scheme=inner_and_outer).final.ravel()      # x, y, z
    array([1.   , 0.9  , 0.925])
    """
    if not isinstance(sde, EntropyDescent):
        raise ValueError(f"inner_and_outer: expected an EntropyDescent, got {type(sde).__name__}")
    d = sde.dimension
    weight, first, last = (at(function, t) for function in _clock(sde, dt))
    x, y, z = x[:d], x[d : 2 * d], x[2 * d :]
    start = np.concatenate([x, y + (x - y) * first, z + (x - z) * first])
    moved = start + sde.drift(start, t) * dt + sde.noise_term(start, t, noise.dw)
    y, z = moved[d : 2 * d], moved[2 * d :]
    z = z + (y - z) * weight
    return np.concatenate([x + (z - x) * (last * sde.lr), y, z])


def _clock(sde, dt):
    """Functions of time: the weight of the new iterate, and 1 (else 0) at the first and at the last step of a round."""

    def count(t):
        return round(t / dt) % sde.inner_steps + 1

    weight = (lambda t: 1.0 / count(t)) if sde.averaging is None else (lambda t: sde.averaging)
    return weight, lambda t: float(count(t) == 1), lambda t: float(count(t) == sde.inner_steps)


def inner_gradient(
    loss: Loss,
    x: ArrayLike,
    *,
    gamma: float,
    beta: float,
    step: float,
    inner_steps: int,
    averaging: float = 0.75,
    paths: int = 10_000,
    seed: int,
    threads: int | None = None,
) -> tuple[Any, Any]:
    """Estimate ∇f_γ(x) by L inner steps: mean and standard error of (x - z_L)/γ over independent runs.

    Parameters
    ----------
    loss : Loss
    x : float or (d,)
    gamma, beta, step, inner_steps, averaging
        As in `EntropyDescent`; step is η.
    paths, seed, threads
        As in `simulate`.

    Returns
    -------
    (mean, standard_error) : floats, or (d,)

    Raises
    ------
    ValueError
        Numbers out of range, what is no Loss.

    Examples
    --------
    >>> import pdelab as pl
    >>> loop = {"gamma": 1.0, "beta": 10.0, "step": 0.1, "inner_steps": 60}
    >>> mean, error = inner_gradient(pl.losses.quadratic(1.0), 1.0, **loop, seed=0)
    >>> bool(abs(mean - 0.5) < 4 * error)
    True
    """
    gamma = checks.positive("gamma", gamma)
    sde = EntropyDescent(loss, gamma, beta, inner_steps, lr=0.0, averaging=averaging)
    run = simulate(sde, x, inner_steps * step, step, paths=paths, seed=seed, threads=threads, store=False)
    d = loss.dimension
    mean, error = run.mean[-1][2 * d :], run.standard_error[-1][2 * d :]
    estimate, error = (np.asarray(x, float) - mean) / gamma, error / gamma
    return (float(estimate[0]), float(error[0])) if d == 1 else (estimate, error)


def inner_expectation(
    loss: Loss,
    x: float,
    *,
    gamma: float,
    beta: float,
    step: float,
    inner_steps: int,
    averaging: float = 0.75,
    nodes: int = 801,
) -> Array:
    """The exact mean of the estimate of `inner_gradient` in one dimension, for every number of inner steps up to L.

    The density of the inner iterate is carried by the transfer operator of Euler-Maruyama, a Gaussian of variance
    2η/β about y - ηH'(y), on a grid around ρ_1.

    Parameters
    ----------
    loss : Loss of one variable
    x : float
    gamma, beta, step, inner_steps, averaging
        As in `EntropyDescent`; step is η.
    nodes : int
        Of the grid around ρ_1.

    Returns
    -------
    array (inner_steps,)
        E (x - z_k)/γ for k = 1..L.

    Raises
    ------
    ValueError
        Not one dimension; a step too small for the grid, or too large to be stable.

    Examples
    --------
    >>> import pdelab as pl
    >>> means = inner_expectation(pl.losses.quadratic(1.0), 1.0, gamma=1.0, beta=10.0, step=0.1, inner_steps=60)
    >>> round(float(means[-1]), 4)                                       # f_γ' = x/(1 + γ)
    0.5
    """
    _averaging(averaging)
    y, move = _transfer(loss, float(x), gamma, beta, step, nodes)
    kick = math.sqrt(2 * step / beta)
    start = float(x) - step * loss.gradient(float(x))
    density = np.exp(-((y - start) ** 2) / (2 * kick**2))
    density /= density.sum()
    z, estimates = float(x), []
    for k in range(1, checks.whole("inner_steps", inner_steps) + 1):
        weight = 1.0 / k if averaging is None else averaging
        z += weight * (y @ density - z)
        estimates.append((x - z) / gamma)
        density = move @ density
    return np.array(estimates)


def inner_bias(loss: Loss, x: float, *, gamma: float, beta: float, step: float, nodes: int = 801) -> float:
    """Bias of <y> under infinitely many inner steps: the mean of Euler-Maruyama's own invariant law minus that of ρ_1.

    It is O(η) and remains however many inner steps are taken. One dimension, by the transfer operator.

    Parameters
    ----------
    loss : Loss of one variable
    x : float
    gamma, beta, step
        As in `EntropyDescent`; step is η.
    nodes : int
        Of the grid around ρ_1.

    Returns
    -------
    float

    Examples
    --------
    >>> import pdelab as pl
    >>> f = pl.Loss("x**2/2 + 0.1*cos(3*x)")
    >>> biases = [inner_bias(f, 1.0, gamma=1.0, beta=2.0, step=step) for step in (0.1, 0.05)]
    >>> round(biases[0] / biases[1], 1)                                  # O(η)
    2.1
    """
    y, move = _transfer(loss, float(x), gamma, beta, step, nodes)
    equations = move - np.eye(len(y))
    equations[-1] = 1.0  # in place of an equation that the others imply: the masses sum to one
    density = np.linalg.solve(equations, np.eye(len(y))[-1])
    return float(y @ density - (x - gamma * local_entropy_gradient(loss, float(x), gamma, beta)))


def _transfer(loss, x, gamma, beta, step, nodes):
    """Nodes around ρ_1 and the matrix that carries node masses one inner step on."""
    if a_loss(loss).dimension != 1:
        raise ValueError(f"loss: expected one dimension, got {loss.dimension}")
    for value, name in ((gamma, "gamma"), (beta, "beta"), (step, "step")):
        checks.positive(name, value)
    mean = x - gamma * local_entropy_gradient(loss, x, gamma, beta)
    spread = math.sqrt(gamma / beta * (1.0 - gamma * float(local_entropy_hessian(loss, x, gamma, beta))))
    kick = math.sqrt(2 * step / beta)
    low, high = min(x, mean) - 9 * spread - 6 * kick, max(x, mean) + 9 * spread + 6 * kick
    y = np.linspace(low, high, nodes)
    if kick < 1.2 * (y[1] - y[0]):
        raise ValueError(f"step: {step} is too small for {nodes} nodes: its noise is narrower than their distance")
    mean = y - step * (loss.gradient(y) + (y - x) / gamma)
    if mean.min() < low or mean.max() > high:
        raise ValueError(f"step: {step} is too large, inner steps leave the region of the invariant law")
    move = np.exp(-((y[:, None] - mean) ** 2) / (2 * kick**2))
    return y, move / move.sum(axis=0)


def hamilton_jacobi_steps(
    loss: Loss, x: ArrayLike, *, gamma: float, step: float, inner_steps: int
) -> tuple[Array, Array]:
    """The noise-free inner loop y <- (1 - η/γ) y + η ∇f(x - y) from 0: (y, ∇f(x - y)) after L steps.

    Its fixed point is y = x - prox_{γf}(x), where y/γ = ∇f(x - y) = ∇u(x, γ) of the Hopf-Lax formula. Thesis (4.42).
    x: float or (n,), in more dimensions (n, d).

    Parameters
    ----------
    loss : Loss
    x : float or (n,), in more dimensions (n, d)
    gamma : float > 0
    step : float > 0
        η.
    inner_steps : int >= 1
        L.

    Returns
    -------
    (y, slope) : arrays of the shape of x
        y, and ∇f(x - y).

    Raises
    ------
    ValueError
        Numbers out of range.

    Warns
    -----
    AccuracyWarning
        f(x - y) + |y|²/(2γ) is larger than f(x) somewhere: the loop, its gradient descent, does not go down. It does
        for η < 2/(1/γ + L), L the largest curvature of f.

    Examples
    --------
    >>> import pdelab as pl
    >>> y, slope = hamilton_jacobi_steps(pl.losses.quadratic(1.0), np.array([2.0]), gamma=1.0, step=0.5, inner_steps=60)
    >>> y.round(6), slope.round(6)                                       # x - prox = 1, ∇u = 1
    (array([1.]), array([1.]))
    """
    gamma, step = checks.positive("gamma", gamma), checks.positive("step", step)
    x = np.asarray(x, float)
    y, start = np.zeros_like(x), a_loss(loss)(x)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(checks.whole("inner_steps", inner_steps)):
            y = (1.0 - step / gamma) * y + step * loss.gradient(x - y)
        end = loss(x - y) + (y**2 if loss.dimension == 1 else (y**2).sum(-1)) / (2.0 * gamma)
        slope = loss.gradient(x - y)
    if not np.all(end <= start + 1e-12 * (1.0 + np.abs(start))):
        warnings.warn(
            f"step: with {step:g} the loop does not go down: take less than 2/(1/gamma + L), L the largest curvature",
            checks.AccuracyWarning,
            stacklevel=2,
        )
    return y, slope


def heat_gradient(loss: Loss, x: ArrayLike, *, gamma: float, beta: float, samples: int, seed: int) -> tuple[Any, Any]:
    """Mean and standard error of ∇f(x + N(0, γ/β I)): an estimate of ∇(G_{γ/β} * f)(x). Thesis (4.43), there β = 1.

    Parameters
    ----------
    loss : Loss
    x : float or (d,)
    gamma, beta : float > 0
    samples : int >= 2
    seed : int

    Returns
    -------
    (mean, standard_error) : floats, or arrays (d,)

    Raises
    ------
    ValueError
        Numbers out of range.

    Examples
    --------
    >>> import pdelab as pl
    >>> mean, error = heat_gradient(pl.Loss("cos(x)"), 1.0, gamma=1.0, beta=2.0, samples=4000, seed=0)
    >>> bool(abs(mean + np.sin(1.0) * np.exp(-0.25)) < 4 * error)
    True
    """
    d = a_loss(loss).dimension
    gamma, beta = checks.positive("gamma", gamma), checks.positive("beta", beta, infinite=True)
    z = normals(seed, checks.whole("samples", samples, least=2), 1, d)[0]
    if np.shape(x) not in ((), (d,)[: d - 1]):
        raise ValueError(f"x: expected {'a number' if d == 1 else f'shape ({d},)'}, got shape {np.shape(x)}")
    points = np.asarray(x, float) + math.sqrt(gamma / beta) * (z[0] if d == 1 else z.T)
    values = loss.gradient(points)
    return values.mean(axis=0), values.std(axis=0, ddof=1) / math.sqrt(samples)


def scope(start: float, end: float, time: float) -> Callable[[float], float]:
    """Scoping, a function of time for the `gamma` above: γ(t) = start (end/start)^{t/time}, and `end` from then on.

    Parameters
    ----------
    start, end : float > 0
        γ at 0 and from `time` on.
    time : float > 0

    Returns
    -------
    function of time

    Raises
    ------
    ValueError
        Numbers that are not > 0.

    Examples
    --------
    >>> gamma = scope(1.0, 0.01, 10.0)
    >>> round(gamma(5.0), 12), gamma(20.0)
    (0.1, 0.01)
    """
    start, end, time = (checks.positive(n, v) for v, n in ((start, "start"), (end, "end"), (time, "time")))
    return lambda t: start * (end / start) ** min(t / time, 1.0)


__all__ = [
    "Elastic", "EntropyDescent", "FastSlow", "hamilton_jacobi_steps", "heat_gradient", "homogenized",
    "inner_and_outer", "inner_bias", "inner_expectation", "inner_gradient", "scope",
]  # fmt: skip
