"""The monotone generator Q of dX = (b - grad U) dt + sqrt(2 D) σ dW on a grid, and the linear algebra on it.

Q has off-diagonals >= 0 and rows that sum to zero: a Markov chain. Functions evolve by v_t = Q v, masses m = w ρ by
m_t = Q^T m. Where Σ = σ σ^T is diagonal, each axis has the rates of Scharfetter and Gummel, so that a gradient drift
with constant diffusivity leaves exp(-U/D) invariant exactly; elsewhere Selling's decomposition Σ = sum λ_k e_k e_k^T
with whole-number offsets e_k and λ_k >= 0 gives a monotone stencil in two and three dimensions.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.linalg import lapack
from scipy.sparse import csgraph, linalg

from pdelab.stencils import elimination, selling, tridiagonal

INTERPRETATIONS = ("ito", "stratonovich", "klimontovich", "fick")
BANDED_WORK = 2e10  # multiplications above which an elimination gives way to a sparse factorisation
CORRECTION = {"ito": 0.0, "stratonovich": 0.5, "klimontovich": 1.0}  # α: σ is read at the point (1 - α) t + α (t + dt)


@dataclass(frozen=True, eq=False)
class Coefficients:
    """What a problem says about its diffusion on a grid at one time: dX = (b - grad U) dt + sqrt(2 D) σ dW.

    potential : U on the nodes, shape grid.shape, or None
    drift : b on the nodes, shape (*grid.shape, d), in one dimension (n,), or None
    diffusivity : the number D >= 0
    diffusion : Σ = σ σ^T on the nodes, (*grid.shape, d, d), in one dimension (n,); None is the identity or σ σ^T
    sigma : σ on the nodes, (*grid.shape, d, k), in one dimension (n,); None is the symmetric square root of diffusion
    interpretation : "ito", "stratonovich", "klimontovich" or "fick"
    """

    potential: np.ndarray | None = None
    drift: np.ndarray | None = None
    diffusivity: float = 0.0
    diffusion: np.ndarray | None = None
    sigma: np.ndarray | None = None
    interpretation: str = "ito"


@dataclass(frozen=True, eq=False)
class Ito:
    """Coefficients reduced to dX = (b - grad U) dt + sqrt(2) a^{1/2} dW in the sense of Ito.

    a: list of one field an axis when the matrix is diagonal everywhere, else an array (*grid.shape, d, d).
    """

    potential: np.ndarray | None
    drift: np.ndarray | None
    a: object

    @property
    def diagonal(self):
        """True when every axis diffuses by itself."""
        return isinstance(self.a, list)


def ito(coefficients, grid):
    """Check the matrix Σ and move the interpretation of the noise into the drift.

    With s = sqrt(2 D) σ the drift gains α sum_jk s_kj d_k s_ij, α = 1/2 for Stratonovich and 1 for Klimontovich
    (Haenggi); "fick", D div(Σ grad ρ), gains D div Σ. Derivatives are those of `grid.gradient`.
    """
    D, d = coefficients.diffusivity, grid.dimension
    sigma, matrix = coefficients.sigma, coefficients.diffusion
    if matrix is None and sigma is None:
        return Ito(coefficients.potential, coefficients.drift, [np.full(grid.shape, D) for _ in range(d)])
    sigma, matrix = _matrices(sigma, matrix, grid)
    drift, added = coefficients.drift, None
    if coefficients.interpretation == "fick":
        added = D * _divergence_of_matrix(matrix, grid)
    elif CORRECTION[coefficients.interpretation]:
        root = _square_root(matrix) if sigma is None else sigma
        added = 2 * D * CORRECTION[coefficients.interpretation] * _noise_induced(root, grid)
    if added is not None:
        added = added[..., 0] if d == 1 else added
        drift = added if drift is None else drift + added
    off = ~np.eye(d, dtype=bool)
    if not matrix[..., off].any():
        return Ito(coefficients.potential, drift, [np.ascontiguousarray(D * matrix[..., k, k]) for k in range(d)])
    return Ito(coefficients.potential, drift, D * matrix)


def _matrices(sigma, matrix, grid):
    """(σ, Σ) with trailing axes (d, k) and (d, d), Σ symmetric and positive semi-definite."""
    d = grid.dimension
    if sigma is not None and d == 1:
        sigma = sigma.reshape(*grid.shape, 1, -1)
    if matrix is None:
        return sigma, sigma @ np.swapaxes(sigma, -1, -2)
    matrix = matrix.reshape(*grid.shape, d, d)
    size = max(float(np.abs(matrix).max()), np.finfo(float).tiny)
    skew = np.abs(matrix - np.swapaxes(matrix, -1, -2)).max(axis=(-1, -2))
    if skew.max() > 1e-12 * size:
        where = np.unravel_index(int(np.argmax(skew)), grid.shape)
        raise ValueError(f"diffusion: expected symmetric matrices, got {matrix[where].tolist()} at index {_plain(where)}")
    smallest = np.linalg.eigvalsh(matrix)[..., 0]
    if smallest.min() < -1e-12 * size:
        where = np.unravel_index(int(np.argmin(smallest)), grid.shape)
        raise ValueError(
            f"diffusion: expected positive semi-definite matrices, got eigenvalue {smallest[where]:.6g} "
            f"at index {_plain(where)}"
        )
    return sigma, matrix


def _plain(index):
    return tuple(int(i) for i in index)


def _square_root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]) @ np.swapaxes(vectors, -1, -2)


def _derivative(values, grid):
    """d_k of a scalar field for every axis k, trailing axis k also in one dimension."""
    return grid.gradient(values).reshape(*grid.shape, grid.dimension)


def _divergence_of_matrix(matrix, grid):
    d = grid.dimension
    return np.stack(
        [sum(_derivative(matrix[..., i, k], grid)[..., k] for k in range(d)) for i in range(d)], axis=-1
    )


def _noise_induced(sigma, grid):
    """sum_jk σ_kj d_k σ_ij, trailing axis i."""
    found = np.zeros((*grid.shape, grid.dimension))
    for i in range(grid.dimension):
        for j in range(sigma.shape[-1]):
            found[..., i] += np.sum(sigma[..., :, j] * _derivative(sigma[..., i, j], grid), axis=-1)
    return found


def drops(potential, drift, grid):
    """Spacing times drift on the faces of each axis: a list of arrays of shape grid.shape.

    Face i of an axis joins node i to the next one; a potential enters by its difference, a drift by its face average.
    The last face of an axis that is not periodic is empty.
    """
    found = []
    for axis, (h, boundary) in enumerate(zip(grid.spacing, grid.boundary)):
        drop = np.zeros(grid.shape)
        if potential is not None:
            drop += potential - np.roll(potential, -1, axis)
        if drift is not None:
            b = drift if grid.dimension == 1 else drift[..., axis]
            drop += 0.5 * h * (b + np.roll(b, -1, axis))
        if boundary != "periodic":
            drop[(slice(None),) * axis + (-1,)] = 0.0
        found.append(drop)
    return found


def lines(array, axis, shape):
    """View of a contiguous field of this shape as (outer, n, inner) with `axis` in the middle."""
    return array.reshape(math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))


def axis_rates(form, grid, dt=1.0):
    """dt times the rates (up, down) over the faces of each axis, as (outer, n, inner), for a diagonal `Ito` form."""
    found = []
    for axis, drop in enumerate(drops(form.potential, form.drift, grid)):
        drop, a = lines(drop, axis, grid.shape), lines(form.a[axis], axis, grid.shape)
        up, down = np.empty_like(drop), np.empty_like(drop)
        scale = dt / grid.spacing[axis] ** 2
        tridiagonal.rates(drop, a, scale, grid.boundary[axis] == "periodic", up, down)
        found.append((up, down))
    return found


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
    `added_diffusion` reports; it vanishes as the grid is refined. Reflection at a wall is along the normal.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-1.0, 1.0, 3)
    >>> generator(pl.FokkerPlanck(0 * grid.x, beta=1.0), grid).toarray()
    array([[-2.,  2.,  0.],
           [ 1., -2.,  1.],
           [ 0.,  2., -2.]])
    """
    no_outflow(grid)
    form = ito(problem.coefficients(grid, time), grid)
    return assemble(*(_axis_jumps(form, grid) if form.diagonal else _matrix_jumps(form, grid)[:3]), math.prod(grid.shape))


