"""Threads: explicit steps of large grids on all cores, each thread its own rows, the result the same bit for bit."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise

from numba import config

__all__ = ["LEAST", "crew", "march", "workers"]

LEAST = 2**21  # nodes a thread gets at least: with fewer, waking it and sharing the memory cost what it saves


def workers(nodes, weight=1):
    """How many threads a sweep over `nodes` nodes deserves: at most NUMBA_NUM_THREADS (as many as cores by default).

    weight: how much dearer a node is than in Godunov's scheme.
    """
    return max(1, min(config.NUMBA_NUM_THREADS, nodes * weight // LEAST))


@contextmanager
def crew(threads):
    """each(work, n): work(first, last) for the parts of range(n), one a thread; it returns when all are done."""
    if threads == 1:
        yield lambda work, n: work(0, n)
        return
    with ThreadPoolExecutor(threads - 1) as pool:

        def each(work, n):
            first, *others = pairwise([n * part // threads for part in range(threads + 1)])
            waiting = [pool.submit(work, *part) for part in others]
            work(*first)
            for part in waiting:
                part.result()

        yield each


def march(step, values, out, work, steps, n, threads):
    """`steps` sweeps step(source, target, first, last) over n parts, from `values` to `out` by way of `work`."""
    source = values
    target, other = (out, work) if steps % 2 == 1 else (work, out)
    with crew(threads) as each:
        for _ in range(steps):
            each(lambda first, last, pair=(source, target): step(*pair, first, last), n)
            source, target, other = target, other, target
