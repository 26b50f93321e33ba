"""pdelab: a numerical PDE and SDE laboratory for the smoothing of losses.

    loss f  ->  smoothing PDE  ->  gradient field  ->  where does the optimiser end?

One set of conventions throughout: `beta` is the inverse temperature of the Gibbs weight exp(-beta f), the viscosity
of Hamilton-Jacobi is nu = 1/(2 beta), the diffusivity D is that of the stochastic equation that runs, and gamma, the
scope, is the time of the PDE.
"""

from pdelab import closed_forms, fokker_planck, hamilton_jacobi, losses
from pdelab.closed_forms import cole_hopf, hopf_lax, local_entropy, proximal
from pdelab.fokker_planck import FokkerPlanck
from pdelab.grid import Grid
from pdelab.hamilton_jacobi import HamiltonJacobi, Heat
from pdelab.losses import Loss
from pdelab.stepping import Solution, solve

__version__ = "0.1.0"
__all__ = [
    "FokkerPlanck",
    "Grid",
    "HamiltonJacobi",
    "Heat",
    "Loss",
    "Solution",
    "closed_forms",
    "cole_hopf",
    "fokker_planck",
    "hamilton_jacobi",
    "hopf_lax",
    "local_entropy",
    "losses",
    "proximal",
    "solve",
]
