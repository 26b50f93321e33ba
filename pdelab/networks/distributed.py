"""Many machines: replicas as ranks under torchrun, and split data.

    torchrun --nproc-per-node 3 train.py          with, in train.py,
        group = join()                            and  Parle(model.parameters(), group=group)

One process may hold several replicas instead: `Parle(stacked(models), replicas=3)` takes the same steps bit for bit.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.distributed as distributed

from pdelab.networks.optimizers.communication import Communicator
from pdelab.networks.optimizers.local import DiLoCo, LocalSGD

__all__ = ["Communicator", "DiLoCo", "LocalSGD", "join", "split_indices", "stacked"]


def join(backend: str | None = None, timeout_seconds: float = 600.0) -> Any:
    """Join the ranks that torchrun started and return their process group; None when there is only this process.

    Parameters
    ----------
    backend : str, optional
        None takes NCCL where there is a GPU for each local rank, else gloo.
    timeout_seconds : float > 0

    Returns
    -------
    process group of torch.distributed, or None

    Raises
    ------
    RuntimeError
        The others cannot be reached.

    Examples
    --------
    >>> join() is None                                                   # nobody else is there
    True
    """
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    if not distributed.is_initialized():
        here = int(os.environ.get("LOCAL_RANK", "0"))
        gpus = torch.cuda.is_available() and torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        backend = backend or ("nccl" if gpus else "gloo")
        if backend == "nccl":
            torch.cuda.set_device(here)
        from datetime import timedelta

        try:
            distributed.init_process_group(backend, timeout=timedelta(seconds=timeout_seconds))
        except RuntimeError as error:
            rank, others = os.environ["RANK"], int(os.environ["WORLD_SIZE"]) - 1
            raise RuntimeError(
                f"rank {rank} could not reach the other {others} within {timeout_seconds:g} s: start all ranks again "
                f"({str(error).splitlines()[0]})"
            ) from error
    return distributed.group.WORLD


def stacked(models: Iterable[torch.nn.Module]) -> list[torch.nn.Parameter]:
    """The parameters of equal networks one after the other, as `replicas=len(models)` expects them.

    Parameters
    ----------
    models : iterable of torch.nn.Module
        Of the same sizes.

    Returns
    -------
    list of parameters

    Examples
    --------
    >>> import torch
    >>> len(stacked([torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)]))
    4
    """
    return list(itertools.chain.from_iterable(model.parameters() for model in models))


def split_indices(count: int, replicas: int, share: float | None = None, seed: int = 0) -> list[np.ndarray]:
    """Which of `count` samples each replica sees (thesis section 5.5).

    Every sample is in at least one part; for that the parts may be one sample larger. Table 5.2: 3 replicas with 0.5,
    6 with 0.25.

    Parameters
    ----------
    count, replicas : int >= 1
    share : float in [1/replicas, 1], optional
        Fraction of the data a replica has; default 1/replicas.
    seed : int

    Returns
    -------
    list of sorted index arrays of one size

    Raises
    ------
    ValueError
        The parts cannot cover the data.

    Examples
    --------
    >>> [len(part) for part in split_indices(10, 3, 0.5)]
    [5, 5, 5]
    """
    share = 1.0 / replicas if share is None else share
    if not 1.0 / replicas - 1e-12 <= share <= 1 or count < 1:
        raise ValueError(f"share: expected a number in [1/{replicas}, 1] of {count} samples, got {share!r}")
    size = max(round(share * count), -(-count // replicas))
    order = np.random.default_rng(seed).permutation(count)
    starts = np.arange(replicas) * count // replicas
    return [np.sort(order[(start + np.arange(size)) % count]) for start in starts]
