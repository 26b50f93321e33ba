"""How this project times: contestants interleaved in one process, CPU time, medians, one thread, warm.

Absolute times belong to a machine; ratios within one run can be compared. A benchmark file holds

    def rows(quick=False): yield Row(...)

and is run by `pdelab bench NAME`. A peer that is not installed is skipped with a word: `peer("py-pde", "pde")`.
"""

import importlib
import math
import statistics
import time
from dataclasses import asdict, dataclass

BATCH = 20.0  # ms of a contestant in a round, at least


@dataclass(frozen=True)
class Row:
    """One line of a benchmark: who, how long, how wrong, how many times slower than ours, and the ratio aimed at.

    missed: whether an aim that is no ratio (milliseconds, an order, a number), which the note says, was not reached.
    """

    problem: str
    name: str
    milliseconds: float | None
    error: float | None = None
    ratio: float | None = None
    target: float | None = None
    note: str = ""
    missed: bool = False

    @property
    def misses(self):
        """Whether an aim was not reached."""
        return self.missed or (self.target is not None and self.ratio is not None and self.ratio < self.target)

    def as_dict(self):
        """The row as plain values."""
        return asdict(self)


def race(contestants, repeats=5, warmup=1):
    """Median CPU milliseconds a call of each callable, {name: ms}; every one of them in each round.

    Short calls are repeated within a round until they take BATCH milliseconds: all contestants are timed warm.
    """
    counts = {}
    for name, run in contestants.items():
        for _ in range(warmup):
            run()
        counts[name] = math.ceil(BATCH / max(_milliseconds(run, 1), 1e-3)) if warmup else 1
    times = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, run in contestants.items():
            times[name].append(_milliseconds(run, counts[name]))
    return {name: statistics.median(values) for name, values in times.items()}


def _milliseconds(run, count):
    start = time.process_time_ns()
    for _ in range(count):
        run()
    return (time.process_time_ns() - start) / 1e6 / count


def peer(package, module=None):
    """The module of a peer, or None with its name printed when it cannot be imported here."""
    try:
        return importlib.import_module(module or package)
    except Exception as error:  # a peer may fail in its own ways
        import sys

        print(f"{package}: skipped ({type(error).__name__}: {error})", file=sys.stderr)
        return None
