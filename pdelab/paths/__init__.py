"""Paths of stochastic equations: `simulate`, the equations it knows, and the schemes it knows them by.

run = simulate(Langevin(loss, beta=4.0), initial, t=10.0, dt=0.01, scheme=leimkuhler_matthews, paths=10**6, seed=1)
"""

from pdelab.paths.diffusion import Diffusion
from pdelab.paths.ensembles import ensemble
from pdelab.paths.results import Paths
from pdelab.paths.schemes import (
    baoab,
    derivative_free_milstein,
    euler_maruyama,
    exponential,
    heun,
    implicit,
    leimkuhler_matthews,
    milstein,
    sra1,
    weak_euler,
)
from pdelab.paths.simulation import simulate
from pdelab.paths.systems import Langevin, System, Underdamped

__all__ = [
    "Diffusion",
    "Langevin",
    "Paths",
    "System",
    "Underdamped",
    "baoab",
    "derivative_free_milstein",
    "ensemble",
    "euler_maruyama",
    "exponential",
    "heun",
    "implicit",
    "leimkuhler_matthews",
    "milstein",
    "simulate",
    "sra1",
    "weak_euler",
]
