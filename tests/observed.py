"""Observed orders of convergence, shared by the tests."""

import numpy as np


def orders(errors):
    """Orders between neighbouring grids, each twice as fine as the one before."""
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


def slope(sizes, errors):
    """The order fitted to errors over sizes of steps."""
    return np.polyfit(np.log(sizes), np.log(np.abs(errors)), 1)[0]
