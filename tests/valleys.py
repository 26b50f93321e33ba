"""Random losses with waves, narrow wells and cusps, and minima of them by brute force."""

import math

import numpy as np

from pdelab import Loss


def drawn(rng, d):
    """A bowl with waves, narrow wells and cusps."""
    names = "xyz"[:d]
    text = " + ".join(f"{rng.uniform(0.05, 0.5):.3f}*{a}**2" for a in names)
    for kind in rng.choice(4, 2, replace=False):
        centre = [f"({a} - ({rng.uniform(-1.5, 1.5):.4f}))" for a in names]
        if kind == 0:
            text += f" + {rng.uniform(0.1, 1.5):.3f}*cos({rng.uniform(1, 12):.3f}*{rng.choice(list(names))} + 1)"
        if kind == 1:
            square = " + ".join(f"{c}**2" for c in centre)
            text += f" - {rng.uniform(0.5, 4):.3f}*exp(-({square})/(2*{10 ** rng.uniform(-2.5, 0):.5f}**2))"
        if kind == 2:
            text += f" + {rng.uniform(0.2, 2):.3f}*abs({centre[0]})**{rng.choice([0.25, 0.5, 0.7, 1])}"
        if kind == 3:
            text += f" + {rng.uniform(0.2, 1):.3f}*sqrt(norm({', '.join(centre)}, 0*x))"
    return Loss(text, tuple(names))


def smooth(rng, d):
    """A bowl with waves and a well, without kinks."""
    names = "xyz"[:d]
    text = " + ".join(f"{rng.uniform(0.05, 0.5):.3f}*{a}**2" for a in names)
    for _ in range(2):
        phase = " + ".join(f"{rng.uniform(-4, 4):.3f}*{a}" for a in names)
        text += f" + {rng.uniform(0.1, 1):.3f}*cos({phase} + {rng.normal():.3f})"
    square = " + ".join(f"({a} - ({rng.uniform(-1, 1):.3f}))**2" for a in names)
    return Loss(f"{text} - {rng.uniform(0.5, 3):.3f}*exp(-({square})/(2*{rng.uniform(0.1, 1):.3f}**2))", tuple(names))


def at(f, y):
    """f at points (..., d), also for d = 1."""
    return f(y[..., 0] if f.dimension == 1 else y)


def mesh(axes):
    return np.stack([m.ravel() for m in np.meshgrid(*axes, indexing="ij")], axis=-1)


def lowest(energy, lower, upper, count, closed=False):
    """(min, its place) of a function of points: a lattice, then nested lattices around its thirty lowest nodes."""
    lower, upper = np.asarray(lower, dtype=float), np.asarray(upper, dtype=float)
    nodes = mesh([np.linspace(a, b, count) for a, b in zip(lower, upper)])
    centre, h = nodes[np.argsort(energy(nodes))[:30]], (upper - lower) / (count - 1)
    around = mesh([np.linspace(-1, 1, 9)] * len(lower))
    for _ in range(25):
        near = centre[:, None] + h * around
        near = np.clip(near, lower, upper) if closed else near
        energies = energy(near)
        centre, h = near[np.arange(len(near)), energies.argmin(1)], h / 3
    energies = energy(centre)
    return float(energies.min()), centre[energies.argmin()]


def brute(f, x, t, low=-6.0, high=6.0, closed=False):
    """min f(y) + |x - y|²/(2t) over a box."""
    d = f.dimension
    stiffness = 0.0 if math.isinf(t) else 1.0 / t
    energy = lambda y: at(f, y) + 0.5 * stiffness * ((y - x) ** 2).sum(-1)  # noqa: E731
    return lowest(energy, [low] * d, [high] * d, {1: 20_001, 2: 301, 3: 51}[d], closed)[0]
