"""The worked examples of the documentation: a scheme and an equation, each in one file, and what they must be good for.

Each is loaded as a reader would, and leaves no trace for the other tests.
"""

import importlib
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import expm

import pdelab as pl
from pdelab import boundaries, stepping
from pdelab.cli import main
from pdelab.fokker_planck import crank_nicolson
from pdelab.stepping import protocols

FOLDER = Path(__file__).parents[1] / "docs" / "extending"


@pytest.fixture
def load(monkeypatch):
    """load("bdf2"): the module of that example."""
    monkeypatch.setattr(protocols, "EQUATIONS", dict(protocols.EQUATIONS))
    monkeypatch.setattr(stepping, "EQUATIONS", protocols.EQUATIONS)
    monkeypatch.setattr(protocols, "SCHEMES", {kind: dict(known) for kind, known in protocols.SCHEMES.items()})
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module
    for path in FOLDER.glob("*.py"):
        sys.modules.pop(path.stem, None)


def cases():
    rng = np.random.default_rng(5)
    for shape, boundary in (
        ((40,), "reflecting"),
        ((7, 6), "reflecting"),
        ((8, 5), "periodic"),
        ((4, 3, 5), "reflecting"),
    ):
        d = len(shape)
        grid = pl.Grid((-1.0,) * d, (1.0,) * d, shape, boundary=boundary)
        U, density = rng.normal(size=shape), rng.uniform(size=shape)
        matrix = np.eye(d) + 0.4 * (1 - np.eye(d)) if d > 1 else np.ones(())
        yield grid, {"potential": U, "diffusivity": 0.5}, density
        yield (
            grid,
            {"potential": U, "diffusivity": 0.5, "diffusion": np.broadcast_to(matrix, (*shape, *matrix.shape))},
            density,
        )


def test_examples_are_short():
    names = sorted(FOLDER.glob("*.py"))
    assert len(names) >= 2
    assert all(len(path.read_text().splitlines()) <= 50 for path in names)
    assert len((FOLDER / "bdf2.py").read_text().splitlines()) <= 40


@pytest.mark.parametrize("kind", [pl.FokkerPlanck, pl.BackwardKolmogorov])
def test_bdf2_is_of_second_order_whatever_the_steps(load, kind):
    bdf2 = load("bdf2").bdf2
    for grid, arguments, start in cases():
        problem = kind(**arguments)
        Q = pl.generator(problem, grid).toarray()
        w = grid.weights.ravel()
        exact = expm(0.3 * Q) if problem.adjoint else expm(0.3 * Q.T) * w / w[:, None]
        exact = (exact @ start.ravel()).reshape(grid.shape)
        errors = []
        for steps in (20, 40, 80, 160):  # the step changes at t = 0.1
            final = pl.solve(problem, start, grid, [0.1, 0.3], scheme=bdf2, dt=0.2 / steps * 1.02, rtol=math.inf).final
            errors.append(np.abs(final - exact).max())
        orders = np.log2(np.array(errors[:-1]) / errors[1:])
        assert 1.7 < orders[-1] < 2.3, (grid.shape, orders)


@pytest.mark.filterwarnings(
    "ignore:drift|the nodes|the density bends"
)  # the chain of a coarse grid against dense algebra
def test_bdf2_is_known_by_name_keeps_mass_and_remembers_nothing_outside_its_state(load):
    load("bdf2")
    grid, arguments, start = next(cases())
    problem = pl.FokkerPlanck(**arguments)
    solution = pl.solve(problem, start, grid, [0.0, 0.2], scheme="bdf2", rtol=1e-2)
    assert solution.info["scheme"] == "bdf2.bdf2"
    w = grid.weights
    assert abs((w * solution.final).sum() - (w * start).sum()) < 1e-12
    trusted = pl.solve(problem, start, grid, 0.2, scheme=crank_nicolson, dt=1e-3).final
    assert np.abs(pl.solve(problem, start, grid, 0.2, scheme="bdf2", dt=1e-3).final - trusted).max() < 1e-3
    with pytest.raises(ValueError, match="scheme: expected a scheme of HamiltonJacobi"):
        pl.solve(pl.HamiltonJacobi(1.0), start, grid, 0.1, scheme="bdf2")
    with pytest.raises(ValueError, match="do not depend on time"):
        pl.solve(pl.FokkerPlanck(lambda t: t * start, beta=1.0), start, grid, 0.1, scheme="bdf2")


