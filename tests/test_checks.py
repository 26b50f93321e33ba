"""Refusals at the door: what passes comes back plain, what does not is named with what was expected and what came."""

import math

import numpy as np
import pytest

import pdelab as pl
from pdelab import checks

PASSES = [
    (checks.number, (math.inf,), math.inf),
    (checks.number, (np.float32(2),), 2.0),
    (checks.number, (np.array(3),), 3.0),
    (checks.finite, (-1,), -1.0),
    (checks.positive, (1e-300,), 1e-300),
    (checks.nonnegative, (0,), 0.0),
    (checks.within, (0, 0, 1), 0.0),
    (checks.within, (1, 0, 1), 1.0),
    (checks.whole, (np.int8(3),), 3),
    (checks.seed, (np.uint64(2**64 - 1),), 2**64 - 1),
    (checks.switch, (np.True_,), True),
    (checks.choice, ("b", ["a", "b"]), "b"),
]
REFUSED = [
    (checks.number, ("1.0",)),
    (checks.number, (1 + 0j,)),
    (checks.number, (True,)),
    (checks.number, (np.True_,)),
    (checks.number, (None,)),
    (checks.number, (np.zeros(1),)),
    (checks.finite, (math.nan,)),
    (checks.finite, (-math.inf,)),
    (checks.positive, (0.0,)),
    (checks.positive, (math.inf,)),
    (checks.positive, (math.nan,)),
    (checks.nonnegative, (-1e-300,)),
    (checks.within, (1, 0, 1, "[)")),
    (checks.within, (0, 0, 1, "(]")),
    (checks.within, (math.nan, 0, 1)),
    (checks.whole, (2.0,)),
    (checks.whole, (True,)),
    (checks.whole, (0,)),
    (checks.whole, (5, 1, 4)),
    (checks.seed, (2**64,)),
    (checks.seed, (-1,)),
    (checks.seed, (1.0,)),
    (checks.switch, (1,)),
    (checks.choice, ("c", ["a", "b"])),
    (checks.choice, (1, [True])),
    (checks.reals, ("text",)),
    (checks.reals, ([1, 1j],)),
    (checks.reals, ([[1], [1, 2]],)),
]


@pytest.mark.parametrize("check, arguments, plain", PASSES)
def test_what_passes_comes_back_plain(check, arguments, plain):
    value = check("it", *arguments)
    assert value == plain and type(value) is type(plain)


@pytest.mark.parametrize("check, arguments", REFUSED)
def test_what_does_not_pass_is_named(check, arguments):
    with pytest.raises(ValueError, match=r"^it: expected .+, got .+"):
        check("it", *arguments)


def test_infinity_is_asked_for_by_name():
    assert checks.positive("beta", math.inf, infinite=True) == math.inf
    assert checks.nonnegative("beta", math.inf, infinite=True) == math.inf


def test_reals_are_float64():
    assert checks.reals("it", [1, 2]).dtype == np.float64


def test_what_came_is_shown_in_one_line():
    with pytest.raises(ValueError) as refusal:
        checks.positive("it", np.zeros((30, 30)))
    assert len(str(refusal.value)) < 150 and "\n" not in str(refusal.value)


def test_exactly_one_of_several_is_given():
    assert checks.exactly_one("it", beta=None, viscosity=0.0) == ("viscosity", 0.0)
    with pytest.raises(ValueError, match=r"^it: expected exactly one of beta and D \(D = 1/beta\), got beta and D"):
        checks.exactly_one("it", "D = 1/beta", beta=1.0, D=2.0)
    with pytest.raises(ValueError, match="^it: expected exactly one of beta and D, got neither: give one"):
        checks.exactly_one("it", beta=None, D=None)


MASKED = np.ma.masked_array([1.0, 2.0, 3.0, 4.0, 5.0], mask=[0, 0, 1, 0, 0])
LINE = pl.Grid(0.0, 1.0, 5)


@pytest.mark.parametrize(
    "call",
    [
        lambda a: pl.solve(pl.Heat(viscosity=0.1), a, LINE, 0.1, rtol=math.inf),
        lambda a: pl.local_entropy(a, LINE, 0.1, 3.0),
        lambda a: pl.hopf_lax(a, LINE, 0.1),
        lambda a: pl.simulate(pl.Langevin(pl.Loss("x**2"), 1.0), a, 0.1, 0.05, paths=5, seed=1),
        lambda a: pl.Loss("x**2")(a),
        lambda a: pl.Loss.from_functions(lambda x: a + x, lambda x: x, dimension=1)(np.arange(5.0)),
        lambda a: LINE.integrate(a),
        lambda a: LINE.interpolate(a, 0.5),
        lambda a: pl.regularity.harmonic_mean(a),
        lambda a: pl.sgd.FiniteSum("(x - c)**2", c=a),
        lambda a: pl.simulate(pl.Diffusion("-x", lambda x: a, kind="diagonal"), 0.0, 0.1, 0.05, paths=5, seed=1),
        lambda a: pl.Diffusion(["-u", "-v", "-w", "-x", "-y"], a),
        lambda a: pl.Diffusion(["u", "v", "w", "x", "y"], 1.0, linear=a),
    ],
)
def test_masked_numbers_are_refused_and_whole_arrays_are_not(call):
    with pytest.raises(ValueError, match="expected.*mask"):
        call(MASKED)
    call(np.ma.masked_array(MASKED.data, mask=False))


