"""The spherical p-spin glass: how many critical points it has, where they are, and what descent finds.

    H(x) = -N^(-(p-1)/2) sum J x...x - h·x,   |x|^2 = N,   J ~ N(0, 1),   h_i ~ N(0, ν^2)

`complexity.py` has the large-N complexity at each energy and index (thesis (2.11)-(2.13)), `kac_rice.py` the expected
numbers of critical points at every N and their limits as the field grows, `hamiltonian.py` one glass with gradients in
batches, `descent.py` what gradient descent, Newton's method and continuation in the field find on it, `generative.py`
the sparse random network behind it (theory2.md, section 1.1).
"""

from pdelab.spin_glass.complexity import E_infinity, complexity, energy_threshold
from pdelab.spin_glass.descent import (
    CriticalPoints,
    Descent,
    chao1,
    continuation,
    critical_points,
    descend,
)
from pdelab.spin_glass.generative import SparseNetwork
from pdelab.spin_glass.hamiltonian import SpinGlass
from pdelab.spin_glass.kac_rice import (
    critical_field,
    curvature_ratio,
    edge_limit,
    energy_law,
    expected_critical_points,
    exponential_limit,
    tracy_widom,
    trivialisation_limit,
)

__all__ = [
    "CriticalPoints",
    "Descent",
    "E_infinity",
    "SparseNetwork",
    "SpinGlass",
    "chao1",
    "complexity",
    "continuation",
    "critical_field",
    "critical_points",
    "curvature_ratio",
    "descend",
    "edge_limit",
    "energy_law",
    "energy_threshold",
    "expected_critical_points",
    "exponential_limit",
    "tracy_widom",
    "trivialisation_limit",
]
