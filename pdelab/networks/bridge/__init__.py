"""The bridge: the PDE side and the algorithms on one and the same slice of a network's weights.

    slice = restrict(objective, directions)       its loss is a Loss of the PDE side, in 1, 2 or 3 dimensions
    noise(slice, points, batch)                   the exact covariance of mini-batch gradients: FokkerPlanck's diffusion
    descend(slice, start, lr, steps, batch)       thousands of runs of mini-batch SGD that never leave the slice
    compare_densities(slice, grid, ...)           their density against Fokker-Planck's, with intervals
    gradient_map(slice, ...)                      Entropy-SGD's inner loop against the exact gradient of local entropy
    compare_basins(slice, grid, ...)              which minima algorithms, exact smoothing and optimal control end in
    roam(objective, lr, steps)                    SGD in all of weight space, many runs at once
    compare_projection(objective, ...)            SGD in all of weight space, projected, against SGD on its own plane
    volume(objective, gamma, beta)                local entropy in all of weight space, by sampling, with error bars

What holds on a slice is exact there; the whole space has more directions, which a slice does not see.
"""

from pdelab.networks.bridge.bases import (
    curved_directions,
    directions_to,
    filter_directions,
    gradient_direction,
    noisy_directions,
    random_directions,
    trajectory_directions,
)
from pdelab.networks.bridge.basins import Basins, compare_basins
from pdelab.networks.bridge.crossings import Exits, Turning, compare_exits, compare_rotation
from pdelab.networks.bridge.densities import Comparison, compare_densities
from pdelab.networks.bridge.descent import Descent, descend
from pdelab.networks.bridge.examples import linear_model, trained_slice
from pdelab.networks.bridge.gradients import GradientMap, exact_gradient, gradient_map
from pdelab.networks.bridge.noise import noise
from pdelab.networks.bridge.projection import Projection, compare_projection, roam
from pdelab.networks.bridge.subspace import Subspace, restrict
from pdelab.networks.bridge.volume import Volume, volume

__all__ = [
    "Basins",
    "Comparison",
    "Descent",
    "Exits",
    "GradientMap",
    "Projection",
    "Subspace",
    "Turning",
    "Volume",
    "compare_basins",
    "compare_densities",
    "compare_exits",
    "compare_projection",
    "compare_rotation",
    "curved_directions",
    "descend",
    "directions_to",
    "exact_gradient",
    "filter_directions",
    "gradient_direction",
    "gradient_map",
    "linear_model",
    "noise",
    "noisy_directions",
    "random_directions",
    "restrict",
    "roam",
    "trained_slice",
    "trajectory_directions",
    "volume",
]
