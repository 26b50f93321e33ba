"""What outflow ends of a box make of the whole space, told by `solve` of Hamilton-Jacobi, heat and Burgers."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_space_error import CASES

import pdelab as pl

FORMULAS = (
    "x**2/2", "log(cosh(2*x))", "cos(x + 0.3)", "-cos(1.5*x)", "abs(x - 0.4)", "x**4/4", "exp(-x**2)", "sqrt(1 + x**2)",
    "x**2/2 + 0.3*cos(6*x)",
)  # fmt: skip


def solved(kind, initial, viscosity, grid, time, scheme=None, **options):
    """The run and what it warned of."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        solution = pl.solve(getattr(pl, kind)(viscosity=viscosity), initial, grid, time, scheme=scheme, **options)
    return solution, [str(one.message) for one in said]


def on_the_line(kind, loss, viscosity, grid, time):
    """The solution on the whole line, on the nodes of a box."""
    if kind == "Heat":
        nodes, weights = np.polynomial.hermite_e.hermegauss(80)
        return loss(grid.x[:, None] + math.sqrt(2 * viscosity * time) * nodes) @ weights / weights.sum()
    n, times = grid.shape[0] - 1, max(1, 400 // grid.shape[0])
    length = grid.upper[0] - grid.lower[0]
    wide = pl.Grid(grid.lower[0] - 3 * length, grid.upper[0] + 3 * length, 7 * n * times + 1)
    if viscosity == 0:
        u = pl.hopf_lax(loss, wide, time)
    else:
        u = pl.cole_hopf(loss, wide, time, beta=0.5 / viscosity)
    u = wide.gradient(u) if kind == "Burgers" else u
    return u[3 * n * times : 4 * n * times + 1 : times]


def true_error(kind, loss, viscosity, grid, time, values):
    """As `solve` measures it."""
    error = np.abs(values - on_the_line(kind, loss, viscosity, grid, time))
    if kind == "Burgers":
        return grid.integrate(error) / grid.integrate(np.abs(loss.gradient(grid.x)))
    return error.max() / max(np.ptp(loss(grid.x)), np.ptp(values))


@pytest.mark.parametrize(
    "formula, box, time",
    [("abs(x)", (0.0, 2.0), 0.3), ("cos(3*x)", (-1.0, 1.0), 1.0), ("sin(x) + x/2", (-2.0, 1.0), 1.0)]
    + [
        ("x", (-2.0, 2.0), 0.3),
        ("abs(x)", (0.3, 2.0), 0.3),
        ("-x**2/4", (-1.0, 1.0), 0.3),
        ("x**2/2", (1.0, 3.0), 1.0),
    ],
)
def test_what_comes_in_is_told_by_what_a_loss_is_beyond(formula, box, time):
    """Of a Loss it is known: nothing is said where the ends' own rule is as good, by Hopf-Lax."""
    loss, grid = pl.Loss(formula), pl.Grid(*box, 81, boundary="outflow")
    solution, said = solved("HamiltonJacobi", loss, 0.0, grid, time, "monotone")
    error = np.abs(solution.final - pl.hopf_lax(loss, grid.x, time)).max()
    error /= max(np.ptp(loss(grid.x)), np.ptp(solution.final))
    assert solution.info["inflow"] > 0
    assert any("come in" in text for text in said) == (solution.info["end_error"] > 0.01)
    assert (error > 0.02) == (solution.info["end_error"] > 0.01)
    assert error < 2 * (solution.info["end_error"] + solution.info["space_error"])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    case=st.sampled_from(CASES), formula=st.sampled_from(FORMULAS), viscosity=st.sampled_from([0.0, 0.05, 0.5]),
    n=st.integers(21, 120), time=st.sampled_from([0.1, 0.5, 1.0]), width=st.sampled_from([1.5, 2.0, 4.0]),
)  # fmt: skip
def test_large_errors_are_told_and_small_ones_are_not(case, formula, viscosity, n, time, width):
    """Against the whole line: above 8 % something is said, of ends or else; below 1 % nothing of the ends."""
    (kind, scheme), loss, grid = case, pl.Loss(formula), pl.Grid(-width, width, n, boundary="outflow")
    solution, said = solved(kind, loss, viscosity, grid, time, scheme)
    error = true_error(kind, loss, viscosity, grid, time, solution.final)
    assert error < 0.08 or said, (error, solution.info)
    assert error > 0.01 or solution.info.get("end_error", 0.0) < 0.05, (error, solution.info)
    ends, nodes = (solution.info.get(name, 0.0) for name in ("end_error", "space_error"))
    assert any("lies beyond" in text for text in said) == (ends > 0.05 or (ends >= nodes and ends + nodes > 0.05))


def test_the_advice_helps():
    """Heat of x²/2 stands still at the ends of [-2, 2], where it grows by νt on the line; on the wider box it does."""
    loss, grid = pl.Loss("x**2/2"), pl.Grid(-2.0, 2.0, 41, boundary="outflow")
    solution, (text,) = solved("Heat", loss, 0.5, grid, 1.0)
    assert solution.info["end_error"] == pytest.approx(0.25, rel=0.05)
    more = float(text.split("wider by ")[1].split()[0])
    wide = pl.Grid(-2.0 - more, 2.0 + more, 81, boundary="outflow")
    better = np.interp(grid.x, wide.x, solved("Heat", loss, 0.5, wide, 1.0)[0].final)
    assert np.abs(better - loss(grid.x) - 0.5).max() < 0.02 * 2


