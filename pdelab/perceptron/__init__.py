"""The binary perceptron: all of its solutions by exact enumeration, how dense they lie, how well they generalise.

x in {-1, 1}^d solves N patterns ξ_i with labels y_i where y_i x·ξ_i / sqrt(d) > κ for every i (thesis 3.1.1, theory2.md
section 1.2). `instance.py` has the problem and its enumeration, `neighbourhoods.py` counts solutions around points (the
discrete local entropy, (3.5)), `generalisation.py` the exact errors and expectations at finite d, `annealing.py` the
search for solutions with and without local entropy.
"""

from pdelab.perceptron.annealing import Search, search
from pdelab.perceptron.generalisation import (
    angle,
    disagreement,
    expected_pairs,
    expected_solutions,
    isolation_probability,
    tilted_average,
)
from pdelab.perceptron.instance import Perceptron, pack, unpack
from pdelab.perceptron.neighbourhoods import (
    clusters,
    counts_everywhere,
    distance_counts,
    isolated,
    local_counts,
    local_entropy,
)

__all__ = [
    "Perceptron",
    "Search",
    "angle",
    "clusters",
    "counts_everywhere",
    "disagreement",
    "distance_counts",
    "expected_pairs",
    "expected_solutions",
    "isolated",
    "isolation_probability",
    "local_counts",
    "local_entropy",
    "pack",
    "search",
    "tilted_average",
    "unpack",
]
