"""What a path and a training run cost on this machine, and what 10⁹ paths and 1000 seeds then take on a cluster."""

import statistics
import time
from importlib.util import find_spec

import pdelab as pl

PATHS, SEEDS, CORES, STEPS = 10**9, 1000, 128, 1000


def seconds_of(work, repeats=3):
    """Median CPU seconds of a call, after one that warms up."""
    work()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def per_path(paths=4096):
    """CPU seconds of one path of STEPS steps, from the cost of many less that of few."""
    sde = pl.Langevin(pl.Loss("x**4/4 - x**2/2"), beta=4.0)

    def run(count):
        return lambda: pl.simulate(sde, 1.0, 0.001 * STEPS, 0.001, paths=count, seed=1, store=False, threads=1)

    return (seconds_of(run(2 * paths)) - seconds_of(run(paths))) / paths


def per_seed(epochs=2):
    """CPU seconds of one training run of the built-in network, for each epoch."""
    import torch

    from pdelab.networks import training

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    taken = seconds_of(lambda: training.train("entropy-sgd", epochs=epochs), repeats=1)
    torch.set_num_threads(before)
    return taken / epochs


def arithmetic(name, one, count, each):
    """The lines of the sum: one times how many, over the cores."""
    total = one * count
    return [
        f"{name}: {one:.3g} s of one core each",
        f"    {count:,} x {one:.3g} s = {total:.3g} core seconds = {total / 3600:.3g} core hours",
        f"    / {CORES} cores = {total / CORES / 3600:.3g} hours; {each}",
    ]


def main():
    """Print it."""
    blocks = PATHS // 512
    memory = f"{8 * PATHS / 1e9:g} GB of final states ({8 * PATHS // CORES / 1e6:.3g} MB a core), {blocks:,} blocks"
    print("\n".join(arithmetic(f"a path of {STEPS} steps", per_path(), PATHS, memory)))
    if find_spec("torch") and find_spec("sklearn"):
        print("\n".join(arithmetic("a seed, 100 epochs", 100 * per_seed(), SEEDS, "no run talks to another")))


if __name__ == "__main__":
    main()
