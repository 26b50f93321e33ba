"""Permutation-aligned overlap of networks (Figure 5.1): the same function has many sets of weights.

The units of a hidden layer can be renumbered when the rows of its weights and the columns of the next layer's follow.
`align` renumbers one network's units so that its weights come close to another's: layer by layer from the input
("greedy", as in thesis 5.0.1), or layer after layer in random order until ⟨x, x'⟩ stops growing ("weights").
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn

from pdelab.checks import choice
from pdelab.hints import Array

__all__ = ["align", "average", "overlap", "overlap_matrix"]

_WEIGHTED = (nn.Linear, nn.Conv2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def overlap(one: torch.nn.Module, other: torch.nn.Module) -> float:
    """⟨x, x'⟩/(|x| |x'|) of all weights of two networks, between -1 and 1.

    Parameters
    ----------
    one, other : torch.nn.Module
        Of the same sizes.

    Returns
    -------
    float in [-1, 1]

    Raises
    ------
    ValueError
        Different sizes.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Linear(3, 2)
    >>> round(overlap(net, net), 6)
    1.0
    """
    x, y = (torch.cat([p.detach().double().flatten() for p in model.parameters()]) for model in (one, other))
    if x.shape != y.shape:
        raise ValueError(f"one, other: expected networks of the same sizes, got {len(x)} and {len(y)} weights")
    return (x @ y / (x.norm() * y.norm())).item()


def align(
    model: torch.nn.Sequential, reference: torch.nn.Sequential, method: str = "weights", seed: int = 0
) -> torch.nn.Sequential:
    """A copy of `model` with its hidden units renumbered to resemble `reference`; its outputs do not change.

    Parameters
    ----------
    model, reference : torch.nn.Sequential
        Chains of Linear and Conv2d layers (mlp, mnistfc, lenet, allcnn), of the same sizes.
    method : "greedy" or "weights"
        Match each layer by its incoming weights, from the input on; or by incoming and outgoing weights, layers in
        random order, until nothing improves.
    seed : int
        Of the random order.

    Returns
    -------
    torch.nn.Sequential

    Raises
    ------
    ValueError
        Other layers than these, different sizes, an unknown method.

    Examples
    --------
    >>> import torch
    >>> from pdelab.networks.models import mlp
    >>> one = mlp(3, (4,), 2)
    >>> turned = align(one, one)
    >>> bool(torch.equal(turned(torch.ones(1, 3)), one(torch.ones(1, 3))))
    True
    """
    choice("method", method, ("greedy", "weights"))
    moved, layers, goal = copy.deepcopy(model), None, _layers(reference)
    layers = _layers(moved)
    ours, theirs = ([tuple(layer.weight.shape) for layer, _ in chain] for chain in (layers, goal))
    if ours != theirs:
        raise ValueError(f"model: expected layers of the sizes of the reference, {theirs}, got {ours}")
    hidden = range(len(layers) - 1)
    with torch.no_grad():
        if method == "greedy":
            for k in hidden:
                _renumber(layers, k, _assign(_incoming(layers, k), _incoming(goal, k)))
            return moved
        rng, stale = np.random.default_rng(seed), 0
        while stale < len(hidden):
            stale = 0
            for k in rng.permutation(len(hidden)):
                stale += not _improve(layers, goal, k)
    return moved


def overlap_matrix(networks: Sequence[torch.nn.Sequential], method: str | None = None) -> Array:
    """Pairwise overlaps (n, n): raw, or with every network aligned to each other one (Figure 5.1).

    Parameters
    ----------
    networks : sequence of torch.nn.Sequential
    method : str or None
        Of `align`; None: as they are.

    Returns
    -------
    array (n, n), symmetric

    Examples
    --------
    >>> from pdelab.networks.models import mlp
    >>> overlap_matrix([mlp(3, (4,), 2), mlp(3, (4,), 2)], "weights").shape
    (2, 2)
    """
    count = len(networks)
    overlaps = np.eye(count)
    for a in range(count):
        for b in range(a + 1, count):
            moved = networks[b] if method is None else align(networks[b], networks[a], method)
            overlaps[a, b] = overlaps[b, a] = overlap(networks[a], moved)
    return overlaps


def average(networks: Sequence[torch.nn.Module]) -> torch.nn.Module:
    """The network with the mean of the weights (and of batch-norm statistics) of several.

    Parameters
    ----------
    networks : sequence of torch.nn.Module
        Of the same sizes.

    Returns
    -------
    torch.nn.Module

    Examples
    --------
    >>> import torch
    >>> first, second = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    >>> middle = average([first, second])
    >>> bool(torch.isclose(2 * middle.weight, first.weight + second.weight))
    True
    """
    mean = copy.deepcopy(networks[0])
    states = [network.state_dict() for network in networks]
    mean.load_state_dict({
        name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
        for name, value in states[0].items()
    })  # fmt: skip
    return mean


def _layers(model):
    """[(weighted layer, batch norm after it or None)] of a chain."""
    modules = [module for module in model.modules() if not list(module.children())]
    known = all(isinstance(m, _WEIGHTED + _NORMS) for m in modules if list(m.parameters()))
    if not isinstance(model, nn.Sequential) or not known or list(model) != modules:
        raise ValueError(
            f"model: expected a chain of Linear and Conv2d layers (mlp, lenet, allcnn), got {type(model).__name__}"
        )
    layers = []
    for module in modules:
        if isinstance(module, _WEIGHTED):
            layers.append([module, None])
        elif isinstance(module, _NORMS):
            layers[-1][1] = module
    return [tuple(layer) for layer in layers]


def _incoming(layers, k):
    """What each unit of layer k is made of: a row of weights, bias, scale and shift."""
    layer, norm = layers[k]
    columns = [layer.weight.flatten(1)]
    columns += [layer.bias[:, None]] if layer.bias is not None else []
    columns += [norm.weight[:, None], norm.bias[:, None]] if norm is not None and norm.affine else []
    return torch.cat(columns, 1)


def _outgoing(layers, k):
    """What the next layer makes of each unit of layer k."""
    units, weight = layers[k][0].weight.shape[0], layers[k + 1][0].weight
    return weight.unflatten(1, (units, -1)).transpose(0, 1).flatten(1)


def _assign(ours, theirs):
    """The order of our units that has the largest Σ ⟨ours, theirs⟩."""
    gain = (theirs.double() @ ours.double().T).cpu().numpy()
    return torch.from_numpy(linear_sum_assignment(gain, maximize=True)[1])


def _improve(layers, goal, k):
    ours = torch.cat([_incoming(layers, k), _outgoing(layers, k)], 1)
    theirs = torch.cat([_incoming(goal, k), _outgoing(goal, k)], 1)
    order = _assign(ours, theirs)
    before, after = ((a.double() * theirs.double()).sum().item() for a in (ours, ours[order]))
    if after <= before + 1e-12 * abs(before):
        return False
    _renumber(layers, k, order)
    return True


def _renumber(layers, k, order):
    layer, norm = layers[k]
    for tensor in (layer.weight, layer.bias, *_statistics(norm)):
        if tensor is not None:
            tensor.copy_(tensor[order])
    weight = layers[k + 1][0].weight
    weight.copy_(weight.unflatten(1, (len(order), -1))[:, order].reshape(weight.shape))


def _statistics(norm):
    return () if norm is None else (norm.weight, norm.bias, norm.running_mean, norm.running_var)
