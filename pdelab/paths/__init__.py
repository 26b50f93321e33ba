"""Paths of stochastic equations: `simulate` and the equations and schemes it knows."""

from pdelab.paths.engine import Paths, simulate
from pdelab.paths.schemes import euler_maruyama
from pdelab.paths.systems import Langevin, Underdamped

__all__ = ["Langevin", "Paths", "Underdamped", "euler_maruyama", "simulate"]
