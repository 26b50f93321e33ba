"""What `simulate` may be asked: times, starts, names, increments, parts, bars, checkpoints, and what it refuses."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import iv

import pdelab as pl
from pdelab import paths
from pdelab.losses import Loss
from pdelab.paths import checkpoints, engine

WELL = paths.Langevin(Loss("x**4/4 - x**2/2"), 3.0)
PYTHON = paths.Diffusion(lambda x: x - x**3, 0.5)


@pytest.mark.parametrize("initial", [1j, [1.0 + 0j, 2.0], "1.0", ["1.0", "2.0"], None])
def test_what_is_no_real_number_is_no_state(initial):
    with pytest.raises(ValueError, match="initial: expected"):
        paths.simulate(WELL, initial, 1.0, 0.1, seed=1)


@pytest.mark.parametrize("name", ["t", "dt", "start"])
@pytest.mark.parametrize("value", ["1.0", 1.0 + 0j, True, math.nan])
def test_numbers_are_numbers(name, value):
    with pytest.raises(ValueError, match=f"{name}: expected"):
        paths.simulate(**{"sde": WELL, "initial": 0.0, "t": 1.0, "dt": 0.1, "seed": 1, name: value})


@pytest.mark.parametrize("t", [[], [0.5, 0.5], [1.0, 0.5], [-1.0, 1.0], [0.0], [[1.0]], [math.inf], ["1"]])
def test_bad_times(t):
    with pytest.raises(ValueError, match="t: expected"):
        paths.simulate(WELL, 0.0, t, 0.1, seed=1)
    with pytest.raises(ValueError, match="save_every: expected None"):
        paths.simulate(WELL, 0.0, [1.0], 0.1, seed=1, save_every=1)


@pytest.mark.parametrize("sde", [WELL, PYTHON])
def test_times_as_a_list_are_pieces_one_after_the_other(sde):
    """Equal steps: the same bits as save_every; other times: their variances, and increments with their sums."""
    every = paths.simulate(sde, 0.4, 1.0, 0.125, paths=700, seed=5, save_every=2)
    listed = paths.simulate(sde, 0.4, [0.0, 0.25, 0.5, 0.75, 1.0], 0.125, paths=700, seed=5)
    assert np.array_equal(every.times, listed.times) and (every.states == listed.states).all()
    seen = []
    free = paths.simulate(
        paths.Diffusion(0.0, 1.0), 0.0, [0.1, 0.75, 2.0], 0.1, paths=20_000, seed=3, on_save=lambda t, x: seen.append(t)
    )
    assert seen == pytest.approx([0.1, 0.75, 2.0]) and np.abs(free.variance / free.times - 1).max() < 0.05
    assert np.allclose(free.increments().sum(0), free.final) and free.increments().shape == (1 + 7 + 13, 20_000)
    assert np.allclose(free.increments(0, 8).sum(0), free.states[1], atol=1e-13)


def test_the_start_is_a_time():
    driven = paths.Diffusion("sin(t)", 0.0, variables="x")
    whole = paths.simulate(driven, 0.0, 2.0, 0.01, seed=1, save_every=100)
    half = paths.simulate(driven, whole.states[1], 2.0, 0.01, seed=1, start=1.0)
    assert half.times[0] == 1.0 and half.final[0] == pytest.approx(whole.final[0], rel=1e-12)
    exits = paths.simulate(driven, 0.5, 3.0, 0.01, seed=1, start=1.0, exit=(0.0, 0.8)).exit_times
    assert 1.0 < exits[0] < 1.5


def test_increments_of_two_processes_and_finer_ones():
    sde = paths.Diffusion(["0", "0"], [[0.6, 0.8], [0.0, 1.0]], variables=("x", "y"))
    run = paths.simulate(sde, (0.0, 0.0), 1.0, 0.25, paths=600, seed=3, refine=3, first_path=40)
    dw = run.increments()
    assert dw.shape == (4, 600, 2) and np.allclose(dw.sum(0) @ [[0.6, 0.0], [0.8, 1.0]], run.final)
    with pytest.raises(ValueError, match="last: expected"):
        run.increments(0, 5)


def test_schemes_by_name():
    for name in ("heun", "milstein", "weak_euler"):
        one, other = (
            paths.simulate(WELL, 0.4, 1.0, 0.1, paths=5, seed=1, scheme=s).final for s in (name, getattr(paths, name))
        )
        assert (one == other).all()


def test_noise_that_depends_on_time_alone_is_additive():
    """sigma = 1 + t by a formula: sra1 takes it, the variance of its integral is that of the exact one."""
    sde = paths.Diffusion("0*x", "1 + t")
    run = paths.simulate(sde, 0.0, 1.0, 0.1, scheme=paths.sra1, paths=20_000, seed=2)
    assert sde.kind == "additive" and abs(run.variance[-1] / (7 / 3) - 1) < 4 * math.sqrt(2 / 20_000) + 0.01
    matrix = paths.Diffusion(["0*x", "0*y"], [["1", "t"], ["0", "exp(-t)"]])
    assert matrix.kind == "additive" and paths.simulate(matrix, (0, 0), 1.0, 0.1, scheme="sra1", paths=3, seed=1)


@pytest.mark.parametrize("sigma", ["1/2", "sqrt(1/4)", "0.5 + 0*x", "(cos(x)**2 + sin(x)**2)/2"])
def test_a_bridge_knows_constant_noise_by_its_values(sigma):
    common = {"exit": (-1, 1), "bridge": True, "paths": 300, "seed": 4}
    formula = paths.simulate(paths.Diffusion("-x", sigma), 0.0, 5.0, 0.1, **common)
    number = paths.simulate(paths.Diffusion("-x", 0.5), 0.0, 5.0, 0.1, **common)
    np.testing.assert_allclose(formula.exit_times, number.exit_times)
    for other in ("x", "0.5 + 1e-9*x", "t"):
        with pytest.raises(ValueError, match="bridge: expected constant noise"):
            paths.simulate(paths.Diffusion("-x", other, variables="x"), 0.0, 5.0, 0.1, **common)


def test_what_is_not_finite_is_named():
    """1/x as noise at a path that came to 0: the noise is blamed, not the step."""
    sde = paths.Diffusion("-1 + 0*x", "log(x)/1e9", variables="x")
    with pytest.raises(FloatingPointError, match="there the noise.* is not finite"):
        paths.simulate(sde, 0.5, 1.0, 0.1, seed=1)


def test_first_path_gives_the_same_bits_however_an_ensemble_is_split():
    for sde in (WELL, PYTHON):
        for scheme in ("euler_maruyama", "weak_euler", "heun"):
            whole = paths.simulate(sde, 0.4, 1.0, 0.1, paths=1100, seed=5, scheme=scheme).final
            for a, b in ((0, 1), (513, 1100), (7, 600)):
                part = paths.simulate(sde, 0.4, 1.0, 0.1, paths=b - a, seed=5, scheme=scheme, first_path=a).final
                assert (part == whole[a:b]).all()


def test_progress_reports_all_steps(capsys):
    seen = []
    paths.simulate(WELL, 0.4, 1.0, 0.01, paths=600, seed=5, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (100, 100) and seen == sorted(seen)
    assert capsys.readouterr() == ("", "")
    paths.simulate(WELL, 0.4, 1.0, 0.01, paths=600, seed=5, progress=True)
    assert "100/100" in capsys.readouterr().err
    with pytest.raises(ValueError, match="progress: expected"):
        paths.simulate(WELL, 0.4, 1.0, 0.01, paths=600, seed=5, progress=3)


@pytest.mark.parametrize("sde", [WELL, PYTHON])
@pytest.mark.parametrize("store", [True, False])
def test_an_interrupted_run_goes_on_with_the_same_bits(sde, store, tmp_path, monkeypatch):
    box, grid = (-2.0, 2.0, "absorbing"), pl.Grid(-2, 2, 9, boundary="absorbing")
    common = {"paths": 700, "seed": 5, "save_every": 7, "store": store, "walls": box, "histogram": grid}
    whole = paths.simulate(sde, 0.4, 2.0, 0.02, **common)
    monkeypatch.setattr(engine, "SECONDS_PER_CHUNK", 1e-9)
    monkeypatch.setattr(engine, "STEPS_AT_FIRST", 1)

    def stop(done, total):
        if done > 40:
            raise KeyboardInterrupt

    file = tmp_path / "run.npz"
    with pytest.raises(KeyboardInterrupt, match=r"holds [0-9]+ of 16 saved times; the same call goes on"):
        paths.simulate(sde, 0.4, 2.0, 0.02, checkpoint=file, progress=stop, **common)
    with np.load(file) as held:
        assert 40 < held["done"] < 100 and len(held["times"]) == held["done"] // 7 + 1
        if store:
            assert (held["saved"][:, 0] == whole.states[: len(held["times"])]).all()
    begun = []
    rest = paths.simulate(sde, 0.4, 2.0, 0.02, checkpoint=file, progress=lambda done, n: begun.append(done), **common)
    assert begun[0] > 41 and (rest.final == whole.final).all() and (rest.exit_times == whole.exit_times).all()
    assert (rest.mean == whole.mean).all() and (rest.density == whole.density).all()
    again = paths.simulate(sde, 0.4, 2.0, 0.02, checkpoint=file, **common)
    assert (again.final == whole.final).all()
    with pytest.raises(ValueError, match="checkpoint: .* holds another run"):
        paths.simulate(sde, 0.4, 2.0, 0.02, checkpoint=file, **common | {"seed": 6})


def test_checkpoints_are_written_as_they_come(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    file, seen = tmp_path / "run.npz", []
    look = lambda done, n: seen.append(file.exists())  # noqa: E731
    paths.simulate(WELL, 0.4, [0.5, 1.0, 2.0], 0.02, paths=7, seed=1, checkpoint=file, progress=look)
    assert seen[1:] and all(seen[1:])
    with pytest.raises(ValueError, match="checkpoint: expected a file in a folder"):
        paths.simulate(WELL, 0.4, 1.0, 0.1, seed=1, checkpoint=tmp_path / "no" / "run.npz")


def test_the_summary_and_the_errors_of_a_density():
    grid = pl.Grid(-2, 2, 9)
    runs = [paths.simulate(WELL, 0.4, 1.0, 0.05, paths=1000, seed=s, histogram=grid) for s in range(60)]
    assert str(runs[0]) == repr(runs[0]) and "1000 paths of Langevin by paths.euler_maruyama" in str(runs[0])
    scatter = np.std([run.density[-1] for run in runs], axis=0)
    stated = np.mean([run.density_error[-1] for run in runs], axis=0)
    busy = stated > 0.02
    assert busy.any() and np.abs(scatter[busy] / stated[busy] - 1).max() < 0.4
    with pytest.raises(ValueError, match="survival: expected a run"):
        _ = runs[0].survival


# ------------------------------------------------------------------------------------------------ ensembles in parts


@pytest.mark.parametrize("sde", [WELL, PYTHON])
@pytest.mark.parametrize("store", [True, False])
def test_an_ensemble_in_parts_has_the_same_bits(sde, store):
    joblib = pytest.importorskip("joblib")
    count = 2300 if sde is WELL else engine.NUMPY_PATHS + 900
    initial = np.linspace(-1, 1, count)
    common = {"seed": 5, "save_every": 4, "store": store, "histogram": pl.Grid(-2, 2, 9)}
    whole = paths.simulate(sde, initial, 1.0, 0.05, walls=(-2.0, 2.0, ("absorbing", "reflecting")), **common)
    with joblib.parallel_config("threading"):
        run = paths.ensemble(
            sde, initial, 1.0, 0.05, walls=(-2.0, 2.0, ("absorbing", "reflecting")), parts=3, workers=2, **common
        )
    assert run.info["parts"] > 1 and (run.final == whole.final).all()
    for name in ("mean", "variance", "density", "exit_times", "exit_sides", "survival"):
        assert np.array_equal(getattr(run, name), getattr(whole, name)), name
    with pytest.raises(ValueError, match="on_save: expected nothing"):
        paths.ensemble(sde, 0.0, 1.0, 0.1, seed=1, on_save=print)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_loses_a_worker_loses_nothing():
    joblib, distributed = pytest.importorskip("joblib"), pytest.importorskip("distributed")
    count = 200_000
    whole = paths.simulate(WELL, 0.4, 20.0, 0.01, paths=count, seed=5, store=False)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        joblib.parallel_config("dask"),
    ):
        lost = []

        class Loses(distributed.SchedulerPlugin):
            """Kills the worker that is handed the third task; it dies with so many in hand."""

            def __init__(self):
                self.handed = 0

            def transition(self, key, start, finish, *arguments, **facts):
                self.handed += finish == "processing"
                if self.handed == 3 and not lost:
                    busy = cluster.scheduler.tasks[key].processing_on
                    lost.append(len(busy.processing))
                    (worker,) = (w for w in cluster.workers.values() if w.worker_address == busy.address)
                    worker.process.process.kill()

        cluster.scheduler.add_plugin(Loses())
        run = paths.ensemble(WELL, 0.4, 20.0, 0.01, paths=count, seed=5, store=False, parts=20)
        assert client.status == "running" and lost[0] > 0
    assert (
        (run.final == whole.final).all() and (run.mean == whole.mean).all() and (run.variance == whole.variance).all()
    )


def test_an_explosion_names_the_path_of_the_whole_ensemble():
    """Path 2 of a part that begins with path 100 is path 102, on the compiled way and through NumPy."""
    steep = pl.Loss("-x**6")
    python = pl.Loss.from_functions(steep, steep.gradient, dimension=1)
    for loss in (steep, python):
        with pytest.raises(FloatingPointError, match="^path 102 exploded"):
            paths.simulate(pl.Langevin(loss, 1e6), [0.0, 0.0, 9.0, 0.0], 0.1, 0.01, seed=1, first_path=100)


def test_the_slopes_of_noise_given_by_a_function_are_those_of_its_formula():
    x, t = np.linspace(-2.0, 2.0, 9)[None], 0.3
    formula = paths.Diffusion("-x", "sqrt(2 + x**2)*(1 + 0.3*sin(2*x))")
    python = paths.Diffusion("-x", lambda x: np.sqrt(2 + x**2) * (1 + 0.3 * np.sin(2 * x)), kind="diagonal")
    np.testing.assert_allclose(python.slope(x, t), formula.slope(x, t), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("rate", [0.5, 3.0, 100.0])
@pytest.mark.parametrize("scheme", ["euler_maruyama", "weak_euler", "heun", "milstein", "leimkuhler_matthews"])
def test_steps_beyond_stability_are_told(rate, scheme):
    """Of a drift that pulls back at a rate beyond 2/dt, wherever it pulls to; not of one that truly grows."""
    run = {"paths": 20, "seed": 0, "scheme": scheme}
    pulled = pl.Diffusion(f"-{rate}*(x - 7)", 1.0)
    for share in (0.5, 1.9):
        pl.simulate(pulled, 1.0, 40 / rate, share / rate, **run)
    with pytest.warns(pl.stepping.AccuracyWarning, match="beyond the stability"):
        pl.simulate(pulled, 1.0, 40 / rate, 2.5 / rate, **run)
    for drift in (f"{rate}*x", f"{rate}*(x - x**3)"):
        pl.simulate(pl.Diffusion(drift, 0.1), 0.1, 20 / rate, 0.2 / rate, **run)


@pytest.mark.parametrize("scheme", ["euler_maruyama", "weak_euler", "heun", "sra1", "leimkuhler_matthews", "baoab"])
@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    reach=st.one_of(st.floats(0.05, 1.6), st.floats(2.2, 6.0)), wave=st.sampled_from([1, 6]), cold=st.floats(2.0, 30.0)
)
def test_bounded_drifts_beyond_stability_are_told(scheme, reach, wave, cold):
    """Wells of -cos(kx)/k², curvature 1: the mean of cos(kx) is I_1/I_0 of beta/k², which long steps miss."""
    momenta = scheme == "baoab"  # whose reach is dt²/2
    dt, loss, beta = math.sqrt(2 * reach) if momenta else reach, pl.Loss(f"-cos({wave}*x)/{wave**2}"), cold * wave**2
    sde = pl.Underdamped(loss, beta, 1.0) if momenta else pl.Langevin(loss, beta)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        x = pl.simulate(sde, 0.0, 60 * dt, dt, scheme=scheme, paths=800, seed=1).final
    error = abs(np.cos(wave * (x[:, 0] if momenta else x)).mean() - iv(1, cold) / iv(0, cold))
    assert len(caught) <= (reach > 2) and (caught or reach < 2 or error < 0.1), (error, caught)


@pytest.mark.parametrize("bend", [3.0, 100.0, 0.7])
def test_the_edge_of_stability_is_beyond_it(bend):
    """h dt = 2, where the noise of every step stays, is warned of; just below it is not."""
    sde = pl.Langevin(pl.Loss(f"{bend}*x**2/2"), 4.0)
    for share, warned in ((2.0, True), (2.03, True), (1.9, False)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            pl.simulate(sde, 0.1, 200 * share / bend, share / bend, scheme="euler_maruyama", paths=200, seed=1)
        assert any("beyond the stability" in str(w.message) for w in caught) == warned
