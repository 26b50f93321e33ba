"""Loss and error of a model, at the weights that count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional

from pdelab.networks import models
from pdelab.networks.data import Split

__all__ = ["cross_entropy", "evaluate", "forward", "outer_weights", "to_outer_weights"]

_NORMS = torch.nn.modules.batchnorm._BatchNorm


def evaluate(
    model: torch.nn.Module, split: Split, *, batch_size: int = 1024, steps: int | None = None, columns: int = 1
) -> dict[str, float]:
    """Mean cross-entropy and error of a model on a split.

    Parameters
    ----------
    model : torch.nn.Module
        Used in eval mode, given back in the mode it had.
    split : pdelab.networks.data.Split
        On the model's device, not empty.
    batch_size : int
        Samples at a time (images).
    steps, columns : int
        A stream is cut into so many columns, read in windows of `steps` tokens with the state carried on.

    Returns
    -------
    dict
        {"loss": nats a sample or token, "error": per cent of wrong predictions}; exp(loss) is a text's perplexity.

    Raises
    ------
    ValueError
        An empty split.

    Examples
    --------
    >>> from pdelab.networks import data, models
    >>> sorted(evaluate(models.mlp(), data.load("digits").test))
    ['error', 'loss']
    """
    mode = model.training
    model.eval()
    total, wrong, count, carried = 0.0, 0, 0, None
    pairs = (split.inputs, split.targets)
    if split.stream:
        length = len(split) // columns
        pairs = (part[: columns * length].view(columns, length).split(steps, 1) for part in pairs)
    else:
        pairs = (part.split(batch_size) for part in pairs)
    with torch.no_grad():
        for inputs, targets in zip(*pairs):
            logits, carried = forward(model, inputs, carried if split.stream else None)
            total += functional.cross_entropy(logits, targets.flatten(), reduction="sum").item()
            wrong += (logits.argmax(-1) != targets.flatten()).sum().item()
            count += targets.numel()
    model.train(mode)
    return {"loss": total / count, "error": 100.0 * wrong / count}


@contextmanager
def outer_weights(optimizer: Any, model: torch.nn.Module, split: Split) -> Iterator[torch.nn.Module]:
    """Inside, the parameters are the optimizer's outer weights, with batch-norm statistics of their own.

    Optimizers without `eval()` and `train()`, such as `torch.optim.SGD`, have only one set of weights.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    model : torch.nn.Module
    split : Split
        Over which batch-norm statistics are collected.

    Yields
    ------
    torch.nn.Module
        The model.

    Examples
    --------
    >>> import torch
    >>> from pdelab.networks import data, models
    >>> model = models.mlp()
    >>> with outer_weights(torch.optim.SGD(model.parameters(), lr=0.1), model, data.load("digits").train) as outer:
    ...     outer is model
    True
    """
    swaps = to_outer_weights(optimizer, model, split)
    try:
        yield model
    finally:
        if swaps:
            optimizer.train()


def to_outer_weights(optimizer, model, split):
    """Put the outer weights into the model for good; returns whether the optimizer has any."""
    swaps = hasattr(optimizer, "eval") and hasattr(optimizer, "train")
    if swaps:
        optimizer.eval()
        if any(isinstance(module, _NORMS) for module in model.modules()):
            from pdelab.networks import update_bn

            batches = split.inputs.split(1024)
            alone = len(batches) > 1 and len(batches[-1]) == 1  # one sample has no variance
            update_bn(model, split.inputs.tensor_split(len(batches)) if alone else batches)
    return swaps


def cross_entropy(model, inputs, targets, carried=None):
    """The training loss, and the state that a language model hands on."""
    logits, carried = forward(model, inputs, carried)
    return functional.cross_entropy(logits, targets.flatten()), carried


def forward(model, inputs, carried=None):
    """Logits (samples or tokens, classes) and the state that a language model hands on."""
    if isinstance(model, models.LanguageModel):
        logits, carried = model(inputs, carried)
        return logits.flatten(0, 1), carried
    return model(inputs), None