def test_values_on_the_nodes_go_on_as_the_ends_have_it():
    """Bent as before the ends, of Burgers constant: a parabola is told as its formula is, nothing of lines."""
    grid = pl.Grid(-2.0, 2.0, 101, boundary="outflow")
    bend = solved("Heat", grid.x**2 / 2, 0.5, grid, 1.0)[0].info["end_error"]
    assert bend == pytest.approx(0.25, rel=0.05)
    bump = np.exp(-16 * grid.x**2)
    for kind, field in (("Heat", grid.x + bump), ("HamiltonJacobi", np.abs(grid.x)), ("Burgers", 1 + bump)):
        assert solved(kind, field, 0.02, grid, 0.5)[0].info["end_error"] < 0.01
    plane = pl.Grid((-2.0, -2.0), (2.0, 2.0), 24, boundary=("outflow", "reflecting"))
    told = solved("Heat", (plane.points**2).sum(-1) / 2, 0.5, plane, 1.0)[0].info["end_error"]
    assert told == pytest.approx(bend / 2, rel=0.2)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    case=st.sampled_from([case for case in CASES if case[0] != "Burgers"]), time=st.sampled_from([0.1, 0.5, 1.0]),
    formula=st.sampled_from(("cos(x + 0.3)", "-cos(1.5*x)", "x**2/2", "log(cosh(2*x))", "exp(-x**2)", "abs(x - 0.4)")),
    viscosity=st.sampled_from([0.05, 0.5]), n=st.integers(21, 120), width=st.sampled_from([1.5, 2.0, 4.0]),
)  # fmt: skip
def test_errors_of_values_on_the_nodes_are_told_too(case, time, formula, viscosity, n, width):
    """Against the line on which their formula goes on: above 10 % to a factor of three, below 1 % nothing.

    Of waves, which bend otherwise beyond the ends than before them, nothing but the latter.
    """
    (kind, scheme), loss, grid = case, pl.Loss(formula), pl.Grid(-width, width, n, boundary="outflow")
    solution, said = solved(kind, loss(grid.x), viscosity, grid, time, scheme)
    error, info = true_error(kind, loss, viscosity, grid, time, solution.final), solution.info
    if error > 0.1 and "cos(" not in formula:
        assert said, (error, info)
        told = info.get("end_error", 0.0) + info["space_error"]
        assert info.get("inflow", 0.0) > 0 or told > error / 3, (error, info)
    assert error > 0.01 or info.get("end_error", 0.0) < 0.05, (error, info)


@pytest.mark.parametrize("scheme", ["monotone", "weno", "implicit"])
def test_planes_and_boxes(scheme):
    """The sum of two or three parabolas: each axis adds the same to the largest error, and to the range."""
    for d, n in ((2, 21), (3, 9)):
        loss = pl.Loss("+".join(f"{name}**2/2" for name in "xyz"[:d]))
        grid = pl.Grid((-2.0,) * d, (2.0,) * d, n, boundary="outflow")
        assert solved("Heat", loss, 0.5, grid, 0.5, scheme)[0].info["end_error"] == pytest.approx(0.125, rel=0.15)


def test_what_flows_in_from_a_formula_is_told_of_burgers():
    """p = -sin(x) on [-2, 2]: what comes in is not constant on the line; without viscosity constant data are right."""
    grid, loss = pl.Grid(-2.0, 2.0, 201, boundary="outflow"), pl.Loss("cos(x)")
    solution, said = solved("Burgers", loss, 0.0, grid, 1.0)
    assert solution.info["end_error"] == pytest.approx(
        true_error("Burgers", loss, 0.0, grid, 1.0, solution.final), rel=0.2
    )
    assert any("lies beyond the outflow ends" in text for text in said)
    assert solved("Burgers", loss.gradient(grid.x), 0.0, grid, 1.0)[0].info["end_error"] == 0


def test_it_is_left_out_where_nothing_is_known_beyond_the_box_or_nothing_can_come_from_there():
    grid = pl.Grid(-2.0, 2.0, 41, boundary="outflow")
    plane = pl.Grid((-2.0, -2.0), (2.0, 2.0), 21, boundary="outflow")
    saddle = pl.Loss("x**2 + x*y + y**2")

    def ends(problem, initial, grid=grid, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return "end_error" in pl.solve(problem, initial, grid, 0.2, **options).info

    heat, parabola = pl.Heat(viscosity=0.5), pl.Loss("x**2/2")
    assert ends(heat, parabola) and not ends(heat, parabola, rtol=math.inf)
    assert not ends(heat, pl.Loss("x*log(x + 2.01)"))  # not defined there
    for boundary in ("reflecting", "periodic"):
        assert not ends(heat, grid.x**2, pl.Grid(-2.0, 2.0, 41, boundary=boundary))
    assert ends(pl.HamiltonJacobi(1.0, drift=pl.Loss("-x**2/2")), parabola)
    assert not ends(pl.HamiltonJacobi(1.0, drift=pl.Loss("-x**2/2")), grid.x**2 / 2)
    assert not ends(pl.HamiltonJacobi(1.0, drift=grid.x), parabola)
    assert not ends(pl.HamiltonJacobi(1.0), -grid.x)  # the warning of what comes in is another
    assert ends(pl.Burgers(1.0), saddle, plane) and not ends(pl.Burgers(1.0), saddle.gradient(plane.points), plane)
    assert not ends(pl.HamiltonJacobi(math.inf), 0 * grid.x)


def test_data_that_grow_steeply_are_followed_as_far_as_they_are_not_too_steep():
    grid = pl.Grid(-2.0, 2.0, 65, boundary="outflow")
    solution, _ = solved("HamiltonJacobi", pl.Loss("x**8"), 0.05, grid, 0.01)
    assert 0 <= solution.info["end_error"] < 0.05
    assert "end_error" not in solved("HamiltonJacobi", pl.Loss("exp(x**6/3)"), 0.05, grid, 1e-9)[0].info
