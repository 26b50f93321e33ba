"""One backend without a display, one random generator, one place for compiled code."""

import os
from collections import Counter
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest


@pytest.fixture
def rng():
    """A random generator with a fixed seed."""
    return np.random.default_rng(20260)


@pytest.fixture
def one_thread():
    """torch with one thread and the seed 0."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)


ON_CPU = os.environ.get("PDELAB_TEST_DEVICE", "cpu") == "cpu"


@pytest.fixture(params=["kernel", "generic"] if ON_CPU else ["device"])
def branch(request):
    """Run a test of networks twice on the CPU: with its kernels, and with the operations that serve other devices."""
    from pdelab.networks.devices import generic

    with generic(request.param == "generic"):
        yield request.param


COLLECTED = pytest.StashKey()


@pytest.fixture
def collected(request):
    """The names of all tests that were found, those left out by -m and -k too; with and without their parameters."""
    return request.config.stash[COLLECTED]


SLOW = set((Path(__file__).parent / "slow.txt").read_text(encoding="utf-8").split("\n")) - {""}


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config, items):
    """Mark what `slow.txt` lists: the tests that take more than 0.3 s of CPU time, compiled code warm.

    Heavy files come first, so that no worker is left with one at the end; a slow test weighs as much as fifty others.
    """
    for item in items:
        if item.nodeid in SLOW or item.nodeid.split("[")[0] in SLOW:
            item.add_marker(pytest.mark.slow)
    config.stash[COLLECTED] = {name for item in items for name in (item.nodeid, item.nodeid.split("[")[0])}
    yield
    weights = Counter()
    for item in items:
        weights[item.path] += 50 if item.get_closest_marker("slow") else 1
    items.sort(key=lambda item: (-weights[item.path], item.path))
