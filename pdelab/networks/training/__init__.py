"""Training: any optimizer × model × data, counted in effective epochs, logged, resumed bit for bit.

An effective epoch is one gradient of every training sample, whatever the optimizer does with it (thesis 3.3.2): an
outer step of Entropy-SGD costs L of them. All randomness is keyed by the seed or kept in the checkpoint, so that a
run that was killed continues to the same weights (CPU, same number of threads).
"""

from pdelab.networks.training.comparison import Comparison, compare, merged, paired, tune
from pdelab.networks.training.loop import TrainingResult, train
from pdelab.networks.training.measure import evaluate, outer_weights
from pdelab.networks.training.recipes import RECIPES, recipe, retune
from pdelab.networks.training.setup import OPTIMIZERS
from pdelab.networks.training.store import load_run

__all__ = [
    "OPTIMIZERS",
    "RECIPES",
    "Comparison",
    "TrainingResult",
    "compare",
    "evaluate",
    "load_run",
    "merged",
    "outer_weights",
    "paired",
    "recipe",
    "retune",
    "train",
    "tune",
]