@pytest.mark.parametrize("call", [LINE.field, LINE.integrate, lambda a: checks.reals("x", [a, a]), pl.Loss("x**2")])
def test_masked_numbers_in_lists_are_refused_before_numpy_warns(call):
    for values in (list(MASKED), [np.ma.masked_array(v, mask=v == 3.0) for v in MASKED.data]):
        with pytest.raises(ValueError, match="expected numbers, got a masked array that hides [12]: fill them in"):
            call(values)
    call(MASKED.data.tolist())


NODES, LOSS = pl.Grid(-1.0, 1.0, 41, boundary="outflow"), pl.Loss("x**2/2")
FLAT = np.full(41, 0.5)
FUNCTIONS = {  # what is called with one argument: the time, places or points
    "drift of HamiltonJacobi": lambda f: pl.solve(pl.HamiltonJacobi(1.0, drift=f), NODES.x**2, NODES, 0.1, rtol=9.0),
    "drift of terminal data": lambda f: pl.hamilton_jacobi.terminal(
        pl.HamiltonJacobi(1.0, drift=f), NODES.x, NODES, 1.0, 0.9, rtol=9.0
    ),
    "potential": lambda f: pl.solve(pl.FokkerPlanck(f, beta=1.0), FLAT, pl.Grid(-1.0, 1.0, 41), 0.1, rtol=9.0),
    "drift of a density": lambda f: pl.solve(
        pl.BackwardKolmogorov(drift=f, diffusivity=1.0), FLAT, pl.Grid(-1.0, 1.0, 41), 0.1, rtol=9.0
    ),
    "diffusion": lambda f: pl.solve(pl.FokkerPlanck(diffusion=f, diffusivity=1.0), FLAT, pl.Grid(-1.0, 1.0, 41), 0.1),
    "speed limit": lambda f: pl.burgers.Road(f).solve(FLAT, NODES, 0.1),
}
RATES = {  # what gives a number for a time
    "diffusivity": lambda f: pl.solve(pl.FokkerPlanck(LOSS, diffusivity=f), FLAT, pl.Grid(-1.0, 1.0, 41), 0.1),
    "beta of a density": lambda f: pl.solve(pl.FokkerPlanck(LOSS, beta=f), FLAT, pl.Grid(-1.0, 1.0, 41), 0.1),
    "beta of paths": lambda f: pl.simulate(pl.Langevin(LOSS, f), 0.0, 1.0, 0.5, seed=0),
    "beta of momenta": lambda f: pl.simulate(pl.Underdamped(LOSS, f, 1.0), 0.0, 1.0, 0.5, seed=0),
    "beta of annealing": lambda f: pl.metastability.anneal(LOSS, f, FLAT, pl.Grid(-1.0, 1.0, 41), [1.0], rtol=9.0),
    "drift of paths": lambda f: pl.simulate(pl.Diffusion(f, 1.0), 0.0, 1.0, 0.5, seed=0),
    "noise of paths": lambda f: pl.simulate(pl.Diffusion("-x", f, kind="diagonal"), 0.0, 1.0, 0.5, seed=0),
}
VALUES = {
    "text": lambda t: "much", "none": lambda t: None, "too many": lambda t: np.ones(7), "complex": lambda t: 1j,
    "ragged": lambda t: [1.0, [2.0, 3.0]], "masked": lambda t: [np.ma.masked] * 41, "a function": lambda t: VALUES,
}  # fmt: skip
OTHER_ARGUMENTS = {"none": lambda: 1.0, "three": lambda t, x, y: 1.0, "by name": lambda *, t: 1.0}


@pytest.mark.parametrize("name", [*FUNCTIONS, *RATES])
def test_functions_of_other_arguments_and_other_values_are_refused_by_name(name):
    call, word = (FUNCTIONS | RATES)[name], name.split(" of ")[0].replace(" ", "_")
    for function in OTHER_ARGUMENTS.values():
        with pytest.raises(ValueError, match=f"^{word}: expected a function .*, got one of "):
            call(function)
    for function in VALUES.values():
        with pytest.raises(ValueError, match=f"^{word}: expected .*, got "):
            call(function)


def test_functions_that_are_called_on_the_way_are_looked_at_before():
    run = {"sde": pl.Langevin(LOSS, 1.0), "initial": 0.0, "t": 1.0, "dt": 0.5, "seed": 0}
    for name in ("on_save", "progress", "scheme"):
        for call in (
            lambda o: pl.solve(pl.Heat(1.0), LOSS, LINE, 0.1, rtol=9.0, **o),
            lambda o: pl.simulate(**run, **o),
        ):
            with pytest.raises(ValueError, match=rf"^{name}: expected a function \(.*\), .*got one of \(only\)"):
                call({name: lambda only: None})
