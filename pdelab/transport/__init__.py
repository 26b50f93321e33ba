"""Optimal transport: laws and Wasserstein distances on the line, minimising movements, clouds of points in the plane.

`line.py` has laws with densities and atoms and their exact distances, `movement.py` the scheme of Jordan, Kinderlehrer
and Otto, `clouds.py` exact and regularised distances between points in any dimension (extra `transport`).
"""

from pdelab.transport.clouds import Transport, wasserstein_grid, wasserstein_points
from pdelab.transport.line import Law, displacement, law, law_of_samples, wasserstein, wasserstein_gaussian
from pdelab.transport.movement import free_energy, jko, jko_gaussian

__all__ = [
    "Law",
    "Transport",
    "displacement",
    "free_energy",
    "jko",
    "jko_gaussian",
    "law",
    "law_of_samples",
    "wasserstein",
    "wasserstein_gaussian",
    "wasserstein_grid",
    "wasserstein_points",
]
