"""The generator as a sparse matrix, and the current that its jumps carry."""

import math

import numpy as np
from scipy import sparse

from pdelab.generator.coefficients import asked, axis_rates, ito
from pdelab.generator.edges import edges, on_nodes


def generator(problem, grid, time=0.0):
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
    monotone there is upwind. In between errors of a few per cent are to be expected: refine the grid and compare.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-1.0, 1.0, 3)
    >>> generator(pl.FokkerPlanck(0 * grid.x, beta=1.0), grid).toarray()
    array([[-2.,  2.,  0.],
           [ 1., -2.,  1.],
           [ 0.,  2., -2.]])
    """
    form = ito(asked(problem, grid, time), grid)
    jumps = _axis_jumps(form, grid) if form.diagonal else edges(form, grid).jumps()
    return assemble(*jumps, math.prod(grid.shape))


def assemble(rows, columns, rates, nodes):
    """Q from its jumps; the diagonal makes the rows sum to zero."""
    keep = (rates > 0) & (rows != columns)
    rows, columns, rates = rows[keep], columns[keep], rates[keep]
    out = np.bincount(rows, rates, nodes)
    every = np.arange(nodes, dtype=rows.dtype)
    entries = np.concatenate([rates, -out])
    places = (np.concatenate([rows, every]), np.concatenate([columns, every]))
    return sparse.coo_array((entries, places), shape=(nodes, nodes)).tocsr()


def _axis_jumps(form, grid):
    """(rows, columns, rates) of all jumps to neighbours."""
    index = np.arange(math.prod(grid.shape), dtype=np.int32).reshape(grid.shape)
    rows, columns, rates = [], [], []
    for axis, (up, down) in enumerate(axis_rates(form, grid)):
        here, there = index.ravel(), np.roll(index, -1, axis).ravel()
        rows += [here, there]
        columns += [there, here]
        rates += [up.ravel(), down.ravel()]
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(rates)


def added_diffusion(problem, grid, time=0.0):
    """The isotropic diffusion τ(x) that `generator` added to D Σ(x) to stay monotone, shape grid.shape.

    Zero except where Σ is nearly degenerate along a direction that no offset of at most sqrt(n)/2 nodes follows; in two
    dimensions the smallest that suffices. It vanishes as the grid is refined: in two dimensions like the spacing or
    faster, in three so in the mean, its largest value more slowly.
    """
    form = ito(asked(problem, grid, time), grid)
    return np.zeros(grid.shape) if form.diagonal else on_nodes(edges(form, grid).added, grid)


def current(problem, grid, density, time=0.0):
    """The probability current J on the faces of each axis: ρ_t = -div J exactly on the grid.

    Parameters
    ----------
    density : array grid.shape

    Returns
    -------
    tuple of arrays, one an axis
        J_k (probability per time and per area of the face), shape grid.shape with n_k - 1 faces along axis k, with n_k
        faces when that axis is periodic; face i joins node i to the next.

    Notes
    -----
    Jumps along other directions than the axes are led over the faces of the box between their ends, half of them
    first along the first axis, half of them first along the last.
    """
    form = ito(asked(problem, grid, time), grid)
    density = grid.field(density, "density")
    mass = grid.weights * density
    if form.diagonal:
        flows = []
        for axis, (up, down) in enumerate(axis_rates(form, grid)):
            up, down = up.reshape(grid.shape), down.reshape(grid.shape)
            flows.append(up * mass - down * np.roll(mass, -1, axis))
    else:
        flows = _routed(form, grid, mass)
    found = []
    for axis, flow in enumerate(flows):
        area = np.moveaxis(grid.weights, axis, -1) / grid.axis_weights[axis]
        flow = flow / np.moveaxis(area, -1, axis)
        keep = slice(None) if grid.boundary[axis] == "periodic" else slice(-1)
        found.append(flow[(slice(None),) * axis + (keep,)])
    return tuple(found)


def divergence(flux, grid):
    """div J on the nodes, shape grid.shape, of face fluxes as `current` returns them: the mass leaving each cell."""
    total, flux = np.zeros(grid.shape), [np.asarray(part) for part in flux]
    open_axes = np.diag([name != "periodic" for name in grid.boundary])
    wanted = [tuple(faces.tolist()) for faces in np.array(grid.shape) - open_axes]
    if [part.shape for part in flux] != wanted:
        got = [part.shape for part in flux]
        raise ValueError(f"flux: expected one array an axis, of shapes {wanted} as `current` gives, got {got}")
    for axis, part in enumerate(flux):
        if grid.boundary[axis] == "periodic":
            change = part - np.roll(part, 1, axis)
        else:
            edge = [(0, 0)] * grid.dimension
            edge[axis] = (1, 1)
            change = np.diff(np.pad(part, edge), axis=axis)
        total += np.moveaxis(np.moveaxis(change, axis, -1) / grid.axis_weights[axis], -1, axis)
    return total


def _routed(form, grid, mass):
    """Flows over the faces of each axis, of jumps led along the axes in both orders."""
    network, mass = edges(form, grid), mass.ravel()
    rows, steps = network.tail, network.steps.astype(np.int64)
    flow = 0.5 * (network.up * mass[network.tail] - network.down * mass[network.head])
    flows = [np.zeros(grid.shape) for _ in range(grid.dimension)]
    for order in (range(grid.dimension), reversed(range(grid.dimension))):
        at = np.stack(np.unravel_index(rows, grid.shape), axis=-1)
        for axis in order:
            remaining = steps[:, axis].copy()
            while (moving := np.flatnonzero(remaining)).size:
                sign = np.sign(remaining[moving])
                face = at[moving].copy()
                face[:, axis] += np.minimum(sign, 0)
                face %= grid.shape
                np.add.at(flows[axis], tuple(face.T), sign * flow[moving])
                at[moving, axis] = (at[moving, axis] + sign) % grid.shape[axis]
                remaining[moving] -= sign
    return flows
