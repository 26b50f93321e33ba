"""The monotone generator Q of dX = (b - grad U) dt + sqrt(2 D) σ dW on a grid, and the linear algebra on it.

Q has off-diagonals >= 0 and rows that sum to zero: a Markov chain. Functions evolve by v_t = Q v, masses m = w ρ by
m_t = Q^T m. Where Σ = σ σ^T is diagonal, each axis has the rates of Scharfetter and Gummel, so that a gradient drift
with constant diffusivity leaves exp(-U/D) invariant exactly; elsewhere Selling's decomposition Σ = sum λ_k e_k e_k^T
with whole-number offsets e_k and λ_k >= 0 gives a monotone stencil in two and three dimensions.
"""

from pdelab.generator.assembly import added_diffusion, generator
from pdelab.generator.chains import committor, factored, log_stationary, mean_exit_time, splitting, stationary
from pdelab.generator.coefficients import (
    INTERPRETATIONS,
    Coefficients,
    DiffusionProblem,
    Ito,
    axis_rates,
    ito,
    largest_step,
    no_outflow,
)
from pdelab.generator.currents import current, divergence
from pdelab.generator.gaps import spectral_gap
from pdelab.generator.turns import turning_rate
from pdelab.generator.uniformisation import semigroup

__all__ = [
    "INTERPRETATIONS",
    "Coefficients",
    "DiffusionProblem",
    "Ito",
    "added_diffusion",
    "axis_rates",
    "committor",
    "current",
    "divergence",
    "factored",
    "generator",
    "ito",
    "largest_step",
    "log_stationary",
    "mean_exit_time",
    "no_outflow",
    "semigroup",
    "spectral_gap",
    "splitting",
    "stationary",
    "turning_rate",
]
