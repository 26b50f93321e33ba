"""Schemes: one step of a stochastic equation, as functions (sde, x, t, dt, noise) -> the state at t + dt.

`x` has the components (d, paths); `noise.dw` the increments of the Wiener processes (m, paths), `noise.dz` the
integrals ∫(W_s - W_t)ds over the step, `noise.next_dw` the increments of the step that follows, `noise.signs` random
signs ±1 instead. A function written
with these and NumPy's arithmetic is compiled when the equation is made of formulas; your own may stand beside them.

| scheme | for | strong order | weak order |
|---|---|---|---|
| `euler_maruyama` | any equation | 1/2, additive noise 1 | 1 |
| `milstein`, `derivative_free_milstein` | diagonal, scalar or commutative noise | 1 | 1 |
| `heun` | any equation, at its best for Stratonovich | 1 for commutative noise, else 1/2 | 1, additive noise 2 |
| `sra1` | additive noise | 3/2 | 2 |
| `leimkuhler_matthews` | additive noise, averages at equilibrium | 1/2 | 1; the invariant law to order 2 |
| `baoab` | `Underdamped` | 1 | 2 |
| `exponential` | drift with a linear part, stiff | 1 | 1 |
| `implicit` | `Langevin`, stiff | 1 | 1 |
| `weak_euler` | any equation, expectations only, random signs for normals | none | 1 |

With additive noise Milstein's scheme is Euler-Maruyama: the "Milstein" of the traffic paper (5.18) is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pdelab.paths.terms import amplitude

__all__ = [
    "SCHEMES", "baoab", "derivative_free_milstein", "euler_maruyama", "exponential", "heun", "implicit",
    "ito_drift", "leimkuhler_matthews", "linear_weights", "milstein", "sra1", "stratonovich_drift", "weak_euler",
]  # fmt: skip


def euler_maruyama(sde: Any, x: np.ndarray, t: float, dt: float, noise: Any) -> np.ndarray:
    """x + b dt + σ ΔW with the drift of Ito: strong order 1/2 (1 with additive noise), weak order 1.

    Examples
    --------
    >>> import pdelab as pl
    >>> pl.simulate(pl.Diffusion("-x", 0.0), 1.0, t=0.2, dt=0.1, seed=0, scheme=euler_maruyama).final        # (1 - dt)²
    array([0.81])
    """
    return x + ito_drift(sde, x, t) * dt + sde.noise_term(x, t, noise.dw)


def weak_euler(sde: Any, x: np.ndarray, t: float, dt: float, noise: Any) -> np.ndarray:
    """x + b dt ± σ √dt with random signs, one bit a step: weak order 1, no strong order (refine is refused).

    Expectations as by Euler-Maruyama at a fraction of its cost. Kloeden & Platen (1992), 14.1.

    Examples
    --------
    >>> import pdelab as pl
    >>> wiener = pl.Diffusion(0.0, 1.0, dimension=1)
    >>> run = pl.simulate(wiener, 0.0, t=0.25, dt=0.25, paths=100, seed=0, scheme=weak_euler)
    >>> sorted(set(run.final.tolist()))                                  # ±√dt
    [-0.5, 0.5]
    """
    return x + ito_drift(sde, x, t) * dt + sde.noise_term(x, t, np.sqrt(dt) * noise.signs)


def milstein(sde: Any, x: np.ndarray, t: float, dt: float, noise: Any) -> np.ndarray:
    """Euler-Maruyama + ½ Σ_jk L^j σ_k (ΔW_j ΔW_k - δ_jk dt), L^j = Σ_i σ_ij ∂_i: strong order 1.

    For diagonal noise with σ_i(x_i), for one Wiener process and for commutative noise (L^j σ_k = L^k σ_j, checked at
    the initial states). Other noise needs the iterated integrals ∫W_j dW_k, which are not offered: refused. With
    additive noise this is Euler-Maruyama. Derivatives are exact for formulas, central differences for functions.
    Kloeden & Platen, Numerical Solution of Stochastic Differential Equations (1992), 10.3.

    Raises
    ------
    ValueError
        Noise that does not commute.

    Examples
    --------
    >>> import pdelab as pl
    >>> gbm = pl.Diffusion("x/2", "x")                                   # x(1) = e^W
    >>> run = pl.simulate(gbm, 1.0, t=1.0, dt=0.01, paths=500, seed=0, scheme=milstein)
    >>> exact = np.exp(run.increments().sum(axis=0))
    >>> euler = pl.simulate(gbm, 1.0, t=1.0, dt=0.01, paths=500, seed=0)
    >>> bool(abs(run.final - exact).mean() < 0.2 * abs(euler.final - exact).mean())
    True
    """
    euler = euler_maruyama(sde, x, t, dt, noise)
    if sde.kind == "additive":
        return euler
    dw = noise.dw
    if sde.kind == "diagonal":
        return euler + 0.5 * sde.slope(x, t) * (dw**2 - dt)
    for j in range(sde.wieners):
        for k in range(sde.wieners):
            euler = euler + 0.5 * sde.along(x, t, j, k) * (dw[j] * dw[k] - (dt if j == k else 0.0))
    return euler


def derivative_free_milstein(sde: Any, x: np.ndarray, t: float, dt: float, noise: Any) -> np.ndarray:
    """Milstein with ½ (σ(x + b dt + σ√dt) - σ(x)) (ΔW² - dt)/√dt for the derivative: diagonal or scalar noise, order 1.

    Kloeden & Platen (1992), 11.1.

    Raises
    ------
    ValueError
        General noise; diagonal noise that does not commute.

    Examples
    --------
    >>> import pdelab as pl
    >>> gbm = pl.Diffusion("x/2", "x")
    >>> both = [pl.simulate(gbm, 1.0, t=1.0, dt=0.01, paths=100, seed=0, scheme=scheme).final
    ...         for scheme in (milstein, derivative_free_milstein)]
    >>> bool(abs(both[0] / both[1] - 1).max() < 0.02)
    True
    """
    if sde.kind == "general":
        raise ValueError("derivative_free_milstein: expected diagonal or scalar noise: use milstein")
    if sde.kind == "additive":
        return euler_maruyama(sde, x, t, dt, noise)
    drift, sigma, dw = ito_drift(sde, x, t), sde.sigma(x, t), noise.dw
    step = x + drift * dt + sigma * dw
    support = x + drift * dt + sigma * np.sqrt(dt)
    return step + (sde.sigma(support, t) - sigma) * (dw**2 - dt) * (0.5 / np.sqrt(dt))


def heun(sde: Any, x: np.ndarray, t: float, dt: float, noise: Any) -> np.ndarray:
    """x̃ = x + b dt + σ ΔW, then the mean of both ends' b dt + σ ΔW: the Stratonovich solution.

    Other interpretations are converted. Additive noise: weak order 2. Kloeden & Platen (1992), 15.1.

    Examples
    --------
    >>> import pdelab as pl
    >>> sde = pl.Diffusion(0.0, "x", interpretation="stratonovich")      # x(1) = e^W
    >>> run = pl.simulate(sde, 1.0, t=1.0, dt=0.01, paths=200, seed=0, scheme=heun)
    >>> bool(abs(run.final / np.exp(run.increments().sum(axis=0)) - 1).max() < 0.05)
    True
    """
    drift, dw = stratonovich_drift(sde, x, t), noise.dw
    predicted = x + drift * dt + sde.noise_term(x, t, dw)
    kick = 0.5 * (sde.noise_term(x, t, dw) + sde.noise_term(predicted, t + dt, dw))
    return x + 0.5 * (drift + stratonovich_drift(sde, predicted, t + dt)) * dt + kick


def sra1(sde: Any, x: np.ndarray, t: float, dt: float, noise: Any) -> np.ndarray:
    """x + (b(x) + 2 b(x + ¾ b dt + (3/2) σ ΔZ/dt)) dt/3 + σ ΔW: additive noise, strong order 3/2.

    ΔZ = ∫(W_s - W_t)ds. Rößler, SIAM J. Numer. Anal. 48 (2010), scheme SRA1; σ may depend on time.

    Raises
    ------
    ValueError
        Noise that is not additive.

    Examples
    --------
    >>> import pdelab as pl
    >>> sde, run = pl.Diffusion("-x", 1.0), {"t": 1.0, "paths": 200, "seed": 0}
    >>> fine = pl.simulate(sde, 1.0, dt=0.001, **run).final
    >>> errors = [abs(pl.simulate(sde, 1.0, dt=0.1, refine=100, scheme=scheme, **run).final - fine).mean()
    ...           for scheme in (euler_maruyama, sra1)]
    >>> bool(errors[1] < 0.1 * errors[0])
    True
    """
    _additive(sde, "sra1")
    drift, dz = sde.drift(x, t), noise.dz
    inner = x + 0.75 * dt * drift + (1.5 / dt) * sde.noise_term(x, t, dz)
    kick = sde.noise_term(x, t + dt, noise.dw) + (sde.noise_term(x, t, dz) - sde.noise_term(x, t + dt, dz)) * (1.0 / dt)
    return x + (drift + 2.0 * sde.drift(inner, t + 0.75 * dt)) * (dt / 3.0) + kick


def leimkuhler_matthews(sde: Any, x: np.ndarray, t: float, dt: float, noise: Any) -> np.ndarray:
    """x + b dt + σ (ΔW_k + ΔW_{k+1})/2: each increment is used twice; averages at equilibrium have an error O(dt²).

    Same cost as Euler-Maruyama, whose error there is O(dt). Leimkuhler & Matthews, Appl. Math. Res. Express (2013).

    Examples
    --------
    >>> import pdelab as pl
    >>> sde = pl.Langevin(pl.Loss("x**2/2"), beta=1.0)
    >>> run = {scheme: pl.simulate(sde, 0.0, t=20.0, dt=0.5, paths=20000, seed=0, scheme=scheme).variance[-1]
    ...        for scheme in (euler_maruyama, leimkuhler_matthews)}
    >>> bool(abs(run[euler_maruyama] - 4 / 3) < 0.05)                    # 1/(1 - dt/2)
    True
    >>> bool(abs(run[leimkuhler_matthews] - 1) < 0.05)
    True
    """
    _additive(sde, "leimkuhler_matthews")
    return x + sde.drift(x, t) * dt + 0.5 * sde.noise_term(x, t, noise.dw + noise.next_dw)


def baoab(sde: Any, x: np.ndarray, t: float, dt: float, noise: Any) -> np.ndarray:
    """Half kick, half drift, exact Ornstein-Uhlenbeck step of the momenta, half drift, half kick; for `Underdamped`.

    Weak order 2; the law of the positions at equilibrium has an error O(dt²), exact for quadratic losses at any
    stable step (dt < 2/ω). That of the momenta has an error O(dt²) even then: for f = ω²q²/2 their variance is
    (1 - (ω dt/2)²)/β in place of 1/β. A β that moves is taken at the middle of the step. Leimkuhler & Matthews, Appl.
    Math. Res. Express (2013).

    Raises
    ------
    ValueError
        Another equation than `Underdamped`.

    Examples
    --------
    >>> import pdelab as pl
    >>> sde = pl.Underdamped(pl.Loss("x**2/2"), beta=1.0, friction=1.0)
    >>> run = pl.simulate(sde, 0.0, t=20.0, dt=1.0, paths=10000, seed=0, scheme=baoab)
    >>> bool(abs(run.variance[-1, 0] - 1) < 0.06), bool(abs(run.variance[-1, 1] - 0.75) < 0.06)       # 1, 1 - (dt/2)²
    (True, True)
    """
    if not sde.has_momenta:
        raise ValueError(f"baoab: expected an Underdamped equation, got {type(sde).__name__}: use euler_maruyama")
    d, decay = sde.dimension, np.exp(-sde.friction * dt)
    q, p = x[:d], x[d:]
    p = p + sde.force(q) * (0.5 * dt)
    q = q + p * (0.5 * dt)
    p = p * decay + amplitude(sde.beta, t + 0.5 * dt, 0.5 * (1.0 - decay**2)) * noise.normals
    q = q + p * (0.5 * dt)
    p = p + sde.force(q) * (0.5 * dt)
    return np.concatenate([q, p])


def exponential(sde: Any, x: np.ndarray, t: float, dt: float, noise: Any) -> np.ndarray:
    """e^{-λdt} x + (1 - e^{-λdt})/λ b + ((1 - e^{-2λdt})/(2λ dt))^½ σ ΔW for a drift b - λx: exact when b is constant.

    Stable for any λ dt; strong and weak order 1 with additive noise.

    Raises
    ------
    ValueError
        An equation without a linear part, or not in the sense of Ito.

    Examples
    --------
    >>> import pdelab as pl
    >>> stiff = pl.Diffusion(1.0, 0.0, linear=100.0, dimension=1)        # dx = (1 - 100 x) dt
    >>> pl.simulate(stiff, 1.0, t=1.0, dt=0.5, seed=0, scheme=exponential).final
    array([0.01])
    """
    if sde.linear is None or sde.kind == "general":
        raise ValueError("exponential: expected an equation with a linear part (Diffusion(..., linear=), FastSlow)")
    if sde.interpretation != "ito" and sde.kind != "additive":
        raise ValueError("exponential: expected an equation in the sense of Ito")
    rates = [linear_weights(rate, dt) for rate in sde.linear_rates(t)]
    decay, drift, kick = (_stack([r[k] for r in rates], x) for k in range(3))
    return decay * x + drift * sde.rest(x, t) + kick * sde.noise_term(x, t, noise.dw)


def linear_weights(rate, dt):
    """e^{-λdt}, (1 - e^{-λdt})/λ and ((1 - e^{-2λdt})/(2λ dt))^½, with their limits at λ = 0."""
    if isinstance(rate, float) and rate == 0.0:
        return 1.0, dt, 1.0
    decay = np.exp(-rate * dt)
    return decay, -np.expm1(-rate * dt) / rate, np.sqrt(-np.expm1(-2.0 * rate * dt) / (2.0 * rate * dt))


def implicit(sde: Any, x: np.ndarray, t: float, dt: float, noise: Any) -> np.ndarray:
    """y = x - ∇f(y) dt + σ ΔW by three Newton steps with the Hessian: `Langevin`, stable where Euler-Maruyama is not.

    Solvable for every step when f is convex, otherwise for dt λ_max(-Hess f) < 1. Strong order 1. A step costs about
    d³ operations a path.

    Raises
    ------
    ValueError
        Another equation than `Langevin`.

    Examples
    --------
    >>> import pdelab as pl
    >>> stiff = pl.Langevin(pl.losses.quadratic(100.0), beta=np.inf)
    >>> (pl.simulate(stiff, 1.0, t=0.1, dt=0.1, seed=0, scheme=implicit).final * 11).round(9)         # 1/(1 + 100 dt)
    array([1.])
    """
    if sde.drift_jacobian is None:
        raise ValueError(
            f"implicit: expected Langevin dynamics, got {type(sde).__name__}: use the scheme that it takes by default"
        )
    target, d = x + sde.noise_term(x, t, noise.dw), len(x)
    identity = np.eye(d).reshape(d, d, *(1,) * (x.ndim - 1))
    y = x
    for _ in range(3):
        y = y - _solved(identity - dt * sde.drift_jacobian(y, t), y - dt * sde.drift(y, t) - target)
    return y


def _solved(matrix, right):
    """Components (d, ...) of A⁻¹ b for symmetric positive definite A (d, d, ...): elimination without pivots."""
    matrix, right = matrix.copy(), right.copy()
    for k in range(len(right)):
        for i in range(k + 1, len(right)):
            factor = matrix[i, k] / matrix[k, k]
            matrix[i, k:] = matrix[i, k:] - factor * matrix[k, k:]
            right[i] = right[i] - factor * right[k]
    for k in reversed(range(len(right))):
        right[k] = (right[k] - (matrix[k, k + 1 :] * right[k + 1 :]).sum(axis=0)) / matrix[k, k]
    return right


# ------------------------------------------------------------------------------------------------------ helpers


def ito_drift(sde, x, t):
    """The drift that Ito's equation has: b + α Σ_jk σ_kj ∂_k σ_ij."""
    if sde.kind == "additive" or sde.alpha == 0.0:
        return sde.drift(x, t)
    return sde.drift(x, t) + sde.alpha * sde.bend(x, t)


