"""One backend without a display, one random generator, one place for compiled code."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest


@pytest.fixture
def rng():
    """A random generator with a fixed seed."""
    return np.random.default_rng(20260)


@pytest.fixture(params=[False, True], ids=["kernels", "generic"])
def branch(request):
    """The kernels of the CPU for networks, then the branch that serves on every other device."""
    from pdelab.networks.devices import generic

    with generic(request.param):
        yield request.param
