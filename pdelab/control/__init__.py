"""Stochastic control: -u_t = -grad f·grad u - |grad u|²/2 + D Δu with u(·, T) = V, and what it says about smoothing.

    dX = (-grad f - α) dt + sqrt(2 D) dB,     cost  E[V(X_T) + ½∫|α|² dt],     best control  α* = grad u

(Chaudhari, thesis (4.29)-(4.32) with D = 1/(2 beta); the printed u_t = H lacks the minus.) Three routes to u:

- the Hamilton-Jacobi-Bellman equation by a monotone scheme, `hamilton_jacobi_bellman`;
- the logarithmic transform u = -2D log E[exp(-V(X_T)/(2D))], exact in time on the generator Q, `logarithmic_transform`;
- the cost of simulated paths, `controlled_paths`.

With h = exp(-u/(2D)), backward by Q, and φ, forward by its transpose from ρ₀/h(·, 0), the product h φ is the density of
the optimally controlled process: `forward_backward`, whose mass is the duality <h, φ> and stays one to round-off.
Without f this is the smoothing equation itself, and the scoped flow dX = -grad u(X, T - t) dt + sqrt(2D) dB ends
exactly in the local Gibbs law of local entropy (Föllmer).
"""

from pdelab.control.comparison import Gap, gap
from pdelab.control.density import ForwardBackward, controlled_density, forward_backward, point_mass
from pdelab.control.simulation import PathCost, controlled_paths
from pdelab.control.value import Control, Value, hamilton_jacobi_bellman, logarithmic_transform

__all__ = [
    "Control",
    "ForwardBackward",
    "Gap",
    "PathCost",
    "Value",
    "controlled_density",
    "controlled_paths",
    "forward_backward",
    "gap",
    "hamilton_jacobi_bellman",
    "logarithmic_transform",
    "point_mass",
]
