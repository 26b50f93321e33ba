"""Linear algebra on the generator: stationary law, exit times, committor, spectral gap."""

import math

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph, linalg

from pdelab.generator.assembly import generator
from pdelab.generator.coefficients import asked, axis_rates, ito
from pdelab.kernels import elimination, modes

BANDED_WORK = 2e10  # multiplications above which an elimination gives way to a sparse factorisation


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
    coefficients = asked(problem, grid, time)
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
    Q = generator(problem, grid, time)
    inside = _target(target, grid, "target")
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
    _needs_noise(asked(problem, grid, time), "a committor")
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

    One dimension without a periodic axis: with relative accuracy, also where it is exponentially small. Otherwise
    shift-and-invert, accurate relative to the size of Q.

    Examples
    --------
    >>> import pdelab as pl
    >>> grid = pl.Grid(-6.0, 6.0, 601)
    >>> bool(abs(spectral_gap(pl.FokkerPlanck(grid.x**2 / 2, beta=1.0), grid) - 1) < 1e-4)
    True
    """
    coefficients = asked(problem, grid, time)
    _needs_noise(coefficients, "a spectral gap")
    if grid.boundary == ("reflecting",):
        ((up, down),) = axis_rates(ito(coefficients, grid), grid)
        return _line_gap(up.ravel(), down.ravel())
    Q = generator(problem, grid, time)
    _closed_classes(Q, grid)
    if Q.shape[0] <= 400:
        rates = -np.linalg.eigvals(Q.toarray())
        return float(np.delete(rates, np.argmin(np.abs(rates))).real.min())
    return _sparse_gap(Q)


def _line_gap(up, down):
    """Smallest decay rate after zero, by bisection with pivots without subtractions."""
    if (up[:-1] == 0).any() or (down[:-1] == 0).any():
        raise ValueError("a spectral gap needs jumps both ways over every face: there is no noise on some of them")
    top, gap = max(up.max(), down.max()), np.empty(1)
    modes.slowest(up / top, down / top, 4.0, 4e-16, gap)
    return top * float(gap[0])


def _sparse_gap(Q):
    """The eigenvalue nearest to zero, or a slower one that rotates: those of (I - τQ/32)^-32 ~ exp(τQ) show it."""
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