def stratonovich_drift(sde, x, t):
    """The drift that Stratonovich's equation has: b + (α - 1/2) Σ_jk σ_kj ∂_k σ_ij."""
    if sde.kind == "additive" or sde.alpha == 0.5:
        return sde.drift(x, t)
    return sde.drift(x, t) + (sde.alpha - 0.5) * sde.bend(x, t)


def _additive(sde, name):
    if sde.kind != "additive":
        raise ValueError(f"{name}: expected additive noise, got {sde.kind} noise: use milstein or euler_maruyama")


def _stack(values, x):
    """One number (or schedule) a component, shaped to multiply x."""
    if x.dtype == object:
        column = np.empty(len(values), object)
        column[:] = values
        return column
    return np.array(values, float).reshape(-1, *(1,) * (x.ndim - 1))


def _check_commutes(sde, x):
    """Raised before the first step."""
    if not getattr(sde, "commutes", lambda x: True)(x):
        raise ValueError(
            "scheme: this noise does not commute, so that Milstein's needs the iterated integrals of pairs of Wiener "
            "processes, which are not offered: use euler_maruyama or heun (strong order 1/2)"
        )


milstein.check = derivative_free_milstein.check = _check_commutes  # type: ignore[attr-defined]

SCHEMES = {
    function.__name__: function
    for function in (
        euler_maruyama, weak_euler, milstein, derivative_free_milstein, heun, sra1, leimkuhler_matthews, baoab,
        exponential, implicit,
    )
}  # fmt: skip
