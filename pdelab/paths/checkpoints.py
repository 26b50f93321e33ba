"""Checkpoints of a run: what was saved so far, in one file, from which the same call goes on."""

import hashlib
import math
import time as clock
from pathlib import Path

import numpy as np

from pdelab import records

__all__ = ["Checkpoint"]

SECONDS = 5.0  # between two writings
_STATE = ("x", "moments", "counts", "exits", "gone")


class Checkpoint:
    """One file of one run; written whole beside its place and then moved there."""

    def __init__(self, path, run):
        self.path, self.run, self.last = Path(path), run, clock.monotonic()
        self.print = self._fingerprint()
        if not self.path.parent.is_dir():
            raise ValueError(f"checkpoint: expected a file in a folder that exists, got {str(path)!r}")

    def is_due(self):
        """Whether the last writing is some seconds ago."""
        return clock.monotonic() - self.last > SECONDS

    def save(self, done):
        """Write the state after `done` steps; returns what to tell the user."""
        run = self.run
        for array in (run.exits, run.gone):
            array[array > done] = math.inf
        arrays = {"x": run.x, "moments": run.moments, "counts": run.counts, "exits": run.exits, "gone": run.gone}
        rows = int(np.searchsorted(run.times, run.plan.when(np.float64(done)) * (1 + 1e-12), side="right"))
        arrays |= {"saved": run.saved[:rows], "times": run.times[:rows], "done": done, "print": self.print}
        with records.atomic(self.path) as new, open(new, "wb") as file:
            np.savez(file, **arrays)
        self.last = clock.monotonic()
        words = f"{self.path} holds {rows} of {len(run.times)} saved times"
        return f"{words}; the same call goes on from t = {run.time(done):.6g}"

    def load(self):
        """Take over the state of the file if there is one; returns how many steps were done."""
        if not self.path.exists():
            return 0
        arrays, run = records.load_arrays(self.path), self.run
        if str(arrays.get("print")) != self.print:
            raise ValueError(f"checkpoint: {self.path} holds another run: name another file, or remove it")
        rows = len(arrays["saved"]) if np.ndim(arrays.get("saved")) else 0
        places = {"saved": run.saved[:rows]} | {name: getattr(run, name) for name in _STATE}
        for name, place in places.items():
            array = arrays.get(name)
            if array is None or array.shape != place.shape or array.dtype != place.dtype:
                raise ValueError(f"checkpoint: {self.path} is damaged: expected {name} of shape {place.shape}")
        done = arrays.get("done")
        if done is None or done.shape or done.dtype.kind != "i" or not 0 <= done <= run.steps:
            raise ValueError(f"checkpoint: {self.path} is damaged: expected a number of steps up to {run.steps}")
        for name, place in places.items():
            place[...] = arrays[name]
        run.before[...] = run.x
        return int(done)

    def _fingerprint(self):
        """Of everything that decides the numbers; of Python functions only their equation's name."""
        run, digest = self.run, hashlib.sha256()
        code = (run.kernel[0].__module__, run.kernel[1].tolist()) if run.kernel else type(run.sde).__name__
        facts = (
            code,
            run.scheme.__name__,
            run.seed,
            run.shift,
            run.refine,
            run.plan.pieces,
            run.times.tolist(),
            run.every,
        )
        shapes = run.x.shape, str(run.x.dtype), run.saved.shape, run.bridge, run.walls.tolist(), run.box.tolist()
        digest.update(repr((facts, shapes, run.geometry.tolist())).encode())
        digest.update(run.x.tobytes())
        return digest.hexdigest()