def assemble(rows, columns, rates, nodes):
    """Q from its jumps; the diagonal makes the rows sum to zero."""
    keep = (rates > 0) & (rows != columns)
    rows, columns, rates = rows[keep], columns[keep], rates[keep]
    out = np.bincount(rows, rates, nodes)
    every = np.arange(nodes, dtype=rows.dtype)
    entries = np.concatenate([rates, -out])
    places = (np.concatenate([rows, every]), np.concatenate([columns, every]))
    return sparse.coo_array((entries, places), shape=(nodes, nodes)).tocsr()


def no_outflow(grid):
    if "outflow" in grid.boundary:
        raise ValueError(
            "a Markov generator needs reflecting (no flux) or periodic boundaries, got outflow: "
            "what leaves the box would have to be followed; take a larger reflecting box"
        )


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


def _matrix_jumps(form, grid):
    """(rows, columns, rates, displacements, τ) of all jumps of a diffusion with a full matrix, Ito, on the nodes."""
    d, nodes, h = grid.dimension, math.prod(grid.shape), np.array(grid.spacing)
    drift = np.zeros((*grid.shape, d)) if form.drift is None else form.drift
    if form.potential is not None:
        drift = drift - grid.gradient(form.potential)
    count = 5 if d == 2 else 9
    offsets, added = np.empty((nodes, count, d)), np.empty(nodes)
    forward, backward = np.empty((nodes, count)), np.empty((nodes, count))
    radius = max(2.0, round(0.5 * math.sqrt(min(grid.shape))))
    matrices = np.ascontiguousarray((form.a / np.outer(h, h)).reshape(nodes, d, d))
    drifts = np.ascontiguousarray((drift / h).reshape(nodes, d))
    selling.jumps(matrices, drifts, np.diag(1 / h**2), radius, offsets, forward, backward, added)
    here = np.stack(np.unravel_index(np.arange(nodes), grid.shape), axis=-1)[:, None, :]
    steps = np.concatenate([offsets, -offsets], axis=1).astype(np.int64)
    rates = np.concatenate([forward, backward], axis=1)
    there, steps = _landing(here, steps, grid)
    columns = np.ravel_multi_index(tuple(np.moveaxis(there, -1, 0)), grid.shape)
    rows = np.broadcast_to(np.arange(nodes)[:, None], columns.shape)
    return rows.ravel(), columns.ravel(), rates.ravel(), steps.reshape(-1, d), added.reshape(grid.shape)


