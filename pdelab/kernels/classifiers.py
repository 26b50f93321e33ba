"""SGD on a classifier with one hidden layer of rectified units: whole epochs on one core, with the weights kept."""

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def add_gradient(theta, pixel, label, hidden, classes, gradient, layer, scores):
    """Add one sample's gradient of the cross-entropy to `gradient`; returns its loss.

    theta: W_1 (hidden, inputs), b_1, W_2 (classes, hidden), b_2 in one vector; layer (2, hidden) and scores (classes,)
    are room to work in.
    """
    inputs = pixel.size
    b1 = hidden * inputs
    w2 = b1 + hidden
    b2 = w2 + classes * hidden
    for h in range(hidden):
        total = theta[b1 + h]
        for i in range(inputs):
            total += theta[h * inputs + i] * pixel[i]
        layer[0, h] = max(total, 0.0)
        layer[1, h] = 0.0
    largest = -math.inf
    for c in range(classes):
        total = theta[b2 + c]
        for h in range(hidden):
            total += theta[w2 + c * hidden + h] * layer[0, h]
        scores[c] = total
        largest = max(largest, total)
    own, total = scores[label], 0.0
    for c in range(classes):
        scores[c] = math.exp(scores[c] - largest)
        total += scores[c]
    for c in range(classes):
        slope = scores[c] / total - (1.0 if c == label else 0.0)
        gradient[b2 + c] += slope
        for h in range(hidden):
            gradient[w2 + c * hidden + h] += slope * layer[0, h]
            layer[1, h] += slope * theta[w2 + c * hidden + h]
    for h in range(hidden):
        if layer[0, h] > 0.0:
            slope = layer[1, h]
            gradient[b1 + h] += slope
            for i in range(inputs):
                gradient[h * inputs + i] += slope * pixel[i]
    return largest + math.log(total) - own


@njit(cache=True, nogil=True, error_model="numpy")
def sample_gradients(theta, pixels, labels, hidden, classes, gradients):
    """Write the gradient of each sample's loss into the rows of `gradients`."""
    layer, scores = np.empty((2, hidden)), np.empty(classes)
    gradients[:] = 0.0
    for k in range(labels.size):
        add_gradient(theta, pixels[k], labels[k], hidden, classes, gradients[k], layer, scores)


@njit(cache=True, nogil=True, error_model="numpy")
def run_epochs(theta, pixels, labels, hidden, classes, order, rate, decay, saved, losses):
    """Steps θ <- θ - rate (mean gradient of a batch + decay θ), in place; θ and the mean loss after each epoch.

    order: (epochs, steps, batch), the samples of every batch.
    """
    epochs, steps, batch = order.shape
    gradient, layer, scores = np.empty(theta.size), np.empty((2, hidden)), np.empty(classes)
    for epoch in range(epochs):
        total = 0.0
        for step in range(steps):
            gradient[:] = 0.0
            for k in range(batch):
                sample = order[epoch, step, k]
                total += add_gradient(theta, pixels[sample], labels[sample], hidden, classes, gradient, layer, scores)
            for i in range(theta.size):
                theta[i] -= rate * (gradient[i] / batch + decay * theta[i])
        for i in range(theta.size):
            saved[epoch, i] = theta[i]
        losses[epoch] = total / (steps * batch)
