"""Weak order of SGD's diffusion approximations: order 1 says little, order 2 needs drift and noise to be right.

Chaudhari, thesis Theorem 6.5; Li, Tai & E (2017). SGD by its transfer operator, the diffusions by their backward
equations: no sampling anywhere.
"""

import numpy as np

NAME = "sgd-weak-order"
TITLE = "The flow without noise is also of weak order 1; order 2 tells the right noise from the wrong one"
PARAMETERS = {"x": 1.5, "t": 1.0, "largest": 0.1, "levels": 4, "nodes": 160}
QUICK = {"levels": 3}
MODELS = ("sde", "flow", "modified", "modified, half the noise")
CHECKS = {
    "sde_order": (0.9, 1.1),
    "flow_order": (0.9, 1.1),
    "modified_order": (1.85, 2.15),
    "half_noise_order": (None, 1.5),
}


def compute(x, t, largest, levels, nodes):
    """Errors of E cos(2X) at t against the learning rate."""
    from pdelab import sgd
    from pdelab.plotting import observed_order

    f = sgd.FiniteSum("a*cos(x)/2 + x**2/2 + c*x", a=[1.0, 0.6, 1.4, 0.8, 1.2], c=[0.3, -0.5, 0.9, 0.1, -0.8])
    rates, box = largest * 0.5 ** np.arange(levels), (-3.2, 3.2)
    observable = lambda y: np.cos(2 * y)  # noqa: E731
    errors = np.empty((len(MODELS), levels))
    for k, lr in enumerate(rates):
        exact = sgd.expectation(f, observable, x, t, lr, box=box)
        for m, (slow, share) in enumerate(((0, 1), (0, 0), (lr / 2, 1), (lr / 2, 0.5))):
            drift = lambda y, slow=slow: -f.gradient(y) * (1 + slow * f.hessian(y))  # noqa: E731
            variance = lambda y, lr=lr, share=share: share * lr * f.covariance(y)  # noqa: E731
            value = sgd.diffusion_expectation(drift, variance, observable, x, t, box=box, nodes=nodes)
            errors[m, k] = value - exact
    orders = [observed_order(rates, np.abs(row)) for row in errors]  # those of the legend
    names = ("sde_order", "flow_order", "modified_order", "half_noise_order")
    return {"rates": rates, "errors": errors} | dict(zip(names, map(float, orders)))


def draw(data):
    """Errors against the learning rate, with observed orders."""
    import matplotlib
    import matplotlib.ticker

    from pdelab.plotting import COLORS, label_ends, orders, subplots

    figure, ax = subplots(size=(7.0, 4.4))
    for name, row, color in zip(MODELS, data["errors"], ("viscous", "sgd", "inviscid", "bad")):
        orders(data["rates"], np.abs(row), ax=ax, label=name, color=COLORS[color])
    ax.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    ax.set_xticks(data["rates"], [f"{rate:g}" for rate in data["rates"]])
    ax.set(xlabel="learning rate η", ylabel="weak error of E cos 2X")
    label_ends(ax)
    return figure
