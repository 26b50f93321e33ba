"""Gaussian averages of node values: weights of a kernel on nodes, and convolutions along an axis."""

import math

import numpy as np
from scipy import fft, special

from pdelab.closed_forms.viscous import RESOLVED

__all__ = ["MILD", "SHIFT", "convolved", "entropy", "is_mild", "weights"]

SHIFT = 0.3819660112501051  # of a second lattice, in spacings, the golden section: no wave looks alike on both
MILD = 1e-2  # beta times the range of f, up to which the logarithm of a mean is left few digits


def convolved(values, kernel, axis):
    """The part of a convolution along an axis in which the kernel lies inside."""
    values = np.moveaxis(values, axis, -1)
    count, reach = values.shape[-1], len(kernel) - 1
    size = fft.next_fast_len(count, real=True)  # what wraps around falls outside the part that is kept
    product = fft.rfft(values, size) * fft.rfft(kernel, size)
    return np.moveaxis(fft.irfft(product, size)[..., reach:count], -1, axis)


def weights(h, reach, variance):
    """Weights of a Gaussian on nodes h apart that sum to one: its values, or where it is narrow its means of hats."""
    offsets = np.arange(-reach, reach + 1) * h
    if variance >= RESOLVED * h * h:
        kernel = np.exp(-(offsets**2) / (2 * variance))
    else:
        x = np.arange(reach + 2) * min(
            h / math.sqrt(variance), 1e100
        )  # E(Y - x)⁺ of a normal Y: its second differences
        excess = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi) - x * special.ndtr(-x)
        side = np.diff(excess, 2)
        kernel = np.concatenate([side[::-1], [2.0 * (excess[1] - excess[0]) + x[1]], side])
    return kernel / kernel.sum()


def is_mild(values, beta, most=MILD):
    """Are values so close together that expm1 is needed?"""
    return bool(beta * (values.max() - values.min()) <= most)


def entropy(values, beta, mean):
    """-(1/beta) log of the mean of exp(-beta f), which is close to one."""
    low = values.min()
    return low - np.log1p(mean(np.expm1(-beta * (values - low)))) / beta
