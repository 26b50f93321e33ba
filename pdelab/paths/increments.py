"""The noise of one step as arrays, by address, for schemes that run through NumPy and for `Paths.increments`."""

from functools import cached_property

import numpy as np

from pdelab.kernels import paths as kernels
from pdelab.paths.tracing import NO_FINER_SIGNS

__all__ = ["Noise"]


class Noise:
    """The noise of one step as arrays, computed when a scheme asks for it."""

    def __init__(self, wieners, paths, dt, seed, step, refine, first, dtype):
        self.dt, self._parts = dt, (wieners, paths, seed, step, refine, first, dtype)

    def _normals(self, ahead=0, pairs=False):
        wieners, paths, seed, step, refine, first, dtype = self._parts
        out = np.empty((2 * wieners if pairs else wieners, paths), dtype)
        kernels.normals_of_step(out, np.uint64(seed), step + ahead, refine, pairs, first)
        return out.astype(float)

    @cached_property
    def normals(self):
        return self._normals()

    @property
    def dw(self):
        return np.sqrt(self.dt) * self.normals

    @cached_property
    def next_dw(self):
        return np.sqrt(self.dt) * self._normals(ahead=1)

    @property
    def signs(self):
        wieners, paths, seed, step, refine, first, _ = self._parts
        if refine > 1:
            raise ValueError(NO_FINER_SIGNS)
        out = np.empty((wieners, paths))
        kernels.signs_of_step(out, np.uint64(seed), step, first)
        return out

    def words(self, draws):
        """Random 64-bit words (draws, paths) of this step."""
        _, paths, seed, step, _, first, _ = self._parts
        out = np.empty((draws, paths), np.uint64)
        kernels.words_of_step(out, np.uint64(seed), step, first)
        return out

    @cached_property
    def dz(self):
        z = self._normals(pairs=True)
        half = len(z) // 2
        return self.dt**1.5 * (0.5 * z[:half] + z[half:] / np.sqrt(12.0))
