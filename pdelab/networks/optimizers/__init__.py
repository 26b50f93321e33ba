"""The papers' optimizers for PyTorch: closure-free state machines on flat buffers.

`buffers.py` memory, `thermal.py` noise, `update.py` the one inner update, `engines/` what computes it, `base.py` the
state machine; `entropy.py`, `heat.py`, `langevin.py`, `wrapped.py`, `replicas.py`, `local.py` the algorithms, each with
its equations; `official.py` the authors' variants of them; `recording.py` their loops as CUDA graphs.
"""

from pdelab.networks.optimizers import official  # noqa: F401 - the variants that the others' `variant` chooses
from pdelab.networks.optimizers.averaging import trajectory, update_bn
from pdelab.networks.optimizers.entropy import HJ, EntropySGD
from pdelab.networks.optimizers.heat import Heat
from pdelab.networks.optimizers.langevin import SGLD
from pdelab.networks.optimizers.local import DiLoCo, LocalSGD
from pdelab.networks.optimizers.recording import RecordedLoop
from pdelab.networks.optimizers.replicas import ElasticSGD, Parle
from pdelab.networks.optimizers.wrapped import EntropyAdam, LocalEntropy, Trivialized, TrivializedSGD

__all__ = [
    "HJ",
    "SGLD",
    "DiLoCo",
    "ElasticSGD",
    "EntropyAdam",
    "EntropySGD",
    "Heat",
    "LocalEntropy",
    "LocalSGD",
    "Parle",
    "RecordedLoop",
    "Trivialized",
    "TrivializedSGD",
    "trajectory",
    "update_bn",
]
