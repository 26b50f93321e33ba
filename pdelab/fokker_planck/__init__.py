"""Fokker-Planck: ρ_t = div(ρ grad U) - div(b ρ) + D Δρ, and its adjoint, the backward Kolmogorov equation.

The density of dX = (b - grad U) dt + sqrt(2 D) dW with D = 1/beta (Chaudhari, thesis (4.9), in the form that has
exp(-beta U) as its equilibrium). Rates are those of Scharfetter and Gummel, see `pdelab.generator`; the schemes differ
in what they promise, and each is a function (problem, grid, values) -> Stepper for `pdelab.solve`.
"""

from pdelab.fokker_planck.compact import compact
from pdelab.fokker_planck.default import automatic
from pdelab.fokker_planck.equations import BackwardKolmogorov, FokkerPlanck
from pdelab.fokker_planck.limited import high_resolution
from pdelab.fokker_planck.moving import Slices
from pdelab.fokker_planck.propagators import chebyshev, spectral
from pdelab.fokker_planck.schemes import accuracy_step, crank_nicolson, explicit, free_energy, implicit
from pdelab.fokker_planck.walls import FirstPassage, first_passage

__all__ = [
    "BackwardKolmogorov",
    "FirstPassage",
    "FokkerPlanck",
    "Slices",
    "accuracy_step",
    "automatic",
    "chebyshev",
    "compact",
    "crank_nicolson",
    "explicit",
    "first_passage",
    "free_energy",
    "high_resolution",
    "implicit",
    "spectral",
]