def _landing(here, steps, grid):
    """Where jumps end, periodic axes wrapped and the others mirrored, and the steps really taken."""
    there = here + steps
    for axis, (n, boundary) in enumerate(zip(grid.shape, grid.boundary)):
        if boundary == "periodic":
            there[..., axis] %= n
        else:
            folded = np.abs(there[..., axis]) % (2 * (n - 1))
            there[..., axis] = np.minimum(folded, 2 * (n - 1) - folded)
            steps[..., axis] = there[..., axis] - here[..., axis]
    return there, steps


def added_diffusion(problem, grid, time=0.0):
    """The isotropic diffusion τ(x) that `generator` added to D Σ(x) to stay monotone, shape grid.shape.

    Zero except where Σ is nearly degenerate along a direction that no offset of at most sqrt(n)/2 nodes follows; in two
    dimensions the smallest that suffices. It vanishes as the grid is refined, like the spacing or faster.
    """
    no_outflow(grid)
    form = ito(problem.coefficients(grid, time), grid)
    return np.zeros(grid.shape) if form.diagonal else _matrix_jumps(form, grid)[4]


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
    no_outflow(grid)
    density = grid.field(density, "density")
    form = ito(problem.coefficients(grid, time), grid)
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
    total = np.zeros(grid.shape)
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
    rows, _, rates, steps, _ = _matrix_jumps(form, grid)
    keep = rates > 0
    rows, steps, flow = rows[keep], steps[keep], 0.5 * rates[keep] * mass.ravel()[rows[keep]]
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


