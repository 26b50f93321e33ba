"""Densities on a grid, shared by the tests."""

import numpy as np


def normalised(grid, values):
    """Values over their integral."""
    return values / float(np.sum(grid.weights * values))


def gaussian(grid, mean, deviation):
    """The normal density on the line, of integral one on the grid."""
    return normalised(grid, np.exp(-((grid.x - mean) ** 2) / (2 * deviation**2)))
