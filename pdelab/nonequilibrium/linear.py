"""The linear case in closed form: dX = -F X dt + sqrt(2 D/β) dW, F = (D + Q) U (thesis, Lemma 6.44)."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg as dense

from pdelab import checks
from pdelab.hints import Array

__all__ = ["Linear", "linear"]

ROUNDING = 1e-12  # relative size below which a sum of eigenvalues or an eigenvalue of the covariance is zero


@dataclass(frozen=True)
class Linear:
    """The stationary state of dX = -F X dt + sqrt(2 D/β) dW.

    Attributes
    ----------
    F, D : arrays (d, d)
    beta : float
    covariance : array (d, d)
        Of the stationary law, U^-1/β.
    U : array (d, d)
        Φ(x) = x·U x/2 = -log(ρ_ss)/β up to a constant.
    Q : array (d, d)
        Antisymmetric: the force beyond detailed balance is j = -Q U x. Unique here, unlike for a general field.
    entropy_production : float
        -tr(D^-1 Q U Q) per time, whatever β; math.inf if j leaves the range of D.
    kind : str
        "stable node", "stable focus" (complex eigenvalues of F), or, with `algebraic`, "saddle" or "unstable".
    residual : float
        |F S + S F^T - 2D| over |F| |S|, S = U^-1: its certificate.
    """

    F: Array
    D: Array
    beta: float
    covariance: Array
    U: Array
    Q: Array
    entropy_production: float
    kind: str
    residual: float

    @property
    def balanced(self) -> bool:
        """Detailed balance: Q = 0 up to rounding, that is F D symmetric."""
        return bool(np.abs(self.Q).max() <= 1e-10 * np.abs(self.D).max())

    @property
    def gap(self) -> float:
        """The spectral gap of the generator: the smallest real part of the eigenvalues of F."""
        return float(np.linalg.eigvals(self.F).real.min())

    @property
    def reversed_drift(self) -> Array:
        """(D - Q) U, the drift matrix of the process run backwards in time."""
        return (self.D - self.Q) @ self.U

    def irreversibility(self, dt: float) -> float:
        """KL(law(x_0, x_dt) || law(x_dt, x_0))/dt: what snapshots show of the entropy production, its limit.

        Parameters
        ----------
        dt : float > 0
            Time between the two snapshots.

        Returns
        -------
        float >= 0

        Raises
        ------
        ValueError
            dt <= 0, or so short that a noise of low rank has not reached every direction in float64.
        """
        dt = checks.positive("dt", dt)
        S = self.covariance
        there, spread = _transition(self.F, 2 * self.D / self.beta, dt)
        _, back = _transition(S @ np.linalg.solve(S, self.F).T, 2 * self.D / self.beta, dt)
        turned = there @ S - S @ there.T  # C - C^T of C = e^{-F dt} S, without the S in it
        try:
            ratios = dense.eigh(spread, back, eigvals_only=True)
            drift = np.trace(np.linalg.solve(back, turned @ np.linalg.solve(S, turned.T)))
        except np.linalg.LinAlgError as error:
            raise ValueError(f"dt: the noise of a step of {dt:g} is singular in float64: take a longer one") from error
        return float(0.5 * ((ratios - 1 - np.log(ratios)).sum() + drift) / dt)


def _transition(F, noise, dt):
    """(e^{-F dt} - 1, the covariance of a step) of dX = -F X dt + noise^½ dW, both free of cancellation (Van Loan)."""
    d, zero = len(F), np.zeros_like(F)
    grown = dense.expm(dt * np.block([[F, noise], [zero, -F.T]]))
    flow = dense.expm(dt * np.block([[-F, np.eye(d)], [zero, zero]]))[:d, d:]  # ∫ e^{-F s} ds
    spread = grown[d:, d:].T @ grown[:d, d:]
    return -F @ flow, 0.5 * (spread + spread.T)


def linear(F: ArrayLike, D: ArrayLike, beta: float = 1.0, *, algebraic: bool = False) -> Linear:
    """Solve F S + S F^T = 2D and read off U = S^-1, Q = F S - D, the stationary covariance S/β and the rest.

    Parameters
    ----------
    F : array (d, d)
        Drift matrix, dX = -F X dt + ...; a number in one dimension.
    D : array (d, d)
        Symmetric positive semi-definite.
    beta : float > 0
    algebraic : bool
        Also answer where no stationary law exists but the equation has one invertible solution (a saddle or a
        maximum): then U is indefinite and `covariance` is not one.

    Returns
    -------
    Linear

    Raises
    ------
    ValueError
        F that is not stable (an eigenvalue with real part <= 0: no stationary law); resonant F (two eigenvalues with
        sum 0: no unique solution); D singular and not controllable (the covariance is singular, U does not exist); a
        covariance that is singular up to rounding also in units of the deviations.

    Notes
    -----
    Thesis, Lemma 6.44, which says "uniquely" without these conditions. By the method of Bartels and Stewart with one
    step of refinement.

    Examples
    --------
    >>> import numpy as np
    >>> state = linear([[2, 0.8], [0.8, 1]], np.diag([1, 0.1]))
    >>> round(float(state.Q[0, 1]), 4), round(state.entropy_production, 4), state.kind
    (-0.24, 1.728, 'stable node')
    """
    F, D = _square("F", F), _square("D", D)
    beta = checks.positive("beta", beta)
    if F.shape != D.shape:
        raise ValueError(f"D: expected the shape of F, {F.shape}, got {D.shape}")
    in_units = D / _units(D) / _units(D)[:, None]
    size = ROUNDING * np.abs(in_units).max()
    if np.abs(in_units - in_units.T).max() > size or np.linalg.eigvalsh(in_units)[0] < -size:
        raise ValueError("D: expected a symmetric positive semi-definite matrix, got one that is not")
    _, (units, _) = dense.matrix_balance(F, permute=False, separate=True)
    balanced, noise = F * units / units[:, None], D / units / units[:, None]
    eigenvalues = np.linalg.eigvals(balanced)
    kind = _kind(eigenvalues, balanced)
    if not kind.startswith("stable") and not algebraic:
        raise ValueError(
            f"F: expected eigenvalues with positive real part, got {np.round(eigenvalues, 6).tolist()} ({kind}): there "
            "is no stationary law (algebraic=True gives the matrices all the same)"
        )
    S = _lyapunov(balanced, noise)
    U, S = _inverse(S, noise) / units / units[:, None], S * units * units[:, None]
    product = F @ S
    Q = 0.5 * (product - product.T)
    residual = np.abs(product + product.T - 2 * D).max() / max(np.abs(F).max() * np.abs(S).max(), 1e-300)
    return Linear(F, D, beta, S / beta, U, Q, _entropy(D, Q, U), kind, float(residual))


def _inverse(S, D):
    """S^-1, where need be in units of the deviations; refuses what is singular up to rounding in these, too."""
    for units in (np.ones(len(S)), _units(S)):
        values, vectors = np.linalg.eigh(S / units / units[:, None])
        if np.abs(values).min() > ROUNDING * np.abs(values).max():
            return (vectors / values) @ vectors.T / units / units[:, None]
    units = _units(D)
    if np.linalg.eigvalsh(D / units / units[:, None])[0] > ROUNDING:
        raise ValueError("F: the stationary law is too thin for float64 in these coordinates: take those of its axes")
    still = _units(S) * vectors[:, np.abs(values).argmin()]
    raise ValueError(
        "D: expected noise that reaches every direction through F (controllability), got a singular covariance: "
        f"nothing moves along {np.round(still / np.linalg.norm(still), 6).tolist()}"
    )


def _units(matrix):
    """The roots of the diagonal, one where that is zero."""
    diagonal = np.abs(np.diag(matrix))
    return np.sqrt(np.where(diagonal > 0, diagonal, 1.0))


def _lyapunov(F, D):
    """S with F S + S F^T = 2D, refined once."""
    S = _solved(F, 2 * D)
    return S + _solved(F, 2 * D - F @ S - S @ F.T)


def _solved(F, load):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            S = dense.solve_continuous_lyapunov(F, load)
        except RuntimeWarning as error:
            raise ValueError(
                "F: in these coordinates float64 does not tell its eigenvalues from resonant ones (sum 0): take others"
            ) from error
    return 0.5 * (S + S.T)


def _kind(eigenvalues, F):
    """What the flow x' = -F x does; refuses what has no unique stationary covariance."""
    size = np.abs(F).max()
    real = eigenvalues.real
    if (np.abs(eigenvalues) <= ROUNDING * size).any():
        raise ValueError(f"F: expected an invertible matrix, got eigenvalues {np.round(eigenvalues, 6).tolist()}")
    sums = np.abs(eigenvalues[:, None] + eigenvalues[None, :])
    if sums.min() <= ROUNDING * size:
        raise ValueError(
            f"F: expected no two eigenvalues with sum 0 (resonance), got {np.round(eigenvalues, 6).tolist()}: the "
            "Lyapunov equation has no unique solution"
        )
    if (real > 0).all():
        turning = (np.abs(eigenvalues.imag) > ROUNDING * size).any()
        return "stable focus" if turning else "stable node"
    return "unstable" if (real < 0).all() else "saddle"


def _entropy(D, Q, U):
    """-tr(D^-1 Q U Q): the mean of j D^-1 j β over the stationary law."""
    units = _units(D)
    values, vectors = np.linalg.eigh(D / units / units[:, None])
    still = values <= ROUNDING * values.max(initial=0.0)
    force = vectors.T @ (Q / units[:, None])
    if still.any() and np.abs(force[still]).max() > 1e-9 * max(np.abs(force).max(), 1e-300):
        return math.inf
    moving = force[~still] / np.sqrt(values[~still])[:, None]
    return float(np.trace(moving @ U @ moving.T))


def _square(name, matrix):
    matrix = np.atleast_2d(checks.reals(name, matrix, "a square matrix of real numbers"))
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise ValueError(f"{name}: expected a square matrix of finite numbers, got shape {matrix.shape}")
    return matrix
