"""Closed forms: Hopf-Lax and its proximal map, Cole-Hopf, local entropy, Gaussian cases, exact Burgers."""

from pdelab.closed_forms.fields import cole_hopf, hopf_lax, local_entropy, proximal

__all__ = ["cole_hopf", "hopf_lax", "local_entropy", "proximal"]
