"""spectrum(): one door to the spectra of a trained network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from pdelab.checks import choice, switch
from pdelab.hints import Array
from pdelab.networks import data as datasets
from pdelab.networks.checks import place, whole
from pdelab.networks.curvature.extremes import extreme_eigenvalues
from pdelab.networks.curvature.lanczos import stochastic_quadrature
from pdelab.networks.curvature.noise import fisher_diagonal, gradient_noise
from pdelab.networks.curvature.objective import Objective, derivative
from pdelab.networks.curvature.operators import Hessian, Noise

__all__ = ["Spectrum", "affordable", "spectrum", "subject"]

MOST_WEIGHTS = 5000  # of a Hessian whose eigenvalues are all computed unasked
RESIDUAL = 1e-6  # of the extreme eigenvalues of larger ones, over |A|
MOST_OPERATIONS = 4e10  # in d gradients of the mean loss


@dataclass(frozen=True)
class Spectrum:
    """A distribution of eigenvalues: Σ weights = 1, each of the d eigenvalues counts 1/d.

    Attributes
    ----------
    of, method : str
        What was measured and how.
    nodes, weights : arrays (n,)
        Eigenvalues ascending with the weight of each (exact), or the nodes of the averaged quadratures (lanczos).
    smallest, largest : arrays
        The extreme eigenvalues, ascending.
    dimension, samples : int
    numbers : dict
        {name: value} for tables.
    """

    of: str
    method: str
    nodes: np.ndarray
    weights: np.ndarray
    smallest: np.ndarray
    largest: np.ndarray
    dimension: int
    samples: int
    numbers: dict = field(default_factory=dict)

    def moment(self, power: int) -> float:
        """tr(Aᵖ)/d.

        Parameters
        ----------
        power : int

        Returns
        -------
        float
        """
        return float((self.weights * self.nodes**power).sum())

    def fraction(self, low: float, high: float) -> float:
        """Part of the eigenvalues in [low, high].

        Parameters
        ----------
        low, high : float

        Returns
        -------
        float in [0, 1]
        """
        return float(self.weights[(self.nodes >= low) & (self.nodes <= high)].sum())

    def density(self, points: ArrayLike, width: float) -> Array:
        """Density at `points`, every node smeared into a Gaussian of standard deviation `width`.

        Parameters
        ----------
        points : array
        width : float > 0

        Returns
        -------
        array, shape of points

        Raises
        ------
        ValueError
            width <= 0.
        """
        if not width > 0:
            raise ValueError(f"width: expected a number > 0, got {width}")
        z = (np.asarray(points)[..., None] - self.nodes) / width
        return (self.weights * np.exp(-0.5 * z**2)).sum(-1) / (width * np.sqrt(2 * np.pi))


def spectrum(
    run: Any = None,
    *,
    model: torch.nn.Module | None = None,
    data: Any = None,
    of: str = "hessian",
    method: str = "auto",
    split: str = "train",
    samples: int | None = None,
    count: int = 1,
    probes: int = 8,
    steps: int = 64,
    seed: int = 0,
    precision: str = "float64",
    device: str = "cpu",
    loss: Callable | None = None,
    parameters: Sequence[str] | None = None,
    statistics: str = "running",
    on_progress: Callable[[float, float | None], object] | None = None,
    progress: bool = False,
) -> Spectrum:
    """The spectrum of the Hessian, of the gradient noise or of the Fisher diagonal at the weights of a model.

    Parameters
    ----------
    run : path or TrainingResult, optional
        A finished run of `train`; or give `model` and `data`.
    model : torch.nn.Module
    data : Data, Split, the name of a data set, or anything that `Objective` takes
    of : "hessian", "noise" or "fisher"
        ∇²f(x); D_w(x) (thesis 6.4); the diagonal E g² - (E g)² (thesis 3.3.1 iv).
    method : "exact", "lanczos" or "auto"
        "exact": all eigenvalues. "lanczos": the extreme ones, and the density by stochastic quadrature. "auto" is exact
        for the Fisher diagonal, for the noise of up to 20000 samples, and for a Hessian of up to 5000 weights d whose d
        gradients of the mean loss take at most 4·10¹⁰ operations.
    split : str
        Which split of the data: the loss is the mean over it.
    samples : int, optional
        Use only the first so many samples.
    count : int
        Extreme eigenvalues at each end.
    probes, steps, seed : int
        Of the quadrature: see `stochastic_quadrature`.
    precision : "float64" or "float32"
    device : str
    loss, parameters, statistics
        As for `Objective`: another loss, some of the weights only, batch-norm statistics collected anew.
    on_progress : function (done, total), optional
        Called while products with the Hessian or the noise are made; total is None where it is not known beforehand.
    progress : bool
        Show a bar of the products on stderr.

    Returns
    -------
    Spectrum

    Raises
    ------
    ValueError
        Unknown choices, numbers out of range, no run and no model.

    Examples
    --------
    >>> from pdelab.networks import models
    >>> hessian = spectrum(model=models.mlp(64, (4,)), data="digits", samples=200)
    >>> hessian.dimension, hessian.method, len(hessian.nodes), round(float(hessian.weights.sum()), 12)
    (310, 'exact', 310, 1.0)
    """
    for name, value, allowed in (
        ("of", of, tuple(_MEASURES)),
        ("method", method, ("auto", "exact", "lanczos")),
        ("precision", precision, ("float64", "float32")),
        ("split", split, ("train", "validation", "test")),
    ):
        choice(name, value, allowed)
    whole("count", count, 1)
    where = place(device)
    network, part, window = subject(run, model, data, split)
    objective = Objective(
        network.to(where), part, loss=loss, parameters=parameters, steps=window, samples=samples,
        dtype=getattr(torch, precision), statistics=statistics,
    )  # fmt: skip
    if count > objective.dimension and method != "lanczos":
        raise ValueError(f"count: expected at most {objective.dimension}, the number of weights, got {count}")
    quadrature = {"probes": probes, "steps": steps, "seed": seed}
    with _shown(progress, on_progress) as told:
        return _MEASURES[of](objective, method, count, quadrature, told)


@contextmanager
def _shown(progress, on_progress):
    """What is called with (products done, all of them), or None."""
    if not switch("progress", progress):
        yield on_progress
        return
    from tqdm import tqdm

    with tqdm(unit=" products", leave=False) as bar:

        def told(done, total):
            bar.total = total
            bar.update(round(done) - bar.n)
            if on_progress:
                on_progress(done, total)

        yield told


def subject(run, model, data, split):
    """The model, its samples and the length of their windows, from a run or from what was given."""
    from pdelab.networks import training

    if (run is None) == (model is None) or (model is None) != (data is None):
        raise ValueError("run, model, data: expected a finished run, or a model and its data: give one or the other")
    if isinstance(run, training.TrainingResult):
        model, data = run.model, run.data
    elif run is not None:
        model, data, _ = training.load_run(run)
    if isinstance(data, str):
        data = datasets.load(data)
    if isinstance(data, datasets.Data):
        return model, getattr(data, split), data.steps
    return model, data, None


def _hessian(objective, method, count, quadrature, on_progress):
    exact = method == "exact" or (method == "auto" and affordable(objective))
    operator = Hessian(objective, on_products=_counted(on_progress, objective.dimension if exact else None))
    if exact:
        nodes = torch.linalg.eigvalsh(operator.matrix()).cpu().numpy()
        weights, smallest, largest = np.full(len(nodes), 1 / len(nodes)), nodes[:count], nodes[-count:]
    else:
        smallest, largest = extreme_eigenvalues(operator, count, tolerance=RESIDUAL, seed=quadrature["seed"])
        nodes, weights = _averaged(*stochastic_quadrature(operator, **quadrature))
    name = "exact" if exact else "lanczos"
    law = Spectrum("hessian", name, nodes, weights, smallest, largest, objective.dimension, objective.count)
    top, bottom = float(law.largest[-1]), float(law.smallest[0])
    numbers = {
        "largest": top,
        "smallest": bottom,
        "mean": law.moment(1),
        "near_zero": law.fraction(-1e-3 * top, 1e-3 * top),
        "negative": float(weights[nodes < 0].sum()),
        "participation_ratio": objective.dimension * law.moment(1) ** 2 / law.moment(2),
        "loss": objective.value(),
        "gradient_norm": objective.gradient().norm().item(),
    }
    law.numbers.update(numbers)
    return law


def affordable(objective):
    """Whether all eigenvalues of the Hessian are a matter of seconds: few weights, and d gradients in few operations.

    The operations of a gradient are counted by PyTorch on some samples, so that the answer is the same everywhere.
    """
    if objective.dimension > MOST_WEIGHTS:
        return False
    from torch.utils.flop_counter import FlopCounterMode

    batch = next(objective.batches(64))
    with FlopCounterMode(display=False) as counter:
        derivative(objective.mean_loss(batch), list(objective.parameters.values()))
    return objective.dimension * counter.get_total_flops() / objective.share(batch) <= MOST_OPERATIONS


def _counted(on_progress, total):
    """What an operator calls after each block of products, or None."""
    if on_progress is None:
        return None
    done = 0.0

    def on_products(products):
        nonlocal done
        done += products
        on_progress(done, total)

    return on_products


def _noise(objective, method, count, quadrature, on_progress):
    exact = method == "exact" or (method == "auto" and objective.count <= 20000)
    if not exact:
        operator = Noise(objective, on_products=_counted(on_progress, None))
        smallest, largest = extreme_eigenvalues(operator, count, tolerance=RESIDUAL, seed=quadrature["seed"])
        nodes, weights = _averaged(*stochastic_quadrature(operator, **quadrature))
        numbers = {"largest": float(largest[-1]), "gradient_norm": operator.mean.norm().item()}
    else:
        noise = gradient_noise(objective)
        nodes, weights = _with_zeros(noise.eigenvalues[::-1], objective.dimension)
        smallest, largest, numbers = nodes[:count], nodes[-count:], noise.numbers
    name = "exact" if exact else "lanczos"
    law = Spectrum("noise", name, nodes, weights, smallest, largest, objective.dimension, objective.count, numbers)
    if not exact:
        mean, square = law.moment(1), law.moment(2)
        law.numbers.update(mean=mean, trace=mean * objective.dimension, deviation=max(square - mean**2, 0.0) ** 0.5)
        law.numbers["participation_ratio"] = objective.dimension * mean**2 / square
    return law


def _fisher(objective, method, count, quadrature, on_progress):
    if method == "lanczos":
        raise ValueError('method: expected "exact" for the Fisher diagonal, got "lanczos"')
    nodes = np.sort(fisher_diagonal(objective, "centred").cpu().numpy())
    weights = np.full(len(nodes), 1 / len(nodes))
    numbers = {"largest": float(nodes[-1]), "mean": float(nodes.mean()), "near_zero": float((nodes <= 1e-5).mean())}
    extremes = nodes[:count], nodes[-count:]
    return Spectrum("fisher", "exact", nodes, weights, *extremes, objective.dimension, objective.count, numbers)


_MEASURES = {"hessian": _hessian, "noise": _noise, "fisher": _fisher}


def _averaged(nodes, weights):
    """The rules of all probes as one: nodes ascending, weights that sum to 1."""
    order = np.argsort(nodes, axis=None)
    return nodes.ravel()[order], weights.ravel()[order] / len(nodes)


def _with_zeros(nodes, dimension):
    """Eigenvalues ascending with weight 1/d each, and one zero that stands for all that were not computed."""
    weights = np.full(len(nodes), 1 / dimension)
    missing = 1 - len(nodes) / dimension
    return (np.r_[0.0, nodes], np.r_[missing, weights]) if missing > 0 else (nodes.copy(), weights)
