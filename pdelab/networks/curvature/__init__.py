"""Curvature and noise of a network's loss: Hessian, Fisher diagonal, gradient-noise covariance, aligned overlaps.

Exact for small networks; by Lanczos with stochastic quadrature for large ones. Models are measured in eval mode.
"""

from pdelab.networks.curvature.blocks import layer_spectra, trace
from pdelab.networks.curvature.extremes import extreme_eigenvalues
from pdelab.networks.curvature.lanczos import lanczos, quadrature, stochastic_quadrature
from pdelab.networks.curvature.noise import GradientNoise, fisher_diagonal, fisher_from_adam, gradient_noise
from pdelab.networks.curvature.objective import Objective
from pdelab.networks.curvature.operators import Hessian, Noise, linear_operator
from pdelab.networks.curvature.overlap import align, average, overlap, overlap_matrix
from pdelab.networks.curvature.samples import gram_matrix, per_sample_gradients
from pdelab.networks.curvature.spectra import Spectrum, spectrum

__all__ = [
    "GradientNoise",
    "Hessian",
    "Noise",
    "Objective",
    "Spectrum",
    "align",
    "average",
    "extreme_eigenvalues",
    "fisher_diagonal",
    "fisher_from_adam",
    "gradient_noise",
    "gram_matrix",
    "lanczos",
    "layer_spectra",
    "linear_operator",
    "overlap",
    "overlap_matrix",
    "per_sample_gradients",
    "quadrature",
    "spectrum",
    "stochastic_quadrature",
    "trace",
]
