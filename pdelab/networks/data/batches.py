"""Batches: a pure function of seed, replica and epoch, so that a resumed run sees the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from pdelab.networks.checks import whole
from pdelab.networks.data.splits import Split

__all__ = ["batch_count", "batches", "keyed_generator"]


def batch_count(split: Split, size: int, steps: int | None = None) -> int:
    """Batches of one pass over a split: whole batches only, so that every gradient has the same noise.

    Parameters
    ----------
    split : Split
    size : int
        Samples in a batch.
    steps : int, optional
        Window of a text stream.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        A batch larger than the split.

    Examples
    --------
    >>> from pdelab.networks.data import load
    >>> batch_count(load("digits").train, 64)
    16
    """
    whole("batch_size", size, 1)
    count = len(split) // size // (steps or 1 if split.stream else 1)
    if count < 1:
        need = f"{size} x {steps} tokens" if split.stream else f"{size} samples"
        raise ValueError(
            f"batch_size: expected at most the split's {len(split)}, got batches of {need}: choose a smaller batch_size"
        )
    return count


def batches(
    split: Split,
    size: int,
    *,
    seed: int,
    epoch: int,
    replica: int = 0,
    steps: int | None = None,
    augment: Callable | None = None,
    replacement: bool = False,
    start: int = 0,
) -> Iterator:
    """The batches of one pass.

    Parameters
    ----------
    split : Split
    size : int
        Samples in a batch; for a stream, parallel columns of `steps` tokens each, in running order.
    steps : int, optional
        Window of a text stream.
    seed, epoch, replica : int
        Key of the order and of the augmentation.
    augment : callable, optional
        (images, generator) -> images.
    replacement : bool
        Draw every batch anew from all samples instead of walking through a permutation.
    start : int
        Batches to leave out, when a run continues inside an epoch.

    Yields
    ------
    inputs, targets

    Raises
    ------
    ValueError
        A batch larger than the split.

    Examples
    --------
    >>> from pdelab.networks.data import load
    >>> inputs, targets = next(batches(load("digits").train, 8, seed=0, epoch=0))
    >>> len(inputs), len(targets)
    (8, 8)
    """
    count = batch_count(split, size, steps)
    if split.stream:
        yield from _windows(split, size, steps, count, start)
        return
    order = torch.randperm(len(split), generator=keyed_generator(seed, replica, epoch), device="cpu")
    for number in range(start, count):
        if replacement:
            index = torch.randint(
                len(split), (size,), generator=keyed_generator(seed, replica, epoch, number, 0), device="cpu"
            )
        else:
            index = order[number * size : (number + 1) * size]
        index = index.to(split.inputs.device)
        inputs, targets = split.inputs[index], split.targets[index]
        yield (augment(inputs, keyed_generator(seed, replica, epoch, number, 1)) if augment else inputs), targets


def _windows(split, size, steps, count, start):
    length = len(split) // size
    inputs, targets = (part[: size * length].view(size, length) for part in (split.inputs, split.targets))
    for number in range(start, count):
        part = slice(number * steps, (number + 1) * steps)
        yield inputs[:, part], targets[:, part]


def keyed_generator(*key: int) -> torch.Generator:
    """A torch generator on the CPU whose stream is a function of a tuple of whole numbers.

    Parameters
    ----------
    *key : whole numbers

    Returns
    -------
    torch.Generator

    Examples
    --------
    >>> import torch
    >>> one, other = (torch.rand(1, generator=keyed_generator(3, 4)) for _ in range(2))
    >>> bool(one == other)
    True
    """
    seed = int(np.random.SeedSequence([int(k) for k in key]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator("cpu").manual_seed(seed)
