"""The papers' optimizers for PyTorch: closure-free state machines on flat buffers.

`buffers.py` memory, `thermal.py` noise, `update.py` and `fused.py` the one inner update, `base.py` the state machine;
`entropy.py`, `heat.py`, `langevin.py`, `replicas.py` the algorithms, each with its equations.
"""

from pdelab.networks.optimizers.entropy import EntropySGD

__all__ = ["EntropySGD"]
