"""One backend without a display, one random generator, one place for compiled code."""

import os
from pathlib import Path

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


SLOW = set((Path(__file__).parent / "slow.txt").read_text(encoding="utf-8").split("\n")) - {""}


def pytest_collection_modifyitems(items):
    """Mark what `slow.txt` lists: the tests that take about a second of CPU time or more, compiled code warm."""
    for item in items:
        if item.nodeid in SLOW or item.nodeid.split("[")[0] in SLOW:
            item.add_marker(pytest.mark.slow)
