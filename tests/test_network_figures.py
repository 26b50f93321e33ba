"""The network figures: each runs, is drawn and returns what it checks; the cheap ones hold in their quick form."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from pdelab import figures, plotting  # noqa: E402
from pdelab.figures import races  # noqa: E402

TINY = {
    "2.3": {"epochs": 2, "seeds": 2, "hidden": 8, "layers": 4},
    "3.1": {"epochs": 1, "samples": 40, "channels": (2, 2), "hidden": 4},
    "3.4": {"epochs": 1, "hidden": 4, "lstm_hidden": 3, "lines": 32, "probes": 2},
    "3.5": {"epochs": 2, "seeds": 2},
    "3.7": {"epochs": 1, "seeds": 2},
    "4.2": {"epochs": 2, "seeds": 2},
    "4.3": {"epochs": 1, "seeds": 2},
    "5.1": {"epochs": 2, "networks": 3},
    "5.3": {"epochs": 2, "seeds": 2},
    "5.7": {"epochs": 2, "seeds": 2},
    "6.1": {"epochs": 3, "samples": 60},
    "6.2": {"epochs": 3, "samples": 60},
}
NETWORKS = {name: module for name, module in figures.gallery().items() if getattr(module, "NEEDS", "") == "networks"}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def test_the_list_is_complete():
    assert set(TINY) == set(NETWORKS)


@pytest.mark.parametrize(
    "name", [n if n in ("4.2", "5.1", "6.1") else pytest.param(n, marks=pytest.mark.slow) for n in TINY]
)
def test_figure_runs_and_is_drawn(name, tmp_path):
    module = NETWORKS[name]
    data = module.compute(**(module.PARAMETERS | module.QUICK | TINY[name]))
    assert set(module.CHECKS) <= {key for key, value in data.items() if np.ndim(value) == 0}
    assert all(np.isfinite(data[key]) for key in module.CHECKS)
    assert plotting.save_figure(module.draw(data), tmp_path / "figure").stat().st_size > 10_000


@pytest.mark.parametrize("name", [n if n in ("5.1", "6.1") else pytest.param(n, marks=pytest.mark.slow) for n in TINY])
def test_quick_figure_holds(name):
    result = figures.compute(name, quick=True)
    assert [check.as_dict() for check in result.checks if not check.holds] == []


def test_a_race_is_paired_and_flat():
    runs = {"sgd": {"epochs": 2}, "adam": {"optimizer": "adam", "epochs": 2}}
    data = races.race({"two words": runs}, seeds=2)
    assert data["two_words_names"].tolist() == ["sgd", "adam"] and data["two_words_adam_curve"].shape == (2, 2)
    gap = data["two_words_adam_mean"] - data["two_words_sgd_mean"]
    assert data["two_words_adam_difference"] == pytest.approx(gap)
    assert data["two_words_adam_low"] <= gap <= data["two_words_adam_high"]