def stationary(problem, grid, time=0.0):
    """The stationary density of the generator: Q^T (w ρ) = 0, ρ >= 0, integral one.

    A potential alone gives exp(-U/D) in closed form; otherwise the chain is eliminated without subtractions, so that
    a probability like 1e-200 has its digits too. Grids too large for that are solved by sparse inverse iteration, which
    is positive but accurate relative to the largest value only.

    Raises
    ------
    ValueError
        No noise at all, or a chain with more than one closed class, naming the classes.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-5.0, 5.0, 201)
    >>> rho = stationary(pl.FokkerPlanck(drift=-grid.x, beta=1.0), grid)
    >>> bool(abs(grid.integrate(grid.x**2 * rho) - 1) < 1e-3)
    True
    """
    no_outflow(grid)
    coefficients = problem.coefficients(grid, time)
    _needs_noise(coefficients, "a stationary density")
    if coefficients.drift is None and coefficients.diffusion is None and coefficients.sigma is None:
        U = np.zeros(grid.shape) if coefficients.potential is None else coefficients.potential
        density = np.exp(-(U - U.min()) / coefficients.diffusivity)
    else:
        density = _stationary_masses(generator(problem, grid, time), grid).reshape(grid.shape) / grid.weights
    return density / float(np.sum(grid.weights * density))


def _needs_noise(coefficients, what):
    if coefficients.diffusivity == 0:
        raise ValueError(f"{what} needs noise: with beta = inf (diffusivity 0) it is not unique")


def _stationary_masses(Q, grid):
    (inside,) = _closed_classes(Q, grid)
    masses = np.zeros(Q.shape[0])
    chain = Q[inside][:, inside]
    masses[inside] = _chain_masses(chain)
    return masses


def _closed_classes(Q, grid):
    """Node numbers of the one closed communicating class."""
    count, label = csgraph.connected_components(Q, connection="strong")
    jumps = Q.tocoo()
    leaves = np.zeros(count, dtype=bool)
    crossing = (label[jumps.row] != label[jumps.col]) & (jumps.data > 0)
    leaves[label[jumps.row[crossing]]] = True
    closed = np.flatnonzero(~leaves)
    if closed.size > 1:
        names = []
        for k in closed[:4]:
            members = np.flatnonzero(label == k)
            first = grid.points.reshape(math.prod(grid.shape), -1)[members[0]]
            names.append(f"{members.size} nodes round {np.round(first, 6).tolist()}")
        more = f" and {closed.size - 4} more" if closed.size > 4 else ""
        raise ValueError(
            f"the chain has {closed.size} closed components, so its stationary law is not unique: "
            f"{'; '.join(names)}{more}: give them noise or drift that connects them, or solve on each by itself"
        )
    return (np.flatnonzero(label == closed[0]),)


def _banded(Q, killing, load):
    """The chain in an order of small bandwidth, eliminated; None when that is too much work."""
    order = csgraph.reverse_cuthill_mckee(Q, symmetric_mode=False)
    chain = Q[order][:, order].tocoo()
    width = max(int(np.abs(chain.row - chain.col).max()), 1)
    nodes = Q.shape[0]
    if nodes * float(width) ** 2 > BANDED_WORK:
        return None
    band = np.zeros((nodes, 2 * width + 1))
    band[chain.row, chain.col - chain.row + width] = chain.data
    killing, load, leaving = killing[order].copy(), load[order].copy(), np.empty(nodes)
    elimination.eliminate(band, killing, load, leaving)
    return order, band, load, leaving


def _chain_masses(Q):
    nodes = Q.shape[0]
    if nodes == 1:
        return np.ones(1)
    eliminated = _banded(Q, np.zeros(nodes), np.zeros(nodes))
    masses = np.empty(nodes)
    if eliminated is not None:
        order, band, _, _ = eliminated
        masses[order] = elimination.weights(band)
        return masses
    shift = 1e-11 * float(-Q.diagonal().min())
    factors = factored(shift, 1.0, Q.T)
    x = np.ones(nodes) / nodes
    for _ in range(200):
        new = factors.solve(x)
        new /= new.sum()
        if np.abs(new - x).max() <= 1e-14 * new.max():
            return new
        x = new
    raise ValueError("the stationary law did not converge: the chain is nearly disconnected; use a smaller grid")