def test_an_equation_in_one_file_is_found_by_the_command_line(load, tmp_path, monkeypatch, capsys):
    """The file is laid beside the modules of the package, and nothing else is touched."""
    shutil.copy(FOLDER / "fisher.py", tmp_path / "fisher.py")
    monkeypatch.setattr(pl, "__path__", [*pl.__path__, str(tmp_path)])
    monkeypatch.chdir(tmp_path)
    try:
        assert main(["list", "equations"]) == 0
        assert "Fisher" in capsys.readouterr().out
        assert main(["list", "schemes"]) == 0
        assert "fisher: split" in capsys.readouterr().out
        assert main(["solve", "exp(-x**2)", "--equation", "fisher", "--viscosity", "0.2", "--out", "v"]) == 0
        assert np.load("v.npz")["values"].max() <= 1
        assert main(["solve", "exp(-x**2)", "--equation", "fisher", "--beta", "1"]) == 2
        assert "fisher takes --viscosity, not --beta" in capsys.readouterr().err
    finally:
        sys.modules.pop("pdelab.fisher", None)


def test_fisher_is_right_where_it_is_known(load):
    fisher = load("fisher")
    grid = pl.Grid(0.0, 1.0, 8)
    v = pl.solve(fisher.Fisher(), np.full(8, 0.2), grid, 1.5).final
    assert np.allclose(v, 0.2 * np.exp(1.5) / (1 + 0.2 * (np.exp(1.5) - 1)), rtol=1e-12)
    errors = []
    for n in (101, 201, 401):  # Ablowitz and Zeppetella's front, speed 5 sqrt(r ν / 6)
        grid = pl.Grid(-20.0, 30.0, n)
        front = lambda t, x=grid.x: (1 + np.exp(x / np.sqrt(6.0) - 5 / 6 * t)) ** -2  # noqa: E731
        final = pl.solve(fisher.Fisher(1.0), front(0.0), grid, 4.0).final
        errors.append(np.abs(final - front(4.0))[np.abs(grid.x) < 10].max())
    assert errors[-1] < 2e-3 and errors[0] / errors[-1] > 8


SCHEMES = [
    (kind, scheme)
    for kind in (pl.HamiltonJacobi, pl.Heat, pl.Burgers, pl.FokkerPlanck, pl.BackwardKolmogorov)
    for scheme in stepping.schemes_of(kind).values()
]


@pytest.mark.parametrize("kind, scheme", SCHEMES)
@pytest.mark.parametrize("shape", [(17,), (9, 8)])
def test_states_are_values(kind, scheme, shape):
    """Two runs of one stepper, step by step in turns, are the two runs by themselves, and leave their data alone."""
    rng, d = np.random.default_rng(1), len(shape)
    grid = pl.Grid((-1.0,) * d, (1.0,) * d, shape)
    smooth = np.exp(-(grid.points.reshape(*shape, d) ** 2).sum(-1))
    problem = kind(0.3 * smooth, beta=2.0) if hasattr(kind, "gibbs") else kind(beta=2.0)
    first, second = (problem.initial(smooth * rng.uniform(0.5, 1.0), grid) for _ in range(2))
    try:
        stepper = scheme(problem, grid, first)
    except ValueError:
        return  # one dimension only
    before = first.copy(), second.copy()
    dt = min(stepper.largest_step(first), stepper.largest_step(second), 1e-3)
    alone = []
    for values in (first, second):
        state = stepper.init(values)
        for k in range(4):
            state = stepper.advance(state, k * dt, dt, 1 + k % 2)
        alone.append(np.array(stepper.values(state)))
    states = [stepper.init(first), stepper.init(second)]
    for k in range(4):
        states = [stepper.advance(state, k * dt, dt, 1 + k % 2) for state in states]
    for state, known, values, old in zip(states, alone, (first, second), before):
        assert np.array_equal(stepper.values(state), known)
        assert np.array_equal(values, old)


def test_a_new_boundary_is_refused_by_every_equation_that_does_not_know_it(monkeypatch):
    monkeypatch.setattr(boundaries, "NAMES", (*boundaries.NAMES, "open"))
    grid = pl.Grid(0.0, 1.0, 11, boundary="open")
    problems = [pl.HamiltonJacobi(beta=1.0), pl.Heat(beta=1.0), pl.Burgers(beta=1.0)]
    for problem in (*problems, pl.FokkerPlanck(grid.x, beta=1.0), pl.BackwardKolmogorov(grid.x, beta=1.0)):
        with pytest.raises(ValueError, match="got '?open"):
            pl.solve(problem, grid.x, grid, 0.1)
    with pytest.raises(ValueError, match="got 'open'"):
        pl.hopf_lax(grid.x, grid, 0.1)
