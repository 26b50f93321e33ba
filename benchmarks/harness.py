"""How this project times: contestants interleaved in one process, CPU time, medians, one thread, warm.

Absolute times belong to a machine; ratios within one run can be compared. A benchmark file holds

    def rows(quick=False): yield Row(...)

and is run by `pdelab bench NAME`. A peer that is not installed is skipped with a word: `peer("py-pde", "pde")`.
"""

import importlib
import statistics
import time
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One line of a benchmark: who, how long, how wrong, how many times slower than ours, and the ratio aimed at."""

    problem: str
    name: str
    milliseconds: float | None
    error: float | None = None
    ratio: float | None = None
    target: float | None = None
    note: str = ""

    def as_dict(self):
        """The row as plain values."""
        return asdict(self)


def race(contestants, repeats=5, warmup=1):
    """Median CPU milliseconds of each callable, {name: ms}; all of them once a round, round after round."""
    for run in contestants.values():
        for _ in range(warmup):
            run()
    times = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, run in contestants.items():
            start = time.process_time_ns()
            run()
            times[name].append((time.process_time_ns() - start) / 1e6)
    return {name: statistics.median(values) for name, values in times.items()}


def repeated(function, count):
    """A callable that calls `function` count times: for calls too short for the clock."""

    def run():
        for _ in range(count):
            function()

    return run


def peer(package, module=None):
    """The module of a peer, or None with its name printed when it cannot be imported here."""
    try:
        return importlib.import_module(module or package)
    except Exception as error:  # a peer may fail in its own ways
        import sys

        print(f"{package}: skipped ({type(error).__name__}: {error})", file=sys.stderr)
        return None
