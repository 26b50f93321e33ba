"""A trained network and a slice through its weights, in one call: what the figures and the command line start from."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.networks.bridge import bases
from pdelab.networks.bridge.bases import curved_directions, directions_to, random_directions
from pdelab.networks.bridge.projection import roam
from pdelab.networks.bridge.subspace import Subspace, restrict
from pdelab.networks.curvature import Objective

__all__ = ["linear_model", "train_small", "trained_slice"]

BASES = ("hessian", "noise", "gradient", "random", "filter", "minima", "trajectory")


def trained_slice(
    dimension: int = 2,
    basis: str = "hessian",
    *,
    data: str = "digits",
    folder: str | None = None,
    hidden: int = 6,
    epochs: int = 10,
    samples: int = 100,
    optimizer: str = "sgd",
    optimizer_options: dict | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> Subspace:
    """A slice through the weights of a small network that has just been trained.

    Parameters
    ----------
    dimension : 1, 2 or 3
    basis : str
        "hessian", "noise": top eigenvectors; "gradient": first the gradient, then random; "random"; "filter"; "minima":
        to networks trained from the next seeds; "trajectory": principal components of runs of SGD from the weights on.
    data, folder, hidden, epochs, optimizer, optimizer_options, seed, device
        Of `training.train` with a network of one hidden layer.
    samples : int
        The first so many training samples are the loss of the slice.

    Returns
    -------
    Subspace

    Raises
    ------
    ValueError
        What `training.train` refuses, a dimension other than 1, 2 and 3, an unknown basis.

    Examples
    --------
    >>> trained_slice(1, "random", hidden=2, epochs=1, samples=20).dimension
    1
    """
    dimension = checks.whole("dimension", dimension, 1, 3)
    checks.choice("basis", basis, BASES)
    result = train_small(data, folder, hidden, epochs, optimizer, optimizer_options, seed, device)
    objective = Objective(result.model, result.data.train, samples=samples)
    if basis == "hessian":
        rows = curved_directions(objective, dimension)
    elif basis == "noise":
        rows = bases.noisy_directions(objective, dimension)
    elif basis == "gradient":
        rows = np.vstack([bases.gradient_direction(objective), random_directions(objective, dimension, seed)])[
            :dimension
        ]
    elif basis == "filter":
        rows = bases.filter_directions(objective, dimension, seed)
    elif basis == "minima":
        setting = (data, folder, hidden, epochs, optimizer, optimizer_options)
        others = [train_small(*setting, seed + k + 1, device).model for k in range(dimension)]
        rows = directions_to(objective, others)
    elif basis == "trajectory":
        rows = bases.trajectory_directions(roam(objective, 0.05, 400, runs=50, seed=seed), dimension)
    else:
        rows = random_directions(objective, dimension, seed)
    return restrict(objective, rows)


def linear_model(inputs: ArrayLike, targets: ArrayLike, weights: ArrayLike) -> Objective:
    """f(x) = (1/N) Σ (a_k·x - y_k)²/2 as a network's objective, of which everything has a closed form.

    Parameters
    ----------
    inputs : array (N, d)
        a_k.
    targets : array (N,)
        y_k.
    weights : array (d,)
        Where it stands.

    Returns
    -------
    Objective

    Raises
    ------
    ValueError
        Shapes that do not fit, numbers that are not finite.

    Examples
    --------
    >>> linear_model([[1.0, 0.0], [0.0, 2.0]], [1.0, 1.0], [0.0, 0.0]).value()
    0.5
    """
    rows, y, x = (checks.reals(n, v) for n, v in (("inputs", inputs), ("targets", targets), ("weights", weights)))
    if rows.ndim != 2 or y.shape != rows.shape[:1] or x.shape != rows.shape[1:]:
        raise ValueError(
            f"inputs: expected (N, d) with N targets and d weights, got {rows.shape}, {y.shape}, {x.shape}"
        )
    network = torch.nn.Linear(len(x), 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        network.weight.copy_(torch.from_numpy(x[None].copy()))
    data = torch.from_numpy(rows.copy()), torch.from_numpy(y[:, None].copy())
    return Objective(network, data, loss=lambda m, batch: (m(batch[0]) - batch[1]).square().mean() / 2)


def train_small(data, folder, hidden, epochs, optimizer, optimizer_options, seed, device):
    """A network of one hidden layer, trained."""
    from pdelab.networks import training

    torch.manual_seed(seed)
    options = {"lr": 0.05} if optimizer == "sgd" and optimizer_options is None else optimizer_options
    return training.train(
        optimizer, "mlp", data, epochs=epochs, seed=seed, folder=folder or None, device=device,
        model_options={"hidden": (hidden,)}, optimizer_options=options,
    )  # fmt: skip
