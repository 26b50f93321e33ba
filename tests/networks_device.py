"""Where the network tests compute: PDELAB_TEST_DEVICE=cuda puts them on a GPU."""

import os

import pytest
import torch

DEVICE = torch.device(os.environ.get("PDELAB_TEST_DEVICE", "cpu"))
if DEVICE.type == "cuda" and not torch.cuda.is_available():
    pytest.skip(f"there is no {DEVICE} here", allow_module_level=True)


def array(tensor):
    """A tensor of any device as an array."""
    return tensor.detach().cpu().numpy()


@pytest.fixture(autouse=True)
def runs_there(monkeypatch):
    """In a module that imports this, `train` computes there unless a test says otherwise."""
    from pdelab.networks import training

    monkeypatch.setitem(training.train.__kwdefaults__, "device", str(DEVICE))
