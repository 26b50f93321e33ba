"""The sparse random network from which the thesis derives the spin glass (section 2.1): features to data and back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from pdelab import checks

__all__ = ["SparseNetwork"]


@dataclass(frozen=True)
class SparseNetwork:
    """Layers of N threshold neurons, each joined to about d of the next by weights ±1.

    Parameters
    ----------
    n : int >= 1
        Neurons a layer.
    degree : float in (0, n]
        d: each weight is +1 and -1 with probability d/(2N) each.
    layers : int >= 1
    seed : int in [0, 2**63)

    Raises
    ------
    ValueError
        Numbers out of range.

    Examples
    --------
    >>> network = SparseNetwork(2000, 10, seed=1)
    >>> features = network.features(20, seed=2)
    >>> int(features.sum()), int(network.generate(features).sum()) < 400
    (20, True)
    """

    n: int
    degree: float
    layers: int = 1
    seed: int = 0

    def __post_init__(self):
        n = checks.whole("n", self.n)
        checks.within("degree", self.degree, 0, n, "(]")
        checks.whole("layers", self.layers)
        checks.whole("seed", self.seed, 0, 2**63 - 1)

    @cached_property
    def weights(self) -> list[sparse.csr_array]:
        """x^1, ..., x^p, (n, n) each; a row of x^k holds the weights of one neuron of layer k."""
        random = np.random.default_rng(self.seed)
        return [self._layer(random) for _ in range(self.layers)]

    def features(self, active: int, seed: int = 0) -> NDArray[np.bool_]:
        """A feature vector h with ones at random places.

        Parameters
        ----------
        active : int, 0 to n
            How many ones.
        seed : int >= 0

        Returns
        -------
        array of bool (n,)

        Raises
        ------
        ValueError
            active or seed outside that range.
        """
        active = checks.whole("active", active, 0, self.n)
        chosen = np.zeros(self.n, bool)
        chosen[np.random.default_rng(checks.whole("seed", seed, 0)).choice(self.n, active, replace=False)] = True
        return chosen

    def generate(self, features: ArrayLike, *, strict: bool = True) -> NDArray[np.bool_]:
        """ξ = g(x^1ᵀ g(... g(x^pᵀ h))) of thesis (2.1).

        Parameters
        ----------
        features : array (n,) of 0 and 1
        strict : bool
            g = 1{x > 0}; False: 1{x >= 0} as printed, with which every neuron that hears nothing fires.

        Returns
        -------
        array of bool (n,)

        Raises
        ------
        ValueError
            Another length, or entries other than 0 and 1.
        """
        signal = self._binary("features", features)
        for layer in reversed(self.weights):
            heard = layer.T @ signal.astype(np.int64)
            signal = heard > 0 if checks.switch("strict", strict) else heard >= 0
        return signal

    def decode(self, data: ArrayLike) -> NDArray[np.bool_]:
        """h = g(x^p ... g(x^1 ξ - d/3) - d/3) of thesis (2.2), the network run in reverse.

        Parameters
        ----------
        data : array (n,) of 0 and 1

        Returns
        -------
        array of bool (n,)

        Raises
        ------
        ValueError
            Another length, or entries other than 0 and 1.
        """
        signal = self._binary("data", data)
        for layer in self.weights:
            signal = layer @ signal.astype(np.int64) > self.degree / 3
        return signal

    def _layer(self, random):
        count = random.binomial(self.n * self.n, self.degree / self.n)
        places = np.unique(random.integers(0, self.n * self.n, count))
        signs = random.integers(0, 2, places.size) * 2 - 1
        return sparse.csr_array((signs, np.divmod(places, self.n)), shape=(self.n, self.n))

    def _binary(self, name, signal):
        signal = np.asarray(signal)
        if signal.shape != (self.n,) or not np.isin(signal, (0, 1)).all():
            raise ValueError(f"{name}: expected an array ({self.n},) of 0 and 1, got shape {signal.shape}")
        return signal.astype(bool)
