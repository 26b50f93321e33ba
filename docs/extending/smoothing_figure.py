"""A parabola with ripples and its local entropy: the ripples go, the parabola stays."""

import numpy as np

NAME = "ripples"
TITLE = "Smoothing removes the ripples and keeps the parabola"
PARAMETERS = {"n": 801, "gamma": 0.2, "beta": 2.0}
QUICK = {"n": 201}
CHECKS = {"minima_before": (5, None), "minima_after": (1, 1)}


def compute(n, gamma, beta):
    """The loss and its local entropy on [-2, 2], and how many minima each has."""
    import pdelab as pl

    f, x = pl.Loss("x**2/2 + 0.3*cos(12*x)"), np.linspace(-2.0, 2.0, n)
    smooth = pl.local_entropy(f, x, gamma, beta)
    before, after = ((np.diff(np.sign(np.diff(values))) > 0).sum() for values in (f(x), smooth))
    return {"x": x, "f": f(x), "smooth": smooth, "minima_before": int(before), "minima_after": int(after)}


def draw(data):
    """Both curves."""
    from pdelab.plotting import label_ends, look, subplots

    figure, axes = subplots(size=(6.0, 4.0))
    axes.plot(data["x"], data["f"], label="f", **look("loss"))
    axes.plot(data["x"], data["smooth"], label="local entropy", **look("viscous"))
    axes.set(xlabel="x", ylabel="loss")
    label_ends(axes)
    return figure
