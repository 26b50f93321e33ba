"""The optimizers of the papers written from their equations, slow and obvious: one float64 vector, one loop, no state.

`gradient(w, k)` is the gradient at w used by the k-th step; `noise(outer, inner)` the standard normals of that step.
Letters as in the papers: η = lr, η' = inner_lr, a = averaging, c = 1/γ, λ = weight decay, μ = momentum.
"""

import numpy as np


class Momentum:
    """N(d): m ← μ m + d, then d + μ m (Nesterov) or m."""

    def __init__(self, mu, nesterov=True):
        self.mu, self.nesterov, self.m = mu, nesterov, 0.0

    def __call__(self, d):
        self.m = self.mu * self.m + d
        return d + self.mu * self.m if self.nesterov else self.m


def no_noise(outer, inner):
    return 0.0


def entropy_sgd(
    gradient, x, outers, *, lr, inner_lr, inner_steps, gamma, averaging, temperature=0.0, momentum=0.0,
    outer_momentum=0.0, nesterov=True, weight_decay=0.0, noise=no_noise, variant="thesis",
):  # fmt: skip
    """Algorithm 2 and its variants; yields (x, y) after every step."""
    outside, count = Momentum(outer_momentum, nesterov), 0
    for t in range(outers):
        c = 1.0 / (gamma(t) if callable(gamma) else gamma)
        y = z = x
        inside = Momentum(momentum, nesterov)
        if variant == "official":
            extra = gradient(x, count) + weight_decay * x
            count += 1
            if t == 0:
                outside.m = extra
            yield x, y
        for k in range(inner_steps):
            g = gradient(y, count) + weight_decay * y
            count += 1
            d = inside(g + c * (y - x)) if variant == "paper" else inside(g) + c * (y - x)
            y = y - inner_lr * d + np.sqrt(2.0 * inner_lr * temperature) * noise(t, k)
            z = (1.0 - averaging) * z + averaging * y
            if k + 1 < inner_steps:
                yield x, y
        direction = x - z + (weight_decay * x if variant == "official" else 0.0)
        x = x - lr * (c if variant == "paper" else 1.0) * outside(direction)
        yield x, x


def hj(gradient, x, outers, *, lr, inner_lr, inner_steps, gamma, momentum=0.0, outer_momentum=0.0, weight_decay=0.0):
    """(4.42) with its own variable: y ← (1 - c η_y) y + η_y ∇f(x - y), y = 0 at first; the L-th gradient moves x."""
    outside, count = Momentum(outer_momentum), 0
    for t in range(outers):
        c = 1.0 / (gamma(t) if callable(gamma) else gamma)
        y, inside = 0.0 * x, Momentum(momentum)
        for _ in range(inner_steps - 1):
            g = gradient(x - y, count) + weight_decay * (x - y)
            count += 1
            y = (1.0 - c * inner_lr) * y + inner_lr * inside(g)
            yield x, x - y
        g = gradient(x - y, count) + weight_decay * (x - y)
        count += 1
        x = x - lr * outside(g)
        yield x, x
