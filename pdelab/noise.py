"""Noise by address: the normal number of (seed, path, step, channel), the same for any threads, chunks and order.

    words  = Threefry2x64-13(counter = (path, step // 2), key = (seed, channel))
    normal = Box-Muller(words)[step % 2]

The arithmetic is in `pdelab.kernels.noise`; this is how they are asked for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from pdelab import checks
from pdelab.kernels.noise import BLOCK, fill_addresses

__all__ = ["BLOCK", "normals"]


def normals(
    seed: int, paths: int | range, steps: int | range, channels: int = 1, *, dtype: DTypeLike = np.float64
) -> np.ndarray:
    """Standard normal numbers by address.

    Parameters
    ----------
    seed : int in [0, 2**64)
    paths, steps : int or range
        How many, counted from 0, or which: range(a, b).
    channels : int >= 1
        Independent numbers for each path and step, e.g. one a coordinate.
    dtype : float64 or float32
        The two are different numbers: a float32 normal takes half the bits.

    Returns
    -------
    array (steps, channels, paths)
        Entry [k, c, i] depends on the seed, on the k-th step, the channel c and the i-th path, and on nothing else.

    Raises
    ------
    ValueError
        A seed that is not such an integer, or an empty or negative range.

    Examples
    --------
    >>> z = normals(7, 5, 4)
    >>> bool((normals(7, range(3, 5), range(2, 4)) == z[2:, :, 3:]).all())
    True
    """
    paths, steps = _addresses(paths, "paths"), _addresses(steps, "steps")
    if np.dtype(dtype) not in (np.float64, np.float32):
        checks.refuse("dtype", "float64 or float32", dtype)
    out = np.empty((len(steps), checks.whole("channels", channels), len(paths)), dtype)
    fill_addresses(out, np.uint64(checks.seed("seed", seed)), paths.start, steps.start)
    return out


def _addresses(chosen, name):
    if not isinstance(chosen, range):
        return range(checks.whole(name, chosen))
    if chosen.step != 1 or not 0 <= chosen.start < chosen.stop <= 2**63:
        checks.refuse(name, "a whole number or range(a, b) with 0 <= a < b <= 2**63", chosen)
    return chosen
