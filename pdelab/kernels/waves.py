"""Waves of about four nodes along the lines of a field, or of every second, fourth, ... of its nodes."""

import numpy as np
from numba import njit

__all__ = ["PERIODIC", "REFLECTING", "UNKNOWN", "short_waves"]

PERIODIC, REFLECTING, UNKNOWN = 0, 1, 2


@njit(cache=True, nogil=True)
def short_waves(values, stride, code):
    """What is off the cubic through the nodes 1 and 3 strides away, along the middle axis.

    Parameters
    ----------
    values : array (before, n, after)
    stride : int
        3 stride < 2 n; where the ends are unknown 6 stride <= n.
    code : PERIODIC, REFLECTING or UNKNOWN
        What lies beyond the ends. UNKNOWN: 0 for the nodes whose neighbours lie there.

    Returns
    -------
    array, shape of the values
    """
    before, n, after = values.shape
    out = np.zeros_like(values)
    reach = 3 * stride
    low, high = (reach, n - reach) if code == UNKNOWN else (0, n)
    for j in range(low, high):
        a, b = _at(j - reach, n, code), _at(j - stride, n, code)
        c, d = _at(j + stride, n, code), _at(j + reach, n, code)
        for i in range(before):
            for k in range(after):
                near, far = values[i, b, k] + values[i, c, k], values[i, a, k] + values[i, d, k]
                out[i, j, k] = values[i, j, k] - (9.0 * near - far) / 16.0
    return out


@njit(inline="always")
def _at(j, n, code):
    """The node that stands for one beyond an end."""
    if code == PERIODIC:
        return j % n
    j %= 2 * (n - 1)
    return min(j, 2 * (n - 1) - j)
