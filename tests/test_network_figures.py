"""The network figures: each runs, is drawn and returns what it checks; what they share: races, tables, settings."""

import struct
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from test_network_figures_quick import OWN  # noqa: E402

from pdelab import figures, plotting  # noqa: E402
from pdelab.figures import printed, races, tables  # noqa: E402
from pdelab.networks.training.comparison import verdict  # noqa: E402
from pdelab.records import Check  # noqa: E402

# the others run and are drawn in their quick form: test_network_figures_quick.py
TINY = {
    "2.3": {"epochs": 2, "seeds": 2, "hidden": 8, "layers": 4, "lenet_epochs": 1},
    "2.4": {"epochs": 1, "deep_epochs": 2, "seeds": 2, "hidden": 8},
    "3.4": {"epochs": 1, "hidden": 4, "lstm_hidden": 3, "lines": 32, "probes": 2},
    "3.5": {"epochs": 1, "seeds": 2},
    "3.6": {"epochs": 1, "seeds": 2},
    "3.7": {"epochs": 1, "seeds": 2},
    "4.2": {"epochs": 1, "seeds": 2},
    "4.3": {"epochs": 1, "seeds": 2},
    "5.1": {"epochs": 2, "networks": 3},
    "5.2": {"loops": 4},
    "5.3": {"epochs": 1, "seeds": 2},
    "5.4": {"epochs": 1, "seeds": 2},
    "5.5": {"epochs": 1, "seeds": 2},
    "5.6": {"epochs": 1, "third_epochs": 1, "seeds": 2},
    "5.7": {"epochs": 1, "seeds": 2},
    "6.1": {"epochs": 3, "samples": 60},
    "6.3": {"epochs": 1200, "burn_in": 300, "directions": 3},
    "bridge-basins": {"epochs": 3, "samples": 60, "runs": 20, "tuning_runs": 10, "nodes": 41, "gradients": 20},
    "bridge-density": {"epochs": 3, "samples": 60, "runs": 100},
    "bridge-gradients": {"epochs": 3, "samples": 60, "runs": 4, "points": 3},
    "bridge-projection": {"epochs": 3, "samples": 60, "runs": 30, "resamples": 20, "t": 0.5},
    "bridge-volume": {"epochs": 2, "samples": 60, "seeds": 2, "steps": 60, "gamma": 0.005, "chains": 2},
    "table-2.1": {"epochs": 1, "seeds": 2},
    "table-3.1": {"epochs": 1, "text_epochs": 1, "seeds": 2},
    "table-4.1": {"epochs": 1, "seeds": 2},
    "table-5.1": {"epochs": 1, "svhn_epochs": 1, "seeds": 2},
    "table-5.2": {"epochs": 1, "seeds": 2},
}
FOLDER = Path(figures.__file__).parents[2] / "figures"
NETWORKS = {name: module for name, module in figures.gallery().items() if getattr(module, "NEEDS", "") == "networks"}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of finished runs: tables are the races of other figures again."""
    return tmp_path_factory.mktemp("runs")


def test_the_list_is_complete():
    assert set(TINY) | set(OWN) == set(NETWORKS)


@pytest.mark.parametrize(
    "name", [n if n in ("5.1", "5.2", "6.1") else pytest.param(n, marks=pytest.mark.slow) for n in TINY]
)
@pytest.mark.filterwarnings("ignore:steps. the samples at")  # of bridge-volume: what it says of so short a form is true
@pytest.mark.filterwarnings("ignore:grid. exp", "ignore:gap. its two sides")  # of bridge-basins, likewise
def test_figure_runs_and_is_drawn(name, runs, tmp_path):
    module = NETWORKS[name]
    with races.Help(runs).given():
        data = module.compute(**(module.PARAMETERS | module.QUICK | TINY[name]))
    wanted = {*module.CHECKS, *figures.bands(module, quick=True)}
    if not TINY[name].get("more", module.QUICK.get("more", "?")):
        wanted = {key for key in wanted if not key.startswith("MNIST")}
    assert wanted <= {key for key, value in data.items() if np.ndim(value) == 0}
    assert all(np.isfinite(data[key]) for key in wanted)
    assert plotting.save_figure(module.draw(data), tmp_path / "figure").stat().st_size > 10_000


@pytest.fixture(scope="module")
def two_races():
    runs = {"sgd": {"epochs": 2}, "adam": {"optimizer": "adam", "epochs": 2}}
    race = races.race({"two words": runs}, seeds=2, margin=0.2)
    return races.merged(race, races.race({"other": {"sgd": {"epochs": 1}}}, seeds=2, metric="loss", margin=0.02))


def test_a_race_is_paired_and_flat(two_races):
    data = two_races
    assert data["two_words_names"].tolist() == ["sgd", "adam"] and data["two_words_adam_curve"].shape == (2, 2)
    assert data["two_words_adam_losses"].shape == (2, 2) and (np.diff(data["two_words_adam_losses"]) < 0).all()
    gap = data["two_words_adam_mean"] - data["two_words_sgd_mean"]
    assert data["two_words_adam_difference"] == pytest.approx(gap)
    assert data["two_words_adam_low"] <= gap <= data["two_words_adam_high"]
    assert (data["two_words_margin"], data["other_margin"]) == (0.2, 0.02)
    word = data["two_words_adam_verdict"]
    assert word == verdict(data["two_words_adam_low"], data["two_words_adam_high"], 0.2)
    seen = f"{data['two_words_adam_detectable']:.2g}"
    said = f"two words, 2 seeds against sgd at a margin of 0.2 %: adam {word} ({seen})."
    assert races.sentence(data).endswith(said)


def test_the_power_of_paired_seeds_is_that_of_students_test():
    """Six seeds whose differences scatter by 1: the noncentral t finds the detectable difference in four of five."""
    from scipy.stats import nct, t

    half = t.ppf(0.975, 5) / np.sqrt(6)
    difference = races.detectable(-half, half, 6)
    power = nct.sf(t.ppf(0.975, 5), 5, difference * np.sqrt(6))
    assert abs(power - races.POWER) < 0.03
    assert races.detectable(-2 * half, 2 * half, 6) == pytest.approx(2 * difference)


def test_images_of_mnist_take_their_own_recipes():
    from pdelab.networks.training import recipe

    settings = races.contestants("digits-lenet", "lenet", ("sgd", "parle"), data="mnist-5k")
    assert settings == {name: recipe(f"mnist-lenet/{name}") for name in ("sgd", "parle")}


def test_stored_races_get_the_verdicts_of_their_intervals():
    data = {"panels": np.array(["p"]), "p_names": np.array(["a", "b", "c", "d", "e"]), "seeds": 3}
    for name, low, high in (("b", 0.1, 0.5), ("c", -0.5, -0.1), ("d", -0.1, 0.5), ("e", -0.1, 0.1)):
        data |= {f"p_{name}_low": low, f"p_{name}_high": high}
    numbers = races.with_verdicts(data | {"p_b_verdict": "said before"}, 0.2)
    words = [numbers[f"p_{name}_verdict"] for name in "bcde"]
    assert words == ["said before", "better", "undecided", "the same"] and numbers["p_margin"] == 0.2
    assert numbers["p_e_detectable"] == races.detectable(-0.1, 0.1, 3), "what was not stored follows from the interval"
    assert races.with_verdicts(data, 0.2)["p_b_verdict"] == "worse"


RACES = [name for name in NETWORKS if hasattr(NETWORKS[name], "MARGIN")]


def test_races_declare_their_margin():
    """All figures that store panels do; what is stored was judged at it."""
    for name, module in NETWORKS.items():
        data = figures.stored(name, FOLDER).data
        assert ("panels" in data) == (name in RACES)
        for panel in map(races.slug, map(str, data.get("panels", ()))):
            allowed = {module.MARGIN, getattr(module, "TEXT_MARGIN", module.MARGIN)}
            assert data[f"{panel}_margin"] in allowed


def at_chance(loss):
    """{end of a number's name: its value when all contestants of a panel are at chance}."""
    ends = {"_mean": loss, "_train_loss": loss, "_train_error": 90.0, "_ratio": 1.0}
    return ends | dict.fromkeys(("_difference", "_low", "_high", "_gain"), 0.0)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", RACES)
def test_networks_at_chance_fail_in_every_panel(name, quick):
    """With all contestants of a panel at chance, and so without differences, one of the panel's own checks fails."""
    data = figures.stored(name, FOLDER).data
    for panel in map(races.slug, map(str, data["panels"])):
        if quick and panel.startswith("MNIST"):
            continue  # the quick form has no such row
        # words: a vocabulary of 300; letters: about 90 of them
        chance = np.log(300.0 if panel == "words" else 90.0) if data[f"{panel}_metric"] == "loss" else 90.0
        numbers = data | {
            key: value
            for key in data
            for end, value in at_chance(chance).items()
            if key.startswith(f"{panel}_") and key.endswith(end)
        }
        own = {key: band for key, band in figures.bands(NETWORKS[name], quick=quick).items() if key.startswith(panel)}
        assert not all(Check(key, numbers[key], *band).holds for key, band in own.items()), f"{panel}: {own}"


def test_unfinished_runs_are_marked_in_tables(two_races):
    lazy = dict(two_races) | {"two_words_adam_train_error": 60.0}
    assert tables.cells(lazy)[2][0][1].endswith("†") and "†" not in str(tables.cells(two_races)[2][1])
    stored = figures.stored("table-4.1", FOLDER).data
    rows, columns, texts = tables.cells(stored)
    assert texts[rows.index("allcnn")][columns.index("heat")].endswith("†")


def test_a_race_of_losses_shows_perplexities(two_races):
    from pdelab.networks import training

    run = training.train("sgd", seed=1, epochs=1)
    assert two_races["other_sgd_curve"][1] == pytest.approx(np.exp(run.history[0]["validation_loss"]), rel=1e-12)
    assert two_races["other_sgd_losses"][1, 0] == run.history[0]["train_loss"]
    assert two_races["two_words_sgd_curve"][1, 0] != two_races["other_sgd_curve"][1, 0], "the first race is of errors"


def test_a_table_has_a_row_a_problem_and_a_column_an_algorithm(two_races):
    rows, columns, texts = tables.cells(two_races)
    assert rows == ["two words", "other"] and columns == ["sgd", "adam"] and texts[1][1] == "–"
    mean, deviation = two_races["two_words_adam_mean"], two_races["two_words_adam_sd"]
    mark = "†" if two_races["two_words_adam_train_error"] > tables.UNFINISHED else ""
    assert texts[0][1] == f"{mean:.2f} ± {deviation:.2f} @ {two_races['two_words_adam_reached']}{mark}"
    assert texts[1][0].startswith(f"{np.exp(two_races['other_sgd_mean']):.2f} ± "), "a loss is shown as a perplexity"


@pytest.mark.parametrize(
    "curve, epoch", [([9.0, 5.0, 4.0, 4.0], 3), ([9.0, 4.0, 4.4, 4.0], 2), ([9.0, 4.0, 4.5, 4.0], 4), ([4.0], 1)]
)
def test_the_epoch_from_which_a_curve_stays(curve, epoch):
    assert races._reached(np.array(curve)) == epoch


@pytest.mark.parametrize("problem", printed.SETTINGS)
def test_printed_settings_are_those_of_an_optimizer(problem):
    """Each is accepted by its optimizer; drops lie inside the run; gradients are counted as the thesis does."""
    from pdelab.networks.training.setup import make_optimizer, milestones

    for name in printed.SETTINGS[problem]:
        if name == "common":
            continue
        settings = printed.printed(problem, name)
        copies = [torch.nn.Linear(2, 2) for _ in range(settings.get("replicas", 1))]
        options = settings["optimizer_options"] | ({"layers": 3} if "field" in name else {})
        stepper, _ = make_optimizer(settings["optimizer"], copies, options, 0)
        assert stepper.param_groups[0]["lr"] == settings["optimizer_options"]["lr"]
        assert all(0 < drop < settings["epochs"] for drop in milestones(settings["drops"], settings["epochs"]))
    assert milestones(printed.printed("wrn-28-10", "sgd")["drops"], 200) == [60, 120, 180]
    assert milestones(printed.printed("wrn-28-10", "parle")["drops"], 200) == [50, 100, 150]


def test_built_in_data_take_tuned_recipes_and_others_the_printed_ones():
    from pdelab.networks.training import recipe

    names = ("sgd", "parle")
    tuned = races.contestants("digits-wrn", "wrn-28-10", names, epochs=3, batch_size=7)
    assert tuned["parle"] == recipe("digits-wrn/parle") | {"epochs": 3, "batch_size": 7}
    real = races.contestants("digits-wrn", "wrn-28-10", names, data="cifar100", folder="there", batch_size=7)
    assert real["parle"] == printed.printed("wrn-28-10", "parle") | {"data": "cifar100", "folder": "there"}


def test_a_figure_runs_on_a_published_data_set(tmp_path):
    """Figure 3.5 with files in the format of MNIST, on small networks."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 400), ("t10k", 40)):
        for kind, shape in (("images-idx3", (count, 28, 28)), ("labels-idx1", (count,))):
            header = struct.pack(f">{1 + len(shape)}I", 2048 + len(shape), *shape)
            content = rng.integers(0, 10, shape, dtype=np.uint8)
            (tmp_path / f"{part}-{kind}-ubyte").write_bytes(header + content.tobytes())
    module = NETWORKS["3.5"]
    chosen = {"data": "mnist", "folder": str(tmp_path), "mlp": "small-fc", "lenet": "small-lenet", "epochs": 1}
    data = module.compute(**(module.PARAMETERS | chosen | {"seeds": 2}))
    assert data["convolutional_names"].tolist() == ["adam", "sgd", "entropy-sgd"]
    assert data["fully_connected_adam_mean"] > 70.0, "labels were drawn by lot"


def test_figures_say_that_torch_is_missing(monkeypatch, capsys, tmp_path):
    from pdelab.cli import main

    monkeypatch.setattr(figures, "find_spec", lambda name: None)
    for name in NETWORKS:
        assert main(["figure", name, "--quick", "--out", str(tmp_path / "none")]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "pdelab[networks]" in said
    assert not (tmp_path / "none").exists()
