"""Preprocessing of images as in the papers: scaling, contrast normalisation, ZCA, crops and flips."""

from __future__ import annotations

import torch

from pdelab.networks.checks import positive

__all__ = ["PREPROCESS", "contrast_normalise", "crops_and_flips", "scale", "zca"]


def scale(train: torch.Tensor, *others: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Pixels of range [0, 1] to [-1, 1] (thesis 2.4.2).

    Parameters
    ----------
    train, *others : tensors

    Returns
    -------
    tuple of tensors of the same shapes

    Examples
    --------
    >>> import torch
    >>> scale(torch.tensor([0.0, 1.0]))
    (tensor([-1.,  1.]),)
    """
    return tuple(2.0 * images - 1.0 for images in (train, *others))


def contrast_normalise(train: torch.Tensor, *others: torch.Tensor, floor: float = 1e-8) -> tuple[torch.Tensor, ...]:
    """Global contrast normalisation: every image gets mean 0 and variance 1 (Goodfellow et al. 2013).

    Their scale 55 for 3 × 32 × 32 images is √3072 to one per cent. An image of one colour becomes 0.

    Parameters
    ----------
    train, *others : tensors (n, channels, height, width)
    floor : float > 0
        Deviations below it are taken as 0.

    Returns
    -------
    tuple of tensors of the same shapes

    Examples
    --------
    >>> import torch
    >>> (images,) = contrast_normalise(torch.rand(2, 1, 4, 4))
    >>> bool(images.mean((1, 2, 3)).abs().max() < 1e-6)
    True
    """
    return tuple(_contrast(images, floor) for images in (train, *others))


def zca(train: torch.Tensor, *others: torch.Tensor, regularisation: float = 0.1) -> tuple[torch.Tensor, ...]:
    """ZCA whitening x ← (x - x̄) U (Λ + ε)^-1/2 Uᵀ with mean and covariance U Λ Uᵀ of the training images.

    Parameters
    ----------
    train, *others : tensors (n, channels, height, width)
    regularisation : float
        ε > 0, added to the eigenvalues; 0.1 as in Goodfellow et al. (2013).

    Returns
    -------
    tuple of tensors of the same shapes

    Examples
    --------
    >>> import torch
    >>> (images,) = zca(torch.rand(20, 1, 2, 2))
    >>> bool(images.mean(0).abs().max() < 1e-5)
    True
    """
    positive("regularisation", regularisation)
    flat = train.flatten(1)
    mean = flat.double().mean(0)
    covariance = torch.zeros(flat.shape[1], flat.shape[1], dtype=torch.float64, device=train.device)
    for part in flat.split(8192):
        centred = part.double() - mean
        covariance += centred.T @ centred / len(flat)
    values, vectors = torch.linalg.eigh(covariance)
    whitener = (vectors / (values.clamp(min=0) + regularisation).sqrt()) @ vectors.T
    mean, whitener = mean.to(train.dtype), whitener.to(train.dtype)
    return tuple(((images.flatten(1) - mean) @ whitener).view_as(images) for images in (train, *others))


def crops_and_flips(images: torch.Tensor, generator: torch.Generator, padding: int = 4) -> torch.Tensor:
    """Shift every image by up to `padding` pixels (zeros come in) and mirror it with probability 1/2 (thesis 5.4.3).

    Parameters
    ----------
    images : tensor (n, channels, height, width)
    generator : torch.Generator
    padding : int >= 0

    Returns
    -------
    tensor of the same shape

    Examples
    --------
    >>> import torch
    >>> crops_and_flips(torch.rand(2, 1, 4, 4), torch.Generator().manual_seed(0), padding=1).shape
    torch.Size([2, 1, 4, 4])
    """
    count, _, height, width = images.shape
    device = images.device
    shift = torch.randint(2 * padding + 1, (2, count, 1), generator=generator, device="cpu")
    flip = torch.rand(count, 1, generator=generator, device="cpu") < 0.5
    rows, columns = shift[0] + torch.arange(height, device="cpu"), torch.arange(width, device="cpu").expand(count, -1)
    columns = shift[1] + torch.where(flip, width - 1 - columns, columns)
    padded = torch.nn.functional.pad(images, (padding,) * 4)
    picked = padded[
        torch.arange(count, device=device)[:, None, None],
        :,
        rows[:, :, None].to(device),
        columns[:, None, :].to(device),
    ]
    return picked.movedim(-1, 1)


def _contrast(images, floor):
    flat = images.flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    deviation = flat.square().mean(1, keepdim=True).sqrt()
    return torch.where(deviation > floor, flat / deviation.clamp(min=floor), 0.0).view_as(images)


def _contrast_and_zca(*images):
    return zca(*contrast_normalise(*images))


PREPROCESS = {
    "none": lambda *images: images,
    "scale": scale,
    "contrast": contrast_normalise,
    "zca": _contrast_and_zca,
}
