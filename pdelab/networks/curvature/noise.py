"""The noise of stochastic gradients: D(x), its spectrum and its rank, and the diagonal of the Fisher information.

    D_w(x) = (1/N) Σ_k g_k g_kᵀ - ḡ ḡᵀ,   D_wo = N/(N-1) D_w     (thesis 6.4, 6.5 corrected: the factor of ḡ ḡᵀ is
                                                                  1 + 1/(N-1), printed 1 - 1/(N-1))

A mini-batch of b gradients drawn with replacement has covariance D_w/b, without (1/b)(1 - b/N) D_wo (Lemma 6.3).
D is never formed: its eigenvalues are the squared singular values of the N × d matrix of centred gradients over √N.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.func import functional_call, jacrev, vmap

from pdelab.checks import choice
from pdelab.networks.curvature.objective import Objective
from pdelab.networks.curvature.samples import gradient_blocks, gram_matrix, per_sample_gradients

__all__ = ["GradientNoise", "fisher_diagonal", "fisher_from_adam", "gradient_noise"]


@dataclass(frozen=True)
class GradientNoise:
    """Eigenvalues of D_w(x).

    Attributes
    ----------
    eigenvalues : array (min(N, d),)
        Descending; the other d - min(N, d) ones are zero.
    dimension, samples : int
        d and N.
    gradient_norm : float
        |ḡ|.
    directions : array (r, d)
        Unit eigenvectors of the largest eigenvalues, as many as were asked for.
    """

    eigenvalues: np.ndarray
    dimension: int
    samples: int
    gradient_norm: float
    directions: np.ndarray

    def batch_factor(self, batch_size: int, replacement: bool = True) -> float:
        """c such that a mini-batch gradient has covariance c D_w: 1/b, or (N - b)/((N - 1) b) without replacement.

        Parameters
        ----------
        batch_size : int >= 1
            Without replacement at most the number of samples.
        replacement : bool

        Returns
        -------
        float

        Raises
        ------
        ValueError
            A batch size outside that range.
        """
        if not 1 <= batch_size <= (self.samples if not replacement else batch_size):
            raise ValueError(f"batch_size: expected 1 to {self.samples}, got {batch_size}")
        return 1 / batch_size if replacement else (self.samples - batch_size) / ((self.samples - 1) * batch_size)

    def rank(self, precision: str = "float32") -> int:
        """Eigenvalues above λ_max d ε, the rule of numpy and of the thesis: a statement about the precision too.

        Parameters
        ----------
        precision : str
            A type of numpy, whose ε is meant.

        Returns
        -------
        int
        """
        if not len(self.eigenvalues) or self.eigenvalues[0] <= 0:
            return 0
        threshold = self.eigenvalues[0] * self.dimension * np.finfo(precision).eps
        return int((self.eigenvalues > threshold).sum())

    @property
    def participation_ratio(self) -> float:
        """(Σ λ)²/Σ λ²: how many equal directions would spread the trace as much. No precision enters."""
        square = (self.eigenvalues**2).sum()
        return float(self.eigenvalues.sum() ** 2 / square) if square else 0.0

    @property
    def effective_rank(self) -> float:
        """exp of the entropy of λ/Σλ (Roy and Vetterli 2007)."""
        total = self.eigenvalues.sum()
        share = self.eigenvalues[self.eigenvalues > 0] / total if total else np.zeros(0)
        return float(np.exp(-(share * np.log(share)).sum())) if len(share) else 0.0

    def leading(self, part: float = 0.9) -> int:
        """Smallest number of directions that carry this part of the trace.

        Parameters
        ----------
        part : float in [0, 1]

        Returns
        -------
        int
        """
        total = self.eigenvalues.sum()
        return int(np.searchsorted(np.cumsum(self.eigenvalues), part * total * (1 - 1e-12))) + 1 if total else 0

    @property
    def numbers(self) -> dict:
        """What figures and tables show, {name: value}."""
        values, d = self.eigenvalues, self.dimension
        mean = values.sum() / d
        return {
            "largest": float(values[0]),
            "trace": float(values.sum()),
            "mean": float(mean),
            "deviation": float(np.sqrt(max((values**2).sum() / d - mean**2, 0.0))),
            "rank_float32": self.rank("float32"),
            "rank_float64": self.rank("float64"),
            "participation_ratio": self.participation_ratio,
            "effective_rank": self.effective_rank,
            "directions_90": self.leading(0.9),
            "directions_99": self.leading(0.99),
            "top_10_share": float(values[:10].sum() / values.sum()) if values.sum() else 0.0,
            "gradient_norm": self.gradient_norm,
        }


def gradient_noise(objective: Objective, *, method: str = "auto", directions: int = 0) -> GradientNoise:
    """The spectrum of D_w(x) from the gradients of all samples.

    Parameters
    ----------
    objective : Objective
    method : "svd", "gram" or "auto"
        "svd": the singular values of the centred N × d matrix, which keep the digits of the small eigenvalues. "gram":
        the eigenvalues of the N × N Gram matrix, summed over layers in float64 without holding N × d numbers. It is
        several times as fast, with rounding errors of 1e-16 λ_max, which show in the rank of float64 gradients.
        "auto": svd for float64 gradients up to 2^27 numbers and where N > d, else gram.
    directions : int
        Leading eigenvectors to return ("svd" only).

    Returns
    -------
    GradientNoise

    Raises
    ------
    ValueError
        An unknown method, directions by another method than "svd".

    Examples
    --------
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> f = linear_model([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0], [0, 0, 0])          # |w|²/6
    >>> noise = gradient_noise(f)
    >>> noise.rank("float64") <= 3
    True
    """
    choice("method", method, ("svd", "gram", "auto"))
    if method == "auto":
        small = objective.count * objective.dimension <= 1 << 27
        keep = directions or objective.dtype == torch.float64 or objective.count > objective.dimension
        method = "svd" if small and keep else "gram"
    if directions and method == "gram":
        raise ValueError('method: expected "svd" with directions, got "gram"')
    values, vectors, norm = (_svd if method == "svd" else _gram)(objective, directions)
    return GradientNoise(values, objective.dimension, objective.count, norm, vectors)


def fisher_diagonal(objective: Objective, kind: str = "empirical") -> torch.Tensor:
    """Diagonal of the Fisher information of a classifier, (d,).

    Parameters
    ----------
    objective : Objective
    kind : "empirical", "centred" or "true"
        E g² with the labels of the data; the same minus (E g)², the diagonal of D_w (thesis 3.3.1 iv); or the
        expectation of g² over labels drawn from the model itself, which is the diagonal of the generalised
        Gauss-Newton matrix.

    Returns
    -------
    tensor (d,)

    Raises
    ------
    ValueError
        An unknown kind; a model that is no classifier, for "true".

    Examples
    --------
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> f = linear_model([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0], [0, 0, 0])          # |w|²/6
    >>> fisher_diagonal(f).shape
    torch.Size([3])
    """
    if choice("kind", kind, ("empirical", "centred", "true")) == "true":
        return _true_fisher(objective)
    first = torch.zeros(objective.dimension, dtype=objective.dtype, device=objective.device)
    second = first.clone()
    for rows in gradient_blocks(objective):
        first += rows.sum(0) / objective.count
        second += rows.square().sum(0) / objective.count
    return second - first.square() if kind == "centred" else second


def fisher_from_adam(optimizer: torch.optim.Optimizer) -> torch.Tensor:
    """The Fisher diagonal E g² - (E g)² from Adam's running moments (thesis 3.3.1 (iv)), flat. It may be negative.

    Both averages are corrected for their start at zero.

    Parameters
    ----------
    optimizer : torch.optim.Adam

    Returns
    -------
    tensor (d,)

    Raises
    ------
    ValueError
        Adam has not stepped yet.

    Examples
    --------
    >>> import torch
    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> opt = torch.optim.Adam([weight])
    >>> (weight**2).sum().backward()
    >>> opt.step()
    >>> bool(fisher_from_adam(opt).abs().max() < 1e-5)                   # one gradient has no spread
    True
    """
    parts = []
    for group in optimizer.param_groups:
        beta1, beta2 = group.get("betas", (0.0, 0.0))
        for p in group["params"]:
            state = optimizer.state.get(p, {})
            if "exp_avg_sq" not in state:
                raise ValueError("optimizer: expected an Adam that has taken a step, got one without running moments")
            step = float(state["step"])
            mean, square = state["exp_avg"] / (1 - beta1**step), state["exp_avg_sq"] / (1 - beta2**step)
            parts.append((square - mean**2).flatten())
    return torch.cat(parts)


def _svd(objective, directions):
    gradients = per_sample_gradients(objective)
    mean = gradients.mean(0)
    gradients -= mean
    gradients /= objective.count**0.5
    if directions:
        _, singular, right = torch.linalg.svd(gradients, full_matrices=False)
        vectors = right[:directions].cpu().numpy()
    else:
        singular, vectors = torch.linalg.svdvals(gradients), np.zeros((0, objective.dimension))
    return (singular**2).cpu().numpy(), vectors, mean.norm().item()


def _gram(objective, _):
    count, gram = objective.count, gram_matrix(objective, dtype=torch.float64)
    norm = (gram.sum() / count**2).clamp(min=0).sqrt().item()
    gram -= gram.mean(0, keepdim=True)
    gram -= gram.mean(1, keepdim=True)
    values = torch.linalg.eigvalsh(gram / count).flip(0).clamp(min=0).cpu().numpy()
    return values[: min(count, objective.dimension)], np.zeros((0, objective.dimension)), norm


def _true_fisher(objective):
    if objective.split is None or objective.split.targets.ndim > 1:
        raise ValueError(
            'kind: expected "empirical" for text and other losses, got "true", which is for classifiers of images'
        )
    weights = {n: p.detach() for n, p in objective.parameters.items()}

    def log_probabilities(parameters, x):
        there = {home: value for name, value in parameters.items() for home in objective.homes[name]}
        return torch.log_softmax(functional_call(objective.model, there, (x[None],), tie_weights=False)[0], -1)

    total = torch.zeros(objective.dimension, dtype=objective.dtype, device=objective.device)
    for x, _ in objective.batches(max(1, min(256, (1 << 24) // objective.dimension))):
        with torch.no_grad():
            chances = torch.softmax(objective.model(x), -1)
        slopes = vmap(jacrev(log_probabilities), (None, 0))(weights, x)  # (samples, classes, *parameter)
        parts = [(chances[..., None] * s.flatten(2) ** 2).sum((0, 1)) for s in slopes.values()]
        total += torch.cat(parts) / objective.count
    return total