def factored(shift, step, Q):
    """Sparse factors of shift I - step Q with the diagonal as pivots, which keeps the signs of an M-matrix."""
    matrix = shift * sparse.eye_array(Q.shape[0]) - step * Q
    return linalg.splu(
        matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )


def mean_exit_time(problem, grid, target, time=0.0):
    """E[τ] for the first time τ in the target set, from every node: -Q v = 1 outside, v = 0 inside.

    Parameters
    ----------
    target : boolean array grid.shape, or callable points -> boolean array

    Returns
    -------
    array grid.shape; math.inf where the target may never be reached. Relative accuracy also for huge times.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(0.0, 1.0, 11)
    >>> v = mean_exit_time(pl.FokkerPlanck(beta=1.0), grid, lambda x: x >= 1.0)
    >>> bool(abs(v - (1 - grid.x**2) / 2).max() < 1e-14)
    True
    """
    inside = _target(target, grid, "target")
    Q = generator(problem, grid, time)
    found = np.full(inside.size, math.inf)
    found[inside] = 0.0
    certain = np.flatnonzero(_sure_to_reach(Q, inside) & ~inside)
    if certain.size:
        killing = np.asarray(Q[certain][:, np.flatnonzero(inside)].sum(axis=1)).ravel()
        found[certain] = _solved(Q[certain][:, certain], killing, np.ones(certain.size))
    return found.reshape(grid.shape)


def committor(problem, grid, a, b, time=0.0):
    """P(b is reached before a) from every node: Q v = 0 outside, v = 0 on a and 1 on b.

    Parameters
    ----------
    a, b : boolean arrays grid.shape, or callables points -> boolean array; they do not meet

    Returns
    -------
    array grid.shape in [0, 1]

    Raises
    ------
    ValueError
        No noise, sets that are empty or meet, a node that reaches neither.
    """
    _needs_noise(problem.coefficients(grid, time), "a committor")
    a, b = _target(a, grid, "a"), _target(b, grid, "b")
    if (a & b).any():
        raise ValueError(f"a and b: expected sets that do not meet, they share {int((a & b).sum())} nodes")
    Q = generator(problem, grid, time)
    if not _sure_to_reach(Q, a | b).all():
        raise ValueError("committor: some nodes never reach a or b, so the question has no answer there")
    found = b.astype(float)
    outside = np.flatnonzero(~(a | b))
    if outside.size:
        rows = Q[outside]
        to_a, to_b = (np.asarray(rows[:, np.flatnonzero(s)].sum(axis=1)).ravel() for s in (a, b))
        found[outside] = _solved(rows[:, outside], to_a + to_b, to_b)
    return found.reshape(grid.shape)


def _solved(Q, killing, load):
    """v of (killing - Q) v = load, where the diagonal of Q counts for nothing but its off-diagonals."""
    eliminated = _banded(Q, killing, load)
    v = np.empty(load.size)
    if eliminated is not None:
        order, band, load, leaving = eliminated
        v[order] = elimination.values(band, load, leaving)
        return v
    return factored(0.0, 1.0, Q).solve(load)


def _target(target, grid, name):
    inside = np.asarray(target(grid.points) if callable(target) else target)
    if inside.shape != grid.shape or inside.dtype != bool:
        raise ValueError(
            f"{name}: expected a boolean field of shape {grid.shape} or a function of points that gives one, "
            f"got {inside.dtype} of shape {inside.shape}"
        )
    if not inside.any():
        raise ValueError(f"{name}: expected at least one node of the grid inside")
    return inside.ravel()


def _sure_to_reach(Q, target):
    """Nodes from which the target is reached with probability one."""
    jumps = Q.tocoo()
    move = (jumps.data > 0) & ~target[jumps.row]
    graph = sparse.csr_array((np.ones(move.sum()), (jumps.row[move], jumps.col[move])), shape=Q.shape)
    reaches = _ancestors(graph, target)
    return ~_ancestors(graph, ~reaches)


