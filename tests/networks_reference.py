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
            extra = gradient(x, count)
            count += 1
            if t == 0:
                outside.m = extra
            yield x, y
        for k in range(inner_steps):
            g = gradient(y, count) + weight_decay * y
            count += 1
            xi = np.sqrt(2.0 * temperature / inner_lr) * noise(t, k)
            if variant == "official" and not nesterov and momentum > 0:  # dw = mdw: what is added to dw stays in mdw
                y = y - inner_lr * inside(g + c * (y - x) + xi)
            else:
                d = inside(g + c * (y - x)) if variant == "paper" else inside(g) + c * (y - x)
                y = y - inner_lr * (d - xi)
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


def heat(
    gradient, x, outers, *, lr, inner_steps, gamma, temperature=1.0, momentum=0.0, weight_decay=0.0, noise=no_noise
):
    """(4.43): yields (x, y) after every step, y the next perturbed point."""
    outside, count = Momentum(momentum), 0
    for t in range(outers):
        deviation = np.sqrt((gamma(t) if callable(gamma) else gamma) * temperature)
        mean = 0.0
        for k in range(inner_steps):
            y = x + deviation * noise(t, k)
            mean = mean + (gradient(y, count) + weight_decay * y) / inner_steps
            count += 1
            if k + 1 < inner_steps:
                yield x, x + deviation * noise(t, k + 1)
        x = x - lr * outside(mean)
        deviation = np.sqrt((gamma(t + 1) if callable(gamma) else gamma) * temperature)
        yield x, x + deviation * noise(t + 1, 0)


def sgld(gradient, x, steps, *, lr, temperature, decay=0.0, weight_decay=0.0, noise=no_noise):
    for t in range(steps):
        rate = lr / (1.0 + t) ** decay
        x = x - rate * (gradient(x, t) + weight_decay * x) + np.sqrt(2.0 * rate * temperature) * noise(t, 0)
        yield x, x


def trivialized_sgd(
    gradient, x, steps, *, lr, layers, coupling, decay_steps, momentum=0.0, weight_decay=0.0, field=0.0
):
    """Algorithm 1 letter by letter, with n = N in (2.19) and (2.20); `field` are the standard normals of h."""
    n, step = 1.0e3, Momentum(momentum)
    h = coupling * np.sqrt(layers * (layers - 2)) * field
    for t in range(steps):
        tau = n * (np.exp(-t / decay_steps) - 0.5)
        x = x - lr * step(gradient(x, t) + weight_decay * x + np.sqrt(1.0 + 2.0 * tau / n) * h)
        yield x, x


def elastic_sgd(
    gradients, x, steps, *, lr, rho, period=1, momentum=0.0, weight_decay=0.0, master_lr=None, order="gauss-seidel",
    variant="thesis",
):  # fmt: skip
    """(5.4) for the replicas x, a list; yields (master, replicas) after every step. gradients(w, k, a)."""
    n, master, inside = len(x), x[0], [Momentum(momentum) for _ in x]
    for k in range(steps):
        t, last = k // period, (k + 1) % period == 0
        r = rho(t) if callable(rho) else rho
        old = x
        pull = 1.0 / r if variant == "thesis" else 0.0
        x = [
            w - lr * N(gradients(w, k, a) + weight_decay * w + pull * (w - master))
            for a, (w, N) in enumerate(zip(x, inside))
        ]
        if last and variant == "thesis":
            mean = sum(old if order == "jacobi" else x) / n
            share = 1.0 if master_lr is None else n * master_lr / r
            master = master - share * (master - mean)
        elif last:
            mean, share = sum(x) / n, n * (lr if master_lr is None else master_lr) / r
            x = [w - lr / r * (w - master) for w in x]
            master = master - share * (master - mean)
        yield master, x


def parle(
    gradients, x, outers, *, lr, inner_lr, inner_steps, gamma, rho, averaging, temperature=0.0, momentum=0.0,
    outer_momentum=0.0, weight_decay=0.0, elastic=1.0, master_lr=None, order="gauss-seidel", variant="thesis",
    noises=None,
):  # fmt: skip
    """(5.8), timing corrected, for the replicas x, a list; yields (master, inner weights) after every step."""
    n, master, count = len(x), x[0], 0
    outside = [Momentum(outer_momentum) for _ in x]
    for t in range(outers):
        g = gamma(t) if callable(gamma) else gamma
        r = rho(t) if callable(rho) else rho
        y, z, inside = list(x), list(x), [Momentum(momentum) for _ in x]
        for k in range(inner_steps):
            for a in range(n):
                d = gradients(y[a], count, a) + weight_decay * y[a]
                pull = (y[a] - x[a]) / g
                d = inside[a](d + pull) if variant == "paper" else inside[a](d) + pull
                xi = noises[a](t, k) if noises else 0.0
                y[a] = y[a] - inner_lr * d + np.sqrt(2.0 * inner_lr * temperature) * xi
                z[a] = (1.0 - averaging) * z[a] + averaging * y[a]
            count += 1
            if k + 1 < inner_steps:
                yield master, list(y)
        old = list(x)
        scale = 1.0 / g if variant == "paper" else 1.0
        x = [w - lr * N(scale * (w - v) + elastic / r * (w - master)) for w, v, N in zip(x, z, outside)]
        mean = sum(old if order == "jacobi" else x) / n
        master = master - (1.0 if master_lr is None else n * master_lr / r) * (master - mean)
        yield master, list(x)


def parle_official(
    gradients, x, outers, *, lr, inner_lr, inner_steps, gamma, rho, averaging, momentum, outer_momentum,
    weight_decay=0.0,
):  # fmt: skip
    """The authors' script: nothing is ever reset, look-ahead 1, the outer step starts from the last inner iterate."""
    n, count = len(x), 0
    z, m, M = list(x), [0.0] * n, [0.0] * n
    y = list(x)
    master = x[0]
    for _ in range(outers):
        for k in range(inner_steps):
            for a in range(n):
                d = gradients(y[a], count, a) + weight_decay * y[a] + (y[a] - x[a]) / gamma
                m[a] = momentum * m[a] + d
                y[a] = y[a] - inner_lr * (d + m[a])
                z[a] = (1.0 - averaging) * z[a] + averaging * y[a]
            count += 1
            if k + 1 < inner_steps:
                yield master, list(y)
        consensus = sum(z) / n
        for a in range(n):
            d = (x[a] - z[a]) + (x[a] - consensus) / rho
            M[a] = outer_momentum * M[a] + d
            x[a] = y[a] - lr * (d + M[a])
        y, master = list(x), sum(x) / n
        yield master, list(x)


def diloco(gradients, x, outers, *, lr, period, outer_lr, outer_momentum, nesterov=True):
    """Local gradient descent from the common weights, then momentum on the pseudo-gradient."""
    common, outside, count = x[0], Momentum(outer_momentum, nesterov), 0
    for _ in range(outers):
        y = [common for _ in x]
        for k in range(period):
            y = [w - lr * gradients(w, count, a) for a, w in enumerate(y)]
            count += 1
            if k + 1 < period:
                yield common, list(y)
        common = common - outer_lr * outside(common - sum(y) / len(y))
        yield common, [common for _ in x]
