"""The command line: what it prints, where, and with which status; every bad question gets one sentence and status 2."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pdelab as pl
from pdelab import records
from pdelab.cli import main, shared

LOSS = "x**2/2 + 0.3*cos(6*x)"
SOLVE = ["solve", LOSS, "--beta", "2", "--nodes", "65", "--times", "0", "0.1"]


def refused(arguments, capsys, words, folder):
    """Status 2, one line on stderr with these words, nothing on stdout, nothing on disk."""
    before = sorted(os.listdir(folder))
    try:
        status = main(arguments)
    except SystemExit as stop:  # argparse speaks for itself
        status = stop.code
    out, err = capsys.readouterr()
    assert status == 2, err
    assert words in err and out == ""
    assert "Traceback" not in err
    assert sorted(os.listdir(folder)) == before


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_list_names_what_there_is(capsys):
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    for word in ("HamiltonJacobi", "FokkerPlanck", "rugged", "hamilton-jacobi: monotone", "4.1", "claims"):
        assert word in text
    assert main(["list", "figures", "--json"]) == 0
    assert "4.1" in json.loads(capsys.readouterr().out)["figures"]


def test_solve_writes_arrays_and_their_record(folder, capsys):
    assert main([*SOLVE, "--out", "u"]) == 0
    assert capsys.readouterr().out.split() == ["u.npz", "u.json"]
    with np.load("u.npz", allow_pickle=False) as arrays:
        assert arrays["values"].shape == (2, 65) and np.array_equal(arrays["times"], [0.0, 0.1])
    record = json.loads(Path("u.json").read_text())
    assert record["parameters"]["formula"] == LOSS and record["info"]["monotonicity"] <= 1


@pytest.mark.parametrize("equation", ["heat", "burgers"])
def test_solve_other_equations(equation, folder):
    assert main(["solve", "sin(x)", "--equation", equation, "--viscosity", "0.1", "--boundary", "periodic",
                 "--lower", "0", "--upper", "6.283185307179586", "--nodes", "64", "--times", "0.2"]) == 0  # fmt: skip


def test_solve_fokker_planck_keeps_mass(folder):
    assert main(["solve", "x**2/2", "--equation", "fokker-planck", "--beta", "2", "--initial",
                 "exp(-(x - 1)**2/0.1)/sqrt(0.1*pi)", "--nodes", "201", "--times", "0", "1"]) == 0  # fmt: skip
    record = json.loads(Path("solution.json").read_text())
    assert max(record["info"]["mass_drift"]) < 1e-13


def test_simulate_writes_paths(folder, capsys):
    assert main(["simulate", "(x**2-1)**2/4", "--beta", "5", "--time", "0.1", "--dt", "0.01", "--paths", "8", "--seed",
                 "1", "--save-every", "5"]) == 0  # fmt: skip
    with np.load("paths.npz", allow_pickle=False) as arrays:
        assert arrays["states"].shape == (3, 8)


def test_simulate_takes_a_scheme_and_saves_exits(folder):
    run = ["simulate", "x**2/2", "--beta", "2", "--time", "0.5", "--dt", "0.1", "--paths", "50", "--seed", "3"]
    assert main([*run, "--scheme", "heun", "--exit", "-0.5", "0.5", "--bridge"]) == 0
    assert json.loads(Path("paths.json").read_text())["info"]["scheme"] == "paths.heun"
    with np.load("paths.npz", allow_pickle=False) as arrays:
        again = pl.simulate(pl.Langevin(pl.Loss("x**2/2"), 2.0), 0.0, 0.5, 0.1, scheme=pl.paths.heun, paths=50, seed=3,
                            exit=(-0.5, 0.5), bridge=True)  # fmt: skip
        np.testing.assert_array_equal(arrays["exit_times"], again.exit_times)
        assert 0 < np.isfinite(arrays["exit_times"]).sum() < 50


def test_simulate_names_its_schemes(capsys):
    assert (
        main(["simulate", "x**2/2", "--beta", "2", "--time", "1", "--dt", "0.1", "--seed", "1", "--scheme", "no"]) == 2
    )
    assert "scheme: expected one of baoab, " in capsys.readouterr().err


@pytest.mark.parametrize(
    "change, words",
    [
        (["--beta", "0"], "beta"),
        (["--beta", "-1"], "beta"),
        (["--beta", "nan"], "beta"),
        (["--beta", "two"], "invalid float"),
        (["--times", "-0.1"], "times"),
        (["--times", "0.2", "0.1"], "increasing"),
        (["--times", "inf"], "times"),
        (["--nodes", "1"], "at least 2 nodes"),
        (["--lower", "3", "--upper", "-3"], "lower < upper"),
        (["--boundary", "open"], "boundary: expected one of"),
        (["--scheme", "magic"], "scheme: expected a scheme of HamiltonJacobi (monotone, "),
        (["--dt", "10"], "dt"),
        (["--dt", "-1"], "dt"),
        (["--out", "missing/\0/u"], ""),
        (["--initial", "x"], "--initial"),
        (["--diffusivity", "1"], ""),
        (["--equation", "wave"], "unknown equation 'wave': choose from hamilton-jacobi, heat, "),
    ],
)
def test_bad_options_of_solve(change, words, folder, capsys):
    refused([*SOLVE, *change], capsys, words, folder)


@pytest.mark.parametrize(
    "formula, words",
    [
        ("x**", ""),
        ("", ""),
        ("__import__('os').system('touch owned')", ""),
        ("x.__class__", ""),
        ("(lambda: x)()", ""),
        ("[x for x in (1,)]", ""),
        ("f(x)", "f"),
        ("x + y + z + w", ""),
        ("1/x", "finite"),
    ],
)
def test_bad_formulas(formula, words, folder, capsys):
    refused(["solve", formula, "--beta", "2", "--nodes", "65"], capsys, words, folder)


def test_formula_and_grid_must_agree(folder, capsys):
    refused(["solve", "x*y", "--beta", "2", "--nodes", "65"], capsys, "expected 2 numbers, one a variable", folder)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["figure", "9.9"], "unknown figure '9.9'"),
        (["verify", "nonsense"], "unknown claim"),
        (["bench", "nonsense"], "unknown benchmark"),
        (["figure", "4.1", "--set", "colour=red"], "no parameter 'colour'"),
        (["unknown"], "invalid choice"),
    ],
)
def test_unknown_names(arguments, words, folder, capsys):
    refused(arguments, capsys, words, folder)


@pytest.mark.parametrize("verb", [["figure", "3.2", "--quick"], ["reproduce", "--quick"], SOLVE])
def test_unwritable_folder_is_refused_before_the_work(verb, folder, capsys):
    Path("file").write_text("")
    refused([*verb, "--out", "file/below/u"], capsys, "cannot write to the folder", folder)


def test_interruption_leaves_nothing_half_written(folder, monkeypatch, capsys):
    import pdelab

    def interrupt(*arguments, progress, **options):
        progress(0.0, 1.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(pdelab, "solve", interrupt)
    assert main(SOLVE) == 130
    assert "interrupted; 0 of" in capsys.readouterr().err and os.listdir(folder) == []


def test_an_interrupted_solve_writes_the_times_it_reached(folder, monkeypatch, capsys):
    import pdelab

    whole, line = pdelab.solve, ["solve", "x**2", "--beta", "2", "--nodes", "33", "--times", "0", "0.1", "0.2", "0.3"]

    def interrupt(*arguments, on_save, **options):
        def save(t, values):
            on_save(t, values)
            if t == 0.2:
                raise KeyboardInterrupt

        return whole(*arguments, on_save=save, **options)

    assert main([*line, "--out", "whole"]) == 0
    monkeypatch.setattr(pdelab, "solve", interrupt)
    assert main([*line, "--out", "part"]) == 130
    assert "3 of 4 saved times were reached and are written" in capsys.readouterr().err
    (part, record), (all_times, _) = records.load("part"), records.load("whole")
    assert part["times"].tolist() == [0.0, 0.1, 0.2] and record["interrupted"].startswith("3 of 4")
    np.testing.assert_array_equal(part["values"], all_times["values"][:3])


def test_interrupted_paths_go_on_with_the_same_bits(folder, monkeypatch, capsys):
    from pdelab.cli import equations
    from pdelab.paths import engine

    line = ["simulate", "x**2", "--beta", "2", "--time", "1", "--dt", "0.01", "--seed", "1", "--paths", "600"]
    line += ["--save-every", "10"]
    assert main([*line, "--out", "whole"]) == 0 and sorted(os.listdir()) == ["whole.json", "whole.npz"]

    def interrupt(bar, done, total):
        if done > 40:
            raise KeyboardInterrupt

    with monkeypatch.context() as change:
        change.setattr(engine, "SECONDS_PER_CHUNK", 1e-9)
        change.setattr(engine, "STEPS_AT_FIRST", 1)
        change.setattr(equations, "show", interrupt)
        assert main([*line, "--out", "part"]) == 130
    assert "part.checkpoint.npz holds" in capsys.readouterr().err and "part.npz" not in os.listdir()
    assert main([*line, "--out", "part"]) == 0
    (part, _), (uninterrupted, _) = records.load("part"), records.load("whole")
    np.testing.assert_array_equal(part["states"], uninterrupted["states"])
    assert not os.path.exists("part.checkpoint.npz")


def test_the_command_is_installed():
    done = subprocess.run([sys.executable, "-m", "pdelab.cli", "list", "losses"], capture_output=True, text=True)
    assert done.returncode == 0 and "rugged" in done.stdout


def test_quiet_says_nothing_but_results(folder, capsys):
    assert main(["figure", "uniform-beta", "--quick", "--quiet"]) == 0
    said = capsys.readouterr()
    assert said.err == "" and "uniform-beta.png" in said.out


def test_hint_for_a_formula_of_two_variables(folder, capsys):
    refused(["solve", "x**2 + y**2", "--beta", "2"], capsys, "--lower -3 -3", folder)
    assert (
        main(["solve", "x**2 + y**2", "--beta", "2", "--lower", "-3", "-3", "--upper", "3", "3", "--nodes", "17"]) == 0
    )


def test_compiling_is_said_before_the_first_time(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    shared.quiet(False)
    assert shared.say_compiling() and "compiling once" in capsys.readouterr().err
    (tmp_path / "kernel.nbi").touch()
    assert not shared.say_compiling() and capsys.readouterr().err == ""


def test_every_door_that_is_compiled_first_opens():
    """The stage before `reproduce` starts its processes: no door refuses, none warns."""
    from pdelab.cli import workers

    for k in range(len(workers._DOORS)):
        workers.compile_door(k)


def test_a_device_is_a_parameter_of_the_figures_that_have_one(tmp_path, capsys):
    assert main(["figure", "4.1", "--quick", "--device", "cuda", "--out", str(tmp_path)]) == 2
    assert "has no parameter 'device'" in capsys.readouterr().err
    pytest.importorskip("torch")
    assert main(["figure", "2.2", "--quick", "--device", "nowhere", "--out", str(tmp_path)]) == 2
    assert "device: expected one that there is here, as 'cpu', got 'nowhere'" in capsys.readouterr().err
