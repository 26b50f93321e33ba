"""Hamilton-Jacobi: u_t = -|Du|²/2 + b·Du + ν Δu, and its companion without the Hamiltonian, the heat equation.

The smoothing equation of the papers (Chaudhari, thesis (4.11) with ν = 1/(2 beta), and (4.16) without viscosity); with
a drift b the Hamilton-Jacobi-Bellman equation of stochastic control (thesis (4.31)). The schemes differ in what they
promise; each is a function (problem, grid, values) -> Stepper for `pdelab.solve`.
"""

from pdelab.hamilton_jacobi.equations import HamiltonJacobi, Heat
from pdelab.hamilton_jacobi.explicit_schemes import engquist_osher, filtered, fitted, monotone, weno
from pdelab.hamilton_jacobi.implicit_schemes import implicit, rosenbrock
from pdelab.hamilton_jacobi.terminal_data import terminal

__all__ = [
    "HamiltonJacobi",
    "Heat",
    "engquist_osher",
    "filtered",
    "fitted",
    "implicit",
    "monotone",
    "rosenbrock",
    "terminal",
    "weno",
]
