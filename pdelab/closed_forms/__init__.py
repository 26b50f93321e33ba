"""Closed forms: Hopf-Lax and its proximal map, Cole-Hopf, local entropy, Gaussian cases, exact Burgers."""

from pdelab.closed_forms.derivatives import local_entropy_gradient, local_entropy_hessian
from pdelab.closed_forms.fields import cole_hopf, heat_smoothing, hopf_lax, local_entropy, proximal

__all__ = [
    "cole_hopf",
    "heat_smoothing",
    "hopf_lax",
    "local_entropy",
    "local_entropy_gradient",
    "local_entropy_hessian",
    "proximal",
]
