"""Slow, obvious twins of pdelab/kernels/classifiers.py: one sample's gradient in matrices, one step after another."""

import numpy as np


def parts(theta, inputs, hidden, classes):
    """W_1, b_1, W_2, b_2 as views of one vector."""
    ends = np.cumsum([hidden * inputs, hidden, classes * hidden])
    w1, b1, w2, b2 = np.split(theta, ends)
    return w1.reshape(hidden, inputs), b1, w2.reshape(classes, hidden), b2


def add_gradient(theta, pixel, label, hidden, classes, gradient, layer, scores):
    w1, b1, w2, b2 = parts(theta, pixel.size, hidden, classes)
    units = np.maximum(w1 @ pixel + b1, 0)
    values = w2 @ units + b2
    share = np.exp(values - values.max())
    slope = share / share.sum() - np.eye(classes)[label]
    back = w2.T @ slope
    below = back * (units > 0)
    gradient += np.concatenate([np.outer(below, pixel).ravel(), below, np.outer(slope, units).ravel(), slope])
    layer[:], scores[:] = (units, back), share
    return -np.log(share[label] / share.sum())


def sample_gradients(theta, pixels, labels, hidden, classes, gradients):
    layer, scores = np.empty((2, hidden)), np.empty(classes)
    gradients[:] = 0
    for row, pixel, label in zip(gradients, pixels, labels):
        add_gradient(theta, pixel, label, hidden, classes, row, layer, scores)


def run_epochs(theta, pixels, labels, hidden, classes, order, rate, decay, saved, losses):
    layer, scores = np.empty((2, hidden)), np.empty(classes)
    for epoch, batches in enumerate(order):
        total = 0.0
        for batch in batches:
            gradient = np.zeros(theta.size)
            for k in batch:
                total += add_gradient(theta, pixels[k], labels[k], hidden, classes, gradient, layer, scores)
            theta -= rate * (gradient / len(batch) + decay * theta)
        saved[epoch] = theta
        losses[epoch] = total / batches.size


def samples(rng):
    for inputs, hidden, classes in ((1, 1, 2), (3, 5, 2), (16, 12, 5)):
        d = hidden * inputs + hidden + classes * hidden + classes
        yield inputs, hidden, classes, d, rng.normal(size=d) * rng.choice([0.3, 3.0])


def gradient_cases(rng):
    for inputs, hidden, classes, d, theta in samples(rng):
        room = np.empty((2, hidden)), np.empty(classes)
        yield theta, rng.normal(size=inputs), int(rng.integers(classes)), hidden, classes, rng.normal(size=d), *room


def sample_cases(rng):
    for inputs, hidden, classes, d, theta in samples(rng):
        yield theta, rng.normal(size=(7, inputs)), rng.integers(0, classes, 7), hidden, classes, np.empty((7, d))


def epoch_cases(rng):
    for inputs, hidden, classes, d, theta in samples(rng):
        pixels, labels = rng.normal(size=(7, inputs)), rng.integers(0, classes, 7)
        order = rng.integers(0, 7, (4, 3, 2))
        yield theta, pixels, labels, hidden, classes, order, 0.1, 0.01, np.empty((4, d)), np.empty(4)


TWINS = {
    "add_gradient": (add_gradient, gradient_cases, 1e-11),
    "sample_gradients": (sample_gradients, sample_cases, 1e-11),
    "run_epochs": (run_epochs, epoch_cases, 1e-10),
}
