"""Steady states that carry a current: where the density sits when the noise is not isotropic (thesis, chapter 6).

    dX = b dt + sqrt(2 D/β) dW,   ρ_ss the stationary density,   Φ = -log(ρ_ss)/β,   b = j - D grad Φ + div(D)/β

j ρ_ss is the stationary current and div(j ρ_ss) = 0; j = 0 is detailed balance. `fields.py` computes all of this on a
grid, `linear.py` in closed form for dX = -F X dt + sqrt(2 D/β) dW, `circulation.py` has the thesis's Example 6.43,
`trajectories.py` measures currents, windings and irreversibility on paths, `cycles.py` turns round a periodic
coordinate, `spectra.py` the spectra of trajectories beside the null model that fits them.
"""

from pdelab.nonequilibrium.circulation import Circulation
from pdelab.nonequilibrium.cycles import Turns, turns
from pdelab.nonequilibrium.fields import (
    Decomposition,
    Split,
    decompose,
    dissipation,
    entropy_production,
    entropy_production_density,
    free_energy,
    potential,
    split,
)
from pdelab.nonequilibrium.linear import Linear, linear
from pdelab.nonequilibrium.spectra import Spectrum, autocorrelation, increment_spectrum, linear_spectrum, spectrum
from pdelab.nonequilibrium.trajectories import Rate, Rotation, path_entropy_production, rotation, winding
from pdelab.nonequilibrium.windings import winding_rate

__all__ = [
    "Circulation",
    "Decomposition",
    "Linear",
    "Rate",
    "Rotation",
    "Spectrum",
    "Split",
    "Turns",
    "autocorrelation",
    "decompose",
    "dissipation",
    "entropy_production",
    "entropy_production_density",
    "free_energy",
    "increment_spectrum",
    "linear",
    "linear_spectrum",
    "path_entropy_production",
    "potential",
    "rotation",
    "spectrum",
    "split",
    "turns",
    "winding",
    "winding_rate",
]
