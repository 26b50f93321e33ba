"""pdelab: a numerical PDE and SDE laboratory for the smoothing of losses.

    loss f  ->  smoothing PDE  ->  gradient field  ->  where does the optimiser end?

One set of conventions throughout: `beta` is the inverse temperature of the Gibbs weight exp(-beta f), the viscosity
of Hamilton-Jacobi is nu = 1/(2 beta), the diffusivity D is that of the stochastic equation that runs, and gamma, the
scope, is the time of the PDE.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pdelab import (
    burgers,
    closed_forms,
    control,
    fokker_planck,
    hamilton_jacobi,
    homogenization,
    losses,
    metastability,
    nonequilibrium,
    paths,
    perceptron,
    regularity,
    sgd,
    spin_glass,
    transport,
)
from pdelab.burgers import Burgers
from pdelab.closed_forms import (
    cole_hopf,
    heat_smoothing,
    hopf_lax,
    local_entropy,
    local_entropy_gradient,
    local_entropy_hessian,
    proximal,
)
from pdelab.fokker_planck import BackwardKolmogorov, FokkerPlanck
from pdelab.generator import committor, current, generator, mean_exit_time, spectral_gap, stationary
from pdelab.grid import Grid
from pdelab.hamilton_jacobi import HamiltonJacobi, Heat
from pdelab.homogenization import FastSlow, homogenized
from pdelab.losses import Loss
from pdelab.paths import Diffusion, Langevin, Paths, Underdamped, simulate
from pdelab.stepping import AccuracyWarning, Solution, solve

__version__ = "0.1.0"
__all__ = [
    "AccuracyWarning",
    "BackwardKolmogorov",
    "Burgers",
    "Diffusion",
    "FastSlow",
    "FokkerPlanck",
    "Grid",
    "HamiltonJacobi",
    "Heat",
    "Langevin",
    "Loss",
    "Paths",
    "Solution",
    "Underdamped",
    "burgers",
    "closed_forms",
    "cole_hopf",
    "committor",
    "control",
    "current",
    "fokker_planck",
    "generator",
    "hamilton_jacobi",
    "heat_smoothing",
    "homogenization",
    "homogenized",
    "hopf_lax",
    "local_entropy",
    "local_entropy_gradient",
    "local_entropy_hessian",
    "losses",
    "mean_exit_time",
    "metastability",
    "nonequilibrium",
    "paths",
    "perceptron",
    "proximal",
    "regularity",
    "sgd",
    "simulate",
    "solve",
    "spectral_gap",
    "spin_glass",
    "stationary",
    "transport",
]


def __getattr__(name):
    """`pdelab.plotting`, imported when it is first asked for: it stands above all that is drawn."""
    if name == "plotting":
        return import_module("pdelab.plotting")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _drawn(kind, name):
    """Give a result the method `plot`, which imports `pdelab.plotting` when it is called."""

    def plot(self, ax: Any = None, **options: Any) -> Any:
        return getattr(import_module("pdelab.plotting"), name)(self, ax, **options)

    plot.__doc__ = f"""Draw it, in one line: `pdelab.plotting.{name}`.

    Parameters
    ----------
    ax : matplotlib axes, optional
        By default new ones.
    **options
        Those of `pdelab.plotting.{name}`.

    Returns
    -------
    matplotlib axes
    """
    plot.__qualname__ = f"{kind.__qualname__}.plot"
    kind.plot = plot


_drawn(Solution, "plot")
_drawn(Paths, "plot_paths")
