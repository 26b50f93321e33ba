"""Hard landscapes: gradients of the spin glass against their matrix product, the perceptron's enumeration likewise."""

import numpy as np

from benchmarks.harness import Row, race
from pdelab import perceptron, spin_glass


def rows(quick=False):
    """The spin glass and the binary perceptron."""
    yield from _gradients(((50, 512), (100, 256)) if not quick else ((30, 64),), 3 if quick else 9)
    yield from _enumeration(15 if quick else 21, 2 if quick else 5)
    yield from _local_counts(15 if quick else 21, 2 if quick else 5)


def _gradients(sizes, repeats):
    for n, count in sizes:
        yield from _one_gradient(n, count, repeats)


def _one_gradient(n, count, repeats):
    glass = spin_glass.SpinGlass(n, 3, seed=1)
    points = glass.random_points(count)
    couplings, products = glass.couplings, np.random.default_rng(0).normal(size=(n * (n + 1) // 2, count))
    contestants = {"gradients": lambda: glass.gradient(points), "bare W @ q": lambda: couplings @ products}
    x, y = points[0], points[0] + 1e-6 * glass.gradient(points[:1])[0]
    slope = n * (glass.energy(glass.project(y)) - glass.energy(x)) / 1e-6
    error = abs(slope / np.square(glass.gradient(x)).sum() - 1)
    times = race(contestants, repeats)
    for name, ms in times.items():
        share = ms / times["gradients"] if "bare" in name else None
        yield Row(f"3-spin, N = {n}, {count} points", name, ms, error, share, 0.6 if share else None)


def _by_products(instance, chunk=1 << 15):
    """All solutions the NumPy way: one float32 product of all configurations with all patterns, in chunks."""
    patterns = instance.aligned.T.astype(np.float32)
    pieces = []
    for start in range(0, 2**instance.d, chunk):
        codes = np.arange(start, min(start + chunk, 2**instance.d), dtype=np.uint64)
        points = perceptron.unpack(codes, instance.d).astype(np.float32)
        pieces.append(codes[(points @ patterns > 0).all(1)])
    return np.concatenate(pieces)


def _enumeration(d, repeats):
    instance = perceptron.Perceptron(d, round(0.62 * d), seed=1)
    ours, products = (lambda: instance.solutions(threads=1)), (lambda: _by_products(instance))
    wrong = float(not np.array_equal(ours(), products()))
    times = race({"enumeration, 64 at a time": ours, "NumPy matrix product": products}, repeats)
    for name, ms in times.items():
        ratio = ms / times["enumeration, 64 at a time"] if "NumPy" in name else None
        note = f"{2**d / ms / 1e6:.3g} G configurations/s"
        yield Row(f"perceptron d = {d}", name, ms, wrong, ratio, 50 if ratio else None, note)


def _local_counts(d, repeats):
    solutions = perceptron.Perceptron(d, round(0.4 * d), seed=1).solutions()

    def by_numpy():
        return np.array([(np.bitwise_count(solutions ^ x) <= 4).sum() for x in solutions])

    contestants = {
        "pairs": lambda: perceptron.local_counts(solutions, d, 4, method="pairs"),
        "Walsh-Hadamard, all points": lambda: perceptron.counts_everywhere(solutions, d, 4),
        "NumPy pairs": by_numpy,
    }
    expected = by_numpy()
    wrong = {}
    for name, run in contestants.items():
        counts = run()[solutions] if "all" in name else run()
        wrong[name] = float((counts != expected).sum())
    times = race(contestants, repeats)
    for name, ms in times.items():
        ratio = ms / times["pairs"] if "NumPy" in name else None
        yield Row(f"counts within 4, Z = {solutions.size}", name, ms, wrong[name], ratio)
