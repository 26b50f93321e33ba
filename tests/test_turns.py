"""Net turns round periodic axes: to relative accuracy where faces carry rounding, which is then said."""

import math
import warnings

import mpmath
import numpy as np
import pytest

import pdelab as pl
from pdelab import FokkerPlanck, nonequilibrium
from pdelab.generator import current, generator, stationary, turning_rate

pytestmark = pytest.mark.filterwarnings(
    "ignore:drift|the nodes|the density bends"
)  # chains of coarse grids against exact arithmetic

TOLD = 0.05


def exact_turns(problem, grid, axis, digits=80):
    """Flow over the cut between the last and the first column, with the law of the same rates to 80 digits."""
    with mpmath.workdps(digits):
        jumps, n = generator(problem, grid).tocoo(), math.prod(grid.shape)
        Q = mpmath.zeros(n)
        for i, j, rate in zip(jumps.row, jumps.col, jumps.data):
            if i != j:
                Q[int(i), int(j)] = mpmath.mpf(float(rate))
        for i in range(n):
            Q[i, i] = -mpmath.fsum(Q[i, j] for j in range(n) if j != i)
        A = Q.T.copy()
        for j in range(n):
            A[0, j] = 1
        law = mpmath.lu_solve(A, mpmath.matrix([1] + [0] * (n - 1)))
        place = np.unravel_index(np.arange(n), grid.shape)[axis]
        half = grid.shape[axis] // 2
        net = mpmath.mpf(0)
        for i in range(n):
            for j in range(n):
                if Q[i, j] != 0 and abs(int(place[j]) - int(place[i])) > half:
                    net += law[i] * Q[i, j] * (1 if place[j] < place[i] else -1)
        return float(net)


def torus(kind, rng):
    """A grid and a problem that turns round axis 0 (axis 1 where it is the periodic one)."""
    if kind == "plane":
        grid = pl.Grid((0.0, 0.0), (1.0, 1.0), (9, 4), boundary=("periodic", "reflecting"))
    elif kind == "torus":
        grid = pl.Grid((0.0, 0.0), (1.0, 1.0), (7, 5), boundary="periodic")
    elif kind == "full":
        grid = pl.Grid((0.0, 0.0), (1.0, 1.0), (10, 5), boundary=("periodic", "reflecting"))
    else:
        grid = pl.Grid((0.0,) * 3, (1.0,) * 3, (5, 3, 3), boundary=("periodic", "reflecting", "periodic"))
    x = 2 * np.pi * grid.points
    U = np.cos(x[..., 0]) + 0.3 * np.sin(x[..., 0] + x[..., 1]) + 0.1 * rng.normal(size=grid.shape)
    b = 0.2 * rng.normal(size=x.shape) + np.eye(grid.dimension)[0] * 0.7
    matrix = None
    if kind == "full":
        matrix = np.broadcast_to(np.array([[1.0, 0.5], [0.5, 1.0]]), (*grid.shape, 2, 2))
    return grid, U, b, matrix


@pytest.mark.parametrize("kind", ["plane", "torus", "full", "solid"])
@pytest.mark.parametrize("beta", [1.0, 20.0, 60.0])
def test_turns_of_any_size_keep_their_digits(kind, beta, rng):
    grid, U, b, matrix = torus(kind, rng)
    problem = FokkerPlanck(U, b, beta=beta, diffusion=matrix)
    exact = exact_turns(problem, grid, 0)
    assert turning_rate(problem, grid) == pytest.approx(exact, rel=1e-11)
    assert nonequilibrium.winding_rate(problem, grid, axis=0) == turning_rate(problem, grid)


