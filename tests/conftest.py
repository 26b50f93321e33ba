"""One backend without a display, one random generator, one place for compiled code."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest


@pytest.fixture
def rng():
    """A random generator with a fixed seed."""
    return np.random.default_rng(20260)


ON_CPU = os.environ.get("PDELAB_TEST_DEVICE", "cpu") == "cpu"


@pytest.fixture(params=["kernel", "generic"] if ON_CPU else ["device"])
def branch(request):
    """Run a test of networks twice on the CPU: with its kernels, and with the operations that serve other devices."""
    from pdelab.networks.devices import generic

    with generic(request.param == "generic"):
        yield request.param
