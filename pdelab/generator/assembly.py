"""The generator as a sparse matrix."""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse

from pdelab.generator.coefficients import DiffusionProblem, asked, axis_rates, ito
from pdelab.generator.edges import edges, on_nodes
from pdelab.grid import Grid
from pdelab.hints import Array

__all__ = ["added_diffusion", "assemble", "chain_of", "chain_of_rates", "generator"]


def generator(problem: DiffusionProblem, grid: Grid, time: float = 0.0) -> sparse.csr_array:
    """The Markov generator Q of a problem's diffusion on the grid: rows sum to zero, off-diagonals >= 0.

    Functions on the nodes (in C order) evolve by v_t = Q v, masses m = w ρ by m_t = Q^T m.

    Parameters
    ----------
    problem : FokkerPlanck, BackwardKolmogorov, HamiltonJacobi, or anything with coefficients(grid, time)
    grid : Grid, with reflecting or periodic boundaries
    time : float
        When coefficients depend on time.

    Returns
    -------
    scipy.sparse.csr_array, shape (nodes, nodes)

    Raises
    ------
    ValueError
        An outflow boundary; a diffusion matrix that is indefinite or not symmetric.

    Notes
    -----
    Scharfetter-Gummel rates where the matrix Σ is diagonal; elsewhere Selling's decomposition, with offsets of at most
    sqrt(n)/2 nodes and, where Σ is so nearly degenerate that this does not suffice, the isotropic addition that
    `added_diffusion` reports; it vanishes as the grid is refined. No flux at a reflecting wall: paths are reflected
    along the co-normal Σ n. With "fick" and no drift a constant density is stationary to round-off.

    Order in the spacing h: second for a diagonal matrix and, with a full one, while the drift is small against the
    diffusion of a cell, |b| h <= 2 λ with λ the smallest eigenvalue of D Σ; first where it is large, because what is
    monotone there is upwind. In between errors of a few per cent are to be expected: `info["smearing"]` of `solve` says
    what the rates do to squared widths, and densities have `high_resolution`, of second order at any Peclet number.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-1.0, 1.0, 3)
    >>> generator(pl.FokkerPlanck(0 * grid.x, beta=1.0), grid).toarray()
    array([[-2.,  2.,  0.],
           [ 1., -2.,  1.],
           [ 0.,  2., -2.]])
    """
    return chain_of(ito(asked(problem, grid, time), grid), grid)


def chain_of(form, grid, times=1):
    """Q of an `Ito` form; of a full matrix with so many times the diffusion that must be added."""
    if form.diagonal:
        return chain_of_rates(axis_rates(form, grid), grid)
    return assemble(*edges(form, grid, times).jumps(), math.prod(grid.shape))


def assemble(rows, columns, rates, nodes):
    """Q from its jumps; the diagonal makes the rows sum to zero."""
    keep = (rates > 0) & (rows != columns)
    rows, columns, rates = rows[keep], columns[keep], rates[keep]
    out = np.bincount(rows, rates, nodes)
    every = np.arange(nodes, dtype=rows.dtype)
    entries = np.concatenate([rates, -out])
    places = (np.concatenate([rows, every]), np.concatenate([columns, every]))
    return sparse.coo_array((entries, places), shape=(nodes, nodes)).tocsr()


def chain_of_rates(axes, grid):
    """Q of the rates (up, down) over the faces of each axis."""
    index = np.arange(math.prod(grid.shape), dtype=np.int32).reshape(grid.shape)
    rows, columns, rates = [], [], []
    for axis, (up, down) in enumerate(axes):
        here, there = index.ravel(), np.roll(index, -1, axis).ravel()
        rows += [here, there]
        columns += [there, here]
        rates += [up.ravel(), down.ravel()]
    return assemble(np.concatenate(rows), np.concatenate(columns), np.concatenate(rates), index.size)


def added_diffusion(problem: DiffusionProblem, grid: Grid, time: float = 0.0) -> Array:
    """The isotropic diffusion τ(x) that `generator` added to D Σ(x) to stay monotone, shape grid.shape.

    Zero except where Σ is nearly degenerate along a direction that no offset of at most sqrt(n)/2 nodes follows; in two
    dimensions the smallest that suffices. It vanishes as the grid is refined: in two dimensions like the spacing or
    faster, in three so in the mean, its largest value more slowly.

    Parameters
    ----------
    problem : FokkerPlanck, BackwardKolmogorov or HamiltonJacobi
    grid : Grid
    time : float
        When the coefficients are taken.

    Returns
    -------
    array grid.shape, >= 0

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid((-1.0, -1.0), (1.0, 1.0), (9, 9))
    >>> round_noise = pl.FokkerPlanck(np.zeros((9, 9)), beta=1.0)
    >>> float(added_diffusion(round_noise, grid).max())                  # no full matrix, nothing to mend
    0.0
    """
    form = ito(asked(problem, grid, time), grid)
    return np.zeros(grid.shape) if form.diagonal else on_nodes(edges(form, grid).added, grid)
