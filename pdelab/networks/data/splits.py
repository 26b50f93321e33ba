"""What a data set is: three splits of inputs and targets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

__all__ = ["Data", "Split", "size"]


@dataclass(frozen=True)
class Split:
    """Inputs and targets of the same length: images (n, channels, height, width) with labels (n,); text as tokens
    (n,), one stream, or (n, steps), independent lines, with the tokens that follow.

    Attributes
    ----------
    inputs, targets : tensor (n, ...)
        Of a text stream (n,), the second the first moved by one.
    """

    inputs: torch.Tensor
    targets: torch.Tensor

    def __len__(self):
        return len(self.inputs)

    @property
    def stream(self) -> bool:
        """Whether this is one running text, whose batches follow one another."""
        return self.inputs.ndim == 1

    def take(self, index: Any) -> Split:
        """The samples of an index array or slice.

        Parameters
        ----------
        index : tensor or slice

        Returns
        -------
        Split
        """
        return Split(self.inputs[index], self.targets[index])

    def to(self, device: str | torch.device) -> Split:
        """The same split on a device.

        Parameters
        ----------
        device : str or torch.device

        Returns
        -------
        Split
        """
        return Split(self.inputs.to(device), self.targets.to(device))


@dataclass(frozen=True)
class Data:
    """A data set in three splits.

    Attributes
    ----------
    name : str
    kind : "images" or "text"
    train, validation, test : Split
    classes : int
        Labels, or size of the vocabulary.
    steps : int or None
        Length of the windows of a text stream.
    augment : callable or None
        (images, torch.Generator) -> images, applied to training batches.
    options : dict
        The arguments of `load` that make this data set again.
    vocabulary : tuple of str
        Text only: the tokens in the order of their numbers.
    """

    name: str
    kind: str
    train: Split
    validation: Split
    test: Split
    classes: int
    steps: int | None = None
    augment: object = None
    options: dict = field(default_factory=dict)
    vocabulary: tuple = ()

    @property
    def shape(self) -> tuple:
        """Shape of one input: (channels, height, width), or (steps,) for text."""
        return tuple(self.train.inputs.shape[1:]) or (self.steps,)


def size(wanted, count, name):
    """A number of samples from a number or a fraction of `count`."""
    number = round(wanted * count) if isinstance(wanted, float) and wanted <= 1 else wanted
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= count:
        raise ValueError(f"{name}: expected a number of samples up to {count} or a fraction, got {wanted!r}")
    return number
