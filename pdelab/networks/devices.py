"""Which of two branches serves a tensor: the compiled kernels of the CPU, or torch's operations, which serve anywhere.

Whatever has a fast branch of its own on the CPU asks here, so that one switch runs the other branch on the CPU too, as
on an accelerator: `with generic():`, or PDELAB_GENERIC=1 in the environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["generic", "kernels_serve", "looking_waits"]

_generic = [os.environ.get("PDELAB_GENERIC", "0") not in ("", "0")]


@contextmanager
def generic(on: bool = True) -> Iterator[None]:
    """Inside, tensors on the CPU are served as those of an accelerator are: by torch, and looked at only now and then.

    Parameters
    ----------
    on : bool

    Yields
    ------
    None

    Examples
    --------
    >>> import torch
    >>> with generic():
    ...     kernels_serve(torch.ones(3))
    False
    """
    before, _generic[0] = _generic[0], on
    try:
        yield
    finally:
        _generic[0] = before


def kernels_serve(*tensors: Any) -> bool:
    """Whether the kernels of the CPU serve these tensors (or what else has `device` and `dtype`): both float types.

    Parameters
    ----------
    *tensors : tensors, or what else has `device` and `dtype`

    Returns
    -------
    bool

    Examples
    --------
    >>> import torch
    >>> kernels_serve(torch.ones(3)), kernels_serve(torch.ones(3, dtype=torch.float16))
    (True, False)
    """
    return not _generic[0] and all(
        t.device.type == "cpu" and t.dtype in (torch.float32, torch.float64) for t in tensors
    )


def looking_waits(device: torch.device) -> bool:
    """Whether reading a number of a tensor there means waiting for all the work that was queued before.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    bool

    Examples
    --------
    >>> import torch
    >>> looking_waits(torch.device("cpu"))
    False
    """
    return _generic[0] or device.type != "cpu"
