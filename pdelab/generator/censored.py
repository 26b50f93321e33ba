"""A chain censored node by node: linear systems and stationary masses to relative accuracy, beyond float64's range."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csgraph

from pdelab.kernels import elimination

__all__ = ["Censored", "Wide"]

BANDED_WORK = 2e10  # multiplications above which an elimination gives way to a sparse factorisation
SAFE = 1e100  # float64 serves while all rates of the censored chains stay within this and its inverse
MOST = 4000  # exponents beyond this are all the same to float64


@dataclass(frozen=True, eq=False)
class Wide:
    """Numbers m 2^(512 e) >= 0, of any size: arrays of mantissas and of whole exponents."""

    mantissas: np.ndarray
    exponents: np.ndarray

    def log(self):
        """Natural logarithms; -inf for zeros."""
        with np.errstate(divide="ignore"):
            return np.log(self.mantissas) + 512 * math.log(2.0) * self.exponents

    @classmethod
    def of(cls, numbers):
        """Float64 numbers >= 0."""
        m, e = np.frexp(numbers)
        shift = np.rint(e / 512).astype(np.int64)
        return cls(np.ldexp(m, (e - 512 * shift).astype(int)), np.where(m > 0, shift, 0))

    def scaled(self, m=1.0, e=0):
        """The numbers over m 2^(512 e) as float64: inf or zero beyond its range."""
        with np.errstate(over="ignore", under="ignore"):
            powers = np.clip(self.exponents - e, -MOST, MOST)
            return np.ldexp(self.mantissas / m, (512 * powers).astype(int))

    def largest(self):
        """(m, e) of the largest number, all of which are positive or zero."""
        m, e = self.mantissas.ravel(), self.exponents.ravel()
        k = int(np.lexsort((m, np.where(m > 0, e, -(2**40))))[-1])
        return float(m[k]), int(e[k])

    def share(self, other):
        """self / (self + other), at most one whatever the rounding."""
        e = np.where(
            self.mantissas == 0, other.exponents,
            np.where(other.mantissas == 0, self.exponents, np.maximum(self.exponents, other.exponents)),
        )  # fmt: skip
        first, second = self.scaled(1.0, e), other.scaled(1.0, e)
        return first / (first + second)


@dataclass(frozen=True, eq=False)
class Censored:
    """(killing - Q) of a chain, eliminated: `solve` for v, and the stationary `masses` of a chain without killing."""

    order: np.ndarray
    band: np.ndarray
    exponents: np.ndarray
    leaving: Wide
    scale: float

    @classmethod
    def of(cls, Q, killing):
        """The chain in an order of small bandwidth, eliminated; None when that is too much work."""
        nodes, scale = Q.shape[0], float(max(Q.data.max(initial=0.0), killing.max(initial=0.0))) or 1.0
        order = csgraph.reverse_cuthill_mckee(Q, symmetric_mode=False)
        chain = Q[order][:, order].tocoo()
        width = max(int(np.abs(chain.row - chain.col).max(initial=0)), 1)
        if nodes * float(width) ** 2 > BANDED_WORK:
            return None
        band, killing = _band(chain, width, scale), killing[order] / scale
        killed, leaving = killing.copy(), np.zeros(nodes)
        with np.errstate(all="ignore"):
            elimination.eliminate(band, killed, leaving)
        if _safe(chain.data[chain.row != chain.col] / scale, band, killing, killed, leaving):
            return cls(order, band, np.zeros((0, 0), np.int64), Wide.of(leaving), scale)
        return cls(order, *_eliminated_wide(_band(chain, width, scale), killing), scale)

    def solve(self, load):
        """v of (killing - Q) v = load >= 0, as `Wide` numbers."""
        x = Wide.of(load[self.order])
        elimination.forward(self.band, self.exponents, x.mantissas, x.exponents)
        elimination.values(
            self.band, self.exponents, x.mantissas, x.exponents, self.leaving.mantissas, self.leaving.exponents
        )
        return self._unscaled(x, 1 / self.scale)

    def masses(self):
        """The stationary masses, as `Wide` numbers of an arbitrary sum."""
        return self._unscaled(Wide(*elimination.weights(self.band, self.exponents)), 1.0)

    def _unscaled(self, ordered, factor):
        mantissas, exponents = np.empty(self.order.size), np.empty(self.order.size, dtype=np.int64)
        mantissas[self.order], exponents[self.order] = ordered.mantissas * factor, ordered.exponents
        return Wide(mantissas, exponents)


def _band(chain, width, scale):
    """The rates of a chain over `scale`, row by row: from i to j at [i, j - i + width]."""
    band = np.zeros((chain.shape[0], 2 * width + 1))
    beside = chain.row != chain.col
    band[chain.row[beside], (chain.col - chain.row + width)[beside]] = chain.data[beside] / scale
    return band


def _safe(*arrays):
    """True when all numbers are zero or far from the ends of float64's range."""
    ends = [elimination.extremes(array.ravel()) for array in arrays]
    return min(low for low, _ in ends) > 1 / SAFE and max(high for _, high in ends) < SAFE


def _eliminated_wide(band, killing):
    rates, killed = Wide.of(band), Wide.of(killing)
    leaving = Wide(np.zeros(killing.size), np.zeros(killing.size, dtype=np.int64))
    elimination.eliminate_wide(
        rates.mantissas, rates.exponents, killed.mantissas, killed.exponents, leaving.mantissas, leaving.exponents
    )
    return rates.mantissas, rates.exponents, leaving
