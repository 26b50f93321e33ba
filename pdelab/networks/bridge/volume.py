"""Local entropy in all of weight space, sampled: how much room a minimum has, with error bars.

    f_γ(x) = -(1/β) log E exp(-β f(Y)),   Y ~ N(x, γ/β I);     f_γ(x) = ∫₀¹ <f>_λ dλ      (thermodynamic integration)

<.>_λ is the mean over exp(-β [λ f(y) + |y - x|²/(2γ)]): λ = 0 is drawn exactly, the others by Langevin steps with
Metropolis's correction, so that the step size makes no bias. The integral is by Clenshaw-Curtis, whose rule on every
second node estimates its error. Beside it Laplace's value, exact on a quadratic:

    f(x) - (γ/2) g·(I + γH)⁻¹ g + (1/(2β)) log det(I + γH)
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch.func import grad_and_value, vmap

from pdelab import checks
from pdelab.networks.curvature import Hessian, Objective

__all__ = ["Volume", "block_average", "clenshaw_curtis", "volume"]

ACCEPTANCE = 0.574  # the best share of accepted steps in many dimensions (Roberts and Rosenthal 1998)
BLOCKS = 5  # of each chain
LARGEST = 4096  # weights of a dense Hessian


@dataclass(frozen=True)
class Volume:
    """The local entropy of all of weight space around one point.

    Attributes
    ----------
    local_entropy, low, high : float
        f_γ(x) with its interval: sampling by block averages, and the rule's error on top.
    standard_error, rule_error : float
    log_volume : float
        -β (f_γ(x) - f(x)): log of the mean of exp(-β (f(Y) - f(x))), at most 0 at a global minimum.
    laplace : float
        Laplace's value of f_γ(x); nan where I + γH is not positive, or there are more than 4096 weights.
    harmonic_mean : float
        m with d/(m + 1/γ) = Σ 1/(h_i + 1/γ): the harmonic mean of the Hessian's spectrum at the scope's resolution;
        nan where `laplace` is.
    value : float
        f(x).
    nodes, means, standard_errors, effective : arrays (n,)
        λ, <f>_λ, its error by block averages, and the number of independent samples that have this error.
    acceptance : array (n,)
    """

    local_entropy: float
    low: float
    high: float
    standard_error: float
    rule_error: float
    log_volume: float
    laplace: float
    harmonic_mean: float
    value: float
    nodes: np.ndarray
    means: np.ndarray
    standard_errors: np.ndarray
    effective: np.ndarray
    acceptance: np.ndarray


def volume(
    objective: Objective,
    gamma: float,
    beta: float,
    *,
    chains: int = 8,
    steps: int = 400,
    settle: int = 200,
    intervals: int = 8,
    confidence: float = 0.95,
    seed: int = 0,
) -> Volume:
    """Local entropy at the objective's weights by sampling, and its Laplace approximation.

    Parameters
    ----------
    objective : Objective
    gamma, beta : float > 0
        Y has the variance gamma/beta along each weight.
    chains : int >= 2
        Run at the same time.
    steps, settle : int
        Measured steps at each λ, and before them steps in which the step size is adapted; steps at least 50.
    intervals : int
        Of the Clenshaw-Curtis rule, even, at least 4.
    confidence : float in (0, 1)
    seed : int

    Returns
    -------
    Volume

    Raises
    ------
    ValueError
        Arguments out of range.

    Warns
    -----
    AccuracyWarning
        Where the samples at some λ are worth fewer than 50 independent ones: the intervals are then too narrow.

    Examples
    --------
    >>> x, y = torch.randn(20, 3, dtype=torch.float64), torch.zeros(20, 1, dtype=torch.float64)
    >>> f = Objective(torch.nn.Linear(3, 1), (x, y), loss=lambda m, b: (m(b[0]) - b[1]).square().mean())
    >>> volumes = volume(f, gamma=0.1, beta=10.0)
    >>> bool(volumes.low < volumes.laplace < volumes.high)             # quadratic: Laplace's value is exact
    True
    """
    if not isinstance(objective, Objective):
        checks.refuse("objective", "an Objective", objective)
    gamma, beta = checks.positive("gamma", gamma), checks.positive("beta", beta)
    chains, steps = checks.whole("chains", chains, 2), checks.whole("steps", steps, 50)
    settle, intervals = checks.whole("settle", settle), checks.whole("intervals", intervals, 4)
    confidence = checks.within("confidence", confidence, 0, 1, "()")
    if intervals % 2:
        checks.refuse("intervals", "an even number", intervals)
    sampler = _Sampler(objective, gamma, beta, chains, checks.seed("seed", seed))
    nodes = (1 - np.cos(np.pi * np.arange(intervals + 1) / intervals)) / 2
    rows = [sampler.at(node, steps, settle) for node in nodes]
    losses = np.array([losses for losses, _ in rows])
    means, errors, effective = (np.array(v) for v in zip(*(block_average(f) for f in losses)))
    if effective.min() < 50:
        worst = nodes[effective.argmin()]
        warnings.warn(
            f"steps: the samples at λ = {worst:.2f} are worth {effective.min():.0f} independent ones: take more steps",
            checks.AccuracyWarning, stacklevel=2,
        )  # fmt: skip
    weights = clenshaw_curtis(intervals)
    entropy, coarse = weights @ means, clenshaw_curtis(intervals // 2) @ means[::2]
    error = float(np.sqrt((weights * errors) @ (weights * errors)))
    gap = weights.copy()
    gap[::2] -= clenshaw_curtis(intervals // 2)
    noise = np.sqrt((gap * errors) @ (gap * errors))
    rule = max(abs(float(entropy - coarse)) - 2 * noise, 0.0)
    half = stats.t.ppf(0.5 + 0.5 * confidence, BLOCKS * chains - 1) * error + rule
    value = objective.value()
    laplace, harmonic_mean = _laplace(objective, value, gamma, beta)
    return Volume(
        float(entropy), float(entropy - half), float(entropy + half), error, rule, float(beta * (value - entropy)),
        laplace, harmonic_mean, value, nodes, means, errors, effective,
        np.array([accepted for _, accepted in rows]),
    )  # fmt: skip


def block_average(series):
    """(mean, standard error, effective samples) of chains (chains, steps), by the means of blocks of each chain."""
    chains, steps = series.shape
    length = steps // BLOCKS
    blocks = series[:, steps - BLOCKS * length :].reshape(chains * BLOCKS, length).mean(1)
    error = blocks.std(ddof=1) / math.sqrt(len(blocks))
    spread = series.var()
    return series.mean(), error, min(spread / error**2, series.size) if error else float(series.size)


def clenshaw_curtis(intervals):
    """Weights of the rule on [0, 1] at (1 - cos(πj/n))/2, n even: exact for polynomials of degree n."""
    angles = np.pi * np.arange(intervals + 1) / intervals
    orders = np.arange(0, intervals + 1, 2)
    moments = 1 / (1 - orders.astype(float) ** 2)  # ∫ of the even Chebyshev polynomials over [0, 1]
    halves = np.where((orders == 0) | (orders == intervals), 0.5, 1.0)
    weights = 2 / intervals * (halves * moments) @ np.cos(np.outer(orders, angles))
    weights[[0, -1]] /= 2
    return weights


class _Sampler:
    """Chains that move through exp(-β [λ f(y) + |y - x|²/(2γ)]) for increasing λ."""

    def __init__(self, objective, gamma, beta, chains, seed):
        self.objective, self.gamma, self.beta = objective, gamma, beta
        self.x, self.chains = objective.weights, chains
        self.generator, self.rate, self.y = np.random.default_rng(seed), gamma / beta, None
        names = tuple(objective.parameters)

        def loss(weights, batch):
            return objective.mean_loss(batch, dict(zip(names, objective.unflat(weights))))

        self.slope = vmap(grad_and_value(loss), (0, None))

    def at(self, share, steps, settle):
        """(f along the chains (chains, steps), share of accepted steps)."""
        if share == 0.0:
            draws = [self._energies(self._prior())[0] for _ in range(steps)]
            self.y = self._prior()
            return torch.stack(draws, 1).cpu().double().numpy(), 1.0
        y, kept, accepted = self.y, [], 0.0
        f, g = self._energies(y)
        for step in range(settle + steps):
            y, f, g, taken = self._step(share, y, f, g)
            if step < settle:
                self.rate *= math.exp((taken - ACCEPTANCE) * 4 / (10 + step) ** 0.6)
            else:
                kept.append(f)
                accepted += taken / steps
        self.y = y
        return torch.stack(kept, 1).cpu().double().numpy(), accepted

    def _step(self, share, y, f, g):
        h, pull = self.rate, 1 / self.gamma
        drift = self.beta * (share * g + pull * (y - self.x))
        new = y - h * drift + math.sqrt(2 * h) * self._normal()
        f_new, g_new = self._energies(new)
        back = self.beta * (share * g_new + pull * (new - self.x))
        log = self.beta * (share * (f - f_new) + pull * ((y - self.x).square() - (new - self.x).square()).sum(1) / 2)
        log = log + ((new - y + h * drift).square() - (y - new + h * back).square()).sum(1) / (4 * h)
        uniform = torch.as_tensor(self.generator.random(self.chains), dtype=log.dtype, device=log.device)
        yes = uniform.log() < log
        keep = yes[:, None]
        taken = float(log.clamp(max=0.0).exp().nan_to_num(0.0).mean())
        return torch.where(keep, new, y), torch.where(yes, f_new, f), torch.where(keep, g_new, g), taken

    def _energies(self, y):
        """(f, ∇f) of every chain."""
        f, g = 0.0, 0.0
        for batch in self.objective.batches():
            slope, value = self.slope(y, batch)
            f, g = f + self.objective.share(batch) * value, g + self.objective.share(batch) * slope
        return f.detach(), g.detach()

    def _prior(self):
        return self.x + math.sqrt(self.gamma / self.beta) * self._normal()

    def _normal(self):
        drawn = self.generator.standard_normal((self.chains, len(self.x)))
        return torch.as_tensor(drawn, dtype=self.x.dtype, device=self.x.device)


def _laplace(objective, value, gamma, beta):
    """(Laplace's value, harmonic mean), or nan twice."""
    if objective.dimension > LARGEST:
        return math.nan, math.nan
    identity = torch.eye(objective.dimension, dtype=objective.dtype, device=objective.device)
    H = (Hessian(objective) @ identity).cpu().double().numpy()
    curvatures, vectors = np.linalg.eigh((H + H.T) / 2)
    widths = 1 + gamma * curvatures
    if widths[0] <= 0:
        return math.nan, math.nan
    slope = vectors.T @ objective.gradient().cpu().double().numpy()
    laplace = value - gamma / 2 * (slope**2 / widths).sum() + np.log(widths).sum() / (2 * beta)
    return float(laplace), float(len(widths) / (gamma / widths).sum() - 1 / gamma)
