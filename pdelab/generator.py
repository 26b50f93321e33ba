"""The monotone generator Q of dX = (b - grad U) dt + sqrt(2 D) σ dW on a grid.

Q has off-diagonals >= 0 and rows that sum to zero: a Markov chain. Functions evolve by v_t = Q v, masses m = w ρ by
m_t = Q^T m. Along each axis the rates are those of Scharfetter and Gummel, so that a gradient drift with constant
diffusivity leaves exp(-U/D) invariant exactly.
"""

from dataclasses import dataclass

import numpy as np

INTERPRETATIONS = ("ito", "stratonovich", "klimontovich", "fick")


@dataclass(frozen=True, eq=False)
class Coefficients:
    """What a problem says about its diffusion on a grid at one time: dX = (b - grad U) dt + sqrt(2 D) σ dW.

    potential : U on the nodes, shape grid.shape, or None
    drift : b on the nodes, shape (*grid.shape, d), in one dimension (n,), or None
    diffusivity : the number D >= 0
    diffusion : σ σ^T on the nodes, (*grid.shape, d, d), in one dimension (n,); None is the identity
    sigma : σ on the nodes, (*grid.shape, d, k), in one dimension (n,); None is the symmetric square root of diffusion
    interpretation : "ito", "stratonovich", "klimontovich" or "fick"
    """

    potential: np.ndarray | None = None
    drift: np.ndarray | None = None
    diffusivity: float = 0.0
    diffusion: np.ndarray | None = None
    sigma: np.ndarray | None = None
    interpretation: str = "ito"


def drops(coefficients, grid):
    """Spacing times drift on the faces of each axis: a list of arrays of shape grid.shape.

    Face i of an axis joins node i to the next one; a potential enters by its difference, a drift by its face average.
    The last face of an axis that is not periodic is empty.
    """
    found = []
    for axis, (h, boundary) in enumerate(zip(grid.spacing, grid.boundary)):
        drop = np.zeros(grid.shape)
        if coefficients.potential is not None:
            drop += coefficients.potential - np.roll(coefficients.potential, -1, axis)
        if coefficients.drift is not None:
            b = coefficients.drift if grid.dimension == 1 else coefficients.drift[..., axis]
            drop += 0.5 * h * (b + np.roll(b, -1, axis))
        if boundary != "periodic":
            drop[(slice(None),) * axis + (-1,)] = 0.0
        found.append(drop)
    return found
