"""Slow twin of the kernel of per-sample gradients."""

import numpy as np


def outer_products(slopes, inputs, rows, column):
    products = np.einsum("ki,kj->kij", slopes, inputs).reshape(len(slopes), -1)
    rows[:, column : column + products.shape[1]] = products


def cases(rng):
    for dtype in (np.float64, np.float32):
        for samples, n, m in ((1, 1, 1), (2, 3, 1), (3, 1, 5), (7, 10, 33)):
            slopes, inputs = (rng.normal(size=(samples, k)).astype(dtype) for k in (n, m))
            slopes[0, 0], inputs[-1, -1] = np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal
            yield slopes, inputs, rng.normal(size=(samples, n * m + 3)).astype(dtype), 2


TWINS = {"outer_products": (outer_products, cases, 0.0)}