def _ancestors(graph, members):
    """Nodes with a path into the set, the set included."""
    if not members.any():
        return members.copy()
    nodes = graph.shape[0]
    source = sparse.coo_array(
        (np.ones(members.sum()), (np.full(members.sum(), nodes), np.flatnonzero(members))), shape=(nodes + 1, nodes + 1)
    )
    backward = sparse.csr_array(graph.T)
    backward.resize((nodes + 1, nodes + 1))
    reached = csgraph.breadth_first_order((backward + source).tocsr(), nodes, return_predecessors=False)
    found = np.zeros(nodes + 1, dtype=bool)
    found[reached] = True
    return found[:nodes]


def spectral_gap(problem, grid, time=0.0):
    """min Re(-λ) over the eigenvalues λ != 0 of Q: the rate at which densities forget where they began; > 0.

    One dimension without a periodic axis: the smallest eigenvalue of the chain of fluxes, with relative accuracy also
    where it is exponentially small. Otherwise shift-and-invert, accurate relative to the size of Q.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-6.0, 6.0, 601)
    >>> bool(abs(spectral_gap(pl.FokkerPlanck(grid.x**2 / 2, beta=1.0), grid) - 1) < 1e-4)
    True
    """
    _needs_noise(problem.coefficients(grid, time), "a spectral gap")
    if grid.boundary == ("reflecting",):
        ((up, down),) = axis_rates(ito(problem.coefficients(grid, time), grid), grid)
        return _line_gap(up.ravel()[:-1], down.ravel()[:-1])
    Q = generator(problem, grid, time)
    _closed_classes(Q, grid)
    if Q.shape[0] <= 400:
        rates = -np.linalg.eigvals(Q.toarray())
        return float(np.delete(rates, np.argmin(np.abs(rates))).real.min())
    return _sparse_gap(Q)


def _line_gap(up, down):
    """Smallest eigenvalue of -dF/dt on the faces: a chain killed at both ends, its pivots without subtractions."""
    if (up == 0).any() or (down == 0).any():
        raise ValueError("a spectral gap needs jumps both ways over every face: there is no noise on some of them")
    pivots, killing = np.empty(up.size), up[0]
    for i in range(up.size):
        pivots[i] = killing + down[i]
        if i + 1 < up.size:
            killing = up[i + 1] * (killing / pivots[i])
    if up.size == 1:
        return float(up[0] + down[0])
    lower = -np.sqrt(down[:-1]) * np.sqrt(up[1:]) / pivots[:-1]
    inverse = linalg.LinearOperator(
        (up.size, up.size), matvec=lambda x: lapack.dpttrs(pivots, lower, np.asarray(x).ravel())[0].ravel(), dtype=float
    )
    if up.size < 4:
        return float(1 / np.linalg.eigvalsh(inverse @ np.eye(up.size)).max())
    return float(1 / linalg.eigsh(inverse, k=1, which="LA", v0=np.ones(up.size), return_eigenvectors=False)[0])


def _sparse_gap(Q):
    """The eigenvalue nearest to zero; then any slower one that rotates, as an eigenvalue of (I - τQ/32)^-32 ~ exp(τQ)."""
    share = _chain_masses(Q)
    share /= share.sum()
    nearest = 1 / _largest(_forgetting(factored(1e-12 * float(-Q.diagonal().min()), 1.0, Q), share, 1), Q.shape, 4)[0]
    gap = float(nearest.real.min())
    _, modes = _largest(_forgetting(factored(1.0, 2 / gap / 32, Q), share, 32), Q.shape, 6)
    rates = -np.sum(modes.conj() * (Q @ modes), axis=0).real / np.sum(np.abs(modes) ** 2, axis=0)
    return min(gap, float(rates.min()))


def _forgetting(factors, share, power):
    """x -> factors^-power x, the constants projected out before and after."""

    def operate(x):
        y = np.ravel(x) - share @ np.ravel(x)
        for _ in range(power):
            y = factors.solve(y)
        return y - share @ y

    return operate


def _largest(operate, shape, count):
    """Eigenvalues and vectors of largest modulus; the start is fixed, so that the answer is too."""
    operator = linalg.LinearOperator(shape, matvec=operate, dtype=float)
    return linalg.eigs(operator, k=count, ncv=30, v0=np.cos(np.arange(shape[0])), tol=1e-10)