@pytest.mark.parametrize("force, beta", [(1.0, 30.0), (-0.3, 60.0), (1e-4, 2.0)])
def test_a_washboard_with_a_second_coordinate_turns_like_the_ring(force, beta):
    """Currents down to 1e-56, where the faces of the plane differ by their own size and say so."""
    ring = pl.Grid(0.0, 2 * np.pi, 40, boundary="periodic")
    line = FokkerPlanck(-1.5 * np.cos(ring.x), np.full(40, force), beta=beta)
    exact = current(line, ring, stationary(line, ring))[0][0]
    grid = pl.Grid((0.0, 0.0), (2 * np.pi, 1.0), (40, 4), boundary=("periodic", "reflecting"))
    wind = np.zeros((40, 4, 2)) + [force, 0.0]
    problem = FokkerPlanck(-1.5 * np.cos(grid.points[..., 0]), wind, beta=beta)
    share = math.tanh(abs(np.pi * force * beta))
    assert turning_rate(problem, grid) == pytest.approx(exact, rel=2e-14 / share)
    law = stationary(problem, grid)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        faces = current(problem, grid, law)[0]
    wrong = np.abs(faces - exact).max() / abs(exact)
    assert bool(caught) == (wrong > 1e-3) or 1e-5 < wrong < 1e-1, (wrong, caught)
    if caught:
        assert "along axis 0" in str(caught[0].message) and "turning_rate" in str(caught[0].message)


def test_the_sections_of_a_steady_current_judge_it():
    """The faces are good on one axis and rounding on the other: the other is named."""
    grid = pl.Grid((0.0, 0.0), (2 * np.pi, 1.0), (40, 6), boundary="periodic")
    wind = np.zeros((40, 6, 2)) + [0.3, 1.0]
    problem = FokkerPlanck(-1.5 * np.cos(grid.points[..., 0]), wind, beta=60.0)
    law = stationary(problem, grid)
    with pytest.warns(UserWarning, match="along axis 0") as caught:
        flow = current(problem, grid, law)
    assert len(caught) == 1
    assert turning_rate(problem, grid, 1) == pytest.approx(float(np.sum(flow[1][:, 0])) * grid.spacing[0], rel=1e-12)


def test_a_potential_alone_does_not_turn_and_cancelling_turns_are_said():
    grid = pl.Grid((0.0, 0.0), (1.0, 1.0), (12, 5), boundary=("periodic", "reflecting"))
    x, y = np.moveaxis(grid.points, -1, 0)
    assert turning_rate(FokkerPlanck(np.cos(2 * np.pi * x), beta=3.0), grid) == 0.0
    shear = np.stack([y - 0.5, 0 * y], axis=-1)  # as many turns up as down
    with pytest.warns(UserWarning, match="cancel to 0 digits"):
        assert abs(turning_rate(FokkerPlanck(np.cos(2 * np.pi * x), shear, beta=3.0), grid)) < 1e-15
    for axis in (1, 2, -1, 0.5, "x"):
        with pytest.raises(ValueError, match="axis: expected the number of a periodic axis"):
            turning_rate(FokkerPlanck(drift=shear, beta=1.0), grid, axis)
    with pytest.raises(ValueError, match="needs noise"):
        turning_rate(FokkerPlanck(drift=shear, beta=math.inf), grid)


@pytest.mark.filterwarnings("error:the nodes")
@pytest.mark.parametrize("hills, force, D", [((2.0, 0.6), 0.5, 0.05), ((1.0, 0.0), 0.1, 0.03), ((1.0, 0.3), 1.0, 0.3)])
def test_turns_of_few_nodes_are_right_or_told(hills, force, D):
    """On a ring and on a band, against 1024 nodes: barriers of few nodes are crossed too often."""

    def told(question, *args):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            return question(*args), any("off by about" in str(warning.message) for warning in said)

    def ask(n):
        ring = pl.Grid(0.0, 2 * np.pi, n, boundary="periodic")
        band = pl.Grid((0.0, 0.0), (2 * np.pi, 1.0), (n, 5), boundary=("periodic", "reflecting"))
        fields = [
            hills[0] * np.cos(grid.points[..., 0] if grid is band else grid.x)
            + hills[1] * np.sin(2 * (grid.points[..., 0] if grid is band else grid.x))
            for grid in (ring, band)
        ]
        line = FokkerPlanck(fields[0], np.full(n, force), diffusivity=D)
        plane = FokkerPlanck(fields[1], np.ones((n, 5, 1)) * [force, 0.0], diffusivity=D)
        law, _ = told(stationary, line, ring)
        yield told(turning_rate, line, ring)
        flux, warned = told(current, line, ring, law)
        yield flux[0][0], warned
        yield told(turning_rate, plane, band)

    ((exact, _), *_) = ask(1024)
    for n in (24, 32, 48, 128):
        for turns, warned in ask(n):
            wrong = abs(1 - exact / turns)
            assert warned >= (wrong > 1.3 * TOLD) and (not warned or wrong > TOLD / 2), (n, wrong)
